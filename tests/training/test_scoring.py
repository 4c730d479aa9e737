"""Log-probs of responses under a model, and the reference's, which are computed once."""

from __future__ import annotations

import pytest
import tiny
import torch
from accelerate import Accelerator

from lessons_lib.training import scoring
from lessons_lib.training.collation import tokenize_rows
from lessons_lib.training.scoring import fingerprint, response_logps, score_rows

COLUMNS = ("chosen", "rejected")


@pytest.fixture
def rows():
    return tokenize_rows(tiny.pairs(20), COLUMNS, tiny.tokenizer())


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch):
    monkeypatch.setattr(scoring, "_memory", {})


def one_by_one(model, prompt: list[int], response: list[int]) -> torch.Tensor:
    """Without batch, padding or mask: the sum of log softmax at each response token."""
    logits = model(torch.tensor([prompt + response])).logits[0].log_softmax(dim=-1)
    return sum(logits[len(prompt) + i - 1, token] for i, token in enumerate(response))


def count_passes(model) -> list:
    calls = []
    model.register_forward_hook(lambda *_: calls.append(1))
    return calls


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "qwen2"])
def test_a_batch_scores_each_response_as_if_alone(architecture, rows):
    model = tiny.model(architecture).double()
    logps = response_logps(model, rows)
    for column in COLUMNS:
        alone = [one_by_one(model, p, r) for p, r in zip(rows.prompts, rows.responses[column], strict=True)]
        torch.testing.assert_close(logps[column], torch.stack(alone), rtol=0, atol=1e-10)


def test_gradients_are_those_of_single_rows(rows):
    rows = rows.select(list(range(6)))
    batched, single = tiny.model().double(), tiny.model().double()
    sum(logps.sum() for logps in response_logps(batched, rows).values()).backward()
    for column in COLUMNS:
        for prompt, response in zip(rows.prompts, rows.responses[column], strict=True):
            one_by_one(single, prompt, response).backward()
    for a, b in zip(batched.parameters(), single.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=0, atol=1e-9)


def test_a_pad_id_that_is_a_real_token_counts():
    pair = {"prompt": "<bos> ask0", "chosen": " good1 <pad> good2", "rejected": " <pad>"}
    rows = tokenize_rows([pair, *tiny.pairs(3)], COLUMNS, tiny.tokenizer(), append_eos=False)
    model = tiny.model().double()
    logps = response_logps(model, rows)
    for column in COLUMNS:
        alone = one_by_one(model, rows.prompts[0], rows.responses[column][0])
        assert logps[column][0].item() == pytest.approx(alone.item(), abs=1e-10)


@pytest.mark.parametrize("rows_per_pass", [1, 7, 64])
def test_a_scored_data_set_keeps_the_order_of_its_rows(rows, rows_per_pass):
    model = tiny.model().double()
    scores = score_rows(model, rows, rows_per_pass=rows_per_pass, accelerator=Accelerator(cpu=True))
    live = response_logps(model, rows)
    for column in COLUMNS:
        torch.testing.assert_close(scores[column], live[column].detach(), rtol=0, atol=1e-10)


def test_the_same_weights_and_rows_are_scored_once(rows):
    model = tiny.model()
    passes = count_passes(model)
    accelerator = Accelerator(cpu=True)
    first = score_rows(model, rows, rows_per_pass=8, accelerator=accelerator)
    assert len(passes) == 3
    again = score_rows(model, rows, rows_per_pass=8, accelerator=accelerator)
    assert len(passes) == 3
    assert all(torch.equal(first[column], again[column]) for column in COLUMNS)


def test_other_weights_or_other_rows_are_scored_anew(rows):
    model, accelerator = tiny.model(), Accelerator(cpu=True)
    first = score_rows(model, rows, rows_per_pass=8, accelerator=accelerator)
    passes = count_passes(model)
    with torch.no_grad():
        next(model.parameters())[5, 0] += 1e-3
    second = score_rows(model, rows, rows_per_pass=8, accelerator=accelerator)
    assert len(passes) == 3 and not torch.equal(first["chosen"], second["chosen"])
    rows.responses["rejected"][0][0] += 1
    score_rows(model, rows, rows_per_pass=8, accelerator=accelerator)
    assert len(passes) == 6


def test_a_cache_folder_serves_the_next_process(rows, tmp_path, monkeypatch):
    model, accelerator = tiny.model(), Accelerator(cpu=True)
    options = dict(rows_per_pass=8, accelerator=accelerator, cache_dir=str(tmp_path / "cache"))
    first = score_rows(model, rows, **options)
    monkeypatch.setattr(scoring, "_memory", {})  # as a new process finds it
    passes = count_passes(model)
    again = score_rows(model, rows, **options)
    assert not passes and all(torch.equal(first[column], again[column]) for column in COLUMNS)
    assert [file.suffix for file in (tmp_path / "cache").iterdir()] == [".safetensors"]  # nothing half-written


def test_a_fingerprint_sees_every_weight_and_the_configuration():
    model = tiny.model("llama")
    prints = {fingerprint(model), fingerprint(tiny.model("llama", seed=1))}
    model.config.rms_norm_eps = 0.5
    prints.add(fingerprint(model))
    with torch.no_grad():
        list(model.parameters())[-1].view(-1)[-1] += 1.0
    prints.add(fingerprint(model))
    assert len(prints) == 4
