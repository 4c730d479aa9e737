"""What textbooks and papers say of the five methods, each saying held to the recorded runs by differences of cells.

A difference is judged where it is fair to (`mechanisms.why_not`): both arms must have moved, and where something else
than the gold reward is compared, neither may have broken. Each arm of the matrix is at the setting at which
it did best, so a claim on a mechanism ("an average keeps replies short") compares arms of `mechanisms` in its place,
which share the step size, the strength and the stop.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from lessons_lib.benchmark import mechanisms, statistics
from lessons_lib.benchmark.design import ARMS, DELTA
from lessons_lib.benchmark.reading import gap
from lessons_lib.errors import UserError

Cell = tuple[str, str]  # regime, arm


@dataclass(frozen=True)
class Contrast:
    """One difference that a claim predicts to be above 0: `more` minus `less`, in a measure.

    Attributes:
        case: where the cells are variations of a case of `mechanisms` and not arms of the matrix.
    """

    more: Cell
    less: Cell
    measure: str = "gold"
    case: str = ""

    @property
    def label(self) -> str:
        """Which cells are compared, and where; only what differs is named twice."""
        (regime, arm), (other_regime, other) = self.more, self.less
        if regime == other_regime:
            return f"{self._name(arm)} − {self._name(other)}, {regime}{', alike but for this' * bool(self.case)}"
        return f"{self._name(arm)}: {regime} − {other_regime}"

    def _name(self, arm: str) -> str:
        return mechanisms.CASES[self.case].variations[arm].label if self.case else ARMS[arm].label


@dataclass(frozen=True)
class Claim:
    """A saying, where it comes from, and what it predicts here."""

    says: str
    source: str  # a key of the bibliography
    contrasts: tuple[Contrast, ...]


def _everywhere(regimes, arm: str, other: str, measure: str = "gold", case: str = "") -> tuple[Contrast, ...]:
    return tuple(Contrast((regime, arm), (regime, other), measure, case) for regime in regimes)


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
        "A loss that is unbiased under flips makes DPO robust to them.",
        "chowdhury2024robust",
        _everywhere(("noisy_20", "noisy_40", "noisy_20_many", "noisy_40_many"), "rdpo", "dpo"),
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
        "… and SFT followed by DPO, at as many passes.",
        "hong2024orpo",
        _everywhere(("no_sft",), "orpo", "sft_dpo"),
    ),
    Claim(
        "… and it beats imitating the chosen replies alone.",
        "hong2024orpo",
        _everywhere(("no_sft",), "orpo", "sft"),
    ),
    Claim(
        "SimPO's average keeps replies short where annotators like length.",
        "meng2024simpo",
        _everywhere(("length_extreme",), "dpo", "simpo", "length", "length")
        + _everywhere(("length_extreme",), "simpo", "dpo", case="length"),
    ),
    Claim(
        "DPO lowers the log-prob of chosen replies where pairs hardly differ.",
        "razin2024displacement",
        (Contrast(("displacing", "untouched"), ("displacing", "dpo"), "chosen_logp"),),
    ),
    Claim(
        "An NLL term holds the chosen replies up, and helps.",
        "pang2024iterative",
        _everywhere(("displacing",), "dpo_nll", "dpo", "chosen_logp", "nll")
        + _everywhere(("displacing",), "dpo_nll", "dpo", case="nll"),
    ),
)


def judge(table: pd.DataFrame, claims: tuple[Claim, ...] = CLAIMS) -> pd.DataFrame:
    """Each claim with its verdict and the numbers behind it.

    Its differences share 5 % by Holm's correction, and each gets its word by `statistics.word`, with `DELTA` for gold
    and 0 for other measures. All are ahead: "reproduced"; some are: "half"; none is: "opposite" where one is behind,
    "equivalent" where all are, else "cannot tell". What has no runs, or is not fair to judge, is left out; "not
    judged": all are.

    Returns:
        Columns says, source, verdict, numbers, a list of (label, measure, Interval), and unjudged, a list of (label,
        why) of the differences of which nothing is said though they were run.
    """
    rows = []
    for claim in claims:
        found = [(c, *_measured(mechanisms.runs_of(c.case) if c.case else table, c)) for c in claim.contrasts]
        fair = [(c, estimate) for c, estimate, unfair in found if estimate is not None and not unfair]
        intervals = statistics.holm([estimate for _, estimate in fair])
        words = [
            statistics.word(interval, DELTA if c.measure == "gold" else 0.0)
            for (c, _), interval in zip(fair, intervals, strict=True)
        ]
        numbers = [(c.label, c.measure, interval) for (c, _), interval in zip(fair, intervals, strict=True)]
        unjudged = [(c.label, unfair) for c, estimate, unfair in found if estimate is not None and unfair]
        rows.append((claim.says, claim.source, _verdict(words), numbers, unjudged))
    return pd.DataFrame(rows, columns=["says", "source", "verdict", "numbers", "unjudged"])


def _measured(table: pd.DataFrame, contrast: Contrast) -> tuple[statistics.MeanEstimate | None, str]:
    """(the difference, why it says nothing or ""); None where one of the cells has not been run."""
    try:
        estimate = gap(table, contrast.more, contrast.less, contrast.measure)
    except UserError:
        return None, ""
    trained = [cell for cell in (contrast.more, contrast.less) if cell[1] != "untouched"]
    arms = [table[(table["regime"] == regime) & (table["arm"] == arm)] for regime, arm in trained]
    intact = bool(contrast.case) and mechanisms.CASES[contrast.case].intact
    return estimate, mechanisms.why_not(arms, contrast.measure, intact=intact)


def _verdict(words: list[str]) -> str:
    if not words:
        return "not judged"
    if "ahead" in words:
        return "reproduced" if set(words) == {"ahead"} else "half"
    if "behind" in words:
        return "opposite"
    return "equivalent" if set(words) == {"equivalent"} else "cannot tell"
