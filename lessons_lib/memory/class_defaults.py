"""What transformers' configuration classes supply where a published configuration says nothing, as a file.

    python -m lessons_lib.memory.class_defaults

The file lets `architecture` read such configurations without transformers; a test holds it to the installed classes.
"""

from __future__ import annotations

import json
from pathlib import Path

FILE = Path(__file__).parent / "class_defaults.json"
MODEL_TYPES = (
    "gpt2",
    "llama",
    "mistral",
    "phi3",
    "qwen2",
    "qwen3",
    "gemma",
    "gemma2",
    "gemma3_text",
    "mixtral",
    "qwen2_moe",
    "qwen3_moe",
    "deepseek_v3",
)
WITH_A_TEXT_TOWER = ("gemma3", "llava", "qwen2_vl", "qwen2_5_vl", "mistral3")
SIZES = {
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    *("num_key_value_heads", "head_dim", "tie_word_embeddings", "hidden_act", "hidden_activation"),
    *("attention_bias", "mlp_bias", "sliding_window", "use_sliding_window", "max_window_layers"),
    *("final_logit_softcapping", "attn_logit_softcapping", "max_position_embeddings"),
    *("n_embd", "n_layer", "n_head", "n_positions", "n_inner", "activation_function"),
    *("num_local_experts", "num_experts", "num_experts_per_tok", "moe_intermediate_size", "decoder_sparse_step"),
    *("shared_expert_intermediate_size", "n_routed_experts", "n_shared_experts", "first_k_dense_replace"),
    *("q_lora_rank", "kv_lora_rank", "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim"),
}


def of_the_installed_classes() -> dict:
    """Sizes by `model_type`, as the installed transformers has them; of a model that also sees, its text tower's."""
    from lessons_lib.models.making import default_config

    table = {model_type: _supplied(model_type) for model_type in MODEL_TYPES}
    for model_type in WITH_A_TEXT_TOWER:
        text = default_config(model_type)["text_config"]
        table[model_type] = {"text_config": {"model_type": text["model_type"], **_sizes(text)}}
    return table


def _supplied(model_type: str) -> dict:
    """Sizes that the class sets; those that it computes from others (a head's size, as a rule) are left out."""
    from lessons_lib.models.making import default_config

    usual = default_config(model_type)
    if "hidden_size" not in usual:
        return _sizes(usual)
    changed = {"hidden_size": 2 * usual["hidden_size"], "num_attention_heads": 4 * usual["num_attention_heads"]}
    other = default_config(model_type, **changed)
    return {k: v for k, v in _sizes(usual).items() if k in changed or other[k] == v}


def _sizes(config: dict) -> dict:
    return {name: value for name, value in sorted(config.items()) if name in SIZES}


if __name__ == "__main__":
    FILE.write_text(json.dumps(of_the_installed_classes(), indent=1) + "\n", encoding="utf-8")
