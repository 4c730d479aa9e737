"""One loop that trains a causal language model on preferences, by any of the five methods or by SFT.

Read `train` from top to bottom, then `forward_backward`: rows become token ids, the reference scores them
once, and each step takes a batch, hands the loss the tensors it names, and follows the gradient. No method
is mentioned: what differs between them stands in `lessons_lib.methods`, and the names of a loss's arguments
say what it needs.

Where this departs from common trainers: the model stays in evaluation mode, because a log-ratio compares
two passes and dropout would add noise to both. The reference never runs after the first step, not even for
KTO's mismatched pairs: the seed fixes all batches beforehand.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from tqdm.auto import tqdm

from lessons_lib._surroundings import one_thread_if_small
from lessons_lib.errors import UserError
from lessons_lib.losses import kto_reference_point
from lessons_lib.training.collation import Batch, Crossed, Plan, Tokenized, TokenRows, plan_batches
from lessons_lib.training.compiling import CompiledLayers
from lessons_lib.training.config import STANDARD_RUN, Objective, TrainConfig, objective_for
from lessons_lib.training.preparing import tokens_of
from lessons_lib.training.resume import Checkpoints
from lessons_lib.training.scoring import (
    fingerprint,
    logps_and_balance,
    response_logps,
    router_weight,
    rows_fingerprint,
    score_rows,
)
from lessons_lib.training.sharding import is_sharded, make_accelerator
from lessons_lib.training.special_tokens import warnings_of
from lessons_lib.training.token_file import TokenFile

if TYPE_CHECKING:
    import pandas as pd
    from accelerate import Accelerator


AnyRows = TypeVar("AnyRows", bound=TokenRows | TokenFile | Crossed)


@dataclass(frozen=True)
class TrainResult:
    """What `train` answers with.

    Attributes:
        model: the trained model: the one passed in, trained in place, or that one wrapped in adapters.
        records: one dict a step; see `train`.
        truncated, dropped: rows that were shortened to fit, and rows left out because they do not.
    """

    model: torch.nn.Module
    records: list[dict[str, float]]
    truncated: int
    dropped: int = 0

    @cached_property
    def history(self) -> pd.DataFrame:
        """The records as a table, made when first asked for: pandas takes 60 MB of memory and half a second."""
        import pandas as pd

        return pd.DataFrame(self.records)


def train(
    model: Any,
    data: Iterable[Mapping],
    method: str = "dpo",
    config: TrainConfig = STANDARD_RUN,
    *,
    tokenizer: Any,
    reference: Any = None,
    evaluate: Callable[[torch.nn.Module, int], Mapping[str, float]] | None = None,
    progress: bool = True,
) -> TrainResult:
    """Train `model` in place on preference rows.

    Args:
        model: any Hugging Face causal language model. It is moved to the GPU where there is one.
        data: paired rows `{prompt, chosen, rejected}`, or unpaired ones `{prompt, completion, label}` for KTO.
            SFT imitates the chosen responses of pairs, or completions that are not labelled False.
        method: a key of `METHODS`, or "sft".
        config: see `TrainConfig`.
        tokenizer: the model's own.
        reference: the model that log-ratios compare with; None: `model` as it is now, which for a model that
            gets adapters is the model without them. A method without a reference does not look at it.
        evaluate: called with the model and the step, every `config.evaluate_every` steps and after the last
            one; the numbers it returns join that step's record.
        progress: show a progress bar.

    Returns:
        TrainResult. Its history has one row a step, named as in TRL, means over the step's rows: `step`, `epoch`,
        `loss`, `rewards/chosen`, `rewards/rejected`, `rewards/margins`, `rewards/accuracies` (pairs),
        `logps/chosen`, `logps/rejected` (in nats, **summed** over tokens whatever the method, so that methods
        compare), `nll_loss` (of the chosen, nats per token), `kl` (KTO), `aux_loss` (of a mixture of experts, which
        `loss` contains, weighted), `grad_norm` (before clipping) and `learning_rate`.

    Warns:
        UserWarning: where special tokens of rows look wrong, once a kind, before the first step.

    Raises:
        UserError: for rows, settings or a model that cannot be trained on; and where a loss or a gradient is
            not finite, before it reaches the weights.
    """
    objective = objective_for(method, config)
    accelerator = make_accelerator()
    progress = progress and accelerator.is_main_process
    model = trainable(model, config).eval()
    if not is_sharded(accelerator):  # which takes the weights to their devices slice by slice
        model.to(accelerator.device)
    rows = tokens_of(data, objective, model, tokenizer, config).to(accelerator.device)
    if accelerator.is_main_process:
        for sentence in warnings_of(rows.met, len(rows) + rows.dropped):
            warnings.warn(sentence, stacklevel=2)
    batches = _planned(rows, objective, config, accelerator.num_processes)

    with one_thread_if_small(model):
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(parameters, betas=config.betas, weight_decay=config.weight_decay, fused=True)
        policy, optimizer = accelerator.prepare(model, optimizer)
        identity = _identity(method, config, model, reference, rows)
        mismatched = _mismatched(rows, batches) if "kl" in objective.inputs else None
        if objective.needs_reference:
            score = partial(
                _with_reference, reference or model, config=config, accelerator=accelerator, progress=progress
            )
            rows, mismatched = score(rows), mismatched and score(mismatched)

        run = Run(policy, rows, mismatched, objective, config, accelerator)
        fused = CompiledLayers(policy) if config.compile else nullcontext()
        checkpoints = Checkpoints(config.checkpoint_dir, identity, accelerator)
        history = checkpoints.load()

        model.zero_grad()  # an earlier use may have left a gradient behind
        left = itertools.islice(batches, len(history), None)
        bar = tqdm(left, method, len(batches), initial=len(history), unit="step", disable=not progress)
        for batch in bar:
            learning_rate = config.learning_rate * learning_rate_factor(batch.step, len(batches), config)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate

            with fused:
                metrics = forward_backward(run, batch)
            grad_norm = accelerator.clip_grad_norm_(policy.parameters(), config.max_grad_norm).item()
            if not math.isfinite(grad_norm):
                raise _not_finite("gradient", batch, config, rows=batch.rows)
            optimizer.step()
            optimizer.zero_grad()

            record = {"step": batch.step, "epoch": batch.epoch, **metrics}
            record |= {"grad_norm": grad_norm, "learning_rate": learning_rate}
            last = batch.step == len(batches)
            if evaluate and (last or batch.step % (config.evaluate_every or len(batches)) == 0):
                record |= {name: float(value) for name, value in evaluate(model, batch.step).items()}
            history.append(record)
            if last or batch.step % config.save_every == 0:
                checkpoints.save(history)
            bar.set_postfix(loss=f"{record['loss']:.3g}", refresh=False)
    return TrainResult(model, history, rows.truncated, rows.dropped)


class Run(NamedTuple):
    """What stays the same from the first step to the last."""

    policy: torch.nn.Module
    rows: Tokenized
    mismatched: Tokenized | None  # every step's prompts with another row's response, for KTO; step after step
    objective: Objective
    config: TrainConfig
    accelerator: Accelerator


def forward_backward(run: Run, batch: Batch) -> dict[str, float]:
    """Add the gradient of one batch's mean loss to the policy's weights, and answer with the batch's means."""
    passes = _passes(batch, run)
    kl = _reference_point(run, run.mismatched, batch, passes) if run.mismatched else None
    seen = []
    for number, positions in enumerate(passes, start=1):
        row_numbers = [batch.rows[i] for i in positions]
        rows = run.rows.select(row_numbers)
        logps, balance = logps_and_balance(run.policy, rows, bf16=run.config.bf16)
        tensors = loss_tensors(logps, rows, average=run.objective.average, kl=kl)
        inputs = {name: tensors[name] for name in run.objective.inputs}
        output = run.objective.loss(**inputs, **run.objective.hyperparameters)
        losses = output.losses
        if run.config.nll_weight:
            losses = losses + run.config.nll_weight * tensors["chosen_nll"]
        if balance is not None:
            losses = losses + router_weight(run.policy) * balance
        # Processes average their gradients, so each one's share is scaled up to make a mean over all rows. Copies
        # do so once a step. A sharded model does after every pass: until then gradients would be whole on each GPU.
        last = number == len(passes)
        with nullcontext() if last or is_sharded(run.accelerator) else run.accelerator.no_sync(run.policy):
            run.accelerator.backward(losses.sum() * run.accelerator.num_processes / len(batch.rows))
        seen.append(example_metrics(losses, output, tensors, logps))
        if balance is not None:
            seen[-1]["aux_loss"] = balance.detach().double().expand(len(losses))
        seen[-1]["row"] = losses.new_tensor(row_numbers, dtype=torch.float64)
    return _means(seen, kl, batch, run)


def loss_tensors(
    logps: dict[str, torch.Tensor], rows: TokenRows, *, average: bool, kl: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """Every tensor that a loss may ask for by the name of its argument.

    Args:
        logps: column name to (rows,), the policy's **summed** log-probs.
        rows: the rows they belong to, with the reference's summed log-probs where there is a reference.
        average: divide log-probs by the number of response tokens.
        kl: KTO's reference point.
    """
    tensors = {name: value for name, value in (("kl", kl), ("desirable", rows.labels)) if value is not None}
    for column, lengths in rows.response_lengths().items():
        lengths = lengths.to(logps[column].device)
        name = "" if column == "completion" else f"{column}_"
        tensors[f"policy_{name}logps"] = logps[column] / lengths if average else logps[column]
        if rows.reference:
            tensors[f"reference_{name}logps"] = rows.reference[column] / lengths if average else rows.reference[column]
        if column == "chosen":
            tensors["chosen_nll"] = -logps[column] / lengths
    return tensors


def example_metrics(
    losses: torch.Tensor, output: Any, tensors: Mapping[str, torch.Tensor], logps: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """One value a row under TRL's names; NaN where a row has none, as a single response has only one side."""
    metrics = {"loss": losses}
    for side in ("chosen", "rejected"):
        if "desirable" in tensors:
            on_side = tensors["desirable"] == (side == "chosen")
            metrics[f"rewards/{side}"] = output.rewards.where(on_side, math.nan)
            metrics[f"logps/{side}"] = logps["completion"].where(on_side, math.nan)
        elif side in logps:
            metrics[f"logps/{side}"] = logps[side]
            if hasattr(output, f"{side}_rewards"):
                metrics[f"rewards/{side}"] = getattr(output, f"{side}_rewards")
    if hasattr(output, "chosen_rewards"):
        metrics["rewards/accuracies"] = output.chosen_rewards > output.rejected_rewards
    if "chosen_nll" in tensors:
        metrics["nll_loss"] = tensors["chosen_nll"]
    return {name: values.detach().double() for name, values in metrics.items()}


def learning_rate_factor(step: int, steps: int, config: TrainConfig) -> float:
    """The share of the peak learning rate at step 1 … `steps`: a linear rise, then the schedule."""
    if step <= config.warmup_steps:
        return step / config.warmup_steps
    done = (step - 1 - config.warmup_steps) / (steps - config.warmup_steps)
    return {"linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2, "constant": 1.0}[config.schedule]


def trainable(model: Any, config: TrainConfig) -> Any:
    """The model with adapters if asked for, its own or new ones; refused where weights are too coarse to train."""
    ranks = {adapters.r for adapters in getattr(model, "peft_config", {}).values()}
    if ranks and config.lora_rank and ranks != {config.lora_rank}:
        rank = ", ".join(map(str, ranks))
        raise UserError(
            f"lora_rank: expected {rank}, the rank of the adapters that the model comes with, got {config.lora_rank}; "
            f"set lora_rank={rank} to train them further, or leave it out and merge them (the command does)"
        )
    if config.lora_rank and not ranks:
        from peft import LoraConfig, get_peft_model

        with torch.random.fork_rng(), warnings.catch_warnings(action="ignore"):  # of what it sets right by itself
            torch.manual_seed(config.seed)
            adapters = LoraConfig(
                r=config.lora_rank, lora_alpha=config.lora_alpha, target_modules="all-linear", task_type="CAUSAL_LM"
            )
            model = get_peft_model(model, adapters)
    coarse = {p.dtype for p in model.parameters() if p.requires_grad} - {torch.float32, torch.float64}
    if coarse:
        raise UserError(
            f"model: expected float32 weights to train, got {', '.join(map(str, coarse))}, in which small updates "
            f"round to nothing; call model.float(), and set bf16=True where the machine computes well in bfloat16"
        )
    return model


def _planned(rows: Tokenized, objective: Objective, config: TrainConfig, processes: int) -> Plan:
    at_least = max(processes, 2 if "kl" in objective.inputs else 1)
    for name, value in ("batch_size", config.batch_size), ("data", len(rows)):
        if value < at_least:
            raise UserError(
                f"{name}: expected at least {at_least} rows (one for each process, and 2 where a prompt is "
                f"scored with another row's response, as KTO does), got {value}"
            )
    return plan_batches(
        rows.row_lengths(),
        batch_size=config.batch_size,
        order=config.batch_order,
        epochs=config.epochs,
        steps=config.max_steps,
        seed=config.seed,
        at_least=at_least,
    )


def _mismatched(rows: Tokenized, batches: Plan) -> Crossed:
    """Each step's prompts with the response of the batch's next row, in the order of the steps."""
    return Crossed(rows, batches.rows, batches.next_rows())


def _with_reference(
    model: Any, rows: AnyRows, *, config: TrainConfig, accelerator: Accelerator, progress: bool
) -> AnyRows:
    """The rows with the reference's log-probs; the model goes back to where it was, so that it can be let go."""
    home, training = next(model.parameters()).device, model.training
    if home != accelerator.device:
        model.to(accelerator.device)
    logps = score_rows(
        model.eval(),
        rows,
        rows_per_pass=4 * (config.rows_per_pass or config.batch_size),  # without gradients they need no more memory
        bf16=config.bf16,
        accelerator=accelerator,
        cache_dir=config.reference_cache,
        progress=progress,
    )
    if home != accelerator.device:
        model.to(home)
    model.train(training)
    for column, values in logps.items():
        if not values.isfinite().all():
            row = int((~values.isfinite()).nonzero()[0])
            raise UserError(
                f"reference: the log-prob of data[{row}]'s {column} response is {values[row].item()}; "
                f"the model's weights may be damaged, or overflow in their dtype"
            )
    return dataclasses.replace(rows, reference=logps)


def _passes(batch: Batch, run: Run) -> list[list[int]]:
    """The batch positions that this process takes: one list a forward pass, rows of like length together."""
    processes = run.accelerator.num_processes
    share = np.array_split(np.arange(len(batch.rows)), processes)[run.accelerator.process_index].tolist()
    if run.config.rows_per_pass is None:
        return [share]
    lengths = run.rows.select(batch.rows).row_lengths()
    passes = math.ceil(len(batch.rows) // processes / run.config.rows_per_pass)  # the same number in every process
    return [part.tolist() for part in np.array_split(sorted(share, key=lengths.__getitem__), passes)]


@torch.no_grad()
def _reference_point(run: Run, mismatched: Tokenized, batch: Batch, passes: list[list[int]]) -> torch.Tensor:
    """KTO's z₀ over the whole batch, on all processes."""
    pairs = []
    for positions in passes:
        rows = mismatched.select([batch.start + i for i in positions])
        logps = response_logps(run.policy, rows, bf16=run.config.bf16)
        tensors = loss_tensors(logps, rows, average=run.objective.average)
        pairs.append(torch.stack([tensors["policy_mismatched_logps"], tensors["reference_mismatched_logps"]]))
    return kto_reference_point(*_gather(torch.cat(pairs, dim=1), batch, run.accelerator))


def _gather(table: torch.Tensor, batch: Batch, accelerator: Accelerator) -> torch.Tensor:
    """Columns (…, this process's rows) of all processes, whose shares of the batch can differ by a row."""
    if accelerator.num_processes == 1:
        return table
    shares = [len(share) for share in np.array_split(batch.rows, accelerator.num_processes)]
    padded = F.pad(table, (0, max(shares) - table.shape[1]))
    everyone = accelerator.gather(padded[None])  # (processes, …, largest share)
    return torch.cat([part[:, :share] for part, share in zip(everyone, shares, strict=True)], dim=1)


def _means(seen: list[dict[str, torch.Tensor]], kl: torch.Tensor | None, batch: Batch, run: Run) -> dict[str, float]:
    """The means over the batch's rows, on all processes; stops where a loss is not finite."""
    names = list(seen[0])
    local = torch.stack([torch.cat([values[name] for values in seen]) for name in names])
    table = dict(zip(names, _gather(local, batch, run.accelerator).cpu(), strict=True))
    broken = table.pop("row")[~table["loss"].isfinite()].int().tolist()
    if broken:
        raise _not_finite("loss", batch, run.config, rows=broken)
    means = {name: values.nanmean().item() for name, values in table.items()}
    if "rewards/chosen" in means:
        means["rewards/margins"] = means["rewards/chosen"] - means["rewards/rejected"]
    if kl is not None:
        means["kl"] = kl.item()
    return means


def _not_finite(what: str, batch: Batch, config: TrainConfig, rows: list[int]) -> UserError:
    if batch.step == 1:
        cause = "the model gives such values before any update: its weights are damaged, or overflow in their dtype"
    else:
        cause = (
            f"the weights have diverged: lower learning_rate (now {config.learning_rate:g}) or lengthen warmup_steps"
        )
    return UserError(
        f"step {batch.step}: the {what} is not finite; its rows are data{rows}. Likely cause: {cause}. "
        f"The weights are as they were after step {batch.step - 1}"
    )


def _identity(method: str, config: TrainConfig, model: Any, reference: Any, rows: Tokenized) -> dict:
    """What fixes a run's weights, by name: two runs that agree in it are one run."""
    settings = {item.name: getattr(config, item.name) for item in dataclasses.fields(config)}
    for name in ("evaluate_every", "checkpoint_dir", "save_every", "token_dir", "reference_cache"):
        del settings[name]
    settings["hyperparameters"] = dict(config.hyperparameters)
    models = {"model": fingerprint(model), "reference": fingerprint(reference or model)}
    return {"method": method, **settings, **models, "data": rows_fingerprint(rows)}
