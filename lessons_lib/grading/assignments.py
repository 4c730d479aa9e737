"""An exercise as the instructor has it: the notebook that was handed out, and the hidden spec beside it."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import runpy
from dataclasses import dataclass
from pathlib import Path

from lessons_lib._installed import CHECKOUT, of_checkout
from lessons_lib.errors import UserError
from lessons_lib.grading.spec import Exercise

EXERCISES = CHECKOUT / "exercises"


@dataclass(frozen=True)
class Assignment:
    """What grading needs to know of an exercise.

    Attributes:
        exercise: its items and limits.
        stubs: the `grade_id` of each cell to be filled in, in order.
        checks: by an item's name, the source of the cell that checks it on the spot.
        given: sources of the cells that a learner fills in, as handed out.
        files: what the notebook reads, in the folder of exercises.
        digest: of the spec; marks made with another one are made again.
    """

    exercise: Exercise
    stubs: tuple[str, ...]
    checks: dict[str, str]
    given: tuple[str, ...]
    files: tuple[Path, ...]
    digest: str


@functools.cache
def load(name: str) -> Assignment:
    """The assignment called by its notebook's name, its lesson's number, `quiz_phase_N`, or the path of a spec."""
    if re.fullmatch(r"quiz_phase_\d", name):
        from lessons_lib.grading import quizzes

        exercise, notebook, digest = quizzes.assignment(int(name[-1]))
        return _assignment(exercise, notebook, EXERCISES, digest)
    path = _spec_path(name)
    exercise = runpy.run_path(str(path))["EXERCISE"]
    folder = path.resolve().parents[1]
    notebook = json.loads((folder / exercise.notebook).read_text(encoding="utf-8"))
    return _assignment(exercise, notebook, folder, hashlib.sha256(path.read_bytes()).hexdigest())


def names() -> list[str]:
    """The exercises that have a spec, by their notebooks' names."""
    notebooks = {path.name[:2]: path.stem for path in sorted(EXERCISES.glob("[0-9][0-9]_*.ipynb"))}
    return [notebooks[n] for path in sorted(EXERCISES.glob("specs/ex*.py")) if (n := path.stem[2:]) in notebooks]


def _spec_path(name: str) -> Path:
    if name.endswith(".py") and Path(name).is_file():
        return Path(name)
    of_checkout("exercises")
    if not (EXERCISES / "specs").is_dir():
        raise UserError(f"{EXERCISES / 'specs'}: no hidden specs here; grade from the instructor's checkout")
    number = re.match(r"\d{1,2}", name)
    path = EXERCISES / "specs" / f"ex{int(number[0]):02d}.py" if number else None
    known = [n for n in names() if name in (n, n[:2], n[:2].lstrip("0"))]
    if path is None or not path.exists() or not known:
        raise UserError(f"no exercise called {name!r}; there are: {', '.join(names())}, and quiz_phase_1 to 4")
    return path


def _assignment(exercise: Exercise, notebook: dict, folder: Path, digest: str) -> Assignment:
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    sources = ["".join(cell["source"]) for cell in code]
    marks = [cell["metadata"].get("nbgrader", {}) for cell in code]
    stubs = tuple(mark["grade_id"] for mark in marks if mark.get("solution"))
    items = [item.name for item in exercise.items]
    checks = {}
    for source in sources:
        if source.startswith("check_"):
            checks |= {name: source for name in re.findall(r"\w+", source.partition("(")[2]) if name in items}
    return Assignment(
        exercise=exercise,
        stubs=stubs,
        checks=checks,
        given=tuple(s for s, mark in zip(sources, marks, strict=True) if mark.get("solution")),
        files=tuple(folder / name for name in exercise.files),
        digest=digest,
    )
