"""A gate for the capstone's prose, and never a mark: it returns a text with what is missing or passes it to a person.

It looks for what an argument cannot be without: the two methods, what a loss does, one's own numbers in sentences that
say what they are numbers of, and reasons. It cannot tell a good argument from a bad one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from lessons_lib.grading import by_hand
from lessons_lib.grading.verdict import Answer
from lessons_lib.lessons.lesson14 import sample
from lessons_lib.methods import METHODS

RUBRIC = tuple(f"{line}: {asks}" for line, asks in by_hand.RUBRIC.items())
WORDS, MEMO_WORDS = (60, 250), (120, 450)
SECTIONS = ("What was found", "Whether it could be told", "Cost", "What I got wrong")
MECHANISM_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "dpo": r"sigmoid|smooth|log-ratio|reference|margin",
        "ipo": r"squar|finite|bounded|margin|stops?\b|target",
        "kto": r"reference point|single|one (label|response|rating)|each (label|response|rating)|unpaired|desirable",
        "orpo": r"odds|one stage|single stage|likelihood|nll",
        "simpo": r"average|per token|a token|reference[- ]free|no reference|without a reference|length-normal",
    }
)
FIGURE_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "flip_rate": r"flip|wrong way|mislabel|noise|noisy",
        "ties": r"\bti(e|es|ed)\b|equal",
        "thumbs_blind": r"accept|thumb|vote",
        "decided": r"pairs?\b|comparisons?|decided|left",
        "up_share": r"\bups?\b|positive|liked|balance",
        "agreement": r"agree",
        "unpaired": r"unpaired|unused|partner|lost|waste|go unused|no pair",
        "pairs": r"pairs?\b",
        "first_wins": r"first|position|order",
        "order_same": r"order|turn|swap|same verdict",
        "chosen_longer": r"long|length",
        "order_consistent": r"order|consistent|both|kept|left",
    }
)
_REASON = re.compile(
    r"\b(because|since|so|therefore|hence|which means|would|if|but|although|while|whereas|unless|yet)\b", re.I
)
_SUBJECT = re.compile(
    rf"\b({'|'.join(METHODS)})\b|label|rat(er|ing)|verdict|judge|annotat|pairs?\b|respon|answer|reply|replies|reward"
    r"|loss|margin|reference|memory|length|longer|seed|interval|train|gold|checkpoint|noise|flip|tie",
    re.I,
)
ABOUT = 2 / 3  # of the sentences must speak of the subject


@dataclass(frozen=True)
class Gate(Answer):
    """What the gate did with a text: returned it with what is missing, or passed it on to a person."""

    missing: tuple[str, ...]

    def __bool__(self) -> bool:
        """Whether it was passed on. That is no mark and no praise."""
        return not self.missing

    def __repr__(self) -> str:
        if self.missing:
            return "↩ returned, unmarked. Missing:" + "".join(f"\n  · {what}" for what in self.missing)
        lines = "".join(f"\n  {number}. {line}" for number, line in enumerate(RUBRIC, 1))
        return f"→ passed on to a person. No machine has marked it; a person will, by four lines:{lines}"


def check_paragraph(name: str, paragraph: object, ticket: str) -> Gate:
    """Look whether a paragraph that argues a plan can go to a person."""
    if not isinstance(paragraph, str) or not paragraph.strip():
        return Gate(("the paragraph: a text of about a hundred words",))
    return Gate(tuple(_missing(name, paragraph, sample.figures_of(name, ticket))))


def check_memo(memo: object) -> Gate:
    """Look whether a memo can go to a person: its four sections, and in each what belongs there."""
    if not isinstance(memo, str) or not memo.strip():
        return Gate((f"the memo: a text with the sections {', '.join(SECTIONS)}",))
    return Gate(tuple(_missing_in_memo(memo)))


def _missing(name: str, paragraph: str, found: Mapping[str, float]) -> Iterator[str]:
    yield from _length(paragraph, WORDS)
    named = _methods(paragraph)
    if len(named) < 2:
        yield "your choice and the runner-up, both by name"
    if len(named) == len(METHODS):
        yield "one runner-up: all five methods are named, and a paragraph argues one against another"
    if not any(re.search(MECHANISM_WORDS[key], paragraph, re.I) for key in named):
        yield "the mechanism: what the loss of your choice does"
    quoted = [key for key in found if _in_its_place(paragraph, key, found[key])]
    if len(quoted) < 2:
        yield (
            f"two of your own measured numbers ({', '.join(found)}), each in a sentence that says what it is the "
            f"number of; found: {', '.join(quoted) or 'none'}"
        )
    yield from _no_prose(paragraph)


def _missing_in_memo(memo: str) -> Iterator[str]:
    yield from _length(memo, MEMO_WORDS)
    parts = _sections(memo)
    for title in SECTIONS:
        if len(parts.get(title.lower(), "").split()) < 15:
            yield f"the section “{title}”: its title on a line of its own, and a few sentences"
    told = parts.get(SECTIONS[1].lower(), "")
    if told and not re.search(r"ahead|behind|equivalent|cannot tell|could not be told", told, re.I):
        yield f"in “{SECTIONS[1]}”, a verdict for each dataset: ahead, behind, equivalent or cannot tell"
    wrong = parts.get(SECTIONS[3].lower(), "")
    if wrong and not (re.search(r"\d", wrong) and _methods(wrong)):
        yield f"in “{SECTIONS[3]}”, what you had said, with its number, and of which method"
    yield from _no_prose(memo)


def _sections(memo: str) -> dict[str, str]:
    """By title in lower case, the text below it; a title may carry signs of markup and a colon."""
    parts, title = {}, ""
    for line in memo.splitlines():
        bare = line.strip().strip("#*:. ").lower()
        if bare in map(str.lower, SECTIONS):
            title = bare
        else:
            parts[title] = f"{parts.get(title, '')} {line.strip()}".strip()
    return parts


def _length(text: str, limits: tuple[int, int]) -> Iterator[str]:
    words = len(re.findall(r"[\w'’.-]+", text))
    if not limits[0] <= words <= limits[1]:
        yield f"length: {limits[0]} to {limits[1]} words, and yours has {words}"


def _methods(text: str) -> list[str]:
    return [key for key in METHODS if re.search(rf"\b{key}\b", text, re.I)]


def _in_its_place(paragraph: str, key: str, figure: float) -> bool:
    """Whether a sentence quotes the figure, to the digits written, and says what it is."""
    return any(re.search(FIGURE_WORDS[key], s, re.I) and _quotes(s, figure) for s in _sentences(paragraph))


def _quotes(sentence: str, figure: float) -> bool:
    """A share in percent or with two decimals, a count as it is; with a decimal point or a decimal comma."""
    for text in re.findall(r"\d{1,3}(?:,\d{3})+(?!\d)|\d+(?:[.,]\d+)?", sentence):
        whole = text.replace(",", "") if figure > 1 and "." not in text else text
        number = whole.replace(",", ".")
        decimals = len(number.partition(".")[2])
        slack = 0.5 * 10**-decimals + 1e-9
        in_percent = figure <= 1 and abs(float(number) - 100 * figure) <= slack
        as_it_is = (figure > 1 or decimals >= 2) and abs(float(number) - figure) <= slack
        if in_percent or as_it_is:
            return True
    return False


def _sentences(text: str) -> list[str]:
    return [s for s in re.split(r"(?<=[.!?])\s+", " ".join(text.split())) if len(s.split()) >= 5]


def _no_prose(text: str) -> Iterator[str]:
    """Signs of a list of keywords or of padding in place of an argument."""
    sentences, words = _sentences(text), re.findall(r"[\w'’.-]+", text.lower())
    if len(sentences) < 3:
        yield "sentences: at least three whole ones"
        return
    if len(set(map(str.lower, sentences))) < len(sentences) or len(set(words)) < 0.4 * len(words):
        yield "your own sentences: the same words come again and again"
    if sum(bool(_SUBJECT.search(s)) for s in sentences) < ABOUT * len(sentences):
        yield "your subject: too many sentences speak of neither data, methods nor training"
    if sum(bool(_REASON.search(s)) and bool(_SUBJECT.search(s)) for s in sentences) < 2:
        yield "an argument: at least two sentences that give a reason (because, so, if, but, would) for what they say"
