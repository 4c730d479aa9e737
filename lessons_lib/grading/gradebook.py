"""The grade book: SQLite in the folder of marks, one line a learner and exercise, written as each mark is made.

A batch that was stopped goes on where it was: a mark stands until the learner's file, the library, the spec with its
hidden data, or the salt changes.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lessons_lib.errors import UserError
from lessons_lib.grading import files, tables
from lessons_lib.grading.marking import CaseMark, ItemMark, Mark
from lessons_lib.grading.similarity import Shape

if TYPE_CHECKING:
    from lessons_lib.grading.pages import Batch

_TABLES = """
CREATE TABLE IF NOT EXISTS marks (
    exercise TEXT, learner TEXT, status TEXT, flags TEXT, points REAL, of REAL,
    fingerprint TEXT, made_with TEXT, made_at TEXT, items TEXT, errors TEXT, shape TEXT,
    PRIMARY KEY (exercise, learner)
) WITHOUT ROWID
"""


def refuse_another(folder: Path, exercise: str, salt: Path | None) -> None:
    """A `UserError` where a folder holds the marks of another exercise, with the options to give instead."""
    path = folder / "gradebook.sqlite"
    if not path.exists():
        return
    with _told(path), contextlib.closing(sqlite3.connect(path, timeout=30)) as database:
        database.execute(_TABLES)
        others = database.execute("SELECT DISTINCT exercise FROM marks WHERE exercise != ?", (exercise,)).fetchone()
    if others:
        places = (salt, folder / "salt.txt", folder.parent / "salt.txt")
        found = next((place for place in places if place and place.exists()), None)
        same = f" and, for the same course, --salt {found}" if found else ""
        raise UserError(
            f"{folder}: expected a folder of its own for each exercise, and it holds the marks of {others[0]}. "
            f"Give --out {folder.parent / exercise}{same}"
        )


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """What goes wrong with the grade book, as a `UserError`."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise UserError(
            f"{path}: the grade book could not be read or written: {error}. Marks written before are kept. "
            "Make room on the disk, or move a damaged file away, and start again."
        ) from None


class GradeBook:
    """Marks on disk. `made_with` names library, spec, hidden data and salt: marks made with others are made again."""

    def __init__(self, path: Path, exercise: str, made_with: str):
        self._path, self._exercise, self._made_with = path, exercise, made_with
        with _told(self._path):
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # readable for its owner alone from the start
            self._database = sqlite3.connect(path, timeout=30)
            self._database.execute(_TABLES)

    def __enter__(self) -> GradeBook:
        return self

    def __exit__(self, *error) -> None:
        self._database.close()

    def standing(self) -> dict[str, str]:
        """By learner, the fingerprint of the submission behind a mark that still holds."""
        query = "SELECT learner, fingerprint FROM marks WHERE exercise = ? AND made_with = ? AND status != 'not_marked'"
        with _told(self._path):
            return dict(self._database.execute(query, (self._exercise, self._made_with)))

    def write(self, marks: Iterable[Mark]) -> None:
        """All of them, or none where that fails."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        rows = [
            (
                *(self._exercise, mark.learner, mark.status, " ".join(mark.flags), mark.points, mark.of),
                *(mark.fingerprint, self._made_with, now, json.dumps([asdict(item) for item in mark.items])),
                *(json.dumps(mark.errors), json.dumps(asdict(mark.shape))),
            )
            for mark in marks
        ]
        with _told(self._path), self._database:
            self._database.executemany(f"INSERT OR REPLACE INTO marks VALUES ({', '.join('?' * 12)})", rows)

    def marks(self) -> dict[str, Mark]:
        """Every learner's mark of the exercise, by her id."""
        columns = "learner, status, flags, fingerprint, items, errors, shape"
        with _told(self._path):
            found = self._database.execute(f"SELECT {columns} FROM marks WHERE exercise = ?", (self._exercise,))
            return {row[0]: _mark(*row) for row in found}


def _mark(learner: str, status: str, flags: str, fingerprint: str, items: str, errors: str, shape: str) -> Mark:
    read = tuple(
        ItemMark(**{**item, "cases": tuple(CaseMark(**case) for case in item["cases"])}) for item in json.loads(items)
    )
    own = {name: tuple(value) if isinstance(value, list) else value for name, value in json.loads(shape).items()}
    return Mark(learner, status, tuple(flags.split()), fingerprint, read, tuple(json.loads(errors)), Shape(**own))


def write_csv(path: Path, batch: Batch) -> None:
    """A line a learner in the roster's order: points of each item, by hand and together, when, and what was odd.

    Where there is no mark yet the points are empty, which is not the same as 0.
    """
    items = [item.name for item in batch.assignment.exercise.items if item.points]
    head = ["id", "name", "points", "of", "by_hand", "total", "status", "flags", "handed_in", "late", *items]
    rows = [head]
    for learner in batch.roster:
        mark, by_hand = batch.marks[learner.id], batch.points_by_hand(learner.id)
        marked = {item.name: item.points for item in mark.items}
        points = "" if mark.is_open else mark.points
        total = points if points == "" else round(points + (by_hand or 0), 4)
        hand = "" if by_hand is None else by_hand
        row = [learner.id, learner.name, points, mark.of, hand, total, mark.status, " ".join(mark.flags)]
        when = batch.handed_in.get(learner.id)
        row += [when.isoformat(" ", "minutes") if when else "", batch.late(learner.id)]
        rows.append([*row, *("" if points == "" else marked.get(name, "") for name in items)])
    files.write(path, tables.text(rows))


def write_nbgrader_csv(path: Path, batch: Batch) -> None:
    """The same in the columns of `nbgrader export`."""
    columns = "assignment,duedate,timestamp,student_id,last_name,first_name,email"
    rows = [[*columns.split(","), "raw_score", "late_submission_penalty", "score", "max_score"]]
    due = batch.deadline.isoformat(" ", "minutes") if batch.deadline else ""
    for learner in batch.roster:
        mark = batch.marks[learner.id]
        when = batch.handed_in.get(learner.id)
        who = [learner.id, learner.last_name, learner.first_name, learner.email]
        points = "" if mark.is_open else round(mark.points + (batch.points_by_hand(learner.id) or 0), 4)
        stamp = when.isoformat(" ", "minutes") if when else ""
        rows.append([batch.assignment.exercise.name, due, stamp, *who, points, 0.0, points, mark.of + batch.of_by_hand])
    files.write(path, tables.text(rows))
