"""A trial end to end: a tiny model on pairs and on thumbs, a kill and what goes on after it, dry runs, mistakes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import tiny

from lessons_lib.__main__ import main
from lessons_lib.advice import trial
from lessons_lib.benchmark import own
from lessons_lib.errors import UserError
from lessons_lib.models.loading import save
from lessons_lib.models.making import new_model
from lessons_lib.recorded import store

ARMS = ("dpo", "kto", "sft")
ARMS_SHOWN = {"dpo": "DPO", "kto": "KTO", "sft": "SFT on chosen"}


def numbered(rows):
    """Prompts that are told apart: the tiny model's words give few."""
    return [
        {**row, "prompt": f"{row['prompt']} {tiny.ASK[n % 8]} {tiny.ASK[n // 8 % 8]}"} for n, row in enumerate(rows)
    ]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a model, a reward model, a file of pairs and one of thumbs, some prompts with both."""
    path = tmp_path_factory.mktemp("trial")
    save(tiny.model(), tiny.tokenizer(), path / "model")
    save(tiny.reward_model(), tiny.tokenizer(), path / "judge")
    pairs = numbered(tiny.pairs(160))
    thumbs = [
        {"prompt": row["prompt"], "completion": row[side], "label": side == "chosen"}
        for n, row in enumerate(pairs)
        for side in ("chosen", "rejected")[: 1 + n % 2]
    ]
    for name, rows in {"pairs": pairs, "thumbs": thumbs}.items():
        (path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return path


def command(home, file, out, *more):
    how = ["--model", home / "model", "--out", out, "--minutes", 60, "--steps", 20, "--no-progress"]
    rates = [] if "--learning-rates" in more else ["--learning-rates", 1e-4, 5e-3]
    return [str(part) for part in ("trial", home / file, *how, *rates, *more)]


@pytest.fixture(scope="module")
def done(home, tmp_path_factory):
    """A finished trial on pairs, with what it printed."""
    import contextlib
    import io

    out, printed = tmp_path_factory.mktemp("out"), io.StringIO()
    with contextlib.redirect_stdout(printed):
        more = ("--methods", "dpo", "kto", "--seeds", 2, "--reward-model", home / "judge")
        assert main(command(home, "pairs.jsonl", out, *more)) == 0
    return out, printed.getvalue()


def final(out):
    return {(row["arm"], row["seed"]): row for row in store.so_far(out, trial.NAME) if row["stage"] == "final"}


def test_a_plan_is_told_before_and_verdicts_after(done):
    _, printed = done
    plan, outcome = printed.split("what the trial found")
    assert "Arms: DPO, KTO, SFT on chosen; and the untouched model." in plan
    assert "20 steps of 8 pairs, 2 paired seeds" in plan
    assert "What it will not be able to see" in plan and "points of held-out accuracy" in plan
    assert "DPO − KTO" in outcome and "lesson 2 shows" in outcome and "Next." in outcome
    assert outcome.count("ahead") + outcome.count("equivalent") + outcome.count("cannot tell") >= 3


def test_every_arm_was_searched_and_measured_with_the_same_seeds(done):
    out, _ = done
    rows = store.so_far(out, trial.NAME)
    searched = [(row["arm"], row["learning_rate"]) for row in rows if row["stage"] == "search"]
    assert sorted(searched) == sorted((arm, rate) for arm in ARMS for rate in (1e-4, 5e-3))
    runs = final(out)
    assert set(runs) == {(arm, seed) for arm in ("untouched", *ARMS) for seed in (0, 1)}
    assert len({len(json.loads(row["by_prompt"])) for row in runs.values()}) == 1  # the same prompts
    for arm in ARMS:
        found = {
            row["learning_rate"]: row["accuracy"] for row in rows if row["stage"] == "search" and row["arm"] == arm
        }
        best = max(rate for rate, accuracy in found.items() if accuracy >= max(found.values()) - 0.5 / 23**0.5)
        assert {runs[arm, seed]["learning_rate"] for seed in (0, 1)} == {best}
    assert all(runs[arm, seed]["accuracy"] > 0.8 for arm in ARMS for seed in (0, 1))
    assert runs["untouched", 0]["accuracy"] == 0.5


def test_replies_are_sampled_measured_and_judged(done):
    out, printed = done
    replies = {key: json.loads(row["replies"]) for key, row in final(out).items()}
    assert {tuple(reply) for some in replies.values() for reply in some} == {
        ("text", "length", "ended", "repetition", "kl", "reward")
    }
    assert all(reply["kl"] < 1e-4 for reply in replies["untouched", 0])
    assert all(reply["kl"] > 0 for reply in replies["dpo", 1])
    assert "reward model prefers it" in printed


def test_the_report_is_complete_in_itself_and_holds_what_was_found(done, home):
    out, _ = done
    page = (out / "report.html").read_text()
    for expected in (
        "Held-out accuracy",
        "DPO − KTO",
        "What this could not see",
        "as in the papers",
        "torch",
        "replies",
    ):
        assert expected in page
    assert "http" not in page and "<script" not in page


def test_the_vote_is_between_the_leader_and_the_untouched_model(done, capsys):
    out, _ = done
    (path,) = (path for path in out.glob("vote_*.key.json") if not path.name.startswith("vote_sft_"))
    key = json.loads(path.read_text())
    assert key["arm"] in ARMS
    votes = {place: "a" if first else "b" for place, first in enumerate(key["tuned_is_a"])}
    (out / "votes.json").write_text(json.dumps({"trial": key["trial"], "votes": votes}))
    assert main(["trial", "--out", str(out), "--votes", str(out / "votes.json")]) == 0
    assert f"{ARMS_SHOWN[key['arm']]} got 100 % of the votes" in capsys.readouterr().out


def test_a_trial_that_is_done_is_read_again_and_not_run(done, home, monkeypatch, capsys):
    out, _ = done
    monkeypatch.setattr(own, "train_arm", None)
    more = ("--methods", "dpo", "kto", "--seeds", 2, "--reward-model", home / "judge")
    assert main(command(home, "pairs.jsonl", out, *more)) == 0
    assert "DPO − KTO" in capsys.readouterr().out
    assert main([*command(home, "pairs.jsonl", out, *more), "--vote-on", "sft"]) == 0
    assert all(json.loads(path.read_text())["arm"] == "sft" for path in out.glob("vote_sft_*.key.json"))
    assert list(out.glob("vote_sft_*.html"))
    assert main([*command(home, "pairs.jsonl", out, *more), "--vote-on", "ipo"]) == 2
    assert "--vote-on: expected one of dpo, kto, sft, got ipo" in capsys.readouterr().err
    assert main(command(home, "pairs.jsonl", out, "--methods", "dpo", "--seeds", 2)) == 2
    assert "holds a trial with other methods and reward model" in capsys.readouterr().err
    for option, value in (("--seeds", 3), ("--steps", 21), ("--memory", 8)):
        assert main([*command(home, "pairs.jsonl", out, *more), option, str(value)]) == 2
        assert f"holds a trial with other {option[2:]};" in capsys.readouterr().err


@pytest.mark.slow
def test_a_killed_trial_goes_on_and_ends_where_it_would_have(home, tmp_path, monkeypatch, capsys):
    """The second search is cut short, and later the second seed: one run a kill is made twice."""
    made, kill_at = [], {4, 7}
    train = own.train_arm

    def count(setup, arm, config, **more):
        if "at" in more and config.max_steps == 20:
            made.append((arm, config.seed, config.learning_rate))
            if len(made) in kill_at:
                raise KeyboardInterrupt
        return train(setup, arm, config, **more)

    monkeypatch.setattr(own, "train_arm", count)
    asked = command(home, "pairs.jsonl", tmp_path / "out", "--methods", "dpo", "--seeds", 2)
    assert [main(asked), main(asked), main(asked)] == [130, 130, 0]
    assert "it goes on" in capsys.readouterr().out
    runs = 2 * (2 + 1)  # two arms: two rates, and one more seed
    assert len(made) == runs + 2  # a kill costs the run at work and no other
    assert not list((tmp_path / "out").glob("best_*"))
    monkeypatch.setattr(own, "train_arm", train)
    whole = command(home, "pairs.jsonl", tmp_path / "whole", "--methods", "dpo", "--seeds", 2)
    assert main(whole) == 0
    one, other = final(tmp_path / "out"), final(tmp_path / "whole")
    assert {key: row["by_prompt"] for key, row in one.items()} == {key: row["by_prompt"] for key, row in other.items()}


@pytest.mark.slow
def test_thumbs_take_kto_and_the_pairs_in_the_log(home, tmp_path, capsys):
    asked = command(home, "thumbs.jsonl", tmp_path, "--seeds", 1, "--methods", "kto", "dpo", "--learning-rates", "5e-3")
    assert main(asked) == 0
    printed = capsys.readouterr().out
    assert "A log of thumbs: KTO takes all of it" in printed
    runs = final(tmp_path)
    assert runs["untouched", 0]["accuracy"] == 0.5
    assert all(runs[arm, 0]["accuracy"] > 0.7 for arm in ARMS)


def test_without_methods_it_takes_those_that_match_leaves_in_play(home, tmp_path, capsys):
    assert main(command(home, "pairs.jsonl", tmp_path / "none", "--dry-run")) == 0
    printed = capsys.readouterr().out
    from lessons_lib.advice.match import match
    from lessons_lib.methods import METHODS

    expected = trial.in_play(match(str(home / "pairs.jsonl")).recommendation)
    assert all(METHODS[method].name in printed for method in expected)
    assert not (tmp_path / "none").exists()  # a dry run leaves nothing behind


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--methods", "ppo"], "--methods: expected some of dpo, ipo, kto, orpo, simpo, got ppo"),
        (["--minutes", "0"], "--minutes: expected a number above 0"),
        (["--minutes", "inf"], "--minutes: expected a number above 0"),
        (["--memory", "0"], "--memory: expected a number above 0"),
        (["--learning-rates", "1e-5", "0"], "--learning-rates: expected numbers above 0"),
        (["--learning-rates=-1e-5"], "--learning-rates: expected numbers above 0"),
        (["--minutes", "0.001"], "--minutes: the smallest trial here"),
        (["--set", "beta=0.3"], "--set: beta belong to one loss"),
        (["--set", "learning_rate=1"], "use --learning-rates"),
        (["--delta", "2"], "--delta: expected a share"),
        (["--reward-model", "./nowhere"], "reward model: cannot load"),
        (["--max-tokens", "3"], "expected at least 8 for train"),
        (["--memory", "0.0001"], "--model: predicted to need"),
    ],
)
def test_mistakes_end_with_code_2_and_one_line(home, tmp_path, capsys, more, message):
    asked = command(home, "pairs.jsonl", tmp_path / "out", *([] if "--methods" in more else ["--methods", "dpo"]))
    assert main([*asked[: asked.index("--steps")], "--no-progress", *asked[asked.index("--steps") + 3 :], *more]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and "\n" not in error


def test_a_folder_that_cannot_be_is_refused_before_anything_is_timed(home, monkeypatch, capsys):
    monkeypatch.setattr(trial, "time_it", None)
    for out in (home / "pairs.jsonl", home / "pairs.jsonl" / "out"):
        assert main(command(home, "pairs.jsonl", out, "--methods", "dpo")) == 2
        assert f"--out: expected a folder, and {home / 'pairs.jsonl'} is a file" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["{}", "[]", "{", '{"asked": {}, "plan": {"steps": 4}}'])
def test_a_plan_that_is_none_of_a_trial_is_refused(text, tmp_path):
    (tmp_path / trial.PLAN).write_text(text)
    with pytest.raises(UserError, match=r"plan\.json is not the plan of a trial"):
        trial.kept_plan(tmp_path, {})


def test_a_file_or_votes_must_be_there(capsys):
    assert main(["trial", "--model", "x"]) == 2
    assert "expected a file of preferences and --model" in capsys.readouterr().err


def test_thumbs_of_one_kind_are_refused(home, tmp_path):
    log = [{"prompt": f"ask{n % 8} ask{n // 8 % 8}", "completion": " good1", "label": True} for n in range(64)]
    setup = own.from_rows(tiny.model(), tiny.tokenizer(), log, "a log", shares=trial.SHARES)
    with pytest.raises(UserError, match="thumbs up and thumbs down"):
        trial.prepare_rows(setup, trial.Ask(("kto",), 5))


def mostly_up(count=400):
    """A log with one thumb in twenty down."""
    return [
        {"prompt": f"{row['prompt']} {tiny.ASK[n % 7]} {tiny.ASK[n // 7 % 8]}", "completion": row["chosen"],
         "label": n % 20 > 0}
        for n, row in enumerate(numbered(tiny.pairs(count)))
    ]  # fmt: skip


def test_rows_that_are_measured_on_hold_both_kinds_of_thumbs():
    rows = mostly_up()
    few = trial.some_prompts(rows, 4)
    assert {row["label"] for row in few} == {True, False} and len(few) < len(rows)
    assert trial.some_prompts([row for row in rows if row["label"]], 4)  # one kind only: nothing to wait for
    whole = {row["prompt"] for row in few}
    assert sum(row["prompt"] in whole for row in rows) == len(few)


def test_a_log_with_few_thumbs_down_is_timed_and_measured(tmp_path):
    setup = own.from_rows(tiny.model(), tiny.tokenizer(), mostly_up(), "a log", shares=trial.SHARES)
    setup.thumbs["validation"].sort(key=lambda row: -row["label"])
    config = replace(trial.Ask(("kto",), 5).config, batch_size=2)
    assert trial.time_it(setup, config, 4).score > 0
    work = trial.Trial(tmp_path, setup, config, trial.Plan(("kto", "sft"), (1e-4,), 1, 2, 2, 4, 4, 2, 60.0))
    for rows in (work.validation, work.test):
        assert own.wins(setup, setup.model, rows, work.config)


def test_prompts_that_leave_no_room_for_a_reply_are_not_timed():
    """A context that holds the longest row and no token more; three prompts in four are so long."""
    rows = [
        {**row, "prompt": " ".join([row["prompt"], *tiny.ASK[:8] * (2 * (n % 4 > 0))])}
        for n, row in enumerate(numbered(tiny.pairs(160)))
    ]
    setup = own.from_rows(tiny.model(), tiny.tokenizer(), rows, "pairs", shares=trial.SHARES)
    longest = max(own.tokenized(rows, setup.tokenizer).row_lengths())
    short = [row for row in setup.pairs["test"] if len(row["prompt"].split()) < 10]
    model = new_model("gpt2", vocab_size=len(tiny.WORDS), layers=1, width=16, heads=2, max_length=longest, seed=0)
    setup = replace(setup, model=model)
    assert trial.time_it(setup, trial.Ask(("dpo",), 5).config, 16).reply > 0
    assert {row["prompt"] for row in trial.answerable(setup, 16)} == {row["prompt"] for row in short}
    with pytest.raises(UserError, match="no held-out prompt leaves room for a reply of 1000 tokens"):
        trial.answerable(setup, 1000)


def test_adapters_come_where_memory_asks_for_them():
    model = new_model("gpt2", vocab_size=len(tiny.WORDS), layers=4, width=256, heads=2, max_length=32, seed=0)
    setup = own.from_rows(model, tiny.tokenizer(), numbered(tiny.pairs(160)), "pairs", shares=trial.SHARES)
    config = trial.Ask(("dpo",), 5).config
    roomy, _ = trial.suited(setup, config, 1e9)
    assert roomy.lora_rank is None and roomy.rows_per_pass is None
    needs = [trial.needed_bytes(setup, tried) for tried, _ in trial.ways(roomy)]
    assert needs == sorted(needs, reverse=True)
    tight, said = trial.suited(setup, config, needs[-1] / 0.9 + 1)
    assert tight.lora_rank == trial.LORA_RANK and "LoRA adapters" in said[0]
    with pytest.raises(UserError, match="predicted to need"):
        trial.suited(setup, config, needs[-1] * 0.5)


def test_seeds_beyond_the_minutes_are_left_and_said(home, tmp_path, monkeypatch):
    """Nothing is trained: the clock is what counts here."""
    setup = own.from_rows(tiny.model(), tiny.tokenizer(), numbered(tiny.pairs(160)), "pairs", shares=trial.SHARES)
    trained = []
    monkeypatch.setattr(own, "train_arm", lambda _, arm, config, **__: trained.append((arm, config.seed)) or "a model")
    monkeypatch.setattr(own, "keep_weights", lambda model, path: path.touch())
    monkeypatch.setattr(own, "wins", lambda setup, model, rows, config: {n: n % 3 / 2 for n in range(len(rows))})
    reply = {"text": "x", "length": 1, "ended": True, "repetition": 0.0, "kl": 0.0}
    monkeypatch.setattr(own, "sampled", lambda setup, model, rows, **_: [reply] * len(rows))
    plan = trial.Plan(("dpo", "sft"), (1e-5,), 3, 20, 8, 20, 40, 4, 60.0)
    work = trial.Trial(tmp_path, setup, trial.Ask(("dpo",), 5).config, plan)
    work.run(seconds=-1.0)
    assert {row["seed"] for row in work.rows} == {0}
    from lessons_lib.advice import trial_page, trial_reading

    outcome = trial_reading.read(work.rows, plan)
    assert work.answered_prompts == min(12, len(work.prompts))
    assert any("3 seeds; the minutes held 1." in line for line in trial_page.left_open(outcome, plan, ["first"]))
    work.run(seconds=100.0)
    assert {row["seed"] for row in work.rows} == {0, 1, 2}
    assert trained == [(arm, seed) for seed in range(3) for arm in ("dpo", "sft")]  # each seed a training of its own


def test_of_rates_that_validation_cannot_tell_apart_the_highest_is_taken(tmp_path):
    setup = own.from_rows(tiny.model(), tiny.tokenizer(), numbered(tiny.pairs(160)), "pairs", shares=trial.SHARES)
    plan = trial.Plan(("dpo", "sft"), (1e-5, 1e-4, 1e-3), 1, 4, 8, 20, 40, 2, 60.0)
    work = trial.Trial(tmp_path, setup, trial.Ask(("dpo",), 5).config, plan)
    error = 0.5 / len({row["prompt"] for row in work.validation}) ** 0.5
    for rates, chosen in (((0.6, 0.7, 0.71 - error), 1e-3), ((0.6, 0.7, 0.69 - error), 1e-4), ((0.9, 0.5, 0.4), 1e-5)):
        work.rows = [
            {"stage": "search", "arm": "dpo", "learning_rate": rate, "accuracy": accuracy}
            for rate, accuracy in zip(plan.learning_rates, rates, strict=True)
        ]
        assert work.rate("dpo") == chosen


def test_a_run_whose_loss_breaks_has_taught_nothing_and_the_trial_goes_on(tmp_path, monkeypatch):
    setup = own.from_rows(tiny.model(), tiny.tokenizer(), numbered(tiny.pairs(160)), "pairs", shares=trial.SHARES)
    plan = trial.Plan(("dpo", "sft"), (5e-3, 1e12), 1, 4, 8, 20, 40, 2, 60.0)
    work = trial.Trial(tmp_path, setup, trial.Ask(("dpo",), 5).config, plan)
    work.run(seconds=100.0)
    broken = [row for row in work.rows if row["broken"]]
    assert broken and all(row["learning_rate"] == 1e12 and row["accuracy"] == 0.0 for row in broken)
    assert work.rate("dpo") == 5e-3
