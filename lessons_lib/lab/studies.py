"""Studies: named fine-tunes in the lab that a lesson runs live for one seed and reads back for the others.

A study is a few arms (a method with its settings) on one kind of preference data; a lesson's stand in its room,
`lessons_lib.lessons.lessonNN.studies`. `run` trains one arm with one seed; `record` does so for all arms and seeds and
writes one small file with its provenance; `recorded` reads that file. Live and recorded runs come from the same
function, so a lesson can draw one over the other. ``lessons-lib lab record NAME`` regenerates a file.

A seed draws the preference data, the batch order and the evaluation's samples, and picks the SFT
checkpoint (the seed modulo their number). Runs from one checkpoint are no independent draws of it, so intervals go over
checkpoints: `by_checkpoint` averages the seeds of each first.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from lessons_lib.lab import checkpoints, world
from lessons_lib.methods import METHODS
from lessons_lib.recorded import store
from lessons_lib.training.config import TrainConfig

if TYPE_CHECKING:
    from lessons_lib.lab.evaluation import Evaluator

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
    checkpoints: tuple[str, ...] = checkpoints.SFT_NAMES  # that the seeds begin at, in turn
    texts: int = 0  # replies kept as text at each evaluation of the first seed, those to the first test prompts

    def checkpoint(self, seed: int) -> str:
        """The SFT checkpoint that a seed begins at."""
        return self.checkpoints[seed % len(self.checkpoints)]


def run(study: Study, arm: str, seed: int, *, evaluate_every: int | None = None, progress: bool = True) -> pd.DataFrame:
    """Train one arm with one seed and measure it on test prompts as it goes.

    Args:
        study, arm, seed: which run; the seeds of `study.seeds` are those that were recorded.
        evaluate_every: steps between measurements; None: as the study says. Fewer make a live run shorter.
        progress: show a progress bar.

    Returns:
        The training history (see `lessons_lib.training.loop.train`) with a row for step 0 before it, the columns of
        `Evaluation.row` filled there, at every `evaluate_every` steps and at the end, and `arm`, `seed`, `checkpoint`
        and, for pairs, `margin`: the batch's mean reward margin in nats, not scaled by β or τ. `mean_loss` and
        `mean_accuracy` are the loss's and the pair accuracy's means over the steps since the measurement before.
    """
    from lessons_lib.lab.evaluation import Evaluator  # here: whoever reads recorded runs does not wait for torch
    from lessons_lib.training.loop import train

    checkpoint = study.checkpoint(seed)
    evaluator = Evaluator(checkpoints.load(checkpoint)[0], samples=study.samples, seed=seed)
    chosen = study.arms[arm]
    every = evaluate_every or study.config.evaluate_every
    common = dataclasses.replace(study.config, seed=seed, evaluate_every=every)
    model, tokenizer = _start_of(chosen, checkpoint, study, common, progress)
    rows = (chosen.make_rows or study.make_rows)(checkpoints.pool(checkpoint), seed=seed)
    config = dataclasses.replace(common, **chosen.settings)
    texts: dict[int, dict] = {}  # of each measured step, the replies that are kept and what they earn

    def measure(model, step: int) -> dict[str, float]:
        if not study.texts or seed != study.seeds[0]:
            return evaluator.row(model, step)
        replies = evaluator.sample(model)
        texts[step] = _first_replies(evaluator, replies, study.texts)
        return evaluator(model, replies).row()

    start = {"step": 0, **measure(model, 0)}
    result = train(model, rows, chosen.method, config, tokenizer=tokenizer, evaluate=measure, progress=progress)
    history = pd.concat([pd.DataFrame([start]), result.history], ignore_index=True)
    if "rewards/margins" in history:
        history["margin"] = history["rewards/margins"] / _reward_scale(chosen.method, config)
        history.loc[0, "margin"] = 0.0  # before the first step the policy is its reference
    stretch = history["gold"].notna().shift(fill_value=False).cumsum()  # from one measurement to the next
    for column, mean in AVERAGED.items():
        if column in history:
            history[mean] = history.groupby(stretch)[column].transform("mean")
    for column in ("replies", "reply_golds") if texts else ():
        history[column] = [texts[step][column] if step in texts else None for step in history["step"]]
    return history.assign(arm=arm, seed=seed, checkpoint=checkpoint)


def _first_replies(evaluator: Evaluator, replies: list[list[int]], count: int) -> dict:
    """One reply to each of the first `count` prompts, as text, and its gold reward."""
    every = len(replies) // len({tuple(prompt) for prompt in evaluator.prompts})  # replies to one prompt
    kept = range(0, count * every, every)
    golds = world.gold([world.decode(evaluator.prompts[i]) for i in kept], [replies[i] for i in kept]).total
    return {"replies": [world.decode(replies[i]) for i in kept], "reply_golds": golds.round(2).tolist()}


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


def transcript(history: pd.DataFrame, arm: str, *, request: int = 0, steps: Sequence[int] | None = None) -> str:
    """What an arm answered to one test prompt as it was trained, a line a measurement, with its gold reward.

    Args:
        history: recorded runs of a study that keeps `texts`.
        arm: which arm.
        request: number of the test prompt, below `Study.texts`.
        steps: which measurements; None: all.
    """
    rows = history[(history["arm"] == arm) & history["replies"].notna()]
    lines = [world.prompts("test")[request].removeprefix(world.BOS).removesuffix(world.ARROW).strip()]
    for step, texts, golds in zip(rows["step"], rows["replies"], rows["reply_golds"], strict=True):
        if steps is None or step in steps:
            when = "before training" if step == 0 else f"after {step} steps"
            lines.append(f"{when:>15}  {golds[request]:5.2f}  {texts[request].removesuffix(world.EOS).strip()}")
    return "\n".join(lines)


def by_checkpoint(history: pd.DataFrame, column: str) -> dict[str, np.ndarray]:
    """One column of recorded runs as arm name to (checkpoints, steps): what an interval may be taken over.

    Seeds that began at one checkpoint share it, so they are averaged first; the checkpoints are the independent draws.
    Each stands in the place of its first seed.
    """
    found = {}
    for arm, runs in history.groupby("arm", sort=False):
        table = runs.pivot_table(index="checkpoint", columns="step", values=column, dropna=False)
        found[arm] = table.loc[runs.sort_values("seed")["checkpoint"].unique()].to_numpy()
    return found


def settings(study: Study) -> str:
    """What each arm of a study was trained with, as a table in text: a line an arm, in the order of the study."""
    rows = []
    for name, arm in study.arms.items():
        config = dataclasses.replace(study.config, **arm.settings)
        length = f"{config.max_steps} steps" if config.max_steps else f"{config.epochs} passes"
        rows.append(
            {
                "arm": name,
                "strength": ", ".join(f"{key} = {value:g}" for key, value in config.hyperparameters.items()) or "none",
                "learning rate": f"{config.learning_rate:.1e}".replace(".0e", "e").replace("e-0", "e-"),
                "length": f"{length} of {config.batch_size} rows",
            }
        )
    return pd.DataFrame(rows).to_string(index=False)


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
