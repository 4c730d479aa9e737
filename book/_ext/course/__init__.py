"""The course's own Sphinx extension: its theme, its outline, and what makes pages work without a server.

- `theme/`: page templates (no framework, no icon font, no script from elsewhere)
- `outline`: phases, lessons, minutes; which lesson a page is
- `pages`: what each page's template is told: description, reading time, scripts it needs, links
- `static_math`: TeX to SVG while building, through MathJax in Node
- `mathml`: the same without Node, for the pages beside JupyterLab
- `glossary`: the first mention of a glossary term on a page gets its definition on hover
- `python_cell`: code that a reader edits and runs in the page
- `cells`: code cells without dead progress bars, and figures without the code that calls them
- `notebook_links`: links to what is a notebook but no page
- `card`: the picture that a link to the site shows elsewhere
- `decision_tree`: the start page's tree, from `lessons_lib.advice.decide`
- `tables`: wide ones scroll with their first column in place; those of words are cards on a phone
- `numbers`: a number, its sign and its unit stay on one line
- `methods_tables`: the comparison page's tables, from `lessons_lib.methods`
"""

from __future__ import annotations

import os
from pathlib import Path

from course import (
    card,
    cells,
    day_plan,
    decision_tree,
    glossary,
    mathml,
    methods_tables,
    notebook_links,
    outline,
    pages,
    python_cell,
    static_math,
    tables,
)

PARTS = (
    *(card, cells, day_plan, decision_tree, outline, glossary, methods_tables, notebook_links, pages),
    *(python_cell, static_math, mathml, tables),
)


def setup(app):
    os.environ["LESSONS_STATIC"] = "1"  # the kernels inherit it: explorers and quizzes show their static face
    app.add_config_value("course_repository", "", "html")
    app.add_config_value("comments_config", {}, "")  # Jupyter Book sets it for an extension that we leave out
    app.add_html_theme("course", str(Path(__file__).parent / "theme"))
    for part in PARTS:
        part.setup(app)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": False}
