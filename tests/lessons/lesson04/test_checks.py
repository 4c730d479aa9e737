"""Exercise 4: each check accepts the solution and rejects every typical mistake for its own reason."""

import random
import runpy
from pathlib import Path

import pytest

from lessons_lib.lessons.lesson04 import checks
from lessons_lib.lessons.lesson04.checks import (
    check_against_measurement,
    check_bytes_per_weight,
    check_logits_bytes,
    check_predicted_peak,
    peak,
)

EXERCISES = Path(__file__).resolve().parents[3] / "exercises"


def test_the_solution_passes():
    solution = runpy.run_path(EXERCISES / "solutions" / "ex04.py")
    assert check_bytes_per_weight(solution["bytes_per_weight"])
    assert check_logits_bytes(solution["logits_bytes"])
    assert check_predicted_peak(solution["predicted_peak"])


MISTAKES = [
    (check_bytes_per_weight, lambda w, s, r: w + s * w + r, "one gradient a weight"),
    (check_bytes_per_weight, lambda w, s, r: 2 * w + r, "states forgotten"),
    (check_bytes_per_weight, lambda w, s, r: 3 * w + r, "one state"),
    (check_bytes_per_weight, lambda w, s, r: 2 * w + s + r, "as large as a trained weight"),
    (check_bytes_per_weight, lambda w, s, r: (w + r) * (2 + s), "has no gradient"),
    (check_bytes_per_weight, lambda w, s, r: w * (2 + s), "add the frozen copy"),
    (check_bytes_per_weight, lambda w, s, r: w, "what it takes to answer"),
    (check_bytes_per_weight, lambda w, s, r: 16, "expected"),
    (check_bytes_per_weight, lambda w, s, r: True, "got bool"),
    (check_bytes_per_weight, lambda w, s, r: [w], "got list"),
    (check_bytes_per_weight, lambda w, s, r: None, "returns nothing yet"),
    (check_bytes_per_weight, lambda w: w, "raised TypeError"),
    (check_logits_bytes, lambda p, n, v: 8 * p * n * v, "four tensors"),
    (check_logits_bytes, lambda p, n, v: 16 * p * n * v, "two responses"),
    (check_logits_bytes, lambda p, n, v: 2 * p * n * v, "takes four bytes"),
    (check_logits_bytes, lambda p, n, v: 32 * p * n, "every word"),
    (check_logits_bytes, lambda p, n, v: 32 * p * n * v / 1e9, "return bytes"),
    (check_logits_bytes, lambda p, n, v: "25 MB", "got str"),
    (check_predicted_peak, lambda n, a, g, r: n * (16 + 4 * r) + a + g, "everything at once"),
    (check_predicted_peak, lambda n, a, g, r: n * (12 + 4 * r) + a + g, "the loss alone"),
    (check_predicted_peak, lambda n, a, g, r: n * (16 + 4 * r), "the update alone"),
    (check_predicted_peak, lambda n, a, g, r: peak(n, a, g, False), "reference ignored"),
    (check_predicted_peak, lambda n, a, g, r: peak(n, a, g, False) + 16 * n * r, "reference trained"),
    (check_predicted_peak, lambda n, a, g, r: peak(n, a, g, r) - 4 * n, "one state"),
    (check_predicted_peak, lambda n, a, g, r: peak(n, a, g, r) - 8 * n, "no states"),
    (check_predicted_peak, lambda n, a, g, r: float("nan"), "expected"),
    (check_predicted_peak, lambda n, a, g, r: 1 / 0, "raised ZeroDivisionError"),
]


@pytest.mark.parametrize(("check", "answer", "reason"), MISTAKES)
def test_each_wrong_number_is_explained(check, answer, reason):
    verdict = check(answer)
    assert not verdict
    assert reason in verdict.message


def test_a_prediction_is_held_to_a_measured_step(monkeypatch):
    measured = []

    def measure(config, setting):
        measured.append(dict(setting))
        return 135e6

    monkeypatch.setattr(checks, "_measured", measure)
    assert check_against_measurement(peak)
    assert measured[0]["method"] == "dpo"
    far = check_against_measurement(lambda *a: 1.2 * peak(*a))
    assert not far and "at most 10% apart" in far.message
    assert "got NoneType" in check_against_measurement(lambda *a: None).message
    assert "raised TypeError" in check_against_measurement(lambda: 1).message


@pytest.mark.slow
def test_the_real_step_agrees_with_the_solution():
    assert check_against_measurement(peak)


def test_hidden_runs_peak_at_either_moment():
    spec = runpy.run_path(EXERCISES / "specs" / "ex04.py")["EXERCISE"]
    for seed in range(20):
        runs = spec.items[2].cases(random.Random(seed))
        at_loss = [run["activations"] + run["logits"] > 4 * run["parameters"] for run in runs]
        assert sorted(at_loss) == [False, False, True, True]
