"""An explorer's markup: native controls, the picture at the starting values, and on a page the packed values.

What stands here is readable without any script. `lessons_lib/client/lessons.mjs` brings it to life from the
packed values; it looks them up and draws them, and computes none. In JupyterLab the same markup comes as a widget.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from html import escape
from itertools import zip_longest

from lessons_lib import plots
from lessons_lib._typography import together
from lessons_lib.errors import UserError
from lessons_lib.explorers.core import Axis, Band, Bars, Card, ExplorerSpec, Panel, Point, Slider
from lessons_lib.explorers.figure import panel_svg
from lessons_lib.explorers.pack import pack
from lessons_lib.explorers.scales import short
from lessons_lib.explorers.trl import configs

_HATCHES = {  # a bar's hatch in the legend; `patterns` of lessons.mjs draws the same in the bars
    "ipo": "M1 11L11 1M10 11L20 1M19 11L29 1",
    "kto": "M4 4h1M11 8h1M18 4h1M25 8h1",
    "orpo": "M1 11L11 1M10 11L20 1M19 11L29 1M1 1L11 11M10 1L20 11M19 1L29 11",
    "simpo": "M0 6H30",
    "neutral": "M1 1L11 11M10 1L20 11M19 1L29 11",
}
LONG = 36  # letters of an answer that takes a row of its own
LIMIT = 150 * 1024  # bytes of one explorer in the page


def html(explorer: ExplorerSpec) -> str:
    """The explorer as HTML, at most `LIMIT` bytes; an error names the curve to make smaller."""
    headers, block, weights = pack(explorer)
    data = spec(explorer, headers) | {"data": base64.b64encode(block).decode()}
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    values = explorer.evaluate()
    pictures = [panel_svg(panel, rows) for panel, rows in zip(explorer.panels, values, strict=True)]
    page = markup(explorer, pictures, f'<script type="application/json">{text}</script>')
    size = len(page.encode())
    if size > LIMIT:
        heaviest = max(weights, key=weights.get)
        raise UserError(
            f"explorer {explorer.name!r}: expected at most {LIMIT // 1024} KB in the page, got {size / 1024:.0f} KB; "
            f"the heaviest curve is {heaviest} with {weights[heaviest] / 1024:.0f} KB. Give the sliders that move it "
            f"fewer values, its axis fewer points, or turn a slider into presets"
        )
    return page


def spec(explorer: ExplorerSpec, headers: list[dict]) -> dict:
    """All the page needs beside the packed values; blocks are in the order of `pack.all_series`."""
    blocks = iter(headers)
    panels = [
        _panel(panel, [[next(blocks) for _ in mark] for mark in series])
        for panel, series in zip(explorer.panels, explorer.series, strict=True)
    ]
    readouts = [
        [
            [together(literal, "0" if place else ""), next(blocks) if name else None]
            for place, (literal, name, _) in enumerate(readout.pieces)
        ]
        for readout in explorer.readouts
    ]
    return {
        "kind": "explorer",
        "sliders": [{"name": s.name, "texts": s.texts, "start": s.index(s.default)} for s in explorer.sliders],
        "presets": [
            {name: explorer.by_name[name].index(value) for name, value in preset.items()}
            for preset in explorer.presets.values()
        ],
        "panels": panels,
        "readouts": readouts,
        "trl": list(configs(explorer).values()),
        "texts": list(blocks),
    }


def _panel(panel: Panel, blocks: list[list[dict]]) -> dict:
    positions = panel.x.positions
    middle = panel.read_at if panel.read_at is not None else positions[len(positions) // 2]
    nearest = None if panel.x.categories else min(range(len(positions)), key=lambda i: abs(positions[i] - middle))
    at = [p if isinstance(p, str) else float(f"{p:.6g}") for p in positions]
    return {
        "title": panel.title,
        "stacked": panel.stacked,
        "x": _axis(panel.x) | {"at": at, "start": nearest},
        "y": _axis(panel.y),
        "marks": [
            {"kind": type(mark).__name__, "label": mark.label, "blocks": own, **_look(mark)}
            for mark, own in zip(panel.marks, blocks, strict=True)
        ],
    }


def _axis(axis: Axis) -> dict:
    low, high = axis.limits if axis.at or axis.categories else (axis.low, axis.high)
    return {"label": axis.label, "low": low, "high": high, "log": axis.log, "bars": bool(axis.categories)}


def _look(mark) -> dict:
    look = plots.style(mark.style)
    return {"style": look.key, "dash": look.dash, "dots": getattr(mark, "dots", False)}


def markup(explorer: ExplorerSpec, pictures: Sequence[str] = (), data: str = "") -> str:
    """All of an explorer but what a script draws; `pictures` (one a panel) stand there until it does."""
    parts = zip_longest(explorer.panels, explorer.evaluate(), pictures, fillvalue="")
    panels = "".join(_panel_markup(*part) for part in parts)
    readouts = "".join(f"<p>{escape(sentence)}</p>" for sentence in explorer.sentences())
    title = escape(explorer.title)
    answers = iter(explorer.answers())
    controls = "".join(_control(explorer, slider, answers) for slider in explorer.sliders)
    form = (
        f'<form class="lx-controls" autocomplete="off"><fieldset disabled>'
        f'<legend class="lx-hidden">Settings</legend>'
        f'<div class="lx-sliders">{controls}</div>{_presets(explorer)}</fieldset></form>'
    )
    if explorer.card:
        form = f'<div class="lx-ask">{form}{_card(explorer.card, answers)}</div>'
    return (
        f'<section class="lx" id="{explorer.name}" aria-labelledby="{explorer.name}-title">'
        f'<p class="lx-title" id="{explorer.name}-title">{title}</p>'
        f"{form}"
        f'<div class="lx-readout" role="status">{readouts}</div>'
        f'<div class="lx-panels">{panels}</div>'
        f"{_config_buttons(explorer)}"
        "<noscript><p>The sliders need JavaScript; the picture shows their starting values.</p></noscript>"
        f"{data}</section>"
    )


def _control(explorer: ExplorerSpec, slider: Slider, answers: Iterator[str]) -> str:
    name, start = f"{explorer.name}-{slider.name}", slider.index(slider.default)
    if slider.buttons:
        noted = explorer.card is not None and slider.name in explorer.card.notes
        return _buttons(slider, start, _says("span", next(answers)) if noted else "")
    label = f'<label for="{name}">{escape(slider.label)}</label>'
    if slider.is_choice:
        options = "".join(
            f'<option value="{i}"{" selected" if i == start else ""}>{escape(text)}</option>'
            for i, text in enumerate(slider.texts)
        )
        size = " lx-long" if max(map(len, slider.texts)) > LONG else ""
        return f'<div class="lx-slider{size}">{label}<select id="{name}" name="{slider.name}">{options}</select></div>'
    text = escape(slider.texts[start])
    return (
        f'<div class="lx-slider">{label}<input type="range" id="{name}" name="{slider.name}" min="0" '
        f'max="{len(slider.values) - 1}" step="1" value="{start}" aria-valuetext="{text}">'
        f'<output for="{name}" aria-live="off">{text}</output></div>'
    )


def _buttons(slider: Slider, start: int, note: str) -> str:
    """A question whose answers are tapped: radio buttons, which arrow keys move between."""
    answers = "".join(
        f'<label><input type="radio" name="{slider.name}-answer" value="{i}"{" checked" * (i == start)}>'
        f"<span>{escape(text)}</span></label>"
        for i, text in enumerate(slider.texts)
    )
    return (
        f'<fieldset class="lx-choice" name="{slider.name}"><legend>{escape(slider.label)} {note}</legend>'
        f"<div>{answers}</div></fieldset>"
    )


def _says(tag: str, text: str) -> str:
    """An element whose text the script keeps up to date, in the order of `ExplorerSpec.texts`."""
    return f"<{tag} data-says>{escape(text)}</{tag}>"


def _card(card: Card, answers: Iterator[str]) -> str:
    headline = f'<p class="lx-headline" role="status">{_says("b", next(answers))}</p>'
    lights = "".join(
        f'<div class="lx-lights">{_says("p", next(answers))}<ul>'
        f"{''.join(_entry('li', 'b', name, 'span', next(answers)) for name in row.says)}</ul></div>"
        for row in card.lights
    )
    lines = "".join(_entry("div", "dt", label, "dd", next(answers)) for label in card.lines)
    config = ""
    if card.config:
        config = (
            f'<details class="lx-config"><summary>{escape(card.config[0])}</summary>{_says("pre", next(answers))}'
            '<button type="button" disabled>Copy</button></details>'
        )
    return f'<div class="lx-card">{headline}{lights}<dl>{lines}</dl><div class="lx-actions">{config}</div></div>'


def _entry(tag: str, name_tag: str, name: str, text_tag: str, text: str) -> str:
    """A name and what is said of it; the word stands as an attribute as well, for the style sheet."""
    word = escape(text, quote=True)
    return f'<{tag} data-word="{word}"><{name_tag}>{escape(name)}</{name_tag}>{_says(text_tag, text)}</{tag}>'


def _presets(explorer: ExplorerSpec) -> str:
    if not explorer.presets:
        return ""
    buttons = "".join(f'<button type="button">{escape(label)}</button>' for label in explorer.presets)
    return f'<div class="lx-presets" role="group" aria-label="Presets">{buttons}</div>'


def _panel_markup(panel: Panel, values, picture: str) -> str:
    legend = "".join(_legend_entry(panel, mark) for mark in panel.marks)
    alt = escape(_alt(panel, values), quote=True)
    return (
        f'<figure class="lx-panel"><figcaption>{escape(panel.title)}</figcaption>'
        f'<div class="lx-plot" role="img" aria-label="{alt}">{picture}</div>'
        f'<ul class="lx-legend">{legend}</ul></figure>'
    )


def _legend_entry(panel: Panel, mark) -> str:
    return (
        f'<li><svg width="30" height="12" aria-hidden="true">{_swatch(panel, mark)}</svg> '
        f'{escape(mark.label)} <span class="lx-value"></span></li>'
    )


def _swatch(panel: Panel, mark) -> str:
    """What a mark looks like, 30 × 12 px."""
    look = plots.style(mark.style)
    paint = f'style="stroke:var(--lx-{look.key})"'
    if isinstance(mark, Bars):
        hatch = f'<path class="lx-hatch" d="{_HATCHES[look.key]}"/>' if look.key in _HATCHES else ""
        return f'<path d="M0 6H30" stroke-width="10" {paint}/>{hatch}'
    if isinstance(mark, Band) and panel.x.categories:
        return '<path class="lx-whisker" d="M11 1h8m-4 0V11m-4 0h8"/>'
    if isinstance(mark, Band):
        return f'<path d="M0 6H30" stroke-width="10" stroke-opacity="0.3" {paint}/>'
    if isinstance(mark, Point):
        return f'<circle cx="15" cy="6" r="5" style="fill:var(--lx-{look.key})"/>'
    dash = f' stroke-dasharray="{" ".join(map(str, look.dash))}"' if look.dash else ""
    return f'<path d="M0 6H30" stroke-width="2.5"{dash} {paint}/>'


def _alt(panel: Panel, values) -> str:
    """The picture in words: what it shows and where it starts."""
    parts = []
    for mark, rows in zip(panel.marks, values, strict=True):
        if isinstance(mark, Bars):
            pairs = zip(panel.x.categories, rows[0], strict=True)
            parts.append(f"{mark.label}: " + ", ".join(f"{name} {short(height)}" for name, height in pairs))
        else:
            parts.append(mark.label)
    return f"{panel.title}. {panel.y.label} over {panel.x.label}. " + "; ".join(parts)


def _config_buttons(explorer: ExplorerSpec) -> str:
    buttons = "".join(
        f'<button type="button" disabled>Copy as a TRL config: {escape(name)}</button>' for name in configs(explorer)
    )
    return f'<div class="lx-trl">{buttons}<span role="status"></span></div>' if buttons else ""
