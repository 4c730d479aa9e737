"""What is marked: an exercise as a list of items, each a name in the learner's notebook with hidden inputs.

The specs themselves stand in ``exercises/specs/exNN.py`` and stay with the instructor; this module holds their form.
The learner's code sees an item's inputs one case at a time and never its expected values, which the grader keeps.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

JSON = dict | list | str | int | float | bool | None


@dataclass(frozen=True)
class Item:
    """One thing that is marked.

    Attributes:
        name: the function, or the plain value, in the learner's notebook; also the `grade_id` of its stub cell.
        points: at most, shared equally by the cases.
        cases: the hidden keyword arguments for one learner, a dictionary a case, drawn from her own random numbers.
            JSON values; ``{"tensor": [...]}`` reaches the function as a float64 tensor, ``{"facts": {...}}`` as
            `lessons_lib.decide.Facts`. None: `name` is a value and not a function, and there is one case.
        expected: the right answer to a case, called with the case's arguments as the learner's function is; a tensor
            or a JSON value.
        tolerance: relative, of every number; an absolute 1e-9 is allowed beside it.
        gradient: arguments with respect to which the summed answer's gradient must be right too.
        judge: instead of a comparison with `expected`: (answer, case) -> share of the case's points in [0, 1].
    """

    name: str
    points: float
    cases: Callable[[random.Random], list[dict[str, JSON]]] | None = None
    expected: Callable[..., object] | None = None
    tolerance: float = 1e-6
    gradient: tuple[str, ...] = ()
    judge: Callable[[JSON, dict[str, JSON]], float] | None = None


@dataclass(frozen=True)
class Exercise:
    """A graded exercise: the notebook that learners get, and the items that are marked in it."""

    lesson: int
    notebook: str  # file name in exercises/
    items: tuple[Item, ...]
