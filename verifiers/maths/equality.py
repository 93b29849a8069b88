"""Say whether two expressions are equal, and how surely.

In: two expressions. Out: a `Comparison`. The ladder, from cheap and certain to dear:

    structure   the same tree
    rationals   both are rational numbers: exact, final
    balls       numbers that differ: proven by disjoint balls, final
    bounds      algebraic numbers that agree: proven by a separation bound
    digits      other numbers that agree: to so many digits that no coincidence of their size is known; not proven
    residues    rational functions at random points modulo a prime of 125 bits: difference is final, equality wrong
                with a probability below 2**-100 for what fits in here
    points      other functions at random real points: difference is final, equality not proven

The separation bound is that of Burnikel, Funke, Mehlhorn, Schirra and Schmitt (2009, "A separation bound for real
algebraic expressions", Algorithmica 55): an expression of value U / L that is not zero is at least 1 / (u**(D-1) * l),
where u and l bound all conjugates of U and L and D bounds the degree.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flint import arb, fmpq

from verifiers.maths.arithmetic import (
    COMPLEX,
    EXACT,
    MODULAR,
    REALS,
    Balls,
    Inexact,
    Modular,
    TooLarge,
    Undefined,
    evaluate,
    point,
    precision,
    prime_for,
    residue,
)
from verifiers.maths.terms import (
    Call,
    Constant,
    Expression,
    Number,
    Power,
    Product,
    Sum,
    Symbol,
    Work,
    negative,
    symbols_of,
    total,
    walk,
)

_MAX_BITS = 24_000
"""Balls are computed with no more bits than this."""
_MAX_WORK = 6_000_000
"""Bits times nodes that one evaluation may take."""
_FIRST_BITS = 160
_MODEST_BITS = 4000
_MAX_FUNCTION_BITS = 8000
_MAX_SYMBOLS = 200
_NUM_POINTS = 12
_MIN_POINTS = 3
MAX_NODES = 3000
"""Larger expressions are compared by structure only."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison came to."""

    equal: bool | None
    """Whether the two are equal; None where that cannot be said."""
    reason: str
    """What decided, in a phrase that says how certain it is."""
    unreadable: bool = False
    """Whether the reference could not be read, so that nothing was compared."""

    def __bool__(self) -> bool:
        """Say whether the two are surely equal."""
        return self.equal is True


def equal_expressions(reference: Expression, answer: Expression) -> Comparison:
    """Compare two expressions without plus-minus signs: as numbers, or as functions of their variables.

    An answer with a variable that the reference does not have is never equal to it.
    """
    if reference == answer:
        return Comparison(True, "the same expression")
    if len(symbols_of(reference) | symbols_of(answer)) > _MAX_SYMBOLS:
        return Comparison(None, f"more than {_MAX_SYMBOLS} variables")
    if _size(reference) > MAX_NODES:
        return Comparison(None, f"an expression of more than {MAX_NODES} parts")
    if _size(answer) > MAX_NODES:
        return Comparison(False, f"an expression of more than {MAX_NODES} parts")
    if any(isinstance(node, Work) for node in walk(answer)) and not any(isinstance(n, Work) for n in walk(reference)):
        return Comparison(False, "it states work that is not carried out")
    infinite = [_infinity(side) for side in (reference, answer)]
    if any(sign is not None for sign in infinite):
        return Comparison(infinite[0] == infinite[1] and 0 not in infinite, "compared as infinities")
    names, others = symbols_of(reference), symbols_of(answer)
    if not others <= names or (names and not others):
        if names and not others and _is_constant(reference):
            return _equal_numbers(_emptied(reference), answer)
        return Comparison(False, "they have different variables")
    if not names:
        return _equal_numbers(reference, answer)
    return _equal_functions(reference, answer, sorted(names))


def rounds_to(reference: Number, answer: Expression) -> bool:
    """Tell whether the answer, rounded to the places of the reference, is the reference."""
    if reference.places is None:
        return False
    half = fmpq(10) ** -reference.places / 2
    try:
        return bool(abs(evaluate(answer, EXACT, {}) - reference.value) <= half)
    except (Inexact, Undefined, TooLarge):
        pass
    try:
        with precision(256):
            return bool(abs(evaluate(answer, REALS, {}) - arb(reference.value)) <= arb(half))
    except (Undefined, TooLarge):
        return False


def proportional(reference: Expression, answer: Expression) -> Comparison:
    """Say whether one is the other times a number that is not zero: whether `... = 0` says the same of both."""
    names = sorted(symbols_of(reference) | symbols_of(answer))
    if symbols_of(reference) != symbols_of(answer) or not names:
        return Comparison(False, "they have different variables")
    ratios: list[Any] = []
    modular = _modular(reference, answer)
    for turn in range(6):
        try:
            values = {name: residue(name, turn, modular.prime) for name in names}
            below = evaluate(reference, modular, values)
            above = evaluate(answer, modular, values)
        except Undefined:
            continue
        except (Inexact, TooLarge):
            return _proportional_balls(reference, answer)
        if below == 0 or above == 0:
            return Comparison(False, "an equation that always holds")
        ratios.append(modular.inverse(below) * above % modular.prime)
        if ratios[-1] != ratios[0]:
            return Comparison(False, "not multiples of each other")
    return (
        Comparison(True, "multiples of each other") if len(ratios) >= 2 else Comparison(None, "no point to compare at")
    )


def _proportional_balls(reference: Expression, answer: Expression) -> Comparison:
    first, num_ratios = None, 0
    try:
        for below, above in _sampled(reference, answer):
            if below.contains(0) or above.contains(0) or not _is_sharp(ratio := above / below):
                continue
            first = ratio if first is None else first
            num_ratios += 1
            if not ratio.overlaps(first):
                return Comparison(False, "not multiples of each other")
    except TooLarge as error:
        return Comparison(None, str(error))
    return Comparison(num_ratios >= _MIN_POINTS, "multiples of each other at random points")


def positive_multiple(reference: Expression, answer: Expression) -> Comparison:
    """Say whether one is the other times a positive number: whether `... < 0` says the same of both."""
    found = proportional(reference, answer)
    if not found:
        return found
    try:
        for below, above in _sampled(reference, answer):
            sign = below * above
            if sign > 0:
                return found
            if sign < 0:
                return Comparison(False, "the inequality points the other way")
    except TooLarge as error:
        return Comparison(None, str(error))
    return Comparison(None, "no point to compare at")


def constant_difference(reference: Expression, answer: Expression) -> bool:
    """Tell whether the two differ by a number only, as two antiderivatives may."""
    if _is_of_complex(reference) or _is_of_complex(answer):
        return False
    first, num_points = None, 0
    try:
        for one, other in _sampled(reference, answer):
            difference = one - other
            if not _is_sharp(difference, absolute=True):
                continue
            first = difference if first is None else first
            num_points += 1
            if not difference.overlaps(first):
                return False
    except TooLarge:
        return False
    return num_points >= _MIN_POINTS


def _sampled(reference: Expression, answer: Expression) -> Iterator[tuple[Any, Any]]:
    """Yield the values of both at arbitrary real points where both have one. Raises TooLarge."""
    names = sorted(symbols_of(reference) | symbols_of(answer))
    bits = _bits_for(reference, answer)
    if bits > _MAX_FUNCTION_BITS:
        raise TooLarge("a part of them is too large or too small to be seen")
    for turn in range(_NUM_POINTS):
        with precision(bits):
            values = _points(names, turn, REALS)
            with contextlib.suppress(Undefined):
                yield evaluate(reference, REALS, values), evaluate(answer, REALS, values)


def numeric_value(expression: Expression) -> Any:
    """Return a real ball around a number, or None if it has no real value. For ordering, not for equality."""
    try:
        with precision(_FIRST_BITS):
            return evaluate(expression, REALS, {})
    except (Undefined, TooLarge):
        return None


def _equal_numbers(reference: Expression, answer: Expression) -> Comparison:
    exact: list[fmpq | None] = []
    for side, name in ((reference, "reference"), (answer, "answer")):
        try:
            exact.append(evaluate(side, EXACT, {}))
        except (Inexact, TooLarge):
            exact.append(None)
        except Undefined as error:
            return Comparison(None if name == "reference" else False, f"the {name} has no value: {error}")
    if exact[0] is not None and exact[1] is not None:
        return Comparison(exact[0] == exact[1], "compared as exact numbers")
    if isinstance(reference, Power) and isinstance(answer, Power) and reference.base == answer.base:
        base = reference.base
        if isinstance(base, Number) and base.value > 1:  # towers on one base differ as their exponents do
            return equal_expressions(reference.exponent, answer.exponent)
    try:
        return _equal_balls(reference, answer)
    except TooLarge as error:
        if _is_sharp_number(reference):
            return Comparison(False, f"too large to be evaluated, which the reference is not: {error}")
        if _is_beyond(reference) != _is_beyond(answer):
            return Comparison(False, "one of them is larger than the other can be")
        return Comparison(None, f"it cannot be told apart within bounds: {error}")


def _equal_balls(reference: Expression, answer: Expression) -> Comparison:
    difference = total(reference, negative(answer))
    arithmetic = REALS
    for arithmetic in (REALS, COMPLEX):
        try:
            with precision(_FIRST_BITS):
                a = evaluate(reference, arithmetic, {})
                b = evaluate(answer, arithmetic, {})
                if not a.overlaps(b):
                    return Comparison(False, "proven different by their digits")
            break
        except Undefined as error:
            if arithmetic is COMPLEX:
                return _undefined(reference, answer, error)
    bits = _separation_bits(difference, arithmetic)
    if bits is not None:
        with precision(int(bits) + 64):
            value = evaluate(difference, arithmetic, {})
            if not value.contains(0):
                return Comparison(False, "proven different by their digits")
            if _below(value, bits):
                return Comparison(True, "proven equal by a separation bound")
    try:
        modular = _modular(reference, answer)
        residues = [evaluate(side, modular, {}) for side in (reference, answer)]
    except (Inexact, TooLarge, Undefined):
        pass
    else:
        is_same = residues[0] == residues[1]
        said = "equal modulo a prime of 125 bits" if is_same else "proven different modulo a prime"
        return Comparison(is_same, said)
    return _equal_digits(reference, answer, difference, arithmetic)


def _equal_digits(reference: Expression, answer: Expression, difference: Expression, arithmetic: Balls) -> Comparison:
    """Compare to so many digits that no part of either side is too small to be seen."""
    bits = _magnitude_bits(difference, arithmetic)
    if bits * _size(difference) > _MAX_WORK or bits > _MAX_BITS:
        # the answer holds something too small to be seen, or the reference does
        is_modest = _magnitude_bits(reference, arithmetic) < _MODEST_BITS
        reason = "they agree in all digits that can be computed, which proves nothing at their size"
        return Comparison(False if is_modest else None, reason)
    with precision(int(bits)):
        sides = [evaluate(side, arithmetic, {}) for side in (reference, answer)]
        if not sides[0].overlaps(sides[1]):
            return Comparison(False, "proven different by their digits")
        if not all(_is_narrow(side, bits / 4) for side in sides):
            return Comparison(False, "no value that is certain")
    return Comparison(True, f"equal to {int(bits * 0.3)} digits, not proven")


def _is_narrow(value: Any, bits: float) -> bool:
    """Tell whether a ball is narrow: absolutely, or for its size."""
    return bool(value.rel_accuracy_bits() > bits) or _below(value - value.mid(), bits)


def _modular(*sides: Expression) -> Modular:
    """Return the arithmetic modulo a prime: one of their own for long numbers, which may be made for ours."""
    if any(isinstance(node, Number) and node.value.height_bits() > 100 for side in sides for node in walk(side)):
        return Modular(prime_for(repr(sides)))
    return MODULAR


def _is_sharp_number(expression: Expression) -> bool:
    """Tell whether a number is evaluated with ease."""
    for arithmetic in (REALS, COMPLEX):
        try:
            with precision(_FIRST_BITS):
                return _is_sharp(evaluate(expression, arithmetic, {}), absolute=True)
        except (Undefined, TooLarge):
            continue
    return False


def _is_beyond(expression: Expression) -> bool:
    """Tell a number that is surely too large for a ball: a tower of whole numbers, or the factorial of one."""
    match expression:
        case Power(base=Number(value=base), exponent=exponent) if base >= 2:
            try:
                with precision(64):
                    return bool(evaluate(exponent, REALS, {}) > arb(2) ** 41)
            except TooLarge:
                return _is_beyond(exponent)
            except Undefined:
                return False
        case Call(name="factorial", args=(inner,)):
            try:
                with precision(64):
                    return bool(evaluate(inner, REALS, {}) > arb(2) ** 36)
            except TooLarge:
                return _is_beyond(inner)
            except Undefined:
                return False
    return False


def _undefined(reference: Expression, answer: Expression, error: Undefined) -> Comparison:
    for side, verdict in ((reference, None), (answer, False)):
        try:
            with precision(_FIRST_BITS):
                evaluate(side, COMPLEX, {})
        except Undefined:
            whose = "reference" if verdict is None else "answer"
            return Comparison(verdict, f"the {whose} has no value: {error}")
        except TooLarge:
            return Comparison(None, "too large to be evaluated")
    return Comparison(None, f"no value: {error}")


def _equal_functions(reference: Expression, answer: Expression, names: list[str]) -> Comparison:
    found = _equal_residues(reference, answer, names)
    if found is not None:
        return found
    bits = _bits_for(reference, answer)
    if bits > _MAX_FUNCTION_BITS:
        is_modest = _bits_for(reference) < _MODEST_BITS
        return Comparison(False if is_modest else None, "a part of them is too large or too small to be seen")
    stages: tuple[tuple[str, Balls], ...] = (("real", REALS), ("whole", REALS), ("real", COMPLEX), ("complex", COMPLEX))
    if _is_of_complex(reference) or _is_of_complex(answer):
        stages = stages[2:]
    agreed = None
    for points, arithmetic in stages:
        compared = _equal_at(reference, answer, names, points, arithmetic, bits)
        if compared is not None and (compared.equal is False or not (points == "real" and arithmetic.is_complex)):
            return compared
        agreed = compared or agreed
    return agreed or Comparison(False, "no point at which both have a value")


def _equal_residues(reference: Expression, answer: Expression, names: list[str]) -> Comparison | None:
    agreed = 0
    modular = _modular(reference, answer)
    for turn in range(6):
        values = {name: residue(name, turn, modular.prime) for name in names}
        try:
            if evaluate(reference, modular, values) != evaluate(answer, modular, values):
                return Comparison(False, "proven different by a residue")
        except Undefined:
            continue
        except (Inexact, TooLarge):
            return None
        agreed += 1
        if agreed == 2:
            return Comparison(True, "equal at random points modulo a prime of 125 bits")
    return None


def _equal_at(
    reference: Expression, answer: Expression, names: list[str], points: str, arithmetic: Balls, bits: int
) -> Comparison | None:
    """Compare at many points; None where there are too few at which both have a value."""
    agreed = only_reference = 0
    kinks = _kinks(reference, answer) if points == "real" else []
    for turn in range(_NUM_POINTS + len(kinks)):
        with precision(bits):
            if turn >= _NUM_POINTS:
                values = _points_at(kinks[turn - _NUM_POINTS], names, arithmetic)
            elif points == "whole":
                values = _whole_points(names, turn)
            else:
                values = _points(names, turn, arithmetic, is_complex=points == "complex")
            sides: list[Any] = []
            try:
                for side in (reference, answer):
                    try:
                        sides.append(evaluate(side, arithmetic, values))
                    except Undefined:
                        sides.append(None)
            except TooLarge:
                continue
            if sides[0] is None or sides[1] is None:
                only_reference += sides[1] is None and sides[0] is not None
                continue
            if not sides[0].overlaps(sides[1]):
                return Comparison(False, f"different at a {points} point")
            agreed += all(_is_sharp(side, absolute=True) for side in sides)
    may_be_narrower = 2 * agreed if _is_partial(reference) else agreed / 2
    if agreed >= _MIN_POINTS and only_reference <= may_be_narrower:
        return Comparison(True, f"equal at {agreed} random {points} points to {int(bits * 0.3)} digits, not proven")
    return Comparison(False, "not defined where the reference is") if agreed >= _MIN_POINTS else None


def _is_of_complex(expression: Expression) -> bool:
    """Tell whether a function of complex numbers stands in it: nothing real says what it is."""
    return any(isinstance(node, Call) and node.name in ("Re", "Im", "arg") for node in walk(expression))


def _is_partial(expression: Expression) -> bool:
    """Tell whether a logarithm or an even root bounds the domain: the answer's may then be narrower still."""
    return any(
        (isinstance(node, Call) and node.name in ("ln", "log"))
        or (isinstance(node, Power) and isinstance(node.exponent, Number) and node.exponent.value.denom() % 2 == 0)
        for node in walk(expression)
    )


def _kinks(*sides: Expression) -> list[fmpq]:
    """Return where functions by cases may change: about the numbers written, on both sides, and far away."""
    by_cases = any(
        (isinstance(node, Call) and node.name in ("abs", "floor", "ceil", "sgn", "max", "min", "round"))
        or (isinstance(node, Power) and isinstance(node.exponent, Number) and node.exponent.value.denom() % 2 == 0)
        for side in sides
        for node in walk(side)
    )
    if not by_cases:
        return []
    written = {abs(node.value) for side in sides for node in walk(side) if isinstance(node, Number)}
    found = [fmpq(10**3), fmpq(10**6), fmpq(10**12)]
    for value in sorted(written)[:12]:
        if 0 < value < 10**30:
            root = fmpq(math.isqrt(int(value.numer()) * 10**12 // int(value.denom())), 10**6)
            found += [
                value + fmpq(1, 7),
                value - fmpq(1, 7),
                2 * value + fmpq(1, 7),
                root + fmpq(1, 7),
                root - fmpq(1, 7),
            ]
    return [sign * value for value in found for sign in (1, -1)]


def _points_at(value: fmpq, names: list[str], arithmetic: Balls) -> dict[str, Any]:
    return {name: arithmetic.number(value + point(name) / 100) for name in names}


_SCALES = (
    fmpq(1),
    fmpq(4),
    fmpq(1, 3),
    fmpq(12),
    fmpq(1),
    fmpq(90),
    fmpq(1),
    fmpq(3),
    fmpq(1, 2),
    fmpq(8),
    fmpq(1),
    fmpq(2),
)


def _points(names: list[str], turn: int, arithmetic: Balls, *, is_complex: bool = False) -> dict[str, Any]:
    """Return arbitrary values of many sizes: at first positive ones, then of mixed signs."""
    scale = _SCALES[turn % len(_SCALES)]
    values = {}
    for place, name in enumerate(names):
        value = scale * (point(name, turn) + fmpq(1, 7))
        if turn >= 5 and (turn % 2 or (turn + place) % 3):
            value = -value
        values[name] = arithmetic.number(value)
        if is_complex:
            height = arithmetic.number(point(name, turn + 100) * (-1 if (turn + place) % 2 else 1))
            values[name] += arithmetic.constant("i") * height
    return values


def _whole_points(names: list[str], turn: int) -> dict[str, Any]:
    return {name: REALS.number(fmpq(2 + (turn * 7 + place * 5) % 13)) for place, name in enumerate(names)}


def _is_sharp(value: Any, *, absolute: bool = False) -> bool:
    """Tell whether a ball is narrow enough to mean something."""
    return bool(value.rel_accuracy_bits() > 40) or (absolute and _below(value - value.mid(), 40))


def _below(value: Any, bits: float) -> bool:
    """Tell whether the absolute value is surely below 2 ** -bits."""
    return bool(abs(value) < arb(2) ** int(-bits))


def _bits_for(*sides: Expression) -> int:
    """Return a precision at which no number in the expressions is too small to be seen."""
    bits = 200.0
    for side in sides:
        for node in walk(side):
            if isinstance(node, Number):
                bits += 2 * float(node.value.height_bits())
            elif isinstance(node, (Power, Call)) and not symbols_of(node):
                bits += _magnitude(node, COMPLEX)
    return int(bits)


def _magnitude(expression: Expression, arithmetic: Balls) -> float:
    """Return twice the binary logarithm of a number's size, or of its inverse's."""
    try:
        with precision(64):
            value = abs(evaluate(expression, arithmetic, {}))
            if value.contains(0):
                return 64.0
            return 2 * abs(float((value.mid() if value.mid() > 0 else value.abs_upper()).log().mid()) * 1.4427)
    except Undefined:
        return 0.0
    except TooLarge:
        return 1e9


def _magnitude_bits(expression: Expression, arithmetic: Balls) -> float:
    """Return how many bits a comparison must see so that no part of the expression is too small to count."""
    bits = 400.0
    for node in walk(expression):
        if isinstance(node, (Power, Call)):
            bits += _magnitude(node, arithmetic)
        elif isinstance(node, Number):
            bits += 2 * float(node.value.height_bits())
    return bits


def _separation_bits(expression: Expression, arithmetic: Balls) -> float | None:
    """Return b such that the value is zero or at least 2**-b; None if it is not algebraic or b is too large."""
    if arithmetic.is_complex and any(isinstance(node, Call) and node.name == "abs" for node in walk(expression)):
        return None  # the absolute value of a complex number lies in a larger field
    degree = [1.0]
    try:
        up, low = _conjugates(expression, degree, {})
    except (Inexact, TooLarge, Undefined, OverflowError):
        return None
    bits = up * (degree[0] - 1) + low + up + 8
    return bits if bits < _MAX_BITS and bits * _size(expression) < _MAX_WORK else None


def _conjugates(expression: Expression, degree: list[float], seen: dict[Expression, None]) -> tuple[float, float]:
    """Return bounds of log2 u and log2 l of U / L; multiplies `degree` by that of each root met for the first time."""
    match expression:
        case Number(value=value):
            return _bits(int(value.numer())), _bits(int(value.denom()))
        case Constant(name="i"):
            _grow(expression, 2, degree, seen)
            return 0.0, 0.0
        case Sum(terms=terms):
            up, low = _conjugates(terms[0], degree, seen)
            for term in terms[1:]:
                u, v = _conjugates(term, degree, seen)
                up, low = max(up + v, u + low) + 1, low + v
            return up, low
        case Product(factors=factors):
            parts = [_conjugates(factor, degree, seen) for factor in factors]
            return sum(u for u, _ in parts), sum(v for _, v in parts)
        case Power(base=Constant(name="e"), exponent=exponent):
            turn = _turn(exponent, imaginary=True)
            _grow(expression, int(turn.denom()), degree, seen)
            return 0.0, 0.0
        case Power(base=base, exponent=exponent):
            raised = evaluate(exponent, EXACT, {})
            up, low = _conjugates(base, degree, seen)
            if raised < 0:
                up, low, raised = low, up, -raised
            index = int(raised.denom())
            if index > 1:
                _grow(expression if base == expression else Power(base, Number(fmpq(1, index))), index, degree, seen)
                up, low = (
                    ((up + (index - 1) * low) / index, low) if up >= low else (up, ((index - 1) * up + low) / index)
                )
            return up * int(raised.numer()), low * int(raised.numer())
        case Call(name="root", args=(inner, order)):
            return _conjugates(Power(inner, Power(order, Number(fmpq(-1)))), degree, seen)
        case Call(name="abs", args=(inner,)):
            return _conjugates(inner, degree, seen)
        case Call(name=("sin" | "cos"), args=(angle,)):
            turn = _turn(angle)
            _grow(Call("circle", (Number(fmpq(1, turn.denom())),)), int(turn.denom()) * 2, degree, seen)
            return 1.0, 1.0
    raise Inexact("not algebraic")


def _grow(key: Expression, by: int, degree: list[float], seen: dict[Expression, None]) -> None:
    if key not in seen:
        seen[key] = None
        degree[0] *= by
    if degree[0] > 4096:
        raise TooLarge("an algebraic degree that is too high")


def _turn(angle: Expression, *, imaginary: bool = False) -> fmpq:
    """Return the angle in half turns if it is a rational part of one. Raises Inexact."""
    factors = angle.factors if isinstance(angle, Product) else (angle,)
    rest: list[Expression] = []
    num_pi = num_i = num_degree = 0
    for factor in factors:
        num_pi += factor == Constant("pi")
        num_i += factor == Constant("i")
        num_degree += factor == Constant("degree")
        if not isinstance(factor, Constant):
            rest.append(factor)
    if (num_pi + num_degree, num_i) != (1, int(imaginary)) or num_pi + num_i + num_degree + len(rest) != len(factors):
        raise Inexact("no rational part of a turn")
    value = fmpq(1, 180) if num_degree else fmpq(1)
    for factor in rest:
        value *= evaluate(factor, EXACT, {})
    if value.denom() > 2000:
        raise TooLarge("a part of a turn")
    return value


def _bits(value: int) -> float:
    return math.log2(abs(value)) if 0 < abs(value) < 1 << 1000 else float(abs(value).bit_length())


def _size(expression: Expression) -> int:
    return sum(1 for _ in walk(expression))


def _infinity(expression: Expression) -> int | None:
    """Return 1 or -1 for an infinity, 0 for an expression that has one inside, None for any other."""
    if not any(node == Constant("oo") for node in walk(expression)):
        return None
    if expression == Constant("oo"):
        return 1
    if isinstance(expression, Product) and len(expression.factors) == 2 and expression.factors[1] == Constant("oo"):
        first = expression.factors[0]
        return (
            -1
            if isinstance(first, Number) and first.value < 0
            else 1
            if isinstance(first, Number) and first.value > 0
            else 0
        )
    return 0


def _is_constant(expression: Expression) -> bool:
    """Tell whether a reference with variables has the same value everywhere, as x^0 or sin^2 x + cos^2 x."""
    return constant_difference(expression, Number(fmpq(0)))


def _emptied(expression: Expression) -> Expression:
    from verifiers.maths.terms import replaced

    for name in symbols_of(expression):
        expression = replaced(expression, Symbol(name), Number(fmpq(2)))
    return expression
