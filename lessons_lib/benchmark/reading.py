"""What the recorded runs say: the winner matrix, verdicts and power, from the tables beside the lab's studies."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from lessons_lib.benchmark import sizes, statistics, tuning
from lessons_lib.benchmark.design import ARMS, FIVE, REGIMES
from lessons_lib.errors import UserError
from lessons_lib.recorded import store


def results() -> pd.DataFrame:
    """The recorded runs on test prompts, a row each: regime, arm, seed, checkpoint, setting, measures.

    `.attrs["provenance"]` says how they were made. `strength` is JSON, `stop` the share of the steps after which the
    run was stopped, as tuning chose.
    """
    return store.read("benchmark")


def choices() -> pd.DataFrame:
    """The setting that tuning chose for each regime and arm: see `tuning.choose`."""
    return tuning.choose(tuned())


def tuned() -> pd.DataFrame:
    """Every run of the search, on validation prompts, a row for each of its stops."""
    return store.read(tuning.NAME)


def scale() -> pd.DataFrame:
    """The recorded scale runs: a row for each arm, learning rate, seed and number of pairs seen."""
    return store.read("scale")


def transfer() -> pd.DataFrame:
    """The recorded runs of the other models in `sizes.SIZES`, after the matrix's of the same cells as size "small"."""
    table, same = store.read(sizes.NAME), results()
    same = same[same["regime"].isin(sizes.REGIMES) & same["arm"].isin(sizes.ARMS)]
    return pd.concat([same.assign(size="small"), table], ignore_index=True)


def order_changes(table: pd.DataFrame, measure: str = "gold") -> pd.DataFrame:
    """For each pair of the five methods: is the one that leads at the small size ahead elsewhere too?

    Args:
        table: of `transfer`.
        measure: one of its columns.

    Returns:
        A row for each size other than "small", regime and pair: ahead and behind, as their means stand at the small
        size; small and here, the Intervals of that difference at the two sizes, not corrected; changed, whether the
        mean turns its sign; shown, whether both intervals lie on opposite sides of 0.
    """
    rows, at = [], dict(list(table.groupby("size", sort=False)))
    for size, regime in itertools.product([name for name in at if name != "small"], sizes.REGIMES):
        for one, other in itertools.combinations(FIVE, 2):
            small = difference(at["small"], (regime, one), (regime, other), measure)
            if small.estimate < 0:
                one, other, small = other, one, difference(at["small"], (regime, other), (regime, one), measure)
            here = difference(at[size], (regime, one), (regime, other), measure)
            changed = here.estimate < 0
            rows.append((size, regime, one, other, small, here, changed, small.low > 0 and here.high < 0))
    return pd.DataFrame(rows, columns=["size", "regime", "ahead", "behind", "small", "here", "changed", "shown"])


def matrix(table: pd.DataFrame, measure: str = "gold") -> pd.DataFrame:
    """Mean and 95 % interval of a measure: a row for each regime and arm, in the order of the design.

    Args:
        table: of `results`, or of the same form.
        measure: one of its columns, such as "gold", "win_rate", "malformed" or "length".

    Returns:
        Columns regime, arm, mean, low, high, seeds. The interval holds the checkpoint's variance.
    """
    rows = []
    for (regime, arm), runs in table.groupby(["regime", "arm"], sort=False):
        interval = statistics.estimate(runs[measure], runs["checkpoint"].tolist()).interval()
        rows.append((regime, arm, interval.estimate, interval.low, interval.high, interval.n))
    found = pd.DataFrame(rows, columns=["regime", "arm", "mean", "low", "high", "seeds"])
    return _in_order(found)


def verdicts(table: pd.DataFrame, arms: Sequence[str] = FIVE, measure: str = "gold") -> pd.DataFrame:
    """Who wins each regime: a winner only where Holm's corrected intervals put the leader above every other arm.

    Args:
        table, measure: as for `matrix`.
        arms: which of them to compare; the correction is over all pairs of these.

    Returns:
        A row for each regime: leader; winner (None where it is a tie); members, the leader and whoever cannot be
        told from it; lead, low and high, the leader's difference to the runner-up with its corrected interval; and
        seeds, those that all these arms have.
    """
    rows = []
    for regime in _regimes(table):
        scores, checkpoints = paired(table, regime, arms, measure)
        found = statistics.best_set(scores, checkpoints)
        lead = found.lead
        rows.append(
            (regime, found.leader, found.winner, found.members, lead.estimate, lead.low, lead.high, len(checkpoints))
        )
    found = pd.DataFrame(rows, columns=["regime", "leader", "winner", "members", "lead", "low", "high", "seeds"])
    winners = pd.Series([row[2] for row in rows], dtype=object)  # as text, pandas would write a tie's None as NaN
    return found.assign(winner=winners)


def power(table: pd.DataFrame, arms: Sequence[str] = FIVE, measure: str = "gold", *, chance: float = 0.8):
    """The smallest difference between two arms that each regime's runs show with probability `chance`.

    By simulation with the spread that the runs have: pooled over the pairs of arms, between checkpoints and between
    seeds; at Holm's first step, which is the hardest.

    Returns:
        A row for each regime: between, within (standard deviations of a paired difference), effect, seeds.
    """
    rows = []
    pairs = list(itertools.combinations(arms, 2))
    for regime in _regimes(table):
        scores, checkpoints = paired(table, regime, arms, measure)
        spreads = [statistics.spread(scores[one] - scores[other], checkpoints) for one, other in pairs]
        between, within = (float(np.sqrt(np.mean(np.square(part)))) for part in zip(*spreads, strict=True))
        effect = statistics.smallest_visible_effect(between, within, checkpoints, pairs=len(pairs), power=chance)
        rows.append((regime, between, within, effect, len(checkpoints)))
    return pd.DataFrame(rows, columns=["regime", "between", "within", "effect", "seeds"])


def difference(table: pd.DataFrame, one: tuple[str, str], other: tuple[str, str], measure: str = "gold"):
    """The mean difference of two cells, each (regime, arm), over the seeds that both have, with its 95 % interval.

    The interval is not corrected for how many of them are looked at.
    """
    both = [
        table[(table["regime"] == regime) & (table["arm"] == arm)].set_index("seed") for regime, arm in (one, other)
    ]
    seeds = both[0].index.intersection(both[1].index)
    if seeds.empty:
        raise UserError(f"expected runs of {' on '.join(one[::-1])} and {' on '.join(other[::-1])} with the same seeds")
    gaps = both[0].loc[seeds, measure] - both[1].loc[seeds, measure]
    return statistics.estimate(gaps, both[0].loc[seeds, "checkpoint"].tolist()).interval()


def paired(table: pd.DataFrame, regime: str, arms: Sequence[str], measure: str = "gold"):
    """(arm to (seeds,) values, their checkpoints) for the seeds that all the arms have."""
    runs = table[(table["regime"] == regime) & table["arm"].isin(arms)]
    wide = runs.pivot(index="seed", columns="arm", values=measure)
    missing = [arm for arm in arms if arm not in wide]
    whole = wide.dropna()
    if missing or whole.empty:
        raise UserError(f"{regime}: expected runs of {', '.join(missing or arms)} with the same seeds, found none")
    checkpoints = runs.drop_duplicates("seed").set_index("seed")["checkpoint"].loc[whole.index].tolist()
    return {arm: whole[arm].to_numpy() for arm in arms}, checkpoints


def _regimes(table: pd.DataFrame) -> list[str]:
    """The regimes of a table, those of the design first and in its order."""
    found = dict.fromkeys(table["regime"])
    return [regime for regime in REGIMES if regime in found] + [regime for regime in found if regime not in REGIMES]


def _in_order(found: pd.DataFrame) -> pd.DataFrame:
    """The rows of a matrix with regimes and arms as the design has them."""
    order = {name: place for place, name in enumerate([*_regimes(found), *ARMS])}
    keys = found[["regime", "arm"]].map(lambda name: order.get(name, len(order)))
    return found.loc[keys.sort_values(["regime", "arm"], kind="stable").index].reset_index(drop=True)
