"""Sampling: the slow readable sampler, the model's distribution, the seed."""

from __future__ import annotations

import pytest
import torch
from small_models import EOS, UNEQUAL_PROMPTS, WORDS, spread, tiny

from lessons_lib.models import making, sampling


@torch.no_grad()
def slow_sample(model, prompts, *, max_new_tokens, seed, temperature=1.0):
    """One prompt at a time, no cache, the first token whose cumulative probability exceeds the uniform number."""
    uniforms = torch.rand(
        len(prompts), max_new_tokens, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    responses = []
    for prompt, luck in zip(prompts, uniforms.tolist(), strict=True):
        ids, response = list(prompt), []
        for u in luck:
            probabilities = (model(torch.tensor([ids])).logits[0, -1].double() / temperature).softmax(0).tolist()
            total, token = 0.0, -1
            while total <= u:
                token += 1
                total += probabilities[token]
            response.append(token)
            ids.append(token)
            if token == EOS:
                break
        responses.append(response)
    return responses


@pytest.mark.parametrize("architecture", making.ARCHITECTURES)
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_sample_is_the_slow_readable_sampler(architecture, temperature):
    model = spread(tiny(architecture))
    fast = sampling.sample(
        model, UNEQUAL_PROMPTS * 3, max_new_tokens=16, eos_id=EOS, seed=3, temperature=temperature, batch_size=7
    )
    assert fast == slow_sample(model, UNEQUAL_PROMPTS * 3, max_new_tokens=16, seed=3, temperature=temperature)
    lengths = {len(response) for response in fast}
    assert len(lengths) > 1 and max(lengths) == 16, "the case must have rows that end early and rows that do not"


def test_sample_follows_the_seed_and_not_the_batch():
    model = spread(tiny())
    first, again, batched, other = (
        sampling.sample(model, [[1, 3]] * 50, max_new_tokens=10, eos_id=EOS, seed=seed, batch_size=size)
        for seed, size in ((0, 512), (0, 512), (0, 3), (1, 512))
    )
    assert first == again == batched != other


def test_sample_draws_from_the_models_distribution():
    model = spread(tiny())
    drawn = sampling.sample(model, [[1, 3]] * 20_000, max_new_tokens=1, eos_id=EOS, seed=0, batch_size=5000)
    with torch.no_grad():
        expected = model(torch.tensor([[1, 3]])).logits[0, -1].softmax(0)
    seen = torch.bincount(torch.tensor(drawn).flatten(), minlength=len(WORDS)) / 20_000
    assert (seen - expected).abs().max() < 4 * (0.25 / 20_000) ** 0.5


def test_a_token_of_probability_zero_is_never_drawn():
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]]).expand(4, -1)
    uniforms = torch.tensor([0.0, 0.5, 0.25, 1 - 2**-53], dtype=torch.float64)
    assert sampling._draw(logits, uniforms, 1.0).tolist() == [1, 3, 1, 3]


def test_sample_leaves_the_training_mode():
    model = tiny().train()
    sampling.sample(model, [[1]], max_new_tokens=2, eos_id=EOS, seed=0)
    assert model.training


def test_sample_checks_its_input():
    with pytest.raises(ValueError, match="at least one token"):
        sampling.sample(tiny(), [[1], []], max_new_tokens=2, eos_id=EOS, seed=0)
    with pytest.raises(ValueError, match="temperature"):
        sampling.sample(tiny(), [[1]], max_new_tokens=2, eos_id=EOS, seed=0, temperature=0)
