"""Holds on a model's inside: its mode, its layers, the function that computes its attention."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@contextmanager
def evaluating(model: PreTrainedModel):
    """Evaluation mode (no dropout) inside, the mode of before after it."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def layers_of(model) -> list[torch.nn.Module]:
    """The blocks that a transformer repeats, in their order; none for a model that is not transformers' own."""
    from transformers.modeling_layers import GradientCheckpointingLayer  # the base of all of them

    return [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]


@contextmanager
def attention_by(function, model):
    """Inside, `function` computes attention in the model's layers, and nobody makes a mask for it.

    It takes the arguments of transformers' attention functions; what the model's call gets beyond its own
    arguments, it gets too.
    """
    import transformers

    config = getattr(model, "module", model).config  # `accelerate` wraps the model where there are many processes
    before = config._attn_implementation
    transformers.AttentionInterface.register(function.__qualname__, function)
    config._attn_implementation = function.__qualname__
    try:
        yield
    finally:
        config._attn_implementation = before
