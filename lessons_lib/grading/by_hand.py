"""Points that only a person can give: a form to fill in, read back at the next run.

The form is ``by_hand.csv`` in the folder of marks: a line for each text that waits, a column for each line of the
rubric, worth a point, and one for a note to the learner. What stands in it is never overwritten. A spreadsheet may
have saved it in its own encoding, with semicolons and decimal commas, or with the columns in another order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from lessons_lib.errors import UserError
from lessons_lib.grading import files, tables
from lessons_lib.grading.roster import plain

RUBRIC: Mapping[str, str] = MappingProxyType(  # a column of the form: what it asks for
    {
        "claim supported": "each step from a measured number or a stated constraint",
        "mechanism right": "what the loss does, and why that matters for this dataset",
        "alternative fairly treated": "the runner-up at its best, and what would bring it back",
        "clear": "one line of thought, no padding",
    }
)
_HEAD = ("id", "name", "item", *RUBRIC, "note")


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
    lines = enumerate(_lines(path)[0], 2)
    return {(line["id"], line["item"]): _given(line, f"{path}, line {number}") for number, line in lines}


def write(path: Path, waiting: Iterable[Key], names: Mapping[str, str]) -> None:
    """The form, with a new line for each text that has none; `names` by learner's id. Without one it stays as it is."""
    lines, delimiter = _lines(path) if path.exists() else ([], ",")
    there = {(line["id"], line["item"]) for line in lines}
    new = [{"id": key[0], "name": names.get(key[0], ""), "item": key[1]} for key in waiting if key not in there]
    if new:
        rows = [[line.get(column, "") for column in _HEAD] for line in lines + new]
        files.write(path, "\ufeff" + tables.text([_HEAD, *rows], delimiter))  # by this mark Excel knows UTF-8


def _lines(path: Path) -> tuple[list[dict[str, str]], str]:
    """The form's lines by column, and its delimiter."""
    table = tables.read(path, "the form for points by hand")
    head = [plain(name) for name in table.rows[0]]
    if {"name", *filter(None, head)} != set(_HEAD):
        raise UserError(
            f"{path}, line 1: expected the columns {', '.join(_HEAD)}, found {', '.join(table.rows[0])}; "
            "put them back, or move the file away and a fresh form is written"
        )
    rows = [[tables.unquoted(cell.strip()) for cell in row] for row in table.rows[1:]]
    return [dict.fromkeys(_HEAD, "") | dict(zip(head, row, strict=False)) for row in rows if any(row)], table.delimiter


def _given(line: Mapping[str, str], place: str) -> Given:
    points = [_point(line[name], f"{place}, column {name!r}") for name in RUBRIC]
    return Given(None if None in points else sum(points), line["note"])


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
