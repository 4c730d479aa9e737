"""What the sources of pages and notebooks refer to in the code: tests by name, and modules with their names."""

import ast
import importlib
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = {"what_libraries_compute.md": "test_trl_parity.py"}
CODE_CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(?::[^\n]*\n)*(.*?)^```", re.M | re.S)
SOURCES = (
    sorted(ROOT.glob("book/*.md")) + sorted(ROOT.glob("notebooks/**/*.ipynb")) + sorted(ROOT.glob("exercises/*.ipynb"))
)


@pytest.mark.parametrize("page", PAGES)
def test_each_named_check_exists(root, page):
    named = set(re.findall(r"`(test_\w+)`", (root / "book" / page).read_text(encoding="utf-8")))
    tree = ast.parse((root / "tests" / PAGES[page]).read_text(encoding="utf-8"))
    tests = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert len(named) > 10
    assert not named - tests


def code_of(path):
    """The code cells of a page or a notebook, without the lines that are none of Python's."""
    if path.suffix == ".ipynb":
        cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    else:
        cells = CODE_CELL.findall(path.read_text(encoding="utf-8"))
    return "\n".join(re.sub(r"^\s*[%!].*", "pass", cell, flags=re.M) for cell in cells)


def imported(code):
    """(module, name or None) of each import of ours."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module, alias.name) for alias in node.names)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_what_its_cells_import_is_there(path):
    """Known in a second here, and not after minutes in the site's build, where the page fails as a whole."""
    for module, name in imported(code_of(path)):
        if module.partition(".")[0] in ("lessons_lib", "tests"):
            found = importlib.import_module(module)
            if name and not hasattr(found, name):
                importlib.import_module(f"{module}.{name}")


def test_imports_are_read_from_pages_and_notebooks():
    found = {path.name: set(imported(code_of(path))) for path in SOURCES}
    assert ("tests.advice.diagnose_logs", "make") in found["diagnostics.md"]
    assert ("lessons_lib.lessons.lesson05.explorer", "ipo_stops") in found["05_ipo_knows_when_to_stop.ipynb"]
