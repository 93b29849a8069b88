"""One judging worker, seen from the parent: the orders it was given and what it has answered.

In: orders (a task and whose it is). Out: (order, verdict) pairs, read from a pipe without believing what stands there.
Starting, feeding and reading one process is done here; which worker gets what is `worker_dispatch.py`, the inside of
the process is `worker_process.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from verifiers.verdict import Judge, Verdict
from verifiers.worker_process import HEADER, Task, unpacked

_MAX_LINE = 1 << 24
"""Bytes of one verdict; a worker that writes more is broken."""
_PACKAGE_ROOT = str(Path(__file__).resolve().parent.parent)


@dataclass(slots=True, eq=False)
class Call:
    """One caller's stream of tasks."""

    deliver: Callable[[int, Verdict | Exception], None]
    """Takes what became of the task of this index. Runs in the dispatcher's thread, so it must be quick."""
    wants: Callable[[int], bool] = lambda _: True
    """Asked before a task goes to a worker for the first time; False drops it."""
    waiting: deque[Order] = field(default_factory=deque)
    """Orders that no worker has yet; the dispatcher's."""
    is_dropped: bool = False
    """Whether the caller has gone away."""


@dataclass(slots=True, eq=False)
class Order:
    """One task on its way from a caller to a worker and back."""

    call: Call
    """Whose it is."""
    index: int
    """The caller's name for it."""
    task: Task
    """What is to be judged."""
    number: int
    """The worker's name for it, unique in the pool."""
    is_taken: bool = False
    """Whether a worker was ever given it."""
    is_settled: bool = False
    """Whether its verdict is delivered."""

    @property
    def is_open(self) -> bool:
        """Whether somebody still waits for its verdict."""
        return not (self.is_settled or self.call.is_dropped)

    def settle(self, result: Verdict | Exception) -> None:
        """Deliver its verdict, once."""
        if self.is_open:
            self.is_settled = True
            self.call.deliver(self.index, result)


@dataclass(slots=True, kw_only=True, eq=False)
class Worker:
    """One worker process."""

    process: subprocess.Popen[bytes]
    """The process."""
    orders: int
    """Where its tasks are written; does not block."""
    results: int
    """Where its verdicts are read; does not block."""
    tasks: deque[Order] = field(default_factory=deque)
    """What it was given and has not answered; the first is what it judges now."""
    unsent: bytearray = field(default_factory=bytearray)
    """Bytes of tasks that the pipe did not take yet."""
    received: bytearray = field(default_factory=bytearray)
    """Bytes of an unfinished answer."""
    progress_at: float = 0.0
    """When it was last heard of, or given something to do."""
    is_bypassed: bool = False
    """Whether all behind the first of its tasks was given to others, because it was silent."""
    is_ready: bool = False
    """Whether it has started up."""
    is_leaving: bool = False
    """Whether it ends by itself, having answered all that it will."""
    is_broken: bool = False
    """Whether its answers have ended."""
    is_garbled: bool = False
    """Whether it wrote what is no answer."""
    failure: str | None = None
    """Why it cannot work at all."""

    @classmethod
    def start(cls, memory_limit_mb: int) -> Worker:
        """Start a fresh Python that imports this package alone and sees no secrets of the environment."""
        code = (
            "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
            "from verifiers.worker_process import serve; serve(int(sys.argv[2]), int(sys.argv[3]))"
        )
        # a notebook's path starts with '', its folder: judges that lie there must be found
        path = [_PACKAGE_ROOT, *(p or os.getcwd() for p in sys.path if p != _PACKAGE_ROOT)]  # noqa: PTH109
        process = subprocess.Popen(
            [sys.executable, "-s", "-P", "-c", code, json.dumps(path), str(os.getpid()), str(memory_limit_mb)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=_environment(),
        )
        assert process.stdin is not None
        assert process.stdout is not None
        os.set_blocking(process.stdin.fileno(), False)
        os.set_blocking(process.stdout.fileno(), False)
        return cls(
            process=process,
            orders=process.stdin.fileno(),
            results=process.stdout.fileno(),
            progress_at=time.monotonic(),
        )

    def send(self, chunk: list[Order], body: bytes) -> None:
        """Give the worker its next tasks; what the pipe does not take yet is pushed later."""
        assert not self.tasks
        self.tasks.extend(chunk)
        self.unsent += HEADER.pack(len(body)) + body
        if self.is_ready:
            self.progress_at = time.monotonic()
        self.push()

    def push(self) -> None:
        """Write as much as the pipe takes."""
        try:
            while self.unsent:
                written = os.write(self.orders, memoryview(self.unsent)[: 1 << 16])
                del self.unsent[:written]
        except BlockingIOError:
            pass
        except OSError:
            self.unsent.clear()  # it is dead: the end of its results says so

    def pull(self) -> list[tuple[Order, Verdict]]:
        """Read what the worker has written and return its verdicts; marks the worker broken at its end."""
        found: list[tuple[Order, Verdict]] = []
        try:
            while not self.is_broken:
                data = os.read(self.results, 1 << 16)
                self.is_broken = not data
                self.received += data
                *lines, rest = self.received.split(b"\n")
                self.received = rest
                for line in lines:
                    self._take(bytes(line), found)
                if len(self.received) > _MAX_LINE:
                    self.is_broken = self.is_garbled = True
        except BlockingIOError:
            pass
        except (ValueError, KeyError, TypeError, IndexError, RecursionError):
            self.is_broken = self.is_garbled = True  # what it wrote is no verdict on the task it was given
        self.progress_at = time.monotonic()
        return found

    def kill(self) -> int:
        """Kill the process if it lives, reap it and close its pipes. Returns its exit status."""
        status = self.process.poll()
        if self.is_broken and not self.is_garbled and status is None:
            # its results ended: give it the moment it needs to die by itself, so that the cause can be told
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = self.process.wait(timeout=0.5)
        if status is None:
            self.process.kill()
        status = self.process.wait()
        self._close()
        return status

    def forget(self) -> None:
        """Leave the process to the parent; for a forked child, which must not hold the ends of its pipes."""
        self.process.returncode = 0  # nothing here may wait for it
        self._close()

    def cause_of_death(self, status: int, judge: Judge) -> str:
        """Say why it ended while it judged."""
        if self.is_garbled:
            return "the judging worker wrote what is no verdict"
        if status == -signal.SIGPROF:
            return f"no verdict within {judge.deadline_s:g} s of CPU time"
        if status < 0:
            return f"the judging worker was killed by signal {-status}"
        return f"the judging worker ended with status {status}"

    def _close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _take(self, line: bytes, found: list[tuple[Order, Verdict]]) -> None:
        said = json.loads(line)
        if isinstance(said, dict):
            self.is_ready = self.is_ready or "ready" in said
            self.is_leaving = self.is_leaving or "leaving" in said
            self.failure = said.get("failure", self.failure)
            return
        order = self.tasks[0]
        found.append((order, unpacked(said, order.number, order.task.judge)))
        self.tasks.popleft()


def packed_orders(chunk: list[Order]) -> bytes:
    """Write orders as a worker reads them. Raises what pickle raises on a task that cannot be sent."""
    return pickle.dumps([(order.number, order.task) for order in chunk], protocol=pickle.HIGHEST_PROTOCOL)


def _environment() -> dict[str, str]:
    """Return what a worker needs of the environment; tokens and keys stay outside."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "TMPDIR", "HOME") if name in os.environ}
    return kept | {"LANG": "C.UTF-8", "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
