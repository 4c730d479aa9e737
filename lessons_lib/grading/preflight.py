"""Before a mark stands: does a child run what it should, and do a right and a wrong answer come out as they must?

A wall that holds is not enough. Where the child finds another copy of the library, or none, every right notebook is
wrong; so grading does not start, and a batch under way stops, unless this passes.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

import lessons_lib
from lessons_lib.errors import UserError
from lessons_lib.grading import assignments, handout, marking, sandbox, tickets
from lessons_lib.grading.assignments import Assignment
from lessons_lib.grading.spec import Exercise, Item
from lessons_lib.grading.submissions import Submission

_SALT = b"for the self-test alone, no learner's numbers"
_PROBE = Assignment(
    exercise=Exercise(
        lesson=0,
        notebook="self-test.ipynb",
        items=(
            Item("doubled", 1, lambda rng: [{"x": rng.randint(1, 99)}], lambda x: 2 * x),
            Item("words", 1, expected=lambda: ["right", 1.5, None]),
        ),
    ),
    stubs=(),
    checks={},
    notebook={"cells": []},
    files=(),
)
_RIGHT = "def doubled(x):\n    return x + x\nwords = ['right', 3 / 2, None]"
_WRONG = "def doubled(x):\n    return x + x + 1\nwords = ['right', 3 / 2, 0]"


def check(assignment: Assignment) -> None:
    """Refuse, with a `UserError` that says what to do, unless children can be trusted with this exercise's marks.

    The sandbox's own self-test comes first. Then: the library is the grader's, in place and version, and so is PyTorch
    where the notebook imports it; a known right answer gets all points and a known wrong one none; the exercise's
    solution gets all of them, and the notebook as handed out does not.
    """
    sandbox.self_test()
    recheck(assignment)
    known = _known_right(assignment)
    if known:
        _expect(assignment, known, right=True, what="the solution")
        _expect(assignment, tuple(assignment.cells), right=False, what="the notebook as handed out")


def recheck(assignment: Assignment) -> None:
    """The part that is quick enough to be repeated while a batch runs."""
    _same_code(assignment)
    _expect(_PROBE, (_RIGHT,), right=True, what="a known right answer")
    _expect(_PROBE, (_WRONG,), right=False, what="a known wrong answer")


def _same_code(assignment: Assignment) -> None:
    modules = ["lessons_lib", *(["torch"] if any("import torch" in source for source in assignment.cells) else [])]
    with sandbox.Child(assignment.exercise.limits, assignment.files) as child:
        try:
            child.start()
            told = child.ask(assignment.exercise.limits.cell_seconds, do="about", modules=modules)
        except (sandbox.SandboxBroke, sandbox.Stopped) as error:
            raise _refusal(f"a child did not get as far as finding {' and '.join(modules)}: {error}") from None
    if "error" in told:
        raise _refusal(f"looking for {' and '.join(modules)} in a child ended in {told['error']}")
    for name in modules:
        here, there = find_spec(name).origin, told["files"].get(name)
        if there != here:
            raise _refusal(f"a child has {name} from {there}, the grader from {here}")
    if told["version"] != lessons_lib.__version__:
        raise _refusal(f"a child has lessons_lib {told['version']}, the grader {lessons_lib.__version__}")
    if told["python"] != sys.version:
        raise _refusal(f"a child runs Python {told['python']}, the grader {sys.version}")


def _known_right(assignment: Assignment) -> tuple[str, ...]:
    """The cells of a notebook that deserves all points; none for a spec of the instructor's own."""
    name = assignment.exercise.name
    if assignment.exercise.draw is not None:
        from lessons_lib.grading import quizzes

        return quizzes.right_answers(assignment.exercise)
    if name not in assignments.names():
        return ()
    solved = handout.solve(assignment.notebook, handout.solution_of(name))
    return tuple("".join(cell["source"]) for cell in solved["cells"] if cell["cell_type"] == "code")


def _expect(assignment: Assignment, cells: tuple[str, ...], *, right: bool, what: str) -> None:
    submission = Submission("self-test", cells=cells)
    try:
        mark = marking.mark(assignment, submission, _SALT, drawn_from=tickets.PRACTICE)
    except sandbox.SandboxBroke as error:
        raise _refusal(f"{what} could not be marked: {error}") from None
    if right and mark.points != mark.of:
        lost = next(item for item in mark.items if item.points < item.of)
        why = next((case.why for case in lost.cases if case.share < 1), "")
        raise _refusal(
            f"{what} got {mark.points:g} of {mark.of:g} points: {lost.name}: {'; '.join([why, *mark.errors])}"
        )
    if not right and mark.points >= mark.of:
        raise _refusal(f"{what} got all {mark.of:g} points")


def _refusal(what: str) -> UserError:
    return UserError(
        f"Grading's self-test failed: {what}. Marks made so would be wrong, so none are made. Install again in this "
        "checkout (`make setup`, or `pip install -r requirements.txt`), and start again."
    )
