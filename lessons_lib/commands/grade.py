"""``grade``: mark a class's notebooks in the sandbox; ``grade release`` and ``grade course``: what to hand out."""

from __future__ import annotations

import argparse
from pathlib import Path

from lessons_lib import COMMAND
from lessons_lib.errors import UserError

HELP = "mark a class's notebooks in a sandbox, or write the folders to hand out (grade release, grade course)"
EXTRA = "teach"
EXAMPLE = f"""{COMMAND} grade submitted/ --exercise 05_implement_ipo --roster roster.csv --out marks/
  {COMMAND} grade release --out for-learners/
  {COMMAND} grade course --out nbgrader-course/
  {COMMAND} grade tickets --exercise 14_capstone --roster roster.csv --out marks/"""
_HAND_OUT = ("release", "course", "tickets")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="SUBMISSIONS", help=f"folder of submissions, or one of: {', '.join(_HAND_OUT)}")
    parser.add_argument("--exercise", help="name or number of the exercise, quiz_phase_1 to 4, or the path of a spec")
    parser.add_argument("--roster", type=Path, help="CSV with a column id, and names where wanted")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--salt", type=Path, help="file with the course's salt (OUT/salt.txt, drawn when missing)")
    parser.add_argument("--workers", type=int, default=-1, help="submissions side by side (one a core)")
    parser.add_argument("--again", action="store_true", help="mark everybody again, also where nothing changed")


def run(arguments: argparse.Namespace) -> int:
    if arguments.what in _HAND_OUT and not Path(arguments.what).is_dir():
        return _hand_out(arguments)
    if not arguments.exercise or not arguments.roster:
        raise UserError("grading needs --exercise NAME and --roster FILE; `grade --help` shows an example")
    return _grade(arguments)


def _hand_out(arguments: argparse.Namespace) -> int:
    from lessons_lib.grading import handout

    if arguments.what == "release":
        handout.write_release(arguments.out)
        print(f"{arguments.out} holds what learners get: no specs, no solutions, no answer keys of graded quizzes")
    elif arguments.what == "course":
        handout.write_course(arguments.out)
        print(f"{arguments.out} is a course folder for nbgrader; in it: nbgrader generate_assignment NAME --create")
    else:
        if not arguments.exercise or not arguments.roster:
            raise UserError("tickets need --exercise NAME and --roster FILE")
        path = handout.write_tickets(arguments.out, arguments.exercise, arguments.roster, arguments.salt)
        print(f"{path} holds a ticket a learner: the number that her notebook draws her own data from")
    return 0


def _grade(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    from lessons_lib.grading import batch, submissions

    graded = batch.grade(
        Path(arguments.what),
        arguments.exercise,
        submissions.read_roster(arguments.roster),
        arguments.out,
        salt_path=arguments.salt,
        workers=arguments.workers,
        again=arguments.again,
        progress=lambda marks, total: tqdm(marks, total=total, desc="grading", unit="notebook"),
    )
    marks = [graded.marks[learner.id] for learner in graded.roster]
    full = sum(mark.points == mark.of for mark in marks)
    odd = sum(mark.status != "graded" or bool(mark.flags) for mark in marks)
    print(f"{len(marks)} learners, {full} with full marks, {odd} with something odd (see the report)")
    for name, what in _OUTPUTS.items():
        print(f"  {arguments.out / name}  {what}")
    return 0


_OUTPUTS = {
    "marks.csv": "points and statuses",
    "nbgrader.csv": "the same in nbgrader's columns",
    "feedback": "a page for each learner",
    "report.html": "the class",
    "gradebook.sqlite": "everything, in SQLite",
}
