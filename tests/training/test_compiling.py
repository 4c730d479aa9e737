"""Compiled layers: the same numbers, in force only while training, and a plain word where they cannot be had."""

from __future__ import annotations

import dataclasses

import pytest
import tiny
import torch

from lessons_lib.errors import UserError
from lessons_lib.training.compiling import CompiledLayers
from lessons_lib.training.config import TrainConfig
from lessons_lib.training.loop import train

CONFIG = TrainConfig(batch_size=6, max_steps=4, learning_rate=1e-3, warmup_steps=1)


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def run(method: str, architecture: str, **changes):
    model, config = tiny.model(architecture), dataclasses.replace(CONFIG, **changes)
    return train(model, tiny.rows_for(method, 18), method, config, tokenizer=tiny.tokenizer(), progress=False)


@pytest.mark.slow  # each compiles for ten seconds or so
@pytest.mark.parametrize(("method", "architecture"), [("dpo", "gpt2"), ("kto", "llama")])
def test_compiled_training_is_training(method, architecture):
    plain = run(method, architecture)
    torch._dynamo.utils.counters.clear()
    fused = run(method, architecture, compile=True)
    assert [record["loss"] for record in fused.records] == pytest.approx(
        [record["loss"] for record in plain.records], abs=1e-5
    )
    for (name, ours), theirs in zip(fused.model.named_parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0, msg=name)
    assert torch._dynamo.utils.counters["frames"]["ok"] > 0  # it was compiled indeed,
    assert not torch._dynamo.utils.counters["graph_break"]  # in one piece


def test_one_compiled_layer_serves_batches_of_every_shape(monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "compile", lambda call, **options: asked.append(options) or call)
    layers = CompiledLayers(tiny.model()).layers
    assert asked == [{"dynamic": True}] * len(layers)  # left to itself, the compiler starts with fixed shapes


def test_outside_the_model_runs_as_it_did():
    model, calls = tiny.model(), []
    fused = CompiledLayers(model)

    def counting(call):
        return lambda *inputs, **named: calls.append(call) or call(*inputs, **named)

    fused.calls = [counting(layer._call_impl) for layer in fused.layers]
    ids = torch.tensor([[0, 5, 7]])
    for expected in (2, 4):  # it can be entered again
        with fused:
            model(ids)
        assert len(calls) == expected
        model(ids)
        assert len(calls) == expected


def test_a_missing_compiler_is_told(monkeypatch):
    from torch._inductor import config

    monkeypatch.setattr(config.cpp, "cxx", (None, "/nowhere"))
    monkeypatch.setattr(config, "fx_graph_cache", False)
    with pytest.raises(UserError, match=r"compile: .*C\+\+ compiler.*compile=False"):
        run("dpo", "llama", compile=True)


def test_a_model_without_known_layers_is_refused():
    with pytest.raises(UserError, match="compile: Linear has no layers"):
        CompiledLayers(torch.nn.Linear(2, 2))
