"""The trusted side: is an answer right? It comes from the sandbox, so it is data to be doubted and nothing more."""

from __future__ import annotations

import math

from lessons_lib.grading import wire
from lessons_lib.grading.spec import JSON, Item, asked

_SMALLEST = 1e-9  # the absolute difference that is always allowed


def expected(item: Item, case: dict[str, JSON] | None) -> dict[str, JSON] | None:
    """The right answer in the wire's form; None where the item has a judge instead."""
    if item.expected is None:
        return None
    if case is None:
        return wire.encode(item.expected())
    return wire.call(item.expected, asked(case), item.gradient)


def share(item: Item, case: dict[str, JSON] | None, right: dict[str, JSON] | None, came: JSON) -> tuple[float, str]:
    """The share of a case's points that an answer earns, and why not all of it."""
    if not isinstance(came, dict):
        return 0.0, "no answer"
    earned, why = _judged(item, case, came) if item.judge else _compared(item, right, came)
    if earned < 1 and came.get("unfilled") is True:
        return earned, "not filled in"
    if not earned and "json" in came and came["json"] is None:
        return earned, "your function returns nothing yet" if item.cases else "not filled in"
    return earned, why


def together(item: Item, answers: list[JSON], cases: list[dict[str, JSON]]) -> tuple[float, str]:
    """The share of an item's points that the answers to all its cases earn as one, and what to say of them."""
    earned, told = item.together(answers, cases)
    return min(max(float(earned), 0.0), 1.0), told


def _compared(item: Item, right: dict[str, JSON], came: dict[str, JSON]) -> tuple[float, str]:
    if "tensor" in right:
        return _tensor(item, right, came)
    value = came["json"] if "json" in came else _bare(came.get("tensor"))
    wrong = _difference(right["json"], value, item.tolerance)
    return (0.0, wrong) if wrong else (1.0, "")


def _bare(value: JSON) -> JSON:
    """A tensor of one element counts as the number in it."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value


def _judged(item: Item, case: dict[str, JSON] | None, came: dict[str, JSON]) -> tuple[float, str]:
    try:
        share = float(item.judge(came.get("json", came.get("tensor")), case or {}))
    except Exception as error:  # an answer of a form that the judge did not expect
        return 0.0, f"not an answer that can be judged ({type(error).__name__})"
    if not math.isfinite(share):
        return 0.0, "not an answer that can be judged"
    share = min(max(share, 0.0), 1.0)
    return share, "" if share == 1 else "not the best answer" if share > 0 else "not the right answer"


def _tensor(item: Item, right: dict[str, JSON], came: dict[str, JSON]) -> tuple[float, str]:
    if "tensor" not in came:
        return 0.0, "a tensor was expected"
    wrong = _difference(right["tensor"], came["tensor"], item.tolerance)
    if wrong or not item.gradient:
        return (0.0, wrong) if wrong else (1.0, "")
    found = came.get("gradients")
    if not isinstance(found, dict):
        return 0.0, "the values are right, but they carry no gradient"
    for name in item.gradient:
        if _difference(right["gradients"][name], found.get(name), item.tolerance):
            return 0.0, f"the values are right, the gradient with respect to {name} is not"
    return 1.0, ""


def _difference(right: JSON, came: JSON, tolerance: float) -> str:
    """What is wrong with an answer; empty where it is right."""
    if isinstance(right, bool) or right is None or isinstance(right, str):
        return "" if type(came) is type(right) and came == right else _told(right, came)
    if isinstance(right, (int, float)):
        return "" if _close(right, came, tolerance) else _told(right, came)
    if isinstance(right, list):
        if not isinstance(came, list):
            return f"{len(right)} values were expected"
        if len(came) != len(right):
            return f"{len(right)} values were expected, {len(came)} came"
        pairs = zip(right, came, strict=True)
    else:
        if not isinstance(came, dict) or set(came) != set(right):
            return f"a dictionary with {', '.join(right)} was expected"
        pairs = ((right[name], came[name]) for name in right)
    return next(filter(None, (_difference(r, c, tolerance) for r, c in pairs)), "")


def _close(right: float, came: JSON, tolerance: float) -> bool:
    if isinstance(came, bool) or not isinstance(came, (int, float)):
        return False
    if isinstance(came, int) and abs(came) > 2**1000:  # larger than any float
        return False
    if not math.isfinite(right) or not math.isfinite(came):
        return right == came or (math.isnan(right) and math.isnan(came))
    return abs(came - right) <= tolerance * abs(right) + _SMALLEST


def _told(right: JSON, came: JSON) -> str:
    kind = {str: "a text", bool: "True or False", type(None): "None"}.get(type(right), "a number")
    return "not the right value" if type(came) is type(right) else f"{kind} was expected"
