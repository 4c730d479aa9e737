"""The picture that a link to the site shows elsewhere: DPO's and IPO's pull, drawn from the library.

Made only where the site has an address, since nothing points to it otherwise.
"""

from __future__ import annotations

from pathlib import Path

INK, PAPER, GRID = "#22272b", "#fdfcfa", "#dfdbd3"


def draw(file: Path, title: str) -> None:
    """Write the card, 1200 by 630 pixels."""
    from matplotlib.figure import Figure

    from lessons_lib.plots import style
    from lessons_lib.textbook import sigmoid

    margins = [h / 10 for h in range(-50, 201)]
    figure = Figure(figsize=(12, 6.3), dpi=100, facecolor=PAPER)
    axes = figure.add_axes((0.07, 0.14, 0.88, 0.58), facecolor=PAPER)
    for key, name, pull in (
        ("dpo", "DPO pulls for ever", [0.3 * sigmoid(-0.3 * h) for h in margins]),
        ("ipo", "IPO stops at its target", [(5 - h) / 10 for h in margins]),
    ):
        axes.plot(margins, pull, lw=5, label=name, color=style(key).colour)
    axes.axhline(0, color=INK, lw=1)
    axes.set(ylim=(-0.6, 1), xlim=(-5, 20))
    axes.set_xlabel("margin h (nats)", fontsize=18, color=INK)
    axes.tick_params(labelsize=15, colors=INK, labelleft=False, length=0)
    axes.grid(color=GRID)
    axes.spines[:].set_visible(False)
    axes.legend(fontsize=22, frameon=False, labelcolor=INK)
    figure.text(0.07, 0.83, title, fontsize=30, weight="bold", color=INK)
    figure.savefig(file)


def _draw_if_linked(app, exception):
    if app.config.course_repository and not exception:
        draw(Path(app.outdir, "_static", "card.png"), app.config.html_title)


def setup(app):
    app.connect("build-finished", _draw_if_linked)
