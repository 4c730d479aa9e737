"""What the minutes can hold, and whether what the plan promises to see is what its numbers can see."""

import numpy as np
import pytest

from lessons_lib.advice import trial_plan, trial_reading
from lessons_lib.advice.trial_plan import Costs, Plan, Rows, choose, predicted, unseen, visible, votes_needed
from lessons_lib.errors import UserError

METHODS, RATES = ("dpo", "ipo", "simpo"), (3e-6, 1.2e-5, 4.8e-5)
ROWS = Rows(train=1000, validation=300, test=700)
COSTS = Costs(step=2.0, run=5.0, score=0.1, reply=0.5)


def plan(minutes, *, rows=ROWS, costs=COSTS, **more):
    return choose(METHODS, RATES, rows, costs, 60 * minutes, batch_size=8, **more)


def test_a_plan_fits_into_its_minutes_and_more_minutes_show_more():
    plans = [plan(minutes) for minutes in (25, 60, 180, 600)]
    for minutes, found in zip((25, 60, 180, 600), plans, strict=True):
        assert found.seconds <= 60 * minutes
        assert found.seconds == pytest.approx(predicted(found, COSTS, steps=found.steps))
    worth = [(len(p.arms), p.test, len(p.learning_rates), p.seeds, p.steps) for p in plans]
    assert worth[0] < worth[-1] and worth[-1][:4] == (4, 400, 3, 5)
    assert all(p.arms[-1] == "sft" and p.arms[:2] == ("dpo", "ipo") for p in plans)


def test_seconds_are_predicted_as_they_are_spent():
    """Two arms, two rates, three seeds: each measured row is scored by the model and by the start."""
    found = Plan(("dpo", "sft"), (1e-5, 4e-5), 3, 10, 8, 20, 50, 4, 0.0)
    training = 2 * (5.0 + 10 * (2.0 + 8 * 0.1))
    search = 2 * (training + 2 * 20 * 2 * 0.1)
    measured = 3 * 50 * 2 * 0.1 + 3 * 4 * 0.5  # the untouched model is the third
    assert predicted(found, COSTS, steps=10) == pytest.approx(search + 2 * training + 3 * measured)


def test_the_first_to_go_are_seeds_then_held_out_rows_then_methods_then_steps():
    plans = [plan(minutes) for minutes in range(600, 14, -5)]
    worth = [(p.steps >= trial_plan.WANTED_STEPS, len(p.arms), p.test, p.seeds, len(p.learning_rates)) for p in plans]
    assert worth == sorted(worth, reverse=True) and worth[0] == (True, 4, 400, 5, 3)
    assert {arms for _, arms, *_ in worth} == {4, 3} and {test for enough, _, test, *_ in worth if enough} >= {400, 150}
    assert plans[-1].arms == ("dpo", "ipo", "sft") and plans[-1].steps < trial_plan.WANTED_STEPS


def test_what_cannot_fit_says_how_many_minutes_more():
    with pytest.raises(UserError, match=r"give at least (\d+) more") as refused:
        plan(1)
    more = int(str(refused.value).split("give at least ")[1].split(" ")[0])
    assert plan(1 + more).steps >= trial_plan.LEAST_STEPS
    with pytest.raises(UserError):
        plan(more - 1)


def test_what_somebody_set_stays():
    found = plan(600, seeds=2, steps=25)
    assert (found.seeds, found.steps) == (2, 25)


def test_of_learning_rates_the_higher_ones_are_tried_where_there_is_no_time_for_all():
    assert plan(600).learning_rates == RATES and plan(50).learning_rates == RATES[1:]
    assert choose(METHODS, (1e-5,), ROWS, COSTS, 6000, batch_size=8).learning_rates == (1e-5,)


def test_few_rows_are_passed_over_twice_at_most():
    assert plan(600, rows=Rows(train=160, validation=20, test=40)).steps == 2 * 160 // 8
    assert plan(600, rows=Rows(train=20, validation=20, test=40)).steps == trial_plan.LEAST_STEPS


def test_a_plan_survives_being_written_down():
    found = plan(60)
    assert Plan.from_dict(found.as_dict()) == found


@pytest.mark.parametrize(("prompts", "seeds", "comparisons"), [(200, 3, 3), (60, 2, 6), (150, 1, 1)])
def test_the_effect_that_is_called_visible_is_found_four_times_in_five(prompts, seeds, comparisons):
    """Trials drawn as the plan assumes: methods that differ on one pair in four, seeds that spread as it says."""
    rng = np.random.default_rng(0)
    effect = visible(prompts, seeds, comparisons)
    ahead, wrong = 0, 0
    for _ in range(1000):
        luck = trial_plan.SEED_SPREAD * np.sqrt(2) * rng.standard_normal((seeds, 1)) * (seeds > 1)
        for true in (effect, 0.0):
            right = (trial_plan.DISAGREE + true) / 2  # one arm is right where the other is wrong
            differs = rng.choice([1.0, -1.0, 0.0], prompts, p=[right, trial_plan.DISAGREE - right, 0.75])
            found = trial_reading.difference(differs + luck, np.zeros((seeds, prompts)), alpha=0.05 / comparisons)
            ahead += true > 0 and found.low > 0
            wrong += true == 0 and found.excludes(0)
    assert 0.74 < ahead / 1000 < 0.92
    assert wrong / 1000 <= 0.06 / comparisons + 0.01


def test_more_prompts_and_seeds_see_smaller_effects_and_more_comparisons_larger_ones():
    assert visible(400, 3) < visible(100, 3) and visible(200, 5) < visible(200, 2)
    assert visible(200, 3, comparisons=6) > visible(200, 3)


def test_votes_that_show_a_preference_by_hand():
    """Of 20 votes 15: Wilson's interval begins at 0.53; 14 begin at 0.48."""
    assert votes_needed(20) == 15
    assert votes_needed(3) == 4  # three votes show nothing


def test_what_is_not_seen_is_said_with_numbers():
    found = plan(60)
    lines = unseen(found, 300, 40, 0.05)
    assert f"{100 * visible(300, found.seeds, found.comparisons):.0f} points" in lines[0]
    assert any(f"Blind votes on 40 prompts can show a preference from {votes_needed(40)} of 40" in s for s in lines)
    assert any("a lead of KTO" in line for line in unseen(found, 300, 40, 0.05, thumbs=True))
    assert any("One seed" in line for line in unseen(plan(600, seeds=1), 300, 40, 0.05))
