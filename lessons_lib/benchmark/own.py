"""The benchmark on a model and a dataset of yours: any Hugging Face model, any preference pairs.

No gold reward is known there, so what is measured is held-out pair accuracy: on how many pairs of test prompts the
trained model's log-ratio to the model that it started from is higher for the chosen response than for the rejected
one. That ranks every arm by one rule, whatever reward its loss has. Accuracy does not see what a model writes: with a
reward model, replies to the test prompts are sampled and scored too. Training is `training.train`; learning rates are
chosen on validation prompts by accuracy, the same few for every arm.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lessons_lib.benchmark.design import ARMS
from lessons_lib.data.preferences import pairs_to_ratings, split_by_prompt
from lessons_lib.errors import UserError
from lessons_lib.training.config import TrainConfig

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}
REPLY_TOKENS, SAMPLE_ROWS = 128, 16  # of replies for the reward model; how many are made side by side
# The papers' strengths: a model of millions of weights needs none of the lab's.
STRENGTHS: Mapping[str, Mapping[str, float]] = {
    "cdpo": {"label_smoothing": 0.1},
    "dpo_avg": {"beta": 2.0},
    "ipo_avg": {"tau": 1.5},
}


def load_pairs(name: str) -> list[dict]:
    """Paired rows of one of the project's datasets, of a file, or of a Hub id."""
    from lessons_lib.data import readers, real

    return list(real.pairs(name) if name in real.DATASETS else readers.read(name, shape="paired"))


def split(pairs: Sequence[dict]) -> dict[str, list[dict]]:
    """The pairs by split, a prompt on one side only; refused where a side is empty."""
    sides = split_by_prompt(pairs, SHARES)
    small = [name for name, rows in sides.items() if len(rows) < 2]
    if small:
        raise UserError(
            f"--data: expected enough prompts for training, validation and test (8 : 1 : 1), got {len(pairs)} pairs, "
            f"which leave {' and '.join(small)} almost empty"
        )
    return sides


class OwnRun:
    """Trains and measures arms on one model and one dataset; called with one of its `items`, as `record` does.

    Args:
        model: a folder or a Hub id.
        data: see `load_pairs`.
        learning_rates: to choose from, on validation prompts, with the run's own seed.
        config: of every run; batch size, epochs, adapters, and whatever else is the same for all.
        reward_model: a sequence classifier with one output, by folder or Hub id; "": none.
    """

    KEY = ("regime", "checkpoint", "settings", "arm", "seed")  # what tells one run's row from another's

    def __init__(
        self, model: str, data: str, learning_rates: Sequence[float], config: TrainConfig, reward_model: str = ""
    ):
        self.model, self.data, self.learning_rates, self.config = model, data, tuple(learning_rates), config
        self.reward_model = reward_model
        usual = vars(TrainConfig())
        changed = {name: value for name, value in vars(config).items() if value != usual[name]}
        settings = {"learning_rates": self.learning_rates, "reward_model": reward_model, **changed}
        self.settings = json.dumps(settings, default=str)
        self._loaded = self._judge = None

    def __getstate__(self) -> dict:
        return {**vars(self), "_loaded": None, "_judge": None}  # other processes load for themselves

    def items(self, arms: Sequence[str], seeds: Sequence[int]) -> list[tuple]:
        """Every arm with every seed, as values of `KEY`."""
        return [(self.data, self.model, self.settings, arm, seed) for seed in seeds for arm in arms]

    def __call__(self, regime: str, checkpoint: str, settings: str, arm: str, seed: int) -> list[dict]:
        sides, _, _ = self._parts()
        start = time.process_time()
        trained = {rate: self._train(arm, rate, seed) for rate in (self.learning_rates if ARMS[arm].method else (0.0,))}
        seconds = time.process_time() - start
        validated = {rate: self._measure(model, sides["validation"])["accuracy"] for rate, model in trained.items()}
        best = max(validated, key=validated.__getitem__)
        setting = dict(zip(self.KEY, (regime, checkpoint, settings, arm, seed), strict=True))
        row = {**setting, "learning_rate": best}
        measures = self._measure(trained[best], sides["test"])
        if self.reward_model:
            measures |= self._rewards(trained[best], sides["test"], seed)
        return [{**row, "validation_accuracy": validated[best], **measures, "cpu_seconds": seconds / len(trained)}]

    def _parts(self):
        if self._loaded is None:
            from lessons_lib.models.loading import load

            self._loaded = (split(load_pairs(self.data)), *load(self.model))
        return self._loaded

    def _train(self, arm: str, learning_rate: float, seed: int):
        from lessons_lib.training.loop import train

        sides, start, tokenizer = self._parts()
        table, model = ARMS[arm], copy.deepcopy(start)
        if table.method is None:
            return model
        rows = sides["train"]
        config = replace(
            self.config,
            hyperparameters=STRENGTHS.get(arm, {}),
            average=table.average,
            nll_weight=table.nll_weight,
            learning_rate=learning_rate,
            seed=seed,
            batch_size=self.config.batch_size * (2 if table.method in ("kto", "sft") else 1),  # as many tokens a step
        )
        rows = list(pairs_to_ratings(rows)) if table.method == "kto" else rows
        epochs = self.config.epochs * (2 if table.method == "sft" else 1)
        config = replace(config, epochs=epochs)
        return train(model, rows, table.method, config, tokenizer=tokenizer, progress=False).model

    def _measure(self, model, rows: list[dict]) -> dict[str, float]:
        """Pair accuracy, and what became of chosen and rejected responses, in nats against the starting model."""
        from lessons_lib.training.scoring import score_rows
        from lessons_lib.training.sharding import make_accelerator

        _, start, _ = self._parts()
        tokens = self._tokens(rows)
        accelerator = make_accelerator()  # on the device that training takes
        settings = dict(rows_per_pass=self.config.rows_per_pass or self.config.batch_size, accelerator=accelerator)
        now, before = (score_rows(m.to(accelerator.device).eval(), tokens, **settings) for m in (model, start))
        chosen, rejected = (now[side] - before[side] for side in ("chosen", "rejected"))
        wins = (chosen > rejected).double() + 0.5 * (chosen == rejected).double()
        return {
            "accuracy": wins.mean().item(),
            "chosen_logp_change": chosen.mean().item(),
            "rejected_logp_change": rejected.mean().item(),
            "test_pairs": float(len(rows)),
        }

    def _rewards(self, model, rows: list[dict], seed: int) -> dict[str, float]:
        """The reward model's mean score of a sampled reply, and how often it beats the starting model's."""
        _, start, _ = self._parts()
        prompts = list({tuple(ids): None for ids in self._tokens(rows).prompts})
        ours, before = (self._scores(m, prompts, seed) for m in (model, start))
        wins = (ours > before).double() + 0.5 * (ours == before).double()
        return {"reward": ours.mean().item(), "reward_win_rate": wins.mean().item()}

    def _scores(self, model, prompts: Sequence[tuple[int, ...]], seed: int):
        """(prompts,) the reward model's score of one sampled reply to each."""
        import torch

        from lessons_lib.models.sampling import sample

        _, _, tokenizer = self._parts()
        judge, judge_tokenizer = self._loaded_judge()
        longest = max(len(prompt) for prompt in prompts)
        room = min(REPLY_TOKENS, getattr(model.config, "max_position_embeddings", math.inf) - longest)
        if room < 1:
            raise UserError(
                f"--reward-model: the longest prompt, of {longest} tokens, leaves no room for a reply; "
                "leave long prompts out of the data"
            )
        how = {"max_new_tokens": room, "eos_id": tokenizer.eos_token_id, "batch_size": SAMPLE_ROWS}
        replies = sample(model, prompts, seed=seed, **how)
        whole = [[*prompt, *reply] for prompt, reply in zip(prompts, replies, strict=True)]
        texts = tokenizer.batch_decode(whole, skip_special_tokens=True)
        scores = []
        for first in range(0, len(texts), SAMPLE_ROWS):
            some = judge_tokenizer(
                texts[first : first + SAMPLE_ROWS], return_tensors="pt", padding=True, truncation=True
            )
            with torch.no_grad():
                logits = judge(input_ids=some["input_ids"], attention_mask=some["attention_mask"]).logits
            scores.append(logits[:, 0].float())
        return torch.cat(scores)

    def _loaded_judge(self):
        """The reward model and its tokenizer."""
        if self._judge is None:
            from lessons_lib.models.loading import load_reward_model

            self._judge = load_reward_model(self.reward_model)
        return self._judge

    def _tokens(self, rows: list[dict]):
        """The pairs as token ids, as training has them."""
        from lessons_lib.training.collation import tokenize_rows

        _, start, tokenizer = self._parts()
        return tokenize_rows(
            rows,
            ("chosen", "rejected"),
            tokenizer,
            max_length=self.config.max_length or getattr(start.config, "max_position_embeddings", None),
            truncation=self.config.truncation,
            append_eos=self.config.append_eos,
        )


def record(folder: Path, run: OwnRun, *, arms: Sequence[str], seeds: Sequence[int], command: str, **how) -> Path:
    """Every arm with every seed, resumable as the lab's part is; the table's path."""
    from lessons_lib.benchmark.record import in_order

    run._parts()  # a wrong name fails here, before any work
    if run.reward_model:
        run._loaded_judge()
    return in_order(folder, "benchmark_own", run, OwnRun.KEY, run.items(arms, seeds), command, **how)
