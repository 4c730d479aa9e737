"""Checks of exercise 13: a paired interval, the seeds and the plan that a comparison needs, and its verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from lessons_lib import metrics
from lessons_lib.grading.verdict import Mistake, Verdict, check_numbers

POWER = 0.8
OURS, THEIRS = [1.9, 1.4, 2.2, 1.7, 1.6], [1.6, 1.3, 1.7, 1.6, 1.5]


def paired_interval(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """[mean, low, high] of ours − theirs over the seeds, at 95 %."""
    found = metrics.paired_difference(ours, theirs)
    return [found.estimate, found.low, found.high]


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


def verdict_of(ours: Sequence[float], theirs: Sequence[float], smallest: float) -> str:
    """ "ours", "theirs", "tie" (no difference as large as `smallest`) or "cannot tell"."""
    _, low, high = paired_interval(ours, theirs)
    if low > 0 or high < 0:
        return "ours" if low > 0 else "theirs"
    return "tie" if -smallest < low and high < smallest else "cannot tell"


def check_paired_interval(function: Callable) -> Verdict:
    """Check ``function(ours, theirs)``: [mean, low, high] of the paired difference."""
    mistakes = (
        Mistake("differences the other way round", lambda a, b: paired_interval(b, a), "subtract theirs from ours"),
        Mistake("√n forgotten", lambda a, b: _interval(a, b, root=False), "divide the standard deviation by √n"),
        Mistake("1.96 for Student's t", lambda a, b: _interval(a, b, t=1.96), "five seeds take t = 2.776 at 4 degrees"),
        Mistake("variance divided by n", lambda a, b: _interval(a, b, ddof=0), "with few seeds divide by n − 1"),
        Mistake("not paired", _unpaired, "take the differences first: the seeds share their data and checkpoint"),
        Mistake("the half width alone", lambda a, b: _halves(paired_interval(a, b)), "low is mean − half width"),
    )
    cases = [(OURS, THEIRS), ([0.5, 0.1, -0.2], [0.4, 0.3, 0.1])]
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
    """Check ``function(ours, theirs, smallest)``: "ours", "theirs", "tie" or "cannot tell"."""
    mistakes = (
        Mistake("the mean decides", lambda a, b, s: "ours" if sum(a) > sum(b) else "theirs",
                "a mean is not a verdict: look at the interval"),
        Mistake("no evidence taken for a tie", lambda a, b, s: v if (v := verdict_of(a, b, s)) in ("ours", "theirs")
                else "tie", "an interval from −1 to 1 is no tie; it cannot tell"),
        Mistake("a tie is never found", lambda a, b, s: v if (v := verdict_of(a, b, s)) in ("ours", "theirs")
                else "cannot tell", "an interval inside ±smallest says that no difference worth having is there"),
        Mistake("winner mixed up", lambda a, b, s: verdict_of(b, a, s),
                "ours − theirs above 0 means that ours is better"),
        Mistake("smallest against the mean", lambda a, b, s: "tie" if abs(sum(a) - sum(b)) / len(a) < s
                else verdict_of(a, b, s), "it is the interval's ends that must stay within ±smallest"),
    )  # fmt: skip
    cases = [
        ([x + 0.4 for x in OURS], THEIRS, 0.2),
        (THEIRS, [x + 0.4 for x in OURS], 0.2),
        ([1.0, 1.02, 0.98, 1.01], [1.01, 1.0, 0.99, 1.02], 0.2),
        ([1.0, 2.0, 0.5], [1.5, 0.5, 1.2], 0.2),
        ([1.0, 2.0, 0.5], [1.5, 0.2, 0.6], 0.2),  # the mean lies outside ±smallest, and nothing can be told either
    ]
    return _check(function, verdict_of, mistakes, cases, 'one of "ours", "theirs", "tie", "cannot tell"')


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


def _interval(ours, theirs, *, t: float | None = None, ddof: int = 1, root: bool = True) -> list[float]:
    """A paired interval with one thing changed."""
    gaps = [a - b for a, b in zip(ours, theirs, strict=True)]
    n, mean = len(gaps), sum(gaps) / len(gaps)
    sd = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / (n - ddof))
    half = (t or metrics.t_quantile(n - 1)) * sd / (math.sqrt(n) if root else 1)
    return [mean, mean - half, mean + half]


def _unpaired(ours, theirs) -> list[float]:
    """The interval of two independent groups, of equal variance."""
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
