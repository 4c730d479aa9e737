"""What pages show of the decision, all of it from `lessons_lib.advice`, so that no page states a verdict by hand.

- ``{decision-tree}``: the tree as a nested list that site.css draws, each end with its leaf's card
- ``{decision-table}``: a row for each leaf: what was made for it, whether runs bear that out, what to start with
- ``{decision}`default` `` and ``{decision}`noisy` ``: a sentence; the default, or a leaf by its key
"""

from __future__ import annotations

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective, SphinxRole

from course.outline import read_outline


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _leaf(card: dict, lessons: dict[str, int]) -> str:
    from lessons_lib.advice.cards import badges, made_for, named, standing

    made = f"{made_for(card)} ({{lesson}}`{lessons[card['made_for']]}`)"
    start = named([card["start_with"]])
    said = _sentence(standing(card)).replace(f"Start with {start}", f"Start with **{start}**", 1)
    return f"{said}. {made}; borne out {badges(card)}."


def as_markdown(tree, cards, lessons: dict[str, int]) -> list[str]:
    """Questions as numbered items; under each its answers, those that end the walk with their leaf's card."""
    lines = ["{.tree}"]
    for question in tree.questions.values():
        lines.append(f"1. {question.text}")
        for answer in question.answers:
            lines.append(f"   - {_sentence(answer.label)}")
            if answer.then in tree.leaves:
                lines += ["", f"     {_leaf(cards[answer.then], lessons)}"]
        lines.append("")
    return lines


def as_table(cards) -> list[str]:
    """A row for each leaf."""
    from lessons_lib.advice.cards import named, regrets_in_words, standing
    from lessons_lib.advice.evidence import IN

    short = {key: words.removeprefix("in ") for key, words in IN.items()}
    head = ["Your data and start", "Made for this", *(f"Borne out by {words}?" for words in short.values())]
    lines = ["| " + " | ".join([*head, "By the runs", "Expected regret"]) + " |", "|---" * (len(head) + 2) + "|"]
    for card in cards.values():
        row = [", ".join(card["answers"]), named([card["made_for"]]), *card["badges"].values(), standing(card)]
        lines.append("| " + " | ".join([*row, regrets_in_words(card)]) + " |")
    return lines


def lessons_of_methods() -> dict[str, int]:
    return {one.method: one.number for phase in read_outline(set()) for one in phase.lessons if one.method}


class DecisionTree(SphinxDirective):
    def run(self):
        from lessons_lib.advice.cards import cards, default_sentence
        from lessons_lib.advice.decide import load_tree

        lines = [*as_markdown(load_tree(), cards(), lessons_of_methods()), "", default_sentence()]
        return _parsed(self, lines)


class DecisionTable(SphinxDirective):
    def run(self):
        from lessons_lib.advice.cards import cards

        return _parsed(self, as_table(cards()))


def _parsed(directive: SphinxDirective, lines: list[str]) -> list[nodes.Node]:
    box = nodes.container()
    directive.state.nested_parse(StringList(lines, source="lessons_lib.advice"), directive.content_offset, box)
    return box.children


class Decision(SphinxRole):
    def run(self):
        from lessons_lib.advice.cards import default_sentence, sentence

        text = default_sentence().removesuffix(".") if self.text == "default" else sentence(self.text)
        return [nodes.inline(text, text, classes=["decision"])], []


def setup(app):
    app.add_directive("decision-tree", DecisionTree)
    app.add_directive("decision-table", DecisionTable)
    app.add_role("decision", Decision())
