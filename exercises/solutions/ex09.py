"""Exercise 9 solved. Instructors only: the release leaves this folder out.

The branches say which recorded regimes such facts can come from; the probabilities are those regimes' own shares.
"""

from lessons_lib.lessons.lesson09.forecasts import outcome


def choose(facts):
    return outcome(*could_be(facts)).good_enough


def could_be(facts):
    """The regimes that these facts may come from."""
    if facts.shape == "unpaired":
        return ("unary_10",) if facts.up_share < 0.3 else ("unary_90",) if facts.up_share > 0.7 else ("unary_50",)
    if facts.checkpoint == "base":
        return ("no_sft",)
    again = "_many" if facts.passes > 2 else ""
    if facts.flip_rate is None:
        return f"clean{again}", f"noisy_20{again}", f"noisy_40{again}"
    if facts.chosen_longer > 0.58:
        return ("length_extreme",) if facts.chosen_longer > 0.76 else ("length_mild",)
    if facts.near_deterministic > 0.95:
        return ("near_deterministic",)
    if facts.flip_rate > 0.19:
        return (f"noisy_40{again}",) if facts.flip_rate > 0.345 else (f"noisy_20{again}",)
    return ("clean_many",) if again else ("clean", "displacing", "cyclic")
