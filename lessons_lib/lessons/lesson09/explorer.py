"""Lesson 9's explorer, the picker: tap three answers, see the path light up and one card of advice.

The card is what `decide.recommend` says of such data, so the picker and `lessons-lib match` say the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from lessons_lib.advice import evidence
from lessons_lib.advice.cards import trl_config
from lessons_lib.advice.decide import Facts, Recommendation, recommend
from lessons_lib.explorers import Card, Explorer, Lights, Slider
from lessons_lib.methods import METHODS

ROWS = 5000
SHAPES = {
    "pairs": {"shape": "paired"},
    "ratings": {"shape": "unpaired", "pairs": 800, "unpaired": 0.7},
    "ratings, no pairs": {"shape": "unpaired", "pairs": 0, "unpaired": 1.0},
}
STARTS = {
    "fine-tuned": {"checkpoint": "sft", "reference": "precomputed"},
    "base model": {"checkpoint": "base", "reference": "precomputed"},
    "no reference": {"checkpoint": "sft", "reference": "none"},
}
LABELS = {
    "ordinary": {"flip_rate": 0.05, "flip_low": 0.03, "flip_high": 0.08},
    "15 % or more flipped": {"flip_rate": 0.25, "flip_low": 0.2, "flip_high": 0.3},
    "undisputed, 3 passes": {
        **{"flip_rate": 0.02, "flip_low": 0.01, "flip_high": 0.03},
        **{"near_deterministic": 0.9, "passes": 3},
    },
}
QUESTIONS = {"shape": SHAPES, "start": STARTS, "labels": LABELS}
WORLDS = {"46k": "46 k", "135M": "135 M", "published": "published"}


def facts(shape: str, start: str, labels: str) -> Facts:
    """What the three answers say; what nobody asks is left unknown."""
    return Facts(rows=ROWS, prompts=2000, **SHAPES[shape], **STARTS[start], **LABELS[labels])


@cache
def advice(shape: str, start: str, labels: str) -> Recommendation:
    return recommend(facts(shape, start, labels))


def name(method: str) -> str:
    return METHODS[method].name


def stands(method: str, found: Recommendation) -> str:
    """How a method stands to the one to start with, in a word; "ruled out" where it cannot be used at all."""
    if method == found.start_with:
        return "start here"
    if method not in found.costs:
        return "ruled out"
    words = {"equivalent": found.equivalents, "behind": found.behind, "cannot tell": found.cannot_tell}
    return next((word for word, methods in words.items() if method in methods), "ahead")


def headline(shape: str, start: str, labels: str) -> str:
    return f"Start with {name(advice(shape, start, labels).start_with)}"


def stand(shape: str, start: str, labels: str) -> str:
    return f"How the five stand to {name(advice(shape, start, labels).start_with)}:"


def made_for(shape: str, start: str, labels: str) -> str:
    return f"Made for this: {name(advice(shape, start, labels).made_for)}. Borne out?"


def why(shape: str, start: str, labels: str) -> str:
    usual = advice(shape, start, labels).default
    return "of those that cannot be told apart, the least far behind at its worst" if usual else ""


def sure(shape: str, start: str, labels: str) -> str:
    found = advice(shape, start, labels)
    return f"{found.how_sure}: {found.why_sure}"


def sft_alone(shape: str, start: str, labels: str) -> str:
    return evidence.against_sft(advice(shape, start, labels).baseline)


def changes(**answers: str) -> str:
    """The single other answers that lead to another method, by the method."""
    own, found = advice(**answers).start_with, {}
    for question, options in QUESTIONS.items():
        for option in options:
            to = advice(**answers | {question: option}).start_with
            if to != own:
                found.setdefault(to, []).append(f"“{option}”")
    return "; ".join(f"{name(to)} with {', '.join(taps)}" for to, taps in found.items()) or "no other single answer"


def idle(question: str, **answers: str) -> bool:
    """Whether no answer to this question would change anything on the card."""
    return len({_shown(advice(**answers | {question: option})) for option in QUESTIONS[question]}) == 1


def _shown(found: Recommendation) -> tuple:
    badges = tuple(found.badges.values())
    return found.start_with, found.equivalents, found.cannot_tell, found.behind, *found.costs, found.why_sure, badges


def config(shape: str, start: str, labels: str) -> str:
    return trl_config(advice(shape, start, labels).start_with)


def _light(method: str) -> Callable:
    return lambda shape, start, labels: stands(method, advice(shape, start, labels))


def _badge(world: str) -> Callable:
    return lambda shape, start, labels: advice(shape, start, labels).badges[world]


def _changes(shape: str, start: str, labels: str) -> str:
    return changes(shape=shape, start=start, labels=labels)


def _note(question: str) -> Callable:
    return lambda shape, start, labels: (
        "(makes no difference here)" if idle(question, shape=shape, start=start, labels=labels) else ""
    )


def three_questions(explorer: str = "three-questions") -> Explorer:
    """The decision tree under the reader's hands; `explorer` is its name, which stands in links."""
    return Explorer(
        name=explorer,
        title="Which one fits my data?",
        sliders=[
            Slider("shape", "What shape is your feedback?", tuple(SHAPES), "pairs", buttons=True),
            Slider("start", "What do you start from, what fits?", tuple(STARTS), next(iter(STARTS)), buttons=True),
            Slider("labels", "What are the labels like?", tuple(LABELS), "ordinary", buttons=True),
        ],
        card=Card(
            headline,
            lights=(
                Lights(stand, {name(method): _light(method) for method in METHODS}),
                Lights(made_for, {label: _badge(world) for world, label in WORLDS.items()}),
            ),
            lines={"Why": why, "How sure": sure, "SFT alone": sft_alone, "What would change it": _changes},
            config=("TRL config", config),
            notes={question: _note(question) for question in QUESTIONS},
        ),
    )
