"""The capstone, hidden: claims on each learner's own sample, paragraphs for a person."""

from lessons_lib.grading.spec import Exercise, Item
from lessons_lib.lessons.lesson14 import checks

SET = {"tulu1": "tulu1_human_eval", "feedbackqa": "feedbackqa_cdc", "qlora": "qlora_gpt4_vicuna"}
# In reserve for other terms: pandalm_testset and self_instruct_demos, whose cases checks.CASES holds as well.


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
    items=(*(make(short) for short in SET for make in (_claim, _paragraph)),),
)
