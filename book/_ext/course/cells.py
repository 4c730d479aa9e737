"""Code cells as a page shows them: no dead widgets, and a class on cells that end in a living figure or quiz."""

from __future__ import annotations

from docutils import nodes

WIDGET = "application/vnd.jupyter.widget-view+json"  # only a kernel keeps it alive: a progress bar, say
ALIVE = ('class="lx"', 'class="lq"')  # an explorer, a quick check
CLASS = "cell-alive"  # its code is not shown, since the figure speaks for itself


def _remove_dead_widgets(doctree):
    for bundle in list(doctree.findall(nodes.container)):
        kinds = {child.get("mime_type") for child in bundle.children if isinstance(child, nodes.container)}
        if bundle.get("nb_element") == "mime_bundle" and WIDGET in kinds and "text/html" not in kinds:
            bundle.parent.remove(bundle)


def _mark_living_cells(doctree):
    for cell in doctree.findall(nodes.container):
        if "cell" in cell["classes"] and any(mark in raw.astext() for raw in cell.findall(nodes.raw) for mark in ALIVE):
            cell["classes"].append(CLASS)


def _prepare(app, doctree):
    _remove_dead_widgets(doctree)
    _mark_living_cells(doctree)


def setup(app):
    app.connect("doctree-read", _prepare)
