"""Judge in killable processes: a hung or dying judgement costs one verdict, never a run.

In: tasks (a judge, a completion, its reference and prompt). Out: one verdict per task. A worker is a fresh Python
with a small environment and memory limits that imports this package alone; it judges one task at a time, and its
deadline is the CPU time the kernel counts, so a loaded machine changes no verdict. A wall-clock backstop catches what
only sleeps. A worker that hangs or dies is killed and replaced.

    JudgePool             what callers hold: from any thread, from asyncio, in notebooks, Ray and forked trainers
    judge_apart           the pool of this process, for judges that are called directly
    worker_dispatch.py    the thread of a pool: who gets what, who has died
    worker_threads.py     threads for judges that ask a model, and so run here
    worker_child.py       one worker, seen from the parent
    worker_process.py     its inside

This is no sandbox: code that a text manages to run has the rights of the user, less the environment variables.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import weakref
from collections.abc import Iterable, Iterator
from functools import lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from verifiers.reference import Reference
from verifiers.verdict import Judge, Messages, Verdict
from verifiers.worker_child import Call, Order
from verifiers.worker_dispatch import CHUNK, Dispatcher, Limits
from verifiers.worker_process import Task, inside_worker
from verifiers.worker_threads import Crew

if TYPE_CHECKING:
    from concurrent.futures import Future

_T = TypeVar("_T")

__all__ = ["JudgePool", "Task", "inside_worker", "judge_apart", "usable_cores"]

_CHUNKS_AHEAD = 3
"""Chunks per worker that are pulled from a caller's tasks ahead of their verdicts."""
_AHEAD_CHARS = 1 << 23
"""Characters of completions that are out at once, so that an endless input takes bounded memory."""
_TICK_S = 0.5
"""Longest wait for a verdict before it is waited for anew: where a library has taken over SIGINT, as Polars does, a
Ctrl-C is seen only then."""
_MAX_THREADS = 256
"""Judgements that wait for a model at the same time."""
_MAX_LEAD = 4096
"""How many tasks ahead of the verdict that is due are pulled, when verdicts come in the order of the tasks."""


class JudgePool:
    """A pool of killable worker processes that judge.

    Any number of threads may use one pool at the same time, and coroutines through `judge_async`; callers take turns.
    A forked child may go on using it with workers of its own, and so may a process that got it pickled.

    Example:
        >>> with JudgePool(2) as pool:
        ...     for verdict in pool.map(Task(judge=Format(), completion=text) for text in completions):
        ...         print(verdict.outcome)
    """

    def __init__(
        self,
        num_workers: int = 1,
        *,
        memory_limit_mb: int = 2048,
        wall_factor: float = 12.0,
        wall_grace_s: float = 30.0,
    ) -> None:
        """Plan a pool; workers start with the first task, and stay.

        A task is given up when its worker has used `judge.deadline_s` of CPU time, or has shown no progress for
        `wall_factor * judge.deadline_s + wall_grace_s` of wall time. `memory_limit_mb` bounds what a worker allocates,
        and twice that its address space.
        """
        assert num_workers >= 1, num_workers
        self.num_workers = num_workers
        self._limits = Limits(memory_mb=memory_limit_mb, wall_factor=wall_factor, wall_grace_s=wall_grace_s)
        self._dispatcher = Dispatcher(num_workers, self._limits)
        self._crew = Crew(_MAX_THREADS)
        self._window = num_workers * CHUNK * _CHUNKS_AHEAD
        self._numbers = itertools.count()
        self._sendable: set[type[Judge]] = set()
        self._futures: dict[int, Future[Verdict]] = {}
        self._singles = _call_of_futures(self._futures)
        # a pool that nobody holds any more ends its workers
        self._finalizer = weakref.finalize(self, self._dispatcher.stop)

    def map(self, tasks: Iterable[Task], *, attempts: int = 1) -> Iterator[Verdict]:
        """Judge the tasks and yield their verdicts in the order of the tasks.

        Tasks are pulled lazily, a few chunks per worker ahead; leaving early kills the workers that are at them.
        A transient unknown is tried again until it was judged `attempts` times. Raises RuntimeError if workers cannot
        be started or if the pool is closed meanwhile, TypeError if a judge cannot be sent to a worker.
        """
        return (verdict for _, verdict in self._judged(tasks, attempts, in_order=True))

    def map_unordered(self, tasks: Iterable[Task], *, attempts: int = 1) -> Iterator[tuple[int, Verdict]]:
        """Judge the tasks as `map` does and yield (index of the task, verdict) as they finish."""
        return self._judged(tasks, attempts, in_order=False)

    def judge(self, task: Task) -> Verdict:
        """Judge one task and wait for its verdict."""
        return next(self.map([task]))

    def submit(self, task: Task) -> Future[Verdict]:
        """Judge one task without waiting. What is submitted and not yet judged takes the caller's memory."""
        from concurrent.futures import Future

        self._check(task.judge)
        future: Future[Verdict] = Future()
        number = next(self._numbers)
        self._futures[number] = future
        try:
            self._order(Order(self._singles, number, task, number))
        except RuntimeError:
            del self._futures[number]
            raise
        return future

    async def judge_async(self, task: Task) -> Verdict:
        """Judge one task in asyncio, which goes on meanwhile; for many, gather them.

        Cancelling takes a task that waits out of the queue; one that a worker is at ends by itself.
        """
        import asyncio

        return await asyncio.wrap_future(self.submit(task))

    def close(self) -> None:
        """Stop all workers. The pool cannot be used afterwards; closing twice is fine."""
        self._crew.close()
        self._dispatcher.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the plan of a pool: the copy has workers of its own."""
        return _planned, (self.num_workers, self._limits)

    def _judged(self, tasks: Iterable[Task], attempts: int, *, in_order: bool) -> Iterator[tuple[int, Verdict]]:
        results: queue.SimpleQueue[tuple[int, Verdict | Exception]] = queue.SimpleQueue()
        call = Call(deliver=lambda index, result: results.put((index, result)))
        source, is_open, process = enumerate(_checked(tasks)), True, os.getpid()
        out: dict[int, tuple[Task, int]] = {}  # what is being judged, and how often it was sent
        sizes: dict[int, int] = {}  # characters of what is not yielded yet
        early: dict[int, Verdict] = {}  # verdicts whose turn has not come
        chars = num_pulled = due = 0
        window = self._window
        try:
            while True:
                if os.getpid() != process:
                    raise RuntimeError("this process was forked while it judged; the verdicts come to its parent")
                goal = num_pulled + 2  # two for each verdict, so that workers stay fed and a slow source delays none
                while is_open and (num_pulled < goal or results.empty()):
                    is_full = len(out) >= window or chars >= _AHEAD_CHARS or num_pulled - due >= _MAX_LEAD
                    if is_full and out:
                        break
                    index, task = next(source, (0, None))
                    if task is None:
                        is_open = False
                        break
                    if task.judge.runs_here:
                        window = max(window, _MAX_THREADS)
                    num_pulled += 1
                    sizes[index] = len(task.completion)
                    chars += sizes[index]
                    self._send(call, index, task, out, 1)
                if not out:
                    return
                index, found = _next(results)
                if isinstance(found, Exception):
                    raise found
                task, num_sent = out.pop(index)
                if found.cause == "transient" and num_sent < attempts:
                    self._send(call, index, task, out, num_sent + 1)
                    continue
                if not in_order:
                    due += 1
                    chars -= sizes.pop(index)
                    yield index, found
                    continue
                early[index] = found
                while due in early:
                    due += 1
                    chars -= sizes.pop(due - 1)
                    yield due - 1, early.pop(due - 1)
        finally:
            if out:
                self._dispatcher.drop(call)

    def _send(self, call: Call, index: int, task: Task, out: dict[int, tuple[Task, int]], num_sent: int) -> None:
        self._check(task.judge)
        out[index] = (task, num_sent)
        self._order(Order(call, index, task, next(self._numbers)))

    def _order(self, order: Order) -> None:
        if order.task.judge.runs_here:
            self._crew.put(order)
        else:
            self._dispatcher.put([order])

    def _check(self, judge: Judge) -> None:
        """Refuse a judge that no worker can import, while the caller is there to be told."""
        if type(judge) in self._sendable:
            return
        for part in (judge, *judge.leaves()):
            kind = type(part)
            if part.runs_here:
                continue
            if kind.__module__ == "__main__" or "<locals>" in kind.__qualname__:
                raise TypeError(
                    f"{kind.__qualname__} is defined in {kind.__module__}, which a worker cannot import; move it to a "
                    f"file of its own, e.g. my_judges.py, and import it from there"
                )
        if judge.leaves() == (judge,):  # what a composed judge is made of differs between two of its class
            self._sendable.add(type(judge))


def _next(results: queue.SimpleQueue[_T]) -> _T:
    while True:
        with contextlib.suppress(queue.Empty):
            return results.get(timeout=_TICK_S)


def _checked(tasks: Iterable[Task]) -> Iterator[Task]:
    for index, task in enumerate(tasks):
        if not isinstance(task, Task):
            raise TypeError(f"item {index} is no Task but a {type(task).__name__}")
        yield task


def judge_apart(judge: Judge, completion: str, reference: Reference | None, prompt: Messages | None) -> Verdict:
    """Judge in this process's own workers, which start on first use. Safe in threads and after a fork."""
    return _apart().judge(Task(judge=judge, completion=completion, reference=reference, prompt=prompt))


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _planned(num_workers: int, limits: Limits) -> JudgePool:
    return JudgePool(
        num_workers,
        memory_limit_mb=limits.memory_mb,
        wall_factor=limits.wall_factor,
        wall_grace_s=limits.wall_grace_s,
    )


def _call_of_futures(futures: dict[int, Future[Verdict]]) -> Call:
    """Return the call that fulfils futures; it holds no pool, so that one that is not used any more can end."""

    def wants(index: int) -> bool:
        wanted = futures[index].set_running_or_notify_cancel()
        if not wanted:
            del futures[index]
        return wanted

    def deliver(index: int, result: Verdict | Exception) -> None:
        future = futures.pop(index)
        if future.running() or future.set_running_or_notify_cancel():
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

    return Call(deliver=deliver, wants=wants)


@lru_cache(maxsize=1)
def _apart() -> JudgePool:
    return JudgePool(min(4, usable_cores()))
