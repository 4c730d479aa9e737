"""Lesson 12: a few thousand preferences at a large step, live, and what a larger β changes there.

The runs of up to 100,000 preferences are the benchmark's scale part; these share its batch and schedule.
"""

from functools import partial

from lessons_lib.lab import annotators
from lessons_lib.lab.studies import Study, StudyArm
from lessons_lib.training.config import TrainConfig

BATCH = 32

PAST_THE_PEAK = Study(
    name="past_the_peak",
    question="What do 3,000 preferences do at the largest step of the scale runs, and what does a larger β change?",
    make_rows=partial(annotators.label_pairs, n=94 * BATCH),
    config=TrainConfig(
        batch_size=BATCH,
        epochs=1,
        learning_rate=3.2e-4,  # the scale runs' largest step: its peak comes within 3,000
        schedule="constant",  # as there: a run's course then does not depend on its length
        append_eos=False,
        evaluate_every=10,
    ),
    arms={
        f"dpo_{beta}": StudyArm(f"DPO, β = {beta}", "dpo", {"hyperparameters": {"beta": beta}}) for beta in (0.1, 0.5)
    },
    seeds=(0, 1, 2),
    samples=256,
)
BATCHES = Study(
    name="batches",
    question="Does the peak come at the same number of preferences, or of steps, when a step takes fewer or more?",
    make_rows=partial(annotators.label_pairs, n=188 * BATCH),
    config=PAST_THE_PEAK.config,
    arms={
        f"dpo_b{rows}": StudyArm(
            f"DPO, {rows} pairs a step",
            "dpo",
            {"hyperparameters": {"beta": 0.1}, "batch_size": rows, "max_steps": steps, "evaluate_every": every},
        )
        # By the rule of distance the peak comes after as many steps, so at four times fewer or more preferences.
        for rows, steps, every in ((8, 100, 10), (128, 45, 5))
    },
    seeds=(0, 1, 2),
    samples=256,
)
STUDIES = (PAST_THE_PEAK, BATCHES)
