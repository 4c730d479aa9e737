"""One page of the book for JupyterLab: ``python book/render.py memory memory.html`` executes it and writes one file.

The published site (`make site`) holds the lessons as well, needs Node for its formulas, and takes minutes. Beside an
open JupyterLab the lessons are notebooks already. Here one page is made in seconds, without Node or the network.
JupyterLab shows a file of HTML without its scripts and lets it load nothing from beside it. So the styles and pictures
stand inside the file, formulas are MathML, and what would lead to another page here is text.
"""

from __future__ import annotations

import base64
import html
import mimetypes
import sys
import tempfile
from pathlib import Path

import yaml
from bs4 import BeautifulSoup
from jupyter_book.config import get_final_config
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

ROOT = Path(__file__).resolve().parents[1]


def pages_alone(toc: dict) -> dict:
    """The table of contents without the lessons, and without the parts that held nothing else."""
    parts = [
        {**part, "chapters": [chapter for chapter in part["chapters"] if chapter["file"].startswith("book/")]}
        for part in toc["parts"]
    ]
    return {**toc, "parts": [part for part in parts if part["chapters"]]}


def render(name: str) -> str:
    """Execute book/NAME.md; the page as one file of HTML. Raises what Sphinx raises, where a cell fails, for one."""
    toc = pages_alone(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8")))
    with tempfile.TemporaryDirectory() as folder:
        out, toc_file = Path(folder, "html"), Path(folder, "_toc.yml")
        toc_file.write_text(yaml.safe_dump(toc), encoding="utf-8")
        settings = {
            "external_toc_path": str(toc_file),
            "html_math_renderer": "mathml",
            "latex_individualpages": False,  # Jupyter Book takes it from its command line
            "nb_execution_excludepatterns": [path.name for path in (ROOT / "book").glob("*.md") if path.stem != name],
        }
        config, _ = get_final_config(user_yaml=ROOT / "_config.yml", cli_config=settings, sourcedir=ROOT)
        with patch_docutils(), docutils_namespace():
            app = Sphinx(
                ROOT, None, out, folder, "html", config, status=None, warning=None, tags=["pages_alone"]
            )  # fmt: skip
            app.build(filenames=[str(ROOT / "book" / f"{name}.md")])
        return in_one_file(out / "book" / f"{name}.html")


def in_one_file(page: Path) -> str:
    """A built page's text with its styles and pictures inside it, without scripts and without links to other files."""
    soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
    styles = [_beside(page, link["href"]).read_text(encoding="utf-8") for link in soup.select("link[rel=stylesheet]")]
    main = soup.find("main")
    for unusable in main.select("script, .headerlink, nav, button"):
        unusable.decompose()
    for link in main.select("a[href]"):
        if not link["href"].startswith(("http:", "https:")):
            link.unwrap()
    for picture in main.select("img[src]:not([src^=data])"):
        file = _beside(page, picture["src"])
        kind = mimetypes.guess_type(file.name)[0]
        picture["src"] = f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode()}"
    title = html.escape(soup.title.get_text())
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{''.join(styles)}</style></head>\n<body>{main}</body></html>\n"
    )


def _beside(page: Path, address: str) -> Path:
    return page.parent / address.partition("?")[0]


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(render(sys.argv[1]), encoding="utf-8")
