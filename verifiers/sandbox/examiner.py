"""Run tests that hold what is expected, against a submission in another box.

In: test code, and the submission's box. Out: whether the tests hold, with what was expected and what came. Which names
the tests get from the submission is decided here: none that they mean something else by.

Tests that pass what cannot be sent (an object of a class that the tests define) are unsplittable; `examine_here` runs
them in the submission's own process, where a hostile one could tamper with them. Only what the tests pass to a function
by its name can do that, never what the submission has returned.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import json
import math
import os
import sys
from collections.abc import Callable
from typing import Any

from verifiers.sandbox import plain
from verifiers.sandbox.conversation import GoneError, text_of
from verifiers.sandbox.proxies import Named, Remote, Submission, UnsplittableError

_SHOWN = 300


class DifferentError(AssertionError):
    """Two values that should be equal and are not."""

    def __init__(self, actual: Any, expected: Any) -> None:
        super().__init__("not equal")
        self.actual, self.expected = actual, expected


def examine(data: dict[str, Any], peer: int, result: int) -> None:
    """Run tests against the submission in the other box and write what came of it."""
    try:
        submission = Submission(peer)
    except GoneError as error:
        _write(result, _broken_setup(data["setup"]) or {"outcome": "fail", "reason": str(error)})
        return
    if why := _inseparable(data, submission):
        _write(result, {"outcome": "unsplittable", "reason": why})
        return
    _write(result, _examined(data, _names_for(data, submission), _equal))


def _broken_setup(setup: str) -> dict[str, Any] | None:
    """Try the setup, which ran before the submission, without it: what raises here is no fault of the submission."""
    try:
        exec(compile(setup, "setup.py", "exec", dont_inherit=True), {"__name__": "tests"})
    except Exception as error:  # noqa: BLE001 - the reference's own fault
        return {"outcome": "broken", "reason": f"the tests cannot be run: {text_of(error)}"}
    return None


def _inseparable(data: dict[str, Any], submission: Submission) -> str | None:
    """Say what the tests do that works only beside the submission; None if nothing. Their own text decides."""
    try:
        nodes = [node for key in ("setup", "test") for node in ast.walk(ast.parse(data[key]))]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    theirs = {name for name, value in submission.names.items() if isinstance(value, Remote)}
    theirs -= _own_names(nodes) | _COMMON | sys.stdlib_module_names

    def names_theirs(*parts: ast.expr | None) -> bool:
        inside = (node for part in parts if part for node in ast.walk(part))
        return any(isinstance(node, ast.Name) and node.id in theirs for node in inside)

    for node in nodes:
        if isinstance(node, ast.ExceptHandler) and names_theirs(node.type):
            return "the tests catch an exception of the program's own"
        if isinstance(node, ast.ClassDef) and names_theirs(*node.bases):
            return "the tests derive from a class of the program"
        if isinstance(node, ast.Await) or (isinstance(node, ast.Name) and node.id == "asyncio"):
            return "the tests await the program"
        if isinstance(node, (ast.Name, ast.Attribute)) and (
            (node.id if isinstance(node, ast.Name) else node.attr) in ("redirect_stdout", "redirect_stderr", "stdout")
        ):
            return "the tests read what the program prints"
    return None


def _own_names(nodes: list[ast.AST]) -> set[str]:
    """Return the names that the tests define themselves or import."""
    own = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    own |= {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}
    own |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    own |= {(node.asname or node.name).partition(".")[0] for node in nodes if isinstance(node, ast.alias)}
    return own


def _names_for(data: dict[str, Any], submission: Submission) -> dict[str, Any]:
    """Choose which of the submission's names the tests get: none that they mean something else by.

    A name that is also Python's own, or one of the module math, is the submission's only where it is what the tests are
    about: where they use no other name of the submission. A standard module is imported here and not taken from there.
    """
    entry_point = data["entry_point"]
    try:
        trees = [ast.parse(data["setup"]), ast.parse(data["test"])]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    nodes = [node for tree in trees for node in ast.walk(tree)]
    used = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    qualifiers = {
        node.value.id for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    own = _own_names(nodes)
    about = (
        {entry_point}
        if entry_point
        else {name for name in used - own if name not in _COMMON and name not in qualifiers}
    )
    names: dict[str, Any] = {"__name__": "tests"}
    for name in used | {entry_point}:
        if name in qualifiers and name in sys.stdlib_module_names and name != entry_point:
            if name in submission.modules or name in submission.names:
                names[name] = importlib.import_module(name)
        elif name in submission.names and (name not in _COMMON or name == entry_point or not about):
            value = submission.names[name]
            names[name] = Named(submission, value._at) if isinstance(value, Remote) else value
        elif name in _COMMON and not hasattr(builtins, name) and name in submission.names:
            names[name] = getattr(math, name)
    return names


_COMMON = frozenset(dir(builtins)) | frozenset(name for name in dir(math) if name[0] != "_")


def examine_here(data: dict[str, Any], load: Callable[[], dict[str, Any]], result: int) -> None:
    """Run tests in the submission's own process and write what came of it."""
    names = dict(load())
    _write(result, _examined(data, names, _equal_here))


def _examined(data: dict[str, Any], names: dict[str, Any], equal: Callable[[Any, Any], bool]) -> dict[str, Any]:
    entry_point = data["entry_point"]
    candidate = names.get(entry_point) if entry_point else None

    def require(actual: Any, expected: Any) -> None:
        if not equal(actual, expected):
            raise DifferentError(actual, expected)

    try:
        test = ast.fix_missing_locations(_Equalities().visit(ast.parse(data["test"])))
        code = compile(test, "tests.py", "exec", dont_inherit=True)
        exec(compile(data["setup"], "setup.py", "exec", dont_inherit=True), names)
    except GoneError as error:
        return {"outcome": "fail", "reason": str(error)}
    except Exception as error:  # noqa: BLE001 - the reference's own fault
        return {"outcome": "broken", "reason": f"the tests cannot be run: {text_of(error)}"}
    if candidate is not None:
        names[entry_point] = candidate
    names[_REQUIRE] = require
    try:
        exec(code, names)
        if data["mode"] == "script" and callable(check := names.get("check")):
            if candidate is None:
                raise NameError(f"the program defines no {entry_point or 'function to check'}")
            check(candidate)
    except UnsplittableError as error:
        return {"outcome": "unsplittable", "reason": str(error)}
    except GoneError as error:
        return {"outcome": "fail", "reason": str(error)}
    except DifferentError as error:
        shown = {"expected": _shown(error.expected), "actual": _shown(error.actual)}
        return {"outcome": "fail", "reason": f"not equal{_place(error)}", **shown}
    except AssertionError as error:
        return {"outcome": "fail", "reason": f"an assertion does not hold{_place(error)}"}
    except BaseException as error:  # noqa: BLE001 - raised by the submission, or because of what it returned
        return {"outcome": "fail", "reason": f"raised {text_of(error)}{_place(error)}"}
    return {"outcome": "pass", "reason": ""}


_REQUIRE = "__require_equal__"


class _Equalities(ast.NodeTransformer):
    """Have `assert a == b` tell both values when it fails."""

    def visit_Assert(self, node: ast.Assert) -> ast.stmt:
        test = node.test
        if not (isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq)):
            return node
        call = ast.Call(func=ast.Name(_REQUIRE, ast.Load()), args=[test.left, test.comparators[0]], keywords=[])
        return ast.copy_location(ast.Expr(call), node)


def _equal(actual: Any, expected: Any) -> bool:
    return bool(actual == expected)


def _equal_here(actual: Any, expected: Any) -> bool:
    """Compare in the submission's own process: where plain data is expected, only the plain data of the other count."""
    try:
        wanted = plain.decode(plain.encode(expected))
    except plain.NotPlainError:
        return bool(actual == expected)
    try:
        return bool(plain.decode(plain.encode(actual)) == wanted)
    except plain.NotPlainError:
        return False


def _place(error: BaseException) -> str:
    trace, line = error.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "tests.py":
            line = trace.tb_lineno
        trace = trace.tb_next
    return "" if line is None else f", line {line} of the tests"


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - the submission's own __repr__
        text = f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _write(result: int, said: dict[str, Any]) -> None:
    os.write(result, json.dumps(said).encode())
