"""What nbgrader's hidden test cells call: the same items and the same comparison as `grade`, without its wall.

In nbgrader the learner's code and the test share a process, so these marks can be forged; the cells carry no hidden
input and no expected value all the same, because both stay in the instructor's specs.
"""

from __future__ import annotations

import contextlib
import io
import warnings

from lessons_lib.grading import assignments, compare, tickets, wire
from lessons_lib.grading.spec import asked

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
        came = [_answer(item, case, value) for case in cases]
        if item.together:
            answers = [None if one is None else one.get("json") for one in came]
            return item.points * compare.together(item, answers, cases)[0]
        shares = [
            compare.share(item, case, compare.expected(item, case), one)[0]
            for case, one in zip(cases, came, strict=True)
        ]
    return item.points * sum(shares) / len(shares)


def _answer(item, case, value):
    try:
        return wire.encode(value) if case is None or item.own else wire.call(value, asked(case), item.gradient)
    except Exception:  # whatever the learner's code raises
        return None
