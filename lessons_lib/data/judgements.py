"""Preference rows as columns: one judgement a row, its texts reduced to hashes, lengths and traits, in DuckDB.

Three forms of rows are understood, each an iterable of dicts:

- pairs ``{prompt, chosen, rejected}``, with, where known, ``chosen_first`` (was it shown first?) and scores
  (``chosen_score`` and ``rejected_score``, or the names of UltraFeedback and Argilla);
- ratings ``{prompt, completion, label}``;
- verdicts ``{prompt, first, second, verdict}``, the raw comparison: "first", "second", "tie", or None where it
  could not be read; with, where known, ``ordered`` (False: which was shown first is not known), ``slight`` (a weak
  preference) and ``first_acceptable`` and
  ``second_acceptable`` (each response rated by itself as well).

Each may carry ``item`` (what was judged: rows of one item are several verdicts on it), ``rater`` and ``split``.
Texts are strings or lists of messages; what stands beside them may be text too, as in a CSV, where an empty cell
says nothing. Lengths are in tokens where a tokenizer is given, else in words, and in characters where many replies
are in a script that sets no spaces. Two different texts among three million share a 64-bit hash with a chance
of 3e-7. Nothing here judges whether a row is good: `preferences` refuses, this module only reads.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from lessons_lib.data.preferences import SCORES
from lessons_lib.errors import UserError

BATCH_ROWS = 5_000
MEMORY = "500MB"  # DuckDB's own, beyond which it spills to disk; Python's batch and interpreter come on top

FORMS = {
    "paired": ("prompt", "chosen", "rejected"),
    "unpaired": ("prompt", "completion", "label"),
    "verdicts": ("prompt", "first", "second", "verdict"),
}
_SIDES = {"first": 1, "second": -1, "tie": 0, None: None}

_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("prompt", "first", "second", "n_prompt", "n_first", "n_second")),
        *((name, pa.int32()) for name in ("first_length", "second_length", "prompt_length", "turns")),
        ("side", pa.int8()),
        *((name, pa.bool_()) for name in ("ordered", "slight", "first_ok", "second_ok", "templated")),
        *((f"{side}_repeats", pa.bool_()) for side in ("first", "second")),
        *((name, pa.string()) for name in ("item", "rater", "split", "script", "reply_script")),
        *((f"{side}_{end}", pa.string()) for side in ("first", "second") for end in ("opens", "closes")),
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
        prompt_length, first_length, second_length, turns, templated, first_repeats, second_repeats,
        script, reply_script, if(first_opens IS NULL, NULL, hash(first_opens)) AS first_opens,
        if(first_closes IS NULL, NULL, hash(first_closes)) AS first_closes,
        if(second_opens IS NULL, NULL, hash(second_opens)) AS second_opens,
        if(second_closes IS NULL, NULL, hash(second_closes)) AS second_closes
    FROM batch
"""
SHORTEST = 8  # characters of a prompt that a reply may begin with by chance
EDGE = 40  # characters at a reply's beginning or end that many replies may share
_TEMPLATE = re.compile(r"<\|[a-z_]+\|>|\[/?INST\]|</?s>|<(?:start|end)_of_turn>|<｜[^｜]+｜>")
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"  # Thai … Khmer, Kana, Han
_SCRIPTS = {
    "Latin": "A-Za-z\u00c0-\u024f", "Han or Kana": "\u3040-\u30ff\u3400-\u9fff", "Hangul": "\uac00-\ud7af",
    "Cyrillic": "\u0400-\u04ff", "Greek": "\u0370-\u03ff", "Arabic": "\u0600-\u06ff", "Hebrew": "\u0590-\u05ff",
    "Devanagari": "\u0900-\u097f", "Thai": "\u0e00-\u0e7f",
}  # fmt: skip
_LETTERS = {name: re.compile(f"[{span}]") for name, span in _SCRIPTS.items()}
_NOT_PROSE = re.compile(
    r"```.*?(?:```|\Z)|(?:^|\n)~~~.*?(?:\n~~~|\Z)|`[^`\n]+`"  # code
    r"|\$\$.*?\$\$|\$[^$\n]{1,200}\$|\\\[.*?\\\]|\\\(.*?\\\)|\\begin\{(\w+\*?)\}.*?\\end\{\1\}"  # formulas
    r"|(?:https?://|www\.)[!-~]+",
    re.DOTALL,
)
_NO_SPACES = re.compile(f"[{_UNSPACED}]")
LOOKED_AT = 400  # characters of a text that its script is told from
FEW_SPACES = 0.05  # share of replies in scripts without spaces from which lengths are counted in characters


def open_store(folder: Path) -> duckdb.DuckDBPyConnection:
    """An empty database in `folder`, which also takes what does not fit into memory."""
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY,
        "threads": 2,
        "temp_directory": str(folder),
    }
    connection = duckdb.connect(folder / "rows.duckdb", config=settings)
    connection.execute("SET enable_progress_bar = false")  # it prints on stdout, into the midst of a JSON answer
    return connection


def load(
    connection: duckdb.DuckDBPyConnection,
    rows: Iterable[Mapping],
    count_tokens: Callable[[list[str]], list[int]] | None = None,
    table: str = "judged",
) -> tuple[str, str]:
    """Fill a table from `rows`, batch by batch.

    Args:
        count_tokens: from texts to their numbers of tokens.

    Returns:
        The form of the rows, a key of `FORMS`, and the unit of their lengths: "tokens", "words" or "characters".

    Raises:
        UserError: no rows, a row of no known form or of another one than the first, a label or verdict that is none.
    """
    form, unit, start, left = None, "", 0, iter(rows)
    while batch := list(itertools.islice(left, BATCH_ROWS)):
        form = form or form_of(batch[0])
        records = list(_records(batch, form, start))
        unit = unit or ("tokens" if count_tokens else _unit_of(records))
        _add_lengths(records, unit, count_tokens)
        connection.register("batch", pa.Table.from_pylist(records, schema=_SCHEMA))
        verb = f"INSERT INTO {table}" if start else f"CREATE TABLE {table} AS"
        connection.execute(f"{verb} {_COLUMNS.format(start=start)}")
        start += len(batch)
    if form is None:
        raise UserError("no rows: expected at least one preference row; is the file empty, or was every row refused?")
    return form, unit


_TEXTS = ("prompt", "first", "second")


def _unit_of(records: list[dict]) -> str:
    """Words, or characters where replies in scripts without spaces are not rare."""
    replies = [record[side] for record in records for side in ("first", "second") if record[side]]
    unspaced = sum(_is_unspaced(reply) for reply in replies)
    return "characters" if unspaced > FEW_SPACES * len(replies) else "words"


def _is_unspaced(text: str) -> bool:
    return not text.isascii() and 2 * len(_NO_SPACES.findall(text)) > sum(map(str.isalpha, text))


def _add_lengths(records: list[dict], unit: str, count_tokens: Callable | None) -> None:
    """Lengths of all texts; white space counts in no unit, so that a blank text has length 0."""
    for name in _TEXTS:
        texts = [record[name] for record in records]
        if count_tokens:
            lengths = count_tokens([text or "" for text in texts])
        elif unit == "words":
            lengths = [len((text or "").split()) for text in texts]
        else:
            lengths = [sum(map(len, (text or "").split())) for text in texts]
        for record, text, length in zip(records, texts, lengths, strict=True):
            record[f"{name}_length"] = None if text is None else length


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
        for key in _TEXTS:
            text = record[key] = _text(row["prompt"]) if key == "prompt" else record[key]
            record["n_" + key] = None if text is None else " ".join(text.lower().split())
        yield record | _traits(record)


def _traits(record: Mapping) -> dict:
    """What is worth a look in a row's texts: template marks, replies that say the prompt again, edges, scripts."""
    traits: dict[str, Any] = {"templated": any(_TEMPLATE.search(record[name] or "") for name in _TEXTS)}
    for side in ("first", "second"):
        text, asked = record["n_" + side], record["n_prompt"]
        long = text is not None and len(text) > EDGE
        traits[f"{side}_repeats"] = None if text is None else len(asked) >= SHORTEST and text.startswith(asked)
        traits[f"{side}_opens"] = text[:EDGE] if long else None
        traits[f"{side}_closes"] = text[-EDGE:] if long else None
    return traits | {
        "script": script_of(prose(record["prompt"])[-LOOKED_AT:]),
        "reply_script": script_of(prose(record["first"])),
    }


def prose(text: str) -> str:
    """A text without what is written in Latin letters in every language: code, formulas, addresses.

    >>> prose("好的 `f(x)` https://example.org/a 完")
    '好的     完'
    """
    return _NOT_PROSE.sub(" ", text)


def script_of(text: str) -> str | None:
    """The script of most letters in a text's beginning; None where there are few.

    >>> script_of("Bonjour, ça va bien ?"), script_of("今天天气很好啊"), script_of("2 + 2")
    ('Latin', 'Han or Kana', None)
    """
    text = text[:LOOKED_AT]
    counts = Counter({name: len(letters.findall(text)) for name, letters in _LETTERS.items()})
    (name, most), *_ = counts.most_common(1)
    return name if most >= 5 else None


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
        "ordered": row.get("ordered", True),
        "slight": _flag(row, "slight", number),
        "first_ok": _flag(row, "first_acceptable", number),
        "second_ok": _flag(row, "second_acceptable", number),
    }


_READ = {"paired": _pair, "unpaired": _rating, "verdicts": _verdict}


def _text(value: object) -> str:
    """A text as one string: of a lone message its content, of several the contents under their roles."""
    if isinstance(value, (list, tuple)):
        return value[0]["content"] if len(value) == 1 else "\n".join(f"{m['role']}: {m['content']}" for m in value)
    return "" if value is None else str(value)


def _turns(prompt: object) -> int:
    """How often the user speaks: user messages, or the ``\\n\\nHuman:`` marks of a transcript; else 1."""
    if isinstance(prompt, (list, tuple)):
        return sum(message["role"] == "user" for message in prompt)
    return max(1, str(prompt).count("\n\nHuman:"))
