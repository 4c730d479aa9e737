"""One run of the shop's comparison: an arm on a regime with a seed, trained and measured; and one run of its search.

A seed draws the preference data, the batch order and the samples by which the model is measured; all arms of a regime
and seed share them. There is one checkpoint, the pre-trained model, so an interval over seeds leaves out what another
would change. `Setup` says on what the runs are made; recorded numbers are of one setup.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from accelerate import Accelerator

from lessons_lib.benchmark import design, loop
from lessons_lib.benchmark.design import Point, Regime
from lessons_lib.benchmark.runs import BROKEN, arranged, draw_rows
from lessons_lib.benchmark.shop_design import ARMS, BATCH, REGIMES, VOTERS, WARMUP, is_human, stops
from lessons_lib.lab.pairs import preference
from lessons_lib.lab.shop import human, samples
from lessons_lib.lab.shop.evaluation import Evaluator
from lessons_lib.lab.shop.gold import Gold
from lessons_lib.metrics import mean_interval
from lessons_lib.models.precision import bf16_pays
from lessons_lib.training.collation import Batch, TokenRows
from lessons_lib.training.config import TrainConfig

CURVE = 64  # test requests that are answered along the way; all of them at the end
CURVE_SHARES = (1 / 3, 2 / 3)  # of a run's steps after which they are


@dataclass(frozen=True)
class Setup:
    """On what runs are made: the device, the precision (None: what the machine does well), the model."""

    device: str = "cpu"
    bf16: bool | None = None
    model: str = samples.MODEL

    @property
    def in_bf16(self) -> bool:
        """The precision that is taken."""
        return bf16_pays(self.device) if self.bf16 is None else self.bf16

    @property
    def written(self) -> dict:
        """What tells one setup's runs from another's, as columns of a table: a GPU and a CPU count as one."""
        return {"checkpoint": self.model, "bf16": self.in_bf16}


@lru_cache(maxsize=1)
def shop_of(setup: Setup) -> samples.Shop:
    """The model of a setup, loaded once."""
    return samples.Shop(setup.model, bf16=setup.in_bf16, device=setup.device)


class Run:
    """Makes final runs; an object, so that it travels to other processes with the settings that were chosen."""

    KEY = ("checkpoint", "bf16", "regime", "arm", "seed")

    def __init__(self, setup: Setup, points: dict[tuple[str, str], Point]):
        self.setup, self.points = setup, points

    def __call__(self, checkpoint: str, bf16: bool, regime: str, arm: str, seed: int) -> list[dict]:
        return [run(self.setup, regime, arm, self.points.get((regime, arm)), seed)]

    def current(self, row: dict) -> bool:
        """Whether a recorded run was made at the setting that is chosen now; another setup's is left alone."""
        from lessons_lib.benchmark import tuning

        if {**row, **self.setup.written} != row:
            return True
        return tuning.is_at(row, self.points.get((row["regime"], row["arm"])))


class Search:
    """Makes runs of the search, one setting each."""

    KEY = ("checkpoint", "bf16", "regime", "arm", "seed", "strength", "learning_rate")

    def __init__(self, setup: Setup):
        self.setup = setup

    def __call__(
        self, checkpoint: str, bf16: bool, regime: str, arm: str, seed: int, strength: str, learning_rate: float
    ) -> list[dict]:
        return search(self.setup, regime, arm, Point(json.loads(strength), learning_rate), seed)


def run(setup: Setup, regime: str, arm: str, point: Point | None, seed: int) -> dict:
    """Train and measure on the test requests; a row of the table. The untouched model takes no point.

    Besides the measures of `Evaluation.row`: `curve`, JSON, what became of the first `CURVE` test requests at the steps
    between; `texts`, JSON, the replies to the eight fixed requests at each of these steps and at the end; and the
    CPU-seconds of training and of measuring. On people's pairs, see `_human_run`, there are no texts to keep.
    """
    if is_human(regime):
        assert point, "the untouched model has nothing to compare itself with"
        return _human_run(setup, regime, arm, point, seed)
    evaluator, curve, texts = _evaluator(setup, seed), [], {}
    stop = round(point.stop * REGIMES[regime].steps) if point else 0
    looks = {round(share * stop) for share in CURVE_SHARES}
    seconds = {"train": 0.0, "measure": 0.0}

    def look(step: int, model) -> None:
        start = time.process_time()
        if step in looks:
            curve.append({"step": step, **_of_first(evaluator, model, evaluator.sample(model, first=CURVE))})
            texts[step] = evaluator.fixed_replies(model)
        seconds["measure"] += time.process_time() - start

    made = 0
    if point:
        _data(setup, regime, seed, ARMS[arm].method)  # drawn before the clock starts: all arms share it
        start = time.process_time()
        model, made = train(setup, regime, arm, point, seed, at=look)
        seconds["train"] = time.process_time() - start - seconds["measure"]
    start = time.process_time()
    measures, last, said = _final(evaluator, model) if point else _untouched(setup, seed)
    curve.append({"step": made, **last})
    texts[made] = said
    seconds["measure"] += time.process_time() - start
    return {
        **_identity(setup, regime, arm, point, seed, made),
        **measures,
        "curve": json.dumps(curve),
        "texts": json.dumps(texts, ensure_ascii=False),
        "cpu_seconds": seconds["train"],
        "cpu_seconds_measuring": seconds["measure"],
    }


def _human_run(setup: Setup, regime: str, arm: str, point: Point, seed: int) -> dict:
    """Train on people's pairs or thumbs, and measure on pairs of other conversations; a row of the table.

    Its measures are those of `human.PairEvaluator` and forgetting, no text among them.
    """
    _data(setup, regime, seed, ARMS[arm].method)
    start = time.process_time()
    model, made = train(setup, regime, arm, point, seed)
    trained = time.process_time()
    texts = _evaluator(setup, seed)
    measured = _human_evaluator(setup, "test")(model)
    measured["forgetting"] = mean_interval(texts.human_nll(model) - texts.untouched_human_nll)
    row = _identity(setup, regime, arm, point, seed, made)
    for name, interval in measured.items():
        row |= {name: interval.estimate, f"{name}_ci": interval.half_width}
    return row | {"cpu_seconds": trained - start, "cpu_seconds_measuring": time.process_time() - trained}


def _identity(setup: Setup, regime: str, arm: str, point: Point | None, seed: int, made: int) -> dict:
    """What tells one run from another, how far it came, and how often it saw each of its rows."""
    row = {"regime": regime, "arm": arm, "seed": seed, **setup.written}
    how = {"device": setup.device, "steps": made}
    if point is None:
        nothing = dict.fromkeys(("strength", "learning_rate", "stop"))
        return {**row, **nothing, **how, "broken": False, "rows": 0, "passes": 0.0}
    rows, batches, _ = _data(setup, regime, seed, ARMS[arm].method)
    return {
        **row,
        **design.written(point),
        **how,
        # the loss was no longer finite: measured with the weights of the step before
        "broken": made < round(point.stop * REGIMES[regime].steps),
        "rows": len(rows),
        "passes": sum(len(batch.rows) for batch in batches[:made]) / len(rows),
    }


def _final(evaluator: Evaluator, model) -> tuple[dict, dict, list[dict]]:
    """(all measures, those of the first `CURVE` requests, the replies to the fixed requests)."""
    replies = evaluator.sample(model)
    return evaluator(model, replies).row(), _of_first(evaluator, model, replies), evaluator.fixed_replies(model)


@lru_cache(maxsize=2)
def _untouched(setup: Setup, seed: int) -> tuple[dict, dict, list[dict]]:
    """What `_final` says of the untouched model, which no regime changes."""
    return _final(_evaluator(setup, seed), shop_of(setup).model)


def search(setup: Setup, regime: str, arm: str, point: Point, seed: int) -> list[dict]:
    """Train at one setting and measure on validation requests after each of the regime's stops; a row for each.

    `votes` is what settings are chosen by, `gold` stands beside it. People's pairs are votes already: there it is the
    held-out pair accuracy, and nobody knows gold.
    """
    steps = {round(stop * REGIMES[regime].steps): stop for stop in stops(regime)}
    found = {stop: {"votes": 0.0, "gold": math.nan if is_human(regime) else BROKEN} for stop in stops(regime)}
    start = time.process_time()

    def look(step: int, model) -> None:
        if step in steps:
            found[steps[step]] = _looked(setup, regime, model, seed)

    train(setup, regime, arm, point, seed, at=look)
    row = {"regime": regime, "arm": arm, "seed": seed, **setup.written, **design.written(point)}
    row["cpu_seconds"] = time.process_time() - start
    return [{**row, "stop": stop, **measured} for stop, measured in found.items()]


def _looked(setup: Setup, regime: str, model, seed: int) -> dict[str, float]:
    """A model's votes and gold reward on validation requests."""
    if is_human(regime):
        return {"votes": _human_evaluator(setup, "validation")(model)["accuracy"].estimate, "gold": math.nan}
    evaluator = _validation(setup, seed)
    read = evaluator.read(evaluator.sample(model))
    return {"votes": votes(REGIMES[regime], read, _untouched_reply(), seed), "gold": float(read.total.mean())}


def train(
    setup: Setup,
    regime: str,
    arm: str,
    point: Point,
    seed: int,
    *,
    at: Callable[[int, object], None] = lambda *_: None,
):
    """(the model that an arm's setting makes of the untouched one, the number of steps made)."""
    shop, table = shop_of(setup), REGIMES[regime]
    rows, batches, weights = _data(setup, regime, seed, ARMS[arm].method)
    config = TrainConfig(
        hyperparameters={**point.strength, **(weights if ARMS[arm].method == "kto" else {})},
        batch_size=BATCH,
        max_steps=len(batches),
        learning_rate=point.learning_rate,
        warmup_steps=WARMUP,
        seed=seed,
        bf16=shop.bf16,
    )
    model = copy.deepcopy(shop.model)
    made = loop.fit(
        model,
        rows,
        batches,
        ARMS[arm].method,
        config,
        stop=round(point.stop * table.steps),
        reference=shop.model,
        at=lambda step: at(step, model),
        accelerator=_accelerator(setup.device),
    )
    return model, made


def votes(regime: Regime, ours: Gold, theirs: Gold, seed: int) -> float:
    """What validation would tell somebody without a gold reward, from 0 to 1.

    In a regime of pairs, the share of votes that annotators like those of the training data, their slips included,
    cast for our replies against the untouched model's; in a log, the share of our replies that get a thumb up.
    """
    rng = np.random.default_rng(seed)
    if regime.kind == "log":
        likes = preference(ours.total - np.median(samples.pool("train").gold.total))
    else:
        gap = ours.total - theirs.total
        likes = np.where(gap == 0, 0.5, gap > 0) if regime.draw.get("deterministic") else preference(gap)
        slips = regime.draw.get("flip_rate", 0.0)
        likes = likes * (1 - slips) + (1 - likes) * slips
    return float((rng.random((VOTERS, len(likes))) < likes).mean())


def _untouched_reply() -> Gold:
    """The gold reward of the untouched model's first recorded reply to each validation request."""
    pool = samples.pool("validation")
    first = np.arange(len(pool.prompts)) * pool.per_prompt
    counts = {part: count[first] for part, count in pool.gold.counts.items()}
    return Gold(counts, pool.gold.lengths[first])


def _of_first(evaluator: Evaluator, model, replies: list[list[int]]) -> dict[str, float]:
    """Gold, KL, fluency, ended and length of the replies to the first `CURVE` test requests."""
    replies = replies[:CURVE]
    read = evaluator.read(replies)
    kl, logps = evaluator.drift(model, replies)
    return {
        "gold": float(read.total.mean()),
        "kl": float(kl.mean()),
        "fluency": float((-logps / read.lengths).mean()),
        "ended": float(1 - read.counts["unended"].mean()),
        "length": float(read.lengths.mean()),
    }


@lru_cache(maxsize=2)
def _evaluator(setup: Setup, seed: int) -> Evaluator:
    return Evaluator(shop_of(setup), seed=seed)


@lru_cache(maxsize=2)
def _validation(setup: Setup, seed: int) -> Evaluator:
    return Evaluator(shop_of(setup), split="validation", seed=seed)


@lru_cache(maxsize=2)
def _human_evaluator(setup: Setup, split: str) -> human.PairEvaluator:
    return human.PairEvaluator(shop_of(setup), split=split)


@lru_cache(maxsize=4)
def _data(setup: Setup, regime: str, seed: int, method: str) -> tuple[TokenRows, list[Batch], dict[str, float]]:
    """What a method trains on, see `runs.arranged`."""
    table = REGIMES[regime]
    if is_human(regime):
        drawn = {"human": human.draw_pairs, "human log": human.draw_thumbs}[table.kind](table.pairs, seed=seed)
        rows = partial(_human_rows, setup)
    else:
        drawn, rows = draw_rows(table, samples.pool("train"), seed), partial(_token_rows, setup)
    return arranged(drawn, method, rows, batch_size=BATCH, steps=table.steps, seed=seed)


def _token_rows(setup: Setup, rows: list[dict], columns: tuple[str, ...]) -> TokenRows:
    shop = shop_of(setup)
    return loop.token_rows(rows, columns, _reference_logps(setup), encode_prompt=shop.encode, encode=shop.encode_reply)


def _human_rows(setup: Setup, rows: list[dict], columns: tuple[str, ...]) -> TokenRows:
    encode = shop_of(setup).encode_reply  # their prompts are in chat form already
    return loop.token_rows(rows, columns, _human_reference_logps(setup), encode_prompt=encode, encode=encode)


@lru_cache(maxsize=1)
def _reference_logps(setup: Setup) -> dict[tuple[str, tuple[int, ...]], float]:
    """Of every training reply in the pool, see `_scored`."""
    pool = samples.pool("train")
    replies = [(pool.prompt(index), pool.completion(index)) for index in range(len(pool.replies))]
    return _scored(setup, replies, shop_of(setup).encode)


@lru_cache(maxsize=1)
def _human_reference_logps(setup: Setup) -> dict[tuple[str, tuple[int, ...]], float]:
    """Of both replies of every training pair, see `_scored`."""
    replies = [(pair["prompt"], pair[side]) for pair in human.pairs("train") for side in ("chosen", "rejected")]
    return _scored(setup, replies, shop_of(setup).encode_reply)


def _scored(
    setup: Setup, replies: list[tuple[str, str]], encode_prompt: Callable[[str], list[int]]
) -> dict[tuple[str, tuple[int, ...]], float]:
    """Summed log-prob under the untouched model of (prompt, reply), by prompt and token ids.

    Some minutes' work, kept in the model's cache: all runs share it.
    """
    from lessons_lib.models import pretrained
    from lessons_lib.training.scoring import score_rows

    shop, prompts = shop_of(setup), [prompt for prompt, _ in replies]
    rows = [{"prompt": prompt, "completion": reply, "label": True} for prompt, reply in replies]
    tokens = loop.token_rows(rows, ("completion",), encode_prompt=encode_prompt, encode=shop.encode_reply)
    logps = score_rows(
        shop.model,
        tokens,
        rows_per_pass=16,
        accelerator=_accelerator(setup.device),
        bf16=shop.bf16,
        cache_dir=str(pretrained.folder(samples.MODEL).parent / "reference_logps"),
    )["completion"]
    ids = [tuple(reply) for reply in tokens.responses["completion"]]
    return dict(zip(zip(prompts, ids, strict=True), logps.tolist(), strict=True))


def _accelerator(device: str) -> Accelerator:
    return Accelerator(cpu=device == "cpu")
