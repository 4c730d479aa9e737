"""Checks of exercise 6: KTO's mismatched pairs, its reference point, and its loss."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from lessons_lib import losses
from lessons_lib.grading.verdict import Mistake, Verdict, check_loss


def check_mismatched(function: Callable) -> Verdict:
    """Check ``function(prompts, completions)``: each prompt with the next row's completion."""
    rows = [["p1", "p2", "p3", "p4", "p5"], ["c1", "c2", "c3", "c4", "c5"]]
    shown = f"with prompts={rows[0]}, completions={rows[1]}"
    expected = [("p1", "c2"), ("p2", "c3"), ("p3", "c4"), ("p4", "c5"), ("p5", "c1")]
    given = [list(part) for part in rows]
    try:
        came = function(*given)
        pairs = [tuple(pair) for pair in came]
    except Exception as error:  # whatever the learner's code raises is an answer to explain
        return Verdict(False, f"{shown}\nyour function raised {type(error).__name__}, or gave no pairs: {error}")
    if given != rows:
        return Verdict(False, f"{shown}\nyour function changed the lists it was given; the caller still needs them")
    if pairs == expected:
        return Verdict(True, f"right: {pairs}")
    cause = next((hint for wrong, hint in _MISMATCHES if pairs == wrong(*rows)), "pair row i with completion i + 1")
    return Verdict(False, f"{shown}\nexpected {expected}\ngot {pairs}\n{cause}")


def check_reference_point(function: Callable) -> Verdict:
    """Check ``function(policy_mismatched, reference_mismatched)``: a scalar ≥ 0 without a gradient."""
    batches = [_tensors(logps) for logps in (_MOVED_UP, _MOVED_DOWN)]
    expected = [losses.kto_reference_point(*batch) for batch in batches]
    try:
        came = [function(*batch) for batch in batches]
    except Exception as error:  # whatever the learner's code raises is an answer to explain
        return Verdict(False, f"with {_shown(_MOVED_UP)}\nyour function raised {type(error).__name__}: {error}")
    for logps, right, answer in zip((_MOVED_UP, _MOVED_DOWN), expected, came, strict=True):
        cause = _wrong_point(answer, right)
        if cause == "value":
            likely = (m for m in _POINT_MISTAKES if all(map(_equal, came, (m.answer(*batch) for batch in batches))))
            cause = next((f"{m.name}: {m.hint}" for m in likely), "not max(0, mean of policy − reference)")
        if cause:
            got = answer.detach().tolist() if isinstance(answer, torch.Tensor) else answer
            return Verdict(
                False, f"with {_shown(logps)}\nexpected {right.item():.4g}\ngot {got}\nlikely cause: {cause}"
            )
    return Verdict(True, f"right where the mean is above 0 (z₀ = {came[0]:.4g}) and where it is below (z₀ = 0)")


def check_kto_loss(function: Callable) -> Verdict:
    """Check ``function(policy, reference, policy_mismatched, reference_mismatched, desirable, beta, …_weight)``.

    The right answer is one loss per example, ``λ(1 − σ(±β(r − z₀)))``, whose gradient flows through `policy` alone.
    """
    settings = {"desirable": _DESIRABLE, "beta": 0.25, "desirable_weight": 2.0, "undesirable_weight": 3.0}
    for mismatched in (_MOVED_UP, _MOVED_DOWN):
        verdict = check_loss(
            function, _right, _LOSS_MISTAKES, _SUMMED_LOGPS | mismatched, settings, rows="replies", otherwise=_OTHERWISE
        )
        if not verdict:
            return verdict
    wrong = _check_gradient(function, settings)
    return verdict if wrong is None else wrong


def _check_gradient(function: Callable, settings: dict) -> Verdict | None:
    """A verdict where the gradient is not that of the loss with z₀ held still."""
    found = []
    for loss in (_right, function):
        inputs = _tensors(_SUMMED_LOGPS | _MOVED_UP)
        found.append(torch.autograd.grad(loss(*inputs, **settings).sum(), inputs, allow_unused=True))
    right, (policy, _, mismatched, _) = found[0][0], found[1]
    if mismatched is not None and mismatched.abs().max() > 1e-12:
        return Verdict(
            False,
            "the losses are right, their gradient is not\nlikely cause: gradient through z₀: it reaches "
            "policy_mismatched, and training would move z₀ in place of the replies; detach z₀",
        )
    if policy is None or not torch.allclose(policy, right):
        return Verdict(
            False,
            f"the losses are right, their gradient with respect to policy is not\nexpected {right.tolist()}\n"
            f"got {None if policy is None else policy.tolist()}\nlikely cause: a .detach() on the log-ratio itself",
        )
    return None


def _wrong_point(came, right: torch.Tensor) -> str:
    """What is wrong with one answer: its kind, its shape, its "value" or its gradient; empty where nothing is."""
    if not isinstance(came, torch.Tensor):
        return f"the answer is a {type(came).__name__}; return a tensor of one number"
    if came.ndim:
        return f"shape {tuple(came.shape)} where one number for the whole batch, (), was asked for"
    if not _equal(came, right):
        return "value"
    return "gradient through z₀: the value is right, and it must not carry one; detach it" if came.requires_grad else ""


def _equal(came, right: torch.Tensor) -> bool:
    return isinstance(came, torch.Tensor) and torch.allclose(came.detach().to(right), right.detach(), 1e-6, 1e-9)


def _tensors(logps: dict) -> list[torch.Tensor]:
    return [torch.tensor(values, dtype=torch.float64, requires_grad=True) for values in logps.values()]


def _shown(logps: dict) -> str:
    return ", ".join(f"{name}={values}" for name, values in logps.items())


# Four replies, two up and two down, and mismatched pairs that became likelier or less likely on average. No two of
# the log-ratios coincide, so that typical mistakes give different numbers.
_SUMMED_LOGPS = {"policy": [-11.0, -7.5, -20.0, -15.0], "reference": [-12.0, -9.0, -18.0, -17.5]}
_DESIRABLE = torch.tensor([True, False, True, False])
_MOVED_UP = {
    "policy_mismatched": [-30.0, -28.0, -26.5, -35.0],
    "reference_mismatched": [-33.0, -29.0, -29.0, -34.5],
}
_MOVED_DOWN = {
    "policy_mismatched": [-36.0, -28.0, -31.5, -35.0],
    "reference_mismatched": [-33.0, -29.0, -29.0, -34.0],
}
_OTHERWISE = "compare your z with +β(r − z₀) for a thumbs up and −β(r − z₀) for a thumbs down, r = policy − reference"


def _right(policy, reference, policy_mismatched, reference_mismatched, desirable, beta, **weights):
    kl = losses.kto_reference_point(policy_mismatched, reference_mismatched)
    return losses.kto_loss(policy, reference, desirable, kl, beta=beta, **weights).losses


def _variant(value: Callable, point: Callable = losses.kto_reference_point) -> Callable:
    """KTO with one thing changed: `value` makes losses from (z, weight), `point` makes z₀."""

    def loss(policy, reference, policy_kl, reference_kl, desirable, beta, desirable_weight, undesirable_weight):
        z = beta * torch.where(desirable, 1.0, -1.0) * (policy - reference - point(policy_kl, reference_kl))
        return value(z, torch.where(desirable, desirable_weight, undesirable_weight))

    return loss


def _kto(z, weight):
    return weight * torch.sigmoid(-z)


def _by_parts(z_of: Callable, weigh: Callable = torch.where) -> Callable:
    """KTO with another z: `z_of` takes r, z₀, the sign of the thumb and β."""

    def loss(policy, reference, policy_kl, reference_kl, desirable, beta, desirable_weight, undesirable_weight):
        kl, sign = losses.kto_reference_point(policy_kl, reference_kl), torch.where(desirable, 1.0, -1.0)
        z = z_of(policy - reference, kl, sign, beta)
        return _kto(z, weigh(desirable, torch.tensor(desirable_weight), torch.tensor(undesirable_weight)))

    return loss


def _mean(policy, reference):
    return (policy - reference).mean()


_MISMATCHES = (
    (lambda p, c: list(zip(p, c, strict=True)), "each prompt still has its own completion; take the next row's"),
    (lambda p, c: list(zip(p, c[-1:] + c[:-1], strict=True)), "shifted the other way: row i takes completion i + 1"),
    (lambda p, c: list(zip(p, c[::-1], strict=True)), "reversed: the middle row still has its own completion"),
    (lambda p, c: list(zip(p, c[1:], strict=False)), "the last prompt got lost; it takes the first completion"),
    (lambda p, c: list(zip(p, c[1:] + c[-1:], strict=True)), "the last row has its own completion; take the first one"),
    (lambda p, c: list(zip(c[1:] + c[:1], p, strict=True)), "completion first; a pair is (prompt, completion)"),
)

_POINT_MISTAKES = (
    Mistake("not clamped", _mean, "z₀ estimates a KL divergence, which is never below 0; a sample's mean can be"),
    Mistake("sign turned", lambda p, r: (r - p).mean().clamp(min=0), "the log-ratio is policy − reference"),
    Mistake("clamped before the mean", lambda p, r: (p - r).clamp(min=0).mean(), "average first, then clamp"),
    Mistake("absolute value", lambda p, r: (p - r).mean().abs(), "a negative mean becomes 0, not positive"),
    Mistake("absolute values averaged", lambda p, r: (p - r).abs().mean(), "average the signed log-ratios, then clamp"),
    Mistake("summed", lambda p, r: (p - r).sum().clamp(min=0), "z₀ is the *mean* over the batch"),
    Mistake("reference ignored", lambda p, r: p.mean().clamp(min=0), "subtract the reference's log-probs"),
    Mistake("clamped from above", lambda p, r: (p - r).mean().clamp(max=0), "clamp(min=0) keeps what is above 0"),
)

_LOSS_MISTAKES = (
    Mistake("−log σ", _variant(lambda z, w: -w * F.logsigmoid(z)),
            "that is DPO's shape, which pulls hardest at hopeless replies; KTO's loss is λ(1 − σ(z))"),
    Mistake("the value and not the loss", _variant(lambda z, w: w * torch.sigmoid(z)),
            "training minimizes, so λ(1 − σ(z)); or the two signs of z are swapped, which gives the same"),
    Mistake("−v for λ − v", _variant(lambda z, w: -w * torch.sigmoid(z)),
            "the gradient is the same, but the paper's loss is λ − v and never negative"),
    Mistake("up and down swapped", lambda *logps, desirable, **own: _right(*logps, ~desirable, **own),
            "a thumbs up has z = β(r − z₀), a thumbs down β(z₀ − r)"),
    Mistake("z₀ left out", _variant(_kto, lambda p, r: 0.0), "compare r with z₀, not with 0"),
    Mistake("z₀ not clamped", _variant(_kto, _mean), "z₀ = max(0, …)"),
    Mistake("z₀ with its sign turned", _variant(_kto, lambda p, r: -losses.kto_reference_point(p, r)),
            "z₀ is subtracted from r"),
    Mistake("z₀ subtracted for downs too", _by_parts(lambda r, kl, sign, beta: beta * (sign * r - kl)),
            "a thumbs down has z = β(z₀ − r): both signs turn"),
    Mistake("β on r alone", _by_parts(lambda r, kl, sign, beta: sign * (beta * r - kl)),
            "β multiplies the whole bracket (r − z₀)"),
    Mistake("β forgotten", _by_parts(lambda r, kl, sign, beta: sign * (r - kl)), "z = β(r − z₀)"),
    Mistake("weights swapped", _by_parts(lambda r, kl, sign, beta: sign * beta * (r - kl),
                                         lambda up, d, u: torch.where(up, u, d)),
            "λ_D belongs to desirable replies, the ups"),
    Mistake("weights left out", _variant(lambda z, w: torch.sigmoid(-z)), "each loss is multiplied by its side's λ"),
    Mistake("weight inside σ", _variant(lambda z, w: torch.sigmoid(-w * z)), "λ stands outside: λ(1 − σ(z))"),
    Mistake("reference ignored", lambda policy, reference, *rest, **own: _right(policy, 0 * reference, *rest, **own),
            "r is a log-*ratio*: subtract the reference's log-probs"),
    Mistake("z₀ from the replies' own prompts",
            lambda policy, reference, *_, **settings: _right(policy, reference, policy, reference, **settings),
            "z₀ comes from the *mismatched* pairs"),
)  # fmt: skip
