"""``diagnose``: name the faults that a run's log shows, with the evidence and what to try first."""

from __future__ import annotations

import sys
from pathlib import Path

from lessons_lib import COMMAND
from lessons_lib._installed import need
from lessons_lib.errors import UserError

HELP = "read a training log (TRL's trainer_state.json, a CSV, our history) and name what is wrong in it"
EXAMPLE = f"""{COMMAND} diagnose runs/dpo --beta 0.1
  {COMMAND} diagnose outputs/checkpoint-500/trainer_state.json --picture curves.svg
  (exit code 0: nothing found, 1: faults found, 2: not a log)"""


def add_arguments(parser) -> None:
    parser.add_argument("log", help="trainer_state.json, a CSV of metrics, or the folder that holds one")
    parser.add_argument(
        "--beta", type=float, help="β or τ of a DPO, IPO or KTO run; with it, a moving reference can be seen"
    )
    parser.add_argument("--picture", type=Path, help="write the curves to this .svg file")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments) -> int:
    from lessons_lib.advice.diagnose import diagnose, read_log

    if arguments.picture:
        need("--picture", "matplotlib")
    diagnosis = diagnose(read_log(arguments.log, strength=arguments.beta))
    if arguments.json:
        _print_json(diagnosis)
    else:
        _print(diagnosis)
    picture = diagnosis.picture() if arguments.picture else None
    if picture:
        from lessons_lib.plots import svg

        _write(arguments.picture, svg(picture.figure))
        print(f"curves: {arguments.picture}", file=sys.stderr)
    return 1 if diagnosis.keys else 0


def _write(path: Path, picture: str) -> None:
    try:
        path.write_text(picture, encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"--picture: cannot write {path} ({error.strerror}); name a file in a folder there is"
        ) from error


def _print(diagnosis) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for finding in diagnosis.findings:
        fault = finding.fault
        heading = f"{fault.name} (healthy runs show as much)" if finding.usual else fault.name
        table = Table(title=heading, title_justify="left", title_style="bold", show_header=False, expand=False)
        table.add_row(fault.curve, finding.sparkline())
        table.add_row("seen", finding.evidence)
        table.add_row("means", fault.meaning)
        table.add_row("try first", fault.remedy)
        table.add_row("source", fault.source)
        console.print(table)
    if not diagnosis.findings:
        console.print(f"{diagnosis.log.source}: {diagnosis.log.rows} logged steps, no fault found.")
    if diagnosis.unknown:
        names = "; ".join(f"{fault.name} (needs {', '.join(fault.columns)})" for fault in diagnosis.unknown)
        console.print(f"Could not be looked for: {names}.")


def _print_json(diagnosis) -> None:
    import json

    found = [
        {"key": f.fault.key, "name": f.fault.name, "usual": f.usual, "evidence": f.evidence, "remedy": f.fault.remedy}
        for f in diagnosis.findings
    ]
    print(json.dumps({"findings": found, "unknown": [fault.key for fault in diagnosis.unknown]}, indent=1))
