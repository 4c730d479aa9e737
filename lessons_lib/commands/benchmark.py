"""``benchmark``: run the matched comparison, or a part of it. On rows and a model of yours: ``trial``."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from lessons_lib import COMMAND
from lessons_lib.errors import UserError

HELP = "compare the five methods and their variants on the same data, budget and evaluation"
EXAMPLE = f"""{COMMAND} benchmark --quick
  {COMMAND} benchmark --regimes clean unary_10 --arms dpo kto --seeds 0-5
  {COMMAND} benchmark --world shop --quick"""
OUT = Path("runs/benchmark")
QUICK_REGIME, QUICK_SEEDS = "near_deterministic", range(3)


SHOP_PROCESSES = 2  # each takes about 5 GB of memory
SHOP_QUICK = {"regimes": ["clean"], "arms": ["dpo", "sft"], "seeds": "0"}


def add_arguments(parser) -> None:
    parser.add_argument(
        "--world",
        choices=("small", "shop"),
        default="small",
        help="models of 46 thousand weights in an invented language (default), or a pre-trained model of 135 million "
        "in plain English",
    )
    parser.add_argument(
        "--part",
        choices=("matrix", "tuning", "votes", "mechanisms", "scale", "transfer", "texts"),
        default="matrix",
        help="arms on regimes (default); the search for each arm's setting; the search and the runs of the five "
        "methods once more, chosen by annotators' votes; comparisons that change one thing; 1,000 to 100,000 "
        "preferences; other models of the lab, after `lab build --size llama` and `--size large`; of the shop, the few "
        "runs whose texts the course shows",
    )
    parser.add_argument("--regimes", nargs="+", metavar="NAME", help="of the matrix (default: all)")
    parser.add_argument("--sizes", nargs="+", metavar="SIZE", help="of the transfer part: llama, large (default: both)")
    parser.add_argument("--arms", nargs="+", metavar="NAME", help="default: all")
    parser.add_argument("--seeds", help="such as 0-11 or 0,3,6 (default: 0-11; of the scale part 0-2)")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_REGIME}, three seeds: about 3 minutes; of "
                        "the shop DPO and SFT with one seed on clean pairs: about 10")  # fmt: skip
    shop = parser.add_argument_group("the shop")
    shop.add_argument("--model", help="another chat model than the pre-trained one: a folder, or a Hub id")
    shop.add_argument("--device", default="cpu", help="such as cuda (default: cpu)")
    shop.add_argument("--precision", choices=("bf16", "float32"), help="default: what the machine does well; --world "
                      "shop compares only runs of one precision")  # fmt: skip
    how = parser.add_argument_group("how it runs")
    how.add_argument("--jobs", type=int, help="processes (default: as many as cores; of the shop, 5 GB each, two)")
    how.add_argument("--dask", metavar="ADDRESS", default="", help="a Dask scheduler to hand the runs to")
    how.add_argument("--out", type=Path, default=OUT, help=f"folder for the tables; goes on where it stopped ({OUT})")
    how.add_argument("--no-progress", dest="progress", action="store_false", help="no progress bar")


def run(arguments) -> int:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; each run keeps to one thread
    if arguments.world == "shop":
        return _run_shop(arguments)
    from lessons_lib.benchmark import design

    if arguments.model:
        raise UserError(f"--model: expected --world shop with it; rows and a model of yours: {COMMAND} trial")
    arms = _known("--arms", arguments.arms, design.ARMS)
    regimes = _known("--regimes", arguments.regimes, design.REGIMES)
    seeds = _seeds(arguments.seeds or ("0-2" if arguments.part == "scale" else "0-11"))
    if arguments.quick:
        regimes, seeds = (QUICK_REGIME,), QUICK_SEEDS
    how = _how(arguments)

    from lessons_lib.benchmark import record, sizes, tuning

    command = shlex.join([COMMAND, *sys.argv[1:]])
    if arguments.part == "tuning":
        path = record.tune(arguments.out, regimes=regimes, arms=arms, command=command, **how)
    elif arguments.part == "votes":
        regimes = _known("--regimes", arguments.regimes, design.VOTED)
        record.tune(arguments.out, regimes=regimes, arms=design.FIVE, by="votes", command=command, **how)
        chosen, known = tuning.choose(_searched_by_votes(arguments.out), "votes"), _read("benchmark", arguments.out)
        path = record.by_votes(arguments.out, chosen, known, regimes=regimes, seeds=seeds, command=command, **how)
    elif arguments.part == "mechanisms":
        path = record.mechanism_runs(arguments.out, seeds=seeds, command=command, **how)
    elif arguments.part == "scale":
        path = record.scale(arguments.out, seeds=seeds, **how)
    elif arguments.part == "transfer":
        models = _known("--sizes", arguments.sizes, sizes.SIZES)
        path = record.transfer(arguments.out, _choices(arguments.out), models=models, **how)
    else:
        choices = _choices(arguments.out)
        path = record.matrix(arguments.out, choices, regimes=regimes, arms=arms, seeds=seeds, command=command, **how)
    _print(path)
    return 0


def _how(arguments, most: int | None = None) -> dict:
    """How runs are shared out; `most` processes unless --jobs says more."""
    jobs = arguments.jobs if arguments.jobs is not None else min(os.cpu_count(), most or os.cpu_count())
    if jobs < 1:
        raise UserError(f"--jobs: expected at least 1, got {jobs}")
    return {"jobs": jobs, "dask": arguments.dask, "progress": arguments.progress}


def _run_shop(arguments) -> int:
    """The comparison in the shop: its search, or its final runs."""
    from lessons_lib.benchmark import shop_design, shop_reading, shop_record, shop_texts
    from lessons_lib.benchmark.shop_runs import Setup

    if arguments.part not in ("matrix", "tuning", "texts"):
        raise UserError(f"--part: the shop has matrix, tuning and texts, got {arguments.part}")
    if arguments.quick:
        vars(arguments).update({name: value for name, value in SHOP_QUICK.items() if not getattr(arguments, name)})
    regimes = _known("--regimes", arguments.regimes or shop_design.STAGE_1, shop_design.REGIMES)
    arms = _known("--arms", arguments.arms, shop_design.ARMS)
    bf16 = {"bf16": True, "float32": False, None: None}[arguments.precision]
    setup = Setup(arguments.device, bf16) if not arguments.model else Setup(arguments.device, bf16, arguments.model)
    command = shlex.join(["python", "-m", "lessons_lib", *sys.argv[1:]])
    what = {"regimes": regimes, "arms": arms, "command": command}
    how = _how(arguments, most=1 if arguments.device != "cpu" else SHOP_PROCESSES)
    if arguments.part == "texts":
        print(shop_texts.record(arguments.out, setup, command=command, **how))
        return 0
    if arguments.part == "tuning":
        _print_shop_search(shop_record.tune(arguments.out, setup, **what, **how))
        return 0
    seeds = _seeds(arguments.seeds or f"0-{shop_design.SEEDS[-1]}")
    chosen = shop_record.points(shop_record.searched(arguments.out, setup))
    if arguments.quick and not set(shop_design.cells(regimes, arms)) <= set(chosen):
        print("nothing has been searched yet: settings from short trials, a first look and no comparison")
        chosen = {(regime, arm): point for regime in regimes for arm, point in shop_design.STARTING.items()}
    path = shop_record.matrix(arguments.out, setup, chosen, seeds=seeds, **what, **how)
    for measure, wanted in (("gold", False), ("accuracy", True)):
        asked = [regime for regime in regimes if shop_design.is_human(regime) == wanted]
        if asked:
            _print(path, measure, setup.model, asked)
    _print_texts(path, setup.model)
    left = shop_reading.missing(shop_reading.final(arguments.out))
    if left:
        print(f"{len(left)} runs of stage 1 are missing: nothing here says which method is ahead")
    return 0


def _print_texts(path: Path, model: str) -> None:
    """What each run answers to the first two of the fixed requests in the end."""
    import json

    from lessons_lib.lab.shop.requests import fixed_requests
    from lessons_lib.recorded import store

    table = store.read(path.stem, path.parent)
    runs = [run for run in table[table["checkpoint"] == model].to_dict("records") if isinstance(run.get("texts"), str)]
    for place, request in enumerate(fixed_requests()[:2] if runs else ()):
        print(f"\n{request.person}: {request.words} ({request.price} dollars)")
        for run in runs:
            *_, last = json.loads(run["texts"]).values()
            print(f"  {run['regime']} {run['arm']} seed {run['seed']}: {last[place]['text']!r}")


def _print_shop_search(path: Path) -> None:
    """What the search chose by votes, with the choice by gold reward beside it."""
    from lessons_lib.benchmark import shop_record, tuning
    from lessons_lib.benchmark.shop_design import is_human
    from lessons_lib.recorded import store

    table = store.read(path.stem, path.parent)
    by_gold = shop_record.points(table, "gold")
    for row in tuning.choose(table, shop_record.BY).to_dict("records"):
        gold = by_gold[row["regime"], row["arm"]]
        and_gold = f"; by gold: {dict(gold.strength)} {gold.learning_rate:g} stop {gold.stop:g}"
        edges = " and ".join(f"{row[name + '_edge']} {name}" for name in ("rate", "strength") if row[name + "_edge"])
        print(
            f"{row['regime']:20} {row['arm']:6} {row['strength']} {row['learning_rate']:g} stop {row['stop']:g}: "
            f"{row[shop_record.BY]:.3f} of the votes{f' (at the edge: {edges})' if edges else ''}"
            f"{'' if is_human(row['regime']) else and_gold}"
        )
    print(f"{len(table)} rows in {path}")


def _choices(folder: Path):
    """What tuning chose: in this folder where it was run there, else as it was recorded."""
    from lessons_lib.benchmark import tuning

    return tuning.choose(_read(tuning.NAME, folder))


def _searched_by_votes(folder: Path):
    """All runs whose votes are known, of the search by votes and of the one by gold."""
    import pandas as pd

    from lessons_lib.benchmark import design, tuning
    from lessons_lib.recorded import store

    rows = pd.DataFrame(store.so_far(folder, tuning.NAME) + store.so_far(folder, tuning.BY_VOTES))
    return rows[rows["arm"].isin(design.FIVE)].dropna(subset="votes")


def _read(name: str, folder: Path):
    """A table of this folder where it was made there, else as it was recorded."""
    from lessons_lib.recorded import store

    return store.read(name, folder if store.has_table(name, folder) else None)


def _print(path: Path, measure: str = "gold", checkpoint: str = "", regimes: Sequence[str] = ()) -> None:
    """The table as means over seeds, of one checkpoint's rows and some regimes where they are named; where it lies."""
    from lessons_lib.benchmark import reading
    from lessons_lib.recorded import store

    table = store.read(path.stem, path.parent)
    if checkpoint:
        table = table[table["checkpoint"] == checkpoint]
    if regimes:
        table = table[table["regime"].isin(regimes)]
    if {"regime", "checkpoint"} <= set(table):  # a search's table has no checkpoints: it reports nothing
        found = reading.matrix(table, measure)
        print(f"{measure}, mean over seeds and its 95 % interval")
        for regime, rows in found.groupby("regime", sort=False):
            print(f"{regime}")
            for row in rows.sort_values("mean", ascending=False).itertuples():
                print(f"  {row.arm:10} {row.mean:7.3f}  [{row.low:.3f}, {row.high:.3f}]  {row.seeds} seeds")
    print(f"{len(table)} rows in {path}")


def _known(option: str, given, known) -> tuple[str, ...]:
    unknown = [name for name in given or () if name not in known]
    if unknown:
        raise UserError(f"{option}: expected some of {', '.join(known)}, got {', '.join(unknown)}")
    return tuple(dict.fromkeys(given or known))


def _seeds(text: str) -> tuple[int, ...]:
    """ "0-2,7" is 0, 1, 2 and 7."""
    try:
        seeds = []
        for part in text.split(","):
            first, _, last = part.partition("-")
            seeds += range(int(first), int(last or first) + 1)
    except ValueError:
        raise UserError(f"--seeds: expected numbers such as 0-11 or 0,3,6, got {text!r}") from None
    if not seeds:
        raise UserError(f"--seeds: expected at least one seed, got {text!r}")
    return tuple(dict.fromkeys(seeds))
