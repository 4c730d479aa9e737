"""The page for instructors: the lines that a stranger pastes are run as they stand."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys

import pytest

from lessons_lib.errors import UserError
from lessons_lib.grading import sandbox


@pytest.fixture(scope="module")
def lines(root):
    """The numbered commands of the first block, by number."""
    page = (root / "book/instructors.md").read_text(encoding="utf-8")
    block = page.partition("```\n")[2].partition("```")[0]
    return {int(number): line.strip() for line, number in re.findall(r"^(.*?) +# *(\d+)\b", block, re.MULTILINE)}


@pytest.mark.slow
def test_from_zero_to_graded(root, lines, tmp_path):
    """Lines 4 to 9, in a folder where the exercises lie as they do in the checkout."""
    try:
        sandbox.self_test()
    except UserError as error:
        pytest.skip(str(error))
    (tmp_path / "exercises").symlink_to(root / "exercises")
    environment = {**os.environ, "PYTHONPATH": str(root)}
    for number in range(4, 10):
        command = lines[number].replace(".venv/bin/lessons-lib", f"{sys.executable} -m lessons_lib")
        done = subprocess.run(command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{lines[number]}\n{done.stderr}"
    assert (tmp_path / "for-learners/exercises/05_implement_ipo.ipynb").exists()
    report = (tmp_path / lines[10].split()[1]).read_text(encoding="utf-8")
    assert 'href="feedback/ada.html"' in report
    with (tmp_path / "marks/05/marks.csv").open() as file:
        assert [(row["id"], row["points"], row["status"]) for row in csv.DictReader(file)] == [
            ("ada", "0.0", "graded"),
            ("bob", "0.0", "graded"),
        ]
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    seen = subprocess.run(
        ["git", "status", "--porcelain", "-uall", "marks"], cwd=tmp_path, capture_output=True, text=True
    )
    assert seen.stdout == ""  # no mark and no salt gets into a repository by accident


def test_every_line_is_there_and_every_option_exists(root, lines):
    assert sorted(lines) == list(range(1, 11))
    page = (root / "book/instructors.md").read_text(encoding="utf-8")
    for command in ("grade", "quiz"):
        told = subprocess.run(
            [sys.executable, "-m", "lessons_lib", command, "--help"],
            env={**os.environ, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for line in re.findall(rf"lessons-lib {command} (.*)", page):
            for option in re.findall(r"--[a-z]+", line):
                assert option in told, f"{option} of `{command}`"


def test_every_status_and_flag_is_on_the_page(root):
    from lessons_lib.grading.submissions import FLAGS, UNREADABLE

    page = (root / "book/instructors.md").read_text(encoding="utf-8")
    missing = [word for word in (*UNREADABLE, *FLAGS) if f"`{word}`" not in page]
    assert not missing
