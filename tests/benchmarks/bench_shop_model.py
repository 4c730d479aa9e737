"""A step on a model of the shop's size, 135 million weights, beside tuned TRL's: five methods, and peak memory.

The weights are random, the shape is SmolLM2's, and lengths are like the shop's: prompts of 45 to 60 tokens, replies of
8 to 40, 8 pairs a step. Both sides compute in bfloat16 where the machine does that well. Each run is a fresh process,
ours and TRL's in turn; a step is the median of its steps but the first, in CPU time of one thread.
"""

from __future__ import annotations

import statistics
import sys

from peers import Case, alone
from table import Row, print_rows

from lessons_lib.models.precision import bf16_pays

METHODS = ("dpo", "ipo", "kto", "orpo", "simpo")
STEPS = 4
VOCABULARY = 49_152


def run() -> list[Row]:
    rows = []
    for method in METHODS:
        rows += _beside_trl(method, bf16_pays())
        print(f"  {rows[-2].what}: {rows[-2].measured}", file=sys.stderr, flush=True)  # it takes minutes
    return rows


def _beside_trl(method: str, bf16: bool) -> list[Row]:
    case = Case(method, "135 M", STEPS, vocabulary=VOCABULARY, prompt=(45, 60), response=(8, 40), bf16=bf16).with_pairs(
        8
    )
    ours, theirs = alone("ours", case), alone("trl", case)
    step, trl = (statistics.median(side["steps"]) for side in (ours, theirs))
    precision = "bfloat16" if bf16 else "float32"
    speed = f"{step:.1f} against {trl:.1f} CPU-s in {precision}, 8 pairs a step, median of {STEPS - 1} steps"
    memory = f"{ours['peak'] / 1024:.2f} against {theirs['peak'] / 1024:.2f} GiB of the whole process"
    return [
        Row(f"{method}, 135 M: step", f"{trl / step:.2f}× TRL's speed", note=speed),
        Row(f"{method}, 135 M: peak memory", f"{ours['peak'] / theirs['peak']:.2f} of TRL's", note=memory),
    ]


if __name__ == "__main__":
    print_rows(run(), "shop model")
