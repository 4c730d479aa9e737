"""Lesson 5: what a bounded loss does on labels that are never in doubt."""

from functools import partial

from lessons_lib.lab import annotators
from lessons_lib.lab.studies import Study, StudyArm
from lessons_lib.training.config import TrainConfig

NEAR_DETERMINISTIC = Study(
    name="near_deterministic",
    question="What do DPO and IPO do with 150 pairs whose labels are never in doubt?",
    make_rows=partial(annotators.label_pairs, n=150, deterministic=True),
    # A constant step, so that nothing but the loss can stop the margin.
    config=TrainConfig(max_steps=300, learning_rate=3e-4, schedule="constant", evaluate_every=25, append_eos=False),
    arms={
        "dpo_0.1": StudyArm("DPO, β = 0.1", "dpo", {"hyperparameters": {"beta": 0.1}}),
        "dpo_0.5": StudyArm("DPO, β = 0.5", "dpo", {"hyperparameters": {"beta": 0.5}}),
        "ipo_0.1": StudyArm("IPO, τ = 0.1", "ipo", {"hyperparameters": {"tau": 0.1}}),
        "ipo_0.5": StudyArm("IPO, τ = 0.5", "ipo", {"hyperparameters": {"tau": 0.5}}),
    },
)
STUDIES = (NEAR_DETERMINISTIC,)
