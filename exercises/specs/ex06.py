"""Exercise 6, hidden: mismatched pairs, z₀ on both sides of zero, and KTO's loss with its gradient on fresh replies."""

import random

from lessons_lib import losses
from lessons_lib.grading.spec import Exercise, Item


def _texts(rng: random.Random) -> list[dict]:
    def texts(kind, count):
        return [f"{kind} {rng.randrange(10**6)}" for _ in range(count)]

    return [{"prompts": texts("prompt", count), "completions": texts("completion", count)} for count in (2, 5, 8)]


def _mismatched(prompts, completions):
    return list(zip(prompts, completions[1:] + completions[:1], strict=True))


def _moved(rng: random.Random, count: int, by: float) -> dict:
    """Mismatched log-probs of policy and reference; the policy's differ by about `by` nats on average."""
    reference = [-rng.uniform(20, 60) for _ in range(count)]
    policy = [logp + by + rng.uniform(-3, 3) for logp in reference]
    return {
        "policy_mismatched": {"tensor": [round(logp, 3) for logp in policy]},
        "reference_mismatched": {"tensor": [round(logp, 3) for logp in reference]},
    }


def _points(rng: random.Random) -> list[dict]:
    return [_moved(rng, count, by) for count, by in ((6, 5.0), (4, -4.0), (1, 6.0), (5, 4.0))]


def _point(policy_mismatched, reference_mismatched):
    return losses.kto_reference_point(policy_mismatched, reference_mismatched)


def _batches(rng: random.Random) -> list[dict]:
    def batch(count, by):
        return {
            "policy": {"tensor": [round(-rng.uniform(5, 40), 3) for _ in range(count)]},
            "reference": {"tensor": [round(-rng.uniform(5, 40), 3) for _ in range(count)]},
            **_moved(rng, count, by),
            "desirable": {"tensor": [True, False] + [rng.random() < 0.5 for _ in range(count - 2)]},
            "beta": round(rng.uniform(0.05, 0.5), 3),
            "desirable_weight": round(rng.uniform(1.5, 10), 2),
            "undesirable_weight": round(rng.uniform(0.5, 1.4), 2),
        }

    return [batch(5, 4.0), batch(3, -4.0), batch(8, 8.0), batch(2, 4.0)]


def _kto(policy, reference, policy_mismatched, reference_mismatched, desirable, **settings):
    kl = losses.kto_reference_point(policy_mismatched, reference_mismatched)
    return losses.kto_loss(policy, reference, desirable, kl, **settings).losses


EXERCISE = Exercise(
    lesson=6,
    notebook="06_implement_kto.ipynb",
    items=(
        Item("mismatched", 1, _texts, _mismatched),
        Item("my_reference_point", 3, _points, _point),
        # The gradient with respect to the mismatched log-probs is none at all: z₀ is a constant of the step.
        Item("my_kto_loss", 4, _batches, _kto, gradient=("policy", "policy_mismatched")),
    ),
)
