"""The real datasets: fetching and its errors, the traps of each, conversions, splits across datasets.

Rows here are the project's own, in the datasets' schemas; tests marked real_data read the original files.
"""

import functools
import gzip
import hashlib
import http.server
import itertools
import json
import re
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import openpyxl
import pytest

from lessons_lib.data import real, real_rows, twins
from lessons_lib.data.preferences import check, prompt_key, prompt_keys, split_by_prompt
from lessons_lib.data.readers import read_records
from lessons_lib.data.real import DATASETS
from lessons_lib.data.real_rows import implied_pairs
from lessons_lib.errors import UserError

NAMES = list(DATASETS)


@functools.cache
def twin(name):
    return twins.load(name)


@functools.cache
def original(name):
    return real.load(name)


# Where the files come from


def test_every_file_is_pinned():
    for entry in DATASETS.values():
        assert re.fullmatch("[0-9a-f]{40}", entry.commit)
        assert re.fullmatch(r"[\w-]+/[\w-]+", entry.repository)
        assert entry.licence and "arXiv:" in entry.citation
        assert all(re.fullmatch("[0-9a-f]{64}", file.sha256) and file.bytes > 0 for file in entry.files)
    assert {name: len(entry.files) for name, entry in DATASETS.items()} == {
        "tulu1_human_eval": 1, "feedbackqa_cdc": 2, "qlora_gpt4_vicuna": 65, "pandalm_testset": 1,
        "self_instruct_demos": 3, "hh_rlhf_harmless": 1,
    }  # fmt: skip


def pinned(name, folder):
    """A dataset entry whose pins are those of the twin's files in `folder`."""
    files = [path for path in sorted((folder / name).rglob("*")) if path.is_file()]
    pins = tuple(
        real.File(path.relative_to(folder / name).as_posix(), path.stat().st_size, sha256(path)) for path in files
    )
    return replace(DATASETS[name], files=pins)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A web server that serves the twin of self_instruct_demos as GitHub serves the original; counts requests."""
    name = "self_instruct_demos"
    twins.write(name, tmp_path / "twin")
    entry = pinned(name, tmp_path / "twin")
    served = tmp_path / "served" / entry.repository / entry.commit
    served.parent.mkdir(parents=True)
    (tmp_path / "twin" / name).rename(served)
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    handler = functools.partial(Handler, directory=tmp_path / "served")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(real, "HOST", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(real, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setitem(DATASETS, name, entry)
    monkeypatch.delenv("LESSONS_DATA_DIR", raising=False)
    yield entry, served, asked
    server.shutdown()
    server.server_close()


def test_files_are_fetched_once_and_then_read_from_the_cache(host, tmp_path, monkeypatch):
    entry, _, asked = host
    records = real.load(entry.name)
    assert records == twin(entry.name)
    assert sorted(asked) == sorted(f"/{entry.repository}/{entry.commit}/{file.path}" for file in entry.files)
    assert real.load(entry.name) == records
    assert len(asked) == len(entry.files)
    monkeypatch.setenv("LESSONS_DATA_DIR", str(tmp_path / "cache"))  # the cache is laid out like that folder
    assert real.load(entry.name) == records


def test_a_file_with_other_bytes_is_refused(host):
    entry, served, _ = host
    path = served / entry.files[0].path
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(UserError, match=rf"{re.escape(entry.files[0].path)} with SHA-256 {entry.files[0].sha256[:12]}"):
        real.fetch(entry.name)


def test_a_file_that_is_gone_is_named(host):
    entry, served, _ = host
    (served / entry.files[1].path).unlink()
    with pytest.raises(UserError, match="404.*Without the files `lessons-lib data describe"):
        real.fetch(entry.name)


def test_a_damaged_cache_is_fetched_again(host, tmp_path):
    entry, _, asked = host
    paths = real.fetch(entry.name)
    paths[entry.files[0].path].write_text("cut short")
    assert sha256(real.fetch(entry.name)[entry.files[0].path]) == entry.files[0].sha256
    assert len(asked) == len(entry.files) + 1


def test_without_a_connection_the_error_says_what_to_do(host, monkeypatch):
    entry, _, _ = host
    monkeypatch.setattr(real, "HOST", "http://127.0.0.1:9")  # nothing listens there
    with pytest.raises(UserError) as caught:
        real.fetch(entry.name)
    message = str(caught.value)
    for part in ("no connection to http://127.0.0.1:9", "set LESSONS_DATA_DIR to a folder", "lessons_lib.data.twins"):
        assert part in message


def test_a_progress_bar_shows_only_while_something_is_fetched(host, capsys):
    entry, _, _ = host
    real.fetch(entry.name)
    assert entry.name in capsys.readouterr().err
    real.fetch(entry.name)
    assert capsys.readouterr().err == ""


def test_a_given_folder_is_checked(tmp_path, monkeypatch):
    monkeypatch.setenv("LESSONS_DATA_DIR", str(tmp_path))
    with pytest.raises(
        UserError, match=r"expected the file .*testset-v1.json, found none; the folder holds <dataset>/"
    ):
        real.load("pandalm_testset")
    twins.write("pandalm_testset", tmp_path)
    with pytest.raises(UserError, match="expected the bytes of WeOpenML/PandaLM at 3871806"):
        real.load("pandalm_testset")


def test_an_unknown_name_lists_the_names():
    for function in (real.load, real.fetch, real.pairs, real.ratings, real.judgements, twins.load):
        with pytest.raises(UserError, match="expected one of tulu1_human_eval, .*, found 'pandas'"):
            function("pandas")


# Twins


@pytest.mark.parametrize("name", NAMES)
def test_a_twin_reads_like_its_original_and_differs_by_seed(name):
    assert 40 <= len(twin(name)) <= 100
    assert twins.load(name) == twin(name)
    assert twins.load(name, seed=1) != twin(name)


def test_load_or_twin_says_which(tmp_path, monkeypatch):
    monkeypatch.setenv("LESSONS_DATA_DIR", str(tmp_path))
    records, which = twins.load_or_twin("pandalm_testset")
    assert records == twin("pandalm_testset")
    assert "invented rows" in which


def first_row(path):
    if path.suffix != ".xlsx":
        return next(read_records(path))
    header, row = itertools.islice(openpyxl.load_workbook(path, read_only=True).active.iter_rows(values_only=True), 2)
    return dict(zip(header, row, strict=True))


@pytest.mark.real_data
@pytest.mark.parametrize("name", NAMES)
def test_twins_have_the_columns_of_their_originals(name, tmp_path):
    folder = twins.write(name, tmp_path)
    originals = real.fetch(name)
    for path in (path for path in folder.rglob("*") if path.is_file()):
        ours, theirs = first_row(path), first_row(originals[path.relative_to(folder).as_posix()])
        assert set(ours) <= set(theirs)
        for key in set(ours) - {"timestamp"}:
            kinds = {float if type(row[key]) is int else type(row[key]) for row in (ours, theirs)}  # XLSX has no int
            assert len(kinds) == 1, (path, key)


# Traps. Each test states the trap in rows of its own, then counts it in the original.


def test_tulu1_leaves_blank_rows_out_and_counts_them():
    assert twin("tulu1_human_eval").left_out == {"blank row": 6}


@pytest.mark.real_data
def test_tulu1_original_blank_rows():
    assert original("tulu1_human_eval").left_out == {"blank row": 152}


def test_tulu1_repeated_comparisons_are_raters_and_keep_their_rows():
    records = twin("tulu1_human_eval")
    counts = Counter(r.comparison for r in records)
    assert set(counts.values()) == {1, 2}
    repeated = [r for r in records if counts[r.comparison] == 2]
    assert all(len({r.rater for r in repeated if r.comparison == n}) == 2 for n in {r.comparison for r in repeated})


def test_tulu1_raters_who_saw_the_sides_swapped_are_compared_by_model():
    a_first = real_rows.Comparison(1, "vicuna_1", "p", "m1", "m2", "one", "two", True, True, 2, "x")
    b_first = replace(a_first, model_a="m2", model_b="m1", completion_a="two", completion_b="one", preference=-2)
    assert a_first.for_first_model == b_first.for_first_model == 2
    assert list(real.pairs("tulu1_human_eval", [a_first])) == list(real.pairs("tulu1_human_eval", [b_first]))


def test_tulu1_rows_that_prefer_nothing_make_no_pair():
    row = real_rows.Comparison(1, "vicuna_1", "p", "m1", "m2", "one", "two", True, False, 0, "x")
    changes = (
        {},
        {"preference": -1},
        {"preference": 1},
        {"preference": 1, "completion_b": "one"},
        {"preference": 2, "completion_b": "\u200b"},
    )
    rows = [replace(row, **change) for change in changes]
    pairs = real.pairs("tulu1_human_eval", rows)
    assert [(pair["chosen"], pair["rejected"]) for pair in pairs] == [("two", "one"), ("one", "two")]
    assert [refusal.expected for refusal in pairs.refused] == [
        "another text than chosen", "a text with something to read",
    ]  # fmt: skip
    votes = real.ratings("tulu1_human_eval", [row])
    assert [(vote["completion"], vote["label"]) for vote in votes] == [("one", True), ("two", False)]


def feedbackqa_files(folder, span="selected_span", **changes):
    row = {
        "question": "Q?", "rating": ["Excellent", "Bad"], "feedback": ["fine", "poor"],
        "passage": {"reference": {"section_content": "Text.", span: "a span"}}, **changes,
    }  # fmt: skip
    path = Path(folder) / "feedback_valid.json"
    path.write_text(json.dumps([row]))
    return {"experiments/feedback_valid.json": path}


@pytest.mark.parametrize("span", ["selected_span", "selection_span"])
def test_feedbackqa_reads_both_spellings_of_the_span(tmp_path, span):
    (record,) = real_rows.read_feedbackqa(feedbackqa_files(tmp_path, span))
    assert record.selected_span == "a span"
    assert (record.part, record.ratings, record.comments) == ("valid", ("Excellent", "Bad"), ("fine", "poor"))


def test_feedbackqa_ratings_and_comments_must_be_parallel(tmp_path):
    with pytest.raises(ValueError, match="2 ratings beside 1 comments"):
        real_rows.read_feedbackqa(feedbackqa_files(tmp_path, feedback=["fine"]))


def test_feedbackqa_up_is_excellent_or_acceptable():
    record = real_rows.RatedPassage("test", "Q?", "P.", None, ("Excellent", "Acceptable", "Could be Improved", "Bad"),
                                    ("",) * 4)  # fmt: skip
    assert record.ups == (True, True, False, False)
    assert [row["label"] for row in real.ratings("feedbackqa_cdc", [record])] == [True, True, False, False]


def test_feedbackqa_pairs_need_unanimous_raters():
    def passage(text, *ratings):
        return real_rows.RatedPassage("test", "Q?", text, None, ratings, ("",) * len(ratings))

    records = [passage("good", "Excellent", "Acceptable"), passage("mixed", "Bad", "Excellent"), passage("bad", "Bad")]
    assert list(real.pairs("feedbackqa_cdc", records)) == [{"prompt": "Q?", "chosen": "good", "rejected": "bad"}]


@pytest.mark.real_data
def test_feedbackqa_original_spellings():
    spellings = Counter()
    for path in real.fetch("feedbackqa_cdc").values():
        for row in json.loads(path.read_text(encoding="utf-8")):
            spellings.update({"selected_span", "selection_span"} & set(row["passage"]["reference"]))
    assert spellings == {"selection_span": 736, "selected_span": 242}


def test_qlora_takes_the_answer_where_the_column_text_holds_the_question():
    records = twin("qlora_gpt4_vicuna")
    guanaco = [r.first for r in records if r.first.model == "7b-guanaco"]
    assert guanaco
    assert not {answer.text for answer in guanaco} & set(twins.QUESTIONS)
    assert {r.first.model for r in records} == {"7b-guanaco", "bard", "gpt4"}


def test_qlora_cuts_what_the_model_went_on_to_invent():
    row = {"question_id": 1, "text": "Why?", "generation": "Because.### Human: So?"}
    cut = real_rows._answer("g", {**row, "generation_truncated": "Because."})
    assert (cut.text, cut.rest) == ("Because.", "### Human: So?")
    phrase = f"Because. {real_rows.RUN_ON} assistant."
    cut_again = real_rows._answer("g", {**row, "generation": phrase, "generation_truncated": phrase})
    assert cut_again.text == "Because. "
    assert real_rows._answer("b", {"question_id": 1, "text": "Because."}) == real_rows.Generation("b", "Because.", "")


def verdict(first, second, winner, question=1):
    return real_rows.Judgement(question, "Q?", real_rows.Generation(first, f"text of {first}", ""),
                             real_rows.Generation(second, f"text of {second}", ""), winner)  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other", "chosen"),
    [("first", "second", "text of x"), ("second", "first", "text of y"), ("first", "first", None),
     ("tie", "tie", None), ("first", None, None), (None, None, None), ("first", "tie", None)],
)  # fmt: skip
def test_qlora_pairs_are_winners_in_both_orders(one, other, chosen):
    pairs = list(real.pairs("qlora_gpt4_vicuna", [verdict("x", "y", one), verdict("y", "x", other)]))
    assert [pair["chosen"] for pair in pairs] == ([chosen] if chosen else [])


def test_qlora_scores():
    assert real_rows.WINNERS == {1: "first", 2: "second", 3: "tie", -1: None}
    assert {r.winner for r in twin("qlora_gpt4_vicuna")} == {"first", "second", "tie", None}


@pytest.mark.real_data
def test_qlora_original_answers():
    answers = {(side.model, r.question_id): side for r in original("qlora_gpt4_vicuna") for side in (r.first, r.second)}
    assert len(answers) == 8 * 80
    assert all(answer.text.strip() for answer in answers.values())
    assert sum(bool(answer.rest) for answer in answers.values()) == 36
    prompts = {r.prompt for r in original("qlora_gpt4_vicuna")}
    assert not prompts & {answer.text for answer in answers.values()}


def votes(*given, instruction="Do it.", first="one", second="two"):
    return real_rows.VotedPair(instruction, "", "x_y", first, second, given)


def test_pandalm_true_is_read_as_the_word_again():
    records = twin("pandalm_testset")
    assert [r.first for r in records].count("true") == 1
    assert all(isinstance(text, str) for r in records for text in (r.first, r.second))


def test_pandalm_votes_and_majorities():
    assert real_rows.VOTES == {0: "tie", 1: "first", 2: "second"}
    assert votes("first", "first", "second").majority == "first"
    assert votes("first", "tie", "second").majority is None
    assert list(real.pairs("pandalm_testset", [votes("tie", "tie", "first"), votes("first", "tie", "second")])) == []


def test_pandalm_pairs_leave_out_repeats_empty_responses_and_a_blank_instruction():
    sound = votes("second", "second", "tie")
    rows = [sound, replace(sound, models="x_z"), replace(sound, first=""), replace(sound, instruction=" ", given="G")]
    pairs = real.pairs("pandalm_testset", rows)
    assert list(pairs) == [{"prompt": "Do it.", "chosen": "two", "rejected": "one"}]
    assert [(refusal.field, refusal.found) for refusal in pairs.refused] == [("rejected", "''"), ("prompt", "''")]


@pytest.mark.real_data
def test_pandalm_original_traps():
    records = original("pandalm_testset")
    responses = [text for r in records for text in (r.first, r.second)]
    assert responses.count("true") == 6
    assert responses.count("") == 54
    assert sum(not r.instruction.strip() for r in records) == 1


def test_self_instruct_equal_and_empty_outputs_are_refused():
    row = real_rows.Demonstration("P", "Answer.", "Answer.\n\nInput: more", "Answer.")
    assert row.davinci_start == "Answer."
    rows = [row, replace(row, finetuned="", davinci="Other.\n\nInput: more")]
    for against, kept, refused in (("davinci", 2, 0), ("davinci_start", 1, 1), ("finetuned", 0, 2)):
        pairs = check(implied_pairs(rows, against), on_error="collect")
        assert (len(list(pairs)), pairs.refused_count) == (kept, refused), against


def test_self_instruct_files_that_do_not_match_are_noticed(tmp_path):
    folder = twins.write("self_instruct_demos", tmp_path)
    path = folder / "human_eval/predictions/davinci_predictions.jsonl"
    path.write_text("".join(sorted(path.read_text().splitlines(keepends=True))))
    with pytest.raises(ValueError, match="the three files tell of different tasks"):
        real.load("self_instruct_demos", tmp_path)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("against", "equal", "empty"), [("davinci", 0, 0), ("davinci_start", 8, 0), ("finetuned", 20, 1)]
)
def test_self_instruct_original_traps(against, equal, empty):
    pairs = check(list(implied_pairs(original("self_instruct_demos"), against)), on_error="collect")
    kept = len(list(pairs))
    found = Counter(refusal.expected for refusal in pairs.refused)
    assert found == Counter({"another text than chosen": equal, "a text with something to read": empty})
    assert kept == 252 - equal - empty


def transcripts(chosen, rejected, asked="\n\nHuman: Hi\n\nAssistant: Yes?\n\nHuman: Why?", other=None):
    return {"chosen": f"{asked}\n\nAssistant: {chosen}", "rejected": f"{other or asked}\n\nAssistant: {rejected}"}


def read_transcripts(folder, *rows):
    path = Path(folder) / "test.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    return real_rows.read_hh_rlhf({"harmless-base/test.jsonl.gz": path})


def test_hh_rlhf_parts_a_transcript_at_its_last_reply(tmp_path):
    records = read_transcripts(tmp_path, transcripts("Because.", "No."))
    asked = "\n\nHuman: Hi\n\nAssistant: Yes?\n\nHuman: Why?\n\nAssistant:"
    assert list(records) == [real_rows.Preferred(asked, "Because.", "No.")] and records.left_out.total() == 0
    assert list(real.pairs("hh_rlhf_harmless", records)) == [
        {"prompt": asked, "chosen": "Because.", "rejected": "No."}
    ]  # fmt: skip


def test_hh_rlhf_counts_rows_whose_transcripts_part_earlier_and_refuses_empty_replies(tmp_path):
    rows = [transcripts("a", "b"), transcripts("a", "b", other="\n\nHuman: Ho"), transcripts("a", "")]
    records = read_transcripts(tmp_path, *rows)
    assert len(records) == 2 and records.left_out == {"transcripts that part before the last reply": 1}
    pairs = real.pairs("hh_rlhf_harmless", records)
    assert len(list(pairs)) == 1 and [refusal.field for refusal in pairs.refused] == ["rejected"]


@pytest.mark.parametrize(
    ("prompt", "chosen", "rejected", "short"),
    [(80, 60, 1, True), (81, 60, 1, False), (80, 61, 1, False), (80, 1, 61, False), (80, 1, 0, False)],
)
def test_hh_rlhf_short_pairs(prompt, chosen, rejected, short):
    assert real_rows.Preferred(*("word " * n for n in (prompt, chosen, rejected))).short == short


@pytest.mark.real_data
def test_hh_rlhf_original_traps():
    records = original("hh_rlhf_harmless")
    assert records.left_out == {"transcripts that part before the last reply": 5}
    assert sum(not r.chosen.strip() or not r.rejected.strip() for r in records) == 4


ROOT = Path(__file__).parents[2]
RUN = 12  # words in a row that two texts do not share by chance


def runs_of_words(text):
    words = re.findall(r"[a-z']+", text.replace("\\n", " ").lower())
    return {" ".join(words[start : start + RUN]) for start in range(len(words) - RUN + 1)}


@pytest.mark.real_data
def test_no_text_of_hh_rlhf_stands_in_what_is_committed():
    """Its texts can be offensive: they are on no page, in no notebook and in no profile."""
    rows = original("hh_rlhf_harmless")
    theirs = set().union(*(runs_of_words(f"{r.prompt} {reply}") for r in rows for reply in (r.chosen, r.rejected)))
    assert runs_of_words(json.dumps({"cell": rows[0].prompt + rows[0].chosen})) & theirs
    committed = [
        path
        for folder in ("notebooks", "book", "exercises", "lessons_lib")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".ipynb", ".md", ".json", ".jsonl", ".py", ".yml") and "node_modules" not in path.parts
    ]
    assert len(committed) > 100
    assert [path for path in committed if runs_of_words(path.read_text(encoding="utf-8")) & theirs] == []


# Conversions and splits


@pytest.mark.parametrize("name", NAMES)
def test_every_dataset_becomes_pairs_ratings_and_judgements(name):
    records = twin(name)
    pairs, ratings = real.pairs(name, records), real.ratings(name, records)
    assert len(list(pairs)) >= 10 and pairs.shape == "paired"
    assert len(list(ratings)) >= 20 and ratings.shape == "unpaired"
    judgements = real.judgements(name, records)
    assert len(judgements) >= len(records)


@pytest.mark.parametrize("name", NAMES)
def test_judgements_are_what_the_profile_takes(name):
    from lessons_lib.data.judgements import FORMS, form_of

    judgements = real.judgements(name, twin(name))
    forms = {form_of(row) for row in judgements}
    assert len(forms) == 1 and forms <= set(FORMS)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "pairs", "ratings", "judgements"),
    [
        ("tulu1_human_eval", 768, 2292, 1150),
        ("feedbackqa_cdc", 233, 2529, 2529),
        ("qlora_gpt4_vicuna", 1272, 2544, 4480),
        ("pandalm_testset", 761, 1522, 2997),
        ("self_instruct_demos", 252, 504, 252),
        ("hh_rlhf_harmless", 2303, 4606, 2307),
    ],
)
def test_original_conversions(name, pairs, ratings, judgements):
    records = original(name)
    counts = [len(list(rows)) for rows in (real.pairs(name, records), real.ratings(name, records))]
    assert [*counts, len(real.judgements(name, records))] == [pairs, ratings, judgements]


def overlapping(load):
    """All pairs of the four datasets that share prompts, split with one seed: prompt keys by dataset and side."""
    splits = {}
    for name in ("tulu1_human_eval", "qlora_gpt4_vicuna", "pandalm_testset", "self_instruct_demos"):
        rows = split_by_prompt(real.pairs(name, load(name)), {"train": 0.5, "test": 0.5}, seed=3)
        splits[name] = {side: prompt_keys(part) for side, part in rows.items()}
    return splits


@pytest.mark.parametrize("load", [twin, pytest.param(original, marks=pytest.mark.real_data)])
def test_one_seed_splits_all_datasets_alike(load):
    splits = overlapping(load)
    train = frozenset().union(*(sides["train"] for sides in splits.values()))
    test = frozenset().union(*(sides["test"] for sides in splits.values()))
    assert train and test and not train & test
    assert splits["tulu1_human_eval"]["train"] & splits["self_instruct_demos"]["train"]


@pytest.mark.real_data
def test_original_prompts_overlap():
    apart = ("feedbackqa_cdc", "hh_rlhf_harmless")
    keys = {name: {prompt_key(r.prompt) for r in original(name)} for name in NAMES if name not in apart}
    tulu1, qlora, people = (keys[n] for n in ("tulu1_human_eval", "qlora_gpt4_vicuna", "self_instruct_demos"))
    assert (len(tulu1), len(qlora), len(people)) == (332, 80, 252)
    assert tulu1 == qlora | people
    # PandaLM damaged two of its 170: one lost its emojis, one its instruction (that one makes no pair).
    assert len(keys["pandalm_testset"]) == 170
    assert len(keys["pandalm_testset"] & people) == 168
    assert len(prompt_keys(real.pairs("pandalm_testset", original("pandalm_testset"))) - people) == 0
