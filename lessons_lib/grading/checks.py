"""Immediate feedback: a check takes the learner's function and answers with a `Verdict` that teaches.

A verdict says which input was used, what was expected, what came, and one likely cause. The likely cause
is found by trying: each typical mistake is written down once as the function a learner would have written,
and the learner's numbers are compared with its numbers.

These checks run in the learner's own process and are no protection against anybody; they give no marks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from lessons_lib import losses


@dataclass(frozen=True)
class Verdict:
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


def check_ipo_loss(function: Callable) -> Verdict:
    """Check ``function(policy_chosen, policy_rejected, reference_chosen, reference_rejected, tau)``.

    The right answer is one loss per example, ``(h − 1/(2τ))²``, shape (batch,), with a gradient.
    """

    def right(*logps, tau):
        return losses.ipo_loss(*logps, tau=tau).losses

    return _check_loss(function, right, _IPO_MISTAKES, _SUMMED_LOGPS, {"tau": 0.25})


def check_tau_for_margin(function: Callable) -> Verdict:
    """Check ``function(margin)``: the τ at which IPO's loss is smallest at that margin, ``1 / (2 · margin)``."""
    mistakes = (
        Mistake("1/τ instead of 1/(2τ)", lambda margin: 1 / margin, "the target is 1/(2τ): where is the 2?"),
        Mistake("τ/2 for 1/(2τ)", lambda margin: 2 * margin, "solve margin = 1/(2τ) for τ; do not turn it upside down"),
        Mistake("the margin itself", lambda margin: margin, "this is the margin you were given; solve 1/(2τ) = margin"),
        Mistake("half the margin", lambda margin: margin / 2, "a wider margin needs a *smaller* τ"),
    )
    return _check_numbers(function, lambda margin: 1 / (2 * margin), mistakes, [(5.0,), (0.8,), (12.5,)])


def check_averaged_tau(function: Callable) -> Verdict:
    """Check ``function(tau, length)``: the τ for averaged log-probs with the target of `tau` on sums.

    Two responses of `length` tokens, a target of 1/(2τ) nats in all, so 1/(2τ·length) nats per token: τ · length.
    """
    mistakes = (
        Mistake("τ copied", lambda tau, length: tau, "the same τ asks for 1/(2τ) nats in each token, far more in all"),
        Mistake("divided", lambda tau, length: tau / length, "a smaller target needs a larger τ; you made it smaller"),
        Mistake("square root", lambda tau, length: tau * length**0.5, "an average divides by the length, not its root"),
        Mistake("the target", lambda tau, length: 1 / (2 * tau * length), "this is the target per token; find its τ"),
    )
    return _check_numbers(function, lambda tau, length: tau * length, mistakes, [(0.1, 15), (0.5, 40), (0.02, 8)])


# One batch that tells the typical mistakes apart: no two of its log-ratios, margins or halves coincide.
_SUMMED_LOGPS = {
    "policy_chosen": [-11.0, -7.5, -20.0],
    "policy_rejected": [-14.5, -6.0, -23.0],
    "reference_chosen": [-12.0, -8.0, -19.0],
    "reference_rejected": [-13.0, -9.5, -21.5],
}


def _target(tau: float) -> float:
    return 1 / (2 * tau)


_IPO_MISTAKES = (
    Mistake("sign of h turned", lambda pc, pr, rc, rr, tau: (pc - rc - pr + rr + _target(tau)) ** 2,
            "chosen and rejected swapped, policy and reference swapped, or + for − before 1/(2τ): all three do this"),
    Mistake("sign flipped", lambda pc, pr, rc, rr, tau: -((pc - rc - pr + rr - _target(tau)) ** 2),
            "training minimizes the loss; yours is largest where it should be smallest"),
    Mistake("reference ignored", lambda pc, pr, rc, rr, tau: (pc - pr - _target(tau)) ** 2,
            "h compares log-*ratios*: subtract the reference's log-probs"),
    Mistake("τ/2 for 1/(2τ)", lambda pc, pr, rc, rr, tau: (pc - rc - pr + rr - tau / 2) ** 2,
            "the target is 1/(2τ), and `1 / 2 * tau` in Python is τ/2; write 1 / (2 * tau)"),
    Mistake("1/τ for 1/(2τ)", lambda pc, pr, rc, rr, tau: (pc - rc - pr + rr - 1 / tau) ** 2,
            "the target margin is 1/(2τ), half of yours"),
    Mistake("τ inside the square", lambda pc, pr, rc, rr, tau: (tau * (pc - rc - pr + rr) - 0.5) ** 2,
            "this is τ² times the loss: h itself is not scaled, the target is"),
    Mistake("square forgotten", lambda pc, pr, rc, rr, tau: pc - rc - pr + rr - _target(tau),
            "without the square the loss has no lowest point"),
    Mistake("absolute value", lambda pc, pr, rc, rr, tau: (pc - rc - pr + rr - _target(tau)).abs(),
            "IPO squares the distance to the target"),
    Mistake("DPO's loss", lambda pc, pr, rc, rr, tau: -torch.nn.functional.logsigmoid(tau * (pc - rc - pr + rr)),
            "this is −log σ(τh), which never stops; IPO squares the distance to 1/(2τ)"),
    Mistake("log-ratios added", lambda pc, pr, rc, rr, tau: (pc - rc + pr - rr - _target(tau)) ** 2,
            "h is the *difference* of the two log-ratios: mind the brackets around the second one"),
)  # fmt: skip


def _check_loss(function, right, mistakes: Sequence[Mistake], logps: dict, hyperparameters: dict) -> Verdict:
    """Judge a loss by its kind of answer, its shape, its gradient and its values, in this order."""
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

    if not isinstance(came, torch.Tensor):
        return wrong(f"likely cause: the answer is a {type(came).__name__}; return the tensor of losses")
    if came.ndim == 0:
        return wrong("likely cause: already averaged over the batch; return one loss per example")
    if came.shape != expected.shape:
        return wrong(f"likely cause: shape {tuple(came.shape)} where one loss per example, (3,), was asked for")
    if torch.allclose(came.detach().to(expected), expected, rtol=1e-6, atol=1e-9):
        if not came.requires_grad:
            return wrong("likely cause: no gradient; stay in torch and leave out .item(), .detach() and float()")
        return Verdict(True, f"right on a batch of {len(expected)} pairs: {_rounded(expected.tolist())}")
    if (came == came[0]).all():
        return wrong("likely cause: a constant; the answer does not depend on the log-probs")
    for mistake in mistakes:
        if torch.allclose(came.detach().to(expected), mistake.answer(*inputs, **hyperparameters).detach(), rtol=1e-6):
            return wrong(f"likely cause: {mistake.name}: {mistake.hint}")
    return wrong("compare your h with (policy_chosen − reference_chosen) − (policy_rejected − reference_rejected)")


def _check_numbers(function, right: Callable, mistakes: Sequence[Mistake], cases: Sequence[tuple]) -> Verdict:
    """Judge a function of plain numbers on a few inputs, all of which a mistake must match to be named."""
    try:
        came = [function(*case) for case in cases]
    except Exception as error:  # whatever the learner's code raises is an answer to explain
        return Verdict(False, f"with {cases[0]}\nyour function raised {type(error).__name__}: {error}")
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
