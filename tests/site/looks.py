"""What a machine sees of a page's look, in a page that a browser has open; `looks.js` holds the checks."""

from __future__ import annotations

from pathlib import Path

SCRIPT = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")


def findings(page) -> list[str]:
    """The faults of an open page, in both themes, its explorers awake and their sliders at both ends."""
    page.evaluate(SCRIPT)
    page.evaluate("looks.wake()")
    own = page.evaluate("document.documentElement.dataset.theme")
    found = page.evaluate("looks.findings()") + page.evaluate("looks.ends()")
    page.evaluate("theme => { document.documentElement.dataset.theme = theme }", {"light": "dark"}.get(own, "light"))
    found += page.evaluate("looks.findings()")
    page.evaluate("theme => { document.documentElement.dataset.theme = theme }", own)
    return list(dict.fromkeys(map(_line, found)))


def editors(page) -> list[str]:
    """The faults of the page's editors, each opened, and no Python started. `findings` comes first."""
    return [_line(one) for one in page.evaluate("looks.editors()")]


def _line(one: dict) -> str:
    return f"{one['check']}: {one['selector']}: {one['text']}"
