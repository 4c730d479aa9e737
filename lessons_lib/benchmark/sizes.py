"""The benchmark's transfer part: do the ranks hold in another architecture, and in a model 20 times as large?

Three regimes, the five methods and the untouched model, three seeds, one a checkpoint. A strength says how far a
method may go and is kept as tuning chose it at the small size; a learning rate depends on the model, so for each size
it is chosen again, with the stop, among three times and a third of the small size's, on validation prompts.
"""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from lessons_lib.benchmark import design, tuning
from lessons_lib.benchmark.design import Point

TUNING, NAME = "transfer_tuning", "transfer"
SIZES = {"llama": "Llama, 46 k", "large": "Llama, 1 M"}  # as readers see them, with their weights
REGIMES = ("clean", "near_deterministic", "displacing")
ARMS = (*design.FIVE, "untouched")
SEEDS = range(3)
FACTORS = (1 / 3, 1.0, 3.0)


def cells(sizes) -> list[tuple[str, str, str]]:
    """All (size, regime, arm) that are trained."""
    return [(size, regime, arm) for size in sizes for regime in REGIMES for arm in design.FIVE]


class TransferSearch:
    """The search for a learning rate and a stop; an object, so that it travels with the small size's choices."""

    def __init__(self, choices: pd.DataFrame):
        self.choices = choices

    def __call__(self, size: str, regime: str, arm: str) -> list[dict]:
        """A row for each learning rate and stop."""
        from lessons_lib.benchmark.runs import validation

        rows, small, seed = [], tuning.point_of(self.choices, regime, arm), design.tuning_seeds(regime)[0]
        for factor in FACTORS:
            point = replace(small, learning_rate=float(f"{small.learning_rate * factor:.3g}"))
            setting = {"size": size, "regime": regime, "arm": arm, "seed": seed, **design.written(point)}
            measured = validation(regime, arm, point, seed, size)
            rows += [{**setting, "stop": stop, "gold": found["gold"]} for stop, found in measured.items()]
        return rows


class TransferRun:
    """One run on test prompts at what the search chose."""

    def __init__(self, searched: pd.DataFrame):
        self.choices = {size: tuning.choose(rows) for size, rows in searched.groupby("size")}

    def __call__(self, size: str, regime: str, arm: str, seed: int) -> list[dict]:
        """The run's row."""
        from lessons_lib.benchmark.runs import run

        return [{"size": size, **run(regime, arm, self._point(size, regime, arm), seed, size)}]

    def current(self, row: dict) -> bool:
        """Whether a run was made at the setting that is chosen now."""
        return tuning.is_at(row, self._point(row["size"], row["regime"], row["arm"]))

    def _point(self, size: str, regime: str, arm: str) -> Point | None:
        return tuning.point_of(self.choices[size], regime, arm) if design.ARMS[arm].method else None
