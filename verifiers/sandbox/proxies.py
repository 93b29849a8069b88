"""The tests' side: the submission in another box, as the tests see it.

In: what the tests do with the submission's functions and objects. Out: plain data, and `Remote` for what is none and
stays there: its methods, items and attributes can be asked for. Such an object never equals, and never computes with,
plain data: the submission would be the one to say so. Functions that the tests pass stay with the tests and are called
back. The submission's box sees the arguments of calls and nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from verifiers.sandbox import plain
from verifiers.sandbox.conversation import CHANGEABLE, GoneError, raised, raising, receive, send
from verifiers.sandbox.examinee import BETWEEN, ITEMS

_MAX_QUESTIONS = 200_000
_MAX_ITEMS = 1_000_000


class UnsplittableError(BaseException):
    """A test that gives the submission what is no plain data; no `except Exception` of the tests may catch it."""


class Submission:
    """The submission in the other box, as the tests see it."""

    def __init__(self, peer: int) -> None:
        self._peer = peer
        self._num_questions = 0
        self._callbacks: list[Callable[..., Any]] = []
        self._remotes: dict[int, Remote] = {}
        self.names: dict[str, Any] = {}
        """What it defines."""
        self.modules: set[str] = set()
        """Names that it has given to modules."""
        try:
            for name, data in receive(peer)["names"]:
                kind = data.get("t") if isinstance(data, dict) else None
                if kind == "module":
                    self.modules.add(str(name))
                elif kind != "nothing":
                    self.names[str(name)] = self._read(data)
        except (TypeError, ValueError, KeyError):
            raise GoneError("the program ended before it could be tested") from None

    def ask(self, action: str, *args: Any, **kwargs: Any) -> Any:
        """Have something done there and return its value, or raise what it raised."""
        self._num_questions += 1
        if self._num_questions > _MAX_QUESTIONS:
            raise GoneError(f"the tests asked more than {_MAX_QUESTIONS} questions")
        question = {
            "f": action,
            "a": [plain.encode(item, self._sendable) for item in args],
            "k": {name: plain.encode(item, self._sendable) for name, item in kwargs.items()},
        }
        send(self._peer, question)
        while isinstance(reply := receive(self._peer), dict):
            if "callback" in reply:
                self._call_back(reply)
            elif "raised" in reply:
                error = raised(reply)
                if action != "next" and isinstance(error, (StopIteration, StopAsyncIteration)):
                    error = RuntimeError("the program raised StopIteration")  # it would end a loop of the tests
                raise error
            else:
                if isinstance(changes := reply.get("changed"), list):
                    self._change(args, changes)
                return self._read(reply.get("value"))
        raise GoneError("the program ended while it was tested")

    def _change(self, args: tuple[Any, ...], changes: list[Any]) -> None:
        """Do to the tests' arguments what a call that returned nothing did to them."""
        for argument, change in zip(args, changes, strict=False):
            if change is None or type(argument) not in CHANGEABLE:
                continue
            now = self._read(change)
            if type(now) is not type(argument):
                raise GoneError("the program answers what is no data")
            if isinstance(argument, (list, bytearray)):
                argument[:] = now
            else:
                argument.clear()
                (argument.extend if isinstance(argument, deque) else argument.update)(now)

    def _call_back(self, said: dict[str, Any]) -> None:
        """Call a function of the tests for the submission."""
        self._num_questions += 1
        if self._num_questions > _MAX_QUESTIONS:
            raise GoneError(f"the program asked more than {_MAX_QUESTIONS} questions")
        try:
            function = self._callbacks[said["callback"]]
            arguments = [self._read(item) for item in said["a"]]
            keywords = {str(name): self._read(item) for name, item in said["k"].items()}
        except (KeyError, TypeError, IndexError, AttributeError):
            raise GoneError("the program answers what is no data") from None
        try:
            reply = {"value": plain.encode(function(*arguments, **keywords), self._sendable)}
        except Exception as error:  # noqa: BLE001 - the submission may expect it
            reply = raising(error)
        send(self._peer, reply)

    def _read(self, data: Any) -> Any:
        try:
            return plain.decode(data, self._object)
        except (ValueError, TypeError, KeyError, IndexError, RecursionError, OverflowError, ArithmeticError):
            raise GoneError("the program answers what is no data") from None

    def _object(self, data: Any) -> Any:
        if data["t"] != "object" or not isinstance(data["v"], int):
            raise ValueError("no object")
        return self._remotes.setdefault(data["v"], Remote(self, data["v"]))

    def _sendable(self, value: Any) -> Any:
        if isinstance(value, Remote):
            return {"t": "object", "v": value._at}
        if isinstance(value, slice):
            return {
                "t": "slice",
                "v": [plain.encode(part, self._sendable) for part in (value.start, value.stop, value.step)],
            }
        if callable(value) and not isinstance(value, type):
            self._callbacks.append(value)
            return {"t": "callback", "v": len(self._callbacks) - 1}
        raise plain.NotPlainError(f"the tests pass a {type(value).__name__}, which is no plain data")


class Remote:
    """An object that stays with the submission."""

    __slots__ = ("_at", "_submission")

    def __init__(self, submission: Submission, at: int) -> None:
        object.__setattr__(self, "_submission", submission)
        object.__setattr__(self, "_at", at)

    def __getattr__(self, name: str) -> Any:
        return self._submission.ask("getattr", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._submission.ask("setattr", self, name, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it where it is."""
        return self._submission.ask("call", self, *args, **kwargs)

    def __instancecheck__(self, instance: Any) -> bool:
        return isinstance(instance, Remote) and bool(self._submission.ask("isinstance", instance, self))

    def __contains__(self, item: Any) -> bool:
        return any(item == found for found in self)

    def __enter__(self) -> Any:
        return self.__getattr__("__enter__")()

    def __exit__(self, *raised: object) -> None:
        self.__getattr__("__exit__")(None, None, None)  # what the tests raise stays with them

    def __iter__(self) -> Iterator[Any]:
        iterator = self._submission.ask("iter", self)
        if not isinstance(iterator, Remote):
            yield from iterator
            return
        for _ in range(_MAX_ITEMS):
            try:
                yield self._submission.ask("next", iterator)
            except StopIteration:
                return


class Named(Remote):
    """A function or class of the submission that the tests call by its name."""

    __slots__ = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it. Raises UnsplittableError if the tests pass what cannot be sent."""
        try:
            return super().__call__(*args, **kwargs)
        except plain.NotPlainError as error:
            raise UnsplittableError(str(error)) from None


def _converting(name: str, kind: type) -> Callable[[Remote], Any]:
    def convert(self: Remote) -> Any:
        found = self._submission.ask(name, self)
        if not isinstance(found, kind):
            raise TypeError(f"{name}() of the submission's object is no {kind.__name__}")
        return found

    return convert


def _comparing(name: str) -> Callable[[Remote, Any], Any]:
    def compare(self: Remote, other: Any) -> Any:
        if isinstance(other, Remote):
            return self._submission.ask(name, self, other)
        if name in ("eq", "ne"):
            return name == "ne"
        raise TypeError("an object of the submission and plain data do not go together")

    return compare


def _item(name: str) -> Callable[..., Any]:
    return lambda self, *args: self._submission.ask(name, self, *args)


for _name, _kind in (
    ("len", int),
    ("str", str),
    ("repr", str),
    ("bool", bool),
    ("int", int),
    ("float", float),
    ("hash", int),
):
    setattr(Remote, f"__{_name}__", _converting(_name, _kind))
for _name in BETWEEN:
    setattr(Remote, f"__{_name.strip('_')}__", _comparing(_name))
for _name in ITEMS:
    setattr(Remote, f"__{_name}__", _item(_name))
Remote.__next__ = _item("next")  # type: ignore[attr-defined]
