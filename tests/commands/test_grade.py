"""`grade` on the command line: what it ends with."""

from types import SimpleNamespace

from lessons_lib.__main__ import main
from lessons_lib.grading import batch, pages


def graded(given=(), **more):
    marks = {
        "ada": SimpleNamespace(learner="ada", points=4.0, of=4.0, status="graded", flags=()),
        "bob": SimpleNamespace(learner="bob", points=3.5, of=4.0, status="graded", flags=("no_ticket",)),
        "cleo": SimpleNamespace(learner="cleo", points=0.0, of=4.0, status="missing", flags=()),
        "dan": SimpleNamespace(learner="dan", points=1.0, of=4.0, status="graded", flags=()),
    } | more
    learners = [SimpleNamespace(id=name) for name in marks]
    return pages.Batch(
        None, learners, marks, layouts=["Moodle"], strangers=["eve"], departed=["zoe"], given=dict.fromkeys(given)
    )


def said_of(outcome, tmp_path, monkeypatch, capsys):
    (tmp_path / "roster.csv").write_text("ID;name\nada;Ada\n")
    monkeypatch.setattr(batch, "grade", lambda *_, **__: outcome)
    command = ["grade", "submitted", "--exercise", "05_implement_ipo", "--roster", str(tmp_path / "roster.csv")]
    code = main([*command, "--out", str(tmp_path)])
    return code, capsys.readouterr().out


def test_it_counts_full_marks_and_what_is_odd(tmp_path, monkeypatch, capsys):
    code, said = said_of(graded(), tmp_path, monkeypatch, capsys)
    assert code == 0
    assert "4 learners: 1 with full marks, 1 missing, 2 with something odd" in said
    assert "1 learners; UTF-8, columns split at semicolons; id from 'ID'" in said
    assert "recognised as: Moodle" in said and "not opened: 1, such as 'eve'" in said
    assert "their marks are kept: 1, such as zoe" in said


def test_a_learner_without_a_mark_ends_it_with_code_1(tmp_path, monkeypatch, capsys):
    failed = SimpleNamespace(learner="fay", points=0.0, of=4.0, status="not_marked", flags=())
    code, said = said_of(graded(fay=failed), tmp_path, monkeypatch, capsys)
    assert code == 1
    assert "the grader failed on fay" in said


def test_points_that_reach_nobody_are_said(tmp_path, monkeypatch, capsys):
    """A spreadsheet made 7 of 007; who has left the roster is no such case."""
    given = [(name, "paragraph") for name in ("ada", "7", "zoe")]
    _, said = said_of(graded(given), tmp_path, monkeypatch, capsys)
    assert "by_hand.csv: these ids are not on the roster, their points reach nobody: 7\n" in said
