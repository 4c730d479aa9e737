"""The book's tables of attacks and accidents, written from the tests themselves: `python tests/attacks/tables.py`."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
PAGE = ROOT / "book" / "grader_tests.md"
_ACCIDENTS = ROOT / "tests" / "grading" / "test_accidents.py"
_HEAD = """# What the grader was tried with

The [page for instructors](instructors.md) says what the grader promises. This page lists what holds it to that:
{attacks} kinds of submission that try to gain points, to harm or to confuse, and {accidents} kinds of accident. Both
are tests of the project, and both tables are written from these tests (`python tests/attacks/tables.py`), so that they
cannot say more than is tried.

## Attacks

All are graded in one batch. The exercise is worth 8 points; an attack that also holds honest answers keeps exactly
theirs. After the batch nothing outside the sandbox has changed: no file, no process, no control group, no mark of
anybody else, and nothing has reached a listener on the network. *What is said* is the flag or status in the tables of
marks; nothing is said of a wrong answer that only pretends to be right.

| what is tried | points | what is said |
|---|---|---|
{table_of_attacks}

## Accidents

| what happens |
|---|
{table_of_accidents}

## What is not covered

Two submissions that run at the same time share a processor, its caches and the machine's clock. What one learns from
how long things take is not prevented. On a machine without control groups for the grader, memory is limited by address
space and counted four times a second instead. Where the grader does not run as root, all children are one user to the
kernel, whose counts of pipes and locked memory two of them could watch.
"""


def attacks() -> list[tuple[str, str, str]]:
    """A row for each attack of the corpus: its name as words, its points, what is said about it."""
    from attacks.corpus import corpus
    from grading.test_attacks import LINKED

    rows = []
    for name, attack in corpus(0, "", Path("/victim/light.ipynb"), Path("/out")).items():
        if name.startswith("honest_"):  # there to compare with
            continue
        said = attack.flags if attack.status == "graded" else (attack.status,)
        rows.append((_words(name), f"{attack.due:g}", ", ".join(f"`{word}`" for word in said)))
    return rows + [(_words(name), "0", "`not_a_file`") for name in LINKED]


def accidents() -> list[str]:
    """The first line of each test of an accident."""
    tree = ast.parse(_ACCIDENTS.read_text(encoding="utf-8"))
    tests = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    return [ast.get_docstring(test).splitlines()[0] for test in tests]


def page() -> str:
    """The whole page."""
    tried, happened = attacks(), accidents()
    return _HEAD.format(
        attacks=len(tried),
        accidents=len(happened),
        table_of_attacks="\n".join(f"| {what} | {points} | {said} |" for what, points, said in tried),
        table_of_accidents="\n".join(f"| {_cell(line)} |" for line in happened),
    )


def _words(name: str) -> str:
    return name.replace("_", " ").replace("processs", "process's").replace("kernels", "kernel's")


def _cell(line: str) -> str:
    return re.sub(r"(__\w+|\.\w+_Store|10\*\*400)", r"`\1`", line.replace("|", "\\|"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
