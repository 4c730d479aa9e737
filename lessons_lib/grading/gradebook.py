"""The grade book: SQLite in the folder of marks, one line a learner and exercise, written as each mark is made.

A batch that was stopped goes on where it was: a mark stands until the learner's file, the spec or the salt changes.
"""

from __future__ import annotations

import csv
import json
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from lessons_lib.grading.marking import CaseMark, ItemMark, Mark
from lessons_lib.grading.submissions import Learner

_TABLES = """
CREATE TABLE IF NOT EXISTS marks (
    exercise TEXT, learner TEXT, status TEXT, flags TEXT, points REAL, of REAL,
    fingerprint TEXT, made_with TEXT, made_at TEXT, items TEXT, errors TEXT,
    PRIMARY KEY (exercise, learner)
) WITHOUT ROWID
"""


class GradeBook:
    """Marks on disk. `made_with` names spec and salt: marks made with others are made again."""

    def __init__(self, path: Path, exercise: str, made_with: str):
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # readable for its owner alone from the start
        self._exercise, self._made_with = exercise, made_with
        self._database = sqlite3.connect(path)
        self._database.execute(_TABLES)

    def __enter__(self) -> GradeBook:
        return self

    def __exit__(self, *error) -> None:
        self._database.close()

    def standing(self) -> dict[str, str]:
        """By learner, the fingerprint of the submission behind a mark that still holds."""
        query = "SELECT learner, fingerprint FROM marks WHERE exercise = ? AND made_with = ?"
        return dict(self._database.execute(query, (self._exercise, self._made_with)))

    def write(self, mark: Mark) -> None:
        values = (
            *(self._exercise, mark.learner, mark.status, " ".join(mark.flags), mark.points, mark.of),
            *(mark.fingerprint, self._made_with, datetime.now(UTC).isoformat(timespec="seconds")),
            *(json.dumps([asdict(item) for item in mark.items]), json.dumps(mark.errors)),
        )
        with self._database:
            self._database.execute(f"INSERT OR REPLACE INTO marks VALUES ({', '.join('?' * len(values))})", values)

    def marks(self) -> dict[str, Mark]:
        """Every learner's mark of the exercise, by her id."""
        columns = "learner, status, flags, fingerprint, items, errors"
        found = self._database.execute(f"SELECT {columns} FROM marks WHERE exercise = ?", (self._exercise,))
        return {row[0]: _mark(*row) for row in found}


def _mark(learner: str, status: str, flags: str, fingerprint: str, items: str, errors: str) -> Mark:
    read = tuple(
        ItemMark(**{**item, "cases": tuple(CaseMark(**case) for case in item["cases"])}) for item in json.loads(items)
    )
    return Mark(learner, status, tuple(flags.split()), fingerprint, read, tuple(json.loads(errors)))


def write_csv(path: Path, roster: Sequence[Learner], marks: dict[str, Mark]) -> None:
    """A line a learner in the roster's order: points of each item, the sum, and what was odd."""
    items = [item.name for item in next(iter(marks.values())).items] if marks else []
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["id", "name", "points", "of", "status", "flags", *items])
        for learner in roster:
            mark = marks[learner.id]
            row = [learner.id, learner.name, mark.points, mark.of, mark.status, " ".join(mark.flags)]
            table.writerow(map(_cell, [*row, *(item.points for item in mark.items)]))


def write_nbgrader_csv(path: Path, exercise: str, roster: Sequence[Learner], marks: dict[str, Mark]) -> None:
    """The same in the columns of `nbgrader export`."""
    columns = "assignment,duedate,timestamp,student_id,last_name,first_name,email"
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([*columns.split(","), "raw_score", "late_submission_penalty", "score", "max_score"])
        for learner in roster:
            mark = marks[learner.id]
            who = [learner.id, learner.last_name, learner.first_name, learner.email]
            table.writerow(map(_cell, [exercise, "", "", *who, mark.points, 0.0, mark.points, mark.of]))


def _cell(value: object) -> object:
    """A text that a spreadsheet would take for a formula gets a quote in front."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
