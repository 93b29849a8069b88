"""Compare matrices and vectors, in all notations for them.

In: values of which at least one is a matrix or may be a vector. Out: a `Comparison`, or None where
another rule decides.
"""

from __future__ import annotations

from verifiers.maths.equality import Comparison, equal_expressions
from verifiers.maths.same import in_order
from verifiers.maths.terms import (
    EXPRESSIONS,
    Bracketed,
    Constant,
    Expression,
    Matrix,
    Symbol,
    Value,
    product,
    replaced,
    symbols_of,
    total,
)

_VECTORS = (("(", ")"), ("[", "]"), ("<", ">"))


def matrices(reference: Matrix, answer: Matrix) -> Comparison:
    """Compare two matrices by shape and entries."""
    shapes = [(len(value.rows), len(value.rows[0])) for value in (reference, answer)]
    if shapes[0] != shapes[1]:
        return Comparison(False, f"a matrix of {shapes[1]}, the reference has {shapes[0]}")
    return in_order(_entries(reference), _entries(answer))


def matrix_of_brackets(reference: Matrix, answer: Bracketed) -> Comparison | None:
    """Compare a row or column with a tuple, a matrix with nested lists."""
    return (
        in_order(_as_vector(reference), answer.items)
        if _as_vector(reference) and (answer.opening, answer.closing) in _VECTORS
        else _nested(reference, answer)
    )


def brackets_of_matrix(reference: Bracketed, answer: Matrix) -> Comparison | None:
    """Compare a tuple with a row or column, nested lists with a matrix."""
    if (reference.opening, reference.closing) in _VECTORS and _as_vector(answer):
        return in_order(reference.items, _as_vector(answer))
    return _nested(answer, reference)


def _nested(matrix: Matrix, rows: Bracketed) -> Comparison | None:
    """Compare a matrix with [[1, 2], [3, 4]]."""
    if rows.opening != "[" or not all(isinstance(row, Bracketed) and row.opening == "[" for row in rows.items):
        return None
    entries = tuple(tuple(row.items) for row in rows.items if isinstance(row, Bracketed))
    return matrices(matrix, Matrix(entries)) if len({len(row) for row in entries}) == 1 and entries[0] else None


def matrix_of_value(reference: Matrix, answer: Value) -> Comparison | None:
    """Compare a vector with a sum of i, j and k."""
    return compare_vector(_as_vector(reference), answer)


def value_of_matrix(reference: Expression, answer: Matrix) -> Comparison | None:
    """Compare a sum of i, j and k with a vector."""
    return compare_vector(_as_vector(answer), reference)


def compare_vector(items: tuple[Value, ...], answer: Value) -> Comparison | None:
    """Compare (2, 3) with 2i + 3j."""
    if (
        not isinstance(answer, EXPRESSIONS)
        or not 2 <= len(items) <= 3
        or not all(isinstance(item, EXPRESSIONS) for item in items)
    ):
        return None
    units = (Symbol("i"), Symbol("j"), Symbol("k"))
    rewritten = replaced(answer, Constant("i"), units[0])
    if not symbols_of(rewritten) & {"i", "j", "k"}:
        return None
    return equal_expressions(total(*(product(item, unit) for item, unit in zip(items, units, strict=False))), rewritten)  # type: ignore[arg-type]


def _as_vector(matrix: Matrix) -> tuple[Value, ...]:
    return _entries(matrix) if len(matrix.rows) == 1 or len(matrix.rows[0]) == 1 else ()


def _entries(matrix: Matrix) -> tuple[Value, ...]:
    return tuple(cell for row in matrix.rows for cell in row)
