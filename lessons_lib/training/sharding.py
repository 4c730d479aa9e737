"""Training in many processes, each of which may hold a part of the weights only (FSDP).

`accelerate launch` says how many processes there are and whether they shard; its settings for this project's loop
lie in `lessons_lib/training/launch/`. A sharded parameter is a `DTensor`: every process holds a slice of it, and
whoever wants the whole must be joined by all the others, or they wait for each other forever.
"""

from __future__ import annotations

import os

import torch
from accelerate import Accelerator, FullyShardedDataParallelPlugin, PartialState
from accelerate.utils import DistributedType
from torch.distributed.tensor import DTensor

from lessons_lib.errors import UserError


def make_accelerator() -> Accelerator:
    """The accelerator of this process, on a GPU where there is one.

    `accelerate` 1.15 shards on GPUs only, and on a CPU trains whole copies without a word. Here CPU processes shard
    too, so that a configuration can be tried, and tested, where there is no GPU.

    Raises:
        UserError: for FSDP's first version, which replaces the parameters that the optimizer knows.
    """
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    accelerator.native_amp = False  # `TrainConfig` says the precision: not what a trainer before us left in accelerate
    state = accelerator.state
    if os.environ.get("ACCELERATE_USE_FSDP") == "true" and state.distributed_type == DistributedType.MULTI_CPU:
        state.fsdp_plugin = FullyShardedDataParallelPlugin()  # reads what `accelerate launch` left in the environment
        state.distributed_type = PartialState().distributed_type = DistributedType.FSDP  # each copies the other's
    if is_sharded(accelerator) and not accelerator.is_fsdp2:
        raise UserError("fsdp_version: expected 2, got 1; set fsdp_version: 2 in the configuration of accelerate")
    return accelerator


def is_sharded(accelerator: Accelerator) -> bool:
    """Whether `accelerator.prepare` divides a model among the processes."""
    return accelerator.distributed_type == DistributedType.FSDP


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor, gathered from all processes where each holds a slice; every process must ask for it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def whole_weights(model: torch.nn.Module, accelerator: Accelerator) -> dict[str, torch.Tensor] | None:
    """All weights by name on the CPU of the main process, {} in the others; None where the model is not sharded.

    Every process must call it. One tensor at a time is whole on a device, and tied weights stay one tensor.
    """
    parameters = dict(model.named_parameters(remove_duplicate=False))
    if not any(isinstance(parameter, DTensor) for parameter in parameters.values()):
        return None
    weights, seen = dict[str, torch.Tensor](), dict[int, torch.Tensor]()
    for name, tensor in model.state_dict().items():
        known = id(parameters.get(name, tensor))
        if known not in seen:
            gathered = whole(tensor)
            seen[known] = gathered.cpu() if accelerator.is_main_process else gathered.new_empty(0)
        weights[name] = seen[known]
    return weights if accelerator.is_main_process else {}
