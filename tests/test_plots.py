"""Pictures: what they draw, and that they fit light pages, dark pages and readers who cannot see them."""

from __future__ import annotations

import base64
import re
from datetime import date

import numpy as np
import pytest

from lessons_lib import plots
from lessons_lib.metrics import Interval, mean_interval

RUNS = np.array([[0.0, 1.0, 2.0], [0.0, 2.0, 4.0], [0.0, 3.0, 9.0]])


def seeds(**changes) -> plots.Picture:
    arguments = dict(
        title="IPO's margin stops at its target", x_label="step", y_label="margin (nats)", alt="Margins over steps.",
        live={"ipo": ([0, 50], [0.0, 2.5])}, targets={"1/(2τ)": 5.0},
    )  # fmt: skip
    return plots.seeds_plot([0, 50, 100], {"dpo": RUNS, "ipo": RUNS / 2}, **(arguments | changes))


def test_mean_and_band_over_seeds():
    (ax,) = seeds().figure.axes
    dpo = ax.lines[0]
    assert dpo.get_ydata() == pytest.approx(RUNS.mean(axis=0))
    interval = mean_interval(RUNS[:, 2])
    ends = [y for x, y in ax.collections[0].get_paths()[0].vertices if x == 100]
    assert (min(ends), max(ends)) == pytest.approx((interval.low, interval.high))
    assert [line.get_label() for line in ax.lines[:3]] == [
        "DPO, mean of 3 seeds", "IPO, mean of 3 seeds", "IPO, your run",
    ]  # fmt: skip
    assert list(ax.lines[2].get_xdata()) == [0, 50]
    assert ax.lines[3].get_ydata()[0] == 5.0


def test_bars_show_estimate_and_interval():
    values = {"dpo": Interval(1.5, 1.2, 1.8, 5), "gold": Interval(-0.5, -0.9, -0.1, 5)}
    picture = plots.bars_plot(values, title="DPO gains", y_label="gold reward", alt="Two bars.")
    (ax,) = picture.figure.axes
    assert [patch.get_height() for patch in ax.patches] == [1.5, -0.5]
    assert [text.get_text() for text in ax.texts] == ["1.5", "−0.5"]
    ends = ax.collections[0].get_segments()[0][:, 1]
    assert list(ends) == pytest.approx([1.2, 1.8])


def test_bars_with_a_run_of_this_session():
    values = {"dpo": Interval(1.5, 1.2, 1.8, 5), "gold": Interval(-0.5, -0.9, -0.1, 5)}
    picture = plots.bars_plot(values, {"gold": -0.7}, title="DPO gains", y_label="gold reward", alt="Two bars.")
    (mark,) = (line for line in picture.figure.axes[0].lines if line.get_label() == "your run")
    assert list(zip(*mark.get_data(), strict=True)) == [(1, -0.7)]
    assert [text.get_text() for text in picture.figure.legends[0].get_texts()] == ["your run"]


def test_small_multiples_share_their_scale():
    picture = plots.small_multiples(
        {"ipo": [1, 2], "dpo": [5, 9]}, lambda ax, data: ax.plot(data, label="x"),
        title="DPO grows", x_label="step", y_label="margin (nats)", alt="Two panels.",
    )  # fmt: skip
    first, second = picture.figure.axes
    assert first.get_ylim() == second.get_ylim()
    assert (first.get_title(), second.get_ylabel()) == ("IPO", "")
    assert 'overflow-x:auto;--lx-least:474px" tabindex="0"' in picture._repr_mimebundle_()["text/html"]


def test_a_column_gets_the_picture_at_its_width_and_a_phone_the_narrow_one():
    picture = seeds(title="A finding in a sentence that a phone shows on two lines and a wide column on one")
    page = picture._repr_mimebundle_()["text/html"]
    widths = [float(width) for width in re.findall(r'<svg [^>]*?width="([\d.]+)"', page)]
    assert widths == [400, plots.COLUMN]
    headings = [len(re.findall("A finding|phone shows", half)) for half in page.split('class="lx-wide"')]
    assert headings == [2, 2] and page.count("display:none") == 1
    assert picture.figure.get_size_inches()[0] * 72 == pytest.approx(400), "as it was before it was shown"


def test_points_and_a_timeline_stand_where_their_numbers_are():
    points = plots.points_plot(
        {"dpo": ([10, 100], [1.0, -2.0])}, title="Small errors", x_label="MB", y_label="error (%)", alt="Two points.",
        band=(-2, 2), log_x=True,
    )  # fmt: skip
    (ax,) = points.figure.axes
    assert ax.get_xscale() == "log" and list(ax.lines[-1].get_ydata()) == [1.0, -2.0]
    works = [(date(2024, 7, 1), "SimPO", "simpo"), (date(2020, 1, 1), "An older work", "")]
    (ax,) = plots.timeline_plot(works, title="Two works", alt="Two works.").figure.axes
    assert [line.get_xdata()[0] for line in ax.lines] == pytest.approx([2020, 2024.5], abs=0.01)
    assert [text.get_text() for text in ax.texts] == ["An older work", "SimPO"]


def test_shown_as_svg_with_alt_text_in_the_pages_colours():
    bundle = seeds()._repr_mimebundle_()
    page = bundle["text/html"]
    assert 'role="img" aria-label="Margins over steps."' in page
    assert "currentColor" in page
    assert plots.INK.lower() not in page.lower()
    assert "var(--lx-ipo, #d55e00)" in page
    assert "stroke-dasharray" in page
    assert "<style" not in page
    assert bundle["text/plain"] == "Margins over steps."
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")


def test_text_is_text_and_large_enough():
    page = seeds()._repr_mimebundle_()["text/html"]
    assert "IPO&#39;s margin" in page or "IPO's margin" in page
    sizes = [float(size) for size in re.findall(r"font-size: ([\d.]+)px", page)]
    assert min(sizes) >= 12
    width = float(re.search(r'width="([\d.]+)"', page)[1])
    assert width <= 400


def test_the_same_picture_has_the_same_bytes_and_two_share_no_id():
    assert seeds()._repr_mimebundle_()["text/html"] == seeds()._repr_mimebundle_()["text/html"]
    other = seeds(title="Another finding")._repr_mimebundle_()["text/html"]
    ids = re.findall(r' id="([^"]+)"', seeds()._repr_mimebundle_()["text/html"] + other)
    assert len(ids) == len(set(ids))


def test_numbers_in_text_keep_their_digits():
    figure, (ax,) = plots.new_figure(200, 150)
    ax.text(0.123456, 0.5, "0.123456")
    assert ">0.123456<" in plots.svg(figure)


def test_saved_by_the_files_ending(tmp_path):
    seeds().save(tmp_path / "a.svg")
    seeds().save(tmp_path / "a.png")
    assert (tmp_path / "a.svg").read_text().startswith("<svg")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_without_words_is_refused():
    with pytest.raises(ValueError, match="alt: expected a sentence"):
        seeds(alt=" ")
    with pytest.raises(ValueError, match="style: expected one of dpo"):
        plots.style("dop")
