"""Exercises as a learner meets them: the stub runs and is told what is missing; the solution passes every check."""

import json
import runpy
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "exercises").glob("[0-9]*.ipynb"))


def number_of(path):
    return path.name[:2]


def spec_of(path):
    """The hidden spec of an exercise's notebook."""
    return runpy.run_path(str(ROOT / "exercises" / "specs" / f"ex{number_of(path)}.py"))["EXERCISE"]


def solution_of(path):
    """The names that an exercise's solution defines, with their values."""
    return runpy.run_path(str(ROOT / "exercises" / "solutions" / f"ex{number_of(path)}.py"))


def verdicts(notebook, solution=None):
    """Run the code cells in order, the solution's names in place of the stubs'; what the checks answered."""
    names, answers = {}, []
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        exec(cell.source, names)
        if cell.metadata.get("nbgrader", {}).get("solution") and solution:
            name = cell.metadata.nbgrader.grade_id
            names[name] = solution[name]
        if cell.source.startswith("check_"):
            answers.append(eval(cell.source, names))
    return answers


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_stub_runs_and_the_solution_passes(path):
    notebook = nbformat.read(path, as_version=4)
    asked = verdicts(notebook)
    assert asked and not any(asked)
    assert all(verdicts(notebook, solution_of(path)))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_marked_item_has_its_stub(path):
    spec = spec_of(path)
    assert (spec.lesson, spec.notebook) == (int(number_of(path)), path.name)
    cells = nbformat.read(path, as_version=4).cells
    stubs = [cell.metadata.nbgrader.grade_id for cell in cells if cell.metadata.get("nbgrader", {}).get("solution")]
    assert [item.name for item in spec.items] == stubs


def test_notebooks_are_committed_without_outputs(root):
    for path in [*root.glob("exercises/*.ipynb"), *root.glob("notebooks/**/[!.]*.ipynb")]:
        if ".ipynb_checkpoints" in path.parts:
            continue
        for cell in nbformat.read(path, as_version=4).cells:
            assert not cell.get("outputs"), f"{path.name}: a cell carries outputs; clear them before you commit"
            assert cell.get("execution_count") is None, f"{path.name}: a cell carries an execution count"
            lines = cell.source.count("\n") + 1
            assert cell.cell_type != "code" or lines <= 18, f"{path.name}: a code cell of {lines} lines; move it out"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_check_is_a_cell_that_nbgrader_looks_at(path):
    """Its button "Validate" reads the cells that are marked, and calls a notebook without them faultless."""
    marks = [
        cell.metadata.get("nbgrader", {})
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code" and cell.source.startswith("check_")
    ]
    assert all(mark.get("grade") and mark["points"] == 0 and mark["locked"] for mark in marks)
    assert len({mark["grade_id"] for mark in marks}) == len(marks)


@pytest.mark.slow
def test_the_button_validate_tells_untouched_from_solved(tmp_path):
    from nbgrader.validator import Validator

    from lessons_lib.grading.handout import solution_of, solve, write_notebook

    name = "05_implement_ipo"
    notebook = json.loads((ROOT / "exercises" / f"{name}.ipynb").read_text(encoding="utf-8"))
    write_notebook(tmp_path / "untouched.ipynb", notebook)
    write_notebook(tmp_path / "solved.ipynb", solve(notebook, solution_of(name)))
    failed = Validator().validate(str(tmp_path / "untouched.ipynb"))["failed"]
    assert [cell["source"].partition("(")[0] for cell in failed] == [
        "check_ipo_loss",
        "check_tau_for_margin",
        "check_averaged_tau",
    ]
    assert all("✗" in cell["error"] for cell in failed)
    assert Validator().validate(str(tmp_path / "solved.ipynb")) == {}
