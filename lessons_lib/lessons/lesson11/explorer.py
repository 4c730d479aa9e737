"""Lesson 11's explorer: what fits on a cluster, and the smallest cluster for each method."""

from __future__ import annotations

from functools import cache

from lessons_lib.explorers import Axis, Bars, Explorer, Level, Panel, Readout, Slider
from lessons_lib.memory.architecture import Architecture, llama_like, read_architecture
from lessons_lib.memory.estimate import USABLE, Components, Setting, estimate

KNOWN = {"8 B": "llama-3-8b", "70 B": "llama-3-70b"}
MODELS = ("8 B", "13 B", "30 B", "70 B", "405 B")
TRAIN = {  # what is trained, adapters by their rank (QLoRA: on 4-bit weights): precision and rank
    "all weights": ("mixed", 0),
    "LoRA 16": ("bfloat16", 16),
    "LoRA 128": ("bfloat16", 128),
    "QLoRA 16": ("nf4", 16),
}
RUNS = {"DPO live": ("dpo", "model"), "DPO cached": ("dpo", "precomputed"), "SimPO": ("simpo", "model")}
GPUS = (1, 2, 4, 8, 16, 32, 64)
GPU_GB = (24, 48, 80, 141)  # an RTX 4090, an L40S, an H100, an H200
LENGTH = 2048  # tokens of each sequence; one pair a GPU, activations checkpointed
PARTS = {
    "weights": (("weights",), 0),
    "gradients": (("gradients",), 1),
    "optimizer": (("optimizer",), 2),
    "activations, temporaries": (("activations", "workspace"), 3),
    "logits": (("logits",), 4),
    "reference": (("reference",), "neutral"),
}


@cache
def architecture(model: str) -> Architecture:
    """A published model where there is one of the size, else one of Llama's proportions."""
    return read_architecture(KNOWN[model]) if model in KNOWN else llama_like(float(model.split()[0]) * 1e9)


def setting(run: str, model: str, train: str, gpus: int, sharding: str) -> Setting:
    """One pair a GPU, checkpointing on. Copied: each GPU holds the whole model."""
    method, reference = RUNS[run]
    precision, rank = TRAIN[train]
    return Setting(
        architecture(model),
        method,
        batch_size=1,
        length=LENGTH,
        precision=precision,
        lora_rank=rank,
        checkpointing=True,
        reference=reference,
        gpus=gpus,
        sharded=sharding == "sharded" and gpus > 1,
    )


@cache
def peak(run: str, model: str, train: str, gpus: int, sharding: str) -> Components:
    return estimate(setting(run, model, train, gpus, sharding)).peak


def part_gb(components: tuple[str, ...]):
    """A mark's function: these components on one GPU, in GB of 1e9 bytes, to 4 digits."""

    def gb(run, model, train, gpus, sharding):
        alive = peak(run, model, train, gpus, sharding)
        return float(f"{sum(getattr(alive, f'{name}_bytes') for name in components) / 1e9:.4g}")

    return gb


def usable(gpu_gb: float) -> float:
    """What the calculator lets tensors have of a GPU, in GB."""
    return USABLE * gpu_gb


def smallest(run: str, model: str, train: str, gpu_gb: float) -> int | None:
    """The fewest GPUs, up to 64, on which a sharded run fits; None where none does."""
    counts = range(1, GPUS[-1] + 1)
    fitting = (n for n in counts if peak(run, model, train, n, "sharded").total_bytes / 1e9 <= usable(gpu_gb))
    return next(fitting, None)


def cluster(run: str):
    """A mark's function: the smallest cluster; 128 stands for "more than 64"."""

    def gpus(train, model, gpu_gb):
        return smallest(run, model, train, gpu_gb) or 2 * GPUS[-1]

    return gpus


def verdict(run: str):
    """A readout's function: GB a GPU, and whether they fit."""

    def words(model, train, gpus, sharding, gpu_gb):
        gb = peak(run, model, train, gpus, sharding).total_bytes / 1e9
        return f"{gb:,.0f} GB, {'fits' if gb <= usable(gpu_gb) else 'does not fit'}"

    return words


def does_it_fit() -> Explorer:
    """Model, GPUs, their memory, sharding and adapters over the memory of one GPU, and the smallest clusters."""
    return Explorer(
        name="does-it-fit",
        title="It fits or it does not: choose a cluster, and see what decides",
        sliders=[
            Slider("model", "model, parameters", MODELS, default="70 B"),
            Slider("train", "what is trained", tuple(TRAIN), default="all weights"),
            Slider("gpus", "GPUs", GPUS, default=8, text="d"),
            Slider("gpu_gb", "memory of one GPU (GB)", GPU_GB, default=80, text="d"),
            Slider("sharding", "weights on the GPUs", ("copied", "sharded"), default="sharded"),
        ],
        presets={
            "70 B on one node": {"model": "70 B", "gpus": 8, "gpu_gb": 80, "train": "all weights"},
            "the same with LoRA": {"model": "70 B", "gpus": 8, "gpu_gb": 80, "train": "LoRA 16"},
            "one small GPU": {"model": "8 B", "gpus": 1, "gpu_gb": 24, "train": "QLoRA 16"},
        },
        panels=[
            Panel(
                "One GPU's worst moment, and what it can hold",
                x=Axis("method and its reference", categories=tuple(RUNS)),
                y=Axis("memory on one GPU (GB)"),
                marks=[
                    *(Bars(label, part_gb(names), style) for label, (names, style) in PARTS.items()),
                    Level("usable", usable),
                ],
                stacked=True,
            ),
            Panel(
                "The smallest cluster, sharded, any number of GPUs; 128 means that 64 are too few",
                x=Axis("what is trained", categories=tuple(TRAIN)),
                y=Axis("GPUs"),
                marks=[
                    Bars("DPO live", cluster("DPO live"), "dpo"),
                    Bars("DPO cached, or SimPO", cluster("SimPO"), "simpo"),
                ],
            ),
        ],
        readouts=[
            Readout(
                "On each GPU: DPO with a live reference {live}; with cached log-probs {cached}; SimPO {free}.",
                live=verdict("DPO live"),
                cached=verdict("DPO cached"),
                free=verdict("SimPO"),
            )
        ],
    )
