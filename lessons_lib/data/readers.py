"""Read preference data from JSONL, JSON, CSV, TSV, Parquet, or the Hugging Face Hub, one row at a time.

`read` is the way in: it recognises the schema of the rows (see `schemas`), streams, checks every row, and names
file, line and field when one is refused. A file may be larger than memory, except where its schema compares rows with
each other. `judgements` reads the same rows with their ties, for `profile`; `read_records` gives the rows as they
stand in the file.
"""

from __future__ import annotations

import ast
import contextlib
import csv
import gzip
import io
import itertools
import json
import re
import shlex
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import IO, Any

from lessons_lib.data import columns as parts
from lessons_lib.data.preferences import EXTRAS, PreferenceDataError, Problem, Refusal, Rows, Skipped, excerpt
from lessons_lib.data.schemas import HUB_IDS, Reading, SchemaError, named, recognise
from lessons_lib.errors import UserError

CHUNK = 1 << 16  # characters read at a time from a JSON file
LONGEST_ROW = 1 << 26  # characters: a row that has not ended by then is a missing bracket or quote
PARQUET_BATCH = 512  # rows decoded at a time
BESIDE = (*EXTRAS, "slight", "first_acceptable", "second_acceptable")  # what may stand beside a judgement
LONGEST_HEADING = 100  # characters of a column's name in a CSV; what is longer looks like data
PEEK = 256  # first rows that the schema is recognised from

_WRONG_BYTE = re.compile("[\udc80-\udcff]")  # how Python's "surrogateescape" stands in for a byte that is not UTF-8

Record = tuple[int, dict | Refusal]


def read(
    source: str | Path,
    *,
    shape: str | None = None,
    columns: Mapping[str, str] | None = None,
    schema: str | None = None,
    up_from: float | None = None,
    keep: Sequence[str] = (),
    apart_from: Iterable[dict] | None = None,
    on_error: str = "raise",
    split: str = "train",
    config: str | None = None,
) -> Rows:
    """Preference rows from a file or from the Hub, checked, one at a time.

    Args:
        source: a path ending in .jsonl, .json, .csv, .tsv or .parquet (the text formats also with .gz or .zst),
            UTF-8; or a Hub id such as "trl-lib/kto-mix-14k", where no file has that name. A .json file holds a list
            of objects, or objects one after another.
        shape: "paired" or "unpaired"; None takes the shape of the first sound row.
        columns: what the file calls our fields, as in ``{"prompt": "question", "chosen": "best_answer"}``; a plus
            joins columns, as in ``{"prompt": "instruction+input"}``, and a dot reaches into one, as in
            ``{"label": "reward.scalar"}``.
        schema: the name of a schema, one of `schemas.SCHEMAS`; None recognises it from the first rows.
        up_from: the rating from which a row is up, where ratings are numbers.
        keep, apart_from, on_error: as in `preferences.check`.
        split, config: which part of a Hub dataset.

    Returns:
        `Rows`: iterate it for dicts; afterwards it has `kept`, `refused_count`, `refused`, `skipped` and `reading`.

    Raises:
        UserError: no such file, a format that is not read, a Hub that cannot be reached, a file with no rows.
        SchemaError: while iterating, where no schema fits the first rows, or two do.
        PreferenceDataError: while iterating, at the first refused row (``on_error="raise"``).

    Example::

        train = read("train.jsonl")
        test = read("test.jsonl", apart_from=train, on_error="collect")
        rows = list(test)
        print(test.summary())
    """
    table = _Table(source, split, config, columns or {}, schema, up_from, keep)
    return Rows(
        table.pairs_and_ratings,
        source=str(source),
        unit=table.unit,
        table=table,
        shape=shape,
        keep=keep,
        apart_from=apart_from,
        on_error=on_error,
    )


def judgements(
    source: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    schema: str | None = None,
    up_from: float | None = None,
    on_error: str = "collect",
    split: str = "train",
    config: str | None = None,
) -> Rows:
    """All that was judged, ties included, in one of the forms of `judgements`; arguments as in `read`.

    What is kept here, ties and equal texts apart, `read` keeps as well.
    """
    table = _Table(source, split, config, columns or {}, schema, up_from)
    return Rows(table.judged, source=str(source), unit=table.unit, table=table, judged=True, on_error=on_error)


class _Table:
    """A source with the reading of its rows, worked out when they are first asked for."""

    def __init__(
        self,
        source: str | Path,
        split: str,
        config: str | None,
        columns: Mapping[str, str],
        schema: str | None,
        up_from: float | None,
        keep: Sequence[str] = (),
    ):
        self.source, self.columns, self._keep = str(source), columns, keep
        self._schema, self._up_from = schema or HUB_IDS.get(str(source)), up_from
        self._records, self.unit = _opener(source, split, config)
        self._only_text = _suffix(Path(source)) in (".csv", ".tsv")
        self.lost: Counter = Counter()  # columns that say something and are not read: in how many rows
        if self._schema:
            known_schema(self._schema)
        _check_columns(columns)

    def _open(self, wanted: list[set[str]]) -> Iterator[Record]:
        """The records; those of a file that is one object around them, taken out of it."""
        records = self._records(wanted)
        first = list(itertools.islice(records, 2))
        inside = _inside(first[0][1]) if len(first) == 1 and isinstance(first[0][1], dict) else None
        if inside is None:
            return itertools.chain(first, records)
        return ((number, row) for number, row in enumerate(inside, 1))

    @cached_property
    def peek(self) -> list[dict]:
        """The first rows that can be read, under our names where the columns say so."""
        first = itertools.islice((record for _, record in self._open([])), PEEK)
        return [row for row in map(self._renamed, first) if row and isinstance(row, dict)]

    @cached_property
    def reading(self) -> Reading | None:
        """None where none of the first rows can be read."""
        if not self.peek:
            return None
        _check_mapping(self.source, self.columns, self.peek)
        try:
            if self._schema:
                found = named(self._schema, self.peek, self.source)
            else:
                found = recognise(self.peek, self.source, up_from=self._up_from)
        except SchemaError as error:
            if self._only_text and _looks_like_data(self.peek[0]):
                raise UserError(f"{self.source}: {NO_HEADER}") from error
            raise SchemaError(error.said, [self._beside_given(way) for way in error.ways]) from None
        _check_prompts(self.source, found, self.peek)
        return found

    def _beside_given(self, way: str) -> str:
        """An option that is offered, with those that were given already: it is asked for on top of them."""
        given = {
            "--schema": self._schema or "",
            "--up-from": "" if self._up_from is None else f"{self._up_from:g}",
        }
        columns = " ".join(
            shlex.quote(f"{ours}={yours}") for ours, yours in self.columns.items() if f" {ours}=" not in way
        )
        if columns:
            way = (
                way.replace("--columns", f"--columns {columns}", 1)
                if "--columns" in way
                else f"--columns {columns} {way}"
            )
        return " ".join([*(f"{name} {value}" for name, value in given.items() if value and name not in way), way])

    @cached_property
    def example(self) -> dict | None:
        """One row as it is read."""
        if self.reading is None:
            return None
        if self.reading.whole:
            return next((row for row in self.reading.whole(self.peek) if isinstance(row, dict)), None)
        found = (one for row in self.peek for one in self._converted(0, row))
        return next((row for row in found if isinstance(row, dict)), None)

    def judged(self) -> Iterator[tuple[int, dict | Refusal | Skipped]]:
        """Every row with its place, converted: pairs, ratings or verdicts."""
        self.lost = Counter()
        if self.reading and self.reading.whole:
            yield from enumerate(self._together(), 1)
            return
        for line, record in self._open(self._wanted):
            row = self._renamed(record)
            if isinstance(row, dict):
                self.lost.update(name for name in self._lost if row.get(name))
                yield from ((line, found) for found in self._converted(line, row))
            else:
                yield line, Refusal(self.source, line, *row, unit=self.unit) if isinstance(row, tuple) else row

    def pairs_and_ratings(self) -> Iterator[tuple[int, dict | Refusal | Skipped]]:
        """As `judged`, with verdicts made into pairs: what can be trained on."""
        return ((line, as_pair(row) if isinstance(row, dict) else row) for line, row in self.judged())

    def _together(self) -> Iterator[dict | Refusal | Skipped]:
        rows = [self._renamed(record) for _, record in self._open([])]
        yield from (row for row in rows if isinstance(row, Refusal))
        try:
            if self.reading and self.reading.whole:
                yield from self.reading.whole(row for row in rows if isinstance(row, dict))
        except _CONVERSION_ERRORS as error:
            raise UserError(f"{self.source}: {error}; --schema names another reading") from error

    def _converted(self, line: int, row: dict) -> Iterator[dict | Refusal | Skipped]:
        if self.reading is None or self.reading.convert is None:
            yield row
            return
        try:
            found = self.reading.convert(row)
        except _CONVERSION_ERRORS as error:
            problem = self._problem(row, error)
            yield Refusal(self.source, line, *problem, unit=self.unit)
            return
        beside = {name: row[name] for name in (*BESIDE, *self._keep) if name in row}
        for one in found if isinstance(found, list) else [found]:
            yield {**beside, **one} if isinstance(one, dict) else one

    def _problem(self, row: dict, error: Exception) -> Problem:
        if isinstance(error, KeyError) and error.args and error.args[0] not in row:
            found = "the columns " + ", ".join(f"'{name}'" for name in row)
            return str(error.args[0]), f"a column '{error.args[0]}'", found, "fill it in, or name yours with --columns"
        empty = next((name for name, value in row.items() if value is None and self._reads(name)), None)
        if empty:
            return empty, "a value", "nothing (null)", "fill it in or drop the row"
        schema = self.reading.schema if self.reading else "of ours"
        return "", f"a row in the schema {schema}", f"{excerpt(row)} ({error})", "mend or drop the row"

    @cached_property
    def _lost(self) -> list[str]:
        if self.reading is None:
            return []
        known = set().union(*self.peek)
        return [name for name in parts.LOST if name in known and not self._reads(name)]

    def _reads(self, name: str) -> bool:
        return self.reading is not None and name in re.findall(r"\w+", self.reading.says)

    @cached_property
    def _wanted(self) -> list[set[str]]:
        """The columns that a columnar file is asked for; none named is all of them."""
        if self.reading is None or self.reading.schema not in ("pairs", "ratings") or self.columns:
            return []
        fields = {"pairs": ("prompt", "chosen", "rejected"), "ratings": ("prompt", "completion", "label")}
        beside = {name for name in (*parts.LOST, *EXTRAS, *self._keep) if name in self.peek[0]}
        return [{*fields[self.reading.schema], *beside}]

    def _renamed(self, record: dict | Refusal) -> dict | Refusal | Problem:
        """The record under our field names, or what is wrong with it."""
        if not isinstance(record, dict):
            return record
        if self._only_text:
            record = {name: _cell(value) for name, value in record.items()}
        if not self.columns:
            return record
        ours = {}
        for field, column in self.columns.items():
            names = column.split("+") if column not in record else [column]
            values = [_field(record, name) for name in names]
            if missing := [name for name, value in zip(names, values, strict=True) if value is _MISSING]:
                found = "the columns " + ", ".join(f"'{name}'" for name in record)
                return column, f"a column '{missing[0]}' for {field}", found, f"correct --columns {field}=YOURS"
            ours[field] = values[0] if len(values) == 1 else parts.joined(*map(str, filter(None, values)))
        moved = {name for column in self.columns.values() for name in (column, *column.split("+"))}
        return {**{name: value for name, value in record.items() if name not in moved - set(ours)}, **ours}


_MISSING = object()


def _field(record: dict, name: str) -> object:
    """A column, or what stands inside one: "reward.scalar", "turns.0.content"; `_MISSING` where there is none."""
    if name in record:
        return record[name]
    value: object = record
    for part in name.split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return _MISSING
    return value


def _inside(record: dict) -> Iterable[dict] | None:
    """The rows that one object holds: as a list of them, or as columns of equal length; None where it holds none."""
    values = list(record.values())
    if len(values) == 1 and isinstance(values[0], dict) and (found := _inside(values[0])) is not None:
        return found
    rows = next((record[name] for name in record if len(record) == 1 or str(name).lower() in _WRAPPERS), None)
    if isinstance(rows, list) and parts.kind_of(rows) == "objects":
        return rows
    columnar = all(parts.kind_of(value) in ("texts", "numbers", "several turns", "list") for value in values)
    if len(values) > 1 and columnar and len({len(value) for value in values}) == 1:
        return (dict(zip(record, cells, strict=True)) for cells in zip(*values, strict=True))
    return None


_WRAPPERS = ("data", "rows", "examples", "instances", "samples", "train")
_CONVERSION_ERRORS = (KeyError, IndexError, TypeError, ValueError, AttributeError, StopIteration)


def as_pair(row: dict) -> dict | Skipped:
    """A verdict as the pair that it decides; pairs and ratings as they stand."""
    if "verdict" not in row or "first" not in row:
        return row
    if row["verdict"] not in ("first", "second"):
        return Skipped("tie" if row["verdict"] == "tie" else "no verdict")
    chosen, rejected = ("first", "second") if row["verdict"] == "first" else ("second", "first")
    return {**row, "chosen": row[chosen], "rejected": row[rejected]}


def known_schema(name: str) -> None:
    """Refuse a schema that nobody knows, before any row is read."""
    try:
        named(name, [], "")
    except SchemaError as error:
        if str(error).startswith("schema:"):
            raise


def _check_columns(columns: Mapping[str, str]) -> None:
    """Refuse a mapping that gives one column two parts."""
    taken: dict[str, str] = {}
    for field, column in columns.items():
        if column in taken:
            raise UserError(f"--columns: {taken[column]} and {field} would both be the column '{column}'")
        taken[column] = field


def _check_mapping(source: str, columns: Mapping[str, str], rows: Sequence[dict]) -> None:
    """Refuse a mapping under which the rows make no sense, and say what would."""
    prompt, chosen, rejected = (columns.get(field, field) for field in ("prompt", "chosen", "rejected"))
    if prompt in (chosen, rejected):
        raise SchemaError(
            f"{source}: under this mapping the prompt is the whole text of '{prompt}', which is a reply as well",
            _without_columns(rows, columns, source),
        )
    sample = parts.Sample(rows)
    if "prompt" in columns and "input" not in columns.values() and (lost := sample.unused("input", "prompt")):
        raise SchemaError(
            f"{source}: the column 'input' is not empty and not used in {lost:,} of the first {len(rows):,} rows, so "
            f"their prompts would lose it",
            [f"--columns prompt={prompt}+input", "no --columns prompt: the schema alpaca joins the two"],
        )
    named_sides = {ours: columns[ours] for ours in ("chosen", "rejected") if ours in columns}
    if len(named_sides) == 2 and (verdict := _deciding_column(rows, named_sides)):
        raise SchemaError(
            f"{source}: '{chosen}' and '{rejected}' are told apart by number or letter alone, and the column "
            f"'{verdict}' says row by row which is better: a fixed mapping would turn rows round",
            [f"--columns first={chosen} second={rejected} verdict={verdict}", "no --columns: the schema two-replies"],
        )


def _check_prompts(source: str, reading: Reading, rows: Sequence[dict]) -> None:
    """Refuse a reading under which most prompts are the whole text of a reply."""
    same, convert = 0, reading.convert
    for row in rows if convert else ():
        with contextlib.suppress(*_CONVERSION_ERRORS):
            found = convert(row) if convert else row
            if isinstance(found, dict):
                same += found["prompt"] in (found.get("chosen"), found.get("completion"), found.get("first"))
    if 2 * same > len(rows):
        raise SchemaError(
            f"{source}: in {same:,} of the first {len(rows):,} rows the prompt is the whole text of a reply",
            ["--columns prompt=YOURS", "--schema NAME (`data schemas` lists them)"],
        )


def _without_columns(rows: Sequence[dict], columns: Mapping[str, str], source: str) -> list[str]:
    """What the file is without the mapping, as an option."""
    bare = [{columns.get(name, name): value for name, value in row.items()} for row in rows]
    try:
        return [f"--schema {recognise(bare, source).schema}"]
    except SchemaError as error:
        return list(error.ways)


def _deciding_column(rows: Sequence[dict], sides: Mapping[str, str]) -> str | None:
    """A column of verdicts that a mapping of two replies leaves unused, though it names either."""
    unmapped = [{**row, **{column: row.get(ours) for ours, column in sides.items()}} for row in rows]
    sample = parts.Sample([{n: v for n, v in row.items() if n not in ("chosen", "rejected")} for row in unmapped])
    found = sample.sides()
    if found is None or set(found[:2]) != set(sides.values()):
        return None
    for name in parts.VERDICTS:
        if name in sample.kinds and len({str(value) for value in sample.values(name)}) > 1:
            return name
    return None


def _cell(text: str) -> object:
    """A cell of a table of text: a list of turns or of numbers where it spells one, as pandas and JSON do."""
    if text[:2] not in ("[{", "{'", '{"', "['", '["') and not re.match(r"\[\s*-?\d", text):
        return text
    for parse in (json.loads, ast.literal_eval):
        try:
            value = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        return value if parts.kind_of(value) in ("turn", "turns", "numbers", "texts") else text
    return text


def read_records(source: str | Path, *, split: str = "train", config: str | None = None) -> Iterator[dict]:
    """The rows of `source` as they stand there, unchecked, one at a time; arguments as in `read`.

    Raises:
        UserError: as in `read`; broken JSON and wrong bytes stop it, naming file and line.
    """
    open_records, _ = _opener(source, split, config)
    for _, record in open_records([]):
        if isinstance(record, Refusal):
            raise PreferenceDataError(record)
        yield record


def _opener(source: str | Path, split: str, config: str | None) -> tuple[Callable[..., Iterator[Record]], str]:
    """The function that reads the records of `source` (given the columns wanted), and the unit of its places."""
    path = Path(source)
    if path.is_file():
        suffix = _suffix(path)
        if suffix == ".parquet":
            return lambda wanted: _not_empty(path, _parquet(path, wanted)), "row"
        if suffix not in _TEXT_READERS:
            raise UserError(f"{path}: expected a file ending in {', '.join(_TEXT_READERS)} or .parquet; convert it")
        return lambda wanted: _not_empty(path, _text_file(path, suffix)), "line"
    if path.is_dir():
        raise UserError(f"{path}: expected a file, found a folder; name one of the files in it")
    if re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", str(source)) and path.suffix not in (*_TEXT_READERS, ".parquet"):
        return lambda wanted: _not_empty(source, _hub(str(source), split, config)), "row"
    raise UserError(f"{source}: expected a file or a Hub id such as owner/name, found neither; check the path")


def _suffix(path: Path) -> str:
    return Path(path.stem if path.suffix.lower() in _OPENERS else path).suffix.lower()


def _not_empty(source: object, records: Iterator[Record]) -> Iterator[Record]:
    empty = True
    for record in records:
        empty = False
        yield record
    if empty:
        raise UserError(f"{source}: expected at least one row, found none; is it the right file?")


# Text files ---------------------------------------------------------------------------------------------------


def _text_file(path: Path, suffix: str) -> Iterator[Record]:
    opener: Callable[..., IO[str]] = _OPENERS.get(path.suffix.lower(), open)
    # A wrong byte becomes a surrogate, so that the line and the field around it can still be found and named.
    try:
        with opener(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            for line, text, record in _TEXT_READERS[suffix](file, str(path)):
                yield line, _wrong_byte(str(path), line, text, record) if _has_wrong_byte(text) else record
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: expected a file that can be read to its end, found: {error}") from error


def _open_zstd(path: Path, mode: str, **options: Any) -> IO[str]:
    import pyarrow as pa

    try:
        return io.TextIOWrapper(pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"), **options)
    except pa.ArrowException as error:
        raise OSError(str(error)) from error


_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".zst": _open_zstd}


def _has_wrong_byte(text: str) -> bool:
    return not text.isascii() and _WRONG_BYTE.search(text) is not None  # isascii looks at a flag, not at the text


def _wrong_byte(source: str, line: int, text: str, record: dict | Refusal) -> Refusal:
    match = next(_WRONG_BYTE.finditer(text))
    byte = ord(match[0]) - 0xDC00
    before = text[: match.start()]
    line += before.count("\n")
    fields = record.items() if isinstance(record, dict) else ()
    dumps = partial(json.dumps, ensure_ascii=False)
    field = next((str(name) for name, value in fields if _WRONG_BYTE.search(dumps([name, value]))), "")
    fix = f"save it as UTF-8, for instance: iconv -f LATIN1 -t UTF-8 {source}"
    if line == 1 and not before and byte in (0xFE, 0xFF):
        fix = f"UTF-16 begins so: iconv -f UTF-16 -t UTF-8 {source}"
    return Refusal(source, line, field, "UTF-8", f"byte 0x{byte:02x} after {before[-20:]!r}", fix)


TextRecord = tuple[int, str, dict | Refusal]  # line, the text it was read from, what it says


def _jsonl(file: IO[str], source: str) -> Iterator[TextRecord]:
    """One object a line; a file that only bears the name, and is a list or objects over many lines, is read as JSON."""
    begin = []
    for text in file:
        begin.append(text)
        if text.strip():
            break
    first = begin[-1].lstrip("\ufeff ").rstrip() if begin else ""
    if first in ("[", "{") or first.startswith("[{"):
        yield from _json(_PutBack("".join(begin), file), source)
        return
    for line, text in enumerate(itertools.chain(begin, file), 1):
        if text.strip():
            yield line, text, _parse_line(text, source, line)


class _PutBack:
    """A file whose beginning was read already, to be read from its start again (a compressed one cannot seek)."""

    def __init__(self, begin: str, file: IO[str]):
        self._begin, self._file = begin, file

    def read(self, size: int) -> str:
        begin, self._begin = self._begin, ""
        return begin or self._file.read(size)


def _parse_line(text: str, source: str, line: int) -> dict | Refusal:
    try:
        record = json.loads(text.strip())
    except (ValueError, RecursionError) as error:
        return Refusal(source, line, "", "valid JSON", str(error), "repair or delete this line")
    if isinstance(record, dict):
        return record
    return Refusal(source, line, "", "one JSON object a line", excerpt(record), "write {…} on each line")


def _json(file: IO[str] | _PutBack, source: str) -> Iterator[TextRecord]:
    """The objects of a list, or objects one after another. What is broken ends it: no later row can be found."""
    text = _JsonText(file)
    begin = 1
    try:
        in_list = text.take("[")
        more = text.next_character() != ("]" if in_list else "")
        while more:
            text.next_character()
            begin = text.line
            raw, record = text.take_object()
            yield begin, raw, record
            more = text.take(",") if in_list else text.next_character() != ""
        if in_list:
            text.expect("]")
        text.expect("")
    except (ValueError, RecursionError) as error:
        found = getattr(error, "msg", str(error))  # without the place, which counts from the window's start
        fix = f"repair the object that begins in line {begin}: nothing after it could be read"
        yield text.line, "", Refusal(source, text.line, "", "valid JSON", found, fix)


class _JsonText:
    """A window on a JSON file that grows until the next object is whole, and forgets what was read."""

    def __init__(self, file: IO[str] | _PutBack):
        self._file, self._text, self._at, self._ended = file, "", 0, False
        self._decode = json.JSONDecoder().raw_decode
        self.line = 1

    def _grow(self) -> None:
        rest = self._text[self._at :]
        more = self._file.read(max(CHUNK, len(rest)))  # twice as much each time: a long row costs no square
        self._text, self._at, self._ended = rest + more, 0, not more

    def next_character(self) -> str:
        """The next character that is no white space, or "" at the end."""
        while True:
            if self._at == len(self._text):
                self._grow()
                if self._ended:
                    return ""
            character = self._text[self._at]
            if not character.isspace():
                return character
            self.line += character == "\n"
            self._at += 1

    def take(self, character: str) -> bool:
        """Step over `character` if it comes next."""
        if self.next_character() != character:
            return False
        self._at += 1
        return True

    def expect(self, character: str) -> None:
        came = self.next_character()
        if came != character:
            end = "the end of the file"
            raise ValueError(f"{came or end} where {character or end} should stand")
        self._at += len(character)

    def take_object(self) -> tuple[str, dict]:
        if self.next_character() != "{":
            raise ValueError(f"{self.next_character() or 'the end of the file'} where an object {{…}} should begin")
        while True:
            try:
                record, end = self._decode(self._text, self._at)
                break
            except json.JSONDecodeError as error:
                if self._ended or not self._cut_off(error):
                    self.line += self._text.count("\n", self._at, error.pos)
                    raise
            self._grow()
        raw = self._text[self._at : end]
        self.line += raw.count("\n")
        self._at = end
        return raw, record

    def _cut_off(self, error: json.JSONDecodeError) -> bool:
        """Whether the error may come from the window's end, not from the file."""
        held = len(self._text) - self._at
        near_end = error.pos > len(self._text) - 16 or error.msg.startswith("Unterminated string")
        return near_end and held < LONGEST_ROW


def _csv(file: IO[str], source: str, delimiter: str = ",") -> Iterator[TextRecord]:
    csv.field_size_limit(LONGEST_ROW)  # the default, 131,072 characters, is less than a long conversation
    first = file.readline()
    if delimiter == "," and ";" in first and "," not in first:
        delimiter = ";"  # as Excel writes a CSV where the comma is the decimal mark
    rows = csv.reader(itertools.chain([first], file), delimiter=delimiter, strict=True)
    header, start = None, 1
    while True:
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            fix = 'double the quotes inside a field ("")'
            yield start, "", Refusal(source, start, "", "valid CSV", str(error), fix)
        else:
            if header is None:
                header = cells
                if _has_wrong_byte(delimiter.join(header)):
                    yield start, delimiter.join(header), {}
                    return
            elif cells:
                yield start, delimiter.join(cells), _csv_record(header, cells, source, start)
        start = rows.line_num + 1


NO_HEADER = (
    "line 1 looks like data, and the columns need names: write a line of them above it, such as prompt,completion,label"
)


def _looks_like_data(header: Iterable) -> bool:
    """Whether a header holds a number, a date, a yes or no, or a sentence: what names of columns are not."""
    return any(
        parts.as_number(cell) is not None
        or re.match(r"\d{4}-\d\d-\d\d", cell)
        or cell.strip().lower() in ("yes", "no", "true", "false")
        or (" " in cell and cell.rstrip().endswith((".", "!")))
        or len(cell) > LONGEST_HEADING
        for cell in map(str, header)
    )


def _csv_record(header: list[str], cells: list[str], source: str, line: int) -> dict | Refusal:
    if len(cells) != len(header):
        fix = "quote texts that hold a comma, a quote or a line break"
        fix = f"{NO_HEADER}; and {fix}" if _looks_like_data(header) else fix
        return Refusal(source, line, "", f"{len(header)} fields like the header", f"{len(cells)} fields", fix)
    return dict(zip(header, cells, strict=True))


def _tsv(file: IO[str], source: str) -> Iterator[TextRecord]:
    return _csv(file, source, delimiter="\t")


_TEXT_READERS = {".jsonl": _jsonl, ".ndjson": _jsonl, ".json": _json, ".csv": _csv, ".tsv": _tsv}


# Parquet and the Hub ------------------------------------------------------------------------------------------


def _parquet(path: Path, wanted: list[set[str]]) -> Iterator[Record]:
    import pyarrow as pa
    import pyarrow.parquet

    try:
        # As Arrow would have it, it reads whole row groups ahead: memory would grow with the file.
        with pa.parquet.ParquetFile(path, buffer_size=CHUNK, pre_buffer=False) as file:
            names = file.schema_arrow.names
            needed = set().union(*wanted) if any(columns.issubset(names) for columns in wanted) else set(names)
            columns = [name for name in names if name in needed]  # all where some are missing: the error lists them
            batches = file.iter_batches(batch_size=PARQUET_BATCH, columns=columns, use_threads=False)
            yield from enumerate((row for batch in batches for row in batch.to_pylist()), 1)
    except pa.ArrowException as error:
        if path.read_bytes()[:40].startswith(b"version https://git-lfs"):
            raise UserError(
                f"{path}: expected a Parquet file, found a pointer that Git LFS left in its place; fetch the file "
                "itself: git lfs pull"
            ) from error
        raise UserError(f"{path}: expected a Parquet file, found {error}; is the download complete?") from error


def _hub(name: str, split: str, config: str | None) -> Iterator[Record]:
    import datasets

    try:
        yield from enumerate(datasets.load_dataset(name, config, split=split, streaming=True), 1)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{name}: expected a file of that name or a dataset on the Hugging Face Hub, found neither ({error}); "
            f"check the id, split={split!r} and the connection, or download the file and read it by its path"
        ) from error
