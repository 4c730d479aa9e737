"""The lab's own hyper-parameters: one table, a reason each.

A model of 46 thousand parameters trains for a few hundred steps, with learning rates a thousand times those of the
papers, and some strengths leave the papers' ranges (`lessons_lib.methods` has those). `SETTINGS` holds starting
points from short trials, each named as such, so nothing may be said from them of which method is best. The benchmark
compares the methods at settings of its own, searched for: `lessons_lib.benchmark.choices`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from lessons_lib.training.config import TrainConfig


@dataclass(frozen=True)
class StartingPoint:
    """How to run one method in the lab: by default, from an SFT checkpoint through 1,000 pairs twice.

    Attributes:
        method: a key of `METHODS`, or "sft".
        hyperparameters: the loss's own, by name.
        learning_rate: its peak.
        reason: why these.
        pairs: preference pairs to train on; for KTO, half as many as single replies.
        max_steps: the run's length instead of two passes over the data.
        start: the checkpoint that training begins at: "sft" (any of the three) or "base".
    """

    method: str
    hyperparameters: Mapping[str, float]
    learning_rate: float
    reason: str = ""
    pairs: int = 1000
    max_steps: int | None = None
    start: str = "sft"

    @property
    def config(self) -> TrainConfig:
        """The run's configuration; change a field with ``dataclasses.replace(setting.config, seed=1)``."""
        return TrainConfig(
            hyperparameters=dict(self.hyperparameters),
            learning_rate=self.learning_rate,
            max_steps=self.max_steps,
            batch_size=32 if self.method == "kto" else 16,  # 32 single replies, as many as 16 pairs have
            append_eos=False,  # the lab's replies have their <eos> in the text, where they have one
        )


_TRIED = "a starting point from short trials in such a world; not yet searched"
SETTINGS: Mapping[str, StartingPoint] = MappingProxyType(
    {
        "dpo": StartingPoint("dpo", {"beta": 0.5}, 2e-4, _TRIED),
        "ipo": StartingPoint("ipo", {"tau": 0.1}, 4e-4, _TRIED),
        "kto": StartingPoint("kto", {"beta": 0.5}, 7e-4, _TRIED),
        "orpo": StartingPoint("orpo", {"lam": 3.0}, 7e-4, _TRIED),
        "simpo": StartingPoint("simpo", {"beta": 5.0, "gamma": 1.0}, 2e-4, _TRIED),
        "orpo_from_base": StartingPoint("orpo", {"lam": 0.5}, 3e-3, _TRIED, pairs=2000, max_steps=350, start="base"),
    }
)
