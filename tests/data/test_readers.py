"""Reading: formats, errors that name file, line and field, the Hub's schemas, and streaming."""

import csv
import gzip
import json
import subprocess
import sys

import pytest

from lessons_lib.data import readers
from lessons_lib.data.preferences import PreferenceDataError, Rows, ratings_to_pairs
from lessons_lib.data.readers import read, read_records
from lessons_lib.data.schemas import SchemaError
from lessons_lib.errors import UserError

PAIRS = [
    {"prompt": "Say “hi”, please.", "chosen": "Hi,\n\"friend\"; ça va? 🙂", "rejected": "no\ttime"},
    {"prompt": "2 + 2?", "chosen": "4", "rejected": "22, or\r\n4"},
    {"prompt": "Name a bird.", "chosen": "Wren.", "rejected": "Oak.\u2028"},
]  # fmt: skip
RATINGS = [
    {"prompt": "2 + 2?", "completion": "4", "label": True},
    {"prompt": "2 + 2?", "completion": "5", "label": False},
]
CHATS = [
    {
        "prompt": [{"role": "user", "content": f"Count to {n}."}],
        "chosen": [{"role": "assistant", "content": "One" * n}],
        "rejected": [{"role": "assistant", "content": "Many"}],
    }
    for n in (1, 2)
]


def write(path, rows):
    """Write rows in the format of the path's ending."""
    ending = path.name.removesuffix(".gz").rpartition(".")[2]
    if ending == "parquet":
        import pyarrow as pa
        import pyarrow.parquet

        pa.parquet.write_table(pa.Table.from_pylist(rows), path, compression="none", use_dictionary=False)
        return path
    with (gzip.open if path.suffix == ".gz" else open)(path, "wt", encoding="utf-8", newline="") as file:
        if ending == "jsonl":
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        elif ending == "json":
            json.dump(rows, file, ensure_ascii=False, indent=2)
        else:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if ending == "tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


def collected(source, **options):
    rows = read(source, on_error="collect", **options)
    return list(rows), rows


FORMATS = ["a.jsonl", "a.json", "a.csv", "a.tsv", "a.parquet", "a.jsonl.gz", "a.csv.gz"]


@pytest.mark.parametrize("rows", [PAIRS, RATINGS], ids=["paired", "unpaired"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_rows(tmp_path, name, rows):
    source = read(write(tmp_path / name, rows))
    assert list(source) == rows
    assert list(source) == rows, "a second pass reads the file again"
    assert source.kept == len(rows)


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.parquet"])
def test_message_lists_come_back_as_they_are(tmp_path, name):
    assert list(read(write(tmp_path / name, CHATS))) == CHATS


@pytest.mark.parametrize("name", FORMATS)
def test_columns_are_renamed_and_others_kept_on_request(tmp_path, name):
    rows = [{"id": f"{n}", "question": r["prompt"], "best": r["chosen"], "worst": r["rejected"]}
            for n, r in enumerate(PAIRS)]  # fmt: skip
    columns = {"prompt": "question", "chosen": "best", "rejected": "worst"}
    path = write(tmp_path / name, rows)
    assert list(read(path, columns=columns)) == PAIRS
    assert [row["id"] for row in read(path, columns=columns, keep=["id"])] == ["0", "1", "2"]


@pytest.mark.parametrize("name", FORMATS)
def test_a_missing_column_names_the_file_the_columns_there_and_the_options(tmp_path, name):
    path = write(tmp_path / name, [{"prompt": "p", "chosen": "a", "worse": "b"}])
    with pytest.raises(SchemaError) as caught:
        list(read(path))
    for part in (str(path), "no schema fits", "'worse'", "--columns prompt=YOURS chosen=YOURS", "--schema NAME"):
        assert part in str(caught.value)


@pytest.mark.parametrize("name", FORMATS)
def test_a_mapping_to_a_column_that_is_not_there_says_so(tmp_path, name):
    path = write(tmp_path / name, PAIRS)
    with pytest.raises(PreferenceDataError, match="a column 'question' for prompt, found the columns 'prompt', 'ch"):
        list(read(path, columns={"prompt": "question"}))


@pytest.mark.parametrize("name", FORMATS)
def test_bad_rows_are_collected_with_their_lines(tmp_path, name):
    rows = [PAIRS[0], {**PAIRS[0], "chosen": " "}, PAIRS[2]]
    good, source = collected(write(tmp_path / name, rows))
    assert good == [PAIRS[0], PAIRS[2]]
    assert source.refused_count == 1
    # The first text of PAIRS holds a line break: one line in JSON, two in CSV; JSON here is indented.
    kind = name.removesuffix(".gz").rpartition(".")[2]
    assert source.refused[0].line == {"jsonl": 2, "json": 7, "csv": 4, "tsv": 4, "parquet": 2}[kind]


# Broken files


def test_a_broken_line_is_named_and_the_lines_around_it_kept(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = [json.dumps(row) for row in PAIRS]
    path.write_text("\n".join([lines[0], lines[1][:-5], "", "[1, 2]", lines[2]]))
    good, source = collected(path)
    assert good == [PAIRS[0], PAIRS[2]]
    assert [refusal.line for refusal in source.refused] == [2, 4]
    assert "valid JSON, found Unterminated string" in str(source.refused[0])
    assert "one JSON object a line" in str(source.refused[1])


@pytest.mark.parametrize(
    ("text", "line", "begins", "message"),
    [
        ('[\n{"prompt": "p",\n "chosen": "a" "rejected": "b"}\n]', 3, 2, "Expecting ',' delimiter"),
        ('[\n{"prompt": "p"\n', 3, 2, "Expecting ',' delimiter"),
        ('[\n{"prompt": "p', 2, 2, "Unterminated string"),
        ('["a"]', 1, 1, '" where an object {…} should begin'),
        ("[", 1, 1, "the end of the file where an object"),
        ("[{}\n{}]", 2, 1, "{ where ] should stand"),
        ("[{},\n]", 2, 2, "] where an object"),
        ("[{}]\n[{}]", 2, 1, "[ where the end of the file should stand"),
        ("[{}", 1, 1, "the end of the file where ] should stand"),
        ("{} 7", 1, 1, "7 where an object"),
        ("nothing", 1, 1, "n where an object"),
    ],
)
def test_broken_json_is_found_in_its_line(tmp_path, text, line, begins, message):
    path = tmp_path / "a.json"
    path.write_text(text)
    _, source = collected(path)
    refusal = source.refused[-1]
    assert refusal.line == line
    assert message in refusal.found
    assert f"begins in line {begins}: nothing after it" in refusal.fix


def test_json_keeps_what_stands_before_the_break(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(f"[{json.dumps(PAIRS[0])},\n{json.dumps(PAIRS[1])[:-3]}")
    good, source = collected(path)
    assert good == [PAIRS[0]]
    assert source.refused_count == 1
    with pytest.raises(PreferenceDataError, match="line 2"):
        list(read(path))


def test_json_objects_may_follow_one_another(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("\n\n".join(json.dumps(row, indent=1) for row in PAIRS))
    assert list(read(path)) == PAIRS


@pytest.mark.parametrize("chunk", [1, 2, 7, 64])
def test_json_is_the_same_however_it_is_cut(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(readers, "CHUNK", chunk)
    rows = [{**pair, "n": [-1.5e-3, True, None, '\\"é🙂'], "deep": {"a": [{}, []]}} for pair in PAIRS]
    path = write(tmp_path / "a.json", rows)
    assert list(read_records(path)) == rows


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "tsv"])
def test_a_wrong_byte_is_named_with_line_and_field(tmp_path, ending):
    path = write(tmp_path / f"a.{ending}", [PAIRS[0], {**PAIRS[1], "rejected": "caf@ au lait"}, PAIRS[2]])
    path.write_bytes(path.read_bytes().replace(b"@", "é".encode("latin-1")))
    good, source = collected(path)
    assert good == [PAIRS[0], PAIRS[2]]
    refusal = source.refused[0]
    assert refusal.field == "rejected"
    assert "byte 0xe9 after" in refusal.found and "caf'" in refusal.found
    assert "iconv -f LATIN1 -t UTF-8" in refusal.fix
    lines = path.read_bytes().split(b"\n")
    assert b"\xe9" in lines[refusal.line - 1]


def test_a_wrong_byte_inside_a_message_is_named_too(tmp_path):
    path = write(tmp_path / "a.jsonl", CHATS)
    path.write_bytes(path.read_bytes().replace(b"Many", b"M\xe4ny"))
    assert collected(path)[1].refused[0].field == "rejected"


def test_utf_16_is_recognised(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("prompt,chosen,rejected\np,a,b\n".encode("utf-16"))
    with pytest.raises(PreferenceDataError, match="iconv -f UTF-16"):
        list(read(path))


def test_a_byte_that_utf_16_begins_with_means_nothing_later_on(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("prompt,chosen,rejected\nþorn,a,b\n".encode("latin-1"))
    assert "iconv -f LATIN1" in str(collected(path)[1].refused[0])


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("prompt,chosen,rejected\np,a,b\n", encoding="utf-8-sig")
    assert list(read(path)) == [{"prompt": "p", "chosen": "a", "rejected": "b"}]


def test_csv_rows_of_another_length_are_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('prompt,chosen,rejected\np,a,b\np,a,b,c\n\np,"a\n',)  # fmt: skip
    good, source = collected(path)
    assert len(good) == 1
    assert "3 fields like the header, found 4 fields" in str(source.refused[0])
    assert "valid CSV" in str(source.refused[1])
    assert [refusal.line for refusal in source.refused] == [3, 5]


def test_labels_are_words_or_numbers_that_say_up_or_down(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("prompt,completion,label\np,a,TRUE\np,b, false\np,c,1\np,d,maybe\n")
    good, source = collected(path)
    assert [row["label"] for row in good] == [True, False, True]
    assert "true or false, found 'maybe'" in str(source.refused[0])


@pytest.mark.parametrize(
    "first",
    ["2031-01-02T03:04:05,Where do plums grow?,On trees.", "Where do plums grow?,On trees.,x", "a,b,Yes", "a,b,0.5"],
)
def test_a_csv_without_a_header_is_told_so(tmp_path, first):
    path = tmp_path / "a.csv"
    path.write_text(f"{first}\n2031-01-02T03:05:05,Name a river.,No\n", encoding="utf-8")
    with pytest.raises(UserError, match="line 1 looks like data.*write a line of them above it"):
        list(read(path))
    path.write_text(f"{first}\nName a river, please,No\n", encoding="utf-8")
    with pytest.raises(UserError):
        list(read(path))
    path.write_text("What do you say?,Which is better?,Notes\na,b,c\n", encoding="utf-8")
    with pytest.raises(SchemaError, match="no schema fits"):
        list(read(path))


def test_a_ragged_csv_without_a_header_is_told_so(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("Name a river, please,The Ouse, in York.,Yes\nName a bird.,No\n", encoding="utf-8")
    source = read(path, on_error="collect")
    assert not list(source) and "line 1 looks like data" in str(source.refused[0])


def test_long_names_of_columns_are_cut_short(tmp_path):
    path = write(tmp_path / "a.jsonl", [{"name " * 30: "a", "b": "c"}])
    with pytest.raises(SchemaError, match="the columns are 'name name .{25,32}…', 'b'"):
        list(read(path))


def test_a_pointer_of_git_lfs_is_called_one(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n")
    with pytest.raises(UserError, match="a pointer that Git LFS left.*git lfs pull"):
        list(read(path))


def test_csv_labels_may_have_another_name_and_texts_may_be_the_word_true(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("prompt,answer,thumb\nIs 1 + 1 = 2?,true,True\n")
    columns = {"completion": "answer", "label": "thumb"}
    assert list(read(path, columns=columns)) == [{"prompt": "Is 1 + 1 = 2?", "completion": "true", "label": True}]


def test_csv_takes_a_text_longer_than_pythons_default(tmp_path):
    rows = [{**PAIRS[0], "chosen": "long " * 50_000}]
    assert list(read(write(tmp_path / "a.csv", rows))) == rows


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
def test_an_empty_file_is_no_dataset(tmp_path, name):
    path = tmp_path / name
    path.write_text("prompt,chosen,rejected\n" if name == "a.csv" else "\n")
    with pytest.raises(UserError, match="at least one row"):
        list(read(path))


def test_sources_that_cannot_be_read_say_what_was_expected(tmp_path):
    (tmp_path / "a.pickle").write_bytes(b"")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 cut short")
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b"{}" * 500)[:20])
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b"{}")[:10] + b"\xff" * 20)
    with pytest.raises(UserError, match="expected a file ending in .jsonl"):
        read(tmp_path / "a.pickle")
    with pytest.raises(UserError, match="found a folder"):
        read(tmp_path)
    with pytest.raises(UserError, match="expected a file or a Hub id"):
        read(tmp_path / "absent.jsonl")
    with pytest.raises(UserError, match="expected a file or a Hub id"):
        read("data/absent.jsonl")
    with pytest.raises(UserError, match="expected a Parquet file"):
        list(read(tmp_path / "a.parquet"))
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        with pytest.raises(UserError, match="read to its end"):
            list(read(tmp_path / name))


def test_the_case_of_the_ending_does_not_matter(tmp_path):
    assert list(read(write(tmp_path / "a.jsonl", PAIRS).rename(tmp_path / "A.JSONL"))) == PAIRS


def test_a_leak_between_two_files_is_found(tmp_path):
    train = read(write(tmp_path / "train.jsonl", PAIRS[:2]))
    test = read(write(tmp_path / "test.csv", PAIRS[1:]), apart_from=train, on_error="collect")
    assert list(test) == PAIRS[2:]
    assert f"does not occur in {tmp_path / 'train.jsonl'}" in str(test.refused[0])


def test_parquet_decodes_no_column_that_is_not_needed(tmp_path, monkeypatch):
    import pyarrow.parquet as pq

    asked = []
    original = pq.ParquetFile.iter_batches

    def watched(self, *args, columns, **kwargs):
        asked.append(columns)
        return original(self, *args, columns=columns, **kwargs)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", watched)
    list(read(write(tmp_path / "a.parquet", [{"embedding": [0.0] * 8, **row} for row in PAIRS])))
    assert asked[-1] == ["prompt", "chosen", "rejected"], "the first rows are looked at whole, to recognise them"


# The Hub


@pytest.fixture
def hub(monkeypatch):
    """Serves rows under a Hub id through the real `datasets` streaming class; only the download is replaced."""
    import datasets

    served = {}

    def load_dataset(name, config, *, split, streaming):
        assert streaming
        return datasets.IterableDataset.from_generator(lambda: iter(served[name, config, split]))

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return served


def test_a_hub_dataset_streams_by_its_id(hub):
    hub["someone/pairs", None, "train"] = PAIRS
    hub["someone/pairs", "hard", "test"] = [*RATINGS, {**RATINGS[0], "label": 7}]
    assert list(read("someone/pairs")) == PAIRS
    good, source = collected("someone/pairs", config="hard", split="test")
    assert good == RATINGS
    assert "someone/pairs, row 3, field 'label'" in str(source.refused[0])


def test_a_known_hub_id_brings_its_schema(hub):
    hub["Anthropic/hh-rlhf", None, "train"] = [
        {"chosen": "\n\nHuman: Hi\n\nAssistant: Hello.", "rejected": "\n\nHuman: Hi\n\nAssistant: What?"}
    ]
    assert list(read("Anthropic/hh-rlhf")) == [
        {"prompt": "\n\nHuman: Hi\n\nAssistant:", "chosen": "Hello.", "rejected": "What?"}
    ]


def test_without_a_connection_the_hub_says_what_to_do():
    program = "from lessons_lib.data.readers import read\nlist(read('someone/absent'))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={"HF_HUB_OFFLINE": "1", "HOME": "/tmp"}
    )
    message = done.stderr.strip().splitlines()[-1]
    assert "UserError: someone/absent: expected a file of that name or a dataset on the Hugging Face Hub" in message
    assert "download the file and read it by its path" in message


USER = {"role": "user", "content": "Hi"}
HELLO, WHAT = ({"content": text, "role": "assistant"} for text in ("Hello.", "What?"))
TEXT = {"prompt": "Hi", "chosen": "Hello.", "rejected": "What?"}
MESSAGES = {"prompt": [USER], "chosen": [HELLO], "rejected": [WHAT]}
FULL = {"chosen": [USER, HELLO], "rejected": [USER, WHAT]}
SHP = {"history": "Hi", "human_ref_A": "Hello.", "human_ref_B": "What?", "score_A": 4, "score_B": 2}
SUMMARY = {"info": {"post": "Hi", "article": None}, "summaries": [{"text": "What?"}, {"text": "Hello."}]}
SAFE = {"prompt": "Hi", "response_0": "Hello.", "response_1": "What?", "safer_response_id": 1}
HELPSTEER = {"context": [USER], "response1": "Hello.", "response2": "What?"}
ARENA = {"prompt": '["Hi"]', "response_a": '["Hello."]', "response_b": '["What?"]'}
VOTES = {"winner_model_a": 0, "winner_model_b": 0, "winner_tie": 0}


def swapped(pair):
    return {**pair, "chosen": pair["rejected"], "rejected": pair["chosen"]}


@pytest.mark.parametrize(
    ("schema", "row", "expected"),
    [
        ("hh-rlhf", {"chosen": "\n\nHuman: Hi\n\nAssistant: Hello.", "rejected": "\n\nHuman: Ho\n\nAssistant: No."},
         "the two sides differ before the last reply"),
        ("shp", {**SHP, "labels": 1}, TEXT),
        ("shp", {**SHP, "labels": 0}, swapped(TEXT)),
        ("message-lists", {**FULL, "prompt": "Hi", "score_chosen": 8.0, "score_rejected": 5.0}, MESSAGES),
        ("message-lists", {**FULL, "prompt": "Hi", "score_chosen": 8.0, "score_rejected": 8.0}, "tie"),
        ("message-lists", {**FULL, "chosen_rating": 5.0, "rejected_rating": 4.0}, MESSAGES),
        ("message-lists", {**FULL, "chosen_rating": 4.0, "rejected_rating": 4.0}, "tie"),
        ("message-lists", {**FULL, "rejected": [WHAT, WHAT]}, "the two sides differ before the last reply"),
        ("summarize-from-feedback", {**SUMMARY, "choice": 1}, TEXT),
        ("summarize-from-feedback", {**SUMMARY, "choice": 0}, swapped(TEXT)),
        ("safe-rlhf", {**SAFE, "better_response_id": 0}, TEXT),
        ("safe-rlhf", {**SAFE, "better_response_id": 1}, swapped(TEXT)),
        ("helpsteer3", {**HELPSTEER, "overall_preference": -2}, MESSAGES),
        ("helpsteer3", {**HELPSTEER, "overall_preference": 1}, swapped(MESSAGES)),
        ("helpsteer3", {**HELPSTEER, "overall_preference": 0}, "tie"),
        ("arena-55k", {**ARENA, **VOTES, "winner_model_a": 1}, TEXT),
        ("arena-55k", {**ARENA, **VOTES, "winner_model_b": 1}, swapped(TEXT)),
        ("arena-55k", {**ARENA, **VOTES, "winner_tie": 1}, "tie"),
        ("arena-55k", {**ARENA, **VOTES, "prompt": '["Hi", "Ho"]', "winner_model_a": 1},
         "several turns, each answered twice"),
    ],
)  # fmt: skip
def test_well_known_schemas(tmp_path, schema, row, expected):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(row))
    good, source = collected(path, schema=schema)
    if isinstance(expected, str):
        assert (good, source.skipped) == ([], {expected: 1})
    else:
        assert (good, source.refused_count) == ([expected], 0)


def test_an_empty_turn_of_hh_rlhf_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    start = "\n\nHuman: Hi\n\nAssistant: "
    path.write_text(json.dumps({"chosen": start + "Yes.", "rejected": start}))
    refusal = collected(path, schema="hh-rlhf")[1].refused[0]
    assert "field 'rejected': expected a text with something to read" in str(refusal)


def test_a_row_of_another_schema_is_refused_not_guessed(tmp_path):
    path = write(tmp_path / "a.jsonl", PAIRS)
    with pytest.raises(SchemaError, match="expected rows in the schema shp .history, human_ref_A.*columns 'prompt'"):
        list(read(path, schema="shp"))
    with pytest.raises(SchemaError, match="schema: expected one of alpaca"):
        read(path, schema="shp2")


def test_ratings_of_helpsteer2_become_pairs(tmp_path):
    rows = [{"prompt": "Hi", "response": text, "helpfulness": n} for text, n in (("What?", 1), ("Hello.", 4))]
    records = read_records(write(tmp_path / "a.parquet", rows))
    rated = ({**row, "completion": row["response"]} for row in records)
    assert list(ratings_to_pairs(rated, rating="helpfulness")) == [TEXT]


# Streaming


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.parquet"])
def test_the_first_row_needs_no_second(tmp_path, name):
    path = write(tmp_path / name, PAIRS * 20_000)
    rows = read(path)
    assert isinstance(rows, Rows)
    assert next(iter(rows)) == PAIRS[0]
    assert rows.kept == 1


PEAK = """
import sys
from lessons_lib.data.readers import read
count = sum(1 for row in read(sys.argv[1]))
status = open("/proc/self/status").read()
print(count, int(status.partition("VmHWM:")[2].split()[0]) // 1024)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a process its own peak memory")
@pytest.mark.parametrize(("name", "allowed"), [("a.jsonl", 8), ("a.json", 8), ("a.csv", 8), ("a.parquet", 45)])
def test_reading_a_larger_file_takes_no_more_memory(tmp_path, name, allowed):
    long = [{**PAIRS[n % 3], "chosen": f"{n} word " * 500} for n in range(10_000)]
    peaks = []
    for rows in (1000, 10_000):
        path = write(tmp_path / f"{rows}.{name}", long[:rows])
        done = subprocess.run([sys.executable, "-c", PEAK, path], capture_output=True, text=True, check=True)
        count, peak = map(int, done.stdout.split())
        assert count == rows
        peaks.append(peak)
    # Arrow's allocator keeps some 30 MiB; reading the row group at once took 75.
    assert peaks[1] - peaks[0] < allowed, f"MiB at the peak, 1,000 and 10,000 rows: {peaks}"
