"""Names the faults that the log of a preference run shows: what was seen, what it means, what to try first.

A fault is one record of `FAULTS`: the columns it needs, a rule, and its words. A rule compares thirds of the
run, so that one odd batch raises no alarm; of fewer than `logs.THIRDS` rows it compares the first, a middle and
the last, and asks for more. Thresholds are our judgement, set before and checked on runs made with each fault on
purpose and on healthy ones (tests/advice/diagnose_logs). A log without a fault's columns says nothing about it:
`Diagnosis.unknown` lists what could not be looked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lessons_lib.advice.logs import THIRDS, Log

if TYPE_CHECKING:
    from lessons_lib.plots import Picture

BLOCKS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Fault:
    """What can be seen in a log, and what to do about it.

    Attributes:
        key, name: for scripts and for people.
        columns: metrics without which it cannot be looked for, under TRL's names; "a|b" asks for either.
        curve: the metric to show.
        rule: (`Log`) -> what `evidence` names, or None where the log does not show it. "usual" among the names says
            that healthy runs show as much, "curve" that another metric shows it.
        evidence, meaning, remedy: what was seen, what it means, what to try first.
        source: what the meaning and the remedy rest on.
        least: finite values of each column without which nothing can be said.
        fatal: whether the run is void, so that nothing is said about how it went.
    """

    key: str
    name: str
    columns: tuple[str, ...]
    curve: str
    rule: Callable[[Log], Mapping[str, object] | None]
    evidence: str
    meaning: str
    remedy: str
    source: str
    least: int = 2
    fatal: bool = False

    def lacks(self, log: Log) -> str:
        """What the log would need for this fault to be looked for; empty where it has all."""
        wanted = {name: _names(log, name) for name in self.columns}
        missing = [name.replace("|", " or ") for name, names in wanted.items() if not names]
        if missing:
            return " and ".join(missing)
        values = min(max(len(log.given(n)) for n in names) for names in wanted.values())
        return "" if values >= self.least else f"{self.least} logged values; there are {values}"


@dataclass(frozen=True)
class Finding:
    """A fault that the log shows, its evidence and curve; `usual` where healthy runs show as much."""

    fault: Fault
    evidence: str
    usual: bool
    curve: str
    steps: np.ndarray
    values: np.ndarray

    @property
    def panel(self) -> str:
        """The curve's metric and range."""
        finite = self.values[np.isfinite(self.values)]
        return f"{self.curve}\n{finite.min():.3g} to {finite.max():.3g}" if len(finite) else self.curve

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


def diagnose(log: Log) -> Diagnosis:
    """Look for every fault of `FAULTS` in a log; where the run is void, only for what makes it so."""
    if _look(log, [fault for fault in FAULTS if fault.fatal]).keys:
        return _look(log, [fault for fault in FAULTS if fault.fatal or fault.key in _OF_A_VOID_RUN])
    return _look(log, FAULTS)


def _look(log: Log, faults: Iterable[Fault]) -> Diagnosis:
    findings, unknown = list[Finding](), list[Fault]()
    for fault in faults:
        if fault.lacks(log):
            unknown.append(fault)
            continue
        seen = fault.rule(log)
        if seen is not None:
            curve = str(seen.get("curve", fault.curve))
            evidence = fault.evidence.format(**seen)
            findings.append(Finding(fault, evidence, bool(seen.get("usual")), curve, *log.curve(curve)))
    return Diagnosis(log, tuple(findings), tuple(unknown))


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


def _names(log: Log, name: str) -> list[str]:
    """The log's metrics that a name of `Fault.columns` stands for."""
    if name == "eval_loss":  # there can be several evaluation sets
        return (
            [n for n in log.evaluation.columns if re.fullmatch(r"eval_(?!nll_)(.+_)?loss", n)] if log.evaluation else []
        )
    return [n for n in name.split("|") if len(log.curve(n)[0])]


# The rules of a run that is void


_JUDGED = re.compile(
    r"(eval_(.+_)?)?(loss|grad_norm|nll_loss|kl|(rewards|logps)/\w+)"
)  # not logits: of masked words −∞


def _not_finite(log: Log) -> dict | None:
    spoilt = dict(_spoilt(log))
    if not spoilt:
        return None
    name = min(spoilt, key=lambda name: spoilt[name].argmax())
    rows, step = spoilt[name], log.steps[spoilt[name].argmax()]
    later = np.isfinite(log.columns[name])[rows.argmax() :].any()
    where = f"at step {step:.0f}, and finite again later" if later else f"from step {step:.0f} on"
    # Under float16 a scaler looks for the largest factor that does not overflow, and skips the steps that do.
    skipped = set(spoilt) == {"grad_norm"} and later and rows.sum() <= max(1, 0.1 * len(rows))
    others = f"; so are {', '.join(other for other in spoilt if other != name)}" if len(spoilt) > 1 else ""
    return {"name": name, "where": where, "count": int(rows.sum()), "others": others, "usual": skipped, "curve": name}


def _spoilt(log: Log) -> Iterator[tuple[str, np.ndarray]]:
    """Metrics that are not finite, and in which rows, without batches of ratings that lack one of the two sides."""
    one_sided = np.zeros(log.rows, dtype=bool)
    for name, other in _SIDES.items():
        if name in log.columns and other in log.columns:
            one_sided |= np.isfinite(log.columns[name]) != np.isfinite(log.columns[other])
    for name, rows in log.spoilt.items():
        if re.search(r"(rewards|logps)/", name):
            rows = rows & ~one_sided
        if _JUDGED.fullmatch(name) and rows.any():
            yield name, rows


_SIDES = {
    f"{prefix}{kind}/chosen": f"{prefix}{kind}/rejected" for prefix in ("", "eval_") for kind in ("rewards", "logps")
}


def _nothing_scored(log: Log) -> dict | None:
    sides = [side for side in ("chosen", "rejected") if not log.given(f"logps/{side}").any()]
    return {"sides": " and ".join(sides), "curve": f"logps/{sides[0]}"} if sides else None


def _nothing_trained(log: Log) -> dict | None:
    for name, what, least in ("learning_rate", "learning rate", 1e-12), ("grad_norm", "gradient norm", 1e-9):
        values = log.given(name)
        if len(values) > 1 and values.max() < least:
            return {"what": what, "count": len(values), "curve": name}
    return None


def _loss_zero(log: Log) -> dict | None:
    loss = log.given("loss")
    return {"count": len(loss)} if np.abs(loss).max() < 1e-6 else None


# The rules about reference and evaluation


def _reference_not_start(log: Log) -> dict | None:
    if _without_reference(log):
        return None
    steps, chosen = log.curve("rewards/chosen")
    of_rejected, rejected = log.curve("rewards/rejected")
    started = not _names(log, "learning_rate|grad_norm") or _nothing_trained(log) is None
    first = {"chosen": chosen[0], "rejected": rejected[0], "step": min(steps[0], of_rejected[0])}
    if not started or first["step"] <= 1:  # policy and reference agree, to rounding and dropout
        return first if max(abs(chosen[0]), abs(rejected[0])) > 0.1 else None
    # Training itself has moved them. What both sides share has less noise than either, where rows have both.
    shared = (chosen + rejected) / 2 if np.array_equal(steps, of_rejected) else chosen
    pace = np.abs(np.diff(shared[:4]) / np.maximum(np.diff(steps[:4]), 1))
    return first if abs(shared[0]) > max(1.0, 5 * steps[0] * pace.max(initial=0.0)) else None


def _without_reference(log: Log) -> bool:
    """Whether rewards are averaged log-probs times a factor, as ORPO's and SimPO's: there is no reference in them."""
    if any(name.startswith("log_odds") for name in log.columns):
        return True
    rewards = log.columns["rewards/chosen"]
    for name in ("logps/chosen", "nll_loss"):  # the average in TRL's log; in ours, where logps are summed
        averaged = log.columns.get(name, np.zeros_like(rewards))
        told = np.isfinite(rewards) & np.isfinite(averaged) & (averaged != 0)
        factors = np.abs(rewards[told] / averaged[told])
        if len(factors) > 1 and factors.std() < 0.02 * factors.mean():
            return True
    return False


def _reference_moved(log: Log) -> dict | None:
    rewards = log.given("rewards/chosen")
    if not rewards.any() and not log.given("rewards/rejected").any():
        return {"how": f"all {len(rewards)} logged rewards are exactly 0: policy and reference are one model"}
    if log.strength is None or len(rewards) < THIRDS:
        return None
    implied = log.columns["logps/chosen"] - log.columns["rewards/chosen"] / log.strength
    moved = Log(log.source, {"reference": implied})
    change, before = moved.surely_changed("reference"), moved.thirds("reference").first
    if abs(change) < 0.05 * abs(before):
        return None
    return {"how": f"its log-prob of chosen responses went from {before:.4g} to {before + change:.4g} nats"}


def _evaluation_not_finite(log: Log) -> dict | None:
    if log.evaluation is None:
        return None
    spoilt = dict(_spoilt(log.evaluation))
    if not spoilt:
        return None
    name = min(spoilt, key=lambda name: spoilt[name].argmax())
    rows, step = spoilt[name], log.evaluation.steps[spoilt[name].argmax()]
    return {"names": ", ".join(spoilt), "step": step, "count": int(rows.sum()), "all": len(rows), "curve": name}


def _overfit(log: Log) -> dict | None:
    for name in _names(log, "eval_loss"):
        steps, losses = (values[np.isfinite(log.curve(name)[1])] for values in log.curve(name))
        best = int(losses.argmin())
        rise, trained = losses[-1] - losses[best], log.thirds("loss")
        if best < len(losses) - 1 and rise > 0.1 * abs(losses[best]) and trained.last < trained.first:
            return {"best": losses[best], "step": steps[best], "last": losses[-1], "curve": name}
    return None


# The rules about how training went


def _spikes(log: Log) -> dict | None:
    steps, norms = log.curve("grad_norm")
    steps, norms = steps[np.isfinite(norms)], norms[np.isfinite(norms)]
    usual = np.array([np.median(norms[max(0, i - 10) : i]) if i else norms[1] * 5 for i in range(len(norms))])
    spikes = np.flatnonzero((norms > 20 * usual) & (norms > np.where(np.arange(len(norms)) == 0, 1000, 10)))
    if not len(spikes):
        return None
    largest = spikes[norms[spikes].argmax()]
    beside = np.median(np.delete(norms, spikes)) if len(spikes) < len(norms) else norms.min()
    return {"count": len(spikes), "largest": norms[largest], "step": steps[largest], "median": beside}


def _displaced(log: Log) -> dict | None:
    chosen, margins = log.given("logps/chosen"), log.thirds("rewards/margins")
    start = chosen[: max(2, len(chosen) // 10) if len(chosen) >= THIRDS else 1].mean()
    end = log.thirds("logps/chosen").last
    fall = (start - end) / abs(start) if start else 0.0
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
    gradient = f", its gradient {log.given('grad_norm')[-1]:.2g}" if _names(log, "grad_norm") else ""
    return {"accuracy": accuracy.last, "loss": loss.last, "start": log.given("loss")[0], "gradient": gradient}


def _exploding(log: Log) -> dict | None:
    margins, few = log.thirds("rewards/margins"), len(log.given("rewards/margins")) < THIRDS
    if margins.last < (10 if few else 3) or margins.last < 1.1 * margins.middle:
        return None
    return {"middle": margins.middle, "last": margins.last}


def _kl_away(log: Log) -> dict | None:
    kl = log.thirds("kl")
    if kl.last < 10 or kl.last < 1.2 * kl.first:
        return None
    return {"first": kl.first, "last": kl.last, "end": kl.end}


_OF_A_VOID_RUN = ("reference_not_start", "evaluation_not_finite")

FAULTS: tuple[Fault, ...] = (
    Fault(
        key="not_finite",
        name="not a number",
        columns=("loss",),
        curve="loss",
        rule=_not_finite,
        evidence="{name} is not finite {where} ({count} logged rows{others})",
        meaning="The weights have diverged, or a log-prob overflowed; nothing after that step is of use. TRL logs a "
        "loss of 0 there unless logging_nan_inf_filter is off.",
        remedy="Go back to the last checkpoint before it; lower the learning rate and lengthen the warm-up; compute "
        "log-probs in float32, and look for empty responses in the data.",
        source="judgement; the trainer's own stop in lessons_lib.training.loop",
        least=0,
        fatal=True,
    ),
    Fault(
        key="nothing_scored",
        name="nothing scored",
        columns=("logps/chosen", "logps/rejected"),
        curve="logps/chosen",
        rule=_nothing_scored,
        evidence="the log-prob of {sides} responses is exactly 0 in every row: none of their tokens was counted",
        meaning="The loss sees no response. A prompt as long as max_length leaves none, and so does a mask that "
        "covers everything.",
        remedy="Look at one row as the trainer sees it (`lessons-lib train … --show 3`): which tokens have labels? "
        "Raise max_length, drop long prompts, and check that responses are not in the prompt's column.",
        source="judgement; the shift and mask of lessons_lib.logps",
        fatal=True,
    ),
    Fault(
        key="nothing_trained",
        name="nothing trained",
        columns=("learning_rate|grad_norm",),
        curve="grad_norm",
        rule=_nothing_trained,
        evidence="the {what} is 0 in all {count} logged rows: no weight has moved",
        meaning="The model is as it was before. A schedule that ended before it began, a learning rate of 0, frozen "
        "weights, β = 0, or rows of which nothing is scored.",
        remedy="Print the learning rate's schedule and the number of weights that require gradients; check that "
        "warm-up and steps are counted in the same unit.",
        source="judgement",
        fatal=True,
    ),
    Fault(
        key="loss_zero",
        name="loss 0 from the start",
        columns=("loss",),
        curve="loss",
        rule=_loss_zero,
        evidence="the loss is 0 in all {count} logged rows, the first among them",
        meaning="There was nothing to learn from the first step on: every margin is already huge (log-probs of "
        "another reference), no token is counted, or a filter for NaN writes 0.",
        remedy="Compute the loss of one batch by hand; switch logging_nan_inf_filter off; look at rewards in the "
        "first row, which should be 0.",
        source="judgement",
        fatal=True,
    ),
    Fault(
        key="reference_not_start",
        name="a reference that is not the start",
        columns=("rewards/chosen", "rewards/rejected", "logps/chosen", "logps/rejected"),
        curve="rewards/chosen",
        rule=_reference_not_start,
        evidence="rewards are {chosen:.3g} (chosen) and {rejected:.3g} (rejected) already at step {step:.0f}, where a "
        "policy that starts at its reference has about 0",
        meaning="Policy and reference differed before the first step: another checkpoint, another precision, a chat "
        "template or tokenizer that changed, or cached log-probs of other rows. Margins then measure that too.",
        remedy="Leave the reference out, so that the trainer copies the policy, or recompute its log-probs. If "
        "another reference is what you want, read the rewards' change and not their value.",
        source="judgement; arXiv 2305.18290, section 4, starts at π_ref",
        least=1,
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
        key="evaluation_not_finite",
        name="evaluation not a number",
        columns=("eval_loss",),
        curve="eval_loss",
        rule=_evaluation_not_finite,
        evidence="{names} not finite at step {step:.0f} ({count} of {all} evaluations)",
        meaning="An evaluation row breaks the loss, or the weights had gone by then. A model is not chosen by such "
        "numbers.",
        remedy="If the training rows are finite: look for empty or fully cut responses in the evaluation set, and "
        "evaluate in float32. If they are not: the weights have diverged.",
        source="judgement",
        least=0,
    ),
    Fault(
        key="overfit",
        name="over-fitting by evaluation",
        columns=("eval_loss", "loss"),
        curve="eval_loss",
        rule=_overfit,
        evidence="the evaluation loss was lowest, {best:.3g}, at step {step:.0f} and is {last:.3g} at the end, while "
        "the training loss fell",
        meaning="What is learnt no longer holds on other prompts, or is ever more certain where it is wrong.",
        remedy="Take the checkpoint of the lowest evaluation loss; make fewer passes, a smaller step, or a larger β.",
        source="judgement; arXiv 2406.02900 finds the best checkpoint early",
    ),
    Fault(
        key="spikes",
        name="gradient spikes",
        columns=("grad_norm",),
        curve="grad_norm",
        rule=_spikes,
        evidence="the gradient norm is more than 20 times its usual size in {count} logged rows; the largest, "
        "{largest:.4g} at step {step:.0f}, against {median:.3g} elsewhere",
        meaning="Single batches pull far harder than the rest; clipping keeps their direction and lets them set it.",
        remedy="Look at the rows of that step: very long, empty or damaged responses. Lengthen the warm-up, lower "
        "the learning rate, and clip (max_grad_norm = 1).",
        source="judgement",
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
        least=3,
    ),
    Fault(
        key="by_heart",
        name="learnt by heart",
        columns=("rewards/accuracies", "loss", "rewards/margins"),
        curve="loss",
        rule=_by_heart,
        evidence="training accuracy {accuracy:.3g} at a loss of {loss:.3g}, which began at {start:.3g}{gradient}",
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
        least=THIRDS,
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
