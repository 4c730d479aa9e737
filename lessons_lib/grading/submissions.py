"""A learner's notebook: read without trusting it, and in one word what is odd about it.

A submission is data from a stranger. It is read once, as an ordinary file and never through a link, up to a size; it
is parsed as JSON and nothing else; and whatever is wrong with it becomes a status and never an exception.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lessons_lib.grading.collect import Found, is_as_handed_out

# What the grader reads of one learner. A notebook with a picture an output is some 100 kB; 20 MB of nested brackets
# would take gigabytes, so that values are counted before they are read.
LARGEST = 20_000_000  # bytes
MOST_VALUES = 2_000_000  # of its JSON
MOST_CODE = 400_000  # characters of all code cells

# What a status says to the learner. The first group could not be marked at all, the second was.
UNREADABLE = {
    "missing": "No notebook was handed in.",
    "name_shared": "Something was handed in under a name that two learners of this class have, so that it is not clear "
    "yet whose it is. Your instructor has to find out; nothing is lost.",
    "not_a_file": "What was handed in is a link or a device and not an ordinary file, so it was not opened.",
    "too_large": f"The file is larger than {LARGEST // 1_000_000} MB, or holds more than {MOST_VALUES // 10**6} "
    f"million values or {MOST_CODE // 1000} thousand characters of code. Clear the outputs and hand it in again.",
    "empty_file": "The file is empty.",
    "cut_off": "The file ends in the middle, as after an upload that broke off.",
    "not_json": "The file is not a Jupyter notebook: it is no JSON. Hand in the file that ends in .ipynb.",
    "not_a_notebook": "The file is JSON, but not a Jupyter notebook with cells.",
    "no_code": "The notebook has no code cells.",
    "not_marked": "The grader itself failed on this notebook, so that there is no mark yet. A person has to look.",
}
OPEN = ("not_marked", "name_shared")  # of these: there is no mark yet, which is not the same as 0 points
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
    "gave_up": "Code was stopped so often, or took so long altogether, that the rest was not tried.",
    "magic": "A notebook command that the grader does not run, such as one of the shell, was left out.",
    "other_release": "The notebook imports something that this version of the library does not have; it was left out.",
    "other_ticket": "The notebook holds a classmate's ticket; it was marked on the learner's own data.",
    "no_ticket": "The notebook does not hold the learner's ticket; it was marked on the data of her ticket.",
    "late": "The platform calls it late.",
}


@dataclass(frozen=True)
class Submission:
    """One learner's notebook: its code cells in order, or the status that says why there are none."""

    learner: str
    status: str = "read"
    cells: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    digest: str = ""  # of the file's bytes
    path: Path | None = None
    fingerprint: str = ""  # changes with the file and with what its name says; while it stays, so does the mark


def locate(learner: str, found: Found, notebook: str) -> Submission:
    """What a learner handed in, as far as its name, kind and bytes say; `read` looks inside.

    Args:
        learner: an id of the roster.
        found: her notebooks.
        notebook: the file name that was handed out.
    """
    located = _located(learner, found, notebook)
    parts = [located.digest, located.status, *located.flags]
    return replace(located, fingerprint=hashlib.sha256(" ".join(parts).encode()).hexdigest())


def _located(learner: str, found: Found, notebook: str) -> Submission:
    if not found.paths:
        return Submission(learner, "name_shared" if found.shared else "missing")
    notebooks = [path for path in found.paths if path.suffix.lower() == ".ipynb"]
    named = [path for path in found.paths if is_as_handed_out(path, notebook, learner)]
    path = (named or notebooks or found.paths)[0]
    content, status = _bytes_of(path)
    if status:
        return Submission(learner, status, path=path)
    odd = [*["renamed"] * (not named), *["several_files"] * (len(notebooks) > 1), *["late"] * found.late]
    return Submission(learner, path=path, flags=tuple(odd), digest=hashlib.sha256(content).hexdigest())


def read(submission: Submission, stubs: Sequence[str]) -> Submission:
    """The submission with its code cells; `stubs` are the `grade_id`s of the cells that are to be filled in.

    Whatever is in the file: what cannot be read becomes a status.
    """
    if submission.status != "read" or submission.path is None:
        return submission
    content, status = _bytes_of(submission.path)
    if status:
        return replace(submission, status=status)
    try:
        parsed = _parse(replace(submission, flags=()), content, stubs)
    except MemoryError:
        return replace(submission, status="too_large")
    flags = submission.flags if parsed.status == "read" else [flag for flag in submission.flags if flag == "late"]
    return replace(parsed, flags=(*flags, *parsed.flags))


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
    if sum(map(content.count, (b",", b"[", b"{"))) > MOST_VALUES:
        return replace(submission, status="too_large")
    try:
        notebook = json.loads(_text(content))
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
    if not any(map(str.strip, sources)):
        return replace(submission, status="no_code")
    if sum(map(len, sources)) > MOST_CODE:
        return replace(submission, status="too_large")
    return replace(submission, cells=tuple(sources), flags=tuple(flags))


def _text(content: bytes) -> str:
    """UTF-8 as Jupyter writes it, or what an editor on Windows made of it."""
    for encoding in ("utf-16",) if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1")


def _source(cell: dict) -> str:
    """A cell's text, a list of lines or one string in the format, anything else read as nothing."""
    source = cell.get("source")
    parts = source if isinstance(source, list) else [source]
    text = "".join(part for part in parts if isinstance(part, str))
    return text.encode("utf-8", "replace").decode()  # half of a character cannot be compiled, stored or shown


def _grade_id(cell: dict) -> str:
    for name in ("metadata", "nbgrader"):
        cell = cell.get(name)
        if not isinstance(cell, dict):
            return ""
    return str(cell.get("grade_id", ""))[:200]
