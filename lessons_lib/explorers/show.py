"""Which face an explorer shows: one MIME bundle for JupyterLab, the published page and plain viewers."""

from __future__ import annotations

import base64

from lessons_lib import plots
from lessons_lib._surroundings import is_published
from lessons_lib.explorers import page
from lessons_lib.explorers.core import Explorer
from lessons_lib.explorers.figure import ExplorerDrawing


def mimebundle(explorer: Explorer) -> dict:
    """Widgets where there is a kernel, the page's HTML where there will be none; a PNG and a line of text in both.

    The page's values over the whole grid of sliders take seconds to compute, and no kernel needs them. Who opens a
    saved notebook without one sees the PNG.
    """
    if is_published():
        png = {"image/png": _base64(picture(explorer))} if explorer.panels else {}
        return {"text/html": page.html(explorer), "text/plain": text(explorer)} | png
    from lessons_lib.explorers.live import LiveExplorer  # ipywidgets only where they are shown

    live = LiveExplorer(explorer)
    png = {"image/png": _base64(live.image.value)} if explorer.panels else {}
    return live._repr_mimebundle_() | {"text/plain": text(explorer)} | png


def text(explorer: Explorer) -> str:
    """The explorer in words at its starting values."""
    return "\n".join([explorer.title, *explorer.sentences()])


def picture(explorer: Explorer, **values) -> bytes:
    """The explorer as a PNG at these slider values."""
    drawing = ExplorerDrawing(explorer, explorer.state(**values), 2.0)
    for panel in drawing.panels:
        for artist in panel.moving():
            artist.set_animated(False)
    return plots.png(drawing.figure)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
