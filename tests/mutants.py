"""Lines of the library broken on purpose, one at a time, to see whether a test fails: `make mutants` prints the table.

A mutant is a small change of meaning: another comparison, a term dropped, two arguments swapped, a constant moved, a
statement removed. They are drawn by seed over all rooms of `lessons_lib` and its page script. Each is put into a copy
of the tree, never into the tree itself, and meets first the tests of its own module, then the fast tests of its room
and of whoever imports the module, last the slow ones. A test that fails is run once more without the change, so that
only what the change broke counts. The table lies in `tests/mutants.jsonl`; a run that is stopped goes on where it was.

    python tests/mutants.py draw --seed 13 --count 60
    python tests/mutants.py run --rooms advice memory
    python tests/mutants.py run --again                  # the first run's survivors, against the tests of today
    python tests/mutants.py table
"""

from __future__ import annotations

import argparse
import ast
import fcntl
import importlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "tests" / "mutants.jsonl"
PRELOADED = ("torch", "transformers", "accelerate", "pandas", "pyarrow.parquet", "hypothesis", "nbformat")
STAGES = ["module", "room", "slow"]
LIMIT = 3600  # seconds for one call of pytest; a change can loop for ever


@dataclass(frozen=True)
class Site:
    """A change of one place: the lines `before`, which begin at `line` of `path`, become `after`."""

    path: str
    line: int
    kind: str
    before: str
    after: str


@dataclass
class Mutant:
    """A drawn site and what became of it.

    Attributes:
        first, again: {"outcome", "by", "passed", "commit"} of the first run and of one after tests were added. The
            outcome is the stage, "module", "room" or "slow", whose test failed, "survived" where none did.
        added: the test that was written for it, which `run --again` runs alone.
        equivalent: why no test can tell the change from the original, where that is so.
    """

    path: str
    line: int
    kind: str
    before: str
    after: str
    first: dict = field(default_factory=dict)
    again: dict = field(default_factory=dict)
    added: str = ""
    equivalent: str = ""

    @property
    def room(self) -> str:
        return room_of(self.path)

    def waits_for(self, wanted: list[str], again: bool) -> bool:
        """Whether a run of the wanted stages has something to tell of it."""
        if again or self.end != "survived":  # one that is equivalent waits for nothing
            return self.end == ("survived" if again else "not run")
        return not set(wanted) <= set(self.first["passed"])

    @property
    def end(self) -> str:
        """Where it stands today, in a few words."""
        if not self.first or self.first["outcome"] == "not judged":
            return "not run"
        if "gone" in (self.first["outcome"], self.again.get("outcome")):
            return "line gone"
        if self.first["outcome"] != "survived":
            return f"caught ({self.first['outcome']})"
        if self.again.get("outcome", "survived") != "survived":
            return "survived, closed"
        return "survived, equivalent" if self.equivalent else "survived"


def room_of(path: str) -> str:
    """The package under lessons_lib that a file belongs to; "top" for modules that stand beside them."""
    parts = Path(path).parts
    return parts[1] if len(parts) > 2 else "top"


# ---------------------------------------------------------------- changes of Python

SWAPPED = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
BUILTINS = {"min": "max", "max": "min", "any": "all", "all": "any"}
ATTRIBUTES = BUILTINS | {"argmin": "argmax", "argmax": "argmin", "floor": "ceil", "ceil": "floor", "mean": "sum",
                         "sum": "mean", "log": "exp", "exp": "log", "issubset": "issuperset"}  # fmt: skip
REMOVED = (ast.Expr, ast.AugAssign, ast.Raise, ast.Continue, ast.Break)


# Arguments that carry words or looks and change nothing that is computed; an encoding differs on other systems alone.
WORDS_AND_LOOKS = {"help", "metavar", "description", "encoding", "lw", "linewidth", "markersize", "capsize", "alpha",
                   "zorder", "fontsize", "color", "transient"}  # fmt: skip

# What has no difference, quotient or product: these changes end in a TypeError, which any test that passes by notices.
_NO_NUMBER = (ast.List, ast.Tuple, ast.Dict, ast.Set, ast.JoinedStr, ast.ListComp)
_PATH = re.compile(r"path|folder|file|root|out\b|name|asset|package|here|base\b", re.I)


def _of_numbers(node: ast.BinOp) -> bool:
    """Whether an operator stands between numbers, as far as its operands tell."""
    sides = (node.left, node.right)
    if any(isinstance(s, _NO_NUMBER) or isinstance(s, ast.Constant) and isinstance(s.value, str) for s in sides):
        return False
    return not (isinstance(node.op, ast.Div) and any(_PATH.search(ast.unparse(side)) for side in sides))


def _of_a_kind(one: ast.AST, other: ast.AST) -> bool:
    """Whether two arguments may be taken for each other: two names, two attributes, two numbers."""
    if isinstance(one, ast.Constant) and isinstance(other, ast.Constant):
        return type(one.value) is type(other.value) and one.value != other.value
    return isinstance(one, ast.Name | ast.Attribute | ast.BinOp) and isinstance(
        other, ast.Name | ast.Attribute | ast.BinOp
    )


def _replaced(node, **fields):
    return type(node)(**{name: getattr(node, name) for name in node._fields} | fields)


def changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """(what is done, what stands there instead) for each change of one node."""
    match node:
        case ast.Compare(ops=[op]) if type(op) in SWAPPED:
            yield "comparison", _replaced(node, ops=[SWAPPED[type(op)]()])
        case ast.BoolOp(op=op):
            yield "and, or", _replaced(node, op=SWAPPED[type(op)]())
        case ast.BinOp(op=op) if type(op) in SWAPPED:
            if _of_numbers(node):
                yield "operator", _replaced(node, op=SWAPPED[type(op)]())
            if not isinstance(op, ast.Div) or _of_numbers(node):
                yield "term dropped", node.left
        case ast.UnaryOp(op=ast.USub() | ast.Not()):
            yield "sign or not dropped", node.operand
        case ast.Constant(value=bool()):
            yield "constant", ast.Constant(not node.value)
        case ast.Constant(value=int()):
            yield "constant", ast.Constant(node.value + 1)
        case ast.Constant(value=float()):
            yield "constant", ast.Constant(2 * node.value or 1.0)
        case ast.IfExp():
            yield "branches swapped", _replaced(node, body=node.orelse, orelse=node.body)
        case ast.Call(func=function, args=[first, second, *rest]) if _of_a_kind(first, second) and ast.unparse(
            function
        ) not in ("isinstance", "next", "getattr", "hasattr"):
            yield "arguments swapped", _replaced(node, args=[second, first, *rest])
        case ast.Name(id=name, ctx=ast.Load()) if name in BUILTINS:
            yield "function", ast.Name(BUILTINS[name])
        case ast.Attribute(attr=name) if name in ATTRIBUTES:
            yield "function", _replaced(node, attr=ATTRIBUTES[name])
        case _ if isinstance(node, REMOVED) and not (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant | ast.Yield | ast.YieldFrom)
        ):
            yield "statement removed", ast.Pass()
    match node:
        case ast.Call(keywords=[*_, ast.keyword(arg=str(name))]) if name not in WORDS_AND_LOOKS:
            yield "argument dropped", _replaced(node, keywords=node.keywords[:-1])


def _visited(node: ast.AST) -> Iterator[ast.AST]:
    """What can be changed: no annotations, which say nothing when run, and no insides of formatted texts."""
    if isinstance(node, ast.keyword) and node.arg in WORDS_AND_LOOKS:
        return
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list") or isinstance(node, ast.JoinedStr):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _visited(child)


def python_sites(path: str, source: str) -> Iterator[Site]:
    lines = source.splitlines(keepends=True)
    for node in _visited(ast.parse(source)):
        for kind, new in changes(node):
            first, last = node.lineno - 1, node.end_lineno - 1
            before = "".join(lines[first : last + 1])
            head = lines[first].encode()[: node.col_offset].decode()
            tail = lines[last].encode()[node.end_col_offset :].decode()
            text = ast.unparse(ast.fix_missing_locations(new))
            if isinstance(new, ast.BinOp | ast.BoolOp | ast.Compare | ast.IfExp | ast.UnaryOp):
                text = f"({text})"
            yield Site(path, node.lineno, kind, before, head + text + tail)


# ---------------------------------------------------------------- changes of the page's script

RULES = [
    ("comparison", r" <= ", " < "), ("comparison", r" < ", " <= "), ("comparison", r" >= ", " > "),
    ("comparison", r" > ", " >= "), ("comparison", r" === ", " !== "), ("comparison", r" !== ", " === "),
    ("and, or", r" && ", " || "), ("and, or", r" \|\| ", " && "), ("operator", r" \+ ", " - "),
    ("operator", r" - ", " + "), ("operator", r" \* ", " / "), ("operator", r" / ", " * "),
    ("function", r"Math\.max", "Math.min"), ("function", r"Math\.min", "Math.max"),
    ("function", r"Math\.floor", "Math.ceil"), ("constant", r"\btrue\b", "false"), ("constant", r"\bfalse\b", "true"),
    ("constant", r"(?<![\w.#-])\d+(?:\.\d+)?(?![\w.])", lambda found: f"{float(found[0]) + 1:g}"),
]  # fmt: skip


def script_sites(path: str, source: str) -> Iterator[Site]:
    for number, line in enumerate(source.splitlines(keepends=True), 1):
        code = re.split(r"^\s*//|\s// ", line)[0]
        for kind, pattern, new in RULES:
            for found in re.finditer(pattern, code):
                text = new(found) if callable(new) else new
                yield Site(path, number, kind, line, line[: found.start()] + text + line[found.end() :])


# ---------------------------------------------------------------- drawing


@cache
def all_sites(root: Path = ROOT) -> dict[str, dict[tuple[str, int], list[Site]]]:
    """Room -> (file, line) -> the changes that begin on that line."""
    rooms: dict[str, dict] = {}
    for path in sorted([*root.glob("lessons_lib/**/*.py"), *root.glob("lessons_lib/**/*.mjs")]):
        name = path.relative_to(root).as_posix()
        sites = script_sites if path.suffix == ".mjs" else python_sites
        for site in sites(name, path.read_text(encoding="utf-8")):
            if site.after != site.before:
                rooms.setdefault(room_of(name), {}).setdefault((name, site.line), []).append(site)
    return rooms


def draw(count: int, seed: int, some: list[str] | None = None) -> list[Mutant]:
    """One line of each room, then rooms by their number of lines; on a line one of its changes, no line twice."""
    rooms, rng = {room: lines for room, lines in all_sites().items() if not some or room in some}, random.Random(seed)
    wanted = list(rooms) + rng.choices(list(rooms), [len(lines) for lines in rooms.values()], k=count)
    drawn, left = [], {room: rng.sample(list(lines), len(lines)) for room, lines in rooms.items()}
    for room in wanted[:count]:
        site = rng.choice(rooms[room][left[room].pop()])
        drawn.append(Mutant(**asdict(site)))
    return drawn


# ---------------------------------------------------------------- running


@cache
def importers(root: Path) -> dict[str, list[str]]:
    """Module of the library -> the test files that import it, or whose text names the command; short files first."""
    found: dict[str, set[str]] = {}
    texts = {path.relative_to(root).as_posix(): path.read_text("utf-8") for path in root.glob("tests/**/test_*.py")}
    commands = [path.stem for path in root.glob("lessons_lib/commands/[a-z]*.py")]
    for name, text in texts.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lessons_lib"):
                for module in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                    found.setdefault(module, set()).add(name)
        for command in commands:
            if re.search(rf"""(main\(|lessons_lib|run\()[^\n]*["']{command}["']""", text):
                found.setdefault(f"lessons_lib.commands.{command}", set()).add(name)
    return {module: sorted(names, key=lambda name: len(texts[name])) for module, names in found.items()}


def stages(path: str, root: Path = ROOT) -> dict[str, tuple[list[str], str]]:
    """The tests that a change of `path` meets in turn: their files and the marks that choose among them."""
    if path.endswith(".mjs"):
        browser = ["tests/explorers/test_browser.py", "tests/lessons/test_browser.py"]
        return {"module": (["tests/explorers/test_client.py"], ""), "room": (browser, "not slow"), "slow": ([], "slow")}
    inside = Path(path).relative_to("lessons_lib").with_suffix("")
    module, package = ".".join(("lessons_lib", *inside.parts)).removesuffix(".__init__"), inside.parent.name
    mirrors = [inside.parent / f"test_{inside.name}.py", inside.parent / f"test_{package}.py", f"test_{package}.py"]
    own = next((f"tests/{mirror}" for mirror in mirrors if (root / "tests" / mirror).exists()), "")
    folder = f"tests/{inside.parent.as_posix()}"
    room = [folder] if package and (root / folder).exists() else []
    of_the_room = [name for name in importers(root).get(module, []) if room and name.startswith(folder + "/")]
    elsewhere = [name for name in importers(root).get(module, []) if name not in of_the_room]
    wide = list(dict.fromkeys([*room, *([own] if own and not room else []), *elsewhere]))
    return {
        "module": ([own] if own else [*of_the_room, *elsewhere][:3], "not slow and not browser"),
        "room": ([*wide, f"tests/test_doctests.py::test_examples[{module}]"], "not slow and not browser"),
        "slow": (wide, "slow and not browser"),
    }


def pytest_fails(copy: Path, tests: list[str], marks: str) -> str:
    """The first test that fails, "" where none does; a run out of time is a failure of its own."""
    has_example = ">>> " in "".join(p.read_text(encoding="utf-8") for p in _examples(copy, tests))
    chosen = [test for test in tests if "test_doctests" not in test or has_example]
    if not chosen:
        return ""
    code, told = _in_a_fork(copy, ["-x", "-q", "--tb=no", "-p", "no:cacheprovider", "-m", marks, *chosen])
    if code in (0, 5):  # 5: the marks leave nothing
        return ""
    found = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", told, re.M)
    return found[1] if found else "out of time" if code is None else f"pytest ended with code {code}"


def _in_a_fork(copy: Path, arguments: list[str]) -> tuple[int | None, str]:
    """Run pytest in the copy; its exit code, None where time ran out, and what it printed.

    In a fork of this process, which has the heavy packages loaded: nine tenths of a short run are their import.
    """
    import pytest

    for package in PRELOADED:
        importlib.import_module(package)
    with tempfile.TemporaryFile("w+") as told:
        child = os.fork()
        if not child:
            os.chdir(copy)
            os.dup2(told.fileno(), 1)
            os.dup2(told.fileno(), 2)
            sys.path[:] = [str(copy), *(p for p in sys.path if p not in ("", str(ROOT), str(ROOT / "tests")))]
            os.environ |= {"PYTHONPATH": str(copy), "HYPOTHESIS_STORAGE_DIRECTORY": str(copy / ".hypothesis")}
            os._exit(pytest.main(arguments))
        deadline = time.monotonic() + LIMIT
        while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < deadline:
            time.sleep(0.2)
        if not ended[0]:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        told.seek(0)
        return os.waitstatus_to_exitcode(ended[1]) if ended[0] else None, told.read()


def _examples(copy: Path, tests: list[str]) -> list[Path]:
    """The modules whose docstrings' examples are asked for."""
    names = [re.search(r"\[(.+)\]", test)[1].replace(".", "/") for test in tests if "test_doctests" in test]
    return [p for name in names for p in (copy / f"{name}.py", copy / name / "__init__.py") if p.exists()]


def put_in(copy: Path, mutant: Mutant) -> str:
    """Write the change into the copy; the file's text as it was. The lines may have moved since they were drawn."""
    file = copy / mutant.path
    source = file.read_text(encoding="utf-8")
    places = [found.start() for found in re.finditer(re.escape(mutant.before), source)]
    if not places:
        raise LookupError(f"{mutant.path}: these lines are gone:\n{mutant.before}")
    at = min(places, key=lambda place: abs(source.count("\n", 0, place) + 1 - mutant.line))
    file.write_text(source[:at] + mutant.after + source[at + len(mutant.before) :], encoding="utf-8")
    return source


def judge(copy: Path, mutant: Mutant, wanted: list[str], before: dict) -> dict:
    """Run the stages that were not run `before`, one after the other, until a test fails because of the change."""
    passed = list(before.get("passed", []))
    run = {"added": ([mutant.added], "")} if mutant.added else stages(mutant.path, copy)
    for stage, (tests, marks) in run.items():
        if stage in passed or stage not in [*wanted, "added"]:
            continue
        try:
            source = put_in(copy, mutant)
        except LookupError:  # the library has moved on since it was drawn
            return {"outcome": "gone", "by": "", "passed": passed}
        failed = pytest_fails(copy, tests, marks)
        (copy / mutant.path).write_text(source, encoding="utf-8")
        if failed and "::" in failed and pytest_fails(copy, [failed], ""):
            return {"outcome": "not judged", "by": f"{failed} fails without the change too", "passed": passed}
        if failed:
            return {"outcome": stage, "by": failed, "passed": passed}
        passed.append(stage)
    return {"outcome": "survived", "by": "", "passed": passed}


def copy_tree(into: Path) -> Path:
    """What git knows of the tree as it stands, changes included."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True
    )
    for name in filter(None, names.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, into / name)
    return into


def run(table: list[Mutant], rooms: list[str], wanted: list[str], again: bool) -> None:
    """Judge what has not been judged by the wanted stages, a row of the table each time."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
    which = "again" if again else "first"
    todo = [m for m in table if (not rooms or m.room in rooms) and m.waits_for(wanted, again)]
    with tempfile.TemporaryDirectory() as folder:
        copy = copy_tree(Path(folder))
        for done, mutant in enumerate(todo, 1):
            before = {} if again else mutant.first
            setattr(mutant, which, judge(copy, mutant, wanted, before) | {"commit": commit.strip()})
            record(mutant)
            print(f"[{done}/{len(todo)}] {mutant.path}:{mutant.line} {mutant.kind}: {mutant.end}", flush=True)


# ---------------------------------------------------------------- the table


def read() -> list[Mutant]:
    lines = TABLE.read_text(encoding="utf-8").splitlines() if TABLE.exists() else []
    return [Mutant(**json.loads(line)) for line in lines]


def write(table: list[Mutant]) -> None:
    TABLE.write_text("".join(json.dumps(asdict(m), ensure_ascii=False) + "\n" for m in table), encoding="utf-8")


def record(mutant: Mutant) -> None:
    """Write one row anew. Several processes may each work at rooms of their own."""
    with open(Path(tempfile.gettempdir()) / "lessons-mutants.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        write([mutant if (old.path, old.before) == (mutant.path, mutant.before) else old for old in read()])


def report(table: list[Mutant]) -> str:
    """What was changed where, whether a test of the module, the room or a slow one noticed, and the sums."""
    rows = []
    for mutant in sorted(table, key=lambda m: (m.room, m.path, m.line)):
        before, after = _difference(mutant)
        met = f" ({', '.join(mutant.first['passed'])} tests passed)" if mutant.end.startswith("survived") else ""
        rows.append(f"{mutant.path}:{mutant.line}  {mutant.kind}: {mutant.end}{met}\n    - {before}\n    + {after}")
        caught = mutant.again if mutant.again.get("by") else mutant.first
        note = mutant.equivalent or caught.get("by", "")
        rows[-1] += f"\n    {note}" if note else ""
    rooms = sorted({m.room for m in table})
    ends = [
        "caught (module)",
        "caught (room)",
        "caught (slow)",
        "survived, closed",
        "survived, equivalent",
        "survived",
        "line gone",
    ]
    counts = {room: Counter(m.end for m in table if m.room == room) for room in rooms}
    counts["all"] = Counter(m.end for m in table)
    widths = [max(len(end), 4) for end in ends]
    rows += ["", " " * 12 + "  ".join(ends)]
    for room, count in counts.items():
        rows.append(f"{room:12}" + "  ".join(f"{count[end]:{width}}" for end, width in zip(ends, widths, strict=True)))
    return "\n".join(rows)


def _difference(mutant: Mutant) -> tuple[str, str]:
    """The lines that differ, without what stands around them."""
    before, after = mutant.before.splitlines(), mutant.after.splitlines()
    while len(before) > 1 and len(after) > 1 and before[0] == after[0]:
        before, after = before[1:], after[1:]
    while len(before) > 1 and len(after) > 1 and before[-1] == after[-1]:
        before, after = before[:-1], after[:-1]
    return " ".join(" ".join(before).split()), " ".join(" ".join(after).split())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    drawing = commands.add_parser("draw", help="draw lines and put them behind those of the table")
    drawing.add_argument("--seed", type=int, required=True)
    drawing.add_argument("--count", type=int, required=True, help="how many lines")
    drawing.add_argument("--rooms", nargs="+", default=[], help="of these rooms alone")
    running = commands.add_parser("run", help="run those that have not been run")
    running.add_argument("--rooms", nargs="+", default=[], help="these rooms alone, such as advice or top")
    running.add_argument("--again", action="store_true", help="the survivors of the first run, with today's tests")
    running.add_argument("--stages", nargs="+", default=STAGES, choices=STAGES, help="these alone (default: all three)")
    commands.add_parser("table", help="print what became of them")
    arguments = parser.parse_args()
    if arguments.command == "draw":
        table = read()
        known = {(mutant.path, mutant.before) for mutant in table}
        drawn = draw(arguments.count, arguments.seed, arguments.rooms)
        write(table + [mutant for mutant in drawn if (mutant.path, mutant.before) not in known])
    elif arguments.command == "run":
        run(read(), arguments.rooms, arguments.stages, arguments.again)
    else:
        print(report(read()))


if __name__ == "__main__":
    main()
