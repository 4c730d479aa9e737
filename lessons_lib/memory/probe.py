"""Measures the peak memory of one training step: the step that `lessons_lib.memory.estimate` predicts, run for real.

`measure` starts a process of its own, makes a new model there from its configuration, takes two steps (the
optimizer's states exist from the second on) on random token ids, and reads the peak:

* on CUDA, `torch.cuda.max_memory_allocated`;
* on a CPU, where PyTorch keeps no such counter, the running sum of every block that PyTorch's CPU allocator
  hands out and takes back, as its profiler records them from before the model is made. It holds tensors and
  the temporaries of PyTorch's kernels; not the scratch memory of MKL and oneDNN, nor the interpreter.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

from tqdm.auto import tqdm

from lessons_lib.errors import UserError
from lessons_lib.memory.architecture import read_architecture
from lessons_lib.memory.estimate import Setting, estimate

READINGS = Path(__file__).parent / "readings.json"
TOO_LONG = "too long"
_VERSIONED = ("torch", "transformers", "peft")


@dataclass(frozen=True)
class Reading:
    """One measured step: the configuration and setting it ran with, and its peak in bytes."""

    config: dict
    setting: dict  # the fields of `Setting` that differ from its defaults, `model` aside
    peak_bytes: int
    device: str
    source: str  # what was read
    machine: str
    versions: dict
    date: str

    @property
    def predicted_bytes(self) -> float:
        return estimate(Setting(read_architecture(self.config), **self.setting)).peak_bytes

    @property
    def error(self) -> float:
        """Predicted over measured, minus 1."""
        return self.predicted_bytes / self.peak_bytes - 1


def measure(config: dict, setting: dict, *, device: str = "cpu", timeout_s: float = 600) -> Reading:
    """Run one step in a process of its own and read its peak.

    Args:
        config: a Hugging Face configuration; dropout in it is set to 0.
        setting: fields of `Setting`, without `model`. What runs on one device only: no sharding, no 4-bit
            weights, no chunked logits, no attention mask, AdamW.
        device: "cpu" or "cuda".
        timeout_s: seconds after which the process is stopped.

    Raises:
        UserError: for a setting that does not run on one device, or if the process fails, with its last line.
    """
    return measure_all(config, [setting], device=device, timeout_s=timeout_s)[0]


def measure_all(config: dict, settings: list[dict], *, device: str = "cpu", timeout_s: float = 600) -> list[Reading]:
    """`measure` for several settings of one model, in turn in one process, which starts but once, under a bar."""
    for setting in settings:
        _check_measurable(Setting(read_architecture(config), **setting))
    job = json.dumps({"config": config, "settings": settings, "device": device})
    with tempfile.TemporaryFile("w+") as complaints:
        rows, code = _run_elsewhere(job, len(settings), complaints, timeout_s)
        complaints.seek(0)
        said = complaints.read()
    if code == TOO_LONG:
        raise UserError(f"measure: the step took longer than {timeout_s:g} s; choose a smaller one")
    if code:
        reason = (said.strip().splitlines() or ["no message: was it killed for lack of memory?"])[-1]
        raise UserError(f"measure: the step failed: {reason}")
    return [Reading(config=config, setting=setting, **row) for setting, row in zip(settings, rows, strict=True)]


def _run_elsewhere(job: str, turns: int, complaints, timeout_s: float) -> tuple[list[dict], int | str]:
    """The rows that a process of this module prints, one a setting, and its exit code, or TOO_LONG."""
    command, pipe = [sys.executable, "-m", "lessons_lib.memory.probe"], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=complaints, text=True) as process:
        clock = threading.Timer(timeout_s, process.kill)
        clock.start()
        with suppress(BrokenPipeError):  # it ended at once; its exit code tells
            process.stdin.write(job)
            process.stdin.close()
        answers = tqdm(process.stdout, "measuring, in a process of its own", turns, unit="run")
        rows = [json.loads(answer) for answer in answers]
        code = process.wait()
        in_time = clock.is_alive()
        clock.cancel()
    return rows, code if in_time else TOO_LONG


def readings() -> list[Reading]:
    """The readings that are kept with the project."""
    return [Reading(**row) for row in json.loads(READINGS.read_text(encoding="utf-8"))]


def as_row(reading: Reading) -> dict:
    """A reading as a row of a table: model, setting, measured and predicted peak in MB (1e6 bytes), error."""
    model = read_architecture(reading.config)
    return {
        "model": f"{model.family}, {model.parameters / 1e6:.1f} M",
        "setting": ", ".join(name if value is True else f"{name} {value}" for name, value in reading.setting.items()),
        "device": reading.device,
        "measured_MB": round(reading.peak_bytes / 1e6, 1),
        "predicted_MB": round(reading.predicted_bytes / 1e6, 1),
        "error": f"{reading.error:+.1%}",
    }


def keep(new: list[Reading]) -> None:
    """Add readings to the file; one with the same configuration, setting and device is replaced."""

    def key(reading):
        return json.dumps([reading.config, reading.setting, reading.device], sort_keys=True)

    rows = {key(r): r for r in [*(readings() if READINGS.exists() else []), *new]}
    READINGS.write_text(json.dumps([asdict(r) for r in rows.values()], indent=1, ensure_ascii=False) + "\n", "utf-8")


def _check_measurable(setting: Setting) -> None:
    wrong = {
        "gpus": setting.gpus > 1,
        "precision": setting.precision == "nf4",
        "logits": setting.logits != "full",
        "optimizer": setting.optimizer != "adamw",
        "masked": setting.masked,
        "checkpointing": setting.checkpointing and setting.packed,  # blocks computed again would not be packed
    }
    for name, is_wrong in wrong.items():
        if is_wrong:
            raise UserError(f"measure: {name}={getattr(setting, name)!r} is arithmetic only; measure without it")


def _run_all(config: dict, settings: list[dict], device: str) -> Iterator[dict]:
    """What the process does; what one setting leaves behind is gone before the next one's recorder starts."""
    for setting in settings:
        yield _run(config, setting, device)
        gc.collect()


def _run(config: dict, setting: dict, device: str) -> dict:
    """Two steps under the recorder."""
    import torch

    setting = Setting(read_architecture(config), **setting)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with recorder(device) as recorded:
        step = _build(config, setting, device)
        for _ in range(2):
            step()
    return {
        "peak_bytes": recorded.peak_bytes,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "source": recorded.source,
        "machine": f"{platform.system()} {platform.machine()}",
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _VERSIONED}},
        "date": date.today().isoformat(),
    }


def _build(config: dict, setting: Setting, device: str):
    """A function that takes one training step on random token ids."""
    import torch

    from lessons_lib.models.making import from_config

    dtype = torch.bfloat16 if setting.precision == "bfloat16" else torch.float32
    config = {**config, **{name: 0.0 for name in ("resid_pdrop", "embd_pdrop", "attn_pdrop", "attention_dropout")}}
    model = from_config(config, dtype=dtype, device=device).train()  # checkpointing asks for training mode
    reference = None
    if _has_reference_model(setting) and not setting.lora_rank:
        reference = from_config(config, dtype=dtype, device=device).requires_grad_(False)
    if setting.lora_rank:
        model = _with_adapters(model, setting.lora_rank)
    if setting.checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.enable_input_require_grads()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5)
    rows = _random_rows(setting, model.config.vocab_size).to(device)

    def step():
        for _ in range(setting.accumulation):
            _losses(setting, model, reference, rows).mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def _losses(setting: Setting, model, reference, rows):
    """The method's losses, with every forward pass that a training step makes for them, in its order."""
    import torch

    from lessons_lib.losses import kto_reference_point
    from lessons_lib.methods import METHODS
    from lessons_lib.training.loop import loss_tensors
    from lessons_lib.training.packing import packed_logps
    from lessons_lib.training.scoring import padded_logps

    def response_logps(scored, rows, bf16):
        logps = (packed_logps if setting.packed else padded_logps)(scored, rows, bf16=bf16)
        return dict(zip(rows.responses, logps.split(len(rows)), strict=True))

    method, bf16, kl = METHODS[setting.method], setting.precision == "mixed", None
    if "kl" in method.inputs:
        with torch.no_grad():  # as many tokens as with mismatched responses
            mismatched = response_logps(model, rows, bf16=bf16)["completion"]
        kl = kto_reference_point(mismatched, mismatched)
    logps = response_logps(model, rows, bf16=bf16)
    fixed = {column: values.detach() for column, values in logps.items()}  # stands for precomputed ones
    if _has_reference_model(setting):
        with torch.no_grad(), model.disable_adapter() if setting.lora_rank else nullcontext():
            fixed = response_logps(reference or model, rows, bf16=bf16)
    tensors = loss_tensors(logps, replace(rows, reference=fixed), average=method.average, kl=kl)
    return method.loss(*(tensors[name] for name in method.inputs)).losses


def _has_reference_model(setting: Setting) -> bool:
    from lessons_lib.methods import METHODS

    return METHODS[setting.method].needs_reference and setting.reference == "model"


def _with_adapters(model, rank: int):
    from peft import LoraConfig, get_peft_model

    return get_peft_model(model, LoraConfig(r=rank, target_modules="all-linear", task_type="CAUSAL_LM"))


def _random_rows(setting: Setting, vocabulary: int):
    """Rows of random token ids, each as long as the setting says."""
    import torch

    from lessons_lib.training.collation import TokenRows

    def ids(length):
        return [torch.randint(vocabulary, (length,)).tolist() for _ in range(setting.batch_size)]

    prompt = max(1, setting.prompt_length)
    paired = setting.sequences > setting.batch_size
    responses = {c: ids(setting.length - prompt) for c in (("chosen", "rejected") if paired else ("completion",))}
    labels = None if paired else torch.arange(setting.batch_size) % 2 == 0
    return TokenRows(ids(prompt), responses, labels)


@contextmanager
def recorder(device: str):
    """Records the allocator's peak while the block runs, and how it was read."""
    import torch

    recorded = SimpleNamespace()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        yield recorded
        recorded.peak_bytes, recorded.source = torch.cuda.max_memory_allocated(), "torch.cuda.max_memory_allocated"
        return
    profile = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True)
    with _silent():
        profile.start()
    try:
        yield recorded
    finally:
        with _silent():
            profile.stop()
    events = [(event.start_time_ns, event.extra_fields.alloc_size) for event in _allocations(profile)]
    recorded.peak_bytes = max(itertools.accumulate(size for _, size in sorted(events)))
    recorded.source = "running sum of the CPU allocator's blocks (torch.profiler)"


@contextmanager
def _silent():
    """What is written to the process's stderr meanwhile is dropped: the profiler's C++ reports each start and stop."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _allocations(profile):
    """Every block that the CPU allocator handed out (positive size) or took back (negative)."""
    import torch

    pending = list(profile.profiler.kineto_results.experimental_event_tree())
    while pending:
        event = pending.pop()
        pending += event.children
        if event.tag == torch._C._profiler._EventType.Allocation:
            yield event


if __name__ == "__main__":
    for row in _run_all(**json.load(sys.stdin)):
        print(json.dumps(row), flush=True)
