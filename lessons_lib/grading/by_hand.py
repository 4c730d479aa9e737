"""Points that only a person can give: a form to fill in, read back at the next run.

The form is ``by_hand.csv`` in the folder of marks: a line for each text that waits, a column for each line of the
rubric, worth a point, and one for a note to the learner. What stands in it is never overwritten.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lessons_lib.errors import UserError
from lessons_lib.grading import files

RUBRIC = ("claim supported", "mechanism right", "alternative fairly treated", "clear")
_HEAD = ("id", "item", *RUBRIC, "note")


@dataclass(frozen=True)
class Given:
    """What a person has given for one text; `points` is None while lines of the rubric are empty."""

    points: float | None
    note: str = ""


Key = tuple[str, str]  # learner's id, item


def read(path: Path) -> dict[Key, Given]:
    """By learner and item, what the form says; empty where there is no form yet."""
    if not path.exists():
        return {}
    return {(row[0], row[1]): _given(row, f"{path}, line {number}") for number, row in enumerate(_rows(path), 2)}


def write(path: Path, waiting: Iterable[Key]) -> None:
    """The form, with a new line for each text that has none."""
    rows = _rows(path) if path.exists() else []
    there = {tuple(row[:2]) for row in rows}
    rows += [[*key, *[""] * (len(_HEAD) - 2)] for key in waiting if key not in there]
    if not rows:
        return
    text = io.StringIO()
    csv.writer(text).writerows([_HEAD, *rows])
    files.write(path, text.getvalue())


def _rows(path: Path) -> list[list[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: expected the form for points by hand in UTF-8, could not read it: {error}") from None
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    if not rows or tuple(rows[0]) != _HEAD:
        found = ", ".join(rows[0]) if rows else "nothing"
        raise UserError(
            f"{path}, line 1: expected the columns {', '.join(_HEAD)}, found {found}; "
            "put them back, or move the file away and a fresh form is written"
        )
    return [row + [""] * (len(_HEAD) - len(row)) for row in rows[1:] if any(row)]


def _given(row: list[str], place: str) -> Given:
    points = [_point(cell, f"{place}, column {name!r}") for cell, name in zip(row[2:], RUBRIC, strict=False)]
    return Given(None if None in points else sum(points), row[-1].strip())


def _point(cell: str, place: str) -> float | None:
    if not cell.strip():
        return None
    try:
        point = float(cell.strip().replace(",", "."))
    except ValueError:
        point = -1.0
    if not 0 <= point <= 1:
        raise UserError(f"{place}: expected a number from 0 to 1, or nothing while it waits, got {cell[:40]!r}")
    return point
