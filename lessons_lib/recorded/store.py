"""Recorded runs: where they lie, how they are read and written, and what was needed to make them.

Three kinds, each with its provenance inside. The benchmark's **tables** are written line by line while they are made,
and as one Parquet file when done. A **study** of a lesson (`lessons_lib.lab.studies`) is a JSON file, a measurement a
line. **Logs**, whole training histories that an exercise hands out, are a JSON file too, a run a line. Studies and logs
are read without pandas, which costs half a second; the functions that need it import it.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Iterable
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lessons_lib import COMMAND
from lessons_lib.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

RECORDED = Path(__file__).parent
PACKAGES = ("torch", "transformers", "accelerate", "numpy")  # whose versions a number depends on


# Tables -------------------------------------------------------------------------------------------------------


def unfinished(folder: Path, name: str) -> Path:
    """The file that finished runs are appended to, a JSON line each."""
    return folder / f"{name}.unfinished.jsonl"


def finished_lines(folder: Path, name: str) -> list[dict]:
    """What has been written so far, by an earlier call or by one that still runs; a line that was cut short is not."""
    path = unfinished(folder, name)
    rows = []
    for line in path.read_text().splitlines() if path.exists() else ():
        with contextlib.suppress(json.JSONDecodeError):
            rows.append(json.loads(line))
    return rows


def so_far(folder: Path, name: str) -> list[dict]:
    """All runs in a folder: of its table, and those written since."""
    import pandas as pd

    path = table_file(name, folder)
    table = pd.read_parquet(path).to_dict("records") if path.exists() else []
    return table + finished_lines(folder, name)


def append(folder: Path, name: str, rows: Iterable[dict]) -> None:
    """Add runs to the unfinished file, whole lines at once, after a line that was cut short where there is one."""
    folder.mkdir(parents=True, exist_ok=True)
    with unfinished(folder, name).open("a+b") as file:
        cut = file.tell() and file.seek(-1, 2) >= 0 and file.read(1) != b"\n"
        file.write((b"\n" if cut else b"") + "".join(json.dumps(row) + "\n" for row in rows).encode())


def write(folder: Path, name: str, rows: list[dict], provenance: dict) -> Path:
    """The finished table as Parquet, in place of the unfinished file; the file's path."""
    import pandas as pd

    table = pd.DataFrame(rows)
    floats = table.select_dtypes("float").columns
    table[floats] = table[floats].map(lambda value: float(f"{value:.5g}"))
    table.attrs["provenance"] = provenance
    path = table_file(name, folder)
    table.to_parquet(path, index=False)
    unfinished(folder, name).unlink(missing_ok=True)
    return path


def read(name: str, folder: Path | None = None) -> pd.DataFrame:
    """A recorded table; `.attrs["provenance"]` says how it was made. A UserError says how to make what is missing."""
    import pandas as pd

    path = table_file(name, folder)
    if not path.exists():
        raise UserError(f"there is no {path.name} yet; make it: {COMMAND} benchmark")
    return pd.read_parquet(path)


def has_table(name: str, folder: Path) -> bool:
    """Whether a finished table lies in a folder."""
    return table_file(name, folder).exists()


def table_file(name: str, folder: Path | None) -> Path:
    """Where a finished table lies: in a folder, or among the recorded ones."""
    return (folder or RECORDED) / f"{name}.parquet"


# Studies and logs ---------------------------------------------------------------------------------------------


class Recorded(NamedTuple):
    """What a JSON file holds: how it was made, and its rows or runs."""

    provenance: dict
    rows: list[dict]


def write_study(name: str, columns: list[str], rows: Iterable[list], provenance: dict) -> Path:
    """Keep a study's measurements, a list of values each in the order of `columns`; the file's path."""
    path = RECORDED / f"{name}.json"
    _write_lines(path, {"provenance": provenance, "columns": columns}, "data", rows)
    return path


def read_study(name: str) -> Recorded:
    """A study's measurements, a dictionary each; a UserError says how to make what is missing."""
    path = RECORDED / f"{name}.json"
    if not path.exists():
        raise UserError(f"there is no {path.name} yet; make it: {COMMAND} lab record {name}")
    stored = json.loads(path.read_text(encoding="utf-8"))
    rows = [dict(zip(stored["columns"], values, strict=True)) for values in stored["data"]]
    return Recorded(stored["provenance"], rows)


def write_logs(path: Path, runs: Iterable[dict], provenance: dict) -> None:
    """Keep training logs, which lie beside the exercise that hands them out: each run with what is known of it."""
    _write_lines(path, {"provenance": provenance}, "runs", runs)


def read_logs(path: Path) -> list[dict]:
    """The runs of such a file."""
    return json.loads(path.read_text(encoding="utf-8"))["runs"]


def _write_lines(path: Path, header: dict, name: str, rows: Iterable) -> None:
    """JSON with a line a row: a new run shows as a readable diff."""
    lines = ",\n".join(map(json.dumps, rows))
    path.write_text(f'{json.dumps(header, indent=1)[:-2]},\n "{name}": [\n{lines}\n]}}\n', encoding="utf-8")


# How it was made ----------------------------------------------------------------------------------------------


def provenance(command: str) -> dict:
    """Command, versions, machine and date: what somebody needs who wants the same numbers again."""
    return {
        "command": command,
        "date": date.today().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores, one thread a run",
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }
