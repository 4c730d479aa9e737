"""From a trial's runs to words: ahead, behind, equivalent or cannot tell, and what to do next.

Every arm has met the same held-out prompts with the same seeds. What two arms differ by is read prompt by prompt, and
its interval holds both what other prompts and what other seeds would have changed.
"""

from __future__ import annotations

import itertools
import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

import numpy as np

from lessons_lib.advice.trial_plan import CONTROL, Plan
from lessons_lib.benchmark.design import ARMS
from lessons_lib.benchmark.statistics import ALPHA, word
from lessons_lib.methods import METHODS
from lessons_lib.metrics import Interval, share_interval, t_quantile

DELTA = 0.05  # of accuracy: one held-out pair in twenty; less would change no decision of ours (judgement)
MADE_UP = (1.0, -1.0)  # see `difference`
MEASURES = ("length", "ended", "repetition", "kl")  # of replies


class Comparison(NamedTuple):
    """What `one` has more than `other`, and the word for it."""

    one: str
    other: str
    difference: Interval
    word: str


@dataclass(frozen=True)
class Outcome:
    """What a trial found.

    Attributes:
        accuracy: of each trained arm, with its 95 % interval.
        comparisons: of all pairs of trained arms; all their intervals hold together in 95 of 100 trials.
        replies: arm to measure to its mean; the untouched model is among the arms.
        reward_wins: how often a reward model prefers an arm's reply to the untouched model's, where one was named.
        rates: the learning rate that was chosen for each arm, and `edges`: whether it was the "lowest" or "highest".
        leader: the arm with the highest accuracy. seeds, prompts: that the accuracies rest on. delta: see `word`.
        reach: how far the intervals of the comparisons reach to either side, on average.
    """

    accuracy: Mapping[str, Interval]
    comparisons: Sequence[Comparison]
    replies: Mapping[str, Mapping[str, float]]
    reward_wins: Mapping[str, Interval]
    rates: Mapping[str, float]
    edges: Mapping[str, str]
    leader: str
    seeds: int
    prompts: int
    delta: float
    reach: float

    def against_leader(self, said: str) -> list[str]:
        """Arms of which the leader is `said`: "ahead", "equivalent" or "cannot tell"."""
        return [
            pair.other if pair.one == self.leader else pair.one
            for pair in self.comparisons
            if self.leader in (pair.one, pair.other) and pair.word in ((said, "behind") if said == "ahead" else (said,))
        ]


def read(rows: Sequence[Mapping], plan: Plan, delta: float = DELTA) -> Outcome:
    """Read the rows that `trial` wrote."""
    final = {(row["arm"], row["seed"]): row for row in rows if row["stage"] == "final"}
    seeds = [seed for seed in range(plan.seeds) if all((arm, seed) in final for arm in plan.arms)]
    wins = {arm: np.array([json.loads(final[arm, seed]["by_prompt"]) for seed in seeds]) for arm in plan.arms}
    pairs = list(itertools.combinations(plan.arms, 2))
    comparisons = []
    for one, other in pairs:
        found = difference(wins[one], wins[other], alpha=ALPHA / len(pairs))
        comparisons.append(Comparison(one, other, found, word(found, delta)))
    accuracy = {arm: share(values) for arm, values in wins.items()}
    prompts = wins[plan.arms[0]].shape[1]
    rates = {arm: float(final[arm, 0]["learning_rate"]) for arm in plan.arms}
    return Outcome(
        accuracy=accuracy,
        comparisons=comparisons,
        replies={arm: _means(final, arm, seeds) for arm in ("untouched", *plan.arms)},
        reward_wins=_reward_wins(final, plan.arms, seeds),
        rates=rates,
        edges=_edges(rows, rates),
        leader=max(accuracy, key=lambda arm: accuracy[arm].estimate),
        seeds=len(seeds),
        prompts=prompts,
        delta=delta,
        reach=fmean(pair.difference.half_width for pair in comparisons),
    )


def _edges(rows: Sequence[Mapping], rates: Mapping[str, float]) -> dict[str, str]:
    """Arms whose learning rate is at an end of those tried, and better than its neighbour there: which end."""
    found = {}
    for arm, rate in rates.items():
        tried = {
            row["learning_rate"]: row["accuracy"] for row in rows if row["stage"] == "search" and row["arm"] == arm
        }
        ordered = sorted(tried)
        for end, neighbour, name in ((0, 1, "lowest"), (-1, -2, "highest")):
            if len(ordered) > 1 and rate == ordered[end] and tried[rate] > tried[ordered[neighbour]]:
                found[arm] = name
    return found


def difference(ours: np.ndarray, theirs: np.ndarray, *, alpha: float = ALPHA) -> Interval:
    """The mean difference of two arms' shares, (seeds, prompts) each; see `crossed`.

    Two made-up prompts are added to the interval, one won and one lost, after Agresti and Min (2005): otherwise arms
    that agree on ten prompts would be called equal without doubt.
    """
    return crossed(ours - theirs, made_up=MADE_UP, alpha=alpha)


def share(wins: np.ndarray, *, alpha: float = ALPHA) -> Interval:
    """The mean share, (seeds, prompts); with two made-up prompts won and two lost (Agresti and Coull 1998)."""
    found = crossed(wins, made_up=(0.0, 0.0, 1.0, 1.0), alpha=alpha)
    return Interval(found.estimate, max(0.0, found.low), min(1.0, found.high), found.n)


def crossed(values: np.ndarray, *, made_up: Sequence[float] = (), alpha: float = ALPHA) -> Interval:
    """The mean of (seeds, prompts) with an interval for other seeds and other prompts.

    The variance is that of the prompts' means over their number, plus that of the seeds' means over theirs, which is
    never too small: it counts what a seed does to single prompts twice. Degrees of freedom after Welch and
    Satterthwaite. One seed says nothing of others, and only prompts count then.

    Args:
        made_up: prompts that are added for the interval, not for the estimate.
    """
    seeds, prompts = values.shape
    by_prompt = np.concatenate([values.mean(axis=0), made_up])
    parts = [(by_prompt.var(ddof=1) / len(by_prompt), len(by_prompt) - 1)]
    if seeds > 1:
        parts.append((values.mean(axis=1).var(ddof=1) / seeds, seeds - 1))
    variance = sum(part for part, _ in parts)
    shares = sum(part**2 / degrees for part, degrees in parts)
    degrees = max(1, int(variance**2 / shares)) if shares else len(by_prompt) - 1
    half, centre = t_quantile(degrees, confidence=1 - alpha) * math.sqrt(variance), by_prompt.mean()
    return Interval(float(values.mean()), float(centre - half), float(centre + half), prompts)


def _means(final: Mapping, arm: str, seeds: Sequence[int]) -> dict[str, float]:
    replies = [reply for seed in seeds for reply in json.loads(final[arm, seed]["replies"])]
    return {measure: fmean(reply[measure] for reply in replies) for measure in MEASURES}


def _reward_wins(final: Mapping, arms: Sequence[str], seeds: Sequence[int]) -> dict[str, Interval]:
    """A prompt is one unit, whichever seeds answered it; empty where no reward model was named."""
    if "reward" not in json.loads(final["untouched", seeds[0]]["replies"])[0]:
        return {}
    found = {}
    for arm in arms:
        by_prompt = defaultdict(list)
        for seed in seeds:
            ours, before = (json.loads(final[name, seed]["replies"]) for name in (arm, "untouched"))
            for prompt, one, other in zip(json.loads(final[arm, seed]["asked"]), ours, before, strict=True):
                by_prompt[prompt].append((one["reward"] > other["reward"]) + 0.5 * (one["reward"] == other["reward"]))
        found[arm] = share_interval([fmean(won) for won in by_prompt.values()])
    return found


# In words -----------------------------------------------------------------------------------------------------


def name(arm: str) -> str:
    """An arm as readers see it."""
    return "untouched model" if arm == "untouched" else ARMS[arm].label


def headline(outcome: Outcome) -> str:
    """The verdict in two sentences at most."""
    learnt = [arm for arm, interval in outcome.accuracy.items() if interval.low > 0.5]
    if not learnt:
        return (
            "Cannot tell: no method ranks held-out responses better than chance, within what this trial can see. It "
            "says nothing about which to take."
        )
    said = {
        "ahead": f"ahead of {_names(outcome.against_leader('ahead'))}",
        "equivalent": f"equivalent to {_names(outcome.against_leader('equivalent'))}",
        "cannot tell": f"against {_names(outcome.against_leader('cannot tell'))} we cannot tell",
    }
    parts = [sentence for key, sentence in said.items() if outcome.against_leader(key)]
    estimate = 100 * outcome.accuracy[outcome.leader].estimate
    return f"{name(outcome.leader)} ranks most held-out responses right ({estimate:.0f} %): {'; '.join(parts)}."


def next_step(outcome: Outcome) -> str:
    """The cheapest thing to do now, and why."""
    learnt = [arm for arm, interval in outcome.accuracy.items() if interval.low > 0.5]
    if not learnt:
        high = [name(arm) for arm, edge in outcome.edges.items() if edge == "highest"]
        more = f"; {', '.join(high)} did best at the highest learning rate, so try higher ones" if high else ""
        return f"Nothing was learnt that shows: train longer (four times the --minutes, into another --out){more}."
    vote = (
        f"Accuracy alone decides nothing, so vote on the blind pairs (ten minutes of reading): are "
        f"{name(outcome.leader)}'s replies better than the untouched model's? `--vote-on` makes the page for another "
        "arm."
    )
    unsure = outcome.against_leader("cannot tell")
    cheap = cheapest([outcome.leader, *unsure, *outcome.against_leader("equivalent")])
    then = f"If they are, train with {name(cheap)} at {outcome.rates[cheap]:.1e}"
    if unsure:
        return (
            f"{vote} {then}, the cheapest of what this trial cannot tell apart. To tell {name(outcome.leader)} from "
            f"{_names(unsure)} would take more held-out prompts or seeds (a larger file, or more --minutes, into "
            "another --out)."
        )
    return f"{vote} {then}{'' if cheap == outcome.leader else ', which is as good and cheaper'}."


def cheapest(arms: Sequence[str]) -> str:
    """The arm with the fewest forward passes a step; the control needs one, and no rejected responses."""
    passes = {key: method.policy_passes + method.reference_passes for key, method in METHODS.items()}
    return min(arms, key=lambda arm: 0 if arm == CONTROL else passes[arm])


def _names(arms: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(map(name, arms[:-1])), *map(name, arms[-1:])]))


MISLEADS = (
    "Held-out accuracy says which responses a model ranks higher, not what it writes: lesson 2 shows a model whose "
    "accuracy rises while its replies get worse. So look at the replies as well."
)


def in_words(interval: Interval, *, signed: bool = False) -> str:
    """An accuracy, or a difference of two with its signs, in points of a hundred."""
    estimate, low, high = (_points(value, signed) for value in (interval.estimate, interval.low, interval.high))
    return f"{estimate} [{low}, {high}]"


def _points(value: float, signed: bool) -> str:
    text = f"{100 * value:+.1f}" if signed else f"{100 * value:.0f}"
    return text.replace("-", "−") if float(text) else text.lstrip("+-")
