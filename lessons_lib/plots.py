"""Every picture of the course: one house style, readable in grey, on a light and on a dark page.

The only module that imports matplotlib. Figures are drawn by `Figure` and `FigureCanvasAgg`, never by pyplot, which
keeps a global list of figures. One unit of a figure is one CSS pixel. A `Picture` shows as inline SVG whose text takes
the page's colour, with alt text; a PNG of mid-tone ink on a clear background is its fallback.
"""

from __future__ import annotations

import base64
import html
import io
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from lessons_lib._typography import together
from lessons_lib.metrics import mean_interval

INK = "#767676"  # at least 4.2:1 on white and on JupyterLab's dark page; becomes `currentColor` in SVG
PANEL_WIDTH, PANEL_HEIGHT = 360, 250  # narrow enough that a phone shows it at full size
COLUMN = 720  # CSS pixels of the published page's column
_TEXT, _HEADING = 12.5, 13.5
_RC = {
    "font.size": _TEXT,
    "axes.titlesize": 13,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 1.0,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 12,
    "legend.handlelength": 2.8,
    "lines.linewidth": 2.0,
    "hatch.linewidth": 0.9,
    **{key: INK for key in ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")},
    "grid.color": INK,
    "svg.fonttype": "none",
    "svg.hashsalt": "lessons",
}


@dataclass(frozen=True)
class Style:
    """How one series looks: a colour-blind-safe colour, and what tells it apart without colour."""

    key: str
    colour: str
    dash: tuple[int, ...]  # on and off lengths in px; () is solid
    marker: str
    hatch: str


STYLES = {
    style.key: style
    for style in (
        Style("dpo", "#0072B2", (), "o", ""),
        Style("ipo", "#D55E00", (9, 4), "s", "//"),
        Style("kto", "#008A64", (2, 3), "^", ".."),
        Style("orpo", "#B0538F", (9, 3, 2, 3), "D", "xx"),
        Style("simpo", "#8C6D00", (15, 4), "v", "--"),
        Style("neutral", INK, (4, 3), "P", "\\\\"),
    )
}


def style(key: str | int) -> Style:
    """The style of a method by its key, or the n-th of the cycle for series that are no method."""
    if isinstance(key, int):
        return list(STYLES.values())[key % len(STYLES)]
    if key not in STYLES:
        raise ValueError(f"style: expected one of {', '.join(STYLES)} or a number, got {key!r}")
    return STYLES[key]


def line_arguments(look: Style) -> dict:
    """Keyword arguments for `Axes.plot` in this style."""
    # Matplotlib scales dash lengths by the line width, which stays fixed here.
    dash = (0, [length / _RC["lines.linewidth"] for length in look.dash]) if look.dash else "-"
    return {"color": look.colour, "linestyle": dash}


def new_figure(width: float, height: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A clear figure in house style, `width` × `height` CSS pixels, with one row of axes."""
    with matplotlib.rc_context(_RC):
        figure = Figure(figsize=(width / 72, height / 72), dpi=72, facecolor="none")
        FigureCanvasAgg(figure)
        axes = list(figure.subplots(1, columns, squeeze=False)[0])
    for ax in axes:
        ax.set_facecolor("none")
        ax.set_axisbelow(True)
        ax.tick_params(length=3)
    return figure, axes


def set_margins(figure: Figure, *, left=54.0, right=10.0, top=8.0, bottom=46.0, between=66.0) -> None:
    """Margins in CSS pixels around and between the axes, the same for every figure of one size."""
    width, height = figure.get_size_inches() * 72
    columns = len(figure.axes)
    panel = (width - left - right - between * (columns - 1)) / columns
    figure.subplots_adjust(
        left=left / width,
        right=1 - right / width,
        top=1 - top / height,
        bottom=bottom / height,
        wspace=between / panel,
    )


def wrapped(text: str, width: float, *, least: int = 16) -> str:
    """`text` broken between words into lines that fit into `width` CSS pixels, with room for `least` letters."""
    return textwrap.fill(together(text), max(least, int(width / 6.9)), break_long_words=False)


def label_above(axes: Axes, text: str, *, left: float) -> None:
    """Write a y axis's label above its numbers, from `left` CSS pixels before the axis on."""
    corner = axes.transAxes + ScaledTranslation(-left / 72, 7 / 72, axes.figure.dpi_scale_trans)
    axes.text(0, 1, text, transform=corner, va="bottom", color=INK)


_TIDY = (
    (r"<metadata>.*?</metadata>", ""),
    (r"<style.*?</style>", ""),  # its selector is `*`, which would reach the whole page
    (r"<svg ", '<svg style="stroke-linejoin:round" '),
    (r'width="([\d.]+)pt" height="([\d.]+)pt"', r'width="\1" height="\2"'),
    (r"font: (?:\w+ )*([\d.]+px)[^;\"]*", r"font-size: \1"),
    (r" font-family: [^;\"]*;", ""),  # the page's own font
    (r' transform="rotate\(-0 [^"]*\)"', ""),
    (r"(\d+\.\d\d)\d+(?=[^<>]*>)", r"\1"),  # a hundredth of a pixel will do
    (r"\s+", " "),
    (r"> <", "><"),
)


def svg(figure: Figure) -> str:
    """The figure as inline SVG: text in the page's colour and font, colours as CSS variables, stable ids."""
    buffer = io.StringIO()
    with matplotlib.rc_context(_RC):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for pattern, replacement in _TIDY:
        text = re.sub(pattern, replacement, text, flags=re.S)
    for look in STYLES.values():
        paint = "currentColor" if look.colour == INK else f"var(--lx-{look.key}, {look.colour.lower()})"
        text = text.replace(look.colour.lower(), paint)
    return _private_ids(text)


def _private_ids(text: str) -> str:
    """Keep only ids that something refers to, and make them this picture's own: many share a page."""
    prefix = "f" + sha256(text.encode()).hexdigest()[:8]
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', text))
    text = re.sub(r' id="([^"]+)"', lambda m: f' id="{prefix}-{m[1]}"' if m[1] in used else "", text)
    return re.sub(r'(url\(#|href="#)', rf"\1{prefix}-", text)


def png(figure: Figure, scale: float = 2.0) -> bytes:
    """The figure as PNG on a clear background, `scale` device pixels a CSS pixel."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=72 * scale, transparent=True)
    return buffer.getvalue()


class Picture:
    """A finished figure with its alt text; shows itself in JupyterLab, in the book and in GitHub's viewer.

    `lay_out(width)` draws the figure anew for a width in CSS pixels: the page shows a phone the narrow one and fills a
    wide column with the other. Without it there is one.
    """

    def __init__(self, figure: Figure, alt: str, lay_out: Callable[[float], None] | None = None):
        if not alt.strip():
            raise ValueError("alt: expected a sentence that says what the picture shows, got an empty text")
        self.figure, self.alt, self._lay_out = figure, alt, lay_out

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        alt = html.escape(self.alt, quote=True)
        pictures = self._svg('class="lx-narrow"')
        if self._lay_out and self._width() < COLUMN:
            narrow = self._width()
            self._lay_out(COLUMN)
            pictures += self._svg('class="lx-wide" style="display:none"')  # lessons.css shows it where there is room
            self._lay_out(narrow)
        return {
            "text/html": f'<figure class="lx-figure" role="img" aria-label="{alt}" {self._frame()}>{pictures}</figure>',
            "image/png": base64.b64encode(png(self.figure)).decode(),
            "text/plain": self.alt,
        }

    def save(self, path) -> None:
        """Write the picture to `path` as PNG or SVG, by its ending."""
        data = svg(self.figure).encode() if str(path).endswith(".svg") else png(self.figure)
        with open(path, "wb") as file:
            file.write(data)

    def _width(self) -> float:
        return self.figure.get_size_inches()[0] * 72

    def _svg(self, attributes: str) -> str:
        return f'<div aria-hidden="true" {attributes}>{svg(self.figure)}</div>'

    def _frame(self) -> str:
        """What is wide scrolls on a phone; a picture of one width is shown up to a quarter larger than drawn."""
        width = self._width()
        most = "" if self._lay_out and width < COLUMN else f";max-width:{1.25 * width:.0f}px"
        if width <= PANEL_WIDTH + 40:
            return f'style="margin:0{most}"'
        return f'style="margin:0{most};overflow-x:auto;--lx-least:{width:.0f}px" tabindex="0"'


def _finish(figure: Figure, title: str, alt: str, least: int = 2, left: float = 54.0) -> Picture:
    """Title above, room for axis labels and the legend of at least so many entries below, at the figure's own width."""
    drawn_width, drawn_height = figure.get_size_inches() * 72
    columns = len(figure.axes)

    def lay_out(width: float) -> None:
        for old in [*figure.legends]:
            old.remove()
        height = drawn_height if columns > 1 else drawn_height * (1 + 0.35 * (width / drawn_width - 1))
        heading = wrapped(title, (width - 12) * _TEXT / _HEADING)  # its letters are wider
        top = 16 + 17 * (heading.count("\n") + 1)
        figure.set_size_inches(width / 72, height / 72)
        bottom = 50 + 19 * _legend(figure, figure.axes[0], least)
        figure.set_size_inches(width / 72, (height + top + bottom - 58) / 72)
        set_margins(figure, left=left, top=top + (18 if columns > 1 else 0), bottom=bottom)
        figure.suptitle(heading, x=6 / width, y=0.99, ha="left", va="top", fontsize=_HEADING, color=INK)

    lay_out(drawn_width)
    return Picture(figure, alt, lay_out)


def _legend(figure: Figure, ax: Axes, least: int = 2) -> int:
    """One legend under the axes, as many entries a row as fit; its number of rows. Fewer than `least`: none."""
    handles, labels = ax.get_legend_handles_labels()
    if len(labels) < least:
        return 0
    entry = max(map(len, labels)) * 6.6 + 50  # a letter is about 6.6 px wide, a handle 50
    columns = max(1, min(len(labels), int(figure.get_size_inches()[0] * 72 / entry)))
    with matplotlib.rc_context(_RC):
        figure.legend(handles, labels, loc="lower left", ncols=columns, borderaxespad=0.2)
    return -(-len(labels) // columns)


def _label_axes(ax: Axes, x_label: str, y_label: str) -> None:
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    ax.yaxis.set_major_locator(MaxNLocator(5))


def seeds_plot(
    x: Sequence[float],
    recorded: Mapping[str, np.ndarray],
    live: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
    *,
    title: str,
    x_label: str,
    y_label: str,
    alt: str,
    targets: Mapping[str, float] | None = None,
    confidence: float = 0.95,
    draws: str = "seeds",
) -> Picture:
    """Mean over seeds with its interval, this session's own run drawn over it.

    Args:
        x: positions shared by all runs, shape (points,).
        recorded: for each series an array (seeds, points); a method's key gets that method's style.
        live: for some of the series one run: its positions, and its value at each.
        title: the finding, as a sentence. `x_label`, `y_label`: with units. `alt`: for those who cannot see it.
        targets: named heights to mark by a thin horizontal line.
        confidence: of the t-interval of the mean over seeds.
        draws: what the rows are, where they are not seeds, such as "checkpoints" whose seeds were averaged.
    """
    figure, (ax,) = new_figure(PANEL_WIDTH + 40, PANEL_HEIGHT)
    for index, (name, runs) in enumerate(recorded.items()):
        look = style(name if name in STYLES else index)
        intervals = [mean_interval(column, confidence=confidence) for column in np.asarray(runs, dtype=float).T]
        label = f"{_shown(name)}, mean of {len(runs)} {draws}"
        ax.plot(x, [i.estimate for i in intervals], label=label, **line_arguments(look))
        ax.fill_between(x, [i.low for i in intervals], [i.high for i in intervals], color=look.colour, alpha=0.18, lw=0)
        if live and name in live:
            positions, run = live[name]
            ax.plot(
                positions, run, label=f"{_shown(name)}, your run", color=look.colour, lw=1, marker=look.marker,
                markersize=6, markevery=max(1, len(run) // 8), markerfacecolor="none",
            )  # fmt: skip
    _mark_targets(ax, targets or {})
    _label_axes(ax, x_label, y_label)
    return _finish(figure, title, alt)


def _mark_targets(ax: Axes, targets: Mapping[str, float]) -> None:
    for name, height in targets.items():
        ax.axhline(height, color=INK, lw=1.25, linestyle=(0, (1, 2)), label=name)


def bars_plot(
    values: Mapping[str, object],
    live: Mapping[str, float] | None = None,
    *,
    title: str,
    y_label: str,
    alt: str,
    x_label: str = "",
) -> Picture:
    """One bar a name with its interval: each value has `estimate`, `low` and `high`; the estimate is written above.

    `live` marks, for some of the names, what this session's own run came to.
    """
    figure, (ax,) = new_figure(PANEL_WIDTH + 40, PANEL_HEIGHT)
    for index, (name, value) in enumerate(values.items()):
        look = style(name if name in STYLES else index)
        ax.bar(
            index, value.estimate, width=0.62, color=look.colour, hatch=look.hatch, edgecolor=INK, alpha=0.85, lw=0.5
        )
        errors = [[value.estimate - value.low], [value.high - value.estimate]]
        ax.errorbar(index, value.estimate, yerr=errors, color=INK, capsize=4, lw=1.5)
        edge = value.high if value.estimate >= 0 else value.low
        ax.annotate(
            f"{value.estimate:.3g}".replace("-", "−"), (index, edge), (0, 3 if value.estimate >= 0 else -14),
            textcoords="offset points", ha="center", fontsize=12, color=INK,
        )  # fmt: skip
    ax.axhline(0, color=INK, lw=1)
    ax.margins(y=0.16)
    ax.grid(axis="x", visible=False)
    places = {name: index for index, name in enumerate(values) if name in (live or {})}
    if places:
        heights = [live[name] for name in places]
        ax.plot(
            list(places.values()), heights, "D", color=INK, markersize=8, markerfacecolor="none", mew=2,
            label="your run",
        )  # fmt: skip
    _label_axes(ax, x_label, y_label)
    ax.set_xticks(range(len(values)), [_shown(name) for name in values])
    return _finish(figure, title, alt, least=1)


def labelled_bars_plot(
    bars: Sequence[tuple[str, float, str]],
    *,
    title: str,
    x_label: str,
    alt: str,
    ends: Mapping[str, tuple[float, float]] | None = None,
    percent: bool = False,
) -> Picture:
    """Lying bars from zero, for names too long to stand under a bar: each name above its bar, its value behind it.

    Args:
        bars: (name, value, value as text), from top to bottom.
        ends: of the intervals, by name, where there are any.
        title: the finding, as a sentence. `x_label`: with its unit. `alt`: for those who cannot see it.
        percent: values are shares; the axis shows 0 to 100 %.
    """
    figure, (ax,) = new_figure(PANEL_WIDTH + 40, 60 + 44 * len(bars))
    look = style(0)
    for index, (name, value, text) in enumerate(bars):
        ax.barh(index, value, height=0.42, color=look.colour, alpha=0.85, lw=0)
        edge = value
        if name in (ends or {}):
            low, edge = ends[name]
            ax.errorbar(value, index, xerr=[[value - low], [edge - value]], color=INK, capsize=4, lw=1.5)
        ax.annotate(name, (0, index), (0, 10), textcoords="offset points", va="bottom", fontsize=12, color=INK)
        ax.annotate(text, (edge, index), (5, 0), textcoords="offset points", va="center", fontsize=12, color=INK)
    ax.set_ylim(len(bars) - 0.6, -0.8)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.set_xlim(0, 1.1 if percent else 1.35 * max(value for _, value, _ in bars))
    if percent:
        ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    ax.set_xlabel(x_label)
    return _finish(figure, title, alt, left=20)  # no numbers stand beside this axis


def points_plot(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    title: str,
    x_label: str,
    y_label: str,
    alt: str,
    band: tuple[float, float] | None = None,
    log_x: bool = False,
) -> Picture:
    """Single points, one style a series: `series` maps each name to its x and its y values.

    `band` is a range of heights to shade. Other arguments as in `seeds_plot`.
    """
    figure, (ax,) = new_figure(PANEL_WIDTH + 40, PANEL_HEIGHT)
    if band:
        ax.axhspan(*band, color=INK, alpha=0.12, lw=0)
    ax.axhline(0, color=INK, lw=1)
    for index, (name, (xs, ys)) in enumerate(series.items()):
        look = style(name if name in STYLES else index)
        ax.plot(
            xs, ys, look.marker, color=look.colour, markersize=6, markerfacecolor="none", mew=1.5, label=_shown(name)
        )
    if log_x:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter("{x:,g}")
    _label_axes(ax, x_label, y_label)
    return _finish(figure, title, alt)


def timeline_plot(works: Sequence[tuple[date, str, str]], *, title: str, alt: str) -> Picture:
    """A row a work, from the oldest down, a mark at its date; `works` holds (date, name, a method's key or "")."""
    works = sorted(works)
    figure, (ax,) = new_figure(PANEL_WIDTH + 40, 40 + 21 * len(works))
    years = [when.year + (when.timetuple().tm_yday - 1) / 365.25 for when, _, _ in works]
    middle = (years[0] + years[-1]) / 2
    for row, (year, (_, name, key)) in enumerate(zip(years, works, strict=True)):
        look = style(key or "neutral")
        ax.plot(year, row, look.marker if key else "o", color=look.colour, markersize=9 if key else 5)
        to_the_right = year < middle  # there is room for the name
        ax.annotate(
            name, (year, row), (10 if to_the_right else -10, 0), textcoords="offset points", va="center",
            ha="left" if to_the_right else "right", fontsize=12, color=INK,
        )  # fmt: skip
    ax.set_ylim(len(works) - 0.4, -0.8)
    ax.set_yticks([])
    ax.grid(axis="y", visible=False)
    ax.spines["left"].set_visible(False)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.set_xlabel("first version on arXiv, year")
    return _finish(figure, title, alt, left=20)


def small_multiples(
    panels: Mapping[str, Any],
    draw: Callable[[Axes, Any], object],
    *,
    title: str,
    x_label: str,
    y_label: str,
    alt: str,
) -> Picture:
    """The same drawing once a panel, side by side on shared axes: `draw(axes, data)` for each name and data."""
    figure, axes = new_figure(54 + 210 * len(panels), PANEL_HEIGHT, columns=len(panels))
    for ax, (name, data) in zip(axes, panels.items(), strict=True):
        draw(ax, data)
        ax.set_title(_shown(name), color=INK)
        _label_axes(ax, x_label, y_label if ax is axes[0] else "")
    low = min(ax.get_ylim()[0] for ax in axes)
    high = max(ax.get_ylim()[1] for ax in axes)
    for ax in axes:
        ax.set_ylim(low, high)
    return _finish(figure, title, alt)


def _shown(name: str) -> str:
    """A method's key as readers know it; other names as they are."""
    return {"dpo": "DPO", "ipo": "IPO", "kto": "KTO", "orpo": "ORPO", "simpo": "SimPO", "sft": "SFT"}.get(name, name)
