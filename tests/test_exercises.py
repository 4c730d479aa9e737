"""Exercises as a learner meets them: the stub runs and is told what is missing; the solution passes every check."""

import ast

import nbformat
import pytest

SOLUTIONS = {
    "05_implement_ipo.ipynb": """
def my_ipo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, tau):
    h = (policy_chosen - reference_chosen) - (policy_rejected - reference_rejected)
    return (h - 1 / (2 * tau)) ** 2
def tau_for_margin(margin):
    return 1 / (2 * margin)
def averaged_tau(tau, length):
    return tau * length
""",
}


def verdicts(notebook, solution=""):
    """Run the code cells in order, the solution's functions in place of the stubs'; what the checks answered."""
    solved = {node.name: ast.unparse(node) for node in ast.parse(solution).body}
    names, answers = {}, []
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        exec(cell.source, names)
        for name in set(solved) & set(names):
            exec(solved[name], names)
        if cell.source.startswith("check_"):
            answers.append(eval(cell.source, names))
    return answers


@pytest.mark.parametrize("name", SOLUTIONS)
def test_the_stub_runs_and_the_solution_passes(root, name):
    notebook = nbformat.read(root / "exercises" / name, as_version=4)
    asked = verdicts(notebook)
    assert asked and not any(asked)
    assert all(verdicts(notebook, SOLUTIONS[name]))


def test_every_exercise_has_its_solution_here(root):
    assert {path.name for path in (root / "exercises").glob("*.ipynb")} == set(SOLUTIONS)


def test_notebooks_are_committed_without_outputs(root):
    for path in [*root.glob("exercises/*.ipynb"), *root.glob("notebooks/**/[!.]*.ipynb")]:
        if ".ipynb_checkpoints" in path.parts:
            continue
        for cell in nbformat.read(path, as_version=4).cells:
            assert not cell.get("outputs"), f"{path.name}: a cell carries outputs; clear them before you commit"
            assert cell.get("execution_count") is None, f"{path.name}: a cell carries an execution count"
            lines = cell.source.count("\n") + 1
            assert cell.cell_type != "code" or lines <= 18, f"{path.name}: a code cell of {lines} lines; move it out"
