"""Reading preference rows: memory must not grow with the file, and how many rows a second.

Each file is read in a process of its own. Its peak memory is Linux's VmHWM: `getrusage` would report the
parent's where that is larger. Elsewhere the peak is left out.
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

SIZES = (10_000, 1_000_000)
ALLOWED = 30  # MiB: room for the allocator's own habits; the larger files have 20 times that

READ = """
import sys, time
from lessons_lib.data.readers import read
start = time.perf_counter()
count = sum(1 for row in read(sys.argv[1]))
seconds = time.perf_counter() - start
peak = open("/proc/self/status").read().partition("VmHWM:")[2].split()[0] if sys.platform == "linux" else "nan"
print(count, float(peak) / 1024, seconds)
"""


def _pair(number: int) -> dict:
    return {
        "prompt": f"Question {number}: " + "which of the two is it, and why do you think so? " * 2,
        "chosen": f"Answer {number}: " + "because of this and of that. " * (5 + number % 11),
        "rejected": f"Answer {number}: " + "no idea at all. " * (5 + number % 13),
    }


def _write_jsonl(path: Path, rows: int) -> None:
    with path.open("w") as file:
        file.writelines(json.dumps(_pair(number)) + "\n" for number in range(rows))


def _write_parquet(path: Path, rows: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    schema = pa.schema([(name, pa.string()) for name in ("prompt", "chosen", "rejected")])
    # Stored as it is, so that the file is as large as the texts in it.
    with pa.parquet.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for start in range(0, rows, 100_000):
            batch = [_pair(number) for number in range(start, min(rows, start + 100_000))]
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))


def _measure(path: Path) -> tuple[int, float, float]:
    done = subprocess.run([sys.executable, "-c", READ, path], capture_output=True, text=True, check=True)
    count, peak, seconds = done.stdout.split()
    return int(count), float(peak), float(seconds)


def run() -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for ending, write in (("jsonl", _write_jsonl), ("parquet", _write_parquet)):
            peaks = {}
            for size in SIZES:
                path = Path(folder) / f"{size}.{ending}"
                write(path, size)
                count, peaks[size], seconds = _measure(path)
                megabytes = path.stat().st_size / 2**20
                path.unlink()
                assert count == size, f"read {count:,} rows of {size:,}"
                note = f"{size / seconds:,.0f} rows a second, file of {megabytes:,.0f} MiB"
                rows.append(Row(f"read {size:,} pairs, {ending}: peak memory", f"{peaks[size]:.0f} MiB", note=note))
            growth = peaks[SIZES[1]] - peaks[SIZES[0]]
            what = f"growth from {SIZES[0]:,} to {SIZES[1]:,} pairs, {ending}"
            verdict = None if math.isnan(growth) else growth < ALLOWED
            rows.append(Row(what, f"{growth:+.0f} MiB", f"under {ALLOWED} MiB", verdict))
    return rows


if __name__ == "__main__":
    started = time.perf_counter()
    print_rows(run())
    print(f"{time.perf_counter() - started:.0f} s")
