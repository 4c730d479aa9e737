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
from lessons_lib.training.config import VARIANTS, TrainConfig


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
        (
            ["--method", "ppo"],
            "expected one of dpo, ipo, kto, orpo, simpo, rdpo, kto_noref, kto_zero or sft, got 'ppo'",
        ),
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


@pytest.mark.parametrize("method", VARIANTS)
def test_a_variant_is_trained_by_its_name_on_its_methods_rows(method, model_folder, tmp_path):
    data = write(tmp_path / "rows.jsonl", tiny.rows_for(VARIANTS[method][0], 16))
    command = ["train", "--model", model_folder, "--data", data, "--method", method, "--output", tmp_path / "out"]
    assert main([*map(str, command), "--quiet", "--set", "batch_size=8", "learning_rate=5e-3", "max_steps=4"]) == 0
    losses = pd.read_csv(tmp_path / "out" / "history.csv")["loss"]
    assert len(losses) == 4 and losses.iloc[-1] < losses.iloc[0]


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


def test_adapters_are_trained_further_or_merged_and_the_reference_follows(model_folder, tmp_path):
    data, sft = write(tmp_path / "rows.jsonl", tiny.pairs(8)), tmp_path / "sft"
    common = ["train", "--data", data, "--quiet", "--set", "batch_size=8", "max_steps=1", "learning_rate=0.05"]

    def command(*more):
        return main([*map(str, [*common, *more])])

    assert command("lora_rank=2", "--model", model_folder, "--method", "sft", "--output", sft) == 0
    merged, _ = load(sft)
    start = load(model_folder)[0].transformer.h[0].attn.c_attn.weight
    assert not merged.transformer.h[0].attn.c_attn.weight.equal(start)
    assert command("--model", sft, "--output", tmp_path / "all") == 0
    assert (tmp_path / "all" / "config.json").exists()
    assert command("lora_rank=2", "--model", sft, "--output", tmp_path / "further") == 0
    assert json.loads((tmp_path / "further" / "adapter_config.json").read_text())["r"] == 2
    for name in ("all", "further"):  # the reference is the model as it starts, its adapters with it
        first = pd.read_csv(tmp_path / name / "history.csv").iloc[0]
        assert abs(first["rewards/chosen"]) < 1e-5 and abs(first["loss"] - 0.6931) < 1e-3
    assert command("lora_rank=3", "--model", sft, "--output", tmp_path / "other") == 2


def test_adapters_without_their_model_say_which_is_missing(model_folder, tmp_path, capsys):
    data, sft = write(tmp_path / "rows.jsonl", tiny.pairs(8)), tmp_path / "sft"
    common = ["train", "--data", data, "--quiet", "--set", "batch_size=8", "max_steps=1"]
    adapters = ["lora_rank=2", "--model", model_folder, "--method", "sft", "--output", sft]
    assert main([*map(str, [*common, *adapters])]) == 0
    model_folder.rename(tmp_path / "elsewhere")
    assert main([*map(str, [*common, "--model", sft, "--output", tmp_path / "out"])]) == 2
    assert f"{sft} holds LoRA adapters of {model_folder}" in capsys.readouterr().err


def test_rows_can_be_looked_at_before_a_step_is_made(model_folder, tmp_path, capsys):
    data = write(tmp_path / "rows.jsonl", tiny.pairs(8))
    command = ["train", "--model", model_folder, "--data", data, "--output", tmp_path / "out", "--quiet"]
    assert main([*map(str, command), "--show", "2", "--set", "max_steps=1", "batch_size=8"]) == 0
    told = capsys.readouterr().out
    assert "data[0] ·" in told and "data[1] ·" in told and "data[2]" not in told
    assert told.index("⟦<bos>⟧") < told.index("masked") + 60 and told.count("⟦<eos>⟧") == 4
    assert len(pd.read_csv(tmp_path / "out" / "history.csv")) == 1


def test_what_special_tokens_do_is_one_line_on_stderr(model_folder, tmp_path, capsys):
    rows = [{**row, "chosen": f"{row['chosen']} <eos>"} for row in tiny.pairs(8)]
    command = ["train", "--model", model_folder, "--data", write(tmp_path / "rows.jsonl", rows), "--quiet"]
    assert main([*map(str, command), "--output", str(tmp_path / "out"), "--set", "max_steps=1", "batch_size=8"]) == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning:")]
    assert "8 of 8 rows (first: data[0]) end with the end token" in line
