"""Links that hold in a notebook and on the site: what is no page here becomes a download, or the start page.

A lesson links to its exercise as a file beside it, which JupyterLab opens. The site has no page for an exercise,
since it needs a kernel; there the same link downloads the notebook. A lesson links to a page of the book as it is
shown beside JupyterLab, executed (`lessons_lib._jupyter`); on the site the same link leads to the site's page.

Pages that are built without the lessons (`book/render.py`) are read beside the notebooks and link to none.
"""

from __future__ import annotations

import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

START = "notebooks/start"  # JupyterLab's start page; the site has its own
BESIDE_JUPYTERLAB = re.compile(r"_build/pages/(book/\w+)\.html")


class NotebookLinks(SphinxTransform):
    default_priority = 500

    def apply(self):
        for link in list(self.document.findall(addnodes.pending_xref)):
            target = link.get("reftarget", "")
            if link.get("refdomain") != "doc" or target in self.env.found_docs:
                continue
            notebook = Path(self.env.srcdir, target).with_suffix(".ipynb")
            if notebook.is_file() and self.app.tags.has("pages_alone"):
                link.replace_self(nodes.inline("", link.astext()))
            elif target == START:
                link["reftarget"] = self.config.root_doc
            elif notebook.is_file():
                text = nodes.inline("", link.astext(), classes=["xref", "download"])
                path = f"/{notebook.relative_to(self.env.srcdir)}"
                link.replace_self(addnodes.download_reference("", "", text, reftarget=path, refdoc=self.env.docname))


def _link_to_pages_here(app, docname, source):
    source[0] = BESIDE_JUPYTERLAB.sub(r"\1.md", source[0])


def setup(app):
    app.add_transform(NotebookLinks)
    app.connect("source-read", _link_to_pages_here)
