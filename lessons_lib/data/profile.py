"""What a preference dataset is like, measured in one pass: each figure with its interval, its n, and how it was made.

`profile(rows)` takes the three forms of rows that `judgements` describes and never holds the texts: DuckDB
answers every question from the columns. A share's interval is Wilson's at the number of independent rows that
would leave as much doubt as these do, because rows of one prompt are no independent witnesses. What the rows
cannot tell is `None`, with the reason.
"""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import krippendorff
import numpy as np

from lessons_lib.data.findings import Figure, Profile
from lessons_lib.data.judgements import EDGE, load, open_store
from lessons_lib.errors import UserError
from lessons_lib.metrics import wilson

ALPHA_ITEMS = 200_000  # Krippendorff's alpha takes 72 bytes of memory an item
LENGTH_RATIOS = (1.0, 1.1, 1.25, 1.5, 2.0)


def profile(
    rows: Iterable[Mapping],
    *,
    name: str = "dataset",
    apart_from: Iterable[Mapping] | None = None,
    count_tokens: Callable[[list[str]], list[int]] | None = None,
) -> Profile:
    """Measure a preference dataset in one pass over its rows.

    Args:
        rows: dicts, all of one form. `preferences.Rows` also say what they refused and skipped, which is reported.
        name: what to call it.
        apart_from: rows of another split, in which no prompt of `rows` should occur; no other figure counts them.
        count_tokens: from texts to their numbers of tokens, which are then the unit of all lengths; without it they
            are in words, or in characters where many replies are in a script that sets no spaces.

    Raises:
        UserError: as `judgements.load`; where every row was refused, with the first reason.

    Example:
        >>> rows = [{"prompt": f"{i}?", "chosen": "yes it is", "rejected": "no"} for i in range(100)]
        >>> print(profile(rows)["chosen_longer"])
        100.0 % (96.3 % to 100.0 %) of 100
    """
    with tempfile.TemporaryDirectory(prefix="profile-") as folder, open_store(Path(folder)) as connection:
        form, unit = _loaded(connection, rows, count_tokens)
        if apart_from is not None:
            load(connection, apart_from, table="others")
        left = {"refused": _refused(rows), "not_read": _not_read(rows)}
        return Profile(name, form, {**left, **_Measure(connection, form, unit).figures()})


def _loaded(
    connection: duckdb.DuckDBPyConnection,
    rows: Iterable[Mapping],
    count_tokens: Callable[[list[str]], list[int]] | None,
) -> tuple[str, str]:
    try:
        return load(connection, rows, count_tokens)
    except UserError as error:
        told: Any = rows  # `Rows` tell what they left out; a plain list has nothing to tell
        if getattr(told, "kept", 1) or not (told.refused or told.skipped):
            raise
        reason = str(told.refused[0]) if told.refused else ", ".join(told.skipped)
        raise UserError(f"no row can be used: {told.summary()}; the first reason: {reason}") from error


def _refused(rows: Iterable) -> Figure:
    listed = Counter(f"{refusal.field}: not {refusal.expected}" for refusal in getattr(rows, "refused", ()))
    reasons = {**listed, **getattr(rows, "skipped", {})}
    parts = {reason: Figure(n, "count", "rows left out for this reason") for reason, n in reasons.items()}
    left_out = getattr(rows, "refused_count", 0) + sum(getattr(rows, "skipped", {}).values())
    return Figure(
        left_out, "count", "rows that the reader refused or skipped; they are in no other figure", parts=parts
    )


def _not_read(rows: Iterable) -> Figure:
    how = "rows in which a column says something that no part of a row takes up"
    lost = getattr(rows, "lost", {})
    parts = {name: Figure(count, "count", how) for name, count in lost.items()}
    return Figure(max(lost.values(), default=0), "count", how, parts=parts)


# The tables that the questions are put to, made from `judged`

_TABLES = """
CREATE TABLE items AS  -- one row a thing judged; x and y as its first row showed them
    SELECT item, min(row) AS row, any_value(prompt) AS prompt, any_value(n_prompt) AS n_prompt,
        any_value(prompt_length) AS prompt_length,
        count(*) AS verdicts,  -- count_if would be NULL, and not 0, where no verdict of the item could be read
        count(*) FILTER (WHERE o = 1) AS ups, count(*) FILTER (WHERE o = -1) AS downs,
        arg_min(first_repeats, row) AS x_repeats, arg_min(second_repeats, row) AS y_repeats,
        arg_min(first_opens, row) AS x_opens, arg_min(second_opens, row) AS y_opens,
        arg_min(first_closes, row) AS x_closes, arg_min(second_closes, row) AS y_closes,
        CASE WHEN 2 * ups > verdicts THEN 1 WHEN 2 * downs > verdicts THEN -1 END AS winner,
        arg_min(x, row) AS x, arg_min(y, row) AS y, arg_min(nx, row) AS nx, arg_min(ny, row) AS ny,
        arg_min(first_length, row) AS x_length, arg_min(second_length, row) AS y_length,
        arg_min(first_score - second_score, row) AS gap
    FROM (SELECT * REPLACE ({item} AS item) FROM judged) GROUP BY item;
CREATE VIEW decided AS  -- items with a strict majority: w wins and l loses; a rating has no l
    SELECT row, prompt, n_prompt, winner, if(first, x, y) AS w, if(first, y, x) AS l, if(first, nx, ny) AS nw,
        if(first, ny, nx) AS nl, if(first, x_length, y_length) AS w_length, if(first, y_length, x_length) AS l_length,
        if(first, x_repeats, y_repeats) AS w_repeats, if(first, y_repeats, x_repeats) AS l_repeats,
        if(first, x_opens, y_opens) AS w_opens, if(first, y_opens, x_opens) AS l_opens,
        if(first, x_closes, y_closes) AS w_closes, if(first, y_closes, x_closes) AS l_closes,
        if(first, gap, -gap) AS gap
    FROM (SELECT *, y IS NULL OR (winner = 1) = (x <= y) AS first FROM items WHERE winner IS NOT NULL);
CREATE VIEW votes AS  -- the last verdict of each rater on each item; unnamed raters are different ones
    SELECT item, any_value(prompt) AS prompt, rater, arg_max(o, row) AS o
    FROM (SELECT * REPLACE (coalesce(rater, '#' || row) AS rater) FROM judged WHERE o IS NOT NULL) GROUP BY item, rater;
CREATE TABLE agreement AS  -- pairs of raters an item, and those that agree, counted without listing them
    SELECT item, any_value(prompt) AS prompt, count(*) AS raters,
        count_if(o = 1) AS ups, count_if(o = 0) AS ties, count_if(o = -1) AS downs,
        raters * (raters - 1) / 2 AS pairs, (ups * (ups - 1) + ties * (ties - 1) + downs * (downs - 1)) / 2 AS agreeing,
        (ups + downs) * (ups + downs - 1) / 2 AS decisive,
        (ups * (ups - 1) + downs * (downs - 1)) / 2 AS decisive_agreeing
    FROM votes WHERE {several} GROUP BY item HAVING count(*) > 1;
CREATE TABLE both_orders AS  -- one rater who saw an item in both orders: the verdict in each
    SELECT any_value(prompt) AS prompt, arg_max(o, row) FILTER (x <= y) AS a, arg_max(o, row) FILTER (x > y) AS b
    FROM judged WHERE ordered AND o IS NOT NULL GROUP BY item, rater HAVING a IS NOT NULL AND b IS NOT NULL;
CREATE VIEW splits AS SELECT prompt, n_prompt, coalesce(split, '') AS split FROM judged {others};
CREATE VIEW by_prompt AS  -- ratings: responses that most raters call up or down
    SELECT prompt, count(*) FILTER (WHERE winner = 1) AS ups, count(*) FILTER (WHERE winner = -1) AS downs
    FROM items GROUP BY prompt;
CREATE VIEW thumbs AS SELECT prompt, unnest([first_ok, second_ok]) AS up FROM judged;
CREATE VIEW gaps AS
    SELECT decided.prompt, gap, spread FROM decided,
        (SELECT stddev(s) AS spread FROM (SELECT unnest([first_score, second_score]) AS s FROM judged))
    WHERE gap IS NOT NULL;
"""
_CLUSTERED = """
    WITH clusters AS (SELECT sum(hits) AS h, sum(total) AS n FROM ({query}) GROUP BY prompt HAVING sum(total) > 0),
         whole AS (SELECT sum(h) AS hits, sum(n) AS total, count(*) AS prompts FROM clusters)
    SELECT hits, total, prompts, (SELECT sum((h - hits / total * n) ** 2) FROM clusters) FROM whole
"""


@dataclass(frozen=True)
class _Share:
    """A question answered by a share: of `total` in the rows of `source`, how much is `hits`?"""

    how: str
    hits: str
    source: str
    total: str = "1"
    needs: str = ""  # what the rows must hold, a key of `_Measure.reasons`
    assumes: str = ""


@dataclass(frozen=True)
class _Count:
    """A question answered by counts: `query` gives the number and what it is a number of."""

    how: str
    query: str
    needs: str = ""


def _repeats(columns: str) -> str:
    groups = f"SELECT count(*) AS n FROM decided GROUP BY {columns}, if(l IS NULL, winner, 0)"
    return f"SELECT sum(n) - count(*), sum(n) FROM ({groups})"


def _leaks(column: str) -> str:
    splits = f"SELECT count(DISTINCT split) AS splits FROM splits GROUP BY {column}"
    return f"SELECT count_if(splits > 1), count(*) FROM ({splits})"


_ALL: dict[str, _Share | _Count] = {
    "rows": _Count("rows read", "SELECT count(*), NULL FROM judged"),
    "unread": _Count("rows whose verdict could not be read", "SELECT count_if(side IS NULL), count(*) FROM judged"),
    "prompts": _Count("different prompts, character by character", "SELECT count(DISTINCT prompt), NULL FROM judged"),
    "items": _Count("different things judged", "SELECT count(*), NULL FROM items"),
    "decided": _Count("items with a strict majority of verdicts", "SELECT count(winner), count(*) FROM items"),
    "raters": _Count("different names of raters", "SELECT count(DISTINCT rater), NULL FROM judged", "rater names"),
    "multi_turn": _Share("rows in whose prompt the user speaks more than once", "turns > 1", "judged"),
    "leaks": _Count("prompts found in more than one split", _leaks("prompt"), "splits"),
    "leaks_normalised": _Count("the same, letter case and white space aside", _leaks("n_prompt"), "splits"),
    "repeats": _Count("decided items that repeat an earlier one exactly", _repeats("prompt, w, l")),
    "repeats_normalised": _Count("the same, letter case and white space aside", _repeats("n_prompt, nw, nl")),
    "contradictions": _Count(
        "things decided more than once, with opposite outcomes",
        "SELECT count_if(outcomes > 1), count(*) FROM (SELECT count(DISTINCT if(l IS NULL, winner, w)) AS outcomes"
        " FROM decided GROUP BY prompt, if(l IS NULL, w, least(w, l)), greatest(w, l) HAVING count(*) > 1)",
    ),
    "empty": _Count(
        "things judged with an empty prompt or response",
        "SELECT count_if(prompt_length = 0 OR x_length = 0 OR y_length = 0), count(*) FROM items",
    ),
    "repeats_prompt": _Count(
        "things judged of which a response begins with its whole prompt",
        "SELECT count_if(x_repeats OR coalesce(y_repeats, false)), count(*) FROM items",
    ),
    "templated": _Count(
        "rows that hold the marks of a chat template, such as <|im_start|> or [INST]",
        "SELECT count_if(templated), count(*) FROM judged",
    ),
    "other_script": _Share(
        "rows whose response is in another script than the end of its prompt, of those where both can be told",
        "script <> reply_script", "judged WHERE script IS NOT NULL AND reply_script IS NOT NULL",
    ),
    "agreement": _Share(
        "pairs of raters of one item who give the same verdict, all pairs pooled",
        "agreeing", "agreement", "pairs", "several raters",
    ),
    "agreement_by_item": _Share(
        "the same, as the mean over items", "agreeing / pairs", "agreement", needs="several raters"
    ),
    "agreement_decisive": _Share(
        "pairs of raters who agree, of those in which both take a side",
        "decisive_agreeing", "agreement", "decisive", "several raters",
    ),
    "unanimous": _Share(
        "items on which all raters give the same verdict, of those with two or more",
        "greatest(ups, ties, downs) = raters", "agreement", needs="several raters",
    ),
    "near_deterministic": _Share(
        "items on which all raters take the same side, of those with two or more that are not mostly called ties",
        "greatest(ups, downs) = raters", "agreement WHERE 2 * ties <= raters", needs="several raters",
        assumes="few raters who agree do not prove that many would",
    ),
}  # fmt: skip
_COMPARISONS: dict[str, _Share | _Count] = {
    "ties": _Share("verdicts that call the two equal", "side = 0", "judged WHERE side IS NOT NULL", needs="verdicts"),
    "ties_items": _Share(
        "items that most verdicts call equal or leave unread", "2 * (verdicts - ups - downs) > verdicts", "items",
        needs="verdicts",
    ),
    "slight": _Share(
        "verdicts that prefer one only slightly", "slight", "judged WHERE slight IS NOT NULL", needs="strengths"
    ),
    "identical": _Count("rows whose two responses are equal", "SELECT count_if(x = y), count(*) FROM judged"),
    "identical_normalised": _Count(
        "the same, letter case and white space aside", "SELECT count_if(nx = ny), count(*) FROM judged"
    ),
    "chosen_longer_verdicts": _Share(
        "decisive verdicts for the longer response (equal lengths count as not longer)",
        "first_length <> second_length AND (first_length > second_length) = (side = 1)", "judged WHERE abs(side) = 1",
    ),
    "first_wins": _Share(
        "decisive verdicts for the response shown first", "side = 1", "judged WHERE ordered AND abs(side) = 1",
        needs="order", assumes="the better response is equally often shown first",
    ),
    "order_same": _Share(
        "items seen in both orders that get the same verdict", "a = b", "both_orders", needs="both orders"
    ),
    "order_opposite": _Share(
        "items seen in both orders that get opposite winners", "a * b = -1", "both_orders", needs="both orders"
    ),
    "order_consistent": _Count(
        "items seen in both orders with the same winner",
        "SELECT count_if(a = b AND a <> 0), count(*) FROM both_orders", "both orders",
    ),
    "hidden_ties": _Share("pairs whose two scores are equal", "gap = 0", "gaps", needs="scores"),
    "small_gaps": _Share(
        "pairs whose scores differ by less than a tenth of the scores' standard deviation",
        "abs(gap) < 0.1 * spread", "gaps", needs="scores",
    ),
    "score_contradicts": _Share("pairs whose rejected one has the higher score", "gap < 0", "gaps", needs="scores"),
    "runs_on": _Share(
        "decided items whose loser is ten times as long as its winner, or more", "l_length >= 10 * w_length", "decided"
    ),
    "thumbs_up": _Share("responses acceptable by themselves", "up", "thumbs WHERE up IS NOT NULL", needs="thumbs"),
    "thumbs_blind": _Share(
        "decisive verdicts on two responses with the same thumb: what thumbs alone would lose",
        "first_ok = second_ok", "judged WHERE abs(side) = 1 AND first_ok IS NOT NULL AND second_ok IS NOT NULL",
        needs="thumbs",
    ),
}  # fmt: skip
_RATINGS: dict[str, _Share | _Count] = {
    "up_share": _Share("ratings that are up", "side = 1", "judged"),
    "both_labels": _Count(
        "prompts with at least one up and one down",
        "SELECT count_if(ups > 0 AND downs > 0), count(*) FROM"
        " (SELECT count_if(side = 1) AS ups, count_if(side = -1) AS downs FROM judged GROUP BY prompt)",
    ),
    "pairs": _Count(
        "pairs of a response that most raters call up with one that most call down, same prompt",
        "SELECT sum(ups * downs)::BIGINT, NULL FROM by_prompt",
    ),
    "pairs_disjoint": _Count(
        "the same, each response used once", "SELECT sum(least(ups, downs))::BIGINT, NULL FROM by_prompt"
    ),
    "unpaired": _Share(
        "ratings that no pair would use",
        "if(winner IS NULL OR b.ups * b.downs = 0, verdicts, 0)", "items JOIN by_prompt b USING (prompt)", "verdicts",
    ),
}  # fmt: skip


class _Measure:
    """Makes the tables and puts every question to them."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, form: str, unit: str):
        self.connection, self.form, self.unit = connection, form, unit
        named, self.raters, splits, ordered, slight, scored, thumbs = self.one(
            "SELECT bool_or(named), count(DISTINCT rater), count(DISTINCT split), bool_or(ordered), count(slight) > 0,"
            " count(first_score) > 0, count(first_ok) > 0 FROM judged"
        )
        several = named or self.raters > 0  # where neither is named, two equal rows are a repeat and not two raters
        (apart,) = self.one("SELECT count(*) > 0 FROM information_schema.tables WHERE table_name = 'others'")
        others = "UNION ALL SELECT prompt, n_prompt, '(the other file)' FROM others" if apart else ""
        connection.execute(_TABLES.format(item="item" if several else "row::UBIGINT", several=several, others=others))
        self.reasons = {
            "rater names": None if self.raters else "the rows do not name their raters",
            "several raters": None if several else "no row says which item it judges or who judged it",
            "splits": None if splits > 1 or apart else "fewer than two splits are named",
            "verdicts": None if form == "verdicts" else "pairs keep no ties",
            "strengths": None if slight else "the rows do not say how strong a preference is",
            "order": None if ordered else "the rows do not say which response was shown first",
            "both orders": None if ordered else "the rows do not say which response was shown first",
            "scores": None if scored else "the rows carry no scores",
            "thumbs": None if thumbs else "the responses were not rated by themselves",
        }

    def figures(self) -> dict[str, Figure]:
        questions = {**_ALL, **(_RATINGS if self.form == "unpaired" else _COMPARISONS)}
        figures = {name: self.answer(question) for name, question in questions.items()}
        figures |= {"length": self.length(), "boilerplate": self.boilerplate(), "scripts": self.scripts()}
        figures |= {"kappa": self.kappa(), "alpha": self.alpha()}
        figures["flip_rate"] = flip_rate(figures["agreement_decisive"])
        if self.form == "unpaired":
            return {**figures, "up_longer": self.up_longer()}
        means = {"chosen_length": self.mean_length("w", "winning"), "rejected_length": self.mean_length("l", "losing")}
        return {**figures, **means, "chosen_longer": self.chosen_longer(), "cycles": self.cycles()}

    def one(self, query: str) -> tuple:
        return self.connection.execute(query).fetchone() or ()

    def answer(self, question: _Share | _Count) -> Figure:
        unit = "share" if isinstance(question, _Share) else "count"
        if reason := self.reasons.get(question.needs):
            return Figure(None, unit, question.how, reason=reason)
        if isinstance(question, _Share):
            return self.share(question)
        value, n = self.one(question.query)
        return Figure(int(value or 0), "count", question.how, n if n is None else int(n))

    def share(self, question: _Share) -> Figure:
        """With an interval that takes prompts, not rows, as independent (the ratio estimator's variance)."""
        query = f"SELECT prompt, ({question.hits})::DOUBLE AS hits, {question.total} AS total FROM {question.source}"
        hits, total, prompts, spread = self.one(_CLUSTERED.format(query=query))
        if not total:
            nothing = {
                "several raters": "no item was judged by two raters",
                "both orders": "no item was seen in both orders",
            }
            reason = nothing.get(question.needs, "no row that it could be measured on")
            return Figure(None, "share", question.how, 0, reason=reason)
        share, total = hits / total, int(total)
        if prompts == 1:
            return Figure(share, "share", question.how, total, assumes="one prompt: no interval can be had")
        variance = prompts / (prompts - 1) * spread / total**2
        independent = share * (1 - share) / variance if variance > 0 else prompts
        return Figure(share, "share", question.how, total, *wilson(share, min(independent, total)), question.assumes)

    # the questions that one share or count does not answer

    def length(self) -> Figure:
        p95, longest, n = self.one(
            "SELECT quantile_cont(w, 0.95), max(w), count(*) FROM"
            " (SELECT prompt_length + greatest(first_length, coalesce(second_length, 0)) AS w FROM judged)"
        )
        parts = {"longest": Figure(longest, self.unit, "maximum", n)}
        return Figure(p95, self.unit, "prompt and longer response together, 95th percentile", n, parts=parts)

    def mean_length(self, side: str, which: str) -> Figure:
        mean, n = self.one(f"SELECT avg({side}_length), count({side}_length) FROM decided")
        how = f"mean length of the {which} responses of decided items"
        return Figure(mean, self.unit, how, n, reason="" if n else "no item is decided")

    def boilerplate(self) -> Figure:
        """Of the winners or the losers, the largest share that begin, or end, with the same characters, by prompt."""
        how = f"prompts whose winning, or losing, responses begin or end with the same {EDGE} characters"
        parts = {}
        for side, label in (("w", "chosen"), ("l", "rejected")):
            for end in ("opens", "closes"):
                same = f"SELECT count(DISTINCT prompt) AS n FROM decided WHERE {side}_{end} IS NOT NULL"
                (most,) = self.one(f"SELECT max(n) FROM ({same} GROUP BY {side}_{end})")
                (n,) = self.one(f"SELECT count(DISTINCT prompt) FROM decided WHERE {side} IS NOT NULL")
                if most and most > 1:
                    verb = "begin" if end == "opens" else "end"
                    parts[f"{label} ones that {verb} alike"] = Figure(most / n, "share", how, n)
        largest = max(parts.values(), key=lambda part: part.value or 0.0, default=Figure(0.0, "share", how))
        return Figure(largest.value, "share", how, largest.n, parts=parts)

    def scripts(self) -> Figure:
        how = "scripts that the responses are written in"
        found = self.connection.execute(
            "SELECT reply_script, count(*) AS n FROM judged WHERE reply_script IS NOT NULL"
            " GROUP BY reply_script ORDER BY n DESC, reply_script"
        ).fetchall()
        parts = {script: Figure(n, "count", "rows") for script, n in found}
        return Figure(len(parts), "count", how, sum(n for _, n in found), parts=parts)

    def chosen_longer(self) -> Figure:
        """The share of longer winners, whole and by how many times longer the longer one is."""
        how = f"decided items of unequal length whose winner has more {self.unit}"
        source = (
            "(SELECT *, greatest(w_length, l_length) / greatest(1, least(w_length, l_length)) AS ratio FROM decided)"
        )
        whole = _Share(how, "w_length > l_length", f"{source} WHERE w_length <> l_length")
        parts = {}
        for low, high in itertools.pairwise((*LENGTH_RATIOS, float("inf"))):
            inside = f"{whole.source} AND ratio >= {low} AND ratio < '{high}'::DOUBLE"
            label = f"{low:g} to {high:g} times" if high < float("inf") else f"{low:g} times and more"
            parts[label] = self.share(_Share(how, whole.hits, inside))
        return Figure(**{**vars(self.share(whole)), "parts": {name: part for name, part in parts.items() if part.n}})

    def up_longer(self) -> Figure:
        """The Mann-Whitney statistic of the lengths."""
        how = f"chance that a random up has more {self.unit} than a random down, a tie counting one half"
        ranks, ups, downs = self.one(
            "SELECT sum(rank) FILTER (winner = 1), count_if(winner = 1), count_if(winner = -1) FROM (SELECT winner,"
            " rank() OVER (ORDER BY w_length) + (count(*) OVER (PARTITION BY w_length) - 1) / 2 AS rank FROM decided)"
        )
        if not ups or not downs:
            return Figure(None, "share", how, reason="all decided ratings have the same label")
        return Figure((ranks - ups * (ups + 1) / 2) / (ups * downs), "share", how, ups + downs)

    def cycles(self) -> Figure:
        """A circle is what is left when responses that only win or only lose are struck, again and again."""
        how = "prompts whose majority winners form a circle, of those with three or more different decided pairs"
        self.connection.execute(
            "CREATE TEMP TABLE edges AS SELECT prompt, if(net > 0, a, b) AS w, if(net > 0, b, a) AS l FROM"
            " (SELECT prompt, least(w, l) AS a, greatest(w, l) AS b, sum(if(w < l, 1, -1)) AS net FROM decided"
            "  WHERE w <> l GROUP BY ALL) WHERE net <> 0"
        )
        (able,) = self.one("SELECT count(*) FROM (SELECT 1 FROM edges GROUP BY prompt HAVING count(*) >= 3)")
        if not able:
            return Figure(None, "count", how, 0, reason="no prompt has three different decided pairs")
        left, before = self.one("SELECT count(*) FROM edges")[0], -1
        while left != before:
            self.connection.execute(
                "CREATE OR REPLACE TEMP TABLE edges AS SELECT * FROM edges"
                " WHERE (prompt, w) IN (SELECT (prompt, l) FROM edges)"
                " AND (prompt, l) IN (SELECT (prompt, w) FROM edges)"
            )
            left, before = self.one("SELECT count(*) FROM edges")[0], left
        return Figure(self.one("SELECT count(DISTINCT prompt) FROM edges")[0], "count", how, able)

    def kappa(self) -> Figure:
        """Cohen's kappa for each pair of raters, where there are few enough to list."""
        how = "Cohen's kappa of two raters (observed agreement beyond chance), the mean over their pairs"
        if not 2 <= self.raters <= 8:
            few = (
                "fewer than two raters are named"
                if self.raters < 2
                else f"{self.raters} raters, too many to list: see alpha"
            )
            return Figure(None, "coefficient", how, reason=few)
        cells = self.connection.execute(
            "SELECT a.rater, b.rater, a.o, b.o, count(*) FROM votes a JOIN votes b ON a.item = b.item"
            " AND a.rater < b.rater GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        tables = {f"{a} and {b}": np.zeros((3, 3)) for a, b, *_ in cells}
        for a, b, verdict, other, n in cells:
            tables[f"{a} and {b}"][verdict + 1, other + 1] = n
        parts = {names: cohen_kappa(table) for names, table in tables.items()}
        known = [part.value for part in parts.values() if part.value is not None]
        if not known:
            return Figure(None, "coefficient", how, reason="no two raters judged the same items differently")
        return Figure(
            float(np.mean(known)), "coefficient", how, sum(part.n or 0 for part in parts.values()), parts=parts
        )

    def alpha(self) -> Figure:
        how = f"Krippendorff's alpha, nominal, over at most {ALPHA_ITEMS:,} items"
        query = f"SELECT ups, ties, downs FROM agreement ORDER BY hash(item) LIMIT {ALPHA_ITEMS}"
        counts = np.array(self.connection.execute(query).fetchall())
        if not len(counts):
            reason = self.reasons["several raters"] or "no item was judged by two raters"
            return Figure(None, "coefficient", how, reason=reason)
        if (counts.sum(axis=0) > 0).sum() < 2:
            return Figure(None, "coefficient", how, len(counts), reason="every verdict is the same")
        value = krippendorff.alpha(value_counts=counts, level_of_measurement="nominal")
        return Figure(float(value), "coefficient", how, len(counts))


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
    how = "the e in agreement = e² + (1 - e)², over pairs of raters who both take a side"
    if agreement.value is None:
        return Figure(None, "share", how, reason=agreement.reason)
    if agreement.value < 0.5:
        return Figure(None, "share", how, agreement.n, reason="raters agree less often than two coins would")
    value, low, high = map(_error_rate, (agreement.value, agreement.high, agreement.low))
    parts = {}
    if agreement.n:
        low_agreement, high_agreement = wilson(agreement.value, agreement.n)
        ends = _error_rate(high_agreement), _error_rate(low_agreement)
        parts["were all pairs of raters independent"] = Figure(value, "share", how, agreement.n, *ends)
    independence = "raters err independently, equally often and in both directions alike: a scale, not a measurement"
    return Figure(value, "share", how, agreement.n, low, high, independence, parts=parts)


def _error_rate(agreement: float | None) -> float | None:
    return None if agreement is None else (1 - max(0.0, 2 * agreement - 1) ** 0.5) / 2
