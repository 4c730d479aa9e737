"""An explorer's panels drawn by matplotlib: for JupyterLab, for the PNG, and as the page's default picture."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from lessons_lib import plots
from lessons_lib.explorers.core import Band, Bars, Curve, Explorer, Level, Panel, Point, Target, fitted

LEFT = 56.0  # CSS pixels of a panel's left margin, where its y axis stands
NOTEBOOK_WIDTH = 864.0  # CSS pixels that an output has in JupyterLab on a small laptop
PLOT_HEIGHT = 236.0  # of the axes with their labels
NUMBER_WIDTH = 24.0  # CSS pixels; bars narrower than that carry no numbers (the page's script has the same)
WIDE = 10_000  # numbers from here on would push the y axis's label out of the left margin
LINE = 15  # height of a further line of an axis label


def _x_label(panel: Panel, width: float) -> str:
    """The x axis's label, broken to fit under axes in a panel of this width."""
    return plots.wrapped(panel.x.label, width - 60)


def _thousands(y: float, _place) -> str:
    return f"{y / 1000:g}k" if abs(y) >= 1000 else f"{y:g}"


class PanelDrawing:
    """One panel on its axes. `artists` change with the sliders, everything else is background."""

    def __init__(self, axes, panel: Panel, values, x_label: str):
        self.axes, self.panel = axes, panel
        axes.set(xlabel=x_label, ylabel=panel.y.label, xlim=panel.x.limits)
        if panel.x.categories:
            axes.set_xticks(range(len(panel.x.categories)), panel.x.categories)
            axes.grid(axis="x", visible=False)
        elif panel.x.log:
            axes.set_xscale("log")
        if panel.y.log:
            axes.set_yscale("log")
        else:
            axes.locator_params(axis="y", nbins=5)
        self.limits, self.plain = None, axes.yaxis.get_major_formatter()
        self.fit(values)
        self.artists = [self._make(mark) for mark in panel.marks]
        self.texts = self._bar_texts()
        self.update(values)

    def fit(self, values) -> None:
        """Set the y range."""
        limits = fitted(self.panel, values)
        if limits != self.limits:
            self.limits = limits
            self.axes.set_ylim(*limits)
            if not self.panel.y.log:
                self.axes.yaxis.set_major_formatter(_thousands if limits[1] >= WIDE else self.plain)

    def update(self, values) -> None:
        """Move every artist to the values of `Explorer.evaluate` for this panel."""
        base = np.zeros(len(self.panel.x.positions))
        for mark, artist, rows in zip(self.panel.marks, self.artists, values, strict=True):
            rows = [np.asarray(row, dtype=float) for row in rows]
            if isinstance(mark, Bars):
                for rectangle, bottom, height in zip(artist, base, rows[0], strict=True):
                    rectangle.set(y=bottom if self.panel.stacked else 0, height=height)
                base = base + rows[0] if self.panel.stacked else base
            else:
                self._move[type(mark)](artist, *rows)
        self._write_bars(values)

    def moving(self):
        """Every artist to redraw after a slider moved."""
        for artist in self.artists:
            yield from artist if isinstance(artist, (list, tuple)) else [artist]
        yield from (text for row in self.texts for text in row)

    @property
    def _x(self):
        x = self.panel.x
        return np.arange(len(x.categories)) if x.categories else np.asarray(x.positions, dtype=float)

    @property
    def _move(self):
        """How the artist of each kind of mark takes new values."""
        return {
            Curve: lambda line, y: line.set_data(self._x, y),
            Band: self._move_whiskers if self.panel.x.categories else lambda band, *ends: band.set_data(self._x, *ends),
            Target: lambda line, x: line.set_xdata([x[0], x[0]]),
            Level: lambda line, y: line.set_ydata([y[0], y[0]]),
            Point: lambda line, x, y: line.set_data(x, y),
        }

    def _move_whiskers(self, line, low, high):
        gap = np.full(len(self._x), np.nan)
        line.set_data(np.stack([self._x, self._x, gap], 1).ravel(), np.stack([low, high, gap], 1).ravel())

    def _make(self, mark):
        look = plots.style(mark.style)
        arguments = {"label": mark.label, "animated": True}
        line = plots.line_arguments(look) | arguments
        if isinstance(mark, Curve):
            marker = look.marker if mark.dots or self.panel.x.categories else None
            return self.axes.plot([], [], marker=marker, **(line | ({"ls": ""} if self.panel.x.categories else {})))[0]
        if isinstance(mark, Band) and self.panel.x.categories:
            return self.axes.plot([], [], color=plots.INK, lw=1.5, marker="_", markersize=8, **arguments)[0]
        if isinstance(mark, Band):
            zero = np.zeros(len(self._x))
            return self.axes.fill_between(self._x, zero, zero, color=look.colour, alpha=0.2, lw=0, **arguments)
        if isinstance(mark, Bars):
            return self._make_bars(mark, look)
        if isinstance(mark, Target):
            return self.axes.axvline(0, **(line | {"lw": 1.5}))
        if isinstance(mark, Level):
            return self.axes.axhline(0, **(line | {"lw": 1.5}))
        return self.axes.plot([], [], color=look.colour, ls="", marker=look.marker, markersize=9, **arguments)[0]

    def _make_bars(self, mark: Bars, look: plots.Style):
        series = [other for other in self.panel.marks if isinstance(other, Bars)]
        width = self._bar_width(len(series))
        shift = 0 if self.panel.stacked else (series.index(mark) - (len(series) - 1) / 2) * width
        paint = {"color": look.colour, "hatch": look.hatch, "edgecolor": plots.INK, "lw": 0.5, "alpha": 0.85}
        return self.axes.bar(self._x + shift, 0, width=width * 0.94, label=mark.label, **paint).patches

    def _bar_width(self, series: int) -> float:
        """In categories: of one bar of this many side by side, or of a stack."""
        return 0.66 if self.panel.stacked else 0.78 / series

    def _bar_texts(self):
        """A number above each bar, or above each stack; none where bars are too narrow to keep them apart."""
        bars = [artist for mark, artist in zip(self.panel.marks, self.artists, strict=True) if isinstance(mark, Bars)]
        tops = bars[-1:] if self.panel.stacked else bars
        room = plots.PANEL_WIDTH / max(1, len(self.panel.x.categories)) * self._bar_width(max(1, len(bars)))
        write = partial(self.axes.text, s="", ha="center", va="bottom", fontsize=12, color=plots.INK, animated=True)
        for rectangle in (rectangle for row in bars for rectangle in row):
            rectangle.set_animated(True)
        if room < NUMBER_WIDTH:
            return []
        return [[write(x=r.get_x() + r.get_width() / 2, y=0) for r in row] for row in tops]

    def _write_bars(self, values) -> None:
        if not self.texts:
            return
        bars = [rows[0] for mark, rows in zip(self.panel.marks, values, strict=True) if isinstance(mark, Bars)]
        heights = [list(map(sum, zip(*bars, strict=True)))] if self.panel.stacked and bars else bars
        for texts, row in zip(self.texts, heights, strict=True):
            for text, height in zip(texts, row, strict=True):
                text.set(text=short(height, digits=2), y=max(height, 0))
        for mark, rows in zip(self.panel.marks, values, strict=True):
            if isinstance(mark, Band):  # numbers stand above whiskers
                for text, high in zip(self.texts[-1], rows[1], strict=True):
                    text.set_y(max(text.get_position()[1], high))


def short(value: float, digits: int = 3) -> str:
    """That many significant digits, whole numbers in full, no exponent from a thousandth to a million."""
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    rounded = abs(float(f"{value:.{digits}g}"))
    if 1e-3 <= rounded < 1e6:
        return f"{value:,.{max(0, digits - 1 - math.floor(math.log10(rounded)))}f}"
    return f"{value:.2g}"


def panel_svg(panel: Panel, values) -> str:
    """The page's picture of one panel before any script runs; its title stands beside it in the page."""
    x_label = _x_label(panel, plots.PANEL_WIDTH)
    more = LINE * x_label.count("\n")
    figure, (axes,) = plots.new_figure(plots.PANEL_WIDTH, plots.PANEL_HEIGHT + more)
    plots.set_margins(figure, bottom=46 + more)
    for artist in PanelDrawing(axes, panel, values, x_label).moving():
        artist.set_animated(False)
    return plots.svg(figure)


class ExplorerDrawing:
    """All panels of an explorer in one figure, redrawn by blitting: only what a slider moves is painted again.

    Three layers a panel: what never changes; the y axis, painted again when its range moves; the marks. A panel
    whose values stay keeps its pixels.
    """

    def __init__(self, explorer: Explorer, state: dict, scale: float):
        count = len(explorer.panels)
        room = max(280.0, min(plots.PANEL_WIDTH, NOTEBOOK_WIDTH / count))
        titles = [plots.wrapped(panel.title, room - 60) for panel in explorer.panels]
        top = 12 + 17 * max(title.count("\n") + 1 for title in titles)
        x_labels = [_x_label(panel, room) for panel in explorer.panels]
        self.below = 46 + LINE * max(label.count("\n") for label in x_labels)
        legend = 6 + 18 * max((len(panel.marks) + 1) // 2 for panel in explorer.panels)
        self.width, self.height = room * count, PLOT_HEIGHT + top + self.below - 46 + legend
        self.figure, axes = plots.new_figure(self.width, self.height, columns=count)
        plots.set_margins(self.figure, top=top, bottom=self.below + legend, left=LEFT)
        self.figure.set_dpi(72 * scale)
        values = explorer.evaluate(**state)
        parts = zip(axes, explorer.panels, values, x_labels, strict=True)
        self.panels = [PanelDrawing(*part) for part in parts]
        for drawing, title in zip(self.panels, titles, strict=True):
            drawing.axes.set_title(title, color=plots.INK, loc="left")
            drawing.axes.yaxis.set_animated(True)
            self._legend(drawing)
        self.strips = plots.strips(self.figure, LEFT)
        self.shown = [None] * count
        self.empty = []  # pixels of each panel's lowest layer,
        self.with_axis = {}  # and with the y axis on it, for each range it had: sliders go to and fro

    def _legend(self, drawing: PanelDrawing) -> None:
        if len(drawing.panel.marks) < 2:
            return
        below = -(self.below - 2) / drawing.axes.bbox.height * self.figure.dpi / 72  # under the label of the x axis
        legend = drawing.axes.legend(
            loc="upper left", bbox_to_anchor=(-0.14, below), ncols=2, frameon=False, fontsize=12,
            handlelength=2.4, columnspacing=0.9, handletextpad=0.5, labelcolor=plots.INK, borderpad=0,
        )  # fmt: skip
        for handle in legend.legend_handles:
            handle.set_animated(False)

    def paint(self, values) -> bytes:
        """The picture at these values, as PNG."""
        canvas = self.figure.canvas
        if not self.empty:
            canvas.draw()
            self.empty = [canvas.copy_from_bbox(strip) for strip in self.strips]
        for place, panel_values in enumerate(values):
            if panel_values != self.shown[place]:
                self._paint_panel(place, panel_values)
                self.shown[place] = panel_values
        return plots.encode_png(canvas)

    def _paint_panel(self, place: int, values) -> None:
        drawing, canvas = self.panels[place], self.figure.canvas
        drawing.fit(values)
        seen = (place, drawing.limits)
        if seen not in self.with_axis:
            canvas.restore_region(self.empty[place])
            drawing.axes.draw_artist(drawing.axes.yaxis)
            self.with_axis[seen] = canvas.copy_from_bbox(self.strips[place])
        canvas.restore_region(self.with_axis[seen])
        drawing.update(values)
        for artist in drawing.moving():
            drawing.axes.draw_artist(artist)
