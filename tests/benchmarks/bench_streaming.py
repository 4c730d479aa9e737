"""Training from a file of any size: peak memory must not grow with the number of preferences.

What is measured is what `python -m lessons_lib train` does: read the file, check, tokenize to disk, plan every batch of
an epoch, hash the data, and train a few steps. Each size runs in a process of its own; its peak is Linux's VmHWM.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from table import Row, print_rows

SIZES = (10_000, 100_000, 1_000_000)
ALLOWED = 1.2  # times the peak at 10,000
WORDS = ["<bos>", "<eos>", "<pad>", *(f"w{i}" for i in range(97))]

TRAIN = """
import itertools, sys, time
from lessons_lib.data.readers import read
from lessons_lib.models.making import new_model, word_level_tokenizer
from lessons_lib.training.config import TrainConfig
from lessons_lib.training.loop import train

words, path, folder = sys.argv[1].split(","), sys.argv[2], sys.argv[3]
tokenizer = word_level_tokenizer(words, bos="<bos>", eos="<eos>", pad="<pad>")
model = new_model("llama", vocab_size=len(words), layers=2, width=32, heads=2, max_length=64, seed=0)
config = TrainConfig(batch_size=16, epochs=1, token_dir=folder, evaluate_every=1)

class Enough(Exception):
    pass

def stop(model, step):  # the whole epoch is planned, five steps of it run
    if step == 5:
        raise Enough
    return {}

try:
    train(model, read(path), "simpo", config, tokenizer=tokenizer, evaluate=stop, progress=False)
except Enough:
    pass
peak = open("/proc/self/status").read().partition("VmHWM:")[2].split()[0] if sys.platform == "linux" else "nan"
print(float(peak) / 1024, time.process_time())
"""


def _pair(number: int) -> dict:
    """Three short texts: tokenizing is what takes the time, and memory is to depend on rows alone."""
    number += number // 96 + 1  # no multiple of 97, whose words would all be the same
    words = [WORDS[3 + (number * factor) % 97] for factor in (1, 3, 7, 11, 13)]
    return {"prompt": f"<bos> {' '.join(words)}", "chosen": f" {words[0]} {words[1]}", "rejected": f" {words[2]} w0"}


def _write(path: Path, rows: int) -> None:
    with path.open("w") as file:
        file.writelines(json.dumps(_pair(number)) + "\n" for number in range(rows))


def run() -> list[Row]:
    rows, peaks = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            path = Path(folder) / f"{size}.jsonl"
            _write(path, size)
            command = [sys.executable, "-c", TRAIN, ",".join(WORDS), str(path), folder]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            peaks[size], seconds = map(float, done.stdout.split())
            path.unlink()
            ratio = peaks[size] / peaks[SIZES[0]]
            first = size == SIZES[0]
            rows.append(
                Row(
                    f"train from {size:,} pairs: peak memory",
                    f"{peaks[size]:.0f} MiB" if first else f"{peaks[size]:.0f} MiB, {ratio:.2f}× that of {SIZES[0]:,}",
                    "" if first else f"at most {ALLOWED}×",
                    None if first or ratio != ratio else ratio <= ALLOWED,
                    f"JSONL, SimPO, 5 steps of a planned epoch; {seconds:.0f} CPU-s",
                )
            )
    return rows


if __name__ == "__main__":
    started = time.perf_counter()
    print_rows(run(), "streaming")
    print(f"{time.perf_counter() - started:.0f} s")
