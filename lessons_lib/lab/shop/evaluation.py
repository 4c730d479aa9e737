"""What training made of the shop's model: gold and its parts, drift, fluency, forgetting, each with its interval.

Report on the "test" requests, choose settings on the "validation" requests. Eight fixed test requests are answered at
every evaluation, and the texts stay with the run: a number is believed sooner when one can read what it counts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from importlib import resources

import numpy as np
import torch

from lessons_lib.errors import UserError
from lessons_lib.lab.shop import samples
from lessons_lib.lab.shop.gold import Gold, gold
from lessons_lib.lab.shop.requests import Request, fixed_requests, requests
from lessons_lib.lab.shop.samples import TEMPERATURE, Shop
from lessons_lib.logps import IGNORE_INDEX, padded_batch
from lessons_lib.metrics import Interval, mean_interval
from lessons_lib.models import likelihood

BATCH = 16  # replies scored side by side: a table of logits has 49,152 columns
FIXED_SEED = 88  # of the replies to the fixed requests: all models face the same luck


@dataclass(frozen=True)
class Evaluation:
    """Each an `Interval` at 95 % over requests (human text: over paragraphs), for this model on these requests.

    The intervals hold the sampling of requests and replies; what another training seed would change is not in them.
    """

    gold: Interval  # gold reward a reply
    parts: dict[str, Interval]  # how often a reply earns or pays each part of the gold reward: see gold.POINTS
    ended: Interval  # share of replies that came to their end
    length: Interval  # tokens a reply, the end token included
    kl: Interval  # KL(model ‖ untouched) of the next token at `TEMPERATURE`, summed along its own replies, nats
    fluency: Interval  # negative log-prob of its replies under the untouched model, nats a token; lower is more fluent
    chosen_logp: Interval  # sum log-prob of the untouched model's better reply to a validation request, nats
    rejected_logp: Interval  # and of its worse one, by gold reward
    human_nll: Interval  # negative log-prob of human text (`human_texts`), nats a token
    forgetting: Interval  # human_nll minus the untouched model's: above 0, the model has forgotten

    def row(self) -> dict[str, float]:
        """Estimates by name, parts among them, and the half-widths of their intervals as `<name>_ci`."""
        own = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "parts"}
        row = {}
        for name, interval in (own | self.parts).items():
            row |= {name: interval.estimate, f"{name}_ci": interval.half_width}
        return row


class Evaluator:
    """Measures models against the untouched one on the requests of one split, always the same.

    Args:
        shop: with the untouched model.
        split: "test" to report, "validation" to choose settings.
        seed: of the sampling. One seed shows two models the same luck, so their difference is less noisy.
        limit: use the first so many requests only, for a quick look; None: all.
    """

    def __init__(self, shop: Shop, *, split: str = "test", seed: int = 0, limit: int | None = None):
        self.requests: Sequence[Request] = requests(split)[:limit]
        if len(self.requests) < 2:
            raise UserError(f"limit: expected at least 2 requests, got {limit}")
        self.shop, self.seed = shop, seed
        self._prompt_ids = [shop.encode(request.prompt) for request in self.requests]

    def sample(self, model, *, first: int | None = None) -> list[list[int]]:
        """A reply of a model to each of `requests`, or to the first few: the same replies to these. Token ids."""
        return self.shop.sample(model, [request.prompt for request in self.requests[:first]], seed=self.seed)

    def read(self, replies: Sequence[Sequence[int]]) -> Gold:
        """The gold reward of replies to `requests`, or to the first few."""
        texts, ended = self.shop.read(replies)
        return gold(self.requests[: len(replies)], texts, [len(reply) for reply in replies], ended)

    def __call__(self, model, replies: list[list[int]] | None = None) -> Evaluation:
        """Measure a model; `replies` are its own, where `sample` has drawn them already."""
        replies = replies or self.sample(model)
        found = self.read(replies)
        kl, untouched_logps = self.drift(model, replies)
        better, worse = (self._score(model, *pair) for pair in self._held_out)
        nll = self.human_nll(model)
        return Evaluation(
            gold=mean_interval(found.total),
            parts={part: mean_interval(count) for part, count in found.counts.items()},
            ended=mean_interval(1.0 - found.counts["unended"]),
            length=mean_interval(found.lengths),
            kl=mean_interval(kl),
            fluency=mean_interval(-untouched_logps / found.lengths),
            chosen_logp=mean_interval(better),
            rejected_logp=mean_interval(worse),
            human_nll=mean_interval(nll),
            forgetting=mean_interval(nll - self.untouched_human_nll),
        )

    def drift(self, model, replies: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
        """(KL to the untouched model along each reply in nats, sum log-prob of each reply under the untouched model).

        The KL divergence is that of the two models as they are sampled, at `TEMPERATURE`; log-probs are at 1.
        """
        prompt_ids = self._prompt_ids[: len(replies)]
        with self.shop.for_inference(model) as now, self.shop.for_inference(self.shop.model) as before:
            numbers = [
                _drift(now, before, prompt_ids[start : start + BATCH], replies[start : start + BATCH])
                for start in range(0, len(replies), BATCH)
            ]
        kl, logps = (torch.cat(parts).numpy() for parts in zip(*numbers, strict=True))
        return kl, logps

    def fixed_replies(self, model) -> list[dict]:
        """The replies to the eight fixed test requests, as text, each with its gold reward."""
        asked = fixed_requests()
        replies = self.shop.sample(model, [request.prompt for request in asked], seed=FIXED_SEED)
        texts, ended = self.shop.read(replies)
        worth = gold(asked, texts, [len(reply) for reply in replies], ended).total
        return [
            {"text": text, "ended": end, "gold": round(float(points), 3)}
            for text, end, points in zip(texts, ended, worth, strict=True)
        ]

    def _score(self, model, prompt_ids, reply_ids, *, average: bool = False) -> np.ndarray:
        with self.shop.for_inference(model) as fast:
            return likelihood.score(fast, prompt_ids, reply_ids, average=average, batch_size=BATCH).numpy()

    @cached_property
    def _held_out(self) -> tuple[tuple[list, list], tuple[list, list]]:
        """((prompts, better replies), (prompts, worse ones)): two recorded replies a validation request, by gold."""
        pool = samples.pool("validation")
        grid = pool.gold.total.reshape(-1, pool.per_prompt)
        rows = np.flatnonzero(grid.max(axis=1) > grid.min(axis=1))
        prompts = [self.shop.encode(pool.prompts[row]) for row in rows]
        best, worst = (
            [pool.replies[row * pool.per_prompt + pick[row]] for row in rows]
            for pick in (grid.argmax(axis=1), grid.argmin(axis=1))
        )
        return (prompts, best), (prompts, worst)

    def human_nll(self, model) -> np.ndarray:
        """Negative log-prob of each of `human_texts`, nats a token."""
        ids = [self.shop.tokenizer(text, add_special_tokens=False)["input_ids"] for text in human_texts()]
        return -self._score(model, [text[:1] for text in ids], [text[1:] for text in ids], average=True)

    @cached_property
    def untouched_human_nll(self) -> np.ndarray:
        """The same of the untouched model."""
        return self.human_nll(self.shop.model)


def human_texts() -> tuple[str, ...]:
    """Forty paragraphs of the documentation of Python, which people wrote and no training here touches."""
    stored = resources.files("lessons_lib.lab.shop").joinpath("human_text.json").read_text(encoding="utf-8")
    return tuple(json.loads(stored)["texts"])


@torch.no_grad()
def _drift(model, untouched, prompt_ids, reply_ids) -> tuple[torch.Tensor, torch.Tensor]:
    """Of one batch: (KL of the next token along each reply, sum log-prob of each reply under the untouched model)."""
    input_ids, labels = padded_batch(prompt_ids, reply_ids)
    device = next(model.parameters()).device
    input_ids, targets = input_ids.to(device), labels[:, 1:].to(device)
    inside = targets != IGNORE_INDEX
    now, before = (m(input_ids, use_cache=False).logits[:, :-1][inside].float() for m in (model, untouched))
    ours, theirs = ((logits / TEMPERATURE).log_softmax(dim=-1) for logits in (now, before))
    kl = (ours.exp() * (ours - theirs)).sum(dim=-1)
    logp = before.log_softmax(dim=-1).gather(1, targets[inside].unsqueeze(1)).squeeze(1)
    rows = inside.nonzero()[:, 0]
    zeros = torch.zeros(len(reply_ids), device=device)
    return zeros.index_add(0, rows, kl).cpu(), zeros.index_add(0, rows, logp).cpu()
