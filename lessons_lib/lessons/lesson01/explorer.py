"""Lesson 1's explorers: what β does to the best policy, and five losses over one margin with how hard each pushes."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

from lessons_lib import bandit, textbook
from lessons_lib.explorers import (
    Axis,
    Bars,
    Curve,
    Explorer,
    Panel,
    Point,
    Readout,
    Slider,
    linear_steps,
    log_steps,
)

# One pair of equal replies, so that the five can share an axis: what one gains in log-prob, the other loses.
TOKENS = 10
START = -15.0  # summed log-prob of either reply under the reference, in nats
SIMPO_BETA = 2.0


def logps(h: float) -> tuple[float, float]:
    """Summed log-probs of the chosen and the rejected reply at a margin of h nats."""
    return START + h / 2, START - h / 2


def dpo(h: float, beta: float) -> float:
    return textbook.dpo_loss(*logps(h), START, START, beta)


def ipo(h: float, tau: float) -> float:
    return textbook.ipo_loss(*logps(h), START, START, tau)


def kto(h: float, beta: float) -> float:
    """The mean over the pair's two replies, each rated alone, at z₀ = 0."""
    chosen, rejected = logps(h)
    return (textbook.kto_loss(chosen, START, True, 0, beta) + textbook.kto_loss(rejected, START, False, 0, beta)) / 2


def orpo(h: float, lam: float) -> float:
    chosen, rejected = (logp / TOKENS for logp in logps(h))
    return textbook.orpo_loss(chosen, rejected, -chosen, lam)


def simpo(h: float, gamma: float) -> float:
    chosen, rejected = (logp / TOKENS for logp in logps(h))
    return textbook.simpo_loss(chosen, rejected, SIMPO_BETA, gamma)


def push(loss: Callable[[float, float], float], h: float, knob: float, width: float = 1e-4) -> float:
    """−d(loss)/dh: how hard a loss pushes the margin up, per nat."""
    return (loss(h - width, knob) - loss(h + width, knob)) / (2 * width)


def kept(loss: Callable[[float, float], float], h: float, knob: float) -> float:
    """The push at h as a share of the push at the start, where h = 0."""
    return push(loss, h, knob) / push(loss, 0, knob)


# ---------------------------------------------------------------- β, a temperature and a price

REPLIES = ("right", "so-so", "rude", "broken")
REWARDS = (3.0, 1.0, 0.0, -1.0)  # points
REFERENCE = (0.1, 0.5, 0.3, 0.1)
FARTHEST = 0.95 * -math.log(REFERENCE[0])  # nats: a policy that always gives the best reply is log(1/0.1) away


@cache
def best_policy(beta: float) -> tuple[float, ...]:
    return tuple(bandit.tilted_policy(REWARDS, beta, REFERENCE))


def reward_of(policy: tuple[float, ...]) -> float:
    return sum(p * r for p, r in zip(policy, REWARDS, strict=True))


def kl_of(policy: tuple[float, ...]) -> float:
    return sum(p * math.log(p / q) for p, q in zip(policy, REFERENCE, strict=True) if p)


@cache
def most_reward(kl: float) -> float:
    """The most reward to be had so many nats from the reference: of the tilted policies, the one at that distance."""
    low, high = math.log(1e-3), math.log(1e3)  # of β
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if kl_of(best_policy(math.exp(middle))) > kl else (low, middle)
    return reward_of(best_policy(math.exp(high)))


def price_line(kl: float, beta: float) -> float:
    """All points worth as much as the best policy at β: β points more of reward for each nat of KL."""
    best = best_policy(beta)
    return reward_of(best) + beta * (kl - kl_of(best))


def log_partition(beta: float) -> float:
    """log Z of the four replies."""
    return math.log(sum(q * math.exp(r / beta) for q, r in zip(REFERENCE, REWARDS, strict=True)))


def temperature_and_price() -> Explorer:
    """One β over the best policy's probabilities, and over reward against distance."""
    return Explorer(
        name="temperature-and-price",
        title="One β, seen twice: how sharply the best policy chooses, and what it pays for leaving the reference",
        sliders=[Slider("beta", "β", log_steps(0.2, 20), default=1.0)],
        panels=[
            Panel(
                "A temperature: low β sharpens the choice, high β keeps to the reference",
                x=Axis("reply to one prompt", categories=REPLIES),
                y=Axis("probability", 0, 1),
                marks=[
                    Bars("reference", lambda reply: REFERENCE[REPLIES.index(reply)], "neutral"),
                    Bars("best policy at β", lambda reply, beta: best_policy(beta)[REPLIES.index(reply)], "dpo"),
                ],
            ),
            Panel(
                "A price: stop where another nat would earn less than β points",
                x=Axis("KL to the reference (nats)", 0, 2.2, points=45),
                y=Axis("expected reward (points)", 0, 3.5),
                marks=[
                    Curve("most reward at that KL", lambda kl: most_reward(min(kl, FARTHEST)), "dpo"),
                    Curve("slope β, at the best policy", price_line, "ipo"),
                    Point(
                        "best policy",
                        lambda beta: kl_of(best_policy(beta)),
                        lambda beta: reward_of(best_policy(beta)),
                    ),
                ],
            ),
        ],
        readouts=[
            Readout(
                "At β = {beta} the best policy earns {reward:.2f} points {kl:.2f} nats from the reference, and pays "
                "β · KL = {paid:.2f} for it. What is left, {left:.2f}, is β log Z.",
                beta=lambda beta: f"{beta:g}",
                reward=lambda beta: reward_of(best_policy(beta)),
                kl=lambda beta: kl_of(best_policy(beta)),
                paid=lambda beta: beta * kl_of(best_policy(beta)),
                left=lambda beta: beta * log_partition(beta),
            )
        ],
    )


# ---------------------------------------------------------------- five losses


def five_losses() -> Explorer:
    """β, τ, λ and γ over the five losses and their gradients, each against its own start."""
    margin = Axis("margin h (nats)", -10, 25, points=141)
    far = 10
    return Explorer(
        name="five-losses",
        title="Five losses on one pair: what each asks for, and when it stops asking",
        sliders=[
            Slider("beta", "β of DPO and KTO", log_steps(0.02, 1), default=0.1),
            Slider("tau", "τ of IPO", log_steps(0.02, 1), default=0.1),
            Slider("lam", "λ of ORPO", log_steps(0.05, 3), default=0.1),
            Slider("gamma", "γ of SimPO", linear_steps(0, 5, 11), default=1.0),
        ],
        presets={
            "as in the papers": {"beta": 0.1, "tau": 0.1, "lam": 0.1, "gamma": 1.0},
            "all on a short leash": {"beta": 1, "tau": 0.5, "lam": 0.1, "gamma": 0},
        },
        panels=[
            Panel(
                "Four losses fall as the margin grows; IPO's turns",
                x=margin,
                y=Axis("loss ÷ loss at h = 0", 0, 2),
                marks=[
                    Curve("DPO", lambda h, beta: dpo(h, beta) / dpo(0, beta), "dpo"),
                    Curve("IPO", lambda h, tau: ipo(h, tau) / ipo(0, tau), "ipo"),
                    Curve("KTO", lambda h, beta: kto(h, beta) / kto(0, beta), "kto"),
                    Curve("ORPO", lambda h, lam: orpo(h, lam) / orpo(0, lam), "orpo"),
                    Curve("SimPO", lambda h, gamma: simpo(h, gamma) / simpo(0, gamma), "simpo"),
                ],
                read_at=far,
            ),
            Panel(
                "Who still pushes, how hard, and who pulls back",
                x=margin,
                y=Axis("−gradient ÷ its size at h = 0", -1, 2),
                marks=[
                    Curve("DPO", lambda h, beta: kept(dpo, h, beta), "dpo"),
                    Curve("IPO", lambda h, tau: kept(ipo, h, tau), "ipo"),
                    Curve("KTO", lambda h, beta: kept(kto, h, beta), "kto"),
                    Curve("ORPO", lambda h, lam: kept(orpo, h, lam), "orpo"),
                    Curve("SimPO", lambda h, gamma: kept(simpo, h, gamma), "simpo"),
                ],
                read_at=far,
            ),
        ],
        readouts=[
            Readout(
                "At a margin of 10 nats, of the push at the start there is left: DPO {dpo:.0%}, IPO {ipo:.0%}, "
                "KTO {kto:.0%}, ORPO {orpo:.0%}, SimPO {simpo:.0%}. Below zero means: pulls back.",
                dpo=lambda beta: kept(dpo, far, beta),
                ipo=lambda tau: kept(ipo, far, tau),
                kto=lambda beta: kept(kto, far, beta),
                orpo=lambda lam: kept(orpo, far, lam),
                simpo=lambda gamma: kept(simpo, far, gamma),
            )
        ],
        trl={"dpo": {"beta": "beta"}, "ipo": {"tau": "tau"}, "kto": {"beta": "beta"}, "orpo": {"lam": "lam"}},
    )
