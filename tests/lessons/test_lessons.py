"""Lessons as they are written: one skeleton, the stated minutes, links that lead somewhere, no outputs."""

import re

import nbformat
import pytest
import yaml
from lesson_pages import LESSONS, ROOT

from lessons_lib.quiz import load_bank

OUTLINE = yaml.safe_load((ROOT / "book" / "course.yml").read_text(encoding="utf-8"))["phases"]
BY_NUMBER = {lesson["number"]: lesson for phase in OUTLINE for lesson in phase["lessons"]}
FIXED_PARTS = ("The idea", "Move it yourself", "Where it breaks", "Quick check", "Exercise", "Three reading depths")
SLACK = 1.0  # minutes between the count and what the lesson promises
FLAT_WORDS = re.compile(r"\b(simply|obviously|trivially|of course)\b", re.I)

each_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.path.stem)


def markdown_of(lesson) -> str:
    return "\n\n".join(cell.source for cell in lesson.cells if cell.cell_type == "markdown")


@each_lesson
def test_its_title_is_that_of_the_outline(lesson):
    stated = BY_NUMBER[lesson.number]
    assert lesson.cells[0].source.startswith(f"# {lesson.number} · {stated['title']}\n")
    assert lesson.stated == stated["minutes"]


@each_lesson
def test_it_has_the_parts_of_the_skeleton_in_order(lesson):
    headings = list(lesson.parts)
    places = [headings.index(name) for name in FIXED_PARTS]
    assert places == sorted(places), headings
    assert headings[1].startswith("The "), f"the second part shows the failure or the question: {headings[1]}"
    assert any(name.startswith("Key takeaways") for name in headings), headings
    text = markdown_of(lesson)
    assert "**Sources.**" in text and "**Next**" in text
    assert "Afterwards you can" in lesson.cells[0].source
    assert text.count('<details class="depth">') == 3
    opening = "".join(cell.source for cell in lesson.cells[:2])
    assert lesson.number == 1 or "Recall" in opening, "it opens with a question about an earlier lesson"


@each_lesson
def test_something_is_seen_in_the_first_screen(lesson):
    kinds = [cell.cell_type for cell in lesson.cells]
    assert "code" in kinds[:3], "a number or a picture comes before the explanation"


@each_lesson
def test_it_is_read_in_the_stated_minutes(lesson):
    assert abs(lesson.minutes - lesson.stated) <= SLACK, f"{lesson.minutes:.1f} counted, {lesson.stated} stated"


@each_lesson
def test_it_marks_what_its_claims_rest_on(lesson):
    text = markdown_of(lesson).lower()
    for mark in ("measured here", "reported", "our judgement"):
        assert mark in text, f"no claim is marked {mark!r}"
    assert not FLAT_WORDS.findall(text)


@each_lesson
def test_its_numbers_are_held_by_an_assert(lesson):
    assert any(re.search(r"^\s*assert ", cell.source, re.M) for cell in lesson.cells if cell.cell_type == "code")


@each_lesson
def test_it_has_an_explorer_a_quick_check_and_an_exercise(lesson):
    code = "\n".join(cell.source for cell in lesson.cells if cell.cell_type == "code")
    assert f"lessons_lib.lessons.lesson{lesson.number:02d}.explorer import" in code
    assert f"Quiz.from_bank({lesson.number})" in code
    assert sum(question.quick_check for question in load_bank(lesson.number)) == 3
    assert f"exercises/{lesson.number:02d}_" in markdown_of(lesson)


@each_lesson
def test_no_formula_lost_its_backslash(lesson):
    """A backslash that a string swallowed leaves a control character: \\beta becomes a backspace and "eta"."""
    assert not re.findall(r"[\x00-\x09\x0b-\x1f]\S*", "".join(cell.source for cell in lesson.cells))


@each_lesson
def test_its_cells_are_named_and_short(lesson):
    ids = [cell.id for cell in lesson.cells]
    assert len(set(ids)) == len(ids) and all(i.startswith(f"l{lesson.number:02d}-") for i in ids)


def test_every_notebook_is_in_the_table_of_contents_and_on_the_start_page():
    toc = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    start = "".join(cell.source for cell in nbformat.read(ROOT / "notebooks" / "start.ipynb", as_version=4).cells)
    for lesson in LESSONS:
        inside = lesson.path.relative_to(ROOT).with_suffix("")
        assert str(inside) in toc and str(lesson.path.relative_to(ROOT / "notebooks")) in start


def test_the_start_page_says_how_long_a_lesson_takes(root):
    minutes = [
        int(n) for n in re.findall(r"minutes: (\d+)", (root / "book" / "course.yml").read_text(encoding="utf-8"))
    ]
    words = {9: "nine", 10: "ten", 11: "eleven", 12: "twelve"}
    said = f"lessons of {words[min(minutes)]} to {words[max(minutes)]} minutes"
    assert said in (root / "book" / "index.md").read_text(encoding="utf-8")
