"""Graded quizzes, one a phase, from the one question bank: a notebook to fill in, its hidden items, and QTI for an LMS.

They ask what no quick check asks, because the quick checks' answers are in the pages. Each learner's ticket draws her
questions from the bank, their order, and the letters of the choices, so that a neighbour's "b" is of no use to her.
Marks come from `grade`, which draws the same from the same ticket.
"""

from __future__ import annotations

import functools
import math
import string
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import yaml

from lessons_lib._installed import CHECKOUT, of_checkout
from lessons_lib.errors import UserError
from lessons_lib.grading import tickets
from lessons_lib.grading.spec import JSON, Exercise, Item
from lessons_lib.quiz import QUESTIONS, Question, load_bank

_OUTLINE = "book/course.yml"


@functools.cache
def phases() -> dict[int, dict]:
    """The course's phases, by number, as the outline has them."""
    return dict(enumerate(yaml.safe_load(of_checkout(_OUTLINE).read_text(encoding="utf-8"))["phases"], 1))


def lessons_of(phase: int) -> list[int]:
    """The numbers of a phase's lessons that have questions."""
    numbers = [lesson["number"] for lesson in phases()[phase]["lessons"]]
    return [number for number in numbers if (QUESTIONS / f"lesson{number:02d}.yaml").exists()]


@functools.cache
def graded_questions(lesson: int) -> list[Question]:
    """The questions of a lesson that no notebook asks: neither its quick check nor one that a notebook names."""
    shown = "".join(path.read_text(encoding="utf-8") for path in (CHECKOUT / "notebooks").rglob("*.ipynb"))
    hidden = [q for q in load_bank(lesson) if not q.quick_check]
    return [q for q in hidden if f'\\"{q.id}\\"' not in shown and f"'{q.id}'" not in shown]


def questions_of(phase: int) -> list[Question]:
    return [question for lesson in lessons_of(phase) for question in graded_questions(lesson)]


def name_of(question: Question) -> str:
    """The name that holds a question's answer in the notebook."""
    return f"q{question.lesson:02d}_{question.id.replace('-', '_')}"


DRAWN = 0.6  # of a lesson's graded questions, rounded up
_LETTERS = "hjkmnpqrstuvwxyz"  # of a drawn quiz's choices; a, b, c … are the bank's own order


def drawn(phase: int, ticket: str) -> list[Question]:
    """The questions of one learner, in her order: as many of each lesson for everybody."""
    numbers = tickets.stream(ticket, f"quiz {phase}")
    found = []
    for lesson in lessons_of(phase):
        questions = graded_questions(lesson)
        found += numbers.sample(questions, math.ceil(DRAWN * len(questions)))
    numbers.shuffle(found)
    return found


def lettered_for(question: Question, ticket: str) -> list[tuple[str, dict]]:
    """The choices in a learner's own order under letters of her own."""
    choices = list(question.fields.get("choices", ()))
    numbers = tickets.stream(ticket, f"letters {question.lesson} {question.id}")
    numbers.shuffle(choices)
    return list(zip(sorted(numbers.sample(_LETTERS, len(choices))), choices, strict=True))


def assignment(phase: int) -> tuple[Exercise, dict]:
    """The quiz of a phase with every question of the bank, as an exercise that draws, and its whole notebook."""
    if phase not in phases():
        raise UserError(f"expected a phase from 1 to {len(phases())}, got {phase}")
    questions = questions_of(phase)
    if not questions:
        raise UserError(f"phase {phase} has no graded questions yet")
    exercise = Exercise(
        lesson=lessons_of(phase)[0],
        notebook=f"quiz_phase_{phase}.ipynb",
        items=tuple(map(_item, questions)),
        draw=partial(_draw, phase),
    )
    return exercise, _notebook(phase, questions, _lettered)


def notebook_for(phase: int, ticket: str) -> dict:
    """One learner's quiz."""
    return _notebook(phase, drawn(phase, ticket), lambda question: lettered_for(question, ticket))


def right_answers(exercise: Exercise) -> tuple[str, ...]:
    """Cells that answer every question of the bank rightly, for the grader's self-test."""
    questions = questions_of(int(exercise.name[-1]))
    return tuple(f"{name_of(question)} = {_right(question)!r}" for question in questions)


def _right(question: Question) -> JSON:
    letters = [letter for letter, choice in _lettered(question) if choice.get("correct")]
    return "".join(letters) or question.fields.get("answer", question.fields.get("answers", [""])[0])


def _item(question: Question) -> Item:
    return Item(name_of(question), 1, judge=partial(_judge, question), explain=partial(_explain, question), own=True)


def _draw(phase: int, ticket: str) -> tuple[Item, ...]:
    return tuple(map(_item, drawn(phase, ticket)))


# ---------------------------------------------------------------- right or wrong


def _judge(question: Question, answer: JSON, case: dict[str, JSON]) -> float:
    if "choices" in question.fields:
        return _judge_letters(_readings(question, case), answer)
    return _JUDGES[question.kind](question.fields, answer)


def _readings(question: Question, case: dict[str, JSON]) -> dict[str, dict]:
    """The choice behind each letter: those of the learner's own quiz, and those of the whole bank's notebook."""
    return dict([*_lettered(question), *lettered_for(question, str(case["ticket"]))])


def _judge_letters(readings: dict[str, dict], answer: JSON) -> float:
    """The share of the right choices, less the share of the wrong ones, not below 0; one right choice, all or nothing.

    Without the floor, letters chosen blindly earn 0 on average, however many they are, and all of them earn exactly
    that. Neither does a letter earn that is not there.
    """
    letters = _letters(answer)
    if not letters or not letters <= set(readings):
        return 0.0
    chosen = [readings[letter] for letter in letters]
    every = {choice["text"]: bool(choice.get("correct")) for choice in readings.values()}
    taken = {choice["text"] for choice in chosen}
    right = {text for text, correct in every.items() if correct}
    wrong = set(every) - right
    if len(right) == 1:
        return float(taken == right)
    return max(0.0, len(taken & right) / len(right) - len(taken & wrong) / max(len(wrong), 1))


def _judge_number(fields: dict, answer: JSON) -> float:
    if isinstance(answer, bool) or not isinstance(answer, (int, float)) or abs(answer) > 1e300:
        return 0.0
    return float(abs(answer - fields["answer"]) <= fields["tolerance"])


def _judge_text(fields: dict, answer: JSON) -> float:
    return float(_plain(answer) in map(_plain, fields["answers"]))


_JUDGES: dict[str, Callable[[dict, JSON], float]] = {
    "number": _judge_number,
    "fill": _judge_text,
}


def _lettered(question: Question) -> list[tuple[str, dict]]:
    """The choices in the bank's order."""
    return list(zip(string.ascii_lowercase, question.fields.get("choices", ()), strict=False))


def _letters(answer: JSON) -> set[str]:
    """The letters of "ac", "a, c" or ["a", "c"]; anything else, or much of it, has none."""
    parts = answer if isinstance(answer, list) else [answer]
    if len(parts) > 26 or not all(isinstance(part, str) and len(part) < 100 for part in parts):
        return set()
    return {letter for letter in "".join(parts).lower() if letter.isalnum()}


def _plain(answer: JSON) -> str:
    """As the quick check compares: case, spaces around and a full stop do not matter."""
    return str(answer).strip().removesuffix(".").strip().casefold()


def _explain(question: Question, answer: JSON, case: dict[str, JSON]) -> str:
    """The question, and why an answer is wrong in the bank's own words."""
    return f"{question.prompt.strip()} — {_why_wrong(question, answer, case)}"


def _why_wrong(question: Question, answer: JSON, case: dict[str, JSON]) -> str:
    fields = question.fields
    if "choices" in fields:
        readings, letters = _readings(question, case), _letters(answer)
        if not letters or not letters <= set(readings):
            return "Expected one or more of the letters of your own quiz."
        chosen = {readings[letter]["text"] for letter in letters}
        wrong = [c["reason"] for c in fields["choices"] if (c["text"] in chosen) != bool(c.get("correct"))]
        return " ".join(wrong)
    same = _JUDGES[question.kind]
    as_key = {"number": lambda m: {**fields, "answer": m}, "fill": lambda m: {"answers": [m]}}[question.kind]
    named = [m["reason"] for m in fields["mistakes"] if same(as_key(m["answer"]), answer)]
    return named[0] if named else fields["otherwise"]


# ---------------------------------------------------------------- the notebook


def _notebook(phase: int, questions: Sequence[Question], lettered: Callable[[Question], list]) -> dict:
    title = phases()[phase]["title"]
    cells = [
        _markdown(
            f"# Quiz {phase} · {title}\n\n{len(questions)} questions, a point each. Fill in the cell below each "
            'question and hand the notebook in. A letter is a text, such as `"k"`; several letters are one text, such '
            'as `"kr"`; a number is a number. Nothing here says whether you are right: your instructor\'s grader does.'
        )
    ]
    for number, question in enumerate(questions, 1):
        cells += [_markdown(_asked(number, question, lettered(question))), _answer_cell(name_of(question))]
    for number, cell in enumerate(cells, 1):
        cell["id"] = f"quiz{phase}-{number:02d}"
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def _asked(number: int, question: Question, lettered: list[tuple[str, dict]]) -> str:
    unit = f" ({question.fields['unit']})" if question.kind == "number" else ""
    choices = "".join(f"\n- **{letter}** {choice['text']}" for letter, choice in lettered)
    several = " Any number of letters." if question.kind == "several" else ""
    return f"**{number}.** *(lesson {question.lesson})* {question.prompt}{unit}{several}\n{choices}".rstrip()


def _markdown(text: str) -> dict:
    return {"cell_type": "markdown", "metadata": {}, "source": text.splitlines(keepends=True)}


def _answer_cell(name: str) -> dict:
    mark = {"cell_type": "code", "grade": False, "grade_id": name, "locked": False, "schema_version": 3}
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {"nbgrader": {**mark, "solution": True, "task": False}},
        "outputs": [],
        "source": [f"{name} = ...  # your answer"],
    }


# ---------------------------------------------------------------- QTI


def write_qti(path: Path, title: str, questions: Sequence[Question]) -> None:
    """A zip that Canvas and other learning platforms import, made by text2qti."""
    from text2qti.config import Config
    from text2qti.err import Text2qtiError
    from text2qti.qti import QTI
    from text2qti.quiz import Quiz

    try:
        quiz = Quiz(qti_text(title, questions), config=Config(), source_name=title)
    except Text2qtiError as error:
        raise UserError(f"text2qti refused the questions: {error}") from None
    path.parent.mkdir(parents=True, exist_ok=True)
    QTI(quiz).save(path)


def qti_text(title: str, questions: Sequence[Question]) -> str:
    """The questions in text2qti's plain text, with the bank's reasons as feedback."""
    return "\n".join([f"Quiz title: {_line(title)}", "", *(_question_text(i, q) for i, q in enumerate(questions, 1))])


def _question_text(number: int, question: Question) -> str:
    fields, lines = question.fields, [f"{number}. {_line(question.prompt)}"]
    if question.kind == "number":
        lines[0] += f" ({fields['unit']})"
    if "choices" in fields:
        several = question.kind == "several"
        for letter, choice in _lettered(question):
            right = "*" if choice.get("correct") else ""
            mark = f"[{right or ' '}]" if several else f"{right}{letter})"
            lines += [f"{mark} {_line(choice['text'])}", f"... {_line(choice['reason'])}"]
    elif question.kind == "number":
        lines += [f"... {_line(fields['reason'])}", f"=   {fields['answer']} +- {fields['tolerance']}"]
    else:
        lines += [f"... {_line(fields['reason'])}", *(f"*   {_line(answer)}" for answer in fields["answers"])]
    return "\n".join([*lines, ""])


def _line(text: str) -> str:
    """One line, with what text2qti's Markdown would read as markup taken literally."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("*", "\\*").replace("_", "\\_").replace("$", "\\$")
