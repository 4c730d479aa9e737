"""Lesson 6: one thumb a reply, at three balances of ups and downs, and the pairs that such a log can make."""

from __future__ import annotations

from functools import partial

from lessons_lib.data.preferences import ratings_to_pairs
from lessons_lib.lab import annotators
from lessons_lib.lab.settings import SETTINGS
from lessons_lib.lab.studies import Study, StudyArm
from lessons_lib.training.config import TrainConfig

RATINGS = 1500
BALANCES = {"1:10": 1 / 11, "1:1": 1 / 2, "10:1": 10 / 11}  # ups : downs, and the share of ups

# They put λ_D·n_D / (λ_U·n_U) into the paper's [1, 3/2], as `decide.kto_weights` does; 1:1 needs none.
WEIGHTS = {"1:10": {"desirable_weight": 10.0}, "10:1": {"undesirable_weight": 6.67}}


def thumbs(pool, *, seed: int, balance: str) -> list[dict]:
    """The log: 1,500 thumbs, a reply each."""
    return annotators.label_thumbs(pool, RATINGS, seed=seed, up_share=BALANCES[balance])


def pairs(pool, *, seed: int, balance: str) -> list[dict]:
    """Every pair that one can build from that log: an up and a down to one prompt."""
    return list(ratings_to_pairs(thumbs(pool, seed=seed, balance=balance)))


def _kto(label: str, balance: str, **weights: float) -> StudyArm:
    # 32 replies a step, as many as 16 pairs have.
    own = {**SETTINGS["kto"], "hyperparameters": {**SETTINGS["kto"]["hyperparameters"], **weights}, "batch_size": 32}
    return StudyArm(label, "kto", own, partial(thumbs, balance=balance))


def _dpo(label: str, balance: str, steps: int) -> StudyArm:
    return StudyArm(label, "dpo", {**SETTINGS["dpo"], "max_steps": steps}, partial(pairs, balance=balance))


def _arms(balance: str) -> dict[str, StudyArm]:
    arms = {"kto": _kto("KTO, no weights", balance), "dpo": _dpo("DPO on the pairs, 80 steps", balance, 80)}
    if balance in WEIGHTS:
        arms["kto_weighted"] = _kto("KTO, weighted", balance, **WEIGHTS[balance])
        # As many steps as KTO are about eight passes over the few pairs of an uneven log. Half as many are four:
        # chosen beforehand, and not by the gold reward.
        arms["dpo_short"] = _dpo("DPO on the pairs, 40 steps", balance, 40)
    return {f"{name}_{balance}": arm for name, arm in arms.items()}


THUMBS = Study(
    name="thumbs",
    question="What do KTO, weighted or not, and DPO on the pairs one can build make of one log of thumbs?",
    make_rows=partial(thumbs, balance="1:1"),
    config=TrainConfig(max_steps=80, evaluate_every=80, append_eos=False),
    arms={name: arm for balance in BALANCES for name, arm in _arms(balance).items()},
    samples=256,  # half as many as usual: ten arms, and what they show is far larger than the sampling noise
)
STUDIES = (THUMBS,)
