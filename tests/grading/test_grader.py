"""The grader's trusted side: own numbers, comparison, submissions, sandbox arguments, batch, pages, likeness."""

from __future__ import annotations

import ctypes
import dataclasses
import json
import math
import os
import random
import sys
import time
from pathlib import Path

import pytest
from attacks.corpus import ALL, SPEC, Attack

from lessons_lib.errors import UserError
from lessons_lib.grading import (
    assignments,
    batch,
    cgroups,
    collect,
    compare,
    gradebook,
    pages,
    report,
    roster,
    sandbox,
    seccomp,
    similarity,
    submissions,
    tickets,
    wire,
)
from lessons_lib.grading.by_hand import Given
from lessons_lib.grading.marking import CaseMark, ItemMark, Mark
from lessons_lib.grading.roster import Learner
from lessons_lib.grading.spec import Exercise, Item, Limits

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
    """Over 200 learners, all pairs: nobody finds all her neighbour's answers right for her too."""
    exercise = assignments.load(name).exercise
    learners = [f"learner{i:03d}" for i in range(200)]
    drawn = [json.dumps(tickets.cases_of(exercise, SALT, learner), sort_keys=True) for learner in learners]
    assert len(set(drawn)) == len(drawn)


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
        (lambda x: None, 0, "your function returns nothing yet"),
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


@pytest.mark.parametrize(
    ("answer", "why"),
    [(..., "not filled in"), ([..., 2], "not filled in"), ({"a": ...}, "not filled in"), (None, "not filled in")],
)
@pytest.mark.parametrize("marked", [{"expected": lambda: [1, 2]}, {"judge": lambda answer, case: len(answer) / 9}])
def test_what_a_stub_leaves_is_said(answer, why, marked):
    item = Item("plan", 1, **marked)
    came = json.loads(json.dumps(wire.encode(answer)))
    assert compare.share(item, None, compare.expected(item, None), came)[1] == why


def test_a_function_that_is_not_written_yet_is_said():
    item = Item("choose", 1, cases=lambda rng: [{"x": 1}], judge=lambda answer, case: float(answer == "dpo"))
    functions = {
        "your function returns nothing yet": lambda x: None,
        "not filled in": ...,
        "not the right": lambda x: 1,
    }
    for why, function in functions.items():
        earned, said = compare.share(item, {"x": 1}, None, wire.call(function, {"x": 1}))
        assert earned == 0 and why in said
    assert compare.share(item, {"x": 1}, None, wire.call(lambda x: "dpo", {"x": 1})) == (1.0, "")


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


# ---------------------------------------------------------------- rosters and submissions


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name\nada\n", "a column id"),
        ("", "a column id"),
        ("id\nada\nADA\n", "each id once"),
        ("id\n../etc\n", "line 2, column 'id'"),
        ("id\nada\n\\x1b\n", "line 3, column 'id'"),
        ("id\nada\n\u202eada\n", "line 3, column 'id'"),
        ("id\n-rf\n", "line 2, column 'id'"),
        ("id,name\n,Ada\n", "line 2, column 'id'"),
    ],
)
def test_a_wrong_roster_is_refused_and_says_where(tmp_path, text, says):
    (tmp_path / "roster.csv").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=says):
        roster.read(tmp_path / "roster.csv")


def test_a_roster_with_names_and_another_column(tmp_path):
    (tmp_path / "roster.csv").write_text("\ufeffstudent_id,first_name,last_name\nada@x.org,Ada,L\n", encoding="utf-8")
    assert roster.read(tmp_path / "roster.csv")[0] == [Learner("ada@x.org", "Ada L", "Ada", "L")]


def read(folder, learner="ada"):
    found = collect.collect(folder, [Learner(learner), Learner("somebody")], "light.ipynb").found[learner]
    return submissions.read(submissions.locate(learner, found, "light.ipynb"), ALL)


@pytest.mark.parametrize("place", ["ada/light.ipynb", "ada.ipynb", "ada/light/light.ipynb", "ada/a/b/light.ipynb"])
def test_where_submissions_may_lie(tmp_path, place):
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_bytes(Attack(solved=ALL).notebook())
    found = read(tmp_path)
    assert (found.status, found.flags, len(found.cells)) == ("read", (), 4)


def test_several_files_and_none(tmp_path):
    (tmp_path / "somebody.ipynb").write_bytes(b"{}")
    assert read(tmp_path).status == "missing"
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada/light.ipynb").write_bytes(Attack(solved=ALL).notebook())
    (tmp_path / "ada/copy.ipynb").write_bytes(Attack().notebook())
    found = read(tmp_path)
    assert found.flags == ("several_files",)
    assert "so_far" in "".join(found.cells)


def test_the_fingerprint_changes_with_the_file_and_with_what_is_odd(tmp_path):
    (tmp_path / "somebody.ipynb").write_bytes(b"{}")
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
    filtered = sandbox.command(Limits(), filtered_by=7, doors=["/group/cgroup.procs"])
    assert filtered[filtered.index("--seccomp") + 1] == "7"
    assert filtered.index("--seccomp") < filtered.index(sys.executable)
    assert filtered[:2] == ["sh", "-c"] and filtered[4] == "/group/cgroup.procs"
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
        users = [next(p for p in sandbox.command(Limits()) if p.startswith("--reuid=")) for _ in range(5)]
        assert len(set(users)) == 5  # a user of its own for each child
        assert all(int(user.partition("=")[2]) in sandbox.STRANGERS for user in users)
        assert "--clear-groups" in arguments


def test_nobody_is_the_systems_nobody():
    pwd = pytest.importorskip("pwd", reason="the sandbox is Linux's")
    assert pwd.getpwuid(sandbox.NOBODY).pw_name == "nobody"


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_of_system_calls(machine):
    """The program, run here as the kernel would run it: what is allowed, what is refused and with what."""
    import errno
    import struct

    code = seccomp.program(machine)
    rules = [struct.unpack_from("=HBBI", code, place) for place in range(0, len(code), 8)]
    column, architecture = seccomp._MACHINES[machine]
    numbers = seccomp._numbers(column)

    def asked(number, *arguments, architecture=architecture):
        data = {0: number, 4: architecture} | {16 + 8 * i: value for i, value in enumerate(arguments)}
        place, held = 0, 0
        while True:
            kind, if_true, if_false, value = rules[place]
            if kind == 0x06:
                return value
            if kind == 0x20:
                held = data.get(value, 0)
            else:
                holds = {0x15: held == value, 0x35: held >= value, 0x45: bool(held & value)}[kind]
                place += if_true if holds else if_false
            place += 1

    allow, refuse = 0x7FFF0000, 0x00050000
    assert asked(numbers["read"]) == asked(numbers["execve"]) == asked(numbers["futex"]) == allow
    assert {asked(number) for number in seccomp._REFUSED[column]} == {refuse | errno.ENOSYS}
    assert asked(435) == refuse | errno.ENOSYS
    assert asked(numbers["clone"], 0x11) == allow
    assert asked(numbers["clone"], 0x10000000 | 0x11) == refuse | errno.EPERM
    assert asked(numbers["fcntl"], 3, 1) == allow
    assert asked(numbers["fcntl"], 3, 6) == asked(numbers["flock"], 3, 2) == refuse  # "done", and nothing is done
    assert asked(numbers["fcntl"], 3, 1024) == refuse | errno.EINVAL
    assert asked(numbers["socketpair"], 1) == allow != asked(numbers["socketpair"], 2)
    assert asked(numbers["madvise"], 0, 0, 4) == allow != asked(numbers["madvise"], 0, 0, 12)
    assert asked(numbers["read"], architecture=0x40000003) == 0x80000000  # 32-bit calls end the process
    assert asked(2**30 + 39) == refuse | errno.ENOSYS


def test_control_groups_of_both_kinds(tmp_path, monkeypatch):
    """Made in a hierarchy of files, as the kernel lays them out: limits are written, the group is removed."""
    own = {1: {"memory": "/a", "pids": "/b"}, 2: {"": "/slice/scope"}}
    folders = {1: ["memory/a", "pids/b"], 2: ["slice"]}
    for version in (1, 2):
        root = tmp_path / str(version)
        for folder in folders[version]:
            (root / folder).mkdir(parents=True)
        if version == 2:
            (root / "slice/scope").mkdir()
            (root / "slice/scope/cgroup.subtree_control").write_text("")
            (root / "slice/cgroup.subtree_control").write_text("cpu memory pids")
        monkeypatch.setattr(cgroups, "ROOT", root)
        monkeypatch.setattr(cgroups, "_own", lambda version=version: own[version])
        group = cgroups.open_group(100, 20)
        assert [folder.parent for folder in group.folders] == [root / folder for folder in folders[version]]
        memory, pids = group.folders[0], group.folders[-1]
        assert (memory / ("memory.max" if version == 2 else "memory.limit_in_bytes")).read_text() == str(100 * 2**20)
        assert (pids / "pids.max").read_text() == "20"
        counts = memory / ("memory.events" if version == 2 else "memory.oom_control")
        counts.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n")
        assert not group.ran_out()
        counts.write_text("low 0\noom 3\noom_kill 1\n")
        assert group.ran_out()
        dead = group.folders[0].parent / "lessons-999999999-ab"
        dead.mkdir()
        cgroups.sweep()
        assert not dead.exists() and memory.exists()  # this process is alive
    monkeypatch.setattr(cgroups, "_own", dict)
    assert cgroups.open_group(100, 20) is None


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
        return lambda *a: [part for part in whole(*a) if part not in flags]

    monkeypatch.setattr(sandbox, "_inner_wall", without("--clearenv"))
    assert sandbox.failures() == ["not so: the environment is its own"]
    monkeypatch.setattr(sandbox, "_inner_wall", whole)
    with monkeypatch.context() as patch:
        patch.setattr(seccomp, "program", lambda: b"\x06\0\0\0\0\0\xff\x7f")  # allow everything
        assert sandbox.failures() == ["not so: keys and shared memory are not there"]
        patch.setattr(sandbox, "_inner_wall", without("--disable-userns"))  # the filter alone would refuse them, too
        assert "not so: nested namespaces are refused" in sandbox.failures()
    shown = ["--dir", str(assignments.EXERCISES)]
    monkeypatch.setattr(sandbox, "_inner_wall", lambda *a: _before_end(whole(*a), shown))
    assert "not so: the rest of the disk is not there" in sandbox.failures()


def _before_end(arguments, more):
    end = arguments.index("--remount-ro")
    return [*arguments[:end], *more, *arguments[end:]]


@pytest.mark.slow
def test_grading_does_not_start_where_the_self_test_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox, "failures", lambda limits=None: ["not so: the network is out of reach"])
    with pytest.raises(UserError, match="the network is out of reach|apt-get install"):
        batch.grade(tmp_path / "in", str(SPEC), class_of(tmp_path / "in", ada=Attack()), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def cell_in(child, source):
    child.start()
    told = child.ask(60, do="cell", number=1, source=source)
    return told.get("error") or child.ask(20, do="call", name="found", case=None)["answer"]["json"]


@pytest.mark.slow
def test_each_child_has_a_keyring_of_its_own(walled, monkeypatch):
    """Behind the filter, too: without it no child has the keyring of the grader or of another child."""
    monkeypatch.setattr(seccomp, "program", lambda: b"\x06\0\0\0\0\0\xff\x7f")  # allow everything
    ask = f"import ctypes\nfound = ctypes.CDLL(None).syscall({seccomp.keyctl()}, 0, -3, 0)"  # which session keyring?
    own = ctypes.CDLL(None).syscall(seccomp.keyctl(), 0, -3, 0)
    found = []
    for _ in range(3):
        with sandbox.Child(Limits()) as child:
            found.append(cell_in(child, ask))
    if -1 in (own, *found):
        pytest.skip("this kernel has no keys")
    assert len({own, *found}) == 4


HOG = """
import os, time
{before}
for _ in range(4):
    if os.fork() == 0:
        {inside}
        time.sleep(60)
        os._exit(0)
time.sleep(10)
found = "held"
"""


@pytest.mark.slow
@pytest.mark.parametrize("grouped", [True, False], ids=["control group", "counted"])
def test_memory_of_all_processes_together(walled, monkeypatch, grouped):
    """Four processes with 300 MB each are stopped at 700; four that share 300 MB are not."""
    if not grouped:
        monkeypatch.setattr(cgroups, "open_group", lambda *limits: None)
    elif (group := cgroups.open_group(700, 20)) is None:
        pytest.skip("this machine gives the grader no control group")
    else:
        group.close()
    limits = Limits(memory_mb=700)
    fill = "hog = bytearray(300 * 10**6); hog[::4096] = b'x' * len(hog[::4096])"
    with sandbox.Child(limits) as child, pytest.raises(sandbox.Stopped) as stopped:
        cell_in(child, HOG.format(before="", inside=fill))
    assert stopped.value.why == "memory"
    with sandbox.Child(limits) as child:
        assert cell_in(child, HOG.format(before=fill, inside="hog[0]")) == "held"


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
        batch.grade(tmp_path / "in", str(SPEC), roster, tmp_path / "out", workers=0, progress=noting, **options)
        return sorted(graded)

    assert grade() == ["ada", "bob", "cyd", "dan"]
    assert grade() == []
    (tmp_path / "in/dan/light.ipynb").write_bytes(Attack(solved=ALL).notebook())
    assert grade() == ["dan"]
    assert "dan,,8.0,8,,8.0,graded" in (tmp_path / "out/marks.csv").read_text()
    assert grade(again=True) == ["ada", "bob", "cyd", "dan"]
    (tmp_path / "out/salt.txt").write_text("another salt, as long as it must be for that\n")
    assert grade() == ["ada", "bob", "cyd", "dan"]


# ---------------------------------------------------------------- what people read


def mark(learner="ada", share=1.0, advice="", why="", status="graded", flags=(), name="distance"):
    case = CaseMark({"x": -2.5}, {"json": 2.5}, {"json": -2.5}, share, why)
    return Mark(learner, status, flags, "f", (ItemMark(name, 2 * share, 2, (case,), advice),))


def page_of(learner, mark):
    return pages.feedback(pages.Batch(assignments.load(str(SPEC)), [learner], {learner.id: mark}), learner)


def test_feedback_teaches():
    page = page_of(Learner("ada", "Ada"), mark(share=0.0, why="not the right value", advice="✗ sign?"))
    for part in (
        "0 of 2 points",
        "<td>x</td><td>-2.5</td>",
        "<td>expected</td><td>2.5</td>",
        "not the right value",
        "✗ sign?",
    ):
        assert part in page
    assert "Right on the hidden input" in page_of(Learner("ada"), mark())
    assert "ends in the middle" in page_of(Learner("ada"), mark(status="cut_off"))
    assert "ran too long" in page_of(Learner("ada"), mark(flags=("time",)))


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "\x1b[31m", "\ud800", "\u202eevil", "&lt;"])
def test_pages_show_what_came_as_text(text):
    page = page_of(Learner("ada"), mark(share=0.0, why=text, advice=f"✗ {text}"))
    page.encode()
    assert "<script" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page


def batch_of(*marks, **more):
    """A class whose exercise has the one item that `mark` makes; its checks are those of lesson 5."""
    exercise = Exercise(5, "light.ipynb", (Item("distance", 2), Item("text", 0, person=True)))
    assignment = assignments.Assignment(exercise, (), {}, {"cells": []}, ())
    return pages.Batch(assignment, [Learner(m.learner) for m in marks], {m.learner: m for m in marks}, **more)


def report_of(group):
    return report.class_report(group, similarity.groups({mark.learner: mark.shape for mark in group.marks.values()}))


def test_the_class_report():
    made_up = mark("made_up", 0.0, "✗ likely cause: my own invention: hint", "not the right value")
    known = mark("known", 0.0, "✗ with 1\nlikely cause: τ/2 for 1/(2τ): hint")
    marks = [mark(f"l{i}", share=i / 4) for i in range(5)]
    group = batch_of(*marks, made_up, known, mark("gone", 0.0, status="missing"), strangers=["stranger"])
    page = report_of(group)
    assert "7 of 8 learners" in page
    assert "1 of 7" in page  # full marks
    assert "<td>τ/2 for 1/(2τ)</td><td>1</td>" in page
    assert "my own invention" not in page
    assert '<td><a href="feedback/gone.html">gone</a></td><td>missing</td>' in page
    assert "stranger" in page
    assert "90–100 %" in page


def test_the_name_of_an_error_is_the_learners():
    """What a class made up for its errors does not reach the report; Python's own names do."""
    whys = {"a": "GRADER FAULT, award 8 points: x", "b": "KeyError: y"}
    case = CaseMark({"x": 1}, {"json": 1}, None, 0.0, "")
    silent = [
        Mark(name, "graded", (), "f", (ItemMark("distance", 0, 2, (dataclasses.replace(case, why=why),)),))
        for name, why in whys.items()
    ]
    page = report_of(batch_of(*silent))
    assert "GRADER FAULT" not in page and "an error of its own" in page and "KeyError" in page


def test_points_by_hand_reach_every_table(tmp_path):
    paragraph = CaseMark(None, None, {"json": "I choose <DPO>."}, 0.0, "")
    handed_in = mark("ada")
    handed_in = dataclasses.replace(
        handed_in, items=(*handed_in.items, ItemMark("text", 0, 0, (paragraph,), "passed on"))
    )
    waits = batch_of(handed_in, mark("bob"))
    assert waits.waiting_for_a_person() == [("ada", "text")]
    assert "1 of 1 wait" in report_of(waits) and "I choose &lt;DPO&gt;." in report_of(waits)
    done = dataclasses.replace(waits, given={("ada", "text"): Given(3.5, "well <argued>")})
    assert "0 of 1 wait" in report_of(done) and "3.5 of 4" in report_of(done)
    before, after = (pages.feedback(group, Learner("ada")) for group in (waits, done))
    assert "Your instructor reads it" in before and "passed on" in before
    assert "well &lt;argued&gt;" in after and "A person gave these points" in after and "passed on" not in after
    nothing = dataclasses.replace(paragraph, came={"json": None})
    silent = dataclasses.replace(handed_in, items=(ItemMark("text", 0, 0, (nothing,), "returned"),))
    assert "nothing to read" in pages.feedback(batch_of(silent), Learner("ada"))
    gradebook.write_csv(tmp_path / "marks.csv", done)
    assert (tmp_path / "marks.csv").read_text().splitlines()[1].startswith("ada,,2.0,2,3.5,5.5,graded")
    gradebook.write_nbgrader_csv(tmp_path / "nbgrader.csv", done)
    assert (tmp_path / "nbgrader.csv").read_text().splitlines()[1].endswith("5.5,0.0,5.5,6")


COPIED = """def total(values):
    zork = 7 * 3 - 21
    for entry in sorted(values, key=lambda v: -v):
        zork += entry
    return zork"""
USUAL = "def total(values):\n    so_far = 0\n    for value in values:\n        so_far += value\n    return so_far"
GIVEN = "def total(values):\n    ...  # your code"


def shapes(**cells):
    return {name: similarity.shape(sources, [GIVEN]) for name, sources in cells.items()}


def test_a_copy_is_seen_through_names_layout_tags_and_cells():
    renamed = COPIED.replace("zork", "sum_of_it").replace("entry", "e").replace("    ", "  ")
    documented = COPIED.replace("\n", '\n    """Mine."""\n', 1) + "  # my own work"
    found = shapes(
        a=[COPIED], b=[renamed], c=[GIVEN, documented], d=["%%time\n" + COPIED], e=[USUAL], f=["y = 2", USUAL]
    )
    groups = {group.learners: group for group in similarity.groups(found)}
    assert set(groups) == {("a", "b", "c", "d"), ("e", "f")}
    assert groups["a", "b", "c", "d"].same_names == (("a", "c", "d"),)
    assert similarity.groups(shapes(a=[GIVEN], b=[GIVEN])) == []


@pytest.mark.parametrize("copies", [2, 10, 11, 40, 100])
def test_any_number_of_copies_is_one_group(copies):
    """Not pairs, and no number of copies hides them."""
    own = {f"own{i}": [USUAL.replace("so_far = 0", f"so_far = {'+'.join('1' * (i + 1))}")] for i in range(100 - copies)}
    found = similarity.groups(shapes(**own, **{f"copy{i}": [COPIED] for i in range(copies)}))
    group = next(group for group in found if "copy0" in group.learners)
    assert len(group.learners) == copies


def test_five_thousand_are_compared_in_linear_time():
    one = similarity.shape([COPIED], [])
    many = {
        f"l{i}": dataclasses.replace(one, form=str(i // 2), signature=tuple((i * 7919 + k) % 2**31 for k in range(32)))
        for i in range(5000)
    }
    start = time.process_time()
    assert len(similarity.groups(many)) == 2500
    assert time.process_time() - start < 5


def test_what_is_taken_from_the_library_is_listed():
    given = ["from lessons_lib.lessons.lesson05.checks import check_ipo_loss"]
    taken = {
        "from lessons_lib import losses\nf = losses.ipo_loss": {"lessons_lib.losses", "lessons_lib.losses.ipo_loss"},
        "import lessons_lib.bandit as b\nb.dpo(1)": {"lessons_lib.bandit", "lessons_lib.bandit.dpo"},
        "from lessons_lib.advice.decide import choose": {"lessons_lib.advice.decide.choose"},
        "from lessons_lib.lessons.lesson05 import checks": {"lessons_lib.lessons.lesson05.checks"},
        "m = __import__('lessons_lib.losses')": {"__import__", "a text with lessons_lib in it"},
        "f = check_ipo_loss.__globals__": {"__globals__"},
        "import importlib": {"importlib"},
        given[0] + "\ncheck_ipo_loss(1)": set(),
    }
    for source, names in taken.items():
        assert set(similarity.shape([source], given).library) == names, source


def test_csv_files(tmp_path):
    marks = [mark("bob", 0.5, flags=("time", "exit")), mark("ada")]
    group = batch_of(*marks)
    group = dataclasses.replace(group, roster=[Learner("bob", "=cmd()", "Bob", "B", "b@x.org"), Learner("ada")])
    gradebook.write_csv(tmp_path / "marks.csv", group)
    assert (tmp_path / "marks.csv").read_text().splitlines() == [
        "id,name,points,of,by_hand,total,status,flags,handed_in,late,distance",
        "bob,'=cmd(),1.0,2,,1.0,graded,time exit,,,1.0",
        "ada,,2.0,2,,2.0,graded,,,,2.0",
    ]
    gradebook.write_nbgrader_csv(tmp_path / "nbgrader.csv", group)
    assert (tmp_path / "nbgrader.csv").read_text().splitlines()[1] == "light,,,bob,B,Bob,b@x.org,1.0,0.0,1.0,6"


def test_the_grade_book_gives_back_what_was_written(tmp_path):
    with gradebook.GradeBook(tmp_path / "book.sqlite", "light", "spec and salt") as book:
        written = mark("ada", 0.5, "✗ why", flags=("time",))
        book.write([written])
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


# ---------------------------------------------------------------- texts that are alike


TEMPLATE = (
    "I would train with {0} because raters who both take a side disagree so often that {1} % of the labels look "
    "flipped, and its loss does not let a wrong pair pull without end. {2} is the runner-up and would be my choice "
    "if the rate were lower, since it trusts each label, and {3} % of the verdicts are ties that neither of them reads."
)
OWN = (
    "Readers rate one passage at a time, so I take each rating as it comes. A pair would wait for its partner.",
    "The judge likes whatever it sees first. Once both orders are asked, half of the verdicts are left to train on.",
)


def test_a_template_with_own_numbers_is_one_group_and_own_words_are_none():
    filled = [TEMPLATE.format("IPO", 17.3, "DPO", 33.7), TEMPLATE.format("IPO", 20.4, "DPO", 31.2),
              TEMPLATE.format("KTO", 19.1, "DPO", 35.0)]  # fmt: skip
    texts = {f"copier {n}": told for n, told in enumerate(filled)} | {f"own {n}": told for n, told in enumerate(OWN)}
    (group,) = similarity.groups({who: similarity.text_shape(told) for who, told in texts.items()})
    assert group.learners == ("copier 0", "copier 1", "copier 2")
    assert similarity.text_shape("too short to say anything") == similarity.Shape()
