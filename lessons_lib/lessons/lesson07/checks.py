"""Checks of exercise 7: log-odds that stay finite, ORPO's loss, and what is left of the odds in a sum."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F

from lessons_lib import losses
from lessons_lib.grading.verdict import Mistake, Verdict, check_loss, check_numbers


def check_log_odds(function: Callable) -> Verdict:
    """Check ``function(logp)``: log(P / (1 − P)) for each log P < 0, finite to both ends."""
    verdict = check_loss(
        function, _log_odds, _LOG_ODDS_MISTAKES, {"logp": _ENDS}, {}, rows="log-probs", otherwise=_COMPARE_ODDS
    )
    if not verdict:
        return verdict
    logp = torch.tensor(_ENDS, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(function(logp).sum(), logp)
    if not gradient.isfinite().all():
        return Verdict(
            False,
            f"with logp={_ENDS}\nyour values are right, and their gradient is {gradient.tolist()}\n"
            "likely cause: torch.where sends a gradient through both branches, and 0 · inf is NaN; "
            "one formula, with expm1, does for all of them",
        )
    return verdict


def check_orpo_loss(function: Callable) -> Verdict:
    """Check ``function(policy_chosen, policy_rejected, chosen_nll, lam)``: NLL − λ log σ(log odds ratio) of each pair.

    The log-probs are averaged over tokens; one of the batch is nearly 0.
    """

    def right(policy_chosen, policy_rejected, chosen_nll, lam):
        return losses.orpo_loss(policy_chosen, policy_rejected, chosen_nll, lam=lam).losses

    return check_loss(function, right, _ORPO_MISTAKES, _AVERAGED_LOGPS, {"lam": 0.25}, otherwise=_COMPARE_LOSS)


def check_odds_part(function: Callable) -> Verdict:
    """Check ``function(average, tokens)``: −log(1 − P) for the sum of `tokens` log-probs of `average` nats each."""
    mistakes = (
        Mistake("the average", lambda a, n: _odds_part(a, 1), "P is the probability of the sum: average · tokens"),
        Mistake("rounded away", lambda a, n: -math.log(1 - math.exp(a * n)), "1 − P rounds to 1; use log1p or expm1"),
        Mistake("sign flipped", lambda a, n: -_odds_part(a, n), "1 − P is below 1, its log below 0: minus that"),
        Mistake("the whole log-odds", lambda a, n: a * n + _odds_part(a, n), "leave out log P; the rest is asked for"),
        Mistake("divided", lambda a, n: _odds_part(a / n, 1), "a sum of n log-probs is n times their average"),
        Mistake("P itself", lambda a, n: math.exp(a * n), "nearly right where P is tiny; take −log(1 − P)"),
        Mistake("1 − P", lambda a, n: 1 - math.exp(a * n), "take minus the logarithm of it"),
    )  # fmt: skip
    return check_numbers(function, _odds_part, mistakes, [(-0.5, 1), (-0.5, 20), (-0.1, 10), (-1.5, 30)])


def _odds_part(average: float, tokens: int) -> float:
    return -math.log1p(-math.exp(average * tokens))


def _log_odds(logp: torch.Tensor) -> torch.Tensor:
    return logp - torch.log(-torch.expm1(logp))


def _rounded_odds(logp: torch.Tensor) -> torch.Tensor:
    """As first written, with infinite odds near P = 1: the typical mistake."""
    return logp - torch.log(1 - torch.exp(logp))


_ENDS = [-1000.0, -2.0, -0.25, -1e-20]
_COMPARE_ODDS = "log(P / (1 − P)) is log P − log(1 − P): compare at logp = −2, where it is −1.855"
_LOG_ODDS_MISTAKES = (
    Mistake("1 − P rounded to 0", _rounded_odds,
            "in floating point 1 − exp(−1e-20) is 0, and its log −inf; torch.expm1 keeps the small difference"),
    Mistake("1 − P held away from 0", lambda x: x - torch.log((1 - torch.exp(x)).clamp(min=1e-12)),
            "a clamp is finite and wrong near 0, and gives no gradient there; torch.expm1 is exact"),
    Mistake("sign flipped", lambda x: torch.log(-torch.expm1(x)) - x, "these are the odds against: log P − log(1 − P)"),
    Mistake("the log-prob itself", lambda x: x.clone(), "the odds divide P by 1 − P: subtract log(1 − P)"),
    Mistake("+ for −", lambda x: x + torch.log(-torch.expm1(x)), "dividing by 1 − P *subtracts* its logarithm"),
    Mistake("the odds without log", lambda x: torch.exp(x) / -torch.expm1(x), "return the logarithm of the odds"),
    Mistake("1 − log P for 1 − P", lambda x: x - torch.log(1 - x), "take the exponential first: P = exp(logp)"),
)  # fmt: skip

# Averaged log-probs of three pairs; the last rejected response is almost certain. No two mistakes agree on them.
_AVERAGED_LOGPS = {
    "policy_chosen": [-0.9, -1.6, -0.4],
    "policy_rejected": [-1.4, -0.7, -1e-18],
    "chosen_nll": [0.9, 1.6, 0.4],
}
_COMPARE_LOSS = "compare with NLL − λ · log σ(log odds chosen − log odds rejected), all of it per pair"


def _ratio(chosen: torch.Tensor, rejected: torch.Tensor) -> torch.Tensor:
    return _log_odds(chosen) - _log_odds(rejected)


_ORPO_MISTAKES = (
    Mistake("chosen and rejected swapped", lambda c, r, nll, lam: nll - lam * F.logsigmoid(_ratio(r, c)),
            "the ratio is chosen over rejected"),
    Mistake("sign flipped", lambda c, r, nll, lam: nll + lam * F.logsigmoid(_ratio(c, r)),
            "log σ is negative; the loss falls as the ratio grows, so it is subtracted"),
    Mistake("NLL forgotten", lambda c, r, nll, lam: -lam * F.logsigmoid(_ratio(c, r)),
            "the first term imitates the chosen response: add chosen_nll"),
    Mistake("NLL subtracted", lambda c, r, nll, lam: -nll - lam * F.logsigmoid(_ratio(c, r)),
            "chosen_nll is already negative log-likelihood: add it"),
    Mistake("probability ratio", lambda c, r, nll, lam: nll - lam * F.logsigmoid(c - r),
            "ORPO compares odds, P / (1 − P), and not P"),
    Mistake("λ inside", lambda c, r, nll, lam: nll - F.logsigmoid(lam * _ratio(c, r)),
            "λ weighs the whole term; DPO's β stands inside the sigmoid"),
    Mistake("λ on the NLL", lambda c, r, nll, lam: lam * nll - F.logsigmoid(_ratio(c, r)),
            "λ weighs the odds-ratio term and leaves the NLL alone"),
    Mistake("mixed by λ and 1 − λ", lambda c, r, nll, lam: (1 - lam) * nll - lam * F.logsigmoid(_ratio(c, r)),
            "the NLL keeps its full weight"),
    Mistake("sigmoid without log", lambda c, r, nll, lam: nll - lam * torch.sigmoid(_ratio(c, r)),
            "the term is −log σ(·): F.logsigmoid"),
    Mistake("λ forgotten", lambda c, r, nll, lam: nll - F.logsigmoid(_ratio(c, r)), "weigh the odds-ratio term by λ"),
    Mistake("1 − P rounded to 0", lambda c, r, nll, lam: nll - lam * F.logsigmoid(_rounded_odds(c) - _rounded_odds(r)),
            "use your log-odds of part 1, which stay finite"),
)  # fmt: skip
