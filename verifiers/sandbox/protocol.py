"""A run, its limits and its report, and how client and fork server send them: one message each, with open files.

In a message files are named by their place in the list of descriptors that travels with it.
"""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass, fields
from typing import Any, Literal

MAX_MESSAGE = 1 << 17
MAX_FILES = 64
Stopped = Literal["cpu", "idle", "wall", "memory", "disk"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one run may use."""

    cpu_s: float = 6.0
    """CPU seconds of its main process, all threads."""
    idle_s: float = 6.0
    """Seconds in which its main thread neither runs nor waits for a core: sleeping, or waiting for what never comes."""
    wall_s: float = 60.0
    """Seconds in all, a backstop for a machine that is too busy to tell."""
    memory_mb: int = 512
    """Resident memory of all its processes together, beyond what the interpreter itself has."""
    bounded_address_space: bool = True
    """Whether its address space is bounded too; runtimes that reserve much more than they use need that off."""
    output_mb: int = 64
    """Size of any file it writes, standard output and error among them."""
    disk_mb: int = 64
    """Size of all files in its folder."""
    max_files: int = 4096
    """Files and folders in its folder."""
    max_processes: int = 64
    """Processes and threads at one time."""
    max_open: int = 256
    """Open files at one time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """One program to run, in a box of its own. Files are descriptors in this process, indices in a message."""

    run: tuple[str, ...]
    """The name of a mode of `python_run.py`, or a command with its arguments."""
    limits: Limits
    """What it may use."""
    stdin: int | None = None
    """Its standard input; nothing unless it is given."""
    stdout: int | None = None
    """Where its standard output goes."""
    stderr: int | None = None
    """Where its standard error goes."""
    code: int | None = None
    """Python only: the source."""
    data: int | None = None
    """Python only: what the mode needs, as JSON."""
    result: int | None = None
    """Python only: where the mode writes what it found, as JSON."""
    files: tuple[tuple[str, int], ...] = ()
    """Files that are put into its folder: name and content."""
    collected: tuple[str, int] | None = None
    """What of its folder is kept if it ends with 0: the name of a file or folder, and where it is written. A folder
    becomes a zip archive."""
    environment: tuple[tuple[str, str], ...] = ()
    """Variables on top of PATH, HOME and LANG."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a run ended and what it used."""

    exit_status: int | None = None
    """Its exit status; None if a signal ended it, or it never started."""
    signal: int | None = None
    """The signal that ended it."""
    stopped: Stopped | None = None
    """The limit for which it was stopped."""
    fault: str | None = None
    """Why there is nothing to report: the box itself failed, which says nothing of the program."""
    cpu_s: float = 0.0
    """CPU seconds it used."""
    wall_s: float = 0.0
    """Seconds it took."""
    memory_mb: float = 0.0
    """Most memory its main process held at one time."""

    @property
    def ended_well(self) -> bool:
        """Whether it ended by itself with status 0."""
        return self.exit_status == 0 and self.stopped is None and self.fault is None


_FILE_FIELDS = ("stdin", "stdout", "stderr", "code", "data", "result")
_PLAIN_FIELDS = ("run", "environment")
_LIMITS = tuple(field.name for field in fields(Limits))
_REPORT = tuple(field.name for field in fields(Report))


def send_boxes(channel: socket.socket, boxes: tuple[Box, ...]) -> None:
    """Send runs that start together; two are connected with each other."""
    files: list[int] = []

    def place(descriptor: int) -> int:
        files.append(descriptor)
        return len(files) - 1

    packed = [
        {
            "limits": [getattr(box.limits, name) for name in _LIMITS],
            "files": [(name, place(descriptor)) for name, descriptor in box.files],
            "collected": box.collected and (box.collected[0], place(box.collected[1])),
            **{name: getattr(box, name) for name in _PLAIN_FIELDS},
            **{name: place(fd) for name in _FILE_FIELDS if (fd := getattr(box, name)) is not None},
        }
        for box in boxes
    ]
    socket.send_fds(channel, [json.dumps(packed).encode()], files)


def receive_boxes(channel: socket.socket) -> tuple[tuple[Box, ...], list[int]] | None:
    """Receive runs and their open files; None at the end."""
    data, files, _, _ = socket.recv_fds(channel, MAX_MESSAGE, MAX_FILES)
    if not data:
        return None
    return tuple(_box(row, files) for row in json.loads(data)), files


def report_json(report: Report) -> dict[str, Any]:
    """Return a report as JSON data."""
    return {name: getattr(report, name) for name in _REPORT}


def report_of(data: Any) -> Report:
    """Read a report. Raises TypeError or KeyError if it is none."""
    return Report(**{name: data[name] for name in _REPORT})


def _box(row: dict[str, Any], files: list[int]) -> Box:
    kept = row["collected"]
    return Box(
        run=tuple(row["run"]),
        limits=Limits(**dict(zip(_LIMITS, row["limits"], strict=True))),
        files=tuple((name, files[at]) for name, at in row["files"]),
        collected=None if kept is None else (kept[0], files[kept[1]]),
        environment=tuple((name, value) for name, value in row["environment"]),
        **{name: files[row[name]] for name in _FILE_FIELDS if name in row},
    )
