"""Checks of exercise 5: IPO's loss, and its τ."""

from __future__ import annotations

from collections.abc import Callable

import torch

from lessons_lib import losses
from lessons_lib.grading.verdict import Mistake, Verdict, check_loss, check_numbers


def check_ipo_loss(function: Callable) -> Verdict:
    """Check ``function(policy_chosen, policy_rejected, reference_chosen, reference_rejected, tau)``.

    The right answer is one loss per example, ``(h − 1/(2τ))²``, shape (batch,), with a gradient.
    """

    def right(*logps, tau):
        return losses.ipo_loss(*logps, tau=tau).losses

    return check_loss(function, right, _IPO_MISTAKES, _SUMMED_LOGPS, {"tau": 0.25})


def check_tau_for_margin(function: Callable) -> Verdict:
    """Check ``function(margin)``: the τ at which IPO's loss is smallest at that margin, ``1 / (2 · margin)``."""
    mistakes = (
        Mistake("1/τ instead of 1/(2τ)", lambda margin: 1 / margin, "the target is 1/(2τ): where is the 2?"),
        Mistake("τ/2 for 1/(2τ)", lambda margin: 2 * margin, "solve margin = 1/(2τ) for τ; do not turn it upside down"),
        Mistake("the margin itself", lambda margin: margin, "this is the margin you were given; solve 1/(2τ) = margin"),
        Mistake("half the margin", lambda margin: margin / 2, "a wider margin needs a *smaller* τ"),
    )
    return check_numbers(function, lambda margin: 1 / (2 * margin), mistakes, [(5.0,), (0.8,), (12.5,)])


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
    return check_numbers(function, lambda tau, length: tau * length, mistakes, [(0.1, 15), (0.5, 40), (0.02, 8)])


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
