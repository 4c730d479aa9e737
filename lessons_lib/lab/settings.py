"""The lab's own hyper-parameters: one table, a reason each.

A model of 46 thousand parameters trains for a few hundred steps, with learning rates a thousand times those of the
papers, and some strengths leave the papers' ranges (`lessons_lib.methods` has those). `SETTINGS` holds starting
points from short trials, each named as such. `SEARCHES` holds the grids that are to replace them: `lab tune` takes
the best point of each by gold reward on *validation* prompts, with the same budget for every method. Its run to the
end (about 20 minutes on two cores) is still to be made, so nothing may be said from these settings of which method is
best. The benchmark compares the methods at settings of its own, searched for runs a quarter as long:
`lessons_lib.benchmark.choices`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from lessons_lib.train_config import TrainConfig


@dataclass(frozen=True)
class Setting:
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
SETTINGS: Mapping[str, Setting] = MappingProxyType(
    {
        "dpo": Setting("dpo", {"beta": 0.5}, 2e-4, _TRIED),
        "ipo": Setting("ipo", {"tau": 0.1}, 4e-4, _TRIED),
        "kto": Setting("kto", {"beta": 0.5}, 7e-4, _TRIED),
        "orpo": Setting("orpo", {"lam": 3.0}, 7e-4, _TRIED),
        "simpo": Setting("simpo", {"beta": 5.0, "gamma": 1.0}, 2e-4, _TRIED),
        "orpo_from_base": Setting("orpo", {"lam": 0.5}, 3e-3, _TRIED, pairs=2000, max_steps=350, start="base"),
    }
)


@dataclass(frozen=True)
class Search:
    """The grid that a setting was chosen from: every strength with every learning rate."""

    method: str
    strengths: tuple[Mapping[str, float], ...]
    learning_rates: tuple[float, ...] = (1e-4, 2e-4, 4e-4, 7e-4, 1.4e-3)
    pairs: int = 1000
    max_steps: int | None = None
    start: str = "sft"

    def points(self) -> list[Setting]:
        """The settings of the grid, ten or, for a method without a strength, five."""
        return [
            Setting(self.method, strength, rate, pairs=self.pairs, max_steps=self.max_steps, start=self.start)
            for strength, rate in itertools.product(self.strengths, self.learning_rates)
        ]


_BASE_RATES = (1e-3, 2e-3, 4e-3, 7e-3, 1e-2)
SEARCHES: Mapping[str, Search] = MappingProxyType(
    {
        "dpo": Search("dpo", ({"beta": 0.1}, {"beta": 0.5})),
        "ipo": Search("ipo", ({"tau": 0.1}, {"tau": 0.5})),
        "kto": Search("kto", ({"beta": 0.1}, {"beta": 0.5})),
        "orpo": Search("orpo", ({"lam": 1.0}, {"lam": 3.0})),
        "simpo": Search("simpo", ({"beta": 2.0, "gamma": 1.0}, {"beta": 5.0, "gamma": 1.0})),
        # As many responses go through the model: two for each of ORPO's pairs, one for each of SFT's.
        "orpo_from_base": Search("orpo", ({"lam": 0.5}, {"lam": 1.0}), _BASE_RATES, 2000, max_steps=350, start="base"),
        "sft_from_base": Search("sft", ({},), _BASE_RATES, 2000, max_steps=700, start="base"),
    }
)
