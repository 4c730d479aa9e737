"""A lesson as a learner takes it: opened in JupyterLab in real Chromium, run from its first cell to its last."""

from __future__ import annotations

import shutil

import nbformat
import pytest
from browser import browser, lab_server, run_notebook

pytestmark = [pytest.mark.slow, pytest.mark.browser]
LESSON = "notebooks/phase_2_match_each_algorithm/05_ipo_knows_when_to_stop.ipynb"


def test_lesson_5_is_alive_in_jupyterlab(chromium, root, tmp_path):
    shutil.copy(root / LESSON, tmp_path / "lesson.ipynb")
    cells = len(nbformat.read(root / LESSON, as_version=4).cells)
    with browser(chromium) as running, lab_server(tmp_path) as address:
        page = running.new_page(viewport={"width": 1300, "height": 1000})
        run_notebook(page, f"{address}/lab/tree/lesson.ipynb?reset", cells)
        page.wait_for_selector(".lq", timeout=180_000)  # the last code cell has run

        page.locator(".lx[data-ready=true]").wait_for()
        page.focus(".lx input[name=tau]")
        page.keyboard.press("ArrowRight")
        page.wait_for_selector("text=IPO stops at a margin of 3.33 nats.")

        form = page.locator("form.lq, .lq form").first
        form.locator("input[type=radio]").first.check()
        form.get_by_role("button", name="Check").click()
        page.wait_for_function("[...document.querySelectorAll('[role=status]')].some(s => s.textContent.trim())")
        assert page.locator("[data-mime-type='application/vnd.jupyter.error']").count() == 0
        page.screenshot(path=tmp_path / "lesson.png")
