"""Exercise 4, hidden: bytes a weight, logits and peaks of fresh settings, either moment the larger one."""

import random

from lessons_lib.grading.spec import Exercise, Item
from lessons_lib.lessons.lesson04.checks import peak


def _weights(rng: random.Random) -> list[dict]:
    references = rng.sample((0, 2, 4), 3)
    return [
        {"weight": rng.choice((2, 4)), "states": rng.choice((0, 1, 2, 3)), "reference": reference}
        for reference in references
    ]


def _batches(rng: random.Random) -> list[dict]:
    return [
        {
            "pairs": rng.randint(1, 64),
            "response_length": rng.randint(8, 2000),
            "vocabulary": rng.randint(100, 256_000),
        }
        for _ in range(3)
    ]


def _runs(rng: random.Random) -> list[dict]:
    """Two runs whose worst moment is the update, and two whose worst moment is the loss, one each with a reference."""
    runs = []
    for share in (0.3, 3.0):
        for reference in (True, False):
            parameters = rng.randint(100_000, 8_000_000_000)
            grows = 4 * parameters * share * rng.uniform(0.7, 1.3)
            part = rng.uniform(0.2, 0.8)
            runs.append(
                {
                    "parameters": parameters,
                    "activations": round(grows * part),
                    "logits": round(grows * (1 - part)),
                    "reference": reference,
                }
            )
    return runs


EXERCISE = Exercise(
    lesson=4,
    notebook="04_predict_the_peak.ipynb",
    items=(
        Item("bytes_per_weight", 2, _weights, lambda weight, states, reference: weight * (2 + states) + reference),
        Item(
            "logits_bytes",
            2,
            _batches,
            lambda pairs, response_length, vocabulary: 16 * 2 * pairs * response_length * vocabulary,
        ),
        Item("predicted_peak", 4, _runs, peak),
    ),
)
