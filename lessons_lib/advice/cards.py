"""A plain card for each leaf of the tree: what the picker, the tables of the pages and lesson 9 show, ready for JSON.

A card looks at all regimes that bear on its leaf, where `decide.recommend` looks at those nearest to given facts. It is
computed from the recorded runs, the table of methods and `decision.yaml`; no verdict is written here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import cache

from lessons_lib.advice import evidence
from lessons_lib.advice.choice import Choice, choose
from lessons_lib.advice.decide import Facts, Leaf, cost, load_tree, recommendation_words, starting_point
from lessons_lib.methods import METHODS


@cache
def cards() -> dict[str, dict]:
    """The cards by key of the leaf, in the order of the tree."""
    return {key: _card(key, leaf) for key, leaf in load_tree().leaves.items()}


def choice_of(key: str) -> Choice:
    """The choice at a leaf, among the methods at hand there, by all regimes that bear on it."""
    leaf = load_tree().leaves[key]
    return choose(key, leaf.made_for, leaf.claim, leaf.measured_on, leaf.measured_on, leaf.methods)


def _card(key: str, leaf: Leaf) -> dict:
    found = choice_of(key)
    how_sure, why_sure, pilot, verdict = recommendation_words(leaf, found)
    return {
        "leaf": key,
        "answers": _answers_to(key),
        "made_for": leaf.made_for,
        "claim": leaf.claim,
        "mechanism": leaf.mechanism,
        "sources": [str(source) for source in leaf.sources],
        "start_with": found.start_with,
        "default": found.default,
        "equivalents": list(found.equivalents),
        "cannot_tell": list(found.cannot_tell),
        "behind": list(found.behind),
        "ahead": list(found.ahead),
        "regrets": {method: asdict(interval) for method, interval in found.regrets.items()},
        "badges": {column.key: column.badge for column in found.columns},
        "evidence": {column.key: {"label": column.label, "says": list(column.says)} for column in found.columns},
        "regimes": list(found.regimes),
        "verdict": verdict,
        "beyond": [asdict(better) for better in found.beyond],
        "cost": {method: {**asdict(cost(method)), "knobs": list(cost(method).knobs)} for method in leaf.methods},
        "how_sure": how_sure,
        "why_sure": why_sure,
        "flips": [[change, choice_of(to).start_with] for change, to in _other_leaves(key, found.start_with)],
        "pilot": pilot,
        "trl": trl_config(found.start_with),
    }


def _answers_to(key: str) -> list[str]:
    """The answers that lead from the first question to a leaf."""
    for question in load_tree().questions:
        for answer in load_tree().questions[question].answers:
            if answer.then == key:
                return [answer.label] if question == "shape" else [*_answers_to(question), answer.label]
    raise KeyError(key)


def _other_leaves(key: str, start: str) -> list[tuple[str, str]]:
    """(change in words, leaf) of the other answers that end at a leaf with another method to start with."""
    answers = [answer for question in load_tree().questions.values() for answer in question.answers]
    ends = [(answer.change, answer.then) for answer in answers if answer.then in load_tree().leaves]
    return [(change, to) for change, to in ends if to != key and choice_of(to).start_with != start]


def default_card(world: str = "46k") -> dict | None:
    """Which method is never far behind: its key, and each method's mean and worst regret; None without runs."""
    found = evidence.default(world)
    if found is None:
        return None
    regimes = evidence.world_of(world).regimes
    far = {
        method: {"mean": asdict(one.mean), "worst": one.worst, "where": regimes[one.where].label}
        for method, one in found.methods.items()
    }
    return {
        "method": found.method,
        "least_mean": found.least_mean,
        "regimes": len(evidence.measured(world)),
        "far": far,
    }


def trl_config(method: str, values: Mapping[str, float] | None = None) -> str:
    """A config for the pinned TRL, at the values to start from or at those given, as a line to copy."""
    facts = METHODS[method]
    starts = {
        start.name: start.value for start in starting_point(method, Facts(facts.data, rows=10_000, prompts=5_000))
    }
    starts |= values or {}
    settings = [f"{name}={value!r}" for name, value in facts.trl.settings.items()]
    settings += [
        f"{knob.trl_name}={starts[name]:g}"
        for name, knob in facts.hyperparameters.items()
        if name in starts and name not in facts.trl.ignores
    ]
    settings.append(f"learning_rate={starts['learning_rate']:g}")
    return f"from {facts.trl.module} import {facts.trl.config}\n\n{facts.trl.config}({', '.join(settings)})"


# In words, for pages and the terminal


_STANDING = {"equivalents": "as good", "cannot_tell": "cannot be told from it", "behind": "behind it", "ahead": "ahead"}


def named(methods: Iterable[str]) -> str:
    """Methods by name, with commas."""
    return ", ".join(METHODS[method].name for method in methods)


def made_for(card: Mapping) -> str:
    """What the mechanism names at a leaf."""
    name = METHODS[card["made_for"]].name
    return (
        f"{name} was made for this"
        if card["claim"] == "ahead"
        else f"No successor was made for this, so {name} would do"
    )


def standing(card: Mapping) -> str:
    """What to start with, and how the others at hand stand to it."""
    said = [f"{words}: {named(card[key])}" for key, words in _STANDING.items() if card[key]]
    said += [f"{one['label']}, beyond the five, is ahead of it" for one in card["beyond"] if one["word"] == "ahead"]
    return "; ".join([f"start with {METHODS[card['start_with']].name}", *said])


def badges(card: Mapping) -> str:
    """The three badges in words."""
    return ", ".join(f"{evidence.IN[key]}: {badge}" for key, badge in card["badges"].items())


def sentence(key: str) -> str:
    """A leaf in a sentence: what was made for it, whether that is borne out, and what to start with."""
    card = cards()[key]
    return f"{made_for(card)}; borne out {badges(card)}. By the runs: {standing(card)}"


def regrets_in_words(card: Mapping) -> str:
    """Each method's expected regret with its interval, least first."""
    told = (
        f"{METHODS[method].name} {one['estimate']:.2f} ({one['low']:.2f} to {one['high']:.2f})"
        for method, one in card["regrets"].items()
    )
    return ", ".join(told) or "not measured"


def default_sentence(world: str = "46k") -> str:
    """Which method is never far behind, with its figures; or that nothing was measured."""
    found = default_card(world)
    if found is None:
        return "Nothing has been measured here yet: advice rests on the papers named."
    name, own = METHODS[found["method"]].name, found["far"][found["method"]]
    mean = own["mean"]
    text = (
        f"When nothing can be told apart: {name}. Over all {found['regimes']} kinds of data in our small models it was "
        f"{mean['estimate']:.2f} points of gold reward behind the best of the five on average (95 %: {mean['low']:.2f} "
        f"to {mean['high']:.2f}) and at worst {own['worst']:.2f} ({own['where']}); no other's worst was as small"
    )
    if found["least_mean"] != found["method"]:
        text += f", though {METHODS[found['least_mean']].name} was less far behind on average"
    return f"{text}."
