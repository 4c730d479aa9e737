"""Simulated annotators: every knob measured on the rows that it makes."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from lessons_lib.data import figures, preferences, rated_log
from lessons_lib.errors import UserError
from lessons_lib.lab import annotators, checkpoints, world

MANY = 4000


@pytest.fixture(scope="module")
def pool():
    return checkpoints.pool("sft-0")


def gold_of(rows, column):
    return world.gold([row["prompt"] for row in rows], [row[column] for row in rows])


def gaps(rows):
    """Gold reward of the chosen reply minus that of the rejected one."""
    return gold_of(rows, "chosen").total - gold_of(rows, "rejected").total


def agreement(rows):
    """Share of labels that agree with the gold reward, among pairs that it tells apart."""
    gap = gaps(rows)
    return (gap[gap != 0] > 0).mean()


# ---- Rows ----


@pytest.mark.parametrize("label", [annotators.label_pairs, annotators.label_thumbs])
def test_rows_are_valid_preference_data_on_training_prompts(pool, label):
    rows = label(pool, 1000, seed=0)
    assert len(rows) == 1000
    held_out = annotators.label_pairs(pool, 200, seed=0, split="validation")
    assert list(preferences.check(rows, apart_from=held_out)) == rows
    assert {row["prompt"] for row in rows} <= set(world.prompts("train"))


@pytest.mark.parametrize("label", [annotators.label_pairs, annotators.label_thumbs])
def test_rows_follow_the_seed(pool, label):
    assert label(pool, 50, seed=0) == label(pool, 50, seed=0) != label(pool, 50, seed=1)


def test_validation_rows_are_on_validation_prompts(pool):
    rows = annotators.label_pairs(pool, 100, seed=0, split="validation")
    assert {row["prompt"] for row in rows} <= set(world.prompts("validation"))
    with pytest.raises(UserError, match="no prompts of 'test'"):
        annotators.label_pairs(pool, 100, seed=0, split="test")


def test_text_is_exactly_the_sampled_ids(pool):
    """Prompt and completion, tokenized together, are the prompt's ids and the pool's; no <eos> where none was."""
    _, tokenizer = checkpoints.load("sft-0")
    cut = ("<bos> find a red lamp for ann =>",), (tuple(world.encode("try the red lamp .")),) * 2
    for some, n in ((pool, 200), (checkpoints.Pool(*cut), 2)):
        replies = set(some.replies)
        for row in annotators.label_thumbs(some, n, seed=0):
            ids = tokenizer(row["prompt"] + row["completion"], add_special_tokens=False)["input_ids"]
            assert ids[:8] == world.encode(row["prompt"]) and tuple(ids[8:]) in replies


# ---- Pairs ----


def test_half_the_pool_in_pairs_uses_no_reply_twice(pool):
    train = pool.split("train")
    pairs = annotators._draw_pairs(train, len(train.replies) // 4, np.random.default_rng(0), None)
    assert len(np.unique(pairs)) == pairs.size
    prompts = [(train.prompt(first), train.prompt(second)) for first, second in pairs]
    assert all(first == second for first, second in prompts)


def test_more_pairs_than_the_pool_has_replies(pool):
    rows = annotators.label_pairs(pool, 20_000, seed=0)
    assert len(rows) == 20_000 and all(row["chosen"] != row["rejected"] for row in rows)


def test_labels_agree_with_gold_in_85_of_100(pool):
    assert agreement(annotators.label_pairs(pool, MANY, seed=0)) == pytest.approx(0.85, abs=0.03)


def test_labels_are_bradley_terry(pool):
    """Where gold differs by g, the share of right labels is σ(2·g), bin by bin."""
    gap = gaps(annotators.label_pairs(pool, 20_000, seed=0))
    for size in (0.25, 0.5, 1.0, 1.5):
        labels = gap[np.isclose(abs(gap), size)]
        error = 4 * 0.5 / np.sqrt(len(labels))
        assert len(labels) > 100
        assert (labels > 0).mean() == pytest.approx(torch.tensor(2 * size).sigmoid().item(), abs=error)


def test_sharpness_zero_is_a_coin(pool):
    assert agreement(annotators.label_pairs(pool, MANY, seed=0, sharpness=0)) == pytest.approx(0.5, abs=0.03)


def test_deterministic_labels_are_never_in_doubt(pool):
    assert (gaps(annotators.label_pairs(pool, MANY, seed=0, deterministic=True)) > 0).all()


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.4, 1.0])
def test_flip_rate(pool, rate):
    rows = annotators.label_pairs(pool, MANY, seed=0, deterministic=True, flip_rate=rate)
    assert (gaps(rows) < 0).mean() == pytest.approx(rate, abs=0.03)


def test_flips_change_nothing_but_the_labels(pool):
    clean, flipped = (annotators.label_pairs(pool, 500, seed=0, flip_rate=rate) for rate in (0.0, 1.0))
    assert all(
        a["chosen"] == b["rejected"] and a["rejected"] == b["chosen"] for a, b in zip(clean, flipped, strict=True)
    )


def test_length_bonus(pool):
    def extra_tokens(bonus, **knobs):
        rows = annotators.label_pairs(pool, MANY, seed=0, length_bonus=bonus, **knobs)
        return (gold_of(rows, "chosen").lengths - gold_of(rows, "rejected").lengths).mean()

    assert extra_tokens(0.0) < -1  # gold itself charges for length
    assert extra_tokens(0.15) > 2
    assert extra_tokens(0.5) > extra_tokens(0.15) + 1
    assert extra_tokens(0.15, sharpness=0) == pytest.approx(0, abs=0.5)


def test_a_pool_without_two_different_replies():
    same = checkpoints.Pool(("<bos> find a red lamp for ann =>",), ((5, 2), (5, 2)))
    with pytest.raises(UserError, match="two different replies"):
        annotators.label_pairs(same, 1, seed=0)


# ---- Thumbs ----


def test_thumbs_follow_the_gold_reward(pool):
    rows = annotators.label_thumbs(pool, 15_000, seed=0)
    gold, up = gold_of(rows, "completion").total, np.array([row["label"] for row in rows])
    centred = gold - np.median(pool.split("train").gold.total)
    assert up.mean() == pytest.approx(0.5, abs=0.05)
    for value in np.unique(centred):
        here = centred == value
        if here.sum() > 200:
            expected = torch.tensor(2 * value).sigmoid().item()
            assert up[here].mean() == pytest.approx(expected, abs=4 * 0.5 / np.sqrt(here.sum()))


@pytest.mark.parametrize("share", [0.0, 0.09, 0.5, 0.91, 1.0])
def test_up_share_is_exact_and_shuffled(pool, share):
    rows = annotators.label_thumbs(pool, 1000, seed=0, up_share=share)
    labels = [row["label"] for row in rows]
    assert sum(labels) == round(1000 * share) and len(labels) == 1000
    assert sum(labels[:500]) == pytest.approx(500 * share, abs=60)


def test_thumbs_do_not_repeat_a_sample(pool):
    small = checkpoints.Pool(pool.prompts[:3], tuple((index, 2) for index in range(3, 51)))
    rows = annotators.label_thumbs(small, 48, seed=0)
    assert len({row["completion"] for row in rows}) == 48


def test_thumbs_flip_rate(pool):
    clean, flipped = (annotators.label_thumbs(pool, 2000, seed=0, flip_rate=rate) for rate in (0.0, 0.3))
    assert [row["completion"] for row in clean] == [row["completion"] for row in flipped]
    changed = np.mean([a["label"] != b["label"] for a, b in zip(clean, flipped, strict=True)])
    assert changed == pytest.approx(0.3, abs=0.04)


def test_more_thumbs_than_there_are(pool):
    with pytest.raises(UserError, match="expected at most"):
        annotators.label_thumbs(pool, 20_000, seed=0, up_share=0.9)


# ---------------------------------------------------------------- raters: as many and as noisy as FeedbackQA's


@pytest.fixture(scope="module")
def logs(pool):
    return [annotators.rate_replies(pool, seed=seed) for seed in range(6)]


def test_the_log_has_feedbackqas_counts(logs):
    known = {m.key: m.value for m in figures.committed("feedbackqa_cdc")["measures"]}
    for log in logs:
        assert (len(log), len({row["prompt"] for row in log})) == (known["ratings"], known["questions"])
        assert set(Counter(row["prompt"] for row in log).values()) == {6, 9}
    shares = [np.mean([row["rating"] for row in log]) for log in logs]
    assert np.mean(shares) == pytest.approx(known["up"], abs=0.03)


def test_raters_agree_as_feedbackqas_do(logs):
    known = {m.key: m.value for m in figures.committed("feedbackqa_cdc")["measures"]}
    alike = both = 0
    for log in logs:
        for row in rated_log.by_completion(log, up_from=1):
            ups, downs = row["ups"], row["ratings"] - row["ups"]
            alike += (ups * (ups - 1) + downs * (downs - 1)) / 2
            both += row["ratings"] * (row["ratings"] - 1) / 2
    assert alike / both == pytest.approx(known["agree"], abs=0.02)


def test_the_conversions_keep_what_they_say(logs):
    log = logs[0]
    assert len(annotators.every_thumb(log)) == len(log)
    pairs, kept = annotators.unanimous_pairs(log), annotators.thumbs_in_pairs(log)
    assert 140 < len(pairs) < 260
    labels = {}
    for row in kept:
        labels.setdefault((row["prompt"], row["completion"]), set()).add(row["label"])
    assert all(len(found) == 1 for found in labels.values())  # unanimous
    assert all(labels[p["prompt"], p["chosen"]] == {True} for p in pairs)
    assert all(labels[p["prompt"], p["rejected"]] == {False} for p in pairs)
    assert set(labels) == {(p["prompt"], p[side]) for p in pairs for side in ("chosen", "rejected")}


def test_thumbs_follow_the_gold_reward_and_only_training_prompts(pool):
    sure = annotators.rate_replies(pool, seed=0, raters=(1,) * 300, sharpness=50.0)
    gold = world.gold([row["prompt"] for row in sure], [world.encode(row["completion"].strip()) for row in sure]).total
    median = np.median(pool.split("train").gold.total)
    decided = np.abs(gold - median) > 0.2
    assert (np.array([row["rating"] for row in sure]) == (gold > median))[decided].all()
    coins = annotators.rate_replies(pool, seed=0, sharpness=0.0)
    assert np.mean([row["rating"] for row in coins]) == pytest.approx(0.5, abs=0.04)
    assert {row["prompt"] for row in coins} <= set(world.prompts("train"))
