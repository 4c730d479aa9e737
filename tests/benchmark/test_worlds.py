"""Claims in several worlds: which word a difference earns, what is not run, and what a table of runs must hold."""

import math

import pandas as pd
import pytest

from lessons_lib.benchmark import mechanisms, reading, shop_reading, worlds
from lessons_lib.benchmark.claims import CLAIMS, Claim, Contrast
from lessons_lib.benchmark.shop_design import ARMS, REGIMES, SEEDS
from lessons_lib.benchmark.worlds import World, held, measured, orders, tally, word
from lessons_lib.lab.shop.samples import MODEL
from lessons_lib.metrics import Interval
from lessons_lib.recorded import store


def interval(low, high):
    return Interval((low + high) / 2, low, high, 5)


@pytest.mark.parametrize(
    ("small", "here", "said"),
    [
        ((0.1, 0.3), (0.2, 0.9), "same sign"),
        ((-0.3, -0.1), (-0.9, -0.2), "same sign"),
        ((0.1, 0.3), (-0.9, -0.2), "turned"),
        ((-0.3, -0.1), (0.2, 0.9), "turned"),
        ((-0.1, 0.3), (0.2, 0.9), "cannot tell"),  # it was not known in the small world
        ((0.1, 0.3), (-0.2, 0.9), "cannot tell"),
        ((0.1, 0.3), (-math.inf, math.inf), "cannot tell"),
    ],
)
def test_a_word_is_earned_by_both_intervals(small, here, said):
    assert word(interval(*small), interval(*here)) == said


def test_what_has_no_runs_is_not_run():
    assert word(None, interval(0.1, 0.2)) == word(interval(0.1, 0.2), None) == "not run"


def runs(**means):
    """Five runs an arm on clean data, spread a little around a mean, of one checkpoint."""
    return pd.DataFrame(
        [
            {"regime": "clean", "arm": arm, "seed": seed, "checkpoint": MODEL, "gold": mean + (seed % 3) * step}
            for step, (arm, mean) in enumerate(means.items(), 1)
            for seed in range(5)
        ]
    )


CLAIM = Claim("DPO is ahead of IPO.", "rafailov2023dpo", (Contrast(("clean", "dpo"), ("clean", "ipo")),))


def test_a_claim_turns_where_the_other_worlds_runs_turn(monkeypatch):
    monkeypatch.setattr(worlds, "SMALL", World("small", "small", lambda: runs(dpo=10.0, ipo=0.0, kto=5.0)))
    other = World("other", "other", lambda: runs(dpo=0.0, ipo=10.0, kto=20.0))
    (item,) = held(CLAIM, other)
    assert item.word == "turned" and item.small.estimate > 8 and item.here.estimate < -8
    assert tally([item]) == {"same sign": 0, "turned": 1, "cannot tell": 0, "not run": 0}
    pairs = {(found.contrast.more[1], found.contrast.less[1]): found.word for found in orders(other)}
    assert pairs == {("dpo", "ipo"): "turned", ("dpo", "kto"): "turned", ("ipo", "kto"): "same sign"}


def test_a_measure_or_a_cell_that_is_not_there_is_no_difference():
    table = runs(dpo=1.0, ipo=0.0)
    assert measured(table, CLAIM.contrasts[0]).estimate == pytest.approx(1.0 - 0.8)
    assert measured(table, Contrast(("clean", "dpo"), ("clean", "ipo"), "length")) is None
    assert measured(table, Contrast(("clean", "dpo"), ("clean", "kto"))) is None
    assert measured(table[table["seed"] == 0], CLAIM.contrasts[0]) is None  # one run has no interval


def test_what_is_published_is_said_of_claims_that_exist_and_cited(root):
    assert set(worlds.PUBLISHED) <= {claim.says for claim in CLAIMS}
    bibliography = (root / "book/references.bib").read_text(encoding="utf-8")
    assert all(f"{{{note.source}," in bibliography for note in worlds.PUBLISHED.values())


def test_progress_counts_what_was_made(tmp_path):
    assert shop_reading.progress(tmp_path) == (
        f"0 of at least {shop_reading.planned()} runs of the search and 0 of {4 * 7 * 5 + 6 * 5} final runs have been "
        "made."
    )
    tried = {"regime": "clean", "arm": "dpo", "seed": 100, "checkpoint": MODEL, "strength": "{}", "learning_rate": 1e-5}
    rows = [{**tried, "stop": stop} for stop in (0.5, 1.0)] + [{**tried, "checkpoint": "another"}]
    store.append(tmp_path, shop_reading.TUNING, rows)
    assert shop_reading.searched(tmp_path) == 1
    done = [
        {"regime": regime, "arm": arm, "seed": seed, "checkpoint": MODEL}
        for regime in REGIMES
        for arm in ARMS
        for seed in SEEDS
    ]
    store.append(tmp_path, shop_reading.NAME, done)
    assert shop_reading.progress(tmp_path) == f"All {4 * 7 * 5 + 6 * 5} final runs of stage 1 have been made."


def test_a_contrast_of_one_mechanism_is_read_from_its_own_runs():
    """The matrix has arms of the same names, at settings of their own: those would not be alike but for one thing."""
    contrast = next(c for claim in CLAIMS for c in claim.contrasts if c.case)
    (item,) = held(Claim("", "", (contrast,)), worlds.SMALL)
    own = mechanisms.runs_of(contrast.case)
    assert item.small == reading.difference(own, contrast.more, contrast.less, contrast.measure)
    assert item.small != measured(worlds.SMALL.runs(), contrast) and item.word == "not run"
