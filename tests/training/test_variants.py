"""The variants' losses: cases a person can check, and what each is there for."""

import math

import pytest
import torch

from lessons_lib.losses import dpo_loss, kto_loss
from lessons_lib.training.variants import kto_noref_loss, kto_zero_loss, robust_dpo_loss

S1, S_1, S2, S_2 = (1 / (1 + math.exp(-z)) for z in (1, -1, 2, -2))


@pytest.mark.parametrize("flip_rate", [0.0, 0.1, 0.2, 0.45])
def test_the_robust_loss_is_unbiased(flip_rate):
    """Averaged over labels that are flipped with probability ε it is DPO's loss on the label as it was."""
    pc, pr, rc, rr = torch.randn(4, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 10
    right = robust_dpo_loss(pc, pr, rc, rr, beta=0.3, flip_rate=flip_rate).losses
    flipped = robust_dpo_loss(pr, pc, rr, rc, beta=0.3, flip_rate=flip_rate).losses
    clean = dpo_loss(pc, pr, rc, rr, beta=0.3).losses
    torch.testing.assert_close((1 - flip_rate) * right + flip_rate * flipped, clean)


def test_the_robust_loss_by_hand():
    """z = βh = 1 and ε = 0.2: ((0.8 · 0.3133 − 0.2 · 1.3133) / 0.6 = −0.0200; its slope is β(…)/(1 − 2ε)."""
    chosen = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
    zero = torch.zeros_like(chosen)
    loss = robust_dpo_loss(chosen, zero, zero, zero, beta=1.0, flip_rate=0.2).losses
    assert loss.item() == pytest.approx((0.8 * -math.log(S1) - 0.2 * -math.log(S_1)) / 0.6)
    loss.backward()
    assert chosen.grad.item() == pytest.approx(-(0.8 * S_1 + 0.2 * S1) / 0.6)


def test_the_robust_loss_falls_without_bound_where_the_conservative_one_rises():
    far = torch.tensor([5000.0], dtype=torch.float64)
    zero = torch.zeros_like(far)
    assert robust_dpo_loss(far, zero, zero, zero, beta=0.1, flip_rate=0.2).losses.item() < -100
    assert dpo_loss(far, zero, zero, zero, beta=0.1, label_smoothing=0.2).losses.item() > 90
    assert (
        robust_dpo_loss(far, zero, zero, zero, flip_rate=0.0).losses.item()
        == dpo_loss(far, zero, zero, zero).losses.item()
    )
    with pytest.raises(ValueError, match=r"flip_rate.*\[0, 0\.5\)"):
        robust_dpo_loss(far, zero, zero, zero, flip_rate=0.5)


def test_kto_without_a_reference_by_hand():
    """Log-probs −10 up and −14 down: z₀ is −12, so both lie 2 nats on their right side; a constant changes nothing."""
    logps = torch.tensor([-10.0, -14.0], dtype=torch.float64, requires_grad=True)
    up = torch.tensor([True, False])
    losses = kto_noref_loss(logps, up, beta=0.5).losses
    assert losses.tolist() == pytest.approx([S_1, S_1])
    losses.sum().backward()
    assert logps.grad.tolist() == pytest.approx([-0.5 * S1 * S_1, 0.5 * S1 * S_1])  # none flows through z₀
    assert kto_noref_loss(logps.detach() - 7, up, beta=0.5).losses.tolist() == pytest.approx([S_1, S_1])


def test_kto_at_zero_is_kto_with_a_reference_point_of_zero():
    logps, reference = torch.tensor([-10.0, -14.0]), torch.tensor([-12.0, -12.0])
    up = torch.tensor([True, False])
    expected = kto_loss(logps, reference, up, 0.0, beta=0.5, desirable_weight=2.0).losses
    assert torch.equal(kto_zero_loss(logps, reference, up, beta=0.5, desirable_weight=2.0).losses, expected)
    assert not torch.equal(kto_loss(logps, reference, up, 1.0, beta=0.5, desirable_weight=2.0).losses, expected)
