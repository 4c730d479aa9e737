"""Recognising: rows in the shapes that files come in, what they are read as, and what is asked or refused."""

import json

import pytest

from lessons_lib.data.readers import judgements, read
from lessons_lib.data.schemas import SchemaError

GOOD, BAD = "Seven is prime.", "Eight is."


def message(role, text):
    return {"role": role, "content": text}


def shared(role, text):
    return {"from": role, "value": text}


ASK = "Name a prime."
CHAT = {
    "prompt": [message("user", ASK)],
    "chosen": [message("assistant", GOOD)],
    "rejected": [message("assistant", BAD)],
}
TEXT = {"prompt": ASK, "chosen": GOOD, "rejected": BAD}
WITH_SYSTEM = {**CHAT, "prompt": [message("system", "Be brief."), *CHAT["prompt"]]}
UP = {"prompt": ASK, "completion": GOOD, "label": True}
CHAT_UP = {"prompt": CHAT["prompt"], "completion": CHAT["chosen"], "label": True}
JOINED = {**TEXT, "prompt": "Answer.\n\nName a prime."}


def written(tmp_path, rows, name="rows.jsonl"):
    path = tmp_path / name
    text = json.dumps(rows, indent=1) if name.endswith(".json") else "".join(json.dumps(row) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return path


def first(path, **options):
    rows = read(path, **options)
    found = next(iter(rows))
    return found, rows.reading.schema


# One row of each shape, and what it becomes.
SHAPES = {
    "pairs": (TEXT, TEXT, "pairs"),
    "pairs, replies as one message each": (
        {**CHAT, "chosen": CHAT["chosen"][0], "rejected": CHAT["rejected"][0]},
        CHAT,
        "pairs",
    ),
    "pairs, chat and text mixed": ({**TEXT, "prompt": CHAT["prompt"]}, CHAT, "pairs"),
    "pairs with a system prompt": ({**TEXT, "system": "Be brief."}, WITH_SYSTEM, "pairs"),
    "other names": ({"question": ASK, "answer_chosen": GOOD, "answer_rejected": BAD}, TEXT, "named-pairs"),
    "y_w and y_l": ({"x": ASK, "y_w": GOOD, "y_l": BAD}, TEXT, "named-pairs"),
    "response and rejected_response": ({"query": ASK, "response": GOOD, "rejected_response": BAD}, TEXT, "named-pairs"),
    "whole conversations": (
        {side: CHAT["prompt"] + CHAT[side] for side in ("chosen", "rejected")},
        CHAT,
        "message-lists",
    ),
    "whole transcripts": (
        {"chosen": f"\n\nHuman: {ASK}\n\nAssistant: {GOOD}", "rejected": f"\n\nHuman: {ASK}\n\nAssistant: {BAD}"},
        {**TEXT, "prompt": f"\n\nHuman: {ASK}\n\nAssistant:"},
        "hh-rlhf",
    ),
    "whole ChatML texts": (
        {
            "chosen": f"<|im_start|>user\n{ASK}<|im_end|>\n<|im_start|>assistant\n{GOOD}",
            "rejected": f"<|im_start|>user\n{ASK}<|im_end|>\n<|im_start|>assistant\n{BAD}",
        },
        {**TEXT, "prompt": f"<|im_start|>user\n{ASK}<|im_end|>\n<|im_start|>assistant\n"},
        "hh-rlhf",
    ),
    "an implicit prompt": (
        {"chosen": "The sky is blue.", "rejected": "The sky is green."},
        {"prompt": "The sky is", "chosen": " blue.", "rejected": " green."},
        "implicit-prompt",
    ),
    "ShareGPT, objects": (
        {"conversations": [shared("human", ASK)], "chosen": shared("gpt", GOOD), "rejected": shared("gpt", BAD)},
        CHAT,
        "sharegpt",
    ),
    "ShareGPT, text": ({"conversations": [shared("human", ASK)], "chosen": GOOD, "rejected": BAD}, CHAT, "sharegpt"),
    "ShareGPT with a system column": (
        {"system": "Be brief.", "conversations": [shared("human", ASK)], "chosen": GOOD, "rejected": BAD},
        WITH_SYSTEM,
        "sharegpt",
    ),
    "messages beside replies": (
        {"messages": CHAT["prompt"], "chosen": GOOD, "rejected": BAD},
        CHAT,
        "messages-beside-replies",
    ),
    "OpenAI": (
        {
            "input": {"messages": CHAT["prompt"], "tools": []},
            "preferred_output": CHAT["chosen"],
            "non_preferred_output": CHAT["rejected"],
        },
        CHAT,
        "openai",
    ),
    "parts as content": (
        {
            side: [
                {"role": turn["role"], "content": [{"type": "text", "value": turn["content"]}]}
                for turn in CHAT["prompt"] + CHAT[side]
            ]
            for side in ("chosen", "rejected")
        },
        CHAT,
        "message-lists",
    ),
    "Alpaca": (
        {"instruction": "Answer.", "input": ASK, "output": GOOD, "chosen": GOOD, "rejected": BAD},
        JOINED,
        "alpaca",
    ),
    "a label 1 or 2": ({"instruction": ASK, "output_1": BAD, "output_2": GOOD, "label": 2}, TEXT, "two-replies"),
    "a winner by letter": ({"prompt": ASK, "response_a": GOOD, "response_b": BAD, "winner": "A"}, TEXT, "two-replies"),
    "a winner by model": (
        {"question": ASK, "model_a": "small", "model_b": "big", "answer_a": BAD, "answer_b": GOOD, "winner": "big"},
        TEXT,
        "two-replies",
    ),
    "a winner by column": (
        {"prompt": ASK, "response1": GOOD, "response2": BAD, "preferred": "response1"},
        TEXT,
        "two-replies",
    ),
    "a winner in words": (
        {"prompt": ASK, "completion_a": BAD, "completion_b": GOOD, "preference": "b-is-slightly-better"},
        TEXT,
        "two-replies",
    ),
    "a winner by sign": (
        {"prompt": ASK, "response_A": GOOD, "response_B": BAD, "verdict": "A>>B"},
        TEXT,
        "two-replies",
    ),
    "an index": ({"prompt": ASK, "response_0": BAD, "response_1": GOOD, "better_response_id": 1}, TEXT, "safe-rlhf"),
    "two scores": (
        {"prompt": ASK, "response_a": BAD, "response_b": GOOD, "score_a": 2, "score_b": 3.5},
        TEXT,
        "two-replies",
    ),
    "two conversations and a winner": (
        {
            "conversation_a": CHAT["prompt"] + CHAT["rejected"],
            "conversation_b": CHAT["prompt"] + CHAT["chosen"],
            "model_a": "x",
            "model_b": "y",
            "winner": "model_b",
        },
        CHAT,
        "two-replies",
    ),
    "scores of K": ({"prompt": ASK, "responses": [BAD, GOOD], "scores": [1, 4]}, TEXT, "scored-replies"),
    "ranks of K": ({"prompt": ASK, "completions": [BAD, GOOD], "ranks": [2, 1]}, TEXT, "ranked-replies"),
    "Stack Exchange": ({"question": ASK, "response_j": GOOD, "response_k": BAD}, TEXT, "named-pairs"),
    "best first": ({"prompt": ASK, "ranked_responses": [GOOD, BAD]}, TEXT, "best-first"),
    "replies with scores": (
        {"prompt": ASK, "completions": [{"text": BAD, "score": 1}, {"text": GOOD, "score": 4}]},
        TEXT,
        "scored-replies",
    ),
    "UltraFeedback": (
        {
            "instruction": ASK,
            "completions": [
                {"response": GOOD, "annotations": {"honesty": {"Rating": "4"}, "helpfulness": {"Rating": "N/A"}}},
                {"response": BAD, "annotations": {"honesty": {"Rating": "3"}, "helpfulness": {"Rating": "2"}}},
            ],
        },
        TEXT,
        "ultrafeedback",
    ),
    "an OASST tree": (
        {
            "message_tree_id": "t",
            "prompt": {
                "text": ASK,
                "role": "prompter",
                "replies": [
                    {"text": BAD, "role": "assistant", "rank": 1, "replies": []},
                    {"text": GOOD, "role": "assistant", "rank": 0, "replies": []},
                ],
            },
        },
        CHAT,
        "oasst-trees",
    ),
    "an index into K": (
        {"prompt": ASK, "completions": [GOOD, BAD], "chosen_index": 0},
        TEXT,
        "best-of-replies",
    ),
    "a label that is an index": ({"prompt": ASK, "responses": [GOOD, BAD], "label": 0}, TEXT, "best-of-replies"),
    "a list of two and a letter": ({"prompt": ASK, "response": [BAD, GOOD], "winner": "B"}, TEXT, "listed-replies"),
    "a list of two and a sign": ({"prompt": ASK, "replies": [BAD, GOOD], "verdict": "B>A"}, TEXT, "listed-replies"),
    "a pair inside the turns": (
        {"conversations": [shared("human", ASK), shared("chosen_gpt", GOOD), shared("rejected_gpt", BAD)]},
        CHAT,
        "pairs-in-turns",
    ),
    "a pair inside the turns, the worse first": (
        {
            "messages": [message("user", ASK), message("rejected", BAD), message("chosen", GOOD)],
            "system": "Be brief.",
        },
        WITH_SYSTEM,
        "pairs-in-turns",
    ),
    "good_res and bad_res": ({"prompt": ASK, "good_res": GOOD, "bad_res": BAD}, TEXT, "named-pairs"),
    "good and bad": ({"prompt": ASK, "bad": BAD, "good": GOOD}, TEXT, "named-pairs"),
    "positive and negative": (
        {"query": ASK, "negative_answer": BAD, "positive_answer": GOOD},
        TEXT,
        "named-pairs",
    ),
    "approved and rejected": (
        {"prompt": ASK, "approved_reply": GOOD, "rejected_reply": BAD},
        TEXT,
        "named-pairs",
    ),
    "a decision on one reply": (
        {"input_prompt": ASK, "generated_body": GOOD, "decision": "approved"},
        UP,
        "ratings",
    ),
    "ratings": (UP, UP, "ratings"),
    "ratings by number": ({**UP, "label": 1}, UP, "ratings"),
    "ratings by word": ({"question": ASK, "answer": GOOD, "thumbs": "up"}, UP, "ratings"),
    "rated conversation": (
        {"messages": CHAT["prompt"] + CHAT["chosen"], "kto_tag": True},
        CHAT_UP,
        "rated-conversations",
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_of_each_shape_is_recognised(tmp_path, shape):
    row, expected, schema = SHAPES[shape]
    assert first(written(tmp_path, [row])) == (expected, schema)
    assert first(written(tmp_path, [row], "rows.json")) == (expected, schema)


@pytest.mark.parametrize("shape", SHAPES)
def test_what_match_reads_is_what_train_reads(tmp_path, shape):
    path = written(tmp_path, [SHAPES[shape][0]] * 3)
    judged, trained = judgements(path), read(path)
    assert len(list(judged)) == len(list(trained)) == 3 and judged.reading.schema == trained.reading.schema


@pytest.mark.parametrize(
    "told", [{"ranking": [2, 1, 3]}, {"scores": [2, 5, 1]}, {"rank_1": 2, "rank_2": 1, "rank_3": 3}]
)
def test_replies_in_numbered_columns_are_compared_with_each_other(tmp_path, told):
    row = {"prompt": ASK, "response_1": "Six.", "response_2": GOOD, "response_3": BAD, **told}
    source = read(written(tmp_path, [row]))
    assert [(pair["chosen"], pair["rejected"]) for pair in source] == [(GOOD, "Six."), ("Six.", BAD), (GOOD, BAD)]


def test_messages_of_one_table_become_trees(tmp_path):
    node = {"message_tree_id": "t", "lang": "en"}
    rows = [
        {**node, "message_id": "2", "parent_id": "1", "text": BAD, "role": "assistant", "rank": 1},
        {**node, "message_id": "1", "parent_id": None, "text": ASK, "role": "prompter", "rank": None},
        {**node, "message_id": "3", "parent_id": "1", "text": GOOD, "role": "assistant", "rank": 0},
    ]
    assert list(read(written(tmp_path, rows))) == [CHAT]


def test_rows_with_scores_are_compared_within_their_prompt(tmp_path):
    rows = [
        {"prompt": ask, "response": text, "rating": n} for ask in (ASK, "Two?") for text, n in ((BAD, 2), (GOOD, 5))
    ]
    pairs = list(read(written(tmp_path, rows)))
    assert pairs == [TEXT, {**TEXT, "prompt": "Two?"}]
    alone = written(tmp_path, [{**rows[0], "prompt": f"{n}?"} for n in range(4)], "alone.jsonl")
    with pytest.raises(SchemaError, match="--up-from NUMBER"):
        list(read(alone))
    assert [row["label"] for row in read(alone, up_from=2)] == [True] * 4


# Who is named first, the sign that stands between, and who is named second: every spelling turns when either turns.
NAMINGS = [
    ("ab", "A", "B"), ("ab", "a", "b"), ("ab", "response_A", "response_B"), ("ab", "model_a", "model_b"),
    ("ab", "Assistant A", "Assistant B"), ("12", "1", "2"), ("12", "output_1", "output_2"), ("12", "first", "second"),
    ("01", "0", "1"), ("ab", "left", "right"),
]  # fmt: skip
COMPARED = ["{0}>{1}", "{0} > {1}", "{0}>>{1}", "[[{0}>{1}]]", "[[{0}>>{1}]]", "{0}>={1}", "{0} ≥ {1}", "({0} >> {1})"]
IN_WORDS = [
    "{0} is better than {1}",
    "{0}-is-much-better-than-{1}",
    "{0} over {1}",
    "{0} beats {1}",
    "I prefer {0} to {1}",
]
ALONE = ["{0}", "[[{0}]]", "{0} is better", "{0}_wins", "Verdict: {0}", "{0}-is-slightly-better", "winner: {0}."]
TURNED = str.maketrans(">≥", "<≤")


def judged(tmp_path, names, verdicts):
    """What `read` makes of each verdict on the same two replies: which of the two it chose, or why none."""
    rows = [{"prompt": ASK, f"reply_{names[0]}": GOOD, f"reply_{names[1]}": BAD, "verdict": v} for v in verdicts]
    return [row["verdict"] for row in judgements(written(tmp_path, rows))]


@pytest.mark.parametrize(("names", "one", "other"), NAMINGS)
@pytest.mark.parametrize("spelling", COMPARED + IN_WORDS + ALONE)
def test_exchanging_the_names_or_the_sign_exchanges_the_winner(tmp_path, names, one, other, spelling):
    said, exchanged = spelling.format(one, other), spelling.format(other, one)
    assert judged(tmp_path, names, [said, exchanged]) == ["first", "second"]
    if spelling in COMPARED:
        turned = [text.translate(TURNED) for text in (said, exchanged)]
        assert judged(tmp_path, names, turned) == ["second", "first"]
        assert judged(tmp_path, names, [exchanged, said, turned[0]]) == ["second", "first", "second"]


@pytest.mark.parametrize(
    "said",
    ["{0} is worse than {1}", "{0} worse", "{0} loses", "{0} loses to {1}", "not {0}", "{0} is not better", "!{0}",
     "{0} isn't better than {1}", "{0} vs {1}: {1}", "{0}/{1}: {1}", "{0} hallucinates", "over {0}", "{0} and {1}",
     "better than {0}", "{0}更差", "{0} 👎", "{0}>", "{0}<{0}", "{0} or {1}", "{0} is second to {1}", "rejected: {0}"],
)  # fmt: skip
@pytest.mark.parametrize(("one", "other"), ["AB", "BA", ("response_A", "response_B")])
def test_words_of_loss_and_denial_and_unknown_words_are_not_guessed_from(tmp_path, one, other, said):
    with pytest.raises(SchemaError, match="no column that says which is better") as caught:
        judged(tmp_path, "ab", [said.format(one, other)] * 3)
    assert caught.value.ways
    assert judged(tmp_path, "ab", ["A", "B", said.format(one, other)]) == ["first", "second", None]


@pytest.mark.parametrize(
    "said",
    ["A=B", "B = A", "[[A=B]]", "A~B", "tie", "Tie (bothbad)", "both bad", "neither", "INDIFFERENT", "no_preference"],
)
def test_a_tie_is_a_tie(tmp_path, said):
    assert judged(tmp_path, "ab", ["A", said]) == ["first", "tie"]


def test_a_list_of_replies_and_the_place_of_the_best(tmp_path):
    replies = ["Six.", GOOD, BAD]
    for start in (0, 1):
        rows = [{"prompt": f"{ASK} {place}", "completions": replies, "best_idx": place + start} for place in range(3)]
        pairs = [(row["prompt"], row["chosen"], row["rejected"]) for row in read(written(tmp_path, rows))]
        assert pairs == [
            (f"{ASK} {place}", replies[place], other)
            for place in range(3)
            for other in replies
            if other != replies[place]
        ], "the best against each of the others, and none of the others among themselves"


def test_a_place_that_may_be_counted_from_0_or_from_1_is_asked_about(tmp_path):
    path = written(tmp_path, [{"prompt": ASK, "completions": ["Six.", GOOD, BAD], "chosen_index": 1}] * 3)
    with pytest.raises(SchemaError, match="from 0 or from 1") as caught:
        list(read(path))
    assert caught.value.ways == tuple(f"--columns best_from_{start}=chosen_index" for start in (0, 1))
    assert first(path, columns={"best_from_0": "chosen_index"})[0]["chosen"] == GOOD
    assert first(path, columns={"best_from_1": "chosen_index"})[0]["chosen"] == "Six."


def test_a_place_outside_the_list_is_refused(tmp_path):
    rows = [{"prompt": ASK, "completions": [GOOD, BAD], "chosen_index": place} for place in [0, 1] * 200 + [2]]
    source = read(written(tmp_path, rows), on_error="collect")
    assert len(list(source)) == 400 and "number 2, counted from 0, of 2 replies" in str(source.refused[0])


def test_two_listed_replies_and_who_won_or_a_tie(tmp_path):
    rows = [{"prompt": ASK, "response": [GOOD, BAD], "winner": w} for w in ("TIE", "A", "B", "tie")]
    path = written(tmp_path, rows)
    assert [row["verdict"] for row in judgements(path)] == ["tie", "first", "second", "tie"]
    assert [row["chosen"] for row in read(path)] == [GOOD, BAD]


@pytest.mark.parametrize("rare_first", [True, False])
def test_the_shape_of_most_rows_wins_over_one_that_few_have(tmp_path, rare_first):
    most = [{"prompt": ASK, "response": [BAD, GOOD], "winner": w} for w in "BAB"]
    rare = [{"task": ASK, "response_a": GOOD, "response_b": BAD, "winner": "A"}]
    source = read(written(tmp_path, rare + most if rare_first else most + rare), on_error="collect")
    assert [row["chosen"] for row in source] == [GOOD, BAD, GOOD] and source.refused_count == 1


def test_one_reply_beside_a_list_of_right_answers_is_one_reply(tmp_path):
    rows = [{**UP, "answer": ["7", "seven"], "label": label} for label in (True, False)]
    assert [row["label"] for row in read(written(tmp_path, rows))] == [True, False]


@pytest.mark.parametrize(
    ("up", "down"),
    [("approved", "rejected"), ("accept", "reject"), ("accepted", "declined"), ("pass", "fail"), ("Passed", "Failed"),
     ("like", "dislike"), ("approve", "disapprove"), ("acceptable", "unacceptable"), ("correct", "incorrect"),
     ("helpful", "unhelpful"), ("yes", "no"), ("thumbs up", "thumbs down")],
)  # fmt: skip
@pytest.mark.parametrize("name", ["label", "decision", "feedback", "rating"])
def test_words_of_approval_are_ratings(tmp_path, name, up, down):
    rows = [{"prompt": ASK, "response": text, name: word} for text, word in ((GOOD, up), (BAD, down))]
    assert [row["label"] for row in read(written(tmp_path, rows))] == [True, False]


@pytest.mark.parametrize("signed", [["-1", "1"], ["-1.0", "2.0", "0"]])
def test_numbers_as_text_are_asked_about_like_numbers(tmp_path, signed):
    with pytest.raises(SchemaError, match="which of them names the first reply is not said"):
        judged(tmp_path, "12", signed)


def test_ties_are_judged_and_not_trained_on(tmp_path):
    rows = [{"prompt": ASK, "response_a": GOOD, "response_b": BAD, "winner": w} for w in ("A", "tie", "b", "Both")]
    path = written(tmp_path, rows)
    assert [row["verdict"] for row in judgements(path)] == ["first", "tie", "second", "tie"]
    trained = read(path)
    assert [row["chosen"] for row in trained] == [GOOD, BAD] and trained.skipped == {"tie": 2}


@pytest.mark.parametrize(
    ("labels", "names", "expected"),
    [
        ([1, 2, 1, 2], "12", ["first", "second", "first", "second"]),
        ([1, 1, 1], "12", ["first"] * 3),
        ([1.0, 1.2, 1.5, 1.9], "12", ["first", "first", "tie", "second"]),
        (["1", "2"], "12", ["first", "second"]),
        ([0, 1], "01", ["first", "second"]),
        ([1, 2, 3], "ab", ["first", "second", "tie"]),
    ],
)
def test_numbers_that_can_be_read_in_one_way_are(tmp_path, labels, names, expected):
    rows = [{"prompt": ASK, f"output_{names[0]}": GOOD, f"output_{names[1]}": BAD, "label": label} for label in labels]
    assert [row["verdict"] for row in judgements(written(tmp_path, rows))] == expected


@pytest.mark.parametrize(("labels", "names"), [([0, 1], "12"), ([0, 1, 2], "12"), ([0, 1], "ab"), ([-1, 1], "ab")])
def test_numbers_that_can_be_read_in_two_ways_are_asked_about(tmp_path, labels, names):
    rows = [{"prompt": ASK, f"output_{names[0]}": GOOD, f"output_{names[1]}": BAD, "label": label} for label in labels]
    path = written(tmp_path, rows)
    with pytest.raises(SchemaError, match="which of them names the first reply is not said") as caught:
        list(read(path))
    assert len(caught.value.ways) > 1 and all(way.startswith("--schema two-replies:") for way in caught.value.ways)
    chosen = [
        row["chosen"] for row in read(path, schema="two-replies:above-0" if -1 in labels else "two-replies:1-or-0")
    ]
    assert chosen[:2] == [BAD, GOOD]


def test_a_verdict_outside_the_reading_is_refused(tmp_path):
    rows = [{"prompt": ASK, "output_1": GOOD, "output_2": BAD, "label": label} for label in [1, 2] * 200 + [7]]
    source = read(written(tmp_path, rows), on_error="collect")
    assert len(list(source)) == 400
    assert "the verdict 7 is none of: 1: the first is better, 2: the second" in str(source.refused[0])


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"prompt": ASK, "response_a": GOOD, "response_b": BAD}, "two replies a row and no column that says which"),
        ({"prompt": ASK, "response": GOOD}, "one reply and no label"),
        (
            {"context": "A long story.", "question": ASK, "chosen": GOOD, "rejected": BAD},
            "the prompt may be 'question' alone",
        ),
        ({"prompt": ASK, "responses": [GOOD, BAD]}, "nothing says which is better"),
        (
            {"prompt": ASK, "responses": [GOOD, BAD, "6"], "ranking": [2, 3, 1]},
            "each reply's rank, or the replies' numbers",
        ),
        ({"chosen": "Yes.", "rejected": "No."}, "no column is the prompt"),
    ],
)
def test_what_is_missing_or_unclear_is_said_with_the_options_that_help(tmp_path, row, says):
    with pytest.raises(SchemaError, match=says) as caught:
        list(read(written(tmp_path, [row] * 3)))
    assert caught.value.ways and all(way.startswith("--") for way in caught.value.ways)


def test_a_column_of_letters_under_another_name_is_offered_and_not_guessed(tmp_path):
    # It names the options before their order was turned: laid on the presented ones, it would reverse rows.
    rows = [
        {"prompt": ASK, "option_a_presented": GOOD, "option_b_presented": BAD, "ordering": o, "canonical_choice": c}
        for o, c in (("original", "A"), ("flipped", "B"), ("flipped", "A"))
    ]
    path = written(tmp_path, rows)
    with pytest.raises(SchemaError, match="no column that says which is better") as caught:
        list(read(path))
    assert caught.value.ways == ("--columns better=canonical_choice",)
    assert "By 'ordering' the order was turned in some rows: name a verdict on 'option_a_presented'" in str(
        caught.value
    )
    assert [row["chosen"] for row in read(path, columns={"better": "canonical_choice"})] == [GOOD, BAD, GOOD]


def test_a_counter_is_not_offered_as_a_verdict(tmp_path):
    rows = [{"prompt": ASK, "reply_1": GOOD, "reply_2": BAD, "repetition": n, "rater_3": n} for n in (1, 2)]
    with pytest.raises(SchemaError) as caught:
        list(read(written(tmp_path, rows)))
    assert [way.split()[1] for way in caught.value.ways] == ["better=rater_3"]


def test_the_column_that_is_named_decides_over_others(tmp_path):
    rows = [{"prompt": ASK, "response_a": GOOD, "response_b": BAD, "verdict": "A", "second_look": "B"}]
    assert first(written(tmp_path, rows), columns={"better": "second_look"})[0]["chosen"] == BAD


def test_a_label_that_cannot_be_read_is_shown(tmp_path):
    rows = [{"prompt": ASK, "response": GOOD, "label": word} for word in ("edited", "kept as is")]
    with pytest.raises(SchemaError, match="'label' says 'edited', 'kept as is', and that is not read"):
        list(read(written(tmp_path, rows)))
    rows = [{"prompt": ASK, "reply_a": GOOD, "reply_b": BAD, "winner": "A is worse"}] * 3
    with pytest.raises(SchemaError, match="'winner' says 'A is worse', and that is not read"):
        list(read(written(tmp_path, rows)))


def test_two_replies_without_a_prompt_lack_the_prompt(tmp_path):
    with pytest.raises(SchemaError, match="no column is the prompt"):
        list(read(written(tmp_path, [{"reply_a": GOOD, "reply_b": BAD, "winner": "A"}])))


def test_an_option_is_offered_with_those_that_were_given(tmp_path):
    rows = [{"prompt": ASK, "reply_1": GOOD, "reply_2": BAD, "rater one": n} for n in (0, 1, 2)]
    path = written(tmp_path, rows)
    with pytest.raises(SchemaError) as caught:
        list(read(path, columns={"better": "rater one"}))
    assert caught.value.ways[0].startswith("--columns 'better=rater one' --schema two-replies:1-or-2 (")
    verdicts = judgements(path, columns={"better": "rater one"}, schema="two-replies:1-or-2")
    assert [row["verdict"] for row in verdicts] == ["tie", "first", "second"]


@pytest.mark.parametrize(("path", "expected"), [("reward.scalar", [True, False]), ("marks.1.good", [False, True])])
def test_a_dot_reaches_into_a_column(tmp_path, path, expected):
    rows = [
        {"prompt": ASK, "response": text, "reward": {"scalar": high}, "marks": [{}, {"good": not high}]}
        for text, high in ((GOOD, 1), (BAD, 0))
    ]
    assert [row["label"] for row in read(written(tmp_path, rows), columns={"label": path})] == expected


def test_a_column_whose_own_name_has_a_dot_is_that_column(tmp_path):
    rows = [{"prompt": ASK, "response": GOOD, "a.b": 1, "a": {"b": 0}}]
    source = read(written(tmp_path, rows), columns={"label": "a.b"}, on_error="collect")
    assert [row["label"] for row in source] == [True]
    missing = read(written(tmp_path, rows), columns={"label": "a.c"}, on_error="collect")
    assert not list(missing) and "a column 'a.c' for label" in str(missing.refused[0])


def test_rows_that_hold_one_side_each_are_no_pairs(tmp_path):
    with pytest.raises(SchemaError, match="no row holds both 'chosen' and 'rejected'"):
        list(read(written(tmp_path, [{"x": ASK, "chosen": GOOD}, {"x": ASK, "rejected": BAD}])))


# Mappings that would make nonsense


def test_a_prompt_that_is_the_chosen_text_is_refused(tmp_path):
    whole = [{side: f"\n\nHuman: {ASK}\n\nAssistant: {text}" for side, text in (("chosen", GOOD), ("rejected", BAD))}]
    with pytest.raises(SchemaError, match="the whole text of 'chosen'") as caught:
        list(read(written(tmp_path, whole), columns={"prompt": "chosen"}))
    assert caught.value.ways == ("--schema hh-rlhf",)
    same = written(tmp_path, [{"prompt": GOOD, "chosen": GOOD, "rejected": BAD}], "same.jsonl")
    with pytest.raises(SchemaError, match="in 1 of the first 1 rows the prompt is the whole text of a reply"):
        list(read(same))
    few = written(tmp_path, [TEXT, TEXT, {"prompt": GOOD, "chosen": GOOD, "rejected": BAD}], "few.jsonl")
    assert len(list(read(few))) == 3, "a reply may echo its prompt now and then: `profile` counts that"


def test_an_instruction_whose_input_would_be_dropped_is_refused(tmp_path):
    path = written(tmp_path, [{"instruction": "Answer.", "input": ASK, "chosen": GOOD, "rejected": BAD}])
    with pytest.raises(SchemaError, match="the column 'input' is not empty and not used in 1 of the first 1 rows"):
        list(read(path, columns={"prompt": "instruction"}))
    assert list(read(path, columns={"prompt": "instruction+input"})) == [JOINED]
    empty = written(tmp_path, [{"instruction": ASK, "input": "", "chosen": GOOD, "rejected": BAD}], "empty.jsonl")
    assert list(read(empty, columns={"prompt": "instruction"})) == [TEXT]


def test_two_replies_mapped_past_their_verdict_are_refused(tmp_path):
    rows = [{"prompt": ASK, "output_1": GOOD, "output_2": BAD, "label": label} for label in (1, 2)]
    path = written(tmp_path, rows)
    with pytest.raises(SchemaError, match="the column 'label' says row by row which is better"):
        list(read(path, columns={"chosen": "output_1", "rejected": "output_2"}))
    named = {"first": "output_1", "second": "output_2", "verdict": "label"}
    words = [{**row, "label": word} for row, word in zip(rows, ("first", "second"), strict=True)]
    assert [row["chosen"] for row in read(written(tmp_path, words, "words.jsonl"), columns=named)] == [GOOD, BAD]


# Files


def test_one_object_around_the_rows_is_opened(tmp_path):
    for wrapped in (
        {"version": 1, "data": [TEXT, TEXT]},
        {"mine": {name: [value] * 2 for name, value in TEXT.items()}},
    ):
        path = tmp_path / "rows.json"
        path.write_text(json.dumps(wrapped))
        assert list(read(path)) == [TEXT, TEXT]


@pytest.mark.parametrize("indent", [None, 1])
def test_a_list_that_is_called_jsonl_is_read(tmp_path, indent):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps([TEXT, TEXT], indent=indent))
    assert list(read(path)) == [TEXT, TEXT]


def test_zstd_carriage_returns_and_a_byte_order_mark(tmp_path):
    import pyarrow as pa

    path = tmp_path / "rows.jsonl.zst"
    with pa.CompressedOutputStream(str(path), "zstd") as file:
        file.write(("\ufeff" + (json.dumps(TEXT) + "\r\n") * 3).encode())
    assert list(read(path)) == [TEXT] * 3


def test_cells_of_a_table_that_spell_lists_are_read(tmp_path):
    import csv

    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows(
            [["prompt", "chosen", "rejected"], [str(CHAT["prompt"]), json.dumps(CHAT["chosen"]), str(CHAT["rejected"])]]
        )
    assert list(read(path)) == [CHAT]


def test_columns_that_are_not_read_are_counted(tmp_path):
    rows = [{**TEXT, "images": ["a.png"] if n < 2 else [], "tools": "[]", "context": "A story."} for n in range(3)]
    source = read(written(tmp_path, rows))
    assert len(list(source)) == 3
    assert source.lost == {"images": 2, "tools": 3, "context": 3}
