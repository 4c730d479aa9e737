"""Quick checks: the bank and its schema, keys recomputed, the markup."""

from __future__ import annotations

import copy
import json
import math
import re

import pytest
import yaml

from lessons_lib import textbook
from lessons_lib.errors import UserError
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
