"""The committed checkpoints and pools: ordinary transformers folders that hold what the card says."""

from __future__ import annotations

import json
import re
from dataclasses import asdict

import numpy as np
import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from lessons_lib.errors import UserError
from lessons_lib.lab import build, checkpoints, world
from lessons_lib.models import likelihood, sampling


def sampled(model, prompts, seed=0):
    ids = [world.encode(prompt) for prompt in prompts]
    return sampling.sample(model, ids, max_new_tokens=world.MAX_REPLY_TOKENS, eos_id=world.EOS_ID, seed=seed)


@pytest.mark.parametrize("name", checkpoints.NAMES)
def test_transformers_loads_the_folder(name):
    folder = checkpoints.folder(name)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert model.num_parameters() == 45_552
    assert tokenizer.convert_ids_to_tokens(range(len(tokenizer))) == list(world.VOCABULARY)
    assert (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id) == (0, 1, 2)
    assert model.config.eos_token_id == world.EOS_ID


def test_transformers_generates_from_the_text():
    model, tokenizer = checkpoints.load("sft-0")
    inputs = tokenizer("<bos> find a red lamp for ann =>", return_tensors="pt")
    text = tokenizer.decode(model.generate(**inputs, max_new_tokens=40, do_sample=False)[0])
    assert text.startswith("<bos> find a red lamp for ann => ") and text.endswith(". <eos>")


def test_sampling_is_deterministic():
    model, _ = checkpoints.load("sft-1")
    prompts = world.prompts("validation")
    assert sampled(model, prompts) == sampled(checkpoints.load("sft-1")[0], prompts)


def test_base_and_sft_checkpoints_differ():
    prompt, reply = world.encode("<bos> find a red lamp for ann =>"), world.encode("try the red lamp . <eos>")
    scores = [likelihood.score(checkpoints.load(name)[0], [prompt], [reply]).item() for name in checkpoints.NAMES]
    assert len({round(score, 3) for score in scores}) == len(checkpoints.NAMES)
    assert scores[0] < min(scores[1:]) - 3


@pytest.mark.parametrize("name", checkpoints.ALL_SFT_NAMES)
def test_pool_is_this_checkpoints_own(name):
    """Sampled again with its seed, the first replies are those of the pool (rounding on other machines aside)."""
    pool = checkpoints.pool(name)
    assert len(pool.replies) == 16 * (1056 + 128) and pool.per_prompt == 16
    assert pool.prompts == world.prompts("train") + world.prompts("validation")
    some = range(160)
    model, _ = checkpoints.load(name)
    again = sampled(model, [pool.prompt(i) for i in some], seed=checkpoints.ALL_SFT_NAMES.index(name))
    assert np.mean([tuple(reply) == pool.replies[i] for i, reply in zip(some, again, strict=True)]) > 0.95


@pytest.mark.parametrize("name", checkpoints.ALL_SFT_NAMES)
def test_pool_leaves_room_to_improve(name):
    gold = checkpoints.pool(name).gold
    assert gold.total.mean() == pytest.approx(0.8, abs=0.15) and 1 < gold.total.std() < 1.6
    entity = (gold.counts["right_feature"] > 0) & (gold.counts["right_category"] > 0)
    assert entity.mean() == pytest.approx(0.52, abs=0.06)
    assert gold.malformed.mean() < 0.05


def test_pool_splits_by_prompt():
    pool = checkpoints.pool("sft-0")
    train, validation = pool.split("train"), pool.split("validation")
    assert set(train.prompts) == set(world.prompts("train"))
    assert validation.replies == pool.replies[len(train.replies) :]
    assert validation.gold.total.tolist() == pool.gold.total[len(train.replies) :].tolist()
    assert repr(train) == "Pool(16,896 replies to 1,056 prompts)"


def test_pool_round_trip(tmp_path):
    replies = [(5, 2), (300 % 109,) * 40] * 592
    checkpoints.write_pool(tmp_path / "pool.npz", replies)
    assert checkpoints.read_pool(tmp_path / "pool.npz").replies == tuple(replies)


def test_assets_are_small_and_by_the_current_recipe():
    files = [file for file in (checkpoints.ASSETS / "small").rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 4_500_000
    for name in checkpoints.NAMES:
        assert json.loads((checkpoints.folder(name) / "recipe.json").read_text()) == asdict(build.RECIPES["small"])


def test_card_says_what_the_checkpoints_measure():
    """Every number of the card, within what another machine's rounding may change."""
    committed = (checkpoints.ASSETS / "small" / "CARD.md").read_text(encoding="utf-8")
    again = build.card(checkpoints.ASSETS / "small", build.RECIPES["small"], checkpoints.ALL_SFT_NAMES)
    number = re.compile(r"-?\d+\.\d+")
    assert number.sub("", committed) == number.sub("", again)
    pairs = zip(number.findall(committed), number.findall(again), strict=True)
    assert all(abs(float(old) - float(new)) < 0.1 for old, new in pairs)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: checkpoints.load("sft-12"), "expected one of base, sft-0, .*, sft-11, got 'sft-12'"),
        (lambda: checkpoints.load("base", "huge"), "lab build --size huge"),
        (lambda: checkpoints.pool("base"), "expected one of sft-0, .*, sft-11, got 'base'"),
    ],
)
def test_errors_say_what_to_do(call, message):
    with pytest.raises(UserError, match=message):
        call()
