"""A run that is stopped anywhere ends with the weights it would have had."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

from lessons_lib.errors import UserError
from lessons_lib.training.loop import TrainConfig, train

CONFIG = TrainConfig(batch_size=8, max_steps=12, learning_rate=1e-3, warmup_steps=2, save_every=3)


class Stop(Exception):
    pass


def run(folder, *, method="dpo", config=CONFIG, stop_at=None, model=None, data=None, steps=None):
    """Train with a state every 3 steps; `stop_at` breaks off after that step, `steps` collects those that ran."""

    def evaluate(model, step):
        if steps is not None:
            steps.append(step)
        if step == stop_at:
            raise Stop
        return {"seen": step}

    config = dataclasses.replace(config, checkpoint_dir=folder and str(folder), evaluate_every=1)
    data = data or tiny.rows_for(method, 20)
    return train(
        model or tiny.model(), data, method, config, tokenizer=tiny.tokenizer(), evaluate=evaluate, progress=False
    )


def weights(model) -> str:
    digest = hashlib.sha256()
    for parameter in model.parameters():
        digest.update(parameter.detach().numpy().tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("method", ["dpo", "kto", "sft"])
@pytest.mark.parametrize("stop_at", [2, 7, 12])
def test_a_stopped_run_goes_on_to_the_same_weights_and_history(method, stop_at, tmp_path):
    whole = run(None, method=method)
    with pytest.raises(Stop):
        run(tmp_path, method=method, stop_at=stop_at)
    steps = []
    resumed = run(tmp_path, method=method, steps=steps)
    assert steps[0] == (stop_at - 1) // 3 * 3 + 1  # it went on behind the last state, not from the start
    assert weights(resumed.model) == weights(whole.model)
    assert resumed.history.equals(whole.history)


def test_adapters_resume_too(tmp_path):
    config = dataclasses.replace(CONFIG, lora_rank=2)
    whole = run(None, config=config)
    with pytest.raises(Stop):
        run(tmp_path, config=config, stop_at=5)
    assert weights(run(tmp_path, config=config).model) == weights(whole.model)


def test_a_finished_run_is_not_run_again(tmp_path):
    first, steps = run(tmp_path), []
    again = run(tmp_path, steps=steps)
    assert steps == [] and weights(again.model) == weights(first.model) and again.history.equals(first.history)


def test_one_complete_state_is_kept_and_half_written_ones_are_ignored(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "rename", lambda self, target: (_ for _ in ()).throw(Stop))
    with pytest.raises(Stop):
        run(tmp_path)  # broken off between writing the state and naming it
    monkeypatch.undo()
    assert [folder.name for folder in tmp_path.iterdir()] == ["unfinished-000003"]
    steps = []
    resumed = run(tmp_path, steps=steps)
    assert steps[0] == 1 and weights(resumed.model) == weights(run(None).model)
    assert [folder.name for folder in tmp_path.iterdir()] == ["step-000012"]


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"config": dataclasses.replace(CONFIG, learning_rate=2e-3)}, "learning_rate"),
        ({"method": "ipo"}, "method"),
        ({"data": tiny.pairs(20, seed=1)}, "data"),
        ({"model": tiny.model(seed=1)}, "model, reference"),
        ({"config": dataclasses.replace(CONFIG, hyperparameters={"beta": 0.2}, seed=3)}, "hyperparameters, seed"),
    ],
)
def test_another_runs_folder_is_refused(changed, what, tmp_path):
    run(tmp_path)
    with pytest.raises(UserError, match=f"holds a run with another {what};"):
        run(tmp_path, **changed)


def test_how_often_states_are_saved_may_change(tmp_path):
    with pytest.raises(Stop):
        run(tmp_path, stop_at=7)
    resumed = run(tmp_path, config=dataclasses.replace(CONFIG, save_every=100))
    assert weights(resumed.model) == weights(run(None).model)


RUN = """
import sys
sys.path[:0] = {folders!r}  # of its helpers, and its own
import test_resume
result = test_resume.run(sys.argv[1] or None, method=sys.argv[2], steps=test_resume.Printed())
print("weights", test_resume.weights(result.model), flush=True)
"""


class Printed(list):
    """Steps that are printed as they happen."""

    def append(self, step):
        print("step", step, flush=True)


def start(folder: str, method: str) -> subprocess.Popen:
    script = RUN.format(folders=[str(folder) for folder in Path(__file__).parents[:2]])
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", script, folder, method]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "killed_at"), [("dpo", "step 8"), ("kto", "step 4")])
def test_a_killed_process_resumes_to_the_same_weights(method, killed_at, tmp_path):
    with start(str(tmp_path), method) as process:
        for line in process.stdout:
            if line.strip() == killed_at:
                process.send_signal(signal.SIGKILL)
                break
    assert process.wait() == -signal.SIGKILL
    with start(str(tmp_path), method) as resumed:
        lines = resumed.stdout.read().splitlines()
    assert lines[0] in ("step 4", "step 7", "step 10")  # behind the last state that was complete when the signal came
    assert lines[-1] == f"weights {weights(run(None, method=method).model)}"
