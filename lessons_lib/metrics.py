"""Estimates with the interval that belongs to them: means, shares, paired differences, win rates, any statistic.

Plain numpy. Every function takes one value per *independent* unit and answers with an `Interval`. What the
unit is, is the caller's first decision: a seed, a prompt, a rater. Two responses to one prompt are not two units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Interval:
    """An estimate, the ends of its confidence interval, and how many units it rests on.

    One unit gives an estimate without an interval: its ends are minus and plus infinity.
    """

    estimate: float
    low: float
    high: float
    n: int

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2

    def excludes(self, value: float) -> bool:
        """Whether `value` lies outside: for a difference, ``excludes(0)`` is the two-sided test."""
        return not self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.estimate:.3g} [{self.low:.3g}, {self.high:.3g}] (n={self.n})"


def mean_interval(values: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """The mean with Student's t interval: exact for normal values, good for the means of many.

    ``mean ± t(n − 1) · s / √n``, where s divides by n − 1.

    Args:
        values: (n,), one finite value per independent unit, n ≥ 1.
        confidence: in (0, 1).

    Example:
        >>> print(mean_interval([1.0, 2.0, 3.0]))
        2 [-0.484, 4.48] (n=3)
    """
    values = _finite(values)
    n, mean = len(values), float(values.mean())
    if n == 1:
        return Interval(mean, -math.inf, math.inf, 1)
    half_width = t_quantile(n - 1, confidence=confidence) * float(values.std(ddof=1)) / math.sqrt(n)
    return Interval(mean, mean - half_width, mean + half_width, n)


def paired_difference(ours: ArrayLike, theirs: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """The mean of ours − theirs over units that both were measured on (the same seeds, the same prompts)."""
    ours, theirs = _paired(ours, theirs)
    return mean_interval(ours - theirs, confidence=confidence)


def paired_power(effect: float, sd: float, n: int, *, confidence: float = 0.95) -> float:
    """How likely the interval of `paired_difference` excludes 0, where the differences are normal.

    ``P(|T| > t(n − 1))`` for T noncentral with centre effect·√n / sd: the sample's standard deviation is integrated
    out on a grid, T being normal once it is given.

    Args:
        effect: the true mean difference. sd: the true standard deviation of one difference, above 0.
        n: differences (seeds, or prompts), at least 2.
        confidence: of the interval, in (0, 1).

    Example:
        >>> round(paired_power(0.0, 1.0, 5), 3), round(paired_power(1.0, 1.0, 10), 3)
        (0.05, 0.803)
    """
    if n < 2 or sd <= 0:
        raise ValueError(f"expected n of at least 2 and sd above 0, got n={n} and sd={sd:g}")
    degrees, centre = n - 1, effect * math.sqrt(n) / sd
    ratio, weights = _spread_of_sd(degrees)
    limit = t_quantile(degrees, confidence=confidence) * ratio
    tails = _normal_cdf(centre - limit) + _normal_cdf(-centre - limit)
    return float((weights * tails).sum() / weights.sum())


@cache
def _spread_of_sd(degrees: int) -> tuple[np.ndarray, np.ndarray]:
    """A grid of sample sd over true sd, and how likely each is, up to a constant."""
    ratio = np.linspace(0, 1 + 8 / math.sqrt(2 * degrees), 201)[1:]
    log_density = degrees * np.log(ratio) - np.log(ratio) - degrees * ratio**2 / 2
    return ratio, np.exp(log_density - log_density.max())


def seeds_needed(effect: float, sd: float, *, power: float = 0.8, confidence: float = 0.95, most: int = 1000) -> int:
    """The fewest differences for which `paired_power` reaches `power`; `most` + 1 where more than `most` are needed."""
    _fraction("power", power)
    low, high = 1, 2  # too few, and perhaps enough
    while high <= most and paired_power(effect, sd, high, confidence=confidence) < power:
        low, high = high, 2 * high
    high = min(high, most + 1)
    while high - low > 1:
        middle = (low + high) // 2
        enough = paired_power(effect, sd, middle, confidence=confidence) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def share_interval(successes: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """The share of units that are true, with Wilson's interval, which stays honest at 0 and at 1.

    Where nothing was seen in n units the t interval says "exactly 0"; this one says "below about 3.8/n".

    Args:
        successes: (n,) booleans, one per independent unit; or shares in [0, 1] where a unit is itself an
            average: then n counts for more, by the variance that averaging took away.

    Example:
        >>> print(share_interval([False] * 100))
        0 [0, 0.037] (n=100)

    Reference:
        Wilson 1927; Brown, Cai and DasGupta 2001, "Interval Estimation for a Binomial Proportion", section 3.1.1;
        for averages Franco, Little, Louis and Slud 2019, J. Survey Stat. Methodol. 7(3): the effective sample size.
    """
    shares = _finite(successes)
    if shares.min() < 0 or shares.max() > 1:
        raise ValueError(f"successes: expected values in [0, 1], got {shares.min():g} to {shares.max():g}")
    units, share, variance = len(shares), float(shares.mean()), float(shares.var())
    n = units * share * (1 - share) / variance if variance > 0 else units  # = units for booleans
    return Interval(share, *wilson(share, n, confidence=confidence), units)


def wilson(share: float, n: float, *, confidence: float = 0.95) -> tuple[float, float]:
    """The ends of Wilson's interval for a share seen in n independent units; n need not be whole.

    Example:
        >>> tuple(round(end, 3) for end in wilson(0.5, 100))
        (0.404, 0.596)
    """
    z = NormalDist().inv_cdf((1 + _fraction("confidence", confidence)) / 2)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half_width = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    # It holds the share itself; at 0 and 1 rounding would leave it out by 1e-17.
    return min(share, max(0.0, centre - half_width)), max(share, min(1.0, centre + half_width))


def win_rate(ours: ArrayLike, theirs: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """The share of units on which ours scores higher; a tie counts one half, so equals win 0.5.

    Args:
        ours, theirs: (n,) scores of the same units; larger is better.
    """
    ours, theirs = _paired(ours, theirs)
    return share_interval((ours > theirs) + 0.5 * (ours == theirs), confidence=confidence)


@lru_cache(maxsize=256)
def t_quantile(degrees: int, *, confidence: float = 0.95) -> float:
    """The t for which Student's distribution with `degrees` of freedom holds `confidence` within ±t.

    Bisection on the closed form, since numpy has no such function.

    Example:
        >>> round(t_quantile(4), 4)
        2.7764
    """
    if degrees < 1:
        raise ValueError(f"degrees: expected at least 1, got {degrees}")
    _fraction("confidence", confidence)
    low, high = 0.0, math.pi / 2  # of the angle θ with tan θ = t/√degrees, which is bounded where t is not
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_mass(middle, degrees) < confidence else (low, middle)
    return math.sqrt(degrees) * math.tan((low + high) / 2)


def t_two_sided(t: float, degrees: int) -> float:
    """P(|T| ≥ |t|) for Student's distribution with `degrees` of freedom: the two-sided p-value of a t.

    Example:
        >>> round(t_two_sided(2.7764, 4), 4)
        0.05
    """
    return max(0.0, 1 - _t_mass(math.atan(abs(t) / math.sqrt(degrees)), degrees))


def _t_mass(theta: float, degrees: int) -> float:
    """P(|T| ≤ √degrees · tan θ) as a finite sum: Abramowitz and Stegun 1964, 26.7.3 (odd) and 26.7.4 (even)."""
    odd = degrees % 2
    steps = np.arange(2 + odd, degrees, 2)  # denominators of the terms after the first
    terms = math.sin(theta) * math.cos(theta) ** odd * np.cumprod((steps - 1) / steps * math.cos(theta) ** 2)
    if not odd:
        return math.sin(theta) + float(terms.sum())
    first = math.sin(theta) * math.cos(theta) if degrees > 1 else 0.0
    return (theta + first + float(terms.sum())) * 2 / math.pi


def _normal_cdf(x: np.ndarray) -> np.ndarray:
    """Φ at each value, through the standard library's erfc."""
    return np.array([0.5 * math.erfc(value) for value in (x / -math.sqrt(2)).tolist()])


def _finite(values: ArrayLike) -> np.ndarray:
    """`values` as floats, or an error that says how many are missing."""
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"values: expected one value per unit, shape (n,), n ≥ 1, got shape {values.shape}")
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise ValueError(f"values: expected finite numbers, got {bad} of {len(values)} that are not; find out why")
    return values


def _paired(ours: ArrayLike, theirs: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    ours, theirs = _finite(ours), _finite(theirs)
    if len(ours) != len(theirs):
        raise ValueError(f"expected both scores for each unit, got {len(ours)} and {len(theirs)}")
    return ours, theirs


def _fraction(name: str, value: float) -> float:
    if not 0 < value < 1:
        raise ValueError(f"{name}: expected a number in (0, 1), got {value}")
    return value
