"""Lesson 7's explorer: values that a person can check on paper, its weight, and what it says."""

import math
import subprocess
import sys

import pytest

from lessons_lib import textbook
from lessons_lib.explorers import page
from lessons_lib.lessons.lesson07 import explorer as lesson


def test_odds_and_probabilities():
    """0.9 against 0.75: odds 9 and 3, so a ratio of 3; probabilities 1.2."""
    assert math.exp(lesson.log_odds_ratio(0.9, 0.75)) == pytest.approx(3)
    assert math.exp(lesson.log_probability_ratio(0.9, 0.75)) == pytest.approx(1.2)
    assert lesson.log_odds_ratio(0.01, 0.02) == pytest.approx(lesson.log_probability_ratio(0.01, 0.02), abs=0.011)


def test_summed_the_two_are_one():
    for chosen, rejected in ((0.5, 0.4), (0.6, 0.7)):
        odds, probability = (f(chosen, rejected, 40) for f in (lesson.log_odds_ratio, lesson.log_probability_ratio))
        assert odds == pytest.approx(probability, abs=1e-5)


def test_the_push_is_the_gradient_of_the_textbook_loss():
    chosen, rejected, lam, step = 0.8, 0.6, 0.5, 1e-6

    def term(up_chosen, up_rejected):
        logps = math.log(chosen) + up_chosen, math.log(rejected) + up_rejected
        return textbook.orpo_loss(*logps, chosen_nll=0, lam=lam)

    assert lesson.push(chosen, chosen, rejected, lam) == pytest.approx((term(-step, 0) - term(step, 0)) / (2 * step))
    assert lesson.push(rejected, chosen, rejected, lam) == pytest.approx((term(0, step) - term(0, -step)) / (2 * step))


@pytest.mark.parametrize("tokens", [1, 20])
def test_where_the_term_is_satisfied(tokens):
    for ratio, place in (
        (lesson.log_odds_ratio, lesson.satisfied_odds),
        (lesson.log_probability_ratio, lesson.satisfied_probability),
    ):
        assert -textbook.log_sigmoid(ratio(0.9, place(0.9, tokens), tokens)) == pytest.approx(0.1)


def test_explorer_is_light_and_says_what_it_shows():
    explorer = lesson.odds_ratio()
    assert len(page.html(explorer).encode()) < page.LIMIT
    (sentence,) = explorer.sentences(rejected=0.7)
    assert "log odds ratio 1.35, log probability ratio 0.25" in sentence
    assert sentence.endswith("falls to 0.49 under odds, to 0.09 under probabilities.")
    (summed,) = explorer.sentences(rejected=0.5, tokens=40)
    assert "log odds ratio 23.53, log probability ratio 23.51" in summed


def test_importing_it_does_not_load_torch():
    code = "import sys; from lessons_lib.lessons.lesson07 import explorer; explorer.odds_ratio(); "
    code += "print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
