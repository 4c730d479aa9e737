"""Exercise 9: the check accepts the rule and rejects each typical mistake for its own reason; luck earns little."""

import random
import runpy
from dataclasses import replace

import pytest

from lessons_lib.advice.decide import Facts, recommend
from lessons_lib.lessons.lesson09.checks import CASES, SECOND, check_choose, second_answers, share
from lessons_lib.methods import METHODS


def rule(
    facts,
    order=("shape", "checkpoint", "reference", "labels"),
    noisy=lambda rate: rate >= 0.15,
    decided=lambda facts: facts.near_deterministic >= 0.8 and facts.passes >= 3,
    reference="none",
):
    """The solution, with the places where people slip as arguments."""
    for question in order:
        if question == "shape" and facts.shape == "unpaired":
            return "kto"
        if question == "checkpoint" and facts.checkpoint == "base":
            return "orpo"
        if question == "reference" and (facts.reference == reference or facts.reference == "none"):
            return "simpo"
        if question == "labels":
            if facts.flip_rate is not None and noisy(facts.flip_rate):
                return "ipo"
            if facts.near_deterministic is not None and decided(facts):
                return "ipo"
    return "dpo"


def test_the_solution_passes_and_agrees_with_the_tree():
    verdict = check_choose(rule)
    assert verdict
    assert f"{len(CASES)} of {len(CASES)} points" in verdict.message
    assert {recommend(case.facts).choice for case in CASES} == set(METHODS)


MISTAKES = {
    "a constant": lambda facts: "dpo",
    "the answer is no text": lambda facts: True,
    "return a method's key": lambda facts: ["dpo"],
    "your function returns nothing yet": lambda facts: None,
    "does not know; its keys are dpo": lambda facts: rule(facts).upper(),
    "cannot be compared; ask `is not None`": lambda facts: "ipo" if facts.flip_rate >= 0.15 else "dpo",
    "raised AttributeError": lambda facts: facts.noise,
    "memory is asked before the labels": lambda facts: rule(facts, ("shape", "checkpoint", "labels", "reference")),
    "the checkpoint is asked before the labels": lambda facts: rule(
        facts, ("shape", "reference", "labels", "checkpoint")
    ),
    "the shape is asked before the checkpoint": lambda facts: rule(
        facts, ("checkpoint", "shape", "reference", "labels")
    ),
    "the shape is asked first": lambda facts: rule(facts, ("checkpoint", "reference", "labels")),
    "*at least* 15 %": lambda facts: rule(facts, noisy=lambda rate: rate > 0.15),
    "asks for nothing special": lambda facts: (
        "kto" if (facts.near_deterministic or 0) > 0.8 > facts.passes / 2 else rule(facts)
    ),
    "decided labels, seen often": lambda facts: rule(facts, decided=lambda f: False),
    "is what IPO is for": lambda facts: rule(facts, noisy=lambda rate: False),
    "a reference computed once beforehand": lambda facts: (
        "orpo" if facts.reference == "precomputed" and facts.shape == "paired" else rule(facts)
    ),
    "nothing here asks for a successor": lambda facts: rule(facts, noisy=lambda rate: rate >= 0.02) and "kto",
    "an unknown fact (None)": lambda facts: (
        "kto" if facts.flip_rate is None and facts.shape == "paired" else rule(facts)
    ),
}


@pytest.mark.parametrize("cause", MISTAKES)
def test_each_mistake_is_named(cause):
    verdict = check_choose(MISTAKES[cause])
    assert not verdict
    assert cause in verdict.message or "a constant" in verdict.message


def test_a_defensible_second_answer_earns_its_share():
    straddling = Facts("paired", 4000, 2500, flip_rate=0.14, flip_low=0.1, flip_high=0.18, reference="live")
    assert [share(method, straddling) for method in ("dpo", "ipo", "simpo", "kto")] == [1, 1, 1, 0]  # a tie beside DPO
    noisy = replace(straddling, flip_rate=0.16)
    assert [share(method, noisy) for method in ("ipo", "dpo", "simpo", "orpo")] == [1, SECOND, 0, 0]
    assert second_answers(noisy) == {"dpo": "the flip rate may as well be 10%"}
    certain = replace(noisy, flip_low=0.16, flip_high=0.2)
    assert share("dpo", certain) == 0
    no_room = replace(certain, reference="none")
    assert [share(method, no_room) for method in ("simpo", "orpo", "ipo")] == [1, SECOND, 0]
    ratings = Facts("unpaired", 4000, 2500, unpaired=0.3, pairs=1400)
    assert [share(method, ratings) for method in ("kto", "dpo", "orpo", "simpo")] == [1, SECOND, SECOND, 0]
    wasteful = replace(ratings, unpaired=0.9, pairs=0)
    assert [share(method, wasteful) for method in ("kto", "dpo", "orpo")] == [1, 0, 0]
    assert [share(answer, ratings) for answer in (True, None, "KTO", ["kto"], 1)] == [0] * 5


def test_the_check_names_what_is_defensible():
    verdict = check_choose(lambda facts: "orpo" if facts.reference == "none" else rule(facts))
    assert verdict
    assert "10.5 of 11 points" in verdict.message
    assert "'orpo' is defensible and earns half" in verdict.message


@pytest.fixture(scope="module")
def item(root):
    return runpy.run_path(root / "exercises/specs/ex09.py")["EXERCISE"].items[0]


def mark(item, choose, seed):
    cases = item.cases(random.Random(seed))
    return sum(item.judge(choose(Facts(**case["facts"]["facts"])), case) for case in cases) / len(cases)


def test_the_hidden_cases_mark_the_rule_and_not_luck(item):
    learners = range(40)
    assert all(mark(item, rule, seed) == 1 for seed in learners)
    for method in METHODS:
        assert max(mark(item, lambda facts, m=method: m, seed) for seed in learners) <= 0.5
    luck = random.Random(0)
    guessed = [mark(item, lambda facts: luck.choice(list(METHODS)), seed) for seed in learners]
    assert sum(guessed) / len(guessed) < 0.4
    late = [mark(item, lambda f: rule(f, ("shape", "checkpoint", "labels", "reference")), seed) for seed in learners]
    assert max(late) < 0.9
    assert item.cases(random.Random(1)) != item.cases(random.Random(2))
