"""What nbgrader's hidden test cells call: the same items and the same comparison as `grade`, without its wall.

In nbgrader the learner's code and the test share a process, so these marks can be forged; the cells carry no hidden
input and no expected value all the same, because both stay in the instructor's specs.
"""

from __future__ import annotations

import contextlib
import io
import warnings

from lessons_lib.grading import assignments, compare, tickets, wire

_SALT = b"the same inputs for everybody"


def points(name: str, item_name: str, value: object) -> float:
    """The points of an item, as the last value of a test cell, which nbgrader takes for its score.

    What is printed to stderr in a test cell would cost its points, so it is kept from it.
    """
    exercise = assignments.load(name).exercise
    item = next(item for item in exercise.items if item.name == item_name)
    cases = tickets.cases_of(exercise, _SALT, "everybody", tickets.PRACTICE)[item_name]
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        shares = [_share(item, case, value) for case in cases]
    return item.points * sum(shares) / len(shares)


def _share(item, case, value) -> float:
    right = compare.expected(item, case)
    try:
        came = wire.encode(value) if case is None or item.own else wire.call(value, case, item.gradient)
    except Exception:  # whatever the learner's code raises
        return 0.0
    return compare.share(item, case, right, came)[0]
