"""``memory``: predict a training step's memory, find the smallest plan that fits, or measure a step."""

from __future__ import annotations

import dataclasses
from dataclasses import fields

from lessons_lib import COMMAND
from lessons_lib.errors import UserError

HELP = "what training needs in memory: predict it, plan a cluster, or measure it on this machine"
EXAMPLE = f"""{COMMAND} memory predict llama-3-8b --method dpo --batch-size 2 --length 2048 --checkpointing
  {COMMAND} memory plan llama-3-70b --method simpo --length 2048 --gpu-memory 80
  {COMMAND} memory measure path/to/config.json --method kto --batch-size 8 --length 256 --device cuda"""
_HELP = {
    "method": "dpo, ipo, kto, orpo or simpo",
    "batch_size": "rows in one forward pass on one GPU: pairs, or single responses for KTO",
    "length": "tokens of a sequence, prompt and response",
    "prompt_length": "of these, tokens of the prompt",
    "precision": "float32, mixed, bfloat16, or nf4 (4-bit weights under LoRA)",
    "lora_rank": "rank of LoRA adapters; 0 trains all weights",
    "checkpointing": "keep only each block's input and compute the block again",
    "reference": "model, or precomputed",
    "rows": "rows of the data set, whose precomputed log-probs stay in memory",
    "optimizer": "adamw, adamw_8bit or sgd",
    "accumulation": "forward passes a step",
    "gpus": "GPUs that train together",
    "sharded": "FSDP full sharding over these GPUs",
    "synchronised": "under FSDP with accumulation, divide gradients after every pass (sync_each_batch)",
    "logits": "full, chunked (TRL's DPO and KTO) or log_softmax",
    "masked": "attention gets a mask for padding (TRL)",
    "packed": "each prompt once, no padding (this project's loop)",
}


def add_arguments(parser) -> None:
    from lessons_lib.memory.architecture import KNOWN
    from lessons_lib.memory.estimate import Setting

    parser.add_argument("action", choices=tuple(_ACTIONS), help="readings: predicted beside measured, as kept here")
    parser.add_argument(
        "model", nargs="?", help=f"{', '.join(KNOWN)}, a config.json, a folder, a Hub id, or a number of weights"
    )
    for field in fields(Setting):
        if field.name in _HELP:
            flag = "--" + field.name.replace("_", "-")
            note = f"{_HELP[field.name]} ({field.default})"
            if isinstance(field.default, bool):
                parser.add_argument(flag, action="store_true", help=_HELP[field.name])
            else:
                parser.add_argument(flag, type=type(field.default), default=field.default, help=note)
    parser.add_argument("--gpu-memory", type=float, default=80, help="of one GPU, in GB of 1e9 bytes (80)")
    parser.add_argument("--max-gpus", type=int, default=64, help="plan: largest cluster to consider (64)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="measure: where (cpu)")
    parser.add_argument(
        "--keep", action="store_true", help="measure: add the reading to the project's file; readings: measure all anew"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(arguments) -> int:
    if arguments.model is None and arguments.action != "readings":
        raise UserError(f"model: expected a model to {arguments.action}, such as llama-3-8b; see --help")
    return _ACTIONS[arguments.action](arguments)


def _predict(arguments) -> int:
    from lessons_lib.memory.estimate import estimate

    _show(estimate(_setting(arguments)), arguments)
    return 0


def _plan(arguments) -> int:
    from lessons_lib.memory.estimate import smallest_plan

    memory = arguments.gpu_memory * 1e9
    tunings = {"all weights": "full", "LoRA": "lora", "LoRA on 4-bit weights": "nf4"}
    plans = {
        name: smallest_plan(_setting(arguments), memory, max_gpus=arguments.max_gpus, tuning=(kind,))
        for name, kind in tunings.items()
    }
    if arguments.json:
        _print_json({name: plan and _summary(plan) for name, plan in plans.items()})
        return 0
    table = _table(
        f"{arguments.model}, {arguments.method}: smallest plan", "trains", "GPUs", "checkpointing", "GB a GPU"
    )
    for name, plan in plans.items():
        cells = ("none fits", "", "")
        if plan:
            cells = (str(plan.setting.gpus), "yes" if plan.setting.checkpointing else "no", _gb(plan.peak_bytes))
        table.add_row(name, *cells)
    _console().print(table)
    _console().print(
        "A reference's log-probs are precomputed. Sharding and 4-bit weights are arithmetic, not measured."
    )
    return 0


def _measure(arguments) -> int:
    from lessons_lib.memory import probe
    from lessons_lib.memory.architecture import KNOWN
    from lessons_lib.models.loading import load_config

    config = KNOWN.get(arguments.model.lower()) or load_config(arguments.model)
    setting = _setting(arguments)
    changed = {f.name: getattr(setting, f.name) for f in fields(setting) if f.name != "model"}
    changed = {f.name: changed[f.name] for f in fields(setting) if f.name != "model" and changed[f.name] != f.default}
    reading = probe.measure(dict(config), changed, device=arguments.device)
    if arguments.keep:
        probe.keep([reading])
    if arguments.json:
        _print_json({**dataclasses.asdict(reading), "predicted_bytes": reading.predicted_bytes})
        return 0
    table = _table(f"One training step on {reading.device}", "", "GB")
    table.add_row("measured", _gb(reading.peak_bytes))
    table.add_row("predicted", f"{_gb(reading.predicted_bytes)}  ({reading.error:+.1%})")
    _console().print(table)
    _console().print(f"Measured: {reading.source}.")
    return 0


def _readings(arguments) -> int:
    from lessons_lib.memory import probe

    kept = probe.readings()
    if arguments.keep:
        kept = [probe.measure(r.config, r.setting, device=arguments.device) for r in kept if r.device == "cpu"]
        probe.keep(kept)
    table = _table("One training step, MB", "model", "setting", "measured", "predicted", "error")
    for row in map(probe.as_row, kept):
        table.add_row(*(str(row[name]) for name in ("model", "setting", "measured_MB", "predicted_MB", "error")))
    _console().print(table)
    return 0


def _setting(arguments):
    from lessons_lib.memory.architecture import llama_like, read_architecture
    from lessons_lib.memory.estimate import Setting

    try:
        model = llama_like(float(arguments.model))
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        model = read_architecture(arguments.model)
    return Setting(model, **{name: getattr(arguments, name) for name in _HELP})


def _show(result, arguments) -> None:
    if arguments.json:
        _print_json(_summary(result))
        return
    model, memory = result.setting.model, arguments.gpu_memory * 1e9
    title = f"{arguments.model} ({model.parameters / 1e9:.3g} B weights), {arguments.method}: GB on one GPU"
    parts = (_HEADINGS.get(name, name.removesuffix("_bytes")) for name in result.peak.as_dict())
    table = _table(title, "moment", *parts, "total", narrow=True)
    for name, parts in result.moments.items():
        cells = [_gb(value) for value in (*parts.as_dict().values(), parts.total_bytes)]
        table.add_row(name, *cells, style="bold" if name == result.peak_moment else None)
    _console().print(table)
    from lessons_lib.memory.estimate import USABLE, fits

    verdict = "fits" if fits(result.setting, memory) else "does not fit"
    _console().print(
        f"Peak {_gb(result.peak_bytes)} GB: {verdict} in {arguments.gpu_memory:g} GB ({USABLE:.0%} of it is usable)."
    )
    _console().print(_trust(model, result.peak_bytes))


def _trust(model, peak: float) -> str:
    """How far the figure can be off, and what it leaves out."""
    if model.exact:
        scores = " Attention scores are counted, which a GPU's fused kernels need not keep." if model.latents else ""
        known = (
            f"{model.family} is an architecture whose readings the calculator is held to, within {model.margin:.0%}."
        )
        return known + scores
    low, high = peak / (1 + model.margin), peak * (1 + model.margin)
    known = "only a number of weights is known" if model.family == "llama" else f"{model.family} is treated like Llama"
    return (
        f"A guess, {_gb(low)} to {_gb(high)} GB: {known}, and no reading stands behind it. "
        f"`{COMMAND} memory measure` takes one."
    )


def _summary(result) -> dict:
    setting = {f.name: getattr(result.setting, f.name) for f in fields(result.setting) if f.name != "model"}
    return {
        "parameters": result.setting.model.parameters,
        "setting": setting,
        "peak_bytes": result.peak_bytes,
        "margin": result.setting.model.margin,
        "peak_moment": result.peak_moment,
        "moments": {name: parts.as_dict() for name, parts in result.moments.items()},
    }


_HEADINGS = {  # over two lines where a column must be narrow
    "gradients_bytes": "gradi-\nents",
    "optimizer_bytes": "opti-\nmizer",
    "reference_bytes": "refer-\nence",
    "activations_bytes": "activ-\nations",
    "workspace_bytes": "work-\nspace",
}
_ACTIONS = {"predict": _predict, "plan": _plan, "measure": _measure, "readings": _readings}


def _gb(size_bytes: float) -> str:
    return f"{size_bytes / 1e9:.3g}" if size_bytes < 999.5e9 else f"{size_bytes / 1e9:,.0f}"


def _print_json(value) -> None:
    import json

    print(json.dumps(value, indent=1))


def _console():
    from rich.console import Console

    return Console()


def _table(title: str, *columns: str, narrow: bool = False):
    """An empty table; a narrow one has no lines between its columns, so that nine of them fit into 80 characters."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    if narrow:
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left")
    return table
