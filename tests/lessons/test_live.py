"""What notebooks show where a kernel stands behind them; the site's build runs every lesson for pages without one."""

from __future__ import annotations

import nbformat
import pytest
from IPython.core.formatters import DisplayFormatter
from lesson_pages import LESSONS, ROOT

from lessons_lib import _surroundings

START = ROOT / "notebooks" / "start.ipynb"


def shown(source: str, names: dict) -> dict:
    """The MIME bundle that a kernel makes of a cell's last line."""
    body, _, last = source.strip().rpartition("\n")
    exec(body, names)
    return DisplayFormatter().format(eval(last, names))[0]


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.path.stem)
def test_its_explorer_and_its_quick_check_are_alive(lesson, monkeypatch):
    monkeypatch.delenv(_surroundings.STATIC, raising=False)
    code = [cell.source for cell in lesson.cells if cell.cell_type == "code"]
    explorers = [source for source in code if ".explorer import" in source]
    (quiz,) = [source for source in code if "Quiz.from_bank" in source]
    assert explorers
    for explorer in explorers:
        assert shown(explorer, {})["application/vnd.jupyter.widget-view+json"]["model_id"]
    assert "<form" in shown(quiz, {})["text/html"]


def test_the_start_page_runs(capsys):
    names = {}
    for cell in nbformat.read(START, as_version=4).cells:
        if cell.cell_type == "code":
            exec(cell.source, names)
    assert capsys.readouterr().out.strip()
