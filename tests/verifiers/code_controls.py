"""Right programs, written the ways people write them: a judge of code must pass every one of them.

Each control is a completion, its reference in JSON form and, where that is not plain, why it is here. They use what
sandboxes like to break: large inputs and outputs, threads, deep recursion, odd ways to read and to end, own files.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

STDIN: dict[str, Any] = {"kind": "tests", "mode": "stdin", "time_limit": 6, "memory_limit_mb": 512}
CALLED: dict[str, Any] = {"kind": "tests", "time_limit": 6, "memory_limit_mb": 512}


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One right completion."""

    name: str
    """What it does; unique."""
    completion: str
    """The text of a model."""
    reference: Mapping[str, Any]
    """The tests in JSON form."""
    optional: bool = False
    """Whether a sandbox may refuse it for good reasons."""


def fenced(program: str) -> str:
    return f"<think>Easy.</think>\n\n```python\n{textwrap.dedent(program).strip(chr(10))}\n```\n"


def stdin(name: str, program: str, *cases: tuple[str, str], **more: Any) -> Control:
    optional = more.pop("optional", False)
    tests = [{"input": given, "output": wanted} for given, wanted in cases]
    return Control(name=name, completion=fenced(program), reference=STDIN | more | {"tests": tests}, optional=optional)


def _fib(n: int) -> int:
    a, b = 0, 1
    for _ in range(n):
        a, b = b, (a + b) % 1_000_007
    return a


SUM = (("2 3\n", "5\n"), ("10 -4\n", "6\n"))
NUMBERS = [str(Random(n).randrange(10**6)) for n in range(1000)] * 1000
MANY = (" ".join(NUMBERS) + "\n", f"{sum(map(int, NUMBERS))}\n")
LINES = ("3\na b\nc d\ne f\n", "a-b\nc-d\ne-f\n")
DEEP = "import sys\nsys.setrecursionlimit(300_000)\n"

READING = [
    stdin("input in a loop", "n = int(input())\nfor _ in range(n):\n    print('-'.join(input().split()))", LINES),
    stdin(
        "reads until the end",
        "while True:\n    try:\n        line = input()\n    except EOFError:\n        break\n    print(line[::-1])",
        ("ab\ncd", "ba\ndc\n"),
    ),
    stdin(
        "iterates over standard input",
        "import sys\nprint(sum(int(line) for line in sys.stdin))",
        ("1\n2\n3\n", "6\n"),
        ("", "0\n"),
    ),
    stdin("sys.stdin.buffer", "import sys\nprint(sum(map(int, sys.stdin.buffer.read().split())))", *SUM),
    stdin(
        "readline of the buffer",
        "import sys\ninput = sys.stdin.buffer.readline\na, b = map(int, input().split())\nprint(a + b)",
        *SUM,
    ),
    stdin(
        "os.read and BytesIO",
        "import io, os\n"
        "input = io.BytesIO(os.read(0, os.fstat(0).st_size)).readline\n"
        "a, b = map(int, input().split())\n"
        "print(a + b)",
        *SUM,
    ),
    stdin("open(0)", "a, b = map(int, open(0).read().split())\nprint(a + b)", *SUM),
    stdin("open(0, 'rb')", "print(sum(map(int, open(0, 'rb').read().split())))", *SUM),
    stdin("/dev/stdin", "with open('/dev/stdin') as file:\n    print(sum(map(int, file.read().split())))", *SUM),
    stdin(
        "os.read until empty",
        "import os\ndata = b''\nwhile part := os.read(0, 3):\n    data += part\nprint(sum(map(int, data.split())))",
        *SUM,
    ),
    stdin(
        "memory map of the input",
        "import mmap\n"
        "with mmap.mmap(0, 0, access=mmap.ACCESS_READ) as area:\n"
        "    print(sum(map(int, area[:].split())))",
        *SUM,
    ),
    stdin("fileinput", "import fileinput\nprint(sum(sum(map(int, line.split())) for line in fileinput.input()))", *SUM),
    stdin(
        "select, then read",
        "import os, select\nselect.select([0], [], [])\nprint(sum(map(int, os.read(0, 100).split())))",
        *SUM,
    ),
    stdin("a million tokens", "import sys\nprint(sum(map(int, sys.stdin.read().split())))", MANY),
    stdin("a million tokens by input()", "print(sum(map(int, input().split())))", MANY),
    stdin(
        "carriage returns", "n = int(input())\nprint(sum(int(input()) for _ in range(n)))", ("2\r\n3\r\n4\r\n", "7\r\n")
    ),
    stdin("input is not all read", "print(int(input().split()[0]) * 2)", ("1\n" + "x" * 1_000_000, "2\n")),
    stdin("no input is needed", "print('hello')", ("", "hello\n")),
    stdin(
        "text of other scripts",
        "name = input()\nprint(f'你好, {name}! Ünïcödé 👩‍👩‍👧', len(name))",
        ("Алиса\n", "你好, Алиса! Ünïcödé 👩‍👩‍👧 5\n"),
    ),
]

PRINTING = [
    stdin(
        "no line feed at the end", "import sys\na, b = map(int, input().split())\nsys.stdout.write(str(a + b))", *SUM
    ),
    stdin("blanks at ends of lines", "for n in range(3):\n    print(n, end=' \\n')\nprint()", ("", "0\n1\n2\n")),
    stdin("separators of its own", "print(*range(5), sep=', ', end='!\\n')", ("", "0, 1, 2, 3, 4!\n")),
    stdin(
        "buffer of standard output",
        "import sys\nsys.stdout.buffer.write(b'%d\\n' % sum(map(int, sys.stdin.read().split())))",
        *SUM,
    ),
    stdin("os.write", "import os\na, b = map(int, input().split())\nos.write(1, f'{a + b}\\n'.encode())", *SUM),
    stdin(
        "/dev/stdout",
        "a, b = map(int, input().split())\nwith open('/dev/stdout', 'w') as file:\n    file.write(f'{a + b}\\n')",
        *SUM,
    ),
    stdin(
        "print to a file object",
        "import sys\n"
        "out = open(1, 'w', buffering=1 << 16, closefd=False)\n"
        "print(sum(map(int, input().split())), file=out)\n"
        "out.flush()",
        *SUM,
    ),
    stdin(
        "a file object that is never closed",
        "out = open(1, 'w', closefd=False)\nprint(sum(map(int, input().split())), file=out)",
        *SUM,
    ),
    stdin(
        "a destructor that prints",
        "class Last:\n    def __del__(self):\n        print('bye')\nkept = Last()\nprint('hi')",
        ("", "hi\nbye\n"),
    ),
    stdin(
        "replaced standard output",
        "import atexit, io, sys\n"
        "buffer = io.BytesIO()\n"
        "sys.stdout = io.TextIOWrapper(buffer, write_through=True)\n"
        "atexit.register(lambda: sys.__stdout__.write(buffer.getvalue().decode()))\n"
        "print(sum(map(int, input().split())))",
        *SUM,
    ),
    stdin(
        "ten megabytes", "line = 'x' * 99\nfor _ in range(100_000):\n    print(line)", ("", ("x" * 99 + "\n") * 100_000)
    ),
    stdin(
        "flush after each line",
        "for n in range(2000):\n    print(n, flush=True)",
        ("", "".join(f"{n}\n" for n in range(2000))),
    ),
    stdin(
        "warnings on standard error",
        "import sys, warnings\n"
        "warnings.warn('careful')\n"
        "print('debug ' * 20_000, file=sys.stderr)\n"
        "print(sum(map(int, input().split())))",
        *SUM,
    ),
    stdin(
        "a table with format",
        "for n in range(3):\n    print(f'{n:>3}|{n / 7:8.3f}')",
        ("", "  0|   0.000\n  1|   0.143\n  2|   0.286\n"),
    ),
]

ENDING = [
    stdin("sys.exit(0)", "import sys\nprint(sum(map(int, input().split())))\nsys.exit(0)", *SUM),
    stdin(
        "exit() in a function",
        "def main():\n    print(sum(map(int, input().split())))\n    exit()\nmain()\nprint('never')",
        *SUM,
    ),
    stdin(
        "os._exit(0) after a flush",
        "import os, sys\nprint(sum(map(int, input().split())))\nsys.stdout.flush()\nos._exit(0)",
        *SUM,
    ),
    stdin(
        "the main guard",
        "def main():\n    print(sum(map(int, input().split())))\n\nif __name__ == '__main__':\n    main()",
        *SUM,
    ),
    stdin("raise SystemExit", "print(sum(map(int, input().split())))\nraise SystemExit", *SUM),
    stdin("exit handlers", "import atexit\natexit.register(print, 'bye')\nprint('hi')", ("", "hi\nbye\n")),
    stdin(
        "daemon thread at the end",
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "print(sum(map(int, input().split())))",
        *SUM,
    ),
]

WORKING = [
    stdin(
        "slow imports",
        "import asyncio, bisect, collections, concurrent.futures, csv, ctypes, datetime, decimal\n"
        "import difflib, email.message, fractions, heapq, html.parser\n"
        "import http.client, itertools, json, logging, math, multiprocessing, operator, pathlib, random, re, sqlite3\n"
        "import statistics, string, typing, unittest, urllib.parse, uuid, xml.etree.ElementTree\n"
        "print(sum(map(int, input().split())))",
        *SUM,
    ),
    stdin(
        "numpy",
        "import numpy as np\n"
        "a = np.array(input().split(), dtype=np.int64)\n"
        "print(int(a.sum()))\n"
        "print((np.ones((200, 200)) @ np.ones((200, 200))).sum())",
        ("2 3\n", "5\n8000000.0\n"),
    ),
    stdin(
        "numpy's linear algebra",
        "import numpy as np\n"
        "x = np.linalg.solve(np.array([[3.0, 1], [1, 2]]), np.array([9.0, 8]))\n"
        "print(*(round(float(v), 6) for v in x))",
        ("", "2.0 3.0\n"),
    ),
    stdin(
        "a pool of 32 threads",
        "from concurrent.futures import ThreadPoolExecutor\n"
        "import time\n"
        "with ThreadPoolExecutor(32) as pool:\n"
        "    print(sum(pool.map(lambda n: time.sleep(0.01) or n, range(64))))",
        ("", "2016\n"),
    ),
    stdin(
        "a large stack for a thread",
        DEEP + "import threading\n"
        "threading.stack_size(128 << 20)\n"
        "def depth(n):\n"
        "    return 0 if n == 0 else 1 + depth(n - 1)\n"
        "def main():\n"
        "    print(depth(100_000))\n"
        "thread = threading.Thread(target=main)\n"
        "thread.start()\n"
        "thread.join()",
        ("", "100000\n"),
    ),
    stdin(
        "a quarter gigabyte of stack",
        DEEP + "import threading\n"
        "threading.stack_size(256 << 20)\n"
        "def main():\n"
        "    print(sum(map(int, input().split())))\n"
        "thread = threading.Thread(target=main)\n"
        "thread.start()\n"
        "thread.join()",
        *SUM,
    ),
    stdin(
        "recursion of 100,000",
        DEEP + "def depth(n):\n    return 0 if n == 0 else 1 + depth(n - 1)\nprint(depth(100_000))",
        ("", "100000\n"),
    ),
    stdin(
        "recursion of 50,000 through a cache",
        DEEP + "import threading\n"
        "threading.stack_size(256 << 20)\n"
        "from functools import lru_cache\n"
        "@lru_cache(None)\n"
        "def f(n):\n"
        "    return n if n < 2 else (f(n - 1) + f(n - 2)) % 1_000_007\n"
        "thread = threading.Thread(target=lambda: print(f(50_000)))\n"
        "thread.start()\n"
        "thread.join()",
        ("", f"{_fib(50_000)}\n"),
    ),
    stdin(
        "recursion of 20,000 through sorting",
        DEEP + "import threading\n"
        "threading.stack_size(256 << 20)\n"
        "def f(n):\n"
        "    return sorted([n], key=lambda m: f(n - 1) if n else 0)[0]\n"
        "thread = threading.Thread(target=lambda: print(f(20_000)))\n"
        "thread.start()\n"
        "thread.join()",
        ("", "20000\n"),
    ),
    stdin(
        "depth-first search",
        DEEP + "n = int(input())\n"
        "next_of = [[i + 1] if i + 1 < n else [] for i in range(n)]\n"
        "seen = [False] * n\n"
        "def visit(v):\n"
        "    seen[v] = True\n"
        "    for w in next_of[v]:\n"
        "        if not seen[w]:\n"
        "            visit(w)\n"
        "visit(0)\n"
        "print(sum(seen))",
        ("50000\n", "50000\n"),
    ),
    stdin(
        "large numbers", "import sys\nsys.set_int_max_str_digits(0)\nprint(10 ** 5000)", ("", "1" + "0" * 5000 + "\n")
    ),
    stdin(
        "decimals",
        "from decimal import Decimal, getcontext\ngetcontext().prec = 60\nprint(Decimal(2).sqrt())",
        ("", "1.41421356237309504880168872420969807856967187537694807317668\n"),
    ),
    stdin(
        "fractions",
        "from fractions import Fraction\nprint(sum(Fraction(1, n) for n in range(1, 11)))",
        ("", "7381/2520\n"),
    ),
    stdin(
        "data classes",
        "from dataclasses import dataclass, field\n"
        "@dataclass(order=True)\n"
        "class Item:\n"
        "    cost: int\n"
        "    name: str = field(compare=False)\n"
        "print(min(Item(3, 'c'), Item(1, 'a')).name)",
        ("", "a\n"),
    ),
    stdin(
        "asyncio",
        "import asyncio\n"
        "async def one(n):\n"
        "    await asyncio.sleep(0.01)\n"
        "    return n\n"
        "async def main():\n"
        "    print(sum(await asyncio.gather(*map(one, range(10)))))\n"
        "asyncio.run(main())",
        ("", "45\n"),
    ),
    stdin(
        "generators",
        "def primes():\n"
        "    found = []\n"
        "    n = 2\n"
        "    while True:\n"
        "        if all(n % p for p in found):\n"
        "            found.append(n)\n"
        "            yield n\n"
        "        n += 1\n"
        "from itertools import islice\n"
        "print(*islice(primes(), 10))",
        ("", "2 3 5 7 11 13 17 19 23 29\n"),
    ),
    stdin(
        "a file in the current folder",
        "with open('notes.txt', 'w') as file:\n    file.write('5')\nprint(open('notes.txt').read())",
        ("", "5\n"),
    ),
    stdin(
        "a file in /tmp",
        "with open('/tmp/notes.txt', 'w') as file:\n    file.write('5')\nprint(open('/tmp/notes.txt').read())",
        ("", "5\n"),
    ),
    stdin(
        "tempfile",
        "import os, tempfile\n"
        "with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile('w+', dir=folder) as file:\n"
        "    file.write('5')\n"
        "    file.seek(0)\n"
        "    print(file.read(), os.path.exists(folder))",
        ("", "5 True\n"),
    ),
    stdin(
        "pickles of its own classes",
        "import pickle\n"
        "class Point:\n"
        "    def __init__(self, x):\n"
        "        self.x = x\n"
        "print(pickle.loads(pickle.dumps(Point(5))).x)",
        ("", "5\n"),
    ),
    stdin(
        "exec and eval", "scope = {}\nexec('def f(n): return n * 2', scope)\nprint(eval('f(21)', scope))", ("", "42\n")
    ),
    stdin(
        "random with a seed",
        "import random\nrandom.seed(7)\nnumbers = random.sample(range(100), 100)\nprint(sum(numbers))",
        ("", "4950\n"),
    ),
    stdin(
        "two seconds of work",
        "import time\nn = 0\nwhile time.process_time() < 1.9:\n    n += 1\nprint('done')",
        ("", "done\n"),
    ),
    stdin(
        "two hundred megabytes",
        "block = bytearray(200 << 20)\nblock[::4096] = b'x' * len(block[::4096])\nprint(block.count(b'x'))",
        ("", "51200\n"),
    ),
    stdin("a short sleep", "import time\ntime.sleep(0.3)\nprint(sum(map(int, input().split())))", *SUM),
    stdin(
        "signals of its own",
        "import signal\n"
        "signal.signal(signal.SIGALRM, lambda *_: print('rang'))\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.05)\n"
        "signal.pause()",
        ("", "rang\n"),
    ),
    stdin(
        "locks and queues",
        "import queue, threading\n"
        "q = queue.Queue()\n"
        "def work():\n"
        "    for n in iter(q.get, None):\n"
        "        done.append(n)\n"
        "done = []\n"
        "threads = [threading.Thread(target=work) for _ in range(4)]\n"
        "[t.start() for t in threads]\n"
        "[q.put(n) for n in range(100)]\n"
        "[q.put(None) for _ in threads]\n"
        "[t.join() for t in threads]\n"
        "print(sum(done))",
        ("", "4950\n"),
    ),
    stdin(
        "processes",
        "import multiprocessing\n"
        "def square(n):\n"
        "    return n * n\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('fork').Pool(2) as pool:\n"
        "        print(sum(pool.map(square, range(10))))",
        ("", "285\n"),
        optional=True,
    ),
    stdin(
        "another program",
        "import subprocess, sys\n"
        "print(subprocess.run([sys.executable, '-c', 'print(5)'], capture_output=True, text=True).stdout.strip())",
        ("", "5\n"),
        optional=True,
    ),
]

CHECKED = [
    stdin(
        "floats",
        "r = float(input())\nprint(3.141592653589793 * r * r)",
        ("2\n", "12.566371\n"),
        ("1\n", "3.14159\n"),
        checker="floats",
    ),
    stdin(
        "floats among words",
        "print('area', 1 / 3)\nprint('ratio', 2e-7)",
        ("", "area 0.333333333\nratio 0.0000002\n"),
        checker="floats",
    ),
    stdin(
        "integers with floats", "print(10 ** 18 + 1, 0.1 + 0.2)", ("", "1000000000000000001 0.3\n"), checker="floats"
    ),
    stdin(
        "a checker program",
        "print(int(input()) + 10)",
        ("5\n", "25\n"),
        checker="program",
        checker_program=(
            "import sys\n"
            "given, expected, actual = (open(path).read() for path in sys.argv[1:4])\n"
            "print(int(int(actual) % 10 == int(expected) % 10 == int(given)))"
        ),
    ),
    stdin("another order", "print('b')\nprint('a')\nprint('b')", ("", "b\nb\na\n"), checker="unordered"),
    stdin("blank lines between", "print('1\\n\\n\\n2')", ("", "1\n2\n")),
    stdin("tabs for blanks", "print('1\\t2   3')", ("", "1 2 3\n")),
]


def called(name: str, program: str, entry_point: str, *rows: tuple[list[Any], Any], **more: Any) -> Control:
    tests = [{"args": args, "expected": expected} for args, expected in rows]
    reference = CALLED | {"mode": "function", "entry_point": entry_point, "tests": tests} | more
    return Control(name=f"function: {name}", completion=fenced(program), reference=reference)


FUNCTIONS = [
    called("integer", "def add(a, b):\n    return a + b", "add", ([2, 3], 5), ([-1, 1], 0)),
    called("text", "def greet(name):\n    return f'héllo {name} 👋'", "greet", (["世界"], "héllo 世界 👋")),
    called(
        "list", "def evens(n):\n    return [i for i in range(n) if i % 2 == 0]", "evens", ([7], [0, 2, 4, 6]), ([0], [])
    ),
    called("tuple", "def pair(a):\n    return a, a * 2", "pair", ([2], [2, 4])),
    called(
        "tuples in a list",
        "def pairs(n):\n    return [(i, str(i)) for i in range(n)]",
        "pairs",
        ([2], [[0, "0"], [1, "1"]]),
    ),
    called(
        "dictionary",
        "def count(text):\n"
        "    found = {}\n"
        "    for c in text:\n"
        "        found[c] = found.get(c, 0) + 1\n"
        "    return found",
        "count",
        (["aab"], {"a": 2, "b": 1}),
    ),
    called(
        "counter and default dictionary",
        "from collections import Counter\ndef count(text):\n    return Counter(text)",
        "count",
        (["aab"], {"a": 2, "b": 1}),
    ),
    called("none", "def nothing(a):\n    pass", "nothing", ([1], None)),
    called("truth", "def is_even(n):\n    return n % 2 == 0", "is_even", ([2], True), ([3], False)),
    called("float", "def half(n):\n    return n / 2", "half", ([3], 1.5), ([0.2], 0.1)),
    called(
        "float within a tolerance",
        "def area(r):\n    return 3.141592653589793 * r * r",
        "area",
        ([2], 12.566371),
        checker="floats",
    ),
    called(
        "nested",
        "def nest(n):\n    return {'a': [{'b': (1, 2.5, None, True, 'x')}] * n}",
        "nest",
        ([2], {"a": [{"b": [1, 2.5, None, True, "x"]}] * 2}),
    ),
    called("large number", "def power(n):\n    return 3 ** n", "power", ([200], 3**200)),
    called("large list", "def numbers(n):\n    return list(range(n))", "numbers", ([100_000], list(range(100_000)))),
    called("prints while it works", "def add(a, b):\n    print('adding', a, b)\n    return a + b", "add", ([2, 3], 5)),
    called(
        "helpers and imports",
        "import math\n"
        "from typing import List\n"
        "def _gcd(a, b):\n"
        "    return math.gcd(a, b)\n"
        "def gcd_of(numbers: List[int]) -> int:\n"
        "    found = 0\n"
        "    for n in numbers:\n"
        "        found = _gcd(found, n)\n"
        "    return found",
        "gcd_of",
        ([[12, 18, 24]], 6),
    ),
    called(
        "imports forgotten, as on LeetCode",
        "class Solution:\n"
        "    def total(self, numbers: List[int]) -> Optional[int]:\n"
        "        return sum(numbers) if numbers else None",
        "Solution.total",
        ([[1, 2]], 3),
        ([[]], None),
    ),
    called(
        "method of Solution",
        "from typing import List\n"
        "class Solution:\n"
        "    def twoSum(self, nums: List[int], target: int) -> List[int]:\n"
        "        seen = {}\n"
        "        for i, n in enumerate(nums):\n"
        "            if target - n in seen:\n"
        "                return [seen[target - n], i]\n"
        "            seen[n] = i",
        "Solution.twoSum",
        ([[2, 7, 11, 15], 9], [0, 1]),
        ([[3, 3], 6], [0, 1]),
    ),
    called(
        "method of Solution by its bare name",
        "class Solution:\n"
        "    def double(self, n):\n"
        "        return self.twice(n)\n"
        "    def twice(self, n):\n"
        "        return 2 * n",
        "double",
        ([4], 8),
    ),
    called("lambda", "add = lambda a, b: a + b", "add", ([2, 3], 5)),
    called("partial", "from functools import partial\nadd = partial(lambda a, b, c: a + b + c, 0)", "add", ([2, 3], 5)),
    called(
        "cached and recursive",
        "from functools import lru_cache\n"
        "@lru_cache(maxsize=None)\n"
        "def fib(n):\n"
        "    return n if n < 2 else fib(n - 1) + fib(n - 2)",
        "fib",
        ([80], 23416728348467685),
    ),
    called(
        "main guard",
        "def add(a, b):\n    return a + b\n\nif __name__ == '__main__':\n    print(add(*map(int, input().split())))",
        "add",
        ([2, 3], 5),
    ),
    called(
        "changes its arguments",
        "def insert(numbers, n):\n    numbers.append(n)\n    numbers.sort()\n    return numbers",
        "insert",
        ([[3, 1], 2], [1, 2, 3]),
    ),
    Control(
        name="function: keyword arguments",
        completion=fenced("def power(base, *, exponent=2):\n    return base ** exponent"),
        reference=CALLED
        | {
            "mode": "function",
            "entry_point": "power",
            "tests": [
                {"args": [3], "kwargs": {"exponent": 3}, "expected": 27},
                {"args": [], "kwargs": {"base": 4}, "expected": 16},
            ],
        },
    ),
]


def asserted(name: str, program: str, *tests: str, setup: str = "") -> Control:
    reference = CALLED | {"mode": "asserts", "setup": setup, "tests": list(tests)}
    return Control(name=f"asserts: {name}", completion=fenced(program), reference=reference)


PAIR = """
class Pair(object):
    def __init__(self, a, b):
        self.a = a
        self.b = b

def longest(pairs, n):
    best = [1] * n
    for i in range(1, n):
        for j in range(i):
            if pairs[i].a > pairs[j].b and best[i] < best[j] + 1:
                best[i] = best[j] + 1
    return max(best)
"""
ASSERTS = [
    asserted("numbers", "def add(a, b):\n    return a + b", "assert add(2, 3) == 5", "assert add(-1, 1) == 0, 'zero'"),
    asserted(
        "sets",
        "def common(a, b):\n    return set(a) & set(b)",
        "assert common([1, 2, 3], [2, 3, 4]) == {2, 3}",
        "assert common([], [1]) == set()",
    ),
    asserted(
        "set of a result",
        "def common(a, b):\n    return tuple(set(a) & set(b))",
        "assert set(common((3, 4, 5), (5, 4))) == set((4, 5))",
    ),
    asserted(
        "dictionaries",
        "def count(text):\n    return {c: text.count(c) for c in text}",
        "assert count('aab') == {'b': 1, 'a': 2}",
    ),
    asserted(
        "tuples and lists",
        "def split(text):\n    return [(c, i) for i, c in enumerate(text)]",
        "assert split('ab') == [('a', 0), ('b', 1)]",
    ),
    asserted("floats as they are", "def half(n):\n    return n / 2", "assert half(3) == 1.5"),
    asserted(
        "floats that are close",
        "def area(r):\n    return 3.141592653589793 * r * r",
        "assert math.isclose(area(2), 12.566370, rel_tol=1e-6)",
        "assert abs(area(1) - 3.14159) < 1e-5",
        setup="import math",
    ),
    asserted(
        "truth",
        "def is_even(n):\n    return n % 2 == 0",
        "assert is_even(2)",
        "assert not is_even(3)",
        "assert is_even(4) == True",
        "assert is_even(5) is False",
    ),
    asserted("none", "def find(n):\n    return None", "assert find(1) is None", "assert find(2) == None"),
    asserted(
        "a class of the program in the tests",
        PAIR,
        "assert longest([Pair(5, 24), Pair(15, 25), Pair(27, 40), Pair(50, 60)], 4) == 3",
        "assert longest([Pair(1, 2), Pair(3, 4), Pair(10, 11)], 3) == 3",
    ),
    asserted(
        "a helper of the program in the tests",
        "def node(value):\n    return [value, None]\ndef value_of(n):\n    return n[0]",
        "assert value_of(node(7)) == 7",
    ),
    asserted(
        "objects with methods",
        "class Stack:\n"
        "    def __init__(self):\n"
        "        self.items = []\n"
        "    def push(self, item):\n"
        "        self.items.append(item)\n"
        "        return self\n"
        "    def pop(self):\n"
        "        return self.items.pop()",
        "s = Stack()\ns.push(1).push(2)\nassert s.pop() == 2\nassert s.pop() == 1",
    ),
    asserted(
        "an error that is expected",
        "def root(n):\n    if n < 0:\n        raise ValueError('negative')\n    return n ** 0.5",
        "assert root(4) == 2",
        "try:\n    root(-1)\n    assert False\nexcept ValueError:\n    pass",
    ),
    asserted(
        "a setup with data",
        "def total(rows):\n    return sum(rows)",
        "assert total(DATA) == 6",
        setup="DATA = [1, 2, 3]",
    ),
    asserted(
        "order of comparison",
        "def add(a, b):\n    return a + b",
        "assert 5 == add(2, 3)",
        "assert add(2, 3) in (5, 6)",
        "assert add(1, 1) < 3 <= add(2, 1)",
    ),
    asserted(
        "a long list",
        "def numbers(n):\n    return list(range(n))",
        "assert numbers(10_000) == list(range(10_000))",
        "assert len(numbers(50)) == 50",
    ),
    asserted("a generator that is listed", "def up(n):\n    yield from range(n)", "assert list(up(3)) == [0, 1, 2]"),
    asserted(
        "text with quotes", "def quote(text):\n    return repr(text)", "assert quote('a\\'b\\n') == '\"a\\'b\\\\n\"'"
    ),
    asserted("complex numbers", "def turn(z):\n    return z * 1j", "assert turn(1 + 2j) == -2 + 1j"),
    asserted(
        "regular expression objects",
        "import re\ndef find(text):\n    return re.search('b+', text)",
        "assert find('abbc').group() == 'bb'",
        "assert bool(find('ac')) == False",
    ),
    asserted(
        "a heap of the library",
        "import heapq\ndef largest(numbers, n):\n    return heapq.nlargest(n, numbers)",
        "assert largest([3, 1, 2], 2) == [3, 2]",
    ),
]


def checked(name: str, program: str, entry_point: str, test: str) -> Control:
    reference = CALLED | {"mode": "script", "entry_point": entry_point, "test": textwrap.dedent(test)}
    return Control(name=f"script: {name}", completion=fenced(program), reference=reference)


SCRIPTS = [
    checked(
        "asserts",
        "def add(a, b):\n    return a + b",
        "add",
        "def check(candidate):\n    assert candidate(2, 3) == 5\n    assert candidate(-1, 1) == 0\n",
    ),
    checked(
        "metadata before it",
        "def add(a, b):\n    return a + b",
        "add",
        "\n"
        "\n"
        "METADATA = {\n"
        "    'author': 'x',\n"
        "    'dataset': 'test'\n"
        "}\n"
        "\n"
        "\n"
        "def check(candidate):\n"
        "    assert candidate(2, 3) == 5\n"
        "    assert True, 'always'\n",
    ),
    checked(
        "loops and random",
        "def halves(n):\n    return n // 2",
        "halves",
        "import random\n"
        "def check(candidate):\n"
        "    for _ in range(200):\n"
        "        n = random.randint(-1000, 1000)\n"
        "        assert candidate(n) == n // 2\n",
    ),
    checked(
        "floats",
        "def area(r):\n    return 3.141592653589793 * r * r",
        "area",
        "import math\n"
        "def check(candidate):\n"
        "    assert math.fabs(candidate(2) - 12.566370614) < 1e-6\n"
        "    assert abs(candidate(0)) < 1e-9\n",
    ),
    checked(
        "an inner function",
        "def encode(text):\n    return text[::-1]\ndef decode(text):\n    return text[::-1]",
        "decode",
        "from random import choice, randint\n"
        "import string\n"
        "def check(candidate):\n"
        "    for _ in range(50):\n"
        "        text = ''.join(choice(string.ascii_lowercase) for _ in range(randint(0, 20)))\n"
        "        assert candidate(encode(text)) == text\n",
    ),
    checked(
        "an error that is expected",
        "def root(n):\n    if n < 0:\n        raise ValueError\n    return n ** 0.5",
        "root",
        "def check(candidate):\n"
        "    try:\n"
        "        candidate(-1)\n"
        "    except ValueError:\n"
        "        pass\n"
        "    else:\n"
        "        assert False\n"
        "    assert candidate(9) == 3\n",
    ),
    checked(
        "many results",
        "def square(n):\n    return n * n",
        "square",
        "def check(candidate):\n"
        "    assert [candidate(n) for n in range(100)] == [n * n for n in range(100)]\n"
        "    assert tuple(map(candidate, (1, 2))) == (1, 4)\n",
    ),
    checked(
        "calls itself at the end",
        "def add(a, b):\n    return a + b",
        "add",
        "def check(candidate):\n    assert candidate(2, 3) == 5\n\ncheck(add)\n",
    ),
    checked(
        "signature and docstring",
        "from typing import List\n"
        "\n"
        "def close(numbers: List[float], threshold: float) -> bool:\n"
        '    """ Are two numbers closer than that?\n'
        "    >>> close([1.0, 2.0], 0.5)\n"
        "    False\n"
        '    """\n'
        "    return any(abs(a - b) < threshold for i, a in enumerate(numbers) for b in numbers[i + 1:])",
        "close",
        "def check(candidate):\n"
        "    assert candidate([1.0, 2.0, 3.9], 0.3) == False\n"
        "    assert candidate([1.0, 2.8, 3.0], 0.3) == True\n",
    ),
    checked(
        "a list that it changes",
        "def sort_it(numbers):\n    numbers.sort()\n    return None",
        "sort_it",
        "def check(candidate):\n"
        "    numbers = [3, 1, 2]\n"
        "    assert candidate(numbers) is None\n"
        "    assert numbers == [1, 2, 3]\n",
    ),
]


CONTROLS: list[Control] = [*READING, *PRINTING, *ENDING, *WORKING, *CHECKED, *FUNCTIONS, *ASSERTS, *SCRIPTS]
