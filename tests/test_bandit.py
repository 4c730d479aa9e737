"""The bandit's closed forms, met by gradient descent on the library's own losses; and `lessons_lib.bandit`."""

import math
from functools import partial
from itertools import combinations, pairwise

import pytest
import torch

from lessons_lib import bandit, textbook
from lessons_lib.bandit import CHAIN, CYCLE, D3_AS_PRINTED, TOTAL_ORDER, fit, ipo_optimum, tilted_policy
from lessons_lib.losses import dpo_loss, ipo_loss

UNIFORM = (1 / 3, 1 / 3, 1 / 3)
UNEVEN = (0.5, 0.3, 0.2)

# IPO on a ≻ b ≻ c with a uniform reference: steps of 1/(3τ) nats.
TOTAL_ORDER_TABLE = {
    # τ      a       b       c
    0.1: (0.9644, 0.0344, 0.0012),
    0.5: (0.5627, 0.2889, 0.1483),
    1.0: (0.4484, 0.3213, 0.2302),
    10.0: (0.3445, 0.3332, 0.3223),
}
# IPO on {(a, b), (b, c)}: each pair reaches its own target, 1/(2τ).
CHAIN_TABLE = {
    0.1: (0.9933, 0.0067, 0.0000),
    1.0: (0.5065, 0.3072, 0.1863),
    10.0: (0.3501, 0.3331, 0.3168),
}


def minimum(loss, pairs, reference=UNIFORM, weights=None):
    """The arms' probabilities where LBFGS ends on a population loss of the library, in float64."""
    chosen, rejected = torch.tensor(pairs).T
    reference_logps = torch.tensor(reference, dtype=torch.float64).log()
    weights = torch.tensor(weights or [1.0] * len(pairs), dtype=torch.float64)
    logits = reference_logps.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [logits], lr=1, max_iter=500, tolerance_grad=1e-14, tolerance_change=1e-18, line_search_fn="strong_wolfe"
    )

    def population_loss():
        optimizer.zero_grad()
        logps = logits.log_softmax(0)
        result = loss(logps[chosen], logps[rejected], reference_logps[chosen], reference_logps[rejected])
        mean = (weights * result.losses).sum() / weights.sum()
        mean.backward()
        return mean

    optimizer.step(population_loss)
    return logits.detach().softmax(0).tolist()


def descend(loss, pairs, steps=2_000, learning_rate=0.01):
    """The same by plain Adam steps, as in the paper."""
    chosen, rejected = torch.tensor(pairs).T
    reference_logps = torch.tensor(UNIFORM, dtype=torch.float64).log()
    logits = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=learning_rate)
    for _ in range(steps):
        logps = logits.log_softmax(0)
        result = loss(logps[chosen], logps[rejected], reference_logps[chosen], reference_logps[rejected])
        optimizer.zero_grad()
        result.losses.mean().backward()
        optimizer.step()
    return logits.detach().softmax(0).tolist()


# ---------------------------------------------------------------- the library's losses end at the closed forms


@pytest.mark.parametrize("tau", [0.1, 0.5, 1.0])
def test_ipo_on_a_total_order(tau):
    expected = TOTAL_ORDER_TABLE[tau]
    assert ipo_optimum(TOTAL_ORDER, tau, UNIFORM) == pytest.approx(expected, abs=6e-5)
    assert minimum(partial(ipo_loss, tau=tau), TOTAL_ORDER) == pytest.approx(
        ipo_optimum(TOTAL_ORDER, tau, UNIFORM), abs=1e-8
    )
    a, b, c = ipo_optimum(TOTAL_ORDER, tau, UNIFORM)
    assert (math.log(a / b), math.log(b / c)) == pytest.approx((1 / (3 * tau),) * 2, rel=1e-12)


@pytest.mark.parametrize("tau", [0.1, 1.0])
def test_ipo_on_a_total_order_by_adam(tau):
    assert descend(partial(ipo_loss, tau=tau), TOTAL_ORDER) == pytest.approx(TOTAL_ORDER_TABLE[tau], abs=1e-3)


@pytest.mark.parametrize("tau", [0.05, 0.1, 0.5, 1.0, 10.0])
def test_ipo_on_two_arms_stops_at_one_over_two_tau(tau):
    """One pair, always won: the margin over the reference is exactly 1/(2τ), so π(a) = σ(0.5/τ) if it is uniform."""
    for reference in ((0.5, 0.5), (0.2, 0.8)):
        a, b = minimum(partial(ipo_loss, tau=tau), [(0, 1)], reference)
        margin = math.log(a / b) - math.log(reference[0] / reference[1])
        assert margin == pytest.approx(1 / (2 * tau), abs=1e-8)
    assert ipo_optimum([(0, 1)], tau, (0.5, 0.5))[0] == pytest.approx(textbook.sigmoid(0.5 / tau), rel=1e-12)


def test_two_arms_as_printed():
    """Section 5.3.1's formula: τ = 0.1, 0.5, 1, 10."""
    got = [ipo_optimum([(0, 1)], tau, (0.5, 0.5))[0] for tau in (0.1, 0.5, 1.0, 10.0)]
    assert got == pytest.approx([0.9933, 0.7311, 0.6225, 0.5125], abs=6e-5)


@pytest.mark.parametrize("tau", CHAIN_TABLE)
def test_ipo_on_a_chain(tau):
    assert ipo_optimum(CHAIN, tau, UNIFORM) == pytest.approx(CHAIN_TABLE[tau], abs=6e-5)
    assert minimum(partial(ipo_loss, tau=tau), CHAIN) == pytest.approx(ipo_optimum(CHAIN, tau, UNIFORM), abs=1e-8)


@pytest.mark.parametrize("beta", [0.1, 0.5, 2.0])
@pytest.mark.parametrize("reference", [UNIFORM, UNEVEN], ids=["uniform", "uneven"])
def test_dpo_on_bradley_terry_data_recovers_the_tilted_reference(beta, reference):
    """Every pair seen both ways, in Bradley-Terry proportion: DPO ends at π_ref·exp(r/β)."""
    rewards = [0.7, 0.0, -0.4]
    pairs, weights = [], []
    for i, j in combinations(range(3), 2):
        pairs += [(i, j), (j, i)]
        weights += [textbook.sigmoid(rewards[i] - rewards[j]), textbook.sigmoid(rewards[j] - rewards[i])]
    got = minimum(partial(dpo_loss, beta=beta), pairs, reference, weights)
    assert got == pytest.approx(tilted_policy(rewards, beta, reference), abs=1e-6)


def test_tilted_policy_by_hand():
    """r = (β log 2, 0): the first arm's odds double."""
    assert tilted_policy([0.1 * math.log(2), 0.0], 0.1, (0.5, 0.5)) == pytest.approx([2 / 3, 1 / 3])
    assert tilted_policy([0.0, 0.0, 0.0], 0.1, UNEVEN) == pytest.approx(UNEVEN)


LOSSES = pytest.mark.parametrize("loss", [partial(dpo_loss, beta=0.1), partial(ipo_loss, tau=0.1)], ids=["DPO", "IPO"])


@LOSSES
def test_a_cycle_ends_uniform(loss):
    """a ≻ b ≻ c ≻ a: started away from uniform, both losses come back to their reference."""
    assert minimum(loss, CYCLE) == pytest.approx(UNIFORM, abs=1e-9)
    assert minimum(loss, CYCLE, UNEVEN) == pytest.approx(UNEVEN, abs=1e-7)
    assert ipo_optimum(CYCLE, 0.1, UNEVEN) == pytest.approx(UNEVEN, abs=1e-12)


def test_a_cycle_pulls_a_moved_policy_back():
    """That the cycle's end is uniform is no accident of starting there."""
    logits = torch.tensor([1.0, 0.0, -1.0], dtype=torch.float64, requires_grad=True)
    reference = torch.full((3,), -math.log(3), dtype=torch.float64)
    chosen, rejected = torch.tensor(CYCLE).T
    for loss in (dpo_loss, ipo_loss):
        logps = logits.log_softmax(0)
        losses = loss(logps[chosen], logps[rejected], reference[chosen], reference[rejected]).losses
        slope = torch.autograd.grad(losses.mean(), logits)[0]
        assert slope[0] > 0 > slope[2]


@LOSSES
def test_the_papers_third_data_set_as_printed_does_nothing(loss):
    """{(a, b), (b, a)}: the two pairs cancel and c is in none, so no τ or β moves anything."""
    logits = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    chosen, rejected = torch.tensor(D3_AS_PRINTED).T
    logps = logits.log_softmax(0)
    same = logps.detach()
    losses = loss(logps[chosen], logps[rejected], same[chosen], same[rejected]).losses
    assert torch.autograd.grad(losses.mean(), logits)[0].tolist() == pytest.approx([0, 0, 0], abs=1e-15)
    assert ipo_optimum(D3_AS_PRINTED, 0.1, UNIFORM) == pytest.approx(UNIFORM, abs=1e-15)


# ---------------------------------------------------------------- fit: the road to them


@pytest.mark.parametrize("tau", [0.1, 0.5, 1.0])
def test_fit_ends_at_the_closed_form(tau):
    road = fit(TOTAL_ORDER, partial(textbook.ipo_loss, tau=tau), steps=3_000)
    assert road.final == pytest.approx(ipo_optimum(TOTAL_ORDER, tau, UNIFORM), abs=1e-4)
    assert road.steps[0] == 0 and road.steps[-1] == 3_000 and road.probabilities[0] == pytest.approx(UNIFORM)
    assert len(road.steps) == len(road.probabilities) == 31
    assert all(sum(p) == pytest.approx(1.0, abs=1e-12) for p in road.probabilities)


def test_fit_takes_the_steps_of_torchs_adam():
    """Step for step the same road as `torch.optim.Adam` on the tensor loss."""
    for tensor_loss, plain_loss in (
        (partial(ipo_loss, tau=0.5), partial(textbook.ipo_loss, tau=0.5)),
        (partial(dpo_loss, beta=0.5), partial(textbook.dpo_loss, beta=0.5)),
    ):
        got = fit(TOTAL_ORDER, plain_loss, steps=200, learning_rate=0.05).final
        assert got == pytest.approx(descend(tensor_loss, TOTAL_ORDER, steps=200, learning_rate=0.05), abs=1e-7)


def test_dpo_collapses_in_the_limit_and_not_in_a_finite_run():
    """At β = 10 the paper's 18,000 steps reach about (.82, .15, .03); at β = 0.1 the first arm has everything."""
    strong = fit(TOTAL_ORDER, partial(textbook.dpo_loss, beta=10.0), record_every=6_000)
    assert strong.final == pytest.approx((0.82, 0.15, 0.03), abs=0.01)
    weak = fit(TOTAL_ORDER, partial(textbook.dpo_loss, beta=0.1), record_every=3_000)
    assert weak.final[0] > 0.9999
    assert [p[0] for p in weak.probabilities] == sorted(p[0] for p in weak.probabilities)


def test_mini_batches_end_near_the_closed_form_and_follow_the_seed():
    """Nine pairs a step, as in the paper: noisy, so near; and the same seed gives the same road."""
    ipo = partial(textbook.ipo_loss, tau=1.0)
    roads = [fit(TOTAL_ORDER, ipo, steps=3_000, batch_size=9, seed=seed) for seed in (0, 0, 1)]
    assert roads[0] == roads[1] != roads[2]
    for road in roads:
        assert road.final == pytest.approx(TOTAL_ORDER_TABLE[1.0], abs=0.03)


def test_weights_count_pairs():
    ipo = partial(textbook.ipo_loss, tau=0.5)
    twice = fit([(0, 1), (0, 1), (1, 2), (0, 2)], ipo, steps=1_000).final
    assert fit(TOTAL_ORDER, ipo, steps=1_000, weights=[2, 1, 1]).final == pytest.approx(twice, abs=1e-12)
    assert twice == pytest.approx(ipo_optimum([(0, 1), (0, 1), (1, 2), (0, 2)], 0.5, UNIFORM), abs=1e-4)


def test_fit_starts_from_the_reference():
    road = fit(CHAIN, partial(textbook.ipo_loss, tau=0.5), reference=UNEVEN, steps=3_000)
    assert road.probabilities[0] == pytest.approx(UNEVEN)
    assert road.final == pytest.approx(ipo_optimum(CHAIN, 0.5, UNEVEN), abs=1e-4)


def test_unconnected_arms_keep_their_share():
    """Four arms, one pair: the other two keep the odds they had, as under gradient descent from the reference."""
    reference = (0.1, 0.2, 0.3, 0.4)
    got = ipo_optimum([(0, 1)], 0.5, reference)
    assert got == pytest.approx(fit([(0, 1)], partial(textbook.ipo_loss, tau=0.5), reference=reference).final, abs=1e-4)
    assert got[2] / got[3] == pytest.approx(3 / 4)


def test_softmax_far_out():
    assert bandit.softmax([1e4, 0.0]) == [1.0, 0.0]
    assert bandit.log_softmax([1e4, 0.0]) == [0.0, -1e4]


@pytest.mark.parametrize("count", [2, 3, 4, 5])
@pytest.mark.parametrize("tau", [0.1, 0.5])
def test_ipo_parts_neighbours_of_an_order_by_one_over_n_tau(count, tau):
    """The optimum of Eq. 6: an answer's place is how often it beats a uniformly drawn one, over τ."""
    order = list(combinations(range(count), 2))  # every earlier answer beats every later one
    end = [math.log(p) for p in ipo_optimum(order, tau, [1 / count] * count)]
    gaps = [first - second for first, second in pairwise(end)]
    assert gaps == pytest.approx([1 / (count * tau)] * (count - 1))
