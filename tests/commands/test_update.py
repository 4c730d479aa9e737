"""`update` on real git repositories: the new version comes, and nothing of the learner's own is lost."""

import json
import subprocess
from pathlib import Path

import pytest

from lessons_lib.commands import update as commands
from lessons_lib.commands.update import update
from lessons_lib.errors import UserError

RESTART = "If JupyterLab runs, end it and start it again, and close what is open there without saving."
LESSON, EXERCISE = "notebooks/05_lesson.ipynb", "exercises/05_exercise.ipynb"


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a teacher", "-c", "user.email=teacher@example.org"]
    return subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def write(folder: Path, **files: str) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def publish(course: Path, **files: str) -> None:
    write(course, **files)
    git(course, "add", "-A")
    git(course, "commit", "-qm", "a version")


@pytest.fixture
def course(tmp_path) -> Path:
    """What the instructor publishes."""
    folder = tmp_path / "course"
    folder.mkdir()
    git(folder, "init", "-qb", "main")
    publish(folder, **{LESSON: "lesson, 1", EXERCISE: "exercise, 1", "lib/loop.py": "loop, 1"})
    return folder


@pytest.fixture
def mine(course, tmp_path) -> Path:
    """A learner's clone."""
    git(tmp_path, "clone", "-q", str(course), "mine")
    return tmp_path / "mine"


def texts(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


def test_without_edits_the_new_version_is_there(course, mine):
    publish(course, **{LESSON: "lesson, 2", "notebooks/06_lesson.ipynb": "new"})
    assert update(mine) == ["You have the newest version: 2 files changed.", RESTART]
    assert texts(mine) == texts(course)
    assert update(mine) == ["You have the newest version."]


def test_what_only_the_learner_changed_stays(course, mine):
    write(mine, **{EXERCISE: "my answer", "notes.txt": "my notes"})
    publish(course, **{LESSON: "lesson, 2"})
    told = update(mine)
    assert told[1:-1] == ["These you had edited, and they are as you left them:", f"  {EXERCISE}"]
    assert texts(mine) == {**texts(course), EXERCISE: "my answer", "notes.txt": "my notes"}


def notebook(source: str, output: str = "") -> str:
    cell = {"cell_type": "code", "source": source, "outputs": [output] if output else [], "metadata": {}}
    return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def test_a_notebook_that_was_only_run_is_not_called_edited(course, mine):
    publish(course, **{LESSON: notebook("1 + 1"), EXERCISE: notebook("...")})
    update(mine)
    write(mine, **{LESSON: notebook("1 + 1", "2"), EXERCISE: notebook("my answer", "3")})
    publish(course, **{LESSON: notebook("2 + 2"), EXERCISE: notebook("... # new")})
    told = "\n".join(update(mine))
    assert "my_05_exercise.ipynb" in told and "my_05_lesson" not in told
    assert texts(mine)[LESSON] == notebook("2 + 2")
    assert texts(mine)["exercises/my_05_exercise.ipynb"] == notebook("my answer", "3")


@pytest.mark.parametrize("staged", [False, True])
def test_where_both_changed_it_the_learners_own_stands_beside_the_new(course, mine, staged):
    write(mine, **{EXERCISE: "my answer", "lib/loop.py": "my loop", LESSON: "my lesson"})
    if staged:
        git(mine, "add", "-A")
    publish(course, **{EXERCISE: "exercise, 2", "lib/loop.py": "loop, 2"})
    told = update(mine)
    own = {"exercises/my_05_exercise.ipynb": "my answer", "lib/loop.py.mine": "my loop"}
    assert texts(mine) == {**texts(course), **own, LESSON: "my lesson"}
    assert f"  {EXERCISE}: yours is exercises/my_05_exercise.ipynb" in told

    write(mine, **{EXERCISE: "my second answer"})
    publish(course, **{EXERCISE: "exercise, 3"})
    update(mine)
    own["exercises/my_05_exercise_2.ipynb"] = "my second answer"
    assert texts(mine) == {**texts(course), **own, LESSON: "my lesson"}


def test_a_file_of_the_learners_that_the_new_version_brings_too(course, mine):
    write(mine, **{"notebooks/06_lesson.ipynb": "mine, by chance"})
    publish(course, **{"notebooks/06_lesson.ipynb": "new"})
    update(mine)
    assert texts(mine) == {**texts(course), "notebooks/my_06_lesson.ipynb": "mine, by chance"}


def test_a_notebook_that_the_new_version_leaves_out(course, mine):
    write(mine, **{EXERCISE: "my answer"})
    git(course, "rm", "-q", EXERCISE)
    publish(course)
    update(mine)
    assert texts(mine) == {**texts(course), "exercises/my_05_exercise.ipynb": "my answer"}


def test_a_notebook_that_the_learner_deleted_comes_back_with_the_new_version(course, mine):
    (mine / EXERCISE).unlink()
    publish(course, **{EXERCISE: "exercise, 2"})
    update(mine)
    assert texts(mine) == texts(course)


def test_commits_of_ones_own_are_left_alone(course, mine):
    publish(mine, **{EXERCISE: "my answer, committed"})
    before = texts(mine)
    publish(course, **{EXERCISE: "exercise, 2"})
    with pytest.raises(UserError, match="commits of your own.*git pull --rebase"):
        update(mine)
    assert texts(mine) == before


def test_a_version_that_cannot_be_taken_leaves_all_as_it_was(course, mine, monkeypatch):
    write(mine, **{EXERCISE: "my answer"})
    publish(course, **{EXERCISE: "exercise, 2", LESSON: "lesson, 2"})
    lock = mine / ".git" / "index.lock"  # as a git that was killed leaves it
    lock.touch()
    before = texts(mine)
    with pytest.raises(UserError, match="git "):
        update(mine)
    assert texts(mine) == before
    lock.unlink()
    real = commands._git

    def fails(root, *arguments):
        return real(root, *(["no-such-command"] if arguments[0] == "merge" else arguments))

    with monkeypatch.context() as patch, pytest.raises(UserError, match="git no-such-command: "):
        patch.setattr(commands, "_git", fails)
        update(mine)
    assert texts(mine) == before
    update(mine)
    assert texts(mine) == {**texts(course), "exercises/my_05_exercise.ipynb": "my answer"}


def test_no_network_and_no_checkout_are_said(course, mine, tmp_path):
    course.rename(tmp_path / "gone")
    with pytest.raises(UserError, match="git fetch: "):
        update(mine)
    with pytest.raises(UserError, match="expected a git checkout"):
        update(tmp_path)
    git(mine, "checkout", "-qb", "alone")
    with pytest.raises(UserError, match="set-upstream-to"):
        update(mine)
