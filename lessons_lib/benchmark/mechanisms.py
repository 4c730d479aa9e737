"""Single mechanisms: comparisons that change one thing and leave the rest, at settings stated and not searched.

The matrix asks what each method can do; here every pair of variations shares data, batches, steps and, but for what is
compared, its setting. So the numbers speak of a mechanism and never of which method is best.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pandas as pd

from lessons_lib.benchmark import statistics
from lessons_lib.benchmark.design import BATCH, DELTA, REGIMES, SEEDS, WARMUP
from lessons_lib.recorded import store

if TYPE_CHECKING:
    from lessons_lib.training.collation import TokenRows
    from lessons_lib.training.config import TrainConfig

NAME = "mechanisms"


@dataclass(frozen=True)
class Variation:
    """One way to train in a comparison.

    Attributes:
        label: as readers see it.
        method: as of `design.Arm`.
        settings: fields of `TrainConfig`, the loss's hyper-parameters among them.
        batch: pairs a step, or half as many as single replies; steps are as many as keep the passes.
        until: stop at the first step whose margin on the training pairs is that which this other variation ends with.
    """

    label: str
    method: str
    settings: Mapping[str, object]
    batch: int = BATCH
    until: str = ""

    @property
    def stated(self) -> str:
        """The settings as readers see them: step size, hyper-parameters, and what a batch of its own changes."""
        own = {"NLL weight": self.settings["nll_weight"]} if self.settings["nll_weight"] else {}
        numbers = {"step": self.settings["learning_rate"], **self.settings["hyperparameters"], **own}
        text = ", ".join(f"{name} {value:g}" for name, value in numbers.items())
        return text + f", {BATCH // self.batch} times the steps" * (self.batch != BATCH)


@dataclass(frozen=True)
class Case:
    """A question about one mechanism: what varies, where, and which differences answer it.

    Attributes:
        compared: (more, less, measure): the difference is more − less.
        intact: whether the question is of models that still write sentences: then nothing is said where one broke.
            Without it, breaking is one of the answers, and the gold reward counts it.
    """

    asks: str
    regimes: tuple[str, ...]
    variations: Mapping[str, Variation]
    compared: tuple[tuple[str, str, str], ...]
    intact: bool = False


def _at(learning_rate: float, nll_weight: float = 0.0, **hyperparameters: float) -> dict:
    return {"learning_rate": learning_rate, "nll_weight": nll_weight, "hyperparameters": hyperparameters}


CASES: Mapping[str, Case] = MappingProxyType(
    {
        "equal_margin": Case(
            "Is it the shape of IPO's loss, or that it stops? DPO at the margin that IPO reaches.",
            ("near_deterministic", "clean_many"),
            {
                "ipo": Variation("IPO, τ = 0.1", "ipo", _at(9e-4, tau=0.1)),
                "dpo": Variation("DPO, β = 0.1", "dpo", _at(9e-4, beta=0.1)),
                "dpo_at_ipo": Variation("DPO at IPO's margin", "dpo", _at(9e-4, beta=0.1), until="ipo"),
            },
            (("ipo", "dpo", "gold"), ("ipo", "dpo_at_ipo", "gold"), ("dpo_at_ipo", "dpo", "gold")),
        ),
        "kto_zero": Case(
            "What is KTO's reference point z₀ worth, and what does a batch of 2 replies, which estimates it badly, "
            "cost (a quarter of the step size, 16 times the steps)?",
            ("unary_10", "unary_50"),
            {
                "kto": Variation("KTO", "kto", _at(7e-4, beta=0.3)),
                "zero": Variation("KTO, z₀ = 0", "kto_zero", _at(7e-4, beta=0.3)),
                "kto_two": Variation("KTO, batch 2", "kto", _at(1.75e-4, beta=0.3), batch=1),
                "zero_two": Variation("KTO, z₀ = 0, batch 2", "kto_zero", _at(1.75e-4, beta=0.3), batch=1),
            },
            (("kto", "zero", "gold"), ("kto", "kto_two", "gold"), ("kto_two", "zero_two", "gold")),
        ),
        "nll": Case(
            "Does an NLL term hold the chosen replies up, at the same step size and stop?",
            ("displacing",),
            {
                "dpo": Variation("DPO", "dpo", _at(3e-4, beta=0.3)),
                "dpo_nll": Variation("DPO + NLL", "dpo", _at(3e-4, 1.0, beta=0.3)),
            },
            (("dpo_nll", "dpo", "chosen_logp"), ("dpo_nll", "dpo", "gold")),
            intact=True,
        ),
        "length": Case(
            "Does an average in place of a sum keep replies short where annotators like length, once both have moved?",
            ("length_extreme",),
            {
                "dpo": Variation("DPO", "dpo", _at(9e-4, beta=0.3)),
                "simpo": Variation("SimPO", "simpo", _at(9e-4, beta=1.0, gamma=0.5)),
            },
            (("dpo", "simpo", "length"), ("simpo", "dpo", "gold")),
            intact=True,
        ),
    }
)
MOVED = 0.1  # nats of KL to the reference below which an arm has hardly moved: nothing is said of it
BROKEN = 0.5  # share of malformed replies above which an arm has broken: its length is that of broken text
NOT_MOVED, ONE_BROKE, ALL_ZERO = "not moved", "not judged: one arm broke", "nothing measured: every difference is 0"


def items(seeds=SEEDS) -> list[tuple[str, str, int]]:
    """All (case, regime, seed), whole experiments first."""
    return [(case, regime, seed) for seed in seeds for case, table in CASES.items() for regime in table.regimes]


def run(case: str, regime: str, seed: int) -> list[dict]:
    """One seed of a case's variations: a row each, with what the matrix measures, the margin and the steps made."""
    from lessons_lib._surroundings import one_thread
    from lessons_lib.benchmark import runs

    rows, margins = [], {}
    with one_thread():
        for name, variation in CASES[case].variations.items():
            model, margins[name], steps = _trained(regime, variation, seed, margins.get(variation.until))
            _, measures = runs.measure(runs.evaluator(seed), model)
            setting = {"case": case, "regime": regime, "arm": name, "seed": seed}
            made = {"checkpoint": runs.checkpoint_of(seed), "margin": margins[name], "steps": steps}
            rows.append(setting | measures | made)
    return rows


def _trained(regime: str, variation: Variation, seed: int, until: float | None) -> tuple[Any, float, int]:
    """A model, its mean margin on the training pairs in nats (NaN of single replies), and the steps it made."""
    from lessons_lib.benchmark import loop, runs
    from lessons_lib.lab import checkpoints

    checkpoint = runs.checkpoint_of(seed)
    rows, batches, weights = _data(regime, variation, seed)
    model, reference = (checkpoints.load(checkpoint)[0] for _ in range(2))
    last = len(batches)

    def look(step: int) -> None:
        nonlocal last
        if until is not None and _margin(model, rows) >= until:
            last = step
            raise _ReachedError

    with contextlib.suppress(_ReachedError):
        config = _config(variation, weights, len(batches), seed)
        loop.fit(model, rows, batches, variation.method, config, reference=reference, at=look)
    return model, _margin(model, rows), last


def _data(regime: str, variation: Variation, seed: int):
    """Rows, batches and KTO's weights, as `runs.arranged` makes them."""
    from lessons_lib.benchmark import loop, runs
    from lessons_lib.lab import checkpoints

    checkpoint, table = runs.checkpoint_of(seed), REGIMES[regime]
    return runs.arranged(
        runs.draw_rows(table, checkpoints.pool(checkpoint), seed),
        variation.method,
        partial(loop.token_rows, reference=loop.reference_logps(checkpoint)),
        batch_size=variation.batch,
        steps=table.steps * BATCH // variation.batch,
        seed=seed,
    )


def _config(variation: Variation, weights: Mapping[str, float], steps: int, seed: int) -> TrainConfig:
    from lessons_lib.training.config import TrainConfig

    own = {**variation.settings["hyperparameters"], **weights}
    settings = {**variation.settings, "hyperparameters": own}
    return TrainConfig(**settings, max_steps=steps, warmup_steps=WARMUP, seed=seed)


def _margin(model, rows: TokenRows) -> float:
    """The mean of h over pairs, see `losses.dpo_loss`; NaN of single replies."""
    from accelerate import Accelerator

    from lessons_lib.benchmark import loop
    from lessons_lib.training.scoring import score_rows

    if "chosen" not in rows.responses:
        return float("nan")
    logps = score_rows(model, rows, rows_per_pass=loop.ROWS_PER_PASS, accelerator=Accelerator(cpu=True))
    change = {side: logps[side] - rows.reference[side] for side in logps}
    return float((change["chosen"] - change["rejected"]).mean())


class _ReachedError(Exception):
    """Ends a run whose margin is where it should stop."""


def recorded() -> pd.DataFrame:
    """The recorded runs: a row for each case, regime, variation ("arm") and seed."""
    return store.read(NAME)


def runs_of(case: str) -> pd.DataFrame:
    """The recorded runs of one case; none before there are any."""
    if not store.has_table(NAME, store.RECORDED):
        return pd.DataFrame(columns=["regime", "arm", "seed", "checkpoint", "kl"])
    return recorded().query("case == @case")


def differences(table: pd.DataFrame | None = None, cases: Sequence[str] = tuple(CASES)) -> pd.DataFrame:
    """What each case found: a row for each of its differences in each of its regimes.

    Args:
        table: of `recorded`, or of the same form; None: that.
        cases: which of `CASES`.

    Returns:
        case, regime, more, less, measure; mean, low and high of more − less with its 95 % interval, corrected by Holm
        over the case's differences; moved, whether both have left the reference by `MOVED` nats of KL; verdict, of
        more, or why there is none: `NOT_MOVED`, `ONE_BROKE`, `ALL_ZERO`; seeds.
    """
    table, rows = recorded() if table is None else table, []
    for case in cases:
        facts = CASES[case]
        own = table[table["case"] == case]
        cells = list(itertools.product(facts.regimes, facts.compared))
        estimates = [_difference(own[own["regime"] == regime], *what) for regime, what in cells]
        for (regime, (more, less, measure)), interval in zip(cells, statistics.holm(estimates), strict=True):
            both = {arm: own[(own["regime"] == regime) & (own["arm"] == arm)] for arm in (more, less)}
            unfair = why_not(both.values(), measure, intact=facts.intact)
            said = unfair or statistics.word(interval, DELTA if measure == "gold" else 0.0)
            ends = interval.estimate, interval.low, interval.high
            rows.append((case, regime, more, less, measure, *ends, unfair != NOT_MOVED, said, interval.n))
    columns = ["case", "regime", "more", "less", "measure", "mean", "low", "high", "moved", "verdict", "seeds"]
    return pd.DataFrame(rows, columns=columns)


def why_not(arms: Iterable[pd.DataFrame], measure: str, *, intact: bool = False) -> str:
    """Why a difference of two arms says nothing of what was asked; "" where it does.

    `NOT_MOVED`: one of them is within `MOVED` nats of its start. `ONE_BROKE`: more than `BROKEN` of its replies are
    malformed, and the measure is another than gold, which counts that at its price, or the question is of models that
    are whole. `ALL_ZERO`: both came out the same with every seed.

    Args:
        arms: the runs of each, without an untrained one.
        measure: what is compared.
        intact: as of `Case`.
    """
    arms = list(arms)
    if any(runs["kl"].mean() < MOVED for runs in arms):
        return NOT_MOVED
    if (intact or measure != "gold") and any(runs["malformed"].mean() > BROKEN for runs in arms):
        return ONE_BROKE
    if len(arms) > 1 and _same(*(runs.set_index("seed")[measure].sort_index() for runs in arms)):
        return ALL_ZERO
    return ""


def _same(one: pd.Series, other: pd.Series) -> bool:
    return one.index.equals(other.index) and bool((one == other).all())


def _difference(table: pd.DataFrame, more: str, less: str, measure: str) -> statistics.MeanEstimate:
    wide = table.pivot(index="seed", columns="arm", values=measure)
    return statistics.estimate(wide[more] - wide[less], wide.index.tolist())
