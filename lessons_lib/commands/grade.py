"""``grade``: mark a class's notebooks in the sandbox; ``grade release`` and ``grade course``: what to hand out."""

from __future__ import annotations

import argparse
from pathlib import Path

from lessons_lib import COMMAND
from lessons_lib.errors import UserError

HELP = "mark a class's notebooks in a sandbox, or write the folders to hand out (grade release, grade course)"
EXTRA = "teach"
EXAMPLE = f"""{COMMAND} grade submitted/ --exercise 05_implement_ipo --roster roster.csv --out marks/05
  {COMMAND} grade submitted/ --exercise 6 --roster roster.csv --out marks/06 --deadline '2026-12-01 23:59'
  {COMMAND} grade release --out for-learners/
  {COMMAND} grade course --out nbgrader-course/
  {COMMAND} grade tickets --exercise 14_capstone --roster roster.csv --out marks/14"""
_HAND_OUT = ("release", "course", "tickets")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="SUBMISSIONS", help=f"folder of submissions, or one of: {', '.join(_HAND_OUT)}")
    parser.add_argument("--exercise", help="name or number of the exercise, quiz_phase_1 to 4, or the path of a spec")
    parser.add_argument("--roster", type=Path, help="the class as CSV: a column of ids, and names where wanted")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--salt", type=Path, help="file with the course's salt (OUT/salt.txt, drawn when missing)")
    parser.add_argument(
        "--deadline",
        help="such as '2026-12-01 23:59', a date alone is its end; being late is a column and costs no points",
    )
    parser.add_argument(
        "--timestamps",
        type=Path,
        help="CSV of ids and times, such as Moodle's grading worksheet (nbgrader's timestamp.txt is read anyway)",
    )
    parser.add_argument("--workers", type=int, default=-1, help="submissions side by side (one a core)")
    parser.add_argument("--again", action="store_true", help="mark everybody again, also where nothing changed")


def run(arguments: argparse.Namespace) -> int:
    grades = bool(arguments.exercise and arguments.roster) and arguments.what != "tickets"
    if arguments.what in _HAND_OUT and not grades:  # a folder may be called release, too
        return _hand_out(arguments)
    if not arguments.exercise or not arguments.roster:
        raise UserError("grading needs --exercise NAME and --roster FILE; `grade --help` shows an example")
    return _grade(arguments)


def _hand_out(arguments: argparse.Namespace) -> int:
    from lessons_lib.grading import handout, roster

    if arguments.what == "release":
        handout.write_release(arguments.out)
        print(f"{arguments.out} holds what learners get: no specs, no solutions, no answer keys of graded quizzes")
    elif arguments.what == "course":
        handout.write_course(arguments.out)
        print(f"{arguments.out} is a course folder for nbgrader; in it: nbgrader generate_assignment NAME --create")
    else:
        if not arguments.exercise or not arguments.roster:
            raise UserError("tickets need --exercise NAME and --roster FILE")
        learners, said = roster.read(arguments.roster)
        path = handout.write_tickets(arguments.out, arguments.exercise, learners, arguments.salt)
        print(said)
        print(f"{path} holds a ticket a learner: the number that her notebook draws her own data from")
    return 0


def _grade(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    from lessons_lib.grading import batch, lateness, roster

    learners, said = roster.read(arguments.roster)
    print(said)
    graded = batch.grade(
        Path(arguments.what),
        arguments.exercise,
        learners,
        arguments.out,
        salt_path=arguments.salt,
        workers=arguments.workers,
        again=arguments.again,
        deadline=lateness.deadline(arguments.deadline, "--deadline") if arguments.deadline else None,
        timestamps=arguments.timestamps,
        progress=lambda marks, total: tqdm(marks, total=total, desc="grading", unit="notebook"),
    )
    return _say(graded, arguments.out)


def _say(graded, out: Path) -> int:
    marks = [graded.marks[learner.id] for learner in graded.roster]
    full = sum(mark.points == mark.of for mark in marks)
    odd = sum(mark.status != "graded" or bool(mark.flags) for mark in marks)
    missing = sum(mark.status == "missing" for mark in marks)
    print(f"submissions recognised as: {', '.join(graded.layouts)}")
    print(f"{len(marks)} learners: {full} with full marks, {missing} missing, {odd} with something odd, see the report")
    if told := graded.told_of_times():
        print(told)
    for told in graded.told_of_shared():
        print(f"not opened: {told}")
    if stray := graded.points_of_nobody():
        print(f"by_hand.csv: these ids are not on the roster, their points reach nobody: {', '.join(stray)}")
    if graded.departed:
        shown = ", ".join(graded.departed[:5])
        print(f"not on this roster, so without a page, their marks are kept: {len(graded.departed)}, such as {shown}")
    if graded.strangers:
        shown = ", ".join(map(repr, graded.strangers[:5]))
        print(f"not on the roster, not opened: {len(graded.strangers)}, such as {shown}")
    for name, what in _OUTPUTS.items():
        if (out / name).exists():
            print(f"  {out / name}  {what}")
    if failed := [mark.learner for mark in marks if mark.status == "not_marked"]:
        print(f"the grader failed on {', '.join(failed[:5])}: no mark yet, see the report; grading again tries again")
        return 1
    return 0


_OUTPUTS = {
    "marks.csv": "points and statuses",
    "nbgrader.csv": "the same in nbgrader's columns",
    "feedback": "a page for each learner",
    "report.html": "the class, with links to the pages",
    "alike.csv": "groups of like answers, as questions to look at",
    "by_hand.csv": "the form for a person's points; fill it in and grade again",
    "gradebook.sqlite": "everything, in SQLite",
}
