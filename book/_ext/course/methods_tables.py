"""``{methods-table}``: facts of the five methods side by side, read from `lessons_lib.methods` while building."""

from __future__ import annotations

import re

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective


def _plain(value: float) -> str:
    return f"{value:g}"


def _knobs(method, describe) -> str:
    return "<br>".join(describe(knob) for knob in method.hyperparameters.values())


def _symbol(knob) -> str:
    return re.sub(r"_(\w)", r"<sub>\1</sub>", knob.symbol)


def _setting(knob) -> str:
    low, high = map(_plain, knob.usual)
    return f"{_symbol(knob)} = {_plain(knob.default)} ({low} to {high})"


def _trl(method) -> str:
    settings = ", ".join(f"`{name}={value!r}`" for name, value in method.trl.settings.items())
    return f"`{method.trl.module}.{method.trl.trainer}`" + (f"<br>{settings}" if settings else "")


ROWS = {
    "ideas": {
        "The bug it fixes": lambda m: m.fixes,
        "Paper": lambda m: (
            f"[{m.paper.authors.partition(',')[0].partition(' and ')[0]} et al.]"
            f"(https://arxiv.org/abs/{m.paper.arxiv}), {m.paper.equation}"
        ),
        "First version": lambda m: m.paper.first_version,
        "Published at": lambda m: m.paper.venue,
    },
    "needs": {
        "Data": lambda m: "pairs: chosen and rejected" if m.data == "paired" else "one response with a thumb",
        "Reference model": lambda m: "needed" if m.needs_reference else "none",
        "Log-probs of a response": lambda m: "averaged over its tokens" if m.average else "summed over its tokens",
        "Forward passes a step": lambda m: f"{m.policy_passes} policy + {m.reference_passes} reference",
    },
    "settings": {
        "Default (usual range)": lambda m: _knobs(m, _setting),
        "Turning it up": lambda m: _knobs(m, lambda k: f"{_symbol(k)}: {k.direction}"),
    },
    "trl": {
        "In TRL": _trl,
        "Called there": lambda m: _knobs(m, lambda k: f"{_symbol(k)}: `{k.trl_name}`"),
        "Where its meaning differs": lambda m: m.trl.trap or "nowhere that we know",
    },
}


class MethodsTable(SphinxDirective):
    """One table with a row a method; the argument picks the columns: ideas, needs, settings or trl."""

    required_arguments = 1

    def run(self):
        from lessons_lib.methods import METHODS  # pulls in torch, so not before it is needed

        columns = ROWS[self.arguments[0]]
        lines = ["| Method | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
        for method in METHODS.values():
            cells = [f"**{method.name}**", *(describe(method) for describe in columns.values())]
            lines.append("| " + " | ".join(cells) + " |")
        box = nodes.container(classes=["methods-table"])
        self.state.nested_parse(StringList(lines, source="lessons_lib.methods"), self.content_offset, box)
        return [box]


def setup(app):
    app.add_directive("methods-table", MethodsTable)
