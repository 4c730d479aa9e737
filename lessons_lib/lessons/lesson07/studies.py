"""Lesson 7: one stage from a base model against two, at the same number of response passes."""

from functools import partial

from lessons_lib.lab import annotators
from lessons_lib.lab.settings import SETTINGS
from lessons_lib.lab.studies import Study, StudyArm
from lessons_lib.training.config import TrainConfig

# 8,000 responses go through the model in every arm that starts at the base: two for each of a step's 16 pairs, one
# where SFT imitates the chosen reply. The imitation term takes the lab's rate for ORPO from the base model, wherever
# it stands; DPO and SimPO take the strength and the rate that they have from an SFT checkpoint (`lab.settings`).
_IMITATING = {"learning_rate": SETTINGS["orpo_from_base"]["learning_rate"]}
_DPO = SETTINGS["dpo"]
_SFT = StudyArm("SFT", "sft", {**_IMITATING, "max_steps": 250}, start="base")

# The pairs are samples of an SFT checkpoint, so for the base model they are another model's text.
_PAIRS = partial(annotators.label_pairs, n=2000)
_CONFIG = TrainConfig(max_steps=250, append_eos=False)

ONE_STAGE = Study(
    name="one_stage",
    question="From a base model, at equal passes: ORPO in one stage, or SFT and then DPO?",
    make_rows=_PAIRS,
    config=_CONFIG,
    arms={
        "orpo": StudyArm("ORPO", "orpo", SETTINGS["orpo_from_base"], start="base"),
        "sft_dpo": StudyArm("SFT → DPO", "dpo", {**_DPO, "max_steps": 125}, first=_SFT),
        "sft": StudyArm("SFT on the chosen", "sft", {**_IMITATING, "max_steps": 500}, start="base"),
        # The same pairs and the same DPO, from the checkpoint whose own samples they are.
        "dpo_own": StudyArm("DPO on its own samples", "dpo", {**_DPO, "max_steps": 125}),
    },
)

NO_IMITATION = Study(
    name="no_imitation",
    question="What do preferences make of a base model where no term imitates the chosen reply?",
    make_rows=_PAIRS,
    config=_CONFIG,
    arms={
        "dpo": StudyArm("DPO alone", "dpo", _DPO, start="base"),
        "simpo": StudyArm("SimPO alone", "simpo", SETTINGS["simpo"], start="base"),
        # Controls: the imitating arms train at a rate 15 times as large, so the same rate here, and one in between.
        **{
            f"{method}_{rate:.0e}".replace("e-0", "e-"): StudyArm(
                f"{name} alone", method, {**SETTINGS[method], "learning_rate": rate}, start="base"
            )
            for method, name in (("dpo", "DPO"), ("simpo", "SimPO"))
            for rate in (1e-3, _IMITATING["learning_rate"])
        },
    },
    seeds=(0, 1, 2),  # one for each checkpoint: both end in text that is no reply
)
STUDIES = (ONE_STAGE, NO_IMITATION)
