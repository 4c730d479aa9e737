"""Exercise 13: each check accepts the solution and rejects every typical mistake for its own reason."""

import math
import runpy
from pathlib import Path

import pytest

from lessons_lib import metrics
from lessons_lib.benchmark import statistics
from lessons_lib.lessons.lesson13 import checks as checks

SOLUTION = runpy.run_path(Path(__file__).parents[3] / "exercises" / "solutions" / "ex13.py")
NAMES = ("paired_interval", "seeds_for", "cheapest_plan", "verdict_of")


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_passes(name):
    assert getattr(checks, f"check_{name}")(SOLUTION[name])


def interval(*case):
    return SOLUTION["paired_interval"](*case)


def costs(prompts, effect, noise, reply_sd):
    return checks.seeds_for(effect, math.sqrt(noise**2 + 2 * reply_sd**2 / prompts))


WRONG = [
    ("paired_interval", lambda a, b, c: interval(b, a, c), "other way round"),
    ("paired_interval", lambda a, b, c: [m := interval(a, b, c)[0], m - 0.1, m + 0.1], "[mean, low, high]"),
    ("paired_interval", lambda a, b, c: interval(a, b, c)[0], "[mean, low, high]"),
    ("paired_interval", lambda a, b, c: [interval(a, b, c)], "[mean, low, high]"),
    ("paired_interval", lambda a, b, c: True, "[mean, low, high]"),
    ("paired_interval", lambda a, b, c: 1 / 0, "raised ZeroDivisionError"),
    ("paired_interval", lambda a, b, c: checks._interval(a, b, c, t=1.96), "Student"),
    ("paired_interval", lambda a, b, c: checks._interval(a, b, c, ddof=0), "n − 1"),
    ("paired_interval", lambda a, b, c: checks._interval(a, b, c, root=False), "√n"),
    ("paired_interval", checks._unpaired, "not paired"),
    ("paired_interval", lambda a, b, c: interval(a, b, range(len(a))), "runs of one checkpoint are alike"),
    ("seeds_for", lambda e, s: 10, "expected"),
    ("seeds_for", lambda e, s: checks.seeds_for(e, s) - 1, "one too few"),
    ("seeds_for", lambda e, s: metrics.seeds_needed(e, s, power=0.5), "one half"),
    ("seeds_for", lambda e, s: math.ceil((2.8016 * s / e) ** 2), "normal"),
    ("seeds_for", lambda e, s: str(checks.seeds_for(e, s)), "got str"),
    ("seeds_for", lambda e, s: None, "returns nothing yet"),
    ("cheapest_plan", lambda e, n, r, c, p: [costs(32, e, n, r), 32], "fewest prompts"),
    ("cheapest_plan", lambda *a: checks._plan(*a, key=lambda plan: (plan[1], plan[0])), "fewest seeds"),
    ("cheapest_plan", lambda *a: checks.cheapest_plan(*a)[::-1], "[seeds, prompts]"),
    ("cheapest_plan", lambda *a: [5, 256], "[seeds, prompts]"),
    ("cheapest_plan", lambda *a: None, "[seeds, prompts]"),
    ("verdict_of", lambda a, b, c, d: "ahead" if sum(a) > sum(b) else "behind", "the mean decides"),
    ("verdict_of", lambda a, b, c, d: checks.verdict_of(b, a, c, d), "ours − theirs above 0"),
    ("verdict_of", lambda a, b, c, d: "equivalent" if abs(sum(a) - sum(b)) / len(a) < d else
     checks.verdict_of(a, b, c, d), "the interval's ends"),
    ("verdict_of", lambda *case: "equivalent", "one of"),
    ("verdict_of", lambda *case: {"cannot tell": "equivalent"}.get(v := checks.verdict_of(*case), v), "cannot tell"),
    ("verdict_of", lambda *case: {"equivalent": "cannot tell"}.get(v := checks.verdict_of(*case), v), "never found"),
    ("verdict_of", lambda *case: v if (v := checks._by_zero(*case)) != "cannot tell" else checks.verdict_of(*case),
     "more than nothing, less than counts"),
    ("verdict_of", lambda a, b, c, d: checks.verdict_of(a, b, range(len(a)), d), "whose units are checkpoints"),
    ("verdict_of", lambda *case: True, "one of"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "answer", "reason"), WRONG)
def test_each_wrong_answer_is_explained(name, answer, reason):
    verdict = getattr(checks, f"check_{name}")(answer)
    assert not verdict
    assert reason in verdict.message


def test_the_cases_have_their_verdicts():
    own = list("abcde")
    assert checks.verdict_of([x + 0.4 for x in checks.OURS], checks.THEIRS, own, 0.2) == "ahead"
    assert checks.verdict_of(checks.THEIRS, [x + 0.4 for x in checks.OURS], own, 0.2) == "behind"
    assert checks.verdict_of([1.0, 2.0, 0.5], [1.5, 0.5, 1.2], own[:3], 0.2) == "cannot tell"
    assert checks.verdict_of([1.0, 1.02, 0.98, 1.01], [1.01, 1.0, 0.99, 1.02], own[:4], 0.2) == "equivalent"


def test_the_interval_is_the_librarys_and_that_of_the_benchmark():
    own, library = checks.paired_interval(checks.OURS, checks.THEIRS, checks.OWN), metrics.paired_difference
    found = library(checks.OURS, checks.THEIRS)
    assert own == pytest.approx([found.estimate, found.low, found.high])
    gaps, shared = [0.2, 0.6, 0.1, 0.7, 0.3, 0.7], ["a", "b", "a", "b", "c", "c"]
    theirs = statistics.estimate(gaps, shared).interval()
    assert checks.paired_interval(gaps, [0.0] * 6, shared) == pytest.approx([theirs.estimate, theirs.low, theirs.high])


def test_the_words_are_the_benchmarks():
    assert set(checks.WORDS) == {*statistics.WORDS, "behind"}
