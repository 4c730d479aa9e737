"""Lesson 2: flipped labels, seen many times and seen once."""

from functools import partial

from lessons_lib.lab import annotators
from lessons_lib.lab.studies import Study, StudyArm
from lessons_lib.training.config import TrainConfig

SEEDS = tuple(range(12))
CHECKPOINTS = tuple(f"sft-{seed}" for seed in SEEDS)  # one for each seed
FLIPS = (0, 20, 40)  # per cent of the labels, swapped at random
VARIANTS = {
    "dpo": ("DPO", {"beta": 0.1}),
    "cdpo": ("conservative DPO", {"beta": 0.1, "label_smoothing": 0.3}),  # its target: 8.5 nats
    "near": ("conservative DPO, near target", {"beta": 0.5, "label_smoothing": 0.3}),  # 1.7 nats
}


def _arms(variants: dict[str, tuple[int, ...]], pairs: int) -> dict[str, StudyArm]:
    """An arm for each variant and its shares of flips, such as "dpo_40"."""
    arms = {}
    for key, shares in variants.items():
        name, hyperparameters = VARIANTS[key]
        for flips in shares:
            rows = partial(annotators.label_pairs, n=pairs, flip_rate=flips / 100)
            arms[f"{key}_{flips}"] = StudyArm(
                f"{name}, {flips} % flips", "dpo", {"hyperparameters": hyperparameters}, rows
            )
    return arms


NOISE_REUSED = Study(
    name="noise_reused",
    question="What do flipped labels do when 300 pairs are seen sixteen times?",
    make_rows=partial(annotators.label_pairs, n=300),
    # Ten steps a pass; a constant step, so that nothing but the loss can stop the run, and a large one, so that
    # sixteen passes are enough to learn the pairs by heart.
    config=TrainConfig(
        batch_size=30, epochs=16, learning_rate=5e-4, schedule="constant", evaluate_every=20, append_eos=False
    ),
    arms=_arms({"dpo": FLIPS, "cdpo": FLIPS, "near": (40,)}, 300),
    seeds=SEEDS,
    samples=256,
    checkpoints=CHECKPOINTS,
    texts=4,
)

NOISE_ONCE = Study(
    name="noise_once",
    question="What do flipped labels do when every pair is seen once?",
    make_rows=partial(annotators.label_pairs, n=960),
    config=TrainConfig(epochs=1, evaluate_every=20, append_eos=False),  # the lab's usual step size; 60 steps
    arms=_arms({"dpo": FLIPS}, 960),
    seeds=SEEDS,
    checkpoints=CHECKPOINTS,
)
STUDIES = (NOISE_REUSED, NOISE_ONCE)
