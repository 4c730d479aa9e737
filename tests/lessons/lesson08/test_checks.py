"""Exercise 8: each check accepts the solution and rejects every typical mistake for its own reason."""

import pytest
import torch
import torch.nn.functional as F

from lessons_lib.lessons.lesson08.checks import check_gamma_for_trl, check_ranked_differently, check_simpo_loss


def simpo(c, r, n, m, beta, gamma):
    return -F.logsigmoid(beta * (c / n - r / m) - gamma)


def gain(pair, side):
    return pair[f"policy_{side}"] - pair[f"reference_{side}"]


def average(pair, side):
    return pair[f"policy_{side}"] / pair[f"{side}_tokens"]


def dpo_margin(pair):
    return gain(pair, "chosen") - gain(pair, "rejected")


def simpo_margin(pair):
    return average(pair, "chosen") - average(pair, "rejected")


def sum_margin(pair):
    return pair["policy_chosen"] - pair["policy_rejected"]


def gain_a_token(pair):
    return gain(pair, "chosen") / pair["chosen_tokens"] - gain(pair, "rejected") / pair["rejected_tokens"]


def where(condition):
    return lambda pairs: [number for number, pair in enumerate(pairs) if condition(pair)]


def differ(pair):
    return (dpo_margin(pair) > 0) != (simpo_margin(pair) > 0)


def test_the_solution_passes():
    assert check_simpo_loss(simpo)
    assert check_gamma_for_trl(lambda beta, ratio: beta * ratio)
    assert check_ranked_differently(where(differ))
    assert check_ranked_differently(lambda pairs: list(reversed(where(differ)(pairs))))


MISTAKES = [
    (check_simpo_loss, lambda c, r, n, m, beta, gamma: simpo(c, r, 1, 1, beta, gamma), "summed where averaged"),
    (check_simpo_loss, lambda c, r, n, m, beta, gamma: simpo(c, r, n, n, beta, gamma), "*its* tokens"),
    (check_simpo_loss, lambda c, r, n, m, beta, gamma: simpo(c, r, m, n, beta, gamma), "lengths swapped"),
    (check_simpo_loss, lambda c, r, n, m, beta, gamma: simpo(r, c, m, n, beta, gamma), "chosen minus rejected"),
    (check_simpo_loss, lambda *a, **k: -simpo(*a, **k), "training minimizes"),
    (check_simpo_loss, lambda c, r, n, m, beta, gamma: simpo(c, r, n, m, beta, -gamma), "+ γ for − γ"),
    (check_simpo_loss, lambda c, r, n, m, beta, gamma: simpo(c, r, n, m, beta, 0), "γ forgotten"),
    (check_simpo_loss, lambda c, r, n, m, beta, gamma: simpo(c, r, n, m, beta, beta * gamma), "γ for γ/β"),
    (check_simpo_loss, lambda c, r, n, m, beta, gamma: simpo(c, r, n, m, beta, gamma / beta), "γ/β for γ"),
    (check_simpo_loss, lambda c, r, n, m, beta, gamma: simpo(c, r, n, m, 1, gamma), "β forgotten"),
    (check_simpo_loss, lambda c, r, n, m, beta, gamma: beta * simpo(c, r, n, m, 1, gamma), "β outside"),
    (check_simpo_loss, lambda c, r, n, m, beta, gamma: -torch.exp(-simpo(c, r, n, m, beta, gamma)), "without log"),
    (check_simpo_loss, lambda *a, **k: simpo(*a, **k).mean(), "already averaged"),
    (check_simpo_loss, lambda *a, **k: simpo(*a, **k).unsqueeze(1), "shape (3, 1)"),
    (check_simpo_loss, lambda *a, **k: 0 * simpo(*a, **k) + 1, "a constant"),
    (check_simpo_loss, lambda *a, **k: simpo(*a, **k).detach(), "no gradient"),
    (check_simpo_loss, lambda *a, **k: simpo(*a, **k) + 1, "an average being"),
    (check_simpo_loss, lambda *a, **k: "1.3", "is a str"),
    (check_simpo_loss, lambda c, r: c, "raised TypeError"),
    (check_gamma_for_trl, lambda beta, ratio: ratio, "γ/β passed on"),
    (check_gamma_for_trl, lambda beta, ratio: ratio / beta, "γ = ratio · β"),
    (check_gamma_for_trl, lambda beta, ratio: beta / ratio, "upside down"),
    (check_gamma_for_trl, lambda beta, ratio: beta + ratio, "undone by multiplying"),
    (check_gamma_for_trl, lambda beta, ratio: 1.6, "expected"),
    (check_gamma_for_trl, lambda beta, ratio: True, "got bool"),
    (check_gamma_for_trl, lambda beta, ratio: [beta * ratio], "got list"),
    (check_ranked_differently, where(lambda pair: not differ(pair)), "on which they agree"),
    (check_ranked_differently, where(lambda p: sum_margin(p) * simpo_margin(p) < 0), "compares with the reference"),
    (check_ranked_differently, where(lambda p: dpo_margin(p) * sum_margin(p) < 0), "SimPO averages"),
    (check_ranked_differently, where(lambda p: gain_a_token(p) * simpo_margin(p) < 0), "DPO sums"),
    (check_ranked_differently, where(lambda p: dpo_margin(p) * gain_a_token(p) < 0), "SimPO has no reference"),
    (check_ranked_differently, where(lambda p: dpo_margin(p) < 0), "that DPO ranks wrongly"),
    (check_ranked_differently, where(lambda p: simpo_margin(p) < 0), "that SimPO ranks wrongly"),
    (check_ranked_differently, where(lambda p: True), "all pairs"),
    (check_ranked_differently, lambda pairs: [], "an empty list"),
    (check_ranked_differently, lambda pairs: [n + 1 for n in where(differ)(pairs)], "counted from 1"),
    (check_ranked_differently, lambda pairs: [differ(pair) for pair in pairs], "something else than whole numbers"),
    (check_ranked_differently, lambda pairs: [4], "both margins"),
    (check_ranked_differently, lambda pairs: True, "is a bool"),
    (check_ranked_differently, lambda pairs: None, "NoneType"),
    (check_ranked_differently, lambda pairs: pairs[0]["policy"], "raised KeyError"),
]


@pytest.mark.parametrize(("check", "answer", "reason"), MISTAKES)
def test_each_mistake_is_named(check, answer, reason):
    verdict = check(answer)
    assert not verdict
    assert reason in verdict.message
