"""Lesson 12's explorer: how many preferences are too many, by arm and step size.

Its curves are recorded runs, read without PyTorch: the benchmark's scale part, and the larger β of the lesson's
own study. It offers the arms and steps that are on record, so it grows with them.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np

from lessons_lib import benchmark
from lessons_lib.explorers import Axis, Band, Curve, Explorer, Level, Panel, Readout, Slider, Target
from lessons_lib.explorers.scales import round_up
from lessons_lib.recorded import store

ARMS = {"dpo": "DPO, β = 0.1", "dpo_0.5": "DPO, β = 0.5", "dpo_nll": "DPO + NLL, β = 0.1", "ipo": "IPO, τ = 0.1"}
STUDY, STUDY_ARM, STUDY_RATE = "past_the_peak", "dpo_0.5", 3.2e-4
BATCH = 32
COLUMNS = ("gold", "kl", "malformed", "chosen_logp")


class Run(NamedTuple):
    """One recorded run: preferences seen, ascending from 0, and what was measured there."""

    pairs: np.ndarray
    values: dict[str, np.ndarray]


class Found(NamedTuple):
    """A column at one place of a setting: its mean over seeds, the lowest and the highest seed."""

    mean: float
    low: float
    high: float


@cache
def runs() -> dict[tuple[str, str], list[Run]]:
    """(arm's label, step) -> its recorded runs, a seed each."""
    found: dict[tuple[str, str], list[Run]] = {}
    for (arm, rate, _), rows in benchmark.scale().groupby(["arm", "learning_rate", "seed"], sort=False):
        if arm in ARMS:
            found.setdefault((ARMS[arm], step_name(rate)), []).append(_run(rows.to_dict("list"), "pairs", 1))
    found[ARMS[STUDY_ARM], step_name(STUDY_RATE)] = _of_study(STUDY, STUDY_ARM)
    return found


def step_name(rate: float) -> str:
    """A learning rate as it is written in the lesson: 3.2e-4."""
    digits, exponent = f"{rate:.1e}".split("e")
    return f"{float(digits):g}e{int(exponent)}"


def _of_study(name: str, arm: str) -> list[Run]:
    seeds: dict[int, list[dict]] = {}
    for row in store.read_study(name).rows:
        if row["arm"] == arm:
            seeds.setdefault(row["seed"], []).append(row)
    return [_run({k: [row[k] for row in own] for k in own[0]}, "step", BATCH) for own in seeds.values()]


def _run(columns: dict[str, list], counted: str, each: int) -> Run:
    values = {column: np.asarray(columns[column], dtype=float) for column in COLUMNS}
    return Run(np.asarray(columns[counted], dtype=float) * each, values)


@cache
def measured(column: str, arm: str, step: str, pairs: float) -> Found:
    """A column after so many preferences, along a straight line between two measurements; NaN where none reaches."""
    own = [run for run in runs().get((arm, step), ()) if pairs <= run.pairs[-1]]
    if not own:
        return Found(math.nan, math.nan, math.nan)
    at = [float(np.interp(pairs, run.pairs, run.values[column])) for run in own]
    return Found(sum(at) / len(at), min(at), max(at))


@cache
def places() -> tuple[int, ...]:
    """Where the scale runs were measured, in preferences seen, the start left out."""
    return tuple(sorted({int(pairs) for pairs in benchmark.scale()["pairs"] if pairs}))


def best(arm: str, step: str) -> int | None:
    """The place with the highest mean gold, among `places`; None where the setting is not on record."""
    known = [pairs for pairs in places() if not math.isnan(measured("gold", arm, step, pairs).mean)]
    return max(known, key=lambda pairs: measured("gold", arm, step, pairs).mean, default=None)


def sentence(arm: str, step: str, stop: int) -> str:
    """What is known of one setting, stopped there."""
    peak = best(arm, step)
    if peak is None:
        return f"{arm} at step {step} is not on record; choose another step."
    seeds = len(runs()[arm, step])
    where = f"{arm}, step {step} ({seeds} {'seed' if seeds == 1 else 'seeds'}): best at {peak:,} preferences"
    gold, kl, malformed, chosen = (measured(column, arm, step, stop).mean for column in COLUMNS)
    if math.isnan(gold):
        return f"{where}. It was not followed as far as {stop:,}."
    top, fall = measured("gold", arm, step, peak).mean, chosen - measured("chosen_logp", arm, step, 0).mean
    here = f"gold {_minus(gold)}, KL {kl:.1f} nats, {malformed:.0%} malformed"
    return f"{where}, gold {_minus(top)}. Stopped at {stop:,}: {here}, chosen log-prob {_minus(fall, '+.1f')} nats."


def _minus(value: float, spec: str = ".2f") -> str:
    return format(value, spec).replace("-", "−")


def too_many() -> Explorer:
    """Arm, step size and where you stop, over gold, KL and malformed share of the recorded runs."""
    seen = places()
    steps = sorted({step for _, step in runs()}, key=float, reverse=True)
    arms = [label for label in ARMS.values() if any(arm == label for arm, _ in runs())]
    axis = Axis("preferences seen", seen[0], seen[-1], log=True, at=seen)
    stop = Target("stop", lambda stop: stop)

    def panel(title: str, column: str, label: str, low: float, style: int, *more) -> Panel:
        highest = max(run.values[column].max() for own in runs().values() for run in own)
        return Panel(
            title,
            x=axis,
            y=Axis(label, low, round_up(1.02 * highest)),
            marks=[
                Band("range of seeds", lambda x, arm, step: measured(column, arm, step, x).low,
                     lambda x, arm, step: measured(column, arm, step, x).high, style),
                Curve("mean", lambda x, arm, step: measured(column, arm, step, x).mean, style, dots=True),
                *more,
                stop,
            ],
            read_at=seen[len(seen) // 2],
        )  # fmt: skip

    start = Level("start", lambda arm, step: measured("gold", arm, step, 0).mean)
    lowest = min(run.values["gold"].min() for own in runs().values() for run in own)
    return Explorer(
        name="too-many",
        title="Preferences seen, one after the other: when is it too many, and what tells you",
        sliders=[
            Slider("arm", "arm", arms, arms[0]),
            Slider("step", "step size (learning rate)", steps, steps[0]),
            Slider("stop", "stop at (preferences)", seen, seen[len(seen) // 2], text=",d"),
        ],
        presets={
            "large step": {"arm": arms[0], "step": steps[0]},
            "small step": {"arm": arms[0], "step": steps[-1]},
            "same step, IPO": {"arm": arms[-1], "step": steps[0]},
        },
        panels=[
            panel("Out of sight: the replies' gold reward", "gold", "gold reward (points)",
                  min(0.0, math.floor(lowest)), 1, start),
            panel("In sight, if you measure it: KL to the reference", "kl", "KL on own replies (nats)", 0, 0),
            panel("In sight, if you read samples: malformed replies", "malformed", "malformed share", 0, 2),
        ],
        readouts=[Readout("{text}", text=sentence)],
    )  # fmt: skip
