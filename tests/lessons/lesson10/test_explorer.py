"""Lesson 10's explorer: FeedbackQA's counts, the ratio by hand, and its weight in the page."""

import subprocess
import sys

import pytest

from lessons_lib.advice.decide import kto_weights
from lessons_lib.data import figures
from lessons_lib.explorers import page
from lessons_lib.lessons.lesson10 import explorer as lesson10
from lessons_lib.methods import METHODS

EXPLORER = lesson10.threshold_and_weights()


def test_the_counts_are_feedbackqas():
    known = {m.key: m.value for m in figures.committed("feedbackqa_cdc")["measures"]}
    assert lesson10.ups("Acceptable") == 1246 == round(known["up"] * known["ratings"])
    assert [lesson10.ups(name) for name in lesson10.THRESHOLDS] == [788, 788 + 458, 788 + 458 + 439]
    assert lesson10.downs("Could be Improved") == 844
    assert lesson10.pairs("unanimous", "Acceptable") == 233  # as data.real's pairs


def test_the_ratio_and_its_range():
    assert lesson10.effective_ratio("Excellent", 1, 1) == pytest.approx(788 / 1741)
    assert lesson10.effective_ratio("Excellent", 3, 1) == pytest.approx(3 * 788 / 1741)
    assert "below" in lesson10.verdict("Excellent", 1, 1) and "in the" in lesson10.verdict("Excellent", 3, 1)
    assert "above" in lesson10.verdict("Excellent", 5, 1)


@pytest.mark.parametrize("threshold", lesson10.THRESHOLDS)
def test_the_suggested_weights_lie_in_the_range(threshold):
    desirable, undesirable = kto_weights(lesson10.ups(threshold) / 2529)
    ratio = lesson10.effective_ratio(threshold, desirable, undesirable)
    assert 0.99 < ratio < 1.51 and 1 in (desirable, undesirable)


def test_the_picture_shows_the_counts():
    plain, weighted = EXPLORER.evaluate(threshold="Acceptable", desirable=2, undesirable=1)[0]
    assert plain == [[1246, 1283]] and weighted == [[2492, 1283]]
    *_, yours = EXPLORER.evaluate(threshold="Acceptable", desirable=2, undesirable=1)[1]
    assert yours == [[2], [pytest.approx(2492 / 1283)]]
    ((shown,),) = EXPLORER.evaluate(threshold="Acceptable")[2]
    assert shown == [233, 529, 724] and shown == sorted(shown)


def test_the_readout_and_the_weight():
    (sentence,) = EXPLORER.sentences(threshold="Excellent", desirable=1, undesirable=1)
    assert sentence.startswith("Up from Excellent: 788 ups, 1,741 downs. The ratio is 0.453, below the paper's range")
    assert sentence.endswith("λ_D = 2.21, λ_U = 1.")
    assert len(page.html(EXPLORER)) < 150_000
    assert set(EXPLORER.trl["kto"]) <= set(METHODS["kto"].hyperparameters)


def test_its_import_is_light():
    code = "import sys; import lessons_lib.lessons.lesson10.explorer; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
