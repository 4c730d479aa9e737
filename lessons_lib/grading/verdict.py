"""Immediate feedback: a check takes the learner's function and answers with a `Verdict` that teaches.

A verdict says which input was used, what was expected, what came, and one likely cause. The likely cause
is found by trying: each typical mistake is written down once as the function a learner would have written,
and the learner's numbers are compared with its numbers.

These checks run in the learner's own process and are no protection against anybody; they give no marks.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass


class Answer:
    """What a check says, true in a condition when it passed. nbgrader's button "Validate" counts what did not.

    That button runs the notebook and calls a check's cell failed where it wrote to standard error.
    """

    def _ipython_display_(self) -> None:
        validating = os.environ.get("NBGRADER_VALIDATING")
        print(self, file=sys.stderr if validating and not self else sys.stdout)


@dataclass(frozen=True)
class Verdict(Answer):
    """Whether an answer is right, and what to say about it. True in a condition when it passed."""

    passed: bool
    message: str

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return f"{'✓' if self.passed else '✗'} {self.message}"


@dataclass(frozen=True)
class Mistake:
    """A typical wrong answer: the function it amounts to, and what to tell its author."""

    name: str
    answer: Callable
    hint: str


NOT_WRITTEN = "your function returns nothing yet: write it, and let it return its answer"
_PAIRS_HINT = "compare your h with (policy_chosen − reference_chosen) − (policy_rejected − reference_rejected)"


def check_loss(
    function,
    right,
    mistakes: Sequence[Mistake],
    logps: dict,
    hyperparameters: dict,
    *,
    rows: str = "pairs",
    otherwise: str = _PAIRS_HINT,
) -> Verdict:
    """Judge a loss by its kind of answer, its shape, its gradient and its values, in this order.

    `rows` says what the batch is made of; `otherwise` is the hint where no mistake is recognised.
    """
    import torch  # here, so that exercises without tensors are graded without loading it

    inputs = [torch.tensor(values, dtype=torch.float64, requires_grad=True) for values in logps.values()]
    shown = ", ".join(f"{name}={values}" for name, values in logps.items())
    shown += "".join(f", {name}={value}" for name, value in hyperparameters.items())
    expected = right(*inputs, **hyperparameters).detach()
    try:
        came = function(*inputs, **hyperparameters)
    except Exception as error:  # whatever the learner's code raises is an answer to explain
        return Verdict(False, f"with {shown}\nyour function raised {type(error).__name__}: {error}")

    def wrong(cause: str) -> Verdict:
        got = came.detach().tolist() if isinstance(came, torch.Tensor) else came
        return Verdict(False, f"with {shown}\nexpected {_rounded(expected.tolist())}\ngot {_rounded(got)}\n{cause}")

    if came is None:
        return Verdict(False, f"with {shown}\n{NOT_WRITTEN}")
    if not isinstance(came, torch.Tensor):
        return wrong(f"likely cause: the answer is a {type(came).__name__}; return the tensor of losses")
    if came.ndim == 0:
        return wrong("likely cause: already averaged over the batch; return one loss per example")
    if came.shape != expected.shape:
        asked = tuple(expected.shape)
        return wrong(f"likely cause: shape {tuple(came.shape)} where one loss per example, {asked}, was asked for")
    if torch.allclose(came.detach().to(expected), expected, rtol=1e-6, atol=1e-9):
        if not came.requires_grad:
            return wrong("likely cause: no gradient; stay in torch and leave out .item(), .detach() and float()")
        return Verdict(True, f"right on a batch of {len(expected)} {rows}: {_rounded(expected.tolist())}")
    if (came == came[0]).all():
        return wrong("likely cause: a constant; the answer does not depend on the log-probs")
    for mistake in mistakes:
        if torch.allclose(came.detach().to(expected), mistake.answer(*inputs, **hyperparameters).detach(), rtol=1e-6):
            return wrong(f"likely cause: {mistake.name}: {mistake.hint}")
    return wrong(otherwise)


def check_numbers(function, right: Callable, mistakes: Sequence[Mistake], cases: Sequence[tuple]) -> Verdict:
    """Judge a function of plain numbers on a few inputs, all of which a mistake must match to be named."""
    try:
        came = [function(*case) for case in cases]
    except Exception as error:  # whatever the learner's code raises is an answer to explain
        return Verdict(False, f"with {cases[0]}\nyour function raised {type(error).__name__}: {error}")
    if all(value is None for value in came):
        return Verdict(False, f"with {cases[0]}\n{NOT_WRITTEN}")
    for case, value in zip(cases, came, strict=True):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return Verdict(False, f"with {case}\nexpected a number, got {type(value).__name__}; return the number")
        if not abs(value - right(*case)) <= 1e-6 * abs(right(*case)):  # this way round, NaN is wrong
            likely = next((m for m in mistakes if _agrees(m.answer, cases, came)), None)
            cause = f"\nlikely cause: {likely.name}: {likely.hint}" if likely else ""
            return Verdict(False, f"with {case}\nexpected {_rounded(right(*case))}\ngot {_rounded(value)}{cause}")
    return Verdict(True, "right: " + ", ".join(f"{case} → {_rounded(right(*case))}" for case in cases))


def _agrees(answer: Callable, cases: Sequence[tuple], came: Sequence[float]) -> bool:
    return all(abs(answer(*case) - value) <= 1e-6 * abs(value) for case, value in zip(cases, came, strict=True))


def _rounded(value):
    """Numbers to four digits, lists element by element, anything else as it is."""
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value
