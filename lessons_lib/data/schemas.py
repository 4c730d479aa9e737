"""The schemas of preference data: how each is recognised from a file's first rows, and how its rows become ours.

`recognise` looks at the first rows and answers with a `Reading`; `SCHEMAS` lists what it knows, the first that fits
first, and `named` takes one of them by force. A converted row is a pair ``{prompt, chosen, rejected}``, a rating
``{prompt, completion, label}`` or a verdict ``{prompt, first, second, verdict}`` (see `judgements`); a row may hold
several, or prefer nothing (`Skipped`). Columns are told by name and by what they hold, see `columns`.
"""

from __future__ import annotations

import itertools
import json
import re
import shlex
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from lessons_lib.data import turns
from lessons_lib.data.columns import (
    COMPLETIONS,
    INDICES,
    JUDGES,
    LABELS,
    LISTS,
    RANKS,
    SAYS,
    SCORES,
    SYSTEM,
    VERDICTS,
    Ambiguous,
    Sample,
    as_number,
    label_of,
    number_reading,
    number_readings,
    numbered,
    tokens,
    worded,
)
from lessons_lib.data.preferences import Skipped, prompt_key
from lessons_lib.errors import UserError

LONGEST_NAME = 40  # characters of a column's name that are shown
FEW = 5  # different values that a column of verdicts may have
MOST_WAYS = 9  # options that are offered at once
TIE = Skipped("tie")
DIFFERENT_PROMPTS = Skipped("the two sides differ before the last reply")
NO_PROMPT = Skipped("the two sides share no beginning to take as the prompt")
Converted = dict | Skipped | list
Convert = Callable[[Mapping], Converted]


class SchemaError(UserError):
    """The rows cannot be read, or can be read in two ways; `ways` are options of the command that would decide."""

    def __init__(self, message: str, ways: Sequence[str] = ()):
        self.said, self.ways = message, tuple(ways)
        super().__init__(message + (f"; say which: {' | '.join(self.ways)}" if self.ways else ""))


@dataclass(frozen=True)
class Reading:
    """How the rows of a file are read.

    Attributes:
        schema: its name in `SCHEMAS`.
        says: which columns play which part.
        convert: from a row of the file to ours.
        whole: from all rows to ours instead, where single rows do not suffice; they are then held in memory.
        used: the columns that are read.
    """

    schema: str
    says: str
    convert: Convert | None = None
    whole: Callable[[Iterable[Mapping]], Iterator[dict | Skipped]] | None = None
    used: tuple[str, ...] = ()


@dataclass(frozen=True)
class Schema:
    """A known schema: `says` describes it, `bind` answers with a `Reading` where the first rows have it, or None."""

    name: str
    says: str
    bind: Callable[[Sample], Reading | None]


def recognise(rows: Sequence[Mapping], source: str, *, up_from: float | None = None) -> Reading:
    """The reading of a file from its first rows.

    Raises:
        SchemaError: no schema fits, or two do.
    """
    sample = Sample(rows)
    if up_from is not None and (reading := _rated_from(sample, up_from)):
        return reading
    try:
        reading = _first_that_fits(sample)
    except Ambiguous as error:
        raise SchemaError(f"{source}: {error.reason}", error.ways) from None
    if reading is None:
        reason, ways = _nothing_fits(sample)
        raise SchemaError(f"{source}: {reason}", ways)
    return reading


def _first_that_fits(sample: Sample) -> Reading | None:
    """The first reading whose columns stand in most rows; one of a shape that few rows have only if there is no other.

    Raises:
        Ambiguous: as the binders do.
    """
    rare = None
    for schema in SCHEMAS.values():
        if reading := schema.bind(sample):
            if not _is_rare(reading, sample.rows):
                return reading
            rare = rare or reading
    return rare


def _is_rare(reading: Reading, rows: Sequence[Mapping]) -> bool:
    """Whether most rows do not have the columns that are read."""
    missing, convert = 0, reading.convert
    if convert is None:
        return False
    for row in rows:
        try:
            convert(row)
        except KeyError as error:
            missing += bool(error.args) and error.args[0] not in row
        except (TypeError, ValueError, IndexError, AttributeError, StopIteration):
            continue  # a broken row, not another shape
    return 2 * missing > len(rows)


def named(name: str, rows: Sequence[Mapping], source: str) -> Reading:
    """The reading of a schema that was asked for.

    Raises:
        SchemaError: an unknown name, or rows that do not have it.
    """
    name, _, reading = name.partition(":")
    if name not in SCHEMAS or (reading and (name != "two-replies" or reading not in SAYS)):
        known = ", ".join(sorted(SCHEMAS)) + "".join(f", two-replies:{key}" for key in SAYS)
        raise SchemaError(f"schema: expected one of {known}, found {name + (reading and ':' + reading)!r}")
    sample = Sample(rows)
    try:
        bind: dict[str, Callable[[Sample], Reading | None]] = {
            "two-replies": partial(_two_replies, reading=reading or None),
            "message-lists": _as_message_lists,
        }
        found = bind.get(name, SCHEMAS[name].bind)(sample)
    except Ambiguous as error:
        raise SchemaError(f"{source}: {error.reason}", error.ways) from None
    if found is None:
        expected = f"expected rows in the schema {name} ({SCHEMAS[name].says})"
        raise SchemaError(f"{source}: {expected}, found the columns {_columns(sample)}")
    return found


def _columns(sample: Sample) -> str:
    names = [str(name) for name in (sample.kinds or (sample.rows[0] if sample.rows else ()))]
    return ", ".join(repr(name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…") for name in names)


def _nothing_fits(sample: Sample) -> tuple[str, list[str]]:
    """What is missing, in words: the part of a preference that no column plays; and the options that would name it."""
    found, ways = f"the columns are {_columns(sample)}", _ways_of(sample)
    prompt = next(iter(sample.prompt_columns(())), None)
    reply = sample.first_of(COMPLETIONS, "text", "turn", "turns")
    if (names := sample.contrast_names()) and not sample.contrast():
        return f"no row holds both '{names[0]}' and '{names[1]}'; {found}", ways
    if (sample.contrast() or sample.sides()) and not prompt:
        return f"no column is the prompt, and the replies hold no mark where one ends; {found}", ways
    if sides := sample.sides():
        unread = _unread(sample, VERDICTS, partial(worded, marks=sides[2], names=sides[:2]))
        reason = (
            f"two replies a row and no column that says which is better{unread}; {found}{_turned(sample, sides[:2])}"
        )
        return reason, _verdict_ways(sample, sides) or [
            "--columns better=YOURS (a column that names the better one: A or B, 1 or 2, or the reply's column)"
        ]
    if prompt and reply and not sample.contrast():
        unread = _unread(sample, LABELS, label_of)
        reason = f"each row has one reply and no label that says whether it is good{unread}; {found}"
        return reason, _label_ways(sample, (prompt, reply)) or ways
    return f"no schema fits; {found}", ways


def _unread(sample: Sample, names: Sequence[str], read: Callable[[object], object]) -> str:
    """The column that is named like a verdict or a label, and what it says that cannot be read."""
    name = next((known for name in names if (known := sample.first_of((name,), "text", "number"))), None)
    said = (
        list(dict.fromkeys(str(value)[:LONGEST_NAME] for value in sample.values(name) if read(value) is None))
        if name
        else []
    )
    return f" ('{name}' says {', '.join(map(repr, said[:FEW]))}, and that is not read)" if said else ""


def _turned(sample: Sample, replies: Sequence[str]) -> str:
    """A warning where a column says that replies were shown in turned order: a verdict may be about either order."""
    for name, values in _few_valued(sample, replies):
        if any(re.search("flipped|swapped|reversed", str(value).lower()) for value in values):
            return (
                f". By '{name}' the order was turned in some rows: name a verdict on {' and '.join(map(repr, replies))}"
            )
    return ""


def _few_valued(sample: Sample, apart_from: Sequence[str]) -> Iterator[tuple[str, list]]:
    """The columns with two to `FEW` different values, counters and ids apart, and those values."""
    for name in sample.kinds:
        values = list(dict.fromkeys(v for v in sample.values(name) if isinstance(v, (str, int, float)) and v != ""))
        if name not in apart_from and 2 <= len(values) <= FEW and not {"id", "idx", "index"} & {*tokens(name)}:
            yield name, values


def _verdict_ways(sample: Sample, sides: tuple[str, str, tuple[str, str]]) -> list[str]:
    """Options that name a column of few values as the verdict; of the first with numbers, each way to read them.

    Numbers count only in a column that is named like a verdict, so that no counter is offered.
    """
    one, other, marks = sides
    in_words: list[str] = []
    in_numbers: list[str] = []
    for name, values in _few_valued(sample, (one, other)):
        numbers = [number for number in map(as_number, values) if number is not None]
        way = "--columns " + shlex.quote(f"better={name}")
        if len(numbers) < len(values):
            if {"first", "second"} <= {worded(value, marks, (one, other)) for value in values}:
                in_words.append(way)
        elif {*tokens(name)} & {*VERDICTS, *SCORES, *JUDGES} and (readings := number_readings(numbers, marks)):
            says = [f"{way} --schema two-replies:{reading} ({SAYS[reading]})" for reading in readings]
            in_numbers += [way] if in_numbers else says
    return [*in_words, *in_numbers][:MOST_WAYS]


def _label_ways(sample: Sample, used: Sequence[str]) -> list[str]:
    """Options that name a column as the label: words that can be read, numbers, numbers inside an object."""
    words = [name for name, values in _few_valued(sample, used) if all(label_of(value) is not None for value in values)]
    numbers = [
        name
        for name in sample.kinds
        if sample.has(name, "number") and len({*sample.values(name)}) > 1 and not {"id", "idx"} & {*tokens(name)}
    ]
    nested = [
        f"{name}.{key}"
        for name in sample.kinds
        if sample.has(name, "object") and {*tokens(name)} & {*SCORES, *LABELS}
        for key, value in sample.values(name)[0].items()
        if as_number(value) is not None or isinstance(value, bool)
    ]
    return ["--columns " + shlex.quote(f"label={name}") for name in dict.fromkeys([*words, *numbers, *nested])][
        :MOST_WAYS
    ]


def _ways_of(sample: Sample) -> list[str]:
    text = [name for name in sample.kinds if sample.has(name, "text", "turn", "turns")]
    guess = dict(zip(("prompt", "chosen", "rejected"), itertools.chain(text, itertools.repeat("YOURS")), strict=False))
    ways = [
        f"--columns {' '.join(f'{ours}=YOURS' for ours in guess)}",
        "--columns prompt=YOURS completion=YOURS label=YOURS",
    ]
    return [*ways, "--schema NAME (`data schemas` lists them)"]


# Pairs ------------------------------------------------------------------------------------------------------------


def _pairs(sample: Sample) -> Reading | None:
    """A prompt beside the better and the worse reply."""
    sides = sample.contrast()
    if sides is None or _is_whole(sample, sides):
        return None
    prompt = sample.prompt(sides)
    if prompt is None:
        return None
    says, make = prompt

    def convert(row: Mapping) -> dict:
        asked, chosen, rejected = turns.in_one_form(make(row), *(turns.as_reply(row[side]) for side in sides))
        return {"prompt": asked, "chosen": chosen, "rejected": rejected}

    system = next((name for name in SYSTEM if sample.has(name, "text") and sample.filled(name)), None)
    name, says = _pairs_name(says, sample, sides), f"{system} + {says}" if system else says
    return Reading(name, f"prompt: {says}, chosen: {sides[0]}, rejected: {sides[1]}", convert)


def _pairs_name(prompt: str, sample: Sample, sides: tuple[str, str]) -> str:
    if prompt.endswith(".messages"):
        return "openai"
    if "instruction + input" in prompt:
        return "alpaca"
    if sample.has(prompt, "turns") and prompt != "prompt":
        keys = {key for value in sample.values(prompt)[:1] for key in value[0]}
        return "sharegpt" if "from" in keys else "messages-beside-replies"
    return "pairs" if (prompt, *sides) == ("prompt", "chosen", "rejected") else "named-pairs"


def _is_whole(sample: Sample, sides: tuple[str, str]) -> bool:
    """Whether the replies are conversations from their beginning."""
    return all(
        sample.has(side, "turns")
        and turns.messages(next(v for v in sample.values(side) if turns.is_turns(v)))[0]["role"] in ("user", "system")
        for side in sides
    )


def _contrast(value: object) -> tuple[list[dict], list[dict], list[dict]]:
    if parts := turns.split_contrast(value):
        return parts
    raise ValueError("turns that end with a chosen and a rejected reply were expected")


def _pairs_in_turns(sample: Sample) -> Reading | None:
    """One list of turns that ends with the two replies, told apart by their roles."""
    for name in sample.kinds:
        parted = [turns.split_contrast(value) for value in sample.values(name)] if sample.has(name, "turns") else []
        if not parted or 2 * sum(parts is not None for parts in parted) <= len(parted):
            continue
        make = sample.with_system(lambda row, name=name: _contrast(row[name])[0])

        def convert(row: Mapping, name: str = name, make: Callable = make) -> dict:
            _, chosen, rejected = _contrast(row[name])
            return {"prompt": make(row), "chosen": chosen, "rejected": rejected}

        return Reading("pairs-in-turns", f"prompt, chosen and rejected: the turns of {name}", convert)
    return None


def _message_lists(sample: Sample) -> Reading | None:
    """Two whole conversations; equal scores are ties that were broken by nothing."""
    sides = sample.contrast()
    return _as_message_lists(sample) if sides and _is_whole(sample, sides) else None


def _as_message_lists(sample: Sample) -> Reading | None:
    sides = sample.contrast()
    if sides is None or not all(sample.has(side, "turns") for side in sides):
        return None

    def convert(row: Mapping) -> Converted:
        score = row.get("score_chosen", row.get("chosen_rating"))
        if score is not None and score == row.get("score_rejected", row.get("rejected_rating")):
            return TIE
        parts = turns.split_whole(*(turns.messages(row[side]) for side in sides))
        return dict(zip(("prompt", "chosen", "rejected"), parts, strict=True)) if parts else DIFFERENT_PROMPTS

    return Reading("message-lists", f"whole conversations: {sides[0]} and {sides[1]}", convert)


def _transcripts(sample: Sample) -> Reading | None:
    """Two whole conversations as texts, such as ``\\n\\nHuman: … \\n\\nAssistant: …``."""
    sides = sample.contrast()
    if sides is None or not all(_marked(sample, side) for side in sides) or _other_prompt(sample, sides):
        return None

    def convert(row: Mapping) -> Converted:
        chosen, rejected = (turns.split_transcript(row[side]) for side in sides)
        if chosen is None or rejected is None or chosen[0] != rejected[0]:
            return DIFFERENT_PROMPTS
        return {"prompt": chosen[0], "chosen": chosen[1], "rejected": rejected[1]}

    return Reading("hh-rlhf", f"whole transcripts: {sides[0]} and {sides[1]}", convert)


def _marked(sample: Sample, name: str) -> bool:
    texts = [value for value in sample.values(name) if isinstance(value, str)]
    return bool(texts) and 2 * sum(turns.split_transcript(text) is not None for text in texts) > len(texts)


def _other_prompt(sample: Sample, sides: tuple[str, str]) -> bool:
    return next(sample.prompt_columns(sides), None) is not None


def _implicit(sample: Sample) -> Reading | None:
    """Two texts that begin alike, and no column for the prompt: what they share, up to a word's end, is the prompt."""
    sides = sample.contrast()
    if sides is None or not all(sample.has(side, "text") for side in sides) or _other_prompt(sample, sides):
        return None

    def convert(row: Mapping) -> Converted:
        chosen, rejected = (row[side] for side in sides)
        shared = len(
            "".join(a for a, _ in itertools.takewhile(lambda ab: ab[0] == ab[1], zip(chosen, rejected, strict=False)))
        )
        end = max(chosen.rfind(" ", 0, shared), chosen.rfind("\n", 0, shared)) + 1
        if not chosen[:end].strip():
            return NO_PROMPT
        return {"prompt": chosen[:end].rstrip(" "), "chosen": chosen[end - 1 :], "rejected": rejected[end - 1 :]}

    usable = sum(
        isinstance(convert(row), dict) for row in sample.rows if all(isinstance(row.get(s), str) for s in sides)
    )
    if 2 * usable <= len(sample.rows):
        return None
    return Reading("implicit-prompt", f"the prompt is what {sides[0]} and {sides[1]} begin with", convert)


# Two replies and a verdict ------------------------------------------------------------------------------------------


def _two_replies(sample: Sample, reading: str | None = None) -> Reading | None:
    """Two replies whose names do not say which is better, and a column that does."""
    sides = sample.sides()
    if sides is None:
        return None
    one, other, marks = sides
    verdict = _verdict(sample, sides, reading)
    if verdict is None:
        return None
    name, decide = verdict
    make = _prompt_of_sides(sample, sides)
    if make is None:
        return None
    says, split = make

    def convert(row: Mapping) -> Converted:
        parts = split(row)
        if parts is None:
            return DIFFERENT_PROMPTS
        asked, first, second = parts
        return {"prompt": asked, "first": first, "second": second, "verdict": decide(row), "ordered": False}

    schema = f"two-replies:{reading}" if reading else "two-replies"
    return Reading(schema, f"prompt: {says}, replies: {one} and {other}, better: {name}", convert)


def _prompt_of_sides(sample: Sample, sides: tuple[str, str, tuple]) -> tuple[str, Callable] | None:
    one, other, _ = sides
    if _is_whole(sample, (one, other)):
        return f"what {one} and {other} begin with", lambda row: turns.split_whole(
            turns.messages(row[one]), turns.messages(row[other])
        )
    prompt = sample.prompt((one, other))
    if prompt is None:
        return None
    says, make = prompt
    return says, lambda row: turns.in_one_form(make(row), turns.as_reply(row[one]), turns.as_reply(row[other]))


def _verdict(sample: Sample, sides: tuple, reading: str | None) -> tuple[str, Callable[[Mapping], str | None]] | None:
    one, other, marks = sides
    if winners := _one_hot(sample, marks):
        return winners
    for name in (sample.first_of((name,), "number", "text", "flag") for name in VERDICTS):
        if name is None or name in (one, other):
            continue
        numbers = [as_number(value) for value in sample.values(name) if value != ""]
        if numbers and None not in numbers:  # as numbers or, in a CSV, as text that spells them
            return _numbered(name, reading or number_reading(numbers, marks))
        decide = partial(_worded, name=name, sides=sides)
        known = [decide(row) for row in sample.rows if row.get(name)]
        if known and 2 * sum(found is not None for found in known) > len(known):
            return name, decide
    return _by_score(sample, sides)


def _numbered(name: str, reading: str) -> tuple[str, Callable[[Mapping], str | None]]:
    read = numbered(reading)
    return f"{name} ({SAYS[reading]})", lambda row: None if row.get(name) in (None, "") else read(row[name])


def _one_hot(sample: Sample, marks: tuple[str, str]) -> tuple[str, Callable] | None:
    names = [f"winner_model_{mark}" for mark in marks]
    if not all(sample.has(name, "number", "flag") for name in names):
        return None

    def decide(row: Mapping) -> str:
        return "first" if row[names[0]] else "second" if row[names[1]] else "tie"

    return " and ".join(names), decide


def _worded(row: Mapping, *, name: str, sides: tuple) -> str | None:
    """The winner that a cell names: by a mark, by a model's name that stands in model_a or model_b, or by its text."""
    one, other, marks = sides
    value = row.get(name)
    if value is None:
        return None
    models = [row.get(f"model_{mark}", row.get(f"model{mark}")) for mark in marks]
    for found, candidates in ((value, models), (value, (row.get(one), row.get(other)))):
        if found in candidates and candidates[0] != candidates[1]:
            return ("first", "second")[list(candidates).index(found)]
    return worded(value, marks, (one, other))


def _by_score(sample: Sample, sides: tuple) -> tuple[str, Callable] | None:
    one, other, marks = sides
    for word in SCORES:
        pairs = (tuple(pattern.format(word, mark) for mark in marks) for pattern in ("{0}_{1}", "{0}{1}", "{1}_{0}"))
        for names in pairs:
            known = [sample.first_of((name,), "number") for name in names]
            if known[0] and known[1]:
                return f"the higher of {known[0]} and {known[1]}", partial(_higher, names=(known[0], known[1]))
    return None


def _higher(row: Mapping, *, names: tuple[str, str]) -> str | None:
    first, second = (row.get(name) for name in names)
    if first is None or second is None:
        return None
    return "tie" if first == second else "first" if first > second else "second"


# Several replies to a prompt, ranked or scored ----------------------------------------------------------------------


def _several_replies(sample: Sample) -> Reading | None:
    """A list of replies a row, with ranks, scores, or the best one first where the column says so."""
    name = sample.first_of(
        (*LISTS, "ranked_responses", "ranked_completions", "ranked_answers"), "texts", "objects", "several turns"
    )
    if name in COMPLETIONS and sample.first_of(COMPLETIONS, "text", "turn", "turns"):
        name = None  # such as one reply beside the list of right answers
    columns = [] if name else sample.numbered()
    prompt = sample.prompt([name] if name else columns)
    if not (name or columns) or prompt is None:
        return None
    says, make = prompt
    order = _order_of(sample, name or columns[0])

    def convert(row: Mapping) -> list[dict]:
        came = row[name] if name else [row[column] for column in columns]
        replies = [turns.as_reply(reply) if not _is_object(reply) else _text_in(reply) for reply in came]
        return order.compare(row, make(row), replies)

    return Reading(order.schema, f"prompt: {says}, replies: {name or ', '.join(columns)}, {order.says}", convert)


@dataclass(frozen=True)
class _Order:
    schema: str
    says: str
    values: Callable[[Mapping], list[float]]  # one a reply, the higher the better

    def compare(self, row: Mapping, prompt: str | list, replies: Sequence) -> list[dict]:
        return list(compared(prompt, replies, self.values(row)))


@dataclass(frozen=True)
class _Winner:
    """Two replies in a list, and which of them is better."""

    says: str
    decide: Callable[[Mapping], str | None]
    schema: str = "listed-replies"

    def compare(self, row: Mapping, prompt: str | list, replies: Sequence) -> list[dict]:
        first, second = replies
        return [_verdict_row(prompt, first, second, self.decide(row))]


@dataclass(frozen=True)
class _Best:
    """Which of the replies is better than each of the others; nothing is said of the others among themselves."""

    says: str
    index: Callable[[Mapping], int]  # from 0
    schema: str = "best-of-replies"

    def compare(self, row: Mapping, prompt: str | list, replies: Sequence) -> list[dict]:
        best = self.index(row)
        if not 0 <= best < len(replies):
            raise ValueError(f"the best is number {best}, counted from 0, of {len(replies)} replies")
        return [
            _verdict_row(prompt, replies[min(best, n)], replies[max(best, n)], "first" if best < n else "second")
            for n in range(len(replies))
            if n != best
        ]


def _order_of(sample: Sample, replies: str) -> _Order | _Winner | _Best:
    if winner := _winner_of_two(sample, replies):
        return winner
    if score := sample.first_of(SCORES, "numbers"):
        return _Order("scored-replies", f"scores: {score}", lambda row: [float(v) for v in row[score]])
    if rank := sample.first_of(RANKS, "numbers"):
        if rank.lower() in ("ranking", "rankings") and not all(_is_own_inverse(v) for v in sample.values(rank)):
            raise Ambiguous(
                f"'{rank}' may hold each reply's rank, or the replies' numbers from best to worst",
                [f"--columns ranks={rank} (each reply's rank, the best has the smallest)", f"--columns order={rank}"],
            )
        return _Order(
            "ranked-replies", f"ranks: {rank}, the best the smallest", lambda row: [-float(v) for v in row[rank]]
        )
    if order := sample.first_of(("order",), "numbers"):
        return _Order("ranked-replies", f"best to worst: {order}", lambda row: _places(row[order]))
    for word, sign in (*((word, 1) for word in SCORES), *((word, -1) for word in RANKS)):
        if columns := sample.numbered(word):
            schema = "scored-replies" if sign > 0 else "ranked-replies"
            return _Order(schema, ", ".join(columns), partial(_from_columns, columns=columns, sign=sign))
    if best := _best_of(sample, replies):
        return best
    if sample.has(replies, "objects"):
        return _inside(sample, replies)
    if "ranked" in replies or replies == "output":
        return _Order("best-first", "the best first", lambda row: [-float(n) for n in range(len(row[replies]))])
    ways = [
        "--columns scores=YOURS",
        "--columns ranks=YOURS",
        "--columns best_from_0=YOURS (the place of the best reply; best_from_1 counts from 1)",
        f"--columns ranked_responses={replies} (the best first)",
    ]
    raise Ambiguous(f"'{replies}' holds several replies a row, and nothing says which is better", ways)


def _winner_of_two(sample: Sample, replies: str) -> _Winner | None:
    """A column that names one of two listed replies by letter, number in words, or as a tie."""
    if not all(isinstance(value, (list, tuple)) and len(value) == 2 for value in sample.values(replies)):
        return None
    for name, marks in itertools.product(VERDICTS, (("a", "b"), ("1", "2"))):
        found = sample.first_of((name,), "text")
        if found is None:
            continue
        rows = [row for row in sample.rows if row.get(found) and row.get(replies)]
        if all(as_number(row[found]) is not None for row in rows):
            continue
        decide = partial(_worded, name=found, sides=(*(f"response_{mark}" for mark in marks), marks))
        known = [decide(row) for row in rows]
        if 2 * sum(verdict is not None for verdict in known) > len(known) and {"first", "second"} & {*known}:
            return _Winner(f"better: {found} ({marks[0].upper()} is the first, {marks[1].upper()} the second)", decide)
    return None


def _best_of(sample: Sample, replies: str) -> _Best | None:
    """A column with the place of the best reply in its list.

    Raises:
        Ambiguous: where places may be counted from 0 or from 1.
    """
    for name in (*(f"best_from_{start}" for start in (0, 1)), *INDICES, *VERDICTS):
        found = sample.first_of((name,), "number", "text")
        if found is None:
            continue
        rows = [row for row in sample.rows if row.get(found) not in (None, "") and row.get(replies)]
        numbers = [as_number(row[found]) for row in rows]
        places = [number for number in numbers if number is not None and number == int(number)]
        if not places or len(places) < len(numbers):
            continue
        counts = [len(row[replies]) for row in rows]
        starts = [start for start in (0, 1) if all(0 <= p - start < n for p, n in zip(places, counts, strict=True))]
        if name.startswith("best_from_"):
            starts = [int(name[-1])]
        if len(starts) > 1:
            raise Ambiguous(
                f"'{found}' may count the replies of '{replies}' from 0 or from 1",
                [f"--columns best_from_0={found}", f"--columns best_from_1={found}"],
            )
        if starts:
            index = partial(_place, name=found, start=starts[0])
            return _Best(f"the best: number {found}, counted from {starts[0]}", index)
    return None


def _place(row: Mapping, *, name: str, start: int) -> int:
    return int(float(row[name])) - start


def _from_columns(row: Mapping, *, columns: Sequence[str], sign: int) -> list[float]:
    return [sign * float(row[column]) for column in columns]


def _is_own_inverse(ranking: Sequence) -> bool:
    places = [int(place) for place in ranking]
    low = min(places)
    return sorted(places) != list(range(low, low + len(places))) or all(
        places[place - low] - low == n for n, place in enumerate(places)
    )


def _places(order: Sequence) -> list[float]:
    low, values = min(order), [0.0] * len(order)
    for place, reply in enumerate(order):
        values[int(reply - low)] = -float(place)
    return values


def _inside(sample: Sample, replies: str) -> _Order:
    """The order of replies that are objects with a score, a rank or annotations of their own."""
    first = next(reply for reply in sample.values(replies)[0] if isinstance(reply, Mapping))
    if "annotations" in first:
        return _Order(
            "ultrafeedback", "the mean of the annotations' ratings", lambda row: [_mean_rating(r) for r in row[replies]]
        )
    for key, sign in (*((key, 1) for key in SCORES), *((key, -1) for key in RANKS)):
        if key in first:
            schema = "scored-replies" if sign > 0 else "ranked-replies"
            values = partial(_from_each, replies=replies, key=key, sign=sign)
            return _Order(schema, f"each with its {key}", values)
    raise Ambiguous(
        f"'{replies}' holds objects without a score or a rank", ["--columns scores=YOURS", "--columns ranks=YOURS"]
    )


def _from_each(row: Mapping, *, replies: str, key: str, sign: int) -> list[float]:
    return [sign * float(reply[key]) for reply in row[replies]]


def _mean_rating(reply: Mapping) -> float:
    """UltraFeedback's mean over instruction following, honesty, truthfulness and helpfulness; "N/A" is left out."""
    found = [str(aspect.get("Rating")) for aspect in reply["annotations"].values() if isinstance(aspect, Mapping)]
    ratings = [float(rating) for rating in found if rating.replace(".", "", 1).isdigit()]
    if not ratings:
        raise ValueError("annotations without a rating")
    return sum(ratings) / len(ratings)


def _is_object(reply: object) -> bool:
    return isinstance(reply, Mapping) and not turns.is_turn(reply)


def _text_in(reply: Mapping) -> str:
    return next(reply[key] for key in (*COMPLETIONS, "content") if isinstance(reply.get(key), str))


def compared(prompt: str | list, replies: Sequence, values: Sequence[float]) -> Iterator[dict]:
    """A comparison of each two replies: the one of higher value wins, equal values are a tie."""
    if len(replies) != len(values):
        raise ValueError(f"{len(replies)} replies beside {len(values)} ranks or scores")
    for (one, high), (other, low) in itertools.combinations(zip(replies, values, strict=True), 2):
        asked, first, second = turns.in_one_form(prompt, one, other)
        verdict = "tie" if high == low else "first" if high > low else "second"
        yield {"prompt": asked, "first": first, "second": second, "verdict": verdict, "ordered": False}


# Single ratings -----------------------------------------------------------------------------------------------------


def _ratings(sample: Sample) -> Reading | None:
    """A prompt, one completion, and whether it is good."""
    label = _label_column(sample)
    return None if label is None else _single(sample, "ratings", label, lambda row: _label(row[label]))


def _label_column(sample: Sample) -> str | None:
    for name in (sample.first_of((name,), "flag", "number", "text") for name in (*LABELS, *SCORES)):
        known = [label_of(value) is not None for value in sample.values(name)] if name else []
        if known and 2 * sum(known) > len(known):
            return name
    return None


def _label(value: object) -> object:
    known = label_of(value)
    return value if known is None else known


def _single(sample: Sample, schema: str, name: str, label: Callable[[Mapping], object]) -> Reading | None:
    reply = sample.first_of(COMPLETIONS, "text", "turn", "turns")
    if reply is None:
        return _rated_conversation(sample, name, label)
    prompt = sample.prompt((reply, name))
    if prompt is None:
        return None
    says, make = prompt

    def convert(row: Mapping) -> dict:
        asked, completion = turns.in_one_form(make(row), turns.as_reply(row[reply]))
        return {"prompt": asked, "completion": completion, "label": label(row)}

    return Reading(schema, f"prompt: {says}, completion: {reply}, label: {name}", convert)


def _rated_conversation(sample: Sample, name: str, label: Callable[[Mapping], object]) -> Reading | None:
    whole = sample.first_of(("messages", "conversations", "conversation"), "turns")
    if whole is None:
        return None

    def convert(row: Mapping) -> Converted:
        said = turns.messages(row[whole])
        if said[-1]["role"] != "assistant":
            return Skipped("the conversation does not end with the assistant")
        return {"prompt": said[:-1], "completion": said[-1:], "label": label(row)}

    return Reading("rated-conversations", f"prompt and completion: {whole}, label: {name}", convert)


def _rated_from(sample: Sample, up_from: float) -> Reading | None:
    """Numbers as ratings: up from a threshold on."""
    name = sample.first_of((*SCORES, *LABELS), "number")
    if name is None:
        return None
    return _single(sample, "ratings", f"{name}, up from {up_from:g}", lambda row: float(row[name]) >= up_from)


def _scored_rows(sample: Sample) -> Reading | None:
    """One reply a row with a number, several rows a prompt: the replies of one prompt are compared."""
    score = sample.first_of((*SCORES, "label"), "number")
    single = score and _single(sample, "scored-rows", score, lambda row: row[score])
    if not single or single.convert is None:
        return None
    convert = cast(Callable[[Mapping], dict], single.convert)
    prompts = [prompt_key(convert(row)["prompt"]) for row in sample.rows if row.get(score) is not None]
    if 2 * len(set(prompts)) > len(prompts) + 1:
        raise Ambiguous(
            f"'{score}' is a number and few prompts have two replies to compare, so a threshold must say what is good",
            ["--up-from NUMBER (this rating and higher ones are up)"],
        )

    def whole(rows: Iterable[Mapping]) -> Iterator[dict]:
        by_prompt = defaultdict(list)
        for row in rows:
            if row.get(score) is not None:
                found = convert(row)
                by_prompt[prompt_key(found["prompt"])].append(found)
        for rated in by_prompt.values():
            yield from compared(rated[0]["prompt"], [f["completion"] for f in rated], [f["label"] for f in rated])

    return Reading("scored-rows", single.says.replace("label:", "compared within a prompt by"), whole=whole)


# Trees of messages ----------------------------------------------------------------------------------------------------


def _oasst_trees(sample: Sample) -> Reading | None:
    if not sample.has("prompt", "object", "turn") or "message_tree_id" not in sample.kinds:
        return None

    def convert(row: Mapping) -> Converted:
        return list(_compared_below(row["prompt"], [])) or Skipped("no two replies of one message were ranked")

    return Reading("oasst-trees", "replies of the assistant with a rank, 0 the best", convert)


def _compared_below(node: Mapping, before: list[dict]) -> Iterator[dict]:
    path = [*before, *turns.messages({"role": node["role"], "content": node["text"]})]
    ranked = [
        reply for reply in node.get("replies") or () if reply["role"] == "assistant" and reply.get("rank") is not None
    ]
    said = [turns.messages({"role": "assistant", "content": reply["text"]}) for reply in ranked]
    yield from compared(path, said, [-float(reply["rank"]) for reply in ranked])
    for reply in node.get("replies") or ():
        yield from _compared_below(reply, path)


def _oasst_messages(sample: Sample) -> Reading | None:
    if not {"message_id", "parent_id", "text", "role", "rank"} <= set().union(*sample.rows):
        return None

    def whole(rows: Iterable[Mapping]) -> Iterator[dict]:
        nodes = {row["message_id"]: {**row, "replies": []} for row in rows}
        roots: list[dict] = []
        for node in nodes.values():
            parent = nodes.get(node["parent_id"])
            (parent["replies"] if parent else roots).append(node)
        for root in roots:
            yield from _compared_below(root, [])

    return Reading(
        "oasst-messages", "messages by parent_id, replies of the assistant with a rank, 0 the best", whole=whole
    )


# Datasets of their own ------------------------------------------------------------------------------------------------


def _own(name: str, columns: set[str], convert: Convert) -> Callable[[Sample], Reading | None]:
    """The binder of a schema that is told by its columns alone."""

    def bind(sample: Sample) -> Reading | None:
        return Reading(name, ", ".join(sorted(columns)), convert) if columns <= set().union(*sample.rows) else None

    return bind


def _verdict_row(prompt: Any, first: Any, second: Any, verdict: str | None) -> dict:
    asked, one, other = turns.in_one_form(prompt, first, second)
    return {"prompt": asked, "first": one, "second": other, "verdict": verdict, "ordered": False}


def shp(row: Mapping) -> dict:
    """labels: 1 = A preferred."""
    return _verdict_row(row["history"], row["human_ref_A"], row["human_ref_B"], numbered("1-or-0")(row["labels"]))


def summaries(row: Mapping) -> dict:
    """info {post or article}, summaries [2 × {text}], choice 0 or 1."""
    info, (first, second) = row["info"], (summary["text"] for summary in row["summaries"])
    return _verdict_row(info.get("post") or info["article"], first, second, numbered("0-or-1")(row["choice"]))


def safe_rlhf(row: Mapping) -> dict:
    """better_response_id is helpfulness; safer_response_id is another question."""
    verdict = numbered("0-or-1")(row["better_response_id"])
    return _verdict_row(row["prompt"], row["response_0"], row["response_1"], verdict)


def helpsteer2(rows: Iterable[Mapping]) -> Iterator[dict]:
    """Two rows a prompt, one after the other, compared by helpfulness from 0 to 4."""
    for prompt, group in itertools.groupby(rows, key=lambda row: row["prompt"]):
        replies = list(group)
        yield from compared(prompt, [row["response"] for row in replies], [row["helpfulness"] for row in replies])


def alpaca_eval(row: Mapping) -> dict:
    """preference: 1 or 2, or between them; 0 and 1.5 are ties."""
    verdict = None if row["preference"] is None else numbered("1-or-2")(row["preference"])
    return _verdict_row(row["instruction"], row["output_1"], row["output_2"], verdict)


def helpsteer3(row: Mapping) -> dict:
    """overall_preference from -3 to 3: below 0 response1 is better."""
    prompt = turns.messages(row["context"])
    return _verdict_row(prompt, row["response1"], row["response2"], numbered("below-0")(row["overall_preference"]))


def arena(row: Mapping) -> Converted:
    """prompt, response_a, response_b: JSON lists of turns inside strings; winner_model_a, …_b, winner_tie."""
    prompts, first, second = (json.loads(row[name]) for name in ("prompt", "response_a", "response_b"))
    if len(prompts) != 1:
        return Skipped("several turns, each answered twice")
    verdict = "tie" if row["winner_tie"] else "first" if row["winner_model_a"] else "second"
    return _verdict_row(prompts[0], first[0], second[0], verdict)


def _verdicts(sample: Sample) -> Reading | None:
    """Our own raw comparisons, with what stands beside them."""
    if not {"prompt", "first", "second", "verdict"} <= set().union(*sample.rows):
        return None
    return Reading("verdicts", "prompt, first, second, verdict; the first was shown first", dict)


def _helpsteer2(sample: Sample) -> Reading | None:
    if not {"prompt", "response", "helpfulness", "correctness"} <= set().union(*sample.rows):
        return None
    return Reading("helpsteer2", "the replies of a prompt compared by helpfulness", whole=helpsteer2)


_OWN = {  # told by their columns alone
    "arena-55k": ("prompt response_a response_b winner_model_a winner_model_b winner_tie", arena),
    "shp": ("history human_ref_A human_ref_B labels", shp),
    "summarize-from-feedback": ("info summaries choice", summaries),
    "safe-rlhf": ("prompt response_0 response_1 better_response_id", safe_rlhf),
    "helpsteer3": ("context response1 response2 overall_preference", helpsteer3),
    "alpaca-eval": ("instruction output_1 output_2 generator_1 generator_2 preference", alpaca_eval),
}
_LIST = (
    Schema("verdicts", "prompt, first, second, verdict", _verdicts),
    *(
        Schema(name, columns.replace(" ", ", "), _own(name, set(columns.split()), convert))
        for name, (columns, convert) in _OWN.items()
    ),
    Schema("helpsteer2", "prompt, response, helpfulness, correctness, …: two rows a prompt", _helpsteer2),
    Schema("oasst-trees", "message_tree_id, prompt {text, role, replies […]}", _oasst_trees),
    Schema("oasst-messages", "message_id, parent_id, text, role, rank", _oasst_messages),
    Schema("pairs-in-turns", "conversations that end with a chosen and a rejected turn", _pairs_in_turns),
    Schema("message-lists", "chosen and rejected: whole conversations", _message_lists),
    Schema("hh-rlhf", "chosen and rejected: whole transcripts, each in one text", _transcripts),
    Schema("pairs", "prompt, chosen, rejected", _pairs),
    Schema("two-replies", "prompt, two replies, and a column that says which is better", _two_replies),
    Schema(
        "several-replies",
        "prompt, a list of replies, and their scores or ranks, the place of the best, or who of two won",
        _several_replies,
    ),
    Schema("ratings", "prompt, completion, label; or a conversation and a label", _ratings),
    Schema("scored-rows", "prompt, completion, a number; several rows a prompt", _scored_rows),
    Schema("implicit-prompt", "chosen and rejected: texts that begin alike", _implicit),
)
SCHEMAS = {schema.name: schema for schema in _LIST}
SCHEMAS |= {
    alias: Schema(alias, says, _pairs)
    for alias, says in {
        "sharegpt": "conversations [{from, value}], chosen, rejected",
        "openai": "input {messages}, preferred_output, non_preferred_output",
        "alpaca": "instruction, input, chosen, rejected",
        "named-pairs": "a prompt and two replies under other names",
        "messages-beside-replies": "messages [{role, content}], chosen, rejected",
    }.items()
}
HUB_IDS = {
    "Anthropic/hh-rlhf": "hh-rlhf",
    "stanfordnlp/SHP": "shp",
    "HuggingFaceH4/ultrafeedback_binarized": "message-lists",
    "argilla/dpo-mix-7k": "message-lists",
    "openai/summarize_from_feedback": "summarize-from-feedback",
    "PKU-Alignment/PKU-SafeRLHF": "safe-rlhf",
    "nvidia/HelpSteer2": "helpsteer2",
    "nvidia/HelpSteer3": "helpsteer3",
    "lmarena-ai/arena-human-preference-55k": "arena-55k",
}
