"""Lessons as files: their parts, and the minutes that a reader needs. `make minutes` prints the table.

Counted are 200 words of prose a minute, 3 s for each line of code that is shown and 3 s for a folded cell, a minute
an explorer (its prediction and two or three things to try), 20 s of thought a question of the quick check, and the
seconds that cells take to run, as `tests/notebook_times.py` measured them. What follows the link to the exercise
(reading depths, takeaways, sources) is not counted, and neither is what is folded behind "go deeper".
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbformat
import yaml

ROOT = Path(__file__).resolve().parents[1]
PATHS = sorted((ROOT / "notebooks").glob("phase_*/[0-9][0-9]_*.ipynb"))
WORDS_A_MINUTE = 200
LINE_SECONDS, FOLDED_SECONDS, EXPLORER_SECONDS, QUESTION_SECONDS = 3, 3, 60, 20
UNMEASURED_RUN_SECONDS = 15  # of a live fine-tune whose notebook was not timed
WAITS = Path(__file__).with_name("notebook_seconds.json")  # notebook -> cell id -> seconds
LAST_COUNTED = "Exercise"
EXPLORER = re.compile(r"lessons_lib\.(explorers|lessons\.\w+\.explorer)\b")
LIVE_RUN = re.compile(r"studies\.run\(|\btrain\(|measure\w*\(")


@dataclass(frozen=True)
class LessonPage:
    """One lesson's notebook, cut at its second-level headings."""

    path: Path

    @property
    def number(self) -> int:
        return int(self.path.name[:2])

    @cached_property
    def cells(self) -> list:
        return nbformat.read(self.path, as_version=4).cells

    @cached_property
    def parts(self) -> dict[str, list]:
        """Heading -> the cells under it; what stands before the first heading is under ""."""
        parts, heading = {"": []}, ""
        for cell in self.cells:
            pieces = re.split(r"^## (.+)$", cell.source, flags=re.M) if cell.cell_type == "markdown" else [cell.source]
            parts[heading].append((kind_of(cell), pieces[0]))
            for title, text in zip(pieces[1::2], pieces[2::2], strict=True):
                heading = title.strip()
                parts.setdefault(heading, []).append(("markdown", text))
        return parts

    @cached_property
    def counted(self) -> list:
        """The (kind, text) pieces of the parts whose reading time counts."""
        names = list(self.parts)
        return [piece for name in names[: names.index(LAST_COUNTED) + 1] for piece in self.parts[name]]

    @cached_property
    def counts(self) -> dict[str, int]:
        """Words, code cells, explorers and live runs of the counted parts."""
        prose = " ".join(text for kind, text in self.counted if kind == "markdown")
        code = [text for kind, text in self.counted if kind == "code"]
        shown = [text for text in code if not EXPLORER.search(text)]
        return {
            "words": len(words_of(prose)) + self.question_words,
            "lines": sum(bool(line.strip()) for text in shown for line in text.splitlines()),
            "folded": sum(kind == "folded" for kind, _ in self.counted),
            "explorers": len(code) - len(shown),
            "waits": round(self.waits),
        }

    @cached_property
    def waits(self) -> float:
        """Seconds that the notebook's cells take to run."""
        measured = json.loads(WAITS.read_text(encoding="utf-8")).get(self.path.stem)
        if measured:
            return sum(measured.values())
        return UNMEASURED_RUN_SECONDS * sum(
            bool(LIVE_RUN.search(text)) for kind, text in self.counted if kind != "markdown"
        )

    @cached_property
    def question_words(self) -> int:
        """Words of the three questions of the quick check, choices included."""
        path = ROOT / "exercises" / "questions" / f"lesson{self.number:02d}.yaml"
        asked = [q for q in yaml.safe_load(path.read_text(encoding="utf-8"))["questions"] if q.get("quick_check")]
        texts = [text for q in asked for text in (q["prompt"], *(c["text"] for c in q.get("choices", ())))]
        return len(words_of(" ".join(texts)))

    @cached_property
    def minutes(self) -> float:
        counts = self.counts
        reading = LINE_SECONDS * counts["lines"] + FOLDED_SECONDS * counts["folded"]
        trying = EXPLORER_SECONDS * counts["explorers"] + 3 * QUESTION_SECONDS
        return counts["words"] / WORDS_A_MINUTE + (reading + trying + counts["waits"]) / 60

    @property
    def stated(self) -> int:
        """The minutes that the lesson's first cell promises."""
        return int(re.search(r"\*(\d+) minutes", self.cells[0].source)[1])


def kind_of(cell) -> str:
    """ "markdown", "code", or "folded" for code that stays closed until a reader opens it."""
    return "folded" if cell.cell_type == "code" and "hide-input" in cell.metadata.get("tags", ()) else cell.cell_type


def words_of(markdown: str) -> list[str]:
    """The words a reader reads: a formula counts as one, addresses, markup and what is folded as none."""
    markdown = re.sub(r"<details.*?</details>", " ", markdown, flags=re.S)
    text = re.sub(r"<!--.*?-->|<[^>]+>", " ", markdown, flags=re.S)
    text = re.sub(r"\$\$.*?\$\$|\$[^$]+\$", " formula ", text, flags=re.S)
    text = re.sub(r"\]\([^)]*\)", "] ", text)
    return re.findall(r"[^\W_][\w'’.,/-]*", text)


LESSONS = [LessonPage(path) for path in PATHS]


def table() -> str:
    rows = ["lesson  stated  counted  words  lines  folded  explorers  waits (s)"]
    for lesson in LESSONS:
        c = lesson.counts
        rows.append(
            f"{lesson.number:6d}  {lesson.stated:6d}  {lesson.minutes:7.1f}  {c['words']:5d}  {c['lines']:5d}  "
            f"{c['folded']:6d}  {c['explorers']:9d}  {c['waits']:9d}"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
