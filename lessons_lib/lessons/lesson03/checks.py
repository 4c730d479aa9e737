"""Checks of exercise 3: a messy log as thumbs, as pairs, and split without a leak."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from lessons_lib.grading.verdict import Mistake, Verdict


def clicks(user: str, prompt: str, reply: str, thumb: str | None) -> dict:
    return {"user": user, "prompt": prompt, "reply": reply, "thumb": thumb}


# Every trap once: a change of mind, a double click, a blank reply, no thumb, raters who differ, one reply that ties.
LOG = [
    clicks("ann", "Name a fruit.", "A pear.", "up"),
    clicks("bo", "Name a fruit.", "A pear.", "up"),
    clicks("bo", "Name a fruit.", "A pear.", "up"),
    clicks("cy", "Name a fruit.", "A pear.", "down"),
    clicks("ann", "Name a fruit.", "A stone.", "up"),
    clicks("ann", "Name a fruit.", "A stone.", "down"),
    clicks("bo", "Name a fruit.", "A hammer.", "down"),
    clicks("cy", "Name a fruit.", "A plum.", None),
    clicks("cy", "Name a fruit.", "  ", "down"),
    clicks("ann", "Name a fruit.", "A fig.", "up"),
    clicks("bo", "Name a fruit.", "A fig.", "down"),
    clicks("dee", "Name a colour.", "Red.", "up"),
    clicks("dee", "Name a colour.", "Loud.", "down"),
    clicks("eve", "Name a colour.", "Blue.", "up"),
    clicks("eve", "Name a tool.", "A saw.", "up"),
]


def thumbs(log: Sequence[dict], *, last=True, by_user=True, no_thumb=False, blank=False, once=True) -> list[dict]:
    """The unpaired rows of a log; the switches are the mistakes that a check names."""
    kept = {}
    for number, row in enumerate(log):
        if (row["thumb"] or no_thumb) and (row["reply"].strip() or blank):
            key = (row["user"] if by_user else "", row["prompt"], row["reply"], 0 if once else number)
            if last or key not in kept:
                kept[key] = {"prompt": row["prompt"], "completion": row["reply"], "label": row["thumb"] == "up"}
    return list(kept.values())


def pairs(rows: Sequence[dict], *, tie: bool | None = None, swapped=False, across=False, most=None) -> list[dict]:
    """Each liked reply of a prompt with each disliked one, by majority; the switches are mistakes."""
    votes = defaultdict(list)
    for row in rows:
        votes["" if across else row["prompt"], row["prompt"], row["completion"]].append(row["label"])
    sides = defaultdict(lambda: ([], []))
    for (group, prompt, reply), labels in votes.items():
        balance = 2 * sum(labels) - len(labels)
        liked = balance > 0 if balance else tie
        if liked is not None:
            sides[group][0 if liked else 1].append((prompt, reply))
    found = []
    for ups, downs in sides.values():
        both = [(prompt, up, down) for prompt, up in ups for _, down in downs][:most]
        found += [
            {"prompt": prompt, "chosen": down, "rejected": up}
            if swapped
            else {"prompt": prompt, "chosen": up, "rejected": down}
            for prompt, up, down in both
        ]
    return found


def _vote_pairs(rows: Sequence[dict]) -> list[dict]:
    """Every up with every down, a reply with itself included."""
    return [
        {"prompt": one["prompt"], "chosen": one["completion"], "rejected": other["completion"]}
        for one in rows
        for other in rows
        if one["prompt"] == other["prompt"] and one["label"] and not other["label"]
    ]


def check_to_thumbs(function: Callable) -> Verdict:
    """Check ``function(log)``: a row {prompt, completion, label} for each user's last thumb on a reply."""
    mistakes = (
        Mistake("every click kept", lambda log: thumbs(log, once=False),
                "one user's clicks on one reply are one opinion: keep her last"),
        Mistake("the first click kept", lambda log: thumbs(log, last=False),
                "ann took her thumb on 'A stone.' back: the last click counts"),
        Mistake("no thumb taken for a thumb down", lambda log: thumbs(log, no_thumb=True),
                "thumb is None where nobody clicked; silence is no dislike, leave the row out"),
        Mistake("blank replies kept", lambda log: thumbs(log, blank=True),
                "a reply of spaces teaches nothing: leave it out"),
        Mistake("one opinion a reply", lambda log: thumbs(log, by_user=False),
                "two users who rate the same reply are two rows; only one user's repeats become one"),
        Mistake("labels turned", lambda log: [{**row, "label": not row["label"]} for row in thumbs(log)],
                "label is True for a thumb up"),
    )  # fmt: skip
    return check_rows(function, thumbs, mistakes, LOG, ("prompt", "completion", "label"))


def check_to_pairs(function: Callable) -> Verdict:
    """Check ``function(thumbs)``: each reply that most raters like with each that most dislike, prompt by prompt."""
    mistakes = (
        Mistake("chosen and rejected swapped", lambda rows: pairs(rows, swapped=True), "the liked reply is `chosen`"),
        Mistake("pairs across prompts", lambda rows: pairs(rows, across=True),
                "both replies of a pair answer the same prompt: group by prompt first"),
        Mistake("a tie counted as disliked", lambda rows: pairs(rows, tie=False),
                "'A fig.' has one up and one down: nobody knows, so it makes no pair"),
        Mistake("a tie counted as liked", lambda rows: pairs(rows, tie=True),
                "'A fig.' has one up and one down: nobody knows, so it makes no pair"),
        Mistake("one pair a prompt", lambda rows: pairs(rows, most=1),
                "each liked reply goes with each disliked one: 2 and 1 make 2 pairs"),
        Mistake("votes paired, not replies", _vote_pairs,
                "count the votes of each reply first; now 'A pear.' stands against itself, and pairs repeat"),
    )  # fmt: skip
    return check_rows(function, pairs, mistakes, thumbs(LOG), ("prompt", "chosen", "rejected"))


def prompt_name(prompt: str) -> str:
    """What two spellings of one prompt share: its words without case and spaces."""
    return " ".join(prompt.casefold().split())


def split_fault(answer: object, rows: Sequence[dict]) -> str | None:
    """What is wrong with {"train": rows, "test": rows} as a split of `rows` by prompt; None: nothing."""
    if not isinstance(answer, dict) or set(answer) != {"train", "test"}:
        return 'return a dictionary with the keys "train" and "test"'
    if not all(isinstance(side, list) and all(isinstance(row, dict) for row in side) for side in answer.values()):
        return "each side is a list of rows"
    before, after = Counter(map(_written, rows)), Counter(map(_written, answer["train"] + answer["test"]))
    if before - after:
        return f"rows lost: {sum((before - after).values())} of {len(rows)} stand on no side"
    if after - before:
        return "rows added or changed: each row belongs on one side, once, as it came"
    train, test = ({row["prompt"] for row in answer[side]} for side in ("train", "test"))
    if train & test:
        return f"a leak: the prompt {min(train & test)!r} stands on both sides; choose a side by prompt, not by row"
    spelled = {prompt_name(prompt) for prompt in train} & {prompt_name(prompt) for prompt in test}
    if spelled:
        return f"a leak: {min(spelled)!r} stands on both sides in two spellings; compare without case and extra spaces"
    if not train or not test:
        return "one side is empty: about `test_share` of the prompts belong to test"
    return None


def check_split(function: Callable) -> Verdict:
    """Check ``function(rows, test_share)``: all rows, no prompt on two sides, and a side that depends on it alone."""
    rows = [row for number in range(60) for row in spelled(f"Question number {number}?")]
    case = f"{len(rows)} rows on 60 prompts, each spelled in three ways, test_share=0.25"
    try:
        came = function([dict(row) for row in rows], 0.25)
        again = function([dict(row) for row in reversed(rows[: len(rows) // 2])], 0.25)
    except Exception as error:  # whatever the learner's code raises is an answer to explain
        return Verdict(False, f"with {case}\nyour function raised {type(error).__name__}: {error}")
    fault = split_fault(came, rows)
    if fault:
        return Verdict(False, f"with {case}\nexpected train and test without a common prompt\nlikely cause: {fault}")
    tested = {prompt_name(row["prompt"]) for row in came["test"]}
    if not 4 <= len(tested) <= 28:
        return Verdict(False, f"with {case}\nexpected about 15 prompts in test\ngot {len(tested)}")
    if split_fault(again, rows[: len(rows) // 2]) or any(
        (prompt_name(row["prompt"]) in tested) != (side == "test") for side in ("train", "test") for row in again[side]
    ):
        return Verdict(
            False,
            f"with {case}, then with half of them in another order\nexpected each prompt on the side it had\n"
            "likely cause: the side depends on the other rows; make it depend on the prompt alone, by a hash",
        )
    return Verdict(True, f"right: {len(tested)} of 60 prompts in test, in all their spellings, whatever else is there")


def check_rows(
    function: Callable, right: Callable, mistakes: Sequence[Mistake], given: list[dict], fields: tuple[str, ...]
) -> Verdict:
    """Judge a function from rows to rows, in whatever order: its kind of answer, its fields, then its rows."""
    case = f"{len(given)} rows such as {given[0]}"
    try:
        came = function([dict(row) for row in given])
    except Exception as error:  # whatever the learner's code raises is an answer to explain
        return Verdict(False, f"with {case}\nyour function raised {type(error).__name__}: {error}")
    expected = right(given)

    def wrong(got: object, cause: str) -> Verdict:
        return Verdict(False, f"with {case}\nexpected {len(expected)} rows such as {expected[0]}\ngot {got}\n{cause}")

    if not isinstance(came, list):
        return wrong(type(came).__name__, "likely cause: return a list of rows")
    if not came:
        return wrong("no rows", "likely cause: an empty list; is every row left out?")
    odd = next((row for row in came if not isinstance(row, dict) or set(row) != set(fields)), None)
    if odd is not None:
        return wrong(odd, f"likely cause: each row is a dictionary with the fields {', '.join(fields)}, and no others")
    if "label" in fields and (odd := next((row for row in came if not isinstance(row["label"], bool)), None)):
        return wrong(odd, "likely cause: label is True or False, not a number or a word")
    if same_rows(came, expected):
        return Verdict(True, f"right: {len(given)} rows make {len(expected)}")
    for mistake in mistakes:
        if same_rows(came, mistake.answer(given)):
            return wrong(f"{len(came)} rows", f"likely cause: {mistake.name}: {mistake.hint}")
    missing = Counter(map(_written, expected)) - Counter(map(_written, came))
    extra = Counter(map(_written, came)) - Counter(map(_written, expected))
    shown = f"missing: {next(iter(missing))}" if missing else f"not expected, or too often: {next(iter(extra))}"
    return wrong(f"{len(came)} rows", shown)


def same_rows(some: object, others: Sequence[dict]) -> bool:
    """Whether two lists hold the same rows as often, in whatever order."""
    return isinstance(some, list) and Counter(map(_written, some)) == Counter(map(_written, others))


def _written(row: object) -> str:
    return json.dumps(row, sort_keys=True, ensure_ascii=False, default=str)


def spelled(prompt: str) -> list[dict]:
    """A prompt in three spellings, a row each."""
    ways = (prompt, prompt.upper(), f"  {prompt.replace(' ', '  ')}")
    return [{"prompt": way, "completion": f"reply {i}", "label": i != 1} for i, way in enumerate(ways)]
