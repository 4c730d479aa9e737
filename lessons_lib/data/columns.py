"""What the columns of a file are, from their names and from the first rows: prompt, sides, verdict, label, scores.

`Sample` holds the first rows and says of each column what kind of value it holds. Where two columns could play one
part, `Ambiguous` is raised with the ways to say which; nothing is guessed from one row alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from numbers import Real
from typing import cast

from lessons_lib.data import turns

PROMPTS = (
    "prompt", "instruction", "question", "query", "user_prompt", "input_prompt", "user_input", "conversations",
    "conversation", "messages", "history", "context", "post", "problem", "task", "request", "input", "user", "x",
)  # fmt: skip
BESIDE = ("input", "context", "history", "passage", "document", "article", "background", "system", "system_prompt")
SYSTEM = ("system", "system_prompt")
LOST = ("images", "image", "videos", "audios", "audio", "tools", "functions", *BESIDE)  # counted where not used
COMPLETIONS = (
    "completion", "response", "output", "answer", "reply", "generation", "text", "model_output", "model_response",
    "assistant_response", "bot_response", "ai_response", "generated_text", "generated_response", "generated_body",
)  # fmt: skip
LISTS = (
    "completions", "responses", "answers", "outputs", "candidates", "replies", "generations", "output", "options",
    "response", "completion", "answer", "reply", "generation",
)  # fmt: skip
CONTRASTS = (
    ("chosen", "rejected"), ("preferred", "non_preferred"), ("preferred", "nonpreferred"),
    ("preferred", "dispreferred"), ("preferred", "rejected"), ("accepted", "rejected"), ("selected", "rejected"),
    ("better", "worse"), ("best", "worst"), ("positive", "negative"), ("pos", "neg"), ("good", "bad"),
    ("preferred", "other"), ("approved", "rejected"),
    ("accepted", "declined"), ("chosen", "reject"), ("desirable", "undesirable"), ("correct", "incorrect"),
    ("win", "lose"), ("winner", "loser"), ("winning", "losing"), ("w", "l"),
    ("j", "k"), ("", "rejected"),
)  # fmt: skip
MARKERS = (("1", "2"), ("0", "1"), ("a", "b"), ("first", "second"), ("left", "right"))
_MARK = re.compile(r"\d+|[a-h]|first|second|third|left|right")
VERDICTS = (
    "better", "verdict", "preference", "preferred", "winner", "label", "labels", "choice", "better_response_id",
    "better_response", "overall_preference", "human_preference", "judgment", "judgement", "vote", "chosen", "gold",
    "gold_label", "human_label", "answer", "selected", "preferred_response",
)  # fmt: skip
JUDGES = frozenset(("annotator", "rater", "judge", "judgement", "judgment", "vote", "human", "evaluator", "expert"))
INDICES = (  # where the best of a list of replies stands
    "chosen_index", "chosen_idx", "best_index", "best_idx", "preferred_index", "preferred_idx", "selected_index",
    "selected_idx", "winner_index", "winner_idx", "best_response_index", "chosen_response_index", "best", "best_id",
)  # fmt: skip
LABELS = (
    "label", "labels", "thumb", "thumbs", "thumbs_up", "desirable", "is_good", "kto_tag", "feedback", "liked", "vote",
    "accepted", "acceptable", "is_positive", "decision", "approval", "approved", "verdict", "reaction",
)  # fmt: skip
SCORES = (
    "score", "scores", "rating", "ratings", "reward", "rewards", "helpfulness", "quality", "overall_score", "overall",
    "stars", "likert",
)  # fmt: skip
RANKS = ("rank", "ranks", "ranking", "rankings")
_REPLY_WORDS = frozenset(
    ("response", "answer", "output", "completion", "reply", "generation", "text", "message", "messages", "content",
     "summary", "candidate", "human", "ref", "conversation", "option", "code", "continuation", "translation",
     "solution", "story", "y", "model", "assistant", "res", "resp", "ans")
)  # fmt: skip


class Ambiguous(ValueError):
    """Two readings are possible: `reason` says between what, `ways` lists options of the command that decide."""

    def __init__(self, reason: str, ways: Sequence[str]):
        super().__init__(reason)
        self.reason, self.ways = reason, tuple(ways)


def tokens(name: str) -> list[str]:
    """The words of a column's name: "humanRef_A" → human, ref, a; "output_1" → output, 1."""
    spaced = re.sub(r"([a-z])([A-Z])|([A-Za-z])(\d)", r"\1\3 \2\4", str(name))
    return re.findall(r"[a-z]+|\d+", spaced.lower())


class Sample:
    """The first rows of a file."""

    def __init__(self, rows: Sequence[Mapping]):
        self.rows = list(rows)

    @cached_property
    def kinds(self) -> dict[str, str]:
        """What most values of a column are: text, turn, turns, number, flag, texts, numbers, objects, object."""
        found: dict[str, Counter] = {}
        for row in self.rows:
            for name, value in row.items():
                if value is not None and value != []:
                    found.setdefault(name, Counter())[kind_of(value)] += value != ""  # empty text says little
        return {name: kinds.most_common(1)[0][0] for name, kinds in found.items()}

    def values(self, name: str) -> list:
        return [row[name] for row in self.rows if row.get(name) is not None]

    def has(self, name: str, *kinds: str) -> bool:
        return self.kinds.get(name) in kinds

    def first_of(self, names: Sequence[str], *kinds: str) -> str | None:
        """The first of `names` among the columns, whatever its letter case, that holds one of `kinds`."""
        known = {name.lower(): name for name in self.kinds if isinstance(name, str)}
        return next((known[name] for name in names if name in known and self.has(known[name], *kinds)), None)

    def filled(self, name: str) -> int:
        """In how many rows a column says something."""
        return sum(
            bool(row.get(name)) and (not isinstance(row[name], str) or row[name].strip() != "") for row in self.rows
        )

    # the parts that columns play

    def contrast(self) -> tuple[str, str] | None:
        """The columns of the better and the worse reply, where their names say so and rows hold both."""
        sides = self.contrast_names()
        return sides if sides and any(_holds(row, *sides) for row in self.rows) else None

    def contrast_names(self) -> tuple[str, str] | None:
        """The same, whether or not any row holds both."""
        bare: dict[str, str] = {}
        for name in self.kinds:
            if self.has(name, "text", "turn", "turns"):
                bare.setdefault("_".join(word for word in tokens(name) if word not in _REPLY_WORDS), name)
        for better, worse in CONTRASTS:
            if worse in bare and better in bare and (better or bare[better].lower() in COMPLETIONS):
                return bare[better], bare[worse]
        return None

    def sides(self) -> tuple[str, str, tuple[str, str]] | None:
        """The columns of two replies told apart by a number or letter, and the two marks."""
        for by_mark in self._marked_replies():
            for one, other in MARKERS:
                if set(by_mark) == {one, other}:
                    return by_mark[one], by_mark[other], (one, other)
        return None

    def numbered(self, *stem: str) -> list[str]:
        """Three or more columns told apart by numbers or letters, in their order: replies, or those named `stem`."""
        marked = [self._by_stem("number").get(stem, {})] if stem else self._marked_replies()
        several = next((by_mark for by_mark in marked if len(by_mark) > 2), {})
        return [several[mark] for mark in sorted(several, key=lambda mark: (len(mark), mark))]

    def _marked_replies(self) -> Iterator[dict[str, str]]:
        for stem, by_mark in self._by_stem("text", "turn", "turns").items():
            if not stem or (set(stem) & _REPLY_WORDS and stem != ("model",)):
                yield by_mark

    def _by_stem(self, *kinds: str) -> dict[tuple, dict[str, str]]:
        """Columns by name without its last number or letter: ("response",) → {"1": "response_1", …}."""
        named: dict[tuple, dict[str, str]] = {}
        for name in self.kinds:
            words = tokens(name)
            marks = [place for place, word in enumerate(words) if _MARK.fullmatch(word)]
            if marks and self.has(name, *kinds):
                stem = tuple(words[: marks[-1]] + words[marks[-1] + 1 :])
                named.setdefault(stem, {})[words[marks[-1]]] = name
        return named

    def prompt(self, used: Sequence[str]) -> tuple[str, Callable[[Mapping], str | list[dict]]] | None:
        """How the prompt is made: the columns in words, and the function that makes it from a row."""
        name = next((n for n in self.prompt_columns(used)), None)
        if name is None:
            return None
        if self.has(name, "object"):
            return f"{name}.messages", lambda row: turns.messages(row[name]["messages"])
        if self.has(name, "turn", "turns"):
            return name, self.with_system(lambda row: turns.messages(row[name]))
        beside = [] if name == "prompt" else self._beside(name, used)
        if name.lower() == "instruction" and beside == ["input"]:
            return "instruction + input", self.with_system(lambda row: joined(row["instruction"], row.get("input")))
        if beside:
            ways = [f"--columns prompt={other}+{name}" for other in beside] + [f"--columns prompt={name}"]
            raise Ambiguous(
                f"the prompt may be '{name}' alone or with {' and '.join(map(repr, beside))} before it", ways
            )
        return name, self.with_system(lambda row: row[name])

    def prompt_columns(self, used: Sequence[str]) -> Iterator[str]:
        """The columns that could be the prompt, the likeliest first."""
        known = {name.lower(): name for name in self.kinds if isinstance(name, str) and name not in used}
        for name in (known[wanted] for wanted in PROMPTS if wanted in known):
            if self.has(name, "text", "turn", "turns") or (self.has(name, "object") and self._holds_messages(name)):
                yield name

    def _holds_messages(self, name: str) -> bool:
        return all(turns.is_turns(value.get("messages")) for value in self.values(name)[:10])

    def _beside(self, prompt: str, used: Sequence[str]) -> list[str]:
        """Columns of text beside the prompt that say something which the prompt does not hold, systems apart."""
        return [name for name in BESIDE if name not in (*used, *SYSTEM, prompt) and self.unused(name, prompt)]

    def unused(self, name: str, prompt: str) -> int:
        """In how many rows the text of a column is nowhere in the prompt."""
        if not self.has(name, "text"):
            return 0
        return sum(
            isinstance(row.get(name), str) and bool(row[name].strip()) and row[name].strip() not in str(row.get(prompt))
            for row in self.rows
        )

    def with_system(self, make: Callable) -> Callable:
        """`make` with a system column's words as the first message, where the file has one."""
        system = self.first_of(SYSTEM, "text")
        if system is None or not self.filled(system):
            return make

        def made(row: Mapping) -> list[dict]:
            (asked,) = turns.in_one_form(make(row))
            asked = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
            said = row.get(system)
            if not said or asked[0]["role"] == "system":
                return asked
            return [{"role": "system", "content": said}, *asked]

        return made


def _holds(row: Mapping, *names: str) -> bool:
    return all(row.get(name) is not None for name in names)


def kind_of(value: object) -> str:
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, str):
        return "text"
    if isinstance(value, Real):
        return "number"
    if turns.is_turn(value):
        return "turn"
    if turns.is_turns(value):
        return "turns"
    if isinstance(value, Mapping):
        return "object"
    if isinstance(value, (list, tuple)) and value:
        kinds = {kind_of(item) for item in value}
        return {"text": "texts", "number": "numbers", "object": "objects", "turns": "several turns"}.get(
            kinds.pop() if len(kinds) == 1 else "", "list"
        )
    return "other"


def joined(*texts: str | None) -> str:
    """Texts as one, blank lines between them; None and empty ones are left out."""
    return "\n\n".join(text.strip() for text in texts if text and text.strip())


# Verdicts ---------------------------------------------------------------------------------------------------------

_TIES = frozenset(
    ("tie", "tied", "equal", "both", "neither", "same", "draw", "none", "bothbad", "indifferent", "undecided")
)
# A verdict in words is read where every word is known: of "A is worse", "not A" and "A misleads" nothing is guessed.
_WINS = frozenset(
    ("better", "best", "preferred", "prefer", "choose", "wins", "win", "won", "winner", "beats", "over", "stronger",
     "superior")
)  # fmt: skip
_FILLERS = frozenset(
    ("is", "the", "are", "was", "much", "slightly", "far", "significantly", "clearly", "strongly", "weakly", "bit",
     "marginally", "than", "to", "i", "verdict", "preference", "choice", "final", "system", "agent", "bot", "chatbot",
     "version")
)  # fmt: skip
_THAN = frozenset(("than", "to", "over", "beats"))  # what comes after one of these is what the winner is better than
_DENIALS = frozenset(("not", "no", "never", "isn", "aren", "don", "doesn"))
_NAME = "[^<>=~≻≺≈≥≤]*"
_COMPARISON = re.compile(f"(?P<left>{_NAME})(?:(?P<above>[>≻]+=?|≥)|(?P<below>[<≺]+=?|≤)|[=~≈]+)(?P<right>{_NAME})")
_PLAIN = re.compile(r"""[\w\s\[\](){}"'*.,:;#/-]*""", re.ASCII)
NUMBERED = {  # how numbers may name the winner, by the name of the reading
    "1-or-2": {1: "first", 2: "second", 0: "tie", 1.5: "tie", 3: "tie"},
    "0-or-1": {0: "first", 1: "second", 2: "tie", 0.5: "tie", -1: "tie"},
    "1-or-0": {1: "first", 0: "second", 2: "tie", 0.5: "tie"},
}
SAYS = {
    "1-or-2": "1: the first is better, 2: the second",
    "0-or-1": "0: the first is better, 1: the second, 2: a tie",
    "1-or-0": "1: the first is better, 0: the second",
    "below-0": "below 0: the first is better, above 0: the second",
    "above-0": "above 0: the first is better, below 0: the second",
}


def numbered(reading: str) -> Callable[[object], str | None]:
    """From a number to "first", "second" or "tie"."""

    def read(value: object) -> str | None:
        number = float(cast(str, value))  # or a number: whatever float() takes
        if reading in ("below-0", "above-0"):
            side = number if reading == "above-0" else -number
            return "tie" if side == 0 else "first" if side > 0 else "second"
        if number in NUMBERED[reading]:
            return NUMBERED[reading][number]
        if reading == "1-or-2" and 1 < number < 2:  # a judge's expectation between the two
            return "first" if number < 1.5 else "second"
        raise ValueError(f"the verdict {value!r} is none of: {SAYS[reading]}")

    return read


def as_number(value: object) -> float | None:
    """A number, or text that spells one; None for what is neither (a flag is not a number)."""
    if isinstance(value, bool) or not isinstance(value, (Real, str)):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def number_reading(values: Sequence, marks: tuple[str, str]) -> str:
    """Which of `SAYS` the numbers of a verdict column have.

    Raises:
        Ambiguous: where the numbers can be read in two ways.
    """
    fitting = number_readings(values, marks)
    if len(fitting) == 1:
        return fitting[0]
    shown = ", ".join(f"{value:g}" for value in sorted({float(value) for value in values})[:6])
    raise Ambiguous(
        f"the verdicts are the numbers {shown}, and which of them names the first reply is not said",
        [f"--schema two-replies:{name} ({SAYS[name]})" for name in fitting or SAYS],
    )


def number_readings(values: Sequence, marks: tuple[str, str]) -> list[str]:
    """Those of `SAYS` that the numbers may have."""
    found = {float(value) for value in values}
    if marks[0] in ("1", "a", "first", "left") and 1 <= min(found) < max(found) <= 3:
        return ["1-or-2"]
    if marks == ("1", "2") and found <= {1.0, 2.0}:  # the same side each time, called by its name
        return ["1-or-2"]
    if marks == ("0", "1") and {0.0, 1.0} <= found <= set(NUMBERED["0-or-1"]):
        return ["0-or-1"]
    fitting = [name for name, table in NUMBERED.items() if found <= set(table)]
    return fitting + (["below-0", "above-0"] if min(found) < 0 else [])


def worded(value: object, marks: tuple[str, str], names: tuple[str, str]) -> str | None:
    """The winner that a cell names: a mark ("A", "response_b", "a-is-better", "B>>A", "[[A]]"), or a tie; else None.

    >>> [worded(said, ("a", "b"), ("response_a", "response_b")) for said in ("B>A", "B<A", "A is worse than B")]
    ['second', 'first', None]
    """
    text = str(value).strip().lower()
    if text in (lowered := [name.lower() for name in names]):
        return ("first", "second")[lowered.index(text)]
    if compared := _COMPARISON.fullmatch(text):
        sides = [_only_side(_words(compared[part]), marks) for part in ("left", "right")]
        if set(sides) != {"first", "second"}:
            return None
        return sides[0] if compared["above"] else sides[1] if compared["below"] else "tie"
    if not _PLAIN.fullmatch(text) or re.search(r"(?<!\w)-\d", text):
        return None
    words = _words(re.sub(r"(?<=\d)\.0$", "", text))
    if words == ["no", "preference"] or _TIES & {*words} and not _DENIALS & {*words}:
        return "tie"
    # "B is better than A": what comes before the word of comparison wins
    than = next((place for place, word in enumerate(words) if word in _THAN), len(words))
    better, worse = (_only_side(found, marks) for found in (words[:than], words[than + 1 :]))
    if than == len(words):
        return better
    return better if _WINS & {*words} and {better, worse} == {"first", "second"} else None


def _words(text: str) -> list[str]:
    return [word for word in re.findall(r"[a-z]+|\d+", text) if word not in _REPLY_WORDS]


def _only_side(words: Sequence[str], marks: tuple[str, str]) -> str | None:
    """The one side that the words name; None where they name none or both, or hold a word that is not known."""
    by_word = {word: side for side in ("first", "second") for word in _words_of(side, marks)}
    found = {by_word[word] for word in words if word in by_word}
    known = {*by_word, *_WINS, *_FILLERS}
    return found.pop() if len(found) == 1 and known.issuperset(words) else None


def _words_of(side: str, marks: tuple[str, str]) -> tuple[str, ...]:
    return (marks[0], "first", "left") if side == "first" else (marks[1], "second", "right")


# Labels -----------------------------------------------------------------------------------------------------------

_UP = frozenset(
    ("true", "yes", "up", "good", "positive", "pos", "1", "1.0", "+1", "like", "liked", "upvote", "thumbs_up",
     "thumbsup", "desirable", "chosen", "accept", "accepted", "acceptable", "approve", "approved", "pass", "passed",
     "correct", "helpful", "👍")
)  # fmt: skip
_DOWN = frozenset(
    ("false", "no", "down", "bad", "negative", "neg", "0", "0.0", "-1", "-1.0", "dislike", "disliked", "downvote",
     "thumbs_down", "thumbsdown", "undesirable", "rejected", "reject", "unacceptable", "decline", "declined",
     "disapprove", "disapproved", "deny", "denied", "fail", "failed", "incorrect", "unhelpful", "👎")
)  # fmt: skip


def label_of(value: object) -> bool | None:
    """Up or down, from a flag, the numbers 1 and 0 (or -1), or a word; None where the value is neither."""
    if isinstance(value, bool):
        return value
    if isinstance(value, Real):
        return {1.0: True, 0.0: False, -1.0: False}.get(float(value))
    word = re.sub(r"(?<=\w)[ -](?=\w)", "_", str(value).strip().lower())
    return True if word in _UP else False if word in _DOWN else None
