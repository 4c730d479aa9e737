"""Which of the five methods fits a dataset and its constraints, why, and what would change the answer.

`recommend(facts)` walks the decision tree of `decision.yaml`: three questions, thresholds, warnings and starting
points, each saying whether a paper or our judgement stands behind it. Pure: the same facts give the same advice.
Each leaf names the regimes of the matched benchmark that bear on it; where these have been recorded, the advice
says what was measured there, also where it contradicts the rule.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from lessons_lib.errors import UserError
from lessons_lib.methods import METHODS

if TYPE_CHECKING:
    import pandas as pd

    from lessons_lib.data.findings import Profile

NOTHING_MEASURED = (
    "The matched comparison of the five methods has not been measured here yet: this advice rests on the papers "
    "named and on our judgement."
)
MEASURED_IN_THE_LAB = (
    "What is marked as measured here comes from small models in the lab, whose gold reward is known; the rest of this "
    "advice rests on the papers named and on our judgement."
)


Checkpoint = Literal["base", "sft", "chat"]
Reference = Literal["live", "precomputed", "none"]
Confidence = Literal["low", "moderate", "high"]


@dataclass(frozen=True)
class Constraints:
    """What the data cannot say; None is unknown.

    Attributes:
        checkpoint: what training starts from: "base", "sft" (fine-tuned on instructions) or "chat" (aligned already).
        reference: what there is room for: "live" (a frozen second model), "precomputed" (its log-probs, computed
            once before training), or "none".
        passes: planned passes over the data.
        lora: whether adapters are trained, and not all weights.
    """

    checkpoint: Checkpoint | None = None
    reference: Reference | None = None
    passes: int = 1
    lora: bool = False

    def __post_init__(self) -> None:
        known = {"checkpoint": ("base", "sft", "chat", None), "reference": ("live", "precomputed", "none", None)}
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise UserError(f"{name}: expected {', '.join(map(str, values))}, got {getattr(self, name)!r}")
        if self.passes < 1:
            raise UserError(f"passes: expected at least 1, got {self.passes}")


@dataclass(frozen=True)
class Facts:
    """The few numbers that decide. None is unknown; shares are in [0, 1]; low and high end 95 % intervals.

    Attributes:
        shape: "paired" or "unpaired".
        rows: what a trainer would see: decided pairs, or ratings. prompts: different ones.
        flip_rate: implied share of flipped labels; `why_flip_unknown` says why it is None.
        near_deterministic: share of items, rated at least twice and not mostly ties, whose raters all take one side.
        chosen_longer: share of pairs of unequal length whose winner is the longer one.
        first_wins: share of decisive verdicts for the response shown first.
        order_same: share of items that keep their verdict when the order is turned.
        order_consistent: number of items with the same winner in both orders.
        ties: share of verdicts that are ties. up_share: share of ratings that are up.
        pairs: pairs that the ratings would make. unpaired: share of the ratings that no pair would use.
        thumbs_up, thumbs_blind: where compared responses were also rated by themselves, the share of ups, and the
            share of decisive comparisons whose two thumbs are the same.
        hidden_ties, score_contradicts: share of pairs with equal scores, and with the higher score on the loser.
        cycles: share of prompts, where one could show, whose winners form a circle.
        repeats: share of decided rows that repeat another. leaks: prompts on both sides of a split.
        refused: rows that the reader could not use. empty: items with an empty text.
        identical: comparisons whose two texts differ in letter case and white space at most.
        repeats_prompt: items of which a response begins with the whole prompt. boilerplate: the largest share of
            winners, or of losers, that begin or end alike. templated: rows with the marks of a chat template.
        other_script: share of rows whose response is in another script than its prompt.
        not_read: columns that say something and are not used, in words.
        checkpoint, reference, passes, lora: see `Constraints`.
    """

    shape: Literal["paired", "unpaired"]
    rows: int
    prompts: int
    flip_rate: float | None = None
    flip_low: float | None = None
    flip_high: float | None = None
    why_flip_unknown: str = "nobody measured it"
    near_deterministic: float | None = None
    chosen_longer: float | None = None
    chosen_longer_low: float | None = None
    chosen_longer_high: float | None = None
    first_wins: float | None = None
    first_wins_low: float | None = None
    first_wins_high: float | None = None
    order_same: float | None = None
    order_same_low: float | None = None
    order_same_high: float | None = None
    order_consistent: int | None = None
    ties: float | None = None
    up_share: float | None = None
    pairs: int | None = None
    unpaired: float | None = None
    thumbs_up: float | None = None
    thumbs_blind: float | None = None
    hidden_ties: float | None = None
    score_contradicts: float | None = None
    cycles: float | None = None
    repeats: float | None = None
    leaks: int | None = None
    refused: int | None = None
    empty: int | None = None
    identical: int | None = None
    repeats_prompt: int | None = None
    boilerplate: float | None = None
    templated: int | None = None
    other_script: float | None = None
    not_read: str | None = None
    checkpoint: Checkpoint | None = None
    reference: Reference | None = None
    passes: int = 1
    lora: bool = False

    @classmethod
    def from_profile(cls, profile: Profile, constraints: Constraints | None = None) -> Facts:
        """The figures of a profile that decide, and the constraints beside them."""
        facts: dict[str, Any] = {f.name: profile.value(f.name) for f in fields(cls) if f.name in profile.figures}
        for name in ("chosen_longer", "first_wins", "order_same"):
            if name in profile.figures:
                facts |= {f"{name}_low": profile[name].low, f"{name}_high": profile[name].high}
        for name in ("repeats", "cycles"):  # counts there, shares here
            if (figure := profile.figures.get(name)) and figure.value is not None:
                facts[name] = figure.value / (figure.n or 1)
        flips, unpaired = profile["flip_rate"], profile.form == "unpaired"
        facts |= {"flip_low": flips.low, "flip_high": flips.high, "why_flip_unknown": flips.reason}
        facts["shape"] = "unpaired" if unpaired else "paired"
        facts["identical"] = profile.value("identical_normalised")
        lost = profile["not_read"].parts if "not_read" in profile.figures else {}
        facts["not_read"] = ", ".join(f"{name} in {part.value:,} rows" for name, part in lost.items()) or None
        facts["rows"] = profile.value("rows" if unpaired else "decided")
        return cls(**facts, **asdict(constraints or Constraints()))

    @property
    def place_bias(self) -> float | None:
        """How far from one half the nearer end of `first_wins`'s interval lies; at most 0 where one half is inside."""
        if self.first_wins_low is None or self.first_wins_high is None:
            return None
        return max(self.first_wins_low - 0.5, 0.5 - self.first_wins_high)

    @property
    def chosen_shorter(self) -> float | None:
        return None if self.chosen_longer is None else 1 - self.chosen_longer

    @property
    def kto_weight(self) -> float | None:
        """The weight that KTO needs on the smaller side of the ratings."""
        return None if self.up_share is None else max(kto_weights(self.up_share))


# The tree


@dataclass(frozen=True)
class Evidence:
    """What a rule or number rests on: our benchmark, a paper (`source`), or judgement."""

    kind: Literal["benchmark", "paper", "judgement"]
    says: str
    source: str = ""

    def __str__(self) -> str:
        return f"{self.says} ({self.source or f'our {self.kind}'})"


@dataclass(frozen=True)
class Threshold:
    """A number that a condition compares with."""

    value: float
    means: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True)
class Answer:
    """One answer to a question; of a question's answers the first whose conditions all hold is given.

    `then` is the next question or a leaf, `because` the reason (a template over the facts), `if_instead` changes
    that bring facts to this answer, and `change` the same in words.
    """

    label: str
    then: str
    because: str
    change: str
    if_instead: Mapping[str, Any]
    when: tuple[tuple, ...] = ()
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class Question:
    text: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Leaf:
    """Where the tree ends: the method, the next best and why it could be, and the methods that are as good."""

    method: str
    runner_up: str
    why: str
    ties: tuple[str, ...] = ()
    measured_on: tuple[str, ...] = ()  # regimes of the benchmark that bear on it


@dataclass(frozen=True)
class Tree:
    """All of `decision.yaml`. `alternatives`, `warnings` and `start` stay plain records."""

    thresholds: Mapping[str, Threshold]
    questions: Mapping[str, Question]
    leaves: Mapping[str, Leaf]
    alternatives: Sequence[Mapping]
    warnings: Sequence[Mapping]
    start: Mapping[str, Sequence[Mapping]]
    evidence: Mapping[str, Evidence] = field(repr=False)


_LISTS = ("ties", "measured_on")


@cache
def load_tree() -> Tree:
    """The decision tree; its first question is "shape"."""
    import yaml

    raw = yaml.safe_load(resources.files("lessons_lib.advice").joinpath("decision.yaml").read_text("utf-8"))
    evidence = {key: Evidence(**record) for key, record in raw["evidence"].items()}

    def behind(record: Mapping) -> tuple[Evidence, ...]:
        return tuple(evidence[key] for key in record.get("evidence", ()))

    def answer(a: Mapping) -> Answer:
        when = tuple(map(tuple, a.get("when", ())))
        return Answer(a["is"], a["then"], a["because"], a["change"], a["if_instead"], when, behind(a))

    return Tree(
        thresholds={k: Threshold(t["value"], t["means"], behind(t)) for k, t in raw["thresholds"].items()},
        questions={k: Question(q["asks"], tuple(map(answer, q["answers"]))) for k, q in raw["questions"].items()},
        leaves={
            k: Leaf(leaf["method"], leaf["runner_up"], leaf["why"], *(tuple(leaf.get(f, ())) for f in _LISTS))
            for k, leaf in raw["leaves"].items()
        },
        alternatives=raw["alternatives"],
        warnings=raw["warnings"],
        start=raw["start"],
        evidence=evidence,
    )


_RELATIONS = {
    "is": operator.eq, "is not": operator.ne,
    "at least": operator.ge, "above": operator.gt, "below": operator.lt,
}  # fmt: skip


def holds(facts: Facts, conditions: Sequence[Sequence]) -> bool:
    """Whether all conditions [fact, relation, bound] are met; a bound in capitals is a threshold's name.

    An unknown fact meets "unknown" and "is not", and nothing else.
    """
    return all(_holds(getattr(facts, fact), relation, *bound) for fact, relation, *bound in conditions)


def _holds(value: Any, relation: str, bound: Any = None) -> bool:
    if relation in ("known", "unknown"):
        return (value is None) == (relation == "unknown")
    if value is None:
        return relation == "is not"
    bound = load_tree().thresholds[bound].value if isinstance(bound, str) and bound.isupper() else bound
    return _RELATIONS[relation](value, bound)


def walk(facts: Facts) -> tuple[list[tuple[Question, Answer]], Leaf]:
    """The questions asked with the answers given, and where they end."""
    tree, path, key = load_tree(), [], "shape"
    while key in tree.questions:
        question = tree.questions[key]
        answer = next(a for a in question.answers if holds(facts, a.when))
        path.append((question, answer))
        key = answer.then
    return path, tree.leaves[key]


# The recommendation


@dataclass(frozen=True)
class Start:
    """A hyper-parameter to start from."""

    name: str
    value: float
    why: str
    evidence: Evidence | None  # None: somebody set it

    @property
    def source(self) -> str:
        """Where the value comes from, in words."""
        return self.evidence.source if self.evidence and self.evidence.source else "our judgement"


@dataclass(frozen=True)
class Measured:
    """What the benchmark found in a regime that bears on the answer: the method "wins", is "tied" or "behind"."""

    regime: str
    outcome: Literal["wins", "tied", "behind"]
    says: str


@dataclass(frozen=True)
class Recommendation:
    """What we would do, and how to argue with it.

    Attributes:
        choice: a key of `METHODS`. confidence: how sure we are, and `why_confidence`.
        ties: methods that are as good; `cheaper`: of those and the choice, the one with the fewest forward passes.
        path: (question, answer) pairs. reasons: sentences with the numbers that fired. evidence: behind them.
        runner_up: the next best, and `why_runner_up`. flips: (change, method) that it would lead to, nearest first.
        alternatives: (method, sentence), other readings of the same data.
        warnings: what to mend before training, most serious first. start: hyper-parameters to start from.
        measured: what our benchmark says about the choice. evidence_so_far: what the whole rests on.
        instead: what to do where the rows can teach none of the five; "" elsewhere.
    """

    choice: str
    confidence: Confidence
    why_confidence: str
    ties: tuple[str, ...]
    cheaper: str
    path: tuple[tuple[str, str], ...]
    reasons: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    runner_up: str
    why_runner_up: str
    flips: tuple[tuple[str, str], ...]
    alternatives: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    start: tuple[Start, ...]
    measured: tuple[Measured, ...]
    evidence_so_far: str
    instead: str = ""

    def as_dict(self) -> dict:
        return asdict(self)


def recommend(facts: Facts) -> Recommendation:
    """Walk the tree and say what a careful colleague would say about the answer.

    Example:
        >>> recommend(Facts("unpaired", rows=5000, prompts=900, up_share=0.9, unpaired=0.7)).choice
        'kto'
    """
    tree, (path, leaf) = load_tree(), walk(facts)
    found = measured(leaf)
    known = {**vars(facts), "chosen_shorter": facts.chosen_shorter}
    known = {name: 0 if value is None else value for name, value in known.items()}
    return Recommendation(
        leaf.method,
        *_confidence(facts, leaf, found),
        ties=leaf.ties,
        cheaper=_cheapest((leaf.method, *leaf.ties)) if leaf.ties else "",
        path=tuple((question.text, answer.label) for question, answer in path),
        reasons=tuple(answer.because.format(**known) for _, answer in path),
        evidence=tuple(dict.fromkeys(item for _, answer in path for item in answer.evidence)),
        runner_up=leaf.runner_up,
        why_runner_up=leaf.why,
        flips=_flips(facts, path, leaf),
        alternatives=tuple(
            (a["method"], a["says"].format(**known)) for a in tree.alternatives if holds(facts, a["when"])
        ),
        warnings=tuple(w["says"].format(**known) for w in tree.warnings if holds(facts, w["when"])),
        start=starting_point(leaf.method, facts),
        measured=found,
        evidence_so_far=evidence_so_far(),
        instead=_instead(facts),
    )


CONTENT = frozenset(("not_read", "repeats_prompt", "templated", "boilerplate", "identical", "other_script"))


def content_warnings(facts: Facts) -> tuple[str, ...]:
    """The warnings that are about the texts alone, whatever they are trained with."""
    known = {name: 0 if value is None else value for name, value in vars(facts).items()}
    told = (w for w in load_tree().warnings if {fact for fact, *_ in w["when"]} <= CONTENT)
    return tuple(w["says"].format(**known) for w in told if holds(facts, w["when"]))


def _instead(facts: Facts) -> str:
    if facts.shape != "unpaired" or facts.up_share not in (0, 1):
        return ""
    side, other = ("up", "down") if facts.up_share else ("down", "up")
    good = "fine-tune on them (SFT)" if facts.up_share else "fine-tune on good responses (SFT)"
    return (
        f"None of the five: all {facts.rows:,} ratings are {side}, and from one class no preference can be learnt. "
        f"Either {good}, or collect ratings that are {other}."
    )


def evidence_so_far() -> str:
    """What advice of this tree rests on, in a sentence."""
    return NOTHING_MEASURED if _benchmark() is None else MEASURED_IN_THE_LAB


@cache
def _benchmark() -> pd.DataFrame | None:
    """The recorded runs of the benchmark, or None before there are any."""
    from lessons_lib import benchmark

    try:
        return benchmark.results()
    except UserError:
        return None


@cache
def measured(leaf: Leaf) -> tuple[Measured, ...]:
    """What the benchmark found about a leaf's method, in each regime that bears on it and has been recorded."""
    table = _benchmark()
    if table is None:
        return ()
    regimes = [regime for regime in leaf.measured_on if regime in set(table["regime"])]
    return tuple(_measured_in(regime, leaf.method, table) for regime in regimes)


def _measured_in(regime: str, method: str, table: pd.DataFrame) -> Measured:
    from lessons_lib import benchmark
    from lessons_lib.benchmark.reading import difference

    (verdict,) = benchmark.verdicts(table[table["regime"] == regime]).itertuples()
    label, name = benchmark.REGIMES[regime].says, METHODS[method].name
    members = ", ".join(METHODS[key].name for key in verdict.members)
    if verdict.winner == method:
        says = f"{name} wins, by {verdict.lead:.2g} ({verdict.low:.2g} to {verdict.high:.2g}) points of gold reward"
        return Measured(regime, "wins", f"{label}: {says}; {verdict.seeds} seeds")
    if method in verdict.members:
        return Measured(regime, "tied", f"{label}: {members} cannot be told apart; {verdict.seeds} seeds")
    gap = difference(table, (regime, verdict.leader), (regime, method))
    best = f"{members} {'leads' if len(verdict.members) == 1 else 'lead'}"
    behind = f"{name} lies {gap.estimate:.2g} ({gap.low:.2g} to {gap.high:.2g}) points of gold reward behind"
    return Measured(
        regime, "behind", f"{label}: {best}, and {behind}, which contradicts this advice; {verdict.seeds} seeds"
    )


def _confidence(facts: Facts, leaf: Leaf, found: Sequence[Measured]) -> tuple[Confidence, str]:
    thresholds, outcomes = load_tree().thresholds, {one.outcome for one in found}
    noisy = thresholds["NOISY"].value
    if _instead(facts):
        return "high", "KTO's loss would stay where it starts, and pairs need both labels"
    if outcomes == {"behind"}:
        return "low", "our own benchmark found other methods ahead on such data"
    if leaf.method == "kto":
        if facts.unpaired is not None and facts.unpaired >= thresholds["MOST"].value:
            return "high", "most of your ratings can be used in no other way"
        return "moderate", "pairs can be built from most of your ratings, so the pair methods stay possible"
    if leaf.method in ("orpo", "simpo"):
        return "moderate", "your constraint decides here and not the data; lift it and the answer changes"
    if facts.flip_rate is None:
        return "low", "the label noise is unknown"
    if facts.flip_low is not None and facts.flip_high is not None and facts.flip_low < noisy < facts.flip_high:
        between = f"from {facts.flip_low:.0%} to {facts.flip_high:.0%}"
        return "low", f"the flip rate may lie anywhere {between}, on either side of the threshold of {noisy:.0%}"
    if leaf.ties:
        return "low", "this is a tie: the data, the learning rate and the number of passes matter more than the loss"
    if "behind" not in outcomes and "wins" in outcomes:
        return "high", "the numbers are clear, and our matched comparison agrees"
    if outcomes:
        return "moderate", "the numbers are clear, and our matched comparison does not single out this method"
    return "moderate", "the numbers are clear, but no matched comparison has tested the rule"


def _cheapest(methods: Sequence[str]) -> str:
    return min(methods, key=lambda key: METHODS[key].policy_passes + METHODS[key].reference_passes)


def _flips(facts: Facts, path: Sequence[tuple[Question, Answer]], leaf: Leaf) -> tuple[tuple[str, str], ...]:
    """The answers not given, the last question's first, where they lead elsewhere."""
    flips = []
    for question, taken in reversed(path):
        for answer in question.answers:
            method = walk(replace(facts, **answer.if_instead))[1].method
            if answer is not taken and method != leaf.method:
                flips.append((answer.change, method))
    return tuple(flips)


def starting_point(method: str, facts: Facts) -> tuple[Start, ...]:
    """Hyper-parameters to start from, those that these facts move included. One pass in every case."""
    tree, knobs = load_tree(), METHODS[method].hyperparameters
    starts = []
    for record in tree.start[method]:
        value = knobs[record["name"]].default if record["value"] is None else record["value"]
        why = record["why"]
        if facts.lora and record["name"] == "learning_rate":
            step = tree.thresholds["LORA_STEP"]
            value, why = step.value * value, f"{step.value:g} times that of all weights, as adapters need ({why})"
        starts.append(Start(record["name"], value, why, tree.evidence[record["evidence"]]))
    if method == "kto" and facts.up_share is not None:
        why = f"{facts.up_share:.0%} of the ratings are up"
        for name, weight in zip(("desirable_weight", "undesirable_weight"), kto_weights(facts.up_share), strict=True):
            starts.append(Start(name, weight, why, tree.evidence["weights"]))
    once = Start("epochs", 1, "a second pass is where over-optimization sets in", tree.evidence["overopt"])
    return (*starts, once)


def kto_weights(up_share: float) -> tuple[float, float]:
    """KTO's λ_D and λ_U: the smaller side is raised until λ_D·n_D / (λ_U·n_U) lies in [1, 3/2].

    Example:
        >>> kto_weights(0.5), kto_weights(1 / 11), kto_weights(0.9)
        ((1.0, 1.0), (10.0, 1.0), (1.0, 6.0))
    """
    if not 0 < up_share < 1:
        return 1.0, 1.0
    ratio, most = up_share / (1 - up_share), load_tree().thresholds["BALANCE"].value
    return (round(max(1.0, 1 / ratio), 2), round(max(1.0, ratio / most), 2))


# The briefs of real datasets


@dataclass(frozen=True)
class Brief:
    """The situation a real dataset is set in, the choice that we argue for there, and its argued alternatives."""

    text: str
    constraints: Constraints
    argued: str
    alternatives: tuple[str, ...]


@cache
def briefs() -> Mapping[str, Brief]:
    """The briefs by name of the dataset."""
    records = json.loads(resources.files("lessons_lib.advice").joinpath("briefs.json").read_text("utf-8"))
    return MappingProxyType(
        {
            name: Brief(b["text"], Constraints(**b["constraints"]), b["argued"], tuple(b["alternatives"]))
            for name, b in records.items()
        }
    )
