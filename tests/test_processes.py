"""Two processes give the losses that one gives: gradients, metrics and KTO's reference point are those of the batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pandas as pd
import pytest
import tiny

from lessons_lib.models import save
from lessons_lib.train_config import TrainConfig
from lessons_lib.training import train


def launch(folder, method: str, output, settings: list[str], processes: int) -> pd.DataFrame:
    command = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", str(processes)]
    command += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    command += ["-m", "lessons_lib", "train", "--model", str(folder), "--data", str(folder / "rows.jsonl")]
    command += ["--method", method, "--output", str(output), "--quiet", "--set", *settings]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    return pd.read_csv(output / "history.csv")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "settings"),
    [("dpo", {}), ("kto", {"rows_per_pass": 2}), ("sft", {"lora_rank": 2})],
)
def test_two_processes_follow_one(method, settings, tmp_path):
    data = tiny.rows_for(method, 24)  # batches of 7, 7, 7 and 3: shares of 4 and 3, then 2 and 1
    save(tiny.model(), tiny.tokenizer(), tmp_path)
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, data)))
    settings = {"batch_size": 7, "learning_rate": 5e-3, "warmup_steps": 2, "epochs": 3, **settings}
    one = train(tiny.model(), data, method, TrainConfig(**settings), tokenizer=tiny.tokenizer(), progress=False)
    assignments = [f"{name}={value}" for name, value in settings.items()]
    two = launch(tmp_path, method, tmp_path / "out", assignments, processes=2)
    assert list(two) == list(one.history)
    for column in two:
        # AdamW's first steps divide by gradients near 0, so that rounding shows up here and there
        assert two[column].tolist() == pytest.approx(one.history[column].tolist(), abs=2e-4, nan_ok=True), column
    assert one.history["loss"].iloc[-1] < one.history["loss"].iloc[0] - 0.01
