"""Real human preferences for the shop's model: short pairs of `hh_rlhf_harmless` in its chat form, split by prompt.

Nobody wrote a gold reward for them. What can be measured is held-out pair accuracy: on how many pairs that were not
trained on the chosen reply gained more log-prob than the rejected one. Their texts are often offensive: this module
hands them to a model, and no function of the course prints one.
"""

from __future__ import annotations

import re
from functools import cached_property, lru_cache

import numpy as np

from lessons_lib.data import real
from lessons_lib.data.preferences import split_by_prompt
from lessons_lib.errors import UserError
from lessons_lib.lab.shop.evaluation import BATCH
from lessons_lib.lab.shop.samples import END, Shop, chat_of
from lessons_lib.metrics import Interval, mean_interval, share_interval
from lessons_lib.models import likelihood

DATASET = "hh_rlhf_harmless"
SHARES = {"train": 0.6, "validation": 0.15, "test": 0.25}
_SPLIT_SEED = 0
_TURN = re.compile(r"\n\n(Human|Assistant):(.*?)(?=\n\n(?:Human|Assistant):|\Z)", re.DOTALL)
_ROLES = {"Human": "user", "Assistant": "assistant"}


@lru_cache(maxsize=1)
def _splits() -> dict[str, list[dict]]:
    records = real.load(DATASET)
    short = type(records)([record for record in records if record.short])
    pairs = [
        {"prompt": in_chat(pair["prompt"]), "chosen": pair["chosen"] + END, "rejected": pair["rejected"] + END}
        for pair in real.pairs(DATASET, short)
    ]
    return split_by_prompt(pairs, SHARES, seed=_SPLIT_SEED)


def pairs(split: str) -> list[dict]:
    """All short pairs of "train", "validation" or "test", none of whose conversations is in another split.

    Rows {prompt, chosen, rejected}: the prompt in the model's chat form, each reply with its end token.

    Raises:
        UserError: files that cannot be had, and what to do then.
    """
    if split not in SHARES:
        raise UserError(f"split: expected one of {', '.join(SHARES)}, got {split!r}")
    return _splits()[split]


def in_chat(transcript: str) -> str:
    """A transcript up to where the assistant speaks, in the model's chat form.

    Example:
        >>> in_chat("\\n\\nHuman: Hi\\n\\nAssistant:")
        '<|im_start|>user\\nHi<|im_end|>\\n<|im_start|>assistant\\n'
    """
    turns = [(_ROLES[who], said.strip()) for who, said in _TURN.findall(transcript)]
    if len(turns) < 2 or turns[-1] != ("assistant", ""):
        raise ValueError("transcript: expected turns of Human and Assistant, the last one the assistant's and empty")
    return chat_of(turns[:-1])


def draw_pairs(n: int, *, seed: int) -> list[dict]:
    """`n` different training pairs."""
    return [pairs("train")[row] for row in _drawn(n, seed)]


def draw_thumbs(n: int, *, seed: int) -> list[dict]:
    """`n` thumbs {prompt, completion, label} on `n` different training conversations, half of them up.

    Of each pair one reply is shown, by the toss of a coin, and gets the thumb that the pair implies. No conversation
    has two replies, so nothing in this log makes a pair.
    """
    rows = _drawn(n, seed)
    up = np.random.default_rng(seed).permutation(np.arange(n) < n // 2)
    return [
        {"prompt": pair["prompt"], "completion": pair["chosen" if liked else "rejected"], "label": bool(liked)}
        for pair, liked in zip((pairs("train")[row] for row in rows), up, strict=True)
    ]


class PairEvaluator:
    """Measures models by their log-probs of held-out pairs, against those of the untouched one.

    Args:
        shop: with the untouched model.
        split: "test" to report, "validation" to choose settings.
    """

    def __init__(self, shop: Shop, *, split: str = "test"):
        self.shop, self._pairs = shop, pairs(split)

    def gains(self, model) -> tuple[np.ndarray, np.ndarray]:
        """(pairs,) each: what the chosen and the rejected reply gained in summed log-prob, nats."""
        now, before = self._score(model), self._untouched
        return now[0] - before[0], now[1] - before[1]

    def __call__(self, model) -> dict[str, Interval]:
        """Each with its interval at 95 % over pairs.

        `accuracy`: the share of pairs whose chosen reply gained more than the rejected one, a tie counting half;
        `margin`: by how much, nats; `chosen_gain` and `rejected_gain`, whose difference it is.
        """
        chosen, rejected = self.gains(model)
        margin = chosen - rejected
        return {
            "accuracy": share_interval((margin > 0) + 0.5 * (margin == 0)),
            "margin": mean_interval(margin),
            "chosen_gain": mean_interval(chosen),
            "rejected_gain": mean_interval(rejected),
        }

    @cached_property
    def _untouched(self) -> tuple[np.ndarray, np.ndarray]:
        return self._score(self.shop.model)

    def _score(self, model) -> tuple[np.ndarray, np.ndarray]:
        prompts = [self.shop.encode_reply(pair["prompt"]) for pair in self._pairs]
        with self.shop.for_inference(model) as fast:
            chosen, rejected = (
                likelihood.score(
                    fast, prompts, [self.shop.encode_reply(pair[side]) for pair in self._pairs], batch_size=BATCH
                )
                for side in ("chosen", "rejected")
            )
        return chosen.numpy(), rejected.numpy()


def _drawn(n: int, seed: int) -> list[int]:
    have = len(pairs("train"))
    if n > have:
        raise UserError(f"n: expected at most {have} conversations, which is what {DATASET} has for training, got {n}")
    return np.random.default_rng(seed).permutation(have)[:n].tolist()
