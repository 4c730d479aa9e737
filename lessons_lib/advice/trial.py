"""A matched trial of the methods on a reader's own rows and model, in the minutes there are.

`prepare` times a step and a reply and plans (`trial_plan`); `Trial.run` trains and measures, one run after another,
each written down before the next; `trial_reading` puts the rows into words and `trial_page` onto pages. A trial that
was killed goes on from its folder and loses one run at most. No text leaves the machine.

All arms share prompts, batches, seeds and steps. The learning rate of each is chosen on validation prompts with seed
0, whose model is then the first that is measured on test prompts.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from lessons_lib.advice.decide import Recommendation, kto_weights
from lessons_lib.advice.trial_plan import COST, Costs, Plan, Rows, choose
from lessons_lib.benchmark import own
from lessons_lib.benchmark.design import ARMS
from lessons_lib.benchmark.own import Setup
from lessons_lib.data.preferences import prompt_key
from lessons_lib.errors import UserError
from lessons_lib.memory.estimate import USABLE
from lessons_lib.methods import METHODS
from lessons_lib.recorded import store
from lessons_lib.training.config import TrainConfig

NAME = "runs"  # of the table in the trial's folder
PLAN = "plan.json"
SHARES = {"train": 0.5, "validation": 0.15, "test": 0.35}  # minutes train on few rows; held-out prompts tell apart
LEAST = {"train": 8, "validation": 4, "test": 8}  # rows
LEAST_PAIRS = 2  # batches of pairs that a log must hold for pair methods to be tried
BATCH = 8  # pairs a step
SEARCH_SEED = 0
REPLY_TOKENS = (16, 96)  # at least and at most; between them, as long as nine in ten of the chosen responses
LORA_RANK, LORA_STEP = 16, 10.0  # adapters need ten times the learning rate (as `match` says)
# A pre-trained model of 135 million weights moves in a hundred steps at 8e-6 to 3e-5, one of 46 thousand at 1e-3, one
# of 7 billion at 5e-7 to 1e-6 (papers): a power of the size goes through these. Four times less and more are tried.
RATE_AT, RATE_SIZE, RATE_POWER, RATE_STEP = 1.2e-5, 135e6, 0.6, 4.0


def in_play(advice: Recommendation) -> tuple[str, ...]:
    """The methods that `match` leaves in play, most promising first: those that its evidence does not put behind."""
    said = (advice.start_with, advice.runner_up, *advice.equivalents, *advice.cannot_tell)
    return tuple(dict.fromkeys(method for method in said if method in METHODS and method not in advice.behind))


def default_rates(parameters: int, *, lora: bool = False) -> tuple[float, ...]:
    """Three learning rates to choose from, for a model of so many weights.

    Example:
        >>> default_rates(135_000_000)
        (3e-06, 1.2e-05, 4.8e-05)
    """
    middle = RATE_AT * (RATE_SIZE / parameters) ** RATE_POWER * (LORA_STEP if lora else 1.0)
    return tuple(float(f"{middle * factor:.2g}") for factor in (1 / RATE_STEP, 1.0, RATE_STEP))


@dataclass(frozen=True)
class Ask:
    """What somebody asks of a trial.

    Attributes:
        methods: to compare, most promising first.
        minutes: for all of it.
        learning_rates: ascending; None: by the model's size.
        config: of every run; what is None or usual there is chosen here.
        seeds, steps: None: as the minutes allow.
        reward_model: a folder or Hub id; "": none.
        memory: GB that may be used; None: what is free.
    """

    methods: tuple[str, ...]
    minutes: float
    learning_rates: tuple[float, ...] | None = None
    config: TrainConfig = TrainConfig(batch_size=BATCH)
    seeds: int | None = None
    steps: int | None = None
    reward_model: str = ""
    memory: float | None = None

    def __post_init__(self) -> None:
        unknown = [method for method in self.methods if method not in METHODS]
        if unknown or not self.methods:
            raise UserError(f"--methods: expected some of {', '.join(METHODS)}, got {', '.join(unknown) or 'none'}")
        for name in ("minutes", "seeds", "steps", "memory"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise UserError(f"--{name}: expected a number above 0, got {value}")
        for rate in self.learning_rates or ():
            if not 0 < rate < math.inf:
                raise UserError(f"--learning-rates: expected numbers above 0, such as 1e-5, got {rate}")


def prepare_rows(setup: Setup, ask: Ask) -> tuple[Setup, Ask, list[str]]:
    """The setup, with KTO's weights where it holds thumbs; methods that its rows can teach; what to say of it.

    Raises:
        UserError: too few rows, or one class only on a side.
    """
    setup.expect(**LEAST)
    if not setup.thumbs:
        return setup, ask, []
    for name, rows in setup.thumbs.items():
        if len({row["label"] for row in rows}) < 2:
            raise UserError(f"{setup.source}: expected thumbs up and thumbs down on {name} prompts, got one kind only")
    ups = fmean(row["label"] for row in setup.thumbs["train"])
    setup = replace(
        setup, strengths={"kto": dict(zip(("desirable_weight", "undesirable_weight"), kto_weights(ups), strict=True))}
    )
    pairs = len(setup.pairs["train"])
    said = [f"A log of thumbs: KTO takes all of it, SFT those that are up, pair methods the {pairs} pairs in it."]
    if pairs < LEAST_PAIRS * ask.config.batch_size and any(METHODS[m].data == "paired" for m in ask.methods):
        said.append(f"{pairs} pairs are too few for methods that need them: KTO only, beside SFT.")
        ask = replace(ask, methods=("kto",))
    return setup, ask, said


def suited(setup: Setup, config: TrainConfig, memory_bytes: float | None = None) -> tuple[TrainConfig, list[str]]:
    """The configuration that memory allows, and what to say of it; what somebody set stays as it is.

    In turn: all weights, fewer rows a pass, adapters (LoRA).

    Raises:
        UserError: not even adapters fit.
    """
    import torch

    from lessons_lib.models.precision import bf16_pays

    device = "cuda" if torch.cuda.is_available() else "cpu"
    config = replace(config, bf16=config.bf16 or bf16_pays(device))
    if config.lora_rank or config.rows_per_pass:
        return config, []
    room = memory_bytes or _free_bytes(device)
    for tried, said in ways(config):
        needed = needed_bytes(setup, tried)
        if needed <= USABLE * room:
            return tried, said
    raise UserError(
        f"--model: predicted to need {needed / 1e9:.1f} GB even with adapters, and {room / 1e9:.1f} GB are free; take "
        "a smaller model, a smaller --max-tokens, or set rows_per_pass=1 with --set to try it nevertheless"
    )


def ways(config: TrainConfig) -> list[tuple[TrainConfig, list[str]]]:
    """Configurations that need less and less memory, and what to say of each."""
    passes = max(2, config.batch_size // 4)
    fewer = replace(config, rows_per_pass=passes)
    adapters = f"Memory does not hold all weights, gradients and AdamW's states: LoRA adapters of rank {LORA_RANK}."
    return [
        (config, []),
        (fewer, [f"Memory: {passes} rows a pass."]),
        (replace(fewer, lora_rank=LORA_RANK), [adapters]),
    ]


def needed_bytes(setup: Setup, config: TrainConfig) -> float:
    """Predicted bytes on the device that trains. On a CPU the start and the best model so far lie there as well."""
    import torch

    weights = sum(parameter.numel() * parameter.element_size() for parameter in setup.model.parameters())
    return _peak(setup, config) + (0 if torch.cuda.is_available() else 2 * weights)


def _peak(setup: Setup, config: TrainConfig) -> float:
    """Predicted bytes of a DPO step on the longest rows of one pass."""
    rows = setup.pairs["train"] or [
        {"prompt": row["prompt"], "chosen": row["completion"], "rejected": row["completion"]}
        for row in setup.thumbs["train"]
    ]
    longest = sorted(rows, key=lambda row: sum(len(str(text)) for text in row.values()))
    widest = replace(setup, pairs={"train": longest[-(config.rows_per_pass or config.batch_size) :]})
    return own.predicted_peak(widest, "dpo", config)


def _free_bytes(device: str) -> float:
    if device == "cuda":
        import torch

        return torch.cuda.mem_get_info()[0]
    import psutil

    return psutil.virtual_memory().available


# Timing and planning ------------------------------------------------------------------------------------------


def time_it(setup: Setup, config: TrainConfig, reply_tokens: int) -> Costs:
    """One step, one evaluation and a few replies, timed; nothing of it is kept."""
    method = "kto" if setup.thumbs and len(setup.pairs["train"]) < 2 * config.batch_size else "dpo"
    few = _drawn(setup, 2 * config.batch_size, seed=0)
    config = replace(config, warmup_steps=0)
    own.train_arm(few, method, replace(config, max_steps=1))  # the first of all is slower than any other
    ticks = [time.perf_counter()]
    trained = own.train_arm(
        few, method, replace(config, max_steps=3), at=lambda step: ticks.append(time.perf_counter())
    )
    rows = some_prompts(setup.rows["validation"], 2 * config.batch_size)
    started = time.perf_counter()
    own.wins(setup, trained, rows, config)
    score = (time.perf_counter() - started) / (2 * len(rows))  # two models
    asked = answerable(setup, reply_tokens)[:8]
    started = time.perf_counter()
    own.sampled(setup, trained, asked, most_tokens=reply_tokens, seed=0)
    reply = (time.perf_counter() - started) / len(asked)
    step = (ticks[3] - ticks[1]) / 2
    run = max(0.0, ticks[1] - ticks[0] - step)
    return Costs(step=step / COST.get(method, 1.0), run=run, score=score, reply=reply)


def reply_tokens(setup: Setup) -> int:
    """How long sampled replies may become."""
    tokens = own.tokenized(setup.rows["test"], setup.tokenizer)
    lengths = sorted(len(ids) for column in ("chosen", "completion") for ids in tokens.responses.get(column, ()))
    least, most = REPLY_TOKENS
    return min(most, max(least, lengths[int(0.9 * (len(lengths) - 1))]))


def plan_for(setup: Setup, ask: Ask, config: TrainConfig, costs: Costs, seconds_left: float) -> Plan:
    """The plan for what is left of the minutes."""
    weights = sum(parameter.numel() for parameter in setup.model.parameters())
    train, validation, test = (len(setup.rows[name]) for name in SHARES)
    return choose(
        ask.methods,
        ask.learning_rates or default_rates(weights, lora=bool(config.lora_rank)),
        Rows(train // 2 if setup.thumbs else train, validation, test),
        costs,
        seconds_left,
        batch_size=config.batch_size,
        seeds=ask.seeds,
        steps=ask.steps,
    )


def _drawn(setup: Setup, pairs: int, seed: int) -> Setup:
    """The setup with so many training pairs, or twice as many thumbs, drawn by the seed; all where there are fewer."""

    def some(rows: Sequence[dict], most: int) -> list[dict]:
        return random.Random(seed).sample(rows, most) if len(rows) > most else list(rows)

    thumbs = {**setup.thumbs, "train": some(setup.thumbs["train"], 2 * pairs)} if setup.thumbs else {}
    return replace(setup, pairs={**setup.pairs, "train": some(setup.pairs["train"], pairs)}, thumbs=thumbs)


def some_prompts(rows: Sequence[dict], wanted: int) -> list[dict]:
    """About so many rows, whole prompts in an order that the file's does not decide; of thumbs, some of both kinds.

    Thumbs down are rare in many logs, and accuracy compares the two kinds: it goes on until both are there.
    """
    by_prompt = defaultdict(list)
    for row in rows:
        by_prompt[prompt_key(row["prompt"])].append(row)
    prompts = list(by_prompt)
    random.Random(0).shuffle(prompts)
    labels = {row.get("label") for row in rows}
    found: list[dict] = []
    for prompt in prompts:
        if len(found) >= wanted and {row.get("label") for row in found} == labels:
            break
        found += by_prompt[prompt]
    return found


def answerable(setup: Setup, reply_tokens: int) -> list[dict]:
    """One held-out row a prompt whose reply has room in the model's context, in the file's order.

    Raises:
        UserError: there is none.
    """
    rows = list({prompt_key(row["prompt"]): row for row in setup.rows["test"]}.values())
    context = getattr(setup.model.config, "max_position_embeddings", None) or float("inf")
    lengths = map(len, own.tokenized(rows, setup.tokenizer).prompts)
    fitting = [row for row, length in zip(rows, lengths, strict=True) if length + reply_tokens <= context]
    if not fitting:
        raise UserError(
            f"{setup.source}: no held-out prompt leaves room for a reply of {reply_tokens} tokens; leave long rows "
            "out with --max-tokens"
        )
    return fitting


# Running ------------------------------------------------------------------------------------------------------


class Trial:
    """A plan at work in a folder.

    Args:
        folder: for plan, runs and pages.
        setup: model and rows.
        config: of every run.
        plan: what to run.
        judge: a reward model and its tokenizer, or None.
    """

    def __init__(self, folder: Path, setup: Setup, config: TrainConfig, plan: Plan, judge: tuple | None = None):
        self.folder, self.setup, self.plan, self.judge = folder, setup, plan, judge
        warmup = min(5, plan.steps // 5)
        self.config = replace(config, max_steps=plan.steps, warmup_steps=warmup, batch_size=plan.batch_size)
        self.rows = store.so_far(folder, NAME)

    @cached_property
    def validation(self) -> list[dict]:
        return some_prompts(self.setup.rows["validation"], self.plan.validation)

    @cached_property
    def test(self) -> list[dict]:
        return some_prompts(self.setup.rows["test"], self.plan.test)

    @cached_property
    def prompts(self) -> list[dict]:
        """Those that are `answerable`, in an order that the file's does not decide."""
        rows = answerable(self.setup, self.reply_tokens)
        random.Random(1).shuffle(rows)
        return rows

    @cached_property
    def reply_tokens(self) -> int:
        return reply_tokens(self.setup)

    @property
    def held_out_prompts(self) -> int:
        return len({prompt_key(row["prompt"]) for row in self.test})

    @property
    def answered_prompts(self) -> int:
        """How many prompts all seeds together answer."""
        return min(self.plan.replies * self.plan.seeds, len(self.prompts))

    @property
    def settings(self) -> dict[str, object]:
        """For the report: what every arm shares, how the trial was made, and how long it took."""
        plan, config = self.plan, self.config
        seconds = sum(row["seconds"] for row in self.rows)
        return {
            "training": f"{plan.steps} steps of {plan.batch_size} pairs (or twice as many single responses) each",
            "weights": f"LoRA adapters of rank {config.lora_rank}" if config.lora_rank else "all weights",
            "learning rates tried": ", ".join(f"{rate:.1e}" for rate in plan.learning_rates),
            "strengths": "as in the papers",
            "held out": f"{len(self.test)} rows of {self.held_out_prompts} prompts",
            "time": f"{seconds / 60:.1f} minutes; {plan.seconds / 60:.1f} were predicted",
            **store.provenance("trial"),
        }

    def blind_pairs(self, arm: str) -> tuple[list, list[str], list[str]]:
        """(prompts, the untouched model's replies, an arm's), of all seeds that both have."""
        found: tuple[list, list[str], list[str]] = ([], [], [])
        for seed in range(self.plan.seeds):
            both = [self._find("final", name, seed) for name in ("untouched", arm)]
            if all(both):
                base, tuned = ([reply["text"] for reply in json.loads(row["replies"])] for row in both if row)
                for column, some in zip(found, ([row["prompt"] for row in self.asked(seed)], base, tuned), strict=True):
                    column += some
        return found

    def asked(self, seed: int) -> list[dict]:
        """The rows whose prompts the models of a seed answer: others for each seed, as long as there are enough."""
        count, first = min(self.plan.replies, len(self.prompts)), seed * self.plan.replies
        return [self.prompts[place % len(self.prompts)] for place in range(first, first + count)]

    def run(self, seconds: float, on_step: Callable[[str], object] | None = None) -> list[dict]:
        """All runs that are not there yet; seeds after the first only while there is time. The rows of all.

        Args:
            seconds: what is left of the minutes.
            on_step: called after every step of training with what is being trained.
        """
        end, self._on_step = time.monotonic() + seconds, on_step
        self._final("untouched", SEARCH_SEED, None)
        for arm in self.plan.arms:
            self._searched(arm)
        for seed in range(1, self.plan.seeds):
            if self._missing(seed) and time.monotonic() + self._block_seconds() > end:
                break
            for arm in ("untouched", *self.plan.arms):
                self._final(arm, seed, None if arm == "untouched" else self.rate(arm))
        return self.rows

    def rate(self, arm: str) -> float:
        """The learning rate of an arm: the highest whose validation accuracy is within a standard error of the best.

        Accuracy reads the sign of what a response gained, and a rate that hardly moves the model may have it right. Of
        rates that validation cannot tell apart, the highest shows most in the replies of a run this short.
        """
        tried = {row["learning_rate"]: row["accuracy"] for row in self.rows if _is(row, "search", arm)}
        error = 0.5 / math.sqrt(len({prompt_key(row["prompt"]) for row in self.validation}))
        return max(rate for rate, accuracy in tried.items() if accuracy >= max(tried.values()) - error)

    def _searched(self, arm: str) -> None:
        """The search for an arm's learning rate; its best model is measured with the first seed."""
        if self._find("final", arm, SEARCH_SEED):
            return
        best = None
        for rate in self.plan.learning_rates:
            if self._find("search", arm, SEARCH_SEED, rate):
                continue
            started = time.perf_counter()
            model, broken = self._train(arm, SEARCH_SEED, rate)
            accuracy = fmean(own.wins(self.setup, model, self.validation, self.config).values()) if model else 0.0
            if model:
                own.keep_weights(model, self._best_file(arm, rate))
            self._keep("search", arm, SEARCH_SEED, rate, started, accuracy=accuracy, broken=broken)
            best = model if self.rate(arm) == rate else best
            self._drop_weights(arm, but=self.rate(arm))
        kept = self._best_file(arm, self.rate(arm))
        if best is None and kept.is_file():  # trained before a kill
            best = own.kept_weights(self.setup, self.config, kept)
        self._final(arm, SEARCH_SEED, self.rate(arm), best)
        self._drop_weights(arm)

    def _drop_weights(self, arm: str, but: float | None = None) -> None:
        for file in self.folder.glob(f"best_{arm}_*"):
            if but is None or file != self._best_file(arm, but):
                file.unlink()

    def _best_file(self, arm: str, rate: float) -> Path:
        return self.folder / f"best_{arm}_{rate:g}.pt"

    def _final(self, arm: str, seed: int, rate: float | None, model: Any = None) -> None:
        """Measure an arm's model on test prompts; it is trained first where it is not at hand."""
        if self._find("final", arm, seed):
            return
        started, broken = time.perf_counter(), ""
        if arm == "untouched":
            model = self.setup.model
        elif model is None and rate is not None:
            model, broken = self._train(arm, seed, rate)
            model = self.setup.model if model is None else model  # a run that broke has taught nothing
        wins = own.wins(self.setup, model, self.test, self.config)
        asked = self.asked(seed)
        replies = own.sampled(self.setup, model, asked, most_tokens=self.reply_tokens, seed=seed, judge=self.judge)
        measured = {
            "accuracy": fmean(wins.values()),
            "by_prompt": json.dumps(list(wins.values())),
            "asked": json.dumps([prompt_key(row["prompt"]) for row in asked]),
            "replies": json.dumps(replies),
        }
        self._keep("final", arm, seed, rate, started, **measured, broken=broken)

    def _train(self, arm: str, seed: int, rate: float) -> tuple[Any, str]:
        """(the trained model, ""), or (None, why) where the loss did not stay finite."""
        drawn = _drawn(self.setup, self.plan.steps * self.plan.batch_size, seed)
        config = replace(self.config, seed=seed, learning_rate=rate)
        what = f"{ARMS[arm].label}, {rate:.1e}, seed {seed}"
        tell = self._on_step or (lambda what: None)
        try:
            return own.train_arm(drawn, arm, config, at=lambda step: tell(what)), ""
        except UserError as error:
            if not str(error).startswith("step "):
                raise
            return None, str(error)

    def _block_seconds(self) -> float:
        """What one more seed will take: a training of each arm and all measurements, as they went so far."""
        trained = sum(fmean(row["seconds"] for row in self.rows if _is(row, "search", arm)) for arm in self.plan.arms)
        return trained + sum(row["seconds"] for row in self.rows if row["stage"] == "final" and row["seed"] == 0)

    def _missing(self, seed: int) -> bool:
        return not all(self._find("final", arm, seed) for arm in ("untouched", *self.plan.arms))

    def _find(self, stage: str, arm: str, seed: int, rate: float | None = None) -> dict | None:
        return next(
            (r for r in self.rows if _is(r, stage, arm) and r["seed"] == seed and rate in (None, r["learning_rate"])),
            None,
        )

    def _keep(self, stage: str, arm: str, seed: int, rate: float | None, started: float, **measured: Any) -> None:
        row = {"stage": stage, "arm": arm, "seed": seed, "learning_rate": rate, **measured}
        row["seconds"] = time.perf_counter() - started
        store.append(self.folder, NAME, [row])
        self.rows.append(row)


def _is(row: Mapping, stage: str, arm: str) -> bool:
    return row["stage"] == stage and row["arm"] == arm


# The folder ---------------------------------------------------------------------------------------------------


def identity(setup: Setup, model: str, ask: Ask) -> dict:
    """What makes two trials one: rows, model, methods and settings; not the minutes, which may be more."""
    digest = hashlib.blake2b(digest_size=8)
    for rows in setup.rows.values():
        digest.update(json.dumps(rows, sort_keys=True).encode())
    return {
        "model": model,
        "rows": digest.hexdigest(),
        "methods": list(ask.methods),
        "learning rates": ask.learning_rates and list(ask.learning_rates),
        "seeds": ask.seeds,
        "steps": ask.steps,
        "memory": ask.memory,
        "settings": _changed(ask.config),
        "reward model": ask.reward_model,
    }


def _changed(config: TrainConfig) -> dict:
    """The settings that are not as usual."""
    usual = vars(TrainConfig())
    return {name: value for name, value in vars(config).items() if value != usual[name]}


def keep_plan(folder: Path, plan: Plan, asked: dict, config: TrainConfig, seconds: float) -> None:
    """Write down what will be run, so that the same command goes on with it. `seconds`: that planning took."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {"asked": asked, "plan": plan.as_dict(), "settings": _changed(config), "seconds": seconds}
    unfinished = folder / f"{PLAN}.new"
    unfinished.write_text(json.dumps(record, indent=1), encoding="utf-8")
    unfinished.replace(folder / PLAN)


def kept_plan(folder: Path, asked: dict) -> tuple[Plan, TrainConfig, float] | None:
    """What `keep_plan` wrote; None where nothing lies there.

    Raises:
        UserError: the folder holds a trial of something else, or a plan that is none of a trial.
    """
    path = folder / PLAN
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        before = dict(record["asked"])
        kept = Plan.from_dict(record["plan"]), TrainConfig(**record["settings"]), float(record["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"--out: {path} is not the plan of a trial; name another folder") from None
    changed = [name for name, value in json.loads(json.dumps(asked)).items() if before.get(name) != value]
    if changed:
        raise UserError(
            f"--out: {folder} holds a trial with other {' and '.join(changed)}; name another folder, or repeat the "
            "command that began it"
        )
    return kept
