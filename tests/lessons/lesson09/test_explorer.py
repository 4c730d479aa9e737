"""Lesson 9's explorer, the picker: at every path it says what `recommend` says, and what makes no difference."""

import subprocess
import sys

import pytest

from lessons_lib.advice import evidence
from lessons_lib.advice.cards import trl_config
from lessons_lib.advice.decide import load_tree, recommend
from lessons_lib.explorers import page
from lessons_lib.lessons.lesson09.explorer import LABELS, QUESTIONS, SHAPES, STARTS, advice, facts, three_questions
from lessons_lib.methods import METHODS

PAIRS, SOME_PAIRS, RATINGS = SHAPES
TUNED, BASE, NO_REFERENCE = STARTS
_, NOISY, UNDISPUTED = LABELS


def told(explorer, **answers) -> dict[str, str]:
    """The card's lines by label."""
    return dict(line.split(": ", 1) for line in explorer.lines(**answers) if ": " in line)


@pytest.mark.parametrize(
    ("answers", "leaf", "idle"),
    [
        ({}, "any", ""),
        ({"labels": NOISY}, "noisy", ""),
        ({"labels": UNDISPUTED}, "decided", ""),
        ({"start": NO_REFERENCE, "labels": NOISY}, "no reference", ""),
        ({"start": BASE, "labels": NOISY}, "one stage", "labels"),
        ({"shape": RATINGS, "start": BASE, "labels": NOISY}, "ratings", "start labels"),
        ({"shape": SOME_PAIRS}, "ratings", "labels"),
    ],
)
def test_the_path_by_hand(answers, leaf, idle):
    """Where a question makes no difference, the picker says so: its answers are dim."""
    explorer = three_questions()
    assert recommend(facts(**explorer.state(**answers))).leaf == leaf
    notes = dict(zip(explorer.by_name, explorer.answers(**answers), strict=False))
    assert [question for question, note in notes.items() if note] == idle.split()
    for question in explorer.by_name:
        others = {tuple(explorer.answers(**answers | {question: text})[3:-2]) for text in QUESTIONS[question]}
        assert (len(others) == 1) == bool(notes[question])  # all of the card but what would change it and the config


def test_what_would_change_it_does():
    explorer = three_questions()
    for setting in explorer.settings(tuple(explorer.by_name)):
        here = advice(**setting).start_with
        other = {
            option: METHODS[advice(**setting | {question: option}).start_with].name
            for question, options in QUESTIONS.items()
            for option in options
            if advice(**setting | {question: option}).start_with != here
        }
        said = told(explorer, **setting)["What would change it"]
        parts = [] if said == "no other single answer" else [part.split(" with ") for part in said.split("; ")]
        assert {tap.strip("“”"): to for to, taps in parts for tap in taps.split(", “")} == other


def test_every_path_says_what_match_says():
    """All of them: what to start with, how each of the five stands, how sure, the badges, what to copy."""
    explorer, leaves = three_questions(), set()
    for setting in explorer.settings(tuple(explorer.by_name)):
        found, said = recommend(facts(**setting)), told(explorer, **setting)
        leaves.add(found.leaf)
        assert explorer.lines(**setting)[0] == f"Start with {METHODS[found.start_with].name}"
        assert said[METHODS[found.start_with].name] == "start here"
        words = {"equivalent": found.equivalents, "cannot tell": found.cannot_tell, "behind": found.behind}
        for word, methods in words.items():
            assert {m for m in METHODS if said[METHODS[m].name] == word} == set(methods)
        assert {m for m in METHODS if said[METHODS[m].name] == "ruled out"} == set(METHODS) - set(found.costs)
        assert [said[world] for world in ("46 k", "135 M", "published")] == [c.badge for c in found.evidence]
        assert said["How sure"] == f"{found.how_sure}: {found.why_sure}"
        sft = found.baseline
        assert said["SFT alone"].startswith(f"{sft.word} ({evidence.signed(sft.difference.estimate)}, ")
        assert explorer.answers(**setting)[-1] == trl_config(found.start_with)
    assert leaves == set(load_tree().leaves)


def test_a_method_that_cannot_be_used_is_ruled_out():
    explorer = three_questions()
    assert told(explorer, start=NO_REFERENCE)["DPO"] == "ruled out"
    only = told(explorer, shape=RATINGS)
    assert [only[METHODS[m].name] for m in METHODS] == [
        "start here" if m == "kto" else "ruled out" for m in METHODS
    ]  # where ratings make no pair, nothing else can read them


def test_its_name_and_size():
    assert len(page.html(three_questions()).encode()) < 20_000
    assert three_questions("picker").name == "picker"


def test_importing_it_is_light():
    code = (
        "import sys; from lessons_lib.lessons.lesson09.explorer import three_questions; three_questions();"
        "print([m for m in ('torch', 'ipywidgets', 'pandas', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
