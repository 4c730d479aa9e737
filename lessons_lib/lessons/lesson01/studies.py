"""Lesson 1: one DPO fine-tune, so that its curves can be read together."""

from functools import partial

from lessons_lib.lab import annotators
from lessons_lib.lab.studies import Study, StudyArm
from lessons_lib.training.config import TrainConfig

_BETA = {"hyperparameters": {"beta": 0.1}}

ONE_DPO_RUN = Study(
    name="one_dpo_run",
    question="What do loss, accuracy, log-probs and gold do in one ordinary DPO run?",
    make_rows=partial(annotators.label_pairs, n=1000),
    # Half as large again as the lab's usual rate, with the papers' β = 0.1: hot enough for gold to peak on the way.
    config=TrainConfig(max_steps=120, learning_rate=3e-4, evaluate_every=30, append_eos=False),
    seeds=tuple(range(6)),  # one from each of six SFT checkpoints
    arms={
        "dpo": StudyArm("DPO", "dpo", _BETA),
        # The same run with SFT's loss on the chosen reply beside it, at equal weight.
        "dpo_nll": StudyArm("DPO + NLL", "dpo", {**_BETA, "nll_weight": 1.0}),
    },
    checkpoints=tuple(f"sft-{seed}" for seed in range(6)),
    texts=4,
)
STUDIES = (ONE_DPO_RUN,)
