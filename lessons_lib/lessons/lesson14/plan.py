"""The capstone's plan: what a learner commits to before she sees a run, whether it fits together, and its seal.

A plan names a choice and says what would count against it. It is sealed by a hash over all of it, its time and its
ticket: whoever holds the seal can tell whether a plan was changed later. The time is the learner's word; the time at
which somebody else received the seal is the one that counts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from numbers import Real
from pathlib import Path

from lessons_lib.errors import UserError
from lessons_lib.lessons.lesson14 import sample
from lessons_lib.lessons.lesson14.trial_runs import SEEDS, STAND_INS, allowed
from lessons_lib.methods import METHODS
from lessons_lib.metrics import paired_power

POWER, NEAR = 0.8, 0.02  # of the smallest effect that a plan's runs show, and how exactly it must be found
EFFECTS = (0.05, 1.0)  # gold points that may be said to matter; the lab's replies earn 3.4 at most
SPREADS = (0.02, 2.0)  # gold points: standard deviation of a paired difference between seeds
FIELDS: Mapping[str, str] = {
    "choice": "the method you would train with",
    "runner_up": "the one you would take if yours were forbidden",
    "beats": "for each other method that the brief allows, how probable it is that one run of yours has more gold",
    "effect": "gold points that would matter to you",
    "sd": "gold points by which you expect the difference of the two to vary from seed to seed",
    "visible": f"the smallest difference that {len(SEEDS)} seeds show with a chance of 80 % at that sd",
    "turn": "what would change your mind: a figure of yours, above or below which value, and to which method",
}


def faults(name: str, plan: object, ticket: str) -> Iterator[tuple[str, str]]:
    """What does not fit together in the plan for a dataset, as (field, reason)."""
    if not isinstance(plan, Mapping) or set(plan) != set(FIELDS):
        yield "plan", f"expected a dictionary with {', '.join(FIELDS)}"
        return
    methods = allowed(name)
    for field in ("choice", "runner_up"):
        if plan[field] not in methods:
            yield field, f"expected one that the brief allows: {', '.join(methods)}"
            return
    if plan["choice"] == plan["runner_up"]:
        yield "runner_up", "the runner-up is the method that you did not choose"
        return
    yield from _beats(plan, methods)
    yield from _effect(plan)
    yield from _turn(name, plan, ticket)


def _beats(plan: Mapping, methods: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    beats, others = plan["beats"], set(methods) - {plan["choice"]}
    if not isinstance(beats, Mapping) or set(beats) != others:
        yield "beats", f"expected a probability for each of {', '.join(m for m in methods if m in others)}"
    elif not all(_is_number(p, 0, 1) for p in beats.values()):
        yield "beats", "a probability lies between 0 and 1"
    elif beats[plan["runner_up"]] > min(beats.values()):
        yield "beats", "the runner-up is the method that you are least sure to beat, and another is lower"
    elif beats[plan["runner_up"]] < 0.5:
        yield "beats", "you hold the runner-up to be better than your choice: then choose it"


def _effect(plan: Mapping) -> Iterator[tuple[str, str]]:
    for field, (low, high) in (("effect", EFFECTS), ("sd", SPREADS), ("visible", (0.0, 10.0))):
        if not _is_number(plan[field], low, high):
            yield field, f"expected gold points from {low:g} to {high:g}"
            return
    chance = paired_power(plan["visible"], plan["sd"], len(SEEDS))
    if abs(chance - POWER) > NEAR:
        yield (
            "visible",
            f"at this sd {len(SEEDS)} seeds show {plan['visible']:g} with a chance of {chance:.0%}, not 80 %",
        )


def _turn(name: str, plan: Mapping, ticket: str) -> Iterator[tuple[str, str]]:
    turn, figures = plan["turn"], sample.MEASURED[name]
    if not isinstance(turn, Mapping) or set(turn) != {"figure", "is", "value", "to"}:
        yield "turn", "expected a dictionary with figure, is, value, to"
    elif turn["figure"] not in figures or turn["is"] not in ("above", "below"):
        yield "turn", f'expected a figure of {", ".join(figures)}, and "above" or "below"'
    elif not _is_number(turn["value"], 0, 1e6):
        yield "turn", "expected a number for its value"
    elif turn["to"] not in tuple(METHODS) or turn["to"] == plan["choice"]:
        yield "turn", "expected another method than your choice to change to"
    else:
        mine = sample.figures_of(name, ticket)[turn["figure"]]
        if (mine > turn["value"]) == (turn["is"] == "above"):
            yield (
                "turn",
                f"your own {turn['figure']} is {turn['is']} {turn['value']:g} already: your mind would be changed",
            )


def _is_number(value: object, low: float, high: float) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and low <= value <= high


# The seal --------------------------------------------------------------------------------------------------------


def signed_at(plans: Mapping) -> datetime | None:
    """The time that the plans carry, in UTC; None where there is none that can be read."""
    try:
        time = datetime.fromisoformat(plans["signed"])
        return time.astimezone(UTC) if time.tzinfo else None
    except (KeyError, TypeError, ValueError, OverflowError):  # the last: in UTC it would lie before year 1
        return None


def seal(plans: Mapping, ticket: str) -> str:
    """Sixteen hexadecimal digits that change with anything in the plans, their time and the ticket."""
    text = json.dumps(_plain(plans), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(f"{ticket.strip().lower()}\n{text}".encode()).hexdigest()[:16]


def _plain(value: object) -> object:
    """Numbers as they would be read back from JSON, so that 1 and 1.0 are sealed alike."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, Real) and not isinstance(value, bool):
        return float(value)
    return value


def write_sealed(plans: Mapping, ticket: str, folder: str | Path = ".") -> Path:
    """Write the file that goes to the instructor, ``plan_TICKET.json``; a `UserError` while the plans are not whole."""
    if not is_whole(plans, ticket):
        raise UserError(
            "plans: expected plans that fit together, with a time; run the check above and mend what it says"
        )
    path = Path(folder) / f"plan_{ticket.strip().lower()}.json"
    sent = {"ticket": ticket.strip().lower(), "plans": plans, "seal": seal(plans, ticket)}
    path.write_text(json.dumps(sent, indent=1) + "\n", encoding="utf-8")
    return path


def now() -> str:
    """The time in UTC as a plan carries it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def is_whole(plans: object, ticket: str) -> bool:
    """Whether there is a plan for each dataset that fits together, and a time."""
    return (
        isinstance(plans, Mapping)
        and set(plans) == {*STAND_INS, "signed"}
        and signed_at(plans) is not None
        and not any(fault for name in STAND_INS for fault in faults(name, plans[name], ticket))
    )
