"""Scores and divergences, by hand."""

from __future__ import annotations

import pytest
import torch
from small_models import EOS, UNEQUAL_PROMPTS, spread, tiny

from lessons_lib.models import likelihood, making, sampling


@pytest.mark.parametrize("architecture", making.ARCHITECTURES)
def test_score_is_the_sum_one_by_one(architecture):
    model = spread(tiny(architecture))
    responses = [[4, 5, 2], [6], [0, 0, 7, 2], [9, 2]]  # id 0 is a real token here, though it also fills
    scores = likelihood.score(model, UNEQUAL_PROMPTS, responses, batch_size=3)
    averages = likelihood.score(model, UNEQUAL_PROMPTS, responses, average=True)
    for row, (prompt, response) in enumerate(zip(UNEQUAL_PROMPTS, responses, strict=True)):
        with torch.no_grad():
            logps = model(torch.tensor([prompt + response])).logits[0].log_softmax(-1)
        by_hand = sum(logps[len(prompt) - 1 + place, token] for place, token in enumerate(response))
        assert scores[row].item() == pytest.approx(by_hand.item(), abs=1e-4)
        assert averages[row].item() == pytest.approx(by_hand.item() / len(response), abs=1e-4)


def test_divergence_by_hand():
    """Σ over the response's tokens of Σ over the vocabulary of p·(log p − log q), one row and one token at a time."""
    model, reference = spread(tiny()), spread(tiny(seed=1))
    responses = [[4, 5, 2], [6], [0, 0, 7, 2], [9, 2]]
    found = likelihood.divergence(model, reference, UNEQUAL_PROMPTS, responses, batch_size=3)
    for row, (prompt, response) in enumerate(zip(UNEQUAL_PROMPTS, responses, strict=True)):
        by_hand = 0.0
        for place in range(len(response)):
            ids = torch.tensor([prompt + response[:place]])
            with torch.no_grad():
                p, q = (m(ids).logits[0, -1].softmax(-1) for m in (model, reference))
            by_hand += (p * (p.log() - q.log())).sum().item()
        assert found[row].item() == pytest.approx(by_hand, rel=1e-4)
    assert (likelihood.divergence(model, model, UNEQUAL_PROMPTS, responses) == 0).all()


def test_divergence_is_the_expected_log_ratio():
    """Averaged over the model's own responses it is the mean of log π − log π_ref."""
    model, reference = spread(tiny()), spread(tiny(seed=1))
    prompts = [[1, 3]] * 8000
    responses = sampling.sample(model, prompts, max_new_tokens=5, eos_id=EOS, seed=0, batch_size=4000)
    ratios = likelihood.score(model, prompts, responses) - likelihood.score(reference, prompts, responses)
    found = likelihood.divergence(model, reference, prompts, responses)
    error = 4 * (ratios.std() / 8000**0.5).item()
    assert found.mean().item() == pytest.approx(ratios.mean().item(), abs=error) and found.std() < ratios.std()
