"""The capstone, hidden: figures of each learner's own sample, plans, a trial against runs that stand here, prose.

The prose goes to a person. The runs are in ``ex14_runs.json`` (``runs_ex14.py`` makes them, ``release_ex14.py`` gives
a learner hers for the seal of her plans); the digest of that file is the key of the receipts.
"""

import hashlib
import json
from functools import partial
from pathlib import Path

from lessons_lib.grading.spec import Exercise, Item
from lessons_lib.lessons.lesson14 import checks, sample, trial

SET = {"tulu1": "tulu1_human_eval", "feedbackqa": "feedbackqa_cdc", "qlora": "qlora_gpt4_vicuna"}
RUNS = Path(__file__).with_name("ex14_runs.json")


def key() -> bytes:
    """Of the receipts."""
    return hashlib.sha256(RUNS.read_bytes()).digest()


def runs() -> trial.Runs:
    """Gold reward by dataset, method and seed."""
    return json.loads(RUNS.read_text(encoding="utf-8"))["gold"]


def _judge_trial(answer: object, case: dict) -> float:
    found = [share for _, share, _ in trial.shares(runs(), key(), answer, case["ticket"])]
    return sum(found) / len(found)


def _explain_trial(answer: object, case: dict) -> str:
    found = trial.shares(runs(), key(), answer, case["ticket"])
    return "\n".join(f"{name}: {share:.0%}{'; ' * bool(why)}{why}" for name, share, why in found)


def _measured(short: str) -> Item:
    judge, explain = checks.judge_measured(SET[short]), checks.explain_measured(SET[short])
    prepare = partial(sample.figures_of, SET[short])  # a second of CPU for all three; then they are kept
    return Item(f"measured_{short}", 2, judge=judge, explain=explain, own=True, prepare=prepare)


def _read_by_a_person(name: str, explain) -> Item:
    """No points here: whatever the gate says, a person marks it."""
    return Item(name, 0, judge=lambda answer, case: 0.0, explain=explain, own=True, person=True)


EXERCISE = Exercise(
    lesson=14,
    notebook="14_capstone.ipynb",
    items=(
        *map(_measured, SET),
        *(_read_by_a_person(f"paragraph_{short}", checks.explain_paragraph(name)) for short, name in SET.items()),
        Item(
            "plans",
            6,
            judge=lambda answer, case: checks.plans_share(answer, case["ticket"]),
            explain=lambda answer, case: repr(checks.check_plans(answer, case["ticket"])),
            own=True,
        ),
        Item("trial", 24, judge=_judge_trial, explain=_explain_trial, own=True),
        _read_by_a_person("memo", lambda answer, case: repr(checks.check_memo(answer))),
    ),
)
