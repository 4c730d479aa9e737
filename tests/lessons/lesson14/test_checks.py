"""The capstone's figures and its marks: a sample of one's own, a solution that earns all, luck that earns nothing."""

import json
import runpy
import time
from types import SimpleNamespace

import pytest

from lessons_lib.data import samples
from lessons_lib.data.profile import profile
from lessons_lib.grading import assignments, by_hand, handout, pages, report, tickets
from lessons_lib.grading.marking import CaseMark, ItemMark, Mark
from lessons_lib.grading.roster import Learner
from lessons_lib.lessons.lesson14 import checks, plan, sample, trial
from lessons_lib.lessons.lesson14.checks import RUBRIC, check_measured, check_paragraph, measured_share
from lessons_lib.lessons.lesson14.trial_runs import SEEDS, STAND_INS, allowed, run

from .conftest import FEEDBACKQA, QLORA, TULU1

SET = (TULU1, FEEDBACKQA, QLORA)


@pytest.fixture(scope="module")
def solution(root):
    return SimpleNamespace(**runpy.run_path(root / "exercises/solutions/ex14.py"))


@pytest.fixture(scope="module")
def spec(root):
    return runpy.run_path(root / "exercises/specs/ex14.py")


@pytest.fixture(scope="module")
def items(spec):
    return {item.name: item for item in spec["EXERCISE"].items}


# ---------------------------------------------------------------- the learner's own sample


@pytest.mark.parametrize("name", SET)
def test_a_ticket_draws_half_of_the_prompts_and_another_draws_others(name):
    mine, again, other = (sample.my_rows(name, ticket) for ticket in ("practice", " PRACTICE ", "0123456789ab"))
    assert mine == again != other
    everything = samples.everything(name)
    prompts = {row["prompt"] for row in everything}
    assert len({row["prompt"] for row in mine}) == round(sample.SHARE * len(prompts))


@pytest.mark.parametrize("name", SET)
def test_the_key_is_what_profile_finds(name):
    found = profile(sample.my_rows(name, "0123456789ab"))
    figures = sample.figures_of(name, "0123456789ab")
    assert dict(figures) == {key: found.value(key) for key in sample.MEASURED[name]}
    assert all(key in sample.MEANS for key in figures)


def test_some_figures_counted_by_hand():
    rows = sample.my_rows(TULU1, "practice")
    ties = [row["verdict"] == "tie" for row in rows if row["verdict"]]
    assert sample.figures_of(TULU1, "practice")["ties"] == pytest.approx(sum(ties) / len(ties))
    ratings = [row["label"] for row in sample.my_rows(FEEDBACKQA, "practice")]
    assert sample.figures_of(FEEDBACKQA, "practice")["up_share"] == pytest.approx(sum(ratings) / len(ratings))
    decisive = [
        row["verdict"] == "first" for row in sample.my_rows(QLORA, "practice") if row["verdict"] in ("first", "second")
    ]
    assert sample.figures_of(QLORA, "practice")["first_wins"] == pytest.approx(sum(decisive) / len(decisive))


def test_the_rows_are_as_they_came():
    """Ties, verdicts that could not be read, identical responses, raters who contradict each other, both orders."""
    people, judge = sample.my_rows(TULU1, "practice"), sample.my_rows(QLORA, "practice")
    assert any(row["verdict"] == "tie" for row in people)
    assert any(row["first"] == row["second"] for row in people)
    assert any(row["verdict"] is None for row in judge)
    assert sample.figures_of(TULU1, "practice")["flip_rate"] > 0
    assert sample.figures_of(QLORA, "practice")["order_same"] < 1


@pytest.mark.parametrize("name", SET)
def test_ten_rows_are_read_and_another_ticket_reads_others(name, capsys, monkeypatch):
    monkeypatch.setenv("LESSONS_DATA_DIR", "/nowhere")
    told = []
    for ticket in ("practice", "practice", "0123456789ab"):
        sample.read_by_eye(name, ticket)
        told.append(capsys.readouterr().out)
    assert told[0] == told[1] != told[2]
    assert told[0].count("\nrow ") == sample.ROWS_TO_READ
    assert "invented rows" in told[0]


def test_a_file_with_offensive_text_is_none_of_them():
    assert not any("hh_rlhf" in name for name in (*STAND_INS, *sample.MEASURED))


# ---------------------------------------------------------------- figures

MISTAKES = {
    "a dictionary with flip_rate": lambda right: [*right.values()],
    "expected a number": lambda right: {**right, "ties": float("nan")},
    "a share lies between 0 and 1": lambda right: {**right, "ties": 100 * right["ties"]},
    "what is left to 1": lambda right: {**right, "ties": 1 - right["ties"]},
    "that is your thumbs_blind": lambda right: {**right, "ties": right["thumbs_blind"]},
    "solve agreement": lambda right: {**right, "flip_rate": (1 - (1 - 2 * right["flip_rate"]) ** 2) / 2},
    "not the number of your sample": lambda right: {**right, "decided": right["decided"] + 1},
    "still to fill in: ties": lambda right: {**right, "ties": ...},
}


@pytest.mark.parametrize("cause", MISTAKES)
def test_each_mistake_is_named(cause):
    wrong = MISTAKES[cause](dict(sample.figures_of(TULU1, "practice")))
    verdict = check_measured(TULU1, wrong, "practice")
    assert not verdict and cause in verdict.message
    assert measured_share(TULU1, wrong, "practice") <= 0.75


def test_figures_earn_a_quarter_each_and_a_neighbours_nothing(solution):
    right = solution.measured_tulu1
    assert measured_share(TULU1, right, "practice") == 1
    assert measured_share(TULU1, {**right, "ties": 0.9}, "practice") == 0.75
    neighbours = [dict(sample.figures_of(TULU1, f"{n:012x}")) for n in range(12)]
    assert sum(measured_share(TULU1, one, "practice") for one in neighbours) / 12 < 0.1
    for nonsense in (None, [], "x", {}, 3, {"ties": 1}, dict.fromkeys(sample.MEASURED[TULU1], 10**400)):
        assert measured_share(TULU1, nonsense, "practice") == 0


# ---------------------------------------------------------------- the marks


def test_the_solution_earns_all_by_machine(items, solution):
    case = {"ticket": "practice"}
    for name, item in items.items():
        if item.points:
            assert item.judge(getattr(solution, name), case) == 1, item.explain(getattr(solution, name), case)
            neighbour = item.judge(getattr(solution, name), {"ticket": "0123456789ab"})
            assert neighbour < 0.5 or name == "plans"  # which may fit together for another's figures too
            assert item.judge(None, case) == item.judge([], case) == 0


def test_who_trained_nothing_does_not_reach_half(items, solution):
    case, by_hand = {"ticket": "practice"}, 4 * sum(item.person for item in items.values())
    untrained = {**solution.trial, "live": {name: {} for name in SET}}
    machine = sum(item.points for item in items.values())
    without = machine - items["trial"].points + items["trial"].points * items["trial"].judge(untrained, case)
    before_the_trial = by_hand - 4  # a memo without a trial has nothing to say
    assert without == machine - items["trial"].points
    assert (without + before_the_trial) / (machine + by_hand) < 0.5


def test_prose_gets_no_mark_from_the_machine(items, solution):
    people = [item for item in items.values() if item.person]
    assert [item.name for item in people] == ["paragraph_tulu1", "paragraph_feedbackqa", "paragraph_qlora", "memo"]
    for item in people:
        text = getattr(solution, item.name)
        assert item.points == 0 and item.judge(text, {"ticket": "practice"}) == 0
        assert "passed on to a person" in item.explain(text, {"ticket": "practice"})
        assert "returned, unmarked" in item.explain(None, {"ticket": "practice"})


def test_the_class_report_shows_prose_to_a_person_and_a_template_as_one(items, solution):
    text = solution.paragraph_tulu1
    other = text.replace("20.4", "19.1").replace("34.3", "31.0")
    gate = repr(check_paragraph(TULU1, text, "practice"))
    marks = {
        who: Mark(who, "graded", (), "f", (ItemMark("paragraph_tulu1", 0.0, 0, (CaseMark(
            {"ticket": "practice"}, None, {"json": told}, 0.0, ""),), gate),))
        for who, told in (("ada", text), ("bob", other), ("cyd", solution.paragraph_qlora))
    }  # fmt: skip
    batch = pages.Batch(assignments.load("14"), [Learner(who) for who in marks], marks)
    shown = report.class_report(batch, [])
    assert "stops at a finite margin" in shown and "passed on to a person" in shown
    alike = shown.partition("Texts that are alike")[2].partition("</table>")[0]
    assert "ada" in alike and "bob" in alike and "cyd" not in alike
    assert "not marked by machine" in pages.feedback(batch, Learner("ada"))
    assert all(line in gate for line in RUBRIC)
    assert [line.split(":")[0] for line in RUBRIC] == [*by_hand.RUBRIC]


def test_an_item_on_own_data_gets_the_ticket_for_its_case():
    exercise = assignments.load("14").exercise
    cases = tickets.cases_of(exercise, b"s" * 32, "ada")
    assert cases["plans"] == cases["trial"] == [{"ticket": tickets.ticket(b"s" * 32, "ada", exercise.name)}]


def test_the_key_is_made_before_an_answer_is_judged(items, solution, monkeypatch):
    """Judging may take so many seconds of wall clock; a slow machine that profiles within them would cost points."""
    sample.figures_of.cache_clear()
    tickets.cases_of(assignments.load("14").exercise, b"s" * 32, "ada", "practice")
    monkeypatch.setattr(sample, "my_profile", None)  # nothing is profiled from here on
    for name, item in items.items():
        item.judge(getattr(solution, name), {"ticket": "practice"})
        item.explain(getattr(solution, name), {"ticket": "practice"})


def test_marking_one_submission_stays_fast(items, solution):
    """Three half samples are profiled once each; what else there is costs next to nothing."""
    sample.figures_of.cache_clear()
    start, case = time.process_time(), {"ticket": "00000000000f"}
    for item in items.values():
        item.judge(getattr(solution, item.name), case)
        item.explain(getattr(solution, item.name), case)
    assert time.process_time() - start < 5


# ---------------------------------------------------------------- the runs


def test_the_runs_stand_outside_package_and_handout(root, tmp_path):
    runs = root / "exercises/specs/ex14_runs.json"
    stored = json.loads(runs.read_text())
    assert stored["provenance"]["command"] == "python exercises/specs/runs_ex14.py"
    for name in STAND_INS:
        assert set(stored["gold"][name]) == set(allowed(name))
        assert {len(gold) for gold in stored["gold"][name].values()} == {len(SEEDS)}
    handout.write_release(tmp_path / "release")
    held = {path.name for path in (tmp_path / "release").rglob("*")}
    assert "14_capstone.ipynb" in held and not {"ex14_runs.json", "release_ex14.py", "runs_ex14.py"} & held
    a_run = str(stored["gold"][TULU1]["kto"][0])
    texts = (path for path in (tmp_path / "release").rglob("*") if path.suffix in (".json", ".py", ".ipynb", ".yaml"))
    assert not any(a_run in path.read_text(encoding="utf-8") for path in texts)


def test_a_live_run_is_the_recorded_one(spec):
    """On another machine it may differ in the last digits; within what the marks allow."""
    assert run(QLORA, "orpo", 9) == pytest.approx(spec["runs"]()[QLORA]["orpo"][9], abs=trial.SAME_RUN)


def test_the_solution_was_released_for_its_seal(solution, spec):
    released = solution.trial["released"]
    assert released["seal"] == plan.seal(solution.plans, "practice")
    assert trial.not_released(spec["key"](), solution.plans, released, "practice") == ""
    assert checks.check_trial(solution.trial, "practice")
