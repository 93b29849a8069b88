"""Evaluate expressions: as exact rationals, modulo a prime, in balls that are proven to contain the value.

In: an `Expression`, values of its variables, and bounds. Out: a number of the arithmetic. Every arithmetic refuses
(`TooLarge`) before it computes something that would take long, and says `Undefined` where no value exists; nothing here
compares. Balls are those of Arb (Johansson 2017, arXiv:1611.02831): a midpoint and a radius, the value surely inside.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping
from functools import lru_cache
from math import comb, factorial, perm
from typing import Any, Protocol

from flint import acb, arb, ctx, fmpq, fmpz

from verifiers.maths.terms import Call, Constant, Expression, Number, Power, Product, Sum, Symbol, Work

MAX_BITS = 1 << 16
"""Exact numbers grow no larger than this (2004! has 19,000 bits)."""
MAX_MAGNITUDE = 1 << 40
"""Balls hold no number whose binary logarithm is larger."""
_MAX_FACTORIAL = 6000
PRIME = 65002246725450528177913504810770324119
"""Modulus of modular evaluation: two different rational functions of degree d agree at a random point with a
probability of at most d / 2**125 (Schwartz 1980, Zippel 1979). A safe prime: (p - 1) / 2 is prime too, so that no
number has a small order and powers of 2 do not repeat."""
_MAX_RESIDUE_EXPONENT = 1 << 64
_MAX_RESIDUE_FACTORIAL = 200_000


class Undefined(Exception):
    """The expression has no value here: a division by zero, a logarithm of a negative number, a free variable."""


class TooLarge(Exception):
    """Evaluating would take too long or too much memory."""


class Inexact(Exception):
    """The value is no number of this arithmetic: a square root among rationals."""


class Arithmetic(Protocol):
    """A kind of numbers in which expressions are evaluated."""

    def number(self, value: fmpq) -> Any:
        """Return a rational number."""
        ...

    def constant(self, name: str) -> Any:
        """Return pi, e, i or a degree."""
        ...

    def inverse(self, value: Any) -> Any:
        """Return 1 / value."""
        ...

    def power(self, base: Any, exponent: Expression, values: Mapping[str, Any]) -> Any:
        """Return the base raised to an exponent."""
        ...

    def call(self, name: str, args: tuple[Any, ...], expressions: tuple[Expression, ...]) -> Any:
        """Return a function's value."""
        ...

    def check(self, value: Any) -> Any:
        """Return the value if it is in bounds."""
        ...


def evaluate(expression: Expression, arithmetic: Arithmetic, values: Mapping[str, Any]) -> Any:
    """Evaluate an expression. Raises Undefined, TooLarge or Inexact."""
    match expression:
        case Number(value=value):
            return arithmetic.number(value)
        case Symbol(name=name):
            if name not in values:
                raise Undefined(f"{name} has no value")
            return values[name]
        case Constant(name=name):
            return arithmetic.constant(name)
        case Sum(terms=terms):
            value = evaluate(terms[0], arithmetic, values)
            for term in terms[1:]:
                value = arithmetic.check(value + evaluate(term, arithmetic, values))
            return value
        case Product(factors=factors):
            value = evaluate(factors[0], arithmetic, values)
            for factor in factors[1:]:
                value = arithmetic.check(value * evaluate(factor, arithmetic, values))
            return value
        case Power(base=Constant(name="e"), exponent=exponent):
            return arithmetic.power(None, exponent, values)
        case Power(base=base, exponent=exponent):
            if exponent == _MINUS_ONE:
                return arithmetic.inverse(evaluate(base, arithmetic, values))
            return arithmetic.power(evaluate(base, arithmetic, values), exponent, values)
        case Call(name=name, args=args):
            return arithmetic.call(name, tuple(evaluate(arg, arithmetic, values) for arg in args), args)
        case Work(name=name):
            raise Undefined(f"{name} is not carried out")
    raise AssertionError(expression)


_MINUS_ONE = Number(fmpq(-1))


class Exact:
    """Rational numbers. Raises Inexact where the value is none, or is not seen to be one."""

    def number(self, value: fmpq) -> fmpq:
        """Return the number."""
        return value

    def constant(self, name: str) -> fmpq:
        """Raise: none of the constants is rational."""
        raise Inexact(name)

    def inverse(self, value: fmpq) -> fmpq:
        """Return 1 / value."""
        if value == 0:
            raise Undefined("a division by zero")
        return 1 / value

    def power(self, base: fmpq | None, exponent: Expression, values: Mapping[str, Any]) -> fmpq:
        """Return base ** exponent for whole exponents, and roots that come out even."""
        raised = evaluate(exponent, self, values)
        if base is None:
            if raised == 0:
                return fmpq(1)
            raise Inexact("a power of e")
        if raised.denom() != 1:
            return self._root(base, raised)
        return _whole_power(base, int(raised.numer()))

    def call(self, name: str, args: tuple[fmpq, ...], expressions: tuple[Expression, ...]) -> fmpq:
        """Return the value of functions that map rationals to rationals."""
        del expressions
        match name, args:
            case "abs", (x,):
                return abs(x)
            case "floor", (x,):
                return fmpq(x.numer() // x.denom())
            case "ceil", (x,):
                return fmpq(-((-x.numer()) // x.denom()))
            case "sgn", (x,):
                return fmpq((x > 0) - (x < 0))
            case "root", (x, n) if n.denom() == 1 and n != 0:
                return self._root(x, 1 / n)
            case (("factorial" | "double factorial"), (x,)):
                return _factorial(x, doubled=name != "factorial")
            case (("binom" | "perm"), (n, k)):
                return _chosen(n, k, ordered=name == "perm")
        raise Inexact(name)

    def check(self, value: fmpq) -> fmpq:
        """Raise TooLarge if the value has grown beyond MAX_BITS."""
        if value.height_bits() > MAX_BITS:
            raise TooLarge("a number of too many digits")
        return value

    def _root(self, base: fmpq, exponent: fmpq) -> fmpq:
        """Return base ** exponent if it is rational: an odd root of a negative number is its real one."""
        index = int(exponent.denom())
        if index > 64:
            raise Inexact("a root")
        sign = 1
        if base < 0:
            if index % 2 == 0:
                raise Inexact("a root of a negative number")
            sign, base = -1, -base
        above, below = _whole_root(int(base.numer()), index), _whole_root(int(base.denom()), index)
        if above is None or below is None:
            raise Inexact("a root")
        return _whole_power(fmpq(sign * above, below), int(exponent.numer()))


class Modular:
    """Numbers modulo a prime: rational functions at a point, and whole numbers of any size."""

    def __init__(self, prime: int = PRIME) -> None:
        """Choose the modulus."""
        self.prime = prime

    def number(self, value: fmpq) -> int:
        """Return the residue."""
        below = int(value.denom()) % self.prime
        if below == 0:
            raise Undefined("a division by zero")
        return int(value.numer()) * pow(below, -1, self.prime) % self.prime

    def constant(self, name: str) -> int:
        """Raise: no constant has a residue."""
        raise Inexact(name)

    def inverse(self, value: int) -> int:
        """Return the inverse residue."""
        if value == 0:
            raise Undefined("a division by zero")
        return pow(value, -1, self.prime)

    def power(self, base: int | None, exponent: Expression, values: Mapping[str, Any]) -> int:
        """Return base ** exponent for whole exponents that are numbers."""
        del values
        try:
            raised = evaluate(exponent, EXACT, {})
        except Undefined:
            raise Inexact("a power with a variable in its exponent") from None
        if base is None or raised.denom() != 1:
            raise Inexact("a power")
        whole = int(raised.numer())
        if abs(whole) > _MAX_RESIDUE_EXPONENT:
            raise Inexact("a power")
        if base == 0 and whole <= 0:
            raise Undefined("zero to the power of zero or less")
        return pow(base, whole, self.prime) if whole >= 0 else pow(pow(base, -1, self.prime), -whole, self.prime)

    def call(self, name: str, args: tuple[int, ...], expressions: tuple[Expression, ...]) -> int:
        """Return the value of what is a polynomial, or a number that is not too large."""
        if name == "binom" and isinstance(expressions[1], Number):
            chosen = expressions[1].value
            if chosen.denom() == 1 and 0 <= chosen <= 50:
                value = 1
                for place in range(int(chosen.numer())):
                    value = value * (args[0] - place) * pow(place + 1, -1, self.prime) % self.prime
                return value
        if name == "factorial" and isinstance(expressions[0], Number) and expressions[0].value.denom() == 1:
            last = int(expressions[0].value.numer())
            if _MAX_FACTORIAL < last <= _MAX_RESIDUE_FACTORIAL:
                value = 1
                for factor in range(2, last + 1):
                    value = value * factor % self.prime
                return value
        try:
            exact = EXACT.call(name, tuple(evaluate(expression, EXACT, {}) for expression in expressions), expressions)
        except Undefined:
            raise Inexact(name) from None
        return self.number(exact)

    def check(self, value: int) -> int:
        """Return the residue."""
        return value % self.prime


class Balls:
    """Real or complex numbers in balls, at the precision that is set in `precision`.

    Among the reals a root of a negative number is undefined (odd roots are real); among the complex numbers functions
    have their principal values, but for odd roots of negative reals.
    """

    def __init__(self, *, is_complex: bool) -> None:
        """Choose the reals or the complex numbers."""
        self.is_complex = is_complex
        self._kind = acb if is_complex else arb

    def number(self, value: fmpq) -> Any:
        """Return a ball around the number."""
        return self._kind(value)

    def constant(self, name: str) -> Any:
        """Return a ball around the constant."""
        match name:
            case "pi":
                return self._kind(arb.pi())
            case "e":
                return self._kind(arb.const_e())
            case "degree":
                return self._kind(arb.pi() / 180)
            case "i" if self.is_complex:
                return acb(0, 1)
        raise Undefined(f"{name} is no number here")

    def inverse(self, value: Any) -> Any:
        """Return 1 / value."""
        if value == 0:
            raise Undefined("a division by zero")
        return self.check(1 / value)

    def power(self, base: Any, exponent: Expression, values: Mapping[str, Any]) -> Any:
        """Return base ** exponent; a rational exponent is taken as such."""
        exact = None
        with contextlib.suppress(Inexact, Undefined, TooLarge):
            exact = evaluate(exponent, EXACT, {})
        if base is None:
            raised = evaluate(exponent, self, values) if exact is None else self._kind(exact)
            _bounded(_top(raised) * 2)
            return self.check(raised.exp())
        if exact is not None:
            return self._rational_power(base, exact)
        raised = evaluate(exponent, self, values)
        if self.is_complex:
            _off_the_cut(base)
        whole = _whole(raised)
        if whole is not None and abs(whole) < 1 << 30:
            return self._rational_power(base, fmpq(whole))
        if not self.is_complex and not base > 0:
            raise Undefined("a power of a negative number")
        if base == 0:
            raise Undefined("a power of zero")
        _bounded(_top(base.log()) * _top(raised) * 2)
        return self.check((base.log() * raised).exp())

    def call(self, name: str, args: tuple[Any, ...], expressions: tuple[Expression, ...]) -> Any:
        """Return the value of a function."""
        if name.startswith("apply "):
            return self._opaque(name, args)
        function = getattr(self, "_" + name.replace(" ", "_"), None)
        if function is not None:
            return self.check(function(*args))
        if name in _ELEMENTARY:
            if name in ("arcsin", "arccos") and not self.is_complex and not abs(args[0]) <= 1:
                raise Undefined(f"{name} beyond 1")
            if name in ("sinh", "cosh"):
                _bounded(_top(args[0]) * 2)
            return self.check(getattr(args[0], _ELEMENTARY[name])())
        with contextlib.suppress(Inexact):
            return self._kind(EXACT.call(name, tuple(evaluate(arg, EXACT, {}) for arg in expressions), expressions))
        raise Undefined(f"{name} has no value")

    def check(self, value: Any) -> Any:
        """Return the value if it is finite."""
        if not value.is_finite():
            raise Undefined("not finite")
        return value

    def _rational_power(self, base: Any, exponent: fmpq) -> Any:
        if exponent < 0:
            return self.inverse(self._rational_power(base, -exponent))
        _bounded(
            (abs(_log2(base)) + 1)
            * float(int(exponent.numer()) if exponent.numer() < 1 << 60 else 1e30)
            / float(int(exponent.denom()))
        )
        whole, index = int(exponent.numer()), int(exponent.denom())
        if index == 1:
            return self.check(base**whole) if whole else self._kind(1)
        return self.check(self._root(base, self._kind(index)) ** whole)

    def _root(self, base: Any, index: Any) -> Any:
        order = _whole(index)
        if order is None or order == 0 or abs(order) > 10_000:
            if not base.real > 0:
                raise Undefined("a root of a negative number")
            return (base.log() / index).exp()
        if order < 0:
            return self.inverse(self._root(base, -index))
        if base == 0:
            return base
        if self.is_complex:
            _off_the_cut(base)
        if order % 2 == 1 and _is_negative(base):
            return -self._root(-base, index)
        if not self.is_complex:
            if not base >= 0:
                raise Undefined("an even root of a negative number")
            return base.root(order)
        return base.sqrt() if order == 2 else (base.log() / order).exp()

    def _ln(self, x: Any) -> Any:
        if x == 0 or not (self.is_complex or x > 0):
            raise Undefined("a logarithm of a number that is not positive")
        if self.is_complex:
            _off_the_cut(x)
        return x.log()

    def _log(self, x: Any, base: Any = None) -> Any:
        below = self._kind(10).log() if base is None else self._ln(base)
        if below == 0:
            raise Undefined("a logarithm to the base 1")
        return self._ln(x) / below

    def _abs(self, x: Any) -> Any:
        return self._kind(abs(x))

    def _sgn(self, x: Any) -> Any:
        real = x.real
        if real > 0 or real < 0 or real == 0:
            return self._kind(int(real > 0) - int(real < 0))
        raise Undefined("a sign that is not certain")

    def _floor(self, x: Any) -> Any:
        return self._kind(self._certain(x.real.floor()))

    def _ceil(self, x: Any) -> Any:
        return self._kind(self._certain(x.real.ceil()))

    def _certain(self, x: Any) -> Any:
        if x.unique_fmpz() is None:
            raise Undefined("a rounding that is not certain")
        return x

    def _factorial(self, x: Any) -> Any:
        if not x.real > -1:
            raise Undefined("a factorial of a negative number")
        _bounded(_top(x) * (abs(_log2(x)) + 2))
        return (x + 1).gamma()

    def _gamma(self, x: Any) -> Any:
        return self._factorial(x - 1)

    def _binom(self, n: Any, k: Any) -> Any:
        order = _whole(k)
        if order is not None and 0 <= order <= 200:
            value = self._kind(1)
            for place in range(order):
                value = value * (n - place) / (place + 1)
            return value
        return self._factorial(n) / (self._factorial(k) * self._factorial(n - k))

    def _perm(self, n: Any, k: Any) -> Any:
        return self._factorial(n) / self._factorial(n - k)

    def _Re(self, x: Any) -> Any:
        return self._kind(x.real)

    def _Im(self, x: Any) -> Any:
        return self._kind(x.imag)

    def _arg(self, x: Any) -> Any:
        _off_the_cut(acb(x))
        if x == 0:
            raise Undefined("the argument of zero")
        return self._kind(acb(x).arg())

    def _arccot(self, x: Any) -> Any:
        if x == 0:
            return self._kind(arb.pi() / 2)
        return (1 / x).atan()

    def _arcsec(self, x: Any) -> Any:
        return self.call("arccos", (self.inverse(x),), ())

    def _arccsc(self, x: Any) -> Any:
        return self.call("arcsin", (self.inverse(x),), ())

    def _sech(self, x: Any) -> Any:
        return self.inverse(x.cosh())

    def _csch(self, x: Any) -> Any:
        return self.inverse(x.sinh())

    def _arcsinh(self, x: Any) -> Any:
        return x.asinh()

    def _arccosh(self, x: Any) -> Any:
        if not self.is_complex and not x >= 1:
            raise Undefined("arccosh below 1")
        return x.acosh()

    def _arctanh(self, x: Any) -> Any:
        if not self.is_complex and not abs(x) < 1:
            raise Undefined("arctanh beyond 1")
        return x.atanh()

    def _opaque(self, name: str, args: tuple[Any, ...]) -> Any:
        """Return a value for a function that only has a name: fixed by the name and the arguments, else arbitrary."""
        return self._kind(point(f"{name}({','.join(_key(arg) for arg in args)})"))


_ELEMENTARY = {
    "sin": "sin", "cos": "cos", "tan": "tan", "cot": "cot", "sec": "sec", "csc": "csc", "arcsin": "asin",
    "arccos": "acos", "arctan": "atan", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh", "coth": "coth", "erf": "erf",
}  # fmt: skip
EXACT = Exact()
MODULAR = Modular()
REALS = Balls(is_complex=False)
COMPLEX = Balls(is_complex=True)

_lock = threading.RLock()


@contextlib.contextmanager
def precision(bits: int) -> Iterator[None]:
    """Compute balls with so many bits inside the block. The setting is the whole process's, so threads take turns."""
    with _lock:
        before = ctx.prec
        ctx.prec = bits
        try:
            yield
        finally:
            ctx.prec = before


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603 - a fork copies it in whatever state another thread left it
    _lock = threading.RLock()
    ctx.prec = 53


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def point(name: str, turn: int = 0) -> fmpq:
    """Return an arbitrary rational between 0 and 1 that belongs to the name: the same in every process."""
    from hashlib import blake2b

    digest = blake2b(f"{turn}:{name}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return fmpq(int.from_bytes(digest, "big") | 1, 1 << 64)


def residue(name: str, turn: int = 0, prime: int = PRIME) -> int:
    """Return an arbitrary residue that belongs to the name."""
    from hashlib import blake2b

    digest = blake2b(f"residue {turn}:{name}".encode("utf-8", "surrogatepass"), digest_size=24).digest()
    return int.from_bytes(digest, "big") % prime


def prime_for(text: str) -> int:
    """Return a prime of 125 bits that belongs to a text, which nobody can write an answer around."""
    from hashlib import blake2b

    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    candidate = fmpz(int.from_bytes(digest, "big") >> 3 | 1 << 124 | 1)
    while not candidate.is_probable_prime():
        candidate += 2
    return int(candidate)


def _off_the_cut(value: Any) -> None:
    """Raise Undefined for a ball that touches the negative axis without lying on it: its root may be either of two."""
    if value.imag != 0 and value.imag.contains(0) and not value.real > 0:
        raise Undefined("a value at a branch cut")


def _key(value: Any) -> str:
    """Return what distinguishes an argument from others: exact numbers exactly, others by 45 digits."""
    parts = [value.real, value.imag] if isinstance(value, acb) else [value]
    keys = []
    for part in parts:
        if part.is_exact():
            keys.append(str(part.mid().man_exp()))
        elif part.rel_accuracy_bits() > 155:
            keys.append(part.mid().str(45, radius=False))
        else:
            raise Undefined("a function of a value that is not certain")
    return "+".join(keys if isinstance(value, acb) and value.imag != 0 else keys[:1])


def _whole_power(base: fmpq, exponent: int) -> fmpq:
    if base == 0 and exponent <= 0:
        raise Undefined("zero to the power of zero or less")
    if base in (1, -1):
        return base if exponent % 2 else fmpq(1)
    if base.height_bits() * abs(exponent) > MAX_BITS:
        raise TooLarge("a power of too many digits")
    return base**exponent


def _whole_root(value: int, index: int) -> int | None:
    found = int(fmpz(value).root(index)) if value else 0
    return found if found**index == value else None


def _factorial(x: fmpq, *, doubled: bool) -> fmpq:
    if x.denom() != 1 or x < 0:
        raise Inexact("a factorial")
    if x > _MAX_FACTORIAL:
        raise TooLarge("a factorial of too many digits")
    whole = int(x.numer())
    if not doubled:
        return _factorial_of(whole)
    value = 1
    for factor in range(whole, 1, -2):
        value *= factor
    return fmpq(value)


@lru_cache(maxsize=64)
def _factorial_of(whole: int) -> fmpq:
    return fmpq(factorial(whole))


def _chosen(n: fmpq, k: fmpq, *, ordered: bool) -> fmpq:
    if n.denom() != 1 or k.denom() != 1 or n < 0:
        raise Inexact("a binomial")
    if k < 0 or k > n:
        return fmpq(0)
    size, few = int(n.numer()), int(k.numer() if ordered else min(k.numer(), n.numer() - k.numer()))
    if few * max(1, size.bit_length()) > MAX_BITS // 2:
        raise TooLarge("a binomial of too many digits")
    return fmpq(perm(size, few) if ordered else comb(size, few))


def _bounded(magnitude: float) -> None:
    """Raise TooLarge if a result would have a binary logarithm of that magnitude, in either direction."""
    if not abs(magnitude) < MAX_MAGNITUDE:
        raise TooLarge("a number of too large a magnitude")


def _log2(value: Any) -> float:
    """Return about the binary logarithm of a ball's upper bound; 0 for zero."""
    upper = abs(value).abs_upper()
    if not upper.is_finite():
        raise Undefined("not finite")
    if upper == 0:
        return 0.0
    man, exp = upper.man_exp()
    return float(int(exp) + int(man).bit_length()) if abs(exp) < 1 << 60 else 1e30


def _top(value: Any) -> float:
    """Return an upper bound of a ball's absolute value."""
    size = _log2(value)
    return 2.0**size if size < 200 else 1e60


def _whole(value: Any) -> int | None:
    """Return the integer that an exact ball holds."""
    real = value.real
    if not (value.imag == 0 if isinstance(value, acb) else True) or not real.is_integer():
        return None
    found = real.unique_fmpz()
    return None if found is None else int(found)


def _is_negative(value: Any) -> bool:
    return bool(value.real < 0 and (not isinstance(value, acb) or value.imag == 0))
