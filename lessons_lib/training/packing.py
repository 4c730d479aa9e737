"""The fast path behind `scoring.response_logps`: every token goes through the model once.

The plain path gives each response a sequence of its own, so a prompt is computed twice, rows are padded to the
longest, and logits are made where nobody reads them. Here the batch is one long row of tokens without padding,
each prompt once:

    prompt₀ chosen₀ rejected₀ prompt₁ chosen₁ rejected₁ …

All that a transformer does to one token at a time (embedding, projections, feed-forward) runs on that row.
Attention alone looks across tokens: there, `attend` lays the tokens out as the plain path's sequences, prompt
with response, runs ordinary causal attention, and takes the results back. Position ids say where each token
stands in its sequence. Logits are made only where a response token is predicted, and a large table of them only
piece by piece: at long sequences it would be the largest tensor of all. So the answer is the plain path's, up to
the rounding of sums in another order.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from lessons_lib.logps import in_tiles, target_logps
from lessons_lib.models.hooks import attention_by
from lessons_lib.training.collation import TokenRows

# Tested to give the plain path's log-probs and gradients. Others may mix tokens elsewhere than in attention.
ARCHITECTURES = ("gpt2", "llama", "qwen2", "qwen3")


class PackedBatch(NamedTuple):
    """A batch as one row of tokens, and where each token belongs.

    Attributes:
        input_ids: (1, tokens).
        position_ids: (1, tokens), the place in the token's sequence, which starts with its prompt.
        sequences: (responses, longest), each prompt with one response, as places in the row; padded on the right.
        homes: (tokens,), where in the flattened `sequences` a token stands first.
        predictors: (response tokens,), the place of the token before each response token, whose logits predict it.
        targets: (response tokens,), its id.
        owners: (response tokens,), its response, counted column by column.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    sequences: torch.Tensor
    homes: torch.Tensor
    predictors: torch.Tensor
    targets: torch.Tensor
    owners: torch.Tensor


def can_pack(model: Any) -> bool:
    """Whether the packed path is known to be exact: a tested architecture, whose tokens see all that came before."""
    config = getattr(model, "module", model).config  # `accelerate` wraps the model where there are many processes
    windows = any("sliding" in kind for kind in getattr(config, "layer_types", None) or ())
    return config.model_type in ARCHITECTURES and not windows


def packed_logps(model: Any, rows: TokenRows, *, bf16: bool = False) -> torch.Tensor:
    """Summed log-prob of every response, (columns · rows,), column by column; see `scoring.response_logps`."""
    device = next(model.parameters()).device
    packed = PackedBatch(*(tensor.to(device) for tensor in pack_rows(rows)))
    with (
        torch.autocast(device.type, torch.bfloat16, enabled=bf16),
        attention_by(attend, model),
        scores_for(packed.targets, model),
    ):
        token_logps = model(
            packed.input_ids,
            position_ids=packed.position_ids,
            logits_to_keep=packed.predictors,
            use_cache=False,
            packed=packed,
        ).logits  # the name of what the head makes; here (response tokens,) log-probs
    return token_logps.new_zeros(len(packed.sequences)).index_add(0, packed.owners, token_logps)


@contextmanager
def scores_for(targets: torch.Tensor, model: Any) -> Iterator[None]:
    """Inside, the model's head answers with log-probs of `targets`, (tokens,), where it would make their logits."""
    head = getattr(model, "module", model).get_output_embeddings()
    logits_of = head.forward

    def score(states: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return target_logps(logits_of(states), targets)

    head.forward = lambda hidden: in_tiles(score, hidden[0], targets, vocabulary=head.weight.shape[0])
    try:
        yield
    finally:
        del head.forward  # the class has it too


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    packed: PackedBatch,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attention in the plain path's sequences, for tokens that lie in one row; called by transformers' layers.

    Args:
        query, key, value: (1, heads, tokens, size of a head); key and value can have fewer heads.
        packed: the layout.
        scaling: of the dot products.

    Returns:
        (1, tokens, heads, size of a head), and None for the attention weights.
    """
    places, size = packed.sequences.flatten(), query.shape[3]

    def lay_out(
        tensor: torch.Tensor,
    ) -> torch.Tensor:  # rows of a matrix are gathered, and in the backward pass added up, faster than slices
        gathered = tensor[0].transpose(0, 1).flatten(1).index_select(0, places)  # (responses · longest, width)
        return gathered.view(*packed.sequences.shape, -1, size).transpose(1, 2)

    query, key, value = lay_out(query), lay_out(key), lay_out(value)  # (responses, heads, longest, size of a head)
    seen = F.scaled_dot_product_attention(
        query, key, value, is_causal=True, scale=scaling, enable_gqa=query.shape[1] != key.shape[1]
    )
    return seen.transpose(1, 2).flatten(0, 1).index_select(0, packed.homes).unsqueeze(0), None


def pack_rows(rows: TokenRows) -> PackedBatch:
    """Lay the rows out; see `PackedBatch`."""
    columns = list(rows.responses.values())
    count, longest = (
        len(rows),
        max(len(prompt) + max(map(len, row)) for prompt, *row in zip(rows.prompts, *columns, strict=True)),
    )
    tokens, positions, homes, predictors, targets, owners = (list[int]() for _ in range(6))
    sequences = np.zeros((len(columns) * count, longest), dtype=np.int64)
    for number, prompt in enumerate(rows.prompts):
        start, length = len(tokens), len(prompt)
        tokens += prompt
        positions += range(length)
        homes += range(number * longest, number * longest + length)
        for column, responses in enumerate(columns):
            response, owner, first = responses[number], column * count + number, len(tokens)
            end = length + len(response)
            sequences[owner, :length] = range(start, start + length)
            sequences[owner, length:end] = range(first, first + len(response))
            tokens += response
            positions += range(length, end)
            homes += range(owner * longest + length, owner * longest + end)
            predictors += [start + length - 1, *range(first, first + len(response) - 1)]
            targets += response
            owners += itertools.repeat(owner, len(response))
    lists = ([tokens], [positions], sequences, homes, predictors, targets, owners)
    return PackedBatch(*(torch.from_numpy(np.asarray(values)) for values in lists))
