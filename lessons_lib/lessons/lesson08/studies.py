"""Lesson 8: what averaging over tokens does to the length of replies."""

from functools import partial

from lessons_lib.lab import annotators
from lessons_lib.lab.settings import SETTINGS
from lessons_lib.lab.studies import Study, StudyArm
from lessons_lib.training.config import TrainConfig

_LABELS = {
    "clean": partial(annotators.label_pairs, n=1000),
    # Gold points a token, beside the −0.05 that gold itself charges for a token over 12.
    "long": partial(annotators.label_pairs, n=1000, length_bonus=0.15),
    "random": partial(annotators.label_pairs, n=1000, sharpness=0.0),
}
# Strengths and learning rate: the lab's starting points for either method (`lab.settings`), the same for all labels.
_DPO, _SIMPO = SETTINGS["dpo"], SETTINGS["simpo"]
# A reply has about 20 tokens, so 5 on averages is 0.25 on sums: rewards of the same size, without the division.
_SUMMED = {**_SIMPO, "hyperparameters": {"beta": 0.25, "gamma": 1.0}, "average": False}

LENGTH = Study(
    name="length",
    question="What do DPO and SimPO do to the length of replies, whatever the labels say of it?",
    make_rows=_LABELS["clean"],
    config=TrainConfig(max_steps=125, append_eos=False),
    arms={
        "dpo_clean": StudyArm("DPO, clean labels", "dpo", _DPO),
        "simpo_clean": StudyArm("SimPO, clean labels", "simpo", _SIMPO),
        "dpo_long": StudyArm("DPO, long replies favored", "dpo", _DPO, _LABELS["long"]),
        "simpo_long": StudyArm("SimPO, long replies favored", "simpo", _SIMPO, _LABELS["long"]),
        "dpo_random": StudyArm("DPO, random labels", "dpo", _DPO, _LABELS["random"]),
        "simpo_random": StudyArm("SimPO, random labels", "simpo", _SIMPO, _LABELS["random"]),
        "summed_random": StudyArm("SimPO on sums, random labels", "simpo", _SUMMED, _LABELS["random"]),
    },
)
STUDIES = (LENGTH,)
