"""An explorer with its faces: one MIME bundle for JupyterLab, the published page and plain viewers."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from lessons_lib._surroundings import is_published
from lessons_lib.explorers.core import ExplorerSpec

if TYPE_CHECKING:
    from lessons_lib.explorers.widget import ExplorerWidget


class Explorer(ExplorerSpec):
    """One interactive figure, the same in JupyterLab and on the published page.

    As the last line of a cell it shows itself. In a notebook `explorer.value` says where its sliders stand, and
    `explorer.value = {"tau": 0.5}` moves them; `ExplorerSpec` says what it is made of.

    Example:
        >>> from lessons_lib.explorers import Slider
        >>> knob = Explorer("knob", "One knob", [Slider("tau", "τ", (0.1, 0.5), 0.1)])
        >>> knob.value = {"tau": 0.5}
        >>> knob.value
        {'tau': 0.5}
    """

    @property
    def value(self) -> dict[str, object]:
        """The sliders' values by name."""
        places = zip(self.sliders, self.widget.indices, strict=True)
        return {slider.name: slider.values[index] for slider, index in places}

    @value.setter
    def value(self, values: Mapping[str, object]) -> None:
        state = self.state(**(self.value | dict(values)))
        self.widget.indices = [slider.index(state[slider.name]) for slider in self.sliders]

    @cached_property
    def widget(self) -> ExplorerWidget:
        """The `anywidget` behind the picture; `explorer.widget.observe(call, "indices")` follows the sliders."""
        from lessons_lib.explorers.widget import ExplorerWidget  # here: a page without a kernel has no widgets

        return ExplorerWidget(self)

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict | tuple[dict, dict]:
        """The page's HTML where there will be no kernel, the widget where there is one; in both a PNG and a text.

        JupyterLab and the page take the first; GitHub's viewer, e-books and mail show the PNG of a saved notebook.
        """
        from lessons_lib import plots  # matplotlib takes longer to load than an explorer to make
        from lessons_lib.explorers import figure, page

        still = {"text/plain": "\n".join([self.title, *self.sentences(), *self.lines()])}
        if self.panels:
            still["image/png"] = base64.b64encode(plots.png(figure.picture(self))).decode()
        if is_published():
            return {"text/html": page.html(self)} | still
        live, metadata = self.widget._repr_mimebundle_()
        return live | still, metadata
