"""Lesson 13's explorer: what a comparison of two methods can see, by its seeds and prompts.

A seed's difference between two methods varies for two reasons: training goes another way (`noise`), and each mean is
taken over finitely many replies. Both are standard deviations, so their squares add.
"""

from __future__ import annotations

import math
from functools import cache

from lessons_lib import metrics
from lessons_lib.explorers import Axis, Band, Curve, Explorer, Level, Panel, Readout, Slider, Target

REPLY_SD = 1.3  # points of gold, of one reply of the lab's SFT models; a test holds it to their samples
SEEDS = (2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30)
POWER = 0.8


def difference_sd(noise: float, prompts: float) -> float:
    """Of one seed's difference between two methods, each measured by one reply to every prompt."""
    return math.sqrt(noise**2 + 2 * REPLY_SD**2 / prompts)


def half_width(seeds: float, noise: float, prompts: float) -> float:
    """Half of the 95 % interval that one would typically see."""
    return metrics.t_quantile(int(seeds) - 1) * difference_sd(noise, prompts) / math.sqrt(seeds)


@cache
def power(effect: float, sd: float, seeds: int) -> float:
    return metrics.paired_power(effect, sd, seeds)


def smallest_visible(seeds: int, noise: float, prompts: int) -> float:
    """The effect that this comparison shows with a probability of `POWER`."""
    return difference_sd(noise, prompts) * _visible_in_sd(seeds)


@cache
def _visible_in_sd(seeds: int) -> float:
    """The same in standard deviations of a seed's difference, on which alone it depends: by halving an interval."""
    low, high = 0.0, 1000.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if metrics.paired_power(middle, 1.0, seeds) >= POWER else (middle, high)
    return high


def seeds_words(effect: float, noise: float, prompts: int) -> str:
    needed = metrics.seeds_needed(effect, difference_sd(noise, prompts), power=POWER, most=200)
    return "more than 200" if needed > 200 else str(needed)


def what_can_be_seen() -> Explorer:
    """Effect, noise, seeds and prompts over the interval one would see and the chance to see a difference."""
    return Explorer(
        name="what-can-be-seen",
        title="How many runs? Move the effect and the noise, and watch what your seeds can tell apart",
        sliders=[
            Slider("effect", "true difference (points of gold)", (0, 0.05, 0.1, 0.2, 0.3, 0.5, 1), 0.2),
            Slider("noise", "sd of a difference from seed to seed (points)", (0.05, 0.1, 0.2, 0.3, 0.5), 0.2),
            Slider("seeds", "seeds, the same for both", SEEDS, 3),
            Slider("prompts", "test prompts", (16, 64, 256, 1024, 4096), 256, text=",d"),
        ],
        presets={
            "one paper's table": {"effect": 0.2, "noise": 0.2, "seeds": 2, "prompts": 1024},
            "ten seeds": {"seeds": 10},
        },
        panels=[
            Panel(
                "The interval you would see: it must leave zero",
                x=Axis("seeds", at=SEEDS),
                y=Axis("difference (points of gold)", -1, 2),
                marks=[
                    Band("95 % interval, typically",
                         lambda n, effect, noise, prompts: effect - half_width(n, noise, prompts),
                         lambda n, effect, noise, prompts: effect + half_width(n, noise, prompts), "dpo"),
                    Curve("true difference", lambda n, effect: effect, "dpo"),
                    Level("no difference", lambda: 0.0),
                    Target("your seeds", lambda seeds: seeds),
                ],
            ),
            Panel(
                "The chance to see it",
                x=Axis("seeds", at=SEEDS),
                y=Axis("chance that the interval leaves 0", 0, 1.02),
                marks=[
                    Curve("this effect", lambda n, effect, noise, prompts: power(
                        effect, difference_sd(noise, prompts), int(n)), "kto"),
                    Level("80 %", lambda: POWER),
                    Target("your seeds", lambda seeds: seeds),
                ],
            ),
        ],
        readouts=[
            Readout(
                "With {seeds} seeds you would see this difference in {chance:.0%} of such experiments. An 80 % chance "
                "takes {needed} seeds; these seeds have it for a difference of {visible:.2f} points.",
                seeds=lambda seeds: seeds,
                chance=lambda effect, noise, prompts, seeds: power(effect, difference_sd(noise, prompts), seeds),
                needed=lambda effect, noise, prompts: seeds_words(effect, noise, prompts),
                visible=lambda seeds, noise, prompts: smallest_visible(seeds, noise, prompts),
            )
        ],
    )  # fmt: skip
