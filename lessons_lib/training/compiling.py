"""`torch.compile` for the layers of a model: fewer, larger kernels, for a minute of compiling when training starts.

Only the layers are compiled, one piece of code for all of them: they are where a step's time goes, they are alike,
and what stands around them (the packed layout, the log-probs in tiles) changes from batch to batch.
"""

from __future__ import annotations

import torch

from lessons_lib.errors import UserError
from lessons_lib.models.hooks import layers_of


class CompiledLayers:
    """Inside `with`, and only there, the model's layers run compiled; it can be entered again and again.

    Outside, the model is as it was: generating text, for one, would have its layers compiled anew for every way in
    which it calls them.

    Raises:
        UserError: for a model without layers that transformers marks as such; and on leaving, where the compiler
            failed.
    """

    def __init__(self, model: torch.nn.Module):
        self.layers = layers_of(model)
        if not self.layers:
            raise UserError(f"compile: {type(model).__name__} has no layers known to transformers; set compile=False")
        # Batches differ in tokens, responses and longest sequence: one compiled layer serves all of them.
        self.calls = [torch.compile(layer._call_impl, dynamic=True) for layer in self.layers]

    def __enter__(self) -> None:
        for layer, call in zip(self.layers, self.calls, strict=True):
            layer._compiled_call_impl = call  # what `Module.compile` sets; PyTorch has no way back from it

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        for layer in self.layers:
            layer._compiled_call_impl = None
        if isinstance(error, torch._dynamo.exc.TorchDynamoException):
            raise UserError(
                f"compile: torch.compile failed: {str(error).strip().splitlines()[0]} "
                f"On a CPU it needs a C++ compiler such as g++; set compile=False to train without it"
            ) from error
