"""The search behind `settings`: every point of every grid, on validation prompts, into one small file.

Within a grid all points share seeds and preference data. Each is run with three seeds, one an SFT checkpoint; KTO
sees as many single replies as the pairs hold, half of them liked.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pandas as pd
from tqdm.auto import tqdm

from lessons_lib.lab import annotators, checkpoints
from lessons_lib.lab.evaluation import Evaluator
from lessons_lib.lab.settings import SEARCHES, Setting
from lessons_lib.lab.studies import RECORDED, provenance
from lessons_lib.training import train

FIRST_SEED = 100  # of the preference data; recorded studies use small seeds, so they draw other data
FIGURES = ("gold", "win_rate", "kl", "malformed", "length", "forgetting")
FILE = RECORDED / "tuning.json"


def record(*, progress: bool = True) -> Path:
    """Run every search (about 15 minutes on one core) and write what it measured; the file's path."""
    seeds = range(len(checkpoints.SFT_NAMES))
    runs = [(name, point, seed) for name, search in SEARCHES.items() for point in search.points() for seed in seeds]
    bar = tqdm(runs, desc="tuning", unit="run", disable=not progress)
    lines = ",\n".join("  " + json.dumps({"search": name, **run(point, seed)}) for name, point, seed in bar)
    FILE.write_text(f'{{"provenance": {json.dumps(provenance("lab tune"), indent=1)},\n "runs": [\n{lines}\n]}}\n')
    return FILE


def run(point: Setting, seed: int) -> dict:
    """Train one setting with one seed; the setting, and its `FIGURES` on validation prompts."""
    checkpoint = checkpoints.SFT_NAMES[seed]
    reference, tokenizer = checkpoints.load(checkpoint)
    model, _ = checkpoints.load(checkpoint if point.start == "sft" else "base")
    pool, data_seed = checkpoints.pool(checkpoint), FIRST_SEED + seed
    if point.method == "kto":
        rows = annotators.label_thumbs(pool, 2 * point.pairs, seed=data_seed, up_share=0.5)
    else:
        rows = annotators.label_pairs(pool, point.pairs, seed=data_seed)
    config = dataclasses.replace(point.config, seed=data_seed)
    train(model, rows, point.method, config, tokenizer=tokenizer, progress=False)
    measured = Evaluator(reference, split="validation", seed=seed).row(model, step=0)
    setting = {"method": point.method, **point.hyperparameters, "learning_rate": point.learning_rate, "seed": seed}
    return setting | {figure: round(measured[figure], 4) for figure in FIGURES}


def recorded() -> pd.DataFrame:
    """What `record` wrote: a row a run, with its search, setting, seed and `FIGURES`."""
    return pd.DataFrame(json.loads(FILE.read_text())["runs"])
