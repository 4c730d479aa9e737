"""How each arm's hyper-parameters are chosen: for each regime by the same small search, on validation prompts.

A search is run with a seed used for nothing else, and each setting is measured at the three allowed stops. An arm
tries two strengths with two learning rates; the best of the four stands at an edge of this small grid on both sides,
so the next strength and the next learning rate beyond it are tried too: six settings, 18 candidates. An arm without
a strength tries five learning rates and, where the best is at an edge, the next one.
"""

from __future__ import annotations

import json

import pandas as pd

from lessons_lib.benchmark import design
from lessons_lib.benchmark.design import Point
from lessons_lib.errors import UserError

NAME = "benchmark_tuning"


def search(regime: str, arm: str) -> list[dict]:
    """All runs of one arm's search: a row for each setting and stop."""
    points = design.grid(arm, regime)
    rows = [row for point in points for row in _measured(regime, arm, point)]
    best = max(rows, key=lambda row: row["gold"])
    further = design.beyond(arm, regime, Point(json.loads(best["strength"]), best["learning_rate"]))
    return rows + [row for point in further for row in _measured(regime, arm, point)]


def _measured(regime: str, arm: str, point: Point) -> list[dict]:
    from lessons_lib.benchmark.runs import validation_gold

    seed = design.tuning_seed(regime)
    setting = {"regime": regime, "arm": arm, "seed": seed, **written(point)}
    golds = validation_gold(regime, arm, point, seed)
    return [{**setting, "stop": stop, "gold": gold} for stop, gold in golds.items()]


def written(point: Point) -> dict:
    """A setting as columns of a table: strengths as JSON text, since arms name theirs differently."""
    return {"strength": json.dumps(dict(point.strength)), "learning_rate": point.learning_rate, "stop": point.stop}


def choose(searched: pd.DataFrame) -> pd.DataFrame:
    """The chosen setting for each regime and arm, with its gold reward and where it stands in what was tried.

    Args:
        searched: the rows of `search` for any number of regimes and arms.

    Returns:
        A row for each regime and arm: strength, learning_rate, stop, gold, `rate_edge` ("lowest", "highest" or "")
        and `strength_edge` likewise, both among all that was tried.
    """
    chosen = []
    for (regime, arm), rows in searched.groupby(["regime", "arm"], sort=False):
        best = rows.loc[rows["gold"].idxmax()]
        found = {name: best[name] for name in ("strength", "learning_rate", "stop", "gold")}
        edges = {
            "rate_edge": _edge(best["learning_rate"], rows["learning_rate"]),
            "strength_edge": _edge(_key(best["strength"]), rows["strength"].map(_key)),
        }
        chosen.append({"regime": regime, "arm": arm, **found, **edges})
    return pd.DataFrame(chosen)


def point_of(choices: pd.DataFrame, regime: str, arm: str) -> Point:
    """The chosen setting of an arm for a regime, from the table of `choose`."""
    rows = choices[(choices["regime"] == regime) & (choices["arm"] == arm)]
    if rows.empty:
        raise UserError(f"{arm} has no tuning for {regime} yet; make it: python -m lessons_lib benchmark --part tuning")
    row = rows.iloc[0]
    return Point(json.loads(row["strength"]), float(row["learning_rate"]), float(row["stop"]))


def _key(strength: str) -> float:
    """A strength as the number that the grid varies: its first hyper-parameter."""
    return next(iter(json.loads(strength).values()), 0.0)


def _edge(value: float, tried: pd.Series) -> str:
    if tried.nunique() == 1:
        return ""
    return {tried.min(): "lowest", tried.max(): "highest"}.get(value, "")
