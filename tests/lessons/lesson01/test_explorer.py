"""Lesson 1's explorer: pushes that can be worked out on paper, and the size in the page."""

import pytest

from lessons_lib.explorers import page
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
    explorer = five_losses()
    assert [series[0].by for series in explorer.series[0]] == [("beta",), ("tau",), ("beta",), ("lam",), ("gamma",)]
    loss, push = explorer.evaluate(tau=0.5)
    (ipo_loss,), (ipo_push,) = loss[1], push[1]
    positions = explorer.panels[0].x.positions
    assert positions[ipo_loss.index(min(ipo_loss))] == 1  # the target 1/(2 · 0.5)
    assert ipo_push[positions.index(1)] == pytest.approx(0, abs=1e-6)


def test_the_sentence_and_the_size():
    explorer = five_losses()
    assert "DPO 54%, IPO −100%, KTO 94%, ORPO 94%, SimPO 37%" in explorer.sentences()[0]
    assert len(page.html(explorer)) < 150 * 1024
