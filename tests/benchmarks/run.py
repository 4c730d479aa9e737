"""Run every ``bench_*.py`` beside this file, each in a process of its own, and print one table.

``python tests/benchmarks/run.py [readers training …]``; without names, all of them. Each has a function
``run() -> list[Row]``. They print what they measure and fail nothing: only a benchmark that breaks does.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from table import Row, print_rows

FOLDER = Path(__file__).parent


def run_one(name: str) -> list[Row]:
    """The rows of one benchmark, measured in a fresh process so that none inherits another's memory."""
    print(f"… {name}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "rows.json"
        command = [sys.executable, __file__, "--one", name, answer]
        done = subprocess.run(command, cwd=FOLDER.parents[1], env=_environment())
        if done.returncode:
            return [Row(name, f"broke with exit code {done.returncode}", ok=False, note="its message stands above")]
        return [Row(**row) for row in json.loads(answer.read_text())]


def _environment() -> dict[str, str]:
    # Threads that spin while they wait cost small models more than they bring.
    return {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", **os.environ}


def main(names: list[str]) -> int:
    known = sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py"))
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no benchmark called {', '.join(unknown)}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    rows = [row for name in names or known for row in run_one(name)]
    print_rows(rows)
    return int(any(row.measured.startswith("broke") for row in rows))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        rows = importlib.import_module(f"bench_{sys.argv[2]}").run()
        Path(sys.argv[3]).write_text(json.dumps([asdict(row) for row in rows]))
    else:
        sys.exit(main(sys.argv[1:]))
