"""Exercise 9, hidden: a rule over facts, on fifteen situations drawn for each learner; second answers earn half."""

import random

from lessons_lib.advice.decide import Facts
from lessons_lib.grading.spec import Exercise, Item
from lessons_lib.lessons.lesson09.checks import share


def _cases(rng: random.Random) -> list[dict]:
    def between(low, high):
        return round(rng.uniform(low, high), 3)

    def flips(rate, width=0.03):
        return {"flip_rate": rate, "flip_low": round(max(0.0, rate - width), 3), "flip_high": round(rate + width, 3)}

    def pairs(**known):
        start = {"rows": rng.randint(1200, 40_000), "prompts": rng.randint(400, 1200)}
        placed = {"checkpoint": rng.choice(("sft", "chat")), "reference": rng.choice(("live", "precomputed"))}
        return {"shape": "paired", **start, **placed, **known}

    def ratings(unpaired, **known):
        rows = rng.randint(2000, 40_000)
        made = {"unpaired": unpaired, "pairs": round(rows * (1 - unpaired) / 2), "up_share": between(0.1, 0.9)}
        placed = {"checkpoint": "sft", "reference": "live"}
        return {"shape": "unpaired", "rows": rows, "prompts": rows // 2, **made, **placed, **known}

    clean, noisy, decided = between(0.01, 0.1), between(0.2, 0.33), between(0.82, 0.99)
    hidden = [
        pairs(**flips(clean), near_deterministic=between(0.3, 0.75), passes=rng.randint(1, 6)),
        pairs(**flips(0.01), near_deterministic=decided, passes=rng.randint(1, 2)),
        pairs(),  # nobody measured anything
        pairs(**flips(noisy)),
        pairs(**flips(0.15, 0.0)),  # the threshold itself
        pairs(**flips(between(0.135, 0.165), 0.05)),  # either side of it
        pairs(**flips(0.01), near_deterministic=decided, passes=rng.randint(3, 8)),
        pairs(**flips(noisy), checkpoint="base"),
        pairs(**flips(clean), checkpoint="base", reference="none"),
        pairs(**flips(noisy), reference="none"),
        pairs(**flips(0.01), reference="none", near_deterministic=decided, passes=5),
        pairs(checkpoint="base"),
        ratings(between(0.6, 0.95), checkpoint="base"),
        ratings(between(0.6, 0.95), reference="none"),
        ratings(between(0.1, 0.4)),  # most of them could be paired
    ]
    rng.shuffle(hidden)
    return [{"facts": {"facts": facts}} for facts in hidden]


EXERCISE = Exercise(
    lesson=9,
    notebook="09_choose_rule.ipynb",
    items=(Item("choose", 7, _cases, judge=lambda answer, case: share(answer, Facts(**case["facts"]["facts"]))),),
)
