"""How each arm's hyper-parameters are chosen: for each regime by the same small search, on validation prompts.

The search has two rounds, with seeds used for nothing else, and each run is measured at the three allowed stops. In
the first round an arm tries two strengths with two learning rates; the best of the four stands at an edge of this
small grid on both sides, so the next strength and the next learning rate beyond it are tried too: six settings, 18
candidates. An arm without a strength tries five learning rates and, where the best is at an edge, the next one. In
the second round the three best settings are run again with two more seeds, which stand for the other two
checkpoints. The candidate with the best mean over the three seeds is chosen.
"""

from __future__ import annotations

import json
from functools import partial

import pandas as pd

from lessons_lib import COMMAND
from lessons_lib.benchmark import design
from lessons_lib.benchmark.design import Point
from lessons_lib.errors import UserError

NAME = "benchmark_tuning"
FINALISTS = 3
SETTING, CANDIDATE = ["strength", "learning_rate"], ["strength", "learning_rate", "stop"]


def search(regime: str, arm: str) -> list[dict]:
    """The first round of one arm's search: a row for each setting and stop."""
    measured = partial(_measured, regime, arm, design.tuning_seeds(regime)[0])
    rows = [row for point in design.grid(arm, regime) for row in measured(point)]
    best = max(rows, key=lambda row: row["gold"])
    further = design.beyond(arm, regime, Point(json.loads(best["strength"]), best["learning_rate"]))
    return rows + [row for point in further for row in measured(point)]


class SecondRound:
    """Runs the finalists again; an object, so that it travels to other processes with the first round's rows."""

    def __init__(self, searched: pd.DataFrame):
        self.searched = searched

    def __call__(self, regime: str, arm: str, seed: int) -> list[dict]:
        rows = self.searched[(self.searched["regime"] == regime) & (self.searched["arm"] == arm)]
        return [row for point in finalists(rows) for row in _measured(regime, arm, seed, point)]


def finalists(rows: pd.DataFrame) -> list[Point]:
    """The settings of one arm in one regime that were best at their best stop in the first round."""
    first = rows[rows["seed"] == design.tuning_seeds(rows["regime"].iloc[0])[0]]
    best = first.groupby(SETTING)["gold"].max().nlargest(FINALISTS)
    return [Point(json.loads(strength), learning_rate) for strength, learning_rate in best.index]


def _measured(regime: str, arm: str, seed: int, point: Point) -> list[dict]:
    from lessons_lib.benchmark.runs import validation_gold

    setting = {"regime": regime, "arm": arm, "seed": seed, **design.written(point)}
    golds = validation_gold(regime, arm, point, seed)
    return [{**setting, "stop": stop, "gold": gold} for stop, gold in golds.items()]


def is_at(row: dict, point: Point | None) -> bool:
    """Whether a run was made at a setting; the untouched model, None, has none to differ in."""
    return point is None or {name: row[name] for name in CANDIDATE} == design.written(point)


def candidates(rows: pd.DataFrame, by: str = "gold") -> pd.DataFrame:
    """All that one arm tried in one regime: strength, learning_rate, stop, mean `by`, seeds; the best choice first."""
    found = rows.groupby(CANDIDATE)[by].agg(**{by: "mean", "seeds": "size"}).reset_index()
    return found.sort_values(["seeds", by], ascending=False, ignore_index=True)


def choose(searched: pd.DataFrame, by: str = "gold") -> pd.DataFrame:
    """The chosen setting for each regime and arm, with its gold reward and where it stands in what was tried.

    Args:
        searched: the rows of both rounds for any number of regimes and arms.
        by: the column to choose by, the higher the better.

    Returns:
        A row for each regime and arm: strength, learning_rate, stop, `by` (mean over the seeds), `rate_edge`
        ("lowest", "highest" or "") and `strength_edge` likewise, both among all that was tried.
    """
    chosen = []
    for (regime, arm), rows in searched.groupby(["regime", "arm"], sort=False):
        best = candidates(rows, by).iloc[0]
        edges = {
            "rate_edge": _edge(best["learning_rate"], rows["learning_rate"]),
            "strength_edge": _edge(_key(best["strength"]), rows["strength"].map(_key)),
        }
        chosen.append({"regime": regime, "arm": arm, **best[[*CANDIDATE, by]], **edges})
    return pd.DataFrame(chosen)


def point_of(choices: pd.DataFrame, regime: str, arm: str) -> Point:
    """The chosen setting of an arm for a regime, from the table of `choose`."""
    rows = choices[(choices["regime"] == regime) & (choices["arm"] == arm)]
    if rows.empty:
        raise UserError(f"{arm} has no tuning for {regime} yet; make it: {COMMAND} benchmark --part tuning")
    return design.read(rows.iloc[0])


def _key(strength: str) -> float:
    """A strength as the number that the grid varies: its first hyper-parameter."""
    return next(iter(json.loads(strength).values()), 0.0)


def _edge(value: float, tried: pd.Series) -> str:
    if tried.nunique() == 1:
        return ""
    return {tried.min(): "lowest", tried.max(): "highest"}.get(value, "")
