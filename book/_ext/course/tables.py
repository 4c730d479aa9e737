"""Tables on every width: one that is too wide scrolls inside its box, and one of words is a row of cards on a phone.

A cell that may stand in a card carries its column's name, which the page shows there alone (site.css).
"""

from __future__ import annotations

from docutils import nodes

WORDS = 24  # letters from which a cell's text is wrapped
CARDS = 2  # columns of such text from which a phone cannot hold a table
KINDS = ("words", "cards", "cell-label")  # classes that site.css knows


def _rows(part) -> list[list[nodes.entry]]:
    return [list(row.findall(nodes.entry)) for row in part.findall(nodes.row)]


def _wordy(rows: list[list[nodes.entry]]) -> list[int]:
    """The columns, from 0, in which some cell is text."""
    longest: dict[int, int] = {}
    for row in rows:
        for column, cell in enumerate(row):
            longest[column] = max(longest.get(column, 0), len(cell.astext()))
    return [column for column, letters in longest.items() if letters > WORDS]


def _label(head: list[nodes.entry], rows: list[list[nodes.entry]]) -> None:
    for row in rows:
        for name, cell in zip(head[1:], row[1:], strict=False):
            cell.insert(0, nodes.inline("", name.astext(), classes=["cell-label"]))


def prepare(table: nodes.table) -> None:
    """Mark the columns of text, and name the cells of a table that becomes cards."""
    rows = [row for body in table.findall(nodes.tbody) for row in _rows(body)]
    wordy = _wordy(rows)
    for row in rows:
        for column in wordy:
            if column < len(row):
                row[column]["classes"].append("words")
    head = [row for part in table.findall(nodes.thead) for row in _rows(part)]
    if head and len(wordy) >= CARDS and len(head[0]) > CARDS:
        table["classes"].append("cards")
        _label(head[0], rows)


def _prepare_all(app, doctree, docname):
    for table in list(doctree.findall(nodes.table)):
        prepare(table)
        box = nodes.container(classes=["table-box"])
        table.replace_self(box)
        box.append(table)


def setup(app):
    app.connect("doctree-resolved", _prepare_all)
