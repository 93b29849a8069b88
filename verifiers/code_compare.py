"""Compare what a program printed or returned with what it should have, as contests do.

In: expected and actual, and how to compare. Out: None if they agree, else where they do not. Nothing of the program
runs here: its output is bytes, and what it returned was read as plain data.

    tokens      the same words, whatever blanks stand between them
    exact       the same text, but for the kind of line ends and one line end at the end
    floats      as tokens, but an expected decimal (`0.5`, `1e-3`) allows a tolerance, relative or absolute
    unordered   the same lines, each as tokens, in any order; of a returned list the same items
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Set
from typing import Any, Literal

How = Literal["tokens", "exact", "floats", "unordered"]
_DECIMAL = re.compile(rb"[+-]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][+-]?\d{1,4})?\Z")
_NUMBER = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?\Z")
_MAX_DIGITS = 400
_SHOWN = 120


def output_difference(expected: bytes, actual: bytes, how: How, tolerance: float) -> str | None:
    """Say where the printed text differs from the expected one; None if it does not."""
    if how == "exact":
        wanted, found = _one_line_end(expected), _one_line_end(actual)
        return None if wanted == found else _first_line(wanted, found)
    if how == "unordered":
        left, right = (Counter(tuple(line.split()) for line in text.splitlines()) for text in (expected, actual))
        for lines in (left, right):
            lines.pop((), None)
        missing = next(iter((left - right).elements()), None)
        extra = next(iter((right - left).elements()), None)
        if missing is None and extra is None:
            return None
        return f"the line {_text(b' '.join(missing or extra or ()))} is {'missing' if missing else 'too many'}"
    wanted_tokens, found_tokens = expected.split(), actual.split()
    for place, (wanted, found) in enumerate(zip(wanted_tokens, found_tokens, strict=False), 1):
        if wanted != found and not (how == "floats" and _close(wanted, found, tolerance)):
            return f"word {place} is {_text(found)}, not {_text(wanted)}"
    if len(wanted_tokens) != len(found_tokens):
        return f"{len(found_tokens)} words, not {len(wanted_tokens)}"
    return None


def value_difference(expected: Any, actual: Any, how: How, tolerance: float) -> str | None:
    """Say that the returned value differs from the expected one; None if it does not.

    `expected` is JSON data: a list there stands for a list or a tuple, keys of objects may be written as text, and a
    set is a list in any order. A truth value is no number; 1 and 1.0 are one number.
    """
    if how == "unordered" and isinstance(expected, list) and isinstance(actual, (list, tuple)):
        same = _same_items(expected, list(actual), "tokens", tolerance)
    else:
        same = _same(expected, actual, how, tolerance)
    return None if same else "another value"


def shown(data: bytes | str, limit: int = _SHOWN) -> str:
    """Quote the start of a text for a reason."""
    text = data if isinstance(data, str) else data[: 4 * limit].decode("utf-8", errors="replace")
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")


def _same(expected: Any, actual: Any, how: How, tolerance: float) -> bool:
    if isinstance(expected, bool) or isinstance(actual, bool) or expected is None or actual is None:
        return type(expected) is type(actual) and expected == actual
    if isinstance(expected, (int, float)):
        if not isinstance(actual, (int, float)):
            return False
        if how == "floats" and isinstance(expected, float):
            return _is_close(expected, actual, tolerance)
        return expected == actual or (_is_nan(expected) and _is_nan(actual))
    if isinstance(expected, (list, tuple)):
        if isinstance(actual, Set):
            return len(expected) == len(actual) and _same_items(list(expected), list(actual), how, tolerance)
        return (
            isinstance(actual, (list, tuple))
            and len(expected) == len(actual)
            and all(_same(e, a, how, tolerance) for e, a in zip(expected, actual, strict=True))
        )
    if isinstance(expected, Mapping):
        if not isinstance(actual, Mapping) or len(expected) != len(actual):
            return False
        named = {_key(key): value for key, value in actual.items()}
        return all(
            _key(key) in named and _same(value, named[_key(key)], how, tolerance) for key, value in expected.items()
        )
    return type(expected) is type(actual) and bool(expected == actual)


def _same_items(expected: list[Any], actual: list[Any], how: How, tolerance: float) -> bool:
    """Match items whatever their order; quadratic only in those that are written differently."""
    if len(expected) != len(actual):
        return False
    written = Counter(map(_written, expected))
    left = []
    for item in actual:
        if written[_written(item)] > 0:
            written[_written(item)] -= 1
        else:
            left.append(item)
    wanted = [item for item in expected if written[_written(item)] > 0 and not written.subtract([_written(item)])]
    if len(wanted) > 1000:
        return False
    for item in left:
        place = next((at for at, other in enumerate(wanted) if _same(other, item, how, tolerance)), None)
        if place is None:
            return False
        del wanted[place]
    return True


def _written(value: Any) -> str:
    return repr(list(value) if isinstance(value, tuple) else value)


def _key(key: Any) -> str:
    """Write a key as JSON does."""
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    return key if isinstance(key, str) else repr(key)


def _close(wanted: bytes, found: bytes, tolerance: float) -> bool:
    if not _DECIMAL.match(wanted) or not _NUMBER.match(found) or max(len(wanted), len(found)) > _MAX_DIGITS:
        return False
    return _is_close(float(wanted), float(found), tolerance)


def _is_close(wanted: float, found: float, tolerance: float) -> bool:
    try:
        found = float(found)
    except OverflowError:
        return False
    if math.isnan(wanted) or math.isinf(wanted) or math.isnan(found):
        return wanted == found or (_is_nan(wanted) and _is_nan(found))
    return abs(wanted - found) <= tolerance * max(1.0, abs(wanted))


def _is_nan(number: float) -> bool:
    return isinstance(number, float) and math.isnan(number)


def _one_line_end(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n").removesuffix(b"\n")


def _first_line(wanted: bytes, found: bytes) -> str:
    pairs = zip(wanted.split(b"\n"), found.split(b"\n"), strict=False)
    for place, (left, right) in enumerate(pairs, 1):
        if left != right:
            return f"line {place} is {_text(right)}, not {_text(left)}"
    return f"{found.count(10) + 1} lines, not {wanted.count(10) + 1}"


def _text(token: bytes) -> str:
    return shown(token, 40)
