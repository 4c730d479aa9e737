"""The five preference losses: pure functions from log-probabilities to one loss per example.

What every function here shares

* Log-probabilities are in nats and cover response tokens only. Whether they are **summed** over the
  response or **averaged** over its tokens is the caller's choice, made in `lessons_lib.logps`; each
  docstring says which one its paper means, and `lessons_lib.methods` which one a method uses.
* One value per example comes back. The caller averages, so that a plot, a test or a weighted batch
  can look at each example.
* Rewards are the implicit rewards a trainer logs. They carry no gradient.
* Shapes, dtypes and hyper-parameters are checked; values are not. A finite input gives a finite
  loss and finite gradients.

Where this departs from the authors' code: ORPO's log-odds stay finite up to and including a
log-probability of 0, and KTO is written ``sigmoid(-z)``, which keeps its digits where
``1 - sigmoid(z)`` rounds to 0.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F

from lessons_lib._checks import check_labels, check_logps
from lessons_lib._numbers import check_number


class PairLoss(NamedTuple):
    """What DPO, IPO, ORPO and SimPO answer with. Each field has the shape of the inputs."""

    losses: torch.Tensor
    chosen_rewards: torch.Tensor
    rejected_rewards: torch.Tensor


class KTOLoss(NamedTuple):
    """What KTO answers with: its data are single responses, so there is one reward an example."""

    losses: torch.Tensor
    rewards: torch.Tensor


def dpo_loss(
    policy_chosen_logps: torch.Tensor,
    policy_rejected_logps: torch.Tensor,
    reference_chosen_logps: torch.Tensor,
    reference_rejected_logps: torch.Tensor,
    *,
    beta: float = 0.1,
    label_smoothing: float = 0.0,
) -> PairLoss:
    """Direct preference optimization: a logistic loss on the difference of two log-ratios.

    With h = (log π_w − log π_ref,w) − (log π_l − log π_ref,l),
    ``loss = −(1 − ε) log σ(βh) − ε log σ(−βh)``; ε = 0 is the paper's loss, ε > 0 the
    conservative form for labels that are wrong with probability ε.

    Args:
        policy_chosen_logps: log π_θ(y_w | x), **summed** over response tokens, any shape.
        policy_rejected_logps: log π_θ(y_l | x), same shape.
        reference_chosen_logps: log π_ref(y_w | x), same shape.
        reference_rejected_logps: log π_ref(y_l | x), same shape.
        beta: β > 0, strength of the pull to the reference; **larger stays closer**. Usual 0.01 to 0.5.
        label_smoothing: ε in [0, 0.5), the share of labels assumed to be flipped.

    Returns:
        PairLoss; rewards are β·log(π_θ/π_ref).

    Raises:
        ValueError: if shapes, dtypes or devices differ, or a hyper-parameter is out of range.

    Example:
        >>> same = torch.tensor([-12.0], dtype=torch.float64)
        >>> round(dpo_loss(same, same, same, same).losses.item(), 4)   # policy = reference: log 2
        0.6931

    Reference:
        Rafailov et al. 2023, arXiv 2305.18290, Eq. 7. The conservative form: E. Mitchell's note
        "A note on DPO with noisy preferences and relationship to IPO", 2023-11-25.
    """
    check_number("beta", beta, "(0, inf)")
    check_number("label_smoothing", label_smoothing, "[0, 0.5)")
    chosen_logratios, rejected_logratios = _logratios(
        policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps
    )
    z = beta * (chosen_logratios - rejected_logratios)
    losses = -(1.0 - label_smoothing) * F.logsigmoid(z)
    if label_smoothing:
        losses = losses - label_smoothing * F.logsigmoid(-z)
    return PairLoss(losses, beta * chosen_logratios.detach(), beta * rejected_logratios.detach())


def ipo_loss(
    policy_chosen_logps: torch.Tensor,
    policy_rejected_logps: torch.Tensor,
    reference_chosen_logps: torch.Tensor,
    reference_rejected_logps: torch.Tensor,
    *,
    tau: float = 0.1,
) -> PairLoss:
    """Identity preference optimization: a squared loss with a finite target margin.

    ``loss = (h − 1/(2τ))²`` with h the difference of log-ratios, as in `dpo_loss`.

    Args:
        policy_chosen_logps: log π_θ(y_w | x), **summed** over response tokens, any shape.
        policy_rejected_logps: log π_θ(y_l | x), same shape.
        reference_chosen_logps: log π_ref(y_w | x), same shape.
        reference_rejected_logps: log π_ref(y_l | x), same shape.
        tau: τ > 0, strength of the pull to the reference; the margin stops at 1/(2τ) nats, so
            **larger stays closer**. Usual 0.01 to 1. Not portable between sums and averages: with
            averaged log-probs the same τ asks for 1/(2τ) nats *per token*.

    Returns:
        PairLoss; rewards are τ·log(π_θ/π_ref).

    Raises:
        ValueError: if shapes, dtypes or devices differ, or τ is not positive.

    Example:
        >>> same = torch.tensor([-12.0], dtype=torch.float64)
        >>> ipo_loss(same, same, same, same, tau=0.1).losses.item()    # (0 − 5)²
        25.0

    Reference:
        Azar et al. 2023, arXiv 2310.12036, Eq. 17.
    """
    check_number("tau", tau, "(0, inf)")
    chosen_logratios, rejected_logratios = _logratios(
        policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps
    )
    h = chosen_logratios - rejected_logratios
    losses = (h - 1.0 / (2.0 * tau)) ** 2
    return PairLoss(losses, tau * chosen_logratios.detach(), tau * rejected_logratios.detach())


def kto_loss(
    policy_logps: torch.Tensor,
    reference_logps: torch.Tensor,
    desirable: torch.Tensor,
    kl: torch.Tensor | float,
    *,
    beta: float = 0.1,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> KTOLoss:
    """Kahneman-Tversky optimization: a saturating value of one response against a reference point.

    With r = log π_θ(y|x) − log π_ref(y|x) and reference point z₀ = `kl`,
    ``loss = λ_D (1 − σ(β(r − z₀)))`` if desirable, ``λ_U (1 − σ(β(z₀ − r)))`` if not.
    It is *not* a −log σ loss: the gradient fades on both ends.

    Args:
        policy_logps: log π_θ(y | x), **summed** over response tokens, any shape.
        reference_logps: log π_ref(y | x), same shape.
        desirable: boolean, same shape: True for thumbs up.
        kl: z₀ ≥ 0, one scalar for the batch, from `kto_reference_point`; taken as a constant.
        beta: β > 0, how fast the value saturates; **larger stays closer** to the reference. Usual 0.01 to 0.5.
        desirable_weight: λ_D ≥ 0.
        undesirable_weight: λ_U ≥ 0. The paper asks for λ_D·n_D / (λ_U·n_U) in [1, 3/2]
            ([1, 4/3] in its first versions).

    Returns:
        KTOLoss; rewards are β·log(π_θ/π_ref), without z₀.

    Raises:
        ValueError: if shapes, dtypes or devices differ, `desirable` is not boolean, `kl` is not a
            scalar, or a hyper-parameter is out of range.

    Example:
        >>> same = torch.tensor([-12.0, -9.0], dtype=torch.float64)
        >>> kto_loss(same, same, torch.tensor([True, False]), 0.0).losses.tolist()
        [0.5, 0.5]

    Reference:
        Ethayarajh et al. 2024, arXiv 2402.01306, Eq. 7.
    """
    check_number("beta", beta, "(0, inf)")
    check_number("desirable_weight", desirable_weight, "[0, inf)")
    check_number("undesirable_weight", undesirable_weight, "[0, inf)")
    check_logps({"policy_logps": policy_logps, "reference_logps": reference_logps})
    check_labels("desirable", desirable, like=policy_logps)
    kl = torch.as_tensor(kl, dtype=policy_logps.dtype, device=policy_logps.device).detach()
    if kl.ndim:
        raise ValueError(f"kl: expected one scalar for the batch, got shape {tuple(kl.shape)}; see kto_reference_point")
    logratios = policy_logps - reference_logps
    z = beta * torch.where(desirable, logratios - kl, kl - logratios)
    unweighted = torch.sigmoid(-z)
    losses = torch.where(desirable, desirable_weight * unweighted, undesirable_weight * unweighted)
    return KTOLoss(losses, beta * logratios.detach())


def kto_reference_point(policy_kl_logps: torch.Tensor, reference_kl_logps: torch.Tensor) -> torch.Tensor:
    """KTO's reference point z₀: how far the policy has moved on responses that do not belong to the prompts.

    ``z₀ = max(0, mean(log π_θ(y′|x) − log π_ref(y′|x)))`` over **mismatched** pairs: each prompt with
    another example's response. No gradient flows through it.

    Args:
        policy_kl_logps: log π_θ(y′ | x), **summed** over response tokens, shape (batch,).
        reference_kl_logps: log π_ref(y′ | x), same shape.

    Returns:
        A scalar ≥ 0 without gradient.

    Raises:
        ValueError: if shapes, dtypes or devices differ.

    Example:
        >>> kto_reference_point(torch.tensor([-8.0, -9.0]), torch.tensor([-10.0, -10.0])).item()
        1.5

    Reference:
        Ethayarajh et al. 2024, arXiv 2402.01306, section 4.1 (the estimate of z₀).
    """
    check_logps({"policy_kl_logps": policy_kl_logps, "reference_kl_logps": reference_kl_logps})
    return (policy_kl_logps - reference_kl_logps).detach().mean().clamp(min=0.0)


def orpo_loss(
    policy_chosen_logps: torch.Tensor,
    policy_rejected_logps: torch.Tensor,
    chosen_nll: torch.Tensor,
    *,
    lam: float = 0.1,
) -> PairLoss:
    """Odds ratio preference optimization: supervised fine-tuning plus a penalty on the odds ratio.

    ``loss = NLL_w − λ log σ(log odds_w − log odds_l)``, ``odds = P / (1 − P)``, P the
    geometric mean of the token probabilities, so log P is the averaged log-prob.

    Args:
        policy_chosen_logps: log π_θ(y_w | x), **averaged** over response tokens, each ≤ 0, any shape.
        policy_rejected_logps: log π_θ(y_l | x), averaged, same shape. Summed log-probs make P ≈ 0
            and the odds ratio a plain probability ratio.
        chosen_nll: mean negative log-likelihood of the chosen response's tokens, same shape.
        lam: λ ≥ 0, weight of the odds-ratio term; **larger separates harder**. Usual 0.1 to 1.

    Returns:
        PairLoss; rewards are λ times the averaged log-probs.

    Raises:
        ValueError: if shapes, dtypes or devices differ, or λ is negative.

    Example:
        >>> half = torch.tensor([0.5], dtype=torch.float64).log()
        >>> round(orpo_loss(half, half, torch.zeros_like(half), lam=0.1).losses.item(), 4)   # 0.1 · log 2
        0.0693

    Reference:
        Hong et al. 2024, arXiv 2403.07691, Eq. 3, 4, 6 and 7.
    """
    check_number("lam", lam, "[0, inf)")
    check_logps(
        {
            "policy_chosen_logps": policy_chosen_logps,
            "policy_rejected_logps": policy_rejected_logps,
            "chosen_nll": chosen_nll,
        }
    )
    log_odds_ratio = _log_odds(policy_chosen_logps) - _log_odds(policy_rejected_logps)
    losses = chosen_nll - lam * F.logsigmoid(log_odds_ratio)
    return PairLoss(losses, lam * policy_chosen_logps.detach(), lam * policy_rejected_logps.detach())


def simpo_loss(
    policy_chosen_logps: torch.Tensor,
    policy_rejected_logps: torch.Tensor,
    *,
    beta: float = 2.0,
    gamma: float = 1.0,
) -> PairLoss:
    """Simple preference optimization: length-averaged log-probs as reward, and a target margin.

    ``loss = −log σ(β log π_w / |y_w| − β log π_l / |y_l| − γ)``; no reference model.

    Args:
        policy_chosen_logps: log π_θ(y_w | x) / |y_w|, **averaged** over response tokens, any shape.
        policy_rejected_logps: log π_θ(y_l | x) / |y_l|, averaged, same shape.
        beta: β > 0, scale of the reward. Usual 2 to 10; there is no reference for it to pull to.
        gamma: γ ≥ 0, the margin between the two rewards below which the loss stays large. Usual 0.5
            to 5. The authors' code takes γ/β instead.

    Returns:
        PairLoss; rewards are β times the averaged log-probs.

    Raises:
        ValueError: if shapes, dtypes or devices differ, or a hyper-parameter is out of range.

    Example:
        >>> same = torch.tensor([-1.0], dtype=torch.float64)
        >>> round(simpo_loss(same, same, beta=2.0, gamma=1.0).losses.item(), 4)   # log(1 + e)
        1.3133

    Reference:
        Meng et al. 2024, arXiv 2405.14734, Eq. 6.
    """
    check_number("beta", beta, "(0, inf)")
    check_number("gamma", gamma, "[0, inf)")
    check_logps({"policy_chosen_logps": policy_chosen_logps, "policy_rejected_logps": policy_rejected_logps})
    z = beta * (policy_chosen_logps - policy_rejected_logps) - gamma
    return PairLoss(-F.logsigmoid(z), beta * policy_chosen_logps.detach(), beta * policy_rejected_logps.detach())


def _logratios(
    policy_chosen: torch.Tensor,
    policy_rejected: torch.Tensor,
    reference_chosen: torch.Tensor,
    reference_rejected: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """log(π_θ/π_ref) of the chosen and of the rejected response."""
    check_logps(
        {
            "policy_chosen_logps": policy_chosen,
            "policy_rejected_logps": policy_rejected,
            "reference_chosen_logps": reference_chosen,
            "reference_rejected_logps": reference_rejected,
        }
    )
    return policy_chosen - reference_chosen, policy_rejected - reference_rejected


def _log_odds(logps: torch.Tensor) -> torch.Tensor:
    """log(P / (1 − P)) from log P ≤ 0."""
    return logps - _log1mexp(logps)


def _log1mexp(x: torch.Tensor) -> torch.Tensor:
    """log(1 − eˣ) for x ≤ 0, accurate on both ends and finite at 0.

    Near 0, ``log(−expm1(x))`` keeps the digits; far from it, ``log1p(−eˣ)`` does. `torch.where`
    passes a gradient through *both* branches and 0 · inf is NaN, so each branch sees its input
    clamped to the side it is made for.
    """
    nearly_zero = -16.0 * torch.finfo(x.dtype).tiny  # its reciprocal, the gradient, still fits the dtype
    switch = -math.log(2.0)
    near = torch.log(-torch.expm1(x.clamp(min=switch, max=nearly_zero)))
    far = torch.log1p(-torch.exp(x.clamp(max=switch)))
    return torch.where(x > switch, near, far)
