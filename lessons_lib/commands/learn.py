"""``learn``: open JupyterLab at the start notebook."""

from __future__ import annotations

import os
import subprocess
import sys

from lessons_lib import COMMAND
from lessons_lib._installed import need, of_checkout

HELP = "open the lessons in JupyterLab, or print its address where there is no display"
EXAMPLE = f"{COMMAND} learn --port 8890"
START = "notebooks/start.ipynb"


def add_arguments(parser) -> None:
    parser.add_argument("--port", type=int, default=8888, help="first port to try (8888)")
    parser.add_argument("--no-browser", action="store_true", help="print the address and open nothing")


def run(arguments) -> int:
    need("learn", "jupyterlab")
    start = of_checkout(START)
    command = [sys.executable, "-m", "jupyter", "lab", str(start), "--port", str(arguments.port)]
    if arguments.no_browser or not _has_display():
        command.append("--no-browser")  # JupyterLab then prints the address to open
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    return subprocess.call(command, cwd=start.parents[1])


def _has_display() -> bool:
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
