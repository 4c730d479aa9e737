"""The shop's model and its scored samples: what simulated annotators draw from.

A pool holds replies of the untouched model to training and validation requests, in the form that `lab.annotators`
takes; test requests are in none. Replies are sampled at `TEMPERATURE`, as one samples a model of this size in use:
at 1 it changes the subject, and even the language, in every other reply.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from lessons_lib.errors import UserError
from lessons_lib.lab.shop.gold import Gold, gold
from lessons_lib.lab.shop.requests import request_of, requests
from lessons_lib.recorded import store

MODEL = "smollm2-135m-instruct-q4"
TEMPERATURE = 0.7
MAX_REPLY_TOKENS = 40  # the end token included
PER_PROMPT = {"train": 8, "validation": 2}
POOL_SEED = 1000
END = "<|im_end|>"
POOL = Path(__file__).parent / "pool.npz"


def chat(prompt: str) -> str:
    """A prompt in the model's chat form, without the default system message, which speaks of an AI assistant."""
    return chat_of([("user", prompt)])


def chat_of(turns: Iterable[tuple[str, str]]) -> str:
    """A conversation of (role, text) in the model's chat form, up to where the assistant speaks next."""
    said = "".join(f"<|im_start|>{role}\n{text}{END}\n" for role, text in turns)
    return f"{said}<|im_start|>assistant\n"


@dataclass(frozen=True, repr=False)
class Pool:
    """Samples of one model, equally many for each prompt, with their gold reward; the interface of the lab's `Pool`.

    Attributes:
        prompts: the requests' prompts, as `requests.Request.prompt` has them.
        replies: token ids, those of prompts[0] first; the end token included where it was emitted.
        texts: the replies as text, without the end token.
        ended: whether each came to its end token.
    """

    prompts: tuple[str, ...]
    replies: tuple[tuple[int, ...], ...]
    texts: tuple[str, ...]
    ended: tuple[bool, ...]

    def __repr__(self) -> str:
        return f"Pool({len(self.replies):,} replies to {len(self.prompts):,} requests)"

    @property
    def per_prompt(self) -> int:
        return len(self.replies) // len(self.prompts)

    @cached_property
    def gold(self) -> Gold:
        """The gold reward of every reply, with its parts."""
        asked = [request_of(self.prompt(index)) for index in range(len(self.replies))]
        return gold(asked, self.texts, [len(reply) for reply in self.replies], self.ended)

    def prompt(self, index: int) -> str:
        """The prompt that reply number `index` answers."""
        return self.prompts[index // self.per_prompt]

    def completion(self, index: int) -> str:
        """The text of reply number `index`; one that ended has the end token in its text, as in the lab's world."""
        return self.texts[index] + (END if self.ended[index] else "")

    def split(self, name: str) -> Pool:
        """The part of the pool whose requests are in a split."""
        wanted = {request.prompt for request in requests(name)}
        rows = [index for index in range(len(self.replies)) if self.prompt(index) in wanted]
        if not rows:
            raise UserError(f"split: this pool has no requests of {name!r}; pools hold {' and '.join(PER_PROMPT)}")
        parts = ([column[row] for row in rows] for column in (self.replies, self.texts, self.ended))
        return Pool(tuple(p for p in self.prompts if p in wanted), *(tuple(part) for part in parts))


@lru_cache(maxsize=2)
def pool(split: str, path: Path = POOL) -> Pool:
    """The recorded samples of the untouched model for the requests of "train" or "validation"."""
    if split not in PER_PROMPT:
        raise UserError(f"split: expected one of {', '.join(PER_PROMPT)}, got {split!r}")
    prompts = tuple(request.prompt for request in requests(split))
    with np.load(path) as stored:
        ends = stored[f"{split}_lengths"].astype(int).cumsum()[:-1]
        replies = tuple(tuple(reply.tolist()) for reply in np.split(stored[f"{split}_tokens"], ends))
        texts = tuple(str(stored[f"{split}_texts"]).split("\0"))
        ended = tuple(stored[f"{split}_ended"].tolist())
    return Pool(prompts, replies, texts, ended)


CHUNK = 96  # replies that are sampled side by side and written down together


def chunks() -> list[tuple[str, int]]:
    """What a pool is sampled in: (split, number of the chunk)."""
    sizes = {split: len(requests(split)) * each for split, each in PER_PROMPT.items()}
    return [(split, number) for split, size in sizes.items() for number in range(-(-size // CHUNK))]


def sample_chunk(shop: Shop, split: str, number: int) -> list[dict]:
    """The replies of one chunk: {split, chunk, tokens, text, ended}, in the order of the pool."""
    prompts = [request.prompt for request in requests(split) for _ in range(PER_PROMPT[split])]
    seed = POOL_SEED + chunks().index((split, number))
    replies = shop.sample(shop.model, prompts[number * CHUNK : (number + 1) * CHUNK], seed=seed)
    return [
        {"split": split, "chunk": number, "tokens": reply, "text": text, "ended": ended}
        for reply, text, ended in zip(replies, *shop.read(replies), strict=True)
    ]


def build_pool(path: Path, *, work: Path, progress: bool = True) -> Path:
    """Sample the untouched model and write the pool; about ten CPU-minutes.

    Args:
        path: of the file.
        work: a folder for the chunks that are done; a call that was killed goes on from them.
        progress: show a progress bar.
    """
    rows = store.finished_lines(work, "pool")
    done = {(row["split"], row["chunk"]) for row in rows}
    left = [chunk for chunk in chunks() if chunk not in done]
    shop = Shop() if left else None
    for chunk in tqdm(left, desc="pool", unit="chunk", disable=not progress):
        found = sample_chunk(shop, *chunk)
        store.append(work, "pool", found)
        rows += found
    rows.sort(key=lambda row: (row["split"], row["chunk"]))  # stable: replies keep their order
    write_pool(path, rows)
    return path


def write_pool(path: Path, rows: Sequence[dict]) -> None:
    """Store the replies of all chunks, two bytes a token, and how they were made."""
    stored = {"provenance": np.array(json.dumps(store.provenance("lab shop --sample")))}
    for split in PER_PROMPT:
        own = [row for row in rows if row["split"] == split]
        stored |= {
            f"{split}_tokens": np.concatenate([np.array(row["tokens"], dtype=np.uint16) for row in own]),
            f"{split}_lengths": np.array([len(row["tokens"]) for row in own], dtype=np.uint8),
            f"{split}_texts": np.array("\0".join(row["text"] for row in own)),
            f"{split}_ended": np.array([row["ended"] for row in own]),
        }
    np.savez_compressed(path, **stored)


class Shop:
    """The untouched model with its tokenizer, and how replies are sampled from it and from what training makes of it.

    Args:
        model: "smollm2-135m-instruct-q4", or another chat model whose form is `chat`'s, as `loading.load` takes it.
        bf16: compute in bfloat16; None: where this machine does that well.
        device: "cpu", "cuda" …
    """

    def __init__(self, model: str = MODEL, *, bf16: bool | None = None, device: str = "cpu"):
        from lessons_lib.models import loading, precision

        self.model, self.tokenizer = loading.load(model)
        self.model.to(device)
        self.name = model
        self.bf16 = precision.bf16_pays(device) if bf16 is None else bf16
        self.end_id = self.tokenizer.convert_tokens_to_ids(END)
        if self.end_id in (None, self.tokenizer.unk_token_id):
            raise UserError(f"--model: expected a chat model whose turns end with {END}, and {model} has no such token")

    def encode(self, prompt: str) -> list[int]:
        """The token ids of a prompt in chat form."""
        return self.tokenizer(chat(prompt), add_special_tokens=False)["input_ids"]

    def encode_reply(self, text: str) -> list[int]:
        """The token ids of a reply's text, its end token among them where the text has one."""
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def sample(self, model, prompts: Sequence[str], *, seed: int, progress: bool = False) -> list[list[int]]:
        """One reply of `model` to each prompt, in token ids."""
        from lessons_lib.models import sampling

        with self.for_inference(model) as fast:
            return sampling.sample(
                fast,
                [self.encode(prompt) for prompt in prompts],
                max_new_tokens=MAX_REPLY_TOKENS,
                eos_id=self.end_id,
                seed=seed,
                temperature=TEMPERATURE,
                batch_size=CHUNK,
                progress=progress,
            )

    def read(self, replies: Iterable[Sequence[int]]) -> tuple[list[str], list[bool]]:
        """(texts without the end token, whether each ended)."""
        ended = [reply[-1] == self.end_id for reply in replies]
        kept = [reply[:-1] if end else reply for reply, end in zip(replies, ended, strict=True)]
        return [self.tokenizer.decode(ids, skip_special_tokens=False) for ids in kept], ended

    @contextmanager
    def for_inference(self, model):
        """Inside, a copy of the model whose matrices are in the precision that this machine computes with."""
        import torch

        if not self.bf16:
            yield model
            return
        fast = copy.deepcopy(model)
        for module in fast.modules():
            if isinstance(module, torch.nn.Linear):  # what autocast would convert again for every token
                module.weight = torch.nn.Parameter(module.weight.detach().to(torch.bfloat16), requires_grad=False)
        with torch.autocast(next(model.parameters()).device.type, torch.bfloat16):
            yield fast
