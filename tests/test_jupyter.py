"""Pages of the book beside JupyterLab: made when asked for, made again when their sources changed, never source."""

import json
import os
import time
from importlib import import_module

import pytest
from tornado.web import HTTPError

from lessons_lib._jupyter import PAGE, CourseContents, show_page

RENDER = """import sys
from pathlib import Path
name, out = sys.argv[1:]
text = Path("book", name + ".md").read_text()
if "broken" in text:
    sys.exit("ExecutionError: a cell of this page fails")
Path(out).write_text("<p>" + text)
"""


@pytest.fixture
def course(tmp_path):
    for path, text in {"book/memory.md": "one", "book/render.py": RENDER, "lessons_lib/losses.py": ""}.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
        os.utime(tmp_path / path, (time.time() - 60,) * 2)
    return tmp_path


def shown(course, name="memory"):
    show_page(course, name)
    return (course / "_build" / "pages" / "book" / f"{name}.html").read_text()


def test_the_settings_name_it(root):
    settings = json.loads((root / "lessons_lib/client/jupyter_server_config.json").read_text())["ServerApp"]
    module, _, name = settings["contents_manager_class"].rpartition(".")
    assert getattr(import_module(module), name) is CourseContents


def test_a_page_is_made_once_and_again_when_anything_that_it_is_made_from_changed(course):
    assert shown(course) == "<p>one"
    page = course / "_build" / "pages" / "book" / "memory.html"
    page.write_text("as it was")
    assert shown(course) == "as it was"
    os.utime(page, (time.time() - 30,) * 2)
    (course / "lessons_lib" / "losses.py").write_text("changed")
    assert shown(course) == "<p>one"


def test_compiled_files_make_no_page_old(course):
    shown(course)
    (course / "lessons_lib" / "__pycache__").mkdir()
    compiled = course / "lessons_lib" / "__pycache__" / "losses.pyc"
    compiled.touch()
    os.utime(compiled, (time.time() + 60,) * 2)
    (course / "_build" / "pages" / "book" / "memory.html").write_text("as it was")
    assert shown(course) == "as it was"


def test_what_cannot_be_shown_says_why(course):
    with pytest.raises(HTTPError, match="no page called nothing") as error:
        show_page(course, "nothing")
    assert error.value.status_code == 404
    (course / "book" / "memory.md").write_text("broken")
    with pytest.raises(HTTPError, match="a cell of this page fails"):
        show_page(course, "memory")
    assert not (course / "_build" / "pages" / "book" / "memory.html").exists()


@pytest.mark.parametrize("path", ["_build/pages/book/../../x.html", "book/memory.html", "_build/pages/book/a/b.html"])
def test_nothing_else_is_a_page(path):
    assert PAGE.fullmatch(path) is None
