"""Interactive figures: declare sliders and functions, get one living figure in JupyterLab and on the page.

    from lessons_lib.explorers import Axis, Curve, Explorer, Panel, Slider, log_steps

    Explorer(
        name="dpo-loss",
        title="DPO's loss never reaches zero",
        sliders=[Slider("beta", "β", log_steps(0.01, 1), default=0.1)],
        panels=[
            Panel(
                "The loss falls for ever",
                x=Axis("margin h (nats)", -5, 15),
                y=Axis("loss (nats)", 0, 2),
                marks=[Curve("DPO", lambda h, beta: textbook.dpo_loss(h, 0, 0, 0, beta), style="dpo")],
            )
        ],
    )

`core` holds the declarations, `pack` their values over all sliders, `page` the markup, `figure` still pictures,
`scales` how numbers and axes are written, `show` brings them together. `lessons_lib/client/lessons.mjs` draws. A
lesson's own explorer stands in its room, such as `lessons_lib.lessons.lesson05.explorer`.
"""

from lessons_lib.explorers.core import (
    Axis,
    Band,
    Bars,
    Card,
    Curve,
    Level,
    Lights,
    Panel,
    Point,
    Readout,
    Slider,
    Target,
    linear_steps,
    log_steps,
)
from lessons_lib.explorers.show import Explorer

__all__ = [
    "Axis",
    "Band",
    "Bars",
    "Card",
    "Curve",
    "Explorer",
    "Level",
    "Lights",
    "Panel",
    "Point",
    "Readout",
    "Slider",
    "Target",
    "linear_steps",
    "log_steps",
]
