"""Lesson 6's explorer: KTO's value of one reply around a reference point, and which side of a log pulls harder."""

from __future__ import annotations

from lessons_lib import textbook
from lessons_lib.explorers import Axis, Bars, Curve, Explorer, Panel, Readout, Slider, Target

BALANCES = {"1 : 10": (1, 10), "1 : 3": (1, 3), "1 : 1": (1, 1), "3 : 1": (3, 1), "10 : 1": (10, 1)}  # ups, downs
WEIGHTS = (1, 1.33, 1.5, 2, 3, 5, 6.67, 10, 13.33, 15)
WANTED = (1, 1.5)  # λ_D·n_D / (λ_U·n_U) in the later versions of arXiv 2402.01306; see `losses.kto_loss`
SHARES = ("of ratings", "of the push")


def up_value(r: float, beta: float, z0: float, lam_d: float) -> float:
    """λ_D σ(β(r − z₀)): what a reply with a thumbs up is worth; KTO's loss is λ_D minus this."""
    return lam_d - textbook.kto_loss(r, 0, True, z0, beta, desirable_weight=lam_d)


def down_value(r: float, beta: float, z0: float, lam_u: float) -> float:
    return lam_u - textbook.kto_loss(r, 0, False, z0, beta, undesirable_weight=lam_u)


def push(r: float, beta: float, z0: float, weight: float) -> float:
    """The size of KTO's gradient in r, per nat: λβσ(z)(1 − σ(z)) with z = β(r − z₀), the same hill for both thumbs."""
    z = beta * (r - z0)
    return weight * beta * textbook.sigmoid(z) * textbook.sigmoid(-z)


def log_push(r: float, beta: float, z0: float, lam_d: float) -> float:
    """The same for a loss of −λ_D log σ(β(r − z₀)), which KTO's is not."""
    return lam_d * beta * textbook.sigmoid(-beta * (r - z0))


def ratio(balance: str, lam_d: float, lam_u: float) -> float:
    """λ_D·n_D / (λ_U·n_U): how much harder the ups pull than the downs."""
    ups, downs = BALANCES[balance]
    return lam_d * ups / (lam_u * downs)


def up_share(of: str, balance: str, lam_d: float, lam_u: float) -> float:
    """The ups' share of the ratings, or of the weighted push where every r is at z₀."""
    odds = ratio(balance, 1, 1) if of == SHARES[0] else ratio(balance, lam_d, lam_u)
    return odds / (1 + odds)


def down_share(of: str, balance: str, lam_d: float, lam_u: float) -> float:
    return 1 - up_share(of, balance, lam_d, lam_u)


def verdict(balance: str, lam_d: float, lam_u: float) -> str:
    low, high = WANTED
    weighted = round(ratio(balance, lam_d, lam_u), 2)
    if low <= weighted <= high:
        return "inside the paper's range of 1 to 1.5"
    return "below 1, so the downs lead" if weighted < low else "above 1.5, so the ups lead"


def kto_value() -> Explorer:
    """λ_D, λ_U, β, z₀ over the value of one reply and its gradient; the balance of a log beside them."""
    r = Axis("r = log(π_θ / π_ref) of one reply (nats)", -40, 40, points=161)
    point = Target("z₀", lambda z0: z0)
    return Explorer(
        name="kto-value",
        title="KTO values one reply against a reference point: move z₀ and β, then balance an uneven log",
        sliders=[
            Slider("beta", "β, how fast the value saturates", (0.05, 0.1, 0.2, 0.5, 1), default=0.1),
            Slider("z0", "z₀, the reference point (nats)", (0, 2, 5, 10, 20), default=5),
            Slider("lam_d", "λ_D, weight of a thumbs up", WEIGHTS, default=1),
            Slider("lam_u", "λ_U, weight of a thumbs down", WEIGHTS, default=1),
            Slider("balance", "ups : downs in the log", tuple(BALANCES), default="1 : 10"),
        ],
        presets={
            "1 : 10, no weights": {"balance": "1 : 10", "lam_d": 1, "lam_u": 1},
            "1 : 10, λ_D = 10": {"balance": "1 : 10", "lam_d": 10, "lam_u": 1},
            "10 : 1, λ_U = 6.67": {"balance": "10 : 1", "lam_d": 1, "lam_u": 6.67},
        },
        panels=[
            Panel(
                "The value bends at z₀ and is flat far from it",
                x=r,
                y=Axis("value v; the loss is λ − v", 0),
                marks=[
                    Curve("thumbs up", up_value, "kto"),
                    Curve("thumbs down", down_value, "ipo"),
                    point,
                ],
                read_at=0,
            ),
            Panel(
                "KTO lets go of a reply on both sides of z₀; −log σ would not",
                x=r,
                y=Axis("size of the push on r (per nat)", 0),
                marks=[
                    Curve("up, KTO", lambda r, beta, z0, lam_d: push(r, beta, z0, lam_d), "kto"),
                    Curve("down, KTO", lambda r, beta, z0, lam_u: push(r, beta, z0, lam_u), "ipo"),
                    Curve("up, if −log σ", log_push, "dpo"),
                    point,
                ],
                read_at=-30,
            ),
            Panel(
                "Whoever is many leads, unless the weights say otherwise",
                x=Axis("", categories=SHARES),
                y=Axis("share", 0, 1.1),
                marks=[Bars("ups", up_share, "kto"), Bars("downs", down_share, "ipo")],
            ),
        ],
        readouts=[
            Readout(
                "λ_D·n_D / (λ_U·n_U) = {ratio:.3g}: {verdict}. At r = z₀ a thumbs up is pushed with {near:.2g} per "
                "nat; 30 nats below z₀ with {far:.0%} of that. With −log σ it would be {log:.0%}.",
                ratio=ratio,
                verdict=verdict,
                near=lambda beta, lam_d: push(0, beta, 0, lam_d),
                far=lambda beta: push(-30, beta, 0, 1) / push(0, beta, 0, 1),
                log=lambda beta: log_push(-30, beta, 0, 1) / push(0, beta, 0, 1),
            )
        ],
        trl={"kto": {"beta": "beta", "desirable_weight": "lam_d", "undesirable_weight": "lam_u"}},
    )
