"""From logits to the log-probability of each response: the sum-or-average choice is made here.

Knows how labels line up with logits; knows nothing of methods, models or data. Response tokens are
those whose label is not `ignore_index`: whoever builds the labels marks prompt and padding from
*lengths*, never from ``id == pad``, because a pad id can occur as a real token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.utils.checkpoint import checkpoint

IGNORE_INDEX = -100
TILE = 2**25  # float32 entries, 128 MiB: of vocabulary-wide tables, no larger one is made at once


def sequence_logps(
    logits: torch.Tensor, labels: torch.Tensor, *, average: bool = False, ignore_index: int = IGNORE_INDEX
) -> torch.Tensor:
    """Log-probability of each response, summed over its tokens or averaged over them.

    ``log π(y|x) = Σ_t log softmax(logits_{t−1})[y_t]`` over positions t whose label is not ignored.

    Args:
        logits: (batch, length, vocabulary), any floating dtype. The logits at position t predict
            the token at t + 1; the shift happens in here.
        labels: (batch, length) token ids aligned with the input ids, as in transformers, with
            `ignore_index` on prompt and padding. Left and right padding are alike.
        average: False: **sum** over response tokens, in nats. True: **average**, in nats per token.
        ignore_index: the label that marks a position as not part of the response.

    Returns:
        (batch,) in float32, or float64 for float64 logits. Ignored positions are never read, so a
        NaN at a pad position changes neither the value nor the gradient.

    Raises:
        ValueError: if the shapes do not fit, or a response has no token that can be predicted (the
            first position has no logits before it, so it cannot be scored).

    Example:
        >>> logits = torch.zeros(1, 3, 4)                          # uniform over 4 tokens
        >>> labels = torch.tensor([[-100, 2, 1]])                  # one prompt token, two response tokens
        >>> round(sequence_logps(logits, labels).item(), 4)        # 2 · log(1/4)
        -2.7726

    Reference:
        Rafailov et al. 2023, arXiv 2305.18290 (sum); Meng et al. 2024, arXiv 2405.14734, Eq. 3 (average).
    """
    token_logps, is_response = response_token_logps(logits, labels, ignore_index=ignore_index)
    lengths = is_response.sum(dim=1)
    if (lengths == 0).any():
        empty = (lengths == 0).nonzero().flatten().tolist()
        raise ValueError(
            f"labels: expected at least one response token after the first position in each row, "
            f"rows {empty} have none; drop empty responses and give each prompt at least one token"
        )
    sums = token_logps.sum(dim=1)
    return sums / lengths if average else sums


def response_token_logps(
    logits: torch.Tensor, labels: torch.Tensor, *, ignore_index: int = IGNORE_INDEX
) -> tuple[torch.Tensor, torch.Tensor]:
    """Per-token log-probabilities, 0 outside the response, and the mask of response tokens.

    Args and errors as in `sequence_logps`.

    Returns:
        token_logps: (batch, length − 1), in nats; column t is the token at input position t + 1.
        is_response: (batch, length − 1), boolean.
    """
    if logits.ndim != 3 or labels.shape != logits.shape[:2]:
        raise ValueError(
            f"expected logits (batch, length, vocabulary) and labels (batch, length), "
            f"got {tuple(logits.shape)} and {tuple(labels.shape)}"
        )
    targets = labels[:, 1:]  # (batch, length − 1)
    is_response = targets != ignore_index
    # Selecting before the cast keeps the float32 copy to response positions, and lets nothing
    # that stands at a prompt or pad position reach the sum.
    selected = logits[:, :-1][is_response]  # (response tokens, vocabulary)
    chosen = in_tiles(target_logps, selected, targets[is_response], vocabulary=logits.shape[2])
    token_logps = chosen.new_zeros(targets.shape).masked_scatter(is_response, chosen)
    return token_logps, is_response


def target_logps(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Log-probability of each target: (tokens, vocabulary) and (tokens,) give (tokens,), in float32 at least."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return logits.gather(1, targets.unsqueeze(1)).squeeze(1) - logits.logsumexp(dim=1)


def in_tiles(
    score: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    states: torch.Tensor,
    targets: torch.Tensor,
    *,
    vocabulary: int,
) -> torch.Tensor:
    """`score(states, targets)`, which makes a (tokens, vocabulary) table, piece by piece where that table is large.

    A piece keeps nothing of its table for the backward pass, which computes it again. So at most `TILE` entries
    exist at a time, however many tokens there are; small tables are made whole and kept, which is faster.

    Args:
        score: answers with one value a token, each from its own state and target alone.
        states: (tokens, size).
        targets: (tokens,).
        vocabulary: entries of the table for each token.
    """
    tokens = max(1, TILE // vocabulary)
    if len(targets) <= tokens:
        return score(states, targets)
    pieces = zip(states.split(tokens), targets.split(tokens), strict=True)
    return torch.cat([checkpoint(score, *piece, use_reentrant=False, preserve_rng_state=False) for piece in pieces])


def padded_batch(
    prompt_ids: Sequence[Sequence[int]], response_ids: Sequence[Sequence[int]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Prompts with their responses as one right-padded batch: (input ids, labels), each (batch, longest).

    Labels are the ids on response tokens and `IGNORE_INDEX` on prompt and padding, decided by lengths. A causal
    model needs no attention mask for it: the padding comes after everything that is scored.
    """
    longest = max(len(prompt) + len(response) for prompt, response in zip(prompt_ids, response_ids, strict=True))
    input_ids = torch.zeros(len(prompt_ids), longest, dtype=torch.long)
    labels = torch.full_like(input_ids, IGNORE_INDEX)
    for row, (prompt, response) in enumerate(zip(prompt_ids, response_ids, strict=True)):
        end = len(prompt) + len(response)
        input_ids[row, :end] = torch.as_tensor([*prompt, *response])
        labels[row, len(prompt) : end] = input_ids[row, len(prompt) : end]
    return input_ids, labels
