"""The capstone's trial: a method on the lab's stand-in for a real dataset, one run, its gold reward.

The real rows cannot carry a trial that ends in minutes and says who is better: they have 80 to 332 prompts, nobody
knows a gold reward for them, and no model that trains in seconds reads English. So the lab stands in: replies of its
own small language, judged by simulated annotators who are matched to what the dataset's cleaned judgements show, that
is, how many there are, their shape, how often raters disagree and how often the longer response wins. What a trial
finds holds for such judgements in the lab, and for nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from types import MappingProxyType

from lessons_lib._surroundings import one_thread
from lessons_lib.advice.decide import briefs
from lessons_lib.benchmark.design import BATCH, WARMUP
from lessons_lib.errors import UserError
from lessons_lib.methods import METHODS

SEEDS = range(10)  # ten in a row, whichever: each begins at a checkpoint of its own
SAMPLES = 256  # replies to test prompts


@dataclass(frozen=True)
class Setting:
    """Strength and learning rate of a method."""

    learning_rate: float
    hyperparameters: Mapping[str, float]


# As the benchmark's search chose them for one pass over clean pairs, and for SimPO, which it stopped there after a
# quarter of the pass, as it chose them under a mild taste for length; not searched again on these judgements.
SETTINGS: Mapping[str, Setting] = MappingProxyType(
    {
        "dpo": Setting(9e-4, {"beta": 1.0}),
        "ipo": Setting(9e-4, {"tau": 0.1}),
        "kto": Setting(2.1e-3, {"beta": 1.0}),
        "orpo": Setting(2.1e-3, {"lam": 1.0}),
        "simpo": Setting(3e-4, {"beta": 1.0, "gamma": 0.5}),
    }
)


@dataclass(frozen=True)
class StandIn:
    """The lab's annotators in place of a dataset's raters.

    Attributes:
        says: how they are matched, in a sentence.
        steps: of a run: one pass over the pairs, or over the ratings.
        pairs, draw: of `annotators.label_pairs`; no pairs: a log of `annotators.rate_replies`.
    """

    says: str
    steps: int
    pairs: int = 0
    draw: Mapping[str, float] = field(default_factory=dict)


STAND_INS: Mapping[str, StandIn] = MappingProxyType(
    {
        "tulu1_human_eval": StandIn(
            "774 pairs, one pass; two annotators who both take a side agree as often as the dataset's raters",
            steps=48,
            pairs=774,
            draw={"flip_rate": 0.09},
        ),
        "feedbackqa_cdc": StandIn(
            "a log of 326 prompts, three replies each, two or three raters a reply who agree in 70 of 100 cases; "
            "pair methods get the pairs of a unanimous up with a unanimous down",
            steps=79,
        ),
        "qlora_gpt4_vicuna": StandIn(
            "1,272 pairs, one pass; the judge likes long replies as much as the order-consistent verdicts do",
            steps=80,
            pairs=1272,
            draw={"length_bonus": 0.3},
        ),
    }
)


def allowed(name: str) -> tuple[str, ...]:
    """The methods that can be trained under a dataset's brief: without room for a reference, those that need none."""
    no_room = briefs()[name].constraints.reference == "none"
    return tuple(key for key, method in METHODS.items() if not (no_room and method.needs_reference))


def run(name: str, method: str, seed: int) -> float:
    """Train a method on a dataset's stand-in, live; the mean gold reward of its replies to test prompts, in points.

    Args:
        name: a dataset of `STAND_INS`.
        method: one that its brief allows.
        seed: of `SEEDS`; it draws the judgements, the order and the samples, and names the checkpoint.
    """
    if name not in STAND_INS or method not in allowed(name) or seed not in SEEDS:
        known = "; ".join(f"{one}: {', '.join(allowed(one))}" for one in STAND_INS)
        raise UserError(f"expected a dataset and a method of {known}; and a seed from {SEEDS[0]} to {SEEDS[-1]}")
    return _run(name, method, seed)


@one_thread()
def _run(name: str, method: str, seed: int) -> float:
    from lessons_lib.benchmark import loop, runs
    from lessons_lib.lab import checkpoints, world
    from lessons_lib.training.config import TrainConfig

    stand_in, checkpoint = STAND_INS[name], checkpoint_of(seed)
    reference = loop.reference_logps(checkpoint)
    rows, batches, weights = runs.arranged(
        _rows(name, method, seed),
        method,
        partial(loop.token_rows, reference=reference),
        batch_size=BATCH,
        steps=stand_in.steps,
        seed=seed,
    )
    setting = SETTINGS[method]
    config = TrainConfig(
        hyperparameters={**setting.hyperparameters, **(weights if method == "kto" else {})},
        batch_size=BATCH,
        max_steps=len(batches),
        learning_rate=setting.learning_rate,
        warmup_steps=WARMUP,
        seed=seed,
    )
    model, _ = checkpoints.load(checkpoint)
    loop.fit(model, rows, batches, method, config, reference=checkpoints.load(checkpoint)[0])
    prompts, sample = _test(seed)
    return round(float(world.gold(prompts, sample(model)).total.mean()), 4)


def checkpoint_of(seed: int) -> str:
    """The name of the SFT checkpoint that a seed's runs begin at, one of twelve."""
    from lessons_lib.lab.checkpoints import ALL_SFT_NAMES

    return ALL_SFT_NAMES[seed % len(ALL_SFT_NAMES)]


def _rows(name: str, method: str, seed: int) -> list[dict]:
    """The judgements as a method takes them: pairs, or for KTO on a log each thumb."""
    from lessons_lib.lab import annotators, checkpoints

    stand_in, pool = STAND_INS[name], checkpoints.pool(checkpoint_of(seed))
    if stand_in.pairs:
        return annotators.label_pairs(pool, stand_in.pairs, seed=seed, **stand_in.draw)
    log = annotators.rate_replies(pool, seed=seed)
    return annotators.every_thumb(log) if method == "kto" else annotators.unanimous_pairs(log)


@cache
def _test(seed: int) -> tuple[list[list[int]], Callable]:
    """The test prompts, each twice or more, and a function that samples a model's replies to them."""
    from lessons_lib.lab import world
    from lessons_lib.models import sampling

    texts = world.prompts("test")
    each = max(1, SAMPLES // len(texts))
    prompts = [world.encode(text) for text in texts for _ in range(each)][:SAMPLES]
    limits = {"max_new_tokens": world.MAX_REPLY_TOKENS, "eos_id": world.EOS_ID}
    return prompts, lambda model: sampling.sample(model, prompts, seed=seed, **limits)
