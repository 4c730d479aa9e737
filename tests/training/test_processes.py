"""Several processes follow one: losses, gradients, metrics, KTO's reference point and weights are those of the batch.

Whole copies in each process, and one copy divided among them (FSDP), by the configurations that the package ships, on
two CPU processes. `accelerate launch --cpu` would start one process only, whatever number it is given: the tests look
at what each process held.
"""

from __future__ import annotations

import functools
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import runs_in_processes
import tiny
import torch
import yaml
from accelerate.commands.launch import launch_command_parser

from lessons_lib.models.loading import load, save
from lessons_lib.training import sharding
from lessons_lib.training.sharding import whole_weights

LAUNCH = Path(sharding.__file__).with_name("launch")  # the configurations that the library ships
KINDS = {"one_machine.yaml": "copies", "fsdp.yaml": "sharded"}
PARAMETERS = sum(parameter.numel() for parameter in tiny.model("llama").parameters())


class Launched(NamedTuple):
    kind: str
    folder: Path
    facts: dict


def launch(config: str, *command: str, machines: int = 1) -> None:
    """Run a script or ``-m module`` on two CPU processes, by a shipped configuration; each "machine" is a launcher."""
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(LAUNCH / config)]
    launcher += ["--num_processes", "2", "--num_machines", str(machines), "--mixed_precision", "no"]
    launcher += ["--main_process_port", str(free_port() if machines > 1 else 0), "--main_process_ip", "127.0.0.1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True, "env": environment}
    ranks = [[*launcher, "--machine_rank", str(rank), *command] for rank in range(machines)]
    for running in [subprocess.Popen(words, **pipes) for words in ranks]:
        _, errors = running.communicate()
        assert running.returncode == 0, errors[-3000:]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="module", params=KINDS)
def launched(request, tmp_path_factory) -> Launched:
    folder = tmp_path_factory.mktemp("runs")
    launch(request.param, runs_in_processes.__file__, str(folder))
    return Launched(KINDS[request.param], folder, json.loads((folder / "processes.json").read_text()))


@functools.cache
def alone(case: str):
    """The same case in this process."""
    return runs_in_processes.run(case)


@pytest.mark.slow
def test_there_are_two_processes_and_each_holds_what_it_should(launched):
    """The size counts adapters, so the last case without them is looked at: "stopped"."""
    held = launched.facts["held"]
    assert launched.facts["backend"] == "gloo" and len(held) == 2
    assert launched.facts["sharded"] == (launched.kind == "sharded")
    assert held == [PARAMETERS] * 2 if launched.kind == "copies" else sum(held) == PARAMETERS
    assert min(held) > 0.45 * PARAMETERS


@pytest.mark.slow
def test_between_the_passes_of_a_step_a_sharded_model_holds_a_share_of_the_gradients(launched):
    """And all of them in every process where it waits for the last pass, as other trainers do."""
    ours, waiting = launched.facts["gradients"]["ours"], launched.facts["gradients"]["waiting"]
    assert waiting == [PARAMETERS] * 2
    assert ours == [PARAMETERS] * 2 if launched.kind == "copies" else sum(ours) == PARAMETERS


@pytest.mark.slow
@pytest.mark.parametrize("case", runs_in_processes.CASES)
def test_two_processes_follow_one(launched, case):
    one, two = alone(case).history, pd.read_csv(launched.folder / case / "history.csv")
    assert set(two) == set(one)
    for column in two:
        # AdamW's first steps divide by gradients near 0, so that rounding shows up here and there
        same = np.isclose(two[column], one[column], rtol=0, atol=1e-4, equal_nan=True)
        if column == "rewards/accuracies":
            same |= one["rewards/margins"].abs() < 1e-5  # a tie but for rounding: policy = reference at step 1
        assert same.all(), f"{column}: {two[column].tolist()} for {one[column].tolist()}"
    assert one["loss"].iloc[-1] < one["loss"].iloc[0] - 0.01


@pytest.mark.slow
@pytest.mark.parametrize("case", [name for name in runs_in_processes.CASES if name != "adapters"])
def test_what_is_saved_loads_into_a_plain_model_with_the_weights_of_one_process(launched, case):
    trained, start = load(launched.folder / case)[0].state_dict(), tiny.model("llama").state_dict()
    expected = alone(case).model.state_dict()
    assert trained.keys() == expected.keys()
    for name, weight in trained.items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=2e-5)
    assert max((trained[name] - start[name]).abs().max() for name in start) > 0.01


@pytest.mark.slow
def test_adapters_are_saved_whole(launched):
    from peft import PeftModel

    trained = PeftModel.from_pretrained(tiny.model("llama"), launched.folder / "adapters").state_dict()
    for name, weight in alone("adapters").model.state_dict().items():
        torch.testing.assert_close(trained[name], weight, rtol=0, atol=2e-5)


@pytest.mark.slow
def test_two_machines_train_and_save_a_sharded_model_by_the_command(tmp_path):
    save(tiny.model("llama"), tiny.tokenizer(), tmp_path / "model")
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, tiny.rows_for("kto", 24))))
    command = ["-m", "lessons_lib", "train", "--model", tmp_path / "model", "--data", tmp_path / "rows.jsonl"]
    settings = ["batch_size=7", "learning_rate=5e-3", "warmup_steps=2", "epochs=3", "rows_per_pass=2"]
    command += ["--method", "kto", "--output", tmp_path / "out", "--quiet", "--set", *settings]
    launch("fsdp_many_machines.yaml", *map(str, command), machines=2)
    losses = pd.read_csv(tmp_path / "out" / "history.csv")["loss"]
    np.testing.assert_allclose(losses, alone("kto").history["loss"], rtol=0, atol=1e-4)
    trained, expected = load(tmp_path / "out")[0].state_dict(), alone("kto").model.state_dict()
    for name, weight in trained.items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=2e-5)


def test_a_model_in_one_piece_has_no_gathered_weights():
    assert whole_weights(tiny.model(), accelerator=None) is None


@pytest.mark.parametrize("path", sorted(LAUNCH.glob("*.yaml")), ids=lambda path: path.name)
def test_the_command_in_each_configuration_is_one_that_accelerate_takes(path):
    """Each file begins with its command; every setting in it is one that the launcher knows."""
    known = {action.dest for action in launch_command_parser()._actions}
    settings = yaml.safe_load(path.read_text())
    unknown = {*settings, *settings.pop("fsdp_config", {})} - known - {"compute_environment", "distributed_type"}
    assert not unknown - {"fsdp_config"}
    (line,) = [line for line in path.read_text().splitlines() if line.startswith("#   accelerate launch ")]
    words = line.replace("GPUS", "8").replace("RANK", "1").removeprefix("#   accelerate launch ").split()
    parsed = launch_command_parser().parse_args(words[: words.index("…")])
    assert parsed.config_file == path.name and parsed.training_script == "lessons_lib"
