"""`match`: what it opens, what fits in memory, and how brief, command line and hardware join into one answer."""

import csv
import dataclasses
import json

import pytest

from lessons_lib.advice.decide import Constraints, briefs
from lessons_lib.advice.match import (
    Fit,
    expected_rows,
    hardware_of,
    match,
    memory_fits,
    open_rows,
    room_for_reference,
    what_would_fit,
)
from lessons_lib.data import real, twins
from lessons_lib.data.profile import profile
from lessons_lib.errors import UserError
from lessons_lib.memory.architecture import read_architecture
from lessons_lib.memory.estimate import GIB, USABLE, estimate
from lessons_lib.methods import METHODS

PAIRS = [{"prompt": f"Question {i}?", "chosen": "a full answer", "rejected": "none"} for i in range(30)]


def jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def table(path, rows, delimiter=",", encoding="utf-8-sig"):
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


# Opening


def test_a_file_of_pairs_keeps_what_the_profile_can_use(tmp_path):
    rows = [{**row, "rater": "r1", "chosen_score": 2, "note": "x"} for row in PAIRS]
    (first, *_) = open_rows(jsonl(tmp_path / "a.jsonl", rows))
    assert first == {**PAIRS[0], "rater": "r1", "chosen_score": 2}


def test_raw_verdicts_are_opened_as_they_stand(tmp_path):
    rows = [{"prompt": "p", "first": "a", "second": "b", "verdict": v} for v in ("first", "tie", None)]
    assert profile(open_rows(jsonl(tmp_path / "v.jsonl", rows))).form == "verdicts"
    renamed = [{"q": "p", "first": "a", "second": "b", "winner": "tie"}]
    opened = open_rows(jsonl(tmp_path / "r.jsonl", renamed), columns={"prompt": "q", "verdict": "winner"})
    assert profile(opened).value("ties") == 1.0


@pytest.mark.parametrize(("delimiter", "encoding"), [(",", "utf-8-sig"), (";", "utf-8-sig"), (";", "utf-8")])
def test_a_csv_as_excel_writes_it(tmp_path, delimiter, encoding):
    rows = [{**row, "chosen": "Ja, „möglich“\nund mehr"} for row in PAIRS]
    measured = profile(open_rows(table(tmp_path / "excel.csv", rows, delimiter, encoding)))
    assert measured.value("rows") == 30 and measured.value("refused") == 0


def test_labels_and_raters_of_a_csv(tmp_path):
    rows = [
        {
            "prompt": f"p{i // 2}",
            "completion": "a",
            "label": str(i % 4 != 3).upper(),
            "item": i // 2,
            "rater": f"r{i % 2}",
        }
        for i in range(20)
    ]
    measured = profile(open_rows(table(tmp_path / "thumbs.csv", rows)))
    assert measured.value("up_share") == 0.75 and measured["agreement"].n == 10


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.jsonl", "", "expected at least one row"),
        ("list.jsonl", "[1]\n", "expected one JSON object a line"),
        ("bad.jsonl", '{"prompt": "p", "chosen": "", "rejected": "b"}\n', "no row can be used.*something to read"),
        ("latin.csv", b"prompt,chosen,rejected\nm\xf6glich,a,b\n", "expected UTF-8.*iconv"),
        ("rows.txt", "hello", "expected a file ending in"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_what_to_do(tmp_path, name, content, says):
    path = tmp_path / name
    path.write_bytes(content) if isinstance(content, bytes) else path.write_text(content)
    with pytest.raises(UserError, match=says):
        profile(open_rows(str(path)))


def test_one_row_is_enough_for_an_answer(tmp_path):
    advice = match(jsonl(tmp_path / "one.jsonl", PAIRS[:1])).recommendation
    assert advice.made_for == "dpo" and any(w.startswith("Few rows: 1.") for w in advice.warnings)


def test_what_could_not_be_read_is_said_in_the_advice(tmp_path):
    path = tmp_path / "broken.jsonl"
    path.write_text(json.dumps(PAIRS[0]) + "\n{broken\n" + json.dumps(PAIRS[1]) + "\n")
    found = match(str(path))
    assert found.facts.rows == 2 and found.facts.refused == 1
    assert any(w.startswith("Unusable rows: 1 were left out") for w in found.recommendation.warnings)


def test_another_split_is_looked_through(tmp_path):
    found = match(jsonl(tmp_path / "train.jsonl", PAIRS), apart_from=PAIRS[-3:])
    assert found.recommendation.warnings[0].startswith("Leak: 3 prompts")


def test_how_many_rows_a_file_has_is_estimated(tmp_path):
    assert expected_rows(jsonl(tmp_path / "a.jsonl", PAIRS)) == 30
    many = jsonl(tmp_path / "b.jsonl", [{**PAIRS[0], "prompt": "x" * 100}] * 20_000)
    assert expected_rows(many) == pytest.approx(20_000, rel=0.01)
    assert expected_rows("owner/name") is None


# Memory


def test_fits_are_the_calculators_own_peaks():
    hardware = hardware_of("llama-3-8b", None, gpus=8, gpu_memory_gb=80)
    fits = memory_fits(hardware)
    assert [(f.method, f.reference) for f in fits if not METHODS[f.method].needs_reference] == [
        ("orpo", "none needed"),
        ("simpo", "none needed"),
    ]
    assert len(fits) == 2 * 3 + 2
    for fit in fits:
        reference = {"live": "model"}.get(fit.reference, "precomputed")
        setting = dataclasses.replace(hardware.setting, method=fit.method, reference=reference)
        assert fit.peak_bytes == estimate(setting).peak_bytes
        assert fit.fits == (fit.peak_bytes <= USABLE * 80e9)


def fits_where(*fitting):
    kinds = [("dpo", "live"), ("dpo", "precomputed"), ("simpo", "none needed")]
    return [Fit(*kind, 1.0, kind in fitting) for kind in kinds]


@pytest.mark.parametrize(
    ("fitting", "fixed_rows", "reference", "note"),
    [
        ([("dpo", "live"), ("dpo", "precomputed"), ("simpo", "none needed")], True, "live", ""),
        ([("dpo", "precomputed"), ("simpo", "none needed")], True, "precomputed", "its precomputed log-probs do"),
        ([("dpo", "precomputed"), ("simpo", "none needed")], False, "none", "cannot be precomputed"),
        ([("simpo", "none needed")], True, "none", ""),
        ([], True, "precomputed", "Nothing fits"),
        ([], False, "none", "Nothing fits"),
    ],
)
def test_what_there_is_room_for(fitting, fixed_rows, reference, note):
    found, notes = room_for_reference(fits_where(*fitting), fixed_rows)
    assert found == reference and note in " ".join(notes)


def test_room_decides_and_what_is_asked_for_wins(tmp_path):
    source = jsonl(tmp_path / "a.jsonl", PAIRS)
    streaming = hardware_of("llama-3-8b", None, gpus=2, gpu_memory_gb=80, fixed_rows=False)
    fixed = dataclasses.replace(streaming, fixed_rows=True)
    tight = [hardware for hardware in (streaming, fixed) if not memory_fits(hardware)[0].fits]
    assert len(tight) == 2, "the test needs a GPU on which a live reference does not fit"
    assert match(source, Constraints("sft"), streaming).facts.reference == "none"
    asked = match(source, Constraints("sft", "precomputed"), streaming)
    assert asked.facts.reference == "precomputed"
    large = match(source, Constraints("sft"), hardware_of("gpt2", None))
    assert large.facts.reference == "live" and large.notes == ()


def test_where_nothing_fits_it_says_what_would(tmp_path):
    hardware = hardware_of(None, 70e9, gpus=8)
    found = match(jsonl(tmp_path / "a.jsonl", PAIRS), Constraints("sft"), hardware)
    assert not any(fit.fits for fit in found.fits)
    assert "Nothing fits" in found.notes[0] and "LoRA adapters on bfloat16 weights" in found.notes[1]
    assert "4-bit" in what_would_fit(hardware_of(None, 70e9, gpus=1, gpu_memory_gb=80))
    assert "Not even" in what_would_fit(hardware_of(None, 400e9, gpus=1))


def test_hardware_from_words():
    assert hardware_of(None, None) is None
    found = hardware_of(None, 7e9, gpus=4, lora_rank=8, precision="bfloat16", length=512)
    assert found.setting.sharded and found.setting.lora_rank == 8 and found.setting.length == 512
    assert found.setting.model.parameters == pytest.approx(7e9, rel=0.1)
    assert hardware_of("gpt2", None).setting.model == read_architecture("gpt2")
    for parameters, memory in ((70, 80), (7e9, 0)):
        with pytest.raises(UserError, match="--params is a number of weights"):
            hardware_of(None, parameters, gpu_memory_gb=memory)


# Briefs


@pytest.fixture
def with_twins(monkeypatch):
    records = {name: twins.load(name) for name in real.DATASETS}
    monkeypatch.setattr(real, "load", records.get)
    return records


@pytest.mark.parametrize("name", list(briefs()))
def test_a_real_name_brings_its_brief(with_twins, name):
    found = match(name)
    assert found.brief == briefs()[name]
    given = {f.name: getattr(found.facts, f.name) for f in dataclasses.fields(Constraints)}
    assert Constraints(**given) == found.brief.constraints
    assert found.hardware is None and found.fits == ()


def test_what_is_given_wins_over_the_brief(with_twins):
    found = match("pandalm_testset", Constraints(checkpoint="base", passes=4))
    assert (found.facts.checkpoint, found.facts.passes, found.facts.reference) == ("base", 4, "live")
    assert found.recommendation.leaf == "one stage"


def test_the_answer_as_json_holds_everything_and_no_text(with_twins):
    record = match("pandalm_testset", hardware=hardware_of("gpt2", None)).as_dict()
    text = json.dumps(record)
    assert set(record) == {"source", "brief", "facts", "recommendation", "memory", "notes", "profile"}
    assert record["memory"][0]["peak_gib"] == pytest.approx(record["memory"][0]["peak_bytes"] / GIB)
    assert not any(row.first in text for row in with_twins["pandalm_testset"] if len(row.first) > 20)


LEAVES = {
    "tulu1_human_eval": "noisy",
    "feedbackqa_cdc": "ratings",
    "qlora_gpt4_vicuna": "no reference",
    "pandalm_testset": "any",
    "self_instruct_demos": "one stage",
}


@pytest.mark.real_data
@pytest.mark.parametrize("name", list(briefs()))
def test_a_match_on_a_real_dataset_ends_at_its_leaf(name):
    assert match(name).recommendation.leaf == LEAVES[name]
