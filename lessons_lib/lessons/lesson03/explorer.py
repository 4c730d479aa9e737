"""Lesson 3's explorer: which single ratings find a partner.

Ratings arrive at random, each of a reply of its own. A prompt of share u then has Poisson many ups and,
independently, Poisson many downs, with means m·u and m·(1 − u) at m ratings a prompt. A third of the prompts
is hard, a third easy: their share of ups lies `spread` below and above the middle third's.
"""

from __future__ import annotations

import math

from lessons_lib.explorers import Axis, Bars, Curve, Explorer, Panel, Readout, Slider, Target

KINDS = ("hard", "middling", "easy")
LEAST, MOST = 0.03, 100  # ratings a prompt that the first panel shows


def ups_of(kind: str, up: float, spread: float) -> float:
    """A kind of prompt's share of ups. None leaves [0.01, 0.99], and their mean stays `up`."""
    reach = min(spread, up - 0.01, 0.99 - up)
    return up + {"hard": -reach, "middling": 0, "easy": reach}[kind]


def both_labels(ratings: float, up: float) -> float:
    """Share of prompts with an up and a down, at a mean of `ratings` each: (1 − e^(−mu))(1 − e^(−m(1−u)))."""
    return math.expm1(-ratings * up) * math.expm1(-ratings * (1 - up))


def meets(ratings: float, share_of_others: float) -> float:
    """How likely one rating's prompt has another of the opposite label: 1 − e^(−m · share of that label)."""
    return -math.expm1(-ratings * share_of_others)


def ups_used(ratings: float, up: float, spread: float) -> float:
    """Share of the ups that could stand in a pair: an easy prompt has more ups and fewer downs to meet."""
    shares = [ups_of(kind, up, spread) for kind in KINDS]
    return sum(share * meets(ratings, 1 - share) for share in shares) / sum(shares)


def downs_used(ratings: float, up: float, spread: float) -> float:
    shares = [1 - ups_of(kind, up, spread) for kind in KINDS]
    return sum(share * meets(ratings, 1 - share) for share in shares) / sum(shares)


def disjoint_pairs(ratings: float, up: float) -> float:
    """Pairs a prompt, no reply used twice: the mean of min(ups, downs), Σ P(ups ≥ k) P(downs ≥ k)."""
    ups, downs = _tails(ratings * up), _tails(ratings * (1 - up))
    return sum(one * other for one, other in zip(ups, downs, strict=False))


def _tails(mean: float) -> list[float]:
    """P(N ≥ 1), P(N ≥ 2), … of a Poisson number, up to where nothing is left."""
    last = int(mean + 9 * math.sqrt(mean) + 12)
    left, tails = 1.0, []
    for k in range(last):
        left -= math.exp(k * math.log(mean) - mean - math.lgamma(k + 1))
        tails.append(max(0.0, left))
    return tails


def thrown_away(ratings: float, prompts: float, up: float, spread: float) -> float:
    """Share of all labels without a partner."""
    mean = ratings / prompts
    return 1 - up * ups_used(mean, up, spread) - (1 - up) * downs_used(mean, up, spread)


def pairs(ratings: float, prompts: float, up: float, spread: float) -> float:
    mean = ratings / prompts
    return prompts * sum(disjoint_pairs(mean, ups_of(kind, up, spread)) for kind in KINDS) / len(KINDS)


def used(label: str, ratings: float, prompts: float, up: float, spread: float) -> float:
    """How many labels of one kind, "up" or "down", have a partner."""
    mean = ratings / prompts
    if label == "up":
        return ratings * up * ups_used(mean, up, spread)
    return ratings * (1 - up) * downs_used(mean, up, spread)


def without(label: str, ratings: float, prompts: float, up: float, spread: float) -> float:
    """And how many have none."""
    return ratings * (up if label == "up" else 1 - up) - used(label, ratings, prompts, up, spread)


def pairs_from_ratings() -> Explorer:
    """Ratings, prompts and the share of ups over what can be paired, and over which prompts it comes from."""
    share = Axis("share that finds a partner", 0, 1)
    return Explorer(
        name="pairs-from-ratings",
        title="What pairs keep of a log: move the ratings and the prompts, then make the prompts differ",
        sliders=[
            Slider("ratings", "ratings you can pay for", (300, 1000, 2500, 10_000, 30_000, 100_000), 2500, text=",d"),
            Slider("prompts", "prompts they fall on", (100, 300, 1000, 3000, 10_000, 30_000, 100_000), 3000, text=",d"),
            Slider("up", "share of ups", (0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9), 0.65),
            Slider("spread", "how far easy and hard prompts lie off it", (0, 0.2, 0.4), 0.4),
        ],
        presets={
            "a product's thumbs": {"ratings": 2500, "prompts": 3000, "up": 0.8},
            "FeedbackQA's size": {"ratings": 2500, "prompts": 300, "up": 0.5},
        },
        panels=[
            Panel(
                "A rating finds a partner where its prompt is rated often",
                x=Axis("ratings a prompt, on average", LEAST, MOST, log=True, points=41),
                y=share,
                marks=[
                    Curve("ups", ups_used, "kto"),
                    Curve("downs", downs_used, "ipo"),
                    Target("your log", lambda ratings, prompts: min(MOST, max(LEAST, ratings / prompts))),
                ],
                read_at=1,
            ),
            Panel(
                "Prompts far from half ups drop out first",
                x=Axis("prompts", categories=KINDS),
                y=Axis("share that has both labels"),
                marks=[
                    Bars(
                        "has both labels",
                        lambda kind, ratings, prompts, up, spread: both_labels(
                            ratings / prompts, ups_of(kind, up, spread)
                        ),
                        "kto",
                    )
                ],
            ),
            Panel(
                "Labels with a partner, and labels thrown away",
                x=Axis("label", categories=("up", "down")),
                y=Axis("labels"),
                marks=[Bars("has a partner", used, "kto"), Bars("has none", without, "neutral")],
                stacked=True,
            ),
        ],
        readouts=[
            Readout(
                "{ratings:,d} ratings on {prompts:,d} prompts: at most {pairs:,.0f} pairs without using a reply twice, "
                "and {thrown:.0%} of the labels thrown away.",
                ratings=lambda ratings: ratings,
                prompts=lambda prompts: prompts,
                pairs=pairs,
                thrown=thrown_away,
            )
        ],
    )
