"""Exercise 10, hidden: fresh ratings, in a balance of their own for each learner."""

import random

from lessons_lib.grading.spec import Exercise, Item
from lessons_lib.lessons.lesson10 import checks


def _ratings(rng: random.Random, count: int) -> list[int]:
    shares = [rng.uniform(0.5, 1.5) for _ in range(4)]
    return rng.choices(range(4), shares, k=count)


def _shares(rng: random.Random) -> list[dict]:
    return [{"ratings": _ratings(rng, rng.randint(20, 40)), "up_from": rng.randint(1, 3)} for _ in range(3)]


def _counts(rng: random.Random) -> list[dict]:
    few, many = rng.randint(20, 90), rng.randint(400, 2000)
    return [{"ups": few, "downs": many}, {"ups": many, "downs": few}, {"ups": many, "downs": many}]


def _replies(rng: random.Random) -> list[dict]:
    """Few Bad and few Excellent, so that not every threshold will do; the other way round in the second case."""
    cases = []
    for shares in ((1, 6, 5, 1), (4, 1, 1, 5)):
        replies = []
        for _ in range(40):
            likely = [share * rng.uniform(0.7, 1.3) for share in shares]
            replies.append(rng.choices(range(4), likely, k=rng.choice((2, 3))))
        cases.append({"replies": replies})
    return cases


def _weights_share(answer, case) -> float:
    return float(checks.weights_fault(answer, case["ups"], case["downs"]) is None)


def _plan_share(answer, case) -> float:
    return float(checks.plan_fault(answer, case["replies"]) is None)


EXERCISE = Exercise(
    lesson=10,
    notebook="10_threshold_and_weights.ipynb",
    items=(
        Item("up_share", 2, _shares, checks.up_share),
        Item("kto_weights", 3, _counts, judge=_weights_share),
        Item("plan", 3, _replies, judge=_plan_share),
    ),
)
