"""Check of exercise 9: five probabilities for each of a few situations, held to recorded runs beside other rules."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields

from lessons_lib.advice.decide import Facts
from lessons_lib.grading.verdict import NOT_WRITTEN, Verdict
from lessons_lib.lessons.lesson09 import forecasts
from lessons_lib.methods import METHODS

PRACTICE: Mapping[str, str] = {
    "clean": "Pairs that people judged once, seen once.",
    "noisy_20": "Pairs of a noisy crowd, seen once.",
    "noisy_40_many": "A few pairs of a very noisy crowd, seen eight times.",
    "near_deterministic": "A few pairs that a rule labelled, seen eight times.",
    "length_extreme": "Pairs of judges who like long replies.",
    "unary_10": "Thumbs, nine of ten of them down.",
    "no_sft": "Pairs, and a base model that was never fine-tuned.",
}
"""By regime, the situation in words. The check uses these; marks are given on all regimes, measured anew."""


def practice() -> dict[str, Facts]:
    """The facts of the practice situations, by regime: those of one team, the same for everybody."""
    return {name: Facts(**forecasts.measured(name, random.Random(f"practice {name}"))) for name in PRACTICE}


def print_evidence(*names: str) -> None:
    """For regimes of the benchmark, or all: the share of seeds that each method was good enough in."""
    print(f"{'':20}" + "".join(f"{METHODS[m].name:>8}" for m in METHODS))
    for name in names or forecasts.regimes():
        shares = forecasts.outcome(name).good_enough
        print(f"{name:20}" + "".join(f"{shares[m]:8.2f}" for m in METHODS))


def check_choose(function: Callable) -> Verdict:
    """Check ``function(facts)``: a dictionary with a probability for each method."""
    cases, came = practice(), []
    for name, facts in cases.items():
        try:
            came.append(function(facts))
        except Exception as error:  # whatever the learner's code raises is an answer to explain
            return Verdict(False, f"{_situation(name, facts)}\nyour function raised {_explained(error)}")
        if why := came[-1] is not None and forecasts.fault(came[-1]):
            return Verdict(False, f"{_situation(name, facts)}\ngot {came[-1]!r:.200}\nlikely cause: {why}")
    if any(answer is None for answer in came):
        missed = [place for place, answer in enumerate(came) if answer is None]
        name = list(cases)[missed[0]]
        why = NOT_WRITTEN if len(missed) == len(came) else "your function returns nothing here"
        return Verdict(False, f"{_situation(name, cases[name])}\n{why}")
    truths = [forecasts.outcome(name) for name in cases]
    baselines, mine = forecasts.Baselines.of(truths), forecasts.score(came, truths)
    ours = forecasts.score([forecasts.ours(facts) for facts in cases.values()], truths)
    share = baselines.share(mine)
    told = f"{share:.0%} of the points, were these the marked ones\n{baselines.told(mine, ours)}"
    return Verdict(share == 1, told if share == 1 else f"{told}\n{_likely_cause(cases, came, truths)}")


def _likely_cause(cases: Mapping[str, Facts], came: Sequence[Mapping], truths: Sequence[forecasts.Outcome]) -> str:
    """A constant, or the probability that is furthest from what came."""
    if all(answer == came[0] for answer in came):
        return "likely cause: a constant; your probabilities do not depend on the facts"
    errors = [
        (abs(answer[m] - truth.good_enough[m]), name, m, answer[m], truth.good_enough[m])
        for name, answer, truth in zip(cases, came, truths, strict=True)
        for m in METHODS
    ]
    _, name, method, said, was = max(errors)
    return (
        f"furthest off: {_situation(name, cases[name])}\n"
        f"you said {said:.2g} for {METHODS[method].name}; it was good enough in {was:.0%} of the runs"
    )


def _situation(name: str, facts: Facts) -> str:
    return f"{PRACTICE[name]}\nwith {shown(facts)}"


def shown(facts: Facts) -> str:
    """The facts that are not at their defaults, as one would write them."""
    told = [f"{f.name}={getattr(facts, f.name)!r}" for f in fields(facts) if getattr(facts, f.name) != f.default]
    return f"Facts({', '.join(told)})"


def _explained(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, TypeError) and "NoneType" in str(error):
        return f"{text}\nlikely cause: an unknown fact is None and cannot be compared; ask `is not None` first"
    return text
