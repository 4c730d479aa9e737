"""What recorded runs and published comparisons say of a choice among the five methods: regrets, verdict words, badges.

Nothing here is written by hand but `published.yaml`, which quotes papers. Figures and words are computed from the
recorded tables, so advice changes when they do. Needs neither torch nor the lab; pandas and the benchmark's room are
imported when runs are first looked at.

A method's **regret** in a regime is how many points of gold reward its runs lie behind the best of the five there,
paired by seed. Over several regimes it is the mean of these. Which of the five was best is read from the same runs, so
the best one's own regret is 0 and flatters it a little.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple

from lessons_lib.errors import UserError
from lessons_lib.methods import METHODS
from lessons_lib.metrics import Interval

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from lessons_lib.benchmark.design import Arm, Regime

Badge = Literal["supported", "contradicted", "cannot tell", "not measured"]
Word = str  # of `statistics.word`: "ahead", "equivalent", "behind", "cannot tell"
Claim = Literal["ahead", "not behind"]
FIVE = tuple(METHODS)
LABELS: Mapping[str, str] = MappingProxyType(
    {
        "46k": "models of 46 thousand weights in a small invented language",
        "135M": "a pre-trained model of 135 million weights in plain English",
        "published": "what others published",
    }
)
IN: Mapping[str, str] = MappingProxyType(
    {"46k": "in our small models", "135M": "in our pre-trained model", "published": "in published comparisons"}
)
PUBLISHED = "published"
WORLDS = ("46k", "135M")


@dataclass(frozen=True)
class World:
    """Where something was measured: what was run on what, and when a difference counts there."""

    regimes: Mapping[str, Regime]
    arms: Mapping[str, Arm]
    delta: float


@cache
def world_of(key: str) -> World:
    """A world by its key, one of `WORLDS`."""
    from lessons_lib.benchmark import design, shop_design

    if key == "46k":
        return World(design.REGIMES, design.ARMS, design.DELTA)
    return World(shop_design.REGIMES, shop_design.ARMS, shop_design.DELTA)


@cache
def runs(world: str) -> pd.DataFrame | None:
    """A world's final runs with a gold reward, or None before there are any."""
    from lessons_lib.benchmark import reading, shop_reading

    try:
        table = reading.results() if world == "46k" else shop_reading.final()
    except UserError:
        return None
    table = table[table["regime"].isin(world_of(world).regimes)].dropna(subset=["gold"])
    return table if len(table) else None


@cache
def measured(world: str) -> tuple[str, ...]:
    """The regimes of a world in which all five methods have been run with the same seeds, in the design's order."""
    table = runs(world)
    if table is None:
        return ()
    arms = table[table["arm"].isin(FIVE)].groupby(["regime", "seed"])["arm"].nunique()
    whole = arms[arms == len(FIVE)].groupby(level="regime").size()
    return tuple(regime for regime in world_of(world).regimes if whole.get(regime, 0) > 1)


@cache
def scores(world: str, regimes: tuple[str, ...], arms: tuple[str, ...] = FIVE) -> tuple[dict[str, np.ndarray], list]:
    """(arm to (seeds,) gold rewards, averaged over the regimes for each seed that all of them have; checkpoints).

    An arm that was not run in every regime is left out.
    """
    wide, checkpoints = _wide(world, regimes, arms)
    return {arm: wide[arm].mean(axis=1).to_numpy() for arm in wide.columns.unique("arm")}, checkpoints


@cache
def _wide(world: str, regimes: tuple[str, ...], arms: tuple[str, ...]) -> tuple[pd.DataFrame, list]:
    """(seeds, (arm, regime)) gold rewards of the arms that were run in all the regimes, and each seed's checkpoint."""
    table = runs(world)
    if table is None or not regimes:
        raise UserError(f"{world}: expected regimes that have been measured, got {', '.join(regimes) or 'none'}")
    every, checkpoints = _every_cell(world)
    whole = [arm for arm in arms if all((arm, regime) in every for regime in regimes)]
    wide = every[[(arm, regime) for arm in whole for regime in regimes]].dropna()
    return wide, checkpoints.loc[wide.index].tolist()


@cache
def _every_cell(world: str) -> tuple[pd.DataFrame, pd.Series]:
    """(seeds, (arm, regime)) gold rewards of all runs, and the checkpoint of each seed; turned round once a world."""
    table = runs(world)
    if table is None:
        raise UserError(f"{world}: no final run has been recorded yet")
    return (
        table.pivot_table(index="seed", columns=["arm", "regime"], values="gold"),
        table.drop_duplicates("seed").set_index("seed")["checkpoint"],
    )


@cache
def _behind_best(world: str, regimes: tuple[str, ...]) -> tuple[dict[str, np.ndarray], list]:
    """(method to (seeds,) points behind the best of the five, averaged over the regimes; checkpoints)."""
    wide, checkpoints = _wide(world, regimes, FIVE)
    ideal = sum(wide[wide.xs(regime, axis=1, level="regime").mean().idxmax()][regime] for regime in regimes)
    return {method: (ideal / len(regimes) - wide[method].mean(axis=1)).to_numpy() for method in FIVE}, checkpoints


def regrets(world: str, regimes: Sequence[str]) -> dict[str, Interval]:
    """Each method's regret over the regimes, with its 95 % interval (not corrected), least first."""
    from lessons_lib.benchmark import statistics

    behind, checkpoints = _behind_best(world, tuple(regimes))
    found = {method: statistics.estimate(gaps, checkpoints).interval() for method, gaps in behind.items()}
    return dict(sorted(found.items(), key=lambda item: item[1].estimate))


@cache
def comparisons(world: str, regimes: tuple[str, ...], arms: tuple[str, ...]) -> Mapping[tuple[str, str], Interval]:
    """(one, other) to the difference one − other over the regimes, with Holm's interval over all pairs of the arms."""
    from lessons_lib.benchmark import statistics

    values, checkpoints = scores(world, regimes, arms)
    found = {}
    for pair in statistics.compare(values, checkpoints):
        gap = pair.difference
        found[pair.better, pair.worse] = gap
        found[pair.worse, pair.better] = Interval(-gap.estimate, -gap.high, -gap.low, gap.n)
    return MappingProxyType(found)


def words(world: str, regimes: Sequence[str], one: str, others: Sequence[str]) -> dict[str, Word]:
    """What `one` is against each of the others over the regimes: "ahead", "equivalent", "behind", "cannot tell".

    Over several regimes a word is that of their mean where it is also that of each of them, and else "cannot tell": a
    lead in one and a lag in another make a small mean, and no two equivalent methods.
    """
    found = _words(world, regimes, one, others)
    each = [_words(world, (regime,), one, others) for regime in regimes] if len(regimes) > 1 else []
    return {other: _agreed(word, [alone[other] for alone in each]) for other, word in found.items()}


def _agreed(word: Word, each: Sequence[Word]) -> Word:
    return word if all(alone == word for alone in each) else "cannot tell"


def _words(world: str, regimes: Sequence[str], one: str, others: Sequence[str]) -> dict[str, Word]:
    """The words of the mean over the regimes."""
    from lessons_lib.benchmark import statistics

    rivals = tuple(sorted({one, *others}))
    if len(rivals) < 2:
        return {}
    gaps, delta = comparisons(world, tuple(regimes), rivals), world_of(world).delta
    return {other: statistics.word(gaps[one, other], delta) for other in others if (one, other) in gaps}


def badge(found: Mapping[str, Word], claim: Claim = "ahead") -> Badge:
    """What measured words make of a mechanism's prediction.

    Args:
        found: of `words`: the method that was made for this, against each of the others that are to be had.
        claim: what the mechanism predicts. "ahead": an advantage over all of them. "not behind": that none of them
            has one over it, as is said of a default.
    """
    came = set(found.values())
    if not came:
        return "not measured"
    if "behind" in came:
        return "contradicted"
    if claim == "not behind":
        return "supported" if came <= {"ahead", "equivalent"} else "cannot tell"
    if came <= {"equivalent"}:
        return "contradicted"  # the advantage was looked for and is smaller than counts
    return "supported" if came <= {"ahead"} else "cannot tell"


def level(world: str, regimes: Sequence[str], methods: Sequence[str]) -> tuple[str, ...]:
    """Of these methods the leader, first, and whoever is not shown to be behind it."""
    ranked = [method for method in regrets(world, regimes) if method in methods]
    if len(ranked) < 2:
        return tuple(ranked)
    found = words(world, regimes, ranked[0], ranked[1:])
    return (ranked[0], *(method for method in ranked[1:] if found[method] != "ahead"))


@dataclass(frozen=True)
class Better:
    """An arm beyond the five, held against the method to start with: a word, and by how much it is ahead."""

    arm: str
    label: str
    word: str
    difference: Interval


def beyond(world: str, regimes: Sequence[str], start: str) -> tuple[Better, ...]:
    """Arms beyond the five that are ahead of `start` or equivalent to it."""
    return tuple(one for one in others(world, tuple(regimes), start) if one.word in ("ahead", "equivalent"))


@cache
def others(world: str, regimes: tuple[str, ...], start: str) -> tuple[Better, ...]:
    """Every arm beyond the five that was run in these regimes, against `start`; intervals share 5 % over them.

    A word holds in each regime, as those of `words` do.
    """
    from lessons_lib.benchmark import statistics

    arms = tuple(arm for arm, facts in world_of(world).arms.items() if facts.method and arm not in FIVE)
    values, checkpoints = scores(world, regimes, (start, *arms))
    ran = [arm for arm in values if arm != start]
    each = [{one.arm: one.word for one in others(world, (r,), start)} for r in regimes] if len(regimes) > 1 else []
    found = []
    for arm in ran:
        gap = statistics.estimate(values[arm] - values[start], checkpoints).interval(statistics.ALPHA / len(ran))
        word = _agreed(statistics.word(gap, world_of(world).delta), [words[arm] for words in each])
        found.append(Better(arm, world_of(world).arms[arm].label, word, gap))
    return tuple(sorted(found, key=lambda better: -better.difference.estimate))


def chosen(world: str, method: str, name: str, regimes: Sequence[str] | None = None) -> tuple[float, ...]:
    """A hyper-parameter's values that the search chose for a method, one for each regime; none without a search."""
    found, kinds = _settings(world), world_of(world).regimes if regimes is None else regimes
    settings = (found.get((method, regime), {}) for regime in kinds)
    return tuple(setting[name] for setting in settings if name in setting)


@cache
def _settings(world: str) -> dict[tuple[str, str], dict[str, float]]:
    """(arm, regime) to the hyper-parameters of its runs; read once a world."""
    table = runs(world)
    if table is None or "strength" not in table:
        return {}
    trained = table.dropna(subset=["strength"]).drop_duplicates(["arm", "regime"])
    return {(row.arm, row.regime): json.loads(row.strength) for row in trained.itertuples()}


def visible(world: str, regimes: Sequence[str], one: str, other: str, *, seeds: int) -> float:
    """The difference of two arms that `seeds` paired runs would show in 8 of 10 cases, at the spread measured here."""
    from lessons_lib.benchmark import statistics

    values, checkpoints = scores(world, tuple(regimes), (one, other))
    spread = statistics.estimate(values[one] - values[other], checkpoints).sd
    return statistics.smallest_visible_effect(spread, seeds)


def against_sft(baseline: Better | None) -> str:
    """How SFT alone stands to the method to start with."""
    if baseline is None:
        return "not run on such data"
    gap = baseline.difference
    return f"{baseline.word} ({signed(gap.estimate)}, {signed(gap.low)} to {signed(gap.high)} points of gold reward)"


def signed(points: float) -> str:
    """A difference of two arms as a reader sees it: its sign, a minus and no hyphen, and two digits."""
    return f"{points:+.2f}".replace("-", "−")


def regret_in_words(regret: Interval) -> str:
    """A regret with its interval; of the best of a regime, which is 0 by what regret is, that and no interval."""
    if regret.low == regret.estimate == regret.high == 0:
        return "0 (the best by its mean)"
    return f"{regret.estimate:.2f} ({regret.low:.2f} to {regret.high:.2f})"


# The default


class Far(NamedTuple):
    """How far a method was behind the best of the five over the regimes, at worst, and at worst in the others."""

    mean: Interval
    worst: float
    where: str  # the regime of the worst
    second: float  # the worst when that regime is left out; the same where there is no other


@dataclass(frozen=True)
class Default:
    """Which method is least far behind at its worst (`method`), counted over the regimes that begin at an SFT model.

    Where none does, all count. A start from a base model is another question, and by its size would answer this one.
    """

    world: str
    regimes: tuple[str, ...]
    methods: Mapping[str, Far]

    @property
    def method(self) -> str:
        return min(self.methods, key=lambda method: self.methods[method].worst)

    @property
    def least_mean(self) -> str:
        return min(self.methods, key=lambda method: self.methods[method].mean.estimate)


@cache
def default(world: str = "46k") -> Default | None:
    """The default of a world, or None where it has no runs."""
    whole = measured(world)
    if not whole:
        return None
    regimes = tuple(regime for regime in whole if world_of(world).regimes[regime].start == "sft") or whole
    by_regime = {regime: regrets(world, (regime,)) for regime in regimes}
    found = {}
    for method, mean in regrets(world, regimes).items():
        where, *rest = sorted(regimes, key=lambda regime: -by_regime[regime][method].estimate)
        second = rest[0] if rest else where
        found[method] = Far(mean, by_regime[where][method].estimate, where, by_regime[second][method].estimate)
    return Default(world, regimes, MappingProxyType(found))


# What others published


@dataclass(frozen=True)
class Report:
    """What a published comparison says of a leaf's mechanism.

    Attributes:
        source: a key of the bibliography, and `cites` the same in words. says: what it found, in a sentence.
        stance: what that makes of the mechanism's prediction.
        decides: whether it was matched and can tell: several seeds, an interval, or a search for each method. One run
            a cell by a method's own authors is quoted and decides nothing.
    """

    source: str
    cites: str
    says: str
    stance: Badge
    decides: bool = False


@cache
def reports() -> Mapping[str, tuple[Report, ...]]:
    """The reports by leaf of the decision tree."""
    import yaml

    raw = yaml.safe_load(resources.files("lessons_lib.advice").joinpath("published.yaml").read_text("utf-8"))
    works = raw.pop("works")
    made = {
        leaf: tuple(Report(**record, cites=works[record["source"]]) for record in records)
        for leaf, records in raw.items()
    }
    return MappingProxyType(made)


def published_badge(leaf: str) -> Badge:
    """The one stance of the reports that decide; "cannot tell" where these disagree or none decides."""
    found = reports().get(leaf, ())
    if not found:
        return "not measured"
    stances = {report.stance for report in found if report.decides}
    return stances.pop() if len(stances) == 1 else "cannot tell"
