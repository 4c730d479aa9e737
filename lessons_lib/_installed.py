"""What of the project is here: which extra brings a module that is missing, and the checkout around the library.

pyproject.toml says what the library needs; it is read back from the metadata of the installed package, so that no
second list of the extras can go stale.
"""

from __future__ import annotations

import re
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from lessons_lib.errors import UserError

DISTRIBUTION = "lessons-lib"
CHECKOUT = Path(__file__).resolve().parents[1]
_DISTRIBUTIONS = {"yaml": "PyYAML"}  # what a module is installed by, where the names differ
_NAMES = {"torch": "PyTorch"}  # how a distribution is called in a sentence


def extra_of(module: str) -> str | None:
    """The first extra that brings a module, "" for what every install brings, None for what none of them does."""
    for requirement in _requirements():
        name, extra = re.fullmatch(r"([\w.-]+).*?(?:extra == [\"'](\w+)[\"'])?", requirement).groups()
        if _canonical(name) == _canonical(_distribution(module)):
            return extra or ""
    return None


def missing(what: str, module: str, extra: str | None = None) -> str:
    """The line that says what to install so that `what` finds a module.

    pip finds the library installed and adds what the extra lacks, wherever the library came from.
    """
    distribution = _distribution(module)
    extra = extra_of(module) if extra is None else extra
    target = distribution if extra is None else f"{DISTRIBUTION}[{extra}]" if extra else DISTRIBUTION
    return f'{what} needs {_NAMES.get(distribution, distribution)}: pip install "{target}"'


def need(what: str, module: str) -> None:
    """Refuse at once, and not after the work, where a module is missing; `what` is the option that asks for it."""
    if find_spec(module) is None:
        raise UserError(missing(what, module))


def of_checkout(name: str) -> Path:
    """A file or folder of the repository that the package does not carry; a UserError where it is not there."""
    path = CHECKOUT / name
    if not path.exists():
        raise UserError(
            f"{name}: expected it at {path}. It is in the project's repository and not in the installed package: "
            f"run this from a checkout, installed by `pip install -e .` there"
        )
    return path


def pin(distribution: str) -> str:
    """A line for a requirements.txt: the version installed here, or else the range that the library declares."""
    try:
        return f"{distribution}=={metadata.version(distribution).partition('+')[0]}"
    except metadata.PackageNotFoundError:
        declared = (line.partition(";")[0].strip() for line in _requirements())
        return next((line for line in declared if re.match(rf"{distribution}\b", line)), distribution)


def _requirements() -> list[str]:
    """As metadata spells them, without the extras' references to each other."""
    try:
        lines = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:  # a source tree on the path that nobody installed
        lines = []
    return [line for line in lines if not line.startswith(f"{DISTRIBUTION}[")]


def _distribution(module: str) -> str:
    top = module.partition(".")[0]
    return _DISTRIBUTIONS.get(top, top)


def _canonical(name: str) -> str:
    """As in PEP 503: upper case, dots, dashes and underscores make no difference."""
    return re.sub(r"[-_.]+", "-", name).lower()
