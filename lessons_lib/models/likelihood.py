"""How likely a model finds given responses, and how far two models are apart on them; without gradients.

Training, which needs gradients and a cache, scores its rows in `training.scoring`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from lessons_lib.logps import IGNORE_INDEX, padded_batch, sequence_logps
from lessons_lib.models.hooks import evaluating

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@torch.no_grad()
def score(
    model: PreTrainedModel,
    prompt_ids: Sequence[Sequence[int]],
    response_ids: Sequence[Sequence[int]],
    *,
    average: bool = False,
    batch_size: int = 128,
) -> torch.Tensor:
    """The log-probability of each response after its prompt, without gradient.

    Args:
        model: a causal language model on any device; its training mode is left as it was.
        prompt_ids, response_ids: token ids, of any lengths, at least one token each.
        average: False: **sum** over the response's tokens, in nats. True: **average**, in nats per token.
        batch_size: sequences scored side by side; those of like length stand together.

    Returns:
        (n,) on the CPU, in the order of the prompts.
    """
    with evaluating(model):
        return _over_batches(
            lambda input_ids, labels: sequence_logps(model(input_ids).logits, labels, average=average),
            prompt_ids,
            response_ids,
            batch_size,
            model.device,
        )


@torch.no_grad()
def divergence(
    model: PreTrainedModel,
    reference: PreTrainedModel,
    prompt_ids: Sequence[Sequence[int]],
    response_ids: Sequence[Sequence[int]],
    *,
    batch_size: int = 128,
) -> torch.Tensor:
    """How far the model's next-token distributions are from the reference's along each response.

    ``Σ_t KL(π(·|x, y_<t) ‖ π_ref(·|x, y_<t))``. Over responses that the model itself sampled, its mean estimates
    the KL divergence of the two models' responses, as the mean of ``log π(y|x) − log π_ref(y|x)`` does, with
    less noise, and never below 0.

    Args:
        model, reference: causal language models on one device.
        prompt_ids, response_ids, batch_size: as in `score`.

    Returns:
        (n,) on the CPU, in nats, summed over each response's tokens.

    Reference:
        Amini, Vieira and Cotterell 2025, arXiv 2504.10637 (the Rao-Blackwellized estimator).
    """

    def measure(input_ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        logps, reference_logps = (m(input_ids).logits[:, :-1].log_softmax(dim=-1) for m in (model, reference))
        by_token = (logps.exp() * (logps - reference_logps)).sum(dim=-1)  # (batch, length − 1)
        return by_token.where(labels[:, 1:] != IGNORE_INDEX, 0).sum(dim=1)

    with evaluating(model), evaluating(reference):
        return _over_batches(measure, prompt_ids, response_ids, batch_size, model.device)


def _over_batches(
    measure: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], prompt_ids, response_ids, batch_size: int, device
) -> torch.Tensor:
    """`measure` of (input ids, labels), one number a row, in batches of rows of like length; in the rows' own order."""
    order = sorted(range(len(prompt_ids)), key=lambda row: len(prompt_ids[row]) + len(response_ids[row]))
    numbers = torch.empty(len(order))
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        input_ids, labels = padded_batch([prompt_ids[row] for row in rows], [response_ids[row] for row in rows])
        numbers[rows] = measure(input_ids.to(device), labels.to(device)).float().cpu()
    return numbers
