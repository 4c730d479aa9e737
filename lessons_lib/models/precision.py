"""Whether a machine computes well in bfloat16: asked of the machine, by one small multiplication.

Processors differ by a factor of 40: with matrix instructions for bfloat16 it is twice as fast as float32 or more,
without them 36 times slower. Names of processors tell this badly; a few milliseconds of trying tell it well.
"""

from __future__ import annotations

import time
from functools import lru_cache

SIZE, TURNS = 512, 5
WORTH = 0.8  # of float32's time: conversions around the multiplications must be paid for


@lru_cache(maxsize=4)
def bf16_pays(device: str = "cpu") -> bool:
    """Whether to compute in bfloat16 there: on a CPU where a small matrix product says so, on a GPU that has it."""
    import torch

    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return kind == "cpu" and _seconds(torch.bfloat16) < WORTH * _seconds(torch.float32)


def _seconds(dtype) -> float:
    """The shortest of a few turns of one product: what else the machine does lengthens the others."""
    import torch

    x = torch.ones(SIZE, SIZE, dtype=dtype)
    x @ x  # the first makes ready
    taken = []
    for _ in range(TURNS):
        start = time.perf_counter()
        x @ x
        taken.append(time.perf_counter() - start)
    return min(taken)
