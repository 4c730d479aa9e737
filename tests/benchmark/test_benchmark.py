"""The benchmark's tables, statistics and reading: cases a person can check, and simulations of what is claimed."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from lessons_lib import benchmark
from lessons_lib.benchmark import design, sizes, statistics, tuning
from lessons_lib.benchmark.design import Point
from lessons_lib.benchmark.runs import checkpoint_of
from lessons_lib.errors import UserError
from lessons_lib.lab import checkpoints, world
from lessons_lib.metrics import mean_interval, t_quantile

CHECKPOINTS = [f"sft-{seed}" for seed in range(12)]  # one seed on each
SHARED = [f"sft-{seed % 3}" for seed in range(12)]  # four seeds on each of three

# ---------------------------------------------------------------- estimates


def test_one_run_a_checkpoint_is_students_interval():
    values = [0.1, 0.4, 0.2, 0.7]
    own, student = statistics.estimate(values, list("abcd")).interval(), mean_interval(values)
    assert (own.low, own.high) == pytest.approx((student.low, student.high))
    assert statistics.estimate(values, list("abcd")).sd == pytest.approx(np.std(values, ddof=1))


def test_runs_of_one_checkpoint_are_one_unit_by_hand():
    """Checkpoint a: 0, 2 (mean 1); b: 4, 4 (mean 4). Two units: sd √4.5, over √2, with one degree of freedom."""
    found = statistics.estimate([0.0, 4.0, 2.0, 4.0], ["a", "b", "a", "b"])
    assert found.mean == 2.5 and found.error == pytest.approx(1.5) and found.degrees == 1 and found.n == 4
    assert found.interval().high == pytest.approx(2.5 + 12.7062 * 1.5, abs=1e-3)


def test_checkpoints_weigh_the_same_however_many_runs_they_have():
    assert statistics.estimate([0.0, 0.0, 0.0, 6.0], ["a", "a", "a", "b"]).mean == 3.0


def test_with_one_checkpoint_each_run_counts_as_one():
    values = [0.1, 0.4, 0.2, 0.7]
    own, student = statistics.estimate(values, ["a"] * 4).interval(), mean_interval(values)
    assert (own.low, own.high) == pytest.approx((student.low, student.high))


def test_one_run_has_no_interval():
    interval = statistics.estimate([0.3], ["a"]).interval()
    assert (interval.estimate, interval.low, interval.high) == (0.3, -math.inf, math.inf)
    assert statistics.estimate([0.3], ["a"]).p == 1.0


# ---------------------------------------------------------------- comparisons and verdicts


def test_holm_steps_down_as_on_paper():
    """Three pairs: the first is held to 0.05/3, the second to 0.05/2, and the first that fails ends it."""
    noise = np.array([-1.0, 1.0, -1.0, 1.0, -1.0, 1.0])
    scores = {"a": 10 + 0.1 * noise, "b": 5 - 0.1 * noise, "c": 4.9 + 0.4 * noise}
    own = list("uvwxyz")
    found = {(pair.better, pair.worse): pair for pair in statistics.compare(scores, own)}
    assert [pair.significant for pair in found.values()] == [True, True, False]
    first, second, last = found.values()
    assert (last.better, last.worse) == ("b", "c")
    for pair, level in ((first, 0.05 / 3), (second, 0.05 / 2), (last, 0.05)):
        error = statistics.estimate(np.subtract(scores[pair.better], scores[pair.worse]), own).error
        assert pair.difference.half_width == pytest.approx(error * t_quantile(5, confidence=1 - level))


def test_after_the_first_failure_the_rest_share_its_level():
    """p-values 0.001, 0.03, 0.04 of three: 0.05/3 holds the first; 0.03 > 0.05/2 fails, and 0.04 shares 0.05/2."""
    ts = [t_quantile(11, confidence=1 - p) for p in (0.04, 0.001, 0.03)]
    estimates = [statistics.MeanEstimate(t, 1.0, 11, 12) for t in ts]
    assert [estimate.p for estimate in estimates] == pytest.approx([0.04, 0.001, 0.03], rel=1e-6)
    found = statistics.holm(estimates)
    levels = [0.05 / 2, 0.05 / 3, 0.05 / 2]
    assert [i.half_width for i in found] == pytest.approx([t_quantile(11, confidence=1 - level) for level in levels])
    assert [interval.excludes(0.0) for interval in found] == [False, True, False]


@pytest.mark.parametrize("between", [0.0, 0.5])
def test_equal_arms_are_told_apart_in_one_experiment_of_twenty(between):
    """Five equal arms, twelve checkpoints: some pair is called different in at most about 5 % of experiments.

    `between` is the spread of an arm over checkpoints, in units of its spread over seeds.
    """
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(300):
        scores = {arm: rng.normal(size=12) + between * rng.normal(size=12) for arm in "abcde"}
        wrong += any(pair.significant for pair in statistics.compare(scores, CHECKPOINTS))
    assert wrong / 300 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 300)


def test_intervals_hold_what_they_say_however_alike_the_runs_of_a_checkpoint_are():
    """Four seeds on each of three checkpoints: three units. Counted as twelve, they miss more than twice too often."""
    rng = np.random.default_rng(1)
    place = np.arange(12) % 3
    values = rng.normal(size=(2000, 12)) + rng.normal(size=(2000, 3))[:, place]
    intervals = [statistics.estimate(row, SHARED).interval() for row in values]
    assert np.mean([interval.excludes(0.0) for interval in intervals]) == pytest.approx(0.05, abs=0.015)
    assert statistics.missed(values) > 0.12


def test_nominal_five_percent_misses_five_percent():
    assert statistics.missed(np.random.default_rng(0).normal(size=(40_000, 12))) == pytest.approx(0.05, abs=0.004)
    skewed = np.random.default_rng(0).exponential(size=(40_000, 12)) - 1
    assert statistics.missed(skewed) > 0.07  # and a shape that a t interval does not suit is noticed


def test_the_smallest_visible_effect_is_found_as_often_as_promised():
    effect = statistics.smallest_visible_effect(0.2, 12, pairs=10)
    rng, found = np.random.default_rng(5), 0
    for _ in range(500):
        found += statistics.estimate(effect + 0.2 * rng.normal(size=12), CHECKPOINTS).interval(0.05 / 10).low > 0
    assert found / 500 == pytest.approx(0.8, abs=0.06)


# ---------------------------------------------------------------- length control


def test_at_equal_lengths_the_controlled_win_rate_is_the_win_rate():
    wins = np.array([1.0, 1.0, 1.0, 0.0])
    assert statistics.length_controlled(wins, np.zeros(4)) == pytest.approx(0.75, abs=1e-3)


def test_wins_that_length_alone_explains_are_controlled_away():
    rng = np.random.default_rng(0)
    extra = rng.normal(6, 4, 4000)  # longer on average, and preferred for it
    wins = (rng.random(4000) < 1 / (1 + np.exp(-1.5 * np.tanh(extra / extra.std())))).astype(float)
    assert wins.mean() > 0.65
    assert statistics.length_controlled(wins, extra) == pytest.approx(0.5, abs=0.04)


def test_the_controlled_win_rate_is_finite_where_every_reply_wins():
    assert 0.9 < statistics.length_controlled(np.ones(50), np.arange(50)) < 1


# ---------------------------------------------------------------- the design


def test_a_seed_of_a_final_run_has_a_checkpoint_of_its_own_and_the_search_keeps_to_three():
    assert len({checkpoint_of(seed) for seed in design.SEEDS}) == len(design.SEEDS) == 12
    assert {checkpoint_of(seed) for regime in design.REGIMES for seed in design.tuning_seeds(regime)} == set(
        checkpoints.SFT_NAMES
    )


def test_delta_is_a_fifth_of_what_one_right_answer_is_worth():
    gains = {points for points in world.POINTS.values() if points > 0}
    assert gains == {0.5, 1.0} and max(gains) / 5 == design.DELTA


def test_what_lies_next_to_a_setting_is_a_step_along_each_ladder():
    around = design.neighbours("simpo", "clean", Point({"beta": 1.0, "gamma": 0.5}, 9e-4))
    assert around == [
        Point({"beta": 1.0, "gamma": 0.5}, 2.7e-3),
        Point({"beta": 1.0, "gamma": 0.5}, 3e-4),
        Point({"beta": 3.0, "gamma": 0.5}, 9e-4),
        Point({"beta": 0.3333, "gamma": 0.5}, 9e-4),
        Point({"beta": 1.0, "gamma": 1.5}, 9e-4),
        Point({"beta": 1.0, "gamma": 0.1667}, 9e-4),
    ]


def test_neighbourhood_is_mutual_wherever_a_search_can_come():
    for regime, arm in design.cells(tuple(design.REGIMES), design.TRAINED):
        for point in design.grid(arm, regime):
            for other in design.neighbours(arm, regime, point):
                assert point in design.neighbours(arm, regime, other), (regime, arm, point, other)


def test_orpo_is_tried_where_its_paper_has_it():
    assert any(0.1 <= strength["lam"] <= 0.25 for strength in design.ARMS["orpo"].strengths)


def test_the_five_and_sft_run_everywhere():
    cells = set(design.cells(tuple(design.REGIMES), tuple(design.ARMS)))
    assert {(regime, arm) for regime in design.REGIMES for arm in design.CORE} <= cells


def test_the_choice_is_the_best_stop_of_the_best_setting_and_says_where_it_stands():
    rows = [
        {
            "regime": "clean",
            "arm": "a",
            "seed": 100,
            "strength": '{"beta": 0.1}',
            "learning_rate": rate,
            "stop": stop,
            "gold": gold,
        }
        for rate, stop, gold in [(1.0, 0.5, 0.1), (1.0, 1.0, 0.9), (2.0, 0.5, 0.8), (2.0, 1.0, 0.2), (0.5, 1.0, 0.0)]
    ]
    (choice,) = tuning.choose(pd.DataFrame(rows)).to_dict("records")
    assert (choice["learning_rate"], choice["stop"], choice["gold"]) == (1.0, 1.0, 0.9)
    assert choice["rate_edge"] == "" and choice["strength_edge"] == ""
    (choice,) = tuning.choose(pd.DataFrame(rows[2:])).to_dict("records")
    assert choice["rate_edge"] == "highest"


def searched(seed: int, golds: dict[float, float], regime="clean", arm="dpo") -> list[dict]:
    """One run a learning rate, measured at one stop."""
    setting = {"regime": regime, "arm": arm, "seed": seed, "strength": '{"beta": 0.3}', "stop": 1.0}
    return [{**setting, "learning_rate": rate, "gold": gold} for rate, gold in golds.items()]


def test_the_three_best_of_the_first_seed_are_run_again():
    first, second, _ = design.tuning_seeds("clean")
    rows = searched(first, {1.0: 0.4, 2.0: 0.9, 3.0: 0.8, 4.0: 0.1, 5.0: 0.7}) + searched(second, {4.0: 5.0})
    assert [point.learning_rate for point in tuning.finalists(pd.DataFrame(rows))] == [2.0, 3.0, 5.0]


def followed(gold, most=design.MOST_SETTINGS, arm="dpo", regime="clean"):
    """A whole search on an invented surface: the rows, and the settings in the order they were tried."""
    rows, order = [], []
    while items := tuning.to_run(regime, arm, pd.DataFrame(rows)):
        for *_, seed, strength, rate in items:
            point = Point(json.loads(strength), rate)
            rows += [
                {"regime": regime, "arm": arm, "seed": seed, **design.written(Point(point.strength, rate, stop)),
                 "gold": gold(point) + stop}
                for stop in design.STOPS
            ]  # fmt: skip
            order.append(point)
    return pd.DataFrame(rows), order


def peak_at(beta: float, rate: float):
    return lambda point: -abs(math.log(point.strength["beta"] / beta)) - abs(math.log(point.learning_rate / rate))


@pytest.mark.parametrize(("beta", "rate"), [(0.3, 3e-4), (3.3333, 9e-4), (0.027, 1e-4)])
def test_the_search_follows_its_edges_until_nothing_next_to_the_best_is_left(beta, rate):
    rows, _ = followed(peak_at(beta, rate))
    assert design.read(tuning.candidates(rows).iloc[0]) == Point({"beta": beta}, rate)
    assert tuning.untried("clean", "dpo", rows) == []
    assert tuning.candidates(rows)["seeds"].iloc[0] == 3


def test_no_arm_tries_more_settings_than_all_may_and_what_is_open_is_told(monkeypatch):
    monkeypatch.setattr(design, "MOST_SETTINGS", 6)
    rows, _ = followed(peak_at(0.0081, 3.3e-5))
    assert len(rows.drop_duplicates(tuning.SETTING)) == 6
    assert tuning.untried("clean", "dpo", rows)


def test_a_search_begins_with_the_grid():
    _, order = followed(peak_at(1.0, 9e-4))
    assert order[:4] == design.grid("dpo", "clean")


def test_a_lucky_first_run_is_not_chosen():
    """The mean over the seeds decides, among those that all seeds have seen."""
    golds = [{1.0: 0.9, 2.0: 0.8, 3.0: 0.7, 4.0: 0.95}, {1.0: 0.1, 2.0: 0.7, 3.0: 0.5}, {1.0: 0.3, 2.0: 0.6, 3.0: 0.4}]
    seeds = design.tuning_seeds("clean")
    rows = [row for seed, found in zip(seeds, golds, strict=True) for row in searched(seed, found)]
    (choice,) = tuning.choose(pd.DataFrame(rows)).to_dict("records")
    assert choice["learning_rate"] == 2.0 and choice["gold"] == pytest.approx(0.7) and choice["rate_edge"] == ""


def test_a_search_takes_one_seed_a_checkpoint():
    for regime in design.REGIMES:
        assert {seed % 3 for seed in design.tuning_seeds(regime)} == {0, 1, 2}


# ---------------------------------------------------------------- reading


def table(golds: dict[str, list[float]], regime: str = "clean") -> pd.DataFrame:
    rows = [
        {"regime": regime, "arm": arm, "seed": seed, "checkpoint": f"sft-{seed}", "gold": gold}
        for arm, values in golds.items()
        for seed, gold in enumerate(values)
    ]
    return pd.DataFrame(rows)


def test_the_matrix_has_a_row_for_each_regime_and_arm_in_the_designs_order():
    found = benchmark.matrix(pd.concat([table({"kto": [1.0, 2.0, 3.0], "dpo": [0.0, 0.0, 0.0]}, "noisy_20"),
                                        table({"dpo": [4.0, 4.0, 4.0]})]))  # fmt: skip
    assert found[["regime", "arm"]].values.tolist() == [["clean", "dpo"], ["noisy_20", "dpo"], ["noisy_20", "kto"]]
    assert found["mean"].tolist() == [4.0, 0.0, 2.0] and found["seeds"].tolist() == [3, 3, 3]


def test_verdicts_use_only_seeds_that_all_arms_have():
    found = benchmark.verdicts(table({"dpo": [1.0, 1.1, 0.9, 50.0], "kto": [0.0, 0.1, -0.1]}), arms=("dpo", "kto"))
    (row,) = found.to_dict("records")
    assert row["seeds"] == 3 and row["lead"] == pytest.approx(1.0) and row["winner"] == "dpo"


def test_a_pair_that_turns_round_in_another_model_is_found():
    small = {"dpo": [1.0, 1.1, 0.9], "ipo": [0.5, 0.6, 0.4], "kto": [0.1, 0.0, 0.2], "orpo": [2.0, 2.1, 1.9]}
    there = small | {"dpo": [0.0, -0.1, 0.1], "orpo": [0.3, 2.0, -0.5]}
    flat = {"simpo": [-1.0, -1.0, -1.0]}
    tables = [table(golds | flat, regime).assign(size=size) for size, golds in (("small", small), ("large", there))
              for regime in sizes.REGIMES]  # fmt: skip
    found = benchmark.order_changes(pd.concat(tables)).query("regime == 'clean'").set_index(["ahead", "behind"])
    assert len(found) == 10 and set(found["size"]) == {"large"}
    assert found.query("changed").index.tolist() == [("dpo", "ipo"), ("dpo", "kto")]
    assert found.loc[("dpo", "ipo"), "shown"] and not found.loc[("orpo", "simpo"), "shown"]
    assert found.loc[("dpo", "ipo"), "small"].estimate == pytest.approx(0.5)
    assert found.loc[("dpo", "ipo"), "here"].estimate == pytest.approx(-0.5)


def test_the_three_verdicts_of_pairs():
    quiet = np.tile([-0.01, 0.01], 6)
    loud = np.tile([-0.6, 0.6], 6)
    golds = {"dpo": 1.0 + quiet, "kto": 1.05 - quiet, "ipo": 0.5 + quiet, "orpo": 0.9 + loud}
    found = benchmark.pairs(table({arm: list(values) for arm, values in golds.items()}), tuple(golds))
    said = {(row.better, row.worse): row.verdict for row in found.itertuples()}
    assert said[("kto", "dpo")] == "equivalent" and said[("dpo", "ipo")] == "ahead"
    assert said[("dpo", "orpo")] == "cannot tell"
    (row,) = benchmark.verdicts(table({arm: list(values) for arm, values in golds.items()}), tuple(golds)).itertuples()
    assert (row.leader, row.winner, row.verdict) == ("kto", None, "equivalent")
    assert (row.equivalent, row.untold, row.behind) == (("dpo",), ("orpo",), ("ipo",))
    assert row.members == ("kto", "dpo", "orpo")


def test_what_is_ahead_in_one_regime_need_not_be_over_all():
    """A difference with p near 0.02 alone, beside nine regimes in which nothing differs."""
    rng = np.random.default_rng(0)
    standard = rng.normal(size=12)
    standard = (standard - standard.mean()) / standard.std(ddof=1)
    lead = 1 + standard * math.sqrt(12) / t_quantile(11, confidence=0.98)
    tables = [table({"dpo": list(lead), "kto": [0.0] * 12}, "clean")]
    tables += [table({"dpo": list(standard), "kto": [0.0] * 12}, regime) for regime in list(design.REGIMES)[1:10]]
    found = benchmark.pairs(pd.concat(tables), ("dpo", "kto")).set_index("regime")
    assert found.loc["clean", "verdict"] == "ahead" and found.loc["clean", "over_all"] == "cannot tell"
    verdicts = benchmark.verdicts(pd.concat(tables), ("dpo", "kto")).set_index("regime")
    assert verdicts.loc["clean", "winner"] == "dpo" and verdicts.loc["clean", "over_all"] is None


def test_what_cannot_be_told_beside_a_winner_has_none():
    golds = {"dpo": [1.0, 1.1, 0.9], "kto": [0.0, 0.1, -0.1]}
    found = benchmark.verdicts(
        pd.concat([table(golds), table(golds | {"kto": [1.2, 0.9, 1.0]}, "noisy_20")]), ("dpo", "kto")
    )
    assert found["winner"].tolist() == ["dpo", None]


def test_no_difference_counts_as_equivalent_in_a_measure_without_delta():
    found = benchmark.pairs(table({"dpo": [1.0, 1.1, 0.9], "kto": [1.0, 0.9, 1.1]}).rename(columns={"gold": "kl"}),
                            ("dpo", "kto"), "kl")  # fmt: skip
    assert found["verdict"].tolist() == ["cannot tell"]


def test_power_falls_with_noise_and_says_its_seeds():
    quiet, loud = (
        benchmark.power(table({arm: rng.normal(0, spread, 12).tolist() for arm in "ab"}), arms=("a", "b"))["median"][0]
        for spread in (0.1, 0.4)
        for rng in [np.random.default_rng(2)]
    )
    assert 0 < quiet < loud


def test_power_is_each_pairs_own_and_a_method_that_collapses_does_not_blur_the_others():
    """Two quiet arms beside one that breaks down: the quiet pair sees what its own spread lets it see."""
    rng = np.random.default_rng(3)
    golds = {
        "a": rng.normal(0, 0.1, 12),
        "b": rng.normal(0, 0.1, 12),
        "c": rng.normal(0, 0.1, 12) - 3 * (np.arange(12) == 5),
    }
    (row,) = benchmark.power(
        table({arm: values.tolist() for arm, values in golds.items()}), arms=tuple("abc")
    ).itertuples()
    quiet = statistics.smallest_visible_effect((golds["a"] - golds["b"]).std(ddof=1), 12, pairs=3)
    assert row.least == pytest.approx(quiet) and row.seeds == 12
    assert row.least < 0.25 * row.median and row.median <= row.most


def test_where_one_run_collapses_the_interval_of_that_pair_misses_often():
    rng = np.random.default_rng(4)
    golds = {arm: rng.normal(0, 0.1, 12) for arm in "abc"}
    whole = benchmark.coverage(table({arm: list(v) for arm, v in golds.items()}), tuple("abc"), simulations=4000)[
        "worst"
    ][0]
    golds["c"][5] -= 5
    broken = benchmark.coverage(table({arm: list(v) for arm, v in golds.items()}), tuple("abc"), simulations=4000)[
        "worst"
    ][0]
    assert whole < 0.15 < 0.25 < broken


def test_missing_arms_are_named():
    with pytest.raises(UserError, match="clean: expected runs of kto"):
        benchmark.verdicts(table({"dpo": [1.0, 2.0]}), arms=("dpo", "kto"))
