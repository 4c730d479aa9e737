"""Exercise 2, hidden: the two figures on fresh logs, and the alarm on recorded runs that learners never see."""

import json
import random
from pathlib import Path

from lessons_lib.grading.spec import Exercise, Item
from lessons_lib.lessons.lesson02 import checks
from lessons_lib.recorded.store import read_logs

RUNS = read_logs(Path(__file__).with_name("ex02_runs.json"))
EACH = 6  # noisy runs and clean ones in a case


def _logs(rng: random.Random) -> list[dict]:
    """Made-up logs of a few rows: the figures are arithmetic, so that these need no run."""

    def log() -> dict:
        a_pass, passes = rng.randint(3, 6), rng.randint(2, 4)
        steps = list(range(1, a_pass * passes + 1))
        return {
            "step": steps,
            "epoch": [round(step / a_pass, 4) for step in steps],
            "loss": [round(rng.uniform(0.3, 0.8), 4) for _ in steps],
            "rewards/accuracies": [0.0] + [round(rng.uniform(0.4, 1), 4) for _ in steps[1:]],
        }

    return [{"log": log()} for _ in range(2)]


def _mixed_runs(rng: random.Random) -> list[dict]:
    """One case: as many noisy runs as clean ones, in an order of their own."""
    drawn = [run for noisy in (True, False) for run in rng.sample([r for r in RUNS if r["noisy"] is noisy], EACH)]
    rng.shuffle(drawn)
    return [{"logs": [run["log"] for run in drawn]}]


def _judge(answer, case) -> float:
    """All points for at most one wrong run of twelve, half for two; a constant answer has six wrong and gets none."""
    truth = {json.dumps(run["log"]): run["noisy"] for run in RUNS}
    right = [truth[json.dumps(log)] for log in case["logs"]]
    whole = isinstance(answer, list) and len(answer) == len(right)
    if not whole or not all(isinstance(alarm, bool) for alarm in answer):
        return 0.0
    errors = sum(alarm != noisy for alarm, noisy in zip(answer, right))
    return {0: 1.0, 1: 1.0, 2: 0.5}.get(errors, 0.0)


EXERCISE = Exercise(
    lesson=2,
    notebook="02_noise_alarm.ipynb",
    items=(
        Item("first_pass_accuracy", 2, _logs, checks.first_pass),
        Item("learned_by_heart", 2, _logs, lambda log: checks.last_pass(log) - checks.first_pass(log)),
        Item("noise_alarms", 4, _mixed_runs, judge=_judge),
    ),
)
