"""Accidents of an instructor's day: none loses anybody's honest work, and each refusal says what to do.

Each test's first line is its row in the book's table of accidents (`tests/attacks/tables.py` writes it).
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import unicodedata
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from attacks.corpus import ALL, SOLUTIONS, SPEC, Attack, _cells, _notebook_with

from lessons_lib.__main__ import main
from lessons_lib.errors import UserError
from lessons_lib.grading import (
    assignments,
    batch,
    by_hand,
    cells,
    collect,
    files,
    gradebook,
    lateness,
    marking,
    preflight,
    quizzes,
    roster,
    sandbox,
    submissions,
    tickets,
)
from lessons_lib.grading.roster import Learner
from lessons_lib.grading.submissions import Submission

RIGHT = Attack(solved=ALL).notebook()
SALT = b"s" * 32


@pytest.fixture(scope="module")
def walled():
    try:
        sandbox.self_test()
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture
def trusting(walled, monkeypatch):
    """Without the self-test, which other tests here look at."""
    monkeypatch.setattr(preflight, "check", lambda assignment: None)
    monkeypatch.setattr(preflight, "recheck", lambda assignment: None)


def hand_in(folder, *names, content=RIGHT):
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "light.ipynb").write_bytes(content)
    return [Learner(name) for name in names]


def grade(tmp_path, learners, spec=SPEC, **options):
    options.setdefault("workers", 0)
    return batch.grade(tmp_path / "in", str(spec), learners, tmp_path / "out", **options)


def points(done):
    return {name: mark.points for name, mark in done.marks.items()}


def written(tmp_path):
    with sqlite3.connect(tmp_path / "out/gradebook.sqlite") as book:
        return dict(book.execute("SELECT learner, points FROM marks"))


def own_spec(tmp_path, change):
    """A copy of the light exercise, its spec changed."""
    folder = tmp_path / "own"
    shutil.copytree(SPEC.parents[1], folder)
    spec = folder / "specs/light.py"
    spec.write_text(change(spec.read_text()))
    return spec


# ---------------------------------------------------------------- the installation


def elsewhere(monkeypatch, folder):
    """Children take the library from another folder than the grader: it is a command's last word."""
    whole = sandbox.command
    monkeypatch.setattr(sandbox, "command", lambda *a, **k: [*whole(*a, **k)[:-1], str(folder)])


@pytest.mark.slow
def test_another_copy_of_the_library_is_installed(walled, tmp_path, monkeypatch):
    """The children would import another copy of the library: grading does not start."""
    copy = tmp_path / "checkout"
    shutil.copytree(
        sandbox.PACKAGE, copy / "lessons_lib", ignore=shutil.ignore_patterns("__pycache__", "assets", "data")
    )
    shown = [*sandbox._files(), "--ro-bind", str(copy), str(copy)]
    monkeypatch.setattr(sandbox, "_files", lambda: shown)
    elsewhere(monkeypatch, copy)
    learners = hand_in(tmp_path / "in", "ada")
    with pytest.raises(UserError, match="self-test failed.*checkout"):
        grade(tmp_path, learners)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_versions_differ(walled, monkeypatch):
    """The children run another version of the library than the grader: grading does not start."""
    monkeypatch.setattr("lessons_lib.__version__", "another")
    with pytest.raises(UserError, match="a child has lessons_lib"):
        preflight.recheck(assignments.load(str(SPEC)))


@pytest.mark.slow
def test_the_solution_would_not_pass(walled, monkeypatch):
    """A spec and its solution contradict each other: grading does not start, and says which item."""
    quiz = assignments.load("quiz_phase_1")
    monkeypatch.setattr(preflight, "_same_code", lambda assignment: None)
    monkeypatch.setattr(quizzes, "right_answers", lambda exercise: ("q01_own_reward = 'z'",))
    with pytest.raises(UserError, match="the solution got 0 of"):
        preflight.check(quiz)


def test_the_install_breaks_half_way(walled, tmp_path, monkeypatch):
    """The installation breaks while a class is graded: marks since the last good self-test go, those before stay."""
    monkeypatch.setattr(preflight, "check", lambda assignment: None)
    tests = iter([None, None, UserError("broken")])

    def recheck(assignment):
        if error := next(tests, None):
            raise error

    monkeypatch.setattr(preflight, "recheck", recheck)
    learners = hand_in(tmp_path / "in", *(f"l{i}" for i in range(8)))
    with pytest.raises(UserError, match="broken The last 4 marks are thrown away"):
        grade(tmp_path, learners)
    assert len(written(tmp_path)) == 3
    assert set(points(grade(tmp_path, learners)).values()) == {8}


def test_the_library_changes_half_way(trusting, tmp_path, monkeypatch):
    """Somebody updates the library while a class is graded: the batch stops and keeps what was made before."""
    digests = iter(["one", "one", "two"])
    monkeypatch.setattr(assignments, "digest", lambda name: next(digests, "two"))
    learners = hand_in(tmp_path / "in", "ada", "bob", "cyd")
    with pytest.raises(UserError, match="changed while grading"):
        grade(tmp_path, learners)
    assert written(tmp_path) == {"ada": 8}


def test_the_spec_is_changed(trusting, tmp_path):
    """A spec is corrected after grading: its marks are made again."""
    spec = own_spec(tmp_path, lambda text: text)
    learners = hand_in(tmp_path / "in", "ada")
    assert points(grade(tmp_path, learners, spec)) == {"ada": 8}
    spec.write_text(spec.read_text().replace("lambda x: abs(x)", "lambda x: 2 * abs(x)"))
    assignments.load.cache_clear()
    assert points(grade(tmp_path, learners, spec)) == {"ada": 6}


def test_hidden_data_is_changed(tmp_path):
    """Hidden data beside a spec is replaced: the digest that marks are tied to changes."""
    spec = own_spec(tmp_path, lambda text: text)
    first = assignments.digest(str(spec))
    (spec.parent / "light_runs.json").write_text("[1]")
    second = assignments.digest(str(spec))
    (spec.parent / "light_runs.json").write_text("[2]")
    assert len({first, second, assignments.digest(str(spec))}) == 3
    (spec.parent / "ex07.py").write_text("another exercise's")
    assert assignments.digest(str(spec)) == assignments.digest(str(spec))


def test_another_exercises_spec_is_changed(tmp_path):
    """Another exercise's spec or data changes: this one's marks stand."""
    spec = own_spec(tmp_path, lambda text: text)
    first = assignments.digest(str(spec))
    (spec.parent / "ex07.py").write_text("x")
    (spec.parent / "ex07_runs.json").write_text("x")
    assert assignments.digest(str(spec)) == first


def test_the_library_is_updated_between_two_rounds(tmp_path, monkeypatch):
    """The library is updated after grading: marks made with the old one are made again."""
    first = assignments.digest(str(SPEC))
    shutil.copytree(assignments.PACKAGE / "grading", tmp_path / "library")
    monkeypatch.setattr(assignments, "PACKAGE", tmp_path / "library")
    second = assignments.digest(str(SPEC))
    (tmp_path / "library/compare.py").write_text("# mended")
    assert len({first, second, assignments.digest(str(SPEC))}) == 3


# ---------------------------------------------------------------- while grading


def start_slow_batch(tmp_path, learners, workers):
    slow = Attack(solved=ALL, code="import time\ntime.sleep(1)").notebook()
    hand_in(tmp_path / "in", *learners, content=slow)
    (tmp_path / "roster.csv").write_text("\n".join(["id", *learners]))
    command = [sys.executable, "-m", "lessons_lib", "grade", str(tmp_path / "in"), "--exercise", str(SPEC)]
    command += ["--roster", str(tmp_path / "roster.csv"), "--out", str(tmp_path / "out"), "--workers", workers]
    return command, subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for(condition, seconds=240):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.1)


@pytest.mark.slow
def test_the_grader_is_killed(walled, tmp_path):
    """The grading process is killed: no worker and no child outlives it, and the next run goes on where it was."""
    learners = [f"l{i}" for i in range(5)]
    command, first = start_slow_batch(tmp_path, learners, "2")

    def some():
        book = tmp_path / "out/gradebook.sqlite"
        try:
            return book.exists() and len(written(tmp_path)) >= 1
        except sqlite3.OperationalError:
            return False

    wait_for(some)
    family = psutil.Process(first.pid).children(recursive=True)
    assert family
    first.send_signal(signal.SIGKILL)
    first.wait()
    psutil.wait_procs(family, timeout=30)
    assert not [process for process in family if process.is_running() and process.status() != "zombie"]
    kept = len(written(tmp_path))
    assert 1 <= kept < 5
    second = subprocess.run(command, capture_output=True, text=True)
    assert second.returncode == 0, second.stderr
    assert f"/{5 - kept} " in second.stderr  # the progress bar counts what was left
    assert set(written(tmp_path).values()) == {8.0}


def test_control_c(trusting, tmp_path):
    """Control-C: what is marked by then is kept."""

    def stopping(marks, total):
        for number, mark in enumerate(marks):
            if number == 2:
                raise KeyboardInterrupt
            yield mark

    learners = hand_in(tmp_path / "in", "ada", "bob", "cyd")
    with pytest.raises(KeyboardInterrupt):
        grade(tmp_path, learners, progress=stopping)
    assert written(tmp_path) == {"ada": 8, "bob": 8}


@pytest.mark.slow
def test_a_worker_dies(trusting, tmp_path):
    """One notebook makes a worker process die: everybody else is marked, and it is named for a person, not given 0."""
    spec = own_spec(
        tmp_path,
        lambda text: text.replace("import random\n", "import os\nimport random\n", 1).replace(
            'Item("answer", 2, expected=lambda: 0.6931471805599453)',
            'Item("answer", 2, judge=lambda a, c: os._exit(3) if a == "die" else 1.0)',
        ),
    )
    learners = hand_in(tmp_path / "in", "ada", "bob", "cyd")
    (tmp_path / "in/bob/light.ipynb").write_bytes(Attack(solved=ALL[:3], code="answer = 'die'").notebook())
    done = grade(tmp_path, learners, spec, workers=2)
    assert {name: mark.status for name, mark in done.marks.items()} == {
        "ada": "graded", "bob": "not_marked", "cyd": "graded",
    }  # fmt: skip
    lines = (tmp_path / "out/marks.csv").read_text().splitlines()
    assert lines[2].startswith("bob,,,8,,,not_marked")  # no points, which is not 0 points
    assert "the grader failed on" in (tmp_path / "out/report.html").read_text()


def test_the_grader_has_a_fault(trusting, tmp_path, monkeypatch):
    """The grader itself fails on a notebook: everybody else is marked, and the next run tries that one again."""
    whole, fails = marking.mark, ["bob"]

    def mark(assignment, submission, *more, **options):
        if submission.learner in fails:
            raise RuntimeError("a fault")
        return whole(assignment, submission, *more, **options)

    monkeypatch.setattr(marking, "mark", mark)
    learners = hand_in(tmp_path / "in", "ada", "bob")
    assert grade(tmp_path, learners).marks["bob"].status == "not_marked"
    fails.clear()
    assert points(grade(tmp_path, learners)) == {"ada": 8, "bob": 8}


def test_a_judge_that_does_not_end(trusting, tmp_path, monkeypatch):
    """An answer keeps a spec's judge busy for ever: it is cut off, and the rest is marked."""
    monkeypatch.setattr(marking, "_JUDGED_WITHIN", 0.5)
    spec = own_spec(
        tmp_path,
        lambda text: text.replace(
            'Item("answer", 2, expected=lambda: 0.6931471805599453)',
            'Item("answer", 2, judge=lambda a, c: [0 for _ in iter(int, 1)])',
        ),
    )
    assert points(grade(tmp_path, hand_in(tmp_path / "in", "ada"), spec)) == {"ada": 6}


def test_cells_that_sleep_for_ever(trusting, tmp_path):
    """Many slow cells: the time of the whole notebook ends, not only that of each cell."""
    slow = dataclasses.replace(assignments.load(str(SPEC)))
    limits = dataclasses.replace(slow.exercise.limits, total_seconds=3)
    slow = dataclasses.replace(slow, exercise=dataclasses.replace(slow.exercise, limits=limits))
    sleeps = ["import time\ntime.sleep(1)"] * 8
    start = time.monotonic()
    mark = marking.mark(slow, Submission("ada", cells=(*SOLUTIONS.values(), *sleeps)), SALT)
    assert "gave_up" in mark.flags or "time" in mark.flags
    assert time.monotonic() - start < 30


def test_the_sandbox_does_not_start(trusting, tmp_path, monkeypatch):
    """The sandbox stops starting: the batch ends with what it has, and nobody loses points."""
    whole, count = sandbox.command, []

    def command(*arguments, **named):
        count.append(1)
        return whole(*arguments, **named) if len(count) <= 2 else ["sh", "-c", "echo no room >&2; exit 1"]

    monkeypatch.setattr(sandbox, "command", command)
    learners = hand_in(tmp_path / "in", "ada", "bob", "cyd")
    with pytest.raises(UserError, match="cyd: the sandbox did not start: no room.*is kept"):
        grade(tmp_path, learners)
    assert written(tmp_path) == {"ada": 8, "bob": 8}


def test_two_graders_at_once(trusting, tmp_path):
    """Two graders write to one folder: the second is refused."""
    learners = hand_in(tmp_path / "in", "ada")
    with files.folder_of_marks(tmp_path / "out"), pytest.raises(UserError, match="another grader is writing there"):
        grade(tmp_path, learners)
    assert points(grade(tmp_path, learners)) == {"ada": 8}


def test_the_disk_is_full(trusting, tmp_path, monkeypatch):
    """The disk is full while the pages are written: the old files stay whole, and the marks are in the grade book."""
    learners = hand_in(tmp_path / "in", "ada")
    grade(tmp_path, learners)
    before = (tmp_path / "out/marks.csv").read_bytes()
    hand_in(tmp_path / "in", "bob")

    def full(*names):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match="No space left on device.*kept in the grade book"):
        grade(tmp_path, [*learners, Learner("bob")])
    assert (tmp_path / "out/marks.csv").read_bytes() == before
    assert written(tmp_path) == {"ada": 8, "bob": 8}
    assert not list((tmp_path / "out").glob(".draft-*"))


def test_the_grade_book_cannot_be_written(trusting, tmp_path, monkeypatch):
    """The grade book cannot be written: grading stops and says so; what stood in it stays."""
    learners = hand_in(tmp_path / "in", "ada")
    grade(tmp_path, learners)
    hand_in(tmp_path / "in", "bob")
    open_book = gradebook.GradeBook.__init__

    def nearly_full(book, *arguments):
        open_book(book, *arguments)
        refuse = "BEFORE INSERT ON main.marks BEGIN SELECT raise(ABORT, 'database or disk is full'); END"
        book._database.execute(f"CREATE TEMP TRIGGER full {refuse}")

    monkeypatch.setattr(gradebook.GradeBook, "__init__", nearly_full)
    with pytest.raises(UserError, match="grade book could not be read or written.*are kept"):
        grade(tmp_path, [*learners, Learner("bob")])
    assert written(tmp_path) == {"ada": 8}


def test_the_grade_book_is_damaged(trusting, tmp_path):
    """The grade book is damaged: it is left as it is, and the message says to move it away."""
    learners = hand_in(tmp_path / "in", "ada")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/gradebook.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(UserError, match="move a damaged file away"):
        grade(tmp_path, learners)
    assert (tmp_path / "out/gradebook.sqlite").read_bytes() == b"no database" * 100


@pytest.mark.parametrize(
    ("salt", "given"), [("marks/salt.txt", None), ("marks/05/salt.txt", None), ("own.txt", "own.txt"), (None, None)]
)
def test_one_folder_for_two_exercises(tmp_path, monkeypatch, salt, given):
    """The folder of marks already holds another exercise's: it is refused, with the folder and the salt to give."""
    monkeypatch.chdir(tmp_path)
    marked = marking.failed(assignments.load(str(SPEC)), Submission("ada"), "")
    folder = Path("marks/05")
    with gradebook.GradeBook(folder / "gradebook.sqlite", "light", "digest") as book:
        book.write([marked])
    if salt:
        Path(salt).write_text("s" * 32)
    gradebook.refuse_another(folder, "light", None)
    with pytest.raises(UserError) as refused:
        gradebook.refuse_another(folder, "06_implement_kto", Path(given) if given else None)
    asked = "Give --out marks/06_implement_kto" + (f" and, for the same course, --salt {salt}" if salt else "")
    assert str(refused.value).endswith(asked)


def test_the_clock_is_set_back(trusting, tmp_path, monkeypatch):
    """The machine's clock is set back between two runs: marks stand or fall by digests, not by dates."""
    learners = hand_in(tmp_path / "in", "ada", "bob")
    grade(tmp_path, learners)

    class Earlier(datetime):
        @classmethod
        def now(cls, zone=None):
            return datetime(1999, 1, 1, tzinfo=zone)

    monkeypatch.setattr(gradebook, "datetime", Earlier)
    (tmp_path / "in/bob/light.ipynb").write_bytes(Attack(solved=("answer",)).notebook())
    os.utime(tmp_path / "in/bob/light.ipynb", (0, 0))
    made = []
    grade(tmp_path, learners, progress=lambda marks, total: made.append(total) or marks)
    assert made == [1]
    assert written(tmp_path) == {"ada": 8, "bob": 2}


def test_marks_and_salt_in_a_checkout(tmp_path):
    """The folder of marks lies in a git checkout: git is told to leave it alone."""
    with files.folder_of_marks(tmp_path / "marks/05"):
        tickets.read_salt(tmp_path / "marks/salt.txt")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    seen = subprocess.run(["git", "status", "--porcelain", "-uall"], cwd=tmp_path, capture_output=True, text=True)
    assert seen.stdout == ""


# ---------------------------------------------------------------- the roster

CLASS = "id;name\nada;Ada Lovelace\nbob;Bob Byron\n"


@pytest.mark.parametrize(
    "content",
    [
        CLASS.encode(),
        CLASS.replace(";", "\t").encode(),
        CLASS.replace(";", ",").replace("id,", "ID,").encode(),
        CLASS.replace("id;name", "Student ID;Full name").encode(),
        CLASS.encode("utf-16"),
        b"\xef\xbb\xbf" + CLASS.replace("\n", "\r\n").encode(),
        (CLASS + "\n;\n").encode(),
    ],
    ids=["semicolons", "tabs", "capitals", "other columns", "UTF-16", "Windows", "empty lines"],
)
def test_a_roster_in_another_spelling(tmp_path, content):
    """The roster has semicolons, tabs, capitals, another encoding, or empty lines: it is read, and how is said."""
    (tmp_path / "roster.csv").write_bytes(content)
    learners, said = roster.read(tmp_path / "roster.csv")
    assert [(one.id, one.name) for one in learners] == [("ada", "Ada Lovelace"), ("bob", "Bob Byron")]
    assert "2 learners" in said and "split at" in said and "id from" in said


def test_a_roster_from_canvas(tmp_path):
    """Canvas's export, with its second line of points and its own ids, is read."""
    text = 'Student,ID,SIS User ID,SIS Login ID,Section\n    Points Possible,,,,\n"Lovelace, Ada",101,7,ada,A\n'
    (tmp_path / "roster.csv").write_text(text)
    (one,), _ = roster.read(tmp_path / "roster.csv")
    assert (one.id, one.platform_id, one.name) == ("ada", "101", "Lovelace, Ada")


def test_a_roster_from_windows(tmp_path):
    """A roster in Windows' old encoding is read with its accents."""
    (tmp_path / "roster.csv").write_bytes("id,name\njm,José Müller\n".encode("cp1252"))
    assert roster.read(tmp_path / "roster.csv")[0][0].name == "José Müller"


@pytest.mark.parametrize(
    "text",
    ["Kennung;Vorname;Nachname\nada;Ada;Lovelace\n", "id,name\nada,Ada Lovelace\n", 'id,name\nada,"Lovelace, Ada"\n'],
)
def test_names_whole_and_in_parts(tmp_path, text):
    """The roster has names whole or in two columns: every table gets both."""
    (tmp_path / "roster.csv").write_text(text)
    (one,), _ = roster.read(tmp_path / "roster.csv")
    assert (one.first_name, one.last_name) == ("Ada", "Lovelace") and one.name in ("Ada Lovelace", "Lovelace, Ada")


@pytest.mark.parametrize(
    "text",
    [
        "Identifier,Full name,Email address,Status,Last modified (submission)\n"
        'Participant 4711,Ada Lovelace,a@x.org,Submitted,"Friday, 27 November 2026, 10:00 AM"\n',
        "ID,Vollständiger Name,E-Mail-Adresse,Status,Zuletzt geändert (Abgabe)\n"
        'Teilnehmer/in 4711,Ada Lovelace,a@x.org,Abgegeben,"Freitag, 27. November 2026, 10:00"\n',
        'ID,ID-Nummer,Name,E-Mail-Adresse,Zeit\nTeilnehmer/in 9,4711,Ada Lovelace,a@x.org,"27. November 2026, 10:00"\n',
    ],
    ids=["English", "German", "German with ID-Nummer"],
)
def test_moodles_grading_worksheet(tmp_path, text):
    """Moodle's grading worksheet, English or German, serves as roster and as table of times."""
    (tmp_path / "sheet.csv").write_text(text)
    learners, _ = roster.read(tmp_path / "sheet.csv")
    assert [(one.id, one.name, one.email) for one in learners] == [("4711", "Ada Lovelace", "a@x.org")]
    times = lateness._from_table(learners, tmp_path / "sheet.csv")
    assert times == {"4711": datetime(2026, 11, 27, 10).astimezone()}


def test_a_roster_without_ids(tmp_path):
    """No column looks like ids: the message names the columns that were found."""
    (tmp_path / "roster.csv").write_text("first;points\nAda;3\n")
    with pytest.raises(UserError, match="found the columns 'first', 'points'; rename"):
        roster.read(tmp_path / "roster.csv")


def test_a_roster_that_is_a_workbook(tmp_path):
    """The roster is an Excel workbook: it is refused with what to do."""
    (tmp_path / "roster.csv").write_bytes(b"PK\x03\x04\x14\x00" + b"\0" * 100)
    with pytest.raises(UserError, match="save the table as CSV"):
        roster.read(tmp_path / "roster.csv")


@pytest.mark.parametrize("text", ["", "id\n", "\n\n"])
def test_an_empty_roster(tmp_path, text):
    """The roster is empty: it is refused before anything is graded."""
    (tmp_path / "roster.csv").write_text(text)
    with pytest.raises(UserError, match="found none|found an empty file"):
        roster.read(tmp_path / "roster.csv")


def test_an_id_twice(tmp_path):
    """Two lines of the roster share an id: it is named."""
    (tmp_path / "roster.csv").write_text("id\nada\nADA\n")
    with pytest.raises(UserError, match="each id once.*ada again"):
        roster.read(tmp_path / "roster.csv")


def test_the_roster_of_another_class(trusting, tmp_path):
    """The roster is another class's: nobody is called missing; the message shows ids and names side by side."""
    hand_in(tmp_path / "in", "ada", "bob")
    with pytest.raises(UserError, match="such as cyd, dan, found none.*the folder holds ada, bob"):
        grade(tmp_path, [Learner("cyd"), Learner("dan")])
    assert not (tmp_path / "out").exists()


def test_nothing_was_handed_in_yet(trusting, tmp_path):
    """The folder of submissions is empty, or holds empty folders: nothing is graded, nobody is called missing."""
    (tmp_path / "in/ada").mkdir(parents=True)
    with pytest.raises(UserError, match="found none with a notebook"):
        grade(tmp_path, [Learner("ada")])


def test_a_learner_leaves_the_roster(trusting, tmp_path):
    """A learner leaves the roster and comes back: her page goes and her mark is kept."""
    both = hand_in(tmp_path / "in", "ada", "bob")
    grade(tmp_path, both)
    assert grade(tmp_path, both[:1]).departed == ["bob"]
    assert [path.name for path in (tmp_path / "out/feedback").iterdir()] == ["ada.html"]
    made = []
    grade(tmp_path, both, progress=lambda marks, total: made.append(total) or marks)
    assert made == [0]


# ---------------------------------------------------------------- names of files


def found(folder, learners, notebook="light.ipynb", others=()):
    done = collect.collect(folder, learners, notebook, others)
    return {name: [path.name for path in own.paths] for name, own in done.found.items()}, done


def put(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(RIGHT)


ADA, BOB = Learner("ada", "Ada Lovelace", platform_id="Participant 123"), Learner("bob", "Bob Byron")


def test_moodles_names(tmp_path):
    """Moodle's folders and file names are recognised by name or number."""
    put(
        tmp_path, "Ada Lovelace_123_assignsubmission_file_/light.ipynb", "Bob Byron_9_assignsubmission_file_light.ipynb"
    )
    own, done = found(tmp_path, [ADA, BOB])
    assert all(own.values()) and done.layouts == ["Moodle"] and not done.strangers
    located = submissions.locate("bob", done.found["bob"], "light.ipynb")
    assert located.flags == ()  # not "renamed": the platform did that


def test_canvass_names(tmp_path):
    """Canvas's file names are recognised, and its LATE is said."""
    put(tmp_path, "lovelaceada_LATE_101_55_light.ipynb", "byronbob_102_56_light-1.ipynb")
    own, done = found(tmp_path, [ADA, BOB])
    assert all(own.values()) and done.layouts == ["Canvas"]
    assert submissions.locate("ada", done.found["ada"], "light.ipynb").flags == ("late",)
    assert submissions.locate("bob", done.found["bob"], "light.ipynb").flags == ()


def test_several_exercises_in_nbgraders_layout(tmp_path):
    """nbgrader's layout with several exercises in it: each is found alone, and a missing one is missing."""
    put(tmp_path, "ada/light/light.ipynb", "ada/other/other.ipynb", "bob/other/other.ipynb")
    own, done = found(tmp_path, [ADA, BOB], others=["other.ipynb"])
    assert own == {"ada": ["light.ipynb"], "bob": []}
    assert submissions.locate("bob", done.found["bob"], "light.ipynb").status == "missing"


def test_several_exercises_in_one_folder(tmp_path):
    """Several exercises in one folder of a learner: the others' notebooks are not this one's."""
    put(tmp_path, "ada/light.ipynb", "ada/other.ipynb")
    put(tmp_path, "ada/quiz_phase_1.ipynb")
    own, done = found(tmp_path, [ADA, BOB], others=["other.ipynb", *assignments.notebooks()])
    assert own["ada"] == ["light.ipynb"]
    assert submissions.locate("ada", done.found["ada"], "light.ipynb").flags == ()


@pytest.mark.parametrize("name", ["ada.ipynb", "light_ada.ipynb", "Ada Lovelace.ipynb", "Lovelace, Ada/light.ipynb"])
def test_names_as_people_write_them(tmp_path, name):
    """Files named by id, by name, with the exercise in front or without it are recognised."""
    put(tmp_path, name)
    own, _ = found(tmp_path, [ADA, BOB])
    assert own["ada"]


def test_two_learners_of_one_name(tmp_path):
    """Two learners share a name and files carry it: the file is given to neither, and both are named."""
    put(tmp_path, "Ada Lovelace_7_assignsubmission_file_/light.ipynb", "bob.ipynb")
    own, done = found(tmp_path, [Learner("a1", "Ada Lovelace"), Learner("a2", "Ada Lovelace"), BOB])
    assert own == {"a1": [], "a2": [], "bob": ["bob.ipynb"]}
    assert done.shared == {"Ada Lovelace_7_assignsubmission_file_": ["a1", "a2"]} and done.strangers == []


def test_moodles_number_tells_two_of_one_name_apart(tmp_path):
    """Two learners share a name and the roster has Moodle's Identifier: each has her own file."""
    names = ("Ada Lovelace_7_assignsubmission_file_/light.ipynb", "Ada Lovelace_8_assignsubmission_file_/light.ipynb")
    put(tmp_path, *names)
    one, two = (Learner(name, "Ada Lovelace", platform_id=f"Participant {name[1]}") for name in ("a7", "a8"))
    own, done = found(tmp_path, [one, two])
    assert all(own.values()) and not done.shared
    assert {name: at.paths[0].parent.name[13] for name, at in done.found.items()} == {"a7": "7", "a8": "8"}


def test_two_learners_of_one_name_are_graded(trusting, tmp_path, capsys):
    """Neither of two learners of one name gets a mark from a file that may be the other's, nor is called missing."""
    put(tmp_path / "in", "Ada Lovelace_7_assignsubmission_file_/light.ipynb", "bob.ipynb")
    (tmp_path / "roster.csv").write_text("id,name\n4712,Ada Lovelace\n4713,Ada Lovelace\nbob,Bob Byron\ncyd,Cyd\n")
    command = ["grade", str(tmp_path / "in"), "--exercise", str(SPEC), "--roster", str(tmp_path / "roster.csv")]
    assert main([*command, "--out", str(tmp_path / "out"), "--workers", "0"]) == 0
    told = "fits two on the roster, 4712 and 4713; add Moodle&#x27;s Identifier"
    assert told.replace("&#x27;", "'") in capsys.readouterr().out
    assert told in (tmp_path / "out/report.html").read_text()
    lines = (tmp_path / "out/marks.csv").read_text().splitlines()
    assert lines[1].startswith("4712,Ada Lovelace,,8,,,name_shared") and lines[4].startswith(
        "cyd,Cyd,0.0,8,,0.0,missing"
    )
    page = (tmp_path / "out/feedback/4712.html").read_text()
    assert "two learners of this class" in page and "No notebook was handed in" not in page


def test_accents_from_a_mac(tmp_path):
    """A Mac writes accents apart, in names of folders: they are matched all the same."""
    put(tmp_path, unicodedata.normalize("NFD", "müller") + "/light.ipynb")
    own, _ = found(tmp_path, [Learner("müller")])
    assert own["müller"]


def test_an_id_that_is_no_ascii(trusting, tmp_path):
    """Ids with accents, spaces and other scripts are graded, and name the pages."""
    learners = hand_in(tmp_path / "in", "José Müller", "李雷")
    done = grade(tmp_path, learners)
    assert set(points(done).values()) == {8}
    assert {path.stem for path in (tmp_path / "out/feedback").iterdir()} == {"José Müller", "李雷"}


def test_what_computers_leave_lying_about(tmp_path):
    """__MACOSX, .DS_Store and checkpoints are nobody's submission."""
    put(tmp_path, "__MACOSX/light.ipynb", ".DS_Store", "ada/.ipynb_checkpoints/light.ipynb", "ada/light.ipynb")
    own, done = found(tmp_path, [ADA])
    assert own == {"ada": ["light.ipynb"]} and done.strangers == []


def test_a_second_upload(tmp_path):
    """A second upload that the platform numbered is no renamed file."""
    for name in ("light (1).ipynb", "light-2.ipynb"):
        assert collect.is_as_handed_out(Path(name), "light.ipynb", "ada")
    assert not collect.is_as_handed_out(Path("homework.ipynb"), "light.ipynb", "ada")


def test_a_folder_called_release(trusting, tmp_path, monkeypatch):
    """The folder of submissions is called release: it is graded, not taken for the command."""
    monkeypatch.chdir(tmp_path)
    hand_in(tmp_path / "release", "ada")
    Path("roster.csv").write_text("id\nada\n")
    command = ["grade", "release", "--exercise", str(SPEC), "--roster", "roster.csv", "--out", "out", "--workers", "0"]
    assert main(command) == 0
    assert written(tmp_path) == {"ada": 8}


# ---------------------------------------------------------------- notebooks


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + RIGHT,
        RIGHT.decode().encode("utf-16"),
        Attack(solved=ALL, code="x = 'é'").notebook().decode("unicode-escape").encode("latin-1"),
    ],
    ids=["byte order mark", "UTF-16", "latin-1"],
)
def test_a_notebook_in_another_encoding(tmp_path, content):
    """An editor saved the notebook in another encoding: it is read."""
    (tmp_path / "x.ipynb").write_bytes(content)
    located = submissions.locate("ada", collect.Found([tmp_path / "x.ipynb"]), "x.ipynb")
    assert submissions.read(located, ()).status in ("read", "not_json") and located.status == "read"


def test_half_a_character_in_a_cell(tmp_path):
    """A cell holds half of a character, which no encoding can write: the rest of the notebook counts."""
    (tmp_path / "x.ipynb").write_bytes(_cells("x = '\ud800'", *SOLUTIONS.values()))
    read = submissions.read(submissions.locate("ada", collect.Found([tmp_path / "x.ipynb"]), "x.ipynb"), ())
    assert read.cells[0] == "x = '?'"
    names = {}
    assert [cells.run(cell, "<cell>", names) for cell in read.cells] == [[]] * 5


def test_pictures_in_the_outputs(tmp_path):
    """Outputs of fifteen megabytes: the code beside them is read."""
    code = [{"cell_type": "code", "source": source, "outputs": ["A" * 4_000_000]} for source in SOLUTIONS.values()]
    (tmp_path / "x.ipynb").write_bytes(_notebook_with(code))
    read = submissions.read(submissions.locate("ada", collect.Found([tmp_path / "x.ipynb"]), "x.ipynb"), ())
    assert read.status == "read" and len(read.cells) == 4


@pytest.mark.parametrize(
    ("source", "odd"),
    [
        ("%%time\nx = 1", []),
        ("%%capture out\nx = 1", []),
        ("%%time\n%matplotlib inline\nx = 1", []),
        ("%time x = 1", []),
        ("x = 1\nx?", []),
        ("files = !ls\nx = 1", ["magic"]),
        ("x = 1\n%run another.ipynb", ["magic"]),
        ("!pip install something\nx = 1", []),
        ("import asyncio\nawait asyncio.sleep(0)\nx = 1", []),
        ("from lessons_lib.grading.lesson05 import check_ipo_loss\nx = 1\ncheck_ipo_loss(x)", ["other_release"]),
        ("from lessons_lib.losses import gone, dpo_loss\nx = 1 if callable(dpo_loss) else 2", ["other_release"]),
    ],
)
def test_what_a_notebook_may_do_and_python_may_not(source, odd):
    """Magics, shell commands, help, top-level await and imports of another release: the rest of the cell counts."""
    names = {}
    assert cells.run(source, "<cell>", names) == odd
    assert names["x"] == 1


def test_a_cell_of_another_language():
    """A cell in another language is left out, and that is said."""
    assert cells.run("%%bash\nls", "<cell>", {}) == ["magic"]


def test_an_answer_larger_than_any_float(walled):
    """A quiz answer of 10**400: it is wrong, its feedback says so, and the batch goes on."""
    quiz = assignments.load("quiz_phase_1")
    number = next(q for q in quizzes.questions_of(1) if q.kind == "number")
    case = {"ticket": tickets.ticket(SALT, "ada", quiz.exercise.name)}
    assert quizzes._judge(number, 10**400, case) == 0
    every = tuple(f"{item.name} = 10**400" for item in quiz.exercise.items)
    assert marking.mark(quiz, Submission("ada", cells=every), SALT).points == 0


def test_a_ticket_that_is_anothers():
    """A notebook holds a classmate's ticket, or none: it is marked on her own data, and that is said."""
    capstone = assignments.load("14")
    mine, theirs = (tickets.ticket(SALT, name, "14_capstone") for name in ("ada", "bob"))

    def said(ticket):
        handed_in = Submission("ada", cells=(f'TICKET = "{ticket}"',))
        return list(marking._about_tickets(capstone, handed_in, mine, frozenset({mine, theirs})))

    assert (said(mine), said(theirs), said("practice")) == ([], ["other_ticket"], ["no_ticket"])


# ---------------------------------------------------------------- deadlines, and a person's points


def test_times_and_deadlines(tmp_path):
    """Times come from nbgrader's file or a table, with the deadline's lateness in words."""
    put(tmp_path, "ada/light/light.ipynb", "bob.ipynb")
    (tmp_path / "ada/light/timestamp.txt").write_text("2026-12-02 02:03:04.5 UTC\n")
    (tmp_path / "times.csv").write_text("id;handed in\nbob;2026-12-01T22:00+00:00\nnobody;-\n")
    _, done = found(tmp_path, [ADA, BOB])
    times = lateness.times_of([ADA, BOB], done, tmp_path / "times.csv")
    due = lateness.parse("2026-12-01 23:00 UTC", "")
    assert {name: lateness.told(when - due) for name, when in times.items()} == {"ada": "3 h 3 min", "bob": ""}
    assert lateness.told(timedelta(days=2, minutes=1)) == "2 d 1 min"
    assert times["bob"] == datetime(2026, 12, 1, 22, tzinfo=UTC)


def test_a_deadline_that_is_none(tmp_path):
    """A deadline or a time that cannot be read is refused, with the line that holds it."""
    with pytest.raises(UserError, match="--deadline: expected a time such as"):
        lateness.parse("tomorrow", "--deadline")
    (tmp_path / "times.csv").write_text("id,time\nada,soon\n")
    with pytest.raises(UserError, match="line 2, column 'time'"):
        lateness._from_table([ADA], tmp_path / "times.csv")
    (tmp_path / "times.csv").write_text("id,points\nada,soon\n")
    with pytest.raises(UserError, match="expected a column of times"):
        lateness._from_table([ADA], tmp_path / "times.csv")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-27", "2026-11-27 23:59"),
        ("27.11.2026", "2026-11-27 23:59"),
        ("11/27/2026", "2026-11-27 23:59"),
        ("27/11/2026 10:00", "2026-11-27 10:00"),
        ("11/11/2026 10:00 PM", "2026-11-11 22:00"),
        ("2026-11-27T10", "2026-11-27 10:00"),
        ("Freitag, 27. November 2026, 10:00", "2026-11-27 10:00"),
        ("Sonntag, 1. März 2026, 09:05 Uhr", "2026-03-01 09:05"),
        ("Friday, 27 November 2026, 10:00 PM", "2026-11-27 22:00"),
    ],
)
def test_a_deadline_in_another_spelling(text, moment):
    """A deadline as people and platforms write it is read; a date alone is the end of that day."""
    assert f"{lateness.deadline(text, ''):%Y-%m-%d %H:%M}" == moment


def test_an_ambiguous_date():
    """A date that may be two days, 11/12/2026: it is refused with both."""
    with pytest.raises(UserError, match="--deadline: '11/12/2026 23:59' may be 2026-11-12 or 2026-12-11"):
        lateness.deadline("11/12/2026 23:59", "--deadline")


def test_a_year_that_no_clock_reaches(monkeypatch):
    """A year that no time zone reaches is refused as any other slip."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        with pytest.raises(UserError, match="expected a time such as"):
            lateness.parse("0001-01-01", "--deadline")
    finally:
        monkeypatch.undo()
        time.tzset()


def test_times_that_nobody_wrote_down(trusting, tmp_path, capsys):
    """Times are known for some or for nobody: terminal and report say for how many, and the deadline as understood."""
    hand_in(tmp_path / "in", "ada", "bob")
    (tmp_path / "roster.csv").write_text("id\nada\nbob\ncyd\n")
    (tmp_path / "times.csv").write_bytes("id;Zeit\nada;Freitag, 27. März 2026, 10:00\ncyd;-\n".encode("cp1252"))
    command = ["grade", str(tmp_path / "in"), "--exercise", str(SPEC), "--roster", str(tmp_path / "roster.csv")]
    command += ["--out", str(tmp_path / "out"), "--workers", "0", "--deadline", "2026-03-26"]
    for more, known in ((["--timestamps", str(tmp_path / "times.csv")], 1), ([], 0)):
        assert main([*command, *more]) == 0
        terminal, page = capsys.readouterr().out, (tmp_path / "out/report.html").read_text()
        for said in (
            f"eadline 2026-03-26 23:59, times known for {known} of 2 notebooks",
            f"unknown for {2 - known}, which may be late",
        ):
            assert said in terminal and said in page


def test_points_by_hand_outlive_the_next_run(tmp_path):
    """A person's points stand in a form that no later run overwrites; a slip in it is named, not lost."""
    form = tmp_path / "by_hand.csv"
    by_hand.write(form, [("ada", "paragraph"), ("bob", "paragraph")], {"ada": "Ada Lovelace"})
    text = form.read_text().replace("ada,Ada Lovelace,paragraph,,,,,", 'ada,Ada Lovelace,paragraph,1,"0,5",1,1,argued')
    form.write_text(text)
    by_hand.write(form, [("ada", "paragraph"), ("cyd", "paragraph")], {})
    given = by_hand.read(form)
    assert given["ada", "paragraph"] == by_hand.Given(3.5, "argued")
    assert {key[0] for key, one in given.items() if one.points is None} == {"bob", "cyd"}
    form.write_text(form.read_text().replace("0,5", "5"))
    with pytest.raises(UserError, match="line 2, column 'mechanism right'.*from 0 to 1"):
        by_hand.read(form)
    form.write_text("id,points\n")
    with pytest.raises(UserError, match="found id, points; put them back"):
        by_hand.read(form)


def test_points_by_hand_from_a_spreadsheet(tmp_path):
    """The form of points comes back from a spreadsheet, in its encoding, delimiter and order: it is read as meant."""
    form = tmp_path / "by_hand.csv"
    text = f"item;id;{';'.join(by_hand.RUBRIC)};note;name;\np;'=jm;1;0,5;1;1;schön;Müller;\n"
    form.write_bytes(text.encode("cp1252"))
    assert by_hand.read(form) == {("=jm", "p"): by_hand.Given(3.5, "schön")}
    before = form.read_bytes()
    by_hand.write(form, [("=jm", "p")], {})
    assert form.read_bytes() == before  # nothing new, so nothing is touched
    by_hand.write(form, [("=jm", "p"), ("ada", "p")], {"ada": "=cmd()"})
    assert by_hand.read(form) == {
        ("=jm", "p"): by_hand.Given(3.5, "schön"), ("ada", "p"): by_hand.Given(None),
    }  # fmt: skip
    assert "\nada;'=cmd();p;" in form.read_text(encoding="utf-8-sig").replace("\r", "")


def test_something_else_than_a_notebook(trusting, tmp_path):
    """A PDF instead of a notebook: it says to hand in the notebook; a PDF beside one is no second notebook."""
    put(tmp_path / "in", "Ada Lovelace_123_assignsubmission_file_light.ipynb")
    for name in ("Ada Lovelace_123", "Bob Byron_9"):
        (tmp_path / "in" / f"{name}_assignsubmission_file_essay.pdf").write_bytes(b"%PDF-1.7")
    done = grade(tmp_path, [ADA, BOB])
    said = {name: (mark.status, mark.flags) for name, mark in done.marks.items()}
    assert said == {"ada": ("graded", ()), "bob": ("not_json", ())}
    assert "Hand in the file that ends in .ipynb" in (tmp_path / "out/feedback/bob.html").read_text()


def test_the_archive_itself(tmp_path):
    """The platform's archive is given as the folder: the message says to unpack it."""
    (tmp_path / "in").write_bytes(b"PK\x03\x04")
    with pytest.raises(UserError, match="unpack it first"):
        grade(tmp_path, [ADA])
