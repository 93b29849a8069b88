"""Compare equations, inequalities, and values that have a name in front.

In: a `Relation` and any value. Out: a `Comparison`, or None where another rule decides. "x = 5" is a value with a name,
"y = 2x + 1" may be one, "x^2 - 4 = 0" is none: it restates what was asked.
"""

from __future__ import annotations

from itertools import pairwise

from flint import arb, fmpq

from verifiers.maths.equality import Comparison, numeric_value, positive_multiple, proportional
from verifiers.maths.regions import compare_regions
from verifiers.maths.same import same
from verifiers.maths.terms import (
    EXPRESSIONS,
    Bracketed,
    Call,
    Constant,
    Expression,
    Number,
    Power,
    Product,
    Quantity,
    Relation,
    Several,
    Sum,
    Symbol,
    Text,
    Value,
    Work,
    negative,
    product,
    replaced,
    symbols_of,
    total,
    walk,
)


def relations(reference: Relation, answer: Relation) -> Comparison | None:
    """Compare two relations."""
    if not is_equation(reference) or not is_equation(answer):
        return compare_regions(reference, answer) or _inequalities(reference, answer)
    wanted, given = named_value(reference), named_value(answer)
    if wanted is not None and given is not None:
        given = _with_variables_of(wanted[0], given)
    if wanted is not None and given is not None and _same_name(wanted[0], given[0]):
        found = same(wanted[1], given[1])
        if found:
            return found
    elif (
        wanted is not None and given is not None and isinstance(wanted[0], Bracketed) != isinstance(given[0], Bracketed)
    ):
        return same(wanted[1], given[1])
    return _equations(reference, answer)


def _with_variables_of(
    wanted: Value | None, given: tuple[Value | None, Value, Value | None]
) -> tuple[Value | None, Value, Value | None]:
    """Rename the variable of f(t) = t + 1 to that of f(x) = x + 1: it is bound."""
    name, value, approximate = given
    if not (isinstance(wanted, Call) and isinstance(name, Call) and wanted.name == name.name and wanted != name):
        return given
    if len(wanted.args) != len(name.args) or not isinstance(value, EXPRESSIONS):
        return given
    if not all(isinstance(arg, Symbol) for arg in (*wanted.args, *name.args)) or symbols_of(wanted) & symbols_of(value):
        return given
    for old, new in zip(name.args, wanted.args, strict=True):
        value = replaced(value, old, new)
    return wanted, value, approximate


def _equations(reference: Relation, answer: Relation) -> Comparison:
    """Compare two equations: they say the same if their differences are multiples of each other."""
    differences = [_difference(side) for side in (reference, answer)]
    if differences[0] is None or differences[1] is None:
        pairs = zip(reference.sides, answer.sides, strict=False)
        alike = len(reference.sides) == len(answer.sides) and reference.signs == answer.signs
        return Comparison(alike and all(same(a, b) for a, b in pairs), "compared side by side")
    found = proportional(differences[0], differences[1])
    if not found:
        cleared = [_cleared(side) for side in differences]
        if cleared != differences:
            again = proportional(cleared[0], cleared[1])
            return again if again else found
    return found


def _difference(relation: Relation) -> Expression | None:
    if len(relation.sides) != 2 or not all(isinstance(side, EXPRESSIONS) for side in relation.sides):
        return None
    left, right = relation.sides
    assert isinstance(left, EXPRESSIONS)
    assert isinstance(right, EXPRESSIONS)
    return total(left, negative(right))


def _cleared(difference: Expression | None) -> Expression:
    """Multiply an equation by the denominators with a variable in it: y = 1/x says the same as xy = 1."""
    assert difference is not None
    below: list[Expression] = []
    for node in walk(difference):
        if (
            isinstance(node, Power)
            and isinstance(node.exponent, Number)
            and node.exponent.value < 0
            and symbols_of(node.base)
        ):
            factor = Power(node.base, Number(-node.exponent.value))
            if factor not in below:
                below.append(factor)
    return product(*below[:6], difference) if below else difference


def _inequalities(reference: Relation, answer: Relation) -> Comparison | None:
    """Compare inequalities of several variables: y > 2x + 1 and 2x + 1 - y < 0."""
    if len(reference.signs) != 1 or len(answer.signs) != 1:
        return None
    wanted, given = _difference(reference), _difference(answer)
    if wanted is None or given is None:
        return None
    a, b = reference.signs[0], answer.signs[0]
    if a in (">", ">="):
        wanted, a = negative(wanted), {">": "<", ">=": "<="}[a]
    if b in (">", ">="):
        given, b = negative(given), {">": "<", ">=": "<="}[b]
    if a != b or a not in ("<", "<=", "!="):
        return Comparison(False, "another relation")
    return proportional(wanted, given) if a == "!=" else positive_multiple(wanted, given)


def value_of_relation(reference: Value, answer: Relation) -> Comparison | None:
    """Compare a value with "name = value", or with a chain of equals that ends in a value."""
    if not is_equation(answer):
        return None if answer.signs == ("->",) else compare_regions(reference, answer)
    given = named_value(answer)
    if given is None:
        return Comparison(False, "an equation, the reference is a value")
    name, value, approximate = given
    if isinstance(name, Text) and isinstance(reference, Text):
        return None
    found = same(reference, value)
    if not found and approximate is not None:
        again = same(reference, approximate)
        return again if again else found
    return found


def relation_of_value(reference: Relation, answer: Value) -> Comparison | None:
    """Compare "name = value" with a value."""
    if not is_equation(reference):
        return None if reference.signs == ("->",) else compare_regions(reference, answer)
    wanted = named_value(reference)
    if wanted is None:
        return Comparison(False, "a value, the reference is an equation")
    return same(wanted[1], answer)


def named_value(relation: Relation) -> tuple[Value | None, Value, Value | None] | None:
    """Return (name, value, its approximation) of "x = 1/3" or "1/6 + 1/6 = 1/3 ≈ 0.33"; None for a real equation."""
    sides, signs = list(relation.sides), list(relation.signs)
    name: Value | None = None
    if len(sides) == 2 and not _is_name(sides[0]) and isinstance(sides[1], Symbol) and not _has_symbols(sides[0]):
        sides.reverse()  # 5 = x
    if _is_name(sides[0]):
        name, sides = sides[0], sides[1:]
        signs = signs[1:]
    approximate = None
    while len(sides) > 1 and signs and signs[-1] == "~":
        approximate = approximate or sides[-1]
        if not _is_near(sides[-2], sides[-1]):
            return None
        sides.pop()
        signs.pop()
    for a, b in pairwise(sides):
        if not same(a, b):
            return None
    return name, sides[-1], approximate


def _is_near(exact: Value, rounded: Value) -> bool:
    values = [side.value if isinstance(side, Quantity) else side for side in (exact, rounded)]
    if not all(isinstance(value, EXPRESSIONS) for value in values):
        return False
    a, b = (numeric_value(value) for value in values)  # type: ignore[arg-type]
    if not isinstance(a, arb) or not isinstance(b, arb):
        return False
    return bool(abs(a - b) <= (abs(a) + abs(b)) * 0.02)


def is_equation(relation: Relation) -> bool:
    """Tell whether all signs of a relation are equals, or name what a value belongs to."""
    return (
        set(relation.signs) <= {"=", "~"}
        or relation.signs in (("->",), ("==",))
        or (relation.signs == ("in",) and _is_listing(relation.sides[1]))
    )


def _is_listing(value: Value) -> bool:
    return isinstance(value, (Bracketed, Several)) and getattr(value, "opening", "{") == "{"


def _is_name(value: Value) -> bool:
    """Tell whether a left side only names what is asked: x, f(x), AB, a + b, "the area"."""
    match value:
        case Symbol() | Text() | Work():
            return True
        case Call(name=name):
            return name.startswith("apply ") or (name == "abs" and _is_name(value.args[0]))
        case Bracketed(opening="(", items=items):
            return len(items) > 1 and all(isinstance(item, Symbol) for item in items)
        case Product(factors=(Symbol(name="d"), Symbol(), Power(base=Product(factors=(Symbol(name="d"), Symbol()))))):
            return True  # dy/dx
        case Product(factors=factors):
            return len(factors) <= 4 and all(isinstance(factor, Symbol) for factor in factors)
        case Sum(terms=terms):
            parts = [
                term.factors[1]
                if isinstance(term, Product) and len(term.factors) == 2 and term.factors[0] == Number(fmpq(-1))
                else term
                for term in terms
            ]
            return (
                len(terms) <= 4
                and all(isinstance(part, Symbol) and len(part.name) <= 4 for part in parts)
                and "x" not in symbols_of(value)
            )
        case Constant(name=("i" | "e")):
            return True
    return False


def _same_name(reference: Value | None, answer: Value | None) -> bool:
    if isinstance(reference, Symbol) and isinstance(answer, Symbol):
        return reference == answer or "" in (reference.name, answer.name)
    if isinstance(reference, Bracketed) and isinstance(answer, Bracketed):
        return reference == answer
    if isinstance(reference, Work) or isinstance(answer, Work):
        return True
    if isinstance(reference, Call) and isinstance(answer, Call):
        return reference == answer
    return True


def _has_symbols(value: Value) -> bool:
    return isinstance(value, EXPRESSIONS) and bool(symbols_of(value))
