"""Exercise 7: each check accepts the solution and rejects every typical mistake for its own reason."""

import math

import pytest
import torch
import torch.nn.functional as F

from lessons_lib.lessons.lesson07.checks import check_log_odds, check_odds_part, check_orpo_loss


def log_odds(logp):
    return logp - torch.log(-torch.expm1(logp))


def naive(logp):
    return logp - torch.log(1 - torch.exp(logp))


def both_branches(logp):
    near, far = torch.log(-torch.expm1(logp)), torch.log1p(-torch.exp(logp))
    return logp - torch.where(logp > -0.69, near, far)


def orpo(pc, pr, nll, lam):
    return nll - lam * F.logsigmoid(log_odds(pc) - log_odds(pr))


def odds_part(average, tokens):
    return -math.log1p(-math.exp(average * tokens))


def test_the_solution_passes():
    assert check_log_odds(log_odds)
    assert check_orpo_loss(orpo)
    assert check_odds_part(odds_part)


MISTAKES = [
    (check_log_odds, naive, "torch.expm1 keeps"),
    (check_log_odds, lambda x: x - torch.log1p(-torch.exp(x)), "1 − P rounded to 0"),
    (check_log_odds, lambda x: x - torch.log((1 - torch.exp(x)).clamp(min=1e-12)), "a clamp is finite and wrong"),
    (check_log_odds, both_branches, "0 · inf is NaN"),
    (check_log_odds, lambda x: -log_odds(x), "the odds against"),
    (check_log_odds, lambda x: 1 * x, "the log-prob itself"),
    (check_log_odds, lambda x: x + torch.log(-torch.expm1(x)), "*subtracts*"),
    (check_log_odds, lambda x: log_odds(x).exp(), "the logarithm of the odds"),
    (check_log_odds, lambda x: x - torch.log(1 - x), "take the exponential first"),
    (check_log_odds, lambda x: log_odds(x).mean(), "already averaged"),
    (check_log_odds, lambda x: log_odds(x).unsqueeze(1), "shape (4, 1)"),
    (check_log_odds, lambda x: log_odds(x).detach(), "no gradient"),
    (check_log_odds, lambda x: 0 * x, "a constant"),
    (check_log_odds, lambda x: 2 * log_odds(x), "−1.855"),
    (check_log_odds, lambda x: None, "returns nothing yet"),
    (check_log_odds, lambda x: math.log(x.tolist()), "raised"),
    (check_orpo_loss, lambda pc, pr, nll, lam: orpo(pr, pc, nll, lam), "chosen over rejected"),
    (check_orpo_loss, lambda pc, pr, nll, lam: nll + lam * F.logsigmoid(log_odds(pc) - log_odds(pr)), "sign flipped"),
    (check_orpo_loss, lambda pc, pr, nll, lam: orpo(pc, pr, 0 * nll, lam), "NLL forgotten"),
    (check_orpo_loss, lambda pc, pr, nll, lam: orpo(pc, pr, -nll, lam), "NLL subtracted"),
    (check_orpo_loss, lambda pc, pr, nll, lam: nll - lam * F.logsigmoid(pc - pr), "and not P"),
    (check_orpo_loss, lambda pc, pr, nll, lam: nll - F.logsigmoid(lam * (log_odds(pc) - log_odds(pr))), "λ inside"),
    (check_orpo_loss, lambda pc, pr, nll, lam: orpo(pc, pr, lam * nll, 1), "λ on the NLL"),
    (check_orpo_loss, lambda pc, pr, nll, lam: orpo(pc, pr, (1 - lam) * nll, lam), "full weight"),
    (check_orpo_loss, lambda pc, pr, nll, lam: orpo(pc, pr, nll, 1), "λ forgotten"),
    (check_orpo_loss, lambda pc, pr, nll, lam: nll - lam * (log_odds(pc) - log_odds(pr)).sigmoid(), "without log"),
    (check_orpo_loss, lambda pc, pr, nll, lam: nll - lam * F.logsigmoid(naive(pc) - naive(pr)), "of part 1"),
    (check_orpo_loss, lambda *a, **k: orpo(*a, **k).mean(), "already averaged"),
    (check_orpo_loss, lambda *a, **k: orpo(*a, **k).unsqueeze(1), "shape (3, 1)"),
    (check_orpo_loss, lambda *a, **k: 0 * orpo(*a, **k) + 1, "a constant"),
    (check_orpo_loss, lambda *a, **k: orpo(*a, **k) + 1, "compare with NLL"),
    (check_orpo_loss, lambda *a, **k: True, "is a bool"),
    (check_orpo_loss, lambda *a, **k: orpo(*a, **k).detach(), "no gradient"),
    (check_orpo_loss, lambda pc, pr: pc, "raised TypeError"),
    (check_odds_part, lambda average, tokens: odds_part(average, 1), "the probability of the sum"),
    (check_odds_part, lambda average, tokens: -math.log(1 - math.exp(average * tokens)), "rounds to 1"),
    (check_odds_part, lambda average, tokens: -odds_part(average, tokens), "sign flipped"),
    (check_odds_part, lambda average, tokens: average * tokens + odds_part(average, tokens), "leave out log P"),
    (check_odds_part, lambda average, tokens: odds_part(average / tokens, 1), "n times their average"),
    (check_odds_part, lambda average, tokens: math.exp(average * tokens), "nearly right where P is tiny"),
    (check_odds_part, lambda average, tokens: 1 - math.exp(average * tokens), "minus the logarithm"),
    (check_odds_part, lambda average, tokens: 0.0, "expected"),
    (check_odds_part, lambda average, tokens: True, "got bool"),
    (check_odds_part, lambda average, tokens: [odds_part(average, tokens)], "got list"),
    (check_odds_part, lambda average, tokens: float("nan"), "expected"),
    (check_odds_part, lambda average: average, "raised TypeError"),
]


@pytest.mark.parametrize(("check", "answer", "reason"), MISTAKES)
def test_each_mistake_is_named(check, answer, reason):
    verdict = check(answer)
    assert not verdict
    assert reason in verdict.message
