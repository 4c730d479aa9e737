"""``lessons-lib data``: look at real preference data and fetch it, check a file of your own, or make it clean."""

from __future__ import annotations

import argparse
import datetime
import json
import platform
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from lessons_lib import COMMAND
from lessons_lib._installed import missing, need
from lessons_lib.commands._reading import (
    SOURCE,
    add_reading_options,
    in_shape,
    in_this_commands_words,
    nothing_kept,
    reading_of,
    shown,
)

HELP = "look at the real datasets, fetch them, or check a preference file of your own"
EXAMPLE = f"{COMMAND} data describe tulu1_human_eval"
PROFILES = Path(__file__).parents[1] / "data" / "profiles"
SHOWN = 20  # refused rows that `check` prints


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="the real datasets: what they are, licence, size, source")
    fetch = actions.add_parser("fetch", help="download a dataset's files, or those of all, and check them")
    fetch.add_argument("name", nargs="?", help="of a dataset (default: all)")
    describe = actions.add_parser("describe", help="a dataset's figures with their definitions, and a picture")
    describe.add_argument("name", help="of a dataset")
    describe.add_argument("--picture", type=Path, help="PNG or SVG to write (default: runs/NAME.png)")
    check = actions.add_parser("check", help="check a preference file; exit code 2 if any row is refused")
    check.add_argument("source", help=SOURCE)
    check.add_argument("--shape", choices=["paired", "unpaired"], help="default: the shape of the first sound row")
    add_reading_options(check)
    check.add_argument("--apart-from", metavar="FILE", help="another split: refuse prompts that occur in it too")
    convert = actions.add_parser(
        "convert", help="write a file's rows clean, in one shape, and a list of those left out"
    )
    convert.add_argument("source", help=SOURCE)
    convert.add_argument("output", type=Path, metavar="OUT.jsonl", help="file to write")
    convert.add_argument("--to", choices=["pairs", "ratings"], required=True, help="what a row of it is")
    add_reading_options(convert)
    actions.add_parser("schemas", help="the schemas that are recognised, with the columns of each")
    profile = actions.add_parser("profile-real", help="compute the committed figures from the original files")
    profile.add_argument("--out", type=Path, default=PROFILES, help="folder to write to (default: the library's)")


def run(arguments: argparse.Namespace) -> int | None:
    return _ACTIONS[arguments.action](arguments)


def _list(arguments: argparse.Namespace) -> None:
    from rich.table import Table

    from lessons_lib.data import real

    table = Table("name", "what it is", "MB", "licence", "source", show_lines=True)
    for entry in real.DATASETS.values():
        source = f"github.com/{entry.repository}\nat {entry.commit[:10]}"
        megabytes = f"{entry.bytes / 1e6:.1f}"
        table.add_row(
            entry.name, f"{entry.title}. {entry.about}", megabytes, entry.licence, f"{source}\n{entry.citation}"
        )
    _print(table)


def _fetch(arguments: argparse.Namespace) -> None:
    from lessons_lib.data import real

    for name in [arguments.name] if arguments.name else real.DATASETS:
        paths = real.fetch(name)
        print(f"{name}: {len(paths)} files, SHA-256 as pinned. Licence: {real.DATASETS[name].licence}")


def _describe(arguments: argparse.Namespace) -> None:
    from rich.table import Table

    from lessons_lib.data import figures, real
    from lessons_lib.errors import UserError

    entry = real.dataset(arguments.name)
    if arguments.picture:
        need("--picture", "matplotlib")
    try:
        measures = figures.measure(entry.name, real.load(entry.name))
        origin = "computed now from the original files"
    except UserError as error:
        profile = figures.committed(entry.name)
        measures = profile["measures"]
        origin = f"committed with the project on {profile['date']}: the original files cannot be had\n({error})"
    table = Table("figure", "value", "n", "95 %", "how it is counted")
    for m in measures:
        table.add_row(m.what, m.show(), "" if m.n is None else f"{m.n:,}", m.interval(), m.definition)
    print(f"{entry.title}. {entry.about}\n{entry.citation}\nLicence: {entry.licence}")
    print(f"github.com/{entry.repository} at {entry.commit}\nFigures {origin}\n")
    _print(table)
    if arguments.picture is None and find_spec("matplotlib") is None:
        print(missing("a picture", "matplotlib"))
        return
    path = arguments.picture or Path("runs") / f"{entry.name}.png"
    _draw(entry.name, measures, path)
    print(f"picture: {path}")


def _draw(name: str, measures: list, path: Path) -> None:
    from lessons_lib.data import figures
    from lessons_lib.errors import UserError
    from lessons_lib.plots import labelled_bars_plot

    title, drawn = figures.finding(name, measures)
    unit = drawn[0].unit
    picture = labelled_bars_plot(
        [(f"{m.what} (n = {m.n:,})", m.value, m.show()) for m in drawn],
        ends={f"{m.what} (n = {m.n:,})": (m.low, m.high) for m in drawn if m.low is not None},
        title=title,
        x_label="share" if unit == "share" else f"mean number of {unit}",
        alt=f"{title}. " + "; ".join(f"{m.what}: {m.show()}" for m in drawn) + ".",
        percent=unit == "share",
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    except OSError as error:
        raise UserError(f"--picture: {path} cannot be written ({error.strerror}); name another place") from error


def _check(arguments: argparse.Namespace) -> int:
    from lessons_lib.data.readers import read

    other = read(arguments.apart_from, on_error="collect") if arguments.apart_from else None
    rows = read(arguments.source, shape=arguments.shape, apart_from=other, **reading_of(arguments))
    with in_this_commands_words(arguments.source, arguments):
        print("\n".join(shown(rows)))
        for _ in rows:
            pass
    for refusal in rows.refused[:SHOWN]:
        print(refusal)
    if rows.refused_count > SHOWN:
        print(f"… and {rows.refused_count - SHOWN:,} more")
    print(rows.summary())
    if not rows.kept:
        raise nothing_kept(rows)
    _check_content(arguments)
    return 2 if rows.refused_count else 0


def _check_content(arguments: argparse.Namespace) -> None:
    """What the texts themselves say, a line each."""
    from lessons_lib.advice.decide import Facts, content_warnings
    from lessons_lib.advice.match import measure, open_rows

    rows = open_rows(arguments.source, **{**reading_of(arguments), "on_error": "collect"})
    measured, _ = measure(arguments.source, rows)
    for warning in content_warnings(Facts.from_profile(measured)):
        print(f"warning: {warning}")


def _convert(arguments: argparse.Namespace) -> None:
    from lessons_lib.data.readers import read
    from lessons_lib.errors import UserError

    output = arguments.output
    left_out_file = output.with_name(f"{output.stem}.left_out.jsonl")
    for path in (output, left_out_file):
        if path.exists():
            raise UserError(f"{path}: expected a new file, found one there; name another")
    rows = read(arguments.source, **reading_of(arguments))
    whys: list[str] = []
    rows.on_left_out = lambda line, why: whys.append(_json_line({"line": line, "why": why}))
    with in_this_commands_words(arguments.source, arguments):
        print("\n".join(shown(rows)))
        count = _write_lines(output, map(_json_line, in_shape(rows, f"{'un' * (arguments.to == 'ratings')}paired")))
    if not count:
        output.unlink()
        raise nothing_kept(rows)
    print(rows.summary())
    print(f"{output}: {count:,} {arguments.to}")
    if whys:
        _write_lines(left_out_file, whys)
        print(f"{left_out_file}: {len(whys):,} rows left out, each with its reason")


def _json_line(record: dict) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"


def _write_lines(path: Path, lines: Iterable[str]) -> int:
    from lessons_lib.errors import UserError

    count = 0
    try:
        with path.open("w", encoding="utf-8") as file:
            for count, line in enumerate(lines, 1):  # noqa: B007
                file.write(line)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); name a file in a folder that exists") from error
    return count


def _schemas(arguments: argparse.Namespace) -> None:
    from rich.table import Table

    from lessons_lib.data.columns import SAYS
    from lessons_lib.data.schemas import SCHEMAS

    table = Table("--schema", "columns")
    for schema in SCHEMAS.values():
        table.add_row(schema.name, schema.says)
    for reading, says in SAYS.items():
        table.add_row(f"two-replies:{reading}", says)
    _print(table)


def _profile_real(arguments: argparse.Namespace) -> None:
    from lessons_lib import __version__
    from lessons_lib.data import figures, real

    arguments.out.mkdir(parents=True, exist_ok=True)
    for entry in real.DATASETS.values():
        records = real.load(entry.name)
        measures = figures.measure(entry.name, records)
        profile = {
            "dataset": entry.name,
            "repository": entry.repository,
            "commit": entry.commit,
            "command": f"{COMMAND} data profile-real",
            "date": datetime.date.today().isoformat(),
            "versions": {"lessons_lib": __version__, "python": platform.python_version()},
            "measures": [vars(m) for m in measures],
            "profile": figures.profile_of(entry.name, records).as_dict(),
            **{key: table(records) for key, table in figures.TABLES.get(entry.name, {}).items()},
        }
        path = arguments.out / f"{entry.name}.json"
        path.write_text(json.dumps(profile, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"{path}: {len(measures)} figures")


def _print(table) -> None:
    """A table with whole words, also where the output is a file."""
    from rich.console import Console

    console = Console()
    (console if console.is_terminal else Console(width=140)).print(table)


_ACTIONS = {
    "list": _list,
    "fetch": _fetch,
    "describe": _describe,
    "check": _check,
    "convert": _convert,
    "schemas": _schemas,
    "profile-real": _profile_real,
}
