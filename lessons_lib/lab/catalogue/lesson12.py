"""Lesson 12: more preferences at the same settings, and a step so small that 10,000 are not yet too many.

The runs of 100,000 preferences are the benchmark's scale part; these stand beside them, at its batch and schedule.
"""

from functools import partial

from lessons_lib.lab import annotators
from lessons_lib.lab.studies import Arm, Study
from lessons_lib.training import TrainConfig

BATCH = 32


def _config(learning_rate: float, evaluate_every: int) -> TrainConfig:
    """One pass at a constant step, as in the scale runs: a run's course then does not depend on its length."""
    return TrainConfig(
        batch_size=BATCH, epochs=1, schedule="constant", append_eos=False,
        learning_rate=learning_rate, evaluate_every=evaluate_every,
    )  # fmt: skip


STUDIES = (
    Study(
        name="past_the_peak",
        question="What do 3,000 preferences do at the largest step of the scale runs, and what does a larger β change?",
        make_rows=partial(annotators.label_pairs, n=94 * BATCH),
        config=_config(3.2e-4, evaluate_every=10),  # the scale runs' largest step: its peak comes within 3,000
        arms={
            f"dpo_{beta}": Arm(f"DPO, β = {beta}", "dpo", {"hyperparameters": {"beta": beta}}) for beta in (0.1, 0.5)
        },
        seeds=(0, 1, 2),
        samples=256,
    ),
    Study(
        name="small_step",
        question="Where does DPO's peak come at a step that is half the smallest of the scale runs?",
        make_rows=partial(annotators.label_pairs, n=900 * BATCH),
        config=_config(1e-5, evaluate_every=100),
        arms={"dpo": Arm("DPO, β = 0.1, step 1e-5", "dpo", {"hyperparameters": {"beta": 0.1}})},
        seeds=(0, 1),
        samples=256,
    ),
)
