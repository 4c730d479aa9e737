"""What a reply in the shop is worth: a gold reward that reads the text, part by part.

A reply is good if it names the item and its price, is polite, speaks to the customer and stops. `POINTS` says what
each part earns or costs. Every part is a rule on the text that a reader can check, and one did: `labels` holds what
was said of 340 replies without sight of the reward. How fluent a reply is, no part asks; that is measured beside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from lessons_lib.lab.shop.requests import Request

POINTS: Mapping[str, float] = MappingProxyType(
    {
        "item": +1.0,  # names the kind of thing that was asked for
        "feature": +0.5,  # … with the colour or size that was asked for
        "right_price": +1.0,  # names the price
        "wrong_price": -1.0,  # names another amount of money
        "polite": +0.5,  # says something polite
        "addresses": +0.5,  # speaks to the customer: "you", or by name
        "as_customer": -1.0,  # wants the thing itself, or repeats the customer's own sentence
        "script": -0.5,  # writes a script or a form: a line that begins with a label and a colon
        "unended": -1.0,  # does not stop within the tokens it may have
        "excess_length": -0.05,  # for each token over `FREE_TOKENS`
    }
)
READ = tuple(name for name in POINTS if name not in ("unended", "excess_length"))  # what readers can judge
FREE_TOKENS = 30
BEST = sum(points for points in POINTS.values() if points > 0)


@dataclass(frozen=True)
class Gold:
    """What `gold` found in n replies.

    Attributes:
        counts: part name as in `POINTS` -> (n,) integers, how often each reply earns or pays it.
        lengths: (n,) tokens of each reply, the end token included.
    """

    counts: Mapping[str, np.ndarray]
    lengths: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """(n,) the gold reward of each reply, in points."""
        return sum(POINTS[part] * count for part, count in self.counts.items())


def gold(requests: Sequence[Request], texts: Sequence[str], lengths: Sequence[int], ended: Sequence[bool]) -> Gold:
    """The gold reward of replies.

    Args:
        requests: what each reply answers.
        texts: the replies, without the end token.
        lengths: their tokens, the end token included.
        ended: whether each came to its end token.
    """
    lengths = np.asarray(lengths, dtype=int)
    read = [parts(request, text) for request, text in zip(requests, texts, strict=True)]
    counts = {part: np.array([found[part] for found in read], dtype=int) for part in READ}
    counts["unended"] = 1 - np.asarray(ended, dtype=int)
    counts["excess_length"] = np.maximum(lengths - FREE_TOKENS, 0)
    return Gold(counts, lengths)


def parts(request: Request, text: str) -> dict[str, bool]:
    """Which of the parts in `READ` a reply has."""
    amounts = set(money(text))
    return {
        "item": bool(_word(request.category, text)),
        "feature": _has_feature(request, text),
        "right_price": (request.price, "dollar") in amounts,
        "wrong_price": bool(amounts - {(request.price, "dollar")}),
        "polite": bool(_POLITE.search(text)),
        "addresses": bool(_YOU.search(text)) or _calls(request.person, text),
        "as_customer": bool(_wants_it(request, text)) or _echoes(request, text),
        "script": bool(_SCRIPT.search(text)),
    }


def _word(word: str, text: str) -> re.Match | None:
    return re.search(rf"\b{word}(?:e?s)?\b", text, re.IGNORECASE)


def _has_feature(request: Request, text: str) -> bool:
    """Whether the item's feature stands up to two words before its kind, or after it as in "the lamp is red"."""
    kind, gap = rf"{request.category}(?:e?s)?", r"(?:\W+\w+){0,2}\W+"
    before = rf"\b{request.feature}{gap}{kind}\b"
    after = rf"\b{kind}\W+(?:\w+\W+)?(?:is|are|in)\W+(?:\w+\W+)?{request.feature}\b"
    return bool(re.search(f"{before}|{after}", text, re.IGNORECASE))


# ---- Money ----

_UNITS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
_UNITS = (_UNITS + " seventeen eighteen nineteen").split()
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_TENS = dict(zip(_TENS, range(20, 100, 10), strict=True))
_NUMBERS = (
    {name: number for number, name in enumerate(_UNITS)}
    | _TENS
    | {f"{ten}{gap}{_UNITS[one]}": tens + one for ten, tens in _TENS.items() for one in range(1, 10) for gap in " -"}
)
_DIGITS = r"\d+(?:,\d{3})*(?:\.\d+)?"
_SPELLED = "|".join(sorted(_NUMBERS, key=len, reverse=True))
_ONE = r"an?(?= (?:dollar|buck|euro|pound|hundred|thousand|million)\b)"
_AMOUNT = rf"(?:{_DIGITS}|\b(?:{_SPELLED}|{_ONE}))(?:\s+(?:hundred|thousand|million|k)\b)?"
_DOLLARS = r"dollars?|bucks?|usd"
_OTHERS = r"cents?|euros?|pounds?|pence|pesos?|rupees?|yen|yuan|francs?|eur|gbp"
_MONEY = re.compile(
    rf"(?P<sign>[$£€¥])\s?(?P<signed>{_AMOUNT})"
    rf"|(?P<named>{_AMOUNT})[\s-]?(?:us\s)?(?:(?P<dollars>{_DOLLARS})|(?P<others>{_OTHERS}))\b"
    rf"|\b(?:costs?|prices? (?:(?:of|for) (?:\w+\s+){{1,4}})?(?:is|of|at)|priced at|pay)\s+"
    rf"(?:only\s+|just\s+|about\s+)?(?P<bare>{_AMOUNT})"
    rf"(?!\w|[.,]\d|\s?%|[\s-](?!(?:for|and|but|so|to|in|each|per|or|if|at|which|that|with)\b)\w)",
    re.IGNORECASE,
)


def money(text: str) -> list[tuple[float, str]]:
    """The amounts of money that a text names, as (number, "dollar" or another currency).

    Example:
        >>> money("It costs $20, or eighteen euros.")
        [(20.0, 'dollar'), (18.0, 'other')]
    """
    found = []
    for match in _MONEY.finditer(text):
        amount = match["signed"] or match["named"] or match["bare"]
        other = match["others"] or (match["sign"] or "$") != "$"
        found.append((_number(amount), "other" if other else "dollar"))
    return found


def _number(amount: str) -> float:
    words = amount.lower().replace(",", "").split()
    scale = {"hundred": 100, "thousand": 1000, "k": 1000, "million": 1e6}.get(words[-1])
    name = " ".join(words[:-1] if scale else words)
    return (1.0 if name in ("a", "an") else float(_NUMBERS.get(name, name))) * (scale or 1)


# ---- Manners and roles ----

_POLITE = re.compile(
    r"\b(?:please|thanks?|thank you|welcome|glad|happy|pleased|pleasure|delighted|sorry|apologi[sz]e|apologies|"
    r"of course|certainly|absolutely|gladly|sir|madam|ma'am|dear|kindly|appreciate|enjoy|hello|hi|hey|greetings?|"
    r"good (?:morning|evening|day|afternoon)|excuse me|ladies and gentlemen|have a (?:nice|great|good|lovely)|"
    r"what a (?:\w+ )?(?:wonderful|great|lovely|beautiful|fantastic|excellent|good)|"
    r"(?:wonderful|great|fantastic|excellent|good) question|i'm afraid|i am afraid|"
    r"(?:may|can|could) i help|(?:how|what) (?:can|may) i (?:help|do|get)|may i|mr|mrs|ms|sr)\b|(?:^|[.!?]\s+)sure\b",
    re.IGNORECASE | re.MULTILINE,
)
_YOU = re.compile(r"\b(?:you|your|yours|yourself|sir|madam|ma'am)\b", re.IGNORECASE)
_SCRIPT = re.compile(r"^\W*(?:the )?[A-Z][\w']*(?: [A-Z][\w']*)?\W*:", re.MULTILINE)  # "Ann: Yes?"
_PERSONS = {"i", "i'd", "i'm", "me", "my", "we", "us", "our", "you", "your"}
_ECHO = 5  # words in a row of the customer's own, with a person among them


def _calls(person: str, text: str) -> bool:
    """Whether the customer is spoken to by name: at the start, or set off by commas or a greeting."""
    before = r"^\W*|[,.:!?]\s*|\b(?:dear|hi|hello|hey|thanks|thank you|mr\.?|mrs\.?|ms\.?)\s+"
    return bool(re.search(rf"(?:{before}){person}\s*(?:[,.!?\n]|$)", text, re.IGNORECASE))


def _wants_it(request: Request, text: str) -> re.Match | None:
    """The first place where "I" or "we" want, need, seek, would buy or ask to have the thing."""
    item = rf"(?:[\w'-]+\W+){{0,4}}?{request.category}"
    am = r"(?:\s?(?:am|are|was|'m|'re|'ve been|have been)) (?:\w+ )?"
    patterns = (
        rf"\b(?:I|we) (?:\w+ )?(?:want|need|wish|would like|would love)(?: (?:to|for))*(?: \w+)?\W+{item}",
        rf"\b(?:I|we)'d (?:like|love)(?: to)?(?: \w+)?\W+{item}",
        r"\b(?:I|we) (?:\w+ )?(?:want|need) (?:a|an|one|some)\b",
        rf"\b(?:I|we){am}(?:looking|searching|hoping|trying|shopping)(?: (?:for|to \w+))?\W+{item}",
        rf"\b(?:been|was) (?:\w+ )?(?:looking|searching) for\W+{item}",
        rf"\b(?:I|we){am}(?:in need of|considering|interested in|thinking of|going to buy|looking to)\b[^.!?]*\b{item}",
        rf"\b(?:trouble finding|buying)\W+{item}",
        rf"\b(?:can|could|may) (?:I|we) (?:have|get|buy|see|order)\W+{item}",
        rf"\b(?:can|could) you (?!see\b)[^.!?]*\b{request.category}\b[^.!?]*\?",
        rf"\bplease (?:provide|give|show|send|bring|sell)[^.!?]*\b{request.category}\b",
    )
    return next((found for pattern in patterns if (found := re.search(pattern, text, re.IGNORECASE))), None)


def _echoes(request: Request, text: str) -> bool:
    """Whether it repeats the customer's own words, which speak of "I" and "you" from the other side."""
    said, words = (re.findall(r"[\w']+", part.lower()) for part in (text, request.words))
    asked = {tuple(words[i : i + _ECHO]) for i in range(len(words) - _ECHO + 1)}
    own = {run for run in asked if _PERSONS & set(run) and run[0] != "you"}
    return any(tuple(said[i : i + _ECHO]) in own for i in range(len(said) - _ECHO + 1))
