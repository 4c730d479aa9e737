"""``{decision-tree}``: the tree that `lessons_lib.advice.decide` walks, as a nested list that site.css draws.

At each end stands the leaf's card: what to start with, who is as good, what was made for this, and the three badges.
"""

from __future__ import annotations

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from course.outline import read_outline


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _leaf(card: dict, methods, lessons) -> str:
    def named(keys) -> str:
        return ", ".join(methods[key].name for key in keys)

    said = [f"Start with **{methods[card['start_with']].name}**"]
    if card["equivalents"]:
        said.append(f"as good: {named(card['equivalents'])}")
    if card["cannot_tell"]:
        said.append(f"cannot be told from it: {named(card['cannot_tell'])}")
    made = f"Made for this: {methods[card['made_for']].name} ({{lesson}}`{lessons[card['made_for']]}`)"
    badges = ", ".join(f"{BADGES[key]}: {badge}" for key, badge in card["badges"].items())
    return f"{'; '.join(said)}. {made}; that it pays here is, by {badges}."


BADGES = {"46k": "our small models", "135M": "our pre-trained model", "published": "published comparisons"}


def as_markdown(tree, cards, methods, lessons: dict[str, int]) -> list[str]:
    """Questions as numbered items; under each its answers, those that end the walk with their leaf's card."""
    lines = ["{.tree}"]
    for question in tree.questions.values():
        lines.append(f"1. {question.text}")
        for answer in question.answers:
            lines.append(f"   - {_sentence(answer.label)}")
            if answer.then in tree.leaves:
                lines += ["", f"     {_leaf(cards[answer.then], methods, lessons)}"]
        lines.append("")
    return lines


def default_sentence(default: dict | None, methods) -> str:
    """Which method is never far behind, with its figures; or that nothing was measured."""
    if default is None:
        return "Nothing has been measured here yet: this rests on the papers named."
    name, far = methods[default["method"]].name, default["far"][default["method"]]
    mean = far["mean"]
    text = (
        f"**When nothing can be told apart: {name}.** Over all {default['regimes']} kinds of data in our small models "
        f"it was {mean['estimate']:.2f} points of gold reward behind the best of the five on average (95 %: "
        f"{mean['low']:.2f} to {mean['high']:.2f}) and at worst {far['worst']:.2f} ({far['where']}); no other's worst "
        f"was as small. *(measured here)*"
    )
    if default["least_mean"] != default["method"]:
        text += f" On average {methods[default['least_mean']].name} was less far behind."
    return text


class DecisionTree(SphinxDirective):
    def run(self):
        from lessons_lib.advice.cards import cards, default_card
        from lessons_lib.advice.decide import load_tree
        from lessons_lib.methods import METHODS

        lessons = {one.method: one.number for phase in read_outline(set()) for one in phase.lessons if one.method}
        tree = as_markdown(load_tree(), cards(), METHODS, lessons)
        lines = [*tree, "", default_sentence(default_card(), METHODS)]
        box = nodes.container()
        self.state.nested_parse(StringList(lines, source="lessons_lib.advice.decide"), self.content_offset, box)
        return box.children


def setup(app):
    app.add_directive("decision-tree", DecisionTree)
