"""What the README promises: its lines work, its paths are there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_path_of_the_tree_is_there():
    tree = re.search(r"```\n(notebooks/.*?)```", README, re.DOTALL)[1]
    folder, found = ROOT, []
    for line in tree.splitlines():
        names = re.match(r"( *)(\S+(?:  \S+\.py)?)  ", line)
        if not names or len(names[1]) > 2:  # the second line of a description
            continue
        folder = ROOT / "lessons_lib" if names[1] else ROOT
        found += [folder / name for name in names[2].split()]
    assert len(found) > 20
    assert [str(path) for path in found if not path.exists()] == []
    rooms = {path.name for path in (ROOT / "lessons_lib").iterdir() if (path / "__init__.py").exists()}
    assert rooms <= {path.name for path in found}


@pytest.mark.parametrize("number", range(1, 15))
def test_lesson_n_lives_where_it_says(number):
    n = f"{number:02d}"
    assert len(list(ROOT.glob(f"notebooks/phase_*/{n}_*.ipynb"))) == len(list(ROOT.glob(f"exercises/{n}_*.ipynb"))) == 1
    for path in (f"lessons_lib/lessons/lesson{n}/explorer.py", f"lessons_lib/lessons/lesson{n}/checks.py"):
        assert (ROOT / path).is_file()
    assert (ROOT / f"exercises/questions/lesson{n}.yaml").is_file() and (ROOT / f"tests/lessons/lesson{n}").is_dir()


def test_the_way_from_a_row_to_a_gradient_is_where_it_says():
    for name, path in re.findall(r"`(\w+)`\n?\s*(?:\(`|in `lessons_lib/)(training/\w+\.py)`", README):
        assert f"def {name}(" in (ROOT / "lessons_lib" / path).read_text(encoding="utf-8"), (name, path)
    assert "def forward_backward(" in (ROOT / "lessons_lib/training/loop.py").read_text(encoding="utf-8")


def test_after_the_lines_for_colab_the_same_process_imports_the_checkout(tmp_path):
    """The lines are run as a cell, but for what fetches; an import then finds the clone and no installed copy."""
    cell = re.search(r"\*\*In Colab\*\*.*?```\n(.*?)```", README, re.DOTALL)[1]
    lines = [line for line in cell.splitlines() if not line.startswith("!")]
    assert len(lines) == 2 and "pip install" in cell
    (tmp_path / "course" / "lessons_lib").mkdir(parents=True)
    (tmp_path / "course" / "lessons_lib" / "__init__.py").write_text("HERE = 'the clone'")
    program = [*lines, "import lessons_lib", "print(lessons_lib.HERE)"]
    (tmp_path / "cell.ipy").write_text("\n".join(program))
    command = [sys.executable, "-m", "IPython", "--no-banner", "-c", "\n".join(program)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=_without_a_path())
    assert done.stdout.splitlines()[-1] == "the clone", done.stdout + done.stderr


def _without_a_path() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
