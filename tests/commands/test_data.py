"""``lessons-lib data``: what it prints, what it writes, how it ends."""

import json
import os
import subprocess
import sys

import pytest

from lessons_lib.__main__ import main
from lessons_lib.data import figures, real, twins

PAIR = {"prompt": "Name a prime.", "chosen": "Seven.", "rejected": "Eight."}


@pytest.fixture
def no_files(monkeypatch, tmp_path):
    monkeypatch.setenv("LESSONS_DATA_DIR", str(tmp_path / "nothing"))


def test_list_names_all_with_licence_and_citation(capsys):
    assert main(["data", "list"]) == 0
    printed = "".join(capsys.readouterr().out.split())
    for entry in real.DATASETS.values():
        assert entry.name in printed and entry.commit[:10] in printed and entry.citation.split("arXiv:")[1] in printed


@pytest.mark.parametrize("name", list(real.DATASETS))
def test_describe_works_without_the_files_and_says_so(no_files, capsys, tmp_path, name):
    picture = tmp_path / "deep" / "picture.png"
    assert main(["data", "describe", name, "--picture", str(picture)]) == 0
    printed = capsys.readouterr().out
    assert "the original files cannot be had" in printed
    assert real.DATASETS[name].licence in printed
    for m in figures.committed(name)["measures"]:
        assert f" {m.show()} " in printed
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.real_data
def test_describe_computes_from_the_original_files(capsys, tmp_path):
    assert main(["data", "describe", "tulu1_human_eval", "--picture", str(tmp_path / "p.svg")]) == 0
    printed = capsys.readouterr().out
    assert "computed now from the original files" in printed
    for text in ("1,150", "996", "332", "32.7 %", "37.0 %", "57.4 %", "70.9 %", "0.18", "0.11 to 0.29", "66.1 %"):
        assert text in printed
    picture = (tmp_path / "p.svg").read_text()
    assert "two raters agree (n = 169)" in picture and "57.4 %" in picture


def test_the_picture_draws_every_value_once(no_files, tmp_path, monkeypatch, capsys):
    from lessons_lib import plots

    drawn = []
    original = plots.labelled_bars_plot
    monkeypatch.setattr(plots, "labelled_bars_plot", lambda *a, **k: drawn.append(original(*a, **k)) or drawn[0])
    main(["data", "describe", "tulu1_human_eval", "--picture", str(tmp_path / "p.png")])
    (ax,) = drawn[0].figure.axes
    _, measures = figures.finding("tulu1_human_eval", figures.committed("tulu1_human_eval")["measures"])
    assert [bar.get_width() for bar in ax.patches] == [m.value for m in measures]
    ends = [segment[:, 0] for lines in ax.collections for segment in lines.get_segments()]
    assert [list(e) for e in ends] == [[m.low, m.high] for m in measures if m.low is not None]
    assert all(m.show() in drawn[0].alt for m in measures)


def test_profile_real_writes_figures_and_no_text(tmp_path, monkeypatch, capsys):
    records = {name: twins.load(name) for name in real.DATASETS}
    monkeypatch.setattr(real, "load", lambda name: records[name])
    assert main(["data", "profile-real", "--out", str(tmp_path / "profiles")]) == 0
    written = {path.stem: path.read_text() for path in (tmp_path / "profiles").glob("*.json")}
    assert set(written) == set(real.DATASETS)
    profile = json.loads(written["tulu1_human_eval"])
    assert profile["measures"][0]["value"] == len(records["tulu1_human_eval"])
    assert profile["date"] and profile["versions"]["python"]
    assert not any(r.completion_a in written["tulu1_human_eval"] for r in records["tulu1_human_eval"][4:])


@pytest.mark.real_data
def test_fetch_says_that_the_files_are_as_pinned(capsys):
    assert main(["data", "fetch", "pandalm_testset"]) == 0
    assert capsys.readouterr().out == "pandalm_testset: 1 files, SHA-256 as pinned. Licence: Apache-2.0\n"


def test_fetch_without_the_files_fails_with_a_message(no_files, capsys):
    assert main(["data", "fetch", "pandalm_testset"]) == 2
    assert "error: LESSONS_DATA_DIR=" in capsys.readouterr().err
    assert main(["data", "describe", "panda"]) == 2
    assert "expected one of tulu1_human_eval" in capsys.readouterr().err


def rows_file(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_check_passes_a_sound_file(tmp_path, capsys):
    file = rows_file(tmp_path / "a.jsonl", [PAIR] * 3)
    assert main(["data", "check", file]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Read as pairs (prompt: prompt, chosen: chosen, rejected: rejected). One row:\n")
    assert printed.endswith(f"\n{file}: 3 paired rows kept, 0 refused\n")


def test_check_lists_refused_rows_and_exits_with_2(tmp_path, capsys):
    file = rows_file(tmp_path / "a.jsonl", [PAIR, *[{**PAIR, "chosen": ""}] * 30])
    assert main(["data", "check", file]) == 2
    printed = capsys.readouterr().out.splitlines()[4:]  # after how it is read
    assert printed[0].startswith(f"{file}, line 2, field 'chosen': expected a text with something to read")
    assert printed[-2:] == ["… and 10 more", f"{file}: 1 paired rows kept, 30 refused"]


def test_check_takes_columns_shape_schema_and_another_split(tmp_path, capsys):
    train = rows_file(tmp_path / "train.jsonl", [PAIR])
    other = {**PAIR, "prompt": "Name a square."}
    test = rows_file(tmp_path / "test.jsonl", [PAIR, other])
    assert main(["data", "check", test, "--apart-from", train]) == 2
    assert f"does not occur in {train}" in capsys.readouterr().out
    asked = rows_file(tmp_path / "asked.jsonl", [{"question": "p", "chosen": "a", "rejected": "b"}])
    assert main(["data", "check", asked, "--columns", "prompt=question"]) == 0
    assert main(["data", "check", asked, "--columns", "question"]) == 2
    assert "expected OURS=YOURS" in capsys.readouterr().err
    assert main(["data", "check", train, "--shape", "unpaired"]) == 2
    transcripts = {"chosen": "\n\nHuman: Hi\n\nAssistant: A", "rejected": "\n\nHuman: Hi\n\nAssistant: B"}
    assert main(["data", "check", rows_file(tmp_path / "hh.jsonl", [transcripts]), "--schema", "hh-rlhf"]) == 0


def test_check_of_no_file_prints_no_traceback(tmp_path):
    command = [sys.executable, "-m", "lessons_lib", "data", "check", str(tmp_path / "absent.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr


def test_check_says_what_the_texts_are_like(tmp_path, capsys):
    rows = [{**PAIR, "prompt": f"{PAIR['prompt']} {n}", "chosen": f"{PAIR['prompt']} {n} Seven."} for n in range(10)]
    assert main(["data", "check", rows_file(tmp_path / "a.jsonl", rows)]) == 0
    assert "warning: Reply begins with the prompt: in 10 of the things judged." in capsys.readouterr().out
