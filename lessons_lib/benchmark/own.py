"""Arms on a model and rows of your own: any Hugging Face model, any preference pairs, or thumbs.

No gold reward is known there. What is measured is held-out pair accuracy: on how many pairs of test prompts the chosen
response gained more log-prob since the start than the rejected one. That ranks every arm by one rule, whatever reward
its loss has. Accuracy does not see what a model writes, so replies are sampled too: how long they are, whether they
end, how much they repeat, how far they are from the model at the start, and what a reward model says of them.

Two callers share it. The lessons `compare` a few dozen steps where LESSONS_MODEL names a model, which shows how
methods behave and ranks none. ``trial`` (`lessons_lib.advice.trial`) makes of it a matched comparison within minutes.
"""

from __future__ import annotations

import copy
import math
import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lessons_lib.benchmark.design import ARMS, FIVE
from lessons_lib.data.preferences import pairs_to_ratings, prompt_key, ratings_to_pairs, shape_of, split_by_prompt
from lessons_lib.errors import UserError
from lessons_lib.methods import METHODS
from lessons_lib.metrics import share_interval
from lessons_lib.training.config import TrainConfig, takes_single_replies

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from lessons_lib.training.collation import TokenRows

VARIABLE = "LESSONS_MODEL"
SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}  # of the prompts
SAMPLE_ROWS, DRIFT_ROWS = 16, 4  # replies that are made, and compared with the start's distribution, side by side
COLUMNS = ("chosen", "rejected", "completion")
NGRAM = 4  # tokens that count as repeated together
# The papers' strengths: a model of millions of weights needs none of the lab's.
STRENGTHS: Mapping[str, Mapping[str, float]] = {
    "cdpo": {"label_smoothing": 0.1},
    "rdpo": {"flip_rate": 0.1},
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
    pairs: Mapping[str, list[dict]]  # by split; all pairs of a prompt are in one
    source: str  # of the pairs, in words
    thumbs: Mapping[str, list[dict]] = field(default_factory=dict)  # of a log, by split; `pairs` are those in it
    strengths: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # of an arm, where not the usual ones
    shares: Mapping[str, float] = field(default_factory=lambda: SHARES)  # of the prompts

    @property
    def rows(self) -> Mapping[str, list[dict]]:
        """What was given: the thumbs of a log, else pairs."""
        return self.thumbs or self.pairs

    def expect(self, **least: int) -> None:
        """Raise a UserError where a split holds fewer rows than `least` says."""
        kind = "thumbs" if self.thumbs else "pairs"
        small = [f"{n} for {name}" for name, n in least.items() if len(self.rows[name]) < n]
        if small:
            found = ", ".join(f"{len(rows)} {name}" for name, rows in self.rows.items())
            shares = " : ".join(f"{10 * share:g}" for share in self.shares.values())
            raise UserError(
                f"{self.source}: expected at least {' and '.join(small)}, got {found} (prompts are split {shares}); "
                f"give more {kind}"
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
        pairs = list(map(form_for(tokenizer), real.pairs(data, records)))
    else:
        source, pairs = data, list(readers.read(data, shape="paired"))
    return from_rows(start, tokenizer, pairs, source, max_tokens=max_tokens)


def from_rows(
    model: Any,
    tokenizer: Any,
    rows: Sequence[dict],
    source: str,
    *,
    max_tokens: int | None = None,
    shares: Mapping[str, float] = SHARES,
) -> Setup:
    """Rows of one shape, split by prompt; those with more than `max_tokens`, or too long for the model, left out."""
    thumbs = bool(rows) and shape_of(rows[0]) == "unpaired"
    if max_tokens and rows:
        most = min(max_tokens, getattr(model.config, "max_position_embeddings", None) or max_tokens)
        lengths = tokenized(rows, tokenizer).row_lengths()
        fitting = [row for row, length in zip(rows, lengths, strict=True) if length <= most]
        source += f"; {len(fitting)} of {len(rows)} {'thumbs' if thumbs else 'pairs'} have at most {most} tokens"
        rows = fitting
    split = split_by_prompt(rows, shares)
    if not thumbs:
        return Setup(model, tokenizer, split, source, shares=shares)
    pairs = {name: list(ratings_to_pairs(some)) for name, some in split.items()}
    return Setup(model, tokenizer, pairs, source, thumbs=split, shares=shares)


def as_chat(row: dict) -> dict:
    """A row for a model with a chat template: one user turn, one answer."""
    answers = {name: [{"role": "assistant", "content": row[name]}] for name in COLUMNS if name in row}
    return {**row, "prompt": [{"role": "user", "content": row["prompt"]}], **answers}


def as_text(row: dict) -> dict:
    """A row for a model without one: a blank line parts question and answer."""
    return {**row, "prompt": f"{row['prompt']}\n\n"}


def form_for(tokenizer: Any) -> Callable[[dict], dict]:
    """What puts a real dataset's row into the form that a model reads."""
    return as_chat if getattr(tokenizer, "chat_template", None) else as_text


# Training and measuring one arm -------------------------------------------------------------------------------


def train_arm(
    setup: Setup,
    arm: str,
    config: TrainConfig,
    *,
    model=None,
    progress: bool = False,
    at: Callable[[int], object] | None = None,
):
    """A copy of a model, trained by an arm of the design on the training rows; by the untouched one, as it is.

    Of a log of thumbs, KTO takes the thumbs, SFT the ones that are up, and the others the pairs in it.

    Args:
        arm: a key of `ARMS`.
        config: what all arms share. KTO, which takes a pair as two rows, and SFT, which reads half of each, take twice
            as many rows a step, so that a step holds as many responses for every arm.
        model: to begin with and to compare with; None: the setup's.
        at: called after each step with its number.
    """
    from lessons_lib.training.loop import train

    table, model = ARMS[arm], copy.deepcopy(setup.model if model is None else model)
    if table.method is None:
        return model
    twice = 2 if table.takes_single or table.method == "sft" else 1
    config = replace(
        config,
        hyperparameters={**STRENGTHS.get(arm, {}), **setup.strengths.get(arm, {})},
        average=table.average,
        nll_weight=table.nll_weight,
        batch_size=twice * config.batch_size,
        epochs=config.epochs * (2 if table.method == "sft" else 1),
        evaluate_every=1 if at else config.evaluate_every,
    )
    each_step = (lambda model, step: (at(step), {})[1]) if at else None
    rows = _rows_of(setup, table.method)
    return train(
        model, rows, table.method, config, tokenizer=setup.tokenizer, evaluate=each_step, progress=progress
    ).model


def _rows_of(setup: Setup, method: str) -> list[dict]:
    """What a method trains on."""
    pairs = setup.pairs["train"]
    if takes_single_replies(method):
        return setup.thumbs["train"] if setup.thumbs else list(pairs_to_ratings(pairs))
    if method == "sft" and setup.thumbs:
        return [row for row in setup.thumbs["train"] if row["label"]]
    return pairs


def keep_weights(model, path: Path) -> None:
    """Write what was trained of a model, whole or not at all; `kept_weights` puts it back."""
    import torch

    unfinished = path.with_suffix(".new")
    torch.save({name: value for name, value in model.named_parameters() if value.requires_grad}, unfinished)
    unfinished.replace(path)


def kept_weights(setup: Setup, config: TrainConfig, path: Path):
    """The model whose weights `keep_weights` wrote, trained from the setup's with this configuration."""
    import torch

    from lessons_lib.training.loop import trainable

    model = trainable(copy.deepcopy(setup.model), config)
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True), strict=False)
    return model.eval()


def measure(setup: Setup, model, pairs: Sequence[dict], config: TrainConfig) -> dict[str, float]:
    """Pair accuracy, and what became of chosen and rejected responses, in nats against the model at the start.

    Returns:
        `accuracy`: the share of pairs whose chosen response gained more log-prob than the rejected one, a tie counting
        half and each prompt once, with `accuracy_low` and `accuracy_high`, a 95 % interval; `margin`: by how much, in
        nats, summed over tokens; `chosen_logp_change` and `rejected_logp_change`, the two that it is the difference
        of; `likelier`: share of pairs whose chosen response has the higher log-prob per token; `pairs`: how many.
    """
    now, before, lengths = _logps(setup, model, pairs, config)
    chosen, rejected = (now[side] - before[side] for side in ("chosen", "rejected"))
    by_token = {side: values / lengths[side].cpu() for side, values in now.items()}
    accuracy = share_interval(list(_wins_of_pairs(pairs, (chosen - rejected).tolist()).values()))
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


def wins(setup: Setup, model, rows: Sequence[dict], config: TrainConfig) -> dict[int, float]:
    """Held-out accuracy, prompt by prompt: how often the better response gained more log-prob than the worse one.

    Args:
        rows: pairs; or thumbs, where every response that is up is compared with every one that is down, whatever
            prompt it answers, since few prompts of a log have both.

    Returns:
        `data.preferences.prompt_key` to a share in [0, 1], a tie counting half. Their mean is the accuracy.
    """
    now, before, _ = _logps(setup, model, rows, config)
    gains = {column: (now[column] - before[column]).tolist() for column in now}
    if "completion" in gains:
        return _wins_of_thumbs(rows, gains["completion"])
    margins = [chosen - rejected for chosen, rejected in zip(gains["chosen"], gains["rejected"], strict=True)]
    return _wins_of_pairs(rows, margins)


def _logps(setup: Setup, model, rows: Sequence[dict], config: TrainConfig):
    """(the model's, the start's summed log-probs, response lengths), each a column to (rows,)."""
    from lessons_lib.training.scoring import score_rows
    from lessons_lib.training.sharding import make_accelerator

    tokens = tokenized(rows, setup.tokenizer, config, setup.model)
    accelerator, passes = make_accelerator(), config.rows_per_pass or config.batch_size

    def score(model) -> dict[str, torch.Tensor]:
        home = model.device
        logps = score_rows(model.to(accelerator.device).eval(), tokens, rows_per_pass=passes, accelerator=accelerator)
        model.to(home)
        return {side: values.cpu() for side, values in logps.items()}

    return score(model), score(setup.model), tokens.response_lengths()


def _wins_of_pairs(pairs: Sequence[dict], margins: Sequence[float]) -> dict[int, float]:
    """The share of margins above 0, by prompt. A prompt is one unit: its pairs share what is hard about it."""
    found = defaultdict(list)
    for pair, margin in zip(pairs, margins, strict=True):
        found[prompt_key(pair["prompt"])].append((margin > 0) + 0.5 * (margin == 0))
    return {prompt: sum(of_prompt) / len(of_prompt) for prompt, of_prompt in found.items()}


def _wins_of_thumbs(thumbs: Sequence[dict], gains: Sequence[float]) -> dict[int, float]:
    """For each prompt, how often its responses stand on the right side of those with the other thumb.

    A response's own share is its place among the others (Mann and Whitney 1947), so that ups and downs count for half
    each, however many there are.
    """
    sides = {
        up: np.sort([gain for gain, row in zip(gains, thumbs, strict=True) if row["label"] == up]) for up in (0, 1)
    }
    if not all(map(len, sides.values())):
        raise UserError(f"expected thumbs of both kinds among {len(thumbs)} held-out ones, got one; give more rows")
    found = defaultdict(list)
    for row, gain in zip(thumbs, gains, strict=True):
        others = sides[not row["label"]]
        below = (np.searchsorted(others, gain, "left") + np.searchsorted(others, gain, "right")) / (2 * len(others))
        found[prompt_key(row["prompt"])].append(below if row["label"] else 1 - below)
    return {prompt: float(np.mean(places)) for prompt, places in found.items()}


def tokenized(rows: Sequence[dict], tokenizer, config: TrainConfig | None = None, model=None) -> TokenRows:
    """The rows as token ids: whole, or with a configuration as training has them."""
    from lessons_lib.training.collation import tokenize_rows

    how = {}
    if config:
        how = {"truncation": config.truncation, "append_eos": config.append_eos}
        how["max_length"] = config.max_length or getattr(model.config, "max_position_embeddings", None)
    columns = ("completion",) if shape_of(rows[0]) == "unpaired" else ("chosen", "rejected")
    return tokenize_rows(rows, columns, tokenizer, **how)


# Replies ------------------------------------------------------------------------------------------------------


def sampled(
    setup: Setup, model, rows: Sequence[dict], *, most_tokens: int, seed: int, judge: tuple[Any, Any] | None = None
) -> list[dict]:
    """One reply to the prompt of each row, sampled at temperature 1, with what can be measured of it.

    Args:
        rows: whose prompts leave room for `most_tokens` in the model's context.
        seed: the same for two models shows them the same luck.
        judge: a reward model and its tokenizer: see `models.loading.load_reward_model`.

    Returns:
        A dict a row: `text`; `length` in tokens, the end token included; `ended`, whether it came within `most_tokens`;
        `repetition`, see `repetition`; `kl`, how far the model's next-token distributions are from the start's along
        the reply, in nats, summed; with a judge its `reward`.
    """
    from lessons_lib.models.likelihood import divergence
    from lessons_lib.models.sampling import sample

    tokenizer, prompts = setup.tokenizer, tokenized(rows, setup.tokenizer).prompts
    end = -1 if tokenizer.eos_token_id is None else tokenizer.eos_token_id
    replies = sample(model, prompts, max_new_tokens=most_tokens, eos_id=end, seed=seed, batch_size=SAMPLE_ROWS)
    home = setup.model.device
    drift = divergence(model, setup.model.to(model.device), prompts, replies, batch_size=DRIFT_ROWS).tolist()
    setup.model.to(home)
    found = [
        {
            "text": tokenizer.decode(reply, skip_special_tokens=True),
            "length": len(reply),
            "ended": reply[-1] == end,
            "repetition": repetition(reply),
            "kl": kl,
        }
        for reply, kl in zip(replies, drift, strict=True)
    ]
    if judge:
        scores = _rewards(judge, setup, [[*prompt, *reply] for prompt, reply in zip(prompts, replies, strict=True)])
        found = [{**reply, "reward": score} for reply, score in zip(found, scores, strict=True)]
    return found


def repetition(tokens: Sequence[int], n: int = NGRAM) -> float:
    """The share of a text's n-grams that stood in it before: 0 where none does, near 1 where it goes in a circle.

    Example:
        >>> repetition([1, 2, 3, 4, 5, 6]), repetition([1, 2, 1, 2, 1, 2, 1, 2])
        (0.0, 0.6)

    Reference:
        Welleck et al. 2020, arXiv 1908.04319 (seq-rep-4).
    """
    grams = [tuple(tokens[start : start + n]) for start in range(len(tokens) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def _rewards(judge: tuple[Any, Any], setup: Setup, tokens: Sequence[Sequence[int]]) -> list[float]:
    """A reward model's score of each prompt with its reply."""
    import torch

    model, tokenizer = judge
    texts, scores = setup.tokenizer.batch_decode(tokens, skip_special_tokens=True), []
    for first in range(0, len(texts), SAMPLE_ROWS):
        some = tokenizer(texts[first : first + SAMPLE_ROWS], return_tensors="pt", padding=True, truncation=True)
        with torch.no_grad():
            logits = model(input_ids=some["input_ids"], attention_mask=some["attention_mask"]).logits
        scores += logits[:, 0].float().tolist()
    return scores


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
    known = [arm for arm, facts in ARMS.items() if not facts.imitates_first]  # its two stages are a tuple here
    unknown = [arm for chain in chains for arm in chain if arm not in known]
    if unknown:
        raise UserError(f"arms: expected some of {', '.join(known)}, got {', '.join(unknown)}")
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

    lengths = tokenized(setup.pairs["train"], setup.tokenizer).row_lengths()
    longest = sorted(range(len(lengths)), key=lengths.__getitem__)[-config.batch_size :]
    widest = replace(setup, pairs={"train": [setup.pairs["train"][i] for i in longest]})
    methods = {arm: ARMS[arm].method for arm in chain if ARMS[arm].method}
    peaks, predicted = [], [predicted_peak(widest, method, config) for method in methods.values() if method in METHODS]
    for arm in methods:
        with recorder("cuda" if config.bf16 else "cpu") as recorded:
            train_arm(widest, arm, replace(config, max_steps=2))
        peaks.append(recorded.peak_bytes)
    return {"peak_MB": max(peaks, default=math.nan) / 1e6, "predicted_MB": max(predicted, default=math.nan) / 1e6}


def predicted_peak(setup: Setup, method: str, config: TrainConfig) -> float:
    """The calculator's peak in bytes for these rows, taken as equally long: what it adds up grows with their tokens."""
    from lessons_lib.memory.architecture import read_architecture
    from lessons_lib.memory.estimate import Setting, estimate
    from lessons_lib.training.packing import can_pack

    rows = setup.pairs["train"]
    tokens = tokenized(rows, setup.tokenizer)
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
        lora_rank=config.lora_rank or 0,
        packed=can_pack(setup.model),
    )
    return estimate(setting).peak_bytes
