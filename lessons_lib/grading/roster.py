"""The class list, as the learning platform exports it: delimiter, encoding and columns are guessed, and said."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lessons_lib.errors import UserError
from lessons_lib.grading import tables

# Spellings of a column's name, case and punctuation aside; for the id the first that is there is taken.
_COLUMNS = {
    "id": (
        *("id", "student id", "learner", "learner id", "sis login id", "login id", "login", "username", "user name"),
        *("user id", "userid", "student", "sis user id", "id number", "id nummer", "identifier"),
        *("matriculation number", "matrikelnummer", "matricule", "kennung"),
        *("email", "email address", "e mail address", "e mail adresse", "e mail"),
    ),
    "name": ("name", "full name", "display name", "student name", "student", "vollständiger name"),
    "first_name": ("first name", "firstname", "given name", "vorname", "prénom", "nombre"),
    "last_name": ("last name", "lastname", "surname", "family name", "nachname", "nom", "apellidos"),
    "email": ("email", "email address", "e mail", "e mail address", "e mail adresse", "mail"),
    "platform_id": ("identifier", "id", "canvas id", "canvas user id", "participant", "teilnehmer in"),
}

_MOODLES_WORD = re.compile(r"^(?:Participant|Teilnehmer/in)\s*(?=\d+$)")  # in front of the number in its Identifier


@dataclass(frozen=True)
class Learner:
    """A line of the roster. `platform_id` is the platform's own number for her, which may stand in file names.

    A roster has names whole or in two parts; either is made from the other. Of a whole name without a comma the first
    word is taken for the first name.
    """

    id: str
    name: str = ""
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    platform_id: str = ""

    def __post_init__(self) -> None:
        first, last = (
            _parts(self.name) if not (self.first_name or self.last_name) else (self.first_name, self.last_name)
        )
        whole = self.name or f"{first} {last}".strip()
        for field, value in {"name": whole, "first_name": first, "last_name": last}.items():
            object.__setattr__(self, field, value)


def _parts(name: str) -> tuple[str, str]:
    """First and last name of "Ada Lovelace" or "Lovelace, Ada"."""
    last, comma, first = map(str.strip, name.partition(","))
    if not comma:
        first, _, last = map(str.strip, name.strip().partition(" "))
    return first, last


def plain(text: str) -> str:
    """A name for comparing: one form of accents, one case, spaces for whatever separates words."""
    return re.sub(r"[\W_]+", " ", unicodedata.normalize("NFC", text).casefold()).strip()


def read(path: Path) -> tuple[list[Learner], str]:
    """The class, and in one line how the file was read.

    A CSV with a column that names learners, and names and e-mails where wanted. Canvas's second line ("Points
    Possible") and lines without anything are left out.
    """
    table = tables.read(path, "a roster with a column id and a line a learner")
    head, body = table.rows[0], table.rows[1:]
    columns = _columns_of(head, path)
    learners = []
    for number, row in enumerate(body, 2):
        cells = {field: row[column].strip() if column < len(row) else "" for field, column in columns.items()}
        if not any(map(str.strip, row)) or plain(row[0]) in ("points possible", "student test"):
            continue
        learners.append(_learner(cells, f"{path}, line {number}, column {head[columns['id']]!r}"))
    _no_id_twice(learners, path)
    if not learners:
        raise UserError(f"{path}: expected a line a learner below the heading {', '.join(head)}, found none")
    told = {field: column for field, column in columns.items() if field == "id" or column != columns["id"]}
    used = ", ".join(f"{field.replace('_', ' ')} from {head[column]!r}" for field, column in told.items())
    spelled = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "bars"}[table.delimiter]
    return learners, f"{path}: {len(learners)} learners; {table.encoding}, columns split at {spelled}; {used}"


def _columns_of(head: Sequence[str], path: Path) -> dict[str, int]:
    found = {plain(name): number for number, name in reversed(list(enumerate(head)))}
    columns = {
        field: next(found[name] for name in names if name in found)
        for field, names in _COLUMNS.items()
        if set(names) & set(found)
    }
    if {"sis login id", "id"} <= set(found):  # Canvas, whose own number is in a column called ID
        columns["id"] = found["sis login id"]
    if {"id nummer", "id"} <= set(found):  # German Moodle, whose Identifier is in a column called ID
        columns["id"] = found["id nummer"]
    if "id" not in columns:
        raise UserError(
            f"{path}, line 1: expected a column id (or student_id, username, SIS Login ID, Identifier, Email address), "
            f"found the columns {', '.join(map(repr, head[:20]))}; rename the one that names learners to id"
        )
    return columns


def _learner(cells: dict[str, str], place: str) -> Learner:
    learner = unicodedata.normalize("NFC", _MOODLES_WORD.sub("", cells["id"]))
    odd = any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for c in learner)
    if not 0 < len(learner.encode()) <= 120 or odd or learner[0] in ".-" or set(learner) & set('/\\<>:"|?*'):
        raise UserError(
            f"{place}: expected letters, digits, spaces and marks that may stand in a file's name, and no . or - in "
            f"front (it names files), got {learner[:100]!r}"
        )
    return Learner(**{**cells, "id": learner})


def _no_id_twice(learners: Sequence[Learner], path: Path) -> None:
    counts = Counter(learner.id.casefold() for learner in learners)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise UserError(
            f"{path}: expected each id once, upper or lower case alike, got {', '.join(twice[:5])} again; "
            "is the column that names learners another one?"
        )
