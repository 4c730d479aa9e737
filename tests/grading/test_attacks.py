"""The corpus of attacks, graded in one batch: nobody gains a point, and nothing outside the sandbox has changed."""

from __future__ import annotations

import hashlib
import os
import socket
import sqlite3
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from attacks.corpus import ALL, SPEC, Attack, corpus

from lessons_lib.errors import UserError
from lessons_lib.grading import batch, cgroups, sandbox
from lessons_lib.grading.roster import Learner

ROOT = Path(__file__).resolve().parents[2]
NAMES = list(corpus(0, "", Path("/victim/light.ipynb"), Path("/out")))
# Submissions that are no ordinary file; the test makes them itself.
LINKED = ("link_to_a_classmate", "link_to_a_folder", "link_to_the_spec", "pipe", "folder_as_a_file")


@pytest.fixture(scope="module", autouse=True)
def sandbox_works():
    try:
        sandbox.self_test()
    except UserError as error:
        pytest.skip(str(error))


class Listeners:
    """A TCP port, a UDP port and an abstract socket; whatever reaches one is written down."""

    def __init__(self):
        self.reached = []
        self.name = f"lessons-attacks-{os.getpid()}"
        tcp = socket.create_server(("127.0.0.1", 0))
        self.port = tcp.getsockname()[1]
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", self.port))
        abstract = socket.socket(socket.AF_UNIX)
        abstract.bind(f"\0{self.name}")
        abstract.listen()
        for waiting in (tcp.accept, lambda: udp.recv(100), abstract.accept):
            threading.Thread(target=self._listen, args=(waiting,), daemon=True).start()

    def _listen(self, waiting):
        while True:
            self.reached.append(waiting())


def fingerprint(*folders):
    """Every file under the folders, with what is in it."""
    files = [path for folder in folders for path in (folder, *sorted(folder.rglob("*"))) if path.suffix != ".pyc"]
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.is_file() and not path.is_fifo()
    }


def hand_in(folder, attacks):
    for name, attack in attacks.items():
        (folder / name).mkdir(parents=True)
        (folder / name / attack.file).write_bytes(attack.notebook())
    for name in LINKED:
        (folder / name).mkdir()
    (folder / "link_to_a_classmate/light.ipynb").symlink_to(folder / "honest_right/light.ipynb")
    (folder / "link_to_the_spec/light.ipynb").symlink_to(SPEC)
    (folder / "link_to_a_folder").rmdir()
    (folder / "link_to_a_folder").symlink_to(folder / "honest_right")
    os.mkfifo(folder / "pipe/light.ipynb")
    (folder / "folder_as_a_file/light.ipynb").mkdir()
    (folder / "stranger").mkdir()
    (folder / "stranger/light.ipynb").write_bytes(attacks["honest_right"].notebook())


def processes():
    """Whatever runs as the sandbox's user or out of its program."""
    found = []
    for process in psutil.process_iter(["uids", "cmdline"]):
        info = process.info
        as_nobody = info["uids"] and info["uids"].real in sandbox.STRANGERS
        if as_nobody or str(sandbox.CHILD) in (info["cmdline"] or ()):
            found.append(process.pid)
    return set(found)


def still_alive(found, seconds=30):
    """Those that do not end by themselves; another test's sandbox, running at the same time, does."""
    alive, deadline = found, time.monotonic() + seconds
    while alive and time.monotonic() < deadline:
        time.sleep(0.5)
        alive = {pid for pid in alive if psutil.pid_exists(pid)}
    return alive


def groups_of_the_dead(seconds=60):
    """Control groups whose grader is gone; another test that kills graders sweeps them away at its next batch."""
    deadline = time.monotonic() + seconds
    while True:
        found = [
            path for path in cgroups.ROOT.glob("**/lessons-*-*") if not psutil.pid_exists(int(path.name.split("-")[1]))
        ]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(1)


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    os.environ["LESSONS_CANARY"] = "not for the sandbox"
    folder, out = tmp_path_factory.mktemp("submissions"), tmp_path_factory.mktemp("marks")
    listeners = Listeners()
    attacks = corpus(listeners.port, listeners.name, folder / "honest_right/light.ipynb", out)
    hand_in(folder, attacks)
    roster = [Learner(name) for name in (*attacks, *LINKED)]
    kept = (folder, SPEC.parents[1], *sandbox.CHILD.parent.glob("[!l]*.py"), ROOT / "requirements.txt")
    before, running = fingerprint(*kept), processes()
    done = batch.grade(folder, str(SPEC), roster, out, workers=2)
    after = fingerprint(*kept)
    return SimpleNamespace(
        batch=done,
        attacks=attacks,
        out=out,
        changed={path for path in before | after if before.get(path) != after.get(path)},
        left=still_alive(processes() - running),
        reached=listeners.reached,
        groups=groups_of_the_dead(),
    )


def test_the_corpus_is_large():
    assert len(NAMES) + len(LINKED) >= 120


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_gains_nothing_and_keeps_what_is_honest(graded, name):
    attack, mark = graded.attacks[name], graded.batch.marks[name]
    assert (mark.points, mark.status) == (attack.due, attack.status), mark
    assert set(attack.flags) <= set(mark.flags) <= {*attack.flags, *attack.perhaps}, mark


@pytest.mark.slow
@pytest.mark.parametrize("name", LINKED)
def test_what_is_no_ordinary_file_is_not_opened(graded, name):
    assert (graded.batch.marks[name].points, graded.batch.marks[name].status) == (0, "not_a_file")


@pytest.mark.slow
def test_nothing_is_left_behind(graded):
    assert graded.changed == set()
    assert graded.left == set()
    assert graded.reached == []
    assert graded.batch.strangers == ["stranger"]
    assert not graded.groups


@pytest.mark.slow
def test_the_grade_book_is_as_expected(graded):
    with sqlite3.connect(graded.out / "gradebook.sqlite") as book:
        written = dict(book.execute("SELECT learner, points FROM marks"))
    assert written == {name: attack.due for name, attack in graded.attacks.items()} | dict.fromkeys(LINKED, 0)
    assert (graded.out / "gradebook.sqlite").stat().st_mode & 0o077 == 0
    assert (graded.out / "salt.txt").stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_the_pages_show_code_as_text(graded):
    page = (graded.out / "feedback/markup.html").read_text()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in page
    assert "<img" not in page
    assert len(list((graded.out / "feedback").iterdir())) == len(NAMES) + len(LINKED)
    report = (graded.out / "report.html").read_text()
    assert "<script" not in report
    assert "alert(1)" not in report  # of an error that a learner made up, the report has no text


def test_an_honest_attack_is_told_apart():
    """The corpus itself: what it calls due is what it solves."""
    assert Attack(solved=ALL).due == 8
    assert Attack().due == 0


def test_the_books_tables_are_these_tests():
    """Written by `python tests/attacks/tables.py`; a page that says something else fails."""
    from attacks import tables

    assert tables.PAGE.read_text(encoding="utf-8") == tables.page(), "run: python tests/attacks/tables.py"
    assert len(tables.attacks()) >= 120
    assert len(tables.accidents()) >= 40
