"""Check of exercise 9: a rule `choose(facts)` on cases one can argue about, and what a second answer earns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

from lessons_lib.advice.decide import Facts, load_tree, recommend, walk
from lessons_lib.grading.verdict import NOT_WRITTEN, Verdict
from lessons_lib.methods import METHODS

SECOND = 0.5  # what a defensible second answer earns


def share(answer: object, facts: Facts) -> float:
    """What an answer earns: 1 for the tree's choice or a tie with it, one half for a defensible second, else 0."""
    advice = recommend(facts)
    if not isinstance(answer, str) or answer not in METHODS:
        return 0.0
    if answer == advice.choice or answer in advice.ties:
        return 1.0
    return SECOND if answer in second_answers(facts) else 0.0


def second_answers(facts: Facts) -> dict[str, str]:
    """The defensible second answers to a case, each with the reason that makes it one.

    They are what either end of the flip rate's interval would lead to, the other readings of the data that
    `recommend` names, and the runner-up where most of the ratings could be paired.
    """
    advice, found = recommend(facts), {}
    for end in (facts.flip_low, facts.flip_high):
        if end is not None:
            found[walk(replace(facts, flip_rate=end))[1].method] = f"the flip rate may as well be {end:.0%}"
    found |= dict(advice.alternatives)
    if advice.choice == "kto" and (facts.unpaired or 0) < load_tree().thresholds["MOST"].value:
        found[advice.runner_up] = advice.why_runner_up
    return {method: why for method, why in found.items() if method not in (advice.choice, *advice.ties)}


def check_choose(function: Callable) -> Verdict:
    """Check ``function(facts)``: the key of a method, such as "dpo", for each of a few situations."""
    came = []
    for case in CASES:
        try:
            came.append(function(case.facts))
        except Exception as error:  # whatever the learner's code raises is an answer to explain
            return Verdict(False, f"with {shown(case.facts)}\nyour function raised {_explained(error)}")
    if all(answer is None for answer in came):
        return Verdict(False, f"with {shown(CASES[0].facts)}\n{NOT_WRITTEN}")
    earned = [share(answer, case.facts) for case, answer in zip(CASES, came, strict=True)]
    for case, answer, points in zip(CASES, came, earned, strict=True):
        if not points:
            wanted, situation = recommend(case.facts).choice, f"{case.situation}\nwith {shown(case.facts)}"
            return Verdict(False, f"{situation}\nexpected {wanted!r}\ngot {answer!r}\n{_cause(came, case)}")
    halves = [
        f"\n{case.situation} {answer!r} is defensible and earns half: {second_answers(case.facts)[answer]}"
        for case, answer, points in zip(CASES, came, earned, strict=True)
        if points < 1
    ]
    return Verdict(True, f"right on {len(CASES)} situations, {sum(earned):g} of {len(CASES)} points{''.join(halves)}")


@dataclass(frozen=True)
class Case:
    situation: str
    facts: Facts
    hint: str


def shown(facts: Facts) -> str:
    """The facts that are not at their defaults, as one would write them."""
    told = [f"{f.name}={getattr(facts, f.name)!r}" for f in fields(facts) if getattr(facts, f.name) != f.default]
    return f"Facts({', '.join(told)})"


def _pairs(**known) -> Facts:
    flips = known.get("flip_rate")
    ends = {} if flips is None else {"flip_low": max(0.0, flips - 0.03), "flip_high": flips + 0.03}
    return Facts("paired", **({"rows": 4000, "prompts": 2500, "checkpoint": "sft", "reference": "live"} | ends | known))


CASES = (
    Case("Pairs, hardly any of them flipped, one pass.", _pairs(flip_rate=0.05, near_deterministic=0.6),
         "nothing here asks for a successor of DPO"),
    Case("Pairs of a noisy crowd.", _pairs(flip_rate=0.22), "a flip rate of 15 % or more is what IPO is for"),
    Case("Pairs, and 15 % of them flipped: the threshold itself.", _pairs(flip_rate=0.15, flip_low=0.15),
         "the tree says *at least* 15 %"),
    Case("A rule wrote the labels; five passes are planned.",
         _pairs(flip_rate=0.01, near_deterministic=0.95, passes=5), "decided labels, seen often: DPO's margin runs on"),
    Case("The same labels, seen once.", _pairs(flip_rate=0.01, near_deterministic=0.95),
         "one pass over decided labels asks for nothing special"),
    Case("Noisy pairs, and no room for a reference in any form.", _pairs(flip_rate=0.25, reference="none"),
         "memory is asked before the labels: IPO needs a reference"),
    Case("A reference does not fit, its log-probs do.", _pairs(flip_rate=0.05, reference="precomputed"),
         "a reference computed once beforehand is a reference"),
    Case("Pairs and a base model that was never fine-tuned.", _pairs(flip_rate=0.25, checkpoint="base"),
         "the checkpoint is asked before the labels; one stage does both"),
    Case("Thumbs, one reply a prompt, mostly up.",
         Facts("unpaired", 9000, 8000, up_share=0.8, unpaired=0.9, pairs=300, checkpoint="sft", reference="live"),
         "the shape is asked first: ratings of single replies"),
    Case("Thumbs, and a base model.",
         Facts("unpaired", 9000, 8000, up_share=0.5, unpaired=0.9, pairs=0, checkpoint="base", reference="live"),
         "the shape is asked before the checkpoint"),
    Case("Pairs whose noise nobody measured.", _pairs(flip_rate=None, why_flip_unknown="each item was judged once"),
         "an unknown fact (None) meets no threshold"),
)  # fmt: skip


def _cause(came: list, case: Case) -> str:
    if any(not isinstance(answer, str) for answer in came):
        return "likely cause: the answer is no text; return a method's key, such as 'dpo'"
    if len(set(came)) == 1 and came[0] in METHODS:
        return "likely cause: a constant; the answer does not depend on the facts"
    if any(answer not in METHODS for answer in came):
        return f"likely cause: a method that the library does not know; its keys are {', '.join(METHODS)}"
    return f"likely cause: {case.hint}"


def _explained(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, TypeError) and "NoneType" in str(error):
        return f"{text}\nlikely cause: an unknown fact is None and cannot be compared; ask `is not None` first"
    return text
