"""``quiz``: the graded quiz of a phase, a notebook for each learner or QTI for a learning platform."""

from __future__ import annotations

import argparse
from pathlib import Path

from lessons_lib import COMMAND
from lessons_lib.errors import UserError

HELP = "write a phase's graded quiz: a notebook drawn for each learner, or a QTI zip for Canvas and other platforms"
EXTRA = "teach"
EXAMPLE = f"""{COMMAND} quiz --phase 2 --roster roster.csv --salt marks/salt.txt --out quizzes/
  {COMMAND} quiz --phase 2 --out quiz_phase_2.ipynb
  {COMMAND} quiz --phase 2 --out quiz_phase_2.zip
  {COMMAND} quiz --lesson 5 --out lesson_5.zip"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--phase", type=int, help="the graded questions of a phase, 1 to 4")
    which.add_argument("--lesson", type=int, help="every question of a lesson, quick check included (zip only)")
    parser.add_argument("--roster", type=Path, help="the class: OUT becomes a folder with each learner's own quiz")
    parser.add_argument("--salt", type=Path, help="the course's salt, the one that grading uses (OUT/salt.txt)")
    parser.add_argument("--out", type=Path, required=True, help="a name that ends in .ipynb or .zip, or a folder")


def run(arguments: argparse.Namespace) -> int:
    from lessons_lib.grading import handout, quizzes

    if arguments.roster is not None:
        return _for_each(arguments)
    if arguments.out.suffix not in (".ipynb", ".zip"):
        raise UserError(f"{arguments.out}: expected a name that ends in .ipynb or .zip, or --roster beside a folder")
    if arguments.out.suffix == ".ipynb":
        if arguments.phase is None:
            raise UserError("a notebook is made for a phase: give --phase; --lesson goes with a .zip")
        exercise, notebook = quizzes.assignment(arguments.phase)
        handout.write_notebook(arguments.out, notebook)
        print(
            f"{arguments.out}: the bank, {len(exercise.items)} questions. `grade --exercise {exercise.name}` marks "
            "those drawn for each learner; with --roster everybody gets her own questions alone."
        )
        return 0
    title, questions = _asked(arguments)
    quizzes.write_qti(arguments.out, title, questions)
    print(f"{arguments.out}: {len(questions)} questions as QTI; import it as a quiz in your platform")
    return 0


def _for_each(arguments: argparse.Namespace) -> int:
    from lessons_lib.grading import files, handout, roster, tickets

    if arguments.phase is None:
        raise UserError("quizzes are drawn for a phase: give --phase beside --roster")
    learners, said = roster.read(arguments.roster)
    with files.folder_of_marks(arguments.salt.parent if arguments.salt else arguments.out):
        salt = tickets.read_salt(arguments.salt or arguments.out / "salt.txt")
    written = handout.write_quizzes(arguments.out, arguments.phase, learners, salt)
    print(said)
    print(f"{arguments.out} holds {len(written)} quizzes, a folder a learner. Grade them with the same salt:")
    salt_path = arguments.salt or arguments.out / "salt.txt"
    print(f"  grade SUBMISSIONS --exercise quiz_phase_{arguments.phase} --salt {salt_path} --roster … --out …")
    return 0


def _asked(arguments: argparse.Namespace) -> tuple[str, list]:
    from lessons_lib.grading import quizzes
    from lessons_lib.quiz import load_bank

    if arguments.lesson is not None:
        return f"Lesson {arguments.lesson}", load_bank(arguments.lesson)
    quizzes.assignment(arguments.phase)  # refuses a phase that is not there
    title = quizzes.phases()[arguments.phase]["title"]
    return f"Quiz {arguments.phase}: {title}", quizzes.questions_of(arguments.phase)
