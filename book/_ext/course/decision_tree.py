"""``{decision-tree}``: the tree that `lessons_lib.advice.decide` walks, as a nested list that site.css draws."""

from __future__ import annotations

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from course.outline import read_outline


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _leaf(leaf, reason: str, methods, lessons) -> str:
    method, second = methods[leaf.method].name, methods[leaf.runner_up].name
    return f"**{method}**, or else {second}. {_sentence(reason)}. See {{lesson}}`{lessons[leaf.method]}`."


def as_markdown(tree, methods, lessons: dict[str, int]) -> list[str]:
    """Questions as numbered items; under each its answers, those that end the walk with their method and why.

    The reason is the first paper's that no answer before has given.
    """
    lines, given = ["{.tree}"], set()
    for question in tree.questions.values():
        lines.append(f"1. {question.text}")
        for answer in question.answers:
            lines.append(f"   - {_sentence(answer.label)}")
            if answer.then in tree.leaves:
                reason = next(e for e in answer.evidence if e.kind == "paper" and e not in given)
                given.add(reason)
                lines += ["", f"     {_leaf(tree.leaves[answer.then], reason.says, methods, lessons)}"]
        lines.append("")
    return lines


class DecisionTree(SphinxDirective):
    def run(self):
        from lessons_lib.advice.decide import evidence_so_far, load_tree
        from lessons_lib.methods import METHODS

        lessons = {one.method: one.number for phase in read_outline(set()) for one in phase.lessons if one.method}
        lines = [*as_markdown(load_tree(), METHODS, lessons), "", evidence_so_far()]
        box = nodes.container()
        self.state.nested_parse(StringList(lines, source="lessons_lib.advice.decide"), self.content_offset, box)
        return box.children


def setup(app):
    app.add_directive("decision-tree", DecisionTree)
