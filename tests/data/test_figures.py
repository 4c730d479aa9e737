"""The figures of the real datasets: small statistics by hand, and the committed numbers against what is published."""

import json
from dataclasses import replace

import pytest

from lessons_lib.data import figures, real, twins
from lessons_lib.data.figures import Measure, committed, finding, implied_flip, measure
from lessons_lib.data.real_rows import (
    Comparison,
    Demonstration,
    Generation,
    Judgement,
    Preferred,
    RatedPassage,
    Records,
    VotedPair,
)

NAMES = list(real.DATASETS)


def by_key(measures):
    return {m.key: m for m in measures}


# Small statistics, with numbers to check on paper


@pytest.mark.parametrize("flip", [0.0, 0.1, 0.25, 0.5])
def test_the_implied_flip_undoes_the_agreement_it_implies(flip):
    assert implied_flip(flip**2 + (1 - flip) ** 2) == pytest.approx(flip)


def test_agreement_below_chance_implies_a_coin():
    assert implied_flip(0.4) == 0.5


def test_words_are_split_at_white_space():
    assert figures.words(" one\ttwo\n\nthree-four ") == 3


@pytest.mark.parametrize(
    ("unit", "value", "shown"),
    [("share", 0.5739, "57.4 %"), ("count", 1150, "1,150"), ("words", 50.06, "50.1 words"), ("kappa", 0.852, "0.85")],
)
def test_a_measure_shows_its_unit(unit, value, shown):
    assert Measure("k", "what", value, unit, "").show() == shown


def test_a_pattern_does_not_depend_on_who_was_shown_what_first():
    """Two raters of one comparison, the second with the sides exchanged: the longer response wins twice."""
    row = Comparison(0, "user_0", "p", "m1", "m2", "a a a", "b", True, False, 2, "x")
    swapped = replace(row, model_a="m2", model_b="m1", completion_a="b", completion_b="a a a", preference=-2,
                      acceptable_a=False, acceptable_b=True, rater="y")  # fmt: skip
    patterns = figures.TABLES["tulu1_human_eval"]["verdict_patterns"]
    assert patterns(Records([row, swapped])) == {">Ax1+-,By2-+": 1}
    assert patterns(Records([replace(swapped, rater="x"), replace(row, rater="y")])) == {">Ay2-+,Bx1+-": 1}


# Each dataset's figures, on a handful of rows


def test_tulu1_figures():
    row = Comparison(0, "user_0", "p", "m1", "m2", "a a a", "b", True, True, 2, "x")
    swapped = replace(row, model_a="m2", model_b="m1", completion_a="b", completion_b="a a a")
    rows = Records(
        [
            row,
            replace(swapped, preference=-1, rater="y"),  # agrees with the first
            replace(row, preference=-2, rater="x"),  # the first rater again, who changes sides
            replace(row, comparison=1, preference=0, rater="x", prompt="q", instance="vicuna_1"),
            replace(row, comparison=1, preference=1, rater="y", acceptable_b=False, prompt="q", instance="vicuna_1"),
        ],
        {"blank row": 7},
    )
    found = by_key(measure("tulu1_human_eval", rows))
    counts = {key: m.value for key, m in found.items() if m.unit == "count"}
    assert counts == {
        "rows": 5, "blank": 7, "comparisons": 2, "prompts": 2, "prompts_self_instruct": 1, "prompts_vicuna": 1,
        "levels": 5, "votes": 10, "identical": 0, "identical_ties": 0, "same_letters": 0, "same_letters_decisive": 0,
        "swapped": 1,
    }  # fmt: skip
    assert (found["ties"].value, found["slightly"].value) == (1 / 5, 2 / 5)
    # Of each rater the last word on a comparison counts: x takes back what y agreed with; later x is undecided.
    assert (found["agree"].value, found["agree"].n) == (0, 2)
    assert (found["agree_decisive"].value, found["agree_decisive"].n) == (0, 1)
    assert (found["longer"].value, found["longer"].n) == (3 / 4, 4)
    assert (found["acceptable"].value, found["equal_votes"].value) == (9 / 10, 3 / 4)


def test_feedbackqa_figures():
    up, down = "Excellent", "Bad"
    rows = Records(
        RatedPassage("test", question, "P", None, ratings, ("",) * len(ratings))
        for question, ratings in (("q", (up, up, down)), ("q", (up, up)), ("r", (down, down)))
    )
    found = by_key(measure("feedbackqa_cdc", rows))
    assert (found["rows"].value, found["ratings"].value, found["questions"].value) == (3, 7, 2)
    assert found["up"].value == pytest.approx(4 / 7)
    assert (found["agree"].value, found["agree"].n) == (3 / 5, 5)  # pooled: 1 of 3, 1 of 1, 1 of 1
    assert found["agree_rows"].value == pytest.approx((1 / 3 + 1 + 1) / 3)
    assert found["both_labels"].value == 1
    assert found["flip"].value == pytest.approx(implied_flip(0.6))


def test_qlora_figures():
    x, y = Generation("x", "one two three", ""), Generation("y", "one two", " three four")

    def both_orders(question, one, other):
        return [Judgement(question, "Q", x, y, one), Judgement(question, "Q", y, x, other)]

    rows = Records(
        both_orders(1, "first", "second")  # x in both orders: consistent
        + both_orders(2, "first", "first")  # opposite winners
        + both_orders(3, "tie", "tie")
        + both_orders(4, "second", "tie")
        + both_orders(5, None, "first")
    )
    found = by_key(measure("qlora_gpt4_vicuna", rows))
    assert (found["verdicts"].value, found["models"].value, found["questions"].value) == (10, 2, 5)
    assert (found["unparsed"].value, found["both_parsed"].value, found["consistent"].value) == (1, 4, 1)
    assert (found["first_wins"].value, found["first_wins"].n) == (4 / 6, 6)
    assert (found["same_verdict"].value, found["opposite"].value) == (2 / 4, 1 / 4)
    assert (found["longer"].value, found["longer_whole"].value) == (1, 0)  # the one decided item of unequal length
    assert (found["longer_all"].value, found["longer_all"].n) == (3 / 6, 6)


def test_pandalm_figures():
    def row(*votes, given="", first="one two", second="one"):
        return VotedPair("Do.", given, "x_y", first, second, votes)

    rows = Records(
        [
            row("first", "first", "first"),
            row("first", "first", "second"),  # the same pair again
            row("second", "second", "tie", given="x"),
            row("tie", "tie", "first", first="true", second=""),
            row("first", "second", "tie"),  # no majority
            row("second", "second", "second", first="three", second="four"),
        ]
    )
    found = by_key(measure("pandalm_testset", rows))
    counts = {key: m.value for key, m in found.items() if m.unit == "count"}
    assert counts == {"rows": 6, "prompts": 2, "majority": 4, "repeats": 1, "word_true": 1, "empty": 1}
    assert (found["unanimous"].value, found["ties"].value) == (2 / 6, 1 / 6)
    assert (found["agree_decisive"].value, found["agree_decisive"].n) == (8 / 11, 11)
    assert (found["longer"].value, found["longer"].n) == (2 / 3, 3)
    assert found["kappa_12"].value == pytest.approx((5 / 6 - 13 / 36) / (1 - 13 / 36))  # 13 = 3·2 + 2·3 + 1·1


def test_self_instruct_figures():
    row = Demonstration("P", "one two", "one two\n\nInput: three", "one two")
    found = by_key(measure("self_instruct_demos", Records([row, replace(row, davinci="one", finetuned="")])))
    assert (found["words_people"].value, found["words_davinci"].value, found["words_finetuned"].value) == (2, 2.5, 1)
    counts = [found[key].value for key in ("rows", "running_on", "equal_finetuned", "equal_davinci_start", "empty")]
    assert counts == [2, 1, 1, 1, 1]


def test_hh_rlhf_figures():
    asked = "\n\nHuman: a b\n\nAssistant:"
    twice = "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:"
    rows = [Preferred(asked, "a b c", "a"), Preferred(twice, "a", "b c"), Preferred(twice, "a " * 61, ""),
            Preferred(asked, "a", "b")]  # fmt: skip
    found = by_key(measure("hh_rlhf_harmless", Records(rows, {"transcripts that part before the last reply": 7})))
    counts = {key: m.value for key, m in found.items() if m.unit == "count"}
    assert counts == {"rows": 4, "apart": 7, "prompts": 2, "empty": 1, "short": 3}
    assert (found["longer"].value, found["several_turns"].value, found["short_share"].value) == (1 / 2, 1 / 2, 3 / 4)
    assert found["words_prompt"].value == (4 + 7 + 7 + 4) / 4
    assert (found["words_chosen"].value, found["words_rejected"].value) == (66 / 4, 4 / 4)


# The committed figures

PUBLISHED = {
    "tulu1_human_eval": {
        "rows": "1,150", "comparisons": "996", "prompts": "332", "levels": "5", "blank": "152",
        "prompts_self_instruct": "252", "prompts_vicuna": "80", "ties": "32.7 %", "slightly": "37.0 %",
        "agree": "57.4 % of 169", "agree_decisive": "70.9 % of 86", "flip": "0.18 of 86, 0.11 to 0.29",
        "longer": "66.1 % of 774", "votes": "2,300", "acceptable": "79.0 %", "equal_votes": "67.4 %",
        "identical": "39", "identical_ties": "39", "same_letters": "43", "same_letters_decisive": "1",
    },
    "feedbackqa_cdc": {
        "rows": "978", "ratings": "2,529", "up": "49.3 %", "agree": "70.2 % of 2124", "agree_rows": "71.8 % of 978",
        "flip": "0.18", "questions": "326", "both_labels": "312",
    },
    "qlora_gpt4_vicuna": {
        "verdicts": "4,480", "models": "8", "questions": "80", "unparsed": "13", "first_wins": "65.0 % of 3867",
        "both_parsed": "2,227", "same_verdict": "61.4 % of 2227", "opposite": "20.5 % of 2227", "consistent": "1,272",
        "longer": "78.4 % of 1266", "longer_whole": "77.0 % of 1272", "longer_all": "70.4 % of 3867",
        "longer_all_whole": "69.7 % of 3867",
    },
    "pandalm_testset": {
        "rows": "999", "unanimous": "88.0 %", "kappa_12": "0.85", "kappa_13": "0.88", "kappa_23": "0.86",
        "flip": "0.03", "ties": "10.5 %", "longer": "68.2 % of 847", "majority": "894", "repeats": "110",
        "word_true": "6", "empty": "54",
    },
    "self_instruct_demos": {
        "rows": "252", "words_people": "50.1 words", "words_davinci": "645.5 words", "running_on": "175",
        "equal_finetuned": "20", "equal_davinci_start": "8", "empty": "1",
    },
    "hh_rlhf_harmless": {
        "rows": "2,307", "apart": "5", "longer": "43.0 % of 2307", "empty": "4", "short": "1,094",
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "key", "shown"), [(n, k, v) for n, table in PUBLISHED.items() for k, v in table.items()]
)
def test_committed_figures(name, key, shown):
    found = by_key(committed(name)["measures"])[key]
    parts = [found.show(), *([f"of {found.n}"] if " of " in shown else [])]
    parts[-1] += f", {found.interval()}" if " to " in shown else ""
    assert " ".join(parts) == shown


@pytest.mark.parametrize("name", NAMES)
def test_a_committed_profile_says_where_it_comes_from_and_holds_no_text(name):
    profile = committed(name)
    entry = real.DATASETS[name]
    assert (profile["repository"], profile["commit"]) == (entry.repository, entry.commit)
    assert profile["command"].endswith("data profile-real")
    assert set(profile["versions"]) == {"lessons_lib", "python"} and len(profile["date"]) == 10
    assert all(isinstance(m.value, (int, float)) for m in profile["measures"])
    assert profile["profile"].name == name
    assert all(len(m.definition) < 120 for m in profile["measures"])


@pytest.mark.real_data
@pytest.mark.parametrize("name", NAMES)
def test_the_original_files_give_the_committed_figures(name):
    """To the last digit but one or two: sums run in another order from process to process."""
    ours = json.loads(json.dumps([vars(m) for m in measure(name, real.load(name))]))
    theirs = [vars(m) for m in committed(name)["measures"]]
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        floats = {name: value for name, value in other.items() if isinstance(value, float)}
        assert {name: one[name] for name in floats} == pytest.approx(floats, rel=1e-9)
        assert {**one, **floats} == other


@pytest.mark.parametrize("name", NAMES)
def test_twins_have_the_same_figures_with_other_values(name):
    ours, theirs = measure(name, twins.load(name)), committed(name)["measures"]
    assert [(m.key, m.what, m.unit, m.definition) for m in ours] == [
        (m.key, m.what, m.unit, m.definition) for m in theirs
    ]


@pytest.mark.parametrize("name", NAMES)
def test_the_picture_states_a_finding_that_holds(name):
    sentence, drawn = finding(name, committed(name)["measures"])
    assert "{" not in sentence and len({m.unit for m in drawn}) == 1 and len(drawn) >= 3
    found = by_key(committed(name)["measures"])
    if name == "tulu1_human_eval":
        assert 0.3 < found["ties"].value < 0.36  # "a third"
    if name == "feedbackqa_cdc":
        assert 0.48 < found["up"].value < 0.52  # "half"
    if name == "hh_rlhf_harmless":
        assert found["longer"].high < 0.5  # "less than half"


@pytest.mark.parametrize(
    ("name", "key", "figure"),
    [
        ("tulu1_human_eval", "flip", "flip_rate"),
        ("tulu1_human_eval", "agree", "agreement"),
        ("feedbackqa_cdc", "agree_rows", "agreement_by_item"),
        ("qlora_gpt4_vicuna", "longer", "chosen_longer"),
        ("pandalm_testset", "majority", "decided"),
        ("self_instruct_demos", "words_davinci", "rejected_length"),
    ],
)
def test_describe_and_profile_say_one_thing_to_the_last_digit(name, key, figure):
    found = committed(name)
    measure, figure = by_key(found["measures"])[key], found["profile"][figure]
    assert (measure.value, measure.low, measure.high) == (figure.value, figure.low, figure.high)
