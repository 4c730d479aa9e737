"""What an explorer is: sliders, and panels of marks whose functions name the sliders that move them.

A mark's function is ordinary Python. `lambda h, tau: ipo_loss(h, 0, 0, 0, tau=tau)` is drawn over the
panel's x axis and moves with the slider `tau` alone, because only `tau` stands among its parameters. A
parameter with a default that is no slider (`lambda h, m=m: …`) keeps its default. No other module says
which slider moves what: the page packs a curve over just those sliders.
"""

from __future__ import annotations

import inspect
import itertools
import math
import re
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product

from lessons_lib.errors import UserError
from lessons_lib.explorers.scales import NICE, round_up


def log_steps(low: float, high: float, per_decade: Sequence[float] = NICE[:-1]) -> tuple[float, ...]:
    """Round values from `low` to `high`, evenly enough on a log scale: 0.01, 0.015, 0.02, 0.03, …"""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = (float(f"{step}e{decade}") for decade in decades for step in per_decade)
    return tuple(value for value in values if low <= value <= high)


def linear_steps(low: float, high: float, count: int) -> tuple[float, ...]:
    """`count` evenly spaced values, both ends included, free of binary dust."""
    return tuple(round(low + (high - low) * i / (count - 1), 10) for i in range(count))


@dataclass(frozen=True)
class Slider:
    """One knob. Its values are listed, so that a preset or a link lands exactly on one.

    Args:
        name: the parameter name in the marks' functions.
        label: what the reader sees, with unit: "τ, IPO's strength".
        values: numbers in order, or words, which make a choice instead of a track.
        default: one of `values`.
        text: how a value is written: a format specification such as ".3g" or ",d".
        buttons: words side by side to tap, in place of a list to open.
    """

    name: str
    label: str
    values: tuple
    default: object
    text: str = ".4g"
    buttons: bool = False

    def __post_init__(self):
        object.__setattr__(self, "values", tuple(self.values))
        if len(self.values) < 2 or len(set(self.values)) < len(self.values):
            raise UserError(f"slider {self.name!r}: expected two or more different values, got {self.values}")
        self.index(self.default)

    @property
    def is_choice(self) -> bool:
        return all(isinstance(value, str) for value in self.values)

    @cached_property
    def texts(self) -> tuple[str, ...]:
        return tuple(value if isinstance(value, str) else format(value, self.text) for value in self.values)

    def index(self, value) -> int:
        """Where `value` stands among the values; an error names the nearest."""
        for index, own in enumerate(self.values):
            if own == value or (not self.is_choice and isinstance(value, (int, float)) and math.isclose(own, value)):
                return index
        raise UserError(f"slider {self.name!r}: {value!r} is none of its values; choose from {', '.join(self.texts)}")


@dataclass(frozen=True)
class Axis:
    """One axis: its label with unit, and its range or its categories.

    `low` and `high` fix the range; a y axis without them fits what is shown and holds zero.
    `at` lists the x positions where functions are computed; without it `points` of them, evenly spaced.
    """

    label: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    points: int = 101
    at: tuple | None = None
    categories: tuple[str, ...] = ()

    @cached_property
    def positions(self) -> tuple:
        """What the marks' functions get as x: numbers, or the categories' names."""
        if self.categories:
            return tuple(self.categories)
        if self.at is not None:
            return tuple(self.at)
        if self.low is None or self.high is None:
            raise UserError(f"x axis {self.label!r}: expected low and high, positions (at=…) or categories")
        if self.log:
            ratio = math.log(self.high / self.low)
            return tuple(self.low * math.exp(ratio * i / (self.points - 1)) for i in range(self.points))
        return linear_steps(self.low, self.high, self.points)

    @property
    def limits(self) -> tuple[float, float]:
        """Left and right end of an x axis."""
        if self.categories:
            return -0.5, len(self.categories) - 0.5
        low = self.positions[0] if self.low is None else self.low
        return low, self.positions[-1] if self.high is None else self.high


@dataclass(frozen=True)
class Curve:
    """A line: `y(x, *sliders)`. `style` is a method's key or a number; `dots` marks each position (recorded data)."""

    label: str
    y: Callable
    style: str | int = 0
    dots: bool = False


@dataclass(frozen=True)
class Band:
    """An interval from `low(x, *sliders)` to `high(x, *sliders)`: a shaded band, or whiskers over categories."""

    label: str
    low: Callable
    high: Callable
    style: str | int = 0


@dataclass(frozen=True)
class Bars:
    """One bar a category: `y(category, *sliders)`. Several stand side by side, or on each other if `Panel.stacked`."""

    label: str
    y: Callable
    style: str | int = 0


@dataclass(frozen=True)
class Target:
    """A vertical line at `x(*sliders)`, with its label beside it."""

    label: str
    x: Callable
    style: str | int = "neutral"


@dataclass(frozen=True)
class Level:
    """A horizontal line at `y(*sliders)`, such as the memory at hand."""

    label: str
    y: Callable
    style: str | int = "neutral"


@dataclass(frozen=True)
class Point:
    """A marker at `x(*sliders)`, `y(*sliders)`."""

    label: str
    x: Callable
    y: Callable
    style: str | int = 0


Mark = Curve | Band | Bars | Target | Level | Point
FUNCTIONS = {Curve: ("y",), Band: ("low", "high"), Bars: ("y",), Target: ("x",), Level: ("y",), Point: ("x", "y")}
_OVER_X = (Curve, Band, Bars)


@dataclass(frozen=True)
class Panel:
    """One picture: a title that says what to see, two axes, and marks."""

    title: str
    x: Axis
    y: Axis
    marks: tuple[Mark, ...]
    stacked: bool = False
    read_at: float | None = None  # where the moving x stands at first; the middle without it

    def __post_init__(self):
        object.__setattr__(self, "marks", tuple(self.marks))


@dataclass(frozen=True)
class Readout:
    """A sentence with computed parts: `Readout("stops at {stop:.3g} nats", stop=lambda tau: 1 / (2 * tau))`."""

    template: str
    parts: Mapping[str, Callable] = field(default_factory=dict)

    def __init__(self, template: str, **parts: Callable):
        object.__setattr__(self, "template", template)
        object.__setattr__(self, "parts", parts)

    @cached_property
    def pieces(self) -> list[tuple[str, str, str]]:
        """The template as (literal text, part name or "", format of the part)."""
        return [(literal, name or "", spec or "") for literal, name, spec, _ in string.Formatter().parse(self.template)]


@dataclass(frozen=True)
class Lights:
    """A row of names under a sentence; `says` gives the word under each, which also sets its look."""

    sentence: Callable
    says: Mapping[str, Callable]


@dataclass(frozen=True)
class Card:
    """The answer to what the sliders ask, in words: each a function of the sliders that gives a text.

    Args:
        headline: the answer.
        lights: rows of names.
        lines: label -> what stands beside it; a line whose text is "" is not shown.
        config: (label, function): a text to copy, such as a trainer's settings.
        notes: slider -> a word beside its label, such as "not asked"; "" for none.
    """

    headline: Callable
    lights: tuple[Lights, ...] = ()
    lines: Mapping[str, Callable] = field(default_factory=dict)
    config: tuple[str, Callable] | None = None
    notes: Mapping[str, Callable] = field(default_factory=dict)

    def texts(self) -> Iterator[tuple[str, Callable]]:
        """(label, function) of all but the notes, in the order of the markup; a sentence needs no label."""
        yield "", self.headline
        for row in self.lights:
            yield "", row.sentence
            yield from row.says.items()
        yield from self.lines.items()
        if self.config:
            yield self.config


@dataclass(frozen=True)
class Series:
    """One function of one mark, the sliders that move it, where it is computed (None: once) and drawn."""

    name: str
    function: Callable
    by: tuple[str, ...]
    positions: tuple | None
    shown: Axis | None = None

    def row(self, state: Mapping[str, object]) -> list:
        """The values at one setting of the sliders."""
        arguments = {name: state[name] for name in self.by}
        if self.positions is None:
            return [self.function(**arguments)]
        return [self.function(x, **arguments) for x in self.positions]


@dataclass(frozen=True)
class ExplorerSpec:
    """All that an explorer shows, and nothing of how; `lessons_lib.explorers.show.Explorer` is one with its faces.

    Args:
        name: its id in the page and in links, such as "ipo-stops".
        title: what it lets you see.
        sliders, panels, readouts: its parts.
        presets: a button's label and the slider values it sets; sliders left out keep their place.
        trl: for explorers that set hyper-parameters: {"ipo": {"tau": "tau"}} maps a method's
            hyper-parameter to the slider that sets it, for the button that copies a TRL config.
        card: the answer in words, where the sliders are questions.
    """

    name: str
    title: str
    sliders: tuple[Slider, ...]
    panels: tuple[Panel, ...] = ()
    readouts: tuple[Readout, ...] = ()
    presets: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    trl: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    card: Card | None = None

    def __post_init__(self):
        for part in ("sliders", "panels", "readouts"):
            object.__setattr__(self, part, tuple(getattr(self, part)))
        if not re.fullmatch(r"[a-z][a-z0-9-]*", self.name):
            raise UserError(f"explorer {self.name!r}: expected a name of small letters, digits and hyphens")
        for preset in self.presets.values():
            self.state(**preset)
        if strangers := set(self.card.notes if self.card else ()) - {s.name for s in self.sliders if s.buttons}:
            raise UserError(f"explorer {self.name!r}: a note stands beside buttons; {sorted(strangers)} has none")
        for readout in self.readouts:
            missing = {name for _, name, _ in readout.pieces if name} ^ set(readout.parts)
            if missing:
                raise UserError(f"readout {readout.template!r}: parts and template differ in {sorted(missing)}")
        _ = self.series, self.reads, self.texts

    @cached_property
    def by_name(self) -> dict[str, Slider]:
        return {slider.name: slider for slider in self.sliders}

    def state(self, **values) -> dict[str, object]:
        """Slider values, the defaults completed by `values`."""
        unknown = set(values) - set(self.by_name)
        if unknown:
            raise UserError(f"explorer {self.name!r} has no slider {sorted(unknown)}; it has {', '.join(self.by_name)}")
        exact = {name: self.by_name[name].values[self.by_name[name].index(value)] for name, value in values.items()}
        return {slider.name: slider.default for slider in self.sliders} | exact

    @cached_property
    def series(self) -> list[list[list[Series]]]:
        """The functions behind the marks: per panel, per mark, in the order of `FUNCTIONS`."""
        return [[self._mark_series(panel, mark) for mark in panel.marks] for panel in self.panels]

    @cached_property
    def reads(self) -> list[dict[str, Series]]:
        """The functions behind each readout's parts."""
        return [
            {name: self._series(readout.template, function, None) for name, function in readout.parts.items()}
            for readout in self.readouts
        ]

    @cached_property
    def texts(self) -> list[Series]:
        """The functions behind the notes, by slider, and behind the card's other texts, in the order of the markup."""
        if self.card is None:
            return []
        notes = [(name, self.card.notes[name]) for name in self.by_name if name in self.card.notes]
        return [self._series(where, function, None) for where, function in (*notes, *self.card.texts())]

    def answers(self, **values) -> list[str]:
        """What the notes and the card say at these slider values."""
        state = self.state(**values)
        return [series.row(state)[0] for series in self.texts]

    def lines(self, **values) -> list[str]:
        """The card as lines of text: its headline, and each label with what stands beside it."""
        if self.card is None:
            return []
        texts = self.answers(**values)[len(self.card.notes) :]
        labelled = zip(self.card.texts(), texts, strict=True)
        return [f"{label}: {text}" if label else text for (label, _), text in labelled if text]

    def evaluate(self, **values) -> list[list[list[list[float]]]]:
        """What is drawn at these slider values: per panel, per mark, per function, the list of values."""
        state = self.state(**values)
        return [[[series.row(state) for series in mark] for mark in panel] for panel in self.series]

    def sentences(self, **values) -> list[str]:
        """The readouts at these slider values."""
        state = self.state(**values)

        def part(series: Series | None, spec: str) -> str:
            return written(series.row(state)[0], spec) if series else ""

        return [
            "".join(literal + part(reads.get(name), spec) for literal, name, spec in readout.pieces)
            for readout, reads in zip(self.readouts, self.reads, strict=True)
        ]

    def settings(self, by: Sequence[str]):
        """Every combination of the values of the sliders `by`, the last one changing fastest."""
        for values in product(*(self.by_name[name].values for name in by)):
            yield dict(zip(by, values, strict=True))

    def _mark_series(self, panel: Panel, mark: Mark) -> list[Series]:
        positions = panel.x.positions if isinstance(mark, _OVER_X) else None
        where = f"{mark.label} in {panel.title!r}"
        return [self._series(where, getattr(mark, name), positions, panel.y) for name in FUNCTIONS[type(mark)]]

    def _series(self, where: str, function: Callable, positions: tuple | None, shown: Axis | None = None) -> Series:
        parameters = list(inspect.signature(function).parameters.values())
        if positions is not None:
            parameters = parameters[1:]
        strangers = [p.name for p in parameters if p.name not in self.by_name and p.default is p.empty]
        if strangers:
            raise UserError(
                f"{where}: its function takes {', '.join(strangers)}, which is no slider; "
                f"the sliders are {', '.join(self.by_name)}"
                + ("" if positions is None else ", and the first parameter is the position on the x axis")
            )
        by = tuple(p.name for p in parameters if p.name in self.by_name)
        return Series(where, function, by, positions, shown)


def written(value, spec: str) -> str:
    """A readout's part as text; numbers have a real minus, as everywhere in an explorer."""
    text = format(value, spec)
    return text if isinstance(value, str) else text.replace("-", "−")


def fitted(panel: Panel, values: list[list[list[float]]]) -> tuple[float, float]:
    """The y range of a panel: as declared, or from zero to a round number beyond what is shown, on either side."""
    drawn = list(zip(panel.marks, values, strict=True))
    lines = [rows for mark, rows in drawn if not isinstance(mark, (Target, Bars))]
    shown = [y for rows in lines for y in (*rows[0], *rows[-1])]
    bars = [rows[0] for mark, rows in drawn if isinstance(mark, Bars)]
    shown += map(sum, zip(*bars, strict=True)) if panel.stacked else itertools.chain(*bars)
    known = [y for y in shown if math.isfinite(y)]
    low = -round_up(-1.06 * min(known)) if known and min(known) < 0 else 0.0
    high = round_up(1.06 * max(known, default=0.0))
    return (low if panel.y.low is None else panel.y.low), (high if panel.y.high is None else panel.y.high)
