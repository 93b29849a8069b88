"""Graders of mathematical answers, each in a killable process: ours, Math-Verify, and one that compares text.

In: a reference, a completion, perhaps a prompt. Out: `pass`, `fail` or `unknown`, with wall and CPU time and the memory
the grader's process ever held. A grader that gives no verdict within the limit is killed and replaced, and its verdict
is `unknown`: Math-Verify's own limit is a signal that some computations cannot be interrupted by.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Grade = Callable[[str, str, str | None], tuple[str, str]]
"""Reference, completion and prompt to an outcome and a reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """What a grader said of one answer, and what it cost."""

    outcome: str
    """`pass`, `fail`, `unknown`; `died` or `killed` where the process gave none."""
    reason: str
    """Why, where the grader says so."""
    wall_s: float
    """Time it took."""
    cpu_s: float
    """CPU time of its process and of the processes that this one started."""
    peak_mb: float
    """The most memory that these processes ever held."""


def ours() -> Grade:
    """Return this project's judge of mathematical answers."""
    from verifiers import MathAnswer, parse_reference

    judge = MathAnswer()
    judge.prepare()

    def grade(reference: str, completion: str, prompt: str | None) -> tuple[str, str]:
        messages = None if prompt is None else [{"role": "user", "content": prompt}]
        verdict = judge.judge(completion, parse_reference({"kind": "answer", "value": reference}), messages)  # type: ignore[arg-type]
        return verdict.outcome, verdict.reason

    grade("x + \\frac{1}{2}", "\\boxed{\\frac{2x + 1}{2}}", None)
    return grade


def math_verify() -> Grade:
    """Return Math-Verify in the configuration of its README: the reference in dollars, the completion as it is."""
    import logging

    from math_verify import parse, verify

    logging.disable(logging.CRITICAL)  # it logs every answer that it cannot read, with a traceback

    def grade(reference: str, completion: str, _prompt: str | None) -> tuple[str, str]:
        found = parse(completion)
        return ("pass" if verify(parse(f"${reference}$"), found) else "fail"), str(found)[:200]

    grade("x + \\frac{1}{2}", "\\boxed{\\frac{2x + 1}{2}}", None)
    return grade


def naive() -> Grade:
    """Return a grader that compares the text of the last box, or of what follows the last `A:`, a little tidied."""

    def grade(reference: str, completion: str, _prompt: str | None) -> tuple[str, str]:
        found = _tidied(_last_answer(completion))
        return ("pass" if found == _tidied(reference) else "fail"), found[:200]

    return grade


GRADERS: dict[str, Callable[[], Grade]] = {"ours": ours, "math_verify": math_verify, "naive": naive}
"""All graders by name."""


class Served:
    """One grader in a process of its own."""

    def __init__(self, name: str, *, limit_s: float, without_gmpy2: bool = False, in_thread: bool = False) -> None:
        """Plan it; the process starts with the first answer, and again after it was killed."""
        self.name = name
        self._limit_s = limit_s
        self._arguments = (name, without_gmpy2, in_thread)
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None

    def grade(self, reference: str, completion: str, prompt: str | None = None) -> Graded:
        """Grade one answer; at the limit the process is killed and the outcome is `killed`."""
        pipe = self._pipe or self._start()
        started = time.perf_counter()
        try:
            pipe.send((reference, completion, prompt))
            if pipe.poll(self._limit_s):
                return Graded(**pipe.recv())
            outcome = "killed"
        except (EOFError, OSError):
            outcome = "died"
        wall_s = time.perf_counter() - started
        self.close()
        return Graded(outcome=outcome, reason=outcome, wall_s=wall_s, cpu_s=wall_s, peak_mb=0.0)

    def grade_many(self, answers: list[tuple[str, str, str | None]]) -> list[Graded]:
        """Grade (reference, completion, prompt) in one go, as in bulk; no limit but that of the whole."""
        pipe = self._pipe or self._start()
        pipe.send(answers)
        if not pipe.poll(self._limit_s * len(answers)):
            raise TimeoutError(f"{self.name} is not done with {len(answers)} answers")
        return [Graded(**one) for one in pipe.recv()]

    def close(self) -> None:
        """End the process."""
        if self._process is not None and self._pipe is not None:
            self._pipe.close()
            self._process.kill()
            self._process.join()
        self._process = self._pipe = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")  # a fork would inherit the memory of the benchmark
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(*self._arguments, theirs), daemon=True)
        self._process.start()
        theirs.close()
        if not self._pipe.poll(180.0):
            raise RuntimeError(f"{self.name} does not start")
        self._pipe.recv()
        return self._pipe


def high_water(process: str = "self") -> float:
    """Return the most memory a process ever held (MB)."""
    # not ru_maxrss: that is the parent's where the parent held more when it started the process
    return _status(process, "VmHWM")


def resident(process: str = "self") -> float:
    """Return the memory a process holds (MB)."""
    return _status(process, "VmRSS")


def _status(process: str, field: str) -> float:
    found = re.search(rf"{field}:\s*(\d+) kB", Path(f"/proc/{process}/status").read_text(encoding="ascii"))
    return round(int(found[1]) / 1024, 1) if found else 0.0


def _serve(name: str, without_gmpy2: bool, in_thread: bool, pipe: Connection) -> None:
    if without_gmpy2:
        sys.modules["gmpy2"] = None  # type: ignore[assignment]  # the way to make an import fail
    if in_thread:
        import threading

        thread = threading.Thread(target=_answer, args=(name, pipe))
        thread.start()
        thread.join()
    else:
        _answer(name, pipe)


def _answer(name: str, pipe: Connection) -> None:
    grade = GRADERS[name]()
    pipe.send("ready")
    while True:
        try:
            asked = pipe.recv()
        except (EOFError, OSError):
            return
        if isinstance(asked, list):
            pipe.send([_graded(grade, *one) | {"peak_mb": 0.0} for one in asked])
            continue
        childrens_cpu, _ = _children()
        found = _graded(grade, *asked)
        cpu_now, peak = _children()
        found["cpu_s"] += cpu_now - childrens_cpu
        pipe.send(found | {"peak_mb": round(peak + high_water("self"), 1)})


def _graded(grade: Grade, reference: str, completion: str, prompt: str | None) -> dict[str, Any]:
    started, cpu = time.perf_counter(), time.process_time()
    try:
        outcome, reason = grade(reference, completion, prompt)
    except Exception as error:  # noqa: BLE001 - what a peer raises is its result here
        outcome, reason = "unknown", f"raised {type(error).__name__}: {str(error)[:200]}"
    wall_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    return {"outcome": outcome, "reason": reason, "wall_s": wall_s, "cpu_s": cpu_s}


def _children() -> tuple[float, float]:
    """Return the CPU time of the processes this one has started, and the most memory the living ones ever held (MB)."""
    ended = os.times()
    cpu, peak = ended.children_user + ended.children_system, 0.0
    for path in Path("/proc/self/task").glob("*/children"):
        for child in path.read_text().split():
            try:
                fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
                cpu += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
                peak += high_water(child)
            except OSError:
                continue  # it has just ended
    return cpu, peak


def _last_answer(completion: str) -> str:
    if "\\boxed{" in completion:
        start = completion.rindex("\\boxed{") + len("\\boxed{")
        level = 1
        for place in range(start, min(len(completion), start + 2000)):
            level += (completion[place] == "{") - (completion[place] == "}")
            if level == 0:
                return completion[start:place]
    for mark in ("A:", "####", "answer is"):
        if mark in completion:
            return completion[completion.rindex(mark) + len(mark) :]
    return completion.rstrip().rpartition("\n")[2]


def _tidied(text: str) -> str:
    text = re.sub(r"\\left|\\right|\\[,!;: ]|\s|\$|\\\$", "", text[:2000])
    text = re.sub(r"\\[dt]frac", r"\\frac", text)
    text = re.sub(r"\\(?:text|mbox|mathrm)\{([^{}]*)\}", r"\1", text)
    return re.sub(r"(?<=\d),(?=\d{3})", "", text).rstrip(".").casefold()
