"""Preference pairs that `lab.annotators` does not draw: every pair of a pool, the closest ones, a taste that cycles."""

from __future__ import annotations

import itertools
from functools import lru_cache

import numpy as np

from lessons_lib.errors import UserError
from lessons_lib.lab import world
from lessons_lib.lab.checkpoints import Pool

SHARPNESS = 2.0  # of the annotators' choice between two utilities, as in `lab.annotators`
CYCLE = 1.5  # gold points by which one claim beats the next in a circle
STOCK_CLAIMS = ("in stock", "sold out", "neither")  # each is preferred to the next, the last to the first


def every_pair(pool: Pool) -> np.ndarray:
    """(pairs, 2) numbers of two replies to one prompt whose texts differ: all there are, none twice."""
    inside = np.array(list(itertools.combinations(range(pool.per_prompt), 2)))
    pairs = (np.arange(len(pool.prompts))[:, None, None] * pool.per_prompt + inside).reshape(-1, 2)
    differs = [pool.replies[first] != pool.replies[second] for first, second in pairs.tolist()]
    return pairs[np.array(differs)]


def fresh_pairs(pool: Pool, n: int, *, seed: int) -> list[dict]:
    """`n` paired rows from the training prompts, no two replies compared twice, labelled as `label_pairs` does."""
    pool, rng = pool.split("train"), np.random.default_rng(seed)
    pairs = rng.permutation(every_pair(pool))
    if n > len(pairs):
        raise UserError(f"n: this pool has {len(pairs):,} different pairs, got {n:,}")
    return _rows(pool, _chosen_first(pairs[:n], _gap(pool, pairs[:n]), rng))


def close_pairs(pool: Pool, n: int, *, seed: int, most: int = 3) -> list[dict]:
    """`n` paired rows whose replies differ in at most `most` words: inserted, deleted or exchanged."""
    pool, rng = pool.split("train"), np.random.default_rng(seed)
    pairs = rng.permutation(_closest(pool, most))
    if n > len(pairs):
        raise UserError(f"n: this pool has {len(pairs):,} pairs that differ in at most {most} words, got {n:,}")
    return _rows(pool, _chosen_first(pairs[:n], _gap(pool, pairs[:n]), rng))


def cyclic_pairs(pool: Pool, n: int, *, seed: int) -> list[dict]:
    """`n` paired rows of annotators who, gold reward apart, prefer "in stock" to "sold out" to neither to "in stock".

    No reward can order the three. The gold reward is indifferent to them, so it stays what a model should follow.
    """
    pool, rng = pool.split("train"), np.random.default_rng(seed)
    pairs = rng.permutation(every_pair(pool))[:n]
    gap = _gap(pool, pairs) + CYCLE * cycle(
        [pool.replies[i] for i in pairs[:, 0]], [pool.replies[i] for i in pairs[:, 1]]
    )
    return _rows(pool, _chosen_first(pairs, gap, rng))


def cycle(first, second) -> np.ndarray:
    """(n,) +1 where the claim of the first reply (its word ids) beats that of the second, −1 where it loses, else 0."""
    step = (_claim(second) - _claim(first)) % len(STOCK_CLAIMS)
    return np.array([0, 1, -1])[step]


def _claim(replies) -> np.ndarray:
    """(n,) the place of each reply's claim in `STOCK_CLAIMS`; one that says both is taken by the first."""
    in_stock, sold_out = world.ID["stock"], world.ID["sold"]
    return np.array([0 if in_stock in reply else 1 if sold_out in reply else 2 for reply in replies])


@lru_cache(maxsize=4)
def _closest(pool: Pool, most: int) -> np.ndarray:
    pairs = every_pair(pool)
    lengths = pool.gold.lengths
    pairs = pairs[np.abs(lengths[pairs[:, 0]] - lengths[pairs[:, 1]]) <= most]
    return pairs[edit_distances([pool.replies[i] for i in pairs[:, 0]], [pool.replies[i] for i in pairs[:, 1]]) <= most]


def edit_distances(first, second) -> np.ndarray:
    """(n,) Levenshtein distances between texts of word ids, all pairs side by side.

    Example:
        >>> edit_distances([(1, 2, 3), (5,)], [(1, 3), (5,)]).tolist()
        [1, 0]
    """
    one, one_lengths = _padded(first, fill=-1)
    two, two_lengths = _padded(second, fill=-2)
    n, columns = len(one), two.shape[1]
    before = np.tile(np.arange(columns + 1), (n, 1))
    found = before[np.arange(n), two_lengths]
    for row in range(1, one.shape[1] + 1):
        now = np.empty_like(before)
        now[:, 0] = row
        exchanged = before[:, :-1] + (one[:, row - 1 : row] != two)
        reached = np.minimum(exchanged, before[:, 1:] + 1)
        for column in range(columns):
            now[:, column + 1] = np.minimum(reached[:, column], now[:, column] + 1)
        done = one_lengths == row
        found[done] = now[done, two_lengths[done]]
        before = now
    return found


def _padded(texts, *, fill: int) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.array([len(text) for text in texts])
    matrix = np.full((len(texts), lengths.max(initial=0)), fill, dtype=np.int16)
    for row, text in zip(matrix, texts, strict=True):
        row[: len(text)] = text
    return matrix, lengths


def _gap(pool: Pool, pairs: np.ndarray) -> np.ndarray:
    gold = pool.gold.total
    return gold[pairs[:, 0]] - gold[pairs[:, 1]]


def _chosen_first(pairs: np.ndarray, gap: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The pairs with the preferred reply first: by Bradley-Terry on the gap in utility."""
    prefers_first = rng.random(len(pairs)) < preference(gap)
    return np.where(prefers_first[:, None], pairs, pairs[:, ::-1])


def preference(gap: np.ndarray) -> np.ndarray:
    """The probability that annotators prefer a reply whose utility is higher by `gap`."""
    return (1 + np.tanh(SHARPNESS * np.asarray(gap) / 2)) / 2


def _rows(pool: Pool, chosen_first: np.ndarray) -> list[dict]:
    return [
        {"prompt": pool.prompt(best), "chosen": pool.completion(best), "rejected": pool.completion(worst)}
        for best, worst in chosen_first.tolist()
    ]
