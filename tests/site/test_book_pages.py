"""Pages of the book that name tests: each check that a page names exists."""

import ast
import re

import pytest

PAGES = {"what_libraries_compute.md": "test_trl_parity.py"}


@pytest.mark.parametrize("page", PAGES)
def test_each_named_check_exists(root, page):
    named = set(re.findall(r"`(test_\w+)`", (root / "book" / page).read_text(encoding="utf-8")))
    tree = ast.parse((root / "tests" / PAGES[page]).read_text(encoding="utf-8"))
    tests = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert len(named) > 10
    assert not named - tests


def test_each_difference_from_trl_is_on_the_page(root):
    """A test whose name says "in_trl" or "trls" is a difference that a reader should know."""
    page = (root / "book" / "what_libraries_compute.md").read_text(encoding="utf-8")
    tests = re.findall(r"^def (test_\w+)", (root / "tests" / "test_trl_parity.py").read_text(encoding="utf-8"), re.M)
    assert not [name for name in tests if re.search("_in_trl|_trls_|_by_trls", name) and name not in page]
