"""The two shapes: what a sound row is, what is refused and in which words, splits, conversions."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lessons_lib.data import preferences
from lessons_lib.data.preferences import (
    PreferenceDataError,
    Skipped,
    check,
    messages_to_text,
    pairs_to_ratings,
    prompt_key,
    ratings_to_labels,
    ratings_to_pairs,
    split_by_prompt,
    split_of,
)
from lessons_lib.errors import UserError

PAIR = {"prompt": "Name a prime.", "chosen": "Seven.", "rejected": "Eight."}
RATING = {"prompt": "Name a prime.", "completion": "Seven.", "label": True}
CHAT = {
    "prompt": [{"role": "user", "content": "Name a prime."}],
    "chosen": [{"role": "assistant", "content": "Seven."}],
    "rejected": [{"role": "assistant", "content": "Eight."}],
}


def refusal_of(row, **options):
    """The one refusal that `row`, alone, meets."""
    checked = check([row], on_error="collect", **options)
    assert list(checked) == []
    assert checked.refused_count == 1
    return checked.refused[0]


@pytest.mark.parametrize("row", [PAIR, RATING, CHAT])
def test_sound_rows_come_back_as_they_are(row):
    checked = check([row, row])
    assert list(checked) == [row, row]
    assert (checked.kept, checked.refused_count, checked.refused) == (2, 0, [])


def test_other_fields_are_left_out_unless_kept():
    row = {**PAIR, "rater": "a", "note": "n"}
    assert list(check([row])) == [PAIR]
    assert list(check([row], keep=["rater"])) == [{**PAIR, "rater": "a"}]
    assert "'rater'" in str(refusal_of(PAIR, keep=["rater"]))


MESSAGE = {"role": "assistant", "content": "Seven."}
BAD_ROWS = [
    ("missing", {"prompt": "p", "chosen": "a"}, "rejected", "a column 'rejected'"),
    ("wrong column", {"question": "p", "chosen": "a", "rejected": "b"}, "prompt", "a column 'prompt'"),
    ("null", {**PAIR, "chosen": None}, "chosen", "a text"),
    ("null label", {**RATING, "label": None}, "label", "true or false"),
    ("empty", {**PAIR, "prompt": ""}, "prompt", "a text with something to read"),
    ("blank", {**PAIR, "rejected": " \n\t"}, "rejected", "a text with something to read"),
    ("zero width", {**PAIR, "rejected": "\u200b"}, "rejected", "a text with something to read"),
    ("equal", {**PAIR, "rejected": "Seven."}, "rejected", "another text than chosen"),
    ("equal but for the ends", {**PAIR, "rejected": " Seven.\n"}, "rejected", "another text than chosen"),
    ("number", {**PAIR, "chosen": 7}, "chosen", "text or a list of messages"),
    ("JSON true", {**PAIR, "chosen": True}, "chosen", "text or a list of messages"),
    ("label 1", {**RATING, "label": 1}, "label", "true or false"),
    ("label text", {**RATING, "label": "true"}, "label", "true or false"),
    ("half an emoji", {**PAIR, "chosen": "fine \ud83d"}, "chosen", "valid Unicode"),
    ("no messages", {**CHAT, "chosen": []}, "chosen", "text or a list of messages"),
    ("message keys", {**CHAT, "chosen": [{"from": "gpt", "value": "Seven."}]}, "chosen", "messages {role, content}"),
    ("role", {**CHAT, "chosen": [{**MESSAGE, "role": "gpt"}]}, "chosen", "one of the roles"),
    ("empty message", {**CHAT, "chosen": [{**MESSAGE, "content": " "}]}, "chosen", "a text with something to read"),
    ("null message", {**CHAT, "chosen": [{**MESSAGE, "content": None}]}, "chosen", "text"),
    ("prompt repeated", {**CHAT, "chosen": CHAT["prompt"] + CHAT["chosen"]}, "chosen", "the reply alone"),
    ("equal messages", {**CHAT, "rejected": CHAT["chosen"]}, "rejected", "another text than chosen"),
    ("text beside messages", {**CHAT, "prompt": "Name a prime."}, "prompt", "plain text in every field"),
    ("no row", "Name a prime.", "", "a row with named fields"),
]


@pytest.mark.parametrize(("row", "field", "expected"), [case[1:] for case in BAD_ROWS], ids=[c[0] for c in BAD_ROWS])
def test_a_bad_row_is_refused_by_field_and_reason(row, field, expected):
    refusal = refusal_of(row)
    assert refusal.field == field
    assert refusal.expected.startswith(expected)
    assert refusal.line == 1
    for part in ("rows, row 1", refusal.expected, refusal.found, refusal.fix):
        assert part and part in str(refusal)


@pytest.mark.parametrize("row", [case[1] for case in BAD_ROWS], ids=[case[0] for case in BAD_ROWS])
def test_the_default_stops_at_the_first_bad_row(row):
    iterator = iter(check([row], source="mine.jsonl"))
    with pytest.raises(PreferenceDataError, match="mine.jsonl, row 1") as caught:
        next(iterator)
    assert caught.value.refusal.source == "mine.jsonl"


def test_collect_keeps_the_good_rows_counts_and_lists_the_others():
    rows = [PAIR, {**PAIR, "chosen": ""}, PAIR, {**PAIR, "rejected": "Seven."}]
    checked = check(rows, on_error="collect")
    for _ in range(2):  # a second pass counts anew
        assert list(checked) == [PAIR, PAIR]
        assert (checked.kept, checked.refused_count) == (2, 2)
        assert [refusal.line for refusal in checked.refused] == [2, 4]
    assert checked.summary() == "rows: 2 paired rows kept, 2 refused"


def test_the_list_of_refused_rows_is_bounded_their_count_is_not(monkeypatch):
    monkeypatch.setattr(preferences, "LISTED", 3)
    checked = check(itertools.chain([PAIR], ({**PAIR, "chosen": ""} for _ in range(10))), on_error="collect")
    assert len(list(checked)) == 1
    assert (len(checked.refused), checked.refused_count) == (3, 10)


def test_mixed_shapes_are_refused_and_named():
    checked = check([PAIR, RATING], on_error="collect")
    assert list(checked) == [PAIR]
    assert "a row of the unpaired shape" in str(checked.refused[0])
    assert "a row of the paired shape" in str(refusal_of(PAIR, shape="unpaired"))


def test_a_table_of_both_shapes_with_empty_cells_is_mixed_too():
    rows = [{**dict.fromkeys(RATING), **PAIR}, {**dict.fromkeys(PAIR), **RATING}]
    checked = check(rows, on_error="collect")
    assert list(checked) == [PAIR]
    assert "unpaired" in str(checked.refused[0])


def test_text_rows_and_message_rows_do_not_mix():
    checked = check([PAIR, CHAT], on_error="collect")
    assert list(checked) == [PAIR]
    assert "text like the rows before it" in str(checked.refused[0])


def test_skipped_rows_are_counted_by_reason_and_are_not_errors():
    rows = preferences.Rows(lambda: [(1, PAIR), (2, Skipped("tie")), (3, Skipped("tie"))], source="x")
    assert list(rows) == [PAIR]
    assert rows.skipped == {"tie": 2}
    assert rows.summary() == "x: 1 paired rows kept, 0 refused, 2 skipped (tie)"


def test_unknown_options_are_named():
    with pytest.raises(UserError, match="on_error: expected one of 'raise', 'collect', found 'skip'"):
        check([PAIR], on_error="skip")
    with pytest.raises(UserError, match="shape: expected one of"):
        check([PAIR], shape="triplet")


# Prompts and splits


def test_a_prompt_that_leaks_across_a_split_is_refused():
    test = check([{**PAIR, "prompt": "name  A prime.\n"}, {**PAIR, "prompt": "Name a square."}],
                 apart_from=check([PAIR], source="train.jsonl"), on_error="collect")  # fmt: skip
    assert [row["prompt"] for row in test] == ["Name a square."]
    assert "a prompt that does not occur in train.jsonl" in str(test.refused[0])
    assert test.refused[0].field == "prompt"


def test_a_chat_prompt_leaks_into_a_text_dataset():
    assert list(check([PAIR], apart_from=[CHAT], on_error="collect")) == []
    system = [{"role": "system", "content": "Be brief."}, *CHAT["prompt"]]
    assert prompt_key(system) != prompt_key(CHAT["prompt"]) == prompt_key(PAIR["prompt"])


@given(st.lists(st.text(min_size=1), min_size=1, max_size=30), st.integers(0, 3))
def test_no_prompt_is_on_two_sides_of_a_split(prompts, seed):
    rows = [{"prompt": prompt, "n": n} for n, prompt in enumerate(prompts)]
    splits = split_by_prompt(rows, {"train": 0.5, "test": 0.5}, seed)
    keys = {name: {prompt_key(row["prompt"]) for row in part} for name, part in splits.items()}
    assert not keys["train"] & keys["test"]
    assert sorted(row["n"] for part in splits.values() for row in part) == list(range(len(rows)))


def test_the_split_of_a_prompt_depends_on_no_other_row():
    shares = {"train": 0.7, "test": 0.3}
    rows = [{"prompt": f"Question {n}"} for n in range(200)]
    alone = {row["prompt"]: split_of(row["prompt"], shares, 5) for row in rows}
    for name, part in split_by_prompt(reversed(rows), shares, 5).items():
        assert all(alone[row["prompt"]] == name for row in part)


def test_shares_hold_and_seeds_differ():
    shares = {"train": 0.8, "validation": 0.1, "test": 0.1}
    rows = [{"prompt": f"Question {n}"} for n in range(5000)]
    sizes = {name: len(part) for name, part in split_by_prompt(rows, shares).items()}
    assert sizes["train"] == pytest.approx(4000, abs=100)  # 3.5 standard deviations
    assert sizes["test"] == pytest.approx(500, abs=75)
    moved = sum(split_of(row["prompt"], shares, 0) != split_of(row["prompt"], shares, 1) for row in rows)
    assert moved == pytest.approx(5000 * (1 - 0.8**2 - 0.1**2 - 0.1**2), abs=120)


def test_the_split_is_the_same_on_every_machine_and_in_every_version():
    assert [split_of(f"Question {n}", {"a": 0.5, "b": 0.5}) for n in range(12)] == list("aabbbababaab")


@pytest.mark.parametrize("shares", [{}, {"train": 0.9}, {"train": 1.5, "test": -0.5}])
def test_shares_that_do_not_add_up_are_refused(shares):
    with pytest.raises(UserError, match="add up to 1"):
        split_of("p", shares)


# Conversions


def test_pairs_become_one_row_up_and_one_row_down():
    assert list(pairs_to_ratings([PAIR])) == [
        {"prompt": "Name a prime.", "completion": "Seven.", "label": True},
        {"prompt": "Name a prime.", "completion": "Eight.", "label": False},
    ]


def rated(prompt, *ratings):
    return [{"prompt": prompt, "completion": f"{prompt}{n}", "rating": value} for n, value in enumerate(ratings)]


def test_a_threshold_makes_labels():
    labels = [row["label"] for row in ratings_to_labels(rated("p", 1, 3, 4), up_from=3)]
    assert labels == [False, True, True]


def test_ratings_become_pairs_per_prompt_by_gap():
    rows = rated("a", 1, 4, 2) + rated("b", 3, 3) + rated("c", 5)
    pairs = [(pair["chosen"], pair["rejected"]) for pair in ratings_to_pairs(rows, rating="rating")]
    assert pairs == [("a1", "a0"), ("a2", "a0"), ("a1", "a2")]
    assert [pair["chosen"] for pair in ratings_to_pairs(rows, rating="rating", min_gap=3)] == ["a1"]


def test_labels_become_pairs_and_a_completion_meets_never_itself():
    rows = [{**RATING}, {**RATING, "label": False}, {**RATING, "completion": "Eight.", "label": False}]
    assert list(ratings_to_pairs(rows)) == [PAIR]


def test_ratings_of_pairs_give_the_pairs_back():
    pairs = [{"prompt": f"p{n}", "chosen": f"good {n}", "rejected": f"bad {n}"} for n in range(5)]
    assert list(ratings_to_pairs(pairs_to_ratings(pairs))) == pairs


@pytest.mark.parametrize("value", [None, "4", float("nan")])
def test_a_rating_that_is_no_number_is_named(value):
    with pytest.raises(UserError, match="row 2, field 'rating'"):
        list(ratings_to_pairs([*rated("p", 1), {**RATING, "rating": value}], rating="rating"))


def test_a_gap_of_nothing_is_refused():
    with pytest.raises(UserError, match="min_gap"):
        list(ratings_to_pairs([], min_gap=0))


def chatml(messages, add_generation_prompt):
    text = "".join(f"<{message['role']}>{message['content']}</>" for message in messages)
    return text + "<assistant>" * add_generation_prompt


def test_messages_become_text_that_reads_on_from_prompt_to_reply():
    (row,) = messages_to_text([CHAT], chatml)
    assert row == {"prompt": "<user>Name a prime.</><assistant>", "chosen": "Seven.</>", "rejected": "Eight.</>"}
    assert list(messages_to_text([PAIR], chatml)) == [PAIR]


def test_a_tokenizer_does_as_a_template():
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a")))
    tokenizer.chat_template = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    unpaired = {"prompt": CHAT["prompt"], "completion": CHAT["chosen"], "label": True}
    assert list(messages_to_text([CHAT, unpaired], tokenizer)) == list(messages_to_text([CHAT, unpaired], chatml))


def test_a_template_that_rewrites_the_prompt_is_refused():
    def counting(messages, add_generation_prompt):
        return f"{len(messages)} messages: " + chatml(messages, add_generation_prompt)

    with pytest.raises(UserError, match="chat template: expected the whole to begin with the prompt"):
        list(messages_to_text([CHAT], counting))
