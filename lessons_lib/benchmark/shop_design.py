"""The matched comparison in the shop: what is compared on what, and when a difference counts. Nothing is run here.

The same question as `design` asks of small models, asked of a pre-trained one in plain English. In a regime all arms
see the same pairs in the same batches for as many steps, may try as many settings, and may stop half-way; settings and
stop are chosen on validation requests by what one would really have, the votes of annotators like those who labelled
the data. The choice by gold reward is kept beside it. Seeds 0 to 4 report, seed 100 searches.

People's own preferences (`lab.shop.human`) have no gold reward. There, choice and report are by held-out pair accuracy:
on how many pairs the chosen reply gained more log-prob than the rejected one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from lessons_lib.benchmark.design import FIVE, RUNGS, Arm, Point, Regime, strength_grid

STEPS, BATCH, WARMUP = 24, 8, 3
PAIRS = STEPS * BATCH  # fresh pairs, seen once
FEW_PAIRS, PASSES = 48, 8
THUMBS = 2 * PAIRS
STOPS = (0.5, 1.0)  # shares of a run's steps after which it may be stopped
LOG_STOPS = (0.25, *STOPS)  # … where an arm may have few rows of its own in a log, and see each of them often
SEEDS = range(5)
SEARCH_SEED = 100
VOTERS = 3  # annotators who judge each validation reply
EDGE_ROUNDS = 2  # how often the search goes on where the best stands at an edge

_RATES = (1e-5, 3e-5, 9e-5)
ARMS: Mapping[str, Arm] = MappingProxyType(
    {
        "dpo": Arm("DPO", "dpo", learning_rates=_RATES, **strength_grid("beta", 0.1, 0.3)),
        "ipo": Arm("IPO", "ipo", learning_rates=_RATES, **strength_grid("tau", 0.1, 0.3)),
        "kto": Arm("KTO", "kto", learning_rates=_RATES, **strength_grid("beta", 0.1, 0.3)),
        "orpo": Arm("ORPO", "orpo", learning_rates=_RATES, **strength_grid("lam", 0.5, 2.0)),
        "simpo": Arm("SimPO", "simpo", learning_rates=_RATES, **strength_grid("beta", 2.0, 6.0, gamma=1.0)),
        "sft": Arm("SFT on chosen", "sft", ({},), (3.333e-6, *_RATES, 2.7e-4, 8.1e-4)),
        "untouched": Arm("untouched model", None),
    }
)
TRAINED = (*FIVE, "sft")
# Starting points from short trials, one seed each and nothing searched: for a first look, never for a comparison.
STARTING: Mapping[str, Point] = MappingProxyType(
    {
        "dpo": Point({"beta": 0.1}, 3e-5),
        "ipo": Point({"tau": 0.1}, 3e-5),
        "kto": Point({"beta": 0.1}, 3e-5),
        "orpo": Point({"lam": 0.5}, 3e-5),
        "simpo": Point({"beta": 2.0, "gamma": 1.0}, 3e-5),
        "sft": Point({}, 3e-5),
    }
)

_ONCE = f"{PAIRS} fresh pairs, one pass"
REGIMES: Mapping[str, Regime] = MappingProxyType(
    {
        "clean": Regime("clean", _ONCE, pairs=PAIRS, steps=STEPS),
        "noisy_40": Regime(
            "40 % flips",
            f"{_ONCE}, 40 % of the labels flipped",
            draw={"flip_rate": 0.4},
            pairs=PAIRS,
            steps=STEPS,
        ),
        "near_deterministic": Regime(
            "few perfect pairs",
            f"{FEW_PAIRS} pairs, {PASSES} passes, the higher reward always wins",
            draw={"deterministic": True},
            pairs=FEW_PAIRS,
            steps=PASSES * FEW_PAIRS // BATCH,
        ),
        "unary_10": Regime(
            "thumbs, 1 up to 10 down",
            f"a log of {THUMBS} thumbs, one up to ten down; all arms get the log, the same steps and the same stops: "
            "KTO sees every thumb once, pair methods the pairs that are in it and SFT its likes as often as that takes",
            kind="log",
            draw={"up_share": 1 / 11},
            pairs=THUMBS,
            steps=STEPS,
        ),
        "human": Regime(
            "human pairs",
            f"{PAIRS} pairs of hh_rlhf_harmless, one pass; measured on pairs of other conversations",
            kind="human",
            pairs=PAIRS,
            steps=STEPS,
        ),
        "human_thumbs": Regime(
            "human thumbs",
            f"{THUMBS} thumbs, half of them up, on as many conversations of hh_rlhf_harmless: no two replies to one",
            kind="human log",
            pairs=THUMBS,
            steps=STEPS,
        ),
    }
)
STAGE_1 = ("clean", "noisy_40", "near_deterministic", "unary_10", "human")


def is_log(regime: str) -> bool:
    """Whether its rows are thumbs."""
    return "log" in REGIMES[regime].kind


def is_human(regime: str) -> bool:
    """Whether people wrote and judged its rows, so that nobody knows a gold reward."""
    return "human" in REGIMES[regime].kind


def stops(regime: str) -> tuple[float, ...]:
    """The shares of the steps after which every arm may stop there."""
    return LOG_STOPS if is_log(regime) else STOPS


def arms_of(regime: str) -> tuple[str, ...]:
    """The arms that a regime can compare.

    Against people's pairs the untouched model is the yardstick itself, at one half by definition; and in thumbs on
    different conversations a pair method finds no pair.
    """
    if not is_human(regime):
        return tuple(ARMS)
    return ("kto", "sft") if is_log(regime) else TRAINED


def cells(regimes: Iterable[str], arms: Sequence[str]) -> list[tuple[str, str]]:
    """The (regime, arm) that can be run, of those wanted."""
    return [(regime, arm) for regime in regimes for arm in arms if arm in arms_of(regime)]


DELTA = 0.25
"""Gold points. A difference whose whole interval lies within ±DELTA is called "equivalent".

Fixed before any run. The smallest thing that a reply can gain is half a point (a polite word, the colour, a "you"), the
next a whole one (the item, the price). Two arms whose means differ by a quarter of a point differ by half a point in
one reply of two at most, or by a price in one reply of four: a reader who sees two replies of each would not notice.
It is a fourteenth of the reward's range above 0 (3.5). And it can be reached: with gold's standard deviation of 1.2
among the untouched model's replies and 240 requests, a run's mean has a standard error near 0.08.
"""


def grid(arm: str) -> list[Point]:
    """The settings that every arm tries first in the clean regime: six."""
    table = ARMS[arm]
    return [Point(strength, rate) for strength in table.strengths for rate in table.learning_rates]


def neighbours(arm: str, best: Point) -> list[Point]:
    """What is tried in another regime: the clean regime's choice, the rates around it, and the strengths around it."""
    ratio, order = ARMS[arm].rate_ratio, _ladder(arm)
    rates = (best.learning_rate, best.learning_rate / ratio, best.learning_rate * ratio)
    tried = [Point(best.strength, _rounded(rate)) for rate in rates]
    place = order.index(dict(best.strength))
    return tried + [Point(order[i], best.learning_rate) for i in (place - 1, place + 1) if 0 <= i < len(order)]


def beyond(arm: str, tried: list[Point], best: Point) -> list[Point]:
    """The next rate and the next strength, where the best of what was tried stands at an edge of it."""
    rates = sorted({point.learning_rate for point in tried if dict(point.strength) == dict(best.strength)})
    order = _ladder(arm)
    places = sorted(order.index(dict(point.strength)) for point in tried if point.learning_rate == best.learning_rate)
    place = order.index(dict(best.strength))
    further = []
    if best.learning_rate == rates[-1]:
        further.append(Point(best.strength, _rounded(best.learning_rate * ARMS[arm].rate_ratio)))
    if best.learning_rate == rates[0]:
        further.append(Point(best.strength, _rounded(best.learning_rate / ARMS[arm].rate_ratio)))
    if place == places[-1] and place + 1 < len(order):
        further.append(Point(order[place + 1], best.learning_rate))
    if place == places[0] and place > 0:
        further.append(Point(order[place - 1], best.learning_rate))
    return further


def _ladder(arm: str) -> list[dict]:
    """All strengths of an arm, from the weakest number to the strongest: those of the grid, and one beyond each end."""
    table = ARMS[arm]
    if not table.ladders:
        return [dict(strength) for strength in table.strengths]
    ((name, values),) = table.ladders.items()
    return [{**table.strengths[0], name: value} for value in values[RUNGS - 1 : RUNGS + 3]]


def _rounded(rate: float) -> float:
    return float(f"{rate:.4g}")
