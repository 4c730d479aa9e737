"""Lesson 3's explorer: numbers to check on paper, a simulation, and its weight in the page."""

import math
import subprocess
import sys

import numpy as np
import pytest

from lessons_lib.explorers import page
from lessons_lib.lessons.lesson03 import explorer as lesson03

EXPLORER = lesson03.pairs_from_ratings()


def test_one_rating_a_prompt_and_half_ups():
    # Ups and downs are Poisson(1/2) each: P(some) = 1 − e^(−1/2) = 0.3935
    assert lesson03.both_labels(1, 0.5) == pytest.approx(0.3935**2, abs=1e-4)
    assert lesson03.ups_used(1, 0.5, 0) == lesson03.downs_used(1, 0.5, 0) == pytest.approx(0.3935, abs=1e-4)
    assert lesson03.thrown_away(1000, 1000, 0.5, 0) == pytest.approx(math.exp(-0.5))


def test_many_ratings_leave_no_label_alone_and_few_leave_all():
    assert lesson03.thrown_away(100_000, 100, 0.5, 0.3) < 1e-9
    assert lesson03.thrown_away(300, 100_000, 0.5, 0.3) > 0.99
    assert lesson03.disjoint_pairs(400, 0.5) == pytest.approx(200 - 10 * math.sqrt(2 / math.pi), abs=0.2)


def test_easy_and_hard_prompts_drop_out():
    shown = EXPLORER.evaluate(ratings=2500, prompts=1000, up=0.5, spread=0.4)[1][0][0]
    assert shown[1] > 2 * shown[0] and shown[0] == pytest.approx(shown[2])
    level = EXPLORER.evaluate(ratings=2500, prompts=1000, up=0.5, spread=0)[1][0][0]
    assert level[0] == level[1] == level[2]


def test_the_formulas_hold_in_a_simulation():
    rng, prompts, mean, up, spread = np.random.default_rng(0), 60_000, 2.5, 0.6, 0.3
    kinds = rng.integers(3, size=prompts)
    shares = np.array([lesson03.ups_of(kind, up, spread) for kind in lesson03.KINDS])[kinds]
    counts = rng.poisson(mean, prompts)
    ups = rng.binomial(counts, shares)
    downs = counts - ups
    paired = (ups > 0) & (downs > 0)
    assert ups[paired].sum() / ups.sum() == pytest.approx(lesson03.ups_used(mean, up, spread), abs=0.01)
    assert downs[paired].sum() / downs.sum() == pytest.approx(lesson03.downs_used(mean, up, spread), abs=0.01)
    assert np.minimum(ups, downs).sum() == pytest.approx(lesson03.pairs(150_000, 60_000, up, spread), rel=0.02)
    assert 1 - counts[paired].sum() / counts.sum() == pytest.approx(
        lesson03.thrown_away(150_000, 60_000, up, spread), abs=0.01
    )


def test_the_bars_add_up_to_all_labels():
    kept, lost = EXPLORER.evaluate(ratings=10_000, prompts=3000, up=0.8, spread=0)[2]
    assert kept[0][0] + lost[0][0] == pytest.approx(8000)
    assert kept[0][1] + lost[0][1] == pytest.approx(2000)


def test_the_readout_and_the_weight():
    (sentence,) = EXPLORER.sentences(ratings=1000, prompts=1000, up=0.5, spread=0)
    assert sentence.startswith("1,000 ratings on 1,000 prompts: at most ") and sentence.endswith(
        "61% of the labels thrown away."
    )
    assert len(page.html(EXPLORER)) < 150_000


def test_its_import_is_light():
    code = "import sys; import lessons_lib.lessons.lesson03.explorer; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
