"""Hugging Face causal language models: load one, make a small new one, sample from it.

The only module that imports `transformers`, and that only when a model or a tokenizer is asked for: it takes
seconds. It knows nothing of preferences, methods or the lab.
`load` may fetch from the Hugging Face Hub, and says so when the Hub cannot be reached.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tqdm.auto import tqdm

from lessons_lib.errors import UserError
from lessons_lib.logps import IGNORE_INDEX, padded_batch, sequence_logps

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

ARCHITECTURES = ("gpt2", "llama", "qwen2")


def load(
    path_or_id: str | Path, *, dtype: torch.dtype = torch.float32
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A causal language model and its tokenizer, from a folder or from the Hugging Face Hub.

    Args:
        path_or_id: a folder written by ``save_pretrained``, or a Hub id such as ``"Qwen/Qwen2.5-0.5B"``.
        dtype: of the weights. float32 whatever the checkpoint holds, because fine-tuning in pure
            bfloat16 loses small updates, and is slow on most CPUs.

    Returns:
        The model, in evaluation mode on the CPU, and a tokenizer that has a pad token (its end of
        text where the checkpoint names none; nothing here finds padding by looking for that id).

    Raises:
        UserError: no such folder or Hub id, no network, or not a causal language model.
    """
    import transformers

    source = str(path_or_id)
    if source.startswith((".", "/", "~")) and not Path(source).expanduser().is_dir():
        raise UserError(f"model: expected a folder written by save_pretrained, but there is no folder {source}")
    source = str(Path(source).expanduser()) if source.startswith("~") else source
    try:
        config = transformers.AutoConfig.from_pretrained(
            source
        )  # small, and first: an unknown id fails before any large download
        tokenizer = transformers.AutoTokenizer.from_pretrained(source)
        with _no_progress_bars() if Path(source).is_dir() else nullcontext():
            model, report = transformers.AutoModelForCausalLM.from_pretrained(
                source, config=config, dtype=dtype, output_loading_info=True
            )
    except OSError as error:  # what transformers raises for a missing file, an unknown id and no network alike
        raise UserError(
            f"model: cannot load {source}: {_first_sentence(error)} Check the spelling and, for a model on the Hub, "
            f"the network (and `hf auth login` if it is gated). One fetched before loads with HF_HUB_OFFLINE=1."
        ) from error
    except (ValueError, KeyError) as error:
        raise UserError(
            f"model: expected a causal language model such as GPT-2 or Llama, but transformers cannot load "
            f"{source} as one: {_first_sentence(error)}"
        ) from error
    if report["missing_keys"]:
        raise UserError(
            f"model: expected a causal language model, but {source} lacks the weights "
            f"{', '.join(sorted(report['missing_keys'])[:3])}; is it a classifier or an encoder?"
        )
    _check_causal(model.eval(), source)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model, tokenizer


def load_tokenizer(path_or_id: str | Path) -> PreTrainedTokenizerBase:
    """A tokenizer alone, from a folder or the Hub.

    Raises:
        UserError: no such folder or Hub id, no network, or no tokenizer there.
    """
    import transformers

    try:
        return transformers.AutoTokenizer.from_pretrained(str(Path(path_or_id).expanduser()))
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"tokenizer: cannot load {path_or_id}: {_first_sentence(error)} Name a folder that holds a tokenizer.json, "
            f"or a Hub id, and check the network."
        ) from error


def load_reward_model(path_or_id: str | Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A classifier with one output, in evaluation mode, and its tokenizer, from a folder or the Hub.

    Raises:
        UserError: no such folder or Hub id, no network, or another number of outputs.
    """
    import transformers

    source = str(Path(path_or_id).expanduser())
    try:
        model = transformers.AutoModelForSequenceClassification.from_pretrained(source).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"reward model: cannot load {path_or_id}: {_first_sentence(error)} Name a folder that holds one, or a Hub "
            f"id, and check the network."
        ) from error
    if model.config.num_labels != 1:
        raise UserError(f"reward model: expected one output, got {model.config.num_labels} from {path_or_id}")
    return model, tokenizer


def save(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: str | Path,
    weights: dict[str, torch.Tensor] | None = None,
) -> None:
    """Write both to `folder`, from where `load`, or transformers' own ``from_pretrained``, reads them.

    `weights` stand in for the model's own where those are divided among processes (`sharding.whole_weights`).
    """
    with _no_progress_bars():
        model.save_pretrained(folder, state_dict=weights)
    tokenizer.save_pretrained(folder)


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
        return transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()


def load_config(path_or_id: str | Path) -> dict:
    """A model's configuration alone, from a folder or the Hub: a few kilobytes, no weights.

    Raises:
        UserError: no such folder or Hub id, no network, or a configuration that transformers does not know.
    """
    import transformers

    try:
        return transformers.AutoConfig.from_pretrained(str(path_or_id)).to_dict()
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"model: cannot load the configuration of {path_or_id}: {_first_sentence(error)} Check the spelling and "
            f"the network, or name a config.json that you have."
        ) from error


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
        raise UserError(f"model: cannot build a causal language model: {_first_sentence(error)}") from error


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


@torch.no_grad()
def sample(
    model: PreTrainedModel,
    prompt_ids: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    eos_id: int,
    seed: int,
    temperature: float = 1.0,
    batch_size: int = 512,
    progress: bool = False,
) -> list[list[int]]:
    """One sampled response for each prompt, from the model's full distribution (no top-k, no top-p).

    Each response draws its own row of uniform random numbers from `seed` and inverts the model's
    cumulative distribution with them. It therefore does not depend on which prompts share its batch
    (rounding aside), and two models sampled with one seed face the same luck.

    Args:
        model: a causal language model on any device; its training mode is left as it was.
        prompt_ids: token ids of each prompt, not necessarily of equal length.
        max_new_tokens: longest response, its end-of-text token included.
        eos_id: a response ends after this token; one that never emits it has `max_new_tokens` tokens.
        seed: same seed, same model, same prompts: same responses.
        temperature: > 0; 1 samples the model as it is.
        batch_size: prompts decoded side by side.
        progress: show a progress bar.

    Returns:
        For each prompt the ids of its response, the end-of-text token included where it came.
    """
    if not temperature > 0:
        raise ValueError(f"temperature: expected a number above 0, got {temperature}")
    if not all(len(prompt) for prompt in prompt_ids):
        raise ValueError("prompt_ids: expected at least one token in each prompt; begin with the bos token")
    uniforms = torch.rand(
        len(prompt_ids), max_new_tokens, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    responses = []
    with _evaluating(model):
        for start in tqdm(range(0, len(prompt_ids), batch_size), desc="sampling", disable=not progress):
            rows = slice(start, start + batch_size)
            responses += _sample_batch(model, prompt_ids[rows], uniforms[rows], eos_id, temperature)
    return responses


@contextmanager
def _evaluating(model: PreTrainedModel):
    """Evaluation mode (no dropout) inside, the mode of before after it."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def _sample_batch(model, prompt_ids, uniforms, eos_id: int, temperature: float) -> list[list[int]]:
    """Decode one batch with a key-value cache; a row leaves the cache when its response has ended."""
    input_ids, mask = _left_pad(prompt_ids, model.device)
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    responses: list[list[int]] = [[] for _ in prompt_ids]
    alive = torch.arange(len(prompt_ids))
    cache = None
    for step in itertools.count():
        output = model(input_ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True)
        tokens = _draw(output.logits[:, -1].cpu(), uniforms[alive, step], temperature)
        for row, token in zip(alive.tolist(), tokens.tolist(), strict=True):
            responses[row].append(token)
        keep = (tokens != eos_id).nonzero().flatten()
        if step + 1 == uniforms.shape[1] or not len(keep):
            return responses
        cache, alive, on_device = output.past_key_values, alive[keep], keep.to(model.device)
        if len(keep) < len(tokens):
            cache.batch_select_indices(on_device)
        input_ids = tokens[keep].unsqueeze(1).to(model.device)
        mask = torch.nn.functional.pad(mask[on_device], (0, 1), value=1)
        positions = positions[on_device, -1:] + 1


@torch.no_grad()
def score(
    model: PreTrainedModel,
    prompt_ids: Sequence[Sequence[int]],
    response_ids: Sequence[Sequence[int]],
    *,
    average: bool = False,
    batch_size: int = 128,
) -> torch.Tensor:
    """The log-probability of each response after its prompt, without gradient.

    Args:
        model: a causal language model on any device; its training mode is left as it was.
        prompt_ids, response_ids: token ids, of any lengths, at least one token each.
        average: False: **sum** over the response's tokens, in nats. True: **average**, in nats per token.
        batch_size: sequences scored side by side; those of like length stand together.

    Returns:
        (n,) on the CPU, in the order of the prompts.
    """
    with _evaluating(model):
        return _over_batches(
            lambda input_ids, labels: sequence_logps(model(input_ids).logits, labels, average=average),
            prompt_ids,
            response_ids,
            batch_size,
            model.device,
        )


@torch.no_grad()
def divergence(
    model: PreTrainedModel,
    reference: PreTrainedModel,
    prompt_ids: Sequence[Sequence[int]],
    response_ids: Sequence[Sequence[int]],
    *,
    batch_size: int = 128,
) -> torch.Tensor:
    """How far the model's next-token distributions are from the reference's along each response.

    ``Σ_t KL(π(·|x, y_<t) ‖ π_ref(·|x, y_<t))``. Over responses that the model itself sampled, its mean estimates
    the KL divergence of the two models' responses, as the mean of ``log π(y|x) − log π_ref(y|x)`` does, with
    less noise, and never below 0.

    Args:
        model, reference: causal language models on one device.
        prompt_ids, response_ids, batch_size: as in `score`.

    Returns:
        (n,) on the CPU, in nats, summed over each response's tokens.

    Reference:
        Amini, Vieira and Cotterell 2025, arXiv 2504.10637 (the Rao-Blackwellized estimator).
    """

    def measure(input_ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        logps, reference_logps = (m(input_ids).logits[:, :-1].log_softmax(dim=-1) for m in (model, reference))
        by_token = (logps.exp() * (logps - reference_logps)).sum(dim=-1)  # (batch, length − 1)
        return by_token.where(labels[:, 1:] != IGNORE_INDEX, 0).sum(dim=1)

    with _evaluating(model), _evaluating(reference):
        return _over_batches(measure, prompt_ids, response_ids, batch_size, model.device)


def _over_batches(
    measure: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], prompt_ids, response_ids, batch_size: int, device
) -> torch.Tensor:
    """`measure` of (input ids, labels), one number a row, in batches of rows of like length; in the rows' own order."""
    order = sorted(range(len(prompt_ids)), key=lambda row: len(prompt_ids[row]) + len(response_ids[row]))
    numbers = torch.empty(len(order))
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        input_ids, labels = padded_batch([prompt_ids[row] for row in rows], [response_ids[row] for row in rows])
        numbers[rows] = measure(input_ids.to(device), labels.to(device)).float().cpu()
    return numbers


def layers_of(model) -> list[torch.nn.Module]:
    """The blocks that a transformer repeats, in their order; none for a model that is not transformers' own."""
    from transformers.modeling_layers import GradientCheckpointingLayer  # the base of all of them

    return [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]


@contextmanager
def attention_by(function, model):
    """Inside, `function` computes attention in the model's layers, and nobody makes a mask for it.

    It takes the arguments of transformers' attention functions; what the model's call gets beyond its own
    arguments, it gets too.
    """
    import transformers

    config = getattr(model, "module", model).config  # `accelerate` wraps the model where there are many processes
    before = config._attn_implementation
    transformers.AttentionInterface.register(function.__qualname__, function)
    config._attn_implementation = function.__qualname__
    try:
        yield
    finally:
        config._attn_implementation = before


def _draw(logits: torch.Tensor, uniforms: torch.Tensor, temperature: float) -> torch.Tensor:
    """Invert each row's cumulative distribution at its uniform number: (rows, vocabulary), (rows,) -> (rows,)."""
    cumulative = (logits.double() / temperature).softmax(dim=1).cumsum(dim=1)
    targets = uniforms * cumulative[:, -1]  # the last entry is 1 up to rounding: scaled, the search cannot fall off
    return torch.searchsorted(cumulative, targets.unsqueeze(1), right=True).squeeze(1)


def _left_pad(prompt_ids: Sequence[Sequence[int]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Prompts of any lengths as one matrix that ends where each prompt ends, and its mask, made from the lengths."""
    longest = max(len(prompt) for prompt in prompt_ids)
    input_ids = torch.zeros(len(prompt_ids), longest, dtype=torch.long)
    mask = torch.zeros_like(input_ids)
    for row, prompt in enumerate(prompt_ids):
        input_ids[row, longest - len(prompt) :] = torch.as_tensor(prompt)
        mask[row, longest - len(prompt) :] = 1
    return input_ids.to(device), mask.to(device)


@contextmanager
def _no_progress_bars():
    """No bar for reading or writing weights on this machine's disk: in a notebook it is noise."""
    import transformers

    shown = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers.utils.logging.enable_progress_bar()


@torch.no_grad()
def _check_causal(model: PreTrainedModel, source: str) -> None:
    """Raise if the first token's prediction changes with the second token, as in a masked language model."""
    first, second = model(torch.tensor([[0, 1], [0, 2]], device=model.device)).logits[:, 0]
    if not torch.allclose(first, second, atol=1e-3, equal_nan=True):
        raise UserError(
            f"model: expected a causal language model, but the predictions of {source} depend on tokens "
            f"that come later; is it a masked language model such as BERT?"
        )


def _first_sentence(error: Exception) -> str:
    return str(error).strip().split("\n")[0].partition(". ")[0].rstrip(".") + "."
