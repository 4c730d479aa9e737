"""Where recorded numbers lie, and what was needed to make them.

The benchmark's finished runs are written line by line while they are made, and as one Parquet table when done;
a lesson's studies (`lessons_lib.lab.studies`) are a JSON file each. pandas is imported by the functions that need it.
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
from typing import TYPE_CHECKING

from lessons_lib import COMMAND
from lessons_lib.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

RECORDED = Path(__file__).parent
PACKAGES = ("torch", "transformers", "accelerate", "numpy")  # whose versions a number depends on


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

    path = folder / f"{name}.parquet"
    table = pd.read_parquet(path).to_dict("records") if path.exists() else []
    return table + finished_lines(folder, name)


def append(folder: Path, name: str, rows: Iterable[dict]) -> None:
    """Add runs to the unfinished file, whole lines at once, after a line that was cut short where there is one."""
    folder.mkdir(parents=True, exist_ok=True)
    with unfinished(folder, name).open("a+b") as file:
        cut = file.tell() and file.seek(-1, 2) >= 0 and file.read(1) != b"\n"
        file.write((b"\n" if cut else b"") + "".join(json.dumps(row) + "\n" for row in rows).encode())


def write(folder: Path, name: str, rows: list[dict], provenance: dict) -> Path:
    """The finished table as Parquet, with its provenance inside; the file's path."""
    import pandas as pd

    table = pd.DataFrame(rows)
    floats = table.select_dtypes("float").columns
    table[floats] = table[floats].map(lambda value: float(f"{value:.5g}"))
    table.attrs["provenance"] = provenance
    path = folder / f"{name}.parquet"
    table.to_parquet(path, index=False)
    return path


def read(name: str, folder: Path | None = None) -> pd.DataFrame:
    """A recorded table; `.attrs["provenance"]` says how it was made. A UserError says how to make what is missing."""
    import pandas as pd

    path = (folder or RECORDED) / f"{name}.parquet"
    if not path.exists():
        raise UserError(f"there is no {path.name} yet; make it: {COMMAND} benchmark")
    return pd.read_parquet(path)


def provenance(command: str) -> dict:
    """Command, versions, machine and date: what somebody needs who wants the same numbers again."""
    return {
        "command": command,
        "date": date.today().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores, one thread a run",
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }
