"""What the recorded runs say: the winner matrix, verdicts and power, from the tables beside the lab's studies."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from lessons_lib.benchmark import design, sizes, statistics, tuning
from lessons_lib.benchmark.design import ARMS, DELTA, FIVE, REGIMES
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


def tuned_by_votes() -> pd.DataFrame:
    """Every run of the search by votes, of the five methods in `design.VOTED`, as `tuned`.

    Those that the search by gold had made already are among them. Its older runs counted no votes, and were made again.
    """
    own = tuned().query("regime in @design.VOTED and arm in @FIVE").dropna(subset="votes")
    return pd.concat([own, store.read(tuning.BY_VOTES)], ignore_index=True)


def by_votes() -> pd.DataFrame:
    """The recorded runs at the settings that votes chose, as `results`."""
    return store.read("benchmark_by_votes")


def lost_by_votes(measure: str = "gold") -> pd.DataFrame:
    """How much is lost where held-out annotators' votes choose setting and stop in place of the gold reward.

    Returns:
        A row for each regime and method, and for each method one of regime "all", the mean over the regimes: regime,
        arm, mean, low and high of the loss, by the differences within seeds, not corrected; same, whether votes chose
        as gold did ("all": in how many regimes); seeds.
    """
    by = {"gold": results(), "votes": by_votes()}
    golds = {name: table.set_index(["regime", "arm", "seed"])[measure] for name, table in by.items()}
    lost = (golds["gold"] - golds["votes"]).dropna()  # where both were run
    chosen = {
        name: tuning.choose(table, by).set_index(["regime", "arm"])[tuning.CANDIDATE]
        for name, table, by in (("gold", tuned(), "gold"), ("votes", tuned_by_votes(), "votes"))
    }
    same = (chosen["gold"].reindex(chosen["votes"].index) == chosen["votes"]).all(axis=1)
    regimes, rows = [regime for regime in REGIMES if regime in lost.index.get_level_values("regime")], []
    for arm in FIVE:
        own = lost.xs(arm, level="arm").unstack("regime")[regimes].dropna()
        for regime in regimes:
            rows.append((regime, arm, *_ends(own[regime]), bool(same[regime, arm]), len(own)))
        rows.append(("all", arm, *_ends(own.mean(axis=1)), int(same.xs(arm, level="arm")[regimes].sum()), len(own)))
    return pd.DataFrame(rows, columns=["regime", "arm", "mean", "low", "high", "same", "seeds"])


def _ends(values: pd.Series) -> tuple[float, float, float]:
    """Mean, low and high over seeds, each of which has a checkpoint of its own."""
    interval = statistics.estimate(values, values.index.tolist()).interval()
    return interval.estimate, interval.low, interval.high


def edges(searched: pd.DataFrame | None = None) -> pd.DataFrame:
    """Where the search left off: for each regime and arm the settings next to the chosen one that were not tried.

    Args:
        searched: of `tuned`, or of the same form; None: that.

    Returns:
        A row for each such setting: regime, arm, strength, learning_rate. An arm that is not in it stands at no edge
        in that regime: all that lies next to its choice has been tried.
    """
    rows = []
    for (regime, arm), own in (tuned() if searched is None else searched).groupby(["regime", "arm"], sort=False):
        for point in tuning.untried(regime, arm, own):
            rows.append((regime, arm, *list(design.written(point).values())[:2]))
    return pd.DataFrame(rows, columns=["regime", "arm", "strength", "learning_rate"])


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
        Columns regime, arm, mean, low, high, seeds. The interval rests on checkpoints, see `statistics`.
    """
    rows = []
    for (regime, arm), runs in table.groupby(["regime", "arm"], sort=False):
        interval = statistics.estimate(runs[measure], runs["checkpoint"].tolist()).interval()
        rows.append((regime, arm, interval.estimate, interval.low, interval.high, interval.n))
    found = pd.DataFrame(rows, columns=["regime", "arm", "mean", "low", "high", "seeds"])
    return _in_order(found)


def pairs(
    table: pd.DataFrame, arms: Sequence[str] = FIVE, measure: str = "gold", *, delta: float | None = None
) -> pd.DataFrame:
    """Every pair of arms in every regime: the difference of their means, its interval, and the verdict.

    Args:
        table, measure: as for `matrix`.
        arms: which of them to compare.
        delta: a difference that lies within ±delta does not count; None: `design.DELTA` for gold, 0 for others.

    Returns:
        A row for each regime and pair: better and worse, by the mean; mean, low and high, with the interval after
        Holm's correction over the regime's pairs; verdict, of the better one: "ahead", "equivalent" or
        "cannot tell"; over_all, the verdict where the correction is over the pairs of all the table's regimes;
        seeds, those that both have.
    """
    delta = (DELTA if measure == "gold" else 0.0) if delta is None else delta
    rows, found = [], []
    for regime in _regimes(table):
        scores, checkpoints = paired(table, regime, arms, measure)
        own = statistics.differences(scores, checkpoints)
        within = statistics.holm(list(own.values()))
        for (better, worse), interval in zip(own, within, strict=True):
            ends = interval.estimate, interval.low, interval.high
            rows.append((regime, better, worse, *ends, statistics.word(interval, delta), len(checkpoints)))
        found += own.values()
    columns = ["regime", "better", "worse", "mean", "low", "high", "verdict", "seeds"]
    over_all = [statistics.word(interval, delta) for interval in statistics.holm(found)]
    return pd.DataFrame(rows, columns=columns).assign(over_all=over_all)


def verdicts(
    table: pd.DataFrame, arms: Sequence[str] = FIVE, measure: str = "gold", *, delta: float | None = None
) -> pd.DataFrame:
    """Who leads each regime, and what can be told of the others from it.

    Args:
        table, arms, measure, delta: as for `pairs`.

    Returns:
        A row for each regime: leader, by the mean; winner, the leader where it is ahead of every other arm, else
        None; over_all, the same where the correction is over all regimes; equivalent and untold, the arms that are
        equivalent to the leader, or cannot be told from it, and behind, those that it is ahead of; members, the
        leader with equivalent and untold, best mean first; lead, low, high and verdict, its difference to the
        runner-up with the corrected interval; and seeds, those that all these arms have.
    """
    every, rows = pairs(table, arms, measure, delta=delta), []
    for regime in _regimes(table):
        scores, checkpoints = paired(table, regime, arms, measure)
        means = {arm: statistics.estimate(values, checkpoints).mean for arm, values in scores.items()}
        leader, *others = sorted(means, key=means.__getitem__, reverse=True)
        own = every[(every["regime"] == regime) & (every["better"] == leader)].set_index("worse")
        said = {name: tuple(arm for arm in others if own.loc[arm, "verdict"] == name) for name in statistics.WORDS}
        row = {
            "leader": leader,
            "winner": leader if len(said["ahead"]) == len(others) else None,
            "over_all": leader if (own["over_all"] == "ahead").all() else None,
            "equivalent": said["equivalent"],
            "untold": said["cannot tell"],
            "behind": said["ahead"],
            "members": (leader, *(arm for arm in others if arm not in said["ahead"])),
        }
        second = own.loc[others[0]].rename({"mean": "lead"})[["lead", "low", "high", "verdict"]]
        rows.append({"regime": regime, **row, **second, "seeds": len(checkpoints)})
    found = pd.DataFrame(rows)
    names = {name: pd.Series([row[name] for row in rows], dtype=object) for name in ("winner", "over_all")}
    return found.assign(**names)  # as text, pandas would write None as NaN


def power(table: pd.DataFrame, arms: Sequence[str] = FIVE, measure: str = "gold", *, chance: float = 0.8):
    """The smallest difference between two arms that each regime's runs show with probability `chance`.

    By simulation with the spread that the runs have, at Holm's first step, which is the hardest. Pair by pair: where
    one method breaks down on some seeds, its differences spread widely, and two that hold are told apart all the same.

    Returns:
        A row for each regime: sd (of a paired difference between seeds, of the median pair); least, median and most,
        the smallest visible difference of the pair that shows most, of the one in the middle and of the one that shows
        least; seeds.
    """
    rows = []
    for regime in _regimes(table):
        gaps = _gaps(table, regime, arms, measure)
        pairs, seeds = gaps.shape
        sds = gaps.std(axis=1, ddof=1)
        visible = sds * statistics.smallest_visible_effect(1.0, seeds, pairs=pairs, power=chance)  # in proportion
        rows.append((regime, np.median(sds), visible.min(), np.median(visible), visible.max(), seeds))
    return pd.DataFrame(rows, columns=["regime", "sd", "least", "median", "most", "seeds"])


def coverage(table: pd.DataFrame, arms: Sequence[str] = FIVE, measure: str = "gold", *, simulations: int = 20_000):
    """How often a 95 % interval of a difference misses the truth, by simulation at the spreads that the runs have.

    Returns:
        A row for each regime: normal, the share of intervals that miss where differences are normal with the
        recorded standard deviation; recorded, where they are drawn from the recorded differences themselves, each
        pair's centred and divided by its standard deviation; worst, where they are drawn from those of one pair alone,
        of the pair that misses most, as where one run in twelve breaks down; seeds.
    """
    rows, rng = [], np.random.default_rng(0)
    for regime in _regimes(table):
        gaps = _gaps(table, regime, arms, measure)
        shape = simulations, gaps.shape[1]
        standard = (gaps - gaps.mean(axis=1, keepdims=True)) / gaps.std(axis=1, ddof=1, keepdims=True)
        normal = statistics.missed(rng.standard_normal(shape))
        recorded = statistics.missed(rng.choice(standard.ravel(), shape))
        worst = max(statistics.missed(rng.choice(pair, shape)) for pair in standard)
        rows.append((regime, normal, recorded, worst, gaps.shape[1]))
    return pd.DataFrame(rows, columns=["regime", "normal", "recorded", "worst", "seeds"])


def _gaps(table: pd.DataFrame, regime: str, arms: Sequence[str], measure: str) -> np.ndarray:
    """(pairs, seeds) the differences of all pairs of arms."""
    scores, _ = paired(table, regime, arms, measure)
    return np.array([scores[one] - scores[other] for one, other in itertools.combinations(arms, 2)])


def difference(table: pd.DataFrame, one: tuple[str, str], other: tuple[str, str], measure: str = "gold"):
    """The mean difference of two cells, each (regime, arm), over the seeds that both have, with its 95 % interval.

    The interval is not corrected for how many of them are looked at.
    """
    return gap(table, one, other, measure).interval()


def gap(
    table: pd.DataFrame, one: tuple[str, str], other: tuple[str, str], measure: str = "gold"
) -> statistics.MeanEstimate:
    """The mean difference of two cells as an estimate, for whoever corrects it among others; as for `difference`."""
    both = [
        table[(table["regime"] == regime) & (table["arm"] == arm)].set_index("seed") for regime, arm in (one, other)
    ]
    seeds = both[0].index.intersection(both[1].index)
    if seeds.empty:
        raise UserError(f"expected runs of {' on '.join(one[::-1])} and {' on '.join(other[::-1])} with the same seeds")
    gaps = both[0].loc[seeds, measure] - both[1].loc[seeds, measure]
    return statistics.estimate(gaps, both[0].loc[seeds, "checkpoint"].tolist())


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
