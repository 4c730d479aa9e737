"""The matched benchmark: five methods and their variants on the same data, budget and evaluation.

Read it with `results`, `matrix`, `verdicts`, `power` and `scale`; run it with ``python -m lessons_lib benchmark``.
`design` holds what is compared on what, `tuning` how each arm's setting was chosen, `statistics` the intervals and
verdicts, `runs` one run, `record` all of them. Reading needs neither torch nor the lab.
"""

from lessons_lib.benchmark.design import ARMS, FIVE, REGIMES
from lessons_lib.benchmark.reading import choices, difference, matrix, power, results, scale, tuned, verdicts

__all__ = [
    "ARMS",
    "FIVE",
    "REGIMES",
    "choices",
    "difference",
    "matrix",
    "power",
    "results",
    "scale",
    "tuned",
    "verdicts",
]
