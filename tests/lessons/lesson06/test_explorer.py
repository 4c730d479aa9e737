"""Lesson 6's explorer: KTO's value and push against numbers worked out by hand, and the balance of a log."""

import subprocess
import sys

import pytest

from lessons_lib.explorers import page, trl
from lessons_lib.lessons.lesson06.explorer import BALANCES, kto_value, log_push, push, up_share, verdict


def test_the_value_is_half_its_weight_at_the_reference_point():
    explorer = kto_value()
    (up,), (down,), ((z0,),) = explorer.evaluate(z0=5, lam_d=10, lam_u=2)[0]
    at = explorer.panels[0].x.positions.index(z0)
    assert (up[at], down[at]) == pytest.approx((5, 1))
    assert up[0] < 0.2 and up[-1] > 9.6  # σ(−4.5) = 0.011 and σ(3.5) = 0.971 of the weight
    assert down[0] > up[0] and all(a > b for a, b in zip(down, down[1:], strict=False))


def test_the_push_is_a_hill_and_that_of_a_logarithm_is_not():
    assert push(5, 0.1, 5, 1) == pytest.approx(0.025)  # β/4, the landmark of the loss
    assert push(-25, 0.1, 5, 1) == pytest.approx(push(35, 0.1, 5, 1)) == pytest.approx(0.1 * 0.0474259 * 0.9525741)
    assert log_push(5, 0.1, 5, 1) == pytest.approx(0.05)
    assert log_push(-200, 0.1, 5, 1) == pytest.approx(0.1)  # a hopeless reply pulls hardest of all
    assert push(-200, 0.1, 5, 1) < 1e-8


def test_the_push_is_the_slope_of_the_value():
    explorer = kto_value()
    value, hill = explorer.evaluate(beta=0.2, z0=2)[0][0][0], explorer.evaluate(beta=0.2, z0=2)[1][0][0]
    x = explorer.panels[0].x.positions
    slopes = [(value[i + 1] - value[i - 1]) / (x[i + 1] - x[i - 1]) for i in range(1, len(x) - 1)]
    assert slopes == pytest.approx(hill[1:-1], abs=1e-4)


@pytest.mark.parametrize(
    ("balance", "lam_d", "lam_u", "share", "says"),
    [
        ("1 : 10", 1, 1, 1 / 11, "below 1"),
        ("1 : 10", 10, 1, 1 / 2, "inside"),
        ("1 : 10", 15, 1, 3 / 5, "inside"),
        ("10 : 1", 1, 6.67, 10 / 16.67, "inside"),
        ("10 : 1", 1, 1, 10 / 11, "above 1.5"),
        ("1 : 1", 2, 1, 2 / 3, "above 1.5"),
    ],
)
def test_weights_move_the_balance(balance, lam_d, lam_u, share, says):
    assert up_share("of the push", balance, lam_d, lam_u) == pytest.approx(share)
    ups, downs = BALANCES[balance]
    assert up_share("of ratings", balance, lam_d, lam_u) == pytest.approx(ups / (ups + downs))
    assert says in verdict(balance, lam_d, lam_u)


def test_the_sentence_the_size_and_the_setting():
    explorer = kto_value()
    (sentence,) = explorer.sentences()
    assert sentence == (
        "λ_D·n_D / (λ_U·n_U) = 0.1: below 1, so the downs lead. At r = z₀ a thumbs up is pushed with 0.025 per nat; "
        "30 nats below z₀ with 18% of that. With −log σ it would be 381%."
    )
    assert len(page.html(explorer).encode()) < page.LIMIT
    assert "desirable_weight=10,  # λ_D" in trl.filled(trl.configs(explorer)["KTO"], explorer, lam_d=10)


def test_importing_it_is_light():
    code = (
        "import sys; from lessons_lib.lessons.lesson06.explorer import kto_value; kto_value().sentences();"
        "print([m for m in ('torch', 'ipywidgets', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
