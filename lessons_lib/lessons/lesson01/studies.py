"""Lesson 1: one DPO fine-tune, so that its curves can be read together."""

from functools import partial

from lessons_lib.lab import annotators
from lessons_lib.lab.studies import Study, StudyArm
from lessons_lib.training.config import TrainConfig

ONE_DPO_RUN = Study(
    name="one_dpo_run",
    question="What do loss, accuracy, log-probs and gold do in one ordinary DPO run?",
    make_rows=partial(annotators.label_pairs, n=1000),
    # Half as large again as the lab's usual rate, with the papers' β = 0.1: hot enough for gold to peak on the way.
    config=TrainConfig(max_steps=120, learning_rate=3e-4, evaluate_every=15, append_eos=False),
    seeds=(0, 1, 2),  # one from each SFT checkpoint
    arms={"dpo": StudyArm("DPO, β = 0.1", "dpo", {"hyperparameters": {"beta": 0.1}})},
)
STUDIES = (ONE_DPO_RUN,)
