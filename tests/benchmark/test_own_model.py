"""A reader's own model: a local folder stands for it, on the project's look-alike of a real dataset."""

import math

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers import models as parts
from transformers import PreTrainedTokenizerFast

from lessons_lib import own_model
from lessons_lib.data import twins
from lessons_lib.errors import UserError
from lessons_lib.models import loading, making
from lessons_lib.own_model import compare_on_real_pairs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A new Llama that reads bytes: any text is made of its 256 tokens, and of an end."""
    path = tmp_path_factory.mktemp("own")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(parts.BPE({letter: i for i, letter in enumerate([*alphabet, "<eos>"])}, []))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>")
    model = making.new_model("llama", vocab_size=257, layers=2, width=32, heads=2, max_length=160, seed=0)
    loading.save(model, fast, path)
    return path


@pytest.fixture
def without_files(monkeypatch):
    """As on a machine that has neither the original files nor a network."""

    def load(name, **_):
        raise UserError(f"{name}: no connection")

    original = twins.real.load
    monkeypatch.setattr(twins.real, "load", lambda name, *a, **k: original(name, *a, **k) if a else load(name))


def test_the_variable_names_the_model(monkeypatch):
    monkeypatch.delenv("LESSONS_MODEL", raising=False)
    assert own_model.own_model() is None
    monkeypatch.setenv("LESSONS_MODEL", "  ")
    assert own_model.own_model() is None
    monkeypatch.setenv("LESSONS_MODEL", "some/model ")
    assert own_model.own_model() == "some/model"


def test_methods_and_stages_are_compared_on_held_out_prompts(folder, without_files):
    methods = ("dpo", "kto", "simpo", ("sft", "dpo"))
    table = compare_on_real_pairs(folder, methods, steps=8, batch_size=4, learning_rate=3e-3, progress=False)
    assert list(table.index) == ["start", "dpo", "kto", "simpo", "sft → dpo"]
    assert "invented rows" in table.attrs["rows"]
    trained = table.drop("start")
    assert ((trained.accuracy_low <= trained.pair_accuracy) & (trained.pair_accuracy <= trained.accuracy_high)).all()
    assert (trained.seconds > 0).all() and trained.margin.abs().min() > 1e-4
    assert trained.margin.nunique() == len(trained)  # each trained a copy of its own
    assert (trained.peak_MB / trained.predicted_MB - 1).abs().max() < 0.15


def test_the_same_seed_gives_the_same_numbers_and_no_training_gives_no_margin(folder, without_files):
    options = {"steps": 2, "batch_size": 4, "progress": False}
    one, two = (compare_on_real_pairs(folder, ("orpo",), learning_rate=1e-3, **options) for _ in range(2))
    assert one.margin["orpo"] == pytest.approx(two.margin["orpo"], abs=1e-5)
    still = compare_on_real_pairs(folder, ("orpo",), learning_rate=1e-12, **options)
    assert abs(still.margin["orpo"]) < 1e-3
    assert still.likelier["start"] == still.likelier["orpo"]


def test_held_out_prompts_are_never_trained_on(folder, without_files):
    from lessons_lib.data.preferences import prompt_keys

    tokenizer = loading.load(folder)[1]
    rows, sentence = own_model._rows("pandalm_testset", tokenizer, 160, seed=3)
    assert rows["train"] and rows["held out"]
    assert not prompt_keys(rows["train"]) & prompt_keys(rows["held out"])
    assert all(row["prompt"].endswith("\n\n") for row in rows["train"])
    fewer, told = own_model._rows("pandalm_testset", tokenizer, 120, seed=3)
    texts = [row["prompt"] + max(row["chosen"], row["rejected"], key=len) for part in fewer.values() for row in part]
    assert 0 < len(texts) < sum(map(len, rows.values())) and max(map(len, texts)) < 120  # a byte a token, and the end
    assert f"{len(texts)} of " in told and told != sentence


def test_a_chat_model_reads_messages():
    row = own_model._as_chat({"prompt": "Ask", "chosen": "Yes", "rejected": "No"})
    assert row["prompt"] == [{"role": "user", "content": "Ask"}]
    assert row["rejected"] == [{"role": "assistant", "content": "No"}]


def test_measures_by_hand():
    """Three pairs, two of them on one prompt: gains of 2, −1 and 3 nats."""
    tokens = np.array([2, 2, 2])
    before = own_model._Logps(np.zeros(3), np.zeros(3), tokens, tokens)
    after = own_model._Logps(np.array([1.0, -1.0, 3.0]), np.array([-1.0, 0.0, 0.0]), tokens, tokens)
    measured = own_model._measures(before, after, [{"prompt": name} for name in ("a", "a", "b")])
    assert measured["pair_accuracy"] == pytest.approx((1 / 2 + 1) / 2) and measured["margin"] == pytest.approx(4 / 3)
    assert measured["likelier"] == pytest.approx(2 / 3)
    assert 0 <= measured["accuracy_low"] < measured["accuracy_high"] <= 1 and not math.isnan(measured["accuracy_low"])


def test_what_cannot_be_had_is_said(folder, without_files):
    with pytest.raises(UserError, match="model"):
        compare_on_real_pairs("./no/such/folder", ("dpo",))
    with pytest.raises(UserError, match="method"):
        compare_on_real_pairs(folder, ("ppo",), steps=1, progress=False)
    with pytest.raises(UserError, match="at least 4000 pairs of at most 160 tokens"):
        compare_on_real_pairs(folder, ("dpo",), batch_size=4000)
