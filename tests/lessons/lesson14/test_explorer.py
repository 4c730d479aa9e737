"""Lesson 14's explorer shows the committed figures, and says what `decide.recommend` says at every setting."""

import subprocess
import sys

import pytest

from lessons_lib.advice.decide import recommend
from lessons_lib.advice.match import match
from lessons_lib.data import figures, samples
from lessons_lib.explorers import page
from lessons_lib.lessons.lesson14.explorer import DATASETS, FOURTH, SHOWN, TERMS, facts, name, three_profiles
from lessons_lib.methods import METHODS

*_, JUDGE = DATASETS
BRIEFED, REFERENCE, NO_REFERENCE, BASE = TERMS


def test_the_figures_are_the_committed_ones():
    explorer = three_profiles()
    for figure, keys in SHOWN.items():
        bars = explorer.evaluate(figure=figure)[0][0][0]
        for dataset, bar in zip(DATASETS.values(), bars, strict=True):
            committed = figures.committed(dataset)["profile"]
            assert bar == (committed.value(keys[dataset]) if dataset in keys else 0)
    agreement = explorer.evaluate()[0][0][0]
    assert agreement == pytest.approx([0.709, 0.702, 0.614], abs=5e-4)  # as in the table of the datasets


@pytest.mark.parametrize(
    ("terms", "end", "made_for"),
    [
        (BRIEFED, "estimate", "dpo"),
        (BRIEFED, "low end", "dpo"),
        (REFERENCE, "high end", "dpo"),
        (NO_REFERENCE, "estimate", "simpo"),
        (BASE, "estimate", "orpo"),
    ],
)
def test_where_the_paths_end_by_hand(terms, end, made_for):
    found = recommend(facts(terms, end))
    assert found.made_for == made_for
    lines = three_profiles().lines(terms=terms, end=end)
    assert lines[0] == f"The fourth, PandaLM: start with {name(found.start_with)}"
    assert f"{name(found.start_with)}: start here" in lines


def test_it_answers_for_none_of_the_learners_own_datasets():
    assert FOURTH not in DATASETS.values()
    assert set(three_profiles().by_name) == {"figure", "terms", "end"}


def test_every_setting_says_what_the_library_recommends():
    explorer = three_profiles()
    for setting in explorer.settings(("terms", "end")):
        found = recommend(facts(**setting))
        said = dict(line.split(": ", 1) for line in explorer.lines(**setting) if ": " in line)
        assert said["Runner-up"].startswith(name(found.runner_up) if found.runner_up else "none")
        assert all(f"{name(to)} if {what}" in said["What would change it"] for what, to in found.flips)
        assert [m for m in METHODS if said[name(m)] == "equivalent"] == [m for m in METHODS if m in found.equivalents]
    assert recommend(facts(BRIEFED, "estimate")).made_for == "dpo"


def test_the_facts_are_those_that_match_finds_in_the_same_judgements():
    found = facts(BRIEFED, "estimate")
    sampled = match(FOURTH, rows=samples.everything(FOURTH)).facts
    for field in (
        "rows",
        "prompts",
        "flip_rate",
        "flip_low",
        "flip_high",
        "chosen_longer",
        "ties",
        "first_wins",
        "up_share",
    ):
        mine, theirs = getattr(found, field), getattr(sampled, field)
        assert mine == (theirs if theirs is None else pytest.approx(theirs, rel=1e-12)), field


def test_it_says_what_a_dataset_cannot_have_and_stays_small():
    explorer = three_profiles()
    said = explorer.sentences(figure="labels flipped, as raters' agreement implies")[0]
    assert said == f"This figure: not to be had from {JUDGE}."
    assert len(page.html(explorer).encode()) < page.LIMIT


def test_importing_it_is_light():
    code = (
        "import sys; from lessons_lib.lessons.lesson14.explorer import three_profiles; three_profiles();"
        "print([m for m in ('torch', 'ipywidgets', 'pandas', 'matplotlib', 'duckdb') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
