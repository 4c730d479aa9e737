"""Simulated annotators: preference rows from a pool of samples, with the faults that real labels have, as knobs.

An annotator sees replies to training prompts only, and feels a utility: the gold reward, plus `length_bonus`
for each token. The rows are the two shapes of `lessons_lib.data`, in text; a reply that never emitted <eos> has
none in its text. `rate_replies` simulates a log of thumbs, several raters a reply, in the rows of
`lessons_lib.data.rated_log`; `every_thumb`, `unanimous_pairs` and `thumbs_in_pairs` make training data of it.
World and annotators share nothing but the pool, so every knob's effect can be measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from lessons_lib.data import rated_log
from lessons_lib.data.preferences import ratings_to_labels, ratings_to_pairs
from lessons_lib.errors import UserError
from lessons_lib.lab.checkpoints import Pool


def label_pairs(
    pool: Pool,
    n: int,
    *,
    seed: int,
    sharpness: float = 2.0,
    deterministic: bool = False,
    flip_rate: float = 0.0,
    length_bonus: float = 0.0,
    split: str = "train",
) -> list[dict]:
    """`n` paired rows {prompt, chosen, rejected}: two replies to one prompt, the preferred one chosen.

    Bradley-Terry: ``P(a over b) = σ(sharpness · (utility(a) − utility(b)))``.

    Args:
        pool: samples to compare. Up to half as many pairs as it has replies share no reply.
        n: number of pairs.
        seed: of the pairs and the labels.
        sharpness: k ≥ 0. At 2 about 85 % of the labels agree with the gold reward; at 0 they are random.
        deterministic: always prefer the higher utility; pairs of equal utility are left out.
        flip_rate: share in [0, 1] of the labels that are swapped afterwards.
        length_bonus: added to the utility for each token, in gold points: 0.15 is a marked taste for long replies.
        split: whose prompts to use; labels for anything but training belong to "validation".
    """
    pool, rng = pool.split(split), np.random.default_rng(seed)
    utility = pool.gold.total + length_bonus * pool.gold.lengths
    first, second = _draw_pairs(pool, n, rng, utility if deterministic else None).T
    gap = utility[first] - utility[second]
    prefers_first = gap > 0 if deterministic else rng.random(n) < _sigmoid(sharpness * gap)
    prefers_first ^= rng.random(n) < flip_rate
    chosen, rejected = np.where(prefers_first, (first, second), (second, first))
    return [
        {"prompt": pool.prompt(best), "chosen": pool.completion(best), "rejected": pool.completion(worst)}
        for best, worst in zip(chosen.tolist(), rejected.tolist(), strict=True)
    ]


def label_thumbs(
    pool: Pool,
    n: int,
    *,
    seed: int,
    up_share: float | None = None,
    sharpness: float = 2.0,
    flip_rate: float = 0.0,
    split: str = "train",
) -> list[dict]:
    """`n` unpaired rows {prompt, completion, label}: one reply each, and whether it got a thumbs up.

    ``P(up) = σ(sharpness · (gold − median gold))``, so that about half of all replies are liked.

    Args:
        pool, n, seed, sharpness, split: as in `label_pairs`.
        up_share: share of thumbs up among the rows; labelled replies are dropped until it holds. None: as they come.
        flip_rate: share in [0, 1] of the labels that are flipped, before any are dropped.
    """
    pool, rng = pool.split(split), np.random.default_rng(seed)
    gold = pool.gold.total
    order = rng.permutation(len(gold))
    up = rng.random(len(gold)) < _sigmoid(sharpness * (gold[order] - np.median(gold)))
    up ^= rng.random(len(gold)) < flip_rate
    if up_share is None:
        rows = np.arange(len(gold))
    else:
        ups = round(n * up_share)
        rows = np.sort(np.concatenate([np.flatnonzero(up)[:ups], np.flatnonzero(~up)[: n - ups]]))
    if len(rows) < n:
        raise UserError(f"n: expected at most {len(rows)} rows with up_share={up_share} from this pool, got {n}")
    return [
        {"prompt": pool.prompt(order[row]), "completion": pool.completion(order[row]), "label": bool(up[row])}
        for row in rows[:n].tolist()
    ]


# ---------------------------------------------------------------- raters: one reply at a time, as FeedbackQA has them

# FeedbackQA: 135 questions whose passages have two raters each, 191 with three; three passages a question.
RATERS = (2,) * 135 + (3,) * 191
REPLIES = 3
RATER_SHARPNESS = 1.6  # two raters of a reply then agree in 70 of 100 cases, as FeedbackQA's do; a test counts


def rate_replies(
    pool: Pool, *, seed: int, raters: Sequence[int] = RATERS, replies: int = REPLIES, sharpness: float = RATER_SHARPNESS
) -> list[dict]:
    """A log of thumbs on replies to training prompts: ``P(up) = σ(sharpness · (gold − median gold))``.

    Args:
        pool: samples to rate.
        seed: of the prompts, the replies and the thumbs.
        raters: for each prompt of the log, how many people rate each of its replies.
        replies: rated for each prompt.
        sharpness: how sure a rater is; at 0 thumbs are coin flips.
    """
    pool, rng = pool.split("train"), np.random.default_rng(seed)
    likes = _sigmoid(sharpness * (pool.gold.total - np.median(pool.gold.total)))
    rows = []
    for prompt, people in zip(rng.permutation(len(pool.prompts))[: len(raters)], rng.permutation(raters), strict=True):
        for reply in prompt * pool.per_prompt + rng.permutation(pool.per_prompt)[:replies]:
            row = {"prompt": pool.prompt(reply), "completion": pool.completion(reply)}
            rows += [{**row, "rating": int(up)} for up in rng.random(people) < likes[reply]]
    return rows


def every_thumb(log: Iterable[dict]) -> list[dict]:
    """All of a log as unpaired rows: a row a thumb."""
    return list(ratings_to_labels(log, up_from=1))


def unanimous_pairs(log: Iterable[dict]) -> list[dict]:
    """Pairs of two replies to one prompt where every rater of one says up and every rater of the other down."""
    return list(ratings_to_pairs(rated_log.by_completion(log, up_from=1), rating="share_up", min_gap=1))


def thumbs_in_pairs(log: Sequence[dict]) -> list[dict]:
    """The thumbs that `unanimous_pairs` uses, as unpaired rows: what it keeps of the log and no more."""
    pairs = unanimous_pairs(log)
    paired = {(pair["prompt"], pair[side]) for pair in pairs for side in ("chosen", "rejected")}
    return every_thumb(row for row in log if (row["prompt"], row["completion"]) in paired)


def _draw_pairs(pool: Pool, n: int, rng: np.random.Generator, distinct: np.ndarray | None) -> np.ndarray:
    """(n, 2) indices of two different replies to one prompt; where `distinct` is given, they differ in it too.

    Each round shuffles the replies of every prompt and takes them two by two, so within a round none is used twice.
    """
    numbers: dict[tuple[int, ...], int] = {}
    text = np.array([numbers.setdefault(reply, len(numbers)) for reply in pool.replies])
    grid = np.arange(len(text)).reshape(-1, pool.per_prompt)[:, : pool.per_prompt // 2 * 2]
    rounds, found = [], 0
    while found < n:
        pairs = rng.permutation(rng.permuted(grid, axis=1).reshape(-1, 2))
        differs = text[pairs[:, 0]] != text[pairs[:, 1]]
        if distinct is not None:
            differs &= distinct[pairs[:, 0]] != distinct[pairs[:, 1]]
        if not differs.any():
            raise UserError("pool: expected prompts with two different replies, found none; sample more replies")
        rounds.append(pairs[differs])
        found += len(rounds[-1])
    return np.concatenate(rounds)[:n] if rounds else np.empty((0, 2), dtype=int)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return (1 + np.tanh(x / 2)) / 2
