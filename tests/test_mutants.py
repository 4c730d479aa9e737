"""The program that breaks lines on purpose, and its table: every line that went unseen is closed, or argued for."""

import ast
import random
from collections import Counter
from pathlib import Path

import mutants
import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = '''
def step(rate: float = 0.5, *, most=3):
    """A docstring stays as it is."""
    if rate < most and not rate == 1:
        raise ValueError(f"{rate + 1}")
    return min(rate, most) * 2 if rate else call(rate, most, deep=True, help="words")
'''


def changed_lines(source):
    return {(s.kind, s.after.strip()) for s in mutants.python_sites("lessons_lib/x.py", source)}


def test_each_change_is_one_of_meaning():
    found = changed_lines(SOURCE)
    assert {
        ("constant", "def step(rate: float = 1.0, *, most=3):"),
        ("comparison", "if (rate <= most) and not rate == 1:"),
        ("and, or", "if (rate < most or not rate == 1):"),
        ("sign or not dropped", "if rate < most and (rate == 1):"),
        ("statement removed", "pass"),
        ("function", "return max(rate, most) * 2 if rate else call(rate, most, deep=True, help=\"words\")"),
        ("term dropped", "return min(rate, most) if rate else call(rate, most, deep=True, help=\"words\")"),
    } <= found  # fmt: skip
    assert not any(
        "docstring" in after or "rate + 2" in after or "'words'" in after and "help" not in after for _, after in found
    )
    assert ("argument dropped", "return min(rate, most) * 2 if rate else call(rate, most, deep=True)") not in found


@pytest.mark.parametrize("seed", range(3))
def test_every_change_leaves_a_file_that_python_reads(seed):
    lines = [sites for room, found in mutants.all_sites().items() if room != "client" for sites in found.values()]
    for sites in random.Random(seed).sample(lines, 40):
        for site in sites:
            source = (ROOT / site.path).read_text(encoding="utf-8")
            assert site.before in source and site.before != site.after
            ast.parse(source.replace(site.before, site.after, 1))


def test_a_draw_is_the_same_again_and_meets_every_room():
    first, again, other = (mutants.draw(40, seed) for seed in (1, 1, 2))
    assert first == again != other
    places = Counter((m.path, m.line) for m in first)
    assert len(places) == 40 and {m.room for m in first} == set(mutants.all_sites())


def test_a_change_is_put_where_the_line_has_moved_to(tmp_path):
    file = tmp_path / "lessons_lib" / "x.py"
    file.parent.mkdir()
    file.write_text("a = 1\n\n\na = 1\n")
    mutant = mutants.Mutant("lessons_lib/x.py", 3, "constant", "a = 1\n", "a = 2\n")
    assert mutants.put_in(tmp_path, mutant) == "a = 1\n\n\na = 1\n"
    assert file.read_text() == "a = 1\n\n\na = 2\n"
    with pytest.raises(LookupError, match="these lines are gone"):
        mutants.put_in(tmp_path, mutants.Mutant("lessons_lib/x.py", 3, "constant", "b = 1\n", "b = 2\n"))


# ---------------------------------------------------------------- the table

TABLE = mutants.read()


def test_no_line_is_left_that_can_be_broken_unseen():
    left = [f"{m.path}:{m.line} {m.kind}" for m in TABLE if m.end in ("survived", "not run")]
    assert not left, "close it with a test, or say in the table why it is equivalent"
    assert sum(m.end.startswith("caught") for m in TABLE) >= 30 and len(TABLE) >= 46  # forty more than the first six


@pytest.mark.parametrize("mutant", [m for m in TABLE if m.added], ids=lambda m: f"{m.path}:{m.line}")
def test_the_test_that_closed_it_is_there(mutant):
    path, _, name = mutant.added.partition("::")
    functions = ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
    assert name.partition("[")[0] in {node.name for node in functions if isinstance(node, ast.FunctionDef)}
