"""What the capstone's tests share: plans that fit together, invented runs, and a trial that follows from them."""

import random
from types import SimpleNamespace

import pytest

from lessons_lib.lessons.lesson14 import plan, trial
from lessons_lib.lessons.lesson14.trial_runs import SEEDS, STAND_INS, allowed

TULU1, FEEDBACKQA, QLORA = STAND_INS
KEY = b"the instructor's"
TICKET = "0123456789ab"


def one_plan(name, choice="orpo", **changed):
    rivals = [method for method in allowed(name) if method != choice]
    figure = {TULU1: "flip_rate", FEEDBACKQA: "agreement", QLORA: "order_same"}[name]
    beats = {method: 0.6 + 0.05 * place for place, method in enumerate(rivals)}
    turn = {"figure": figure, "is": "above", "value": 0.9, "to": "ipo"}
    return {
        **{"choice": choice, "runner_up": rivals[0], "beats": beats, "effect": 0.2, "sd": 0.25},
        **{"visible": 0.25, "turn": turn, **changed},
    }


@pytest.fixture
def plans():
    return {**{name: one_plan(name) for name in STAND_INS}, "signed": "2026-01-05T10:00:00+00:00"}


@pytest.fixture
def runs():
    """Gold rewards that nobody measured: ORPO leads by a little, and seeds differ."""
    rng = random.Random(0)
    lead = {"orpo": 0.15, "kto": 0.1}
    return {
        name: {m: [round(1.8 + lead.get(m, 0) + rng.gauss(0, 0.15), 4) for _ in SEEDS] for m in allowed(name)}
        for name in STAND_INS
    }


@pytest.fixture
def honest(plans, runs):
    """A function that makes the trial of somebody who sealed these plans, trained and read."""

    def make(plans=plans, ticket=TICKET, released="2026-01-06T08:00:00+00:00"):
        found = trial.release(runs, KEY, plans, ticket, released)
        live, readings = {}, {}
        for name in STAND_INS:
            one, seed = plans[name], trial.my_seed(name, ticket)
            live[name] = {m: runs[name][m][trial.SEEDS.index(seed)] for m in (one["choice"], one["runner_up"])}
            own = live[name][one["choice"]] - live[name][one["runner_up"]]
            readings[name] = trial.read([*found["differences"][name], own], one["effect"])._asdict()
        return {"plans": plans, "released": found, "live": live, "readings": readings}

    return make


@pytest.fixture
def earned(runs):
    """A function: the shares of a trial by dataset, and what is said of it."""

    def make(came, ticket=TICKET):
        found = list(trial.shares(runs, KEY, came, ticket))
        return SimpleNamespace(
            shares=[share for _, share, _ in found], mean=sum(s for _, s, _ in found) / 3, said=[w for *_, w in found]
        )

    return make


@pytest.fixture
def seal():
    return plan.seal
