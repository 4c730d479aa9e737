"""Lesson 1's explorer: five losses over one margin, and how hard each pushes."""

from __future__ import annotations

from collections.abc import Callable

from lessons_lib import textbook
from lessons_lib.explorers import Axis, Curve, Explorer, Panel, Readout, Slider, linear_steps, log_steps

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
