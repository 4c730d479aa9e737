"""Exercise 13, hidden: fresh scores, effects, costs, and comparisons of every outcome."""

import random

from lessons_lib.grading.spec import Exercise, Item
from lessons_lib.lessons.lesson13 import checks


def _scores(rng: random.Random, seeds: int, lead: float, spread: float) -> dict:
    theirs = [round(rng.uniform(0.8, 2.0), 3) for _ in range(seeds)]
    ours = [round(x + rng.gauss(lead, spread), 3) for x in theirs]
    return {"ours": ours, "theirs": theirs, "checkpoints": [f"sft-{seed}" for seed in range(seeds)]}


def _shared(rng: random.Random) -> dict:
    """Three seeds on each of a few checkpoints, whose runs are alike."""
    checkpoints = [f"sft-{number}" for number in range(rng.randint(2, 4)) for _ in range(3)]
    lead = {name: rng.gauss(0.3, 0.3) for name in checkpoints}
    theirs = [round(rng.uniform(0.8, 2.0), 3) for _ in checkpoints]
    order = rng.sample(range(len(checkpoints)), len(checkpoints))
    ours = [round(theirs[place] + lead[checkpoints[place]] + rng.gauss(0, 0.05), 3) for place in order]
    return {"ours": ours, "theirs": [theirs[p] for p in order], "checkpoints": [checkpoints[p] for p in order]}


def _pairs(rng: random.Random) -> list[dict]:
    return [*(_scores(rng, rng.randint(3, 12), rng.uniform(-0.5, 0.5), 0.2) for _ in range(2)), _shared(rng)]


def _effects(rng: random.Random) -> list[dict]:
    return [{"effect": round(rng.uniform(0.15, 0.6), 3), "sd": round(rng.uniform(0.2, 0.5), 3)} for _ in range(3)]


def _costs(rng: random.Random) -> list[dict]:
    return [
        {
            "effect": round(rng.uniform(0.2, 0.5), 3),
            "noise": round(rng.uniform(0.1, 0.3), 3),
            "reply_sd": round(rng.uniform(1.0, 1.6), 3),
            "run_cost": rng.choice([1.0, 3.0, 20.0, 60.0]),
            "prompt_cost": rng.choice([0.001, 0.005, 0.02]),
        }
        for _ in range(3)
    ]


def _outcomes(rng: random.Random) -> list[dict]:
    """One comparison of each verdict, and one that leaves zero without counting, in an order of her own."""
    drawn = ((8, 0.8, 0.2), (8, -0.8, 0.2), (10, 0.0, 0.02), (3, 0.1, 0.9), (10, 0.08, 0.02))
    cases = [_scores(rng, *how) for how in drawn]
    rng.shuffle(cases)
    return [case | {"delta": 0.2} for case in cases]


EXERCISE = Exercise(
    lesson=13,
    notebook="13_plan_a_comparison.ipynb",
    items=(
        Item("paired_interval", 2, _pairs, checks.paired_interval),
        Item("seeds_for", 2, _effects, checks.seeds_for),
        Item("cheapest_plan", 3, _costs, checks.cheapest_plan),
        Item("verdict_of", 3, _outcomes, checks.verdict_of),
    ),
)
