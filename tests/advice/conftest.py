"""Recorded runs made up for a test: means of the gold reward for each regime and arm, in one world or both."""

import random

import pandas as pd
import pytest

from lessons_lib.advice import choice, evidence
from lessons_lib.benchmark import reading, shop_reading
from lessons_lib.errors import UserError
from lessons_lib.lab.shop.samples import MODEL

CACHED = (evidence.runs, evidence.measured, evidence.scores, evidence._behind_best, evidence.comparisons)
CACHED += (
    evidence._every_cell,
    evidence._wide,
    evidence._settings,
    evidence.others,
    evidence.default,
    choice.choose,
    choice.pilot,
)


@pytest.fixture
def record(monkeypatch):
    """``record(noisy_20={"dpo": 1.0, …}, shop={"clean": {…}}, spread=0.05)``: such runs, and no others, are there."""

    def forget():
        for function in CACHED:
            function.cache_clear()

    def made_up(means, checkpoint, spread):
        rng = random.Random(0)
        rows = [
            {
                "regime": regime,
                "arm": arm,
                "seed": seed,
                "checkpoint": checkpoint(seed),
                "gold": rng.gauss(mean, spread),
            }
            for regime, arms in means.items()
            for arm, mean in arms.items()
            for seed in range(16)
        ]
        return pd.DataFrame(rows, columns=["regime", "arm", "seed", "checkpoint", "gold"])

    def pretend(shop=None, spread=0.05, **regimes):
        tables = {
            "benchmark": made_up(regimes, lambda seed: f"sft-{seed}", spread),
            "shop": made_up(shop or {}, lambda seed: MODEL, spread),
        }

        def results():
            if tables["benchmark"].empty:
                raise UserError("there is no benchmark yet")
            return tables["benchmark"]

        monkeypatch.setattr(reading, "results", results)
        monkeypatch.setattr(shop_reading, "final", lambda: tables["shop"])
        forget()

    forget()
    yield pretend
    monkeypatch.undo()
    forget()
