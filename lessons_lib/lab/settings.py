"""The lab's own hyper-parameters: one table for the lessons' studies.

A model of 46 thousand parameters trains for a few hundred steps, with learning rates a thousand times those of the
papers, and some strengths leave the papers' ranges (`lessons_lib.methods` has those). These are starting points from
short trials and were never searched, so nothing may be said from them of which method is best. The benchmark compares
the methods at settings of its own, searched for: `lessons_lib.benchmark.choices`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType


def _point(learning_rate: float, **hyperparameters: float) -> Mapping[str, object]:
    return MappingProxyType({"hyperparameters": hyperparameters, "learning_rate": learning_rate})


# For each method, fields of `TrainConfig`: from an SFT checkpoint, or for "orpo_from_base" from the base model.
SETTINGS: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {
        "dpo": _point(2e-4, beta=0.5),
        "ipo": _point(4e-4, tau=0.1),
        "kto": _point(7e-4, beta=0.5),
        "orpo": _point(7e-4, lam=3.0),
        "simpo": _point(2e-4, beta=5.0, gamma=1.0),
        "orpo_from_base": _point(3e-3, lam=0.5),
    }
)
