"""Outputs that only a kernel could keep alive, such as progress bars, do not appear on a page."""

from __future__ import annotations

from docutils import nodes

WIDGET = "application/vnd.jupyter.widget-view+json"


def _remove(app, doctree):
    for bundle in list(doctree.findall(nodes.container)):
        kinds = {child.get("mime_type") for child in bundle.children if isinstance(child, nodes.container)}
        if bundle.get("nb_element") == "mime_bundle" and WIDGET in kinds and "text/html" not in kinds:
            bundle.parent.remove(bundle)


def setup(app):
    app.connect("doctree-read", _remove)
