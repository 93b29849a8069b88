"""How two boxes speak: messages of JSON over a pair of sockets, and exceptions as words.

In: JSON data. Out: the same at the other end. Neither side believes the other: what is no message, or too long, is the
end of the conversation.
"""

from __future__ import annotations

import builtins
import json
import os
import struct
from collections import deque
from typing import Any

CHANGEABLE = (list, dict, set, bytearray, deque)
"""Arguments in which a call may leave its result, where it returns nothing. One that returns something is judged by
that: else it could change what the tests compare it with.
"""
_LENGTH = struct.Struct(">I")
_MAX_MESSAGE = 256 << 20
_SHOWN = 300
_MAX_TEXT = 10_000


class GoneError(BaseException):
    """The submission has ended, or answers nonsense."""


def send(peer: int, data: Any) -> None:
    """Send a message. Raises GoneError if nobody listens any more."""
    packed = json.dumps(data).encode()
    try:
        _all(peer, _LENGTH.pack(len(packed)) + packed)
    except OSError:
        raise GoneError("the program has hung up") from None


def _all(peer: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(peer, view) :]


def receive(peer: int) -> Any:
    """Read one message; None at the end, or where it is none."""
    header = _exactly(peer, _LENGTH.size)
    if header is None:
        return None
    (length,) = _LENGTH.unpack(header)
    body = _exactly(peer, length) if length <= _MAX_MESSAGE else None
    if body is None:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _exactly(peer: int, size: int) -> bytes | None:
    parts: list[bytes] = []
    while size:
        try:
            part = os.read(peer, min(size, 1 << 20))
        except OSError:
            return None
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def raising(error: Exception) -> dict[str, Any]:
    """Return an exception as a message."""
    return {"raised": [kind.__name__ for kind in type(error).__mro__], "text": _message(error)}


def raised(reply: Any) -> Exception:
    """Make an exception of the most special built-in kind that the submission's has."""
    for name in reply["raised"] if isinstance(reply["raised"], list) else ():
        kind = getattr(builtins, str(name), None)
        if isinstance(kind, type) and issubclass(kind, Exception):
            try:
                return kind(str(reply.get("text", "")))
            except TypeError:  # UnicodeDecodeError and its like want more
                continue
    return Exception(str(reply.get("text", "")))


def _message(error: BaseException) -> str:
    """Return what an exception of the same kind is made with to say the same."""
    try:
        return str(error.args[0] if len(error.args) == 1 else error)[:_MAX_TEXT]
    except Exception:  # noqa: BLE001 - an exception that cannot even be shown
        return ""


def text_of(error: BaseException) -> str:
    """Return an exception as one bounded line: its kind and what it says."""
    try:
        return f"{type(error).__name__}: {str(error)[:_SHOWN]}"
    except Exception:  # noqa: BLE001 - an exception that cannot even be shown
        return type(error).__name__
