"""What textbooks and papers say of the five methods, each saying held to the recorded runs by differences of cells."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from lessons_lib.benchmark.design import ARMS
from lessons_lib.benchmark.reading import difference
from lessons_lib.errors import UserError
from lessons_lib.metrics import Interval

Cell = tuple[str, str]  # regime, arm


@dataclass(frozen=True)
class Contrast:
    """One difference that a claim predicts to be above 0: `more` minus `less`, in a measure."""

    more: Cell
    less: Cell
    measure: str = "gold"

    @property
    def label(self) -> str:
        """Which cells are compared, and where; only what differs is named twice."""
        (regime, arm), (other_regime, other) = self.more, self.less
        if regime == other_regime:
            return f"{ARMS[arm].label} − {ARMS[other].label}, {regime}"
        return f"{ARMS[arm].label}: {regime} − {other_regime}"


@dataclass(frozen=True)
class Claim:
    """A saying, where it comes from, and what it predicts here."""

    says: str
    source: str  # a key of the bibliography
    contrasts: tuple[Contrast, ...]


def _everywhere(regimes, arm: str, other: str, measure: str = "gold") -> tuple[Contrast, ...]:
    return tuple(Contrast((regime, arm), (regime, other), measure) for regime in regimes)


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "Flipped labels degrade DPO.",
        "mitchell2023cdpo",
        (Contrast(("clean", "dpo"), ("noisy_40", "dpo")), Contrast(("clean_many", "dpo"), ("noisy_40_many", "dpo"))),
    ),
    Claim(
        "Label smoothing makes DPO robust to flipped labels.",
        "mitchell2023cdpo",
        _everywhere(("noisy_40", "noisy_40_many"), "cdpo", "dpo"),
    ),
    Claim(
        "IPO is the safer choice under noise.", "azar2024ipo", _everywhere(("noisy_40", "noisy_40_many"), "ipo", "dpo")
    ),
    Claim(
        "Where labels are near-deterministic, IPO keeps what DPO loses.",
        "azar2024ipo",
        _everywhere(("near_deterministic",), "ipo", "dpo"),
    ),
    Claim(
        "IPO needs no reward model behind the preferences, so a taste that cycles harms it less.",
        "azar2024ipo",
        _everywhere(("cyclic",), "ipo", "dpo", "annotator_win_rate") + _everywhere(("cyclic",), "ipo", "dpo"),
    ),
    Claim(
        "KTO uses a log of thumbs that pair methods must throw away: better than DPO on its pairs.",
        "ethayarajh2024kto",
        _everywhere(("unary_10", "unary_90"), "kto", "dpo"),
    ),
    Claim(
        "… and better than every other pair method on them.",
        "ethayarajh2024kto",
        tuple(
            contrast
            for other in ("ipo", "orpo", "simpo")
            for contrast in _everywhere(("unary_10", "unary_90"), "kto", other)
        ),
    ),
    Claim(
        "ORPO needs no SFT checkpoint: from the base model it beats the methods that expect one.",
        "hong2024orpo",
        tuple(Contrast(("no_sft", "orpo"), ("no_sft", other)) for other in ("dpo", "ipo", "kto", "simpo")),
    ),
    Claim(
        "… and it beats imitating the chosen replies alone.",
        "hong2024orpo",
        _everywhere(("no_sft",), "orpo", "sft"),
    ),
    Claim(
        "SimPO's average keeps replies short where annotators like length.",
        "meng2024simpo",
        _everywhere(("length_extreme",), "dpo", "simpo", "length") + _everywhere(("length_extreme",), "simpo", "dpo"),
    ),
    Claim(
        "DPO lowers the log-prob of chosen replies where pairs hardly differ.",
        "razin2024displacement",
        (Contrast(("displacing", "untouched"), ("displacing", "dpo"), "chosen_logp"),),
    ),
    Claim(
        "An NLL term holds the chosen replies up, and helps.",
        "pang2024iterative",
        _everywhere(("displacing",), "dpo_nll", "dpo", "chosen_logp") + _everywhere(("displacing",), "dpo_nll", "dpo"),
    ),
)


def judge(table: pd.DataFrame, claims: tuple[Claim, ...] = CLAIMS) -> pd.DataFrame:
    """Each claim with its verdict and the numbers behind it.

    A prediction holds where the difference's 95 % interval lies above 0. All hold: "reproduced"; some: "half"; none:
    "not", or "opposite" where an interval lies below 0. Predictions without runs are left out; "not run": all are.

    Returns:
        Columns says, source, verdict, and numbers, a list of (label, measure, Interval).
    """
    rows = []
    for claim in claims:
        numbers = [(c.label, c.measure, interval) for c in claim.contrasts if (interval := _measured(table, c))]
        rows.append((claim.says, claim.source, _verdict([interval for _, _, interval in numbers]), numbers))
    return pd.DataFrame(rows, columns=["says", "source", "verdict", "numbers"])


def _measured(table: pd.DataFrame, contrast: Contrast) -> Interval | None:
    """The difference's interval, or None where one of the cells has not been run."""
    try:
        return difference(table, contrast.more, contrast.less, contrast.measure)
    except UserError:
        return None


def _verdict(intervals: list[Interval]) -> str:
    if not intervals:
        return "not run"
    holds = [interval.low > 0 for interval in intervals]
    if all(holds):
        return "reproduced"
    if any(holds):
        return "half"
    return "opposite" if any(interval.high < 0 for interval in intervals) else "not"
