"""Run every ``bench_*.py`` beside this file, each in a process of its own; print one table and keep its readings.

``python tests/benchmarks/run.py [readers training …]``; without names, all of them. Each has a function
``run() -> list[Row]``. They print what they measure and fail nothing: only a benchmark that breaks does. The rows go
into `readings.json`, with when, where and with what they were measured; those of benchmarks that did not run stay.
The book's page on speed shows that file.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import asdict
from datetime import date
from importlib.metadata import version
from pathlib import Path

from table import Row, print_rows

FOLDER = Path(__file__).parent
READINGS = FOLDER / "readings.json"
PACKAGES = ("torch", "transformers", "accelerate", "trl", "matplotlib")  # whose versions a reading depends on


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


def keep(name: str, rows: list[Row], path: Path = READINGS) -> None:
    """Put one benchmark's rows in the place of its older ones."""
    readings = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    readings[name] = {**_provenance(), "rows": [asdict(row) for row in rows]}
    text = json.dumps(dict(sorted(readings.items())), indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def _provenance() -> dict:
    return {
        "date": date.today().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores",
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,  # processes that wanted a core
        "versions": {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}},
    }


def broke(rows: list[Row]) -> bool:
    return any(row.measured.startswith("broke") for row in rows)


def main(names: list[str]) -> int:
    known = sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py"))
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no benchmark called {', '.join(unknown)}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    everything = []
    for name in names or known:
        rows = run_one(name)
        everything += rows
        if not broke(rows):
            keep(name, rows)
    print_rows(everything)
    return int(broke(everything))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        rows = importlib.import_module(f"bench_{sys.argv[2]}").run()
        Path(sys.argv[3]).write_text(json.dumps([asdict(row) for row in rows]))
    else:
        sys.exit(main(sys.argv[1:]))
