"""``make grade-demo``: thirty submissions of every kind, graded in the sandbox; the class report opens at the end.

They are generated: honest ones, half-finished ones, typical mistakes, damaged files, and a few that attack. The
exercise is number 5, as handed out.
"""

from __future__ import annotations

import json
import shutil
import sys
import webbrowser
from pathlib import Path

from lessons_lib.__main__ import main
from lessons_lib.grading import handout
from lessons_lib.grading.assignments import EXERCISES

NAME = "05_implement_ipo"
# What a learner wrote instead of the solution, by what it is.
MISTAKES = {
    "sign": ("(policy_rejected - reference_rejected)", "(reference_rejected - policy_rejected)"),
    "reference_ignored": ("(policy_chosen - reference_chosen) - (policy_rejected - reference_rejected)",
                          "policy_chosen - policy_rejected"),
    "tau_halved": ("(h - 1 / (2 * tau))", "(h - 1 / 2 * tau)"),
    "no_two": ("(h - 1 / (2 * tau))", "(h - 1 / tau)"),
    "averaged": ("(h - 1 / (2 * tau)) ** 2", "((h - 1 / (2 * tau)) ** 2).mean()"),
    "square_forgotten": ("(h - 1 / (2 * tau)) ** 2", "h - 1 / (2 * tau)"),
    "margin_upside_down": ("return 1 / (2 * margin)", "return 2 * margin"),
    "tau_copied": ("return tau * length", "return tau"),
    "tau_divided": ("return tau * length", "return tau / length"),
    "no_gradient": ("(h - 1 / (2 * tau)) ** 2", "((h - 1 / (2 * tau)) ** 2).detach()"),
}  # fmt: skip
EXTRA = {
    "loops": "while True: pass",
    "exits": "import os\nos._exit(0)",
    "warns": "import warnings\nwarnings.warn('look out')",
    "error_in_a_cell": "undefined_name",
    "reaches_out": "import socket\nsocket.create_connection(('192.0.2.1', 80), timeout=1)",
    "equal_to_everything": "class E:\n    __eq__ = lambda *a: True\ndef tau_for_margin(margin): return E()",
    "reads_the_specs": f"open({str(EXERCISES / 'specs' / 'ex05.py')!r}).read()",
}


def submissions() -> dict[str, bytes | None]:
    """Thirty learners' files; None for one that handed in nothing."""
    stub = json.loads((EXERCISES / f"{NAME}.ipynb").read_text(encoding="utf-8"))
    solution = handout.solution_of(NAME)
    solved = handout.solve(stub, solution)
    files = {f"right_{number}": _file(solved) for number in range(1, 7)}
    files |= {what: _file(handout.solve(stub, solution.replace(*change))) for what, change in MISTAKES.items()}
    files |= {what: _file(_with_cell(solved, source)) for what, source in EXTRA.items()}
    files |= {"stub_1": _file(stub), "stub_2": _file(stub), "cut_off": _file(solved)[:-500]}
    files |= {"not_json": b"my homework", "empty": b"", "nothing": None}
    files["cells_deleted"] = _file({**solved, "cells": solved["cells"][:6]})
    return files


def _file(notebook: dict) -> bytes:
    return json.dumps(notebook).encode()


def _with_cell(notebook: dict, source: str) -> dict:
    cell = {"cell_type": "code", "execution_count": None, "id": "more", "metadata": {}, "outputs": [], "source": source}
    return {**notebook, "cells": [*notebook["cells"], cell]}


def write_class(folder: Path) -> None:
    """`folder`/submitted and `folder`/roster.csv."""
    files = submissions()
    for learner, content in files.items():
        if content is not None:
            (folder / "submitted" / learner).mkdir(parents=True)
            (folder / "submitted" / learner / f"{NAME}.ipynb").write_bytes(content)
    roster = "id\n" + "".join(f"{learner}\n" for learner in files)
    (folder / "roster.csv").write_text(roster, encoding="utf-8")


def demo(folder: Path) -> int:
    shutil.rmtree(folder, ignore_errors=True)
    write_class(folder)
    marks = folder / "marks"
    command = ["grade", str(folder / "submitted"), "--exercise", NAME, "--roster", str(folder / "roster.csv")]
    code = main([*command, "--out", str(marks)])
    if code == 0:
        webbrowser.open((marks / "report.html").resolve().as_uri())
    return code


if __name__ == "__main__":
    sys.exit(demo(Path("_build") / "grade-demo"))
