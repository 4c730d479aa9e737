"""The class list, as the learning platform exports it: delimiter, encoding and columns are guessed, and said."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lessons_lib.errors import UserError

LARGEST = 20_000_000  # bytes
_ENCODINGS = ("utf-8-sig", "cp1252")
# Spellings of a column's name, case and punctuation aside; for the id the first that is there is taken.
_COLUMNS = {
    "id": (
        *("id", "student id", "learner", "learner id", "sis login id", "login id", "login", "username", "user name"),
        *("user id", "userid", "student", "sis user id", "id number", "identifier", "matriculation number"),
        *("matrikelnummer", "matricule", "kennung", "email", "email address", "e mail address", "e mail"),
    ),
    "name": ("name", "full name", "display name", "student name", "student", "vollständiger name"),
    "first_name": ("first name", "firstname", "given name", "vorname", "prénom", "nombre"),
    "last_name": ("last name", "lastname", "surname", "family name", "nachname", "nom", "apellidos"),
    "email": ("email", "email address", "e mail", "e mail address", "e mail adresse", "mail"),
    "platform_id": ("identifier", "id", "canvas id", "canvas user id", "participant", "teilnehmer in"),
}


@dataclass(frozen=True)
class Learner:
    """A line of the roster. `platform_id` is the platform's own number for her, which may stand in file names."""

    id: str
    name: str = ""
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    platform_id: str = ""


def plain(text: str) -> str:
    """A name for comparing: one form of accents, one case, spaces for whatever separates words."""
    return re.sub(r"[\W_]+", " ", unicodedata.normalize("NFC", text).casefold()).strip()


def read(path: Path) -> tuple[list[Learner], str]:
    """The class, and in one line how the file was read.

    A CSV with a column that names learners, and names and e-mails where wanted. Canvas's second line ("Points
    Possible") and lines without anything are left out.
    """
    text, encoding = _text_of(path)
    rows, delimiter = _rows_of(text, path)
    head, body = rows[0], rows[1:]
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
    spelled = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "bars"}[delimiter]
    return learners, f"{path}: {len(learners)} learners; {encoding}, columns split at {spelled}; {used}"


def _text_of(path: Path) -> tuple[str, str]:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise UserError(f"{path}: expected a roster as CSV, could not read it: {error.strerror}") from None
    if len(content) > LARGEST:
        raise UserError(f"{path}: expected a roster of at most {LARGEST // 10**6} MB")
    encodings = ("utf-16",) if content[:2] in (b"\xff\xfe", b"\xfe\xff") else _ENCODINGS
    for encoding in encodings:
        try:
            text = content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise UserError(f"{path}: expected a roster as CSV in UTF-8, could not read it: save it as CSV UTF-8")
    if "\0" in text or content[:4] == b"PK\x03\x04":
        raise UserError(f"{path}: expected a CSV, found a file of another kind; save the table as CSV UTF-8")
    return text, encoding.removesuffix("-sig").upper()


def _rows_of(text: str, path: Path) -> tuple[list[list[str]], str]:
    heading = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t|", key=heading.count)
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    except csv.Error as error:
        raise UserError(f"{path}: expected a CSV, could not read it: {error}") from None
    rows = [row for row in rows if row]
    if not rows:
        raise UserError(f"{path}: expected a CSV with a column id and a line a learner, found an empty file")
    return rows, delimiter


def _columns_of(head: Sequence[str], path: Path) -> dict[str, int]:
    found = {plain(name): number for number, name in reversed(list(enumerate(head)))}
    columns = {
        field: next(found[name] for name in names if name in found)
        for field, names in _COLUMNS.items()
        if set(names) & set(found)
    }
    if {"sis login id", "id"} <= set(found):  # Canvas, whose own number is in a column called ID
        columns["id"] = found["sis login id"]
    if "id" not in columns:
        raise UserError(
            f"{path}, line 1: expected a column id (or student_id, username, SIS Login ID, Identifier, Email address), "
            f"found the columns {', '.join(map(repr, head[:20]))}; rename the one that names learners to id"
        )
    return columns


def _learner(cells: dict[str, str], place: str) -> Learner:
    learner = unicodedata.normalize("NFC", cells["id"])
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
