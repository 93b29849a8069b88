"""A control group around a fork server: bounds on the memory and the processes of all its runs together, by the kernel.

In: bounds. Out: the folders of the group, or none where groups are not writable (mostly: not root). Every run is in the
group that its fork server was put into, once: moving a process costs tens of milliseconds. Both versions of the
interface are known. A group outlives a process that is killed; empty ones of processes that are gone are removed when
the next is made.
"""

from __future__ import annotations

import contextlib
import os

_PREFIX = "trace-factory-"
_MAX_PROCESSES = 2048
_FILES = {
    # controller: file of the bound in version 1 and in version 2
    "pids": ("pids.max", "pids.max"),
    "memory": ("memory.limit_in_bytes", "memory.max"),
}


def enclose(pid: int, memory_mb: int) -> list[str]:
    """Put a process, and with it all that it starts, into a group of its own. Returns the group's folders."""
    made = []
    bounds = {"pids": _MAX_PROCESSES, "memory": memory_mb << 20}
    for parent, controllers, version in _places():
        _remove_stale(parent)
        folder = f"{parent}/{_PREFIX}{pid}"
        try:
            os.mkdir(folder)
        except OSError:
            continue
        try:
            for controller in controllers:
                _write(f"{folder}/{_FILES[controller][version - 1]}", bounds[controller])
            _write(f"{folder}/cgroup.procs", pid)
        except OSError:
            with contextlib.suppress(OSError):
                os.rmdir(folder)
            continue
        made.append(folder)
    return made


def remove(folders: list[str]) -> None:
    """Remove groups whose processes have ended."""
    for folder in folders:
        with contextlib.suppress(OSError):
            os.rmdir(folder)


def writable() -> list[str]:
    """Return the controllers that can be used here."""
    return sorted({c for place, controllers, _ in _places() if os.access(place, os.W_OK) for c in controllers})


def _places() -> list[tuple[str, tuple[str, ...], int]]:
    """Return our own groups: folder, its controllers of use, version of the interface."""
    found: list[tuple[str, tuple[str, ...], int]] = []
    own = _own_paths()
    for mount, kind, options in _mounts():
        if kind == "cgroup":
            for controller in set(options) & set(_FILES) & set(own):
                found.append((f"{mount}{own[controller]}".rstrip("/"), (controller,), 1))
        elif kind == "cgroup2" and "" in own:
            folder = f"{mount}{own['']}".rstrip("/")
            with contextlib.suppress(OSError), open(f"{folder}/cgroup.subtree_control") as file:
                if controllers := tuple(sorted(set(file.read().split()) & set(_FILES))):
                    found.append((folder, controllers, 2))
    return found


def _own_paths() -> dict[str, str]:
    """Return where this process stands: by controller for version 1, under the empty name for version 2."""
    paths: dict[str, str] = {}
    with contextlib.suppress(OSError), open("/proc/self/cgroup") as file:
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            paths |= dict.fromkeys(controllers.split(","), path)
    return paths


def _mounts() -> list[tuple[str, str, list[str]]]:
    found = []
    with contextlib.suppress(OSError), open("/proc/self/mounts") as file:
        for line in file:
            _, place, kind, options, *_ = line.split(" ")
            if kind.startswith("cgroup"):
                found.append((place, kind, options.split(",")))
    return found


def _remove_stale(parent: str) -> None:
    with contextlib.suppress(OSError):
        for name in os.listdir(parent):
            pid = name.removeprefix(_PREFIX)
            if name.startswith(_PREFIX) and pid.isdecimal() and not os.path.exists(f"/proc/{pid}"):
                remove([f"{parent}/{name}"])


def _write(path: str, value: int) -> None:
    with open(path, "w") as file:
        file.write(str(value))
