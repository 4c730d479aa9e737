"""Lesson 2's explorer: the recorded runs as they stand, the ceiling worked out by hand, and the size in the page."""

import json
import subprocess
import sys

import numpy as np
import pytest

from lessons_lib.explorers import page
from lessons_lib.lab import annotators, checkpoints
from lessons_lib.lessons.lesson02.explorer import CEILING, honest_ceiling, measured, noise_by_passes
from lessons_lib.recorded import store


def test_the_curves_are_the_recorded_means():
    stored = json.loads((store.RECORDED / "noise_reused.json").read_text())
    rows = [dict(zip(stored["columns"], values, strict=True)) for values in stored["data"]]
    last = max(row["step"] for row in rows)
    own = [row["gold"] for row in rows if (row["arm"], row["step"]) == ("cdpo_20", last)]
    assert len(own) >= 3
    assert measured("gold", "conservative DPO", 20, last / 10).estimate == pytest.approx(np.mean(own))
    explorer = noise_by_passes()
    drawn = explorer.evaluate(method="conservative DPO", flips=20)[1][1][0]
    assert drawn[-1] == pytest.approx(np.mean(own))
    assert len(drawn) == len(explorer.panels[1].x.positions) == 1 + len(explorer.panels[0].x.positions)


def test_the_ceiling():
    assert honest_ceiling(0) == CEILING
    assert honest_ceiling(40) == pytest.approx(0.86 * 0.6 + 0.14 * 0.4)
    assert honest_ceiling(50) == pytest.approx(0.5)  # coin flips: nothing to agree with


def test_the_annotators_majority_is_agreed_with_as_often_as_the_ceiling_says():
    pool = checkpoints.pool("sft-0").split("train")
    first, second = annotators._draw_pairs(pool, 4000, np.random.default_rng(0), None).T
    preferred = annotators._sigmoid(2.0 * (pool.gold.total[first] - pool.gold.total[second]))
    assert np.maximum(preferred, 1 - preferred).mean() == pytest.approx(CEILING, abs=0.01)
    for flips in (20, 40):
        flipped = preferred * (1 - flips / 100) + (1 - preferred) * flips / 100
        assert np.maximum(flipped, 1 - flipped).mean() == pytest.approx(honest_ceiling(flips), abs=0.01)


def test_agreement_with_gold_is_no_ceiling_where_raters_want_something_else():
    """A taste for long replies: a model of the raters agrees with more labels than one that knows the gold reward."""
    pool = checkpoints.pool("sft-0").split("train")
    first, second = annotators._draw_pairs(pool, 4000, np.random.default_rng(0), None).T
    gold, utility = pool.gold.total, pool.gold.total + 0.15 * pool.gold.lengths
    preferred = annotators._sigmoid(2.0 * (utility[first] - utility[second]))
    with_gold = np.where(gold[first] > gold[second], preferred, 1 - preferred)[gold[first] != gold[second]].mean()
    assert with_gold < 0.75 < 0.85 < np.maximum(preferred, 1 - preferred).mean()


def test_an_honest_learner_lies_between_two_raters_agreement_and_what_it_allows():
    """The lesson's bounds: above the agreement A of two annotators, at most (1 + √(2A − 1))/2."""
    pool = checkpoints.pool("sft-0").split("train")
    first, second = annotators._draw_pairs(pool, 4000, np.random.default_rng(0), None).T
    right = annotators._sigmoid(2.0 * np.abs(pool.gold.total[first] - pool.gold.total[second]))
    agreement = np.mean(right**2 + (1 - right) ** 2)
    assert agreement == pytest.approx(0.80, abs=0.01)
    assert agreement + 0.03 < right.mean() < (1 + np.sqrt(2 * agreement - 1)) / 2 - 0.01


def test_the_sentence_says_what_the_log_hides():
    explorer = noise_by_passes()
    (sentence,) = explorer.sentences(method="DPO", flips=40)
    assert "DPO, 40 % flipped, 16 passes" in sentence
    assert "an honest learner reaches 57% at most" in sentence
    assert measured("mean_accuracy", "DPO", 40, 16).estimate > 0.7
    assert measured("gold", "DPO", 40, 16).estimate < measured("gold", "DPO", 40, 2).estimate


def test_it_is_small_and_loads_no_torch():
    assert len(page.html(noise_by_passes())) < 150 * 1024
    code = (
        "import sys; from lessons_lib.lessons.lesson02.explorer import noise_by_passes; noise_by_passes().sentences();"
        "print([m for m in ('torch', 'pandas', 'ipywidgets') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
