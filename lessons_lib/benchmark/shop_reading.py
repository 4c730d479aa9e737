"""What has been recorded of the shop's comparison, and what is still missing; needs neither torch nor the model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lessons_lib.benchmark import shop_design
from lessons_lib.benchmark.shop_design import ARMS, STAGE_1, TRAINED
from lessons_lib.lab.shop.samples import MODEL
from lessons_lib.recorded import store

NAME, TUNING = "shop", "shop_tuning"
_KEYS = ("regime", "arm", "seed")


def final(folder: Path | None = None) -> pd.DataFrame:
    """The final runs that were made with the model of the course; no rows where none has been."""
    rows = [row for row in store.so_far(folder or store.RECORDED, NAME) if row["checkpoint"] == MODEL]
    return pd.DataFrame(rows, columns=None if rows else [*_KEYS, "checkpoint", "gold"])


def missing(table: pd.DataFrame) -> list[tuple[str, str, int]]:
    """The (regime, arm, seed) of stage 1 that a table of final runs does not hold."""
    done = set(table[list(_KEYS)].itertuples(index=False, name=None))
    whole = [(*cell, seed) for cell in shop_design.cells(STAGE_1, tuple(ARMS)) for seed in shop_design.SEEDS]
    return [item for item in whole if item not in done]


def progress(folder: Path | None = None) -> str:
    """A sentence on how far the comparison has come."""
    left, every = len(missing(final(folder))), len(missing(pd.DataFrame(columns=list(_KEYS))))
    if not left:
        return f"All {every} final runs of stage 1 have been made."
    return (
        f"{searched(folder)} of at least {planned()} runs of the search and {every - left} of {every} final runs have "
        "been made."
    )


def searched(folder: Path | None = None) -> int:
    """How many settings the search has tried, in all regimes."""
    return len({tuple(row[name] for name in (*_KEYS, "strength", "learning_rate")) for row in _tried(folder)})


def _tried(folder: Path | None) -> Sequence[dict]:
    rows = store.so_far(folder or store.RECORDED, TUNING)
    return [row for row in rows if row["checkpoint"] == MODEL and row["regime"] in STAGE_1]


def planned() -> int:
    """How many it tries at least: more, where the best of them stands at an edge."""
    first = {arm: shop_design.grid(arm) for arm in TRAINED}
    around = sum(len(shop_design.neighbours(arm, points[0])) for arm, points in first.items())
    return sum(map(len, first.values())) + around * (len(STAGE_1) - 1)
