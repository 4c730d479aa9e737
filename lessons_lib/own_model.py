"""A reader's own model in place of the lab's: LESSONS_MODEL names it, and the lessons train it on real pairs.

A real model has no gold reward. What is reported instead is measured on held-out prompts: how often the chosen
response gained more than the rejected one, by how much, and what the training step took in memory and time.
A few dozen steps on a few hundred pairs show how methods behave; they rank none.
"""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lessons_lib.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

VARIABLE = "LESSONS_MODEL"
SHARES = {"train": 0.7, "held out": 0.3}  # of the prompts
PASS = 8  # held-out sequences scored side by side: their logits are what takes the memory


def own_model() -> str | None:
    """The Hub id or folder that LESSONS_MODEL names; None where it names none."""
    return os.environ.get(VARIABLE, "").strip() or None


def compare_on_real_pairs(
    path_or_id: str,
    methods: Sequence[str | tuple[str, ...]] = ("dpo", "ipo", "kto", "orpo", "simpo"),
    *,
    dataset: str = "pandalm_testset",
    steps: int = 20,
    batch_size: int = 8,
    learning_rate: float = 1e-5,
    max_length: int = 512,
    held_out: int = 100,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Train a model by each method on the same real pairs, and measure each on held-out prompts.

    All start from the same weights, with the methods' usual hyper-parameters, and see the same pairs in the same
    number of response passes; KTO takes them apart, as two single responses each.

    Args:
        path_or_id: a folder written by ``save_pretrained``, or a Hub id.
        methods: keys of `METHODS`, or "sft"; a tuple such as ``("sft", "dpo")`` runs its stages one after the other
            and shares `steps` among them.
        dataset: one of `data.real.DATASETS`; where its files cannot be had, the project's invented look-alike.
        steps: of training, in all.
        batch_size: pairs a step.
        learning_rate: the peak. 1e-5 moves a pre-trained model in 20 steps; for a full run take a tenth of it.
        max_length: tokens of prompt and response; pairs that are longer, or too long for the model, are left out.
        held_out: pairs to measure on, at most; no prompt of theirs is trained on.
        seed: of the split and the batches.
        progress: show progress bars.

    Returns:
        One row a method, after a row "start" for the untouched model. `pair_accuracy`: share of held-out pairs
        whose chosen response gained more log-prob since the start than the rejected one, each prompt counted once,
        with `accuracy_low` and `accuracy_high`, a 95 % interval; `margin`: by how much, in nats, summed over tokens;
        `likelier`: share of pairs whose chosen response has the higher log-prob per token. `peak_MB`: tensors at
        the worst moment of two steps on the longest rows, `predicted_MB`: the calculator's answer to the same;
        `seconds`: of training on this machine, reference log-probs included. `attrs["rows"]` says which rows.

    Raises:
        UserError: no such model, dataset or method; too few pairs.
    """
    import pandas as pd
    import torch

    from lessons_lib.models.loading import load

    model, tokenizer = load(path_or_id)
    limit = min(max_length, getattr(model.config, "max_position_embeddings", None) or max_length)
    rows, sentence = _rows(dataset, tokenizer, limit, seed)
    rows["held out"] = rows["held out"][:held_out]
    if len(rows["train"]) < batch_size or not rows["held out"]:
        raise UserError(
            f"{dataset}: expected at least {batch_size} pairs of at most {limit} tokens to train on, "
            f"got {len(rows['train'])}"
        )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    job = _Job(model, tokenizer, rows["train"], steps, batch_size, learning_rate, seed, device, progress)
    before = _logps(model, job, rows["held out"])
    table = [{"method": "start", "likelier": _likelier(before)}]
    for stages in (method if isinstance(method, tuple) else (method,) for method in methods):
        started = time.perf_counter()
        trained = _train(job, stages)
        seconds = time.perf_counter() - started
        measured = _measures(before, _logps(trained, job, rows["held out"]), rows["held out"])
        del trained
        table.append({"method": " → ".join(stages), **measured, **_memory(job, stages), "seconds": seconds})
    result = pd.DataFrame(table).set_index("method")
    result.attrs["rows"] = f"{sentence}: {len(rows['train'])} to train on, {len(rows['held out'])} held out"
    return result


class _Job(NamedTuple):
    """What all methods share."""

    model: object
    tokenizer: object
    rows: list[dict]
    steps: int
    batch_size: int
    learning_rate: float
    seed: int
    device: str
    progress: bool


class _Logps(NamedTuple):
    """Log-probs of the held-out responses, summed over tokens, and their numbers of tokens; one value a pair."""

    chosen: np.ndarray
    rejected: np.ndarray
    chosen_tokens: np.ndarray
    rejected_tokens: np.ndarray


def _rows(dataset: str, tokenizer, limit: int, seed: int) -> tuple[dict[str, list[dict]], str]:
    """The pairs that fit into `limit` tokens, in two lists that share no prompt; and where they come from."""
    from lessons_lib.data import real, twins
    from lessons_lib.data.preferences import split_by_prompt

    records, sentence = twins.load_or_twin(dataset, progress=False)
    form = _as_chat if getattr(tokenizer, "chat_template", None) else _as_text
    rows = [form(row) for row in real.pairs(dataset, records)]
    lengths = _tokens(rows, tokenizer).row_lengths()
    fitting = [row for row, length in zip(rows, lengths, strict=True) if length <= limit]
    return split_by_prompt(fitting, SHARES, seed), f"{sentence}; {len(fitting)} of {len(rows)} pairs fit"


def _as_chat(row: dict) -> dict:
    """A row for a model with a chat template: one user turn, one answer."""
    roles = {"prompt": "user", "chosen": "assistant", "rejected": "assistant"}
    return {name: [{"role": role, "content": row[name]}] for name, role in roles.items()}


def _as_text(row: dict) -> dict:
    """A row for a model without one: a blank line parts question and answer."""
    return {**row, "prompt": f"{row['prompt']}\n\n"}


def _train(job: _Job, stages: tuple[str, ...], rows: list[dict] | None = None, steps: int | None = None):
    """A copy of the model, trained stage by stage."""
    from lessons_lib.data.preferences import pairs_to_ratings
    from lessons_lib.methods import METHODS
    from lessons_lib.training.loop import TrainConfig, train

    model = copy.deepcopy(job.model)
    for stage in stages:
        unpaired = stage in METHODS and METHODS[stage].data == "unpaired"
        pairs = job.rows if rows is None else rows
        config = TrainConfig(
            batch_size=job.batch_size * (2 if unpaired else 1),
            max_steps=steps or max(1, job.steps // len(stages)),
            learning_rate=job.learning_rate,
            warmup_steps=min(2, job.steps),
            seed=job.seed,
            bf16=job.device == "cuda",
        )
        data = list(pairs_to_ratings(pairs)) if unpaired else pairs
        model = train(model, data, stage, config, tokenizer=job.tokenizer, progress=job.progress).model
    return model


def _logps(model, job: _Job, rows: list[dict]) -> _Logps:
    from lessons_lib.models import likelihood

    tokens = _tokens(rows, job.tokenizer)
    home = model.device
    model.to(job.device)
    sums = (likelihood.score(model, tokens.prompts, ids, batch_size=PASS).numpy() for ids in tokens.responses.values())
    logps = _Logps(*sums, *(lengths.numpy() for lengths in tokens.response_lengths().values()))
    model.to(home)
    return logps


def _tokens(rows: list[dict], tokenizer):
    from lessons_lib.training.collation import tokenize_rows

    return tokenize_rows(rows, ("chosen", "rejected"), tokenizer)


def _likelier(logps: _Logps) -> float:
    return float(np.mean(logps.chosen / logps.chosen_tokens > logps.rejected / logps.rejected_tokens))


def _measures(before: _Logps, after: _Logps, rows: list[dict]) -> dict[str, float]:
    """Accuracy and margin of what was gained. A prompt is one unit: its pairs share what is hard about it."""
    from lessons_lib.data.preferences import prompt_key
    from lessons_lib.metrics import share_interval

    margins = (after.chosen - before.chosen) - (after.rejected - before.rejected)
    by_prompt: dict[int, list[bool]] = {}
    for row, margin in zip(rows, margins, strict=True):
        by_prompt.setdefault(prompt_key(row["prompt"]), []).append(margin > 0)
    interval = share_interval([np.mean(wins) for wins in by_prompt.values()])
    return {
        "pair_accuracy": interval.estimate,
        "accuracy_low": interval.low,
        "accuracy_high": interval.high,
        "margin": float(np.mean(margins)),
        "likelier": _likelier(after),
    }


def _memory(job: _Job, stages: tuple[str, ...]) -> dict[str, float]:
    """The peak of two steps on the longest rows, measured and predicted, in MB; that of the hungriest stage."""
    from lessons_lib.memory.probe import recorder
    from lessons_lib.methods import METHODS

    lengths = _tokens(job.rows, job.tokenizer).row_lengths()
    longest = sorted(range(len(lengths)), key=lengths.__getitem__)[-job.batch_size :]
    rows, quiet = [job.rows[i] for i in longest], job._replace(progress=False)
    peaks = []
    for stage in stages:
        with recorder(job.device) as recorded:
            _train(quiet, (stage,), rows, steps=2)
        peaks.append(recorded.peak_bytes)
    known = [stage for stage in stages if stage in METHODS]
    predicted = max((_predicted(job, rows, stage) for stage in known), default=float("nan"))
    return {"peak_MB": max(peaks) / 1e6, "predicted_MB": predicted / 1e6}


def _predicted(job: _Job, rows: list[dict], method: str) -> float:
    """The calculator's peak for these rows, taken as equally long: what it adds up grows with their tokens."""
    from lessons_lib.memory.architecture import read_architecture
    from lessons_lib.memory.estimate import Setting, estimate
    from lessons_lib.methods import METHODS
    from lessons_lib.training.packing import can_pack

    tokens = _tokens(rows, job.tokenizer)
    prompt = max(1, round(np.mean([len(ids) for ids in tokens.prompts])))
    response = round(np.mean([len(ids) for column in tokens.responses.values() for ids in column]))
    setting = Setting(
        read_architecture(job.model.config.to_dict()),
        method,
        batch_size=len(rows) * (1 if METHODS[method].data == "paired" else 2),
        length=prompt + response,
        prompt_length=prompt,
        precision="mixed" if job.device == "cuda" else "float32",
        reference="precomputed",
        packed=can_pack(job.model),
    )
    return estimate(setting).peak_bytes
