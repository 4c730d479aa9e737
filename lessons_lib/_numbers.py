"""The check of a hyper-parameter, shared by the losses and the settings of a run; it needs no torch."""

from __future__ import annotations

import math
from numbers import Real


def check_number(name: str, value: float, interval: str) -> None:
    """Raise unless `value` is a finite number in `interval`, written as in mathematics: "(0, inf)", "[0, 0.5)"."""
    low, high = (float(end) for end in interval[1:-1].split(","))
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"{name}: expected a finite number in {interval}, got {value!r}")
    above = value > low or (value == low and interval[0] == "[")
    below = value < high or (value == high and interval[-1] == "]")
    if not (above and below):
        raise ValueError(f"{name}: expected a number in {interval}, got {value:g}")
