"""The benchmark's scale part: DPO, DPO with NLL and IPO on a fresh stream of 1,000 to 100,000 preferences.

Every run sees each pair once, at a constant learning rate, and is measured on test prompts as it goes, so that one
run shows what every smaller amount of data would have given. A run with a large step peaks early, and is followed
for about ten times as long as DPO takes to its peak; only the smallest step is followed to the end. The pool of a
checkpoint holds 16 replies to each of 1,056 training prompts: about 126,000 different pairs, of which the longest
run takes 100,000.
"""

from __future__ import annotations

import time
from functools import lru_cache

import numpy as np

from lessons_lib._surroundings import one_thread
from lessons_lib.benchmark import loop
from lessons_lib.lab import checkpoints
from lessons_lib.lab.evaluation import Evaluator
from lessons_lib.lab.pairs import fresh_pairs
from lessons_lib.training.config import TrainConfig

PAIRS = 100_000
BATCH = 32
POINTS = tuple(int(step) for step in np.unique(np.geomspace(10, PAIRS // BATCH, 13).round()))  # 320 to 100,000 pairs
HORIZONS = {3.2e-4: 9_120, 6e-5: 38_400, 1e-5: PAIRS}  # learning rate to the pairs that it is followed for
ARMS = {
    "dpo": ("dpo", {"hyperparameters": {"beta": 0.1}}),
    "ipo": ("ipo", {"hyperparameters": {"tau": 0.1}}),
    "dpo_nll": ("dpo", {"hyperparameters": {"beta": 0.1}, "nll_weight": 1.0}),
}
MEASURES = ("gold", "win_rate", "kl", "malformed", "chosen_logp", "rejected_logp", "length", "entropy", "forgetting")
SAMPLES = 256


def cells(seeds=range(3)) -> list[tuple[int, str, float]]:
    """All runs, (seed, arm, learning rate), whole experiments first."""
    return [(seed, arm, rate) for seed in seeds for rate in HORIZONS for arm in ARMS]


@one_thread()
def run(seed: int, arm: str, learning_rate: float) -> list[dict]:
    """One run; a row for each of `POINTS`, and one for the model before the first step."""
    name = checkpoints.SFT_NAMES[seed % len(checkpoints.SFT_NAMES)]
    model, _ = checkpoints.load(name)
    rows, batches = _stream(name, seed)
    evaluator = _evaluator(name, seed)
    method, settings = ARMS[arm]
    config = TrainConfig(
        batch_size=BATCH,
        max_steps=len(batches),
        learning_rate=learning_rate,
        schedule="constant",
        seed=seed,
        **settings,
    )
    found, start = [], time.process_time()

    def measure(step: int) -> None:
        nonlocal start
        seconds = time.process_time() - start
        row = evaluator.row(model, step)
        measures = {measure: row[measure] for measure in MEASURES}
        setting = {"arm": arm, "learning_rate": learning_rate, "seed": seed, "checkpoint": name}
        found.append(setting | {"step": step, "pairs": step * BATCH, **measures, "cpu_seconds": seconds})
        start = time.process_time() - seconds  # the clock stands still while the model is measured

    measure(0)
    loop.fit(
        model,
        rows,
        batches,
        method,
        config,
        stop=HORIZONS[learning_rate] // BATCH,
        at=lambda step: measure(step) if step in POINTS else None,
    )
    return found


@lru_cache(maxsize=1)
def _stream(checkpoint: str, seed: int):
    pairs = fresh_pairs(checkpoints.pool(checkpoint), PAIRS // BATCH * BATCH, seed=seed)
    rows = loop.token_rows(pairs, ("chosen", "rejected"), loop.reference_logps(checkpoint))
    return rows, loop.plan(rows, batch_size=BATCH, steps=PAIRS // BATCH, seed=seed)


@lru_cache(maxsize=1)
def _evaluator(checkpoint: str, seed: int) -> Evaluator:
    return Evaluator(checkpoints.load(checkpoint)[0], samples=SAMPLES, seed=seed)
