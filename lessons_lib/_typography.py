"""A number, its sign and its unit stay on one line: the spaces between them do not break."""

from __future__ import annotations

import re

NO_BREAK = "\N{NO-BREAK SPACE}"
UNIT = r"(?:%|‰|[kKMGT]?i?B|ms|µs|s|min|h|nats?|px|k|M|thousand|million|billion)(?!\w)"
_BEFORE_UNIT = re.compile(rf"(?<=\d) (?={UNIT})")
_AFTER_SIGN = re.compile(r"(?<=[±≈~≤≥−]) (?=\d)")


def together(text: str, before: str = "") -> str:
    """`text` with its numbers kept together; `before` is what stands in front of it, a number for one.

    Example:
        >>> together("at 50 % of ± 0.2 nats").split(" ")
        ['at', '50\\xa0%', 'of', '±\\xa00.2\\xa0nats']
        >>> together(" GB are free", before="16").split(" ")
        ['\\xa0GB', 'are', 'free']
    """
    return _AFTER_SIGN.sub(NO_BREAK, _BEFORE_UNIT.sub(NO_BREAK, before + text))[len(before) :]
