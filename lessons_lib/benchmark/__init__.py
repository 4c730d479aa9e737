"""The matched benchmark: five methods and their variants on the same data, budget and evaluation.

Read it with `results`, `matrix`, `verdicts`, `power`, `scale` and `transfer`, which need neither torch nor the lab;
run it with ``lessons-lib benchmark``. `design` holds what is compared on what, `tuning` how each arm's
setting was chosen, `statistics` the intervals and verdicts, `runs` one run, `record` all of them.
"""

from lessons_lib.benchmark.design import ARMS, FIVE, REGIMES
from lessons_lib.benchmark.reading import (
    choices,
    difference,
    matrix,
    order_changes,
    power,
    results,
    scale,
    transfer,
    tuned,
    verdicts,
)

__all__ = [
    "ARMS",
    "FIVE",
    "REGIMES",
    "choices",
    "difference",
    "matrix",
    "order_changes",
    "power",
    "results",
    "scale",
    "transfer",
    "tuned",
    "verdicts",
]
