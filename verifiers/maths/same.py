"""Say whether two values are the same answer: find the rule for their two types, and apply it.

In: two values. Out: a `Comparison`. The rules stand in files of their own (`relations`, `lists`, `matrices`,
`quantities`, `forms`) and come together in `compare.py`; they call `same` for the parts of a value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from verifiers.maths.equality import Comparison, numeric_value
from verifiers.maths.settle import domain_of, settled, with_parameter
from verifiers.maths.terms import (
    EXPRESSIONS,
    Bracketed,
    Builder,
    Named,
    Number,
    Operated,
    Quantity,
    Relation,
    Several,
    Text,
    Value,
    Work,
    symbols_of,
)

_Rule = Callable[..., Comparison | None]
_Types = type | tuple[type, ...]
RULES: list[tuple[_Types, _Types, _Rule]] = []
"""Type of the reference, type of the answer, and the rule; the first that says something decides."""


def same(reference: Value, answer: Value) -> Comparison:
    """Compare two values of any type."""
    if reference == answer and not isinstance(reference, Relation):
        return Comparison(True, "the same value")
    domains = domain_of(reference), domain_of(answer)
    if all(domains) and domains[0] != domains[1]:
        return Comparison(False, f"of the {domains[1]}, the reference of the {domains[0]}")
    reference, answer = settled(reference), settled(answer)
    if any(domains) and not all(domains):
        reference, answer = with_parameter(reference), with_parameter(answer)
    for wanted, given, compared in RULES:
        if isinstance(reference, wanted) and isinstance(answer, given):
            found = compared(reference, answer)
            if found is not None:
                return found
    return Comparison(False, f"{kind_of(answer)}, the reference is {kind_of(reference)}")


def in_any_order(
    reference: Sequence[Value], answer: Sequence[Value], *, alike: Callable[[Value, Value], bool] | None = None
) -> Comparison:
    """Compare items as a multiset; `alike` says which may be held against each other."""
    if len(reference) != len(answer):
        return Comparison(False, f"{len(answer)} items, the reference has {len(reference)}")
    glance = _sight if len(reference) > _LONG else _no_sight
    left = [(other, glance(other)) for other in answer]
    undecided = None
    for item in reference:
        sight = glance(item)
        for place, (other, seen) in enumerate(left):
            if alike is not None and not alike(item, other):
                continue
            if sight is not None and seen is not None and abs(sight - seen) > _NEAR * (abs(sight) + abs(seen)):
                continue
            found = _same_item(item, other)
            if found:
                del left[place]
                break
            if found.equal is None:
                undecided = found
        else:
            return undecided or Comparison(False, "an item of the reference is missing")
    return Comparison(True, "the same items")


_LONG = 8
_NEAR = 0.02


def _no_sight(_item: Value) -> None:
    return None


def _sight(item: Value) -> float | None:
    """Return about the value of a number, by which items of long lists are told apart; None for all else.

    Two items further apart than any rounding of a reference allows cannot be equal.
    """
    if not isinstance(item, EXPRESSIONS) or symbols_of(item):
        return None
    value = numeric_value(item)
    return None if value is None or not abs(value) < 1e300 else float(value.mid())


def _same_item(reference: Value, answer: Value) -> Comparison:
    """Compare two items: inside a list a set of one element is not that element."""
    if isinstance(reference, Bracketed) != isinstance(answer, Bracketed):
        return Comparison(False, "a set or tuple against another value")
    return same(reference, answer)


def in_order(reference: Sequence[Value], answer: Sequence[Value]) -> Comparison:
    """Compare items one by one."""
    if len(reference) != len(answer):
        return Comparison(False, f"{len(answer)} items, the reference has {len(reference)}")
    for place, (item, other) in enumerate(zip(reference, answer, strict=True), 1):
        found = _same_item(item, other)
        if not found:
            return Comparison(found.equal, f"item {place}: {found.reason}")
    return Comparison(True, "the same items in order")


def distinct(items: tuple[Value, ...]) -> tuple[Value, ...]:
    """Return the items without repetitions."""
    found: list[Value] = []
    for item in items:
        if len(items) > 60 or not any(same(other, item) for other in found):
            found.append(item)
    return tuple(found)


def kind_of(value: Value) -> str:
    """Name the type of a value, with its article."""
    match value:
        case Number():
            return "a number"
        case Work(name=name):
            return f"work that is not carried out ({name})"
        case Bracketed(opening=opening):
            return {"{": "a set", "[": "a list", "<": "a vector"}.get(opening, "a tuple")
        case Several():
            return "several answers"
        case Relation():
            return "a relation"
        case Quantity():
            return "a quantity"
        case Text():
            return "words"
        case Operated() | Builder():
            return "a set"
        case Named(name=name):
            return {"empty": "no solution", "reals": "all reals"}.get(name, name)
    return "an expression" if isinstance(value, EXPRESSIONS) else f"a {type(value).__name__.lower()}"
