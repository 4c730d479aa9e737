"""Two roads from the same preferences on a small discrete world: reward model and policy gradient, or DPO.

One prompt, a few responses with known rewards. Preferences are counts: `wins[i, j]` says how often i was preferred
to j. `fit_rewards` is the reward model, `policy_gradient` the reinforcement learning that follows it, `dpo` the short
cut. Where every response is compared, both roads have one end: `bandit.tilted_policy` of the fitted rewards.
"""

from __future__ import annotations

import numpy as np

from lessons_lib.errors import UserError

HALF_A_WIN = (
    0.5  # counted beforehand for each side of every pair, so that a response that never lost has a finite reward
)


def draw_preferences(rewards, pairs: int, *, flip_rate: float = 0.0, seed: int = 0) -> np.ndarray:
    """Counts of wins, (responses, responses), of `pairs` comparisons by Bradley-Terry annotators.

    Args:
        rewards: of each response, in nats: σ(r_i − r_j) is the probability that i is preferred to j.
        pairs: comparisons, each of two different responses drawn alike.
        flip_rate: share in [0, 1] of the labels that are flipped.
        seed: of the draws. Fewer pairs of one seed are the first of its more.
    """
    rng, count = np.random.default_rng(seed), len(rewards)
    first = rng.integers(count, size=pairs)
    second = (first + rng.integers(1, count, size=pairs)) % count
    gap = np.asarray(rewards, dtype=float)[first] - np.asarray(rewards, dtype=float)[second]
    wins_first = (rng.random(pairs) < 1 / (1 + np.exp(-gap))) ^ (rng.random(pairs) < flip_rate)
    wins = np.zeros((count, count))
    np.add.at(wins, (np.where(wins_first, first, second), np.where(wins_first, second, first)), 1)
    return wins


def with_half_a_win(wins: np.ndarray) -> np.ndarray:
    """The counts plus half a win for each side of every pair."""
    return wins + HALF_A_WIN * (1 - np.eye(len(wins)))


def fit_rewards(wins: np.ndarray, *, rounds: int = 500) -> np.ndarray:
    """Bradley-Terry rewards of most likelihood, centred on 0: Hunter 2004's minorization steps."""
    counts = with_half_a_win(wins)
    games, strength = counts + counts.T, np.ones(len(counts))
    for _ in range(rounds):
        strength = counts.sum(axis=1) / (games / (strength[:, None] + strength[None, :])).sum(axis=1)
        strength /= np.exp(np.log(strength).mean())
    return np.log(strength)


def policy_gradient(
    rewards, beta: float, reference, *, steps: int = 200, samples: int = 32, step_size: float = 0.05, seed: int = 0
) -> np.ndarray:
    """REINFORCE with a mean baseline on reward − β·log-ratio, from the reference: (steps + 1, responses) probabilities.

    Each step draws `samples` responses from the policy of that moment, which is what makes it online, and noisy.
    """
    rng, reference = np.random.default_rng(seed), _distribution(reference)
    theta, path = np.log(reference), [reference]
    adam = _Adam(len(reference), step_size)
    for uniform in rng.random((steps, samples)):
        policy = path[-1]
        drawn = np.searchsorted(policy.cumsum()[:-1], uniform)
        penalized = np.asarray(rewards)[drawn] - beta * (np.log(policy) - np.log(reference))[drawn]
        advantage = penalized - penalized.mean()
        gradient = np.bincount(drawn, advantage, len(policy)) - policy * advantage.sum()
        theta = theta + adam.step(gradient / samples)
        path.append(_softmax(theta))
    return np.array(path)


def dpo(wins: np.ndarray, beta: float, reference, *, steps: int = 200, step_size: float = 0.05) -> np.ndarray:
    """DPO on the same preferences, from the reference: (steps + 1, responses) probabilities. It samples nothing."""
    reference, counts = _distribution(reference), with_half_a_win(wins)
    theta, path = np.log(reference), [reference]
    adam = _Adam(len(reference), step_size)
    for _ in range(steps):
        ratio = np.log(path[-1]) - np.log(reference)
        push = counts / (1 + np.exp(beta * (ratio[:, None] - ratio[None, :])))  # σ(−βh) of each pair, by its count
        gradient = beta * (push.sum(axis=1) - push.sum(axis=0)) / counts.sum()
        theta = theta + adam.step(gradient)
        path.append(_softmax(theta))
    return np.array(path)


def kl(policy, reference) -> np.ndarray:
    """KL(policy ‖ reference) along the last axis, nats."""
    policy = np.asarray(policy)
    return (policy * (np.log(policy) - np.log(_distribution(reference)))).sum(axis=-1)


class _Adam:
    """Adam's steps uphill, β₁ = 0.9 and β₂ = 0.999."""

    def __init__(self, size: int, step_size: float):
        self.mean, self.square, self.count, self.step_size = np.zeros(size), np.zeros(size), 0, step_size

    def step(self, gradient: np.ndarray) -> np.ndarray:
        self.count += 1
        self.mean = 0.9 * self.mean + 0.1 * gradient
        self.square = 0.999 * self.square + 0.001 * gradient**2
        mean, square = self.mean / (1 - 0.9**self.count), self.square / (1 - 0.999**self.count)
        return self.step_size * mean / (np.sqrt(square) + 1e-8)


def _distribution(reference) -> np.ndarray:
    values = np.asarray(reference, dtype=float)
    if (values <= 0).any() or abs(values.sum() - 1) > 1e-9:
        raise UserError(f"reference: expected positive probabilities that sum to 1, got {values.tolist()}")
    return values


def _softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()
