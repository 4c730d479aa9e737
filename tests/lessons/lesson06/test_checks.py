"""Exercise 6: each check accepts the solution and rejects every typical mistake for its own reason."""

import random
import runpy

import pytest
import torch
import torch.nn.functional as F

from lessons_lib.lessons.lesson06.checks import check_kto_loss, check_mismatched, check_reference_point


def mismatched(prompts, completions):
    return list(zip(prompts, completions[1:] + completions[:1], strict=True))


def point(policy, reference):
    return (policy - reference).mean().clamp(min=0).detach()


def kto(p, r, pm, rm, up, beta, desirable_weight, undesirable_weight, point=point):
    z = beta * torch.where(up, 1.0, -1.0) * (p - r - point(pm, rm))
    return torch.where(up, desirable_weight, undesirable_weight) * (1 - torch.sigmoid(z))


def test_the_solution_passes():
    assert check_mismatched(mismatched)
    assert check_mismatched(lambda p, c: [[p[i], c[(i + 1) % len(p)]] for i in range(len(p))])
    assert check_reference_point(point)
    assert check_kto_loss(lambda *logps, desirable, **settings: kto(*logps, desirable, **settings))


def in_place(prompts, completions):
    completions.append(completions.pop(0))
    return list(zip(prompts, completions, strict=True))


MISMATCHES = {
    "still has its own completion": lambda p, c: list(zip(p, c, strict=True)),
    "shifted the other way": lambda p, c: list(zip(p, c[-1:] + c[:-1], strict=True)),
    "the middle row": lambda p, c: list(zip(p, reversed(c), strict=True)),
    "the last prompt got lost": lambda p, c: list(zip(p, c[1:], strict=False)),
    "the last row has its own": lambda p, c: list(zip(p, c[1:] + c[-1:], strict=True)),
    "completion first": lambda p, c: [(b, a) for a, b in mismatched(p, c)],
    "changed the lists": in_place,
    "pair row i with completion i + 1": lambda p, c: [("p1", "c2")] * 5,
    "raised TypeError": lambda p, c: None,
    "raised TypeError, or gave no pairs: 'bool'": lambda p, c: True,
    "raised IndexError": lambda p, c: [(p[i], c[i + 1]) for i in range(5)],
}


@pytest.mark.parametrize("cause", MISMATCHES)
def test_each_mismatch_is_named(cause):
    verdict = check_mismatched(MISMATCHES[cause])
    assert not verdict
    assert cause in verdict.message


POINTS = {
    "not clamped": lambda p, r: (p - r).mean().detach(),
    "sign turned": lambda p, r: point(r, p),
    "clamped before the mean": lambda p, r: (p - r).clamp(min=0).mean().detach(),
    "absolute value": lambda p, r: (p - r).mean().abs().detach(),
    "absolute values averaged": lambda p, r: (p - r).abs().mean().detach(),
    "summed": lambda p, r: (p - r).sum().clamp(min=0).detach(),
    "reference ignored": lambda p, r: point(p, 0 * r),
    "clamped from above": lambda p, r: (p - r).mean().clamp(max=0).detach(),
    "gradient through z₀": lambda p, r: (p - r).mean().clamp(min=0),
    "the answer is a float": lambda p, r: point(p, r).item(),
    "the answer is a bool": lambda p, r: True,
    "the answer is a NoneType": lambda p, r: None,
    "shape (1,)": lambda p, r: point(p, r)[None],
    "shape (4,)": lambda p, r: (p - r).clamp(min=0).detach(),
    "not max(0, mean": lambda p, r: torch.tensor(5.0),
    "expected 1.5": lambda p, r: torch.tensor(0.0),
    "raised ZeroDivisionError": lambda p, r: 1 / 0,
}


@pytest.mark.parametrize("cause", POINTS)
def test_each_mistake_of_the_reference_point_is_named(cause):
    verdict = check_reference_point(POINTS[cause])
    assert not verdict
    assert cause in verdict.message
    assert "policy_mismatched=" in verdict.message


def changed(value=lambda z, w: w * (1 - torch.sigmoid(z)), z=lambda sign, r, z0, beta: sign * beta * (r - z0)):
    """KTO with another value of z, or another z."""

    def loss(p, r, pm, rm, desirable, beta, desirable_weight, undesirable_weight):
        weight = torch.where(desirable, desirable_weight, undesirable_weight)
        return value(z(torch.where(desirable, 1.0, -1.0), p - r, point(pm, rm), beta), weight)

    return loss


def with_point(other):
    return lambda *logps, desirable, **settings: kto(*logps, desirable, point=other, **settings)


LOSSES = {
    "−log σ": changed(lambda z, w: -w * F.logsigmoid(z)),
    "the value and not the loss": changed(lambda z, w: w * torch.sigmoid(z)),
    "−v for λ − v": changed(lambda z, w: -w * torch.sigmoid(z)),
    "up and down swapped": lambda *logps, desirable, beta, desirable_weight, undesirable_weight: kto(
        *logps, ~desirable, beta, desirable_weight, undesirable_weight
    ),
    "two signs of z are swapped": changed(z=lambda sign, r, z0, beta: -sign * beta * (r - z0)),
    "z₀ left out": with_point(lambda pm, rm: 0),
    "z₀ not clamped": with_point(lambda pm, rm: (pm - rm).mean().detach()),
    "z₀ with its sign turned": with_point(lambda pm, rm: -point(pm, rm)),
    "z₀ subtracted for downs too": changed(z=lambda sign, r, z0, beta: beta * (sign * r - z0)),
    "β on r alone": changed(z=lambda sign, r, z0, beta: sign * (beta * r - z0)),
    "β forgotten": changed(z=lambda sign, r, z0, beta: sign * (r - z0)),
    "weights swapped": lambda *logps, desirable, beta, desirable_weight, undesirable_weight: kto(
        *logps, desirable, beta, undesirable_weight, desirable_weight
    ),
    "weights left out": changed(lambda z, w: 1 - torch.sigmoid(z)),
    "weight inside σ": changed(lambda z, w: 1 - torch.sigmoid(w * z)),
    "reference ignored": lambda p, r, *rest, desirable, **settings: kto(p, 0 * r, *rest, desirable, **settings),
    "z₀ from the replies' own": lambda p, r, pm, rm, desirable, **settings: kto(p, r, p, r, desirable, **settings),
    "gradient through z₀": with_point(lambda pm, rm: (pm - rm).mean().clamp(min=0)),
    "a .detach() on the log-ratio": lambda p, *rest, desirable, **settings: (
        kto(p.detach(), *rest, desirable, **settings) + 0 * p
    ),
    "already averaged": lambda *logps, desirable, **settings: kto(*logps, desirable, **settings).mean(),
    "shape (4, 1)": lambda *logps, desirable, **settings: kto(*logps, desirable, **settings)[:, None],
    "a constant": lambda *logps, **settings: logps[0] * 0 + 0.5,
    "is a bool": lambda *logps, **settings: True,
    "no gradient": lambda *logps, desirable, **settings: kto(*logps, desirable, **settings).detach(),
    "compare your z": lambda *logps, **settings: logps[0] ** 2,
    "raised AttributeError": lambda *logps, **settings: None.mean(),
}


@pytest.mark.parametrize("cause", LOSSES)
def test_each_mistake_of_the_loss_is_named(cause):
    verdict = check_kto_loss(LOSSES[cause])
    assert not verdict
    assert cause in verdict.message


@pytest.fixture(scope="module")
def item(root):
    spec = runpy.run_path(root / "exercises/specs/ex06.py")["EXERCISE"]
    return {item.name: item for item in spec.items}["my_kto_loss"]


def earned(item, function, seed=1):
    """How many of the hidden cases a function passes."""
    compare, wire = (pytest.importorskip(f"lessons_lib.grading.{name}") for name in ("compare", "wire"))
    cases = item.cases(random.Random(seed))
    return sum(
        compare.share(item, case, compare.expected(item, case), wire.call(function, case, item.gradient))[0]
        for case in cases
    )


def test_the_hidden_spec_sees_a_gradient_through_the_reference_point(item):
    assert earned(item, lambda **case: kto(**rename(case))) == 4
    assert earned(item, lambda **case: kto(**rename(case), point=lambda pm, rm: (pm - rm).mean().clamp(min=0))) == 0
    assert earned(item, lambda **case: kto(**rename(case), point=lambda pm, rm: (pm - rm).mean().detach())) == 3


def rename(case):
    short = {
        "policy": "p",
        "reference": "r",
        "policy_mismatched": "pm",
        "reference_mismatched": "rm",
        "desirable": "up",
    }
    return {short.get(name, name): value for name, value in case.items()}
