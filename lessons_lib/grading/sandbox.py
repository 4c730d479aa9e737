"""The wall: a learner's code runs in a bubblewrap child, asked over a pipe and answering in JSON.

The child sees Python, this library and an empty /tmp; the rest of the disk, /proc, the network, other processes and
the environment are not there. It is an unprivileged user, nested namespaces are refused, and time, memory, processes
and output are limited. The protection lies in the arguments below, so the tests hold them, and `self_test` runs a
child that tries to get out before anything is graded.

As root there are two walls. bubblewrap maps the user inside to the user that started it, and Linux does not limit
root's processes; so an outer bubblewrap lays out the files, and in it `setpriv` becomes an unprivileged user and
starts the inner one.
"""

from __future__ import annotations

import ctypes
import functools
import json
import os
import secrets
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from lessons_lib.errors import UserError
from lessons_lib.grading import cgroups, seccomp
from lessons_lib.grading.spec import JSON, Limits

NOBODY = 65534
# As root every child is a user of its own: Linux counts pipes and locked memory by user, which two could see.
STRANGERS = range(1_900_000_000, 2_000_000_000)
PACKAGE = Path(__file__).resolve().parents[1]
CHILD = PACKAGE / "grading" / "child.py"
_MIB = 2**20
MOST_VALUES = 50_000  # in one answer
_DEEPEST = 30  # levels of an answer: what is written down later goes through code that recurses
_OWN_PROCESSES = 8  # of the two walls, beside the child's
_WATCHED_EVERY = 0.25  # seconds between two looks at how much memory a busy child keeps


class Stopped(Exception):
    """The child is gone, and why in one word: time, memory, exit, output, protocol or gave_up."""

    def __init__(self, why: str, told: str = ""):
        super().__init__(why)
        self.why, self.told = why, told


class SandboxBroke(Exception):
    """The sandbox itself failed, before any of a learner's code ran."""


def command(limits: Limits, files: Iterable[Path] = (), *, filtered_by: int | None = None, doors=()) -> list[str]:
    """The whole command line of a child.

    Args:
        limits: what it may use.
        files: what lies in its working folder.
        filtered_by: the descriptor from which bubblewrap reads the filter of system calls.
        doors: of its control group, see `cgroups`.
    """
    program = [sys.executable, "-I", str(CHILD), json.dumps(_rlimits(limits)), str(PACKAGE.parent)]
    wall = _inner_wall(limits, files, filtered_by) + program
    wall = _outer_wall(files) + wall if os.geteuid() == 0 else wall
    enter = 'while [ "$1" != -- ]; do echo $$ > "$1" || exit 1; shift; done; shift; exec "$@"'
    return ["sh", "-c", enter, "sh", *doors, "--", *wall] if doors else wall


def _rlimits(limits: Limits) -> dict[str, int]:
    """What the child sets on itself before it runs a learner's line; it cannot raise them again."""
    return {
        "AS": limits.memory_mb * _MIB,
        "CPU": limits.cpu_seconds,
        "NPROC": limits.processes,
        "FSIZE": limits.file_mb * _MIB,
        "NOFILE": 128,
        "CORE": 0,
    }


def _inner_wall(limits: Limits, files: Iterable[Path], filtered_by: int | None = None) -> list[str]:
    beside = [part for path in files for part in ("--ro-bind", str(path), f"/tmp/{path.name}")]
    return [
        *["bwrap", "--unshare-all", "--unshare-user", "--disable-userns", "--uid", str(NOBODY), "--gid", str(NOBODY)],
        *["--hostname", "sandbox", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"],
        *_environment(),
        *["--size", str(limits.file_mb * _MIB), "--tmpfs", "/tmp"],  # before the files, which may lie below /tmp
        *_files(),
        *["--ro-bind-try", "/proc/cpuinfo", "/proc/cpuinfo"],  # torch picks its kernels by it; no other /proc
        *[*beside, "--remount-ro", "/", "--chdir", "/tmp"],
        *(["--seccomp", str(filtered_by)] if filtered_by is not None else []),
        "--",
    ]


def _outer_wall(files: Iterable[Path]) -> list[str]:
    """For root: the same files, readable whoever owns the folders above them, then an unprivileged user."""
    beside = [part for path in files for part in ("--ro-bind", str(path), str(path))]
    stranger = STRANGERS[secrets.randbelow(len(STRANGERS))]
    return [
        # the inner bubblewrap needs both folders; /tmp comes first, as this library may lie below it
        *["bwrap", "--die-with-parent", "--perms", "1777", "--dir", "/tmp", "--bind", "/proc", "/proc"],
        *[*_files(), *_folders(path.parent for path in files), *beside, "--"],
        *["setpriv", f"--reuid={stranger}", f"--regid={stranger}", "--clear-groups", "--inh-caps=-all", "--"],
    ]


def _environment() -> list[str]:
    names = {
        "PATH": "/usr/bin:/bin",
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
        "MPLBACKEND": "agg",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",  # graders run side by side, and marks must not depend on the number of cores
        "OMP_WAIT_POLICY": "passive",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return [part for name, value in names.items() for part in ("--setenv", name, value)]


@functools.cache
def _files() -> list[str]:
    """What both walls show, read-only: the system's libraries, this Python, this library, four devices."""
    shown = [Path("/usr"), *(p for p in map(Path, ("/bin", "/lib", "/lib64", "/lib32", "/sbin")) if p.exists())]
    pythons = dict.fromkeys([sys.base_prefix, sys.prefix, os.path.realpath(sys.base_prefix)])
    shown += [path for path in (*map(Path, pythons), PACKAGE) if not path.is_relative_to("/usr")]
    binds = []
    for path in shown:
        if path.is_symlink() and path.parent == Path("/"):  # /bin on a merged /usr
            binds += ["--symlink", os.readlink(path), str(path)]
        else:
            binds += [*_folders([path.parent]), "--ro-bind", str(path), str(path)]
    binds += [*_folders([Path("/etc"), Path("/dev")]), "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    devices = ("null", "zero", "random", "urandom")
    return binds + [part for name in devices for part in ("--dev-bind", f"/dev/{name}", f"/dev/{name}")]


def _folders(paths: Iterable[Path]) -> list[str]:
    """Each folder with those above it, open to everybody: bubblewrap as root makes them for root alone."""
    wanted = dict.fromkeys(f for path in paths for f in (*reversed(path.parents), path) if f != Path("/"))
    return [part for folder in wanted for part in ("--perms", "0755", "--dir", str(folder))]


class Child:
    """One sandboxed process, asked one thing at a time. A context manager: at its end nothing of it is left.

    Args:
        limits: what it may use.
        files: what lies in its working folder, read-only.
    """

    def __init__(self, limits: Limits, files: Iterable[Path] = ()):
        self._limits = limits
        self._group = cgroups.open_group(limits.memory_mb, limits.processes + _OWN_PROCESSES)
        self._process = self._start(tuple(files))
        self._unread = b""
        self.complaint = ""  # once closed: what stood on the standard error, such as why bubblewrap would not start
        for stream in (self._process.stdin, self._process.stdout):
            os.set_blocking(stream.fileno(), False)

    def _start(self, files: tuple[Path, ...]) -> subprocess.Popen:
        doors = self._group.doors if self._group else ()
        _join_a_fresh_keyring()
        with os.fdopen(os.memfd_create("filter"), "wb", buffering=0) as filtered_by:
            filtered_by.write(seccomp.program())
            filtered_by.seek(0)
            return subprocess.Popen(
                command(self._limits, files, filtered_by=filtered_by.fileno(), doors=doors),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,  # only what goes wrong before the child runs; it then closes this end
                pass_fds=[filtered_by.fileno()],
                start_new_session=True,
                cwd="/",
            )

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def start(self) -> None:
        """Wait until it runs; a `SandboxBroke` where it does not, which is never the learner's doing."""
        try:
            self.ask(self._limits.start_seconds, do="ready")
        except Stopped as stopped:
            raise SandboxBroke(f"the sandbox did not start: {self.complaint or stopped.told}") from None

    def ask(self, seconds: float, **request: JSON) -> dict[str, JSON]:
        """The child's answer to a request, or `Stopped`; a stopped child answers nothing any more."""
        number = secrets.token_hex(8)  # an answer written before its question cannot carry it
        try:
            line = self._exchange(json.dumps({"id": number, **request}).encode() + b"\n", seconds)
            answer = _read(line, number)
        except Stopped as stopped:
            out_of_memory = stopped.why == "exit" and self._group is not None and self._group.ran_out()
            self.close()
            raise self._too_much() if out_of_memory else stopped from None
        return answer

    def _exchange(self, question: bytes, seconds: float) -> bytes:
        """Write the question and read one line, in time and within the limits."""
        deadline, looked = time.monotonic() + seconds, time.monotonic()
        with selectors.DefaultSelector() as ready:
            ready.register(self._process.stdout, selectors.EVENT_READ)
            ready.register(self._process.stdin, selectors.EVENT_WRITE)
            while b"\n" not in self._unread or question:
                if time.monotonic() > deadline:
                    raise Stopped("time", f"stopped after {seconds:g} s")
                if time.monotonic() > looked + _WATCHED_EVERY:
                    looked = time.monotonic()
                    self._watch_memory()
                for key, _ in ready.select(_WATCHED_EVERY):
                    if key.fileobj is self._process.stdin:
                        question = self._write(question)
                        if not question:
                            ready.unregister(self._process.stdin)
                    else:
                        self._read_more()
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _write(self, question: bytes) -> bytes:
        try:
            return question[os.write(self._process.stdin.fileno(), question) :]
        except BlockingIOError:
            return question
        except BrokenPipeError:
            raise Stopped("exit", "the process ended") from None

    def _read_more(self) -> None:
        try:
            more = os.read(self._process.stdout.fileno(), 2**16)
        except BlockingIOError:
            return
        if not more:
            raise Stopped("exit", "the process ended")
        self._unread += more
        if len(self._unread) > self._limits.answer_bytes:
            raise Stopped("output", f"an answer of more than {self._limits.answer_bytes / 1e6:g} MB")

    def _watch_memory(self) -> None:
        """All its processes together: the control group's word, or, where there is none, a count."""
        if self._group is not None:
            if self._group.ran_out():
                raise self._too_much()
            return
        import psutil

        try:
            members = psutil.Process(self._process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return
        most = self._limits.memory_mb * _MIB
        if sum(map(_resident, members)) > most and sum(map(_proportional, members)) > most:
            raise self._too_much()

    def _too_much(self) -> Stopped:
        return Stopped("memory", f"more than {self._limits.memory_mb} MB")

    def close(self) -> None:
        """End the child and everything it started; they all die with bubblewrap."""
        if self._process.stdout.closed:
            return
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.set_blocking(self._process.stderr.fileno(), False)
        self.complaint = (self._process.stderr.read(2000) or b"").decode(errors="replace").strip()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            stream.close()
        if self._group is not None:
            self._group.close()


def _join_a_fresh_keyring() -> None:
    """So that the child to be started inherits an empty session keyring, and neither the grader's nor another child's.

    The filter refuses it every call on keys as well; a kernel without keys needs neither.
    """
    ctypes.CDLL(None).syscall(seccomp.keyctl(), 1, None)  # KEYCTL_JOIN_SESSION_KEYRING, without a name


def _resident(process) -> int:
    """Quick to ask for; pages that processes share are counted in each."""
    import psutil

    try:
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0


def _proportional(process) -> int:
    """Slow to ask for; shared pages are divided, so that a fork after a large import costs nothing."""
    import psutil

    try:
        return process.memory_full_info().pss
    except psutil.AccessDenied:
        return _resident(process)
    except psutil.NoSuchProcess:
        return 0


def _read(line: bytes, number: str) -> dict[str, JSON]:
    if sum(map(line.count, (b",", b"[", b"{"))) > MOST_VALUES:  # a value takes fifty times its comma in memory
        raise Stopped("output", f"an answer of more than {MOST_VALUES} values")
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        raise Stopped("protocol", "a line that is no JSON") from None
    if not isinstance(answer, dict) or answer.get("id") != number:
        raise Stopped("protocol", "an answer to no question")
    if _depth(answer) > _DEEPEST:
        raise Stopped("protocol", "an answer nested too deeply")
    return answer


def _depth(value: JSON) -> int:
    """How deeply lists and dictionaries are nested, without recursion."""
    depth, level = 0, [value]
    while level:
        depth += 1
        parts = (v.values() if isinstance(v, dict) else v for v in level if isinstance(v, (dict, list)))
        level = [part for inner in parts for part in inner]
    return depth


# ---------------------------------------------------------------- the self-test

# Run in the sandbox: each entry must come out true, because the thing is refused there.
_ATTEMPTS = """
import ctypes, json, os, resource, signal, socket

def refused(attempt, error=OSError):
    try:
        attempt()
    except error:
        return True
    return False

def reach_out():
    socket.create_connection(("192.0.2.1", 80), timeout=0.2).close()

def allocate():
    bytearray(2**40)

def start_many():
    children = []
    try:
        for _ in range(LIMIT + 1):
            children.append(os.fork() or signal.pause())
    finally:
        for child in children:
            os.kill(child, 9)
            os.waitpid(child, 0)

def libc(name, *values):
    return ctypes.CDLL(None)[name](*values)

tried = {
    "it is an unprivileged user": os.getuid() == NOBODY and set(os.getgroups()) <= {NOBODY},
    "the network is out of reach": refused(reach_out),
    "keys and shared memory are not there": all(libc("syscall", number, 0, 0, 0) == -1 for number in CALLS),
    "the file system is read-only": refused(lambda: open("/new", "w")) and refused(lambda: open(json.__file__, "a")),
    "the rest of the disk is not there": not any(map(os.path.exists, HIDDEN)),
    "other processes are not there": not os.path.exists("/proc/1"),
    "the environment is its own": set(os.environ) <= set(ENVIRONMENT),
    "processes are limited": refused(start_many),
    "memory is limited": resource.getrlimit(resource.RLIMIT_AS)[1] > 0 and refused(allocate, MemoryError),
    "nested namespaces are refused": libc("unshare", 0x10000000) == -1,
    "nothing can be mounted": libc("mount", b"none", b"/tmp", b"tmpfs", 0, None) == -1,
}
"""


def self_test() -> None:
    """Refuse, with a `UserError` that says what to do, unless the sandbox holds here and now."""
    if not sys.platform.startswith("linux"):
        raise UserError(f"{_NEEDED} This is {sys.platform}. {_ELSEWHERE}")
    missing = [tool for tool in ("bwrap", *["setpriv"] * (os.geteuid() == 0)) if shutil.which(tool) is None]
    if missing:
        package = {"bwrap": "bubblewrap", "setpriv": "util-linux"}[missing[0]]
        raise UserError(
            f"{_NEEDED} Expected the program {missing[0]}, found none. Install it: `sudo apt-get install {package}` "
            f"(Debian, Ubuntu), `sudo dnf install {package}` (Fedora). Nothing was graded."
        )
    if failed := failures():
        raise UserError(
            f"{_NEEDED} Its self-test failed here: {'; '.join(failed)}. bubblewrap 0.8 or newer with user namespaces "
            "is needed. Ubuntu 24.04 and newer: `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`. Inside a "
            f"container, namespaces are often switched off. {_ELSEWHERE}"
        )


_NEEDED = "Grading runs learners' code in a bubblewrap sandbox and does not start without one."
_ELSEWHERE = "Grade on a Linux machine or in a Linux virtual machine. Nothing was graded."


def failures(limits: Limits | None = None) -> list[str]:
    """What the sandbox fails to refuse; empty where it holds."""
    limits = limits or Limits()
    secret = (PACKAGE.parent / "exercises", PACKAGE.parent / ".git", Path("/etc/passwd"))
    facts = {
        "NOBODY": NOBODY,
        "LIMIT": limits.processes,
        "HIDDEN": [str(path) for path in secret if path.exists()],
        "ENVIRONMENT": [*_environment()[1::3], "PWD", "LC_CTYPE"],
        "CALLS": seccomp.refused_numbers(),
    }
    source = "".join(f"{name} = {value!r}\n" for name, value in facts.items()) + _ATTEMPTS
    with Child(limits) as child:
        try:
            child.start()
            broke = child.ask(60, do="cell", number=0, source=source).get("error")
            tried = child.ask(20, do="call", name="tried", case=None).get("answer", {}).get("json", {})
        except (SandboxBroke, Stopped) as error:
            return [str(error)]
    return [broke] if broke else [f"not so: {name}" for name, held in tried.items() if held is not True]
