"""Running a notebook's cell without a notebook: what IPython adds to Python is translated, done, or read around.

`%%time`, `%%capture` and their like keep the cell that they stand over; a shell command does nothing; top-level
`await` waits. An import of something that this version of the library does not have, as after a new release, gives
names that do nothing, so that the rest of the cell still counts. Whatever was read around is named, never silent.
"""

from __future__ import annotations

import ast
import types

# Cell magics whose cell counts all the same, and line magics whose absence changes no answer.
_KEEP = {"time", "timeit", "capture", "prun", "python", "python3", "pypy", "debug", "memit", "mprun", "lprun", "heat"}
_NOTHING = {"matplotlib", "load_ext", "reload_ext", "autoreload", "config", "pip", "conda", "env", "pinfo", "pinfo2"}
_NOTHING |= {"pylab", "precision", "xmode", "colors", "who", "whos", "pwd", "ls", "history", "reset_selective"}


def run(source: str, place: str, names: dict) -> list[str]:
    """Execute a cell in `names`; the words of `submissions.FLAGS` for what could not be run.

    Whatever the cell raises goes through.
    """
    odd: list[str] = []
    try:
        ast.parse(source)
    except SyntaxError:
        source = translated(source)
        names["get_ipython"] = lambda: _Shell(place, names, odd)
    try:
        _execute(source, place, names)
    except ImportError as error:
        if not (error.name or "").startswith("lessons_lib"):
            raise
        odd.append("other_release")
        _execute_without(source, place, names)
    return sorted(set(odd))


def translated(source: str) -> str:
    """A cell in plain Python, its magics as the calls that IPython makes of them."""
    from IPython.core.inputtransformer2 import TransformerManager

    return TransformerManager().transform_cell(source)


def _execute(code, place: str, names: dict) -> None:
    compiled = compile(code, place, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if compiled.co_flags & 0x80:  # CO_COROUTINE: it waits for something
        import asyncio

        asyncio.run(eval(compiled, names))
    else:
        exec(compiled, names)


def _execute_without(source: str, place: str, names: dict) -> None:
    """The cell again, each missing name of the library bound to a function that does nothing."""
    tree = ast.parse(source)
    for node in [n for n in tree.body if isinstance(n, ast.ImportFrom) and (n.module or "").startswith("lessons_lib")]:
        for alias in node.names:
            one = ast.ImportFrom(node.module, [alias], 0, lineno=1, col_offset=0)
            try:
                _execute(ast.Module([one], []), place, names)
            except ImportError:
                names[alias.asname or alias.name] = lambda *arguments, **named: None
        tree.body.remove(node)
    _execute(tree, place, names)


class _Shell:
    """What `get_ipython()` answers in a cell with magics."""

    def __init__(self, place: str, names: dict, odd: list[str]):
        self._place, self._names, self._odd = place, names, odd

    def run_cell_magic(self, name: str, line: str, body: str) -> None:
        if name not in _KEEP:
            self._odd.append("magic")
            return
        if name == "capture" and line.split():
            self._names[line.split()[0]] = types.SimpleNamespace(stdout="", stderr="", outputs=[], show=lambda: None)
        self._odd += run(body, self._place, self._names)

    def run_line_magic(self, name: str, line: str, *more) -> None:
        if name == "time":
            self._odd += run(line, self._place, self._names)
        elif name not in _KEEP | _NOTHING:
            self._odd.append("magic")

    def getoutput(self, command: str) -> list:
        self._odd.append("magic")
        return []

    def system(self, command: str) -> None:
        """A command of the shell; what it would print is no part of an answer."""
