"""The solutions that come with MBPP and HumanEval pass their own tests, and others' do not."""

import json
from functools import cache
from pathlib import Path

import pytest

from verifiers import CodeTests, JudgePool, Task, parse_reference

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
PARTS = [pytest.param(5, id="a fifth"), pytest.param(1, id="all", marks=pytest.mark.slow)]
NUM_WORKERS = 2


@cache
def problems(name):
    """Return completions and references of all problems of a set; skip where the set is not there."""
    path = DATA / name / "problems.jsonl"
    if not path.exists():
        pytest.skip(f"no {path.parent.name} in ../shared/data")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [mbpp(row) if name == "mbpp" else humaneval(row) for row in rows]


def mbpp(row):
    reference = {"kind": "tests", "mode": "asserts", "tests": row["test_list"], "setup": row["test_setup_code"]}
    return row["code"], reference


def humaneval(row):
    program = row["prompt"] + row["canonical_solution"]
    return program, {"kind": "tests", "mode": "script", "test": row["test"], "entry_point": row["entry_point"]}


def verdicts(pairs):
    """Judge pairs of a program and a reference."""
    with JudgePool(NUM_WORKERS) as pool:
        tasks = [
            Task(
                judge=CodeTests(),
                completion=f"<think>\n</think>\n```python\n{program}\n```",
                reference=parse_reference(reference),
            )
            for program, reference in pairs
        ]
        return list(pool.map(tasks))


@pytest.mark.parametrize("every", PARTS)
@pytest.mark.parametrize("name", ["mbpp", "humaneval"])
def test_solutions_pass_apart_from_their_tests(name, every):
    chosen = problems(name)[::every]
    found = verdicts(chosen)
    assert len(found) == len(chosen) > 10
    wrong = [
        (program, verdict) for (program, _), verdict in zip(chosen, found, strict=True) if verdict.outcome != "pass"
    ]
    assert wrong == []
    assert [verdict.reason for verdict in found if "isolation: shared" in verdict.reason] == []


@pytest.mark.parametrize("every", PARTS)
@pytest.mark.parametrize("name", ["mbpp", "humaneval"])
def test_solutions_of_other_problems_fail(name, every):
    chosen = problems(name)[::every]
    moved = [program for program, _ in chosen[1:]] + [chosen[0][0]]
    found = verdicts([(program, reference) for program, (_, reference) in zip(moved, chosen, strict=True)])
    assert {verdict.outcome for verdict in found} == {"fail"}


@pytest.mark.parametrize("name", ["mbpp", "humaneval"])
def test_no_program_fails(name):
    chosen = problems(name)[::40]
    assert {verdict.outcome for verdict in verdicts([("", reference) for _, reference in chosen])} == {"fail"}
