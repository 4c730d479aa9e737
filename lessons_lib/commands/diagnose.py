"""``diagnose``: name the faults that a run's log shows, with the evidence and what to try first."""

from __future__ import annotations

import sys
from pathlib import Path

from lessons_lib import COMMAND
from lessons_lib._installed import need
from lessons_lib.errors import UserError

HELP = (
    "read a training log (trainer_state.json, a CSV of pandas or Weights & Biases, our history): what is wrong in it?"
)
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
    from lessons_lib.advice.diagnose import diagnose
    from lessons_lib.advice.logs import read_log

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
    console.print(_what_was_read(diagnosis.log), markup=False, soft_wrap=True)
    for finding in diagnosis.findings:
        fault = finding.fault
        heading = f"{fault.name} (healthy runs show as much)" if finding.usual else fault.name
        table = Table(title=heading, title_justify="left", title_style="bold", show_header=False, expand=False)
        table.add_row(finding.curve, finding.sparkline())
        table.add_row("seen", finding.evidence)
        table.add_row("means", fault.meaning)
        table.add_row("try first", fault.remedy)
        table.add_row("source", fault.source)
        console.print(table)
    if not diagnosis.findings:
        console.print("No fault found among those that were looked for.")
    if diagnosis.unknown:
        names = "; ".join(f"{fault.name} (needs {fault.lacks(diagnosis.log)})" for fault in diagnosis.unknown)
        console.print(f"Could not be looked for: {names}.")


def _what_was_read(log) -> str:
    """The file, its rows, and what so few or such rows can show."""
    from lessons_lib.advice.logs import THIRDS

    evaluations = log.evaluation.rows if log.evaluation else 0
    lines = [f"{log.source}: {log.rows} training rows, to step {log.steps[-1]:g}; {evaluations} evaluations."]
    if not log.of_preferences:
        lines.append(
            "No metric tells chosen from rejected: this is the log of supervised fine-tuning, or of a trainer that "
            "logs no rewards. Only loss, gradient and evaluation could be looked at."
        )
    if log.rows < THIRDS:
        lines.append(
            f"So few rows show extremes, not trends, and nothing about noise; with {THIRDS} or more, thirds of the "
            f"run are compared. Set logging_steps lower."
        )
    return "\n".join([*lines, *log.notes])


def _print_json(diagnosis) -> None:
    import json

    log = diagnosis.log
    found = [
        {"key": f.fault.key, "name": f.fault.name, "usual": f.usual, "evidence": f.evidence, "remedy": f.fault.remedy}
        for f in diagnosis.findings
    ]
    read = {"file": log.source, "rows": log.rows, "evaluations": log.evaluation.rows if log.evaluation else 0}
    read |= {"preferences": log.of_preferences, "notes": list(log.notes)}
    unknown = [fault.key for fault in diagnosis.unknown]
    print(json.dumps({"log": read, "findings": found, "unknown": unknown}, indent=1))
