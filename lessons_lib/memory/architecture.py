"""The sizes of a causal language model, read from its Hugging Face configuration: no weights, no torch.

`read_architecture` knows GPT-2, the family of Llama (Llama, Mistral, Qwen2, Qwen3, Gemma 1 to 3, Phi-3), mixtures
of experts (Mixtral, Qwen2-MoE, Qwen3-MoE, DeepSeek-V3 with its latent attention), and the text towers of models that
also see; it counts their parameters exactly. What a configuration leaves out has the value of transformers' class,
from a table that is made of those classes (`class_defaults.json`, by `memory.class_defaults`). A model it does not
know is built on PyTorch's meta device, without memory, to count its parameters; its activations are then treated
like Llama's, and `margin` says how far off that can be.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
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


# How each member of Llama's family differs from Llama, and which biases it can have.
_FAMILY = {
    "llama": {"biases": ("attention_bias", "mlp_bias")},
    "mistral": {},
    "phi3": {"fused": True},
    "qwen2": {"query_bias": True},
    "qwen3": {"qk_norm": True, "biases": ("attention_bias",)},
    "gemma": {"biases": ("attention_bias",)},
    "gemma2": {"norms": 4, "eager": True, "biases": ("attention_bias",)},
    "gemma3_text": {"norms": 4, "qk_norm": True, "biases": ("attention_bias",)},
    "mixtral": {},
    "qwen2_moe": {"query_bias": True},
    "qwen3_moe": {"qk_norm": True, "biases": ("attention_bias",)},
    "deepseek_v3": {"biases": ("attention_bias",)},
}
# Models that also see: the family of their text tower, where its sizes stand at the top of the configuration.
_TEXT_TOWERS = {"qwen2_vl": "qwen2", "qwen2_5_vl": "qwen2", "qwen2_vl_text": "qwen2", "qwen2_5_vl_text": "qwen2"}
UNKNOWN_MARGIN = 0.5  # of a prediction for an architecture that is treated like Llama; our judgement
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


@dataclass(frozen=True)
class Experts:
    """A mixture of experts in the place of a feed-forward part.

    Attributes:
        count, active: experts in a block; of these, how many a token goes through.
        size: hidden units of each.
        shared: hidden units of the part that every token goes through besides.
        layers: how many blocks have experts; the others have a plain feed-forward part.
        extra: weights of a block beyond router, experts and shared part.
    """

    count: int
    active: int
    size: int
    shared: int
    layers: int
    extra: int = 0


@dataclass(frozen=True)
class Latents:
    """Attention over compressed keys and values (MLA): sizes of the latents, and of a head's parts."""

    query: int  # 0: queries are not compressed
    key_value: int
    rotated: int  # of a head's query and key; the key's is shared by all heads
    plain: int
    value: int


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
        matrices: (inputs, outputs) of each matrix of a block, in the order they are used; experts are no such matrices.
        blocks_parameters, outer_parameters: of all blocks; of all that is in no block, embeddings first of all.
        fused: queries, keys and values come from one matrix, which stays as a whole.
        experts, latents: of a mixture of experts, and of latent attention.
        eager, attention_cap, logit_cap: attention keeps its scores, and these, or the logits, go through a tanh.
        windowed, window: how many blocks look at the last `window` tokens only.
        margin: how far off, as a share, a prediction for it can be; 0.1 where readings stand behind it.
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
    blocks_parameters: int
    outer_parameters: int
    fused: bool = False
    experts: Experts | None = None
    latents: Latents | None = None
    eager: bool = False
    attention_cap: bool = False
    logit_cap: bool = False
    windowed: int = 0
    window: int = 0
    margin: float = 0.1

    @property
    def parameters(self) -> int:
        """Weights of the whole model, a tied embedding counted once."""
        return self.blocks_parameters + self.outer_parameters

    @property
    def exact(self) -> bool:
        """Whether the parameters are those of a known architecture, and the prediction is held to readings."""
        return self.margin <= 0.1

    @property
    def block_parameters(self) -> float:
        """Of one block, on average where some have experts and some have not."""
        return self.blocks_parameters / self.layers

    @property
    def query_width(self) -> int:
        return self.heads * ((self.latents.plain + self.latents.rotated) if self.latents else self.head_size)

    @property
    def key_width(self) -> int:
        return self.query_width if self.latents else self.kv_heads * self.head_size

    @property
    def sparse_layers(self) -> int:
        return self.experts.layers if self.experts else 0

    @property
    def dense_layers(self) -> int:
        return self.layers - self.sparse_layers

    @cached_property
    def linear_matrices(self) -> list[tuple[int, int]]:
        """(inputs, outputs) of every matrix of every block that adapters can be put on; experts' are not."""
        attention, feedforward = self.matrices[:-3], self.matrices[-3:]
        if not self.gated or not self.experts:
            return [*self.matrices] * self.layers
        shared = self.experts.shared
        of_shared = [(self.width, shared), (self.width, shared), (shared, self.width)] if shared else []
        return [*attention] * self.layers + [*feedforward] * self.dense_layers + of_shared * self.sparse_layers

    @cached_property
    def adapter_parameters(self) -> int:
        """Weights of adapters of rank 1 on all of `linear_matrices`."""
        return sum(inputs + outputs for inputs, outputs in self.linear_matrices)

    @cached_property
    def matrix_parameters(self) -> int:
        """Weights of all blocks' matrices, experts among them."""
        of_experts = 3 * self.width * self.experts.size * self.experts.count * self.sparse_layers if self.experts else 0
        return sum(inputs * outputs for inputs, outputs in self.linear_matrices) + of_experts


def read_architecture(source: Mapping | str | Path) -> Architecture:
    """The sizes of a model.

    Args:
        source: a configuration as a dictionary, a key of `KNOWN`, a `config.json`, a folder that holds one,
            or a Hub id (which is fetched: a few kilobytes).

    Raises:
        UserError: where there is no such file, or the configuration is not one of a causal language model.
    """
    config = source if isinstance(source, Mapping) else KNOWN.get(str(source).lower()) or _read_config(source)
    family = config.get("model_type")
    if "text_config" in config:  # the language model in a model that also sees
        default = _defaults(family).get("text_config", {})
        config = {**default, **config["text_config"]}
        family = config.get("model_type")
    family = _TEXT_TOWERS.get(family, family)
    config = {**_defaults(family), **config}
    try:
        if family == "gpt2":
            return _gpt2(config)
        if family in _FAMILY:
            return _llama(family, {**_FAMILY[family], **config})
        return _unknown(config)
    except (KeyError, TypeError) as error:
        raise UserError(
            f"config: expected a causal language model's, with vocab_size, hidden_size, num_hidden_layers, …; "
            f"this one (model_type {family!r}) lacks {error}"
        ) from error


@cache
def _class_defaults() -> dict:
    return json.loads((Path(__file__).parent / "class_defaults.json").read_text(encoding="utf-8"))


def _defaults(family: str | None) -> dict:
    """What transformers' class of a `model_type` supplies where a configuration says nothing."""
    return _class_defaults().get(family, {})


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
    return dataclasses.replace(closest, margin=1 / 3)


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
    layers, biases = c["num_hidden_layers"], {name for name in c.get("biases", ()) if c.get(name)}
    kv_heads, head_size = c.get("num_key_value_heads") or heads, c.get("head_dim") or width // heads
    latents = _latents(c) if c.get("kv_lora_rank") else None
    query, key = heads * head_size, kv_heads * head_size
    norms, qk_norm = c.get("norms", 2), c.get("qk_norm", False)
    if latents:
        attention, qk_norm = _latent_matrices(width, heads, latents), False
        block = latents.query + latents.key_value + width * norms
        if "attention_bias" in biases:
            block += latents.query + latents.key_value + latents.rotated + width
    else:
        attention = ((width, query), (width, key), (width, key), (query, width))
        block = norms * width + (2 * head_size if qk_norm else 0)
        block += query + 2 * key if biases & {"attention_bias"} or c.get("query_bias") else 0
        block += width if "attention_bias" in biases else 0
    block += 2 * hidden + width if "mlp_bias" in biases else 0
    feedforward = ((width, hidden), (width, hidden), (hidden, width))
    experts = _experts(family, c)
    dense = layers - (experts.layers if experts else 0)
    blocks = layers * (block + sum(a * b for a, b in attention)) + dense * 3 * width * hidden
    if experts:
        blocks += experts.layers * (width * (3 * (experts.count * experts.size + experts.shared) + experts.count))
        blocks += experts.layers * experts.extra
    tied = c.get("tie_word_embeddings", False)
    windowed = _windowed(family, c, layers)
    return Architecture(
        family=family,
        layers=layers,
        width=width,
        heads=heads,
        kv_heads=kv_heads,
        head_size=head_size,
        feedforward=hidden,
        vocabulary=c["vocab_size"],
        tied=tied,
        gated=True,
        activation=c.get("hidden_activation") or c.get("hidden_act", "silu"),
        norms=norms,
        qk_norm=qk_norm,
        matrices=(*attention, *feedforward),
        blocks_parameters=blocks,
        outer_parameters=c["vocab_size"] * width * (1 if tied else 2) + width,
        fused=c.get("fused", False),
        experts=experts,
        latents=latents,
        eager=c.get("eager", False),
        attention_cap=bool(c.get("attn_logit_softcapping")),
        logit_cap=bool(c.get("final_logit_softcapping")),
        windowed=windowed,
        window=(c.get("sliding_window") or 0) if windowed else 0,
    )


def _latents(c: Mapping) -> Latents:
    sizes = c["kv_lora_rank"], c["qk_rope_head_dim"], c["qk_nope_head_dim"], c["v_head_dim"]
    return Latents(c.get("q_lora_rank") or 0, *sizes)


def _latent_matrices(width: int, heads: int, m: Latents) -> tuple[tuple[int, int], ...]:
    query = heads * (m.plain + m.rotated)
    queries = ((width, m.query), (m.query, query)) if m.query else ((width, query),)
    keys = ((width, m.key_value + m.rotated), (m.key_value, heads * (m.plain + m.value)))
    return (*queries, *keys, (heads * m.value, width))


def _experts(family: str, c: Mapping) -> Experts | None:
    width, layers = c["hidden_size"], c["num_hidden_layers"]
    if family == "mixtral":
        return Experts(c["num_local_experts"], c["num_experts_per_tok"], c["intermediate_size"], 0, layers)
    if family == "deepseek_v3":
        sparse = layers - min(c["first_k_dense_replace"], layers)
        size, shared = c["moe_intermediate_size"], c["n_shared_experts"]
        return Experts(c["n_routed_experts"], c["num_experts_per_tok"], size, size * shared, sparse)
    if family in ("qwen2_moe", "qwen3_moe"):
        step, dense = c["decoder_sparse_step"], set(c.get("mlp_only_layers") or ())
        sparse = sum((i + 1) % step == 0 and i not in dense for i in range(layers)) if c["num_experts"] else 0
        shared = c["shared_expert_intermediate_size"] if family == "qwen2_moe" else 0
        extra = width if shared else 0  # the gate of the shared part
        return Experts(c["num_experts"], c["num_experts_per_tok"], c["moe_intermediate_size"], shared, sparse, extra)
    return None


def _windowed(family: str, c: Mapping, layers: int) -> int:
    """How many blocks see a window of tokens only."""
    if not c.get("sliding_window"):
        return 0
    kinds = c.get("layer_types")
    if kinds:
        return sum(kind == "sliding_attention" for kind in kinds)
    if family.startswith("qwen"):
        return max(0, layers - c.get("max_window_layers", 0)) if c.get("use_sliding_window") else 0
    if family == "gemma2":
        return (layers + 1) // 2
    if family == "gemma3_text":
        pattern = c.get("sliding_window_pattern") or 6
        return sum((i + 1) % pattern != 0 for i in range(layers))
    return layers


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
        blocks_parameters=c["n_layer"] * (sum(a * b + b for a, b in matrices) + 4 * width),
        outer_parameters=embeddings + 2 * width,
    )


def _unknown(config: Mapping) -> Architecture:
    """Llama's shape from the usual field names, with the parameters counted on the meta device."""
    from lessons_lib.models.making import from_config

    like_llama = _llama(config["model_type"], config)
    counted = sum(p.numel() for p in from_config(dict(config), device="meta").parameters())
    return dataclasses.replace(
        like_llama, blocks_parameters=counted - like_llama.outer_parameters, margin=UNKNOWN_MARGIN
    )
