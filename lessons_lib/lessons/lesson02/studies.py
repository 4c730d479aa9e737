"""Lesson 2: flipped labels, seen many times and seen once."""

from functools import partial

from lessons_lib.lab import annotators
from lessons_lib.lab.studies import Study, StudyArm
from lessons_lib.training.config import TrainConfig

SEEDS = (0, 1, 2)  # one from each SFT checkpoint
FLIPS = (0, 20, 40)  # per cent of the labels, swapped at random
METHODS = {
    "dpo": ("DPO", "dpo", {"beta": 0.1}),
    "cdpo": ("conservative DPO", "dpo", {"beta": 0.1, "label_smoothing": 0.3}),
    "ipo": ("IPO", "ipo", {"tau": 0.5}),
}


def _arms(methods: tuple[str, ...], pairs: int) -> dict[str, StudyArm]:
    """An arm for each method and share of flips, such as "dpo_40"."""
    arms = {}
    for key in methods:
        name, method, hyperparameters = METHODS[key]
        for flips in FLIPS:
            rows = partial(annotators.label_pairs, n=pairs, flip_rate=flips / 100)
            arms[f"{key}_{flips}"] = StudyArm(
                f"{name}, {flips} % flips", method, {"hyperparameters": hyperparameters}, rows
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
    arms=_arms(("dpo", "cdpo", "ipo"), 300),
    seeds=SEEDS,
    samples=256,
)

NOISE_ONCE = Study(
    name="noise_once",
    question="What do flipped labels do when every pair is seen once?",
    make_rows=partial(annotators.label_pairs, n=960),
    config=TrainConfig(epochs=1, evaluate_every=20, append_eos=False),  # the lab's usual step size; 60 steps
    arms=_arms(("dpo",), 960),
    seeds=SEEDS,
)
STUDIES = (NOISE_REUSED, NOISE_ONCE)
