"""Read what stands around a number: currencies, words like million, units, degrees, moduli.

In: tokens and the expression among them. Out: a `Quantity`, or the expression scaled.
"""

from __future__ import annotations

import re
from dataclasses import replace

from flint import fmpq

from verifiers.maths.labels import is_label, is_label_behind, words_of
from verifiers.maths.terms import Constant, Expression, Number, Product, Quantity, Symbol, Value, product
from verifiers.maths.tokens import Token, Unreadable
from verifiers.maths.units import unit_named
from verifiers.maths.written import SCALES


def in_degrees(value: Expression) -> Value:
    """Return 30° as a quantity in degrees; an expression of degrees and other terms stays one."""
    match value:
        case Product(factors=(number, Constant(name="degree"), Symbol(name=("C" | "F") as scale))):
            return Quantity(number, "deg" + scale)
    if isinstance(value, Product) and value.factors.count(Constant("degree")) == 1:
        return Quantity(product(*(factor for factor in value.factors if factor != Constant("degree"))), "deg")
    return value


def composed_unit(value: Expression, after: list[Token]) -> Value | None:
    """Read a unit, perhaps with a label behind it ("5 dollars per ticket"); None if the words are none."""
    if isinstance(value, Product) and value.factors[-1] == Constant("degree") and len(value.factors) == 2:
        words = words_of(after)
        if words in ("C", "F", "celsius", "Celsius", "fahrenheit", "Fahrenheit"):
            return Quantity(value.factors[0], "deg" + words[0].upper())
        return Quantity(value.factors[0], "deg", words) if is_label(after) else None
    for end in range(len(after), 0, -1):
        unit, tail = _spelled(after[:end]), after[end:]
        if tail and (
            not is_label_behind(tail) or any(token.kind == "letter" and token.text not in "aA" for token in tail)
        ):
            continue
        if unit_named(unit) is not None:
            return Quantity(value, unit, words_of(tail))
        if not tail and _UNITLESS.fullmatch(unit):
            return Quantity(value, "", unit)
    return None


_UNITLESS = re.compile(r"(?:(?:sq\.?|square|cubic|cu\.?) ?)?units?(?:\^[23]| squared| cubed)?")


def _spelled(tokens: list[Token]) -> str:
    """Return how a unit is written, without braces: cm^2, k\\Omega."""
    text = "".join(
        ("\\" if token.kind == "command" and token.text in ("Omega", "mu") else " " if token.spaced else "")
        + token.text
        for token in tokens
    )
    return re.sub(r"\s*\^\s*", "^", re.sub(r"[{}]", "", text)).strip()


def modular(value: Expression, after: list[Token]) -> Value:
    """Read 3 (mod 7) as a quantity whose unit is the modulus."""
    modulus = [token for token in after if token.text not in ("pmod", "bmod", "mod", "(", ")", "{", "}")]
    number = modulus[0].number if len(modulus) == 1 else None
    if number is None or number.value.denom() != 1 or number.value <= 0:
        raise Unreadable("a modulus that is no whole number")
    return Quantity(value, "mod", str(number.value))


def scaled(value: Expression, after: list[Token]) -> tuple[Expression, list[Token]]:
    """Read a word like million after a number."""
    while after:
        word = after[0].text.lower() if after[0].kind == "word" else after[0].text
        if after[0].kind == "cjk":
            scale = next(
                (
                    name
                    for name in sorted((s for s in SCALES if not s.isascii()), key=len, reverse=True)
                    if word.startswith(name)
                ),
                None,
            )
            if scale is None or unit_named(word) is not None or word.startswith(("千克", "千米", "千瓦", "千卡")):
                break
            rest = after[0].text[len(scale) :]
            after = [*([replace(after[0], text=rest)] if rest else []), *after[1:]]
            value = _times(value, SCALES[scale])
            continue
        if after[0].kind != "word" or word not in SCALES or len(word) == 1:
            break
        value, after = _times(value, SCALES[word]), after[1:]
    return value, after


def _times(value: Expression, scale: int) -> Expression:
    if isinstance(value, Number):
        places = None if value.places is None else value.places - (len(str(scale)) - 1)
        return Number(value.value * scale, places, value.digits)
    return product(value, Number(fmpq(scale)))


def money_in_front(tokens: list[Token]) -> tuple[str, list[Token]]:
    """Return the currency in front, and the tokens without it."""
    currencies = {currency for token in tokens if (currency := _currency(token))}
    if len(currencies) == 1 and sum(bool(_currency(token)) for token in tokens) > 1:  # $10 + $8
        return currencies.pop(), [token for token in tokens if not _currency(token)]
    sign: list[Token] = []
    rest = list(tokens)
    if rest and rest[0].text == "-" and len(rest) > 1 and _currency(rest[1]):
        sign, rest = rest[:1], rest[1:]
    if len(rest) > 1 and rest[0].kind in ("word", "letter") and rest[0].text in _COUNTRIES:
        if _currency(rest[1]) == "dollar":
            return _COUNTRIES[rest[0].text], sign + rest[2:]
        if rest[1].kind == "number" and len(rest[0].text) > 1 and rest[0].text != "HK":
            return _COUNTRIES[rest[0].text], sign + rest[1:]
    if rest and (currency := _currency(rest[0])):
        return currency, sign + rest[1:]
    return "", list(tokens)


_COUNTRIES = {
    "US": "dollar", "USD": "dollar", "RMB": "yuan", "CNY": "yuan", "EUR": "euro", "GBP": "pound", "INR": "rupee",
    "Rs": "rupee", "HK": "HK$", "HKD": "HK$", "C": "C$", "CAD": "C$", "A": "A$", "AUD": "A$", "S": "S$", "SGD": "S$",
    "NT": "NT$", "MX": "peso",
}  # fmt: skip


def _currency(token: Token) -> str | None:
    if token.kind == "money":
        return token.text
    if token.kind == "command" and token.text == "dollar":
        return "dollar"
    if token.kind == "command" and token.text in ("pounds", "euro", "yen", "texteuro"):
        return {"pounds": "pound", "texteuro": "euro"}.get(token.text, token.text)
    return None
