"""Lesson 3's picture: one method on a whole log of thumbs, and on the thumbs that its pairs keep."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from lessons_lib import plots
from lessons_lib.lab import studies
from lessons_lib.lessons.lesson03.studies import LOG_TO_PAIRS


def with_rate(arm: str) -> str:
    """An arm's label with its learning rate."""
    chosen = LOG_TO_PAIRS.arms[arm]
    return f"{chosen.label}, rate {chosen.settings['learning_rate']:.0e}".replace("e-0", "e-")


def all_and_kept(runs: pd.DataFrame, live: Mapping[str, pd.DataFrame]) -> plots.Picture:
    """Gold over steps, on every thumb and on the kept ones, this session's own runs over the recorded."""
    gold = studies.by_checkpoint(runs, "gold")
    arms = ("kto_all", "kto_kept")
    return plots.seeds_plot(
        sorted(runs["step"].unique()),
        {with_rate(arm): gold[arm] for arm in arms},
        {with_rate(arm): (live[arm].index, live[arm]["gold"]) for arm in arms if arm in live},
        title="One method, one rate: the thumbs that careful pairs throw away add little",
        x_label="step (32 thumbs each)",
        y_label="gold reward, test prompts (points)",
        draws="checkpoints",
        alt="Over 100 steps both rise alike, on every thumb and on the thumbs of the pairs.",
    )
