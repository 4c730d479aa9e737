"""Conversations in the spellings that they come in, brought to ``[{role, content}]`` or to plain text.

Three spellings of a turn are known: ``{role, content}`` (OpenAI and the Hugging Face ecosystem), ``{from, value}``
(ShareGPT) and ``{speaker, text}``; a content may be text or a list of parts. A transcript is a conversation in one
text, its turns told apart by marks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TypeGuard

_KEYS = (("role", "content"), ("from", "value"), ("role", "value"), ("role", "text"), ("speaker", "text"))
_ROLES = {
    **dict.fromkeys(("user", "human", "prompter", "question", "client", "customer"), "user"),
    **dict.fromkeys(("assistant", "gpt", "bot", "model", "chatgpt", "agent", "ai", "function_call"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("tool", "function", "function_response", "observation", "ipython"), "tool"),
}
# How a transcript says that the assistant speaks next; what stands after the last mark is the reply.
MARKS = (
    "\n\nAssistant:",
    "<|im_start|>assistant\n",
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "<start_of_turn>model\n",
    "[/INST]",
    "<|assistant|>\n",
    "### Response:\n",
)


def is_turn(value: object) -> bool:
    """Whether `value` is one turn, in any of the spellings."""
    return isinstance(value, Mapping) and _keys_of(value) is not None


def is_turns(value: object) -> TypeGuard[Sequence[Mapping]]:
    """Whether `value` is a list of turns."""
    return isinstance(value, (list, tuple)) and len(value) > 0 and all(map(is_turn, value))


def messages(value: object) -> list[dict]:
    """One turn, or a list of them, as ``[{role, content}]``.

    Raises:
        ValueError: no turns, or a role that nobody knows.
    """
    turns = [value] if is_turn(value) else value
    if not is_turns(turns):
        raise ValueError(f"turns {{role, content}} or {{from, value}} were expected, {type(value).__name__} came")
    return [_message(turn) for turn in turns]


def _message(turn: Mapping) -> dict:
    role_key, content_key = _keys(turn)
    role = _ROLES.get(str(turn[role_key]).strip().lower())
    if role is None:
        raise ValueError(f"the role {turn[role_key]!r} is not one of {', '.join(_ROLES)}")
    content = turn[content_key]
    if not content and turn.get("tool_calls"):
        content = json.dumps(turn["tool_calls"], ensure_ascii=False)
    return {"role": role, "content": _text_of(content)}


def split_contrast(value: object) -> tuple[list[dict], list[dict], list[dict]] | None:
    """Turns that end with two replies whose roles say which is better, as (prompt, chosen, rejected); else None.

    >>> said = [("human", "Hi"), ("chosen_gpt", "Hello."), ("rejected_gpt", "No.")]
    >>> [turn[0]["content"] for turn in split_contrast([{"from": role, "value": text} for role, text in said])]
    ['Hi', 'Hello.', 'No.']
    """
    if not is_turns(value) or len(value) < 3:
        return None
    *before, one, other = value
    told = {_merit(turn): turn for turn in (one, other)}
    if set(told) != {"chosen", "rejected"} or any(_merit(turn) for turn in before):
        return None
    chosen, rejected = (
        [{"role": "assistant", "content": _text_of(told[merit][_keys(told[merit])[1]])}]
        for merit in ("chosen", "rejected")
    )
    return messages(before), chosen, rejected


def _merit(turn: Mapping) -> str | None:
    """What a turn's role says of it: "chosen", "rejected" or nothing."""
    words = re.findall(r"[a-z]+", str(turn[_keys(turn)[0]]).lower())
    return next((merit for merit in ("chosen", "rejected") if merit in words), None)


def _keys(turn: Mapping) -> tuple[str, str]:
    """The names of role and text in what `is_turn`."""
    return next(keys for keys in _KEYS if keys[0] in turn and keys[1] in turn)


def _keys_of(turn: Mapping) -> tuple[str, str] | None:
    return next((keys for keys in _KEYS if keys[0] in turn and keys[1] in turn), None)


def _text_of(content: object) -> object:
    """The text of a content: of a list of parts, its text parts, so that pictures are left out."""
    if isinstance(content, list) and all(isinstance(part, Mapping) for part in content):
        texts = (part.get("text", part.get("value") if part.get("type") == "text" else None) for part in content)
        return "\n".join(text for text in texts if isinstance(text, str))
    return content


def split_transcript(text: str) -> tuple[str, str] | None:
    """A transcript as prompt (its last mark included) and reply; None where it holds no mark.

    >>> split_transcript("\\n\\nHuman: Hi\\n\\nAssistant: Hello.")
    ('\\n\\nHuman: Hi\\n\\nAssistant:', 'Hello.')
    """
    place, mark = max((text.rfind(mark), mark) for mark in MARKS)
    if place < 0:
        return None
    end = place + len(mark)
    return text[:end], text[end:].lstrip(" ")


def as_reply(value: object) -> str | list[dict]:
    """A reply: text as it stands; one turn, or several, as messages."""
    return value if isinstance(value, str) else messages(value)


def in_one_form(prompt: str | list[dict], *replies: str | list[dict]) -> tuple:
    """Prompt and replies as plain text where all are, else all as messages."""
    if all(isinstance(value, str) for value in (prompt, *replies)):
        return prompt, *replies
    asked = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    said = ([{"role": "assistant", "content": reply}] if isinstance(reply, str) else reply for reply in replies)
    return asked, *said


def split_whole(chosen: list[dict], rejected: list[dict]) -> tuple[list[dict], list[dict], list[dict]] | None:
    """Two whole conversations as (prompt, chosen, rejected); None where they part before the last user turn."""
    shared = 0
    while shared < min(len(chosen), len(rejected)) and chosen[shared] == rejected[shared]:
        shared += 1
    while shared and chosen[shared - 1]["role"] not in ("user", "tool"):  # both go on alike: that is reply as well
        shared -= 1
    replies = chosen[shared:], rejected[shared:]
    if not shared or any(turn["role"] in ("user", "system") for reply in replies for turn in reply):
        return None
    return chosen[:shared], *replies
