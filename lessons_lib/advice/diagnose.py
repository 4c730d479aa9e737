"""Reads the log of a preference run and names the faults it shows: what was seen, what it means, what to try first.

A fault is one record of `FAULTS`: the columns it needs, a rule, and its words. A rule compares thirds of the
run, so that one odd batch raises no alarm. Its thresholds are our judgement, set before and checked on runs made
with each fault on purpose and on healthy ones (tests/advice/diagnose_logs). A log without a fault's columns says
nothing about it: `Diagnosis.unknown` lists what could not be looked for.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from lessons_lib.errors import UserError

if TYPE_CHECKING:
    from lessons_lib.plots import Picture

SHORTEST = 6  # logged rows; with fewer there are no thirds to compare
BLOCKS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Fault:
    """What can be seen in a log, and what to do about it.

    Attributes:
        key, name: for scripts and for people.
        columns: metrics without which it cannot be looked for, under TRL's names.
        curve: the metric to show.
        rule: (`Log`) -> the numbers that `evidence` names, or None where the log does not show it.
        evidence, meaning, remedy: what was seen, what it means, what to try first.
        source: what the meaning and the remedy rest on.
    """

    key: str
    name: str
    columns: tuple[str, ...]
    curve: str
    rule: Callable[[Log], Mapping[str, float] | None]
    evidence: str
    meaning: str
    remedy: str
    source: str


@dataclass(frozen=True)
class Finding:
    """A fault that the log shows, its evidence and curve; `usual` where healthy runs show as much."""

    fault: Fault
    evidence: str
    usual: bool
    steps: np.ndarray
    values: np.ndarray

    @property
    def panel(self) -> str:
        """The curve's metric and range."""
        finite = self.values[np.isfinite(self.values)]
        return f"{self.fault.curve}\n{finite.min():.3g} to {finite.max():.3g}" if len(finite) else self.fault.curve

    @property
    def scaled(self) -> np.ndarray:
        """The curve from 0, its lowest value, to 1, its highest."""
        finite = self.values[np.isfinite(self.values)]
        low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
        return (self.values - low) / ((high - low) or 1)

    def sparkline(self, width: int = 48) -> str:
        """The curve in one line of text; × marks values that are not finite."""
        return sparkline(self.values, width)


@dataclass(frozen=True)
class Diagnosis:
    """What a log shows: findings in the order of `FAULTS`, and the faults it cannot speak about."""

    log: Log
    findings: tuple[Finding, ...]
    unknown: tuple[Fault, ...]

    @property
    def keys(self) -> frozenset[str]:
        """Keys of the faults found, without those that healthy runs show as much of."""
        return frozenset(finding.fault.key for finding in self.findings if not finding.usual)

    def picture(self) -> Picture | None:
        """Up to four findings' curves as one `plots.Picture`, each over its own range; None without a finding."""
        from lessons_lib.plots import small_multiples

        if not self.findings:
            return None
        panels = {finding.panel: finding for finding in self.findings[:4]}
        names = ", ".join(finding.fault.name for finding in self.findings)
        return small_multiples(
            panels,
            lambda axes, finding: axes.plot(finding.steps, finding.scaled),
            title=f"{self.log.source}: {names}",
            x_label="step",
            y_label="share of its range",
            alt=f"Curves of {', '.join(panels)}.",
        )


@dataclass(frozen=True)
class Log:
    """The metrics of one run: column name to (rows,), NaN where a row has none. Evaluation rows are left out.

    `strength` is the reward's factor, β or τ, of a method with a reference, where it is known; `spoilt` says for
    each metric that is not finite anywhere in which rows the log says so.
    """

    source: str
    columns: Mapping[str, np.ndarray]
    strength: float | None = None
    spoilt: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def steps(self) -> np.ndarray:
        return self.columns.get("step", np.arange(1, self.rows + 1))

    @property
    def rows(self) -> int:
        return max((len(values) for values in self.columns.values()), default=0)

    def given(self, name: str) -> np.ndarray:
        """The values that the log has for a metric."""
        values = self.columns[name]
        return values[np.isfinite(values)]

    def curve(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps and values of the rows in which the log says something about a metric, be it that it is NaN."""
        said = np.isfinite(self.columns[name]) | self.spoilt.get(name, False)
        return self.steps[said], self.columns[name][said]

    def thirds(self, name: str) -> SimpleNamespace:
        """Mean, standard error and last value over the first, middle and last third of a metric's values."""
        parts = np.array_split(self.given(name), 3)
        means = [part.mean() for part in parts]
        errors = [part.std(ddof=1) / math.sqrt(len(part)) if len(part) > 1 else math.inf for part in parts]
        return SimpleNamespace(first=means[0], middle=means[1], last=means[2], errors=errors, end=parts[2][-1])

    def surely_changed(self, name: str) -> float:
        """Last third minus first third, or 0 where that is less than three standard errors."""
        thirds = self.thirds(name)
        change = thirds.last - thirds.first
        return change if abs(change) > 3 * math.hypot(thirds.errors[0], thirds.errors[2]) else 0.0


def diagnose(log: Log) -> Diagnosis:
    """Look for every fault of `FAULTS` in a log."""
    findings, unknown = [], []
    for fault in FAULTS:
        if not all(name in log.columns and _enough(log, name, fault) for name in fault.columns):
            unknown.append(fault)
            continue
        seen = fault.rule(log)
        if seen is not None:
            curve = log.curve(fault.curve)
            findings.append(Finding(fault, fault.evidence.format(**seen), bool(seen.get("usual")), *curve))
        if findings and findings[0].fault.key == "not_finite":
            break  # what comes after the weights have gone says nothing
    return Diagnosis(log, tuple(findings), tuple(unknown))


def read_log(path: str | Path, *, strength: float | None = None) -> Log:
    """Read TRL's trainer_state.json (or the folder that holds it), a CSV of metrics, or our own history as CSV.

    Args:
        path: the file, or a folder with one.
        strength: β or τ of the run; with it, a moving reference can be seen.

    Raises:
        UserError: no such file, no rows, or none of the metrics that are looked at.
    """
    path = _file(Path(path).expanduser())
    try:
        rows = _json_rows(path) if path.suffix == ".json" else _csv_rows(path)
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"log: cannot read {path}: {error}") from error
    log = log_of(rows, source=path.name, strength=strength)
    if not any(name in log.columns for fault in FAULTS for name in fault.columns):
        found = ", ".join(sorted(log.columns)) or "no numbers"
        raise UserError(f"log: expected metrics such as rewards/margins or logps/chosen in {path}, found {found}")
    return log


def log_of(rows: Sequence[Mapping], *, source: str = "log", strength: float | None = None) -> Log:
    """A `Log` from rows of metrics, as `history.to_dict("records")` gives them; text counts as missing."""
    rows = [row for row in rows if not any(name.startswith(("eval_", "train_")) for name in row)]
    if len(rows) < SHORTEST:
        raise UserError(f"log: expected at least {SHORTEST} logged steps, got {len(rows)}; set logging_steps lower")
    names = dict.fromkeys(name for row in rows for name in row)
    table = {name: np.array([_number(row.get(name)) for row in rows]) for name in names}
    written = {name: np.array([_is_nan(row.get(name)) for row in rows]) for name in names}
    spoilt = {name: values for name, values in written.items() if values.any()}
    kept = {name: values for name, values in table.items() if np.isfinite(values).any() or name in spoilt}
    return Log(source, kept, strength, spoilt)


def sparkline(values: np.ndarray, width: int = 48) -> str:
    """Values as a line of blocks, means over `width` stretches; × where none is finite."""
    finite = np.isfinite(values)
    if not finite.any():
        return "×"
    low, high = values[finite].min(), values[finite].max()
    stretches = np.array_split(values, min(width, len(values)))
    means = [part[np.isfinite(part)].mean() if np.isfinite(part).any() else None for part in stretches]
    scale = (len(BLOCKS) - 1) / ((high - low) or 1)
    return "".join("×" if mean is None else BLOCKS[round((mean - low) * scale)] for mean in means)


def _enough(log: Log, name: str, fault: Fault) -> bool:
    return fault.key == "not_finite" or len(log.given(name)) >= SHORTEST


def _file(path: Path) -> Path:
    if path.is_dir():
        found = sorted(path.rglob("trainer_state.json"), key=lambda p: p.stat().st_mtime)
        found = found or sorted(path.glob("history.csv"))
        if not found:
            raise UserError(f"log: expected a trainer_state.json or history.csv in {path}, found none")
        return found[-1]
    if not path.is_file():
        raise UserError(f"log: expected a file, but there is no {path}")
    return path


def _json_rows(path: Path) -> list[dict]:
    content = json.loads(path.read_text(encoding="utf-8"))
    rows = content.get("log_history") if isinstance(content, dict) else content
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("expected TRL's trainer_state.json with a log_history, or a list of rows")
    return rows


def _csv_rows(path: Path) -> list[dict]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _is_nan(value: object) -> bool:
    """Whether a log says NaN or infinite, which is not the same as saying nothing."""
    return value not in (None, "") and not math.isfinite(_number(value)) and str(value).lower() in _NOT_FINITE


_NOT_FINITE = {"nan", "inf", "-inf", "infinity", "-infinity"}


# The rules


def _not_finite(log: Log) -> dict | None:
    # Not the rewards: a batch of KTO without a single thumb up has none, and that is no fault.
    spoilt = {name: values for name, values in log.spoilt.items() if name in ("loss", "grad_norm")}
    if not spoilt:
        return None
    name, values = min(spoilt.items(), key=lambda item: item[1].argmax())
    return {"name": name, "step": log.steps[values.argmax()], "count": int(values.sum())}


def _displaced(log: Log) -> dict | None:
    chosen, margins = log.given("logps/chosen"), log.thirds("rewards/margins")
    start, end = chosen[: max(2, len(chosen) // 10)].mean(), log.thirds("logps/chosen").last
    fall = (start - end) / abs(start)
    if fall < 0.15 or log.surely_changed("logps/chosen") >= 0 or log.surely_changed("rewards/margins") <= 0:
        return None
    return {"from_": start, "to": end, "share": fall, "margin": margins.last, "usual": fall < 0.5}


def _coin(log: Log) -> dict | None:
    accuracy = log.thirds("rewards/accuracies")
    if accuracy.last > 0.55:
        return None
    return {"first": accuracy.first, "last": accuracy.last, "error": accuracy.errors[2]}


def _by_heart(log: Log) -> dict | None:
    accuracy, loss = log.thirds("rewards/accuracies"), log.thirds("loss")
    bounded = log.thirds("rewards/margins").last < 3  # a loss that reached its target there, as IPO's is meant to
    if accuracy.last < 0.98 or loss.last > 0.05 * log.given("loss")[0] or bounded:
        return None
    return {"accuracy": accuracy.last, "loss": loss.last, "start": log.given("loss")[0]}


def _exploding(log: Log) -> dict | None:
    margins = log.thirds("rewards/margins")
    if margins.last < 3 or margins.last < 1.1 * margins.middle:
        return None
    return {"middle": margins.middle, "last": margins.last}


def _kl_away(log: Log) -> dict | None:
    kl = log.thirds("kl")
    if kl.last < 10 or kl.last < 1.2 * kl.first:
        return None
    return {"first": kl.first, "last": kl.last, "end": kl.end}


def _reference_moved(log: Log) -> dict | None:
    rewards = log.given("rewards/chosen")
    if not rewards.any() and not log.given("rewards/rejected").any():
        return {"how": f"all {len(rewards)} logged rewards are exactly 0: policy and reference are one model"}
    if log.strength is None:
        return None
    implied = log.columns["logps/chosen"] - log.columns["rewards/chosen"] / log.strength
    moved = Log(log.source, {"reference": implied})
    change, before = moved.surely_changed("reference"), moved.thirds("reference").first
    if abs(change) < 0.05 * abs(before):
        return None
    return {"how": f"its log-prob of chosen responses went from {before:.4g} to {before + change:.4g} nats"}


FAULTS: tuple[Fault, ...] = (
    Fault(
        key="not_finite",
        name="not a number",
        columns=("loss",),
        curve="loss",
        rule=_not_finite,
        evidence="{name} is not finite from step {step:.0f} on ({count} logged rows)",
        meaning="The weights have diverged, or a log-prob overflowed; nothing after that step is of use. TRL logs a "
        "loss of 0 there unless logging_nan_inf_filter is off.",
        remedy="Go back to the last checkpoint before it; lower the learning rate and lengthen the warm-up; compute "
        "log-probs in float32, and look for empty responses in the data.",
        source="judgement; the trainer's own stop in lessons_lib.training.loop",
    ),
    Fault(
        key="reference_moved",
        name="a reference that moved",
        columns=("rewards/chosen", "rewards/rejected", "logps/chosen"),
        curve="rewards/chosen",
        rule=_reference_moved,
        evidence="the reference is not frozen: {how}",
        meaning="Rewards are log-ratios to the reference. If it moves, margins and KL say nothing about how far the "
        "policy has gone, and nothing holds it back.",
        remedy="Freeze the reference: do not pass the policy as its own reference, switch off sync_ref_model, or "
        "precompute the reference's log-probs.",
        source="judgement; arXiv 2305.18290, section 4, holds π_ref fixed",
    ),
    Fault(
        key="kl_away",
        name="KL running away",
        columns=("kl",),
        curve="kl",
        rule=_kl_away,
        evidence="KL to the reference rose from {first:.3g} to {last:.3g} nats (now {end:.3g})",
        meaning="The policy leaves the region in which the preferences were collected; quality falls there while the "
        "loss still improves.",
        remedy="Stop earlier: take the checkpoint before KL took off. Then a smaller learning rate, a larger β, or "
        "fewer passes; for KTO with few thumbs up, balance the weights.",
        source="arXiv 2406.02900; measured in the lab",
    ),
    Fault(
        key="exploding_margins",
        name="margins exploding",
        columns=("rewards/margins",),
        curve="rewards/margins",
        rule=_exploding,
        evidence="the reward margin went from {middle:.3g} to {last:.3g} over the last two thirds and still rises",
        meaning="The loss has no finite optimum on labels that are never in doubt: what grows is distance from the "
        "reference, not quality.",
        remedy="Stop where held-out quality peaks; use a bounded target (IPO) or label smoothing, or a larger β.",
        source="arXiv 2310.12036, section 4.2; measured in the lab",
    ),
    Fault(
        key="by_heart",
        name="learnt by heart",
        columns=("rewards/accuracies", "loss", "rewards/margins"),
        curve="loss",
        rule=_by_heart,
        evidence="training accuracy {accuracy:.3g} at a loss of {loss:.3g}, which began at {start:.3g}",
        meaning="The pairs are memorised; the training curves look perfect whatever happens to quality.",
        remedy="Measure on held-out prompts; make fewer passes, take a smaller step, or get more pairs.",
        source="measured in the lab",
    ),
    Fault(
        key="coin_flip",
        name="accuracy near one half",
        columns=("rewards/accuracies",),
        curve="rewards/accuracies",
        rule=_coin,
        evidence="training accuracy is {last:.3g} ± {error:.2g} at the end ({first:.3g} at the start)",
        meaning="Nothing is learnt: the labels may be noise or swapped, the step too small, or the run too short.",
        remedy="Read twenty pairs by hand and check the column order; overfit fifty pairs on purpose, and if that "
        "works, raise the learning rate.",
        source="judgement",
    ),
    Fault(
        key="displaced",
        name="chosen log-prob falling",
        columns=("logps/chosen", "rewards/margins"),
        curve="logps/chosen",
        rule=_displaced,
        evidence="log-prob of chosen responses fell from {from_:.4g} to {to:.4g} nats ({share:.0%}) while the margin "
        "rose to {margin:.3g}",
        meaning="Probability leaves both responses for texts that nobody compared. Some of this is usual and not "
        "itself the damage; malformed samples are.",
        remedy="Read samples. If they are damaged: a smaller learning rate, fewer passes, an NLL term on the chosen "
        "response, and no pairs whose two texts hardly differ.",
        source="arXiv 2402.13228, 2410.08847, 2404.19733; measured in the lab",
    ),
)
