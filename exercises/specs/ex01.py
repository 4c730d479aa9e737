"""Exercise 1, hidden: other batches, padded on either side, other logits and other small models; two steps on paper."""

import math
import random

import torch

from lessons_lib import bandit, textbook
from lessons_lib.grading.spec import Exercise, Item
from lessons_lib.lessons.lesson01 import checks
from lessons_lib.lessons.lesson01.batches import padded

_VOCABULARY = 12


def _batch(rng: random.Random, side: str, pairs: int) -> dict:
    """Rows of a batch, chosen first; the end token fills rows up too, so its id says nothing of what is padding."""
    end = rng.randrange(_VOCABULARY)
    prompts = [_tokens(rng, rng.randint(1, 4)) for _ in range(pairs)]
    responses = [[*_tokens(rng, rng.randint(1, 5)), end] for _ in range(2 * pairs)]
    batch = padded(prompts * 2, responses, side=side, pad_id=end)
    return {name: {"integers": tensor.tolist()} for name, tensor in batch.items()}


def _tokens(rng: random.Random, count: int) -> list[int]:
    return [rng.randrange(_VOCABULARY) for _ in range(count)]


def _batches(rng: random.Random) -> list[dict]:
    return [_batch(rng, side, pairs) for side, pairs in (("right", 2), ("left", 3), ("left", 1))]


def _labels(rng: random.Random, side: str, pairs: int) -> tuple[dict, int, int]:
    """The labels of a batch as a case has them, with the batch's rows and length."""
    batch = _batch(rng, side, pairs)
    labels = checks.labels_of(**{name: torch.tensor(value["integers"]) for name, value in batch.items()})
    return {"integers": labels.tolist()}, *labels.shape


def _random(rng: random.Random, *shape: int):
    if len(shape) == 1:
        return [round(rng.gauss(0, 1.5), 3) for _ in range(shape[0])]
    return [_random(rng, *shape[1:]) for _ in range(shape[0])]


def _scored(rng: random.Random) -> list[dict]:
    cases = []
    for side, pairs in (("right", 2), ("left", 3)):
        labels, rows, length = _labels(rng, side, pairs)
        cases.append({"logits": {"tensor": _random(rng, rows, length, _VOCABULARY)}, "labels": labels})
    return cases


def _compared(rng: random.Random) -> list[dict]:
    cases = []
    for side, pairs in (("left", 2), ("right", 3)):
        labels, rows, length = _labels(rng, side, pairs)
        tables = [_random(rng, rows, length, _VOCABULARY) for _ in range(2)]
        cases.append(
            {
                "policy_logits": {"tensor": tables[0]},
                "reference_logits": {"tensor": tables[1]},
                "labels": labels,
                "beta": round(rng.uniform(0.05, 0.5), 3),
            }
        )
    return cases


def _runs(rng: random.Random) -> list[dict]:
    """The reference is another model than the policy, so that a step on the wrong one shows in its first loss."""
    return [
        {
            "policy": {"bigram": _random(rng, _VOCABULARY, _VOCABULARY)},
            "reference": {"bigram": _random(rng, _VOCABULARY, _VOCABULARY)},
            "batches": [_batch(rng, side, 3) for side in ("left", "right", "right", "left")],
            "beta": round(rng.uniform(0.1, 0.5), 3),
            "learning_rate": round(rng.uniform(0.02, 0.08), 4),
        }
        for _ in range(2)
    ]


def _distribution(rng: random.Random) -> list[float]:
    weights = [rng.uniform(0.2, 1) for _ in range(4)]
    return [round(weight / sum(weights), 4) for weight in weights]


def _worlds(rng: random.Random) -> list[dict]:
    return [
        {
            "rewards": [round(rng.uniform(-1, 1.5), 3) for _ in range(4)],
            "reference": _distribution(rng),
            "beta": round(rng.uniform(0.3, 1.5), 3),
        }
        for _ in range(2)
    ]


def _two_answers(rng: random.Random) -> list[dict]:
    return [
        {
            "policy": _distribution(rng),
            "reference": _distribution(rng),
            "beta": round(rng.uniform(0.3, 1.5), 3),
            **dict(zip("ij", rng.sample(range(4), 2), strict=True)),
        }
        for _ in range(2)
    ]


def _reward_gap(policy, reference, beta, i, j):
    logps = [math.log(answers[k]) for answers in (policy, reference) for k in (i, j)]
    return beta * textbook.margin(*logps)


EXERCISE = Exercise(
    lesson=1,
    notebook="01_from_logits_to_a_step.ipynb",
    items=(
        Item("my_labels", 1.5, _batches, checks.labels_of),
        Item("my_logps", 1.5, _scored, checks.pair_logps, gradient=("logits",)),
        # The gradient with respect to the reference's logits is none at all: the reference is frozen.
        Item("my_loss", 1.5, _compared, checks.batch_loss, gradient=("policy_logits", "reference_logits")),
        Item("my_steps", 1.5, _runs, checks.steps, tolerance=1e-5),
        Item(
            "optimal_policy",
            1,
            _worlds,
            lambda rewards, reference, beta: bandit.tilted_policy(rewards, beta, reference),
        ),
        Item("reward_gap", 1, _two_answers, _reward_gap),
    ),
)
