"""Arms on a model and pairs of your own: any Hugging Face model, any preference pairs.

No gold reward is known there. What is measured is held-out pair accuracy: on how many pairs of test prompts the chosen
response gained more log-prob since the start than the rejected one. That ranks every arm by one rule, whatever reward
its loss has. Accuracy does not see what a model writes: with a reward model, replies to the test prompts are sampled
and scored too.

Two callers share it. The lessons `compare` a few dozen steps where LESSONS_MODEL names a model, which shows how
methods behave and ranks none. ``benchmark --model --data`` makes every `OwnRun` with a learning rate chosen on
validation prompts, from the same few for every arm.
"""

from __future__ import annotations

import copy
import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lessons_lib.benchmark.design import ARMS, FIVE
from lessons_lib.data.preferences import pairs_to_ratings, prompt_key, split_by_prompt
from lessons_lib.errors import UserError
from lessons_lib.methods import METHODS
from lessons_lib.metrics import Interval, share_interval
from lessons_lib.training.config import TrainConfig

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from lessons_lib.training.collation import TokenRows

VARIABLE = "LESSONS_MODEL"
SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}  # of the prompts
REPLY_TOKENS, SAMPLE_ROWS = 128, 16  # of replies for the reward model; how many are made side by side
# The papers' strengths: a model of millions of weights needs none of the lab's.
STRENGTHS: Mapping[str, Mapping[str, float]] = {
    "cdpo": {"label_smoothing": 0.1},
    "dpo_avg": {"beta": 2.0},
    "ipo_avg": {"tau": 1.5},
}


def named_model() -> str | None:
    """The Hub id or folder that LESSONS_MODEL names; None where it names none."""
    return os.environ.get(VARIABLE, "").strip() or None


# What all arms share ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Setup:
    """What all arms share."""

    model: Any  # a Hugging Face causal language model, which every arm starts from
    tokenizer: Any  # its own
    pairs: Mapping[str, list[dict]]  # by the splits of `SHARES`; all pairs of a prompt are in one
    source: str  # of the pairs, in words

    def expect(self, **least: int) -> None:
        """Raise a UserError where a split holds fewer pairs than `least` says."""
        small = [f"{n} for {name}" for name, n in least.items() if len(self.pairs[name]) < n]
        if small:
            found = ", ".join(f"{len(pairs)} {name}" for name, pairs in self.pairs.items())
            shares = " : ".join(f"{10 * share:g}" for share in SHARES.values())
            raise UserError(
                f"{self.source}: expected at least {' and '.join(small)}, got {found} (prompts are split {shares}); "
                "give more pairs"
            )


def load(model: str | Path, data: str, *, max_tokens: int | None = None, or_invented: bool = False) -> Setup:
    """A model and pairs, split by prompt.

    Args:
        model: a folder written by ``save_pretrained``, or a Hub id.
        data: one of `data.real.DATASETS`, whose texts are put into the form that the model reads; or a file of pairs
            or a Hub id, which are taken as they are.
        max_tokens: leave out pairs with more, prompt and response together, and those too long for the model.
        or_invented: take the invented look-alike of a dataset whose files cannot be had.

    Raises:
        UserError: no such model or data.
    """
    from lessons_lib.data import readers, real, twins
    from lessons_lib.models.loading import load as load_model

    start, tokenizer = load_model(model)
    if data in real.DATASETS:
        records, source = twins.load_or_twin(data, progress=False) if or_invented else (real.load(data), data)
        form = _as_chat if getattr(tokenizer, "chat_template", None) else _as_text
        pairs = [form(pair) for pair in real.pairs(data, records)]
    else:
        source, pairs = data, list(readers.read(data, shape="paired"))
    if max_tokens:
        most = min(max_tokens, getattr(start.config, "max_position_embeddings", None) or max_tokens)
        lengths = _tokens(pairs, tokenizer).row_lengths()
        fitting = [pair for pair, length in zip(pairs, lengths, strict=True) if length <= most]
        source += f"; {len(fitting)} of {len(pairs)} pairs have at most {most} tokens"
        pairs = fitting
    return Setup(start, tokenizer, split_by_prompt(pairs, SHARES), source)


def _as_chat(pair: dict) -> dict:
    """A pair for a model with a chat template: one user turn, one answer."""
    roles = {"prompt": "user", "chosen": "assistant", "rejected": "assistant"}
    return {name: [{"role": role, "content": pair[name]}] for name, role in roles.items()}


def _as_text(pair: dict) -> dict:
    """A pair for a model without one: a blank line parts question and answer."""
    return {**pair, "prompt": f"{pair['prompt']}\n\n"}


# Training and measuring one arm -------------------------------------------------------------------------------


def train_arm(setup: Setup, arm: str, config: TrainConfig, *, model=None, progress: bool = False):
    """A copy of a model, trained by an arm of the design on the training pairs; by the untouched one, as it is.

    Args:
        arm: a key of `ARMS`.
        config: what all arms share. KTO, which takes a pair as two rows, and SFT, which reads half of each, take twice
            as many rows a step, so that a step holds as many responses for every arm.
        model: to begin with and to compare with; None: the setup's.
    """
    from lessons_lib.training.loop import train

    table, model = ARMS[arm], copy.deepcopy(setup.model if model is None else model)
    if table.method is None:
        return model
    twice = 2 if table.method in ("kto", "sft") else 1
    config = replace(
        config,
        hyperparameters=STRENGTHS.get(arm, {}),
        average=table.average,
        nll_weight=table.nll_weight,
        batch_size=twice * config.batch_size,
        epochs=config.epochs * (2 if table.method == "sft" else 1),
    )
    rows = setup.pairs["train"]
    rows = list(pairs_to_ratings(rows)) if table.method == "kto" else rows
    return train(model, rows, table.method, config, tokenizer=setup.tokenizer, progress=progress).model


def measure(setup: Setup, model, pairs: Sequence[dict], config: TrainConfig) -> dict[str, float]:
    """Pair accuracy, and what became of chosen and rejected responses, in nats against the model at the start.

    Returns:
        `accuracy`: the share of pairs whose chosen response gained more log-prob than the rejected one, a tie counting
        half and each prompt once, with `accuracy_low` and `accuracy_high`, a 95 % interval; `margin`: by how much, in
        nats, summed over tokens; `chosen_logp_change` and `rejected_logp_change`, the two that it is the difference
        of; `likelier`: share of pairs whose chosen response has the higher log-prob per token; `pairs`: how many.
    """
    from lessons_lib.training.scoring import score_rows
    from lessons_lib.training.sharding import make_accelerator

    tokens = _tokens(pairs, setup.tokenizer, config, setup.model)
    accelerator, passes = make_accelerator(), config.rows_per_pass or config.batch_size

    def score(model) -> dict[str, torch.Tensor]:
        home = model.device
        logps = score_rows(model.to(accelerator.device).eval(), tokens, rows_per_pass=passes, accelerator=accelerator)
        model.to(home)
        return {side: values.cpu() for side, values in logps.items()}

    now, before, lengths = score(model), score(setup.model), tokens.response_lengths()
    chosen, rejected = (now[side] - before[side] for side in ("chosen", "rejected"))
    by_token = {side: values / lengths[side].cpu() for side, values in now.items()}
    accuracy = _accuracy(pairs, (chosen - rejected).tolist())
    return {
        "accuracy": accuracy.estimate,
        "accuracy_low": accuracy.low,
        "accuracy_high": accuracy.high,
        "margin": (chosen - rejected).mean().item(),
        "chosen_logp_change": chosen.mean().item(),
        "rejected_logp_change": rejected.mean().item(),
        "likelier": (by_token["chosen"] > by_token["rejected"]).double().mean().item(),
        "pairs": float(len(pairs)),
    }


def _accuracy(pairs: Sequence[dict], margins: Sequence[float]) -> Interval:
    """The share of margins above 0. A prompt is one unit: its pairs share what is hard about it."""
    wins: dict[int, list[float]] = {}
    for pair, margin in zip(pairs, margins, strict=True):
        wins.setdefault(prompt_key(pair["prompt"]), []).append((margin > 0) + 0.5 * (margin == 0))
    return share_interval([sum(of_prompt) / len(of_prompt) for of_prompt in wins.values()])


def _tokens(pairs: Sequence[dict], tokenizer, config: TrainConfig | None = None, model=None) -> TokenRows:
    """The pairs as token ids: whole, or with a configuration as training has them."""
    from lessons_lib.training.collation import tokenize_rows

    how = {}
    if config:
        how = {"truncation": config.truncation, "append_eos": config.append_eos}
        how["max_length"] = config.max_length or getattr(model.config, "max_position_embeddings", None)
    return tokenize_rows(pairs, ("chosen", "rejected"), tokenizer, **how)


# In a lesson: a table of a few steps each ---------------------------------------------------------------------


def compare(
    model: str | Path,
    arms: Sequence[str | tuple[str, ...]] = FIVE,
    *,
    data: str = "pandalm_testset",
    steps: int = 20,
    batch_size: int = 8,
    learning_rate: float = 1e-5,
    max_length: int = 512,
    test_pairs: int = 100,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Train a model by each arm on the same pairs, a few steps long, and measure each on held-out prompts.

    Args:
        model, data: see `load`; where a dataset's files cannot be had, its invented look-alike is taken.
        arms: keys of `ARMS`; a tuple such as ``("sft", "dpo")`` runs its stages one after the other, each the next
            one's reference, and shares `steps` among them.
        steps: of training, in all.
        batch_size: pairs a step.
        learning_rate: the peak. 1e-5 moves a pre-trained model in 20 steps; for a full run take a tenth of it.
        max_length: tokens of prompt and response; pairs that are longer, or too long for the model, are left out.
        test_pairs: to measure on, at most.
        seed: of the batches.
        progress: show progress bars.

    Returns:
        One row an arm, after the untouched model's: the columns of `measure`; `peak_MB`, tensors at the worst moment
        of two steps on the longest rows; `predicted_MB`, the calculator's answer to the same; `seconds` of training
        on this machine, reference log-probs included. `attrs["rows"]` says which rows.

    Raises:
        UserError: no such model, data or arm; too few pairs.
    """
    import pandas as pd
    import torch

    chains = [(arm,) if isinstance(arm, str) else arm for arm in ("untouched", *arms)]
    unknown = [arm for chain in chains for arm in chain if arm not in ARMS]
    if unknown:
        raise UserError(f"arms: expected some of {', '.join(ARMS)}, got {', '.join(unknown)}")
    setup = load(model, data, max_tokens=max_length, or_invented=True)
    setup.expect(train=batch_size, test=2)
    test = setup.pairs["test"][:test_pairs]
    config = TrainConfig(
        batch_size=batch_size,
        max_steps=steps,
        learning_rate=learning_rate,
        warmup_steps=min(2, steps),
        seed=seed,
        bf16=torch.cuda.is_available(),
    )
    table = []
    for chain in chains:
        stages = replace(config, max_steps=max(1, steps // len(chain)))
        started, trained = time.perf_counter(), None
        for arm in chain:
            trained = train_arm(setup, arm, stages, model=trained, progress=progress)
        seconds = time.perf_counter() - started
        measured = measure(setup, trained, test, config)
        del trained
        table.append({"arm": " → ".join(chain), **measured, **_memory(setup, chain, config), "seconds": seconds})
    found = pd.DataFrame(table).set_index("arm")
    found.attrs["rows"] = f"{setup.source}: {len(setup.pairs['train'])} to train on, {len(test)} held out"
    return found


def _memory(setup: Setup, chain: Sequence[str], config: TrainConfig) -> dict[str, float]:
    """The peak of two steps on the longest rows, measured and predicted, in MB; that of the hungriest stage."""
    from lessons_lib.memory.probe import recorder

    lengths = _tokens(setup.pairs["train"], setup.tokenizer).row_lengths()
    longest = sorted(range(len(lengths)), key=lengths.__getitem__)[-config.batch_size :]
    widest = replace(setup, pairs={"train": [setup.pairs["train"][i] for i in longest]})
    methods = {arm: ARMS[arm].method for arm in chain if ARMS[arm].method}
    peaks, predicted = [], [_predicted(widest, method, config) for method in methods.values() if method in METHODS]
    for arm in methods:
        with recorder("cuda" if config.bf16 else "cpu") as recorded:
            train_arm(widest, arm, replace(config, max_steps=2))
        peaks.append(recorded.peak_bytes)
    return {"peak_MB": max(peaks, default=math.nan) / 1e6, "predicted_MB": max(predicted, default=math.nan) / 1e6}


def _predicted(setup: Setup, method: str, config: TrainConfig) -> float:
    """The calculator's peak in bytes for these rows, taken as equally long: what it adds up grows with their tokens."""
    from lessons_lib.memory.architecture import read_architecture
    from lessons_lib.memory.estimate import Setting, estimate
    from lessons_lib.training.packing import can_pack

    rows = setup.pairs["train"]
    tokens = _tokens(rows, setup.tokenizer)
    responses = [ids for column in tokens.responses.values() for ids in column]
    prompt, response = (round(sum(map(len, ids)) / len(ids)) for ids in (tokens.prompts, responses))
    setting = Setting(
        read_architecture(setup.model.config.to_dict()),
        method,
        batch_size=len(rows) * (1 if METHODS[method].data == "paired" else 2),
        length=max(1, prompt) + response,
        prompt_length=max(1, prompt),
        precision="mixed" if config.bf16 else "float32",
        reference="precomputed",
        packed=can_pack(setup.model),
    )
    return estimate(setting).peak_bytes


# As a benchmark: every arm with every seed, written down -------------------------------------------------------


class OwnRun:
    """Trains and measures arms on one model and one dataset; called with one of its `items`, as `record` does.

    Args:
        model, data: see `load`.
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

    def __getstate__(self) -> dict:
        loaded = ("setup", "judge")  # other processes load for themselves
        return {name: value for name, value in vars(self).items() if name not in loaded}

    @cached_property
    def setup(self) -> Setup:
        """The model and the pairs, loaded when first asked for."""
        setup = load(self.model, self.data)
        setup.expect(train=2, validation=2, test=2)
        return setup

    @cached_property
    def judge(self) -> tuple[Any, Any] | None:
        """The reward model and its tokenizer, loaded when first asked for."""
        from lessons_lib.models.loading import load_reward_model

        return load_reward_model(self.reward_model) if self.reward_model else None

    def items(self, arms: Sequence[str], seeds: Sequence[int]) -> list[tuple]:
        """Every arm with every seed, as values of `KEY`."""
        return [(self.data, self.model, self.settings, arm, seed) for seed in seeds for arm in arms]

    def __call__(self, regime: str, checkpoint: str, settings: str, arm: str, seed: int) -> list[dict]:
        setup, seconds, best, model = self.setup, [], {"validation_accuracy": -1.0}, None
        for rate in self.learning_rates if ARMS[arm].method else (None,):
            config = replace(self.config, seed=seed, learning_rate=rate or self.config.learning_rate)
            start = time.process_time()
            trained = train_arm(setup, arm, config)
            seconds.append(time.process_time() - start)
            accuracy = measure(setup, trained, setup.pairs["validation"], config)["accuracy"]
            if accuracy > best["validation_accuracy"]:
                best, model = {"learning_rate": rate, "validation_accuracy": accuracy}, trained
        row = dict(zip(self.KEY, (regime, checkpoint, settings, arm, seed), strict=True)) | best
        row |= measure(setup, model, setup.pairs["test"], self.config)
        if self.judge:
            row |= self._rewards(model, setup.pairs["test"], seed)
        return [{**row, "cpu_seconds": sum(seconds) / len(seconds)}]

    def _rewards(self, model, pairs: Sequence[dict], seed: int) -> dict[str, float]:
        """The reward model's mean score of a sampled reply, and how often it beats the starting model's."""
        tokens = _tokens(pairs, self.setup.tokenizer, self.config, self.setup.model)
        prompts = list({tuple(ids): None for ids in tokens.prompts})
        ours, before = (self._scores(m, prompts, seed) for m in (model, self.setup.model))
        wins = (ours > before).double() + 0.5 * (ours == before).double()
        return {"reward": ours.mean().item(), "reward_win_rate": wins.mean().item()}

    def _scores(self, model, prompts: Sequence[tuple[int, ...]], seed: int) -> torch.Tensor:
        """(prompts,) the reward model's score of one sampled reply to each."""
        import torch

        from lessons_lib.models.sampling import sample

        tokenizer, (judge, judge_tokenizer) = self.setup.tokenizer, self.judge
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


def record(folder: Path, run: OwnRun, *, arms: Sequence[str], seeds: Sequence[int], command: str, **how) -> Path:
    """Every arm with every seed, resumable as the lab's part is; the table's path."""
    from lessons_lib.benchmark.record import in_order

    _ = run.setup, run.judge  # a wrong name fails here, before any work
    return in_order(folder, "benchmark_own", run, OwnRun.KEY, run.items(arms, seeds), command, **how)
