"""An exercise as the instructor has it: the notebook that was handed out, and the hidden spec beside it."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import runpy
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from lessons_lib._installed import CHECKOUT, of_checkout
from lessons_lib.errors import UserError
from lessons_lib.grading.spec import Exercise

PACKAGE = Path(__file__).resolve().parents[1]
EXERCISES = CHECKOUT / "exercises"


@dataclass(frozen=True)
class Assignment:
    """What grading needs to know of an exercise.

    Attributes:
        exercise: its items and limits.
        stubs: the `grade_id` of each cell to be filled in, in order.
        checks: by an item's name, the source of the cell that checks it on the spot.
        notebook: as handed out.
        files: what the notebook reads, in the folder of exercises.
    """

    exercise: Exercise
    stubs: tuple[str, ...]
    checks: dict[str, str]
    notebook: dict
    files: tuple[Path, ...]

    @property
    def cells(self) -> list[str]:
        """The sources of the code cells that were handed out."""
        return ["".join(cell["source"]) for cell in self.notebook["cells"] if cell["cell_type"] == "code"]


@functools.cache
def load(name: str) -> Assignment:
    """The assignment called by its notebook's name, its lesson's number, `quiz_phase_N`, or the path of a spec."""
    if re.fullmatch(r"quiz_phase_\d", name):
        from lessons_lib.grading import quizzes

        return _assignment(*quizzes.assignment(int(name[-1])), EXERCISES)
    path = spec_path(name)
    exercise = runpy.run_path(str(path))["EXERCISE"]
    folder = path.resolve().parents[1]
    try:
        notebook = json.loads((folder / exercise.notebook).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / exercise.notebook}: expected the notebook that {path} marks: {error}") from None
    return _assignment(exercise, notebook, folder)


def digest(name: str) -> str:
    """Of everything that a mark depends on but the submission and the salt: marks with another one are made again.

    The library, the spec with the hidden data beside it, the notebook, its files, the versions underneath.
    """
    parts = [sys.version, *(f"{package} {_version(package)}" for package in ("torch", "numpy"))]
    read = [path for path in PACKAGE.rglob("*") if "__pycache__" not in path.parts]
    if re.fullmatch(r"quiz_phase_\d", name):
        read += (EXERCISES / "questions").iterdir()
    else:
        path = spec_path(name).resolve()
        notebook = path.parents[1] / load(name).exercise.notebook
        read += [notebook, *load(name).files, *_beside(path)]
    return hashlib.sha256("\n".join([*parts, *_digests(read)]).encode()).hexdigest()


def _beside(spec: Path) -> list[Path]:
    """A spec and what lies beside it, less what carries another exercise's number."""

    def is_anothers(path: Path) -> bool:
        number = re.match(r"(?:runs_)?ex(\d\d)", path.name)
        return number is not None and f"ex{number[1]}" != spec.stem

    return [path for path in spec.parent.iterdir() if path.is_file() and not is_anothers(path)]


def _digests(paths: Iterable[Path]) -> list[str]:
    return [f"{path} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in sorted(paths) if path.is_file()]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


def names() -> list[str]:
    """The exercises that have a spec, by their notebooks' names."""
    notebooks = {path.name[:2]: path.stem for path in sorted(EXERCISES.glob("[0-9][0-9]_*.ipynb"))}
    return [notebooks[n] for path in sorted(EXERCISES.glob("specs/ex*.py")) if (n := path.stem[2:]) in notebooks]


def notebooks() -> list[str]:
    """The file names of everything that can be handed in, quizzes included."""
    from lessons_lib.grading import quizzes

    return [f"{name}.ipynb" for name in (*names(), *(f"quiz_phase_{phase}" for phase in quizzes.phases()))]


def spec_path(name: str) -> Path:
    """Where the hidden spec of an exercise lies."""
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


def _assignment(exercise: Exercise, notebook: dict, folder: Path) -> Assignment:
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    sources = ["".join(cell["source"]) for cell in code]
    marks = [cell["metadata"].get("nbgrader", {}) for cell in code]
    items = [item.name for item in exercise.items]
    checks = {}
    for source in sources:
        if source.startswith("check_"):
            checks |= {name: source for name in re.findall(r"\w+", source.partition("(")[2]) if name in items}
    return Assignment(
        exercise=exercise,
        stubs=tuple(mark["grade_id"] for mark in marks if mark.get("solution")),
        checks=checks,
        notebook=notebook,
        files=tuple(folder / name for name in exercise.files),
    )
