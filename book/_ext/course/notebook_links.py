"""Links that hold in a notebook and on the site: what is no page here becomes a download, or the start page.

A lesson links to its exercise as a file beside it, which JupyterLab opens. The site has no page for an exercise,
since it needs a kernel; there the same link downloads the notebook.
"""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

START = "notebooks/start"  # JupyterLab's start page; the site has its own


class NotebookLinks(SphinxTransform):
    default_priority = 500

    def apply(self):
        for link in list(self.document.findall(addnodes.pending_xref)):
            target = link.get("reftarget", "")
            if link.get("refdomain") != "doc" or target in self.env.found_docs:
                continue
            notebook = Path(self.env.srcdir, target).with_suffix(".ipynb")
            if target == START:
                link["reftarget"] = self.config.root_doc
            elif notebook.is_file():
                text = nodes.inline("", link.astext(), classes=["xref", "download"])
                path = f"/{notebook.relative_to(self.env.srcdir)}"
                link.replace_self(addnodes.download_reference("", "", text, reftarget=path, refdoc=self.env.docname))


def setup(app):
    app.add_transform(NotebookLinks)
