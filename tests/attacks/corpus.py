"""Submissions that try to gain points, to harm or to confuse, and what each must end with.

Every row of the table of attacks on graders that the project started from has its entries here, and the JSON
protocol has attacks of its own. An attack may hold honest answers too: it keeps exactly their points.
The exercise is `light`: distance, total, lengths and answer, 2 points each.
"""

from __future__ import annotations

import json
import os
import platform
import textwrap
from dataclasses import dataclass
from pathlib import Path

SOLUTIONS = {
    "distance": "def distance(x):\n    return -x if x < 0 else x",
    "total": "def total(values):\n    so_far = 0.0\n    for value in values: so_far += value\n    return so_far",
    "lengths": "def lengths(words):\n    return {word: len(word) for word in words}",
    "answer": "import math\nanswer = math.log(2)",
}
SPEC = Path(__file__).parent / "light" / "specs" / "light.py"
STUBS = {name: f"def {name}(*arguments, **named):\n    ..." for name in SOLUTIONS} | {"answer": "answer = ..."}
ALL = tuple(SOLUTIONS)


@dataclass(frozen=True)
class Attack:
    """One submission.

    Attributes:
        code: runs in a cell after the stubs, or, where `first`, before them.
        solved: the items that are answered honestly.
        points: what it must get; 2 for each honest answer unless it says otherwise.
        flags: what must be said about it.
        perhaps: what may be said besides, where two processes race and either may win.
        status: what must be said where it cannot be marked at all.
        content: the file's bytes, instead of a notebook made from the above.
        file: its name, where it is not the exercise's.
    """

    code: str = ""
    solved: tuple[str, ...] = ()
    points: float | None = None
    flags: tuple[str, ...] = ()
    perhaps: tuple[str, ...] = ()
    status: str = "graded"
    first: bool = False
    content: bytes | None = None
    file: str = "light.ipynb"
    drop: tuple[str, ...] = ()
    twice: tuple[str, ...] = ()

    @property
    def due(self) -> float:
        return 2.0 * len(self.solved) if self.points is None else self.points

    def notebook(self) -> bytes:
        """The file's content."""
        if self.content is not None:
            return self.content
        cells = [_cell(SOLUTIONS[n] if n in self.solved else STUBS[n], n) for n in ALL if n not in self.drop]
        cells += [_cell(STUBS[name], name) for name in self.twice]
        extra = [_cell(textwrap.dedent(self.code).strip())] if self.code else []
        cells = [*extra, *cells] if self.first else [*cells, *extra]
        return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


def _cell(source: str, name: str = "") -> dict:
    mark = {"grade": False, "grade_id": name, "locked": False, "schema_version": 3, "solution": True, "task": False}
    metadata = {"nbgrader": mark} if name else {}
    return {"cell_type": "code", "execution_count": None, "metadata": metadata, "outputs": [], "source": source}


# Everything answers with the same thing: an object, a number, whatever `what` builds.
def _always(what: str, before: str = "") -> str:
    return f"""{before}
def distance(x): return {what}
total = lambda values: {what}
lengths = lambda words: {what}
answer = {what}"""


# Where a forged answer is written: every descriptor that is open.
_DESCRIPTORS = """
import os, json
def spray(text, times=1):
    for descriptor in range(3, 64):
        try:
            for _ in range(times):
                os.write(descriptor, text.encode())
        except OSError:
            pass
"""
_FORGED = '{"id": "0123456789abcdef", "answer": {"json": 1}, "share": 1, "points": 100}\\n'
_EVERYTHING = """
class Everything:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __lt__(self, other): return True
    __le__ = __gt__ = __ge__ = __lt__
    def __sub__(self, other): return 0
    __rsub__ = __add__ = __radd__ = __mul__ = __rmul__ = __sub__
    def __abs__(self): return 0
    def __float__(self): return 0.0
    def __bool__(self): return True
    def __hash__(self): return 0
    def __contains__(self, other): return True
    def __iter__(self): return iter(())
    def __len__(self): return 1
"""


def _notebook_with(cells: object) -> bytes:
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


# Calls of the kernel that must not succeed, by what they would be for: number on x86-64 and arguments.
_CALLS = {
    "leaves_a_key_for_the_next_one": "248, b'user', b'answers', b'x', 1, -3",
    "joins_a_keyring": "250, 1, b'shared'",
    "asks_the_keyring_for_an_answer": "249, b'user', b'answers', None, -3",
    "makes_shared_memory": "29, 0x1234, 4096, 0o1666",
    "makes_a_message_queue": "68, 0x1234, 0o1666",
    "makes_semaphores": "64, 0x1234, 1, 0o1666",
    "opens_a_posix_queue": "240, b'answers', 0o102, 0o666, None",
    "makes_a_memfd": "319, b'hoard', 0",
    "makes_secret_memory": "447, 0",
    "watches_files": "253",
    "watches_the_disk": "300, 0, 0",
    "makes_an_io_ring": "425, 8, ctypes.create_string_buffer(240)",
    "handles_page_faults": "323, 1",
    "traces_the_first_process": "101, 16, 1, 0, 0",
    "reads_another_process": "310, 1, None, 0, None, 0, 0",
    "takes_another_processs_descriptor": "438, 3, 0, 0",
    "compares_kernel_objects": "312, 1, 2, 0, 0, 0",
    "counts_cpu_events": "298, ctypes.create_string_buffer(128), 0, -1, -1, 0",
    "loads_a_bpf_program": "321, 5, ctypes.create_string_buffer(128), 128",
    "asks_what_is_in_the_page_cache": "27, 0, 4096, None",
    "reads_only_from_the_page_cache": "327, 0, None, 0, 0, 0, 8",
    "drops_pages_from_the_cache": "221, 0, 0, 0, 4",
    "opens_by_handle": "304, 3, None, 0",
    "joins_a_namespace": "308, 3, 0",
    "makes_a_namespace_by_clone3": "435, ctypes.create_string_buffer(88), 88",
    "makes_a_namespace_by_clone": "56, 0x10000000 | 17, 0, 0, 0, 0",
    "changes_the_root": "161, b'/tmp'",
    "pivots_the_root": "155, b'/tmp', b'/tmp'",
    "makes_a_device": "133, b'/tmp/device', 0o20666, 259",
    "loads_a_module": "175, None, 0, b''",
    "loads_another_kernel": "246, 0, 0, None, 0",
    "sets_the_clock": "164, ctypes.create_string_buffer(16), None",
    "reads_the_kernels_log": "103, 3, ctypes.create_string_buffer(4096), 4096",
    "asks_how_full_the_machine_is": "99, ctypes.create_string_buffer(128)",
    "changes_its_personality": "135, 0x0008",
    "opens_a_virtual_machine_socket": "41, 40, 1, 0",
    "opens_a_netlink_socket": "41, 16, 3, 0",
    "opens_a_packet_socket": "41, 17, 3, 0",
    "opens_a_crypto_socket": "41, 38, 5, 0",
    "uses_the_second_set_of_numbers": "0x40000000 + 39",
}


def _calls() -> dict[str, Attack]:
    """Each is refused, so that the assertion fails; the honest answers beside it count."""
    if platform.machine() != "x86_64":
        return {}
    code = "import ctypes\nassert ctypes.CDLL(None, use_errno=True).syscall({}) != -1"
    return {name: Attack(code=code.format(call), solved=ALL, flags=("cell_error",)) for name, call in _CALLS.items()}


def _cells(*sources: str) -> bytes:
    return _notebook_with([_cell(source) for source in sources])


_SOLVED = tuple(SOLUTIONS.values())


def corpus(port: int, socket_name: str, victim: Path, out: Path) -> dict[str, Attack]:
    """Every attack by its learner's name. They are told where what they want lies: `victim`, a classmate's file,
    `out`, the folder of marks, and a listener on `port` and on the abstract socket."""
    return {
        # -------------------------------------------------------- honest ones, to compare with
        "honest_right": Attack(solved=ALL),
        "honest_half": Attack(solved=("distance", "answer")),
        "honest_stub": Attack(),
        "honest_error_in_a_cell": Attack(code="undefined_name", solved=ALL, flags=("cell_error",)),
        "honest_warnings": Attack(
            code="import warnings, sys\nwarnings.warn('look out')\nprint('!' * 1000, file=sys.stderr)", solved=ALL
        ),
        "honest_progress_bar": Attack(code="from tqdm import tqdm\nfor step in tqdm(range(200)): pass", solved=ALL),
        "honest_magics": Attack(code="%matplotlib inline\n!ls /\ndisplay(1)", solved=ALL),
        # -------------------------------------------------------- time, memory, processes, output
        "loop_in_a_cell": Attack(code="while True: pass", solved=ALL, flags=("time",)),
        "loop_in_the_first_cell": Attack(
            code="import time\nwhile True: time.sleep(1)", first=True, solved=ALL, flags=("time",)
        ),
        "loop_that_swallows_interrupts": Attack(
            code="""
            import signal, time
            for number in range(1, 65):
                try: signal.signal(number, signal.SIG_IGN)
                except (OSError, ValueError): pass
            while True:
                try: time.sleep(1)
                except BaseException: pass
            """,
            solved=ALL,
            flags=("time",),
        ),
        "loop_in_a_function": Attack(
            code="import time\ndef total(values):\n    while True: time.sleep(1)",
            solved=("distance", "lengths"),
            flags=("time",),
        ),
        "loop_in_the_second_case": Attack(
            code="""
            import time
            calls = []
            def total(values):
                calls.append(1)
                while len(calls) > 1: time.sleep(1)
                return sum(values)
            """,
            solved=("distance",),
            points=3,
            flags=("time",),
        ),
        "loop_in_every_function": Attack(
            code=_always("wait()", "import time\ndef wait():\n    while True: time.sleep(1)\n").rpartition("\n")[0],
            flags=("time",),
        ),
        "loop_while_an_error_is_told": Attack(
            code="""
            import time
            class Slow(Exception):
                def __str__(self):
                    while True: time.sleep(1)
            raise Slow()
            """,
            solved=ALL,
            flags=("time",),
        ),
        "loop_at_exit": Attack(code="import atexit, time\natexit.register(time.sleep, 3600)", solved=ALL),
        "thread_that_never_ends": Attack(
            code="import threading, time\nthreading.Thread(target=time.sleep, args=(3600,)).start()", solved=ALL
        ),
        "six_gigabytes": Attack(code="hog = bytearray(6 * 10**9)", solved=ALL, flags=("cell_error",)),
        "six_gigabytes_in_many_processes": Attack(
            code="""
            import os, time
            for _ in range(8):
                if os.fork() == 0:
                    hog = bytearray(300 * 10**6)
                    for place in range(0, len(hog), 4096): hog[place] = 1
                    time.sleep(3600)
            time.sleep(3600)
            """,
            solved=ALL,
            flags=("memory",),
        ),
        "prints_without_end_of_line": Attack(
            code="print('x' * 10**8)\nimport sys\nsys.stderr.write('y' * 10**8)", solved=ALL
        ),
        "prints_to_descriptors": Attack(
            code="import os\nfor _ in range(50): os.write(1, b'x' * 10**6); os.write(2, b'x' * 10**6)", solved=ALL
        ),
        "fills_the_disk": Attack(
            code="""
            for number in range(100):
                with open(f"/tmp/{number}", "wb") as file: file.write(b"x" * 7_000_000)
            """,
            solved=ALL,
            flags=("cell_error",),
        ),
        "one_huge_file": Attack(code="open('/tmp/huge', 'wb').write(b'x' * 10**8)", solved=ALL, flags=("cell_error",)),
        "fork_bomb": Attack(
            code="""
            import os, time
            while True:
                try: os.fork()
                except OSError: time.sleep(0.2)
            """,
            solved=ALL,
            flags=("time",),
        ),
        "exit_in_a_cell": Attack(code="import os\nos._exit(0)", solved=ALL, flags=("exit",)),
        "exit_in_a_function": Attack(
            code="import os\ndef distance(x): os._exit(0)", solved=("total", "lengths", "answer"), flags=("exit",)
        ),
        "polite_exit": Attack(code="import sys\nsys.exit(0)", solved=ALL, flags=("cell_error",)),
        "crash": Attack(code="import ctypes\nctypes.string_at(0)", solved=ALL, flags=("exit",)),
        "endless_recursion": Attack(
            code="def distance(x): return distance(x + 1) + 1",
            solved=("total",),
        ),
        "kills_everything": Attack(code="import os\nos.kill(-1, 9)", solved=ALL, flags=("cell_error",)),
        "kills_its_parent": Attack(
            code="import os, signal\nfor pid in range(1, 40):\n    try: os.kill(pid, 9)\n    except OSError: pass",
            solved=ALL,
            flags=("exit",),
        ),
        "background_process": Attack(
            code="""
            import os, subprocess, sys
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], start_new_session=True)
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    import time
                    time.sleep(3600)
                os._exit(0)
            """,
            solved=ALL,
        ),
        # -------------------------------------------------------- answers that pretend to be right
        "equal_to_everything": Attack(code=_always("Everything()", _EVERYTHING)),
        "equal_number": Attack(
            code=_always("Equal(0)", "class Equal(float):\n    __eq__ = lambda *a: True\n    __hash__ = float.__hash__")
        ),
        "equal_text": Attack(
            code=_always("Equal('x')", "class Equal(str):\n    __eq__ = lambda *a: True\n    __hash__ = str.__hash__")
        ),
        "abs_is_patched": Attack(code="import builtins\nbuiltins.abs = lambda x: 0"),
        "everything_is_patched": Attack(
            code="""
            import builtins, math, operator, json
            builtins.abs = builtins.sum = builtins.len = lambda *a, **k: 0
            builtins.all = builtins.any = builtins.isinstance = lambda *a, **k: True
            math.isclose = math.isfinite = lambda *a, **k: True
            operator.eq = lambda a, b: True
            """,
            flags=("exit",),
        ),
        "syntax_tree_transformer": Attack(
            code="""
            import ast
            class Pass(ast.NodeTransformer):
                def visit_Assert(self, node): return ast.Pass()
            get_ipython().ast_node_transformers.append(Pass())
            """,
            flags=("cell_error",),
        ),
        "input_transformer": Attack(
            code="get_ipython().input_transformers_post.append(lambda lines: ['pass'])", flags=("cell_error",)
        ),
        "true": Attack(code=_always("True")),
        "none": Attack(code=_always("None")),
        "not_a_number": Attack(code=_always("float('nan')")),
        "infinite": Attack(code=_always("float('inf')")),
        "complex_number": Attack(code=_always("1j")),
        "an_integer_larger_than_any_float": Attack(code=_always("10**4000")),
        "an_integer_too_long_to_write": Attack(code=_always("10**100000")),
        "empty_list": Attack(code=_always("[]")),
        "empty_dictionary": Attack(code=_always("{}")),
        "a_menu_of_answers": Attack(code=_always("[0, 1, 2, 3, 4, 5, 6, 7, 8, 9] * 100")),
        "lists_in_lists": Attack(
            code=_always("deep", "deep = []\nfor _ in range(400): deep = [deep]"), flags=("protocol",)
        ),
        "a_list_that_holds_itself": Attack(code=_always("deep", "deep = []\ndeep.append(deep)")),
        "an_endless_answer": Attack(code=_always("'x' * 10**7").rpartition("\n")[0], flags=("output",)),
        "half_a_character": Attack(code=_always("'\\ud800'")),
        "markup": Attack(
            code="def distance(x): raise ValueError('<script>alert(1)</script><img src=x onerror=alert(1)>')"
        ),
        "a_pickle_that_runs": Attack(
            code=_always(
                "Runs()",
                f"import os\nclass Runs:\n    __reduce__ = lambda self: (os.system, ('touch {victim}.pickled',))",
            )
        ),
        "a_list_that_lies": Attack(
            code=_always("Liar()", "class Liar:\n    tolist = lambda self: {'share': 1, 'points': 100, 'right': True}")
        ),
        # -------------------------------------------------------- what lies around
        "reads_the_specs": Attack(
            code=f"""
            import runpy
            for item in runpy.run_path({str(SPEC)!r})["EXERCISE"].items:
                globals()[item.name] = item.expected if item.cases else item.expected()
            """,
            flags=("cell_error",),
        ),
        "reads_the_grade_book": Attack(
            code=f"import sqlite3\nsqlite3.connect('{out}/gradebook.sqlite').execute('SELECT * FROM marks')",
            flags=("cell_error",),
        ),
        "forges_the_grade_book": Attack(
            code=f"""
            import sqlite3
            book = sqlite3.connect("{out}/gradebook.sqlite")
            book.execute("UPDATE marks SET points = 8")
            book.commit()
            """,
            flags=("cell_error",),
        ),
        "reads_the_salt": Attack(code=f"salt = open('{out}/salt.txt').read()", flags=("cell_error",)),
        "reads_a_classmates_file": Attack(code=f"exec(open('{victim}').read())", flags=("cell_error",)),
        "writes_a_classmates_file": Attack(
            code=f"""
            import os
            os.makedirs("{victim.parent}", exist_ok=True)
            open("{victim}", "w").write("spoiled")
            """,
            solved=ALL,  # the /tmp that it wrote to was its own
        ),
        "poisons_the_library": Attack(
            code="""
            import lessons_lib.grading.compare as module
            open(module.__file__, "a").write("\\ndef share(*a): return 1.0, ''\\n")
            """,
            flags=("cell_error",),
        ),
        "poisons_the_next_start": Attack(
            code="""
            import os, site
            for folder in [*site.getsitepackages(), os.path.expanduser("~"), "/usr/lib/python3"]:
                try: open(folder + "/sitecustomize.py", "w").write("raise SystemExit")
                except OSError: pass
            """,
            solved=ALL,
        ),
        "reads_proc": Attack(
            code="open('/proc/1/environ').read() + open('/proc/self/mem').read()", flags=("cell_error",)
        ),
        "reads_the_environment": Attack(code="import os\nos.environ['LESSONS_CANARY']", flags=("cell_error",)),
        "looks_up_the_stack": Attack(
            code="""
            import sys, gc
            def distance(x):
                found, frame = [], sys._getframe()
                while frame:
                    found += [v for v in frame.f_locals.values() if isinstance(v, dict)]
                    frame = frame.f_back
                for holder in found + [o for o in gc.get_objects() if isinstance(o, dict)]:
                    for key in ("expected", "right", "answer"):
                        if isinstance(holder.get(key), float): return holder[key]
            """
        ),
        "opens_a_socket": Attack(
            code=f"import socket\nsocket.create_connection(('127.0.0.1', {port}), timeout=1).send(b'reached')",
            flags=("cell_error",),
        ),
        "sends_a_datagram": Attack(
            code=f"from socket import *\nsocket(AF_INET, SOCK_DGRAM).sendto(b'reached', ('127.0.0.1', {port}))",
            solved=ALL,
            flags=("cell_error",),
        ),
        "opens_an_abstract_socket": Attack(
            code=f"import socket\nsocket.socket(socket.AF_UNIX).connect('\\0{socket_name}')", flags=("cell_error",)
        ),
        "makes_a_namespace": Attack(
            code="import ctypes\nassert ctypes.CDLL(None).unshare(0x10000000 | 0x20000) == 0", flags=("cell_error",)
        ),
        "mounts": Attack(
            code="import ctypes\nassert ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0",
            flags=("cell_error",),
        ),
        "becomes_root": Attack(code="import os\nos.setuid(0)", flags=("cell_error",)),
        "raises_its_limits": Attack(
            code="""
            import resource
            for name in ("RLIMIT_AS", "RLIMIT_NPROC", "RLIMIT_CPU"):
                resource.setrlimit(getattr(resource, name), (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            """,
            flags=("cell_error",),
        ),
        # -------------------------------------------------------- the kernel
        **_calls(),
        "reads_what_a_key_holds": Attack(
            code="""
            import ctypes
            libc, found = ctypes.CDLL(None), ctypes.create_string_buffer(2000)
            key = libc.syscall(250, 10, -3, b"user", b"answers", 0)
            exec(found.raw[: libc.syscall(250, 11, key, found, 2000)].decode())
            """,
            flags=("cell_error",),
        ),
        "signals_by_a_file_lock": Attack(
            code="""
            import fcntl, json
            shared = open(json.__file__)
            fcntl.flock(shared, fcntl.LOCK_EX | fcntl.LOCK_NB)  # seems to succeed, for everybody at once
            """,
            solved=ALL,
        ),
        "asks_for_a_lease": Attack(
            code="import fcntl, json\nfcntl.fcntl(open(json.__file__), 1024, 0)", solved=ALL, flags=("cell_error",)
        ),
        "becomes_another_program": Attack(
            code="import os\nos.execv('/bin/sh', ['sh', '-c', 'echo right'])",
            solved=ALL,
            flags=("exit",),
        ),
        "leaves_a_child_in_its_place": Attack(code="import os\nif os.fork(): os._exit(0)", flags=("exit",)),
        "a_timer_that_kills": Attack(
            code="import signal, time\nsignal.setitimer(signal.ITIMER_REAL, 0.05)\ntime.sleep(1)",
            solved=ALL,
            flags=("exit",),
        ),
        # -------------------------------------------------------- the grader's own time and memory
        "fifty_thousand_values": Attack(code=_always("[1] * 60_000").rpartition("\n")[0], flags=("output",)),
        "empty_lists_without_end": Attack(code=_always("[[]] * 51_000").rpartition("\n")[0], flags=("output",)),
        "a_dictionary_of_long_names": Attack(code=_always("{'x' * 1000 * i: i for i in range(9)}")),
        "numbers_as_texts": Attack(code=_always("'0.6931471805599453'")),
        "a_text_of_zeros": Attack(code=_always("'\\0' * 1000")),
        "brackets_in_the_code": Attack(code="x = " + "(" * 5000 + ")" * 5000, solved=ALL, flags=("cell_error",)),
        "a_tower_of_magics": Attack(code="%%time\n" * 300 + "x = 1", solved=ALL, flags=("cell_error",)),
        "shell_commands": Attack(code="!rm -rf /\nx = 1", solved=ALL),
        "writes_a_module": Attack(code="%%writefile lessons_lib.py\nx = 1", solved=ALL, flags=("magic",)),
        "an_import_hook": Attack(
            code="""
            import sys, types
            class Hook:
                def find_spec(self, name, path=None, target=None):
                    if name == "lessons_lib.grading.wire":
                        one = lambda *a: {"json": 1, "share": 1}
                        sys.modules[name] = types.SimpleNamespace(encode=one, call=one)
            sys.meta_path.insert(0, Hook())
            """
        ),
        "writing_from_right_to_left": Attack(code="x = 1  # \u202e thgir", solved=ALL),
        # -------------------------------------------------------- the protocol itself
        "forged_lines": Attack(code=f"{_DESCRIPTORS}\nspray('{_FORGED}')", flags=("protocol",)),
        "forged_lines_between_calls": Attack(
            code=f"{_DESCRIPTORS}\ndef distance(x):\n    spray('{_FORGED}')\n    return 1", flags=("protocol",)
        ),
        "forged_lines_from_another_process": Attack(
            code=f"{_DESCRIPTORS}\nif os.fork() == 0:\n    while True: spray('{_FORGED}', 10)", flags=("protocol",)
        ),
        "forged_numbers_in_the_answer": Attack(
            code="""
            import sys
            wire = __import__("lessons_lib.grading.wire", fromlist=["wire"])
            wire.encode = lambda value: {"json": 1, "share": 1, "points": 100, "right": {"json": 1}}
            wire.call = lambda *a: {"json": 1, "share": 1, "points": 100, "tolerance": 1e9}
            """
        ),
        "forged_gradients_and_shapes": Attack(
            code="""
            import lessons_lib.grading.wire as wire
            wire.encode = wire.call = lambda *a: {"tensor": 1, "shape": {}, "requires_grad": "yes", "gradients": True}
            """
        ),
        "answers_of_the_wrong_kind": Attack(
            code="""
            import lessons_lib.grading.wire as wire
            answers = iter([[], "right", 1, None, {"json": {"json": 1}}, True, {}])
            wire.encode = wire.call = lambda *a: next(answers)
            """
        ),
        "patched_json": Attack(
            code='import json\njson.dumps = lambda *a, **k: \'{"id": 1, "share": 1}\'', flags=("protocol",)
        ),
        "json_that_is_none": Attack(code="import json\njson.dumps = lambda *a, **k: 'right'", flags=("protocol",)),
        "json_with_a_number_of_its_own": Attack(
            code="import json\njson.dumps = lambda *a, **k: '{\"id\": ' + '9' * 5000 + '}'", flags=("protocol",)
        ),
        "answers_before_the_question": Attack(
            code=_DESCRIPTORS
            + "import random\nfor _ in range(200):\n"
            + "    spray(json.dumps({'id': '%016x' % random.getrandbits(64), 'answer': {'json': 1}}) + chr(10))",
            flags=("protocol",),
        ),
        "a_line_that_never_ends": Attack(code=f"{_DESCRIPTORS}\nspray('x' * 5000, 12)", flags=("protocol",)),
        "reads_the_next_questions": Attack(
            code="""
            import os, threading
            def steal():
                for descriptor in range(3, 30):
                    try: os.read(descriptor, 10**6)
                    except OSError: pass
            threading.Thread(target=steal, daemon=True).start()
            import time
            time.sleep(0.2)
            """,
            perhaps=("time",),  # where the thread wakes before the reader that the question is for
        ),
        "closes_every_descriptor": Attack(code="import os\nos.closerange(3, 64)", solved=ALL, flags=("exit",)),
        "changes_what_may_be_asked": Attack(
            code="""
            import gc
            for holder in gc.get_objects():
                if isinstance(holder, dict) and "ready" in holder and "call" in holder:
                    holder["call"] = lambda names, request: {"answer": request.get("right", {"json": 0}), "share": 1}
            """
        ),
        "changes_the_main_module": Attack(
            code="""
            import sys
            frame = sys._getframe()
            while frame:
                frame.f_globals["_told"] = lambda error: "right"
                frame.f_globals["json"] = None
                frame = frame.f_back
            """,
            flags=("exit",),
        ),
        # -------------------------------------------------------- notebooks
        "cells_deleted": Attack(solved=ALL, drop=("total",), points=6, flags=("cells_missing",)),
        "cell_ids_deleted": Attack(code="\n".join(SOLUTIONS.values()), drop=ALL, points=8, flags=("cells_missing",)),
        "solution_cell_twice": Attack(solved=("distance", "answer"), twice=("total",), flags=("cells_duplicated",)),
        "a_stub_after_the_solution": Attack(solved=ALL, twice=("total",), points=6, flags=("cells_duplicated",)),
        "renamed": Attack(solved=ALL, file="my homework (final).ipynb", flags=("renamed",)),
        "not_json": Attack(content=b"this is no notebook", status="not_json"),
        "a_picture": Attack(content=b"\x89PNG\r\n\x1a\n" + os.urandom(1000), status="not_json"),
        "cut_off": Attack(content=Attack(solved=ALL).notebook()[:-200], status="cut_off"),
        "empty": Attack(content=b"", status="empty_file"),
        "json_but_no_notebook": Attack(content=b'{"points": 100, "share": 1}', status="not_a_notebook"),
        "a_list": Attack(content=b"[1, 2, 3]", status="not_a_notebook"),
        "nested_too_deeply": Attack(content=b"[" * 200_000, status="not_json"),
        "a_number_without_end": Attack(content=b'{"cells": ' + b"9" * 10_000 + b"}", status="not_json"),
        "no_code": Attack(content=_notebook_with([{"cell_type": "markdown", "source": "right"}]), status="no_code"),
        "cells_of_the_wrong_kind": Attack(
            content=_notebook_with([1, None, "x", [], {"cell_type": "code", "source": 5}, {"cell_type": "code"}]),
            status="no_code",
        ),
        "metadata_of_the_wrong_kind": Attack(
            content=_notebook_with(
                [
                    {"cell_type": "code", "source": SOLUTIONS["distance"], "metadata": []},
                    {"cell_type": "code", "source": [SOLUTIONS["total"], 1], "metadata": {"nbgrader": {}}},
                    {"cell_type": ["code"], "source": SOLUTIONS["lengths"]},
                ]
            ),
            points=4,
            flags=("cells_missing",),
        ),
        "a_nul_in_the_code": Attack(code="x = 1\0", solved=ALL, flags=("cell_error",)),
        "bytes_that_are_no_text": Attack(content=b'{"cells": [{"source": "\xff\xfe"}]}', status="no_code"),
        "too_large": Attack(content=b" " * 20_000_001, status="too_large"),
        "values_without_end": Attack(content=b'{"cells": [' + b"[]," * 1_000_000 + b"1]}", status="too_large"),
        "code_without_end": Attack(content=_cells("x = 1\n" * 80_000, *_SOLVED), status="too_large"),
        "a_thousand_cells": Attack(content=_cells(*["x = 1"] * 1000, *_SOLVED), points=8, flags=("cells_missing",)),
        "a_second_list_of_cells": Attack(
            content=Attack(solved=ALL).notebook()[:-1] + b', "cells": []}', status="no_code"
        ),
        "nested_metadata": Attack(
            content=b'{"cells": [], "metadata": ' + b'{"a":' * 20_000 + b"1" + b"}" * 20_001, status="not_json"
        ),
        "a_number_larger_than_any": Attack(content=Attack(solved=ALL).notebook()[:-1] + b', "x": 1e99999}', points=8),
        "a_name_that_is_markup": Attack(solved=ALL, file="<script>alert(1).ipynb", flags=("renamed",)),
        "a_name_with_a_line_in_it": Attack(solved=ALL, file="a\nb.ipynb", flags=("renamed",)),
        "a_very_long_name": Attack(solved=ALL, file="x" * 200 + ".ipynb", flags=("renamed",)),
    }
