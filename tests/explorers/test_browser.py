"""Explorers and quick checks as readers meet them: a published page and JupyterLab, in real Chromium."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from browser import browser, jupyterlab, run_notebook, served

from lessons_lib import plots
from lessons_lib._typography import together
from lessons_lib.explorers import Axis, Band, Curve, Explorer, Panel, Slider, figure
from lessons_lib.explorers import page as static
from lessons_lib.explorers.scales import round_up, short, tick_texts, ticks
from lessons_lib.lessons.lesson05.explorer import ipo_stops
from lessons_lib.quiz import Quiz
from tests.explorers.test_explorers import everything, questions

pytestmark = pytest.mark.browser
TAU, BETA = "#ipo-stops-tau", "#ipo-stops-beta"

# A curve's points in axis units: pixels are read against the grid lines' tick labels.
CURVE = """
([panel, curve]) => {
  const plot = document.querySelectorAll(".lx-panel")[panel].querySelector("svg");
  const number = (text) => Number(text.textContent.replace("−", "-"));
  const [xs, ys] = [/^M([\\d.]+) [\\d.]+V/, /^M[\\d.]+ ([\\d.]+)H/].map((form) =>
    [...plot.querySelectorAll(".lx-grid")].filter((line) => form.test(line.getAttribute("d"))).map((line) =>
      [Number(form.exec(line.getAttribute("d"))[1]), number(line.nextElementSibling)]));
  const map = ([[p, v], ...rest]) => (pixel) => v + (pixel - p) * (rest.at(-1)[1] - v) / (rest.at(-1)[0] - p);
  const points = plot.querySelectorAll(".lx-curve")[curve].getAttribute("d").match(/[ML]-?[\\d.]+ -?[\\d.]+/g);
  return points.map((point) => point.slice(1).split(" ").map(Number)).map(([x, y]) => [map(xs)(x), map(ys)(y)]);
}
"""


@pytest.fixture(scope="module")
def chrome(chromium):
    with browser(chromium) as running:
        yield running


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    quiz = Quiz.from_bank(5, ids=["dpo-margin", "target-margin", "psi", "paper-shows"]).html()
    with served(tmp_path_factory.mktemp("page"), static.html(ipo_stops()) + quiz) as url:
        yield url


@pytest.fixture
def open_page(chrome, address):
    """Open the page in a context of its own; at the end nothing may stand in the console."""
    complaints, contexts = [], []

    def opened(width=1300, hash="", url=address, **options):
        contexts.append(chrome.new_context(viewport={"width": width, "height": 900}, **options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url + hash)
        if options.get("java_script_enabled", True):
            page.wait_for_selector(".lx[data-ready=true]")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def assert_drawn(page, panel: int, curve: int, **values) -> None:
    """What stands in the SVG is what Python computes, to half a pixel."""
    explorer = ipo_stops()
    points = np.array(page.evaluate(CURVE, [panel, curve]))
    computed = np.array(explorer.evaluate(**values)[panel][curve][0])
    low, high = explorer.panels[panel].y.low, explorer.panels[panel].y.high
    inside = (computed > low) & (computed < high)
    assert inside.sum() > 5
    assert points[:, 0] == pytest.approx(explorer.panels[panel].x.positions, abs=0.06)
    assert points[inside, 1] == pytest.approx(computed[inside], abs=0.004 * (high - low))


def test_a_slider_moved_by_keyboard_draws_what_python_computes(open_page):
    page = open_page()
    assert_drawn(page, 0, 1, tau=0.1)
    page.focus(TAU)
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.focus(BETA)
    page.keyboard.press("Home")
    for panel in (0, 1):
        for curve in (0, 1):
            assert_drawn(page, panel, curve, tau=0.5, beta=0.01)
    assert page.get_attribute(TAU, "aria-valuetext") == "0.5"
    assert page.inner_text(f"output[for={TAU[1:]}]") == "0.5"
    assert page.inner_text(".lx-readout") == together(ipo_stops().sentences(tau=0.5, beta=0.01)[0])
    bars = page.locator(".lx-panel >> nth=2 >> svg >> text").all_text_contents()
    assert {"0.563", "0.289", "0.148", "1"} <= set(bars)
    page.wait_for_timeout(400)
    assert "IPO a 0.563, b 0.289, c 0.148" in page.locator(".lx-plot").nth(2).get_attribute("aria-label")


def test_a_slider_moved_by_touch_on_a_phone(open_page):
    page = open_page(390, has_touch=True, is_mobile=True)
    page.locator(TAU).scroll_into_view_if_needed()
    box = page.locator(TAU).bounding_box()
    page.touchscreen.tap(box["x"] + 0.99 * box["width"], box["y"] + box["height"] / 2)
    assert page.inner_text(f"output[for={TAU[1:]}]") == "1"
    assert_drawn(page, 0, 1, tau=1)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scripts", [True, False])
def test_a_phone_shows_every_text_at_12_px_or_more(open_page, scripts):
    page = open_page(390, java_script_enabled=scripts)
    for i, plot in enumerate(page.locator(".lx-plot").all()):
        plot.scroll_into_view_if_needed()
        assert plot.locator("svg").count() == 1, i
    # Without scripts the page cannot be asked from inside: the picture is drawn for 360 px, at 12.5 px.
    if scripts:
        sizes = page.evaluate("""[...document.querySelectorAll(".lx text, .lx label, .lx output, .lx li, .lx button")]
            .map((e) => [parseFloat(getComputedStyle(e).fontSize), e.getScreenCTM ? e.getScreenCTM() : { a: 1, b: 0 }])
            .map(([size, matrix]) => size * Math.hypot(matrix.a, matrix.b))""")
        assert min(sizes) >= 12
    else:
        box = page.locator(".lx-plot svg").first.bounding_box()
        assert box["width"] / plots.PANEL_WIDTH * 12.5 >= 12
        assert page.locator("noscript").first.inner_text().startswith("The sliders need JavaScript")


def test_a_long_axis_label_is_wrapped_and_not_cut(open_page, tmp_path):
    long = "margin h: how much more the model prefers the chosen answer than it did before training (nats)"
    panel = Panel("A long label", Axis(long, 0, 1), Axis("y", 0, 1), [Curve("c", lambda x, a: a * x)])
    explorer = Explorer("long", "t", [Slider("a", "a", (0, 1), 1)], [panel])
    with served(tmp_path, static.html(explorer)) as url:
        page = open_page(390, url=url)
        inside = """[...document.querySelectorAll(".lx-plot text")].map((text) => text.getBoundingClientRect())
            .every((box) => box.left >= 0 && box.right <= innerWidth)"""
        assert page.evaluate(inside)
        texts = page.locator(".lx-plot text").all_text_contents()
        assert " ".join(texts).count("how much more the") == 1
        assert long not in texts
    assert figure.picture(explorer).axes[0].get_xlabel().count("\n") >= 1


def test_presets_move_sliders(open_page):
    page = open_page()
    page.get_by_role("button", name="τ = 1", exact=True).click()
    assert page.input_value(TAU) == str(len(ipo_stops().sliders[0].values) - 1)
    assert page.get_by_role("button", name="τ = 1", exact=True).get_attribute("aria-pressed") == "true"
    assert page.get_by_role("button", name="τ = 0.1", exact=True).get_attribute("aria-pressed") == "false"
    assert_drawn(page, 0, 1, tau=1)


def test_the_address_keeps_the_sliders(open_page):
    page = open_page()
    page.focus(TAU)
    page.keyboard.press("End")
    page.wait_for_timeout(400)
    assert page.evaluate("location.hash") == "#ipo-stops.tau=1&ipo-stops.beta=0.1"
    again = open_page(hash="#ipo-stops.tau=0.5&ipo-stops.beta=0.02")
    assert again.inner_text(f"output[for={BETA[1:]}]") == "0.02"
    assert_drawn(again, 0, 0, tau=0.5, beta=0.02)
    again.evaluate("location.hash = '#ipo-stops.tau=0.7&ipo-stops.beta=nonsense'")
    again.wait_for_function(f"document.querySelector('{TAU}').getAttribute('aria-valuetext') === '0.7'")


def test_a_moving_x_reads_the_curves(open_page):
    page = open_page()
    page.locator(".lx-scrub").first.focus()
    page.keyboard.press("Home")
    x = ipo_stops().panels[0].x.positions[0]
    for panel in (0, 1):  # both have the same axis and move together
        values = page.locator(".lx-panel").nth(panel).locator(".lx-value").all_inner_texts()
        computed = [mark[0][0] for mark in ipo_stops().evaluate()[panel][:2]]
        assert [number(v) for v in values[:2]] == [number(short(v)) for v in computed]
        assert page.locator(".lx-legend").nth(panel).inner_text().startswith(f"at {short(x)}:")
    plot = page.locator(".lx-plot").first.bounding_box()
    page.mouse.move(plot["x"] + plot["width"] / 2, plot["y"] + 80)
    assert not page.locator(".lx-legend").first.inner_text().startswith("at −5")


def test_dark_mode_is_css_alone(open_page):
    page = open_page()
    colours = """[...document.querySelectorAll(".lx-curve, .lx-plot text")].slice(0, 9)
        .map((e) => getComputedStyle(e)).map((s) => s.stroke + s.fill)"""
    light = page.evaluate(colours)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    dark = page.evaluate(colours)
    assert all(a != b for a, b in zip(light, dark, strict=True))
    assert "rgb(206, 214, 221)" in dark[0]


def test_settings_are_copied_as_a_trl_config(open_page):
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    page.focus(TAU)
    page.keyboard.press("End")
    page.get_by_role("button", name="Copy as a TRL config: IPO").click()
    page.wait_for_selector("text=Copied.")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert "beta=1,  # τ" in copied
    assert "loss_type='ipo'" in copied


def test_every_kind_of_mark_is_drawn(open_page, tmp_path):
    with served(tmp_path, static.html(everything())) as url:
        page = open_page(url=url)
        texts = page.locator(".lx-panel >> nth=0 >> svg >> text").all_text_contents()
        assert {"84", "70", "100"} <= set(texts)  # DPO's and SimPO's stacks of 7 B, the fitted axis
        page.select_option("#everything-optimizer", label="SGD")
        assert page.get_attribute("#everything-optimizer", "aria-valuetext") is None
        page.focus("#everything-size")
        page.keyboard.press("End")
        texts = page.locator(".lx-panel >> nth=0 >> svg >> text").all_text_contents()
        assert {"280", "140", "300"} <= set(texts)
        assert page.inner_text(".lx-readout") == "does not fit with SGD."
        for kind in (".lx-band", ".lx-dots", ".lx-target", "circle", ".lx-whisker", ".lx-hatch"):
            assert page.locator(f".lx-plot {kind}").count() >= 1, kind
        assert page.evaluate("document.querySelectorAll('.lx-plot svg [d*=NaN], .lx-plot svg [y*=NaN]').length") == 0
        fills = page.locator(".lx-bar").evaluate_all("bars => bars.map((bar) => bar.getAttribute('fill').slice(4, -1))")
        assert fills and all(page.locator(f"pattern{name}").count() == 1 for name in set(fills)), (
            "hatches that are there"
        )


CARD = "els => els.map((el) => el.textContent)"


def test_a_tapped_answer_changes_the_card_the_address_and_what_is_copied(open_page, tmp_path):
    explorer = questions()
    with served(tmp_path, static.html(explorer)) as url:
        page = open_page(390, url=url, permissions=["clipboard-read", "clipboard-write"])
        for when in ("evening", "morning"):
            for milk in ("much", "a <little>", "no"):
                page.get_by_label(when, exact=True).click()
                page.get_by_label(milk, exact=True).click()
                assert page.locator("[data-says]").evaluate_all(CARD) == explorer.answers(when=when, milk=milk)
        page.get_by_label("evening", exact=True).click()
        words = page.locator(".lx-lights li").evaluate_all("els => els.map((el) => el.dataset.word)")
        assert words == ["", "this"]
        assert not page.locator("dt", has_text="Milk").is_visible()  # nothing to say
        assert page.locator("legend", has_text="With milk?").inner_text() == "With milk? not asked"
        page.get_by_text("The order").click()
        page.get_by_role("button", name="Copy", exact=True).click()
        assert page.evaluate("navigator.clipboard.readText()") == "order('evening', milk='no')"
        page.get_by_role("button", name="Copy link").click()
        page.get_by_role("button", name="Link copied").wait_for()
        link = page.evaluate("navigator.clipboard.readText()")
        again = open_page(1300, url=link)
        assert again.locator(".lx-headline").inner_text() == "Tea"
        assert again.get_by_label("evening").is_checked()


def test_answers_are_chosen_by_keyboard(open_page, tmp_path):
    with served(tmp_path, static.html(questions())) as url:
        page = open_page(url=url)
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowRight")
        assert page.locator(".lx-headline").inner_text() == "Tea"
        assert page.evaluate("document.activeElement.value") == "1"
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowLeft")  # round to the last
        assert page.get_by_label("much").is_checked()


def number(text: str) -> float:
    return float(text.replace("−", "-").replace(",", ""))


def answer(page, question: str, text: str) -> str:
    form = page.locator(f"form[id$={question}]")
    form.locator("input").fill(text)
    form.locator("input").press("Enter")
    return form.get_by_role("status").inner_text()


def test_a_quick_check_answers_with_the_reason(open_page):
    page = open_page()
    form = page.locator("form[id$=dpo-margin]")
    form.get_by_role("button").click()
    assert form.get_by_role("status").inner_text() == "Choose an answer first."
    form.get_by_label("1/(2β) nats").check()
    form.get_by_role("button").click()
    assert form.get_by_role("status").inner_text().startswith("Not yet. That form is IPO's target")
    form.get_by_label("An ever larger one").check()
    form.get_by_role("button").click()
    assert form.get_by_role("status").inner_text().startswith("Right. −log σ(βh) falls for every h")
    assert form.get_attribute("data-result") == "right"

    assert answer(page, "target-margin", "two") == "Write a number, such as 0.5 or 12."
    assert answer(page, "target-margin", "4").startswith("Not yet. That is 1/τ.")
    assert answer(page, "target-margin", "-7").startswith("Not yet. Set (h − 1/(2τ))²")
    for right in ("2", "2.0005", " 2,0 "):
        assert answer(page, "target-margin", right).startswith("Right."), right
    assert answer(page, "psi", "").startswith("Write an answer first.")
    assert answer(page, "psi", "Logit").startswith("Not yet. The logit is the log-odds")
    assert answer(page, "psi", " The  Identity. ").startswith("Right.")

    several = page.locator("form[id$=paper-shows]")
    boxes = several.get_by_role("checkbox").all()
    boxes[0].check()
    several.get_by_role("button").click()
    assert several.get_by_role("status").inner_text() == "Not yet. What you chose is right, but it is not all."
    boxes[2].check()
    several.get_by_role("button").click()
    assert "It trains no language model." in several.get_by_role("status").inner_text()
    boxes[2].uncheck()
    boxes[1].check()
    several.get_by_role("button").click()
    assert several.get_attribute("data-result") == "right"


def test_an_answer_is_told_to_the_page(open_page):
    page = open_page()
    page.evaluate("addEventListener('lessons:answered', (event) => { window.answered = event.detail; })")
    answer(page, "target-margin", "2")
    assert page.evaluate("window.answered") == {"id": "target-margin", "correct": True, "answer": ["2"]}


def test_an_axis_fits_what_the_sliders_show(open_page, tmp_path):
    """A broken rule in the script shows here: the numbers beside the axis are Python's."""
    panel = Panel("p", Axis("x", 0, 1), Axis("y"), [Curve("c", lambda x, a: a * x)])
    explorer = Explorer("fits", "t", [Slider("a", "a", (0.4, 3, 250), 0.4)], [panel])
    with served(tmp_path, static.html(explorer)) as url:
        page = open_page(url=url)
        for a in explorer.sliders[0].values:
            shown = page.locator(".lx-plot text[text-anchor=end]").all_text_contents()
            assert shown == tick_texts(ticks(0, round_up(1.06 * a), 5)), a
            page.focus("#fits-a")
            page.keyboard.press("ArrowRight")


def test_a_band_with_gaps_is_drawn_as_areas(open_page, tmp_path):
    """Where recorded data end early: no bow-tie back to the start."""

    def low(x):
        return math.nan if x in (3, 7, 8) else x - 1

    marks = [Band("b", low, lambda x: x + 1), Curve("c", low, "ipo", dots=True)]
    panel = Panel("p", Axis("x", at=tuple(range(1, 9))), Axis("y", 0, 10), marks)
    with served(tmp_path, static.html(Explorer("gaps", "t", [Slider("a", "a", (0, 1), 0)], [panel]))) as url:
        page = open_page(url=url)
        band = page.locator(".lx-band").get_attribute("d")
        areas = [[float(n) for n in re.findall(r"[\d.]+", area)][::2] for area in band.split("Z") if area]
        assert [len(xs) for xs in areas] == [4, 6]  # x = 1, 2 and 4, 5, 6: there and back
        assert max(areas[0]) < min(areas[1])
        assert page.locator(".lx-dots").get_attribute("stroke-dasharray") is None
        assert page.locator(".lx-dots").get_attribute("d").count("M") == 5


@pytest.mark.slow
def test_jupyterlab_shows_both_alive_by_keyboard(chrome, tmp_path):
    cells = (
        "from lessons_lib.lessons.lesson05.explorer import ipo_stops\nexplorer = ipo_stops()\nexplorer",
        "from lessons_lib.quiz import Quiz\nQuiz.from_bank(5)",
        "explorer.value",
        "explorer.value = {'tau': 1}",
    )
    with jupyterlab(tmp_path, *cells) as url:
        page = chrome.new_page(viewport={"width": 1300, "height": 1000})
        complaints = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        run_notebook(page, url, 2)
        page.locator(".lx[data-ready=true]").wait_for(timeout=90_000)
        assert page.locator(".lx svg").count() >= 3 and page.locator(".lx").count() == 1
        tau = page.locator("input[name=tau]")
        tau.focus()
        page.keyboard.press("ArrowRight")  # JupyterLab would move to the next cell
        assert tau.get_attribute("aria-valuetext") == "0.15"
        page.wait_for_selector("text=IPO stops at a margin of 3.33 nats.")
        page.locator(".lx-scrub").focus()
        page.keyboard.press("Home")
        assert page.locator(".lx-legend").first.inner_text().startswith("at −5:")
        page.wait_for_timeout(600)  # at rest, Python hears of it
        page.locator(".jp-Notebook .jp-CodeCell").nth(2).click(position={"x": 5, "y": 5})
        page.keyboard.press("Shift+Enter")
        page.wait_for_selector("text={'tau': 0.15, 'beta': 0.1}")
        page.keyboard.press("Shift+Enter")
        page.wait_for_selector("text=IPO stops at a margin of 0.5 nats.")  # and it moves the sliders
        page.get_by_role("button", name="τ = 0.1", exact=True).click()
        page.wait_for_selector("text=IPO stops at a margin of 5 nats.")

        page.wait_for_selector(".lq[data-ready=true]")
        choices = page.locator(".lq input[type=radio]")
        choices.nth(0).focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        assert [choice.is_checked() for choice in choices.all()] == [False, False, True, False]
        page.keyboard.press("Enter")
        assert page.locator(".lq [role=status]").first.inner_text().startswith("Not yet. That form is IPO's target")
        assert answer(page, "target-margin", "2").startswith("Right.")
        assert complaints == []
        page.close()
