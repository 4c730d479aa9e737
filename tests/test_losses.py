"""The five losses: numbers a person can check on paper, then mistakes that must not pass them, then
high-precision arithmetic, finiteness, symmetries and limits, transforms, and errors at the boundary.

Each mistake is one that learners or libraries have made. The library must meet every landmark, and
each mistake must miss one, so that the landmarks are known to be able to fail.
"""

import inspect
import math
from functools import partial
from typing import NamedTuple

import mpmath
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lessons_lib import losses as library
from lessons_lib.losses import dpo_loss, ipo_loss, kto_loss, kto_reference_point, orpo_loss, simpo_loss

LOSSES = {"dpo": dpo_loss, "ipo": ipo_loss, "kto": kto_loss, "orpo": orpo_loss, "simpo": simpo_loss}

# ---------------------------------------------------------------- landmarks, float64, per example


def sigma(z):
    return 1 / (1 + math.exp(-z))


def margin_of(h):
    """Four log-probs whose log-ratios differ by h, policy before reference."""
    return (h if h < 0 else 0.0, -h if h > 0 else 0.0, 0.0, 0.0)


class Landmark(NamedTuple):
    situation: str
    inputs: tuple  # one example, in the order of the signature; KTO's kl stays a plain float
    knobs: dict
    loss: float
    slopes: tuple  # d loss / d (chosen, rejected), or d (response,) for KTO

    def __str__(self):
        return self.situation


SAME = (-12.0, -15.0, -12.0, -15.0)  # policy = reference: h = 0
LOG2, LOG_HALF, LOG_08 = math.log(2), math.log(0.5), math.log(0.8)
S1, S_1, S20, S_20 = (sigma(z) for z in (1, -1, 20, -20))  # 0.7311, 0.2689, almost 1, almost 0
UP, DOWN = True, False
D, E, T = {"beta": 0.1}, {"beta": 0.1, "label_smoothing": 0.2}, {"tau": 0.1}
K, W = {"beta": 0.1}, {"beta": 0.1, "desirable_weight": 1.1, "undesirable_weight": 1.3}
L, S = {"lam": 0.1}, {"beta": 2.0, "gamma": 1.0}

# Columns: situation, inputs, knobs, loss, slopes.
# fmt: off
TABLE = {
    "dpo": [  # −(1−ε) log σ(βh) − ε log σ(−βh)
        ("policy = reference",      SAME,            D,             LOG2,          (-0.05, +0.05)),       # 0.6931
        ("the same, ε = 0.2",       SAME,            E,             LOG2,          (-0.03, +0.03)),       # (1−2ε)β/2
        ("one nat right, β = 1",    margin_of(1),    {"beta": 1.0}, -math.log(S1), (-S_1, +S_1)),         # 0.3133
        ("two nats right, β = 1/2", margin_of(2),    {"beta": 0.5}, -math.log(S1), (-S_1 / 2, S_1 / 2)),  # the same βh
        ("far on the wrong side",   margin_of(-1e4), D,             1000.0,        (-0.1, +0.1)),         # −βh, slope β
        ("far on the right side",   margin_of(1e4),  D,             0.0,           (0.0, 0.0)),           # e⁻¹⁰⁰⁰
        ("far right, ε = 0.2",      margin_of(1e4),  E,             200.0,         (+0.02, -0.02)),       # εβh
    ],
    "ipo": [  # (h − 1/(2τ))²
        ("policy = reference",          SAME,            T,            25.0,        (-10.0, +10.0)),      # (0 − 5)²
        ("at the target 1/(2τ)",        margin_of(5),    T,            0.0,         (0.0, 0.0)),          # rests there
        ("beyond the target",           margin_of(7),    T,            4.0,         (+4.0, -4.0)),        # pulled back
        ("policy = reference, τ = 1/2", SAME,            {"tau": 0.5}, 1.0,         (-2.0, +2.0)),        # target 1
        ("far on the wrong side",       margin_of(-1e4), T,            10_005.0**2, (-20_010, +20_010)),  # 2(h − 5)
    ],
    "kto": [  # λ (1 − σ(±β(r − z₀)))
        ("policy = reference, up",   (-12, -12, UP, 0),    K, 0.5,  (-0.025,)),             # slope β/4
        ("policy = reference, down", (-12, -12, DOWN, 0),  K, 0.5,  (+0.025,)),             # the other way
        ("λ_D = 1.1",                (-12, -12, UP, 0),    W, 0.55, (-0.0275,)),            # 1.1 times the first
        ("λ_U = 1.3",                (-12, -12, DOWN, 0),  W, 0.65, (+0.0325,)),            # 1.3 times the second
        ("r = z₀ = 2",               (-10, -12, UP, 2),    K, 0.5,  (-0.025,)),             # only r − z₀ counts
        ("10 nats below z₀, up",     (-12, -12, UP, 10),   K, S1,   (-0.1 * S1 * S_1,)),    # 0.7311
        ("10 nats below z₀, down",   (-12, -12, DOWN, 10), K, S_1,  (+0.1 * S1 * S_1,)),    # 0.2689
        ("far wrong, up",            (-1e4, 0, UP, 0),     K, 1.0,  (0.0,)),                # gives up
        ("far wrong, down",          (0, -1e4, DOWN, 0),   K, 1.0,  (0.0,)),                # gives up
        ("far right, z = 20",        (-1, -201, UP, 0),    K, S_20, (-0.1 * S_20 * S20,)),  # every digit of e⁻²⁰
    ],
    "orpo": [  # NLL − λ log σ(log odds_w − log odds_l); d log odds / d log P = 1 / (1 − P)
        ("even odds on both sides", (LOG_HALF, LOG_HALF, 0),   L,            0.1 * LOG2,       (-0.1, +0.1)),  # 0.0693
        ("beside an NLL of 0.7",    (LOG_HALF, LOG_HALF, 0.7), L,            0.7 + 0.1 * LOG2, (-0.1, +0.1)),  # 0.7693
        ("odds 4 against 1, λ = 1", (LOG_08, LOG_HALF, 0),     {"lam": 1.0}, math.log(1.25),   (-1.0, +0.4)),  # log 5/4
        ("far on the wrong side",   (-1e4, LOG_HALF, 0),       L,            1000.0,           (-0.1, +0.2)),  # λ · 1e4
        ("λ = 0",                   (-3, -1, 0.7),             {"lam": 0.0}, 0.7,              (0.0, 0.0)),    # NLL
    ],
    "simpo": [  # −log σ(β(chosen − rejected) − γ)
        ("equal log-probs",       (-1, -1),   S, -math.log(S_1), (-2 * S1, +2 * S1)),  # 1.3133, ∓1.4621
        ("a gap of γ/β",          (-1, -1.5), S, LOG2,           (-1.0, +1.0)),        # slope β/2
        ("far on the wrong side", (-1e4, 0),  S, 20_001.0,       (-2.0, +2.0)),        # 2e4 + γ
    ],
}
# fmt: on
LANDMARKS = [(method, Landmark(*row)) for method, rows in TABLE.items() for row in rows]
CLOSE = {"rel": 1e-9, "abs": 1e-300}  # relative: e⁻²⁰ must have its digits too


def as_tensor(value):
    """One example's value as a batch of two; a boolean becomes a label."""
    if isinstance(value, bool):
        return torch.full((2,), value)
    return torch.full((2,), value, dtype=torch.float64, requires_grad=True)


def problem(loss, mark):
    """What `loss` gets wrong at a landmark, or None."""
    scalars_from = 3 if len(mark.inputs) > 3 and isinstance(mark.inputs[2], bool) else len(mark.inputs)
    tensors = [as_tensor(value) for value in mark.inputs[:scalars_from]]
    result = loss(*tensors, *mark.inputs[scalars_from:], **mark.knobs)
    losses = getattr(result, "losses", result)
    if not isinstance(losses, torch.Tensor):
        return f"expected a tensor, got {type(losses).__name__}"
    if losses.shape != (2,):
        return f"expected one loss per example, shape (2,), got {tuple(losses.shape)}"
    if losses.tolist() != pytest.approx([mark.loss] * 2, **CLOSE):
        return f"expected {mark.loss}, got {losses.tolist()}"
    if not losses.requires_grad:
        return "the loss has no gradient"
    slopes = torch.autograd.grad(losses.sum(), tensors[: len(mark.slopes)])
    for expected, slope in zip(mark.slopes, slopes, strict=True):
        if slope.tolist() != pytest.approx([expected] * 2, **CLOSE):
            return f"expected slope {expected}, got {slope.tolist()}"
    return None


@pytest.mark.parametrize(("method", "mark"), LANDMARKS, ids=str)
def test_landmark(method, mark):
    assert problem(LOSSES[method], mark) is None


# ---------------------------------------------------------------- mistakes: each must miss a landmark


def h_of(c, r, rc, rr):
    return (c - rc) - (r - rr)


def log_odds(x):
    return x - torch.log1p(-torch.exp(x))


def wrong_odds(x):
    return x - torch.log1p(torch.exp(x))


def moving(x):
    """Zero, with slope 1."""
    return x - x.detach()


def dpo(z, e=0.0):
    return -(1 - e) * F.logsigmoid(z) - e * F.logsigmoid(-z)


def naive_dpo(z, e=0.0):
    return -(1 - e) * torch.log(torch.sigmoid(z)) - e * torch.log(torch.sigmoid(-z))


def robust_dpo(z, e):
    return (-(1 - e) * F.logsigmoid(z) + e * F.logsigmoid(-z)) / (1 - 2 * e)


def kto(z, up, d, u):
    return torch.where(up, d * torch.sigmoid(-z), u * torch.sigmoid(-z))


def rounded_kto(z, up, d, u):
    return torch.where(up, d * (1 - torch.sigmoid(z)), u * (1 - torch.sigmoid(z)))


def float32_kto(z, up, d, u):
    return torch.where(up, d, u) * torch.sigmoid(-z)


def log_kto(z, up, d, u):
    return -torch.where(up, d * F.logsigmoid(z), u * F.logsigmoid(z))


def side(up, value):
    return torch.where(up, value, -value)


# c, r: the policy's log-probs, rc, rr the reference's; KTO's p, r, up, kl; b β, e ε, t τ, d λ_D, u λ_U, g γ.
RIGHT = {
    "dpo": lambda c, r, rc, rr, b, e: dpo(b * h_of(c, r, rc, rr), e),
    "ipo": lambda c, r, rc, rr, t: (h_of(c, r, rc, rr) - 1 / (2 * t)) ** 2,
    "kto": lambda p, r, up, kl, b, d, u: kto(side(up, b * (p - r - kl)), up, d, u),
    "orpo": lambda c, r, nll, lam: nll + lam * dpo(log_odds(c) - log_odds(r)),
    "simpo": lambda c, r, b, g: dpo(b * (c - r) - g),
}
# fmt: off
MISTAKES = {
    "dpo": {
        "sign flipped":               lambda c, r, rc, rr, b, e: dpo(-b * h_of(c, r, rc, rr), e),
        "roles swapped":              lambda c, r, rc, rr, b, e: dpo(b * h_of(r, c, rr, rc), e),
        "reference's roles swapped":  lambda c, r, rc, rr, b, e: dpo(b * h_of(c, r, rr, rc), e),
        "reference ignored":          lambda c, r, rc, rr, b, e: dpo(b * (c - r), e),
        "log(sigmoid(x))":            lambda c, r, rc, rr, b, e: naive_dpo(b * h_of(c, r, rc, rr), e),
        "already averaged":           lambda c, r, rc, rr, b, e: dpo(b * h_of(c, r, rc, rr), e).mean(),
        "divided by the batch size":  lambda c, r, rc, rr, b, e: dpo(b * h_of(c, r, rc, rr), e) / len(c),
        "answers (B, 1)":             lambda c, r, rc, rr, b, e: dpo(b * h_of(c, r, rc, rr), e)[:, None],
        "answers (B, B)":             lambda c, r, rc, rr, b, e: dpo(b * h_of(c, r[:, None], rc, rr[:, None]), e),
        "β outside":                  lambda c, r, rc, rr, b, e: b * dpo(h_of(c, r, rc, rr), e),
        "β on the wrong side":        lambda c, r, rc, rr, b, e: dpo(h_of(c, r, rc, rr) / b, e),
        "ε ignored":                  lambda c, r, rc, rr, b, e: dpo(b * h_of(c, r, rc, rr)),
        "ε as in robust DPO":         lambda c, r, rc, rr, b, e: robust_dpo(b * h_of(c, r, rc, rr), e),
        "a constant":                 lambda c, r, rc, rr, b, e: torch.full_like(c, LOG2),
        "a constant with a gradient": lambda c, r, rc, rr, b, e: LOG2 - 0.05 * moving(c) + 0.05 * moving(r),
        "truthy, no tensor":          lambda c, r, rc, rr, b, e: "a loss",
        "no gradient":                lambda c, r, rc, rr, b, e: dpo(b * h_of(c, r, rc, rr), e).detach(),
    },
    "ipo": {
        "sign flipped":               lambda c, r, rc, rr, t: (h_of(c, r, rc, rr) + 1 / (2 * t)) ** 2,
        "roles swapped":              lambda c, r, rc, rr, t: (h_of(r, c, rr, rc) - 1 / (2 * t)) ** 2,
        "reference ignored":          lambda c, r, rc, rr, t: (c - r - 1 / (2 * t)) ** 2,
        "τ/2 for 1/(2τ)":             lambda c, r, rc, rr, t: (h_of(c, r, rc, rr) - t / 2) ** 2,
        "1/τ for 1/(2τ)":             lambda c, r, rc, rr, t: (h_of(c, r, rc, rr) - 1 / t) ** 2,
        "τ inside":                   lambda c, r, rc, rr, t: (t * h_of(c, r, rc, rr) - 1 / 2) ** 2,
        "hinged: never pulls back":   lambda c, r, rc, rr, t: torch.relu(1 / (2 * t) - h_of(c, r, rc, rr)) ** 2,
        "not squared":                lambda c, r, rc, rr, t: (h_of(c, r, rc, rr) - 1 / (2 * t)).abs(),
        "already averaged":           lambda c, r, rc, rr, t: ((h_of(c, r, rc, rr) - 1 / (2 * t)) ** 2).mean(),
    },
    "kto": {
        "sign flipped":               lambda p, r, up, kl, b, d, u: kto(side(~up, b * (p - r - kl)), up, d, u),
        "reference ignored":          lambda p, r, up, kl, b, d, u: kto(side(up, b * (p - kl)), up, d, u),
        "−log σ":                     lambda p, r, up, kl, b, d, u: log_kto(side(up, b * (p - r - kl)), up, d, u),
        "1 − sigmoid(z)":             lambda p, r, up, kl, b, d, u: rounded_kto(side(up, b * (p - r - kl)), up, d, u),
        "kl ignored":                 lambda p, r, up, kl, b, d, u: kto(side(up, b * (p - r)), up, d, u),
        "kl taken off both sides":    lambda p, r, up, kl, b, d, u: kto(b * (side(up, p - r) - kl), up, d, u),
        "β inside r and outside":     lambda p, r, up, kl, b, d, u: kto(side(up, b * (b * (p - r) - kl)), up, d, u),
        "β on r, not on kl":          lambda p, r, up, kl, b, d, u: kto(side(up, b * (p - r) - kl), up, d, u),
        "weights swapped":            lambda p, r, up, kl, b, d, u: kto(side(up, b * (p - r - kl)), up, u, d),
        "weights ignored":            lambda p, r, up, kl, b, d, u: kto(side(up, b * (p - r - kl)), up, 1, 1),
        "weights in float32":         lambda p, r, up, kl, b, d, u: float32_kto(side(up, b * (p - r - kl)), up, d, u),
        "already averaged":           lambda p, r, up, kl, b, d, u: kto(side(up, b * (p - r - kl)), up, d, u).mean(),
    },
    "orpo": {
        "sign flipped":               lambda c, r, nll, lam: nll - lam * F.logsigmoid(log_odds(r) - log_odds(c)),
        "ratio of probabilities":     lambda c, r, nll, lam: nll - lam * F.logsigmoid(c - r),
        "1 + P for 1 − P":            lambda c, r, nll, lam: nll - lam * F.logsigmoid(wrong_odds(c) - wrong_odds(r)),
        "odds, not their log":        lambda c, r, nll, lam: nll + lam * dpo(torch.exp(log_odds(c) - log_odds(r))),
        "no NLL":                     lambda c, r, nll, lam: -lam * F.logsigmoid(log_odds(c) - log_odds(r)),
        "λ on the NLL":               lambda c, r, nll, lam: lam * nll - F.logsigmoid(log_odds(c) - log_odds(r)),
        "log(sigmoid(x))":            lambda c, r, nll, lam: nll + lam * naive_dpo(log_odds(c) - log_odds(r)),
    },
    "simpo": {
        "sign flipped":               lambda c, r, b, g: -F.logsigmoid(-(b * (c - r) - g)),
        "roles swapped":              lambda c, r, b, g: -F.logsigmoid(b * (r - c) - g),
        "γ for γ/β":                  lambda c, r, b, g: -F.logsigmoid(b * (c - r - g)),
        "γ/β for γ":                  lambda c, r, b, g: -F.logsigmoid(b * (c - r) - g / b),
        "γ added":                    lambda c, r, b, g: -F.logsigmoid(b * (c - r) + g),
        "γ ignored":                  lambda c, r, b, g: -F.logsigmoid(b * (c - r)),
        "β ignored":                  lambda c, r, b, g: -F.logsigmoid(c - r - g),
        "log(sigmoid(x))":            lambda c, r, b, g: naive_dpo(b * (c - r) - g),
        "already averaged":           lambda c, r, b, g: -F.logsigmoid(b * (c - r) - g).mean(),
    },
}
# fmt: on
# "Averaged where summed" is a mistake in the log-probs: see test_logps.


def with_signature_of(loss, formula):
    """`formula`, all positional, called the way `loss` is: hyper-parameters by name, with its defaults."""
    signature = inspect.signature(loss)

    def mistaken(*tensors, **knobs):
        call = signature.bind(*tensors, **knobs)
        call.apply_defaults()
        return formula(*call.args, *call.kwargs.values())

    return mistaken


@pytest.mark.parametrize("method", RIGHT)
def test_the_formula_without_a_mistake_meets_every_landmark(method):
    right = with_signature_of(LOSSES[method], RIGHT[method])
    assert not any(problem(right, mark) for m, mark in LANDMARKS if m == method)


@pytest.mark.parametrize(("method", "name"), [(m, name) for m, table in MISTAKES.items() for name in table])
def test_a_mistake_misses_a_landmark(method, name):
    mistaken = with_signature_of(LOSSES[method], MISTAKES[method][name])
    assert any(problem(mistaken, mark) for m, mark in LANDMARKS if m == method)


# ---------------------------------------------------------------- KTO's reference point is a constant


def reference_point_problem(loss, reference_point):
    """What is wrong with a pair of KTO loss and reference point, or None."""
    policy, reference = as_tensor(-8.0), as_tensor(-10.0)
    kl = reference_point(policy, reference)
    if kl.shape != () or kl.item() != pytest.approx(2.0):
        return f"expected 2, got {kl}"
    if reference_point(reference, policy).item() != 0.0:
        return "a negative mean must be clamped to 0"
    uneven = torch.tensor([-6.0, -12.0]), torch.tensor([-10.0, -10.0])
    if reference_point(*uneven).item() != 1.0:  # max(0, mean(+4, −2))
        return "the mean is clamped, not its terms"
    result = loss(as_tensor(-9.0), as_tensor(-9.0), as_tensor(UP), kl)
    losses = getattr(result, "losses", result)
    if torch.autograd.grad(losses.sum(), policy, allow_unused=True)[0] is not None:
        return "a gradient flows through kl"
    return None


LIVE_KTO = with_signature_of(kto_loss, RIGHT["kto"])  # lets a gradient through kl


def test_reference_point():
    assert reference_point_problem(kto_loss, kto_reference_point) is None
    assert reference_point_problem(LIVE_KTO, kto_reference_point) is None  # either of the two detaches


@pytest.mark.parametrize(
    "mistaken",
    [
        lambda p, r: (p - r).mean().clamp(min=0),  # gradient through kl
        lambda p, r: (p - r).mean().detach(),  # not clamped
        lambda p, r: (p - r).clamp(min=0).mean().detach(),  # each term clamped
        lambda p, r: (p - r).sum().clamp(min=0).detach(),  # summed
        lambda p, r: (p - r).mean().abs().detach(),  # |·| for max(0, ·)
        lambda p, r: (p.exp() * (p - r)).mean().clamp(min=0).detach(),  # weighted by the policy once more
    ],
)
def test_a_mistaken_reference_point_is_caught(mistaken):
    assert reference_point_problem(LIVE_KTO, mistaken)


def test_kl_is_a_constant_even_when_it_arrives_with_a_gradient():
    kl = torch.tensor(0.5, requires_grad=True)
    policy = torch.tensor([-3.0], requires_grad=True)
    losses = kto_loss(policy, torch.tensor([-4.0]), torch.tensor([True]), kl).losses
    assert torch.autograd.grad(losses.sum(), kl, allow_unused=True)[0] is None


# ---------------------------------------------------------------- high precision


def mp_log_sigma(z):
    return -mpmath.log1p(mpmath.exp(-z))


def mp_sigma(z):
    return 1 / (1 + mpmath.exp(-z))


def exactly(*values):
    """The floats as exact high-precision numbers."""
    return [mpmath.mpf(value) for value in values]


def mp_dpo(pc, pr, rc, rr, beta, e):
    pc, pr, rc, rr, beta, e = exactly(pc, pr, rc, rr, beta, e)
    z = beta * h_of(pc, pr, rc, rr)
    slope = -(1 - e) * beta * mp_sigma(-z) + e * beta * mp_sigma(z)
    return -(1 - e) * mp_log_sigma(z) - e * mp_log_sigma(-z), slope, -slope


def mp_ipo(pc, pr, rc, rr, tau):
    pc, pr, rc, rr, tau = exactly(pc, pr, rc, rr, tau)
    gap = h_of(pc, pr, rc, rr) - 1 / (2 * tau)
    return gap**2, 2 * gap, -2 * gap


def mp_kto(p, r, up, kl, beta, d, u):
    p, r, kl, beta, weight = exactly(p, r, kl, beta, d if up else u)
    sign = 1 if up else -1
    z = sign * beta * (p - r - kl)
    return weight * (1 - mp_sigma(z)), -sign * weight * beta * mp_sigma(z) * mp_sigma(-z)


def mp_orpo(pc, pr, nll, lam):
    pc, pr, nll, lam = exactly(pc, pr, nll, lam)
    ratio = (pc - mpmath.log(-mpmath.expm1(pc))) - (pr - mpmath.log(-mpmath.expm1(pr)))
    push = lam * mp_sigma(-ratio)
    return nll - lam * mp_log_sigma(ratio), push / mpmath.expm1(pc), -push / mpmath.expm1(pr)


def mp_simpo(c, r, beta, gamma):
    c, r, beta, gamma = exactly(c, r, beta, gamma)
    z = beta * (c - r) - gamma
    return -mp_log_sigma(z), -beta * mp_sigma(-z), beta * mp_sigma(-z)


def assert_close_to_exact(tensors, losses, exact):
    """Loss and slopes within 1e-9, relative, or absolute where the value is smaller than 1."""
    slopes = torch.autograd.grad(losses, tensors[: len(exact) - 1])
    got = [losses.item(), *(slope.item() for slope in slopes)]
    assert got == pytest.approx([float(value) for value in exact], rel=1e-9, abs=1e-9)


def scalars(*values):
    return [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in values]


precise = settings(max_examples=300, deadline=None, derandomize=True)
LOGP = st.floats(-1e4, 0.0) | st.floats(-30.0, 0.0)
SMALLEST = 1e-300  # below it the gradient no longer fits float64, and the library holds it back
AVERAGED_LOGP = st.floats(-1e4, -SMALLEST) | st.floats(-3.0, -SMALLEST) | st.floats(-20, 300).map(lambda e: -(10.0**-e))
AVERAGED_LOGP = AVERAGED_LOGP.filter(lambda x: -1e4 <= x <= -SMALLEST)
STRENGTH = st.floats(0.01, 10.0)  # β and τ
WEIGHT = st.floats(0.0, 10.0)  # λ, λ_D, λ_U, γ
SMOOTHING = st.floats(0.0, 0.49)
KL = st.floats(0.0, 1e4) | st.floats(0.0, 30.0)


@pytest.fixture(autouse=True, scope="module")
def fifty_digits():
    with mpmath.workdps(50):
        yield


@precise
@given(LOGP, LOGP, LOGP, LOGP, STRENGTH, SMOOTHING)
def test_dpo_to_nine_digits(pc, pr, rc, rr, beta, smoothing):
    tensors = scalars(pc, pr, rc, rr)
    losses = dpo_loss(*tensors, beta=beta, label_smoothing=smoothing).losses
    assert_close_to_exact(tensors, losses, mp_dpo(pc, pr, rc, rr, beta, smoothing))


@precise
@given(LOGP, LOGP, LOGP, LOGP, STRENGTH)
def test_ipo_to_nine_digits(pc, pr, rc, rr, tau):
    tensors = scalars(pc, pr, rc, rr)
    assert_close_to_exact(tensors, ipo_loss(*tensors, tau=tau).losses, mp_ipo(pc, pr, rc, rr, tau))


@precise
@given(LOGP, LOGP, st.booleans(), KL, STRENGTH, WEIGHT, WEIGHT)
def test_kto_to_nine_digits(p, r, up, kl, beta, d, u):
    tensors = scalars(p, r)
    result = kto_loss(*tensors, torch.tensor(up), kl, beta=beta, desirable_weight=d, undesirable_weight=u)
    assert_close_to_exact(tensors, result.losses, mp_kto(p, r, up, kl, beta, d, u))


@precise
@given(AVERAGED_LOGP, AVERAGED_LOGP, st.floats(0.0, 1e4), WEIGHT)
@example(-1e-17, -1.0, 0.0, 1.0)  # 1 − exp(x) rounds to 0 here
@example(-40.0, -1e-300, 0.0, 1.0)
@example(-LOG2, -LOG2, 0.0, 1.0)  # where the two branches of log(1 − eˣ) meet
def test_orpo_to_nine_digits(pc, pr, nll, lam):
    tensors = scalars(pc, pr, nll)
    assert_close_to_exact(tensors, orpo_loss(*tensors, lam=lam).losses, mp_orpo(pc, pr, nll, lam))


@precise
@given(LOGP, LOGP, STRENGTH, WEIGHT)
def test_simpo_to_nine_digits(c, r, beta, gamma):
    tensors = scalars(c, r)
    losses = simpo_loss(*tensors, beta=beta, gamma=gamma).losses
    assert_close_to_exact(tensors, losses, mp_simpo(c, r, beta, gamma))


@precise
@given(st.lists(st.tuples(LOGP, LOGP), min_size=1, max_size=9))
def test_reference_point_to_nine_digits(pairs):
    policy, reference = torch.tensor(pairs, dtype=torch.float64).T
    exact = sum(mpmath.mpf(p) - mpmath.mpf(r) for p, r in pairs) / len(pairs)
    assert kto_reference_point(policy, reference).item() == pytest.approx(float(max(0, exact)), rel=1e-9, abs=1e-9)


# ---------------------------------------------------------------- finite everywhere

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
robust = settings(max_examples=150, deadline=None, derandomize=True)
TINY32, TINY64 = (torch.finfo(dtype).tiny for dtype in (torch.float32, torch.float64))
# Zero, the smallest steps below it in either dtype, and both ends of the range.
EDGES = st.sampled_from([0.0, -0.0, -5e-324, -1e-310, -1e-45, -1e-38, -2e-37, -6e-8, -1e-7, -LOG2, -17.0, -104.0, -1e4])
ANY_LOGP = st.floats(-1e4, 0.0) | EDGES
ROWS = st.lists(st.tuples(ANY_LOGP, ANY_LOGP, ANY_LOGP, ANY_LOGP), min_size=1, max_size=8)


def columns(rows, dtype):
    """The columns of a list of rows, as leaf tensors."""
    return [torch.tensor(column, dtype=dtype, requires_grad=True) for column in zip(*rows, strict=True)]


def assert_finite(result, tensors, dtype):
    slopes = torch.autograd.grad(result.losses.sum(), tensors)
    for tensor in (*result, *slopes):
        assert tensor.dtype == dtype
        assert torch.isfinite(tensor).all(), tensor


@DTYPES
@robust
@given(rows=ROWS, strength=STRENGTH, weight=WEIGHT, smoothing=SMOOTHING)
@example(rows=[(-TINY32,) * 4], strength=10.0, weight=10.0, smoothing=0.0)  # 1 / tiny fits the dtype, 5 / tiny does not
@example(rows=[(-TINY64,) * 4], strength=10.0, weight=10.0, smoothing=0.0)
def test_pair_losses_are_finite_with_finite_gradients(dtype, rows, strength, weight, smoothing):
    tensors = columns(rows, dtype)
    assert_finite(dpo_loss(*tensors, beta=strength, label_smoothing=smoothing), tensors, dtype)
    assert_finite(ipo_loss(*tensors, tau=strength), tensors, dtype)
    assert_finite(simpo_loss(*tensors[:2], beta=strength, gamma=weight), tensors[:2], dtype)
    assert_finite(orpo_loss(*tensors[:2], -tensors[2], lam=weight), tensors[:3], dtype)


@DTYPES
@robust
@given(rows=ROWS, labels=st.lists(st.booleans(), min_size=8, max_size=8), beta=STRENGTH, weight=WEIGHT)
@example(rows=[(0.0, -1e4, 0.0, -1e4)] * 3, labels=[True] * 8, beta=10.0, weight=10.0)  # one side only
@example(rows=[(0.0, -1e4, 0.0, -1e4)] * 3, labels=[False] * 8, beta=10.0, weight=10.0)
@example(rows=[(0.0, -1e4, -1e4, 0.0)] * 3, labels=[False] * 8, beta=10.0, weight=10.0)  # negative mean
def test_kto_is_finite_with_finite_gradients(dtype, rows, labels, beta, weight):
    policy, reference, policy_kl, reference_kl = columns(rows, dtype)
    kl = kto_reference_point(policy_kl, reference_kl)
    assert kl.shape == () and kl >= 0 and not kl.requires_grad
    up = torch.tensor(labels[: len(rows)])
    result = kto_loss(policy, reference, up, kl, beta=beta, desirable_weight=weight, undesirable_weight=weight)
    assert_finite(result, [policy, reference], dtype)


@DTYPES
def test_orpo_at_certainty(dtype):
    """Averaged log-probs of exactly 0, which float32 reaches: the loss stays finite and ordered."""
    certain, doubtful, nll = (torch.tensor([x], dtype=dtype) for x in (0.0, -1.0, 0.0))
    right = orpo_loss(certain, doubtful, nll, lam=1.0).losses
    even = orpo_loss(certain, certain, nll, lam=1.0).losses
    wrong = orpo_loss(doubtful, certain, nll, lam=1.0).losses
    assert 0 <= right.item() < 1e-30
    assert even.item() == pytest.approx(LOG2)
    assert 80 < wrong.item() < 750


@pytest.mark.parametrize("logp", [-1e-6, -1.1e-3, -0.01, -0.3, -LOG2, -0.7, -3.0, -16.0, -90.0])
def test_orpo_keeps_its_digits_in_float32(logp):
    """On both sides of the seam of log(1 − eˣ): the same float32 number, answered in float32 and in float64."""
    single = [torch.tensor([x]) for x in (-1.0, logp, 0.0)]
    double = [tensor.double() for tensor in single]
    got, exact = (orpo_loss(*tensors, lam=1.0).losses.item() for tensors in (single, double))
    assert got == pytest.approx(exact, rel=1e-6)


def test_kto_batches_of_one_side():
    policy, reference = torch.tensor([-3.0, -5.0], requires_grad=True), torch.tensor([-4.0, -4.0])
    up = kto_loss(policy, reference, torch.tensor([True, True]), 0.5, beta=1.0).losses
    down = kto_loss(policy, reference, torch.tensor([False, False]), 0.5, beta=1.0).losses
    assert (torch.autograd.grad(up.sum(), policy)[0] < 0).all()
    assert (torch.autograd.grad(down.sum(), policy)[0] > 0).all()


# ---------------------------------------------------------------- symmetries and limits

symmetric = settings(max_examples=60, deadline=None, derandomize=True)
SMALL = st.floats(-30.0, -0.01)


def value(result):
    return result.losses.item()


@symmetric
@given(SMALL, SMALL, SMALL, SMALL, STRENGTH)
def test_swapping_the_roles_mirrors_the_loss(pc, pr, rc, rr, k):
    """ℓ(z) and ℓ(−z) differ by z for the logistic losses, and by 4h/(2τ) for IPO."""
    pc, pr, rc, rr = scalars(pc, pr, rc, rr)
    h = h_of(pc, pr, rc, rr).item()
    close = partial(pytest.approx, rel=1e-9, abs=1e-9)
    assert value(dpo_loss(pr, pc, rr, rc, beta=k)) - value(dpo_loss(pc, pr, rc, rr, beta=k)) == close(k * h)
    assert value(ipo_loss(pr, pc, rr, rc, tau=k)) - value(ipo_loss(pc, pr, rc, rr, tau=k)) == close(2 * h / k)
    gap = (pc - pr).item()
    swap = value(simpo_loss(pr, pc, beta=k, gamma=0.0)) - value(simpo_loss(pc, pr, beta=k, gamma=0.0))
    assert swap == close(k * gap)
    nll = torch.zeros_like(pc)
    odds_gap = log_odds(pc).item() - log_odds(pr).item()
    assert value(orpo_loss(pr, pc, nll, lam=k)) - value(orpo_loss(pc, pr, nll, lam=k)) == close(k * odds_gap)


@symmetric
@given(SMALL, SMALL, SMALL, SMALL, st.floats(-30.0, 30.0))
def test_a_constant_on_policy_and_reference_alike_changes_nothing(pc, pr, rc, rr, shift):
    pc, pr, rc, rr = scalars(pc, pr, rc, rr)
    close = partial(pytest.approx, rel=1e-9, abs=1e-9)
    for loss in (dpo_loss, ipo_loss):
        assert value(loss(pc + shift, pr, rc + shift, rr)) == close(value(loss(pc, pr, rc, rr)))
        assert value(loss(pc, pr + shift, rc, rr + shift)) == close(value(loss(pc, pr, rc, rr)))
        assert value(loss(pc + shift, pr + shift, rc, rr)) == close(value(loss(pc, pr, rc, rr)))  # only h counts
    up = torch.tensor(True)
    assert value(kto_loss(pc + shift, rc + shift, up, 0.5)) == close(value(kto_loss(pc, rc, up, 0.5)))
    assert value(simpo_loss(pc + shift, pr + shift)) == close(value(simpo_loss(pc, pr)))


@symmetric
@given(SMALL, SMALL, st.floats(0.0, 30.0), STRENGTH)
def test_kto_splits_one_between_thumbs_up_and_down(p, r, kl, beta):
    p, r = scalars(p, r)
    up, down = (value(kto_loss(p, r, torch.tensor(label), kl, beta=beta)) for label in (True, False))
    assert up + down == pytest.approx(1.0, rel=1e-12)


@symmetric
@given(SMALL, SMALL, SMALL, SMALL, STRENGTH, SMOOTHING)
def test_smoothing_mixes_the_two_labels(pc, pr, rc, rr, beta, e):
    pc, pr, rc, rr = scalars(pc, pr, rc, rr)
    mix = (1 - e) * value(dpo_loss(pc, pr, rc, rr, beta=beta)) + e * value(dpo_loss(pr, pc, rr, rc, beta=beta))
    smoothed = value(dpo_loss(pc, pr, rc, rr, beta=beta, label_smoothing=e))
    assert smoothed == pytest.approx(mix, rel=1e-9, abs=1e-12)


@symmetric
@given(SMALL, SMALL, STRENGTH)
def test_length_one_without_a_reference_is_dpo(c, r, beta):
    """For one token sum and average agree; SimPO with γ = 0 is then DPO against a uniform reference."""
    c, r = scalars(c, r)
    uniform = torch.full_like(c, -3.0)
    assert value(simpo_loss(c, r, beta=beta, gamma=0.0)) == pytest.approx(
        value(dpo_loss(c, r, uniform, uniform, beta=beta)), rel=1e-9
    )


def test_equal_responses_push_nowhere():
    """The same response on both sides: the two slopes cancel, so the model does not move."""
    same, reference = scalars(-7.0, -9.0)
    nll = torch.zeros_like(same)
    for losses in (
        dpo_loss(same, same, reference, reference).losses,
        ipo_loss(same, same, reference, reference).losses,
        simpo_loss(same, same).losses,
        orpo_loss(same, same, nll).losses,
    ):
        assert torch.autograd.grad(losses, same)[0].item() == pytest.approx(0.0, abs=1e-15)


def test_a_larger_beta_or_tau_stays_closer_to_the_reference():
    """DPO, KTO: what matters is β·h, so twice β asks for half the margin. IPO: the margin stops at 1/(2τ)."""
    up = torch.tensor(True)
    assert value(dpo_loss(*scalars(*margin_of(4.0)), beta=0.1)) == value(dpo_loss(*scalars(*margin_of(2.0)), beta=0.2))
    assert value(kto_loss(*scalars(0.0, -4.0), up, 0.0, beta=0.1)) == value(
        kto_loss(*scalars(0.0, -2.0), up, 0.0, beta=0.2)
    )
    for tau in (0.1, 0.5, 1.0, 10.0):
        tensors = scalars(*margin_of(1 / (2 * tau)))
        result = ipo_loss(*tensors, tau=tau)
        assert value(result) == pytest.approx(0.0, abs=1e-20)
        assert torch.autograd.grad(result.losses, tensors[0])[0].item() == pytest.approx(0.0, abs=1e-12)


def test_dpo_never_stops_and_ipo_does():
    """DPO's slope stays negative however wide the margin; IPO's turns round at its target."""
    for h in (1.0, 5.0, 20.0, 100.0):
        chosen, *rest = scalars(*margin_of(h))
        assert torch.autograd.grad(dpo_loss(chosen, *rest, beta=0.1).losses, chosen)[0] < 0
        slope = torch.autograd.grad(ipo_loss(chosen, *rest, tau=0.1).losses, chosen)[0].item()
        assert math.copysign(1, slope) == (-1 if h < 5 else 1) or h == 5.0


def test_orpo_on_summed_log_probs_is_a_ratio_of_probabilities():
    """P ≈ 0 makes odds ≈ P: the (1 − P) part, which is ORPO's own, is gone."""
    chosen, rejected, nll = scalars(-80.0, -81.0, 0.0)
    assert value(orpo_loss(chosen, rejected, nll, lam=1.0)) == pytest.approx(math.log1p(math.exp(-1)), rel=1e-12)


def test_orpo_weighs_the_nll_once():
    chosen, rejected, nll = scalars(-1.0, -2.0, 1.0)
    assert torch.autograd.grad(orpo_loss(chosen, rejected, nll, lam=0.3).losses, nll)[0].item() == 1.0


def test_a_wider_simpo_margin_costs_more():
    tensors = scalars(-1.0, -1.2)
    costs = [value(simpo_loss(*tensors, gamma=gamma)) for gamma in (0.0, 0.5, 1.0, 5.0)]
    assert costs == sorted(costs) and len(set(costs)) == 4


# ---------------------------------------------------------------- rewards


def test_rewards_are_the_logged_ones_and_carry_no_gradient():
    pc, pr, rc, rr = scalars(-1.0, -4.0, -3.0, -3.5)
    up = torch.tensor(True)
    expected = {
        dpo_loss(pc, pr, rc, rr, beta=0.5): (1.0, -0.25),
        ipo_loss(pc, pr, rc, rr, tau=0.5): (1.0, -0.25),
        orpo_loss(pc, pr, -pc, lam=0.5): (-0.5, -2.0),
        simpo_loss(pc, pr, beta=2.0): (-2.0, -8.0),
        kto_loss(pc, rc, up, 0.7, beta=0.5): (1.0,),  # without z₀
    }
    for result, rewards in expected.items():
        assert tuple(reward.item() for reward in result[1:]) == rewards
        assert not any(reward.requires_grad for reward in result[1:])
        assert result.losses.requires_grad


# ---------------------------------------------------------------- transforms: nothing looks at values

PAIR = (-3.0, -5.0, -4.0, -4.5)


def loss_of_four(name, pc, pr, rc, rr):
    """Each loss as a function of four tensors, for the transforms."""
    if name == "kto":
        return kto_loss(pc, rc, pc > pr, kto_reference_point(pr, rr)).losses
    if name == "orpo":
        return orpo_loss(pc, pr, -pc).losses
    if name == "simpo":
        return simpo_loss(pc, pr).losses
    return {"dpo": partial(dpo_loss, label_smoothing=0.1), "ipo": ipo_loss}[name](pc, pr, rc, rr).losses


FIVE = pytest.mark.parametrize("name", ["dpo", "ipo", "kto", "orpo", "simpo"])


def four_columns():
    return [torch.tensor([x, x - 1.0, x + 0.5], dtype=torch.float64) for x in PAIR]


@FIVE
def test_vmap_and_grad(name):
    """A gradient per example by `torch.func` is the batch gradient, example by example."""
    tensors = four_columns()
    per_example = torch.func.vmap(torch.func.grad(partial(loss_of_four, name)))(*tensors)
    for i in range(3):
        single = [tensor[i].clone().requires_grad_() for tensor in tensors]
        expected = torch.autograd.grad(loss_of_four(name, *single), single[0])[0]
        torch.testing.assert_close(per_example[i], expected)


@FIVE
def test_gradcheck(name):
    tensors = [tensor.requires_grad_() for tensor in four_columns()]
    if name == "kto":  # z₀ is a constant on purpose, so its finite difference is not its gradient
        fixed = [tensor.detach() for tensor in tensors]
        assert torch.autograd.gradcheck(lambda p: loss_of_four("kto", p, *fixed[1:]), tensors[:1])
    else:
        assert torch.autograd.gradcheck(partial(loss_of_four, name), tensors)


@FIVE
def test_compiles_without_a_graph_break(name):
    torch._dynamo.reset()
    compiled = torch.compile(partial(loss_of_four, name), fullgraph=True, backend="aot_eager")
    plain, traced = ([t.clone().requires_grad_() for t in four_columns()] for _ in range(2))
    expected, got = loss_of_four(name, *plain), compiled(*traced)
    torch.testing.assert_close(got, expected)
    expected.sum().backward()
    got.sum().backward()
    torch.testing.assert_close(traced[0].grad, plain[0].grad)


@FIVE
def test_runs_without_values(name):
    """On the meta device a tensor has a shape and no values: whoever looks at one fails, as under CUDA graphs."""
    tensors = [torch.empty(3, device="meta") for _ in range(4)]
    assert loss_of_four(name, *tensors).shape == (3,)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 3)], ids=str)
def test_any_shape_is_kept(shape):
    tensors = [torch.full(shape, -1.0) for _ in range(4)]
    for name in ("dpo", "ipo", "orpo", "simpo"):
        assert loss_of_four(name, *tensors).shape == shape
    assert kto_loss(tensors[0], tensors[1], torch.ones(shape, dtype=torch.bool), 0.0).losses.shape == shape


# ---------------------------------------------------------------- errors at the boundary

ROW = torch.tensor([-1.0, -2.0])
UPS = torch.tensor([True, False])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        # what came in                                                     what the message must name
        (lambda: dpo_loss(ROW, ROW[:, None], ROW, ROW), r"policy_rejected_logps.*\(2,\), got \(2, 1\)"),
        (lambda: ipo_loss(ROW, ROW, ROW[:, None], ROW), r"reference_chosen_logps.*\(2,\), got \(2, 1\)"),
        (lambda: orpo_loss(ROW, ROW, ROW.mean()), r"chosen_nll.*\(2,\), got \(\)"),
        (lambda: simpo_loss(ROW, ROW[:1]), r"policy_rejected_logps.*\(2,\), got \(1,\)"),
        (lambda: kto_loss(ROW, ROW[:, None], UPS, 0.0), r"reference_logps.*\(2,\), got \(2, 1\)"),
        (lambda: kto_loss(ROW, ROW, UPS[:, None], 0.0), r"desirable.*\(2,\), got \(2, 1\)"),
        (lambda: kto_loss(ROW, ROW, UPS, ROW), r"kl.*one scalar.*\(2,\).*kto_reference_point"),
        (lambda: kto_reference_point(ROW, ROW[:, None]), r"reference_kl_logps.*\(2,\), got \(2, 1\)"),
        (lambda: dpo_loss(ROW.long(), ROW, ROW, ROW), r"policy_chosen_logps.*floating-point.*int64.*token ids"),
        (lambda: simpo_loss(-1.0, -2.0), r"policy_chosen_logps.*torch tensor.*float.*torch\.tensor"),
        (lambda: simpo_loss([-1.0], [-2.0]), r"policy_chosen_logps.*torch tensor.*list"),
        (lambda: ipo_loss(ROW, ROW, ROW.double(), ROW), r"reference_chosen_logps.*float32.*float64"),
        (lambda: ipo_loss(ROW, ROW, ROW.to("meta"), ROW), r"reference_chosen_logps.*cpu.*meta"),
        (lambda: kto_loss(ROW, ROW, UPS.long(), 0.0), r"desirable.*boolean.*int64.*labels == 1"),
        (lambda: kto_loss(ROW, ROW, [True, False], 0.0), r"desirable.*boolean.*list"),
        (lambda: dpo_loss(ROW, ROW, ROW, ROW, beta=0.0), r"beta.*\(0, inf\), got 0"),
        (lambda: dpo_loss(ROW, ROW, ROW, ROW, beta=-0.1), r"beta.*\(0, inf\), got -0\.1"),
        (lambda: dpo_loss(ROW, ROW, ROW, ROW, beta=math.inf), r"beta.*finite.*inf"),
        (lambda: dpo_loss(ROW, ROW, ROW, ROW, beta=math.nan), r"beta.*finite.*nan"),
        (lambda: dpo_loss(ROW, ROW, ROW, ROW, beta="0.1"), r"beta.*finite number.*'0\.1'"),
        (lambda: dpo_loss(ROW, ROW, ROW, ROW, beta=True), r"beta.*finite number.*True"),
        (lambda: dpo_loss(ROW, ROW, ROW, ROW, label_smoothing=0.5), r"label_smoothing.*\[0, 0\.5\), got 0\.5"),
        (lambda: dpo_loss(ROW, ROW, ROW, ROW, label_smoothing=-0.1), r"label_smoothing.*\[0, 0\.5\)"),
        (lambda: ipo_loss(ROW, ROW, ROW, ROW, tau=0), r"tau.*\(0, inf\), got 0"),
        (lambda: kto_loss(ROW, ROW, UPS, 0.0, beta=0), r"beta.*\(0, inf\)"),
        (lambda: kto_loss(ROW, ROW, UPS, 0.0, desirable_weight=-1), r"desirable_weight.*\[0, inf\), got -1"),
        (lambda: kto_loss(ROW, ROW, UPS, 0.0, undesirable_weight=-1), r"undesirable_weight.*\[0, inf\), got -1"),
        (lambda: orpo_loss(ROW, ROW, ROW, lam=-0.1), r"lam.*\[0, inf\), got -0\.1"),
        (lambda: simpo_loss(ROW, ROW, beta=0), r"beta.*\(0, inf\)"),
        (lambda: simpo_loss(ROW, ROW, gamma=-1.0), r"gamma.*\[0, inf\), got -1"),
    ],
)
def test_bad_input_is_refused_with_a_message_that_helps(call, says):
    with pytest.raises(ValueError, match=says):
        call()


@pytest.mark.parametrize(
    ("loss", "inputs", "misspelt"),
    [
        (dpo_loss, 4, {"bata": 0.1}),
        (ipo_loss, 4, {"beta": 0.1}),  # IPO's strength is tau here
        (orpo_loss, 3, {"beta": 0.1}),  # ORPO's weight is lam here
        (simpo_loss, 2, {"gamma_beta_ratio": 0.5}),
    ],
)
def test_a_misspelt_hyperparameter_is_refused(loss, inputs, misspelt):
    with pytest.raises(TypeError, match=next(iter(misspelt))):
        loss(*[ROW] * inputs, **misspelt)


def test_hyperparameters_are_keyword_only():
    with pytest.raises(TypeError):
        dpo_loss(ROW, ROW, ROW, ROW, 0.1)


@pytest.mark.parametrize("ok", [1, 0.5, torch.tensor(0.5).item()])
def test_whole_numbers_are_numbers(ok):
    assert torch.isfinite(dpo_loss(ROW, ROW, ROW, ROW, beta=ok).losses).all()


def test_every_loss_of_the_library_is_in_this_file():
    public = {name for name in vars(library) if name.endswith("_loss")}
    assert public == {loss.__name__ for loss in LOSSES.values()}
