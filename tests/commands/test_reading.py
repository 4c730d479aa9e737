"""Reading on the command line: one set of options, what is shown and said, and that the commands join."""

import json

import pytest

from lessons_lib.__main__ import main

PAIRS = [{"prompt": f"How far is stop {n}?", "chosen": f"It is {n} km away.", "rejected": "Far."} for n in range(12)]
HH = [
    {side: f"\n\nHuman: {row['prompt']}\n\nAssistant: {row[side]}" for side in ("chosen", "rejected")} for row in PAIRS
]
RECIPE = ["--method", "dpo", "--model", "absent/model"]


def written(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def told(capsys):
    """What was printed, with one space wherever white space stood."""
    printed = capsys.readouterr()
    return " ".join(printed.out.split()), printed.err


def test_match_says_how_it_reads_and_shows_a_row(tmp_path, capsys):
    rows = [
        {"conversations": [{"from": "human", "value": r["prompt"]}], **{k: r[k] for k in ("chosen", "rejected")}}
        for r in PAIRS
    ]
    assert main(["match", written(tmp_path / "a.jsonl", rows)]) == 0
    out, _ = told(capsys)
    assert out.startswith("Read as sharegpt (prompt: conversations, chosen: chosen, rejected: rejected). One row:")
    assert "prompt [user] How far is stop 0? chosen [assistant] It is 0 km away. rejected [assistant] Far." in out


def test_the_next_command_repeats_the_options_and_works(tmp_path, capsys):
    source = written(tmp_path / "my rows.jsonl", HH)
    options = ["--schema", "hh-rlhf", "--on-bad-rows", "stop"]
    assert main(["match", source, *options]) == 0
    out, _ = told(capsys)
    assert f"recipe '{source}' --schema hh-rlhf --on-bad-rows stop --method " in out
    assert f"trial '{source}' --schema hh-rlhf --on-bad-rows stop --model MODEL" in out
    assert main(["recipe", source, *options, *RECIPE, "--output", str(tmp_path / "out")]) == 0


def test_what_match_leaves_out_the_next_command_leaves_out_too(tmp_path, capsys):
    source = written(tmp_path / "a.jsonl", [*PAIRS, {**PAIRS[0], "chosen": ""}])
    assert main(["match", source]) == 0
    assert "line 13, field 'chosen': expected a text with something to read" in told(capsys)[1]
    assert main(["recipe", source, *RECIPE, "--output", str(tmp_path / "out")]) == 0
    assert "12 paired rows kept, 1 refused" in told(capsys)[1]
    assert main(["recipe", source, *RECIPE, "--output", str(tmp_path / "other"), "--on-bad-rows", "stop"]) == 2
    assert main(["match", source, "--on-bad-rows", "stop"]) == 2


def test_verdicts_go_from_match_to_data_check_and_recipe(tmp_path, capsys):
    verdicts = ["first", "second", "tie"] * 4
    rows = [
        {"prompt": r["prompt"], "first": r["chosen"], "second": "Near.", "verdict": v}
        for r, v in zip(PAIRS, verdicts, strict=True)
    ]
    source = written(tmp_path / "a.jsonl", rows)
    assert main(["match", source]) == 0
    assert main(["data", "check", source]) == 0
    assert "8 paired rows kept, 0 refused, 4 skipped (tie)" in told(capsys)[0]
    assert main(["recipe", source, *RECIPE, "--output", str(tmp_path / "out")]) == 0


@pytest.mark.parametrize("command", ["match", "profile", "recipe", "train", "data check", "data convert"])
def test_every_command_has_the_same_reading_options(command, capsys):
    with pytest.raises(SystemExit):
        main([*command.split(), "--help"])
    out, _ = told(capsys)
    assert all(
        option in out for option in ("--schema", "--columns", "--on-bad-rows", "--up-from", "--split", "--config")
    )


@pytest.mark.parametrize("command", ["match", "profile", "data check"])
def test_nothing_kept_ends_with_2_and_the_reason(tmp_path, command, capsys):
    apart = [
        {
            side: [{"role": "user", "content": f"{side} {n}"}, {"role": "assistant", "content": side}]
            for side in ("chosen", "rejected")
        }
        for n in range(4)
    ]
    source = written(tmp_path / "a.jsonl", apart)
    assert main([*command.split(), source, "--schema", "message-lists"]) == 2
    assert "the two sides differ before the last reply" in told(capsys)[1]


def test_errors_show_the_command_as_it_is_typed(tmp_path, capsys):
    source = written(tmp_path / "a.jsonl", HH)
    assert main(["match", source, "--columns", "prompt=chosen"]) == 2
    error = told(capsys)[1]
    assert error.startswith("error: ") and f"\n  lessons-lib match {source} --schema hh-rlhf\n" in error
    unclear = written(
        tmp_path / "b.jsonl", [{"prompt": "p?", "output_1": "one", "output_2": "two", "label": n} for n in (0, 1)]
    )
    assert main(["data", "convert", unclear, str(tmp_path / "c.jsonl"), "--to", "pairs"]) == 2
    assert (
        f"lessons-lib data convert {unclear} {tmp_path / 'c.jsonl'} --to pairs --schema two-replies:1-or-2"
        in told(capsys)[1]
    )


def test_a_prompt_that_is_a_reply_names_the_schema_that_fits_at_the_first_try(tmp_path, capsys):
    assert main(["match", written(tmp_path / "a.jsonl", HH)]) == 0
    assert told(capsys)[0].startswith("Read as hh-rlhf")


# Converting


def test_convert_writes_clean_rows_and_why_others_were_left_out(tmp_path, capsys):
    source = written(
        tmp_path / "a.jsonl", [*HH, {**HH[0], "rejected": "\n\nHuman: Other?\n\nAssistant: No."}, {"chosen": 7}]
    )
    out = tmp_path / "clean.jsonl"
    assert main(["data", "convert", source, str(out), "--to", "pairs"]) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == 12 and rows[1] == {
        "prompt": HH[1]["chosen"].rpartition(" It")[0],
        "chosen": "It is 1 km away.",
        "rejected": "Far.",
    }
    left = [json.loads(line) for line in (tmp_path / "clean.left_out.jsonl").read_text().splitlines()]
    assert [row["line"] for row in left] == [13, 14]
    assert left[0]["why"] == "the two sides differ before the last reply" and "line 14" in left[1]["why"]
    assert main(["data", "check", str(out)]) == 0
    assert main(["data", "convert", source, str(out), "--to", "pairs"]) == 2
    assert "expected a new file" in told(capsys)[1]


def test_convert_turns_pairs_into_ratings_and_ratings_into_pairs(tmp_path):
    pairs = written(tmp_path / "pairs.jsonl", PAIRS)
    ratings, back = tmp_path / "ratings.jsonl", tmp_path / "back.jsonl"
    assert main(["data", "convert", pairs, str(ratings), "--to", "ratings"]) == 0
    assert main(["data", "convert", str(ratings), str(back), "--to", "pairs"]) == 0
    assert [json.loads(line) for line in back.read_text().splitlines()] == PAIRS
    assert not (tmp_path / "ratings.left_out.jsonl").exists()


# What the content says


ONE_CLASS = [{"prompt": f"Say {n} in words.", "completion": f"Number {n}.", "label": True} for n in range(20)]
LONGER = "先把{}洗净擦干，再放进密封的盒子里，最后放到冰箱的冷藏室，三天之内吃完比较好。"
CHINESE = [
    {"prompt": f"怎么保存{food}？", "chosen": LONGER.format(food), "rejected": f"把{food}放冰箱。"}
    for food in ("苹果", "香蕉", "米饭", "面条", "豆腐", "土豆", "鸡蛋", "牛奶", "面包", "白菜")
]


def test_one_class_teaches_no_preference(tmp_path, capsys):
    source = written(tmp_path / "a.jsonl", ONE_CLASS)
    assert main(["match", source]) == 0
    out, _ = told(capsys)
    assert "None of the five: all 20 ratings are up" in out and "(SFT)" in out and "Next:" not in out
    command = ["recipe", source, "--method", "kto", "--model", "absent/model", "--output", str(tmp_path / "out")]
    assert main(command) == 2
    assert "all 20 ratings are up, and from one class no preference can be learnt" in told(capsys)[1]


def test_length_is_seen_where_there_are_no_spaces(tmp_path, capsys):
    source = written(tmp_path / "a.jsonl", CHINESE)
    assert main(["match", source]) == 0
    assert "Length: the longer response wins 100% of the pairs" in told(capsys)[0]
    assert main(["profile", source, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)["figures"]
    assert figures["chosen_longer_verdicts"]["value"] == 1.0 and figures["length"]["unit"] == "characters"
    assert figures["length"]["parts"]["longest"]["value"] == len(CHINESE[0]["prompt"] + CHINESE[0]["chosen"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda r: {**r, "chosen": f"{r['prompt']} {r['chosen']}"}, "Reply begins with the prompt: in 12 of"),
        (lambda r: {**r, "prompt": f"<|im_start|>user\n{r['prompt']}<|im_end|>\n"}, "Template marks: 12 rows"),
        (
            lambda r: {**r, "rejected": f"As a language model that wants to help you today: {r['rejected']}"},
            "Boilerplate: 100%",
        ),
        (lambda r: {**r, "rejected": r["chosen"].upper()}, "Identical replies: 12 comparisons"),
        (lambda r: {**r, "images": ["a.png"], "tools": "[]"}, "Not read: images in 12 rows, tools in 12 rows"),
        (lambda r: {**r, "context": "A map of stops."}, "Not read: context in 12 rows"),
        (lambda r: {**r, "chosen": "Это очень далеко.", "rejected": "Я не знаю."}, "Languages: 100% of the rows"),
    ],
    ids=["repeats prompt", "template marks", "boilerplate", "identical", "images and tools", "context", "languages"],
)
def test_each_trait_of_the_texts_is_a_line_with_its_count(tmp_path, change, says, capsys):
    sound = written(tmp_path / "sound.jsonl", PAIRS)
    assert main(["match", sound]) == 0
    assert says.partition(":")[0] + ":" not in told(capsys)[0]
    assert main(["match", written(tmp_path / "a.jsonl", map(change, PAIRS))]) == 0
    assert says in told(capsys)[0]
