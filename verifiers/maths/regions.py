"""Sets of real numbers: intervals, unions, inequalities, sets by condition, all in one normal form.

In: values as they are read. Out: a `Region`: disjoint pieces from left to right. Comparing two regions is comparing
their pieces. Regions have numbers as ends; what has a variable at an end is no region.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from flint import arb, fmpq

from verifiers.maths.equality import Comparison, equal_expressions, numeric_value
from verifiers.maths.terms import (
    EXPRESSIONS,
    Bracketed,
    Builder,
    Call,
    Constant,
    Expression,
    Named,
    Number,
    Operated,
    Product,
    Relation,
    Several,
    Symbol,
    Value,
    negative,
    product,
    symbols_of,
)

_MAX_PIECES = 80
_INFINITE = Constant("oo")
_MINUS_INFINITE = product(Number(fmpq(-1)), _INFINITE)


@dataclass(frozen=True, slots=True)
class Piece:
    """An interval; a single number where both ends are equal and closed."""

    low: Expression
    """Left end."""
    low_closed: bool
    """Whether the left end belongs to it."""
    high: Expression
    """Right end."""
    high_closed: bool
    """Whether the right end belongs to it."""


@dataclass(frozen=True, slots=True)
class Region:
    """A union of disjoint pieces, from left to right."""

    pieces: tuple[Piece, ...]
    """Its pieces; none for the empty set."""


ALL = Region((Piece(_MINUS_INFINITE, False, _INFINITE, False),))


class NoRegion(Exception):
    """The value is no set of reals, or its ends cannot be ordered."""


def region_of(value: Value) -> tuple[Region, str | None]:
    """Return the region that a value is, and the variable it is said of, if one is named. Raises NoRegion."""
    match value:
        case Named(name="reals"):
            return ALL, None
        case Named(
            name=("integers" | "naturals" | "rationals" | "complexes" | "positive integers" | "positive naturals")
        ):
            raise NoRegion
        case Named(name="empty"):
            return Region(()), None
        case Bracketed(opening="{", items=items):
            return _normal([_single(item) for item in items]), None
        case Bracketed(opening=("(" | "[" | "]") as opening, closing=(")" | "]" | "[") as closing, items=(low, high)):
            piece = Piece(_end(low), opening == "[", _end(high), closing == "]")
            if (piece.low_closed and _is_infinite(piece.low)) or (piece.high_closed and _is_infinite(piece.high)):
                raise NoRegion  # infinity belongs to no interval
            return _normal([piece]), None
        case Operated(operation=operation, left=left, right=right):
            return _operated(operation, region_of(left)[0], region_of(right)[0]), None
        case Builder(element=element, condition=condition):
            return _built(element, condition)
        case Relation():
            return _related(value)
        case Several(items=items, joint=joint):
            return _joined(items, joint)
    raise NoRegion


def same_region(reference: Region, answer: Region) -> bool:
    """Tell whether two regions have the same pieces."""
    return len(reference.pieces) == len(answer.pieces) and all(
        (a.low_closed, a.high_closed) == (b.low_closed, b.high_closed)
        and equal_expressions(a.low, b.low)
        and equal_expressions(a.high, b.high)
        for a, b in zip(reference.pieces, answer.pieces, strict=True)
    )


def whole_bounds(region: Region) -> tuple[int, int]:
    """Return the first and last whole number of a region of one piece. Raises NoRegion if it has no such bounds."""
    if len(region.pieces) != 1:
        raise NoRegion
    piece = region.pieces[0]
    ends = []
    for end in (piece.low, piece.high):
        value = numeric_value(end)
        if not isinstance(value, arb) or not value.is_finite() or not abs(value) < 10**9:
            raise NoRegion
        ends.append(value)
    whole = ends[0].ceil().unique_fmpz(), ends[1].floor().unique_fmpz()
    if whole[0] is None or whole[1] is None:
        raise NoRegion
    low, high = int(whole[0]), int(whole[1])
    low += not piece.low_closed and ends[0] == low
    high -= not piece.high_closed and ends[1] == high
    return low, high


def compare_regions(reference: Value, answer: Value) -> Comparison | None:
    """Compare two values as sets of reals; None where one of them is none."""
    try:
        (wanted, name), (given, other) = region_of(reference), region_of(answer)
    except NoRegion:
        return None
    if name and other and name != other:
        return Comparison(False, f"said of {other}, the reference of {name}")
    return Comparison(same_region(wanted, given), "compared as sets of reals")


def _joined(items: tuple[Value, ...], joint: str) -> tuple[Region, str | None]:
    """Read "x < 2 or x > 3" as a union, "x > 2 and x < 3" as an intersection."""
    found = [region_of(item) for item in items if not _is_domain(item)]
    names = {name for _, name in found if name is not None}
    if (
        not found
        or len(names) > 1
        or not all(isinstance(item, (Relation, Operated, Bracketed, Builder)) for item in items)
    ):
        raise NoRegion
    if not all(isinstance(item, Relation) for item in items) and any(
        isinstance(item, Bracketed) and item.opening == "{" for item in items
    ):
        raise NoRegion
    holes = joint != "or" and all(isinstance(item, Relation) and item.signs == ("!=",) for item in items)
    meets = (joint == "and" and all(isinstance(item, Relation) for item in items)) or holes
    if joint == "," and not holes and all(isinstance(item, Relation) for item in items):
        meets = _overlap([region for region, _ in found])
    result = found[0][0]
    for region, _ in found[1:]:
        result = _operated("intersection" if meets else "union", result, region)
    return result, next(iter(names), None)


def _overlap(regions: list[Region]) -> bool:
    """Tell "x > 2, x < 3" (both hold) from "x < 2, x > 3" (one of them does)."""
    result = regions[0]
    for region in regions[1:]:
        result = _operated("intersection", result, region)
    return bool(result.pieces)


def _is_domain(item: Value) -> bool:
    return isinstance(item, Relation) and item.signs == ("in",) and item.sides[1] == Named("reals")


def _built(element: Value, condition: Value) -> tuple[Region, str | None]:
    name = None
    match element:
        case Symbol(name=found):
            name = found
        case Relation(sides=(Symbol(name=found), Named(name="reals")), signs=("in",)):
            name = found
        case _:
            raise NoRegion
    region, said = region_of(condition)
    if said not in (None, name):
        raise NoRegion
    return region, None


def _related(value: Relation) -> tuple[Region, str | None]:
    """Read x < 2, 2 > x, -1 < x <= 3, x != 2, x in (0, 1): one variable, alone between numbers."""
    sides, signs = value.sides, value.signs
    if signs == ("in",) and isinstance(sides[0], Symbol):
        return region_of(sides[1])[0], sides[0].name
    if signs == ("notin",) and isinstance(sides[0], Symbol):
        return _operated("difference", ALL, region_of(sides[1])[0]), sides[0].name
    if not all(sign in ("<", "<=", ">", ">=", "!=", "=") for sign in signs) or "=" in signs:
        raise NoRegion
    places = [place for place, side in enumerate(sides) if isinstance(side, (Symbol, Call)) and _is_name(side)]
    if len(places) != 1:
        raise NoRegion
    place = places[0]
    variable = sides[place]
    result = ALL
    for at, sign in enumerate(signs):
        left, right = sides[at], sides[at + 1]
        if at + 1 == place:
            result = _operated("intersection", result, _half(_end(left), _mirrored(sign), variable))
        elif at == place:
            result = _operated("intersection", result, _half(_end(right), sign, variable))
        else:
            raise NoRegion
    return result, variable.name if isinstance(variable, Symbol) else "|x|"


def _is_name(side: Value) -> bool:
    return isinstance(side, Symbol) or (
        isinstance(side, Call) and side.name == "abs" and isinstance(side.args[0], Symbol)
    )


def _half(end: Expression, sign: str, variable: Value) -> Region:
    """Return where the variable (or its absolute value) stands in that relation to a number."""
    if isinstance(variable, Call):  # |x| < a
        return _absolute(end, sign)
    match sign:
        case "<" | "<=":
            return _normal([Piece(_MINUS_INFINITE, False, end, sign == "<=")])
        case ">" | ">=":
            return _normal([Piece(end, sign == ">=", _INFINITE, False)])
    return _normal([Piece(_MINUS_INFINITE, False, end, False), Piece(end, False, _INFINITE, False)])


def _absolute(end: Expression, sign: str) -> Region:
    below = negative(end)
    closed = sign.endswith("=") and sign != "!="
    if sign in ("<", "<="):
        return _normal([Piece(below, closed, end, closed)])
    if sign in (">", ">="):
        return _normal([Piece(_MINUS_INFINITE, False, below, closed), Piece(end, closed, _INFINITE, False)])
    raise NoRegion


def _mirrored(sign: str) -> str:
    return {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(sign, sign)


def _single(item: Value) -> Piece:
    end = _end(item)
    return Piece(end, True, end, True)


def _end(value: Value) -> Expression:
    if not isinstance(value, EXPRESSIONS) or symbols_of(value):
        raise NoRegion
    return value


def _operated(operation: str, left: Region, right: Region) -> Region:
    if len(left.pieces) + len(right.pieces) > _MAX_PIECES:
        raise NoRegion
    if operation == "union":
        return _normal([*left.pieces, *right.pieces])
    if operation == "difference":
        return _operated("intersection", left, _complement(right))
    pieces = [_common(a, b) for a in left.pieces for b in right.pieces]
    if len(pieces) > 400:
        raise NoRegion
    return _normal([piece for piece in pieces if piece is not None])


def _common(a: Piece, b: Piece) -> Piece | None:
    order = _order(a.low, b.low)
    low, low_closed = (a.low, a.low_closed and (order or b.low_closed)) if order >= 0 else (b.low, b.low_closed)
    if order == 0:
        low_closed = a.low_closed and b.low_closed
    order = _order(a.high, b.high)
    high, high_closed = (a.high, a.high_closed) if order < 0 else (b.high, b.high_closed)
    if order == 0:
        high_closed = a.high_closed and b.high_closed
    return (
        Piece(low, bool(low_closed), high, high_closed)
        if _is_filled(Piece(low, bool(low_closed), high, high_closed))
        else None
    )


def _complement(region: Region) -> Region:
    pieces: list[Piece] = []
    low, closed = _MINUS_INFINITE, False
    for piece in region.pieces:
        pieces.append(Piece(low, closed, piece.low, not piece.low_closed))
        low, closed = piece.high, not piece.high_closed
    pieces.append(Piece(low, closed, _INFINITE, False))
    return _normal([piece for piece in pieces if _is_filled(piece)])


def _is_filled(piece: Piece) -> bool:
    order = _order(piece.low, piece.high)
    return order < 0 or (order == 0 and piece.low_closed and piece.high_closed and not _is_infinite(piece.low))


def _normal(pieces: list[Piece]) -> Region:
    """Sort the pieces and merge those that touch."""
    cleaned = []
    for piece in pieces:
        if not _is_filled(piece):
            raise NoRegion
        low_closed = piece.low_closed and not _is_infinite(piece.low)
        cleaned.append(Piece(piece.low, low_closed, piece.high, piece.high_closed and not _is_infinite(piece.high)))
    cleaned.sort(key=functools.cmp_to_key(lambda a, b: _order(a.low, b.low) or b.low_closed - a.low_closed))
    merged: list[Piece] = []
    for piece in cleaned:
        last = merged[-1] if merged else None
        order = -1 if last is None else _order(last.high, piece.low)
        if last is not None and (order > 0 or (order == 0 and (last.high_closed or piece.low_closed))):
            order = _order(last.high, piece.high)
            high, closed = (piece.high, piece.high_closed) if order < 0 else (last.high, last.high_closed)
            if order == 0:
                closed = last.high_closed or piece.high_closed
            merged[-1] = Piece(last.low, last.low_closed, high, closed)
        else:
            merged.append(piece)
    return Region(tuple(merged))


def _is_infinite(end: Expression) -> bool:
    return end in (_INFINITE, _MINUS_INFINITE) or _sign_of_infinity(end) != 0


def _sign_of_infinity(end: Expression) -> int:
    if end == _INFINITE:
        return 1
    if isinstance(end, Product) and end.factors[-1] == _INFINITE and isinstance(end.factors[0], Number):
        return -1 if end.factors[0].value < 0 else 1
    return 0


def _order(a: Expression, b: Expression) -> int:
    """Return -1, 0 or 1 as a is less than, equal to or greater than b. Raises NoRegion where that is not certain."""
    signs = _sign_of_infinity(a), _sign_of_infinity(b)
    if any(signs):
        return (signs[0] > signs[1]) - (signs[0] < signs[1])
    if a == b:
        return 0
    if isinstance(a, Number) and isinstance(b, Number):
        return int(a.value > b.value) - int(a.value < b.value)
    x, y = numeric_value(a), numeric_value(b)
    if not isinstance(x, arb) or not isinstance(y, arb):
        raise NoRegion
    if x < y:
        return -1
    if x > y:
        return 1
    if equal_expressions(a, b):
        return 0
    raise NoRegion
