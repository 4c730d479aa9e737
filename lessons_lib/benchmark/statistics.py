"""From runs to verdicts: intervals that hold the checkpoint's variance, Holm's correction, winners, ties, power.

The unit is a run, a run belongs to a checkpoint, and runs of one checkpoint are alike. So intervals come from the
hierarchical bootstrap (draw checkpoints, then seeds within each), whose standard error has a closed form. Arms of
one seed share their data, so arms are compared by the differences within seeds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from lessons_lib.metrics import Interval, t_quantile

ALPHA = 0.05


class MeanEstimate(NamedTuple):
    """A mean over checkpoints, its standard error, and the number of runs behind it."""

    mean: float
    error: float
    n: int

    def interval(self, alpha: float = ALPHA) -> Interval:
        """Two-sided, by Student's t with n − 1 degrees of freedom; without ends where there is one run."""
        if self.n == 1:
            return Interval(self.mean, -math.inf, math.inf, 1)
        half_width = t_quantile(self.n - 1, confidence=1 - alpha) * self.error
        return Interval(self.mean, self.mean - half_width, self.mean + half_width, self.n)

    @property
    def t(self) -> float:
        """The mean over its standard error; 0 where one run says nothing of the error."""
        if self.n == 1 or self.mean == 0:
            return 0.0
        return self.mean / self.error if self.error else math.copysign(math.inf, self.mean)


def estimate(values: ArrayLike, checkpoints: Sequence) -> MeanEstimate:
    """The mean of the checkpoints' means, with the hierarchical bootstrap's standard error.

    A resample draws J of the J checkpoints with replacement, and from each as many of its runs as it has. With m_j
    and s²_j the mean and the variance (divisor k_j) of checkpoint j's k_j runs, the resampled mean has the variance
    ``(var_j(m_j) + mean_j(s²_j / k_j)) / J``. Where all runs share a checkpoint, each counts as one.

    Args:
        values: (n,) one number a run.
        checkpoints: (n,) the checkpoint of each.
    """
    values = np.asarray(values, dtype=float)
    mean, error = _mean_and_error(values, checkpoints)
    return MeanEstimate(float(mean), float(error), len(values))


def _mean_and_error(values: np.ndarray, checkpoints: Sequence) -> tuple[np.ndarray, np.ndarray]:
    """What `estimate` answers with, for any number of experiments side by side: (…, n) to (…,) and (…,)."""
    place = _places(checkpoints)
    if not place.any():
        place = np.arange(len(place))
    groups = [values[..., place == number] for number in range(place.max() + 1)]
    means = np.stack([group.mean(axis=-1) for group in groups], axis=-1)
    within = np.stack([group.var(axis=-1) / group.shape[-1] for group in groups], axis=-1)
    return means.mean(axis=-1), np.sqrt((means.var(axis=-1) + within.mean(axis=-1)) / len(groups))


def _places(checkpoints: Sequence) -> np.ndarray:
    """(n,) the number of each run's checkpoint, in the order of their first runs."""
    names = list(dict.fromkeys(checkpoints))
    return np.array([names.index(name) for name in checkpoints])


class PairwiseComparison(NamedTuple):
    """Two arms: the mean difference, its interval after Holm's correction, and whether that excludes 0."""

    better: str
    worse: str
    difference: Interval
    significant: bool


def compare(
    scores: Mapping[str, ArrayLike], checkpoints: Sequence, *, alpha: float = ALPHA
) -> list[PairwiseComparison]:
    """All pairs of arms, with Holm's step-down correction over the pairs, surest first.

    Args:
        scores: arm to (seeds,), the same seeds in the same order for all.
        checkpoints: (seeds,) the checkpoint of each seed.
    """
    found = []
    for one, other in itertools.combinations(scores, 2):
        difference = estimate(np.subtract(scores[one], scores[other]), checkpoints)
        if difference.mean < 0:
            one, other, difference = other, one, difference._replace(mean=-difference.mean)
        found.append((one, other, difference))
    found.sort(key=lambda pair: -pair[2].t)
    comparisons, alive, level = [], True, alpha
    for place, (better, worse, difference) in enumerate(found):
        if alive:  # the first pair that fails ends the rejections, and the rest share its level
            level = alpha / (len(found) - place)
        interval = difference.interval(level)
        alive = alive and interval.low > 0
        comparisons.append(PairwiseComparison(better, worse, interval, alive))
    return comparisons


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


class BestSet(NamedTuple):
    """Who leads, and who cannot be told from the leader: a winner where nobody else is in `members`."""

    leader: str
    members: tuple[str, ...]
    lead: Interval  # over the best of the others, by the mean

    @property
    def winner(self) -> str | None:
        return self.leader if self.members == (self.leader,) else None


def best_set(scores: Mapping[str, ArrayLike], checkpoints: Sequence, *, alpha: float = ALPHA) -> BestSet:
    """The leader by its mean over checkpoints, and the arms whose difference from it may be 0; as for `compare`."""
    means = {arm: estimate(values, checkpoints).mean for arm, values in scores.items()}
    leader, second = sorted(means, key=means.__getitem__, reverse=True)[:2]
    own = {
        pair.worse if pair.better == leader else pair.better: pair
        for pair in compare(scores, checkpoints, alpha=alpha)
        if leader in pair[:2]
    }
    tied = sorted((arm for arm, pair in own.items() if not pair.significant), key=means.__getitem__, reverse=True)
    return BestSet(leader, (leader, *tied), own[second].difference)


def spread(values: ArrayLike, checkpoints: Sequence) -> tuple[float, float]:
    """(between checkpoints, between seeds of one checkpoint): standard deviations, by moments, never below 0."""
    values = np.asarray(values, dtype=float)
    groups = [values[[name == wanted for name in checkpoints]] for wanted in dict.fromkeys(checkpoints)]
    degrees = len(values) - len(groups)
    seeds = math.sqrt(sum(((g - g.mean()) ** 2).sum() for g in groups) / degrees) if degrees else 0.0
    if len(groups) == 1:
        return 0.0, seeds
    means = np.array([group.mean() for group in groups])
    noise = np.mean([seeds**2 / len(group) for group in groups])
    return math.sqrt(max(0.0, means.var(ddof=1) - noise)), seeds


def smallest_visible_effect(
    between: float,
    within: float,
    checkpoints: Sequence,
    *,
    pairs: int = 1,
    power: float = 0.8,
    alpha: float = ALPHA,
    simulations: int = 4000,
    seed: int = 0,
) -> float:
    """The difference that a comparison finds with probability `power`, by simulation.

    Args:
        between, within: standard deviations of a paired difference between checkpoints, and between seeds of one.
        checkpoints: (seeds,) the design.
        pairs: comparisons that share `alpha`; at Holm's first and hardest step.
        power, alpha: as usual.
        simulations, seed: of normal differences around 0. A shift moves the mean and not the error, so each
            simulated experiment says how large a shift it would have found.
    """
    rng, place = np.random.default_rng(seed), _places(checkpoints)
    by_checkpoint = between * rng.standard_normal((simulations, place.max() + 1))
    values = by_checkpoint[:, place] + within * rng.standard_normal((simulations, len(place)))
    mean, error = _mean_and_error(values, checkpoints)
    quantile = t_quantile(len(place) - 1, confidence=1 - alpha / pairs)
    return float(np.quantile(quantile * error - mean, power))


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
