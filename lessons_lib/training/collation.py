"""From preference rows to token ids, and from token ids to batches.

Knows tokenizers and lengths; knows nothing of models, losses or methods. Prompt and response stay apart
as two lists of ids from here on, so that no mask is ever guessed from a pad id.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, overload

import numpy as np
import torch

from lessons_lib.data.preferences import messages_to_text
from lessons_lib.errors import UserError
from lessons_lib.training.special_tokens import Encoder, Met, check_vocabulary

CHUNK_ROWS = 1000  # tokenized, or read back, at a time
SORTING_WINDOW = 8  # batches; wide enough to fill them with rows of one length, narrow enough to keep them mixed


class Tokenized(Protocol):
    """Preference rows as token ids, wherever they are: in memory, on disk, or made when asked for."""

    @property
    def responses(self) -> Collection[str]:
        """Names of the columns."""

    @property
    def labels(self) -> torch.Tensor | None: ...

    @property
    def reference(self) -> Mapping[str, torch.Tensor]: ...

    def __len__(self) -> int: ...

    def row_lengths(self) -> Sequence[int] | np.ndarray: ...

    def token_counts(self) -> Sequence[Sequence[int]] | np.ndarray: ...

    def chunks(self) -> Iterator[bytes]: ...

    def select(self, indices: list[int]) -> TokenRows: ...


@dataclass(frozen=True)
class TokenRows:
    """Preference rows as token ids.

    Attributes:
        prompts: one list of ids a row, at least one id long.
        responses: column name to one list of ids a row: "chosen" and "rejected", or "completion".
        labels: (rows,) boolean for unpaired rows, True for thumbs up; None for paired ones.
        reference: column name to (rows,), the reference's summed log-prob of each response, once it is known.
        truncated, dropped: how many rows were shortened to fit, and how many left out because they do not.
        met: what is odd about special tokens, and in how many rows.
    """

    prompts: list[list[int]]
    responses: dict[str, list[list[int]]]
    labels: torch.Tensor | None = None
    reference: dict[str, torch.Tensor] = field(default_factory=dict)
    truncated: int = 0
    dropped: int = 0
    met: Mapping[str, Met] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.prompts)

    def response_lengths(self) -> dict[str, torch.Tensor]:
        """Tokens of each response: column name to (rows,)."""
        return {column: torch.tensor([len(ids) for ids in rows]) for column, rows in self.responses.items()}

    def token_counts(self) -> list[list[int]]:
        """Tokens of each row's prompt, then of its response in each column."""
        return [[len(ids) for ids in rows] for rows in (self.prompts, *self.responses.values())]

    def row_lengths(self) -> list[int]:
        """Tokens of each row's longest sequence, prompt included: what padding depends on."""
        columns = self.responses.values()
        return [len(prompt) + max(map(len, row)) for prompt, *row in zip(self.prompts, *columns, strict=True)]

    def to(self, device: torch.device | str) -> TokenRows:
        """The same rows with their labels on `device`."""
        return self if self.labels is None else replace(self, labels=self.labels.to(device))

    def chunks(self) -> Iterator[bytes]:
        """All tokens in the order of the rows, as bytes: each row's lengths, then its ids."""
        for row in zip(self.prompts, *self.responses.values(), strict=True):
            yield row_bytes(row)

    def select(self, indices: list[int]) -> TokenRows:
        """The rows at `indices`, in that order."""
        return TokenRows(
            [self.prompts[i] for i in indices],
            {column: [rows[i] for i in indices] for column, rows in self.responses.items()},
            None if self.labels is None else self.labels[indices],
            {column: logps[indices] for column, logps in self.reference.items()},
        )


def row_bytes(row: Sequence[list[int]]) -> bytes:
    """A row's prompt and responses as 4-byte numbers: the length of each, then the ids of each."""
    return np.fromiter(itertools.chain(map(len, row), *row), dtype=np.uint32).tobytes()


@dataclass(frozen=True)
class Crossed:
    """Prompts of rows with the completions of other rows, each pair made when it is asked for.

    Attributes:
        rows: where both come from, in memory or on disk.
        own, others: row numbers of the prompts and of the completions.
        reference: as in `TokenRows`.
    """

    rows: Tokenized
    own: np.ndarray
    others: np.ndarray
    reference: dict[str, torch.Tensor] = field(default_factory=dict)
    responses: tuple[str, ...] = ("mismatched",)
    labels: None = None

    def __len__(self) -> int:
        return len(self.own)

    def token_counts(self) -> np.ndarray:
        prompts, completions = np.asarray(self.rows.token_counts())
        return np.stack([prompts[self.own], completions[self.others]])

    def row_lengths(self) -> np.ndarray:
        return self.token_counts().sum(axis=0)

    def chunks(self) -> Iterator[bytes]:
        for start in range(0, len(self), CHUNK_ROWS):
            yield from self.select(list(range(start, min(start + CHUNK_ROWS, len(self))))).chunks()

    def select(self, indices: list[int]) -> TokenRows:
        prompts = self.rows.select(self.own[indices].tolist()).prompts
        completions = self.rows.select(self.others[indices].tolist()).responses["completion"]
        reference = {column: logps[indices] for column, logps in self.reference.items()}
        return TokenRows(prompts, {"mismatched": completions}, reference=reference)


def tokenize_rows(
    rows: Iterable[Mapping],
    columns: Sequence[str],
    tokenizer: Any,
    *,
    max_length: int | None = None,
    truncation: str = "error",
    append_eos: bool = True,
    vocabulary: int | None = None,
    stops: Iterable[int] = (),
    first: int = 0,
) -> TokenRows:
    """Turn checked preference rows into token ids.

    The prompt gets the ids it has when the model is asked to continue it. The response gets the ids it has
    behind the prompt, or, where the tokenizer merges the two at the seam, the ids it has alone. There is one start
    token, if the tokenizer adds one, and one end token, whatever text and template brought along.

    Args:
        rows: dicts with a prompt and the response columns, as text, or as `{role, content}` messages, which
            go through the tokenizer's chat template.
        columns: the response columns to read; rows of "completion" have a label.
        tokenizer: a Hugging Face tokenizer.
        max_length: the most tokens of prompt and response together; None for no limit.
        truncation: what to do with a longer row. "error": raise; "keep_start": cut the ends of the responses;
            "keep_end": cut the start of the prompt; "keep_both": cut the start of the prompt down to half of
            max_length at most, then the ends of the responses; "drop": leave the row out. No cut leaves an empty
            prompt or response.
        append_eos: end every response with the end-of-sequence id, so that the model learns to stop, unless its
            text or template ends it.
        vocabulary: how many ids the model has embeddings for; None does not check.
        stops: ids at which the model's generation stops, beside the tokenizer's end token.
        first: the number by which errors call the first row.

    Raises:
        UserError: for no rows, messages without a chat template, a row without tokens, or one that is too long.
    """
    given = list(rows)
    if not given:
        raise UserError("data: expected at least one row, got none")
    chat = not isinstance(given[0]["prompt"], str)
    if chat and not tokenizer.chat_template:
        raise UserError("data: the rows hold messages, and this tokenizer has no chat template; set one, or pass text")
    rendered = _rendered(given, tokenizer)
    texts = [row["prompt"] for row in rendered]

    encode = Encoder(tokenizer, chat=chat, stops=stops)
    prompts = encode(texts)
    encode.look_at_prompts(texts, prompts, first)
    responses = {}
    for column in columns:
        encode.look_at_thoughts(texts, [row[column] for row in rendered], first)
        ids = _encode_responses(rendered, column, prompts, encode)
        responses[column] = encode.ended(ids, first) if append_eos else ids
    _refuse_empty({"prompt": prompts, **responses}, first)
    check_vocabulary({"prompt": prompts, **responses}, tokenizer, vocabulary, first)
    labels = torch.tensor([row["label"] for row in rendered]) if "completion" in columns else None
    whole = TokenRows(prompts, responses, labels, met=encode.met)
    return whole if max_length is None else _fitted(whole, max_length, truncation, first)


@dataclass(frozen=True)
class Batch:
    """The rows of one step.

    Attributes:
        step: its number, from 1.
        rows: row numbers.
        start: how many rows the steps before it took.
        epoch: passes over the data when this step is done.
    """

    step: int
    rows: list[int]
    start: int
    epoch: float


class Plan(Sequence[Batch]):
    """All batches of a run, kept as one array of row numbers: 4 bytes a row and epoch.

    Attributes:
        rows: row numbers, step after step.
        ends: where each step's rows end.
        epochs: passes over the data when the step is done.
    """

    def __init__(self, batches: list[np.ndarray], epochs: list[float]):
        self.rows = np.concatenate(batches).astype(np.int32)
        self.ends = np.cumsum([len(batch) for batch in batches])
        self.epochs = np.array(epochs)

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, number: int) -> Batch: ...

    @overload
    def __getitem__(self, number: slice) -> list[Batch]: ...

    def __getitem__(self, number: int | slice) -> Batch | list[Batch]:
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(len(self)))]
        number = range(len(self))[number]
        start = int(self.ends[number - 1]) if number else 0
        return Batch(number + 1, self.rows[start : self.ends[number]].tolist(), start, float(self.epochs[number]))

    def next_rows(self) -> np.ndarray:
        """For each entry of `rows` the row that follows it in its batch; the first follows the last."""
        following = np.roll(self.rows, -1)
        following[self.ends - 1] = self.rows[np.concatenate([[0], self.ends[:-1]])]
        return following


def plan_batches(
    lengths: Sequence[int] | np.ndarray,
    *,
    batch_size: int,
    order: str = "random",
    epochs: int = 1,
    steps: int | None = None,
    seed: int = 0,
    at_least: int = 1,
) -> Plan:
    """All batches of a run, the same for the same seed; each epoch takes every row once.

    Args:
        lengths: tokens of each row.
        batch_size: rows of a batch; the last one of an epoch may have fewer.
        order: "random": rows drawn without looking at them. "sorted": rows sorted by length within windows
            of 8 batches, so that rows of one batch are of like length; the batches are shuffled.
        epochs: passes over the rows.
        steps: how many batches instead of how many epochs; the rows are repeated until there are enough.
        at_least: a last batch with fewer rows joins the one before it.
    """
    sizes, batches, passes = np.asarray(lengths), list[np.ndarray](), list[float]()
    for epoch in itertools.count() if steps else range(epochs):
        of_epoch = _epoch(sizes, batch_size, order, np.random.default_rng((seed, epoch)), at_least)
        batches += of_epoch
        passes += [epoch + number / len(of_epoch) for number in range(1, len(of_epoch) + 1)]
        if steps and len(batches) >= steps:
            break
    return Plan(batches[:steps], passes[:steps])


def _epoch(
    lengths: np.ndarray, batch_size: int, order: str, rng: np.random.Generator, at_least: int
) -> list[np.ndarray]:
    rows = rng.permutation(len(lengths))
    if order == "sorted":
        size = SORTING_WINDOW * batch_size
        for i in range(0, len(rows), size):
            window = rows[i : i + size]
            rows[i : i + size] = window[np.argsort(lengths[window], kind="stable")]
    batches = [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
    if len(batches) > 1 and len(batches[-1]) < at_least:
        batches[-2:] = [np.concatenate(batches[-2:])]
    if order == "sorted":
        batches = [batches[i] for i in rng.permutation(len(batches))]
    return batches


def _rendered(rows: Sequence[Mapping], tokenizer: Any) -> list[Mapping]:
    """Messages as the text that the chat template makes of them."""
    try:
        return list(messages_to_text(rows, tokenizer))
    except UserError as error:
        if "<think" not in str(error):
            raise
        raise UserError(
            f"chat template: it opens a thinking block before the reply, and writes a finished reply without it, so "
            f"prompt and reply do not fit together. Use the template's switch for it (enable_thinking=False), a "
            f"template without it, or text that is rendered already ({error})"
        ) from error


def _encode_responses(
    rows: Sequence[Mapping], column: str, prompts: list[list[int]], encode: Encoder
) -> list[list[int]]:
    wholes = encode([row["prompt"] + row[column] for row in rows])
    return [
        whole[len(prompt) :] if whole[: len(prompt)] == prompt else encode.alone(row[column])
        for row, prompt, whole in zip(rows, prompts, wholes, strict=True)
    ]


def _refuse_empty(columns: dict[str, list[list[int]]], first: int) -> None:
    for name, rows in columns.items():
        empty = [number for number, ids in enumerate(rows) if not ids]
        if empty:
            raise UserError(
                f"data[{first + empty[0]}]: {name} has no tokens (rows like this: {len(empty)}); drop the row, "
                f"and give an empty prompt at least a start token"
            )


def _fitted(rows: TokenRows, limit: int, truncation: str, first: int) -> TokenRows:
    """The rows with those above `limit` shortened or left out, as the policy says."""
    kept, shortened = [], 0
    for row, (prompt, *responses) in enumerate(zip(rows.prompts, *rows.responses.values(), strict=True)):
        longest = max(map(len, responses))
        if len(prompt) + longest <= limit:
            kept.append(row)
        elif truncation != "drop":
            _shorten(rows, row, *_room(len(prompt), longest, limit, truncation, first + row))
            kept.append(row)
            shortened += 1
    fitted = rows if len(kept) == len(rows) else rows.select(kept)
    return replace(fitted, truncated=shortened, dropped=len(rows) - len(kept), met=rows.met)


def _room(prompt: int, longest: int, limit: int, truncation: str, number: int) -> tuple[int, int]:
    """How many tokens the prompt and each response of a longer row may keep."""
    if truncation == "keep_start" and prompt < limit:
        return prompt, limit - prompt
    if truncation == "keep_end" and longest < limit:
        return limit - longest, longest
    if truncation == "keep_both":
        kept = min(prompt, max(limit // 2, limit - longest))
        return kept, limit - kept
    others = {"keep_start": "cut the responses' ends", "keep_end": "cut the prompt's start"}
    others |= {"keep_both": "cut the prompt to half, then the responses", "drop": "leave such rows out"}
    others.pop(truncation, None)
    raise UserError(
        f"data[{number}]: {prompt} prompt tokens and up to {longest} response tokens do not fit into {limit} with "
        f"truncation={truncation!r}; raise max_length as far as the model allows, or choose "
        + ", ".join(f"{name!r} ({what})" for name, what in others.items())
    )


def _shorten(rows: TokenRows, row: int, of_prompt: int, of_response: int) -> None:
    rows.prompts[row] = rows.prompts[row][-of_prompt:]
    for responses in rows.responses.values():
        responses[row] = responses[row][:of_response]
