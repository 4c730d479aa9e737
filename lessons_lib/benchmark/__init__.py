"""The matched benchmark: five methods and their variants on the same data, budget and evaluation.

Read it with `results`, `matrix`, `pairs`, `verdicts`, `power`, `scale` and `transfer`, which need neither torch nor
the lab; run it with ``lessons-lib benchmark``. `design` holds what is compared on what, and when a difference counts,
`tuning` how each arm's setting was chosen, `statistics` the intervals and verdicts, `runs` one run, `record` all of
them.
"""

from lessons_lib.benchmark.design import ARMS, DELTA, FIVE, REGIMES
from lessons_lib.benchmark.reading import (
    by_votes,
    choices,
    coverage,
    difference,
    edges,
    lost_by_votes,
    matrix,
    order_changes,
    pairs,
    power,
    results,
    scale,
    transfer,
    tuned,
    verdicts,
)

__all__ = [
    "ARMS",
    "DELTA",
    "FIVE",
    "REGIMES",
    "by_votes",
    "choices",
    "coverage",
    "difference",
    "edges",
    "lost_by_votes",
    "matrix",
    "order_changes",
    "pairs",
    "power",
    "results",
    "scale",
    "transfer",
    "tuned",
    "verdicts",
]
