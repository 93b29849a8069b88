"""Compare two mathematical expressions: first as text and exact numbers, then as algebra.

In: the text of a reference and of an answer. Out: a `Comparison`: equal, different, or undecided with the reason.
`compare_plainly` needs no algebra and takes microseconds; `compare_symbolically` (math-verify and sympy) may take
forever or eat all memory, so it runs in killable workers only. Finding the answer in a completion is not done here.

Text is never evaluated as code. What math-verify is known to accept wrongly is refused before or after it is asked:
alternatives ("1 or 2"), false chains (`1=2=5`), restated work (an unevaluated sum), numbers that agree only after
rounding, equations it reads as 0 = 0, lists that differ in length, other bases and units.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from verifiers.math_text import (
    MAX_CHARS,
    PlainNumber,
    clean,
    known_unit,
    plain_number,
    squeezed,
    without_name,
    without_unit,
    words_of,
)

_MAX_DEPTH = 40
"""Brackets nested deeper are not read: the parser's time explodes with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a comparison came to."""

    equal: bool | None
    """Whether the two are equal; None where that cannot be said."""
    reason: str
    """What decided, in a phrase."""


def compare_plainly(reference: str, answer: str) -> Comparison | None:
    """Compare as text and as exact numbers; None where only algebra can tell."""
    ref, ans = clean(reference), clean(answer)
    if not ans:
        return Comparison(equal=False, reason="the answer is empty")
    if squeezed(ref) == squeezed(ans):
        return Comparison(equal=True, reason="identical to the reference")
    if "=" in ans and "=" not in ref:
        ans = without_name(ans)
    elif "=" in ref and "=" not in ans:
        ref = without_name(ref)
    if squeezed(ref) == squeezed(ans):
        return Comparison(equal=True, reason="identical to the reference")
    ref_number, ans_number = plain_number(ref), plain_number(ans)
    if ref_number and ans_number:
        return _compare_numbers(ref_number, ans_number)
    words = words_of(ref)
    if words is not None:
        return Comparison(equal=words_of(ans) == words, reason="compared as words")
    if ref_number and words_of(ans) is not None:
        return Comparison(equal=False, reason="the reference is a number, the answer has none")
    return _refuse(ref, ans)


def compare_symbolically(reference: str, answer: str) -> Comparison:
    """Compare as algebra with math-verify and sympy. Runs in killable workers only: nothing here bounds its time."""
    ref, ans = clean(reference), clean(answer)
    if "=" in ans and "=" not in ref:
        parts = without_name(ans).split("=")
    else:
        ref = without_name(ref) if "=" in ref and "=" not in ans else ref
        parts = [ans]
    ref, parts = without_unit(ref), [without_unit(part) for part in parts]
    gold = _parse(ref)
    if not gold:
        return Comparison(equal=None, reason="the reference cannot be read as mathematics")
    for part in parts:  # of a chain a = b = c every link must hold
        plain = compare_plainly(ref, part) if len(parts) > 1 else None
        if plain is not None and plain.equal:
            continue
        found = _parse(part)
        if not found:
            return Comparison(equal=False, reason="the answer cannot be read as mathematics")
        if not _verified(gold, found, ref):
            return Comparison(equal=False, reason="not equal to the reference")
    return Comparison(equal=True, reason="equal to the reference")


_ALTERNATIVES = re.compile(
    r"\b(?:or|maybe|perhaps|possibly|either|not)\b|\\ne(?![a-zA-Z])|\\not(?![a-zA-Z])|\\lor|\\vee|或|可能"
)
_UNEVALUATED = re.compile(r"\\(?:sum|int|iint|lim|prod|gcd|lcm|max|min|det)(?![a-zA-Z])|\b(?:gcd|lcm|sum)\b")
_HUGE = re.compile(
    r"\d\s*\)?\s*\^\s*[{(]{0,3}\s*\d+\s*\^\s*[{(]{0,3}\s*\d"  # a tower
    r"|\^\s*[{(]{0,3}\s*-?\d{5,}"  # an exponent that takes long to multiply out
    r"|\d{5,}\s*\}?\)?\s*!|\d\s*!\s*[)}]?\s*!"  # factorials
    r"|\d{400,}"
)
_BASE = re.compile(r"([\d.]+)\s*_\s*\{?\s*(\d+)\s*\}?(?:\\text\{[^{}]*\})?")


def _compare_numbers(ref: PlainNumber, ans: PlainNumber) -> Comparison:
    ref_unit, ans_unit = known_unit(ref.unit), known_unit(ans.unit)
    if ref_unit and ans_unit and ref_unit != ans_unit:
        return Comparison(equal=False, reason=f"the unit is {ans.unit}, the reference's is {ref.unit}")
    equal = ref.value == ans.value
    if ref.is_percent != ans.is_percent:  # 50 % is given as 50, as 50 % and as 0.5
        equal = equal or (ref.value == ans.value / 100 if ans.is_percent else ref.value / 100 == ans.value)
    if not equal and ref.places and ref.num_digits >= 5 and ref.is_percent == ans.is_percent:
        # a reference with that many digits is a rounded number: an answer that rounds to it is right
        step = Fraction(1, 10**ref.places)
        equal = 2 * abs(ans.value - ref.value) <= step and (ans.places is None or ans.places >= ref.places)
    return Comparison(equal=equal, reason="compared as exact numbers")


def _refuse(ref: str, ans: str) -> Comparison | None:
    """Refuse what math-verify would misread; None lets it through."""
    if _ALTERNATIVES.search(ans) and not _ALTERNATIVES.search(ref):
        return Comparison(equal=False, reason="the answer offers alternatives")
    if _UNEVALUATED.search(ans) and not _UNEVALUATED.search(ref):
        return Comparison(equal=False, reason="the answer restates work that it does not carry out")
    ref_base, ans_base = _BASE.fullmatch(ref), _BASE.fullmatch(ans)
    if ref_base or ans_base:
        digits, other = (ref_base or ans_base).groups(), ((ref_base and ans_base) or [ref, ans][bool(ref_base)])  # type: ignore[union-attr]
        same = digits == ans_base.groups() if ref_base and ans_base else digits[0] == other
        return Comparison(equal=same, reason="compared as numbers in a base")
    if "\\pm" not in ref + ans and ("," in ref) == ("," in ans) and len(_elements(ref)) != len(_elements(ans)):
        return Comparison(
            equal=False, reason=f"{len(_elements(ans))} elements, the reference has {len(_elements(ref))}"
        )
    if _HUGE.search(ans) or _HUGE.search(ref):
        return Comparison(equal=None, reason="too large to be evaluated, and not written like the reference")
    if _depth(ans) > _MAX_DEPTH or _depth(ref) > _MAX_DEPTH:
        return Comparison(equal=None, reason=f"nested more than {_MAX_DEPTH} levels deep")
    if len(ref) > MAX_CHARS or len(ans) > MAX_CHARS:
        return Comparison(equal=None, reason=f"longer than {MAX_CHARS} characters")
    return None


def _depth(text: str) -> int:
    deepest = depth = 0
    for mark in text:
        depth += (mark in "([{") - (mark in ")]}")
        deepest = max(deepest, depth)
    return deepest


def _elements(text: str) -> list[str]:
    """Split at the commas outside of all brackets but the outermost pair."""
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", re.sub(r"\\([{}])", r"\1", text))
    if text[:1] in ("(", "[", "{") and text[-1:] in (")", "]", "}"):
        text = text[1:-1]
    pieces, depth, start = [], 0, 0
    for place, mark in enumerate(text):
        depth += (mark in "([{") - (mark in ")]}")
        if mark == "," and depth == 0:
            pieces.append(text[start:place])
            start = place + 1
    return [*pieces, text[start:]]


def _parse(text: str) -> list[Any]:
    """Read LaTeX into sympy objects, decimals as exact rationals; empty if it cannot be read."""
    from math_verify import LatexExtractionConfig, parse

    config = LatexExtractionConfig(boxed_match_priority=-1)
    found = parse(f"${text}$", extraction_config=[config], fallback_mode="no_fallback", parsing_timeout=None)
    return [_exact(item) for item in found]


def _exact(item: Any) -> Any:
    from sympy import Basic, Float, Rational

    if not isinstance(item, Basic):
        return item
    floats = item.atoms(Float)
    return item.xreplace({number: Rational(str(number)) for number in floats}) if floats else item


def _verified(gold: list[Any], found: list[Any], ref: str) -> bool:
    from math_verify import verify

    if verify(gold, found, timeout_seconds=None):
        return _holds_at_full_precision(gold[0], found[0]) and _holds_as_equation(gold[0], found[0])
    return _rounds_to(ref, found[0])


def _holds_at_full_precision(gold: Any, found: Any) -> bool:
    """Refuse two numbers that differ by less than math-verify looks at, e.g. 1/2004! and 1/2005!."""
    from sympy import Expr

    if not (isinstance(gold, Expr) and isinstance(found, Expr)) or gold.free_symbols or found.free_symbols:
        return True
    try:
        a, b = gold.doit().evalf(60), found.doit().evalf(60)
        scale = max(abs(a), abs(b))
        percent = abs(a - 100 * b) * abs(100 * a - b) == 0
        return bool(scale == 0 or abs(a - b) <= scale * 10**-40 or percent)
    except (TypeError, ValueError, ArithmeticError):
        return True  # no number: nothing more can be said here


def _holds_as_equation(gold: Any, found: Any) -> bool:
    """Refuse equations that are not multiples of each other."""
    from sympy import Eq, Expr, cancel, together

    if not (isinstance(gold, Eq) and isinstance(found, Eq)):
        return True
    if not all(isinstance(side, Expr) for equation in (gold, found) for side in equation.args):
        return True
    a, b = together((gold.lhs - gold.rhs).doit()), together((found.lhs - found.rhs).doit())
    if a.equals(0) or b.equals(0):
        return bool(gold == found)
    return not cancel(a / b).free_symbols


def _rounds_to(ref: str, found: Any) -> bool:
    """Accept an exact expression for a reference that is a rounded decimal of at least 5 digits."""
    number = plain_number(ref)
    if number is None or not number.places or number.num_digits < 5 or not hasattr(found, "evalf"):
        return False
    try:
        value = Fraction(str(found.evalf(40)))
    except (ValueError, TypeError):
        return False
    return 2 * abs(value - number.value) <= Fraction(1, 10**number.places)
