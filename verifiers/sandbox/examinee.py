"""The submission's side: it is loaded here, and answers what the tests in another box ask of it.

In: the submission's names, and questions: call this with those arguments, give me that attribute. Out: plain data, or
the number of an object that stays here. All of this shares a process with the submission: nobody believes it.
"""

from __future__ import annotations

import builtins
import operator
import types
from collections.abc import Callable
from typing import Any

from verifiers.sandbox import plain
from verifiers.sandbox.conversation import CHANGEABLE, raised, raising, receive, send

_MAX_OBJECTS = 100_000
CONVERSIONS = ("len", "str", "repr", "bool", "int", "float", "hash", "iter", "next", "reversed")
BETWEEN = (
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "matmul",
    "and_",
    "or_",
    "xor",
)
ITEMS = ("getitem", "setitem", "delitem", "neg", "pos", "invert")
_ACTIONS: dict[str, Callable[..., Any]] = {
    "getattr": getattr,
    "setattr": setattr,
    "isinstance": isinstance,
    "call": lambda function, /, *args, **kwargs: function(*args, **kwargs),
    **{name: getattr(builtins, name) for name in CONVERSIONS},
    **{name: getattr(operator, name) for name in (*BETWEEN, *ITEMS)},
}


def answer(names: dict[str, Any], peer: int) -> None:
    """Answer the questions of the other box about a loaded submission until it hangs up."""
    _Answerer(peer).serve(names)


class _Answerer:
    """The submission's side of the conversation."""

    def __init__(self, peer: int) -> None:
        self._peer = peer
        self._objects: list[Any] = []
        self._numbers: dict[int, int] = {}  # by identity, so that one object has one number; all of them are kept

    def serve(self, names: dict[str, Any]) -> None:
        send(self._peer, {"names": [[name, self._said_of(value)] for name, value in list(names.items())]})
        while (question := receive(self._peer)) is not None:
            self._reply(question)

    def _reply(self, question: Any) -> None:
        try:
            arguments = [plain.decode(item, self._found) for item in question["a"]]
            keywords = {name: plain.decode(item, self._found) for name, item in question["k"].items()}
            value = _ACTIONS[question["f"]](*arguments, **keywords)
            reply = {"value": plain.encode(value, self._kept)}
            if value is None and question["f"] == "call":
                reply["changed"] = [self._changed(now, was) for now, was in zip(arguments, question["a"], strict=True)]
        except Exception as error:  # noqa: BLE001 - the tests may expect it
            reply = raising(error)
        send(self._peer, reply)

    def _changed(self, now: Any, was: Any) -> Any:
        """Return an argument as the call has left it; None if it has not touched it, or cannot have."""
        if type(now) not in CHANGEABLE:
            return None
        written = plain.encode(now, self._kept)
        return None if written == was else written

    def _said_of(self, value: Any) -> Any:
        if isinstance(value, types.ModuleType):
            return {"t": "module", "v": None}
        try:
            return plain.encode(value, self._kept)
        except (plain.NotPlainError, RecursionError):
            return {"t": "nothing", "v": None}

    def _kept(self, value: Any) -> dict[str, Any]:
        number = self._numbers.setdefault(id(value), len(self._objects))
        if number == len(self._objects):
            if number >= _MAX_OBJECTS:
                raise plain.NotPlainError("too many objects")
            self._objects.append(value)
        return {"t": "object", "v": number}

    def _found(self, data: Any) -> Any:
        if data["t"] == "callback":
            return self._calling_back(data["v"])
        return (
            slice(*(plain.decode(part, self._found) for part in data["v"]))
            if data["t"] == "slice"
            else self._objects[data["v"]]
        )

    def _calling_back(self, number: int) -> Callable[..., Any]:
        """Make a function of the tests: called, it asks them and waits, and answers what they ask meanwhile."""

        def function(*args: Any, **kwargs: Any) -> Any:
            said = {
                "a": [plain.encode(a, self._kept) for a in args],
                "k": {n: plain.encode(v, self._kept) for n, v in kwargs.items()},
            }
            send(self._peer, {"callback": number, **said})
            while (message := receive(self._peer)) is not None:
                if "f" in message:
                    self._reply(message)
                elif "raised" in message:
                    raise raised(message)
                else:
                    return plain.decode(message["value"], self._found)
            raise SystemExit(1)

        return function
