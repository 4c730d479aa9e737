"""The capstone: claims are marked by machine and paragraphs are not; luck and a neighbour's numbers earn nothing."""

import itertools
import math
import runpy
from dataclasses import replace
from types import SimpleNamespace

import pytest

from lessons_lib.advice.decide import briefs
from lessons_lib.data.profile import profile
from lessons_lib.grading import assignments, pages, report, tickets
from lessons_lib.grading.marking import CaseMark, ItemMark, Mark
from lessons_lib.grading.roster import Learner
from lessons_lib.lessons.lesson14 import checks
from lessons_lib.lessons.lesson14.checks import (
    ARGUED,
    CASES,
    MEASURED,
    MENUS,
    RUBRIC,
    check_claim,
    check_paragraph,
    claim_share,
    figures_of,
    mistakes,
    my_rows,
)
from lessons_lib.methods import METHODS

TULU1, FEEDBACKQA, QLORA = SET = ("tulu1_human_eval", "feedbackqa_cdc", "qlora_gpt4_vicuna")


@pytest.fixture(scope="module")
def solution(root):
    return SimpleNamespace(**runpy.run_path(root / "exercises/solutions/ex14.py"))


@pytest.fixture(scope="module")
def claims(solution):
    return dict(zip(SET, (solution.claim_tulu1, solution.claim_feedbackqa, solution.claim_qlora), strict=True))


@pytest.fixture(scope="module")
def paragraphs(solution):
    texts = solution.paragraph_tulu1, solution.paragraph_feedbackqa, solution.paragraph_qlora
    return dict(zip(SET, texts, strict=True))


# ---------------------------------------------------------------- the learner's own sample


@pytest.mark.parametrize("name", CASES)
def test_the_figures_are_those_of_profile(name):
    """Two implementations: counted in plain Python here, by DuckDB there."""
    rows = my_rows(name, "practice")
    found, measured = figures_of(rows), profile(rows)
    shared = [key for key in found if key in measured.figures]
    assert shared
    for key in shared:
        assert found[key] == pytest.approx(measured.value(key), abs=1e-9), key
    assert set(CASES[name].measured) <= set(found)


@pytest.mark.parametrize("name", SET)
def test_a_neighbours_three_numbers_pass_at_most_once_in_a_thousand(name):
    learners = 500
    found = []
    for number in range(learners):
        mine = figures_of(my_rows(name, tickets.ticket(b"a salt of thirty-two characters, about", f"l{number}", "14")))
        found.append([mine[key] for key in CASES[name].measured])
    pairs = itertools.combinations(found, 2)
    passed = sum(all(abs(round(a, 3) - b) <= checks.TOLERANCE for a, b in zip(*pair, strict=True)) for pair in pairs)
    assert passed <= 0.001 * learners * (learners - 1) / 2


# ---------------------------------------------------------------- claims


def test_the_solution_holds_and_earns_everything(claims):
    for name, claim in claims.items():
        assert check_claim(name, claim, "practice"), check_claim(name, claim, "practice")
        assert claim_share(name, claim, "practice") == 1


MISTAKES = {
    "expected the dictionary of the form": lambda claim: "ipo",
    "still to fill in: change, leads_to": lambda claim: {**claim, "change": ..., "leads_to": ...},
    "not a word of its menu: dpo": lambda claim: {**claim, "choice": True},
    "not a word of its menu: finite_margin": lambda claim: {**claim, "mechanism": "it is robust to noise"},
    "cannot be argued under this brief": lambda claim: {**claim, "choice": "orpo"},
    "that is how DPO works": lambda claim: {**claim, "mechanism": "log_ratio"},
    "no method does that": lambda claim: {**claim, "mechanism": "finds_flips"},
    "the method that you did not choose": lambda claim: {**claim, "rejected": "ipo"},
    "not the next best here": lambda claim: {**claim, "rejected": "orpo"},
    "does not tell ipo from dpo": lambda claim: {**claim, "decided_by": "ties"},
    "would still be ipo": lambda claim: {**claim, "change": "more_rows"},
    "it ends at another method": lambda claim: {**claim, "leads_to": "simpo"},
    "a dictionary with flip_rate, ties, thumbs_blind": lambda claim: {**claim, "measured": [0.173, 0.337, 0.654]},
    "a number was expected": lambda claim: measured(claim, ties=float("nan")),
    "a share lies between 0 and 1": lambda claim: measured(claim, ties=33.7),
    "what is left to 1": lambda claim: measured(claim, ties=0.663),
    "that is your thumbs_blind": lambda claim: measured(claim, ties=0.654),
    "solve agreement": lambda claim: measured(claim, flip_rate=0.286),
    "not the number of your sample": lambda claim: measured(claim, thumbs_blind=0.674),  # the whole dataset's
}


def measured(claim, **numbers):
    return {**claim, "measured": {**claim["measured"], **numbers}}


@pytest.mark.parametrize("cause", MISTAKES)
def test_each_mistake_is_named(claims, cause):
    wrong = MISTAKES[cause](claims[TULU1])
    verdict = check_claim(TULU1, wrong, "practice")
    assert not verdict
    assert cause in verdict.message
    if "still to" not in cause:
        assert claim_share(TULU1, wrong, "practice") < 1


def test_argument_and_numbers_earn_apart(claims):
    no_numbers = measured(claims[TULU1], ties=0.5)
    assert claim_share(TULU1, no_numbers, "practice") == pytest.approx(ARGUED)
    no_argument = {**claims[TULU1], "mechanism": "finds_flips"}
    assert claim_share(TULU1, no_argument, "practice") == pytest.approx(MEASURED)
    assert claim_share(TULU1, claims[TULU1], "another ticket") == pytest.approx(ARGUED)
    for nonsense in (None, "ipo", [], {}, {"choice": {}}, {"measured": 3}, {field: [] for field in MENUS}):
        assert claim_share(TULU1, nonsense, "practice") == 0


SECOND = {
    TULU1: {"choice": "dpo", "mechanism": "log_ratio", "rejected": "ipo", "decided_by": "flip_rate",
            "change": "singles", "leads_to": "kto"},
    FEEDBACKQA: {"choice": "dpo", "mechanism": "log_ratio", "rejected": "kto", "decided_by": "unpaired",
                 "change": "compared", "leads_to": "ipo"},
    QLORA: {"choice": "orpo", "mechanism": "one_stage", "rejected": "dpo", "decided_by": "reference",
            "change": "room", "leads_to": "dpo"},
}  # fmt: skip


@pytest.mark.parametrize("name", SET)
def test_a_defensible_second_answer_earns_its_share(claims, name):
    second = {**claims[name], **SECOND[name]}
    assert claim_share(name, second, "practice") == pytest.approx(ARGUED / 2 + MEASURED)
    assert "earns half" in check_claim(name, second, "practice").message


def right_choices(name, found):
    """Every combination of menu words that fits together, and how many combinations there are."""
    fields, right = ("rejected", "decided_by", "change", "leads_to"), 0
    for mechanism, (choice, _) in checks.MECHANISMS.items():
        if choice and checks.choice_share(name, choice, found):  # all others are refused, as tested above
            for words in itertools.product(*(MENUS[field] for field in fields)):
                claim = {"choice": choice, "mechanism": mechanism, **dict(zip(fields, words, strict=True))}
                right += not any(field in MENUS for field, _ in mistakes(name, claim, found))
    return right, math.prod(map(len, MENUS.values()))


@pytest.mark.parametrize("name", CASES)
def test_random_menu_choices_are_right_less_than_once_in_a_thousand(name):
    """Counted over all of them, the defensible ones included; none of these has a number yet."""
    right, total = right_choices(name, figures_of(my_rows(name, "practice")))
    assert 0 < right < 0.001 * total


def test_the_menus_hold_where_a_sample_looks_clean():
    """A sample whose flip rate falls below the threshold: DPO and IPO are level, and luck is still rare."""
    found = {**figures_of(my_rows(TULU1, "practice")), "flip_rate": 0.13}
    assert checks.choice_share(TULU1, "dpo", found) == checks.choice_share(TULU1, "ipo", found) == 1
    right, total = right_choices(TULU1, found)
    assert right < 0.001 * total


def test_every_brief_has_its_argument():
    for name, case in CASES.items():
        brief = briefs()[name]
        assert set(case.against) == {brief.argued, *brief.alternatives}
        assert {owner for owner, _ in checks.MECHANISMS.values() if owner} == set(METHODS)
        for choice, against in case.against.items():
            assert all(method != choice and figure in checks.DECIDERS for method, figure in against)


# ---------------------------------------------------------------- paragraphs


STUFFED = (
    "IPO DPO KTO ORPO SimPO squared finite margin reference point odds average log-prob. " * 3
    + "17.3 % 33.7 % 65.4 % because so if but."
)
RETURNED = {
    "the paragraph: a text": None,
    "length: 60 to 250 words": "IPO, not DPO, because 17.3 % of labels look flipped and 33.7 % are ties.",
    "your choice, by its name": lambda text: text.replace("IPO", "It").replace("DPO", "the other"),
    "the runner-up, by its name": lambda text: text.replace("DPO", "the other one"),
    "two of your own measured numbers": lambda text: text.replace("17.3", "17.7").replace("33.7", "32.7"),
    "all five methods are named": STUFFED,
    "the same words come again and again": STUFFED,
    "sentences: at least three": lambda text: text.replace(". ", ", ").replace(".\n", ",\n").replace("? ", ", "),
}


@pytest.mark.parametrize("what", RETURNED)
def test_the_gate_returns_with_what_is_missing(paragraphs, what):
    change = RETURNED[what]
    gate = check_paragraph(TULU1, change(paragraphs[TULU1]) if callable(change) else change, "practice")
    assert not gate
    assert any(what in missing for missing in gate.missing)
    assert "returned, unmarked" in repr(gate)


def test_the_gate_passes_good_ones_on_to_a_person_and_says_so(paragraphs):
    for name, text in paragraphs.items():
        gate = check_paragraph(name, text, "practice")
        assert gate, gate
        assert "No machine has marked it" in repr(gate) and all(line in repr(gate) for line in RUBRIC)
        assert not check_paragraph(name, text, "another ticket")  # a neighbour's numbers


def test_the_gate_cannot_tell_a_bad_argument_and_passes_it_on(paragraphs):
    """What a person is for: every part is there, and the reasoning is wrong."""
    bad = paragraphs[TULU1].replace("cannot pull without end", "is found and left out").replace("above", "far above")
    assert check_paragraph(TULU1, bad, "practice")


def test_a_paragraph_gets_no_mark_from_the_machine(root, paragraphs):
    items = [item for item in assignments.load("14").exercise.items if item.name.startswith("paragraph")]
    assert len(items) == 3
    for item, text in zip(items, paragraphs.values(), strict=True):
        assert item.person and item.points == 0
        assert item.judge(text, {"ticket": "practice"}) == 0
        assert "passed on to a person" in item.explain(text, {"ticket": "practice"})
        assert "returned, unmarked" in item.explain(None, {"ticket": "practice"})


def test_the_class_report_shows_paragraphs_to_a_person(paragraphs):
    text, gate = paragraphs[TULU1], repr(check_paragraph(TULU1, paragraphs[TULU1], "practice"))
    case = CaseMark({"ticket": "practice"}, None, {"json": text}, 0.0, "")
    read = ItemMark("paragraph_tulu1", 0.0, 0, (case,), gate)
    mark = Mark("ada", "graded", (), "f", (read,))
    batch = pages.Batch(assignments.load("14"), [Learner("ada")], {"ada": mark})
    shown = report.class_report(batch, [])
    assert "cannot pull without end" in shown and "passed on to a person" in shown
    assert "not marked by machine" in pages.feedback(batch, Learner("ada"))


def test_an_item_on_own_data_gets_the_ticket_for_its_case():
    exercise = assignments.load("14").exercise
    cases = tickets.cases_of(exercise, b"s" * 32, "ada")
    assert cases["claim_tulu1"] == [{"ticket": tickets.ticket(b"s" * 32, "ada", exercise.name)}]
    assert tickets.cases_of(exercise, b"s" * 32, "ada", tickets.PRACTICE)["claim_qlora"] == [{"ticket": "practice"}]
    assert not replace(exercise.items[0], own=False).own
