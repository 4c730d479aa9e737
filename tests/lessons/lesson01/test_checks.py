"""Exercise 1: each check accepts the solution and rejects every typical mistake for its own reason."""

import math

import pytest

from lessons_lib.lessons.lesson01.checks import (
    check_objective,
    check_optimal_policy,
    check_pair_loss,
    check_reward_gap,
)


def mean(p, r):
    return sum(x * y for x, y in zip(p, r, strict=True))


def kl(p, q):
    return sum(x * math.log(x / y) for x, y in zip(p, q, strict=True))


def tilted(r, q, b):
    weights = [y * math.exp(x / b) for x, y in zip(r, q, strict=True)]
    return [w / sum(weights) for w in weights]


def gap(p, q, b, i, j):
    return b * (math.log(p[i] / q[i]) - math.log(p[j] / q[j]))


def test_the_solution_passes():
    assert check_objective(lambda p, r, q, b: mean(p, r) - b * kl(p, q))
    assert check_optimal_policy(tilted)
    assert check_reward_gap(gap)
    assert check_pair_loss(lambda *case: math.log1p(math.exp(-gap(*case))))


MISTAKES = [
    (check_objective, lambda p, r, q, b: mean(p, r), "the pull left out"),
    (check_objective, lambda p, r, q, b: mean(p, r) + b * kl(p, q), "KL added"),
    (check_objective, lambda p, r, q, b: mean(p, r) - b * kl(q, p), "KL turned around"),
    (check_objective, lambda p, r, q, b: mean(p, r) - kl(p, q), "β left out"),
    (check_objective, lambda p, r, q, b: mean(q, r) - b * kl(p, q), "averaged under the reference"),
    (check_objective, lambda p, r, q, b: mean(p, r) - b * kl(p, q) / math.log(2), "base 2"),
    (check_objective, lambda p, r, q, b: sum(r) / 3 - b * kl(p, q), "plain mean"),
    (check_objective, lambda p, r, q, b: 0.5, "expected"),
    (check_objective, lambda p, r, q, b: True, "got bool"),
    (check_objective, lambda p, r, q, b: None, "returns nothing yet"),
    (check_objective, lambda p, r, q, b: [mean(p, r) - b * kl(p, q)], "got list"),
    (check_objective, lambda p, r, q: 0, "raised TypeError"),
    (check_optimal_policy, lambda r, q, b: [y * math.exp(x / b) for x, y in zip(r, q, strict=True)], "not normalized"),
    (check_optimal_policy, lambda r, q, b: tilted(r, q, 1 / b), "β multiplied"),
    (check_optimal_policy, lambda r, q, b: tilted(r, q, 1), "β left out"),
    (check_optimal_policy, lambda r, q, b: tilted(r, [1, 1, 1], b), "reference ignored"),
    (check_optimal_policy, lambda r, q, b: q, "the reference itself"),
    (check_optimal_policy, lambda r, q, b: [float(x == max(r)) for x in r], "the best answer alone"),
    (check_optimal_policy, lambda r, q, b: [0.2, 0.3, 0.5], "expected"),
    (check_optimal_policy, lambda r, q, b: [math.nan] * 3, "expected"),
    (check_optimal_policy, lambda r, q, b: tilted(r, q, b)[:2], "got 2"),
    (check_optimal_policy, lambda r, q, b: [tilted(r, q, b)], "list of probabilities"),
    (check_optimal_policy, lambda r, q, b: True, "got bool"),
    (check_optimal_policy, lambda r, q, b: None, "NoneType"),
    (check_optimal_policy, lambda r, q, b: 1 / 0, "raised ZeroDivisionError"),
    (check_reward_gap, lambda p, q, b, i, j: gap(p, q, b, j, i), "i and j swapped"),
    (check_reward_gap, lambda p, q, b, i, j: gap(p, q, 1, i, j), "β left out"),
    (check_reward_gap, lambda p, q, b, i, j: gap(p, q, 1 / b, i, j), "divided by β"),
    (check_reward_gap, lambda p, q, b, i, j: b * math.log(p[i] / p[j]), "reference ignored"),
    (check_reward_gap, lambda p, q, b, i, j: b * math.log(p[i] / q[i]), "one reward"),
    (check_reward_gap, lambda p, q, b, i, j: b * (p[i] / q[i] - p[j] / q[j]), "no logarithm"),
    (check_reward_gap, lambda p, q, b, i, j: 1.0, "expected"),
    (check_reward_gap, lambda p, q, b, i, j: "1", "got str"),
    (check_reward_gap, lambda p, q, b, i, j: p[9], "raised IndexError"),
    (check_pair_loss, lambda *case: -math.log1p(math.exp(-gap(*case))), "sign flipped"),
    (check_pair_loss, lambda *case: math.log1p(math.exp(gap(*case))), "chosen and rejected swapped"),
    (check_pair_loss, lambda *case: 1 / (1 + math.exp(-gap(*case))), "the probability itself"),
    (check_pair_loss, lambda *case: -gap(*case), "no sigmoid"),
    (check_pair_loss, lambda p, q, b, w, x: math.log1p(math.exp(-gap(p, q, 1, w, x))), "β left out"),
    (check_pair_loss, lambda p, q, b, w, x: math.log1p((p[w] / p[x]) ** -b), "reference ignored"),
    (check_pair_loss, lambda *case: math.log(2), "expected"),
    (check_pair_loss, lambda *case: True, "got bool"),
]


@pytest.mark.parametrize(("check", "answer", "reason"), MISTAKES)
def test_each_mistake_is_named(check, answer, reason):
    verdict = check(answer)
    assert not verdict
    assert reason in verdict.message
    assert "with (" in verdict.message  # the input that was used
