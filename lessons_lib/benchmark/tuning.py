"""How each arm's hyper-parameters are chosen: the same small search for all, on validation prompts.

One search serves a family of regimes (`design.FAMILIES`). On the family's first task an arm's six grid points are
run, each measured at the three allowed stops; where the best stands at an edge of the grid, the next point beyond
that edge is run too, once. The best two settings go on to the second task. The choice is the setting and stop with
the highest mean gold reward over both. Tuning seeds are used for nothing else.
"""

from __future__ import annotations

import json

import pandas as pd

from lessons_lib.benchmark import design
from lessons_lib.benchmark.design import FAMILIES, Point

NAME = "benchmark_tuning"
FINALISTS = 2


def search(family: str, arm: str) -> list[dict]:
    """All runs of one arm's search: a row for each setting, task and stop."""
    first, *others = FAMILIES[family]
    points = design.grid(arm, family)
    rows = [row for point in points for row in _measured(family, arm, point, *first)]
    further = design.beyond(arm, family, _best(rows, 1)[0])
    rows += [row for point in further for row in _measured(family, arm, point, *first)]
    finalists = _best(rows, FINALISTS)
    return rows + [row for task in others for point in finalists for row in _measured(family, arm, point, *task)]


def _measured(family: str, arm: str, point: Point, regime: str, seed: int) -> list[dict]:
    from lessons_lib.benchmark.runs import validation_gold

    setting = {"family": family, "arm": arm, "regime": regime, "seed": seed, **written(point)}
    golds = validation_gold(regime, arm, point, seed)
    return [{**setting, "stop": stop, "gold": max(gold, -99.0)} for stop, gold in golds.items()]


def written(point: Point) -> dict:
    """A setting as columns of a table: strengths as JSON text, since arms name theirs differently."""
    return {"strength": json.dumps(dict(point.strength)), "learning_rate": point.learning_rate, "stop": point.stop}


def _best(rows: list[dict], n: int) -> list[Point]:
    """The `n` settings whose best stop is highest."""
    best = pd.DataFrame(rows).groupby(["strength", "learning_rate"], sort=False)["gold"].max()
    return [Point(json.loads(strength), rate) for strength, rate in best.nlargest(n).index]


def choose(searched: pd.DataFrame) -> pd.DataFrame:
    """The chosen setting of each family and arm, with its mean gold reward and where it stands in what was tried.

    Args:
        searched: the rows of `search` for any number of families and arms.

    Returns:
        A row for each family and arm: strength, learning_rate, stop, gold, `rate_edge` ("lowest", "highest" or "")
        and `strength_edge` likewise, both among all that was tried.
    """
    chosen = []
    for (family, arm), rows in searched.groupby(["family", "arm"], sort=False):
        tasks = rows[["regime", "seed"]].drop_duplicates()
        finals = rows.groupby(["strength", "learning_rate", "stop"], sort=False)["gold"].agg(["mean", "size"])
        strength, rate, stop = finals[finals["size"] == len(tasks)]["mean"].idxmax()
        chosen.append(
            {
                "family": family,
                "arm": arm,
                "strength": strength,
                "learning_rate": rate,
                "stop": stop,
                "gold": finals.loc[(strength, rate, stop), "mean"],
                "rate_edge": _edge(rate, rows["learning_rate"]),
                "strength_edge": _edge(_key(strength), rows["strength"].map(_key)),
            }
        )
    return pd.DataFrame(chosen)


def point_of(choices: pd.DataFrame, family: str, arm: str) -> Point:
    """The chosen setting of an arm in a family, from the table of `choose`."""
    row = choices[(choices["family"] == family) & (choices["arm"] == arm)].iloc[0]
    return Point(json.loads(row["strength"]), float(row["learning_rate"]), float(row["stop"]))


def _key(strength: str) -> float:
    """A strength as the number that the grid varies: its first hyper-parameter."""
    return next(iter(json.loads(strength).values()), 0.0)


def _edge(value: float, tried: pd.Series) -> str:
    if tried.nunique() == 1:
        return ""
    return {tried.min(): "lowest", tried.max(): "highest"}.get(value, "")
