"""One submission to its mark: the learner's code runs in the sandbox, the comparison here.

A child that is stopped, at a cell or in the middle of an item, is replaced by a fresh one that leaves that cell or
item out. So a loop or an exit costs what it stands in and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import re
import signal
import threading
import time
from collections.abc import Iterator, Set
from dataclasses import dataclass
from functools import partial

from lessons_lib.grading import compare, sandbox, similarity, submissions, tickets
from lessons_lib.grading.assignments import Assignment
from lessons_lib.grading.similarity import Shape
from lessons_lib.grading.spec import JSON, Item, asked
from lessons_lib.grading.submissions import FLAGS, Submission

MOST_STARTS = 8  # children for one submission
_ADVICE = 2000  # characters of a check's message that are kept
_KEPT = 20_000  # characters of an answer that are kept
_PLAIN_IMPORTS = {"torch", "math", "lessons_lib", "random", "json", "itertools", "functools", "collections", "typing"}
_TRANSFORMS = re.compile(r"compile|func\b|vmap|jvp|jit|meta|export|fx\b|training|models|autocast|__import__|importlib")
_JUDGED_WITHIN = 20  # seconds for comparing one answer or explaining it


@dataclass(frozen=True)
class CaseMark:
    """One hidden case: what was asked, what is right, what came, both in the wire's form, and the share earned."""

    case: dict[str, JSON] | None
    right: dict[str, JSON] | None
    came: dict[str, JSON] | None
    share: float
    why: str


@dataclass(frozen=True)
class ItemMark:
    """One item's points, and what its check on the spot said, which is the learner's text and no evidence."""

    name: str
    points: float
    of: float
    cases: tuple[CaseMark, ...]
    advice: str = ""


@dataclass(frozen=True)
class Mark:
    """A submission's mark. `status` is "graded" or one of `submissions.UNREADABLE`, `flags` are of `FLAGS`."""

    learner: str
    status: str
    flags: tuple[str, ...]
    fingerprint: str  # of the submission
    items: tuple[ItemMark, ...]
    errors: tuple[str, ...] = ()  # of cells, as the learner's process told them
    shape: Shape = Shape()  # for comparing learners

    @property
    def points(self) -> float:
        return sum(item.points for item in self.items)

    @property
    def of(self) -> float:
        return sum(item.of for item in self.items)

    @property
    def is_open(self) -> bool:
        """Whether there is no mark yet: then `points` say nothing."""
        return self.status in submissions.OPEN


def mark(
    assignment: Assignment,
    submission: Submission,
    salt: bytes,
    *,
    drawn_from: str | None = None,
    classmates: Set[str] = frozenset(),
) -> Mark:
    """The mark of a submission. A `sandbox.SandboxBroke` means that there is none, for no fault of the learner's.

    Args:
        assignment: the exercise.
        submission: as located; it is read here.
        salt: of the course.
        drawn_from: a ticket in place of the learner's own.
        classmates: everybody's tickets, for noticing one of another learner.
    """
    ticket = drawn_from or tickets.ticket(salt, submission.learner, assignment.exercise.name)
    items = assignment.exercise.items_for(ticket)
    drawn = assignment.exercise.draw is not None
    submission = submissions.read(submission, [item.name for item in items] if drawn else assignment.stubs)
    cases = tickets.cases_of(assignment.exercise, salt, submission.learner, ticket)
    readable = submission.status == "read"
    run = _Run(assignment, submission, items, cases, lean=readable and _lean_will_do(submission.cells))
    shape = Shape()
    if readable:
        run.to_the_end()
        if run.lean and run.raised:
            run = _Run(assignment, submission, items, cases, lean=False)
            run.to_the_end()
        with _at_most(_JUDGED_WITHIN), contextlib.suppress(TimeoutError, MemoryError):
            shape = similarity.shape(submission.cells, assignment.cells)
    odd = {*submission.flags, *run.flags, *_about_tickets(assignment, submission, ticket, classmates)}
    return Mark(
        learner=submission.learner,
        status="graded" if readable else submission.status,
        flags=tuple(flag for flag in FLAGS if flag in odd),
        fingerprint=submission.fingerprint,
        items=tuple(run.mark_of(item) for item in items),
        errors=tuple(run.errors[:5]),
        shape=shape,
    )


def failed(assignment: Assignment, submission: Submission, why: str) -> Mark:
    """The mark of a submission that the grader could not mark: no points, and no verdict either."""
    items = tuple(ItemMark(item.name, 0.0, item.points, ()) for item in assignment.exercise.items)
    return Mark(submission.learner, "not_marked", (), submission.fingerprint, items, (why[:500],))


def _about_tickets(assignment: Assignment, submission: Submission, ticket: str, classmates: Set[str]) -> Iterator[str]:
    """Only where the notebook asks for a ticket: its learner types it in as a text of twelve characters."""
    if not any("TICKET" in source for source in assignment.cells) or submission.status != "read":
        return
    typed = {word.lower() for source in submission.cells for word in re.findall(r"\b[0-9a-fA-F]{12}\b", source)}
    if (typed & classmates) - {ticket}:
        yield "other_ticket"
    elif ticket not in typed and ticket != tickets.PRACTICE:
        yield "no_ticket"


def _lean_will_do(cells: tuple[str, ...]) -> bool:
    """Whether a child may leave out the part of PyTorch that only compiling and transforming functions need.

    That part is a quarter of the import. Where code raises without it, all is run again with it.
    """
    source = "\n".join(cells)
    roots = set(re.findall(r"^\s*(?:import|from)\s+(\w+)", source, re.MULTILINE))
    return roots <= _PLAIN_IMPORTS and not _TRANSFORMS.search(source)


@contextlib.contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """A `TimeoutError` after so long; a learner's answer may be made to keep whoever reads it busy."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(number, frame):
        raise TimeoutError(f"it took more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class _Run:
    """A submission on its way through as many children as it takes."""

    def __init__(
        self, assignment: Assignment, submission: Submission, items: tuple[Item, ...], cases: dict, *, lean: bool
    ):
        self.lean, self.raised = lean, False
        self._limits = assignment.exercise.limits
        self._files, self._checks, self._cases = assignment.files, assignment.checks, cases
        # The checks on the spot run at the end, and only where they can explain something.
        on_the_spot = set(assignment.checks.values())
        self._cells = {i: source for i, source in enumerate(submission.cells) if source.strip() not in on_the_spot}
        self.flags: set[str] = set()
        self.errors: list[str] = []
        self._marks: dict[str, list[CaseMark]] = {item.name: [] for item in items}
        self._advice: dict[str, str] = {}
        self._steps = [partial(self._answer, item) for item in items] + [partial(self._advise, item) for item in items]
        self._deadline = float("inf")

    def to_the_end(self) -> None:
        self._deadline = time.monotonic() + self._limits.total_seconds
        for _ in range(MOST_STARTS):
            with sandbox.Child(self._limits, self._files) as child:
                child.start()
                if self.lean:
                    child.ask(self._limits.start_seconds, do="lean")
                self._as_far_as_it_goes(child)
            if not self._steps:
                return
            if time.monotonic() > self._deadline:
                break
        self.flags.add("gave_up")

    def _as_far_as_it_goes(self, child: sandbox.Child) -> None:
        cell = None
        try:
            for cell in list(self._cells):
                self._run_cell(child, cell)
            cell = None
            while self._steps:
                self._steps[0](child)
                self._steps.pop(0)
        except sandbox.Stopped as stopped:
            self.flags.add(stopped.why)
            if cell is None:
                self._steps.pop(0)
            else:
                del self._cells[cell]

    def _ask(self, child: sandbox.Child, seconds: float, **request: JSON) -> dict[str, JSON]:
        """Ask within the seconds of this question and what is left of the total."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            child.close()
            raise sandbox.Stopped("gave_up", "the time for the whole notebook was over")
        return child.ask(min(seconds, left), **request)

    def _run_cell(self, child: sandbox.Child, cell: int) -> None:
        told = self._ask(child, self._limits.cell_seconds, do="cell", number=cell + 1, source=self._cells[cell])
        odd = told.get("odd")
        self.flags |= {"magic", "other_release"} & set(map(str, odd if isinstance(odd, list) else ()))
        self.raised |= "error" in told
        if "error" in told and "cell_error" not in self.flags:
            self.flags.add("cell_error")
            self.errors.append(f"code cell {cell + 1}: {str(told['error'])[:500]}")

    def _answer(self, item: Item, child: sandbox.Child) -> None:
        for case in self._cases[item.name]:
            came, why = None, "stopped"
            try:
                request = {
                    "name": item.name,
                    "case": None if item.own else asked(case),
                    "gradient": list(item.gradient),
                }
                told = self._ask(child, self._limits.call_seconds, do="call", **request)
                came, why = told.get("answer"), str(told.get("error", ""))[:500]
                self.raised |= bool(why)
            except sandbox.Stopped as stopped:
                why = stopped.told
                raise
            finally:
                self._marks[item.name].append(_case_mark(item, case, came, why))

    def _advise(self, item: Item, child: sandbox.Child) -> None:
        wrong = any(mark.share < 1 for mark in self._marks[item.name])
        if wrong and item.name in self._checks:
            told = self._ask(child, self._limits.call_seconds, do="check", source=self._checks[item.name])
            self._advice[item.name] = str(told.get("message", told.get("error", "")))[:_ADVICE]

    def mark_of(self, item: Item) -> ItemMark:
        """Cases that were never reached count as unanswered."""
        marks, cases = self._marks[item.name], self._cases[item.name]
        marks = [*marks, *(_case_mark(item, case, None, "not answered") for case in cases[len(marks) :])]
        earned, told = _together(item, marks)
        points = item.points * earned
        advice = told or self._advice_on(item, marks)
        return ItemMark(item.name, round(points, 4), item.points, tuple(map(_cut, marks)), advice)

    def _advice_on(self, item: Item, marks: list[CaseMark]) -> str:
        wrong = next((mark for mark in marks if mark.share < 1), None)
        if item.explain and wrong and wrong.came:
            told = (wrong.came.get("json"), *([wrong.case] if item.own else []))
            try:
                with _at_most(_JUDGED_WITHIN):
                    return str(item.explain(*told))[:_ADVICE]
            except Exception:  # an answer of a form, or a size, that it did not expect
                return "This answer is not of the kind that was asked for."
        return self._advice.get(item.name, "")


def _case_mark(item: Item, case: dict[str, JSON] | None, came: JSON, why: str) -> CaseMark:
    right = compare.expected(item, case)
    came = came if isinstance(came, dict) else None
    if came is None:
        return CaseMark(case, right, None, 0.0, why or "no answer")
    try:
        with _at_most(_JUDGED_WITHIN):
            share, wrong = compare.share(item, case, right, came)
    except (TimeoutError, RecursionError, MemoryError, OverflowError) as error:
        share, wrong = 0.0, f"not an answer that can be marked ({type(error).__name__})"
    return CaseMark(case, right, came, share, wrong)


def _together(item: Item, marks: list[CaseMark]) -> tuple[float, str]:
    """The share of an item's points that its cases earn, and what is to be said of all of them."""
    if not item.together:
        return sum(mark.share for mark in marks) / len(marks), ""
    answers = [None if mark.came is None else mark.came.get("json") for mark in marks]
    try:
        with _at_most(_JUDGED_WITHIN):
            earned, told = compare.together(item, answers, [mark.case for mark in marks])
    except Exception as error:  # answers of a form, or a size, that it did not expect
        return 0.0, f"These answers cannot be judged ({type(error).__name__})."
    return earned, "" if earned == 1 else told


def _cut(mark: CaseMark) -> CaseMark:
    """What is written down of an answer: all of it, or the beginning of a very long one."""
    text = json.dumps(mark.came)
    if len(text) <= _KEPT:
        return mark
    return CaseMark(mark.case, mark.right, {"json": f"{text[:_KEPT]} …"}, mark.share, mark.why)
