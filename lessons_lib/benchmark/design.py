"""What is compared on what, and when a difference counts: the arms, the regimes, the seeds. Nothing is run here.

A step takes 16 pairs, or 32 single replies, which are as many tokens; how many steps there are is the regime's and
not the arm's affair. In a regime all arms may try equally many settings, and stop at any of `STOPS`; see `tuning`.

**Units.** A final run is one seed on one SFT checkpoint of its own: seed k begins at checkpoint k. So runs are
independent of each other, arms are compared by their differences within seeds, and a difference of n seeds has a
paired t interval with n − 1 degrees of freedom. Settings are searched with other seeds, on the first three of the
checkpoints. All checkpoints come from one base model, so another checkpoint is another fine-tune of it; where training
begins at the base itself, seeds differ in their pairs and in whose samples these are.

**Verdicts.** Two arms are "ahead" (its mirror is "behind"), "equivalent" or "cannot tell": `statistics.word` with
`DELTA`. Within a regime the pairs of the arms compared share 5 % by Holm's step-down; what is said of all regimes
together ("is anyone ahead of all others anywhere?") shares 5 % by Holm over the pairs of all regimes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from lessons_lib.training.config import takes_single_replies

STEPS = 32  # most of what an arm gains here it has gained by then; a run takes a second or two
BATCH = 16  # pairs a step
WARMUP = 5  # steps
STOPS = (0.25, 0.5, 1.0)  # shares of a run's steps after which it may be stopped, which tuning chooses
PAIRS = STEPS * BATCH  # fresh pairs, seen once
FEW_PAIRS = 128  # seen eight times
MANY_STEPS = 8 * FEW_PAIRS // BATCH
BASE_PAIRS = PAIRS  # seen twice, where there is no SFT checkpoint and more to learn
THUMBS = 2 * PAIRS  # single ratings of a log, seen once by an arm that takes them
SEEDS = range(12)  # of the final runs; seed k begins at SFT checkpoint k
MOST_SETTINGS = 16  # that an arm may try in a regime, following what is best towards where nothing has been tried

DELTA = 0.2
"""Gold points. A difference whose whole interval lies within ±DELTA is called "equivalent".

Fixed before the final runs. What a reply can gain or lose in this world is half a point (a polite word) or a whole one
(the feature, the category, the price that was asked for). Two arms whose means differ by a fifth of a point differ in
one such answer of five at most: less than a reader of two replies of each would notice. Tuning moves the untouched
model by more than a point, so it is under a sixth of what there is to win. And it can be reached where runs are quiet:
at a standard deviation of 0.14 between seeds' differences, twelve of them have an interval of ±0.13 at Holm's first and
hardest step. At 0.25, the median of earlier runs, it is ±0.22, and two equal arms then end as "cannot tell", which is
what such runs know of them.
"""


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Attributes:
        label: as readers see it.
        method: a key of `METHODS`, one of `training.config.VARIANTS`, or "sft"; None: nothing is trained.
        strengths: hyper-parameters of the loss that are tried first.
        learning_rates: to try with each strength. Their neighbours lie at a constant ratio.
        ladders: the values of each hyper-parameter, in order, along which the search goes on from the best.
        average: log-probs averaged over tokens or summed; None: as the method says.
        nll_weight: of the chosen reply's negative log-prob per token, beside the loss.
        imitates_first: a share of the steps, the strength "sft_share", is SFT on the chosen replies, and what it
            makes is the reference of the rest.
        regimes: where it is run; empty: everywhere. A variant is run where what it changes is in question.
    """

    label: str
    method: str | None
    strengths: tuple[Mapping[str, float], ...] = ()
    learning_rates: tuple[float, ...] = ()
    ladders: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    average: bool | None = None
    nll_weight: float = 0.0
    imitates_first: bool = False
    regimes: tuple[str, ...] = ()

    @property
    def rate_ratio(self) -> float:
        return self.learning_rates[1] / self.learning_rates[0]

    @property
    def takes_single(self) -> bool:
        """Whether it trains on single replies with thumbs."""
        return self.method is not None and takes_single_replies(self.method)


RUNGS = 3  # of a ladder, on each side of the two strengths that are tried first


def ladder(first: float, last: float) -> tuple[float, ...]:
    """Values at a constant ratio: `RUNGS` below `first`, the two, and `RUNGS` above `last`."""
    ratio = last / first
    return tuple(round(first * ratio**step, 4) for step in range(-RUNGS, RUNGS + 2))


def strength_grid(name: str, first: float, last: float, **others: float) -> dict:
    """Two strengths to begin with, and the ladder that they stand on."""
    strengths = tuple({name: value, **others} for value in (first, last))
    return {"strengths": strengths, "ladders": {name: ladder(first, last)}}


_LENGTH = ("clean", "length_mild", "length_extreme")
_FLIPS = ("clean", "noisy_20", "noisy_40", "clean_many", "noisy_20_many", "noisy_40_many")
_WITHOUT_REFERENCE = ("clean", "noisy_40", "near_deterministic", "unary_10", "unary_50", "unary_90", "no_sft")
_LOW, _HIGH = (3e-4, 9e-4), (7e-4, 2.1e-3)
_BETAS = (0.0556, 0.1667, 0.5, 1.5, 4.5)
ARMS: Mapping[str, Arm] = MappingProxyType(
    {
        "dpo": Arm("DPO", "dpo", learning_rates=_LOW, **strength_grid("beta", 0.3, 1.0)),
        "ipo": Arm("IPO", "ipo", learning_rates=_LOW, **strength_grid("tau", 0.1, 0.5)),
        "kto": Arm("KTO", "kto", learning_rates=_HIGH, **strength_grid("beta", 0.3, 1.0)),
        "orpo": Arm(
            "ORPO",
            "orpo",
            ({"lam": 0.1111}, {"lam": 1.0}, {"lam": 3.0}),  # the paper's own range is 0.1 to 0.25
            _HIGH,
            {"lam": (0.0123, 0.037, 0.1111, 0.3333, 1.0, 3.0, 9.0, 27.0, 81.0)},
        ),
        "simpo": Arm(
            "SimPO",
            "simpo",
            tuple({"beta": beta, "gamma": 0.5} for beta in (1.0, 3.0)),
            _LOW,
            {"beta": ladder(1.0, 3.0), "gamma": (0.0, 0.0556, 0.1667, 0.5, 1.5, 4.5)},
        ),
        "cdpo": Arm(
            "conservative DPO",
            "dpo",
            tuple({"label_smoothing": share, "beta": 0.5} for share in (0.1, 0.3)),
            _LOW,
            {"label_smoothing": (0.01, 0.03, 0.1, 0.3, 0.4, 0.45), "beta": _BETAS},
            regimes=_FLIPS,
        ),
        "rdpo": Arm(
            "robust DPO",
            "rdpo",
            tuple({"flip_rate": share, "beta": 0.5} for share in (0.1, 0.3)),
            _LOW,
            {"flip_rate": (0.01, 0.03, 0.1, 0.3, 0.4, 0.45), "beta": _BETAS},
            regimes=_FLIPS,
        ),
        "dpo_nll": Arm(
            "DPO + NLL",
            "dpo",
            learning_rates=_LOW,
            nll_weight=1.0,
            **strength_grid("beta", 0.3, 1.0),
            regimes=("clean", "clean_many", "near_deterministic", "displacing", "no_sft"),
        ),
        "sft_dpo": Arm(
            "SFT, then DPO",
            "dpo",
            tuple({"beta": 0.3, "sft_share": share} for share in (0.5, 0.75)),
            _LOW,
            {"beta": ladder(0.3, 1.0), "sft_share": (0.25, 0.5, 0.75, 0.875)},
            imitates_first=True,
            regimes=("no_sft",),
        ),
        "kto_noref": Arm(
            "KTO without reference",
            "kto_noref",
            learning_rates=_HIGH,
            **strength_grid("beta", 0.1, 0.3),
            regimes=_WITHOUT_REFERENCE,
        ),
        "dpo_avg": Arm(
            "DPO, averaged",
            "dpo",
            learning_rates=_LOW,
            average=True,
            **strength_grid("beta", 6.0, 20.0),
            regimes=_LENGTH,
        ),
        "ipo_avg": Arm(
            "IPO, averaged", "ipo", learning_rates=_LOW, average=True, **strength_grid("tau", 1.5, 5.0), regimes=_LENGTH
        ),
        "sft": Arm("SFT on chosen", "sft", ({},), (1e-4, 3e-4, 9e-4, 2.7e-3, 8.1e-3)),
        "untouched": Arm("untouched SFT model", None),
    }
)
FIVE = ("dpo", "ipo", "kto", "orpo", "simpo")
CORE = (*FIVE, "sft", "untouched")  # run before the variants
TRAINED = tuple(name for name, arm in ARMS.items() if arm.method)


@dataclass(frozen=True)
class Regime:
    """One kind of data and start.

    Attributes:
        label: as readers see it.
        says: what the rows are, in a sentence.
        kind: which function draws the rows: "pairs", "close", "cyclic" or "log".
        draw: its settings.
        pairs: preference pairs; for a log, thumbs.
        steps: of the whole schedule.
        start: the checkpoint that training begins at and that is its reference: "sft" or "base".
    """

    label: str
    says: str
    kind: str = "pairs"
    draw: Mapping[str, float] = field(default_factory=dict)
    pairs: int = PAIRS
    steps: int = STEPS
    start: str = "sft"


def _few(label: str, says: str, **draw) -> Regime:
    says = f"{FEW_PAIRS} pairs, eight passes, {says}"
    return Regime(label, says, draw=draw, pairs=FEW_PAIRS, steps=MANY_STEPS)


def _log(ups: int) -> Regime:
    return Regime(
        f"log, {ups} % up",
        f"a log of {THUMBS:,} thumbs, {ups} % of them up; pair methods take the pairs in it",
        kind="log",
        draw={"up_share": ups / 100},
        pairs=THUMBS,
    )


_ONCE = f"{PAIRS:,} fresh pairs, one pass"
REGIMES: Mapping[str, Regime] = MappingProxyType(
    {
        "clean": Regime("clean", _ONCE),
        "noisy_20": Regime("20 % flips", f"{_ONCE}, 20 % of the labels flipped", draw={"flip_rate": 0.2}),
        "noisy_40": Regime("40 % flips", f"{_ONCE}, 40 % of the labels flipped", draw={"flip_rate": 0.4}),
        "clean_many": _few("clean, many passes", "no flips: what re-use alone does"),
        "noisy_20_many": _few("20 % flips, many passes", "20 % of the labels flipped", flip_rate=0.2),
        "noisy_40_many": _few("40 % flips, many passes", "40 % of the labels flipped", flip_rate=0.4),
        "near_deterministic": _few("near-deterministic", "the higher reward always wins", deterministic=True),
        "length_mild": Regime(
            "length bias, mild", f"{_ONCE}, annotators add 0.15 points a token", draw={"length_bonus": 0.15}
        ),
        "length_extreme": Regime(
            "length bias, extreme",
            f"{_ONCE}, annotators add 0.5 points a token",
            draw={"length_bonus": 0.5},
        ),
        "unary_10": _log(10),
        "unary_50": _log(50),
        "unary_90": _log(90),
        "no_sft": Regime(
            "no SFT checkpoint",
            f"{BASE_PAIRS} pairs, two passes, from the base model, which is its own reference",
            pairs=BASE_PAIRS,
            steps=2 * BASE_PAIRS // BATCH,
            start="base",
        ),
        "displacing": Regime(
            "hardly different", f"{PAIRS:,} pairs that differ in at most 3 words, one pass", kind="close"
        ),
        "cyclic": Regime(
            "cyclic taste",
            f"{_ONCE}, annotators whose taste for three claims goes in a circle",
            kind="cyclic",
        ),
    }
)

# Where settings are chosen by votes as well, in the order in which that is run.
VOTED = ("clean", "noisy_40", "noisy_40_many", "near_deterministic", "unary_10", "no_sft")

FIRST_TUNING_SEED = 100  # seeds from here on are used to choose settings, smaller ones to report
BASE_RATE_FACTOR = 4.0  # learning rates from the base model: there is more to learn and nothing to keep
IMITATION_RATE = 3.6e-3  # of the SFT before DPO: what the search chose for SFT alone from the base model


@dataclass(frozen=True)
class Point:
    """One setting of an arm: strength, learning rate, and the share of the steps after which it stops."""

    strength: Mapping[str, float]
    learning_rate: float
    stop: float = 1.0


def grid(arm: str, regime: str) -> list[Point]:
    """The settings that are tried first: each strength with each learning rate."""
    rates = ARMS[arm].learning_rates
    steps = range(len(rates)) if not ARMS[arm].ladders else range(2)
    return [Point(strength, _rate(arm, regime, step)) for strength in ARMS[arm].strengths for step in steps]


def neighbours(arm: str, regime: str, point: Point) -> list[Point]:
    """The settings next to one: a step up and down the learning rates, and each of its hyper-parameters' ladder."""
    found = []
    ratio = ARMS[arm].rate_ratio
    place = round(math.log(point.learning_rate / _rate(arm, regime, 0), ratio))
    found += [Point(point.strength, _rate(arm, regime, place + step)) for step in (1, -1)]
    for name, values in ARMS[arm].ladders.items():
        place = values.index(point.strength[name])
        found += [
            Point({**point.strength, name: values[next_to]}, point.learning_rate)
            for next_to in (place + 1, place - 1)
            if 0 <= next_to < len(values)
        ]
    return found


def _rate(arm: str, regime: str, step: int) -> float:
    """The learning rate so many steps above the lowest that is tried first."""
    from_base = REGIMES[regime].start == "base" and not ARMS[arm].imitates_first
    factor = BASE_RATE_FACTOR if from_base else 1.0
    return float(f"{ARMS[arm].learning_rates[0] * factor * ARMS[arm].rate_ratio ** step:.4g}")


def tuning_seeds(regime: str) -> range:
    """The seeds of a regime's search, one for each of three checkpoints, with which the regimes begin in turn."""
    first = FIRST_TUNING_SEED + list(REGIMES).index(regime)
    return range(first, first + 3)


def cells(regimes: Sequence[str], arms: Sequence[str]) -> list[tuple[str, str]]:
    """The (regime, arm) that the design holds, of those wanted."""
    return [(r, a) for r in regimes for a in arms if not ARMS[a].regimes or r in ARMS[a].regimes]


def written(point: Point) -> dict:
    """A setting as columns of a table: strengths as JSON text, since arms name theirs differently."""
    return {"strength": json.dumps(dict(point.strength)), "learning_rate": point.learning_rate, "stop": point.stop}


def read(row: Mapping) -> Point:
    """The setting that `written` wrote into a table's row."""
    return Point(json.loads(row["strength"]), float(row["learning_rate"]), float(row.get("stop", 1.0)))
