"""Exercise 8, hidden: SimPO's loss and its gradient on fresh pairs, γ for TRL, and fresh pairs to rank twice."""

import random

from lessons_lib import losses
from lessons_lib.grading.spec import Exercise, Item
from lessons_lib.lessons.lesson08.checks import dpo_margin, simpo_margin


def _batches(rng: random.Random) -> list[dict]:
    def sums(count):
        return {"tensor": [round(-rng.uniform(4, 40), 3) for _ in range(count)]}

    def tokens(count):
        return {"tensor": [float(rng.randint(5, 40)) for _ in range(count)]}

    return [
        {
            "chosen": sums(size),
            "rejected": sums(size),
            "chosen_tokens": tokens(size),
            "rejected_tokens": tokens(size),
            "beta": round(rng.uniform(1, 10), 2),
            "gamma": round(rng.uniform(0.1, 3), 3),
        }
        for size in (1, 5)
    ]


def _simpo(chosen, rejected, chosen_tokens, rejected_tokens, beta, gamma):
    return losses.simpo_loss(chosen / chosen_tokens, rejected / rejected_tokens, beta=beta, gamma=gamma).losses


def _recipes(rng: random.Random) -> list[dict]:
    return [{"beta": round(rng.uniform(1, 10), 2), "gamma_beta_ratio": round(rng.uniform(0.1, 1), 3)} for _ in range(3)]


def _pair(rng: random.Random) -> dict:
    """One pair whose two margins are far enough from zero that rounding decides nothing."""
    while True:
        pair = {}
        for side in ("chosen", "rejected"):
            tokens = rng.randint(6, 40)
            reference = -tokens * rng.uniform(0.5, 1.3)
            pair[f"reference_{side}"] = round(reference, 2)
            pair[f"policy_{side}"] = round(reference + rng.uniform(-4, 4), 2)
            pair[f"{side}_tokens"] = tokens
        if abs(dpo_margin(pair)) > 0.1 and abs(simpo_margin(pair)) > 0.01:
            return pair


def _lists(rng: random.Random) -> list[dict]:
    return [{"pairs": [_pair(rng) for _ in range(12)]} for _ in range(2)]


def _disagreements(pairs) -> list[int]:
    return [number for number, pair in enumerate(pairs) if dpo_margin(pair) * simpo_margin(pair) < 0]


EXERCISE = Exercise(
    lesson=8,
    notebook="08_implement_simpo.ipynb",
    items=(
        Item("my_simpo_loss", 4, _batches, _simpo, gradient=("chosen", "rejected")),
        Item("gamma_for_trl", 2, _recipes, lambda beta, gamma_beta_ratio: beta * gamma_beta_ratio),
        Item("ranked_differently", 4, _lists, _disagreements),
    ),
)
