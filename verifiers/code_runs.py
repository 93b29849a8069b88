"""One test of a program: which boxes it takes, and what came of it.

In: a program, its tests, a sandbox. Out: an `Outcome` per test. A sandbox is started with the first program of its
language and stays; this process may be killed at any time, and everything in the sandbox ends with it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from verifiers.code_compare import output_difference, shown, value_difference
from verifiers.reference import CodeTest, TestsReference
from verifiers.sandbox import plain
from verifiers.sandbox.client import Sandbox, SandboxLostError, read_file
from verifiers.sandbox.languages import Build, Toolchain, build, toolchain
from verifiers.sandbox.layers import SandboxUnavailableError
from verifiers.sandbox.protocol import Box, Limits, Report
from verifiers.verdict import Cause

__all__ = ["Bench", "Outcome", "SandboxLostError", "SandboxUnavailableError", "bench"]

_MAX_STDERR = 4096
_SIGNALS = {4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL", 11: "SIGSEGV", 15: "SIGTERM"}
_SIGXFSZ, _SIGSYS = 25, 31


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one test."""

    passed: bool | None
    """Whether it was passed; None if nothing can be said."""
    reason: str = ""
    """Why not."""
    cause: Cause = "permanent"
    """Where nothing can be said: whether it will be so again."""
    shared: bool = False
    """Whether the test ran in the program's own process."""
    cpu_s: float = 0.0
    """CPU seconds of the program."""
    memory_mb: float = 0.0
    """Most memory of the program."""


@lru_cache(maxsize=16)
def bench(language: str, *, bare: bool) -> Bench | None:
    """Return this process's place to run programs of a language; None if the machine has no toolchain for it.

    Raises SandboxUnavailableError if programs cannot be isolated here.
    """
    tools = toolchain(language)
    return None if tools is None else Bench(tools, bare=bare)


class Bench:
    """A sandbox and a toolchain."""

    def __init__(self, tools: Toolchain, *, bare: bool) -> None:
        self._tools = tools
        self._bare = bare
        self._sandbox: Sandbox | None = Sandbox(bare=bare, visible=tools.visible)

    def lose(self) -> None:
        """Give a sandbox up that does not answer; the next problem starts another one."""
        lost, self._sandbox = self._sandbox, None
        if lost is not None:
            lost.close()

    @contextlib.contextmanager
    def problem(self, source: str, reference: TestsReference) -> Iterator[Bench.Problem]:
        """Hold what one program and its tests need."""
        if self._sandbox is None:
            self._sandbox = Sandbox(bare=self._bare, visible=self._tools.visible)
        try:
            yield Bench.Problem(self._sandbox, self._tools, source, reference)
        finally:
            if self._sandbox is not None:
                self._sandbox.free_files()

    class Problem:
        """One program and its tests."""

        def __init__(self, sandbox: Sandbox, tools: Toolchain, source: str, reference: TestsReference) -> None:
            self._sandbox = sandbox
            self._tools = tools
            self._reference = reference
            self._source = source
            self._code = sandbox.file(source.encode("utf-8", errors="surrogatepass"))
            self._built: Build | None = None
            self._made = self._code
            self._last = Report()
            self.num_tests = 1 if reference.mode == "script" else len(reference.tests)

        def build(self) -> str | None:
            """Compile the program, where that is done. Returns why it cannot be."""
            if self._tools.language == "python":
                return None
            built = self._built = build(self._tools, self._source, self._reference.memory_limit_mb)
            if not built.compile:
                return None
            errors, made = self._sandbox.file(), self._sandbox.file()
            [report] = self._sandbox.run(
                Box(
                    run=built.compile,
                    limits=built.compile_limits,
                    stdout=errors,
                    stderr=errors,
                    files=((built.source, self._code),),
                    collected=(built.made, made),
                    environment=built.environment,
                )
            )
            if report.fault is not None:
                raise SandboxLostError(report.fault)
            if not report.ended_well:
                said = read_file(errors, _MAX_STDERR).decode("utf-8", errors="replace")
                first = next((line for line in said.splitlines() if "error" in line.lower()), said.strip()[:200])
                return f"it does not compile: {_how_it_ended(report, built.compile_limits) or ''}: {first[:300]}"
            self._made = made
            return None

        def test(self, index: int, *, allow_shared: bool) -> Outcome:
            """Run one test."""
            outcome = self._tested(index, allow_shared=allow_shared)
            return replace(outcome, cpu_s=self._last.cpu_s, memory_mb=self._last.memory_mb)

        def _tested(self, index: int, *, allow_shared: bool) -> Outcome:
            mode = self._reference.mode
            if mode in ("asserts", "script"):
                return self._examined(index, allow_shared=allow_shared)
            test = self._reference.tests[index]
            assert isinstance(test, CodeTest)
            return self._printed(test) if mode == "stdin" else self._returned(test)

        def _printed(self, test: CodeTest) -> Outcome:
            given = (test.input or "").encode("utf-8", errors="surrogatepass")
            out, err = self._sandbox.file(), self._sandbox.file()
            limits = self._limits()
            box = Box(run=("stdin",), limits=limits, stdin=self._sandbox.file(given), stdout=out, stderr=err)
            if self._built is None:
                box = replace(box, code=self._code)
            else:
                run, kept = self._built.run, self._built.kept
                environment = self._built.environment
                box = replace(box, run=run, files=((kept, self._made),), environment=environment)
            [report] = self._sandbox.run(box)
            self._last = report
            if ending := _how_it_ended(report, limits):
                return Outcome(passed=False, reason=f"{ending}{_last_line(err)}; the input is {shown(given)}")
            actual = read_file(out)
            difference = self._difference(given, test.output or "", actual)
            if isinstance(difference, Outcome):
                return difference
            if difference is None:
                return Outcome(passed=True)
            reason = (
                f"{difference}; for the input {shown(given)} it printed {shown(actual)}, expected is "
                f"{shown(test.output or '')}, in {report.cpu_s:.2f} s and {report.memory_mb:.0f} MB"
            )
            return Outcome(passed=False, reason=reason)

        def _difference(self, given: bytes, expected: str, actual: bytes) -> str | Outcome | None:
            how = self._reference.checker
            if how != "program":
                return output_difference(
                    expected.encode("utf-8", errors="surrogatepass"), actual, how, self._reference.tolerance
                )
            said = self._checked(given, expected, actual)
            if isinstance(said, Outcome) and self._checked(given, expected, expected.encode()) is None:
                return f"the checker program breaks on it ({said.reason})"  # and it does not break on what is right
            return said

        def _checked(self, given: bytes, expected: str, actual: bytes) -> str | Outcome | None:
            """Ask the checker program: None if it accepts, a sentence if it does not, an outcome if it breaks."""
            names = ("input.txt", "expected.txt", "actual.txt")
            files = zip(names, map(self._sandbox.file, (given, expected.encode(), actual)), strict=True)
            out, err = self._sandbox.file(), self._sandbox.file()
            data = self._json({"arguments": names})
            limits = Limits(cpu_s=30, idle_s=10, memory_mb=1024)
            code = self._sandbox.file(self._reference.checker_program.encode())
            box = Box(run=("stdin",), limits=limits, code=code, data=data, stdout=out, stderr=err, files=tuple(files))
            [report] = self._sandbox.run(box)
            if ending := _how_it_ended(report, limits):
                return Outcome(passed=None, reason=f"the checker program: {ending}{_last_line(err)}")
            words = read_file(out, 1 << 16).decode("utf-8", errors="replace").split()
            try:
                accepted = not words or float(words[-1]) >= 1
            except ValueError:
                accepted = words[-1].lower() in ("true", "ok", "yes", "accepted")
            return None if accepted else f"the checker program says {' '.join(words)[:100]!r}"

        def _returned(self, test: CodeTest) -> Outcome:
            args, kwargs = test.args or [], test.kwargs or {}
            setup, entry_point = self._reference.setup, self._reference.entry_point
            data = self._json({"setup": setup, "entry_point": entry_point, "args": args, "kwargs": kwargs})
            err, result = self._sandbox.file(), self._sandbox.file()
            limits = self._limits()
            box = Box(run=("function",), limits=limits, code=self._code, data=data, stderr=err, result=result)
            [report] = self._sandbox.run(box)
            self._last, call = report, f"{entry_point}({_arguments(args, kwargs)})"
            if ending := _how_it_ended(report, limits):
                if setup and (broken := self._broken_setup(setup)):
                    return Outcome(passed=None, reason=broken)
                return Outcome(passed=False, reason=f"{call}: {ending}{_last_line(err)}")
            said = _json_of(result)
            if not isinstance(said, dict) or "returned" not in said:
                refused = said.get("refused") if isinstance(said, dict) else None
                return Outcome(passed=False, reason=f"{call} returned {refused or 'nothing that can be read'}")
            try:
                actual = plain.decode(said["returned"])
            except (ValueError, TypeError, KeyError, IndexError, ArithmeticError, RecursionError):
                return Outcome(passed=False, reason=f"{call} returned what is no data")
            how = self._reference.checker
            assert how != "program"
            if value_difference(test.expected, actual, how, self._reference.tolerance) is None:
                return Outcome(passed=True)
            reason = (
                f"{call} returned {shown(_repr(actual))}, expected is {shown(_repr(test.expected))}, in "
                f"{report.cpu_s:.2f} s and {report.memory_mb:.0f} MB"
            )
            return Outcome(passed=False, reason=reason)

        def _broken_setup(self, setup: str) -> str | None:
            """Try the setup with a program that does nothing: say what is wrong with it; None if nothing is."""
            code, err, limits = self._sandbox.file(b"def nothing(): pass"), self._sandbox.file(), self._limits()
            data = self._json({"setup": setup, "entry_point": "nothing", "args": [], "kwargs": {}})
            box = Box(run=("function",), limits=limits, code=code, data=data, stderr=err, result=self._sandbox.file())
            [report] = self._sandbox.run(box)
            ending = _how_it_ended(report, limits)
            return f"the setup of the tests: {ending}{_last_line(err)}" if ending else None

        def _examined(self, index: int, *, allow_shared: bool) -> Outcome:
            """Run test code in one box and the program in another."""
            reference = self._reference
            test = reference.test if reference.mode == "script" else reference.tests[index]
            plan = {"mode": reference.mode, "setup": reference.setup, "test": test}
            data = self._json(plan | {"entry_point": reference.entry_point})
            err, result = self._sandbox.file(), self._sandbox.file()
            limits = self._limits()
            # the program waits for questions, the tests wait for answers; it gets nothing of the tests but its setup
            waiting = replace(limits, idle_s=limits.wall_s)
            before = self._json({"setup": reference.setup})
            examinee = Box(run=("examinee",), limits=waiting, code=self._code, data=before, stderr=err)
            own = Limits(cpu_s=2 * limits.cpu_s + 5, idle_s=limits.idle_s, wall_s=limits.wall_s, memory_mb=1024)
            asked, report = self._sandbox.run(Box(run=("examiner",), limits=own, data=data, result=result), examinee)
            self._last, quoted = report, "" if reference.mode == "script" else f" in {shown(str(test))}"
            for one in (asked, report):
                if one.fault is not None:
                    raise SandboxLostError(one.fault)
            if report.stopped in ("cpu", "memory", "disk"):
                return Outcome(passed=False, reason=f"{_how_it_ended(report, limits)}{quoted}")
            if asked.stopped in ("idle", "wall"):
                return Outcome(passed=False, reason=f"no answer within {limits.idle_s:g} s{quoted}")
            if asked.stopped == "memory":
                return Outcome(passed=False, reason=f"what it returned is too large{quoted}")
            said = _json_of(result)
            if not asked.ended_well or not isinstance(said, dict):
                return Outcome(passed=None, reason=f"the tests: {_how_it_ended(asked, own) or 'said nothing'}")
            if said["outcome"] == "unsplittable":
                return self._examined_beside(data, said["reason"], quoted, allow_shared=allow_shared)
            if said["outcome"] == "pass" and not report.ended_well:
                return Outcome(passed=False, reason=f"{_how_it_ended(report, limits)}{_last_line(err)}{quoted}")
            return _outcome_of(said, quoted, err)

        def _examined_beside(self, data: int, why: str, quoted: str, *, allow_shared: bool) -> Outcome:
            """Run test code in the program's own process."""
            if not allow_shared:
                return Outcome(passed=None, reason=f"{why}, and `shared` is off")
            err, result = self._sandbox.file(), self._sandbox.file()
            limits = self._limits()
            box = Box(run=("shared",), limits=limits, code=self._code, data=data, stderr=err, result=result)
            [report] = self._sandbox.run(box)
            self._last, said = report, _json_of(result)
            if ending := _how_it_ended(report, limits):
                reason = f"{ending}{_last_line(err)}{quoted}"
                return Outcome(passed=False, reason=reason, shared=True)
            if not isinstance(said, dict):
                return Outcome(passed=False, reason=f"the program ended before its tests{quoted}", shared=True)
            return replace(_outcome_of(said, quoted, err), shared=True)

        def _limits(self) -> Limits:
            seconds, built = self._reference.time_limit, self._built
            return Limits(
                cpu_s=seconds,
                idle_s=seconds,
                wall_s=10 * seconds + 30,
                memory_mb=self._reference.memory_limit_mb + (built.extra_memory_mb if built else 0),
                bounded_address_space=built.bounded_address_space if built else True,
            )

        def _json(self, data: Any) -> int:
            return self._sandbox.file(json.dumps(data).encode())


def _outcome_of(said: dict[str, Any], quoted: str, err: int) -> Outcome:
    """Read what the tests said."""
    reason = str(said["reason"]) + quoted
    if said["outcome"] == "pass":
        return Outcome(passed=True)
    if said["outcome"] == "broken":
        return Outcome(passed=None, reason=reason)
    if "expected" in said:
        reason += f": {said['actual']}, expected is {said['expected']}"
    elif "the program ended" in reason:
        reason += _last_line(err)
    return Outcome(passed=False, reason=reason)


def _how_it_ended(report: Report, limits: Limits) -> str | None:
    """Say how a run ended; None if by itself and well. Raises SandboxLostError if nothing is known."""
    if report.fault is not None:
        raise SandboxLostError(f"the sandbox failed: {report.fault}")
    match report.stopped:
        case "cpu":
            return f"more than {limits.cpu_s:g} s of CPU time"
        case "idle":
            return f"asleep or waiting for more than {limits.idle_s:g} s"
        case "wall":
            return f"not done after {limits.wall_s:g} s"
        case "memory":
            return f"more than {limits.memory_mb} MB of memory"
        case "disk":
            return f"more than {limits.disk_mb} MB or {limits.max_files} files in its folder"
    if report.signal == _SIGXFSZ:
        return f"more than {limits.output_mb} MB of output"
    if report.signal == _SIGSYS:
        return "ended by a signal that it sent to itself"
    if report.signal is not None:
        return f"ended by signal {_SIGNALS.get(report.signal, report.signal)}"
    return f"ended with status {report.exit_status}" if report.exit_status else None


def _last_line(err: int) -> str:
    """Return the last line of standard error, which tells of an exception, for a reason."""
    size = max(0, _size(err) - _MAX_STDERR)
    text = read_file(err)[size:] if size < 1 << 24 else b""
    lines = text.decode("utf-8", errors="replace").strip().splitlines()
    return f" ({lines[-1][:200]})" if lines else ""


def _size(fd: int) -> int:
    return os.fstat(fd).st_size


def _json_of(fd: int) -> Any:
    """Read JSON that a run has written; None if it is none."""
    try:
        return json.loads(read_file(fd, 256 << 20))
    except (ValueError, RecursionError):
        return None


def _arguments(args: list[Any], kwargs: dict[str, Any]) -> str:
    text = ", ".join([*(repr(value) for value in args), *(f"{name}={value!r}" for name, value in kwargs.items())])
    return text if len(text) <= 120 else text[:119] + "…"


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except (ValueError, RecursionError):  # more digits than Python writes
        return f"a {type(value).__name__}"
