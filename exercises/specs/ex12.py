"""Exercise 12, hidden: changes of made-up columns, and the faults of recorded logs that learners never see."""

import math
import random
from pathlib import Path

from lessons_lib.grading.spec import Exercise, Item
from lessons_lib.lessons.lesson12 import checks
from lessons_lib.recorded.store import read_logs

RUNS = read_logs(Path(__file__).with_name("ex12_logs.json"))
EACH = 2  # logs of each answer in a case
HALF_ERRORS = 3  # of twelve; up to this many earn half the points
LONG = 24  # logs of so many rows are thinned to every second for some learners


def _columns(rng: random.Random) -> list[dict]:
    """A column of a log with its gaps: the change is arithmetic, so that these need no run."""

    def column(rows: int) -> list:
        values = [round(rng.uniform(-20, 5), 3) for _ in range(rows)]
        for place in rng.sample(range(rows), rows // 4):
            values[place] = rng.choice([None, math.nan])
        return values

    return [{"values": column(rng.randint(9, 16))} for _ in range(3)]


def _varied(run: dict, rng: random.Random) -> dict:
    """A log as this learner gets it: its last rows cut, perhaps every second row, perhaps without its KL.

    The numbers stay those of the recorded run. KL goes only where it is not what the log is named after.
    """
    log = run["log"]
    rows = len(log["step"])
    stride = rng.choice([1, 2]) if rows >= LONG else 1
    kept = slice(0, rows - rng.randint(0, rows // 10), stride)
    silent = run["fault"] in ("healthy", "by_heart") and rng.random() < 0.5
    return {column: values[kept] for column, values in log.items() if not (silent and column == "kl")}


def _logs(rng: random.Random) -> list[dict]:
    """One case: as many logs of each answer, in an order of their own."""
    drawn = [run for fault in checks.ANSWERS for run in rng.sample([r for r in RUNS if r["fault"] == fault], EACH)]
    rng.shuffle(drawn)
    return [{"logs": [_varied(run, rng) for run in drawn]}]


def _start(log: dict) -> tuple:
    """What tells one run from another, however it was varied: its first row."""
    return log["loss"][0], log["logps/chosen"][0]


def _judge(answer, case) -> float:
    """All points for at most one wrong name of twelve, half for up to three; a constant has ten wrong."""
    truth = {_start(run["log"]): run["fault"] for run in RUNS}
    wrong = checks.errors(answer, [truth[_start(log)] for log in case["logs"]])
    if wrong is None or wrong > HALF_ERRORS:
        return 0.0
    return 1.0 if wrong <= checks.ERRORS_ALLOWED else 0.5


EXERCISE = Exercise(
    lesson=12,
    notebook="12_read_six_logs.ipynb",
    items=(
        Item("change", 2, _columns, checks.change_of),
        Item("name_faults", 6, _logs, judge=_judge),
    ),
)
