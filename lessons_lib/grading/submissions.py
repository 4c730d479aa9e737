"""Collected notebooks: find each learner's, read it without trusting it, and say in one word what is odd about it.

A submission is data from a stranger. It is read once, as an ordinary file and never through a link, up to a size; it
is parsed as JSON and nothing else; and whatever is wrong with it becomes a status and never an exception.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lessons_lib.errors import UserError

LARGEST = 20_000_000  # bytes; a notebook with a picture an output is some 100 kB

# What a status says to the learner. The first group could not be marked at all, the second was.
UNREADABLE = {
    "missing": "No notebook was handed in.",
    "not_a_file": "What was handed in is a link or a device and not an ordinary file, so it was not opened.",
    "too_large": f"The file is larger than {LARGEST // 1_000_000} MB. Clear the outputs and hand it in again.",
    "empty_file": "The file is empty.",
    "cut_off": "The file ends in the middle, as after an upload that broke off.",
    "not_json": "The file is not a Jupyter notebook: it is no JSON.",
    "not_a_notebook": "The file is JSON, but not a Jupyter notebook with cells.",
    "no_code": "The notebook has no code cells.",
}
FLAGS = {
    "renamed": "The file does not have the exercise's name; it was marked all the same.",
    "several_files": "More than one notebook was handed in; the one with the exercise's name was marked.",
    "cells_missing": "A cell to be filled in is missing; what the notebook defines was marked.",
    "cells_duplicated": "A cell occurs twice; all were run in order, so the last one counts.",
    "cell_error": "A cell raised an error; the rest was run.",
    "time": "Code ran too long and was stopped; the rest was marked.",
    "memory": "Code used too much memory and was stopped; the rest was marked.",
    "exit": "Code ended its own process; the rest was marked.",
    "output": "An answer was far too long; the rest was marked.",
    "protocol": "Code answered in the grader's place; that gains nothing, and the rest was marked.",
    "gave_up": "Code was stopped so often that the rest was not tried.",
}


@dataclass(frozen=True)
class Submission:
    """One learner's notebook: its code cells in order, or the status that says why there are none."""

    learner: str
    status: str = "read"
    cells: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()  # sources of the cells that the learner filled in, for comparing learners
    flags: tuple[str, ...] = ()
    digest: str = ""  # of the file's bytes

    @property
    def fingerprint(self) -> str:
        """Changes with the file and with what is odd about it; while it stays, so does the mark."""
        return hashlib.sha256(" ".join([self.digest, self.status, *self.flags]).encode()).hexdigest()


@dataclass(frozen=True)
class Learner:
    """A line of the roster."""

    id: str
    name: str = ""
    first_name: str = ""
    last_name: str = ""
    email: str = ""


def read_roster(path: Path) -> list[Learner]:
    """The class, from a CSV with a column `id` (or `student_id` or `learner`) and, where wanted, names and e-mails."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: expected a roster as CSV in UTF-8, could not read it: {error}") from None
    column = next((c for c in ("id", "student_id", "learner") if rows and c in rows[0]), None)
    if column is None:
        raise UserError(f"{path}: expected a CSV with a column id and a line a learner")
    fields = ("name", "first_name", "last_name", "email")
    learners = [Learner((r[column] or "").strip(), *((r.get(f) or "").strip() for f in fields)) for r in rows]
    _check_ids(learners, path)
    return learners


def _check_ids(learners: Sequence[Learner], path: Path) -> None:
    for line, learner in enumerate(learners, 2):
        if not re.fullmatch(r"[A-Za-z0-9_][\w.@+-]{0,99}", learner.id, re.ASCII):
            raise UserError(
                f"{path}, line {line}, column id: expected letters, digits and . _ - @ + (it names files), "
                f"got {learner.id[:100]!r}"
            )
    twice = [name for name, count in Counter(learner.id.lower() for learner in learners).items() if count > 1]
    if twice:
        raise UserError(f"{path}: expected each id once, upper or lower case alike, got {', '.join(twice)} again")


def strangers(folder: Path, learners: Sequence[Learner]) -> list[str]:
    """Names in the folder that are nobody's on the roster: they are named and never opened."""
    known = {learner.id for learner in learners} | {f"{learner.id}.ipynb" for learner in learners}
    return sorted(entry.name for entry in folder.iterdir() if entry.name not in known and entry.name[0] != ".")


def read_submission(folder: Path, learner: str, notebook: str, stubs: Sequence[str]) -> Submission:
    """A learner's notebook out of the folder of submissions.

    Args:
        folder: holds ``LEARNER/`` (any depth below, as nbgrader's ``LEARNER/EXERCISE/``) or ``LEARNER.ipynb``.
        learner: an id of the roster.
        notebook: the file name that was handed out.
        stubs: the `grade_id` of each cell that is to be filled in.
    """
    found = _files_of(folder, learner)
    named = [path for path in found if path.name in (notebook, f"{learner}.ipynb")]
    if not found:
        return Submission(learner, "missing")
    content, status = _bytes_of((named or found)[0])
    if status:
        return Submission(learner, status)
    submission = _parse(Submission(learner, digest=hashlib.sha256(content).hexdigest()), content, stubs)
    odd = (["renamed"] if not named else []) + (["several_files"] if len(found) > 1 else [])
    return replace(submission, flags=(*odd, *submission.flags))


def _files_of(folder: Path, learner: str) -> list[Path]:
    """Every notebook of a learner, those that lie nearest first; no link to a folder is followed."""
    single, own = folder / f"{learner}.ipynb", folder / learner
    found = [single] if os.path.lexists(single) else []
    if own.is_symlink():
        return [*found, own]
    for parent, folders, names in os.walk(own):
        folders[:] = sorted(name for name in folders if name[0] != ".")
        if len(Path(parent).relative_to(own).parts) >= 4:
            folders.clear()
        notebooks = [name for name in sorted(names) if name.endswith(".ipynb") and name[0] != "."]
        linked = [name for name in folders if name.endswith(".ipynb") or (Path(parent) / name).is_symlink()]
        found += [Path(parent) / name for name in [*notebooks, *linked]][:50]
        if len(found) > 50:
            break
    return found


def _bytes_of(path: Path) -> tuple[bytes, str]:
    """An ordinary file's content, or the status that says why it was not read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # a pipe would wait for ever
    except OSError:
        return b"", "not_a_file"
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return b"", "not_a_file"
    with open(descriptor, "rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        return b"", "too_large"
    return content, "" if content.strip() else "empty_file"


def _parse(submission: Submission, content: bytes, stubs: Sequence[str]) -> Submission:
    try:
        notebook = json.loads(content)
    except (ValueError, RecursionError) as error:
        ended = isinstance(error, json.JSONDecodeError) and error.pos >= len(error.doc.rstrip()) - 10
        cut = content.lstrip().startswith(b"{") and (ended or "Unterminated" in str(error))
        return replace(submission, status="cut_off" if cut else "not_json")
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        return replace(submission, status="not_a_notebook")
    code = [cell for cell in cells if isinstance(cell, dict) and cell.get("cell_type") == "code"]
    sources = [_source(cell) for cell in code]
    ids = [_grade_id(cell) for cell in code]
    flags = ["cells_missing"] if not set(stubs) <= set(ids) else []
    flags += ["cells_duplicated"] if any(ids.count(stub) > 1 for stub in stubs) else []
    filled = tuple(source for source, name in zip(sources, ids, strict=True) if name in stubs)
    if not any(map(str.strip, sources)):
        return replace(submission, status="no_code")
    return replace(submission, cells=tuple(sources), answers=filled, flags=tuple(flags))


def _source(cell: dict) -> str:
    """A cell's text, a list of lines or one string in the format, anything else read as nothing."""
    source = cell.get("source")
    parts = source if isinstance(source, list) else [source]
    return "".join(part for part in parts if isinstance(part, str))


def _grade_id(cell: dict) -> str:
    for name in ("metadata", "nbgrader"):
        cell = cell.get(name)
        if not isinstance(cell, dict):
            return ""
    return str(cell.get("grade_id", ""))[:200]
