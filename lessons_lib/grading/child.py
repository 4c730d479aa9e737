"""The untrusted side: runs in the sandbox, executes a learner's cells and calls her functions when asked to.

One JSON line in, one JSON line out. Everything here shares a process with the learner's code, which may change any of
it: that gains nothing, because no expected value, no other learner's work and no mark is on this side of the wall.
Run as a script, by path, in a fresh interpreter.
"""

import json
import os
import re
import resource
import sys
import types


def main() -> None:
    requests, answers = _take_channel()
    _limit(json.loads(sys.argv[1]))
    names = _notebook_names()
    for line in requests:
        request = json.loads(line)
        try:
            answer = _ACTIONS[request["do"]](names, request)
            text = json.dumps({"id": request["id"], **answer})
        except BaseException as error:  # exits and interrupts too: the next request still gets its answer
            text = json.dumps({"id": request["id"], "error": _told(error)})
        answers.write(text + "\n")
        answers.flush()


def _take_channel():
    """The two ends of the wire, moved off the standard streams, which then lead nowhere: prints cannot mix in."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    return requests, answers


def _limit(limits: dict[str, int]) -> None:
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))


def _notebook_names() -> dict:
    """The names a notebook starts with, in a module of its own that is `__main__` to the learner's code."""
    module = types.ModuleType("__main__")
    module.display = lambda *values, **options: None
    module.get_ipython = lambda: None
    sys.modules["__main__"] = module
    return vars(module)


def _ready(names: dict, request: dict) -> dict:
    return {}


def _run_cell(names: dict, request: dict) -> dict:
    place = f"<cell {request['number']}>"
    try:
        code = compile(request["source"], place, "exec")
    except SyntaxError:
        code = compile(_without_magics(request["source"]), place, "exec")
    exec(code, names)
    return {}


def _without_magics(source: str) -> str:
    """A notebook's `%matplotlib inline` and `!ls` do nothing here; a cell that is all magic is empty."""
    if source.lstrip().startswith("%%"):
        return ""
    return re.sub(r"^([ \t]*)[%!].*$", r"\1pass", source, flags=re.MULTILINE)


def _call(names: dict, request: dict) -> dict:
    from lessons_lib.grading import wire

    if request["name"] not in names:
        return {"error": f"the notebook defines no {request['name']}"}
    value = names[request["name"]]
    if request["case"] is None:
        return {"answer": wire.encode(value)}
    return {"answer": wire.call(value, request["case"], request["gradient"])}


def _check(names: dict, request: dict) -> dict:
    return {"message": repr(eval(request["source"], names))}


def _told(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"[:500]
    except BaseException:  # its own text raises
        return type(error).__name__


_ACTIONS = {"ready": _ready, "cell": _run_cell, "call": _call, "check": _check}

if __name__ == "__main__":
    main()
