"""The start page's replies: one request, what the untouched model answers to it, and what recorded runs answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lessons_lib.benchmark import shop_texts
from lessons_lib.benchmark.shop_design import ARMS, REGIMES
from lessons_lib.benchmark.shop_texts import Shown
from lessons_lib.explorers import Card, Explorer, Slider
from lessons_lib.lab.shop.requests import fixed_requests

MOMENTS = ("¼", "½", "¾", "all of it")  # of a run, as `shop_texts.SHARES` has them


def replies() -> Explorer:
    """A request, how much of the run is over, and the replies with their gold reward."""
    requests = fixed_requests()
    asked = {f"{request.person} ({request.price} dollars)": number for number, request in enumerate(requests)}
    said = {_label(run): _by_moment(run) for run in shop_texts.recorded_runs()}
    first = next(iter(said.values()))

    def at(run: Mapping) -> Callable:
        return lambda request, moment: _told(run[MOMENTS.index(moment) + 1, asked[request]])

    return Explorer(
        name="replies",
        title="One request, two replies",
        sliders=[
            Slider("request", "Whose request", tuple(asked), next(iter(asked))),
            Slider("moment", "How much of the run is over?", MOMENTS, MOMENTS[-1], buttons=True),
        ],
        card=Card(
            lambda request: f"{requests[asked[request]].words} ({requests[asked[request]].price} dollars)",
            lines={
                "Before training": lambda request: _told(first[0, asked[request]]),
                **{label: at(run) for label, run in said.items()},
            },
        ),
    )


def _label(run: Shown) -> str:
    return f"{ARMS[run.arm].label}, {REGIMES[run.regime].says}"


def _told(row: Mapping) -> str:
    return f"“{shop_texts.shown(row)}” ({row['gold']:.1f} points)".replace("-", "−")


def _by_moment(run: Shown) -> dict[tuple[int, int], Mapping]:
    """(0 before training, then 1 for each moment; number of the request) -> the recorded row."""
    rows = shop_texts.recorded(run.arm, run.regime)
    places = {step: place for place, step in enumerate(sorted({row["step"] for row in rows}))}
    return {(places[row["step"]], row["request"]): row for row in rows}
