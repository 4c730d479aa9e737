"""What KTO's estimate of z₀ depends on: how many replies a batch has, and which thumbs they got.

A policy is trained for a few steps, and the log-ratios of mismatched pairs are taken over a whole log. Batches drawn
from them give the estimates that training steps of that size would have used.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from lessons_lib.lab import annotators, checkpoints, world
from lessons_lib.lab.settings import SETTINGS
from lessons_lib.training.config import TrainConfig

ROWS = 512
STEPS = 40


@cache
def moved(seed: int = 6) -> dict[str, np.ndarray]:
    """Log-ratios of mismatched pairs under KTO after `STEPS` steps, in nats, by the thumbs that the replies got.

    Returns:
        "ups and downs", "ups alone" and "downs alone": prompts of a log with the next row's reply, for the whole log
        and for the rows of either label.
    """
    from lessons_lib.models import likelihood  # here: whoever imports this module does not wait for torch
    from lessons_lib.training.loop import train

    model, tokenizer = checkpoints.load("sft-0")
    reference, _ = checkpoints.load("sft-0")
    pool = checkpoints.pool("sft-0")
    config = TrainConfig(max_steps=STEPS, seed=seed, append_eos=False, batch_size=32, **SETTINGS["kto"])
    train(model, annotators.label_thumbs(pool, 1500, seed=seed), "kto", config, tokenizer=tokenizer, progress=False)
    rows = annotators.label_thumbs(pool, ROWS, seed=seed + 1, up_share=0.5)
    groups = {
        "ups and downs": rows,
        "ups alone": [row for row in rows if row["label"]],
        "downs alone": [row for row in rows if not row["label"]],
    }
    found = {}
    for name, group in groups.items():
        prompts = [world.encode(row["prompt"]) for row in group]
        replies = [world.encode(row["completion"]) for row in group]
        strangers = replies[1:] + replies[:1]
        scores = [likelihood.score(one, prompts, strangers).numpy() for one in (model, reference)]
        found[name] = scores[0] - scores[1]
    return found


def estimates(logratios: np.ndarray, batch: int, *, draws: int = 2000, seed: int = 0) -> np.ndarray:
    """z₀ of `draws` batches: max(0, mean of `batch` of the log-ratios)."""
    drawn = np.random.default_rng(seed).choice(logratios, (draws, batch))
    return np.maximum(0.0, drawn.mean(axis=1))
