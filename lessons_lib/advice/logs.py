"""Reads the log of a run, whoever wrote it, into one table of training metrics and one of evaluations.

Files: the `trainer_state.json` of TRL and transformers, a list of rows as JSON or JSON lines, and CSV: of our own
history, of pandas (`DataFrame(trainer.state.log_history).to_csv`) and of Weights & Biases (a run's history, or a
chart's export). A folder is searched, checkpoints go by their step, and the file that was read is named.
Names come out as TRL's (`rewards/margins`), those of an evaluation with `eval_` before them.
"""

from __future__ import annotations

import csv
import itertools
import json
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from lessons_lib.errors import UserError

FEWEST = 2  # logged rows; one row shows no change
THIRDS = 6  # rows from which on a third has a mean and a spread; below, its values stand for themselves

METRIC = re.compile(
    r"loss|grad_norm|learning_rate|kl|entropy|gold|nll_loss|num_tokens|mean_token_accuracy"
    r"|log_odds_\w+|(rewards|logps|logits)/\w+"
)
# Of these, every training row of a log has each or none: one that stops coming was not a number.
_STEADY = re.compile(r"loss|grad_norm|(rewards|logps)/\w+")
_EVALUATION = re.compile(r"(?:eval|validation|val)[_/](?:(?P<set>.+?)[_/])?(?P<metric>" + METRIC.pattern + ")")
_SYNONYMS = {
    "lr": "learning_rate",
    "current_steps": "step",
    "global_step": "step",
    "_step": "step",
    "accuracy": "rewards/accuracies",  # of LLaMA-Factory's trainer_log.jsonl
    "loss/train": "loss",  # of the DPO authors' code, as are rewards_train/ and logps_train/
}
_STEP_NAMES = ("train/global_step", "global_step", "step", "current_steps", "Step", "_step")


@dataclass(frozen=True)
class Log:
    """The metrics of one run: column name to (rows,), NaN where a row has none.

    Attributes:
        source: the file.
        columns: of the training rows.
        strength: the reward's factor, β or τ, of a method with a reference, where it is known.
        spoilt: for each metric that is not finite anywhere, in which rows the log says so.
        evaluation: the rows of evaluations, names beginning with `eval_`; None where there are none.
        notes: what a reader of the log should know about how it was read.
    """

    source: str
    columns: Mapping[str, np.ndarray]
    strength: float | None = None
    spoilt: Mapping[str, np.ndarray] = field(default_factory=dict)
    evaluation: Log | None = None
    notes: tuple[str, ...] = ()

    @property
    def steps(self) -> np.ndarray:
        return self.columns.get("step", np.arange(1, self.rows + 1))

    @property
    def rows(self) -> int:
        return max((len(values) for values in self.columns.values()), default=0)

    @property
    def of_preferences(self) -> bool:
        """Whether any metric tells chosen from rejected; a log of supervised fine-tuning has none."""
        return any(name.startswith(("rewards/", "log_odds")) or name == "logps/rejected" for name in self.columns)

    def given(self, name: str) -> np.ndarray:
        """The values that the log has for a metric."""
        values = self._of(name).columns.get(name, np.empty(0))
        return values[np.isfinite(values)]

    def curve(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps and values of the rows in which the log says something about a metric, be it that it is NaN."""
        log = self._of(name)
        if name not in log.columns:
            return np.empty(0), np.empty(0)
        said = np.isfinite(log.columns[name]) | log.spoilt.get(name, False)
        return log.steps[said], log.columns[name][said]

    def _of(self, name: str) -> Log:
        return self.evaluation if self.evaluation and name.startswith("eval_") else self

    def thirds(self, name: str) -> SimpleNamespace:
        """Mean, standard error and last value over the first, middle and last third of a metric's values.

        Of fewer than `THIRDS` values the first, a middle and the last stand alone, without an error.
        """
        values = self.given(name)
        parts = np.array_split(values, 3) if len(values) >= THIRDS else [values[:1], values[len(values) // 2 :][:1]]
        parts = parts if len(parts) == 3 else [*parts, values[-1:]]
        means = [part.mean() for part in parts]
        errors = [part.std(ddof=1) / math.sqrt(len(part)) if len(part) > 1 else 0.0 for part in parts]
        return SimpleNamespace(first=means[0], middle=means[1], last=means[2], errors=errors, end=parts[2][-1])

    def surely_changed(self, name: str) -> float:
        """Last third minus first third, or 0 where that is less than three standard errors."""
        thirds = self.thirds(name)
        change = thirds.last - thirds.first
        return change if abs(change) > 3 * math.hypot(thirds.errors[0], thirds.errors[2]) else 0.0


def read_log(path: str | Path, *, strength: float | None = None) -> Log:
    """Read a log; see the module for what can be read.

    Args:
        path: the file, or a folder that holds one run's, in checkpoints or not.
        strength: β or τ of the run; with it, a moving reference can be seen.

    Raises:
        UserError: no such file, several runs, fewer than two rows, or none of the metrics that are looked at.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        return replace(_from_folder(path), strength=strength)
    if not path.is_file():
        raise UserError(f"log: expected a file, but there is no {path}")
    return log_of(rows_of(path), source=str(path), strength=strength)


def log_of(rows: Sequence[Mapping], *, source: str = "log", strength: float | None = None) -> Log:
    """A `Log` from rows of metrics, as `history.to_dict("records")` gives them; text counts as missing.

    Raises:
        UserError: fewer than two rows with metrics of training, or none.
    """
    spelt = _as_measured([dict(_spelt(row)) for row in rows])
    training = [row for row in ({k: v for k, v in r.items() if not k.startswith("eval_")} for r in spelt) if _says(row)]
    evaluated = [{k: v for k, v in r.items() if k in ("step", "epoch") or k.startswith("eval_")} for r in spelt]
    evaluated = [row for row in evaluated if _says(row)]
    if not training and not any(_says(row) for row in evaluated):
        found = ", ".join(dict.fromkeys(name for row in rows for name in row)) or "no numbers"
        raise UserError(f"log: expected metrics such as rewards/margins or logps/chosen in {source}, found {found}")
    if len(training) < FEWEST:
        raise UserError(
            f"log: expected at least {FEWEST} logged training steps in {source}, got {len(training)}; "
            f"train longer, or set logging_steps lower"
        )
    return replace(
        _table(training, source),
        strength=strength,
        evaluation=_table(evaluated, source) if evaluated else None,
    )


def _as_measured(rows: list[dict]) -> list[dict]:
    """The rows without the NaN that a table writes where a metric is measured from time to time.

    A column is such a one where at least half of its numbers come after a NaN: a run that diverged has its NaN behind
    its numbers. What every training row has (`_STEADY`) is none.
    """
    seldom = set()
    for name in dict.fromkeys(name for row in rows for name in row if not _STEADY.fullmatch(name)):
        missing = [_is_nan(row[name]) for row in rows if name in row]
        after_a_gap = sum(before and not now for before, now in itertools.pairwise(missing))
        if 2 * after_a_gap >= missing.count(False) > 0:
            seldom.add(name)
    return [{n: v for n, v in row.items() if n not in seldom or not _is_nan(v)} for row in rows]


# Folders and files


def _from_folder(folder: Path) -> Log:
    """The log of the run in a folder: of its checkpoints, the one that came furthest."""
    files = [p for name in ("trainer_state.json", "history.csv", "trainer_log.jsonl") for p in folder.rglob(name)]
    if not files:
        raise UserError(
            f"log: expected a trainer_state.json, history.csv or trainer_log.jsonl in {folder}, found none; "
            f"name the file"
        )
    runs: dict[Path, list[Path]] = {}
    for file in sorted(files):
        runs.setdefault(_run_folder(file), []).append(file)
    logs = {run: _furthest(of_run) for run, of_run in runs.items()}
    preferences = {run: log for run, log in logs.items() if log.of_preferences} if len(logs) > 1 else logs
    if len(preferences or logs) > 1:
        found = ", ".join(os.path.relpath(run, folder) for run in preferences or logs)
        raise UserError(f"log: expected the folder of one run, and {folder} holds several: {found}; name one of them")
    (log,) = (preferences or logs).values()
    others = [os.path.relpath(run, folder) for run in logs if logs[run] is not log]
    notes = (f"Not read, as they hold no preference metrics: {', '.join(others)}.",) if others else ()
    return replace(log, notes=(*log.notes, *notes))


def _run_folder(file: Path) -> Path:
    """The folder of a run: the file's own, or where that is a checkpoint, the one that holds the checkpoints."""
    return file.parents[1] if re.fullmatch(r"(checkpoint|step|epoch)[-_]?\d+", file.parent.name) else file.parent


def _furthest(files: list[Path]) -> Log:
    """The log that reaches the largest step; file times say nothing after a copy or a clone."""

    def reach(file: Path) -> tuple[float, int]:
        rows = [dict(_spelt(row)) for row in rows_of(file)]
        return max((_number(row.get("step")) for row in rows if "step" in row), default=0.0), len(rows)

    best = max(files, key=reach)
    return log_of(rows_of(best), source=str(best))


def rows_of(path: Path) -> list[dict]:
    """The rows of a file as they stand there, under the names that it uses."""
    readers: dict[str, Callable[[Path], list[dict]]] = {".json": _json_rows, ".jsonl": _json_lines}
    try:
        return readers.get(path.suffix, _csv_rows)(path)
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"log: cannot read {path}: {error}") from error


def _json_rows(path: Path) -> list[dict]:
    content = json.loads(path.read_text(encoding="utf-8-sig"))
    rows = content.get("log_history") if isinstance(content, dict) else content
    return _checked(rows)


def _json_lines(path: Path) -> list[dict]:
    return _checked([json.loads(line) for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()])


def _checked(rows: Any) -> list[dict]:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("expected TRL's trainer_state.json with a log_history, or a list of rows")
    return rows


def _csv_rows(path: Path) -> list[dict]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = file.readline()
        file.seek(0)
        separator = max(",;\t", key=header.count)
        return _one_run(list(csv.DictReader(file, delimiter=separator)))


def _one_run(rows: list[dict]) -> list[dict]:
    """The rows of a Weights & Biases chart, whose columns are "RUN - metric" with their MIN and MAX, as metrics."""
    split = {name: name.split(" - ", 1) for name in (rows[0] if rows else {}) if name and " - " in name}
    runs = dict.fromkeys(run for run, _ in split.values())
    if not split:
        return rows
    if len(runs) > 1:
        raise ValueError(f"expected one run, and its columns are of {', '.join(runs)}; export one of them")
    names = {name: metric for name, (_, metric) in split.items() if not metric.endswith(("__MIN", "__MAX"))}
    kept = [name for name in rows[0] if name not in split or name in names]
    return [{names.get(name, name): row[name] for name in kept} for row in rows]


# Rows


def _spelt(row: Mapping) -> Iterator[tuple[str, object]]:
    """A row's metrics under TRL's names; what is none of them is left out."""
    step = next((row[name] for name in _STEP_NAMES if row.get(name) not in (None, "")), None)
    if step is not None:
        yield "step", step
    for name, value in row.items():
        if name is None or name in _STEP_NAMES:
            continue
        own = re.sub(r"^train/", "", name)
        own = re.sub(r"^(rewards|logps)_train/", r"\1/", own)
        own = re.sub(r"^(rewards|logps)_eval/", r"eval_\1/", own).replace("loss/eval", "eval_loss")
        own = _SYNONYMS.get(own, own)
        of_evaluation = _EVALUATION.fullmatch(own)
        if of_evaluation:
            of_set = f"{of_evaluation['set']}_" if of_evaluation["set"] else ""
            yield f"eval_{of_set}{of_evaluation['metric']}", value
        elif re.match(r"(eval|validation|val)[_/]", own):
            yield "eval_" + re.split("[_/]", own, maxsplit=1)[1], value  # its runtime: an evaluation took place
        elif METRIC.fullmatch(own) or own == "epoch":
            yield own, value


def _says(row: Mapping) -> bool:
    """Whether a row holds more than its step."""
    return any(value not in (None, "") for name, value in row.items() if name not in ("step", "epoch", "num_tokens"))


def _table(rows: Sequence[Mapping], source: str) -> Log:
    names = dict.fromkeys(name for row in rows for name in row)
    table = {name: np.array([_number(row.get(name)) for row in rows]) for name in names}
    written = {name: np.array([_is_nan(row.get(name)) for row in rows]) for name in names}
    written |= {name: written[name] | gone for name, gone in _gone(table)}
    spoilt = {name: values for name, values in written.items() if values.any()}
    kept = {name: values for name, values in table.items() if np.isfinite(values).any() or name in spoilt}
    return Log(source, kept, spoilt=spoilt)


def _gone(table: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """Where a metric that every row had before comes no more: pandas writes NaN as nothing at all."""
    for name, values in table.items():
        evaluation = _EVALUATION.fullmatch(name)
        metric = evaluation["metric"] if evaluation else name
        gone = ~np.isfinite(values)
        if evaluation:  # rows of other evaluation sets do not count
            of_set = [others for other, others in table.items() if other.startswith(name.removesuffix(metric))]
            gone &= np.isfinite(of_set).any(axis=0)
        first = int(gone.argmax())
        few = first == 0 or not gone[first:].all() or (not evaluation and len(gone) - first < 2)
        if _STEADY.fullmatch(metric) and not few:
            yield name, gone


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _is_nan(value: object) -> bool:
    """Whether a log says NaN or infinite, which is not the same as saying nothing."""
    return value not in (None, "") and not math.isfinite(_number(value)) and str(value).lower() in _NOT_FINITE


_NOT_FINITE = {"nan", "inf", "-inf", "infinity", "-infinity"}
