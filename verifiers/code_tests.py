"""Judge a program by its tests, in a sandbox.

In: a completion with a program and a `TestsReference`. Out: pass if the program passes every test, fail at the first
that it does not; unknown if the tests themselves are at fault, or the sandbox was lost. Each test runs in a fresh
process with a folder of its own. Output is compared in this process, which the program cannot reach; it never sees
expected output, other tests or the verdict. In the modes `asserts` and `script` the expected values stand in test code:
that runs in a second box and calls the program by plain data.

    code_blocks.py     the program in the completion       sandbox/           where it runs
    code_compare.py    expected against actual             code_runs.py       one test, from boxes to what came of it
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from verifiers.code_blocks import language_named, program_of
from verifiers.code_runs import Bench, Outcome, SandboxLostError, SandboxUnavailableError, bench
from verifiers.reference import Reference, TestsReference
from verifiers.verdict import Judge, JudgeUnusable, Messages, Verdict
from verifiers.workers import inside_worker, judge_apart

_SHOWN = 1000


class CodeTests(Judge):
    """Run a program against its tests.

    Example:
        >>> tests = {"kind": "tests", "mode": "stdin", "tests": [{"input": "2 3", "output": "5"}]}
        >>> CodeTests().judge("```python\\nprint(2 + 3)\\n```", parse_reference(tests)).outcome
        'pass'
    """

    kind: Literal["code_tests"] = "code_tests"
    """Name of the judge."""
    score: Literal["all", "share"] = "all"
    """`all`: 1 for all tests, else 0, and the first failing test ends it. `share`: the share of tests passed."""
    sandbox: Literal["required", "none"] = "required"
    """`none` runs programs without isolation, where every program is trusted; `required` refuses to run without."""
    max_tests: int | None = Field(default=None, ge=1)
    """Run at most this many tests of a problem, the first ones; None runs all."""
    problem_time_s: float = Field(default=120.0, gt=0)
    """Seconds of CPU time that all tests of a problem may take together."""
    shared: bool = True
    """Whether tests that cannot be kept apart from the program run beside it (the verdict says `isolation: shared`);
    else they are unknown."""

    version: ClassVar[int] = 1

    @property
    def deadline_s(self) -> float:  # type: ignore[override]  # the longer a problem may take, the later its worker is given up
        """Seconds of the judging process's own time; waiting for programs costs none, so this bounds waiting too."""
        return 10.0 + self.problem_time_s / 6

    def _judge(self, completion: str, reference: Reference | None, prompt: Messages | None) -> Verdict:
        if not isinstance(reference, TestsReference):
            given = "no reference" if reference is None else f"a reference of kind {reference.kind}"
            return self._unknown(f"programs are judged by a reference of kind tests, there is {given}")
        language = language_named(reference.language)
        if fault := _fault(reference, language):
            return self._unknown(fault)
        assert language is not None
        program = program_of(completion, language)
        if program is None:
            return self._decide(passed=False, reason="no program: the reasoning never ends, or nothing follows it")
        if not inside_worker():
            return judge_apart(self, completion, reference, prompt)
        extracted = program.text[:_SHOWN]
        span = (program.start, program.start + len(extracted))
        try:
            room = bench(language, bare=self.sandbox == "none")
        except SandboxUnavailableError as error:
            raise JudgeUnusable(str(error)) from error
        if room is None:
            return self._unknown(f"there is nothing here that runs {language}", cause="transient")
        try:
            with room.problem(program.source, reference) as runs:
                return self._judged(runs, extracted, span)
        except SandboxLostError as error:
            room.lose()
            return self._unknown(str(error), cause="transient", extracted=extracted, span=span)

    def _judged(self, runs: Bench.Problem, extracted: str, span: tuple[int, int]) -> Verdict:
        said = {"extracted": extracted, "span": span}
        if (refused := runs.build()) is not None:
            return self._decide(passed=False, reason=refused, extracted=extracted, span=span)
        total = min(runs.num_tests, self.max_tests or runs.num_tests)
        outcomes: list[Outcome] = []
        for outcome in self._outcomes(runs, total):
            outcomes.append(outcome)
            if outcome.passed is None:
                place = f"test {len(outcomes)} of {total}: {outcome.reason}"
                return self._unknown(place, cause=outcome.cause, extracted=extracted, span=span)
            if not outcome.passed and self.score == "all":
                break
        num_passed = sum(bool(outcome.passed) for outcome in outcomes)
        failed = next(((at, outcome) for at, outcome in enumerate(outcomes, 1) if not outcome.passed), None)
        shared = "; isolation: shared" if any(outcome.shared for outcome in outcomes) else ""
        if failed is not None:
            reason = f"test {failed[0]} of {total}: {failed[1].reason}{shared}"
            score = num_passed / total if self.score == "share" else 0.0
            return self._verdict(outcome="fail", score=score, reason=reason, **said)
        slowest, largest = max(o.cpu_s for o in outcomes), max(o.memory_mb for o in outcomes)
        reason = f"passed {total} tests, at most {slowest:.2f} s and {largest:.0f} MB{shared}"
        return self._verdict(outcome="pass", score=1.0, reason=reason, **said)

    def _outcomes(self, runs: Bench.Problem, total: int) -> Iterator[Outcome]:
        used = 0.0
        for index in range(total):
            if used > self.problem_time_s:
                yield Outcome(passed=False, reason=f"not run: those before took more than {self.problem_time_s:g} s")
                continue
            outcome = runs.test(index, allow_shared=self.shared)
            used += outcome.cpu_s
            yield outcome


def _fault(reference: TestsReference, language: str | None) -> str | None:
    """Say what makes a reference unusable; None if nothing does."""
    if language is None:
        return f"no language is called {reference.language!r}"
    if language != "python" and reference.mode != "stdin":
        return f"mode {reference.mode} is for Python; {language} is judged by mode stdin"
    if reference.mode == "script":
        return None if reference.test else "the reference has no `test` program"
    if not reference.tests:
        return "the reference has no tests"
    if reference.mode == "function" and not reference.entry_point:
        return "mode function needs an `entry_point`"
    if reference.checker == "program" and (not reference.checker_program or reference.mode != "stdin"):
        return "checker program needs a `checker_program`, and mode stdin"
    for number, test in enumerate(reference.tests, 1):
        is_text = isinstance(test, str)
        if is_text != (reference.mode == "asserts"):
            return f"test {number} has not the form of mode {reference.mode}"
        if reference.mode == "stdin" and not is_text and test.output is None and reference.checker != "program":  # type: ignore[union-attr]
            return f"test {number} has no output"
    return None
