"""Where the benchmark's numbers lie: finished runs line by line while they are made, one Parquet table when done."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from lessons_lib.errors import UserError

RECORDED = Path(__file__).parents[1] / "lab" / "recorded"


def unfinished(folder: Path, name: str) -> Path:
    """The file that finished runs are appended to, a JSON line each."""
    return folder / f"{name}.unfinished.jsonl"


def finished_lines(folder: Path, name: str) -> list[dict]:
    """What an earlier, stopped call wrote; a last line that was cut short is dropped from the file."""
    path = unfinished(folder, name)
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n")]
    if len(whole) < len(lines):
        path.write_text("".join(whole))
    return [json.loads(line) for line in whole]


def append(folder: Path, name: str, rows: Iterable[dict]) -> None:
    """Add runs to the unfinished file, whole lines at once."""
    folder.mkdir(parents=True, exist_ok=True)
    with unfinished(folder, name).open("a") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))


def write(folder: Path, name: str, rows: list[dict], provenance: dict) -> Path:
    """The finished table as Parquet, with its provenance inside; the file's path."""
    table = pd.DataFrame(rows)
    floats = table.select_dtypes("float").columns
    table[floats] = table[floats].map(lambda value: float(f"{value:.5g}"))
    table.attrs["provenance"] = provenance
    path = folder / f"{name}.parquet"
    table.to_parquet(path, index=False)
    return path


def read(name: str, folder: Path | None = None) -> pd.DataFrame:
    """A recorded table; `.attrs["provenance"]` says how it was made. A UserError says how to make what is missing."""
    path = (folder or RECORDED) / f"{name}.parquet"
    if not path.exists():
        raise UserError(f"there is no {path.name} yet; make it: python -m lessons_lib benchmark")
    return pd.read_parquet(path)
