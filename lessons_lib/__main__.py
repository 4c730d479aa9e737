"""``lessons-lib COMMAND``: finds the command's module, parses, runs, and makes user errors exit code 2."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys

from lessons_lib import COMMAND, __version__, commands
from lessons_lib._installed import extra_of, missing
from lessons_lib.errors import UserError


def build_parser(names: list[str]) -> argparse.ArgumentParser:
    """The parser with one subcommand a module in `lessons_lib.commands`."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__.partition(":")[0])
    parser.add_argument("--version", action="version", version=__version__)
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in names:
        module = importlib.import_module(f"lessons_lib.commands.{name}")
        sub = subparsers.add_parser(
            name,
            help=module.HELP,
            description=module.HELP,
            epilog=f"example:\n  {module.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(sub)
        sub.set_defaults(run=module.run, command=name, extra=getattr(module, "EXTRA", None))
    return parser


def main(argv: list[str] | None = None) -> int:
    names = sorted(m.name for m in pkgutil.iter_modules(commands.__path__) if not m.name.startswith("_"))
    arguments = build_parser(names).parse_args(argv)
    try:
        return arguments.run(arguments) or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if extra_of(error.name or "") is None:  # a fault of the code or of another package: its traceback says more
            raise
        print(f"error: {missing(arguments.command, error.name, arguments.extra)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
