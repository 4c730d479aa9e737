"""What every benchmark answers with, and how it is printed: one row a measurement, its target beside it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One measurement. `ok` is whether it meets `target`; None where there is no target, or no such machine."""

    what: str
    measured: str
    target: str = ""
    ok: bool | None = None
    note: str = ""


VERDICTS = {True: "met", False: "[bold]missed[/bold]", None: "-"}


def print_rows(rows: Iterable[Row], title: str = "") -> None:
    """The rows as a table, whole texts, whatever the terminal."""
    table = Table("what", "measured", "target", "", "note", title=title or None, title_justify="left")
    for row in rows:
        table.add_row(row.what, row.measured, row.target, VERDICTS[row.ok], row.note)
    console = Console()
    Console(width=max(100, console.width)).print(table)
