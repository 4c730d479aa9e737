"""Every figure of a profile on rows that a person can count, laws that hold for any rows, and the real datasets."""

import json
import random
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lessons_lib.data import judgements, readers, real
from lessons_lib.data.preferences import check
from lessons_lib.data.profile import Figure, cohen_kappa, flip_rate, profile
from lessons_lib.errors import UserError
from lessons_lib.metrics import wilson


def pair(prompt="p", chosen="good good", rejected="bad", **more):
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected, **more}


def thumb(prompt, completion, label, **more):
    return {"prompt": prompt, "completion": completion, "label": label, **more}


def verdict(item, rater, side, first="one two", second="three", **more):
    return {"prompt": f"p{item}", "first": first, "second": second, "verdict": side} | {
        **{"item": str(item), "rater": rater},
        **more,
    }


def value(rows, name):
    return profile(rows).value(name)


def counts(rows, name):
    """A count and what it is out of."""
    figure = profile(rows)[name]
    return figure.value, figure.n


# Size and cleanliness


def test_rows_prompts_and_items():
    rows = [pair("a"), pair("a", "other", "bad"), pair("b")]
    measured = profile(rows)
    assert [measured.value(name) for name in ("rows", "prompts", "items", "decided")] == [3, 2, 3, 3]
    assert measured.form == "paired" and measured["unread"].value == 0


def test_repeats_exact_and_but_for_case_and_space():
    rows = [pair("a"), pair("a"), pair("a"), pair("A ", "Good  GOOD", "bad"), pair("b")]
    assert counts(rows, "repeats") == (2, 5)
    assert counts(rows, "repeats_normalised") == (3, 5)


def test_a_swapped_pair_is_a_contradiction_and_no_repeat():
    rows = [pair("a", "x y", "z"), pair("a", "z", "x y"), pair("b"), pair("b")]
    assert counts(rows, "repeats") == (1, 4)
    assert counts(rows, "contradictions") == (1, 2)


def test_a_rating_that_says_the_opposite_contradicts():
    rows = [thumb("a", "x", True), thumb("a", "x", False), thumb("a", "y", True), thumb("a", "y", True)]
    assert counts(rows, "contradictions") == (1, 2)
    assert counts(rows, "repeats") == (1, 4)


def test_leaks_are_prompts_in_two_splits():
    rows = [pair(p, split=s) for p, s in (("a", "train"), ("a", "test"), ("B", "train"), ("b ", "test"), ("c", "test"))]
    assert counts(rows, "leaks") == (1, 4)
    assert counts(rows, "leaks_normalised") == (2, 3)
    assert profile([pair(split="train")])["leaks"].reason == "fewer than two splits are named"


def test_leaks_into_another_file_which_no_other_figure_counts():
    measured = profile([pair("a"), pair("b"), pair("b")], apart_from=[pair("b"), pair("c"), pair("d")])
    assert (measured["leaks"].value, measured["leaks"].n) == (1, 4)
    assert measured.value("rows") == 3 and measured.value("prompts") == 2
    apart = profile([pair("a")], apart_from=[thumb("A", "x", True)])
    assert (apart.value("leaks"), apart.value("leaks_normalised")) == (0, 1)


def test_empty_and_identical_texts():
    rows = [pair("", "a", "b"), pair("p", " ", "b"), pair("p", "a", "a"), pair("q", "A a", "a  a"), pair("r")]
    assert counts(rows, "empty") == (2, 5)
    assert counts(rows, "identical") == (1, 5)
    assert counts(rows, "identical_normalised") == (2, 5)
    assert counts([verdict(0, r, "first", first="") for r in "abc"], "empty") == (1, 1)  # of items, not of verdicts


def test_multi_turn_prompts_of_both_kinds():
    user, reply = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes?"}
    rows = [pair([user]), pair([user, reply, user]), pair("plain")]
    assert value(rows, "multi_turn") == pytest.approx(1 / 3)
    transcript = "\n\nHuman: hi\n\nAssistant: yes?\n\nHuman: go on\n\nAssistant:"
    assert value([pair(transcript), pair("\n\nHuman: hi\n\nAssistant:")], "multi_turn") == 0.5


def test_lengths_in_words_or_in_tokens_of_a_tokenizer():
    rows = [pair("a b", "c " * n, "d") for n in range(1, 101)]
    lengths = np.arange(3, 103)
    words = profile(rows)["length"]
    assert words.value == pytest.approx(np.quantile(lengths, 0.95)) and words.unit == "words"
    assert words.parts["longest"].value == 102
    tokens = profile(rows, count_tokens=lambda texts: [2 * len(text.split()) for text in texts])["length"]
    assert tokens.value == pytest.approx(2 * words.value) and tokens.unit == "tokens"
    rated = profile([thumb("a b", "c d e", True)], count_tokens=lambda texts: [len(t.split()) for t in texts])
    assert rated.value("length") == 5


@pytest.mark.parametrize("text", ["今天天气很好，我们去公园吧。", "วันนี้อากาศดีมาก", "きょうはいいてんきです"])
def test_lengths_are_in_characters_where_scripts_set_no_spaces(text):
    measured = profile([pair(f"{n}?", text * 2, text) for n in range(30)])
    assert measured["chosen_longer"].value == 1.0 and measured["length"].unit == "characters"
    assert measured["chosen_length"].value == 2 * measured["rejected_length"].value == 2 * len(text)
    english = [pair(f"{n}?", "a longer answer", "none") for n in range(30)]
    assert profile([*english, pair("x?", text, "b")])["length"].unit == "words", "one row in thirty is rare"
    korean = [pair(f"{n}?", "오늘은 날씨가 좋아요", "네") for n in range(30)]
    assert profile(korean)["length"].unit == "words"


def test_a_winner_is_longer_in_the_tokens_of_the_tokenizer():
    rows = [pair(f"{n}?", "abc", "d e") for n in range(9)]
    assert value(rows, "chosen_longer") == 0.0
    letters = profile(rows, count_tokens=lambda texts: [len(t.replace(" ", "")) for t in texts])
    assert letters["chosen_longer"].value == 1.0


# What the texts are like


def test_replies_that_begin_with_the_prompt():
    rows = [
        pair("How far is it?", "How far is  it? Two miles.", "Far."),
        pair("How far is it?", "Two.", "how far is it? no"),
    ]
    assert counts([*rows, pair("How far is it?", "One.", "None."), pair("a", "a b", "c")], "repeats_prompt") == (2, 4)
    assert counts([thumb("How far is it?", "How far is it? Far.", True)], "repeats_prompt") == (1, 1)


def test_boilerplate_is_counted_by_prompt_and_by_side():
    opening = "As a helpful language model I would like to say: "
    rows = [pair(f"{n}?", f"{n} is long enough to be looked at, surely", opening + str(n)) for n in range(3)]
    rows += [
        pair("3?", "short", opening + "3"),
        pair("3?", "short too", opening + "3"),
        pair("4?", "short", "short also"),
    ]
    found = profile(rows)["boilerplate"]
    assert found.value == pytest.approx(4 / 5)
    assert {name: part.value for name, part in found.parts.items()} == {"rejected ones that begin alike": 4 / 5}


def test_marks_of_chat_templates_and_scripts():
    marked = [pair("<|im_start|>user\nHi", "a", "b"), pair("<s>[INST] Hi [/INST]", "a", "b"), pair("Hi", "a</s>", "b")]
    assert counts([*marked, pair("Is 1 < 2 [s]?", "a", "b")], "templated") == (3, 4)
    rows = [
        pair("Tell me more.", "Это очень далеко.", "b"),
        pair("Tell me more.", "It is far away.", "b"),
        pair("1?", "2", "b"),
    ]
    assert value(rows, "other_script") == 0.5
    scripts = profile(rows)["scripts"]
    assert {name: part.value for name, part in scripts.parts.items()} == {"Cyrillic": 1, "Latin": 1}


@pytest.mark.parametrize(
    "latin",
    [
        "```python\ndef add(first, second):\n    return first + second\n```",
        "~~~\nprint('another fence')\n~~~",
        "`first_number + second_number`",
        "$first + second$",
        "$$\\frac{first}{second}$$",
        "\\[\\text{first} + second\\]",
        "\\begin{align}first &= second\\end{align}",
        "https://example.org/first/second",
    ],
)
def test_code_formulas_and_addresses_have_no_language(latin):
    asked, said = "写一个函数，把两个数相加。", "好的，就是这样。"
    assert value([pair(asked, f"{said}\n{latin}", "不")], "other_script") == 0
    assert value([pair(f"{asked}\n{latin}", said, "不")], "other_script") == 0
    spoken = f"{latin}\nHere you have it, as you asked."
    assert value([pair(asked, spoken, "不")], "other_script") == 1, "prose beside it counts"


def test_columns_that_were_not_read_are_reported(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(
        "".join(json.dumps({**pair(f"{n}?", "a", "b"), "images": ["x.png"] * (n < 2)}) + "\n" for n in range(5))
    )
    found = profile(readers.judgements(path))["not_read"]
    assert found.value == 2 and found.parts["images"].value == 2


# How sure the labels are


def agreeing(same, opposite, ties=0):
    """Items with two raters each: so many agree, differ, and have one who calls it a tie."""
    kinds = ["first", "first"], ["first", "second"], ["first", "tie"]
    items = [kind for kind, n in zip(kinds, (same, opposite, ties), strict=True) for _ in range(n)]
    return [verdict(i, rater, side) for i, sides in enumerate(items) for rater, side in zip("ab", sides, strict=True)]


def test_agreement_and_the_flip_rate_it_implies():
    measured = profile(agreeing(same=82, opposite=18, ties=25))
    assert measured.value("agreement") == pytest.approx(82 / 125)
    assert measured.value("agreement_decisive") == pytest.approx(0.82) and measured["agreement_decisive"].n == 100
    assert measured.value("flip_rate") == pytest.approx(0.1)  # 0.1² + 0.9² = 0.82
    low, high = wilson(0.82, 100)
    assert measured["flip_rate"].low == pytest.approx((1 - (2 * high - 1) ** 0.5) / 2, abs=2e-3)
    assert measured["flip_rate"].high == pytest.approx((1 - (2 * low - 1) ** 0.5) / 2, abs=2e-3)
    assert "independently" in measured["flip_rate"].assumes


@pytest.mark.parametrize("e", [0.0, 0.05, 0.2, 0.35, 0.5])
def test_the_flip_rate_inverts_its_formula(e):
    assert flip_rate(Figure(e**2 + (1 - e) ** 2, "share", "")).value == pytest.approx(e)


def test_a_flip_rate_is_not_guessed():
    assert "two coins" in profile(agreeing(same=1, opposite=9))["flip_rate"].reason
    assert profile([pair()])["flip_rate"].reason == "no row says which item it judges or who judged it"
    assert profile([verdict(0, "a", "first")])["flip_rate"].reason == "no item was judged by two raters"
    one_judge = [verdict(0, "judge", "first", "x", "y"), verdict(0, "judge", "second", "y", "x")]
    assert profile(one_judge)["flip_rate"].value is None  # one rater twice is no second opinion


def test_flips_put_in_are_found_again():
    rng = random.Random(0)
    rows = [verdict(i, r, "first" if rng.random() > 0.15 else "second") for i in range(4000) for r in "ab"]
    figure = profile(rows)["flip_rate"]
    assert figure.low < 0.15 < figure.high and figure.high - figure.low < 0.03


def test_unanimity_near_determinism_and_ties():
    sides = ["fff", "ffs", "ttt", "tts", "fft", "ss"]
    names = {"f": "first", "s": "second", "t": "tie"}
    rows = [verdict(i, str(k), names[s]) for i, item in enumerate(sides) for k, s in enumerate(item)]
    measured = profile(rows)
    assert measured.value("unanimous") == pytest.approx(3 / 6)
    assert measured.value("near_deterministic") == pytest.approx(2 / 4)  # two of the six are mostly called ties
    assert measured.value("ties") == pytest.approx(6 / 17)
    assert measured.value("ties_items") == pytest.approx(2 / 6)
    assert measured.value("agreement") == pytest.approx((3 + 1 + 3 + 1 + 1 + 1) / 16)
    assert measured.value("agreement_by_item") == pytest.approx((1 + 1 / 3 + 1 + 1 / 3 + 1 / 3 + 1) / 6)
    assert (measured["decided"].value, measured["decided"].n) == (4, 6)


def test_kappa_is_cohens_as_in_the_textbook():
    yes_yes, yes_no, no_yes, no_no = 20, 5, 10, 15
    cells = [(True, True)] * yes_yes + [(True, False)] * yes_no + [(False, True)] * no_yes + [(False, False)] * no_no
    rows = [
        thumb("p", f"answer {i}", label, item=str(i), rater=rater)
        for i, cell in enumerate(cells)
        for rater, label in zip("ab", cell, strict=True)
    ]
    measured = profile(rows)
    assert measured.value("kappa") == pytest.approx((0.7 - 0.5) / (1 - 0.5))
    assert measured["kappa"].parts["a and b"].n == 50
    assert measured.value("raters") == 2
    assert cohen_kappa(np.array([[5.0, 0], [0, 0]])).value is None


def test_alpha_is_krippendorffs():
    # Two raters, ten items, binary: Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section B.
    # Of 20 values 14 are 0 and 6 are 1, and 4 items are split: alpha = 1 - 19 * 4 / (14 * 6).
    one, other = "0100000000", "1110010010"
    rows = [
        thumb("p", f"answer {i}", label == "1", item=str(i), rater=rater)
        for rater, labels in (("a", one), ("b", other))
        for i, label in enumerate(labels)
    ]
    assert value(rows, "alpha") == pytest.approx(1 - 19 * 4 / (14 * 6))
    same = [thumb("p", "a", True, item="1", rater=r) for r in "ab"]
    assert profile(same)["alpha"].reason == "every verdict is the same"


def test_a_rater_who_votes_twice_counts_once():
    rows = [verdict(0, "a", "first"), verdict(0, "a", "second"), verdict(0, "b", "second")]
    rows += [verdict(1, "a", "second"), verdict(1, "a", "first"), verdict(1, "b", "first")]
    measured = profile(rows)
    assert measured.value("agreement") == 1.0 and measured["agreement"].n == 2  # the last vote stands


def test_unnamed_raters_of_one_item_are_different_ones():
    rows = [thumb("p", "a", label, item="1") for label in (True, True, False)]
    assert profile(rows)["agreement"].n == 3 and value(rows, "agreement") == pytest.approx(1 / 3)


def test_scores_hidden_ties_and_gaps_near_zero():
    scores = [(5, 1), (5, 5), (3, 4), (1, 0.99)]
    rows = [pair(f"p{i}", chosen_score=a, rejected_score=b) for i, (a, b) in enumerate(scores)]
    measured = profile(rows)
    assert measured.value("hidden_ties") == 0.25
    assert measured.value("score_contradicts") == 0.25
    assert measured.value("small_gaps") == 0.5  # 0.1 of the standard deviation 1.9: the equal ones, and 1 against 0.99
    for names in (("score_chosen", "score_rejected"), ("chosen_rating", "rejected_rating")):
        renamed = [pair(f"p{i}", **dict(zip(names, s, strict=True))) for i, s in enumerate(scores)]
        assert value(renamed, "hidden_ties") == 0.25
    assert profile([pair()])["hidden_ties"].reason == "the rows carry no scores"


def test_slight_preferences():
    rows = [verdict(i, "a", "first", slight=i < 3) for i in range(4)]
    assert value(rows, "slight") == 0.75


def circle(prompt, *winners):
    return [pair(prompt, winner, loser) for winner, loser in winners]


def test_cycles_are_found_whatever_hangs_on_them():
    three = circle("p", ("a", "b"), ("b", "c"), ("c", "a"))
    four = circle("q", ("a", "b"), ("b", "c"), ("c", "d"), ("d", "a"), ("a", "leaf"), ("top", "a"))
    chain = circle("r", ("a", "b"), ("b", "c"), ("a", "c"))
    outvoted = circle("s", ("a", "b"), ("a", "b"), ("b", "a"), ("b", "c"), ("a", "c"))
    few = circle("t", ("a", "b"), ("b", "a"))
    assert counts([*three, *four, *chain, *outvoted, *few], "cycles") == (2, 4)
    assert profile(few)["cycles"].reason == "no prompt has three different decided pairs"


def test_verdicts_that_could_not_be_read_are_counted_and_decide_nothing():
    measured = profile([verdict(0, "a", None), verdict(0, "b", None), verdict(1, "a", "first")])
    assert (measured["unread"].value, measured["decided"].value) == (2, 1)
    assert measured.value("ties_items") == 0.5 and measured["ties_items"].n == 2
    nobody = [thumb("p", "x", up, item="x") for up in (True, False)]  # no response with a majority
    assert value(nobody, "unpaired") == 1.0 and value(nobody, "pairs") == 0


# Biases


def test_the_first_position():
    rows = [verdict(i, "a", side) for i, side in enumerate(["first"] * 13 + ["second"] * 7 + ["tie"] * 5)]
    figure = profile(rows)["first_wins"]
    assert figure.value == 0.65 and figure.n == 20
    assert (figure.low, figure.high) == pytest.approx(wilson(0.65, 20), abs=0.01)
    shown = [pair(f"p{i}", chosen_first=i < 6) for i in range(8)]
    assert value(shown, "first_wins") == 0.75
    assert profile([pair()])["first_wins"].reason == "the rows do not say which response was shown first"


def test_both_orders_of_one_judge():
    def both(item, forward, backward):
        return [verdict(item, "j", forward, "x y", "z"), verdict(item, "j", backward, "z", "x y")]

    rows = [*both(0, "first", "second"), *both(1, "first", "first"), *both(2, "tie", "tie"), *both(3, "tie", "first")]
    rows += [verdict(4, "j", "first"), *both(5, None, "first"), *both(6, "second", "first")]
    measured = profile(rows)
    assert measured["order_same"].n == 5 and measured.value("order_same") == 0.6
    assert measured.value("order_opposite") == 0.2
    assert counts(rows, "order_consistent") == (2, 5)
    assert measured["unread"].value == 1


def test_the_longer_response_whole_and_by_ratio():
    lengths = [(10, 10), (21, 20), (20, 23), (14, 10), (10, 16), (30, 10), (40, 10)]
    rows = [pair(f"p{i}", "w " * c, "v " * r) for i, (c, r) in enumerate(lengths)]
    figure = profile(rows)["chosen_longer"]
    assert figure.value == pytest.approx(4 / 6) and figure.n == 6  # equal lengths are left out
    shares = {label: (part.value, part.n) for label, part in figure.parts.items()}
    assert shares == {
        "1 to 1.1 times": (1.0, 1),
        "1.1 to 1.25 times": (0.0, 1),
        "1.25 to 1.5 times": (1.0, 1),
        "1.5 to 2 times": (0.0, 1),
        "2 times and more": (1.0, 2),
    }
    assert value(rows, "chosen_longer_verdicts") == pytest.approx(4 / 7)


def test_an_up_is_longer_than_a_down():
    lengths = {True: (5, 6, 7), False: (4, 5)}
    rows = [thumb(f"p{n}", "w " * n, up) for up, words in lengths.items() for n in words]
    assert value(rows, "up_longer") == pytest.approx(5.5 / 6)  # of six couples five and a half
    assert profile([thumb("a", "b", True)])["up_longer"].reason == "all decided ratings have the same label"


# Ratings


def test_class_balance_and_the_pairs_that_ratings_make():
    labels = {"a": "++-", "b": "+--", "c": "++", "d": "-"}
    rows = [thumb(p, f"{p}{i}", s == "+") for p, signs in labels.items() for i, s in enumerate(signs)]
    measured = profile(rows)
    assert measured.value("up_share") == pytest.approx(5 / 9)
    assert (measured["both_labels"].value, measured["both_labels"].n) == (2, 4)
    assert measured.value("pairs") == 2 * 1 + 1 * 2
    assert measured.value("pairs_disjoint") == 1 + 1
    assert measured.value("unpaired") == pytest.approx(3 / 9)  # c and d


def test_a_response_without_a_majority_makes_no_pair():
    rows = [thumb("p", "x", up, item="x") for up in (True, False)] + [thumb("p", "y", False, item="y")]
    measured = profile(rows)
    assert measured.value("pairs") == 0 and measured.value("unpaired") == 1.0


def test_thumbs_beside_comparisons():
    thumbs = [(True, True), (True, False), (False, False), (True, True)]
    rows = [
        verdict(i, "a", side, first_acceptable=a, second_acceptable=b)
        for i, ((a, b), side) in enumerate(zip(thumbs, ["first", "first", "second", "tie"], strict=True))
    ]
    measured = profile(rows)
    assert measured.value("thumbs_up") == pytest.approx(5 / 8)
    assert measured.value("thumbs_blind") == pytest.approx(2 / 3)


# Intervals


def test_rows_of_one_prompt_are_no_independent_witnesses():
    independent = [pair(f"p{i}", "a a" if i % 4 else "a", "b" if i % 4 else "b b") for i in range(100)]
    clustered = [pair(f"p{i // 5}", "a a" if i // 5 % 4 else "a", "b" if i // 5 % 4 else "b b") for i in range(100)]
    figure, wide = profile(independent)["chosen_longer"], profile(clustered)["chosen_longer"]
    assert figure.value == wide.value == 0.75
    assert (figure.low, figure.high) == pytest.approx(wilson(0.75, 100), abs=0.005)
    assert (wide.low, wide.high) == pytest.approx(wilson(0.75, 20), abs=0.02)
    one = profile([pair("p", f"a a {i}", "b") for i in range(9)])["chosen_longer"]
    assert one.low is None and "one prompt" in one.assumes


@settings(max_examples=8, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 2), st.sampled_from(["first", "second", "tie"])),
        min_size=1,
        max_size=25,
    )
)
def test_laws_of_any_verdicts(rows):
    """Shares lie in their intervals, and what does not depend on the order of presentation or of rows stays."""
    texts = ["", "one", "two words"]
    made = [verdict(i, r, side, texts[a], texts[(a + 1) % 3]) for i, a, r, side in rows]
    measured = profile(made)
    for figure in measured.figures.values():
        if figure.unit == "share" and figure.low is not None:
            assert 0 <= figure.low <= figure.value <= figure.high <= 1
        assert (figure.value is None) == bool(figure.reason)
    swapped = {"first": "second", "second": "first", "tie": "tie"}
    turned = [{**r, "first": r["second"], "second": r["first"], "verdict": swapped[r["verdict"]]} for r in made]
    other = profile(turned)
    for name in ("ties", "chosen_longer_verdicts", "agreement", "identical", "empty"):
        assert other.value(name) == measured.value(name)


# What may come in


def test_what_stands_beside_the_texts_may_be_text_as_in_a_csv():
    rows = [
        verdict(0, "a", "first", slight="True", first_acceptable="true", second_acceptable="FALSE"),
        verdict(1, "", "", slight="", first_acceptable="", second_acceptable=""),
    ]
    measured = profile(rows)
    assert measured["unread"].value == 1 and measured.value("slight") == 1.0 and measured.value("thumbs_up") == 0.5
    shown = [pair("a", chosen_first="False", chosen_score="3", rejected_score="1.5"), pair("b", chosen_first="true")]
    assert profile(shown).value("first_wins") == 0.5
    assert profile(shown)["score_contradicts"].n == 1


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "no rows: expected at least one"),
        ([{"question": "a"}], "expected the fields {prompt, chosen, rejected} or"),
        ([pair(), thumb("a", "b", True)], "row 2: expected 'chosen' as in the rows before"),
        ([thumb("a", "b", 4)], "row 1, label: expected true or false, got 4; choose a threshold"),
        ([verdict(0, "a", "left")], 'row 1, verdict: expected "first", "second", "tie" or nothing, got \'left\''),
        ([verdict(0, "a", ["first"])], "row 1, verdict"),
        ([verdict(0, "a", "tie", slight="perhaps")], "row 1, slight: expected true, false or nothing, got 'perhaps'"),
        ([pair(chosen_score="high")], "row 1, chosen_score: expected a number, got 'high'"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_rows_that_cannot_be_measured_are_refused_by_name(rows, says):
    with pytest.raises(UserError, match=re.escape(says)):
        profile(rows)


def test_what_the_reader_refused_is_reported_by_reason(tmp_path):
    rows = [pair("a"), pair("b", chosen=""), pair("c", chosen=""), {"prompt": "d"}, pair("e")]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n{broken")
    measured = profile(readers.read(tmp_path / "rows.jsonl", on_error="collect"))
    assert measured.value("rows") == 2 and measured.value("refused") == 4
    assert sum(part.value for part in measured["refused"].parts.values()) == 4
    with pytest.raises(
        UserError, match="no row can be used: rows: 0 paired rows kept, 1 refused; the first reason: .*'chosen'"
    ):
        profile(check([pair(chosen="")], shape="paired", on_error="collect"))


def test_a_profile_survives_json_and_holds_no_text():
    rows = [pair(f"secret prompt {i}", f"secret answer {i} {i}", "secret refusal") for i in range(5)]
    measured = profile(rows, name="mine")
    text = json.dumps(measured.as_dict())
    assert "secret" not in text
    assert json.loads(text) == measured.as_dict()  # nothing that JSON cannot hold


def test_more_rows_than_a_batch(monkeypatch):
    rows = [pair(f"p{i % 7}", f"a {i} b", f"c {i % 5}") for i in range(50)]
    whole = profile(rows)
    monkeypatch.setattr(judgements, "BATCH_ROWS", 8)
    assert profile(iter(rows)) == whole


def test_figures_read_as_a_person_would_write_them():
    assert str(Figure(0.123, "share", "", 1234, 0.1, 0.15)) == "12.3 % (10.0 % to 15.0 %) of 1,234"
    assert str(Figure(404.2, "words", "", 9)) == "404 words of 9"
    assert str(Figure(0.8551, "coefficient", "")) == "0.86"
    assert str(Figure(None, "share", "", reason="nobody asked")) == "unknown: nobody asked"


# The real datasets


@pytest.fixture(scope="module")
def measured():
    cache = {}

    def of(name):
        if name not in cache:
            cache[name] = profile(real.judgements(name), name=name)
        return cache[name]

    return of


REAL = {  # reference figures, each as it is printed there
    "tulu1_human_eval": {
        **{"rows": "1,150", "items": "996", "prompts": "332", "ties": "32.7 %", "slight": "37.0 %"},
        **{"agreement": "57.4 %", "agreement_decisive": "70.9 %", "chosen_longer_verdicts": "66.1 %"},
        **{"thumbs_up": "79.0 %", "thumbs_blind": "67.4 %", "flip_rate": "17.7 %"},
    },
    "feedbackqa_cdc": {
        **{"rows": "2,529", "items": "978", "up_share": "49.3 %", "agreement": "70.2 %", "agreement_by_item": "71.8 %"},
        **{"flip_rate": "18.2 %", "both_labels": "312 of 326"},
    },
    "qlora_gpt4_vicuna": {
        **{
            "rows": "4,480",
            "prompts": "80",
            "first_wins": "65.0 %",
            "order_same": "61.4 %",
            "order_opposite": "20.5 %",
        },
        **{"order_consistent": "1,272 of 2,227", "decided": "1,272 of 2,240"},
    },
    "pandalm_testset": {
        **{"rows": "2,997", "items": "999", "unanimous": "88.0 %", "flip_rate": "2.7 %", "ties_items": "10.5 %"},
        **{"chosen_longer": "68.2 %", "repeats": "110 of 894"},
    },
    "self_instruct_demos": {"rows": "252", "chosen_longer": "0.0 %"},
}


@pytest.mark.real_data
@pytest.mark.parametrize("name", REAL)
def test_the_figures_of_the_real_datasets(measured, name):
    shown = {figure: str(measured(name)[figure]) for figure in REAL[name]}
    assert {figure: text[: len(REAL[name][figure])] for figure, text in shown.items()} == REAL[name]


@pytest.mark.real_data
def test_the_figures_of_the_real_datasets_that_are_no_single_number(measured):
    tulu1, pandalm = measured("tulu1_human_eval"), measured("pandalm_testset")
    assert tulu1["agreement"].n == 169 and tulu1["agreement_decisive"].n == 86
    assert tulu1["chosen_longer_verdicts"].n == 774 and tulu1["thumbs_up"].n == 2300
    independent = tulu1["flip_rate"].parts["were all pairs of raters independent"]
    assert (independent.low, independent.high) == pytest.approx((0.12, 0.27), abs=0.005)
    assert sorted(round(part.value, 2) for part in pandalm["kappa"].parts.values()) == [0.85, 0.86, 0.88]
    assert measured("qlora_gpt4_vicuna")["first_wins"].n == 3867
    assert measured("feedbackqa_cdc")["agreement"].n == 2124
