"""What test_processes launches: every case is trained by as many processes as `accelerate launch` starts.

``accelerate launch … tests/runs_in_processes.py FOLDER`` writes FOLDER/CASE/history.csv, the model beside
it, and FOLDER/processes.json. The test trains the same cases in its own process, by the same functions.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from contextlib import contextmanager
from pathlib import Path

import tiny
import torch
from accelerate import Accelerator
from torch.distributed.fsdp import FSDPModule

from lessons_lib.models.loading import save
from lessons_lib.training import loop
from lessons_lib.training.config import TrainConfig
from lessons_lib.training.loop import TrainResult, train
from lessons_lib.training.sharding import is_sharded, make_accelerator, whole_weights

# Batches of 7, 7, 7 and 3: two processes take 4 and 3 rows of the first ones, 2 and 1 of the last. The 7 passes that
# score the reference are an odd number too.
CONFIG = TrainConfig(batch_size=7, learning_rate=5e-3, warmup_steps=2, epochs=3)
CASES = {
    "dpo": ("dpo", {"rows_per_pass": 1}),
    "kto": ("kto", {"rows_per_pass": 2}),
    "adapters": ("sft", {"lora_rank": 2}),
    "another_reference": ("ipo", {}),
    "stopped": ("dpo", {"save_every": 3}),
}


class Stop(Exception):
    pass


def run(case: str, folder: Path | None = None) -> TrainResult:
    """Train one case; "stopped" breaks off after step 7 and goes on behind the state of step 6."""
    method, settings = CASES[case]
    config = dataclasses.replace(CONFIG, **settings)
    if case != "stopped" or folder is None:
        return _train(case, method, config)
    config = dataclasses.replace(config, checkpoint_dir=str(folder / "state"), evaluate_every=1)
    try:
        _train(case, method, config, _stop)
    except Stop:
        return _train(case, method, config)
    raise AssertionError("expected to be stopped")


def _stop(model, step: int) -> dict:
    if step == 7:
        raise Stop
    return {}


def _train(case: str, method: str, config: TrainConfig, evaluate=None) -> TrainResult:
    reference = tiny.model("llama", seed=1) if case == "another_reference" else None
    data, model = tiny.rows_for(method, 24), tiny.model("llama")
    quiet = {"evaluate": evaluate, "progress": False}
    return train(model, data, method, config, tokenizer=tiny.tokenizer(), reference=reference, **quiet)


@contextmanager
def counted_gradients():
    """How many numbers of gradients this process holds after each pass: its slices, and what is whole."""
    counts, backward = [], Accelerator.backward

    def counting(self, loss, **keywords):
        backward(self, loss, **keywords)
        counts.append(sum(map(_held_gradients, self._models)))

    Accelerator.backward = counting
    try:
        yield counts
    finally:
        Accelerator.backward = backward


def _held_gradients(model) -> int:
    gradients = [getattr(p.grad, "_local_tensor", p.grad) for p in model.parameters()]
    for module in model.modules():
        group = module._get_fsdp_state()._fsdp_param_group if isinstance(module, FSDPModule) else None
        for parameter in group.fsdp_params if group else ():
            whole = getattr(parameter, "_unsharded_param", None)
            gradients += [getattr(whole, "grad", None), parameter.unsharded_accumulated_grad]
    return sum({g.data_ptr(): g.numel() for g in gradients if g is not None}.values())  # tied ones once


def gradients_after_a_pass(waiting: bool) -> list[int]:
    """What every process holds after the first of two passes; waiting: as trainers do that divide at the end."""
    sharded = loop.is_sharded
    loop.is_sharded = (lambda accelerator: False) if waiting else sharded
    try:
        with counted_gradients() as counts:
            _train("dpo", "dpo", dataclasses.replace(CONFIG, batch_size=8, rows_per_pass=2, max_steps=1))
    finally:
        loop.is_sharded = sharded
    return make_accelerator().gather(torch.tensor([counts[0]])).tolist()


def main(folder: Path) -> None:
    gradients = {"ours": gradients_after_a_pass(waiting=False), "waiting": gradients_after_a_pass(waiting=True)}
    for case in CASES:
        result = run(case, folder)
        accelerator = make_accelerator()
        weights = whole_weights(result.model, accelerator)
        local = [getattr(parameter, "_local_tensor", parameter).numel() for parameter in result.model.parameters()]
        held = accelerator.gather(torch.tensor([sum(local)], device=accelerator.device)).tolist()
        if accelerator.is_main_process:
            save(result.model, tiny.tokenizer(), folder / case, weights)
            result.history.to_csv(folder / case / "history.csv", index=False)
            facts = {"held": held, "sharded": is_sharded(accelerator), "backend": torch.distributed.get_backend()}
            facts["gradients"] = gradients
            (folder / "processes.json").write_text(json.dumps(facts))
    accelerator.end_training()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
