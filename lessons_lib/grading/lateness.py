"""When was it handed in, and how late is that? Times come from the platform, never from a file's date.

nbgrader keeps a ``timestamp.txt`` beside a submission; other platforms export a table. Being late is a column to read
and changes no point.
"""

from __future__ import annotations

import contextlib
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, time, timedelta
from pathlib import Path

from lessons_lib.errors import UserError
from lessons_lib.grading import tables
from lessons_lib.grading.collect import Collected
from lessons_lib.grading.roster import Learner, plain

_TIMES = ("time", "timestamp", "handed in", "submitted", "submitted at", "last modified submission", "date")
_TIMES += ("zeit", "zeitstempel", "abgegeben", "zuletzt geändert abgabe", "datum")
_DATES = ("%d.%m.%Y", "%d %B %Y", "%m/%d/%Y", "%d/%m/%Y")  # beside ISO 8601
_CLOCKS = (" %H:%M", " %H:%M:%S", " %I:%M %p", "")
_MONTHS = {"Januar": "January", "Februar": "February", "März": "March", "Mai": "May", "Juni": "June", "Juli": "July"}
_MONTHS |= {"Oktober": "October", "Dezember": "December"}  # the others are spelled as in English


def deadline(text: str, place: str) -> datetime:
    """A deadline; a date alone means the end of that day. A `UserError` names `place` where it cannot be read."""
    return parse(text, place, time.max)


def parse(text: str, place: str, clock: time = time.min) -> datetime:
    """A moment; without a time zone it is meant on this machine's clock, without a time of day at `clock`.

    A `UserError` names `place` where the text cannot be read, or can be read in two ways, such as 11/12/2026.
    """
    found = set()
    for moment, has_clock in _readings(text.strip()):
        with contextlib.suppress(ValueError, OverflowError):  # of a year that no time zone reaches
            found.add((moment if has_clock else datetime.combine(moment, clock)).astimezone())
    if len(found) > 1:
        readings = " or ".join(f"{moment:%Y-%m-%d}" for moment in sorted(found))
        raise UserError(f"{place}: {text.strip()[:60]!r} may be {readings}; write it as year-month-day")
    if not found:
        raise UserError(
            f"{place}: expected a time such as 2026-12-01 23:59 or 2026-12-01T23:59+01:00, got {text.strip()[:60]!r}"
        )
    return found.pop()


def _readings(text: str) -> Iterator[tuple[datetime, bool]]:
    """What a text may mean, and whether it names a time of day."""
    with contextlib.suppress(ValueError):
        moment = datetime.fromisoformat(text.removesuffix(" UTC") + ("+00:00" if text.endswith(" UTC") else ""))
        yield moment, ":" in text or len(text) > len("2026-12-01")
        return
    plainly = re.sub(r"^[^\W\d]+,\s*", "", text)  # the day of the week
    plainly = re.sub(r"^(\d{1,2})\. ", r"\1 ", " ".join(plainly.replace(",", " ").split())).removesuffix(" Uhr")
    plainly = re.sub("|".join(_MONTHS), lambda match: _MONTHS[match[0]], plainly)
    for date in _DATES:
        for clock in _CLOCKS:
            with contextlib.suppress(ValueError):
                yield datetime.strptime(plainly, date + clock), bool(clock)


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
    rows = tables.read(path, "a table of ids and times").rows
    head = [plain(name) for name in rows[0]]
    column = next((head.index(name) for name in _TIMES if name in head), None)
    if column is None:
        raise UserError(
            f"{path}, line 1: expected a column of times ({', '.join(_TIMES[:4])}) beside one of ids, "
            f"found {', '.join(map(repr, rows[0]))}"
        )
    known = _by_key(learners)
    times = {}
    for number, row in enumerate(rows[1:], 2):
        owner = next((known[cell.strip().casefold()] for cell in row if cell.strip().casefold() in known), None)
        if owner and column < len(row) and row[column].strip() not in ("", "-"):
            times[owner] = parse(row[column], f"{path}, line {number}, column {rows[0][column]!r}")
    return times


def _by_key(learners: Sequence[Learner]) -> dict[str, str]:
    """Ids by whatever a line may call a learner; what two share is left out."""
    found: dict[str, set[str]] = defaultdict(set)
    for one in learners:
        for key in (one.id, one.email, one.name, one.platform_id):
            found[key.casefold()].add(one.id)
    return {key: next(iter(ids)) for key, ids in found.items() if key and len(ids) == 1}


def told(late: timedelta) -> str:
    """How late, in days, hours and minutes; empty in time."""
    minutes = int(late.total_seconds() // 60)
    if late.total_seconds() <= 0:
        return ""
    days, hours = minutes // 1440, minutes // 60 % 24
    parts = [f"{days} d"] * (days > 0) + [f"{hours} h"] * (hours > 0) + [f"{minutes % 60} min"]
    return " ".join(parts)
