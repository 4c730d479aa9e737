"""``lessons-lib match`` and ``profile`` as their users call them: what is printed, written, and returned."""

import json
import os
import re
import shlex
import subprocess
import sys

import pytest
import tiny

from lessons_lib.__main__ import main
from lessons_lib.advice.decide import briefs
from lessons_lib.data import real
from lessons_lib.models.loading import save

PAIRS = [{"prompt": f"ask{i % 8} ask0", "chosen": "good1 good2", "rejected": "bad1"} for i in range(20)]
OTHER_NAMES = [{"q": row["prompt"], "best": row["chosen"], "worst": row["rejected"]} for row in PAIRS]
COLUMNS = ["--columns", "prompt=q", "chosen=best", "rejected=worst"]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def pairs(tmp_path):
    return write(tmp_path / "pairs.jsonl", PAIRS)


def answer(capsys, *arguments):
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_match_prints_advice_and_exits_with_0(pairs, capsys):
    assert main(["match", pairs, "--checkpoint", "sft", "--reference", "live"]) == 0
    told = capsys.readouterr().out
    assert "Start with " in told and "Runner-up: " in told and "The evidence: what runs say" in told


def test_match_as_json_is_json_and_nothing_else(pairs, capsys):
    record = answer(capsys, "match", pairs, "--checkpoint", "base", "--params", "1e9", "--gpus", "2", "--lora", "8")
    assert record["recommendation"]["made_for"] == "orpo"
    assert record["facts"]["checkpoint"] == "base" and record["facts"]["lora"] is True
    assert {fit["method"] for fit in record["memory"]} == {"dpo", "ipo", "kto", "orpo", "simpo"}
    assert record["profile"]["figures"]["rows"]["value"] == 20


def test_what_the_rows_cannot_say_is_given(pairs, capsys):
    record = answer(capsys, "match", pairs, "--checkpoint", "sft", "--reference", "none", "--passes", "3")
    assert record["recommendation"]["leaf"] == "no reference" and record["facts"]["passes"] == 3
    streamed = ["--model", "llama-3-8b", "--gpus", "2", "--gpu-memory", "80", "--checkpoint", "sft"]
    assert answer(capsys, "match", pairs, *streamed, "--streaming")["recommendation"]["leaf"] == "no reference"
    assert answer(capsys, "match", pairs, *streamed)["facts"]["reference"] == "precomputed"


def test_columns_apart_from_and_report(tmp_path, capsys):
    train, test = write(tmp_path / "train.jsonl", OTHER_NAMES), write(tmp_path / "test.jsonl", OTHER_NAMES[:2])
    page = tmp_path / "out.html"
    assert main(["match", train, *COLUMNS, "--apart-from", test, "--report", str(page)]) == 0
    assert "Leak: 2 prompts" in capsys.readouterr().out
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert main(["profile", train, *COLUMNS, "--apart-from", test, "--report", str(page)]) == 0
    assert "2 of 8" in " ".join(capsys.readouterr().out.split()) and "profile</h1>" in page.read_text(encoding="utf-8")


def test_profile_prints_tables_or_json(pairs, capsys):
    assert main(["profile", pairs]) == 0
    told = capsys.readouterr().out
    assert "Cleanliness" in told and "What these rows cannot tell" in told
    record = answer(capsys, "profile", pairs)
    assert record["form"] == "paired" and record["figures"]["repeats"]["value"] == 12


def test_tokens_are_counted_with_a_tokenizer_in_a_folder(pairs, tmp_path, capsys):
    save(tiny.model(), tiny.tokenizer(), tmp_path / "model")
    figure = answer(capsys, "profile", pairs, "--tokenizer", str(tmp_path / "model"))["figures"]["length"]
    assert figure["value"] == 4 and figure["n"] == 20  # two words of prompt, two of the longer response


ASKED = [("Where do plums grow?", "On trees.", "In tins."), ("Name a river.", "The Ouse.", "None."),
         ("Seven less two?", "Five.", "Nine."), ("Say good evening.", "Good evening.", "No.")]  # fmt: skip
SIDES = [dict(zip(("question", "reply_1", "reply_2"), texts, strict=True)) for texts in ASKED]
LETTERED = [dict(zip(("question", "option_a_presented", "option_b_presented"), texts, strict=True)) for texts in ASKED]
RATED = [{"prompt": ask, "response": text} for ask, *replies in ASKED for text in replies]
LISTED = [{"prompt": ask, "completions": replies} for ask, *replies in ASKED]


def beside(rows, **columns):
    """Rows with further columns, their values in turn."""
    return [row | {name: values[n % len(values)] for name, values in columns.items()} for n, row in enumerate(rows)]


@pytest.mark.parametrize(
    ("rows", "offered"),
    [
        (beside(SIDES, raw_choice=["1", "2", "2"]), "--columns better=raw_choice"),
        (beside(LETTERED, raw_choice=["A", "B", "tie"], canonical_choice="AABB"), "--columns better=canonical_choice"),
        (beside(SIDES, annotator1=[1, 2, 0], annotator2=[2, 2, 0, 1]),
         "--columns better=annotator1 --schema two-replies:1-or-2"),
        (beside(SIDES, **{"my vote": [-1, 0, 1]}), "--columns 'better=my vote' --schema two-replies:below-0"),
        (beside(RATED, reward=[{"kind": 0.8, "scalar": 0.9}, {"kind": 0.1, "scalar": 0.2}]),
         "--columns label=reward.scalar"),
        (beside(RATED, completeness=[90.0, 20.0], relevance=[85.0, 40.0]), "--columns label=completeness"),
        (beside(RATED, checked=["pass", "fail"]), "--columns label=checked"),
        (beside(LISTED, chosen_index=[1]), "--columns best_from_1=chosen_index"),
    ],
)  # fmt: skip
def test_each_line_that_is_offered_leads_to_advice(tmp_path, capsys, rows, offered):
    lines = offered_lines(["match", write(tmp_path / "rows.jsonl", rows)], capsys)
    assert any(offered in line for line in lines), lines
    while lines:
        line = lines.pop()
        lines += offered_lines(shlex.split(line)[1:], capsys)


def offered_lines(words, capsys):
    """The commands that a refusal offers, as a user types them; none where the command gives advice."""
    ended = main(words)
    error = capsys.readouterr().err
    if ended == 0:
        return []
    typed = [re.sub(r" \(.*\)$", "", line.strip()) for line in error.splitlines() if line.startswith("  lessons-lib")]
    assert typed and not any(
        shlex.join(words) in line and len(words) == len(shlex.split(line)) - 1 for line in typed
    ), error
    return [line.replace("NUMBER", "0.5") for line in typed if "YOURS" not in line and "NAME" not in line]


@pytest.mark.parametrize("command", ["match", "profile"])
@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (["--columns", "prompt"], "--columns: expected OURS=YOURS"),
        (["--columns", "prompt=nowhere"], "no row can be used"),
        (["--schema", "nowhere"], "schema: expected one of"),
        (["--report", "nowhere/out.html"], "--report: cannot write nowhere/out.html"),
        (["--tokenizer", "./nowhere"], "tokenizer: cannot load ./nowhere"),
        (["--apart-from", "nowhere.jsonl"], "nowhere.jsonl: expected a file"),
    ],
    ids=lambda v: v[0] if isinstance(v, list) else "",
)
def test_bad_input_ends_with_code_2_and_one_line(pairs, command, extra, says, capsys, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main([command, pairs, *extra]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and says in error


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (["--passes", "0"], "passes: expected at least 1"),
        (["--params", "70"], "--params is a number of weights"),
        (["--params", "7e9", "--gpus", "0"], "gpus: expected at least 1"),
        (["--params", "7e9", "--lora", "-1"], "lora_rank: expected at least 0"),
        (["--params", "7e9", "--precision", "nf4"], "4-bit weights cannot train"),
        (["--params", "7e9", "--gpu-memory", "0"], "--gpu-memory"),
    ],
    ids=" ".join,
)
def test_a_budget_that_cannot_be_ends_with_code_2(pairs, extra, says, capsys):
    assert main(["match", pairs, *extra]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("command", ["match", "profile"])
def test_a_real_dataset_needs_neither_files_nor_network(command, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LESSONS_DATA_DIR", str(tmp_path / "nothing"))
    assert main([command, "tulu1_human_eval"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "figures that the project computed on" in told and "the files cannot be had" in told
    record = answer(capsys, command, "tulu1_human_eval")
    figures = record["figures"] if command == "profile" else record["profile"]["figures"]
    assert figures["agreement"]["n"] == 169 and figures["ties"]["value"] == pytest.approx(0.327, abs=5e-4)


def test_a_missing_file_prints_no_traceback(tmp_path):
    command = [sys.executable, "-m", "lessons_lib", "match", str(tmp_path / "absent.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["match", "profile", "memory", "recipe", "diagnose", "data", "train"])
def test_help_shows_a_real_example(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    told = capsys.readouterr().out
    assert ended.value.code == 0 and f"example:\n  lessons-lib {command}" in told


@pytest.mark.real_data
@pytest.mark.parametrize("name", list(real.DATASETS))
def test_a_real_dataset_is_answered_within_20_seconds_of_processor(name, capsys):
    code = "import time; from lessons_lib.__main__ import main; main(['match', {!r}]); print(time.process_time())"
    done = subprocess.run([sys.executable, "-c", code.format(name)], capture_output=True, text=True, check=True)
    assert float(done.stdout.splitlines()[-1]) < 20
    assert ("The brief." in done.stdout) == (name in briefs())
