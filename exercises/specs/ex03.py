"""Exercise 3, hidden: fresh logs with every trap, as thumbs, as pairs, and split."""

import random

from lessons_lib.grading.spec import Exercise, Item
from lessons_lib.lessons.lesson03 import checks

WORDS = ("pear", "plum", "stone", "saw", "hammer", "red", "loud", "blue", "north", "door", "lamp", "rope")


def _log(rng: random.Random) -> list[dict]:
    log = []
    for number in range(6):
        prompt = f"Name something {rng.choice(WORDS)}, number {number}."
        for reply in [f"A {word}." for word in rng.sample(WORDS, 4)] + [" "]:
            for user in rng.sample(("ann", "bo", "cy", "dee"), rng.randint(1, 4)):
                for _ in range(rng.choice((1, 1, 2))):
                    thumb = rng.choices(("up", "down", None), (4, 4, 1))[0]
                    log.append(checks.clicks(user, prompt, reply, thumb))
    return log


def _logs(rng: random.Random) -> list[dict]:
    return [{"log": _log(rng)} for _ in range(3)]


def _thumbs(rng: random.Random) -> list[dict]:
    return [{"thumbs": checks.thumbs(_log(rng))} for _ in range(3)]


def _rows(rng: random.Random) -> list[dict]:
    cases = []
    for _ in range(2):
        rows = [row for _ in range(30) for row in checks.spelled(f"Is {rng.randrange(10**6)} a number?")]
        rng.shuffle(rows)
        cases.append({"rows": rows, "test_share": rng.choice((0.2, 0.3, 0.4))})
    return cases


def _thumbs_share(answer, case) -> float:
    return float(checks.same_rows(answer, checks.thumbs(case["log"])))


def _pairs_share(answer, case) -> float:
    return float(checks.same_rows(answer, checks.pairs(case["thumbs"])))


def _split_share(answer, case) -> float:
    if checks.split_fault(answer, case["rows"]):
        return 0.0
    tested = {checks.prompt_name(row["prompt"]) for row in answer["test"]}
    return float(1 <= len(tested) <= 24)  # of 30, at a share of 0.2 to 0.4: outside by chance in 1 of 500 cases


EXERCISE = Exercise(
    lesson=3,
    notebook="03_log_to_both_shapes.ipynb",
    items=(
        Item("to_thumbs", 3, _logs, judge=_thumbs_share),
        Item("to_pairs", 3, _thumbs, judge=_pairs_share),
        Item("split", 2, _rows, judge=_split_share),
    ),
)
