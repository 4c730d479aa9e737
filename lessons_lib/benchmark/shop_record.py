"""Runs the shop's comparison: the search, round after round, then the final runs; one run is lost at most when killed.

All five methods and what they are compared with are run with one seed before the next, so that what has been done at
any moment is a whole smaller experiment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from lessons_lib.benchmark import design, shop_design, tuning
from lessons_lib.benchmark.design import Point
from lessons_lib.benchmark.record import in_order
from lessons_lib.benchmark.shop_design import ARMS, EDGE_ROUNDS, SEARCH_SEED, TRAINED
from lessons_lib.benchmark.shop_reading import NAME, TUNING
from lessons_lib.benchmark.shop_runs import Run, Search, Setup
from lessons_lib.errors import UserError
from lessons_lib.recorded import store

BY = "votes"  # what settings are chosen by; by "gold" is kept beside it


def tune(folder: Path, setup: Setup, *, regimes: Sequence[str], arms: Sequence[str], command: str, **how) -> Path:
    """The search in every regime wanted, the clean one first, from whose choice the others start; the table's path."""
    path, arms = folder / f"{TUNING}.parquet", [arm for arm in arms if arm in TRAINED]
    for regime in sorted(regimes, key=lambda name: name != "clean"):
        own = [arm for arm in arms if arm in shop_design.arms_of(regime)]
        for wanted in _rounds(folder, setup, regime, own):
            path = in_order(folder, TUNING, Search(setup), Search.KEY, wanted, command, **how)
    return path


def _rounds(folder: Path, setup: Setup, regime: str, arms: Sequence[str]) -> Iterator[list[tuple]]:
    """What to try in one regime, a round at a time: what comes next depends on what was found."""
    first = {arm: shop_design.grid(arm) if regime == "clean" else _around_clean(folder, setup, arm) for arm in arms}
    yield [_item(setup, regime, arm, point) for arm in arms for point in first[arm]]
    for _ in range(EDGE_ROUNDS):
        further = [
            _item(setup, regime, arm, point)
            for arm in arms
            for rows in [_searched(folder, setup, regime, arm)]
            for point in shop_design.beyond(arm, _tried(rows), _best(rows))
        ]
        if not further:
            return
        yield further


def _around_clean(folder: Path, setup: Setup, arm: str) -> list[Point]:
    rows = _searched(folder, setup, "clean", arm)
    if rows.empty:
        raise UserError(f"{arm}: other regimes' search begins at the clean regime's choice; run --regimes clean first")
    return shop_design.neighbours(arm, _best(rows))


def _item(setup: Setup, regime: str, arm: str, point: Point) -> tuple:
    setting = design.written(point)
    return (*setup.written.values(), regime, arm, SEARCH_SEED, setting["strength"], setting["learning_rate"])


def _searched(folder: Path, setup: Setup, regime: str, arm: str) -> pd.DataFrame:
    wanted = {**setup.written, "regime": regime, "arm": arm}
    rows = [row for row in store.so_far(folder, TUNING) if all(row[name] == value for name, value in wanted.items())]
    return pd.DataFrame(rows)


def _tried(rows: pd.DataFrame) -> list[Point]:
    return [design.read(row) for row in rows.drop_duplicates(tuning.SETTING).to_dict("records")]


def _best(rows: pd.DataFrame) -> Point:
    return design.read(tuning.candidates(rows, BY).iloc[0])


def searched(folder: Path, setup: Setup) -> pd.DataFrame:
    """The search of a setup: of this folder where it was run there, else as it was recorded; empty where neither is."""
    rows = [row for row in store.so_far(folder, TUNING) if {**row, **setup.written} == row]
    return pd.DataFrame(rows) if rows or not store.has_table(TUNING, store.RECORDED) else store.read(TUNING)


def points(searched: pd.DataFrame, by: str = BY) -> dict[tuple[str, str], Point]:
    """The chosen setting of each (regime, arm) that has been searched."""
    chosen = tuning.choose(searched, by).to_dict("records") if len(searched) else []
    return {(row["regime"], row["arm"]): design.read(row) for row in chosen}


def matrix(
    folder: Path,
    setup: Setup,
    chosen: dict[tuple[str, str], Point],
    *,
    regimes: Sequence[str],
    arms: Sequence[str],
    seeds: Sequence[int],
    command: str,
    **how,
) -> Path:
    """Every arm on every regime with every seed at the chosen settings; the table's path."""
    cells = shop_design.cells(regimes, arms)
    missing = [f"{arm} in {regime}" for regime, arm in cells if ARMS[arm].method and (regime, arm) not in chosen]
    if missing:
        raise UserError(f"no setting has been searched for {', '.join(missing)}; run --part tuning first")
    wanted = [(*setup.written.values(), *cell, seed) for seed in seeds for cell in cells]
    work = Run(setup, chosen)
    return in_order(folder, NAME, work, Run.KEY, wanted, command, current=work.current, **how)
