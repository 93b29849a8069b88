"""The cases of the judge `code_tests`: programs, the tests they are held against, and what the judge must say.

A row of `ROWS`: outcome, reference (JSON form), completion. All are judged with the judge's defaults; what other
configurations say, and why, is `test_code_tests.py`. Attacks stand in `code_attacks/`, right programs of all habits in
`code_controls.py`.
"""

from __future__ import annotations

from typing import Any

PASS, FAIL, UNKNOWN = "pass", "fail", "unknown"
Row = tuple[str, Any, str]


def against(mode: str, *rows: Any, **more: Any) -> dict[str, Any]:
    """Make a reference of tests."""
    return {"kind": "tests", "mode": mode, "tests": list(rows), "time_limit": 1} | more


def io(given: str, wanted: str) -> dict[str, Any]:
    """Make a test of input and output."""
    return {"input": given, "output": wanted}


def fenced(program: str, label: str = "python") -> str:
    """Write a program as a block of a completion."""
    return f"```{label}\n{program}\n```"


def printing(outcome: str, expected: str, printed: str, **more: Any) -> Row:
    """Compare what a program prints by a checker."""
    return outcome, against("stdin", io("", expected), **more), fenced(f"print({printed!r}, end='')")


def returning(outcome: str, expected: Any, returned: str, **more: Any) -> Row:
    """Compare what a function returns by a checker."""
    program = f"def f():\n    return {returned}"
    return outcome, against("function", {"args": [], "expected": expected}, entry_point="f", **more), fenced(program)


SUM = against("stdin", io("2 3\n", "5\n"), io("10 -4\n", "6\n"))
SUMS = "print(sum(map(int, input().split())))"
ADD = against(
    "function", {"args": [2, 3], "expected": 5}, {"args": [10], "kwargs": {"b": -4}, "expected": 6}, entry_point="add"
)
ADDS = "def add(a, b):\n    return a + b"
ASSERTS = against("asserts", "assert add(2, 3) == 5", "assert add('a', 'b') == 'ab'")
CHECK = "def check(candidate):\n    assert candidate(2, 3) == 5\n    assert candidate(0, 0) == 0"
SCRIPT = against("script", test=CHECK, entry_point="add")
EVEN = "import sys\nprint('ok' if int(open(sys.argv[3]).read()) % 2 == 0 else 'no: it is odd')"
TRIES = "try:\n    f(-1)\nexcept ValueError as e:\n    assert str(e) == 'negative'\nelse:\n    assert False"
LOW = "class Low(Exception):\n    pass\ndef f(n):\n    raise Low('negative')"
BASE = "class B:\n    def go(self):\n        return self.n()"
MANAGER = "import contextlib\n@contextlib.contextmanager\ndef f():\n    yield 3"
COLOURS = "import enum\nclass C(enum.Enum):\n    R = 1\n    S = 2\ndef f():\n    return C.R"
CAPTURED = "import io, contextlib as c\nwith c.redirect_stdout(io.StringIO()) as o:\n    f()"
PRINTED = f"{CAPTURED}\nassert o.getvalue() == 'x\\n'"
RAISES = "def raises(kind, call):\n    try:\n        call()\n    except kind:\n        return True"
STACK = """class Stack:
    def __init__(self):
        self.a = []
    def push(self, x):
        self.a.append(x)
    def pop(self):
        return self.a.pop()
    def __len__(self):
        return len(self.a)"""
RECORD = "class Record:\n    def __init__(self, n):\n        self.n = n"
SHARED = against("asserts", "assert double(Record(2)) == 4", setup=RECORD)

EXTRACTION: list[Row] = [
    (PASS, SUM, fenced(SUMS)),
    (PASS, SUM, f"<think>Add them.</think>\nHere it is:\n\n{fenced(SUMS)}\n\nIt adds."),
    (PASS, SUM, SUMS),
    (PASS, SUM, f"<think>Add them.</think>\n{SUMS}"),
    (PASS, SUM, fenced(SUMS, "")),
    (PASS, SUM, fenced(SUMS, "py")),
    (PASS, SUM, fenced(SUMS, "Python3")),
    (PASS, SUM, f"~~~python\n{SUMS}\n~~~"),
    (PASS, SUM, f"```python\n{SUMS}"),
    (PASS, SUM, f"First I had\n{fenced('print(0)')}\nwhich is wrong. So\n{fenced(SUMS)}"),
    (FAIL, SUM, f"{fenced(SUMS)}\nor\n{fenced('print(0)')}"),
    (PASS, SUM, f"{fenced(SUMS)}\nIt prints\n{fenced('5', 'text')}"),
    (PASS, SUM, f"{fenced(SUMS)}\nIt prints\n{fenced('5', '')}"),
    (PASS, SUM, f"{fenced('int main() {}', 'cpp')}\n{fenced(SUMS, '')}"),
    (FAIL, SUM, fenced(SUMS, "cpp")),
    (PASS, SUM, fenced("quoted = '''\n```\n'''\n" + SUMS, "python").replace("```python", "````python") + "`"),
    (PASS, SUM, f"Here it is: {fenced(SUMS)}"),
    (PASS, SUM, f"1. Add them:\n\n   ```python\n   if True:\n       {SUMS}\n   ```\n2. Done."),
    (PASS, SUM, f"1. ```python\n   if True:\n       {SUMS}\n   ```\n2. Done."),
    (PASS, SUM, fenced(f'def f():\n    """As in\n\n    ```\n    f()\n    ```\n    """\n{SUMS}')),
    (PASS, SUM, fenced(SUMS, "python:solution.py")),
    (PASS, SUM, fenced(SUMS, "{.python}")),
    (FAIL, SUM, fenced(SUMS, "text")),
    (FAIL, SUM, f"<think>{fenced(SUMS)}</think>"),
    (FAIL, SUM, f"<think>{fenced(SUMS)}</think>\nDone."),
    (FAIL, SUM, f"<think>{fenced(SUMS)}"),
    (FAIL, SUM, fenced("")),
    (FAIL, SUM, ""),
    (FAIL, SUM, " \n"),
]

MODES: list[Row] = [
    (FAIL, SUM, fenced("print(5)")),
    (FAIL, SUM, fenced(ADDS)),
    (FAIL, SUM, fenced("print(1 +")),
    (FAIL, SUM, fenced("raise ValueError('no')")),
    (FAIL, SUM, fenced(SUMS + "\nraise SystemExit(3)")),
    (PASS, SUM, fenced(SUMS + "\nraise SystemExit(0)")),
    (PASS, SUM, fenced("if __name__ == '__main__':\n    " + SUMS)),
    (PASS, against("stdin", io("你好", "好你")), fenced("print(input()[::-1])")),
    (PASS, against("stdin", io("", "")), fenced("pass")),
    (PASS, ADD, fenced(ADDS)),
    (PASS, ADD, fenced("class Solution:\n    def add(self, a: int, b: int) -> int:\n        return a + b")),
    (FAIL, ADD, fenced("def add(a, b):\n    return a - b")),
    (FAIL, ADD, fenced("def plus(a, b):\n    return a + b")),
    (FAIL, ADD, fenced("def add(a, b):\n    print(a + b)")),
    (FAIL, ADD, fenced("def add(a):\n    return a")),
    (FAIL, ADD, fenced(SUMS)),
    (
        PASS,
        against("function", {"args": [[3, 1]], "expected": [1, 3]}, entry_point="s"),
        fenced("def s(a: List[int]):\n    return sorted(a)"),
    ),
    (
        PASS,
        against("function", {"args": [2], "expected": 7}, entry_point="f", setup="K = 5"),
        fenced("def f(n):\n    return n + K"),
    ),
    (PASS, ASSERTS, fenced(ADDS)),
    (FAIL, ASSERTS, fenced("def add(a, b):\n    return 5")),
    (FAIL, ASSERTS, fenced("def sub(a, b):\n    return a - b")),
    (FAIL, ASSERTS, fenced("exit(0)")),
    (
        PASS,
        against("asserts", "assert raises(ValueError, lambda: f(-1))", setup=RAISES),
        fenced("def f(n):\n    if n < 0:\n        raise ValueError(n)\n    return n"),
    ),
    (
        PASS,
        against("asserts", "a = [3, 1]\nput_in_order(a)\nassert a == [1, 3]"),
        fenced("def put_in_order(a):\n    a.sort()"),
    ),
    (
        PASS,
        against("asserts", "s = Stack(); s.push(1); s.push(2)\nassert s.pop() == 2 and len(s) == 1"),
        fenced(STACK),
    ),
    # what tests do with exceptions, objects and classes of the program
    (PASS, against("asserts", TRIES), fenced("def f(n):\n    raise ValueError('negative')")),
    (FAIL, against("asserts", TRIES), fenced("def f(n):\n    raise ValueError('below 0')")),
    (FAIL, against("asserts", TRIES), fenced("def f(n):\n    return n")),
    (PASS, against("asserts", TRIES.replace("ValueError", "Low")), fenced(LOW)),
    (PASS, against("asserts", "class T(B):\n    def n(self):\n        return 3\nassert T().go() == 3"), fenced(BASE)),
    (PASS, against("asserts", "with f() as n:\n    assert n == 3"), fenced(MANAGER)),
    (PASS, against("asserts", "assert f() is C.R and f() == C.R and f() != C.S"), fenced(COLOURS)),
    (
        PASS,
        against("asserts", "import asyncio\nassert asyncio.run(f(1)) == 2"),
        fenced("async def f(n):\n    return n + 1"),
    ),
    (PASS, against("asserts", PRINTED), fenced("def f():\n    print('x')")),
    (FAIL, against("asserts", PRINTED), fenced("def f():\n    print('y')")),
    (
        PASS,
        against("asserts", "assert list(f(3)) == [0, 1, 2]", "assert next(f(3)) == 0"),
        fenced("def f(n):\n    yield from range(n)"),
    ),
    (PASS, SCRIPT, fenced(ADDS)),
    (FAIL, SCRIPT, fenced("def add(a, b):\n    return a * b")),
    (FAIL, SCRIPT, fenced("def plus(a, b):\n    return a + b")),
    (PASS, SHARED, fenced("def double(record):\n    return 2 * record.n")),
    (FAIL, SHARED, fenced("def double(record):\n    return record.n")),
]

CHECKERS: list[Row] = [
    printing(PASS, "1 2\n3\n", "1   2 3"),
    printing(FAIL, "1 2\n3\n", "1 2 4"),
    printing(FAIL, "1 2 3", "1 2"),
    printing(FAIL, "0.5", "0.50"),
    printing(FAIL, "YES", "yes"),
    printing(PASS, "a b\n", "a b", checker="exact"),
    printing(PASS, "a\nb\n", "a\r\nb\r\n", checker="exact"),
    printing(FAIL, "a b\n", "a  b", checker="exact"),
    printing(FAIL, "a\n", "a\n\n", checker="exact"),
    printing(PASS, "0.5 2", "0.5000001 2", checker="floats"),
    printing(PASS, "1000000.0", "1000000.5", checker="floats"),
    printing(FAIL, "0.5", "0.51", checker="floats"),
    printing(PASS, "0.5", "0.51", checker="floats", tolerance=0.1),
    printing(FAIL, "2", "2.0000001", checker="floats"),
    printing(FAIL, "0.5", "nan", checker="floats"),
    printing(PASS, "a b\nc\n", "c\na b\n", checker="unordered"),
    printing(FAIL, "a b\nc\n", "c\nb a\n", checker="unordered"),
    printing(FAIL, "a\na\nb", "a\nb\nb", checker="unordered"),
    printing(PASS, "", "4", checker="program", checker_program=EVEN),
    printing(FAIL, "2", "3", checker="program", checker_program=EVEN),
    printing(FAIL, "2", "many", checker="program", checker_program=EVEN),  # breaks the checker, what is right does not
    printing(UNKNOWN, "2", "2", checker="program", checker_program="raise ValueError"),
    returning(PASS, [1, 2], "(1, 2)"),
    returning(PASS, [[1, "a"]], "[(1, 'a')]"),
    returning(PASS, {"1": [2]}, "{1: [2]}"),
    returning(PASS, [2, 1], "{1, 2}"),
    returning(PASS, 1, "1.0"),
    returning(FAIL, 1, "True"),
    returning(FAIL, "1", "1"),
    returning(PASS, None, "None"),
    returning(FAIL, 0, "None"),
    returning(FAIL, [2, 1], "[1, 2]"),
    returning(PASS, [2, 1], "[1, 2]", checker="unordered"),
    returning(FAIL, [2, 1], "[1, 1]", checker="unordered"),
    returning(PASS, 0.3, "0.1 + 0.2", checker="floats"),
    returning(FAIL, 0.3, "0.1 + 0.2"),
    returning(FAIL, 1, "lambda: 1"),
    returning(FAIL, 5, "type('E', (int,), {'__eq__': lambda self, other: True})(4)"),
]

LIMITS: list[Row] = [
    (FAIL, SUM | {"time_limit": 0.2}, fenced("while True:\n    pass")),
    (FAIL, SUM | {"time_limit": 0.2}, fenced("import time\ntime.sleep(30)\n" + SUMS)),
    (FAIL, SUM | {"memory_limit_mb": 64}, fenced("a = bytearray(300_000_000)\n" + SUMS)),
    (PASS, SUM | {"memory_limit_mb": 512}, fenced("a = bytearray(100_000_000)\n" + SUMS)),
    (FAIL, ADD | {"time_limit": 0.2}, fenced("def add(a, b):\n    while True:\n        pass")),
    (FAIL, ASSERTS | {"time_limit": 0.2}, fenced("def add(a, b):\n    while True:\n        pass")),
    (FAIL, SCRIPT | {"time_limit": 0.2}, fenced("import time\n\ndef add(a, b):\n    time.sleep(30)")),
    (FAIL, SUM, fenced("import sys\nsys.setrecursionlimit(1 << 30)\ndef f():\n    f()\nf()")),
    (FAIL, SUM, fenced("print('x' * 70_000_000)")),
    (FAIL, SUM, fenced("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")),
    (FAIL, SUM, fenced("import socket\nsocket.socket()\n" + SUMS)),
    (FAIL, SUM, fenced("open('/etc/passwd').read()\n" + SUMS)),
    (PASS, SUM, fenced("open('notes', 'w').write('x')\nassert open('notes').read() == 'x'\n" + SUMS)),
]

REFERENCES: list[Row] = [
    (UNKNOWN, None, fenced(SUMS)),
    (UNKNOWN, "5", fenced(SUMS)),
    (UNKNOWN, SUM | {"language": "cobol"}, fenced(SUMS)),
    (UNKNOWN, ADD | {"language": "cpp"}, fenced(ADDS)),
    (UNKNOWN, against("stdin"), fenced(SUMS)),
    (UNKNOWN, against("script"), fenced(ADDS)),
    (UNKNOWN, against("stdin", {"input": "1"}), fenced(SUMS)),
    (UNKNOWN, against("stdin", "assert add(1, 2) == 3"), fenced(SUMS)),
    (UNKNOWN, against("asserts", io("1", "1")), fenced(ADDS)),
    (UNKNOWN, ADD | {"entry_point": ""}, fenced(ADDS)),
    (UNKNOWN, SUM | {"checker": "program"}, fenced(SUMS)),
    (UNKNOWN, ADD | {"checker": "program", "checker_program": "pass"}, fenced(ADDS)),
    (UNKNOWN, ASSERTS | {"setup": "import no_such_module"}, fenced(ADDS)),
    (UNKNOWN, SCRIPT | {"setup": "import no_such_module"}, fenced(ADDS)),
    (UNKNOWN, ADD | {"setup": "import no_such_module"}, fenced(ADDS)),
    (FAIL, ADD | {"setup": "import math"}, fenced("import no_such_module")),
    (FAIL, ASSERTS | {"setup": "import math"}, fenced("import no_such_module")),
    (UNKNOWN, against("asserts", "assert add(2, 3) =="), fenced(ADDS)),
]

ROWS: list[Row] = [*EXTRACTION, *MODES, *CHECKERS, *LIMITS, *REFERENCES]
