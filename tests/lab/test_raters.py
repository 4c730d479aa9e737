"""Simulated thumbs: as many and as noisy as FeedbackQA's, and what pairs keep of them."""

from collections import Counter

import numpy as np
import pytest

from lessons_lib.data import figures, rated_log
from lessons_lib.lab import annotators, checkpoints, world

POOL = checkpoints.pool("sft-0")


@pytest.fixture(scope="module")
def logs():
    return [annotators.rate_replies(POOL, seed=seed) for seed in range(6)]


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


def test_thumbs_follow_the_gold_reward_and_only_training_prompts():
    sure = annotators.rate_replies(POOL, seed=0, raters=(1,) * 300, sharpness=50.0)
    gold = world.gold([row["prompt"] for row in sure], [world.encode(row["completion"].strip()) for row in sure]).total
    median = np.median(POOL.split("train").gold.total)
    decided = np.abs(gold - median) > 0.2
    assert (np.array([row["rating"] for row in sure]) == (gold > median))[decided].all()
    coins = annotators.rate_replies(POOL, seed=0, sharpness=0.0)
    assert np.mean([row["rating"] for row in coins]) == pytest.approx(0.5, abs=0.04)
    assert {row["prompt"] for row in coins} <= set(world.prompts("train"))
