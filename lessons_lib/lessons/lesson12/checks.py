"""Checks of exercise 12: how much a metric changed, and the fault that a whole training log shows.

`practice_logs` are six real logs; marks come from others. What a log was made to show stands with it in the file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from lessons_lib.grading.verdict import Mistake, Verdict, check_numbers
from lessons_lib.recorded.store import read_logs

Log = dict[str, list]
# In the order in which they are named: what stands first is nearer to the cause of what stands behind it.
ANSWERS = ("not_finite", "coin_flip", "by_heart", "kl_away", "displaced", "healthy")
ALSO_RIGHT = {"by_heart": ("exploding_margins",)}  # two names for one run: its pairs are learnt, its margins run on
ERRORS_ALLOWED = 1
_LOGS = Path(__file__).with_name("logs.json")

RISING = [0.0, 2.0, None, 4.0, 5.0, math.nan, 9.0, 12.0]  # six values: 0 and 2 first, 9 and 12 last
FALLING = [-9.0, None, -9.5, -10.5, -12.0, -12.5, -14.0, -17.0]  # seven: a third is two of them
HINTS = {
    "not_finite": "from some row on a column is NaN; TRL writes a loss of 0 there, so look at grad_norm as well",
    "coin_flip": "the accuracy of the last third is that of a coin, near 0.5: nothing was learned",
    "by_heart": "its last third has accuracy 1 and a loss of nearly nothing, with margins of 3 and more; KL and the "
    "chosen log-prob went with them, but the name that stands first in the table is asked for",
    "kl_away": "its KL has gone to tens of nats; that name stands before the fall of the chosen log-prob",
    "displaced": "against its first two rows the log-prob of the chosen responses nearly doubled in size; much of the "
    "fall comes early, so thirds hide a part of it",
    "healthy": "a moderate accuracy, a KL of a few nats at most, a chosen log-prob near its start; what a method does "
    "not log is no fault",
}


@cache
def _practice() -> list[dict]:
    return read_logs(_LOGS)


def practice_logs() -> list[Log]:
    """Six recorded logs without their names: column to list, a value a logged row, None where there is none."""
    return [run["log"] for run in _practice()]


def numbers(values: Sequence[float | None]) -> list[float]:
    """The values that are numbers: neither None, which says nothing, nor NaN."""
    return [value for value in values if value is not None and not math.isnan(value)]


def change_of(values: Sequence[float | None]) -> float:
    """Mean of the last third minus mean of the first, a third being `len // 3` of the values that are numbers."""
    kept = numbers(values)
    third = len(kept) // 3
    return _mean(kept[-third:]) - _mean(kept[:third]) if third else 0.0


def errors(answers: object, faults: Sequence[str]) -> int | None:
    """How many answers are wrong; None where they are not a list of as many names."""
    if not isinstance(answers, list) or len(answers) != len(faults):
        return None
    return sum(not _right(answer, fault) for answer, fault in zip(answers, faults, strict=True))


def check_change(function: Callable) -> Verdict:
    """Check ``function(values)``: the mean of the last third minus that of the first, without None and NaN."""

    def ends(values, keep=numbers):
        return keep(values)[-1] - keep(values)[0]

    def with_gaps_as_zero(values):
        return change_of([0.0 if value is None or math.isnan(value) else value for value in values])

    mistakes = (
        Mistake("sign turned", lambda values: -change_of(values), "last third minus first, so that a rise is positive"),
        Mistake("the two end values", ends, "one row is a coarse measure; average over a third of them"),
        Mistake("gaps counted as zero", with_gaps_as_zero, "None and NaN are no measurements: leave them out"),
        Mistake("the last third alone", lambda values: change_of(values) + _first_third(values),
                "subtract the mean of the first third"),
        Mistake("halves", _halves, "thirds were asked for; the middle one is left out"),
        Mistake("sums", lambda values: change_of(values) * (len(numbers(values)) // 3), "means, not sums"),
        Mistake("a ratio", lambda values: (change_of(values) + _first_third(values)) / (_first_third(values) or 1),
                "a difference was asked for"),
    )  # fmt: skip
    return check_numbers(function, change_of, mistakes, [(RISING,), (FALLING,)])


def check_name_faults(function: Callable) -> Verdict:
    """Check ``function(logs)`` on the six practice logs: a name of `ANSWERS` for each."""
    faults = [run["fault"] for run in _practice()]
    try:
        came = function(practice_logs())
    except Exception as error:  # whatever the learner's code raises is an answer to explain
        return Verdict(False, f"with the practice logs\nyour function raised {type(error).__name__}: {error}")
    form = _form(came, len(faults))
    if form:
        return Verdict(False, f"with the practice logs\n{form}")
    wrong = [i for i, (answer, fault) in enumerate(zip(came, faults, strict=True)) if not _right(answer, fault)]
    if not wrong:
        return Verdict(True, "right on all six practice logs; others are marked")
    if len(set(came)) == 1:
        return Verdict(False, f"with the practice logs\nlikely cause: a constant; all six are {came[0]!r}")
    lines = [f"log {i}: expected {faults[i]}, got {came[i]}\nlikely cause: {HINTS[faults[i]]}" for i in wrong]
    return Verdict(False, "\n".join(["with the practice logs", *lines]))


def _right(answer: object, fault: str) -> bool:
    return answer == fault or answer in ALSO_RIGHT.get(fault, ())


def _form(came: object, count: int) -> str:
    """What is wrong with the form of an answer, or nothing."""
    allowed = {*ANSWERS, *(name for names in ALSO_RIGHT.values() for name in names)}
    if not isinstance(came, list):
        return f"expected a list of {count} names, got {type(came).__name__}"
    if len(came) != count:
        return f"expected {count} names, one a log in their order, got {len(came)}"
    odd = [answer for answer in came if not isinstance(answer, str) or answer not in allowed]
    return f"expected one of {', '.join(ANSWERS)} for each log, got {odd[0]!r}" if odd else ""


def _first_third(values: Sequence[float | None]) -> float:
    kept = numbers(values)
    return _mean(kept[: len(kept) // 3])


def _halves(values: Sequence[float | None]) -> float:
    kept = numbers(values)
    return _mean(kept[-(len(kept) // 2) :]) - _mean(kept[: len(kept) // 2])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
