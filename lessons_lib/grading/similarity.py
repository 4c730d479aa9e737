"""Which answers are alike enough to be worth a look: questions for a person, never verdicts, and never marks."""

from __future__ import annotations

import io
import tokenize
from collections import Counter
from collections.abc import Mapping
from itertools import combinations

_RUN = 6  # tokens in a piece that is compared
_COMMON = 0.1  # pieces that more of the class than this share come from the task, not from a neighbour
_FEWEST = 8  # uncommon pieces below which a short answer says nothing
ALIKE = 0.7  # shared part of two answers' uncommon pieces from which they are named


def alike(answers: Mapping[str, tuple[str, ...]], given: tuple[str, ...]) -> list[tuple[str, str, float]]:
    """Pairs of learners whose answers share most of what is unusual in them, and how much, most alike first.

    Comments count, layout does not, and what was handed out is left out. Short exercises have few ways to be
    solved, so that many pairs of them are never named; renaming every variable hides a copy.
    """
    handed_out = set().union(*(map(_pieces, given))) if given else set()
    pieces = {learner: set().union(*map(_pieces, sources)) - handed_out for learner, sources in answers.items()}
    counts = Counter(piece for own in pieces.values() for piece in own)
    most = max(2, _COMMON * len(pieces))
    rare = {learner: {p for p in own if counts[p] <= most} for learner, own in pieces.items()}
    rare = {learner: own for learner, own in rare.items() if len(own) >= _FEWEST}
    found = [(a, b, len(rare[a] & rare[b]) / len(rare[a] | rare[b])) for a, b in combinations(sorted(rare), 2)]
    return sorted((pair for pair in found if pair[2] >= ALIKE), key=lambda pair: -pair[2])


def _pieces(source: str) -> set[tuple[str, ...]]:
    tokens = _tokens(source)
    return {tuple(tokens[i : i + _RUN]) for i in range(len(tokens) - _RUN + 1)}


def _tokens(source: str) -> list[str]:
    layout = (tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
        return [token.string for token in tokens if token.type not in layout]
    except (tokenize.TokenError, SyntaxError):
        return source.split()
