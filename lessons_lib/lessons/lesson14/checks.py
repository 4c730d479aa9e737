"""Checks of the capstone: a typed claim about each dataset, and a gate for its paragraph.

A claim is marked by machine, from menus and from three numbers of the learner's own sample. A paragraph is not: the
gate returns it with what is missing or passes it on to a person, and says so. What is right about a claim is not
listed here choice by choice: the choice is held to the decision tree, and the change to where the tree then leads.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from lessons_lib.advice.decide import Facts, briefs, recommend, walk
from lessons_lib.data import samples
from lessons_lib.data.figures import implied_flip
from lessons_lib.grading import tickets
from lessons_lib.grading.verdict import Answer, Verdict
from lessons_lib.methods import METHODS

__all__ = ["RUBRIC", "check_claim", "check_paragraph", "my_rows", "print_menus"]

SECOND = 0.5  # what a defensible second answer earns
TOLERANCE = 0.001  # of a share, either way: three decimals
ARGUED, MEASURED = 0.6, 0.4  # what the argument and the three numbers are worth

# The menus -------------------------------------------------------------------------------------------------------

MECHANISMS: Mapping[str, tuple[str | None, str]] = MappingProxyType(
    {
        "finite_margin": ("ipo", "a squared loss is least at a finite margin, so a wrong pair cannot pull without end"),
        "infinite_margin": (None, "the margin may grow without bound, which drowns the wrong pairs in the right ones"),
        "finds_flips": (None, "it finds the flipped labels during training and leaves them out"),
        "log_ratio": ("dpo", "a sigmoid of the margin over a reference trusts each pair; smoothing lowers that trust"),
        "one_label": ("kto", "each response's own label counts, against a reference point that the batch gives"),
        "makes_pairs": (None, "it pairs each up with a down of its prompt inside the batch, so that nothing is lost"),
        "one_stage": ("orpo", "an odds-ratio term stands beside the likelihood of the chosen response, in one stage"),
        "average_reward": ("simpo", "the reward is the average log-prob a token, so that no reference is held"),
        "length_blind": (None, "dividing by the length keeps a judge's taste for long answers out of the model"),
        "fewer_weights": (None, "it trains fewer weights than the others, so that the reference fits beside them"),
    }
)  # fmt: skip
FIGURES: Mapping[str, str] = MappingProxyType(
    {
        "flip_rate": "e in agreement = e² + (1 − e)², over pairs of raters who both take a side",
        "ties": "share of all verdicts that call the two equal",
        "thumbs_blind": "share of decisive verdicts on two responses with the same vote of their own",
        "up_share": "share of ratings that are up",
        "agreement": "share of pairs of ratings of one passage that agree, all pairs pooled",
        "unpaired": "share of ratings on passages that no pair would use (an up with a down, by majority, same prompt)",
        "first_wins": "share of decisive verdicts for the response shown first",
        "order_same": "share of items, read in both orders, with the same verdict in both",
        "chosen_longer": "share of items of unequal length, decided by most of their verdicts, whose winner is longer",
        "chosen_words": "mean number of words of the chosen responses",
        "rejected_words": "mean number of words of the rejected responses",
        "runs_on": "share of pairs whose rejected response has ten times as many words as the chosen one, or more",
    }
)
DECIDERS: Mapping[str, str] = MappingProxyType(
    {
        **FIGURES,
        "reference": "what there is room for: a live reference, its log-probs computed beforehand, or none",
        "checkpoint": "what training starts from",
        "rows": "how many rows there are",
    }
)
CHANGES: Mapping[str, tuple[str, Mapping[str, object]]] = MappingProxyType(
    {
        "cleaner": ("fewer than 15 % of the labels were flipped", {"flip_rate": 0.05}),
        "noisier": ("15 % or more of the labels were flipped", {"flip_rate": 0.25}),
        "base": ("you started from a base model that was never fine-tuned", {"checkpoint": "base"}),
        "no_room": ("neither a reference nor its log-probs could be had", {"checkpoint": "sft", "reference": "none"}),
        "tuned": ("you started from a model that was fine-tuned before", {"checkpoint": "sft"}),
        "room": ("the reference's log-probs could be computed beforehand", {"reference": "precomputed"}),
        "singles": ("only ratings of single responses were kept", {"shape": "unpaired", "unpaired": 0.6}),
        "compared": ("each rating came with a second response to compare with", {"shape": "paired"}),
        "more_rows": ("there were ten times as many rows of the same kind", {"rows": 50_000}),
        "longer": ("longer responses won still more often", {"chosen_longer": 0.95}),
        "bigger": ("the model had ten times as many weights", {}),
    }
)
MENUS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "choice": tuple(METHODS),
        "mechanism": tuple(MECHANISMS),
        "rejected": tuple(METHODS),
        "decided_by": tuple(DECIDERS),
        "change": tuple(CHANGES),
        "leads_to": tuple(METHODS),
    }
)


def print_menus() -> None:
    """The words that a claim may use, with what they mean."""
    methods = {key: method.full_name for key, method in METHODS.items()}
    texts = {
        "choice, rejected, leads_to": methods,
        "mechanism": {key: text for key, (_, text) in MECHANISMS.items()},
        "decided_by": DECIDERS,
        "change": {key: text for key, (text, _) in CHANGES.items()},
    }
    for field, menu in texts.items():
        print(f"\n{field}")
        for key, text in menu.items():
            print(f"  {key:16} {text}")


# The five datasets -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """What a claim about a dataset must measure, and which runner-up each choice may reject by which figure."""

    measured: tuple[str, str, str]
    against: Mapping[str, tuple[tuple[str, str], ...]]


# Three are set. The last two are in reserve for another term: put a name into the notebook and the spec.
CASES: Mapping[str, Case] = MappingProxyType(
    {
        "tulu1_human_eval": Case(
            ("flip_rate", "ties", "thumbs_blind"),
            {
                "ipo": (("dpo", "flip_rate"), ("kto", "thumbs_blind")),
                "dpo": (("ipo", "flip_rate"), ("kto", "thumbs_blind")),
                "kto": (("ipo", "ties"), ("dpo", "ties")),
            },
        ),
        "feedbackqa_cdc": Case(
            ("up_share", "agreement", "unpaired"),
            {
                "kto": (("dpo", "unpaired"), ("orpo", "unpaired"), ("orpo", "checkpoint")),
                "dpo": (("kto", "unpaired"), ("kto", "agreement")),
                "orpo": (("kto", "unpaired"), ("kto", "agreement")),
            },
        ),
        "qlora_gpt4_vicuna": Case(
            ("first_wins", "order_same", "chosen_longer"),
            {
                "simpo": (("dpo", "reference"), ("orpo", "checkpoint")),
                "orpo": (("dpo", "reference"),),
                "dpo": (("simpo", "order_same"), ("simpo", "chosen_longer")),
            },
        ),
        "pandalm_testset": Case(
            ("flip_rate", "ties", "chosen_longer"),
            {"dpo": (("ipo", "flip_rate"),), "ipo": (("dpo", "flip_rate"),)},
        ),
        "self_instruct_demos": Case(
            ("chosen_words", "rejected_words", "runs_on"),
            {"orpo": (("dpo", "checkpoint"),), "dpo": (("orpo", "checkpoint"), ("orpo", "runs_on"))},
        ),
    }
)


def my_rows(name: str, ticket: str) -> list[dict]:
    """Your own sample of a dataset: the judgements on six prompts of ten, drawn by your ticket; no text.

    Real judgements, in the forms that `profile` and `match` take.
    """
    return samples.draw(name, tickets.stream(ticket, name))


def figures_of(rows: list[dict]) -> dict[str, float]:
    """The figures of `FIGURES` that rows can tell, counted in plain Python; `profile` finds the same."""
    count = _ratings if "label" in rows[0] else _pairs if "chosen" in rows[0] else _verdicts
    return dict(count(rows))


def _ratings(rows: list[dict]) -> Iterator[tuple[str, float]]:
    ratings, prompts = defaultdict(list), defaultdict(dict)
    for row in rows:
        ratings[row["prompt"], row["item"]].append(row["label"])
    for (prompt, item), labels in ratings.items():
        prompts[prompt][item] = (2 * sum(labels) > len(labels)) - (2 * sum(labels) < len(labels))
    alike = [a == b for labels in ratings.values() for a, b in itertools.combinations(labels, 2)]
    lost = [
        len(labels)
        for (prompt, item), labels in ratings.items()
        if not prompts[prompt][item] or -prompts[prompt][item] not in prompts[prompt].values()
    ]
    yield "up_share", _mean(row["label"] for row in rows)
    yield "agreement", _mean(alike)
    yield "flip_rate", implied_flip(_mean(alike))
    yield "unpaired", sum(lost) / len(rows)


def _pairs(rows: list[dict]) -> Iterator[tuple[str, float]]:
    lengths = [(len(row["chosen"].split()), len(row["rejected"].split())) for row in rows]
    yield "chosen_words", _mean(chosen for chosen, _ in lengths)
    yield "rejected_words", _mean(rejected for _, rejected in lengths)
    yield "runs_on", _mean(rejected >= 10 * chosen for chosen, rejected in lengths)
    yield "chosen_longer", _mean(chosen > rejected for chosen, rejected in lengths if chosen != rejected)


def _verdicts(rows: list[dict]) -> Iterator[tuple[str, float]]:
    items = defaultdict(list)
    for row in rows:
        items[row["item"]].append(row)
    read = [row for row in rows if row["verdict"]]
    decisive = [row for row in read if row["verdict"] != "tie"]
    yield "ties", _mean(row["verdict"] == "tie" for row in read)
    yield "first_wins", _mean(row["verdict"] == "first" for row in decisive)
    if "first_acceptable" in rows[0]:
        yield "thumbs_blind", _mean(row["first_acceptable"] == row["second_acceptable"] for row in decisive)
    both = [_both_orders(found) for found in items.values()]
    if same := [one == other for one, other in filter(None, both)]:
        yield "order_same", _mean(same)
    raters = [
        _winner(one) == _winner(other)
        for found in items.values()
        for one, other in itertools.combinations({row["rater"]: row for row in found if row["verdict"]}.values(), 2)
        if "tie" not in (one["verdict"], other["verdict"])
    ]
    if raters:
        yield "flip_rate", implied_flip(_mean(raters))
    yield "chosen_longer", _mean(filter(lambda longer: longer is not None, map(_longer, items.values())))


def _winner(row: dict) -> str:
    """The response that a verdict prefers, or "tie": the same in whichever order the two were shown."""
    return row.get(row["verdict"], "tie")


def _both_orders(rows: list[dict]) -> tuple[str, str] | None:
    """One rater's verdicts on an item in its two orders."""
    shown = {row["first"]: _winner(row) for row in rows if row["verdict"]}
    return tuple(shown.values()) if len(shown) == 2 and len({row["rater"] for row in rows}) == 1 else None


def _longer(rows: list[dict]) -> bool | None:
    """Whether the response that most verdicts prefer is the longer one; None where nothing can be said."""
    for winner, loser in (("first", "second"), ("second", "first")):
        chosen, rejected = rows[0][winner], rows[0][loser]
        lengths = len(chosen.split()), len(rejected.split())
        if 2 * sum(bool(row["verdict"]) and _winner(row) == chosen for row in rows) > len(rows):
            return None if lengths[0] == lengths[1] else lengths[0] > lengths[1]
    return None


def _mean(values) -> float:
    values = list(values)
    return sum(values) / len(values)


# A claim ---------------------------------------------------------------------------------------------------------


def facts_of(name: str, found: Mapping[str, float]) -> Facts:
    """The facts of a sample under its dataset's brief."""
    shape = "unpaired" if "up_share" in found else "paired"
    known = {key: value for key, value in found.items() if key in Facts.__dataclass_fields__}
    return Facts(shape, rows=5000, prompts=300, **known, **vars(briefs()[name].constraints))


def share(answer: object, facts: Facts) -> float:
    """What an answer earns: 1 for the method that the tree says was made for this, one half for a defensible second."""
    leaf = walk(facts)[1]
    if not isinstance(answer, str) or answer not in METHODS:
        return 0.0
    if answer == leaf.made_for or answer in _AS_GOOD.get(leaf.key, ()):
        return 1.0
    return SECOND if answer in second_answers(facts) else 0.0


_AS_GOOD = {"any": ("ipo", "simpo")}


def second_answers(facts: Facts) -> dict[str, str]:
    """The defensible second answers to a case, each with the reason that makes it one."""
    leaf, found = walk(facts)[1], {}
    for end in (facts.flip_low, facts.flip_high):
        if end is not None:
            found[walk(replace(facts, flip_rate=end))[1].made_for] = f"the flip rate may as well be {end:.0%}"
    found |= dict(recommend(facts).alternatives)
    if leaf.key == "no reference":
        found["orpo"] = "ORPO needs no reference either"
    if leaf.key == "ratings" and facts.pairs:
        found["orpo"] = "ORPO can train on the pairs that the ratings make"
        if (facts.unpaired or 0) < 0.5:
            found["dpo"] = "DPO can train on the pairs that the ratings make"
    return {method: why for method, why in found.items() if method not in (leaf.made_for, *_AS_GOOD.get(leaf.key, ()))}


def choice_share(name: str, choice: object, found: Mapping[str, float]) -> float:
    """What a choice earns: 1 for the tree's own or a tie with it, one half for an alternative that the brief argues."""
    brief = briefs()[name]
    if not isinstance(choice, str) or choice not in (brief.argued, *brief.alternatives):
        return 0.0
    return max(SECOND, share(choice, facts_of(name, found)))


def mistakes(name: str, claim: Mapping, found: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    """What does not hold in a claim, as (field, reason); the numbers last."""
    for field, menu in MENUS.items():
        if not isinstance(claim.get(field), str) or claim[field] not in menu:
            yield field, f"not a word of its menu: {', '.join(menu)}"
            return
    facts, choice = facts_of(name, found), claim["choice"]
    if not choice_share(name, choice, found):
        yield "choice", f"{METHODS[choice].name} cannot be argued under this brief: read its shape, checkpoint and room"
        return
    if MECHANISMS[claim["mechanism"]][0] != choice:
        yield "mechanism", _wrong_mechanism(claim["mechanism"], choice)
    if claim["rejected"] == choice:
        yield "rejected", "the runner-up is the method that you did not choose"
    elif claim["rejected"] not in (method for method, _ in CASES[name].against[choice]):
        yield "rejected", "not the next best here: which method would you take if yours were forbidden?"
    elif (claim["rejected"], claim["decided_by"]) not in CASES[name].against[choice]:
        yield "decided_by", f"true or not, it does not tell {choice} from {claim['rejected']} under this brief"
    yield from _wrong_change(claim, facts)
    yield from _wrong_numbers(CASES[name].measured, claim.get("measured"), found)


def _wrong_mechanism(mechanism: str, choice: str) -> str:
    owner = METHODS[MECHANISMS[mechanism][0]].name if MECHANISMS[mechanism][0] else None
    asked = f"what does {METHODS[choice].name}'s loss do?"
    return f"that is how {owner} works; {asked}" if owner else f"no method does that; {asked}"


def _wrong_change(claim: Mapping, facts: Facts) -> Iterator[tuple[str, str]]:
    to = walk(replace(facts, **CHANGES[claim["change"]][1]))[1].made_for
    if to == claim["choice"]:
        yield "change", f"with that change the answer would still be {to}"
    elif to != claim["leads_to"]:
        yield "leads_to", "walk the tree with that one answer changed: it ends at another method"


def _wrong_numbers(names: tuple, came: object, found: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    if not isinstance(came, Mapping) or set(came) != set(names):
        yield "measured", f"a dictionary with {', '.join(names)} was expected"
        return
    for key in names:
        value = came[key]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not -1e6 < value < 1e6:
            yield key, "a number was expected"
        elif abs(value - found[key]) > TOLERANCE:
            yield key, _wrong_number(key, value, found)


def _wrong_number(key: str, value: float, found: Mapping[str, float]) -> str:
    if abs(value / 100 - found[key]) <= TOLERANCE:
        return "that is in percent: a share lies between 0 and 1"
    if abs(1 - value - found[key]) <= TOLERANCE:
        return "that is what is left to 1: the share of the others"
    for other, right in found.items():
        if abs(value - right) <= TOLERANCE:
            return f"that is your {other}"
    if key == "flip_rate" and abs(value - (1 - (1 - 2 * found[key]) ** 2) / 2) <= TOLERANCE:
        return "that is the share of disagreement; solve agreement = e² + (1 − e)² for e"
    return f"not the number of your sample: {FIGURES[key]}, to three decimals"


def claim_share(name: str, claim: object, ticket: str) -> float:
    """What a claim earns: the argument when all its menus fit together, the numbers when all three are right."""
    if not isinstance(claim, Mapping):
        return 0.0
    found = figures_of(my_rows(name, ticket))
    wrong = {field for field, _ in mistakes(name, claim, found)}
    argued = 0.0 if wrong & set(MENUS) else choice_share(name, claim["choice"], found)
    numbers = not any(_wrong_numbers(CASES[name].measured, claim.get("measured"), found))
    return ARGUED * argued + MEASURED * numbers


def check_claim(name: str, claim: object, ticket: str) -> Verdict:
    """Check one claim against the learner's own sample; names the first field that does not hold."""
    if not isinstance(claim, Mapping):
        return Verdict(False, f"{name}: expected the dictionary of the form, got {type(claim).__name__}")
    missing = sorted(key for key in (*MENUS, "measured") if claim.get(key, ...) is ...)
    if missing:
        return Verdict(False, f"{name}: still to fill in: {', '.join(missing)}")
    found = figures_of(my_rows(name, ticket))
    wrong = next(mistakes(name, claim, found), None)
    if wrong:
        field, why = wrong
        came = claim["measured"].get(field) if field in FIGURES else claim.get(field)
        return Verdict(False, f"{name}: {field}={came!r:.80}\nlikely cause: {why}")
    share = claim_share(name, claim, ticket)
    second = "" if share == 1 else "; a defensible second answer, whose argument earns half"
    return Verdict(True, f"{name}: the claim holds together, and its numbers are those of your sample{second}")


# A paragraph: a gate, and never a mark ---------------------------------------------------------------------------

RUBRIC = (
    "claim supported: each step from a measured number or a stated constraint",
    "mechanism right: what the loss does, and why that matters for this dataset",
    "alternative fairly treated: the runner-up at its best, and what would bring it back",
    "clear: one line of thought, no padding",
)
WORDS = (60, 250)
MECHANISM_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "dpo": r"sigmoid|smooth|log-ratio|reference|margin",
        "ipo": r"squar|finite|bounded|margin|stops?\b|target",
        "kto": r"reference point|single|one (label|response|rating)|each (label|response|rating)|unpaired|desirable",
        "orpo": r"odds|one stage|single stage|likelihood|nll",
        "simpo": r"average|per token|a token|reference[- ]free|no reference|without a reference|length-normal",
    }
)
_BECAUSE = r"\b(because|since|so|therefore|as|which means|hence|would|if|but|although|while)\b"


@dataclass(frozen=True)
class Gate(Answer):
    """What the gate did with a paragraph: returned it with what is missing, or passed it on to a person."""

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
    """Look whether a paragraph can go to a person. It finds what is missing, and cannot tell a good one from a bad."""
    if not isinstance(paragraph, str) or not paragraph.strip():
        return Gate(("the paragraph: a text of about a hundred words",))
    return Gate(tuple(_missing(name, paragraph, figures_of(my_rows(name, ticket)))))


def _missing(name: str, paragraph: str, found: Mapping[str, float]) -> Iterator[str]:
    words, brief = re.findall(r"[\w'’.-]+", paragraph.lower()), briefs()[name]
    if not WORDS[0] <= len(words) <= WORDS[1]:
        yield f"length: {WORDS[0]} to {WORDS[1]} words, and yours has {len(words)}"
    named = [key for key in METHODS if re.search(rf"\b{key}\b", paragraph, re.I)]
    choices = [key for key in named if key in (brief.argued, *brief.alternatives)]
    if not choices:
        yield "your choice, by its name"
    if len(named) < 2:
        yield "the runner-up, by its name"
    if len(named) == len(METHODS):
        yield "one runner-up: all five methods are named, and a paragraph argues one against another"
    if choices and not any(re.search(MECHANISM_WORDS[key], paragraph, re.I) for key in choices):
        yield "the mechanism: what the loss of your choice does"
    quoted = [key for key in CASES[name].measured if _quotes(paragraph, found[key])]
    if len(quoted) < 2:
        yield f"two of your own measured numbers ({', '.join(CASES[name].measured)}); found: {quoted or 'none'}"
    yield from _no_prose(paragraph, words)


def _quotes(paragraph: str, figure: float) -> bool:
    """Whether a figure is quoted to the digits written: a share in percent or with two decimals, a mean as it is."""
    for text in re.findall(r"\d+(?:\.\d+)?", paragraph):
        decimals = len(text.partition(".")[2])
        in_percent = figure <= 1 and abs(float(text) - 100 * figure) <= 0.5 * 10**-decimals + 1e-9
        as_it_is = (figure > 1 or decimals >= 2) and abs(float(text) - figure) <= 0.5 * 10**-decimals + 1e-9
        if in_percent or as_it_is:
            return True
    return False


def _no_prose(paragraph: str, words: list[str]) -> Iterator[str]:
    """Signs of a list of keywords in place of an argument."""
    sentences = [s for s in re.split(r"(?<=[.!?])\s+", paragraph.strip()) if len(s.split()) >= 5]
    if len(sentences) < 3:
        yield "sentences: at least three whole ones"
    if len(set(map(str.lower, sentences))) < len(sentences) or len(set(words)) < 0.4 * len(words):
        yield "your own sentences: the same words come again and again"
    if not re.search(_BECAUSE, paragraph, re.I):
        yield "an argument: no “because”, “so”, “if” or “but” joins its statements"


# ---------------------------------------------------------------- what the spec asks for


def judge_claim(name: str) -> Callable[[object, dict], float]:
    """A claim's share, for the grader, which knows the learner's ticket."""
    return lambda answer, case: claim_share(name, answer, case["ticket"])


def explain_claim(name: str) -> Callable[[object, dict], str]:
    return lambda answer, case: repr(check_claim(name, answer, case["ticket"]))


def explain_paragraph(name: str) -> Callable[[object, dict], str]:
    return lambda answer, case: repr(check_paragraph(name, answer, case["ticket"]))
