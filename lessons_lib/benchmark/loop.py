"""The lab's shortcut through `lessons_lib.training.loop`: the same steps, with what all runs share computed once.

A benchmark trains thousands of small models on the same few replies. Here a reply is scored by the reference once a
checkpoint and not once a run, rows become tokens without a tokenizer, and every arm gets the same pairs in the same
batches. A step itself is `training.loop.forward_backward`, and a test holds the loop to `training.loop.train`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import lru_cache

import torch
from accelerate import Accelerator

from lessons_lib.errors import UserError
from lessons_lib.lab import checkpoints, world
from lessons_lib.models import likelihood
from lessons_lib.training.collation import Batch, Plan, TokenRows, plan_batches
from lessons_lib.training.config import Objective, TrainConfig, objective_for
from lessons_lib.training.loop import Run, forward_backward, learning_rate_factor
from lessons_lib.training.scoring import score_rows

ROWS_PER_PASS = 64


@lru_cache(maxsize=4)
def reference_logps(checkpoint: str, size: str = "small") -> dict[tuple[str, tuple[int, ...]], float]:
    """Summed log-prob under a checkpoint of every training reply in its own pool, by prompt and word ids."""
    pool = checkpoints.pool(checkpoint, size).split("train")
    return score_replies(checkpoint, size, [(pool.prompt(index), reply) for index, reply in enumerate(pool.replies)])


def score_replies(
    scorer: str, size: str, replies: Sequence[tuple[str, tuple[int, ...]]]
) -> dict[tuple[str, tuple[int, ...]], float]:
    """Summed log-prob under a checkpoint of each (prompt, word ids)."""
    model, _ = checkpoints.load(scorer, size)
    logps = likelihood.score(model, [world.encode(prompt) for prompt, _ in replies], [ids for _, ids in replies])
    return dict(zip(replies, logps.tolist(), strict=True))


def token_rows(
    rows: Sequence[dict],
    columns: Sequence[str],
    reference: dict | None = None,
    *,
    encode_prompt: Callable[[str], list[int]] = world.encode,
    encode: Callable[[str], list[int]] = world.encode,
) -> TokenRows:
    """The lab's preference rows as token ids, each response with the reference's log-prob where that is given."""
    prompts = {row["prompt"]: encode_prompt(row["prompt"]) for row in rows}
    responses = {column: [encode(row[column]) for row in rows] for column in columns}
    labels = torch.tensor([row["label"] for row in rows]) if "completion" in columns else None
    known = {
        column: torch.tensor([reference[row["prompt"], tuple(ids)] for row, ids in zip(rows, encoded, strict=True)])
        for column, encoded in (responses if reference else {}).items()
    }
    return TokenRows([prompts[row["prompt"]] for row in rows], responses, labels, known)


def plan(rows: TokenRows, *, batch_size: int, steps: int, seed: int) -> Plan:
    """The batches of a run, rows of like length together."""
    return plan_batches(rows.row_lengths(), batch_size=batch_size, order="sorted", steps=steps, seed=seed, at_least=2)


def as_single(pairs: TokenRows, batches: Sequence[Batch]) -> tuple[TokenRows, list[Batch]]:
    """Pairs and their batches as KTO takes them: the same replies in the same steps, a thumb up or down on each.

    In a batch all chosen replies stand before all rejected ones, so that a row's neighbour, whose reply makes its
    mismatched pair, answers another prompt.
    """
    count = len(pairs)
    single = TokenRows(
        pairs.prompts * 2,
        {"completion": pairs.responses["chosen"] + pairs.responses["rejected"]},
        torch.arange(2 * count) < count,
        {"completion": torch.cat([pairs.reference["chosen"], pairs.reference["rejected"]])} if pairs.reference else {},
    )
    doubled = [
        dataclasses.replace(batch, rows=batch.rows + [row + count for row in batch.rows], start=2 * batch.start)
        for batch in batches
    ]
    return single, doubled


def mismatched(
    rows: TokenRows, batches: Sequence[Batch], reference, *, bf16: bool = False, accelerator: Accelerator | None = None
) -> TokenRows:
    """Each step's prompts with the reply of the batch's next row, scored by the reference: for KTO's zero point."""
    accelerator = accelerator or Accelerator(cpu=True)
    own = [row for batch in batches for row in batch.rows]
    others = [row for batch in batches for row in batch.rows[1:] + batch.rows[:1]]
    replies = rows.responses["completion"]
    crossed = TokenRows([rows.prompts[row] for row in own], {"mismatched": [replies[row] for row in others]})
    logps = score_rows(reference, crossed, rows_per_pass=ROWS_PER_PASS, accelerator=accelerator, bf16=bf16)
    return dataclasses.replace(crossed, reference=logps)


def fit(
    model,
    rows: TokenRows,
    batches: Sequence[Batch],
    method: str,
    config: TrainConfig,
    *,
    stop: int | None = None,
    reference=None,
    at: Callable[[int], None] = lambda step: None,
    accelerator: Accelerator | None = None,
) -> int:
    """Train `model` in place on the first `stop` of the batches; the number of steps made.

    Args:
        rows: with the reference's log-probs where the method needs them.
        batches: of the whole schedule, which the learning rate follows, wherever the run stops.
        method, config: as for `training.loop.train`.
        reference: the model that scores KTO's mismatched pairs.
        at: called after each step with its number.
        accelerator: says on which device; None: the CPU.

    A run whose loss or gradient is no longer finite ends there, with the weights of the step before.
    """
    objective: Objective = objective_for(method, config)
    accelerator = accelerator or Accelerator(cpu=True)
    how = {"bf16": config.bf16, "accelerator": accelerator}
    known = {column: logps.to(accelerator.device) for column, logps in rows.reference.items()}
    rows = dataclasses.replace(rows.to(accelerator.device), reference=known)
    crossed = mismatched(rows, batches[:stop], reference, **how) if "kl" in objective.inputs else None
    run = Run(model, rows, crossed, objective, config, accelerator)
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(parameters, betas=config.betas, weight_decay=config.weight_decay, fused=True)
    for batch in batches[:stop]:
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * learning_rate_factor(batch.step, len(batches), config)
        try:
            forward_backward(run, batch)
        except UserError:  # the loss is not finite
            return batch.step - 1
        if not torch.nn.utils.clip_grad_norm_(parameters, config.max_grad_norm).isfinite():
            return batch.step - 1
        optimizer.step()
        optimizer.zero_grad()
        at(batch.step)
    return len(batches[:stop])
