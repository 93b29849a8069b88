"""What a mathematical text is once it is read: expressions, and the typed values that an answer may be.

Records only; reading them from text is `reader.py`, comparing them `compare.py`. An expression is a tree of `Number`,
`Constant`, `Symbol`, `Sum`, `Product`, `Power` and `Call`; everything else here is a value that contains expressions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from flint import fmpq


@dataclass(frozen=True, slots=True)
class Number:
    """A rational number that is written out."""

    value: fmpq
    """Its exact value."""
    places: int | None = None
    """Decimal places as written, for a number with a decimal point; None otherwise."""
    digits: int = 0
    """Significant digits as written."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A named number: pi, e, i, infinity."""

    name: str
    """Which one."""


@dataclass(frozen=True, slots=True)
class Symbol:
    """A variable, with its subscript and primes."""

    name: str
    """How it is written."""


@dataclass(frozen=True, slots=True)
class Sum:
    """Terms added up."""

    terms: tuple[Expression, ...]
    """At least two."""


@dataclass(frozen=True, slots=True)
class Product:
    """Factors multiplied; a division is a factor with the power -1."""

    factors: tuple[Expression, ...]
    """At least two."""


@dataclass(frozen=True, slots=True)
class Power:
    """A base and an exponent."""

    base: Expression
    """What is raised."""
    exponent: Expression
    """To what power."""


@dataclass(frozen=True, slots=True)
class Call:
    """A function of some arguments: a known one, or `apply f` for one that only has a name."""

    name: str
    """Name in `arithmetic.py`."""
    args: tuple[Expression, ...]
    """Its arguments."""


@dataclass(frozen=True, slots=True)
class Work:
    """Work that is stated and not carried out: a sum, an integral, a limit, a gcd."""

    name: str
    """The operation."""
    text: str
    """How it is written."""
    args: tuple[Expression, ...] = ()
    """Of gcd, lcm, max and min the arguments; of a sum, product or integral variable, ends and body; of a limit
    variable, point and body. Empty where that could not be read."""


Expression: TypeAlias = Number | Constant | Symbol | Sum | Product | Power | Call | Work


@dataclass(frozen=True, slots=True)
class Quantity:
    """An expression with a unit, a percent sign, or a label that means nothing ("18 eggs")."""

    value: Expression
    """The expression in front."""
    unit: str
    """Name in the table of units, `%`, or empty for a label."""
    label: str = ""
    """Words that are no unit."""


@dataclass(frozen=True, slots=True)
class Bracketed:
    """Items between brackets: a tuple, a list, an interval or a set."""

    opening: str
    """One of ( [ { <."""
    closing: str
    """One of ) ] } >."""
    items: tuple[Value, ...]
    """What stands between the commas."""


@dataclass(frozen=True, slots=True)
class Several:
    """Items without brackets: several answers, free of order."""

    items: tuple[Value, ...]
    """At least two."""
    joint: str
    """What joins them: `,`, `and` or `or`."""


@dataclass(frozen=True, slots=True)
class Operated:
    """Sets joined by an operation."""

    operation: str
    """`union`, `intersection` or `difference`."""
    left: Value
    """First set."""
    right: Value
    """Second set."""


@dataclass(frozen=True, slots=True)
class Builder:
    """A set by its condition: the x with ..."""

    element: Value
    """What stands before the bar."""
    condition: Value
    """What stands behind it."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A chain of sides with a relation between each two: a = b < c."""

    sides: tuple[Value, ...]
    """One more than there are relations."""
    signs: tuple[str, ...]
    """Of = < <= > >= != in ~ ->."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """A matrix or a determinant's table, by rows."""

    rows: tuple[tuple[Value, ...], ...]
    """Rows of equal length."""


@dataclass(frozen=True, slots=True)
class Based:
    """Digits in a stated base."""

    digits: str
    """As written, upper case."""
    base: int
    """2 to 36."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """Parts of a ratio, a : b : c."""

    parts: tuple[Expression, ...]
    """At least two."""


@dataclass(frozen=True, slots=True)
class Clock:
    """A time of day."""

    seconds: int
    """Since midnight, or since noon or midnight where `half` is empty and the hour is at most 12."""
    half: str
    """`am`, `pm`, or empty."""


@dataclass(frozen=True, slots=True)
class Day:
    """A date; parts that are not given are 0."""

    year: int
    """Year."""
    month: int
    """1 to 12."""
    day: int
    """1 to 31."""


@dataclass(frozen=True, slots=True)
class Named:
    """A value that is a word of mathematics: the empty set, undefined, all reals."""

    name: str
    """`empty`, `undefined`, `reals`, `integers`, `naturals`, `rationals`, `complexes`."""


@dataclass(frozen=True, slots=True)
class Text:
    """Words."""

    words: str
    """Lower case, without articles and punctuation."""


@dataclass(frozen=True, slots=True)
class Ellipsis:
    """Dots in a list: and so on."""


Value: TypeAlias = (
    Expression
    | Quantity
    | Bracketed
    | Several
    | Operated
    | Builder
    | Relation
    | Matrix
    | Based
    | Ratio
    | Clock
    | Day
    | Named
    | Text
    | Ellipsis
)

EXPRESSIONS = (Number, Constant, Symbol, Sum, Product, Power, Call, Work)
"""The classes of expressions, for isinstance."""


def number(value: int | fmpq) -> Number:
    """Return a number with no decimal point."""
    return Number(fmpq(value))


def negative(term: Expression) -> Expression:
    """Return the term with the other sign."""
    if isinstance(term, Number):
        return Number(-term.value, term.places, term.digits)
    return product(number(-1), term)


def total(*terms: Expression) -> Expression:
    """Return a flat sum."""
    flat = [part for term in terms for part in (term.terms if isinstance(term, Sum) else (term,))]
    return flat[0] if len(flat) == 1 else Sum(tuple(flat))


def product(*factors: Expression) -> Expression:
    """Return a flat product."""
    flat = [part for factor in factors for part in (factor.factors if isinstance(factor, Product) else (factor,))]
    return flat[0] if len(flat) == 1 else Product(tuple(flat))


def quotient(above: Expression, below: Expression) -> Expression:
    """Return above / below; a fraction of two numbers is a number."""
    if isinstance(above, Number) and isinstance(below, Number) and below.value != 0:
        return Number(above.value / below.value)
    return product(above, Power(below, number(-1)))


def parts_of(expression: Expression) -> tuple[Expression, ...]:
    """Return the expressions directly inside."""
    match expression:
        case Sum(terms=inner) | Product(factors=inner) | Call(args=inner):
            return inner
        case Power(base=base, exponent=exponent):
            return base, exponent
        case _:
            return ()


def walk(expression: Expression) -> Iterator[Expression]:
    """Yield the expression and all inside it."""
    waiting = [expression]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(parts_of(node))


def symbols_of(expression: Expression) -> frozenset[str]:
    """Return the names of the variables in it."""
    return frozenset(node.name for node in walk(expression) if isinstance(node, Symbol))


def replaced(expression: Expression, old: Expression, new: Expression) -> Expression:
    """Return the expression with `new` wherever `old` stands."""
    if expression == old:
        return new
    match expression:
        case Sum(terms=terms):
            return Sum(tuple(replaced(term, old, new) for term in terms))
        case Product(factors=factors):
            return Product(tuple(replaced(factor, old, new) for factor in factors))
        case Power(base=base, exponent=exponent):
            return Power(replaced(base, old, new), replaced(exponent, old, new))
        case Call(name=name, args=args):
            return Call(name, tuple(replaced(arg, old, new) for arg in args))
        case _:
            return expression
