"""Each learner's own numbers, from an HMAC of salt, learner and exercise: the same at every grading, no two alike.

Two kinds that do not give each other away: hidden inputs, which only the grader draws, and a ticket that the
instructor may hand out, from which a learner's notebook draws her own data.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import random
import secrets
from pathlib import Path

from lessons_lib.errors import UserError
from lessons_lib.grading.spec import JSON, Exercise, Item

PRACTICE = "practice"  # the ticket that a notebook holds before its learner types her own


def _digest(salt: bytes, *parts: str) -> bytes:
    return hmac.new(salt, "\0".join(parts).encode(), hashlib.sha256).digest()


def hidden(salt: bytes, learner: str, exercise: str, item: str) -> random.Random:
    """The random numbers behind a learner's hidden inputs of one item."""
    return random.Random(_digest(salt, "hidden", learner, exercise, item))


def ticket(salt: bytes, learner: str, exercise: str) -> str:
    """Twelve letters and digits that the learner types into her notebook to draw her own data."""
    return _digest(salt, "ticket", learner, exercise).hex()[:12]


def numbers(ticket: str) -> random.Random:
    """The random numbers behind a learner's own data, for her and for the grader alike."""
    return random.Random(f"ticket {ticket.strip().lower()}")


def stream(ticket: str, part: str) -> random.Random:
    """The same for one part of her data, so that the parts are drawn apart."""
    return random.Random(f"ticket {ticket.strip().lower()} {part}")


def cases_of(
    exercise: Exercise, salt: bytes, learner: str, drawn_from: str | None = None
) -> dict[str, list[dict[str, JSON] | None]]:
    """A learner's hidden cases of every item, by the item's name; [None] for a plain value.

    An item on the learner's own data has her ticket for its case, or `drawn_from` in its place.
    """
    mine = drawn_from or ticket(salt, learner, exercise.name)

    def cases(item: Item) -> list[dict[str, JSON] | None]:
        if item.own:
            if item.prepare:
                item.prepare(mine)
            return [{"ticket": mine}]
        return item.cases(hidden(salt, learner, exercise.name, item.name)) if item.cases else [None]

    return {item.name: cases(item) for item in exercise.items_for(mine)}


def read_salt(path: Path) -> bytes:
    """The course's salt; drawn and written, readable for its owner alone, where there is none yet."""
    if not path.exists():
        from lessons_lib.grading import files  # here: learners draw their data by this module, on any system

        files.keep_from_git(path.parent)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32) + "\n")
    salt = path.read_text(encoding="utf-8").strip().encode()
    if len(salt) < 32:
        raise UserError(f"{path}: expected a salt of 32 characters or more, got {len(salt)}; delete it to draw one")
    return salt
