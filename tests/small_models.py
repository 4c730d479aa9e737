"""Fresh models of a few thousand weights over twenty words, for the tests of models."""

from __future__ import annotations

import torch

from lessons_lib.models import making

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


def tokenizer():
    return making.word_level_tokenizer(WORDS, bos="<bos>", eos="<eos>", pad="<pad>")
