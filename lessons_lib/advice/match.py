"""From a preference dataset and a GPU budget to advice: read, profile, see what fits in memory, recommend.

`match(source, …)` is what the command of that name and lessons 9, 11 and 14 run; `report` shows what it answers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lessons_lib import COMMAND
from lessons_lib.advice.decide import Brief, Constraints, Facts, Recommendation, Reference, briefs, recommend
from lessons_lib.data import figures, readers, real
from lessons_lib.data.findings import Profile
from lessons_lib.data.profile import profile
from lessons_lib.errors import UserError
from lessons_lib.memory.estimate import GIB, USABLE, Setting, estimate, smallest_plan
from lessons_lib.methods import METHODS


@dataclass(frozen=True)
class Hardware:
    """The machines at hand, and the training step they are to run.

    Attributes:
        setting: model, length, batch, precision, LoRA, number of GPUs: what `memory.estimate` takes. Its method and
            reference are replaced by each one in turn.
        gpu_memory_bytes: of one GPU.
        fixed_rows: whether all rows are known before training, so that reference log-probs can be precomputed.
    """

    setting: Setting
    gpu_memory_bytes: float
    fixed_rows: bool = True


@dataclass(frozen=True)
class Fit:
    """The predicted peak of one method on one GPU; `reference` is "live", "precomputed" or "none needed"."""

    method: str
    reference: str
    peak_bytes: float
    fits: bool


@dataclass(frozen=True)
class Match:
    """Everything `match` found out; `brief` and `hardware` are None where there is none."""

    source: str
    profile: Profile
    facts: Facts
    recommendation: Recommendation
    brief: Brief | None = None
    hardware: Hardware | None = None
    fits: tuple[Fit, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def as_dict(self) -> dict:
        """Plain dicts, lists and numbers, ready for JSON; holds no text of the dataset."""
        return {
            "source": self.source,
            "brief": self.brief and asdict(self.brief),
            "facts": asdict(self.facts),
            "recommendation": self.recommendation.as_dict(),
            "memory": [{**asdict(fit), "peak_gib": fit.peak_bytes / GIB} for fit in self.fits],
            "notes": self.notes,
            "profile": self.profile.as_dict(),
        }


def match(
    source: str,
    constraints: Constraints | None = None,
    hardware: Hardware | None = None,
    *,
    rows: Iterable[Mapping] | None = None,
    apart_from: Iterable[Mapping] | None = None,
    count_tokens: Callable[[list[str]], list[int]] | None = None,
) -> Match:
    """Measure a dataset and say which method fits it.

    Args:
        source: a file, a Hub id, or the name of one of the real datasets, whose brief then fills in the
            constraints that are not given.
        constraints: checkpoint, reference, passes. A `reference` that is given wins over the hardware's answer.
        hardware: None leaves open what fits.
        rows: the rows, where they are read already; else `open_rows(source)`.
        apart_from, count_tokens: as in `profile`.

    Raises:
        UserError: as `open_rows` and `profile`.
    """
    brief = briefs().get(source)
    given = constraints or Constraints()
    if brief:
        named = {f.name: getattr(given, f.name) for f in dataclasses.fields(given)}
        changed = {name: value for name, value in named.items() if value != getattr(Constraints(), name)}
        given = dataclasses.replace(brief.constraints, **changed)
    measured, said = measure(source, rows, apart_from=apart_from, count_tokens=count_tokens)
    fits: tuple[Fit, ...] = ()
    notes: tuple[str, ...] = said
    if hardware:
        fits = memory_fits(hardware)
        reference, room = room_for_reference(fits, hardware.fixed_rows)
        notes += room
        if not any(fit.fits for fit in fits):
            notes += (what_would_fit(hardware),)
        asked = constraints.reference if constraints else None
        given = dataclasses.replace(given, reference=asked or reference)
    facts = Facts.from_profile(measured, given)
    return Match(source, measured, facts, recommend(facts), brief, hardware, fits, notes)


def measure(
    source: str,
    rows: Iterable[Mapping] | None = None,
    *,
    apart_from: Iterable[Mapping] | None = None,
    count_tokens: Callable[[list[str]], list[int]] | None = None,
) -> tuple[Profile, tuple[str, ...]]:
    """The profile of a dataset, and what to say about it.

    A real dataset whose files cannot be had here has the figures that were once computed from them and committed.
    """
    try:
        rows = open_rows(source) if rows is None else rows
    except UserError as error:
        if source not in real.DATASETS:
            raise
        found = figures.committed(source)
        note = f"These are the figures that the project computed on {found['date']}: the files cannot be had ({error})."
        return found["profile"], (note,)
    return profile(rows, name=source, apart_from=apart_from, count_tokens=count_tokens), ()


def open_rows(source: str, **reading: Any) -> Iterable[Mapping]:
    """The rows of a file, a Hub id, or a real dataset by name, in one of the forms of `judgements`.

    `reading` is what `readers.judgements` takes. Refused rows are left out, counted and reported.
    """
    if source in real.DATASETS:
        return real.judgements(source)
    return readers.judgements(source, **reading)


def expected_rows(source: str) -> int | None:
    """About how many rows a file has, from its first megabyte; None where that cannot be told."""
    path = Path(source)
    if not path.is_file() or path.suffix not in (".jsonl", ".csv", ".tsv"):
        return None
    with path.open("rb") as file:
        head = file.read(1 << 20)
    return round(head.count(b"\n") * path.stat().st_size / max(1, len(head)))


def memory_fits(hardware: Hardware) -> tuple[Fit, ...]:
    """The predicted peak of each method, with each way to have a reference."""
    room, fits = USABLE * hardware.gpu_memory_bytes, []
    for key, method in METHODS.items():
        for reference in ("model", "precomputed") if method.needs_reference else ("precomputed",):
            peak = estimate(dataclasses.replace(hardware.setting, method=key, reference=reference)).peak_bytes
            name = (
                {"model": "live", "precomputed": "precomputed"}[reference] if method.needs_reference else "none needed"
            )
            fits.append(Fit(key, name, peak, peak <= room))
    return tuple(fits)


def room_for_reference(fits: Iterable[Fit], fixed_rows: bool) -> tuple[Reference | None, tuple[str, ...]]:
    """What `Constraints.reference` is on this hardware, and what to say about it."""
    fitting = {(fit.method, fit.reference) for fit in fits if fit.fits}
    if ("dpo", "live") in fitting:
        return "live", ()
    if not any(method == "simpo" for method, _ in fitting):
        note = "Nothing fits as you describe it, with a reference or without, so memory does not choose the method."
        return ("precomputed" if fixed_rows else "none"), (note,)
    if fixed_rows and ("dpo", "precomputed") in fitting:
        note = (
            "A live reference does not fit, its precomputed log-probs do (8 bytes a pair): compute them in one pass "
            "before training. Memory does not force a reference-free method on you."
        )
        return "precomputed", (note,)
    return "none", ("A live reference does not fit, and rows that arrive during training cannot be precomputed.",)


def what_would_fit(hardware: Hardware) -> str:
    """The lightest change of what is trained with which this hardware would do, in words, for DPO."""
    for kind, words in (("lora", "LoRA adapters on bfloat16 weights"), ("nf4", "LoRA adapters on 4-bit weights")):
        setting = dataclasses.replace(hardware.setting, method="dpo")
        plan = smallest_plan(setting, hardware.gpu_memory_bytes, max_gpus=setting.gpus, tuning=(kind,))
        if plan:
            gpus = "one GPU" if plan.setting.gpus == 1 else f"each of {plan.setting.gpus} GPUs, sharded"
            return (
                f"What would fit: {words} (rank {plan.setting.lora_rank}), reference log-probs precomputed: "
                f"{plan.peak_bytes / GIB:.1f} GiB on {gpus}. `{COMMAND} memory plan` shows more."
            )
    return f"Not even LoRA on 4-bit weights would fit; `{COMMAND} memory plan` says how many GPUs it takes."


def hardware_of(
    model: str | None,
    parameters: float | None,
    *,
    gpus: int = 1,
    gpu_memory_gb: float = 80,
    fixed_rows: bool = True,
    **setting: Any,
) -> Hardware | None:
    """Hardware from what a command line says; None where neither a model nor its size is given.

    Args:
        model: anything `architecture.read_architecture` takes. parameters: or a number of weights, of Llama's shape.
        gpus: sharded (FSDP) where there are several. gpu_memory_gb: of one, in units of 1e9 bytes.
        setting: further fields of `memory.estimate.Setting`.
    """
    from lessons_lib.memory.architecture import llama_like, read_architecture

    if model is None and parameters is None:
        return None
    if gpu_memory_gb <= 0 or (parameters is not None and parameters < 1e6):
        raise UserError("--params is a number of weights such as 7e9, and --gpu-memory GB of one GPU, such as 80")
    architecture = read_architecture(model) if model else llama_like(parameters or 0)
    plan = Setting(architecture, gpus=gpus, sharded=gpus > 1, checkpointing=True, logits="chunked", **setting)
    return Hardware(plan, gpu_memory_gb * 1e9, fixed_rows)
