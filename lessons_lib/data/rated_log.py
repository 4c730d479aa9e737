"""A real log of single ratings without its text: who was rated how, from the committed counts of feedbackqa_cdc.

The rows are ``{prompt, completion, rating}``, a rating each, with numbers for texts ("question 7", "passage 2"):
what a threshold, a pairing rule or a smaller budget does to a log can be counted on them, exactly as on the
original rows. `preferences.ratings_to_labels` and `preferences.ratings_to_pairs` take them as they are.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence

from lessons_lib.data import figures

RATINGS = figures.RATINGS  # rating 0 to 3, feedbackqa_cdc's own words


def feedbackqa() -> tuple[list[dict], str]:
    """FeedbackQA's ratings as rows, and a sentence that says where they come from.

    Example:
        >>> rows, source = feedbackqa()
        >>> len(rows), len({row["prompt"] for row in rows})
        (2529, 326)
    """
    profile = figures.committed("feedbackqa_cdc")
    rows, question = [], 0
    for pattern, count in profile["rating_patterns"].items():
        for _ in range(count):
            question += 1
            rows += _question(f"question {question}", pattern)
    return rows, f"{profile['repository']} at {profile['commit'][:7]}: its ratings, counted; no text"


def _question(prompt: str, pattern: str) -> list[dict]:
    """The rows of one question: passages stand between bars, a digit a rating."""
    return [
        {"prompt": prompt, "completion": f"passage {passage}", "rating": int(digit)}
        for passage, ratings in enumerate(pattern.split("|"), 1)
        for digit in ratings
    ]


def by_completion(rows: Iterable[dict], *, up_from: float) -> list[dict]:
    """One row for each rated completion: {prompt, completion, ups, ratings, share_up}; up is ``rating >= up_from``."""
    found = defaultdict(list)
    for row in rows:
        found[row["prompt"], row["completion"]].append(row["rating"] >= up_from)
    return [
        {"prompt": prompt, "completion": completion, "ups": sum(ups), "ratings": len(ups),
         "share_up": sum(ups) / len(ups)}
        for (prompt, completion), ups in found.items()
    ]  # fmt: skip


def keep_each(rows: Iterable[dict], most: int, *, seed: int) -> list[dict]:
    """The log as a smaller budget would have left it: at most `most` ratings of each prompt, drawn at random."""
    rng, by_prompt = random.Random(seed), defaultdict(list)
    for row in rows:
        by_prompt[row["prompt"]].append(row)
    return [row for rated in by_prompt.values() for row in rng.sample(rated, min(most, len(rated)))]


def with_partner(rows: Sequence[dict], *, up_from: float) -> list[dict]:
    """The rows that could stand in a pair: some *other* completion of the prompt got the opposite label."""
    sides = defaultdict(set)
    for row in rows:
        sides[row["prompt"], row["rating"] >= up_from].add(row["completion"])
    return [row for row in rows if sides[row["prompt"], row["rating"] < up_from] - {row["completion"]}]
