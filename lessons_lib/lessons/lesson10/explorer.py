"""Lesson 10's explorer: FeedbackQA's four levels, a threshold, KTO's weights, and the pairs that a rule makes."""

from __future__ import annotations

from collections import Counter
from functools import cache

from lessons_lib.data import rated_log
from lessons_lib.data.preferences import ratings_to_pairs
from lessons_lib.explorers import Axis, Bars, Curve, Explorer, Level, Panel, Point, Readout, Slider, log_steps

THRESHOLDS = rated_log.RATINGS[:0:-1]  # up from Excellent, from Acceptable, from Could be Improved
RULES = {"unanimous": 1.0, "gap of ½": 0.5, "any gap": 1e-9}  # least gap between two shares of ups
LOW, HIGH = 1.0, 1.5  # the paper's range for λ_D·n_D / (λ_U·n_U)
WEIGHTS = log_steps(1, 15, (1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8))


def level(threshold: str) -> int:
    return rated_log.RATINGS.index(threshold)


@cache
def counts() -> Counter:
    return Counter(row["rating"] for row in rated_log.feedbackqa()[0])


@cache
def ups(threshold: str) -> int:
    """Ratings that count as up."""
    return sum(count for rating, count in counts().items() if rating >= level(threshold))


def downs(threshold: str) -> int:
    return counts().total() - ups(threshold)


def effective_ratio(threshold: str, desirable: float, undesirable: float) -> float:
    """λ_D·n_D / (λ_U·n_U): how much more the ups weigh than the downs."""
    return desirable * ups(threshold) / (undesirable * downs(threshold))


@cache
def pairs(rule: str, threshold: str) -> int:
    """Pairs of two passages of one question whose shares of ups differ by so much."""
    rows = rated_log.by_completion(rated_log.feedbackqa()[0], up_from=level(threshold))
    return sum(1 for _ in ratings_to_pairs(rows, rating="share_up", min_gap=RULES[rule]))


def verdict(threshold: str, desirable: float, undesirable: float) -> str:
    ratio = effective_ratio(threshold, desirable, undesirable)
    if ratio < LOW - 1e-9:
        return "below the paper's range: raise λ_D"
    return "in the paper's range" if ratio <= HIGH + 1e-9 else "above the paper's range: raise λ_U or lower λ_D"


def suggestion(threshold: str) -> str:
    from lessons_lib.advice.decide import kto_weights  # loads torch, which the figure itself does without

    desirable, undesirable = kto_weights(ups(threshold) / counts().total())
    return f"λ_D = {desirable:.3g}, λ_U = {undesirable:.3g}"


def threshold_and_weights() -> Explorer:
    """Where up begins and what each side weighs, over FeedbackQA's real ratings."""
    return Explorer(
        name="threshold-and-weights",
        title="FeedbackQA's ratings: set the threshold, then bring the weights into range",
        sliders=[
            Slider("threshold", "up begins at", THRESHOLDS, "Excellent"),
            Slider("desirable", "λ_D, weight of an up", WEIGHTS, 1),
            Slider("undesirable", "λ_U, weight of a down", WEIGHTS, 1),
        ],
        presets={f"up from {name}": {"threshold": name} for name in THRESHOLDS},
        panels=[
            Panel(
                "The threshold sets the balance, the weights correct it",
                x=Axis("label", categories=("up", "down")),
                y=Axis("ratings, and ratings × weight"),
                marks=[
                    Bars("ratings", lambda label, threshold: {"up": ups, "down": downs}[label](threshold), "neutral"),
                    Bars(
                        "× weight",
                        lambda label, threshold, desirable, undesirable: (
                            desirable * ups(threshold) if label == "up" else undesirable * downs(threshold)
                        ),
                        "kto",
                    ),
                ],
            ),
            Panel(
                "Between the lines, ups weigh as the paper asks",
                x=Axis("λ_D", 1, 15, log=True, points=41),
                y=Axis("λ_D·n_D ÷ (λ_U·n_U)", 0, 4),
                marks=[
                    Curve(
                        "ratio",
                        lambda weight, threshold, undesirable: effective_ratio(threshold, weight, undesirable),
                        "kto",
                    ),
                    Level("1, lower end", lambda: LOW),
                    Level("3/2, upper end", lambda: HIGH, "ipo"),
                    Point("your weights", lambda desirable: desirable, effective_ratio, "dpo"),
                ],
            ),
            Panel(
                "A stricter rule makes fewer pairs",
                x=Axis("rule", categories=tuple(RULES)),
                y=Axis("pairs", 0, 900),
                marks=[Bars("pairs", pairs, "dpo")],
            ),
        ],
        readouts=[
            Readout(
                "Up from {threshold}: {ups:,d} ups, {downs:,d} downs. The ratio is {ratio:.3g}, {verdict}. "
                "To bring it in with the smallest weights: {suggestion}.",
                threshold=lambda threshold: threshold,
                ups=ups,
                downs=downs,
                ratio=effective_ratio,
                verdict=verdict,
                suggestion=suggestion,
            )
        ],
        trl={"kto": {"desirable_weight": "desirable", "undesirable_weight": "undesirable"}},
    )
