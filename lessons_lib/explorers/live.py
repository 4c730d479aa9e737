"""JupyterLab's face of an explorer: ipywidgets over a picture that is repainted by blitting."""

from __future__ import annotations

from html import escape

import ipywidgets as widgets

from lessons_lib.explorers.core import Explorer, Slider
from lessons_lib.explorers.figure import ExplorerDrawing
from lessons_lib.explorers.trl import configs, filled

# The kernel does not know the theme: mid-tone ink is darkened on a light page and lightened on a dark one.
STYLE = (
    "<style>.lx-live { filter: brightness(0.8) }"
    '[data-jp-theme-light="false"] .lx-live { filter: brightness(1.5) }</style>'
)
SCALE = 1.5  # device pixels a CSS pixel: sharp enough on most screens, and quick to encode


class LiveExplorer(widgets.VBox):
    """The widget: sliders, presets, picture, readouts. `controls[name].value` is a slider's value."""

    def __init__(self, explorer: Explorer):
        self.explorer = explorer
        self.controls = {slider.name: _control(slider) for slider in explorer.sliders}
        self.drawing = ExplorerDrawing(explorer, self.state(), SCALE) if explorer.panels else None
        self.readout = widgets.HTML()
        self.config = widgets.HTML()
        self.image = widgets.Image(format="png")
        self.image.add_class("lx-live")
        if self.drawing:
            self.image.layout = widgets.Layout(width=f"{self.drawing.width}px", max_width="100%", object_fit="contain")
        super().__init__(self._rows())
        for control in self.controls.values():
            control.observe(self.repaint, names="value")
        self.repaint()

    def state(self) -> dict[str, object]:
        """The sliders' values by name."""
        return {name: control.value for name, control in self.controls.items()}

    def repaint(self, _change=None) -> None:
        """Bring picture and sentences to where the sliders stand."""
        state = self.state()
        if self.drawing:
            self.image.value = self.drawing.paint(self.explorer.evaluate(**state))
        self.readout.value = "".join(f"<p>{escape(s)}</p>" for s in self.explorer.sentences(**state))
        if self.explorer.trl:
            texts = (filled(template, self.explorer, **state) for template in configs(self.explorer).values())
            self.config.value = "".join(f"<pre>{escape(text)}</pre>" for text in texts)

    def set(self, values) -> None:
        """Move several sliders with one repaint."""
        for name in values:
            self.controls[name].unobserve(self.repaint, names="value")
            self.controls[name].value = self.explorer.state(**values)[name]
            self.controls[name].observe(self.repaint, names="value")
        self.repaint()

    def _rows(self) -> list[widgets.Widget]:
        wrap = widgets.Layout(flex_flow="row wrap")
        rows = [widgets.HTML(f"{STYLE}<strong>{escape(self.explorer.title)}</strong>")]
        rows.append(widgets.Box(list(self.controls.values()), layout=wrap))
        if self.explorer.presets:
            rows.append(widgets.Box([self._preset(*item) for item in self.explorer.presets.items()], layout=wrap))
        rows += [self.readout] + ([self.image] if self.drawing else [])
        if self.explorer.trl:
            rows.append(widgets.Accordion([self.config], titles=["These settings as a TRL config"]))
        return rows

    def _preset(self, label: str, values) -> widgets.Button:
        button = widgets.Button(description=label)
        button.on_click(lambda _: self.set(values))
        return button


def _control(slider: Slider) -> widgets.Widget:
    options = list(zip(slider.texts, slider.values, strict=True))
    kind = widgets.Dropdown if slider.is_choice else widgets.SelectionSlider
    return kind(
        options=options,
        value=slider.default,
        description=slider.label,
        style={"description_width": "initial"},
        layout=widgets.Layout(width="min(26rem, 98%)"),
    )
