"""What a model has become: gold reward, win rate, drift and forgetting, on prompts it never saw.

Report on the "test" prompts, tune on the "validation" prompts. An `Evaluator` samples its reference model
once and then measures any number of models against it; `evaluate` does both in one call.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, fields

import numpy as np

from lessons_lib.errors import UserError
from lessons_lib.lab import world
from lessons_lib.metrics import Interval, mean_interval, share_interval
from lessons_lib.models import likelihood, sampling

BASE_TEXTS = 200
_BASE_TEXTS_SEED = 7_000_000  # far from the seeds that training text is drawn with


@dataclass(frozen=True)
class Evaluation:
    """Each an `Interval` at 95 % over prompts (base text: over texts), for this model on these prompts.

    The intervals hold the sampling of prompts and replies; what another training seed would change is not in them.
    """

    gold: Interval  # gold reward a reply
    parts: dict[str, Interval]  # how often a reply earns or pays each part of the gold reward: see world.POINTS
    win_rate: Interval  # against the reference's replies to the same prompts, by gold reward, a tie one half
    kl: Interval  # KL(model ‖ reference), nats a reply, along the model's own replies
    entropy: Interval  # −log-prob of its own replies, nats a reply
    length: Interval  # tokens a reply, <eos> included
    malformed: Interval  # share of replies that are ungrammatical or unfinished
    chosen_logp: Interval  # sum log-prob of the reference's better reply to a prompt, nats
    rejected_logp: Interval  # and of its worse one, by gold reward
    base_nll: Interval  # negative log-prob of unseen base text, nats a token
    forgetting: Interval  # base_nll minus the reference's: above 0, the model has forgotten

    def row(self) -> dict[str, float]:
        """The estimates alone, parts last: a row for a history or a table."""
        estimates = {f.name: getattr(self, f.name).estimate for f in fields(self) if f.name != "parts"}
        return estimates | {part: interval.estimate for part, interval in self.parts.items()}


class Evaluator:
    """Measures models against one reference on one set of prompts, always the same.

    Args:
        reference: the model to compare with, usually the SFT checkpoint that training began at.
        split: "test" to report, "validation" to tune.
        samples: replies a model gives, to each prompt used equally many and at least two.
        seed: of the sampling. One seed shows two models the same luck, so their difference is less noisy.
    """

    def __init__(self, reference, *, split: str = "test", samples: int = 512, seed: int = 0):
        available = world.prompts(split)
        self._per_prompt = max(2, -(-samples // len(available)))
        if samples < 4 or samples % self._per_prompt:
            raise UserError(f"samples: expected a multiple of {self._per_prompt}, at least 4, got {samples}")
        texts = available[: samples // self._per_prompt]
        self.prompts = [world.encode(text) for text in texts for _ in range(self._per_prompt)]
        self._seed = seed
        self._reference = reference
        # Not the model's seed: a win should owe nothing to shared luck.
        self.reference_replies = self._sample(reference, seed + 1)
        self._reference_gold = world.gold(self.prompts, self.reference_replies).total
        self._pairs = self._held_out_pairs(self.reference_replies)
        self._base_texts = _base_texts()
        self._reference_base_nll = _nll(reference, self._base_texts)

    def sample(self, model) -> list[list[int]]:
        """The replies by which a model is measured, one to each of `prompts`."""
        return self._sample(model, self._seed)

    def __call__(self, model, replies: list[list[int]] | None = None) -> Evaluation:
        """Measure a model; `replies` are its own, where `sample` has drawn them already."""
        self._reference.to(model.device)  # where training may have taken the model
        replies = replies or self.sample(model)
        found = world.gold(self.prompts, replies)
        logps = likelihood.score(model, self.prompts, replies).numpy()
        drift = likelihood.divergence(model, self._reference, self.prompts, replies).numpy()
        wins = (found.total > self._reference_gold) + 0.5 * (found.total == self._reference_gold)
        prompts, chosen, rejected = self._pairs
        base_nll = _nll(model, self._base_texts)
        return Evaluation(
            gold=self._mean(found.total),
            parts={part: self._mean(count) for part, count in found.counts.items()},
            win_rate=share_interval(self._by_prompt(wins)),
            kl=self._mean(drift),
            entropy=self._mean(-logps),
            length=self._mean(found.lengths),
            malformed=share_interval(self._by_prompt(found.malformed)),
            chosen_logp=mean_interval(likelihood.score(model, prompts, chosen)),
            rejected_logp=mean_interval(likelihood.score(model, prompts, rejected)),
            base_nll=mean_interval(base_nll),
            forgetting=mean_interval(base_nll - self._reference_base_nll),
        )

    def row(self, model, step: int) -> dict[str, float]:
        """The estimates as a row; give this method to `train(evaluate=…)`, which calls it as training goes on."""
        return self(model).row()

    def _sample(self, model, seed: int) -> list[list[int]]:
        limits = {"max_new_tokens": world.MAX_REPLY_TOKENS, "eos_id": world.EOS_ID}
        return sampling.sample(model, self.prompts, seed=seed, **limits)

    def _held_out_pairs(self, replies: list[list[int]]) -> tuple[list, list, list]:
        """(prompts, better, worse): the reference's first two replies to each prompt, where gold tells them apart."""
        first, second = self._reference_gold[:: self._per_prompt], self._reference_gold[1 :: self._per_prompt]
        starts = [prompt * self._per_prompt for prompt in np.flatnonzero(first != second)]
        if len(starts) < 2:
            raise UserError("samples: expected two prompts or more with replies of unequal gold; take more samples")
        better = [start + (self._reference_gold[start] < self._reference_gold[start + 1]) for start in starts]
        worse = [2 * start + 1 - best for start, best in zip(starts, better, strict=True)]
        return [self.prompts[i] for i in starts], [replies[i] for i in better], [replies[i] for i in worse]

    def _by_prompt(self, values: np.ndarray) -> np.ndarray:
        """The average for each prompt: replies to one prompt are not independent, prompts are."""
        return np.asarray(values, dtype=float).reshape(-1, self._per_prompt).mean(axis=1)

    def _mean(self, values: np.ndarray) -> Interval:
        return mean_interval(self._by_prompt(values))


def evaluate(model, reference, *, split: str = "test", samples: int = 512, seed: int = 0) -> Evaluation:
    """Measure `model` against `reference`; arguments as for `Evaluator`, which is faster for several models."""
    return Evaluator(reference, split=split, samples=samples, seed=seed)(model)


def _base_texts() -> list[list[int]]:
    """Unrelated text as the base model read it, from a seed that no training used."""
    rng = random.Random(_BASE_TEXTS_SEED)
    return [world.encode(world.diary(rng)) for _ in range(BASE_TEXTS)]


def _nll(model, texts: list[list[int]]) -> np.ndarray:
    """(texts,) negative log-probability of each text after its first token, averaged over its tokens."""
    return -likelihood.score(model, [text[:1] for text in texts], [text[1:] for text in texts], average=True).numpy()
