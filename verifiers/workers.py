"""Judge in killable processes: a hung or dying judgement costs one verdict, never a run.

In: tasks (a judge, a completion, its reference and prompt). Out: one verdict per task. A worker is a fresh Python
with a small environment and a memory limit that imports this package alone; it judges one task at a time, and its
deadline is the CPU time the kernel counts, so a loaded machine changes no verdict. A wall-clock backstop catches what
only sleeps. A worker that hangs or dies is killed and replaced, the task it was at becomes `unknown` (transient), the
tasks behind it go to another worker.

Parts: `JudgePool` (what callers hold), `_Worker` (one child, seen from the parent; its inside is `worker_process.py`),
`judge_apart` (one lazily started worker for judges that are called directly). This is no sandbox: code that a text
manages to run has the rights of the user, less the environment variables.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import pickle
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from verifiers.reference import Reference
from verifiers.verdict import Judge, Messages, Verdict
from verifiers.worker_process import HEADER, Task, inside_worker, unpacked

__all__ = ["JudgePool", "Task", "inside_worker", "judge_apart"]

_CHUNK = 32
"""Tasks per message: enough to hide the cost of a message, few enough to spread over workers."""
_CHUNK_CHARS = 1 << 18
"""Characters of completions per message."""
_QUEUE_CHARS = 1 << 23
"""Characters of completions that wait in the parent, so that an endless input takes bounded memory."""
_MAX_LEAD = 4096
"""How many tasks ahead of the verdict that is due are pulled, when verdicts come in the order of the tasks."""
_MAX_LINE = 1 << 24
"""Bytes of one verdict; a worker that writes more is broken."""
_MAX_FAILED_STARTS = 3
_START_S = 120.0
"""Wall time a worker may take to import what it needs."""
_PACKAGE_ROOT = str(Path(__file__).resolve().parent.parent)


class JudgePool:
    """A pool of killable worker processes that judge.

    Example:
        >>> with JudgePool(2) as pool:
        ...     for verdict in pool.map(Task(judge=Format(), completion=text) for text in completions):
        ...         print(verdict.outcome)
    """

    def __init__(
        self,
        num_workers: int = 1,
        *,
        memory_limit_mb: int = 4096,
        wall_factor: float = 12.0,
        wall_grace_s: float = 30.0,
    ) -> None:
        """Plan a pool; workers start with the first task.

        A task is given up when its worker has used `judge.deadline_s` of CPU time, or has shown no progress for
        `wall_factor * judge.deadline_s + wall_grace_s` of wall time. `memory_limit_mb` bounds a worker's address space.
        """
        assert num_workers >= 1, num_workers
        self.num_workers = num_workers
        self._memory_limit_mb = memory_limit_mb
        self._wall_factor = wall_factor
        self._wall_grace_s = wall_grace_s
        self._workers: list[_Worker] = []
        self._selector: selectors.BaseSelector | None = None
        self._failed_starts = 0
        self._turn = 0
        self._closed = False
        self._in_use = threading.Lock()

    def map(self, tasks: Iterable[Task]) -> Iterator[Verdict]:
        """Judge the tasks and yield their verdicts in the order of the tasks.

        Tasks are pulled lazily, a few chunks per worker ahead. One iteration at a time; leaving it early kills the
        workers that are busy. Raises RuntimeError if workers cannot be started at all.
        """
        waiting: dict[int, Verdict] = {}
        self._turn = 0
        for index, verdict in self._all(tasks, max_lead=_MAX_LEAD):
            waiting[index] = verdict
            while self._turn in waiting:
                self._turn += 1
                yield waiting.pop(self._turn - 1)

    def map_unordered(self, tasks: Iterable[Task]) -> Iterator[tuple[int, Verdict]]:
        """Judge the tasks and yield (index of the task, verdict) as they finish."""
        yield from self._all(tasks, max_lead=None)

    def _all(self, tasks: Iterable[Task], *, max_lead: int | None) -> Iterator[tuple[int, Verdict]]:
        if self._closed:
            raise RuntimeError("this pool of judges is closed")
        if not self._in_use.acquire(blocking=False):
            raise RuntimeError("this pool of judges is already judging; a pool serves one iteration at a time")
        try:
            yield from self._run(iter(enumerate(tasks)), max_lead)
        finally:
            for worker in [w for w in self._workers if w.tasks]:
                self._discard(worker)
            self._in_use.release()

    def judge(self, task: Task) -> Verdict:
        """Judge one task."""
        return next(iter(list(self.map([task]))))

    def close(self) -> None:
        """Stop all workers. The pool cannot be used afterwards; closing twice is fine."""
        self._closed = True
        for worker in list(self._workers):
            self._discard(worker)
        if self._selector is not None:
            self._selector.close()
            self._selector = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, source: Iterator[tuple[int, Task]], max_lead: int | None) -> Iterator[tuple[int, Verdict]]:
        queue: deque[tuple[int, Task]] = deque()
        exhausted = False
        num_pulled = 0
        while True:
            waiting = sum(len(task.completion) for _, task in queue)
            while not exhausted and len(queue) < self.num_workers * _CHUNK and (not queue or waiting < _QUEUE_CHARS):
                if max_lead is not None and num_pulled - self._turn >= max_lead:
                    break
                item = next(source, None)
                if item is None:
                    exhausted = True
                else:
                    num_pulled += 1
                    queue.append(item)
                    waiting += len(item[1].completion)
            self._dispatch(queue)
            if exhausted and not queue and not any(w.tasks for w in self._workers):
                return
            yield from self._collect(queue)

    def _dispatch(self, queue: deque[tuple[int, Task]]) -> None:
        for worker in [w for w in self._workers if not w.tasks and w.process.poll() is not None]:
            self._discard(worker)  # it died while it had nothing to do
        idle = [w for w in self._workers if not w.tasks]
        share = max(1, min(_CHUNK, -(-len(queue) // self.num_workers)))
        while queue and (idle or len(self._workers) < self.num_workers):
            worker = idle.pop() if idle else self._start()
            chunk: list[tuple[int, Task]] = []
            chars = 0
            while queue and len(chunk) < share and (not chunk or chars < _CHUNK_CHARS):
                chunk.append(queue.popleft())
                chars += len(chunk[-1][1].completion)
            worker.send(chunk)
            self._watch(worker)

    def _start(self) -> _Worker:
        worker = _Worker.start(self._memory_limit_mb)
        if self._selector is None:
            self._selector = selectors.DefaultSelector()
        self._selector.register(worker.results, selectors.EVENT_READ, worker)
        self._workers.append(worker)
        return worker

    def _watch(self, worker: _Worker) -> None:
        """Wait for room in the worker's task pipe exactly while something is left to be sent."""
        assert self._selector is not None
        known = worker.orders in self._selector.get_map()
        if worker.unsent and not known:
            self._selector.register(worker.orders, selectors.EVENT_WRITE, worker)
        elif not worker.unsent and known:
            self._selector.unregister(worker.orders)

    def _collect(self, queue: deque[tuple[int, Task]]) -> Iterator[tuple[int, Verdict]]:
        assert self._selector is not None
        busy = [w for w in self._workers if w.tasks]
        patience = min((self._patience(w) - (time.monotonic() - w.progress_at) for w in busy), default=0.0)
        events = self._selector.select(timeout=max(patience, 0.0))
        heard: set[int] = set()
        for key, _ in events:
            worker: _Worker = key.data
            if worker not in self._workers:
                continue
            heard.add(id(worker))
            if key.fd == worker.orders:
                worker.push()
                self._watch(worker)
                continue
            verdicts = worker.pull()
            if worker.is_ready:
                self._failed_starts = 0
            yield from verdicts
            if worker.is_broken:
                yield from self._bury(worker, queue)
        now = time.monotonic()
        for worker in busy:
            # what was written while the caller did not look is read first: only silence counts
            if (
                id(worker) not in heard
                and worker in self._workers
                and now - worker.progress_at >= self._patience(worker)
            ):
                reason = f"no verdict within {self._patience(worker):g} s of wall time"
                yield from self._bury(worker, queue, reason)

    def _patience(self, worker: _Worker) -> float:
        if not worker.is_ready:
            return _START_S
        return self._wall_factor * worker.tasks[0][1].judge.deadline_s + self._wall_grace_s

    def _bury(
        self, worker: _Worker, queue: deque[tuple[int, Task]], reason: str | None = None
    ) -> Iterator[tuple[int, Verdict]]:
        """Remove a dead or hung worker: its current task becomes unknown, those behind it wait again."""
        lost = deque(worker.tasks)
        reason = "the judging worker wrote what is no verdict" if worker.is_garbled else reason
        status = self._discard(worker)
        if worker.failure is not None:
            raise RuntimeError(f"a judging worker cannot work: {worker.failure}")
        if not worker.is_ready:
            self._failed_starts += 1
            if self._failed_starts >= _MAX_FAILED_STARTS:
                raise RuntimeError(f"a judging worker died {self._failed_starts} times before it was ready ({status})")
        elif lost and not worker.is_leaving:
            index, task = lost.popleft()
            yield index, _lost_verdict(task.judge, reason or _cause_of_death(status, task.judge))
        queue.extendleft(reversed(lost))

    def _discard(self, worker: _Worker) -> int:
        self._workers.remove(worker)
        if self._selector is not None:
            for fd in (worker.results, worker.orders):
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(fd)
        return worker.kill()


def judge_apart(judge: Judge, completion: str, reference: Reference | None, prompt: Messages | None) -> Verdict:
    """Judge in this process's own worker, which starts on first use. Safe in threads and after a fork."""
    with _APART.lock:
        if _APART.pool is None:
            _APART.pool = JudgePool(1)
        return _APART.pool.judge(Task(judge=judge, completion=completion, reference=reference, prompt=prompt))


@dataclass(slots=True, kw_only=True, eq=False)
class _Worker:
    """One worker process, seen from the parent."""

    process: subprocess.Popen[bytes]
    orders: int
    results: int
    tasks: deque[tuple[int, Task]] = field(default_factory=deque)
    unsent: bytearray = field(default_factory=bytearray)
    received: bytearray = field(default_factory=bytearray)
    progress_at: float = 0.0
    is_ready: bool = False
    is_leaving: bool = False
    is_broken: bool = False
    is_garbled: bool = False
    failure: str | None = None

    @classmethod
    def start(cls, memory_limit_mb: int) -> _Worker:
        code = (
            "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
            "from verifiers.worker_process import serve; serve(int(sys.argv[2]), int(sys.argv[3]))"
        )
        path = [_PACKAGE_ROOT, *(p for p in sys.path if p and p != _PACKAGE_ROOT)]
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

    def send(self, chunk: list[tuple[int, Task]]) -> None:
        """Give the worker its next tasks; what the pipe does not take yet is pushed later."""
        assert not self.tasks
        body = pickle.dumps(chunk, protocol=pickle.HIGHEST_PROTOCOL)
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

    def pull(self) -> list[tuple[int, Verdict]]:
        """Read what the worker has written and return its verdicts; marks the worker broken at its end."""
        found: list[tuple[int, Verdict]] = []
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
        except (ValueError, KeyError, TypeError, IndexError):
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
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        return status

    def _take(self, line: bytes, found: list[tuple[int, Verdict]]) -> None:
        said = json.loads(line)
        if isinstance(said, dict):
            self.is_ready = self.is_ready or "ready" in said
            self.is_leaving = self.is_leaving or "leaving" in said
            self.failure = said.get("failure", self.failure)
            return
        index, task = self.tasks[0]
        found.append((index, unpacked(said, index, task.judge)))
        self.tasks.popleft()


@dataclass(slots=True)
class _Apart:
    lock: threading.Lock = field(default_factory=threading.Lock)
    pool: JudgePool | None = None
    inherited: list[JudgePool] = field(default_factory=list)

    def forget(self) -> None:
        """Leave the parent's worker to the parent: a forked child must not talk through the same pipes."""
        self.lock = threading.Lock()
        if self.pool is not None:
            self.inherited.append(self.pool)  # kept, so that nothing finalises the parent's process here
            self.pool = None

    def close(self) -> None:
        with self.lock:
            if self.pool is not None:
                self.pool.close()
                self.pool = None


_APART = _Apart()
atexit.register(_APART.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_APART.forget)


def _lost_verdict(judge: Judge, reason: str) -> Verdict:
    return Verdict(by=judge.kind, version=judge.version, outcome="unknown", cause="transient", reason=reason)


def _cause_of_death(status: int, judge: Judge) -> str:
    if status == -signal.SIGPROF:
        return f"no verdict within {judge.deadline_s:g} s of CPU time"
    if status < 0:
        return f"the judging worker was killed by signal {-status}"
    return f"the judging worker ended with status {status}"


def _environment() -> dict[str, str]:
    """Return what a worker needs of the environment; tokens and keys stay outside."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "TMPDIR", "HOME") if name in os.environ}
    return kept | {"LANG": "C.UTF-8", "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
