"""What notebooks take: a pytest plugin that prints a table, and a command that times cells for the count of minutes.

- `-p tests.notebook_times` prints the seconds of each notebook that nbval ran.
- `python tests/notebook_times.py notebooks/…/05_*.ipynb` runs notebooks cell by cell and keeps in
  notebook_seconds.json what each cell costs: processor seconds of its kernel and of what it starts, which is what a
  reader waits for on an idle machine, and does not change when this one is busy.
"""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the kernels: notebooks run side by side

TARGET = 240  # seconds for all of them together, on two idle cores
KEPT = Path(__file__).with_name("notebook_seconds.json")
LEAST = 0.5  # seconds that are worth a line


def pytest_terminal_summary(terminalreporter):
    seconds = defaultdict(float)
    for report in (r for reports in terminalreporter.stats.values() for r in reports if hasattr(r, "duration")):
        seconds[report.nodeid.partition("::")[0]] += report.duration
    terminalreporter.section("seconds a notebook")
    for path, taken in sorted(seconds.items()):
        terminalreporter.write_line(f"{taken:7.1f}  {path}")
    terminalreporter.write_line(f"{sum(seconds.values()):7.1f}  all (target {TARGET} together)")


def seconds_of(path: Path) -> tuple[dict[str, float], list]:
    """Cell id -> processor seconds, for the cells that take any, and the cells with their outputs."""
    import nbformat
    import psutil
    from nbclient import NotebookClient

    where = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(nbformat.read(path, as_version=4), timeout=3600, resources=where)
    spent = {}
    with client.setup_kernel():
        kernel = psutil.Process(client.km.provisioner.process.pid)
        for index, cell in enumerate(client.nb.cells):
            before = sum(kernel.cpu_times()[:4])  # the last two are those of children that have ended
            client.execute_cell(cell, index)
            spent[cell.id] = round(sum(kernel.cpu_times()[:4]) - before, 1)
    return {cell: seconds for cell, seconds in spent.items() if seconds >= LEAST}, client.nb.cells


def main(paths: list[str]) -> None:
    for path in map(Path, paths):
        spent, cells = seconds_of(path)
        for cell in cells:
            for output in cell.get("outputs", ()):
                text = output.get("text") or output.get("data", {}).get("text/plain", "")
                print(f"[{cell.id}] {text}")
        kept = json.loads(KEPT.read_text(encoding="utf-8")) | {path.stem: spent}
        KEPT.write_text(json.dumps(dict(sorted(kept.items())), indent=1) + "\n", encoding="utf-8")
        print(f"{path.name}: {sum(spent.values()):.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
