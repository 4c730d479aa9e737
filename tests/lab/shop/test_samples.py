"""The shop's pool has the interface of the lab's: the same annotators draw from it, and its numbers are the card's."""

import numpy as np
import pytest

from lessons_lib.data.preferences import check
from lessons_lib.errors import UserError
from lessons_lib.lab import annotators
from lessons_lib.lab.shop import samples
from lessons_lib.lab.shop.requests import requests


@pytest.fixture(scope="module")
def pool():
    return samples.pool("train")


def test_the_pool_answers_each_request_equally_often(pool):
    assert len(pool.replies) == 768 and pool.per_prompt == 8
    assert {pool.prompt(i) for i in range(768)} == {request.prompt for request in requests("train")}
    assert len(samples.pool("validation").replies) == 128
    with pytest.raises(UserError, match="expected one of train, validation, got 'test'"):
        samples.pool("test")


def test_a_reply_and_its_text_belong_together(pool):
    ended = np.array(pool.ended)
    assert (pool.gold.lengths[~ended] == samples.MAX_REPLY_TOKENS).all()  # whoever does not end is cut
    assert all(pool.completion(i).endswith(samples.END) == ended[i] for i in range(768))
    assert len(set(pool.texts)) > 700


def test_the_card_says_what_the_pool_is_worth(pool, root):
    card = (root / "lessons_lib/lab/shop/CARD.md").read_text(encoding="utf-8")
    assert f"Gold reward {pool.gold.total.mean():.2f} ±" in card
    assert all(f"| {part} |" in card and f" {count.mean():.2f} |" in card for part, count in pool.gold.counts.items())


def test_labels_follow_the_gold_reward_and_flips_turn_them(pool):
    worth = {(pool.prompt(i), pool.completion(i)): points for i, points in enumerate(pool.gold.total)}

    def won(rows):
        gaps = np.array([worth[r["prompt"], r["chosen"]] - worth[r["prompt"], r["rejected"]] for r in rows])
        return (gaps[gaps != 0] > 0).mean()

    def draw(**how):
        return check(annotators.label_pairs(pool, 384, seed=0, **how), shape="paired")

    assert won(draw()) > 0.8
    assert won(draw(deterministic=True)) == 1.0
    assert 0.5 < won(draw(flip_rate=0.4)) < 0.65
    assert abs(won(draw(sharpness=0.0)) - 0.5) < 0.08


def test_length_bias_and_thumbs(pool):
    longer = annotators.label_pairs(pool, 384, seed=0, length_bonus=0.5)
    assert np.mean([len(r["chosen"]) > len(r["rejected"]) for r in longer]) > 0.7
    thumbs = annotators.label_thumbs(pool, 384, seed=0, up_share=1 / 11)
    assert len(thumbs) == 384 and sum(row["label"] for row in thumbs) == 35
