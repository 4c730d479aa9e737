"""Exercise 7, hidden: log-odds at both ends with their gradient, ORPO's loss, and the odds' part of a sum."""

import math
import random

import torch

from lessons_lib import losses
from lessons_lib.grading.spec import Exercise, Item


def _ends(rng: random.Random) -> list[dict]:
    usual = [round(-rng.uniform(0.05, 4), 3) for _ in range(3)]
    near, far = -(10 ** rng.uniform(-25, -17)), round(-rng.uniform(800, 5000), 1)
    return [{"logp": {"tensor": usual}}, {"logp": {"tensor": [usual[0], near]}}, {"logp": {"tensor": [far, usual[1]]}}]


def _log_odds(logp):
    return logp - torch.log(-torch.expm1(logp))


def _batches(rng: random.Random) -> list[dict]:
    def values(count, sign):
        return {"tensor": [round(sign * rng.uniform(0.1, 3), 3) for _ in range(count)]}

    return [
        {
            "policy_chosen": values(size, -1),
            "policy_rejected": values(size, -1),
            "chosen_nll": values(size, 1),
            "lam": round(rng.uniform(0.05, 2), 3),
        }
        for size in (1, 5)
    ]


def _orpo(policy_chosen, policy_rejected, chosen_nll, lam):
    return losses.orpo_loss(policy_chosen, policy_rejected, chosen_nll, lam=lam).losses


def _sums(rng: random.Random) -> list[dict]:
    tokens = (1, rng.randint(3, 6), rng.randint(7, 10))
    return [{"average": round(-rng.uniform(0.1, 1.2), 3), "tokens": count} for count in tokens]


EXERCISE = Exercise(
    lesson=7,
    notebook="07_implement_orpo.ipynb",
    items=(
        Item("my_log_odds", 3, _ends, _log_odds, gradient=("logp",)),
        Item("my_orpo_loss", 4, _batches, _orpo, gradient=("policy_chosen", "policy_rejected")),
        Item("odds_part", 3, _sums, lambda average, tokens: -math.log1p(-math.exp(average * tokens))),
    ),
)
