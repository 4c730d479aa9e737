"""Interactive figures: declare sliders and functions, get widgets in JupyterLab and a living figure on the page.

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

`core` holds the declarations, `pack` the values for the page, `figure` the drawing, `page` and `live` the
two faces. The lessons' own explorers stand in modules named after them, such as `lesson05`.
"""

from lessons_lib.explorers.core import (
    Axis,
    Band,
    Bars,
    Curve,
    Explorer,
    Level,
    Panel,
    Point,
    Readout,
    Slider,
    Target,
    linear_steps,
    log_steps,
)

__all__ = [
    "Axis",
    "Band",
    "Bars",
    "Curve",
    "Explorer",
    "Level",
    "Panel",
    "Point",
    "Readout",
    "Slider",
    "Target",
    "linear_steps",
    "log_steps",
]
