"""What `pip install` gives: dependencies that agree with the pins, archives with every file, a core without torch."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import lessons_lib
from lessons_lib import __main__, _installed, errors, quiz
from lessons_lib.grading import assignments, handout, quizzes

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {"": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
ORDER = ["", "train", "learn", "teach", "dev"]  # each holds the ones before it


# ---------------------------------------------------------------- ranges and pins


def requirements(lines):
    """By canonical name; the extras' references to each other are left out."""
    found = [Requirement(line) for line in lines]
    return {canonicalize_name(r.name): r for r in found if canonicalize_name(r.name) != PROJECT["name"]}


def pins(name):
    """The versions of a requirements file, by canonical name; what it includes by -r left out."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines())
    return {key: str(r.specifier) for key, r in requirements(x for x in lines if x and x[0] != "-").items()}


RANGES = {extra: requirements(lines) for extra, lines in EXTRAS.items()}
DECLARED = {name: requirement for extra in RANGES.values() for name, requirement in extra.items()}
LEARNER, DEVELOPER = pins("requirements.txt"), pins("requirements-dev.txt")


def test_every_pin_is_exact_and_inside_its_range():
    for name, pin in (LEARNER | DEVELOPER).items():
        assert re.fullmatch(r"==[\w.]+", pin), f"{name}{pin}: the requirements files pin exactly"
        assert name in DECLARED, f"{name} is pinned and not in pyproject.toml: add a range to the extra that needs it"
        assert DECLARED[name].specifier.contains(pin.removeprefix("=="), prereleases=True), (
            f"{name}: the pin {pin} is outside {DECLARED[name].specifier} of pyproject.toml"
        )


def test_every_dependency_has_a_range_and_a_pin():
    for name, requirement in DECLARED.items():
        operators = {specifier.operator for specifier in requirement.specifier}
        assert ">=" in operators and operators <= {">=", "<"}, f"{requirement}: expected a range"
        assert name in LEARNER or name in DEVELOPER, f"{name} has no pin: add one to requirements.txt or -dev.txt"


def test_a_learner_gets_what_lessons_need():
    """requirements.txt holds the extras up to `learn`; `make learn` installs nothing else."""
    for extra in ("", "train", "learn"):
        assert not RANGES[extra].keys() - LEARNER.keys(), extra


def test_extras_build_on_each_other():
    assert list(EXTRAS) == ORDER
    for below, extra in zip(ORDER[1:], ORDER[2:], strict=False):
        assert EXTRAS[extra][0] == f"{PROJECT['name']}[{below}]"
    assert sum(len(ranges) for ranges in RANGES.values()) == len(DECLARED), "a dependency stands in two extras"


def test_the_core_is_light():
    assert not RANGES[""].keys() & {"torch", "transformers", "matplotlib", "ipywidgets", "datasets", "jupyterlab"}


def test_the_command_is_called_as_it_is_installed():
    assert PROJECT["scripts"] == {lessons_lib.COMMAND: "lessons_lib.__main__:main"}
    assert PROJECT["name"] == _installed.DISTRIBUTION


# ---------------------------------------------------------------- what is missing, in one line


@pytest.fixture
def metadata(monkeypatch):
    """The package's metadata as setuptools writes it from pyproject.toml, whenever the library here was installed."""
    lines = [line if not extra else f'{line}; extra == "{extra}"' for extra, ls in EXTRAS.items() for line in ls]
    monkeypatch.setattr(_installed.metadata, "requires", lambda name: lines)


@pytest.mark.parametrize(
    ("module", "extra"),
    [("numpy", ""), ("yaml", ""), ("torch", "train"), ("torch.nn", "train"), ("peft", "train"), ("datasets", "train"),
     ("transformers", "train"), ("matplotlib.pyplot", "learn"), ("jupyterlab", "learn"), ("ipywidgets", "learn"),
     ("text2qti", "teach"), ("psutil", "teach"), ("trl", "dev"), ("sphinx", "dev"), ("lessons_lib", None),
     ("numpyro", None), ("num", None)],
)  # fmt: skip
def test_the_extra_of_a_module(metadata, module, extra):
    assert _installed.extra_of(module) == extra


def test_without_metadata_no_extra_is_guessed(monkeypatch):
    monkeypatch.setattr(_installed, "DISTRIBUTION", "never-installed-anywhere")
    assert _installed.extra_of("torch") is None
    assert _installed.missing("train", "torch") == 'train needs PyTorch: pip install "torch"'


COMMANDS = sorted(path.stem for path in (ROOT / "lessons_lib" / "commands").glob("[a-z]*.py"))


@pytest.mark.parametrize("module", ["torch", "transformers", "peft", "jupyterlab", "numpy"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_names_the_extra_that_it_lacks(metadata, monkeypatch, capsys, command, module):
    def run(arguments):
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    room = __import__(f"lessons_lib.commands.{command}", fromlist=["run"])
    monkeypatch.setattr(room, "run", run)
    monkeypatch.setattr(room, "add_arguments", lambda parser: None)
    assert __main__.main([command]) == 2
    extra = getattr(room, "EXTRA", None) or _installed.extra_of(module)
    target = f"lessons-lib[{extra}]" if extra else "lessons-lib"
    name = {"torch": "PyTorch"}.get(module, module)
    assert capsys.readouterr().err == f'error: {command} needs {name}: pip install "{target}"\n'
    assert extra in ORDER and ORDER.index(extra) >= ORDER.index(_installed.extra_of(module))


def test_a_module_that_is_none_of_ours_keeps_its_traceback(metadata, monkeypatch):
    def run(arguments):
        raise ModuleNotFoundError("No module named 'lessons_lib.typo'", name="lessons_lib.typo")

    from lessons_lib.commands import learn

    monkeypatch.setattr(learn, "run", run)
    with pytest.raises(ModuleNotFoundError, match="typo"):
        __main__.main(["learn"])


@pytest.mark.parametrize(
    ("line", "what"),
    [(["profile", "rows.jsonl", "--report", "page.html"], "--report"),
     (["match", "rows.jsonl", "--report", "page.html"], "--report"),
     (["diagnose", "log.csv", "--picture", "curves.svg"], "--picture"),
     (["data", "describe", "pandalm_testset", "--picture", "bars.png"], "--picture")],
)  # fmt: skip
def test_pictures_are_refused_before_the_work(metadata, monkeypatch, capsys, line, what):
    """None of these files is there: the option is looked at first."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert __main__.main(line) == 2
    assert capsys.readouterr().err == f'error: {what} needs matplotlib: pip install "lessons-lib[learn]"\n'


def test_learn_looks_for_jupyterlab(metadata, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "jupyterlab", None)
    assert __main__.main(["learn"]) == 2
    assert capsys.readouterr().err == 'error: learn needs jupyterlab: pip install "lessons-lib[learn]"\n'


def test_a_recipe_pins_what_is_here_and_else_names_our_range(metadata):
    assert re.fullmatch(r"numpy==[\d.]+", _installed.pin("numpy"))
    assert _installed.pin("no-such-package") == "no-such-package"


def test_a_recipe_names_our_range_of_what_is_not_here(metadata, monkeypatch):
    def version(name):
        raise _installed.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(_installed.metadata, "version", version)
    assert _installed.pin("torch") == next(line for line in EXTRAS["train"] if line.startswith("torch"))


def test_what_only_a_checkout_holds(monkeypatch, tmp_path):
    """Exercises, questions and lessons are not in the package; whoever asks for them reads where they are."""
    questions = tmp_path / "exercises" / "questions"
    monkeypatch.setattr(_installed, "CHECKOUT", tmp_path)
    monkeypatch.setattr(quiz, "QUESTIONS", questions)
    asked = {
        "exercises/questions": lambda: quiz.load_bank(5, questions),
        "exercises": lambda: assignments.load("05"),
        "book/course.yml": lambda: quizzes.assignment(1),
        "notebooks": lambda: handout.write_release(tmp_path / "out"),
        "notebooks/start.ipynb": lambda: __import__("lessons_lib.commands.learn", fromlist=["run"]).run(None),
    }
    for name, ask in asked.items():
        with pytest.raises(errors.UserError, match=rf"^{name}: expected it at .*checkout"):
            ask()


# ---------------------------------------------------------------- wheel and sdist


def sources():
    """The package's files as they are committed or about to be."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return sorted({name for name in names if name and (ROOT / name).is_file()})


PACKAGED = [name for name in sources() if name.startswith("lessons_lib/")]


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """Wheel and sdist, built by the backend that pip calls, from a copy: nothing is left in the tree."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("archives")
    for name in sources():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tree / name)
    built_here = tree / "lessons_lib" / "lab" / "assets" / "large"  # as `lab build --size large` leaves it
    built_here.mkdir()
    (built_here / "model.safetensors").write_bytes(b"not for the wheel")
    program = "import sys; from setuptools.build_meta import *; o = sys.argv[1]; build_sdist(o); build_wheel(o)"
    ran = subprocess.run([sys.executable, "-c", program, str(out)], cwd=tree, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return next(out.glob("*.whl")), next(out.glob("*.tar.gz"))


@pytest.mark.slow
def test_the_wheel_carries_the_package_and_nothing_else(archives):
    wheel = [name for name in zipfile.ZipFile(archives[0]).namelist() if ".dist-info/" not in name]
    assert sorted(wheel) == PACKAGED
    suffixes = {Path(name).suffix for name in wheel}
    assert {".py", ".json", ".yaml", ".parquet", ".safetensors", ".npz", ".css", ".mjs", ".typed"} <= suffixes


@pytest.mark.slow
def test_the_sdist_carries_what_a_wheel_is_built_from(archives):
    with tarfile.open(archives[1]) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    assert not {*PACKAGED, "pyproject.toml", "README.md", "LICENSE"} - names
    assert not [name for name in names if "/assets/large/" in name]


# ---------------------------------------------------------------- an empty environment

ROWS = """\
{"prompt": "Where is the station?", "chosen": "Two streets north of here.", "rejected": "I do not know."}
{"prompt": "What is 2 + 2?", "chosen": "4", "rejected": "5"}
{"prompt": "Name a colour.", "chosen": "Blue", "rejected": "Seven, and that is long."}
"""


@pytest.fixture(scope="module")
def light(archives, tmp_path_factory):
    """An environment with the wheel and what pip installs for it; runs `lessons-lib` there, far from the checkout."""
    home = tmp_path_factory.mktemp("light")
    subprocess.run([sys.executable, "-m", "venv", home / "env"], check=True)
    bin_ = home / "env" / ("Scripts" if os.name == "nt" else "bin")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    install = [bin_ / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", archives[0]]
    installed = subprocess.run(install, capture_output=True, text=True, env=environment)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    (home / "pairs.jsonl").write_text(ROWS)
    shutil.copyfile(ROOT / "tests" / "advice" / "diagnose_logs" / "displaced.csv", home / "log.csv")

    def run(*line, program="lessons-lib"):
        return subprocess.run([bin_ / program, *line], cwd=home, capture_output=True, text=True, env=environment)

    return run


@pytest.mark.slow
def test_the_light_core_answers_without_pytorch(light):
    for module in ("torch", "transformers", "datasets", "matplotlib", "ipywidgets"):
        assert light("-c", f"import {module}", program="python").returncode == 1, f"{module} came with the core"
    answers = {
        ("--version",): lessons_lib.__version__,
        ("match", "pairs.jsonl"): "Next: lessons-lib recipe pairs.jsonl",
        ("match", "pairs.jsonl", "--params", "8e9", "--checkpoint", "sft"): "Memory.",
        ("profile", "pairs.jsonl"): "3 pairs",
        ("memory", "predict", "llama-3-8b", "--method", "dpo"): "Peak",
        ("memory", "plan", "llama-3-8b"): "LoRA",
        ("memory", "readings"): "predicted",
        ("data", "check", "pairs.jsonl"): "3",
        ("data", "list"): "pandalm_testset",
        ("recipe", "pairs.jsonl", "--method", "dpo", "--model", "gpt2", "--output", "run"): "accelerate launch",
    }
    for line, expected in answers.items():
        ran = light(*line)
        assert ran.returncode == 0 and expected in ran.stdout, (line, ran.stdout[-2000:], ran.stderr)
    ran = light("diagnose", "log.csv")  # exit code 1: faults were found
    assert ran.returncode == 1 and "try first" in ran.stdout, (ran.stdout, ran.stderr)


@pytest.mark.slow
def test_the_light_core_names_what_other_commands_need(light):
    refused = {
        ("train", "--model", "m", "--data", "pairs.jsonl", "--output", "run"): ("train", "PyTorch", "train"),
        ("benchmark", "--quick"): ("benchmark", "joblib", "train"),
        ("lab", "build"): ("lab", "PyTorch", "train"),
        ("memory", "measure", "llama-3-8b"): ("memory", "PyTorch", "train"),
        ("match", "some/hub-data-set"): ("match", "datasets", "train"),
        ("profile", "pairs.jsonl", "--report", "page.html"): ("--report", "matplotlib", "learn"),
        ("learn",): ("learn", "jupyterlab", "learn"),
        ("grade", "in", "--exercise", "5", "--roster", "r.csv", "--out", "out"): ("grade", "joblib", "teach"),
    }
    for line, (what, name, extra) in refused.items():
        ran = light(*line)
        assert ran.returncode == 2, (line, ran.stderr)
        assert ran.stderr == f'error: {what} needs {name}: pip install "lessons-lib[{extra}]"\n', line
    ran = light("quiz", "--lesson", "5", "--out", "quiz.zip")
    assert ran.returncode == 2 and ran.stderr.count("\n") == 1 and "run this from a checkout" in ran.stderr


@pytest.mark.slow
def test_the_module_is_the_same_command(light):
    ran = light("-m", "lessons_lib", "data", "check", "pairs.jsonl", program="python")
    assert ran.returncode == 0 and light("data", "check", "pairs.jsonl").stdout == ran.stdout
