"""Programs that attack the judge of code, right programs that it must pass, and damaged ones: what it says of each.

None of the attacks may pass, whoever judges; `code_attacks/` says what they try. What they leave is looked at in
`test_code_leftovers.py`.
"""

import ast
import re
import subprocess
import sys
from collections import Counter

import pytest
from code_attack_runs import USERS, run
from code_attacks.table import ATTACKS
from code_controls import CONTROLS
from code_mutants import damaged, mutants, sampled

from verifiers import parse_reference

PROGRAMS = [re.search(r"```python\n(.*)\n```", control.completion, re.DOTALL)[1] for control in CONTROLS]
SMALL = {"kind": "tests", "mode": "stdin", "tests": [{"input": "2 3\n", "output": "no such output\n"}], "time_limit": 1}


def judge():
    return pytest.importorskip("verifiers.code_tests").CodeTests()


@pytest.mark.timeout(1000)
@pytest.mark.parametrize(("user", "every"), USERS)
def test_no_attack_passes(user, every):
    pytest.importorskip("verifiers.code_tests")
    done = run(user, every=every)
    verdicts = done.result["verdicts"]
    assert done.result["exit_status"] == 0, (done.result["exit_status"], list(verdicts)[-1:])
    assert done.result["last"]["first"] == "pass", done.result["last"]["first_reason"]
    wrong = {
        attack.name: verdicts.get(attack.name, "no verdict")
        for attack in done.attacks
        if attack.name not in verdicts or any(row["outcome"] not in attack.expected for row in verdicts[attack.name])
    }
    assert wrong == {}
    assert all(len(verdicts[attack.name]) == attack.times for attack in done.attacks)


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.name)
def test_right_programs_pass(control):
    verdict = judge().judge(control.completion, parse_reference(dict(control.reference)))
    if control.optional and verdict.outcome != "pass":
        pytest.skip(f"the sandbox does not allow it: {verdict.reason}")
    assert verdict.outcome == "pass", verdict.reason


@pytest.mark.parametrize(
    "control", [c for c in CONTROLS if c.reference["mode"] != "stdin"], ids=lambda control: control.name
)
def test_no_program_passes_the_tests_of_another(control):
    other = "```python\ndef no_such_function():\n    return 0\n```"
    assert judge().judge(other, parse_reference(dict(control.reference))).outcome == "fail"
    assert judge().judge("", parse_reference(dict(control.reference))).outcome == "fail"


@pytest.mark.parametrize("count", [150, pytest.param(20_000, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
def test_damaged_programs_get_a_verdict(count):
    asked, reference = judge(), parse_reference(SMALL)
    outcomes = Counter()
    for text in damaged(PROGRAMS, count):
        verdict = asked.judge(f"```python\n{text}\n```", reference)
        outcomes[verdict.outcome] += 1
        assert verdict.outcome != "pass", text
        assert "raised" not in verdict.reason, (text, verdict.reason)
    assert sum(outcomes.values()) == count
    assert outcomes["unknown"] <= count / 100, outcomes


def test_attacks_are_many_and_each_is_one():
    names = Counter(attack.name for attack in ATTACKS)
    assert [name for name, times in names.items() if times > 1] == []
    assert len(ATTACKS) >= 80
    assert len(CONTROLS) >= 40
    assert all("pass" not in attack.expected for attack in ATTACKS)
    assert all(parse_reference(dict(case.reference)).kind == "tests" for case in (*ATTACKS, *CONTROLS))


@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if attack.cheats], ids=lambda attack: attack.name)
def test_cheats_fool_a_judge_that_runs_program_and_tests_in_one_process(attack, tmp_path):
    """An attack that fools nobody tests nothing: these are harmless outside of a sandbox."""
    program = re.search(r"```python\n(.*)\n```", attack.completion, re.DOTALL)[1]
    reference = attack.reference
    if reference["mode"] == "function":
        rows = [f"assert f(*{row['args']!r}) == {row['expected']!r}" for row in reference["tests"]]
        tests = f"f = {reference['entry_point']}\n" + "\n".join(rows)
    elif reference["mode"] == "asserts":
        tests = "\n".join([reference.get("setup", ""), *reference["tests"]])
    else:
        tests = f"{reference['test']}\ncheck({reference['entry_point']})"
    file = tmp_path / "naive.py"
    file.write_text(f"{program}\n{tests}\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(file)], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr[-500:]


def test_mutants_are_programs_that_differ():
    source = (
        "def least(a, b):\n    if a < b and b > 0:\n        return a\n"
        "    total = 0\n    for i in range(3):\n        total += i\n    return b - total"
    )
    found = list(mutants(source))
    assert found == list(mutants(source))
    assert len({mutant.source for mutant in found}) == len(found) >= 20
    assert {"compare", "boolean", "negate", "return", "operator", "constant", "drop", "off by one"} <= {
        m.kind for m in found
    }
    assert all(ast.dump(ast.parse(mutant.source)) != ast.dump(ast.parse(source)) for mutant in found)
    assert [m.source for m in sampled(source, 5, "a")] == [m.source for m in sampled(source, 5, "a")]
    assert len({m.kind for m in sampled(source, 5, "a")}) == 5
    assert any(m.kind == "operator" and "total -= i" in m.source for m in found)
    assert any(m.kind == "negate" and "if not (a < b and b > 0):" in m.source for m in found)


def test_damage_is_the_same_each_time_and_mostly_breaks():
    texts = list(damaged(PROGRAMS, 300, seed=1))
    assert texts == list(damaged(PROGRAMS, 300, seed=1))
    assert texts != list(damaged(PROGRAMS, 300, seed=2))
    assert len(set(texts)) > 280
