"""Checks of exercise 11: the size of a cluster, a plan for 70 B, the cheapest of many plans."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from lessons_lib.errors import UserError
from lessons_lib.grading.verdict import Mistake, Verdict, check_numbers
from lessons_lib.memory.architecture import read_architecture
from lessons_lib.memory.estimate import USABLE, Setting, estimate, fits

GPU_BYTES = 80e9
FREE = {"gpus": int, "sharded": bool, "checkpointing": bool, "reference": str, "lora_rank": int, "precision": str}
LARGEST = 4096  # GPUs of a plan


def gpus_needed(parameters, bytes_per_weight, fixed_gb, gpu_gb):
    """The fewest GPUs whose usable memory holds a share of what stays, and the fixed part whole."""
    return math.ceil(parameters * bytes_per_weight / 1e9 / (USABLE * gpu_gb - fixed_gb))


def check_gpus_needed(function: Callable) -> Verdict:
    """Check ``function(parameters, bytes_per_weight, fixed_gb, gpu_gb)``: the fewest GPUs of a sharded run."""

    def wrong(usable=USABLE, fixed="kept", rounded=math.ceil, scale=1e9):
        def answer(n, b, f, g):
            total = n * b / scale + (f if fixed == "divided" else 0)
            return rounded(total / (usable * g - (f if fixed == "kept" else 0)))

        return answer

    mistakes = (
        Mistake("the fixed part divided", wrong(fixed="divided"), "every GPU needs all of `fixed_gb`: take it off what "
                "one GPU has"),
        Mistake("the fixed part forgotten", wrong(fixed="none"), "activations and gathered layers need room as well"),
        Mistake("all of the GPU used", wrong(usable=1), "a tenth of a GPU is context and fragments: use 0.9"),
        Mistake("rounded down", wrong(rounded=math.floor), "one GPU too few does not fit: round up"),
        Mistake("not rounded", wrong(rounded=lambda x: x), "GPUs are whole: round up with math.ceil"),
        Mistake("rounded to the nearest", wrong(rounded=round), "below the half this is one GPU too few: round up"),
        Mistake("GiB", wrong(scale=2**30), "GB are 1e9 bytes here"),
        Mistake("inference", lambda n, b, f, g: math.ceil(n * 2 / 1e9 / (USABLE * g)), "use `bytes_per_weight`"),
    )  # fmt: skip
    cases = [(70.55e9, 18, 12, 80), (70.55e9, 16, 12, 141), (2e9, 16, 50, 80), (8e9, 18, 6, 24)]
    return check_numbers(function, gpus_needed, mistakes, cases)


def planned(plan: dict) -> Setting:
    """The setting that a plan spells, with what the task fixes: DPO on 70 B, one pair of 2,048 tokens a GPU.

    Raises:
        UserError: for a choice that is none of `FREE`, or has another type.
    """
    unknown = sorted(set(plan) - set(FREE))
    if unknown:
        raise UserError(f"plan: expected only {', '.join(FREE)}, got {', '.join(map(str, unknown))}")
    for name, value in plan.items():
        if type(value) is not FREE[name] or (name in ("gpus", "lora_rank") and value > LARGEST):
            most = f" of at most {LARGEST}" if FREE[name] is int else ""
            raise UserError(f"{name}: expected a value of type {FREE[name].__name__}{most}, got {value!r:.40}")
    return Setting(read_architecture("llama-3-70b"), "dpo", batch_size=1, length=2048, rows=100_000, **plan)


def plan_score(plan: object) -> tuple[float, str]:
    """The share of the points that a plan for training *all* weights earns, and why."""
    if not isinstance(plan, dict) or not plan:
        return 0.0, f"expected a dictionary of choices, got {type(plan).__name__}; keys are {', '.join(FREE)}"
    try:
        setting = planned(plan)
        peak = estimate(setting).peak_bytes
    except UserError as error:
        return 0.0, str(error)
    if setting.lora_rank:
        return 0.0, "likely cause: adapters: this plan trains LoRA; the task asks for all weights"
    if setting.precision != "mixed":
        return 0.0, f"likely cause: precision {setting.precision}: the task keeps float32 weights: precision 'mixed'"
    told = f"{setting.gpus} GPUs, {peak / 1e9:.1f} GB on each of {USABLE * GPU_BYTES / 1e9:.0f} usable"
    if not fits(setting, GPU_BYTES):
        return 0.0, f"{told}: it does not fit{_advice(setting)}"
    best = fewest_gpus()
    if setting.gpus > best:
        return 0.5, f"{told}: it fits, and so would fewer GPUs{_advice(setting)}"
    return 1.0, f"{told}: it fits, and no smaller number does"


def _advice(setting: Setting) -> str:
    """The first choice that still wastes memory."""
    if setting.gpus > 1 and not setting.sharded:
        return "; likely cause: copies: without sharding each GPU holds the whole model"
    if setting.reference == "model":
        return "; likely cause: a live reference: its log-probs can be precomputed"
    if not setting.checkpointing:
        return "; likely cause: activations: checkpointing is off"
    return "; try other numbers of GPUs"


def fewest_gpus() -> int:
    """The answer: the fewest GPUs for all weights, by the calculator."""
    plans = (planned({"gpus": n, "sharded": True, "checkpointing": True, "reference": "precomputed"})
             for n in range(2, 129))  # fmt: skip
    return next(plan.gpus for plan in plans if fits(plan, GPU_BYTES))


def check_plan(plan: object) -> Verdict:
    """Check the plan for 70 B: it must fit, on the fewest GPUs."""
    share, told = plan_score(plan)
    return Verdict(share == 1, told)


def cheapest(plans: Sequence[dict]) -> int:
    """The place of the plan with the lowest price among those that fit: GPUs × hours × price of a GPU-hour."""
    fitting = [i for i, plan in enumerate(plans) if plan["peak_gb"] <= USABLE * plan["gpu_gb"]]
    return min(fitting, key=lambda i: plans[i]["gpus"] * plans[i]["hours"] * plans[i]["price"])


def check_cheapest(function: Callable) -> Verdict:
    """Check ``function(plans)``: the place, from 0, of the cheapest plan that fits."""

    def by(key, usable=USABLE):
        def answer(plans):
            fitting = [i for i, plan in enumerate(plans) if plan["peak_gb"] <= usable * plan["gpu_gb"]]
            return min(fitting, key=lambda i: key(plans[i]))

        return answer

    def cost(plan):
        return plan["gpus"] * plan["hours"] * plan["price"]

    mistakes = (
        Mistake("what does not fit", by(cost, math.inf), "leave out plans whose peak is above what is usable"),
        Mistake("all of the GPU used", by(cost, 1), "of a GPU's memory 0.9 is usable"),
        Mistake("fewest GPUs", by(lambda p: p["gpus"]), "the smallest cluster is not always the cheapest"),
        Mistake("fastest", by(lambda p: p["hours"]), "compare prices, not hours"),
        Mistake("price of a GPU-hour", by(lambda p: p["price"]), "multiply by GPUs and by hours"),
        Mistake("GPUs forgotten", by(lambda p: p["hours"] * p["price"]), "each GPU is paid for each hour"),
        Mistake("hours forgotten", by(lambda p: p["gpus"] * p["price"]), "each GPU is paid for each hour"),
        Mistake("GPU-hours", by(lambda p: p["gpus"] * p["hours"]), "a GPU-hour has another price on each machine"),
        Mistake("dearest", by(lambda p: -cost(p)), "the lowest price was asked for"),
    )
    return check_numbers(function, cheapest, mistakes, [(plans,) for plans in _PLANS])


def _plan(gpus, gpu_gb, peak_gb, hours, price) -> dict:
    return {"gpus": gpus, "gpu_gb": gpu_gb, "peak_gb": peak_gb, "hours": hours, "price": price}


# Two lists on which no two of the mistakes above name the same plans, and none names the right ones.
_PLANS = (
    [_plan(1, 141, 85, 12, 3.6), _plan(2, 141, 85, 8, 4.68), _plan(32, 141, 169, 60, 4.68), _plan(4, 80, 48, 36, 2.4),
     _plan(1, 80, 68, 12, 1.92), _plan(8, 24, 20, 36, 0.5)],
    [_plan(4, 48, 46, 12, 0.9), _plan(16, 80, 60, 8, 2.4), _plan(4, 24, 29, 3, 0.65), _plan(16, 24, 23, 8, 0.4),
     _plan(16, 80, 68, 5, 2.4), _plan(2, 141, 134, 5, 4.68)],
)  # fmt: skip
