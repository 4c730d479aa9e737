"""The published site as a reader meets it: real Chromium, wide and narrow, light and dark, nothing from outside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from browser import browser

from lessons_lib.lessons.lesson05 import explorer as lesson05
from tests.site import looks

pytestmark = [pytest.mark.slow, pytest.mark.browser]
ROOT = Path(__file__).resolve().parents[2]

LESSON = "notebooks/phase_2_match_each_algorithm/05_ipo_knows_when_to_stop.html"
SIZES = {1300: 900, 390: 844}
LOOKS = [(width, scheme) for width in SIZES for scheme in ("light", "dark")]
WHOLE = ((1300, "light"), (390, "dark"))  # both widths and both themes: the other two looks add pairs of the two alone
PYTHON_START = 120_000  # ms; Pyodide starts in seconds, on a loaded machine in many


@pytest.fixture(scope="module")
def chromium_running(chromium) -> Iterator:
    with browser(chromium) as running:
        yield running


@contextmanager
def reader(running, address: str, width: int = 1300, scheme: str = "light", **options) -> Iterator:
    """A page of a fresh profile. Requests to elsewhere are refused; they and script errors fail the test."""
    options |= {"viewport": {"width": width, "height": SIZES[width]}, "color_scheme": scheme}
    context = running.new_context(base_url=address, reduced_motion="reduce", **options)
    complaints = []

    def guard(route):
        if route.request.url.startswith((address, "data:", "blob:")):
            return route.continue_()
        complaints.append(f"outside request: {route.request.url}")
        return route.abort()

    context.route("**/*", guard)
    page = context.new_page()
    page.on("console", lambda m: complaints.append(f"console: {m.text}") if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(f"script error: {error}"))
    page.on("response", lambda r: complaints.append(f"{r.status}: {r.url}") if r.status >= 400 else None)
    yield page
    context.close()
    assert not complaints, "\n".join(complaints)


def _pages(site: Path, look: tuple[int, str]) -> list[str]:
    """Every page of the site; those that are no lesson in two looks only."""
    found = sorted(str(f.relative_to(site)) for f in site.rglob("*.html") if "_static" not in f.parts)
    assert LESSON in found
    lessons = [path for path in found if path.startswith("notebooks/phase_")]
    return [path.replace("search.html", "search.html?q=margin") for path in (found if look in WHOLE else lessons)]


def _rules(look: tuple[int, str]) -> dict:
    """What axe looks at: everything for each width and each theme, and in their other pairs the contrast of colours.

    Names, roles, order and sizes do not depend on the theme; reading them takes half of the time.
    """
    return {"resultTypes": ["violations"]} | ({} if look in WHOLE else {"runOnly": ["color-contrast"]})


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_every_page_is_quiet_accessible_and_looks_right(chromium_running, site, site_address, width, scheme):
    axe = (ROOT / "book/node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")
    faults = []
    with reader(chromium_running, site_address, width, scheme) as page:
        for path in _pages(site, (width, scheme)):
            page.goto(path)
            page.wait_for_load_state("networkidle")
            if (width, scheme) in WHOLE:
                faults += [f"{path}: {fault}" for fault in looks.findings(page)]
            page.evaluate(axe)
            found = page.evaluate("rules => axe.run(rules)", _rules((width, scheme)))["violations"]
            faults += [
                f"{path}: {v['id']} at {v['nodes'][0]['target']}: {v['nodes'][0]['failureSummary']}"
                for v in found
                if v["impact"] in ("serious", "critical")
            ]
            if (width, scheme) in WHOLE:
                faults += [f"{path}: {fault}" for fault in looks.editors(page)]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("path", sorted(ROOT.glob("notebooks/phase_*/[0-9][0-9]_*.ipynb")), ids=lambda path: path.stem)
def test_each_lesson_is_done_by_keyboard(chromium_running, site_address, path):
    """Every slider and choice of its explorer moves, and every question of its quick check is answered."""
    with reader(chromium_running, site_address) as page:
        page.goto(str(path.relative_to(ROOT).with_suffix(".html")))
        explorer = page.locator("section.lx").first
        explorer.scroll_into_view_if_needed()
        page.locator("section.lx[data-ready=true]").first.wait_for()
        for control in explorer.locator(".lx-controls :is(input:not([type=radio]), select)").all():
            before = control.input_value()
            control.focus()
            page.keyboard.press("ArrowDown" if control.evaluate("c => c.tagName") == "SELECT" else "ArrowRight")
            if control.input_value() == before:  # it stood at its end
                page.keyboard.press("ArrowUp" if control.evaluate("c => c.tagName") == "SELECT" else "ArrowLeft")
            assert control.input_value() != before, control.get_attribute("id")
        for question in explorer.locator(".lx-choice").all():
            answers = question.locator("input")
            before = [answer.is_checked() for answer in answers.all()]
            answers.nth(before.index(True)).focus()
            page.keyboard.press("ArrowRight")
            assert [answer.is_checked() for answer in answers.all()] != before
        assert explorer.locator(".lx-readout, .lx-headline").first.inner_text().strip()
        quiz = page.locator("section.lq").first
        quiz.scroll_into_view_if_needed()
        page.locator("section.lq[data-ready=true]").first.wait_for()
        for form in quiz.locator("form").all():
            field = form.locator("input").first
            field.focus()
            page.keyboard.press("Space") if field.get_attribute("type") == "radio" else page.keyboard.type("7")
            page.keyboard.press("Enter")
            form.get_by_role("status").filter(has_text=re.compile("Right|Not yet")).wait_for()


def test_three_taps_on_a_phone_show_the_whole_answer_on_one_screen(chromium_running, site_address):
    """No more than a screen is scrolled from the page's top, and questions, methods and card are in view at once."""
    with reader(chromium_running, site_address, 390, has_touch=True, is_mobile=True) as page:
        page.goto("index.html")
        page.locator("#picker[data-ready=true]").wait_for()
        page.locator("#picker").evaluate("el => scrollTo(0, el.getBoundingClientRect().top + scrollY - 60)")
        for question in page.locator("#picker .lx-choice").all():
            question.locator("label").last.tap()
        header = page.locator(".site-header").bounding_box()["height"]
        first, card = (page.locator(f"#picker {part}").first.bounding_box() for part in (".lx-choice", ".lx-card"))
        assert page.evaluate("scrollY") <= SIZES[390]
        assert header <= first["y"] and card["y"] + card["height"] <= SIZES[390]
        assert page.locator("#picker .lx-lights").first.locator("li").count() == 5
        page.wait_for_function("location.hash.includes('picker.shape=')")


def test_dark_is_dark_and_the_choice_is_kept(chromium_running, site_address):
    def brightness(page):
        return sum(map(int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))[:3]))

    with reader(chromium_running, site_address, scheme="dark") as page:
        page.goto("index.html")
        assert brightness(page) < 150
        page.get_by_role("button", name="Dark theme").click()
        assert brightness(page) > 700
        page.goto("book/faq.html")
        assert brightness(page) > 700


def _panel(page):
    return page.locator("#ipo-stops .lx-panel").first


def _shown(page, mark: str) -> float:
    """The number that the first panel's legend shows for a mark, where its reader's line stands."""
    entry = _panel(page).locator(".lx-legend li").filter(has_text=re.compile(rf"^\s*{mark}\s"))
    return float(entry.locator(".lx-value").inner_text().replace("−", "-"))


def _read_at(page) -> float:
    text = _panel(page).inner_text()
    return float(re.search(r"at ([−\d.]+):", text)[1].replace("−", "-"))


def _slider_value(page, name: str) -> float:
    return float(page.locator(f"#ipo-stops-{name} ~ output").inner_text())


def _paths(page) -> list[str]:
    return _panel(page).locator(".lx-curve").evaluate_all("all => all.map(c => c.getAttribute('d'))")


@contextmanager
def lesson(running, address, width=1300, scheme="light", **options):
    """Lesson 5 with its explorer alive."""
    with reader(running, address, width, scheme, **options) as page:
        page.goto(LESSON)
        page.locator("#ipo-stops").scroll_into_view_if_needed()
        page.locator("#ipo-stops[data-ready=true]").wait_for()
        _panel(page).locator(".lx-curve").nth(1).wait_for(state="attached")
        yield page


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_a_slider_moved_by_keyboard_shows_what_python_computes(chromium_running, site_address, width, scheme):
    with lesson(chromium_running, site_address, width, scheme) as page:
        before = _paths(page)
        page.locator("#ipo-stops-tau").focus()
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        tau, h = _slider_value(page, "tau"), _read_at(page)
        assert tau > 0.1
        ipo = next(m for m in lesson05.ipo_stops().panels[0].marks if m.label == "IPO")
        assert _shown(page, "IPO") == pytest.approx(ipo.y(h, tau), rel=2e-3, abs=1e-3)
        moved = [old != new for old, new in zip(before, _paths(page), strict=True)]
        assert moved == [False, True], "IPO's curve follows τ; DPO's does not"
        page.wait_for_function("location.hash.includes('ipo-stops.tau=')")
        page.reload()
        page.locator("#ipo-stops[data-ready=true]").wait_for()
        assert _slider_value(page, "tau") == tau, "the address keeps the slider"


def test_a_slider_moved_by_touch(chromium_running, site_address):
    with lesson(chromium_running, site_address, 390, has_touch=True, is_mobile=True) as page:
        before = _slider_value(page, "beta")
        slider = page.locator("#ipo-stops-beta")
        size = slider.bounding_box()
        slider.tap(position={"x": 0.9 * size["width"], "y": size["height"] / 2})
        beta = _slider_value(page, "beta")
        assert beta > before
        dpo = next(m for m in lesson05.ipo_stops().panels[0].marks if m.label == "DPO")
        assert _shown(page, "DPO") == pytest.approx(dpo.y(_read_at(page), beta), rel=2e-3, abs=1e-3)


@pytest.mark.parametrize("width", SIZES)
def test_quick_check_answers_with_the_reason(chromium_running, site_address, width):
    with reader(chromium_running, site_address, width) as page:
        page.goto(LESSON)
        number = page.locator("#quiz-lesson05 form").filter(has_text="τ = 0.25")
        number.scroll_into_view_if_needed()
        page.locator("#quiz-lesson05[data-ready=true]").wait_for()
        number.get_by_role("textbox").fill("4")
        number.get_by_role("button", name="Check").click()
        assert "Not yet" in number.get_by_role("status").inner_text()
        assert "1/τ" in number.get_by_role("status").inner_text()
        number.get_by_role("textbox").fill("2")
        page.keyboard.press("Enter")
        assert "Right" in number.get_by_role("status").inner_text()


@pytest.mark.parametrize("width", SIZES)
def test_python_cell_runs_breaks_stops_and_starts_again(chromium_running, site_address, width):
    with reader(chromium_running, site_address, width) as page:
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(LESSON)
        page.wait_for_load_state("networkidle")
        assert not [url for url in asked if "pyodide" in url or "worker" in url], "nothing is loaded before the click"
        cell = page.locator(".tag_try-it")
        published = cell.locator(".cell_output pre").inner_text()
        cell.get_by_role("button", name="Edit & run").click()
        status, output = cell.locator(".python-cell-bar .hint"), cell.locator(".python-cell-output")
        status.filter(has_text="Ran in").wait_for(timeout=PYTHON_START)
        assert output.inner_text().strip() == published.strip(), "the browser's Python prints what the kernel's did"
        editor = cell.get_by_role("textbox", name="Python code")
        source = editor.input_value()

        def run(code):
            editor.fill(code)
            editor.press("Control+Enter")

        run("from textbook import ipo_loss\nipo_loss(1, 0, 0, 0, tau='a')")
        status.filter(has_text="Error").wait_for()
        assert re.search(r"line 2 of your code\n.*textbook\.py\nTypeError", output.inner_text())
        run("while True: pass")
        with page.workers[0].expect_event("close"):  # a stopped run burns no more time
            cell.get_by_role("button", name="Stop").click()
        assert status.inner_text() == "Stopped"
        run("import math\nmath.log1p(1.0)")
        status.filter(has_text="Ran in").wait_for(timeout=PYTHON_START)
        assert output.inner_text().strip() == "0.6931471805599453"
        cell.get_by_role("button", name="Reset").click()
        assert editor.input_value() == source


@pytest.mark.parametrize("width", SIZES)
def test_marked_as_done_is_kept_after_a_reload(chromium_running, site_address, width):
    with reader(chromium_running, site_address, width) as page:
        page.goto(LESSON)
        page.get_by_role("button", name="Mark as done").click()
        page.reload()
        done = page.get_by_role("button", name="✓ Done")
        assert done.get_attribute("aria-pressed") == "true"
        assert page.locator(".page-meta .done-mark").is_visible()
        page.goto("index.html")
        assert page.locator(".plan .is-done b").inner_text() == "5"
        assert page.locator("[data-progress]").inner_text().startswith("1 of ")
        page.goto(LESSON)
        done.click()
        page.goto("index.html")
        assert page.locator("[data-progress]").is_hidden()


def test_a_glossary_term_shows_its_definition_to_mouse_and_keyboard(chromium_running, site_address):
    with reader(chromium_running, site_address) as page:
        page.goto("book/faq.html")
        term = page.locator("a.term", has_text=re.compile("^margin$"))
        tip = page.get_by_role("tooltip")
        for point in (term.hover, term.focus):
            point()
            assert "difference of two log-ratios" in tip.inner_text()
            page.keyboard.press("Escape")
            assert tip.is_hidden()
            page.mouse.move(0, 0)
        term.click()
        page.wait_for_url("**/glossary.html#term-margin")


def test_contents_open_on_a_phone_by_keyboard_and_close_with_escape(chromium_running, site_address):
    with reader(chromium_running, site_address, 390) as page:
        page.goto("book/faq.html")
        contents = page.get_by_role("navigation", name="Contents")
        assert contents.is_hidden()
        page.get_by_role("button", name="Contents").press("Enter")
        assert contents.get_by_role("link", name="Glossary").is_visible()
        page.keyboard.press("Escape")
        assert contents.is_hidden()


def test_search_finds_a_page(chromium_running, site_address):
    with reader(chromium_running, site_address) as page:
        page.goto("index.html")
        page.get_by_role("searchbox").fill("Bradley-Terry")
        page.keyboard.press("Enter")
        page.locator("#search-results a", has_text="Glossary").first.wait_for()


def test_a_page_reads_without_javascript(chromium_running, site_address):
    with reader(chromium_running, site_address, java_script_enabled=False) as page:
        page.goto(LESSON)
        assert page.locator("#ipo-stops .lx-plot svg").first.is_visible(), "the figure at its starting values"
        assert page.locator("mjx-container svg").first.is_visible()
        assert page.locator("#quiz-lesson05 form").first.is_visible()
        assert page.get_by_role("navigation", name="Contents").get_by_role("link", name="Glossary").is_visible()


def test_a_printed_page_leaves_the_frame_out(chromium_running, site_address):
    with reader(chromium_running, site_address) as page:
        page.goto("book/notation.html")
        page.emulate_media(media="print", color_scheme="light")
        for frame in (".site-header", ".contents", ".on-this-page", ".python-cell-bar"):
            assert page.locator(frame).is_hidden()
        assert len(page.pdf()) > 20_000


def test_the_cheat_sheet_prints_on_one_page(chromium_running, site_address):
    with reader(chromium_running, site_address) as page:
        page.goto("book/cheat_sheet.html")
        page.emulate_media(media="print", color_scheme="light")
        for paper in ("A4", "Letter"):
            pdf = page.pdf(format=paper, prefer_css_page_size=False)
            assert len(re.findall(rb"/Type\s*/Page\b(?!s)", pdf)) == 1, paper
