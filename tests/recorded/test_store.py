"""The store of recorded runs: what is written is read back, missing files name their command, and reading is light."""

import json
import math

import pytest

from lessons_lib.errors import UserError
from lessons_lib.lab import studies
from lessons_lib.lessons.lesson01 import studies as lesson01
from lessons_lib.recorded import store
from tests.test_layering import loaded_by

MADE = {"command": "a test", "date": "2026-01-01"}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "RECORDED", tmp_path)
    return tmp_path


def test_a_study_is_read_as_it_was_written(here):
    path = store.write_study("made", ["arm", "gold"], [["dpo", 1.5], ["ipo", None]], MADE)
    assert path == here / "made.json" and '\n["dpo", 1.5],\n' in path.read_text()  # a line a row
    rows = [{"arm": "dpo", "gold": 1.5}, {"arm": "ipo", "gold": None}]
    assert store.read_study("made") == (MADE, rows)


@pytest.mark.parametrize("path", sorted(store.RECORDED.glob("*.json")), ids=lambda path: path.stem)
def test_recorded_studies_stand_as_the_store_writes_them(path, here):
    stored = json.loads(path.read_text())
    again = store.write_study(path.stem, stored["columns"], stored["data"], stored["provenance"])
    assert again.read_text() == path.read_text()


def test_a_studys_table_is_its_file():
    (study,) = (found for found in vars(lesson01).values() if isinstance(found, studies.Study))
    table, stored = studies.recorded(study), store.read_study(study.name)
    assert len(table) == len(stored.rows) and table.attrs["provenance"] == stored.provenance
    assert table.iloc[-1]["gold"] == stored.rows[-1]["gold"]


def test_logs_are_read_as_they_were_written(tmp_path):
    runs = [{"fault": "healthy", "log": {"loss": [0.6, None]}}, {"fault": "not_finite", "log": {"loss": [math.nan]}}]
    store.write_logs(tmp_path / "logs.json", runs, MADE)
    one, other = store.read_logs(tmp_path / "logs.json")
    assert one == runs[0] and math.isnan(other["log"]["loss"][0])


def test_a_finished_table_takes_the_unfinished_ones_place(tmp_path):
    store.append(tmp_path, "made", [{"seed": 0, "gold": 1 / 3}])
    assert store.so_far(tmp_path, "made") == [{"seed": 0, "gold": 1 / 3}] and not store.has_table("made", tmp_path)
    store.write(tmp_path, "made", store.so_far(tmp_path, "made"), MADE)
    assert store.has_table("made", tmp_path) and not store.unfinished(tmp_path, "made").exists()
    table = store.read("made", tmp_path)
    assert table.to_dict("records") == [{"seed": 0, "gold": 0.33333}] and table.attrs["provenance"] == MADE


def test_what_is_missing_names_the_command_that_makes_it(here):
    with pytest.raises(UserError, match=r"no made.json yet; make it: .* lab record made"):
        store.read_study("made")
    with pytest.raises(UserError, match=r"no made.parquet yet; make it: .* benchmark"):
        store.read("made")


def test_studies_are_read_without_pandas():
    assert loaded_by("from lessons_lib.recorded import store; store.read_study('noise_reused')") == {"lessons_lib"}
