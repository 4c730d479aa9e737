"""Code cells as a page shows them: no dead widgets, a picture before the code that draws it, prose that wraps.

Cells that end in a living figure or a quiz get a class of their own.
"""

from __future__ import annotations

import re

from docutils import nodes

WIDGET = "application/vnd.jupyter.widget-view+json"  # only a kernel keeps it alive: a progress bar, say
ALIVE = ('class="lx"', 'class="lq"')  # an explorer, a quick check
CLASS = "cell-alive"  # its code is not shown, since the figure speaks for itself
DRAWS = re.compile(r"^plots\.\w+\(", re.M)  # a cell whose last call draws a picture
PICTURE = 'class="lx-figure"'
FOLD = '<details class="plumbing"><summary>The code of this picture</summary>'
PROSE = 100  # letters a line from which printed text is no table


def _remove_dead_widgets(doctree):
    for bundle in list(doctree.findall(nodes.container)):
        kinds = {child.get("mime_type") for child in bundle.children if isinstance(child, nodes.container)}
        if bundle.get("nb_element") == "mime_bundle" and WIDGET in kinds and "text/html" not in kinds:
            bundle.parent.remove(bundle)


def _mark_living_cells(doctree):
    for cell in doctree.findall(nodes.container):
        if "cell" in cell["classes"] and any(mark in raw.astext() for raw in cell.findall(nodes.raw) for mark in ALIVE):
            cell["classes"].append(CLASS)


def _part(cell, name: str):
    return next((part for part in cell.children if name in part.get("classes", ())), None)


def _put_pictures_first(doctree):
    for cell in doctree.findall(nodes.container):
        if "cell" not in cell["classes"] or not (code := _part(cell, "cell_input")):
            continue
        if DRAWS.search(code.astext()) and any(PICTURE in raw.astext() for raw in cell.findall(nodes.raw)):
            cell.children.remove(code)
            cell += [nodes.raw("", FOLD, format="html"), code, nodes.raw("", "</details>", format="html")]


def _wrap_prose(doctree):
    for block in doctree.findall(nodes.literal_block):
        if "output" in block["classes"] and max(map(len, block.astext().splitlines()), default=0) > PROSE:
            block["classes"].append("prose")


def _prepare(app, doctree):
    _remove_dead_widgets(doctree)
    _mark_living_cells(doctree)
    _put_pictures_first(doctree)
    _wrap_prose(doctree)


def setup(app):
    app.connect("doctree-read", _prepare)
