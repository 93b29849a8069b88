"""Compare numbers, expressions and quantities with units.

In: two values that are expressions or quantities. Out: a `Comparison`. The reference decides whether rounding is
allowed; units convert within a dimension.
"""

from __future__ import annotations

import re

from flint import fmpq

from verifiers.maths.equality import Comparison, constant_difference, equal_expressions, rounds_to
from verifiers.maths.labels import are_opposite, share_a_word
from verifiers.maths.terms import (
    Constant,
    Expression,
    Number,
    Power,
    Product,
    Quantity,
    Sum,
    Symbol,
    product,
    quotient,
    replaced,
    symbols_of,
    total,
    walk,
)
from verifiers.maths.units import Unit, unit_named

_EXACT_DIGITS = 3
"""Significant digits from which on a decimal reference may be the rounded form of an exact answer."""
_DECIMAL_DIGITS = 4
"""Significant digits from which on a decimal reference may be the rounded form of a longer decimal."""
_DEGREE = Constant("degree")
_NO = Comparison(False, "not equal to the reference")


def quantities(reference: Quantity, answer: Quantity) -> Comparison:
    """Compare two quantities: units of one dimension convert, a missing one is forgiven."""
    if are_opposite(reference.label, answer.label):
        return Comparison(False, f"{answer.label}, the reference says {reference.label}")
    if "#" in (reference.unit, answer.unit):
        return _numbered(reference, answer)
    if "mod" in (reference.unit, answer.unit):
        return _residues(reference, answer)
    if "%" in (reference.unit, answer.unit) or "permille" in (reference.unit, answer.unit):
        other = answer.unit if reference.unit in ("%", "permille") else reference.unit
        if other not in ("", "%", "permille"):
            return Comparison(False, f"a percentage against {other}")
        return _percentages(reference, answer)
    if not reference.unit or not answer.unit:
        if reference.unit and not _may_stand_for(answer.label, reference):
            return Comparison(False, f"{answer.label}, the reference is in {reference.unit}")
        return expressions(reference.value, answer.value)
    wanted, given = _units_of(reference.unit, answer.unit)
    if wanted is None or given is None:
        return Comparison(False, f"the unit is {answer.unit}, the reference's is {reference.unit}")
    if {wanted.dimension, given.dimension} == {(("angle", 1),), (("radian", 1),)}:
        return _angles(reference.value, answer.value, degrees_are_wanted=wanted.dimension == (("angle", 1),))
    if wanted.dimension != given.dimension:
        return Comparison(False, f"the unit is {answer.unit}, the reference's is {reference.unit}")
    return expressions(reference.value, _converted(answer.value, given, wanted))


def _numbered(reference: Quantity, answer: Quantity) -> Comparison:
    """Compare "row 3" with "row 3" or "3"; a bare number is not answered by the number of something."""
    if reference.unit != "#":
        return Comparison(False, f"the number of a {answer.label}, the reference is a number")
    if answer.unit == "#" and not share_a_word(reference.label, answer.label):
        return Comparison(False, f"{answer.label}, the reference says {reference.label}")
    return expressions(reference.value, answer.value)


_FILLERS = frozenset(
    "per each a every in of for total long wide tall high deep more left altogether all away old".split()
)


def _may_stand_for(label: str, reference: Quantity) -> bool:
    """Tell whether a label that is no known unit may stand where the reference has a unit."""
    words = label.lower().split()
    if not words or words[0] in _FILLERS or share_a_word(label, f"{reference.unit} {reference.label}"):
        return True
    unit = unit_named(reference.unit)
    if unit is not None and re.search(r"\bunits?\b", label.lower()):
        power = 2 if re.search("sq|2", label) else 3 if re.search("cu|3", label) else 1
        return unit.dimension == (("length", power),)
    return not label.isascii()


def _units_of(reference: str, answer: str) -> tuple[Unit | None, Unit | None]:
    """Return both units; of a name that two units share, the one that fits the other."""
    wanted, given = unit_named(reference), unit_named(answer)
    if wanted is not None and given is not None and wanted.dimension != given.dimension:
        wanted, given = _homonym(reference, wanted, given), _homonym(answer, given, wanted)
    return wanted, given


_HOMONYMS = {"pound": "lb", "pounds": "lb", "¥": "yen"}
"""Words that name two units, with the other one."""


def _homonym(word: str, unit: Unit, other: Unit) -> Unit:
    second = unit_named(_HOMONYMS[word]) if word in _HOMONYMS else None
    return second if second is not None and second.dimension == other.dimension else unit


def _converted(value: Expression, given: Unit, wanted: Unit) -> Expression:
    if given == wanted:
        return value
    if given.offset or wanted.offset:
        absolute = total(product(value, Number(given.factor)), Number(given.offset - wanted.offset))
        return quotient(absolute, Number(wanted.factor))
    factor = given.factor / wanted.factor
    return (
        Number(value.value * factor)
        if isinstance(value, Number) and value.places is None
        else product(value, Number(factor))
    )


def _percentages(reference: Quantity, answer: Quantity) -> Comparison:
    scales = {"%": 2, "permille": 3}
    a, b = scales.get(reference.unit, 0), scales.get(answer.unit, 0)
    found = expressions(_shifted(reference.value, a), _shifted(answer.value, b))
    if not found and (a == 0 or b == 0):
        again = expressions(reference.value, answer.value)
        return again if again else found
    return found


def _shifted(value: Expression, places: int) -> Expression:
    """Return the value divided by a power of ten; a decimal stays one."""
    if isinstance(value, Number):
        return Number(value.value / 10**places, None if value.places is None else value.places + places, value.digits)
    return value if places == 0 else product(value, Number(fmpq(1, 10**places)))


def _residues(reference: Quantity, answer: Quantity) -> Comparison:
    if reference.unit == answer.unit and reference.label != answer.label:
        return Comparison(False, "another modulus")
    if isinstance(reference.value, Number) and isinstance(answer.value, Number) and reference.unit == answer.unit:
        difference = (reference.value.value - answer.value.value) / int(reference.label)
        return Comparison(difference.denom() == 1, "compared as residues")
    if "" not in (reference.unit, answer.unit) and reference.unit != answer.unit:
        return Comparison(False, "a residue against another quantity")
    sides = [_least_residue(side) for side in (reference, answer)]
    return expressions(sides[0], sides[1])


def _least_residue(quantity: Quantity) -> Expression:
    """Return 2 for 17 mod 5."""
    value = quantity.value
    if quantity.unit != "mod" or not isinstance(value, Number) or value.value.denom() != 1:
        return value
    return Number(fmpq(int(value.value.numer()) % int(quantity.label)))


def expression_of_quantity(reference: Expression, answer: Quantity) -> Comparison | None:
    """Compare an expression with a quantity."""
    wanted = _as_quantity(reference)
    if wanted is not None and (answer.unit or not _is_letters(reference)):
        return quantities(wanted, answer)
    if answer.unit in ("%", "permille", "mod", "#"):
        return quantities(Quantity(reference, ""), answer)
    if answer.unit and symbols_of(reference) and not symbols_of(answer.value):
        letters = _as_letters(answer)
        if letters is not None:
            return expressions(reference, letters)
    turned = _other_angle(reference, answer)
    return turned if turned is not None else expressions(reference, answer.value)


def quantity_of_expression(reference: Quantity, answer: Expression) -> Comparison | None:
    """Compare a quantity with an expression."""
    given = _as_quantity(answer)
    if given is not None and not (symbols_of(answer) & symbols_of(reference.value)):
        return quantities(reference, given)
    if reference.unit in ("%", "permille", "mod", "#"):
        return quantities(reference, Quantity(answer, ""))
    turned = _other_angle(answer, reference, swapped=True)
    return turned if turned is not None else expressions(reference.value, answer)


def _other_angle(radians: Expression, degrees: Quantity, *, swapped: bool = False) -> Comparison | None:
    """Compare pi/6 with 30°; a bare number that is no multiple of pi is no angle in radians."""
    if degrees.unit != "deg" or not any(node == Constant("pi") for node in walk(radians)):
        return None
    turned = product(degrees.value, _DEGREE)
    return equal_expressions(turned, radians) if swapped else equal_expressions(radians, turned)


def _angles(reference: Expression, answer: Expression, *, degrees_are_wanted: bool) -> Comparison:
    sides = [product(reference, _DEGREE), answer] if degrees_are_wanted else [reference, product(answer, _DEGREE)]
    return equal_expressions(sides[0], sides[1])


def _as_quantity(value: Expression) -> Quantity | None:
    """Read 5 m and 10 m/s, which are products of letters, as quantities; None if they are none."""
    if not isinstance(value, Product):
        return None
    start = next((place for place, factor in enumerate(value.factors) if symbols_of(factor)), 0)
    letters = value.factors[start:]
    if start == 0 or not 1 <= len(letters) <= 3:
        return None
    pieces = []
    for letter in letters:
        match letter:
            case Symbol(name=name):
                pieces.append(name)
            case Power(base=Symbol(name=name), exponent=Number(value=power)) if power.denom() == 1:
                pieces.append(f"{name}^{power}")
            case Power(
                base=Power(base=Symbol(name=name), exponent=Number(value=power)), exponent=Number(value=outer)
            ) if (power * outer).denom() == 1:
                pieces.append(f"{name}^{power * outer}")
            case _:
                return None
    for unit in (" ".join(pieces), "".join(pieces)):
        if unit_named(unit) is not None:
            return Quantity(product(*value.factors[:start]), unit)
    return None


_USUAL_UNITS = frozenset(("m", "g", "kg", "cm", "mm", "km", "s", "L", "N", "J", "W", "V"))


def _is_letters(value: Expression) -> bool:
    """Tell whether a product of a number and letters is more likely one of variables than a quantity: 5h, 2t/h."""
    found = _as_quantity(value)
    return found is not None and found.unit not in _USUAL_UNITS and found.unit not in ("m s^-1", "m s^-2", "m^2", "m^3")


def _as_letters(quantity: Quantity) -> Expression | None:
    letters = quantity.unit.replace(" ", "")
    return (
        product(quantity.value, *(Symbol(letter) for letter in letters))
        if letters.isalpha() and len(letters) <= 3
        else None
    )


def expressions(reference: Expression, answer: Expression) -> Comparison:
    """Compare two expressions: exactly, or rounded where the reference is."""
    read_as = [_as_quantity(side) for side in (reference, answer)]
    if read_as[0] is not None and read_as[1] is not None:
        return quantities(read_as[0], read_as[1])
    if read_as[1] is not None and not symbols_of(reference) and not _is_letters(answer):
        return expressions(reference, read_as[1].value)
    if read_as[0] is not None and not symbols_of(answer) and not _is_letters(reference):
        return expressions(read_as[0].value, answer)
    found = equal_expressions(reference, answer)
    if found or (found.equal is None and not isinstance(reference, Number)):
        return found
    if isinstance(reference, (Number, Product)) and not symbols_of(answer):
        rounded = _rounded(reference, answer)
        if rounded:
            return Comparison(True, f"rounds to the reference's {rounded} digits")
    integrated = _antiderivatives(reference, answer)
    if integrated is not None:
        return integrated
    if _has_degrees(reference) != _has_degrees(answer) and (symbols_of(reference) or symbols_of(answer)):
        plain = [replaced(side, _DEGREE, Number(fmpq(1))) for side in (reference, answer)]
        again = equal_expressions(plain[0], plain[1])
        return again if again else found
    return found


def _rounded(reference: Number | Product, answer: Expression) -> int:
    """Return how many significant digits of a decimal reference the answer rounds to; 0 if it does not."""
    decimal = _as_decimal(reference)
    if decimal is None or decimal.places is None:
        return 0
    given = _as_decimal(answer) if isinstance(answer, (Number, Product)) else None
    written = any(isinstance(node, Number) and node.places is not None for node in walk(answer))
    if written and given is None:
        return 0  # a sum of decimals is no rounded form
    if decimal.digits < (_DECIMAL_DIGITS if written else _EXACT_DIGITS):
        return 0
    if written and given is not None and given.places is not None and given.places < decimal.places:
        return 0
    if not written and isinstance(answer, Number) and answer.value.denom() == 1:
        return 0  # a whole number is never a longer form of a decimal
    return decimal.digits if rounds_to(decimal, answer) else 0


def _as_decimal(value: Expression) -> Number | None:
    """Return a decimal, also one times a power of ten."""
    if isinstance(value, Number):
        return value
    match value:
        case Product(
            factors=(Number(places=int(places)) as number, Power(base=Number(value=ten), exponent=Number(value=power)))
        ):
            if ten == 10 and power.denom() == 1 and abs(power) < 1000:
                return Number(number.value * ten ** int(power.numer()), places - int(power.numer()), number.digits)
    return None


def _constant_of(value: Expression, names: frozenset[str]) -> Symbol | None:
    """Return the constant of integration: a lone name among the terms that stands nowhere else."""
    if not isinstance(value, Sum):
        return None
    found = [term for term in value.terms if isinstance(term, Symbol) and term.name in names]
    rest = [term for term in value.terms if term not in found]
    if len(found) != 1 or any(found[0].name in symbols_of(term) for term in rest):
        return None
    return found[0] if len(frozenset().union(*(symbols_of(term) for term in rest))) == 1 else None


_CONSTANTS = frozenset(("C", "C_1", "const"))
_INTEGRATED = frozenset(("x", "t", "u", "s", "z", "\\theta"))
_OTHER_CONSTANTS = _CONSTANTS | {"c", "K", "k", "c_1", "C_0", "D"}


def _antiderivatives(reference: Expression, answer: Expression) -> Comparison | None:
    """Compare up to the constant of integration, if the reference has one."""
    constants = _constant_of(reference, _OTHER_CONSTANTS), _constant_of(answer, _OTHER_CONSTANTS)
    if constants[0] is None or constants[1] is None:
        return None
    may_shift = constants[0].name in _CONSTANTS
    if not may_shift and not symbols_of(reference) & _INTEGRATED:
        return None
    sides = [
        replaced(side, constant, Number(fmpq(0)))
        for side, constant in ((reference, constants[0]), (answer, constants[1]))
    ]
    if symbols_of(sides[0]) != symbols_of(sides[1]):
        return _NO
    found = equal_expressions(sides[0], sides[1])
    if found or not may_shift:
        return found
    return Comparison(constant_difference(sides[0], sides[1]), "compared up to a constant")


def _has_degrees(value: Expression) -> bool:
    return any(node == _DEGREE for node in walk(value))
