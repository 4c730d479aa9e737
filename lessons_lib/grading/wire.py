"""What crosses the sandbox's wall: a case's arguments going in, an answer coming out, both as JSON.

Used on both sides. What comes out is encoded by code that shares a process with the learner's and may have been
changed by it; so the reader on the trusted side (`compare`) takes it for data and for nothing more.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from lessons_lib.grading.spec import JSON


def decode_case(case: dict[str, JSON], gradient: Sequence[str] = ()) -> dict[str, object]:
    """The arguments that a case stands for; tensors named in `gradient` ask for one."""
    arguments = {name: _decode(value) for name, value in case.items()}
    for name in gradient:
        arguments[name].requires_grad_()
    return arguments


def _decode(value: JSON) -> object:
    if isinstance(value, list):
        return [_decode(part) for part in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"tensor"}:
        import torch

        is_bool = torch.tensor(value["tensor"]).dtype == torch.bool
        return torch.tensor(value["tensor"], dtype=torch.bool if is_bool else torch.float64)
    if set(value) == {"integers"}:
        import torch

        return torch.tensor(value["integers"])
    if set(value) == {"bigram"}:
        import torch

        from lessons_lib.models.bigram import Bigram

        return Bigram(torch.tensor(value["bigram"], dtype=torch.float64))
    if set(value) == {"facts"}:
        from lessons_lib.advice.decide import Facts

        return Facts(**value["facts"])
    return {name: _decode(part) for name, part in value.items()}


def call(function: Callable, case: dict[str, JSON], gradient: Sequence[str] = ()) -> dict[str, JSON]:
    """The answer of a function to a case, encoded, with the gradients of its sum that were asked for."""
    if function is ...:
        return encode(function)
    arguments = decode_case(case, gradient)
    answer = function(**arguments)
    encoded = encode(answer)
    if gradient and encoded.get("requires_grad"):
        import torch

        inputs = [arguments[name] for name in gradient]
        found = torch.autograd.grad(answer.sum(), inputs, allow_unused=True)
        encoded["gradients"] = {
            name: None if g is None else g.detach().tolist() for name, g in zip(gradient, found, strict=True)
        }
    return encoded


def encode(value: object) -> dict[str, JSON]:
    """``{"tensor": …, "shape": …, "requires_grad": …}`` or ``{"json": …}``; a TypeError for anything else.

    Where the ``...`` of a stub was left, whole or inside, it is a None, and ``"unfilled": True`` says so.
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return {"tensor": value.detach().tolist(), "shape": list(value.shape), "requires_grad": value.requires_grad}
    return {"json": _plain(value)} | ({"unfilled": True} if _unfilled(value) else {})


def _unfilled(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_unfilled, value))
    return any(map(_unfilled, value.values())) if isinstance(value, dict) else value is ...


def _plain(value: object) -> JSON:
    if value is ...:
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if hasattr(value, "tolist"):  # NumPy's numbers and arrays, and tensors inside a list
        return _plain(value.tolist())
    raise TypeError(f"an answer of type {type(value).__name__}, where numbers, texts, lists and tensors can be marked")
