"""Start and end tokens: put right where the right reading is certain, and told where a person should look.

A tokenizer and a template decide what stands around prompt and reply, and nobody sees it in the text: a start token
twice, an end token before the reply, a reply that never ends. `Encoder` gives ids with one start and one end, and
counts what it met; `warnings_of` puts the counts into words. `preview` shows the rows themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from lessons_lib.errors import UserError


class Met(NamedTuple):
    """How many rows show something odd, and the number of the first of them."""

    rows: int
    first: int


_WORDS = {
    "start_twice": "begin with the start token in their text, and the tokenizer adds one: one is kept. The text "
    "already went through a chat template; pass messages instead, or text without special tokens",
    "special_in_prompt": "have special tokens, such as an end token, inside a plain-text prompt. The text already "
    "went through a chat template, or holds scraps of one; pass messages instead, or check that it is this model's",
    "ended_already": "end with the end token in their text, so none is added. The text already went through a chat "
    "template; pass messages instead, or leave the end token to append_eos",
    "never_ends": "come out of the chat template without an end token, so one is added: without it the model would "
    "not learn to stop. Set a template that ends the assistant's turn, or append_eos=False to train as it is",
    "ends_otherwise": "end with a special token at which this model's generation does not stop. Set the tokenizer's "
    "eos_token, or the generation configuration's eos_token_id, to the token that ends a turn",
    "opens_thinking": "have a prompt that ends by opening <think>, and a reply that never closes it: the model learns "
    "to answer inside its thoughts. Use the template's switch (enable_thinking=False), or put the thoughts into the "
    "replies",
    "plain_for_chat": "are plain text, and the tokenizer has a chat template, which plain text does not go through. "
    "Pass messages, [{role, content}], if the model is to be used as a chat model",
}


def warnings_of(met: Mapping[str, Met], total: int) -> list[str]:
    """What was met while rows were tokenized, one sentence each, with count, first row and what to do."""
    return [
        f"{found.rows:,} of {total:,} rows (first: data[{found.first}]) {_WORDS[key]}." for key, found in met.items()
    ]


def merged(one: Mapping[str, Met], other: Mapping[str, Met]) -> dict[str, Met]:
    """Two chunks' counts as one."""
    both = {**one}
    for key, found in other.items():
        both[key] = Met(both[key].rows + found.rows, min(both[key].first, found.first)) if key in both else found
    return both


class Encoder:
    """A tokenizer for one chunk of rows; counts in `met` what a person should know of.

    Args:
        tokenizer: a Hugging Face tokenizer.
        chat: whether the texts came out of its chat template, which holds the special tokens already.
        stops: ids at which the model's generation stops, beside the tokenizer's end token.
    """

    def __init__(self, tokenizer: Any, *, chat: bool, stops: Iterable[int] = ()):
        self.tokenizer, self.chat = tokenizer, chat
        self._rows: dict[str, set[int]] = {}  # what was met, and in which rows: both replies of a pair are one row
        self.start, self.end = tokenizer.bos_token_id, tokenizer.eos_token_id
        self.special, self.stops = set(tokenizer.all_special_ids), {*stops, self.end}
        empty = [] if chat else tokenizer("", add_special_tokens=True)["input_ids"]
        self._adds_start = self.start is not None and empty[:1] == [self.start]
        self._adds_end = self.end in empty[-1:] and (len(empty) > 1 or self.start != self.end)

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of texts that begin a sequence, with the start token where the tokenizer adds one, without an end."""
        rows = self.tokenizer(list(texts), add_special_tokens=not self.chat, return_attention_mask=False)["input_ids"]
        rows = [ids[:-1] for ids in rows] if self._adds_end else rows  # it would stand between prompt and reply
        twice = [self.start is not None and ids[:2] == [self.start] * 2 for ids in rows]
        return [ids[1:] if double else ids for ids, double in zip(rows, twice, strict=True)]

    def alone(self, text: str) -> list[int]:
        """Ids of a text that goes on, without special tokens."""
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def look_at_prompts(self, texts: Sequence[str], prompts: Sequence[list[int]], first: int) -> None:
        """Count what is odd about prompts, which `self` has encoded."""
        if self.chat:
            return
        for row, (text, ids) in enumerate(zip(texts, prompts, strict=True), start=first):
            if self._adds_start and text.startswith(self.tokenizer.bos_token):
                self._count("start_twice", row)
            if self.special.intersection(ids[1:] if ids[:1] == [self.start] else ids):
                self._count("special_in_prompt", row)
            elif self.tokenizer.chat_template:
                self._count("plain_for_chat", row)

    def look_at_thoughts(self, prompts: Sequence[str], replies: Sequence[str], first: int) -> None:
        """Count prompts that open a thinking block which their reply does not close."""
        for row, (prompt, reply) in enumerate(zip(prompts, replies, strict=True), start=first):
            if re.search(r"<think(ing)?>\s*$", prompt) and "</think" not in reply:
                self._count("opens_thinking", row)

    def ended(self, replies: Sequence[list[int]], first: int) -> list[list[int]]:
        """Replies with exactly one end: added where there is none, left where the text or the template has it."""
        if self.end is None:
            raise UserError("append_eos: the tokenizer has no end-of-sequence token; set one or pass append_eos=False")
        return [self._ended(ids, row) for row, ids in enumerate(replies, start=first)]

    def _ended(self, ids: list[int], row: int) -> list[int]:
        if not ids:
            return ids
        last = self._last_word(ids)
        if last in self.stops:
            if not self.chat:
                self._count("ended_already", row)
            return ids
        if self.chat and last in self.special:
            self._count("ends_otherwise", row)
            return ids
        if self.chat:
            self._count("never_ends", row)
        return [*ids, self.end]

    def _last_word(self, ids: list[int]) -> int:
        """The last id that is not white space: templates end a turn with an end token and a new line."""
        for token in reversed(ids[-4:]):
            if token in self.special or self.tokenizer.decode([token]).strip():
                return token
        return ids[-1]

    def _count(self, key: str, row: int) -> None:
        self._rows.setdefault(key, set()).add(row)

    @property
    def met(self) -> dict[str, Met]:
        return {key: Met(len(rows), min(rows)) for key, rows in self._rows.items()}


def check_vocabulary(columns: Mapping[str, Sequence[list[int]]], tokenizer: Any, size: int | None, first: int) -> None:
    """Refuse ids for which the model has no embedding.

    Raises:
        UserError: naming row, column and token.
    """
    if size is None:
        return
    for name, rows in columns.items():
        for row, ids in enumerate(rows, start=first):
            beyond = next((token for token in ids if token >= size), None)
            if beyond is not None:
                raise UserError(
                    f"data[{row}]: the tokenizer gives {name} the id {beyond} "
                    f"({tokenizer.convert_ids_to_tokens(beyond)!r}), and the model has embeddings for {size} ids only; "
                    f"use the model's own tokenizer, or enlarge the model first "
                    f"(model.resize_token_embeddings({len(tokenizer)}))"
                )


def marked(ids: Sequence[int], tokenizer: Any) -> str:
    """Ids as text, each special token in ⟦ ⟧, so that what nobody sees in the text is seen."""
    special, parts, run = set(tokenizer.all_special_ids), list[str](), list[int]()
    for token in [*ids, None]:
        if token is not None and token not in special:
            run.append(token)
            continue
        parts += [tokenizer.decode(run)] if run else []
        parts += [f"⟦{tokenizer.convert_ids_to_tokens(token)}⟧"] if token is not None else []
        run = []
    return "".join(parts)
