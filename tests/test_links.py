"""Links of notebooks and exercises: each leads, in JupyterLab at the checkout's root, to something that shows."""

import re
from pathlib import Path

import nbformat
import pytest
import yaml

from lessons_lib._jupyter import PAGE

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = [
    path
    for folder in ("notebooks", "exercises")
    for path in sorted((ROOT / folder).rglob("*.ipynb"))
    if ".ipynb_checkpoints" not in path.parts
]
PAGES = {
    chapter["file"]
    for part in yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))["parts"]
    for chapter in part["chapters"]
}


def links(path):
    """The targets of a notebook's links that stay in the checkout, without their fragments."""
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\(([^)\s]+)\)|href=\"([^\"]+)\"", cell.source):
                address = "".join(target).partition("#")[0]
                if address and not re.match(r"[a-z]+:", address):
                    yield address


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_link_leads_to_something_that_shows(path):
    found = list(links(path))
    assert found
    for address in found:
        target = (path.parent / address).resolve().relative_to(ROOT).as_posix()
        if page := PAGE.fullmatch(target):
            assert f"book/{page[1]}" in PAGES, f"{address}: the book has no such page"
        else:
            assert target.endswith(".ipynb"), (
                f"{address}: JupyterLab opens it as source; link to a page of the book as _build/pages/book/NAME.html"
            )
            assert (ROOT / target).is_file(), f"{address}: there is no such notebook"


def test_the_start_page_leads_to_every_lesson_exercise_and_page():
    start = ROOT / "notebooks" / "start.ipynb"
    targets = {(start.parent / address).resolve() for address in links(start)}
    wanted = [*ROOT.glob("notebooks/phase_*/[0-9]*.ipynb"), *ROOT.glob("exercises/[0-9]*.ipynb")]
    wanted += [ROOT / "_build" / "pages" / f"{page}.html" for page in PAGES if page.startswith("book/")]
    assert targets >= set(wanted)
