"""``update``: take the newest version of the course, and lose nothing of the learner's own work.

A file that only the learner changed stays as it is. Where the new version changes it too, the new version takes its
place, and the learner's own stays beside it: `my_05_implement_ipo.ipynb`, or `loop.py.mine`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from lessons_lib import COMMAND
from lessons_lib._installed import CHECKOUT
from lessons_lib.errors import UserError

HELP = "take the newest version of the course; notebooks that you edited are kept"
EXAMPLE = f"{COMMAND} update"


def add_arguments(parser) -> None:
    parser.add_argument("--checkout", type=Path, default=CHECKOUT, help="the course's folder (default: this one)")


def run(arguments) -> None:
    for line in update(arguments.checkout):
        print(line)


def update(root: Path) -> list[str]:
    """Fast-forward the checkout at `root` to what it follows; what to tell the learner.

    Raises:
        UserError: no git, no checkout, nothing that it follows, no network, or commits of its own. Nothing has
            changed then.
    """
    new = _newer_version(root)
    if new is None:
        return ["You have the newest version."]
    coming = set(_paths(root, "diff", "--name-only", "HEAD", new))
    _git(root, "reset", "--quiet")  # what was staged is in the working tree as well
    changed = [path for path in _paths(root, "diff", "--name-only", "HEAD") if (root / path).exists()]
    only_run = [path for path in changed if path in coming and _only_run(root, path)]
    edited = [path for path in changed if path not in only_run]
    unknown = _paths(root, "ls-files", "--others", "--", *sorted(coming)) if coming else []
    kept = {path: _own_name(root / path) for path in (*edited, *unknown) if path in coming}
    for path, own in kept.items():
        shutil.copy2(root / path, own)
    try:
        for path in (*kept, *only_run):
            (root / path).unlink() if path in unknown else _git(root, "checkout", "--quiet", "HEAD", "--", path)
        _git(root, "merge", "--ff-only", "--quiet", new)
    except UserError:
        for path, own in kept.items():
            own.replace(root / path)
        raise
    return _told(root, len(coming), kept, [path for path in edited if path not in coming], "requirements.txt" in coming)


def _newer_version(root: Path) -> str | None:
    """The commit to go to, or None where the checkout has it."""
    if not (root / ".git").exists():
        raise UserError(f"{root}: expected a git checkout of the course; `git clone` makes one")
    try:
        _git(root, "rev-parse", "@{upstream}")
    except UserError:
        raise UserError(
            f"{root}: this branch follows no other; say which: git branch --set-upstream-to=origin/main"
        ) from None
    _git(root, "fetch", "--quiet")
    old, new = _git(root, "rev-parse", "HEAD").strip(), _git(root, "rev-parse", "@{upstream}").strip()
    base = _git(root, "merge-base", old, new).strip()
    if base == new:
        return None
    if base != old:
        raise UserError(f"{root}: you have commits of your own, which `git pull --rebase` puts on the new version")
    return new


def _only_run(root: Path, path: str) -> bool:
    """Whether a notebook differs from the version it came in by outputs alone: it was run, and nothing was written."""
    if not path.endswith(".ipynb"):
        return False
    try:
        mine, theirs = ((root / path).read_text(encoding="utf-8"), _git(root, "show", f"HEAD:{path}"))
        cells = [[cell["source"] for cell in json.loads(text)["cells"]] for text in (mine, theirs)]
    except (UserError, ValueError, KeyError, TypeError):
        return False  # whatever it is, it is kept
    texts = [["".join(source) for source in some] for some in cells]
    return texts[0] == texts[1]


def _own_name(path: Path) -> Path:
    """A free name beside `path` for the learner's own copy."""
    for number in ("", *(f"_{n}" for n in range(2, 1000))):
        notebook = path.suffix == ".ipynb"
        own = path.with_name(f"my_{path.stem}{number}.ipynb" if notebook else f"{path.name}.mine{number}")
        if not own.exists():
            return own
    raise UserError(f"{path.parent}: a thousand copies of {path.name} stand here; remove some")


def _told(root: Path, changed: int, kept: dict[str, Path], untouched: list[str], requirements: bool) -> list[str]:
    lines = [f"You have the newest version: {changed} files changed."]
    if kept:
        lines.append("These you had edited, and they are new; your own stand beside them:")
        lines += [f"  {path}: yours is {own.relative_to(root)}" for path, own in kept.items()]
    if untouched:
        lines.append("These you had edited, and they are as you left them:")
        lines += [f"  {path}" for path in untouched]
    if requirements:
        lines.append("It needs other packages: `make update` installs them now; without make: "
                     "`pip install -r requirements.txt`.")  # fmt: skip
    lines.append("If JupyterLab runs, end it and start it again, and close what is open there without saving.")
    return lines


def _paths(root: Path, *arguments: str) -> list[str]:
    command, *rest = arguments
    return [path for path in _git(root, command, "-z", *rest).split("\0") if path]


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, encoding="utf-8")
    except FileNotFoundError:
        raise UserError("git is not installed here; git-scm.com has it") from None
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"git {arguments[0]}: {reason}")
    return done.stdout
