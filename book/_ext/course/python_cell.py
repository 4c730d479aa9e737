"""``{python-cell}``: a few lines of Python that a reader can edit and run in the page.

The directive writes an ordinary highlighted listing, which is all that a reader without JavaScript sees;
`python-cell.mjs` gives it its "Edit & run" button. A notebook's code cell tagged `try-it` becomes the same
thing on the site. Both may use `math`, the standard library, and `textbook`.
"""

from __future__ import annotations

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective


class PythonCell(SphinxDirective):
    has_content = True
    option_spec = {"label": directives.unchanged}

    def run(self):
        code = "\n".join(self.content)
        listing = nodes.literal_block(code, code, language="python")
        cell = nodes.container("", listing, classes=["python-cell"])
        self.set_source_info(listing)
        if label := self.options.get("label"):
            cell.insert(0, nodes.paragraph("", label, classes=["python-cell-label"]))
        return [cell]


def setup(app):
    app.add_directive("python-cell", PythonCell)
