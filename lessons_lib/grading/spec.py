"""What is marked: an exercise as a list of items, each a name in the learner's notebook with hidden inputs.

The specs themselves stand in ``exercises/specs/exNN.py`` and stay with the instructor; this module holds their form.
The learner's code sees an item's inputs one case at a time and never its expected values, which the grader keeps.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

JSON = dict | list | str | int | float | bool | None
KEPT = "kept by the grader"  # the key of a case's part that the learner's function is not given


def asked(case: dict[str, JSON] | None) -> dict[str, JSON] | None:
    """What of a case goes to the learner's function."""
    return case and {name: value for name, value in case.items() if name != KEPT}


@dataclass(frozen=True)
class Item:
    """One thing that is marked.

    Attributes:
        name: the function, or the plain value, in the learner's notebook; also the `grade_id` of its stub cell.
        points: at most, shared equally by the cases.
        cases: the hidden keyword arguments for one learner, a dictionary a case, drawn from her own random numbers.
            JSON values; ``{"tensor": [...]}`` reaches the function as a float64 tensor, ``{"integers": [...]}`` as
            one of whole numbers, ``{"bigram": [[...]]}`` as the `lessons_lib.models.bigram.Bigram` of that table,
            ``{"facts": {...}}`` as `lessons_lib.advice.decide.Facts`. What stands under `KEPT` is for the judge and
            never reaches it. None: `name` is a value and not a function, and there is one case.
        expected: the right answer to a case, called with the case's arguments as the learner's function is; a tensor
            or a JSON value.
        tolerance: relative, of every number; an absolute 1e-9 is allowed beside it.
        gradient: arguments with respect to which the summed answer's gradient must be right too.
        judge: instead of a comparison with `expected`: (answer, case) -> share of the case's points in [0, 1].
        together: instead of the mean of the cases' shares: (answers, cases) -> (share of the item's points, what to
            say of it), for what shows over many cases only, as calibration does. An answer that never came is None.
        explain: what the feedback says about an answer that is not right, where the notebook has no check for it.
        own: the value is judged on the learner's own data: the case is ``{"ticket": …}``, which judge and explain
            get beside the answer, and the learner's code does not.
        prepare: of an own item, what judging needs for a ticket, such as the key of that sample; called beforehand, so
            that it does not count against the seconds that judging an answer may take.
        person: a person marks it, by the rubric of `by_hand`. Then `points` is 0, the judge gives nothing, and
            `explain` says what goes to her.
    """

    name: str
    points: float
    cases: Callable[[random.Random], list[dict[str, JSON]]] | None = None
    expected: Callable[..., object] | None = None
    tolerance: float = 1e-6
    gradient: tuple[str, ...] = ()
    judge: Callable[[JSON, dict[str, JSON]], float] | None = None
    together: Callable[[list[JSON], list[dict[str, JSON]]], tuple[float, str]] | None = None
    explain: Callable[..., str] | None = None
    own: bool = False
    prepare: Callable[[str], object] | None = None
    person: bool = False


@dataclass(frozen=True)
class Limits:
    """What a learner's code may use; seconds are of wall-clock time unless they say CPU.

    They are generous, because a slow machine must not cost anybody points; what runs into one is stopped and named.
    """

    start_seconds: float = 120  # until the sandbox stands and Python runs in it
    cell_seconds: float = 60  # one cell of the notebook, imports of torch included
    call_seconds: float = 20  # one case of one item
    total_seconds: float = 600  # everything of one submission, fresh starts after a stop included, no matter what
    cpu_seconds: int = 300  # CPU, of one process
    memory_mb: int = 3000  # address space of one process, and what all of them together keep in memory
    processes: int = 24  # processes and threads together
    answer_bytes: int = 2_000_000  # one answer
    file_mb: int = 64  # all of /tmp, and each file


@dataclass(frozen=True)
class Exercise:
    """A graded exercise: the notebook that learners get, and the items that are marked in it.

    Attributes:
        lesson: its number.
        notebook: file name in exercises/.
        items: in the order of the notebook's stub cells.
        files: names of files in exercises/ that the notebook reads; the release and the sandbox have them beside it.
        limits: what the learner's code may use.
        draw: by a learner's ticket, those of the items that are hers; None where all are everybody's.
    """

    lesson: int
    notebook: str
    items: tuple[Item, ...]
    files: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    draw: Callable[[str], tuple[Item, ...]] | None = None

    def items_for(self, ticket: str) -> tuple[Item, ...]:
        """What is marked for the learner with this ticket."""
        return self.draw(ticket) if self.draw else self.items

    @property
    def name(self) -> str:
        """The notebook's name without its ending: what `grade --exercise` and nbgrader call the exercise."""
        return self.notebook.removesuffix(".ipynb")
