"""What executing each notebook costs: processor seconds of its kernel, with whatever processes its cells start."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nbformat
import psutil
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from table import Row, print_rows

ROOT = Path(__file__).resolve().parents[2]
MINUTES = 4  # for all of them, on two cores


def run() -> list[Row]:
    paths = sorted((ROOT / "notebooks").glob("*/*.ipynb"))
    spent = {path.stem[:2]: _cost(path) for path in paths}
    rows = [
        Row(f"lesson {lesson}: executed", "not measured", note="a cell failed")
        if seconds is None
        else Row(f"lesson {lesson}: executed", f"{seconds:.0f} CPU-s")
        for lesson, seconds in spent.items()
    ]
    if None in spent.values():
        return rows
    minutes = sum(spent.values()) / 2 / 60
    measured = f"{sum(spent.values()):.0f} CPU-s, {minutes:.1f} min on two idle cores"
    return [*rows, Row("all notebooks", measured, f"about {MINUTES} min", minutes <= 1.1 * MINUTES)]


def _cost(path: Path) -> float | None:
    """None where a cell fails: half a notebook is no reading."""
    client = NotebookClient(
        nbformat.read(path, as_version=4), timeout=900, resources={"metadata": {"path": str(path.parent)}}
    )
    with client.setup_kernel():
        kernel = psutil.Process(client.km.provisioner.process.pid)
        try:
            for index, cell in enumerate(client.nb.cells):
                client.execute_cell(cell, index)
        except CellExecutionError as error:
            print(f"{path.name}: {error.ename}", file=sys.stderr)
            return None
        return sum(kernel.cpu_times()[:4])  # the last two are those of children that have ended


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    print_rows(run(), "notebooks")
