"""A process that stands between us and an engine, so that nothing outlives us: neither a Ctrl-C, nor a SIGKILL of ours,
nor a crash of the engine leaves a process behind that holds a GPU.

    parent (ours)  ->  guard  ->  the command  ->  its engine cores and workers

The guard runs the command in a session of its own, where a Ctrl-C in the terminal does not reach it. It ends everything
when the pipe from the parent closes, which a dead parent's pipe does, when the parent is no longer its parent, or when
the command itself ends. On Linux it is a subreaper: processes whose own parent died come to it, whichever session they
made for themselves, so it finds them all. Elsewhere it ends the command's process group.

Run as a script by `start`, with the standard library alone. SIGKILL of the guard itself is covered only for the
command, not for what the command started.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO

GRACE_SECONDS = 5.0
"""Between asking a process to end and killing it."""
_POLL_SECONDS = 0.2
_CLEANING_SECONDS = 2.0
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


class Guarded:
    """A command that runs under a guard."""

    def __init__(self, process: subprocess.Popen[bytes], control: int) -> None:
        self._process = process
        self._control: int | None = control

    @property
    def pid(self) -> int:
        """Process of the guard: the parent of everything the command started."""
        return self._process.pid

    def poll(self) -> int | None:
        """Return the command's exit status (negative: the signal that ended it), None while it runs."""
        return self._process.poll()

    def stop(self, timeout_s: float = GRACE_SECONDS + 10.0) -> None:
        """End the command and all it started, and wait until nothing is left."""
        if self._control is not None:
            with contextlib.suppress(OSError):  # a byte and not only the end: a fork of ours may hold the pipe open
                os.write(self._control, b"x")
            os.close(self._control)
            self._control = None
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:  # the guard itself hangs: only a stopped process does
            self._process.kill()
            self._process.wait()


def start(
    command: Sequence[str],
    *,
    log: IO[bytes],
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    grace_s: float = GRACE_SECONDS,
) -> Guarded:
    """Run a command under a guard; its output goes to `log`. Raises OSError if no process can be started."""
    reader, writer = os.pipe()
    guard = [sys.executable, "-I", "-S", __file__, "--control", str(reader), "--parent", str(os.getpid())]
    guard += ["--grace", str(grace_s), "--pass-fds", ",".join(map(str, pass_fds)), "--", *command]
    try:
        process = subprocess.Popen(
            guard,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            pass_fds=(reader, *pass_fds),
            start_new_session=True,
        )
    except BaseException:
        os.close(writer)
        raise
    finally:
        os.close(reader)
    return Guarded(process, writer)


def main() -> int:
    """Guard one command; returns its exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--control", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--grace", type=float, required=True)
    parser.add_argument("--pass-fds", default="")
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    fds = tuple(int(fd) for fd in args.pass_fds.split(",") if fd)

    stopped = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        del number, frame
        stopped = True

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    # A group of its own, so that ending the group does not end the guard.
    child = subprocess.Popen(args.command, pass_fds=fds, process_group=0, preexec_fn=_before_exec)  # noqa: PLW1509
    for fd in fds:
        os.close(fd)  # or the other end would never see the command's death
    status: int | None = None
    control = select.poll()  # not select(): the descriptor may be above 1023
    control.register(args.control, select.POLLIN | select.POLLHUP)
    while status is None and not stopped:
        # The parent may have died before we looked, or been replaced as our parent while its pipe lives on in a fork.
        if control.poll(_POLL_SECONDS * 1000) or os.getppid() != args.parent:
            break
        _reap_orphans(child.pid)
        status = child.poll()
    _end_all(child, args.grace)
    return child.returncode if status is None else status


def _before_exec() -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _end_all(child: subprocess.Popen[bytes], grace_s: float) -> None:
    """End what the command started: ask, wait, kill, until nothing is left."""
    start = time.monotonic()
    asked = False
    while True:
        child.poll()
        _reap_orphans(child.pid)
        found = _descendants(os.getpid())
        late = time.monotonic() - start - grace_s
        if not found and child.returncode is not None:
            _signal_group(child.pid, signal.SIGKILL)  # where processes cannot be listed
            return
        cleaners = [pid for pid in found if _cleans_up(pid)]
        others = [pid for pid in found if pid not in cleaners]
        if not asked or late > 0:
            _signal(others, signal.SIGKILL if asked else signal.SIGTERM)
            _signal_group(child.pid, signal.SIGKILL if asked else signal.SIGTERM)
            asked = True
        if late > _CLEANING_SECONDS:
            _signal(cleaners, signal.SIGKILL)
        time.sleep(0.02)


def _signal(pids: Sequence[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _signal_group(group: int, number: int) -> None:
    """Signal the command's group, where processes cannot be listed."""
    if not Path("/proc/self/stat").exists():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)


def _cleans_up(pid: int) -> bool:
    """Say whether a process is the tracker of Python's multiprocessing: it ends by itself once all others have, and
    removes what they left in shared memory."""
    try:
        return b"resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _descendants(root: int) -> list[int]:
    """Return the living processes below one, children before their own children; empty where there is no /proc."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat") if Path("/proc/self/stat").exists() else ():
        try:
            text = entry.read_text(errors="replace")
        except OSError:  # it ended meanwhile
            continue
        # The name in brackets may itself hold brackets and spaces.
        state, parent = text[text.rindex(")") + 2 :].split()[:2]
        if state not in "ZX":
            children.setdefault(int(parent), []).append(int(entry.parent.name))
    found: list[int] = []
    todo = [root]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def _reap_orphans(child: int) -> None:
    """Collect the exit statuses of processes that came to us when their parent died, but not the command's."""
    if not hasattr(os, "waitid"):
        return
    while True:
        try:
            done = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if done is None or done.si_pid == child:
            return
        with contextlib.suppress(ChildProcessError):
            os.waitpid(done.si_pid, os.WNOHANG)


def _prctl(option: int, value: int) -> None:
    """Linux only; elsewhere there is no such call, and process groups must do."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    code = main()
    if code < 0:  # end as the command did
        with contextlib.suppress(OSError):  # SIGKILL has no handler to reset
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code if code >= 0 else 128 - code)
