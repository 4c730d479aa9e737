"""Writing what a class depends on: whole or not at all, by one grader at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lessons_lib.errors import UserError


def write(path: Path, text: str) -> None:
    """A file's new content in place of the old, which stays where the disk is full or the process killed."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".draft-")
    except OSError as error:
        raise UserError(_cannot(path, error)) from None
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        os.chmod(draft, 0o644)
        os.replace(draft, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise UserError(_cannot(path, error)) from None


def _cannot(path: Path, error: OSError) -> str:
    return (
        f"{path}: could not be written: {error.strerror}. Marks that are made are kept in the grade book; "
        "make room or pick another --out, and start again."
    )


def keep_from_git(folder: Path) -> None:
    """A folder that git leaves alone, made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / ".gitignore").exists():
        (folder / ".gitignore").write_text("# marks and the salt behind them are nobody else's\n*\n", encoding="utf-8")


@contextlib.contextmanager
def folder_of_marks(out: Path) -> Iterator[None]:
    """The folder, made where it is missing, kept from git, and locked against a second grader."""
    try:
        keep_from_git(out)
        lock = os.open(out / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise UserError(_cannot(out, error)) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise UserError(
            f"{out}: another grader is writing there; wait until it is done, or pick another --out"
        ) from None
    finally:
        os.close(lock)
