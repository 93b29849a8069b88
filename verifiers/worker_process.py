"""The inside of a judging worker: what runs in the child process, and the messages it speaks.

In: tasks, pickled by the parent, on standard input. Out: one line of JSON per verdict, which the parent reads without
believing it: the text that was judged may have run code here. Starting, watching and replacing workers is `workers.py`.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pickle
import signal
import struct
import sys
from dataclasses import dataclass
from typing import Any

from verifiers.reference import Reference
from verifiers.verdict import OUTCOMES, Judge, JudgeUnusable, Messages, Verdict

HEADER = struct.Struct(">Q")
"""Length of a message of tasks, in front of it."""
_RESTING_MB = 512
"""A worker that keeps more than this, or a quarter of its limit, is replaced between two chunks: its caches must not
starve a later task."""
_PR_SET_PDEATHSIG = 1
_INSIDE = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One judgement to make."""

    judge: Judge
    """Who judges. Its class must be importable in a fresh process."""
    completion: str
    """What is judged."""
    reference: Reference | None = None
    """What it is held against."""
    prompt: Messages | None = None
    """What was asked."""


def inside_worker() -> bool:
    """Say whether this process is a judging worker, so that a judge need not start another one."""
    return _INSIDE


def serve(parent: int, memory_limit_mb: int) -> None:
    """Judge what arrives on standard input until it ends. Runs in the child only."""
    global _INSIDE  # noqa: PLW0603 - it is true of the whole process
    _INSIDE = True
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # the default action ends the process, even inside a C loop
    orders, results = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    _die_with(parent)
    _limit_memory(memory_limit_mb)
    _write(results, {"ready": True})
    prepared: set[type[Judge]] = set()
    resting_mb = max(memory_limit_mb // 4, _RESTING_MB)
    with os.fdopen(orders, "rb") as stream:
        while header := stream.read(HEADER.size):
            try:
                tasks: list[tuple[int, Task]] = pickle.loads(stream.read(HEADER.unpack(header)[0]))
            except Exception as error:  # noqa: BLE001 - the parent raises it
                _write(results, {"failure": f"cannot read its tasks: {type(error).__name__}: {error}"})
                return
            for index, task in tasks:
                for part in task.judge.leaves():
                    if type(part) not in prepared:
                        with contextlib.suppress(ImportError):  # the judge says what is missing
                            part.prepare()
                        prepared.add(type(part))
                        _write(results, {"prepared": part.kind})
                try:
                    verdict = _timed(task)
                except JudgeUnusable as error:
                    _write(results, {"failure": str(error)})
                    return
                except ImportError as error:
                    _write(
                        results,
                        {"failure": f"{error}; install again what is needed, from the checkout: pip install -e ."},
                    )
                    return
                _write(results, _packed(index, verdict))
                if verdict.cause == "transient":  # memory: leave with a clean slate for the next task
                    _write(results, {"leaving": True})
                    return
            if _resident_kb() > resting_mb << 10:
                _write(results, {"leaving": True})
                return


def _packed(index: int, verdict: Verdict) -> list[Any]:
    v = verdict
    return [index, v.by, v.version, v.outcome, v.reason, v.score, v.cause, v.extracted, v.span, v.parts, v.seconds]


def unpacked(said: list[Any], index: int, judge: Judge) -> Verdict:
    """Read a verdict, believing nothing: the text that was judged may have run code in the worker.

    Raises ValueError or TypeError if it is no verdict of this judge on this task.
    """
    place, by, version, outcome, reason, score, cause, extracted, span, parts, seconds = said
    is_sound = (
        (place, by, version) == (index, judge.kind, judge.version)
        and outcome in OUTCOMES
        and cause in ((None,) if outcome != "unknown" else ("permanent", "transient"))
        and isinstance(reason, str)
        and (extracted is None or isinstance(extracted, str))
        and all(isinstance(part, str) and answer in OUTCOMES for part, answer in parts)
    )
    if not is_sound:
        raise ValueError(f"no verdict on task {index}: {str(said)[:200]}")
    return Verdict(
        by=by,
        version=version,
        outcome=outcome,
        reason=reason,
        score=None if score is None else float(score),
        cause=cause,
        extracted=extracted,
        span=None if span is None else (int(span[0]), int(span[1])),
        parts=tuple((part, answer) for part, answer in parts),
        seconds=float(seconds),
    )


def _write(fd: int, said: Any) -> None:
    # ASCII: lone surrogates of a model's text must survive the way to the parent
    data = memoryview(json.dumps(said, ensure_ascii=True).encode("ascii") + b"\n")
    while data:
        data = data[os.write(fd, data) :]


def _timed(task: Task) -> Verdict:
    """Judge with the kernel counting CPU time: at the deadline it ends this process."""
    signal.setitimer(signal.ITIMER_PROF, task.judge.deadline_s)
    try:
        return task.judge.judge(task.completion, task.reference, task.prompt)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)


def _die_with(parent: int) -> None:
    """End this process when the parent's does.

    The kernel sends the signal when the *thread* that started this worker ends, so the handler looks whether the whole
    parent is gone. A worker that waits for tasks sees the end of its input anyway.
    """

    def leave_if_orphaned(_signal: int, _frame: object) -> None:
        if os.getppid() != parent:
            os._exit(0)

    if sys.platform == "linux":
        signal.signal(signal.SIGUSR1, leave_if_orphaned)
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGUSR1, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def _limit_memory(memory_limit_mb: int) -> None:
    """Bound what this process allocates (the kernel counts private writable memory, resident or not), and its address
    space, which libraries reserve without using it."""
    import resource

    limit = memory_limit_mb << 20
    for what, bound in ((resource.RLIMIT_DATA, limit), (resource.RLIMIT_AS, 2 * limit), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(ValueError, OSError):  # a lower limit is in force already
            # programs that a judge starts have limits of their own, which may be higher
            resource.setrlimit(what, (bound, resource.getrlimit(what)[1]))


def _resident_kb() -> int:
    """Return how much memory this process holds now; where the kernel does not say, the most it ever held.

    On Linux that most is the parent's where the parent held more when it started us, so it says nothing of us.
    """
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - called after every chunk
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak // 1024 if sys.platform == "darwin" else peak
