"""How each arm's hyper-parameters are chosen: for each regime by the same search, on validation prompts.

The search has seeds used for nothing else, and each of its runs is measured at the three allowed stops. With the first
seed an arm tries its grid; from the best it goes on to the settings next to it, a step along each hyper-parameter and
along the learning rate. The three best settings are run again with two more seeds, which stand for two other
checkpoints, and the candidate with the best mean over the three seeds is chosen; where a setting next to the chosen
one has not been tried, the search goes on from there. It ends where none is left, or after `design.MOST_SETTINGS`,
which is the same for all arms; `untried` says what then lies open.

That the gold reward chooses is a luxury that nobody has outside. So the same search is made once more for the five
methods in some regimes, following what one really has: the votes of annotators on held-out prompts.
"""

from __future__ import annotations

import json

import pandas as pd

from lessons_lib import COMMAND
from lessons_lib.benchmark import design
from lessons_lib.benchmark.design import Point
from lessons_lib.errors import UserError

NAME, BY_VOTES = "benchmark_tuning", "benchmark_tuning_by_votes"
KEY = ("regime", "arm", "seed", "strength", "learning_rate")
FINALISTS = 3
SETTING, CANDIDATE = ["strength", "learning_rate"], ["strength", "learning_rate", "stop"]


def measured(regime: str, arm: str, seed: int, strength: str, learning_rate: float) -> list[dict]:
    """One run of the search: a row for each stop, with its gold reward and its votes on validation prompts."""
    from lessons_lib.benchmark.runs import validation

    point = Point(json.loads(strength), learning_rate)
    setting = {"regime": regime, "arm": arm, "seed": seed, **design.written(point)}
    return [{**setting, "stop": stop, **found} for stop, found in validation(regime, arm, point, seed).items()]


def to_run(regime: str, arm: str, rows: pd.DataFrame, by: str = "gold") -> list[tuple]:
    """What the search of one arm in one regime runs next, as values of `KEY`; nothing once it has ended.

    Args:
        rows: what has been run of it, `measured`'s rows.
        by: the column that it follows.
    """
    first, *others = design.tuning_seeds(regime)

    def items(points, seeds) -> list[tuple]:
        done = {tuple(row) for row in rows[["seed", *SETTING]].itertuples(index=False)} if len(rows) else set()
        wanted = [(seed, *list(design.written(point).values())[:2]) for point in points for seed in seeds]
        return [(regime, arm, *item) for item in wanted if item not in done]

    begin = items(design.grid(arm, regime), [first])
    if begin:
        return begin
    at_first = rows[rows["seed"] == first]
    room = max(0, design.MOST_SETTINGS - len(at_first.drop_duplicates(SETTING)))
    around = design.neighbours(arm, regime, _best(at_first, by))
    again = items(finalists(rows, by), others)
    on = items(design.neighbours(arm, regime, _best(rows, by)), [first])
    return items(around, [first])[:room] or again or on[:room]


def untried(regime: str, arm: str, rows: pd.DataFrame, by: str = "gold") -> list[Point]:
    """The settings next to the chosen one that the search of an arm has not tried."""
    tried = {tuple(row) for row in rows[SETTING].itertuples(index=False)}
    around = design.neighbours(arm, regime, _best(rows, by))
    return [point for point in around if tuple(design.written(point).values())[:2] not in tried]


def finalists(rows: pd.DataFrame, by: str = "gold") -> list[Point]:
    """The settings of one arm in one regime that were best at their best stop with the first seed."""
    first = rows[rows["seed"] == design.tuning_seeds(rows["regime"].iloc[0])[0]]
    best = first.groupby(SETTING)[by].max().nlargest(FINALISTS)
    return [Point(json.loads(strength), learning_rate) for strength, learning_rate in best.index]


def _best(rows: pd.DataFrame, by: str) -> Point:
    return design.read(candidates(rows, by).iloc[0])


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
