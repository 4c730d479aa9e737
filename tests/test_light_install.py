"""What `pip install .` gives in an empty environment: archives with every file, and a core that does without PyTorch.

Nothing but pytest is imported here, so that the workflow runs this file on every system after `pip install pytest`.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
VERSION = re.search(r'__version__ = "(.*)"', (ROOT / "lessons_lib" / "__init__.py").read_text(encoding="utf-8"))[1]

pytestmark = pytest.mark.slow

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


def test_the_wheel_carries_the_package_and_nothing_else(archives):
    wheel = [name for name in zipfile.ZipFile(archives[0]).namelist() if ".dist-info/" not in name]
    assert sorted(wheel) == PACKAGED
    suffixes = {Path(name).suffix for name in wheel}
    assert {".py", ".json", ".yaml", ".parquet", ".safetensors", ".npz", ".css", ".mjs", ".typed"} <= suffixes


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
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"PYTHONUTF8": "1"}
    install = [bin_ / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", archives[0]]
    installed = subprocess.run(install, capture_output=True, text=True, env=environment)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    (home / "pairs.jsonl").write_text(ROWS, encoding="utf-8")
    shutil.copyfile(ROOT / "tests" / "advice" / "diagnose_logs" / "displaced.csv", home / "log.csv")

    def run(*line, program="lessons-lib"):
        return subprocess.run([bin_ / program, *line], cwd=home, capture_output=True, encoding="utf-8", env=environment)

    return run


def test_the_light_core_answers_without_pytorch(light):
    for module in ("torch", "transformers", "datasets", "matplotlib", "ipywidgets"):
        assert light("-c", f"import {module}", program="python").returncode == 1, f"{module} came with the core"
    answers = {
        ("--version",): VERSION,
        ("match", "pairs.jsonl"): "--model MODEL --output recipes/",  # the next command, on one line
        ("match", "pairs.jsonl", "--params", "8e9", "--checkpoint", "sft"): "Memory.",
        ("profile", "pairs.jsonl"): "fewer than two raters",
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


def test_the_light_core_names_what_other_commands_need(light):
    refused = {
        ("train", "--model", "m", "--data", "pairs.jsonl", "--output", "run"): ("train", "PyTorch", "train"),
        ("benchmark", "--quick"): ("benchmark", "joblib", "train"),
        ("lab", "build"): ("lab", "PyTorch", "train"),
        ("memory", "measure", "llama-3-8b"): ("memory", "PyTorch", "train"),
        ("match", "some/hub-data-set"): ("match", "datasets", "train"),
        ("profile", "pairs.jsonl", "--report", "page.html"): ("--report", "matplotlib", "learn"),
        ("learn",): ("learn", "jupyterlab", "learn"),
    }
    for line, (what, name, extra) in refused.items():
        ran = light(*line)
        assert ran.returncode == 2, (line, ran.stderr)
        assert ran.stderr == f'error: {what} needs {name}: pip install "lessons-lib[{extra}]"\n', line
    for line in (("quiz", "--lesson", "5", "--out", "quiz.zip"), ("grade", "release", "--out", "out")):
        ran = light(*line)
        assert ran.returncode == 2 and ran.stderr.count("\n") == 1 and "run this from a checkout" in ran.stderr, line


def test_the_module_is_the_same_command(light):
    ran = light("-m", "lessons_lib", "data", "check", "pairs.jsonl", program="python")
    assert ran.returncode == 0 and light("data", "check", "pairs.jsonl").stdout == ran.stdout
