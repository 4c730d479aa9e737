"""Lesson 5's explorer: where IPO stops and DPO does not."""

from __future__ import annotations

from lessons_lib import bandit, textbook
from lessons_lib.explorers import Axis, Bars, Curve, Explorer, Panel, Readout, Slider, Target, log_steps

ARMS = ("a", "b", "c")
REFERENCE = (1 / 3, 1 / 3, 1 / 3)


def dpo_loss(h: float, beta: float) -> float:
    return textbook.dpo_loss(h, 0, 0, 0, beta)


def ipo_loss(h: float, tau: float) -> float:
    return textbook.ipo_loss(h, 0, 0, 0, tau)


def dpo_push(h: float, beta: float) -> float:
    """−d/dh of −log σ(βh), per nat: how hard DPO pushes the margin up."""
    return beta * textbook.sigmoid(-beta * h)


def ipo_push(h: float, tau: float) -> float:
    """−d/dh of (h − 1/(2τ))², per nat: below zero IPO pulls the margin back."""
    return 2 * (target(tau) - h)


def target(tau: float) -> float:
    """The margin where IPO's loss is zero, in nats."""
    return 1 / (2 * tau)


def ipo_arm(arm: str, tau: float) -> float:
    """IPO's optimum on three arms with a ≻ b ≻ c and a uniform reference: log-probs 1/(3τ) apart."""
    return bandit.ipo_optimum(bandit.TOTAL_ORDER, tau, REFERENCE)[ARMS.index(arm)]


def dpo_arm(arm: str) -> float:
    """DPO's limit on the same three arms, whatever β is."""
    return 1.0 if arm == ARMS[0] else 0.0


def ipo_stops() -> Explorer:
    """τ and β over both losses, their gradients, and the three-armed bandit's closed form."""
    margin = Axis("margin h (nats)", -5, 30, points=281)
    stop = Target("IPO's target 1/(2τ)", target)
    return Explorer(
        name="ipo-stops",
        title="IPO knows when to stop: move τ and watch its target; move β and watch DPO never reach one",
        sliders=[
            Slider("tau", "τ, IPO's strength", log_steps(0.02, 1), default=0.1),
            Slider("beta", "β, DPO's strength", log_steps(0.01, 1), default=0.1),
        ],
        presets={f"τ = {tau}": {"tau": tau} for tau in (0.1, 0.5, 1)},
        panels=[
            Panel(
                "IPO's loss has a lowest point; DPO's falls for ever",
                x=margin,
                y=Axis("loss ÷ loss at h = 0", 0, 2),
                marks=[
                    Curve("DPO", lambda h, beta: dpo_loss(h, beta) / dpo_loss(0, beta), "dpo"),
                    Curve("IPO", lambda h, tau: ipo_loss(h, tau) / ipo_loss(0, tau), "ipo"),
                    stop,
                ],
                read_at=10,
            ),
            Panel(
                "Past its target IPO pulls back; DPO only ever pushes on",
                x=margin,
                y=Axis("−gradient ÷ its size at h = 0", -2, 2),
                marks=[
                    Curve("DPO", lambda h, beta: dpo_push(h, beta) / dpo_push(0, beta), "dpo"),
                    Curve("IPO", lambda h, tau: ipo_push(h, tau) / ipo_push(0, tau), "ipo"),
                    stop,
                ],
                read_at=10,
            ),
            Panel(
                "Answers always ranked a, b, c: IPO keeps all three alive",
                x=Axis("answer", categories=ARMS),
                y=Axis("probability at the optimum", 0, 1.1),
                marks=[Bars("DPO, in the limit", dpo_arm, "dpo"), Bars("IPO", ipo_arm, "ipo")],
            ),
        ],
        readouts=[
            Readout(
                "IPO stops at a margin of {stop}. DPO still pushes there: {push:.2g} per nat, "
                "{share:.0%} of its push at the start.",
                stop=lambda tau: f"{target(tau):.3g} nat{'' if target(tau) == 1 else 's'}",
                push=lambda tau, beta: dpo_push(target(tau), beta),
                share=lambda tau, beta: dpo_push(target(tau), beta) / dpo_push(0, beta),
            )
        ],
        trl={"dpo": {"beta": "beta"}, "ipo": {"tau": "tau"}},
    )
