"""Cut a cleaned mathematical text into tokens.

In: text from `spelling.clean`. Out: a list of `Token`. Numbers are read here with their separators; letters are cut
into function names, words and single variables. Raises `Unreadable` at a sign that no mathematics has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from flint import fmpq, fmpz

from verifiers.maths.terms import Number

MAX_TOKENS = 3000
"""Longer texts are not read."""
MAX_DIGITS = 2200
"""Longer numerals are not read."""
MAX_EXPONENT = 4000
"""A power of ten beyond this is no numeral."""

Kind = Literal["number", "letter", "word", "cjk", "command", "sign", "money"]


class Unreadable(Exception):
    """The text is no mathematics that can be read as a whole."""


@dataclass(frozen=True, slots=True)
class Token:
    """One piece of a text."""

    kind: Kind
    """What it is: a numeral, a single letter or Greek name, a word, a CJK run, a LaTeX command, a sign, a currency."""
    text: str
    """How it is written, without a command's backslash."""
    number: Number | None = None
    """The value of a numeral."""
    spaced: bool = False
    """Whether a blank stands before it."""
    upright: bool = False
    """Whether it stands in a text command: words, units and names stand upright."""


GREEK = frozenset(
    (
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon phi "
        "chi psi omega Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega Upsilon ell hbar"
    ).split()
)
FUNCTIONS = frozenset(
    (
        "sin cos tan cot sec csc arcsin arccos arctan arccot arcsec arccsc sinh cosh tanh coth sech csch "
        "arcsinh arccosh arctanh asin acos atan asinh acosh atanh arsinh arcosh artanh cosec ctg tg arctg ln "
        "log lg lb exp sqrt cbrt abs Abs sgn sign floor ceil ceiling binom choose erf gamma cis det gcd lcm max "
        "min lim sum prod int mod Re Im arg hcf tr rank frac round factorial nCr nPr"
    ).split()
)
WORK = frozenset(
    (
    "sum prod int iint iiint oint lim limsup liminf gcd lcm hcf max min sup inf det integrate diff solve "
    "derivative limit argmax argmin Pr nabla partial simplify expand factor bigcup bigcap deg dim coprod "
    "integral summation rank tr"
).split())  # fmt: skip
"""Operations that are stated, not carried out."""
CONSTANTS = frozenset(("pi", "infty", "infinity", "oo", "inf"))
CURRENCIES = {"€": "euro", "£": "pound", "¥": "¥", "₹": "rupee", "₽": "ruble", "₩": "won",
              "¢": "cent"}  # fmt: skip

_TOKEN = re.compile(
    r"(?P<blank>\s+)"
    r"|(?P<number>\d|\.\d)"
    r"|(?P<cyclic>\\(?:overline|bar|dot)\s*\{?)"
    r"|(?P<command>\\[a-zA-Z]+\*?|\\[{}|\\])"
    r"|(?P<dots>\.\.\.+|\. \. \.)"
    r"|(?P<letters>[A-Za-z\u00c0-\u024f]+)"
    r"|(?P<cjk>[\u2460-\u2473\u4e00-\u9fff\u3040-\u30ff\uac00-\ud7af]+)"
    r"|(?P<cyrillic>[\u0400-\u04ff]+)"
    r"|(?P<money>[€£¥₹₽₩¢])"
    r"|(?P<dollar>\$)"
    r"|(?P<sign>\*\*|[-+*/^_=<>,;:!|'()\[\]{}&%.?\"])"
)
_GROUPED = (
    r"\d{1,3}(?:,\d{3})+(?![\d])(?:\.\d+)?"  # 1,234,567.8
    r"|\d{1,2}(?:,\d{2})+,\d{3}(?!\d)(?:\.\d+)?"  # 12,34,567
    r"|\d{1,3}(?:\.\d{3}){2,}(?!\d)(?:,\d+)?"  # 1.234.567,8
    r"|\d{1,3}(?:\.\d{3})+,\d{1,2}(?!\d)"  # 1.234,56
    r"|\d{1,3}(?: \d{3})+(?![\d])(?!\s?[/^])(?:[.,]\d+)?"  # 1 234 567
    r"|\d{1,3}(?:'\d{3})+(?!\d)(?:\.\d+)?"  # 1'234'567
    r"|\d{1,3}(?:_\d{3})+(?!\d)(?:\.\d+)?"  # 1_000_000
    r"|\d+(?:\.\d{3})*(?: \d{3})+(?!\d)(?=\s*$)"  # 0.123 456
)
_UNGROUPED = r"\d+\.\d+|\d+\.(?=\s*(?:$|[)\]},;]|\\(?:overline|bar|dot|styled)|\(\d))|\d+|\.\d+"
_NUMERAL = re.compile(f"(?P<grouped>{_GROUPED})|(?P<plain>{_UNGROUPED})")
_PLAIN = re.compile(_UNGROUPED)
_EXPONENT = re.compile(r"[eE]([+-]?\d{1,5})(?![\w.])")
_CYCLE = re.compile(
    r"\\overline\s*\{\s*(\d+)\s*\}|\\bar\s*\{\s*(\d+)\s*\}|\\overline\s*(\d)|\\styled\s*\{\s*(\d+)\s*\}|\((\d+)\)"
    r"|((?:\d*\\dot\s*\{?\s*\d\s*\}?)(?:\d*\\dot\s*\{?\s*\d\s*\}?)?)"
)
_DOTTED = re.compile(r"\s?\.\.\.+")


def tokens_of(text: str, *, lists: bool = False) -> list[Token]:
    """Cut a text into tokens. With `lists`, a comma between digits separates items instead of thousands.

    Raises Unreadable if it has more than MAX_TOKENS tokens, a numeral beyond MAX_DIGITS or a sign that is not known.
    """
    found: list[Token] = []
    _cut(text, found, upright=False, lists=lists, level=0)
    return found


def _cut(text: str, found: list[Token], *, upright: bool, lists: bool, level: int) -> None:
    place, spaced, depth = 0, False, 0
    dollars = text.count("$")
    while place < len(text):
        if len(found) > MAX_TOKENS:
            raise Unreadable("it is too long")
        match = _TOKEN.match(text, place)
        if match is None:
            raise Unreadable(f"{text[place]!r} is no sign of mathematics")
        kind, piece = match.lastgroup, match.group()
        if kind == "blank":
            place, spaced = match.end(), True
            continue
        if kind == "number":
            place = _numeral(text, place, found, spaced=spaced, upright=upright, inside=lists or depth > 0)
        elif kind in ("command", "cyclic"):
            name = match.group().rstrip("{ ").lstrip("\\") if kind == "cyclic" else piece[1:]
            place = match.start() + len(name) + 1
            if name in ("text", "styled"):
                place = _spliced(name, text, place, found, spaced=spaced, lists=lists, level=level)
            else:
                found.append(
                    Token("sign" if name in ("{", "}", "|", "\\") else "command", _named(name), None, spaced, upright)
                )
                depth += (name == "{") - (name == "}")
        elif kind == "letters":
            _letters(piece, found, spaced=spaced, upright=upright)
            place = match.end()
        elif kind in ("cjk", "cyrillic"):
            found.append(Token("cjk", piece, None, spaced, upright))
            place = match.end()
        elif kind == "money":
            found.append(Token("money", CURRENCIES[piece], None, spaced))
            place = match.end()
        elif kind == "dollar":
            if dollars % 2:  # not a delimiter
                found.append(Token("money", "dollar", None, spaced))
            place = match.end()
        else:
            found.append(Token("sign", "..." if kind == "dots" else piece, None, spaced, upright))
            depth += (piece in ("(", "[")) - (piece in (")", "]"))
            place = match.end()
        spaced = False


def _named(name: str) -> str:
    return {"{": "\\{", "}": "\\}", "|": "|", "\\": "\\\\"}.get(name, name)


def _spliced(name: str, text: str, place: int, found: list[Token], *, spaced: bool, lists: bool, level: int) -> int:
    """Cut the content of a text command in its place; return where the text goes on."""
    if level > 8:
        raise Unreadable("text commands are nested too deep")
    while place < len(text) and text[place] == " ":
        place += 1
    if place >= len(text):
        return place
    if text[place] != "{":
        inner, end = text[place], place + 1
    else:
        end = _closing(text, place)
        inner, end = text[place + 1 : end], end + 1
    start = len(found)
    bare = inner.strip()
    if name == "styled" and bare.isalpha() and len(bare) == 1:
        found.append(Token("letter", bare, None, spaced))
        return end
    _cut(inner, found, upright=name == "text", lists=lists, level=level + 1)
    if start < len(found) and (spaced or inner[:1] == " "):
        first = found[start]
        found[start] = Token(first.kind, first.text, first.number, True, first.upright)
    return end


def _closing(text: str, start: int) -> int:
    depth, place = 0, start
    while place < len(text):
        mark = text[place]
        if mark == "\\":
            place += 2
            continue
        depth += (mark == "{") - (mark == "}")
        if depth == 0:
            return place
        place += 1
    raise Unreadable("its braces are not balanced")


def _letters(run: str, found: list[Token], *, spaced: bool, upright: bool) -> None:
    """Add a run of letters: a name that is known, a single letter, or a word for the reader to make sense of."""
    if run in ("inf", "Inf"):
        found.append(Token("command", "infty", None, spaced, upright))
        return
    if (run in FUNCTIONS and not (upright and run in ("min", "sec", "lb"))) or (run in WORK and not upright):
        found.append(Token("command", run, None, spaced, upright))
    elif run.lower() in CONSTANTS and (len(run) > 2 or run in ("pi", "oo")):
        found.append(Token("command", "pi" if run.lower() == "pi" else "infty", None, spaced, upright))
    elif run in GREEK and not upright and len(run) > 2:
        found.append(Token("command", run, None, spaced, upright))
    elif len(run) == 1:
        found.append(Token("letter", run, None, spaced, upright))
    else:
        found.append(Token("word", run, None, spaced, upright))


def _numeral(text: str, place: int, found: list[Token], *, spaced: bool, upright: bool, inside: bool) -> int:
    """Read one numeral with its separators, cycle and exponent; return where the text goes on."""
    match = (_PLAIN if inside else _NUMERAL).match(text, place)
    written, end = ("", place) if match is None else (match.group(), match.end())
    if len(written) > MAX_DIGITS:
        raise Unreadable(f"a number of {len(written)} digits")
    plain = written
    if inside and len(written) == 3 and written.startswith("00") and found and found[-1].text == ",":
        raise Unreadable("a group of digits as an item of a list")
    if match is not None and match.lastgroup == "grouped":
        plain = _ungrouped(written)
    whole, point, decimals = plain.partition(".")
    cycle = _CYCLE.match(text, end) if point else None
    if cycle is not None:
        start, repeated = _cycle(next(group for group in cycle.groups() if group))
        value = _repeating(whole, decimals + start, repeated)
        found.append(Token("number", written, Number(value), spaced, upright))
        return cycle.end()
    dots = _DOTTED.match(text, end) if point and len(decimals) >= 3 else None
    if dots:
        prefix, repeated = _noticed(decimals)
        if repeated:
            found.append(Token("number", written, Number(_repeating(whole, prefix, repeated)), spaced, upright))
            return dots.end()
    value = fmpq(fmpz(int(whole + decimals or "0")), fmpz(10) ** len(decimals))
    digits = len((whole + decimals).lstrip("0"))
    exponent = None if upright else _EXPONENT.match(text, end)
    if exponent is not None:
        power = int(exponent[1])
        if abs(power) > MAX_EXPONENT:
            raise Unreadable(f"a power of ten of {power}")
        value *= fmpq(10) ** power
        places = len(decimals) - power if decimals else None
        found.append(Token("number", written, Number(value, places, digits), spaced, upright))
        return exponent.end()
    found.append(Token("number", written, Number(value, len(decimals) if decimals else None, digits), spaced, upright))
    return end


def _ungrouped(written: str) -> str:
    if re.fullmatch(r"\d{1,3}(?:\.\d{3})+(?:,\d+)?", written) and (written.count(".") > 1 or "," in written):
        return written.replace(".", "").replace(",", ".")
    if " " in written:
        return written.replace(" ", "").replace(",", ".")
    return re.sub(r"[,'_ ]", "", written)


def _cycle(written: str) -> tuple[str, str]:
    """Return the digits before the cycle and the cycle; dots stand over its first and last digit."""
    if "dot" not in written:
        return "", written
    pieces = re.findall(r"\\dot\s*\{?\s*(\d)\s*\}?|(\d)", written)
    marks = [bool(dotted) for dotted, _ in pieces]
    digits = "".join(dotted or bare for dotted, bare in pieces)
    first = marks.index(True)
    return digits[:first], digits[first:]


def _noticed(decimals: str) -> tuple[str, str]:
    """Return what stands before a cycle seen at least twice (thrice for one digit) to the end, and the cycle."""
    for length in range(1, len(decimals) // 2 + 1):
        repeated = decimals[-length:]
        times = 1
        while decimals.endswith(repeated * (times + 1)):
            times += 1
        if times >= (3 if length == 1 else 2):
            return decimals[: len(decimals) - length * times], repeated
    return decimals, ""


def _repeating(whole: str, start: str, repeated: str) -> fmpq:
    """Return the value of whole.start(repeated): 0.1(6) = (16 - 1) / 90."""
    shift = 10 ** len(start)
    value = Fraction(
        int((whole or "0") + start or "0") * (10 ** len(repeated) - 1) + int(repeated),
        shift * (10 ** len(repeated) - 1),
    )
    return fmpq(value.numerator, value.denominator)
