"""New models and tokenizers: counted by hand, fixed by their seed, refused where they cannot be made."""

from __future__ import annotations

import pytest
import small_models
import torch
from small_models import WORDS, tiny

from lessons_lib.errors import UserError
from lessons_lib.models import making


@pytest.fixture(name="tokenizer")
def _tokenizer():
    return small_models.tokenizer()


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
