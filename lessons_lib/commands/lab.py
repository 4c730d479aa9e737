"""``python -m lessons_lib lab build``: make the lab's checkpoints, pools and card again."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

HELP = "build the lab: base and SFT checkpoints, scored samples, and their card"
EXAMPLE = "python -m lessons_lib lab build --size small"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["build"], help="what to do")
    parser.add_argument(
        "--size", choices=["small", "large"], default="small", help="46 thousand or 1 million parameters"
    )
    parser.add_argument("--out", type=Path, help="folder to build in (default: where the library looks for this size)")


def run(arguments: argparse.Namespace) -> None:
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch is imported, which reads it once
    import torch

    from lessons_lib.lab import build, checkpoints

    torch.set_num_threads(1)  # at this size two threads wait for each other longer than they work
    device = "cuda" if arguments.size == "large" and torch.cuda.is_available() else "cpu"
    out = arguments.out or checkpoints.ASSETS / arguments.size
    build.build(out, build.RECIPES[arguments.size], device=device)
    print(f"built {out} on {device}; what it measures stands in {out / 'CARD.md'}")
