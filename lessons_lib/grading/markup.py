"""HTML for what people read after grading: whatever came from outside is escaped and cut, and a page loads nothing."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from lessons_lib.grading.spec import JSON

_LONGEST = 400  # characters of one value shown


class Markup(str):
    """HTML made by the grader, which is not escaped again."""


def text(value: object) -> str:
    """Escaped, and without what UTF-8 or a browser cannot show."""
    if isinstance(value, Markup):
        return value
    shown = str(value).encode("utf-8", "replace").decode()
    return html.escape(re.sub(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", "\ufffd", shown))


def link(learner: str) -> Markup:
    """A learner's id, leading from the report to her page of feedback."""
    return Markup(f'<a href="feedback/{quote(learner)}.html">{text(learner)}</a>')


def links(learners: Iterable[str]) -> Markup:
    return Markup(", ".join(map(link, learners)))


def number(value: float) -> str:
    """Four digits at most."""
    return f"{value:.4g}"


def value(found: JSON) -> str:
    """A value of the wire, cut to what fits a page."""
    if isinstance(found, dict) and set(found) in ({"tensor"}, {"facts"}):
        found = next(iter(found.values()))
    whole = found if isinstance(found, str) else json.dumps(_rounded(found), ensure_ascii=False)
    return whole if len(whole) <= _LONGEST else f"{whole[:_LONGEST]} …"


def _rounded(found: JSON) -> JSON:
    if isinstance(found, list):
        return [_rounded(part) for part in found]
    if isinstance(found, dict):
        return {name: _rounded(part) for name, part in found.items()}
    return float(f"{found:.6g}") if isinstance(found, float) else found


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table that scrolls where it is too wide."""
    heading = "".join(f'<th scope="col">{text(name)}</th>' for name in head)
    cells = "".join("<tr>" + "".join(f"<td>{text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class=wide><table><thead><tr>{heading}</tr></thead><tbody>{cells}</tbody></table></div>"


def page(title: str, body: Iterable[str]) -> str:
    """A whole page around its parts, which are HTML already."""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{text(title)}</title>
<style>{_STYLE}</style></head><body>
{"".join(body)}
</body></html>
"""


_STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem;
  color: light-dark(#1c1c1c, #e4e4e4); background: light-dark(#fff, #161616) }
h1 { font-size: 1.6rem; line-height: 1.25 } h2 { margin: 2rem 0 .5rem; font-size: 1.2rem }
.answer { border-left: 4px solid light-dark(#0072b2, #56b4e9); padding: .3rem 1rem;
  background: light-dark(#f2f7fb, #1d2730) }
pre { white-space: pre-wrap; overflow-wrap: anywhere; padding: .6rem 1rem; background: light-dark(#f5f5f5, #222) }
.wide { overflow-x: auto } table { border-collapse: collapse; font-size: .9rem }
th, td { text-align: left; vertical-align: top; padding: .3rem 1.2rem .3rem 0; overflow-wrap: break-word;
  max-width: 28rem; min-width: 4rem;
  border-bottom: 1px solid light-dark(#ddd, #3a3a3a) }
.quiet { color: light-dark(#5a5a5a, #a5a5a5) }
svg { max-width: 34rem; width: 100%; display: block; fill: light-dark(#0072b2, #56b4e9) }
svg text { font-size: 7.5px; text-anchor: middle; fill: currentColor }
a { color: inherit }
"""
