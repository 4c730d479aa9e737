"""Does it hold in a real model? Each claim of the course, held to the runs of every world that has made them.

The worlds differ in everything at once: language, size, what the model had read before. So a claim that keeps its sign
has passed a hard test, and of one that turns nobody can say which difference turned it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import pandas as pd

from lessons_lib.benchmark import mechanisms, reading, shop_reading, sizes
from lessons_lib.benchmark.claims import CLAIMS, Claim, Contrast
from lessons_lib.benchmark.design import FIVE
from lessons_lib.errors import UserError
from lessons_lib.metrics import Interval

SAME, TURNED, CANNOT_TELL, NOT_RUN = WORDS = ("same sign", "turned", "cannot tell", "not run")


@dataclass(frozen=True)
class World:
    """A model with its language, and the runs that were recorded in it."""

    key: str
    label: str
    runs: Callable[[], pd.DataFrame]


@cache
def _of_size(size: str) -> pd.DataFrame:
    table = reading.transfer()
    return table[table["size"] == size]


SMALL = World("small", "46 k weights, invented language", cache(reading.results))
OTHERS = (
    World("large", f"{sizes.SIZES['large']} weights, invented language", lambda: _of_size("large")),
    World("shop", "135 M weights, pre-trained, English", cache(shop_reading.final)),
)


@dataclass(frozen=True)
class Published:
    """What a matched study with seeds says of a claim: what it found, and where (a key of the bibliography)."""

    found: str
    source: str


_NO_VARIANT = Published(
    "of 20 DPO variants, 5 seeds each at 1.5 B, none is significantly better than DPO; clean pairs", "li2026differ"
)
PUBLISHED: dict[str, Published] = {  # by a claim's words; the others have no matched study with seeds that we know
    "Label smoothing makes DPO robust to flipped labels.": _NO_VARIANT,
    "IPO is the safer choice under noise.": _NO_VARIANT,
    "SimPO's average keeps replies short where annotators like length.": Published(
        "SimPO is significantly worse than DPO at 1.5 B and the best of eight methods at 7 B; length was not varied",
        "li2026differ",
    ),
}


@dataclass(frozen=True)
class Held:
    """One predicted difference in two worlds: its 95 % intervals, None where the cells were not run, and the word."""

    contrast: Contrast
    small: Interval | None
    here: Interval | None

    @property
    def word(self) -> str:
        return word(self.small, self.here)


def word(small: Interval | None, here: Interval | None) -> str:
    """What became of a difference: "same sign" and "turned" are said only where both intervals exclude 0."""
    if small is None or here is None:
        return NOT_RUN
    if not (small.excludes(0) and here.excludes(0)):
        return CANNOT_TELL
    return SAME if (small.estimate > 0) == (here.estimate > 0) else TURNED


def held(claim: Claim, world: World) -> list[Held]:
    """Each difference that a claim predicts, in the small world and in another."""
    return [_held(contrast, world) for contrast in claim.contrasts]


def _held(contrast: Contrast, world: World) -> Held:
    """A contrast of a case of `mechanisms` is read from its own runs, which the small world alone has."""
    if contrast.case:
        return Held(contrast, measured(mechanisms.runs_of(contrast.case), contrast), None)
    return Held(contrast, measured(SMALL.runs(), contrast), measured(world.runs(), contrast))


def measured(table: pd.DataFrame, contrast: Contrast) -> Interval | None:
    """A difference with its interval; None where a cell, or the measure, is not in the table."""
    if contrast.measure not in table:
        return None
    try:
        found = reading.difference(table, contrast.more, contrast.less, contrast.measure)
    except UserError:
        return None
    return None if found.n < 2 else found  # one run has no interval


def orders(world: World) -> list[Held]:
    """Which of two methods is ahead, for each two of the five in every regime that both worlds have run."""
    small, here = SMALL.runs(), world.runs()
    both = [regime for regime in dict.fromkeys(small["regime"]) if regime in set(here["regime"])]
    pairs = itertools.combinations(FIVE, 2)
    return [
        found
        for regime, (one, other) in itertools.product(both, pairs)
        if (found := _held(Contrast((regime, one), (regime, other)), world)).word != NOT_RUN
    ]


def tally(found: Sequence[Held]) -> dict[str, int]:
    """How often each word was said, in the order of `WORDS`."""
    said = [item.word for item in found]
    return {name: said.count(name) for name in WORDS}


def every_claim(world: World) -> list[Held]:
    """All differences that the claims predict."""
    return [item for claim in CLAIMS for item in held(claim, world)]
