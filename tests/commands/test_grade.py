"""`grade` on the command line: the two numbers it ends with."""

from types import SimpleNamespace

from lessons_lib.__main__ import main
from lessons_lib.grading import batch, submissions


def test_it_counts_full_marks_and_what_is_odd(tmp_path, monkeypatch, capsys):
    marks = {
        "ada": SimpleNamespace(points=4.0, of=4.0, status="graded", flags=()),
        "bob": SimpleNamespace(points=3.5, of=4.0, status="graded", flags=("no ticket",)),
        "cleo": SimpleNamespace(points=0.0, of=4.0, status="missing", flags=()),
        "dan": SimpleNamespace(points=1.0, of=4.0, status="graded", flags=()),
    }
    graded = SimpleNamespace(roster=[SimpleNamespace(id=name) for name in marks], marks=marks)
    monkeypatch.setattr(submissions, "read_roster", lambda *_: graded.roster)
    monkeypatch.setattr(batch, "grade", lambda *_, **__: graded)
    command = ["grade", "submitted", "--exercise", "05_implement_ipo", "--roster", "roster.csv"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    assert "4 learners, 1 with full marks, 2 with something odd" in capsys.readouterr().out
