"""Which of the five methods to start with, on what evidence, at what cost, and what would change the answer.

`recommend(facts)` keeps three things apart. The **mechanism**: the tree of `decision.yaml` asks three questions and
ends at the method that was made for such data. The **evidence**: what our two worlds measured in the regimes nearest
to the facts, and what others published (`evidence`, `choice`). The **cost**: passes, memory, stages, knobs. Where the
evidence contradicts the mechanism, the advice follows the evidence and says so. Pure: the same facts and the same
recorded runs give the same advice.
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

from lessons_lib.advice.choice import MAIN, PILOT_SEEDS, Choice, Column, choose, pilot
from lessons_lib.advice.evidence import FIVE, IN, Better, Claim, chosen
from lessons_lib.errors import UserError
from lessons_lib.methods import METHODS
from lessons_lib.metrics import Interval

if TYPE_CHECKING:
    from lessons_lib.data.findings import Profile

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
class Source:
    """What a rule or number of the tree rests on: a paper (`cites`), our benchmark's design, or judgement."""

    kind: Literal["benchmark", "paper", "judgement"]
    says: str
    cites: str = ""

    def __str__(self) -> str:
        return f"{self.says} ({self.cites or f'our {self.kind}'})"


@dataclass(frozen=True)
class Threshold:
    """A number that a condition compares with."""

    value: float
    means: str
    sources: tuple[Source, ...]


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
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True)
class Question:
    text: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Leaf:
    """Where the tree ends: the method that was made for this, and what that predicts.

    Attributes:
        key: its name in the tree. made_for: a key of `METHODS`. mechanism: what its paper argues, with `sources`.
        claim: what the mechanism predicts of runs: see `evidence.badge`.
        measured_on: regimes that bear on it. methods: those at hand here; all five where nothing rules any out.
    """

    key: str
    made_for: str
    claim: Claim
    mechanism: str
    sources: tuple[Source, ...]
    measured_on: tuple[str, ...]
    methods: tuple[str, ...] = FIVE


@dataclass(frozen=True)
class Nearest:
    """A group of regimes, when it is meant, and by which facts the nearest of it are found."""

    when: tuple[tuple, ...]
    by: tuple[str, ...]
    regimes: Mapping[str, float]


@dataclass(frozen=True)
class Tree:
    """All of `decision.yaml`. `alternatives`, `warnings` and `start` stay plain records."""

    thresholds: Mapping[str, Threshold]
    questions: Mapping[str, Question]
    leaves: Mapping[str, Leaf]
    nearest: Sequence[Nearest]
    nearest_too: Sequence[Nearest]
    alternatives: Sequence[Mapping]
    warnings: Sequence[Mapping]
    start: Mapping[str, Sequence[Mapping]]
    sources: Mapping[str, Source] = field(repr=False)


@cache
def load_tree() -> Tree:
    """The decision tree; its first question is "shape"."""
    import yaml

    raw = yaml.safe_load(resources.files("lessons_lib.advice").joinpath("decision.yaml").read_text("utf-8"))
    sources = {key: Source(**record) for key, record in raw["sources"].items()}

    def behind(record: Mapping) -> tuple[Source, ...]:
        return tuple(sources[key] for key in record.get("sources", ()))

    def answer(a: Mapping) -> Answer:
        when = tuple(map(tuple, a.get("when", ())))
        return Answer(a["is"], a["then"], a["because"], a["change"], a["if_instead"], when, behind(a))

    def leaf(key: str, record: Mapping) -> Leaf:
        lists = {name: tuple(record[name]) for name in ("measured_on", "methods") if name in record}
        return Leaf(key, record["made_for"], record["claim"], record["mechanism"], behind(record), **lists)

    def group(record: Mapping) -> Nearest:
        return Nearest(tuple(map(tuple, record["when"])), tuple(record["by"]), record["regimes"])

    return Tree(
        thresholds={k: Threshold(t["value"], t["means"], behind(t)) for k, t in raw["thresholds"].items()},
        questions={k: Question(q["asks"], tuple(map(answer, q["answers"]))) for k, q in raw["questions"].items()},
        leaves={key: leaf(key, record) for key, record in raw["leaves"].items()},
        nearest=tuple(map(group, raw["nearest"])),
        nearest_too=tuple(map(group, raw["nearest_too"])),
        alternatives=raw["alternatives"],
        warnings=raw["warnings"],
        start=raw["start"],
        sources=sources,
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
    """The questions asked with the answers given, and the leaf where they end."""
    tree, path, key = load_tree(), [], "shape"
    while key in tree.questions:
        question = tree.questions[key]
        answer = next(a for a in question.answers if holds(facts, a.when))
        path.append((question, answer))
        key = answer.then
    return path, tree.leaves[key]


def nearest(facts: Facts) -> tuple[str, ...]:
    """The regimes of the benchmark whose rows and terms are nearest to these facts.

    An estimate that may lie nearer to one regime or to another, by its interval, names both; an unknown one names all
    of the group.

    Example:
        >>> nearest(Facts("paired", 4000, 2000, flip_rate=0.18, flip_low=0.12, flip_high=0.29))
        ('clean', 'noisy_20')
    """
    tree = load_tree()
    first = next(group for group in tree.nearest if holds(facts, group.when))
    groups = [first, *(group for group in tree.nearest_too if holds(facts, group.when))]
    return tuple(regime for group in groups for regime in _nearest_of(group, facts))


def _nearest_of(group: Nearest, facts: Facts) -> list[str]:
    values = [value for name in group.by if (value := getattr(facts, name)) is not None]
    if not values:
        return list(group.regimes)
    close = {min(group.regimes, key=lambda regime: abs(group.regimes[regime] - value)) for value in values}
    return [regime for regime in group.regimes if regime in close]


def at_hand(facts: Facts) -> tuple[str, ...]:
    """The methods that can be used at all: of ratings that make hardly a pair KTO; without a reference two."""
    methods = FIVE
    pairs, enough = facts.pairs or 0, load_tree().thresholds["PAIRED"].value
    if facts.shape == "unpaired" and (not pairs or pairs < enough * facts.rows):
        return ("kto",)
    if facts.reference == "none":
        methods = tuple(method for method in methods if not METHODS[method].needs_reference)
    return methods


# The recommendation


@dataclass(frozen=True)
class Start:
    """A hyper-parameter to start from."""

    name: str
    value: float
    why: str
    rests_on: Source | None  # None: somebody set it

    @property
    def source(self) -> str:
        """Where the value comes from, in words."""
        return self.rests_on.cites if self.rests_on and self.rests_on.cites else "our judgement"


@dataclass(frozen=True)
class Cost:
    """What a method takes. Passes are forward passes for each pair (KTO: each response) in a training step.

    Attributes:
        policy_passes, reference_passes: the latter with a live reference; computed once beforehand they are 0.
        stages: trainings from a base model on. knobs: hyper-parameters of the loss.
        peak_gib, precomputed_gib: predicted peak of one GPU, all weights of a 7 B model trained in mixed precision on
            one pair of 1,024 tokens at a time, with a live reference and with its log-probs computed beforehand.
    """

    policy_passes: int
    reference_passes: int
    stages: int
    knobs: tuple[str, ...]
    peak_gib: float
    precomputed_gib: float


@dataclass(frozen=True)
class Recommendation:
    """What we would do, on what evidence, and how to argue with it. Methods are keys of `METHODS`.

    Attributes:
        leaf: where the tree ended. made_for: the method the course's map sends there, and why: `mechanism`, `sources`.
        start_with: the method to start with. default: whether it was taken because nothing could be told apart.
        equivalents, cannot_tell, behind: how the others at hand stand to it, by the nearest runs of ours.
        regrets: of all five, points of gold reward behind the best in the nearest regimes, with 95 % intervals.
        gaps: start_with minus each other method at hand, with corrected intervals.
        evidence: three columns, 46 k, 135 M and published, each with a badge and what it says.
        verdict: what the evidence makes of the mechanism, in a sentence.
        beyond: arms beyond the five that are ahead of it, or equivalent. baseline: SFT alone, where it was run.
        costs: of each method at hand.
        path: (question, answer) pairs. reasons: sentences with the numbers that fired.
        runner_up: the next best, and `why_runner_up`; "" where there is none.
        flips: (change, method to start with then), nearest first.
        alternatives: (method, sentence), other readings of the same data.
        how_sure, why_sure: how much to rely on it. pilot: what one pilot would tell.
        warnings: what to mend before training, most serious first. start: hyper-parameters to start from.
        regimes: the benchmark's, nearest to the facts. instead: said in place of all this, where no method would do.
    """

    leaf: str
    made_for: str
    mechanism: str
    sources: tuple[Source, ...]
    start_with: str
    default: bool
    equivalents: tuple[str, ...]
    cannot_tell: tuple[str, ...]
    behind: tuple[str, ...]
    regrets: dict[str, Interval]
    gaps: dict[str, Interval]
    evidence: tuple[Column, ...]
    verdict: str
    beyond: tuple[Better, ...]
    baseline: Better | None
    costs: dict[str, Cost]
    path: tuple[tuple[str, str], ...]
    reasons: tuple[str, ...]
    runner_up: str
    why_runner_up: str
    flips: tuple[tuple[str, str], ...]
    alternatives: tuple[tuple[str, str], ...]
    how_sure: Confidence
    why_sure: str
    pilot: str
    warnings: tuple[str, ...]
    start: tuple[Start, ...]
    regimes: tuple[str, ...]
    instead: str = ""

    @property
    def badges(self) -> dict[str, str]:
        """The three columns' badges by key."""
        return {column.key: column.badge for column in self.evidence}

    def as_dict(self) -> dict:
        """Plain dicts, lists and numbers, ready for JSON."""
        return asdict(self)


def recommend(facts: Facts) -> Recommendation:
    """Walk the tree, look at the evidence, and say what a careful colleague would say.

    Example:
        >>> recommend(Facts("unpaired", rows=5000, prompts=900, up_share=0.9, unpaired=1.0, pairs=0)).start_with
        'kto'
    """
    tree, (path, leaf) = load_tree(), walk(facts)
    found = decided(facts)
    known = {**vars(facts), "chosen_shorter": facts.chosen_shorter}
    known = {name: 0 if value is None else value for name, value in known.items()}
    runner_up, why_runner_up = _runner_up(found)
    how_sure, why_sure = _how_sure(facts, leaf.key, found)
    return Recommendation(
        leaf=leaf.key,
        made_for=leaf.made_for,
        mechanism=leaf.mechanism,
        sources=tuple(dict.fromkeys([*leaf.sources, *(item for _, answer in path for item in answer.sources)])),
        **{name: getattr(found, name) for name in ("start_with", "default", "equivalents", "cannot_tell", "behind")},
        regrets=found.regrets,
        gaps=found.gaps,
        evidence=found.columns,
        verdict=_verdict(leaf, found),
        beyond=found.beyond,
        baseline=found.baseline,
        costs={method: cost(method) for method in at_hand(facts)},
        path=tuple((question.text, answer.label) for question, answer in path),
        reasons=tuple(answer.because.format(**known) for _, answer in path),
        runner_up=runner_up,
        why_runner_up=why_runner_up,
        flips=_flips(facts, path, found.start_with),
        alternatives=tuple(
            (a["method"], a["says"].format(**known)) for a in tree.alternatives if holds(facts, a["when"])
        ),
        how_sure=how_sure,
        why_sure=why_sure,
        pilot=_pilot(found),
        warnings=tuple(w["says"].format(**known) for w in tree.warnings if holds(facts, w["when"])),
        start=starting_point(found.start_with, facts),
        regimes=found.regimes,
        instead=_instead(facts),
    )


def decided(facts: Facts) -> Choice:
    """The choice for these facts: among the methods at hand, by the regimes nearest to them."""
    leaf = walk(facts)[1]
    return choose(leaf.key, leaf.made_for, leaf.claim, nearest(facts), leaf.measured_on, at_hand(facts))


def named(methods: Sequence[str], joint: str = "and") -> str:
    """Methods by name, as a sentence lists them."""
    *most, last = (METHODS[method].name for method in methods)
    return f"{', '.join(most)} {joint} {last}" if most else last


def _verdict(leaf: Leaf, found: Choice) -> str:
    """What the evidence makes of the mechanism, and which of the two is followed."""
    made, start = METHODS[leaf.made_for].name, METHODS[found.start_with].name
    follows = (
        "nothing nearby separates what is left, so this takes the default over all kinds of data"
        if found.default
        else "this follows the runs"
    )
    badges = {IN[column.key]: column.badge for column in found.columns if column.badge != "not measured"}
    ours = [column.badge for column in found.columns[:-1] if column.badge != "not measured"]
    told = ", ".join(f"{label}: {what}" for label, what in badges.items())
    if not ours:
        return f"Nothing was measured here, so this follows the mechanism: {start}."
    if not found.rivals:
        return f"Of the five, {start} alone can use what you have."
    if leaf.made_for == found.start_with:
        return f"{start} is what the mechanism names, too ({told})."
    if "contradicted" in ours:
        return f"The evidence contradicts the mechanism, which names {made} ({told}); {follows}."
    return f"The mechanism names {made}, and runs do not bear that out so far ({told}); {follows}."


def recommendation_words(leaf: Leaf, found: Choice) -> tuple[Confidence, str, str, str]:
    """(how sure, why, what a pilot would tell, the verdict on the mechanism) of a choice, facts aside."""
    return (*_carried(found), _pilot(found), _verdict(leaf, found))


def _runner_up(found: Choice) -> tuple[str, str]:
    """The method with the next least regret, and how it stands."""
    for word, methods in (("ahead", found.ahead), ("equivalent", found.equivalents), ("cannot", found.cannot_tell)):
        if methods:
            return methods[0], _STANDS[word]
    return (found.behind[0], _STANDS["behind"]) if found.behind else ("", "")


_STANDS = {
    "ahead": "ahead of it in our small models, and behind in the pre-trained one",
    "equivalent": "equivalent in the nearest runs: the difference is smaller than counts",
    "cannot": "which cannot be told from it in the nearest runs",
    "behind": "which was behind it in the nearest runs",
}


@cache
def cost(method: str) -> Cost:
    """What a method takes, from the table of methods and the memory estimate."""
    from lessons_lib.memory.architecture import llama_like
    from lessons_lib.memory.estimate import GIB, Setting, estimate

    facts, model = METHODS[method], llama_like(7e9)
    peaks = [
        estimate(Setting(model, method, checkpointing=True, logits="chunked", reference=reference)).peak_bytes / GIB
        for reference in ("model" if facts.needs_reference else "precomputed", "precomputed")
    ]
    stages = 1 if method == "orpo" else 2
    knobs = tuple(facts.hyperparameters)
    return Cost(facts.policy_passes, facts.reference_passes, stages, knobs, round(peaks[0], 1), round(peaks[1], 1))


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


def _how_sure(facts: Facts, leaf: str, found: Choice) -> tuple[Confidence, str]:
    """How far to rely on a choice: less than the evidence carries where the facts that led to it are not known."""
    noisy = load_tree().thresholds["NOISY"].value
    if _instead(facts):
        return "high", "KTO's loss would stay where it starts, and pairs need both labels"
    if leaf not in ("ratings", "one stage") and facts.flip_rate is None:
        return "low", "the label noise is unknown"
    if facts.flip_low is not None and facts.flip_high is not None and facts.flip_low < noisy < facts.flip_high:
        between = f"from {facts.flip_low:.0%} to {facts.flip_high:.0%}"
        return "low", f"the flip rate may lie anywhere {between}, on either side of the threshold of {noisy:.0%}"
    return _carried(found)


def _carried(found: Choice) -> tuple[Confidence, str]:
    """How sure the evidence alone makes: more than "low" takes both of our worlds."""
    worlds = [column for column in found.columns[:-1] if column.regimes]
    if not worlds:
        return "low", "no matched comparison of ours has tested this"
    if not found.rivals:
        return "moderate", "your data or constraints leave no other of the five, whatever was measured"
    if found.disagree:
        return "low", "our two worlds disagree, and this follows the pre-trained model"
    if untold := found.said("cannot tell"):
        return "low", f"{named(untold)} cannot be told from it by the nearest runs"
    same = found.said("equivalent")
    level = f"{named(same)} would do as well, to within what counts" if same else ""
    if len(worlds) == 1:
        alone = f"only {worlds[0].label} were measured, and ranks may turn in a larger one"
        return "low", "; ".join(filter(None, (level, alone)))
    return ("moderate", level) if level else ("high", "it is ahead of the others at hand in both of our worlds")


def _pilot(found: Choice) -> str:
    """What one small matched comparison could show, at the spread and the distance that the nearest runs have."""
    if not found.rivals or not found.regimes:
        return "One pilot would tell whether training helps at all, and what it does to length, endings and KL."
    rival = found.rivals[0]
    shows, gap = pilot(found.regimes, found.start_with, rival)
    could = "so it could tell them apart" if abs(gap) >= shows else "so it could not tell them apart"
    return (
        f"{PILOT_SEEDS} paired runs of {named([found.start_with, rival])} would show a difference of {shows:.2f} "
        f"points of gold reward in 8 of 10 cases, at the spread measured here. In the nearest runs the two lie "
        f"{abs(gap):.2f} apart, {could}. It would show whether training helps at all on your data, and what it does to "
        f"length, endings and KL."
    )


def _flips(facts: Facts, path: Sequence[tuple[Question, Answer]], start: str) -> tuple[tuple[str, str], ...]:
    """The answers not given, the last question's first, where they lead elsewhere."""
    flips = []
    for question, taken in reversed(path):
        for answer in question.answers:
            method = decided(replace(facts, **answer.if_instead)).start_with
            if answer is not taken and method != start:
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
        why = "; ".join(filter(None, (why, _searched(method, record["name"], value))))
        starts.append(Start(record["name"], value, why, tree.sources[record["source"]]))
    if method == "kto" and facts.up_share is not None:
        why = f"{facts.up_share:.0%} of the ratings are up"
        for name, weight in zip(("desirable_weight", "undesirable_weight"), kto_weights(facts.up_share), strict=True):
            starts.append(Start(name, weight, why, tree.sources["weights"]))
    once = Start("epochs", 1, "a second pass is where over-optimization sets in", tree.sources["overopt"])
    return (*starts, once)


def _searched(method: str, name: str, start: float) -> str:
    """Which values of a hyper-parameter our runs were made at, where most are on one side of the start."""
    values = chosen(MAIN, method, name)
    half_a_step = 3**0.5  # the search went by steps of three, not always from this start
    above, below = (
        sum(value > half_a_step * start for value in values),
        sum(value < start / half_a_step for value in values),
    )
    if 2 * max(above, below) <= len(values):
        return ""
    way, count = ("above", above) if above > below else ("below", below)
    return (
        f"the search in our small models chose {min(values):g} to {max(values):g}, {way} this start on {count} of "
        f"{len(values)} kinds of data: search {'upwards' if above > below else 'downwards'}, too, in steps of three"
    )


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
    """The situation a real dataset is set in, in words, and what it says beside the rows."""

    text: str
    constraints: Constraints


@cache
def briefs() -> Mapping[str, Brief]:
    """The briefs by name of the dataset."""
    records = json.loads(resources.files("lessons_lib.advice").joinpath("briefs.json").read_text("utf-8"))
    return MappingProxyType({name: Brief(b["text"], Constraints(**b["constraints"])) for name, b in records.items()})
