"""Explorers without a browser: declarations, packed values, the page's markup, the live widget."""

from __future__ import annotations

import base64
import gzip
import json
import math
import re
import subprocess
import sys

import numpy as np
import pytest

from lessons_lib import plots
from lessons_lib._typography import together
from lessons_lib.errors import UserError
from lessons_lib.explorers import (
    Axis,
    Band,
    Bars,
    Card,
    Curve,
    Explorer,
    Level,
    Lights,
    Panel,
    Point,
    Readout,
    Slider,
    Target,
    figure,
    linear_steps,
    log_steps,
    page,
    trl,
)
from lessons_lib.explorers.core import fitted, written
from lessons_lib.explorers.pack import MISSING, all_series, pack, pack_rows, unpack_rows
from lessons_lib.lessons.lesson05.explorer import ipo_stops


def everything() -> Explorer:
    """One of each kind of mark, slider and axis: what the fourteen lessons need between them."""
    return Explorer(
        name="everything",
        title="Every mark at once",
        sliders=[
            Slider("size", "parameters (billions)", (1, 7, 70), 7),
            Slider("optimizer", "optimizer", ("AdamW", "SGD"), "AdamW"),
            Slider("rate", "learning rate", log_steps(1e-4, 1e-3, (1, 3)), 3e-4, text=".0e"),
        ],
        presets={"a large model": {"size": 70, "optimizer": "SGD"}},
        panels=[
            Panel(
                "Memory by method",
                x=Axis("method", categories=("DPO", "SimPO")),
                y=Axis("memory (GB)"),
                marks=[
                    Bars("weights", lambda method, size: 2 * size),
                    Bars("optimizer", lambda method, size, optimizer: 8 * size if optimizer == "AdamW" else 0, 1),
                    Bars("reference", lambda method, size: 2 * size if method == "DPO" else 0, 2),
                    Level("one GPU", lambda: 80),
                ],
                stacked=True,
            ),
            Panel(
                "Gold reward over preferences seen",
                x=Axis("preferences seen", at=(100, 300, 1000, 3000, 10000), log=True),
                y=Axis("gold reward", -2, 3),
                marks=[
                    Band("95 % interval", lambda seen, rate: -rate * seen, lambda seen, rate: 1 + rate * seen / 10),
                    Curve("mean", lambda seen, rate: 1 - rate * seen / 2, dots=True),
                    Target("peak", lambda rate: 0.3 / rate),
                    Point("best", lambda rate: 0.3 / rate, lambda rate: 1.0),
                ],
            ),
            Panel(
                "With its interval",
                x=Axis("group", categories=("a", "b", "c")),
                y=Axis("share", 0, 1),
                marks=[
                    Bars("share", lambda group: 0.5),
                    Band("95 % interval", lambda group, rate: 0.5 - 100 * rate, lambda group, rate: 0.5 + 100 * rate),
                ],
            ),
        ],
        readouts=[Readout("{fits} with {optimizer}.", fits=lambda size: "fits" if size < 10 else "does not fit",
                          optimizer=lambda optimizer: optimizer)],
    )  # fmt: skip


def questions() -> Explorer:
    """Two questions whose answers are tapped, the second asked of some only, and their card."""
    return Explorer(
        name="questions",
        title="Which drink?",
        sliders=[
            Slider("when", "When?", ("morning", "evening"), "morning", buttons=True),
            Slider("milk", "With milk?", ("no", "a <little>", "much"), "no", buttons=True),
        ],
        card=Card(
            lambda when: "Coffee" if when == "morning" else "Tea",
            lights=(
                Lights(
                    lambda when: f"In the {when}:",
                    {
                        "coffee": lambda when: "this" if when == "morning" else "",
                        "tea": lambda when: "this" if when == "evening" else "",
                    },
                ),
            ),
            lines={"Milk": lambda when, milk: milk if when == "morning" else "", "Cups": lambda: "1 & no more"},
            config=("The order", lambda when, milk: f"order({when!r}, milk={milk!r})"),
            notes={"milk": lambda when: "not asked" if when == "evening" else ""},
        ),
    )


# ---------------------------------------------------------------- declarations


def test_log_steps_are_round_and_inclusive():
    assert log_steps(0.01, 0.1) == (0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.07, 0.1)
    assert {0.1, 0.5, 1.0} <= set(log_steps(0.01, 1))
    assert linear_steps(0, 0.3, 4) == (0, 0.1, 0.2, 0.3)


def test_a_curve_moves_with_the_sliders_its_function_names():
    explorer = ipo_stops()
    dpo, ipo, stop = explorer.series[0]
    assert (dpo[0].by, ipo[0].by, stop[0].by) == (("beta",), ("tau",), ("tau",))
    captured = Curve("m", lambda x, tau, m=3: m * x * tau)
    panel = Panel("t", Axis("x", 0, 1, points=2), Axis("y", 0, 1), [captured])
    one = Explorer("one", "t", [Slider("tau", "τ", (1, 2), 1)], [panel])
    assert one.series[0][0][0].by == ("tau",)
    assert one.evaluate(tau=2) == [[[[0, 6]]]]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Slider("tau", "τ", (0.1, 0.5), 0.2), "'tau': 0.2 is none of its values; choose from 0.1, 0.5"),
        (lambda: Slider("tau", "τ", (0.1, 0.1), 0.1), "two or more different values"),
        (lambda: ipo_stops().state(gamma=1), "no slider ['gamma']; it has tau, beta"),
        (lambda: Explorer("A b", "t", []), "small letters"),
        (lambda: Explorer("a", "t", [], readouts=[Readout("{x}", y=lambda: 1)]), "differ in ['x', 'y']"),
        (
            lambda: Explorer("a", "t", [Slider("tau", "τ", (1, 2), 1)], [
                Panel("p", Axis("x", 0, 1), Axis("y", 0, 1), [Curve("c", lambda x, taus: x)])]),
            "c in 'p': its function takes taus, which is no slider; the sliders are tau",
        ),
        (
            lambda: Explorer("a", "t", [Slider("x", "x", ("1", "2"), "1")], card=Card(str, notes={"x": lambda: ""})),
            "a note stands beside buttons; ['x'] has none",
        ),
        (lambda: Explorer("a", "t", [], [Panel("p", Axis("x"), Axis("y"), [Curve("c", lambda x: x)])]), "x axis 'x'"),
    ],
)  # fmt: skip
def test_a_wrong_declaration_says_what_to_do(make, says):
    with pytest.raises(UserError) as error:
        make()
    assert says in str(error.value)


def test_lesson_5_shows_the_closed_forms():
    explorer = ipo_stops()
    for tau, probabilities in (
        (0.1, (0.9644, 0.0344, 0.0012)),
        (0.5, (0.5627, 0.2889, 0.1483)),
        (1, (0.4484, 0.3213, 0.2302)),
    ):
        dpo, ipo = explorer.evaluate(tau=tau)[2]
        assert ipo[0] == pytest.approx(probabilities, abs=5e-5)
        assert dpo[0] == [1, 0, 0]
        assert explorer.evaluate(tau=tau)[0][2] == [[1 / (2 * tau)]]
    (sentence,) = explorer.sentences(tau=0.1, beta=0.1)
    assert sentence.startswith("IPO stops at a margin of 5 nats. DPO still pushes there: 0.038 per nat, 76%")
    push = explorer.series[1][1][0]
    assert push.function(5, tau=0.1) == pytest.approx(0, abs=1e-12)
    assert push.function(4, tau=0.1) > 0 > push.function(6, tau=0.1)


def test_importing_explorers_brings_neither_torch_nor_widgets():
    code = (
        "import sys; from lessons_lib.lessons.lesson05.explorer import ipo_stops; ipo_stops().sentences();"
        "print([m for m in ('torch', 'ipywidgets', 'matplotlib.pyplot', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---------------------------------------------------------------- packed values


def test_a_card_answers_in_words():
    explorer = questions()
    assert explorer.lines(milk="much") == [
        *("Coffee", "In the morning:", "coffee: this", "Milk: much", "Cups: 1 & no more"),
        "The order: order('morning', milk='much')",
    ]
    assert explorer.lines(when="evening")[:3] == ["Tea", "In the evening:", "tea: this"]
    assert explorer.answers(when="evening")[0] == "not asked" and explorer.answers()[0] == ""
    assert explorer._repr_mimebundle_()[0]["text/plain"].startswith("Which drink?\nCoffee\n")


@pytest.mark.parametrize("explorer", [ipo_stops(), everything(), questions()], ids=lambda e: e.name)
def test_the_page_holds_what_python_computes(explorer):
    headers, block, _ = pack(explorer)
    data = gzip.decompress(block)
    for header, (series, spec) in zip(headers, all_series(explorer), strict=True):
        own = data[header["at"] : header["at"] + header["size"]]
        computed = [series.row(setting) for setting in explorer.settings(series.by)]
        assert [list(explorer.by_name)[i] for i in header["by"]] == list(series.by)
        if spec is not None:
            assert json.loads(own) == [together(written(row[0], spec)) for row in computed]
            continue
        unpacked, computed = unpack_rows(header, own), np.array(computed, dtype=float)
        assert unpacked.shape == computed.shape
        if "height" in header:  # a curve that leaves its panel: exact where it is seen
            allowed = 2e-4 * np.maximum(header["height"], np.abs(computed))
        else:
            largest = np.abs(computed).max(axis=1, keepdims=True)
            allowed = 1e-5 * np.ptp(computed, axis=1, keepdims=True) + 2e-7 * largest
        assert (np.abs(unpacked - computed) <= allowed + 1e-12).all()


@pytest.mark.parametrize(("heights", "far"), [(4.01, True), (3.99, False)])
def test_a_curve_that_spans_more_than_four_panels_is_coded_by_what_is_seen(heights, far):
    """Even codes of a curve that runs far out would leave few of them for the part inside the panel."""
    curve = np.linspace(0, heights * 2.5, 60)[None]  # on an axis 2.5 high
    assert ("height" in pack_rows(curve, Axis("y", 1, 3.5)).header) == far


def test_a_value_that_is_not_finite_leaves_a_gap():
    rows = np.linspace(-1, 1, 60)[None] ** np.array([[1], [3]])
    rows[1, 7] = math.inf
    rows[1, 9] = math.nan
    packed = pack_rows(rows)
    assert packed.header["as"] == "u16"
    unpacked = unpack_rows(packed.header, packed.data)
    assert np.isnan(unpacked[1, [7, 9]]).all()
    assert np.isfinite(np.delete(unpacked[1], [7, 9])).all()
    assert np.nanmax(np.abs(unpacked - np.where(np.isfinite(rows), rows, np.nan))) < 2e-5
    assert np.isnan(unpack_rows(*vars(pack_rows(np.full((1, 60), np.nan))).values())).all()
    assert MISSING == 2**16 - 1


def test_an_explorer_too_heavy_names_the_curve():
    def rough(x, a, b, c):
        return math.sin(1e4 * x * a) + math.cos(1e5 * x * b + c)

    sliders = [Slider(name, name, linear_steps(0.1, 1, 9), 0.1) for name in "abc"]
    heavy = Curve("the rough one", rough)
    light = Curve("the light one", lambda x, a: a * x)
    explorer = Explorer("heavy", "t", sliders, [Panel("p", Axis("x", 0, 1), Axis("y", -2, 2), [light, heavy])])
    with pytest.raises(UserError, match=r"at most 150 KB.*heaviest curve is the rough one in 'p'"):
        page.html(explorer)


def test_the_y_axis_fits_what_is_shown():
    explorer = everything()
    assert fitted(explorer.panels[0], explorer.evaluate(size=7)[0]) == (
        0,
        100,
    )  # 2 + 8 + 2 bytes × 7, below the GPU's 80
    assert fitted(explorer.panels[0], explorer.evaluate(size=70)[0]) == (0, 1000)
    assert fitted(explorer.panels[1], explorer.evaluate()[1]) == (-2, 3)


def test_a_value_that_is_not_known_stretches_no_axis():
    x = Axis("x", at=(1, 2, 3))
    marks = [Curve("c", lambda x: math.nan if x == 3 else x), Level("none", lambda: math.nan)]
    panel = Panel("p", x, Axis("y"), marks)
    assert fitted(panel, [[[1, 2, math.nan]], [[math.nan]]]) == (0, 3)


# ---------------------------------------------------------------- the page's face


@pytest.fixture(scope="module")
def markup() -> str:
    return page.html(ipo_stops())


def test_the_markup_is_the_same_at_every_run_and_small(markup):
    assert markup == page.html(ipo_stops())
    assert len(markup.encode()) < page.LIMIT
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', markup, re.S)[1])
    assert gzip.decompress(base64.b64decode(data["data"]))


def test_every_control_is_native_labelled_and_speaks(markup):
    inputs = re.findall(r'<input type="range"[^>]*>', markup)
    assert len(inputs) == 2
    for control in inputs:
        name = re.search(r'id="([^"]+)"', control)[1]
        assert f'<label for="{name}">' in markup
        assert 'aria-valuetext="0.1"' in control
        assert f'<output for="{name}" aria-live="off">0.1</output>' in markup
    assert '<option value="1">SGD</option>' in page.html(everything())
    assert 'role="status"><p>IPO stops at a margin of 5 nats.' in markup


def test_questions_are_native_buttons_and_the_card_stands_without_a_script():
    text = page.html(questions())
    assert '<fieldset class="lx-choice" name="milk"><legend>With milk? <span data-says></span></legend>' in text
    assert text.count('<input type="radio" name="milk-answer"') == 3 and text.count(" checked>") == 2
    assert "a &lt;little&gt;" in text and "<little>" not in text.replace('"a <little>"', "")
    assert '<p class="lx-headline" role="status"><b data-says>Coffee</b></p>' in text
    assert '<li data-word="this"><b>coffee</b><span data-says>this</span></li>' in text
    assert '<li data-word=""><b>tea</b><span data-says></span></li>' in text
    assert '<div data-word="1 &amp; no more"><dt>Cups</dt><dd data-says>1 &amp; no more</dd></div>' in text
    assert text.count("data-says") == len(questions().texts)


def test_the_default_picture_needs_no_script_and_takes_the_pages_colours(markup):
    assert markup.count('role="img"') == 3
    plot = re.search(r'<div class="lx-plot".*?</svg>', markup, re.S)[0]
    assert "currentColor" in plot
    assert "var(--lx-dpo, #0072b2)" in plot
    assert "<style" not in plot
    assert "font-family" not in plot
    ids = re.findall(r' id="([^"]+)"', markup + page.html(everything()))
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", markup)) <= set(ids)


def test_style_sheet_and_plots_agree_on_the_colours(root):
    css = (root / "lessons_lib/client/lessons.css").read_text()
    light = dict(re.findall(r"--lx-(\w+): (#\w+|currentColor);", css[: css.index("}")]))
    assert {key: light[key] for key in plots.STYLES} == {
        key: "currentColor" if look.colour == plots.INK else look.colour.lower() for key, look in plots.STYLES.items()
    }


def test_methods_differ_in_grey():
    bars = [Bars(key, lambda x: 1, key) for key in plots.STYLES]
    panel = Panel("p", Axis("x", categories=("a",)), Axis("y", 0, 1), bars)
    swatches = re.findall(r"<li>(<svg.*?</svg>)", page.html(Explorer("grey", "t", [], [panel])))
    assert len({re.sub(r"--lx-\w+", "", swatch) for swatch in swatches}) == len(plots.STYLES)
    assert len({look.dash for look in plots.STYLES.values()}) == len(plots.STYLES)
    assert len({look.hatch for look in plots.STYLES.values()}) == len(plots.STYLES)
    assert len({look.marker for look in plots.STYLES.values()}) == len(plots.STYLES)


def test_a_published_explorer_leaves_no_widget(monkeypatch):
    monkeypatch.setenv("LESSONS_STATIC", "1")
    published = ipo_stops()._repr_mimebundle_()
    assert set(published) == {"text/html", "text/plain", "image/png"}
    assert base64.b64decode(published["image/png"]).startswith(b"\x89PNG")
    assert "IPO stops at a margin of 5 nats" in published["text/plain"]
    monkeypatch.setenv("LESSONS_STATIC", "")
    live, _ = ipo_stops()._repr_mimebundle_()
    assert {"application/vnd.jupyter.widget-view+json", "text/plain", "image/png"} == set(live)  # no grid computed
    assert live["text/plain"] == published["text/plain"]
    assert base64.b64decode(live["image/png"]).startswith(b"\x89PNG")


def test_settings_as_a_trl_config():
    templates = trl.configs(ipo_stops())
    assert list(templates) == ["DPO", "IPO"]
    text = trl.filled(templates["IPO"], ipo_stops(), tau=0.5)
    compile(text, "config", "exec")
    assert "from trl import DPOConfig" in text
    assert "loss_type='ipo'," in text
    assert "beta=0.5,  # τ" in text
    assert "nats per token" in text


# ---------------------------------------------------------------- in a notebook


def test_python_reads_and_sets_the_sliders():
    explorer = ipo_stops()
    assert explorer.value == {"tau": 0.1, "beta": 0.1}
    explorer.value = {"tau": 0.5}
    assert explorer.value == {"tau": 0.5, "beta": 0.1}
    explorer.widget.indices = [0, 0]  # as the browser does
    assert explorer.value == {"tau": explorer.sliders[0].values[0], "beta": explorer.sliders[1].values[0]}
    with pytest.raises(UserError, match="'tau': 0.33 is none of its values"):
        explorer.value = {"tau": 0.33}
    with pytest.raises(UserError, match="no slider"):
        explorer.value = {"gamma": 1}


def test_the_widget_carries_the_pages_markup_and_values(markup):
    widget = ipo_stops().widget
    headers, block, _ = pack(ipo_stops())
    assert widget.data == block
    assert widget.spec == page.spec(ipo_stops(), headers)
    bare = re.sub(r"<svg style.*?</svg>\s*|<script.*?</script>", "", markup, flags=re.S)
    assert widget.markup == bare and "<script" not in widget.markup


def test_a_still_picture_has_the_ranges_and_numbers_of_the_living_one():
    from matplotlib.container import BarContainer

    explorer = everything()
    memory, gold, _ = figure.picture(explorer, size=70).axes
    assert memory.get_ylim() == (0, 1000)
    assert [text.get_text() for text in memory.get_yticklabels()] == ["0", "200", "400", "600", "800", "1,000"]
    assert {"840", "700"} <= {text.get_text() for text in memory.texts}
    assert [text.get_text() for text in gold.get_xticklabels()] == ["100", "1,000", "10,000"]
    assert sum(isinstance(artist, BarContainer) for artist in memory.containers) == 3
