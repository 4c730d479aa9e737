"""The shop's runs, on a model so small that it babbles: what is drawn, measured, written down and taken up again."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lessons_lib.__main__ import main
from lessons_lib.benchmark import shop_reading, shop_record, shop_runs
from lessons_lib.benchmark.design import Point
from lessons_lib.benchmark.shop_design import ARMS, BATCH, REGIMES, is_human
from lessons_lib.benchmark.shop_runs import Run, Setup, votes
from lessons_lib.data import twins
from lessons_lib.errors import UserError
from lessons_lib.lab.shop import evaluation, human, samples
from lessons_lib.lab.shop.gold import POINTS, Gold
from lessons_lib.lab.shop.requests import requests
from lessons_lib.recorded import store

HOW = {"jobs": 1, "dask": "", "progress": False}


def gold(*items):
    """Replies worth a point each where `items` says so."""
    counts = {part: np.zeros(len(items), dtype=int) for part in POINTS}
    return Gold(counts | {"item": np.array(items)}, np.full(len(items), 10))


def test_votes_see_what_annotators_see():
    many = 2000
    better, worse = gold(*[1] * many), gold(*[0] * many)
    assert votes(REGIMES["clean"], better, worse, 0) == pytest.approx(0.8808, abs=0.02)  # σ(2 · 1 point)
    assert votes(REGIMES["clean"], better, better, 0) == pytest.approx(0.5, abs=0.02)
    assert votes(REGIMES["near_deterministic"], better, worse, 0) == 1.0
    assert votes(REGIMES["near_deterministic"], worse, worse, 0) == pytest.approx(0.5, abs=0.02)
    slips = 0.6 * 0.8808 + 0.4 * 0.1192
    assert votes(REGIMES["noisy_40"], better, worse, 0) == pytest.approx(slips, abs=0.02)
    assert votes(REGIMES["clean"], better, worse, 1) == votes(REGIMES["clean"], better, worse, 1)


def test_a_log_is_voted_on_by_thumbs():
    median = float(np.median(samples.pool("train").gold.total))
    level = gold(*[0] * 3000)
    expected = 1 / (1 + np.exp(2 * median))  # σ(2 · (0 − median))
    assert votes(REGIMES["unary_10"], level, level, 0) == pytest.approx(expected, abs=0.02)


@pytest.fixture
def few(monkeypatch):
    """Twelve requests a split and few looks: the machinery is the same."""
    monkeypatch.setattr(evaluation, "requests", lambda split: requests(split)[:12])
    monkeypatch.setattr(shop_runs, "CURVE", 6)
    monkeypatch.setattr(shop_runs, "_untouched_reply", lambda: gold(*[0] * 12))
    for cached in (shop_runs._evaluator, shop_runs._validation, shop_runs._untouched):
        cached.cache_clear()
    yield
    for cached in (shop_runs._evaluator, shop_runs._validation, shop_runs._untouched):
        cached.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize("regime", [name for name in REGIMES if not is_human(name)])
def test_all_arms_of_a_regime_and_seed_see_the_same_replies(babbler, regime):
    def replies(arm, step):
        rows, batches, _ = shop_runs._data(babbler, regime, 3, ARMS[arm].method)
        return {tuple(ids) for row in batches[step].rows for ids in (column[row] for column in rows.responses.values())}

    for step in (0, 5):
        assert replies("dpo", step) == replies("simpo", step)
        if REGIMES[regime].kind == "pairs":
            assert replies("kto", step) == replies("dpo", step)
    for arm in ("dpo", "kto", "sft"):
        rows, batches, _ = shop_runs._data(babbler, regime, 3, ARMS[arm].method)
        assert len(batches) == REGIMES[regime].steps
        if REGIMES[regime].kind == "pairs":  # a log holds as many pairs and likes as it happens to
            assert all(len(batch.rows) == BATCH * (1 if arm == "dpo" else 2) for batch in batches)


@pytest.mark.slow
def test_a_run_is_measured_read_and_taken_up_again(babbler, few, tmp_path, monkeypatch):
    point = Point({"beta": 0.1}, 1e-3)
    chosen = {("clean", "kto"): point}
    wanted = {"regimes": ["clean"], "seeds": [0], "command": "test", **HOW}
    path = shop_record.matrix(tmp_path, babbler, chosen, arms=["untouched", "kto"], **wanted)
    table = store.read(path.stem, tmp_path).set_index("arm")
    untouched, trained = table.loc["untouched"], table.loc["kto"]
    assert untouched["kl"] == pytest.approx(0, abs=1e-6) and untouched["forgetting"] == 0
    assert trained["kl"] > 1e-4 and trained["forgetting"] != 0 and not trained["broken"]
    assert trained["gold_ci"] >= 0 and trained["checkpoint"] == babbler.model
    curve, texts = json.loads(trained["curve"]), json.loads(trained["texts"])
    assert [look["step"] for look in curve] == [8, 16, 24] and list(texts) == ["8", "16", "24"]
    assert all(len(replies) == 8 for replies in texts.values())
    assert curve[-1]["gold"] != curve[0]["gold"] or curve[-1]["kl"] > curve[0]["kl"]

    made = []
    monkeypatch.setattr(shop_runs, "run", lambda *args: made.append(args) or {})
    shop_record.matrix(tmp_path, babbler, chosen, arms=["untouched", "kto"], **wanted)
    assert made == []  # all of it was there


@pytest.mark.slow
def test_the_search_goes_on_from_what_it_found(babbler, few, tmp_path, monkeypatch):
    best = {"beta": 0.3}, 9e-5  # a corner of the grid

    def pretend(setup, regime, arm, point, seed):
        votes = 1.0 if (dict(point.strength), point.learning_rate) == best else 0.5
        row = {"regime": regime, "arm": arm, "seed": seed, **setup.written, **shop_record.design.written(point)}
        return [{**row, "stop": stop, "votes": votes, "gold": -votes} for stop in (0.5, 1.0)]

    monkeypatch.setattr(shop_runs, "search", pretend)
    shop_record.tune(tmp_path, babbler, regimes=["noisy_40", "clean"], arms=["dpo"], command="test", **HOW)
    rows = store.read(shop_reading.TUNING, tmp_path)
    clean, noisy = (rows[(rows["regime"] == name) & (rows["stop"] == 1.0)] for name in ("clean", "noisy_40"))
    assert len(clean) == 6 + 2 and clean["learning_rate"].max() == 2.7e-4  # the grid, and one step beyond each edge
    assert len(noisy) == 5  # the choice with its neighbours
    chosen = shop_record.points(rows)
    assert chosen["clean", "dpo"] == Point(*best, 0.5)
    assert shop_record.points(rows, "gold")["clean", "dpo"] != chosen["clean", "dpo"]


@pytest.fixture
def few_people(monkeypatch):
    """Invented rows in place of people's, and as few as they are: the machinery is the same."""
    records = twins.load(human.DATASET)
    monkeypatch.setattr(human.real, "load", lambda name: records)
    few = {name: replace(REGIMES[name], pairs=16, steps=4) for name in ("human", "human_thumbs")}
    monkeypatch.setattr(shop_runs, "REGIMES", {**REGIMES, **few})
    caches = (human._splits, shop_runs._human_evaluator, shop_runs._human_reference_logps, shop_runs._data)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


@pytest.mark.slow
def test_a_run_on_peoples_pairs_is_measured_on_others_and_keeps_no_text(babbler, few_people, tmp_path, monkeypatch):
    monkeypatch.setattr(human, "SHARES", {"train": 0.6, "validation": 0.2, "test": 0.2})
    chosen = {("human", "dpo"): Point({"beta": 0.1}, 3e-3), ("human", "sft"): Point({}, 1e-9)}
    wanted = {"regimes": ["human"], "seeds": [0], "command": "test", **HOW}
    path = shop_record.matrix(tmp_path, babbler, chosen, arms=["untouched", "dpo", "sft"], **wanted)
    table = store.read(path.stem, tmp_path).set_index("arm")
    assert list(table.index) == ["dpo", "sft"] and "texts" not in table
    dpo, hardly = table.loc["dpo"], table.loc["sft"]
    assert dpo["rows"] == 16 and dpo["passes"] == 2.0 and dpo["steps"] == 4
    assert dpo["margin"] == pytest.approx(dpo["chosen_gain"] - dpo["rejected_gain"], abs=1e-3)
    assert 0 <= dpo["accuracy"] <= 1 and dpo["accuracy_ci"] > 0 and dpo["chosen_gain"] != 0
    assert abs(hardly["margin"]) < 1e-3 and abs(hardly["forgetting"]) < 1e-4
    held_out = {pair["prompt"] for pair in human.pairs("test")}
    assert held_out and not held_out & {pair["prompt"] for pair in human.draw_pairs(16, seed=0)}


@pytest.mark.slow
def test_the_search_on_peoples_pairs_votes_by_accuracy(babbler, few_people):
    rows = shop_runs.search(babbler, "human_thumbs", "kto", Point({"beta": 0.1}, 3e-3), 100)
    assert [row["stop"] for row in rows] == [0.25, 0.5, 1.0]
    assert all(0 <= row["votes"] <= 1 and np.isnan(row["gold"]) for row in rows)


def test_final_runs_ask_for_the_search_first(tmp_path):
    with pytest.raises(UserError, match="no setting has been searched for dpo in clean; run --part tuning first"):
        shop_record.matrix(
            tmp_path, Setup(bf16=False), {}, regimes=["clean"], arms=["dpo"], seeds=[0], command="test", **HOW
        )


def test_without_a_search_there_are_no_settings(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "RECORDED", tmp_path / "recorded")
    assert shop_record.points(shop_record.searched(tmp_path, Setup(bf16=False))) == {}


def test_what_of_stage_1_is_missing_is_counted():
    table = pd.DataFrame([{"regime": "clean", "arm": "dpo", "seed": seed} for seed in range(3)])
    left = shop_reading.missing(table)
    assert len(left) == 4 * 7 * 5 + 6 * 5 - 3 and ("clean", "dpo", 3) in left and ("clean", "dpo", 0) not in left


def test_a_run_at_another_setting_is_made_again():
    work = Run(Setup(bf16=False), {("clean", "dpo"): Point({"beta": 0.1}, 3e-5)})
    row = {"regime": "clean", "arm": "dpo", "strength": '{"beta": 0.1}', "learning_rate": 3e-5, "stop": 1.0}
    row |= work.setup.written
    assert work.current(row) and not work.current({**row, "stop": 0.5})
    assert work.current({**row, "bf16": True, "stop": 0.5})  # another setup's, whose settings are not known here


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--part", "scale"], "--part: the shop has matrix, tuning and texts, got scale"),
        (["--arms", "cdpo"], "--arms: expected some of dpo, ipo, kto, orpo, simpo, sft, untouched, got cdpo"),
        (["--regimes", "cyclic"], "--regimes: expected some of clean, noisy_40, near_deterministic, unary_10"),
        (["--jobs", "0"], "--jobs: expected at least 1, got 0"),
    ],
)
def test_the_command_refuses_what_the_shop_has_not(arguments, said, tmp_path, capsys):
    assert main(["benchmark", "--world", "shop", "--out", str(tmp_path), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_the_quick_look_says_that_nothing_was_searched_and_shows_texts(tmp_path, capsys, monkeypatch):
    def pretend(setup, regime, arm, point, seed):
        replies = [{"text": f"{arm} says so", "ended": True, "gold": 1.0}] * 8
        row = {"regime": regime, "arm": arm, "seed": seed, **setup.written, **shop_record.design.written(point)}
        return {**row, "gold": 1.0, "texts": json.dumps({"12": replies, "24": replies})}

    monkeypatch.setattr(shop_runs, "run", pretend)
    monkeypatch.setattr(store, "RECORDED", tmp_path / "recorded")
    quick = ["--quick", "--jobs", "1", "--precision", "float32", "--no-progress", "--out", str(tmp_path / "out")]
    assert main(["benchmark", "--world", "shop", *quick]) == 0
    out = capsys.readouterr().out
    assert "nothing has been searched yet" in out and "runs of stage 1 are missing" in out
    assert "clean dpo seed 0: 'dpo says so'" in out and "clean sft seed 0: 'sft says so'" in out
