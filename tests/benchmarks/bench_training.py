"""Our trainer beside tuned TRL's on a CPU: steps of four methods, start-up, memory, and the distance to the floor.

What both sides do, and how TRL is tuned, stands in `peers`. Steps are timed in turn in one process, in CPU time of
one thread, and compared by their medians: a busy machine slows both. Start-up and memory are those of fresh
processes. In random order the batches of both sides hold the same rows; ours sorted hold rows of like length.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import partial

import torch
from peers import Case, Ours, Theirs, alone
from table import Row, print_rows
from torch.profiler import ProfilerActivity, profile

from lessons_lib.training.packing import pack_rows

SIZES = ("1.1 M", "10 M")
STEPS = {"1.1 M": 20, "10 M": 6}  # of each round
ROUNDS = 4  # of turns: a busy minute that meets one side alone weighs less
TARGETS = {"random": {"1.1 M": 1.8, "10 M": 1.6}, "sorted": {"1.1 M": 2.1, "10 M": 1.9}}
FLOOR = {"1.1 M": 2.1, "10 M": 1.4}
MEMORY = {"1.1 M": 0.75, "10 M": 0.85}
AGREED = 1e-4
OPERATORS = {  # parts of their names in PyTorch's profile
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm"),
    "attention": ("_scaled_dot_product_flash_attention_for_cpu",),
    "AdamW": ("Optimizer.step", "_fused_adamw_"),
}


def run() -> list[Row]:
    torch.set_num_threads(1)
    rows = []
    for row in measured():
        print(f"  {row.what}: {row.measured}", file=sys.stderr, flush=True)  # it takes minutes
        rows.append(row)
    return rows


def measured() -> Iterator[Row]:
    for case, note in _agreeing():
        yield _agreement(case, note)
    for size in SIZES:
        for method in ("dpo", "kto", "orpo", "simpo"):
            yield from _steps(_case(method, size), ("random", "sorted") if method == "dpo" else ("random",))
    yield from _alone()


def _case(method: str, size: str, **changes) -> Case:
    """8 pairs a step, or as many single responses."""
    return Case(**{"method": method, "shape": size, "steps": STEPS[size], **changes}).with_pairs(8)


def _agreeing() -> list[tuple[Case, str]]:
    """Runs on which both sides have one definition of the loss."""
    same = "same batches"
    return [
        (_case("dpo", "1.1 M"), same),
        (_case("dpo", "10 M", steps=20), same),
        (_case("kto", "1.1 M"), f"{same}, the same mismatched pairs"),
        (_case("simpo", "1.1 M"), f"{same}; TRL with cpo_alpha=0, which takes its NLL term away"),
        (
            _case("orpo", "1.1 M", prompt=(1, 1), response=(30, 30)),
            f"{same}; prompts of one token and responses of one length, because TRL's NLL counts the prompt too "
            f"and weighs tokens, ours counts the response and weighs rows: elsewhere they are different losses",
        ),
    ]


def _agreement(case: Case, note: str) -> Row:
    apart = max(abs(a - b) for a, b in zip(Ours(case).losses(), Theirs(case).losses(), strict=True))
    what = f"{case.method}, {case.shape}: losses of the first {case.steps} steps, ours and TRL's"
    return Row(what, f"{apart:.1e} apart", f"at most {AGREED:g}", apart <= AGREED, note)


def _steps(case: Case, orders: tuple[str, ...]) -> list[Row]:
    """A step's CPU time against TRL's; for DPO compiled, and against its own floor, too."""
    ours, theirs = Ours(case), Theirs(case)
    turns = {"trl": theirs.step_seconds, **{order: partial(ours.step_seconds, order) for order in orders}}
    if case.method == "dpo":
        turns["compiled"] = Ours(replace(case, compile=True)).step_seconds
        turns["compiled"]()  # compiling is no step
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    rates = []
    for _ in range(ROUNDS):
        rates.append(_matmul_rate())
        for name, turn in turns.items():
            seconds[name] += turn()
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    rows = [_ratio(case, order, medians, ours) for order in orders]
    if case.method == "dpo":
        rows += [_compiled(case, medians), _floor(case, medians, statistics.median(rates))]
    return rows


def _ratio(case: Case, order: str, medians: dict[str, float], ours: Ours | None) -> Row:
    ratio, target = medians["trl"] / medians[order], TARGETS[order][case.shape]
    note = f"{1000 * medians[order]:.0f} against {1000 * medians['trl']:.0f} CPU-ms; TRL's batches random, ours {order}"
    if ratio < target:
        note += f"; our step: {where_time_goes(ours, order)}"
    if order == "sorted":
        note += "; packed rows have no padding, so sorting shortens attention alone"
    what = f"{case.method}, {case.shape}: step, ours {order}"
    return Row(what, f"{ratio:.2f}× TRL's speed", f"at least {target}×", ratio >= target, note)


def _compiled(case: Case, medians: dict[str, float]) -> Row:
    gain, ratio = (medians[other] / medians["compiled"] for other in ("random", "trl"))
    note = f"{1000 * medians['compiled']:.0f} CPU-ms, {gain:.2f}× our step as it comes; compile=True, batches random"
    return Row(f"{case.method}, {case.shape}: step, ours compiled", f"{ratio:.2f}× TRL's speed", note=note)


def where_time_goes(ours: Ours, order: str) -> str:
    """The shares of our step's operators, by a profile: why a target is missed."""
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        ours.step_seconds(order)
    own = {event.key: event.self_cpu_time_total for event in seen.key_averages()}
    shares = {
        name: sum(time for key, time in own.items() if any(part in key for part in parts)) / sum(own.values())
        for name, parts in OPERATORS.items()
    }
    told = ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items())
    return f"{told}, other operators {100 * (1 - sum(shares.values())):.0f} %"


def _floor(case: Case, medians: dict[str, float], rate: float) -> Row:
    own, trl = (flops(case, side) / rate for side in ("ours", "trl"))
    ratio, target = medians["random"] / own, FLOOR[case.shape]
    note = f"{rate / 1e9:.0f} GFLOP/s in a large matmul of this run; TRL over its own floor: {medians['trl'] / trl:.2f}"
    what = f"{case.method}, {case.shape}: own step over own FLOP floor"
    return Row(what, f"{ratio:.2f}", f"at most {target}", ratio <= target, note)


def _matmul_rate(size: int = 1024, times: int = 3) -> float:
    """Floating-point operations a CPU second, where nothing but a multiplication of large matrices is done."""
    a, b = torch.ones(size, size), torch.ones(size, size)
    a @ b
    start = time.process_time()
    for _ in range(times):
        a @ b
    return times * 2 * size**3 / (time.process_time() - start)


def flops(case: Case, side: str) -> float:
    """Of a mean step of DPO: multiplications and additions that its tokens need, forward once and backward twice.

    Ours are those of the packed row, each prompt once; TRL's those of every pair's two sequences. Neither counts
    padding, and both count logits at response positions only.
    """
    config = case.model().config
    width, layers = config.hidden_size, config.num_hidden_layers
    block = 4 * width**2 + 3 * width * config.intermediate_size  # multiplications for each token
    rows, batches = case.batches()
    total = 0
    for batch in batches:
        packed = pack_rows(rows.select(batch.rows))
        places = packed.position_ids[0] + 1  # of each token: as many tokens as it attends to
        if side == "trl":
            second = [torch.arange(1, len(rows.prompts[row]) + 1) for row in batch.rows]
            places = torch.cat([places, *second])
        total += 6 * (block * layers * len(places) + width * case.vocabulary * len(packed.targets))
        total += 12 * layers * width * places.sum().item()
    return total / len(batches)


@dataclass(frozen=True)
class Side:
    """What the fresh processes of one side took."""

    first_step: float
    peak: float
    shared_seconds: float
    shared_peak: float


def _alone() -> Iterator[Row]:
    """Start-up and peak memory of fresh processes, in turn."""
    for size, case, times in (
        ("1.1 M", replace(_case("dpo", "1.1 M"), steps=10, rows=512), 2),
        ("10 M", replace(_case("dpo", "10 M"), steps=4), 1),
    ):
        runs = [(alone("trl", case), alone("ours", case)) for _ in range(times)]
        trl, ours = (
            Side(*(statistics.median(run[field.name] for run in side) for field in fields(Side)))
            for side in zip(*runs, strict=True)
        )
        if case.rows:
            yield _start_up(ours, trl, case.rows, times)
        yield _memory(ours, trl, size)


def _start_up(ours: Side, trl: Side, pairs: int, times: int) -> Row:
    ratio = ours.first_step / trl.first_step
    note = (
        f"{ours.first_step:.1f} against {trl.first_step:.1f} CPU-s, {pairs} pairs with precomputed reference; on both "
        f"sides {ours.shared_seconds:.1f} of them import PyTorch and transformers' Llama; medians of {times}"
    )
    return Row("dpo, 1.1 M: start-up to the first step", f"{ratio:.2f} of TRL's", "at most 0.5", ratio <= 0.5, note)


def _memory(ours: Side, trl: Side, size: str) -> Row:
    what, target = f"dpo, {size}: peak memory", MEMORY[size]
    if math.isnan(ours.peak):
        return Row(what, "not measured", f"at most {target}", note="needs Linux")
    ratio = ours.peak / trl.peak
    note = (
        f"{ours.peak:.0f} against {trl.peak:.0f} MiB of the whole process; on both sides {ours.shared_peak:.0f} of "
        f"them are PyTorch's and transformers' own code"
    )
    return Row(what, f"{ratio:.2f} of TRL's", f"at most {target}", ratio <= target, note)


if __name__ == "__main__":
    print_rows(run(), "training")
