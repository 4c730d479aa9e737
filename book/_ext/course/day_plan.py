"""``{day-plan}``: a lesson a day as a table, made from the outline and the exercises while building."""

from __future__ import annotations

import json
import re
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from course.outline import read_outline

EXERCISES = Path(__file__).parents[3] / "exercises"


def exercise_minutes(number: int, folder: Path = EXERCISES) -> int | None:
    """What the first cell of a lesson's exercise says it takes, or None where there is no exercise."""
    for path in folder.glob(f"{number:02d}_*.ipynb"):
        first = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
        if minutes := re.search(r"about (\d+) minutes", first):
            return int(minutes[1])
    return None


class DayPlan(SphinxDirective):
    """Day, lesson, its minutes and those of its exercise."""

    def run(self):
        lines = ["| Day | Lesson | Reading | Exercise |", "|---|---|---|---|"]
        for phase in read_outline(set()):
            for lesson in phase.lessons:
                own = exercise_minutes(lesson.number)
                exercise = f"{own} min" if own else "–"
                title = f"{{lesson}}`{lesson.number}`: {lesson.title}"
                lines.append(f"| {lesson.number} | {title} | {lesson.minutes} min | {exercise} |")
        box = nodes.container()
        self.state.nested_parse(StringList(lines, source="book/course.yml"), self.content_offset, box)
        return [box]


def setup(app):
    app.add_directive("day-plan", DayPlan)
