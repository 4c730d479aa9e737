"""The diagnosis of logs: real runs with each fault made on purpose, healthy ones, and the formats it reads."""

import csv
import json
import math
import subprocess
import sys

import numpy as np
import pytest

from lessons_lib import __main__ as command_line
from lessons_lib.advice.diagnose import FAULTS, diagnose, sparkline
from lessons_lib.advice.logs import log_of, read_log
from tests.advice.diagnose_logs import make

LOGS = make.logs()


def rows(n=30, **columns):
    """`n` rows of metrics, each column a function of the share of the run done."""
    return [{"step": i + 1, **{name: value(i / n) for name, value in columns.items()}} for i in range(n)]


def test_every_run_has_its_log_and_every_fault_a_run():
    assert set(LOGS) == {*make.RUNS, *make.TRL_RUNS}
    assert {fault.key for fault in FAULTS} == set().union(*make.WANTED.values())
    assert len(LOGS) >= 40 and sum(name not in make.WANTED for name in LOGS) >= 12


def test_the_table_of_hits_and_false_alarms_is_what_the_logs_give():
    with make.TABLE.open(newline="") as file:
        kept = list(csv.DictReader(file))
    assert kept == [{name: str(value) for name, value in row.items()} for row in make.hits()]


def test_most_faults_are_found_and_few_alarms_are_false():
    """Two kinds are found in part: coin flips in twelve noisy rows, and a reference that hardly differs."""
    shares = {"coin_flip": 0.5, "reference_not_start": 0.5, "any": 0.9}
    for row in make.hits():
        assert row["found"] >= shares.get(row["fault"], 1) * row["runs_with_it"] > 0, row
        assert row["false_alarms"] <= (0 if row["fault"] == "any" else 1), row


@pytest.mark.slow
@pytest.mark.parametrize("name", ["displaced", "coin_flips", "by_heart", "kl_away_kto", "healthy_dpo", "healthy_orpo"])
def test_runs_that_the_thresholds_have_never_seen(name):
    log = log_of(make.lab_history(name, seed_offset=22), strength=make.strength_of(name))
    seen, wanted = diagnose(log).keys, make.WANTED.get(name, set())
    assert seen == wanted if not wanted else seen & wanted


def test_a_tables_nan_where_a_metric_was_not_measured_is_no_fault():
    """`history.to_dict("records")` has NaN for the KL of steps between evaluations."""
    nan = float("nan")
    some = [{"step": t, "loss": 0.69 - 0.001 * t, "kl": 1.0 if t % 3 == 2 else nan} for t in range(1, 31)]
    assert "not_finite" not in diagnose(log_of(some)).keys
    ended = [row | {"kl": 1.0 if row["step"] < 20 else nan} for row in some]
    assert "not_finite" in diagnose(log_of(ended)).keys


# Rules


def test_a_policy_that_is_its_own_reference_is_noticed_without_beta():
    flat = {name: lambda t: 0.0 for name in ("rewards/chosen", "rewards/rejected")}
    assert "reference_moved" in diagnose(log_of(rows(**flat, **{"logps/chosen": lambda t: -9 - t}))).keys


def test_a_reference_is_not_suspected_where_beta_is_unknown():
    assert not diagnose(read_log(LOGS["trl_reference_moves"])).keys


def test_a_margin_that_has_come_to_rest_is_not_exploding():
    rest = log_of(rows(**{"rewards/margins": lambda t: 6 * (1 - math.exp(-20 * t))}))
    still = log_of(rows(**{"rewards/margins": lambda t: 12 * t}))
    assert (diagnose(rest).keys, diagnose(still).keys) == (set(), {"exploding_margins"})


def test_a_small_fall_of_the_chosen_log_prob_is_told_as_usual():
    rng = np.random.default_rng(0)
    small = {
        "logps/chosen": lambda t: -100 - 30 * t + rng.normal(),
        "rewards/margins": lambda t: t + 0.01 * rng.normal(),
    }
    (finding,) = diagnose(log_of(rows(**small))).findings
    assert finding.fault.key == "displaced" and finding.usual and "(" in finding.evidence
    assert diagnose(log_of(rows(**{**small, "logps/chosen": lambda t: -100 - 150 * t}))).keys == {"displaced"}


def test_noise_is_no_trend():
    rng = np.random.default_rng(1)
    columns = {"logps/chosen": lambda t: rng.normal(-9, 4), "rewards/margins": lambda t: t + rng.normal(0, 0.2)}
    assert not diagnose(log_of(rows(40, **columns))).findings


def test_after_nan_nothing_else_is_said():
    diagnosis = diagnose(read_log(LOGS["trl_diverged"]))
    assert [f.fault.key for f in diagnosis.findings] == ["not_finite"]
    assert "grad_norm" in diagnosis.findings[0].evidence


def test_what_a_log_cannot_show_is_listed():
    diagnosis = diagnose(log_of(rows(**{"rewards/margins": lambda t: t})))
    assert {fault.key for fault in diagnosis.unknown} == {fault.key for fault in FAULTS} - {"exploding_margins"}


def test_a_finding_shows_the_rows_that_have_its_metric():
    (kl, *_) = diagnose(read_log(LOGS["by_heart"])).findings
    assert kl.fault.key == "kl_away" and len(kl.values) == 19 and kl.steps[0] == 15 and np.isfinite(kl.scaled).all()


def test_nan_that_pandas_writes_as_nothing_is_seen():
    lost = rows(**{"loss": lambda t: 0.7 - t / 5, "rewards/margins": lambda t: t if t < 0.5 else ""})
    (finding,) = diagnose(log_of(lost)).findings
    assert finding.fault.key == "not_finite" and "rewards/margins is not finite from step 16" in finding.evidence


def test_a_batch_of_ratings_with_one_side_only_is_no_fault():
    one_sided = rows(
        **{
            "loss": lambda t: 0.5 - t / 5,
            "rewards/chosen": lambda t: math.nan if round(30 * t) % 7 == 0 else t,
            "rewards/rejected": lambda t: -t,
        }
    )
    assert not diagnose(log_of(one_sided)).findings


def test_a_step_that_a_float16_scaler_skipped_is_told_as_usual():
    skipped = rows(loss=lambda t: 0.7 - t / 5, grad_norm=lambda t: math.inf if t == 0 else 2 - t)
    (finding,) = diagnose(log_of(skipped)).findings
    assert finding.fault.key == "not_finite" and finding.usual and not diagnose(log_of(skipped)).keys


def test_a_learning_rate_of_zero_is_told_before_anything_else():
    still = {"learning_rate": lambda t: 0.0, "loss": lambda t: 0.69, "rewards/accuracies": lambda t: 0.5}
    assert diagnose(log_of(rows(**still))).keys == {"nothing_trained"}
    warming_up = {**still, "learning_rate": lambda t: 1e-6 * t, "rewards/accuracies": lambda t: 0.5 + t / 4}
    assert not diagnose(log_of(rows(**warming_up))).keys


def test_rewards_of_a_reference_that_is_not_the_start_are_seen_with_and_without_the_first_step():
    rng = np.random.default_rng(0)

    def run(shift, every, n=20):
        told = lambda sign: lambda t: shift + sign * t + rng.normal(0, 0.05)  # noqa: E731
        names = {"rewards/chosen": told(1), "rewards/rejected": told(-1), "learning_rate": lambda t: 1e-6}
        logps = {"logps/chosen": lambda t: rng.normal(-200, 9), "logps/rejected": lambda t: rng.normal(-210, 9)}
        return diagnose(log_of([{**row, "step": row["step"] * every} for row in rows(n, **names, **logps)])).keys

    assert run(10.0, 10) == run(-10.0, 10) == {"reference_not_start"}
    assert run(0.4, 1) == {"reference_not_start"} and not run(0.0, 10) and not run(0.0, 1)


@pytest.mark.parametrize("name", ["healthy_orpo", "healthy_simpo"])
def test_rewards_without_a_reference_have_none_to_differ_from(name):
    assert "reference_not_start" not in make.found_in(name)


def test_over_fitting_is_seen_on_any_evaluation_set_and_not_while_training_got_worse_too():
    falls, rises = (lambda t: 0.7 - t / 2), (lambda t: 0.7 + abs(t - 0.3))

    def with_evaluations(training, name):
        kept = rows(20, loss=training)
        return log_of(kept + [{"step": row["step"], name: rises(row["step"] / 20)} for row in kept[4::5]])

    for name in ("eval_loss", "eval/loss", "eval_held_out_loss"):
        assert diagnose(with_evaluations(falls, name)).keys == {"overfit"}
    assert not diagnose(with_evaluations(lambda t: 0.7 + t, "eval_loss")).keys


def test_a_gradient_spike_stands_out_from_the_rows_before_it():
    spike = rows(loss=lambda t: 0.6, grad_norm=lambda t: 12_000.0 if round(30 * t) == 17 else 2.0)
    (finding,) = diagnose(log_of(spike)).findings
    assert finding.fault.key == "spikes" and "1.2e+04 at step 18" in finding.evidence
    assert not diagnose(log_of(rows(loss=lambda t: 0.6, grad_norm=lambda t: 30 - 29 * t))).findings


def test_four_rows_show_extremes_and_say_what_they_cannot_show():
    few = [
        {"step": 1, "loss": 0.69, "rewards/margins": 0.0, "rewards/accuracies": 0.1, "grad_norm": 1500.0},
        {"step": 10, "loss": 0.2, "rewards/margins": 25.0, "rewards/accuracies": 0.9, "grad_norm": 0.01},
        {"step": 20, "loss": 0.0, "rewards/margins": 110.0, "rewards/accuracies": 1.0, "grad_norm": 1e-8},
        {"step": 30, "loss": 0.0, "rewards/margins": 140.0, "rewards/accuracies": 1.0, "grad_norm": 1e-8},
    ]
    diagnosis = diagnose(log_of(few))
    assert diagnosis.keys == {"by_heart", "exploding_margins", "spikes"}
    (coin,) = [fault for fault in diagnosis.unknown if fault.key == "coin_flip"]
    assert coin.lacks(diagnosis.log) == "6 logged values; there are 4"


def test_a_sparkline_shows_rise_and_gaps():
    assert sparkline(np.arange(8.0)) == "▁▂▃▄▅▆▇█"
    assert sparkline(np.array([1.0, math.nan, 2.0])) == "▁×█"
    assert len(sparkline(np.arange(500.0))) == 48
    assert sparkline(np.full(3, math.nan)) == "×"


def test_the_command_prints_writes_and_exits(tmp_path, capsys):
    picture = tmp_path / "curves.svg"
    assert command_line.main(["diagnose", str(LOGS["by_heart"]), "--picture", str(picture)]) == 1
    told = capsys.readouterr().out
    assert "learnt by heart" in told and picture.read_text().lstrip().startswith("<")
    (fault,) = [fault for fault in FAULTS if fault.key == "by_heart"]
    for heading, text in (("means", fault.meaning), ("try first", fault.remedy), ("source", fault.source)):
        assert heading in told and text.split()[0] in told.partition(heading)[2], heading
    assert command_line.main(["diagnose", str(LOGS["healthy_dpo"]), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"] == []
    assert command_line.main(["diagnose", str(tmp_path / "none")]) == 2
    nowhere = str(tmp_path / "no folder" / "curves.svg")
    assert command_line.main(["diagnose", str(LOGS["by_heart"]), "--picture", nowhere]) == 2
    assert "--picture: cannot write" in capsys.readouterr().err


def test_reading_a_log_needs_no_torch():
    subprocess.run(
        [sys.executable, "-c", "import sys, lessons_lib.advice.diagnose; assert 'torch' not in sys.modules"], check=True
    )
