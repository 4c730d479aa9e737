"""A real log of single ratings without its text: who was rated how, from the committed counts of feedbackqa_cdc.

The rows are ``{prompt, completion, rating}``, a rating each, with numbers for texts ("question 7", "passage 2"):
what a threshold, a pairing rule or a smaller budget does to a log can be counted on them, exactly as on the
original rows. `preferences.ratings_to_labels` and `preferences.ratings_to_pairs` take them as they are.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter, defaultdict
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
    return [
        {"prompt": prompt, "completion": completion, "ups": sum(ups), "ratings": len(ups),
         "share_up": sum(ups) / len(ups)}
        for (prompt, completion), ups in _votes(rows, up_from).items()
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


def agreement(rows: Iterable[dict], *, up_from: float) -> tuple[float, float]:
    """How often two raters of one completion give the same label, and the same beyond chance.

    All pairs of raters, pooled. Beyond chance is (agreement − chance) / (1 − chance), where chance is what two
    raters would reach who call the same share of completions up without looking: 0 for them, 1 at most.
    """
    rows = list(rows)
    alike = [
        one == other for votes in _votes(rows, up_from).values() for one, other in itertools.combinations(votes, 2)
    ]
    up = sum(row["rating"] >= up_from for row in rows) / len(rows)
    chance, share = up**2 + (1 - up) ** 2, sum(alike) / len(alike)
    return share, (share - chance) / (1 - chance)


def asked_again(
    rows: Iterable[dict], *, up_from: float, raters: int, draws: int = 20, seed: int = 0
) -> dict[str, float]:
    """Pairs made from `raters` agreeing ratings a completion, judged by one further rater of each completion.

    Returns:
        Shares of the pairs: "confirmed" (chosen up, rejected down), "undecided" (both the same), "reversed".
        Which raters are asked first is drawn at random, `draws` times.
    """
    rng, found = random.Random(seed), Counter[str]()
    by_prompt = defaultdict(list)
    for (prompt, _), votes in _votes(rows, up_from).items():
        if len(votes) > raters:
            by_prompt[prompt].append(votes)
    for _ in range(draws):
        for completions in by_prompt.values():
            shuffled = [rng.sample(votes, len(votes)) for votes in completions]
            found.update(_outcomes([votes for votes in shuffled if len(set(votes[:raters])) == 1], raters))
    return {outcome: found[outcome] / found.total() for outcome in ("confirmed", "undecided", "reversed")}


def _votes(rows: Iterable[dict], up_from: float) -> dict[tuple[str, str], list[bool]]:
    votes = defaultdict(list)
    for row in rows:
        votes[row["prompt"], row["completion"]].append(row["rating"] >= up_from)
    return votes


def _outcomes(completions: list[list[bool]], raters: int) -> Iterable[str]:
    """What the next rater says of every pair of completions that the first raters put apart."""
    for one, other in itertools.combinations(completions, 2):
        if one[0] != other[0]:
            chosen, rejected = (one, other) if one[0] else (other, one)
            yield {(True, False): "confirmed", (False, True): "reversed"}.get(
                (chosen[raters], rejected[raters]), "undecided"
            )
