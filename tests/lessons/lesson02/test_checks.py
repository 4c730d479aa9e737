"""Exercise 2: each check accepts the solution and names typical mistakes; the alarm is judged on real, hidden runs."""

import random
import runpy

import pytest

from lessons_lib.lessons.lesson02 import checks
from lessons_lib.lessons.lesson02.checks import check_first_pass_accuracy, check_learned_by_heart, check_noise_alarms

ACCURACY = checks.ACCURACY


@pytest.fixture(scope="module")
def solution(root):
    return runpy.run_path(root / "exercises" / "solutions" / "ex02.py")


@pytest.fixture(scope="module")
def spec(root):
    return runpy.run_path(root / "exercises" / "specs" / "ex02.py")


def test_the_solution_passes(solution):
    assert check_first_pass_accuracy(solution["first_pass_accuracy"])
    assert check_learned_by_heart(solution["learned_by_heart"])
    assert check_noise_alarms(solution["noise_alarms"])


def test_the_figures_can_be_checked_on_paper():
    assert checks.first_pass(checks.TWO_PASSES) == pytest.approx((0.5 + 0.6) / 2)
    assert checks.last_pass(checks.TWO_PASSES) == pytest.approx((0.75 + 0.8 + 0.9) / 3)
    assert checks.first_pass(checks.THREE_PASSES) == pytest.approx(0.5)
    assert checks.last_pass(checks.THREE_PASSES) == pytest.approx(0.875)


def mean(values):
    return sum(values) / len(values)


def kept(log, keep):
    return mean([a for a, s, e in zip(log[ACCURACY], log["step"], log["epoch"], strict=True) if keep(s, e)])


def first(log):
    return kept(log, lambda s, e: s > 1 and e <= 1)


def last(log):
    return kept(log, lambda s, e: e > max(log["epoch"]) - 1)


def alarms(logs):
    return [first(log) < 0.61 for log in logs]


MISTAKES = [
    (check_first_pass_accuracy, lambda log: kept(log, lambda s, e: e <= 1), "the first step counted in"),
    (check_first_pass_accuracy, lambda log: mean(log[ACCURACY]), "the whole run"),
    (check_first_pass_accuracy, lambda log: kept(log, lambda s, e: s > 1), "the whole run"),
    (check_first_pass_accuracy, lambda log: kept(log, lambda s, e: s > 1 and e < 1), "the boundary left out"),
    (check_first_pass_accuracy, last, "the last pass"),
    (check_first_pass_accuracy, lambda log: log[ACCURACY][-1], "the last row"),
    (check_first_pass_accuracy, lambda log: mean(log["loss"][1:3]), "expected 0.55"),
    (check_first_pass_accuracy, lambda log: 0.55, "expected 0.5\n"),
    (check_first_pass_accuracy, lambda log: None, "returns nothing yet"),
    (check_first_pass_accuracy, lambda log: True, "got bool"),
    (check_first_pass_accuracy, lambda log: [first(log)], "got list"),
    (check_first_pass_accuracy, lambda log: log["accuracy"], "raised KeyError"),
    (check_learned_by_heart, lambda log: first(log) - last(log), "sign turned"),
    (check_learned_by_heart, lambda log: log[ACCURACY][-1] - first(log), "the last row"),
    (check_learned_by_heart, lambda log: last(log) - kept(log, lambda s, e: e <= 1), "the first step counted in"),
    (check_learned_by_heart, lambda log: last(log) / first(log), "a ratio"),
    (check_learned_by_heart, lambda log: kept(log, lambda s, e: 1 < e <= 2) - first(log), "the second pass"),
    (check_learned_by_heart, last, "the last pass alone"),
    (check_learned_by_heart, lambda log: kept(log, lambda s, e: e > 1) - first(log), "all later passes"),
    (check_learned_by_heart, lambda log: 0.375, "expected 0.2667"),
    (check_learned_by_heart, lambda log: "0.3", "got str"),
    (check_learned_by_heart, lambda log: 1 / 0, "raised ZeroDivisionError"),
    (check_noise_alarms, lambda logs: [True] * len(logs), "an alarm that always rings"),
    (check_noise_alarms, lambda logs: [False] * len(logs), "silence"),
    (check_noise_alarms, lambda logs: [not alarm for alarm in alarms(logs)], "turned around"),
    (check_noise_alarms, lambda logs: checks.naive_alarms()["the last loss"](logs), "you judge by the last loss"),
    (check_noise_alarms, lambda logs: checks.naive_alarms()["the last accuracy"](logs), "by the last accuracy"),
    (check_noise_alarms, lambda logs: [first(log) < 0.5 for log in logs], "missed"),
    (check_noise_alarms, lambda logs: [first(log) < 0.7 for log in logs], "a false alarm"),
    (check_noise_alarms, lambda logs: True, "got bool"),
    (check_noise_alarms, lambda logs: alarms(logs)[:3], "got 3"),
    (check_noise_alarms, lambda logs: [None for _ in logs], "got None"),
    (check_noise_alarms, lambda logs: [first(log) for log in logs], "expected True or False"),
    (check_noise_alarms, lambda logs: logs["loss"], "raised TypeError"),
]


@pytest.mark.parametrize(("check", "answer", "reason"), MISTAKES)
def test_each_mistake_is_named(check, answer, reason):
    verdict = check(answer)
    assert not verdict
    assert reason in verdict.message
    assert "with " in verdict.message  # the input that was used


def marks(spec, function, learners=20):
    """What a function of logs earns on average, over learners with their own hidden runs."""
    item = spec["EXERCISE"].items[2]
    cases = [case for seed in range(learners) for case in item.cases(random.Random(seed))]
    return mean([item.judge(function(**case), case) for case in cases])


def test_hidden_runs_are_told_apart_by_the_first_pass_alone(spec, solution):
    assert marks(spec, solution["noise_alarms"]) == 1
    for name, rule in checks.naive_alarms().items():
        assert marks(spec, rule) < 0.35, name


@pytest.mark.parametrize("answer", [True, False])
def test_a_constant_earns_nothing(spec, answer):
    assert marks(spec, lambda logs: [answer] * len(logs)) == 0


def test_answers_of_another_form_earn_nothing(spec):
    (case,) = spec["EXERCISE"].items[2].cases(random.Random(0))
    judge = spec["EXERCISE"].items[2].judge
    assert judge(None, case) == judge([True], case) == judge([1] * len(case["logs"]), case) == 0


def test_no_hidden_run_is_a_practice_run(spec):
    hidden = {tuple(run["log"]["loss"]) for run in spec["RUNS"]}
    assert len(hidden) == len(spec["RUNS"]) == 16
    assert not hidden & {tuple(run["log"]["loss"]) for run in checks.practice_runs()}
    assert sum(run["noisy"] for run in spec["RUNS"]) == 8
