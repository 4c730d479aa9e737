"""A page's numbers stay on one line with their signs and units (`lessons_lib._typography`)."""

from __future__ import annotations

import re

from lessons_lib._typography import NO_BREAK, together

HYPHENED = re.compile(r"\b\d+(?:\.\d+)?e-\d+\b")  # browsers break 5e-07 behind its hyphen
VERBATIM = {"pre", "script", "style", "code", "textarea", "svg", "math", "select"}
TAG = re.compile(r"(<!--.*?-->|<[^>]*>)", re.S)


def keep_together(page: str) -> str:
    """HTML whose text between the tags has no number apart from its unit; code and formulas are left as they are."""
    parts, verbatim, last = [], "", None  # last: where the text before this tag stands in `parts`
    for part in TAG.split(page):
        if part.startswith("<"):
            name = re.match(r"</?([\w-]*)", part)[1].lower()
            if not verbatim and name in VERBATIM and not part.startswith("</") and not part.endswith("/>"):
                verbatim = name
            elif part.startswith("</") and name == verbatim:
                verbatim = ""
        elif part and not verbatim:
            before = parts[last][-2:] if last is not None else ""
            if together(before + part)[: len(before)] != before:  # 5 <a>nats</a>
                parts[last] = parts[last][:-1] + NO_BREAK
            part = HYPHENED.sub(r'<span class="one-line">\g<0></span>', together(part, before))  # <b>16</b> GB
            last = len(parts)
        parts.append(part)
    return "".join(parts)
