"""The evaluation: what it says of models whose answer is known, and that it never looks at training prompts."""

from __future__ import annotations

import copy
from dataclasses import fields

import numpy as np
import pytest
import torch

from lessons_lib.errors import UserError
from lessons_lib.lab import checkpoints, world
from lessons_lib.lab.evaluation import Evaluation, Evaluator, evaluate
from lessons_lib.metrics import mean_interval
from lessons_lib.models import likelihood, sampling


@pytest.fixture(scope="module")
def reference():
    return checkpoints.load("sft-0")[0]


@pytest.fixture(scope="module")
def evaluator(reference):
    return Evaluator(reference)


@pytest.fixture(scope="module")
def of_itself(evaluator, reference):
    return evaluator(reference)


@pytest.fixture(scope="module")
def of_base(evaluator):
    return evaluator(checkpoints.load("base")[0])


def intervals(evaluation: Evaluation):
    named = {f.name: getattr(evaluation, f.name) for f in fields(evaluation) if f.name != "parts"}
    return named | evaluation.parts


def test_only_test_prompts_are_used(evaluator):
    used = {world.decode(prompt) for prompt in evaluator.prompts}
    assert used == set(world.prompts("test")) and len(evaluator.prompts) == 512


def test_a_model_against_itself(of_itself):
    assert of_itself.kl.estimate == of_itself.forgetting.estimate == 0
    assert not of_itself.win_rate.excludes(0.5) and of_itself.win_rate.half_width < 0.05
    assert 0.5 < of_itself.base_nll.estimate < 1  # nats a token; uniform over the words would be 4.7
    assert of_itself.chosen_logp.estimate > of_itself.rejected_logp.estimate  # SFT leans to better replies already


def test_win_rate_counts_independent_replies_and_half_of_the_ties(reference, evaluator, of_itself):
    golds = []
    for seed in (0, 1):
        replies = sampling.sample(reference, evaluator.prompts, max_new_tokens=40, eos_id=world.EOS_ID, seed=seed)
        golds.append(world.gold(evaluator.prompts, replies).total)
    ours, theirs = golds
    assert (ours == theirs).mean() > 0.01
    expected = (ours > theirs).mean() + 0.5 * (ours == theirs).mean()
    assert of_itself.win_rate.estimate == pytest.approx(expected)


def test_every_interval_is_sane(of_itself, of_base):
    for evaluation in (of_itself, of_base):
        for name, interval in intervals(evaluation).items():
            assert interval.low <= interval.estimate <= interval.high, name
            assert np.isfinite([interval.low, interval.high]).all(), name
            assert 150 <= interval.n <= 256, name
    assert 0.05 < of_itself.gold.half_width < 0.2


def test_parts_add_up_to_gold(of_itself):
    total = sum(points * of_itself.parts[part].estimate for part, points in world.POINTS.items())
    assert total == pytest.approx(of_itself.gold.estimate, abs=1e-3)
    assert set(of_itself.parts) == set(world.POINTS)


def test_gold_is_that_of_the_pool(of_itself):
    """Test prompts are no harder than those of the pool: the same world, other people and verbs."""
    pool = checkpoints.pool("sft-0").gold
    assert of_itself.gold.estimate == pytest.approx(pool.total.mean(), abs=0.2)
    assert of_itself.length.estimate == pytest.approx(pool.lengths.mean(), abs=1)


def test_base_against_sft(of_base):
    assert of_base.win_rate.high < 0.1 and of_base.malformed.low > 0.9
    assert of_base.gold.high < -2 and of_base.kl.low > 5
    assert of_base.chosen_logp.high < -12


def test_kl_agrees_with_the_plain_estimate_and_has_less_noise(reference, of_base):
    """The mean of log π(y|x) − log π_ref(y|x) over other replies of the same model."""
    base = checkpoints.load("base")[0]
    prompts = [world.encode(prompt) for prompt in world.prompts("test")] * 4
    replies = sampling.sample(base, prompts, max_new_tokens=40, eos_id=world.EOS_ID, seed=5)
    ratios = likelihood.score(base, prompts, replies) - likelihood.score(reference, prompts, replies)
    plain = mean_interval(ratios.reshape(4, -1).mean(dim=0))
    assert plain.estimate == pytest.approx(of_base.kl.estimate, abs=plain.half_width + of_base.kl.half_width)
    assert of_base.kl.half_width < plain.half_width * 2  # from half as many replies


def test_entropy_and_kl_follow_the_model(reference, evaluator, of_itself):
    """Sharper predictions: lower entropy of its own replies, and drift from the reference."""
    sharper = copy.deepcopy(reference)
    with torch.no_grad():
        sharper.transformer.ln_f.weight.mul_(1.5)
        sharper.transformer.ln_f.bias.mul_(1.5)
    found = evaluator(sharper)
    assert found.entropy.high < of_itself.entropy.low
    assert found.kl.low > 0


def test_forgetting_sees_a_damaged_model(reference, evaluator):
    damaged = copy.deepcopy(reference)
    with torch.no_grad():
        weight = damaged.transformer.wte.weight
        weight += 0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    found = evaluator(damaged)
    assert found.forgetting.low > 0.5
    assert found.forgetting.estimate == pytest.approx(
        found.base_nll.estimate - evaluator(reference).base_nll.estimate, abs=1e-6
    )


def test_same_seed_same_answer(reference, of_itself):
    assert evaluate(reference, reference) == of_itself
    assert evaluate(reference, reference, seed=1).gold != of_itself.gold


def test_row_is_the_estimates(evaluator, reference, of_itself):
    row = evaluator.row(reference, step=0)
    assert row == {name: interval.estimate for name, interval in intervals(of_itself).items()}


def test_fewer_samples_and_validation(reference):
    small = evaluate(reference, reference, split="validation", samples=64)
    assert small.gold.n == 32  # prompts, two replies each


@pytest.mark.parametrize("samples", [2, 33, 514])
def test_samples_must_fit_the_prompts(reference, samples):
    with pytest.raises(UserError, match="expected a multiple of"):
        Evaluator(reference, samples=samples)
