"""Compare what has a form of its own: numbers in a base, ratios, times, dates, named values, words.

In: two values. Out: a `Comparison`, or None where another rule decides.
"""

from __future__ import annotations

from itertools import combinations

from flint import fmpq

from verifiers.maths.equality import Comparison, equal_expressions
from verifiers.maths.same import same
from verifiers.maths.terms import (
    Based,
    Clock,
    Day,
    Expression,
    Named,
    Number,
    Product,
    Ratio,
    Symbol,
    Text,
    Value,
    product,
    quotient,
)
from verifiers.maths.written import value_of


def bases(reference: Based, answer: Based) -> Comparison:
    """Compare two numbers in bases by their values."""
    return Comparison(value_of(reference) == value_of(answer), "compared as numbers in a base")


def base_of_number(reference: Based, answer: Number) -> Comparison:
    """Compare a number in a base with its value, or with its digits alone."""
    is_same = value_of(reference) == answer.value or reference.digits == (_as_written(answer).lstrip("0") or "0")
    return Comparison(is_same, "compared as a number in a base")


def _as_written(number: Number) -> str:
    """Return a decimal numeral with its places."""
    if not number.places or number.places < 0:
        return str(number.value)
    whole, part = divmod(int((number.value * 10**number.places).numer()), 10**number.places)
    return f"{whole}.{part:0{number.places}d}"


def base_of_letters(reference: Based, answer: Expression) -> Comparison | None:
    """Compare FF_16 with FF."""
    factors = answer.factors if isinstance(answer, Product) else (answer,)
    names = "".join(factor.name for factor in factors if isinstance(factor, Symbol))
    return Comparison(names.upper() == reference.digits, "compared as digits") if len(names) == len(factors) else None


def number_of_base(reference: Number, answer: Based) -> Comparison:
    """Compare a number with a number in a base."""
    return Comparison(value_of(answer) == reference.value, "compared as a number in a base")


def ratios(reference: Ratio, answer: Ratio) -> Comparison:
    """Compare two ratios: their parts are proportional."""
    if len(reference.parts) != len(answer.parts):
        return Comparison(False, "a ratio of other parts")
    zeros = [[_is_zero(part) for part in ratio.parts] for ratio in (reference, answer)]
    if zeros[0] != zeros[1] or all(zeros[0]):
        return Comparison(False, "a ratio with other zeros")
    for one, other in combinations(range(len(reference.parts)), 2):
        found = equal_expressions(
            product(reference.parts[one], answer.parts[other]), product(reference.parts[other], answer.parts[one])
        )
        if not found:
            return found
    return Comparison(True, "the same ratio")


def _is_zero(part: Expression) -> bool:
    return bool(equal_expressions(Number(fmpq(0)), part))


def ratio_of_expression(reference: Ratio, answer: Expression) -> Comparison | None:
    """Compare a ratio of two parts with a fraction."""
    if len(reference.parts) != 2:
        return None
    return equal_expressions(quotient(*reference.parts), answer)


def expression_of_ratio(reference: Expression, answer: Ratio) -> Comparison | None:
    """Compare a fraction with a ratio of two parts."""
    if len(answer.parts) != 2:
        return None
    return equal_expressions(reference, quotient(*answer.parts))


def clocks(reference: Clock, answer: Clock) -> Comparison:
    """Compare times of day; where one does not say a.m. or p.m., either half of the day is right."""
    known = reference.half and answer.half
    turn = 86400 if known else 43200
    return Comparison((reference.seconds - answer.seconds) % turn == 0, "compared as times of day")


def clock_of_other(reference: Clock, answer: Value) -> Comparison | None:
    """Compare 3:40 with a ratio or a number: it may be a ratio."""
    ratio = _as_ratio(reference)
    return None if ratio is None else same(ratio, answer)


def other_of_clock(reference: Value, answer: Clock) -> Comparison | None:
    """Compare a ratio or a number with 3:40, which may be a ratio."""
    ratio = _as_ratio(answer)
    return None if ratio is None else same(reference, ratio)


def _as_ratio(clock: Clock) -> Ratio | None:
    if clock.half:
        return None
    hours, rest = divmod(clock.seconds, 3600)
    return Ratio((Number(fmpq(hours)), Number(fmpq(rest // 60)))) if rest and rest % 60 == 0 else None


def days(reference: Day, answer: Day) -> Comparison:
    """Compare dates; a year that one of them leaves out is forgiven."""
    pairs = ((reference.year, answer.year), (reference.month, answer.month), (reference.day, answer.day))
    is_same = all(a == b or (place == 0 and 0 in (a, b)) for place, (a, b) in enumerate(pairs))
    return Comparison(is_same, "compared as dates")


def names(reference: Named, answer: Named) -> Comparison:
    """Compare two named values."""
    return Comparison(reference == answer, "compared as named values")


def texts(reference: Text, answer: Text) -> Comparison:
    """Compare words."""
    return Comparison(reference == answer, "compared as words")


def text_of_symbol(reference: Text, answer: Symbol) -> Comparison:
    """Compare a word with a single letter."""
    return Comparison(reference.words == answer.name.casefold(), "compared as words")


def symbol_of_text(reference: Symbol, answer: Text) -> Comparison:
    """Compare a single letter with a word."""
    return text_of_symbol(answer, reference)
