"""Bring a value to the form that is compared.

In: a value as it was read. Out: the same value with both signs of plus-minus written out, sequences filled in, domains
of whole-number parameters dropped. Nothing is compared here.
"""

from __future__ import annotations

from itertools import pairwise
from itertools import product as combinations

from flint import fmpq

from verifiers.maths.regions import NoRegion, region_of, whole_bounds
from verifiers.maths.terms import (
    EXPRESSIONS,
    Bracketed,
    Builder,
    Call,
    Ellipsis,
    Expression,
    Named,
    Number,
    Quantity,
    Relation,
    Several,
    Symbol,
    Text,
    Value,
    negative,
    replaced,
    symbols_of,
    walk,
)

_MAX_SIGNS = 4
_MAX_SEQUENCE = 400


def settled(value: Value) -> Value:
    """Bring a value to the form that is compared: both signs of plus-minus, all items of a sequence, no domains."""
    if (
        isinstance(value, Relation)
        and value.signs == ("=",)
        and all(isinstance(side, Bracketed) for side in value.sides)
    ):
        names, values = (side.items for side in value.sides)  # type: ignore[union-attr]
        if len(names) == len(values) and all(isinstance(name, Symbol) for name in names):
            pairs = zip(names, values, strict=True)
            return Several(tuple(Relation((name, item), ("=",)) for name, item in pairs), "and")
    if isinstance(value, Relation) and isinstance(value.sides[0], Text) and isinstance(value.sides[-1], Relation):
        return settled(value.sides[-1])  # "the line: y = 2x"
    if isinstance(value, Builder):
        return _listed(value)
    if isinstance(value, Several):
        value = _without_domains(value)
    if isinstance(value, Several):
        items = [part for item in value.items for part in _signs_of(item)]
        return Several(tuple(_sequence(items)), value.joint) if len(items) <= _MAX_SEQUENCE else value
    signs = _signs_of(value)
    if len(signs) > 1:
        return Several(tuple(signs), ",")
    if isinstance(value, Bracketed) and value.opening == "{":
        items = [part for item in value.items for part in _signs_of(item)]
        return Bracketed("{", "}", tuple(_sequence(items)))
    return value


def _listed(value: Builder) -> Value:
    """Write out a set of whole numbers between two bounds."""
    match value.element:
        case Relation(
            sides=(
                Symbol() as name,
                Named(name=("integers" | "naturals" | "positive integers" | "positive naturals") as domain),
            ),
            signs=("in",),
        ):
            pass
        case _:
            return value
    try:
        region, said = region_of(value.condition)
        low, high = whole_bounds(region)
    except NoRegion:
        return value
    low = max(low, 0 if domain == "naturals" else 1) if domain != "integers" else low
    if said not in (None, name.name) or high - low > _MAX_SEQUENCE:
        return value
    return Bracketed("{", "}", tuple(Number(fmpq(number)) for number in range(low, high + 1)))


def domain_of(value: Value) -> str:
    """Return the domain of a parameter that stands behind a formula: "k in Z"; empty where there is none."""
    if not isinstance(value, Several):
        return ""
    domains = [item for item in value.items if _is_domain(item)]
    return domains[0].sides[1].name if len(domains) == 1 else ""  # type: ignore[union-attr]


def _is_domain(item: Value) -> bool:
    return isinstance(item, Relation) and item.signs == ("in",) and isinstance(item.sides[1], Named)


def _without_domains(value: Several) -> Value:
    """Drop "k in Z" and "x > 0" behind a formula of k or x; a whole-number parameter is called k."""
    domains = [item for item in value.items if _is_domain(item)]
    conditions = [
        item for item in value.items if isinstance(item, Relation) and set(item.signs) <= {"<", "<=", ">", ">="}
    ]
    rest = [item for item in value.items if item not in domains and item not in conditions]
    is_plain = len(rest) == 1 and (
        (isinstance(rest[0], Relation) and rest[0].signs == ("=",) and not _names_of(rest[0].sides[1]))
        or (isinstance(rest[0], EXPRESSIONS) and all(_names_of(item) <= {"n", "k", "m"} for item in conditions))
    )
    if is_plain and conditions and _names_of(conditions[0]) & _names_of(rest[0]):
        value = Several((*rest, *domains), value.joint)
        if not domains:
            return rest[0]
    else:
        rest = [item for item in value.items if item not in domains]
    if not rest or (domains and not any(_names_of(domains[0]) & _names_of(item) for item in rest)):
        return value
    if any(isinstance(item, Relation) and item.signs != ("=",) for item in rest):
        return value  # x <= 2 among the whole numbers is not x <= 2
    if len(domains) == 1 and isinstance(domains[0], Relation):
        name = domains[0].sides[0]
        if isinstance(name, Symbol) and domains[0].sides[1] == Named("integers"):
            rest = [_renamed(item, name) for item in rest]
    if not domains and len(rest) == len(value.items):
        return value
    return rest[0] if len(rest) == 1 else Several(tuple(rest), value.joint)


def with_parameter(value: Value) -> Value:
    """Call the whole-number parameter of a formula k, where the other side says of which numbers it is one."""
    names = _names_of(value) & {"n", "m", "l"}
    return _renamed(value, Symbol(next(iter(names)))) if len(names) == 1 and "k" not in _names_of(value) else value


def _names_of(value: Value) -> frozenset[str]:
    if isinstance(value, Relation):
        return frozenset().union(*(_names_of(side) for side in value.sides))
    return symbols_of(value) if isinstance(value, EXPRESSIONS) else frozenset()


def _renamed(value: Value, old: Symbol) -> Value:
    if isinstance(value, Relation):
        return Relation(tuple(_renamed(side, old) for side in value.sides), value.signs)
    return replaced(value, old, Symbol("k")) if isinstance(value, EXPRESSIONS) else value


def _signs_of(value: Value) -> list[Value]:
    """Return the values that plus-minus stands for; signs of one expression move together where minus-plus is."""
    if isinstance(value, Quantity):
        return [Quantity(part, value.unit, value.label) for part in _signs_of(value.value)]  # type: ignore[arg-type]
    if isinstance(value, Relation) and value.signs and set(value.signs) <= {"=", "~", "!="}:
        return [Relation((*value.sides[:-1], part), value.signs) for part in _signs_of(value.sides[-1])]
    if isinstance(value, Bracketed) and value.opening != "{":
        choices = [_signs_of(item) for item in value.items]
        if 1 < _size_of(choices) <= 16:
            return [Bracketed(value.opening, value.closing, tuple(items)) for items in combinations(*choices)]
        return [value]
    if not isinstance(value, EXPRESSIONS):
        return [value]
    signs = [node for node in walk(value) if isinstance(node, Call) and node.name in ("pm", "mp")]
    if not signs:
        return [value]
    if len(signs) > _MAX_SIGNS:
        return [value]
    linked = any(node.name == "mp" for node in signs)
    found: list[Value] = []
    for turns in combinations((1, -1), repeat=1 if linked else len(signs)):
        part: Expression = value
        for node, turn in zip(signs, turns * len(signs) if linked else turns, strict=False):
            assert isinstance(node, Call)
            inner = node.args[0]
            part = replaced(part, node, inner if (turn > 0) == (node.name == "pm") else negative(inner))
        found.append(part)
    return found


def _size_of(choices: list[list[Value]]) -> int:
    size = 1
    for choice in choices:
        size *= len(choice)
    return size


def _sequence(items: list[Value]) -> list[Value]:
    """Write out 1, 2, ..., 10 where the rule is an equal step and the end is given."""
    for place, item in enumerate(items):
        if isinstance(item, Ellipsis) and place >= 2 and place == len(items) - 2:
            numbers = [*items[:place], items[-1]]
            if not all(isinstance(part, Number) and part.value.denom() == 1 for part in numbers):
                return items
            values = [int(part.value.numer()) for part in numbers]  # type: ignore[union-attr]
            step, last = values[1] - values[0], values[-1]
            steps = {b - a for a, b in pairwise(values[:-1])}
            if (
                steps != {step}
                or step == 0
                or (last - values[0]) % step
                or (last - values[-2]) * step <= 0
                or (last - values[0]) // step > _MAX_SEQUENCE
            ):
                return items
            return [Number(fmpq(number)) for number in range(values[0], last + (1 if step > 0 else -1), step)]
    return items
