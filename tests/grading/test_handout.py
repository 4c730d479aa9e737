"""What is handed out: the release keeps its secrets, solutions fit their stubs, nbgrader works, QTI is sound."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path

import nbformat
import pytest
import yaml

from lessons_lib.errors import UserError
from lessons_lib.grading import (
    assignments,
    collect,
    compare,
    handout,
    nbgrader_tests,
    quizzes,
    roster,
    submissions,
    tickets,
    wire,
)
from lessons_lib.quiz import load_bank

EXERCISES = assignments.names()
PHASES = [phase for phase in quizzes.phases() if quizzes.questions_of(phase)]


def notebook_of(name):
    return json.loads((assignments.EXERCISES / f"{name}.ipynb").read_text())


# ---------------------------------------------------------------- the release


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    folder = tmp_path_factory.mktemp("release")
    handout.write_release(folder)
    return folder


def texts(folder):
    """Every file of a folder that is text, with what it says."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix not in (".safetensors", ".npz", ".png", ".parquet"):
            yield path, path.read_text(encoding="utf-8", errors="replace")


def code_lines(source, shortest=30):
    """Lines that say something of their own: not imports, definitions, closing brackets."""
    lines = (line.strip() for line in source.splitlines())
    return {
        line
        for line in lines
        if len(line) >= shortest and not line.startswith(("import ", "from ", "def ", '"""', "#"))
    }


def test_the_release_has_what_learners_need(release):
    for name in EXERCISES:
        assert (release / "exercises" / f"{name}.ipynb").read_bytes() == (
            assignments.EXERCISES / f"{name}.ipynb"
        ).read_bytes()
    assert not list(release.rglob("quiz_phase_*"))  # they are drawn for each learner
    assert "make learn" in (release / "README.md").read_text()  # pyproject.toml reads it, too
    assert set(re.findall(r"^([a-z]+):", (release / "Makefile").read_text(), re.M)) == {"help", "learn"}
    assert (release / "notebooks/start.ipynb").exists()
    assert (release / "lessons_lib/losses.py").exists()


def test_no_spec_and_no_solution_is_released(release):
    names = {path.relative_to(release).as_posix() for path in release.rglob("*")}
    assert not [name for name in names if "specs" in name or "solutions" in name or name.startswith("tests")]
    released = {path: {line.strip() for line in text.splitlines()} for path, text in texts(release)}
    public = code_lines(
        "\n".join(path.read_text() for path in (assignments.EXERCISES.parent / "lessons_lib").rglob("*.py"))
    )
    for folder in ("specs", "solutions"):
        for path in sorted((assignments.EXERCISES / folder).glob("*.py")):
            secret = code_lines(path.read_text()) - public
            for where, lines in released.items():
                assert not secret & lines, f"{where.relative_to(release)} has a line of {path.name}"


@pytest.mark.parametrize("name", EXERCISES)
def test_no_hidden_number_is_released(release, name):
    """The numbers of the hidden cases, as drawn for a learner, and what is expected of them."""
    exercise = assignments.load(name).exercise
    salt = tickets.read_salt(release.parent / "salt_for_this_test.txt")
    hidden = set()
    for item in exercise.items:
        for case in tickets.cases_of(exercise, salt, "ada")[item.name]:
            text = json.dumps(case) + json.dumps(compare.expected(item, case))
            hidden |= {number for number in re.findall(r"-?\d+\.\d+", text) if len(number.strip("-0.")) >= 8}
    for path, text in texts(release / "exercises"):
        found = [number for number in hidden if number in text]
        assert not found, f"{path.name} has {found[:3]}"


def test_graded_questions_keep_their_answers(release):
    """Of the banks, learners get the questions that lessons ask; a lesson's bank still holds by its schema."""
    for path in sorted((release / "exercises/questions").glob("lesson*.yaml")):
        lesson = int(path.stem.removeprefix("lesson"))
        released = {question.id for question in load_bank(lesson, path.parent)}
        graded = {question.id for question in quizzes.graded_questions(lesson)}
        assert released | graded == {question.id for question in load_bank(lesson)}
        assert not released & graded
    everything = "\n".join(text for _, text in texts(release / "exercises"))
    for phase in PHASES:
        for question in quizzes.questions_of(phase):
            reasons = [choice["reason"] for choice in question.fields.get("choices", [])]
            for reason in filter(None, [*reasons, question.fields.get("reason")]):
                assert reason not in everything, f"{question.id}: {reason}"


def test_the_site_has_no_page_of_specs_or_solutions(root):
    """Only what the table of contents names is built; the exercises are excluded whole."""
    config = yaml.safe_load((root / "_config.yml").read_text())
    assert config["only_build_toc_files"] is True
    assert "exercises" in config["exclude_patterns"]
    assert "exercises/" not in (root / "_toc.yml").read_text()


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    for write in (handout.write_release, handout.write_course):
        with pytest.raises(UserError, match="empty or not there yet"):
            write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


# ---------------------------------------------------------------- solutions in place


@pytest.mark.parametrize("name", EXERCISES)
def test_a_solution_fits_its_stubs(name):
    """Filled in, a cell compiles and has no stub; what stands between nbgrader's comments is all that was added."""
    stub, solution = notebook_of(name), handout.solution_of(name)
    solved, marked = handout.solve(stub, solution), handout.solve(stub, solution, mark=True)
    nbformat.validate(nbformat.from_dict(solved))
    for before, after, between in zip(stub["cells"], solved["cells"], marked["cells"], strict=True):
        if not before["metadata"].get("nbgrader", {}).get("solution"):
            assert before == after == between
            continue
        source, filled = "".join(after["source"]), "".join(between["source"])
        compile(source, name, "exec")
        assert "...  # your" not in source
        assert filled.count("### BEGIN SOLUTION") == filled.count("### END SOLUTION") == 1
        outside = re.sub(r" *### BEGIN SOLUTION\n.*?### END SOLUTION\n?", "", filled, flags=re.DOTALL)
        assert set(outside.splitlines()) <= set("".join(before["source"]).splitlines())


@pytest.mark.slow
def test_nbval_runs_every_exercise_with_its_solution(tmp_path):
    for name in EXERCISES:
        handout.write_notebook(tmp_path / f"{name}.ipynb", handout.solve(notebook_of(name), handout.solution_of(name)))
        for path in assignments.load(name).files:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--nbval-lax",
        "--nbval-current-env",
        "-q",
        "-p",
        "no:cacheprovider",
        ".",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]


# ---------------------------------------------------------------- nbgrader


@pytest.mark.parametrize("name", EXERCISES)
def test_nbgraders_cells_give_full_points_to_solutions_and_none_to_stubs(name):
    names = {}
    exec(handout.solution_of(name), names)
    for item in assignments.load(name).exercise.items:
        assert nbgrader_tests.points(name, item.name, names[item.name]) == item.points, item.name
        nothing = (lambda *arguments, **named: None) if item.cases else ...
        assert nbgrader_tests.points(name, item.name, nothing) == 0, item.name


def nbgrader(folder, *arguments):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # nbgrader calls alembic
    command = [sys.executable, "-m", "nbgrader", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**os.environ, "PATH": path})
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.slow
def test_nbgrader_works_on_the_course_folder(tmp_path):
    """generate_assignment, autograde and export: full points for the solution, none for the stub, some for a half."""
    name, course = "05_implement_ipo", tmp_path / "course"
    handout.write_course(course)
    assert sorted(path.name for path in (course / "source").iterdir()) == sorted(EXERCISES)
    nbgrader(course, "generate_assignment", name, "--create")
    released = (course / "release" / name / f"{name}.ipynb").read_text()
    assert "SOLUTION" not in released and "HIDDEN" not in released and "nbgrader_tests" not in released
    assert released.count("...  # your code") == 3
    stub, solved = json.loads(released), handout.solve(json.loads(released), handout.solution_of(name))
    half = handout.solve(json.loads(released), handout.solution_of(name).replace("return tau * length", "return tau"))
    warns = "import sys\nprint('look out', file=sys.stderr)\n"
    solved["cells"][2]["source"].insert(0, warns)
    for learner, notebook in {"stub": stub, "solved": solved, "half": half}.items():
        (course / "submitted" / learner / name).mkdir(parents=True)
        handout.write_notebook(course / "submitted" / learner / name / f"{name}.ipynb", notebook)
    nbgrader(course, "autograde", name, "--create")
    nbgrader(course, "export")
    with (course / "grades.csv").open() as file:
        scores = {row["student_id"]: (float(row["score"]), float(row["max_score"])) for row in csv.DictReader(file)}
    assert scores == {"stub": (0, 8), "half": (6, 8), "solved": (8, 8)}


# ---------------------------------------------------------------- quizzes


def right_answer(question, lettered):
    letters = [letter for letter, choice in lettered if choice.get("correct")]
    return "".join(letters) or question.fields.get("answer", question.fields.get("answers", [""])[0])


def wrong_answers(question, lettered):
    letters = [letter for letter, choice in lettered if not choice.get("correct")]
    return letters or [mistake["answer"] for mistake in question.fields["mistakes"]]


@pytest.mark.parametrize("phase", PHASES)
def test_a_quiz_marks_its_bank_and_each_learners_own_letters(phase):
    exercise, notebook = quizzes.assignment(phase)
    nbformat.validate(nbformat.from_dict(notebook))
    stubs = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["metadata"]["nbgrader"]["grade_id"] for cell in stubs] == [item.name for item in exercise.items]
    case = {"ticket": "0123456789ab"}
    for item, question in zip(exercise.items, quizzes.questions_of(phase), strict=True):
        for lettered in (quizzes._lettered(question), quizzes.lettered_for(question, case["ticket"])):
            right = right_answer(question, lettered)
            assert compare.share(item, case, None, wire.encode(right))[0] == 1, item.name
            everything = "".join(letter for letter, _ in lettered)
            silly = [None, ..., "", [], True, {"a": 1}, float("nan"), 10**400, everything, "!", ["a"] * 10**4]
            for answer in [*wrong_answers(question, lettered), *silly]:
                assert compare.share(item, case, None, wire.encode(answer))[0] == 0, (item.name, answer)
                assert len(item.explain(wire.encode(answer)["json"], case)) > 10 or answer == everything


@pytest.mark.parametrize("phase", PHASES)
def test_quizzes_are_drawn_by_ticket(phase):
    """As many questions of each lesson for everybody, other ones in another order with other letters."""
    draws = [quizzes.drawn(phase, f"ticket {number}") for number in range(100)]
    counts = [sorted(question.lesson for question in questions) for questions in draws]
    assert all(count == counts[0] for count in counts)
    assert len(counts[0]) < len(quizzes.questions_of(phase))
    assert len({tuple(question.id for question in questions) for questions in draws}) > 10
    every = {question.id for questions in draws for question in questions}
    assert every == {question.id for question in quizzes.questions_of(phase)}
    question = next(q for q in quizzes.questions_of(phase) if "choices" in q.fields)
    answers = {right_answer(question, quizzes.lettered_for(question, f"ticket {number}")) for number in range(200)}
    assert len(answers) > 5


def test_several_letters_earn_their_share():
    question = next(q for q in load_bank(5) if q.id == "paper-shows")  # a and b are right
    readings = dict(quizzes._lettered(question))
    answers = {"ab": 1, "B, a": 1, "a": 0.5, "abc": 0.5, "ac": 0, "abcd": 0, "c": 0}
    assert {answer: quizzes._judge_letters(readings, answer) for answer in answers} == answers
    assert quizzes._judge_letters(readings, ["a", "b"]) == 1
    said = quizzes._explain(question, "abc", {"ticket": "x"})
    assert "trains no language model" in said and question.prompt.strip() in said


def test_a_quiz_is_graded_like_an_exercise(tmp_path):
    """The notebook that a learner gets has every cell that is marked for her."""
    exercise = assignments.load("quiz_phase_2").exercise
    notebook = quizzes.notebook_for(2, "0123456789ab")
    nbformat.validate(nbformat.from_dict(notebook))
    handout.write_notebook(tmp_path / "ada.ipynb", notebook)
    found = collect.collect(tmp_path, [roster.Learner("ada")], "quiz_phase_2.ipynb").found["ada"]
    located = submissions.locate("ada", found, "quiz_phase_2.ipynb")
    read = submissions.read(located, [item.name for item in exercise.items_for("0123456789ab")])
    assert (read.status, read.flags) == ("read", ())
    assert len(read.cells) == len(exercise.items_for("0123456789ab"))


@pytest.mark.parametrize("phase", PHASES)
def test_the_qti_zip_is_sound(phase, tmp_path):
    """The manifest names the files that are there; every question is one item with its right answer and feedback."""
    questions = quizzes.questions_of(phase)
    quizzes.write_qti(tmp_path / "quiz.zip", "A quiz", questions)
    with zipfile.ZipFile(tmp_path / "quiz.zip") as archive:
        assert archive.testzip() is None
        manifest = ElementTree.fromstring(archive.read("imsmanifest.xml"))
        named = [element.get("href") for element in manifest.iter() if element.tag.endswith("}file")]
        assert set(named) <= set(archive.namelist())
        pages = [name for name in archive.namelist() if name.endswith(".xml")]
        trees = {name: ElementTree.fromstring(archive.read(name)) for name in pages}
    assessment = next(t for name, t in trees.items() if "assessment_meta" not in name and name != "imsmanifest.xml")
    space = {"q": "http://www.imsglobal.org/xsd/ims_qtiasiv1p2"}
    items = assessment.findall(".//q:item", space)
    assert len(items) == len(questions)
    kinds = {
        "choice": "multiple_choice_question",
        "several": "multiple_answers_question",
        "number": "numerical_question",
        "fill": "short_answer_question",
    }
    for item, question in zip(items, questions, strict=True):
        fields = {
            f.findtext("q:fieldlabel", "", space): f.findtext("q:fieldentry", "", space)
            for f in item.findall(".//q:qtimetadatafield", space)
        }
        assert fields["question_type"] == kinds[question.kind], question.id
        right = item.findall(".//q:respcondition[q:setvar]", space)
        assert right, f"{question.id} has no right answer"
        assert item.findall(".//q:itemfeedback", space), question.id


def test_the_quiz_command_refuses_what_it_cannot_write(tmp_path):
    from lessons_lib.__main__ import main

    assert main(["quiz", "--phase", "2", "--out", str(tmp_path / "quiz.docx")]) == 2
    assert main(["quiz", "--phase", "9", "--out", str(tmp_path / "quiz.zip")]) == 2
    assert main(["quiz", "--lesson", "5", "--out", str(tmp_path / "quiz.ipynb")]) == 2
    assert main(["quiz", "--phase", "2", "--out", str(tmp_path / "quiz.ipynb")]) == 0
    (tmp_path / "roster.csv").write_text("id\nada\n")
    command = ["quiz", "--phase", "2", "--roster", str(tmp_path / "roster.csv")]
    assert main([*command, "--salt", str(tmp_path / "marks/salt.txt"), "--out", str(tmp_path / "quizzes")]) == 0
    assert (tmp_path / "quizzes/ada/quiz_phase_2.ipynb").exists() and (tmp_path / "marks/salt.txt").exists()
    nbformat.validate(nbformat.read(tmp_path / "quiz.ipynb", as_version=4))


def test_tickets(tmp_path):
    (tmp_path / "roster.csv").write_text("id\nada\nbob\n")
    path = handout.write_tickets(tmp_path, "5", roster.read(tmp_path / "roster.csv")[0], None)
    salt = tickets.read_salt(tmp_path / "salt.txt")
    assert path.read_text().splitlines() == [
        "id,ticket", *(f"{learner},{tickets.ticket(salt, learner, '05_implement_ipo')}" for learner in ("ada", "bob")),
    ]  # fmt: skip
