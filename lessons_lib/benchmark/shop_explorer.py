"""The explorer of the shop's texts: one request, and what the model answers as recorded runs go on, side by side."""

from __future__ import annotations

from lessons_lib.benchmark import shop_texts
from lessons_lib.benchmark.shop_design import ARMS, REGIMES
from lessons_lib.benchmark.shop_texts import SHARES, Shown
from lessons_lib.explorers import Axis, Curve, Explorer, Panel, Readout, Slider
from lessons_lib.lab.shop.requests import fixed_requests

REUSE = "One method on fresh pairs, and on few pairs seen often"
STARTS_AT = 1.0  # the end of the runs; 0 is the untouched model


def replies() -> Explorer:
    """The replies of every recorded run to each fixed request, from the untouched model to the last step."""
    runs = shop_texts.recorded_runs()
    asked = {f"{r.person}: {r.words} ({r.price} dollars)": number for number, r in enumerate(fixed_requests())}
    said = {(label(run), row["share"], row["request"]): row for run in runs for row in _by_share(run)}
    shares = (0.0, *SHARES)

    def reply(run: Shown):
        return lambda request, share: shop_texts.shown(said[label(run), share, asked[request]])

    def gold(run: Shown):
        return lambda request, share: said[label(run), share, asked[request]]["gold"]

    def mean(run: Shown):
        return lambda share: sum(said[label(run), share, number]["gold"] for number in asked.values()) / len(asked)

    def panel(title: str, some: list[Shown]) -> Panel:
        curves = [Curve(label(run), mean(run), style(run), dots=True) for run in some]
        return Panel(title, Axis("share of the run", at=shares), Axis("gold reward, mean of eight replies"), curves)

    once = [run for run in runs if run.regime == "clean"]
    others = [run for run in runs if run.regime != "clean"]
    reuse = [run for run in once if run.arm in {other.arm for other in others}] + others if others else []
    return Explorer(
        name="shop-replies",
        title="What the model answers as training goes on: one run each, an illustration and no ranking",
        sliders=[
            Slider("request", "A customer writes", tuple(asked), next(iter(asked))),
            Slider("share", "How much of the run is over", shares, STARTS_AT, ".0%"),
        ],
        presets={"the untouched model": {"share": 0.0}, "the end of the runs": {"share": 1.0}},
        panels=[panel(title, some) for title, some in (("Clean pairs, each seen once", once), (REUSE, reuse)) if some],
        readouts=[
            Readout(f"{label(run)} (gold {{gold:+.1f}}): {{reply}}", gold=gold(run), reply=reply(run)) for run in runs
        ],
    )


def label(run: Shown) -> str:
    """The arm, and the data where they are not clean pairs seen once."""
    return ARMS[run.arm].label + ("" if run.regime == "clean" else f", {REGIMES[run.regime].label} seen often")


def style(run: Shown) -> str:
    """The method's own look; a second run of a method, and SFT, which is none of the five, are neutral."""
    return run.arm if run.regime == "clean" and run.arm != "sft" else "neutral"


def _by_share(run: Shown) -> list[dict]:
    rows = shop_texts.recorded(run.arm, run.regime)
    last = max(row["step"] for row in rows)
    return [{**row, "share": row["step"] / last} for row in rows]
