"""Lesson 2's explorer: flipped labels and passes over the data, what the log shows beside what it hides.

Its curves are the recorded runs of the study "noise_reused", read without PyTorch.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from lessons_lib.explorers import Axis, Band, Curve, Explorer, Level, Panel, Readout, Slider, Target
from lessons_lib.metrics import Interval, mean_interval
from lessons_lib.recorded import store

STEPS_A_PASS = 10
# Of two replies the annotators prefer the better one with a probability p that depends on the gap; this is the mean of
# max(p, 1 − p), the share of their labels that a model agrees with which always says what the majority of them would.
CEILING = 0.86
METHODS = {"DPO": "dpo", "conservative DPO": "cdpo"}


@cache
def _runs() -> dict[tuple[str, int], dict[str, list[float]]]:
    """(arm, step) -> the values of each column, a seed each."""
    runs: dict[tuple[str, int], dict[str, list[float]]] = {}
    for row in store.read_study("noise_reused").rows:
        kept = runs.setdefault((row["arm"], row["step"]), {})
        for column in ("gold", "mean_accuracy"):
            kept.setdefault(column, []).append(np.nan if row[column] is None else row[column])
    return runs


@cache
def measured(column: str, method: str, flips: int, passes: float) -> Interval:
    """The mean of a column after so many passes, with its 95 % interval; each run began at a checkpoint of its own."""
    return mean_interval(_runs()[f"{METHODS[method]}_{flips}", round(passes * STEPS_A_PASS)][column])


def passes_recorded() -> tuple[int, ...]:
    """After how many passes the runs were measured, the start left out."""
    return tuple(sorted({step // STEPS_A_PASS for _, step in _runs() if step}))


def honest_ceiling(flips: int) -> float:
    """The share of labels that agree with the majority of raters: without learning labels by heart one gets no further.

    A flip turns p into p(1 − f) + (1 − p)f, and below a half it leaves the majority where it was.
    """
    flipped = flips / 100
    return CEILING * (1 - flipped) + (1 - CEILING) * flipped


def noise_by_passes() -> Explorer:
    """Flips, passes and method over the training accuracy and the gold reward of the recorded runs."""
    passes = passes_recorded()

    def accuracy(x, method, flips):
        return measured("mean_accuracy", method, flips, x)

    def gold(x, method, flips):
        return measured("gold", method, flips, x)

    here = Target("you stop here", lambda passes: passes)
    return Explorer(
        name="noise-by-passes",
        title="What the training log shows, and what it hides: 300 pairs, seen again and again",
        sliders=[
            Slider("method", "method", tuple(METHODS), "DPO"),
            Slider("flips", "labels flipped (%)", (0, 20, 40), 40),
            Slider("passes", "passes over the data", passes, passes[-1]),
        ],
        presets={
            "one bad afternoon": {"method": "DPO", "flips": 40, "passes": passes[-1]},
            "clean labels": {"method": "DPO", "flips": 0, "passes": passes[-1]},
            "stopped early": {"method": "DPO", "flips": 40, "passes": passes[0]},
        },
        panels=[
            Panel(
                "The log: accuracy on the training pairs climbs",
                x=Axis("passes over the data", 0, passes[-1], at=passes),
                y=Axis("training accuracy", 0.4, 1),
                marks=[
                    Band("95 % interval", lambda x, method, flips: accuracy(x, method, flips).low,
                         lambda x, method, flips: accuracy(x, method, flips).high),
                    Curve("training accuracy", lambda x, method, flips: accuracy(x, method, flips).estimate, dots=True),
                    Level("the honest ceiling", honest_ceiling),
                    here,
                ],
                read_at=passes[-1],
            ),
            Panel(
                "Out of sight: the replies' gold reward",
                x=Axis("passes over the data", at=(0, *passes)),
                y=Axis("gold reward (points)", -1.5, 2.5),
                marks=[
                    Band("95 % interval", lambda x, method, flips: gold(x, method, flips).low,
                         lambda x, method, flips: gold(x, method, flips).high, 1),
                    Curve("gold reward", lambda x, method, flips: gold(x, method, flips).estimate, 1, dots=True),
                    Level("before training", lambda method, flips: gold(0, method, flips).estimate),
                    here,
                ],
                read_at=passes[-1],
            ),
        ],
        readouts=[
            Readout(
                "{method}, {flips} % flipped, {passes} passes: training accuracy {accuracy:.0%}, where an "
                "honest learner reaches {ceiling:.0%} at most; gold {gold:.2f}, from {start:.2f} before training.",
                method=lambda method: method,
                flips=lambda flips: flips,
                passes=lambda passes: passes,
                accuracy=lambda method, flips, passes: accuracy(passes, method, flips).estimate,
                ceiling=honest_ceiling,
                gold=lambda method, flips, passes: gold(passes, method, flips).estimate,
                start=lambda method, flips: gold(0, method, flips).estimate,
            )
        ],
    )  # fmt: skip
