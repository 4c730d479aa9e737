"""People's pairs for the shop's model: chat form, splits that share no conversation, thumbs that make no pair."""

import numpy as np
import pytest

from lessons_lib.data import twins
from lessons_lib.data.preferences import check, ratings_to_pairs
from lessons_lib.errors import UserError
from lessons_lib.lab.shop import human
from lessons_lib.lab.shop.samples import END, chat


@pytest.fixture(autouse=True)
def invented(monkeypatch):
    """The dataset's look-alike: what is checked is the machinery."""
    records = twins.load(human.DATASET)
    monkeypatch.setattr(human.real, "load", lambda name: records)
    human._splits.cache_clear()
    yield
    human._splits.cache_clear()


def test_a_transcript_becomes_the_chat_that_the_model_knows():
    assert human.in_chat("\n\nHuman: Hi\n\nAssistant:") == chat("Hi")
    several = "\n\nHuman: Hi\n\nthere\n\nAssistant: Yes?\n\nHuman: Why?\n\nAssistant:"
    assert human.in_chat(several) == (
        "<|im_start|>user\nHi\n\nthere<|im_end|>\n<|im_start|>assistant\nYes?<|im_end|>\n"
        "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n"
    )
    for broken in ("Hi", "\n\nHuman: Hi", "\n\nHuman: Hi\n\nAssistant: Yes."):
        with pytest.raises(ValueError, match="the last one the assistant's and empty"):
            human.in_chat(broken)


def test_splits_share_no_conversation_and_hold_sound_short_pairs():
    prompts = {split: {pair["prompt"] for pair in human.pairs(split)} for split in human.SHARES}
    assert all(prompts.values())
    assert not prompts["train"] & prompts["test"] and not prompts["train"] & prompts["validation"]
    rows = [pair for split in human.SHARES for pair in human.pairs(split)]
    assert len(list(check(rows, shape="paired"))) == len(rows) <= twins.ITEMS
    assert all(pair[side].endswith(END) for pair in rows for side in ("chosen", "rejected"))
    with pytest.raises(UserError, match="expected one of train, validation, test, got 'dev'"):
        human.pairs("dev")


def test_a_seed_draws_its_pairs_and_none_twice():
    one, again, other = (human.draw_pairs(12, seed=seed) for seed in (0, 0, 1))
    assert one == again != other
    assert len({pair["prompt"] for pair in one}) == 12
    with pytest.raises(UserError, match="expected at most"):
        human.draw_pairs(1000, seed=0)


def test_thumbs_are_balanced_and_make_no_pair():
    thumbs = human.draw_thumbs(12, seed=3)
    assert sum(thumb["label"] for thumb in thumbs) == 6
    assert len({thumb["prompt"] for thumb in thumbs}) == 12 and list(ratings_to_pairs(thumbs)) == []
    pairs = {pair["prompt"]: pair for pair in human.pairs("train")}
    for thumb in thumbs:
        assert thumb["completion"] == pairs[thumb["prompt"]]["chosen" if thumb["label"] else "rejected"]


def test_accuracy_counts_what_gained_more(monkeypatch):
    measured = human.PairEvaluator(None, split="test")
    chosen, rejected = np.array([2.0, -1.0, 0.0, -3.0]), np.array([1.0, 0.0, 0.0, -5.0])
    monkeypatch.setattr(measured, "gains", lambda model: (chosen, rejected))
    found = measured(None)
    assert found["accuracy"].estimate == (1 + 0 + 0.5 + 1) / 4  # a tie counts half; both may lose
    assert found["margin"].estimate == (1 - 1 + 0 + 2) / 4
    assert (found["chosen_gain"].estimate, found["rejected_gain"].estimate) == (-0.5, -1.0)


@pytest.mark.real_data
def test_the_original_splits(monkeypatch):
    monkeypatch.undo()
    human._splits.cache_clear()
    assert {split: len(human.pairs(split)) for split in human.SHARES} == {"train": 656, "validation": 158, "test": 280}
