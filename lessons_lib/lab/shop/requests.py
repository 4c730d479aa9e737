"""Customers' requests in plain English, and their split: what a model of the shop is asked.

A request is written by one of many people in one of many phrasings, asks for an item, and the prompt says what the
item costs::

    You work in a shop. Ann writes: I want a red lamp. The price of a red lamp is 20 dollars. Answer in one or two
    short, polite sentences and name the price.

Train on "train", choose settings on "validation", report on "test". They share no phrasing, no kind of item and no
person: what is measured on "test" was learned from other sentences about other things. Colours and sizes are shared.
This module knows nothing of models, and needs the standard library alone.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from lessons_lib.errors import UserError

FEATURES = ("red", "blue", "green", "black", "white", "yellow", "brown", "pink", "small", "large")
LOWEST_PRICE, HIGHEST_PRICE = 5, 95  # whole dollars

_CATEGORIES = {
    "train": "lamp chair table clock mirror rug bag coat hat shirt scarf wallet kettle mug bowl vase basket blanket "
    "pillow candle notebook tent backpack bicycle guitar belt",
    "validation": "jacket sweater towel teapot suitcase bench desk stool",
    "test": "sofa drum kite ladder bucket broom radio plate curtain hammock",
}
_PEOPLE = {
    "train": "Ann Ben Cara Dan Eve Finn Gus Hana Ivan Jane Karl Lena Max Nora Omar Pia Quinn Rosa Sam Tara",
    "validation": "Uma Vera Will Yara Zoe Alma Bert Cleo",
    "test": "Dora Emil Fay Glen Hugo Iris Joel Kira Liam Mona",
}
_PHRASINGS = {
    "train": (
        "I want a {item}.",
        "Do you have a {item}?",
        "I am looking for a {item}.",
        "How much is a {item}?",
        "I would like to buy a {item}, please.",
        "Can I get a {item} from you?",
        "Good morning, I need a {item} for my flat.",
        "Hello, do you sell a {item}?",
        "My sister wants a {item} for her birthday.",
        "What would a {item} cost me?",
        "Please tell me the price of a {item}.",
        "I saw a {item} in your window. Is it still there?",
        "Could you put a {item} aside for me?",
        "I have been searching for a {item} all week.",
        "Is there a {item} left in your shop?",
        "We just moved in and need a {item}.",
        "I'd love to have a {item}. What do you ask for it?",
        "Someone told me that you have a {item}.",
        "Hi, one {item} for me, please.",
        "My old one broke, so I need a {item} now.",
    ),
    "validation": (
        "I was hoping to find a {item} today.",
        "Would you have a {item} for me?",
        "What do you charge for a {item}?",
        "A friend of mine asked me to bring her a {item}.",
        "Good evening, I want to order a {item}.",
        "Please show me a {item}.",
    ),
    "test": (
        "Have you got a {item}?",
        "I am after a {item}, if you stock one.",
        "Could I see a {item}, please?",
        "What is the price of a {item} at your place?",
        "For our new office we want a {item}.",
        "Hey, any chance of getting a {item} from you?",
        "My son keeps asking me for a {item}.",
        "I think a {item} is what I need.",
        "Dear shop, I wish to purchase a {item}.",
        "Tell me, is a {item} expensive?",
    ),
}
CATEGORIES: Mapping[str, tuple[str, ...]] = MappingProxyType({k: tuple(v.split()) for k, v in _CATEGORIES.items()})
PEOPLE: Mapping[str, tuple[str, ...]] = MappingProxyType({k: tuple(v.split()) for k, v in _PEOPLE.items()})
PHRASINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(_PHRASINGS)
SPLIT_SIZES: Mapping[str, int] = MappingProxyType({"train": 96, "validation": 64, "test": 240})
_SEED = 2026  # of the draw of all requests


@dataclass(frozen=True)
class Request:
    """One customer's request: who writes, in which words, for what, and what that costs in dollars."""

    person: str
    phrasing: str
    feature: str
    category: str
    price: int

    @property
    def item(self) -> str:
        return f"{self.feature} {self.category}"

    @property
    def words(self) -> str:
        """What the customer writes."""
        return self.phrasing.format(item=self.item)

    @property
    def prompt(self) -> str:
        """What the model is told."""
        return (
            f"You work in a shop. {self.person} writes: {self.words} The price of a {self.item} is {self.price} "
            "dollars. Answer in one or two short, polite sentences and name the price."
        )


@cache
def requests(split: str) -> tuple[Request, ...]:
    """The requests of "train", "validation" or "test", none twice; always the same."""
    if split not in SPLIT_SIZES:
        raise UserError(f"split: expected one of {', '.join(SPLIT_SIZES)}, got {split!r}")
    rng = random.Random(f"{_SEED} {split}")
    found: dict[tuple, Request] = {}
    while len(found) < SPLIT_SIZES[split]:
        asked = Request(
            person=rng.choice(PEOPLE[split]),
            phrasing=rng.choice(PHRASINGS[split]),
            feature=rng.choice(FEATURES),
            category=rng.choice(CATEGORIES[split]),
            price=rng.randint(LOWEST_PRICE, HIGHEST_PRICE),
        )
        found.setdefault((asked.phrasing, asked.item), asked)
    return tuple(found.values())


@cache
def _by_prompt() -> dict[str, Request]:
    return {request.prompt: request for split in SPLIT_SIZES for request in requests(split)}


def request_of(prompt: str) -> Request:
    """The request that a prompt was made from."""
    try:
        return _by_prompt()[prompt]
    except KeyError:
        raise UserError(f"prompt: expected one of the shop's requests, got {prompt[:80]!r}") from None


FIXED = 8  # test requests whose replies every evaluation keeps
_FIXED_SEED = 8


def fixed_requests() -> tuple[Request, ...]:
    """Eight test requests, drawn by a seed before any model was trained; none is picked for its replies."""
    return tuple(random.Random(_FIXED_SEED).sample(requests("test"), FIXED))
