"""The lab's checkpoints and their scored samples, as `build` wrote them: `load("sft-0")`, `pool("sft-0")`.

Each checkpoint is a folder that transformers' ``from_pretrained`` reads; assets/small/CARD.md says how they
were made and what they measure. A pool holds samples of one SFT checkpoint for training and validation
prompts, from which simulated annotators draw; test prompts are in none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from lessons_lib import COMMAND
from lessons_lib.errors import UserError
from lessons_lib.lab import world

ASSETS = Path(__file__).parent / "assets"
ALL_SFT_NAMES = tuple(f"sft-{seed}" for seed in range(12))  # the benchmark's: one for each of its seeds
SFT_NAMES = ALL_SFT_NAMES[:3]  # the lessons'; other sizes have no more
NAMES = ("base", *ALL_SFT_NAMES)
POOL_SPLITS = ("train", "validation")


def load(name: str, size: str = "small"):
    """A checkpoint's (model, tokenizer): "base", or "sft-0" to "sft-11", which differ by their seed alone.

    "base" has read unrelated text; each "sft" was then fine-tuned on imperfect replies. `size` is "small"
    (46 thousand parameters, in the repository), or once it has been built "llama" (as small, another
    architecture) or "large" (a Llama of about 1 million).
    """
    from lessons_lib.models import loading  # here: whoever reads samples or recorded runs need not wait for torch

    return loading.load(folder(name, size))


def folder(name: str, size: str = "small") -> Path:
    """Where a checkpoint lies; a UserError lists the names, or says how to build what is not there."""
    if name not in NAMES:
        raise UserError(f"checkpoint: expected one of {', '.join(NAMES)}, got {name!r}")
    path = ASSETS / size / name
    if not path.is_dir():
        raise UserError(f"checkpoint: there is no {path}; build it: {COMMAND} lab build --size {size}")
    return path


@dataclass(frozen=True, repr=False)
class Pool:
    """Samples of one model, equally many for each prompt, with their gold reward.

    Attributes:
        prompts: the texts of the prompts.
        replies: word ids, those of prompts[0] first; <eos> included where it was emitted.
    """

    prompts: tuple[str, ...]
    replies: tuple[tuple[int, ...], ...]

    def __repr__(self) -> str:
        return f"Pool({len(self.replies):,} replies to {len(self.prompts):,} prompts)"

    @property
    def per_prompt(self) -> int:
        return len(self.replies) // len(self.prompts)

    @cached_property
    def gold(self) -> world.Gold:
        """The gold reward of every reply, with its parts."""
        return world.gold([self.prompt(index) for index in range(len(self.replies))], self.replies)

    def prompt(self, index: int) -> str:
        """The prompt that reply number `index` answers."""
        return self.prompts[index // self.per_prompt]

    def completion(self, index: int) -> str:
        """The text of reply number `index`, with the leading space that joins it to its prompt."""
        return " " + world.decode(self.replies[index])

    def split(self, name: str) -> Pool:
        """The part of the pool whose prompts are in a split."""
        wanted = set(world.prompts(name))
        rows = [index for index in range(len(self.replies)) if self.prompt(index) in wanted]
        if not rows:
            raise UserError(f"split: this pool has no prompts of {name!r}; pools hold {' and '.join(POOL_SPLITS)}")
        return Pool(tuple(p for p in self.prompts if p in wanted), tuple(self.replies[row] for row in rows))


@lru_cache(maxsize=4)
def pool(name: str, size: str = "small") -> Pool:
    """The scored samples of an SFT checkpoint: 16 for each training and validation prompt."""
    path = folder(name, size) / "pool.npz"
    if not path.is_file():
        raise UserError(f"pool: expected one of {', '.join(ALL_SFT_NAMES)}, got {name!r}, which has no samples")
    return read_pool(path)


def pool_prompts() -> tuple[str, ...]:
    """The prompts that a pool answers, in its order."""
    return tuple(prompt for split in POOL_SPLITS for prompt in world.prompts(split))


def write_pool(path: Path, replies: Sequence[Sequence[int]]) -> None:
    """Store replies to `pool_prompts()`, those of the first prompt first, as one byte a word."""
    lengths = np.array([len(reply) for reply in replies], dtype=np.uint8)
    np.savez_compressed(path, words=np.concatenate(replies).astype(np.uint8), lengths=lengths)


def read_pool(path: Path) -> Pool:
    """What `write_pool` stored."""
    with np.load(path) as stored:
        ends = stored["lengths"].astype(int).cumsum()
        replies = np.split(stored["words"], ends[:-1])
    return Pool(pool_prompts(), tuple(tuple(reply.tolist()) for reply in replies))
