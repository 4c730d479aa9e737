"""Runs the benchmark's parts: in parallel, resumable, each finished run written down before the next is taken.

A seed, which has an SFT checkpoint of its own, is done before the next, and in it the five methods before their
variants, so that whatever has been done at any moment is a whole smaller experiment.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path

import joblib
import pandas as pd
from tqdm.auto import tqdm

from lessons_lib._installed import need
from lessons_lib.benchmark import design, mechanisms, scaling, sizes, tuning
from lessons_lib.benchmark.design import ARMS, CORE, FIVE, REGIMES, TRAINED, VOTED, cells
from lessons_lib.errors import UserError
from lessons_lib.lab import checkpoints
from lessons_lib.recorded import store


def tune(
    folder: Path,
    *,
    regimes: Sequence[str] = tuple(REGIMES),
    arms: Sequence[str] = tuple(ARMS),
    by: str = "gold",
    command: str = "benchmark --part tuning",
    jobs: int = 1,
    dask: str = "",
    progress: bool = True,
) -> Path:
    """Each arm's search in every regime that it is run in, round after round; the file's path.

    By "votes", what the search by gold has run is known already and not run again.
    """
    name = {"gold": tuning.NAME, "votes": tuning.BY_VOTES}[by]
    how = {"command": command, "jobs": jobs, "dask": dask, "progress": progress}
    while wanted := _next_round(folder, by, cells(regimes, [arm for arm in arms if arm in TRAINED])):
        in_order(folder, name, tuning.measured, tuning.KEY, wanted, **how)
    return store.table_file(name, folder)


def _next_round(folder: Path, by: str, wanted: Sequence[tuple[str, str]]) -> list[tuple]:
    """What the searches run next, given what has been run."""
    names = [tuning.NAME] if by == "gold" else [tuning.NAME, tuning.BY_VOTES]
    known = [row for name in names for row in store.so_far(folder, name)]
    rows = pd.DataFrame(known, columns=[*tuning.KEY, "stop", "gold", "votes"]).dropna(subset=by)
    found = dict(list(rows.groupby(["regime", "arm"])))
    return [item for cell in wanted for item in tuning.to_run(*cell, found.get(cell, rows.iloc[:0]), by)]


def matrix(
    folder: Path,
    choices: pd.DataFrame,
    *,
    regimes: Sequence[str] = tuple(REGIMES),
    arms: Sequence[str] = tuple(ARMS),
    seeds: Sequence[int] = design.SEEDS,
    command: str = "benchmark",
    jobs: int = 1,
    dask: str = "",
    progress: bool = True,
) -> Path:
    """Every arm on every regime with every seed, at the settings of `tuning.choose`; the file's path."""
    groups = [[arm for arm in arms if (arm in CORE) == core] for core in (True, False)]
    wanted = [(*cell, seed) for seed in seeds for group in groups for cell in cells(regimes, group)]
    cell = _Cell(choices)
    return in_order(folder, "benchmark", cell, ("regime", "arm", "seed"), wanted, command, current=cell.current,
                   jobs=jobs, dask=dask, progress=progress)  # fmt: skip


def by_votes(
    folder: Path,
    choices: pd.DataFrame,
    known: pd.DataFrame,
    *,
    regimes: Sequence[str] = VOTED,
    seeds: Sequence[int] = design.SEEDS,
    command: str = "benchmark --part votes",
    jobs: int = 1,
    dask: str = "",
    progress: bool = True,
) -> Path:
    """The five methods at the settings that votes chose; the file's path.

    Args:
        choices: of `tuning.choose` by votes.
        known: the matrix's runs, which are taken as they are where votes chose as gold did.
    """
    cell = _Cell(choices)
    wanted = [(*cell_, seed) for seed in seeds for cell_ in cells(regimes, FIVE)]
    ours = known[known["regime"].isin(regimes) & known["arm"].isin(FIVE) & known["seed"].isin(seeds)]
    return in_order(folder, "benchmark_by_votes", cell, ("regime", "arm", "seed"), wanted, command,
                    current=cell.current, known=ours.to_dict("records"), jobs=jobs, dask=dask,
                    progress=progress)  # fmt: skip


def mechanism_runs(
    folder: Path,
    *,
    seeds: Sequence[int] = design.SEEDS,
    command: str = "benchmark --part mechanisms",
    jobs: int = 1,
    dask: str = "",
    progress: bool = True,
) -> Path:
    """The comparisons of `mechanisms`; the file's path."""
    return in_order(folder, mechanisms.NAME, mechanisms.run, ("case", "regime", "seed"), mechanisms.items(seeds),
                   command, jobs=jobs, dask=dask, progress=progress)  # fmt: skip


def scale(
    folder: Path, *, seeds: Sequence[int] = range(3), jobs: int = 1, dask: str = "", progress: bool = True
) -> Path:
    """The scale part; the file's path."""
    return in_order(folder, "scale", scaling.run, ("seed", "arm", "learning_rate"), scaling.cells(seeds),
                   "benchmark --part scale", jobs=jobs, dask=dask, progress=progress)  # fmt: skip


def transfer(
    folder: Path,
    choices: pd.DataFrame,
    *,
    models: Sequence[str] = tuple(sizes.SIZES),
    jobs: int = 1,
    dask: str = "",
    progress: bool = True,
) -> Path:
    """The transfer part, its search first; the file's path. Their checkpoints must have been built."""
    for size in models:
        checkpoints.folder("base", size)
    how = {"command": "benchmark --part transfer", "jobs": jobs, "dask": dask, "progress": progress}
    wanted = sizes.cells(models)
    in_order(folder, sizes.TUNING, sizes.TransferSearch(choices), ("size", "regime", "arm"), wanted, **how)
    run = sizes.TransferRun(store.read(sizes.TUNING, folder))
    runs = itertools.product(models, sizes.REGIMES, sizes.ARMS, sizes.SEEDS)
    key = ("size", "regime", "arm", "seed")
    return in_order(folder, sizes.NAME, run, key, list(runs), current=run.current, **how)


class _Cell:
    """One run at its arm's chosen setting; an object, so that it travels to other processes with the choices."""

    def __init__(self, choices: pd.DataFrame):
        self.choices = choices

    def __call__(self, regime: str, arm: str, seed: int) -> list[dict]:
        from lessons_lib.benchmark.runs import run

        return [run(regime, arm, self._point(regime, arm), seed)]

    def current(self, row: dict) -> bool:
        """Whether a run was made at the setting that is chosen now, on the checkpoint that is its seed's now."""
        from lessons_lib.benchmark.runs import checkpoint_of

        at_home = row["checkpoint"] == checkpoint_of(row["seed"])
        return at_home and tuning.is_at(row, self._point(row["regime"], row["arm"]))

    def _point(self, regime: str, arm: str):
        return tuning.point_of(self.choices, regime, arm) if ARMS[arm].method else None


def in_order(
    folder: Path,
    name: str,
    work: Callable[..., list[dict]],
    key: tuple[str, ...],
    wanted: list[tuple],
    command: str,
    *,
    current: Callable[[dict], bool] = lambda row: True,
    known: Sequence[dict] = (),
    jobs: int,
    dask: str,
    progress: bool,
) -> Path:
    """Do what is wanted and not yet done, and write it with what was there before as one table.

    Args:
        folder, name: of the table; earlier calls' runs are read from it and from its unfinished file.
        work: makes the rows of one item.
        key: the columns that tell one item's rows from another's.
        wanted: items, as values of `key`, in the order to do them.
        command: for the provenance.
        current: whether a row that an earlier call made is what this one would make; others are made again.
        known: rows made elsewhere, which are taken where they are current and the folder has none.
    """
    rows = [row for row in store.so_far(folder, name) if current(row)]
    made = {tuple(row[column] for column in key) for row in rows}
    rows += [row for row in known if current(row) and tuple(row[column] for column in key) not in made]
    done = {tuple(row[column] for column in key) for row in rows}
    left = [item for item in wanted if item not in done]
    bar = tqdm(total=len(wanted), initial=len(wanted) - len(left), desc=name, unit="run", disable=not progress)
    with bar, _cluster(dask):
        for found in _in_parallel(work, left, jobs, dask):
            store.append(folder, name, found)
            rows += found
            bar.update()
    return store.write(folder, name, rows, store.provenance(command))


def _in_parallel(work: Callable[..., list[dict]], items: list[tuple], jobs: int, dask: str) -> Iterable[list[dict]]:
    """The results as they come; one job runs here, so that it can be interrupted and followed."""
    if jobs == 1 and not dask:
        return (work(*item) for item in items)
    parallel = joblib.Parallel(n_jobs=-1 if dask else jobs, return_as="generator_unordered", pre_dispatch="2*n_jobs")
    return parallel(joblib.delayed(work)(*item) for item in items)


def _cluster(address: str):
    """joblib's backend on a Dask cluster at `address`; without one, whatever is the default."""
    if not address:
        return nullcontext()
    need("--dask", "distributed")
    from distributed import Client

    try:
        client = Client(address, timeout="10s")
    except (OSError, ValueError) as error:
        raise UserError(f"--dask: no scheduler answers at {address}: {error}") from None
    return joblib.parallel_config("dask", client=client, wait_for_workers_timeout=30)
