"""How soon a slider's key press shows: on the published page and in JupyterLab, in real Chromium."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from table import Row, print_rows

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from browser import browser, jupyterlab, key_times, run_notebook, served

from lessons_lib.explorers import page as static
from lessons_lib.lessons.lesson05.explorer import ipo_stops

CELL = "from lessons_lib.lessons.lesson05.explorer import ipo_stops\nipo_stops()"


def run() -> list[Row]:
    """Lesson 5's explorer in both places, and its weight in the page."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    markup = static.html(ipo_stops())
    size = len(markup.encode()) / 1024
    weight = Row("explorer, lesson 5: weight in the page", f"{size:.0f} KB", "≤ 150 KB", size <= 150)
    if chromium is None:
        return [weight, Row("explorer: key press to painted", "not measured", note="needs Chromium")]
    with tempfile.TemporaryDirectory() as folder, browser(chromium) as running:
        return [weight, _page(running, Path(folder), markup), _lab(running, Path(folder))]


def _page(running, folder: Path, markup: str) -> Row:
    with served(folder, markup) as address:
        page = running.new_page(viewport={"width": 1300, "height": 1000})
        page.goto(address)
        page.wait_for_selector(".lx[data-ready=true]")
        page.focus("#ipo-stops-tau")
        return _row("page", key_times(page, 120, 60), 16)


def _lab(running, folder: Path) -> Row:
    with jupyterlab(folder, CELL) as address:
        page = running.new_page(viewport={"width": 1300, "height": 1000})
        run_notebook(page, address, 1)
        page.wait_for_selector(".lx[data-ready=true]", timeout=90_000)
        page.focus("input[name=tau]")
        page.wait_for_timeout(3000)
        return _row("JupyterLab", key_times(page, 120, 60), 40)


def _row(face: str, times: list[float], target: int) -> Row:
    median, late = np.percentile(times, [50, 95])
    return Row(
        f"explorer, {face}: key press to painted, median / p95",
        f"{median:.1f} / {late:.1f} ms",
        f"p95 ≤ {target} ms",
        bool(late <= target),
        f"{len(times)} presses, {os.cpu_count()} cores",
    )


if __name__ == "__main__":
    print_rows(run(), "explorers")
