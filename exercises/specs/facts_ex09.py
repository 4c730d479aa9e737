"""What a profile of each benchmark regime's rows would say: the facts that exercise 9's cases are drawn from.

``python exercises/specs/facts_ex09.py`` measures them on the lab's rows and writes the table beside the exercise's
scoring. A second and a third annotator, who are simulated like the first, judge the same pairs: so the flip rate is
the one that a team would estimate, the annotators' own uncertainty included, and not the share that was turned.
"""

import json
from pathlib import Path

import numpy as np

from lessons_lib.benchmark.design import REGIMES
from lessons_lib.benchmark.runs import draw_rows
from lessons_lib.data.figures import implied_flip
from lessons_lib.data.profile import profile
from lessons_lib.lab import checkpoints
from lessons_lib.lab.pairs import CYCLE, cycle, preference

SEEDS = range(6)
TABLE = Path(__file__).parents[2] / "lessons_lib/lessons/lesson09/regimes.json"
DIGITS = 3


def main() -> None:
    table = {name: _facts(name) for name in REGIMES}
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(facts)}" for name, facts in table.items())
    TABLE.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


def _facts(name: str) -> dict:
    regime = REGIMES[name]
    drawn = [(pool, draw_rows(regime, pool, seed)) for seed in SEEDS for pool in [_pool(seed)]]
    profiles = [profile(rows) for _, rows in drawn]
    counted = ("up_share", "unpaired") if regime.kind == "log" else ("chosen_longer",)
    facts = {key: _mean(found.value(key) for found in profiles) for key in counted}
    facts |= {key: round(_mean(found.value(key) for found in profiles)) for key in ("prompts", *_pairs(regime))}
    if regime.kind != "log":
        facts |= _agreement(regime, drawn)
    shape = "unpaired" if regime.kind == "log" else "paired"
    passes = max(1, round(regime.steps * 16 / regime.pairs)) if shape == "paired" else 1
    checkpoint = "base" if regime.start == "base" else "sft"
    return {"shape": shape, "rows": regime.pairs, **facts, "passes": passes, "checkpoint": checkpoint}


def _pool(seed: int):
    return checkpoints.pool(checkpoints.SFT_NAMES[seed % len(checkpoints.SFT_NAMES)])


def _pairs(regime) -> tuple[str, ...]:
    return ("pairs",) if regime.kind == "log" else ()


def _agreement(regime, drawn) -> dict:
    """The flip rate that two raters' agreement implies, and the share of pairs on which three are of one mind."""
    chances = np.concatenate([_chances(regime, pool, rows) for pool, rows in drawn])
    two, three = (float((chances**n + (1 - chances) ** n).mean()) for n in (2, 3))
    return {"flip_rate": round(implied_flip(two), DIGITS), "near_deterministic": round(three, DIGITS)}


def _chances(regime, pool, rows) -> np.ndarray:
    """(n,) how likely an annotator of this regime is to prefer the reply that the first one preferred."""
    place = {(pool.prompt(i), pool.completion(i)): i for i in range(len(pool.replies))}
    chosen, rejected = (np.array([place[row["prompt"], row[side]] for row in rows]) for side in ("chosen", "rejected"))
    gold = pool.gold
    utility = gold.total + regime.draw.get("length_bonus", 0.0) * gold.lengths
    gap = utility[chosen] - utility[rejected]
    if regime.kind == "cyclic":
        gap = gap + CYCLE * cycle([pool.replies[i] for i in chosen], [pool.replies[i] for i in rejected])
    flips = regime.draw.get("flip_rate", 0.0)
    likes = (gap > 0) * 1.0 if regime.draw.get("deterministic") else preference(gap)
    return flips + (1 - 2 * flips) * likes


def _mean(values) -> float:
    return round(float(np.mean([value for value in values])), DIGITS)


if __name__ == "__main__":
    main()
