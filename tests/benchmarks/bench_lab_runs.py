"""What a standard run of the lab costs: CPU time of one thread, which a busy machine distorts least."""

from __future__ import annotations

import os
import statistics
import time

import torch
from table import Row, print_rows

from lessons_lib.lab import annotators, checkpoints
from lessons_lib.training import scoring
from lessons_lib.training.loop import TrainConfig, train


def run() -> list[Row]:
    """1,000 pairs of the lab, twice, 16 a step: CPU-seconds of the whole call of `train`."""
    torch.set_num_threads(1)
    pool = checkpoints.pool("sft-0")
    pairs, thumbs = annotators.label_pairs(pool, 1000, seed=0), annotators.label_thumbs(pool, 1000, seed=0)
    rows = []
    for method in ("dpo", "ipo", "kto", "orpo", "simpo", "sft"):
        data = thumbs if method == "kto" else pairs
        for order in ("random", "sorted"):
            seconds = [_lab_run(data, method, order, seed) for seed in range(3)]
            target, ok = ("about 3, at most 5", max(seconds) <= 5) if method == "dpo" else ("", None)
            note = f"126 steps of 16, batches {order}; range of 3 seeds {min(seconds):.2f} to {max(seconds):.2f}"
            rows.append(Row(f"lab run, {method}", f"{statistics.median(seconds):.2f} CPU-s", target, ok, note))
    return rows


def _lab_run(data, method: str, order: str, seed: int) -> float:
    model, tokenizer = checkpoints.load("sft-0")
    config = TrainConfig(batch_order=order, seed=seed, append_eos=False)
    scoring._memory.clear()  # so that each run scores its reference itself
    start = time.process_time()
    train(model, data, method, config, tokenizer=tokenizer, progress=False)
    return time.process_time() - start


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    print_rows(run(), "lab runs")
