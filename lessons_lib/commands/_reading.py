"""How every command reads preference data: one set of options, one way to the rows, one way to say what was left out.

`add_reading_options` gives a command its options, `training_rows` the rows of a file, a Hub id or a real dataset in
the shape that a method trains on, `judgement_rows` all that was judged, and `repeated` the options again, for the
command that comes next.
"""

from __future__ import annotations

import itertools
import shlex
import sys
from collections.abc import Iterable, Iterator

from lessons_lib.errors import UserError
from lessons_lib.methods import METHODS

SOURCE = (
    "a .jsonl, .json, .csv, .tsv or .parquet file, a Hub id, or one of the real datasets by name "
    "(`data list` shows them)"
)
LISTED = 3  # refused rows that are shown in full


def add_reading_options(parser) -> None:
    group = parser.add_argument_group("how the rows are read")
    group.add_argument(
        "--columns",
        nargs="+",
        default=[],
        metavar="OURS=YOURS",
        help="what the file calls our fields: prompt=question chosen=best …",
    )
    group.add_argument("--schema", help="the schema that the rows have, such as hh-rlhf (default: recognised)")
    group.add_argument(
        "--on-bad-rows",
        choices=("leave-out", "stop"),
        default="leave-out",
        help="leave rows out that cannot be used, and say how many and why (default), or stop at the first",
    )
    group.add_argument("--split", default="train", help="of a Hub dataset (train)")
    group.add_argument("--config", help="of a Hub dataset")


def reading_of(arguments) -> dict:
    """What the command line says about reading, as `readers.read` takes it."""
    pairs = [pair.partition("=") for pair in arguments.columns]
    if bad := [ours + sign for ours, sign, yours in pairs if not (ours and yours)]:
        raise UserError(f"--columns: expected OURS=YOURS, as in prompt=question, got {bad[0]!r}")
    return {
        "schema": arguments.schema,
        "columns": {ours: yours for ours, _, yours in pairs},
        "on_error": "raise" if arguments.on_bad_rows == "stop" else "collect",
        "split": arguments.split,
        "config": arguments.config,
    }


def repeated(arguments) -> str:
    """The reading options that were given, as they are typed; empty where there are none."""
    given = [
        *(["--columns", *arguments.columns] if arguments.columns else []),
        *(["--schema", arguments.schema] if arguments.schema else []),
        *(["--on-bad-rows", arguments.on_bad_rows] if arguments.on_bad_rows != "leave-out" else []),
        *(["--split", arguments.split] if arguments.split != "train" else []),
        *(["--config", arguments.config] if arguments.config else []),
    ]
    return shlex.join(given)


def training_rows(source: str, arguments, method: str, *, first: int | None = None) -> Iterator[dict]:
    """The rows of `source` that a method trains on; what was left out is said on stderr at the end.

    Args:
        source: what the command line names.
        arguments: with the options of `add_reading_options`.
        method: decides what a real dataset gives; a file gives the rows that it has.
        first: how many rows to take (None: all).

    Raises:
        UserError: as `readers.read`; where no row is left.
    """
    from lessons_lib.data import readers, real

    if source in real.DATASETS:
        rows = (real.ratings if shape_of(method) == "unpaired" else real.pairs)(source)
    else:
        rows = readers.read(source, **reading_of(arguments))
    yield from itertools.islice(rows, first)
    if not rows.kept:
        raise nothing_kept(rows)
    for line in left_out(rows):
        print(line, file=sys.stderr)


def shape_of(method: str) -> str:
    """The shape of rows that a method trains on; SFT takes the chosen side of pairs."""
    return METHODS[method].data if method in METHODS else "paired"


def in_shape(rows: Iterable[dict], method: str) -> Iterator[dict]:
    """The rows in the shape that a method trains on, and a word on stderr where they had the other one."""
    from lessons_lib.data import preferences

    rows = iter(rows)
    first = next(rows, None)
    if first is None:
        return
    came, rows = preferences.shape_of(first), itertools.chain([first], rows)
    if came == shape_of(method):
        yield from rows
        return
    print(f"{came} rows are made into {shape_of(method)} ones, which {method} trains on", file=sys.stderr)
    made = preferences.pairs_to_ratings(rows) if came == "paired" else preferences.ratings_to_pairs(rows)
    made = itertools.chain([next(made, None)], made)
    for row in made:
        if row is None:
            raise UserError(f"{method} trains on pairs, and no prompt has both a completion up and one down; use kto")
        yield row


def left_out(rows) -> Iterator[str]:
    """What a pass over `Rows` left out, in lines: how many, and the first reasons."""
    if not rows.refused_count and not rows.skipped:
        return
    yield rows.summary()
    yield from (f"  {refusal}" for refusal in rows.refused[:LISTED])
    if rows.refused_count > LISTED:
        yield f"  … and {rows.refused_count - LISTED:,} more"


def nothing_kept(rows) -> UserError:
    """The error of a pass that kept no row, with the first reason."""
    reasons = [str(rows.refused[0])] if rows.refused else [f"skipped: {reason}" for reason in rows.skipped]
    return UserError(f"{rows.summary()}; no row can be used: {reasons[0] if reasons else 'the file is empty'}")
