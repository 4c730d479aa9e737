"""Small models, a word-level tokenizer and a task with an obvious answer, for the tests of training."""

from __future__ import annotations

import random

import torch
from transformers import LlamaConfig, LlamaForSequenceClassification

from lessons_lib.models.making import new_model, word_level_tokenizer

GOOD = [f"good{i}" for i in range(8)]
BAD = [f"bad{i}" for i in range(8)]
ASK = [f"ask{i}" for i in range(8)]
WORDS = ["<bos>", "<eos>", "<pad>", *ASK, *GOOD, *BAD]


def tokenizer():
    return word_level_tokenizer(WORDS, bos="<bos>", eos="<eos>", pad="<pad>")


def model(architecture: str = "gpt2", *, seed: int = 0, max_length: int = 32):
    sizes = dict(vocab_size=len(WORDS), layers=2, width=16, heads=2)
    return new_model(architecture, **sizes, max_length=max_length, seed=seed)


def reward_model(*, seed: int = 0):
    """A classifier with one output over the same words, as reward models are."""
    torch.manual_seed(seed)
    sizes = dict(vocab_size=len(WORDS), num_hidden_layers=1, hidden_size=16, num_attention_heads=2)
    return LlamaForSequenceClassification(LlamaConfig(**sizes, intermediate_size=16, num_labels=1, pad_token_id=2))


def pairs(n: int, *, seed: int = 0) -> list[dict]:
    """Good words are chosen over bad ones; prompts and replies of different lengths."""
    rng = random.Random(seed)

    def text(words):
        return " ".join(rng.choice(words) for _ in range(rng.randint(1, 6)))

    return [{"prompt": f"<bos> {text(ASK)}", "chosen": f" {text(GOOD)}", "rejected": f" {text(BAD)}"} for _ in range(n)]


def thumbs(n: int, *, seed: int = 0) -> list[dict]:
    """Good words have a thumbs up, bad ones a thumbs down, in turn."""
    sides = ("chosen", "rejected")
    return [
        {"prompt": pair["prompt"], "completion": pair[sides[i % 2]], "label": i % 2 == 0}
        for i, pair in enumerate(pairs(n, seed=seed))
    ]


def rows_for(method: str, n: int, *, seed: int = 0) -> list[dict]:
    return thumbs(n, seed=seed) if method == "kto" else pairs(n, seed=seed)
