"""What JupyterLab is told about this course: a page of the book that a notebook links to is shown executed.

`client/jupyter_server_config.json` names `CourseContents`. `learn` reads it, and `make` puts it into
`.venv/etc/jupyter`, so that any JupyterLab or Notebook of `.venv` has it. A notebook links to
`_build/pages/book/memory.html`; the file is made when somebody asks for it.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
from pathlib import Path

from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from tornado.web import HTTPError

PAGE = re.compile(r"_build/pages/book/(\w+)\.html")
SOURCES = ("_config.yml", "_toc.yml", "book", "lessons_lib")  # what a page is made from


class CourseContents(AsyncLargeFileManager):
    """The checkout's files, and the book's pages as they are asked for."""

    async def get(self, path, *args, **kwargs):
        if page := PAGE.fullmatch(path.strip("/")):
            await asyncio.to_thread(show_page, Path(self.root_dir), page[1])
        return await super().get(path, *args, **kwargs)


_one_at_a_time = threading.Lock()


def show_page(root: Path, name: str) -> None:
    """Make `root`/_build/pages/book/NAME.html where it is missing or older than what it is made from.

    Takes 5 to 15 seconds on an idle machine. Raises tornado's `HTTPError`, whose message JupyterLab shows, where the
    page has no source or cannot be made.
    """
    if not (root / "book" / f"{name}.md").is_file():
        raise HTTPError(404, reason=f"the book has no page called {name}")
    page = root / "_build" / "pages" / "book" / f"{name}.html"
    with _one_at_a_time:
        if page.is_file() and page.stat().st_mtime >= _newest(root):
            return
        page.parent.mkdir(parents=True, exist_ok=True)
        unfinished = page.with_suffix(".part")
        command = [sys.executable, str(root / "book" / "render.py"), name, str(unfinished)]
        result = subprocess.run(command, cwd=root, capture_output=True, text=True, errors="replace")
        if result.returncode:
            cause = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise HTTPError(500, log_message=result.stderr, reason=f"{page.name} could not be made: {cause[:200]}")
        unfinished.replace(page)


def _newest(root: Path) -> float:
    """When what pages are made from was changed last, in seconds."""
    files = [file for name in SOURCES for file in [root / name, *(root / name).rglob("*")]]
    return max(file.stat().st_mtime for file in files if file.is_file() and "__pycache__" not in file.parts)
