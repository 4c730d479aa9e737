"""Profiling a preference file: rows a second and peak memory, from 10,000 rows to 1,000,000.

Each file is profiled as `python -m lessons_lib profile FILE` would, in a process of its own, reading and checking
included. Peak memory is Linux's VmHWM, as in `bench_readers`; elsewhere it is left out. Seconds are on the clock,
and the processor's, all threads together, stand beside them: on a busy machine the two differ.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from table import Row, print_rows

SIZES = (10_000, 100_000, 1_000_000)
MINUTES, GIB = 4, 1.5  # of the largest file, on two cores
WORDS = [f"word{number}" for number in range(997)]

PROFILE = """
import sys, time
from lessons_lib.data.profile import profile
from lessons_lib.advice.match import open_rows
start = time.perf_counter()
measured = profile(open_rows(sys.argv[1]))
seconds, cpu = time.perf_counter() - start, time.process_time()
peak = open("/proc/self/status").read().partition("VmHWM:")[2].split()[0] if sys.platform == "linux" else "nan"
print(measured.value("rows"), measured.value("repeats"), float(peak) / 2**20, seconds, cpu)
"""


def _pair(number: int) -> dict:
    """Four pairs a prompt, one row in a hundred a repeat, some 110 words a row, as in chat data."""
    number -= number % 100 == 99
    prompt = f"Question {number // 4}: " + " ".join(WORDS[number // 4 % 900 : number // 4 % 900 + 20])
    return {
        "prompt": prompt,
        "chosen": f"Answer {number}: " + " ".join(WORDS[number % 911 : number % 911 + 30 + number % 31]),
        "rejected": f"Other {number}: " + " ".join(WORDS[number % 877 : number % 877 + 25 + number % 37]),
    }


def _measure(size: int) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pairs.jsonl"
        with path.open("w") as file:
            file.writelines(json.dumps(_pair(number)) + "\n" for number in range(size))
        done = subprocess.run([sys.executable, "-c", PROFILE, path], capture_output=True, text=True, check=True)
    rows, repeats, peak, seconds, cpu = map(float, done.stdout.split())
    assert (rows, repeats) == (size, size // 100), f"expected {size:,} rows, one in 100 a repeat, got {done.stdout}"
    measured = f"{seconds:.0f} s, {peak:.2f} GiB" if math.isfinite(peak) else f"{seconds:.0f} s"
    target = f"{MINUTES} min, {GIB} GiB" if size == SIZES[-1] else ""
    met = seconds <= 60 * MINUTES and not peak > GIB if target else None
    note = f"{size / seconds:,.0f} rows a second, {cpu:.0f} s of processor"
    return Row(f"profile {size:,} pairs", measured, target, met, note)


def run() -> list[Row]:
    return [_measure(size) for size in SIZES]


if __name__ == "__main__":
    started = time.perf_counter()
    print_rows(run())
    print(f"{time.perf_counter() - started:.0f} s")
