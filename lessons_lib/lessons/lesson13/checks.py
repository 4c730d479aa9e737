"""Checks of exercise 13: a paired interval, the seeds and the plan that a comparison needs, and its verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from lessons_lib import metrics
from lessons_lib.benchmark.statistics import word
from lessons_lib.grading.verdict import Mistake, Verdict, check_numbers

POWER = 0.8
OURS, THEIRS = [1.9, 1.4, 2.2, 1.7, 1.6], [1.6, 1.3, 1.7, 1.6, 1.5]
OWN = ["a", "b", "c", "d", "e"]  # each seed its own checkpoint
WORDS = ("ahead", "behind", "equivalent", "cannot tell")


def paired_interval(ours: Sequence[float], theirs: Sequence[float], checkpoints: Sequence[str]) -> list[float]:
    """[mean, low, high] of ours − theirs at 95 %, a checkpoint with all its seeds being one unit."""
    return _interval(ours, theirs, checkpoints)


def seeds_for(effect: float, sd: float) -> int:
    """The fewest seeds that show `effect` with a chance of 80 %."""
    return metrics.seeds_needed(effect, sd, power=POWER)


def cheapest_plan(effect: float, noise: float, reply_sd: float, run_cost: float, prompt_cost: float) -> list[int]:
    """[seeds, prompts] of the cheapest plan that shows `effect` with a chance of 80 %; prompts are powers of two."""
    plans = []
    for prompts in PROMPTS:
        seeds = seeds_for(effect, math.sqrt(noise**2 + 2 * reply_sd**2 / prompts))
        plans.append((seeds * (2 * run_cost + 2 * prompts * prompt_cost), seeds, prompts))
    _, seeds, prompts = min(plans)
    return [seeds, prompts]


PROMPTS = (32, 64, 128, 256, 512, 1024, 2048)


def verdict_of(ours: Sequence[float], theirs: Sequence[float], checkpoints: Sequence[str], delta: float) -> str:
    """Of ours: one of `WORDS`; equivalent where no difference as large as `delta` is left."""
    _, low, high = paired_interval(ours, theirs, checkpoints)
    return word(metrics.Interval((low + high) / 2, low, high, len(set(checkpoints))), delta)


def check_paired_interval(function: Callable) -> Verdict:
    """Check ``function(ours, theirs, checkpoints)``: [mean, low, high] of the paired difference."""
    mistakes = (
        Mistake("differences the other way round", lambda a, b, c: paired_interval(b, a, c),
                "subtract theirs from ours"),
        Mistake("√n forgotten", lambda a, b, c: _interval(a, b, c, root=False), "divide the standard deviation by √n"),
        Mistake("1.96 for Student's t", lambda a, b, c: _interval(a, b, c, t=1.96),
                "five units take t = 2.776 at 4 degrees"),
        Mistake("variance divided by n", lambda a, b, c: _interval(a, b, c, ddof=0), "with few units divide by n − 1"),
        Mistake("not paired", _unpaired, "take the differences first: the seeds share their data and checkpoint"),
        Mistake("seeds counted where checkpoints are the units", lambda a, b, c: _interval(a, b, range(len(a))),
                "runs of one checkpoint are alike: average their differences, then n is the number of checkpoints"),
        Mistake("the half width alone", lambda a, b, c: _halves(paired_interval(a, b, c)), "low is mean − half width"),
    )  # fmt: skip
    cases = [
        (OURS, THEIRS, OWN),
        ([0.5, 0.1, -0.2], [0.4, 0.3, 0.1], ["a", "b", "c"]),
        ([1.2, 1.9, 1.3, 2.1, 1.6, 2.2], [1.0, 1.3, 1.2, 1.4, 1.3, 1.5], ["a", "b", "a", "b", "c", "c"]),
    ]
    return _check(function, paired_interval, mistakes, cases, "the list [mean, low, high]")


def check_seeds_for(function: Callable) -> Verdict:
    """Check ``function(effect, sd)``: the fewest seeds for a chance of 80 %."""
    mistakes = (
        Mistake("one too few", lambda e, s: seeds_for(e, s) - 1, "that many reach less than 80 %; take the next"),
        Mistake("a chance of one half", lambda e, s: metrics.seeds_needed(e, s, power=0.5),
                "an interval that touches 0 on average leaves it half of the time"),
        Mistake("the normal formula", lambda e, s: math.ceil((2.8016 * s / e) ** 2),
                "with few seeds the t-interval is wider than the normal one; use paired_power"),
        Mistake("sd over effect", lambda e, s: seeds_for(s, e), "the effect comes first, then the standard deviation"),
        Mistake("95 % power", lambda e, s: metrics.seeds_needed(e, s, power=0.95), "80 % was asked for"),
    )  # fmt: skip
    return check_numbers(function, seeds_for, mistakes, [(0.2, 0.3), (0.5, 0.4), (0.15, 0.35)])


def check_cheapest_plan(function: Callable) -> Verdict:
    """Check ``function(effect, noise, reply_sd, run_cost, prompt_cost)``: [seeds, prompts] of the cheapest plan."""
    mistakes = (
        Mistake("fewest seeds", lambda *a: _plan(*a, key=lambda plan: (plan[1], plan[0])),
                "more prompts cost too; compare the whole cost of each plan"),
        Mistake("fewest prompts", lambda *a: _plan(*a, key=lambda plan: plan[2]),
                "few prompts make each run noisy, and seeds are dear"),
        Mistake("one method's replies", lambda *a: _plan(*a, methods=1),
                "two methods are measured: the variance of a difference is 2 · reply_sd² / prompts"),
        Mistake("reply_sd not squared", lambda *a: _plan(*a, square=False), "variances add, not standard deviations"),
    )  # fmt: skip
    cases = [(0.2, 0.2, 1.3, 3.0, 0.002), (0.2, 0.1, 1.3, 60.0, 0.02), (0.5, 0.3, 1.3, 3.0, 0.05)]
    return _check(function, cheapest_plan, mistakes, cases, "the list [seeds, prompts]")


def check_verdict_of(function: Callable) -> Verdict:
    """Check ``function(ours, theirs, checkpoints, delta)``: one of `WORDS`."""
    by_zero = lambda *case: v if (v := _by_zero(*case)) in ("ahead", "behind") else verdict_of(*case)  # noqa: E731
    mistakes = (
        Mistake("the mean decides", lambda a, b, c, d: "ahead" if sum(a) > sum(b) else "behind",
                "a mean is not a verdict: look at the interval"),
        Mistake("no evidence taken for equivalence", lambda *case: v if (v := verdict_of(*case)) in ("ahead", "behind")
                else "equivalent", "an interval from −1 to 1 shows nothing; it cannot tell"),
        Mistake("equivalence is never found", lambda *case: v if (v := verdict_of(*case)) != "equivalent"
                else "cannot tell", "an interval inside ±delta says that no difference worth having is there"),
        Mistake("zero before delta", by_zero,
                "an interval from 0.01 to 0.1 leaves zero and lies inside ±0.2: more than nothing, less than counts"),
        Mistake("ahead and behind mixed up", lambda a, b, c, d: verdict_of(b, a, c, d),
                "ours − theirs above 0 means that ours is ahead"),
        Mistake("delta against the mean", lambda a, b, c, d: "equivalent" if abs(sum(a) - sum(b)) / len(a) < d
                else verdict_of(a, b, c, d), "it is the interval's ends that must stay within ±delta"),
        Mistake("seeds counted where checkpoints are the units",
                lambda a, b, c, d: verdict_of(a, b, list(map(str, range(len(a)))), d),
                "take the interval of part 1, whose units are checkpoints"),
    )  # fmt: skip
    cases = [
        ([x + 0.4 for x in OURS], THEIRS, OWN, 0.2),
        (THEIRS, [x + 0.4 for x in OURS], OWN, 0.2),
        ([1.0, 1.02, 0.98, 1.01], [1.01, 1.0, 0.99, 1.02], OWN[:4], 0.2),
        ([1.0, 2.0, 0.5], [1.5, 0.5, 1.2], OWN[:3], 0.2),
        ([1.0, 2.0, 0.5], [1.5, 0.2, 0.6], OWN[:3], 0.2),  # the mean lies outside ±delta, and nothing can be told
        ([1.06, 1.05, 1.04, 1.05], [1.0, 1.0, 1.0, 1.0], OWN[:4], 0.2),  # more than nothing, less than counts
        ([1.5, 1.5, 1.4, 1.9, 1.9, 1.8], [1.2] * 6, ["a", "a", "a", "b", "b", "b"], 0.2),  # two units, not six
    ]
    return _check(function, verdict_of, mistakes, cases, "one of " + ", ".join(f'"{word}"' for word in WORDS))


def _by_zero(ours, theirs, checkpoints, delta) -> str:
    _, low, high = paired_interval(ours, theirs, checkpoints)
    return "ahead" if low > 0 else "behind" if high < 0 else "cannot tell"


def _check(function, right, mistakes: Sequence[Mistake], cases: Sequence[tuple], wanted: str) -> Verdict:
    """Judge answers that are lists of numbers, or words, on all cases; a mistake must match all of them."""
    try:
        came = [function(*case) for case in cases]
    except Exception as error:  # whatever the learner's code raises is an answer to explain
        return Verdict(False, f"with {cases[0]}\nyour function raised {type(error).__name__}: {error}")
    for case, value in zip(cases, came, strict=True):
        expected = right(*case)
        if not _same(value, expected):
            likely = next(
                (m for m in mistakes if all(_same(v, m.answer(*c)) for c, v in zip(cases, came, strict=True))), None
            )
            cause = f"likely cause: {likely.name}: {likely.hint}" if likely else f"the answer is {wanted}"
            return Verdict(False, f"with {case}\nexpected {_shown(expected)}\ngot {_shown(value)}\n{cause}")
    return Verdict(True, f"right on {len(cases)} cases: {_shown(right(*cases[0]))} for {cases[0]}")


def _same(value, expected) -> bool:
    if isinstance(expected, str):
        return isinstance(value, str) and value == expected
    if not isinstance(value, (list, tuple)) or len(value) != len(expected):
        return False
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in value)
    return numbers and all(math.isclose(v, e, rel_tol=1e-6, abs_tol=1e-9) for v, e in zip(value, expected, strict=True))


def _shown(value) -> str:
    if isinstance(value, (list, tuple)) and all(isinstance(v, (int, float)) for v in value):
        return "[" + ", ".join(f"{v:.4g}" for v in value) + "]"
    return repr(value)


def _interval(ours, theirs, checkpoints, *, t: float | None = None, ddof: int = 1, root: bool = True) -> list[float]:
    """A paired interval over checkpoints, with one thing changed."""
    gaps = _units([a - b for a, b in zip(ours, theirs, strict=True)], checkpoints)
    n, mean = len(gaps), sum(gaps) / len(gaps)
    sd = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / (n - ddof))
    half = (t or metrics.t_quantile(n - 1)) * sd / (math.sqrt(n) if root else 1)
    return [mean, mean - half, mean + half]


def _units(values: Sequence[float], checkpoints: Sequence) -> list[float]:
    """The mean of each checkpoint's values, in the order of their first."""
    groups: dict[object, list[float]] = {}
    for value, checkpoint in zip(values, checkpoints, strict=True):
        groups.setdefault(checkpoint, []).append(value)
    return [sum(group) / len(group) for group in groups.values()]


def _unpaired(ours, theirs, checkpoints) -> list[float]:
    """The interval of two independent groups, of equal variance."""
    ours, theirs = _units(ours, checkpoints), _units(theirs, checkpoints)
    n = len(ours)
    means = [sum(values) / n for values in (ours, theirs)]
    squares = sum((v - m) ** 2 for values, m in zip((ours, theirs), means, strict=True) for v in values)
    half = metrics.t_quantile(2 * n - 2) * math.sqrt(squares / (2 * n - 2) * 2 / n)
    return [means[0] - means[1], means[0] - means[1] - half, means[0] - means[1] + half]


def _halves(interval: list[float]) -> list[float]:
    mean, low, high = interval
    return [mean, (high - low) / 2, (high - low) / 2]


def _plan(effect, noise, reply_sd, run_cost, prompt_cost, *, key=min, methods: int = 2, square: bool = True):
    """The plan that one mistake leads to."""
    plans = []
    for prompts in PROMPTS:
        per_prompt = methods * (reply_sd**2 if square else reply_sd) / prompts
        seeds = seeds_for(effect, math.sqrt(noise**2 + per_prompt))
        plans.append((seeds * (2 * run_cost + 2 * prompts * prompt_cost), seeds, prompts))
    _, seeds, prompts = min(plans) if key is min else min(plans, key=key)
    return [seeds, prompts]
