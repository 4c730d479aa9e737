"""New models and tokenizers, made on this machine: nothing is read and nothing is fetched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from lessons_lib._surroundings import suit_threads
from lessons_lib.errors import UserError
from lessons_lib.models.loading import first_sentence

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

ARCHITECTURES = ("gpt2", "llama", "qwen2")


def new_model(
    architecture: str,
    *,
    vocab_size: int,
    layers: int,
    width: int,
    heads: int,
    max_length: int,
    seed: int,
    feedforward: int | None = None,
    activation: str | None = None,
    bos_id: int | None = None,
    eos_id: int | None = None,
) -> PreTrainedModel:
    """A freshly initialized causal language model, in float32, without dropout, input and output embeddings tied.

    Args:
        architecture: "gpt2", "llama" or "qwen2".
        vocab_size: number of token ids.
        layers, width, heads: number of blocks, size of the residual stream, attention heads a block.
        max_length: longest sequence, prompt and response together, in tokens.
        seed: of the initial weights. The global random state is left as it was.
        feedforward: hidden units in each block's feed-forward part; 4 × width by default, and 8/3 × width
            for Llama and Qwen2, whose gate is a third matrix.
        activation: of the feed-forward part, by its name in transformers; the architecture's own by default.
        bos_id, eos_id: special tokens to note in the model's configuration.

    Raises:
        UserError: for an architecture that is not in the list.
    """
    import transformers

    tokens = dict(bos_token_id=bos_id, eos_token_id=eos_id)
    if architecture == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=vocab_size,
            n_layer=layers,
            n_embd=width,
            n_head=heads,
            n_positions=max_length,
            n_inner=feedforward or 4 * width,
            activation_function=activation or "gelu_new",
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            **tokens,
        )
    elif architecture in ("llama", "qwen2"):
        config = {"llama": transformers.LlamaConfig, "qwen2": transformers.Qwen2Config}[architecture](
            vocab_size=vocab_size,
            num_hidden_layers=layers,
            hidden_size=width,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            max_position_embeddings=max_length,
            intermediate_size=feedforward or round(8 * width / 3),
            hidden_act=activation or "silu",
            tie_word_embeddings=True,
            **tokens,
        )
    else:
        raise UserError(f"architecture: expected one of {', '.join(ARCHITECTURES)}, got {architecture!r}")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return suit_threads(transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval())


def default_config(model_type: str, **said) -> dict:
    """The configuration that transformers' class of a `model_type` has where nothing more is said."""
    import transformers

    return transformers.AutoConfig.for_model(model_type, **said).to_dict()


def from_config(config: dict, *, dtype: torch.dtype = torch.float32, device: str = "cpu") -> PreTrainedModel:
    """A freshly initialized causal language model of a configuration; device "meta" gives shapes without memory.

    Raises:
        UserError: where transformers knows no such `model_type`, or it has no causal language model.
    """
    import transformers

    fields = dict(config)
    try:
        known = transformers.AutoConfig.for_model(fields.pop("model_type", None), **fields)
        with torch.device(device):
            return transformers.AutoModelForCausalLM.from_config(known, dtype=dtype)
    except (ValueError, KeyError) as error:
        raise UserError(f"model: cannot build a causal language model: {first_sentence(error)}") from error


def word_level_tokenizer(words: Sequence[str], *, bos: str, eos: str, pad: str) -> PreTrainedTokenizerFast:
    """A tokenizer with one token a word: a word's id is its place in `words`; texts are split at white space.

    It adds no special tokens of its own, so the ids of a prompt and its response, tokenized together,
    are those of each, one after the other. It has no unknown token: a word outside `words` raises.

    Args:
        words: the vocabulary, `bos`, `eos` and `pad` among them.
        bos, eos, pad: the words that begin a text, end one, and fill a batch.
    """
    import transformers

    vocabulary = {word: index for index, word in enumerate(words)}
    missing = {bos, eos, pad} - vocabulary.keys()
    if missing or len(vocabulary) != len(words):
        raise ValueError(f"words: expected distinct words with {bos}, {eos} and {pad} among them, missing {missing}")
    tokenizer = Tokenizer(WordLevel(vocabulary))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=bos, eos_token=eos, pad_token=pad)
