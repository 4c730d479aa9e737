"""Two roads from preferences to a policy: the reward model, its optimum, and the explorer that shows both."""

import numpy as np
import pytest

from lessons_lib import bandit, rlhf
from lessons_lib.errors import UserError
from lessons_lib.explorers import page
from lessons_lib.lessons.rlhf_page import REFERENCE, REWARDS, best_reward, two_roads


def test_preferences_follow_bradley_terry():
    wins = rlhf.draw_preferences([1.0, 0.0], 20_000, seed=1)
    assert wins.sum() == 20_000 and wins[0, 0] == wins[1, 1] == 0
    assert wins[0, 1] / 20_000 == pytest.approx(1 / (1 + np.exp(-1)), abs=0.01)


def test_flips_pull_the_share_towards_one_half():
    wins = rlhf.draw_preferences([1.0, 0.0], 20_000, flip_rate=0.3, seed=1)
    p = 1 / (1 + np.exp(-1))
    assert wins[0, 1] / 20_000 == pytest.approx(0.7 * p + 0.3 * (1 - p), abs=0.01)


def test_two_responses_have_the_log_odds_of_their_counts():
    """7 wins to 2, and half a win each beforehand: 7.5 to 2.5, so the rewards lie log 3 apart."""
    rewards = rlhf.fit_rewards(np.array([[0.0, 7.0], [2.0, 0.0]]))
    assert rewards[0] - rewards[1] == pytest.approx(np.log(3), abs=1e-6)
    assert rewards.sum() == pytest.approx(0, abs=1e-9)


def test_many_comparisons_give_the_rewards_back():
    fitted = rlhf.fit_rewards(rlhf.draw_preferences(REWARDS, 200_000, seed=2))
    np.testing.assert_allclose(fitted, REWARDS, atol=0.06)


@pytest.mark.parametrize("beta", [0.5, 2.0])
def test_both_roads_end_at_the_tilted_policy(beta):
    wins = rlhf.draw_preferences(REWARDS, 300, seed=3)
    optimum = bandit.tilted_policy(rlhf.fit_rewards(wins), beta, REFERENCE)
    np.testing.assert_allclose(rlhf.dpo(wins, beta, REFERENCE, steps=3000)[-1], optimum, atol=2e-3)
    late = rlhf.policy_gradient(rlhf.fit_rewards(wins), beta, REFERENCE, steps=3000, step_size=0.01)[-1000:]
    np.testing.assert_allclose(late.mean(axis=0), optimum, atol=0.03)


def test_kl_by_hand():
    assert rlhf.kl([0.5, 0.5], [0.25, 0.75]) == pytest.approx(0.5 * np.log(2) + 0.5 * np.log(2 / 3))
    assert rlhf.kl([0.25, 0.75], [0.25, 0.75]) == 0


def test_a_reference_that_is_no_distribution_is_refused():
    with pytest.raises(UserError, match="sum to 1"):
        rlhf.dpo(np.ones((2, 2)), 0.1, [0.5, 0.6])


def test_the_explorer_fits_its_page_and_says_what_it_shows():
    explorer = two_roads()
    assert len(page.html(explorer)) < 150_000
    assert f"the optimum at this β has {best_reward(0.5):.2f}" in explorer.sentences()[0]
    curves = explorer.evaluate(beta=0.5, pairs=3000, flips=0.0)[0]
    assert curves[0][0][-1] == pytest.approx(curves[1][0][-1], abs=0.1)  # the same place
    noisy = explorer.evaluate(beta=0.5, pairs=3000, flips=0.4)[0]
    assert noisy[0][0][-1] < curves[0][0][-1] - 0.3
