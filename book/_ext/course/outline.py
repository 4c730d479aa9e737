"""The course's phases and lessons, from `book/course.yml`, joined with the notebooks that exist."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml
from docutils import nodes
from sphinx.util.docutils import SphinxRole

FILE = Path(__file__).parents[2] / "course.yml"


@dataclass(frozen=True)
class Lesson:
    """One lesson: its place, its title, the stated minutes, its claim, and its page if it is published.

    `method` is the key of the method that the lesson is about, if it is about one.
    """

    number: int
    title: str
    minutes: int
    claim: str
    phase: int
    docname: str | None
    method: str = ""


@dataclass(frozen=True)
class Phase:
    number: int
    title: str
    goal: str
    lessons: tuple[Lesson, ...]

    @cached_property
    def minutes(self) -> int:
        return sum(lesson.minutes for lesson in self.lessons)


def read_outline(docnames: set[str]) -> tuple[Phase, ...]:
    """The four phases. A lesson is published if one of `docnames` is a notebook that carries its number."""
    pages = {int(m[1]): name for name in docnames if (m := re.match(r"notebooks/phase_\d\w*/(\d\d)_\w+$", name))}
    phases = yaml.safe_load(FILE.read_text(encoding="utf-8"))["phases"]
    return tuple(
        Phase(
            number,
            phase["title"],
            phase["goal"],
            tuple(Lesson(**lesson, phase=number, docname=pages.get(lesson["number"])) for lesson in phase["lessons"]),
        )
        for number, phase in enumerate(phases, start=1)
    )


class LessonReference(nodes.inline):
    """Stands for "lesson N" until it is known whether that lesson is published."""


class LessonRole(SphinxRole):
    """``{lesson}`5` ``: "lesson 5", a link as soon as there is a page to link to."""

    def run(self):
        return [LessonReference(number=int(self.text))], []


def _load(app, env):
    env.course_phases = read_outline(env.found_docs)


def _resolve(app, doctree, docname):
    pages = {lesson.number: lesson.docname for phase in app.env.course_phases for lesson in phase.lessons}
    for node in list(doctree.findall(LessonReference)):
        text = nodes.Text(f"lesson\N{NO-BREAK SPACE}{node['number']}")
        if target := pages[node["number"]]:
            text = nodes.reference("", "", text, refuri=app.builder.get_relative_uri(docname, target), internal=True)
        node.replace_self(text)


def setup(app):
    app.add_node(LessonReference)
    app.add_role("lesson", LessonRole())
    app.connect("env-updated", _load)
    app.connect("doctree-resolved", _resolve, priority=400)  # before the glossary's links
