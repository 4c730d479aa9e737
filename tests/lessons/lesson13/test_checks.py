"""Exercise 13: each check accepts the solution and rejects every typical mistake for its own reason."""

import math
import runpy
from pathlib import Path

import pytest

from lessons_lib import metrics
from lessons_lib.lessons.lesson13 import checks as checks

SOLUTION = runpy.run_path(Path(__file__).parents[3] / "exercises" / "solutions" / "ex13.py")
NAMES = ("paired_interval", "seeds_for", "cheapest_plan", "verdict_of")


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_passes(name):
    assert getattr(checks, f"check_{name}")(SOLUTION[name])


def interval(ours, theirs):
    return SOLUTION["paired_interval"](ours, theirs)


def costs(prompts, effect, noise, reply_sd):
    return checks.seeds_for(effect, math.sqrt(noise**2 + 2 * reply_sd**2 / prompts))


WRONG = [
    ("paired_interval", lambda a, b: interval(b, a), "other way round"),
    ("paired_interval", lambda a, b: [m := interval(a, b)[0], m - 0.1, m + 0.1], "[mean, low, high]"),
    ("paired_interval", lambda a, b: interval(a, b)[0], "[mean, low, high]"),
    ("paired_interval", lambda a, b: [interval(a, b)], "[mean, low, high]"),
    ("paired_interval", lambda a, b: True, "[mean, low, high]"),
    ("paired_interval", lambda a, b: 1 / 0, "raised ZeroDivisionError"),
    ("paired_interval", lambda a, b: checks._interval(a, b, t=1.96), "Student"),
    ("paired_interval", lambda a, b: checks._interval(a, b, ddof=0), "n − 1"),
    ("paired_interval", lambda a, b: checks._interval(a, b, root=False), "√n"),
    ("paired_interval", checks._unpaired, "not paired"),
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
    ("verdict_of", lambda a, b, s: "ours" if sum(a) > sum(b) else "theirs", "the mean decides"),
    ("verdict_of", lambda a, b, s: checks.verdict_of(b, a, s), "ours − theirs above 0"),
    ("verdict_of", lambda a, b, s: "tie" if abs(sum(a) - sum(b)) / len(a) < s else checks.verdict_of(a, b, s),
     "the interval's ends"),
    ("verdict_of", lambda a, b, s: "tie", "one of"),
    ("verdict_of", lambda a, b, s: "tie" if "t" in checks.verdict_of(a, b, s)[:1] or
     checks.verdict_of(a, b, s) == "cannot tell" else checks.verdict_of(a, b, s), "cannot tell"),
    ("verdict_of", lambda a, b, s: {"tie": "cannot tell"}.get(v := checks.verdict_of(a, b, s), v), "never found"),
    ("verdict_of", lambda a, b, s: True, "one of"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "answer", "reason"), WRONG)
def test_each_wrong_answer_is_explained(name, answer, reason):
    verdict = getattr(checks, f"check_{name}")(answer)
    assert not verdict
    assert reason in verdict.message


def test_the_four_cases_have_the_four_verdicts():
    assert checks.verdict_of([x + 0.4 for x in checks.OURS], checks.THEIRS, 0.2) == "ours"
    assert checks.verdict_of(checks.THEIRS, [x + 0.4 for x in checks.OURS], 0.2) == "theirs"
    assert checks.verdict_of([1.0, 2.0, 0.5], [1.5, 0.5, 1.2], 0.2) == "cannot tell"
    assert checks.verdict_of([1.0, 1.02, 0.98, 1.01], [1.01, 1.0, 0.99, 1.02], 0.2) == "tie"
