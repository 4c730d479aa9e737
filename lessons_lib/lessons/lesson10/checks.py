"""Checks of exercise 10: a threshold, KTO's weights, and three measured numbers that defend them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from lessons_lib.grading.verdict import Mistake, Verdict, check_numbers

LOW, HIGH = 1.0, 1.5  # where the KTO paper wants λ_D·n_D / (λ_U·n_U)
LEAST = 0.2  # of the ratings on each side of a threshold that the exercise accepts
PLAN = ("up_from", "desirable_weight", "undesirable_weight", "up_share", "agreement", "ratio")

# Ratings 0 to 3 of eight replies, by two or three raters: few are 3, so a threshold there leaves too few ups.
RATINGS = [[2, 2, 1], [0, 0], [1, 2], [3, 2, 2], [0, 1, 0], [1, 1], [2, 0, 1], [2, 3]]


def up_share(ratings: Sequence[int], up_from: int) -> float:
    return sum(rating >= up_from for rating in ratings) / len(ratings)


def agreement(replies: Sequence[Sequence[int]], up_from: int) -> float:
    """Share of pairs of raters of one reply, pooled, who both call it up or both down."""
    pairs = [pair for ratings in replies for pair in itertools.combinations(ratings, 2)]
    return sum((one >= up_from) == (other >= up_from) for one, other in pairs) / len(pairs)


def weights_fault(answer: object, ups: int, downs: int) -> str | None:
    """What is wrong with (λ_D, λ_U) for so many ups and downs; None: nothing."""
    if not isinstance(answer, (tuple, list)) or len(answer) != 2 or not all(map(_number, answer)):
        return "return two numbers, (desirable_weight, undesirable_weight)"
    desirable, undesirable = answer
    if desirable <= 0 or undesirable <= 0:
        return "a weight is above 0; at 0 that side would teach nothing"
    ratio = desirable * ups / (undesirable * downs)
    if LOW - 1e-6 <= ratio <= HIGH + 1e-6:
        if abs(min(desirable, undesirable) - 1) <= 1e-6:
            return None
        return "the ratio is right, and both weights are scaled, which scales the step: leave the smaller weight at 1"
    if LOW - 1e-6 <= undesirable * ups / (desirable * downs) <= HIGH + 1e-6:
        return f"the two weights are swapped: the ratio is {ratio:.3g} and should lie in [1, 3/2]"
    if desirable == undesirable:
        return f"equal weights leave the ratio at n_D/n_U = {ratio:.3g}, outside [1, 3/2]"
    if (ups > downs) == (desirable > undesirable):
        return f"you raised the side that has more rows: the ratio is {ratio:.3g} and should lie in [1, 3/2]"
    return f"the right side is raised, and the ratio λ_D·n_D / (λ_U·n_U) is {ratio:.3g}; it should lie in [1, 3/2]"


def plan_fault(answer: object, replies: Sequence[Sequence[int]]) -> str | None:
    """What is wrong with a plan for these ratings; None: it holds together and its numbers are measured right."""
    if not isinstance(answer, dict) or set(answer) != set(PLAN):
        return f"return a dictionary with the keys {', '.join(PLAN)}"
    odd = next((key for key in PLAN if not _number(answer[key])), None)
    if odd:
        return f"{odd} is a number"
    ratings = [rating for of_reply in replies for rating in of_reply]
    threshold, share = answer["up_from"], up_share(ratings, answer["up_from"])
    if not LEAST <= share <= 1 - LEAST:
        return f"up from {threshold} leaves {share:.0%} of the ratings up; keep at least a fifth on each side"
    ups = round(share * len(ratings))
    if fault := weights_fault([answer["desirable_weight"], answer["undesirable_weight"]], ups, len(ratings) - ups):
        return f"weights: {fault}"
    measured = {
        "up_share": share,
        "agreement": agreement(replies, threshold),
        "ratio": answer["desirable_weight"] * ups / (answer["undesirable_weight"] * (len(ratings) - ups)),
    }
    for key, right in measured.items():
        if not abs(answer[key] - right) <= 5e-3:  # this way round, NaN is wrong
            return f"{key}: at your threshold and weights {right:.4g} is measured, you report {answer[key]:.4g}"
    return None


def check_up_share(function: Callable) -> Verdict:
    """Check ``function(ratings, up_from)``: the share of ratings at or above the threshold."""
    mistakes = (
        Mistake("> for ≥", lambda ratings, at: sum(r > at for r in ratings) / len(ratings),
                "a rating *at* the threshold is up"),
        Mistake("the share of downs", lambda ratings, at: sum(r < at for r in ratings) / len(ratings),
                "this is 1 minus the answer"),
        Mistake("a count", lambda ratings, at: sum(r >= at for r in ratings), "divide by the number of ratings"),
        Mistake("percent", lambda ratings, at: 100 * sum(r >= at for r in ratings) / len(ratings),
                "a share lies between 0 and 1"),
        Mistake("the ratio of ups to downs",
                lambda ratings, at: sum(r >= at for r in ratings) / sum(r < at for r in ratings),
                "divide by all ratings, not by the downs"),
        Mistake("the mean rating", lambda ratings, at: sum(ratings) / len(ratings), "the threshold was not used"),
        Mistake("levels counted, not ratings",
                lambda ratings, at: sum(r >= at for r in set(ratings)) / len(set(ratings)),
                "every rating counts, also where two are equal"),
    )  # fmt: skip
    return check_numbers(function, up_share, mistakes, [([0, 1, 2, 2, 3], 2), ([0, 0, 1, 3], 1), ([3, 3, 2, 0], 3)])


def check_kto_weights(function: Callable) -> Verdict:
    """Check ``function(ups, downs)``: (λ_D, λ_U), the smaller one 1, with the ratio in [1, 3/2]."""
    for ups, downs in ((100, 1000), (788, 1741), (900, 100), (500, 500), (520, 480)):
        try:
            came = function(ups, downs)
        except Exception as error:  # whatever the learner's code raises is an answer to explain
            return Verdict(
                False, f"with ups={ups}, downs={downs}\nyour function raised {type(error).__name__}: {error}"
            )
        if fault := weights_fault(came, ups, downs):
            return Verdict(False, f"with ups={ups}, downs={downs}\ngot {came!r}\nlikely cause: {fault}")
    return Verdict(True, "right: the ratio lies in [1, 3/2] for few ups, for many, and for equal numbers")


def check_plan(function: Callable) -> Verdict:
    """Check ``function(replies)``: a threshold, weights, and the three measured numbers that defend them."""
    for replies in (RATINGS, [[3 - rating for rating in ratings] for ratings in RATINGS]):
        case = f"with the ratings {replies}"
        try:
            came = function([list(ratings) for ratings in replies])
        except Exception as error:  # whatever the learner's code raises is an answer to explain
            return Verdict(False, f"{case}\nyour function raised {type(error).__name__}: {error}")
        if fault := plan_fault(came, replies):
            return Verdict(False, f"{case}\ngot {came!r}\nlikely cause: {fault}")
    return Verdict(True, "right: a threshold with enough on both sides, weights in range, and numbers that hold")


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
