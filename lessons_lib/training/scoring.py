"""How likely a causal language model finds responses: the bridge from token rows to what the losses take.

`response_logps` scores one batch, with gradients: by the plain path below, or by `packing` where it is
known to be exact. `score_rows` scores a whole data set once, without them,
and remembers the answer by content: the same rows under the same weights are not scored twice.
"""

from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tqdm.auto import tqdm

from lessons_lib.logps import padded_batch, sequence_logps
from lessons_lib.training.collation import Tokenized, TokenRows
from lessons_lib.training.packing import can_pack, packed_logps
from lessons_lib.training.sharding import whole

if TYPE_CHECKING:
    from accelerate import Accelerator

_memory: dict[str, dict[str, torch.Tensor]] = {}


def response_logps(model: Any, rows: TokenRows, *, bf16: bool = False) -> dict[str, torch.Tensor]:
    """Log-probability of every response of a batch, **summed** over its tokens, in nats.

    Args:
        model: a Hugging Face causal model, bare or wrapped by `accelerate`.
        rows: the batch. All its columns go through the model in one pass.
        bf16: compute in bfloat16; the log-probs themselves are float32 all the same.

    Returns:
        Column name to (rows,), with gradients where they are enabled.
    """
    logps = packed_logps(model, rows, bf16=bf16) if can_pack(model) else padded_logps(model, rows, bf16=bf16)
    return dict(zip(rows.responses, logps.split(len(rows)), strict=True))


def logps_and_balance(
    model: Any, rows: TokenRows, *, bf16: bool = False
) -> tuple[dict[str, torch.Tensor], torch.Tensor | None]:
    """`response_logps`, and a mixture of experts' load-balancing loss over the same tokens; None for other models."""
    if not router_weight(model):
        return response_logps(model, rows, bf16=bf16), None
    output, labels = _padded_pass(model, rows, bf16=bf16, output_router_logits=True)
    logps = sequence_logps(output.logits, labels)
    return dict(zip(rows.responses, logps.split(len(rows)), strict=True)), output.aux_loss


def router_weight(model: Any) -> float:
    """What a mixture of experts' configuration weighs its load-balancing loss with, as TRL reads it; 0 without one."""
    config = getattr(model, "module", model).config.get_text_config()
    return getattr(config, "router_aux_loss_coef", 0.0) if hasattr(config, "output_router_logits") else 0.0


def padded_logps(model: Any, rows: TokenRows, *, bf16: bool = False) -> torch.Tensor:
    """The plain path, for any causal model: one right-padded sequence a response, (columns · rows,)."""
    output, labels = _padded_pass(model, rows, bf16=bf16)
    return sequence_logps(output.logits, labels)


def _padded_pass(
    model: Any, rows: TokenRows, *, bf16: bool, output_router_logits: bool = False
) -> tuple[Any, torch.Tensor]:
    """The model's output for a batch, and its labels. A router's loss needs to know which tokens are padding."""
    device = next(model.parameters()).device
    responses = [ids for column in rows.responses.values() for ids in column]
    prompts = rows.prompts * len(rows.responses)
    input_ids, labels = padded_batch(prompts, responses)
    extra: dict[str, Any] = {}
    if output_router_logits:
        lengths = torch.tensor([len(prompt) + len(ids) for prompt, ids in zip(prompts, responses, strict=True)])
        mask = torch.arange(input_ids.shape[1]) < lengths[:, None]
        extra = {"output_router_logits": True, "attention_mask": mask.long().to(device)}
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        return model(input_ids.to(device), use_cache=False, **extra), labels.to(device)


def score_rows(
    model: Any,
    rows: Tokenized,
    *,
    rows_per_pass: int,
    accelerator: Accelerator,
    bf16: bool = False,
    cache_dir: str | None = None,
    progress: bool = False,
) -> dict[str, torch.Tensor]:
    """`response_logps` of every row, without gradients, once for the same weights and the same rows.

    Args:
        model: the reference, on the accelerator's device.
        rows: all rows of the data set.
        rows_per_pass: rows of one forward pass. Rows of like length share a pass, and what shares a pass
            depends on nothing but the arguments, so that the answer is the same to the last bit.
        accelerator: shares the passes among its processes.
        bf16: compute in bfloat16.
        cache_dir: a folder that keeps the answers for later processes; None keeps them in memory only.
        progress: show a progress bar.

    Returns:
        Column name to (rows,).
    """
    precision = (bf16, accelerator.mixed_precision)
    setting = (fingerprint(model), rows_fingerprint(rows), rows_per_pass, accelerator.device.type, precision)
    key = hashlib.blake2b(repr(setting).encode(), digest_size=16).hexdigest()
    file = Path(cache_dir, f"{key}.safetensors") if cache_dir else None
    if key not in _memory:
        if file and file.exists():
            _memory[key] = load_file(file)
        else:
            _memory[key] = _score(model, rows, rows_per_pass, accelerator, bf16, progress)
    if file and not file.exists() and accelerator.is_main_process:
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(f".{os.getpid()}")
        save_file(_memory[key], unfinished)
        unfinished.replace(file)  # a reader finds the whole file or none
    return {column: logps.to(accelerator.device) for column, logps in _memory[key].items()}


@torch.no_grad()
def _score(
    model: Any, rows: Tokenized, rows_per_pass: int, accelerator: Accelerator, bf16: bool, progress: bool
) -> dict[str, torch.Tensor]:
    by_length = np.argsort(rows.row_lengths(), kind="stable")
    passes, processes = math.ceil(len(rows) / rows_per_pass), accelerator.num_processes
    # Every process takes as many turns, since a sharded model needs all of them; the last may repeat a pass.
    turns = range(accelerator.process_index, math.ceil(passes / processes) * processes, processes)
    dtype = torch.promote_types(next(model.parameters()).dtype, torch.float32)
    scores = torch.zeros(len(rows.responses), len(rows), dtype=dtype, device=accelerator.device)
    for turn in tqdm(turns, "reference", unit="pass", disable=not progress):
        start = turn % passes * rows_per_pass
        indices = by_length[start : start + rows_per_pass].tolist()
        logps = response_logps(model, rows.select(indices), bf16=bf16)
        if turn < passes:
            scores[:, indices] = torch.stack(list(logps.values())).to(dtype)
    scores = accelerator.reduce(scores, "sum")  # each row was scored by one process and is 0 in the others
    return {column: row.clone() for column, row in zip(rows.responses, scores.cpu(), strict=True)}


def fingerprint(model: Any) -> str:
    """A hash of the model's weights and configuration."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(model.config.to_json_string().encode())
    for name, parameter in model.named_parameters():
        digest.update(f"{name} {parameter.dtype} {tuple(parameter.shape)}".encode())
        digest.update(whole(parameter.detach()).cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def rows_fingerprint(rows: Tokenized) -> str:
    """A hash of every token of every row, and of the labels; the same for rows in memory and on disk."""
    digest = hashlib.blake2b(repr(tuple(rows.responses)).encode(), digest_size=16)
    for chunk in rows.chunks():
        digest.update(chunk)
    if rows.labels is not None:
        digest.update(rows.labels.cpu().numpy().tobytes())
    return digest.hexdigest()
