"""``train``: fine-tune a model on a preference file by one of the five methods, or by SFT."""

from __future__ import annotations

import dataclasses
import itertools
import json
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path

from lessons_lib import COMMAND
from lessons_lib.commands._reading import SOURCE, add_reading_options, in_shape, shape_of, training_rows
from lessons_lib.errors import UserError

HELP = "fine-tune a causal language model on preferences: dpo, ipo, kto, orpo, simpo, or sft"
EXAMPLE = f"""{COMMAND} train --model HuggingFaceTB/SmolLM2-135M-Instruct \\
      --data trl-lib/ultrafeedback_binarized --rows 2000 --method dpo \\
      --set beta=0.1 learning_rate=1e-6 max_length=1024 truncation=keep_start --output runs/dpo
  accelerate launch --config_file lessons_lib/training/launch/one_machine.yaml --num_processes 2 -m lessons_lib train …
      (the same run, shared by two processes; fsdp.yaml beside it divides the model among them too)"""


def add_arguments(parser) -> None:
    parser.add_argument(
        "--model",
        required=True,
        help="a folder written by save_pretrained, or a Hub id. Of a folder of LoRA adapters, such as an earlier "
        "--output, the adapters are trained further where lora_rank is set, and merged into their model where not",
    )
    parser.add_argument("--data", required=True, help=SOURCE)
    parser.add_argument("--rows", type=int, help="take the first so many rows only")
    parser.add_argument(
        "--method",
        default="dpo",
        help="dpo (default), ipo, kto, orpo, simpo or sft; "
        "or a variant: rdpo (robust DPO), kto_noref (KTO without a reference), kto_zero (its z₀ at 0)",
    )
    parser.add_argument("--reference", help="another model to compare with (default: --model as it is at the start)")
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        help="hyper-parameters of the method's loss, and settings of the run (see TrainConfig): "
        "beta=0.1 learning_rate=1e-6. With checkpoint_dir=FOLDER, the same command goes on with a run that was killed",
    )
    parser.add_argument(
        "--output",
        required=True,
        type=Path,
        help="folder for model (with lora_rank: its adapters, which peft loads), tokenizer, history.csv",
    )
    parser.add_argument(
        "--show",
        type=int,
        default=0,
        metavar="N",
        help="before a step is made, print N rows as they are trained on: special tokens marked, masked, cut",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_reading_options(parser)


def run(arguments) -> None:
    config = settings(arguments.set, arguments.method)  # before the slow imports and downloads

    from lessons_lib.models.loading import load, save
    from lessons_lib.training.loop import train
    from lessons_lib.training.sharding import is_sharded, make_accelerator, whole_weights

    if config.token_dir is None:  # beside the output there is a disk, and room
        config = dataclasses.replace(config, token_dir=str(_existing(arguments.output)))
    model, tokenizer = load(arguments.model, adapters="keep" if config.lora_rank else "merge")
    rows = training_rows(arguments.data, arguments, arguments.method, first=arguments.rows)
    rows = in_shape(rows, shape_of(arguments.method))
    rows = _show(rows, arguments, config, model, tokenizer)
    with warnings_as_lines():
        result = train(
            model,
            rows,
            arguments.method,
            config,
            tokenizer=tokenizer,
            reference=load(arguments.reference)[0] if arguments.reference else None,
            progress=not arguments.quiet,
        )
    accelerator = make_accelerator()
    weights = whole_weights(result.model, accelerator)  # which all processes gather together
    if accelerator.is_main_process:
        save(result.model, tokenizer, arguments.output, weights)
        result.history.to_csv(arguments.output / "history.csv", index=False)
        print(result.history.iloc[[0, -1]].set_index("step").T.to_string(float_format=lambda value: f"{value:.4g}"))
        print(f"rows shortened to fit: {result.truncated}, left out as too long: {result.dropped}")
        print(f"processes: {accelerator.num_processes}{', the model sharded' if is_sharded(accelerator) else ''}")
        print(f"model, tokenizer and history.csv are in {arguments.output}")


def _show(rows, arguments, config, model, tokenizer):
    """The rows; the first `--show` of them are printed on the way, by one process."""
    from lessons_lib.training.preparing import preview
    from lessons_lib.training.sharding import make_accelerator

    rows = iter(rows)
    first = list(itertools.islice(rows, arguments.show))
    if first and make_accelerator().is_main_process:
        print(preview(first, arguments.method, config, model=model, tokenizer=tokenizer), end="\n\n", flush=True)
    return itertools.chain(first, rows)


@contextmanager
def warnings_as_lines():
    """Our own warnings as one line each on stderr; others as Python shows them."""
    show = warnings.showwarning

    def line(message, category, filename, *arguments, **keywords):
        if category is UserWarning and str(message).count("rows (first: data["):
            print(f"warning: {message}", file=sys.stderr)
        else:
            show(message, category, filename, *arguments, **keywords)

    with warnings.catch_warnings():
        warnings.showwarning = line
        yield


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())


def settings(assignments: list[str], method: str):
    """The configuration that ``NAME=VALUE`` assignments spell: a name is a setting of the run, or the loss's own."""
    from lessons_lib.training.config import TrainConfig, objective_for

    known = {item.name for item in dataclasses.fields(TrainConfig)} - {"hyperparameters"}
    values = dict(_assignment(text) for text in assignments)
    own = {name: value for name, value in values.items() if name not in known}
    config = TrainConfig(hyperparameters=own, **{name: values[name] for name in known & values.keys()})
    try:
        objective_for(method, config)
    except UserError as error:
        raise UserError(f"{error} (settings of the run are: {', '.join(sorted(known))})" if own else error) from None
    return config


def _assignment(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise UserError(f"--set: expected NAME=VALUE, got {text!r}")
    try:
        return name, json.loads({"True": "true", "False": "false", "None": "null"}.get(value, value))
    except json.JSONDecodeError:
        return name, value
