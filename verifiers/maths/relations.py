"""Compare equations, inequalities, and values that have a name in front.

In: a `Relation` and any value. Out: a `Comparison`, or None where another rule decides. "x = 5" is a value with a name,
"y = 2x + 1" may be one, "x^2 - 4 = 0" is none: it restates what was asked.
"""

from __future__ import annotations

import math
from itertools import pairwise

from flint import arb, fmpq

from verifiers.maths.equality import Comparison, equal_expressions, numeric_value, positive_multiple, proportional
from verifiers.maths.labels import share_a_word
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
    Ratio,
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
        if same_name(wanted[0], given[0]) or (wanted[0] is None) != (given[0] is None):
            found = same(wanted[1], given[1])
            if found:
                return found
        elif isinstance(wanted[0], Bracketed) != isinstance(given[0], Bracketed):
            return same(wanted[1], given[1])
    if wanted is not None and isinstance(wanted[0], (Symbol, Text)) and not _has_symbols(wanted[1]):
        return Comparison(False, "another value" if given is not None else "an equation, the reference is a value")
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
    if isinstance(name, Call) and isinstance(value, EXPRESSIONS) and isinstance(reference, EXPRESSIONS):
        value = _in_variables_of(reference, name, value)
    found = same(reference, value)
    if not found and approximate is not None and _is_decimal(reference) and not isinstance(value, Number):
        again = same(reference, approximate)
        return again if again else found
    return found


def _in_variables_of(reference: Expression, name: Call, value: Expression) -> Expression:
    """Rename the variable of h(t) = t + 1 where the reference is x + 1."""
    if isinstance(reference, Symbol):
        return value  # a letter, perhaps of an option: f(x) = x says nothing of it
    wanted = symbols_of(reference)
    if (
        len(name.args) == 1
        and isinstance(name.args[0], Symbol)
        and len(wanted) == 1
        and symbols_of(value) == {name.args[0].name}
    ):
        return replaced(value, name.args[0], Symbol(next(iter(wanted))))
    return value


def _is_decimal(reference: Value) -> bool:
    value = reference.value if isinstance(reference, Quantity) else reference
    return isinstance(value, Number) and value.places is not None


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
    if signs == ["->"]:
        return None, sides[1], None
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
    if isinstance(sides[0], Work) and len(sides) > 1 and (carried := work_value(sides[0])) is not None:
        sides[0] = carried
    for a, b in pairwise(sides):
        if not same(a, b):
            return None
    return name, sides[-1], approximate


def _is_near(exact: Value, rounded: Value) -> bool:
    """Tell whether a value rounds to an approximation, at the last place that this shows."""
    values = [side.value if isinstance(side, Quantity) else side for side in (exact, rounded)]
    if not isinstance(values[0], EXPRESSIONS) or not isinstance(values[1], EXPRESSIONS):
        return False
    a, b = numeric_value(values[0]), numeric_value(values[1])
    if not isinstance(a, arb) or not isinstance(b, arb):
        return False
    places = values[1].places if isinstance(values[1], Number) and values[1].places is not None else 0
    return bool(abs(a - b) <= arb(10) ** -places * (1 if places else 0.5))


def is_equation(relation: Relation) -> bool:
    """Tell whether all signs of a relation are equals, or name what a value belongs to."""
    if relation.signs == ("->",):  # x |-> x + 1
        head = relation.sides[0]
        if isinstance(head, Ratio):  # f: x |-> x + 1
            head = head.parts[-1]
        return isinstance(head, Text) or (isinstance(head, Symbol) and head.name in symbols_of_value(relation.sides[1]))
    if relation.signs and relation.signs[0] == "~" and "=" not in relation.signs and _has_symbols(relation.sides[-1]):
        return False  # triangles that are similar
    last = relation.sides[-1]
    if relation.signs == ("==",) and isinstance(last, Quantity) and last.unit == "mod":
        return True
    return set(relation.signs) <= {"=", "~"} or (relation.signs == ("in",) and _is_listing(relation.sides[1]))


def symbols_of_value(value: Value) -> frozenset[str]:
    """Return the variables of a value that is an expression."""
    return symbols_of(value) if isinstance(value, EXPRESSIONS) else frozenset()


def _is_listing(value: Value) -> bool:
    return isinstance(value, (Bracketed, Several)) and getattr(value, "opening", "{") == "{"


def _is_name(value: Value) -> bool:
    """Tell whether a left side only names what is asked: x, f(x), AB, a + b, "the area"."""
    match value:
        case Symbol() | Text():
            return True
        case Work():
            return work_value(value) is None
        case Call(name="abs", args=(inner,)):
            return _is_name(inner) and not (isinstance(inner, Symbol) and inner.name in "xyt")
        case Call(name=name, args=args):
            letters = [arg.name for arg in args if isinstance(arg, Symbol)]
            return name.startswith("apply ") or (len(letters) == len(args) and not set(letters) & {"x", "y", "t"})
        case Bracketed(opening="(", items=items):
            return len(items) > 1 and all(isinstance(item, Symbol) for item in items)
        case Bracketed(opening="[", items=(inner,)):
            return isinstance(inner, (Symbol, Product)) and all(name.isupper() for name in symbols_of(inner))  # [ABC]
        case Ratio(parts=parts):
            return all(_has_symbols(part) for part in parts)
        case Constant(name=("i" | "e")):
            return True
        case Product(factors=(Symbol(name=name), Call())) if "/" in name:
            return True  # d/dx f(x)
        case Product() | Sum() | Power():
            return _is_of_letters(value)
    return False


def _is_of_letters(value: Expression) -> bool:
    """Tell a + b, xy, AB/CD and x^2 + y^2 from equations to be solved: two letters or more, no numbers of their own."""
    if len(symbols_of(value)) < 2:
        return False
    match value:
        case Sum(terms=terms):
            return all(_is_term(term) for term in terms)
    return _is_term(value)


def _is_term(term: Expression) -> bool:
    factors = term.factors if isinstance(term, Product) else (term,)
    if factors[0] == Number(fmpq(-1)):
        factors = factors[1:]
    return all(
        isinstance(factor, Symbol)
        or (isinstance(factor, Power) and isinstance(factor.exponent, Number) and _is_term(factor.base))
        for factor in factors
    )


def work_value(work: Work) -> Expression | None:
    """Return the value of a gcd, lcm, max or min of numbers; None for all other work."""
    numbers = [arg.value for arg in work.args if isinstance(arg, Number)]
    if work.name not in ("gcd", "hcf", "lcm", "max", "min") or not numbers or len(numbers) != len(work.args):
        return None
    if work.name in ("max", "min"):
        return Number(max(numbers) if work.name == "max" else min(numbers))
    if any(number.denom() != 1 for number in numbers):
        return None
    combine = math.lcm if work.name == "lcm" else math.gcd
    return Number(fmpq(combine(*(int(number.numer()) for number in numbers))))


def same_name(reference: Value | None, answer: Value | None) -> bool:
    """Tell whether two names may name the same thing."""
    if reference is None or answer is None:
        return reference is answer
    if isinstance(reference, Symbol) and isinstance(answer, Symbol):
        return _undressed(reference) == _undressed(answer) or "" in (reference.name, answer.name)
    if isinstance(reference, Text) and isinstance(answer, Text):
        return reference == answer or share_a_word(reference.words, answer.words)
    for text, symbol in ((reference, answer), (answer, reference)):
        if isinstance(text, Text) and isinstance(symbol, Symbol):  # area and A
            return text.words[:1] == symbol.name[:1].lower() and symbol.name not in "xyz"
    if isinstance(reference, Call) and isinstance(answer, Call):
        return reference == answer
    if {type(reference), type(answer)} == {Call, Symbol}:  # f(x) and y
        call, symbol = (reference, answer) if isinstance(reference, Call) else (answer, reference)
        return isinstance(symbol, Symbol) and symbol.name in ("y", "") and call.name.startswith("apply ")  # type: ignore[union-attr]
    if isinstance(reference, Work) or isinstance(answer, Work):
        return isinstance(reference, Work) and isinstance(answer, Work) and reference.name == answer.name
    if isinstance(reference, EXPRESSIONS) and isinstance(answer, EXPRESSIONS):
        return bool(equal_expressions(reference, answer))
    return type(reference) is type(answer) and reference == answer


def _undressed(name: Symbol) -> str:
    return name.name.removeprefix("\\vec ")


def _has_symbols(value: Value) -> bool:
    return isinstance(value, EXPRESSIONS) and bool(symbols_of(value))
