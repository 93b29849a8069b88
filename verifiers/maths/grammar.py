"""Read an expression from tokens.

In: tokens and a place among them. Out: an `Expression`, and the place of the first token that is no part of it. What
surrounds expressions (units, lists, relations, sets) is `reader.py`. Nothing is evaluated here, and nothing is dropped.

    sum      = ["+" | "-"] product { ("+" | "-" | "±") product }
    product  = factor { ["*" | "/"] factor }
    factor   = atom { "!" | "°" | "^" factor }
    atom     = number | variable | "(" sum ")" | "|" sum "|" | \\frac | \\sqrt | function ...
"""

from __future__ import annotations

import re
from dataclasses import replace

from flint import fmpq

from verifiers.maths.terms import (
    Call,
    Constant,
    Expression,
    Number,
    Power,
    Product,
    Symbol,
    Work,
    negative,
    number,
    product,
    quotient,
    total,
)
from verifiers.maths.tokens import GREEK, WORK, Token, Unreadable
from verifiers.maths.units import is_unit

MAX_DEPTH = 48
"""Expressions nested deeper are not read."""
MAX_ATOMS = 70
"""The same for functions of functions without brackets."""
_TIMES = frozenset(("times", "cdot", "*"))
_OVER = frozenset(("/", "div"))
_PLUS_MINUS = frozenset(("pm", "mp"))
_OPENING = {"(": ")", "[": "]", "\\{": "\\}", "{": "}"}
_ROUNDED = {"lfloor": ("rfloor", "floor"), "lceil": ("rceil", "ceil")}
_CANONICAL = {
    "Abs": "abs",
    "tg": "tan", "ctg": "cot", "cosec": "csc", "asin": "arcsin", "acos": "arccos", "atan": "arctan", "arctg": "arctan",
    "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "arsinh": "arcsinh", "arcosh": "arccosh",
    "artanh": "arctanh", "sign": "sgn", "ceiling": "ceil", "nCr": "binom", "nPr": "perm",
}  # fmt: skip
_SIMPLE = frozenset(
    (
        "sin cos tan cot sec csc arcsin arccos arctan arccot arcsec arccsc sinh cosh tanh coth sech csch "
        "arcsinh arccosh arctanh sgn floor ceil abs erf gamma cis Re Im arg factorial cbrt round"
    ).split()
)
_INVERSE = {"sin": "arcsin", "cos": "arccos", "tan": "arctan", "cot": "arccot", "sec": "arcsec", "csc": "arccsc",
            "sinh": "arcsinh", "cosh": "arccosh", "tanh": "arctanh"}  # fmt: skip
_DEGREE = Constant("degree")
_FUNCTION_LETTERS = frozenset("fghFGHPQ")
_PREFIXES = "arcsin arccos arctan sqrt sinh cosh tanh sin cos tan cot sec csc log ln exp pi".split()
_INVERTED = ["^", "{", "-", "1", "}", "("]
_WORDS = frozenset(
    (
    "and or sq cu is are the of to in on at by for per not no if as it be an so we he do all any but has was "
    "yes can its our you one two six ten odd even day age cup box set sum am pm than then with none dne "
    "red bob tom sue ann may jan feb mar apr jun jul aug sep oct nov dec mon tue wed thu fri sat sun old "
    "new men man boy son cat dog pen hat car bus fan inf nan und undefined"
).split())  # fmt: skip


class Grammar:
    """A reader of expressions over one list of tokens; `place` moves as it reads."""

    def __init__(self, tokens: list[Token]) -> None:
        """Start at the first token."""
        self.tokens = _rewritten(tokens)
        self.place = 0
        self._depth = 0
        self._bars = 0
        self._atoms = 0

    @property
    def next(self) -> Token | None:
        """The token at the place, or None at the end."""
        return self.tokens[self.place] if self.place < len(self.tokens) else None

    @property
    def at_end(self) -> bool:
        """Whether all is read."""
        return self.place >= len(self.tokens)

    def sum(self) -> Expression:
        """Read a sum. Raises Unreadable where no expression stands."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Unreadable(f"it is nested more than {MAX_DEPTH} levels deep")
        terms = [self._signed()]
        while (token := self.next) is not None:
            if self._is(token, "+", "-"):
                self.place += 1
                term = self._signed() if self.next is not None and self._is(self.next, "-") else self._product()
                terms.append(term if token.text == "+" else negative(term))
            elif token.kind == "command" and token.text in _PLUS_MINUS:
                self.place += 1
                terms.append(Call(token.text, (self._product(),)))
            else:
                break
        self._depth -= 1
        if self.next is not None and self.next.kind == "command" and self.next.text == "over":
            self.place += 1
            return quotient(total(*terms), self.sum())
        if self.next is not None and self.next.kind == "command" and self.next.text == "choose":
            self.place += 1
            return Call("binom", (total(*terms), self.sum()))
        return total(*terms)

    def _signed(self) -> Expression:
        token = self.next
        if token is not None and self._is(token, "+", "-"):
            self.place += 1
            after = self.next
            if after is not None and self._is(after, "+", "-"):  # --5 is 5
                self.place += 1
                term = self._product()
                term = term if after.text == "+" else negative(term)
            else:
                term = self._product()
            return term if token.text == "+" else negative(term)
        if token is not None and token.kind == "command" and token.text in _PLUS_MINUS:
            self.place += 1
            return Call(token.text, (self._product(),))
        return self._product()

    def _product(self) -> Expression:
        left = self._factor()
        left = self._mixed(left)
        while (token := self.next) is not None:
            if token.text in _TIMES and token.kind in ("sign", "command"):
                self.place += 1
                left = product(left, self._factor_signed())
            elif token.text in _OVER and token.kind in ("sign", "command"):
                after = self.tokens[self.place + 1] if self.place + 1 < len(self.tokens) else None
                if after is not None and after.kind == "word" and is_unit(after.text):
                    break  # 5/hr
                self.place += 1
                left = quotient(left, self._below())
            elif self._starts_factor(token):
                if token.kind == "number" and self._before_is_number():
                    raise Unreadable("two numbers side by side")
                left = product(left, self._factor())
            else:
                break
        return left

    def _before_is_number(self) -> bool:
        before = self.tokens[self.place - 1]
        return before.kind == "number"

    def _factor_signed(self) -> Expression:
        token = self.next
        if token is not None and self._is(token, "-", "+"):
            self.place += 1
            factor = self._factor()
            return negative(factor) if token.text == "-" else factor
        return self._factor()

    def _below(self) -> Expression:
        """Read what a slash divides by: one factor, or adjoining variables as in 1/xy."""
        starts_with = self.next
        below = self._factor_signed()
        while (
            starts_with is not None
            and starts_with.kind in ("letter",)
            and (token := self.next) is not None
            and not token.spaced
            and token.kind in ("letter", "command")
            and self._starts_factor(token)
        ):
            below = product(below, self._factor())
        return below

    def _mixed(self, left: Expression) -> Expression:
        """Read 3 1/2 and 3\\frac12 as 3 + 1/2: an integer, then a fraction of integers below 1."""
        if not (isinstance(left, Number) and left.places is None and left.value.denom() == 1 and left.digits):
            return left
        start = self.place
        if start < 1 or self.tokens[start - 1].kind != "number":
            return left
        token = self.next
        if token is None:
            return left
        if token.kind == "command" and token.text == "frac":
            fraction = self._atom()
            over = self.tokens[start + 1 : self.place]
            numerals = [piece for piece in over if piece.kind == "number"]
            if (
                isinstance(fraction, Number)
                and len(numerals) in (1, 2)
                and all(piece.kind == "number" or piece.text in ("{", "}") for piece in over)
                and fraction.value >= 0
            ):
                if fraction.value < 1:
                    return Number(left.value + fraction.value)
                raise Unreadable("a mixed number with an improper fraction")
            self.place = start
            return left
        after = self.tokens[start : start + 3]
        if (
            len(after) == 3
            and token.kind == "number"
            and token.spaced
            and after[1].text == "/"
            and after[2].kind == "number"
        ):
            above, below = token.number, after[2].number
            assert above is not None
            assert below is not None
            if 0 < above.value < below.value and above.places is None and below.places is None:
                self.place += 3
                return Number(left.value + above.value / below.value)
        return left

    def _factor(self) -> Expression:
        base = self._atom()
        while (token := self.next) is not None:
            if self._is(token, "!"):
                self.place += 1
                doubled = self.next is not None and self._is(self.next, "!") and not self.next.spaced
                self.place += doubled
                base = Call("double factorial" if doubled else "factorial", (base,))
            elif token.kind == "command" and token.text == "degree":
                self.place += 1
                base = self._degrees(base)
            elif self._is(token, "^"):
                self.place += 1
                base = self._powered(base)
            elif self._is(token, "'") and isinstance(base, Symbol):
                self.place += 1
                base = Symbol(base.name + "'")
                after = self.next
                if base.name[0] in _FUNCTION_LETTERS and after is not None and after.text == "(":
                    base = Call(f"apply {base.name}", (self._atom(),))
            else:
                break
        return base

    def _powered(self, base: Expression) -> Expression:
        token = self.next
        if token is None:
            raise Unreadable("nothing stands after ^")
        if token.text in ("top", "intercal") or (token.text == "T" and isinstance(base, Symbol)):
            self.place += 1
            return Call("apply transpose", (base,))
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Unreadable(f"it is nested more than {MAX_DEPTH} levels deep")
        choosing = re.fullmatch(r"([CAP])_(\d+|n|m)", base.name) if isinstance(base, Symbol) else None
        if self._is(token, "-", "+"):
            self.place += 1
            exponent = self._power_operand()
            exponent = negative(exponent) if token.text == "-" else exponent
        else:
            exponent = self._power_operand()
        self._depth -= 1
        if choosing is not None:  # C_{10}^{3}
            size = Number(fmpq(int(choosing[2]))) if choosing[2].isdigit() else Symbol(choosing[2])
            return Call("binom" if choosing[1] == "C" else "perm", (size, exponent))
        return Power(base, exponent)

    def _power_operand(self) -> Expression:
        exponent = self._atom()
        if self.next is not None and self._is(self.next, "^"):
            self.place += 1
            return self._powered(exponent)
        return exponent

    def _degrees(self, base: Expression) -> Expression:
        """Read 30°, and the minutes and seconds behind it: 30°15'20''."""
        value = base
        for marks, parts in ((1, 60), (2, 3600)):
            after = self.tokens[self.place : self.place + 1 + marks]
            if len(after) == 1 + marks and after[0].kind == "number" and all(mark.text == "'" for mark in after[1:]):
                if marks == 1 and len(self.tokens) > self.place + 2 and self.tokens[self.place + 2].text == "'":
                    continue
                assert after[0].number is not None
                value = total(value, Number(after[0].number.value / parts))
                self.place += 1 + marks
        if value is not base and all(isinstance(term, Number) for term in getattr(value, "terms", ())):
            value = Number(sum((term.value for term in value.terms), fmpq(0)))  # type: ignore[union-attr]
        return product(value, _DEGREE)

    def _atom(self) -> Expression:
        token = self.next
        if token is None:
            raise Unreadable("it ends where an expression is expected")
        self.place += 1
        self._atoms += 1
        if self._atoms > MAX_ATOMS:
            raise Unreadable(f"it is nested more than {MAX_ATOMS} levels deep")
        found = self._atom_of(token)
        self._atoms -= 1
        return found

    def _atom_of(self, token: Token) -> Expression:
        match token.kind:
            case "number":
                assert token.number is not None
                return token.number
            case "letter":
                return self._letter(token.text)
            case "word":
                return self._word(token)
            case "command":
                return self._command(token.text)
            case "sign" if token.text in _OPENING:
                return self._group(_OPENING[token.text])
            case "sign" if token.text == "|":
                self._bars += 1
                inner = self.sum()
                self._expect("|")
                self._bars -= 1
                return Call("abs", (inner,))
        raise Unreadable(f"{token.text!r} stands where an expression is expected")

    def _group(self, closing: str) -> Expression:
        bars, self._bars = self._bars, 0
        inner = self.sum()
        self._expect(closing)
        self._bars = bars
        return inner

    def _letter(self, letter: str) -> Expression:
        if letter == "e" and not self._has_subscript():
            return Constant("e")
        if letter == "i" and not self._has_subscript():
            return Constant("i")
        symbol = Symbol(letter + self._subscript())
        if (
            letter in _FUNCTION_LETTERS
            and [piece.text for piece in self.tokens[self.place : self.place + 6]] == _INVERTED
        ):
            self.place += 5
            return Call(f"apply {letter}^-1", (self._atom(),))
        token = self.next
        if letter in _FUNCTION_LETTERS and token is not None and token.text == "(" and not token.spaced:
            start = self.place
            try:
                self.place += 1
                args = [self.sum()]
                while self.next is not None and self._is(self.next, ","):
                    self.place += 1
                    args.append(self.sum())
                self._expect(")")
            except Unreadable:
                self.place = start
                return symbol
            return Call(f"apply {symbol.name}", tuple(args))
        return symbol

    def _has_subscript(self) -> bool:
        return self.next is not None and self._is(self.next, "_")

    def _subscript(self) -> str:
        """Read a subscript as it is written; a name is a name."""
        if not self._has_subscript():
            return ""
        self.place += 1
        token = self.next
        if token is None:
            raise Unreadable("nothing stands after _")
        if token.text != "{":
            self.place += 1
            return "_" + token.text
        return "_" + self._group_as_written()

    def _word(self, token: Token) -> Expression:
        """Read letters that are written side by side: sinx, xy, 2pir; a real word is no expression."""
        word = token.text
        if token.upright or word.lower() in _WORDS:
            raise Unreadable(f"{word!r} is no variable")
        pieces = _split_word(word)
        if pieces is None:
            raise Unreadable(f"{word!r} is no variable")
        self.place -= 1
        self.tokens[self.place : self.place + 1] = [replace(pieces[0], spaced=token.spaced), *pieces[1:]]
        return self._atom()

    def _command(self, name: str) -> Expression:
        if name in GREEK or name in ("partial",):
            return Symbol("\\" + name + self._subscript())
        match name:
            case "pi":
                return Constant("pi")
            case "infty":
                return Constant("oo")
            case "frac":
                return _fraction(self._argument(), self._argument())
            case "sqrt" | "cbrt":
                return self._root(name)
            case "binom":
                if self.next is not None and self.next.text == "(":
                    return Call("binom", self._arguments(2))
                return Call("binom", (self._argument(), self._argument()))
            case "perm" | "nPr" | "nCr":
                return Call(_CANONICAL.get(name, name), self._arguments(2))
            case "log" | "ln" | "lg" | "lb":
                return self._logarithm(name)
            case "exp":
                return Power(Constant("e"), self._function_argument())
            case "angle" | "triangle":
                return self._named(name)
            case "lfloor" | "lceil":
                closing, function = _ROUNDED[name]
                inner = self.sum()
                self._expect(closing)
                return Call(function, (inner,))
            case "overline" | "widetilde" | "tilde" | "vec" | "hat":
                return self._named(name)
        if name in WORK:
            return self._work(name)
        function = _CANONICAL.get(name, name)
        if function in _SIMPLE:
            return self._applied(function)
        raise Unreadable(f"\\{name} is no expression")

    def _root(self, name: str) -> Expression:
        index: Expression = number(3) if name == "cbrt" else number(2)
        if self.next is not None and self._is(self.next, "[") and name == "sqrt":
            self.place += 1
            index = self._group("]")
        inner = self._argument(whole_numbers=True)
        if _is_value(index, 2):
            return Power(inner, Number(fmpq(1, 2)))
        return Call("root", (inner, index))

    def _logarithm(self, name: str) -> Expression:
        base: Expression | None = {"lg": number(10), "lb": number(2)}.get(name)
        exponent = None
        while self.next is not None and self._is(self.next, "_", "^"):
            sign = self.next.text
            self.place += 1
            if sign == "_":
                base = self._argument(whole_numbers=True)
            else:
                exponent = self._argument(whole_numbers=True)
        result: Expression = Call(
            "ln" if base is None and name == "ln" else "log", (self._function_argument(), *((base,) if base else ()))
        )
        return result if exponent is None else Power(result, exponent)

    def _applied(self, function: str) -> Expression:
        exponent: Expression | None = None
        if self.next is not None and self._is(self.next, "^"):
            self.place += 1
            sign = self.next
            minus = sign is not None and self._is(sign, "-")
            self.place += minus
            exponent = self._argument(whole_numbers=True)
            exponent = negative(exponent) if minus else exponent
        if _is_value(exponent, -1) and function in _INVERSE:
            return Call(_INVERSE[function], (self._function_argument(),))
        inner = self._function_argument()
        if function == "cis":
            return Power(Constant("e"), product(Constant("i"), inner))
        if function == "cbrt":
            return Call("root", (inner, number(3)))
        result = Call(function, (inner,))
        return result if exponent is None else Power(result, exponent)

    def _function_argument(self) -> Expression:
        """Read what a function is applied to: a group, or the factors that follow up to the next function or sign."""
        token = self.next
        if token is None:
            raise Unreadable("a function of nothing")
        if self._is(token, "(", "[", "{", "\\{"):
            return self._atom()
        if self._is(token, "-", "+"):
            self.place += 1
            inner = self._function_argument()
            return negative(inner) if token.text == "-" else inner
        inner = self._factor()
        while (token := self.next) is not None and self._starts_factor(token):
            if isinstance(inner, Number):  # the coefficient of the argument: sin 2(x + 1), arctan 2 sqrt 2
                if self._is_function(token) and token.text != "sqrt":
                    break
            elif self._is_function(token) or self._is(token, "(", "[", "\\{", "|"):
                break
            if token.kind == "number":
                break
            inner = product(inner, self._factor())
        if (
            (token := self.next) is not None
            and self._is(token, "/")
            and not token.spaced
            and self.place + 1 < len(self.tokens)
        ):
            after = self.tokens[self.place + 1]
            if after.kind == "number" and not after.spaced and isinstance(inner, (Symbol, Constant, Number)):
                self.place += 1
                inner = quotient(inner, self._factor())  # sin x/2, pi/4
            elif after.kind == "number" and not after.spaced and _is_angle(inner):
                self.place += 1
                inner = quotient(inner, self._factor())
        return inner

    @staticmethod
    def _is_function(token: Token) -> bool:
        known = token.text in _SIMPLE or token.text in _CANONICAL or token.text in ("ln", "log", "lg", "exp", "sqrt")
        return token.kind == "command" and known

    def _argument(self, *, whole_numbers: bool = False) -> Expression:
        """Read an argument of a LaTeX command: a group, or one sign; of digits without braces the first one only."""
        token = self.next
        if token is None:
            raise Unreadable("an argument is missing")
        if token.text in ("{", "(") and token.kind == "sign":
            return self._atom()
        if token.kind == "number" and not whole_numbers and len(token.text) > 1 and token.text.isdigit():
            first, rest = token.text[0], token.text[1:]
            self.tokens[self.place : self.place + 1] = [_digits(first, token), _digits(rest, token)]
        if token.kind == "word" and not token.upright:
            self.tokens[self.place : self.place + 1] = [Token("letter", letter) for letter in token.text]
        if self._is(token, "-"):
            self.place += 1
            return negative(self._argument(whole_numbers=whole_numbers))
        return self._atom()

    def _arguments(self, count: int) -> tuple[Expression, ...]:
        self._expect("(")
        args = [self.sum()]
        while len(args) < count:
            self._expect(",")
            args.append(self.sum())
        self._expect(")")
        return tuple(args)

    def _named(self, name: str) -> Expression:
        """Read \\angle ABC, \\overline{AB}, \\vec v as one name; a hat on i, j and k makes unit vectors of them."""
        letter = next((token for token in self.tokens[self.place : self.place + 2] if token.text != "{"), None)
        if name in ("hat", "vec") and letter is not None and letter.text in ("i", "j", "k"):
            return self._argument()
        if letter is not None and letter.kind == "letter" and self.next is letter and name not in ("angle", "triangle"):
            self.place += 1
            return Symbol(f"\\{name} {letter.text}")
        pieces = []
        if self.next is not None and self.next.text == "{":
            return Symbol(f"\\{name} {self._group_as_written()}")
        while (token := self.next) is not None and token.kind in ("letter", "word") and token.text.isupper():
            pieces.append(token.text)
            self.place += 1
        if not pieces:
            raise Unreadable(f"\\{name} of nothing")
        return Symbol(f"\\{name} {''.join(pieces)}")

    def _group_as_written(self) -> str:
        """Take a group in braces as a name."""
        depth = 0
        pieces: list[str] = []
        while (token := self.next) is not None:
            depth += (token.text == "{") - (token.text == "}")
            self.place += 1
            if depth == 0:
                return "".join(pieces)
            if token.text not in ("{", "}"):
                pieces.append(token.text)
        raise Unreadable("its braces are not balanced")

    def _work(self, name: str) -> Expression:
        """Take an operation that is stated and all that follows as one piece: it is no value."""
        start = self.place
        rest = self.tokens[start:]
        if not rest:
            raise Unreadable(f"\\{name} of nothing")
        try:
            args = self._work_arguments(name)
        except Unreadable:
            self.place = len(self.tokens)
            return Work(name, " ".join(token.text for token in rest if token.text not in ("{", "}")))
        written = " ".join(token.text for token in self.tokens[start : self.place] if token.text not in ("{", "}"))
        return Work(name, written, args)

    def _work_arguments(self, name: str) -> tuple[Expression, ...]:
        """Read what an operation is applied to. Raises Unreadable for all but the usual forms."""
        match name:
            case "gcd" | "lcm" | "hcf" | "max" | "min":
                opening = self.next
                self._expect("\\{" if opening is not None and opening.text == "\\{" else "(")
                args = [self.sum()]
                while self.next is not None and self._is(self.next, ","):
                    self.place += 1
                    args.append(self.sum())
                assert opening is not None
                self._expect(_OPENING[opening.text])
                return tuple(args)
            case "sum" | "prod":
                self._expect("_")
                self._expect("{")
                variable = self._atom()
                self._expect("=")
                low = self.sum()
                self._expect("}")
                self._expect("^")
                high = self._argument(whole_numbers=True)
                return variable, low, high, self._product()
            case "lim":
                self._expect("_")
                self._expect("{")
                variable = self._atom()
                self._expect("to")
                point = self.sum()
                self._expect("}")
                return variable, point, self._product()
            case "int":
                self._expect("_")
                low = self._argument(whole_numbers=True)
                self._expect("^")
                high = self._argument(whole_numbers=True)
                return self._integrand(low, high)
        raise Unreadable(f"\\{name} in an unusual form")

    def _integrand(self, low: Expression, high: Expression) -> tuple[Expression, ...]:
        for place in range(self.place, len(self.tokens)):
            token = self.tokens[place]
            differential = re.fullmatch(r"d([a-zA-Z])", token.text) if token.kind == "word" else None
            if differential is not None:
                body = Grammar(self.tokens[self.place : place])
                value = body.sum() if body.tokens else number(1)
                if not body.at_end:
                    break
                self.place = place + 1
                return Symbol(differential[1]), low, high, value
        raise Unreadable("an integral without its variable")

    def _starts_factor(self, token: Token) -> bool:
        match token.kind:
            case "number":
                return True
            case "letter":
                return not (token.upright and is_unit(token.text))
            case "word":
                if token.upright or token.text.lower() in _WORDS:
                    return False
                if (self._before_is_number() or token.spaced) and is_unit(token.text):
                    return False
                return _split_word(token.text) is not None
            case "sign":
                if token.text == "|":
                    return self._bars == 0
                return token.text in ("(", "[", "{")
            case "command":
                if token.text in ("min", "sec", "lb", "deg") and self._is_unit_here():
                    return False
                return (
                    token.text in GREEK
                    or token.text in _SIMPLE
                    or token.text in _CANONICAL
                    or token.text
                    in (
                        "pi",
                        "infty",
                        "frac",
                        "sqrt",
                        "binom",
                        "log",
                        "ln",
                        "lg",
                        "lb",
                        "exp",
                        "lfloor",
                        "lceil",
                        "angle",
                        "overline",
                        "vec",
                        "hat",
                        "cbrt",
                    )
                    or token.text in WORK
                )
        return False

    def _is_unit_here(self) -> bool:
        """Tell 5 min and 5 sec from min(1, 2) and sec x: nothing that could be an argument follows."""
        after = self.tokens[self.place + 1] if self.place + 1 < len(self.tokens) else None
        return after is None or not (
            after.kind in ("letter", "number", "word") or after.text in ("(", "{", "^", "theta", "frac", "alpha", "pi")
        )

    def _expect(self, text: str) -> None:
        token = self.next
        if token is None or token.text != text:
            raise Unreadable(f"{text!r} is missing")
        self.place += 1

    @staticmethod
    def _is(token: Token, *texts: str) -> bool:
        return token.kind == "sign" and token.text in texts


def _fraction(above: Expression, below: Expression) -> Expression:
    """Return a fraction; dy/dx is a name, not a quotient."""
    if isinstance(below, Product) and below.factors[0] in _DIFFERENTIALS and len(below.factors) == 2:
        mark = below.factors[0]
        if above == mark or (isinstance(above, Product) and above.factors[0] == mark):
            names = [getattr(part, "name", "?") for part in (*getattr(above, "factors", (above,)), "/", *below.factors)]
            return Symbol("".join("/" if name == "?" else name for name in names))
    return quotient(above, below)


_DIFFERENTIALS = (Symbol("d"), Symbol("\\partial"))


def _is_value(expression: Expression | None, value: int) -> bool:
    return isinstance(expression, Number) and expression.value == value


def _is_angle(inner: Expression) -> bool:
    return not isinstance(inner, (Call, Work))


def _digits(text: str, token: Token) -> Token:
    return Token("number", text, Number(fmpq(int(text)), None, len(text)), token.spaced, token.upright)


def _split_word(word: str) -> list[Token] | None:
    """Cut letters into function names, pi and single variables; None if the result would be a stretch."""
    found: list[Token] = []
    place, letters = 0, 0
    while place < len(word):
        prefix = next((name for name in _PREFIXES if word.startswith(name, place)), None)
        if prefix and (place == 0 or letters <= 2) and len(word) <= 12:
            found.append(Token("command", prefix))
            place += len(prefix)
            continue
        found.append(Token("letter", word[place]))
        letters += 1
        place += 1
    limit = 4 if word.isupper() else 3
    return found if letters <= limit else None


def _rewritten(tokens: list[Token]) -> list[Token]:
    """Read the x of 3 x 10^8 and of 2 x 3 as a sign of multiplication."""
    found = list(tokens)
    for place in range(1, len(found) - 1):
        token = found[place]
        if (
            token.kind == "letter"
            and token.text in "xX"
            and not token.upright
            and found[place - 1].kind == "number"
            and found[place + 1].kind == "number"
        ):
            found[place] = Token("sign", "*", None, token.spaced)
    return found
