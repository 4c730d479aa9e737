"""Exercise 1, hidden: the derivation's four steps on fresh worlds of four answers."""

import math
import random

from lessons_lib import bandit, textbook
from lessons_lib.grading.spec import Exercise, Item


def _distribution(rng: random.Random) -> list[float]:
    weights = [rng.uniform(0.2, 1) for _ in range(4)]
    return [round(weight / sum(weights), 4) for weight in weights]


def _world(rng: random.Random) -> dict:
    return {
        "policy": _distribution(rng),
        "rewards": [round(rng.uniform(-1, 1.5), 3) for _ in range(4)],
        "reference": _distribution(rng),
        "beta": round(rng.uniform(0.3, 1.5), 3),
    }


def _worlds(*names: str):
    def cases(rng: random.Random) -> list[dict]:
        return [{name: world[name] for name in names} for world in (_world(rng), _world(rng))]

    return cases


def _pairs(first: str, second: str):
    def cases(rng: random.Random) -> list[dict]:
        worlds = _worlds("policy", "reference", "beta")(rng)
        return [world | dict(zip((first, second), rng.sample(range(4), 2))) for world in worlds]

    return cases


def _objective(policy, rewards, reference, beta):
    kl = sum(p * math.log(p / q) for p, q in zip(policy, reference))
    return sum(p * r for p, r in zip(policy, rewards)) - beta * kl


def _optimal_policy(rewards, reference, beta):
    return bandit.tilted_policy(rewards, beta, reference)


def _logps(policy, reference, first, second):
    return [math.log(answers[i]) for answers in (policy, reference) for i in (first, second)]


def _reward_gap(policy, reference, beta, i, j):
    return beta * textbook.margin(*_logps(policy, reference, i, j))


def _pair_loss(policy, reference, beta, chosen, rejected):
    return textbook.dpo_loss(*_logps(policy, reference, chosen, rejected), beta)


EXERCISE = Exercise(
    lesson=1,
    notebook="01_derive_dpo.ipynb",
    items=(
        Item("objective", 2, _worlds("policy", "rewards", "reference", "beta"), _objective),
        Item("optimal_policy", 2, _worlds("rewards", "reference", "beta"), _optimal_policy),
        Item("reward_gap", 2, _pairs("i", "j"), _reward_gap),
        Item("pair_loss", 2, _pairs("chosen", "rejected"), _pair_loss),
    ),
)
