"""The pool: every task gets its own verdict, whatever its neighbours do to their worker."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from misbehaving_judges import Misbehaving

from verifiers import Format, JudgePool, MathAnswer, Repetition, Task, parse_reference
from verifiers.workers import judge_apart

FINE = "<think>a</think>b"

# what a task does: the cause and a piece of the reason of its verdict
DEADLY = {
    "spin": ("transient", "0.4 s of CPU"),
    "hold the GIL": ("transient", "0.4 s of CPU"),
    "exit": ("transient", "status 3"),
    "crash": ("transient", "signal 11"),
    "eat memory": ("transient", "memory"),
    "raise": ("permanent", "LookupError: no luck"),
    "babble": ("transient", "no verdict"),
    "forge": ("transient", "no verdict"),
}


def tasks(*texts):
    return [Task(judge=Misbehaving(), completion=text) for text in texts]


def test_deadly_tasks_cost_one_verdict_each():
    texts = []
    for deadly in DEADLY:
        texts += [f"before {deadly}", deadly, f"after {deadly}"]
    with JudgePool(2) as pool:
        verdicts = list(pool.map(tasks(*texts)))
    assert len(verdicts) == len(texts)
    for text, verdict in zip(texts, verdicts, strict=True):
        if text in DEADLY:
            cause, reason = DEADLY[text]
            assert (verdict.outcome, verdict.cause) == ("unknown", cause), text
            assert reason in verdict.reason, text
        else:
            assert (verdict.outcome, verdict.extracted) == ("pass", text)


def test_a_sleeping_task_meets_the_wall_backstop():
    with JudgePool(1, wall_factor=1.0, wall_grace_s=0.6) as pool:
        started = time.monotonic()
        verdicts = list(pool.map(tasks("a", "sleep", "b")))
        assert time.monotonic() - started < 30
    assert [v.outcome for v in verdicts] == ["pass", "unknown", "pass"]
    assert "1 s of wall time" in verdicts[1].reason


def test_a_caller_who_looks_away_changes_no_verdict():
    with JudgePool(1, wall_factor=1.0, wall_grace_s=0.1) as pool:
        stream = pool.map(tasks(*[f"{n} " + "x" * 3000 for n in range(500)]))
        found = [next(stream)]
        time.sleep(1.0)
        found += list(stream)
    assert [v.extracted.split()[0] for v in found] == [str(n) for n in range(500)]


def test_verdicts_come_in_order_also_of_large_texts():
    with JudgePool(2) as pool:
        verdicts = list(pool.map(tasks(*[f"{n} " + "漢" * (n * 500) for n in range(200)])))
    assert [v.extracted.split()[0] for v in verdicts] == [str(n) for n in range(200)]


def test_tasks_are_pulled_lazily_and_not_far_ahead_of_a_hung_one(monkeypatch):
    monkeypatch.setattr("verifiers.workers._MAX_LEAD", 100)
    pulled = []

    def source():
        for n in range(2000):
            pulled.append(n)
            yield Task(judge=Misbehaving(), completion=f"{n}" if n else "spin")

    with JudgePool(2) as pool:
        stream = pool.map(source())
        assert next(stream).outcome == "unknown"
        assert len(pulled) <= 200
        assert {v.outcome for v in stream} == {"pass"}
    assert len(pulled) == 2000


def test_leaving_early_and_using_again():
    with JudgePool(1) as pool:
        stream = pool.map(tasks("a", "spin", "b"))
        assert next(stream).outcome == "pass"
        stream.close()
        assert [v.extracted for v in pool.map(tasks("c", "d"))] == ["c", "d"]
        assert list(pool.map([])) == []
    with pytest.raises(RuntimeError, match="closed"):
        list(pool.map(tasks("e")))


def test_one_iteration_at_a_time():
    with JudgePool(1) as pool:
        stream = pool.map(tasks("a", "b"))
        next(stream)
        with pytest.raises(RuntimeError, match="one iteration"):
            next(pool.map(tasks("c")))
        stream.close()


def test_a_worker_is_kept_between_calls_and_sees_no_secrets(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "s3cret")
    with JudgePool(1) as pool:
        pids = {pool.judge(tasks("pid")[0]).reason for _ in range(3)}
        assert pool.judge(tasks("environment")[0]).outcome == "pass"
        assert pool.judge(tasks("print")[0]).outcome == "pass"
    assert len(pids) == 1
    assert not Path(f"/proc/{pids.pop()}").exists()


def test_a_large_parent_does_not_make_its_workers_leave():
    ballast = bytearray(1200 * 2**20)
    ballast[:: 2**12] = bytes(len(ballast[:: 2**12]))  # touch every page
    with JudgePool(1) as pool:
        pids = {pool.judge(tasks("pid")[0]).reason for _ in range(3)}
    assert len(pids) == 1
    del ballast


def test_an_idle_worker_that_dies_is_replaced():
    with JudgePool(1) as pool:
        pid = int(pool.judge(tasks("pid")[0]).reason)
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)
        verdicts = list(pool.map(tasks("a", "b", "c")))
    assert [v.outcome for v in verdicts] == ["pass", "pass", "pass"]


def test_a_judge_that_no_worker_can_import_is_told():
    namespace = {"__name__": "nowhere_to_be_found"}
    exec(
        "from typing import Literal\nfrom verifiers.verdict import Judge\n"
        "class Lost(Judge):\n    kind: Literal['lost'] = 'lost'\n    version = 1\n",
        namespace,
    )
    sys.modules["nowhere_to_be_found"] = type(sys)("nowhere_to_be_found")
    sys.modules["nowhere_to_be_found"].Lost = namespace["Lost"]
    try:
        with JudgePool(1) as pool, pytest.raises(RuntimeError, match="nowhere_to_be_found"):
            pool.judge(Task(judge=namespace["Lost"](), completion="a"))
    finally:
        del sys.modules["nowhere_to_be_found"]


def test_direct_judging_is_safe_in_threads_and_after_a_fork():
    reference = parse_reference("x+1")
    outcomes = []

    def judge():
        outcomes.append(MathAnswer().judge("\\boxed{1+x}", reference).outcome)

    threads = [threading.Thread(target=judge) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == ["pass"] * 4
    script = (
        "import os\nfrom verifiers import MathAnswer, verify\n"
        "assert verify('\\\\boxed{1+x}', 'x+1').outcome == 'pass'\n"
        "pid = os.fork()\n"
        "said = verify('\\\\boxed{x+2-1}', 'x+1').outcome\n"
        "if pid == 0: os._exit(0 if said == 'pass' else 9)\n"
        "print(said, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["pass", "0"], done.stderr


def test_a_hanging_answer_in_the_users_own_process_is_given_up():
    started = time.monotonic()
    verdict = judge_apart(Misbehaving(), "spin", None, None)
    assert (verdict.outcome, verdict.cause) == ("unknown", "transient")
    assert time.monotonic() - started < 60
    assert judge_apart(Misbehaving(), "a", None, None).outcome == "pass"


@pytest.mark.skipif(sys.platform != "linux", reason="parent-death signals are Linux's")
def test_workers_die_with_their_parent():
    here = str(Path(__file__).parent)
    script = (
        f"import sys; sys.path.insert(0, {here!r})\n"
        "from misbehaving_judges import Misbehaving\nfrom verifiers import JudgePool, Task\n"
        "pool = JudgePool(1)\n"
        "print(pool.judge(Task(judge=Misbehaving(), completion='pid')).reason, flush=True)\n"
        "pool.judge(Task(judge=Misbehaving(), completion='sleep'))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    with parent:
        pid = int(parent.stdout.readline())
        time.sleep(0.3)
        parent.kill()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and _is_running(pid):
        time.sleep(0.05)
    assert not _is_running(pid)


def test_workers_ignore_an_interrupt():
    with JudgePool(1) as pool:
        pid = int(pool.judge(tasks("pid")[0]).reason)
        os.kill(pid, signal.SIGINT)
        assert int(pool.judge(tasks("pid")[0]).reason) == pid


def test_cheap_judges_go_fast_enough():
    count = 3000
    with JudgePool(1) as pool:
        list(pool.map([Task(judge=Format(), completion=FINE)]))
        started = time.process_time()
        verdicts = list(pool.map(Task(judge=Format(), completion=FINE) for _ in range(count)))
        seconds = time.process_time() - started
    assert {v.outcome for v in verdicts} == {"pass"}
    assert count / seconds > 3000  # CPU of the parent: what the pool costs per verdict
    assert Repetition().judge(FINE).score == 1.0


def _is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False
