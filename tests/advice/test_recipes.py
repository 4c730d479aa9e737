"""Recipes: what each file says, what is refused, and two steps of every method's recipe in the pinned TRL."""

import ast
import inspect
import json
import os
import re
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from lessons_lib import __main__ as command_line
from lessons_lib.advice.recipes import LOGGED_ROWS, TRL_VERSION, Recipe, logging_steps, setting_of, write_recipe
from lessons_lib.data import real, twins
from lessons_lib.errors import UserError
from lessons_lib.memory.architecture import read_architecture
from lessons_lib.memory.estimate import estimate
from lessons_lib.methods import METHODS
from lessons_lib.models.loading import save
from lessons_lib.models.making import new_model

PAIRS = [
    {"prompt": f"Name fruit number {i}. ", "chosen": f"An apple, the {i}th of its kind.", "rejected": "No."}
    for i in range(64)
]
THUMBS = [
    {"prompt": row["prompt"], "completion": row[side], "label": side == "chosen"}
    for row in PAIRS
    for side in ("chosen", "rejected")
]
ROWS = {"paired": PAIRS, "unpaired": THUMBS}


def recipe(method="dpo", model="some/model", **fields):
    return Recipe(method, model, **fields)


def write(folder, method="dpo", rows=None, **fields):
    """Write a recipe; its files by name."""
    rows = ROWS[METHODS[method].data] if rows is None else rows
    paths = write_recipe(recipe(method, **fields), rows, folder / "recipe")
    return {path.relative_to(folder / "recipe").as_posix(): path.read_text() for path in paths}


def configured(script, method):
    """The keyword arguments that the script gives TRL's configuration, as source."""
    calls = [node for node in ast.walk(ast.parse(script)) if isinstance(node, ast.Call)]
    (call,) = [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == METHODS[method].trl.config]
    return {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}


# What stands in the files


@pytest.mark.parametrize("method", METHODS)
def test_names_are_those_of_the_installed_trl(tmp_path, method):
    trl = METHODS[method].trl
    script = write(tmp_path, method)["train.py"]
    module = import_module(trl.module)
    known = set(inspect.signature(getattr(module, trl.config)).parameters)
    assert set(configured(script, method)) <= known
    assert f"from {trl.module} import " in script and hasattr(module, trl.trainer)


def test_the_traps_are_set_right(tmp_path):
    simpo = configured(write(tmp_path / "a", "simpo")["train.py"], "simpo")
    assert (simpo["loss_type"], simpo["cpo_alpha"], simpo["beta"], simpo["simpo_gamma"]) == (
        "'simpo'",
        "0.0",
        "2.0",
        "1.0",
    )
    orpo = configured(write(tmp_path / "b", "orpo")["train.py"], "orpo")
    assert orpo["beta"] == "0.1" and "loss_type" not in orpo
    ipo = write(tmp_path / "c", "ipo", hyperparameters={"tau": 0.05})["train.py"]
    assert configured(ipo, "ipo")["loss_type"] == "'ipo'" and "TAU = 0.05" in ipo
    assert configured(ipo, "ipo")["beta"] == "tau_per_token(data['train'], tokenizer)"
    kto = configured(write(tmp_path / "d", "kto", rows=THUMBS[::2] * 3 + THUMBS)["train.py"], "kto")
    assert float(kto["undesirable_weight"]) == pytest.approx(4 / 1.5, rel=0.01)  # four ups a down: [1, 3/2]


def test_ipos_tau_asks_for_the_papers_margin(tmp_path):
    script = write(tmp_path, "ipo", hyperparameters={"tau": 0.1})["train.py"]
    names = {}
    exec(script.partition("TAU")[1] + script.partition("TAU")[2].partition("def main")[0], names)
    rows = [
        {"chosen": "abcdef", "rejected": "ab"},
        {"chosen": [{"role": "assistant", "content": "abcd"}], "rejected": "abcd"},
    ]
    per_token = names["tau_per_token"](rows, lambda texts: {"input_ids": [list(text) for text in texts]})
    tokens = (6 + 2 + 4 + 4) / 4
    assert tokens / (2 * per_token) == pytest.approx(1 / (2 * 0.1))


@pytest.mark.parametrize(
    ("fields", "kind"), [({}, "NO"), ({"gpus": 8}, "MULTI_GPU"), ({"gpus": 8, "sharded": True}, "FSDP")]
)
def test_the_accelerate_configuration_is_for_these_gpus(tmp_path, fields, kind):
    config = yaml.safe_load(write(tmp_path, **fields)["accelerate.yaml"])
    assert (config["distributed_type"], config["num_processes"]) == (kind, fields.get("gpus", 1))
    assert ("fsdp_config" in config) == (kind == "FSDP")
    settings = configured((tmp_path / "recipe" / "train.py").read_text(), "dpo")
    synchronised = ast.literal_eval(settings.get("accelerator_config", "{}"))
    assert synchronised.get("gradient_accumulation_kwargs", {}).get("sync_each_batch", False) == (kind == "FSDP")


def test_the_batch_is_shared_by_gpus_and_passes(tmp_path):
    made = configured(write(tmp_path, gpus=4, rows_per_gpu=2, batch_size=32)["train.py"], "dpo")
    assert int(made["per_device_train_batch_size"]) * int(made["gradient_accumulation_steps"]) * 4 == 32


def test_a_run_is_logged_often_enough_for_diagnose(tmp_path):
    for steps in (7, 61, 300, 5000):
        rows = steps // logging_steps(steps)
        assert rows >= min(steps, LOGGED_ROWS) and logging_steps(steps) <= 10
    short = configured(write(tmp_path, batch_size=16)["train.py"], "dpo")  # 60 pairs, 4 steps
    assert short["logging_steps"] == "1 if arguments.max_steps < 0 else 1" and short["logging_first_step"] == "True"


def test_requirements_pin_the_trl_that_the_tests_run(tmp_path, root):
    pinned = re.search(r"^trl==(.*)$", (root / "requirements-dev.txt").read_text(), re.MULTILINE)[1]
    assert pinned == TRL_VERSION
    lines = write(tmp_path, lora_rank=8)["requirements.txt"].splitlines()
    assert lines[0] == f"trl=={TRL_VERSION}" and all("==" in line and "+" not in line for line in lines)
    assert any(line.startswith("peft==") for line in lines)


def test_test_prompts_are_not_trained_on(tmp_path):
    files = write(tmp_path)
    train, test = (
        [json.loads(line) for line in files[f"data/{part}.jsonl"].splitlines()] for part in ("train", "test")
    )
    assert len(train) + len(test) == len(PAIRS) and test
    assert not {row["prompt"] for row in train} & {row["prompt"] for row in test}


def test_rows_of_the_other_shape_are_converted_and_the_readme_says_so(tmp_path):
    files = write(tmp_path, "kto", rows=PAIRS)
    rows = [json.loads(line) for line in files["data/train.jsonl"].splitlines()]
    assert set(rows[0]) == {"prompt", "completion", "label"}
    assert "64 paired rows were made into 128 ratings" in files["README.md"]


def test_the_readme_tells_what_is_set_why_and_what_to_watch(tmp_path):
    paths = write_recipe(recipe("simpo"), PAIRS, tmp_path / "r", architecture=read_architecture("llama-3-8b"))
    readme = next(path for path in paths if path.name == "README.md").read_text()
    peak = estimate(setting_of(recipe("simpo"), read_architecture("llama-3-8b"))).peak_bytes
    assert f"{peak / 1e9:.3g} GB" in readme
    for part in ("| gamma | 1 |", "cpo_alpha=0", "KL running away", "pip install -r requirements.txt"):
        assert part in readme


# What is refused


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"hyperparameters": {"tau": 0.1}}, "uses beta"),
        ({"hyperparameters": {"label_smoothing": 0.1}}, "ignores label_smoothing"),
        ({"batch_size": 30, "gpus": 4}, "multiple of 8"),
        ({"method": "kto", "rows_per_gpu": 1}, "at least 2"),
        ({"sharded": True}, "at least 2 GPUs"),
        ({"rows": []}, "got none"),
    ],
    ids=str,
)
def test_what_trl_cannot_run_is_refused_and_nothing_is_written(tmp_path, fields, says):
    with pytest.raises(UserError, match=says):
        write(tmp_path, **fields)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_files_is_left_alone(tmp_path):
    write(tmp_path)
    with pytest.raises(UserError, match="empty folder"):
        write(tmp_path)


def test_ratings_without_a_pair_are_refused_for_pair_methods(tmp_path):
    with pytest.raises(UserError, match="needs pairs"):
        write(tmp_path, rows=THUMBS[::2])


# Running them


def byte_tokenizer(texts):
    """A byte-level tokenizer, which any text can be written in."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    special, alphabet = ["<bos>", "<eos>", "<pad>"], pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>")


@cache
def real_rows(shape):
    """Rows of pandalm's pairs or feedbackqa's ratings where the original files are at hand, else the project's own."""
    if not os.environ.get("LESSONS_DATA_DIR"):
        return ROWS[shape]
    rows = real.pairs("pandalm_testset") if shape == "paired" else real.ratings("feedbackqa_cdc")
    return list(rows)[:64]


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = byte_tokenizer(row["prompt"] for row in PAIRS)
    model = new_model(
        "llama", vocab_size=len(tokenizer), layers=2, width=32, heads=2, max_length=256, seed=0, bos_id=0, eos_id=1
    )
    save(model, tokenizer, folder)
    return str(folder)


def run_two_steps(folder):
    """Run the written script as a user would; the log it leaves and what it printed."""
    command = [sys.executable, "train.py", "--max-steps", "2"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "output" / "trainer_state.json").read_text())["log_history"], done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_recipe_trains_two_steps(tmp_path, tiny_model, method):
    made = recipe(method, tiny_model, batch_size=8, max_length=256)
    write_recipe(made, real_rows(METHODS[method].data), tmp_path / "recipe")
    log, _ = run_two_steps(tmp_path / "recipe")
    losses = [row["loss"] for row in log if "loss" in row]
    assert len(losses) == 2 and all(loss == loss and loss > 0 for loss in losses)
    assert any(Path(tmp_path / "recipe" / "output").glob("*.safetensors"))


@pytest.mark.slow
def test_a_prompt_that_leaves_no_room_is_left_out_and_counted(tmp_path, tiny_model):
    rows = [*PAIRS, {"prompt": "far too long " * 99, "chosen": "yes", "rejected": "no"}] * 2
    write_recipe(recipe("simpo", tiny_model, batch_size=4, max_length=128), rows, tmp_path / "recipe")
    log, printed = run_two_steps(tmp_path / "recipe")
    assert "2 left out for their long prompts" in printed
    assert all(row["loss"] > 0 for row in log if "loss" in row)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "fields"), [("dpo", {"reference": "model"}), ("simpo", {"lora_rank": 4})])
def test_a_live_reference_and_adapters_train_too(tmp_path, tiny_model, method, fields):
    write_recipe(recipe(method, tiny_model, batch_size=4, max_length=128, **fields), PAIRS, tmp_path / "recipe")
    log, _ = run_two_steps(tmp_path / "recipe")
    assert sum("loss" in row for row in log) == 2


def test_the_command_writes_a_recipe_and_says_what_it_could_not(tmp_path, tiny_model, capsys):
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PAIRS))
    common = ["recipe", str(tmp_path / "pairs.jsonl"), "--model", tiny_model]
    out = str(tmp_path / "out")
    assert command_line.main([*common, "--method", "ipo", "--output", out, "--set", "tau=0.2", "batch_size=8"]) == 0
    assert "TAU = 0.2" in Path(out, "train.py").read_text() and "Predicted peak" in Path(out, "README.md").read_text()
    assert command_line.main([*common, "--method", "dpo", "--output", out]) == 2
    assert command_line.main([*common, "--method", "ppo", "--output", out + "2"]) == 2
    assert command_line.main([*common, "--method", "dpo", "--output", out + "2", "--set", "beta"]) == 2
    assert capsys.readouterr().err.count("error:") == 3


def test_the_command_takes_other_columns_and_real_datasets(tmp_path, tiny_model, monkeypatch):
    renamed = [{"q": row["prompt"], "best": row["chosen"], "worst": row["rejected"]} for row in PAIRS]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in renamed))
    columns = ["--columns", "prompt=q", "chosen=best", "rejected=worst"]
    command = ["recipe", str(tmp_path / "pairs.jsonl"), "--method", "dpo", "--model", tiny_model]
    assert command_line.main([*command, *columns, "--output", str(tmp_path / "a")]) == 0
    first = json.loads((tmp_path / "a" / "data" / "train.jsonl").read_text().splitlines()[0])
    assert first["chosen"].startswith("An apple")
    records = {name: twins.load(name) for name in ("feedbackqa_cdc", "pandalm_testset")}
    monkeypatch.setattr(real, "load", records.get)
    for name, method, field in (("feedbackqa_cdc", "kto", "label"), ("pandalm_testset", "dpo", "rejected")):
        out = tmp_path / name
        assert command_line.main(["recipe", name, "--method", method, "--model", tiny_model, "--output", str(out)]) == 0
        assert field in json.loads((out / "data" / "train.jsonl").read_text().splitlines()[0])


def test_what_one_gpu_cannot_hold_is_sharded(tmp_path, capsys):
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PAIRS))
    common = ["recipe", str(tmp_path / "pairs.jsonl"), "--method", "simpo", "--model", "llama-3-8b"]
    assert command_line.main([*common, "--gpus", "8", "--output", str(tmp_path / "a")]) == 0
    assert "FSDP" in (tmp_path / "a" / "accelerate.yaml").read_text()
    assert command_line.main([*common, "--gpu-memory", "40", "--output", str(tmp_path / "b")]) == 0
    assert "not to fit" in capsys.readouterr().out
