"""The picture of the result: regimes by methods, a dot with its interval each, in two worlds, as a table of HTML.

A table, so that a screen reader and a printer get it whole: each cell holds a small drawing and, for those who do not
see it, the same in words. Widths are per cent of the cell: one picture fits a phone and a page. `lessons.css` has the
colours; each verdict has a shape of its own as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape

import pandas as pd

from lessons_lib.benchmark import design, reading, shop_design, shop_reading, standing
from lessons_lib.benchmark.design import ARMS, FIVE, Regime
from lessons_lib.benchmark.mechanisms import MOVED
from lessons_lib.benchmark.standing import Standing

LOW, HIGH = -1.1, 0.5  # gold points that a cell spans; what lies outside becomes an arrow at its edge
TICKS = (-1, 0)
SIGNS = {  # a verdict's mark around its place: shape and not colour alone
    "ahead": "M-5 4L0 -5L5 4Z",
    "equivalent": "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0Z",
    "cannot tell": "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0Z",
    "behind": "M-3.5 -3.5L3.5 3.5M-3.5 3.5L3.5 -3.5",
}
STILL = "°"
MEANINGS = {
    "ahead": "ahead",
    "equivalent": "equivalent: all of the interval within ±{delta:g}",
    "cannot tell": "cannot tell",
    "behind": "behind",
}


@dataclass(frozen=True)
class World:
    """One of the lab's worlds as the picture needs it, with its recorded runs; those without a gold reward drop out."""

    key: str
    label: str
    runs: pd.DataFrame
    regimes: Mapping[str, Regime]
    delta: float
    searched: pd.DataFrame | None = None  # of `reading.tuned`; None: nothing is said of where the search ended

    @cached_property
    def standings(self) -> list[Standing]:
        return standing.standings(self.runs.dropna(subset="gold"), list(self.regimes), self.delta)


def worlds() -> tuple[World, World]:
    """The small models' world, and the pre-trained model's."""
    return (
        World("small", "small, 46 k weights", reading.results(), design.REGIMES, design.DELTA, reading.tuned()),
        World("shop", "pre-trained, 135 M weights", shop_reading.final(), shop_design.REGIMES, shop_design.DELTA),
    )


class ResultPicture:
    """The picture with a switch between the worlds; in a notebook's plain text, a line for each regime."""

    def __init__(self, shown: Sequence[World] | None = None):
        self.worlds = worlds() if shown is None else shown

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        return {"text/html": self.html(), "text/plain": "\n\n".join(map(in_words, self.worlds))}

    def html(self) -> str:
        switch = "".join(
            f'<label><input type="radio" name="result-world" value="{world.key}"{" checked" * (not place)}>'
            f"<span>{escape(world.label)}</span></label>"
            for place, world in enumerate(self.worlds)
        )
        return (
            '<section class="lx-result" aria-label="The result, as one picture">'
            f'<fieldset class="lx-worlds"><legend class="lx-hidden">Measured on</legend>{switch}</fieldset>'
            f"{''.join(map(_world, self.worlds))}</section>"
        )


def sentence(world: World) -> str:
    """What was found in a world, in one sentence; "Not run yet." before there are runs."""
    if not world.standings:
        return "Not run yet."
    unfinished = set()
    if world.searched is not None:
        unfinished = set(reading.edges(world.searched)[["regime", "arm"]].itertuples(index=False, name=None))
    notes = standing.caveats(world.runs, world.standings, world.delta)
    return standing.sentence(world.standings, world.regimes, notes, unfinished)


def in_words(world: World) -> str:
    """The picture of one world as text."""
    found = world.standings
    if not found:
        return f"{world.label}: not run yet."
    lines = [f"{world.label}. {sentence(world)}"]
    for regime in dict.fromkeys(one.regime for one in found):
        cells = [f"{ARMS[one.arm].label} {_words(one)}" for one in found if one.regime == regime]
        lines.append(f"{world.regimes[regime].label}: {'; '.join(cells)}.")
    return "\n".join(lines)


def _words(one: Standing) -> str:
    gap = one.difference
    numbers = f"{gap.estimate:+.2f} ({gap.low:+.2f} to {gap.high:+.2f})".replace("-", "−")
    return f"{one.word}, {numbers} against {ARMS[one.against].label}{', stayed at its start' * one.still}"


def _world(world: World) -> str:
    found = world.standings
    if not found:
        return f'<div class="lx-world" data-world="{world.key}"><p>Not run yet.</p></div>'
    head = "".join(f'<th scope="col">{ARMS[arm].label}</th>' for arm in FIVE)
    rows = "".join(
        f'<tr><th scope="row">{escape(world.regimes[regime].label)}</th>'
        f"{''.join(_cell(one, world.delta) for one in found if one.regime == regime)}</tr>"
        for regime in dict.fromkeys(one.regime for one in found)
    )
    return (
        f'<div class="lx-world" data-world="{world.key}"><table>'
        "<caption>Points of gold reward, minus the leader's; of the leader itself, minus that of the one it is least "
        f"surely ahead of. 95 % intervals, Holm-corrected as to their side of 0{_legend(world.delta)}</caption>"
        f'<thead><tr><th scope="col">data</th>{head}</tr></thead><tbody>{rows}</tbody>'
        f"<tfoot>{_axis_row()}{_counts(found)}</tfoot></table></div>"
    )


def _legend(delta: float) -> str:
    marks = "".join(
        f'<span class="lx-verdict-{_name(word)}">{_sign(word)} {meaning.format(delta=delta)}</span>'
        for word, meaning in MEANINGS.items()
    )
    return f'<span class="lx-signs">{marks}<span>{STILL} stayed at its start: KL below {MOVED:g} nats</span></span>'


def _sign(word: str) -> str:
    return f'<svg width="14" height="14" viewBox="-7 -7 14 14" aria-hidden="true"><path d="{SIGNS[word]}"/></svg>'


def _cell(one: Standing, delta: float) -> str:
    gap = one.difference
    bars = [f'<line class="lx-range" x1="{_at(gap.low)}" x2="{_at(gap.high)}" y1="50%" y2="50%"/>']
    if LOW <= gap.estimate <= HIGH:
        bars.append(f'<svg x="{_at(gap.estimate)}" y="50%" overflow="visible"><path d="{SIGNS[one.word]}"/></svg>')
    else:
        edge, arrow = (LOW, "M9 -5L2 0L9 5Z") if gap.estimate < LOW else (HIGH, "M-9 -5L-2 0L-9 5Z")
        bars.append(f'<svg x="{_at(edge)}" y="50%" overflow="visible"><path class="lx-beyond" d="{arrow}"/></svg>')
    if one.still:
        bars.append(f'<text class="lx-still" x="100%" y="12" text-anchor="end">{STILL}</text>')
    return (
        f'<td class="lx-verdict-{_name(one.word)}"><svg class="lx-dots" aria-hidden="true"><title>{_words(one)}</title>'
        f'<rect x="{_at(-delta)}" width="{100 * 2 * delta / (HIGH - LOW):.1f}%" height="100%"/>'
        f'<line class="lx-none" x1="{_at(0)}" x2="{_at(0)}" y1="0" y2="100%"/>{"".join(bars)}</svg>'
        f'<span class="lx-hidden">{_words(one)}</span></td>'
    )


def _axis_row() -> str:
    ticks = "".join(
        f'<text x="{_at(tick)}" y="11" text-anchor="middle">{str(tick).replace("-", "−")}</text>' for tick in TICKS
    )
    cell = f'<td><svg class="lx-ticks" height="14">{ticks}</svg></td>'
    return f'<tr aria-hidden="true"><th>points</th>{cell * len(FIVE)}</tr>'


def _counts(found: Sequence[Standing]) -> str:
    """Under each method, how often it is ahead and behind."""

    def cell(arm: str) -> str:
        words = [one.word for one in found if one.arm == arm]
        return "".join(
            f'<span class="lx-verdict-{word}">{_sign(word)} <span class="lx-hidden">{word}</span> '
            f"{words.count(word)}</span>"
            for word in ("ahead", "behind")
        )

    cells = "".join(f"<td>{cell(arm)}</td>" for arm in FIVE)
    return f'<tr class="lx-counts"><th scope="row">how often</th>{cells}</tr>'


def _at(value: float) -> str:
    """Where a value lies in a cell, as a share of its width, inside it."""
    return f"{100 * (min(max(value, LOW), HIGH) - LOW) / (HIGH - LOW):.1f}%"


def _name(word: str) -> str:
    return word.replace(" ", "-")
