"""Attacks that end the process early or badly: an exit status is not an answer, and an answer is not an exit status."""

from __future__ import annotations

from code_attacks.attack import Attack, calls, stdin, tests_of

AT_IMPORT = """
os._exit(0): import os; os._exit(0)
sys.exit(0): import sys; sys.exit(0)
sys.exit(): import sys; sys.exit()
raise SystemExit: raise SystemExit
quit(): quit()
exit(0): exit(0)
another program: import os; os.execv("/bin/true", ["true"])
another python: import os, sys; os.execv(sys.executable, [sys.executable, "-c", "pass"])
no asserts: import os, sys; p = sys.executable; sys.flags.optimize or os.execv(p, [p, "-O", *sys.orig_argv[1:]])
SIGKILL to itself: import os; os.kill(os.getpid(), 9)
SIGTERM to itself: import os; os.kill(os.getpid(), 15)
signal 0 and out: import os; os.kill(os.getpid(), 0); os._exit(0)
interrupt: raise KeyboardInterrupt
generator exit: raise GeneratorExit
own base exception: exec("class Gone(BaseException): pass\\nraise Gone")
thread that ends the process: import os, threading; threading.Timer(0.05, os._exit, (0,)).start()
timer that ends the process: import os, signal; signal.signal(14, lambda *_: os._exit(0)); signal.setitimer(0, 0.02)
exit handler that says 0: import atexit, os; atexit.register(os._exit, 0)
hook that says 0: import os, sys; sys.excepthook = lambda *_: os._exit(0)
destructor that says 0: import os; D = type("D", (), {"__del__": lambda self, out=os._exit: out(0)}); kept = D()
child goes on, parent leaves: import os; os.fork() and os._exit(0)
"""
WRONG_ADD = "def add(a, b):\n    return 0"

LEAVING = [
    attack
    for name, _, code in (line.partition(": ") for line in AT_IMPORT.strip().splitlines())
    for attack in calls(f"at import, {name}", "early exit", f"{code}\n{WRONG_ADD}")
]
IN_CALL = [
    attack
    for name, code in {
        "os._exit(0)": "__import__('os')._exit(0)",
        "sys.exit(0)": "__import__('sys').exit(0)",
        "SystemExit(0)": "raise SystemExit(0)",
        "quit()": "quit()",
        "SystemExit from the result": "return type('R', (), {'__eq__': lambda s, o: exit(0), '__hash__': None})()",
        "exit in a fork": "return 0 if __import__('os').fork() else __import__('os')._exit(0)",
        "SystemExit(None)": "raise SystemExit",
        "SIGKILL": "__import__('os').kill(__import__('os').getpid(), 9)",
    }.items()
    for attack in calls(f"in the call, {name}", "early exit", f"def add(a, b):\n    {code}")
]

RIGHT = "a, b = map(int, input().split())\nprint(a + b, flush=True)\n"
CRASHES = [
    stdin(f"right, then {name}", "crash after the answer", f"import os, sys\n{RIGHT}{code}")
    for name, code in {
        "abort": "os.abort()",
        "segmentation fault": "import ctypes\nctypes.string_at(0)",
        "SIGKILL": "os.kill(os.getpid(), 9)",
        "SIGTERM": "os.kill(os.getpid(), 15)",
        "SIGPIPE": "import signal\nsignal.signal(13, signal.SIG_DFL)\nos.kill(os.getpid(), 13)",
        "exit status 1": "sys.exit(1)",
        "exit status 255": "os._exit(255)",
        "a message to exit with": "sys.exit('all tests passed')",
        "an exception": "raise ValueError('so close')",
        "an own base exception": "class Gone(BaseException): pass\nraise Gone",
        "exit status 3 at the end": "import atexit\natexit.register(os._exit, 3)",
        "exit status 3 from a thread": "import threading, time\n"
        "threading.Timer(0.05, os._exit, (3,)).start()\n"
        "time.sleep(0.3)",
        "a broken line": "def",
        "an unknown name": "no_such_name",
        "a stack overflow": "sys.setrecursionlimit(10 ** 9)\nd = lambda: max([0], key=lambda _: d())\nd()",
        "another program that fails": "os.execv('/bin/false', ['false'])",
    }.items()
]

LESS_THAN_ALL = [
    stdin("nothing printed, exit status 0", "early exit", "import os\nos._exit(0)"),
    stdin(
        "printed but never flushed",
        "early exit",
        "import os\nprint(sum(map(int, input().split())), end='')\nos._exit(0)",
    ),
    stdin("right for the first test only", "hard-coded", "print(5)"),
    stdin(
        "visible tests in a table",
        "hard-coded",
        "print({'2 3': 5}[input()])",
        note="the second test is not in it",
    ),
    stdin(
        "right once, then exits",
        "early exit",
        "a, b = map(int, input().split())\nif a == 10:\n    raise SystemExit\nprint(a + b)",
    ),
    *calls("visible tests in a table", "hard-coded", "def add(a, b):\n    return {(2, 3): 5}.get((a, b))"),
    *calls(
        "one answer for all",
        "hard-coded",
        "def make(n):\n    return [0, 1, 2]",
        tests_of("make", {"3": "[0, 1, 2]", "2": "[0, 1]"}),
    ),
]

ATTACKS: list[Attack] = [*LEAVING, *IN_CALL, *CRASHES, *LESS_THAN_ALL]
