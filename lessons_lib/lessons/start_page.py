"""The start page's replies: one request, and what two recorded runs answer to it while they train."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from lessons_lib.benchmark import shop_texts
from lessons_lib.benchmark.shop_design import ARMS, REGIMES
from lessons_lib.explorers import Card, Explorer, Lights, Slider
from lessons_lib.lab.shop.requests import fixed_requests

MOMENTS = ("before", "¼", "½", "¾", "at the end")


class Run(NamedTuple):
    """A recorded run that the page shows; `shop_texts.SHOWN` has its setting."""

    arm: str
    regime: str

    @property
    def label(self) -> str:
        return f"{ARMS[self.arm].label} on {REGIMES[self.regime].says}"


RUNS = (Run("dpo", "clean"), Run("dpo", "near_deterministic"))


def two_replies() -> Explorer:
    """A request, how far training is, and the reply of either run with its gold reward."""
    asked = {f"{r.person}: {r.words} ({r.price} dollars)": number for number, r in enumerate(fixed_requests())}
    said = {(run, *place): row for run in RUNS for place, row in _by_moment(run).items()}

    def reply(run: Run) -> Callable:
        return lambda request, moment: shop_texts.shown(said[run, moment, asked[request]])

    def gold(run: Run) -> Callable:
        return lambda request, moment: f"{said[run, moment, asked[request]]['gold']:+.1f}".replace("-", "−")

    return Explorer(
        name="two-replies",
        title="Read what a number stands for: the same request as training goes on",
        sliders=[
            Slider("request", "A customer writes", tuple(asked), next(iter(asked))),
            Slider("moment", "How much of the run is over", MOMENTS, MOMENTS[-1], buttons=True),
        ],
        card=Card(
            lambda request: request.partition(": ")[2],
            lights=(Lights(lambda: "Gold reward of the reply (points):", {run.label: gold(run) for run in RUNS}),),
            lines={run.label: reply(run) for run in RUNS},
        ),
    )


def _by_moment(run: Run) -> dict[tuple[str, int], dict]:
    """(moment, number of the request) -> the recorded row."""
    rows = shop_texts.recorded(run.arm, run.regime)
    moments = dict(zip(sorted({row["step"] for row in rows}), MOMENTS, strict=True))
    return {(moments[row["step"]], row["request"]): row for row in rows}
