"""The judge of programs beyond its table of cases: its configurations, what it says, and the ways to use it."""

import subprocess
import sys
import threading

import pytest
from code_cases import ADD, ADDS, ASSERTS, RECORD, SCRIPT, SHARED, SUM, SUMS, against, fenced, io
from code_judges import NO_LAYERS, WithoutLayers
from pydantic import ValidationError

from factory.errors import FactoryError
from factory.judging import Item, judge_items
from verifiers import (
    AllOf,
    CodeTests,
    Format,
    JudgePool,
    JudgeUnusable,
    MathAnswer,
    Task,
    as_reward,
    code_runs,
    parse_reference,
    verify,
)
from verifiers.sandbox import client

RIGHT, WRONG = fenced(SUMS), fenced("print(5)")
CPP = fenced("int main() {}", "cpp")


def judged(completion, reference, **configuration):
    return CodeTests(**configuration).judge(completion, parse_reference(reference))


def task(completion, reference=SUM, judge=None):
    return Task(judge=judge or CodeTests(), completion=completion, reference=parse_reference(reference))


@pytest.fixture
def here(monkeypatch):
    """Judge in this process, as a worker does, so that a test can change what it finds."""
    monkeypatch.setattr("verifiers.code_tests.inside_worker", lambda: True)
    rooms = []

    class Kept(code_runs.Bench):
        def __init__(self, *args, **more):
            super().__init__(*args, **more)
            rooms.append(self)

    monkeypatch.setattr(code_runs, "Bench", Kept)
    code_runs.bench.cache_clear()
    yield
    code_runs.bench.cache_clear()
    for room in rooms:
        room.lose()


# how it is scored

FOUR = against("stdin", *(io(str(n), str(n)) for n in range(4)))
SHARES = [
    ("print(input())", 1.0),
    ("n = input()\nprint(n if n != '3' else 0)", 0.75),
    ("n = input()\nprint(n if n != '0' else 1)", 0.75),
    ("print(0)", 0.25),
    ("print(9)", 0.0),
    ("print(", 0.0),
]


@pytest.mark.parametrize(("program", "share"), SHARES)
def test_a_share_of_the_tests(program, share):
    verdict = judged(fenced(program), FOUR, score="share")
    assert (verdict.outcome, verdict.score) == ("pass" if share == 1 else "fail", share)
    verdict = judged(fenced(program), FOUR)
    assert verdict.score == float(share == 1)


def test_a_share_of_asserts_and_of_calls():
    half = fenced("def add(a, b):\n    return 5")
    assert judged(half, ADD, score="share").score == 0.5
    assert judged(half, ASSERTS, score="share").score == 0.5
    assert judged(half, SCRIPT, score="share").score == 0.0
    assert CodeTests(score="share")([half, ""], reference=[ADD, ADD]) == [0.5, 0.0]


def test_the_first_failing_test_ends_it_unless_a_share_is_asked_for():
    loops = fenced("import time\nif input() == '0':\n    print(1)\nelse:\n    time.sleep(30)")
    verdict = judged(loops, FOUR | {"time_limit": 0.2})
    assert verdict.reason.startswith("test 1 of 4: word 1 is '1', not '0'")
    assert verdict.seconds < judged(loops, FOUR | {"time_limit": 0.2}, score="share").seconds


@pytest.mark.parametrize(("max_tests", "outcome"), [(1, "pass"), (3, "pass"), (4, "fail"), (9, "fail"), (None, "fail")])
def test_the_first_tests_only(max_tests, outcome):
    verdict = judged(fenced("n = input()\nprint(n if n != '3' else 0)"), FOUR, max_tests=max_tests)
    assert verdict.outcome == outcome, verdict.reason
    if outcome == "pass":
        assert f"passed {max_tests} tests" in verdict.reason


def test_the_tests_of_a_problem_share_an_allowance_of_time():
    busy = fenced("import time\nwhile time.process_time() < 0.3:\n    pass\nprint(input())")
    assert judged(busy, FOUR).outcome == "pass"
    verdict = judged(busy, FOUR, problem_time_s=0.4)
    assert (verdict.outcome, verdict.score) == ("fail", 0.0)
    assert verdict.reason == "test 3 of 4: not run: those before took more than 0.4 s"
    assert judged(busy, FOUR, problem_time_s=0.4, score="share").score == 0.5


def test_its_deadline_grows_with_that_allowance():
    assert CodeTests(problem_time_s=600).deadline_s > CodeTests().deadline_s > 10


@pytest.mark.parametrize(
    "wrong", [{"max_tests": 0}, {"problem_time_s": 0}, {"score": "most"}, {"sandbox": "maybe"}, {"tests": 3}]
)
def test_a_wrong_configuration_is_refused(wrong):
    with pytest.raises(ValidationError):
        CodeTests(**wrong)


# tests that share a process with the program

DOUBLE = fenced("def double(record):\n    return 2 * record.n")
HALF_SHARED = against("asserts", "assert double(double) == 4", "assert double(Record(2)) == 4", setup=RECORD)
SHARING = [
    # the tests' object comes with a class of theirs
    (SHARED, DOUBLE, True),
    (SHARED | {"setup": f"import collections\n{RECORD}"}, DOUBLE, True),
    (
        against("script", test=f"{RECORD}\ndef check(f):\n    assert f(Record(2)) == 4", entry_point="double"),
        DOUBLE,
        True,
    ),
    # what the program itself has made, and plain data, are none
    (
        against("asserts", "assert double(Record(2)) == 4"),
        fenced(f"{RECORD}\ndef double(r):\n    return 2 * r.n"),
        False,
    ),
    (against("asserts", "assert f([1, (2, {3})], {'a': b'x'}) == 2"), fenced("def f(a, b):\n    return len(a)"), False),
    (against("asserts", "assert f(lambda x: x + 1, 3) == 4"), fenced("def f(g, x):\n    return g(x)"), False),
    (against("asserts", "assert f(max, [3, 4]) == 4"), fenced("def f(g, x):\n    return g(x)"), False),
]


@pytest.mark.parametrize(("reference", "completion", "is_shared"), SHARING)
def test_the_verdict_says_where_program_and_tests_shared_a_process(reference, completion, is_shared):
    verdict = judged(completion, reference)
    assert verdict.outcome == "pass", verdict.reason
    assert verdict.reason.endswith("; isolation: shared") == is_shared


def test_sharing_can_be_refused():
    verdict = judged(DOUBLE, SHARED, shared=False)
    assert (verdict.outcome, verdict.cause) == ("unknown", "permanent")
    assert "the tests pass a Record, which is no plain data, and `shared` is off" in verdict.reason
    assert judged(fenced(ADDS), ASSERTS, shared=False).outcome == "pass"
    failing = judged(fenced("def double(record):\n    return 0"), HALF_SHARED, shared=False)
    assert failing.outcome == "fail", "what fails before such a test has failed"


@pytest.mark.parametrize(
    "ending",
    ["raise SystemExit(0)", "import os\nos._exit(0)", "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)"],
)
def test_a_program_that_ends_beside_its_tests_fails(ending):
    body = "\n    ".join(ending.split("\n"))
    verdict = judged(fenced(f"def double(record):\n    {body}"), SHARED)
    assert verdict.outcome == "fail", verdict.reason
    assert "isolation: shared" in verdict.reason


# what it says

REASONS = [
    (SUM, RIGHT, "passed 2 tests, at most 0."),
    (SUM, WRONG, "test 2 of 2: word 1 is '5', not '6'; for the input '10 -4\\n' it printed '5\\n', expected is '6\\n'"),
    (SUM, fenced("print(x)"), "test 1 of 2: ended with status 1 (NameError: name 'x' is not defined); the input"),
    (SUM, fenced("import sys\nsys.exit('no idea')"), "test 1 of 2: ended with status 1 (no idea); the input is"),
    (SUM, fenced("import os\nos.abort()"), "test 1 of 2: ended by a signal that it sent to itself"),
    (SUM, "", "no program: the reasoning never ends, or nothing follows it"),
    (SUM | {"time_limit": 0.2}, fenced("while 1: pass"), "test 1 of 2: more than 0.2 s of CPU time"),
    (ADD, fenced(SUMS.replace("5", "6")), "test 1 of 2: add(2, 3): ended with status 1 (EOFError"),
    (ADD, fenced("def add(a, b):\n    return [a, b]"), "test 1 of 2: add(2, 3) returned '[2, 3]', expected is '5', in"),
    (ADD, fenced("def add(a, b):\n    return print"), "test 1 of 2: add(2, 3) returned a builtin"),
    (ASSERTS, fenced("def add(a, b):\n    return 4"), "test 1 of 2: not equal, line 1 of the tests in 'assert"),
    (ASSERTS, fenced("def add(a, b):\n    raise KeyError(a)"), "test 1 of 2: raised KeyError: '2', line 1 of"),
    (SCRIPT, fenced("def add(a, b):\n    return 1"), "test 1 of 1: not equal, line 2 of the tests: 1, expected is 5"),
    (SCRIPT, fenced("1"), "test 1 of 1: raised NameError: the program defines no add"),
]  # fmt: skip


@pytest.mark.parametrize(("reference", "completion", "said"), REASONS)
def test_reasons(reference, completion, said):
    assert judged(completion, reference).reason.startswith(said)


def test_reasons_stay_short_whatever_the_program_prints():
    for program in ("print('x' * 1_000_000)", "raise ValueError('x' * 1_000_000)", "print('\\x00\\x1b' * 1000)"):
        verdict = judged(fenced(program), SUM)
        assert verdict.outcome == "fail"
        assert len(verdict.reason) < 1000


def test_what_was_run_is_told_with_its_place():
    completion = f"<think>{WRONG}</think>\nHere:\n{RIGHT}"
    verdict = judged(completion, SUM)
    assert completion[slice(*verdict.span)] == verdict.extracted == f"{SUMS}\n"
    long = judged(fenced(SUMS + "\n# " + "x" * 100_000), SUM)
    assert (long.outcome, len(long.extracted)) == ("pass", 1000)


# what is at fault where nothing can be said


def test_a_program_is_not_blamed_for_its_reference():
    verdict = judged(
        RIGHT, against("stdin", io("2 3", "5"), checker="program", checker_program="import no_such_module")
    )
    assert (verdict.outcome, verdict.cause) == ("unknown", "permanent")
    verdict = judged(fenced(ADDS), ADD | {"setup": "1 / 0"})
    assert (verdict.outcome, verdict.cause) == ("unknown", "permanent")
    assert "the setup of the tests: ended with status 1 (ZeroDivisionError: division by zero)" in verdict.reason
    verdict = judged(fenced(ADDS), ASSERTS | {"setup": "1 / 0"})
    assert "the tests cannot be run: ZeroDivisionError" in verdict.reason


def test_a_program_cannot_break_the_setup_of_its_tests():
    breaking = fenced("import sys\nsys.modules['math'] = None\ndef add(a, b):\n    raise SystemExit(0)")
    for reference in (ADD, ASSERTS, SCRIPT):
        assert judged(breaking, reference | {"setup": "import math"}).outcome == "fail"


def test_a_missing_toolchain_may_be_there_another_time(here, monkeypatch):
    monkeypatch.setattr(code_runs, "toolchain", lambda language: None)
    verdict = judged(CPP, SUM | {"language": "cpp"})
    assert (verdict.outcome, verdict.cause) == ("unknown", "transient")
    assert verdict.reason == "there is nothing here that runs cpp"


def test_a_machine_that_isolates_nothing_runs_nothing(here, monkeypatch):
    monkeypatch.setattr(client, "layers", lambda: NO_LAYERS)
    with pytest.raises(JudgeUnusable) as caught:
        judged(RIGHT, SUM)
    said = str(caught.value)
    assert "this machine lacks namespaces (not permitted), seccomp (not in this kernel), Landlock" in said
    assert "sandbox: none" in said
    assert judged(RIGHT, SUM, sandbox="none").outcome == "pass"
    assert judged(WRONG, SUM, sandbox="none").outcome == "fail"


def test_a_pool_and_the_factory_say_that_nothing_can_be_judged_here():
    asked = task(RIGHT, judge=WithoutLayers())
    with JudgePool(1) as pool:
        with pytest.raises(JudgeUnusable, match="this machine lacks namespaces"):
            pool.judge(asked)
        assert pool.judge(task("4", "4", MathAnswer())).outcome == "pass"
        assert pool.judge(task("", judge=WithoutLayers())).outcome == "fail", "what needs no sandbox is judged"
        item = Item(
            judge=WithoutLayers(),
            judge_fingerprint="",
            trace_id="",
            text_hash="",
            completion=RIGHT,
            reference=SUM_JSON,
            reference_hash="",
            prompt=(),
        )
        with pytest.raises((FactoryError, JudgeUnusable), match="sandbox: none"):
            list(judge_items(pool, [item]))


def test_without_a_sandbox_programs_see_this_machine():
    look = fenced("import os\nprint(os.path.exists('/etc/passwd'), 'SECRET' in os.environ)")
    assert judged(look, against("stdin", io("", "False False"))).outcome == "pass"
    assert judged(look, against("stdin", io("", "True False")), sandbox="none").outcome == "pass"
    for reference, completion in ((SUM, RIGHT), (ADD, fenced(ADDS)), (ASSERTS, fenced(ADDS)), (SHARED, DOUBLE)):
        assert judged(completion, reference, sandbox="none").outcome == "pass"
    endless = judged(fenced("while True: pass"), SUM | {"time_limit": 0.2}, sandbox="none")
    assert "more than 0.2 s of CPU time" in endless.reason


def test_a_fork_server_that_dies_costs_one_verdict(here):
    assert judged(RIGHT, SUM).outcome == "pass"
    code_runs.bench("python", bare=False)._sandbox._server.kill()
    verdict = judged(RIGHT, SUM)
    assert (verdict.outcome, verdict.cause) == ("unknown", "transient")
    assert "the fork server is lost" in verdict.reason
    assert judged(RIGHT, SUM).outcome == "pass"
    assert judged(WRONG, SUM).outcome == "fail"


# each test for itself


def test_a_test_finds_nothing_of_the_one_before():
    leaves = fenced(
        "import os, pathlib\n"
        "places = [pathlib.Path(p, 'left') for p in ('.', '/tmp', '/dev/shm', os.environ['HOME'])]\n"
        "print(sum(p.exists() for p in places))\n"
        "for p in places:\n    p.touch()\n"
    )
    verdict = judged(leaves, against("stdin", *[io("", "0")] * 3))
    assert verdict.outcome == "pass", verdict.reason
    counts = fenced("calls = []\ndef f():\n    calls.append(1)\n    return len(calls)")
    assert judged(counts, against("function", *[{"args": [], "expected": 1}] * 3, entry_point="f")).outcome == "pass"
    assert judged(counts, against("asserts", "assert f() == 1", "assert f() == 1 and f() == 2")).outcome == "pass"


def test_a_program_that_draws_lots_does_the_same_each_time():
    draws = "import random\nprint(random.random(), random.sample(range(9**9), 3), hash('a'), {'a', 'b', 'c', 'd'})"
    said = {judged(fenced(draws), SUM).reason.split(", in ")[0] for _ in range(3)}
    assert len(said) == 1


def test_programs_find_the_packages_of_this_interpreter():
    pytest.importorskip("numpy")
    assert judged(fenced("import numpy\nprint(numpy.arange(4).sum())"), against("stdin", io("", "6"))).outcome == "pass"
    ours = judged(fenced("import verifiers"), against("stdin", io("", "")))
    assert "No module named 'verifiers'" in ours.reason


# the ways in which it is used

SUM_JSON = '{"kind": "tests", "mode": "stdin", "tests": [{"input": "2 3", "output": "5"}], "time_limit": 1}'
OWN = [(SUM, RIGHT), (ADD, fenced(ADDS)), (ASSERTS, fenced(ADDS)), (SCRIPT, fenced(ADDS)), (SHARED, DOUBLE)]


def test_it_passes_its_own_reference_only():
    for reference, own in OWN:
        assert verify(own, reference).outcome == "pass"
        assert verify("", reference).outcome == "fail"
        others = {completion for _, completion in OWN if completion not in (own, fenced(ADDS))}
        assert {verify(other, reference).outcome for other in others} == {"fail"}
    assert verify(RIGHT, SUM_JSON).outcome == "pass"


def test_many_in_a_pool():
    asked = [task(RIGHT if n % 3 else WRONG) for n in range(60)]
    with JudgePool(2) as pool:
        found = [verdict.outcome for verdict in pool.map(asked)]
        assert found == ["pass" if n % 3 else "fail" for n in range(60)]
        assert dict(pool.map_unordered([task(RIGHT), task("4", "4", MathAnswer())]))[1].outcome == "pass"
        assert pool.submit(task(fenced(ADDS), ADD)).result(60).outcome == "pass"


def test_a_judge_is_a_reward():
    reward = as_reward([CodeTests(score="share"), Format()], weights=[1.0, 0.5])
    chats = [[{"role": "assistant", "content": f"<think>a</think>\n{text}"}] for text in (RIGHT, WRONG)]
    assert reward(prompts=["?", "?"], completions=chats, reference=[SUM, SUM]) == [1.5, 1.0]
    assert CodeTests()([RIGHT, WRONG, RIGHT], reference=[SUM, SUM_JSON, "4"]) == [1.0, 1.0, None]


def test_it_is_a_part_of_composed_judges():
    both = AllOf(of=(Format(), CodeTests()))
    assert both.judge(f"<think>a</think>\n{RIGHT}", parse_reference(SUM)).outcome == "pass"
    assert both.judge(f"<think>a</think>\n{WRONG}", parse_reference(SUM)).parts == (
        ("format", "pass"),
        ("code_tests", "fail"),
    )


def test_threads_judge_at_the_same_time():
    outcomes = [None] * 8

    def judge(at):
        outcomes[at] = judged(RIGHT if at % 2 else WRONG, SUM).outcome

    threads = [threading.Thread(target=judge, args=(at,)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == ["fail", "pass"] * 4


def test_a_forked_child_judges_too():
    script = (
        "import os\nfrom verifiers import verify\n"
        f"completion, reference = {RIGHT!r}, {SUM!r}\n"
        "assert verify(completion, reference).outcome == 'pass'\n"
        "pid = os.fork()\n"
        "said = verify(completion, reference).outcome\n"
        "if pid == 0: os._exit(0 if said == 'pass' else 9)\n"
        "print(said, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["pass", "0"], done.stderr


def test_importing_the_judge_starts_nothing():
    look = "print(*os.listdir('/proc/self/task'), open(f'/proc/self/task/{os.getpid()}/children').read())"
    script = f"import os, verifiers; {look}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert len(done.stdout.split()) == 1, done.stdout
