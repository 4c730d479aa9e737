"""The methods table: against the losses' signatures, against the papers' facts, and against the installed TRL."""

import dataclasses
import importlib
import inspect
import re
import warnings

import pytest
import torch

from lessons_lib import losses
from lessons_lib.methods import METHODS

# Read in the papers and on arXiv, not in the table.
FACTS = {
    # key     arXiv         first version  paired      average  reference
    "dpo": ("2305.18290", "2023-05-29", "paired", False, True),
    "ipo": ("2310.12036", "2023-10-18", "paired", False, True),
    "kto": ("2402.01306", "2024-02-02", "unpaired", False, True),
    "orpo": ("2403.07691", "2024-03-12", "paired", True, False),
    "simpo": ("2405.14734", "2024-05-23", "paired", True, False),
}
EQUATIONS = {"dpo": "Eq. 7", "ipo": "Eq. 17", "kto": "Eq. 7", "orpo": "Eq. 6 and 7", "simpo": "Eq. 6"}
FULL_NAMES = {
    "dpo": "Direct Preference Optimization",
    "ipo": "Identity Preference Optimization",
    "kto": "Kahneman-Tversky Optimization",
    "orpo": "Odds Ratio Preference Optimization",  # not "Odds Ratio Policy Optimization"
    "simpo": "Simple Preference Optimization",
}
EACH = pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.key)


def test_the_five_in_the_order_they_appeared():
    assert list(METHODS) == ["dpo", "ipo", "kto", "orpo", "simpo"]
    dates = [method.paper.first_version for method in METHODS.values()]
    assert dates == sorted(dates)
    assert all(key == method.key == method.name.lower() for key, method in METHODS.items())


@EACH
def test_facts(method):
    paper = method.paper
    got = (paper.arxiv, paper.first_version, method.data, method.average, method.needs_reference)
    assert got == FACTS[method.key]
    assert method.full_name == FULL_NAMES[method.key]
    assert paper.equation == EQUATIONS[method.key]
    assert paper.arxiv.replace(".", "")[:4] == paper.first_version[2:4] + paper.first_version[5:7]  # yymm


@EACH
def test_every_loss_and_no_other_is_in_the_table(method):
    assert method.loss is getattr(losses, f"{method.key}_loss")
    assert {name for name in vars(losses) if name.endswith("_loss")} == {f"{key}_loss" for key in METHODS}


@EACH
def test_every_hyperparameter_of_the_loss_has_a_knob(method):
    parameters = inspect.signature(method.loss).parameters.values()
    keyword_only = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    assert {name: knob.default for name, knob in method.hyperparameters.items()} == keyword_only
    assert [knob.name for knob in method.knobs] == list(keyword_only)
    assert list(method.inputs) == [p.name for p in parameters if p.default is p.empty]


@EACH
def test_a_default_lies_in_its_usual_range(method):
    for knob in method.hyperparameters.values():
        low, high = knob.usual
        assert low <= knob.default <= high, knob
        assert knob.direction.startswith("larger") and knob.symbol


@EACH
def test_the_usual_range_is_accepted_by_the_loss(method):
    row = torch.tensor([-1.0, -2.0])
    special = {"desirable": torch.tensor([True, False]), "kl": torch.tensor(0.0)}
    tensors = [special.get(name, row) for name in method.inputs]
    for knob in method.knobs:
        for end in knob.usual:
            assert torch.isfinite(method.loss(*tensors, **{knob.name: end}).losses).all()


@EACH
def test_passes(method):
    """A loss that takes no reference's log-probs makes no pass of one; KTO's second pass is the mismatched pair's."""
    assert method.policy_passes == 2
    takes_reference = any(name.startswith("reference") for name in method.inputs)
    assert (method.reference_passes, method.needs_reference) == ((2, True) if takes_reference else (0, False))
    assert method.scores_mismatched == ("kl" in method.inputs)


@EACH
def test_the_docstring_of_the_loss_cites_the_paper_and_says_sum_or_average(method):
    text = method.loss.__doc__
    cited = re.search(rf"arXiv {method.paper.arxiv}, (Eq\. .*)\.", text).group(1)
    assert set(re.findall(r"\d+", method.paper.equation)) <= set(re.findall(r"\d+", cited))
    assert ("**averaged**" in text) is method.average and ("**summed**" in text) is not method.average


@EACH
def test_records_are_frozen(method):
    with pytest.raises(dataclasses.FrozenInstanceError):
        method.average = not method.average
    with pytest.raises(TypeError):
        method.hyperparameters["beta"] = None


# ---------------------------------------------------------------- TRL's spellings, in the installed TRL


def trl_class(method, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # trl.experimental announces itself
        return getattr(importlib.import_module(method.trl.module), name)


def trl_config(method, tmp_path, **settings):
    """TRL's configuration with the settings that the table names, as a user would write it."""
    config = trl_class(method, method.trl.config)
    return config(
        output_dir=str(tmp_path), report_to=[], use_cpu=True, bf16=False, **(dict(method.trl.settings) | settings)
    )


@EACH
def test_trl_has_the_classes_and_fields(method, tmp_path):
    assert trl_class(method, method.trl.trainer).__name__ == method.trl.trainer
    config = trl_config(method, tmp_path, **{knob.trl_name: knob.usual[0] for knob in method.knobs})
    for knob in method.knobs:
        assert getattr(config, knob.trl_name) == knob.usual[0]


def test_trl_needs_the_settings_that_the_table_names(tmp_path):
    """Left at TRL's defaults CPOTrainer is not SimPO, nor DPOTrainer IPO; where both agree the table says so too."""
    simpo = trl_class(METHODS["simpo"], "CPOConfig")(output_dir=str(tmp_path), report_to=[], use_cpu=True, bf16=False)
    assert (simpo.loss_type, simpo.cpo_alpha) == ("sigmoid", 1.0)
    assert dict(METHODS["simpo"].trl.settings) == {"loss_type": "simpo", "cpo_alpha": 0.0}
    dpo = trl_class(METHODS["dpo"], "DPOConfig")(output_dir=str(tmp_path), report_to=[], use_cpu=True, bf16=False)
    assert dpo.loss_type in ("sigmoid", ["sigmoid"])


@pytest.mark.parametrize("key", ["dpo", "ipo", "kto", "orpo"])
def test_trl_shares_the_default(key, tmp_path):
    """SimPO is the exception: TRL's β = 0.1 and γ = 0.5 would ask for 5 nats per token."""
    method = METHODS[key]
    config = trl_config(method, tmp_path)
    for knob in method.hyperparameters.values():
        assert getattr(config, knob.trl_name) == knob.default


def test_trl_simpo_defaults_are_far_from_the_papers(tmp_path):
    config = trl_config(METHODS["simpo"], tmp_path)
    assert config.simpo_gamma / config.beta == pytest.approx(5.0)
    knobs = METHODS["simpo"].hyperparameters
    assert knobs["gamma"].default / knobs["beta"].default == pytest.approx(0.5)
