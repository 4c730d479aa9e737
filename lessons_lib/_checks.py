"""Boundary checks shared by the losses: shapes and dtypes, never tensor values.

Looking only at metadata keeps the losses usable under ``torch.func``, ``torch.compile`` and CUDA
graphs. Every message says what was expected, what came, and what to do next.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch


def check_logps(tensors: Mapping[str, torch.Tensor]) -> None:
    """Raise unless all are floating-point tensors of one shape, dtype and device.

    A ``(batch, 1)`` tensor beside a ``(batch,)`` one would broadcast to ``(batch, batch)`` and
    train on nonsense without a word; here it stops.
    """
    first_name, first = next(iter(tensors.items()))
    for name, tensor in tensors.items():
        if not isinstance(tensor, torch.Tensor):
            raise ValueError(
                f"{name}: expected a torch tensor of log-probabilities, got {type(tensor).__name__}; "
                f"wrap it: torch.tensor({name})"
            )
        if not tensor.is_floating_point():
            raise ValueError(
                f"{name}: expected floating-point log-probabilities, got dtype {tensor.dtype}; "
                f"did you pass token ids or labels?"
            )
        if tensor.shape != first.shape:
            raise ValueError(
                f"{name}: expected the shape of {first_name}, {tuple(first.shape)}, got {tuple(tensor.shape)}; "
                f"pass one value per example in each (a trailing 1 can go with .squeeze(-1))"
            )
        if tensor.dtype != first.dtype or tensor.device != first.device:
            raise ValueError(
                f"{name}: expected {first.dtype} on {first.device} like {first_name}, "
                f"got {tensor.dtype} on {tensor.device}; convert with .to({first_name})"
            )


def check_labels(name: str, labels: torch.Tensor, like: torch.Tensor) -> None:
    """Raise unless `labels` is a boolean tensor with the shape of `like`."""
    if not isinstance(labels, torch.Tensor) or labels.dtype != torch.bool:
        came = labels.dtype if isinstance(labels, torch.Tensor) else type(labels).__name__
        raise ValueError(f"{name}: expected a boolean tensor, got {came}; compare first, as in `labels == 1`")
    if labels.shape != like.shape:
        raise ValueError(
            f"{name}: expected one label per example, shape {tuple(like.shape)}, got {tuple(labels.shape)}"
        )
