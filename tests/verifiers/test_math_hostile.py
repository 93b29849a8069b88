"""Answers that are written to hang, crash, bloat or take over the math judge: each is answered soon, none passes.

CPU time is bounded, not wall time, and generously: a slow machine must not fail these tests, a hang must.
"""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hostile_answers import COSTLY_EQUALS, HOSTILE, PAYLOADS, REFERENCES, boxed
from watched_judge import Watched

from verifiers import JudgePool, MathAnswer, Task, parse_reference

JUDGE = MathAnswer()
MAX_CPU_S = 2.0
MAX_GROWTH_MB = 64
MAX_PEAK_MB = 300
OWNED = Path("/tmp/owned")


@pytest.fixture(scope="module", autouse=True)
def _prepared():
    JUDGE.prepare()
    for reference in REFERENCES.values():
        judged(reference, boxed(reference))


def judged(reference, completion):
    return JUDGE.judge(completion, parse_reference({"kind": "answer", "value": reference}))


def references_of(name):
    """Return three references for one hostile answer, others for its neighbours."""
    start = list(HOSTILE).index(name)
    kinds = list(REFERENCES)
    return [REFERENCES[kinds[(start + step) % len(kinds)]] for step in (0, 3, 6)]


def test_references_pass_against_themselves():
    for reference in REFERENCES.values():
        assert judged(reference, boxed(reference)).outcome == "pass", reference


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_answer_is_answered_and_does_not_pass(name):
    for reference in references_of(name):
        started = time.process_time()
        verdict = judged(reference, HOSTILE[name])
        seconds = time.process_time() - started
        assert verdict.outcome in ("fail", "unknown"), (reference, verdict.reason)
        assert verdict.cause != "transient", verdict.reason
        assert "raised" not in verdict.reason, verdict.reason
        assert seconds < MAX_CPU_S, (reference, seconds)


@pytest.mark.parametrize("name", COSTLY_EQUALS)
def test_costly_equal_answer_passes_soon(name):
    reference, answer = COSTLY_EQUALS[name]
    started = time.process_time()
    verdict = judged(reference, boxed(answer))
    assert verdict.outcome == "pass", verdict.reason
    assert time.process_time() - started < MAX_CPU_S


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_reference_is_answered(name):
    if not HOSTILE[name]:
        return  # an empty reference is refused before it is judged
    for answer in ("\\boxed{1}", "\\boxed{x^2+3x+1}"):
        started = time.process_time()
        reference = HOSTILE[name].removeprefix("\\boxed{").removesuffix("}")
        verdict = judged(reference.encode("utf-8", "ignore").decode() or "0", answer)
        assert "raised" not in verdict.reason, verdict.reason
        assert time.process_time() - started < MAX_CPU_S


def test_hostile_answers_in_a_thread():
    slow, passed, raised = [], [], []

    def judge_all():
        try:
            for name, completion in HOSTILE.items():
                started = time.thread_time()
                verdict = judged(references_of(name)[0], completion)
                if time.thread_time() - started > MAX_CPU_S:
                    slow.append(name)
                if verdict.outcome == "pass":
                    passed.append(name)
        except Exception as error:  # noqa: BLE001 - a thread must not swallow what the test is about
            raised.append(repr(error))

    thread = threading.Thread(target=judge_all)
    thread.start()
    thread.join()
    assert (slow, passed, raised) == ([], [], [])


def test_a_pool_is_whole_after_hostile_answers():
    judge = MathAnswer()
    good = Task(judge=judge, completion="\\boxed{\\frac{2}{4}}", reference=parse_reference("\\frac12"))
    tasks = []
    for name, completion in HOSTILE.items():
        tasks += [Task(judge=judge, completion=completion, reference=parse_reference(references_of(name)[0])), good]
    with JudgePool(1) as pool:
        verdicts = list(pool.map(tasks))
    assert [v.reason for v in verdicts[1::2] if v.outcome != "pass"] == []
    assert [
        n for n, v in zip(HOSTILE, verdicts[::2], strict=True) if v.outcome == "pass" or v.cause == "transient"
    ] == []


def test_payloads_run_nothing():
    OWNED.unlink(missing_ok=True)
    tasks = [
        Task(judge=Watched(reference=reference, is_warm_up=True), completion=boxed(answer))
        for reference in REFERENCES.values()
        for answer in (*REFERENCES.values(), "\\text{a b}", "f(x, y)", "[1,", "")
    ]
    num_warm = len(tasks)
    for payload in PAYLOADS:
        for completion in (boxed(payload), f"The answer is {payload}", f"${payload}$"):
            tasks += [Task(judge=Watched(reference=r), completion=completion) for r in list(REFERENCES.values())[::2]]
    with JudgePool(1) as pool:
        verdicts = list(pool.map(tasks))
    said = list(zip(tasks, verdicts, strict=True))[num_warm:]
    assert [(task.completion, v.reason) for task, v in said if v.reason] == []
    assert [task.completion for task, v in said if v.outcome == "pass"] == []
    assert [task.completion for task, v in said if v.cause == "transient"] == []
    assert not OWNED.exists()


def test_the_watching_judge_hears_what_runs():
    """The test above proves something only if events are heard at all."""
    source = "import watched_judge as w; w._hook(); eval('1+1'); open('/dev/null').close(); print(len(w._heard))"
    folder = str(Path(__file__).parent)
    run = subprocess.run([sys.executable, "-c", source], cwd=folder, capture_output=True, text=True, check=True)
    assert int(run.stdout) >= 3


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says how much memory a process holds")
def test_memory_stays():
    """In a process of its own: what the other tests hold is none of the judge's."""
    source = """
import re
from pathlib import Path
from hostile_answers import HOSTILE, REFERENCES
from verifiers import MathAnswer, parse_reference

def memory(kind):
    return int(re.search(kind + r":\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024

judge, references = MathAnswer(), [parse_reference(r) for r in REFERENCES.values()]
judge.prepare()
def round_of(shift):
    for number, completion in enumerate(HOSTILE.values()):
        judge.judge(completion, references[(number + shift) % len(references)])
round_of(0)
first = memory("VmRSS")
round_of(1)
round_of(2)
print(memory("VmRSS") - first, memory("VmHWM"))
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])}
    run = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    growth, peak = map(int, run.stdout.split()[-2:])
    assert growth < MAX_GROWTH_MB
    assert peak < MAX_PEAK_MB
