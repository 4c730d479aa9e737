"""Lessons as files: their parts, and the minutes that a reader needs. `make minutes` prints the table.

The count is that of the course's rule: about 200 words of prose a minute, 12 s a code cell, 30 s an explorer, 15 s
a live fine-tune. What follows the link to the exercise (reading depths, takeaways, sources) is not counted.
"""

from __future__ import annotations

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
CODE_SECONDS, EXPLORER_SECONDS, RUN_SECONDS = 12, 30, 15
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
            parts[heading].append((cell.cell_type, pieces[0]))
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
        explorers = sum(bool(EXPLORER.search(text)) for text in code)
        return {
            "words": len(words_of(prose)) + self.question_words,
            "code": len(code) - explorers,
            "explorers": explorers,
            "runs": sum(bool(LIVE_RUN.search(text)) for text in code),
        }

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
        seconds = CODE_SECONDS * counts["code"] + EXPLORER_SECONDS * counts["explorers"] + RUN_SECONDS * counts["runs"]
        return counts["words"] / WORDS_A_MINUTE + seconds / 60

    @property
    def stated(self) -> int:
        """The minutes that the lesson's first cell promises."""
        return int(re.search(r"\*(\d+) minutes", self.cells[0].source)[1])


def words_of(markdown: str) -> list[str]:
    """The words a reader reads: a formula counts as one, addresses and markup as none."""
    text = re.sub(r"<!--.*?-->|<[^>]+>", " ", markdown, flags=re.S)
    text = re.sub(r"\$\$.*?\$\$|\$[^$]+\$", " formula ", text, flags=re.S)
    text = re.sub(r"\]\([^)]*\)", "] ", text)
    return re.findall(r"[^\W_][\w'’.,/-]*", text)


LESSONS = [LessonPage(path) for path in PATHS]


def table() -> str:
    rows = ["lesson  stated  counted  words  code cells  explorers  live runs"]
    for lesson in LESSONS:
        c = lesson.counts
        rows.append(
            f"{lesson.number:6d}  {lesson.stated:6d}  {lesson.minutes:7.1f}  {c['words']:5d}  {c['code']:10d}  "
            f"{c['explorers']:9d}  {c['runs']:9d}"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
