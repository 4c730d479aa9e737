"""Reading logs: every shape that trainers leave behind comes out as one table."""

import csv
import json
import os

import numpy as np
import pytest

from lessons_lib import __main__ as command_line
from lessons_lib.advice.diagnose import diagnose
from lessons_lib.advice.logs import Log, log_of, read_log
from lessons_lib.errors import UserError


def rows(n=12, **columns):
    """`n` rows of metrics, each column a function of the share of the run done."""
    return [{"step": 10 * (i + 1), **{name: value(i / n) for name, value in columns.items()}} for i in range(n)]


DPO = rows(**{"loss": lambda t: 0.7 - t / 5, "rewards/margins": lambda t: t, "logps/rejected": lambda t: -200 - t})
SFT = rows(loss=lambda t: 2 - t, grad_norm=lambda t: 1.0)


def state(folder, kept=DPO):
    folder.mkdir(parents=True)
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": kept[-1]["step"], "log_history": kept}))
    return folder / "trainer_state.json"


def as_csv(path, kept, rename=str, separator=","):
    names = list(dict.fromkeys(name for row in kept for name in row))
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow([rename(name) for name in names])
        writer.writerows([row.get(name, "") for name in names] for row in kept)
    return path


# Files


def test_the_same_run_reads_the_same_from_csv_json_and_rows(tmp_path):
    kept = rows(30, **{"rewards/margins": lambda t: 12 * t, "loss": lambda t: 1 - t / 2})
    state = {"log_history": [*kept, {"step": 300, "eval_loss": 0.5}, {"step": 300, "train_loss": 0.7}]}
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
        ("a.csv", "step,loss\n1,0.5\n", "at least 2"),
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


def test_a_log_without_steps_counts_its_rows():
    assert list(Log("x", {"loss": np.ones(3)}).steps) == [1, 2, 3]


def test_two_rows_are_enough_to_be_read():
    assert log_of(DPO[:2]).rows == 2
    with pytest.raises(UserError, match="at least 2"):
        log_of(DPO[:1])


def test_empty_evaluation_cells_of_pandas_do_not_hide_training_rows(tmp_path):
    mixed = [*DPO[:6], {"step": 60, "eval_loss": 0.6, "eval_runtime": 3.0}, *DPO[6:], {"step": 120, "eval_loss": 0.5}]
    log = read_log(as_csv(tmp_path / "log.csv", mixed))
    assert log.rows == len(DPO) and list(log.evaluation.steps) == [60, 120]
    np.testing.assert_allclose(log.given("eval_loss"), [0.6, 0.5])


def test_an_evaluation_that_pandas_left_empty_was_not_a_number(tmp_path):
    mixed = [*DPO, {"step": 60, "eval_loss": 0.6, "eval_runtime": 3.0}, {"step": 120, "eval_runtime": 3.0}]
    assert "evaluation_not_finite" in diagnose(read_log(as_csv(tmp_path / "log.csv", mixed))).keys
    sets = [*DPO, {"step": 60, "eval_a_loss": 0.6}, {"step": 60, "eval_b_loss": 0.6}]
    assert not diagnose(read_log(as_csv(tmp_path / "sets.csv", sets))).keys


def test_names_of_weights_and_biases_are_understood(tmp_path):
    names = {"step": "train/global_step"}
    history = [*DPO, {"step": 120, "eval/loss": 0.6}]

    def of_history(name):
        return names.get(name, name if name.startswith("eval/") else f"train/{name}")

    read = read_log(as_csv(tmp_path / "wandb.csv", history, of_history))
    assert read.steps[-1] == 120 and read.evaluation.rows == 1 and set(read.columns) == {*DPO[0]}
    chart = {"step": "Step", "loss": "run-7 - train/loss"}
    kept = [{**{k: v for k, v in row.items() if k in chart}, "run-7 - train/loss__MIN": 0.0} for row in DPO]
    read = read_log(as_csv(tmp_path / "chart.csv", kept, lambda name: chart.get(name, name)))
    np.testing.assert_allclose(read.given("loss"), [row["loss"] for row in DPO])
    two = as_csv(tmp_path / "two.csv", [{"Step": 1, "a - train/loss": 1, "b - train/loss": 2}] * 3)
    with pytest.raises(UserError, match="of a, b; export one"):
        read_log(two)


def test_separators_and_a_byte_order_mark(tmp_path):
    for separator in ";\t":
        assert read_log(as_csv(tmp_path / "log.csv", DPO, separator=separator)).rows == len(DPO)
    plain = as_csv(tmp_path / "log.csv", DPO).read_text()
    (tmp_path / "log.csv").write_text(plain, encoding="utf-8-sig")
    assert read_log(tmp_path / "log.csv").steps[-1] == 120


def test_json_lines_of_another_trainer(tmp_path):
    lines = [{"current_steps": row["step"], "loss": row["loss"], "lr": 1e-6, "accuracy": 0.7} for row in DPO]
    (tmp_path / "trainer_log.jsonl").write_text("\n".join(map(json.dumps, lines)))
    log = read_log(tmp_path)
    assert log.steps[-1] == 120 and {"learning_rate", "rewards/accuracies"} <= set(log.columns)


# Folders


def test_the_checkpoint_with_the_largest_step_is_read_whatever_the_file_times_say(tmp_path):
    late, early = state(tmp_path / "checkpoint-120"), state(tmp_path / "checkpoint-40", DPO[:4])
    os.utime(late, (1, 1))
    assert read_log(tmp_path).source == str(late)
    assert read_log(tmp_path / "checkpoint-40").source == str(early)


def test_of_two_runs_the_one_with_preferences_is_read_and_the_other_named(tmp_path):
    dpo = state(tmp_path / "dpo" / "checkpoint-120")
    state(tmp_path / "sft", SFT)
    log = read_log(tmp_path)
    assert log.source == str(dpo) and "sft" in log.notes[0]
    state(tmp_path / "dpo_2")
    with pytest.raises(UserError, match="holds several: dpo, dpo_2"):
        read_log(tmp_path)


def test_the_log_of_supervised_fine_tuning_is_told_apart(tmp_path, capsys):
    assert not log_of(SFT).of_preferences and log_of(DPO).of_preferences
    assert command_line.main(["diagnose", str(state(tmp_path / "sft", SFT))]) == 0
    told = capsys.readouterr().out
    assert "supervised fine-tuning" in " ".join(told.split()) and str(tmp_path / "sft") in told


def test_the_command_says_what_few_rows_can_show(tmp_path, capsys):
    command_line.main(["diagnose", str(state(tmp_path / "run", DPO[:3]))])
    assert "So few rows show extremes" in " ".join(capsys.readouterr().out.split())
