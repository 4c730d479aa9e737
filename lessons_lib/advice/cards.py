"""A plain card for each leaf of the tree: what the picker, the tables of the pages and lesson 9 show, ready for JSON.

A card looks at all regimes that bear on its leaf, where `decide.recommend` looks at those nearest to given facts. It is
computed from the recorded runs, the table of methods and `decision.yaml`; no verdict is written here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import cache

from lessons_lib.advice import evidence
from lessons_lib.advice.choice import MAIN, Choice, choose
from lessons_lib.advice.decide import Facts, Leaf, at_hand, cost, load_tree, recommendation_words, starting_point
from lessons_lib.advice.evidence import regret_in_words
from lessons_lib.methods import METHODS
from lessons_lib.metrics import Interval


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
        "at": _settings(found),
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
        "baseline": asdict(found.baseline) if found.baseline else None,
        "cost": {method: {**asdict(cost(method)), "knobs": list(cost(method).knobs)} for method in leaf.methods},
        "how_sure": how_sure,
        "why_sure": why_sure,
        "flips": [[change, choice_of(to).start_with] for change, to in _other_leaves(key, found.start_with)],
        "pilot": pilot,
        "trl": trl_config(found.start_with),
    }


def _settings(found: Choice) -> str:
    """At which values the method to start with was run here, in words; "" without a search."""
    said = []
    for name, knob in METHODS[found.start_with].hyperparameters.items():
        if values := evidence.chosen(MAIN, found.start_with, name, found.regimes):
            low, high = min(values), max(values)
            said.append(f"{knob.symbol} = {low:g}" if low == high else f"{knob.symbol} = {low:g} to {high:g}")
    return ", ".join(said)


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
    """Which method is least far behind at its worst, and each method's mean and worst regrets; None without runs."""
    found = evidence.default(world)
    if found is None:
        return None
    regimes = evidence.world_of(world).regimes
    far = {
        method: {"mean": asdict(one.mean), "worst": one.worst, "where": regimes[one.where].label, "second": one.second}
        for method, one in found.methods.items()
    }
    return {
        "method": found.method,
        "least_mean": found.least_mean,
        "regimes": len(found.regimes),
        "far": far,
    }


def trl_config(method: str, values: Mapping[str, float] | None = None) -> str:
    """A config for the pinned TRL, at the values to start from or at those given, to copy; comments say why."""
    facts = METHODS[method]
    from_papers = starting_point(method, Facts(facts.data, rows=10_000, prompts=5_000))
    starts = {start.name: start.value for start in from_papers} | dict(values or {})
    whys = [
        f"# {facts.hyperparameters[start.name].trl_name}: {start.why}\n"
        for start in from_papers
        if start.name in facts.hyperparameters and start.name not in {*facts.trl.ignores, *(values or {})}
    ]
    settings = [f"{name}={value!r}" for name, value in facts.trl.settings.items()]
    settings += [
        f"{knob.trl_name}={starts[name]:g}"
        for name, knob in facts.hyperparameters.items()
        if name in starts and name not in facts.trl.ignores
    ]
    settings.append(f"learning_rate={starts['learning_rate']:g}")
    return (
        f"from {facts.trl.module} import {facts.trl.config}\n\n{''.join(whys)}{facts.trl.config}({', '.join(settings)})"
    )


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


def standing(card: Mapping, *, brief: bool = False) -> str:
    """What to start with, and how the others at hand stand to it; unless brief, settings and SFT alone, too."""
    said = [f"{words}: {named(card[key])}" for key, words in _STANDING.items() if card[key]]
    said += [f"{one['label']}, beyond the five, is ahead of it" for one in card["beyond"] if one["word"] == "ahead"]
    if card["at"] and not brief:
        said.insert(0, f"at {card['at']} in these runs")
    if not brief and (baseline := card["baseline"]):
        said.append(f"{baseline['label']}: {baseline['word']} ({evidence.signed(baseline['difference']['estimate'])})")
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
    told = (f"{METHODS[method].name} {regret_in_words(Interval(**one))}" for method, one in card["regrets"].items())
    return ", ".join(told) or "not measured"


def default_sentence(world: str = "46k") -> str:
    """Which method to take when nothing can be told apart, with its figures; or that nothing was measured."""
    found = default_card(world)
    if found is None:
        return "Nothing has been measured here yet: advice rests on the papers named."
    others = [one for method, one in found["far"].items() if method != found["method"]]
    worst, second = ([one[which] for one in others] for which in ("worst", "second"))
    far = f"{min(worst):.2f} to {max(worst):.2f}"
    without = f"{min(second):.2f} to {max(second):.2f}"
    return (
        f"When nothing can be told apart: {METHODS[found['method']].name}. {_own(found)}. The others' worst is {far}, "
        f"and without each one's worst kind {without}."
    )


def default_figures(world: str = "46k") -> str:
    """How far behind the default was and each of the others, on average and at worst; and all from a base model."""
    found = default_card(world)
    if found is None:
        return "Nothing has been measured here yet."
    told = (
        f"{METHODS[method].name} {one['mean']['estimate']:.2f}, {one['worst']:.2f} ({one['where']}), "
        f"{one['second']:.2f}"
        for method, one in found["far"].items()
        if method != found["method"]
    )
    others = f"The others, on average, at worst, and at worst without that kind: {'; '.join(told)}."
    return " ".join(filter(None, (f"{_own(found)}.", others, _from_base(world))))


def _own(found: Mapping) -> str:
    """How far behind the default was."""
    own = found["far"][found["method"]]
    mean = own["mean"]
    return (
        f"Over {found['regimes']} kinds of data in our small models, all from an SFT checkpoint, it was "
        f"{mean['estimate']:.2f} points of gold reward behind the best of the five on average (95 %: {mean['low']:.2f} "
        f"to {mean['high']:.2f}) and at worst {own['worst']:.2f} ({own['where']})"
    )


def _from_base(world: str) -> str:
    """The regrets where training starts from a base model, which the default does not count."""
    counted = evidence.default(world)
    apart = tuple(regime for regime in evidence.measured(world) if counted and regime not in counted.regimes)
    if not apart:
        return ""
    told = ", ".join(f"{METHODS[m].name} {one.estimate:.2f}" for m, one in evidence.regrets(world, apart).items())
    return f"Starting from a base model is counted apart; there they lie behind the best by: {told}."


def ends_sentence() -> str:
    """How many ends of the tree name the same method, which is what the questions are worth so far."""
    starts = [card["start_with"] for card in cards().values()]
    most = max(dict.fromkeys(starts), key=starts.count)
    count, name = starts.count(most), METHODS[most].name
    alone = named(at_hand(Facts("unpaired", rows=1, prompts=1, pairs=0)))
    if count < len(starts):
        return f"Of the tree's {len(starts)} ends {count} name {name}."
    return (
        f"Whatever the answers, {count} of {len(starts)} ends name {name}: the questions rule methods out (ratings "
        f"that make no pairs leave {alone} alone), and the runs have not shown where another of the five is the better "
        "start."
    )


def beyond_sentence(world: str = "46k") -> str:
    """What arms beyond the five come to against the default, where one is ahead of it; kind by kind."""
    found = evidence.default(world)
    if found is None:
        return ""
    regimes = evidence.world_of(world).regimes
    by_arm: dict[str, dict[str, str]] = {}
    for regime in evidence.measured(world):
        for one in evidence.others(world, (regime,), found.method):
            by_arm.setdefault(one.label, {})[regimes[regime].label] = one.word
    name, said = METHODS[found.method].name, []
    for label, words in by_arm.items():
        where = {word: [kind for kind, told in words.items() if told == word] for word in set(words.values())}
        if ahead := where.get("ahead"):
            level, behind = len(where.get("equivalent", ())), len(where.get("behind", ()))
            said.append(
                f"{label}, run on {len(words)} kinds of data, is ahead of {name} on {len(ahead)} "
                f"({', '.join(ahead)}), equivalent on {level} and behind on {behind or 'none'}."
            )
    return " ".join(said)
