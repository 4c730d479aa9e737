"""Lesson 4's live and cached run, in a process that nothing was set for: as from plain JupyterLab, Colab or a script.

The lesson's own cells run up to the one that times both. Clock beside processor time: where threads wait for each
other, either grows tenfold.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from table import Row, print_rows

ROOT = Path(__file__).resolve().parents[2]
LESSON = ROOT / "notebooks" / "phase_1_why_dpo_needed_sequels" / "04_two_copies_in_memory.ipynb"
TIMED = "seconds[name] ="
PROGRAM = """
import json, sys, time
import matplotlib
matplotlib.use("agg")
*before, timed = json.load(sys.stdin)
for cell in before:
    exec(cell)
start = time.perf_counter()
exec(timed)
print(json.dumps({**seconds, "clock": time.perf_counter() - start, "threads": torch.get_num_threads()}))
"""


def run() -> list[Row]:
    cells = [
        "".join(cell["source"])
        for cell in json.loads(LESSON.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "code"
    ]
    last = next(i for i, cell in enumerate(cells) if TIMED in cell)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "MKL_"))}
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(cells[: last + 1]), cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    seen = json.loads(result.stdout.splitlines()[-1])
    note = f"{seen['threads']} thread, {os.cpu_count()} cores; the cell took {seen['clock']:.3g} s by the clock"
    return [
        Row("lesson 4, live reference", f"{seen['live']:.2g} CPU-s", note=note),
        Row("lesson 4, cached", f"{seen['cached']:.2g} CPU-s", "less than live", bool(seen["cached"] < seen["live"])),
    ]


if __name__ == "__main__":
    print_rows(run())
