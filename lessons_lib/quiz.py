"""Quick checks: questions answered on the spot, each wrong answer with its reason.

The questions stand in YAML, one bank a lesson, checked against `schema.json` beside them. A `Quiz` is plain
HTML with native form controls, the same in JupyterLab and on the published page; `lessons_lib/client`
brings it to life. In a notebook the output carries that script with it, because a kernel-backed widget would
be dead when the notebook is opened again.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path

import yaml

from lessons_lib._installed import CHECKOUT, of_checkout
from lessons_lib._surroundings import is_published
from lessons_lib.errors import UserError

QUESTIONS = CHECKOUT / "exercises" / "questions"
_KEYS = 'data-lm-suppress-shortcuts="true"'  # JupyterLab leaves the arrow keys and Enter to this element
QUICK_CHECK = ("choice", "number", "fill")  # what the three questions at a lesson's end are


@dataclass(frozen=True)
class Question:
    """One question of a bank: `kind` is choice, several, number or fill; `fields` holds what the kind has."""

    id: str
    lesson: int
    claim: str
    kind: str
    prompt: str
    quick_check: bool
    fields: dict


def load_bank(lesson: int, folder: Path = QUESTIONS) -> list[Question]:
    """Every question of a lesson's bank; a UserError names file, question and field where one is wrong."""
    if folder == QUESTIONS:
        of_checkout("exercises/questions")
    path = Path(folder) / f"lesson{lesson:02d}.yaml"
    if not path.exists():
        raise UserError(f"{path}: expected the question bank of lesson {lesson}, found no such file")
    try:
        bank = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UserError(f"{path.name}: expected YAML, got a mistake in it: {error}") from None
    schema = json.loads((QUESTIONS / "schema.json").read_text(encoding="utf-8"))
    _validate(bank, schema, path.name)
    if bank["lesson"] != lesson:
        raise UserError(f"{path.name}: field lesson: expected {lesson} as in the file's name, got {bank['lesson']}")
    for entry in bank["questions"]:
        where = f"{path.name}, question {entry['id']!r}"
        _validate(entry, schema | {"$ref": f"#/$defs/{entry['kind']}"}, where)
        _check_sense(entry, bank["claims"], where)
    _check_bank(bank["questions"], path.name)
    return [_question(lesson, entry) for entry in bank["questions"]]


def _jsonschema():
    """The package, without its grammar of internationalised addresses: seconds to build, and no bank asks for it."""
    grammar = "rfc3987_syntax"
    blocked = "jsonschema" not in sys.modules and sys.modules.setdefault(grammar, None) is None
    try:
        import jsonschema
    finally:
        if blocked:
            del sys.modules[grammar]
    return jsonschema


def _validate(value, schema: dict, where: str) -> None:
    jsonschema = _jsonschema()
    schema = {"$defs": schema["$defs"], "$ref": schema["$ref"]} if "$ref" in schema else schema
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(value))
    if error:
        field = "/".join(map(str, error.absolute_path)) or "(top)"
        raise UserError(f"{where}, field {field}: {error.message}; schema.json beside the banks says what is expected")


def _check_sense(entry: dict, claims: dict, where: str) -> None:
    """What a schema cannot say."""
    if entry["claim"] not in claims:
        raise UserError(f"{where}, field claim: expected one of {', '.join(claims)}, got {entry['claim']!r}")
    correct = sum(choice.get("correct", False) for choice in entry.get("choices", ()))
    if entry["kind"] == "choice" and correct != 1:
        raise UserError(f"{where}, field choices: expected one correct choice, got {correct}")
    if entry["kind"] == "several" and not 0 < correct < len(entry["choices"]):
        raise UserError(f"{where}, field choices: expected correct choices and wrong ones, got {correct} correct")
    for mistake in entry.get("mistakes", ()):
        if _is_right(entry, mistake["answer"]):
            raise UserError(
                f"{where}, field mistakes: expected wrong answers, but {mistake['answer']!r} counts as right"
            )


def _is_right(entry: dict, answer) -> bool:
    if entry["kind"] == "number":
        return abs(answer - entry["answer"]) <= entry["tolerance"]
    return str(answer).casefold() in [accepted.casefold() for accepted in entry["answers"]]


def _check_bank(entries: list[dict], name: str) -> None:
    ids = [entry["id"] for entry in entries]
    twice = sorted({i for i in ids if ids.count(i) > 1})
    if twice:
        raise UserError(f"{name}: expected each question id once, got {', '.join(twice)} more than once")
    kinds = [entry["kind"] for entry in entries if entry.get("quick_check")]
    if sorted(kinds) != sorted(QUICK_CHECK):
        found = ", ".join(kinds) or "none"
        raise UserError(f"{name}: expected quick_check on one choice, one number and one fill, got {found}")


def _question(lesson: int, entry: dict) -> Question:
    common = {key: entry[key] for key in ("id", "claim", "kind", "prompt")}
    fields = {key: value for key, value in entry.items() if key not in (*common, "quick_check")}
    return Question(lesson=lesson, quick_check=entry.get("quick_check", False), fields=fields, **common)


class Quiz:
    """Questions shown together. In a notebook: `Quiz.from_bank(5)` as the last line of a cell."""

    def __init__(self, questions: Sequence[Question], name: str):
        self.questions, self.name = list(questions), name

    @classmethod
    def from_bank(cls, lesson: int, ids: Sequence[str] | None = None, folder: Path = QUESTIONS) -> Quiz:
        """A lesson's quick check, or the questions named by `ids` in that order."""
        bank = {question.id: question for question in load_bank(lesson, folder)}
        if ids is None:
            return cls([q for q in bank.values() if q.quick_check], f"quiz-lesson{lesson:02d}")
        missing = [i for i in ids if i not in bank]
        if missing:
            raise UserError(f"lesson {lesson} has no question {', '.join(missing)}; it has {', '.join(bank)}")
        return cls([bank[i] for i in ids], f"quiz-lesson{lesson:02d}-{'-'.join(ids)}")

    def html(self) -> str:
        """The markup both places share, the same at every run; the script comes from the page."""
        forms = "".join(_form(self.name, question) for question in self.questions)
        keys = ("choices", "answer", "answers", "tolerance", "unit", "mistakes", "reason", "otherwise")
        data = [
            {"id": q.id, "kind": q.kind, "mistakes": []} | {k: v for k, v in q.fields.items() if k in keys}
            for q in self.questions
        ]
        text = json.dumps({"kind": "quiz", "questions": data}, ensure_ascii=False).replace("</", "<\\/")
        return (
            f'<section class="lq" id="{self.name}" aria-label="Quick check">{forms}'
            "<noscript><p>Checking answers needs JavaScript.</p></noscript>"
            f'<script type="application/json">{text}</script></section>'
        )

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        text = "\n\n".join(f"{i}. {q.prompt}" for i, q in enumerate(self.questions, 1))
        return {"text/html": self.html() if is_published() else self.html() + client(), "text/plain": text}


def client() -> str:
    """The script and the style for an output that stands alone."""
    folder = files("lessons_lib") / "client"
    style = (folder / "lessons.css").read_text(encoding="utf-8")
    script = (folder / "lessons.mjs").read_text(encoding="utf-8")
    return f'<style>{style}</style><script type="module">{script}</script>'


def _form(quiz: str, question: Question) -> str:
    name = f"{quiz}-{question.id}"
    kind = {"choice": _choices, "several": _choices, "number": _text_field, "fill": _text_field}[question.kind]
    return (
        f'<form id="{name}" autocomplete="off"><fieldset disabled>'
        f"<legend>{marked(question.prompt)}</legend>{kind(name, question)}"
        f'<div class="lq-check"><button type="submit" {_KEYS}>Check</button><div role="status"></div></div>'
        "</fieldset></form>"
    )


def _choices(name: str, question: Question) -> str:
    kind = "radio" if question.kind == "choice" else "checkbox"
    texts = [marked(choice["text"]) for choice in question.fields["choices"]]
    return "".join(
        f'<label class="lq-choice"><input type="{kind}" name="{name}" value="{i}" {_KEYS}><span>{text}</span></label>'
        for i, text in enumerate(texts)
    )


def _text_field(name: str, question: Question) -> str:
    mode = ' inputmode="decimal"' if question.kind == "number" else ""
    unit = f" {escape(question.fields['unit'])}" if question.kind == "number" else ""
    return (
        f'<label><span class="lx-hidden">Your answer</span>'
        f'<input type="text" name="{name}"{mode} spellcheck="false" {_KEYS}>{unit}</label>'
    )


def marked(text: str) -> str:
    """Escaped text with `code` in backticks."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
