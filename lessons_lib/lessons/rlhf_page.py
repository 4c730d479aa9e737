"""The page on DPO and RLHF: the same preferences by two roads, on five responses to one prompt."""

from __future__ import annotations

from functools import cache

from lessons_lib import bandit, rlhf
from lessons_lib.explorers import Axis, Bars, Curve, Explorer, Level, Panel, Readout, Slider

RESPONSES = ("great", "good", "fair", "poor", "bad")
REWARDS = (2.0, 1.0, 0.0, -1.0, -2.0)
REFERENCE = (0.1, 0.15, 0.3, 0.25, 0.2)
STEPS = 200
SHOWN = tuple(range(0, STEPS + 1, 10))


@cache
def _preferences(pairs: int, flip_rate: float):
    return rlhf.draw_preferences(REWARDS, pairs, flip_rate=flip_rate, seed=3)


@cache
def _road(name: str, beta: float, pairs: int, flip_rate: float):
    wins = _preferences(pairs, flip_rate)
    if name == "dpo":
        return rlhf.dpo(wins, beta, REFERENCE, steps=STEPS)
    return rlhf.policy_gradient(rlhf.fit_rewards(wins), beta, REFERENCE, steps=STEPS, seed=5)


def true_reward(policy) -> float:
    """What the policy's responses are really worth, on average."""
    return float(sum(p * r for p, r in zip(policy, REWARDS, strict=True)))


def reward_at(step: int, name: str, beta: float, pairs: int, flips: float) -> float:
    return true_reward(_road(name, beta, pairs, flips)[step])


def share(response: str, name: str, beta: float, pairs: int, flips: float) -> float:
    return float(_road(name, beta, pairs, flips)[-1][RESPONSES.index(response)])


def best_reward(beta: float) -> float:
    """True reward of the optimum at this β, were the rewards known."""
    return true_reward(bandit.tilted_policy(REWARDS, beta, REFERENCE))


def end_kl(name: str, beta: float, pairs: int, flips: float) -> float:
    return float(rlhf.kl(_road(name, beta, pairs, flips)[-1], REFERENCE))


def two_roads() -> Explorer:
    """β, the number of comparisons and the share of flipped labels over both roads."""
    return Explorer(
        name="two-roads",
        title="One set of preferences, two roads: a reward model with policy gradient, and DPO",
        sliders=[
            Slider("beta", "β, the price of leaving the reference", (0.2, 0.3, 0.5, 1.0, 2.0, 3.0), 0.5),
            Slider("pairs", "comparisons by annotators", (10, 30, 100, 300, 3000), 300, text=",d"),
            Slider("flips", "share of flipped labels", (0.0, 0.1, 0.2, 0.4), 0.0, text=".0%"),
        ],
        panels=[
            Panel(
                "Both climb to the same place; DPO draws no samples on its way",
                x=Axis("step", 0, STEPS, at=SHOWN),
                y=Axis("true reward (nats)", -1, 2.2),
                marks=[
                    Curve("DPO", lambda t, beta, pairs, flips: reward_at(t, "dpo", beta, pairs, flips), "dpo"),
                    Curve("policy gradient",
                          lambda t, beta, pairs, flips: reward_at(t, "rl", beta, pairs, flips), "ipo"),
                    Level("optimum, rewards known", best_reward),
                ],
            ),
            Panel(
                "Where they end: the same mixture of responses",
                x=Axis("response", categories=RESPONSES),
                y=Axis("probability at the end", 0, 1.05),
                marks=[
                    Bars("reference", lambda name: REFERENCE[RESPONSES.index(name)], "neutral"),
                    Bars("DPO", lambda name, beta, pairs, flips: share(name, "dpo", beta, pairs, flips), "dpo"),
                    Bars("policy gradient",
                         lambda name, beta, pairs, flips: share(name, "rl", beta, pairs, flips), "ipo"),
                ],
            ),
        ],
        readouts=[
            Readout(
                "DPO ends at a true reward of {dpo:.2f} and a KL of {dpo_kl:.2f} nats, policy gradient at {rl:.2f} and "
                "{rl_kl:.2f}; with the rewards known, the optimum at this β has {best:.2f}.",
                dpo=lambda beta, pairs, flips: reward_at(STEPS, "dpo", beta, pairs, flips),
                rl=lambda beta, pairs, flips: reward_at(STEPS, "rl", beta, pairs, flips),
                dpo_kl=lambda beta, pairs, flips: end_kl("dpo", beta, pairs, flips),
                rl_kl=lambda beta, pairs, flips: end_kl("rl", beta, pairs, flips),
                best=best_reward,
            )
        ],
    )  # fmt: skip
