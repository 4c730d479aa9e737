"""Tables as people, spreadsheets and platforms write them: a CSV's encoding and delimiter are guessed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lessons_lib.errors import UserError

LARGEST = 20_000_000  # bytes
_ENCODINGS = ("utf-8-sig", "cp1252")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the start of one


@dataclass(frozen=True)
class Table:
    """The lines of a CSV that hold anything, its heading first, and how it was written."""

    rows: list[list[str]]
    encoding: str
    delimiter: str


def read(path: Path, what: str) -> Table:
    """A CSV, whatever its encoding and delimiter; `what` says in a `UserError` which table was expected."""
    text, encoding = _text_of(path, what)
    heading = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t|", key=heading.count)
    try:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row]
    except csv.Error as error:
        raise UserError(f"{path}: expected a CSV, could not read it: {error}") from None
    if not rows:
        raise UserError(f"{path}: expected {what} as CSV, found an empty file")
    return Table(rows, encoding, delimiter)


def _text_of(path: Path, what: str) -> tuple[str, str]:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise UserError(f"{path}: expected {what} as CSV, could not read it: {error.strerror}") from None
    if len(content) > LARGEST:
        raise UserError(f"{path}: expected {what} of at most {LARGEST // 10**6} MB")
    encodings = ("utf-16",) if content[:2] in (b"\xff\xfe", b"\xfe\xff") else _ENCODINGS
    for encoding in encodings:
        try:
            text = content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise UserError(f"{path}: expected {what} as CSV in UTF-8, could not read it: save it as CSV UTF-8")
    if "\0" in text or content[:4] == b"PK\x03\x04":
        raise UserError(f"{path}: expected a CSV, found a file of another kind; save the table as CSV UTF-8")
    return text, encoding.removesuffix("-sig").upper()


def text(rows: Iterable[Sequence[object]], delimiter: str = ",") -> str:
    """A CSV's content; a text that a spreadsheet would take for a formula gets a quote in front."""
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter).writerows([map(_quoted, row) for row in rows])
    return written.getvalue()


def _quoted(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def unquoted(cell: str) -> str:
    """A cell that `text` wrote, without the quote that it put in front."""
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(_FORMULA) else cell
