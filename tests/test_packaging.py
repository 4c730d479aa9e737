"""What the library needs: ranges that hold the pins, and one line that names the extra where something is missing.

What an empty environment gets is tried in test_light_install.py.
"""

import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
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
     ("text2qti", "teach"), ("psutil", "train"), ("trl", "dev"), ("sphinx", "dev"), ("lessons_lib", None),
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
    quizzes.phases.cache_clear()  # another test may have read the outline
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


# ---------------------------------------------------------------- the workflows


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda path: path.name)
def test_actions_are_pinned_by_their_commit(path):
    """A tag can be moved to other code; a commit cannot."""
    used = re.findall(r"uses: *(\S+)(.*)", path.read_text())
    assert used
    for action, comment in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action) and re.match(r" # v\d", comment), action


def test_the_pythons_that_are_tested_are_those_that_are_claimed():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "checks.yml").read_text())["jobs"]
    tested = [job["strategy"]["matrix"]["python"] for job in jobs.values() if "strategy" in job]
    claimed = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)]
    assert tested == [claimed, claimed]
    assert PROJECT["requires-python"] == f">={claimed[0]}"
