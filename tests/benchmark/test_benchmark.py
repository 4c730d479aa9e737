"""The benchmark's tables, statistics and reading: cases a person can check, and simulations of what is claimed."""

import math

import numpy as np
import pandas as pd
import pytest

from lessons_lib import benchmark
from lessons_lib.benchmark import design, sizes, statistics, tuning
from lessons_lib.errors import UserError
from lessons_lib.metrics import mean_interval, t_quantile

CHECKPOINTS = [f"sft-{seed % 3}" for seed in range(12)]

# ---------------------------------------------------------------- estimates


def test_one_run_a_checkpoint_is_an_average_over_checkpoints():
    """Values 0, 1, 2: mean 1, variance with divisor 3 is 2/3, over 3 checkpoints: 2/9."""
    found = statistics.estimate([0.0, 1.0, 2.0], ["a", "b", "c"])
    assert found.mean == 1.0 and found.error == pytest.approx(math.sqrt(2) / 3)
    assert found.interval().high == pytest.approx(1 + 4.3027 * math.sqrt(2) / 3, abs=1e-3)


def test_variance_inside_checkpoints_and_between_them_by_hand():
    """Checkpoint a: 0, 2 (mean 1, variance 1); b: 4, 4 (mean 4, variance 0).

    Between: var(1, 4) = 2.25. Within: mean of 1/2 and 0 is 0.25. Over 2 checkpoints: 2.5 / 2.
    """
    found = statistics.estimate([0.0, 4.0, 2.0, 4.0], ["a", "b", "a", "b"])
    assert found.mean == 2.5 and found.error == pytest.approx(math.sqrt(1.25))


def test_checkpoints_weigh_the_same_however_many_runs_they_have():
    assert statistics.estimate([0.0, 0.0, 0.0, 6.0], ["a", "a", "a", "b"]).mean == 3.0


def test_the_closed_form_is_the_hierarchical_bootstrap():
    values = np.random.default_rng(3).normal(size=10) + np.repeat([0.0, 0.5, -0.5], [4, 3, 3])
    checkpoints = np.repeat(["a", "b", "c"], [4, 3, 3])
    groups = [values[checkpoints == name] for name in "abc"]
    rng = np.random.default_rng(0)
    means = [
        np.mean([rng.choice(groups[j], len(groups[j])).mean() for j in rng.integers(3, size=3)]) for _ in range(20_000)
    ]
    assert statistics.estimate(values, checkpoints.tolist()).error == pytest.approx(np.std(means), rel=0.02)


def test_with_one_checkpoint_each_run_counts_as_one():
    values = [0.1, 0.4, 0.2, 0.7]
    narrower = math.sqrt(3 / 4)  # the bootstrap divides by n, Student by n − 1
    own, student = statistics.estimate(values, ["a"] * 4).interval(), mean_interval(values)
    assert own.half_width == pytest.approx(student.half_width * narrower)


def test_one_run_has_no_interval():
    interval = statistics.estimate([0.3], ["a"]).interval()
    assert (interval.estimate, interval.low, interval.high) == (0.3, -math.inf, math.inf)


# ---------------------------------------------------------------- comparisons and verdicts


def test_holm_steps_down_as_on_paper():
    """Three pairs: the first is held to 0.05/3, the second to 0.05/2, and the first that fails ends it."""
    noise = np.array([-1.0, 1.0, -1.0, 1.0, -1.0, 1.0])
    scores = {"a": 10 + 0.1 * noise, "b": 5 - 0.1 * noise, "c": 4.9 + 0.4 * noise}
    found = {(pair.better, pair.worse): pair for pair in statistics.compare(scores, ["x", "y", "z"] * 2)}
    assert [pair.significant for pair in found.values()] == [True, True, False]
    first, second, last = found.values()
    assert (last.better, last.worse) == ("b", "c")
    for pair, level in ((first, 0.05 / 3), (second, 0.05 / 2), (last, 0.05)):
        error = statistics.estimate(np.subtract(scores[pair.better], scores[pair.worse]), ["x", "y", "z"] * 2).error
        assert pair.difference.half_width == pytest.approx(error * t_quantile(5, confidence=1 - level))


def test_a_clear_leader_wins_and_a_close_one_ties():
    noise = np.random.default_rng(0).normal(0, 0.1, (3, 12))
    clear = dict(zip("abc", noise + [[2.0], [1.0], [0.0]], strict=True))
    found = statistics.best_set(clear, CHECKPOINTS)
    assert found.winner == found.leader == "a" and found.members == ("a",) and found.lead.low > 0
    close = dict(zip("abc", noise + [[1.0], [0.99], [0.0]], strict=True))
    found = statistics.best_set(close, CHECKPOINTS)
    assert found.winner is None and set(found.members) == {"a", "b"}


@pytest.mark.parametrize("between", [0.0, 0.5])
def test_an_invented_tie_is_called_a_tie(between):
    """Five equal arms, twelve seeds over three checkpoints: some pair differs in at most about 5 % of experiments.

    `between` is the spread of an arm over checkpoints, in units of its spread over seeds.
    """
    rng = np.random.default_rng(0)
    place = np.arange(12) % 3
    wrong = 0
    for _ in range(300):
        scores = {arm: rng.normal(size=12) + between * rng.normal(size=3)[place] for arm in "abcde"}
        wrong += statistics.best_set(scores, CHECKPOINTS).winner is not None
    assert wrong / 300 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 300)


def test_intervals_hold_what_they_say():
    """95 % intervals of one mean, twelve seeds, three checkpoints whose spread is half that of the seeds."""
    rng = np.random.default_rng(1)
    place, inside = np.arange(12) % 3, 0
    for _ in range(600):
        values = rng.normal(size=12) + 0.5 * rng.normal(size=3)[place]
        inside += not statistics.estimate(values, CHECKPOINTS).interval().excludes(0.0)
    assert 0.92 <= inside / 600 <= 1.0


def test_spread_takes_the_two_variances_apart():
    rng = np.random.default_rng(0)
    checkpoints = np.repeat(np.arange(200), 5)
    values = 0.3 * rng.normal(size=200)[checkpoints] + 0.2 * rng.normal(size=1000)
    between, within = statistics.spread(values, checkpoints.tolist())
    assert between == pytest.approx(0.3, abs=0.04) and within == pytest.approx(0.2, abs=0.01)


def test_the_smallest_visible_effect_is_found_as_often_as_promised():
    effect = statistics.smallest_visible_effect(0.05, 0.2, CHECKPOINTS, pairs=10)
    rng, place, found = np.random.default_rng(5), np.arange(12) % 3, 0
    for _ in range(500):
        values = effect + 0.05 * rng.normal(size=3)[place] + 0.2 * rng.normal(size=12)
        found += statistics.estimate(values, CHECKPOINTS).interval(0.05 / 10).low > 0
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


def test_every_arm_has_as_many_settings_to_try_in_a_regime():
    for regime, arm in design.cells(tuple(design.REGIMES), design.TRAINED):
        points = design.grid(arm, regime)
        tried = len(points) + max(len(design.beyond(arm, regime, point)) for point in points)
        assert tried == 6, (regime, arm)


def test_what_lies_beyond_an_edge_continues_the_grid():
    points = design.grid("dpo", "clean")
    rates = sorted({point.learning_rate for point in points})
    further = design.beyond("dpo", "clean", points[0])
    assert sorted(point.learning_rate for point in further) == pytest.approx([rates[0] ** 2 / rates[1], rates[0]])
    assert min(point.strength["beta"] for point in further) == pytest.approx(0.3**2 / 1.0)


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


def test_the_three_best_of_the_first_round_are_run_again():
    first, second, _ = design.tuning_seeds("clean")
    rows = searched(first, {1.0: 0.4, 2.0: 0.9, 3.0: 0.8, 4.0: 0.1, 5.0: 0.7}) + searched(second, {4.0: 5.0})
    assert [point.learning_rate for point in tuning.finalists(pd.DataFrame(rows))] == [2.0, 3.0, 5.0]


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
        {"regime": regime, "arm": arm, "seed": seed, "checkpoint": f"sft-{seed % 3}", "gold": gold}
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


def test_a_tie_beside_a_winner_has_no_winner():
    golds = {"dpo": [1.0, 1.1, 0.9], "kto": [0.0, 0.1, -0.1]}
    found = benchmark.verdicts(
        pd.concat([table(golds), table(golds | {"kto": [1.2, 0.9, 1.0]}, "noisy_20")]), ("dpo", "kto")
    )
    assert found["winner"].tolist() == ["dpo", None]


def test_power_falls_with_noise_and_says_its_seeds():
    quiet, loud = (
        benchmark.power(table({arm: rng.normal(0, spread, 12).tolist() for arm in "ab"}), arms=("a", "b"))["effect"][0]
        for spread in (0.1, 0.4)
        for rng in [np.random.default_rng(2)]
    )
    assert 0 < quiet < loud


def test_missing_arms_are_named():
    with pytest.raises(UserError, match="clean: expected runs of kto"):
        benchmark.verdicts(table({"dpo": [1.0, 2.0]}), arms=("dpo", "kto"))
