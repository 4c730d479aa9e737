"""Exercise 10: each check accepts the solution and rejects every typical mistake for its own reason."""

import random
import runpy
from pathlib import Path

import pytest

from lessons_lib.advice.decide import kto_weights as of_the_library
from lessons_lib.lessons.lesson10.checks import (
    RATINGS,
    agreement,
    check_kto_weights,
    check_plan,
    check_up_share,
    up_share,
)

EXERCISES = Path(__file__).resolve().parents[3] / "exercises"
SOLVED = runpy.run_path(EXERCISES / "solutions" / "ex10.py")


def test_the_solution_passes():
    assert check_up_share(SOLVED["up_share"])
    assert check_kto_weights(SOLVED["kto_weights"])
    assert check_plan(SOLVED["plan"])


def test_other_right_answers_pass():
    assert check_kto_weights(lambda ups, downs: [max(1, 1.5 * downs / ups), max(1, ups / downs / 1.5)])
    assert check_kto_weights(lambda ups, downs: tuple(map(float, of_the_library(ups / (ups + downs)))))


def test_the_hints_numbers():
    ratings = [rating for of_reply in RATINGS for rating in of_reply]
    assert up_share([0, 1, 2, 2, 3], 2) == 0.6
    assert agreement(RATINGS, 2) == 0.6875  # 11 of 16 pairs of raters
    assert [up_share(ratings, level) for level in (1, 2, 3)] == [0.75, 0.45, 0.1]


SHARE_MISTAKES = [
    (lambda ratings, at: sum(r > at for r in ratings) / len(ratings), "*at* the threshold is up"),
    (lambda ratings, at: sum(r < at for r in ratings) / len(ratings), "the share of downs"),
    (lambda ratings, at: sum(r >= at for r in ratings), "a count"),
    (lambda ratings, at: 100 * sum(r >= at for r in ratings) / len(ratings), "percent"),
    (lambda ratings, at: sum(r >= at for r in ratings) / sum(r < at for r in ratings), "ratio of ups to downs"),
    (lambda ratings, at: sum(ratings) / len(ratings), "the mean rating"),
    (lambda ratings, at: sum(r >= at for r in set(ratings)) / len(set(ratings)), "levels counted"),
    (lambda ratings, at: 0.55, "expected"),
    (lambda ratings, at: True, "got bool"),
    (lambda ratings, at: [0.6], "got list"),
    (lambda ratings, at: None, "returns nothing yet"),
    (lambda ratings, at: ratings / at, "raised TypeError"),
]
WEIGHT_MISTAKES = [
    (lambda ups, downs: (1, 1), "equal weights"),
    (lambda ups, downs: (max(1, ups / downs), max(1, downs / ups)), "swapped"),
    (lambda ups, downs: (1, 30) if ups < downs else (30, 1), "the side that has more rows"),
    (lambda ups, downs: (max(1, 2 * downs / ups), max(1, ups / downs)), "should lie in [1, 3/2]"),
    (lambda ups, downs: (max(1, (downs / ups) ** 0.5), max(1, ups / downs)), "should lie in [1, 3/2]"),
    (lambda ups, downs: ((ups + downs) / 2 / ups, (ups + downs) / 2 / downs), "leave the smaller weight at 1"),
    (lambda ups, downs: (10 * downs / ups, 10), "leave the smaller weight at 1"),
    (lambda ups, downs: (downs / ups, 0), "above 0"),
    (lambda ups, downs: downs / ups, "two numbers"),
    (lambda ups, downs: ("10", 1), "two numbers"),
    (lambda ups, downs: True, "two numbers"),
    (lambda ups, downs: None, "two numbers"),
    (lambda ups, downs: (float("nan"), 1), "two numbers"),
    (lambda ups: (1, 1), "raised TypeError"),
]


def changed(**values):
    def answer(replies):
        made = SOLVED["plan"](replies)
        return made | {key: value(made) if callable(value) else value for key, value in values.items()}

    return answer


def by_reply(replies):
    """The mean over replies where the raters' pairs were to be pooled."""
    made = SOLVED["plan"](replies)
    shares = [agreement([ratings], made["up_from"]) for ratings in replies]
    return made | {"agreement": sum(shares) / len(shares)}


PLAN_MISTAKES = [
    (changed(up_from=4), "keep at least a fifth"),
    (changed(up_from=3), "up from 3 leaves 10%"),
    (changed(up_share=lambda made: 1 - made["up_share"]), "up_share: at your threshold"),
    (changed(agreement=0.7), "agreement: at your threshold"),
    (by_reply, "agreement: at your threshold"),
    (changed(ratio=1.25), "ratio: at your threshold"),
    (changed(desirable_weight=2.5), "weights: the right side is raised"),
    (changed(desirable_weight=1, undesirable_weight=1), "weights: equal weights"),
    (changed(ratio="1"), "ratio is a number"),
    (changed(agreement=True), "agreement is a number"),
    (changed(agreement=float("nan")), "agreement is a number"),
    (lambda replies: {"up_from": 2}, "the keys up_from"),
    (lambda replies: tuple(SOLVED["plan"](replies).values()), "return a dictionary"),
    (lambda replies: True, "return a dictionary"),
    (lambda replies: SOLVED["plan"](RATINGS), "at your threshold"),  # a constant
    (lambda replies: replies["up"], "raised TypeError"),
]
ALL = [
    *((check_up_share, *rest) for rest in SHARE_MISTAKES),
    *((check_kto_weights, *rest) for rest in WEIGHT_MISTAKES),
    *((check_plan, *rest) for rest in PLAN_MISTAKES),
]


@pytest.mark.parametrize(("check", "answer", "reason"), ALL)
def test_each_mistake_is_explained(check, answer, reason):
    verdict = check(answer)
    assert not verdict
    assert reason in verdict.message


@pytest.mark.parametrize("seed", range(20))
def test_the_hidden_cases_pay_the_solution_and_no_constant(seed):
    items = {item.name: item for item in runpy.run_path(EXERCISES / "specs" / "ex10.py")["EXERCISE"].items}
    for case in items["up_share"].cases(random.Random(seed)):
        assert SOLVED["up_share"](**case) == pytest.approx(items["up_share"].expected(**case))
    for name in ("kto_weights", "plan"):
        for case in items[name].cases(random.Random(seed)):
            assert items[name].judge(SOLVED[name](**case), case) == 1
            assert items[name].judge(SOLVED["plan"](RATINGS), case) == items[name].judge(None, case) == 0
