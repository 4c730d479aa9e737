"""What an instructor hands out: the release for learners, the course folder for nbgrader, tickets for own data.

Solutions stand in ``exercises/solutions/exNN.py`` and specs in ``exercises/specs``; neither goes into the release.
"""

from __future__ import annotations

import ast
import copy
import csv
import io
import json
import re
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from lessons_lib._installed import CHECKOUT, of_checkout
from lessons_lib.errors import UserError
from lessons_lib.grading import assignments, files, quizzes, roster, tickets
from lessons_lib.grading.assignments import EXERCISES

# An allow list: what a learner needs to take the lessons, and nothing that is not on it.
_FOLDERS = ("notebooks", "lessons_lib", "book")
_FILES = (
    *("requirements.txt", "pyproject.toml", "LICENSE", "CITATION.cff"),
    *("_config.yml", "_toc.yml"),  # JupyterLab shows the book's pages by them
)
_LEFT_OUT = shutil.ignore_patterns(
    "__pycache__", ".ipynb_checkpoints", "large*", "*.egg-info", "node_modules", "vendor"
)
_BEGIN, _END = "### BEGIN SOLUTION", "### END SOLUTION"
_STUB = "...  # your code"


# ---------------------------------------------------------------- the release


def write_release(out: Path) -> None:
    """The folder that learners get: lessons, library, exercises, the quick checks' questions and how to start.

    Graded quizzes are not in it: `write_quizzes` draws one for each learner.
    """
    for name in (*_FOLDERS, *_FILES, "exercises"):
        of_checkout(name)
    _refuse_what_is_there(out)
    for name in _FOLDERS:
        shutil.copytree(CHECKOUT / name, out / name, ignore=_LEFT_OUT)
    for name in _FILES:
        shutil.copyfile(CHECKOUT / name, out / name)
    (out / "README.md").write_text(_README, encoding="utf-8")
    (out / "Makefile").write_text(_MAKEFILE, encoding="utf-8")
    _write_exercises(out / "exercises")
    _write_questions(out / "exercises" / "questions")


_README = """# The lessons and their exercises

What you need is Python 3.11 or newer. On Linux and macOS:

```
make learn
```

sets everything up in this folder, once, and opens the lessons in JupyterLab. On Windows:

```
py -m venv .venv
.venv\\Scripts\\pip install -r requirements.txt
.venv\\Scripts\\pip install --no-deps --editable .
.venv\\Scripts\\lessons-lib learn
```

Start with `notebooks/start.ipynb`. The exercises are in `exercises/`: fill in the cells that say `# your code`, run the
check below each, and hand in the notebook under the name that it has.
"""
_MAKEFILE = """# `make learn` opens the lessons; what is set up is not set up again.
PYTHON ?= python3

.PHONY: help learn
help:  ## list the commands
\t@echo "  make learn    open the lessons in JupyterLab"

learn: .venv/.learn
\t.venv/bin/python -m lessons_lib learn

.venv/.learn: requirements.txt
\t$(PYTHON) -m venv .venv
\t.venv/bin/python -m pip install --quiet -r requirements.txt
\t.venv/bin/python -m pip install --quiet --no-deps --editable .
\t@mkdir -p .venv/etc/jupyter && cp lessons_lib/client/jupyter_server_config.json .venv/etc/jupyter/
\t@touch $@
"""


def _refuse_what_is_there(out: Path) -> None:
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out}: expected a folder that is empty or not there yet, and it holds something")
    out.mkdir(parents=True, exist_ok=True)


def _write_exercises(out: Path) -> None:
    out.mkdir()
    for path in sorted(EXERCISES.glob("[0-9][0-9]_*.ipynb")):
        shutil.copyfile(path, out / path.name)
    for name in assignments.names():
        for path in assignments.load(name).files:
            shutil.copyfile(path, out / path.name)


def _write_questions(out: Path) -> None:
    """The banks without the questions that only graded quizzes ask, whose answers stand beside them."""
    out.mkdir()
    shutil.copyfile(EXERCISES / "questions" / "schema.json", out / "schema.json")
    for path in sorted((EXERCISES / "questions").glob("lesson*.yaml")):
        bank = yaml.safe_load(path.read_text(encoding="utf-8"))
        graded = {question.id for question in quizzes.graded_questions(bank["lesson"])}
        bank["questions"] = [entry for entry in bank["questions"] if entry["id"] not in graded]
        text = yaml.safe_dump(bank, allow_unicode=True, sort_keys=False, width=120)
        (out / path.name).write_text(text, encoding="utf-8")


def write_notebook(path: Path, notebook: dict) -> None:
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


# ---------------------------------------------------------------- tickets


def write_tickets(out: Path, name: str, learners: Sequence[roster.Learner], salt_path: Path | None) -> Path:
    """A CSV with the ticket of each learner; the salt is that of grading."""
    exercise = assignments.load(name).exercise.name
    path = out / f"tickets_{exercise}.csv"
    with files.folder_of_marks(out):
        salt = tickets.read_salt(salt_path or out / "salt.txt")
        text = io.StringIO()
        csv.writer(text).writerow(["id", "ticket"])
        csv.writer(text).writerows([one.id, tickets.ticket(salt, one.id, exercise)] for one in learners)
        files.write(path, text.getvalue())
    return path


def write_quizzes(out: Path, phase: int, learners: Sequence[roster.Learner], salt: bytes) -> list[Path]:
    """Each learner's own quiz, drawn by her ticket, as `out`/ID/quiz_phase_N.ipynb."""
    exercise, _ = quizzes.assignment(phase)
    paths = []
    for one in learners:
        notebook = quizzes.notebook_for(phase, tickets.ticket(salt, one.id, exercise.name))
        paths.append(out / one.id / exercise.notebook)
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        write_notebook(paths[-1], notebook)
    return paths


# ---------------------------------------------------------------- nbgrader


def write_course(out: Path) -> None:
    """A course folder on which `nbgrader generate_assignment`, autograde, formgrader and export work unchanged."""
    of_checkout("exercises")
    _refuse_what_is_there(out)
    (out / "nbgrader_config.py").write_text(_CONFIG, encoding="utf-8")
    for name in assignments.names():
        assignment = assignments.load(name)
        folder = out / "source" / name
        folder.mkdir(parents=True)
        notebook = json.loads((EXERCISES / f"{name}.ipynb").read_text(encoding="utf-8"))
        solved = solve(notebook, solution_of(name), mark=True)
        write_notebook(folder / f"{name}.ipynb", _with_tests(solved, name, assignment))
        for path in assignment.files:
            shutil.copyfile(path, folder / path.name)


_CONFIG = f'''"""nbgrader's settings for this course. It protects no marks: see the page for instructors."""

c = get_config()  # noqa: F821
c.CourseDirectory.course_id = "lessons"
c.ClearSolutions.code_stub = {{"python": "{_STUB}"}}
c.ClearSolutions.enforce_metadata = True
c.ExecutePreprocessor.timeout = 300
'''


def solution_of(name: str) -> str:
    """The text of an exercise's solution."""
    path = EXERCISES / "solutions" / f"ex{name[:2]}.py"
    if not path.exists():
        raise UserError(f"{path}: expected the solution of {name}; this needs the instructor's checkout")
    return path.read_text(encoding="utf-8")


def solve(notebook: dict, solution: str, *, mark: bool = False) -> dict:
    """The notebook with each stub filled in from the solution, between nbgrader's two comments where `mark`."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("solution"):
            filled = _fill("".join(cell["source"]), cell["metadata"]["nbgrader"]["grade_id"], solution, mark)
            cell["source"] = filled.splitlines(keepends=True)
    return notebook


def _fill(stub: str, name: str, solution: str, mark: bool) -> str:
    """The stub's source with the statements that wait for the learner replaced by the solution's."""
    hole, answer = _find(stub, name), _find(solution, name)
    helpers = "\n".join(_text_of(solution, node) for node in _helpers(solution, answer))
    if isinstance(hole, ast.FunctionDef) and isinstance(answer, ast.FunctionDef):
        holes, answers = _body(hole), _body(answer)
        indent = " " * holes[0].col_offset
        body = textwrap.dedent(_lines(solution, answers[0].lineno, answers[-1].end_lineno))
    else:
        holes, indent = [hole], ""
        body = _text_of(solution, answer)
    text = "\n".join(part for part in (_BEGIN if mark else "", helpers, body, _END if mark else "") if part)
    lines = stub.splitlines()
    lines[holes[0].lineno - 1 : holes[-1].end_lineno] = textwrap.indent(text, indent).splitlines()
    return "\n".join(lines)


def _find(source: str, name: str) -> ast.stmt:
    found = [node for node in ast.parse(source).body if name in _defined(node)]
    if not found:
        raise UserError(f"expected {name} defined in its stub cell and in its solution, found none in one of them")
    return found[-1]


def _defined(node: ast.stmt) -> set[str]:
    """The names that a statement of a module makes."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return {node.name}
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}


def _body(function: ast.FunctionDef) -> list[ast.stmt]:
    return function.body[1:] if ast.get_docstring(function) and len(function.body) > 1 else function.body


def _helpers(solution: str, answer: ast.stmt) -> Iterator[ast.stmt]:
    """The solution's other statements that the answer needs, directly or through each other, in their order."""
    others = [node for node in ast.parse(solution).body if ast.dump(node) != ast.dump(answer)]
    needed, size = _used(answer), -1
    while len(needed) > size:
        size = len(needed)
        needed |= set().union(*(_used(node) for node in others if _defined(node) & needed))
    yield from (node for node in others if _defined(node) & needed)


def _used(node: ast.stmt) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def _text_of(source: str, node: ast.stmt) -> str:
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    return _lines(source, first, node.end_lineno)


def _lines(source: str, first: int, last: int) -> str:
    return "\n".join(source.splitlines()[first - 1 : last])


def _with_tests(notebook: dict, name: str, assignment: assignments.Assignment) -> dict:
    """A locked test cell with points for each item, after the check on it or, without one, after its stub."""
    items = {item.name: item for item in assignment.exercise.items}
    for item in assignment.exercise.items:
        place = max(i for i, cell in enumerate(notebook["cells"]) if _is_about(cell, item.name, assignment))
        notebook["cells"].insert(place + 1, _test_cell(name, items[item.name]))
    return notebook


def _is_about(cell: dict, item: str, assignment: assignments.Assignment) -> bool:
    source = "".join(cell["source"])
    return cell["metadata"].get("nbgrader", {}).get("grade_id") == item or source == assignment.checks.get(item)


def _test_cell(name: str, item) -> dict:
    source = f"""# Marks for {item.name}: your instructor's tests run here.
### BEGIN HIDDEN TESTS
from lessons_lib.grading.nbgrader_tests import points

points("{name}", "{item.name}", {item.name})
### END HIDDEN TESTS"""
    grade_id = f"test_{item.name}"
    nbgrader = {"cell_type": "code", "grade": True, "grade_id": grade_id, "locked": True, "points": item.points}
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": re.sub(r"[^a-zA-Z0-9_-]", "-", grade_id)[:64],
        "metadata": {"nbgrader": {**nbgrader, "schema_version": 3, "solution": False, "task": False}},
        "outputs": [],
        "source": source.splitlines(keepends=True),
    }
