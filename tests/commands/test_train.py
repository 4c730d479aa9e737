"""The command line of training, from a file on disk to a folder that loads again."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import tiny

from lessons_lib.__main__ import main
from lessons_lib.commands.train import settings
from lessons_lib.errors import UserError
from lessons_lib.models.loading import load, save
from lessons_lib.training.config import TrainConfig


@pytest.fixture
def model_folder(tmp_path):
    save(tiny.model(), tiny.tokenizer(), tmp_path / "model")
    return tmp_path / "model"


def write(path, rows):
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.mark.parametrize("method", ["dpo", "kto", "sft"])
def test_a_file_becomes_a_trained_folder(method, model_folder, tmp_path, capsys):
    data, output = write(tmp_path / "rows.jsonl", tiny.rows_for(method, 40)), tmp_path / "out"
    command = ["train", "--model", model_folder, "--data", data, "--method", method, "--output", output, "--quiet"]
    assert main([*map(str, command), "--rows", "32", "--set", "batch_size=8", "learning_rate=5e-3"]) == 0
    history = pd.read_csv(output / "history.csv")
    assert len(history) == 8 and history["epoch"].iloc[-1] == 2.0  # 32 of the 40 rows, twice, 8 a step
    trained, tokenizer = load(output)
    assert tokenizer("<bos> ask0")["input_ids"] == [0, 3]
    assert not trained.transformer.wte.weight.equal(tiny.model().transformer.wte.weight)
    assert f"history.csv are in {output}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--set", "betta=0.1"], "dpo has no betta; its own are: beta, label_smoothing (settings of the run are:"),
        (["--set", "batch_size=0"], "batch_size: expected"),
        (["--set", "beta"], "--set: expected NAME=VALUE, got 'beta'"),
        (["--method", "ppo"], "expected one of dpo, ipo, kto, orpo, simpo or sft, got 'ppo'"),
        (["--schema", "nowhere"], "schema: expected one of"),
    ],
)
def test_mistakes_end_with_code_2_and_one_line(extra, message, model_folder, tmp_path, capsys):
    data = write(tmp_path / "rows.jsonl", tiny.pairs(8))
    command = ["train", "--model", model_folder, "--data", data, "--output", tmp_path / "out", "--quiet", *extra]
    assert main(list(map(str, command))) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and "\n" not in error
    assert not (tmp_path / "out").exists()


def test_rows_of_the_other_shape_are_made_into_the_methods_own(model_folder, tmp_path, capsys):
    data = write(tmp_path / "rows.jsonl", tiny.pairs(8))
    command = ["train", "--model", model_folder, "--data", data, "--method", "kto", "--output", tmp_path / "out"]
    assert main([*map(str, command), "--quiet", "--set", "batch_size=4", "epochs=1"]) == 0
    assert "paired rows are made into unpaired ones" in capsys.readouterr().err


def test_bad_rows_are_left_out_and_said_or_stop_the_run(model_folder, tmp_path, capsys):
    data = write(tmp_path / "rows.jsonl", [*tiny.pairs(8), {"prompt": "ask0", "chosen": "", "rejected": "bad1"}])
    command = ["train", "--model", model_folder, "--data", data, "--output", tmp_path / "out", "--quiet"]
    assert main([*map(str, command), "--set", "batch_size=4"]) == 0
    assert "8 paired rows kept, 1 refused" in capsys.readouterr().err
    assert main([*map(str, command), "--on-bad-rows", "stop"]) == 2
    assert "line 9, field 'chosen'" in capsys.readouterr().err


def test_assignments_are_read_as_their_types():
    config = settings(["beta=0.3", "lora_rank=4", "average=true", "append_eos=False", "schedule=cosine"], "dpo")
    assert config == TrainConfig(
        hyperparameters={"beta": 0.3}, lora_rank=4, average=True, append_eos=False, schedule="cosine"
    )
    assert settings(["betas=[0.8, 0.9]"], "sft").betas == [0.8, 0.9]
    with pytest.raises(UserError, match="simpo has no tau"):
        settings(["tau=0.1"], "simpo")
