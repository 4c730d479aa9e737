"""Exercise 5: each check accepts the solution and rejects every typical mistake for its own reason."""

import pytest
import torch

from lessons_lib.lessons.lesson05.checks import check_averaged_tau, check_ipo_loss, check_tau_for_margin


def ipo(pc, pr, rc, rr, tau):
    h = (pc - rc) - (pr - rr)
    return (h - 1 / (2 * tau)) ** 2


def test_the_solution_passes():
    assert check_ipo_loss(ipo)
    assert check_tau_for_margin(lambda margin: 1 / (2 * margin))
    assert check_averaged_tau(lambda tau, length: tau * length)


IPO_MISTAKES = {
    "chosen and rejected swapped": lambda pc, pr, rc, rr, tau: ipo(pr, pc, rr, rc, tau),
    "sign flipped": lambda pc, pr, rc, rr, tau: -ipo(pc, pr, rc, rr, tau),
    "reference ignored": lambda pc, pr, rc, rr, tau: ipo(pc, pr, 0 * rc, 0 * rr, tau),
    "τ/2 for": lambda pc, pr, rc, rr, tau: ((pc - rc) - (pr - rr) - 1 / 2 * tau) ** 2,
    "1/τ for": lambda pc, pr, rc, rr, tau: ((pc - rc) - (pr - rr) - 1 / tau) ** 2,
    "τ inside": lambda pc, pr, rc, rr, tau: (tau * ((pc - rc) - (pr - rr)) - 1 / 2) ** 2,
    "square forgotten": lambda pc, pr, rc, rr, tau: (pc - rc) - (pr - rr) - 1 / (2 * tau),
    "absolute value": lambda pc, pr, rc, rr, tau: ((pc - rc) - (pr - rr) - 1 / (2 * tau)).abs(),
    "+ for −": lambda pc, pr, rc, rr, tau: ((pc - rc) - (pr - rr) + 1 / (2 * tau)) ** 2,
    "log-ratios added": lambda pc, pr, rc, rr, tau: ((pc - rc) + (pr - rr) - 1 / (2 * tau)) ** 2,
    "DPO's loss": lambda pc, pr, rc, rr, tau: -torch.log(torch.sigmoid(tau * ((pc - rc) - (pr - rr)))),
    "policy and reference swapped": lambda pc, pr, rc, rr, tau: ipo(rc, rr, pc, pr, tau),
    "already averaged": lambda *a, **k: ipo(*a, **k).mean(),
    "shape (3, 1)": lambda *a, **k: ipo(*a, **k).unsqueeze(1),
    "a constant": lambda *a, **k: 0 * ipo(*a, **k) + 1,
    "is a bool": lambda *a, **k: True,
    "is a list": lambda *a, **k: ipo(*a, **k).tolist(),
    "no gradient": lambda *a, **k: ipo(*a, **k).detach(),
    "raised ZeroDivisionError": lambda *a, **k: 1 / 0,
}


@pytest.mark.parametrize("cause", IPO_MISTAKES)
def test_each_ipo_mistake_is_named(cause):
    verdict = check_ipo_loss(IPO_MISTAKES[cause])
    assert not verdict
    assert cause in verdict.message
    assert "policy_chosen=" in verdict.message  # the input that was used


NUMBER_MISTAKES = [
    (check_tau_for_margin, lambda m: 1 / m, "where is the 2"),
    (check_tau_for_margin, lambda m: 2 * m, "upside down"),
    (check_tau_for_margin, lambda m: m, "the margin you were given"),
    (check_tau_for_margin, lambda m: m / 2, "smaller"),
    (check_tau_for_margin, lambda m: 0.1, "expected"),
    (check_tau_for_margin, lambda m: "0.1", "got str"),
    (check_tau_for_margin, lambda m: None, "returns nothing yet"),
    (check_tau_for_margin, lambda m: True, "got bool"),
    (check_tau_for_margin, lambda m: m.tau, "raised AttributeError"),
    (check_averaged_tau, lambda tau, length: tau, "in each token"),
    (check_averaged_tau, lambda tau, length: tau / length, "needs a larger τ"),
    (check_averaged_tau, lambda tau, length: tau * length**0.5, "not its root"),
    (check_averaged_tau, lambda tau, length: 1 / (2 * tau * length), "find its τ"),
    (check_averaged_tau, lambda tau, length: 1.5, "expected"),
    (check_averaged_tau, lambda tau, length: [tau * length], "got list"),
    (check_averaged_tau, lambda tau: tau, "raised TypeError"),
    (check_averaged_tau, lambda tau, length: float("nan"), "expected"),
]


@pytest.mark.parametrize(("check", "answer", "reason"), NUMBER_MISTAKES)
def test_each_wrong_number_is_explained(check, answer, reason):
    verdict = check(answer)
    assert not verdict
    assert reason in verdict.message
