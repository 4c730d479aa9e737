"""``match``: from a dataset and a GPU budget to the method that fits, why, and what would change the answer."""

from __future__ import annotations

import sys

from lessons_lib import COMMAND
from lessons_lib._installed import need
from lessons_lib.commands._reading import in_this_commands_words, left_out, repeated, shown
from lessons_lib.commands.profile import (
    add_output_arguments,
    add_source_arguments,
    print_json,
    rows_of,
    token_counter,
    write_report,
)

HELP = "say which of DPO, IPO, KTO, ORPO and SimPO fits a dataset and a GPU budget, and what would change the answer"
EXAMPLE = f"""{COMMAND} match tulu1_human_eval
  {COMMAND} match pairs.jsonl --checkpoint sft --params 70e9 --gpus 8 --gpu-memory 80 --report out.html"""


def add_arguments(parser) -> None:
    from lessons_lib.memory.estimate import PRECISIONS

    add_source_arguments(parser)
    given = parser.add_argument_group("what the rows cannot say")
    given.add_argument(
        "--checkpoint", choices=("base", "sft", "chat"), help="what training starts from: base is not fine-tuned yet"
    )
    given.add_argument("--passes", type=int, default=1, help="planned passes over the data (1)")
    given.add_argument(
        "--reference",
        choices=("live", "precomputed", "none"),
        help="what there is room for; else worked out from below",
    )
    given.add_argument(
        "--streaming", action="store_true", help="rows arrive during training, so that nothing can be precomputed"
    )
    budget = parser.add_argument_group("the GPU budget")
    budget.add_argument("--params", type=float, help="number of weights, such as 70e9 (the shape of Llama)")
    budget.add_argument(
        "--model", help="or a model: a known name such as llama-3-8b, a config.json, a folder, a Hub id"
    )
    budget.add_argument("--gpus", type=int, default=1, help="GPUs that train together, sharded (1)")
    budget.add_argument("--gpu-memory", type=float, default=80, help="of one GPU, in GB of 1e9 bytes (80)")
    budget.add_argument("--precision", choices=tuple(PRECISIONS), default="mixed", help="mixed is the usual one")
    budget.add_argument("--lora", type=int, default=0, metavar="RANK", help="train LoRA adapters only")
    budget.add_argument("--batch-size", type=int, default=1, help="rows in one forward pass on one GPU (1)")
    budget.add_argument("--length", type=int, default=2048, help="tokens of prompt and response (2048)")
    add_output_arguments(parser)


def run(arguments) -> int:
    from lessons_lib.advice.decide import Constraints
    from lessons_lib.advice.match import hardware_of, match
    from lessons_lib.advice.report import html_page, print_match

    if arguments.report:
        need("--report", "matplotlib")
    hardware = hardware_of(
        arguments.model,
        arguments.params,
        gpus=arguments.gpus,
        gpu_memory_gb=arguments.gpu_memory,
        fixed_rows=not arguments.streaming,
        precision=arguments.precision,
        lora_rank=arguments.lora,
        batch_size=arguments.batch_size,
        length=arguments.length,
    )
    rows, other = rows_of(arguments)
    with in_this_commands_words(arguments.source, arguments):
        reading = list(shown(rows))
        found = match(
            arguments.source,
            Constraints(arguments.checkpoint, arguments.reference, arguments.passes, arguments.lora > 0),
            hardware,
            rows=rows,
            apart_from=other,
            count_tokens=token_counter(arguments.tokenizer),
        )
    for line in left_out(rows):
        print(line, file=sys.stderr)
    if arguments.report:
        write_report(arguments.report, html_page(found.profile, found))
    if arguments.json:
        print_json(found.as_dict())
    else:
        from rich.console import Console

        print("\n".join([*reading, ""]))
        print_match(found, Console(), repeated(arguments))
    return 0
