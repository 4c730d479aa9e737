"""The trial: it is read from all seeds, pays for honest probabilities, and every short cut earns nothing."""

import copy
import re

import pytest

from lessons_lib.benchmark.statistics import word
from lessons_lib.lab.checkpoints import ALL_SFT_NAMES
from lessons_lib.lessons.lesson14 import plan, trial, trial_runs
from lessons_lib.lessons.lesson14.checks import check_trial
from lessons_lib.lessons.lesson14.trial_runs import SEEDS, STAND_INS, allowed
from lessons_lib.metrics import mean_interval

from .conftest import FEEDBACKQA, KEY, QLORA, TICKET, TULU1, one_plan


def test_an_honest_trial_earns_its_reading_and_its_run(honest, earned):
    came = honest()
    assert check_trial(came, TICKET)
    assert min(earned(came).shares) >= trial.LIVE + trial.READING


def test_the_reading_is_over_all_seeds_ones_own_among_them(honest, runs):
    came = honest()
    one = came["plans"][TULU1]
    all_seeds = trial.differences(runs, TULU1, one["choice"], one["runner_up"], SEEDS)
    found = mean_interval(all_seeds)
    assert came["readings"][TULU1]["mean"] == pytest.approx(found.estimate)
    assert came["readings"][TULU1]["verdict"] == word(found, one["effect"])
    assert len(came["released"]["differences"][TULU1]) == len(SEEDS) - 1
    assert trial.my_seed(TULU1, TICKET) not in trial.others(TULU1, TICKET)


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([0.5, 0.6, 0.55], "ahead"),
        ([-0.5, -0.6, -0.55], "behind"),
        ([0.01, 0.0, 0.02], "equivalent"),
        ([0.5, -0.6, 0.9], "cannot tell"),
    ],
)
def test_the_four_readings(differences, verdict):
    assert trial.read(differences, 0.2).verdict == verdict


# ---------------------------------------------------------------- what gains nothing


def changed(came, *path, to):
    came = copy.deepcopy(came)
    place = came
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return came


SHORT_CUTS = {
    "a plan changed after the runs were seen": (("plans", TULU1, "beats", "simpo"), 1.0, "changed afterwards"),
    "a signature dated back": (("plans", "signed"), "2025-12-01T10:00:00+00:00", "changed afterwards"),
    "a release dated back": (("released", "released"), "2025-12-01T10:00:00+00:00", "the receipt is not one"),
    "a receipt made up": (("released", "receipt"), "0" * 32, "the receipt is not one"),
    "no release": (("released",), ..., "no released runs"),
    "half a plan": (("plans", QLORA), ..., "do not fit together"),
}


@pytest.mark.parametrize("name", SHORT_CUTS)
def test_short_cuts_earn_nothing(honest, earned, name):
    path, to, why = SHORT_CUTS[name]
    found = earned(changed(honest(), *path, to=to))
    assert found.mean == 0 and why in found.said[0]


def test_a_new_seal_for_a_changed_plan_has_no_receipt(honest, earned):
    came = changed(honest(), "plans", TULU1, "beats", "simpo", to=1.0)
    came["released"]["seal"] = plan.seal(came["plans"], TICKET)
    assert earned(came).mean == 0


def test_signed_after_the_release_is_named(honest, earned, plans):
    late = honest(plans={**plans, "signed": "2026-01-07T10:00:00+00:00"})
    assert earned(late).said == ["signed after the runs were released"] * 3


def test_another_learners_trial_earns_nothing(honest, earned):
    assert earned(honest(), ticket="ba9876543210").mean == 0
    assert earned(honest(ticket="ba9876543210"), ticket=TICKET).mean == 0


def test_who_trained_nothing_earns_nothing(honest, earned):
    for live in ({}, {"orpo": 1.9, "dpo": ...}, {"orpo": 9.9, "dpo": 9.8}, None, 3):
        found = earned(changed(honest(), "live", FEEDBACKQA, to=live))
        assert found.shares[1] == 0 and "train them" in found.said[1]
        assert found.shares[0] > 0


def test_another_machines_digits_are_still_ones_own_run(honest, earned):
    came = honest()
    live = {m: gold + 0.03 for m, gold in came["live"][TULU1].items()}
    assert earned(changed(came, "live", TULU1, to=live)).shares == earned(came).shares
    live["orpo"] += 0.04
    other = changed(came, "live", TULU1, to=live)
    one = other["plans"][TULU1]
    own = live[one["choice"]] - live[one["runner_up"]]
    read = trial.read([*other["released"]["differences"][TULU1], own], one["effect"])
    assert earned(changed(other, "readings", TULU1, to=read._asdict())).shares == earned(came).shares


def test_a_misread_interval_loses_the_reading_alone(honest, earned):
    came, whole = honest(), earned(honest())
    for field, to in (("mean", 0.9), ("low", 0.0), ("high", None), ("verdict", "tie")):
        found = earned(changed(came, "readings", QLORA, field, to=to))
        assert found.shares[2] == pytest.approx(whole.shares[2] - trial.READING)
        assert "readings" in found.said[2]
        assert not check_trial(changed(came, "readings", QLORA, field, to=to), TICKET)


@pytest.mark.parametrize("gold", [..., "1.8", None, True, float("nan"), float("inf"), 10**400, [1.8]])
def test_what_is_no_number_is_no_run(honest, earned, gold):
    came = changed(honest(), "live", TULU1, "orpo", to=gold)
    assert f"live: {TULU1}: expected your own run's gold" in check_trial(came, TICKET).message
    assert earned(came).shares[0] == 0 < earned(came).shares[1]
    misread = changed(honest(), "readings", TULU1, "mean", to=gold)
    assert not check_trial(misread, TICKET) and earned(misread).mean < earned(honest()).mean


@pytest.mark.parametrize("sent", [None, ..., [], "x", {}, [0.1] * 8, [0.1] * 8 + ["0.1"], [0.1] * 8 + [float("nan")]])
def test_a_release_pasted_in_part_is_named(honest, sent):
    came = changed(honest(), "released", "differences", QLORA, to=sent)
    assert f"released: {QLORA}: expected 9 differences" in check_trial(came, TICKET).message
    del came["released"]["differences"][QLORA]
    assert f"released: {QLORA}: expected 9 differences" in check_trial(came, TICKET).message


def test_nonsense_raises_nothing(earned):
    for came in (None, ..., [], "x", {}, {"plans": {}}, {"plans": None, "released": {}, "live": 1, "readings": []}):
        assert earned(came).mean == 0
        assert not check_trial(came, TICKET)


# ---------------------------------------------------------------- probabilities


def shares_of_wins(runs, name, choice):
    own = runs[name][choice]
    return {
        m: sum(a > b for a, b in zip(own, runs[name][m], strict=True)) / len(SEEDS) for m in runs[name] if m != choice
    }


def test_true_probabilities_earn_all_and_overstated_ones_little(runs):
    true = one_plan(TULU1, beats=shares_of_wins(runs, TULU1, "orpo"))
    assert trial.confidence(runs, TULU1, true) == 1
    near = {m: min(1, p + 0.1) for m, p in true["beats"].items()}
    assert trial.confidence(runs, TULU1, {**true, "beats": near}) > 0.95
    wrong = {m: float(p < 0.5) for m, p in true["beats"].items()}
    assert trial.confidence(runs, TULU1, {**true, "beats": wrong}) < 0.2


def test_a_losing_choice_that_was_said_to_lose_costs_nothing(runs):
    """Being right does not pay: being honest does."""
    worst = min(allowed(TULU1), key=lambda m: sum(runs[TULU1][m]))
    assert trial.confidence(runs, TULU1, one_plan(TULU1, choice=worst, beats=shares_of_wins(runs, TULU1, worst))) == 1


def test_the_check_on_the_spot_says_what_is_missing(honest):
    came = honest()
    assert "paste what your instructor sent" in check_trial(changed(came, "released", to=...), TICKET).message
    assert (
        "for another seal" in check_trial(changed(came, "plans", "signed", to="2026-01-05T11:00:00Z"), TICKET).message
    )
    assert "your own run's gold" in check_trial(changed(came, "live", TULU1, to={}), TICKET).message
    assert "still to fill in" in check_trial(changed(came, "readings", TULU1, "low", to=...), TICKET).message
    assert set(came["released"]["differences"]) == set(STAND_INS)


def test_what_is_released_tells_neither_the_key_nor_a_run(honest, runs):
    """Differences of the two that were planned, and no gold reward that would tell of the other methods."""
    sent = repr(honest()["released"])
    assert not any(key in sent for key in (KEY.decode(), KEY.hex(), repr(KEY)))
    numbers = {float(number) for number in re.findall(r"-?\d+\.\d+", sent)}
    assert len(numbers) > 20
    assert not numbers & {gold for methods in runs.values() for seeds in methods.values() for gold in seeds}


def test_the_runs_may_have_other_seeds(honest, earned, runs, monkeypatch):
    """As an instructor takes them whose learners have found those of the project."""
    monkeypatch.setattr(trial, "SEEDS", range(100, 110))
    assert trial.my_seed(TULU1, TICKET) in trial.SEEDS
    gold = runs[TULU1]
    assert trial.differences(runs, TULU1, "orpo", "dpo", [107]) == [round(gold["orpo"][7] - gold["dpo"][7], 4)]
    assert min(earned(honest()).shares) >= trial.LIVE + trial.READING
    for seeds in (SEEDS, range(100, 110)):
        assert len({trial_runs.checkpoint_of(seed) for seed in seeds}) == len(seeds)
    assert {trial_runs.checkpoint_of(seed) for seed in range(100, 112)} == set(ALL_SFT_NAMES)
    assert [trial_runs.checkpoint_of(seed) for seed in SEEDS] == [f"sft-{seed}" for seed in SEEDS]  # as recorded
