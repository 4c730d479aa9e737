"""The capstone, hidden: claims on each learner's own sample, paragraphs for a person, a rule on hidden datasets."""

import random

from lessons_lib.advice.decide import Facts, briefs
from lessons_lib.data import samples
from lessons_lib.grading.spec import Exercise, Item
from lessons_lib.lessons.lesson09.checks import share
from lessons_lib.lessons.lesson14 import checks

SET = {"tulu1": "tulu1_human_eval", "feedbackqa": "feedbackqa_cdc", "qlora": "qlora_gpt4_vicuna"}
# In reserve for other terms: pandalm_testset and self_instruct_demos, whose cases checks.CASES holds as well.
OTHER_TERMS = (
    ("tulu1_human_eval", {"reference": "none"}),
    ("tulu1_human_eval", {"checkpoint": "base", "passes": 5}),
    ("feedbackqa_cdc", {"checkpoint": "base", "reference": "none"}),
    ("qlora_gpt4_vicuna", {"reference": "precomputed"}),
    ("pandalm_testset", {"passes": 5, "near_deterministic": 0.89}),
    ("self_instruct_demos", {"checkpoint": "sft"}),
)
PART = 0.3  # of the prompts: so hidden datasets differ in what they show
DOUBT = 0.08  # either way of a flip rate


def _cases(rng: random.Random) -> list[dict]:
    """The five datasets under their briefs, and six times under other terms; the order tells nothing."""
    hidden = [_facts(rng, name, {}) for name in briefs()] + [_facts(rng, *terms) for terms in OTHER_TERMS]
    rng.shuffle(hidden)
    return [{"facts": {"facts": facts}} for facts in hidden]


def _facts(rng: random.Random, name: str, terms: dict) -> dict:
    rows = samples.draw(name, rng, PART)
    found = {key: round(value, 3) for key, value in checks.figures_of(rows).items()}
    known = {key: value for key, value in found.items() if key in Facts.__dataclass_fields__}
    if flips := known.get("flip_rate"):
        known |= {"flip_low": round(max(0.0, flips - DOUBT), 3), "flip_high": round(min(0.5, flips + DOUBT), 3)}
    shape = "unpaired" if "up_share" in known else "paired"
    counts = {"shape": shape, "rows": len(rows), "prompts": len({row["prompt"] for row in rows})}
    return {**counts, **known, **vars(briefs()[name].constraints), **terms}


def _claim(short: str) -> Item:
    name = SET[short]
    return Item(f"claim_{short}", 6, judge=checks.judge_claim(name), explain=checks.explain_claim(name), own=True)


def _paragraph(short: str) -> Item:
    """No points here: whatever the gate says, a person marks it."""
    explain = checks.explain_paragraph(SET[short])
    return Item(f"paragraph_{short}", 0, judge=lambda answer, case: 0.0, explain=explain, own=True, person=True)


EXERCISE = Exercise(
    lesson=14,
    notebook="14_capstone.ipynb",
    items=(
        *(make(short) for short in SET for make in (_claim, _paragraph)),
        Item("choose", 10, _cases, judge=lambda answer, case: share(answer, Facts(**case["facts"]["facts"]))),
    ),
)
