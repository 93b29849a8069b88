"""Judge right solutions of MBPP and HumanEval, wrong ones made from them, and damaged text, by their tests.

    python benchmarks/code_mutants.py --mutants 5
    python benchmarks/code_mutants.py --fuzz 20000

Every reference solution should pass. Of the mutants (`tests/verifiers/code_mutants.py`) an oracle that shares nothing
with the judge says which ones behave differently: it executes the mutant and the problem's own tests in one throw-away
process, as those datasets do; a mutant that fails there, or runs out of time or memory, must not pass. Those that pass
there are equivalent as far as the tests can tell, and should pass here too. Where the two differ stands on standard
error. With `--fuzz`, damaged reference solutions are judged instead, and should get a verdict every time. Prints one
JSON line. The data is not part of the repository.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from math_sets import DATA, ROOT
from verdicts import machine

from verifiers import JudgePool, Task, parse_reference
from verifiers.code_tests import CodeTests
from verifiers.measured import keep_error_rates

sys.path.insert(0, str(ROOT / "tests" / "verifiers"))
from code_mutants import damaged, sampled

ORACLE_S = 3
ORACLE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem with a right solution."""

    name: str
    """Dataset and id."""
    solution: str
    """A whole program."""
    reference: dict[str, Any]
    """Its tests in JSON form."""
    program_of_tests: str
    """What follows the solution in one process, to test it."""


def problems(names: Iterable[str]) -> Iterator[Problem]:
    """Yield the problems of the data folder."""
    if "mbpp" in names:
        for row in _rows("mbpp"):
            setup, tests = row["test_setup_code"], row["test_list"]
            yield Problem(
                name=f"mbpp {row['task_id']}",
                solution=row["code"].replace("\r\n", "\n"),
                reference={"kind": "tests", "mode": "asserts", "setup": setup, "tests": tests},
                program_of_tests="\n".join([setup, *tests]),
            )
    if "humaneval" in names:
        for row in _rows("humaneval"):
            entry_point, test = row["entry_point"], row["test"]
            yield Problem(
                name=row["task_id"],
                solution=row["prompt"] + row["canonical_solution"],
                reference={"kind": "tests", "mode": "script", "entry_point": entry_point, "test": test},
                program_of_tests=f"{test}\ncheck({entry_point})",
            )


def holds(program: str, tests: str) -> bool:
    """Ask the oracle: whether the tests hold of the program, in a process that is then thrown away."""
    child = os.fork()
    if child == 0:
        _examine(program, tests)
    _, status = os.waitpid(child, 0)
    return status == 0


def _examine(program: str, tests: str) -> None:
    """Execute both as one module and leave with status 0 if nothing was raised. Never returns."""
    status = 1
    try:
        os.setsid()
        os.chdir(tempfile.gettempdir())
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        resource.setrlimit(resource.RLIMIT_AS, (ORACLE_BYTES, ORACLE_BYTES))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(ORACLE_S)  # the default action ends the process: no `except` of the program sees it
        names = {"__name__": "solution"}
        exec(compile(program, "solution.py", "exec", dont_inherit=True), names)
        exec(compile(tests, "tests.py", "exec", dont_inherit=True), names)
        status = 0
    except BaseException:  # noqa: BLE001 - whatever a mutant raises, it has failed
        status = 1
    finally:
        os._exit(status)


def _rows(name: str) -> list[dict[str, Any]]:
    text = (DATA / name / "problems.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def judged(pairs: list[tuple[str, dict[str, Any]]], workers: int) -> list[Any]:
    """Return the verdict of each program under its tests."""
    tasks = (
        Task(judge=CodeTests(), completion=f"```python\n{program}\n```", reference=parse_reference(reference))
        for program, reference in pairs
    )
    with JudgePool(workers) as pool:
        return list(pool.map(tasks))


def measure_mutants(found: list[Problem], most: int, workers: int, time_limit: float) -> dict[str, Any]:
    """Judge solutions and mutants and hold the verdicts against the oracle's."""
    cases: list[tuple[Problem, str, str]] = []
    for problem in found:
        cases.append((problem, "reference", problem.solution))
        cases += [(problem, mutant.kind, mutant.source) for mutant in sampled(problem.solution, most, problem.name)]
    started = time.perf_counter()
    verdicts = judged(
        [(program, problem.reference | {"time_limit": time_limit}) for problem, _, program in cases], workers
    )
    seconds = time.perf_counter() - started
    counts: Counter[tuple[str, bool, str]] = Counter()
    kinds: Counter[tuple[str, bool]] = Counter()
    for (problem, kind, program), verdict in zip(cases, verdicts, strict=True):
        is_right = holds(program, problem.program_of_tests)
        group = "reference" if kind == "reference" else "mutant"
        counts[group, is_right, verdict.outcome] += 1
        if group == "mutant":
            kinds[kind, is_right] += 1
        if verdict.outcome != ("pass" if is_right else "fail"):
            said = "right" if is_right else "wrong"
            print(
                f"{problem.name}, {kind}: the oracle says {said}, we say {verdict.outcome}: {verdict.reason[:200]}",
                file=sys.stderr,
            )
    changed = {outcome: counts["mutant", False, outcome] for outcome in ("fail", "unknown", "pass")}
    same = {outcome: counts["mutant", True, outcome] for outcome in ("pass", "unknown", "fail")}
    return {
        "problems": len(found),
        "references": {outcome: counts["reference", True, outcome] for outcome in ("pass", "unknown", "fail")},
        "references_the_oracle_fails": sum(counts["reference", False, o] for o in ("pass", "unknown", "fail")),
        "mutants_that_change_behaviour": changed,
        "share_of_them_that_fail": round(changed["fail"] / max(1, sum(changed.values())), 5),
        "equivalent_mutants": same,
        "kinds": {kind: kinds[kind, False] for kind in sorted({kind for kind, _ in kinds})},
        "verdicts_per_s": round(len(cases) / seconds, 1),
    }


def _save(measured: dict[str, Any]) -> None:
    right, wrong = measured["references"], measured["mutants_that_change_behaviour"]
    found = {
        "title": "MBPP and HumanEval: reference solutions, and mutants of them that change behaviour",
        "right": sum(right.values()),
        "misses": right["fail"],
        "unknowns_of_right": right["unknown"],
        "wrong": sum(wrong.values()),
        "false_passes": wrong["pass"],
        "unknowns_of_wrong": wrong["unknown"],
    }
    command = "python benchmarks/code_mutants.py --mutants 4"
    keep_error_rates("code_tests", version=CodeTests.version, command=command, sets={"mutants": found})


def measure_fuzz(found: list[Problem], count: int, workers: int, seed: int) -> dict[str, Any]:
    """Judge damaged solutions by the tests of their own problems; some still pass, for not all damage matters."""
    cases: list[tuple[str, dict[str, Any]]] = []
    for number in range(count):
        problem = found[number % len(found)]
        [text] = damaged([problem.solution], 1, seed + number)
        cases.append((text, problem.reference | {"time_limit": 1.0}))
    started = time.perf_counter()
    verdicts = judged(cases, workers)
    seconds = time.perf_counter() - started
    odd = [(text, verdict) for (text, _), verdict in zip(cases, verdicts, strict=True) if verdict.outcome == "unknown"]
    for text, verdict in odd[:20]:
        print(f"{verdict.outcome} ({verdict.cause}): {verdict.reason[:200]}: {text[:300]!a}", file=sys.stderr)
    return {
        "judgements": len(verdicts),
        "outcomes": dict(Counter(verdict.outcome for verdict in verdicts)),
        "unknown_for": dict(
            Counter(re.sub(r"\d+", "#", v.reason)[:80] for v in verdicts if v.outcome == "unknown").most_common(5)
        ),
        "slowest_s": round(max(verdict.seconds for verdict in verdicts), 2),
        "verdicts_per_s": round(count / seconds, 1),
    }


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default="mbpp,humaneval", help="which problems")
    parser.add_argument("--size", type=int, default=0, help="so many problems, evenly spread; 0: all")
    parser.add_argument("--mutants", type=int, default=5, help="at most so many of each solution")
    parser.add_argument("--time-limit", type=float, default=2.0, help="seconds for each test")
    parser.add_argument("--fuzz", type=int, default=0, help="judge so many damaged programs instead")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="of the damage")
    parser.add_argument("--save", action="store_true", help="keep the figures in verifiers/error_rates.json")
    arguments = parser.parse_args()
    if arguments.save and (arguments.fuzz or arguments.size):
        parser.error("--save keeps the figures of all problems: leave --fuzz and --size out")
    if not DATA.is_dir():
        parser.error(f"this needs the data folder {DATA}")
    found = list(problems(arguments.sets.split(",")))
    if arguments.size:
        found = found[:: max(1, len(found) // arguments.size)][: arguments.size]
    if arguments.fuzz:
        measured = measure_fuzz(found, arguments.fuzz, arguments.workers, arguments.seed)
    else:
        measured = measure_mutants(found, arguments.mutants, arguments.workers, arguments.time_limit)
    if arguments.save:
        _save(measured)
    print(json.dumps({"benchmark": "code_mutants"} | measured | machine(), ensure_ascii=False))


if __name__ == "__main__":
    main()
