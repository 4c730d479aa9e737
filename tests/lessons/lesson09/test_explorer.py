"""Lesson 9's explorer says what `decide.recommend` says, at every setting, and hides what is not asked."""

import subprocess
import sys

import pytest

from lessons_lib.advice.decide import load_tree, recommend
from lessons_lib.explorers import page
from lessons_lib.lessons.lesson09.explorer import KEYS, STARTS, facts, name, three_questions

PAIRS, RATINGS = "pairs", "ratings of single responses"
REFERENCE, NO_REFERENCE, BASE = STARTS


@pytest.mark.parametrize(
    ("answers", "made_for", "path"),
    [
        ({"flips": 0.14}, "dpo", 3),
        ({"flips": 0.15}, "ipo", 3),
        ({"decided": 0.8, "passes": 3}, "ipo", 3),
        ({"decided": 0.8, "passes": 2}, "dpo", 3),
        ({"decided": 0.7, "passes": 5}, "dpo", 3),
        ({"start": NO_REFERENCE, "flips": 0.4}, "simpo", 2),
        ({"start": BASE, "flips": 0.4}, "orpo", 2),
        ({"shape": RATINGS, "start": BASE, "flips": 0.4}, "kto", 1),
    ],
)
def test_the_path_by_hand(answers, made_for, path):
    explorer = three_questions()
    assert recommend(facts(**explorer.state(**answers))).made_for == made_for
    first = explorer.sentences(**answers)[0]
    assert first.split("Answer")[0].count("→") == path - 1
    seen = explorer.evaluate(**answers)[1]
    assert (seen[1][0][0] > 0) == (path == 3)  # the thresholds of question 3 are in sight only where it is asked
    assert (seen[2][0][0] > 0) == (path == 3 and answers.get("passes", 1) >= 3)


def test_every_setting_says_what_the_library_recommends():
    explorer = three_questions()
    for setting in explorer.settings(tuple(explorer.by_name)):
        found = recommend(facts(**setting))
        choice, second = (series[0] for series in explorer.evaluate(**setting)[0])
        assert choice == [float(name(found.start_with) == method) for method in KEYS]
        assert all(second[list(KEYS).index(name(method))] == 1 for method in found.equivalents)
        assert sum(explorer.evaluate(**setting)[2][0][0]) == len(found.flips)
    assert load_tree().thresholds["NOISY"].value in explorer.by_name["flips"].values
    assert load_tree().thresholds["DECIDED"].value in explorer.by_name["decided"].values
    assert load_tree().thresholds["PASSES"].value in explorer.by_name["passes"].values


def test_the_sentences_and_the_size():
    explorer = three_questions()
    path, runner_up, change = explorer.sentences(flips=0.2)
    found = recommend(facts(**explorer.state(flips=0.2)))
    assert path.startswith(
        "Path: pairs → a fine-tuned model, and a reference that can be had → noisy. "
        f"Answer: {name(found.start_with)}. How sure: {found.how_sure}; {found.why_sure}"
    )
    assert runner_up.startswith(f"Runner-up: {name(found.runner_up)}, {found.why_runner_up}")
    assert all(f"{name(to)} if {what}" in change for what, to in found.flips)
    assert "How sure: low; the flip rate may lie anywhere" in explorer.sentences(flips=0.14)[0]
    assert len(page.html(explorer).encode()) < page.LIMIT


def test_importing_it_is_light():
    code = (
        "import sys; from lessons_lib.lessons.lesson09.explorer import three_questions; three_questions();"
        "print([m for m in ('torch', 'ipywidgets', 'pandas', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
