"""Compare several answers, sets, lists and tuples.

In: values of which at least one has items. Out: a `Comparison`, or None where another rule decides. Bare lists and sets
are free of order, tuples are not.
"""

from __future__ import annotations

from verifiers.maths.equality import Comparison
from verifiers.maths.labels import share_a_word
from verifiers.maths.matrices import compare_vector
from verifiers.maths.regions import compare_regions
from verifiers.maths.relations import is_equation, named_value
from verifiers.maths.same import distinct, in_any_order, in_order, kind_of, same
from verifiers.maths.terms import (
    EXPRESSIONS,
    Bracketed,
    Builder,
    Constant,
    Ellipsis,
    Named,
    Operated,
    Quantity,
    Relation,
    Several,
    Symbol,
    Value,
    walk,
)


def lists(reference: Several, answer: Several) -> Comparison | None:
    """Compare two bare lists, free of order; x < 2, x > 3 are a union."""
    region = compare_regions(reference, answer) if _is_regional(reference) and _is_regional(answer) else None
    if region is not None:
        return region
    wanted, given = _bare_items(reference.items), _bare_items(answer.items)
    names = [_shared_name(items) for items in (reference.items, answer.items)]
    if names[0] and names[1] and names[0] != names[1]:
        return Comparison(False, f"said of {names[1]}, the reference of {names[0]}")
    if (names[0] and given is None) or (names[1] and wanted is None):
        return Comparison(False, "said of other names")
    if (wanted is None) != (given is None):
        named, bare = (reference, answer) if wanted is None else (answer, reference)
        values = _values_by_name(named.items)
        if values is None or bare.joint == "or":
            return Comparison(False, "names on one side only")
        return in_order(values, bare.items) if wanted is None else in_order(bare.items, values)
    if wanted is not None and given is not None and _are_counted(wanted) and _are_counted(given):
        return in_any_order(wanted, given, alike=_same_label)
    return in_any_order(wanted or reference.items, given or answer.items)


def _are_counted(items: tuple[Value, ...]) -> bool:
    """Tell "3 apples, 5 pears" from "18 km, 5 km": each item has a label, and not all the same."""
    labels = [item.label for item in items if isinstance(item, Quantity) and item.label and item.unit in ("", "#")]
    return len(labels) == len(items) > 1 and len(set(labels)) > 1


def _same_label(reference: Value, answer: Value) -> bool:
    return (
        isinstance(reference, Quantity) and isinstance(answer, Quantity) and share_a_word(reference.label, answer.label)
    )


def _bare_items(items: tuple[Value, ...]) -> tuple[Value, ...] | None:
    """Return the items without a name that all of them share; None if they have different names."""
    named = [named_value(item) if isinstance(item, Relation) and is_equation(item) else None for item in items]
    if not all(named):
        named_names = {entry[0] for entry in named if entry is not None and isinstance(entry[0], Symbol)}
        if any(named) and len(named_names) == 1 and items and isinstance(items[0], Relation):  # x = 1, 2
            return tuple(item if entry is None else entry[1] for item, entry in zip(items, named, strict=True))
        return items if not any(named) else None
    names = {_unnumbered(entry[0]) for entry in named if entry is not None}
    if len(names) > 1:
        return None
    return tuple(entry[1] for entry in named if entry is not None)


def _unnumbered(name: Value | None) -> Value | None:
    """Return the name without its number: x_1 and x_2 are two roots of x."""
    return (
        Symbol(name.name.partition("_")[0])
        if isinstance(name, Symbol) and name.name.partition("_")[2].isdigit()
        else name
    )


def _shared_name(items: tuple[Value, ...]) -> str:
    """Return the one variable that all items are said of; empty where there is none."""
    named = [named_value(item) for item in items if isinstance(item, Relation) and is_equation(item)]
    names = {_unnumbered(entry[0]) for entry in named if entry is not None}
    name = names.pop() if len(named) == len(items) and len(names) == 1 else None
    return name.name if isinstance(name, Symbol) else ""


def _is_regional(value: Several) -> bool:
    return all(
        isinstance(item, (Relation, Operated, Builder))
        or (isinstance(item, Bracketed) and item.opening != "{" and len(item.items) == 2)
        for item in value.items
    ) and not all(isinstance(item, Relation) and is_equation(item) for item in value.items)


def list_of_set(reference: Several, answer: Bracketed) -> Comparison | None:
    """Compare a bare list with a set or a tuple."""
    items = _bare_items(reference.items)
    if answer.opening == "{":
        return None if items is None else in_any_order(items, distinct(answer.items))
    items = items if items is not None else _values_by_name(reference.items)
    if items is None or reference.joint == "or" or not _is_tuple(answer) or _shared_name(reference.items):
        return Comparison(False, "several answers against an interval or a point")
    return in_order(items, answer.items)


def set_of_list(reference: Bracketed, answer: Several) -> Comparison | None:
    """Compare a set or a tuple with a bare list."""
    if len(answer.items) == 2 and _is_regional(answer):
        found = compare_regions(reference, answer)
        if found is not None:
            return found
    items = _bare_items(answer.items)
    if reference.opening == "{":
        return None if items is None else in_any_order(distinct(reference.items), items)
    items = items if items is not None else _values_by_name(answer.items)
    if items is None or answer.joint == "or" or not _is_tuple(reference) or _shared_name(answer.items):
        return Comparison(False, "several answers against an interval or a point")
    return in_order(reference.items, items)


def _is_tuple(value: Bracketed) -> bool:
    """Tell a tuple or a list from an interval: brackets of one kind, and no infinity at an end."""
    if (value.opening, value.closing) not in (("(", ")"), ("[", "]"), ("<", ">")):
        return False
    return not any(isinstance(item, EXPRESSIONS) and Constant("oo") in walk(item) for item in value.items)


def _values_by_name(items: tuple[Value, ...]) -> tuple[Value, ...] | None:
    """Return the values of x = 1, y = 2 in the order of their names, which is that of a tuple."""
    named = [named_value(item) if isinstance(item, Relation) else None for item in items]
    if not all(entry is not None and isinstance(entry[0], Symbol) for entry in named):
        return None
    found = [(entry[0].name, entry[1]) for entry in named if entry is not None and isinstance(entry[0], Symbol)]
    if len({name for name, _ in found}) < len(found):
        return None
    return tuple(value for _, value in sorted(found, key=lambda pair: pair[0].lstrip("\\")))


def brackets(reference: Bracketed, answer: Bracketed) -> Comparison | None:
    """Compare two sets, tuples, lists or intervals."""
    if "{" in (reference.opening, answer.opening):
        if reference.opening != answer.opening:
            return Comparison(False, f"a {kind_of(answer)}, the reference is a {kind_of(reference)}")
        if any(isinstance(item, Ellipsis) for item in (*reference.items, *answer.items)):
            return in_order(reference.items, answer.items)
        return in_any_order(distinct(reference.items), distinct(answer.items))
    ends = [(value.opening, value.closing) for value in (reference, answer)]
    if ("<", ">") in ends and not (_is_tuple(reference) and _is_tuple(answer)):
        return Comparison(False, "a vector against an interval")
    ends = [
        ("[", ")")
        if end == ("[", "[")
        else ("(", "]")
        if end == ("]", "]")
        else ("(", ")")
        if end == ("]", "[")
        else end
        for end in ends
    ]
    if ends[0] != ends[1] and len(reference.items) == 2 and not {("<", ">")} & set(ends):
        return Comparison(False, "other brackets")
    return in_order(reference.items, answer.items)


def value_of_several(reference: Value, answer: Several) -> Comparison | None:
    """Several answers are no answer where one is asked, unless each of "1/2 or 0.5" is the one."""
    if isinstance(reference, (Operated, Builder, Named, Relation)):
        found = compare_regions(reference, answer)
        if found is not None:
            return found
    if answer.joint == "or" and all(same(reference, item) for item in answer.items):
        return Comparison(True, "each of the forms equals the reference")
    return Comparison(False, f"{len(answer.items)} answers, the reference is one")


def several_of_value(reference: Several, answer: Value) -> Comparison | None:
    """Compare several answers with one value: a union of intervals, or two forms of one number."""
    if isinstance(answer, Relation) and answer.signs == ("in",):
        stated = named_value(answer)
        is_set = stated is not None and isinstance(stated[1], Bracketed) and stated[1].opening == "{"
        return same(reference, stated[1]) if stated is not None and is_set else None
    if isinstance(answer, (Operated, Builder, Named, Relation)):
        found = compare_regions(reference, answer)
        if found is not None:
            return found
    if reference.joint == "or" and isinstance(answer, (*EXPRESSIONS, Quantity)):
        forms = reference.items
        if all(same(forms[0], form) for form in forms[1:]):
            return same(forms[0], answer)
    return Comparison(False, f"one answer, the reference has {len(reference.items)}")


def value_of_set(reference: Value, answer: Bracketed) -> Comparison | None:
    """Compare a value with a set of one element, or a region with brackets."""
    if isinstance(reference, (Operated, Builder, Named)):
        return compare_regions(reference, answer)
    if len(answer.items) == 1 and answer.opening in ("{", "["):
        return same(reference, answer.items[0])
    return compare_vector(answer.items, reference) if _is_tuple(answer) else None


def set_of_value(reference: Bracketed, answer: Value) -> Comparison | None:
    """Compare a set of one element with its element, or brackets with a region."""
    if isinstance(answer, (Operated, Builder, Named)):
        return compare_regions(reference, answer)
    if len(reference.items) == 1 and reference.opening in ("{", "["):
        return same(reference.items[0], answer)
    return compare_vector(reference.items, answer) if _is_tuple(reference) else None
