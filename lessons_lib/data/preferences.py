"""The two shapes of preference data, how a row is checked, and the ways from one shape to the other.

paired    ``{"prompt": …, "chosen": …, "rejected": …}``        what DPO, IPO, ORPO and SimPO train on
unpaired  ``{"prompt": …, "completion": …, "label": bool}``    what KTO trains on

Every text is either plain text or a list of messages ``[{"role": …, "content": …}]``, the same in all
rows. A dataset is any iterable of such dicts: a list, or the `Rows` that `check` and `readers.read` answer
with. This module opens no file and knows no tokenizer.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any

from lessons_lib.errors import UserError

SHAPES = {"paired": ("prompt", "chosen", "rejected"), "unpaired": ("prompt", "completion", "label")}
# What may stand beside a judgement: what was judged, by whom, in which split, what was shown first, and scores.
SCORES = {side: (f"{side}_score", f"score_{side}", f"{side}_rating") for side in ("chosen", "rejected")}
EXTRAS = ("item", "rater", "split", "chosen_first", *SCORES["chosen"], *SCORES["rejected"])
ROLES = ("system", "user", "assistant", "tool")
_HALF_PAIR = re.compile("[\ud800-\udfff]")
LISTED = 1000  # refused rows are all counted; the first thousand are also listed, so that memory stays flat


Problem = tuple[str, str, str, str]  # field, what was expected, what was found, what to do


@dataclass(frozen=True)
class Refusal:
    """Why one row was refused: where it stands, what was expected there, what came, what to do."""

    source: str
    line: int  # counted from 1, the header of a CSV included
    field: str
    expected: str
    found: str
    fix: str
    unit: str = "line"  # "row" where a source has no lines: Parquet, the Hub, a list

    def __str__(self) -> str:
        place = f"{self.source}, {self.unit} {self.line}" + (f", field '{self.field}'" if self.field else "")
        return f"{place}: expected {self.expected}, found {self.found}; {self.fix}"


@dataclass(frozen=True)
class Skipped:
    """A row that is sound but makes no preference, such as a tie: counted by reason, not refused."""

    reason: str


class PreferenceDataError(UserError):
    """A refused row; `refusal` holds the parts of the message."""

    def __init__(self, refusal: Refusal):
        super().__init__(str(refusal))
        self.refusal = refusal


class Rows:
    """Checked rows of one shape, one at a time: iterating reads the source again from its start.

    After a pass: `shape` ("paired" or "unpaired"), `kept` and `refused_count` (numbers of rows),
    `refused` (a list of `Refusal`, the first 1,000), `skipped` (a `Counter` of reasons, ties for instance).

    Of a file, also `reading` (how its rows are read), `example` (one of them) and `lost` (columns that are not read).
    Set `on_left_out` to be told of every row left out. Make one with `check`, `readers.read` or `readers.judgements`.
    """

    shape: str | None
    kept: int
    refused_count: int
    refused: list[Refusal]
    skipped: Counter[str]
    _form: str | None

    def __init__(
        self,
        records: Callable[[], Iterable[tuple[int, Mapping | Refusal | Skipped]]],
        *,
        source: str,
        unit: str = "line",
        shape: str | None = None,
        keep: Sequence[str] = (),
        apart_from: Iterable[Mapping] | None = None,
        on_error: str = "raise",
        table: Any = None,  # of `readers`: a file with its reading
        judged: bool = False,  # verdicts are rows too, and what stands beside a judgement is kept
    ):
        _expect_one_of("shape", shape, (None, *SHAPES))
        _expect_one_of("on_error", on_error, ("raise", "collect"))
        self.source = source
        self._records, self._unit, self._wanted = records, unit, shape
        self._keep, self._apart_from = tuple(keep), apart_from
        self._collect = on_error == "collect"
        self._table, self._judged = table, judged
        self.on_left_out: Callable[[int, str], None] | None = None  # told of every row left out: its place, and why
        self._start()

    @property
    def reading(self) -> Any:
        """How a file's rows are read (`schemas.Reading`); None for rows that were in Python."""
        return self._table and self._table.reading

    @property
    def example(self) -> dict | None:
        """One row of a file, as it is read."""
        return self._table and self._table.example

    @property
    def lost(self) -> Counter:
        """Columns of a file that say something and are not read, such as images: in how many rows."""
        return self._table.lost if self._table else Counter()

    def _start(self) -> None:
        self.shape, self._form = self._wanted, None
        self.kept, self.refused_count, self.refused, self.skipped = 0, 0, [], Counter()

    def __iter__(self) -> Iterator[dict]:
        self._start()
        for line, record in self._records():
            if isinstance(record, Skipped):
                self.skipped[record.reason] += 1
                self._tell(line, record.reason)
                continue
            if isinstance(record, Refusal):
                self._refuse(record)
            elif refusal := self._check(line, record):
                self._refuse(refusal)
            else:
                self.kept += 1
                yield dict(record) if self._judged else self._fields_of(record)

    def _fields_of(self, record: Mapping) -> dict:
        """What is kept of a row that passed, which has set the shape."""
        assert self.shape
        return {field: record[field] for field in (*SHAPES[self.shape], *self._keep)}

    def _refuse(self, refusal: Refusal) -> None:
        if not self._collect:
            raise PreferenceDataError(refusal)
        self._tell(refusal.line, str(refusal))
        self.refused_count += 1
        if len(self.refused) < LISTED:
            self.refused.append(refusal)

    def _tell(self, line: int, reason: str) -> None:
        if self.on_left_out:
            self.on_left_out(line, reason)

    def _check(self, line: int, record: Mapping) -> Refusal | None:
        if self._judged and "verdict" in record and "first" in record:
            problem = check_verdict(record)
            return Refusal(self.source, line, *problem, unit=self._unit) if problem else None
        shape = self.shape or shape_of(record)
        problem = check_row(record, shape) or self._check_against_others(record)
        if problem:
            return Refusal(self.source, line, *problem, unit=self._unit)
        self.shape, self._form = shape, _form(record)
        return None

    def _check_against_others(self, record: Mapping) -> Problem | None:
        if self._form not in (None, _form(record)):
            fix = "convert the messages with messages_to_text"
            return "prompt", f"{self._form} like the rows before it", _form(record), fix
        if self._apart_from is not None and prompt_key(record["prompt"]) in self._taken:
            other = getattr(self._apart_from, "source", "the other split")
            fix = "split by prompt (split_by_prompt), or drop the row from one side"
            return "prompt", f"a prompt that does not occur in {other}", excerpt(record["prompt"]), fix
        missing = next((name for name in self._keep if name not in record), None)
        return (missing, f"a column '{missing}' to keep", _columns(record), "leave it out of keep") if missing else None

    @cached_property
    def _taken(self) -> frozenset[int]:
        return prompt_keys(self._apart_from or ())

    def summary(self) -> str:
        """One line about the pass that just ended: kept, refused, skipped."""
        skipped = "".join(f", {count:,} skipped ({reason})" for reason, count in self.skipped.items())
        shape = f"{self.shape} " if self.shape else ""
        return f"{self.source}: {self.kept:,} {shape}rows kept, {self.refused_count:,} refused{skipped}"


def check(
    rows: Iterable[Mapping],
    *,
    shape: str | None = None,
    source: str = "rows",
    keep: Sequence[str] = (),
    apart_from: Iterable[Mapping] | None = None,
    on_error: str = "raise",
) -> Rows:
    """Check rows that are already in Python.

    Args:
        rows: dicts of one shape.
        shape: "paired" or "unpaired"; None takes the shape of the first sound row.
        source: what errors call the rows.
        keep: further fields to carry along, as in ``("rater", "source")``; others are left out.
        apart_from: rows of another split; a prompt that occurs there too is refused as a leak. One 8-byte
            key a distinct prompt is held in memory, not the rows.
        on_error: "raise" stops at the first bad row; "collect" keeps the good ones and lists the refused.

    Returns:
        `Rows`. Nothing is checked before you iterate: ``rows = list(check(rows))``.

    Raises:
        PreferenceDataError: while iterating, naming source, row, field, what was expected, what to do.

    >>> checked = check([{"prompt": "2+2?", "chosen": "4", "rejected": "4 "}], on_error="collect")
    >>> list(checked), checked.refused_count
    ([], 1)
    >>> print(checked.refused[0])
    rows, row 1, field 'rejected': expected another text than chosen, found '4 '; a tie is no preference: drop the row
    """
    return Rows(
        lambda: enumerate(rows, 1),
        source=source,
        unit="row",
        shape=shape,
        keep=keep,
        apart_from=apart_from,
        on_error=on_error,
    )


def shape_of(record: Mapping) -> str | None:
    """The shape whose three fields `record` holds ("paired" first where it holds all), or None."""
    present = _present(record) if isinstance(record, Mapping) else set()
    return next((shape for shape, fields in SHAPES.items() if present.issuperset(fields)), None)


def check_row(record: Mapping, shape: str | None) -> Problem | None:
    """What is wrong with one row, as (field, expected, found, fix), or None. `shape` None: the nearest."""
    if not isinstance(record, Mapping):
        return "", "a row with named fields", excerpt(record), "write each row as an object"
    shape = shape or _nearest_shape(record)
    fields = SHAPES[shape]
    missing = next((field for field in fields if record.get(field) is None), None)
    if missing:
        return _missing(record, missing, shape)
    for field in fields:
        problem = _check_label(record[field]) if field == "label" else _check_text(field, record[field])
        if problem:
            return problem
    forms = {field: isinstance(record[field], str) for field in fields if field != "label"}
    if len(set(forms.values())) > 1:
        found = ", ".join(f"{field} as {'text' if plain else 'messages'}" for field, plain in forms.items())
        return "prompt", "plain text in every field, or messages in every field", found, "convert with messages_to_text"
    if shape == "paired" and _same(record["chosen"], record["rejected"]):
        fix = "a tie is no preference: drop the row"
        return "rejected", _ANOTHER_TEXT, excerpt(record["rejected"]), fix
    return None


_ANOTHER_TEXT = "another text than chosen"


def check_verdict(record: Mapping) -> Problem | None:
    """What is wrong with a raw comparison {prompt, first, second, verdict}; equal replies are not: they are counted."""
    pair = {"prompt": record.get("prompt"), "chosen": record["first"], "rejected": record.get("second")}
    problem = check_row(pair, "paired")
    if problem is None or problem[1] == _ANOTHER_TEXT:
        return None
    return {"chosen": "first", "rejected": "second"}.get(problem[0], problem[0]), *problem[1:]


def _missing(record: Mapping, field: str, shape: str) -> Problem:
    other = shape_of(record)
    if other not in (None, shape):
        fix = "keep the two shapes in two files (pairs_to_ratings makes pairs unpaired)"
        return field, f"a {shape} row ({', '.join(SHAPES[shape])})", f"a row of the {other} shape", fix
    if field in record:
        return field, "true or false" if field == "label" else "a text", "nothing (null)", "fill it in or drop the row"
    return field, f"a column '{field}'", _columns(record), f"name yours: --columns {field}=YOURS"


def _nearest_shape(record: Mapping) -> str:
    """The shape that lacks the fewest fields, for the message about what is missing."""
    present = _present(record)
    return max(SHAPES, key=lambda shape: len(present.intersection(SHAPES[shape])))


def _present(record: Mapping) -> set[str]:
    return {field for field, value in record.items() if value is not None}


def _form(record: Mapping) -> str:
    return "text" if isinstance(record["prompt"], str) else "messages"


def _columns(record: Mapping) -> str:
    return "the columns " + ", ".join(f"'{name}'" for name in record) if record else "no column at all"


def _check_label(label: object) -> Problem | None:
    if isinstance(label, bool):
        return None
    return "label", "true or false", excerpt(label), "make it a boolean, as in `rating >= 4`"


def _check_text(field: str, value: object) -> Problem | None:
    if isinstance(value, str):
        return _check_string(field, value)
    if not isinstance(value, list) or not value:
        found = "an empty list" if value == [] else excerpt(value)
        return field, "text or a list of messages", found, "convert it to text"
    for message in value:
        if not isinstance(message, Mapping) or not {"role", "content"}.issubset(message):
            return field, "messages {role, content}", excerpt(message), "rename the keys to role and content"
        if message["role"] not in ROLES:
            return field, f"one of the roles {', '.join(ROLES)}", excerpt(message["role"]), "rename the role"
        if problem := _check_string(field, message["content"]):
            return problem
    if field != "prompt" and value[0]["role"] in ("system", "user"):
        return field, "the reply alone", f"a list that starts with the {value[0]['role']} turn", "cut off the prompt"
    return None


def _check_string(field: str, text: object) -> Problem | None:
    if not isinstance(text, str):
        return field, "text", excerpt(text), "convert it to text"
    if is_blank(text):
        return field, "a text with something to read", excerpt(text), "fill it in or drop the row"
    if not text.isascii() and _HALF_PAIR.search(text):
        return field, "valid Unicode", f"half a surrogate pair in {excerpt(text)}", "an emoji was cut in two: repair it"
    return None


def is_blank(text: str) -> bool:
    """Whether nothing in `text` can be seen: white space, or marks of no width such as U+200B."""
    return all(character.isspace() or unicodedata.category(character) == "Cf" for character in text)


def _same(first: str | list, second: str | list) -> bool:
    return _stripped(first) == _stripped(second)


def _stripped(text: str | list) -> object:
    return text.strip() if isinstance(text, str) else [(m["role"], m["content"].strip()) for m in text]


def excerpt(value: object, width: int = 60) -> str:
    """`value` as Python writes it, cut to `width` characters, for an error message."""
    text = ascii(value[:width]) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= width else text[: width - 1] + "…"


def _expect_one_of(name: str, value: object, allowed: tuple) -> None:
    if value not in allowed:
        raise UserError(f"{name}: expected one of {', '.join(map(repr, allowed))}, found {value!r}")


# Splitting by prompt ------------------------------------------------------------------------------------------


def prompt_key(prompt: str | list, seed: int = 0) -> int:
    """A 64-bit number that names a prompt: equal for prompts that differ only in white space or letter case.

    A lone user message has the key of its text, so that a chat dataset and a plain one meet.
    """
    if not isinstance(prompt, str):
        lone = len(prompt) == 1 and prompt[0]["role"] == "user"
        prompt = prompt[0]["content"] if lone else "\n".join(f"{m['role']}: {m['content']}" for m in prompt)
    text = " ".join(unicodedata.normalize("NFC", prompt).casefold().split())
    salted = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, salt=seed.to_bytes(16, "big"))
    return int.from_bytes(salted.digest(), "big")


def prompt_keys(rows: Iterable[Mapping]) -> frozenset[int]:
    """The keys of all prompts in `rows`."""
    return frozenset(prompt_key(row["prompt"]) for row in rows)


def split_of(prompt: str | list, shares: Mapping[str, float], seed: int = 0) -> str:
    """The split a prompt belongs to. It depends on the prompt and the seed alone, on no other row.

    So two datasets that share prompts, split one after the other or on two machines, never put one prompt on
    two sides. The shares hold in expectation: of 1,000 prompts at 0.1, 81 to 119 in 95 of 100 seeds.

    Args:
        prompt: text or messages.
        shares: share of the prompts by split, adding up to 1, as in ``{"train": 0.9, "test": 0.1}``.
        seed: another seed gives another split.
    """
    if not shares or min(shares.values()) < 0 or not math.isclose(sum(shares.values()), 1):
        raise UserError(f"shares: expected shares that add up to 1, found {dict(shares)}")
    point = prompt_key(prompt, seed) / 2**64
    for name, end in zip(shares, itertools.accumulate(shares.values()), strict=True):
        if point < end:
            return name
    return name  # the sum fell short of 1 by rounding


def split_by_prompt(rows: Iterable[dict], shares: Mapping[str, float], seed: int = 0) -> dict[str, list[dict]]:
    """Rows by split, all rows of a prompt on one side: see `split_of`."""
    splits: dict[str, list[dict]] = {name: [] for name in shares}
    for row in rows:
        splits[split_of(row["prompt"], shares, seed)].append(row)
    return splits


# From one shape to another ------------------------------------------------------------------------------------


def pairs_to_ratings(pairs: Iterable[dict]) -> Iterator[dict]:
    """Two unpaired rows from each pair: the chosen one labelled True, the rejected one False.

    The result is exactly balanced, which thumbs never are; a completion that won one pair and lost another
    appears with both labels.
    """
    for row in pairs:
        yield {"prompt": row["prompt"], "completion": row["chosen"], "label": True}
        yield {"prompt": row["prompt"], "completion": row["rejected"], "label": False}


def ratings_to_labels(rows: Iterable[dict], *, rating: str = "rating", up_from: float) -> Iterator[dict]:
    """Unpaired rows from rows with a number in field `rating`: the label is ``rating >= up_from``."""
    for place, row in enumerate(rows, 1):
        yield {
            "prompt": row["prompt"],
            "completion": row["completion"],
            "label": _rating(row, rating, place) >= up_from,
        }


def ratings_to_pairs(rows: Iterable[dict], *, rating: str = "label", min_gap: float = 1) -> Iterator[dict]:
    """Pairs from rated completions: of each two of one prompt, the better one is chosen.

    Args:
        rows: ``{prompt, completion}`` and the field `rating`; all of them are held in memory.
        rating: a field with a number or a boolean (1 and 0): with "label", unpaired rows become pairs.
        min_gap: ratings closer than this make no pair (in units of the rating, above 0). A completion is
            never paired with itself. A prompt with n completions makes at most n(n-1)/2 pairs.
    """
    if not min_gap > 0:
        raise UserError(f"min_gap: expected a number above 0 (equal ratings prefer nothing), found {min_gap!r}")
    by_prompt = defaultdict(list)
    for place, row in enumerate(rows, 1):
        by_prompt[prompt_key(row["prompt"])].append((_rating(row, rating, place), row))
    for rated in by_prompt.values():
        for one, other in itertools.combinations(rated, 2):
            (low, worse), (high, better) = sorted((one, other), key=lambda pair: pair[0])
            if high - low >= min_gap and not _same(better["completion"], worse["completion"]):
                yield {"prompt": better["prompt"], "chosen": better["completion"], "rejected": worse["completion"]}


def _rating(row: dict, field: str, place: int) -> float:
    value = row.get(field)
    if not isinstance(value, Real) or math.isnan(value):
        raise UserError(f"row {place}, field '{field}': expected a number or true/false, found {excerpt(value)}")
    return float(value)


def messages_to_text(rows: Iterable[Mapping], template: Any) -> Iterator[Mapping]:
    """Rows of messages as rows of plain text, in the words of a chat template. Rows of text pass unchanged.

    Args:
        rows: paired or unpaired rows.
        template: a tokenizer with a chat template, or a function
            ``(messages, add_generation_prompt) -> str``.

    Raises:
        UserError: the template writes the prompt differently once a reply follows, so that no cut between
            prompt and reply is right.
    """
    render = _renderer(template)
    for row in rows:
        if isinstance(row["prompt"], str):
            yield row
            continue
        prompt = render(row["prompt"], row["prompt"][-1]["role"] != "assistant")
        texts = {
            field: _reply(render, row["prompt"], prompt, value)
            for field, value in row.items()
            if field in ("chosen", "rejected", "completion")
        }
        yield {**row, "prompt": prompt, **texts}


def _renderer(template: Any) -> Callable[[list, bool], str]:
    if not hasattr(template, "apply_chat_template"):
        return template
    return lambda messages, generation: template.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=generation
    )


def _reply(render: Callable, messages: list, prompt: str, reply: list) -> str:
    whole = render([*messages, *reply], False)
    if not whole.startswith(prompt):
        raise UserError(
            f"chat template: expected the whole to begin with the prompt {excerpt(prompt[-50:])}, found "
            f"{excerpt(whole[max(0, len(prompt) - 50) :])}; use a template that writes earlier turns as it wrote them"
        )
    return whole[len(prompt) :]
