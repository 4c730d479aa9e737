"""The shop's texts: what is recorded can be read, a run of one's own says what it takes, and both are shown."""

import json

import pytest

from lessons_lib.benchmark import shop_explorer, shop_texts
from lessons_lib.benchmark.design import Point
from lessons_lib.benchmark.shop_design import ARMS, REGIMES
from lessons_lib.benchmark.shop_runs import Setup
from lessons_lib.benchmark.shop_texts import SHARES, SHOWN, Shown
from lessons_lib.errors import UserError
from lessons_lib.lab.shop.requests import FIXED, fixed_requests
from lessons_lib.recorded import store


def rows_of(run, ended=True):
    """A made-up run whose reply says who speaks when, and is worth its share of the steps."""
    steps = REGIMES[run.regime].steps
    return [
        {"regime": run.regime, "arm": run.arm, "step": round(share * steps), "request": number, "ended": ended,
         "text": f"{run.arm} on {run.regime}\nat {share:g} to {number}", "gold": share, "cpu_seconds": 120.0}
        for share in (0, *SHARES)
        for number in range(FIXED)
    ]  # fmt: skip


@pytest.fixture
def some(monkeypatch):
    """Two of the runs have been recorded."""
    runs = [SHOWN[0], SHOWN[1]]
    monkeypatch.setattr(shop_texts, "_recorded", lambda: tuple(row for run in runs for row in rows_of(run)))
    return runs


def test_what_is_recorded_is_found_and_the_rest_is_named(some):
    assert shop_texts.recorded_runs() == some
    assert {row["regime"] for row in shop_texts.recorded("dpo")} == {"clean"}
    with pytest.raises(UserError, match="expected one of dpo on clean, dpo on near_deterministic, got kto on clean"):
        shop_texts.recorded("kto")


def test_before_and_after_show_the_first_and_the_last_step(some):
    lines = shop_texts.before_and_after(shop_texts.recorded("dpo"), requests=2).splitlines()
    first = fixed_requests()[0]
    assert lines[0] == f"{first.person}: {first.words} ({first.price} dollars)"
    assert lines[1] == "  before, gold +0.0: dpo on clean at 0 to 0"
    assert lines[2] == "  after 24 steps of DPO, gold +1.0: dpo on clean at 1 to 0"
    assert len(lines) == 6 and lines[5].endswith("at 1 to 1")


def test_a_reply_that_was_cut_off_says_so():
    assert shop_texts.shown({"text": "It costs\n\n 20", "ended": False}) == "It costs 20 … (cut off)"


def test_the_explorer_shows_each_run_at_each_step_for_each_request(some):
    explorer = shop_explorer.replies()
    request, share = explorer.sliders
    assert len(request.values) == FIXED and share.texts == ("0%", "25%", "50%", "75%", "100%")
    said = explorer.sentences(request=request.values[3], share=0.5)
    assert said[0] == "DPO (gold +0.5): dpo on clean at 0.5 to 3"
    assert said[1].startswith("DPO, few perfect pairs seen often (gold +0.5): dpo on near_deterministic at 0.5 to 3")
    once, often = explorer.evaluate()
    assert [mark[0] for mark in once] == [[0, *SHARES]] and [mark[0] for mark in often] == [[0, *SHARES]] * 2


def test_the_recorded_runs_are_whole():
    """Whatever has been recorded: all steps, all requests, one setting each, and how it was made."""
    runs = shop_texts.recorded_runs()
    assert SHOWN[0] in runs
    for run in runs:
        rows = shop_texts.recorded(run.arm, run.regime)
        steps = [round(share * REGIMES[run.regime].steps) for share in (0, *SHARES)]
        assert sorted((row["step"], row["request"]) for row in rows) == [
            (step, number) for step in steps for number in range(FIXED)
        ]
        assert {(row["strength"], row["learning_rate"]) for row in rows} == {
            (json.dumps(dict(run.point.strength)), run.point.learning_rate)
        }
        assert all(row["cpu_seconds"] > 10 for row in rows)
    starts = {row["text"] for run in runs for row in shop_texts.recorded(run.arm, run.regime) if row["step"] == 0}
    assert len(starts) <= FIXED  # all runs begin at the same model and with the same luck


def test_the_recorded_explorer_is_small_enough_for_a_page():
    from lessons_lib.explorers import page

    assert len(page.html(shop_explorer.replies()).encode()) < page.LIMIT


def test_ones_own_run_says_first_what_it_takes_and_then_trains(some, monkeypatch, capsys):
    asked = []

    def pretend(setup, regime, arm, point, seed, *, shares, progress):
        asked.append((setup.device, regime, arm, point, seed, shares))
        return rows_of(Shown(regime, arm, point))

    monkeypatch.setattr(shop_texts, "watch", pretend)
    text = shop_texts.learn_now("dpo", train_now=True, seed=7)
    assert asked == [("cpu", "clean", "dpo", SHOWN[0].point, 7, (1.0,))]
    assert "192 pairs in 24 steps" in capsys.readouterr().out and text.startswith(fixed_requests()[0].person)
    assert "about 2 minutes" in shop_texts.expected("dpo", bf16=True)
    assert "in float32: about 4 minutes" in shop_texts.expected("dpo", bf16=False)
    assert "SimPO on 192 pairs" in shop_texts.expected("simpo", bf16=True)  # not recorded: as long as another


def test_without_the_model_the_recorded_run_is_shown_and_the_reason_said(some, monkeypatch, capsys):
    def cannot(*args, **kwargs):
        raise UserError("model: pip cannot fetch it")

    monkeypatch.setattr(shop_texts, "watch", cannot)
    text = shop_texts.learn_now("dpo", train_now=True)
    assert text.startswith("Recorded, one seed") and "dpo on clean at 1 to 0" in text
    assert "pip cannot fetch it" in capsys.readouterr().out


def test_a_run_is_not_made_unless_asked_for(some, monkeypatch):
    monkeypatch.setattr(shop_texts, "watch", lambda *args, **kwargs: pytest.fail("it trained"))
    assert shop_texts.learn_now("dpo", train_now=False).startswith("Recorded, one seed, nothing searched")
    assert shop_texts.learn_now("kto", train_now=False) == "kto has not been recorded: set train_now to see it"


def test_an_arm_that_trains_nothing_is_refused():
    with pytest.raises(UserError, match="arm: expected one of dpo, ipo, kto, orpo, simpo, sft, got 'untouched'"):
        shop_texts.fine_tune("untouched")


@pytest.mark.slow
def test_a_run_answers_on_the_way(babbler, tmp_path):
    rows = shop_texts.watch(babbler, "clean", "dpo", Point({"beta": 0.1}, 1e-3), 0, shares=(0.5, 1.0))
    assert [(row["step"], row["request"]) for row in rows] == [(s, n) for s in (0, 12, 24) for n in range(FIXED)]
    assert {row["arm"] for row in rows} == {"dpo"} and {row["checkpoint"] for row in rows} == {babbler.model}
    assert [row["text"] for row in rows[:FIXED]] != [row["text"] for row in rows[-FIXED:]]


@pytest.mark.slow
def test_recording_goes_on_where_it_stopped(babbler, tmp_path, monkeypatch):
    made = []

    def pretend(setup, regime, arm, point, seed):
        made.append((regime, arm))
        return [{**setup.written, "seed": seed, **row} for row in rows_of(Shown(regime, arm, point))]

    monkeypatch.setattr(shop_texts, "watch", pretend)
    how = {"command": "test", "jobs": 1, "dask": "", "progress": False}
    first = {**babbler.written, "seed": 0, "regime": "clean", "arm": "dpo"}
    store.append(tmp_path, shop_texts.NAME, [first])
    path = shop_texts.record(tmp_path, babbler, **how)
    assert made == [(run.regime, run.arm) for run in SHOWN[1:]]
    assert set(store.read(path.stem, tmp_path)["arm"]) == {name for name, arm in ARMS.items() if arm.method}
    assert isinstance(babbler, Setup)
