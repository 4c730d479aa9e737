"""Lesson 2's pictures: what the training log shows, and what it hides."""

from __future__ import annotations

import pandas as pd

from lessons_lib import plots
from lessons_lib.lab import studies
from lessons_lib.lessons.lesson02.explorer import STEPS_A_PASS, honest_ceiling

X_LABEL = "passes over the data"
DRAWS = "checkpoints"


def _passes(runs: pd.DataFrame) -> list[float]:
    return [step / STEPS_A_PASS for step in sorted(runs["step"].unique())]


def accuracy(runs: pd.DataFrame) -> plots.Picture:
    """Training accuracy of DPO at 40 % flips, against the honest ceiling."""
    ceiling = honest_ceiling(40)
    return plots.seeds_plot(
        _passes(runs)[1:],
        {"dpo": studies.by_checkpoint(runs, "mean_accuracy")["dpo_40"][:, 1:]},
        title="Forty labels in a hundred are flipped, and the accuracy climbs past what anybody could know",
        x_label=X_LABEL,
        y_label="training accuracy",
        targets={f"the honest ceiling, {ceiling:.0%}": ceiling},
        draws=DRAWS,
        alt=f"Training accuracy climbs from near one half to far above {ceiling:.0%}.",
    )


def gold(runs: pd.DataFrame) -> plots.Picture:
    """Gold reward of the same runs."""
    return plots.seeds_plot(
        _passes(runs),
        {"dpo": studies.by_checkpoint(runs, "gold")["dpo_40"]},
        title="Meanwhile the replies get better for two passes, and then worse",
        x_label=X_LABEL,
        y_label="gold reward, test prompts (points)",
        draws=DRAWS,
        alt="Gold rises a little in two passes and then falls.",
    )


def targets(runs: pd.DataFrame, live: pd.DataFrame) -> plots.Picture:
    """Gold at 40 % flips: no target, a far one and a near one."""
    by_arm = studies.by_checkpoint(runs, "gold")
    return plots.seeds_plot(
        _passes(runs),
        {
            "DPO": by_arm["dpo_40"],
            "conservative DPO, 8.5 nats": by_arm["cdpo_40"],
            "conservative DPO, 1.7 nats": by_arm["near_40"],
        },
        {"DPO": (live.index / STEPS_A_PASS, live["gold"])},
        title="At 40 % flips a far target puts the fall off; a near one holds the replies",
        x_label=X_LABEL,
        y_label="gold reward, test prompts (points)",
        draws=DRAWS,
        alt="DPO falls first and furthest, conservative DPO with a far target later, with a near target hardly.",
    )
