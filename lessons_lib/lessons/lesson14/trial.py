"""The capstone's trial of choice against runner-up: one run of the learner's own, the others released, how it reads.

A receipt binds the released runs to a sealed plan. Its key is not in the library: it is the digest of the file of runs,
which stays with the instructor until a plan is sealed.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from typing import NamedTuple

from lessons_lib import metrics
from lessons_lib.benchmark.statistics import word
from lessons_lib.grading import tickets
from lessons_lib.lessons.lesson14 import plan
from lessons_lib.lessons.lesson14.trial_runs import SEEDS, STAND_INS, run

Runs = Mapping[str, Mapping[str, Sequence[float]]]  # dataset, method: gold reward for each of `SEEDS`

SAME_RUN = 0.1  # gold points by which a run may differ between machines: its 256 replies are sampled
MOST_GOLD = 100.0  # either way, far beyond what a reply earns: what is larger is no reward
EXACT = 0.005  # gold points by which a mean or an end may be rounded
SURE_ENOUGH = 0.025  # mean squared error that ten seeds leave of a true probability of one half
WORTHLESS = 0.25  # and of probabilities that say nothing, or the contrary
LIVE, READING, CONFIDENCE = 0.25, 0.5, 0.25  # what the parts of a trial are worth


def my_seed(name: str, ticket: str) -> int:
    """The seed of a dataset's trial that is yours to train."""
    return tickets.stream(ticket, f"seed {name}").choice(SEEDS)


def train_live(plans: Mapping, ticket: str) -> dict[str, dict[str, float]]:
    """Train choice and runner-up of each dataset with your own seed; the gold rewards, as `trial["live"]` wants them.

    Six small models, about a minute on a laptop, with a line for each.
    """
    found: dict[str, dict[str, float]] = {}
    for name in STAND_INS:
        for method in (plans[name]["choice"], plans[name]["runner_up"]):
            found.setdefault(name, {})[method] = run(name, method, my_seed(name, ticket))
            print(f"{name}, seed {my_seed(name, ticket)}, {method}: gold {found[name][method]:.4f}", flush=True)
    return found


class Reading(NamedTuple):
    """The paired difference over all seeds with its 95 % interval, and what it comes to."""

    mean: float
    low: float
    high: float
    verdict: str


def read(differences: Sequence[float], effect: float) -> Reading:
    """The reading of choice minus runner-up, a difference a seed; each seed has a checkpoint of its own.

    Verdict: "ahead", "behind", "equivalent" (the whole interval inside ±effect) or "cannot tell".
    """
    found = metrics.mean_interval(differences)
    return Reading(found.estimate, found.low, found.high, word(found, effect))


# Released runs ---------------------------------------------------------------------------------------------------


def others(name: str, ticket: str) -> list[int]:
    """The seeds that are released to you: all but your own."""
    return [seed for seed in SEEDS if seed != my_seed(name, ticket)]


def differences(runs: Runs, name: str, choice: str, runner_up: str, seeds: Sequence[int]) -> list[float]:
    """Choice minus runner-up, gold points, for each of some seeds."""
    return [round(_gold(runs, name, choice, seed) - _gold(runs, name, runner_up, seed), 4) for seed in seeds]


def _gold(runs: Runs, name: str, method: str, seed: int) -> float:
    return runs[name][method][SEEDS.index(seed)]


def release(runs: Runs, key: bytes, plans: Mapping, ticket: str, released: str) -> dict:
    """What is sent to the learner whose plans are sealed: the other seeds' differences, and the receipt for them."""
    stamp = plan.seal(plans, ticket)
    found = {
        name: differences(runs, name, plans[name]["choice"], plans[name]["runner_up"], others(name, ticket))
        for name in STAND_INS
    }
    return {"seal": stamp, "released": released, "receipt": receipt(key, ticket, stamp, released), "differences": found}


def receipt(key: bytes, ticket: str, stamp: str, released: str) -> str:
    text = "\0".join((ticket.strip().lower(), stamp, released))
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:32]


def not_released(key: bytes, plans: object, released: object, ticket: str) -> str:
    """Why runs do not belong to these plans; empty where they do."""
    if not plan.is_whole(plans, ticket):
        return "the plans do not fit together, or were made for another ticket"
    if not isinstance(released, Mapping) or not {"seal", "released", "receipt"} <= set(released):
        return "no released runs: paste what your instructor sent you"
    stamp = plan.seal(plans, ticket)
    if released["seal"] != stamp:
        return "the plans are not those that were sealed: something in them, or the ticket, was changed afterwards"
    when = str(released["released"])
    if not hmac.compare_digest(str(released["receipt"]).encode(), receipt(key, ticket, stamp, when).encode()):
        return "the receipt is not one that was given for this seal at this time"
    if plan.signed_at(plans).isoformat(timespec="seconds") > when:
        return "signed after the runs were released"
    return ""


# What a trial earns ----------------------------------------------------------------------------------------------


def shares(runs: Runs, key: bytes, trial: object, ticket: str) -> Iterator[tuple[str, float, str]]:
    """For each dataset its share of the points, and what is wrong; nothing without sealed plans and a run of one's own.

    Args:
        runs, key: the instructor's.
        trial: {"plans", "released", "live", "readings"}.
    """
    trial = trial if isinstance(trial, Mapping) else {}
    plans = trial.get("plans")
    if why := not_released(key, plans, trial.get("released"), ticket):
        yield from ((name, 0.0, why) for name in STAND_INS)
        return
    for name in STAND_INS:
        yield name, *_share(runs, name, plans[name], trial, ticket)


def _share(runs: Runs, name: str, mine: Mapping, trial: Mapping, ticket: str) -> tuple[float, str]:
    choice, runner_up, seed = mine["choice"], mine["runner_up"], my_seed(name, ticket)
    live = _part(trial, "live", name)
    recorded = {method: _gold(runs, name, method, seed) for method in (choice, runner_up)}
    if not all(_near(live.get(method), gold, SAME_RUN) for method, gold in recorded.items()):
        return 0.0, f"live: not what {choice} and {runner_up} come to with your seed, {seed}; train them"
    found = differences(runs, name, choice, runner_up, others(name, ticket))
    right = read([*found, live[choice] - live[runner_up]], mine["effect"])
    wrong = misread(right, _part(trial, "readings", name))
    sure = confidence(runs, name, mine)
    earned = LIVE + READING * (not wrong) + CONFIDENCE * sure
    told = [wrong] if wrong else []
    told += [f"confidence: your probabilities earn {sure:.0%}"] if sure < 1 else []
    return earned, "; ".join(told)


def misread(right: Reading, came: Mapping) -> str:
    """What is wrong with a learner's reading; empty where nothing is."""
    for field in ("mean", "low", "high"):
        if not _near(came.get(field), getattr(right, field), EXACT):
            return f"readings: {field} is not that of all {len(SEEDS)} differences, your own run among them"
    return (
        "" if came.get("verdict") == right.verdict else f"readings: this interval does not say {came.get('verdict')!r}"
    )


def confidence(runs: Runs, name: str, mine: Mapping) -> float:
    """What the stated probabilities earn, over every seed and every rival, the runner-up being one of them.

    The mean squared distance from the shares of seeds in which the choice had more gold; a tie counts one half.
    """
    gold, own = runs[name], runs[name][mine["choice"]]
    errors = []
    for rival, p in mine["beats"].items():
        wins = [(a > b) + 0.5 * (a == b) for a, b in zip(own, gold[rival], strict=True)]
        errors.append((p - sum(wins) / len(wins)) ** 2)
    off = sum(errors) / len(errors)
    return min(1.0, max(0.0, (WORTHLESS - off) / (WORTHLESS - SURE_ENOUGH)))


def _part(trial: Mapping, part: str, name: str) -> Mapping:
    whole = trial.get(part)
    found = whole.get(name) if isinstance(whole, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def is_gold(came: object) -> bool:
    """Whether it is a number that gold points can be."""
    return isinstance(came, Real) and not isinstance(came, bool) and -MOST_GOLD <= came <= MOST_GOLD


def _near(came: object, right: float, by: float) -> bool:
    return is_gold(came) and abs(came - right) <= by
