"""Say whether two mathematical texts are the same answer, whatever type it has.

In: text of a reference and of an answer. Out: a `Comparison`. The reference decides what is asked: a decimal may be
rounded, a list free of order, a unit left out. An answer that cannot be read as a whole is wrong; a reference that
cannot is undecided, unless the two texts are identical. What each type accepts is told by example in docs/verdicts.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from verifiers.maths import forms, lists, matrices, quantities, regions, relations
from verifiers.maths.equality import Comparison
from verifiers.maths.labels import as_words
from verifiers.maths.reader import read
from verifiers.maths.same import RULES, same
from verifiers.maths.spelling import MAX_CHARS, clean, squeezed
from verifiers.maths.terms import (
    EXPRESSIONS,
    Based,
    Bracketed,
    Builder,
    Clock,
    Day,
    Matrix,
    Named,
    Number,
    Operated,
    Product,
    Quantity,
    Ratio,
    Relation,
    Several,
    Symbol,
    Text,
    Value,
)
from verifiers.maths.tokens import Unreadable

_LISTED = re.compile(r"\d,\d{3}(?!\d)")
_POWER_OF_TEN = re.compile(r"\d[eE][-+]?\d")
_IS_LIST = re.compile(r", |\band\b|\bor\b|[\[({]|和|或|;|\d,\d{3},\d{3}")
_DECIMAL_COMMA = re.compile(r"[^\d,()\[\]\\]*\d+,\d{1,2}[^\d,()\[\]]*|-?\d+,\d+")


def compare(reference: str, answer: str, *, evaluate_work: bool = False) -> Comparison:
    """Compare an answer with a reference, both as text.

    With `evaluate_work` a sum, an integral, a limit or a gcd that is only stated counts as its value. Nothing bounds
    the time of that: it is for killable workers.
    """
    if len(reference) > MAX_CHARS:
        if reference.strip() == answer.strip():
            return Comparison(True, "identical to the reference")
        return Comparison(None, f"the reference has {len(reference)} characters, at most {MAX_CHARS} are read")
    if len(answer) > MAX_CHARS:
        return Comparison(False, f"the answer has {len(answer)} characters, at most {MAX_CHARS} are read")
    ref, ans = clean(reference), clean(answer)
    if not ans:
        return Comparison(False, "the answer is empty")
    if squeezed(ref) == squeezed(ans) and bool(_POWER_OF_TEN.search(ref)) == bool(_POWER_OF_TEN.search(ans)):
        return Comparison(True, "identical to the reference")
    try:
        wanted = read(reference)
    except Unreadable as error:
        words = as_words(ref)
        if words is not None:
            return Comparison(words == as_words(ans), "compared as words")
        return Comparison(None, f"the reference cannot be read: {error}", unreadable=True)
    if isinstance(wanted, Text) and wanted == as_words(ans):
        return Comparison(True, "the same words")
    try:
        given = read(answer)
    except Unreadable as error:
        found = Comparison(False, f"the answer cannot be read: {error}")
    else:
        if evaluate_work:
            from verifiers.maths.symbolic import carried_out

            wanted, given = carried_out(wanted), carried_out(given)
        found = same(wanted, given)
        if found:
            return found
    for other_wanted, other_given in _other_readings(reference, answer, ref, ans):
        again = same(other_wanted, other_given)
        if again:
            return again
    return found


def _other_readings(reference: str, answer: str, ref: str, ans: str) -> Iterator[tuple[Value, Value]]:
    """Yield what else the texts may mean: 100,200 as two numbers, 3,14 as one."""
    if (_LISTED.search(ref) or _LISTED.search(ans)) and (_IS_LIST.search(ref) or _IS_LIST.search(ans)):
        for lists in ((True, True), (True, False), (False, True)):
            try:
                wanted, given = read(reference, lists=lists[0]), read(answer, lists=lists[1])
            except Unreadable:
                continue
            if isinstance(wanted, (Several, Bracketed)):
                yield wanted, given
    for text, other, swapped in ((ans, reference, False), (ref, answer, True)):
        if _DECIMAL_COMMA.fullmatch(text) and not _LISTED.search(text):
            try:
                decimal, value = read(text.replace(",", ".")), read(other)
            except Unreadable:
                continue
            if isinstance(value, (Number, Quantity)) and "." in other:
                yield (decimal, value) if swapped else (value, decimal)


_ANY = (*EXPRESSIONS, Quantity, Bracketed, Several, Operated, Builder, Matrix, Based, Ratio, Clock, Day, Named, Text)
_REGIONS = (Operated, Builder, Named, Bracketed)
RULES.extend(
    (
        (EXPRESSIONS, EXPRESSIONS, quantities.expressions),
        (Quantity, Quantity, quantities.quantities),
        (EXPRESSIONS, Quantity, quantities.expression_of_quantity),
        (Quantity, EXPRESSIONS, quantities.quantity_of_expression),
        (Relation, Relation, relations.relations),
        (Several, Several, lists.lists),
        (Several, Bracketed, lists.list_of_set),
        (Bracketed, Several, lists.set_of_list),
        (Bracketed, Bracketed, lists.brackets),
        (_REGIONS, (Relation,), relations.value_of_relation),
        ((Relation,), _REGIONS, relations.relation_of_value),
        (_ANY, Several, lists.value_of_several),
        (Several, (*_ANY, Relation), lists.several_of_value),
        (Relation, Several, lists.value_of_several),
        (_ANY, Relation, relations.value_of_relation),
        (Relation, _ANY, relations.relation_of_value),
        (Matrix, Matrix, matrices.matrices),
        (Matrix, Bracketed, matrices.matrix_of_brackets),
        (Bracketed, Matrix, matrices.brackets_of_matrix),
        (Matrix, EXPRESSIONS, matrices.matrix_of_value),
        (EXPRESSIONS, Matrix, matrices.value_of_matrix),
        (Named, Named, forms.names),
        (_REGIONS, _REGIONS, regions.compare_regions),
        (_ANY, Bracketed, lists.value_of_set),
        (Bracketed, _ANY, lists.set_of_value),
        (Based, Based, forms.bases),
        (Based, Number, forms.base_of_number),
        (Based, (Symbol, Product), forms.base_of_letters),
        (Number, Based, forms.number_of_base),
        (Ratio, Ratio, forms.ratios),
        (Ratio, EXPRESSIONS, forms.ratio_of_expression),
        (EXPRESSIONS, Ratio, forms.expression_of_ratio),
        (Clock, Clock, forms.clocks),
        (Clock, (Ratio, *EXPRESSIONS), forms.clock_of_other),
        ((Ratio, *EXPRESSIONS), Clock, forms.other_of_clock),
        (Day, Day, forms.days),
        (Text, Text, forms.texts),
        (Text, Symbol, forms.text_of_symbol),
        (Symbol, Text, forms.symbol_of_text),
    )
)
