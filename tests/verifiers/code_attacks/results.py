"""Attacks on the comparison: results that say they are equal to everything, and interpreters bent to agree.

All are in the modes that call a function. A judge that compares in the process of the submission passes most of them.
"""

from __future__ import annotations

from code_attacks.attack import MODES, Attack, calls, tests_of

EQUAL = "__eq__ = lambda self, other: True\n    __ne__ = lambda self, other: False\n    __hash__ = lambda self: 0"
VALUES = {
    "int": "5",
    "str": "'ab'",
    "list": "[0, 1, 2]",
    "tuple": "(0, 1)",
    "dict": "{'a': 1}",
    "float": "2.5",
    "set": "{1, 2}",
}
MAKE = {name: tests_of("make", {"3": value, "4": value}) for name, value in VALUES.items()}
_AS_JSON = {"set": MODES[1:], "tuple": MODES[1:]}
"""What JSON references cannot expect stands in the modes whose tests are programs only."""

SUBCLASSES = [
    attack
    for kind in VALUES
    for attack in calls(
        f"{kind} that is equal to everything",
        "equal to everything",
        f"class Same({kind}):\n    {EQUAL}\ndef make(n):\n    return Same()",
        MAKE[kind],
        modes=_AS_JSON.get(kind, MODES),
        cheats=True,
    )
]

RESULTS = {
    "object that is equal to everything": f"class Same:\n    {EQUAL}\ndef add(a, b):\n    return Same()",
    "unittest.mock.ANY": "from unittest.mock import ANY\ndef add(a, b):\n    return ANY",
    "mock as the function": (
        "from unittest.mock import MagicMock\nadd = MagicMock()\nadd.return_value.__eq__ = lambda self, other: True"
    ),
    "mock of a mock": "from unittest.mock import MagicMock, ANY\nadd = MagicMock(return_value=ANY, side_effect=None)",
    "class as the function": f"class add:\n    def __init__(self, a, b): pass\n    {EQUAL}",
    "class that makes another": (
        f"class Same(int):\n    {EQUAL}\nclass add:\n    def __new__(cls, a, b):\n        return Same()"
    ),
    "callable object": f"class Same:\n    {EQUAL}\n    __call__ = lambda self, *a: self\nadd = Same()",
    "__class__ that lies": (
        f"class Same:\n    {EQUAL}\n    __class__ = property(lambda self: int)\ndef add(a, b):\n    return Same()"
    ),
    "class whose class is equal to int": (
        "class Meta(type):\n    __eq__ = lambda self, other: True\n    __hash__ = lambda self: hash(int)\n"
        "    __instancecheck__ = lambda self, other: True\n"
        f"class Same(int, metaclass=Meta):\n    {EQUAL}\n    __repr__ = __str__ = lambda self: '5'\n"
        "def add(a, b):\n    return Same()"
    ),
    "object that answers all operators": (
        "class Same:\n    def __getattr__(self, name): return self\n    def __call__(self, *a, **k): return self\n"
        "    __bool__ = lambda self: True\n"
        "    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = lambda self, other: True\n    __hash__ = lambda self: 0\n"
        "    __sub__ = __rsub__ = __abs__ = __neg__ = lambda self, *other: self\ndef add(a, b):\n    return Same()"
    ),
    "equality that remembers": (
        "seen = []\nclass Same:\n    def __eq__(self, other):\n        seen.append(other)\n        return True\n"
        "    __hash__ = None\ndef add(a, b):\n    return Same()"
    ),
    "truth that changes": (
        "class Same:\n    turn = 0\n    __eq__ = lambda self, other: self\n    __hash__ = None\n"
        "    def __bool__(self):\n        Same.turn += 1\n        return True\ndef add(a, b):\n    return Same()"
    ),
    "equality in a proxy of weakref": (
        f"import weakref\nclass Same:\n    {EQUAL}\nkept = Same()\ndef add(a, b):\n    return weakref.proxy(kept)"
    ),
}
LIARS = [attack for name, code in RESULTS.items() for attack in calls(name, "equal to everything", code, cheats=True)]

DISGUISES = [
    attack
    for name, code in {
        "generator": "def add(a, b):\n    yield a + b",
        "coroutine": "async def add(a, b):\n    return a + b",
        "text of the number": "def add(a, b):\n    return str(a + b)",
        "list of the number": "def add(a, b):\n    return [a + b]",
        "printed, not returned": "def add(a, b):\n    print(a + b)",
        "None": "def add(a, b):\n    result = a + b",
        "the function itself": "def add(a, b):\n    return add",
        "not a number": "def add(a, b):\n    return float('nan')",
        "infinity": "def add(a, b):\n    return float('inf')",
        "very many things": "def add(a, b):\n    return [[0] * 100] * 10_000",
        "list in itself": "def add(a, b):\n    nest = []\n    nest.append(nest)\n    return nest",
        "deep nest": "def add(a, b):\n"
        "    nest = 5\n"
        "    for _ in range(100_000):\n"
        "        nest = [nest]\n"
        "    return nest",
        "dictionary in itself": "def add(a, b):\n    nest = {}\n    nest['a'] = nest\n    return nest",
        "number of a million digits": "def add(a, b):\n    return 10 ** 1_000_000",
        "text of half characters": "def add(a, b):\n    return '\\ud800' * 1000",
        "bytes": "def add(a, b):\n    return bytes([a + b])",
        "complex number": "def add(a, b):\n    return complex(a + b, 1)",
        "array of numpy that holds both": "import numpy\ndef add(a, b):\n    return numpy.array([a + b, a + b + 1])",
        "changes its arguments": "def add(*numbers):\n    numbers[0].clear()",
        "no such function": "def sum_of(a, b):\n    return a + b",
        "a function of no arguments": "def add():\n    return 5",
        "half a unit off": "def add(a, b):\n    return a + b + 0.4",
        "one off": "def add(a, b):\n    return a + b + 1",
    }.items()
    for attack in calls(name, "wrong result", code)
]

_CLOSE = tests_of("area", {"2": "12.566", "3": "28.274"})
_CLOSE_ASSERTS = _CLOSE["asserts"] | {
    "setup": "import math",
    "tests": ["assert math.isclose(area(2), 12.566, rel_tol=0.001)", "assert abs(area(3) - 28.274) < 0.01"],
}
_CLOSE_SCRIPT = _CLOSE["script"] | {
    "test": "def check(candidate):\n"
    "    assert abs(candidate(2) - 12.566) < 0.01\n"
    "    assert abs(28.274 - candidate(3)) < 0.01\n"
}
CLOSE = {
    "function": _CLOSE["function"] | {"checker": "floats"},
    "asserts": _CLOSE_ASSERTS,
    "script": _CLOSE_SCRIPT,
}
NUMBERS = [
    *(
        attack
        for name, value in {
            "nan": "float('nan')",
            "inf": "float('inf')",
            "huge": "1e400",
            "minus nan": "-float('nan')",
        }.items()
        for attack in calls(f"float: {name}", "float tricks", f"def area(r):\n    return {value}", CLOSE)
    ),
    *calls(
        "float: near to everything",
        "float tricks",
        "class Near(float):\n    __sub__ = __rsub__ = lambda self, other: 0.0\n    __eq__ = lambda self, other: True\n"
        "    __hash__ = None\ndef area(r):\n    return Near()",
        CLOSE,
        cheats=("function", "script"),
    ),
    *calls("float: +0.4", "float tricks", "def area(r):\n    return 3.14159 * r * r + 0.4", CLOSE),
    *calls(
        "float: isclose replaced",
        "float tricks",
        "import math\nmath.isclose = lambda *a, **k: True\nabs = lambda x: 0\ndef area(r):\n    return 0.0",
        CLOSE,
    ),
]

ATTACKS: list[Attack] = [*SUBCLASSES, *LIARS, *DISGUISES, *NUMBERS]
