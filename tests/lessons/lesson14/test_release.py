"""What an instructor releases: runs for a sealed plan, once, to a ticket of the course."""

import csv
import json
import runpy
import subprocess
import sys

import pytest

from lessons_lib.errors import UserError
from lessons_lib.grading import tickets
from lessons_lib.lessons.lesson14 import plan, trial
from lessons_lib.lessons.lesson14.trial_runs import STAND_INS

from .conftest import TICKET, TULU1


@pytest.fixture(scope="module")
def tool(root):
    return runpy.run_path(root / "exercises/specs/release_ex14.py")


@pytest.fixture
def sent(plans, tmp_path):
    return plan.write_sealed(plans, TICKET, tmp_path)


def command(root, *arguments):
    script = root / "exercises/specs/release_ex14.py"
    return subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True)


def pasted(path):
    names = {}
    exec(path.read_text(), names)
    return names["released"]


def test_what_is_released_is_pasted_and_holds(tool, sent, plans, tmp_path, root):
    spec = runpy.run_path(root / "exercises/specs/ex14.py")
    released = pasted(tool["release"](sent, tmp_path / "out"))
    assert trial.not_released(spec["key"](), plans, released, TICKET) == ""
    for name in STAND_INS:
        assert released["differences"][name] == trial.differences(
            spec["runs"](), name, "orpo", plans[name]["runner_up"], trial.others(name, TICKET)
        )
    (line,) = csv.DictReader((tmp_path / "out/released.csv").read_text().splitlines())
    assert line["ticket"] == TICKET and line["seal"] == plan.seal(plans, TICKET)


def test_a_second_time_gives_the_same_and_other_plans_are_refused(tool, sent, plans, tmp_path):
    out = tmp_path / "out"
    first = tool["release"](sent, out).read_text()
    assert tool["release"](sent, out).read_text() == first
    plans[TULU1]["beats"]["simpo"] = 0.99
    with pytest.raises(UserError, match="runs were released on .* for other plans"):
        tool["release"](plan.write_sealed(plans, TICKET, tmp_path), out)
    assert len((out / "released.csv").read_text().splitlines()) == 2


REFUSED = {
    "they were changed after it was made": lambda told: told["plans"]["tulu1_human_eval"]["beats"].update(simpo=0.9),
    "do not fit together": lambda told: told["plans"].update(signed="soon"),
    "plans do not fit": lambda told: told["plans"].update(signed="0001-01-01T00:00:00+23:00"),
    "a ticket of twelve digits and letters": lambda told: told.update(ticket="../../etc/passwd"),
    "expected the file that the notebook wrote": lambda told: told.pop("seal"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_is_refused_is_said(tool, sent, tmp_path, why):
    told = json.loads(sent.read_text())
    REFUSED[why](told)
    sent.write_text(json.dumps(told))
    with pytest.raises(UserError, match=why):
        tool["release"](sent, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_signature_from_the_future_is_refused(tool, plans, tmp_path):
    late = plan.write_sealed({**plans, "signed": "2999-01-01T00:00:00+00:00"}, TICKET, tmp_path)
    with pytest.raises(UserError, match="still to come"):
        tool["release"](late, tmp_path / "out")


def test_the_command_serves_the_course_alone(root, plans, tmp_path):
    (tmp_path / "salt.txt").write_text("s" * 32)
    (tmp_path / "roster.csv").write_text("id,name\nada,Ada\n")
    ada = tickets.ticket(b"s" * 32, "ada", "14_capstone")
    files = [plan.write_sealed(plans, ticket, tmp_path) for ticket in (ada, TICKET)]
    course = ("--roster", tmp_path / "roster.csv", "--salt", tmp_path / "salt.txt")
    done = command(root, *files, "--out", tmp_path / "out", *course)
    assert done.returncode == 1 and "belongs to nobody on the roster" in done.stderr and "Traceback" not in done.stderr
    assert (tmp_path / "out" / f"released_{ada}.txt").exists()
    assert not (tmp_path / "out" / f"released_{TICKET}.txt").exists()


@pytest.mark.parametrize("course", [(), ("--roster",), ("--salt",), ("--roster", "--salt", "--anybody")])
def test_whom_to_serve_is_said_whole(root, sent, tmp_path, course):
    """Half of what tells the course would else serve everybody, and nobody would notice."""
    named = {"--roster": [tmp_path / "roster.csv"], "--salt": [tmp_path / "salt.txt"]}
    options = [part for option in course for part in (option, *named.get(option, ()))]
    done = command(root, sent, "--out", tmp_path / "out", *options)
    assert done.returncode == 2 and "both --roster and --salt, or --anybody" in done.stderr
    assert not (tmp_path / "out").exists()


def test_anybody_is_served_where_that_is_asked_for(root, sent, tmp_path):
    done = command(root, sent, "--out", tmp_path / "out", "--anybody")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / f"released_{TICKET}.txt").exists()
