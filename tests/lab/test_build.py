"""The build: the same bytes from the same recipe, kept where they are there, made again where they are not."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from lessons_lib.__main__ import main
from lessons_lib.lab import build, checkpoints, world
from lessons_lib.models import likelihood, loading, making, sampling

TINY = replace(build.RECIPES["small"], base_steps=4, sft_steps=3, batch_size=16, per_prompt=1, card_samples=8)


def hashes(root):
    files = sorted(file for file in root.rglob("*") if file.is_file())
    return {str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    root = tmp_path_factory.mktemp("built")
    build.build(root, TINY, progress=False)
    return root


def test_same_recipe_same_bytes(built, tmp_path):
    build.build(tmp_path, TINY, progress=False)
    assert hashes(tmp_path) == hashes(built)


def test_build_makes_what_checkpoints_read(built):
    assert {path.name for path in built.iterdir()} == {"base", "sft-0", "sft-1", "sft-2", "CARD.md"}
    pool = checkpoints.read_pool(built / "sft-0" / "pool.npz")
    assert pool.per_prompt == 1 and len(pool.replies) == 1184
    model = loading.load(built / "sft-2")[0]
    prompts = [world.encode(prompt) for prompt in checkpoints.pool_prompts()[:100]]
    again = sampling.sample(model, prompts, max_new_tokens=world.MAX_REPLY_TOKENS, eos_id=world.EOS_ID, seed=2)
    assert checkpoints.read_pool(built / "sft-2" / "pool.npz").replies[:100] == tuple(map(tuple, again))
    weights = [loading.load(path)[0].transformer.wte.weight for path in built.iterdir() if path.is_dir()]
    assert len({weight.sum().item() for weight in weights}) == 4


def test_a_killed_build_goes_on(built, monkeypatch):
    """What is whole stays; what is missing, half done or of another recipe is made again, with the same result."""
    before = hashes(built)
    (built / "sft-1").rename(built / "sft-1.unfinished")
    (built / "sft-2" / "recipe.json").write_text("{}")
    made = []
    fit = build.fit
    monkeypatch.setattr(build, "fit", lambda *arguments: made.append(arguments[-1]) or fit(*arguments))
    build.build(built, TINY, progress=True)
    assert made == ["sft-1", "sft-2"]
    assert hashes(built) == before
    build.build(built, TINY, fresh=True, progress=True)
    assert made[2:] == ["base", "sft-0", "sft-1", "sft-2"]
    assert hashes(built) == before


def test_fit_learns():
    """200 steps bring the texts' log-prob per token from uniform near what the text allows."""
    model = making.new_model("gpt2", vocab_size=109, layers=1, width=16, heads=2, max_length=48, seed=0)
    rng = random.Random(0)
    held_out = [build.demonstration(rng) for _ in range(100)]
    score = lambda: -likelihood.score(model, *zip(*held_out, strict=True), average=True).mean().item()  # noqa: E731
    assert score() == pytest.approx(np.log(109), abs=0.1)
    build.fit(model, iter(lambda: build.demonstration(rng), None), 200, 32, 1e-2, None)
    assert score() < 1.5


def test_demonstrations_are_on_training_prompts():
    rng = random.Random(0)
    prompts = {world.decode(build.demonstration(rng)[0]) for _ in range(500)}
    assert prompts <= set(world.prompts("train"))


def test_batches_hold_texts_of_like_length_in_no_order_of_length():
    rng = random.Random(0)
    lengths = torch.tensor([rng.randint(1, 100) for _ in range(8 * 10 * 8)])
    batches = build._batches(iter([([0], [0] * n) for n in lengths.tolist()]), 8)
    taken = [[len(response) for _, response in next(batches)] for _ in range(80)]
    assert sorted(sum(taken, [])) == sorted(lengths.tolist())
    assert np.mean([np.std(batch) for batch in taken]) < 0.25 * lengths.float().std().item()
    means = [np.mean(batch) for batch in taken]
    assert abs(np.corrcoef(means, np.arange(80) % 8)[0, 1]) < 0.4


@pytest.mark.slow
def test_the_large_recipe_builds(tmp_path):
    recipe = replace(build.RECIPES["large"], base_steps=2, sft_steps=2, batch_size=4, per_prompt=1, card_samples=64)
    build.build(tmp_path, recipe, progress=False)
    model, _ = loading.load(tmp_path / "sft-0")
    assert model.config.model_type == "llama" and 0.9e6 < model.num_parameters() < 1.2e6


def test_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(build.RECIPES, "small", TINY)
    assert main(["lab", "build", "--out", str(tmp_path / "out")]) == 0
    assert "CARD.md" in capsys.readouterr().out and (tmp_path / "out" / "CARD.md").is_file()
    assert main(["lab", "record", "nothing"]) == 2
    told = capsys.readouterr().err
    assert "study: expected one of" in told and "near_deterministic" in told


def test_of_a_base_models_text_everything_but_its_beginning_is_learned():
    start, learned = build._base_text(random.Random(0))
    assert start == [world.BOS_ID] and len(learned) > 2
    assert start + learned == world.encode(world.base_document(random.Random(0)))
