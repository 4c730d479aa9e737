"""Lesson 7's explorer: odds against probabilities, what λ weighs, and what summing does to both."""

from __future__ import annotations

import math

from lessons_lib import textbook
from lessons_lib.explorers import Axis, Curve, Explorer, Level, Panel, Readout, Slider, log_steps

SATISFIED = -math.log(math.expm1(0.1))  # the log ratio at which −log σ(·) has come down to 0.1
REJECTED = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
SHOWN = 0.9  # the chosen reply's probability that the sentence below the figure speaks of


def log_odds_ratio(chosen: float, rejected: float, tokens: int = 1) -> float:
    """log(odds chosen ÷ odds rejected) of replies whose tokens have these probabilities, `tokens` of them summed."""
    return textbook.log_odds(tokens * math.log(chosen)) - textbook.log_odds(tokens * math.log(rejected))


def log_probability_ratio(chosen: float, rejected: float, tokens: int = 1) -> float:
    """The same without the odds: log(P chosen ÷ P rejected)."""
    return tokens * (math.log(chosen) - math.log(rejected))


def push(own: float, chosen: float, rejected: float, lam: float) -> float:
    """Size of the odds-ratio term's gradient in the averaged log-prob of the reply whose tokens have `own`."""
    return lam * textbook.sigmoid(-log_odds_ratio(chosen, rejected)) / (1 - own)


def satisfied_odds(chosen: float, tokens: int = 1) -> float:
    """The rejected reply's probability a token at which the odds-ratio term has come down to 0.1."""
    return math.exp(textbook.log_sigmoid(textbook.log_odds(tokens * math.log(chosen)) - SATISFIED) / tokens)


def satisfied_probability(chosen: float, tokens: int = 1) -> float:
    """And the one at which −log σ of the log-probability ratio has."""
    return chosen * math.exp(-SATISFIED / tokens)


def odds_ratio() -> Explorer:
    """The rejected reply's probability, λ, and the number of tokens summed; the chosen reply's on the x axis."""
    chosen = Axis("chosen, probability a token", 0.02, 0.98, points=97)
    return Explorer(
        name="odds-ratio",
        title="Odds against probabilities: move the rejected reply, weigh by λ, then sum instead of averaging",
        sliders=[
            Slider("rejected", "rejected reply, probability a token", REJECTED, default=0.7),
            Slider("lam", "λ, weight of the preference", log_steps(0.05, 10, (1, 2, 5)), default=0.5),
            Slider("tokens", "tokens summed (1: averaged)", (1, 2, 5, 10, 20, 40), default=1, text="d"),
        ],
        presets={
            "unlikely replies": {"rejected": 0.1},
            "likely replies": {"rejected": 0.8},
            "summed over 20 tokens": {"tokens": 20},
        },
        panels=[
            Panel(
                "Odds stretch where replies are likely; probabilities do not",
                x=chosen,
                y=Axis("log ratio, chosen ÷ rejected", -6, 6),
                marks=[
                    Curve("odds (ORPO)", lambda p, rejected, tokens: log_odds_ratio(p, rejected, tokens), "orpo"),
                    Curve("probabilities", lambda p, rejected, tokens: log_probability_ratio(p, rejected, tokens), 0),
                ],
                read_at=SHOWN,
            ),
            Panel(
                "Averaged, λ weighs preference against imitation",
                x=chosen,
                y=Axis("size of gradient, per nat a token", 0, 4),
                marks=[
                    Level("imitation, chosen up", lambda: 1),
                    Curve("chosen up", lambda p, rejected, lam: push(p, p, rejected, lam), "orpo"),
                    Curve("rejected down", lambda p, rejected, lam: push(rejected, p, rejected, lam), 1),
                ],
                read_at=SHOWN,
            ),
            Panel(
                "How far the rejected reply must fall until the term is satisfied",
                x=chosen,
                y=Axis("rejected reply, term at 0.1", 0, 1),
                marks=[
                    Curve("odds (ORPO)", lambda p, tokens: satisfied_odds(p, tokens), "orpo"),
                    Curve("probabilities", lambda p, tokens: satisfied_probability(p, tokens), 0),
                ],
                read_at=SHOWN,
            ),
        ],
        readouts=[
            Readout(
                "A chosen reply at 0.9 a token against one at {rejected:.2g}: log odds ratio {odds:.2f}, "
                "log probability ratio {probabilities:.2f}. To bring the term down to 0.1 "
                "the rejected reply falls to {enough:.2f} under odds, to {more:.2f} under probabilities.",
                rejected=lambda rejected: rejected,
                odds=lambda rejected, tokens: log_odds_ratio(SHOWN, rejected, tokens),
                probabilities=lambda rejected, tokens: log_probability_ratio(SHOWN, rejected, tokens),
                enough=lambda tokens: satisfied_odds(SHOWN, tokens),
                more=lambda tokens: satisfied_probability(SHOWN, tokens),
            )
        ],
        trl={"orpo": {"lam": "lam"}},
    )
