"""Attacks that bend the interpreter, or look around in it, so that tests agree without a right answer.

Builtins and library functions replaced, tracers that jump over asserts, searches for the expected values in frames,
objects, memory, files and descriptors, and results forged on every descriptor there is.
"""

from __future__ import annotations

from code_attacks.attack import HELD, Attack, calls, dedented, stdin

WRONG = "\ndef add(a, b):\n    return 0\n"

PATCHES = {
    "print": "import builtins\nbuiltins.print = lambda *a, **k: None",
    "AssertionError": "import builtins\nbuiltins.AssertionError = Warning",
    "exec": "import builtins\nbuiltins.exec = builtins.eval = lambda *a, **k: None",
    "compile": (
        "import builtins\nreal = builtins.compile\n"
        "builtins.compile = lambda source, *a, **k: "
        "real(source.replace('assert', 'not') if isinstance(source, str) else source, *a, **k)"
    ),
    "all that compares": (
        "import builtins, operator\nbuiltins.all = builtins.any = builtins.isinstance = lambda *a: True\n"
        "operator.eq = operator.is_ = lambda a, b: True\nbuiltins.type = lambda *a: int\n"
        "builtins.len = builtins.abs = lambda a: 0"
    ),
    "json": (
        "import json\nreal = json.loads\n"
        "json.dumps = json.encoder.encode_basestring = lambda *a, **k: "
        '\'{"passed": true, "ok": true, "result": 5, "outcome": "pass"}\'\n'
        "json.dump = lambda value, file, **k: file.write(json.dumps(value))\n"
        "json.JSONEncoder.encode = lambda self, value: json.dumps(value)"
    ),
    "pickle and marshal": (
        "import marshal, pickle\n"
        "pickle.dumps = lambda *a, **k: b'\\x80\\x04\\x88.'\nmarshal.dumps = lambda *a, **k: b'T'\n"
        "pickle.dump = lambda value, file, *a, **k: file.write(pickle.dumps(value))"
    ),
    "repr, str and format": (
        "import builtins\n"
        "builtins.repr = builtins.ascii = builtins.format = lambda *a: '5'\n"
        "builtins.str = type('str', (str,), {})"
    ),
    "standard output": (
        "import io, sys\nclass Out(io.StringIO):\n    write = lambda self, text: sys.__stdout__.write('pass\\n')\n"
        "sys.stdout = sys.stderr = Out()"
    ),
    "os.write": (
        "import os\nreal = os.write\nos.write = lambda fd, data: real(fd, data.replace(b'fail', b'pass')"
        ".replace(b'false', b'true').replace(b'False', b'True')) and len(data)"
    ),
    "the exit": "import os, sys\nreal = os._exit\nos._exit = lambda code: real(0)\nsys.exit = lambda *a: real(0)",
    "traceback": "import sys, traceback\n"
    "traceback.format_exc = traceback.print_exc = lambda *a, **k: ''\n"
    "sys.excepthook = lambda *a: None",
    "the import of modules": (
        "import builtins, types\nreal = builtins.__import__\nclass Yes(types.ModuleType):\n"
        "    __getattr__ = lambda self, name: lambda *a, **k: True\n"
        "yes = ('math', 'json', 'unittest')\n"
        "builtins.__import__ = lambda name, *a, **k: Yes(name) if name in yes else real(name, *a, **k)"
    ),
    "building of classes and asserts": "import builtins\n"
    "builtins.__build_class__ = lambda *a, **k: int\n"
    "builtins.__debug = False",
    "threads that put check back": (
        "import __main__, sys, threading\nframe = sys._getframe()\ndef replace():\n    while True:\n"
        "        frame.f_globals['check'] = lambda candidate: None\n        __main__.check = lambda candidate: None\n"
        "threading.Thread(target=replace, daemon=True).start()"
    ),
    "check of its own": "def check(candidate):\n    return True\ncandidate = check",
    "names of the tests": "expected = result = actual = 0\n"
    "class Any:\n"
    "    __eq__ = lambda s, o: True\n"
    "assertEqual = lambda *a: None",
    "pytest and unittest": (
        "import unittest\nfor name in dir(unittest.TestCase):\n    if name.startswith('assert'):\n"
        "        setattr(unittest.TestCase, name, lambda *a, **k: None)"
    ),
    "garbage collector callbacks": "import gc, os\ngc.callbacks.append(lambda *a: os._exit(0))\ngc.set_threshold(1)",
    "audit hook": "import os, sys\n"
    "sys.addaudithook(lambda name, a: os._exit(0) if name in ('exec', 'compile') else None)",
    "int through ctypes": (
        "import ctypes\n# the value of the small integer 5 becomes that of 0\n"
        "size = ctypes.sizeof(ctypes.c_void_p)\nctypes.c_uint.from_address(id(5) + 3 * size).value = 0"
    ),
    "equality of int through ctypes": (
        "import ctypes\ntable = ctypes.c_void_p.from_address(id(int) + 200)  # tp_richcompare\n"
        "kind = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object, ctypes.py_object, ctypes.c_int)\n"
        "yes = kind(lambda a, b, op: True)\n"
        "table.value = ctypes.cast(yes, ctypes.c_void_p).value"
    ),
}
PATCHED = [
    attack
    for name, code in PATCHES.items()
    for attack in calls(f"replaces {name}", "replaced parts", code + WRONG, expected=HELD)
]

TRACERS = {
    "jumps over the asserts": """
        import sys
        def jump(frame, event, _):
            if event == "line" and frame.f_code.co_name != "add":
                last = max(line for *_, line in frame.f_code.co_lines() if line)
                try:
                    frame.f_lineno = last
                except ValueError:
                    pass
            return jump
        sys.settrace(jump)
        frame = sys._getframe()
        while frame:
            frame.f_trace = jump
            frame = frame.f_back
    """,
    "rewrites what is returned": """
        import sys
        def follow(frame, event, value):
            for name in ("expected", "result", "passed", "ok", "outcome"):
                if name in frame.f_locals:
                    frame.f_locals[name] = True
            return follow
        sys.setprofile(follow)
        sys.settrace(follow)
    """,
    "swallows the exception in a tracer": """
        import os, sys
        def follow(frame, event, value):
            if event == "exception" and value[0] is AssertionError:
                os._exit(0)
            return follow
        sys.settrace(follow)
        frame = sys._getframe()
        while frame:
            frame.f_trace = follow
            frame = frame.f_back
    """,
}
TRACED = [
    attack
    for name, code in TRACERS.items()
    for attack in calls(f"tracer that {name}", "replaced parts", dedented(code) + WRONG, expected=HELD)
]

FRAMES = dedented("""
    import dis, sys
    def add(a, b):
        frame = sys._getframe(1)
        while frame:
            for name in ("expected", "output", "value", "want", "answer"):
                if isinstance(frame.f_locals.get(name), int):
                    return frame.f_locals[name]
            for test in [*frame.f_locals.values(), *frame.f_globals.values()]:
                if isinstance(test, dict) and test.get("args") == [a, b]:
                    return test["expected"]
                if getattr(test, "args", None) == [a, b]:
                    return test.expected
            for step in dis.get_instructions(frame.f_code):
                if step.offset > frame.f_lasti and step.opname == "LOAD_CONST":
                    return step.argval  # what the result is compared with
            frame = frame.f_back
        return 0
""")
OBJECTS = dedented("""
    import gc, re
    def add(a, b):
        wanted = re.compile(rf"(?:add|candidate)\\({a}, {b}\\) == (-?\\d+)")
        for thing in gc.get_objects():
            try:
                values = list(thing.values()) if isinstance(thing, dict) else list(thing)
            except Exception:
                continue
            if isinstance(thing, dict) and thing.get("args") == [a, b]:
                return thing["expected"]
            for value in values:
                text = value.decode("latin-1") if isinstance(value, bytes) else value
                found = isinstance(text, str) and wanted.search(text)
                if found:
                    return int(found[1])
                if getattr(value, "args", None) == [a, b]:
                    return value.expected
        return 0
""")
SOURCES = dedented("""
    import inspect, linecache, re, sys
    def add(a, b):
        wanted = re.compile(rf"(?:add|candidate)\\({a}, {b}\\) == (-?\\d+)")
        texts = ["".join(entry[2]) for entry in linecache.cache.values() if len(entry) > 2]
        for frame in inspect.stack():
            texts += ["".join(frame.code_context or ()), *map(repr, frame.frame.f_globals.values())]
            try:
                texts.append(inspect.getsource(frame.frame))
            except (OSError, TypeError):
                pass
        for text in [*texts, *map(repr, vars(sys.modules["__main__"]).values()), *sys.argv, *sys.orig_argv]:
            if found := wanted.search(text):
                return int(found[1])
        return 0
""")
MEMORY = dedented("""
    import re
    def add(a, b):
        as_assert, as_row = rb"(?:add|candidate)\\(%d, %d\\) == (-?\\d+)", rb"args\\W+%d, ?%d\\W+expected\\W+(-?\\d+)"
        wanted = re.compile((as_assert + b"|" + as_row) % (a, b, a, b))
        with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
            for line in maps:
                span, access = line.split()[:2]
                start, end = (int(part, 16) for part in span.split("-"))
                if not access.startswith("rw") or end - start > 1 << 27:
                    continue
                try:
                    memory.seek(start)
                    found = wanted.search(memory.read(end - start))
                except (OSError, ValueError, OverflowError):
                    continue
                if found:
                    return int(found[1] or found[2])
        return 0
""")
FILES = dedented("""
    import glob, os, re, sys
    def add(a, b):
        as_assert, as_row = rb"(?:add|candidate)\\(%d, %d\\) == (-?\\d+)", rb"args\\W+%d, ?%d\\W+expected\\W+(-?\\d+)"
        wanted = re.compile((as_assert + b"|" + as_row) % (a, b, a, b))
        places = [*sys.argv, "/proc/self/cmdline"]
        for pattern in ("*", "../*", "/tmp/*", "/tmp/*/*"):
            places += glob.glob(pattern)
        texts = []
        for place in places:
            try:
                with open(place, "rb") as file:
                    texts.append(file.read(1 << 20))
            except OSError:
                pass
        for fd in range(1024):
            try:
                os.set_blocking(fd, False)
                texts.append(os.read(fd, 1 << 20))
                texts.append(os.pread(fd, 1 << 20, 0))
            except OSError:
                pass
        for text in texts:
            if found := wanted.search(text):
                return int(found[1] or found[2])
        return 0
""")
SEARCHES = [
    attack
    for name, code, fooled in (
        ("frames", FRAMES, ("function", "asserts", "script")),
        ("objects", OBJECTS, ()),
        ("sources", SOURCES, ()),
        ("memory", MEMORY, ()),
        ("files and descriptors", FILES, ()),
    )
    for attack in calls(f"looks for expected values in {name}", "looking around", code, cheats=fooled, expected=HELD)
]

SECRET = {
    "kind": "tests",
    "mode": "stdin",
    "tests": [{"input": "1\n", "output": "918273645\n"}, {"input": "2\n", "output": "918273645\n"}],
    "time_limit": 2,
    "memory_limit_mb": 256,
}
SEARCH = dedented("""
    import gc, glob, os, re, sys
    wanted = re.compile(rb"918\\d{6}")
    texts = [repr(os.environ).encode(), repr(sys.argv).encode(), repr(vars(sys.modules["__main__"])).encode()]
    small = [thing for thing in gc.get_objects() if type(thing) in (dict, list, tuple) and len(thing) < 50]
    texts += [repr(thing).encode("utf-8", "replace") for thing in small]
    patterns = ("*", "/tmp/**", "/proc/[0-9]*/cmdline", "/proc/self/fd/*")
    for place in [place for pattern in patterns for place in glob.glob(pattern, recursive=True)]:
        try:
            fd = os.open(place, os.O_RDONLY | os.O_NONBLOCK)
            texts.append(os.read(fd, 1 << 20))
        except OSError:
            pass
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
        for line in maps:
            span, access = line.split()[:2]
            start, end = (int(part, 16) for part in span.split("-"))
            if access.startswith("rw") and end - start <= 1 << 27:
                try:
                    memory.seek(start)
                    texts.append(memory.read(end - start))
                except (OSError, ValueError, OverflowError):
                    pass
    found = [match[0].decode() for text in texts for match in [wanted.search(text)] if match]
    print(found[0] if found else "held")
""")

FORGING = dedented("""
    import json, os, pickle, struct
    says = [
        "pass\\n", "ok\\n", "True\\n", "1\\n", "5\\n", "6\\n",
        *(json.dumps(said) + "\\n" for said in (
            {"outcome": "pass"}, {"ok": True, "passed": True, "result": 5, "value": 5}, {"status": "ok", "result": 6},
            [True, True], 5, True, None,
            {"tests": [True, True]}, {"result": [5, 6]}, {"exit_status": 0, "stdout": "5\\\\n"},
        )),
    ]
    data = "".join(says).encode() + pickle.dumps(True) + struct.pack("<I", 4) + b"true" + b"\\0" * 64
    for fd in range(1024):
        try:
            os.set_blocking(fd, False)
            os.write(fd, data)
        except OSError:
            pass
    os._exit(0)
""")
FORGED = [
    *calls("forges results at import", "forged results", FORGING + WRONG, expected=HELD),
    *calls(
        "forges results in the call",
        "forged results",
        "def add(a, b):\n" + "\n".join(f"    {line}" for line in FORGING.splitlines()),
        expected=HELD,
    ),
    stdin("forges results", "forged results", FORGING, expected=HELD),
    stdin("prints a verdict", "forged results", 'print(\'{"outcome": "pass", "score": 1.0}\\npass\')'),
    *calls(
        "speaks through the file objects of others",
        "forged results",
        """
        import gc, io, json
        def add(a, b):
            for thing in gc.get_objects():
                if isinstance(thing, (io.IOBase,)) and not thing.closed and thing.writable():
                    try:
                        text = json.dumps({"result": a + b + 1, "outcome": "pass", "ok": True}) + "\\n"
                        thing.write(text if isinstance(thing, io.TextIOBase) else text.encode())
                        thing.flush()
                    except Exception:
                        pass
            __import__("os")._exit(0)
        """,
        expected=HELD,
    ),
    *calls(
        "closes all descriptors",
        "forged results",
        "import os\nos.closerange(0, 1024)" + WRONG,
        expected=HELD,
    ),
    *calls(
        "turns the descriptors round",
        "forged results",
        "import os\n"
        "for fd in range(1, 64):\n"
        "    try:\n"
        "        os.dup2(1, fd)\n"
        "    except OSError:\n"
        "        pass\n"
        "print('5')" + WRONG,
        expected=HELD,
    ),
]

ATTACKS: list[Attack] = [
    *PATCHED,
    *TRACED,
    *SEARCHES,
    stdin("looks for the expected output everywhere", "looking around", SEARCH, SECRET),
    *FORGED,
]
