"""The pool: every task gets its own verdict, whatever its neighbours do to their worker."""

import asyncio
import itertools
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from misbehaving_judges import Misbehaving, Patient

from verifiers import AllOf, Format, JudgePool, MathAnswer, Repetition, Task, parse_reference
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
    with JudgePool(1, wall_factor=0.5, wall_grace_s=0.3) as pool:
        started = time.monotonic()
        verdicts = list(pool.map(tasks("a", "sleep", "b")))
        assert time.monotonic() - started < 30
    assert [v.outcome for v in verdicts] == ["pass", "unknown", "pass"]
    assert "0.5 s of wall time" in verdicts[1].reason


def test_a_caller_who_looks_away_changes_no_verdict():
    with JudgePool(1, wall_factor=1.0, wall_grace_s=0.1) as pool:
        stream = pool.map(tasks(*[f"{n} " + "x" * 3000 for n in range(500)]))
        found = [next(stream)]
        time.sleep(0.6)
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


def test_two_iterations_share_one_pool():
    with JudgePool(1) as pool:
        one, other = pool.map(tasks(*"abc")), pool.map(tasks(*"xyz"))
        both = [(next(one).extracted, next(other).extracted) for _ in range(3)]
        assert both == [("a", "x"), ("b", "y"), ("c", "z")]
        assert pool.judge(tasks("d")[0]).extracted == "d"


def test_many_threads_share_one_pool_whatever_the_others_send():
    found = {}

    def judge(name, pool):
        texts = [f"{name} {n}" if n % 40 or name % 2 else "exit" for n in range(120)]
        verdicts = list(pool.map(tasks(*texts)))
        found[name] = [
            v.extracted == text if text != "exit" else v.cause == "transient"
            for v, text in zip(verdicts, texts, strict=True)
        ]

    with JudgePool(2) as pool:
        threads = [threading.Thread(target=judge, args=(name, pool)) for name in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(found) == list(range(6))
    assert all(all(right) and len(right) == 120 for right in found.values())


def test_what_waits_behind_a_hung_task_goes_to_an_idle_worker():
    with JudgePool(2) as pool:
        stream = pool.map_unordered(tasks("sleep", "a", "b", "c"))  # "a" is in one message with the sleeper
        assert {index for index, _ in itertools.islice(stream, 3)} == {1, 2, 3}
        sleeper = next(w.process for w in pool._dispatcher._workers if w.tasks)
        stream.close()
        assert sleeper.wait(30) == -signal.SIGKILL
        assert [v.extracted for v in pool.map(tasks("d", "e"))] == ["d", "e"]


def test_asyncio_goes_on_while_a_task_is_judged():
    async def main(pool):
        hung = asyncio.create_task(pool.judge_async(tasks("sleep")[0]))
        verdicts = await asyncio.gather(*(pool.judge_async(task) for task in tasks(*map(str, range(100)))))
        assert [v.extracted for v in verdicts] == [str(n) for n in range(100)]
        assert not hung.done()
        hung.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hung
        with pytest.raises(TypeError, match="cannot be sent"):
            await pool.judge_async(Task(judge=Misbehaving(), completion="a", prompt=[threading.Lock()]))
        assert (await pool.judge_async(tasks("z")[0])).extracted == "z"

    with JudgePool(2) as pool:
        asyncio.run(main(pool))


def test_a_cancelled_task_is_never_judged(tmp_path):
    with JudgePool(1) as pool:
        spinning = pool.submit(tasks("spin")[0])
        waiting = pool.submit(tasks(f"flaky {tmp_path}")[0])
        assert waiting.cancel()
        assert spinning.result().outcome == "unknown"
        assert pool.submit(tasks("a")[0]).result().extracted == "a"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("in_order", [True, False])
def test_transient_unknowns_are_tried_again(tmp_path, in_order):
    def judged(pool, *texts):
        if in_order:
            return list(pool.map(tasks(*texts), attempts=3))
        return [v for _, v in sorted(pool.map_unordered(tasks(*texts), attempts=3))]

    with JudgePool(1) as pool:
        verdicts = judged(pool, "a", f"flaky {tmp_path}", "raise", "b")
        assert [v.reason for v in verdicts] == ["fine", "at last", "judging it raised LookupError: no luck", "fine"]
        assert len(list(tmp_path.iterdir())) == 3
        (verdict,) = judged(pool, "exit")
        assert verdict.cause == "transient"


def test_memory_is_bounded_and_the_next_task_finds_a_clean_worker():
    with JudgePool(1, memory_limit_mb=256) as pool:
        texts = ("swell", "a", "swell", "b")
        verdicts = list(pool.map(Task(judge=Patient(), completion=text) for text in texts))
    assert [v.outcome for v in verdicts] == ["unknown", "pass"] * 2
    assert "memory" in verdicts[0].reason


def test_what_is_waited_for_when_the_pool_closes_gets_an_error():
    pool = JudgePool(1)
    stream = pool.map(tasks("a", "sleep"))
    assert next(stream).extracted == "a"
    future = pool.submit(tasks("b")[0])
    pool.close()
    pool.close()
    with pytest.raises(RuntimeError, match="closed"):
        next(stream)
    with pytest.raises(RuntimeError, match="closed"):
        future.result(30)
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(tasks("c")[0])


def test_a_pool_that_nobody_holds_ends_its_workers():
    pool = JudgePool(1)
    pid = int(pool.judge(tasks("pid")[0]).reason)
    del pool
    assert _ends(pid)


def test_workers_that_cannot_start_are_told_and_the_pool_can_be_used_later(monkeypatch):
    with JudgePool(1) as pool:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "executable", "/no/such/python")
            with pytest.raises(RuntimeError, match="cannot be started"):
                pool.judge(tasks("a")[0])
            patch.setattr(sys, "executable", "/bin/false")
            with pytest.raises(RuntimeError, match="died 3 times before it was ready"):
                pool.judge(tasks("a")[0])
        assert pool.judge(tasks("a")[0]).outcome == "pass"


def test_nobody_waits_for_ever_when_the_pool_itself_fails(monkeypatch):
    monkeypatch.setattr("verifiers.worker_dispatch.packed_orders", len)
    with JudgePool(1) as pool, pytest.raises(RuntimeError, match="the pool of judges failed: TypeError"):
        pool.judge(tasks("a")[0])


class Notebook(Misbehaving):
    """What a cell of a notebook defines."""


Notebook.__module__ = "__main__"


def test_a_judge_of_a_notebook_is_refused_with_the_way_out():
    class Local(Misbehaving):
        pass

    with JudgePool(1) as pool:
        for judge in (Notebook(), Local(), AllOf(of=(Format(), Notebook()))):
            with pytest.raises(TypeError, match="move it to a file"):
                pool.judge(Task(judge=judge, completion=FINE))
        assert pool.judge(Task(judge=AllOf(of=(Format(), Misbehaving())), completion=FINE)).outcome == "pass"


def test_judges_in_the_folder_of_a_notebook_are_found(tmp_path):
    (tmp_path / "my_judges.py").write_text(
        "from misbehaving_judges import Misbehaving\nclass Mine(Misbehaving):\n    version = 7\n"
    )
    script = (
        "from my_judges import Mine\nfrom verifiers import JudgePool, Task\n"
        "print(JudgePool(1).judge(Task(judge=Mine(), completion='a')).version)\n"
    )
    done = python(script, cwd=tmp_path)  # -c: the path starts with '', as in a notebook
    assert done.stdout.split() == ["7"], done.stderr


def test_a_pickled_pool_starts_its_own_workers():
    with JudgePool(1, memory_limit_mb=512) as pool, pickle.loads(pickle.dumps(pool)) as copy:
        pids = {p.judge(tasks("pid")[0]).reason for p in (pool, copy)}
    assert len(pids) == 2


def test_a_function_sent_to_another_process_judges_there():
    """As Ray does it: cloudpickle, a process of another program, and judging in its workers."""
    cloudpickle = pytest.importorskip("cloudpickle")
    pool = JudgePool(1)

    def score(text):
        return pool.judge(Task(judge=Misbehaving(), completion=text)).extracted

    payload = cloudpickle.dumps(score)
    script = f"import pickle\nprint(pickle.loads({payload!r})('there'))\n"
    done = python(script)
    assert done.stdout.split() == ["there"], done.stderr


def test_a_forked_child_has_workers_of_its_own_and_leaves_its_parents_alone():
    script = """
import os
from misbehaving_judges import Misbehaving
from verifiers import JudgePool, Task
ask = lambda text: Task(judge=Misbehaving(), completion=text)
pool = JudgePool(1)
stream = pool.map([ask(str(n)) for n in range(500)])
first, before = next(stream).extracted, pool.judge(ask("pid")).reason
pid = os.fork()
if pid == 0:
    try:
        next(stream)
        os._exit(1)
    except RuntimeError as error:
        assert "forked" in str(error), error
    own = pool.judge(ask("pid")).reason
    stream.close()
    assert [v.extracted for v in pool.map([ask("x"), ask("y")])] == ["x", "y"]
    pool.close()
    os._exit(0 if own != before else 2)
rest = [v.extracted for v in stream]
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), len(rest), rest[-1], pool.judge(ask("pid")).reason == before)
"""
    done = python(script)
    assert done.stdout.split() == ["0", "499", "499", "True"], done.stderr


def test_an_interrupt_leaves_no_process():
    script = """
import os
from misbehaving_judges import Misbehaving
from verifiers import JudgePool, Task
pool = JudgePool(2)
stream = pool.map_unordered(Task(judge=Misbehaving(), completion=text) for text in ("pid", "pid", "sleep", "sleep"))
print(next(stream)[1].reason, next(stream)[1].reason, flush=True)
next(stream)
"""
    process = start_python(script, start_new_session=True)
    with process:
        pids = [int(pid) for pid in process.stdout.readline().split()]
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.wait(60) == -signal.SIGINT
        assert "KeyboardInterrupt" in process.stderr.read()
    assert len(pids) == 2
    assert all(_ends(pid) for pid in pids)


def test_a_program_that_never_closes_its_pool_ends():
    done = python(
        "from misbehaving_judges import Misbehaving\nfrom verifiers import JudgePool, Task\n"
        "pool = JudgePool(1)\nprint(pool.judge(Task(judge=Misbehaving(), completion='pid')).reason)\n"
        "waiting = pool.submit(Task(judge=Misbehaving(), completion='sleep'))\n"
    )
    assert done.returncode == 0
    assert done.stderr == ""
    assert _ends(int(done.stdout))


def test_a_worker_is_kept_between_calls_and_sees_no_secrets(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "s3cret")
    with JudgePool(1) as pool:
        pids = {pool.judge(tasks("pid")[0]).reason for _ in range(3)}
        assert pool.judge(tasks("environment")[0]).outcome == "pass"
        assert pool.judge(tasks("print")[0]).outcome == "pass"
    assert len(pids) == 1
    assert not Path(f"/proc/{pids.pop()}").exists()


def test_a_large_parent_does_not_make_its_workers_leave():
    ballast = bytearray(700 * 2**20)
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


def start_python(script, **options):
    command = [sys.executable, "-c", f"import sys; sys.path.append({str(Path(__file__).parent)!r})\n{script}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def python(script, **options):
    with start_python(script, **options) as process:
        out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def _ends(pid):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and _is_running(pid):
        time.sleep(0.02)
    return not _is_running(pid)


def _is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False


def test_what_is_no_task_is_told():
    with JudgePool(1) as pool, pytest.raises(TypeError, match="item 1 is no Task"):
        list(pool.map([*tasks("a"), None, *tasks("b")]))


def test_a_library_that_cannot_be_imported_is_no_verdict(monkeypatch):
    for name in [name for name in sys.modules if name.startswith(("verifiers.maths", "flint"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "flint", None)
    with pytest.raises(ImportError):
        MathAnswer().judge("\\boxed{1}", parse_reference("2"))


def test_a_worker_whose_library_is_broken_stops_the_pool(tmp_path, monkeypatch):
    (tmp_path / "flint.py").write_text("raise ImportError('flint is broken')\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with JudgePool(1) as pool, pytest.raises(RuntimeError, match="flint is broken"):
        pool.judge(Task(judge=MathAnswer(), completion="\\boxed{1}", reference=parse_reference("2")))
