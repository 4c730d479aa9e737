"""``quiz``: the graded quiz of a phase as a notebook for the grader, or as QTI for a learning platform."""

from __future__ import annotations

import argparse
from pathlib import Path

from lessons_lib import COMMAND
from lessons_lib.errors import UserError

HELP = "write a phase's graded quiz: a notebook that `grade` marks, or a QTI zip for Canvas and other platforms"
EXTRA = "teach"
EXAMPLE = f"""{COMMAND} quiz --phase 2 --out quiz_phase_2.ipynb
  {COMMAND} quiz --phase 2 --out quiz_phase_2.zip
  {COMMAND} quiz --lesson 5 --out lesson_5.zip"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--phase", type=int, help="the graded questions of a phase, 1 to 4")
    which.add_argument("--lesson", type=int, help="every question of a lesson, quick check included (zip only)")
    parser.add_argument("--out", type=Path, required=True, help="a name that ends in .ipynb or .zip")


def run(arguments: argparse.Namespace) -> int:
    from lessons_lib.grading import handout, quizzes

    if arguments.out.suffix not in (".ipynb", ".zip"):
        raise UserError(f"{arguments.out}: expected a name that ends in .ipynb or .zip")
    if arguments.out.suffix == ".ipynb":
        if arguments.phase is None:
            raise UserError("a notebook is made for a phase: give --phase; --lesson goes with a .zip")
        exercise, notebook, _ = quizzes.assignment(arguments.phase)
        handout.write_notebook(arguments.out, notebook)
        print(f"{arguments.out}: {len(exercise.items)} questions; `grade --exercise {exercise.name}` marks it")
        return 0
    title, questions = _asked(arguments)
    quizzes.write_qti(arguments.out, title, questions)
    print(f"{arguments.out}: {len(questions)} questions as QTI; import it as a quiz in your platform")
    return 0


def _asked(arguments: argparse.Namespace) -> tuple[str, list]:
    from lessons_lib.grading import quizzes
    from lessons_lib.quiz import load_bank

    if arguments.lesson is not None:
        return f"Lesson {arguments.lesson}", load_bank(arguments.lesson)
    quizzes.assignment(arguments.phase)  # refuses a phase that is not there
    title = quizzes.phases()[arguments.phase]["title"]
    return f"Quiz {arguments.phase}: {title}", quizzes.questions_of(arguments.phase)
