"""What a reader said of sampled replies without seeing the gold reward, and how far the reward agrees, part by part.

`labels.json` holds the guide, the replies and the labels. They were read before any model was trained, in rounds: where
a part's rule was mended after a round, only later rounds count for it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

from lessons_lib.lab.shop.gold import READ, parts
from lessons_lib.lab.shop.requests import Request
from lessons_lib.metrics import Interval, share_interval

ENOUGH = 0.95  # a part that agrees less often is mended and read again, or goes


@dataclass(frozen=True)
class Agreement:
    """Of one part of the gold reward: how often it and the reader say the same, of the same replies."""

    part: str
    agreement: Interval  # over replies
    reader: int  # replies that have the part, says the reader
    gold: int  # says the rule
    both: int  # say both


@cache
def labels() -> dict:
    """The guide, and rounds of replies with the parts that the reader found in each."""
    return json.loads(resources.files("lessons_lib.lab.shop").joinpath("labels.json").read_text(encoding="utf-8"))


def agreement() -> list[Agreement]:
    """A row for each part that a reader can judge, over the rounds that its rule has not seen."""
    return [_agreement(part, *_of(part)) for part in READ]


def table() -> str:
    """`agreement` in Markdown, as the card has it."""
    lines = ["| part | agreement | 95 % | replies | the reader found it in | the rule in | both in |", "|---" * 7 + "|"]
    for row in agreement():
        share = row.agreement
        interval = f"{share.low:.1%} to {share.high:.1%}"
        counts = f"{share.n} | {row.reader} | {row.gold} | {row.both}"
        lines.append(f"| {row.part} | {share.estimate:.1%} | {interval} | {counts} |")
    return "\n".join(lines)


def _of(part: str) -> tuple[list[bool], list[bool]]:
    """(what the reader said, what the rule says) of each reply that counts for a part."""
    replies = [reply for group in labels()["rounds"] if part in group["counts_for"] for reply in group["replies"]]
    said = [part in reply["labels"] for reply in replies]
    found = [parts(Request(**reply["request"]), reply["text"])[part] for reply in replies]
    return said, found


def _agreement(part: str, said: list[bool], found: list[bool]) -> Agreement:
    same = [float(one == other) for one, other in zip(said, found, strict=True)]
    both = sum(one and other for one, other in zip(said, found, strict=True))
    return Agreement(part, share_interval(same), sum(said), sum(found), both)
