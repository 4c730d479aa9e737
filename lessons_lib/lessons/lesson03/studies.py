"""Lesson 3: what the thumbs are worth that no pair can hold."""

from collections.abc import Callable

from lessons_lib.lab import annotators
from lessons_lib.lab.checkpoints import Pool
from lessons_lib.lab.settings import SETTINGS
from lessons_lib.lab.studies import Study, StudyArm
from lessons_lib.training.config import TrainConfig


class ConvertedLog:
    """One log a seed, turned into training data by one of the conversions of `annotators`."""

    def __init__(self, convert: Callable[[list[dict]], list[dict]]):
        self.convert = convert

    def __call__(self, pool: Pool, *, seed: int) -> list[dict]:
        return self.convert(annotators.rate_replies(pool, seed=seed))


# 16 pairs hold as many replies as 32 thumbs. Strengths and learning rates are the lab's starting points of each
# method (`lab.settings`), chosen on other data than this and not searched, so no two methods may be ranked by them.
# What may be compared: the arms of one method, which differ in their data alone, and each method with its own slower
# rate. 100 steps pass 1.3 times over all thumbs and about 8 times over the pairs.
_KTO = {**SETTINGS["kto"], "batch_size": 32}
_SLOW = 2e-4  # DPO's usual rate here; KTO's is 3.5 times as large

LOG_TO_PAIRS = Study(
    name="log_to_pairs",
    question="One log of single thumbs: what do its pairs teach, and what do all of its thumbs?",
    make_rows=ConvertedLog(annotators.unanimous_pairs),
    config=TrainConfig(max_steps=100, evaluate_every=25, append_eos=False),
    arms={
        "kto_all": StudyArm("KTO, every thumb", "kto", _KTO, ConvertedLog(annotators.every_thumb)),
        "kto_kept": StudyArm("KTO, thumbs of the pairs", "kto", _KTO, ConvertedLog(annotators.thumbs_in_pairs)),
        "kto_slow": StudyArm(
            "KTO, every thumb", "kto", {**_KTO, "learning_rate": _SLOW}, ConvertedLog(annotators.every_thumb)
        ),
        "dpo": StudyArm("DPO, the pairs", "dpo", SETTINGS["dpo"]),
        "dpo_slow": StudyArm("DPO, the pairs", "dpo", {**SETTINGS["dpo"], "learning_rate": _SLOW / 2}),
        "orpo": StudyArm("ORPO, the pairs", "orpo", SETTINGS["orpo"]),
    },
)
STUDIES = (LOG_TO_PAIRS,)
