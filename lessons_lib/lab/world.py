"""The lab's text world: a shop assistant's requests and replies, and a gold reward that knows exactly what is good.

A prompt asks for an item, and a reply should offer it::

    <bos> find a red lamp for ann =>     with pleasure . try the red lamp . it costs 10 dollars . <eos>

Texts are words between spaces; a word's id is its place in `VOCABULARY`. The gold reward adds `POINTS`
for what a reply says and how, so that whatever a preference method does to a model can be measured and
not merely judged. This module holds the language, the split, the texts a model learns from and the
reward; it knows nothing of models or training, and needs numpy alone.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

import numpy as np

from lessons_lib.errors import UserError

# ---- The language ----

PAD, BOS, EOS, ARROW = "<pad>", "<bos>", "<eos>", "=>"
VERBS = ("find", "want", "need", "show", "sell")
FEATURES = ("red", "blue", "small", "large", "round", "plain")
CATEGORIES = ("lamp", "chair", "table", "clock", "mirror", "rug")
PEOPLE = ("ann", "ben", "cara", "dan", "eve", "finn", "gus", "hana")
PRICES = ("10", "20", "30", "40", "50", "60")  # dollars, of the categories in their order

PROMPT = BOS + " {verb} a {feature} {category} for {person} " + ARROW
OFFER = "try the {feature} {category} ."
PRICE = "it costs {price} dollars ."
IN_STOCK = "it is in stock ."
SOLD_OUT = "it is sold out ."
POLITE = ("with pleasure .", "happy to help .", "thanks for asking .")
RUDE = ("not you again .", "what now .", "go away .")
FILLERS = (
    "many people like it .",
    "it looks good at home .",
    "we made it by hand .",
    "it comes in a box .",
    "the colour will not fade .",
    "my sister has one too .",
)
CLOSERS = ("see you soon .", "have a nice day .", "that is all .")
REPLY_SENTENCES = (*POLITE, *RUDE, OFFER, PRICE, IN_STOCK, SOLD_OUT, *FILLERS, *CLOSERS)

# Unrelated text, from which a base model learns the words; a diary keeps to one person and one item.
DIARY_SENTENCES = (
    "today {person} saw a {feature} {category} .",
    "the {feature} {category} costs {price} dollars .",
    "{person} has no {category} at home .",
    "{person} asked for a {category} .",
    "the {category} was {feature} .",
    "{person} took the bus home .",
    "{person} likes {feature} things .",
    "rain fell on the market .",
    "the street was quiet .",
    "an old song was on the radio .",
)

MAX_REPLY_TOKENS = 40  # <eos> included
PROMPT_TOKENS = 8


def price_of(category: str) -> str:
    """The true price of an item, which its category decides: every lamp costs 10 dollars, every rug 60."""
    return PRICES[CATEGORIES.index(category)]


def _fillings(sentence: str) -> list[str]:
    """All sentences that a template stands for."""
    slots = {"feature": FEATURES, "category": CATEGORIES, "price": PRICES, "person": PEOPLE, "verb": VERBS}
    used = {name: values for name, values in slots.items() if "{" + name + "}" in sentence}
    return [sentence.format(**dict(zip(used, values, strict=True))) for values in itertools.product(*used.values())]


def _vocabulary() -> tuple[str, ...]:
    texts = [PAD, BOS, EOS, *_fillings(PROMPT), *PRICES]
    for sentence in (*REPLY_SENTENCES, *DIARY_SENTENCES):
        texts += _fillings(sentence)
    return tuple(dict.fromkeys(word for text in texts for word in text.split()))


VOCABULARY = _vocabulary()
ID: Mapping[str, int] = MappingProxyType({word: index for index, word in enumerate(VOCABULARY)})
PAD_ID, BOS_ID, EOS_ID = ID[PAD], ID[BOS], ID[EOS]


def encode(text: str) -> list[int]:
    """The ids of a text's words; a UserError names the first word that the world does not know."""
    try:
        return [ID[word] for word in text.split()]
    except KeyError as error:
        raise UserError(
            f"text: expected words of the lab's {len(VOCABULARY)}, got {error}; see world.VOCABULARY"
        ) from error


def decode(ids: Sequence[int]) -> str:
    """The text of word ids; a response's text is ``" " + decode(ids)``, as it follows its prompt."""
    return " ".join(VOCABULARY[index] for index in ids)


# ---- Prompts and their split ----

SPLIT_SIZES: Mapping[str, int] = MappingProxyType({"test": 256, "validation": 128, "train": 1056})


@cache
def prompts(split: str) -> tuple[str, ...]:
    """The prompts of "train", "validation" or "test": every text of `PROMPT`, dealt out in the order of its SHA-256.

    Train on the first, tune on the second, report on the third. No prompt stands in two of them; held out is
    the request, by whom and with which verb, not the item: each item occurs in training.
    """
    if split not in SPLIT_SIZES:
        raise UserError(f"split: expected one of {', '.join(SPLIT_SIZES)}, got {split!r}")
    shuffled = iter(sorted(_fillings(PROMPT), key=lambda text: hashlib.sha256(text.encode()).digest()))
    return {name: tuple(itertools.islice(shuffled, size)) for name, size in SPLIT_SIZES.items()}[split]


# ---- The texts a model learns from ----


def diary(rng: random.Random) -> str:
    """Three to five sentences of unrelated text about one person and one item, between <bos> and <eos>."""
    return f"{BOS} {_diary_sentences(rng)} {EOS}"


def base_document(rng: random.Random) -> str:
    """What the base model reads: diaries; one text in eight is a prompt, answered mostly by more diary."""
    if rng.random() < 0.88:
        return diary(rng)
    prompt = rng.choice(prompts("train"))
    return f"{prompt} {_diary_sentences(rng)} {EOS}" if rng.random() < 0.8 else prompt + reply(prompt, rng)


def reply(prompt: str, rng: random.Random) -> str:
    """A reply as an imperfect assistant writes it, with its leading space: often another item, a false price, rude.

    Supervised fine-tuning imitates these, faults included; they are what preferences can improve.
    """
    feature, category = prompt.split()[3:5]
    offered = {"feature": _mostly(feature, FEATURES, 0.72, rng), "category": _mostly(category, CATEGORIES, 0.72, rng)}
    opener = rng.choices((POLITE, RUDE, ("",)), weights=(0.29, 0.22, 0.49))[0]
    sentences = [rng.choice(opener), OFFER.format(**offered)]
    if rng.random() < 0.6:
        sentences.append(PRICE.format(price=_mostly(price_of(offered["category"]), PRICES, 0.45, rng)))
    in_stock = rng.random() < 0.4
    sentences += [IN_STOCK] * in_stock
    fillers = rng.sample(FILLERS, rng.choices(range(5), weights=(0.50, 0.28, 0.14, 0.06, 0.02))[0])
    ending = [SOLD_OUT] * (rng.random() < (0.28 if in_stock else 0.2))
    ending += [rng.choice(CLOSERS)] * (rng.random() < 0.3)
    room = MAX_REPLY_TOKENS - 1 - _words(sentences + ending)  # for the fillers, beside <eos>
    while _words(fillers) > room:
        fillers.pop()
    return " " + " ".join(" ".join([*sentences, *fillers, *ending, EOS]).split())


def _diary_sentences(rng: random.Random) -> str:
    feature, category = rng.choice(FEATURES), rng.choice(CATEGORIES)
    facts = {"person": rng.choice(PEOPLE), "feature": feature, "category": category}
    sentences = rng.sample(DIARY_SENTENCES, rng.randint(3, 5))
    return " ".join(sentence.format(**facts, price=price_of(category)) for sentence in sentences)


def _mostly(right: str, choices: Sequence[str], share: float, rng: random.Random) -> str:
    """`right` with probability `share`, else one of the other choices."""
    return right if rng.random() < share else rng.choice([choice for choice in choices if choice != right])


def _words(sentences: Sequence[str]) -> int:
    return len(" ".join(sentences).split())


# ---- The gold reward ----

POINTS: Mapping[str, float] = MappingProxyType(
    {
        "right_feature": +1.0,  # the first feature named is the one asked for
        "right_category": +1.0,  # the first category named is the one asked for
        "right_price": +1.0,  # the first price named is that of the first category named, asked for or not
        "wrong_price": -1.0,  # a price is named, and it is not that
        "polite": +0.5,  # a polite word occurs
        "rude": -1.0,  # a rude word occurs
        "contradiction": -1.0,  # both in stock and sold out
        "repetition": -0.5,  # for each offer, price, in-stock or sold-out claim after the first of its kind
        "excess_length": -0.05,  # for each token over 12, <eos> included
        "ungrammatical": -0.5,  # for each word that may not follow the one before it, at most 4
        "unfinished": -1.0,  # no <eos> at the end
    }
)
FREE_TOKENS = 12
MAX_UNGRAMMATICAL = 4

# A sentence is recognized by one word that no other sentence of a reply has.
_MARKERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "feature": FEATURES,
        "category": CATEGORIES,
        "price": PRICES,
        "polite": ("pleasure", "happy", "thanks"),
        "rude": ("again", "now", "away"),
        "offer": ("try",),
        "in_stock": ("stock",),
        "sold_out": ("sold",),
    }
)
_NOTHING = len(VOCABULARY)  # stands where a reply has no word
_IS = {kind: np.isin([*VOCABULARY, ""], words) for kind, words in _MARKERS.items()}  # by word id, _NOTHING last


def _may_follow() -> np.ndarray:
    """(word, next word) -> whether some reply has the two in this order; nothing may follow anything."""
    allowed = np.zeros((_NOTHING + 1, _NOTHING + 1), dtype=bool)
    allowed[:, _NOTHING] = True
    allowed[ID["."], EOS_ID] = True
    for sentence in itertools.chain.from_iterable(_fillings(template) for template in REPLY_SENTENCES):
        ids = encode(sentence)
        allowed[ids[:-1], ids[1:]] = True
        allowed[[ID[ARROW], ID["."]], ids[0]] = True
    return allowed


def _price_table() -> np.ndarray:
    """Category id -> the id of its price; −1 for every other word and for nothing."""
    table = np.full(_NOTHING + 1, -1)
    for category in CATEGORIES:
        table[ID[category]] = ID[price_of(category)]
    return table


_MAY_FOLLOW = _may_follow()
_PRICE_TABLE = _price_table()


@dataclass(frozen=True)
class Gold:
    """What `gold` found in n replies.

    Attributes:
        counts: part name as in `POINTS` -> (n,) integers, how often each reply earns or pays it.
        lengths: (n,) tokens of each reply, <eos> included.
    """

    counts: Mapping[str, np.ndarray]
    lengths: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """(n,) the gold reward: each part's points times its count. A multiple of 0.05, at most 3.4."""
        return sum(points * self.counts[part] for part, points in POINTS.items()).round(2)

    def points(self, row: int = 0) -> dict[str, float]:
        """What one reply earns and pays, part by part; parts that do not occur are left out."""
        return {
            part: round(points * int(self.counts[part][row]), 2)
            for part, points in POINTS.items()
            if self.counts[part][row]
        }

    @property
    def malformed(self) -> np.ndarray:
        """(n,) booleans: the reply is ungrammatical somewhere or unfinished."""
        return (self.counts["ungrammatical"] > 0) | (self.counts["unfinished"] > 0)


def gold(prompts: Sequence[str | Sequence[int]], replies: Sequence[str | Sequence[int]]) -> Gold:
    """The gold reward of replies to prompts, exact, with all its parts.

    Args:
        prompts: each a text or word ids, as in `PROMPT`.
        replies: each a text or word ids, as many as prompts, with <eos> where it was emitted.

    Example:
        >>> found = gold(["<bos> find a red lamp for ann =>"], ["try the red chair . it costs 20 dollars . <eos>"])
        >>> found.points()
        {'right_feature': 1.0, 'right_price': 1.0}
        >>> found.total
        array([2.])
    """
    asked, asked_lengths = _matrix(prompts)
    words, lengths = _matrix(replies)
    if len(asked) != len(words) or (asked_lengths != PROMPT_TOKENS).any():
        raise ValueError(
            f"expected as many replies as prompts, each prompt of {PROMPT_TOKENS} words, got {len(words)} replies "
            f"and {len(asked)} prompts of {', '.join(map(str, sorted(set(asked_lengths.tolist()))))} words"
        )
    feature, category, price = (_first(words, kind) for kind in ("feature", "category", "price"))
    says = {kind: _IS[kind][words].sum(axis=1) for kind in ("polite", "rude", "offer", "price", "in_stock", "sold_out")}
    price_is_right = price == _PRICE_TABLE[category]
    before = np.column_stack([asked[:, -1], words[:, :-1]])
    ungrammatical = (~_MAY_FOLLOW[before, words]).sum(axis=1)
    last = words[np.arange(len(words)), np.maximum(lengths - 1, 0)]
    counts = {
        "right_feature": feature == asked[:, 3],
        "right_category": category == asked[:, 4],
        "right_price": price_is_right,
        "wrong_price": (says["price"] > 0) & ~price_is_right,
        "polite": says["polite"] > 0,
        "rude": says["rude"] > 0,
        "contradiction": (says["in_stock"] > 0) & (says["sold_out"] > 0),
        "repetition": sum(np.maximum(says[claim] - 1, 0) for claim in ("offer", "price", "in_stock", "sold_out")),
        "excess_length": np.maximum(lengths - FREE_TOKENS, 0),
        "ungrammatical": np.minimum(ungrammatical, MAX_UNGRAMMATICAL),
        "unfinished": last != EOS_ID,
    }
    return Gold({part: np.asarray(count, dtype=np.int64) for part, count in counts.items()}, lengths)


def _matrix(texts: Sequence[str | Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Texts or ids as (n, longest) word ids, filled with _NOTHING, and their (n,) lengths."""
    rows = [encode(text) if isinstance(text, str) else text for text in texts]
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    matrix = np.full((len(rows), max(lengths, default=0) or 1), _NOTHING)
    for row, ids in zip(matrix, rows, strict=True):
        row[: len(ids)] = ids
    return matrix, lengths


def _first(words: np.ndarray, kind: str) -> np.ndarray:
    """(n,) the first word of a kind in each row, or _NOTHING."""
    found = _IS[kind][words]
    return np.where(found.any(axis=1), words[np.arange(len(words)), found.argmax(axis=1)], _NOTHING)
