"""Raters who see one reply at a time: a simulated log of thumbs, as many to a prompt as FeedbackQA has.

The rows are those of `lessons_lib.data.rated_log`: ``{prompt, completion, rating}``, a rating each, 1 for a thumb
up and 0 for one down. `every_thumb`, `unanimous_pairs` and `thumbs_in_pairs` make training data of such a log.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from lessons_lib.data import rated_log
from lessons_lib.data.preferences import ratings_to_labels, ratings_to_pairs
from lessons_lib.lab.checkpoints import Pool

# FeedbackQA: 135 questions whose passages have two raters each, 191 with three; three passages a question.
RATERS = (2,) * 135 + (3,) * 191
REPLIES = 3
SHARPNESS = 1.6  # two raters of a reply then agree in 70 of 100 cases, as FeedbackQA's do; a test counts


def rate_replies(
    pool: Pool, *, seed: int, raters: Sequence[int] = RATERS, replies: int = REPLIES, sharpness: float = SHARPNESS
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
    likes = (1 + np.tanh(sharpness * (pool.gold.total - np.median(pool.gold.total)) / 2)) / 2
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
