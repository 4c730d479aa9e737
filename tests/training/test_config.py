"""Settings are checked before any work, and errors name the setting."""

from __future__ import annotations

import dataclasses

import pytest

from lessons_lib.errors import UserError
from lessons_lib.methods import METHODS
from lessons_lib.training import variants
from lessons_lib.training.config import TrainConfig, objective_for


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rate": 0}, r"learning_rate: expected a number in \(0, inf\), got 0"),
        ({"learning_rate": float("nan")}, "learning_rate: expected a finite number"),
        ({"batch_size": 2.5}, "batch_size: expected a whole number"),
        ({"batch_size": 0}, r"batch_size: expected a number in \[1, inf\)"),
        ({"batch_size": True}, "batch_size: expected a finite number"),
        ({"epochs": "2"}, "epochs: expected a finite number"),
        ({"rows_per_pass": 0}, "rows_per_pass"),
        ({"betas": (0.9, 1.0)}, r"betas: expected a number in \[0, 1\)"),
        ({"schedule": "step"}, "schedule: expected one of linear, cosine, constant, got 'step'"),
        ({"batch_order": "length"}, "batch_order: expected one of random, sorted"),
        ({"truncation": "left"}, "truncation: expected one of error, keep_start, keep_end"),
        ({"append_eos": 1}, "append_eos: expected True or False, got 1"),
        ({"average": "no"}, "average: expected True or False"),
        ({"nll_weight": -1}, r"nll_weight: expected a number in \[0, inf\)"),
    ],
)
def test_a_bad_setting_is_refused_by_name(settings, message):
    with pytest.raises(UserError, match=message):
        TrainConfig(**settings)


def test_a_misspelt_setting_fails_and_settings_cannot_change():
    with pytest.raises(TypeError, match="learning_rte"):
        TrainConfig(learning_rte=1e-3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().seed = 1


@pytest.mark.parametrize("method", METHODS)
def test_a_foreign_hyperparameter_is_refused_with_the_methods_own(method):
    own = ", ".join(METHODS[method].hyperparameters)
    with pytest.raises(UserError, match=f"{method} has no betta; its own are: {own}"):
        objective_for(method, TrainConfig(hyperparameters={"betta": 0.1}))


def test_each_method_takes_its_own_hyperparameters_only():
    for method, record in METHODS.items():
        defaults = {name: knob.default for name, knob in record.hyperparameters.items()}
        assert objective_for(method, TrainConfig(hyperparameters=defaults)).hyperparameters == defaults
    with pytest.raises(UserError, match="simpo has no tau"):
        objective_for("simpo", TrainConfig(hyperparameters={"tau": 0.1}))
    with pytest.raises(UserError, match="sft has no beta; its own are: none"):
        objective_for("sft", TrainConfig(hyperparameters={"beta": 0.1}))


@pytest.mark.parametrize("method", METHODS)
def test_a_hyperparameter_out_of_range_is_refused_before_any_work(method):
    name = next(iter(METHODS[method].hyperparameters))
    with pytest.raises(UserError, match=f"hyperparameters: {name}: expected"):
        objective_for(method, TrainConfig(hyperparameters={name: -1.0}))


def test_a_variant_is_its_method_with_another_loss():
    robust = objective_for("rdpo", TrainConfig(hyperparameters={"beta": 0.5, "flip_rate": 0.3}))
    assert robust.loss is variants.robust_dpo_loss and robust.inputs == objective_for("dpo", TrainConfig()).inputs
    alone = objective_for("kto_noref", TrainConfig())
    assert alone.inputs == ("policy_logps", "desirable") and not alone.needs_reference
    assert alone.columns == ("completion",)
    with pytest.raises(UserError, match="rdpo has no label_smoothing; its own are: beta, flip_rate"):
        objective_for("rdpo", TrainConfig(hyperparameters={"label_smoothing": 0.1}))
    with pytest.raises(UserError, match="flip_rate: expected"):
        objective_for("rdpo", TrainConfig(hyperparameters={"flip_rate": 0.5}))


def test_an_unknown_method_is_refused_with_the_list():
    with pytest.raises(UserError, match="expected one of dpo, .*, simpo, rdpo, kto_noref, kto_zero or sft, got 'ppo'"):
        objective_for("ppo", TrainConfig())


def test_single_responses_have_no_nll_anchor():
    with pytest.raises(UserError, match="nll_weight: kto takes single responses"):
        objective_for("kto", TrainConfig(nll_weight=1.0))


def test_sums_and_averages_follow_the_method_unless_overridden():
    for method, record in METHODS.items():
        assert objective_for(method, TrainConfig()).average is record.average
        assert objective_for(method, TrainConfig(average=not record.average)).average is not record.average
