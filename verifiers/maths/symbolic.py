"""Carry out work that is only stated, with sympy: sums, products, integrals, limits, gcd, lcm, max and min.

In: a value with `Work` in it. Out: the value with its results in place; what sympy cannot do stays work. sympy is
handed objects, never text. It may take forever or eat all memory, so this runs in killable workers only.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

from flint import fmpq

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
    Value,
    Work,
    product,
    total,
)


class _Unknown(Exception):
    """Something that is not translated."""


def carried_out(value: Value) -> Value:
    """Return the value with its work carried out where that is possible."""
    match value:
        case Quantity(value=inner, unit=unit, label=label):
            return Quantity(_expression(inner), unit, label)
        case Several(items=items, joint=joint):
            return Several(tuple(carried_out(item) for item in items), joint)
        case Bracketed(opening=opening, closing=closing, items=items):
            return Bracketed(opening, closing, tuple(carried_out(item) for item in items))
        case Relation(sides=sides, signs=signs):
            return Relation(tuple(carried_out(side) for side in sides), signs)
    return _expression(value) if isinstance(value, EXPRESSIONS) else value


def _expression(value: Expression) -> Expression:
    match value:
        case Work(args=args) if args:
            try:
                return _from_sympy(_result(value))
            except (_Unknown, ValueError, TypeError, NotImplementedError):
                return value
        case Sum(terms=terms):
            return total(*(_expression(term) for term in terms))
        case Product(factors=factors):
            return product(*(_expression(factor) for factor in factors))
        case Power(base=base, exponent=exponent):
            return Power(_expression(base), _expression(exponent))
        case Call(name=name, args=args):
            return Call(name, tuple(_expression(arg) for arg in args))
    return value


def _result(work: Work) -> Any:
    import sympy

    args = [_to_sympy(_expression(arg)) for arg in work.args]
    match work.name:
        case "gcd" | "hcf":
            return reduce(sympy.gcd, args)
        case "lcm":
            return reduce(sympy.lcm, args)
        case "max":
            return sympy.Max(*args)
        case "min":
            return sympy.Min(*args)
        case "sum":
            return sympy.summation(args[3], (args[0], args[1], args[2])).doit()
        case "prod":
            return sympy.product(args[3], (args[0], args[1], args[2])).doit()
        case "int":
            return sympy.integrate(args[3], (args[0], args[1], args[2]))
        case "lim":
            return sympy.limit(args[2], args[0], args[1])
    raise _Unknown(work.name)


_FUNCTIONS = {
    "sin": "sin", "cos": "cos", "tan": "tan", "cot": "cot", "sec": "sec", "csc": "csc", "arcsin": "asin",
    "arccos": "acos", "arctan": "atan", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh", "ln": "log", "abs": "Abs",
    "factorial": "factorial", "binom": "binomial", "floor": "floor", "ceil": "ceiling", "gamma": "gamma", "erf": "erf",
}  # fmt: skip
_NAMES = {sympy_name: name for name, sympy_name in _FUNCTIONS.items()}


def _to_sympy(value: Expression) -> Any:
    import sympy

    match value:
        case Number(value=rational):
            return sympy.Rational(int(rational.numer()), int(rational.denom()))
        case Constant(name=name):
            constants = {"pi": sympy.pi, "e": sympy.E, "i": sympy.I, "oo": sympy.oo, "degree": sympy.pi / 180}
            return constants[name]
        case Symbol(name=name):
            return sympy.Symbol(name)
        case Sum(terms=terms):
            return sympy.Add(*(_to_sympy(term) for term in terms))
        case Product(factors=factors):
            return sympy.Mul(*(_to_sympy(factor) for factor in factors))
        case Power(base=base, exponent=exponent):
            return sympy.Pow(_to_sympy(base), _to_sympy(exponent))
        case Call(name="root", args=(inner, index)):
            return sympy.real_root(_to_sympy(inner), _to_sympy(index))
        case Call(name="log", args=(inner, *base)):
            return sympy.log(_to_sympy(inner), _to_sympy(base[0]) if base else 10)
        case Call(name=name, args=args) if name in _FUNCTIONS:
            return getattr(sympy, _FUNCTIONS[name])(*(_to_sympy(arg) for arg in args))
    raise _Unknown(str(value)[:40])


def _from_sympy(value: Any) -> Expression:
    import sympy

    constants = {sympy.pi: "pi", sympy.E: "e", sympy.I: "i", sympy.oo: "oo"}
    if value in constants:
        return Constant(constants[value])
    if value == -sympy.oo:
        return product(Number(fmpq(-1)), Constant("oo"))
    if value.is_Rational:
        return Number(fmpq(int(value.p), int(value.q)))
    if value.is_Symbol:
        return Symbol(value.name)
    args = [_from_sympy(arg) for arg in value.args]
    if value.is_Add:
        return total(*args)
    if value.is_Mul:
        return product(*args)
    if value.is_Pow:
        return Power(*args)
    name = type(value).__name__
    if name == "exp":
        return Power(Constant("e"), args[0])
    if name in _NAMES:
        return Call(_NAMES[name], tuple(args))
    raise _Unknown(name)
