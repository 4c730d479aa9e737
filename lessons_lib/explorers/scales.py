"""Numbers and axes as an explorer writes them: the range of an axis, its ticks, and how a value is spelled.

`lessons.mjs` has the same four rules, because a slider moves without Python; tests/explorers/test_client.py holds the
two to the same strings over a corpus. Rounding is half away from zero on the exact binary value, as in JavaScript.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

NICE = (1, 1.5, 2, 3, 4, 5, 7, 10)  # where a fitted axis may end, times a power of ten
STEPS = (1, 2, 2.5, 5, 10)  # from tick to tick, likewise
THOUSANDS = 10_000  # an axis that reaches this far counts in thousands: its numbers keep to their margin


def short(value: float) -> str:
    """Three significant digits; whole numbers in full, no exponent from a thousandth to a million.

    Example:
        >>> short(0.9996), short(2.0), short(-0.5), short(12345.6), short(2.5e-5), short(math.nan)
        ('1.00', '2', '−0.500', '12,346', '2.5e-5', '–')
    """
    if not math.isfinite(value):
        return "–"
    if value == round(value) and abs(value) < 1e6:
        return _signed(value, 0)
    exponent = _exponent(value, 3)
    if -3 <= exponent <= 5:
        return _signed(value, max(0, 2 - exponent))
    exponent = _exponent(value, 2)
    mantissa = _signed(Decimal(value).scaleb(-exponent), 1).removesuffix(".0")
    return f"{mantissa}e{exponent}"


def round_up(value: float) -> float:
    """The next of `NICE` times a power of ten: where a fitted axis ends."""
    if value <= 0:
        return 1.0
    power = _power_below(value)
    return next(step * power for step in NICE if value <= step * power * (1 + 1e-9))


def ticks(low: float, high: float, count: int, *, log: bool = False) -> list[float]:
    """About `count` round values from `low` to `high`; on a log axis powers of ten, and 2 and 5 where those are few."""
    if log:
        return _log_ticks(low, high)
    rough = (high - low) / count
    power = _power_below(rough)
    step = power * next(nice for nice in STEPS if nice * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [place * step for place in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = [float(f"{step}e{power}") for power in powers for step in (1, 2, 5)]
    inside = [value for value in every if low * 0.999 <= value <= high * 1.001]
    round_ones = [value for value in inside if value in every[::3]]
    return round_ones if len(round_ones) > 2 else inside


def _power_below(value: float) -> float:
    return float(f"1e{math.floor(math.log10(value) + 1e-12)}")


def tick_texts(values: Sequence[float]) -> list[str]:
    """Ticks of one axis, all with the decimals that its step needs, or in thousands."""
    if max(map(abs, values)) >= THOUSANDS:
        return [f"{_plain(value / 1000)}k" if value else "0" for value in values]
    step = abs(values[1] - values[0]) if len(values) > 1 else abs(values[0]) or 1.0
    places = next((p for p in range(6) if all(_whole(v * 10**p, step * 10**p) for v in (step, values[0]))), 6)
    return ["0" if abs(value) < step * 1e-6 else _signed(value, places) for value in values]


def log_tick_texts(values: Sequence[float]) -> list[str]:
    """Ticks of a log axis, each by itself: 0.01, 0.1, 1, 10."""
    return [_plain(value) if 1e-3 <= value < 1e6 else short(value) for value in values]


def _whole(value: float, step: float) -> bool:
    return abs(value - round(value)) < 1e-6 * step


def _plain(value: float) -> str:
    """No more decimals than it needs."""
    places = next((p for p in range(6) if _whole(value * 10**p, 1)), 6)
    return _signed(value, places)


def _signed(value: float | Decimal, places: int) -> str:
    """`value` with that many decimals, thousands apart, and a real minus."""
    rounded = Decimal(value).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    return f"{rounded:,f}".replace("-", "−" if rounded else "")


def _exponent(value: float, digits: int) -> int:
    """The power of ten that `value` has after rounding to so many significant digits."""
    exact = abs(Decimal(value))
    exponent = exact.adjusted()
    return exact.quantize(Decimal(1).scaleb(exponent - digits + 1), ROUND_HALF_UP).adjusted()
