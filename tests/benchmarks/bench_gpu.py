"""Our trainer beside tuned TRL's on a GPU: tokens a second and peak memory, all five methods.

A model of 135 million parameters (SmolLM2's shape, random weights), bfloat16 autocast, 2,048 pairs of up to 512
tokens, 8 pairs a step or 16 single responses. Each run is a fresh process; the two sides take turns, and medians are
compared. Tokens are those of the sequences that a plain trainer has, prompt and response, without padding, on both
sides: what a side computes once or twice is its own affair. Without a GPU the rows say so, and are open.
"""

from __future__ import annotations

import statistics
from dataclasses import replace

import torch
from peers import Case, alone
from table import Row, print_rows

CASE = Case(shape="135 M", vocabulary=49_152, prompt=(32, 128), response=(64, 384), bf16=True, rows=2048, steps=256)
TARGETS = {"dpo": (1.5, 0.8), "kto": (1.5, 0.8), "orpo": (2.0, 0.6), "simpo": (2.0, 0.6)}  # speed, memory
ROUNDS = 3
WARM_UP = 10  # steps, in which kernels are chosen and memory is taken from the driver


def run() -> list[Row]:
    if not torch.cuda.is_available():
        return [replace(row, measured="no GPU here", ok=None, note="open") for row in _rows_for_methods(None)]
    return _rows_for_methods(CASE)


def _rows_for_methods(case: Case | None) -> list[Row]:
    rows = []
    for method in ("dpo", "ipo", "kto", "orpo", "simpo"):
        sides = compare(replace(case, method=method).with_pairs(8)) if case else {}
        rows += speed_and_memory(method, sides)
    return rows


def compare(case: Case, rounds: int = ROUNDS, warm_up: int = WARM_UP) -> dict[str, tuple[float, float]]:
    """Side to its tokens a second and its peak in GiB: medians over fresh processes, in turn."""
    tokens = sum(case.tokens()[1 + warm_up :])  # the first step has no start to be timed from
    runs: dict[str, list[tuple[float, float]]] = {"trl": [], "ours": []}
    for _ in range(rounds):
        for side, seen in runs.items():
            answer = alone(side, case)
            seen.append((tokens / sum(answer["steps"][warm_up:]), answer["peak_gpu"]))
    return {side: tuple(map(statistics.median, zip(*seen, strict=True))) for side, seen in runs.items()}


def speed_and_memory(method: str, sides: dict[str, tuple[float, float]]) -> list[Row]:
    """A row for each, against the target; without figures where there are no sides."""
    speed, memory = TARGETS.get(method, (None, None))
    ours, trl = sides.get("ours", (0.0, 0.0)), sides.get("trl", (1.0, 1.0))
    faster, leaner = ours[0] / trl[0], ours[1] / trl[1]
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    return [
        Row(
            f"{method}, 135 M, GPU: tokens a second",
            f"{faster:.2f}× TRL's",
            f"at least {speed}×" if speed else "",
            faster >= speed if speed else None,
            f"{ours[0]:,.0f} against {trl[0]:,.0f}, {device}",
        ),
        Row(
            f"{method}, 135 M, GPU: peak memory",
            f"{leaner:.2f} of TRL's",
            f"at most {memory}" if memory else "",
            leaner <= memory if memory else None,
            f"{ours[1]:.2f} against {trl[1]:.2f} GiB, {device}",
        ),
    ]


if __name__ == "__main__":
    print_rows(run(), "gpu")
