"""Makes the lab's checkpoints, pools and card from nothing but this code and its seeds: ``lab build``.

One base model reads unrelated text; SFT checkpoints go on from it, each with its own seed: twelve of the small size,
three of the others. Each SFT checkpoint is sampled into a pool. What is already there, made by the same recipe, is not
made again, and a build that was killed goes on with the artefact it was at. On one machine's CPU the same recipe gives
the same bytes.
"""

from __future__ import annotations

import itertools
import json
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tqdm.auto import tqdm

from lessons_lib._surroundings import one_thread
from lessons_lib.lab import checkpoints, world
from lessons_lib.lab.evaluation import Evaluator
from lessons_lib.logps import padded_batch, response_token_logps
from lessons_lib.models import loading, making, sampling

TYPICAL_TOKENS = 20  # of a text: keeps the loss near one token's, and so the gradient near the clipping bound
WINDOW = 8  # batches whose texts are sorted by length together, which leaves little padding


@dataclass(frozen=True)
class CheckpointRecipe:
    """Everything that decides what a build makes."""

    architecture: str = "gpt2"
    layers: int = 2
    width: int = 48
    heads: int = 2
    feedforward: int = 96
    activation: str = "relu"
    batch_size: int = 64  # texts a step
    base_steps: int = 500
    base_learning_rate: float = 3e-3
    sft_steps: int = 4000
    sft_learning_rate: float = 3e-3
    replay: float = 0.1  # share of base text among what SFT reads, so that there is something left to forget
    per_prompt: int = 16  # samples of each pool prompt
    card_samples: int = 512  # samples on the validation prompts behind each figure of the card


RECIPES = {
    "small": CheckpointRecipe(),
    "llama": CheckpointRecipe(architecture="llama", activation="silu", sft_steps=1000),
    "large": CheckpointRecipe(
        architecture="llama",
        layers=4,
        width=128,
        heads=4,
        feedforward=512,
        activation="silu",
        base_learning_rate=1e-3,
        sft_steps=600,
        sft_learning_rate=1e-3,
    ),
}


@one_thread()
def build(
    root: Path,
    recipe: CheckpointRecipe,
    *,
    names: Sequence[str] = checkpoints.SFT_NAMES,
    fresh: bool = False,
    device: str = "cpu",
    progress: bool = True,
) -> None:
    """Make base, the SFT checkpoints, their pools and CARD.md under `root`.

    Args:
        root: the folder to build in.
        recipe: what to make.
        names: of the SFT checkpoints, in the order of their seeds.
        fresh: make everything again. Otherwise what the same recipe has made there is kept, which is right
            as long as the code is the same too.
        device: "cpu" or "cuda".
        progress: show progress bars.
    """
    if fresh:
        shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True, exist_ok=True)
    _stage(root / "base", recipe, lambda path: _make_base(path, recipe, device, progress))
    for seed, name in enumerate(names):
        _stage(root / name, recipe, lambda path, seed=seed: _make_sft(path, seed, recipe, device, progress))
    (root / "CARD.md").write_text(card(root, recipe, names), encoding="utf-8")


def _stage(folder: Path, recipe: CheckpointRecipe, make: Callable[[Path], None]) -> None:
    """Make `folder` unless the same recipe has; a folder appears only once it is whole."""
    stamp = folder / "recipe.json"
    if stamp.is_file() and json.loads(stamp.read_text()) == asdict(recipe):
        return
    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    make(unfinished)
    _write_json(unfinished / "recipe.json", asdict(recipe))
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)


def _make_base(path: Path, recipe: CheckpointRecipe, device: str, progress: bool) -> None:
    model = making.new_model(
        recipe.architecture,
        vocab_size=len(world.VOCABULARY),
        layers=recipe.layers,
        width=recipe.width,
        heads=recipe.heads,
        feedforward=recipe.feedforward,
        activation=recipe.activation,
        max_length=world.PROMPT_TOKENS + world.MAX_REPLY_TOKENS,
        seed=0,
        bos_id=world.BOS_ID,
        eos_id=world.EOS_ID,
    ).to(device)
    rng = random.Random("base")
    texts = (_base_text(rng) for _ in itertools.count())
    fit(model, texts, recipe.base_steps, recipe.batch_size, recipe.base_learning_rate, "base" if progress else None)
    _save(model, path)


def _make_sft(path: Path, seed: int, recipe: CheckpointRecipe, device: str, progress: bool) -> None:
    model = loading.load(path.parent / "base")[0].to(device)
    label = f"sft-{seed}"
    rng = random.Random(label)
    texts = (_base_text(rng) if rng.random() < recipe.replay else demonstration(rng) for _ in itertools.count())
    fit(model, texts, recipe.sft_steps, recipe.batch_size, recipe.sft_learning_rate, label if progress else None)
    _save(model, path)
    prompts = [world.encode(text) for text in checkpoints.pool_prompts() for _ in range(recipe.per_prompt)]
    replies = sampling.sample(
        model, prompts, max_new_tokens=world.MAX_REPLY_TOKENS, eos_id=world.EOS_ID, seed=seed, progress=progress
    )
    checkpoints.write_pool(path / "pool.npz", replies)


def _base_text(rng: random.Random) -> tuple[list[int], list[int]]:
    """Unrelated text as ids, all of it to be learned, after <bos>."""
    ids = world.encode(world.base_document(rng))
    return ids[:1], ids[1:]


def demonstration(rng: random.Random) -> tuple[list[int], list[int]]:
    """The ids of a training prompt and of an imperfect reply to it."""
    prompt = rng.choice(world.prompts("train"))
    return world.encode(prompt), world.encode(world.reply(prompt, rng))


def fit(
    model, texts: Iterator[tuple[list[int], list[int]]], steps: int, batch_size: int, peak: float, label: str | None
) -> None:
    """Train on fresh (prompt, response) ids, by the negative log-prob of the responses' tokens.

    AdamW, the learning rate rising to `peak` over the first twentieth of the steps and falling to 0 in a line.
    """
    warmup = max(1, steps // 20)
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warmup, (steps - step) / max(1, steps - warmup))
    )
    model.train()
    batches = itertools.islice(_batches(texts, batch_size), steps)
    for batch in tqdm(batches, total=steps, desc=label, disable=label is None):
        input_ids, labels = (tensor.to(model.device) for tensor in padded_batch(*zip(*batch, strict=True)))
        token_logps, _ = response_token_logps(model(input_ids).logits, labels)
        optimizer.zero_grad()
        # A constant divisor: by the batch's own token count, batches of short texts would weigh more than long ones.
        (-token_logps.sum() / (batch_size * TYPICAL_TOKENS)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model.eval()


def _batches(texts: Iterator[tuple[list[int], list[int]]], batch_size: int) -> Iterator[list]:
    """Batches of texts of like length, in an order that does not tell the length."""
    shuffle = random.Random(0).shuffle
    while True:
        window = sorted(itertools.islice(texts, WINDOW * batch_size), key=lambda text: len(text[0]) + len(text[1]))
        batches = [window[start : start + batch_size] for start in range(0, len(window), batch_size)]
        shuffle(batches)
        yield from batches


def _save(model, path: Path) -> None:
    """The checkpoint as transformers reads it."""
    tokenizer = making.word_level_tokenizer(world.VOCABULARY, bos=world.BOS, eos=world.EOS, pad=world.PAD)
    loading.save(model, tokenizer, path)


def card(root: Path, recipe: CheckpointRecipe, names: Sequence[str]) -> str:
    """The model card: how the checkpoints under `root` were made, and what they measure on the validation prompts."""
    columns = {name: _measure(root / name, recipe) for name in ("base", *names)}
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for figure in columns["base"]:
        lines.append(f"| {figure} | " + " | ".join(column[figure] for column in columns.values()) + " |")
    replies = len(checkpoints.pool_prompts()) * recipe.per_prompt
    parameters = loading.load(root / "base")[0].num_parameters()
    facts = dict(words=len(world.VOCABULARY), parameters=parameters, replies=replies)
    facts |= dict(first=names[0], last=names[-1])
    return CARD.format(table="\n".join(lines), recipe=json.dumps(asdict(recipe), indent=2), **facts, **asdict(recipe))


def _measure(folder: Path, recipe: CheckpointRecipe) -> dict[str, str]:
    """The card's figures for one checkpoint: each an estimate and the half-width of its 95 % interval."""
    model = loading.load(folder)[0]
    measured = Evaluator(model, split="validation", samples=recipe.card_samples)(model)
    shares = {part: interval for part, interval in measured.parts.items() if part != "excess_length"}
    figures = {
        "gold reward a reply": measured.gold,
        "tokens a reply, `<eos>` included": measured.length,
        "entropy, nats a reply": measured.entropy,
        "unseen base text, nats a token": measured.base_nll,
        "malformed": measured.malformed,
    } | {f"{part}, a reply": interval for part, interval in shares.items()}
    return {name: f"{interval.estimate:.2f} ± {interval.half_width:.2f}" for name, interval in figures.items()}


CARD = """\
# The lab's checkpoints

Small language models of a text world with a known gold reward, for lessons that fine-tune with preferences and
measure what becomes of it. The world is `lessons_lib/lab/world.py`; this page and everything beside it is made by
`lessons-lib lab build`, from code and seeds alone: no outside data.

- **base**: a {architecture} model of {parameters:,} parameters over {words} words, trained for {base_steps} steps of
  {batch_size} texts on unrelated text (diaries; one text in eight is a prompt, mostly answered by more diary).
- **{first} to {last}**: base, fine-tuned for {sft_steps} steps of {batch_size} texts with seeds of their own, on
  imperfect replies to training prompts and, for {replay:.0%} of the texts, on base text again. The replies offer
  another item, state a false price or are rude about as often as the table says: that is what preferences can improve.
- **pool.npz**: {replies:,} replies of each SFT checkpoint at temperature 1, {per_prompt} to each training and
  validation prompt, one byte a word. None answers a test prompt.
  `lessons_lib.lab.checkpoints.pool` reads and scores it.

## What they measure

{card_samples} replies to validation prompts; ± is the half-width of the 95 % interval over prompts (base text: over
texts). The best possible gold reward is 3.4; `world.POINTS` says what each part earns or costs.

{table}

## Use and limits

For teaching and for tests. Nothing here knows a language: the grammar is a toy, and what a method does to models of
this size need not carry over to large ones. Licence: Apache-2.0, as the rest of the project.

## Recipe

```json
{recipe}
```
"""


def _write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
