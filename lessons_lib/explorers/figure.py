"""An explorer's panels as still pictures, drawn by matplotlib: where no script runs, in print, in saved notebooks.

Ranges, ticks and numbers come from `scales`, so that they are those of the living figure.
"""

from __future__ import annotations

import numpy as np

from lessons_lib import plots
from lessons_lib.explorers.core import Axis, Band, Bars, Curve, ExplorerSpec, Level, Mark, Panel, Target, fitted
from lessons_lib.explorers.scales import log_tick_texts, short, tick_texts, ticks

LEFT = 54.0  # CSS pixels of a panel's left margin, where the numbers of its y axis stand
PICTURE_WIDTH = 864.0  # CSS pixels of a picture of all panels: what a notebook's output has on a small laptop
PLOT_HEIGHT = 190.0  # of the axes alone
LINE = 15  # height of a line of a label
LETTER = 7.0  # width of a digit, on the safe side (lessons.mjs has the same)


def panel_svg(panel: Panel, values) -> str:
    """The page's picture of one panel before any script runs; its title stands beside it in the page."""
    below, above = _lines_below(panel, plots.PANEL_WIDTH), _lines_above(panel, plots.PANEL_WIDTH)
    height = plots.PANEL_HEIGHT + LINE * (below - 2 + above)
    figure, (axes,) = plots.new_figure(plots.PANEL_WIDTH, height)
    plots.set_margins(figure, left=LEFT, top=8 + LINE * above, bottom=16 + LINE * below)
    draw(axes, panel, values, plots.PANEL_WIDTH)
    return plots.svg(figure)


def picture(explorer: ExplorerSpec, **values) -> plots.Figure:
    """All panels side by side, with titles and legends, at these slider values."""
    count = len(explorer.panels)
    room = max(280.0, min(plots.PANEL_WIDTH, PICTURE_WIDTH / count))
    titles = [plots.wrapped(panel.title, room - 60) for panel in explorer.panels]
    above = max(_lines_above(panel, room) for panel in explorer.panels)
    below = 16 + LINE * max(_lines_below(panel, room) for panel in explorer.panels)
    top = 14 + 17 * max(title.count("\n") + 1 for title in titles) + LINE * above
    legend = 6 + 18 * max((len(panel.marks) + 1) // 2 for panel in explorer.panels)
    figure, axes = plots.new_figure(room * count, PLOT_HEIGHT + top + below + legend, columns=count)
    plots.set_margins(figure, top=top, bottom=below + legend, left=LEFT)
    for ax, panel, title, rows in zip(axes, explorer.panels, titles, explorer.evaluate(**values), strict=True):
        draw(ax, panel, rows, room)
        ax.set_title(title, color=plots.INK, loc="left", pad=8 + LINE * above)
        if len(panel.marks) > 1:
            ax.legend(
                loc="upper left", bbox_to_anchor=(-0.14, -below / PLOT_HEIGHT), ncols=2, frameon=False, fontsize=12,
                handlelength=2.4, columnspacing=0.9, handletextpad=0.5, labelcolor=plots.INK, borderpad=0,
            )  # fmt: skip
    return figure


def draw(axes, panel: Panel, values, width: float) -> None:
    """One panel's axes and marks, at the values of `Explorer.evaluate` for it, in a picture of that width."""
    _draw_axes(axes, panel, fitted(panel, values), width)
    bars = [rows[0] for mark, rows in zip(panel.marks, values, strict=True) if isinstance(mark, Bars)]
    for mark, rows in zip(panel.marks, values, strict=True):
        rows = [np.asarray(row, dtype=float) for row in rows]
        if not isinstance(mark, Bars):
            _draw_mark(axes, panel, mark, rows)
    _draw_bars(axes, panel, bars, values, width)


# ---------------------------------------------------------------- axes


def _lines_above(panel: Panel, width: float) -> int:
    """Lines that the y axis's label takes: it stands above its numbers, where it has the whole width."""
    return plots.wrapped(panel.y.label, width - 10).count("\n") + 1 if panel.y.label else 0


def _lines_below(panel: Panel, width: float) -> int:
    """Lines under the axes: the numbers or names, and the x axis's label."""
    names = max((name.count("\n") + 1 for name in _names(panel.x, width)), default=1)
    return names + plots.wrapped(panel.x.label, width - 60).count("\n") + 1


def _names(x: Axis, width: float) -> list[str]:
    """The names of categories, broken to fit under their bars."""
    return [plots.wrapped(name, (width - LEFT) / len(x.categories), least=6) for name in x.categories]


def _draw_axes(axes, panel: Panel, y_range: tuple[float, float], width: float) -> None:
    x, y = panel.x, panel.y
    axes.set(xlim=x.limits, ylim=y_range, xlabel=plots.wrapped(x.label, width - 60))
    plots.label_above(axes, plots.wrapped(y.label, width - 10), left=LEFT - 6)
    if x.categories:
        axes.set_xticks(range(len(x.categories)), _names(x, width))
        axes.grid(axis="x", visible=False)
    else:
        _set_ticks(axes.set_xscale, axes.set_xticks, x.limits, x.log, 5)
    _set_ticks(axes.set_yscale, axes.set_yticks, y_range, y.log, 5)


def _set_ticks(set_scale, set_ticks, limits, log: bool, count: int) -> None:
    values = ticks(*limits, count, log=log)
    if log:
        set_scale("log")
        set_ticks([], minor=True)
    set_ticks(values, log_tick_texts(values) if log else tick_texts(values))


# ---------------------------------------------------------------- marks


def _draw_mark(axes, panel: Panel, mark: Mark, rows: list[np.ndarray]) -> None:
    look, at = plots.style(mark.style), _positions(panel.x)
    line = plots.line_arguments(look) | {"label": mark.label}
    if not any(np.isfinite(row).any() for row in rows):
        axes.plot([], [], **line)  # nothing to see here; the legend keeps its place
    elif isinstance(mark, Curve):
        marker = look.marker if mark.dots or panel.x.categories else None
        axes.plot(at, rows[0], marker=marker, **(line | ({"ls": ""} if panel.x.categories else {})))
    elif isinstance(mark, Band) and panel.x.categories:
        middle = (rows[0] + rows[1]) / 2
        error = [middle - rows[0], rows[1] - middle]
        axes.errorbar(at, middle, error, fmt="none", ecolor=plots.INK, elinewidth=1.5, capsize=4, label=mark.label)
    elif isinstance(mark, Band):
        axes.fill_between(at, *rows, color=look.colour, alpha=0.2, lw=0, label=mark.label)
    elif isinstance(mark, Target):
        axes.axvline(rows[0][0], **(line | {"lw": 1.5}))
    elif isinstance(mark, Level):
        axes.axhline(rows[0][0], **(line | {"lw": 1.5}))
    else:
        axes.plot(*rows, color=look.colour, ls="", marker=look.marker, markersize=9, label=mark.label)


def _positions(x: Axis) -> np.ndarray:
    return np.arange(len(x.categories)) if x.categories else np.asarray(x.positions, dtype=float)


def _draw_bars(axes, panel: Panel, heights: list[list[float]], values, width: float) -> None:
    marks = [mark for mark in panel.marks if isinstance(mark, Bars)]
    if not marks:
        return
    at, count = _positions(panel.x), len(marks)
    wide = 0.66 if panel.stacked else 0.78 / count  # in categories
    base = np.zeros(len(at))
    for place, (mark, row) in enumerate(zip(marks, heights, strict=True)):
        look = plots.style(mark.style)
        shift = 0 if panel.stacked else (place - (count - 1) / 2) * wide
        paint = {"color": look.colour, "hatch": look.hatch, "edgecolor": plots.INK, "lw": 0.5, "alpha": 0.85}
        axes.bar(at + shift, row, bottom=base, width=wide * 0.94, label=mark.label, **paint)
        base = base + np.asarray(row) if panel.stacked else base
        if not panel.stacked:
            _write(axes, panel, at + shift, row, values, wide, width)
    if panel.stacked:
        _write(axes, panel, at, base, values, wide, width)


def _write(axes, panel: Panel, at, tops, values, wide: float, width: float) -> None:
    """A number above each bar, or above each stack; none where they would run into each other."""
    texts = [short(float(top)) for top in tops]
    room = (width - LEFT) / len(panel.x.categories) * (1 if panel.stacked else wide)
    if LETTER * max(map(len, texts)) > room:
        return
    whiskers = [rows[1] for mark, rows in zip(panel.marks, values, strict=True) if isinstance(mark, Band)]
    above = np.maximum.reduce([np.maximum(np.asarray(tops, dtype=float), 0), *map(np.asarray, whiskers)])
    for x, y, text in zip(at, above, texts, strict=True):
        axes.text(x, y, text, ha="center", va="bottom", fontsize=12, color=plots.INK)
