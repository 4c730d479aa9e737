"""Where each method stands: against the best of the others, regime by regime, in a word and in one sentence."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from lessons_lib.benchmark import statistics
from lessons_lib.benchmark.design import ARMS, FIVE, Regime
from lessons_lib.benchmark.mechanisms import MOVED
from lessons_lib.benchmark.reading import gap, paired
from lessons_lib.metrics import Interval


class Standing(NamedTuple):
    """One method in one regime, held against the best of the others there.

    Attributes:
        regime, arm: keys of the design.
        against: the leader; of the leader itself, the other arm that it is least surely ahead of.
        difference: this arm minus that one, over the seeds of all, with Holm's corrected interval.
        word: what the difference comes to, by `statistics.word`.
        still: whether the arm's runs stayed at their start, within `MOVED` nats of KL on average; False where no KL
            was recorded.
    """

    regime: str
    arm: str
    against: str
    difference: Interval
    word: str
    still: bool = False


def standings(
    table: pd.DataFrame, regimes: Sequence[str], delta: float, arms: Sequence[str] = FIVE, measure: str = "gold"
) -> list[Standing]:
    """Each arm against the best of the others, in each of the regimes that all the arms have run in.

    Whoever follows is held against the leader, and the leader against the one whose interval reaches furthest towards
    it, which need not be the runner-up: so one number an arm says whether anything beats it, and "ahead" is ahead of
    all. The correction is over all pairs of a regime's arms.

    Args:
        table: of `results`, or of the same form.
        regimes: which, in the order wanted.
        delta: differences inside ±delta do not count; in the unit of the measure.

    Reference:
        Hsu 1981, "Simultaneous Confidence Intervals for all Distances from the Best", for what is compared with what.
    """
    whole = [regime for regime in regimes if _seeds_of_all(table, regime, arms) > 1]
    return [one for regime in whole for one in _in_regime(table, regime, delta, arms, measure)]


def _seeds_of_all(table: pd.DataFrame, regime: str, arms: Sequence[str]) -> int:
    runs = table[table["regime"] == regime]
    return len(set.intersection(*(set(runs.loc[runs["arm"] == arm, "seed"]) for arm in arms)))


def _in_regime(table: pd.DataFrame, regime: str, delta: float, arms: Sequence[str], measure: str) -> list[Standing]:
    scores, checkpoints = paired(table, regime, arms, measure)
    order = sorted(arms, key=lambda arm: statistics.estimate(scores[arm], checkpoints).mean, reverse=True)
    pairs = {frozenset(pair[:2]): pair for pair in statistics.compare(scores, checkpoints)}
    found = []
    for arm in arms:
        against = order[0]
        if arm == order[0]:
            against = min(order[1:], key=lambda other: pairs[frozenset((order[0], other))].difference.low)
        pair = pairs[frozenset((arm, against))]
        ahead_by = pair.difference if pair.better == arm else _turned(pair.difference)
        word = statistics.word(ahead_by, delta)
        found.append(Standing(regime, arm, against, ahead_by, word, stayed(table, regime, arm)))
    return found


def stayed(table: pd.DataFrame, regime: str, arm: str) -> bool:
    """Whether training left an arm at its start in a regime: a KL below `MOVED` nats, by the mean of its runs.

    False where the table has no KL.
    """
    if "kl" not in table:
        return False
    return bool(table.loc[(table["regime"] == regime) & (table["arm"] == arm), "kl"].mean() < MOVED)


def _turned(interval: Interval) -> Interval:
    return Interval(-interval.estimate, -interval.high, -interval.low, interval.n)


def caveats(table: pd.DataFrame, found: Sequence[Standing], delta: float) -> dict[str, str]:
    """Regime to what a winner's lead there must be read with; none where nothing needs to be said.

    Who stayed at its start has not been beaten by a better loss; and a method that is not ahead of SFT alone, which
    takes no part among the five, has not shown that preferences were worth having.
    """
    notes = {}
    for winner in (one for one in found if one.word == "ahead"):
        parts = [_still(found, winner), _beside_sft(table, winner, delta)]
        if any(parts):
            notes[winner.regime] = ", and ".join(filter(None, parts))
    return notes


def _still(found: Sequence[Standing], winner: Standing) -> str:
    others = [one for one in found if one.regime == winner.regime and one.arm != winner.arm]
    still = [ARMS[one.arm].label for one in others if one.still]
    if not still:
        return ""
    if len(still) == len(others):
        return "the other four stayed at their start there"
    return f"{', '.join(still)} stayed at {'their' if len(still) > 1 else 'its'} start there"


def _beside_sft(table: pd.DataFrame, winner: Standing, delta: float) -> str:
    if "sft" not in set(table.loc[table["regime"] == winner.regime, "arm"]):
        return ""
    word = statistics.word(gap(table, (winner.regime, "sft"), (winner.regime, winner.arm)).interval(), delta)
    said = {"equivalent": "SFT alone is equivalent", "ahead": "SFT alone is ahead", "behind": ""}
    return said.get(word, "SFT alone cannot be told from it")


def sentence(
    found: Sequence[Standing],
    regimes: Mapping[str, Regime],
    notes: Mapping[str, str] | None = None,
    unfinished: Collection[tuple[str, str]] = (),
) -> str:
    """What all of it comes to: where a method is ahead of the other four, and who falls behind most often.

    Args:
        found: of `standings`.
        regimes: of the world.
        notes: of `caveats`.
        unfinished: (regime, arm) whose search ended with settings next to its choice untried.
    """
    notes = notes or {}
    places = list(dict.fromkeys(one.regime for one in found))
    ahead = {one.regime: one.arm for one in found if one.word == "ahead"}
    level = len(places) - len(ahead)
    if level:
        parts = [f"On {level} of {len(places)} kinds of data no method is ahead of the other four"]
    else:
        parts = [f"On each of {len(places)} kinds of data one method is ahead of the other four"]
    for arm in dict.fromkeys(ahead.values()):
        won = [
            regimes[regime].label + (f": {notes[regime]}" if regime in notes else "")
            for regime, winner in ahead.items()
            if winner == arm
        ]
        parts.append(f"{ARMS[arm].label} is on {len(won)} ({'; '.join(won)})")
    behind = {arm: [one.regime for one in found if one.arm == arm and one.word == "behind"] for arm in FIVE}
    last = max(behind, key=lambda arm: len(behind[arm]))
    if behind[last]:
        cut_short = sum((regime, last) in unfinished for regime in behind[last])
        parts.append(
            f"{ARMS[last].label} falls behind the best most often, on {len(behind[last])}"
            + f" (in {cut_short} of these its search ended with neighbouring settings untried)" * bool(cut_short)
        )
    return ", ".join(parts[:-1]) + (", and " if len(parts) > 1 else "") + parts[-1] + "."
