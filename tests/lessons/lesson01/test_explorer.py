"""Lesson 1's explorer: pushes that can be worked out on paper, and the size in the page."""

import random

import pytest

from lessons_lib.explorers import page
from lessons_lib.lessons.lesson01 import explorer
from lessons_lib.lessons.lesson01.explorer import dpo, five_losses, ipo, kept, kto, orpo, simpo
from lessons_lib.textbook import sigmoid

LOSSES = {"DPO": dpo, "IPO": ipo, "KTO": kto, "ORPO": orpo, "SimPO": simpo}


def test_each_loss_at_the_start_is_its_landmark():
    at_start = {name: loss(0, knob) for (name, loss), knob in zip(LOSSES.items(), (0.1, 0.1, 0.1, 0, 1), strict=True)}
    # log 2; (1/(2·0.1))²; 1 − σ(0); the NLL alone, 15 nats over 10 tokens; −log σ(−1)
    assert at_start == pytest.approx({"DPO": 0.6931, "IPO": 25, "KTO": 0.5, "ORPO": 1.5, "SimPO": 1.3133}, abs=1e-4)


@pytest.mark.parametrize(
    ("loss", "knob", "share"),
    [
        (dpo, 0.1, sigmoid(-1) / sigmoid(0)),  # βσ(−βh)
        (ipo, 0.1, -1.0),  # 2(5 − h), target 5
        (kto, 0.1, sigmoid(0.5) * sigmoid(-0.5) / 0.25),  # σ′ at ±β·5 on either side
        (orpo, 0.0, 1.0),  # imitation alone: as hard at any margin
        (simpo, 1.0, sigmoid(-1) / sigmoid(1)),  # z = 2 · 10/10 − 1
    ],
)
def test_what_is_left_of_the_push_at_ten_nats(loss, knob, share):
    assert kept(loss, 10, knob) == pytest.approx(share, abs=1e-6)


def test_the_curves_move_with_their_own_knob_alone():
    figure = five_losses()
    assert [series[0].by for series in figure.series[0]] == [("beta",), ("tau",), ("beta",), ("lam",), ("gamma",)]
    loss, push = figure.evaluate(tau=0.5)
    (ipo_loss,), (ipo_push,) = loss[1], push[1]
    positions = figure.panels[0].x.positions
    assert positions[ipo_loss.index(min(ipo_loss))] == 1  # the target 1/(2 · 0.5)
    assert ipo_push[positions.index(1)] == pytest.approx(0, abs=1e-6)


def test_the_sentence_and_the_size():
    figure = five_losses()
    assert "DPO 54%, IPO −100%, KTO 94%, ORPO 94%, SimPO 37%" in figure.sentences()[0]
    assert len(page.html(figure)) < 150 * 1024


# ---------------------------------------------------------------- β, a temperature and a price


@pytest.mark.parametrize("beta", [0.3, 1.0, 3.0])
def test_no_policy_lies_above_the_price_line_through_the_best_one(beta):
    """The frontier touches the line of slope β at the best policy and stays below it elsewhere."""
    best = explorer.best_policy(beta)
    at = explorer.kl_of(best)
    assert explorer.most_reward(at) == pytest.approx(explorer.reward_of(best), abs=1e-6)
    step = 1e-3
    slope = (explorer.most_reward(at + step) - explorer.most_reward(at - step)) / (2 * step)
    assert slope == pytest.approx(beta, rel=1e-3)
    for kl in (0.02, 0.3, 0.9, 1.8):
        assert explorer.most_reward(kl) <= explorer.price_line(kl, beta) + 1e-9


@pytest.mark.parametrize("beta", [0.3, 1.0, 3.0])
def test_what_is_left_after_the_price_is_beta_log_z(beta):
    best = explorer.best_policy(beta)
    left = explorer.reward_of(best) - beta * explorer.kl_of(best)
    assert left == pytest.approx(beta * explorer.log_partition(beta), abs=1e-9)
    rng = random.Random(0)
    for _ in range(200):  # Gibbs: no other policy is worth more
        weights = [rng.random() for _ in best]
        other = tuple(weight / sum(weights) for weight in weights)
        assert explorer.reward_of(other) - beta * explorer.kl_of(other) <= left


def test_a_low_temperature_picks_the_best_reply_and_a_high_one_keeps_the_reference():
    assert explorer.best_policy(0.2)[0] > 0.99
    assert explorer.best_policy(1000.0) == pytest.approx(explorer.REFERENCE, abs=1e-3)
    shown = explorer.temperature_and_price()
    assert "β = 1 the best policy earns" in shown.sentences()[0]
    assert len(page.html(shown)) < 150 * 1024
