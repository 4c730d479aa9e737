"""The real datasets without their text: the patterns are right on made-up rows, and the original figures come back."""

import random

import pytest

from lessons_lib.data import figures, real, samples, twins
from lessons_lib.data.profile import profile
from lessons_lib.data.real_rows import Comparison

NAMES = tuple(real.DATASETS)


def test_patterns_of_three_comparisons_by_hand():
    def row(comparison, a, b, preference, rater, votes=(True, True), prompt="p"):
        return Comparison(comparison, "i", prompt, "m", "n", a, b, *votes, preference, rater)

    records = [
        row(1, "long long", "short", 2, "ann", (True, False)),
        row(1, "short", "long long", 1, "bo"),
        row(2, "same", "same", 0, "ann"),
        row(3, "b", "a", -2, "cy", (False, True), prompt="q"),
    ]
    # x is the text that comes first in the alphabet: "long long" of comparison 1, "a" of comparison 3
    found = figures.TABLES["tulu1_human_eval"]["verdict_patterns"](records)
    assert found == {"0Ax=++|>Ax1+-,By1~++": 1, "=Ay2-+": 1}


@pytest.mark.parametrize(
    ("name", "ours", "known"),
    [
        ("tulu1_human_eval", "flip_rate", "flip"),
        ("tulu1_human_eval", "ties", "ties"),
        ("tulu1_human_eval", "thumbs_blind", "equal_votes"),
        ("tulu1_human_eval", "slight", "slightly"),
        ("tulu1_human_eval", "chosen_longer_verdicts", "longer"),
        ("feedbackqa_cdc", "up_share", "up"),
        ("feedbackqa_cdc", "agreement", "agree"),
        ("qlora_gpt4_vicuna", "first_wins", "first_wins"),
        ("qlora_gpt4_vicuna", "order_same", "same_verdict"),
        ("qlora_gpt4_vicuna", "order_opposite", "opposite"),
        ("qlora_gpt4_vicuna", "order_consistent", "consistent"),
        ("qlora_gpt4_vicuna", "chosen_longer_verdicts", "longer_all"),
        ("pandalm_testset", "unanimous", "unanimous"),
        ("pandalm_testset", "flip_rate", "flip"),
    ],
)
def test_the_rows_have_the_original_figures(profiles, name, ours, known):
    committed = {m.key: m.value for m in figures.committed(name)["measures"]}
    assert profiles[name].value(ours) == pytest.approx(committed[known], rel=1e-9)


@pytest.fixture(scope="module")
def profiles():
    return {name: profile(samples.everything(name), name=name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_is_a_share_of_the_prompts_and_each_draw_another(name):
    rows, again, other = (samples.draw(name, random.Random(seed)) for seed in (1, 1, 2))
    assert rows == again != other
    prompts = {row["prompt"] for row in samples.everything(name)}
    assert len({row["prompt"] for row in rows}) == round(samples.SHARE * len(prompts))
    assert real.DATASETS[name].commit[:7] in samples.source(name)


@pytest.mark.parametrize("name", NAMES)
def test_the_twin_has_patterns_of_the_same_form_and_no_text(name):
    (key,) = figures.TABLES[name]
    for found in (figures.TABLES[name][key](twins.load(name)), figures.committed(name)[key]):
        assert found and all(set(pattern) <= set("0123456789ABCxy=?~+-<>|,/") for pattern in found)


@pytest.mark.real_data
@pytest.mark.parametrize("name", NAMES)
def test_the_original_files_give_the_committed_patterns(name):
    (key,) = figures.TABLES[name]
    assert figures.TABLES[name][key](real.load(name)) == figures.committed(name)[key]
