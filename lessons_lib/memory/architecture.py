"""The sizes of a causal language model, read from its Hugging Face configuration: no weights, no torch.

`read_architecture` knows GPT-2 and the family of Llama (Llama, Mistral, Qwen2, Qwen3, Gemma 1 to 3, Phi-3),
whose parameters it counts exactly. A model it does not know is built on PyTorch's meta device, without
memory, to count its parameters; its activations are then treated like Llama's.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from lessons_lib.errors import UserError


def _sizes(family, vocabulary, width, feedforward, layers, heads, kv_heads, *, tied=False) -> dict:
    return {
        "model_type": family,
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": feedforward,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "tie_word_embeddings": tied,
    }


# What a config.json need not say, how each member of Llama's family differs from Llama, and which biases it can have.
_FAMILY = {
    "llama": {"biases": ("attention_bias", "mlp_bias")},
    "mistral": {"num_key_value_heads": 8},
    "phi3": {},
    "qwen2": {"num_key_value_heads": 32, "query_bias": True},
    "qwen3": {"num_key_value_heads": 32, "head_dim": 128, "qk_norm": True, "biases": ("attention_bias",)},
    "gemma": {"num_key_value_heads": 16, "head_dim": 256, "tie_word_embeddings": True, "biases": ("attention_bias",)},
    "gemma2": {
        "num_key_value_heads": 4,
        "head_dim": 256,
        "tie_word_embeddings": True,
        "norms": 4,
        "biases": ("attention_bias",),
    },
    "gemma3_text": {
        "num_key_value_heads": 4,
        "head_dim": 256,
        "tie_word_embeddings": True,
        "norms": 4,
        "qk_norm": True,
        "biases": ("attention_bias",),
    },
}
# Configurations of models often named, so that a size can be had without the network.
KNOWN = MappingProxyType(
    {
        "gpt2": {"model_type": "gpt2"},
        "smollm2-135m": _sizes("llama", 49_152, 576, 1_536, 30, 9, 3, tied=True),
        "qwen2.5-0.5b": _sizes("qwen2", 151_936, 896, 4_864, 24, 14, 2, tied=True),
        "mistral-7b": _sizes("mistral", 32_000, 4_096, 14_336, 32, 32, 8),
        "llama-3-8b": _sizes("llama", 128_256, 4_096, 14_336, 32, 32, 8),
        "gemma-2-9b": _sizes("gemma2", 256_000, 3_584, 14_336, 42, 16, 8, tied=True),
        "llama-3-70b": _sizes("llama", 128_256, 8_192, 28_672, 80, 64, 8),
    }
)
_GPT2 = {"vocab_size": 50257, "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024}


@dataclass(frozen=True)
class Architecture:
    """Sizes of a decoder-only transformer.

    Attributes:
        family: transformers' `model_type`.
        layers, width: number of blocks; size of the residual stream.
        heads, kv_heads, head_size: query heads, key and value heads, size of each.
        feedforward: hidden units of a block's feed-forward part.
        vocabulary: rows of the embedding.
        tied: whether input and output embedding are one matrix.
        gated: a gate is a third feed-forward matrix and norms are RMS norms (Llama); else GPT-2's form.
        activation: of the feed-forward part, by its name in transformers.
        norms: norms in a block; qk_norm: whether queries and keys are normed as well.
        matrices: (inputs, outputs) of each matrix of a block, in the order they are used.
        block_parameters, outer_parameters: of one block; of all that is in no block, embeddings first of all.
        exact: False where the model is none of the known ones.
    """

    family: str
    layers: int
    width: int
    heads: int
    kv_heads: int
    head_size: int
    feedforward: int
    vocabulary: int
    tied: bool
    gated: bool
    activation: str
    norms: int
    qk_norm: bool
    matrices: tuple[tuple[int, int], ...]
    block_parameters: int
    outer_parameters: int
    exact: bool = True

    @property
    def parameters(self) -> int:
        """Weights of the whole model, a tied embedding counted once."""
        return self.layers * self.block_parameters + self.outer_parameters

    @property
    def block_matrix_parameters(self) -> int:
        return sum(inputs * outputs for inputs, outputs in self.matrices)


def read_architecture(source: Mapping | str | Path) -> Architecture:
    """The sizes of a model.

    Args:
        source: a configuration as a dictionary, a key of `KNOWN`, a `config.json`, a folder that holds one,
            or a Hub id (which is fetched: a few kilobytes).

    Raises:
        UserError: where there is no such file, or the configuration is not one of a causal language model.
    """
    config = source if isinstance(source, Mapping) else KNOWN.get(str(source).lower()) or _read_config(source)
    config = config.get("text_config", config)  # the language model in a model that also sees
    family = config.get("model_type")
    try:
        if family == "gpt2":
            return _gpt2({**_GPT2, **config})
        if family in _FAMILY:
            return _llama(family, {**_FAMILY[family], **config})
        return _unknown(config)
    except (KeyError, TypeError) as error:
        raise UserError(
            f"config: expected a causal language model's, with vocab_size, hidden_size, num_hidden_layers, …; "
            f"this one (model_type {family!r}) lacks {error}"
        ) from error


def llama_like(parameters: float) -> Architecture:
    """A model of Llama's proportions with about so many weights, where only the number is known.

    Width over depth is 128 as in Llama 8B; from 6e9 weights on the vocabulary is Llama 3's, below it is
    49,152 and tied. Not exact: a real configuration with as many weights can differ in activations by a third.

    Raises:
        UserError: below a million weights, where the vocabulary alone is more.
    """
    if not 1e6 <= parameters <= 1e13:
        raise UserError(f"parameters: expected a number of weights between 1e6 and 1e13, got {parameters!r}")

    def of_width(width: int) -> Architecture:
        heads = max(1, width // 128)
        vocabulary, tied = (128_256, False) if parameters >= 6e9 else (49_152, True)
        kv_heads = next(n for n in (8, 4, 2, 1) if heads % n == 0)
        layers = max(2, round(width / 128))
        return _llama("llama", _sizes("llama", vocabulary, width, 7 * width // 2, layers, heads, kv_heads, tied=tied))

    closest = min(map(of_width, range(128, 40_000, 128)), key=lambda model: abs(model.parameters - parameters))
    return dataclasses.replace(closest, exact=False)


def _read_config(source: str | Path) -> dict:
    path = Path(source).expanduser()
    path = path / "config.json" if path.is_dir() else path
    if path.suffix != ".json":
        from lessons_lib.models.loading import load_config

        return load_config(str(source))
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"config: expected a config.json written by save_pretrained at {path}; {error}") from error


def _llama(family: str, c: Mapping) -> Architecture:
    width, heads, hidden = c["hidden_size"], c["num_attention_heads"], c["intermediate_size"]
    kv_heads, head_size = c.get("num_key_value_heads") or heads, c.get("head_dim") or width // heads
    query, key = heads * head_size, kv_heads * head_size
    attention = ((width, query), (width, key), (width, key), (query, width))
    matrices = (*attention, (width, hidden), (width, hidden), (hidden, width))
    norms, qk_norm = c.get("norms", 2), c.get("qk_norm", False)
    biases = {name for name in c.get("biases", ()) if c.get(name)}
    block = sum(a * b for a, b in matrices) + norms * width + (2 * head_size if qk_norm else 0)
    block += query + 2 * key if biases & {"attention_bias"} or c.get("query_bias") else 0
    block += width if "attention_bias" in biases else 0
    block += 2 * hidden + width if "mlp_bias" in biases else 0
    tied = c.get("tie_word_embeddings", False)
    return Architecture(
        family=family,
        layers=c["num_hidden_layers"],
        width=width,
        heads=heads,
        kv_heads=kv_heads,
        head_size=head_size,
        feedforward=hidden,
        vocabulary=c["vocab_size"],
        tied=tied,
        gated=True,
        activation=c.get("hidden_activation", c.get("hidden_act", "silu")),
        norms=norms,
        qk_norm=qk_norm,
        matrices=matrices,
        block_parameters=block,
        outer_parameters=c["vocab_size"] * width * (1 if tied else 2) + width,
    )


def _gpt2(c: Mapping) -> Architecture:
    width, hidden = c["n_embd"], c.get("n_inner") or 4 * c["n_embd"]
    matrices = ((width, 3 * width), (width, width), (width, hidden), (hidden, width))
    tied = c.get("tie_word_embeddings", True)
    embeddings = c["vocab_size"] * width * (1 if tied else 2) + c["n_positions"] * width
    return Architecture(
        family="gpt2",
        layers=c["n_layer"],
        width=width,
        heads=c["n_head"],
        kv_heads=c["n_head"],
        head_size=width // c["n_head"],
        feedforward=hidden,
        vocabulary=c["vocab_size"],
        tied=tied,
        gated=False,
        activation=c.get("activation_function", "gelu_new"),
        norms=2,
        qk_norm=False,
        matrices=matrices,
        block_parameters=sum(a * b + b for a, b in matrices) + 4 * width,
        outer_parameters=embeddings + 2 * width,
    )


def _unknown(config: Mapping) -> Architecture:
    """Llama's shape from the usual field names, with the parameters counted on the meta device."""
    from lessons_lib.models.making import from_config

    like_llama = _llama(config["model_type"], config)
    counted = sum(p.numel() for p in from_config(dict(config), device="meta").parameters())
    block = (counted - like_llama.outer_parameters) // like_llama.layers
    rest = counted - block * like_llama.layers
    return dataclasses.replace(like_llama, block_parameters=block, outer_parameters=rest, exact=False)
