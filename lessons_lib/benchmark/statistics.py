"""From runs to verdicts: intervals that rest on checkpoints, Holm's correction, three words, and what can be seen.

A run begins at an SFT checkpoint, and runs of one checkpoint are alike: the unit is the checkpoint. An estimate is the
mean of the checkpoints' means with Student's t and one degree of freedom less than there are checkpoints, which is
right by construction however alike their runs are. Where every run has a checkpoint of its own, as in the matrix, that
is the plain t interval. Arms of one seed share their data, so arms are compared by the differences within seeds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from lessons_lib.metrics import Interval, t_quantile, t_two_sided

ALPHA = 0.05
WORDS = ("ahead", "equivalent", "cannot tell")  # and "behind", which is ahead seen from the other side


class MeanEstimate(NamedTuple):
    """A mean over checkpoints, its standard error, the degrees of freedom of that, and the number of runs behind it."""

    mean: float
    error: float
    degrees: int
    n: int

    def interval(self, alpha: float = ALPHA) -> Interval:
        """Two-sided, by Student's t; without ends where there is a single unit."""
        if not self.degrees:
            return Interval(self.mean, -math.inf, math.inf, self.n)
        half_width = t_quantile(self.degrees, confidence=1 - alpha) * self.error
        return Interval(self.mean, self.mean - half_width, self.mean + half_width, self.n)

    @property
    def sd(self) -> float:
        """The standard deviation of the units that the mean rests on."""
        return self.error * math.sqrt(self.degrees + 1)

    @property
    def p(self) -> float:
        """The two-sided p-value of a mean of 0; 1 where a single unit says nothing of the error."""
        if not self.degrees or self.mean == 0:
            return 1.0
        return t_two_sided(self.mean / self.error, self.degrees) if self.error else 0.0


def estimate(values: ArrayLike, checkpoints: Sequence) -> MeanEstimate:
    """The mean of the checkpoints' means and its standard error; where all runs share a checkpoint, each is a unit.

    Args:
        values: (n,) one number a run.
        checkpoints: (n,) the checkpoint of each.
    """
    values = np.asarray(values, dtype=float)
    names = list(dict.fromkeys(checkpoints))
    units = values
    if len(names) > 1:
        units = np.array([values[[name == own for own in checkpoints]].mean() for name in names])
    error = units.std(ddof=1) / math.sqrt(len(units)) if len(units) > 1 else 0.0
    return MeanEstimate(float(units.mean()), float(error), len(units) - 1, len(values))


class PairwiseComparison(NamedTuple):
    """Two arms: the mean difference, its interval after Holm's correction, and whether that excludes 0."""

    better: str
    worse: str
    difference: Interval
    significant: bool


def holm(estimates: Sequence[MeanEstimate], *, alpha: float = ALPHA) -> list[Interval]:
    """An interval for each, corrected by Holm's step-down, in the order given.

    The surest of m is held to the level alpha / m, the next to alpha / (m − 1), and so on; the first that does not
    exclude 0 ends the rejections, and the rest share its level.

    Reference:
        Holm 1979, Scandinavian Journal of Statistics 6.
    """
    corrected, alive, level = {}, True, alpha
    surest_first = sorted(range(len(estimates)), key=lambda place: estimates[place].p)
    for rank, place in enumerate(surest_first):
        if alive:
            level = alpha / (len(estimates) - rank)
        corrected[place] = estimates[place].interval(level)
        alive = alive and corrected[place].excludes(0.0)
    return [corrected[place] for place in range(len(estimates))]


def differences(scores: Mapping[str, ArrayLike], checkpoints: Sequence) -> dict[tuple[str, str], MeanEstimate]:
    """(better, worse) to their mean difference, for all pairs of arms; as for `compare`."""
    found = {}
    for one, other in itertools.combinations(scores, 2):
        difference = estimate(np.subtract(scores[one], scores[other]), checkpoints)
        if difference.mean < 0:
            one, other, difference = other, one, difference._replace(mean=-difference.mean)
        found[one, other] = difference
    return found


def compare(
    scores: Mapping[str, ArrayLike], checkpoints: Sequence, *, alpha: float = ALPHA
) -> list[PairwiseComparison]:
    """All pairs of arms, with Holm's correction over the pairs, surest first.

    Args:
        scores: arm to (seeds,), the same seeds in the same order for all.
        checkpoints: (seeds,) the checkpoint of each seed.
    """
    found = differences(scores, checkpoints)
    corrected = dict(zip(found, holm(list(found.values()), alpha=alpha), strict=True))
    surest_first = sorted(found, key=lambda pair: found[pair].p)
    return [PairwiseComparison(*pair, corrected[pair], corrected[pair].low > 0) for pair in surest_first]


def word(difference: Interval, delta: float) -> str:
    """What a difference of two arms comes to: "equivalent", "ahead", "behind" or "cannot tell".

    Equivalent: the whole interval lies within ±delta, so the two differ by less than counts, whether or not by more
    than nothing. Ahead and behind: it lies on one side of 0. Else nothing can be told, which is not the same as
    equivalent.
    """
    if -delta < difference.low and difference.high < delta:
        return "equivalent"
    if difference.low > 0:
        return "ahead"
    return "behind" if difference.high < 0 else "cannot tell"


def smallest_visible_effect(
    sd: float,
    units: int,
    *,
    pairs: int = 1,
    power: float = 0.8,
    alpha: float = ALPHA,
    simulations: int = 4000,
    seed: int = 0,
) -> float:
    """The difference that a comparison finds with probability `power`, by simulation.

    Args:
        sd: of a paired difference between units.
        units: checkpoints, each with its own seed.
        pairs: comparisons that share `alpha`; at Holm's first and hardest step.
        power, alpha: as usual.
        simulations, seed: of normal differences around 0. A shift moves the mean and not the error, so each
            simulated experiment says how large a shift it would have found.
    """
    values = sd * np.random.default_rng(seed).standard_normal((simulations, units))
    error = values.std(axis=1, ddof=1) / math.sqrt(units)
    quantile = t_quantile(units - 1, confidence=1 - alpha / pairs)
    return float(np.quantile(quantile * error - values.mean(axis=1), power))


def missed(units: np.ndarray, *, alpha: float = ALPHA) -> float:
    """The share of simulated experiments, (experiments, units) around 0, whose t interval does not hold 0."""
    n = units.shape[1]
    error = units.std(axis=1, ddof=1) / math.sqrt(n)
    return float((np.abs(units.mean(axis=1)) > t_quantile(n - 1, confidence=1 - alpha) * error).mean())


def length_controlled(wins: ArrayLike, extra_tokens: ArrayLike) -> float:
    """The win rate that would be at equal length: a logistic regression of wins on the difference in length.

    ``P(win) = σ(a + b · tanh(d / sd(d)))``; the answer is σ(a). The form of AlpacaEval's length control, without
    its terms for the instruction.

    Args:
        wins: (n,) 1, 0, or one half for a tie.
        extra_tokens: (n,) d, our length minus theirs.

    Reference:
        Dubois, Galambosi, Liang and Hashimoto 2024, arXiv 2404.04475.
    """
    wins, extra = np.asarray(wins, dtype=float), np.asarray(extra_tokens, dtype=float)
    slope = np.tanh(extra / extra.std()) if extra.std() else np.zeros_like(extra)
    x = np.column_stack([np.ones_like(slope), slope])
    weights = np.zeros(2)
    ridge = np.diag([1e-3, 1e-3])  # of a thousandth of a win: keeps the answer finite where every reply wins
    for _ in range(50):  # Newton's method
        p = 1 / (1 + np.exp(-x @ weights))
        step = np.linalg.solve((x.T * (p * (1 - p))) @ x + ridge, x.T @ (wins - p) - ridge @ weights)
        weights += step
        if np.abs(step).max() < 1e-9:
            break
    return float(1 / (1 + math.exp(-weights[0])))
