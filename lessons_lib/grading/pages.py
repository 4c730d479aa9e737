"""What people read after grading: a page for each learner, and the report on the class. Static HTML, no script.

Everything that came out of a submission is escaped and cut; nothing here is executed, and the pages load nothing.
"""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lessons_lib.grading import similarity, verdict
from lessons_lib.grading.assignments import Assignment
from lessons_lib.grading.marking import CaseMark, ItemMark, Mark
from lessons_lib.grading.spec import JSON
from lessons_lib.grading.submissions import FLAGS, UNREADABLE, Learner, Submission

_LONGEST = 400  # characters of one value shown
_PARAGRAPH = 4000  # characters of a text that a person reads
_LESSONS = Path(verdict.__file__).parents[1] / "lessons"


@dataclass(frozen=True)
class Batch:
    """One exercise of one class, graded."""

    assignment: Assignment
    roster: Sequence[Learner]
    submissions: Mapping[str, Submission]
    marks: Mapping[str, Mark]
    strangers: Sequence[str] = ()


def write(folder: Path, batch: Batch) -> Path:
    """Every learner's page into `folder`/feedback and the report on the class beside it; the report's path."""
    (folder / "feedback").mkdir(parents=True, exist_ok=True)
    for learner in batch.roster:
        page = feedback(batch.assignment, learner, batch.marks[learner.id])
        (folder / "feedback" / f"{learner.id}.html").write_text(page, encoding="utf-8")
    report = folder / "report.html"
    report.write_text(class_report(batch), encoding="utf-8")
    return report


# ---------------------------------------------------------------- one learner


def feedback(assignment: Assignment, learner: Learner, mark: Mark) -> str:
    """What a learner gets back: her points, and for each item that is not full what happened and where to look."""
    title = f"{assignment.exercise.name}: {_number(mark.points)} of {_number(mark.of)} points"
    body = [f"<h1>{_text(title)}</h1><p class=quiet>{_text(learner.name or learner.id)}</p>"]
    if mark.status in UNREADABLE:
        body.append(f"<p class=answer><strong>{_text(UNREADABLE[mark.status])}</strong> Nothing could be marked.</p>")
        return _page(title, body)
    body += [f"<p class=answer>{_text(FLAGS[flag])}</p>" for flag in mark.flags]
    body += [f"<pre>{_text(error)}</pre>" for error in mark.errors]
    body += [part for item in mark.items for part in _item(item)]
    body.append(
        "<p class=quiet>The inputs were drawn for you alone; others had other numbers. The answers were compared "
        "outside your code. If you think a mark is wrong, show this page to your instructor.</p>"
    )
    return _page(title, body)


def _item(item: ItemMark) -> Iterator[str]:
    if not item.of:  # a person's to mark
        yield f"<h2><code>{_text(item.name)}</code>: not marked by machine</h2><pre>{_text(item.advice)}</pre>"
        return
    yield f"<h2><code>{_text(item.name)}</code>: {_number(item.points)} of {_number(item.of)}</h2>"
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
        yield f"<p>The check in the notebook says about your code:</p><pre>{_text(item.advice)}</pre>"
    elif item.advice:
        yield f"<p>{_text(item.advice)}</p>"


def _case(case: CaseMark) -> str:
    rows = [(name, _shown(value)) for name, value in (case.case or {}).items()]
    if case.right is not None and case.case is not None:  # a plain value's answer is the same for everybody
        rows.append(("expected", _shown(case.right.get("json", case.right.get("tensor")))))
    came = "nothing" if case.came is None else _shown(case.came.get("json", case.came.get("tensor")))
    rows += [("your answer", came), ("what is wrong", case.why)]
    return _table((), rows)


# ---------------------------------------------------------------- the class


def class_report(batch: Batch) -> str:
    """How the class did, where it stumbled, and what a person should look at."""
    title = f"{batch.assignment.exercise.name}: the class"
    sections = (_outcome, _distribution, _items, _misunderstandings, _to_read, _statuses, _questions)
    return _page(title, [f"<h1>{_text(title)}</h1>", *(part for section in sections for part in section(batch))])


def _graded(batch: Batch) -> list[Mark]:
    return [batch.marks[learner.id] for learner in batch.roster if batch.marks[learner.id].status == "graded"]


def _outcome(batch: Batch) -> Iterator[str]:
    graded, of = _graded(batch), max((mark.of for mark in batch.marks.values()), default=0)
    points = sorted(mark.points for mark in graded)
    middle = _number((points[(len(points) - 1) // 2] + points[len(points) // 2]) / 2) if points else "none"
    yield (
        f"<p class=answer>{len(graded)} of {len(batch.roster)} learners handed in a notebook that could be marked. "
        f"Their median is {middle} of {_number(of)} points.</p>"
    )


def _distribution(batch: Batch) -> Iterator[str]:
    """Ten bars of equal width; a full mark is in the last."""
    graded = _graded(batch)
    counts = Counter(min(int(10 * mark.points / mark.of), 9) for mark in graded if mark.of)
    heights = [90 * counts[i] / max(counts.values(), default=1) for i in range(10)]
    bars = "".join(
        f'<rect x="{i * 40 + 4}" y="{100 - height:.1f}" width="32" height="{height:.1f}"/>'
        f'<text x="{i * 40 + 20}" y="116">{i * 10} %</text>'
        f'<text x="{i * 40 + 20}" y="{96 - height:.1f}">{counts[i] or ""}</text>'
        for i, height in enumerate(heights)
    )
    said = ", ".join(f"{counts[i]} from {i * 10} %" for i in range(10) if counts[i])
    yield "<h2>Distribution</h2><p>Learners by their share of the points, in steps of a tenth.</p>"
    yield f'<svg viewBox="0 -8 404 130" role="img" aria-label="{_text(said)}">{bars}</svg>'


def _items(batch: Batch) -> Iterator[str]:
    graded = _graded(batch)
    rows = []
    for number, item in enumerate(batch.assignment.exercise.items):
        shares = [mark.items[number].points / item.points for mark in graded if item.points]
        if shares:
            mean, full = sum(shares) / len(shares), sum(share == 1 for share in shares)
            rows.append((mean, item.name, f"{100 * mean:.0f} %", f"{full} of {len(shares)}"))
    yield "<h2>Hardest items first</h2>"
    yield _table(("item", "mean share of its points", "full marks"), [row[1:] for row in sorted(rows)])


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
    yield _table(("item", "likely cause", "learners"), rows) if rows else "<p>None: nobody lost points.</p>"


def _causes(assignment: Assignment, item: ItemMark) -> set[str]:
    named = re.findall(r"likely cause: ([^:;\n]{3,80})", item.advice)
    known = {cause.strip() for cause in named if cause.strip() in _check_sources(assignment.exercise.lesson)}
    seen = next(case.why for case in item.cases if case.share < 1)
    return known or {seen.partition(":")[0][:80]}  # of an error its kind; its text is the learner's


def _check_sources(lesson: int) -> str:
    """The texts of the modules that name mistakes: a cause that is not in them was made up by a learner's code."""
    paths = (_LESSONS / f"lesson{lesson:02d}" / "checks.py", Path(verdict.__file__))
    return "\n".join(path.read_text(encoding="utf-8") for path in paths if path.exists())


def _to_read(batch: Batch) -> Iterator[str]:
    """What no machine marks, whole, with what the gate says of it."""
    waiting = [item.name for item in batch.assignment.exercise.items if item.person]
    if not waiting:
        return
    yield "<h2>For a person to read</h2><p>No machine has marked these, and none can. The points are yours to give.</p>"
    for mark in _graded(batch):
        for item in mark.items:
            if item.name in waiting and (came := item.cases[0].came):
                text = came.get("json")
                body = f"<pre>{_text(str(text)[:_PARAGRAPH])}</pre>" if isinstance(text, str) else ""
                yield f"<h3>{_text(mark.learner)}, <code>{item.name}</code></h3>{body}<pre>{_text(item.advice)}</pre>"


def _statuses(batch: Batch) -> Iterator[str]:
    yield "<h2>What was odd</h2>"
    rows = [
        (learner.id, word, (UNREADABLE | FLAGS)[word])
        for learner in batch.roster
        for word in (*[batch.marks[learner.id].status], *batch.marks[learner.id].flags)
        if word != "graded"
    ]
    yield _table(("learner", "status", "which means"), rows) if rows else "<p>Nothing.</p>"
    if batch.strangers:
        shown = ", ".join(batch.strangers[:50])
        yield f"<p>Not on the roster, so not opened ({len(batch.strangers)}): {_text(shown[:2000])}</p>"


def _questions(batch: Batch) -> Iterator[str]:
    """Similar answers, and answers that call the library's own: each may have a good reason."""
    answers = {name: s.answers for name, s in batch.submissions.items() if s.status == "read"}
    pairs = similarity.alike(answers, batch.assignment.given)
    yield "<h2>Questions to look at</h2>"
    yield (
        "<p>These are questions and not verdicts. Working together, a shared source or one natural way to write it can "
        "all be the reason; nothing here has changed a mark.</p>"
    )
    rows = [(a, b, f"{100 * part:.0f} % of what is unusual in their answers") for a, b, part in pairs[:30]]
    rows += [(a, b, "the very same file") for a, b in _same_files(batch)]
    yield _table(("learner", "learner", "what they share"), rows) if rows else "<p>No two answers stand out.</p>"
    calling = sorted(name for name, sources in answers.items() if _calls_library("\n".join(sources)))
    if calling:
        yield f"<p>Answers that mention the library's own losses or textbook: {_text(', '.join(calling))}</p>"


def _same_files(batch: Batch) -> list[tuple[str, str]]:
    by_digest: dict[str, list[str]] = {}
    for learner in batch.roster:
        submission = batch.submissions[learner.id]
        if set(submission.answers) - set(batch.assignment.given):  # not as it was handed out
            by_digest.setdefault(submission.digest, []).append(learner.id)
    return [(same[0], other) for same in by_digest.values() for other in same[1:]]


def _calls_library(source: str) -> bool:
    return bool(re.search(r"lessons_lib(\.| import )\W*(losses|textbook)\b", source))


# ---------------------------------------------------------------- HTML


def _number(value: float) -> str:
    return f"{value:.4g}"


def _shown(value: JSON) -> str:
    if isinstance(value, dict) and set(value) in ({"tensor"}, {"facts"}):
        value = next(iter(value.values()))
    text = value if isinstance(value, str) else json.dumps(_rounded(value), ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


def _rounded(value: JSON) -> JSON:
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    heading = "".join(f'<th scope="col">{_text(name)}</th>' for name in head)
    cells = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class=wide><table><thead><tr>{heading}</tr></thead><tbody>{cells}</tbody></table></div>"


def _text(value: object) -> str:
    """Escaped, and without what UTF-8 or a browser cannot show."""
    text = str(value).encode("utf-8", "replace").decode()
    return html.escape(re.sub(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", "�", text))


def _page(title: str, body: Iterable[str]) -> str:
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{_text(title)}</title>
<style>{_STYLE}</style></head><body>
{"".join(body)}
</body></html>
"""


_STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem;
  color: light-dark(#1c1c1c, #e4e4e4); background: light-dark(#fff, #161616) }
h1 { font-size: 1.6rem; line-height: 1.25 } h2 { margin: 2rem 0 .5rem; font-size: 1.2rem }
.answer { border-left: 4px solid light-dark(#0072b2, #56b4e9); padding: .3rem 1rem;
  background: light-dark(#f2f7fb, #1d2730) }
pre { white-space: pre-wrap; overflow-wrap: anywhere; padding: .6rem 1rem; background: light-dark(#f5f5f5, #222) }
.wide { overflow-x: auto } table { border-collapse: collapse; font-size: .9rem }
th, td { text-align: left; vertical-align: top; padding: .3rem 1.2rem .3rem 0; overflow-wrap: anywhere;
  border-bottom: 1px solid light-dark(#ddd, #3a3a3a) }
.quiet { color: light-dark(#5a5a5a, #a5a5a5) }
svg { max-width: 34rem; width: 100%; display: block; fill: light-dark(#0072b2, #56b4e9) }
svg text { font-size: 9px; text-anchor: middle; fill: currentColor }
"""
