"""The first mention of a glossary term on a page becomes a link that shows its definition.

Lessons are read in JupyterLab too, so they carry no markup for this: terms are found while building.
A term's definition is its entry's first paragraph.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

from docutils import nodes
from sphinx import addnodes

PAGE = "book/glossary"
_NOT_INSIDE = (nodes.reference, nodes.title, nodes.term, nodes.literal, nodes.literal_block, nodes.math, nodes.raw)
_NOT_INSIDE += (nodes.rubric, nodes.caption, nodes.emphasis, nodes.Admonition, nodes.citation, nodes.thead)


@dataclass(frozen=True)
class Entry:
    anchor: str
    definition: str


def read_entries(doctree) -> dict[str, Entry]:
    """Every term and alias of the glossary, with the anchor and the definition it shares."""
    entries = {}
    for glossary in doctree.findall(addnodes.glossary):
        for item in glossary.findall(nodes.definition_list_item):
            definition = next(item.findall(nodes.definition)).next_node(nodes.paragraph).astext().replace("\n", " ")
            terms = list(item.findall(nodes.term))
            entry = Entry(terms[0]["ids"][0], definition)
            entries.update((term.astext(), entry) for term in terms)
    return entries


def pattern(terms) -> re.Pattern:
    """Matches any term, longest first, in singular or plural; capitals in a term have to match."""
    longest_first = sorted(terms, key=len, reverse=True)
    alternatives = [re.escape(t) if t != t.lower() else f"(?i:{re.escape(t)})" for t in longest_first]
    return re.compile(rf"(?<![\w-])({'|'.join(alternatives)})(?:s|es)?(?![\w-])")


def _link_terms(app, doctree, docname):
    if docname == PAGE or PAGE not in app.env.all_docs:
        return
    if not hasattr(app, "course_glossary"):
        entries = read_entries(app.env.get_doctree(PAGE))
        app.course_glossary = entries, {term.lower(): term for term in entries}, pattern(entries)
    base = app.builder.get_relative_uri(docname, PAGE)
    seen: set[str] = set()
    for text in list(doctree.findall(nodes.Text)):
        if _is_prose(text):
            text.parent.replace(text, _split(text, *app.course_glossary, base, seen))


def _is_prose(text) -> bool:
    node, in_paragraph = text.parent, False
    while node is not None:
        if isinstance(node, _NOT_INSIDE):
            return False
        in_paragraph = in_paragraph or isinstance(node, nodes.paragraph)
        node = node.parent
    return in_paragraph


def _split(text, entries, spelling, regex, base, seen) -> list[nodes.Node]:
    """`text` as plain text and links, one link for each term that `seen` does not hold yet."""
    pieces, end, plain = [], 0, text.astext()
    for match in regex.finditer(plain):
        entry = entries[spelling[match[1].lower()]]
        if entry.anchor in seen:
            continue
        seen.add(entry.anchor)
        tip, href = escape(entry.definition, quote=True), escape(f"{base}#{entry.anchor}", quote=True)
        link = f'<a class="term" href="{href}" data-tip="{tip}">{escape(match[0])}</a>'
        pieces += [nodes.Text(plain[end : match.start()]), nodes.raw("", link, format="html")]
        end = match.end()
    return [*pieces, nodes.Text(plain[end:])]


def setup(app):
    app.connect("doctree-resolved", _link_terms)
