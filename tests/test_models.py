"""Small models made, sampled, scored, saved and loaded; and the errors for what cannot be loaded."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from transformers import (
    BertConfig,
    BertLMHeadModel,
    LlamaConfig,
    LlamaForSequenceClassification,
    T5Config,
    T5ForConditionalGeneration,
)

from lessons_lib.errors import UserError
from lessons_lib.models import likelihood, loading, making, sampling

WORDS = ["<pad>", "<bos>", "<eos>", *"abcdefghijklmnopq"]
EOS = 2
UNEQUAL_PROMPTS = [[1, 3, 4], [1, 5, 6, 7, 8, 9], [1], [1, 4, 4, 4]]


def tiny(architecture: str = "gpt2", *, seed: int = 0, **changes):
    shape = dict(vocab_size=len(WORDS), layers=2, width=16, heads=2, max_length=32)
    return making.new_model(architecture, **(shape | changes), seed=seed)


def spread(model, factor: float = 3.0):
    """Larger embeddings, so that a fresh model's predictions are far from uniform."""
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(factor)
    return model


@pytest.fixture
def tokenizer():
    return making.word_level_tokenizer(WORDS, bos="<bos>", eos="<eos>", pad="<pad>")


# ---- new_model ----


@pytest.mark.parametrize("architecture", making.ARCHITECTURES)
def test_new_model_is_fixed_by_its_seed_and_leaves_the_global_one(architecture):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first, again, other = (tiny(architecture, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.rand(3), expected)
    weights = [model.get_input_embeddings().weight for model in (first, again, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert first.get_output_embeddings().weight is weights[0]  # tied
    assert first.dtype == torch.float32 and not first.training


def test_new_model_counts():
    """GPT-2 by hand: 12·w² + 13·w a block with a hidden layer of 4·w, 2·w for the last norm, and the embeddings."""
    w, words, positions = 16, len(WORDS), 32
    assert tiny().num_parameters() == 2 * (12 * w * w + 13 * w) + 2 * w + (words + positions) * w
    assert tiny(feedforward=32).num_parameters() == tiny().num_parameters() - 2 * 32 * (2 * w + 1)


def test_new_model_has_no_dropout():
    model = tiny().train()
    ids = torch.tensor([[1, 3, 4]])
    assert torch.equal(model(ids).logits, model(ids).logits)


def test_unknown_architecture():
    with pytest.raises(UserError, match="expected one of gpt2, llama, qwen2, got 'rnn'"):
        tiny("rnn")


# ---- word_level_tokenizer ----


def test_tokenizer_joins_prompt_and_response_exactly(tokenizer):
    prompt, response = "<bos> a b", " c d <eos>"
    whole = tokenizer(prompt + response, add_special_tokens=False)["input_ids"]
    assert whole == tokenizer(prompt)["input_ids"] + tokenizer(response)["input_ids"] == [1, 3, 4, 5, 6, 2]
    assert tokenizer.decode(whole) == prompt + response
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 2, 0)


def test_tokenizer_refuses_words_it_does_not_know(tokenizer):
    with pytest.raises(Exception, match="UNK"):
        tokenizer("a zebra")


@pytest.mark.parametrize("words", [["<bos>", "<eos>", "a"], ["<pad>", "<bos>", "<eos>", "a", "a"]])
def test_tokenizer_checks_its_words(words):
    with pytest.raises(ValueError, match="expected distinct words"):
        making.word_level_tokenizer(words, bos="<bos>", eos="<eos>", pad="<pad>")


# ---- sample ----


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


# ---- score ----


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


# ---- save and load ----


@pytest.mark.parametrize("architecture", making.ARCHITECTURES)
def test_save_and_load(architecture, tokenizer, tmp_path):
    model = tiny(architecture).to(torch.bfloat16)
    loading.save(model, tokenizer, tmp_path)
    loaded, words = loading.load(tmp_path)
    assert loaded.dtype == torch.float32 and not loaded.training
    assert torch.equal(loaded.get_input_embeddings().weight, model.get_input_embeddings().weight.float())
    assert words("a b")["input_ids"] == [3, 4]


def test_load_gives_every_tokenizer_a_pad_token(tokenizer, tmp_path):
    tokenizer.pad_token = None
    loading.save(tiny(), tokenizer, tmp_path)
    assert loading.load(tmp_path)[1].pad_token_id == EOS


def test_load_without_such_a_folder(tmp_path):
    with pytest.raises(UserError, match="there is no folder"):
        loading.load(tmp_path / "nothing")


def test_an_error_of_transformers_is_told_in_its_first_sentence():
    for said in ("No such model. Try another.", "No such model", "No such model.\nTry another", " No such model... "):
        assert loading.first_sentence(OSError(said)) == "No such model."


def test_load_from_an_empty_folder(tmp_path):
    with pytest.raises(UserError, match="cannot load"):
        loading.load(tmp_path)


SHAPE = dict(vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)


def masked():
    return BertLMHeadModel(BertConfig(**SHAPE, initializer_range=0.5))


def classifier():
    return LlamaForSequenceClassification(LlamaConfig(**SHAPE))


def sequence_to_sequence():
    return T5ForConditionalGeneration(T5Config(vocab_size=20, d_model=16, d_ff=16, num_layers=1, num_heads=2, d_kv=8))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (masked, "depend on tokens that come later"),
        (classifier, "lacks the weights lm_head"),
        (sequence_to_sequence, "expected a causal language model"),
    ],
)
def test_load_refuses_what_is_no_causal_model(make, message, tokenizer, tmp_path):
    make().save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UserError, match=message):
        loading.load(tmp_path)


@pytest.mark.slow
def test_load_offline_says_what_to_do(tmp_path):
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    code = "from lessons_lib.models import loading; loading.load('some-team/some-model')"
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert "UserError: model: cannot load some-team/some-model" in result.stderr
    assert "Check the spelling" in result.stderr and "network" in result.stderr
