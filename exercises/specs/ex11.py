"""Exercise 11, hidden: fresh clusters and price lists; the plan is judged by the calculator."""

import random

from lessons_lib.grading.spec import Exercise, Item
from lessons_lib.lessons.lesson11.checks import cheapest, gpus_needed, plan_score

GPUS = {24: 0.5, 48: 0.9, 80: 2.4, 141: 3.6}  # GB of one, and about what its hour costs


def _clusters(rng: random.Random) -> list[dict]:
    """Each needs from 3 to some hundred GPUs, so that rounding and the fixed part both count."""
    cases = []
    while len(cases) < 4:
        gpu_gb = rng.choice(tuple(GPUS))
        case = {
            "parameters": round(rng.uniform(1, 120), 2) * 1e9,
            "bytes_per_weight": rng.choice((10, 16, 18, 20)),
            "fixed_gb": round(rng.uniform(0.1, 0.6) * gpu_gb, 1),
            "gpu_gb": gpu_gb,
        }
        exact = case["parameters"] * case["bytes_per_weight"] / 1e9 / (0.9 * gpu_gb - case["fixed_gb"])
        if exact > 2 and 0.05 < exact % 1 < 0.45:  # rounding to the nearest must not pass for rounding up
            cases.append(case)
    return cases


def _lists(rng: random.Random) -> list[dict]:
    """Price lists in which something that does not fit is cheapest, and the smallest cluster is not."""
    cases = []
    while len(cases) < 4:
        plans = [_plan(rng) for _ in range(7)]
        if not any(plan["peak_gb"] <= 0.9 * plan["gpu_gb"] for plan in plans):
            continue
        best = cheapest(plans)
        by_cost = min(range(7), key=lambda i: plans[i]["gpus"] * plans[i]["hours"] * plans[i]["price"])
        fewest = min(plan["gpus"] for plan in plans if plan["peak_gb"] <= 0.9 * plan["gpu_gb"])
        if by_cost != best and plans[best]["gpus"] > fewest:
            cases.append({"plans": plans})
    return cases


def _plan(rng: random.Random) -> dict:
    gpu_gb = rng.choice(tuple(GPUS))
    return {
        "gpus": rng.choice((1, 2, 4, 8, 16, 32)),
        "gpu_gb": gpu_gb,
        "peak_gb": round(gpu_gb * rng.uniform(0.6, 1.1), 1),
        "hours": rng.randint(3, 60),
        "price": round(GPUS[gpu_gb] * rng.uniform(0.8, 1.3), 2),
    }


EXERCISE = Exercise(
    lesson=11,
    notebook="11_cheapest_plan.ipynb",
    items=(
        Item("gpus_needed", 3, _clusters, gpus_needed),
        Item("my_plan", 2, judge=lambda answer, case: plan_score(answer)[0]),
        Item("cheapest_plan", 3, _lists, cheapest),
    ),
)
