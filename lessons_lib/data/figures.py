"""The figures of the five real datasets: each with its definition, computed from the records or as committed.

`measure(name, records)` computes them. `committed(name)` reads what ``lessons-lib data profile-real``
once computed from the original files and wrote to ``profiles/<name>.json``: counts and shares, no text.

Words are what `str.split` finds. "Implied flip" is the e that solves agreement = e² + (1-e)² over pairs of
raters who are both decisive; it assumes that both err independently and equally often, so it is a scale, not a
measurement. Intervals are Wilson's, 95 %, and are given where the units are nearly independent.
"""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import resources

from lessons_lib.data import real_rows
from lessons_lib.data.preferences import prompt_key
from lessons_lib.data.real_rows import Records
from lessons_lib.metrics import wilson


@dataclass(frozen=True)
class Measure:
    """One figure of a dataset.

    Attributes:
        key: short name, unique within its dataset.
        what: what it is, for a table.
        value: the number; `unit` is "count", "share" (0 to 1), "probability", "words" or "kappa".
        definition: how it was counted.
        n: out of how many; None for a plain count.
        low, high: ends of the 95 % interval, where one is given.
    """

    key: str
    what: str
    value: float
    unit: str
    definition: str
    n: int | None = None
    low: float | None = None
    high: float | None = None

    def show(self, number: float | None = None) -> str:
        """The value (or a `number` of the same unit) as a table prints it."""
        number = self.value if number is None else number
        if self.unit == "share":
            return f"{100 * number:.1f} %"
        return {"count": "{:,.0f}", "words": "{:,.1f} words"}.get(self.unit, "{:.2f}").format(number)

    def interval(self) -> str:
        return "" if self.low is None else f"{self.show(self.low)} to {self.show(self.high)}"


def measure(name: str, records: Records) -> list[Measure]:
    """All figures of one of the five datasets, from its records."""
    return _MEASURES[name](records)


def committed(name: str) -> dict:
    """The committed profile: ``measures`` (a list of `Measure`) and where they come from.

    Its other keys are dataset, repository, commit, command, date, versions, and those of `TABLES`.
    """
    text = resources.files("lessons_lib.data").joinpath(f"profiles/{name}.json").read_text(encoding="utf-8")
    profile = json.loads(text)
    return {**profile, "measures": [Measure(**entry) for entry in profile["measures"]]}


def rating_patterns(records: Records) -> dict[str, int]:
    """How many questions of feedbackqa_cdc have their passages rated so: "003|12|33" → 2. Counts, no text.

    A passage's ratings are digits, 0 for Bad to 3 for Excellent, in order; passages and patterns are sorted.
    """
    questions = defaultdict(list)
    for r in records:
        questions[r.question].append("".join(sorted(str(RATINGS.index(rating)) for rating in r.ratings)))
    return dict(sorted(Counter("|".join(sorted(passages)) for passages in questions.values()).items()))


def verdict_patterns(records: Records, judgements: Callable) -> dict[str, int]:
    """How many prompts have their comparisons judged so: "<Ay2-+,Bx1++|>Ax=++" → 1. Counts, no text.

    One item between bars: whether its response x has more (>), fewer (<) or as many (=) words as its y, or is the
    same text (0). Then a code for each verdict: a letter for the rater, within the item; the response shown first;
    1 or 2 for the first or second wins, = for a tie, ? where nobody could read it; ~ where it wins only slightly;
    and, where both were also rated by themselves, + or - for the first and the second.
    """
    prompts: dict[str, dict[str, list[dict]]] = defaultdict(lambda: defaultdict(list))
    for row in judgements(records):
        prompts[row["prompt"]][row["item"]].append(row)
    return dict(sorted(Counter("|".join(sorted(map(_item, items.values()))) for items in prompts.values()).items()))


def _item(rows: list[dict]) -> str:
    x, y = sorted((rows[0]["first"], rows[0]["second"]))
    raters = list(dict.fromkeys(row["rater"] for row in rows))
    codes = ["ABCDEFGH"[raters.index(row["rater"])] + _verdict(row, x) for row in rows]
    return ("0" if x == y else ">=<"[1 - _sign(words(x) - words(y))]) + ",".join(codes)


def _verdict(row: dict, x: str) -> str:
    winner = {"first": "1", "second": "2", "tie": "=", None: "?"}[row["verdict"]]
    alone = "".join("-+"[row[side]] for side in ("first_acceptable", "second_acceptable") if side in row)
    return ("x" if row["first"] == x else "y") + winner + ("~" if row.get("slight") else "") + alone


def length_patterns(records: Records) -> dict[str, int]:
    """How many pairs have so many words: "50/645" → 1, the chosen response before the rejected one."""
    pairs = real_rows.implied_pairs(records)
    return dict(sorted(Counter(f"{words(pair['chosen'])}/{words(pair['rejected'])}" for pair in pairs).items()))


RATINGS = ("Bad", "Could be Improved", "Acceptable", "Excellent")
TABLES: dict[str, dict[str, Callable[[Records], dict]]] = {  # what a profile holds beside its measures
    "feedbackqa_cdc": {"rating_patterns": rating_patterns},
    **{
        name: {"verdict_patterns": partial(verdict_patterns, judgements=real_rows.JUDGEMENTS[name])}
        for name in ("tulu1_human_eval", "qlora_gpt4_vicuna", "pandalm_testset")
    },
    "self_instruct_demos": {"length_patterns": length_patterns},
}


def finding(name: str, measures: Sequence[Measure]) -> tuple[str, list[Measure]]:
    """The sentence that titles the dataset's picture, and the figures drawn in it."""
    by_key = {m.key: m for m in measures}
    sentence, keys = _FINDINGS[name]
    rounded = {m.key: f"{100 * m.value:.0f} %" if m.unit == "share" else f"{m.value:.0f}" for m in measures}
    return sentence.format(**rounded), [by_key[key] for key in keys]


_FINDINGS = {
    "tulu1_human_eval": (
        "Two raters agree on {agree} of what they both judged; a third of all ratings are ties",
        ["ties", "slightly", "agree", "agree_decisive", "longer"],
    ),
    "feedbackqa_cdc": (
        "Half of the ratings are up, and two raters of one passage agree {agree} of the time",
        ["up", "agree", "agree_rows", "both_labels_share"],
    ),
    "qlora_gpt4_vicuna": (
        "GPT-4 prefers the answer that stands first in {first_wins} of its verdicts",
        ["first_wins", "same_verdict", "opposite", "longer", "longer_all"],
    ),
    "pandalm_testset": (
        "Three people agree on {unanimous} of the rows that the authors kept",
        ["unanimous", "agree_decisive", "ties", "longer"],
    ),
    "self_instruct_demos": (
        "The base model runs on: {words_davinci} words where people wrote {words_people}",
        ["words_people", "words_finetuned", "words_davinci"],
    ),
}


# Small statistics -----------------------------------------------------------------------------------------------


def implied_flip(agreement: float) -> float:
    """The e in [0, 0.5] with agreement = e² + (1-e)²; 0.5 where raters agree no more often than by chance.

    >>> round(implied_flip(0.82), 6)
    0.1
    """
    return (1 - math.sqrt(2 * agreement - 1)) / 2 if agreement > 0.5 else 0.5


def cohens_kappa(one: Sequence, other: Sequence) -> float:
    """Cohen's κ of two raters over the same items: agreement beyond chance, 1 at most.

    >>> cohens_kappa("aabb", "aaba")
    0.5
    """
    n = len(one)
    agreement = sum(map(lambda a, b: a == b, one, other)) / n
    counts, others = Counter(one), Counter(other)
    chance = sum(counts[label] * others[label] for label in counts) / n**2
    return (agreement - chance) / (1 - chance) if chance < 1 else 1.0


def words(text: str) -> int:
    return len(text.split())


def _count(key: str, what: str, value: int, definition: str = "") -> Measure:
    return Measure(key, what, value, "count", definition)


def _share(key: str, what: str, hits: Iterable[bool], definition: str, *, interval: bool = False) -> Measure:
    hits = list(hits)
    share = sum(hits) / len(hits)
    low, high = wilson(share, len(hits)) if interval else (None, None)
    return Measure(key, what, share, "share", definition, len(hits), low, high)


def _flip(agreement: Measure) -> Measure:
    definition = f"e with agreement = e² + (1-e)², from: {agreement.what}"
    low, high = agreement.low, agreement.high
    ends = (None, None) if low is None or high is None else (implied_flip(high), implied_flip(low))
    return Measure("flip", "implied flip", implied_flip(agreement.value), "probability", definition, agreement.n, *ends)


def _mean_words(key: str, what: str, texts: Sequence[str]) -> Measure:
    return Measure(key, what, sum(map(words, texts)) / len(texts), "words", "mean over the rows", len(texts))


def _longer(key: str, what: str, chosen_rejected: Iterable[tuple[str, str]], definition: str) -> Measure:
    hits = [words(chosen) > words(rejected) for chosen, rejected in chosen_rejected]
    return _share(key, what, hits, definition)


# One function a dataset -----------------------------------------------------------------------------------------


def _tulu1(records: Records) -> list[Measure]:
    by_comparison = defaultdict(list)
    for r in records:
        by_comparison[r.comparison].append(r)
    two_raters = [
        (_sign(one.for_first_model), _sign(other.for_first_model))
        for rows in by_comparison.values()
        for one, other in itertools.combinations(rows, 2)
        if one.rater != other.rater
    ]
    both_decisive = [(one, other) for one, other in two_raters if one and other]
    decisive = [r for r in records if r.preference]
    votes = [vote for r in records for vote in (r.acceptable_a, r.acceptable_b)]
    identical = [r for r in records if r.completion_a == r.completion_b]
    same_letters = [r for r in records if r.completion_a.casefold() == r.completion_b.casefold()]
    agree_decisive = _share(
        "agree_decisive", "raters who both pick a side agree", (one == other for one, other in both_decisive),
        "pairs of different raters of one comparison, neither of whom calls it a tie", interval=True,
    )  # fmt: skip
    return [
        _count("rows", "filled rows", len(records)),
        _count("blank", "blank rows", records.left_out["blank row"], "below the filled ones; left out"),
        _count("comparisons", "comparisons", len(by_comparison), "distinct instance_index: a prompt, two models"),
        _count("prompts", "prompts", len({prompt_key(r.prompt) for r in records})),
        _count("prompts_self_instruct", "of them from Self-Instruct", _sources(records, "user")),
        _count("prompts_vicuna", "of them from Vicuna", _sources(records, "vicuna")),
        _count("levels", "levels", len({r.preference for r in records}), "better, slightly better, tie, and back"),
        _share("ties", "ties", (r.preference == 0 for r in records), "of the filled rows"),
        _share("slightly", "slightly better", (abs(r.preference) == 1 for r in records), "of the filled rows"),
        _share(
            "agree", "two raters agree", (one == other for one, other in two_raters),
            "a better, tie or b better: pairs of different raters of one comparison, sides set in the same order",
            interval=True,
        ),
        agree_decisive,
        _flip(agree_decisive),
        _longer("longer", "chosen is longer", map(_chosen_of, decisive), "in words, of the decisive rows"),
        _count("votes", "acceptability votes", len(votes), "two a row"),
        _share("acceptable", "acceptable", votes, "of the votes"),
        _share(
            "equal_votes", "no difference in acceptability", (r.acceptable_a == r.acceptable_b for r in decisive),
            "decisive rows whose two completions got the same vote",
        ),
        _count("identical", "identical completions", len(identical), "same characters"),
        _count("identical_ties", "of them ties", sum(r.preference == 0 for r in identical)),
        _count("same_letters", "identical but for letter case", len(same_letters), "the identical ones among them"),
        _count("same_letters_decisive", "of them decisive", sum(r.preference != 0 for r in same_letters),
               "the case of letters was what its prompt asked about"),
        _count("swapped", "comparisons shown both ways round", _shown_both_ways(by_comparison.values()),
               "some of its raters saw model a first, some model b"),
    ]  # fmt: skip


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


def _sources(records: Iterable, source: str) -> int:
    return len({r.instance for r in records if r.instance.startswith(source)})


def _chosen_of(r: real_rows.Comparison) -> tuple[str, str]:
    return (r.completion_a, r.completion_b) if r.preference > 0 else (r.completion_b, r.completion_a)


def _shown_both_ways(groups: Iterable[list]) -> int:
    return sum(len({r.model_a for r in rows}) > 1 for rows in groups)


def _feedbackqa(records: Records) -> list[Measure]:
    pairs = [[one == other for one, other in itertools.combinations(r.ups, 2)] for r in records]
    labels = defaultdict(set)
    for r in records:
        labels[r.question].update(r.ups)
    both = [len(found) == 2 for found in labels.values()]
    agree = _share("agree", "two raters agree on up or down", itertools.chain(*pairs), "all pairs of raters, pooled")
    of_rows = sum(sum(row) / len(row) for row in pairs) / len(pairs)
    return [
        _count("rows", "rows", len(records), "a question and a passage, two files"),
        _count("ratings", "ratings", sum(len(r.ups) for r in records), "two or three a row"),
        _share("up", "up", (up for r in records for up in r.ups), "Excellent or Acceptable (our reading)"),
        agree,
        Measure("agree_rows", "the same, rows weighted alike", of_rows, "share", "mean over the rows", len(records)),
        _flip(agree),
        _count("questions", "questions", len(labels)),
        _count("both_labels", "questions with both labels", sum(both), "up and down, over all their passages"),
        _share("both_labels_share", "questions with both labels", both, "of the questions"),
    ]


def _qlora(records: Records) -> list[Measure]:
    decisive = [r for r in records if r.winner in ("first", "second")]
    orders = defaultdict(list)
    for r in records:
        orders[r.order_free].append(r)
    both = [rows for rows in orders.values() if len(rows) == 2 and all(r.winner for r in rows)]
    same = [one.winning_model == other.winning_model for one, other in both]
    consistent = [one for one, other in both if one.winning_model == other.winning_model != "tie"]
    opposite = ["tie" not in (one.winner, other.winner) and not alike
                for (one, other), alike in zip(both, same, strict=True)]  # fmt: skip
    read = "in words, of the text that GPT-4 read (generation_truncated)"
    whole = "the same with the turns that Guanaco models went on to invent (generation)"
    return [
        _count("verdicts", "verdicts", len(records)),
        _count("models", "models", len({side.model for r in records for side in (r.first, r.second)})),
        _count("questions", "questions", len({r.question_id for r in records})),
        _count("unparsed", "verdicts not understood", sum(r.winner is None for r in records), "score -1"),
        _share("first_wins", "the first position wins", (r.winner == "first" for r in decisive),
               "of the decisive verdicts"),
        _count("both_parsed", "comparisons understood in both orders", len(both)),
        _share("same_verdict", "same verdict in both orders", same, "the same model, or twice a tie"),
        _share("opposite", "opposite winners", opposite, "the order alone decides"),
        _count("consistent", "order-consistent winners", len(consistent)),
        _longer("longer", "order-consistent winner is longer", map(_texts, consistent), read),
        _longer("longer_whole", "order-consistent winner is longer, whole output", map(_whole, consistent), whole),
        _longer("longer_all", "winner is longer, all decisive verdicts", map(_texts, decisive), read),
        _longer("longer_all_whole", "winner is longer, all, whole output", map(_whole, decisive), whole),
    ]  # fmt: skip


def _sides(r: real_rows.Judgement) -> tuple[real_rows.Generation, real_rows.Generation]:
    return (r.first, r.second) if r.winner == "first" else (r.second, r.first)


def _texts(r: real_rows.Judgement) -> tuple[str, str]:
    chosen, rejected = _sides(r)
    return chosen.text, rejected.text


def _whole(r: real_rows.Judgement) -> tuple[str, str]:
    chosen, rejected = _sides(r)
    return chosen.text + chosen.rest, rejected.text + rejected.rest


def _pandalm(records: Records) -> list[Measure]:
    majority = list(real_rows.decided(records))
    unequal = [(chosen, rejected) for _, chosen, rejected in majority if words(chosen) != words(rejected)]
    two_decisive = [
        one == other
        for r in records
        for one, other in itertools.combinations(r.votes, 2)
        if "tie" not in (one, other)
    ]  # fmt: skip
    agree = _share(
        "agree_decisive", "raters who both pick a side agree", two_decisive, "all pairs of votes without a tie"
    )
    raters = list(zip(*(r.votes for r in records), strict=True))
    distinct = {(r.instruction, r.given, chosen, rejected) for r, chosen, rejected in majority}
    responses = [text for r in records for text in (r.first, r.second)]
    return [
        _count("rows", "rows", len(records), "three votes each"),
        _count("prompts", "prompts", len({(r.instruction, r.given) for r in records}), "instruction and input"),
        _share("unanimous", "unanimous", (len(set(r.votes)) == 1 for r in records), "all three votes alike"),
        *(
            Measure(f"kappa_{a + 1}{b + 1}", f"Cohen's κ of raters {a + 1} and {b + 1}",
                    cohens_kappa(raters[a], raters[b]), "kappa", "over first, second and tie", len(records))
            for a, b in ((0, 1), (0, 2), (1, 2))
        ),
        agree,
        _flip(agree),
        _share("ties", "ties", (r.majority == "tie" for r in records), "by majority, of the rows"),
        _count("majority", "majority pairs", len(majority), "at least two votes for one side"),
        _share("longer", "chosen is longer", (words(c) > words(r) for c, r in unequal),
               "majority pairs whose sides have unequal numbers of words"),
        _count("repeats", "of them repeats", len(majority) - len(distinct), "the same prompt, chosen and rejected"),
        _count("word_true", "responses that are the value true", responses.count("true"), "read as the word"),
        _count("empty", "empty responses", sum(not text.strip() for text in responses)),
    ]  # fmt: skip


def _self_instruct(records: Records) -> list[Measure]:
    people, davinci = [r.demonstration for r in records], [r.davinci for r in records]
    return [
        _count("rows", "demonstrations", len(records)),
        _mean_words("words_people", "length of the demonstration", people),
        _mean_words("words_davinci", "length of davinci's output", davinci),
        _mean_words("words_finetuned", "length of the weak fine-tune's output", [r.finetuned for r in records]),
        _count("running_on", "davinci runs on", sum(real_rows.NEXT_INPUT in text for text in davinci),
               'outputs that go on to another task ("Input:")'),
        _count("equal_finetuned", "demonstrations equal to the fine-tune's output",
               sum(r.demonstration.strip() == r.finetuned for r in records), "but for white space at the ends"),
        _count("equal_davinci_start", "demonstrations equal to davinci's start",
               sum(r.demonstration.strip() == r.davinci_start for r in records), "up to its first blank line"),
        _count("empty", "empty outputs", sum(not r.finetuned or not r.davinci for r in records)),
    ]  # fmt: skip


_MEASURES: dict[str, Callable[[Records], list[Measure]]] = {
    "tulu1_human_eval": _tulu1,
    "feedbackqa_cdc": _feedbackqa,
    "qlora_gpt4_vicuna": _qlora,
    "pandalm_testset": _pandalm,
    "self_instruct_demos": _self_instruct,
}
