"""``recipe``: write a folder that trains elsewhere with TRL."""

from __future__ import annotations

from pathlib import Path

from lessons_lib import COMMAND
from lessons_lib.commands._reading import SOURCE, add_reading_options, training_rows
from lessons_lib.errors import UserError

HELP = "write a folder that trains elsewhere: TRL script, accelerate configuration, data, README"
EXAMPLE = f"""{COMMAND} recipe trl-lib/ultrafeedback_binarized --method simpo \\
      --model Qwen/Qwen2.5-0.5B-Instruct --gpus 8 --gpu-memory 80 --output recipes/simpo
  {COMMAND} recipe pairs.jsonl --method ipo --model path/to/model --set tau=0.05 --output recipes/ipo"""


def add_arguments(parser) -> None:
    parser.add_argument("data", help=SOURCE)
    parser.add_argument("--method", required=True, help="dpo, ipo, kto, orpo or simpo (`match` helps to choose)")
    parser.add_argument("--model", required=True, help="a Hub id, or a folder that the training machine has")
    parser.add_argument("--output", required=True, type=Path, help="folder to write, empty or new")
    parser.add_argument("--rows", type=int, help="take the first so many rows only")
    parser.add_argument("--gpus", type=int, default=1, help="GPUs to train on (1)")
    parser.add_argument("--gpu-memory", type=float, default=80, help="of one GPU, in GB of 1e9 bytes (80)")
    parser.add_argument("--lora-rank", type=int, default=0, help="rank of LoRA adapters; 0 trains all weights (0)")
    parser.add_argument("--max-length", type=int, default=1024, help="tokens of prompt and response (1024)")
    parser.add_argument("--rows-per-gpu", type=int, default=2, help="rows of one forward pass on one GPU (2)")
    parser.add_argument("--epochs", type=int, default=1, help="passes over the data (1)")
    parser.add_argument("--reference", choices=("precomputed", "model"), default="precomputed")
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="NAME=VALUE", help="beta=0.1 learning_rate=1e-6 …"
    )
    add_reading_options(parser)


def run(arguments) -> int:
    from lessons_lib.advice.recipes import Recipe, write_recipe

    if arguments.model == "MODEL":
        raise UserError("--model: put a Hub id or a folder in place of MODEL, such as Qwen/Qwen2.5-0.5B-Instruct")
    values = dict(_assignment(text) for text in arguments.set)
    batch_size = values.pop("batch_size", None)
    recipe = Recipe(
        arguments.method,
        arguments.model,
        learning_rate=values.pop("learning_rate", None),
        batch_size=None if batch_size is None else int(batch_size),
        hyperparameters=values,
        epochs=arguments.epochs,
        max_length=arguments.max_length,
        rows_per_gpu=arguments.rows_per_gpu,
        gpus=arguments.gpus,
        lora_rank=arguments.lora_rank,
        reference=arguments.reference,
    )
    architecture, notes = _architecture(arguments.model)
    recipe, advice = _sharded(recipe, architecture, arguments.gpu_memory * 1e9)
    rows = training_rows(arguments.data, arguments, arguments.method, first=arguments.rows)
    for path in write_recipe(recipe, rows, arguments.output, architecture=architecture):
        print(path)
    for line in (*notes, *advice):
        print(line)
    launch = "accelerate launch --config_file accelerate.yaml train.py"
    print(f"Run it with: cd {arguments.output} && pip install -r requirements.txt && {launch}")
    return 0


def _assignment(text: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise UserError(f"--set: expected NAME=NUMBER, got {text!r}") from None


def _architecture(model: str):
    """The model's sizes, or None and why not: a recipe can be written for a model that is not here."""
    from lessons_lib.memory.architecture import read_architecture

    try:
        return read_architecture(model), []
    except UserError as error:
        return None, [f"Memory was not predicted: {error}"]


def _sharded(recipe, architecture, memory: float):
    """The recipe, sharded where one GPU does not hold it all, and a warning where even that is too much."""
    import dataclasses

    from lessons_lib.advice.recipes import setting_of
    from lessons_lib.memory.estimate import fits

    if recipe.gpus == 1 and architecture is None:
        return recipe, []
    if architecture is None:
        return dataclasses.replace(recipe, sharded=True), ["The model is sharded over the GPUs, to be safe."]
    if fits(setting_of(recipe, architecture), memory):
        return recipe, []
    if recipe.gpus > 1:
        recipe = dataclasses.replace(recipe, sharded=True)
        if fits(setting_of(recipe, architecture), memory):
            return recipe, ["One GPU does not hold the model alone: it is sharded over all (FSDP)."]
    return recipe, [
        f"warning: predicted not to fit in {memory / 1e9:g} GB a GPU; fewer --rows-per-gpu, --lora-rank, more GPUs "
        f"(`{COMMAND} memory plan {recipe.model} --method {recipe.method}`)"
    ]
