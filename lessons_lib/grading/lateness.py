"""When was it handed in, and how late is that? Times come from the platform, never from a file's date.

nbgrader keeps a ``timestamp.txt`` beside a submission; other platforms export a table. Being late is a column to read
and changes no point.
"""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from lessons_lib.errors import UserError
from lessons_lib.grading.collect import Collected
from lessons_lib.grading.roster import Learner, plain

_TIMES = ("time", "timestamp", "handed in", "submitted", "submitted at", "last modified submission", "date")
_FORMATS = ("%d.%m.%Y %H:%M", "%m/%d/%Y %H:%M", "%A, %d %B %Y, %I:%M %p", "%d %B %Y, %I:%M %p")


def parse(text: str, place: str) -> datetime:
    """A moment; without a time zone it is meant on this machine's clock."""
    text = text.strip()
    found = None
    with contextlib.suppress(ValueError):
        found = datetime.fromisoformat(text.removesuffix(" UTC") + ("+00:00" if text.endswith(" UTC") else ""))
    for form in _FORMATS:
        with contextlib.suppress(ValueError):
            found = found or datetime.strptime(text, form)
    if found is None:
        raise UserError(
            f"{place}: expected a time such as 2026-12-01 23:59 or 2026-12-01T23:59+01:00, got {text[:60]!r}"
        )
    return found.astimezone()


def times_of(learners: Sequence[Learner], collected: Collected, table: Path | None) -> dict[str, datetime]:
    """By id, when a learner handed in, where somebody wrote it down; the table is asked first."""
    found = {}
    for learner, own in collected.found.items():
        for path in own.paths[:1]:
            with contextlib.suppress(OSError, UserError, UnicodeDecodeError):
                stamp = path.parent / "timestamp.txt"
                if stamp.is_file() and not stamp.is_symlink() and stamp.stat().st_size < 1000:
                    found[learner] = parse(stamp.read_text(encoding="utf-8"), str(stamp))
    return found | (_from_table(learners, table) if table else {})


def _from_table(learners: Sequence[Learner], path: Path) -> dict[str, datetime]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: expected a CSV of times in UTF-8, could not read it: {error}") from None
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    rows = list(csv.reader(io.StringIO(text), delimiter=delimiter)) or [[]]
    head = [plain(name) for name in rows[0]]
    column = next((head.index(name) for name in _TIMES if name in head), None)
    if column is None:
        raise UserError(
            f"{path}, line 1: expected a column of times ({', '.join(_TIMES[:4])}) beside one of ids, "
            f"found {', '.join(map(repr, rows[0]))}"
        )
    known = {
        key.casefold(): one.id for one in learners for key in (one.id, one.email, one.name, one.platform_id) if key
    }
    times = {}
    for number, row in enumerate(rows[1:], 2):
        owner = next((known[cell.strip().casefold()] for cell in row if cell.strip().casefold() in known), None)
        if owner and column < len(row) and row[column].strip() not in ("", "-"):
            times[owner] = parse(row[column], f"{path}, line {number}, column {rows[0][column]!r}")
    return times


def told(late: timedelta) -> str:
    """How late, in days, hours and minutes; empty in time."""
    minutes = int(late.total_seconds() // 60)
    if late.total_seconds() <= 0:
        return ""
    days, hours = minutes // 1440, minutes // 60 % 24
    parts = [f"{days} d"] * (days > 0) + [f"{hours} h"] * (hours > 0) + [f"{minutes % 60} min"]
    return " ".join(parts)
