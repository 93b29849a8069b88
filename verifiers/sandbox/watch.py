"""Watch over runs: wait for their end, or end them at a limit, and say what they used.

In: runs that were started. Out: one report each. Runs in the fork server, outside of every run's namespaces: what is
watched cannot reach the watcher. When the first process of a process namespace ends, the kernel ends all others in it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass

from verifiers.sandbox.folders import is_too_full
from verifiers.sandbox.protocol import Box, Report, Stopped

_FIRST_LOOK_S, _LATER_LOOKS_S = 0.01, 0.03
_LEAVE_S = 2.0
"""Seconds in which a submission must end when its tests have."""
_SLACK_MB = 32
"""Memory that belongs to the interpreter, not to the program."""
_CHEAP_MB = 256
"""Below this, memory is counted the cheap way: pages that a fork shares with its parent count for both."""
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / (1 << 20)


@dataclass(slots=True)
class Run:
    """One run that was started."""

    box: Box
    """What it is."""
    pid: int
    """Its main process, as we see it."""
    folder: str | None
    """Its folder, where no filesystem of its own bounds it."""
    began: int
    """Where it says what went wrong before its program had the word; nothing if nothing did."""
    started: float
    """When it was started (monotonic)."""
    stopped: Stopped | None = None
    """The limit for which it was stopped."""
    report: Report | None = None
    """How it ended."""


def watch(runs: list[Run]) -> list[Report]:
    """Wait for the end of runs that belong together. SIGCHLD must be blocked.

    When one of two has ended, the other has nobody to speak with any more: it is given a moment.
    """
    look_s, alone_since = _FIRST_LOOK_S, None
    while any(run.report is None for run in runs):
        signal.sigtimedwait({signal.SIGCHLD}, look_s)
        look_s = _LATER_LOOKS_S
        now = time.monotonic()
        for run in runs:
            if run.report is None:
                _look_at(run, now)
        if len(runs) > 1 and alone_since is None and any(run.report is not None for run in runs):
            alone_since = now
        for run in runs:
            # who hears nothing from one that was stopped has nothing left to do
            is_late = alone_since is not None and (now - alone_since > _LEAVE_S or any(run.stopped for run in runs))
            if run.report is None and run.stopped is None and (is_late or (over := _passed_limit(run, now))):
                run.stopped = "wall" if is_late else over
                os.kill(run.pid, signal.SIGKILL)
    return [run.report for run in runs if run.report is not None]


def end_children() -> None:
    """End all descendants of this process, which is a subreaper: orphans are its children."""
    while True:
        for pid in _descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.wait()
        except ChildProcessError:
            return


def _look_at(run: Run, now: float) -> None:
    """Note the report of a run that has ended."""
    pid, status, usage = os.wait4(run.pid, os.WNOHANG)
    if pid != run.pid:
        return
    fault = os.read(run.began, 1 << 10).decode(errors="replace")
    os.close(run.began)
    cpu, memory = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    if run.stopped is None and (number == signal.SIGXCPU or cpu > run.box.limits.cpu_s):
        run.stopped = "cpu"
    if run.stopped is None and memory > run.box.limits.memory_mb + _SLACK_MB:
        run.stopped = "memory"
    run.report = Report(
        exit_status=None if number is not None else os.WEXITSTATUS(status),
        signal=number,
        stopped=run.stopped,
        fault=f"the program could not be started: {fault}" if fault and run.stopped is None else None,
        cpu_s=cpu,
        wall_s=now - run.started,
        memory_mb=memory,
    )


def _passed_limit(run: Run, now: float) -> Stopped | None:
    limits, wall = run.box.limits, now - run.started
    pids = [run.pid, *_descendants(run.pid)]
    cpu = sum(map(_cpu_s, pids))
    if cpu > limits.cpu_s:
        return "cpu"
    if wall - cpu - _queued_s(run.pid) > limits.idle_s:
        return "idle"
    if wall > limits.wall_s:
        return "wall"
    if _memory_mb(pids) > limits.memory_mb + _SLACK_MB:
        return "memory"
    if run.folder is not None and is_too_full(run.folder, limits.disk_mb, limits.max_files):
        return "disk"
    return None


def _cpu_s(pid: int) -> float:
    """Return the CPU seconds of all threads of a process; 0 if it has ended."""
    try:
        return time.clock_gettime((~pid << 3) | 2)  # what clock_getcpuclockid returns
    except OSError:
        return 0.0


def _queued_s(pid: int) -> float:
    """Return how long a process's main thread was ready to run and had no core."""
    try:
        with open(f"/proc/{pid}/schedstat", "rb") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def _memory_mb(pids: list[int]) -> float:
    """Return the memory of processes; what they share counts once."""
    resident = sum(map(_resident_mb, pids))
    return resident if len(pids) == 1 or resident < _CHEAP_MB else sum(map(_own_mb, pids))


def _resident_mb(pid: int) -> float:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE_MB
    except (OSError, ValueError, IndexError):
        return 0.0


def _own_mb(pid: int) -> float:
    """Return a process's private pages and its part of those that several have; all of them where we may not look."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            return next(int(line.split()[1]) / 1024 for line in file if line.startswith(b"Pss:"))
    except (OSError, ValueError, StopIteration):
        return _resident_mb(pid)


def _descendants(pid: int) -> list[int]:
    """Return the processes that a process has started, directly or not; orphans among them are its children."""
    direct: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # a child is listed with the thread that started it
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                direct += map(int, file.read().split())
    return [found for child in direct for found in (*_descendants(child), child)]
