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
from lessons_lib.grading.spec import asked
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
    shared: Mapping[str, Sequence[str]] = field(default_factory=dict)  # names of files that fit several, and whom
    departed: Sequence[str] = ()  # ids with a mark that this roster does not have

    def late(self, learner: str) -> str:
        """How late a learner was, in words; empty in time or where nobody wrote it down."""
        when = self.handed_in.get(learner)
        if when and self.deadline:
            return lateness.told(when - self.deadline)
        return "late" if "late" in self.marks[learner].flags else ""

    def told_of_times(self) -> str:
        """The deadline as it was understood, and of how many notebooks the time is known; empty without a deadline."""
        if self.deadline is None:
            return ""
        came = [one.id for one in self.roster if self.marks[one.id].status not in ("missing", "name_shared")]
        known = sum(learner in self.handed_in for learner in came)
        said = f"deadline {self.deadline:%Y-%m-%d %H:%M}, times known for {known} of {len(came)} notebooks"
        unknown = f"; unknown for {len(came) - known}, which may be late or not (see --timestamps)"
        return f"{said}, on this machine's clock ({self.deadline:%Z}){unknown * (known < len(came))}"

    def told_of_shared(self) -> list[str]:
        """A sentence for each name in the folder that fits several learners."""
        return [
            f"{name!r} fits {'two' if len(owners) == 2 else len(owners)} on the roster, {', '.join(owners[:-1])} and "
            f"{owners[-1]}; add Moodle's Identifier (Canvas's ID) as a column of the roster, or rename it by id"
            for name, owners in self.shared.items()
        ]

    def points_of_nobody(self) -> list[str]:
        """Ids in the form for a person's points that nobody has: a spreadsheet makes 7 of 007."""
        known = {*(one.id for one in self.roster), *self.departed}
        return sorted({learner for learner, _ in self.given} - known)

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
            if item.name in self.by_person and _is_text(item):
                yield item

    def waiting_for_a_person(self) -> list[Key]:
        """Every text that a person marks, by learner and item, in the roster's order."""
        return [(learner.id, item.name) for learner in self.roster for item in self.texts(learner.id)]


def _is_text(item: ItemMark) -> bool:
    return bool(item.cases) and isinstance((item.cases[0].came or {}).get("json"), str)


def write(folder: Path, batch: Batch) -> None:
    """Every learner's page into `folder`/feedback, which keeps no page of anybody who has left the roster."""
    for learner in batch.departed:
        (folder / "feedback" / f"{learner}.html").unlink(missing_ok=True)
    for learner in batch.roster:
        files.write(folder / "feedback" / f"{learner.id}.html", feedback(batch, learner))


def feedback(batch: Batch, learner: Learner) -> str:
    """What a learner gets back: her points, and for each item that is not full what happened and where to look."""
    mark, name = batch.marks[learner.id], batch.assignment.exercise.name
    if mark.status in UNREADABLE:
        title = f"{name}: not marked"
        head = f"<h1>{text(title)}</h1><p class=quiet>{text(learner.name or learner.id)}</p>"
        closing = "" if mark.is_open else " Nothing could be marked."
        said = f"<p class=answer><strong>{text(UNREADABLE[mark.status])}</strong>{closing}</p>"
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
    if not item.of:
        yield from _by_person(item, given)
        return
    yield f"<h2><code>{text(item.name)}</code>: {number(item.points)} of {number(item.of)}</h2>"
    right = sum(case.share == 1 for case in item.cases)
    if right == len(item.cases) and item.points < item.of:  # judged together: each could be read, and no more is said
        yield f"<p>Your answers to {right} hidden inputs, judged together:</p><pre>{text(item.advice)}</pre>"
        return
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


def _by_person(item: ItemMark, given: Given | None) -> Iterator[str]:
    """An item that a person marks: once she has, what a machine said before is no longer the learner's concern."""
    name = f"<code>{text(item.name)}</code>"
    if given and given.points is not None:
        yield f"<h2>{name}: {number(given.points)} of {len(RUBRIC)}</h2>"
        yield f"<p>A person gave these points, up to one for each of: {', '.join(RUBRIC)}.</p>"
    elif _is_text(item):
        yield f"<h2>{name}: not marked by machine, waits for your instructor</h2>"
        yield "<p>Your instructor reads it and gives the points; until then there is nothing for you to do. "
        yield f"What a machine noticed gives none:</p><pre>{text(item.advice)}</pre>"
    else:
        yield f"<h2>{name}: nothing to read</h2><p>There is no text here for a person to give points for.</p>"
    if given and given.note:
        yield f"<p>{text(given.note)}</p>"


def _case(case: CaseMark) -> str:
    rows = [(name, value(found)) for name, found in (asked(case.case) or {}).items()]
    if case.right is not None and case.case is not None:  # a plain value's answer is the same for everybody
        rows.append(("expected", value(case.right.get("json", case.right.get("tensor")))))
    came = "nothing" if case.came is None else value(case.came.get("json", case.came.get("tensor")))
    rows += [("your answer", came), ("what is wrong", case.why)]
    return table((), rows)
