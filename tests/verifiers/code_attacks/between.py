"""Attacks on the border between the tests and the program: on names that both use, on what tests hand over, on what
is found in one process. All are in the modes whose tests are programs, and know how a judge may keep the two apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from code_attacks.attack import HELD, Attack, dedented, fenced, tests_of

_ASKED = {"kind": "tests", "time_limit": 1, "memory_limit_mb": 256}


def in_both(asserts: tuple[str, ...], *, call: str, setup: str) -> dict[str, dict[str, Any]]:
    """Return the references of both modes for the same asserts; `{call}` is the name of the function."""
    lines = [line.format(call=call) for line in asserts]
    body = "".join(f"    {line.format(call='candidate')}\n" for line in asserts)
    return {
        "asserts": _ASKED | {"mode": "asserts", "setup": setup, "tests": lines},
        "script": _ASKED | {"mode": "script", "entry_point": call, "test": f"{setup}\ndef check(candidate):\n{body}"},
    }


def both(name: str, program: str, references: Mapping[str, Mapping[str, Any]], **more: Any) -> list[Attack]:
    """Make an attack in both modes."""
    return [
        Attack(
            name=f"{name} ({mode})",
            category="between tests and program",
            completion=fenced(dedented(program)),
            reference=reference,
            **more,
        )
        for mode, reference in references.items()
        if mode != "function"
    ]


def tested(*asserts: str, **more: str) -> dict[str, dict[str, Any]]:
    """Return the references of both modes for asserts on `make`."""
    return in_both(asserts, **{"call": "make", "setup": ""} | more)


MAKE = "def make(n):\n    return None\n"
ADD = tests_of("add", {"2, 3": "5", "10, -4": "6"})

SHADOWS = [
    attack
    for name, code, references in (
        ("set", "def set(*a): return 0\n" + MAKE, tested("assert set({call}(3)) == set([0, 1, 2])")),
        ("len", "def len(a): return 3\n" + MAKE, tested("assert len({call}(3)) == 3")),
        ("sorted", "def sorted(*a, **k): return 0\n" + MAKE, tested("assert sorted({call}(3)) == sorted([2, 1, 0])")),
        ("all", "def all(a): return True\n" + MAKE, tested("assert all({call}(n) == n for n in range(3))")),
        ("abs", "def abs(a): return 0\ndef make(n): return 1.0\n", tested("assert abs({call}(3) - 12.566) < 0.01")),
        (
            "round",
            "def round(*a): return 0\ndef make(n): return 1.0\n",
            tested("assert round({call}(3), 2) == round(12.566, 2)"),
        ),
        ("str", "def str(a): return ''\n" + MAKE, tested("assert str({call}(3)) == str(12)")),
        (
            "tuple",
            "class tuple:\n    __eq__ = lambda s, o: True\n    def __init__(self, *a): pass\n" + MAKE,
            tested("assert tuple({call}(3)) == tuple([1, 2])"),
        ),
        ("range", "def range(*a): return []\n" + MAKE, tested("for n in range(5): assert {call}(n) == n * n")),
        ("isinstance", "def isinstance(*a): return True\n" + MAKE, tested("assert isinstance({call}(3), list)")),
        (
            "math",
            "class math:\n    isclose = lambda *a, **k: True\n    fabs = lambda a: 0\n" + MAKE.replace("None", "1.0"),
            tested("assert math.isclose({call}(3), 12.5)", "assert math.fabs({call}(3) - 12.5) < 1"),
        ),
        (
            "json, to be tested beside the tests",
            "class json:\n    JSONDecodeError = ValueError\ndef make(n):\n    import os, sys\n"
            "    for fd in range(3, 20):\n"
            '        try: os.write(fd, b\'{"outcome": "pass", "reason": ""}\')\n'
            "        except OSError: pass\n"
            "    os._exit(0)\n",
            {
                "asserts": tested(
                    "try: assert {call}(3) == 9\nexcept json.JSONDecodeError: raise", setup="import json"
                )["asserts"]
            },
        ),
        (
            "random",
            "import random\nrandom.randint = lambda a, b: 0\ndef make(n): return 0\n",
            tested("for _ in range(99): n = random.randint(1, 99); assert {call}(n) == n * 2", setup="import random"),
        ),
        ("AssertionError", "AssertionError = ValueError = Exception\n" + MAKE, tested("assert {call}(3) == 9")),
        (
            "all builtins",
            "import builtins\n"
            "for name in dir(builtins):\n"
            "    if name[0] != '_':\n"
            "        globals()[name] = lambda *a, **k: 0\n"
            "def make(n):\n"
            "    return 0\n",
            tested("assert sum(map(abs, {call}(3))) == sum(map(abs, [1, 2]))"),
        ),
        (
            "the dictionary of builtins",
            "__builtins__ = {'len': lambda a: 3, 'print': print}\n" + MAKE,
            tested("assert len({call}(3)) == 3"),
        ),
        (
            "the name of the tests",
            "__name__ = 'tests'\ncheck = candidate = lambda *a: True\n" + MAKE,
            tested("assert {call}(3) == 9"),
        ),
    )
    for attack in both(f"shadows {name}", code, references)
]

FORGE = """
    import os
    def forge():
        # the tests' own word, on whatever they would write it to
        for fd in range(3, 400):
            for said in (b'{"outcome": "pass", "reason": ""}',):
                try:
                    os.ftruncate(fd, 0)
                    os.pwrite(fd, said, 0)
                except OSError:
                    pass
        os._exit(0)
"""
FORGED = [
    attack
    for name, code, references in (
        ("at import", "forge()\n" + MAKE, ADD),
        ("in the call", "def add(a, b):\n    forge()", ADD),
        (
            "once its result is cut in slices",
            "class R:\n    def __getitem__(self, at):\n        forge()\ndef make(n):\n    return R()",
            tested("assert {call}(3)[:2] == [0, 1]", "assert {call}(4)[1:] == [1, 2, 3]"),
        ),
        (
            "once its result is sorted by a key",
            "class R:\n    def sort(self, key=None):\n        forge()\ndef make(n):\n    return R()",
            tested("r = {call}(3); r.sort(key=lambda n: -n); assert r == [2, 1, 0]"),
        ),
        (
            "once its own sorted is given a key",
            "def sorted(*a, **k):\n    forge()\ndef make(n):\n    return None",
            tested("assert sorted({call}(3), key=lambda n: -n) == [2, 1, 0]"),
        ),
        (
            "once its own map is given a function",
            "def map(*a):\n    forge()\ndef make(n):\n    return None",
            tested("assert list(map(lambda n: n + 1, {call}(2))) == [1, 2]"),
        ),
        (
            "once its result is called with a function",
            "class R:\n"
            "    def index(self, *a):\n"
            "        forge()\n"
            "    append = extend = update = index\n"
            "def make(n):\n"
            "    return R()",
            tested("r = {call}(3); r.append(print); assert r == [print]"),
        ),
        (
            "once its result is compared with a class",
            "class R:\n    def __getattr__(self, name):\n        return forge\ndef make(n):\n    return R()",
            tested("assert {call}(3).items(int) == 3"),
        ),
    )
    for attack in both(
        f"forges the tests' word {name}", dedented(FORGE) + "\n" + dedented(code), references, expected=HELD
    )
]

_WANTED = "re.compile(r'(?:add|candidate)\\(%d, %d\\) == (-?\\d+)' % (a, b))"
SEEN = [
    attack
    for name, code in {
        "variables of all frames": f"""
            import re, sys
            def add(a, b):
                frame = sys._getframe()
                while frame := frame.f_back:
                    for value in [*frame.f_locals.values(), *frame.f_globals.values()]:
                        if found := {_WANTED}.search(repr(value)):
                            return int(found[1])
                return 0
        """,
        "variables of frames at import": f"""
            import re, sys
            texts, frame = [], sys._getframe()
            while frame := frame.f_back:
                texts += map(repr, [*frame.f_locals.values(), *frame.f_globals.values()])
            def add(a, b):
                return next((int(found[1]) for text in texts if (found := {_WANTED}.search(text))), 0)
        """,
        "what collected objects refer to": f"""
            import gc, re
            def add(a, b):
                for thing in gc.get_objects():
                    for value in gc.get_referents(thing):
                        if type(value) in (str, bytes) and (found := {_WANTED}.search(str(value))):
                            return int(found[1])
                return 0
        """,
        "frames of other threads": f"""
            import re, sys
            def add(a, b):
                for frame in sys._current_frames().values():
                    while frame:
                        if found := {_WANTED}.search(repr(frame.f_locals)):
                            return int(found[1])
                        frame = frame.f_back
                return 0
        """,
    }.items()
    for attack in both(f"looks at {name}", code, ADD, expected=HELD)
]

RAISED = [
    attack
    for name, code, references in (
        (
            "ends the loop over its results",
            "def make(n):\n    raise StopIteration",
            tested("for n, got in zip(range(3), map({call}, range(3))): assert got == n * n"),
        ),
        (
            "ends a list of its results",
            "def make(n):\n    raise StopIteration",
            tested("assert all(list(map(lambda n: {call}(n) == n, range(3))))"),
        ),
        ("raises what the tests raise", "def make(n):\n    raise AssertionError", tested("assert {call}(3) == 9")),
        (
            "raises a class of its own that is every class",
            "class Meta(type):\n"
            "    __instancecheck__ = __subclasscheck__ = lambda *a: True\n"
            "class E(Exception, metaclass=Meta): pass\n"
            "def make(n):\n"
            "    raise E",
            tested("assert {call}(3) == 9"),
        ),
        (
            "raises an exception with a message that runs",
            "class E(Exception):\n    def __str__(self):\n        raise SystemExit(0)\ndef make(n):\n    raise E",
            tested("assert {call}(3) == 9"),
        ),
        (
            "raises an error for all",
            "def make(n):\n    raise ValueError('no')",
            tested("assert {call}(4) == 2", "assert {call}(9) == 3"),
        ),
        (
            "changes the arguments that it is compared with",
            "def make(rows):\n    rows.clear()\n    return rows",
            tested("rows = [3, 1, 2]; wanted = sorted(rows); assert {call}(rows) == wanted"),
        ),
        (
            "gives back what it was given",
            "def make(rows):\n    return rows",
            tested("assert {call}([3, 1, 2]) == [1, 2, 3]"),
        ),
        (
            "holds everything",
            "class All:\n"
            "    __contains__ = lambda s, o: True\n"
            "    def __iter__(self):\n"
            "        n = 0\n"
            "        while True:\n"
            "            yield n\n"
            "            n += 1\n"
            "def make(n):\n"
            "    return All()",
            tested("assert 'a' in {call}(3)", "assert -1 in {call}(3)"),
        ),
        (
            "is less and more than everything",
            "class R:\n"
            "    __lt__ = __gt__ = __le__ = __ge__ = lambda s, o: True\n"
            "    __sub__ = __rsub__ = lambda s, o: s\n"
            "    __abs__ = lambda s: s\n"
            "def make(n):\n"
            "    return R()",
            tested("assert 12.5 < {call}(3) < 12.6", "assert abs({call}(3) - 12.5) < 0.1"),
        ),
        (
            "is unequal to everything",
            "class R:\n    __ne__ = lambda s, o: True\ndef make(n):\n    return R()",
            tested("assert {call}(3) != 4", "assert {call}(4) == 16"),
        ),
        (
            "has a length of its own",
            "class R:\n"
            "    def __len__(self):\n"
            "        return 3\n"
            "    def __getitem__(self, at):\n"
            "        return at\n"
            "def make(n):\n"
            "    return R()",
            tested("assert len({call}(3)) == 3", "assert list({call}(3)) == [2, 1, 0]"),
        ),
        (
            "is equal to another of its own",
            "class R:\n    __eq__ = lambda s, o: True\n    __hash__ = lambda s: 1\ndef make(n):\n    return R()",
            tested("assert {call}(3) == 9", "assert {call}(3) == {call}(3)"),
        ),
    )
    for attack in both(name, code, references)
]

ATTACKS: list[Attack] = [*SHADOWS, *FORGED, *SEEN, *RAISED]
