"""A reader's own model and pairs: a local folder stands for it, a file or a dataset's look-alike for them."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers import models as parts
from transformers import PreTrainedTokenizerFast

from lessons_lib.benchmark import own
from lessons_lib.data import twins
from lessons_lib.data.preferences import prompt_keys
from lessons_lib.errors import UserError
from lessons_lib.models import likelihood, loading, making
from lessons_lib.training import loop
from lessons_lib.training.config import TrainConfig


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
    assert own.named_model() is None
    monkeypatch.setenv("LESSONS_MODEL", "  ")
    assert own.named_model() is None
    monkeypatch.setenv("LESSONS_MODEL", "some/model ")
    assert own.named_model() == "some/model"


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """A file of pairs on 60 prompts, two on each; the longest, of 30 more bytes, on every third."""
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    rows = [
        {"prompt": f"Say {n}{'!' * (n % 3 // 2 * 30)}", "chosen": f" {n} it is{end}", "rejected": f" no, not {n}{end}"}
        for n in range(60)
        for end in (".", "?")
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_arms_and_stages_are_compared_on_held_out_prompts(folder, pairs):
    arms = ("dpo", "kto", "simpo", ("sft", "dpo"))
    table = own.compare(
        folder, arms, data=str(pairs), steps=8, batch_size=4, learning_rate=3e-3, test_pairs=16, progress=False
    )
    assert list(table.index) == ["untouched", "dpo", "kto", "simpo", "sft → dpo"]
    assert table.attrs["rows"].endswith("to train on, 16 held out") and (table.pairs == 16).all()
    start, trained = table.loc["untouched"], table.drop("untouched")
    assert start.accuracy == 0.5 and start.margin == 0 and np.isnan(start.peak_MB)
    assert ((trained.accuracy_low <= trained.accuracy) & (trained.accuracy <= trained.accuracy_high)).all()
    assert (trained.seconds > 0).all() and trained.margin.abs().min() > 1e-4
    assert trained.margin.nunique() == len(trained)  # each trained a copy of its own
    assert (trained.peak_MB / trained.predicted_MB - 1).abs().max() < 0.15
    assert (trained.chosen_logp_change - trained.rejected_logp_change - trained.margin).abs().max() < 1e-4


def test_a_later_stage_is_measured_from_the_start_and_trained_from_the_earlier_one(folder, pairs):
    setup = own.load(folder, str(pairs))
    config = TrainConfig(batch_size=4, max_steps=6, learning_rate=3e-3, warmup_steps=1)
    first = own.train_arm(setup, "sft", config)
    second = own.train_arm(setup, "dpo", config, model=first)
    alone = own.train_arm(setup, "dpo", config)
    margins = [
        own.measure(setup, m, setup.pairs["test"], config)["margin"] for m in (setup.model, first, second, alone)
    ]
    assert margins[0] == 0 and len({round(margin, 4) for margin in margins}) == 4


def test_the_same_seed_gives_the_same_numbers_and_no_training_gives_no_margin(folder, pairs):
    options = {"data": str(pairs), "steps": 2, "batch_size": 4, "progress": False}
    one, two = (own.compare(folder, ("orpo",), learning_rate=1e-3, **options) for _ in range(2))
    assert one.margin["orpo"] == pytest.approx(two.margin["orpo"], abs=1e-5)
    still = own.compare(folder, ("orpo",), learning_rate=1e-12, **options)
    assert abs(still.margin["orpo"]) < 1e-3
    assert still.likelier["untouched"] == still.likelier["orpo"]


@pytest.mark.parametrize(("arm", "batch", "epochs"), [("dpo", 1, 1), ("kto", 2, 1), ("sft", 2, 2)])
def test_every_arm_takes_as_many_responses_a_step_and_as_many_steps(arm, batch, epochs, folder, pairs, monkeypatch):
    """A pair is two of KTO's rows and one of SFT's, of which it reads half."""
    seen = {}
    monkeypatch.setattr(
        loop,
        "train",
        lambda model, rows, method, config, **_: seen.update(rows=rows, config=config) or SimpleNamespace(model=model),
    )
    setup = own.load(folder, str(pairs))
    own.train_arm(setup, arm, TrainConfig(batch_size=8, epochs=3))
    assert (seen["config"].batch_size, seen["config"].epochs) == (8 * batch, 3 * epochs)
    assert len(seen["rows"]) == len(setup.pairs["train"]) * (2 if arm == "kto" else 1)


def test_the_splits_share_no_prompt(folder, pairs):
    setup = own.load(folder, str(pairs))
    assert {name: len(rows) for name, rows in setup.pairs.items()}.keys() == own.SHARES.keys()
    train, validation, test = (prompt_keys(rows) for rows in setup.pairs.values())
    assert len(train) + len(validation) + len(test) == 60 == len(train | validation | test)
    assert len(train) > len(test) > len(validation)


def test_long_pairs_are_left_out_and_counted(folder, pairs):
    setup = own.load(folder, str(pairs), max_tokens=40)
    kept = [row for rows in setup.pairs.values() for row in rows]
    assert setup.source == f"{pairs}; 80 of 120 pairs have at most 40 tokens" and len(kept) == 80
    assert not any("!" in row["prompt"] for row in kept)
    assert sum(map(len, own.load(folder, str(pairs)).pairs.values())) == 120


def test_a_dataset_that_cannot_be_had_has_a_look_alike_where_it_may(folder, without_files):
    setup = own.load(folder, "pandalm_testset", or_invented=True)
    assert "invented rows" in setup.source
    assert all(row["prompt"].endswith("\n\n") for row in setup.pairs["train"])  # parted from the answer
    with pytest.raises(UserError, match="no connection"):
        own.load(folder, "pandalm_testset")


def test_a_chat_model_reads_messages():
    row = own.as_chat({"prompt": "Ask", "chosen": "Yes", "rejected": "No"})
    assert row["prompt"] == [{"role": "user", "content": "Ask"}]
    assert row["rejected"] == [{"role": "assistant", "content": "No"}]


def test_measures_by_hand(folder, pairs):
    """Gains in log-prob, one pair at a time, from the likelihood of the two models."""
    setup, config = own.load(folder, str(pairs)), TrainConfig(batch_size=4, max_steps=4, learning_rate=3e-3)
    trained = own.train_arm(setup, "ipo", config)
    test = setup.pairs["test"]
    encode = lambda text: setup.tokenizer(text)["input_ids"]  # noqa: E731
    prompts, sides = [encode(row["prompt"]) for row in test], {}
    for side in ("chosen", "rejected"):
        replies = [[*encode(row[side]), setup.tokenizer.eos_token_id] for row in test]
        now, before = (likelihood.score(model, prompts, replies).numpy() for model in (trained, setup.model))
        sides[side] = now - before, now / [len(reply) for reply in replies]
    (chosen, by_token), (rejected, other) = sides["chosen"], sides["rejected"]
    found = own.measure(setup, trained, test, config)
    assert found["chosen_logp_change"] == pytest.approx(chosen.mean(), abs=1e-4)
    assert found["rejected_logp_change"] == pytest.approx(rejected.mean(), abs=1e-4)
    assert found["margin"] == pytest.approx((chosen - rejected).mean(), abs=1e-4)
    assert found["likelier"] == (by_token > other).mean() and found["pairs"] == len(test)
    assert found["accuracy"] == pytest.approx((chosen > rejected).mean())  # two pairs on every prompt: no difference


def test_a_prompt_is_one_unit_and_a_tie_half_a_win():
    """Four pairs, two of them on one prompt: gains of 2, −1, 3 and 0 nats."""
    found = own._wins_of_pairs([{"prompt": name} for name in ("a", "a", "b", "c")], [2.0, -1.0, 3.0, 0.0])
    assert list(found.values()) == [1 / 2, 1, 1 / 2]


def test_thumbs_are_ranked_against_all_of_the_other_kind():
    """Ups gained 3, 1 and 0, downs 1 and −1; so an up of 3 beats both, of 1 one and a half, of 0 one."""
    thumbs = [{"prompt": p, "completion": "x", "label": up} for p, up in zip("aabcd", (1, 0, 1, 1, 0), strict=True)]
    found = own._wins_of_thumbs(thumbs, [3.0, 1.0, 1.0, 0.0, -1.0])
    down = (0 + 0.5 + 1) / 3  # wrong against 3 ups: none of those above it counts against it, one is equal, one below
    assert list(found.values()) == pytest.approx([(1 + (1 - down)) / 2, 0.75, 0.5, 1.0])
    with pytest.raises(UserError, match="of both kinds"):
        own._wins_of_thumbs(thumbs[:1], [1.0])


def test_a_log_is_split_by_prompt_and_each_arm_takes_its_own(folder, monkeypatch):
    log = [{"prompt": f"Say {n // 2}", "completion": f" {n}", "label": n % 2 == 0} for n in range(200)]
    setup = own.from_rows(*loading.load(folder), log, "a log")
    assert sum(map(len, setup.thumbs.values())) == 200 and sum(map(len, setup.pairs.values())) == 100
    seen = {}
    monkeypatch.setattr(
        loop, "train", lambda model, rows, method, config, **_: seen.update({method: rows}) or SimpleNamespace(model=0)
    )
    for arm in ("kto", "sft", "dpo"):
        own.train_arm(setup, arm, TrainConfig())
    assert seen["kto"] == setup.thumbs["train"] and seen["dpo"] == setup.pairs["train"]
    assert seen["sft"] and all(row["label"] for row in seen["sft"])


def test_replies_are_measured(folder, pairs):
    setup = own.load(folder, str(pairs))
    trained = own.train_arm(setup, "dpo", TrainConfig(batch_size=4, max_steps=6, learning_rate=3e-3))
    rows = setup.pairs["test"][:6]
    before, after = (own.sampled(setup, model, rows, most_tokens=12, seed=3) for model in (setup.model, trained))
    assert [reply["kl"] for reply in before] == pytest.approx([0.0] * 6, abs=1e-6)
    assert all(reply["kl"] > 0 for reply in after)
    assert all(reply["length"] <= 12 and reply["ended"] == (reply["length"] < 12) for reply in before)
    assert own.sampled(setup, trained, rows, most_tokens=12, seed=3) == after


@pytest.mark.parametrize("rank", [None, 2])
def test_weights_that_were_kept_are_those_that_were_trained(rank, folder, pairs, tmp_path):
    setup = own.load(folder, str(pairs))
    config = TrainConfig(batch_size=4, max_steps=2, learning_rate=3e-3, lora_rank=rank)
    trained = own.train_arm(setup, "dpo", config)
    own.keep_weights(trained, tmp_path / "best.pt")
    again = own.kept_weights(setup, config, tmp_path / "best.pt")
    rows = setup.pairs["test"]
    assert own.measure(setup, again, rows, config) == pytest.approx(own.measure(setup, trained, rows, config))
    assert own.measure(setup, again, rows, config)["margin"] != 0


def test_repetition_counts_what_stood_before():
    assert own.repetition([5, 5, 5, 5, 5, 5]) == pytest.approx(2 / 3)  # three sequences of four, one of them new
    assert own.repetition([1, 2, 3]) == 0.0  # too short to repeat


def test_what_cannot_be_had_is_said(folder, pairs):
    data = {"data": str(pairs), "progress": False}
    with pytest.raises(UserError, match="model"):
        own.compare("./no/such/folder", ("dpo",), **data)
    with pytest.raises(UserError, match="arms: expected some of dpo, ipo, .*, got ppo"):
        own.compare(folder, ("ppo",), steps=1, **data)
    with pytest.raises(UserError, match=r"have at most 160 tokens: expected at least 4000 for train, got \d+ train, "):
        own.compare(folder, ("dpo",), batch_size=4000, **data)
    with pytest.raises(
        UserError, match="expected at least 8 for train and 2 for test, got 0 train, 0 validation, 0 test"
    ):
        own.compare(folder, ("dpo",), max_length=3, **data)


def test_a_benchmark_needs_validation_prompts_and_a_lesson_none(folder, without_files):
    """The look-alike that lessons fall back to has 29 pairs."""
    table = own.compare(folder, (), batch_size=2, progress=False)
    assert "invented rows" in table.attrs["rows"]
    few = own.load(folder, "pandalm_testset", or_invented=True)
    with pytest.raises(UserError, match="2 for validation, got"):
        few.expect(train=2, validation=2, test=2)
