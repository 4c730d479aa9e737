"""The checks of looks.js themselves: a sound page passes, and each fault that they are there for is found, alone."""

from __future__ import annotations

import shutil

import pytest
from browser import browser, served

from lessons_lib.explorers import page as static
from lessons_lib.lessons.lesson05.explorer import ipo_stops
from lessons_lib.lessons.lesson09.explorer import three_questions
from tests.site.looks import editors, findings

pytestmark = pytest.mark.browser

LONG = "Words that wrap into as many lines as their box makes them take, and are read all the same. " * 2
TABLE = "<table id=table><tbody><tr><th>row</th><td>1,234.5 MB</td><td>−3 ± 0.2 %</td></tr></tbody></table>"
# A part of each kind that the site's pages are made of.
BODY = f"""
<header class="site-header"><a class="brand" href="#"><span>Compare five</span></a></header>
<nav class="contents" style="height: 120px; overflow-y: auto">
  <ol><li><a href="#"><b>9</b><span>One lesson</span></a></li>
  <li><a href="#" aria-current="page"><b>10</b><span>A lesson of two digits</span></a></li></ol></nav>
<article><section>
<p id="prose">{LONG}</p>
<p><button class="button" id="button">Mark as done</button> <input id="field" aria-label="Answer"></p>
<div class="table-box">{TABLE}</div>
<div class="highlight"><pre id="code">loss = 0.6931</pre></div>
<div class="cell tag_try-it"><div class="highlight"><pre>print(1)</pre></div></div>
{static.html(ipo_stops())}
{static.html(three_questions())}
</section></article>
"""
ON_A_PHONE, ON_A_DESK = 390, 1300
PATIENCE = 120_000  # ms; on a busy machine


def style(rule: str) -> str:
    return f"document.head.insertAdjacentHTML('beforeend', `<style data-fault>{rule}</style>`)"


def add(markup: str) -> str:
    return f"document.querySelector('section').insertAdjacentHTML('afterbegin', `<div data-fault>{markup}</div>`)"


def narrow(text: str) -> str:
    return add(f'<p style="width: min-content">{text}</p>')  # a line breaks wherever it may


# A question whose answers are tapped stands at its first; what only its last one brings up counts as well.
LAST_ANSWERS = ".lx:not(:has(.lx-choice label:not(:last-child) input:checked)):has(.lx-choice) .lx-card dl"
CHIMNEY = "width: 60px; overflow-wrap: anywhere"
UNDO = "document.querySelectorAll('[data-fault]').forEach((one) => one.remove())"
TWICE = """
  const label = document.querySelector(".lx-plot svg > text"), again = label.cloneNode(true);
  again.dataset.fault = "";
  again.setAttribute("x", Number(label.getAttribute("x")) + 4);
  label.after(again);
"""
DOTS = "width: 80px; display: block; overflow: hidden; text-overflow: ellipsis; white-space: nowrap"
FRAMED = '<p style="border: 1px solid; width: 90px; white-space: nowrap">1,234,567.89 MB</p>'
DIGITS = ".contents b { width: 1ch !important; white-space: normal !important; overflow-wrap: anywhere }"
MENU = '<select style="width: 130px"><option>an answer longer than its menu is wide</option></select>'
CELLS = '<td style="position: static; white-space: nowrap">one more column</td>' * 20
FAR = "position: static !important; order: 9 !important; margin-top: 800px !important"

# what is put in: (the one check that finds it, the script that puts it in)
FAULTS = {
    "a line over the next": ("text over text", style("#prose { line-height: 0.5 }")),
    "a paragraph pulled up": ("text over text", style("#prose + p { margin-top: -3rem }")),
    "two ticks at one place": ("chart labels collide", TWICE),
    "a title cut by dots": ("text cut", style(f".brand {{ {DOTS} }}")),
    "a box too low for its text": ("text cut", style("#prose { height: 2em; overflow: hidden }")),
    "text left of the page": ("text cut", style("#prose { margin-left: -200px }")),
    "a word wider than its button": ("text out of its box", style("#button { width: 60px; white-space: nowrap }")),
    "a number wider than its frame": ("text out of its box", add(FRAMED)),
    "a menu that cuts its answer": ("menu cuts its choice", add(MENU)),
    "a slider of 52 px": ("narrow control", style("#ipo-stops-tau { width: 52px !important }")),
    "a field of 80 px": ("narrow control", style("#field { width: 80px }")),
    "an editor of 20 letters": ("narrow editor", style(".python-editor { width: 190px !important }")),
    "a lesson's number in two lines": ("broken number", style(DIGITS)),
    "a number without its unit": ("broken number", narrow("at 50 % of")),
    "a number without its sign": ("broken number", narrow("and ± 0.25")),
    "a number over two elements": ("broken number", narrow("needs <b>16</b> GB")),
    "text in a chimney": ("squeezed text", style(f"#prose {{ {CHIMNEY} }}")),
    "a chimney at the last answers": ("squeezed text", style(f"{LAST_ANSWERS} {{ {CHIMNEY} }}")),
    "a wide table that loses its names": (
        "wide table without its first column",
        add(f'<div style="overflow: auto"><table><tr>{CELLS}</tr></table></div>'),
    ),
    "prose on one line": ("endless line", add(f"<pre>{LONG * 3}</pre>")),
    "a picture far below its sliders": (
        "controls out of sight of their picture",
        style(f".lx .lx-panel {{ {FAR} }}"),
    ),
    "contents at their top": (
        "contents hide the page's own line",
        style(".contents li:first-child { margin-bottom: 300px }"),
    ),
    "a box wider than the page": ("page scrolls sideways", add('<div style="width: 120vw; height: 1rem"></div>')),
}


@pytest.fixture(scope="module")
def chrome(chromium):
    with browser(chromium) as running:
        yield running


@pytest.fixture(scope="module")
def address(tmp_path_factory, root):
    folder = tmp_path_factory.mktemp("page")
    shutil.copytree(root / "book" / "_static", folder, ignore=shutil.ignore_patterns("vendor"), dirs_exist_ok=True)
    head = '<link rel="stylesheet" href="site.css"><script type="module" src="python-cell.mjs"></script>'
    with served(folder, head + BODY) as url:
        yield url


@pytest.fixture(scope="module")
def pages(chrome, address):
    """The page on both widths, alive: its explorer drawn, its editor there to be opened."""
    opened = {}
    for width in (ON_A_PHONE, ON_A_DESK):
        page = opened[width] = chrome.new_page(viewport={"width": width, "height": 844})
        page.set_default_timeout(PATIENCE)
        page.goto(address)
        page.wait_for_selector(".python-cell-bar")
        page.locator(".lx[data-ready=true] .lx-plot svg .lx-curve").first.wait_for(state="attached")
    return opened


def seen(page) -> list[list[str]]:
    """The findings as [check, selector and text]."""
    return [line.split(": ", 1) for line in findings(page) + editors(page)]


@pytest.mark.parametrize("width", [ON_A_DESK, ON_A_PHONE])
def test_a_sound_page_has_no_findings(pages, width):
    assert not seen(pages[width])


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_put_in_on_purpose_is_found_and_nothing_else(pages, fault):
    (check, script), page = FAULTS[fault], pages[ON_A_PHONE]
    page.evaluate(f"() => {{ {script} }}")
    found = seen(page)
    page.evaluate(UNDO)
    assert {name for name, _ in found} == {check}


def test_every_check_has_a_fault(pages):
    assert set(pages[ON_A_PHONE].evaluate("looks.names")) == {check for check, _ in FAULTS.values()}
