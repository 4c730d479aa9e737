"""The examples in docstrings are run wherever a module has one."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

import lessons_lib

PACKAGE = Path(lessons_lib.__file__).parent


def module_name(path):
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


WITH_EXAMPLES = [
    module_name(path)
    for path in sorted(PACKAGE.rglob("*.py"))
    if re.search(r"^\s*>>> ", path.read_text(), flags=re.MULTILINE)
]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples(name):
    results = doctest.testmod(importlib.import_module(name), raise_on_error=False)
    assert results.attempted > 0 and results.failed == 0


def test_every_loss_has_an_example():
    assert {"lessons_lib.losses", "lessons_lib.logps", "lessons_lib.bandit"} <= set(WITH_EXAMPLES)
    losses = importlib.import_module("lessons_lib.losses")
    public = [value for name, value in vars(losses).items() if name.startswith(("dpo", "ipo", "kto", "orpo", "simpo"))]
    assert len(public) == 6 and all(">>> " in function.__doc__ for function in public)
