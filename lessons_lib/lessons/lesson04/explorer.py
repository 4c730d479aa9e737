"""Lesson 4's explorer: where a training step's memory goes, and how little of it the second copy is."""

from __future__ import annotations

from functools import cache

from lessons_lib.explorers import Axis, Bars, Explorer, Panel, Readout, Slider
from lessons_lib.memory.architecture import Architecture, read_architecture
from lessons_lib.memory.estimate import Components, Setting, estimate

MODELS = {"135 M": "smollm2-135m", "0.5 B": "qwen2.5-0.5b", "8 B": "llama-3-8b", "70 B": "llama-3-70b"}
PRECISIONS = {"float32": "float32", "mixed bf16": "mixed", "pure bf16": "bfloat16"}
OPTIMIZERS = {"AdamW": "adamw", "AdamW 8-bit": "adamw_8bit"}
RANKS = {"all weights": 0, "LoRA, rank 16": 16}
LIVE, CACHED, FREE = "DPO live", "DPO cached", "SimPO"
RUNS = {  # method and reference behind each bar
    LIVE: ("dpo", "model"),
    CACHED: ("dpo", "precomputed"),
    FREE: ("simpo", "model"),
    "KTO live": ("kto", "model"),
}
PAIRS = 100_000  # whose precomputed log-probs are counted
PARTS = {  # label: the components it adds up, and its style
    "weights": (("weights",), 0),
    "gradients": (("gradients",), 1),
    "optimizer": (("optimizer",), 2),
    "activations, temporaries": (("activations", "workspace"), 3),
    "logits": (("logits",), 4),
    "reference": (("reference",), "neutral"),
}


@cache
def _architecture(model: str) -> Architecture:
    return read_architecture(MODELS[model])


@cache
def peak(run: str, model: str, precision: str, optimizer: str, train: str, pairs: int, length: int) -> Components:
    """What is alive at the worst moment of a step; KTO's batch holds as many responses as the pairs have."""
    method, reference = RUNS[run]
    setting = Setting(
        _architecture(model),
        method,
        batch_size=pairs * (2 if method == "kto" else 1),
        length=length,
        prompt_length=length // 2,
        precision=PRECISIONS[precision],
        lora_rank=RANKS[train],
        reference=reference,
        rows=PAIRS,
        optimizer=OPTIMIZERS[optimizer],
    )
    return estimate(setting).peak


def part_gb(components: tuple[str, ...]):
    """A mark's function: these components of a run's peak, in GB of 1e9 bytes, to 4 digits."""

    def gb(run, model, precision, optimizer, train, pairs, length):
        alive = peak(run, model, precision, optimizer, train, pairs, length)
        return float(f"{sum(getattr(alive, f'{name}_bytes') for name in components) / 1e9:.4g}")

    return gb


def total_gb(run: str):
    """A readout's function: a run's peak in GB, as text."""

    def gb(model, precision, optimizer, train, pairs, length):
        total = peak(run, model, precision, optimizer, train, pairs, length).total_bytes / 1e9
        return f"{total:,.0f}" if total >= 100 else f"{total:.3g}"

    return gb


def saving(model, precision, optimizer, train, pairs, length) -> str:
    """The share of the live run's peak that goes away with the live reference, as text."""
    live, cached = (peak(run, model, precision, optimizer, train, pairs, length) for run in (LIVE, CACHED))
    return f"{max(0, 1 - cached.total_bytes / live.total_bytes):.0%}"  # LoRA: the log-probs weigh a little


def memory_terms() -> Explorer:
    """Model, precision, optimizer, adapters, batch and length over the stacked memory of four kinds of run."""
    return Explorer(
        name="memory-terms",
        title="The reference is one slice of the memory, and rarely the largest: see which ones are",
        sliders=[
            Slider("model", "model, parameters", tuple(MODELS), default="8 B"),
            Slider("precision", "precision", tuple(PRECISIONS), default="mixed bf16"),
            Slider("optimizer", "optimizer", tuple(OPTIMIZERS), default="AdamW"),
            Slider("train", "what is trained", tuple(RANKS), default="all weights"),
            Slider("pairs", "pairs in one pass", (1, 2, 4, 8, 16), default=1, text="d"),
            Slider("length", "tokens a sequence", (512, 1024, 2048, 4096), default=2048, text=",d"),
        ],
        presets={
            "one pair, all weights": {"train": "all weights", "pairs": 1},
            "the same with LoRA": {"train": "LoRA, rank 16", "pairs": 1},
            "16 pairs": {"train": "all weights", "pairs": 16},
        },
        panels=[
            Panel(
                "Each bar is the worst moment of one training step",
                x=Axis("method and its reference (IPO is as DPO, ORPO as SimPO)", categories=tuple(RUNS)),
                y=Axis("memory on one device (GB)"),
                marks=[Bars(label, part_gb(names), style) for label, (names, style) in PARTS.items()],
                stacked=True,
            )
        ],
        readouts=[
            Readout(
                "With a live reference DPO peaks at {live} GB, with cached log-probs at {cached} GB: "
                "{saving} less. SimPO needs {free} GB.",
                live=total_gb(LIVE),
                cached=total_gb(CACHED),
                saving=saving,
                free=total_gb(FREE),
            )
        ],
    )
