"""How to train: the settings of a run, and a method's record with those settings filled in.

Every check that needs neither data nor model happens here, before any work is done.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from lessons_lib._numbers import check_number
from lessons_lib.errors import UserError
from lessons_lib.methods import METHODS

if TYPE_CHECKING:
    import torch

BATCH_ORDERS = ("random", "sorted")
TRUNCATIONS = ("error", "keep_start", "keep_end", "keep_both", "drop")
SCHEDULES = ("linear", "cosine", "constant")


def _within(interval: str, default: Any) -> Any:
    return field(default=default, metadata={"interval": interval})


def _one_of(choices: tuple[str, ...]) -> Any:
    return field(default=choices[0], metadata={"choices": choices})


def _check(name: str, value: float, interval: str, *, whole: bool = False) -> None:
    try:
        check_number(name, value, interval)
    except ValueError as error:
        raise UserError(str(error)) from None
    if whole and not isinstance(value, int):
        raise UserError(f"{name}: expected a whole number in {interval}, got {value!r}")


@dataclass(frozen=True)
class TrainConfig:
    """How to train. The defaults are the lab's standard run: 1,000 pairs twice, in steps of 16.

    A pre-trained model of a billion parameters wants a learning rate near 1e-6, or 1e-5 with LoRA.

    Raises:
        UserError: naming the field, where a value is of the wrong type or out of its range.
    """

    hyperparameters: Mapping[str, float] = field(default_factory=dict)  # the loss's own, by name; the rest as usual
    average: bool | None = None  # log-probs averaged over tokens (True) or summed (False); None: as the method says
    nll_weight: float = _within("[0, inf)", 0.0)  # of the chosen response's NLL per token; holds the chosen response up

    batch_size: int = _within("[1, inf)", 16)  # rows a step, over all processes: pairs, or single responses for KTO
    rows_per_pass: int | None = _within("[1, inf)", None)  # of one forward pass; fewer need less memory. None: all
    batch_order: str = _one_of(BATCH_ORDERS)  # "sorted": rows of like length share a batch; less padding
    epochs: int = _within("[1, inf)", 2)  # passes over the data; many passes over few pairs over-optimize
    max_steps: int | None = _within("[1, inf)", None)  # the run's length instead of `epochs`
    seed: int = _within("[0, inf)", 0)  # fixes the batches and new adapters

    learning_rate: float = _within("(0, inf)", 2e-4)  # the peak; right for a model of about 50 thousand parameters
    schedule: str = _one_of(SCHEDULES)  # after the warm-up: straight to 0, along a cosine to 0, or no change
    warmup_steps: int = _within("[0, inf)", 10)  # of a linear rise, while AdamW's averages fill
    betas: tuple[float, float] = (0.9, 0.98)  # of AdamW; 0.98 averages over 50 steps, and short runs have 125
    weight_decay: float = _within("[0, inf)", 0.0)  # of AdamW; 0, as the reference already holds the model back
    max_grad_norm: float = _within("(0, inf)", 1.0)  # a longer gradient is scaled down to this length

    max_length: int | None = _within("[2, inf)", None)  # tokens, prompt + response; None: the model's context length
    truncation: str = _one_of(
        TRUNCATIONS
    )  # of longer rows: refuse, cut responses' ends, prompts' starts, or both; or drop
    append_eos: bool = True  # end responses with the end-of-sequence token, so that the model learns to stop

    lora_rank: int | None = _within("[1, inf)", None)  # train adapters of this rank; None: train all weights
    lora_alpha: float = _within("(0, inf)", 16.0)  # adapters are scaled by lora_alpha / lora_rank
    bf16: bool = False  # autocast to bfloat16: fast on recent GPUs, slow on most CPUs
    compile: bool = False  # fuse the layers' operators: half a minute of compiling, then faster steps, for long runs

    evaluate_every: int | None = _within("[1, inf)", None)  # steps; None: after the last step only
    checkpoint_dir: str | None = None  # keeps the run's state; the same call goes on from it
    save_every: int = _within("[1, inf)", 50)  # steps between two saved states
    token_dir: str | None = None  # a folder on disk for the rows' tokens, for many rows; None: kept in memory
    reference_cache: str | None = None  # a folder for reference log-probs; None: kept in memory only

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if value is None and "None" in item.type:
                continue
            if "choices" in item.metadata and value not in item.metadata["choices"]:
                raise UserError(f"{item.name}: expected one of {', '.join(item.metadata['choices'])}, got {value!r}")
            if "interval" in item.metadata:
                _check(item.name, value, item.metadata["interval"], whole=item.type.startswith("int"))
            if item.type.startswith("bool") and not isinstance(value, bool):
                raise UserError(f"{item.name}: expected True or False, got {value!r}")
        for beta in self.betas:
            _check("betas", beta, "[0, 1)")


STANDARD_RUN = TrainConfig()


class Objective(NamedTuple):
    """What the loop reads of a method, with the configuration's choices filled in."""

    loss: Callable
    inputs: tuple[str, ...]  # names of the tensors that the loss takes
    shape: str | None  # of its rows, "paired" or "unpaired"; None: either
    columns: tuple[str, ...]  # of the rows, each a response to score
    needs_reference: bool
    average: bool  # log-probs averaged over tokens, or summed
    hyperparameters: Mapping[str, float]


# Losses that stand in for a method's own: the method, and the loss's name in `training.variants`.
VARIANTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "rdpo": ("dpo", "robust_dpo_loss"),
        "kto_noref": ("kto", "kto_noref_loss"),
        "kto_zero": ("kto", "kto_zero_loss"),
    }
)


def takes_single_replies(method: str) -> bool:
    """Whether a method, or one of `VARIANTS`, trains on single replies with labels."""
    key = VARIANTS[method][0] if method in VARIANTS else method
    return key in METHODS and METHODS[key].data == "unpaired"


class SFTLoss(NamedTuple):
    """What supervised fine-tuning answers with: there are no rewards."""

    losses: torch.Tensor


def sft_loss(chosen_nll: torch.Tensor) -> SFTLoss:
    """Supervised fine-tuning: the mean NLL of the response's tokens, so that every row counts the same."""
    return SFTLoss(chosen_nll)


def objective_for(name: str, config: TrainConfig) -> Objective:
    """The record of a method, or of SFT, checked against the configuration before any work is done."""
    if name == "sft":
        own: tuple[str, ...] = ()
        objective = Objective(
            loss=sft_loss,
            inputs=("chosen_nll",),
            shape=None,
            columns=("chosen",),
            needs_reference=False,
            average=True,
            hyperparameters=config.hyperparameters,
        )
    elif name in METHODS:
        method = METHODS[name]
        own = tuple(method.hyperparameters)
        objective = Objective(
            loss=method.loss,
            inputs=method.inputs,
            shape=method.data,
            columns=("chosen", "rejected") if method.data == "paired" else ("completion",),
            needs_reference=method.needs_reference,
            average=method.average if config.average is None else config.average,
            hyperparameters=config.hyperparameters,
        )
    elif name in VARIANTS:
        objective = _variant(name, config)
        own = tuple(inspect.signature(objective.loss).parameters)[len(objective.inputs) :]
    else:
        raise UserError(f"method: expected one of {', '.join((*METHODS, *VARIANTS))} or sft, got {name!r}")
    foreign = sorted(config.hyperparameters.keys() - set(own))
    if foreign:
        raise UserError(f"hyperparameters: {name} has no {', '.join(foreign)}; its own are: {', '.join(own) or 'none'}")
    if config.nll_weight and "chosen" not in objective.columns:
        raise UserError(f"nll_weight: {name} takes single responses, and the NLL term needs chosen ones; leave it at 0")
    _try_loss(objective)
    return objective


def _variant(name: str, config: TrainConfig) -> Objective:
    """A method's record with another loss, which says itself what it takes."""
    from lessons_lib.training import variants

    key, loss = VARIANTS[name]
    objective, loss = objective_for(key, dataclasses.replace(config, hyperparameters={})), getattr(variants, loss)
    parameters = inspect.signature(loss).parameters.values()
    inputs = tuple(parameter.name for parameter in parameters if parameter.kind is not parameter.KEYWORD_ONLY)
    return objective._replace(
        loss=loss,
        inputs=inputs,
        needs_reference=any(name.startswith("reference") for name in inputs),
        hyperparameters=config.hyperparameters,
    )


def _try_loss(objective: Objective) -> None:
    """Let the loss itself refuse a hyper-parameter that is out of range."""
    import torch  # here, so that settings can be made and read without it

    tensors = {name: torch.zeros(1) for name in objective.inputs}
    scalars = {"kl": torch.zeros(()), "desirable": torch.tensor([True])}
    tensors |= {name: tensor for name, tensor in scalars.items() if name in tensors}
    try:
        objective.loss(**tensors, **objective.hyperparameters)
    except ValueError as error:
        raise UserError(f"hyperparameters: {error}") from None
