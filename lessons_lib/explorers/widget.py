"""JupyterLab's face of an explorer: the page's markup and script, carried by anywidget.

The script draws and needs no kernel; Python hears where the sliders stand when they come to rest, and may set them.
"""

from __future__ import annotations

from importlib.resources import files

import anywidget
import traitlets

from lessons_lib.explorers import page
from lessons_lib.explorers.core import ExplorerSpec
from lessons_lib.explorers.pack import pack

_CLIENT = files("lessons_lib") / "client"


class ExplorerWidget(anywidget.AnyWidget):
    """What `lessons.mjs` gets: markup without pictures, the parts of the explorer, and its packed values.

    Attributes:
        indices: for each slider, which of its values it stands on; set here or in the browser.
    """

    _esm = (_CLIENT / "lessons.mjs").read_text(encoding="utf-8")
    _css = (_CLIENT / "lessons.css").read_text(encoding="utf-8")
    markup = traitlets.Unicode().tag(sync=True)
    spec = traitlets.Dict().tag(sync=True)
    data = traitlets.Bytes().tag(sync=True)
    indices = traitlets.List(traitlets.Int()).tag(sync=True)

    def __init__(self, explorer: ExplorerSpec):
        headers, block, _ = pack(explorer)
        starts = [slider.index(slider.default) for slider in explorer.sliders]
        parts = page.spec(explorer, headers)
        super().__init__(markup=page.markup(explorer), spec=parts, data=block, indices=starts)
