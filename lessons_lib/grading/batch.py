"""A class's submissions to marks: side by side over the cores, each mark written down as soon as it can be trusted.

Marks are made in blocks. Before a block is written the self-test runs again and the digest of what marks depend on is
taken again; where either has changed, the block is thrown away, what was written before stays, and the batch stops.
"""

from __future__ import annotations

import ctypes
import hashlib
import multiprocessing
import os
import resource
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from datetime import datetime
from pathlib import Path

from lessons_lib.errors import UserError
from lessons_lib.grading import (
    assignments,
    by_hand,
    cgroups,
    collect,
    files,
    gradebook,
    lateness,
    marking,
    pages,
    preflight,
    report,
    sandbox,
    submissions,
    tickets,
)
from lessons_lib.grading.marking import Mark
from lessons_lib.grading.pages import Batch
from lessons_lib.grading.roster import Learner
from lessons_lib.grading.submissions import Submission

BLOCK = 50  # marks that are made between two self-tests
_ROOM = 3 * 2**30  # bytes of address space for what a worker reads, beside what it has after its imports


def grade(
    folder: Path,
    name: str,
    roster: Sequence[Learner],
    out: Path,
    *,
    salt_path: Path | None = None,
    workers: int = -1,
    again: bool = False,
    deadline: datetime | None = None,
    timestamps: Path | None = None,
    progress: Callable[[Iterable, int], Iterable] = lambda marks, total: marks,
) -> Batch:
    """Grade what changed, write every output, and answer with the whole class.

    Args:
        folder: of submissions, see `collect.collect`.
        name: of the exercise, see `assignments.load`.
        roster: everybody who gets a mark; the rest of the folder is not opened.
        out: folder of the grade book, the CSV files, the feedback pages and the report.
        salt_path: the course's salt; `out`/salt.txt, drawn at the first use, where None.
        workers: processes side by side; -1 for one a core, 0 for this process. They do not change a mark.
        again: mark everybody, also those whose mark still holds.
        deadline: for the columns that say how late.
        timestamps: a CSV that says when each learner handed in.
        progress: wraps the marks as they come, such as a progress bar.
    """
    if not folder.is_dir():
        found = "a file; if it is the platform's archive, unpack it first" if folder.exists() else "none"
        raise UserError(f"{folder}: expected the folder of submissions, found {found}")
    assignment = assignments.load(name)
    notebook = assignment.exercise.notebook
    collected = collect.collect(folder, roster, notebook, assignments.notebooks())
    handed_in = lateness.times_of(roster, collected, timestamps)
    digest = assignments.digest(name)
    cgroups.sweep()
    preflight.check(assignment)
    with files.folder_of_marks(out):
        gradebook.refuse_another(out, assignment.exercise.name, salt_path)
        given = by_hand.read(out / "by_hand.csv")
        salt = tickets.read_salt(salt_path or out / "salt.txt")
        classmates = frozenset(tickets.ticket(salt, learner.id, assignment.exercise.name) for learner in roster)
        read = {one.id: submissions.locate(one.id, collected.found[one.id], notebook) for one in roster}
        made_with = hashlib.sha256(digest.encode() + salt).hexdigest()
        with gradebook.GradeBook(out / "gradebook.sqlite", assignment.exercise.name, made_with) as book:
            standing = {} if again else book.standing()
            waiting = [s for s in read.values() if standing.get(s.learner) != s.fingerprint]
            made = Pool(name, salt, classmates, _processes(workers, len(waiting))).marks(waiting)
            _write_down(book, progress(made, len(waiting)), name, digest)
            marks = book.marks()
        batch = Batch(
            *(assignment, roster, {learner.id: marks[learner.id] for learner in roster}, collected.strangers),
            **dict(given=given, handed_in=handed_in, deadline=deadline, layouts=collected.layouts),
            **dict(shared=collected.shared, departed=sorted(marks.keys() - read.keys())),
        )
        _write(out, batch)
    return batch


def _processes(workers: int, waiting: int) -> int:
    return min(len(os.sched_getaffinity(0)) if workers < 0 else workers, waiting)


def _write_down(book: gradebook.GradeBook, marks: Iterable[Mark], name: str, digest: str) -> None:
    """Write marks in blocks, 1, 2, 4, … and then `BLOCK` of them, each once the self-test has passed behind it."""
    block: list[Mark] = []
    size, stopped = 1, None
    try:
        for mark in marks:
            block.append(mark)
            if len(block) >= size:
                _confirm(book, block, name, digest)
                size = min(2 * size, BLOCK)
    except (UserError, KeyboardInterrupt) as error:  # what was made until then is good if the self-test still passes
        stopped = error
    if block and (stopped is None or not isinstance(stopped, _Untrusted)):
        _confirm(book, block, name, digest)
    if stopped is not None:
        raise stopped


class _Untrusted(UserError):
    """The marks made last cannot be trusted."""


def _confirm(book: gradebook.GradeBook, block: list[Mark], name: str, digest: str) -> None:
    kept = f"The last {len(block)} marks are thrown away, those before are kept."
    try:
        preflight.recheck(assignments.load(name))
    except UserError as error:
        raise _Untrusted(f"{error} {kept}") from None
    if assignments.digest(name) != digest:
        raise _Untrusted(
            f"the library, the spec or the hidden data of {name} changed while grading. {kept} Start again, and change "
            "nothing meanwhile."
        )
    book.write(block)
    block.clear()


# ---------------------------------------------------------------- processes side by side


class Pool:
    """Worker processes that mark submissions; one that dies takes nobody else's mark with it."""

    def __init__(self, name: str, salt: bytes, classmates: frozenset[str], processes: int):
        self._work = (name, salt, classmates)
        self._processes = processes

    def marks(self, waiting: Sequence[Submission]) -> Iterator[Mark]:
        """Marks in whatever order they are done."""
        if self._processes < 1:
            yield from (_mark(*self._work, submission) for submission in waiting)
            return
        left = {submission.learner: submission for submission in waiting}
        while left:
            suspects: list[Submission] = []
            for mark in self._side_by_side(list(left.values()), self._processes, suspects):
                del left[mark.learner]
                yield mark
            for suspect in suspects:  # those under way when a worker died: alone, it is plain which one does it
                del left[suspect.learner]
                alone: list[Submission] = []
                yield from self._side_by_side([suspect], 1, alone)
                if alone:
                    why = "the grader's own process ended while it read this notebook"
                    yield marking.failed(assignments.load(self._work[0]), suspect, why)

    def _side_by_side(
        self, waiting: Sequence[Submission], processes: int, suspects: list[Submission]
    ) -> Iterator[Mark]:
        """Marks until all are done or a worker dies; then those that were under way are `suspects`."""
        queue, running = iter(waiting), {}  # Future -> Submission
        before = set(multiprocessing.active_children())
        pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _start_worker, (os.getpid(),))
        try:
            while True:
                while len(running) < processes and (submission := next(queue, None)) is not None:
                    running[pool.submit(_mark, *self._work, submission)] = submission
                if not running:
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    mark = future.result()
                    del running[future]
                    yield mark
        except BrokenProcessPool:
            suspects += running.values()
        finally:
            for process in set(multiprocessing.active_children()) - before if running else ():
                process.kill()  # whoever stops the batch does not wait for what is under way
            pool.shutdown()


def _start_worker(parent: int) -> None:
    """A worker ends with the grader, however that ends, and reads no more than it has room for."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Control-C reaches the grader, which ends its workers
    if os.getppid() != parent:  # it ended before that was asked for
        os._exit(1)
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + _ROOM, most))


def _address_space() -> int:
    pages_in_use = int(Path("/proc/self/statm").read_text().split()[0])
    return pages_in_use * resource.getpagesize()


def _mark(name: str, salt: bytes, classmates: frozenset[str], submission: Submission) -> Mark:
    """One submission, in a worker; a sandbox that does not start gets a second try, then ends the batch."""
    assignment = assignments.load(name)
    try:
        try:
            return marking.mark(assignment, submission, salt, classmates=classmates)
        except sandbox.SandboxBroke:
            return marking.mark(assignment, submission, salt, classmates=classmates)
    except sandbox.SandboxBroke as error:
        raise UserError(f"{submission.learner}: {error}. What is graded so far is kept; start again.") from None
    except Exception as error:  # a fault of the grader's own costs one learner a day, not a class its marks
        return marking.failed(assignment, submission, f"{type(error).__name__}: {error}")


def _write(out: Path, batch: Batch) -> None:
    by_hand.write(out / "by_hand.csv", batch.waiting_for_a_person(), {one.id: one.name for one in batch.roster})
    gradebook.write_csv(out / "marks.csv", batch)
    gradebook.write_nbgrader_csv(out / "nbgrader.csv", batch)
    pages.write(out, batch)
    report.write(out, batch)
