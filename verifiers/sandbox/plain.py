"""Python values as plain data, and back: what crosses from one box to another, or to who judges.

In: any value. Out: JSON data; numbers, text, containers and the usual value types of the standard library, with their
types. A subclass is written as what it inherits: what it overrides, `__eq__` first of all, stays behind. What is no
plain data is handed to a callback, or refused. Reading believes nothing and runs nothing.
"""

from __future__ import annotations

import datetime
import decimal
import fractions
from collections import deque
from collections.abc import Callable
from typing import Any

MAX_NODES = 2_000_000
MAX_DEPTH = 200
_SMALL = 1 << 53
_DATES: dict[str, Any] = {"datetime": datetime.datetime, "date": datetime.date, "time": datetime.time}


class NotPlainError(TypeError):
    """A value that is no plain data, or too much of it."""


def encode(value: Any, other: Callable[[Any], Any] | None = None) -> Any:
    """Return a value as JSON data. Raises NotPlainError for what `other` does not take."""
    return _Encoder(other).encode(value, 0)


def decode(data: Any, other: Callable[[Any], Any] | None = None) -> Any:
    """Read what `encode` wrote. Raises NotPlainError, ValueError, TypeError or KeyError if it did not write it."""
    try:
        return _decode(data, other, 0)
    except (ArithmeticError, IndexError) as error:  # days that no date has, a fraction of nothing
        raise NotPlainError(f"no plain data: {error}") from error


class _Encoder:
    def __init__(self, other: Callable[[Any], Any] | None) -> None:
        self._other = other
        self._nodes = 0

    def encode(self, value: Any, depth: int) -> Any:
        kind = type(value)
        self._nodes += 1
        if value is None or kind is bool or kind is str or kind is float:
            return value
        if kind is int:
            return value if -_SMALL < value < _SMALL else {"t": "int", "v": hex(value)}
        if depth > MAX_DEPTH or self._nodes > MAX_NODES:
            raise NotPlainError(f"a value of more than {MAX_NODES} parts or {MAX_DEPTH} levels")
        return self._composed(value, kind, depth + 1)

    def _composed(self, value: Any, kind: type, depth: int) -> Any:
        if isinstance(value, list):
            return [self.encode(item, depth) for item in list.__iter__(value)]
        if isinstance(value, tuple):
            return self._tagged("tuple", tuple.__iter__(value), depth)
        if isinstance(value, dict):
            pairs = [[self.encode(k, depth), self.encode(v, depth)] for k, v in dict.items(value)]
            return {"t": "dict", "v": pairs}
        if isinstance(value, set):
            return self._tagged("set", set.__iter__(value), depth)
        if isinstance(value, frozenset):
            return self._tagged("frozenset", frozenset.__iter__(value), depth)
        if isinstance(value, deque):
            return self._tagged("deque", deque.__iter__(value), depth)
        return self._single(value, kind, depth)

    def _single(self, value: Any, kind: type, depth: int) -> Any:
        if isinstance(value, int):  # a subclass: IntEnum, say
            return self.encode(int.__add__(value, 0), depth)
        if isinstance(value, float):
            return float.__mul__(value, 1.0)
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, (bytes, bytearray)):
            base = bytes if isinstance(value, bytes) else bytearray
            return {"t": base.__name__, "v": base.hex(value)}  # type: ignore[arg-type]
        if kind is complex:
            return {"t": "complex", "v": [value.real, value.imag]}
        if kind is range:
            return {"t": "range", "v": [self.encode(part, depth) for part in (value.start, value.stop, value.step)]}
        if kind is decimal.Decimal:
            return {"t": "decimal", "v": str(value)}
        if kind is fractions.Fraction:
            return {"t": "fraction", "v": [hex(value.numerator), hex(value.denominator)]}
        if kind is datetime.timedelta:
            return {"t": "timedelta", "v": [value.days, value.seconds, value.microseconds]}
        if kind in _DATES.values() and value.__class__ is kind:
            return {"t": kind.__name__, "v": kind.isoformat(value)}
        if kind.__module__ == "numpy" and hasattr(value, "tolist"):
            return self.encode(value.tolist(), depth)
        if self._other is None:
            raise NotPlainError(f"a {kind.__name__} is no plain data")
        return self._other(value)

    def _tagged(self, tag: str, items: Any, depth: int) -> dict[str, Any]:
        return {"t": tag, "v": [self.encode(item, depth) for item in items]}


def _decode(data: Any, other: Callable[[Any], Any] | None, depth: int) -> Any:
    if isinstance(data, list):
        if depth > MAX_DEPTH:
            raise NotPlainError(f"more than {MAX_DEPTH} levels")
        return [_decode(item, other, depth + 1) for item in data]
    if not isinstance(data, dict):
        return data
    tag, value = data["t"], data["v"]
    if depth > MAX_DEPTH:
        raise NotPlainError(f"more than {MAX_DEPTH} levels")
    if tag == "dict":
        return {_decode(k, other, depth + 1): _decode(v, other, depth + 1) for k, v in value}
    if tag in _CONTAINERS:
        return _CONTAINERS[tag](_decode(item, other, depth + 1) for item in value)
    if tag in _SINGLE:
        return _SINGLE[tag](value)
    if other is None:
        raise NotPlainError(f"there is no plain data of the kind {str(tag)[:40]!r}")
    return other(data)


_CONTAINERS: dict[str, Callable[[Any], Any]] = {"tuple": tuple, "set": set, "frozenset": frozenset, "deque": deque}
_SINGLE: dict[str, Callable[[Any], Any]] = {
    "int": lambda v: int(v, 16),
    "bytes": bytes.fromhex,
    "bytearray": bytearray.fromhex,
    "complex": lambda v: complex(float(v[0]), float(v[1])),
    "range": lambda v: range(*(_decode(part, None, 0) for part in v)),
    "decimal": decimal.Decimal,
    "fraction": lambda v: fractions.Fraction(int(v[0], 16), int(v[1], 16)),
    "timedelta": lambda v: datetime.timedelta(int(v[0]), int(v[1]), int(v[2])),
    **{name: kind.fromisoformat for name, kind in _DATES.items()},
}
