"""The readings of `make bench`: one benchmark's run leaves the others alone, and the page can show what is kept."""

from __future__ import annotations

import json
import re
import sys

import pytest

ROWS = {"what", "measured", "target", "ok", "note"}


@pytest.fixture
def bench(root, monkeypatch):
    """tests/benchmarks/run.py and table.py, which are scripts beside each other."""
    monkeypatch.syspath_prepend(str(root / "tests" / "benchmarks"))
    import run
    import table

    yield run, table.Row
    for name in ("run", "table"):
        sys.modules.pop(name)


def test_a_run_replaces_its_own_rows_alone(bench, tmp_path):
    run, Row = bench
    path = tmp_path / "readings.json"
    run.keep("site", [Row("a", "1 s"), Row("b", "2 s")], path)
    run.keep("lessons", [Row("c", "3 s", "≤ 4 s", True)], path)
    run.keep("site", [Row("d", "5 s")], path)
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert {name: [row["what"] for row in one["rows"]] for name, one in kept.items()} == {
        "lessons": ["c"],
        "site": ["d"],
    }
    assert kept["site"]["machine"] and kept["site"]["date"] and kept["site"]["versions"]["torch"]


def test_a_broken_benchmark_keeps_the_readings(bench, tmp_path, monkeypatch):
    run, Row = bench
    kept = []
    monkeypatch.setattr(run, "keep", lambda name, rows: kept.append(name))
    monkeypatch.setattr(run, "run_one", lambda name: [Row(name, "broke with exit code 1" if name == "site" else "1 s")])
    assert run.main(["site", "lessons"]) == 1
    assert kept == ["lessons"]
    assert run.main(["nonsense"]) == 2


def test_the_readings_are_of_benchmarks_that_exist(root):
    folder = root / "tests" / "benchmarks"
    readings = json.loads((folder / "readings.json").read_text(encoding="utf-8"))
    assert readings and all((folder / f"bench_{name}.py").exists() for name in readings)
    assert all(set(row) == ROWS for one in readings.values() for row in one["rows"])
    open_ = [row for one in readings.values() for row in one["rows"] if "no GPU" in row["measured"]]
    assert all(row["ok"] is None for row in open_)


def test_the_page_types_no_verdict_by_hand(root):
    """Numbers of the table come from the file; the prose names no target as met."""
    text = (root / "book" / "speed.md").read_text(encoding="utf-8")
    prose = re.sub(r"```.*?```", "", text, flags=re.S)
    assert "readings.json" in text and not re.search(r"\bis met\b|\bare met\b", prose)
