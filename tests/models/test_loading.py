"""Models saved and loaded, and the errors for what cannot be loaded."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import small_models
import torch
from small_models import EOS, tiny
from transformers import (
    BertConfig,
    BertLMHeadModel,
    LlamaConfig,
    LlamaForSequenceClassification,
    T5Config,
    T5ForConditionalGeneration,
)

from lessons_lib.errors import UserError
from lessons_lib.models import loading, making


@pytest.fixture(name="tokenizer")
def _tokenizer():
    return small_models.tokenizer()


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
