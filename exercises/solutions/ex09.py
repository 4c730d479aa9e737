"""Exercise 9 solved. Instructors only: the release leaves this folder out."""


def choose(facts):
    if facts.shape == "unpaired":
        return "kto"
    if facts.checkpoint == "base":
        return "orpo"
    if facts.reference == "none":
        return "simpo"
    if facts.flip_rate is not None and facts.flip_rate >= 0.15:
        return "ipo"
    if facts.near_deterministic is not None and facts.near_deterministic >= 0.8 and facts.passes >= 3:
        return "ipo"
    return "dpo"
