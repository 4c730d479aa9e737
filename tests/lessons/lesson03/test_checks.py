"""Exercise 3: each check accepts the solution and rejects every typical mistake for its own reason."""

import random
import runpy
from pathlib import Path

import pytest

from lessons_lib.data.preferences import split_by_prompt
from lessons_lib.lessons.lesson03.checks import LOG, check_split, check_to_pairs, check_to_thumbs, pairs, thumbs

EXERCISES = Path(__file__).resolve().parents[3] / "exercises"
SOLVED = runpy.run_path(EXERCISES / "solutions" / "ex03.py")


def test_the_solution_passes():
    assert check_to_thumbs(SOLVED["to_thumbs"])
    assert check_to_pairs(SOLVED["to_pairs"])
    assert check_split(SOLVED["split"])


def test_any_order_and_the_librarys_own_split_pass():
    assert check_to_thumbs(lambda log: SOLVED["to_thumbs"](log)[::-1])
    assert check_to_pairs(lambda rows: SOLVED["to_pairs"](rows)[::-1])
    assert check_split(lambda rows, share: split_by_prompt(rows, {"train": 1 - share, "test": share}))


def test_the_hints_numbers():
    assert (len(LOG), len(thumbs(LOG)), len(pairs(thumbs(LOG)))) == (15, 11, 4)


def first_click(log):
    kept = {}
    for row in log:
        if row["thumb"] and row["reply"].strip():
            kept.setdefault((row["user"], row["prompt"], row["reply"]), row["thumb"] == "up")
    return [{"prompt": prompt, "completion": reply, "label": up} for (_, prompt, reply), up in kept.items()]


def plain(log, keep=lambda row: row["thumb"] and row["reply"].strip()):
    """Row by row: every click stays."""
    return [
        {"prompt": row["prompt"], "completion": row["reply"], "label": row["thumb"] == "up"} for row in log if keep(row)
    ]


def by_reply(log):
    return list({(row["prompt"], row["completion"]): row for row in plain(log)}.values())


def renamed(rows, **names):
    return [{names.get(key, key): value for key, value in row.items()} for row in rows]


THUMB_MISTAKES = [
    (plain, "every click kept"),
    (first_click, "the first click kept"),
    (lambda log: SOLVED["to_thumbs"]([{**row, "thumb": row["thumb"] or "down"} for row in log]), "silence"),
    (lambda log: SOLVED["to_thumbs"]([{**row, "reply": row["reply"] + "."} for row in log]), "missing:"),
    (lambda log: thumbs(log, blank=True), "blank replies kept"),
    (by_reply, "two users who rate the same reply are two rows"),
    (lambda log: [{**row, "label": not row["label"]} for row in thumbs(log)], "labels turned"),
    (lambda log: [{**row, "label": int(row["label"])} for row in thumbs(log)], "True or False"),
    (lambda log: [{**row, "label": "up"} for row in thumbs(log)], "True or False"),
    (lambda log: renamed(thumbs(log), completion="reply"), "prompt, completion, label"),
    (lambda log: {"rows": thumbs(log)}, "return a list of rows"),
    (lambda log: thumbs(log)[:4], "missing:"),
    (lambda log: [*thumbs(log), thumbs(log)[0]], "too often"),
    (lambda log: [thumbs(log)[0]] * 11, "missing:"),  # a constant, as long as it should be
    (lambda log: [], "every row left out"),
    (lambda log: None, "NoneType"),
    (lambda log: True, "got bool"),
    (lambda log: log[0].thumb, "raised AttributeError"),
]


@pytest.mark.parametrize(("answer", "reason"), THUMB_MISTAKES)
def test_each_wrong_thumb_is_explained(answer, reason):
    verdict = check_to_thumbs(answer)
    assert not verdict
    assert reason in verdict.message


def every_vote(rows):
    ups, downs = ([row for row in rows if row["label"] is side] for side in (True, False))
    return [
        {"prompt": up["prompt"], "chosen": up["completion"], "rejected": down["completion"]}
        for up in ups
        for down in downs
        if up["prompt"] == down["prompt"]
    ]


def one_a_prompt(rows):
    return list({pair["prompt"]: pair for pair in reversed(pairs(rows))}.values())


PAIR_MISTAKES = [
    (lambda rows: renamed(pairs(rows), chosen="rejected", rejected="chosen"), "swapped"),
    (lambda rows: pairs(rows, across=True), "pairs across prompts"),
    (lambda rows: pairs(rows, tie=False), "a tie counted as disliked"),
    (lambda rows: pairs(rows, tie=True), "a tie counted as liked"),
    (one_a_prompt, "one pair a prompt"),
    (every_vote, "stands against itself"),
    (lambda rows: pairs(rows) * 2, "too often"),
    (lambda rows: renamed(pairs(rows), chosen="completion"), "prompt, chosen, rejected"),
    (lambda rows: len(pairs(rows)), "return a list of rows"),
    (lambda rows: [], "an empty list"),
    (lambda rows: "pairs", "got str"),
    (lambda rows: rows[99], "raised IndexError"),
]


@pytest.mark.parametrize(("answer", "reason"), PAIR_MISTAKES)
def test_each_wrong_pair_is_explained(answer, reason):
    verdict = check_to_pairs(answer)
    assert not verdict
    assert reason in verdict.message


def by_row(rows, share):
    rng = random.Random(0)
    sides = {"train": [], "test": []}
    for row in rows:
        sides["test" if rng.random() < share else "train"].append(row)
    return sides


def by_spelling(rows, share):
    tested = set(sorted({row["prompt"] for row in rows})[:45])
    return {
        "train": [row for row in rows if row["prompt"] not in tested],
        "test": [row for row in rows if row["prompt"] in tested],
    }


def by_position(rows, share):
    """The first prompts that come: a side that depends on what else is in the file."""
    names = list(dict.fromkeys(" ".join(row["prompt"].casefold().split()) for row in rows))
    tested = set(names[: round(share * len(names))])
    sides = {"train": [], "test": []}
    for row in rows:
        sides["test" if " ".join(row["prompt"].casefold().split()) in tested else "train"].append(row)
    return sides


def solved(rows, share):
    return SOLVED["split"](rows, share)


SPLIT_MISTAKES = [
    (by_row, "by prompt, not by row|in two spellings"),
    (lambda rows, share: {"train": rows[:100], "test": rows[100:]}, "leak"),
    (by_spelling, "in two spellings"),
    (by_position, "depend on the prompt alone"),
    (lambda rows, share: {**solved(rows, share), "test": solved(rows, share)["test"][1:]}, "rows lost"),
    (lambda rows, share: {**solved(rows, share), "test": solved(rows, share)["test"] * 2}, "once, as it came"),
    (lambda rows, share: {"train": rows, "test": []}, "one side is empty"),
    (lambda rows, share: SOLVED["split"](rows, 0.9), "about 15 prompts"),
    (lambda rows, share: SOLVED["split"](rows, 1 - share), "about 15 prompts"),
    (lambda rows, share: tuple(SOLVED["split"](rows, share).values()), 'the keys "train" and "test"'),
    (lambda rows, share: {"train": 1, "test": 2}, "a list of rows"),
    (lambda rows, share: True, "dictionary"),
    (lambda rows, share: rows["train"], "raised TypeError"),
]


@pytest.mark.parametrize(("answer", "reason"), SPLIT_MISTAKES)
def test_each_wrong_split_is_explained(answer, reason):
    verdict = check_split(answer)
    assert not verdict
    assert any(one in verdict.message for one in reason.split("|"))


@pytest.mark.parametrize("seed", range(20))
def test_the_hidden_cases_pay_the_solution_and_not_the_typical_mistakes(seed):
    items = {item.name: item for item in runpy.run_path(EXERCISES / "specs" / "ex03.py")["EXERCISE"].items}
    for item in items.values():
        for case in item.cases(random.Random(seed)):
            assert item.judge(SOLVED[item.name](**case), case) == 1
            assert item.judge(None, case) == item.judge([], case) == item.judge({"train": [], "test": []}, case) == 0
    for case in items["to_thumbs"].cases(random.Random(seed)):
        assert item_pays(items["to_thumbs"], case, plain, first_click, by_reply) == 0
    for case in items["split"].cases(random.Random(seed)):
        assert items["split"].judge(by_row(**{"rows": case["rows"], "share": case["test_share"]}), case) == 0


def item_pays(item, case, *answers):
    return sum(item.judge(answer(**case), case) for answer in answers)
