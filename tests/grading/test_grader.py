"""The grader's trusted side: own numbers, comparison, submissions, sandbox arguments, batch, pages."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from attacks.corpus import ALL, SPEC, Attack

from lessons_lib.errors import UserError
from lessons_lib.grading import (
    assignments,
    batch,
    compare,
    gradebook,
    pages,
    sandbox,
    similarity,
    submissions,
    tickets,
    wire,
)
from lessons_lib.grading.marking import CaseMark, ItemMark, Mark
from lessons_lib.grading.spec import Exercise, Item, Limits
from lessons_lib.grading.submissions import Learner, Submission

SALT = b"s" * 32


@pytest.fixture(scope="module")
def walled():
    try:
        sandbox.self_test()
    except UserError as error:
        pytest.skip(str(error))


# ---------------------------------------------------------------- own numbers


def test_own_numbers_are_the_same_again_and_nobody_elses():
    def draw(salt, *parts):
        return tickets.hidden(salt, *parts).random()

    first = draw(SALT, "ada", "05_implement_ipo", "tau_for_margin")
    assert first == draw(SALT, "ada", "05_implement_ipo", "tau_for_margin")
    others = [
        draw(b"t" * 32, "ada", "05_implement_ipo", "tau_for_margin"),
        draw(SALT, "bob", "05_implement_ipo", "tau_for_margin"),
        draw(SALT, "ada", "06_implement_kto", "tau_for_margin"),
        draw(SALT, "ada", "05_implement_ipo", "averaged_tau"),
        draw(SALT, "ad", "a05_implement_ipo", "tau_for_margin"),
    ]
    assert len({first, *others}) == 6


def test_a_ticket_is_no_way_to_the_hidden_inputs():
    ticket = tickets.ticket(SALT, "ada", "14_capstone")
    assert len(ticket) == 12
    assert tickets.numbers(ticket).random() == tickets.numbers(f" {ticket.upper()} ").random()
    assert tickets.numbers(ticket).random() != tickets.hidden(SALT, "ada", "14_capstone", "rule").random()
    assert ticket != tickets.ticket(SALT, "bob", "14_capstone")


@pytest.mark.parametrize("name", assignments.names())
def test_a_neighbours_numbers_do_not_pass(name):
    """Over 500 learners, all pairs: at most one in a thousand finds all her neighbour's answers right for her too."""
    exercise = assignments.load(name).exercise
    learners = [f"learner{i:03d}" for i in range(500)]
    drawn = [json.dumps(tickets.cases_of(exercise, SALT, learner), sort_keys=True) for learner in learners]
    same = len(drawn) - len(set(drawn))
    assert same <= 0.001 * len(drawn)


def test_three_quoted_numbers_of_a_neighbour_pass_at_most_once_in_a_thousand():
    """The measure that the design names: three numbers, compared as the grader compares."""
    item = next(i for i in assignments.load("5").exercise.items if i.name == "tau_for_margin")
    right = []
    for number in range(500):
        cases = item.cases(tickets.hidden(SALT, f"learner{number}", "05_implement_ipo", item.name))
        right.append([(case, compare.expected(item, case)) for case in cases])
    pairs = [(a, b) for a in range(500) for b in range(500) if a != b]
    passed = sum(all(map(_passes, [item] * 3, right[a], right[b])) for a, b in pairs)
    assert passed <= 0.001 * len(pairs)


def _passes(item, mine, theirs):
    (case, right), (_, came) = mine, theirs
    return compare.share(item, case, right, came)[0] == 1


def test_the_salt_is_drawn_once_and_kept_from_others(tmp_path):
    salt = tickets.read_salt(tmp_path / "course" / "salt.txt")
    assert len(salt) == 64
    assert tickets.read_salt(tmp_path / "course" / "salt.txt") == salt
    assert (tmp_path / "course" / "salt.txt").stat().st_mode & 0o077 == 0
    (tmp_path / "short").write_text("abc")
    with pytest.raises(UserError, match="32 characters"):
        tickets.read_salt(tmp_path / "short")


# ---------------------------------------------------------------- comparison

NUMBER = Item("n", 1, expected=lambda x: x, cases=lambda rng: [{"x": 2.0}])


def verdict(came, right=2.0, item=NUMBER):
    return compare.share(item, {"x": right}, {"json": right}, came)[0]


@pytest.mark.parametrize(
    ("right", "came", "passes"),
    [
        (2.0, 2.0, True),
        (2.0, 2, True),
        (2.0, 2.000001, True),
        (2.0, 2.00001, False),
        (2.0, -2.0, False),
        (0.0, 1e-10, True),
        (1, True, False),
        (2.0, "2.0", False),
        (2.0, None, False),
        (2.0, math.nan, False),
        (2.0, math.inf, False),
        (math.nan, math.nan, True),
        (2.0, 10**400, False),
        (2.0, [2.0], False),
        (True, True, True),
        (True, 1, False),
        ("dpo", "dpo", True),
        ("dpo", "DPO", False),
        (None, None, True),
        (None, 0, False),
        ([1, 2.0], [1, 2], True),
        ([1, 2.0], [2, 1], False),
        ([1], [1, 1], False),
        ([], 0, False),
        ({"a": 1, "b": [2]}, {"b": [2], "a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": 1}, [["a", 1]], False),
    ],
)
def test_json_answers(right, came, passes):
    assert verdict({"json": came}, right) == float(passes)


@pytest.mark.parametrize(
    "came", [None, [], "right", 2.0, {}, {"tensor": [1, 2]}, {"share": 1}, {"json": {"json": 2.0}}]
)
def test_answers_that_are_no_answers(came):
    assert verdict(came) == 0


def test_a_tensor_of_one_number_counts_as_the_number():
    assert verdict({"tensor": 2.0}) == verdict({"tensor": [[2.0]]}) == 1


TENSOR = Item("t", 1, cases=lambda rng: [{"x": {"tensor": [1.0, 2.0]}}], expected=lambda x: x**2, gradient=("x",))


@pytest.mark.parametrize(
    ("function", "share", "why"),
    [
        (lambda x: x * x, 1, ""),
        (lambda x: (x * x).detach(), 0, "no gradient"),
        (lambda x: x * x.detach(), 0, "the gradient with respect to x"),
        (lambda x: (x * x)[:, None], 0, "expected"),
        (lambda x: (x * x).mean(), 0, "2 values were expected"),
        (lambda x: (x * x).tolist(), 0, "a tensor was expected"),
        (lambda x: -x * x, 0, "not the right value"),
        (lambda x: None, 0, "nothing was returned"),
    ],
)
def test_tensors_and_their_gradients(function, share, why):
    case = {"x": {"tensor": [1.0, 2.0]}}
    came = json.loads(json.dumps(wire.call(function, case, ("x",))))
    got, said = compare.share(TENSOR, case, compare.expected(TENSOR, case), came)
    assert got == share
    assert why in said


@pytest.mark.parametrize("share", [2.0, -1.0, math.nan, "x", None])
def test_a_judge_gives_no_more_than_there_is(share):
    item = Item("j", 1, judge=lambda answer, case: share)
    assert compare.share(item, None, None, {"json": 1})[0] == (1.0 if share == 2.0 else 0.0)


def test_a_judge_that_breaks_gives_nothing():
    item = Item("j", 1, judge=lambda answer, case: answer["method"] == "dpo")
    assert compare.share(item, None, None, {"json": 5})[0] == 0


def test_arguments_come_back_as_they_were_meant():
    import torch

    case = {
        "a": {"tensor": [0.1, -3]},
        "b": {"tensor": [True, False]},
        "c": [{"tensor": [[1]]}],
        "d": {"tensor": 1, "e": 2},
    }
    decoded = wire.decode_case(case, ("a",))
    assert decoded["a"].dtype == torch.float64 and decoded["a"].requires_grad and decoded["a"][0].item() == 0.1
    assert decoded["b"].dtype == torch.bool
    assert decoded["c"][0].shape == (1, 1)
    assert decoded["d"] == {"tensor": 1, "e": 2}


def test_what_cannot_be_marked_is_named():
    with pytest.raises(TypeError, match="an answer of type object"):
        wire.encode(object())
    assert wire.encode(...) == {"json": None}


# ---------------------------------------------------------------- rosters and submissions


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name\nada\n", "a column id"),
        ("", "a column id"),
        ("id\nada\nADA\n", "each id once"),
        ("id\n../etc\n", "line 2, column id"),
        ("id\nada\n\\x1b\n", "line 3, column id"),
        ("id\n-rf\n", "line 2, column id"),
        ("id\n,\n", "line 2, column id"),
    ],
)
def test_a_wrong_roster_is_refused_and_says_where(tmp_path, text, says):
    (tmp_path / "roster.csv").write_text(text)
    with pytest.raises(UserError, match=says):
        submissions.read_roster(tmp_path / "roster.csv")


def test_a_roster_with_names_and_another_column(tmp_path):
    (tmp_path / "roster.csv").write_text("\ufeffstudent_id,first_name,last_name\nada@x.org,Ada,L\n", encoding="utf-8")
    assert submissions.read_roster(tmp_path / "roster.csv") == [Learner("ada@x.org", "", "Ada", "L")]


def read(folder, learner="ada"):
    return submissions.read_submission(folder, learner, "light.ipynb", ALL)


@pytest.mark.parametrize("place", ["ada/light.ipynb", "ada.ipynb", "ada/light/light.ipynb", "ada/a/b/light.ipynb"])
def test_where_submissions_may_lie(tmp_path, place):
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_bytes(Attack(solved=ALL).notebook())
    found = read(tmp_path)
    assert (found.status, found.flags, len(found.cells)) == ("read", (), 4)


def test_several_files_and_none(tmp_path):
    assert read(tmp_path).status == "missing"
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada/light.ipynb").write_bytes(Attack(solved=ALL).notebook())
    (tmp_path / "ada/copy.ipynb").write_bytes(Attack().notebook())
    found = read(tmp_path)
    assert found.flags == ("several_files",)
    assert "so_far" in "".join(found.cells)


def test_the_fingerprint_changes_with_the_file_and_with_what_is_odd(tmp_path):
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada/light.ipynb").write_bytes(Attack(solved=ALL).notebook())
    first = read(tmp_path).fingerprint
    (tmp_path / "ada/light.ipynb").rename(tmp_path / "ada/mine.ipynb")
    assert len({first, read(tmp_path).fingerprint, read(tmp_path, "bob").fingerprint}) == 3


# ---------------------------------------------------------------- the wall's arguments


def test_the_empty_tmp_comes_before_what_may_lie_below_it():
    """A clone in /tmp would otherwise be hidden from its own child."""
    inner = sandbox._inner_wall(Limits(), ())
    assert inner.index("--tmpfs") < inner.index("--ro-bind")


def test_the_arguments_hold_what_protects():
    arguments = sandbox.command(Limits())
    inner = arguments[arguments.index("--unshare-all") :]
    for flag in ("--unshare-user", "--disable-userns", "--die-with-parent", "--new-session", "--clearenv"):
        assert flag in inner
    assert inner[inner.index("--uid") + 1] == inner[inner.index("--gid") + 1] == str(sandbox.NOBODY)
    assert inner[inner.index("--cap-drop") + 1] == "ALL"
    assert inner[inner.index("--remount-ro") + 1] == "/"
    assert "--share-net" not in inner
    assert not {"--bind", "--bind-try", "--dev", "--proc"} & set(inner)
    assert [inner[i + 1] for i, part in enumerate(inner) if part == "--dev-bind"] == [
        "/dev/null", "/dev/zero", "/dev/random", "/dev/urandom",
    ]  # fmt: skip
    tmp = inner.index("--tmpfs")
    assert (inner[tmp - 2], inner[tmp + 1]) == ("--size", "/tmp")
    if os.geteuid() == 0:
        assert f"--reuid={sandbox.NOBODY}" in arguments
        assert "--clear-groups" in arguments


def test_nobody_is_the_systems_nobody():
    pwd = pytest.importorskip("pwd", reason="the sandbox is Linux's")
    assert pwd.getpwuid(sandbox.NOBODY).pw_name == "nobody"


def test_nothing_secret_is_shown():
    arguments = sandbox.command(Limits())
    shown = [arguments[i + 1] for i, part in enumerate(arguments) if part.startswith("--ro-bind")]
    exercises = assignments.EXERCISES
    for path in map(Path, shown):
        assert not exercises.is_relative_to(path), f"{path} would show the exercises' specs"
        assert path not in (Path("/"), Path("/etc"), Path("/home"), Path("/proc"), Path("/var"))


def test_the_self_test_says_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="apt-get install bubblewrap.*Nothing was graded"):
        sandbox.self_test()


def test_the_self_test_refuses_other_systems(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(UserError, match="This is darwin"):
        sandbox.self_test()


@pytest.mark.slow
def test_the_self_test_notices_a_wall_with_a_hole(walled, monkeypatch):
    """Without a line that protects, the self-test fails: it would notice a bubblewrap that ignores it."""
    whole = sandbox._inner_wall

    def without(*flags):
        return lambda limits, files: [part for part in whole(limits, files) if part not in flags]

    monkeypatch.setattr(sandbox, "_inner_wall", without("--clearenv"))
    assert sandbox.failures() == ["not so: the environment is its own"]
    monkeypatch.setattr(sandbox, "_inner_wall", without("--disable-userns"))
    assert sandbox.failures() == ["not so: nested namespaces are refused"]
    shown = ["--dir", str(assignments.EXERCISES)]
    monkeypatch.setattr(sandbox, "_inner_wall", lambda limits, files: _before_end(whole(limits, files), shown))
    assert "not so: the rest of the disk is not there" in sandbox.failures()


def _before_end(arguments, more):
    end = arguments.index("--remount-ro")
    return [*arguments[:end], *more, *arguments[end:]]


@pytest.mark.slow
def test_grading_does_not_start_where_the_self_test_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox, "failures", lambda limits=None: ["not so: the network is out of reach"])
    with pytest.raises(UserError, match="the network is out of reach|apt-get install"):
        batch.grade(tmp_path, str(SPEC), [Learner("ada")], tmp_path / "out")
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------- batches


def class_of(folder, **attacks):
    for name, attack in attacks.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "light.ipynb").write_bytes(attack.notebook())
    return [Learner(name) for name in attacks]


MIXED = {
    "ada": Attack(solved=ALL),
    "bob": Attack(solved=("distance",), code="import os\nos._exit(3)"),
    "cyd": Attack(content=b"{"),
    "dan": Attack(solved=("total", "answer")),
}


@pytest.mark.slow
def test_one_worker_and_two_give_the_same(walled, tmp_path):
    roster = class_of(tmp_path / "in", **MIXED)
    salt = tmp_path / "salt.txt"
    one = batch.grade(tmp_path / "in", str(SPEC), roster, tmp_path / "one", salt_path=salt, workers=1)
    two = batch.grade(tmp_path / "in", str(SPEC), roster, tmp_path / "two", salt_path=salt, workers=2)
    assert one.marks == two.marks
    assert {name: mark.points for name, mark in one.marks.items()} == {"ada": 8, "bob": 2, "cyd": 0, "dan": 4}
    for name in ("marks.csv", "nbgrader.csv", "report.html", "feedback/bob.html"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.slow
def test_only_what_changed_is_graded_again(walled, tmp_path):
    roster = class_of(tmp_path / "in", **MIXED)
    graded = []

    def noting(marks, total):
        for mark in marks:
            graded.append(mark.learner)
            yield mark

    def grade(**options):
        graded.clear()
        batch.grade(tmp_path / "in", str(SPEC), roster, tmp_path / "out", workers=1, progress=noting, **options)
        return sorted(graded)

    assert grade() == ["ada", "bob", "cyd", "dan"]
    assert grade() == []
    (tmp_path / "in/dan/light.ipynb").write_bytes(Attack(solved=ALL).notebook())
    assert grade() == ["dan"]
    assert "dan,,8.0,8,graded" in (tmp_path / "out/marks.csv").read_text()
    assert grade(again=True) == ["ada", "bob", "cyd", "dan"]
    (tmp_path / "out/salt.txt").write_text("another salt, as long as it must be for that\n")
    assert grade() == ["ada", "bob", "cyd", "dan"]


@pytest.mark.slow
def test_a_killed_batch_goes_on_and_loses_nothing(walled, tmp_path):
    many = {f"learner{i:02d}": Attack(solved=ALL, code="import time\ntime.sleep(0.5)") for i in range(8)}
    roster = class_of(tmp_path / "in", **many)
    (tmp_path / "roster.csv").write_text("id\n" + "".join(f"{learner.id}\n" for learner in roster))
    command = [sys.executable, "-m", "lessons_lib", "grade", str(tmp_path / "in"), "--exercise", str(SPEC)]
    command += ["--roster", str(tmp_path / "roster.csv"), "--out", str(tmp_path / "out"), "--workers", "1"]
    book = tmp_path / "out" / "gradebook.sqlite"
    first = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while _written(book) < 2:
            assert first.poll() is None, "it ended before it could be killed"
            time.sleep(0.05)
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    kept = _written(book)
    assert 2 <= kept < 8
    second = subprocess.run(command, capture_output=True, text=True)
    assert second.returncode == 0, second.stderr
    assert f"/{8 - kept} " in second.stderr  # the progress bar counts what was left
    assert (tmp_path / "out/marks.csv").read_text().count(",8.0,8,graded,") == 8


def _written(book):
    if not book.exists():
        return 0
    try:
        with sqlite3.connect(f"file:{book}?mode=ro", uri=True) as database:
            return database.execute("SELECT count(*) FROM marks").fetchone()[0]
    except sqlite3.OperationalError:  # the table is not there yet
        return 0


def test_a_sandbox_that_does_not_start_costs_nobody_points(monkeypatch):
    monkeypatch.setattr(sandbox, "command", lambda limits, files=(): ["sh", "-c", "echo no room >&2; exit 1"])
    with pytest.raises(UserError, match="ada: the sandbox did not start: no room.*is kept"):
        batch._mark(str(SPEC), Submission("ada", cells=("x = 1",)), SALT)


# ---------------------------------------------------------------- what people read


def mark(learner="ada", share=1.0, advice="", why="", status="graded", flags=(), name="distance"):
    case = CaseMark({"x": -2.5}, {"json": 2.5}, {"json": -2.5}, share, why)
    return Mark(learner, status, flags, "f", (ItemMark(name, 2 * share, 2, (case,), advice),))


def light():
    return assignments.load(str(SPEC))


def test_feedback_teaches():
    page = pages.feedback(light(), Learner("ada", "Ada"), mark(share=0.0, why="not the right value", advice="✗ sign?"))
    for part in (
        "0 of 2 points",
        "<td>x</td><td>-2.5</td>",
        "<td>expected</td><td>2.5</td>",
        "not the right value",
        "✗ sign?",
    ):
        assert part in page
    assert "Right on the hidden input" in pages.feedback(light(), Learner("ada"), mark())
    assert "ends in the middle" in pages.feedback(light(), Learner("ada"), mark(status="cut_off"))
    assert "ran too long" in pages.feedback(light(), Learner("ada"), mark(flags=("time",)))


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "\x1b[31m", "\ud800", "\u202eevil", "&lt;"])
def test_pages_show_what_came_as_text(text):
    page = pages.feedback(light(), Learner("ada"), mark(share=0.0, why=text, advice=f"✗ {text}"))
    page.encode()
    assert "<script" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page


def batch_of(*marks, answers=None):
    """A class whose exercise has the one item that `mark` makes; its checks are those of lesson 5."""
    assignment = assignments.Assignment(Exercise(5, "light.ipynb", (Item("distance", 2),)), (), {}, (), (), "")
    answers = answers or {}
    read = {m.learner: Submission(m.learner, answers=answers.get(m.learner, ()), digest=m.learner) for m in marks}
    roster = [Learner(m.learner) for m in marks]
    return pages.Batch(assignment, roster, read, {m.learner: m for m in marks}, ["stranger"])


def test_the_class_report():
    made_up = mark("made_up", 0.0, "✗ likely cause: my own invention: hint", "not the right value")
    known = mark("known", 0.0, "✗ with 1\nlikely cause: τ/2 for 1/(2τ): hint")
    marks = [mark(f"l{i}", share=i / 4) for i in range(5)]
    page = pages.class_report(batch_of(*marks, made_up, known, mark("gone", 0.0, status="missing")))
    assert "7 of 8 learners" in page
    assert "1 of 7" in page  # full marks
    assert "<td>τ/2 for 1/(2τ)</td><td>1</td>" in page
    assert "my own invention" not in page
    assert "<td>gone</td><td>missing</td>" in page
    assert "stranger" in page


def test_alike_answers_are_questions():
    copied = """def total(values):
    zork = 7 * 3 - 21
    for entry in sorted(values, key=lambda v: -v):
        zork += entry
    return zork"""
    usual = "def total(values):\n    return sum(values)"
    answers = {f"l{i}": (usual,) for i in range(20)} | {"a": (copied,), "b": (copied.replace("    ", "  "),)}
    assert similarity.alike(answers, ()) == [("a", "b", 1.0)]
    assert similarity.alike(answers, (copied,)) == []
    page = pages.class_report(batch_of(*(mark(name) for name in answers), answers=answers))
    assert "<td>a</td><td>b</td>" in page
    assert "questions and not verdicts" in page


def test_the_same_file_twice_is_a_question_and_the_stub_twice_is_none():
    answers = {"a": ("x = 1",), "b": ("x = 1",), "c": ("x = ...",), "d": ("x = ...",)}
    group = batch_of(*map(mark, answers), answers=answers)
    same = {"a": "one", "b": "one", "c": "stub", "d": "stub"}
    read = {name: dataclasses.replace(group.submissions[name], digest=same[name]) for name in answers}
    assignment = dataclasses.replace(group.assignment, given=("x = ...",))
    page = pages.class_report(dataclasses.replace(group, submissions=read, assignment=assignment))
    assert "<td>a</td><td>b</td><td>the very same file</td>" in page
    assert page.count("the very same file") == 1


def test_csv_files(tmp_path):
    marks = {"ada": mark("ada"), "bob": mark("bob", 0.5, flags=("time", "exit"))}
    roster = [Learner("bob", "=cmd()", "Bob", "B", "b@x.org"), Learner("ada")]
    gradebook.write_csv(tmp_path / "marks.csv", roster, marks)
    assert (tmp_path / "marks.csv").read_text().splitlines() == [
        "id,name,points,of,status,flags,distance",
        "bob,'=cmd(),1.0,2,graded,time exit,1.0",
        "ada,,2.0,2,graded,,2.0",
    ]
    gradebook.write_nbgrader_csv(tmp_path / "nbgrader.csv", "light", roster, marks)
    assert (tmp_path / "nbgrader.csv").read_text().splitlines()[1] == "light,,,bob,B,Bob,b@x.org,1.0,0.0,1.0,2"


def test_the_grade_book_gives_back_what_was_written(tmp_path):
    with gradebook.GradeBook(tmp_path / "book.sqlite", "light", "spec and salt") as book:
        written = mark("ada", 0.5, "✗ why", flags=("time",))
        book.write(written)
        assert book.marks() == {"ada": written}
        assert book.standing() == {"ada": "f"}
    with gradebook.GradeBook(tmp_path / "book.sqlite", "light", "another spec") as book:
        assert book.standing() == {}


def test_an_unknown_exercise_is_named():
    with pytest.raises(UserError, match="no exercise called '77'; there are: .*05_implement_ipo"):
        assignments.load("77")
    assert assignments.load("5").exercise.name == assignments.load("05_implement_ipo").exercise.name


def test_every_item_says_how_it_is_marked():
    for name in assignments.names():
        for item in assignments.load(name).exercise.items:
            assert (item.expected is None) != (item.judge is None), f"{name}, {item.name}"
            assert (item.points == 0) == item.person and item.points >= 0
            if item.cases:
                drawn = item.cases(random.Random(1))
                json.dumps(drawn)
                assert drawn, f"{name}, {item.name}"
