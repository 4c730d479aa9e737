"""Checks of the capstone: measured figures, plans, the trial's readings; and a gate for its prose.

What the grader asks for stands here too, so that a learner's notebook and the marks are of one mind. Figures and plans
can be checked on the spot. A trial can only be checked where the runs are, by the instructor.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from numbers import Real

from lessons_lib.grading.verdict import Verdict
from lessons_lib.lessons.lesson14 import plan, sample, trial
from lessons_lib.lessons.lesson14.plan import write_sealed
from lessons_lib.lessons.lesson14.prose import RUBRIC, Gate, check_memo, check_paragraph
from lessons_lib.lessons.lesson14.sample import MEANS, MEASURED, my_profile, my_rows, read_by_eye
from lessons_lib.lessons.lesson14.trial import read, train_live
from lessons_lib.lessons.lesson14.trial_runs import SEEDS, STAND_INS, allowed

__all__ = [
    "MEANS", "MEASURED", "RUBRIC", "SEEDS", "Gate", "allowed", "check_measured", "check_memo", "check_paragraph",
    "check_plans", "check_trial", "my_profile", "my_rows", "print_brief", "print_plan_form", "print_spreads", "read",
    "read_by_eye", "train_live", "write_sealed",
]  # fmt: skip

TOLERANCE = 0.001  # of a share, either way: three decimals


def print_brief(name: str) -> None:
    """The situation that a dataset is set in, the methods that it allows, and how the lab stands in for it."""
    from lessons_lib.advice.decide import briefs

    print(f"{briefs()[name].text}\n\nmethods: {', '.join(allowed(name))}\nthe trial: {STAND_INS[name].says}")


# Figures ---------------------------------------------------------------------------------------------------------


def wrong_figures(name: str, came: object, ticket: str) -> Iterator[tuple[str, str]]:
    """The figures that are not those of the learner's sample, as (figure, reason)."""
    names, found = MEASURED[name], sample.figures_of(name, ticket)
    if not isinstance(came, Mapping) or set(came) != set(names):
        yield "measured", f"expected a dictionary with {', '.join(names)}"
        return
    for key in names:
        value = came[key]
        if isinstance(value, bool) or not isinstance(value, Real) or not -1e6 < value < 1e6:
            yield key, "expected a number"
        elif abs(value - found[key]) > TOLERANCE:
            yield key, _wrong_figure(key, value, found)


def _wrong_figure(key: str, value: float, found: Mapping[str, float]) -> str:
    if abs(value / 100 - found[key]) <= TOLERANCE:
        return "that is in percent: a share lies between 0 and 1"
    if abs(1 - value - found[key]) <= TOLERANCE:
        return "that is what is left to 1: the share of the others"
    for other, right in found.items():
        if abs(value - right) <= TOLERANCE:
            return f"that is your {other}"
    if key == "flip_rate" and abs(value - (1 - (1 - 2 * found[key]) ** 2) / 2) <= TOLERANCE:
        return "that is the share of disagreement; solve agreement = e² + (1 − e)² for e"
    digits = "" if found[key] > 1 else ", to three decimals"
    return f"not the number of your sample: {MEANS[key]}{digits}"


def measured_share(name: str, came: object, ticket: str) -> float:
    """The share of the figures that are right."""
    wrong = {key for key, _ in wrong_figures(name, came, ticket)}
    return 0.0 if "measured" in wrong else 1 - len(wrong) / len(MEASURED[name])


def check_measured(name: str, came: object, ticket: str) -> Verdict:
    """Check the figures of one dataset against the learner's own sample; names the first that is not right."""
    if isinstance(came, Mapping) and any(value is ... for value in came.values()):
        return Verdict(False, f"{name}: still to fill in: {', '.join(k for k, v in came.items() if v is ...)}")
    wrong = next(wrong_figures(name, came, ticket), None)
    if wrong:
        value = came.get(wrong[0]) if isinstance(came, Mapping) else came
        return Verdict(False, f"{name}: {wrong[0]}={value!r:.60}\nlikely cause: {wrong[1]}")
    return Verdict(True, f"{name}: the figures are those of your sample")


# Plans -----------------------------------------------------------------------------------------------------------


def print_plan_form() -> None:
    """What each field of a plan means."""
    for field, means in plan.FIELDS.items():
        print(f"{field:10} {means}")


def print_spreads() -> None:
    """For each regime of the benchmark, how a paired difference of two methods varies from seed to seed."""
    from lessons_lib import benchmark
    from lessons_lib.benchmark.reading import paired

    table = benchmark.results()
    print("\nstandard deviation of a paired difference between seeds, in gold points, pooled over pairs of methods")
    for regime in dict.fromkeys(table["regime"]):
        gold, _ = paired(table, regime, benchmark.FIVE)
        variances = [(gold[a] - gold[b]).var(ddof=1) for a, b in itertools.combinations(gold, 2)]
        print(f"  {regime:20}{(sum(variances) / len(variances)) ** 0.5:.2f}")


def plans_share(plans: object, ticket: str) -> float:
    """The share of the datasets whose plan fits together; nothing without a time."""
    if not isinstance(plans, Mapping) or plan.signed_at(plans) is None:
        return 0.0
    return sum(not any(True for _ in plan.faults(name, plans.get(name), ticket)) for name in STAND_INS) / len(STAND_INS)


def check_plans(plans: object, ticket: str) -> Verdict:
    """Check that the plans fit together, and tell their seal, which goes to the instructor before any run is seen."""
    if not isinstance(plans, Mapping) or set(plans) != {*STAND_INS, "signed"}:
        return Verdict(False, f"expected a dictionary with {', '.join(STAND_INS)} and signed")
    for name in STAND_INS:
        if not isinstance(plans[name], Mapping) or any(value is ... for value in plans[name].values()):
            return Verdict(False, f"{name}: still to fill in: {_open(plans[name])}")
        if fault := next(plan.faults(name, plans[name], ticket), None):
            return Verdict(False, f"{name}: {fault[0]}={plans[name].get(fault[0])!r:.80}\nlikely cause: {fault[1]}")
    if plan.signed_at(plans) is None:
        return Verdict(False, f"signed: expected a time with its zone, such as the present one: {plan.now()}")
    return Verdict(True, f"the plans fit together; signed {plans['signed']}, seal {plan.seal(plans, ticket)}")


def _open(one: object) -> str:
    if not isinstance(one, Mapping):
        return "all of it"
    return ", ".join(field for field, value in one.items() if value is ...)


# The trial -------------------------------------------------------------------------------------------------------


def check_trial(came: object, ticket: str) -> Verdict:
    """Check what can be checked without the runs: that the parts are there, and that the readings follow from them.

    Whether your own run is what it should be, and what your probabilities were worth, only the grader can tell.
    """
    if not isinstance(came, Mapping) or set(came) != {"plans", "released", "live", "readings"}:
        return Verdict(False, "expected a dictionary with plans, released, live, readings")
    plans, released = came["plans"], came["released"]
    if not plan.is_whole(plans, ticket):
        return Verdict(False, "plans: do not fit together yet, see their own check")
    if not isinstance(released, Mapping) or not isinstance(released.get("differences"), Mapping):
        return Verdict(False, "released: paste what your instructor sent you for your seal")
    if released.get("seal") != plan.seal(plans, ticket):
        return Verdict(
            False, "released: for another seal; were the plans, their time or the ticket changed afterwards?"
        )
    for name in STAND_INS:
        choice, runner_up = plans[name]["choice"], plans[name]["runner_up"]
        live = came["live"].get(name) if isinstance(came["live"], Mapping) else None
        if not isinstance(live, Mapping) or not all(trial.is_gold(live.get(one)) for one in (choice, runner_up)):
            return Verdict(False, f"live: {name}: expected your own run's gold for {choice} and {runner_up}")
        sent = released["differences"].get(name)
        if not isinstance(sent, list) or len(sent) != len(SEEDS) - 1 or not all(map(trial.is_gold, sent)):
            return Verdict(
                False, f"released: {name}: expected {len(SEEDS) - 1} differences; paste all that your instructor sent"
            )
        right = trial.read([*sent, live[choice] - live[runner_up]], plans[name]["effect"])
        reading = came["readings"].get(name) if isinstance(came["readings"], Mapping) else None
        if not isinstance(reading, Mapping) or any(value is ... for value in reading.values()):
            return Verdict(False, f"readings: {name}: still to fill in")
        if wrong := trial.misread(right, reading):
            return Verdict(False, f"{name}: {wrong}")
    return Verdict(True, f"the readings follow from the differences of {len(SEEDS)} seeds")


# What the spec asks for ------------------------------------------------------------------------------------------


def judge_measured(name: str) -> Callable[[object, dict], float]:
    return lambda answer, case: measured_share(name, answer, case["ticket"])


def explain_measured(name: str) -> Callable[[object, dict], str]:
    return lambda answer, case: repr(check_measured(name, answer, case["ticket"]))


def explain_paragraph(name: str) -> Callable[[object, dict], str]:
    return lambda answer, case: repr(check_paragraph(name, answer, case["ticket"]))
