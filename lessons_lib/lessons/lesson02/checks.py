"""Checks of exercise 2: the first pass as a held-out check, and an alarm for noisy labels.

`practice_runs` holds eight real training logs with their truth. Marks come from other runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from lessons_lib.grading.verdict import Mistake, Verdict, check_numbers
from lessons_lib.recorded.store import read_logs

Log = dict[str, list[float]]
ACCURACY = "rewards/accuracies"
ERRORS_ALLOWED = 1  # an alarm that is right on all but one run has understood
_RUNS = Path(__file__).with_name("runs.json")

# Small enough to work out by hand: three steps a pass and four; the first step's accuracy means nothing.
TWO_PASSES = {
    "step": [1, 2, 3, 4, 5, 6],
    "epoch": [0.3333, 0.6667, 1.0, 1.333, 1.667, 2.0],
    "loss": [0.6931, 0.71, 0.66, 0.6, 0.52, 0.5],
    ACCURACY: [0.0, 0.5, 0.6, 0.75, 0.8, 0.9],
}
THREE_PASSES = {
    "step": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
    "epoch": [0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0],
    "loss": [0.6931, 0.7, 0.69, 0.68, 0.6, 0.62, 0.58, 0.55, 0.5, 0.46, 0.45, 0.4],
    ACCURACY: [0.0, 0.45, 0.55, 0.5, 0.7, 0.65, 0.75, 0.7, 0.85, 0.8, 0.9, 0.95],
}


@cache
def practice_runs() -> list[dict]:
    """Eight recorded runs: `log`, `noisy` (the truth) and `recipe` (how each was made)."""
    return read_logs(_RUNS)


def first_pass(log: Log) -> float:
    """Mean accuracy over the first pass, where every pair is scored before it is learned; without the first step."""
    return _mean([a for a, step, epoch in _rows(log) if step > 1 and epoch <= 1])


def last_pass(log: Log) -> float:
    """Mean accuracy over the last pass."""
    return _mean([a for a, _, epoch in _rows(log) if epoch > max(log["epoch"]) - 1])


def check_first_pass_accuracy(function: Callable) -> Verdict:
    """Check ``function(log)``: the mean accuracy of the steps after the first with ``epoch ≤ 1``."""
    mistakes = (
        Mistake("the first step counted in", lambda log: _mean([a for a, _, e in _rows(log) if e <= 1]),
                "before any update policy and reference agree, so its accuracy means nothing: leave step 1 out"),
        Mistake("the whole run", lambda log: _mean([a for a, step, _ in _rows(log) if step > 1]),
                "later passes see pairs again; keep the rows with epoch ≤ 1"),
        Mistake("the whole run", lambda log: _mean(log[ACCURACY]), "keep the rows with epoch ≤ 1, without step 1"),
        Mistake("the boundary left out", lambda log: _mean([a for a, s, e in _rows(log) if s > 1 and e < 1]),
                "the row at epoch 1.0 is the last step of the first pass: ≤, not <"),
        Mistake("the last pass", last_pass, "by then every pair has been seen before; take the first pass"),
        Mistake("the last row", lambda log: log[ACCURACY][-1], "one batch, and of pairs seen before"),
        Mistake("the loss", lambda log: _mean([loss for loss, s, e in zip(log["loss"], log["step"], log["epoch"],
                strict=True) if s > 1 and e <= 1]), "the accuracy stands in the column rewards/accuracies"),
    )  # fmt: skip
    return check_numbers(function, first_pass, mistakes, [(TWO_PASSES,), (THREE_PASSES,)])


def check_learned_by_heart(function: Callable) -> Verdict:
    """Check ``function(log)``: the mean accuracy of the last pass minus that of the first."""

    def right(log):
        return last_pass(log) - first_pass(log)

    mistakes = (
        Mistake("sign turned", lambda log: -right(log), "last pass minus first, so that learning by heart is positive"),
        Mistake("the last row", lambda log: log[ACCURACY][-1] - first_pass(log),
                "one batch is a coarse measure; average over the last pass"),
        Mistake("the first step counted in",
                lambda log: last_pass(log) - _mean([a for a, _, e in _rows(log) if e <= 1]),
                "leave step 1 out of the first pass"),
        Mistake("a ratio", lambda log: last_pass(log) / first_pass(log), "a difference was asked for"),
        Mistake("the second pass", lambda log: _mean([a for a, _, e in _rows(log) if 1 < e <= 2]) - first_pass(log),
                "the last pass has epoch > max(epoch) − 1"),
        Mistake("the last pass alone", last_pass, "subtract the first pass"),
        Mistake("all later passes", lambda log: _mean([a for a, _, e in _rows(log) if e > 1]) - first_pass(log),
                "only the last pass: epoch > max(epoch) − 1"),
    )  # fmt: skip
    return check_numbers(function, right, mistakes, [(THREE_PASSES,), (TWO_PASSES,)])


def check_noise_alarms(function: Callable) -> Verdict:
    """Check ``function(logs)`` on the practice runs: True for each log whose labels are mostly noise."""
    runs = practice_runs()
    logs, truth = [run["log"] for run in runs], [run["noisy"] for run in runs]
    try:
        came = function(logs)
    except Exception as error:  # whatever the learner's code raises is an answer to explain
        return Verdict(False, f"with the practice logs\nyour function raised {type(error).__name__}: {error}")
    form = _form(came, len(logs))
    if form:
        return Verdict(False, f"with the practice logs\n{form}")
    wrong = [i for i, (alarm, noisy) in enumerate(zip(came, truth, strict=True)) if alarm != noisy]
    if len(wrong) <= ERRORS_ALLOWED:
        return Verdict(True, f"right on {len(logs) - len(wrong)} of {len(logs)} practice runs; others are marked")
    lines = [f"run {i}: {_described(runs[i]['recipe'])}; {'missed' if truth[i] else 'a false alarm'}" for i in wrong]
    return Verdict(False, "\n".join(["with the practice logs", *lines, _likely(came, logs, truth)]))


def naive_alarms() -> dict[str, Callable[[Sequence[Log]], list[bool]]]:
    """What one might try first: alarms from the end of the log, none of which tells noise from few passes."""
    return {
        "the last loss": lambda logs: _lower_half([-log["loss"][-1] for log in logs]),
        "the last accuracy": lambda logs: _lower_half([last_pass(log) for log in logs]),
        "the last margin": lambda logs: _lower_half([log["rewards/margins"][-1] for log in logs]),
    }


def _likely(came: list[bool], logs: list[Log], truth: list[bool]) -> str:
    if len(set(came)) == 1:
        return f"likely cause: a constant; {'an alarm that always rings' if came[0] else 'silence'} says nothing"
    if [not alarm for alarm in came] == truth:
        return "likely cause: turned around; True is the alarm"
    for name, rule in naive_alarms().items():
        if rule(logs) == list(came):
            return f"likely cause: you judge by {name}, which depends on passes, step size and loss, not on the labels"
    return "look at the first pass: no pair has been seen before, so memory cannot help there"


def _form(came: object, count: int) -> str:
    """What is wrong with the form of an answer, or nothing."""
    if not isinstance(came, (list, tuple)):
        return f"expected a list of {count} booleans, got {type(came).__name__}"
    if len(came) != count:
        return f"expected {count} answers, one a log in their order, got {len(came)}"
    odd = next((answer for answer in came if not isinstance(answer, bool)), None)
    return "" if odd is None and None not in came else f"expected True or False for each log, got {odd!r}"


def _described(recipe: dict) -> str:
    return f"{recipe['flips']:.0%} of the labels flipped, {recipe['method'].upper()}, {recipe['epochs']} passes"


def _rows(log: Log):
    return zip(log[ACCURACY], log["step"], log["epoch"], strict=True)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _lower_half(values: Sequence[float]) -> list[bool]:
    middle = sorted(values)[len(values) // 2]
    return [value < middle for value in values]
