"""Whose file is it? Names in a folder of submissions, as platforms and people write them, matched to the roster.

nbgrader writes ``ID/EXERCISE/EXERCISE.ipynb``; Moodle ``Ada Lovelace_12345_assignsubmission_file_``, as a folder or
in front of the file's name; Canvas ``lovelaceada_LATE_123_456_EXERCISE.ipynb``; people write ``ID/…``, ``ID.ipynb``,
``EXERCISE_ID.ipynb``. A name that fits nobody, or two, is given to nobody: it is listed and not opened.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lessons_lib.errors import UserError
from lessons_lib.grading.roster import Learner, plain

_MOST_FILES = 50  # of one learner
_MOODLE = re.compile(r"^(?P<name>.+?)_(?P<number>\d+)_assignsubmission_(?:file|onlinetext)(?:_|$)", re.IGNORECASE)
_CANVAS = re.compile(
    r"^(?P<name>[^_]+)_(?P<late>late_)?(?P<number>\d+)_(?P<submission>\d+)_(?P<file>.+)$", re.IGNORECASE
)


@dataclass
class Found:
    """A learner's notebooks, that with the exercise's name first."""

    paths: list[Path] = field(default_factory=list)
    late: bool = False  # so says the platform, in the file's name
    shared: bool = False  # something in the folder bears her name, which is a classmate's, too


@dataclass(frozen=True)
class Collected:
    """By learner what is hers; names that are nobody's; the layouts that were met; names that fit several, and whom."""

    found: dict[str, Found]
    strangers: list[str]
    layouts: list[str]
    shared: dict[str, list[str]] = field(default_factory=dict)


def collect(folder: Path, learners: Sequence[Learner], notebook: str, others: Sequence[str] = ()) -> Collected:
    """Match everything in the folder to the roster.

    Args:
        folder: of submissions.
        learners: the roster.
        notebook: the file name that was handed out.
        others: file names of the other exercises, whose notebooks are not this one's.
    """
    keys, layouts, strangers, shared = _Keys(learners, notebook), set(), [], {}
    found = {learner.id: Found() for learner in learners}
    for entry in sorted(folder.iterdir(), key=lambda path: path.name):
        if entry.name[0] == "." or entry.name == "__MACOSX":
            continue
        owners, layout, late = keys.owners_of(entry)
        if len(owners) != 1:
            if owners:
                shared[entry.name] = sorted(owners)
            else:
                strangers.append(entry.name)
            continue
        (owner,) = owners
        layouts.add(layout)
        found[owner].late |= late
        found[owner].paths += _notebooks_of(entry, notebook, set(others) - {notebook})
    for owner in (owner for owners in shared.values() for owner in owners):
        found[owner].shared = True
    _refuse_a_strange_class(folder, learners, strangers, found)
    return Collected(found, strangers, sorted(layouts), shared)


def _refuse_a_strange_class(folder, learners, strangers, found) -> None:
    if any(own.paths or own.shared for own in found.values()):
        return
    there = ", ".join(strangers[:3]) or ", ".join(sorted(path.name for path in folder.iterdir())[:3]) or "nothing"
    ids = ", ".join(learner.id for learner in learners[:3])
    raise UserError(
        f"{folder}: expected submissions of learners on the roster, such as {ids}, found none with a notebook of this "
        f"exercise; the folder holds {there}. Name folders or files by id, or export the roster with the names that "
        "stand in them. Nothing was graded."
    )


class _Keys:
    """What a learner may be called in a file's name; a key that two share is neither's."""

    def __init__(self, learners: Sequence[Learner], notebook: str):
        self._stem = plain(notebook.removesuffix(".ipynb"))
        self._ids = {_exact(learner.id): learner.id for learner in learners}
        named: dict[str, set[str]] = defaultdict(set)
        self._numbers: dict[str, set[str]] = defaultdict(set)
        for learner in learners:
            for key in _names_of(learner):
                named[key].add(learner.id)
            if number := re.search(r"\d+", learner.platform_id):
                self._numbers[number[0]].add(learner.id)
        self._named = named

    def owners_of(self, entry: Path) -> tuple[set[str], str, bool]:
        """Whose it may be, by id; the layout by which that was recognised; and whether the name says late."""
        stem = entry.name.removesuffix(".ipynb")
        for key in (entry.name, stem):
            if _exact(key) in self._ids:
                return {self._ids[_exact(key)]}, "named by id", False
        if match := _MOODLE.match(stem):
            return self._fitting(match["name"], match["number"]), "Moodle", False
        if (match := _CANVAS.match(stem)) and (owners := self._fitting(match["name"], match["number"])):
            return owners, "Canvas", bool(match["late"])
        words = plain(stem)
        without = words.removeprefix(self._stem).removesuffix(self._stem).strip()
        return self._fitting(without if without != words or entry.suffix != ".ipynb" else words), "named by name", False

    def _fitting(self, name: str, number: str = "") -> set[str]:
        by_number = self._numbers.get(number, set())
        by_name = self._named.get(plain(name), set()) | self._named.get(plain(name).replace(" ", ""), set())
        return by_number & by_name or by_name or by_number


def _exact(text: str) -> str:
    """macOS writes accents apart, Windows and macOS do not tell upper case from lower."""
    return unicodedata.normalize("NFC", text).casefold()


def _names_of(learner: Learner) -> Iterator[str]:
    first, last, whole = plain(learner.first_name), plain(learner.last_name), plain(learner.name)
    names = {plain(learner.id), whole, f"{first} {last}".strip(), f"{last} {first}".strip()}
    yield from filter(None, names | {name.replace(" ", "") for name in names})  # Canvas: lovelaceada


def _notebooks_of(entry: Path, notebook: str, others: set[str]) -> list[Path]:
    """Every notebook in what is a learner's, the exercise's own first; no link to a folder is followed.

    Where there is a folder of the exercise's name, as nbgrader makes, only what lies in it counts.
    """
    if not entry.is_dir() or entry.is_symlink():
        return [entry]
    own = entry / notebook.removesuffix(".ipynb")
    top = own if own.is_dir() and not own.is_symlink() else entry
    found = [path for path in _walk(top, {name.removesuffix(".ipynb") for name in others}) if path.name not in others]
    return sorted(found, key=lambda path: path.name != notebook)  # a stable sort


def _walk(top: Path, left_out: set[str]) -> list[Path]:
    found: list[Path] = []
    for parent, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if name[0] != "." and name not in {"__MACOSX", *left_out})
        if len(Path(parent).relative_to(top).parts) >= 4:
            folders.clear()
        notebooks = [name for name in sorted(names) if name.lower().endswith(".ipynb") and name[0] != "."]
        linked = [name for name in folders if name.endswith(".ipynb") or (Path(parent) / name).is_symlink()]
        found += [Path(parent) / name for name in [*notebooks, *linked]]
        if len(found) >= _MOST_FILES:
            break
    return found[:_MOST_FILES]


def is_as_handed_out(path: Path, notebook: str, learner: str) -> bool:
    """Whether a file carries the exercise's name, as it is or within what a platform makes of it."""
    name = re.sub(r"(-\d+| \(\d+\))?\.ipynb$", ".ipynb", path.name)  # a second upload: NAME-1.ipynb, NAME (1).ipynb
    return name == notebook or name.endswith(f"_{notebook}") or _exact(path.name) == _exact(f"{learner}.ipynb")
