"""The diagnosis of logs: real runs with each fault made on purpose, healthy ones, and the formats it reads."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest

from lessons_lib import __main__ as command_line
from lessons_lib.advice.diagnose import FAULTS, Log, diagnose, log_of, read_log, sparkline
from lessons_lib.errors import UserError
from lessons_lib.methods import METHODS
from tests.advice.diagnose_logs import make

LOGS = {path.stem: path for path in sorted(make.HERE.iterdir()) if path.suffix in (".csv", ".json")}
LOGS.pop("made")
STRENGTH = {
    name: next(iter(run.hyperparameters.values()))
    for name, run in make.RUNS.items()
    if METHODS[run.method].needs_reference
}


def found(name):
    return diagnose(read_log(LOGS[name], strength=STRENGTH.get(name, 0.1 if "trl" in name else None))).keys


def rows(n=30, **columns):
    """`n` rows of metrics, each column a function of the share of the run done."""
    return [{"step": i + 1, **{name: value(i / n) for name, value in columns.items()}} for i in range(n)]


def test_every_run_has_its_log_and_every_fault_a_run():
    assert set(LOGS) == {*make.RUNS, *make.TRL_RUNS}
    assert {fault.key for fault in FAULTS} == set().union(*make.WANTED.values())
    assert sum(name not in make.WANTED for name in LOGS) >= 8


@pytest.mark.parametrize("name", LOGS)
def test_a_log_shows_what_it_was_made_to_show_and_nothing_else(name):
    assert found(name) == make.WANTED.get(name, set())


def test_hits_and_false_alarms(capsys):
    """Prints the table of hits and false alarms, fault by fault, over all logs."""
    faults = [fault.key for fault in FAULTS]
    table = {key: {"made": 0, "hits": 0, "healthy": 0, "false": 0} for key in faults}
    for name in LOGS:
        seen, wanted = found(name), make.WANTED.get(name, set())
        for key in faults:
            kind = ("made", "hits") if key in wanted else ("healthy", "false")
            table[key][kind[0]] += 1
            table[key][kind[1]] += key in seen
    with capsys.disabled():
        print(f"\n{'fault':<20}{'runs with it':>14}{'hits':>6}{'runs without':>14}{'false alarms':>14}")
        for key, row in table.items():
            print(f"{key:<20}{row['made']:>14}{row['hits']:>6}{row['healthy']:>14}{row['false']:>14}")
    assert all(row["hits"] == row["made"] and row["false"] == 0 for row in table.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["displaced", "coin_flips", "by_heart", "kl_away_kto", "healthy_dpo", "healthy_orpo"])
def test_runs_that_the_thresholds_have_never_seen(name):
    log = log_of(make.lab_history(name, seed_offset=11), strength=STRENGTH.get(name))
    seen, wanted = diagnose(log).keys, make.WANTED.get(name, set())
    assert seen == wanted if not wanted else seen & wanted


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


# Formats


def test_the_same_run_reads_the_same_from_csv_json_and_rows(tmp_path):
    kept = rows(**{"rewards/margins": lambda t: 12 * t, "loss": lambda t: 1 - t / 2})
    state = {"log_history": [*kept, {"step": 30, "eval_loss": 0.5}, {"step": 30, "train_loss": 0.7}]}
    (tmp_path / "run" / "checkpoint-30").mkdir(parents=True)
    (tmp_path / "run" / "checkpoint-30" / "trainer_state.json").write_text(json.dumps(state))
    (tmp_path / "history.csv").write_text(
        "step,rewards/margins,loss\n" + "".join(f"{r['step']},{r['rewards/margins']},{r['loss']}\n" for r in kept)
    )
    logs = [log_of(kept), read_log(tmp_path / "run"), read_log(tmp_path / "history.csv")]
    for log in logs:
        assert log.rows == 30 and diagnose(log).keys == {"exploding_margins"}
        np.testing.assert_allclose(log.columns["loss"], logs[0].columns["loss"])


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", "step,colour\n" + "1,red\n" * 9, "expected metrics"),
        ("a.csv", "step,loss\n1,0.5\n", "at least 6"),
        ("a.json", '{"log_history": 3}', "log_history"),
        ("a.json", "{", "cannot read"),
    ],
)
def test_what_is_no_log_is_refused(tmp_path, name, content, says):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=says):
        read_log(tmp_path / name)


def test_a_missing_file_and_an_empty_folder_are_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(UserError, match="log: expected"):
            read_log(path)


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


def test_a_log_without_steps_counts_its_rows():
    assert list(Log("x", {"loss": np.ones(3)}).steps) == [1, 2, 3]
