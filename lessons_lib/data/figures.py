"""The figures of the real datasets: each with its definition, computed from the records or as committed.

`measure(name, records)` computes them: what any dataset can have (ties, agreement, flips, lengths, repeats) is taken
from `data.profile`, the one place that counts it, and what only one dataset has is counted here. `committed(name)`
reads what ``lessons-lib data profile-real`` once computed from the original files and wrote to
``profiles/<name>.json``: counts and shares, no text.

Words are what `str.split` finds. "Implied flip" is the e that solves agreement = e² + (1-e)² over pairs of
raters who are both decisive; it assumes that both err independently and equally often, so it is a scale, not a
measurement. Intervals are those of `profile`: 95 %, with prompts and not rows as the independent units.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import resources

from lessons_lib.data import real_rows
from lessons_lib.data.findings import Figure, Profile
from lessons_lib.data.preferences import prompt_key
from lessons_lib.data.real_rows import Records


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
    """All figures of one of the real datasets, from its records."""
    return _MEASURES[name](records, profile_of(name, records))


def profile_of(name: str, records: Records) -> Profile:
    """The profile of all judgements of one of the real datasets, from its records."""
    from lessons_lib.data.profile import profile  # with its database; what is committed needs none

    return profile(real_rows.JUDGEMENTS[name](records), name=name)


def committed(name: str) -> dict:
    """The committed figures: ``measures`` (a list of `Measure`), ``profile`` (a `Profile`), and where they come from.

    Its other keys are dataset, repository, commit, command, date, versions, and those of `TABLES`.
    """
    text = resources.files("lessons_lib.data").joinpath(f"profiles/{name}.json").read_text(encoding="utf-8")
    found = json.loads(text)
    return {
        **found,
        "measures": [Measure(**entry) for entry in found["measures"]],
        "profile": Profile.from_dict(found["profile"]),
    }


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


def length_patterns(records: Records, judgements: Callable) -> dict[str, int]:
    """How many prompts have pairs of so many words: "50/645" → 1, the chosen response before the rejected one."""
    prompts = defaultdict(list)
    for pair in judgements(records):
        prompts[pair["prompt"]].append(f"{words(pair['chosen'])}/{words(pair['rejected'])}")
    return dict(sorted(Counter("|".join(sorted(pairs)) for pairs in prompts.values()).items()))


RATINGS = ("Bad", "Could be Improved", "Acceptable", "Excellent")
TABLES: dict[str, dict[str, Callable[[Records], dict]]] = {  # what a profile holds beside its measures
    "feedbackqa_cdc": {"rating_patterns": rating_patterns},
    **{
        name: {"verdict_patterns": partial(verdict_patterns, judgements=real_rows.JUDGEMENTS[name])}
        for name in ("tulu1_human_eval", "qlora_gpt4_vicuna", "pandalm_testset")
    },
    **{
        name: {"length_patterns": partial(length_patterns, judgements=real_rows.JUDGEMENTS[name])}
        for name in ("self_instruct_demos", "hh_rlhf_harmless")
    },
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
    "hh_rlhf_harmless": (
        "Where harm is at stake, people choose the longer reply in {longer} of the pairs: less than half",
        ["longer", "several_turns", "short_share"],
    ),
}


# Small statistics -----------------------------------------------------------------------------------------------


def implied_flip(agreement: float) -> float:
    """The e in [0, 0.5] with agreement = e² + (1-e)²; 0.5 where raters agree no more often than by chance.

    >>> round(implied_flip(0.82), 6)
    0.1
    """
    return (1 - math.sqrt(2 * agreement - 1)) / 2 if agreement > 0.5 else 0.5


def words(text: str) -> int:
    return len(text.split())


def _count(key: str, what: str, value: int, definition: str = "") -> Measure:
    return Measure(key, what, value, "count", definition)


def _share(key: str, what: str, hits: Iterable[bool], definition: str) -> Measure:
    hits = list(hits)
    return Measure(key, what, sum(hits) / len(hits), "share", definition, len(hits))


def _counted(found: Profile, *wanted: tuple[str, str, str]) -> list[Measure]:
    """Figures of a profile as measures: (key, figure, what it is); those that the rows cannot tell are left out."""
    return [
        _as_measure(key, what, found[figure]) for key, figure, what in wanted if found[figure].value is not None
    ]  # fmt: skip


def _as_measure(key: str, what: str, figure: Figure) -> Measure:
    assert figure.value is not None, key
    unit = {"coefficient": "kappa"}.get(figure.unit, figure.unit)
    n = None if unit == "count" else figure.n
    return Measure(key, what, figure.value, unit, figure.how, n, figure.low, figure.high)


def _flip(found: Profile) -> list[Measure]:
    """The implied flip, which reads better as a probability than in per cent."""
    return [replace(measure, unit="probability") for measure in _counted(found, ("flip", "flip_rate", "implied flip"))]


def _mean_words(key: str, what: str, texts: Sequence[str]) -> Measure:
    return Measure(key, what, sum(map(words, texts)) / len(texts), "words", "mean over the rows", len(texts))


def _longer(key: str, what: str, chosen_rejected: Iterable[tuple[str, str]], definition: str) -> Measure:
    hits = [words(chosen) > words(rejected) for chosen, rejected in chosen_rejected]
    return _share(key, what, hits, definition)


# One function a dataset -----------------------------------------------------------------------------------------


def _tulu1(records: Records, found: Profile) -> list[Measure]:
    by_comparison = defaultdict(list)
    for r in records:
        by_comparison[r.comparison].append(r)
    identical = [r for r in records if r.completion_a == r.completion_b]
    same_letters = [r for r in records if r.completion_a.casefold() == r.completion_b.casefold()]
    return [
        *_counted(found, ("rows", "rows", "filled rows")),
        _count("blank", "blank rows", records.left_out["blank row"], "below the filled ones; left out"),
        _count("comparisons", "comparisons", len(by_comparison), "distinct instance_index: a prompt, two models"),
        _count("prompts", "prompts", len({prompt_key(r.prompt) for r in records})),
        _count("prompts_self_instruct", "of them from Self-Instruct", _sources(records, "user")),
        _count("prompts_vicuna", "of them from Vicuna", _sources(records, "vicuna")),
        _count("levels", "levels", len({r.preference for r in records}), "better, slightly better, tie, and back"),
        *_counted(
            found,
            ("ties", "ties", "ties"),
            ("slightly", "slight", "slightly better"),
            ("agree", "agreement", "two raters agree"),
            ("agree_decisive", "agreement_decisive", "raters who both pick a side agree"),
        ),
        *_flip(found),
        *_counted(found, ("longer", "chosen_longer_verdicts", "chosen is longer")),
        _count("votes", "acceptability votes", 2 * len(records), "two a row"),
        *_counted(
            found,
            ("acceptable", "thumbs_up", "acceptable"),
            ("equal_votes", "thumbs_blind", "no difference in acceptability"),
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


def _shown_both_ways(groups: Iterable[list]) -> int:
    return sum(len({r.model_a for r in rows}) > 1 for rows in groups)


def _feedbackqa(records: Records, found: Profile) -> list[Measure]:
    both = found["both_labels"]
    assert both.value is not None and both.n is not None
    return [
        _count("rows", "rows", len(records), "a question and a passage, two files"),
        *_counted(
            found,
            ("ratings", "rows", "ratings"),
            ("up", "up_share", "up"),
            ("agree", "agreement", "two raters agree on up or down"),
            ("agree_rows", "agreement_by_item", "the same, rows weighted alike"),
        ),
        *_flip(found),
        _count("questions", "questions", both.n),
        *_counted(found, ("both_labels", "both_labels", "questions with both labels")),
        Measure(
            "both_labels_share", "questions with both labels", both.value / both.n, "share", "of the questions", both.n
        ),
    ]


def _qlora(records: Records, found: Profile) -> list[Measure]:
    decisive = [r for r in records if r.winner in ("first", "second")]
    orders = defaultdict(list)
    for r in records:
        orders[r.order_free].append(r)
    both = [rows for rows in orders.values() if len(rows) == 2 and all(r.winner for r in rows)]
    consistent = [one for one, other in both if one.winning_model == other.winning_model != "tie"]
    whole = "in words, with the turns that Guanaco models went on to invent (generation)"
    return [
        *_counted(found, ("verdicts", "rows", "verdicts")),
        _count("models", "models", len({side.model for r in records for side in (r.first, r.second)})),
        _count("questions", "questions", len({r.question_id for r in records})),
        *_counted(
            found,
            ("unparsed", "unread", "verdicts not understood"),
            ("first_wins", "first_wins", "the first position wins"),
        ),
        _count("both_parsed", "comparisons understood in both orders", len(both)),
        *_counted(
            found,
            ("same_verdict", "order_same", "same verdict in both orders"),
            ("opposite", "order_opposite", "opposite winners"),
            ("consistent", "order_consistent", "order-consistent winners"),
            ("longer", "chosen_longer", "order-consistent winner is longer"),
        ),
        _longer("longer_whole", "order-consistent winner is longer, whole output", map(_whole, consistent), whole),
        *_counted(found, ("longer_all", "chosen_longer_verdicts", "winner is longer, all decisive verdicts")),
        _longer("longer_all_whole", "winner is longer, all, whole output", map(_whole, decisive), whole),
    ]


def _sides(r: real_rows.Judgement) -> tuple[real_rows.Generation, real_rows.Generation]:
    return (r.first, r.second) if r.winner == "first" else (r.second, r.first)


def _whole(r: real_rows.Judgement) -> tuple[str, str]:
    chosen, rejected = _sides(r)
    return chosen.text + chosen.rest, rejected.text + rejected.rest


def _pandalm(records: Records, found: Profile) -> list[Measure]:
    responses = [text for r in records for text in (r.first, r.second)]
    kappas = found["kappa"].parts.items()
    return [
        _count("rows", "rows", len(records), "three votes each"),
        _count("prompts", "prompts", len({(r.instruction, r.given) for r in records}), "instruction and input"),
        *_counted(found, ("unanimous", "unanimous", "unanimous")),
        *(
            _as_measure("kappa_" + re.sub(r"\D", "", pair), f"Cohen's κ of {pair}", kappa)
            for pair, kappa in kappas
            if kappa.value is not None
        ),
        *_counted(found, ("agree_decisive", "agreement_decisive", "raters who both pick a side agree")),
        *_flip(found),
        *_counted(
            found,
            ("ties", "ties_items", "ties by majority"),
            ("majority", "decided", "majority pairs"),
            ("longer", "chosen_longer", "chosen is longer"),
            ("repeats", "repeats", "majority pairs that are repeats"),
        ),
        _count("word_true", "responses that are the value true", responses.count("true"), "read as the word"),
        _count("empty", "empty responses", sum(not text.strip() for text in responses)),
    ]


def _self_instruct(records: Records, found: Profile) -> list[Measure]:
    davinci = [r.davinci for r in records]
    return [
        _count("rows", "demonstrations", len(records)),
        *_counted(
            found,
            ("words_people", "chosen_length", "length of the demonstration"),
            ("words_davinci", "rejected_length", "length of davinci's output"),
        ),
        _mean_words("words_finetuned", "length of the weak fine-tune's output", [r.finetuned for r in records]),
        _count("running_on", "davinci runs on", sum(real_rows.NEXT_INPUT in text for text in davinci),
               'outputs that go on to another task ("Input:")'),
        _count("equal_finetuned", "demonstrations equal to the fine-tune's output",
               sum(r.demonstration.strip() == r.finetuned for r in records), "but for white space at the ends"),
        _count("equal_davinci_start", "demonstrations equal to davinci's start",
               sum(r.demonstration.strip() == r.davinci_start for r in records), "up to its first blank line"),
        _count("empty", "empty outputs", sum(not r.finetuned or not r.davinci for r in records)),
    ]  # fmt: skip


def _hh_rlhf(records: Records, found: Profile) -> list[Measure]:
    short = [r.short for r in records]
    how = f"a conversation of at most {real_rows.SHORT_PROMPT} words, its marks included, and two replies of at most "
    return [
        *_counted(found, ("rows", "rows", "pairs")),
        _count(
            "apart", "rows left out", sum(records.left_out.values()), "whose transcripts part before the last reply"
        ),
        *_counted(
            found,
            ("prompts", "prompts", "conversations"),
            ("several_turns", "multi_turn", "of several turns"),
            ("longer", "chosen_longer_verdicts", "chosen is longer"),
        ),
        _mean_words("words_prompt", "length of the conversation", [r.prompt for r in records]),
        *_counted(
            found,
            ("words_chosen", "chosen_length", "length of the chosen reply"),
            ("words_rejected", "rejected_length", "length of the rejected reply"),
        ),
        _count(
            "empty", "pairs with an empty reply", sum(not (r.chosen.strip() and r.rejected.strip()) for r in records)
        ),
        _count("short", "short pairs", sum(short), f"{how}{real_rows.SHORT_REPLY}"),
        _share("short_share", "short pairs", short, "the same, of all pairs"),
    ]


_MEASURES: dict[str, Callable[[Records, Profile], list[Measure]]] = {
    "tulu1_human_eval": _tulu1,
    "feedbackqa_cdc": _feedbackqa,
    "qlora_gpt4_vicuna": _qlora,
    "pandalm_testset": _pandalm,
    "self_instruct_demos": _self_instruct,
    "hh_rlhf_harmless": _hh_rlhf,
}
