"""Hand tasks to worker processes and their verdicts to the callers: the one thread behind a pool of judges.

In: orders, from any thread. Out: verdicts, delivered in this thread to the calls they belong to. Callers share the
workers fairly: each chunk of tasks belongs to one call, and calls take turns. A worker that hangs or dies is replaced;
its current task becomes `unknown` (transient), the tasks behind it go to another worker, at once where one is idle.

The thread starts with the first order. A forked child has no such thread: it forgets the workers of its parent and
starts its own. What callers hold is `workers.JudgePool`.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import selectors
import socket
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from verifiers.verdict import Judge, JudgeUnusable, Verdict
from verifiers.worker_child import Call, Order, Worker, packed_orders

CHUNK = 32
"""Tasks per message: enough to hide the cost of a message, few enough to spread over workers."""
_CHUNK_CHARS = 1 << 18
"""Characters of completions per message."""
_MAX_FAILED_STARTS = 3
_START_S = 120.0
"""Wall time a worker may take to import what it needs."""
_SILENCE_S = 0.5
"""Wall time after which the tasks behind a slow one are given to an idle worker."""
_CLOSE_S = 10.0
"""Wall time that closing waits for the thread; all it does by then is to kill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one worker may use."""

    memory_mb: int
    """Memory."""
    wall_factor: float
    """Wall seconds per second of a judge's deadline, which counts CPU time."""
    wall_grace_s: float
    """Wall seconds on top."""


class Dispatcher:
    """The workers of one pool and the thread that serves them."""

    def __init__(self, num_workers: int, limits: Limits) -> None:
        self._num_workers = num_workers
        self._limits = limits
        self._is_closed = False
        self._calls: deque[Call] = deque()
        self._begin()
        _LIVING.add(self)

    def put(self, orders: Iterable[Order]) -> None:
        """Take orders from any thread. Raises RuntimeError when closed."""
        with self._lock:
            if self._is_closed or self._is_stopping:
                raise RuntimeError("this pool of judges is closed")
            if self._thread is None:
                self._start_thread()
            self._inbox.extend(orders)
        self._ring()

    def drop(self, call: Call) -> None:
        """Forget what a call still waits for, and kill the workers that are at it."""
        call.is_dropped = True
        self._inbox.append(call)
        self._ring()

    def stop(self) -> None:
        """Ask the thread to end; for finalisers, which may run in the middle of anything: takes no lock."""
        self._is_stopping = True
        self._ring()

    def close(self) -> None:
        """End the thread and the workers; what is still waited for gets a RuntimeError."""
        self.stop()
        with self._lock:
            self._is_closed = True
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_CLOSE_S)

    def forget(self) -> None:
        """Begin anew in a forked child: the workers, and whoever waits for them, are the parent's."""
        for worker in list(self._workers):
            worker.forget()
        for call in list(self._calls):
            call.waiting.clear()
        if self._selector is not None:
            self._selector.close()  # unregistering would reach into the parent's
        for end in self._bell:
            end.close()
        self._calls = deque()
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._inbox: deque[Order | Call] = deque()
        self._is_woken = self._is_stopping = False
        self._thread: threading.Thread | None = None
        self._workers: list[Worker] = []
        self._selector: selectors.BaseSelector | None = None
        self._bell: tuple[socket.socket, ...] = ()
        self._failed_starts = 0

    def _start_thread(self) -> None:
        self._bell = socket.socketpair()
        for end in self._bell:
            end.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._bell[0], selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._serve, name="judges", daemon=True)
        self._thread.start()

    def _ring(self) -> None:
        if not self._is_woken and self._bell:
            self._is_woken = True
            with contextlib.suppress(OSError):  # full: it rings already; closed: nobody listens
                self._bell[1].send(b"!")

    def _serve(self) -> None:
        failure = "this pool of judges is closed"
        try:
            while True:
                self._is_woken = False  # before anything is looked at: what comes later rings again
                if self._is_stopping:
                    break
                self._take_in()
                self._hand_out()
                self._listen()
        except Exception as error:  # noqa: BLE001 - whoever waits must be told, else he waits for ever
            failure = f"the pool of judges failed: {type(error).__name__}: {error}"
        finally:
            self._end(RuntimeError(failure))

    def _end(self, error: RuntimeError) -> None:
        with self._lock:
            self._is_closed = True
            left = [order for order in self._inbox if isinstance(order, Order)]
        for worker in list(self._workers):
            left += worker.tasks
            self._discard(worker)
        for order in [*left, *(order for call in self._calls for order in call.waiting)]:
            order.settle(error)
        assert self._selector is not None
        self._selector.close()
        for end in self._bell:
            end.close()

    def _take_in(self) -> None:
        while self._inbox:
            arrived = self._inbox.popleft()
            if isinstance(arrived, Order):
                self._queue(arrived)
                continue
            arrived.waiting.clear()
            for worker in [w for w in self._workers if w.tasks and w.tasks[0].call is arrived]:
                self._discard(worker)  # all it has belongs to the one call

    def _queue(self, order: Order) -> None:
        if not order.call.waiting:
            self._calls.append(order.call)
        order.call.waiting.append(order)

    def _requeue(self, orders: Iterable[Order]) -> None:
        """Put orders in front of what their calls wait for."""
        for order in reversed([order for order in orders if order.is_open]):
            if not order.call.waiting:
                self._calls.appendleft(order.call)
            order.call.waiting.appendleft(order)

    def _hand_out(self) -> None:
        for worker in [w for w in self._workers if not w.tasks and w.process.poll() is not None]:
            self._discard(worker)  # it died while it had nothing to do
        self._share_out()
        if not self._calls and self._has_room():
            now = time.monotonic()
            for worker in self._workers:
                if _can_be_bypassed(worker) and now - worker.progress_at >= _SILENCE_S:
                    worker.is_bypassed = True
                    self._requeue(itertools.islice(worker.tasks, 1, None))
            self._share_out()

    def _share_out(self) -> None:
        while self._calls and self._has_room():
            chunk = self._next_chunk()
            try:
                body = packed_orders(chunk)
            except Exception as error:  # noqa: BLE001 - what the caller gave cannot be sent: the caller's error
                for order in chunk:
                    order.settle(TypeError(f"a task cannot be sent to a worker: {error}"))
                continue
            if not chunk:
                continue
            try:
                worker = next((w for w in self._workers if not w.tasks), None) or self._start()
            except OSError as error:
                for order in chunk:
                    order.settle(RuntimeError(f"a judging worker cannot be started: {error}"))
                continue
            worker.send(chunk, body)
            self._watch(worker)

    def _has_room(self) -> bool:
        return len(self._workers) < self._num_workers or any(not w.tasks for w in self._workers)

    def _next_chunk(self) -> list[Order]:
        """Take tasks of the call whose turn it is; the call then goes to the end of the line."""
        call = self._calls.popleft()
        share = max(1, min(CHUNK, -(-len(call.waiting) // self._num_workers)))
        chunk: list[Order] = []
        chars = 0
        while call.waiting and len(chunk) < share and (not chunk or chars < _CHUNK_CHARS):
            order = call.waiting.popleft()
            if not order.is_open:
                continue
            if not order.is_taken and not call.wants(order.index):
                order.is_settled = True
                continue
            order.is_taken = True
            chunk.append(order)
            chars += len(order.task.completion)
        if call.waiting:
            self._calls.append(call)
        return chunk

    def _start(self) -> Worker:
        worker = Worker.start(self._limits.memory_mb)
        assert self._selector is not None
        self._selector.register(worker.results, selectors.EVENT_READ, worker)
        self._workers.append(worker)
        return worker

    def _watch(self, worker: Worker) -> None:
        """Wait for room in the worker's task pipe exactly while something is left to be sent."""
        assert self._selector is not None
        known = worker.orders in self._selector.get_map()
        if worker.unsent and not known:
            self._selector.register(worker.orders, selectors.EVENT_WRITE, worker)
        elif not worker.unsent and known:
            self._selector.unregister(worker.orders)

    def _listen(self) -> None:
        """Wait until a worker says something, a caller rings, or patience ends."""
        assert self._selector is not None
        heard: set[int] = set()
        for key, _ in self._selector.select(self._timeout()):
            worker: Worker | None = key.data
            if worker is None:
                with contextlib.suppress(BlockingIOError):
                    self._bell[0].recv(1 << 10)
                continue
            if worker not in self._workers:
                continue
            heard.add(id(worker))
            if key.fd == worker.orders:
                worker.push()
                self._watch(worker)
                continue
            found = worker.pull()
            for order, verdict in found:
                order.settle(verdict)
            if worker.is_ready:
                self._failed_starts = 0
            if worker.is_bypassed and found:
                self._discard(worker)  # all else it has was given to others; two must not hang on one task
            elif worker.is_broken:
                self._bury(worker, None)
        now = time.monotonic()
        for worker in [w for w in self._workers if w.tasks and id(w) not in heard]:
            # what was written while this thread did not run is read first: only silence counts
            if now - worker.progress_at >= self._patience(worker):
                self._bury(worker, f"no verdict within {self._patience(worker):g} s of wall time")

    def _timeout(self) -> float | None:
        now = time.monotonic()
        busy = [w for w in self._workers if w.tasks]
        ends = [w.progress_at + self._patience(w) for w in busy]
        if not self._calls and self._has_room():
            ends += [w.progress_at + _SILENCE_S for w in busy if _can_be_bypassed(w)]
        return max(min(ends) - now, 0.0) if ends else None

    def _patience(self, worker: Worker) -> float:
        if not worker.is_ready:
            return _START_S
        return self._limits.wall_factor * worker.tasks[0].task.judge.deadline_s + self._limits.wall_grace_s

    def _bury(self, worker: Worker, reason: str | None) -> None:
        """Remove a dead or hung worker: its current task becomes unknown, those behind it wait again."""
        lost = deque(itertools.islice(worker.tasks, 1) if worker.is_bypassed else worker.tasks)
        status = self._discard(worker)
        if worker.failure is not None:
            for order in lost:
                order.settle(JudgeUnusable(f"a judging worker cannot work: {worker.failure}"))
            return
        if not worker.is_ready:
            self._failed_starts += 1
        elif lost and not worker.is_leaving:
            order = lost.popleft()
            order.settle(_lost_verdict(order.task.judge, reason or worker.cause_of_death(status, order.task.judge)))
        if self._failed_starts < _MAX_FAILED_STARTS:
            self._requeue(lost)
            return
        error = RuntimeError(f"a judging worker died {self._failed_starts} times before it was ready ({status})")
        self._failed_starts = 0
        for order in lost:
            order.settle(error)

    def _discard(self, worker: Worker) -> int:
        self._workers.remove(worker)
        assert self._selector is not None
        for fd in (worker.results, worker.orders):
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(fd)
        return worker.kill()


def _can_be_bypassed(worker: Worker) -> bool:
    """Tell whether tasks wait behind the one a worker is at."""
    return len(worker.tasks) > 1 and not worker.is_bypassed


def _lost_verdict(judge: Judge, reason: str) -> Verdict:
    return Verdict(by=judge.kind, version=judge.version, outcome="unknown", cause="transient", reason=reason)


_LIVING: weakref.WeakSet[Dispatcher] = weakref.WeakSet()


def _close_all() -> None:
    for dispatcher in list(_LIVING):
        dispatcher.close()


def _forget_all() -> None:
    for dispatcher in list(_LIVING):
        dispatcher.forget()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
