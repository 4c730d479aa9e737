"""What exercise 9 asks for and marks: for each method, how probably it is good enough, judged by recorded runs.

A method is *good enough* in a run when its gold reward lies within `DELTA` of the best of the five on the same data
and seed. The runs are the matched benchmark's, which the library carries: an open book. What a case shows of them is
its facts, as a team would have measured them; which regime stands behind is for the rule to tell.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from numbers import Real
from typing import NamedTuple

from lessons_lib.advice.decide import Facts, recommend
from lessons_lib.benchmark.design import DELTA
from lessons_lib.data.figures import implied_flip
from lessons_lib.methods import METHODS
from lessons_lib.metrics import wilson

FULL = 0.4  # of the way from the best constant rule to the regimes' own shares: calibration's full marks
NEARLY = (
    0.05  # of the way from the best constant rule to the coin: regret's full marks, since five methods are often level
)
Rule = Callable[[Facts], Mapping[str, float]]


@cache
def regimes() -> Mapping[str, Mapping]:
    """By regime of the benchmark, the facts that a profile of its rows finds; see `exercises/specs/facts_ex09.py`."""
    return json.loads(resources.files(__package__).joinpath("regimes.json").read_text("utf-8"))


class Outcome(NamedTuple):
    """What runs of a regime came to, by method: the mean gold reward, and the share of seeds it was good enough in."""

    gold: Mapping[str, float]
    good_enough: Mapping[str, float]


@cache
def outcome(*names: str) -> Outcome:
    """Of one regime, or of several taken together with equal weight where nothing tells them apart.

    Example:
        >>> sorted(outcome("no_sft").good_enough)
        ['dpo', 'ipo', 'kto', 'orpo', 'simpo']
    """
    found = [_outcome(name) for name in names]
    return Outcome(*({m: math.fsum(one[part][m] for one in found) / len(found) for m in METHODS} for part in (0, 1)))


@cache
def _outcome(regime: str) -> Outcome:
    from lessons_lib import benchmark
    from lessons_lib.benchmark.reading import paired

    gold, _ = paired(_runs(), regime, benchmark.FIVE)
    best = [max(seed) for seed in zip(*gold.values(), strict=True)]
    near = {m: [float(g >= top - DELTA) for g, top in zip(values, best, strict=True)] for m, values in gold.items()}
    return Outcome(*({m: float(sum(v) / len(v)) for m, v in part.items()} for part in (gold, near)))


@cache
def _runs():
    from lessons_lib import benchmark

    return benchmark.results()


# An answer -------------------------------------------------------------------------------------------------------


def fault(answer: object) -> str:
    """What keeps an answer from being five probabilities; empty where nothing does."""
    if not isinstance(answer, Mapping):
        return f"expected a dictionary, a probability for each method, got {type(answer).__name__}"
    if set(answer) != set(METHODS):
        return f"expected the keys {', '.join(METHODS)}, got {', '.join(map(str, answer)) or 'none'}"
    for method, p in answer.items():
        if isinstance(p, bool) or not isinstance(p, Real) or not 0 <= p <= 1:
            return f"{method}: expected a probability from 0 to 1, got {p!r:.40}"
    return ""


def regret(answer: object, truth: Outcome) -> float:
    """Gold points by which the method that an answer holds most probable lies behind the best; ties are averaged.

    What is no answer has the regret of the worst method.
    """
    best = max(truth.gold.values())
    if fault(answer):
        return best - min(truth.gold.values())
    first = [m for m, p in answer.items() if p == max(answer.values())]
    return best - sum(truth.gold[m] for m in first) / len(first)


def brier(answer: object, truth: Outcome) -> float:
    """Mean over methods and seeds of (probability − what came)², 0 to 1: least where the probabilities are true.

    What is no answer has 1, the worst there is.

    Reference:
        Brier 1950, *Verification of forecasts expressed in terms of probability*, Monthly Weather Review 78.
    """
    if fault(answer):
        return 1.0
    shares = truth.good_enough
    return sum((answer[m] - s) ** 2 + s * (1 - s) for m, s in shares.items()) / len(shares)


# A rule over cases -----------------------------------------------------------------------------------------------


class Score(NamedTuple):
    """Means over cases: regret in gold points, and the Brier score; the lower the better, both."""

    regret: float
    brier: float


def score(answers: Sequence[object], truths: Sequence[Outcome]) -> Score:
    pairs = list(zip(answers, truths, strict=True))
    return Score(*(sum(part(*pair) for pair in pairs) / len(pairs) for part in (regret, brier)))


@dataclass(frozen=True)
class Baselines:
    """The rules that a rule is measured against, on the same cases.

    Attributes:
        always: by method, the rule that is sure of this one and of no other, whatever the facts.
        shares: the best constant rule: each method's share of good enough over these very cases.
        coin: one half for each method.
        known: the regimes' own shares, which no rule over facts can beat.
    """

    always: Mapping[str, Score]
    shares: Score
    coin: Score
    known: Score

    @classmethod
    def of(cls, truths: Sequence[Outcome]) -> Baselines:
        def constant(answer: Mapping[str, float]) -> Score:
            return score([answer] * len(truths), truths)

        shares = {m: sum(truth.good_enough[m] for truth in truths) / len(truths) for m in METHODS}
        return cls(
            always={sure: constant({m: float(m == sure) for m in METHODS}) for sure in METHODS},
            shares=constant(shares),
            coin=constant(dict.fromkeys(METHODS, 0.5)),
            known=score([truth.good_enough for truth in truths], truths),
        )

    @property
    def constants(self) -> tuple[Score, ...]:
        return (*self.always.values(), self.shares)

    def share(self, mine: Score) -> float:
        """The share of the points: one half for regret, one half for calibration.

        Regret: none at the coin's, all at the least that a constant rule has or `NEARLY`. Calibration: none at the
        least Brier score of a constant rule, all at `FULL` of the way from there to the regimes' own shares. So no
        constant rule earns more than one half.
        """
        return (_between(mine.regret, *self._regret) + _between(mine.brier, *self._calibration)) / 2

    @property
    def _regret(self) -> tuple[float, float]:
        least = min(one.regret for one in self.constants)
        return self.coin.regret, least + NEARLY * (self.coin.regret - least)

    @property
    def _calibration(self) -> tuple[float, float]:
        start = min(one.brier for one in self.constants)
        return start, start - FULL * (start - self.known.brier)

    def told(self, mine: Score, recommended: Score) -> str:
        """The rule beside the others, the library's own among them, a line each."""
        rows = {"your rule": mine, "lessons-lib match": recommended}
        rows |= {f"always {METHODS[m].name}": one for m, one in self.always.items()}
        rows |= {"the best constant": self.shares, "a coin": self.coin, "each regime's shares": self.known}
        lines = [f"  {name:22}{one.regret:8.3f}{one.brier:13.3f}" for name, one in rows.items()]
        wanted = f"full marks: regret {self._regret[1]:.3f} or less, "
        return "\n".join(
            [f"  {'':22}{'regret':>8}{'Brier score':>13}", *lines, f"  {wanted}Brier score {self._calibration[1]:.3f}"]
        )


def _between(value: float, nothing: float, everything: float) -> float:
    """Where a value lies between what earns nothing and what earns everything, the lower the better; 0 to 1."""
    if nothing <= everything:
        return float(value <= everything)
    return min(1.0, max(0.0, (nothing - value) / (nothing - everything)))


# Cases -----------------------------------------------------------------------------------------------------------

JUDGED = (80, 400)  # rows that three people judged, on which a team measures its agreement: fewest and most
CHECKPOINTS = {"base": ("base",), "sft": ("sft", "sft", "chat")}  # what a case may call the regime's start


def measured(regime: str, rng: random.Random, *, judged_again: bool = True) -> dict[str, object]:
    """The facts that a team would have of a regime: shares counted on samples, with their error, as keywords.

    Args:
        regime: of `regimes()`.
        rng: of the samples.
        judged_again: whether some rows were judged by more than one person; else the label noise is unknown.
    """
    true = dict(regimes()[regime])
    rows = true["rows"]
    facts = {key: true[key] for key in ("shape", "rows", "prompts", "passes")} | {"reference": "live"}
    facts["checkpoint"] = rng.choice(CHECKPOINTS[true["checkpoint"]])
    facts |= {key: _counted(true[key], rows, rng) for key in ("chosen_longer", "up_share", "unpaired") if key in true}
    if "pairs" in true:
        facts["pairs"] = true["pairs"]
    elif judged_again:
        facts |= _noise(true, rng.randint(*JUDGED), rng)
    return facts


def _noise(true: Mapping, judged: int, rng: random.Random) -> dict[str, float]:
    """Flip rate with its interval, and the share of one mind, on so many rows that three people judged."""
    e = true["flip_rate"]
    agreement = _counted(e * e + (1 - e) ** 2, judged, rng)
    low, high = wilson(agreement, judged)
    flips = {"flip_rate": agreement, "flip_low": high, "flip_high": low}
    return {key: round(implied_flip(share), 3) for key, share in flips.items()} | {
        "near_deterministic": _counted(true["near_deterministic"], judged, rng)
    }


def _counted(share: float, n: int, rng: random.Random) -> float:
    """A share as it is found in n rows."""
    return round(sum(rng.random() < share for _ in range(n)) / n, 3)


def ours(facts: Facts) -> dict[str, float]:
    """`recommend` taken at its word: sure of its choice and of what it calls as good, and of nothing else."""
    advice = recommend(facts)
    return {m: float(m == advice.start_with or m in advice.equivalents) for m in METHODS}
