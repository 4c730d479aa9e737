"""What a trial of given minutes can hold, and what it will not be able to see: worked out before it starts.

Nothing is run here. `Costs` are what was timed on this machine, `choose` makes a `Plan` of them: how many methods,
seeds, steps, learning rates and held-out rows. `unseen` says what that plan leaves open.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from statistics import NormalDist
from typing import Any

from lessons_lib.benchmark.design import ARMS
from lessons_lib.benchmark.statistics import ALPHA
from lessons_lib.errors import UserError
from lessons_lib.metrics import t_quantile

CONTROL = "sft"  # trained beside the methods: what imitation of the chosen responses alone would do
WANTED_STEPS, LEAST_STEPS, MOST_STEPS = 60, 16, 300
EFFORTS = ((3, 5), (3, 4), (3, 3), (3, 2), (2, 2))  # (learning rates, seeds), the first that fits is taken
LAST_EFFORTS = ((2, 2), (2, 1))
HELD_OUT = ((400, 24), (150, 16), (60, 8))  # (rows to measure on, replies a model), the first that fits is taken
PASSES = 2  # over the rows at most: more over-optimize
POWER = 0.8
# Our assumption before anything was run: what two methods that learnt from the same rows do to held-out pairs.
DISAGREE = 0.25  # on this share of the pairs one is right and the other wrong
SEED_SPREAD = 0.02  # standard deviation of an accuracy between two seeds, held-out pairs apart
# A step's cost beside DPO's, where forward passes count 1 and those with gradients 3: KTO makes one more.
COST = {"kto": 4 / 3}


@dataclass(frozen=True)
class Costs:
    """Seconds on this machine, timed just now."""

    step: float  # of training: one batch
    run: float  # of a run, whatever its steps: the model is copied, rows are tokenized
    score: float  # the log-prob of one row's responses by one model, without gradients
    reply: float  # one sampled reply and its KL


@dataclass(frozen=True)
class Rows:
    """How many rows there are: pairs, or thumbs."""

    train: int  # pairs, or two thumbs for one
    validation: int
    test: int


@dataclass(frozen=True)
class Plan:
    """What will be run. All arms share it; `arms` are those that are trained, the control last."""

    arms: tuple[str, ...]
    learning_rates: tuple[float, ...]
    seeds: int
    steps: int
    batch_size: int  # pairs a step, or twice as many single responses
    validation: int  # rows
    test: int  # rows
    replies: int  # a model
    seconds: float  # predicted, for all of it

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, record: dict) -> Plan:
        known = {item.name: record[item.name] for item in fields(cls)}
        return cls(**known | {name: tuple(known[name]) for name in ("arms", "learning_rates")})

    @property
    def runs(self) -> int:
        """Trainings: each arm at each rate, and at the chosen one with each further seed."""
        return len(self.arms) * (len(self.learning_rates) + self.seeds - 1)

    @property
    def comparisons(self) -> int:
        return math.comb(len(self.arms), 2)


def choose(
    methods: Sequence[str],
    rates: Sequence[float],
    rows: Rows,
    costs: Costs,
    seconds: float,
    *,
    batch_size: int,
    seeds: int | None = None,
    steps: int | None = None,
) -> Plan:
    """The plan that shows most in the seconds there are.

    It wants all methods with `WANTED_STEPS`, and gives up in this order: seeds and learning rates, held-out rows,
    methods (the last ones first, down to two), and then steps.

    Args:
        methods: most promising first; the control is added.
        rates: learning rates, ascending; where fewer are tried, the higher ones, which few steps need.
        seconds: what is left of the time, timing included.
        seeds, steps: where somebody set them.

    Raises:
        UserError: not even the smallest plan fits; it says how long that would take.
    """
    most = steps or min(MOST_STEPS, max(LEAST_STEPS, PASSES * math.ceil(rows.train / batch_size)))
    least = methods[:2]
    ways = (
        *((min(WANTED_STEPS, most), methods[:many], EFFORTS) for many in range(len(methods), len(least) - 1, -1)),
        (min(LEAST_STEPS, most), least, LAST_EFFORTS),  # what is left is better spent on steps than on seeds
    )
    for wanted, some, efforts in ways:
        for plan in _candidates(some, rates, rows, batch_size, efforts, seeds):
            fixed = predicted(plan, costs, steps=0)
            affordable = math.floor((seconds - fixed) / (predicted(plan, costs, steps=1) - fixed))
            if affordable >= (steps or wanted):
                taken = steps or min(affordable, most)
                return replace(plan, steps=taken, seconds=predicted(plan, costs, steps=taken))
    needed = predicted(plan, costs, steps=steps or wanted)
    raise UserError(
        f"--minutes: the smallest trial here ({' and '.join(plan.arms)}, {_many(plan.seeds, 'seed')}, "
        f"{steps or wanted} steps of {batch_size} pairs) would take {_minutes(needed)} after {_minutes(seconds)} were "
        f"left; give at least {math.ceil((needed - seconds) / 60)} more, or a shorter --max-tokens, fewer --methods, "
        f"or a smaller --model"
    )


def _candidates(
    methods: Sequence[str],
    rates: Sequence[float],
    rows: Rows,
    batch_size: int,
    efforts: Sequence[tuple[int, int]],
    seeds: int | None,
) -> Iterator[Plan]:
    for (held_out, replies), (tried, repeated) in itertools.product(HELD_OUT, efforts):
        yield Plan(
            arms=(*methods, CONTROL),
            learning_rates=tuple(rates[-tried:]),
            seeds=seeds or repeated,
            steps=0,
            batch_size=batch_size,
            validation=min(rows.validation, held_out // 2),
            test=min(rows.test, held_out),
            replies=replies,
            seconds=0.0,
        )


def predicted(plan: Plan, costs: Costs, *, steps: int) -> float:
    """Seconds of the whole plan with so many steps a run."""
    step = costs.step + plan.batch_size * costs.score  # the reference scores each row once
    trained = sum(costs.run + COST.get(arm, 1.0) * steps * step for arm in plan.arms)
    measured_row = 2 * costs.score  # by the model, and by the start that its gains are from
    search = len(plan.learning_rates) * (trained + len(plan.arms) * plan.validation * measured_row)
    measured = (len(plan.arms) + 1) * (plan.test * measured_row + plan.replies * costs.reply)
    return search + (plan.seeds - 1) * trained + plan.seeds * measured


# What it will show --------------------------------------------------------------------------------------------


def visible(prompts: int, seeds: int, comparisons: int = 1, *, spread: float = math.sqrt(DISAGREE)) -> float:
    """The difference in held-out accuracy that is found with probability `POWER`.

    Args:
        prompts: held out. seeds: of training.
        comparisons: that share the 5 % of wrong findings.
        spread: standard deviation, between prompts, of what is averaged.
    """
    of_prompts, of_seeds = spread**2 / prompts, 2 * SEED_SPREAD**2 / seeds
    total = of_prompts + (of_seeds if seeds > 1 else 0.0)
    shares = of_prompts**2 / max(1, prompts - 1) + (of_seeds**2 / (seeds - 1) if seeds > 1 else 0.0)
    quantile = t_quantile(max(1, int(total**2 / shares)), confidence=1 - ALPHA / comparisons)
    return (quantile + NormalDist().inv_cdf(POWER)) * math.sqrt(total)


def votes_needed(votes: int) -> int:
    """Of so many votes, the fewest for one side whose 95 % interval leaves out one half; votes + 1: no number does."""
    from lessons_lib.metrics import wilson

    return next((won for won in range(votes // 2, votes + 1) if wilson(won / votes, votes)[0] > 0.5), votes + 1)


def unseen(plan: Plan, prompts: int, answered: int, delta: float, *, thumbs: bool = False) -> list[str]:
    """What this plan leaves open, in sentences.

    Args:
        prompts: held out. answered: how many of them have replies, of all seeds together.
        delta: the difference that would count. thumbs: whether the rows are a log of them.
    """
    between, against = visible(prompts, plan.seeds, plan.comparisons), visible(prompts, plan.seeds, spread=0.5)
    said = [
        f"Between two methods it sees differences of {100 * between:.0f} points of held-out accuracy or more (80 % "
        f"power, {prompts} held-out prompts, {_many(plan.comparisons, 'comparison')}, if two differ on one pair in "
        f"four). Smaller ones, {100 * delta:.0f} points that would count among them, will mostly read “cannot tell”."
        if between > delta
        else f"Between two methods it sees differences of {100 * between:.1f} points of held-out accuracy or more.",
        f"That a method learnt anything at all shows from {100 * (0.5 + against):.0f} % accuracy on (50 % is chance).",
        f"Accuracy does not say whether replies are better: that takes reading. Blind votes on {answered} "
        f"prompts can show a preference from {votes_needed(answered)} of {answered} on.",
        f"Only {plan.steps} steps of {plan.batch_size} pairs: what a longer run would do, over-optimization among it, "
        "does not show.",
        "Each loss has its paper's strength (β, τ, λ, γ); other strengths are not tried.",
        "One starting model, and no test of what else it may have lost.",
    ]
    if thumbs:
        said.append(
            "Accuracy compares thumbs of different prompts, since few prompts have both. KTO trains for that and pair "
            "methods do not: a lead of KTO is partly the measure's."
        )
    if plan.seeds == 1:
        said.insert(1, "One seed: what another order of the batches would change is in no interval.")
    return said


def sentences(plan: Plan, prompts: int) -> list[str]:
    """The plan in words."""
    names = ", ".join(ARMS[arm].label for arm in plan.arms)
    rates = ", ".join(f"{rate:.1e}" for rate in plan.learning_rates)
    return [
        f"Arms: {names}; and the untouched model.",
        f"Each: {plan.steps} steps of {plan.batch_size} pairs, {_many(plan.seeds, 'paired seed')}; "
        f"learning rate chosen from {rates}: the highest that {plan.validation} validation rows do not put behind.",
        f"Held out: {plan.test} rows of {prompts} prompts, and {plan.replies} sampled replies a model and seed.",
        f"Predicted: {plan.runs} trainings, {_minutes(plan.seconds)}.",
    ]


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 100 else f"{seconds / 60:.0f} minutes"
