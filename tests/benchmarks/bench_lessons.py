"""What a reader waits for: the import of the library, a lesson opened to its first explorer, and that one shown.

Processor time, because a busy machine distorts it least; on idle cores the clock shows about as much. A lesson is
opened as JupyterLab does it: a kernel starts and runs the cells from the top. `alone` is the same for the explorer's
cell by itself, as after "Run selected cell". To show an explorer is to compute and pack every value that it can show,
and its still picture; a move then needs no kernel (`bench_explorers` times it in a browser).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from table import Row, print_rows

ROOT = Path(__file__).resolve().parents[2]
IMPORT_MS, OPEN_SECONDS, SHOW_SECONDS = 50, 3, 0.5

SHOW = """
import importlib, sys, time
from lessons_lib.explorers import widget
explorer = getattr(importlib.import_module(sys.argv[1]), sys.argv[2])()
start = time.process_time()
explorer._repr_mimebundle_()
print(time.process_time() - start)
"""


class CellFailed(Exception):
    """A lesson's cell did not run through, so there is nothing to time."""


def run() -> list[Row]:
    lessons = sorted((ROOT / "notebooks").glob("*/*.ipynb"))
    rows = [_import()]
    for path in lessons:
        try:
            rows += _lesson(path)
        except CellFailed as error:
            rows.append(Row(f"lesson {path.name[:2]}: opened to its first explorer", "not measured", note=str(error)))
    return rows


def _import() -> Row:
    program = "import time; start = time.process_time(); import lessons_lib; print(time.process_time() - start)"
    took = 1000 * np.median([float(_python("-c", program)) for _ in range(5)])
    return Row("import lessons_lib", f"{took:.1f} CPU-ms", f"< {IMPORT_MS} ms", bool(took < IMPORT_MS), "median of 5")


def _lesson(path: Path) -> list[Row]:
    number = path.name[:2]
    cells = [
        "".join(cell["source"])
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "code"
    ]
    first = next(i for i, cell in enumerate(cells) if "import" in cell and ".explorer import" in cell)
    whole, alone = _open(cells[: first + 1], path.parent), _open([cells[first]], path.parent)
    module, name = cells[first].split("from ")[1].split("\n")[0].split(" import ")
    shown = float(_python("-c", SHOW, module, name))
    return [
        Row(
            f"lesson {number}: opened to its first explorer",
            f"{whole:.1f} CPU-s; the explorer alone {alone:.1f}",
            f"≤ {OPEN_SECONDS} s",
            bool(whole <= OPEN_SECONDS),
            f"kernel and {first + 1} cells",
        ),
        Row(
            f"lesson {number}: its explorer shown",
            f"{shown:.2f} CPU-s",
            f"≤ {SHOW_SECONDS} s",
            bool(shown <= SHOW_SECONDS),
            "all its values, and the still picture",
        ),
    ]


def _open(cells: list[str], folder: Path) -> float:
    """Processor seconds of a fresh kernel that ran these cells."""
    import psutil
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(cwd=str(folder))
    try:
        for cell in cells:
            reply = client.execute_interactive(cell, output_hook=lambda _: None, timeout=900)
            if reply["content"]["status"] != "ok":
                raise CellFailed(f"a cell ended in {reply['content']['ename']}")
        return sum(psutil.Process(manager.provisioner.process.pid).cpu_times()[:4])
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def _python(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True, cwd=ROOT).stdout


if __name__ == "__main__":
    started = time.perf_counter()
    print_rows(run(), "lessons")
    print(f"{time.perf_counter() - started:.0f} s")
