"""The threads of a pool: they judge what holds a model or a connection and so cannot be sent to a worker process.

In: orders, from any thread. Out: verdicts, delivered to the calls they belong to. A judge here mostly waits for its
model, so there may be many threads; they start when there is work for them and end when there has been none for a
while. Nothing is killed at a deadline: a model has its own, and rules inside a composed judge are judged in worker
processes all the same (`compose.py`). What callers hold is `workers.JudgePool`.
"""

from __future__ import annotations

import os
import threading
from collections import deque

from verifiers.verdict import Verdict
from verifiers.worker_child import Order

_REST_S = 5.0
"""Time without work after which a thread ends."""


class Crew:
    """At most so many threads that judge."""

    def __init__(self, most: int) -> None:
        assert most >= 1, most
        self._most = most
        self._begin()

    def put(self, order: Order) -> None:
        """Take an order from any thread. Raises RuntimeError when closed."""
        if self._process != os.getpid():
            self._begin()  # a forked child has none of its parent's threads, nor what they were at
        with self._ready:
            if self._is_closed:
                raise RuntimeError("this pool of judges is closed")
            self._waiting.append(order)
            if self._num_idle >= len(self._waiting):
                self._ready.notify()
            elif self._num_threads < self._most:
                self._num_threads += 1
                # A daemon: a model that never answers must not keep the process.
                threading.Thread(target=self._work, name="judging", daemon=True).start()

    def close(self) -> None:
        """Take no more orders; what waits gets a RuntimeError, what is being judged ends by itself."""
        with self._ready:
            self._is_closed = True
            waiting = list(self._waiting)
            self._waiting.clear()
            self._ready.notify_all()
        for order in waiting:
            order.settle(RuntimeError("this pool of judges is closed"))

    def _begin(self) -> None:
        self._process = os.getpid()
        self._ready = threading.Condition()
        self._waiting: deque[Order] = deque()
        self._num_threads = self._num_idle = 0
        self._is_closed = False

    def _work(self) -> None:
        while (order := self._next()) is not None:
            if not order.is_open or not order.call.wants(order.index):
                order.is_settled = True
                continue
            order.is_taken = True
            order.settle(_result(order))

    def _next(self) -> Order | None:
        """Wait for an order; None if this thread is to end."""
        with self._ready:
            while not self._waiting:
                self._num_idle += 1
                is_notified = self._ready.wait(_REST_S)
                self._num_idle -= 1
                if self._is_closed or not (is_notified or self._waiting):
                    self._num_threads -= 1
                    return None
            return self._waiting.popleft()


def _result(order: Order) -> Verdict | Exception:
    task = order.task
    try:
        return task.judge.judge(task.completion, task.reference, task.prompt)
    except Exception as error:  # noqa: BLE001 - raised again where the verdict is waited for
        return error
