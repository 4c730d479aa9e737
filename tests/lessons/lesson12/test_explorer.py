"""Lesson 12's explorer: recorded runs as they stand, what lies between measurements, and the size in the page."""

import json
import math
import subprocess
import sys

import pytest

from lessons_lib import benchmark
from lessons_lib.explorers import page
from lessons_lib.lessons.lesson12.explorer import ARMS, best, measured, places, runs, sentence, step_name, too_many
from lessons_lib.recorded import store

DPO = ARMS["dpo"]


def recorded(rate, pairs, column, arm="dpo"):
    rows = benchmark.scale().query("arm == @arm and learning_rate == @rate and pairs == @pairs")
    return rows[column].tolist()


def test_a_step_is_written_as_in_the_lesson():
    assert [step_name(rate) for rate in (3.2e-4, 6e-5, 1e-5)] == ["3.2e-4", "6e-5", "1e-5"]


@pytest.mark.parametrize("column", ["gold", "kl", "malformed", "chosen_logp"])
def test_the_curves_are_the_recorded_means(column):
    own = recorded(1e-5, 23776, column)
    found = measured(column, DPO, "1e-5", 23776)
    assert found.mean == pytest.approx(sum(own) / len(own))
    assert (found.low, found.high) == pytest.approx((min(own), max(own)))


def test_the_lessons_own_study_is_read_too():
    stored = json.loads((store.RECORDED / "past_the_peak.json").read_text())
    rows = [dict(zip(stored["columns"], values, strict=True)) for values in stored["data"]]
    own = [row["gold"] for row in rows if (row["arm"], row["step"]) == ("dpo_0.5", 10)]
    assert len(own) >= 2
    assert measured("gold", ARMS["dpo_0.5"], "3.2e-4", 320).mean == pytest.approx(sum(own) / len(own))


def test_between_measurements_lies_a_straight_line_and_beyond_the_last_nothing():
    run = runs()[DPO, "1e-5"][0]
    (first, second), (low, high) = run.pairs[1:3], run.values["gold"][1:3]
    own = [r.values["gold"][1:3].mean() for r in runs()[DPO, "1e-5"]]
    assert measured("gold", DPO, "1e-5", (first + second) / 2).mean == pytest.approx(sum(own) / len(own))
    assert low != high
    assert math.isnan(measured("gold", DPO, "3.2e-4", 100_000).mean)
    assert math.isnan(measured("gold", "no such arm", "3.2e-4", 320).mean)


def test_the_peak_walks_to_the_right_as_the_step_shrinks():
    found = [best(DPO, step) for step in ("3.2e-4", "6e-5", "1e-5")]
    assert found == sorted(found) and found[0] < 2000 and found[-1] > 10_000
    assert best("no such arm", "1e-5") is None


def test_the_sentence_tells_peak_and_place():
    said = sentence(DPO, "1e-5", 100_000)
    gold = recorded(1e-5, 100_000, "gold")
    assert f"best at {best(DPO, '1e-5'):,} preferences" in said
    assert f"Stopped at 100,000: gold {sum(gold) / len(gold):.2f}" in said
    assert "chosen log-prob −" in said
    assert "not followed as far as 100,000" in sentence(DPO, "3.2e-4", 100_000)
    assert "not on record" in sentence(ARMS["dpo_0.5"], "1e-5", 320)


def test_what_is_drawn_is_what_is_measured():
    explorer = too_many()
    gold, kl, malformed = explorer.evaluate(arm=DPO, step="6e-5", stop=3520)
    place = places().index(3520)
    for panel, column in ((gold, "gold"), (kl, "kl"), (malformed, "malformed")):
        low, high = (row[place] for row in panel[0])
        assert low <= panel[1][0][place] == measured(column, DPO, "6e-5", 3520).mean <= high
    assert gold[-1] == [[3520]]


def test_it_is_small_and_loads_no_torch():
    assert len(page.html(too_many())) < 150 * 1024
    code = (
        "import sys; from lessons_lib.lessons.lesson12.explorer import too_many; too_many().sentences();"
        "print([m for m in ('torch', 'lessons_lib.lab', 'ipywidgets') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
