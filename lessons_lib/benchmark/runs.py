"""One run of the benchmark: an arm on a regime with a seed, trained and measured.

A seed draws the preference data, the batch order and the evaluation's samples, and picks the SFT checkpoint: see
`checkpoint_of`. All arms of a regime and seed share pairs, batches and samples.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial

import numpy as np
from accelerate import Accelerator

from lessons_lib._surroundings import one_thread
from lessons_lib.benchmark import design, loop
from lessons_lib.benchmark.design import ARMS, BATCH, IMITATION_RATE, REGIMES, STOPS, WARMUP, Point, Regime
from lessons_lib.benchmark.statistics import length_controlled
from lessons_lib.data.preferences import ratings_to_pairs
from lessons_lib.lab import annotators, checkpoints, world
from lessons_lib.lab.evaluation import Evaluator
from lessons_lib.lab.pairs import CYCLE, close_pairs, cycle, cyclic_pairs, preference
from lessons_lib.memory.probe import recorder
from lessons_lib.training.collation import Batch, TokenRows
from lessons_lib.training.config import TrainConfig, takes_single_replies
from lessons_lib.training.scoring import score_rows

TEST_SAMPLES = 256
VALIDATION_SAMPLES = 256
VOTERS = 3  # annotators who judge each validation reply
BROKEN = -99.0  # below any gold reward


def draw_rows(regime: Regime, pool: checkpoints.Pool, seed: int) -> list[dict]:
    """The preference rows of a regime: pairs, or the thumbs of a log."""
    if regime.kind == "pairs":
        return annotators.label_pairs(pool, regime.pairs, seed=seed, **regime.draw)
    if regime.kind == "log":
        return annotators.label_thumbs(pool, regime.pairs, seed=seed, **regime.draw)
    draw = {"close": close_pairs, "cyclic": cyclic_pairs}[regime.kind]
    return draw(pool, regime.pairs, seed=seed, **regime.draw)


def train(
    regime: str,
    arm: str,
    point: Point,
    seed: int,
    *,
    size: str = "small",
    at: Callable[[int, object], None] = lambda *_: None,
):
    """Train one arm at one grid point; the model.

    Args:
        size: of the lab's checkpoints.
        at: called with the step and the model after each step.
    """
    if ARMS[arm].imitates_first:
        return _imitate_then_fit(regime, arm, point, seed, size, at)
    _, batches, _ = _data(regime, seed, ARMS[arm].method, size)
    return _fit(regime, arm, point, seed, size, batches, round(point.stop * len(batches)), at)


def _imitate_then_fit(regime: str, arm: str, point: Point, seed: int, size: str, at: Callable[[int, object], None]):
    """SFT for a share of the steps, then the arm's method for the rest, with what SFT made as its reference.

    A stop is one of the second stage; `at` is told the regime's step that lies as far in the whole.
    """
    steps = REGIMES[regime].steps
    imitation = round(point.strength["sft_share"] * steps)
    rest = Point({name: value for name, value in point.strength.items() if name != "sft_share"}, point.learning_rate)
    batches = [batch for batch in _data(regime, seed, "sft", size)[1] if batch.step <= imitation]
    model = _fit(regime, "sft", Point({}, IMITATION_RATE), seed, size, batches, imitation)
    reference = copy.deepcopy(model)
    rows, batches, _ = _data(regime, seed, ARMS[arm].method, size)
    scored = score_rows(reference, rows, rows_per_pass=loop.ROWS_PER_PASS, accelerator=Accelerator(cpu=True))
    batches = batches[: steps - imitation]
    marks = {round(stop * len(batches)): round(stop * steps) for stop in STOPS}
    loop.fit(
        model,
        replace(rows, reference=scored),
        batches,
        ARMS[arm].method,
        _config(arm, rest, len(batches), seed),
        stop=round(point.stop * len(batches)),
        at=lambda step: at(marks[step], model) if step in marks else None,
    )
    return model


def peak_mb(regime: str, arm: str, point: Point, seed: int, size: str = "small") -> float:
    """Peak of PyTorch's CPU allocator in MB (1e6 bytes), model and optimizer included, over two steps.

    They are on the run's widest batch; from the second on the optimizer's states exist. Log-probs under the
    reference are there before, save those of KTO's mismatched pairs, which need the reference in memory.
    """
    rows, batches, _ = _data(regime, seed, ARMS[arm].method, size)
    lengths = rows.row_lengths()
    widest = max(batches, key=lambda batch: max(lengths[row] for row in batch.rows))
    twice = [replace(widest, step=step, start=(step - 1) * len(widest.rows)) for step in (1, 2)]
    if ARMS[arm].imitates_first:
        point = Point({"beta": point.strength["beta"]}, point.learning_rate)
    with recorder("cpu") as recorded:
        _fit(regime, arm, point, seed, size, twice, stop=2)
    return round(recorded.peak_bytes / 1e6, 2)


def _fit(
    regime: str, arm: str, point: Point, seed: int, size: str, batches: list[Batch], stop: int, at=lambda *_: None
):
    """A model made by `stop` steps on the batches."""
    table, facts = REGIMES[regime], ARMS[arm]
    checkpoint = checkpoint_of(seed)
    start = checkpoint if table.start == "sft" else "base"
    model, _ = checkpoints.load(start, size)
    rows, _, weights = _data(regime, seed, facts.method, size)
    config = _config(arm, point, len(batches), seed, weights if facts.takes_single else {})
    loop.fit(
        model,
        rows,
        batches,
        facts.method,
        config,
        stop=stop,
        reference=checkpoints.load(start, size)[0],
        at=lambda step: at(step, model),
    )
    return model


def _config(arm: str, point: Point, steps: int, seed: int, weights: dict[str, float] | None = None) -> TrainConfig:
    return TrainConfig(
        hyperparameters={**point.strength, **(weights or {})},
        average=ARMS[arm].average,
        nll_weight=ARMS[arm].nll_weight,
        batch_size=BATCH,
        max_steps=steps,
        learning_rate=point.learning_rate,
        warmup_steps=WARMUP,
        seed=seed,
    )


@one_thread()
def run(regime: str, arm: str, point: Point | None, seed: int, size: str = "small") -> dict:
    """Train and measure on test prompts; a row of the benchmark's table. The untouched model takes no point."""
    checkpoint, seconds, peak = checkpoint_of(seed), 0.0, 0.0
    if ARMS[arm].method:
        _data(regime, seed, ARMS[arm].method, size)  # drawn before the clock starts: all arms share it
        start = time.process_time()
        model = train(regime, arm, point, seed, size=size)
        seconds = time.process_time() - start
        peak = peak_mb(regime, arm, point, seed, size)
        replies, measures = measure(_evaluator(checkpoint, seed, size), model)
    else:
        replies, measures = _untouched(checkpoint, seed, size)
    setting = design.written(point) if point else dict.fromkeys(("strength", "learning_rate", "stop"))
    return {
        "regime": regime,
        "arm": arm,
        "seed": seed,
        "checkpoint": checkpoint,
        **setting,
        **measures,
        "annotator_win_rate": annotator_win_rate(REGIMES[regime], _evaluator(checkpoint, seed, size), replies),
        "cpu_seconds": seconds,
        "peak_mb": peak,
    }


def measure(evaluator: Evaluator, model) -> tuple[list[list[int]], dict[str, float]]:
    """A model's replies, and all of `Evaluation.row` with the win rate at equal length."""
    replies = evaluator.sample(model)
    row = evaluator(model, replies).row()
    ours, theirs = world.gold(evaluator.prompts, replies), world.gold(evaluator.prompts, evaluator.reference_replies)
    wins = (ours.total > theirs.total) + 0.5 * (ours.total == theirs.total)
    return replies, row | {"length_controlled_win_rate": length_controlled(wins, ours.lengths - theirs.lengths)}


def annotator_win_rate(regime: Regime, evaluator: Evaluator, replies: list[list[int]]) -> float:
    """How likely the regime's annotators prefer a reply to the reference's, before any labels are flipped."""
    return float(preference(_felt_gap(regime, evaluator, replies)).mean())


def _felt_gap(regime: Regime, evaluator: Evaluator, replies: list[list[int]]) -> np.ndarray:
    """(n,) by how much the regime's annotators like each reply better than the reference's."""
    ours, theirs = (world.gold(evaluator.prompts, given) for given in (replies, evaluator.reference_replies))
    gap = ours.total - theirs.total + regime.draw.get("length_bonus", 0.0) * (ours.lengths - theirs.lengths)
    if regime.kind == "cyclic":
        gap = gap + CYCLE * cycle(replies, evaluator.reference_replies)
    return gap


def votes(regime: Regime, evaluator: Evaluator, replies: list[list[int]], pool: checkpoints.Pool, seed: int) -> float:
    """What validation would tell somebody without a gold reward: the share of `VOTERS` × replies votes for ours.

    In a regime of pairs, annotators like those of the training data, their slips and their tastes included, compare
    each reply with the reference's; in a log, they give each reply a thumb, as the log's raters did.
    """
    if regime.kind == "log":
        likes = preference(world.gold(evaluator.prompts, replies).total - np.median(pool.split("train").gold.total))
    else:
        gap = _felt_gap(regime, evaluator, replies)
        likes = np.where(gap == 0, 0.5, gap > 0) if regime.draw.get("deterministic") else preference(gap)
        slips = regime.draw.get("flip_rate", 0.0)
        likes = likes * (1 - slips) + (1 - likes) * slips
    return float((np.random.default_rng(seed).random((VOTERS, len(likes))) < likes).mean())


@one_thread()
def validation(regime: str, arm: str, point: Point, seed: int, size: str = "small") -> dict[float, dict[str, float]]:
    """{"gold", "votes"} on validation prompts after each of `STOPS`, of one run; `BROKEN` once it has broken down."""
    steps = {round(stop * REGIMES[regime].steps): stop for stop in STOPS}
    checkpoint = checkpoint_of(seed)
    evaluator, pool = _validation(checkpoint, seed, size), checkpoints.pool(checkpoint, size)
    found = {stop: {"gold": BROKEN, "votes": 0.0} for stop in STOPS}

    def look(step: int, model) -> None:
        if step in steps:
            replies = evaluator.sample(model)
            gold = float(world.gold(evaluator.prompts, replies).total.mean())
            found[steps[step]] = {"gold": gold, "votes": votes(REGIMES[regime], evaluator, replies, pool, seed)}

    train(regime, arm, point, seed, size=size, at=look)
    return found


def checkpoint_of(seed: int) -> str:
    """The SFT checkpoint that a seed stands for: a final run's own; the search keeps to the first three."""
    names = checkpoints.ALL_SFT_NAMES if seed < design.FIRST_TUNING_SEED else checkpoints.SFT_NAMES
    return names[seed % len(names)]


@lru_cache(maxsize=8)
def _data(regime: str, seed: int, method: str, size: str) -> tuple[TokenRows, list[Batch], dict[str, float]]:
    """What a method trains on, see `arranged`."""
    table, checkpoint = REGIMES[regime], checkpoint_of(seed)
    drawn = _drawn(regime, seed, size)
    reference = loop.reference_logps(checkpoint, size) if table.start == "sft" else _base_logps(regime, seed, size)
    return arranged(
        drawn,
        method,
        partial(loop.token_rows, reference=reference),
        batch_size=BATCH,
        steps=table.steps,
        seed=seed,
    )


@lru_cache(maxsize=4)
def _base_logps(regime: str, seed: int, size: str) -> dict[tuple[str, tuple[int, ...]], float]:
    """Under the base model, as `loop.reference_logps`: of what a regime draws alone, as little begins there."""
    texts = {(row["prompt"], row[column]) for row in _drawn(regime, seed, size) for column in ("chosen", "rejected")}
    return loop.score_replies("base", size, [(prompt, tuple(world.encode(reply))) for prompt, reply in sorted(texts)])


def arranged(
    drawn: list[dict], method: str, token_rows: Callable[..., TokenRows], *, batch_size: int, steps: int, seed: int
) -> tuple[TokenRows, list[Batch], dict[str, float]]:
    """What a method trains on: its rows, its batches, and for KTO the weights that balance the thumbs.

    From pairs, KTO gets both replies of each pair in the pair's own batch, and SFT the chosen ones, two batches a
    step, which are as many tokens. From a log, pair methods get the pairs it holds, and SFT the liked replies.

    Args:
        drawn: paired rows, or the thumbs of a log.
        method: see `design.Arm`.
        token_rows: makes token ids of (rows, columns).
        batch_size: pairs a step.
        steps, seed: of the plan.
    """
    log = "label" in drawn[0]
    settings = {"steps": steps, "seed": seed}
    if method == "sft":
        liked = [
            {"prompt": row["prompt"], "chosen": row["chosen"] if "chosen" in row else row["completion"]}
            for row in drawn
            if row.get("label", True)
        ]
        rows = token_rows(liked, ("chosen",))
        return rows, loop.plan(rows, batch_size=2 * batch_size, **settings), {}
    single = takes_single_replies(method)
    if log and single:
        rows = token_rows(drawn, ("completion",))
        return rows, loop.plan(rows, batch_size=2 * batch_size, **settings), _balance(rows)
    rows = token_rows(list(ratings_to_pairs(drawn)) if log else drawn, ("chosen", "rejected"))
    batches = loop.plan(rows, batch_size=batch_size, **settings)
    return (*loop.as_single(rows, batches), {}) if single else (rows, batches, {})


def _balance(rows: TokenRows) -> dict[str, float]:
    """KTO's weights, by its paper's rule: the smaller side raised until both weigh the same."""
    ups = int(rows.labels.sum())
    downs = len(rows) - ups
    return {"desirable_weight": max(1.0, downs / ups), "undesirable_weight": max(1.0, ups / downs)}


@lru_cache(maxsize=4)
def _drawn(regime: str, seed: int, size: str) -> list[dict]:
    return draw_rows(REGIMES[regime], checkpoints.pool(checkpoint_of(seed), size), seed)


def evaluator(seed: int, size: str = "small") -> Evaluator:
    """Measures on test prompts what a final run of this seed has made."""
    return _evaluator(checkpoint_of(seed), seed, size)


@lru_cache(maxsize=4)
def _evaluator(checkpoint: str, seed: int, size: str) -> Evaluator:
    return Evaluator(checkpoints.load(checkpoint, size)[0], samples=TEST_SAMPLES, seed=seed)


@lru_cache(maxsize=4)
def _untouched(checkpoint: str, seed: int, size: str) -> tuple[list[list[int]], dict[str, float]]:
    return measure(_evaluator(checkpoint, seed, size), checkpoints.load(checkpoint, size)[0])


@lru_cache(maxsize=4)
def _validation(checkpoint: str, seed: int, size: str) -> Evaluator:
    model = checkpoints.load(checkpoint, size)[0]
    return Evaluator(model, split="validation", samples=VALIDATION_SAMPLES, seed=seed)
