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
    """Run every search (about 15 minutes on one core) and write what it measured; the file's path.

    Runs are written down one by one, and a search that was stopped goes on after the last of them.
    """
    unfinished = FILE.with_suffix(".unfinished")
    unfinished.touch()
    seeds = range(len(checkpoints.SFT_NAMES))
    runs = [(name, point, seed) for name, search in SEARCHES.items() for point in search.points() for seed in seeds]
    done = len(unfinished.read_text().splitlines())
    bar = tqdm(runs[done:], desc="tuning", initial=done, total=len(runs), unit="run", disable=not progress)
    with unfinished.open("a") as file:
        for name, point, seed in bar:
            print(json.dumps({"search": name, **run(point, seed)}), file=file, flush=True)
    lines = ",\n".join(unfinished.read_text().splitlines())
    FILE.write_text(f'{{"provenance": {json.dumps(provenance("lab tune"), indent=1)},\n "runs": [\n{lines}\n]}}\n')
    unfinished.unlink()
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
