"""Studies: named fine-tunes in the lab that a lesson runs live for one seed and reads back for the others.

A study is a few arms (a method with its settings) on one kind of preference data; a lesson's stand in its room,
`lessons_lib.lessons.lessonNN.studies`. `run` trains one arm with one seed; `record` does so for all arms and seeds and
writes one small file with its provenance; `recorded` reads that file. Live and recorded runs come from the same
function, so a lesson can draw one over the other. ``lessons-lib lab record NAME`` regenerates a file.

A seed draws the preference data, the batch order and the evaluation's samples, and picks the SFT
checkpoint (the seed modulo their number), so that an interval over seeds includes what the checkpoint does.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from lessons_lib.lab import checkpoints
from lessons_lib.methods import METHODS
from lessons_lib.recorded import store
from lessons_lib.training.config import TrainConfig

UNRECORDED = ("epoch", "grad_norm", "learning_rate")
AVERAGED = {"loss": "mean_loss", "rewards/accuracies": "mean_accuracy"}  # one batch says little of them


RowMaker = Callable[..., list[dict]]  # (pool of scored samples, *, seed) -> preference rows


@dataclass(frozen=True)
class StudyArm:
    """One curve of a study: a method, and where it departs from the study.

    Attributes:
        label: its name in a legend.
        method: a key of `METHODS`, or "sft".
        settings: fields of `TrainConfig` that it sets beside the study's own configuration.
        make_rows: its own preference data; None: the study's.
        start: the checkpoint that it begins at: "sft" (which of the three, the seed says) or "base".
        first: an arm that is trained before it; this one goes on from there, with that as its reference.
    """

    label: str
    method: str
    settings: Mapping[str, object] = field(default_factory=dict)
    make_rows: RowMaker | None = None
    start: str = "sft"
    first: StudyArm | None = None


@dataclass(frozen=True)
class Study:
    """A question put to the lab: its data, its arms, and how long each is trained."""

    name: str
    question: str
    make_rows: RowMaker
    config: TrainConfig
    arms: Mapping[str, StudyArm]
    seeds: tuple[int, ...] = tuple(range(6))
    samples: int = 512  # replies to test prompts, scored at each evaluation


def run(study: Study, arm: str, seed: int, *, evaluate_every: int | None = None, progress: bool = True) -> pd.DataFrame:
    """Train one arm with one seed and measure it on test prompts as it goes.

    Args:
        study, arm, seed: which run; the seeds of `study.seeds` are those that were recorded.
        evaluate_every: steps between measurements; None: as the study says. Fewer make a live run shorter.
        progress: show a progress bar.

    Returns:
        The training history (see `lessons_lib.training.loop.train`) with a row for step 0 before it, the columns of
        `Evaluation.row` filled there, at every `evaluate_every` steps and at the end, and `arm`, `seed` and, for
        pairs, `margin`: the batch's mean reward margin in nats, not scaled by β or τ. `mean_loss` and `mean_accuracy`
        are the loss's and the pair accuracy's means over the steps since the measurement before.
    """
    from lessons_lib.lab.evaluation import Evaluator  # here: whoever reads recorded runs does not wait for torch
    from lessons_lib.training.loop import train

    checkpoint = checkpoints.SFT_NAMES[seed % len(checkpoints.SFT_NAMES)]
    evaluator = Evaluator(checkpoints.load(checkpoint)[0], samples=study.samples, seed=seed)
    chosen = study.arms[arm]
    every = evaluate_every or study.config.evaluate_every
    common = dataclasses.replace(study.config, seed=seed, evaluate_every=every)
    model, tokenizer = _start_of(chosen, checkpoint, study, common, progress)
    rows = (chosen.make_rows or study.make_rows)(checkpoints.pool(checkpoint), seed=seed)
    config = dataclasses.replace(common, **chosen.settings)
    start = {"step": 0, **evaluator.row(model, 0)}
    result = train(model, rows, chosen.method, config, tokenizer=tokenizer, evaluate=evaluator.row, progress=progress)
    history = pd.concat([pd.DataFrame([start]), result.history], ignore_index=True)
    if "rewards/margins" in history:
        history["margin"] = history["rewards/margins"] / _reward_scale(chosen.method, config)
        history.loc[0, "margin"] = 0.0  # before the first step the policy is its reference
    stretch = history["gold"].notna().shift(fill_value=False).cumsum()  # from one measurement to the next
    for column, mean in AVERAGED.items():
        if column in history:
            history[mean] = history.groupby(stretch)[column].transform("mean")
    return history.assign(arm=arm, seed=seed)


def record(study: Study, *, command: str, progress: bool = True) -> Path:
    """Run every arm with every seed and write what was measured, with how it was made; the file's path.

    The runs of two processes go side by side: each keeps to one thread, as small models want.
    """
    jobs = [(arm, seed) for arm in study.arms for seed in study.seeds]
    with ProcessPoolExecutor(max_workers=os.cpu_count(), mp_context=get_context("spawn")) as pool:
        done = pool.map(partial(_job, study), jobs)
        runs = list(tqdm(done, total=len(jobs), desc=study.name, unit="run", disable=not progress))
    history = pd.concat(runs, ignore_index=True)
    measured = history[history["gold"].notna()].drop(columns=[c for c in UNRECORDED if c in history])
    rounded = measured.map(lambda value: float(f"{value:.5g}") if isinstance(value, float) else value)
    table = json.loads(rounded.to_json(orient="split", index=False))  # NaN as null, numpy's numbers as JSON's
    return store.write_study(study.name, table["columns"], table["data"], store.provenance(command))


def recorded(study: Study) -> pd.DataFrame:
    """A study's recorded runs: a row for each arm, seed and evaluated step. `attrs["provenance"]` says how made."""
    stored = store.read_study(study.name)
    table = pd.DataFrame(stored.rows)
    table.attrs["provenance"] = stored.provenance
    return table


def by_seed(history: pd.DataFrame, column: str) -> dict[str, np.ndarray]:
    """One column of recorded runs as arm name to (seeds, steps): what `plots.seeds_plot` draws."""
    return {
        arm: runs.pivot(index="seed", columns="step", values=column).to_numpy()
        for arm, runs in history.groupby("arm", sort=False)
    }


def _start_of(arm: StudyArm, checkpoint: str, study: Study, common: TrainConfig, progress: bool):
    """(model, tokenizer) that an arm begins at: a checkpoint, or what its first arm made of one."""
    from lessons_lib.training.loop import train

    if arm.first is None:
        return checkpoints.load(checkpoint if arm.start == "sft" else arm.start)
    model, tokenizer = _start_of(arm.first, checkpoint, study, common, progress)
    rows = (arm.first.make_rows or study.make_rows)(checkpoints.pool(checkpoint), seed=common.seed)
    config = dataclasses.replace(common, evaluate_every=None, **arm.first.settings)
    train(model, rows, arm.first.method, config, tokenizer=tokenizer, progress=progress)
    return model, tokenizer


def _reward_scale(method: str, config: TrainConfig) -> float:
    """What a method multiplies log-probs by to make rewards: its first hyper-parameter (β, τ or λ)."""
    first = METHODS[method].knobs[0].name
    return config.hyperparameters.get(first, METHODS[method].hyperparameters[first].default)


def _job(study: Study, job: tuple[str, int]) -> pd.DataFrame:
    return run(study, *job, progress=False)
