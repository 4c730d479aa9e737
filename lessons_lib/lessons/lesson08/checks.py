"""Checks of exercise 8: SimPO from summed log-probs, γ in two spellings, and the pairs on which DPO disagrees."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F

from lessons_lib import losses
from lessons_lib.grading.verdict import Mistake, Verdict, check_loss, check_numbers

Pair = dict[str, float]  # log-probs summed over tokens, and token counts


def check_simpo_loss(function: Callable) -> Verdict:
    """Check ``function(chosen, rejected, chosen_tokens, rejected_tokens, beta, gamma)``.

    The log-probs are summed; the right answer averages them first: −log σ(β(average − average) − γ), a value a pair.
    """

    def right(chosen, rejected, chosen_tokens, rejected_tokens, beta, gamma):
        return losses.simpo_loss(chosen / chosen_tokens, rejected / rejected_tokens, beta=beta, gamma=gamma).losses

    return check_loss(function, right, _SIMPO_MISTAKES, _SUMS, {"beta": 2.5, "gamma": 0.75}, otherwise=_COMPARE)


def check_gamma_for_trl(function: Callable) -> Verdict:
    """Check ``function(beta, gamma_beta_ratio)``: the γ that TRL's `simpo_gamma` takes, β · (γ/β)."""
    mistakes = (
        Mistake("γ/β passed on", lambda beta, ratio: ratio, "TRL takes γ itself; the ratio is γ divided by β"),
        Mistake("divided", lambda beta, ratio: ratio / beta, "ratio = γ/β, so γ = ratio · β"),
        Mistake("upside down", lambda beta, ratio: beta / ratio, "solve ratio = γ/β for γ"),
        Mistake("added", lambda beta, ratio: beta + ratio, "a ratio is undone by multiplying"),
    )
    return check_numbers(function, lambda beta, ratio: beta * ratio, mistakes, [(2.0, 0.8), (2.5, 0.1), (10.0, 0.3)])


def check_ranked_differently(function: Callable) -> Verdict:
    """Check ``function(pairs)``: the positions, counted from 0, of the pairs that DPO and SimPO rank differently."""
    shown = "with the pairs\n" + "\n".join(f"  {number}: {pair}" for number, pair in enumerate(_PAIRS))
    right = _where(_disagree)
    try:
        came = function([dict(pair) for pair in _PAIRS])
    except Exception as error:  # whatever the learner's code raises is an answer to explain
        return Verdict(False, f"{shown}\nyour function raised {type(error).__name__}: {error}")

    def wrong(cause: str) -> Verdict:
        return Verdict(False, f"{shown}\nexpected {right}\ngot {came}\nlikely cause: {cause}")

    if not isinstance(came, (list, tuple)):
        return wrong(f"the answer is a {type(came).__name__}; return a list of positions")
    if any(isinstance(item, bool) or not isinstance(item, int) for item in came):
        return wrong("the list holds something else than whole numbers; return positions, counted from 0")
    if sorted(came) == right:
        return Verdict(True, f"right: DPO and SimPO disagree on {right} of {len(_PAIRS)} pairs")
    if sorted(came) == [number + 1 for number in right]:
        return wrong("positions counted from 1; the first pair is number 0")
    for answer, hint in _RANKING_MISTAKES.items():
        if sorted(came) == _where(answer):
            return wrong(hint)
    return wrong("work out both margins for each pair, and compare their signs")


def dpo_margin(pair: Pair) -> float:
    """The difference of the two summed log-ratios; its sign is DPO's ranking, whatever β is."""
    return (pair["policy_chosen"] - pair["reference_chosen"]) - (pair["policy_rejected"] - pair["reference_rejected"])


def simpo_margin(pair: Pair) -> float:
    """The difference of the two averaged log-probs; its sign is SimPO's ranking, whatever β is."""
    return pair["policy_chosen"] / pair["chosen_tokens"] - pair["policy_rejected"] / pair["rejected_tokens"]


def _disagree(pair: Pair) -> bool:
    return dpo_margin(pair) * simpo_margin(pair) < 0


def _where(answer: Callable[[Pair], bool]) -> list[int]:
    return [number for number, pair in enumerate(_PAIRS) if answer(pair)]


def _gain_a_token(pair: Pair) -> float:
    gains = {side: pair[f"policy_{side}"] - pair[f"reference_{side}"] for side in ("chosen", "rejected")}
    return gains["chosen"] / pair["chosen_tokens"] - gains["rejected"] / pair["rejected_tokens"]


def _sum_margin(pair: Pair) -> float:
    return pair["policy_chosen"] - pair["policy_rejected"]


_RANKING_MISTAKES: dict[Callable[[Pair], bool], str] = {
    lambda pair: not _disagree(pair): "these are the pairs on which they agree",
    lambda pair: _sum_margin(pair) * simpo_margin(pair) < 0: "DPO compares with the reference: subtract its log-probs",
    lambda pair: dpo_margin(pair) * _sum_margin(pair) < 0: "SimPO averages: divide each log-prob by its own tokens",
    lambda pair: _gain_a_token(pair) * simpo_margin(pair) < 0: "DPO sums: leave its log-ratios undivided",
    lambda pair: dpo_margin(pair) * _gain_a_token(pair) < 0: "SimPO has no reference: average the policy's log-probs",
    lambda pair: dpo_margin(pair) < 0: "these are the pairs that DPO ranks wrongly; find those where the two differ",
    lambda pair: (
        simpo_margin(pair) < 0
    ): "these are the pairs that SimPO ranks wrongly; find those where the two differ",
    lambda pair: True: "these are all pairs",
    lambda pair: False: "an empty list; two of these pairs are ranked differently",
}


def _pairs(*rows: Sequence[float]) -> list[Pair]:
    names = ("policy_chosen", "policy_rejected", "reference_chosen", "reference_rejected")
    return [dict(zip((*names, "chosen_tokens", "rejected_tokens"), row, strict=True)) for row in rows]


# Every answer above picks other pairs of these five.
_PAIRS = _pairs(
    (-12.0, -10.2, -10.0, -7.2, 10, 12),
    (-10.0, -9.0, -12.0, -12.0, 12, 20),
    (-21.0, -29.0, -20.0, -30.0, 20, 30),
    (-9.2, -13.0, -7.2, -12.0, 12, 12),
    (-9.0, -11.0, -12.0, -12.0, 20, 12),
)

# Summed log-probs of three pairs of unlike lengths; no two mistakes agree on them.
_SUMS = {
    "chosen": [-18.0, -9.0, -24.0],
    "rejected": [-12.0, -14.0, -22.0],
    "chosen_tokens": [20.0, 6.0, 30.0],
    "rejected_tokens": [10.0, 20.0, 16.0],
}
_COMPARE = "compare with −log σ(β · (average chosen − average rejected) − γ), an average being the sum ÷ its own tokens"


def _margin(chosen, rejected, chosen_tokens, rejected_tokens):
    return chosen / chosen_tokens - rejected / rejected_tokens


_SIMPO_MISTAKES = (
    Mistake("summed where averaged", lambda c, r, n, m, beta, gamma: -F.logsigmoid(beta * (c - r) - gamma),
            "divide each log-prob by its own number of tokens"),
    Mistake("one length for both", lambda c, r, n, m, beta, gamma: -F.logsigmoid(beta * (c - r) / n - gamma),
            "the rejected response is divided by *its* tokens"),
    Mistake("lengths swapped", lambda c, r, n, m, beta, gamma: -F.logsigmoid(beta * _margin(c, r, m, n) - gamma),
            "each log-prob is divided by its own tokens"),
    Mistake("chosen and rejected swapped",
            lambda c, r, n, m, beta, gamma: -F.logsigmoid(-beta * _margin(c, r, n, m) - gamma),
            "the margin is chosen minus rejected"),
    Mistake("sign flipped", lambda c, r, n, m, beta, gamma: F.logsigmoid(beta * _margin(c, r, n, m) - gamma),
            "training minimizes the loss: −log σ(·)"),
    Mistake("+ γ for − γ", lambda c, r, n, m, beta, gamma: -F.logsigmoid(beta * _margin(c, r, n, m) + gamma),
            "the margin has to *exceed* γ: subtract it"),
    Mistake("γ forgotten", lambda c, r, n, m, beta, gamma: -F.logsigmoid(beta * _margin(c, r, n, m)),
            "subtract γ inside the sigmoid"),
    Mistake("γ for γ/β", lambda c, r, n, m, beta, gamma: -F.logsigmoid(beta * (_margin(c, r, n, m) - gamma)),
            "this takes γ for the ratio γ/β and multiplies it by β: leave γ outside the brackets"),
    Mistake("γ/β for γ", lambda c, r, n, m, beta, gamma: -F.logsigmoid(beta * _margin(c, r, n, m) - gamma / beta),
            "γ is subtracted as it stands"),
    Mistake("β forgotten", lambda c, r, n, m, beta, gamma: -F.logsigmoid(_margin(c, r, n, m) - gamma),
            "the reward is β times the average"),
    Mistake("β outside", lambda c, r, n, m, beta, gamma: -beta * F.logsigmoid(_margin(c, r, n, m) - gamma),
            "β scales the reward, inside the sigmoid"),
    Mistake("sigmoid without log", lambda c, r, n, m, beta, gamma: -torch.sigmoid(beta * _margin(c, r, n, m) - gamma),
            "the loss is −log σ(·): F.logsigmoid"),
)  # fmt: skip
