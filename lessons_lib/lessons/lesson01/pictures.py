"""Lesson 1's pictures: recorded runs of DPO, alone and with an NLL term, this session's own drawn over them."""

from __future__ import annotations

import pandas as pd

from lessons_lib import plots
from lessons_lib.lab import studies


def both_log_probs(runs: pd.DataFrame, live: pd.DataFrame) -> plots.Picture:
    """Held-out log-probs of the better and the worse replies under plain DPO."""
    columns = {"chosen": "chosen_logp", "rejected": "rejected_logp"}
    return plots.seeds_plot(
        sorted(runs["step"].unique()),
        {name: studies.by_checkpoint(runs, column)["dpo"] for name, column in columns.items()},
        {name: (live.index, live[column]) for name, column in columns.items()},
        title="The margin grows because both log-probs fall, the rejected one faster",
        draws="checkpoints",
        x_label="step",
        y_label="log-prob of held-out replies (nats)",
        alt="From step 30 on both held-out log-probs fall, the rejected replies' by more.",
    )


def gold_with_and_without(runs: pd.DataFrame, live: pd.DataFrame) -> plots.Picture:
    """Gold reward of DPO beside DPO + NLL."""
    gold = studies.by_checkpoint(runs, "gold")
    return plots.seeds_plot(
        sorted(runs["step"].unique()),
        {"DPO": gold["dpo"], "DPO + NLL": gold["dpo_nll"]},
        {"DPO": (live.index, live["gold"])},
        title="Gold is highest early under DPO; with the NLL term it holds",
        draws="checkpoints",
        x_label="step",
        y_label="gold reward, test prompts (points)",
        alt="Both climb until about step 30. Then plain DPO falls back and DPO + NLL does not.",
    )
