"""Which answers are alike enough to be worth a look: questions for a person, never verdicts, and never marks.

Compared is what the code does: syntax trees without names, comments and docstrings, wherever the cells stand and
however they are tagged, less what was handed out. Learners whose trees are the same, or nearly, form a group. The
work grows with the number of learners and not with that of pairs: trees are hashed from their leaves up, and near
ones are found by MinHash (Broder, 1997).

What it cannot show: a short task has few natural ways to be written, and most of a class will share one. A rewritten
copy, or one from another year, shows nothing. So the groups that are largest in code and rarest in the class come
first, and the page says to ask.
"""

from __future__ import annotations

import ast
import hashlib
import math
import re
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

_SMALLEST = 5  # nodes of a piece that counts
_FEWEST = 12  # nodes of an answer below which it says nothing
_HASHES, _BANDS = 32, 8
_RUN = 4  # words of prose that stand together
_ALIKE = 0.8  # of the hashes of two answers that agree
_NAMES = ("name", "id", "arg", "asname", "names", "module")
_ROUNDABOUT = {"importlib", "__import__", "inspect", "gc", "ctypes", "exec", "eval", "vars", "globals"}
_ROUNDABOUT |= {"__globals__", "__closure__", "__code__", "__wrapped__", "__dict__", "__subclasses__", "modules"}

_MAGIC = re.compile(r"^([ \t]*)(%|!|.*=\s*!|.*\?\s*$).*$", re.MULTILINE)


@dataclass(frozen=True)
class Shape:
    """What is kept of an answer for comparing it: no code.

    Attributes:
        form: of the whole, names left out; empty where there is too little to compare.
        named: the same with its names.
        nodes: of its syntax trees.
        signature: MinHash values of its pieces.
        library: what it takes from this library beyond what was handed out, and roundabout ways to it.
    """

    form: str = ""
    named: str = ""
    nodes: int = 0
    signature: tuple[int, ...] = ()
    library: tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    """Learners whose answers are alike: how, how much code that is, and who shares names too."""

    learners: tuple[str, ...]
    how: str
    nodes: int
    same_names: tuple[tuple[str, ...], ...]


def shape(cells: Iterable[str], handed_out: Iterable[str]) -> Shape:
    """The shape of a notebook's code, less the statements that were handed out."""
    given = list(handed_out)
    known = {_named(node) for node in _statements(given)}
    trees = list(_statements(cells))
    allowed = {name.rpartition(".")[2] for name in _library(_statements(given))}
    taken = tuple(sorted(name for name in _library(trees) if name.rpartition(".")[2] not in allowed))
    own = [
        node
        for node in trees
        if not isinstance(node, (ast.Import, ast.ImportFrom, ast.Pass)) and _named(node) not in known
    ]
    pieces: dict[int, int] = {}
    try:
        forms = sorted(_form(node, pieces)[0] for node in own)
    except RecursionError:
        return Shape(library=taken)
    nodes = sum(1 for node in own for _ in ast.walk(node))
    if nodes < _FEWEST:
        return Shape(library=taken)
    large = [piece for piece, size in pieces.items() if size >= _SMALLEST]
    return Shape(_digest(forms), _digest(sorted(map(_named, own))), nodes, tuple(_signature(large)), taken)


def text_shape(text: str) -> Shape:
    """The shape of prose: its runs of four words, numbers left out, so that a template shows whatever is filled in."""
    words = re.findall(r"[^\W\d_]+", text.lower())
    runs = [int(_digest(words[place : place + _RUN]), 16) for place in range(len(words) - _RUN + 1)]
    if len(words) < _FEWEST:
        return Shape()
    return Shape(_digest(words), _digest([text]), len(words), tuple(_signature(runs)))


def groups(shapes: Mapping[str, Shape]) -> list[Group]:
    """Groups of learners whose answers are alike, those that say most first."""
    by_form: dict[str, list[str]] = defaultdict(list)
    for learner, own in shapes.items():
        if own.form:
            by_form[own.form].append(learner)
    one_of = {form: shapes[learners[0]] for form, learners in by_form.items()}
    found = []
    for forms in _near(one_of):
        learners = sorted(learner for form in forms for learner in by_form[form])
        if len(learners) > 1:
            how = "the same but for names" if len(forms) == 1 else "nearly the same but for names"
            nodes = min(one_of[form].nodes for form in forms)
            found.append(Group(tuple(learners), how, nodes, _same_names(learners, shapes)))
    return sorted(found, key=lambda group: (-_surprise(group, len(shapes)), group.learners))


def _surprise(group: Group, learners: int) -> float:
    return group.nodes * math.log2(learners / len(group.learners) + 0.01) + 20 * bool(group.same_names)


def _same_names(learners: Sequence[str], shapes: Mapping[str, Shape]) -> tuple[tuple[str, ...], ...]:
    by_names: dict[str, list[str]] = defaultdict(list)
    for learner in learners:
        by_names[shapes[learner].named].append(learner)
    return tuple(tuple(same) for same in by_names.values() if len(same) > 1)


def _near(one_of: Mapping[str, Shape]) -> list[list[str]]:
    """Forms joined where most of their hashes agree; each is compared with the first of its drawers alone."""
    root = {form: form for form in one_of}

    def top(form: str) -> str:
        while root[form] != form:
            root[form] = root[root[form]]
            form = root[form]
        return form

    drawers: dict[tuple, str] = {}
    width = _HASHES // _BANDS
    for form, own in one_of.items():
        for band in range(_BANDS if own.signature else 0):
            first = drawers.setdefault((band, own.signature[band * width : (band + 1) * width]), form)
            if top(first) != top(form) and _agree(one_of[first], own) >= _ALIKE:
                root[top(form)] = top(first)
    joined: dict[str, list[str]] = defaultdict(list)
    for form in one_of:
        joined[top(form)].append(form)
    return list(joined.values())


def _agree(one: Shape, other: Shape) -> float:
    return sum(a == b for a, b in zip(one.signature, other.signature, strict=True)) / _HASHES


# ---------------------------------------------------------------- from code to hashes


def _statements(cells: Iterable[str]) -> Iterator[ast.stmt]:
    """The top-level statements of cells, magics read around; a cell that is no Python gives none."""
    for source in cells:
        tree = _parsed(source) or _parsed(_MAGIC.sub(r"\1pass", source))
        yield from map(_without_docstring, tree.body if tree else [])


def _parsed(source: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _without_docstring(node: ast.stmt) -> ast.stmt:
    for part in ast.walk(node):
        if isinstance(part, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)) and ast.get_docstring(part, False):
            part.body = part.body[1:]
    return node


def _named(node: ast.stmt) -> str:
    try:
        return _digest([ast.dump(node)])
    except RecursionError:
        return ""


def _form(node: ast.AST, pieces: dict[int, int]) -> tuple[str, int]:
    """A tree's hash and size; every tree in it is noted in `pieces`. Numbers count, names and texts do not."""
    parts, size = [type(node).__name__], 1
    for name, value in ast.iter_fields(node):
        if name in _NAMES and not isinstance(value, (ast.AST, list)):
            continue
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, ast.AST):
                inner, inner_size = _form(part, pieces)
                parts.append(inner)
                size += inner_size
            elif name == "attr" or isinstance(part, (int, float, complex)):
                parts.append(repr(part))
    found = _digest(parts)
    pieces[int(found, 16)] = size
    return found, size


def _digest(parts: Iterable[str]) -> str:
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=8).hexdigest()


def _signature(pieces: Sequence[int]) -> list[int]:
    import numpy as np

    if not pieces:
        return []
    odd = np.random.default_rng(0).integers(1, 2**63, _HASHES, dtype=np.uint64) | np.uint64(1)
    return [int(least) >> 32 for least in (np.array(pieces, dtype=np.uint64)[:, None] * odd).min(axis=0)]


# ---------------------------------------------------------------- the library's own answers


def _library(trees: Iterable[ast.stmt]) -> set[str]:
    """What statements take from lessons_lib, and names by which it can be reached without an import."""
    found, bound = set(), {}
    nodes = [node for tree in trees for node in ast.walk(tree)]
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lessons_lib"):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole)
                bound[alias.asname or alias.name] = whole
        elif isinstance(node, ast.Import):
            inside = [alias for alias in node.names if alias.name.startswith("lessons_lib")]
            found |= {alias.name for alias in inside}
            bound |= {alias.asname or "lessons_lib": alias.name if alias.asname else "lessons_lib" for alias in inside}
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in bound:
            found.add(f"{bound[node.value.id]}.{node.attr}")
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "lessons_lib" in node.value:
            found.add("a text with lessons_lib in it")
        word = getattr(node, "id", None) or getattr(node, "attr", None)
        if word in _ROUNDABOUT:
            found.add(word)
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            found |= {name.partition(".")[0] for name in modules} & _ROUNDABOUT
    return found
