"""A page of feedback for each learner: static HTML, no script, everything that came out of a submission escaped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from lessons_lib.grading import files, lateness
from lessons_lib.grading.assignments import Assignment
from lessons_lib.grading.by_hand import RUBRIC, Given, Key
from lessons_lib.grading.marking import CaseMark, ItemMark, Mark
from lessons_lib.grading.markup import number, page, table, text, value
from lessons_lib.grading.roster import Learner
from lessons_lib.grading.submissions import FLAGS, UNREADABLE


@dataclass(frozen=True)
class Batch:
    """One exercise of one class, graded: what every page and table is made from."""

    assignment: Assignment
    roster: Sequence[Learner]
    marks: Mapping[str, Mark]
    strangers: Sequence[str] = ()
    given: Mapping[Key, Given] = field(default_factory=dict)
    handed_in: Mapping[str, datetime] = field(default_factory=dict)
    deadline: datetime | None = None
    layouts: Sequence[str] = ()

    def late(self, learner: str) -> str:
        """How late a learner was, in words; empty in time or where nobody wrote it down."""
        when = self.handed_in.get(learner)
        if when and self.deadline:
            return lateness.told(when - self.deadline)
        return "late" if "late" in self.marks[learner].flags else ""

    @property
    def by_person(self) -> list[str]:
        """The items that a person marks."""
        return [item.name for item in self.assignment.exercise.items if item.person]

    @property
    def of_by_hand(self) -> int:
        return len(RUBRIC) * len(self.by_person)

    def points_by_hand(self, learner: str) -> float | None:
        """What a person gave a learner so far; None where she has given nothing."""
        given = [self.given.get((learner, item)) for item in self.by_person]
        points = [one.points for one in given if one and one.points is not None]
        return sum(points) if points else None

    def texts(self, learner: str) -> Iterator[ItemMark]:
        """A learner's answers that go to a person."""
        for item in self.marks[learner].items:
            if item.name in self.by_person and item.cases and isinstance((item.cases[0].came or {}).get("json"), str):
                yield item

    def waiting_for_a_person(self) -> list[Key]:
        """Every text that a person marks, by learner and item, in the roster's order."""
        return [(learner.id, item.name) for learner in self.roster for item in self.texts(learner.id)]


def write(folder: Path, batch: Batch) -> None:
    """Every learner's page into `folder`/feedback."""
    for learner in batch.roster:
        files.write(folder / "feedback" / f"{learner.id}.html", feedback(batch, learner))


def feedback(batch: Batch, learner: Learner) -> str:
    """What a learner gets back: her points, and for each item that is not full what happened and where to look."""
    mark, name = batch.marks[learner.id], batch.assignment.exercise.name
    if mark.status in UNREADABLE:
        title = f"{name}: not marked"
        head = f"<h1>{text(title)}</h1><p class=quiet>{text(learner.name or learner.id)}</p>"
        said = f"<p class=answer><strong>{text(UNREADABLE[mark.status])}</strong> Nothing could be marked.</p>"
        return page(title, [head, said])
    title = f"{name}: {number(mark.points)} of {number(mark.of)} points"
    body = [f"<h1>{text(title)}</h1><p class=quiet>{text(learner.name or learner.id)}</p>"]
    if late := batch.late(learner.id):
        body.append(f"<p class=answer>Handed in after the deadline: {text(late)}.</p>")
    body += [f"<p class=answer>{text(FLAGS[flag])}</p>" for flag in mark.flags if flag != "late"]
    body += [f"<pre>{text(error)}</pre>" for error in mark.errors]
    body += [part for item in mark.items for part in _item(item, batch.given.get((learner.id, item.name)))]
    body.append(
        "<p class=quiet>The inputs were drawn for you alone; others had other numbers. The answers were compared "
        "outside your code. If you think a mark is wrong, show this page to your instructor.</p>"
    )
    return page(title, body)


def _item(item: ItemMark, given: Given | None) -> Iterator[str]:
    if not item.of:  # a person's to mark
        points = (
            "not marked by machine, waits for a person"
            if given is None or given.points is None
            else f"{number(given.points)} of {len(RUBRIC)}"
        )
        yield f"<h2><code>{text(item.name)}</code>: {points}</h2><pre>{text(item.advice)}</pre>"
        yield f"<p>{text(given.note)}</p>" if given and given.note else ""
        return
    yield f"<h2><code>{text(item.name)}</code>: {number(item.points)} of {number(item.of)}</h2>"
    right = sum(case.share == 1 for case in item.cases)
    if right == len(item.cases):
        yield f"<p>Right on {'the hidden input' if right == 1 else f'all {right} hidden inputs'}.</p>"
        return
    if len(item.cases) > 1:
        yield f"<p>Right on {right} of {len(item.cases)} hidden inputs. The first that was not:</p>"
    yield _case(next(case for case in item.cases if case.share < 1))
    if item.advice.startswith("✓"):
        yield (
            "<p>The check in the notebook passes, so your code is right on its input and not on this one. "
            "What differs: a size, a sign, a limit?</p>"
        )
    elif item.advice.startswith("✗"):
        yield f"<p>The check in the notebook says about your code:</p><pre>{text(item.advice)}</pre>"
    elif item.advice:
        yield f"<p>{text(item.advice)}</p>"


def _case(case: CaseMark) -> str:
    rows = [(name, value(found)) for name, found in (case.case or {}).items()]
    if case.right is not None and case.case is not None:  # a plain value's answer is the same for everybody
        rows.append(("expected", value(case.right.get("json", case.right.get("tensor")))))
    came = "nothing" if case.came is None else value(case.came.get("json", case.came.get("tensor")))
    rows += [("your answer", came), ("what is wrong", case.why)]
    return table((), rows)
