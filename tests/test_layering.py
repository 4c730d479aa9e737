"""Who may import whom: every import in lessons_lib is read from its source and held to the layers of its design.

A module imports down, or sideways without a circle. Imports inside functions count too: they save start-up time, and
may not hide a circle.
"""

import ast
import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lessons_lib

PACKAGE = Path(lessons_lib.__file__).parent

# A name ending in ".*" stands for a package with all its modules.
LAYERS = {
    7: ["__main__", "_jupyter", "commands.*", "lessons.*"],
    6: ["grading.*"],
    5: ["advice.*"],
    4: ["benchmark.*"],
    3: ["lab.*"],
    2: ["training.*", "memory.*", "explorers.*"],
    1: ["methods", "metrics", "models.*", "bandit", "rlhf", "plots", "quiz", "data.*", "recorded.*"],
    # "" is the package itself
    0: [
        *("", "losses", "logps", "textbook", "errors"),
        *("_checks", "_installed", "_numbers", "_surroundings", "_typography"),
    ],
}

NETWORK = ["data.real", "data.readers", "models.loading", "models.pretrained"]
ONLY_IN = {
    "ipywidgets": ["explorers.*", "quiz"],
    "anywidget": ["explorers.widget"],
    "matplotlib": ["plots"],
    "transformers": ["models.*"],
    **dict.fromkeys(["requests", "httpx", "aiohttp", "urllib.request", "http.client", "socket", "ftplib"], NETWORK),
    **dict.fromkeys(["pooch", "huggingface_hub", "datasets", "torch.hub"], NETWORK),
    "trl": [],  # the peer that the tests measure against, never a part of the library
}


def name_of(path):
    """lessons_lib/data/real.py is "data.real", a package's __init__ the package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def covers(entry, name):
    package = entry.removesuffix(".*")
    return name == package or (entry.endswith(".*") and name.startswith(package + "."))


def layer_of(name):
    """The layer of a module, or None where the table does not place it."""
    return next((layer for layer, entries in LAYERS.items() if any(covers(e, name) for e in entries)), None)


def imports_of(source, package=""):
    """The dotted names that a source imports, wherever in it, one for each name of a `from … import`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(filter(None, ["lessons_lib", *package.split(".")])) if node.level else ""
            base = base.rsplit(".", node.level - 1)[0] if node.level > 1 else base
            module = ".".join(filter(None, [base, node.module]))
            found.extend(f"{module}.{alias.name}" for alias in node.names)
    return found


def own_imports(name):
    """The modules of lessons_lib that a module imports: `from lessons_lib import x` is x where that is a module."""
    path = MODULES[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    targets = set()
    for dotted in imports_of(path.read_text(), package):
        root, _, inner = dotted.partition(".")
        if root != "lessons_lib":
            continue
        targets.add(next(c for c in (inner, inner.rpartition(".")[0], "") if c in MODULES))
    return targets - {name}


@pytest.mark.parametrize("name", MODULES)
def test_every_module_has_a_place(name):
    assert layer_of(name) is not None, (
        f"lessons_lib.{name} has no layer: place it in LAYERS of {Path(__file__).name}, as low as its imports allow"
    )


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_down_or_sideways(name):
    up = {target for target in own_imports(name) if (layer_of(target) or 0) > (layer_of(name) or 0)}
    assert not up, f"lessons_lib.{name} (layer {layer_of(name)}) imports from above: {', '.join(sorted(up))}"


def test_no_circles():
    state, path = {}, []

    def visit(name):
        state[name] = "open"
        path.append(name)
        for target in sorted(own_imports(name)):
            assert state.get(target) != "open", f"a circle: {' → '.join([*path[path.index(target) :], target])}"
            if target not in state:
                visit(target)
        path.pop()
        state[name] = "done"

    for name in MODULES:
        if name not in state:
            visit(name)


@pytest.mark.parametrize("package", ONLY_IN)
def test_a_package_stays_where_it_belongs(package):
    elsewhere = [
        name
        for name, path in MODULES.items()
        if not any(covers(entry, name) for entry in ONLY_IN[package])
        and any(f"{dotted}.".startswith(f"{package}.") for dotted in imports_of(path.read_text()))
    ]
    allowed = " and ".join(ONLY_IN[package]) or "no module"
    assert not elsewhere, f"{package} belongs in {allowed}; it is imported in {', '.join(elsewhere)}"


def test_the_reader_of_imports():
    """It sees what it is meant to see: names, aliases, functions, relative imports."""
    source = """
import a.b as c
from d import e, f
def g():
    from urllib import request
from . import h
from ..i import j
"""
    assert sorted(imports_of(source, "data.real")) == [
        "a.b",
        "d.e",
        "d.f",
        "lessons_lib.data.i.j",
        "lessons_lib.data.real.h",
        "urllib.request",
    ]
    assert own_imports("methods") == {"losses"}
    assert own_imports("losses") == {"_checks", "_numbers"}


# ---------------------------------------------------------------- what an import costs, in a fresh process


@functools.cache
def loaded_by(statement):
    """Top-level packages outside the standard library that a statement loads, beyond what a bare start has."""
    program = (
        "import sys; before = set(sys.modules)\n"
        f"{statement}\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(new - sys.stdlib_module_names))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=PACKAGE.parent)
    assert run.returncode == 0, run.stderr
    return frozenset(run.stdout.split())


@pytest.mark.parametrize("module", ["", ".textbook", ".errors", ".bandit", ".__main__", ".commands"])
def test_light_modules_load_nothing(module):
    assert loaded_by(f"import lessons_lib{module}") == {"lessons_lib"}


def test_losses_and_log_probs_load_torch_alone():
    loaded = loaded_by("import lessons_lib.losses, lessons_lib.logps")
    assert loaded - loaded_by("import torch.nn.functional") == {"lessons_lib"}


@pytest.mark.parametrize("module", ["explorers", "quiz", "plots", "metrics", "data.preferences", "data.readers"])
def test_these_do_without_torch(module):
    loaded = loaded_by(f"import lessons_lib.{module}")
    assert not loaded & {"torch", "transformers", "datasets"}, loaded


def test_explorers_do_without_torch():
    """Making one and showing its TRL config included."""
    rooms = "\n".join(f"import lessons_lib.{name}" for name in MODULES if re.fullmatch(r"lessons\..*explorer", name))
    first = "from lessons_lib.lessons.lesson01.explorer import five_losses\nfive_losses()._repr_mimebundle_()"
    loaded = loaded_by(f"{rooms}\n{first}")
    assert "ipywidgets" in loaded and not loaded & {"torch", "transformers"}, loaded


def test_recorded_runs_do_without_torch():
    """What a lesson's first picture needs, and the texts of the lab's samples."""
    loaded = loaded_by(
        "from lessons_lib import plots\nfrom lessons_lib.commands.lab import studies as every_study\n"
        "from lessons_lib.lab import annotators, studies\n"
        "for study in every_study().values(): studies.recorded(study)\n"
        "annotators.label_pairs(studies.checkpoints.pool('sft-0'), 10, seed=0)"
    )
    assert "pandas" in loaded and not loaded & {"torch", "transformers", "accelerate"}, loaded


def test_a_quiz_builds_no_grammar():
    loaded = loaded_by("from lessons_lib.quiz import Quiz\nQuiz.from_bank(5)")
    assert "jsonschema" in loaded and not loaded & {"lark", "rfc3987_syntax"}, loaded


def test_the_list_of_commands_is_quick():
    """`lessons-lib --help` imports every command's module; the heavy imports stand inside `run`."""
    loaded = loaded_by(
        "import contextlib, io\n"
        "from lessons_lib.__main__ import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()): main(['--help'])"
    )
    assert not loaded & {"torch", "transformers", "datasets", "pandas", "matplotlib", "numpy"}, loaded
