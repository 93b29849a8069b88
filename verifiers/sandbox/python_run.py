"""Run Python inside a box, in one of five modes.

    stdin      a whole program; what it prints is its answer
    function   call one function of it; what it returns, as plain data, is its answer
    examinee   load it, and let tests in another box call it (`examinee.py`, `examiner.py`)
    examiner   run tests that call a submission in another box
    shared     load it and run its tests here, where they cannot be kept apart

In: open files (the source, the mode's data, where the result goes). Out: the exit status, as Python itself would give
it. Everything here shares a process with a program that may change anything in it: nothing it says is believed.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import json
import linecache
import os
import random
import sys
import threading
import types
from typing import Any

from verifiers.sandbox import examinee, examiner, plain

_SOURCE_NAME = "solution.py"
_MODULES_AT_HAND = (
    "bisect",
    "collections",
    "copy",
    "functools",
    "heapq",
    "itertools",
    "math",
    "operator",
    "random",
    "re",
    "string",
    "sys",
)
_MAX_SOURCE = 64 << 20


def run(mode: str, files: dict[str, int], python_path: tuple[str, ...]) -> int:
    """Run a mode to its end. Returns the exit status."""
    source, data = _read(files.pop("code", None)), json.loads(_read(files.pop("data", None)) or "null")
    random.seed(0)  # so that a program that draws lots does the same each time
    arguments = data["arguments"] if mode == "stdin" and data else ()
    sys.argv, sys.path[:] = [_SOURCE_NAME, *arguments], ["", *python_path]
    try:
        MODES[mode](source, data, files)
    except SystemExit as error:
        return _finished(_status_of(error))
    except BaseException:  # noqa: BLE001 - as the interpreter does with what nobody catches
        sys.excepthook(*sys.exc_info())
        return _finished(1)
    return _finished(0)


def load(source: bytes, name: str, before: str = "", given: dict[str, Any] | None = None) -> dict[str, Any]:
    """Execute a program as the module `name`, after the code `before`, and return its names. Raises whatever it raises.

    `given` are names that it finds there.
    """
    module = types.ModuleType(name)
    sys.modules[name] = module
    module.__dict__.update(given or {}, __file__=_SOURCE_NAME)
    text = source.decode("utf-8", errors="replace")
    linecache.cache[_SOURCE_NAME] = (len(text), None, text.splitlines(keepends=True), _SOURCE_NAME)
    if before:
        exec(compile(before, "setup.py", "exec", dont_inherit=True), module.__dict__)
    exec(compile(source, _SOURCE_NAME, "exec", dont_inherit=True), module.__dict__)
    return module.__dict__


def entry(names: dict[str, Any], path: str) -> Any:
    """Find a function by its name: at the top, or a method of `Solution` or of the class that the name gives."""
    first, _, rest = path.partition(".")
    found = names.get(first)
    if found is None and not rest and isinstance(names.get("Solution"), type):
        found = getattr(names["Solution"](), first, None)
    elif rest and found is not None:
        found = getattr(found(), rest, None)
    if found is None:
        raise NameError(f"the program defines no {path}")
    return found


def _program(source: bytes, data: Any, files: dict[str, int]) -> None:
    del data, files
    load(source, "__main__")


def _function(source: bytes, data: Any, files: dict[str, int]) -> None:
    write, encode, dumps, result = os.write, plain.encode, json.dumps, files["result"]
    given = _at_hand()
    loaded = load(source, "solution", data["setup"], given)
    call = entry({name: value for name, value in loaded.items() if given.get(name) is not value}, data["entry_point"])
    returned = call(*data["args"], **data["kwargs"])
    try:
        said = {"returned": encode(returned)}
    except plain.NotPlainError as error:
        said = {"refused": str(error)}
    packed = memoryview(dumps(said).encode())
    while packed:
        packed = packed[write(result, packed) :]


def _at_hand() -> dict[str, Any]:
    """Return what sites with such problems import for their programs: these often lack the imports."""
    names: dict[str, Any] = {name: importlib.import_module(name) for name in _MODULES_AT_HAND}
    for module in ("typing", "collections", "heapq", "itertools", "functools", "bisect", "math"):
        found = importlib.import_module(module)
        names |= {name: getattr(found, name) for name in getattr(found, "__all__", dir(found)) if name[0] != "_"}
    return names | {"pow": pow}


def _examinee(source: bytes, data: Any, files: dict[str, int]) -> None:
    examinee.answer(load(source, "solution", data["setup"]), files["peer"])


def _examiner(source: bytes, data: Any, files: dict[str, int]) -> None:
    del source
    examiner.examine(data, files["peer"], files["result"])


def _shared(source: bytes, data: Any, files: dict[str, int]) -> None:
    examiner.examine_here(data, lambda: load(source, "solution", data["setup"]), files["result"])


MODES = {
    "stdin": _program,
    "function": _function,
    "examinee": _examinee,
    "examiner": _examiner,
    "shared": _shared,
}
"""What can be asked for, by name."""


def _read(fd: int | None) -> bytes:
    """Read a file from its start, whatever its position: several runs may share it."""
    if fd is None:
        return b""
    parts, place = [], 0
    while (part := os.pread(fd, 1 << 20, place)) and place < _MAX_SOURCE:
        parts.append(part)
        place += len(part)
    os.close(fd)
    return b"".join(parts)


def open_standard_streams() -> None:
    """Make Python's streams over the descriptors 0 to 2, whatever file is behind them later."""
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # type: ignore[misc]  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)  # type: ignore[misc]  # noqa: SIM115
    sys.stderr = sys.__stderr__ = io.TextIOWrapper(  # type: ignore[misc]
        open(2, "wb", closefd=False),  # noqa: SIM115
        encoding="utf-8",
        errors="backslashreplace",
        line_buffering=True,
    )


def _status_of(error: SystemExit) -> int:
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    sys.stderr.write(f"{error.code}\n")
    return 1


def _finished(status: int) -> int:
    """Do what the interpreter does at its end: wait for threads, call exit functions, write out what is buffered."""
    streams = [sys.__stdout__, sys.__stderr__]
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stdout = sys.__stdout__
        if (main := sys.modules.get("__main__")) is not None:
            main.__dict__.clear()  # files that are still open are written out, objects finalised
        gc.collect()
    except BaseException:  # noqa: BLE001 - whatever the program has left there
        status = status or 120
    for stream in streams:
        with contextlib.suppress(ValueError, OSError, AttributeError):  # the program has closed it
            stream.flush()  # type: ignore[union-attr]
    return status
