"""One run of the shop's comparison: an arm on a regime with a seed, trained and measured; and one run of its search.

A seed draws the preference data, the batch order and the samples by which the model is measured; all arms of a regime
and seed share them. There is one checkpoint, the pre-trained model, so an interval over seeds leaves out what another
would change. `Setup` says on what the runs are made; recorded numbers are of one setup.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from accelerate import Accelerator

from lessons_lib.benchmark import design, loop
from lessons_lib.benchmark.design import Point, Regime
from lessons_lib.benchmark.runs import BROKEN, arranged, draw_rows
from lessons_lib.benchmark.shop_design import ARMS, BATCH, REGIMES, STOPS, VOTERS, WARMUP
from lessons_lib.lab.pairs import preference
from lessons_lib.lab.shop import samples
from lessons_lib.lab.shop.evaluation import Evaluator
from lessons_lib.lab.shop.gold import Gold
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
        """Whether a recorded run was made at the setting that is chosen now."""
        from lessons_lib.benchmark import tuning

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
    CPU-seconds of training and of measuring.
    """
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
    setting = design.written(point) if point else dict.fromkeys(("strength", "learning_rate", "stop"))
    return {
        **{"regime": regime, "arm": arm, "seed": seed},
        **setup.written,
        **setting,
        "device": setup.device,
        "steps": made,
        "broken": made < stop,  # the loss was no longer finite: measured with the weights of the step before
        **measures,
        "curve": json.dumps(curve),
        "texts": json.dumps(texts, ensure_ascii=False),
        "cpu_seconds": seconds["train"],
        "cpu_seconds_measuring": seconds["measure"],
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
    """Train at one setting and measure on the validation requests after each of `STOPS`; a row for each.

    `votes` is what settings are chosen by, `gold` stands beside it.
    """
    steps = {round(stop * REGIMES[regime].steps): stop for stop in STOPS}
    evaluator = _validation(setup, seed)
    found = {stop: {"votes": 0.0, "gold": BROKEN} for stop in STOPS}
    start = time.process_time()

    def look(step: int, model) -> None:
        if step in steps:
            read = evaluator.read(evaluator.sample(model))
            found[steps[step]] = {
                "votes": votes(REGIMES[regime], read, _untouched_reply(), seed),
                "gold": float(read.total.mean()),
            }

    train(setup, regime, arm, point, seed, at=look)
    row = {"regime": regime, "arm": arm, "seed": seed, **setup.written, **design.written(point)}
    row["cpu_seconds"] = time.process_time() - start
    return [{**row, "stop": stop, **measured} for stop, measured in found.items()]


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


@lru_cache(maxsize=4)
def _data(setup: Setup, regime: str, seed: int, method: str) -> tuple[TokenRows, list[Batch], dict[str, float]]:
    """What a method trains on, see `runs.arranged`."""
    drawn = draw_rows(REGIMES[regime], samples.pool("train"), seed)
    rows = partial(_token_rows, setup)
    return arranged(drawn, method, rows, batch_size=BATCH, steps=REGIMES[regime].steps, seed=seed)


def _token_rows(setup: Setup, rows: list[dict], columns: tuple[str, ...]) -> TokenRows:
    shop = shop_of(setup)
    return loop.token_rows(rows, columns, _reference_logps(setup), encode_prompt=shop.encode, encode=shop.encode_reply)


@lru_cache(maxsize=1)
def _reference_logps(setup: Setup) -> dict[tuple[str, tuple[int, ...]], float]:
    """Summed log-prob under the untouched model of every training reply in the pool, by prompt and token ids.

    A minute's work, kept in the model's cache: all runs share it.
    """
    from lessons_lib.models import pretrained
    from lessons_lib.training.scoring import score_rows

    shop, pool = shop_of(setup), samples.pool("train")
    prompts = [pool.prompt(index) for index in range(len(pool.replies))]
    rows = [{"prompt": prompt, "completion": pool.completion(i), "label": True} for i, prompt in enumerate(prompts)]
    tokens = loop.token_rows(rows, ("completion",), encode_prompt=shop.encode, encode=shop.encode_reply)
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
