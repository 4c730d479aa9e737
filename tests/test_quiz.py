"""Quick checks: the bank and its schema, keys recomputed, the markup."""

from __future__ import annotations

import copy
import itertools
import json
import math
import re
import statistics

import pytest
import yaml

from lessons_lib import textbook
from lessons_lib.errors import UserError
from lessons_lib.grading import quizzes
from lessons_lib.quiz import QUESTIONS, Quiz, load_bank, marked

LESSONS = sorted(int(path.stem.removeprefix("lesson")) for path in QUESTIONS.glob("lesson*.yaml"))
COMPUTED = [q for lesson in LESSONS for q in load_bank(lesson) if "computed" in q.fields]


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_bank_holds_and_has_its_quick_check(lesson):
    bank = load_bank(lesson)
    assert len(bank) >= 6
    assert sorted(q.kind for q in Quiz.from_bank(lesson).questions) == ["choice", "fill", "number"]


@pytest.mark.parametrize("question", COMPUTED, ids=lambda q: f"{q.lesson}-{q.id}")
def test_a_computable_key_is_what_the_formula_gives(question):
    value = eval(question.fields["computed"], {"math": math, "textbook": textbook})
    assert abs(value - question.fields["answer"]) <= question.fields["tolerance"]


def test_lesson_5_has_computed_keys():
    assert {q.id for q in COMPUTED if q.lesson == 5} == {
        "target-margin",
        "first-gradient",
        "two-answers",
        "averaged-tau",
    }


# ---------------------------------------------------------------- who guesses learns nothing of it

EVERY = [question for lesson in LESSONS for question in load_bank(lesson)]
NEAR = 0.12  # how far a guesser's share of right answers may lie from chance's, either way


def by_length(place: int):
    """The option at a place of the order by length, longest first; options of one length share it."""
    return lambda texts: [i for i, t in enumerate(texts) if len(t) == sorted(map(len, texts), reverse=True)[place]]


def with_pattern(pattern: str):
    """An option that holds the pattern, any of them where none does."""
    return lambda texts: [i for i, text in enumerate(texts) if re.search(pattern, text)] or list(range(len(texts)))


GUESSERS = {
    "the longest option": by_length(0),
    "the second longest": by_length(1),
    "the shortest": by_length(-1),
    "the first": lambda texts: [0],
    "the last": lambda texts: [len(texts) - 1],
    "the one with a number": with_pattern(r"\d"),
    "the one with a comma": with_pattern(","),
    "the one that joins two things": with_pattern(r"\band\b|;"),
    "the one that hedges": with_pattern(r"(?i)\b(may|might|hardly|about|most|mostly|some|often|near|nearly)\b"),
}


def over_chance(guess, questions) -> float:
    """How much larger a guesser's share of right answers is than chance's."""
    gained = 0.0
    for question in questions:
        choices = question.fields["choices"]
        picked = guess([choice["text"] for choice in choices])
        gained += sum(choices[i].get("correct", False) for i in picked) / len(picked) - 1 / len(choices)
    return gained / len(questions)


@pytest.mark.parametrize("which", ["the whole bank", "the graded questions"])
@pytest.mark.parametrize("guesser", GUESSERS)
def test_no_guesser_beats_chance_on_single_choices(guesser, which):
    """Nor falls far below it, which would name the option to leave out."""
    graded = [question for lesson in LESSONS for question in quizzes.graded_questions(lesson)]
    questions = [q for q in (EVERY if which == "the whole bank" else graded) if q.kind == "choice"]
    assert len(questions) >= 20
    assert abs(over_chance(GUESSERS[guesser], questions)) < NEAR


def test_the_guesser_of_long_options_is_caught():
    """A bank whose explanations stand in the right option, as banks have them that nobody measured."""
    longer = copy.deepcopy([q for q in EVERY if q.kind == "choice"])
    for question in longer:
        for choice in question.fields["choices"]:
            choice["text"] += choice["reason"] if choice.get("correct") else ""
    assert over_chance(GUESSERS["the longest option"], longer) > 0.5


SEVERAL = [question for question in EVERY if question.kind == "several"]


def blind_answers(question):
    letters = sorted(dict(quizzes._lettered(question)))
    return [list(a) for size in range(1, len(letters) + 1) for a in itertools.combinations(letters, size)]


def mark(question, letters) -> float:
    return quizzes._judge_letters(dict(quizzes._lettered(question)), letters)


@pytest.mark.parametrize("question", SEVERAL, ids=lambda q: f"{q.lesson}-{q.id}")
def test_letters_ticked_blindly_earn_little_and_all_of_them_nothing(question):
    every = blind_answers(question)
    assert mark(question, every[-1]) == 0
    assert statistics.mean(mark(question, letters) for letters in every) < 0.3


def test_the_longer_half_of_several_choices_earns_what_any_half_does():
    longer, any_half = 0.0, 0.0
    for question in SEVERAL:
        texts = {letter: len(choice["text"]) for letter, choice in quizzes._lettered(question)}
        halves = [letters for letters in blind_answers(question) if len(letters) == len(texts) // 2]
        longer += mark(question, sorted(texts, key=texts.get)[-(len(texts) // 2) :])
        any_half += statistics.mean(mark(question, letters) for letters in halves)
    assert abs(longer - any_half) / len(SEVERAL) < 2 * NEAR


def change(bank: dict, path: str, value) -> None:
    """Set the field at `questions/1/answer`; the value ... removes it."""
    *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    for part in parents:
        bank = bank[part]
    if value is ...:
        del bank[last]
    else:
        bank[last] = value


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("questions/0/choices/1/reason", ..., "'dpo-margin', field choices/1: 'reason' is a required property"),
        ("questions/0/choices/1/reason", "", "'dpo-margin', field choices/1/reason: "),
        ("questions/0/choices/1/correct", True, "'dpo-margin', field choices: expected one correct choice, got 2"),
        ("questions/1/answer", "two", "'target-margin', field answer: 'two' is not of type 'number'"),
        ("questions/1/unit", ..., "'target-margin', field (top): 'unit' is a required property"),
        ("questions/1/tolerance", 0, "'target-margin', field tolerance: "),
        ("questions/1/mistakes/0/answer", 2.0005, "expected wrong answers, but 2.0005 counts as right"),
        ("questions/1/hint", "think", "'target-margin', field (top): Additional properties"),
        ("questions/2/answers", [], "'psi', field answers: "),
        ("questions/2/mistakes/0/answer", "Identity", "'psi', field mistakes: expected wrong answers"),
        ("questions/2/claim", "other", "'psi', field claim: expected one of dpo-unbounded"),
        ("questions/2/kind", "essay", "field questions/2/kind: 'essay' is not one of"),
        ("questions/2/id", "dpo-margin", "expected each question id once, got dpo-margin"),
        (
            "questions/2/quick_check",
            False,
            "expected quick_check on one choice, one number and one fill, got choice",
        ),
        ("questions/7/choices/0/correct", False, None),
        ("lesson", 6, "field lesson: expected 5 as in the file's name, got 6"),
        ("claims", {}, "field claims: "),
    ],
)
def test_a_mistake_in_a_bank_is_named(tmp_path, path, value, says):
    bank = copy.deepcopy(yaml.safe_load((QUESTIONS / "lesson05.yaml").read_text()))
    change(bank, path, value)
    (tmp_path / "lesson05.yaml").write_text(yaml.safe_dump(bank, allow_unicode=True))
    if says is None:
        assert load_bank(5, tmp_path)
        return
    with pytest.raises(UserError) as error:
        load_bank(5, tmp_path)
    assert str(error.value).startswith("lesson05.yaml")
    assert says in str(error.value)


def test_broken_yaml_and_a_missing_bank_are_named(tmp_path):
    (tmp_path / "lesson05.yaml").write_text("lesson: 5\nclaims: [")
    with pytest.raises(UserError, match=r"lesson05.yaml: expected YAML(.|\n)*line 2"):
        load_bank(5, tmp_path)
    with pytest.raises(UserError, match="lesson06.yaml: expected the question bank of lesson 6"):
        load_bank(6, tmp_path)
    with pytest.raises(UserError, match="no question nope; it has dpo-margin"):
        Quiz.from_bank(5, ids=["nope"])


def test_the_markup_is_native_and_the_same_at_every_run():
    page = Quiz.from_bank(5).html()
    assert page == Quiz.from_bank(5).html()
    assert page.count("<form") == page.count("<fieldset") == page.count("<legend") == page.count('role="status"') == 3
    assert page.count('type="radio"') == 4
    assert page.count('type="submit"') == 3
    assert 'inputmode="decimal"' in page
    several = Quiz.from_bank(5, ids=["paper-shows"]).html()
    assert several.count('type="checkbox"') == 4
    ids = re.findall(r' id="([^"]+)"', page + several)
    assert len(ids) == len(set(ids))


def test_every_choice_has_its_reason_in_the_page():
    page = Quiz.from_bank(5).html()
    data = json.loads(re.search(r'<script type="application/json">(.*)</script>', page)[1])
    choice, number, fill = data["questions"]
    assert all(len(c["reason"]) > 10 for c in choice["choices"])
    assert all(len(m["reason"]) > 10 for q in (number, fill) for m in q["mistakes"])
    assert number["otherwise"]
    assert fill["otherwise"]


def test_the_script_comes_with_a_notebooks_output_and_not_with_the_pages(monkeypatch):
    monkeypatch.setenv("LESSONS_STATIC", "1")
    assert set(Quiz.from_bank(5)._repr_mimebundle_()) == {"text/html", "text/plain"}
    assert 'type="module"' not in Quiz.from_bank(5)._repr_mimebundle_()["text/html"]
    monkeypatch.setenv("LESSONS_STATIC", "0")
    output = Quiz.from_bank(5)._repr_mimebundle_()["text/html"]
    assert '<script type="module">' in output
    assert output.count("</script>") == 2


def test_code_is_marked_and_the_rest_escaped():
    assert marked("use `tau` when a < b") == "use <code>tau</code> when a &lt; b"
