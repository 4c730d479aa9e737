"""Exercise 9, hidden: probabilities over facts, on twenty cases measured for each learner, judged together.

Every regime of the benchmark stands behind one case, three of them behind a second one, and behind two cases a mixture
of regimes, because nobody measured their noise. Which these are, and how the samples fell, is each learner's own.
"""

import random

from lessons_lib.advice.decide import Facts
from lessons_lib.grading.spec import KEPT, Exercise, Item
from lessons_lib.lessons.lesson09 import forecasts

UNKNOWN_NOISE = (("clean", "noisy_20", "noisy_40"), ("clean_many", "noisy_20_many", "noisy_40_many"))
TWICE = 3


def _cases(rng: random.Random) -> list[dict]:
    names = list(forecasts.regimes())
    hidden = [_case((name,), rng) for name in (*names, *rng.sample(names, TWICE))]
    hidden += [_case(names, rng, judged_again=False) for names in UNKNOWN_NOISE]
    rng.shuffle(hidden)
    return hidden


def _case(names: tuple[str, ...], rng: random.Random, **known: bool) -> dict:
    facts = forecasts.measured(rng.choice(names), rng, **known)
    return {"facts": {"facts": facts}, KEPT: list(names)}


def _together(answers: list, cases: list[dict]) -> tuple[float, str]:
    truths = [forecasts.outcome(*case[KEPT]) for case in cases]
    baselines, mine = forecasts.Baselines.of(truths), forecasts.score(answers, truths)
    faults = [why for answer in answers if (why := forecasts.fault(answer))]
    said = f"{len(faults)} of {len(answers)} answers are none: {faults[0]}\n" if faults else ""
    ours = forecasts.score([forecasts.ours(Facts(**case["facts"]["facts"])) for case in cases], truths)
    return baselines.share(mine), said + baselines.told(mine, ours)


def _can_be_read(answer: object, case: dict) -> float:
    return float(not forecasts.fault(answer))


EXERCISE = Exercise(
    lesson=9,
    notebook="09_choose_rule.ipynb",
    items=(Item("choose", 7, _cases, judge=_can_be_read, together=_together),),
)
