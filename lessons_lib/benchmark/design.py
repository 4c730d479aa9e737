"""What is compared on what: the arms with their grids, and the regimes. Plain tables, nothing is run here.

A step takes 16 pairs, or 32 single replies, which are as many tokens; how many steps there are is the regime's and
not the arm's affair. In a regime all arms may try equally many settings, and stop at any of `STOPS`; see `tuning`.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

STEPS = 32  # most of what an arm gains here it has gained by then; a run takes a second or two
BATCH = 16  # pairs a step
WARMUP = 5  # steps
STOPS = (0.25, 0.5, 1.0)  # shares of a run's steps after which it may be stopped, which tuning chooses
PAIRS = STEPS * BATCH  # fresh pairs, seen once
FEW_PAIRS = 128  # seen eight times
MANY_STEPS = 8 * FEW_PAIRS // BATCH
BASE_PAIRS = PAIRS  # seen twice, where there is no SFT checkpoint and more to learn
THUMBS = 2 * PAIRS  # single ratings of a log, seen once by an arm that takes them


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Attributes:
        label: as readers see it.
        method: a key of `METHODS`, or "sft"; None: nothing is trained.
        strengths: hyper-parameters of the loss to try.
        learning_rates: to try with each strength. Their neighbours lie at a constant ratio.
        average: log-probs averaged over tokens or summed; None: as the method says.
        nll_weight: of the chosen reply's negative log-prob per token, beside the loss.
        beyond: the strengths to try next where the first or the last of `strengths` is best.
        regimes: where it is run; empty: everywhere. A variant is run where what it changes is in question.
    """

    label: str
    method: str | None
    strengths: tuple[Mapping[str, float], ...] = ()
    learning_rates: tuple[float, ...] = ()
    average: bool | None = None
    nll_weight: float = 0.0
    beyond: tuple[Mapping[str, float], ...] = ()
    regimes: tuple[str, ...] = ()

    @property
    def rate_ratio(self) -> float:
        return self.learning_rates[1] / self.learning_rates[0]


def strength_grid(name: str, first: float, last: float, **others: float) -> dict:
    """Two strengths, and those beyond them at half their ratio again."""
    ratio = last / first
    low, high = first / ratio, last * ratio
    values = {"strengths": (first, last), "beyond": (low, high)}
    return {key: tuple({name: round(value, 4), **others} for value in pair) for key, pair in values.items()}


_LENGTH = ("clean", "length_mild", "length_extreme")
_LOW, _HIGH = (3e-4, 9e-4), (7e-4, 2.1e-3)
ARMS: Mapping[str, Arm] = MappingProxyType(
    {
        "dpo": Arm("DPO", "dpo", learning_rates=_LOW, **strength_grid("beta", 0.3, 1.0)),
        "ipo": Arm("IPO", "ipo", learning_rates=_LOW, **strength_grid("tau", 0.1, 0.5)),
        "kto": Arm("KTO", "kto", learning_rates=_HIGH, **strength_grid("beta", 0.3, 1.0)),
        "orpo": Arm("ORPO", "orpo", learning_rates=_HIGH, **strength_grid("lam", 1.0, 3.0)),
        "simpo": Arm("SimPO", "simpo", learning_rates=_LOW, **strength_grid("beta", 1.0, 3.0, gamma=0.5)),
        "cdpo": Arm(
            "conservative DPO",
            "dpo",
            ({"label_smoothing": 0.1, "beta": 0.5}, {"label_smoothing": 0.3, "beta": 0.5}),
            _LOW,
            beyond=({"label_smoothing": 0.03, "beta": 0.5}, {"label_smoothing": 0.4, "beta": 0.5}),
            regimes=("clean", "noisy_20", "noisy_40", "clean_many", "noisy_20_many", "noisy_40_many"),
        ),
        "dpo_nll": Arm(
            "DPO + NLL",
            "dpo",
            learning_rates=_LOW,
            nll_weight=1.0,
            **strength_grid("beta", 0.3, 1.0),
            regimes=("clean", "clean_many", "near_deterministic", "displacing", "no_sft"),
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

FIRST_TUNING_SEED = 100  # seeds from here on are used to choose settings, smaller ones to report
BASE_RATE_FACTOR = 4.0  # learning rates from the base model: there is more to learn and nothing to keep


@dataclass(frozen=True)
class Point:
    """One setting of an arm: strength, learning rate, and the share of the steps after which it stops."""

    strength: Mapping[str, float]
    learning_rate: float
    stop: float = 1.0


def grid(arm: str, regime: str) -> list[Point]:
    """The settings that are tried first: four, or for an arm without a strength five."""
    factor = BASE_RATE_FACTOR if REGIMES[regime].start == "base" else 1.0
    settings = itertools.product(ARMS[arm].strengths, ARMS[arm].learning_rates)
    return [Point(strength, float(f"{rate * factor:.4g}")) for strength, rate in settings]


def beyond(arm: str, regime: str, best: Point) -> list[Point]:
    """What is tried once more where the best of the grid stands at an edge of it: the next setting on each edge."""
    table, rates = ARMS[arm], sorted({point.learning_rate for point in grid(arm, regime)})
    further = []
    if best.learning_rate in (rates[0], rates[-1]):
        ratio = table.rate_ratio if best.learning_rate == rates[-1] else 1 / table.rate_ratio
        further.append(Point(best.strength, float(f"{best.learning_rate * ratio:.4g}")))
    if table.beyond:
        place = table.strengths.index(best.strength)
        further.append(Point(table.beyond[0 if place == 0 else -1], best.learning_rate))
    return further


def tuning_seeds(regime: str) -> range:
    """The seeds of a regime's search, one a checkpoint; the regimes begin with the checkpoints in turn."""
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
