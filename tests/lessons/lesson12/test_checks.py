"""Exercise 12: each check accepts the solution and names typical mistakes; faults are named on logs never shown."""

import math
import random
import runpy

import pytest

from lessons_lib.advice.diagnose import FAULTS
from lessons_lib.lessons.lesson12 import checks
from lessons_lib.lessons.lesson12.checks import ANSWERS, check_change, check_name_faults


@pytest.fixture(scope="module")
def solution(root):
    return runpy.run_path(root / "exercises" / "solutions" / "ex12.py")


@pytest.fixture(scope="module")
def spec(root):
    return runpy.run_path(root / "exercises" / "specs" / "ex12.py")


def test_the_solution_passes(solution):
    assert check_change(solution["change"])
    assert check_name_faults(solution["name_faults"])


def test_the_change_can_be_checked_on_paper():
    assert checks.change_of(checks.RISING) == (9 + 12) / 2 - (0 + 2) / 2
    assert checks.change_of(checks.FALLING) == (-14 - 17) / 2 - (-9 - 9.5) / 2
    assert checks.change_of([1.0, None, 2.0]) == 0


def test_the_names_are_those_of_the_diagnosis():
    assert set(ANSWERS) - {"healthy"} < {fault.key for fault in FAULTS}
    assert {name for names in checks.ALSO_RIGHT.values() for name in names} < {fault.key for fault in FAULTS}


def test_each_practice_log_has_another_name_and_hides_it():
    assert sorted(run["fault"] for run in checks._practice()) == sorted(ANSWERS)
    for log in checks.practice_logs():
        assert "gold" not in log and len({len(values) for values in log.values()}) == 1


def known(values):
    return checks.numbers(values)


def third(values):
    return len(known(values)) // 3


def mean(values):
    return sum(values) / len(values)


def right(values):
    return mean(known(values)[-third(values) :]) - mean(known(values)[: third(values)])


def gapless(values):
    return [0.0 if value is None or math.isnan(value) else value for value in values]


def right_names():
    return [run["fault"] for run in checks._practice()]


def named(**wrong):
    """An answer with some names exchanged: named(displaced="healthy")."""
    return lambda logs: [wrong.get(name, name) for name in right_names()]


def half(values):
    kept = known(values)
    return mean(kept[-(len(kept) // 2) :]) - mean(kept[: len(kept) // 2])


MISTAKES = [
    (check_change, lambda v: -right(v), "sign turned"),
    (check_change, lambda v: known(v)[-1] - known(v)[0], "the two end values"),
    (check_change, lambda v: right(gapless(v)), "gaps counted as zero"),
    (check_change, lambda v: mean(known(v)[-third(v) :]), "the last third alone"),
    (check_change, half, "halves"),
    (check_change, lambda v: right(v) * third(v), "sums"),
    (check_change, lambda v: mean(known(v)[-third(v) :]) / mean(known(v)[: third(v)]), "a ratio"),
    (check_change, lambda v: 9.5, "expected -6.25"),
    (check_change, lambda v: math.nan, "expected 9.5"),
    (check_change, lambda v: None, "returns nothing yet"),
    (check_change, lambda v: True, "got bool"),
    (check_change, lambda v: [right(v)], "got list"),
    (check_change, lambda v: sum(v), "raised TypeError"),
    (check_name_faults, lambda logs: ["healthy"] * len(logs), "a constant; all six are 'healthy'"),
    (check_name_faults, lambda logs: ["kl_away"] * len(logs), "a constant"),
    (check_name_faults, named(not_finite="by_heart"), "TRL writes a loss of 0 there"),
    (check_name_faults, named(by_heart="kl_away"), "the name that stands first in the table"),
    (check_name_faults, named(kl_away="displaced"), "that name stands before the fall"),
    (check_name_faults, named(displaced="healthy"), "much of the fall comes early"),
    (check_name_faults, named(healthy="displaced"), "what a method does not log is no fault"),
    (check_name_faults, named(coin_flip="healthy"), "that of a coin"),
    (check_name_faults, lambda logs: "healthy", "expected a list of 6 names, got str"),
    (check_name_faults, lambda logs: right_names()[:5], "got 5"),
    (check_name_faults, lambda logs: [None] * len(logs), "got None"),
    (check_name_faults, lambda logs: [True] * len(logs), "got True"),
    (check_name_faults, lambda logs: [name.title() for name in right_names()], "expected one of not_finite"),
    (check_name_faults, lambda logs: [log["accuracy"] for log in logs], "raised KeyError"),
]


@pytest.mark.parametrize(("check", "answer", "reason"), MISTAKES)
def test_each_mistake_is_named(check, answer, reason):
    verdict = check(answer)
    assert not verdict
    assert reason in verdict.message
    assert "with " in verdict.message  # the input that was used


def test_a_second_name_for_one_run_is_right_too():
    assert check_name_faults(named(by_heart="exploding_margins"))
    assert checks.errors(["exploding_margins"], ["kl_away"]) == 1


def cases_of(spec, item=1, learners=30):
    return [case for seed in range(learners) for case in spec["EXERCISE"].items[item].cases(random.Random(seed))]


def marks(spec, function):
    """What a function of logs earns on average, over learners with their own hidden logs."""
    judge = spec["EXERCISE"].items[1].judge
    return mean([judge(function(**case), case) for case in cases_of(spec)])


def test_hidden_logs_are_named_by_the_solution(spec, solution):
    assert marks(spec, solution["name_faults"]) == 1


@pytest.mark.parametrize("answer", [*ANSWERS, "exploding_margins", "nonsense", None])
def test_a_constant_earns_nothing(spec, answer):
    assert marks(spec, lambda logs: [answer] * len(logs)) == 0


def test_reading_the_loss_alone_earns_nothing(spec):
    def by_loss(log):
        share = checks.numbers(log["loss"])[-1] / log["loss"][0]
        return "by_heart" if share < 0.2 else "kl_away" if share < 0.7 else "healthy" if share < 0.97 else "coin_flip"

    assert marks(spec, lambda logs: [by_loss(log) for log in logs]) < 0.1


def test_answers_of_another_form_earn_nothing(spec):
    judge, case = spec["EXERCISE"].items[1].judge, cases_of(spec, learners=1)[0]
    assert judge(None, case) == judge(["healthy"], case) == judge("healthy", case) == judge({}, case) == 0


def test_half_the_points_for_up_to_three_mistakes(spec, solution):
    judge, case = spec["EXERCISE"].items[1].judge, cases_of(spec, learners=1)[0]
    answers = solution["name_faults"](**case)
    for wrong, earned in ((1, 1.0), (2, 0.5), (3, 0.5), (4, 0.0)):
        assert judge(["nonsense"] * wrong + answers[wrong:], case) == earned


def test_the_solutions_changes_are_those_expected(spec, solution):
    for case in cases_of(spec, item=0, learners=5):
        assert solution["change"](**case) == pytest.approx(checks.change_of(**case))


def test_learners_get_logs_of_their_own(spec):
    first, second = cases_of(spec, learners=2)
    assert [log["loss"] for log in first["logs"]] != [log["loss"] for log in second["logs"]]


def test_no_hidden_log_is_a_practice_log_and_each_is_known_by_its_start(spec):
    starts = [spec["_start"](run["log"]) for run in spec["RUNS"]]
    assert len(set(starts)) == len(starts)
    practice = {tuple(run["log"]["loss"]) for run in checks._practice()}
    assert not practice & {tuple(run["log"]["loss"]) for run in spec["RUNS"]}
    for answer in ANSWERS:
        assert sum(run["fault"] == answer for run in spec["RUNS"]) >= spec["EACH"]
    assert not any("gold" in run["log"] for run in spec["RUNS"])
