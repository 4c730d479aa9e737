"""Checks of exercise 1: the four steps from the RLHF objective to DPO's loss, on worlds of three answers."""

from __future__ import annotations

import math
from collections.abc import Callable

from lessons_lib import bandit, textbook
from lessons_lib.grading.verdict import Mistake, Verdict, check_numbers

REFERENCE = [0.5, 0.3, 0.2]
POLICY = [0.2, 0.3, 0.5]
REWARDS = [1.0, 0.0, -0.5]
_WORLDS = ((REWARDS, REFERENCE, 0.5), ([0.2, 1.5, 0.4], [0.25, 0.35, 0.4], 0.8))


def check_objective(function: Callable) -> Verdict:
    """Check ``function(policy, rewards, reference, beta)``: the expected reward minus β · KL(policy ‖ reference)."""

    def right(policy, rewards, reference, beta):
        return _mean(policy, rewards) - beta * _kl(policy, reference)

    mistakes = (
        Mistake("the pull left out", lambda p, r, q, b: _mean(p, r), "subtract β times the KL divergence"),
        Mistake("KL added", lambda p, r, q, b: _mean(p, r) + b * _kl(p, q), "leaving the reference is a price: − β·KL"),
        Mistake("KL turned around", lambda p, r, q, b: _mean(p, r) - b * _kl(q, p),
                "KL(policy ‖ reference) averages over the *policy*: Σ p · log(p / q)"),
        Mistake("β left out", lambda p, r, q, b: _mean(p, r) - _kl(p, q), "β is the price of one nat of KL"),
        Mistake("averaged under the reference", lambda p, r, q, b: _mean(q, r) - b * _kl(p, q),
                "the reward is what the *policy*'s answers earn"),
        Mistake("logarithm to base 2", lambda p, r, q, b: _mean(p, r) - b * _kl(p, q) / math.log(2),
                "this course counts in nats: math.log, not math.log2"),
        Mistake("the rewards' plain mean", lambda p, r, q, b: sum(r) / len(r) - b * _kl(p, q),
                "weigh each reward by the policy's probability of that answer"),
    )  # fmt: skip
    cases = [(POLICY, REWARDS, REFERENCE, 0.5), ([0.6, 0.3, 0.1], [0.2, 1.5, 0.4], [0.25, 0.35, 0.4], 0.8)]
    return check_numbers(function, right, mistakes, cases)


def check_optimal_policy(function: Callable) -> Verdict:
    """Check ``function(rewards, reference, beta)``: the list π_ref · exp(r/β), normalized."""

    def right(rewards, reference, beta):
        return bandit.tilted_policy(rewards, beta, reference)

    mistakes = (
        Mistake("not normalized", lambda r, q, b: [p * math.exp(x / b) for p, x in zip(q, r, strict=True)],
                "divide by the sum over all answers; that sum is Z, the partition function"),
        Mistake("β multiplied", lambda r, q, b: bandit.tilted_policy(r, 1 / b, q),
                "the exponent is r/β: a small β lets the reward pull hard"),
        Mistake("β left out", lambda r, q, b: bandit.tilted_policy(r, 1, q), "the exponent is r/β"),
        Mistake("reference ignored", lambda r, q, b: bandit.softmax([x / b for x in r]),
                "multiply each weight by the reference's probability"),
        Mistake("the reference itself", lambda r, q, b: list(q), "that is the start; tilt it by exp(r/β)"),
        Mistake("the best answer alone", lambda r, q, b: [float(x == max(r)) for x in r],
                "that is the optimum without the pull; with β > 0 every answer keeps some probability"),
    )  # fmt: skip
    return _check_distributions(function, right, mistakes)


def check_reward_gap(function: Callable) -> Verdict:
    """Check ``function(policy, reference, beta, i, j)``: r_i − r_j, read off a policy that is the optimum for r."""

    def gap(p, q, b, i, j):
        return b * (math.log(p[i] / q[i]) - math.log(p[j] / q[j]))

    mistakes = (
        Mistake("i and j swapped", lambda p, q, b, i, j: -gap(p, q, b, i, j), "asked for r_i − r_j"),
        Mistake("β left out", lambda p, q, b, i, j: gap(p, q, 1, i, j), "solve π = π_ref·exp(r/β)/Z for r"),
        Mistake("divided by β", lambda p, q, b, i, j: gap(p, q, 1 / b, i, j), "r/β is the log-ratio: r is β times it"),
        Mistake("reference ignored", lambda p, q, b, i, j: b * math.log(p[i] / p[j]),
                "the reward is β times a log-*ratio*: divide by the reference's probability"),
        Mistake("one reward", lambda p, q, b, i, j: b * math.log(p[i] / q[i]),
                "this still hides β·log Z; only in a difference of two answers does Z cancel"),
        Mistake("no logarithm", lambda p, q, b, i, j: b * (p[i] / q[i] - p[j] / q[j]), "take the log of each ratio"),
    )  # fmt: skip
    return check_numbers(function, gap, mistakes, [(POLICY, REFERENCE, 0.5, 0, 2), (REFERENCE, POLICY, 2.0, 1, 2)])


def check_pair_loss(function: Callable) -> Verdict:
    """Check ``function(policy, reference, beta, chosen, rejected)``: −log σ(r_chosen − r_rejected)."""

    def gap(p, q, b, w, x):
        return b * textbook.margin(math.log(p[w]), math.log(p[x]), math.log(q[w]), math.log(q[x]))

    mistakes = (
        Mistake("sign flipped", lambda *case: textbook.log_sigmoid(gap(*case)), "a loss falls as you learn: −log σ"),
        Mistake("chosen and rejected swapped", lambda *case: -textbook.log_sigmoid(-gap(*case)),
                "σ(r_chosen − r_rejected) is the probability that the chosen one wins"),
        Mistake("the probability itself", lambda *case: textbook.sigmoid(gap(*case)), "the loss is −log of it"),
        Mistake("no sigmoid", lambda *case: -gap(*case), "Bradley-Terry puts the gap through σ first"),
        Mistake("β left out", lambda p, q, b, w, x: -textbook.log_sigmoid(gap(p, q, 1, w, x)), "the gap is β times h"),
        Mistake("reference ignored", lambda p, q, b, w, x: -textbook.log_sigmoid(b * math.log(p[w] / p[x])),
                "the gap compares log-*ratios* to the reference"),
    )  # fmt: skip
    right = lambda *case: -textbook.log_sigmoid(gap(*case))  # noqa: E731
    return check_numbers(function, right, mistakes, [(POLICY, REFERENCE, 0.5, 0, 2), (REFERENCE, POLICY, 2.0, 1, 2)])


def _mean(policy: list[float], rewards: list[float]) -> float:
    return sum(p * r for p, r in zip(policy, rewards, strict=True))


def _kl(policy: list[float], reference: list[float]) -> float:
    return sum(p * math.log(p / q) for p, q in zip(policy, reference, strict=True))


def _check_distributions(function: Callable, right: Callable, mistakes: tuple[Mistake, ...]) -> Verdict:
    """Judge a function that answers with one probability for each answer, on `_WORLDS`."""
    try:
        came = [function(*world) for world in _WORLDS]
    except Exception as error:  # whatever the learner's code raises is an answer to explain
        return Verdict(False, f"with {_WORLDS[0]}\nyour function raised {type(error).__name__}: {error}")
    for world, value in zip(_WORLDS, came, strict=True):
        given, wanted = f"with {world}\nexpected ", len(world[0])
        if not isinstance(value, (list, tuple)) or not all(type(p) is float for p in value):
            return Verdict(False, f"{given}a list of probabilities, got {type(value).__name__}: {value!r}")
        if len(value) != wanted:
            return Verdict(False, f"{given}{wanted} probabilities, one an answer, got {len(value)}")
    for world, value in zip(_WORLDS, came, strict=True):
        if not _close(value, right(*world)):
            likely = next((m for m in mistakes if all(map(_close, came, (m.answer(*w) for w in _WORLDS)))), None)
            cause = f"\nlikely cause: {likely.name}: {likely.hint}" if likely else ""
            return Verdict(False, f"with {world}\nexpected {_shown(right(*world))}\ngot {_shown(value)}{cause}")
    return Verdict(True, "right: " + ", ".join(f"{world} → {_shown(right(*world))}" for world in _WORLDS))


def _close(value: list[float], expected: list[float]) -> bool:
    # This way round, NaN is wrong.
    return all(abs(p - q) <= 1e-6 for p, q in zip(value, expected, strict=True))


def _shown(values: list[float]) -> str:
    return "[" + ", ".join(f"{value:.4g}" for value in values) + "]"
