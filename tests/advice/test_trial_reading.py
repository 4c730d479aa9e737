"""From runs to words: intervals held by simulation, words and the next step from runs made by hand."""

import json

import numpy as np
import pytest

from lessons_lib.advice.trial_page import left_open
from lessons_lib.advice.trial_plan import Plan
from lessons_lib.advice.trial_reading import cheapest, crossed, difference, headline, in_words, next_step, read, share
from lessons_lib.metrics import Interval

PLAN = Plan(("dpo", "kto", "sft"), (1e-5, 4e-5), 2, 20, 8, 50, 100, 4, 60.0)


def runs(accuracies, prompts=100, seeds=2, rate=1e-5, search=None):
    """Rows of a trial whose arms win on the first so many of the prompts with every seed."""
    reply = {"text": "x", "length": 4, "ended": True, "repetition": 0.25, "kl": 1.5}
    rows = []
    for arm, accuracy in {"untouched": 0.5, **accuracies}.items():
        wins = [0.5] * prompts if arm == "untouched" else [float(n < accuracy * prompts) for n in range(prompts)]
        for place in PLAN.learning_rates if arm != "untouched" else ():
            found = (search or {}).get((arm, place), 0.5)
            rows.append({"stage": "search", "arm": arm, "seed": 0, "learning_rate": place, "accuracy": found})
        rows += [
            {"stage": "final", "arm": arm, "seed": seed, "learning_rate": rate, "by_prompt": json.dumps(wins),
             "asked": json.dumps([2 * seed, 2 * seed + 1]),
             "replies": json.dumps([reply, {**reply, "length": 6, "ended": False}])}
            for seed in range(seeds)
        ]  # fmt: skip
    return rows


def test_an_interval_over_seeds_and_prompts_holds_what_it_should():
    """Both are drawn anew in every trial, and single prompts have luck with single seeds; nominal 95 %."""
    rng = np.random.default_rng(1)
    for seeds, prompts in ((3, 60), (2, 150), (5, 40)):
        held = 0
        for _ in range(600):
            values = (
                rng.standard_normal((1, prompts)) * 0.5
                + rng.standard_normal((seeds, 1)) * 0.05
                + rng.standard_normal((seeds, prompts)) * 0.3
            )
            held += not crossed(values).excludes(0)
        assert held / 600 >= 0.93


def test_one_seed_gives_the_prompts_interval():
    values = np.array([[1.0, 0.0, 1.0, 1.0]])
    found = crossed(values)  # t(3) · s/√n by hand: 3.182 · 0.5 / 2
    assert found.estimate == 0.75 and found.high - found.estimate == pytest.approx(3.1824 * 0.25, abs=1e-3)


def test_arms_that_agree_on_few_prompts_are_not_called_equal():
    same = np.ones((3, 10))
    assert difference(same, same).high > 0.15 and share(same).low < 0.85
    many = np.ones((3, 400))
    assert difference(many, many).high < 0.02


def test_ahead_equivalent_and_cannot_tell():
    found = read(runs({"dpo": 0.9, "kto": 0.9, "sft": 0.5}, prompts=400), PLAN)
    words = {(pair.one, pair.other): pair.word for pair in found.comparisons}
    assert words["dpo", "kto"] == "equivalent"
    assert words["dpo", "sft"] == words["kto", "sft"] == "ahead"
    assert found.leader == "dpo" and "ahead of SFT on chosen" in headline(found)
    unsure = read(runs({"dpo": 0.72, "kto": 0.70, "sft": 0.66}, prompts=50), PLAN)
    assert {pair.word for pair in unsure.comparisons} == {"cannot tell"}
    assert "we cannot tell" in headline(unsure) and "SFT on chosen at" in next_step(unsure)  # the cheapest


def test_a_trial_that_learnt_nothing_says_so():
    nothing = read(runs({"dpo": 0.5, "kto": 0.55, "sft": 0.45}, prompts=60), PLAN)
    assert headline(nothing).startswith("Cannot tell") and "train longer" in next_step(nothing)
    assert "into another --out" in next_step(nothing)  # in this one the plan that was kept goes on


def test_intervals_widen_with_the_number_of_comparisons():
    rows = runs({"dpo": 0.8, "kto": 0.7, "sft": 0.6})
    alone = difference(*(np.array([[float(n < a) for n in range(100)]] * 2) for a in (80, 70)))
    together = next(pair for pair in read(rows, PLAN).comparisons if (pair.one, pair.other) == ("dpo", "kto"))
    assert together.difference.half_width > 1.15 * alone.half_width


def test_an_edge_is_a_rate_that_beats_its_neighbour():
    search = {("dpo", 1e-5): 0.7, ("dpo", 4e-5): 0.6, ("kto", 1e-5): 0.6, ("kto", 4e-5): 0.6}
    found = read(runs({"dpo": 0.8, "kto": 0.7, "sft": 0.6}, search=search), PLAN)
    assert found.edges == {"dpo": "lowest"}


def test_how_far_the_intervals_reach_is_said():
    found = read(runs({"dpo": 0.8, "kto": 0.7, "sft": 0.6}), PLAN)
    widths = [(pair.difference.high - pair.difference.low) / 2 for pair in found.comparisons]
    assert found.reach == pytest.approx(sum(widths) / 3)
    assert f"reach {100 * found.reach:.0f} points" in left_open(found, PLAN, ["the first"])[0]


def test_only_whole_seeds_count():
    rows = runs({"dpo": 0.8, "kto": 0.7, "sft": 0.6})
    cut = [row for row in rows if not (row["stage"] == "final" and row["arm"] == "sft" and row["seed"] == 1)]
    assert read(rows, PLAN).seeds == 2 and read(cut, PLAN).seeds == 1


def test_arms_that_hardly_moved_are_named():
    rows = runs({"dpo": 0.8, "kto": 0.7, "sft": 0.6})
    for row in rows:
        if row["arm"] == "kto" and row["stage"] == "final":
            row["replies"] = json.dumps([{**reply, "kl": 0.01} for reply in json.loads(row["replies"])])
    said = " ".join(left_open(read(rows, PLAN), PLAN, ["the first"]))
    assert "KTO hardly moved" in said and "DPO hardly" not in said


def test_replies_and_a_reward_models_preference_are_read():
    rows = runs({"dpo": 0.8, "kto": 0.7, "sft": 0.6})
    assert read(rows, PLAN).replies["kto"] == {"length": 5, "ended": 0.5, "repetition": 0.25, "kl": 1.5}
    assert read(rows, PLAN).reward_wins == {}
    for row in rows:
        if row["stage"] == "final":
            better = {"untouched": 0.0, "dpo": 1.0, "kto": 0.0, "sft": -1.0}[row["arm"]]
            row["replies"] = json.dumps([{**reply, "reward": better} for reply in json.loads(row["replies"])])
    wins = read(rows, PLAN).reward_wins
    assert {arm: interval.estimate for arm, interval in wins.items()} == {"dpo": 1.0, "kto": 0.5, "sft": 0.0}
    assert wins["dpo"].n == 4
    for row in rows:
        if row["stage"] == "final":
            row["asked"] = json.dumps([0, 1])  # where prompts are few, each seed answers the same ones
    assert read(rows, PLAN).reward_wins["dpo"].n == 2


def test_numbers_are_points_of_a_hundred_with_their_signs():
    assert in_words(Interval(0.816, 0.79, 0.834, 9)) == "82 [79, 83]"
    assert in_words(Interval(0.044, 0.003, 0.085, 9), signed=True) == "+4.4 [+0.3, +8.5]"
    assert in_words(Interval(-0.0001, -0.05, 0.05, 9), signed=True) == "0.0 [−5.0, +5.0]"


def test_the_cheapest_needs_the_fewest_passes():
    assert cheapest(["dpo", "simpo"]) == "simpo" and cheapest(["dpo", "sft", "orpo"]) == "sft"
