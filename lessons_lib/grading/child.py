"""The untrusted side: runs in the sandbox, executes a learner's cells and calls her functions when asked to.

One JSON line in, one JSON line out. Everything here shares a process with the learner's code, which may change any of
it: that gains nothing, because no expected value, no other learner's work and no mark is on this side of the wall.
Run as a script, by path, in a fresh interpreter, with its limits and the folder that holds the library.
"""

import json
import os
import resource
import sys
import types


def main() -> None:
    requests, answers = _take_channel()
    _limit(json.loads(sys.argv[1]))
    sys.path.insert(0, sys.argv[2])  # the library that the grader runs, whatever is installed
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


def _lean(names: dict, request: dict) -> dict:
    """Let PyTorch's import pass over its kernels without data, which plain arithmetic never asks for."""
    sys.modules.setdefault("torch._meta_registrations", types.ModuleType("torch._meta_registrations"))
    return {}


def _about(names: dict, request: dict) -> dict:
    """Where this process takes its code from, for the grader's self-test."""
    from importlib.util import find_spec

    import lessons_lib

    found = {name: find_spec(name) for name in request["modules"]}  # found, not loaded: PyTorch takes a second
    return {
        "python": sys.version,
        "version": lessons_lib.__version__,
        "files": {name: spec.origin if spec else None for name, spec in found.items()},
    }


def _run_cell(names: dict, request: dict) -> dict:
    """Run a cell; what of it this process cannot run, such as a shell command, is read around and named."""
    from lessons_lib.grading import cells

    return {"odd": cells.run(request["source"], f"<cell {request['number']}>", names)}


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


_ACTIONS = {"ready": _ready, "lean": _lean, "about": _about, "cell": _run_cell, "call": _call, "check": _check}

if __name__ == "__main__":
    main()
