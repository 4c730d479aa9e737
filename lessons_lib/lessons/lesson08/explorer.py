"""Lesson 8's explorer: DPO's and SimPO's reward of the same two texts, as their lengths, β and γ move.

A text is two numbers here. The reference gives every token of the chosen reply −1 nat and every token of the
rejected one −0.8, so that the rejected reply is the likelier one a token. Training has lifted every rejected token
by 0.1 nats, and every chosen token by a gain that stands on the x axis.
"""

from __future__ import annotations

from lessons_lib import textbook
from lessons_lib.explorers import Axis, Bars, Curve, Explorer, Panel, Readout, Slider, Target, linear_steps

CHOSEN, REJECTED = "chosen", "rejected"
REFERENCE = {CHOSEN: -1.0, REJECTED: -0.8}  # nats a token
REJECTED_GAIN = 0.1  # nats a token
SHOWN = 0.2  # the chosen reply's gain that the bars and the sentence speak of
DPO_BETA = 0.1
LENGTHS = (5, 10, 15, 20, 25, 30, 40, 50, 60)


def gain_of(reply: str, gain: float) -> float:
    """What training lifted each token of a reply by, in nats."""
    return gain if reply == CHOSEN else REJECTED_GAIN


def dpo_reward(reply: str, gain: float, tokens: int) -> float:
    """β times the log-ratio to the reference, summed over the reply's tokens."""
    return DPO_BETA * tokens * gain_of(reply, gain)


def simpo_reward(reply: str, gain: float, beta: float) -> float:
    """β times the averaged log-prob: neither the length nor the reference is in it."""
    return beta * (REFERENCE[reply] + gain_of(reply, gain))


def dpo_margin(gain: float, chosen: int, rejected: int) -> float:
    return dpo_reward(CHOSEN, gain, chosen) - dpo_reward(REJECTED, gain, rejected)


def simpo_margin(gain: float, beta: float) -> float:
    return simpo_reward(CHOSEN, gain, beta) - simpo_reward(REJECTED, gain, beta)


def dpo_loss(gain: float, chosen: int, rejected: int) -> float:
    return textbook.dpo_loss(chosen * gain, rejected * REJECTED_GAIN, 0, 0, DPO_BETA)


def simpo_loss(gain: float, beta: float, gamma: float) -> float:
    averages = (REFERENCE[reply] + gain_of(reply, gain) for reply in (CHOSEN, REJECTED))
    return textbook.simpo_loss(*averages, beta, gamma)


def reached(beta: float, gamma: float) -> float:
    """The chosen reply's gain at which SimPO's margin is γ."""
    return REFERENCE[REJECTED] + REJECTED_GAIN - REFERENCE[CHOSEN] + gamma / beta


def preferred(margin: float) -> str:
    """Which reply a margin ranks first."""
    if abs(margin) < 1e-9:
        return "neither"
    return CHOSEN if margin > 0 else REJECTED


def length_and_margin() -> Explorer:
    """The two lengths move DPO alone, β and γ move SimPO alone."""
    gain = Axis("gain of each chosen token (nats)", -0.5, 1.5, points=101)
    asked = Target("SimPO's margin is γ", reached)
    replies = Axis("reply", categories=(CHOSEN, REJECTED))

    def own_length(reply: str, chosen: int, rejected: int) -> int:
        return chosen if reply == CHOSEN else rejected

    return Explorer(
        name="length-and-margin",
        title="The same two texts: lengths move DPO's reward, β and γ move SimPO's",
        sliders=[
            Slider("chosen", "chosen reply, tokens", LENGTHS, default=20, text="d"),
            Slider("rejected", "rejected reply, tokens", LENGTHS, default=20, text="d"),
            Slider("beta", "β, SimPO's scale", (1, 2, 2.5, 3, 5, 7, 10), default=2),
            Slider("gamma", "γ, SimPO's margin", linear_steps(0, 3, 13), default=1),
        ],
        presets={
            "equal lengths": {"chosen": 20, "rejected": 20},
            "long chosen": {"chosen": 60, "rejected": 10},
            "long rejected": {"chosen": 10, "rejected": 60},
            "no margin": {"gamma": 0},
        },
        panels=[
            Panel(
                "Lengths tilt DPO's margin and leave SimPO's alone",
                x=gain,
                y=Axis("reward margin, chosen − rejected", -3, 3),
                marks=[
                    Curve(f"DPO, β = {DPO_BETA}", dpo_margin, "dpo"),
                    Curve("SimPO", simpo_margin, "simpo"),
                    asked,
                ],
                read_at=SHOWN,
            ),
            Panel(
                "γ moves SimPO's loss to the right",
                x=gain,
                y=Axis("loss (nats)", 0, 4),
                marks=[
                    Curve(f"DPO, β = {DPO_BETA}", dpo_loss, "dpo"),
                    Curve("SimPO", simpo_loss, "simpo"),
                    asked,
                ],
                read_at=SHOWN,
            ),
            Panel(
                f"Rewards where each chosen token gained {SHOWN} nats",
                x=replies,
                y=Axis("reward"),
                marks=[
                    Bars(
                        "DPO",
                        lambda reply, chosen, rejected: dpo_reward(reply, SHOWN, own_length(reply, chosen, rejected)),
                        "dpo",
                    ),
                    Bars("SimPO", lambda reply, beta: simpo_reward(reply, SHOWN, beta), "simpo"),
                ],
            ),
        ],
        readouts=[
            Readout(
                "At a gain of 0.2 nats DPO's margin is {dpo:+.2f}, so it prefers {first}; "
                "SimPO's is {simpo:+.2f}, so it prefers {second}. "
                "SimPO's margin reaches γ at a gain of {reached:.2f} nats, γ/β = {ratio:.2f} past the tie.",
                dpo=lambda chosen, rejected: dpo_margin(SHOWN, chosen, rejected),
                first=lambda chosen, rejected: preferred(dpo_margin(SHOWN, chosen, rejected)),
                simpo=lambda beta: simpo_margin(SHOWN, beta),
                second=lambda beta: preferred(simpo_margin(SHOWN, beta)),
                reached=reached,
                ratio=lambda beta, gamma: gamma / beta,
            )
        ],
        trl={"simpo": {"beta": "beta", "gamma": "gamma"}},
    )
