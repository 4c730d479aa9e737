"""The gate: what an argument cannot be without is asked for; own numbers with padding and templates are returned."""

import itertools
import runpy

import pytest

from lessons_lib.lessons.lesson14 import prose, sample
from lessons_lib.lessons.lesson14.prose import RUBRIC, check_memo, check_paragraph

from .conftest import FEEDBACKQA, QLORA, TULU1

SET = (TULU1, FEEDBACKQA, QLORA)


@pytest.fixture(scope="module")
def solution(root):
    return runpy.run_path(root / "exercises/solutions/ex14.py")


@pytest.fixture(scope="module")
def paragraphs(solution):
    return {name: solution[f"paragraph_{name.split('_')[0]}"] for name in SET}


def test_good_ones_are_passed_on_to_a_person_and_it_says_so(paragraphs):
    for name, text in paragraphs.items():
        gate = check_paragraph(name, text, "practice")
        assert gate, gate
        assert "No machine has marked it" in repr(gate) and all(line in repr(gate) for line in RUBRIC)


def test_a_neighbours_numbers_are_returned(paragraphs):
    for name, text in paragraphs.items():
        gate = check_paragraph(name, text, "0123456789ab")
        assert not gate and "two of your own measured numbers" in repr(gate)


RETURNED = {
    "the paragraph: a text": lambda text: None,
    "length: 60 to 250 words": lambda text: text[:200],
    "both by name": lambda text: text.replace("KTO", "the other").replace("DPO", "a third"),
    "the mechanism": lambda text: text.replace("squared", "good").replace("margin", "x").replace("finite", "y").replace(
        "stops", "z").replace("reference point", "thing").replace("each", "a").replace("votes", "v"),
    "found: ties": lambda text: text.replace("20.4", "20.9").replace("312", "313").replace("67.6", "66.9"),
    "all five methods are named": lambda text: text + " ORPO and SimPO would be other answers, if one had time.",
    "the same words come again and again": lambda text: text + text.split(". ")[1] + ". " + text.split(". ")[1] + ".",
    "at least three whole ones": lambda text: text.replace(". ", ", ").replace(".\n", ",\n"),
}  # fmt: skip


@pytest.mark.parametrize("what", RETURNED)
def test_what_is_missing_is_named(paragraphs, what):
    gate = check_paragraph(TULU1, RETURNED[what](paragraphs[TULU1]), "practice")
    assert not gate and what in repr(gate), gate


def test_numbers_are_read_with_a_decimal_comma_and_in_other_forms():
    figures = {"0.204": 0.2042, "0,204": 0.2042, "20 %": 0.2042, "20,4 %": 0.2042, "1,272": 1272, "1272": 1272}
    for written, figure in figures.items():
        assert prose._quotes(f"The figure is {written} here.", figure), written
    for written, figure in {"21 %": 0.2042, "0.2": 0.2042, "3": 0.02, "1,27": 1272}.items():
        assert not prose._quotes(f"The figure is {written} here.", figure), written


# ---------------------------------------------------------------- what passed the gate before

NEUTRAL = (
    "This is an important point that should always be taken into account by everybody.",
    "There are many things to think about here, and all of them have their place.",
    "The world of machines is moving fast and nobody knows what will come next year.",
    "It is a well known fact that good work needs patience and a clear head.",
)
TEMPLATES = (
    "My numbers are {0}, {1} and {2}. I take {choice} and not {other}, because it is the best one for this. {pad}",
    "{choice} is better than {other} because of {0} and {1}. The margin is good. {pad}",
    "I choose {choice} over {other} since it is state of the art. Figures: {0}; {1}; {2}; {3}. {pad}",
    "The values {0} and {1} show it. {choice} has a reference and a margin, {other} has not. {pad}",
)


def padded(name, template, start):
    figures = [f"{100 * v:.1f} %" if v <= 1 else str(v) for v in sample.figures_of(name, "practice").values()]
    pad = " ".join(NEUTRAL[start:] + NEUTRAL[:start])
    return template.format(*figures, choice="IPO", other="DPO", pad=pad)


def test_own_numbers_with_padding_are_returned():
    """Each of them quotes the learner's own numbers, names two methods and is long enough."""
    attacks = [(name, padded(name, t, start)) for name, t, start in itertools.product(SET, TEMPLATES, range(4))]
    passed = [text for name, text in attacks if check_paragraph(name, text, "practice")]
    assert len(attacks) == 48 and not passed


def test_a_bad_argument_is_passed_on_all_the_same(paragraphs):
    """What a person is for: every part is there, and the reasoning is wrong."""
    bad = paragraphs[TULU1].replace("stops at a finite margin", "finds the flipped pairs and drops them at the margin")
    assert check_paragraph(TULU1, bad, "practice")


# ---------------------------------------------------------------- the memo


def test_the_memo_of_the_solution_is_passed_on(solution):
    gate = check_memo(solution["memo"])
    assert gate, gate


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("the memo: a text", lambda memo: None),
        ("length: 120 to 450", lambda memo: memo[:300]),
        ("the section “Cost”", lambda memo: memo.replace("Cost\n", "\n")),
        ("the section “What I got wrong”", lambda memo: memo.replace("What I got wrong", "Closing words")),
        ("a verdict for each dataset", lambda memo: memo.replace("ahead", "x").replace("cannot tell", "y").replace(
            "equivalent", "z").replace("behind", "w")),
        ("what you had said, with its number", lambda memo: memo.partition("What I got wrong")[0]
         + "What I got wrong\n" + "I was wrong about a few things, but would do most of it the same way again. " * 2),
    ],
)  # fmt: skip
def test_what_a_memo_lacks_is_named(solution, what, change):
    gate = check_memo(change(solution["memo"]))
    assert not gate and what in repr(gate)
