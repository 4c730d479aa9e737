"""How every command reads preference data: one set of options, one way to the rows, one way to say what was left out.

`add_reading_options` gives a command its options, `training_rows` the rows of a file, a Hub id or a real dataset in
the shape that a method trains on, `judgement_rows` all that was judged, and `repeated` the options again, for the
command that comes next.
"""

from __future__ import annotations

import contextlib
import itertools
import shlex
import sys
from collections.abc import Iterable, Iterator

from lessons_lib import COMMAND
from lessons_lib.errors import UserError
from lessons_lib.training.config import takes_single_replies

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
        help="what the file calls our fields: prompt=question chosen=best …; better=winner names a column of verdicts, "
        "best_from_0=index the place of the best reply, a+b joins columns, reward.scalar reaches into one",
    )
    group.add_argument(
        "--schema",
        help="the schema that the rows have, such as hh-rlhf (default: recognised; `data schemas` lists them)",
    )
    group.add_argument(
        "--up-from", type=float, metavar="RATING", help="where ratings are numbers: this one and higher ones are up"
    )
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
        "up_from": arguments.up_from,
        "on_error": "raise" if arguments.on_bad_rows == "stop" else "collect",
        "split": arguments.split,
        "config": arguments.config,
    }


def repeated(arguments) -> str:
    """The reading options that were given, as they are typed; empty where there are none."""
    given = [
        *(["--columns", *arguments.columns] if arguments.columns else []),
        *(["--schema", arguments.schema] if arguments.schema else []),
        *(["--up-from", f"{arguments.up_from:g}"] if arguments.up_from is not None else []),
        *(["--on-bad-rows", arguments.on_bad_rows] if arguments.on_bad_rows != "leave-out" else []),
        *(["--split", arguments.split] if arguments.split != "train" else []),
        *(["--config", arguments.config] if arguments.config else []),
    ]
    return shlex.join(given)


def judgement_rows(source: str, arguments):
    """All that was judged in `source`, ties included, with a progress bar; None for a real dataset: `match` has it."""
    from lessons_lib.advice.match import expected_rows, open_rows
    from lessons_lib.data import real

    if source in real.DATASETS:
        return None
    rows = open_rows(source, **reading_of(arguments))
    return _Watched(rows, expected_rows(source)) if sys.stderr.isatty() else rows


def training_rows(source: str, arguments, method: str, *, first: int | None = None) -> Iterator[dict]:
    """The rows of `source` that a method trains on; what was left out is said on stderr at the end.

    Args:
        source: what the command line names.
        arguments: with the options of `add_reading_options`.
        method: decides what a real dataset gives; a file gives the rows that it has.
        first: how many rows to take (None: all).

    Raises:
        UserError: as `readers.read`; where no row is left; where all ratings are alike.
    """
    from lessons_lib.data import readers, real

    if source in real.DATASETS:
        rows = (real.ratings if shape_of(method) == "unpaired" else real.pairs)(source)
    else:
        rows = readers.read(source, **reading_of(arguments))
    labels = set()
    with in_this_commands_words(source, arguments):
        for row in itertools.islice(rows, first):
            labels.add(row.get("label"))
            yield row
    if not rows.kept:
        raise nothing_kept(rows)
    for line in left_out(rows):
        print(line, file=sys.stderr)
    if labels in ({True}, {False}):
        raise UserError(ONE_CLASS.format(source=source, kept=rows.kept, label="up" if True in labels else "down"))


ONE_CLASS = (
    "{source}: all {kept:,} ratings are {label}, and from one class no preference can be learnt. Fine-tune on the good "
    "ones (SFT), or collect ratings of the other kind"
)


@contextlib.contextmanager
def in_this_commands_words(source: str, arguments):
    """A `SchemaError` inside becomes one that shows the command as it would be typed."""
    from lessons_lib.data.schemas import SchemaError

    try:
        yield
    except SchemaError as error:
        if not error.ways:
            raise
        command = arguments.run.__module__.rpartition(".")[2]
        action = getattr(arguments, "action", None)
        words = [COMMAND, command, *([action] if action else []), shlex.quote(str(source))]
        if action == "convert":
            words += [shlex.quote(str(arguments.output)), "--to", arguments.to]
        typed = " ".join(words)
        tries = "".join(f"\n  {typed} {way}" if way.startswith("--") else f"\n  {way}" for way in error.ways)
        raise UserError(f"{error.said}. Say which:{tries}") from None


def shown(rows) -> Iterator[str]:
    """How a file is read, in lines: the schema, what plays which part, and one row converted."""
    reading, example = getattr(rows, "reading", None), getattr(rows, "example", None)
    if reading is None:
        return
    yield f"Read as {reading.schema} ({reading.says}).{' One row:' if example else ''}"
    for field in ("prompt", "chosen", "rejected", "completion", "label", "first", "second", "verdict"):
        if example and field in example:
            yield f"  {field:10} {_short(example[field])}"


def _short(value: object, width: int = 90) -> str:
    """A text, or the last of several messages, in one line."""
    if isinstance(value, list):
        turns = f" (of {len(value)} messages)" if len(value) > 1 else ""
        value = f"[{value[-1]['role']}]{turns} {value[-1]['content']}"
    line = " ".join(str(value).split())
    return line if len(line) <= width else line[: width - 1] + "…"


def shape_of(method: str) -> str:
    """The shape of rows that a method trains on; SFT takes the chosen side of pairs."""
    return "unpaired" if takes_single_replies(method) else "paired"


def in_shape(rows: Iterable[dict], shape: str) -> Iterator[dict]:
    """The rows in a shape, and a word on stderr where they had the other one."""
    from lessons_lib.data import preferences

    rows = iter(rows)
    first = next(rows, None)
    if first is None:
        return
    came, rows = preferences.shape_of(first), itertools.chain([first], rows)
    if came == shape:
        yield from rows
        return
    print(f"{came} rows are made into {shape} ones", file=sys.stderr)
    made = preferences.pairs_to_ratings(rows) if came == "paired" else preferences.ratings_to_pairs(rows)
    count = 0
    for count, row in enumerate(made, 1):  # noqa: B007
        yield row
    if not count:
        raise UserError("no pairs can be made: no prompt has both a completion that is up and one that is down")


def left_out(rows) -> Iterator[str]:
    """What a pass over `Rows` left out, in lines: how many, and the first reasons."""
    if not getattr(rows, "refused_count", 0) and not getattr(rows, "skipped", 0):
        return
    yield rows.summary()
    yield from (f"  {refusal}" for refusal in rows.refused[:LISTED])
    if rows.refused_count > LISTED:
        yield f"  … and {rows.refused_count - LISTED:,} more"


def nothing_kept(rows) -> UserError:
    """The error of a pass that kept no row, with the first reason."""
    reasons = [str(rows.refused[0])] if rows.refused else [f"skipped: {reason}" for reason in rows.skipped]
    return UserError(f"{rows.summary()}; no row can be used: {reasons[0] if reasons else 'the file is empty'}")


class _Watched:
    """Rows that show how far they are read, and are otherwise the rows they watch."""

    def __init__(self, rows, total: int | None):
        self._rows, self._total = rows, total

    def __iter__(self):
        from rich.console import Console
        from rich.progress import track

        return iter(track(self._rows, "reading", self._total, console=Console(stderr=True), transient=True))

    def __getattr__(self, name):
        return getattr(self._rows, name)
