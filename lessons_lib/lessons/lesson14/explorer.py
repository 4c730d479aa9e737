"""Lesson 14's explorer: the capstone's datasets side by side, and what is advised for a fourth as its terms change.

The figures are the committed ones, the answers those of `decide.recommend`; the three datasets are the learner's own to
answer for. A figure that a dataset cannot have (nobody looked at FeedbackQA's passages side by side) stands at zero,
and the sentence below says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

from lessons_lib.advice.decide import Constraints, Facts, Recommendation, briefs, recommend
from lessons_lib.data import figures
from lessons_lib.data.findings import Profile
from lessons_lib.explorers import Axis, Bars, Card, Explorer, Lights, Panel, Readout, Slider
from lessons_lib.lessons.lesson09.explorer import name, stands
from lessons_lib.methods import METHODS

DATASETS = {
    "people (tulu1)": "tulu1_human_eval",
    "FeedbackQA": "feedbackqa_cdc",
    "GPT-4 (qlora)": "qlora_gpt4_vicuna",
}
FOURTH = "pandalm_testset"
AS_BRIEFED = "as its brief says"
TERMS = {
    AS_BRIEFED: {},
    "a fine-tuned model, with a reference": {"checkpoint": "sft", "reference": "precomputed"},
    "a fine-tuned model, no reference to be had": {"checkpoint": "sft", "reference": "none"},
    "a base model": {"checkpoint": "base", "reference": "precomputed"},
}
# A figure for the reader: its name in the profile of each dataset that has it.
SHOWN = {
    "two judgements that take a side agree": {
        "tulu1_human_eval": "agreement_decisive", "feedbackqa_cdc": "agreement_decisive",
        "qlora_gpt4_vicuna": "order_same",
    },
    "labels flipped, as raters' agreement implies": {"tulu1_human_eval": "flip_rate", "feedbackqa_cdc": "flip_rate"},
    "the longer response wins": {"tulu1_human_eval": "chosen_longer", "qlora_gpt4_vicuna": "chosen_longer"},
    "the response shown first wins": {"tulu1_human_eval": "first_wins", "qlora_gpt4_vicuna": "first_wins"},
    "ties": {"tulu1_human_eval": "ties", "qlora_gpt4_vicuna": "ties"},
    "ratings that are up": {"tulu1_human_eval": "thumbs_up", "feedbackqa_cdc": "up_share"},
}  # fmt: skip
ENDS = ("low end", "estimate", "high end")


@cache
def profile(dataset: str) -> Profile:
    return figures.committed(DATASETS[dataset])["profile"]


@cache
def facts(terms: str, end: str) -> Facts:
    """The facts of the fourth dataset under some terms, with the flip rate at one end of its interval."""
    brief = vars(briefs()[FOURTH].constraints)
    found = Facts.from_profile(figures.committed(FOURTH)["profile"], Constraints(**{**brief, **TERMS[terms]}))
    at = {"low end": found.flip_low, "high end": found.flip_high}.get(end)
    return found if at is None else replace(found, flip_rate=at)


@cache
def advice(terms: str, end: str) -> Recommendation:
    return recommend(facts(terms, end))


def shown(dataset: str, figure: str) -> float:
    """A figure of a dataset; 0 where it cannot have one."""
    key = SHOWN[figure].get(DATASETS[dataset])
    return profile(dataset).value(key) if key else 0.0


def missing_of(figure: str) -> str:
    lacking = [dataset for dataset, key in DATASETS.items() if key not in SHOWN[figure]]
    return f"not to be had from {' nor '.join(lacking)}" if lacking else "all three have it"


def answer_of(terms: str, end: str) -> str:
    return f"The fourth, PandaLM: start with {name(advice(terms, end).start_with)}"


def five_of(terms: str, end: str) -> str:
    return f"How the five stand to {name(advice(terms, end).start_with)}:"


def light(method: str) -> Callable:
    return lambda terms, end: stands(method, advice(terms, end))


def runner_up_of(terms: str, end: str) -> str:
    found = advice(terms, end)
    return f"{name(found.runner_up)}, {found.why_runner_up}" if found.runner_up else "none"


def change_of(terms: str, end: str) -> str:
    flips = advice(terms, end).flips
    return "; ".join(f"{name(to)} if {what}" for what, to in flips) or "the same whatever else you answered"


def three_profiles() -> Explorer:
    """Three datasets with their figures, and the answer for a fourth."""
    return Explorer(
        name="three-profiles",
        title="Three real datasets side by side, and the advice for a fourth as its terms change",
        sliders=[
            Slider("figure", "What to compare", tuple(SHOWN), next(iter(SHOWN))),
            Slider("terms", "What you start from, and what fits", tuple(TERMS), AS_BRIEFED),
            Slider("end", "Flip rate: which end of its interval", ENDS, "estimate"),
        ],
        presets={
            "the fourth, as briefed": {"terms": AS_BRIEFED, "end": "estimate"},
            "without a reference": {"terms": "a fine-tuned model, no reference to be had", "end": "estimate"},
            "from a base model": {"terms": "a base model", "end": "estimate"},
        },
        panels=[
            Panel(
                "The figure, in each dataset that has it",
                x=Axis("", categories=tuple(DATASETS)),
                y=Axis("share", 0, 1),
                marks=[Bars("measured", shown, "neutral")],
            ),
        ],
        readouts=[
            Readout("This figure: {missing}.", missing=missing_of),
        ],
        card=Card(
            answer_of,
            lights=(Lights(five_of, {name(method): light(method) for method in METHODS}),),
            lines={"Runner-up": runner_up_of, "What would change it": change_of},
        ),
    )  # fmt: skip
