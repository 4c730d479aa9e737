"""Replies sampled from a causal language model, each by its own luck."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from tqdm.auto import tqdm

from lessons_lib.models.hooks import evaluating

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@torch.no_grad()
def sample(
    model: PreTrainedModel,
    prompt_ids: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    eos_id: int,
    seed: int,
    temperature: float = 1.0,
    batch_size: int = 512,
    progress: bool = False,
) -> list[list[int]]:
    """One sampled response for each prompt, from the model's full distribution (no top-k, no top-p).

    Each response draws its own row of uniform random numbers from `seed` and inverts the model's
    cumulative distribution with them. It therefore does not depend on which prompts share its batch
    (rounding aside), and two models sampled with one seed face the same luck.

    Args:
        model: a causal language model on any device; its training mode is left as it was.
        prompt_ids: token ids of each prompt, not necessarily of equal length.
        max_new_tokens: longest response, its end-of-text token included.
        eos_id: a response ends after this token; one that never emits it has `max_new_tokens` tokens.
        seed: same seed, same model, same prompts: same responses.
        temperature: > 0; 1 samples the model as it is.
        batch_size: prompts decoded side by side.
        progress: show a progress bar.

    Returns:
        For each prompt the ids of its response, the end-of-text token included where it came.
    """
    if not temperature > 0:
        raise ValueError(f"temperature: expected a number above 0, got {temperature}")
    if not all(len(prompt) for prompt in prompt_ids):
        raise ValueError("prompt_ids: expected at least one token in each prompt; begin with the bos token")
    uniforms = torch.rand(
        len(prompt_ids), max_new_tokens, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    responses = []
    with evaluating(model):
        for start in tqdm(range(0, len(prompt_ids), batch_size), desc="sampling", disable=not progress):
            rows = slice(start, start + batch_size)
            responses += _sample_batch(model, prompt_ids[rows], uniforms[rows], eos_id, temperature)
    return responses


def _sample_batch(model, prompt_ids, uniforms, eos_id: int, temperature: float) -> list[list[int]]:
    """Decode one batch with a key-value cache; a row leaves the cache when its response has ended."""
    input_ids, mask = _left_pad(prompt_ids, model.device)
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    responses: list[list[int]] = [[] for _ in prompt_ids]
    alive = torch.arange(len(prompt_ids))
    cache = None
    for step in itertools.count():
        output = model(
            input_ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,  # of a prompt only the last token's: with a large vocabulary most of the work
        )
        tokens = _draw(output.logits[:, -1].cpu(), uniforms[alive, step], temperature)
        for row, token in zip(alive.tolist(), tokens.tolist(), strict=True):
            responses[row].append(token)
        keep = (tokens != eos_id).nonzero().flatten()
        if step + 1 == uniforms.shape[1] or not len(keep):
            return responses
        cache, alive, on_device = output.past_key_values, alive[keep], keep.to(model.device)
        if len(keep) < len(tokens):
            cache.batch_select_indices(on_device)
        input_ids = tokens[keep].unsqueeze(1).to(model.device)
        mask = torch.nn.functional.pad(mask[on_device], (0, 1), value=1)
        positions = positions[on_device, -1:] + 1


def _draw(logits: torch.Tensor, uniforms: torch.Tensor, temperature: float) -> torch.Tensor:
    """Invert each row's cumulative distribution at its uniform number: (rows, vocabulary), (rows,) -> (rows,)."""
    cumulative = (logits.double() / temperature).softmax(dim=1).cumsum(dim=1)
    targets = uniforms * cumulative[:, -1]  # the last entry is 1 up to rounding: scaled, the search cannot fall off
    return torch.searchsorted(cumulative, targets.unsqueeze(1), right=True).squeeze(1)


def _left_pad(prompt_ids: Sequence[Sequence[int]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Prompts of any lengths as one matrix that ends where each prompt ends, and its mask, made from the lengths."""
    longest = max(len(prompt) for prompt in prompt_ids)
    input_ids = torch.zeros(len(prompt_ids), longest, dtype=torch.long)
    mask = torch.zeros_like(input_ids)
    for row, prompt in enumerate(prompt_ids):
        input_ids[row, longest - len(prompt) :] = torch.as_tensor(prompt)
        mask[row, longest - len(prompt) :] = 1
    return input_ids.to(device), mask.to(device)
