"""What a preference dataset is like, measured in one pass: each figure with its interval, its n, and how it was made.

`profile(rows)` takes any iterable of dicts, in one of three forms, and never holds the texts:

- pairs ``{prompt, chosen, rejected}``, with, where known, ``chosen_first`` (was it shown first?),
  ``chosen_score`` and ``rejected_score``;
- ratings ``{prompt, completion, label}``, label a boolean;
- verdicts ``{prompt, first, second, verdict}``, the raw comparison: verdict is "first", "second", "tie", or
  None where it could not be read; with, where known, ``slight`` (a weak preference) and
  ``first_acceptable`` and ``second_acceptable`` (each response rated by itself as well).

Every form may carry ``item`` (what was judged: several rows of one item are several verdicts on it), ``rater``
and ``split``. Texts are strings or lists of messages.

Python counts the words; DuckDB, which spills to disk, does the rest on 64-bit hashes (two different texts among a
million share one with a chance of 3e-8). A share's interval is Wilson's, at the number of independent rows that
would be as uncertain as these clustered ones: rows of one prompt are no independent witnesses. What the rows
cannot tell is `None` with the reason.
"""

from __future__ import annotations

import itertools
import random
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import duckdb
import krippendorff
import numpy as np
import pyarrow as pa

from lessons_lib.errors import UserError
from lessons_lib.metrics import wilson

BATCH_ROWS = 5_000
MEMORY = "500MB"  # DuckDB's own; the batch in Python and the interpreter come on top
TOKEN_SAMPLE = 2_000
ALPHA_ITEMS = 200_000
LENGTH_RATIOS = (1.0, 1.1, 1.25, 1.5, 2.0)


@dataclass(frozen=True)
class Figure:
    """One measured number.

    `value` is None where the rows cannot tell, and `reason` says why. `unit` is "share" (0 to 1), "count" (out of
    `n`), "words", "tokens" or "coefficient". `low` and `high` are the ends of the 95 % interval, None where an
    interval makes no sense (a census) or cannot be had. `parts` breaks the figure down, by label.
    """

    value: float | int | None
    unit: str
    how: str
    n: int | None = None
    low: float | None = None
    high: float | None = None
    assumes: str = ""
    reason: str = ""
    parts: Mapping[str, Figure] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.value is None:
            return f"unknown: {self.reason}"
        percent = self.unit == "share"
        show = (lambda x: f"{100 * x:.1f} %") if percent else (lambda x: f"{x:,}" if isinstance(x, int) else f"{x:.3g}")
        interval = f" ({show(self.low)} to {show(self.high)})" if self.low is not None else ""
        return f"{show(self.value)}{interval}" + (f" of {self.n:,}" if self.n is not None else "")


@dataclass(frozen=True)
class Profile:
    """The figures of one dataset by name; `kind` is "paired", "unpaired" or "verdicts"."""

    name: str
    kind: str
    figures: Mapping[str, Figure]

    def __getitem__(self, name: str) -> Figure:
        return self.figures[name]

    def value(self, name: str) -> float | int | None:
        """The number alone; None where it is unknown or does not apply to this kind of data."""
        figure = self.figures.get(name)
        return figure.value if figure else None

    def as_dict(self) -> dict:
        """Plain dicts and numbers, ready for JSON; holds no text of the dataset."""
        return {"name": self.name, "kind": self.kind, "figures": {k: asdict(f) for k, f in self.figures.items()}}

    @classmethod
    def from_dict(cls, record: Mapping) -> Profile:
        return cls(record["name"], record["kind"], {k: _figure(f) for k, f in record["figures"].items()})


def _figure(record: Mapping) -> Figure:
    return Figure(**{**record, "parts": {k: _figure(part) for k, part in record["parts"].items()}})


def profile(
    rows: Iterable[Mapping],
    *,
    name: str = "dataset",
    refused: int = 0,
    count_tokens: Callable[[list[str]], list[int]] | None = None,
) -> Profile:
    """Measure a preference dataset in one pass over its rows.

    Args:
        rows: dicts of one of the three forms above, all of the same form.
        name: what to call it.
        refused: rows that the reader refused, reported beside the others.
        count_tokens: from texts to their numbers of tokens; without it token lengths stay unknown.

    Raises:
        UserError: no rows, a row of no known form, or forms that are mixed.
    """
    with tempfile.TemporaryDirectory(prefix="profile-") as folder, _open(Path(folder)) as connection:
        sample = _Sample(TOKEN_SAMPLE) if count_tokens else None
        kind = _load(connection, rows, sample)
        measure = _Measure(connection, kind)
        figures = {"refused": Figure(refused, "count", "rows that the reader refused"), **measure.figures()}
        figures["tokens"] = _tokens(sample, count_tokens)
        return Profile(name, kind, {key: figure for key, figure in figures.items() if figure is not None})


# Reading: from a row to the columns that the questions need


def _open(folder: Path) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(
        folder / "rows.duckdb", config={"memory_limit": MEMORY, "threads": 2, "temp_directory": str(folder)}
    )


_FORMS = {
    "paired": ("prompt", "chosen", "rejected"),
    "unpaired": ("prompt", "completion", "label"),
    "verdicts": ("prompt", "first", "second", "verdict"),
}
_SIDES = {"first": 1, "second": -1, "tie": 0, None: None}
_COLUMNS = pa.schema(
    [
        *((name, pa.string()) for name in ("prompt", "first", "second", "n_prompt", "n_first", "n_second")),
        *((name, pa.int32()) for name in ("first_words", "second_words", "prompt_words", "turns")),
        ("side", pa.int8()),
        *((name, pa.bool_()) for name in ("ordered", "slight", "first_ok", "second_ok")),
        *((name, pa.string()) for name in ("item", "rater", "split")),
        *((name, pa.float64()) for name in ("first_score", "second_score")),
    ]
)
# `o` is the verdict without the order of presentation: +1 for the response with the smaller hash.
_INSERT = """
    SELECT row_number() OVER () + {start} AS row, hash(prompt) AS prompt, hash(n_prompt) AS n_prompt,
        hash(first) AS x, hash(second) AS y, hash(n_first) AS nx, hash(n_second) AS ny, side,
        (CASE WHEN second IS NULL OR hash(first) <= hash(second) THEN side ELSE -side END)::TINYINT AS o,
        CASE WHEN item IS NOT NULL THEN hash(item)
             WHEN second IS NULL THEN hash(prompt, first)
             ELSE hash(prompt, least(hash(first), hash(second)), greatest(hash(first), hash(second))) END AS item,
        item IS NOT NULL AS named, rater, split, ordered, slight, first_ok, second_ok, first_score, second_score,
        prompt_words, first_words, second_words, turns
    FROM batch
"""


def _load(connection: duckdb.DuckDBPyConnection, rows: Iterable[Mapping], sample: _Sample | None) -> str:
    """Fill the table `judged`, batch by batch, and say which form the rows have."""
    kind, start, rows = None, 0, iter(rows)
    while batch := list(itertools.islice(rows, BATCH_ROWS)):
        kind = kind or _form(batch[0], 1)
        records = list(_judgements(batch, kind, start))
        if sample:
            sample.add((r["prompt"], r["first"], r["second"] or "") for r in records)
        connection.register("batch", pa.Table.from_pylist(records, schema=_COLUMNS))
        verb = "INSERT INTO judged" if start else "CREATE TABLE judged AS"
        connection.execute(f"{verb} {_INSERT.format(start=start)}")
        start += len(batch)
    if kind is None:
        raise UserError("no rows: expected at least one preference row; is the file empty, or was every row refused?")
    return kind


def _form(row: Mapping, number: int) -> str:
    for kind, keys in _FORMS.items():
        if all(key in row for key in keys):
            return kind
    expected = "; ".join("{" + ", ".join(keys) + "}" for keys in _FORMS.values())
    raise UserError(f"row {number}: expected the fields of one of {expected}; got {', '.join(map(str, row))}")


def _judgements(batch: list[Mapping], kind: str, start: int) -> Iterator[dict]:
    """Each row as one judgement: a first response, perhaps a second, and which side it takes."""
    for number, row in enumerate(batch, start=start + 1):
        if any(key not in row for key in _FORMS[kind]):
            raise UserError(f"row {number}: expected {kind} like the rows before it, got {', '.join(map(str, row))}")
        record = {"prompt": _text(row["prompt"]), "turns": _turns(row["prompt"]), "split": row.get("split")}
        record |= {key: None if row.get(key) is None else str(row[key]) for key in ("item", "rater")}
        record |= _FIELDS[kind](row, number)
        for key in ("prompt", "first", "second"):
            words = None if record[key] is None else record[key].lower().split()
            record["n_" + key] = None if words is None else " ".join(words)
            record[key + "_words"] = None if words is None else len(words)
        yield record


def _of_pair(row: Mapping, number: int) -> dict:
    swap = row.get("chosen_first") is False
    first, second = ("rejected", "chosen") if swap else ("chosen", "rejected")
    return {
        "first": _text(row[first]),
        "second": _text(row[second]),
        "side": -1 if swap else 1,
        "ordered": row.get("chosen_first") is not None,
        "first_score": row.get(f"{first}_score"),
        "second_score": row.get(f"{second}_score"),
    }


def _of_rating(row: Mapping, number: int) -> dict:
    if not isinstance(row["label"], bool):
        raise UserError(f"row {number}, label: expected true or false, got {row['label']!r}; choose a threshold first")
    return {"first": _text(row["completion"]), "second": None, "side": 1 if row["label"] else -1, "ordered": False}


def _of_verdict(row: Mapping, number: int) -> dict:
    if row["verdict"] not in _SIDES:
        raise UserError(f'row {number}, verdict: expected "first", "second", "tie" or null, got {row["verdict"]!r}')
    return {
        "first": _text(row["first"]),
        "second": _text(row["second"]),
        "side": _SIDES[row["verdict"]],
        "ordered": True,
        "slight": row.get("slight"),
        "first_ok": row.get("first_acceptable"),
        "second_ok": row.get("second_acceptable"),
    }


_FIELDS = {"paired": _of_pair, "unpaired": _of_rating, "verdicts": _of_verdict}


def _text(value) -> str:
    """A text as one string; of a message list, the contents under their roles."""
    if isinstance(value, (list, tuple)):
        return "\n".join(f"{message['role']}: {message['content']}" for message in value)
    return "" if value is None else str(value)


def _turns(prompt) -> int:
    """How often the user speaks: user messages, or the ``\\n\\nHuman:`` marks of a transcript; else 1."""
    if isinstance(prompt, (list, tuple)):
        return sum(message["role"] == "user" for message in prompt)
    return max(1, str(prompt).count("\n\nHuman:"))


# Measuring: each figure is one question to the columns

_CLUSTERED = """
    WITH clusters AS (SELECT sum(hits) AS h, sum(total) AS n FROM ({query}) GROUP BY prompt HAVING sum(total) > 0),
         whole AS (SELECT sum(h) AS hits, sum(n) AS total, count(*) AS prompts FROM clusters)
    SELECT hits, total, prompts, (SELECT sum((h - hits / total * n) ** 2) FROM clusters) FROM whole
"""
_ITEMS = """
    CREATE TABLE items AS
    SELECT item, min(row) AS row, any_value(prompt) AS prompt, any_value(n_prompt) AS n_prompt,
        count(*) AS verdicts, count_if(o = 1) AS ups, count_if(o = -1) AS downs,
        CASE WHEN 2 * ups > verdicts THEN 1 WHEN 2 * downs > verdicts THEN -1 END AS winner,
        arg_min(x, row) AS x, arg_min(y, row) AS y, arg_min(nx, row) AS nx, arg_min(ny, row) AS ny,
        arg_min(first_words, row) AS x_words, arg_min(second_words, row) AS y_words,
        any_value(first_score - second_score) AS gap, any_value(split) AS split
    FROM {source} GROUP BY item
"""
# One row per item with a strict majority: w wins, l loses (ratings have no l).
_DECIDED = """
    CREATE VIEW decided AS
    SELECT row, prompt, n_prompt, winner, x_first,
        if(x_first, x, y) AS w, if(x_first, y, x) AS l, if(x_first, nx, ny) AS nw, if(x_first, ny, nx) AS nl,
        if(x_first, x_words, y_words) AS w_words, if(x_first, y_words, x_words) AS l_words,
        if(x_first, gap, -gap) AS gap
    FROM (SELECT *, y IS NULL OR (winner = 1) = (x <= y) AS x_first FROM items WHERE winner IS NOT NULL)
"""
_VOTES = """
    CREATE VIEW votes AS
    SELECT item, any_value(prompt) AS prompt, rater, arg_max(o, row) AS o
    FROM (SELECT * REPLACE (coalesce(rater, '#' || row) AS rater) FROM judged WHERE o IS NOT NULL)
    GROUP BY item, rater
"""
# Per item, how many pairs of different raters there are, and how many of them agree: without listing the pairs.
_AGREEMENT = """
    CREATE TABLE agreement AS
    SELECT item, any_value(prompt) AS prompt, count(*) AS raters,
        count_if(o = 1) AS ups, count_if(o = 0) AS ties, count_if(o = -1) AS downs,
        raters * (raters - 1) / 2 AS pairs,
        (ups * (ups - 1) + ties * (ties - 1) + downs * (downs - 1)) / 2 AS agreeing,
        (ups + downs) * (ups + downs - 1) / 2 AS decisive_pairs,
        (ups * (ups - 1) + downs * (downs - 1)) / 2 AS decisive_agreeing
    FROM votes GROUP BY item HAVING count(*) > 1
"""


class _Measure:
    """Asks the table `judged` every question, and answers with figures."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, kind: str):
        self.connection, self.kind = connection, kind
        self.compares = kind != "unpaired"
        named, raters, splits, ordered, scored, graded = self.one(
            "SELECT bool_or(named), count(DISTINCT rater), count(DISTINCT split), bool_or(ordered),"
            " bool_or(first_score IS NOT NULL), bool_or(first_ok IS NOT NULL) FROM judged"
        )
        self.raters, self.splits, self.ordered, self.scored, self.graded = raters, splits, ordered, scored, graded
        self.several = named or raters > 0  # otherwise two equal rows are a repeat and not two raters
        source = "judged" if self.several else "(SELECT * REPLACE (row::UBIGINT AS item) FROM judged)"
        connection.execute(_ITEMS.format(source=source))
        connection.execute(_DECIDED)
        connection.execute(_VOTES)
        connection.execute(_AGREEMENT if self.several else _AGREEMENT + " AND false")

    def figures(self) -> dict[str, Figure | None]:
        parts = [self.size(), self.repeats(), self.texts(), self.agreement()]
        parts += [self.comparisons(), self.position(), self.scores()] if self.compares else [self.ratings()]
        return {name: figure for part in parts for name, figure in part.items()}

    # how a number is asked for

    def one(self, query: str) -> tuple:
        return self.connection.execute(query).fetchone()

    def count(self, query: str, how: str, **more) -> Figure:
        """`query` answers with the count and what it is a count out of."""
        value, n = self.one(query)
        return Figure(value or 0, "count", how, n, **more)

    def share(self, query: str, how: str, *, missing: str = "no row that it could be measured on", **more) -> Figure:
        """`query` answers with rows (prompt, hits, total); the prompts are the independent units."""
        hits, total, prompts, spread = self.one(_CLUSTERED.format(query=query))
        if not total:
            return Figure(None, "share", how, 0, reason=missing)
        share = hits / total
        if prompts == 1:
            return Figure(share, "share", how, int(total), **more)
        independent = prompts
        if 0 < share < 1:
            variance = prompts / (prompts - 1) * spread / total**2
            independent = share * (1 - share) / variance if variance else total
        return Figure(share, "share", how, int(total), *wilson(share, min(independent, total)), **more)

    # the questions

    def size(self) -> dict[str, Figure]:
        rows, unread, prompts, multi = self.one(
            "SELECT count(*), count_if(side IS NULL), count(DISTINCT prompt), count_if(turns > 1) FROM judged"
        )
        (items,) = self.one("SELECT count(*) FROM items")
        decided = self.count("SELECT count(winner), count(*) FROM items", "items with a strict majority of verdicts")
        return {
            "rows": Figure(rows, "count", "rows read"),
            "unread": Figure(unread, "count", "rows whose verdict could not be read", rows),
            "prompts": Figure(prompts, "count", "different prompts, character by character"),
            "items": Figure(items, "count", "different things judged"),
            "decided": decided,
            "raters": Figure(self.raters, "count", "different names")
            if self.raters
            else Figure(None, "count", "different names", reason="the rows do not name their raters"),
            "multi_turn": Figure(multi / rows, "share", "prompts in which the user speaks more than once", rows),
            "leaks": self.leaks("prompt", "prompts found in more than one split"),
            "leaks_normalised": self.leaks("n_prompt", "the same, case and white space aside"),
        }

    def leaks(self, column: str, how: str) -> Figure:
        if self.splits < 2:
            return Figure(None, "count", how, reason="the rows name fewer than two splits")
        return self.count(
            f"SELECT count_if(splits > 1), count(*) FROM"
            f" (SELECT count(DISTINCT split) AS splits FROM judged GROUP BY {column})",
            how,
        )

    def repeats(self) -> dict[str, Figure]:
        """Among decided items: an item that says what an earlier one said teaches nothing and can leak."""

        def repeated(columns: str, how: str) -> Figure:
            query = f"SELECT sum(n) - count(*), sum(n) FROM (SELECT count(*) AS n FROM decided GROUP BY {columns})"
            return self.count(query, how)

        figures = {
            "repeats": repeated(
                "prompt, w, l, winner" if not self.compares else "prompt, w, l",
                "decided items that repeat an earlier one exactly",
            ),
            "repeats_normalised": repeated(
                "n_prompt, nw, nl, winner" if not self.compares else "n_prompt, nw, nl",
                "the same, case and white space aside",
            ),
        }
        winner = "w" if self.compares else "winner"
        group = "least(w, l), greatest(w, l)" if self.compares else "w"
        figures["contradictions"] = self.count(
            f"SELECT count_if(sides > 1), count(*) FROM (SELECT count(DISTINCT {winner}) AS sides FROM decided"
            f" GROUP BY prompt, {group} HAVING count(*) > 1)",
            "decided more than once, with opposite outcomes",
        )
        return figures

    def texts(self) -> dict[str, Figure]:
        empty = self.count(
            "SELECT count_if(prompt_words = 0 OR first_words = 0 OR second_words = 0), count(*) FROM judged",
            "rows with an empty prompt or response",
        )
        p95, longest, n = self.one(
            "SELECT quantile_cont(w, 0.95), max(w), count(*) FROM"
            " (SELECT prompt_words + greatest(first_words, coalesce(second_words, 0)) AS w FROM judged)"
        )
        how = "prompt and longer response, 95th percentile, split at white space"
        return {
            "empty": empty,
            "words": Figure(p95, "words", how, n, parts={"longest": Figure(longest, "words", "maximum", n)}),
        }

    def agreement(self) -> dict[str, Figure]:
        """How far raters agree, and the flip rate that their disagreement implies."""
        missing = (
            "no item was judged by two raters"
            if self.several
            else "the rows name neither items nor raters, so equal rows count as repeats"
        )
        pooled = self.share(
            "SELECT prompt, agreeing AS hits, pairs AS total FROM agreement",
            "pairs of different raters of one item who give the same verdict, all pairs pooled",
            missing=missing,
        )
        decisive = self.share(
            "SELECT prompt, decisive_agreeing AS hits, decisive_pairs AS total FROM agreement",
            "the same among pairs in which both take a side",
            missing=missing,
        )
        unanimous = self.share(
            "SELECT prompt, (greatest(ups, ties, downs) = raters)::INT AS hits, 1 AS total FROM agreement",
            "items on which all raters give the same verdict, of those with two or more",
            missing=missing,
        )
        certain = self.share(
            "SELECT prompt, (greatest(ups, downs) = raters)::INT AS hits, 1 AS total FROM agreement",
            "items on which all raters take the same side, of those with two or more",
            missing=missing + ": one verdict does not tell a sure preference from a toss of a coin",
            assumes="two or three raters who agree do not prove that a hundred would",
        )
        by_item = self.one("SELECT avg(agreeing / pairs), count(*) FROM agreement")
        return {
            "agreement": pooled,
            "agreement_by_item": Figure(by_item[0], "share", "the same, as the mean over items", by_item[1])
            if by_item[1]
            else Figure(None, "share", "the same, as the mean over items", reason=missing),
            "agreement_decisive": decisive,
            "unanimous": unanimous,
            "near_deterministic": certain,
            "flip_rate": flip_rate(decisive),
            "kappa": self.kappa(missing),
            "alpha": self.alpha(missing),
        }

    def kappa(self, missing: str) -> Figure:
        """Cohen's kappa for each pair of raters, where there are few enough to list."""
        how = "Cohen's kappa of two raters, the mean over their pairs: (observed - chance) / (1 - chance)"
        if not 2 <= self.raters <= 8:
            return Figure(
                None, "coefficient", how, reason=missing if self.raters < 2 else "more than 8 raters: see alpha"
            )
        table = self.connection.execute(
            "SELECT a.rater, b.rater, a.o, b.o, count(*) FROM votes a JOIN votes b ON a.item = b.item"
            " AND a.rater < b.rater GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        parts = {}
        for (first, second), cells in itertools.groupby(table, key=lambda row: row[:2]):
            counts = np.zeros((3, 3))
            for *_, a, b, n in cells:
                counts[a + 1, b + 1] = n
            parts[f"{first} and {second}"] = cohen_kappa(counts)
        known = [part.value for part in parts.values() if part.value is not None]
        if not known:
            return Figure(None, "coefficient", how, reason=missing)
        return Figure(float(np.mean(known)), "coefficient", how, sum(p.n for p in parts.values()), parts=parts)

    def alpha(self, missing: str) -> Figure:
        how = f"Krippendorff's alpha, nominal, over at most {ALPHA_ITEMS:,} items"
        counts = self.connection.execute(
            f"SELECT ups, ties, downs FROM agreement ORDER BY hash(item) LIMIT {ALPHA_ITEMS}"
        ).fetchnumpy()
        counts = np.stack([counts[key] for key in ("ups", "ties", "downs")], axis=1)
        if (counts.sum(axis=0) > 0).sum() < 2:
            return Figure(None, "coefficient", how, reason="every verdict is the same" if len(counts) else missing)
        value = krippendorff.alpha(value_counts=counts, level_of_measurement="nominal")
        return Figure(float(value), "coefficient", how, len(counts))

    def comparisons(self) -> dict[str, Figure]:
        decisive = "SELECT *, (first_words > second_words) = (side = 1) AS longer FROM judged WHERE abs(side) = 1"
        figures = {
            "ties": self.share(
                "SELECT prompt, (side = 0)::INT AS hits, 1 AS total FROM judged WHERE side IS NOT NULL",
                "verdicts that call the two equal",
            )
            if self.kind == "verdicts"
            else Figure(None, "share", "verdicts that call the two equal", reason="pairs keep no ties"),
            "ties_items": self.share(
                "SELECT prompt, (2 * (verdicts - ups - downs) > verdicts)::INT AS hits, 1 AS total FROM items",
                "items that most verdicts call equal, unread verdicts counted as such",
            )
            if self.kind == "verdicts"
            else Figure(None, "share", "items that most verdicts call equal", reason="pairs keep no ties"),
            "slight": self.share(
                "SELECT prompt, slight::INT AS hits, 1 AS total FROM judged WHERE slight IS NOT NULL",
                "verdicts that prefer one only slightly, of all verdicts",
                missing="the rows do not say how strong a preference is",
            ),
            "identical": self.count(
                "SELECT count_if(x = y), count(*) FROM judged", "rows whose two responses are equal"
            ),
            "chosen_longer": self.longer(
                "decided", "w_words", "l_words", "decided items of unequal length whose winner has more words"
            ),
            "chosen_longer_verdicts": self.share(
                f"SELECT prompt, (longer AND first_words <> second_words)::INT AS hits, 1 AS total FROM ({decisive})",
                "the same over single verdicts, equal lengths counted as not longer",
            ),
            "cycles": self.cycles(),
        }
        if self.graded:
            figures |= self.second_reading()
        return figures

    def longer(self, source: str, winner: str, loser: str, how: str) -> Figure:
        """The share of longer winners, whole and by how much longer the longer one is."""
        ratio = f"greatest({winner}, {loser}) / greatest(1, least({winner}, {loser}))"
        query = f"SELECT prompt, ({winner} > {loser})::INT AS hits, 1 AS total FROM {source} WHERE {winner} <> {loser}"
        whole = self.share(query, how, missing="no decided pair of unequal length")
        edges = [*itertools.pairwise(LENGTH_RATIOS), (LENGTH_RATIOS[-1], None)]
        parts = {
            f"{low:g} to {high:g} times" if high else f"{low:g} times and more": self.share(
                f"{query} AND {ratio} >= {low}" + (f" AND {ratio} < {high}" if high else ""), how
            )
            for low, high in edges
        }
        return Figure(**{**vars(whole), "parts": {label: part for label, part in parts.items() if part.n}})

    def second_reading(self) -> dict[str, Figure]:
        """Comparisons whose responses were also rated one by one: what these thumbs alone would say."""
        thumbs = "SELECT prompt, unnest([first_ok, second_ok]) AS up FROM judged"
        return {
            "thumbs_up": self.share(
                f"SELECT prompt, up::INT AS hits, 1 AS total FROM ({thumbs}) WHERE up IS NOT NULL",
                "responses called acceptable by themselves",
            ),
            "thumbs_blind": self.share(
                "SELECT prompt, (first_ok = second_ok)::INT AS hits, 1 AS total FROM judged"
                " WHERE abs(side) = 1 AND first_ok IS NOT NULL AND second_ok IS NOT NULL",
                "decisive verdicts whose two responses have the same thumb: signal that thumbs alone would lose",
            ),
        }

    def cycles(self) -> Figure:
        """Prompts whose winners form a circle: what is left when responses that only win or only lose are struck."""
        self.connection.execute(
            "CREATE OR REPLACE TEMP TABLE edges AS SELECT prompt, if(net > 0, a, b) AS w, if(net > 0, b, a) AS l FROM"
            " (SELECT prompt, least(w, l) AS a, greatest(w, l) AS b, sum(if(w < l, 1, -1)) AS net FROM decided"
            "  WHERE w <> l GROUP BY ALL) WHERE net <> 0"
        )
        (able,) = self.one("SELECT count(*) FROM (SELECT 1 FROM edges GROUP BY prompt HAVING count(*) >= 3)")
        how = (
            "prompts whose majority winners form a circle (a over b, b over c, c over a), of those with 3 pairs or more"
        )
        if not able:
            return Figure(None, "count", how, reason="no prompt has three different decided pairs")
        left, before = self.one("SELECT count(*) FROM edges")[0], -1
        while left != before:
            self.connection.execute(
                "CREATE OR REPLACE TEMP TABLE edges AS SELECT * FROM edges e"
                " WHERE EXISTS (SELECT 1 FROM edges f WHERE f.prompt = e.prompt AND f.l = e.w)"
                " AND EXISTS (SELECT 1 FROM edges f WHERE f.prompt = e.prompt AND f.w = e.l)"
            )
            left, before = self.one("SELECT count(*) FROM edges")[0], left
        return self.count(f"SELECT count(DISTINCT prompt), {able} FROM edges", how)

    def position(self) -> dict[str, Figure]:
        """Does the place a response was shown in decide?"""
        unknown = "the rows do not say which response was shown first"
        first = self.share(
            "SELECT prompt, (side = 1)::INT AS hits, 1 AS total FROM judged WHERE ordered AND abs(side) = 1",
            "decisive verdicts for the response shown first",
            missing=unknown,
            assumes="each response is equally often shown first",
        )
        # One rater who saw both orders: o for each, in one row.
        both = (
            "SELECT any_value(prompt) AS prompt, arg_max(o, row) FILTER (x <= y) AS a, arg_max(o, row) FILTER (x > y) AS b"
            " FROM judged WHERE ordered AND o IS NOT NULL GROUP BY item, coalesce(rater, '')"
            " HAVING a IS NOT NULL AND b IS NOT NULL"
        )
        missing = unknown if not self.ordered else "no rater judged an item in both orders"
        return {
            "first_wins": first,
            "order_same": self.share(
                f"SELECT prompt, (a = b)::INT AS hits, 1 AS total FROM ({both})",
                "items judged in both orders that get the same verdict twice",
                missing=missing,
            ),
            "order_opposite": self.share(
                f"SELECT prompt, (a * b = -1)::INT AS hits, 1 AS total FROM ({both})",
                "items judged in both orders that get opposite winners",
                missing=missing,
            ),
            "order_consistent": self.count(
                f"SELECT count_if(a = b AND a <> 0), count(*) FROM ({both})",
                "items judged in both orders with the same winner twice",
            )
            if self.ordered
            else Figure(None, "count", "items judged in both orders with the same winner twice", reason=missing),
        }

    def scores(self) -> dict[str, Figure]:
        reason = "the rows carry no scores"
        names = {
            "hidden_ties": ("gap = 0", "pairs whose two scores are equal"),
            "small_gaps": (
                "abs(gap) < 0.1 * spread",
                "pairs whose scores differ by less than a tenth of the scores' sd",
            ),
            "score_contradicts": ("gap < 0", "pairs whose rejected response has the higher score"),
        }
        if not self.scored:
            return {name: Figure(None, "share", how, reason=reason) for name, (_, how) in names.items()}
        spread = "(SELECT stddev(s) AS spread FROM (SELECT unnest([first_score, second_score]) AS s FROM judged))"
        return {
            name: self.share(
                f"SELECT prompt, ({test})::INT AS hits, 1 AS total FROM decided, {spread} WHERE gap IS NOT NULL", how
            )
            for name, (test, how) in names.items()
        }

    def ratings(self) -> dict[str, Figure]:
        """Class balance, and what could be paired."""
        prompts = (
            "SELECT prompt, count_if(winner = 1) AS ups, count_if(winner = -1) AS downs FROM items GROUP BY prompt"
        )
        longer, ups, downs = self.one(
            "SELECT sum(rank) FILTER (winner = 1), count_if(winner = 1), count_if(winner = -1) FROM (SELECT winner,"
            " rank() OVER (ORDER BY w_words) + (count(*) OVER (PARTITION BY w_words) - 1) / 2 AS rank FROM decided)"
        )
        how = "chance that a random up has more words than a random down, a tie counting one half"
        return {
            "up_share": self.share(
                "SELECT prompt, (side = 1)::INT AS hits, 1 AS total FROM judged", "ratings that are up"
            ),
            "both_labels": self.count(
                "SELECT count_if(ups > 0 AND downs > 0), count(*) FROM"
                " (SELECT count_if(side = 1) AS ups, count_if(side = -1) AS downs FROM judged GROUP BY prompt)",
                "prompts with at least one up and one down",
            ),
            "pairs": self.count(
                f"SELECT sum(ups * downs)::BIGINT, NULL FROM ({prompts})",
                "pairs of a response that most raters call up with one they call down, same prompt",
            ),
            "pairs_disjoint": self.count(
                f"SELECT sum(least(ups, downs))::BIGINT, NULL FROM ({prompts})", "the same, each response used once"
            ),
            "unpaired": self.share(
                "SELECT i.prompt, sum(if(i.winner IS NULL OR p.ups * p.downs = 0, verdicts, 0)) AS hits,"
                f" sum(verdicts) AS total FROM items i JOIN ({prompts}) p ON p.prompt = i.prompt GROUP BY i.prompt",
                "ratings that no pair would use",
            ),
            "up_longer": Figure((longer - ups * (ups + 1) / 2) / (ups * downs), "share", how, ups + downs)
            if ups and downs
            else Figure(None, "share", how, reason="all ratings have the same label"),
        }


def cohen_kappa(counts: np.ndarray) -> Figure:
    """Cohen's kappa from a square table: rows the first rater's verdicts, columns the second's.

    Example:
        >>> round(cohen_kappa(np.array([[20, 5], [10, 15]])).value, 3)
        0.4

    Reference:
        Cohen 1960, "A Coefficient of Agreement for Nominal Scales".
    """
    n = counts.sum()
    chance = float(counts.sum(axis=0) @ counts.sum(axis=1)) / n**2
    if chance == 1:
        return Figure(None, "coefficient", "Cohen's kappa", int(n), reason="both always give the same verdict")
    return Figure(float((np.trace(counts) / n - chance) / (1 - chance)), "coefficient", "Cohen's kappa", int(n))


def flip_rate(agreement: Figure) -> Figure:
    """The error rate e of two raters that explains how often they agree: agreement = e² + (1 − e)².

    Example:
        >>> round(flip_rate(Figure(0.82, "share", "")).value, 2)
        0.1
    """
    how = "e in agreement = e² + (1 - e)², over pairs of raters who both take a side"
    if agreement.value is None:
        return Figure(None, "share", how, reason=agreement.reason)
    if agreement.value < 0.5:
        return Figure(None, "share", how, agreement.n, reason="raters agree less often than two coins would")

    def flips(share: float) -> float:
        return (1 - max(0.0, 2 * share - 1) ** 0.5) / 2

    bounds = {} if agreement.low is None else {"low": flips(agreement.high), "high": flips(agreement.low)}
    return Figure(
        flips(agreement.value),
        "share",
        how,
        agreement.n,
        assumes="raters err independently, equally often and in both directions alike: a scale, not a measurement",
        **bounds,
    )


# Tokens: a sample is enough for a percentile


class _Sample:
    """A uniform sample of a stream (Vitter's algorithm R), the same for the same rows."""

    def __init__(self, size: int):
        self.size, self.seen, self.kept, self.random = size, 0, [], random.Random(0)

    def add(self, rows: Iterable) -> None:
        for row in rows:
            self.seen += 1
            if len(self.kept) < self.size:
                self.kept.append(row)
            elif (place := self.random.randrange(self.seen)) < self.size:
                self.kept[place] = row


def _tokens(sample: _Sample | None, count_tokens: Callable | None) -> Figure:
    """95th percentile and maximum of prompt plus longer response, over the sample."""
    how = f"prompt and longer response, 95th percentile over a random sample of at most {TOKEN_SAMPLE:,} rows"
    if sample is None or count_tokens is None:
        return Figure(None, "tokens", how, reason="no tokenizer was named")
    prompts, firsts, seconds = (np.array(count_tokens(list(texts))) for texts in zip(*sample.kept, strict=True))
    lengths = prompts + np.maximum(firsts, seconds)
    longest = Figure(int(lengths.max()), "tokens", "maximum of the sample", len(lengths))
    return Figure(float(np.quantile(lengths, 0.95)), "tokens", how, len(lengths), parts={"longest": longest})
