"""Losses that stand in for a method's own, on the same rows: pure functions, as those in `lessons_lib.losses`.

`training.config.VARIANTS` says which stands in for which; `training.loop.train` takes its name as a method's.
"""

from __future__ import annotations

import torch

from lessons_lib._numbers import check_number
from lessons_lib.losses import KTOLoss, PairLoss, dpo_loss, kto_loss


def robust_dpo_loss(
    policy_chosen_logps: torch.Tensor,
    policy_rejected_logps: torch.Tensor,
    reference_chosen_logps: torch.Tensor,
    reference_rejected_logps: torch.Tensor,
    *,
    beta: float = 0.1,
    flip_rate: float = 0.1,
) -> PairLoss:
    """Robust DPO: DPO's loss on clean labels, estimated without bias from labels of which a known share is flipped.

    With ℓ(z) = −log σ(z) and z = βh as in `dpo_loss`, ``loss = ((1 − ε) ℓ(z) − ε ℓ(−z)) / (1 − 2ε)``. Over flips with
    probability ε its mean is ℓ(z) of the unflipped pair. It is not the conservative form, which adds the second term
    where this one subtracts it: here the loss falls without bound as z grows, and the gradient does not vanish.

    Args:
        policy_chosen_logps: log π_θ(y_w | x), **summed** over response tokens, any shape.
        policy_rejected_logps: log π_θ(y_l | x), same shape.
        reference_chosen_logps: log π_ref(y_w | x), same shape.
        reference_rejected_logps: log π_ref(y_l | x), same shape.
        beta: β > 0, strength of the pull to the reference; **larger stays closer**. Usual 0.01 to 0.5.
        flip_rate: ε in [0, 0.5), the share of labels assumed to be flipped; 0 is DPO.

    Returns:
        PairLoss; rewards are β·log(π_θ/π_ref).

    Raises:
        ValueError: if shapes, dtypes or devices differ, or a hyper-parameter is out of range.

    Example:
        >>> same = torch.tensor([-12.0], dtype=torch.float64)
        >>> round(robust_dpo_loss(same, same, same, same, flip_rate=0.3).losses.item(), 4)   # policy = reference: log 2
        0.6931

    Reference:
        Chowdhury, Kini and Natarajan 2024, arXiv 2403.00409. TRL's `loss_type="robust"`.
    """
    check_number("flip_rate", flip_rate, "[0, 0.5)")
    found = dpo_loss(
        policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps, beta=beta
    )
    flipped = dpo_loss(
        policy_rejected_logps, policy_chosen_logps, reference_rejected_logps, reference_chosen_logps, beta=beta
    )
    losses = ((1.0 - flip_rate) * found.losses - flip_rate * flipped.losses) / (1.0 - 2.0 * flip_rate)
    return found._replace(losses=losses)


def kto_noref_loss(
    policy_logps: torch.Tensor,
    desirable: torch.Tensor,
    *,
    beta: float = 0.1,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> KTOLoss:
    """KTO without a reference model: every response counts as equally likely under the reference.

    A constant log π_ref drops out of r − z₀, which leaves log π_θ(y|x) − z₀ with z₀ the policy's mean log-prob (its
    negative entropy). Here z₀ is the mean over the batch's own responses, without gradient: responses that the policy
    would give. Those of mismatched pairs, KTO's own estimate, are responses that it would not.

    Args:
        policy_logps: log π_θ(y | x), **summed** over response tokens, any shape: the whole batch, as z₀ is its mean.
        desirable: boolean, same shape: True for thumbs up.
        beta: β > 0, how fast the value saturates.
        desirable_weight: λ_D ≥ 0.
        undesirable_weight: λ_U ≥ 0.

    Returns:
        KTOLoss; rewards are β·log π_θ.

    Raises:
        ValueError: if shapes or devices differ, `desirable` is not boolean, or a hyper-parameter is out of range.

    Example:
        >>> same = torch.tensor([-12.0, -12.0], dtype=torch.float64)
        >>> kto_noref_loss(same, torch.tensor([True, False])).losses.tolist()
        [0.5, 0.5]

    Reference:
        Ethayarajh et al. 2024, arXiv 2402.01306, which discusses a uniform reference; the estimate of z₀ is ours.
    """
    kl = policy_logps.detach().mean()
    weights = {"desirable_weight": desirable_weight, "undesirable_weight": undesirable_weight}
    return kto_loss(policy_logps, torch.zeros_like(policy_logps), desirable, kl, beta=beta, **weights)


def kto_zero_loss(
    policy_logps: torch.Tensor,
    reference_logps: torch.Tensor,
    desirable: torch.Tensor,
    *,
    beta: float = 0.1,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> KTOLoss:
    """KTO with its reference point left at z₀ = 0: no mismatched pairs, and one forward pass less; see `kto_loss`.

    Example:
        >>> same = torch.tensor([-12.0], dtype=torch.float64)
        >>> kto_zero_loss(same, same, torch.tensor([True])).losses.tolist()
        [0.5]
    """
    weights = {"desirable_weight": desirable_weight, "undesirable_weight": undesirable_weight}
    return kto_loss(policy_logps, reference_logps, desirable, 0.0, beta=beta, **weights)
