"""Makes the training logs of exercise 12: real runs, most with a fault made on purpose, their names taken off.

    python exercises/specs/runs_ex12.py

Practice logs are six of those that `diagnose` is tested on (tests/advice/diagnose_logs/make.py makes them); they go to
the library, where learners see them. Hidden ones stay beside this file: others of that folder, and runs of the same
recipes with other data and another checkpoint. No run diverges in the lab, which stops at the first NaN; so a hidden
log that is not finite is the start of a run followed by rows as TRL wrote them in its own diverged run.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

HERE = Path(__file__).parent
HIDDEN = HERE / "ex12_logs.json"
PRACTICE = HERE.parents[1] / "lessons_lib" / "lessons" / "lesson12" / "logs.json"
LOGS = HERE.parents[1] / "tests" / "advice" / "diagnose_logs"
COLUMNS = (
    "step", "loss", "grad_norm", "logps/chosen", "logps/rejected",
    "rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins", "kl",
)  # fmt: skip
PRACTISED = {
    "kl_away": "kl_away", "healthy_dpo": "healthy", "by_heart": "by_heart", "trl_diverged": "not_finite",
    "coin_flips": "coin_flip", "displaced": "displaced",
}  # fmt: skip
KEPT = {
    "coin_flips_ipo": "coin_flip", "exploded": "by_heart", "kl_away_kto": "kl_away", "healthy_dpo_noisy": "healthy",
    "healthy_ipo": "healthy", "healthy_kto": "healthy", "healthy_orpo": "healthy", "trl_healthy": "healthy",
}  # fmt: skip
FRESH = {
    ("displaced", 11): "displaced", ("displaced", 12): "displaced", ("coin_flips", 11): "coin_flip",
    ("by_heart", 11): "by_heart", ("kl_away", 11): "kl_away",
}  # fmt: skip
DIVERGED_AFTER = {"healthy_simpo": 9, "healthy_ipo_decided": 17, "displaced": 14}  # rows of a run before its NaN


def as_log(rows: list[dict]) -> dict[str, list]:
    """Rows as a dictionary of lists, a value a row; None where a row has none."""

    def value(row: dict, column: str):
        found = row.get(column)
        return None if found in (None, "") else float(found)

    shown = [column for column in COLUMNS if any(row.get(column) not in (None, "") for row in rows)]
    return {column: [value(row, column) for row in rows] for column in shown}


def stored(name: str) -> dict[str, list]:
    """One log of tests/advice/diagnose_logs; `gold` is left out, as nobody's own run has it."""
    from lessons_lib.advice import logs

    path = next(path for path in (LOGS / f"{name}.csv", LOGS / f"{name}.json") if path.exists())
    return as_log([row for row in logs.rows_of(path) if "loss" in row])


def fresh(name: str, offset: int) -> dict[str, list]:
    """A new run of a recipe of make.py, with other data and another checkpoint."""
    from tests.advice.diagnose_logs import make

    rows = make.lab_history(name, seed_offset=offset)
    return as_log([{column: v for column, v in row.items() if not math.isnan(v)} for row in rows])


def diverged(name: str, after: int) -> dict[str, list]:
    """The first rows of a run, then what TRL logs once its weights are NaN: a loss of 0, accuracies of 0, NaN else."""
    start = stored(name)
    tail = {"loss": 0.0, "rewards/accuracies": 0.0}
    return {
        column: values if column == "step" else values[:after] + [tail.get(column, math.nan)] * (len(values) - after)
        for column, values in start.items()
        if column != "kl"
    }


def write(path: Path, runs: list[dict]) -> None:
    from lessons_lib.recorded.store import provenance, write_logs

    write_logs(path, runs, provenance("python exercises/specs/runs_ex12.py"))


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parents[1]))
    write(PRACTICE, [{"fault": fault, "made": name, "log": stored(name)} for name, fault in PRACTISED.items()])
    hidden = [{"fault": fault, "made": name, "log": stored(name)} for name, fault in KEPT.items()]
    for name, after in DIVERGED_AFTER.items():
        hidden.append({"fault": "not_finite", "made": f"{name}, cut after {after} rows", "log": diverged(name, after)})
    for (name, offset), fault in FRESH.items():
        hidden.append({"fault": fault, "made": f"{name}, seed + {offset}", "log": fresh(name, offset)})
        print(name, offset, flush=True)
    write(HIDDEN, hidden)
