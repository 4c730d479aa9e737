"""Exercise 9: probabilities are marked by what recorded runs came to; no constant, coin or confident error is paid."""

import math
import random
import runpy
from statistics import mean

import pytest

from lessons_lib.advice.decide import Facts
from lessons_lib.benchmark.design import REGIMES
from lessons_lib.grading import assignments, compare, marking, nbgrader_tests, pages
from lessons_lib.grading.roster import Learner
from lessons_lib.grading.spec import KEPT, Item, asked
from lessons_lib.lessons.lesson09 import forecasts
from lessons_lib.lessons.lesson09.checks import PRACTICE, check_choose, practice, print_evidence
from lessons_lib.lessons.lesson09.forecasts import Baselines, Outcome, brier, fault, outcome, regret, score
from lessons_lib.methods import METHODS

HALF = dict.fromkeys(METHODS, 0.5)


def sure(method):
    return {m: float(m == method) for m in METHODS}


@pytest.fixture(scope="module")
def solution(root):
    return runpy.run_path(root / "exercises/solutions/ex09.py")["choose"]


@pytest.fixture(scope="module")
def item(root):
    return runpy.run_path(root / "exercises/specs/ex09.py")["EXERCISE"].items[0]


# ---------------------------------------------------------------- the two scores, by hand

TRUTH = Outcome(
    gold={"dpo": 2.0, "ipo": 1.5, "kto": 1.8, "orpo": 1.9, "simpo": 1.0},
    good_enough={"dpo": 1.0, "ipo": 0.0, "kto": 0.5, "orpo": 1.0, "simpo": 0.0},
)


@pytest.mark.parametrize(
    ("answer", "points", "squares"),
    [
        (sure("dpo"), 0.0, 0.3),  # KTO: one half of the seeds missed; ORPO: all of them
        (sure("simpo"), 1.0, 0.7),
        (HALF, 2.0 - 1.64, 0.25),
        (TRUTH.good_enough, 0.05, 0.05),  # DPO and ORPO share the first place; KTO's coin is what nobody can know
        (None, 1.0, 1.0),
        (HALF | {"dpo": math.nan}, 1.0, 1.0),
    ],
)
def test_regret_and_brier_score_by_hand(answer, points, squares):
    assert regret(answer, TRUTH) == pytest.approx(points)
    assert brier(answer, TRUTH) == pytest.approx(squares)


def test_the_truth_is_the_best_thing_to_say():
    """The score is proper: whatever else one says of a method costs."""
    honest = brier(TRUTH.good_enough, TRUTH)
    for method, share in TRUTH.good_enough.items():
        others = [p / 10 for p in range(11) if p / 10 != share]
        assert all(brier(TRUTH.good_enough | {method: p}, TRUTH) > honest for p in others)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (True, "got bool"),
        ("dpo", "got str"),
        ({}, "got none"),
        ({"dpo": 1}, "got dpo"),
        (HALF | {"sft": 0.5}, "got dpo, ipo, kto, orpo, simpo, sft"),
        (HALF | {"kto": 1.5}, "kto: expected a probability from 0 to 1, got 1.5"),
        (HALF | {"kto": True}, "kto: expected"),
        (HALF | {"kto": None}, "kto: expected"),
        (HALF | {"kto": math.nan}, "kto: expected"),
        (HALF | {"kto": 10**400}, "kto: expected"),
        (HALF, ""),
    ],
)
def test_what_is_no_answer_is_named(answer, why):
    assert why in fault(answer) and bool(fault(answer)) == bool(why)


def test_outcomes_come_from_the_recorded_runs():
    table = forecasts._runs()
    for regime in ("clean", "unary_10"):
        runs = table[(table["regime"] == regime) & table["arm"].isin(METHODS)]
        gold = runs.pivot(index="seed", columns="arm", values="gold")
        near = gold.ge(gold.max(axis=1) - forecasts.DELTA, axis=0).mean()
        for method in METHODS:
            assert outcome(regime).gold[method] == pytest.approx(gold[method].mean())
            assert outcome(regime).good_enough[method] == pytest.approx(near[method])
    both = outcome("clean", "unary_10")
    assert both.gold["kto"] == pytest.approx((outcome("clean").gold["kto"] + outcome("unary_10").gold["kto"]) / 2)


# ---------------------------------------------------------------- the marks, on hidden cases


def mark(item, choose, seed):
    cases = item.cases(random.Random(seed))
    return item.together([choose(Facts(**case["facts"]["facts"])) for case in cases], cases)[0]


def test_the_solution_earns_all_and_rounding_it_costs_nothing(item, solution):
    assert min(mark(item, solution, seed) for seed in range(25)) == 1
    rounded = [mark(item, lambda facts: {m: round(p, 1) for m, p in solution(facts).items()}, s) for s in range(10)]
    assert min(rounded) > 0.97


def test_no_constant_rule_earns_more_than_half(item):
    luck = random.Random(0)
    constants = [sure(method) for method in METHODS]
    constants += [{m: luck.random() for m in METHODS} for _ in range(20)]
    constants += [outcome(*REGIMES).good_enough, dict.fromkeys(METHODS, 1.0), dict.fromkeys(METHODS, 0.0)]
    for constant in constants:
        assert max(mark(item, lambda facts, c=constant: c, seed) for seed in range(5)) <= 0.5 + 1e-9


def test_a_coin_earns_nothing_and_sure_errors_little(item):
    assert mark(item, lambda facts: HALF, 0) == 0
    luck = random.Random(1)
    guessed = [mark(item, lambda facts: sure(luck.choice(list(METHODS))), seed) for seed in range(10)]
    assert mean(guessed) < 0.15
    worst = min(METHODS, key=outcome(*REGIMES).gold.get)
    assert mark(item, lambda facts: sure(worst), 0) == 0


def test_a_rule_with_few_branches_lies_between(item):
    def few(facts):
        if facts.shape == "unpaired":
            return outcome("unary_10", "unary_50", "unary_90").good_enough
        if facts.checkpoint == "base":
            return outcome("no_sft").good_enough
        return outcome(*(r for r in REGIMES if r != "no_sft" and "unary" not in r)).good_enough

    assert 0.5 < mean(mark(item, few, seed) for seed in range(10)) < 1


def test_the_same_probabilities_said_surely_earn_less(item, solution):
    def surely(facts):
        return {m: float(p > 0.5) for m, p in solution(facts).items()}

    assert max(mark(item, surely, seed) for seed in range(5)) < 0.9


def test_every_learner_has_cases_of_her_own_and_every_regime(item):
    ada, bob = item.cases(random.Random(1)), item.cases(random.Random(2))
    assert ada != bob and len(ada) == 20
    assert {name for case in ada for name in case[KEPT]} == set(REGIMES) == set(forecasts.regimes())
    unknown = [case for case in ada if len(case[KEPT]) > 1]
    assert all("flip_rate" not in case["facts"]["facts"] for case in unknown) and len(unknown) == 2


def test_what_the_grader_keeps_reaches_no_learner(item):
    for case in item.cases(random.Random(0)):
        assert set(asked(case)) == {"facts"}
    assert asked(None) is None
    seen = []
    nbgrader_tests._answer(item, {"x": 1, KEPT: "secret"}, lambda **case: seen.append(case))
    assert seen == [{"x": 1}]
    answering = Item("f", 1, expected=lambda x: 2 * x)
    assert compare.expected(answering, {"x": 1, KEPT: "secret"}) == {"json": 2}


def test_what_the_grader_keeps_is_on_no_feedback_page(item):
    """A malformed answer shows its case, which a learner could else read the regime from."""
    case = next(one for one in item.cases(random.Random(0)) if one[KEPT] == ["noisy_20"])
    wrong = marking.CaseMark(case, None, {"json": "dpo"}, 0.0, "not the right answer")
    mark = marking.Mark("ada", "graded", (), "f", (marking.ItemMark(item.name, 0.0, item.points, (wrong,), ""),))
    shown = pages.feedback(pages.Batch(assignments.load("09"), [Learner("ada")], {"ada": mark}), Learner("ada"))
    assert "flip_rate" in shown and KEPT not in shown and "noisy_20" not in shown


def test_missing_and_broken_answers_count_as_the_worst(item, solution):
    cases = item.cases(random.Random(3))
    answers = [solution(Facts(**case["facts"]["facts"])) for case in cases]
    whole, _ = item.together(answers, cases)
    part, said = item.together([None, "dpo", *answers[2:]], cases)
    assert part < whole and said.startswith("2 of 20 answers are none: expected a dictionary")
    assert item.together([None] * len(cases), cases)[0] == 0
    assert item.judge(HALF, cases[0]) == 1 and item.judge("dpo", cases[0]) == 0


def test_a_judge_that_fails_on_answers_gives_no_points():
    def broken(answers, cases):
        raise RecursionError("too deep")

    item = Item("choose", 7, lambda rng: [{"x": 1}], judge=lambda answer, case: 1.0, together=broken)
    found = marking._together(item, [marking.CaseMark({"x": 1}, None, {"json": 1}, 1.0, "")])
    assert found == (0.0, "These answers cannot be judged (RecursionError).")


def test_the_baselines_are_told_on_the_same_cases(item):
    cases = item.cases(random.Random(4))
    said = item.together([HALF] * len(cases), cases)[1]
    for row in ("your rule", "lessons-lib match", "always ORPO", "the best constant", "a coin", "full marks: regret"):
        assert row in said
    truths = [outcome(*case[KEPT]) for case in cases]
    found = Baselines.of(truths)
    assert found.known.brier < found.shares.brier < found.coin.brier
    assert found.coin == score([HALF] * len(truths), truths)
    assert found.shares.brier <= min(one.brier for one in found.constants)


# ---------------------------------------------------------------- the check in the notebook


def test_the_practice_check_passes_the_solution(solution):
    assert set(PRACTICE) < set(REGIMES)
    verdict = check_choose(solution)
    assert verdict, verdict
    assert "100% of the points" in verdict.message and "always ORPO" in verdict.message


MISTAKES = {
    "your function returns nothing yet": lambda facts: None,
    "your function returns nothing here": lambda facts: HALF if facts.shape == "paired" else None,
    "a probability for each method, got str": lambda facts: "orpo",
    "expected the keys dpo, ipo, kto, orpo, simpo, got orpo": lambda facts: {"orpo": 1.0},
    "kto: expected a probability from 0 to 1, got 60": lambda facts: HALF | {"kto": 60},
    "likely cause: a constant": lambda facts: sure("orpo"),
    "cannot be compared; ask `is not None`": lambda facts: HALF if facts.flip_rate > 0.2 else sure("kto"),
    "raised AttributeError": lambda facts: facts.noise,
    "you said 0 for": lambda facts: sure("kto" if facts.shape == "unpaired" else "ipo"),
}


@pytest.mark.parametrize("cause", MISTAKES)
def test_each_mistake_is_named(cause):
    verdict = check_choose(MISTAKES[cause])
    assert not verdict
    assert cause in verdict.message


def test_practice_facts_are_one_teams_and_do_not_change():
    assert practice() == practice()
    assert practice()["no_sft"].checkpoint == "base" and practice()["unary_10"].shape == "unpaired"
    flips = practice()["noisy_20"]
    assert flips.flip_low < flips.flip_rate < flips.flip_high


def test_the_evidence_is_printed_for_all_regimes(capsys):
    print_evidence()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(REGIMES)
    assert f"{outcome('clean').good_enough['dpo']:.2f}" in lines[1]
