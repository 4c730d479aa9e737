"""Preference rows as columns: one judgement a row, its texts reduced to hashes and word counts, in DuckDB.

Three forms of rows are understood, each an iterable of dicts:

- pairs ``{prompt, chosen, rejected}``, with, where known, ``chosen_first`` (was it shown first?) and scores
  (``chosen_score`` and ``rejected_score``, or the names of UltraFeedback and Argilla);
- ratings ``{prompt, completion, label}``;
- verdicts ``{prompt, first, second, verdict}``, the raw comparison: "first", "second", "tie", or None where it
  could not be read; with, where known, ``slight`` (a weak preference) and ``first_acceptable`` and
  ``second_acceptable`` (each response rated by itself as well).

Each may carry ``item`` (what was judged: rows of one item are several verdicts on it), ``rater`` and ``split``.
Texts are strings or lists of messages; what stands beside them may be text too, as in a CSV, where an empty cell
says nothing. Two different texts among three million share a 64-bit hash with a chance
of 3e-7. Nothing here judges whether a row is good: `preferences` refuses, this module only reads.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import duckdb
import pyarrow as pa

from lessons_lib.errors import UserError

BATCH_ROWS = 5_000
MEMORY = "500MB"  # DuckDB's own, beyond which it spills to disk; Python's batch and interpreter come on top

FORMS = {
    "paired": ("prompt", "chosen", "rejected"),
    "unpaired": ("prompt", "completion", "label"),
    "verdicts": ("prompt", "first", "second", "verdict"),
}
SCORES = {side: (f"{side}_score", f"score_{side}", f"{side}_rating") for side in ("chosen", "rejected")}
EXTRAS = ("item", "rater", "split", "chosen_first", *SCORES["chosen"], *SCORES["rejected"])
_SIDES = {"first": 1, "second": -1, "tie": 0, None: None}

_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("prompt", "first", "second", "n_prompt", "n_first", "n_second")),
        *((name, pa.int32()) for name in ("first_words", "second_words", "prompt_words", "turns")),
        ("side", pa.int8()),
        *((name, pa.bool_()) for name in ("ordered", "slight", "first_ok", "second_ok")),
        *((name, pa.string()) for name in ("item", "rater", "split")),
        *((name, pa.float64()) for name in ("first_score", "second_score")),
    ]
)
# side: +1 the first response or an up, -1 the second or a down, 0 a tie. o is side without the order of
# presentation: +1 for the response with the smaller hash (for equal texts, and for ratings, it is side).
_COLUMNS = """
    SELECT {start} + row_number() OVER () AS row, hash(prompt) AS prompt, hash(n_prompt) AS n_prompt,
        hash(first) AS x, if(second IS NULL, NULL, hash(second)) AS y,
        hash(n_first) AS nx, if(second IS NULL, NULL, hash(n_second)) AS ny,
        side, if(y IS NULL OR x <= y, side, -side)::TINYINT AS o,
        CASE WHEN item IS NOT NULL THEN hash(item) WHEN y IS NULL THEN hash(prompt, x)
             ELSE hash(prompt, least(x, y), greatest(x, y)) END AS item,
        item IS NOT NULL AS named, rater, split, ordered, slight, first_ok, second_ok, first_score, second_score,
        prompt_words, first_words, second_words, turns
    FROM batch
"""


def open_store(folder: Path) -> duckdb.DuckDBPyConnection:
    """An empty database in `folder`, which also takes what does not fit into memory."""
    settings = {"memory_limit": MEMORY, "threads": 2, "temp_directory": str(folder)}
    connection = duckdb.connect(folder / "rows.duckdb", config=settings)
    connection.execute("SET enable_progress_bar = false")  # it prints on stdout, into the midst of a JSON answer
    return connection


def load(
    connection: duckdb.DuckDBPyConnection, rows: Iterable[Mapping], sample: Sample | None = None, table: str = "judged"
) -> str:
    """Fill a table from `rows`, batch by batch, and answer with their form, a key of `FORMS`.

    Raises:
        UserError: no rows, a row of no known form or of another one than the first, a label or verdict that is none.
    """
    form, start, rows = None, 0, iter(rows)
    while batch := list(itertools.islice(rows, BATCH_ROWS)):
        form = form or form_of(batch[0])
        records = list(_records(batch, form, start))
        if sample:
            sample.add((r["prompt"], r["first"], r["second"] or "") for r in records)
        connection.register("batch", pa.Table.from_pylist(records, schema=_SCHEMA))
        verb = f"INSERT INTO {table}" if start else f"CREATE TABLE {table} AS"
        connection.execute(f"{verb} {_COLUMNS.format(start=start)}")
        start += len(batch)
    if form is None:
        raise UserError("no rows: expected at least one preference row; is the file empty, or was every row refused?")
    return form


def form_of(row: Mapping) -> str:
    """The first of `FORMS` whose fields `row` has."""
    for form, fields in FORMS.items():
        if all(field in row for field in fields):
            return form
    expected = " or ".join("{" + ", ".join(fields) + "}" for fields in FORMS.values())
    raise UserError(f"first row: expected the fields {expected}, got {', '.join(map(str, row))}; rename the columns")


def _records(batch: list[Mapping], form: str, start: int) -> Iterator[dict]:
    for number, row in enumerate(batch, start=start + 1):
        if missing := [field for field in FORMS[form] if field not in row]:
            raise UserError(
                f"row {number}: expected '{missing[0]}' as in the rows before, got {', '.join(map(str, row))}"
            )
        record = {"turns": _turns(row["prompt"]), **_READ[form](row, number)}
        record |= {key: str(row[key]) if _given(row, key) else None for key in ("item", "rater", "split")}
        for key in ("prompt", "first", "second"):
            text = record[key] = _text(row["prompt"]) if key == "prompt" else record[key]
            words = None if text is None else text.lower().split()
            record["n_" + key] = None if words is None else " ".join(words)
            record[key + "_words"] = None if words is None else len(words)
        yield record


def _given(row: Mapping, name: str) -> bool:
    return row.get(name) not in (None, "")


def _flag(row: Mapping, name: str, number: int) -> bool | None:
    value = row[name] if _given(row, name) else None
    known = {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else value
    if value is not None and not isinstance(known, bool):
        raise UserError(f"row {number}, {name}: expected true, false or nothing, got {value!r}")
    return known


def _score(row: Mapping, side: str, number: int) -> float | None:
    name = next((name for name in SCORES[side] if _given(row, name)), None)
    try:
        return None if name is None else float(row[name])
    except (TypeError, ValueError):
        raise UserError(f"row {number}, {name}: expected a number, got {row[name]!r}") from None


def _pair(row: Mapping, number: int) -> dict:
    chosen_first = _flag(row, "chosen_first", number)
    sides = ("rejected", "chosen") if chosen_first is False else ("chosen", "rejected")
    scores = [_score(row, side, number) for side in sides]
    return {
        **dict(zip(("first", "second"), (_text(row[side]) for side in sides), strict=True)),
        **dict(zip(("first_score", "second_score"), scores, strict=True)),
        "side": 1 if sides[0] == "chosen" else -1,
        "ordered": chosen_first is not None,
    }


def _rating(row: Mapping, number: int) -> dict:
    if not isinstance(row["label"], bool):
        raise UserError(f"row {number}, label: expected true or false, got {row['label']!r}; choose a threshold first")
    return {"first": _text(row["completion"]), "second": None, "side": 1 if row["label"] else -1, "ordered": False}


def _verdict(row: Mapping, number: int) -> dict:
    verdict = row["verdict"] if _given(row, "verdict") else None
    if not isinstance(verdict, str | None) or verdict not in _SIDES:
        raise UserError(f'row {number}, verdict: expected "first", "second", "tie" or nothing, got {verdict!r}')
    return {
        "first": _text(row["first"]),
        "second": _text(row["second"]),
        "side": _SIDES[verdict],
        "ordered": True,
        "slight": _flag(row, "slight", number),
        "first_ok": _flag(row, "first_acceptable", number),
        "second_ok": _flag(row, "second_acceptable", number),
    }


_READ = {"paired": _pair, "unpaired": _rating, "verdicts": _verdict}


def _text(value) -> str:
    """A text as one string: of a lone message its content, of several the contents under their roles."""
    if isinstance(value, (list, tuple)):
        return value[0]["content"] if len(value) == 1 else "\n".join(f"{m['role']}: {m['content']}" for m in value)
    return "" if value is None else str(value)


def _turns(prompt) -> int:
    """How often the user speaks: user messages, or the ``\\n\\nHuman:`` marks of a transcript; else 1."""
    if isinstance(prompt, (list, tuple)):
        return sum(message["role"] == "user" for message in prompt)
    return max(1, str(prompt).count("\n\nHuman:"))


class Sample:
    """A uniform sample of a stream (Vitter 1985, algorithm R), the same for the same rows."""

    def __init__(self, size: int):
        self.size, self.seen, self.kept, self._random = size, 0, [], random.Random(0)

    def add(self, rows: Iterable) -> None:
        for row in rows:
            self.seen += 1
            if len(self.kept) < self.size:
                self.kept.append(row)
            elif (place := self._random.randrange(self.seen)) < self.size:
                self.kept[place] = row
