"""A plan fits together or is told what does not; its seal changes with anything in it."""

import copy
import json
import math

import pytest

from lessons_lib.errors import UserError
from lessons_lib.lessons.lesson14 import plan, sample
from lessons_lib.lessons.lesson14.checks import check_plans, plans_share
from lessons_lib.lessons.lesson14.trial_runs import STAND_INS

from .conftest import QLORA, TICKET, TULU1, one_plan


def test_the_plans_fit_together(plans):
    assert plan.is_whole(plans, TICKET) and plans_share(plans, TICKET) == 1
    verdict = check_plans(plans, TICKET)
    assert verdict and plan.seal(plans, TICKET) in verdict.message


def turned(**changed):
    return {**one_plan(TULU1)["turn"], **changed}


FAULTS = {
    "expected a dictionary with choice": "orpo",
    "one that the brief allows": one_plan(TULU1, choice="ppo"),
    "the method that you did not choose": one_plan(TULU1, runner_up="orpo"),
    "a probability for each of": one_plan(TULU1, beats={"dpo": 0.7}),
    "a probability lies between 0 and 1": one_plan(TULU1, beats={"dpo": 60, "ipo": 70, "kto": 60, "simpo": 99}),
    "that you are least sure to beat": one_plan(TULU1, runner_up="simpo"),
    "then choose it": one_plan(TULU1, beats={"dpo": 0.3, "ipo": 0.7, "kto": 0.6, "simpo": 0.9}),
    "expected gold points from 0.05 to 1": one_plan(TULU1, effect=5),
    "expected gold points from 0.02 to 2": one_plan(TULU1, sd=math.nan),
    "seeds show 0.1 with a chance of": one_plan(TULU1, visible=0.1),
    "expected a dictionary with figure": one_plan(TULU1, turn="more noise"),
    "expected a figure of": one_plan(TULU1, turn=turned(figure="up_share")),
    "expected a number for its value": one_plan(TULU1, turn=turned(value=None)),
    "expected another method than your choice": one_plan(TULU1, turn=turned(to="orpo")),
    "already: your mind would be changed": one_plan(TULU1, turn=turned(value=0.01)),
}


@pytest.mark.parametrize("why", FAULTS)
def test_each_fault_is_named(plans, why):
    found = list(plan.faults(TULU1, FAULTS[why], TICKET))
    assert found and why in found[0][1]
    assert not plan.is_whole({**plans, TULU1: FAULTS[why]}, TICKET)
    assert plans_share({**plans, TULU1: FAULTS[why]}, TICKET) == pytest.approx(2 / 3)
    assert not check_plans({**plans, TULU1: FAULTS[why]}, TICKET)


def test_a_method_that_the_brief_forbids_cannot_be_planned():
    assert [why for _, why in plan.faults(QLORA, one_plan(QLORA, choice="dpo"), TICKET)] == [
        "expected one that the brief allows: orpo, simpo"
    ]


@pytest.mark.parametrize("came", [None, [], "plans", {}, {"signed": "2026-01-05T10:00:00+00:00"}, {TULU1: ...}])
def test_nonsense_is_no_plan_and_raises_nothing(came):
    assert not check_plans(came, TICKET)
    assert plans_share(came, TICKET) == 0


def test_odd_values_in_a_plan_raise_nothing():
    for odd in (None, ..., [], {}, "x", True, 10**400, math.inf):
        for field in plan.FIELDS:
            assert list(plan.faults(TULU1, one_plan(TULU1, **{field: odd}), TICKET))


def test_a_time_needs_its_zone(plans):
    beyond = ("0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00")  # in UTC, years that no calendar here has
    for signed in ("", "yesterday", "2026-01-05T10:00:00", None, 5, *beyond):
        assert not check_plans({**plans, "signed": signed}, TICKET)
        assert plans_share({**plans, "signed": signed}, TICKET) == 0
    assert plan.signed_at({"signed": plan.now()})


def test_the_seal_changes_with_anything_and_not_with_the_spelling_of_a_number(plans):
    sealed = plan.seal(plans, TICKET)
    for name in STAND_INS:
        for field in plan.FIELDS:
            other = copy.deepcopy(plans)
            other[name][field] = "changed"
            assert plan.seal(other, TICKET) != sealed
    assert plan.seal({**plans, "signed": "2026-01-05T10:00:01+00:00"}, TICKET) != sealed
    assert plan.seal(plans, "ba9876543210") != sealed
    assert plan.seal(json.loads(json.dumps(plans)), TICKET.upper()) == sealed
    as_integer, as_float = copy.deepcopy(plans), copy.deepcopy(plans)
    as_integer[TULU1]["effect"], as_float[TULU1]["effect"] = 1, 1.0
    assert plan.seal(as_integer, TICKET) == plan.seal(as_float, TICKET)


def test_what_is_sent_carries_ticket_plans_and_seal(plans, tmp_path):
    sent = json.loads(plan.write_sealed(plans, TICKET, tmp_path).read_text())
    assert sent == {"ticket": TICKET, "plans": plans, "seal": plan.seal(plans, TICKET)}
    with pytest.raises(UserError, match="expected plans that fit together"):
        plan.write_sealed({**plans, "signed": None}, TICKET, tmp_path)


def test_the_figure_that_would_change_ones_mind_is_ones_own():
    mine = sample.figures_of(TULU1, TICKET)["flip_rate"]
    beyond = one_plan(TULU1, turn=turned(value=mine + 0.01))
    assert not list(plan.faults(TULU1, beyond, TICKET))
    assert list(plan.faults(TULU1, one_plan(TULU1, turn=turned(value=mine - 0.01)), TICKET))
