"""Lesson 13's explorer: what seeds and prompts can see, held to closed forms and to the lab's own samples."""

import math

import numpy as np
import pytest

from lessons_lib import metrics
from lessons_lib.explorers import page
from lessons_lib.lab import checkpoints
from lessons_lib.lessons.lesson13 import explorer as lesson13


def test_the_spread_of_one_reply_is_that_of_the_labs_samples():
    spreads = [float(np.std(checkpoints.pool(name).gold.total)) for name in checkpoints.SFT_NAMES]
    assert np.mean(spreads) == pytest.approx(lesson13.REPLY_SD, abs=0.05)


def test_squares_add():
    assert lesson13.difference_sd(0.3, 1e12) == pytest.approx(0.3)
    assert lesson13.difference_sd(0.0, 84.5) == pytest.approx(0.2)  # sqrt(2 * 1.69 / 84.5)


def test_the_interval_is_students():
    sd = lesson13.difference_sd(0.2, 256)
    assert lesson13.half_width(5, 0.2, 256) == pytest.approx(2.7764 * sd / math.sqrt(5), rel=1e-4)


def test_the_smallest_visible_effect_is_seen_four_times_in_five():
    effect = lesson13.smallest_visible(8, 0.2, 256)
    assert metrics.paired_power(effect, lesson13.difference_sd(0.2, 256), 8) == pytest.approx(0.8, abs=1e-3)


def test_more_prompts_cannot_mend_the_noise_of_training():
    few, many = lesson13.smallest_visible(3, 0.3, 256), lesson13.smallest_visible(3, 0.3, 4096)
    assert 0.85 < many / few < 1


def test_the_explorer_says_what_it_shows_and_fits_its_page():
    explorer = lesson13.what_can_be_seen()
    assert len(page.html(explorer)) < 150_000
    sentence = explorer.sentences(effect=0.2, noise=0.2, seeds=3, prompts=256)[0]
    needed = metrics.seeds_needed(0.2, lesson13.difference_sd(0.2, 256))
    assert f"takes {needed} seeds" in sentence
    assert "5% of such" in explorer.sentences(effect=0)[0]  # the false alarms
