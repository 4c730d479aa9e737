"""Writes a folder that trains elsewhere: a TRL script for a method, its data, an accelerate configuration, a README.

The script is plain: it names TRL's class and settings for the method (from `lessons_lib.methods`), reads the data
beside it and needs nothing of this project. Names and traps are those of the pinned TRL, and each method's recipe
is run for two steps by the tests.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from lessons_lib import COMMAND
from lessons_lib._installed import pin
from lessons_lib.advice.decide import Facts, Start, starting_point
from lessons_lib.advice.diagnose import FAULTS
from lessons_lib.data.preferences import pairs_to_ratings, ratings_to_pairs, shape_of, split_by_prompt
from lessons_lib.errors import UserError
from lessons_lib.memory.architecture import Architecture
from lessons_lib.memory.estimate import Setting, estimate
from lessons_lib.methods import METHODS, Method

TRL_VERSION = "1.16.0"
TEST_SHARE = 0.05
LOGGED_ROWS = 30  # of a run: ten in each third that `diagnose` compares, where there are as many steps


@dataclass(frozen=True)
class Recipe:
    """What to train and how.

    Attributes:
        method: a key of `METHODS`. model: a Hub id, or a folder that the other machine has.
        hyperparameters: of the loss, by this project's names; what is left out starts where `decide` says.
        learning_rate, batch_size: None starts where `decide` says; the batch is rows a step over all GPUs.
        epochs: passes over the data.
        max_length: tokens of prompt and response; TRL cuts longer responses, and rows whose prompt alone is
            longer are left out, because no response would be left.
        rows_per_gpu: rows of one forward pass on one GPU; the rest of the batch is accumulated.
        gpus: GPUs to train on. sharded: divide the model among them (FSDP).
        lora_rank: rank of adapters on all matrices; 0 trains all weights.
        checkpointing: compute each block twice and keep less.
        reference: "precomputed" or "model" (a frozen copy in memory), where the method needs one.
    """

    method: str
    model: str
    hyperparameters: Mapping[str, float] | None = None
    learning_rate: float | None = None
    batch_size: int | None = None
    epochs: int = 1
    max_length: int = 1024
    rows_per_gpu: int = 2
    gpus: int = 1
    sharded: bool = False
    lora_rank: int = 0
    checkpointing: bool = True
    reference: str = "precomputed"

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UserError(f"method: expected one of {', '.join(METHODS)}, got {self.method!r}")
        for name in ("epochs", "max_length", "rows_per_gpu", "gpus"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}: expected at least 1, got {getattr(self, name)}")


def write_recipe(
    recipe: Recipe, rows: Iterable[dict], folder: str | Path, *, architecture: Architecture | None = None
) -> list[Path]:
    """Write the folder; rows of the other shape are converted, and the README says so.

    Args:
        recipe: what to train.
        rows: paired or unpaired rows, as `lessons_lib.data.readers.read` gives them.
        folder: to write into; made where there is none, refused where it holds anything.
        architecture: of the model (`lessons_lib.memory.architecture`), for the predicted memory; None leaves that out.

    Returns:
        The files written.

    Raises:
        UserError: a method, hyper-parameter or batch that TRL cannot run, no rows, or a folder that is not empty.
    """
    folder, method = Path(folder), METHODS[recipe.method]
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"output: expected an empty folder, and {folder} holds files; choose another")
    shaped, note = _in_shape(list(rows), method)
    parts = split_by_prompt(shaped, {"train": 1 - TEST_SHARE, "test": TEST_SHARE})
    if not parts["train"]:
        raise UserError(f"data: expected rows to train on, got {len(shaped)} in all")
    starts = _starts(recipe, shaped)
    files = {
        "train.py": _script(recipe, starts, len(parts["train"]), has_test=bool(parts["test"])),
        "accelerate.yaml": _accelerate(recipe),
        "requirements.txt": _requirements(recipe),
        "README.md": _readme(recipe, starts, {name: len(part) for name, part in parts.items()}, note, architecture),
        **{f"data/{name}.jsonl": _jsonl(part) for name, part in parts.items() if part},
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    return [folder / name for name in files]


def _in_shape(rows: list[dict], method: Method) -> tuple[list[dict], str]:
    """The rows in the method's shape, with the columns that TRL reads, and how they came to it."""
    shape = shape_of(rows[0]) if rows else None
    if shape is None:
        raise UserError("data: expected rows {prompt, chosen, rejected} or {prompt, completion, label}, got none")
    if shape == method.data:
        return rows, ""
    made = list(ratings_to_pairs(rows) if method.data == "paired" else pairs_to_ratings(rows))
    if not made:
        raise UserError(
            f"data: {method.name} needs pairs, and no prompt has both a thumb up and a thumb down to make one of; "
            f"--method kto takes ratings as they are"
        )
    what = "pairs of a better and a worse rating" if method.data == "paired" else "ratings, two a pair"
    return made, f"{len(rows):,} {shape} rows were made into {len(made):,} {what}."


def _starts(recipe: Recipe, rows: list[dict]) -> dict[str, Start]:
    """Every number of the run by name, with its reason: what the recipe sets, else where to start."""
    method, count = METHODS[recipe.method], len(rows)
    ups = sum(row["label"] for row in rows) / count if method.data == "unpaired" else None
    prompts = len({str(row["prompt"]) for row in rows})
    facts = Facts(shape=method.data, rows=count, prompts=prompts, up_share=ups, lora=recipe.lora_rank > 0)
    starts = {start.name: start for start in starting_point(recipe.method, facts)}
    given = {"learning_rate": recipe.learning_rate, "batch_size": recipe.batch_size, "epochs": recipe.epochs}
    given |= recipe.hyperparameters or {}
    for name, value in given.items():
        if name not in ("learning_rate", "batch_size", "epochs"):
            _check_knob(name, method)
        if value is not None and (name not in starts or value != starts[name].value):
            starts[name] = Start(name, value, "as you set it", None)
    _check_batch(recipe, int(starts["batch_size"].value))
    return starts


def _check_knob(name: str, method: Method) -> None:
    known = set(method.hyperparameters) - set(method.trl.ignores)
    if name not in known:
        why = f"; {method.trl.trap}" if name in method.trl.ignores else ""
        raise UserError(f"hyper-parameter: TRL's {method.name} uses {', '.join(sorted(known))}, not {name!r}{why}")


def _check_batch(recipe: Recipe, batch_size: int) -> None:
    if "kl" in METHODS[recipe.method].inputs and recipe.rows_per_gpu < 2:
        raise UserError("rows_per_gpu: expected at least 2, because KTO compares the rows of a pass; got 1")
    together = recipe.rows_per_gpu * recipe.gpus
    if batch_size % together:
        raise UserError(
            f"batch_size: expected a multiple of {together} ({recipe.gpus} GPUs × {recipe.rows_per_gpu} rows), "
            f"got {batch_size}; set batch_size or rows_per_gpu"
        )
    if recipe.sharded and recipe.gpus < 2:
        raise UserError("sharded: expected at least 2 GPUs to divide the model among, got 1")


# The files


_SCRIPT = Template('''\
"""$full_name ($name, arXiv $arxiv) by TRL $trl.

    accelerate launch --config_file accelerate.yaml train.py               # the run
    python train.py --max-steps 2                                          # a trial, also without a GPU
"""

import argparse
from pathlib import Path

import torch
from datasets import load_dataset
${peft_import}\
from transformers import AutoModelForCausalLM, AutoTokenizer
$trl_import

HERE = Path(__file__).parent
MODEL = $model
MAX_LENGTH = $max_length  # tokens of prompt and response; responses that are longer are cut
$helper

def leaves_room(row, tokenizer):
    """Whether the prompt leaves room for a response; TRL would cut the response to nothing, and its loss be NaN."""
    prompt = row["prompt"]
    if not isinstance(prompt, str):
        prompt = tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
    return len(tokenizer(prompt)["input_ids"]) < MAX_LENGTH - 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--max-steps", type=int, default=-1, help="stop after so many steps")
    parser.add_argument("--output", default=str(HERE / "output"))
    arguments = parser.parse_args()

    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.$dtype)
    rows = load_dataset("json", data_files={$data_files})
    data = rows.filter(leaves_room, fn_kwargs={"tokenizer": tokenizer})
    for part in rows:
        print(f"{part}: {len(data[part])} rows, {len(rows[part]) - len(data[part])} left out for their long prompts")

    config = $config(
        output_dir=arguments.output,
        max_steps=arguments.max_steps,
$settings
        bf16=torch.cuda.is_available(),  # on a CPU bfloat16 is slow
        logging_steps=$logging_steps if arguments.max_steps < 0 else 1,
        logging_first_step=True,  # rewards should be 0 there
        report_to="none",
    )
    trainer = $trainer(
        model,
        args=config,
        train_dataset=data["train"],
${eval_data}\
        processing_class=tokenizer,
${peft_config}\
    )
    trainer.train()
    trainer.save_model()
    trainer.save_state()  # trainer_state.json holds the log


if __name__ == "__main__":
    main()
''')

_PER_TOKEN = '''TAU = {tau}  # τ as in the paper: the margin of summed log-ratios rests at 1/(2τ) = {margin:.4g} nats


def tau_per_token(rows, tokenizer):
    """TRL averages log-ratios over tokens: the same margin needs τ times the mean number of a response's tokens."""
    texts = [row[side] for row in rows for side in ("chosen", "rejected")]
    texts = [text if isinstance(text, str) else text[-1]["content"] for text in texts]
    return TAU * sum(map(len, tokenizer(texts)["input_ids"])) / len(texts)

'''


def logging_steps(steps: float) -> int:
    """Steps between two logged rows: often enough that a run of so many steps leaves `LOGGED_ROWS` for `diagnose`."""
    return max(1, min(10, int(steps / LOGGED_ROWS)))


def _script(recipe: Recipe, starts: Mapping[str, Start], rows: int, *, has_test: bool) -> str:
    method = METHODS[recipe.method]
    module, names = method.trl.module, sorted((method.trl.config, method.trl.trainer))
    tau = starts["tau"].value if "tau" in starts else None
    parts = ("train", "test") if has_test else ("train",)
    return _SCRIPT.substitute(
        model=json.dumps(recipe.model),
        max_length=recipe.max_length,
        logging_steps=logging_steps(rows * recipe.epochs / starts["batch_size"].value),
        name=method.name,
        full_name=method.full_name,
        arxiv=method.paper.arxiv,
        trl=TRL_VERSION,
        trl_import=f"from {module} import {', '.join(names)}",
        trainer=method.trl.trainer,
        config=method.trl.config,
        dtype="bfloat16" if recipe.lora_rank else "float32",
        helper=_PER_TOKEN.format(tau=tau, margin=1 / (2 * tau)) if tau else "",
        data_files=", ".join(f'"{part}": str(HERE / "data" / "{part}.jsonl")' for part in parts),
        settings="\n".join(f"        {name}={value}," for name, value in _settings(recipe, starts, has_test).items()),
        eval_data='        eval_dataset=data["test"],\n' if has_test else "",
        peft_import="from peft import LoraConfig\n" if recipe.lora_rank else "",
        peft_config=_peft(recipe.lora_rank) if recipe.lora_rank else "",
    )


def _peft(rank: int) -> str:
    adapters = f'LoraConfig(r={rank}, lora_alpha={2 * rank}, target_modules="all-linear", task_type="CAUSAL_LM")'
    return f"        peft_config={adapters},\n"


def _settings(recipe: Recipe, starts: Mapping[str, Start], has_test: bool) -> dict[str, str]:
    """What TRL's configuration is given, as Python source."""
    method = METHODS[recipe.method]
    values = {starts_name: start.value for starts_name, start in starts.items()}
    settings = {name: repr(value) for name, value in method.trl.settings.items()}
    for name, knob in method.hyperparameters.items():
        if name in values and name not in method.trl.ignores:
            per_token = 'tau_per_token(data["train"], tokenizer)'
            settings[knob.trl_name] = per_token if name == "tau" else repr(values[name])
    if method.needs_reference:
        settings["precompute_ref_log_probs"] = repr(recipe.reference == "precomputed")
    settings |= {
        "learning_rate": repr(values["learning_rate"]),
        "lr_scheduler_type": '"cosine"',
        "warmup_steps": "0.1",
        "num_train_epochs": repr(values["epochs"]),
        "per_device_train_batch_size": repr(recipe.rows_per_gpu),
        "gradient_accumulation_steps": repr(values["batch_size"] // (recipe.rows_per_gpu * recipe.gpus)),
        "gradient_checkpointing": repr(recipe.checkpointing),
        "max_length": "MAX_LENGTH",
        "logging_nan_inf_filter": "False",
        **({"accelerator_config": _SYNCHRONISED} if recipe.sharded else {}),
        "save_steps": "0.25",
        "save_only_model": "True",
    }
    if has_test:
        settings |= {"eval_strategy": '"steps"', "eval_steps": "0.1"}
        settings["per_device_eval_batch_size"] = repr(recipe.rows_per_gpu)
    return settings


# Else FSDP keeps the gradients of all weights on every GPU until the last pass of a step.
_SYNCHRONISED = '{"gradient_accumulation_kwargs": {"sync_each_batch": True}}'


def _accelerate(recipe: Recipe) -> str:
    kind = "FSDP" if recipe.sharded else "MULTI_GPU" if recipe.gpus > 1 else "'NO'"
    lines = [
        "compute_environment: LOCAL_MACHINE",
        f"distributed_type: {kind}",
        "mixed_precision: bf16",
        "num_machines: 1",
        f"num_processes: {recipe.gpus}",
        "machine_rank: 0",
        "main_training_function: main",
    ]
    if recipe.sharded:
        lines += [
            "fsdp_config:",
            "  fsdp_version: 2",
            "  fsdp_reshard_after_forward: true  # full sharding",
            "  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP",
            "  fsdp_state_dict_type: FULL_STATE_DICT",
            "  fsdp_cpu_ram_efficient_loading: true",
            "  fsdp_activation_checkpointing: false  # the trainer does it",
            "  fsdp_offload_params: false",
        ]
    return "\n".join(lines) + "\n"


def _requirements(recipe: Recipe) -> str:
    """The TRL that recipes are tested with, and beside it the versions installed here, or the ranges of ours."""
    names = ["torch", "transformers", "accelerate", "datasets", *(["peft"] if recipe.lora_rank else [])]
    return f"trl=={TRL_VERSION}\n" + "".join(f"{pin(name)}\n" for name in names)


def _jsonl(rows: list[dict]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


_README = Template("""\
# $name on $model

$train rows to train on, $test with other prompts to evaluate on. $note

    pip install -r requirements.txt
    python train.py --max-steps 2
    accelerate launch --config_file accelerate.yaml train.py

## What is set, and why

| setting | value | why |
|---|---|---|
$table

TRL $trl runs it as `$module.$trainer`$special. $trap
$memory
## What to watch

Compare held-out quality, not losses: read samples before, during and after. `trainer_state.json` holds the log;
`$command diagnose output` reads it and looks for:

$faults
""")


def _readme(
    recipe: Recipe,
    starts: Mapping[str, Start],
    counts: Mapping[str, int],
    note: str,
    architecture: Architecture | None,
) -> str:
    method = METHODS[recipe.method]
    special = ", ".join(f"`{name}={value!r}`" for name, value in method.trl.settings.items())
    return _README.substitute(
        command=COMMAND,
        name=method.name,
        model=recipe.model,
        train=f"{counts['train']:,}",
        test=f"{counts['test']:,}",
        note=note,
        table="\n".join(f"| {start.name} | {start.value:g} | {_why(start)} |" for start in starts.values()),
        trl=TRL_VERSION,
        module=method.trl.module,
        trainer=method.trl.trainer,
        special=f" with {special}" if special else "",
        trap=f"Mind: {method.trl.trap}." if method.trl.trap else "",
        memory=_memory(recipe, architecture) if architecture else "",
        faults="\n".join(f"- **{fault.name}**: {fault.meaning}" for fault in FAULTS),
    )


def _why(start: Start) -> str:
    return f"{start.why} ({start.rests_on.cites or start.rests_on.kind})" if start.rests_on else start.why


def setting_of(recipe: Recipe, architecture: Architecture) -> Setting:
    """The recipe's training step, as `lessons_lib.memory.estimate` predicts it."""
    return Setting(
        architecture,
        recipe.method,
        batch_size=recipe.rows_per_gpu,
        length=recipe.max_length,
        precision="bfloat16" if recipe.lora_rank else "mixed",
        lora_rank=recipe.lora_rank,
        checkpointing=recipe.checkpointing,
        reference=recipe.reference,
        accumulation=2,  # more than one pass a step: gradients stay
        gpus=recipe.gpus,
        sharded=recipe.sharded,
        synchronised=recipe.sharded,
        logits=METHODS[recipe.method].trl.logits,
        masked=True,
    )


def _memory(recipe: Recipe, architecture: Architecture) -> str:
    peak, margin = estimate(setting_of(recipe, architecture)).peak_bytes, ""
    if not architecture.exact:
        margin = f" (a guess, {architecture.margin:.0%} up or down: no reading of this architecture stands behind it)"
    return f"""
## Memory

Predicted peak: {peak / 1e9:.3g} GB of tensors on each GPU{margin}, at rows of {recipe.max_length} tokens. The
prediction is held to measurements of this project's own loop on one CPU; TRL and sharding are arithmetic: leave a
tenth free.
"""
