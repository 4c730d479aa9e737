"""A class's submissions to marks: side by side over the cores, each mark written down as soon as it is made."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import joblib

from lessons_lib.errors import UserError
from lessons_lib.grading import assignments, gradebook, marking, pages, sandbox, submissions, tickets
from lessons_lib.grading.marking import Mark
from lessons_lib.grading.pages import Batch
from lessons_lib.grading.submissions import Learner, Submission


def grade(
    folder: Path,
    name: str,
    roster: Sequence[Learner],
    out: Path,
    *,
    salt_path: Path | None = None,
    workers: int = -1,
    again: bool = False,
    progress: Callable[[Iterable, int], Iterable] = lambda marks, total: marks,
) -> Batch:
    """Grade what changed, write every output, and answer with the whole class.

    Args:
        folder: of submissions, see `submissions.read_submission`.
        name: of the exercise, see `assignments.load`.
        roster: everybody who gets a mark; the rest of the folder is not opened.
        out: folder of the grade book, the CSV files, the feedback pages and the report.
        salt_path: the course's salt; `out`/salt.txt, drawn at the first use, where None.
        workers: processes side by side; -1 for one a core. They do not change a mark.
        again: mark everybody, also those whose mark still holds.
        progress: wraps the marks as they come, such as a progress bar.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: expected the folder of submissions, found none")
    assignment = assignments.load(name)
    sandbox.self_test()
    salt = tickets.read_salt(salt_path or out / "salt.txt")
    made_with = hashlib.sha256(assignment.digest.encode() + salt).hexdigest()
    read = {
        learner.id: submissions.read_submission(folder, learner.id, assignment.exercise.notebook, assignment.stubs)
        for learner in roster
    }
    with gradebook.GradeBook(out / "gradebook.sqlite", assignment.exercise.name, made_with) as book:
        standing = {} if again else book.standing()
        waiting = [s for s in read.values() if standing.get(s.learner) != s.fingerprint]
        for mark in progress(_marks(name, waiting, salt, workers), len(waiting)):
            book.write(mark)
        marks = book.marks()
    batch = Batch(assignment, roster, read, marks, submissions.strangers(folder, roster))
    _write(out, batch)
    return batch


def _marks(name: str, waiting: Sequence[Submission], salt: bytes, workers: int) -> Iterator[Mark]:
    """Marks in whatever order they are done."""
    parallel = joblib.Parallel(n_jobs=workers, return_as="generator_unordered", batch_size=1, pre_dispatch="2*n_jobs")
    return parallel(joblib.delayed(_mark)(name, submission, salt) for submission in waiting)


def _mark(name: str, submission: Submission, salt: bytes) -> Mark:
    """One submission, in a worker; a sandbox that does not start gets a second try, then ends the batch."""
    assignment = assignments.load(name)
    try:
        try:
            return marking.mark(assignment, submission, salt)
        except sandbox.SandboxBroke:
            return marking.mark(assignment, submission, salt)
    except sandbox.SandboxBroke as error:
        raise UserError(f"{submission.learner}: {error}. What is graded so far is kept; start again.") from None


def _write(out: Path, batch: Batch) -> None:
    gradebook.write_csv(out / "marks.csv", batch.roster, batch.marks)
    gradebook.write_nbgrader_csv(out / "nbgrader.csv", batch.assignment.exercise.name, batch.roster, batch.marks)
    pages.write(out, batch)
