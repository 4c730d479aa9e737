"""The shop's comparison on paper: every arm tries equally much, edges are followed, and words mean what they say."""

import pytest

from lessons_lib.benchmark import design, shop_design
from lessons_lib.benchmark.design import Point
from lessons_lib.benchmark.shop_design import ARMS, DELTA, REGIMES, TRAINED, beyond, grid, neighbours
from lessons_lib.benchmark.statistics import word
from lessons_lib.lab.shop.gold import POINTS
from lessons_lib.metrics import Interval


def interval(low, high):
    return Interval((low + high) / 2, low, high, 5)


@pytest.mark.parametrize(
    "low, high, said",
    [
        (-0.2, 0.24, "equivalent"),
        (0.01, 0.24, "equivalent"),  # more than nothing, less than counts
        (0.01, 0.30, "ahead"),
        (-0.30, -0.01, "behind"),
        (-0.20, 0.26, "cannot tell"),
        (-0.25, 0.10, "cannot tell"),  # δ itself is no longer within
    ],
)
def test_a_difference_gets_the_word_that_it_earned(low, high, said):
    assert word(interval(low, high), DELTA) == said


def test_delta_is_half_of_the_smallest_gain_of_a_reply():
    assert min(points for points in POINTS.values() if points > 0) / 2 == DELTA


@pytest.mark.parametrize("arm", TRAINED)
def test_every_arm_tries_six_settings_first(arm):
    assert len(grid(arm)) == 6


@pytest.mark.parametrize("regime", REGIMES)
def test_a_regime_hands_out_as_many_pairs_as_its_steps_take(regime):
    table = REGIMES[regime]
    passes = table.steps * shop_design.BATCH * (2 if shop_design.is_log(regime) else 1) / table.pairs
    assert passes == (shop_design.PASSES if regime == "near_deterministic" else 1)
    assert all(round(stop * table.steps) == stop * table.steps for stop in shop_design.stops(regime))


def test_a_regime_is_run_by_the_arms_that_it_can_compare():
    assert shop_design.arms_of("clean") == tuple(ARMS)
    assert shop_design.arms_of("human") == TRAINED  # the untouched model is what the others are compared with
    assert shop_design.arms_of("human_thumbs") == ("kto", "sft")  # no two replies to one conversation: no pairs
    cells = shop_design.cells(["human_thumbs", "human"], ["dpo", "kto", "untouched"])
    assert cells == [("human_thumbs", "kto"), ("human", "dpo"), ("human", "kto")]


def test_where_rows_are_few_every_arm_may_stop_sooner():
    assert shop_design.stops("unary_10") == shop_design.stops("human_thumbs") == (0.25, 0.5, 1.0)
    assert shop_design.stops("clean") == shop_design.stops("human") == (0.5, 1.0)


def test_what_lies_beyond_an_edge_is_tried_and_a_best_inside_ends_the_search():
    tried = grid("dpo")
    strengths = [point.strength for point in tried]
    assert [strengths[0], strengths[-1]] == [{"beta": 0.1}, {"beta": 0.3}]
    assert beyond("dpo", tried, Point({"beta": 0.3}, 9e-5)) == [
        Point({"beta": 0.3}, 2.7e-4),
        Point({"beta": 0.9}, 9e-5),
    ]
    # the last round's setting was best: on it goes with the rate, and no strength is left in this direction
    more = [*tried, Point({"beta": 0.9}, 9e-5)]
    assert beyond("dpo", more, Point({"beta": 0.9}, 9e-5)) == [
        Point({"beta": 0.9}, 2.7e-4),
        Point({"beta": 0.9}, 3e-5),
    ]
    inside = [Point({"beta": b}, r) for b in (0.0333, 0.1, 0.3) for r in (1e-5, 3e-5, 9e-5)]
    assert beyond("dpo", inside, Point({"beta": 0.1}, 3e-5)) == []


def test_an_arm_without_a_strength_is_searched_by_its_rates():
    tried = grid("sft")
    assert beyond("sft", tried, tried[2]) == []
    assert beyond("sft", tried, tried[0]) == [Point({}, 1.111e-6)]


def test_other_regimes_look_around_the_clean_choice():
    found = neighbours("kto", Point({"beta": 0.1}, 3e-5, stop=0.5))
    assert found == [
        Point({"beta": 0.1}, 3e-5),
        Point({"beta": 0.1}, 1e-5),
        Point({"beta": 0.1}, 9e-5),
        Point({"beta": 0.0333}, 3e-5),
        Point({"beta": 0.3}, 3e-5),
    ]


def test_a_setting_is_read_as_it_was_written():
    point = Point({"beta": 2.0, "gamma": 1.0}, 3e-5, 0.5)
    assert design.read(design.written(point)) == point
    assert ARMS["untouched"].method is None
