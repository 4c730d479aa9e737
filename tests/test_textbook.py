"""The textbook losses against the tensor ones, on random numbers, and that they run on bare Python."""

import ast
import inspect
import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lessons_lib import losses, textbook

random_rows = settings(max_examples=200, deadline=None, derandomize=True)
LOGP = st.floats(-1e4, 0.0) | st.floats(-30.0, 0.0)
AVERAGED_LOGP = st.floats(-1e4, -1e-300) | st.floats(-3.0, -1e-300)
STRENGTH = st.floats(0.01, 10.0)
WEIGHT = st.floats(0.0, 10.0)
KL = st.floats(0.0, 100.0)


def assert_same(name, numbers, knobs):
    """The textbook's loss of plain numbers is the library's of one-element tensors."""
    tensors = [torch.tensor([x]) if isinstance(x, bool) else torch.tensor([x], dtype=torch.float64) for x in numbers]
    if name == "kto_loss":
        tensors[3] = tensors[3].squeeze(0)
    expected = getattr(losses, name)(*tensors, **knobs).losses.item()
    assert getattr(textbook, name)(*numbers, **knobs) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@random_rows
@given(LOGP, LOGP, LOGP, LOGP, STRENGTH, st.floats(0.0, 0.49))
def test_dpo(pc, pr, rc, rr, beta, smoothing):
    assert_same("dpo_loss", (pc, pr, rc, rr), {"beta": beta, "label_smoothing": smoothing})


@random_rows
@given(LOGP, LOGP, LOGP, LOGP, STRENGTH)
def test_ipo(pc, pr, rc, rr, tau):
    assert_same("ipo_loss", (pc, pr, rc, rr), {"tau": tau})


@random_rows
@given(LOGP, LOGP, st.booleans(), KL, STRENGTH, WEIGHT, WEIGHT)
def test_kto(p, r, up, kl, beta, d, u):
    knobs = {"beta": beta, "desirable_weight": d, "undesirable_weight": u}
    assert_same("kto_loss", (p, r, up, kl), knobs)


@random_rows
@given(AVERAGED_LOGP, AVERAGED_LOGP, st.floats(0.0, 1e4), WEIGHT)
def test_orpo(pc, pr, nll, lam):
    assert_same("orpo_loss", (pc, pr, nll), {"lam": lam})


@random_rows
@given(LOGP, LOGP, STRENGTH, WEIGHT)
def test_simpo(c, r, beta, gamma):
    assert_same("simpo_loss", (c, r), {"beta": beta, "gamma": gamma})


@random_rows
@given(st.lists(st.tuples(LOGP, LOGP), min_size=1, max_size=9))
def test_reference_point(pairs):
    policy, reference = (list(column) for column in zip(*pairs, strict=True))
    expected = losses.kto_reference_point(*torch.tensor(pairs, dtype=torch.float64).T).item()
    assert textbook.kto_reference_point(policy, reference) == pytest.approx(expected, rel=1e-9, abs=1e-9)


LOSSES = [name for name in vars(losses) if name.endswith("_loss")]


def knobs_of(function):
    """The hyper-parameters of a loss and their defaults."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


@pytest.mark.parametrize("name", LOSSES)
def test_names_and_defaults_are_those_of_the_library(name):
    book, library = getattr(textbook, name), getattr(losses, name)
    assert knobs_of(book) == knobs_of(library)
    assert len(inspect.signature(book).parameters) == len(inspect.signature(library).parameters)
    for ours, theirs in zip(inspect.signature(book).parameters, inspect.signature(library).parameters, strict=True):
        assert theirs in (ours, f"{ours}_logps")


@pytest.mark.parametrize("z", [0.0, 1e-12, 3.0, 700.0, 1e5, 1e308])
def test_sigmoid_does_not_overflow(z):
    assert textbook.log_sigmoid(z) == pytest.approx(-math.exp(-z), rel=1e-9) or z < 20
    assert textbook.log_sigmoid(-z) - textbook.log_sigmoid(z) == pytest.approx(-z, abs=1e-9)
    assert textbook.sigmoid(z) + textbook.sigmoid(-z) == pytest.approx(1.0, rel=1e-12)


def test_imports_nothing_but_math():
    imported = [
        alias.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(ast.parse(inspect.getsource(textbook)))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    ]
    assert imported == ["math"]


def test_runs_in_bare_python():
    """As in the reader's browser: no site-packages, no package around it, the source alone."""
    program = inspect.getsource(textbook) + "\nprint(round(dpo_loss(-12, -15, -12, -15), 4), ipo_loss(-1, -1, -1, -1))"
    run = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("0.6931 25.0\n", "")
