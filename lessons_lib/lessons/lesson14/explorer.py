"""Lesson 14's explorer: three real datasets side by side, and what the decision tree says of each as terms change.

The figures are the committed ones, the answers those of `decide.recommend`. A figure that a dataset cannot have
(nobody looked at FeedbackQA's passages side by side) stands at zero, and the sentence below says so.
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
def facts(dataset: str, terms: str, end: str) -> Facts:
    """The facts of a dataset under some terms, with the flip rate at one end of its interval."""
    brief = vars(briefs()[DATASETS[dataset]].constraints)
    found = Facts.from_profile(profile(dataset), Constraints(**{**brief, **TERMS[terms]}))
    at = {"low end": found.flip_low, "high end": found.flip_high}.get(end)
    return found if at is None else replace(found, flip_rate=at)


@cache
def advice(dataset: str, terms: str, end: str) -> Recommendation:
    return recommend(facts(dataset, terms, end))


def shown(dataset: str, figure: str) -> float:
    """A figure of a dataset; 0 where it cannot have one."""
    key = SHOWN[figure].get(DATASETS[dataset])
    return profile(dataset).value(key) if key else 0.0


def missing_of(figure: str) -> str:
    lacking = [dataset for dataset, key in DATASETS.items() if key not in SHOWN[figure]]
    return f"not to be had from {' nor '.join(lacking)}" if lacking else "all three have it"


def answer_of(dataset: str, terms: str, end: str) -> str:
    return f"{dataset}: start with {name(advice(dataset, terms, end).start_with)}"


def five_of(dataset: str, terms: str, end: str) -> str:
    return f"How the five stand to {name(advice(dataset, terms, end).start_with)}:"


def light(method: str) -> Callable:
    return lambda dataset, terms, end: stands(method, advice(dataset, terms, end))


def runner_up_of(dataset: str, terms: str, end: str) -> str:
    found = advice(dataset, terms, end)
    return f"{name(found.runner_up)}, {found.why_runner_up}" if found.runner_up else "none"


def change_of(dataset: str, terms: str, end: str) -> str:
    flips = advice(dataset, terms, end).flips
    return "; ".join(f"{name(to)} if {what}" for what, to in flips) or "the same whatever else you answered"


def three_profiles() -> Explorer:
    """Three datasets, their figures and their answers."""
    return Explorer(
        name="three-profiles",
        title="Three real datasets: compare what was measured, change the terms, and see which answers hold",
        sliders=[
            Slider("figure", "What to compare", tuple(SHOWN), next(iter(SHOWN))),
            Slider("dataset", "Whose answer", tuple(DATASETS), next(iter(DATASETS))),
            Slider("terms", "What you start from, and what fits", tuple(TERMS), AS_BRIEFED),
            Slider("end", "Flip rate: which end of its interval", ENDS, "estimate"),
        ],
        presets={
            "people, as briefed": {"dataset": next(iter(DATASETS)), "terms": AS_BRIEFED, "end": "estimate"},
            "the same at the low end": {"dataset": next(iter(DATASETS)), "terms": AS_BRIEFED, "end": "low end"},
            "the judge, with a reference": {
                "dataset": "GPT-4 (qlora)", "terms": "a fine-tuned model, with a reference",
            },
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
