"""Read mathematical text numerically, to tell whether two references of MATH have the same value.

In: LaTeX as MATH's references are written. Out: the numbers it consists of, with every letter replaced by a random
number that depends on the letter alone; None where something is not understood. It shares no code with the judge: it
decides which mutations of a reference are wrong answers, so it says "different" only where it is sure, and is meant for
benign text (nothing is bounded here).
"""

from __future__ import annotations

import re
from itertools import pairwise
from random import Random

import mpmath

_TOKEN = re.compile(r"\d+(?:\.\d*)?|\.\d+|\\[a-zA-Z]+|\\.|\S")
_THOUSANDS = re.compile(r"(?<![\d.])\d{1,3}(?:,\d{3})+(?![\d,])")
_DROPPED = re.compile(r"\\left(?![a-z])\.?|\\right(?![a-z])\.?|\\displaystyle|(?<!\\)\\[,;:! $]|~|\$|\\q?quad")
_WORDS = re.compile(r"\\(?:text|mbox|textbf|mathrm|textrm|operatorname)\s*\{([^{}]*)\}(?:\s*\^\s*\{?[23]\}?)?")
_RELATION = re.compile(r"\\(?:leq?|geq?|neq?|lt|gt|in|to|equiv|approx|cup|cap|setminus)(?![a-zA-Z])|[=<>:]|,|;|&|\\\\")
_REPEATING = re.compile(r"(\d*)\.(\d*)\\overline\{(\d+)\}")
_IN_BASE = re.compile(r"(?<![\w}])(\w+)_(?:\{(\d+)\}|(\d))(?!\w)")
_NAMES = ("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "exp", "ln")
_FUNCTIONS = {name: getattr(mpmath, name) for name in _NAMES} | {
    "arctan": mpmath.atan,
    "arcsin": mpmath.asin,
    "arccos": mpmath.acos,
}


def surely_differ(one: str, other: str) -> bool | None:
    """Say whether two texts have different values under every reading of units, percent and degree signs.

    False where they may be the same, None where one of the two is not understood.
    """
    if _words_only(one) or _words_only(other):
        return _letters(one) != _letters(other)
    understood = False
    for is_loose in (False, True):
        points = [(leaves(one, seed, is_loose=is_loose), leaves(other, seed, is_loose=is_loose)) for seed in (1, 2, 3)]
        pairs = [(a, b) for a, b in points if a and b]
        if len(pairs) < len(points):
            continue
        understood = True
        if all(_same_set(a, b) for a, b in pairs) or _proportional(pairs):
            return False
    return True if understood else None


def leaves(text: str, seed: int, *, is_loose: bool) -> list[mpmath.mpc] | None:
    """Return the values between separators and relations, `x =` in front left out; None if one is not understood.

    A loose reading counts units, percent and degree signs as 1.
    """
    text = _WORDS.sub("" if is_loose else lambda word: f" \\word{abs(hash_of(word[0])) % 10**6:06d} ", text)
    text = _DROPPED.sub("", text.replace("\\!", "")).replace("{,}", ",")
    text = re.sub(r"\\[dtc]frac", r"\\frac", text)
    text = re.sub(r"\\begin\{[a-z]*\}(?:\{[a-z|]*\})?|\\end\{[a-z]*\}", "", text)
    text = _THOUSANDS.sub(lambda number: number[0].replace(",", ""), text).strip().rstrip(".")
    parts = [part.strip() for part in _RELATION.split(text)]
    if len(parts) > 1 and re.fullmatch(r"[a-zA-Z](?:\([a-z]\)|_\d)?|\\[a-z]+", parts[0]):
        parts = parts[1:]
    found: list[mpmath.mpc] = []
    with mpmath.workdps(40):
        for part in parts:
            bare = _unbracketed(part)
            upper = bare.replace("\\pm", "+").replace("\\mp", "-")
            lower = bare.replace("\\pm", "-").replace("\\mp", "+")
            for variant in dict.fromkeys((upper, lower)):
                try:
                    found.append(mpmath.mpc(_Reader(variant, seed, is_loose=is_loose).value()))
                except (ValueError, ZeroDivisionError, OverflowError, TypeError):
                    return None
    return found


def hash_of(text: str) -> int:
    """Return a number that depends on the text alone, in every process."""
    return Random(text).getrandbits(40)


def _words_only(text: str) -> bool:
    inner = _WORDS.sub(r"\1", text)
    return not re.search(r"\d|\\", inner) and (inner != text or re.search(r"[a-zA-Z]{3}", inner) is not None)


def _letters(text: str) -> str:
    return re.sub(r"[^a-z]", "", _WORDS.sub(r"\1", text).casefold())


def _unbracketed(part: str) -> str:
    """Drop brackets that belong to a list or an interval, not to one of its members."""
    part = part.replace("\\{", "").replace("\\}", "").strip()
    while part[:1] in ("(", "[") and part and _depth(part) > 0:
        part = part[1:].strip()
    while part[-1:] in (")", "]") and part and _depth(part) < 0:
        part = part[:-1].strip()
    while part[:1] in ("(", "[") and part[-1:] in (")", "]") and min(_levels(part[1:-1]), default=0) >= 0:
        part = part[1:-1].strip()
    return part


def _levels(text: str) -> list[int]:
    level, found = 0, []
    for mark in text:
        level += (mark in "([") - (mark in ")]")
        found.append(level)
    return found


def _depth(text: str) -> int:
    return sum((mark in "([") - (mark in ")]") for mark in text)


def _close(a: mpmath.mpc, b: mpmath.mpc) -> bool:
    return bool(a == b or abs(a - b) <= mpmath.mpf(10) ** -25 * max(abs(a), abs(b)))


def _same_set(one: list[mpmath.mpc], other: list[mpmath.mpc]) -> bool:
    return all(any(_close(a, b) for b in other) for a in one) and all(any(_close(a, b) for a in one) for b in other)


def _proportional(pairs: list[tuple[list[mpmath.mpc], list[mpmath.mpc]]]) -> bool:
    """Say whether two equations of two sides each are multiples of one another."""
    if any(len(a) != 2 or len(b) != 2 for a, b in pairs):
        return False
    sides = [(a[0] - a[1], b[0] - b[1]) for a, b in pairs]
    if any(a == 0 or b == 0 for a, b in sides):
        return False
    ratios = [a / b for a, b in sides]
    moves = not all(_close(a[0], b[0]) for a, b in pairwise(sides))  # two numbers are proportional always
    return moves and all(_close(a, b) for a, b in pairwise(ratios))


class _Reader:
    """Evaluate one expression from left to right, by recursive descent."""

    def __init__(self, text: str, seed: int, *, is_loose: bool) -> None:
        text = _REPEATING.sub(_repeating, text)
        self._tokens = _TOKEN.findall(_IN_BASE.sub(_in_base, text))
        self._at = 0
        self._seed = seed
        self._is_loose = is_loose

    def value(self) -> mpmath.mpc:
        """Evaluate all of it. Raises ValueError if something is left over or not understood."""
        found = self._sum()
        if self._at < len(self._tokens):
            raise ValueError(self._next())
        return found

    def _next(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self, token: str = "") -> str:
        found = self._next()
        if not found or (token and found != token):
            raise ValueError(f"{found} instead of {token}")
        self._at += 1
        return found

    def _sum(self) -> mpmath.mpc:
        sign = -1 if self._next() == "-" else 1
        if self._next() in ("-", "+"):
            self._take()
        total = sign * self._product()
        while self._next() in ("+", "-"):
            sign = -1 if self._take() == "-" else 1
            total += sign * self._product()
        return total

    def _product(self) -> mpmath.mpc:
        total = self._power()
        while (token := self._next()) and token not in ("+", "-", ")", "]", "}", "|"):
            if token in ("\\cdot", "\\times", "*"):
                self._take()
                total *= self._signed()
            elif token in ("/", "\\div"):
                self._take()
                total /= self._signed()
            else:
                before = self._tokens[self._at - 1]
                factor = self._power()
                is_mixed = token == "\\frac" and before.isdigit() and total == int(before)
                total = total + factor if is_mixed else total * factor
        return total

    def _signed(self) -> mpmath.mpc:
        if self._next() == "-":
            self._take()
            return -self._power()
        return self._power()

    def _power(self) -> mpmath.mpc:
        found = self._atom()
        while (token := self._next()) in ("^", "!", "\\%", "%", "°"):
            self._take()
            if token == "!":
                found = mpmath.factorial(found)
            elif token in ("\\%", "%"):
                found = found if self._is_loose else found / 100
            elif token == "°" or self._degrees():
                found = found if self._is_loose else found * mpmath.pi / 180
            else:
                found = mpmath.power(found, self._argument())
        return found

    def _degrees(self) -> bool:
        rest = "".join(self._tokens[self._at : self._at + 3])
        size = 1 if rest.startswith("\\circ") else 3 if rest == "{\\circ}" else 0
        self._at += size
        return size > 0

    def _argument(self) -> mpmath.mpc:
        """Read what a command is applied to: a group, or one digit or letter."""
        token = self._next()
        if token == "{":
            return self._group("{", "}")
        if token[:1].isdigit() and len(token) > 1:
            self._tokens[self._at : self._at + 1] = [token[0], token[1:]]
        return self._atom()

    def _group(self, opening: str, closing: str) -> mpmath.mpc:
        self._take(opening)
        found = self._sum()
        self._take(closing)
        return found

    def _atom(self) -> mpmath.mpc:
        token = self._take()
        if token[0].isdigit() or (token[0] == "." and len(token) > 1):
            return mpmath.mpf(token)
        for opening, closing in ("()", "[]", "{}", "||"):
            if token == opening:
                self._at -= 1
                found = self._group(opening, closing)
                return abs(found) if token == "|" else found
        if token == "\\frac":
            above = self._argument()
            return above / self._argument()
        if token == "\\sqrt":
            degree = self._group("[", "]") if self._next() == "[" else 2
            return mpmath.root(self._argument(), int(degree.real)) if degree != 2 else mpmath.sqrt(self._argument())
        if token == "\\binom":
            above = self._argument()
            return mpmath.binomial(above, self._argument())
        if token in ("\\pi", "π"):
            return +mpmath.pi
        if token in ("e", "i"):
            return +mpmath.e if token == "e" else mpmath.mpc(0, 1)
        if token == "\\infty":
            return mpmath.mpf(10) ** 30
        if token in ("\\emptyset", "\\varnothing"):
            return mpmath.mpf("0.123456789")
        if token == "\\log":
            base = self._subscript_value()
            return mpmath.log(self._applied()) / mpmath.log(base or 10)
        if token[1:] in _FUNCTIONS and token[0] == "\\":
            power = self._argument() if self._next() == "^" and self._take() else 1
            return _FUNCTIONS[token[1:]](self._applied()) ** power
        if re.fullmatch(r"[a-zA-Z]|\\word|\\[a-z]+", token):
            return self._variable(token)
        raise ValueError(token)

    def _applied(self) -> mpmath.mpc:
        total = self._power()
        while re.fullmatch(r"\d.*|[a-zA-Z]|\\pi|\\frac|\\sqrt", self._next()):
            total *= self._power()
        return total

    def _subscript_value(self) -> mpmath.mpc | None:
        if self._next() != "_":
            return None
        self._take()
        return self._argument()

    def _variable(self, name: str) -> mpmath.mpf:
        if len(name) > 2 and name not in _GREEK and name != "\\word":
            raise ValueError(name)
        if name == "\\word":
            name += self._take()
        if self._next() == "_":
            self._take()
            name += str(self._argument())
        return mpmath.mpf(Random(f"{name} {self._seed}").uniform(0.4, 2.5))


_GREEK = set(re.findall(r"\\\w+", r"\alpha\beta\gamma\delta\theta\phi\lambda\mu\omega\sigma\tau\rho\epsilon\varphi"))


def _repeating(number: re.Match[str]) -> str:
    whole, fixed, repeated = number.groups()
    scale = 10 ** len(fixed)
    value = int((whole or "0") + fixed) * (10 ** len(repeated) - 1) + int(repeated)
    return f"(\\frac{{{value}}}{{{scale * (10 ** len(repeated) - 1)}}})"


def _in_base(number: re.Match[str]) -> str:
    base = int(number[2] or number[3])
    if not number[1][0].isdigit() or not 2 <= base <= 36:
        return number[0]
    try:
        return str(int(number[1], base))
    except ValueError:
        return number[0]
