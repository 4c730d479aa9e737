"""The report on a class: how it did, where it stumbled, what a person should look at. Static HTML, no script."""

from __future__ import annotations

import builtins
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from lessons_lib.grading import files, similarity, tables
from lessons_lib.grading.assignments import Assignment
from lessons_lib.grading.by_hand import RUBRIC
from lessons_lib.grading.marking import ItemMark, Mark
from lessons_lib.grading.markup import Markup, link, links, number, page, table, text
from lessons_lib.grading.pages import Batch
from lessons_lib.grading.similarity import Group
from lessons_lib.grading.submissions import FLAGS, UNREADABLE

_PARAGRAPH = 4000  # characters of a text that a person reads
_MOST_GROUPS = 30
_LESSONS = Path(__file__).resolve().parents[1] / "lessons"


def write(folder: Path, batch: Batch) -> Path:
    """`folder`/report.html and, whole, the groups that it names in `folder`/alike.csv; the report's path."""
    groups = similarity.groups({mark.learner: mark.shape for mark in _graded(batch)})
    rows = [(number, group.how, group.nodes, one) for number, group in enumerate(groups, 1) for one in group.learners]
    files.write(folder / "alike.csv", tables.text([("group", "alike", "nodes", "id"), *rows]))
    files.write(folder / "report.html", class_report(batch, groups))
    return folder / "report.html"


def class_report(batch: Batch, groups: list[Group]) -> str:
    """The page."""
    title = f"{batch.assignment.exercise.name}: the class"
    sections = (_outcome, _distribution, _items, _misunderstandings, _to_read, _statuses)
    body = [f"<h1>{text(title)}</h1>", *(part for section in sections for part in section(batch))]
    return page(title, [*body, *_questions(batch, groups), *_everybody(batch)])


def _graded(batch: Batch) -> list[Mark]:
    return [batch.marks[learner.id] for learner in batch.roster if batch.marks[learner.id].status == "graded"]


def _outcome(batch: Batch) -> Iterator[str]:
    graded, of = _graded(batch), max((mark.of for mark in batch.marks.values()), default=0)
    points = sorted(mark.points for mark in graded)
    middle = number((points[(len(points) - 1) // 2] + points[len(points) // 2]) / 2) if points else "none"
    yield (
        f"<p class=answer>{len(graded)} of {len(batch.roster)} learners handed in a notebook that could be marked. "
        f"Their median is {middle} of {number(of)} points.</p>"
    )
    if failed := [mark.learner for mark in batch.marks.values() if mark.status == "not_marked"]:
        said = f"Without a mark, because the grader failed on them: {links(failed)}."
        yield f"<p class=answer><strong>{said}</strong></p>"
    if told := batch.told_of_times():
        yield f"<p class=answer>{text(told[0].upper() + told[1:])}.</p>"


def _distribution(batch: Batch) -> Iterator[str]:
    """Ten bars of equal width; a full mark is in the last."""
    graded = _graded(batch)
    counts = Counter(min(int(10 * mark.points / mark.of), 9) for mark in graded if mark.of)
    heights = [90 * counts[i] / max(counts.values(), default=1) for i in range(10)]
    names = [f"{i * 10}–{i * 10 + 10} %" for i in range(10)]
    bars = "".join(
        f'<rect x="{i * 40 + 4}" y="{100 - height:.1f}" width="32" height="{height:.1f}"/>'
        f'<text x="{i * 40 + 20}" y="116">{names[i]}</text>'
        f'<text x="{i * 40 + 20}" y="{96 - height:.1f}">{counts[i] or ""}</text>'
        for i, height in enumerate(heights)
    )
    said = ", ".join(f"{counts[i]} at {names[i]}" for i in range(10) if counts[i])
    yield "<h2>Distribution</h2><p>Learners by their share of the points; full marks are in the last bar.</p>"
    yield f'<svg viewBox="0 -8 404 130" role="img" aria-label="{text(said)}">{bars}</svg>'


def _items(batch: Batch) -> Iterator[str]:
    shares: dict[str, list[float]] = {}
    for item in (item for mark in _graded(batch) for item in mark.items if item.of):
        shares.setdefault(item.name, []).append(item.points / item.of)
    rows = [
        (sum(found) / len(found), name, f"{sum(share == 1 for share in found)} of {len(found)}")
        for name, found in shares.items()
    ]
    yield "<h2>Hardest items first</h2>"
    yield _table_of_means(sorted(rows))


def _table_of_means(rows: list[tuple[float, str, str]]) -> str:
    shown = [(name, f"{100 * mean:.0f} %", full) for mean, name, full in rows]
    return table(("item", "mean share of its points", "full marks"), shown)


def _misunderstandings(batch: Batch) -> Iterator[str]:
    """Counted causes that the checks know by name, and what the comparison itself saw."""
    causes = Counter(
        (item.name, cause)
        for mark in _graded(batch)
        for item in mark.items
        if item.points < item.of
        for cause in _causes(batch.assignment, item)
    )
    yield "<h2>Likely misunderstandings</h2>"
    yield (
        "<p>What the notebook's own checks and the comparison say about answers without full marks. The checks share "
        "a process with the learner's code, so take the names for hints; they carry no marks.</p>"
    )
    rows = [(name, cause, str(count)) for (name, cause), count in causes.most_common(20)]
    yield table(("item", "likely cause", "learners"), rows) if rows else "<p>None: nobody lost points.</p>"


def _causes(assignment: Assignment, item: ItemMark) -> set[str]:
    named = re.findall(r"likely cause: ([^:;\n]{3,80})", item.advice)
    known = {cause.strip() for cause in named if cause.strip() in _check_sources(assignment.exercise.lesson)}
    wrong = next((case for case in item.cases if case.share < 1), None)
    return known or {_kind(wrong) if wrong else "each answer can be read; what they earn together is not all"}


def _kind(case) -> str:
    """What the comparison saw; of an error its kind where Python has such a kind, for its name is the learner's."""
    if case.came is not None or case.why in ("no answer", "not answered", "stopped"):
        return case.why[:80]
    name = case.why.partition(":")[0]
    if re.fullmatch(r"the notebook defines no \w+|stopped after [\d.]+ s|more than \d+ MB|the process ended", case.why):
        return case.why[:80]
    return name if isinstance(getattr(builtins, name, None), type) else "an error of its own"


def _check_sources(lesson: int) -> str:
    """The texts of the modules that name mistakes: a cause that is not in them was made up by a learner's code."""
    paths = (_LESSONS / f"lesson{lesson:02d}" / "checks.py", Path(__file__).with_name("verdict.py"))
    return "\n".join(path.read_text(encoding="utf-8") for path in paths if path.exists())


def _to_read(batch: Batch) -> Iterator[str]:
    """What no machine marks, whole, with what the gate says of it and what a person has given."""
    if not batch.by_person:
        return
    waiting = batch.waiting_for_a_person()
    open_still = sum(batch.given.get(key) is None or batch.given[key].points is None for key in waiting)
    yield (
        f"<h2>For a person to read</h2><p>No machine has marked these, and none can. {open_still} of {len(waiting)} "
        f"wait. Give each line of the rubric 0 to 1 in <code>by_hand.csv</code> ({', '.join(RUBRIC)}), grade again, "
        "and the points are here, in the tables and on the learners' pages.</p>"
    )
    yield from _alike_texts(batch)
    for learner in batch.roster:
        for item in batch.texts(learner.id):
            given = batch.given.get((learner.id, item.name))
            points = "waits" if given is None or given.points is None else f"{number(given.points)} of {len(RUBRIC)}"
            yield f"<h3>{link(learner.id)}, <code>{text(item.name)}</code>: {points}</h3>"
            yield f"<pre>{text(item.cases[0].came['json'][:_PARAGRAPH])}</pre>"
            yield f"<pre>{text(item.advice)}</pre>" if points == "waits" else ""


def _alike_texts(batch: Batch) -> Iterator[str]:
    """Texts that share most of their words, numbers aside: a template that went round, or one source."""
    written: dict[str, dict[str, str]] = {name: {} for name in batch.by_person}
    for learner in batch.roster:
        for item in batch.texts(learner.id):
            written[item.name][learner.id] = item.cases[0].came["json"][:_PARAGRAPH]
    rows = [
        (name, str(len(group.learners)), _members(group.learners), str(group.nodes))
        for name, by_learner in written.items()
        for group in similarity.groups({one: similarity.text_shape(told) for one, told in by_learner.items()})
    ]
    if rows:
        yield (
            "<h3>Texts that are alike</h3><p>They share most of their runs of four words, numbers aside. A question, "
            "and no verdict: read one of each group, and ask.</p>"
        )
        yield table(("item", "learners", "who", "words"), rows)


def _statuses(batch: Batch) -> Iterator[str]:
    yield "<h2>What was odd</h2>"
    rows = [
        (link(learner.id), word, (UNREADABLE | FLAGS)[word])
        for learner in batch.roster
        for word in (batch.marks[learner.id].status, *batch.marks[learner.id].flags)
        if word != "graded"
    ]
    yield table(("learner", "status", "which means"), rows) if rows else "<p>Nothing.</p>"
    late = [(link(learner.id), batch.late(learner.id)) for learner in batch.roster if batch.late(learner.id)]
    if late:
        yield "<h2>Late</h2><p>Being late has changed no points; that is yours to decide.</p>"
        yield table(("learner", "by"), late)
    for told in batch.told_of_shared():
        yield f"<p>Not opened: {text(told)}.</p>"
    if batch.strangers:
        shown = ", ".join(batch.strangers[:50])
        yield f"<p>Nobody's on the roster, so not opened ({len(batch.strangers)}): {text(shown[:2000])}</p>"


def _questions(batch: Batch, groups: list[Group]) -> Iterator[str]:
    """Similar answers, and answers that take the library's own: each may have a good reason."""
    yield "<h2>Questions to look at</h2>"
    yield (
        "<p>These are questions and not verdicts. Working together, a shared source or one natural way to write it can "
        "all be the reason; nothing here has changed a mark. Code is compared without names, comments and layout. In a "
        "short task most honest answers are alike, so a group of many says little; a copy that was rewritten, or that "
        "comes from outside the class, is not seen at all. Groups with much code and few learners come first.</p>"
    )
    rows = [
        (str(len(group.learners)), _members(group.learners), group.how, _same_names(group), str(group.nodes))
        for group in groups[:_MOST_GROUPS]
    ]
    head = ("learners", "who", "how alike", "names alike too", "size in nodes of the syntax tree")
    yield table(head, rows) if rows else "<p>No two answers are alike.</p>"
    if len(groups) > _MOST_GROUPS:
        yield f"<p>{len(groups) - _MOST_GROUPS} more groups stand in <code>alike.csv</code>.</p>"
    taking = [(link(mark.learner), ", ".join(mark.shape.library)) for mark in _graded(batch) if mark.shape.library]
    if taking:
        yield (
            "<h3>Answers that reach into the library</h3><p>What stands in a learner's own code and was not handed "
            "out: parts of lessons_lib, which hold the answer to many an exercise, and ways to reach them unseen.</p>"
        )
        yield table(("learner", "what"), taking)


def _members(learners: tuple[str, ...]) -> Markup:
    more = f" and {len(learners) - 20} more" if len(learners) > 20 else ""
    return Markup(links(learners[:20]) + more)


def _same_names(group: Group) -> Markup:
    if len(group.same_names) == 1 and len(group.same_names[0]) == len(group.learners):
        return Markup("all of them")
    return Markup("; ".join(_members(same) for same in group.same_names[:5])) or Markup("no two")


def _everybody(batch: Batch) -> Iterator[str]:
    yield "<h2>Everybody</h2>"
    rows = []
    for learner in batch.roster:
        mark, by_hand = batch.marks[learner.id], batch.points_by_hand(learner.id)
        points = "" if mark.is_open else f"{number(mark.points)} of {number(mark.of)}"
        hand = "" if by_hand is None else f"{number(by_hand)} of {batch.of_by_hand}"
        rows.append((link(learner.id), learner.name, points, hand, mark.status, batch.late(learner.id)))
    yield table(("learner", "name", "points", "by hand", "status", "late"), rows)
