"""From evidence to a choice: which of the methods at hand to start with, who is as good, and what each world says.

The rule is short. In each world, the methods that are not shown to be behind the leader stay in play. Of those in play
in every world that measured such data, start with the one that is left; where several are, they cannot be told apart,
and the one is taken that is least far behind at its worst, counted over all regimes from an SFT model
(`evidence.default`). What a method
was made for decides only where nothing was measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from lessons_lib.advice import evidence
from lessons_lib.advice.evidence import FIVE, LABELS, PUBLISHED, WORLDS, Badge, Better, Claim, Word, world_of
from lessons_lib.metrics import Interval

MAIN = "46k"  # the world with the most runs: its regrets are shown, and it names the default
PILOT_SEEDS = 3


@dataclass(frozen=True)
class Column:
    """What one column of the evidence says: a world of ours, or what others published.

    Attributes:
        key: "46k", "135M" or "published". label: the same in words.
        badge: what it makes of the mechanism's prediction for this leaf.
        regimes: where it was measured; words: the method made for this, against each of the others there.
        says: sentences with the figures.
    """

    key: str
    label: str
    badge: Badge
    regimes: tuple[str, ...]
    words: dict[str, Word]
    says: tuple[str, ...]


@dataclass(frozen=True)
class Choice:
    """What to start with among the methods at hand, and how each of the others stands to it.

    Attributes:
        start_with: a key of `METHODS`. default: whether it was taken because nothing could be told apart.
        equivalents: as good, to within what counts. cannot_tell: may be better or worse. behind: shown to be worse.
        ahead: shown to be better in the main world, and yet not chosen, because it is behind in the other world.
        regrets: of all five, in points of gold reward behind the best of them, with 95 % intervals.
        gaps: start_with minus each of the others at hand, with intervals corrected for all pairs.
        columns: the evidence. beyond: other arms that are ahead or equivalent. baseline: SFT alone, where it was run.
        regimes: those of the main world that were looked at; empty where nothing was measured.
        disagree: whether what is in play in one world is not in the other.
        words: world to method, for each world that was measured: start_with against each of the others at hand.
    """

    start_with: str
    default: bool
    equivalents: tuple[str, ...]
    cannot_tell: tuple[str, ...]
    behind: tuple[str, ...]
    ahead: tuple[str, ...]
    regrets: dict[str, Interval]
    gaps: dict[str, Interval]
    columns: tuple[Column, ...]
    beyond: tuple[Better, ...]
    baseline: Better | None
    regimes: tuple[str, ...]
    disagree: bool
    words: dict[str, dict[str, Word]]

    def said(self, word: Word) -> tuple[str, ...]:
        """The rivals against which a word is said of start_with in any of our worlds, least regret first."""
        return tuple(m for m in self.rivals if word in [by.get(m) for by in self.words.values()])

    @property
    def rivals(self) -> tuple[str, ...]:
        """The methods at hand other than start_with, least regret first."""
        return tuple(method for method in self.regrets if method in self.gaps)


@cache
def choose(
    leaf: str,
    made_for: str,
    claim: Claim,
    regimes: tuple[str, ...],
    elsewhere: tuple[str, ...],
    methods: tuple[str, ...] = FIVE,
) -> Choice:
    """The choice among `methods`.

    Args:
        leaf: a key of the tree's leaves, for what was published about it.
        made_for, claim: the method that was made for this, and what that predicts: see `evidence.badge`.
        regimes: those nearest to the facts. elsewhere: those that stand in where a world has measured none of them.
        methods: those at hand.
    """
    at = {world: _measured(world, regimes, elsewhere) for world in WORLDS}
    columns = (*(_column(world, at[world], made_for, claim, methods) for world in WORLDS), _published(leaf))
    in_play = {world: evidence.level(world, found, methods) for world, found in at.items() if found}
    start, default, disagree = _start(in_play, made_for, methods)
    others = tuple(method for method in methods if method != start)
    world = MAIN if at[MAIN] else next(iter(in_play), MAIN)
    found = at[world]
    if not found:
        return Choice(start, False, (), others, (), (), {}, {}, columns, (), None, (), False, {})
    words = {name: evidence.words(name, there, start, others) for name, there in at.items() if there}
    said = words[world]
    gaps = evidence.comparisons(world, found, tuple(sorted(methods))) if others else {}

    def those(word: Word) -> tuple[str, ...]:
        return tuple(method for method in evidence.regrets(world, found) if said.get(method) == word)

    return Choice(
        start,
        default,
        *(those("equivalent"), those("cannot tell"), those("ahead"), those("behind")),
        evidence.regrets(world, found),
        {other: gaps[start, other] for other in others},
        columns,
        evidence.beyond(world, found, start),
        next((one for one in evidence.others(world, found, start) if one.arm == "sft"), None),
        found,
        disagree,
        words,
    )


def _measured(world: str, regimes: tuple[str, ...], elsewhere: tuple[str, ...]) -> tuple[str, ...]:
    """Of the regimes those that the world has measured; where there are none, of those elsewhere."""
    whole = evidence.measured(world)
    return tuple(r for r in regimes if r in whole) or tuple(r for r in elsewhere if r in whole)


def _start(in_play: dict[str, tuple[str, ...]], made_for: str, methods: tuple[str, ...]) -> tuple[str, bool, bool]:
    """(the method to start with, whether it is the default among several, whether the worlds disagree)."""
    if not in_play:
        return (made_for if made_for in methods else methods[0]), False, False
    worlds = list(in_play.values())
    both = [method for method in worlds[0] if all(method in others for others in worlds)]
    # the last world is the pre-trained one, nearer to a reader's model
    left, disagree = (both, False) if both else (list(worlds[-1]), True)
    usual = evidence.default(MAIN)
    if len(left) == 1 or usual is None:
        return left[0], False, disagree
    return min(left, key=lambda method: usual.methods[method].worst), True, disagree


def _column(world: str, regimes: tuple[str, ...], made_for: str, claim: Claim, methods: tuple[str, ...]) -> Column:
    label = LABELS[world]
    if not regimes:
        return Column(world, label, "not measured", (), {}, ("not measured",))
    among = methods if made_for in methods and len(methods) > 1 else FIVE
    rivals = [method for method in among if method != made_for]
    found = evidence.words(world, regimes, made_for, rivals)
    says = tuple(_regime_says(world, regime) for regime in regimes)
    return Column(world, label, evidence.badge(found, claim), regimes, found, says)


def _regime_says(world: str, regime: str) -> str:
    """One regime's regrets in a sentence, least first."""
    arms, (best, *others) = world_of(world).arms, evidence.regrets(world, (regime,)).items()
    words = evidence.words(world, (regime,), best[0], [method for method, _ in others])
    shown = [f"{arms[method].label} {gap.estimate:.2f} ({words[method]})" for method, gap in others]
    shown = [text.replace("(ahead)", "(behind)") for text in shown]
    runs = best[1].n
    return (
        f"{world_of(world).regimes[regime].says}: {arms[best[0]].label} has the highest mean of {runs} runs; "
        f"points of gold reward behind it: {', '.join(shown)}"
    )


def _published(leaf: str) -> Column:
    reports = evidence.reports().get(leaf, ())
    says = tuple(f"{report.says} ({report.cites})" for report in reports)
    return Column(PUBLISHED, LABELS[PUBLISHED], evidence.published_badge(leaf), (), {}, says or ("nothing found",))


@cache
def pilot(choice_regimes: tuple[str, ...], one: str, other: str) -> tuple[float, float]:
    """(what `PILOT_SEEDS` paired runs would show in 8 of 10 cases, the distance measured), in points of gold reward."""
    shows = evidence.visible(MAIN, choice_regimes, one, other, seeds=PILOT_SEEDS)
    gap = evidence.comparisons(MAIN, choice_regimes, tuple(sorted((one, other))))[one, other]
    return shows, gap.estimate
