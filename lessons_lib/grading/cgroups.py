"""Control groups, where the machine has them: one limit on a child's memory and processes, whatever it starts.

A control group counts what a limit on each process cannot: shared memory that nobody has mapped, files in memory, the
kernel's own buffers. Both versions of the interface are known. A group is made below the grader's own, so that it
works where that one has been handed to the grader: as root, in a container that allows it, or after
``systemd-run --user --scope``. Everywhere else `open_group` answers None, and the grader counts by itself.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
_MIB = 2**20
# By version: files of the limits on memory and processes, and where a stop for memory is counted.
_FILES = {
    1: (("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"), "pids.max", "memory.oom_control"),
    2: (("memory.max", "memory.swap.max"), "pids.max", "memory.events"),
}


@dataclass(frozen=True)
class Group:
    """A child's folders in the hierarchy: two in version 1, one of each controller, one in version 2."""

    folders: tuple[Path, ...]
    version: int

    @property
    def doors(self) -> list[str]:
        """The files that a process writes itself into."""
        return [str(folder / "cgroup.procs") for folder in self.folders]

    def ran_out(self) -> bool:
        """Whether the kernel ended a process of it for want of memory."""
        path = self.folders[0] / _FILES[self.version][2]
        with contextlib.suppress(OSError):
            words = path.read_text().split()
            return int(dict(zip(words[::2], words[1::2], strict=True)).get("oom_kill", 0)) > 0
        return False

    def close(self) -> None:
        """Remove the folders; the kernel needs a moment after the last process has gone."""
        for folder in self.folders:
            for _ in range(100):
                try:
                    folder.rmdir()
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.02)


def open_group(memory_mb: int, processes: int) -> Group | None:
    """A fresh group with both limits, or None where the machine does not give one."""
    name = f"lessons-{os.getpid()}-{secrets.token_hex(4)}"
    for version, parents in ((2, _parent_2()), (1, _parents_1())):
        if not parents:
            continue
        group = Group(tuple(parent / name for parent in parents), version)
        try:
            for folder in group.folders:
                folder.mkdir()
            _limit(group, memory_mb * _MIB, processes)
        except OSError:
            group.close()
            continue
        return group
    return None


def sweep() -> None:
    """Remove the empty groups of graders that were killed; one that is alive has its own number in their names."""
    for parent in {*_parent_2(), *_parents_1()}:
        for folder in parent.glob("lessons-*-*"):
            if not Path("/proc", folder.name.split("-")[1]).exists():
                with contextlib.suppress(OSError):
                    folder.rmdir()


def _limit(group: Group, memory: int, processes: int) -> None:
    (most, swap), pids, _ = _FILES[group.version]
    (group.folders[0] / most).write_text(str(memory))
    with contextlib.suppress(OSError):  # a kernel without swap accounting
        (group.folders[0] / swap).write_text(str(memory if group.version == 1 else 0))
    (group.folders[-1] / pids).write_text(str(processes))


def _own() -> dict[str, str]:
    """By controller, "" for version 2, the path of this process's group."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        return {name: path for _, names, path in (line.split(":", 2) for line in lines) for name in names.split(",")}
    return {}


def _parent_2() -> list[Path]:
    """The nearest folder at or above this process's group that hands both controllers on to what is made in it."""
    own = ROOT / _own().get("", "/").lstrip("/")
    for folder in (own, *own.parents):
        if not folder.is_relative_to(ROOT) or not os.access(folder, os.W_OK):
            return []
        with contextlib.suppress(OSError):
            if {"memory", "pids"} <= set((folder / "cgroup.subtree_control").read_text().split()):
                return [folder]
    return []


def _parents_1() -> list[Path]:
    own = _own()
    if not {"memory", "pids"} <= set(own):
        return []
    return [ROOT / name / own[name].lstrip("/") for name in ("memory", "pids")]
