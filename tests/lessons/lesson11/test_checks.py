"""Exercise 11: each check accepts the solution and rejects every typical mistake for its own reason."""

import math
import random
import runpy
from pathlib import Path

import pytest

from lessons_lib.lessons.lesson11.checks import (
    cheapest,
    check_cheapest,
    check_gpus_needed,
    check_plan,
    fewest_gpus,
    gpus_needed,
    plan_score,
)

EXERCISES = Path(__file__).resolve().parents[3] / "exercises"
SOLUTION = runpy.run_path(EXERCISES / "solutions" / "ex11.py")
PLAN = SOLUTION["my_plan"]


def test_the_solution_passes():
    assert check_gpus_needed(SOLUTION["gpus_needed"])
    assert check_plan(PLAN)
    assert check_cheapest(SOLUTION["cheapest_plan"])


def test_a_size_by_hand():
    """70 B at 18 bytes are 1,260 GB; an 80 GB GPU has 72 usable, 12 of them taken: 1,260 / 60 = 21."""
    assert gpus_needed(70e9, 18, 12, 80) == 21


def cost(plan):
    return plan["gpus"] * plan["hours"] * plan["price"]


def pick(plans, key, usable=0.9):
    return min((i for i, p in enumerate(plans) if p["peak_gb"] <= usable * p["gpu_gb"]), key=lambda i: key(plans[i]))


NUMBER_MISTAKES = [
    (check_gpus_needed, lambda n, b, f, g: math.ceil((n * b / 1e9 + f) / (0.9 * g)), "fixed part divided"),
    (check_gpus_needed, lambda n, b, f, g: math.ceil(n * b / 1e9 / (0.9 * g)), "fixed part forgotten"),
    (check_gpus_needed, lambda n, b, f, g: math.ceil(n * b / 1e9 / (g - f)), "use 0.9"),
    (check_gpus_needed, lambda n, b, f, g: int(n * b / 1e9 / (0.9 * g - f)), "rounded down"),
    (check_gpus_needed, lambda n, b, f, g: n * b / 1e9 / (0.9 * g - f), "not rounded"),
    (check_gpus_needed, lambda n, b, f, g: round(n * b / 1e9 / (0.9 * g - f)), "below the half"),
    (check_gpus_needed, lambda n, b, f, g: math.ceil(n * b / 2**30 / (0.9 * g - f)), "1e9 bytes"),
    (check_gpus_needed, lambda n, b, f, g: math.ceil(n * 2 / 1e9 / (0.9 * g)), "inference"),
    (check_gpus_needed, lambda n, b, f, g: 20, "expected"),
    (check_gpus_needed, lambda n, b, f, g: True, "got bool"),
    (check_gpus_needed, lambda n, b, f, g: None, "returns nothing yet"),
    (check_gpus_needed, lambda n, b, f, g: [gpus_needed(n, b, f, g)], "got list"),
    (check_gpus_needed, lambda n: n, "raised TypeError"),
    (check_cheapest, lambda plans: pick(plans, cost, 99), "what does not fit"),
    (check_cheapest, lambda plans: pick(plans, cost, 1), "0.9 is usable"),
    (check_cheapest, lambda plans: pick(plans, lambda p: p["gpus"]), "smallest cluster"),
    (check_cheapest, lambda plans: pick(plans, lambda p: p["hours"]), "not hours"),
    (check_cheapest, lambda plans: pick(plans, lambda p: p["price"]), "multiply by GPUs"),
    (check_cheapest, lambda plans: pick(plans, lambda p: p["hours"] * p["price"]), "GPUs forgotten"),
    (check_cheapest, lambda plans: pick(plans, lambda p: p["gpus"] * p["price"]), "hours forgotten"),
    (check_cheapest, lambda plans: pick(plans, lambda p: p["gpus"] * p["hours"]), "another price on each machine"),
    (check_cheapest, lambda plans: pick(plans, lambda p: -cost(p)), "lowest price"),
    (check_cheapest, lambda plans: plans[cheapest(plans)], "got dict"),
    (check_cheapest, lambda plans: 1 / 0, "raised ZeroDivisionError"),
]


@pytest.mark.parametrize(("check", "answer", "reason"), NUMBER_MISTAKES)
def test_each_wrong_number_is_explained(check, answer, reason):
    verdict = check(answer)
    assert not verdict
    assert reason in verdict.message


PLAN_MISTAKES = [
    (PLAN | {"gpus": 19}, 0, "does not fit; try other numbers"),
    (PLAN | {"gpus": 24}, 0.5, "so would fewer GPUs"),
    (PLAN | {"reference": "model"}, 0, "a live reference"),
    (PLAN | {"checkpointing": False}, 0, "checkpointing is off"),
    (PLAN | {"sharded": False}, 0, "each GPU holds the whole model"),
    (PLAN | {"lora_rank": 16}, 0, "the task asks for all weights"),
    (PLAN | {"precision": "bfloat16", "gpus": 12}, 0, "float32 weights"),
    (PLAN | {"gpus": 0}, 0, "at least 1"),
    (PLAN | {"gpus": "twenty"}, 0, "type int"),
    (PLAN | {"gpus": 19.9}, 0, "type int"),
    (PLAN | {"gpus": 10**400}, 0, "at most 4096"),
    (PLAN | {"sharded": 1}, 0, "type bool"),
    (PLAN | {"batch_size": 1}, 0, "expected only gpus"),
    (PLAN | {"precision": "int8"}, 0, "one of float32"),
    ({}, 0, "expected a dictionary"),
    (20, 0, "got int"),
    (True, 0, "got bool"),
]


@pytest.mark.parametrize(("plan", "share", "reason"), PLAN_MISTAKES, ids=lambda value: str(value)[:90])
def test_each_wrong_plan_is_explained(plan, share, reason):
    assert plan_score(plan)[0] == share
    verdict = check_plan(plan)
    assert not verdict and reason in verdict.message


def test_the_fewest_gpus_are_those_of_the_lessons_table():
    assert fewest_gpus() == PLAN["gpus"] == 20


def test_hidden_lists_tell_the_cheapest_from_the_smallest():
    spec = runpy.run_path(EXERCISES / "specs" / "ex11.py")["EXERCISE"]
    for seed in range(20):
        rng = random.Random(seed)
        for case in spec.items[0].cases(rng):
            exact = gpus_needed(**case)
            assert exact >= 3 and exact != round(exact - 0.6)
        for case in spec.items[2].cases(rng):
            assert cheapest(case["plans"]) != pick(case["plans"], lambda p: p["gpus"])
            assert cheapest(case["plans"]) != pick(case["plans"], cost, 99)
