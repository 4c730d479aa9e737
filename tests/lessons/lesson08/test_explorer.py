"""Lesson 8's explorer: values that a person can check on paper, its weight, and what it says."""

import subprocess
import sys

import pytest

from lessons_lib.explorers import page
from lessons_lib.lessons.lesson08 import explorer as lesson


def test_rewards_of_the_same_texts():
    """20 tokens that gained 0.2 nats each, β = 0.1: 0.4. Their average is −0.8, times β = 2: −1.6."""
    assert lesson.dpo_reward("chosen", 0.2, 20) == pytest.approx(0.4)
    assert lesson.dpo_reward("rejected", 0.2, 30) == pytest.approx(0.3)
    assert lesson.simpo_reward("chosen", 0.2, 2) == pytest.approx(-1.6)
    assert lesson.simpo_reward("rejected", 0.2, 2) == pytest.approx(-1.4)
    assert lesson.dpo_margin(0.2, 20, 30) == pytest.approx(0.1)
    assert lesson.simpo_margin(0.2, 2) == pytest.approx(-0.2)


def test_only_lengths_move_dpo_and_only_its_knobs_move_simpo():
    (dpo, simpo, asked), *_ = lesson.length_and_margin().series
    assert dpo[0].by == ("chosen", "rejected")
    assert simpo[0].by == ("beta",)
    assert asked[0].by == ("beta", "gamma")


def test_where_the_margin_is_gamma():
    for beta, gamma in ((2, 1), (2.5, 0), (10, 3)):
        assert lesson.simpo_margin(lesson.reached(beta, gamma), beta) == pytest.approx(gamma)
        assert lesson.simpo_loss(lesson.reached(beta, gamma), beta, gamma) == pytest.approx(0.6931, abs=1e-4)


def test_explorer_is_light_and_says_what_it_shows():
    explorer = lesson.length_and_margin()
    assert len(page.html(explorer).encode()) < page.LIMIT
    (sentence,) = explorer.sentences()
    assert sentence.startswith(
        "At a gain of 0.2 nats DPO's margin is +0.20, so it prefers chosen; SimPO's is −0.20, so it prefers rejected."
    )
    assert sentence.endswith("reaches γ at a gain of 0.80 nats, γ/β = 0.50 past the tie.")
    assert "DPO's margin is −0.40, so it prefers rejected" in explorer.sentences(chosen=10, rejected=60)[0]
    assert "DPO's margin is +0.00, so it prefers neither" in explorer.sentences(chosen=20, rejected=40)[0]


def test_importing_it_does_not_load_torch():
    code = (
        "import sys, lessons_lib.lessons.lesson08.explorer as m; m.length_and_margin(); print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
