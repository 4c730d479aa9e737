"""The packed path gives the plain path's log-probs and gradients, with every token computed once."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import tiny
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lessons_lib.models.making import from_config, new_model
from lessons_lib.training import packing, scoring
from lessons_lib.training.collation import TokenRows, tokenize_rows
from lessons_lib.training.packing import ARCHITECTURES, can_pack, pack_rows, packed_logps
from lessons_lib.training.scoring import padded_logps

COLUMNS = ("chosen", "rejected")
SIZES = dict(
    vocab_size=40,
    hidden_size=32,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=48,
    max_position_embeddings=24,
    pad_token_id=2,
    bos_token_id=0,
    eos_token_id=1,
)


def model(architecture: str, **changes):
    """Of random weights large enough that attention matters, with fewer key than query heads where that exists."""
    if architecture == "gpt2":
        made = new_model("gpt2", vocab_size=40, layers=3, width=32, heads=4, max_length=24, seed=0)
    else:
        torch.manual_seed(0)
        settings = SIZES if architecture in ("gpt_neox", "opt") else {**SIZES, "num_key_value_heads": 2}
        made = from_config({"model_type": architecture, **settings, **changes})
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim == 2:
                parameter.mul_(5)
    return made.eval()


@pytest.fixture(scope="module")
def rows() -> TokenRows:
    """Lengths from 1 up on every side; packed, they are longer than the models' context."""
    generator = torch.Generator().manual_seed(0)

    def ids(length):
        return torch.randint(3, 40, (length,), generator=generator).tolist()

    prompts, chosen, rejected = [1, 4, 9, 5, 1, 12], [1, 12, 3, 7, 20, 9], [8, 1, 13, 7, 1, 12]
    return TokenRows(
        [ids(n) for n in prompts], {"chosen": [ids(n) for n in chosen], "rejected": [ids(n) for n in rejected]}
    )


def gradients(model, logps: torch.Tensor) -> dict[str, torch.Tensor]:
    """Of a sum with different weights, so that no two responses can stand for each other."""
    model.zero_grad()
    (logps * torch.linspace(-1, 1, len(logps), dtype=logps.dtype)).sum().backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("columns", [1, 2, 3])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_log_probs_and_gradients_are_those_of_the_plain_path(architecture, columns, rows):
    responses = {**rows.responses, "third": rows.responses["rejected"][::-1]}
    rows = TokenRows(rows.prompts, dict(list(responses.items())[:columns]))
    for dtype, logp_tolerance, gradient_tolerance in (
        (torch.float64, 1e-10, 1e-6),  # their norms compute in float32 even here
        (torch.float32, 1e-5, 1e-4),
    ):
        net = model(architecture).to(dtype)
        plain, packed = padded_logps(net, rows), packed_logps(net, rows)
        assert can_pack(net) and plain.std() > 1  # the responses differ
        torch.testing.assert_close(packed, plain, rtol=logp_tolerance, atol=logp_tolerance)
        expected = gradients(net, padded_logps(net, rows))
        for name, gradient in gradients(net, packed_logps(net, rows)).items():
            scale = max(1.0, expected[name].abs().max().item())
            torch.testing.assert_close(gradient, expected[name], rtol=0, atol=gradient_tolerance * scale, msg=name)


def test_every_token_is_computed_once_and_only_read_logits_are_made(rows):
    net, seen = model("llama"), []
    net.model.embed_tokens.register_forward_hook(lambda module, args, output: seen.append(output.shape[:2].numel()))
    net.lm_head.register_forward_hook(lambda module, args, output: seen.append(args[0].shape[:-1].numel()))
    packed_logps(net, rows)
    prompts = sum(map(len, rows.prompts))
    responses = sum(len(ids) for column in rows.responses.values() for ids in column)
    assert seen == [prompts + responses, responses]


class Largest(TorchDispatchMode):
    """Notes the float32 entries of the largest tensor that any operation made, in either pass."""

    def __init__(self):
        super().__init__()
        self.entries = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else [made]:
            if isinstance(tensor, torch.Tensor) and tensor.dtype == torch.float32:
                self.entries = max(self.entries, tensor.numel())
        return made


def wide():
    """A model whose largest tensors are its tables of logits."""
    return new_model("llama", vocab_size=600, layers=1, width=8, heads=1, max_length=24, seed=0)


@pytest.mark.parametrize("path", [packed_logps, padded_logps])
@pytest.mark.parametrize("bf16", [False, True])
def test_a_large_table_of_logits_is_made_in_pieces(path, bf16, rows, monkeypatch):
    """The same values and gradients; in bfloat16 no float32 table beyond a tile, in either pass and on either path."""
    net = wide()
    whole = path(net, rows, bf16=bf16)
    expected = gradients(net, whole)
    tile = 13 * 600  # of 94 response tokens, so that the last piece is a shorter one
    monkeypatch.setattr("lessons_lib.logps.TILE", tile)
    with Largest() as largest:
        tiled = path(net, rows, bf16=bf16)
        found = gradients(net, tiled)
    tolerance = 0.02 if bf16 else 1e-5  # a gradient that is summed in pieces is rounded in pieces
    torch.testing.assert_close(tiled, whole, rtol=1e-5, atol=1e-5)
    for name, gradient in found.items():
        scale = max(1.0, expected[name].abs().max().item())
        torch.testing.assert_close(gradient, expected[name], rtol=0, atol=tolerance * scale, msg=name)
    assert tile == largest.entries if bf16 or path is packed_logps else largest.entries > tile


def test_scoring_without_gradients_makes_pieces_too(rows, monkeypatch):
    net = wide()
    expected = packed_logps(net, rows).detach()
    monkeypatch.setattr("lessons_lib.logps.TILE", 13 * 600)
    with torch.no_grad(), Largest() as largest:
        torch.testing.assert_close(packed_logps(net, rows), expected, rtol=1e-5, atol=1e-5)
    assert largest.entries == 13 * 600


def test_the_layout_spells_the_plain_sequences(rows):
    packed = pack_rows(rows)
    for number, prompt in enumerate(rows.prompts):
        for column, name in enumerate(COLUMNS):
            whole = prompt + rows.responses[name][number]
            places = packed.sequences[column * len(rows) + number, : len(whole)]
            assert packed.input_ids[0, places].tolist() == whole
            assert packed.position_ids[0, places].tolist() == list(range(len(whole)))
    assert torch.equal(packed.sequences.flatten()[packed.homes], torch.arange(packed.input_ids.numel()))


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_the_models_own_attention_and_head_are_put_back(implementation, rows):
    net = model("qwen2")
    net.set_attn_implementation(implementation)
    expected = padded_logps(net, rows)
    torch.testing.assert_close(packed_logps(net, rows), expected, rtol=1e-5, atol=1e-5)
    assert net.config._attn_implementation == implementation
    broken = dataclasses.replace(rows, prompts=[[99], *rows.prompts[1:]])  # no such token
    with pytest.raises(IndexError):
        packed_logps(net, broken)
    assert net.config._attn_implementation == implementation and "forward" not in vars(net.lm_head)
    assert torch.equal(padded_logps(net, rows), expected)


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("gpt_neox", {}),
        ("opt", {"ffn_dim": 48}),
        ("mistral", {"sliding_window": 4}),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1}),
    ],
)
def test_other_architectures_take_the_plain_path(architecture, changes, rows, monkeypatch):
    net = model(architecture, **changes)
    assert not can_pack(net)
    monkeypatch.setattr(scoring, "packed_logps", lambda *_, **__: pytest.fail("packed"))
    logps = scoring.response_logps(net, rows)
    assert torch.equal(torch.cat(list(logps.values())), padded_logps(net, rows))


def test_known_architectures_take_the_packed_path(rows, monkeypatch):
    monkeypatch.setattr(scoring, "padded_logps", lambda *_, **__: pytest.fail("padded"))
    scoring.response_logps(model("llama"), rows)


def test_adapters_are_packed_too():
    from peft import LoraConfig, get_peft_model

    net = get_peft_model(tiny.model("llama"), LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
    batch = tokenize_rows(tiny.pairs(6), COLUMNS, tiny.tokenizer())
    assert can_pack(net)
    torch.testing.assert_close(packed_logps(net, batch), padded_logps(net, batch), rtol=1e-5, atol=1e-5)


def test_bfloat16_agrees_within_its_rounding(rows):
    net = model("llama")
    packed, plain = packed_logps(net, rows, bf16=True), padded_logps(net, rows, bf16=True)
    assert packed.dtype == plain.dtype == torch.float32
    torch.testing.assert_close(packed, padded_logps(net, rows), rtol=0.05, atol=0.5)


def test_threads_and_copies_do_not_share_the_swap(rows):
    """A model copied from another has a configuration of its own: packing one leaves the other's alone."""
    net = model("llama")
    other = copy.deepcopy(net)
    with packing.attention_by(packing.attend, net):
        assert torch.isfinite(padded_logps(other, rows)).all()
