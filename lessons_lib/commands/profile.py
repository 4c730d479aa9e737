"""``profile``: every figure that a preference dataset gives about itself."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from lessons_lib import COMMAND
from lessons_lib._installed import need
from lessons_lib.commands._reading import (
    SOURCE,
    add_reading_options,
    in_this_commands_words,
    judgement_rows,
    left_out,
    shown,
)
from lessons_lib.errors import UserError

HELP = (
    "measure a preference dataset: size, repeats, leaks, label noise, position and length bias, each with its interval"
)
EXAMPLE = f"""{COMMAND} profile pandalm_testset
  {COMMAND} profile ratings.csv --columns prompt=question completion=answer label=thumb --json"""


def add_arguments(parser) -> None:
    add_source_arguments(parser)
    add_output_arguments(parser)


def run(arguments) -> int:
    from lessons_lib.advice.match import measure
    from lessons_lib.advice.report import html_page, print_profile

    if arguments.report:
        need("--report", "matplotlib")
    rows, other = rows_of(arguments)
    with in_this_commands_words(arguments.source, arguments):
        reading = list(shown(rows))
        measured, notes = measure(
            arguments.source, rows, apart_from=other, count_tokens=token_counter(arguments.tokenizer)
        )
    for line in left_out(rows):
        print(line, file=sys.stderr)
    if arguments.report:
        write_report(arguments.report, html_page(measured))
    if arguments.json:
        print_json(measured.as_dict())
    else:
        from rich.console import Console

        print("\n".join([*reading, *notes, ""]))
        print_profile(measured, Console())
    return 0


# What `match` takes as well


def add_source_arguments(parser) -> None:
    parser.add_argument("source", help=SOURCE)
    add_reading_options(parser)
    parser.add_argument("--apart-from", metavar="FILE", help="another split of it: look for prompts that stand in both")
    parser.add_argument("--tokenizer", help="a folder with a tokenizer, or a Hub id: to count tokens")


def add_output_arguments(parser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--report", metavar="OUT.html", help="write a page with plots, complete in itself, as well")


def rows_of(arguments):
    """The rows of the source that the command line names, and those of the file that --apart-from names, or None."""
    other = judgement_rows(arguments.apart_from, arguments) if arguments.apart_from else None
    return judgement_rows(arguments.source, arguments), other


def token_counter(tokenizer: str | None):
    """A function that counts tokens, or None where no tokenizer is named."""
    if tokenizer is None:
        return None
    from lessons_lib.models.loading import load_tokenizer

    loaded = load_tokenizer(tokenizer)
    return lambda texts: [len(ids) for ids in loaded(texts, add_special_tokens=False)["input_ids"]]


def write_report(path: str, page: str) -> None:
    try:
        Path(path).write_text(page, encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"--report: cannot write {path} ({error.strerror}); name a file in a folder that exists"
        ) from error


def print_json(record: dict) -> None:
    print(json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False))
