"""The text world: its language and split, the texts a model learns from, and the gold reward part by part."""

from __future__ import annotations

import hashlib
import itertools
import random
import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lessons_lib.errors import UserError
from lessons_lib.lab import world

PROMPT = "<bos> find a red lamp for ann =>"
BEST = "with pleasure . try the red lamp . it costs 10 dollars . <eos>"

# reply to PROMPT, the parts it earns or pays, and the total added up by hand
BY_HAND = [
    (BEST, {"right_feature": 1, "right_category": 1, "right_price": 1, "polite": 1, "excess_length": 2}, 3.4),
    ("try the red lamp . <eos>", {"right_feature": 1, "right_category": 1}, 2.0),
    ("try the blue lamp . <eos>", {"right_category": 1}, 1.0),
    ("try the red rug . it costs 60 dollars . <eos>", {"right_feature": 1, "right_price": 1}, 2.0),  # a rug costs 60
    ("try the red rug . it costs 10 dollars . <eos>", {"right_feature": 1, "wrong_price": 1}, 0.0),
    ("go away . try the blue rug . <eos>", {"rude": 1}, -1.0),
    (
        "try the red lamp . it is in stock . it is sold out . <eos>",
        {"right_feature": 1, "right_category": 1, "contradiction": 1, "excess_length": 4},
        2 - 1 - 0.2,
    ),
    (
        "try the red lamp . try the blue rug . <eos>",  # the first offer counts, the second is a repetition
        {"right_feature": 1, "right_category": 1, "repetition": 1},
        1.5,
    ),
    (
        "it costs 10 dollars . try the red lamp . it costs 20 dollars . <eos>",  # the first price counts
        {"right_feature": 1, "right_category": 1, "right_price": 1, "repetition": 1, "excess_length": 4},
        3 - 0.5 - 0.2,
    ),
    ("try the red lamp . it is in stock . it is in stock . <eos>", None, 2 - 0.5 - 0.2),
    ("try the red lamp .", {"right_feature": 1, "right_category": 1, "unfinished": 1}, 1.0),
    ("try red lamp . <eos>", {"right_feature": 1, "right_category": 1, "ungrammatical": 1}, 1.5),
    ("lamp lamp lamp lamp lamp lamp <eos>", {"right_category": 1, "ungrammatical": 4}, -1.0),  # 7 faults, 4 counted
    ("it costs 10 dollars . <eos>", {"wrong_price": 1}, -1.0),  # the price of nothing
    ("<eos>", {"ungrammatical": 1}, -0.5),
    ("", {"unfinished": 1}, -1.0),
    ("<pad> <eos>", {"ungrammatical": 2}, -1.0),
    ("many people like it . have a nice day . that is all . <eos>", {"excess_length": 3}, -0.15),
]


# ---- Language and split ----


def test_vocabulary():
    assert len(world.VOCABULARY) == len(set(world.VOCABULARY)) == 109
    assert (world.PAD_ID, world.BOS_ID, world.EOS_ID) == (0, 1, 2)


def test_split_is_disjoint_complete_and_frozen():
    splits = {name: world.prompts(name) for name in ("train", "validation", "test")}
    assert {name: len(prompts) for name, prompts in splits.items()} == {"train": 1056, "validation": 128, "test": 256}
    everything = [prompt for prompts in splits.values() for prompt in prompts]
    assert len(set(everything)) == len(everything) == 5 * 6 * 6 * 8
    frozen = hashlib.sha256("\n".join(splits["test"]).encode()).hexdigest()
    assert frozen[:12] == "229a86db45d9", "the committed checkpoints and pools were made with another split"


def test_every_item_is_trained_on_and_reported_on():
    for name in ("train", "test"):
        items = {tuple(prompt.split()[3:5]) for prompt in world.prompts(name)}
        assert items == set(itertools.product(world.FEATURES, world.CATEGORIES))


def test_unknown_split():
    with pytest.raises(UserError, match="expected one of test, validation, train, got 'dev'"):
        world.prompts("dev")


@given(st.lists(st.integers(0, len(world.VOCABULARY) - 1), max_size=50))
def test_text_and_ids_round_trip(ids):
    assert world.encode(world.decode(ids)) == ids


def test_encode_names_the_unknown_word():
    with pytest.raises(UserError, match="'zebra'"):
        world.encode("a zebra .")


# ---- Texts ----


def test_replies_fit_and_are_grammatical():
    rng = random.Random(0)
    prompts = rng.choices(world.prompts("train"), k=5000)
    replies = [world.reply(prompt, rng) for prompt in prompts]
    found = world.gold(prompts, replies)
    assert not found.malformed.any() and not found.counts["repetition"].any()
    assert found.lengths.min() == 6 and found.lengths.max() <= world.MAX_REPLY_TOKENS
    assert all(reply.startswith(" ") for reply in replies)  # so that prompt + reply is one text
    shares = {part: (count > 0).mean() for part, count in found.counts.items()}
    expected = {"right_feature": 0.72, "right_category": 0.72, "right_price": 0.27, "wrong_price": 0.33}
    expected |= {"polite": 0.29, "rude": 0.22, "contradiction": 0.4 * 0.28}
    assert {part: shares[part] for part in expected} == pytest.approx(expected, abs=0.03)
    assert found.total.mean() == pytest.approx(0.78, abs=0.08)


def test_base_documents():
    rng = random.Random(0)
    documents = [world.base_document(rng) for _ in range(3000)]
    assert max(len(world.encode(document)) for document in documents) <= world.PROMPT_TOKENS + world.MAX_REPLY_TOKENS
    prompts = [document.partition("=>")[0] + "=>" for document in documents if "=>" in document]
    assert len(prompts) / len(documents) == pytest.approx(0.12, abs=0.02)
    assert set(prompts) <= set(world.prompts("train"))
    assert all(text.startswith("<bos> ") and text.endswith(" <eos>") for text in documents)


def test_a_diary_keeps_to_one_person_and_one_item():
    rng = random.Random(0)
    for _ in range(300):
        words = world.diary(rng).split()
        for kind in (world.PEOPLE, world.FEATURES, world.CATEGORIES):
            assert len(set(words) & set(kind)) <= 1


# ---- Gold reward ----


@pytest.mark.parametrize(("reply", "parts", "total"), BY_HAND)
def test_gold_by_hand(reply, parts, total):
    found = world.gold([PROMPT], [reply])
    assert found.total[0] == pytest.approx(total)
    if parts is not None:
        assert {part: count[0] for part, count in found.counts.items() if count[0]} == parts
    assert sum(found.points().values()) == pytest.approx(total) and 0 not in found.points().values()


def test_gold_of_many_is_gold_of_each():
    """Rows of unequal length share a matrix and do not touch each other."""
    replies = [reply for reply, _, _ in BY_HAND]
    together = world.gold([PROMPT] * len(replies), [world.encode(reply) for reply in replies])
    assert together.total.tolist() == pytest.approx([total for _, _, total in BY_HAND])
    assert together.lengths.tolist() == [len(reply.split()) for reply in replies]


def test_points_are_what_the_parts_are_worth():
    """Every part is earned or paid somewhere by hand, with the sign and size the table says."""
    seen = {part for _, parts, _ in BY_HAND for part in parts or ()}
    assert seen == set(world.POINTS)
    assert sum(points for points in world.POINTS.values() if points > 0) == 3.5


def test_the_best_reply_beats_every_one_that_was_written():
    rng = random.Random(1)
    prompts = rng.choices(world.prompts("train"), k=20_000)
    assert world.gold(prompts, [world.reply(prompt, rng) for prompt in prompts]).total.max() <= 3.4


def test_malformed():
    found = world.gold([PROMPT] * 3, [BEST, "try the red lamp .", "red . <eos>"])
    assert found.malformed.tolist() == [False, True, True]


def test_a_marker_word_belongs_to_its_sentence_alone():
    families = {"polite": world.POLITE, "rude": world.RUDE, "offer": (world.OFFER,)}
    families |= {"in_stock": (world.IN_STOCK,), "sold_out": (world.SOLD_OUT,)}
    for kind, sentences in families.items():
        markers = set(world._MARKERS[kind])
        for sentence in world.REPLY_SENTENCES:
            assert len(markers & set(sentence.split())) == (sentence in sentences), (kind, sentence)


def slow_gold(prompt: str, reply: str) -> dict[str, int]:
    """The gold reward's parts, one reply at a time, on words."""
    asked, words = prompt.split(), reply.split()

    def first(kind):
        return next((word for word in words if word in kind), None)

    def times(*markers):
        return sum(word in markers for word in words)

    feature, category, price = first(world.FEATURES), first(world.CATEGORIES), first(world.PRICES)
    right_price = price is not None and category is not None and price == world.price_of(category)
    claims = [times("try"), times(*world.PRICES), times("stock"), times("sold")]
    pairs = list(itertools.pairwise(["=>", *words]))
    return {
        "right_feature": int(feature == asked[3]),
        "right_category": int(category == asked[4]),
        "right_price": int(right_price),
        "wrong_price": int(price is not None and not right_price),
        "polite": int(times("pleasure", "happy", "thanks") > 0),
        "rude": int(times("again", "now", "away") > 0),
        "contradiction": int(times("stock") > 0 and times("sold") > 0),
        "repetition": sum(max(0, claim - 1) for claim in claims),
        "excess_length": max(0, len(words) - 12),
        "ungrammatical": min(4, sum(not may_follow(*pair) for pair in pairs)),
        "unfinished": int(not words or words[-1] != "<eos>"),
    }


def may_follow(word: str, following: str) -> bool:
    """Whether some text of sentences has the two in this order, by regular expressions over the templates."""
    slots = {"feature": world.FEATURES, "category": world.CATEGORIES, "price": world.PRICES}
    text = rf"(^|.* ){re.escape(word)} {re.escape(following)}( .*|$)"
    for sentence in world.REPLY_SENTENCES:
        for name, values in slots.items():
            wanted = [value for value in values if value in (word, following)]
            sentence = sentence.replace("{" + name + "}", wanted[0] if wanted else values[0])
        if re.match(text, sentence) or (word in ("=>", ".") and sentence.split()[0] == following):
            return True
    return (word, following) == (".", "<eos>")


words = st.sampled_from(world.VOCABULARY)
sentences = st.sampled_from([s for template in world.REPLY_SENTENCES for s in world._fillings(template)])
texts = st.lists(sentences | words, max_size=8).map(" ".join)


@given(
    prompt=st.sampled_from(world.prompts("train")),
    replies=st.lists(texts | texts.map(lambda t: f"{t} <eos>"), min_size=1, max_size=5),
)
@example(prompt=PROMPT, replies=[reply for reply, _, _ in BY_HAND])
@settings(max_examples=150, deadline=None)
def test_vectorized_gold_is_the_slow_readable_one(prompt, replies):
    found = world.gold([prompt] * len(replies), replies)
    for row, reply in enumerate(replies):
        assert {part: count[row] for part, count in found.counts.items()} == slow_gold(prompt, reply), reply
    expected = [
        sum(world.POINTS[part] * count for part, count in slow_gold(prompt, reply).items()) for reply in replies
    ]
    assert np.allclose(found.total, expected)


def test_gold_checks_its_input():
    with pytest.raises(ValueError, match="as many replies as prompts"):
        world.gold([PROMPT], [BEST, BEST])
    with pytest.raises(ValueError, match="each prompt of 8 words, got 2 replies and 2 prompts of 2, 8 words"):
        world.gold([PROMPT, "<bos> find"], [BEST, BEST])
