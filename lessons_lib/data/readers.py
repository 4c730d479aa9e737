"""Read preference data from JSONL, JSON, CSV, TSV, Parquet, or the Hugging Face Hub, one row at a time.

`read` is the way in: it streams, checks every row, and names file, line and field when one is refused. A file
may be larger than memory. `read_records` gives the rows as they stand in the file, of whatever columns, for
data that has neither of the two shapes yet (ratings, for instance, which `preferences.ratings_to_pairs` takes).
"""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO

from lessons_lib.data.hub_schemas import HUB_IDS, SCHEMAS
from lessons_lib.data.preferences import SHAPES, PreferenceDataError, Problem, Refusal, Rows, Skipped, excerpt
from lessons_lib.errors import UserError

CHUNK = 1 << 16  # characters read at a time from a JSON file
LONGEST_ROW = 1 << 26  # characters: a row that has not ended by then is a missing bracket or quote
PARQUET_BATCH = 512  # rows decoded at a time

_WRONG_BYTE = re.compile("[\udc80-\udcff]")  # how Python's "surrogateescape" stands in for a byte that is not UTF-8

Record = tuple[int, dict | Refusal]


def read(
    source: str | Path,
    *,
    shape: str | None = None,
    columns: Mapping[str, str] | None = None,
    schema: str | None = None,
    keep: Sequence[str] = (),
    apart_from: Iterable[dict] | None = None,
    on_error: str = "raise",
    split: str = "train",
    config: str | None = None,
) -> Rows:
    """Preference rows from a file or from the Hub, checked, one at a time.

    Args:
        source: a path ending in .jsonl, .json, .csv, .tsv or .parquet (the text formats also with .gz), UTF-8;
            or a Hub id such as "trl-lib/kto-mix-14k", where no file has that name. A .json file holds a list
            of objects, or objects one after another.
        shape: "paired" or "unpaired"; None takes the shape of the first sound row.
        columns: what the file calls our fields, as in ``{"prompt": "question", "chosen": "best_answer"}``.
        schema: the name of a well-known schema to convert from, one of `hub_schemas.SCHEMAS`; the Hub ids
            listed there find theirs by themselves.
        keep, apart_from, on_error: as in `preferences.check`.
        split, config: which part of a Hub dataset.

    Returns:
        `Rows`: iterate it for dicts; afterwards it has `kept`, `refused_count`, `refused` and `skipped`.
        In a CSV or TSV the words true and false are read as labels.

    Raises:
        UserError: no such file, a format that is not read, a Hub that cannot be reached, a file with no rows.
        PreferenceDataError: while iterating, at the first refused row (``on_error="raise"``).

    Example::

        train = read("train.jsonl")
        test = read("test.jsonl", apart_from=train, on_error="collect")
        rows = list(test)
        print(test.summary())
    """
    schema = schema or HUB_IDS.get(str(source))
    if schema is not None and schema not in SCHEMAS:
        raise UserError(f"schema: expected one of {', '.join(sorted(SCHEMAS))}, found {schema!r}")
    open_records, unit = _opener(source, split, config)
    wanted = [] if schema else _wanted(columns or {}, keep, shape)
    only_text = _suffix(Path(source)) in (".csv", ".tsv")

    def records() -> Iterator[tuple[int, dict | Refusal | Skipped]]:
        for line, record in open_records(wanted):
            adapted = _adapt(record, columns or {}, schema) if isinstance(record, dict) else record
            if only_text and isinstance(adapted, dict):
                adapted = _with_boolean_label(adapted)
            yield line, Refusal(str(source), line, *adapted, unit=unit) if isinstance(adapted, tuple) else adapted

    options = {"shape": shape, "keep": keep, "apart_from": apart_from, "on_error": on_error}
    return Rows(records, source=str(source), unit=unit, **options)


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
    return Path(path.stem if path.suffix == ".gz" else path).suffix.lower()


def _not_empty(source: object, records: Iterator[Record]) -> Iterator[Record]:
    empty = True
    for record in records:
        empty = False
        yield record
    if empty:
        raise UserError(f"{source}: expected at least one row, found none; is it the right file?")


def _wanted(columns: Mapping[str, str], keep: Sequence[str], shape: str | None) -> list[set[str]]:
    """For each shape that may come, the columns it needs: a columnar file reads no others."""
    shapes = [shape] if shape in SHAPES else list(SHAPES)
    return [{columns.get(field, field) for field in SHAPES[name]} | set(keep) for name in shapes]


def _adapt(record: dict, columns: Mapping[str, str], schema: str | None) -> dict | Skipped | Problem:
    """The record under our field names, or what is wrong with it."""
    for field, column in columns.items():
        if column not in record:
            found = "the columns " + ", ".join(f"'{name}'" for name in record)
            return column, f"a column '{column}' for {field}", found, f"correct it in columns={{'{field}': …}}"
    record = {**record, **{field: record[column] for field, column in columns.items()}}
    if schema is None:
        return record
    try:
        converted = SCHEMAS[schema](record)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        found = f"{excerpt(record)} ({type(error).__name__}: {error})"
        return "", f"a row in the schema {schema}", found, "choose the schema that the data have"
    return converted if isinstance(converted, Skipped) else {**record, **converted}


def _with_boolean_label(record: dict) -> dict:
    """CSV knows only text: its words true and false, and no others, stand for labels."""
    label = record.get("label")
    known = {"true": True, "false": False}.get(label.strip().lower()) if isinstance(label, str) else None
    return record if known is None else {**record, "label": known}


# Text files ---------------------------------------------------------------------------------------------------


def _text_file(path: Path, suffix: str) -> Iterator[Record]:
    opener = gzip.open if path.suffix == ".gz" else open
    # A wrong byte becomes a surrogate, so that the line and the field around it can still be found and named.
    try:
        with opener(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            for line, text, record in _TEXT_READERS[suffix](file, str(path)):
                yield line, _wrong_byte(str(path), line, text, record) if _has_wrong_byte(text) else record
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: expected a file that can be read to its end, found: {error}") from error


def _has_wrong_byte(text: str) -> bool:
    return not text.isascii() and _WRONG_BYTE.search(text) is not None  # isascii looks at a flag, not at the text


def _wrong_byte(source: str, line: int, text: str, record: dict | Refusal) -> Refusal:
    match = _WRONG_BYTE.search(text)
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
    for line, text in enumerate(file, 1):
        if text.strip():
            yield line, text, _parse_line(text, source, line)


def _parse_line(text: str, source: str, line: int) -> dict | Refusal:
    try:
        record = json.loads(text.strip())
    except (ValueError, RecursionError) as error:
        return Refusal(source, line, "", "valid JSON", str(error), "repair or delete this line")
    if isinstance(record, dict):
        return record
    return Refusal(source, line, "", "one JSON object a line", excerpt(record), "write {…} on each line")


def _json(file: IO[str], source: str) -> Iterator[TextRecord]:
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

    def __init__(self, file: IO[str]):
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


def _csv_record(header: list[str], cells: list[str], source: str, line: int) -> dict | Refusal:
    if len(cells) != len(header):
        fix = "quote texts that hold a comma, a quote or a line break"
        return Refusal(source, line, "", f"{len(header)} fields like the header", f"{len(cells)} fields", fix)
    return dict(zip(header, cells, strict=True))


def _tsv(file: IO[str], source: str) -> Iterator[TextRecord]:
    return _csv(file, source, delimiter="\t")


_TEXT_READERS = {".jsonl": _jsonl, ".json": _json, ".csv": _csv, ".tsv": _tsv}


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
