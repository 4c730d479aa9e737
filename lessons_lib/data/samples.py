"""The real datasets without their text: their judgements as rows, whole or a learner's own share of the prompts.

The committed profiles count how each prompt was judged (`figures.TABLES`). Here the counts become rows again, in the
forms of `judgements`, with numbers for texts: "prompt 7", and responses that are longer or shorter than each other as
the originals are. `profile`, `match` and what a learner counts find the original figures in them, except where the
words themselves matter (lengths in words, repeats, turns), and nobody needs the files.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from functools import cache

from lessons_lib.data import figures

SHARE = 0.6  # of the prompts in one learner's sample


def everything(name: str) -> list[dict]:
    """All judgements of a dataset, as rows without text.

    Example:
        >>> rows = everything("tulu1_human_eval")
        >>> len(rows), len({row["prompt"] for row in rows})
        (1150, 332)
    """
    return _rows(name, _prompts(name))


def draw(name: str, rng: random.Random, share: float = SHARE) -> list[dict]:
    """The judgements on a share of the prompts, drawn by `rng`."""
    prompts = _prompts(name)
    return _rows(name, rng.sample(prompts, round(share * len(prompts))))


def source(name: str) -> str:
    """A sentence that says where the rows come from."""
    profile = figures.committed(name)
    return f"{name}: the judgements of {profile['repository']} at {profile['commit'][:7]}, without their texts"


@cache
def _prompts(name: str) -> tuple[str, ...]:
    """A pattern for each prompt."""
    (key,) = figures.TABLES[name]
    return tuple(pattern for pattern, count in figures.committed(name)[key].items() for _ in range(count))


def _rows(name: str, patterns: Sequence[str]) -> list[dict]:
    (key,) = figures.TABLES[name]
    return [row for number, pattern in enumerate(patterns, 1) for row in _READ[key](f"prompt {number}", pattern)]


def _verdicts(prompt: str, pattern: str) -> Iterator[dict]:
    for number, item in enumerate(pattern.split("|"), 1):
        x, y = f"{prompt}, item {number}, x", f"{prompt}, item {number}, y"
        texts = {
            "x": x + " longer" * (item[0] == ">"),
            "y": x if item[0] == "0" else y + " longer" * (item[0] == "<"),
        }
        for code in item[1:].split(","):
            yield {"prompt": prompt, **_verdict(code, texts), "item": f"{prompt}, item {number}"}


def _verdict(code: str, texts: dict[str, str]) -> dict:
    """One verdict from its code: rater, side shown first, outcome, strength, two votes."""
    second = "y" if code[1] == "x" else "x"
    verdict = {"1": "first", "2": "second", "=": "tie", "?": None}[code[2]]
    row: dict[str, object] = {
        "first": texts[code[1]],
        "second": texts[second],
        "verdict": verdict,
        "rater": f"rater {code[0]}",
    }
    if votes := code[3:].replace("~", ""):
        row |= {"slight": "~" in code, "first_acceptable": votes[0] == "+", "second_acceptable": votes[1] == "+"}
    return row


def _ratings(prompt: str, pattern: str) -> Iterator[dict]:
    for number, digits in enumerate(pattern.split("|"), 1):
        item = f"{prompt}, passage {number}"
        yield from ({"prompt": prompt, "completion": item, "label": int(d) >= 2, "item": item} for d in digits)


def _lengths(prompt: str, pattern: str) -> Iterator[dict]:
    for pair in pattern.split("|"):
        chosen, rejected = map(int, pair.split("/"))
        yield {"prompt": prompt, "chosen": "chosen " * chosen, "rejected": "rejected " * rejected}


_READ: dict[str, Callable[[str, str], Iterator[dict]]] = {
    "verdict_patterns": _verdicts,
    "rating_patterns": _ratings,
    "length_patterns": _lengths,
}
