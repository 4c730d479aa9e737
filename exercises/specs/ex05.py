"""Exercise 5, hidden: IPO's loss and its gradient on fresh pairs, and τ both ways."""

import random

from lessons_lib import losses
from lessons_lib.grading.spec import Exercise, Item


def _batches(rng: random.Random) -> list[dict]:
    def logps(count):
        return {"tensor": [round(-rng.uniform(4, 40), 3) for _ in range(count)]}

    names = ("policy_chosen", "policy_rejected", "reference_chosen", "reference_rejected")
    return [{name: logps(size) for name in names} | {"tau": round(rng.uniform(0.05, 1), 3)} for size in (1, 5)]


def _ipo(policy_chosen, policy_rejected, reference_chosen, reference_rejected, tau):
    return losses.ipo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, tau=tau).losses


def _margins(rng: random.Random) -> list[dict]:
    return [{"margin": round(rng.uniform(0.3, 20), 3)} for _ in range(3)]


def _taus(rng: random.Random) -> list[dict]:
    return [{"tau": round(rng.uniform(0.02, 1), 3), "length": rng.randint(5, 200)} for _ in range(3)]


EXERCISE = Exercise(
    lesson=5,
    notebook="05_implement_ipo.ipynb",
    items=(
        Item("my_ipo_loss", 4, _batches, _ipo, gradient=("policy_chosen", "policy_rejected")),
        Item("tau_for_margin", 2, _margins, lambda margin: 1 / (2 * margin)),
        Item("averaged_tau", 2, _taus, lambda tau, length: tau * length),
    ),
)
