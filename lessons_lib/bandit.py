"""The bandit: one prompt, a few arms for responses, a softmax policy. Small enough to solve exactly.

Knows how to find the policy that a pair loss ends at, in closed form (`ipo_optimum`, `tilted_policy`)
and step by step (`fit`), and the data sets of the IPO paper's section 5.4. Works on plain floats with
any loss of `lessons_lib.textbook` that takes four log-probs, so it needs no PyTorch.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Pair = tuple[int, int]  # arms: (chosen, rejected)

# Azar et al. 2023 (arXiv 2310.12036), section 5.4, three arms a, b, c = 0, 1, 2.
TOTAL_ORDER: tuple[Pair, ...] = ((0, 1), (1, 2), (0, 2))  # D1: a ≻ b ≻ c, every pair seen
CYCLE: tuple[Pair, ...] = ((0, 1), (1, 2), (2, 0))  # D2: a ≻ b ≻ c ≻ a
# D3 in its text leaves (a, c) unobserved. As printed on arXiv it is {(a, b), (b, a)}, which moves no policy.
CHAIN: tuple[Pair, ...] = ((0, 1), (1, 2))
D3_AS_PRINTED: tuple[Pair, ...] = ((0, 1), (1, 0))


@dataclass(frozen=True)
class Trajectory:
    """How a policy moved: the probability of each arm after `steps[i]` updates is `probabilities[i]`."""

    steps: list[int]
    probabilities: list[list[float]]

    @property
    def final(self) -> list[float]:
        return self.probabilities[-1]


def log_softmax(logits: Sequence[float]) -> list[float]:
    """Log-probabilities, in nats, that differ as the logits do."""
    top = max(logits)
    log_total = top + math.log(sum(math.exp(x - top) for x in logits))
    return [x - log_total for x in logits]


def softmax(logits: Sequence[float]) -> list[float]:
    """Probabilities that are proportional to exp(logits)."""
    return [math.exp(logp) for logp in log_softmax(logits)]


def tilted_policy(rewards: Sequence[float], beta: float, reference: Sequence[float]) -> list[float]:
    """π_ref·exp(r/β), normalized: where RLHF ends, and DPO on preferences drawn from these rewards.

    Args:
        rewards: r of each arm, in nats where σ(r_i − r_j) is the probability that i beats j.
        beta: β > 0, strength of the pull to the reference.
        reference: probability of each arm under the reference, all positive.

    Returns:
        The probability of each arm.

    Reference:
        Rafailov et al. 2023, arXiv 2305.18290, Eq. 4.
    """
    return softmax([math.log(p) + r / beta for p, r in zip(reference, rewards, strict=True)])


def ipo_optimum(pairs: Sequence[Pair], tau: float, reference: Sequence[float]) -> list[float]:
    """Where IPO ends on a list of pairs: the least-squares answer to "each pair 1/(2τ) apart".

    Args:
        pairs: (chosen, rejected) arms; a pair that stands twice counts twice.
        tau: τ > 0. Larger stays closer to the reference.
        reference: probability of each arm under the reference, all positive.

    Returns:
        The probability of each arm. Arms that no pair connects keep their log-ratios to the reference
        centred on 0, which is where gradient descent from the reference ends too.

    Example:
        >>> [round(p, 4) for p in ipo_optimum(TOTAL_ORDER, 0.5, [1/3, 1/3, 1/3])]   # steps of 1/(3τ) nats
        [0.5627, 0.2889, 0.1483]

    Reference:
        Azar et al. 2023, arXiv 2310.12036, Eq. 17, minimized over all softmax policies.
    """
    import numpy as np  # only here; the rest is plain Python

    differences = np.zeros((len(pairs), len(reference)))
    for row, (chosen, rejected) in enumerate(pairs):
        differences[row, chosen] += 1.0
        differences[row, rejected] -= 1.0
    logratios, *_ = np.linalg.lstsq(differences, np.full(len(pairs), 1 / (2 * tau)), rcond=None)
    return softmax([math.log(p) + float(x) for p, x in zip(reference, logratios, strict=True)])


def fit(
    pairs: Sequence[Pair],
    loss: Callable[[float, float, float, float], float],
    *,
    reference: Sequence[float] = (1 / 3, 1 / 3, 1 / 3),
    weights: Sequence[float] | None = None,
    steps: int = 18_000,
    learning_rate: float = 0.01,
    batch_size: int | None = None,
    seed: int = 0,
    record_every: int = 100,
) -> Trajectory:
    """Adam on the mean loss of the pairs, from the reference, over the logits of a softmax policy.

    The default steps and learning rate are those of the IPO paper's section 5.4, which takes 9 pairs a step.

    Args:
        pairs: (chosen, rejected) arms.
        loss: from (policy_chosen, policy_rejected, reference_chosen, reference_rejected) log-probs to a
            float, as ``functools.partial(textbook.ipo_loss, tau=0.1)``.
        reference: probability of each arm under the reference, all positive; the policy starts there.
        weights: how often each pair occurs; None: alike.
        steps: number of updates.
        learning_rate: Adam's; β₁ = 0.9, β₂ = 0.999.
        batch_size: pairs drawn with replacement for each step; None: all of them, weighted.
        seed: of the draws.
        record_every: updates between two records; the first and the last step are always there.

    Returns:
        Trajectory of the arms' probabilities.

    Example:
        >>> from functools import partial
        >>> from lessons_lib import textbook
        >>> ipo = fit(TOTAL_ORDER, partial(textbook.ipo_loss, tau=0.5), steps=1500)
        >>> [round(p, 4) for p in ipo.final]
        [0.5627, 0.2889, 0.1483]
    """
    share = [w / sum(weights) for w in weights] if weights else [1 / len(pairs)] * len(pairs)
    rng = random.Random(seed)
    reference_logps = [math.log(p / sum(reference)) for p in reference]
    logits, mean, square = list(reference_logps), [0.0] * len(reference), [0.0] * len(reference)
    recorded, probabilities = [0], [softmax(logits)]
    for step in range(1, steps + 1):
        batch = share if batch_size is None else _drawn_share(rng, share, batch_size)
        slopes = _slopes(logits, pairs, batch, loss, reference_logps)
        for arm, slope in enumerate(slopes):
            mean[arm] += 0.1 * (slope - mean[arm])
            square[arm] += 0.001 * (slope * slope - square[arm])
            size = math.sqrt(square[arm] / (1 - 0.999**step)) + 1e-8
            logits[arm] -= learning_rate * mean[arm] / (1 - 0.9**step) / size
        if step % record_every == 0 or step == steps:
            recorded.append(step)
            probabilities.append(softmax(logits))
    return Trajectory(recorded, probabilities)


def _drawn_share(rng: random.Random, share: list[float], batch_size: int) -> list[float]:
    """The share of each pair in a batch drawn with replacement."""
    drawn = rng.choices(range(len(share)), share, k=batch_size)
    return [drawn.count(i) / batch_size for i in range(len(share))]


def _slopes(logits, pairs, share, loss, reference_logps, width=1e-5) -> list[float]:
    """d(mean loss)/d(logits). The loss's own slopes are central differences, so that any loss will do."""
    logps = log_softmax(logits)
    to_logps = [0.0] * len(logits)
    for (chosen, rejected), weight in zip(pairs, share, strict=True):
        c, r, rc, rr = logps[chosen], logps[rejected], reference_logps[chosen], reference_logps[rejected]
        to_logps[chosen] += weight * (loss(c + width, r, rc, rr) - loss(c - width, r, rc, rr)) / (2 * width)
        to_logps[rejected] += weight * (loss(c, r + width, rc, rr) - loss(c, r - width, rc, rr)) / (2 * width)
    total = sum(to_logps)
    # d log π_i / d logit_k = 1[i = k] − π_k
    return [slope - math.exp(logp) * total for slope, logp in zip(to_logps, logps, strict=True)]
