"""The benchmark's runs: the loop against `training.train`, its data, recording that survives a kill, the command."""

import dataclasses
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from lessons_lib import benchmark
from lessons_lib.__main__ import main
from lessons_lib.benchmark import design, loop, record, runs, scaling, sizes, tuning
from lessons_lib.benchmark.design import Point
from lessons_lib.data.preferences import pairs_to_ratings
from lessons_lib.lab import annotators, build, checkpoints, world
from lessons_lib.lab.pairs import close_pairs, cycle, edit_distances, every_pair
from lessons_lib.recorded import store
from lessons_lib.training.config import TrainConfig
from lessons_lib.training.loop import train

POOL = checkpoints.pool("sft-0")
CONFIG = TrainConfig(batch_size=8, max_steps=3, batch_order="sorted", append_eos=False, seed=4)
COLUMNS = ("chosen", "rejected")


@pytest.fixture
def few_prompts(monkeypatch):
    """The pool's first prompts alone, so that scoring them takes no time."""
    small = checkpoints.Pool(world.prompts("train")[:24], POOL.split("train").replies[: 24 * 16])
    monkeypatch.setattr(checkpoints, "pool", lambda name, size: small)
    for cached in (loop.reference_logps, runs._data, runs._drawn):
        cached.cache_clear()
    yield small
    for cached in (loop.reference_logps, runs._data, runs._drawn):
        cached.cache_clear()


def weights(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def fitted(rows, method, config, stop=None):
    model, _ = checkpoints.load("sft-0")
    tokens = loop.token_rows(rows, COLUMNS, loop.reference_logps("sft-0"))
    batches = loop.plan(tokens, batch_size=8, steps=config.max_steps, seed=config.seed)
    if method == "kto":
        tokens, batches = loop.as_single(tokens, batches)
    loop.fit(model, tokens, batches, method, config, stop=stop, reference=checkpoints.load("sft-0")[0])
    return weights(model)


@pytest.mark.parametrize("method", ["dpo", "simpo"])
def test_the_loop_takes_the_steps_that_train_takes(method, few_prompts):
    rows = annotators.label_pairs(few_prompts, 24, seed=0)
    model, tokenizer = checkpoints.load("sft-0")
    train(model, rows, method, CONFIG, tokenizer=tokenizer, progress=False)
    torch.testing.assert_close(fitted(rows, method, CONFIG), weights(model), atol=1e-5, rtol=0)


def test_a_run_that_stops_early_follows_the_whole_schedule(few_prompts):
    """Two of three steps are not a run of two steps: the learning rate falls towards the third."""
    rows = annotators.label_pairs(few_prompts, 24, seed=0)
    config = dataclasses.replace(CONFIG, warmup_steps=0)
    stopped, short = fitted(rows, "dpo", config, stop=2), fitted(rows, "dpo", dataclasses.replace(config, max_steps=2))
    assert not torch.equal(stopped, short)
    assert not torch.equal(stopped, fitted(rows, "dpo", config))


def test_kto_gets_the_pairs_replies_in_the_pairs_batches(few_prompts):
    rows = annotators.label_pairs(few_prompts, 24, seed=0)
    tokens = loop.token_rows(rows, COLUMNS)
    batches = loop.plan(tokens, batch_size=8, steps=3, seed=0)
    single, doubled = loop.as_single(tokens, batches)
    thumbs = {(row["prompt"], row["completion"], row["label"]) for row in pairs_to_ratings(rows)}
    prompts, replies = map(world.decode, single.prompts), single.responses["completion"]
    told = zip(prompts, replies, single.labels.tolist(), strict=True)
    assert {(prompt, " " + world.decode(reply), label) for prompt, reply, label in told} == thumbs
    for batch, double in zip(batches, doubled, strict=True):
        assert [single.prompts[row] for row in double.rows] == [tokens.prompts[row] for row in batch.rows] * 2
        neighbours = double.rows[1:] + double.rows[:1]
        assert all(  # a mismatched pair is mismatched, unless two pairs of the batch share their prompt
            single.prompts[row] != single.prompts[other] or (row - other) % len(rows)
            for row, other in zip(double.rows, neighbours, strict=True)
        )


def test_a_broken_run_ends_with_the_weights_before(few_prompts):
    model, _ = checkpoints.load("sft-0")
    tokens = loop.token_rows(annotators.label_pairs(few_prompts, 24, seed=0), COLUMNS)
    tokens.reference.update(chosen=torch.full((24,), torch.nan), rejected=torch.zeros(24))
    before = weights(model)
    batches = loop.plan(tokens, batch_size=8, steps=3, seed=0)
    assert loop.fit(model, tokens, batches, "dpo", CONFIG) == 0
    assert torch.equal(weights(model), before)


# ---------------------------------------------------------------- data


def test_every_pair_is_there_once_and_differs(few_prompts):
    pairs = every_pair(few_prompts)
    assert len({tuple(pair) for pair in pairs.tolist()}) == len(pairs)
    first, second = pairs.T
    assert (first // 16 == second // 16).all() and (first < second).all()
    assert all(few_prompts.replies[i] != few_prompts.replies[j] for i, j in pairs[:500].tolist())


def test_edit_distances_against_the_textbook_recursion():
    def recursion(one, two):
        if not one or not two:
            return len(one) + len(two)
        exchanged = recursion(one[1:], two[1:]) + (one[0] != two[0])
        return min(exchanged, recursion(one[1:], two) + 1, recursion(one, two[1:]) + 1)

    rng = np.random.default_rng(0)
    first, second = ([tuple(rng.integers(3, size=rng.integers(0, 6))) for _ in range(60)] for _ in range(2))
    assert edit_distances(first, second).tolist() == list(map(recursion, first, second))


def test_close_pairs_are_close_and_mostly_well_labelled():
    rows = close_pairs(POOL, 200, seed=0)
    sides = [[world.encode(row[side]) for row in rows] for side in COLUMNS]
    assert edit_distances(*sides).max() <= 3
    golds = [world.gold([row["prompt"] for row in rows], side).total for side in sides]
    assert (golds[0] > golds[1]).mean() > 2 * (golds[0] < golds[1]).mean()


def test_the_cyclic_taste_has_no_best_claim():
    claims = [world.encode(text) for text in (world.IN_STOCK, world.SOLD_OUT, "see you soon .")]
    for place in range(3):
        assert cycle([claims[place]], [claims[(place + 1) % 3]]).tolist() == [1]
        assert cycle([claims[(place + 1) % 3]], [claims[place]]).tolist() == [-1]
        assert cycle([claims[place]], [claims[place]]).tolist() == [0]


@pytest.mark.parametrize("regime", design.REGIMES)
def test_every_regime_draws_what_it_says(regime):
    table = design.REGIMES[regime]
    rows = runs.draw_rows(table, POOL, 0)
    assert len(rows) == table.pairs and rows == runs.draw_rows(table, POOL, 0)
    if table.kind == "log":
        assert sum(row["label"] for row in rows) == round(table.draw["up_share"] * table.pairs)


# ---------------------------------------------------------------- KTO's weights


def handed_over(monkeypatch, regime, method="kto"):
    """What a run of the benchmark hands to the training loop: its rows and its configuration."""
    ((rows, _, _, config),) = stages(monkeypatch, regime, method, Point({"beta": 0.3}, 7e-4))
    return rows, config


def stages(monkeypatch, regime, arm, point):
    """What a run hands to the loop, stage after stage: rows, batches, method, configuration; nothing is trained."""
    seen = []
    monkeypatch.setattr(loop, "fit", lambda model, *given, **_: seen.append(given))
    runs.train(regime, arm, point, 0)
    return seen


@pytest.mark.parametrize(
    ("regime", "raised"), [("unary_10", "desirable"), ("unary_50", ""), ("unary_90", "undesirable")]
)
def test_ktos_weights_bring_each_log_into_the_papers_range(regime, raised, monkeypatch):
    """λ_D·n_D / (λ_U·n_U) in [1, 4/3], section 4.2 of arXiv 2402.01306 v1; later versions allow up to 3/2."""
    rows, config = handed_over(monkeypatch, regime)
    ups, downs = int(rows.labels.sum()), int((~rows.labels).sum())
    weights = {side: config.hyperparameters[f"{side}_weight"] for side in ("desirable", "undesirable")}
    assert 1 - 1e-9 <= weights["desirable"] * ups / (weights["undesirable"] * downs) <= 4 / 3
    assert [side for side, weight in weights.items() if weight > 1] == ([raised] if raised else [])
    assert min(weights.values()) == 1  # one side is raised, and the other left alone


def test_ktos_weights_come_from_thumbs_alone(monkeypatch):
    assert handed_over(monkeypatch, "clean")[1].hyperparameters == {"beta": 0.3}  # a pair's replies are as many of each
    assert handed_over(monkeypatch, "unary_10", "dpo")[1].hyperparameters == {"beta": 0.3}


# ---------------------------------------------------------------- the variants


def test_sft_then_dpo_makes_as_many_steps_as_the_others_on_the_same_rows(monkeypatch):
    """At 3/4 of no_sft's 64 steps: 48 of SFT, then 16 of DPO whose reference is what SFT made and not the base."""
    point = Point({"beta": 0.3, "sft_share": 0.75}, 3e-4)
    (liked, first, sft, imitation), (pairs, rest, dpo, own) = stages(monkeypatch, "no_sft", "sft_dpo", point)
    assert (sft, dpo) == ("sft", "dpo") and (len(first), len(rest)) == (48, 16)
    assert imitation.learning_rate == design.IMITATION_RATE and own.learning_rate == 3e-4
    assert own.hyperparameters == {"beta": 0.3} and own.max_steps == 16
    assert sum(len(batch.rows) for batch in first) == 48 * 32 and sum(len(batch.rows) for batch in rest) == 16 * 16
    untrained = runs._base_logps("no_sft", 0, "small")  # nothing was trained here, so the reference is still the base
    key = world.decode(pairs.prompts[0]), tuple(pairs.responses["chosen"][0])
    assert pairs.reference["chosen"][0].item() == pytest.approx(untrained[key], abs=1e-3)


def test_the_sft_before_dpo_has_the_learning_rate_that_sft_alone_was_given():
    assert tuning.point_of(benchmark.choices(), "no_sft", "sft").learning_rate == design.IMITATION_RATE


def test_kto_without_a_reference_gets_ktos_rows_and_weights(monkeypatch):
    (with_one,) = stages(monkeypatch, "unary_10", "kto", Point({"beta": 0.3}, 7e-4))
    (without,) = stages(monkeypatch, "unary_10", "kto_noref", Point({"beta": 0.3}, 7e-4))
    assert without[0].responses == with_one[0].responses and without[2] == "kto_noref"
    assert without[3].hyperparameters == with_one[3].hyperparameters


# ---------------------------------------------------------------- votes


def test_votes_are_those_of_annotators_like_the_ones_who_labelled(few_prompts):
    """Against its own replies a model gets half of the votes; better ones get more, and flips bring them to half."""
    evaluator = runs.Evaluator(checkpoints.load("sft-0")[0], split="validation", samples=256, seed=0)
    same = evaluator.reference_replies
    best = [
        world.encode(f"try the {' '.join(world.decode(p).split()[3:5])} . thanks . <eos>") for p in evaluator.prompts
    ]
    share = lambda regime, replies: runs.votes(design.REGIMES[regime], evaluator, replies, POOL, 0)  # noqa: E731
    assert share("clean", same) == pytest.approx(0.5, abs=0.06)
    assert share("near_deterministic", same) == pytest.approx(0.5, abs=0.06)
    clean, noisy = share("clean", best), share("noisy_40", best)
    assert clean > 0.6 and noisy == pytest.approx(0.6 * clean + 0.4 * (1 - clean), abs=0.06)
    assert share("unary_50", best) > share("unary_50", same)


@pytest.mark.slow
@pytest.mark.parametrize("regime", ["unary_10", "unary_90"])
def test_a_recorded_run_of_kto_on_thumbs_can_be_made_again(regime):
    """With the two weights exchanged, gold reward comes out 0.38 and 0.33 lower."""
    (recorded,) = benchmark.results().query("regime == @regime and arm == 'kto' and seed == 0").to_dict("records")
    again = runs.run(regime, "kto", tuning.point_of(benchmark.choices(), regime, "kto"), 0)
    assert again["gold"] == pytest.approx(recorded["gold"], abs=0.15)  # another machine rounds differently
    assert again["win_rate"] == pytest.approx(recorded["win_rate"], abs=0.05)


# ---------------------------------------------------------------- one run


@pytest.mark.slow
def test_a_run_is_the_same_again_and_measures_what_the_design_names():
    point = Point({"beta": 0.3}, 7e-4, 0.25)
    one, two = (runs.run("clean", "kto", point, 0) for _ in range(2))
    assert {k: v for k, v in one.items() if k != "cpu_seconds"} == {k: v for k, v in two.items() if k != "cpu_seconds"}
    untouched = runs.run("clean", "untouched", None, 0)
    assert untouched["kl"] == 0 and untouched["forgetting"] == 0 and abs(untouched["win_rate"] - 0.5) < 0.1
    assert one["gold"] > untouched["gold"] + 0.2 and one["annotator_win_rate"] > untouched["annotator_win_rate"]


# ---------------------------------------------------------------- a scale run


@pytest.mark.parametrize(("rate", "pairs"), scaling.HORIZONS.items())
def test_a_scale_run_is_measured_at_its_points_up_to_its_horizon(rate, pairs, monkeypatch):
    def fit(model, rows, batches, method, config, *, stop, at):
        assert (method, config.learning_rate, config.schedule) == ("dpo", rate, "constant")
        for step in range(1, stop + 1):
            at(step)

    measures = dict.fromkeys(scaling.MEASURES, 0.0)
    monkeypatch.setattr(loop, "fit", fit)
    monkeypatch.setattr(scaling, "_stream", lambda *_: (None, [None] * (scaling.PAIRS // scaling.BATCH)))
    monkeypatch.setattr(scaling, "_evaluator", lambda *_: SimpleNamespace(row=lambda model, step: measures))
    found = scaling.run(1, "dpo", rate)
    assert [row["step"] for row in found] == [0, *(step for step in scaling.POINTS if step <= pairs // scaling.BATCH)]
    assert all(row["pairs"] == scaling.BATCH * row["step"] and row["checkpoint"] == "sft-1" for row in found)
    recorded = benchmark.scale().query("arm == 'dpo' and learning_rate == @rate and seed == 1")
    assert [row["step"] for row in found] == recorded["step"].tolist()


# ---------------------------------------------------------------- recording


def work(item: int) -> list[dict]:
    return [{"item": item, "value": item**2}]


def recorded(folder, items, do=work, **how):
    how = {"jobs": 1, "dask": "", "progress": False} | how
    path = record.in_order(folder, "made", do, ("item",), [(item,) for item in items], "a test", **how)
    return pd.read_parquet(path)


def test_a_table_goes_on_where_it_was_stopped_and_can_be_extended(tmp_path):
    done = []

    def until_interrupted(item):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(item)
        return work(item)

    with pytest.raises(KeyboardInterrupt):
        recorded(tmp_path, range(4), until_interrupted)
    with store.unfinished(tmp_path, "made").open("a") as file:
        file.write('{"item": 2, "va')  # the line that a kill cut short
    done.clear()
    table = recorded(tmp_path, range(4), lambda item: done.append(item) or work(item))
    assert done == [2, 3] and table["value"].tolist() == [0, 1, 4, 9]
    assert table.attrs["provenance"]["command"] == "a test" and not store.unfinished(tmp_path, "made").exists()
    assert recorded(tmp_path, [7])["item"].tolist() == [0, 1, 2, 3, 7]


def test_runs_at_another_setting_are_made_again(tmp_path):
    recorded(tmp_path, range(3))
    again = recorded(
        tmp_path, range(3), lambda item: [{"item": item, "value": -1}], current=lambda row: row["item"] < 2
    )
    assert again.sort_values("item")["value"].tolist() == [0, 1, -1]


def invented(regime, arm, seed, strength, learning_rate):
    """A search run that takes no time, best at the highest learning rate that votes dislike."""
    setting = {"regime": regime, "arm": arm, "seed": seed, "strength": strength, "learning_rate": learning_rate}
    return [{**setting, "stop": stop, "gold": learning_rate, "votes": -learning_rate} for stop in design.STOPS]


def test_a_search_takes_the_arms_that_are_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "measured", invented)
    path = record.tune(tmp_path, regimes=("clean",), arms=("dpo", "sft", "untouched"), progress=False)
    table = pd.read_parquet(path)
    assert set(table["arm"]) == {"dpo", "sft"}
    for arm, rows in table.groupby("arm"):
        assert tuning.to_run("clean", arm, rows) == []
        assert tuning.candidates(rows)["seeds"].iloc[0] == 3
        assert len(rows.drop_duplicates(tuning.SETTING)) <= design.MOST_SETTINGS


def test_the_search_by_votes_follows_votes_and_makes_no_run_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "measured", invented)
    for by in ("gold", "votes"):
        record.tune(tmp_path, regimes=("clean",), arms=("dpo",), by=by, progress=False)
    known, own = (store.read(name, tmp_path) for name in (tuning.NAME, tuning.BY_VOTES))
    both = pd.concat([known, own])
    assert not both.duplicated([*tuning.KEY, "stop"]).any()
    by_gold, by_votes = tuning.choose(known), tuning.choose(both, "votes")
    assert by_votes["learning_rate"].item() < by_gold["learning_rate"].item()


def test_a_killed_process_loses_at_most_the_run_in_flight(tmp_path):
    program = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from pathlib import Path
from lessons_lib.benchmark import record
def slow(item):
    time.sleep(0.2)
    return [dict(item=item)]
record.in_order(Path({str(tmp_path)!r}), "made", slow, ("item",), [(i,) for i in range(100)], "", jobs=1, dask="",
                progress=False)
"""
    process = subprocess.Popen([sys.executable, "-c", program])
    deadline = time.time() + 120
    while len(store.finished_lines(tmp_path, "made")) < 3 and time.time() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = [row["item"] for row in store.finished_lines(tmp_path, "made")]
    assert kept == list(range(len(kept))) and 3 <= len(kept) < 100


def test_two_processes_make_the_same_table(tmp_path):
    def do(item):  # a function inside a function travels whole: the workers need not import this file, nor torch
        return [{"item": item, "value": item**2}]

    table = recorded(tmp_path, range(6), do, jobs=2).sort_values("item")
    assert table["value"].tolist() == [item**2 for item in range(6)]


@pytest.mark.slow
def test_a_dask_cluster_makes_the_same_table(tmp_path):
    distributed = pytest.importorskip("distributed")

    def do(item):
        return [{"item": item, "value": item**2}]

    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        table = recorded(tmp_path, range(6), do, dask=cluster.scheduler_address).sort_values("item")
    assert table["value"].tolist() == [item**2 for item in range(6)]


# ---------------------------------------------------------------- the command


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--arms", "ppo"], "--arms: expected some of dpo, ipo"),
        (["--regimes", "spotless"], "--regimes: expected some of clean"),
        (["--seeds", "a-b"], "--seeds: expected numbers such as 0-11"),
        (["--seeds", "5-1"], "--seeds: expected at least one seed"),
        (["--jobs", "0"], "--jobs: expected at least 1, got 0"),
        (["--model", "somewhere"], "--model: expected --world shop with it"),
        (["--arms", "untouched", "--seeds", "0", "--dask", "tcp://127.0.0.1:9"], "--dask: no scheduler answers"),
    ],
)
def test_mistakes_end_with_code_2_and_one_line(arguments, message, tmp_path, capsys):
    assert main(["benchmark", "--out", str(tmp_path), "--no-progress", *arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and "\n" not in error


def test_the_command_makes_a_table_and_prints_it(tmp_path, capsys):
    arguments = ["--regimes", "clean", "--arms", "untouched", "--seeds", "0", "--jobs", "1", "--no-progress"]
    assert main(["benchmark", "--out", str(tmp_path), *arguments]) == 0
    printed = capsys.readouterr().out
    assert "untouched" in printed and f"1 rows in {tmp_path / 'benchmark.parquet'}" in printed


@pytest.mark.slow
def test_another_model_is_searched_and_run(tmp_path, monkeypatch):
    """With a model of two steps for want of time: what it learns does not matter here."""
    monkeypatch.setattr(checkpoints, "ASSETS", tmp_path)
    recipe = dataclasses.replace(build.RECIPES["llama"], base_steps=2, sft_steps=2, per_prompt=2, card_samples=64)
    build.build(tmp_path / "llama", recipe, progress=False)
    monkeypatch.setattr(sizes, "FACTORS", (1.0,))
    monkeypatch.setattr(sizes, "REGIMES", ("clean",))
    search = sizes.TransferSearch(benchmark.choices())
    rows = search("llama", "clean", "dpo")
    assert [row["stop"] for row in rows] == list(design.STOPS) and {row["size"] for row in rows} == {"llama"}
    (row,) = sizes.TransferRun(pd.DataFrame(rows))("llama", "clean", "dpo", 0)
    assert row["size"] == "llama" and row["peak_mb"] > 0 and np.isfinite(row["kl"])


def test_a_model_that_was_not_built_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(checkpoints, "ASSETS", tmp_path)
    assert main(["benchmark", "--part", "transfer", "--sizes", "large", "--out", str(tmp_path)]) == 2
    assert "build it: lessons-lib lab build --size large" in capsys.readouterr().err
