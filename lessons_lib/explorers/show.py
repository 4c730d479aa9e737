"""Which face an explorer shows: one MIME bundle for JupyterLab, the published page and plain viewers."""

from __future__ import annotations

import base64

from lessons_lib import plots
from lessons_lib._surroundings import is_published
from lessons_lib.explorers import page
from lessons_lib.explorers.core import Explorer
from lessons_lib.explorers.figure import ExplorerDrawing


def mimebundle(explorer: Explorer) -> dict:
    """Widgets first where there is a kernel, then the page's HTML, a PNG and a line of text."""
    bundle = {"text/html": page.html(explorer), "text/plain": text(explorer)}
    if is_published():
        return bundle | ({"image/png": _base64(picture(explorer))} if explorer.panels else {})
    from lessons_lib.explorers.live import LiveExplorer  # ipywidgets only where they are shown

    live = LiveExplorer(explorer)
    png = {"image/png": _base64(live.image.value)} if explorer.panels else {}
    return bundle | png | live._repr_mimebundle_()


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
