"""Math as SVG, made while the site is built: a page shows its formulas at once and without a script.

MathJax runs in Node (`math.mjs`). Each page carries every glyph's shape once; beside each picture stands
MathML that a screen reader reads. A formula that MathJax refuses is a warning, so the build fails.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

logger = logging.getLogger(__name__)
SCRIPT = Path(__file__).with_name("math.mjs")


class Typesetter:
    """A Node process that answers one line for each line it is sent."""

    def __init__(self):
        try:
            self._node = subprocess.Popen(
                ["node", str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
            )
        except FileNotFoundError as error:
            raise ExtensionError("Node is needed to typeset math and was not found; `make site` provides it") from error

    def ask(self, **request) -> dict:
        print(json.dumps(request), file=self._node.stdin, flush=True)
        answer = self._node.stdout.readline()
        if not answer:
            raise ExtensionError(f"{SCRIPT.name} ended early; run `npm ci` in book/, or `make site`")
        return json.loads(answer)

    def close(self):
        self._node.stdin.close()
        self._node.wait()


def _typeset(translator, node, display: bool) -> str:
    app = translator.builder.app
    if not hasattr(app, "course_math"):
        app.course_math = Typesetter()
    answer = app.course_math.ask(tex=node.astext(), display=display)
    if "error" in answer:
        logger.warning("math: %s in %r", answer["error"], node.astext(), location=node, type="course", subtype="math")
    return answer.get("html", translator.encode(node.astext()))


def visit_inline(translator, node):
    translator.body.append(f'<span class="math">{_typeset(translator, node, display=False)}</span>')
    raise nodes.SkipNode


def visit_block(translator, node):
    html = _typeset(translator, node, display=True)  # before the tag: the number stands beside the formula
    width = re.search(r'width="([\d.]+ex)"', html)  # a phone shows a wide formula somewhat smaller
    style = {"STYLE": f"--formula:{width[1]}"} if width else {}
    translator.body.append(translator.starttag(node, "div", CLASS="math math-block", **style))
    translator.body.append(html)
    if node["number"]:
        translator.body.append(f'<span class="eqno">({get_node_equation_number(translator, node)})</span>')
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def _add_glyphs(app, pagename, templatename, context, doctree):
    """Put the shapes that this page's formulas refer to at the end of its text."""
    if hasattr(app, "course_math") and 'href="#MJX' in context.get("body", ""):
        glyphs = app.course_math.ask(glyphs=True)["html"]
        context["body"] += f'<svg class="glyphs" aria-hidden="true" width="0" height="0">{glyphs}</svg>'


def _close(app, exception):
    if hasattr(app, "course_math"):
        app.course_math.close()


def setup(app):
    app.add_html_math_renderer("static", (visit_inline, None), (visit_block, None))
    app.connect("html-page-context", _add_glyphs)
    app.connect("build-finished", _close)
