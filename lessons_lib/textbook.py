"""The five losses as they stand in a book: plain floats, one example, nothing but `math`.

This is the readable reference that the tests hold the tensor versions to, and the code that a reader
edits in the browser. Names, units and defaults are those of `lessons_lib.losses`; read its docstrings
for the meaning of each argument. DPO, IPO and KTO take **summed** log-probs, ORPO and SimPO **averaged** ones.
"""

import math


def log_sigmoid(z):
    """log σ(z), without overflow for any finite z."""
    return min(z, 0.0) - math.log1p(math.exp(-abs(z)))


def sigmoid(z):
    """σ(z) = 1 / (1 + e⁻ᶻ), without overflow for any finite z."""
    return math.exp(log_sigmoid(z))


def log_odds(logp):
    """log(P / (1 − P)) from log P < 0."""
    return logp - math.log(-math.expm1(logp))


def margin(policy_chosen, policy_rejected, reference_chosen, reference_rejected):
    """h: how much more the policy prefers the chosen response than its reference does, in nats."""
    return (policy_chosen - reference_chosen) - (policy_rejected - reference_rejected)


def dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta=0.1, label_smoothing=0.0):
    """−log σ(βh), or its mix with the flipped label: Rafailov et al. 2023, Eq. 7."""
    z = beta * margin(policy_chosen, policy_rejected, reference_chosen, reference_rejected)
    return -(1 - label_smoothing) * log_sigmoid(z) - label_smoothing * log_sigmoid(-z)


def ipo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, tau=0.1):
    """(h − 1/(2τ))²: Azar et al. 2023, Eq. 17."""
    h = margin(policy_chosen, policy_rejected, reference_chosen, reference_rejected)
    return (h - 1 / (2 * tau)) ** 2


def kto_reference_point(policy_kl_logps, reference_kl_logps):
    """z₀ = max(0, mean log-ratio over mismatched pairs); two lists of floats."""
    logratios = [policy - reference for policy, reference in zip(policy_kl_logps, reference_kl_logps, strict=True)]
    return max(0.0, sum(logratios) / len(logratios))


def kto_loss(policy, reference, desirable, kl, beta=0.1, desirable_weight=1.0, undesirable_weight=1.0):
    """λ(1 − σ(±β(r − z₀))): Ethayarajh et al. 2024, Eq. 7."""
    r = policy - reference
    if desirable:
        return desirable_weight * sigmoid(-beta * (r - kl))
    return undesirable_weight * sigmoid(-beta * (kl - r))


def orpo_loss(policy_chosen, policy_rejected, chosen_nll, lam=0.1):
    """NLL − λ log σ(log odds ratio): Hong et al. 2024, Eq. 6 and 7."""
    return chosen_nll - lam * log_sigmoid(log_odds(policy_chosen) - log_odds(policy_rejected))


def simpo_loss(policy_chosen, policy_rejected, beta=2.0, gamma=1.0):
    """−log σ(β(average chosen − average rejected) − γ): Meng et al. 2024, Eq. 6."""
    return -log_sigmoid(beta * (policy_chosen - policy_rejected) - gamma)
