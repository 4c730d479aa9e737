"""Lesson 9's explorer: answer the three questions, and see the path, the runner-up and what would change the answer.

The answers come from `decide.recommend`, so the figure and the command say the same. What the sliders do not ask is
held fixed: 5,000 rows, 800 pairs that the ratings would make, and a flip rate known to 3 points either way.
"""

from __future__ import annotations

import math
from functools import cache

from lessons_lib.advice.decide import Facts, Recommendation, load_tree, recommend
from lessons_lib.explorers import Axis, Bars, Explorer, Level, Panel, Point, Readout, Slider, Target
from lessons_lib.methods import METHODS

SHAPES = {"pairs": "paired", "ratings of single responses": "unpaired"}
STARTS = {
    "a fine-tuned model, with a reference": {"checkpoint": "sft", "reference": "precomputed"},
    "a fine-tuned model, no reference to be had": {"checkpoint": "sft", "reference": "none"},
    "a base model": {"checkpoint": "base", "reference": "precomputed"},
}
KNOWN_TO = 0.03  # either way
NOT_ASKED = math.nan  # a mark without a place, because its question is not reached


def facts(shape: str, start: str, flips: float, decided: float, passes: int) -> Facts:
    unpaired = SHAPES[shape] == "unpaired"
    return Facts(
        SHAPES[shape],
        rows=5000,
        prompts=2000,
        flip_rate=flips,
        flip_low=max(0.0, flips - KNOWN_TO),
        flip_high=flips + KNOWN_TO,
        near_deterministic=decided,
        unpaired=0.7 if unpaired else None,
        pairs=800 if unpaired else None,
        passes=passes,
        **STARTS[start],
    )


@cache
def advice(*answers) -> Recommendation:
    return recommend(facts(*answers))


def name(method: str) -> str:
    return METHODS[method].name


KEYS = {name(method): method for method in METHODS}


def chosen(method: str, shape: str, start: str, flips: float, decided: float, passes: int) -> float:
    return float(advice(shape, start, flips, decided, passes).start_with == KEYS[method])


def next_best(method: str, shape: str, start: str, flips: float, decided: float, passes: int) -> float:
    """1 for a method that is as good as the choice, one half for one that cannot be told from it."""
    found = advice(shape, start, flips, decided, passes)
    return 1.0 * (KEYS[method] in found.equivalents) + 0.5 * (KEYS[method] in found.cannot_tell)


def changing(method: str, shape: str, start: str, flips: float, decided: float, passes: int) -> float:
    """In how many ways one other answer would lead to this method."""
    return sum(to == KEYS[method] for _, to in advice(shape, start, flips, decided, passes).flips)


def labels_asked(shape: str, start: str) -> bool:
    """Whether the third question is reached at all."""
    return len(advice(shape, start, 0.1, 0.5, 1).path) == 3


def noisy_from(shape: str, start: str) -> float:
    return load_tree().thresholds["NOISY"].value if labels_asked(shape, start) else NOT_ASKED


def decided_from(shape: str, start: str, passes: int) -> float:
    often = passes >= load_tree().thresholds["PASSES"].value
    return load_tree().thresholds["DECIDED"].value if often and labels_asked(shape, start) else NOT_ASKED


def path_of(shape: str, start: str, flips: float, decided: float, passes: int) -> str:
    return " → ".join(answer for _, answer in advice(shape, start, flips, decided, passes).path)


def answer_of(shape: str, start: str, flips: float, decided: float, passes: int) -> str:
    found = advice(shape, start, flips, decided, passes)
    return f"{name(found.start_with)}. How sure: {found.how_sure}; {found.why_sure}"


def runner_up_of(shape: str, start: str, flips: float, decided: float, passes: int) -> str:
    found = advice(shape, start, flips, decided, passes)
    return f"{name(found.runner_up)}, {found.why_runner_up}" if found.runner_up else "none"


def change_of(shape: str, start: str, flips: float, decided: float, passes: int) -> str:
    others = advice(shape, start, flips, decided, passes).flips
    return "; ".join(f"{name(to)} if {what}" for what, to in others) or "the same whatever else you answered"


def three_questions() -> Explorer:
    """The decision tree under the reader's hands."""
    method = Axis("", categories=tuple(KEYS))
    return Explorer(
        name="three-questions",
        title="Answer three questions: see the path, the runner-up, and what would change the answer",
        sliders=[
            Slider("shape", "1 · What shape is your feedback?", tuple(SHAPES), "pairs"),
            Slider("start", "2 · What do you start from, and what fits?", tuple(STARTS), next(iter(STARTS))),
            Slider("flips", "3 · share of labels flipped", (0.02, 0.05, 0.1, 0.14, 0.15, 0.2, 0.3, 0.4), 0.05, ".0%"),
            Slider("decided", "3 · share of items with raters on one side", (0.5, 0.7, 0.8, 0.9), 0.7, ".0%"),
            Slider("passes", "3 · passes over the data", (1, 2, 3, 5), 1),
        ],
        presets={
            "a pair log": {"shape": "pairs", "start": next(iter(STARTS)), "flips": 0.05, "decided": 0.7, "passes": 1},
            "thumbs": {"shape": "ratings of single responses"},
            "noisy crowd": {"shape": "pairs", "start": next(iter(STARTS)), "flips": 0.2},
            "a rule as annotator": {"shape": "pairs", "flips": 0.02, "decided": 0.9, "passes": 5},
        },
        panels=[
            Panel(
                "What to start with, and who is as good or cannot be told from it",
                x=method,
                y=Axis("1: choice, or as good; 0.5: cannot tell", 0, 1.25),
                marks=[Bars("the choice", chosen, "kto"), Bars("as good, or cannot tell", next_best, "neutral")],
            ),
            Panel(
                "Where your labels stand, and from where IPO was made for them",
                x=Axis("share of labels flipped", 0, 0.45, points=2),
                y=Axis("share of items with one side", 0, 1.1),
                marks=[
                    Point("your labels", lambda flips: flips, lambda decided: decided, "kto"),
                    Target("noisy from here", noisy_from),
                    Level("decided from here", decided_from, "dpo"),
                ],
            ),
            Panel(
                "Methods that one other answer would lead to",
                x=method,
                y=Axis("other answers that lead here", 0, 3),
                marks=[Bars("other answers", changing, "kto")],
            ),
        ],
        readouts=[
            Readout("Path: {path}. Answer: {answer}.", path=path_of, answer=answer_of),
            Readout("Runner-up: {runner_up}.", runner_up=runner_up_of),
            Readout("The answer would be {change}.", change=change_of),
        ],
    )
