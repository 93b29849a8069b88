"""Compare two mathematical expressions: first as text and exact numbers, then as algebra.

In: the text of a reference and of an answer. Out: a `Comparison`: equal, different, or undecided with the reason.
`compare_plainly` needs no algebra and takes microseconds; `compare_symbolically` (math-verify and sympy) may take
forever or eat all memory, so it runs in killable workers only. Finding the answer in a completion is not done here.

Text is never evaluated as code. What math-verify is known to accept wrongly is refused before or after it is asked:
alternatives ("1 or 2"), false chains (`1=2=5`), restated work (an unevaluated sum), numbers that agree only after
rounding, equations it reads as 0 = 0, lists that differ in length, other bases and units.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

MAX_CHARS = 2000
"""Longer expressions are not read."""
_MAX_DEPTH = 40
"""Brackets nested deeper are not read: the parser's time explodes with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a comparison came to."""

    equal: bool | None
    """Whether the two are equal; None where that cannot be said."""
    reason: str
    """What decided, in a phrase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainNumber:
    """A number written out, perhaps with a unit."""

    value: Fraction
    """Its exact value; of a percentage, the number before the sign."""
    is_percent: bool
    """Whether a percent sign follows."""
    unit: str
    """The words after it, lower case; empty if there are none."""
    places: int | None
    """Decimal places, for a number with a decimal point and no exponent; None otherwise."""
    num_digits: int
    """Significant digits written."""


def compare_plainly(reference: str, answer: str) -> Comparison | None:
    """Compare as text and as exact numbers; None where only algebra can tell."""
    ref, ans = clean(reference), clean(answer)
    if not ans:
        return Comparison(equal=False, reason="the answer is empty")
    if _key(ref) == _key(ans):
        return Comparison(equal=True, reason="identical to the reference")
    if "=" in ans and "=" not in ref:
        ans = _without_name(ans)
    elif "=" in ref and "=" not in ans:
        ref = _without_name(ref)
    if _key(ref) == _key(ans):
        return Comparison(equal=True, reason="identical to the reference")
    ref_number, ans_number = plain_number(ref), plain_number(ans)
    if ref_number and ans_number:
        return _compare_numbers(ref_number, ans_number)
    words = _words(ref)
    if words is not None:
        return Comparison(equal=_words(ans) == words, reason="compared as words")
    if ref_number and _words(ans) is not None:
        return Comparison(equal=False, reason="the reference is a number, the answer has none")
    return _refuse(ref, ans)


def compare_symbolically(reference: str, answer: str) -> Comparison:
    """Compare as algebra with math-verify and sympy. Runs in killable workers only: nothing here bounds its time."""
    ref, ans = clean(reference), clean(answer)
    if "=" in ans and "=" not in ref:
        parts = _without_name(ans).split("=")
    else:
        ref = _without_name(ref) if "=" in ref and "=" not in ans else ref
        parts = [ans]
    ref, parts = _without_unit(ref), [_without_unit(part) for part in parts]
    gold = _parse(ref)
    if not gold:
        return Comparison(equal=None, reason="the reference cannot be read as mathematics")
    for part in parts:  # of a chain a = b = c every link must hold
        plain = compare_plainly(ref, part) if len(parts) > 1 else None
        if plain is not None and plain.equal:
            continue
        found = _parse(part)
        if not found:
            return Comparison(equal=False, reason="the answer cannot be read as mathematics")
        if not _verified(gold, found, ref):
            return Comparison(equal=False, reason="not equal to the reference")
    return Comparison(equal=True, reason="equal to the reference")


def clean(text: str) -> str:
    """Rewrite an expression in one spelling: ASCII forms of full-width signs, no spacing commands, no delimiters."""
    text = text.translate(_ASCII).strip()
    text = _WRAPPERS.sub("", text)
    for pattern, replacement in _SPELLINGS:
        text = pattern.sub(replacement, text)
    text = text.strip().rstrip(".,;:!").strip()
    if text.startswith("{") and text.endswith("}") and _is_one_group(text):
        text = text[1:-1].strip()
    return text


def plain_number(text: str) -> PlainNumber | None:
    """Read a cleaned expression as one number with words around it; None if it is anything else."""
    text = _DEGREES.sub(" degrees", text)
    text = _TEXT_COMMAND.sub(r" \1 ", text).strip()
    power = _UNIT_POWER.search(text)
    text = text[: power.start()] if power else text
    matches = list(_NUMBER.finditer(text)) if len(text) <= MAX_CHARS else []
    if len(matches) != 1:
        return None
    match = matches[0]
    before, after = text[: match.start()], text[match.end() :]
    is_percent = bool(_PERCENT.match(after))
    after = _PERCENT.sub("", after, count=1)
    if not _are_words_around(before, after):
        return None
    value, places, num_digits = _value(match)
    if value is None:
        return None
    unit = " ".join(after.lower().replace(".", "").split()) + (f"^{power[1]}" if power else "")
    for word, factor in _SCALES.items():
        if unit == word or (unit.startswith(f"{word} " if word.isascii() else word) and unit[:2] not in _UNITS):
            return PlainNumber(
                value=value * factor,
                is_percent=is_percent,
                unit=unit[len(word) :].strip(),
                places=None,
                num_digits=num_digits,
            )
    return PlainNumber(value=value, is_percent=is_percent, unit=unit, places=places, num_digits=num_digits)


_ASCII = {
    **{code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)},
    **dict.fromkeys(map(ord, "\u3000\u00a0\u2009\u202f\u2002\u2003"), " "),
    **dict.fromkeys(map(ord, "−–—‐‑‒﹣"), "-"),
    **dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad\u200e\u200f\u202a\u202b\u202c\u202d\u202e"), ""),
    ord("×"): "\\times ",
    ord("÷"): "/",
    ord("·"): "\\cdot ",
    ord("π"): "\\pi ",
    ord("√"): "\\sqrt ",
    ord("∞"): "\\infty ",
    ord("±"): "\\pm ",
    ord("≤"): "\\le ",
    ord("≥"): "\\ge ",
    ord("≠"): "\\ne ",
    ord("∅"): "\\emptyset ",
    ord("∪"): "\\cup ",
    ord("、"): ",",
    ord("。"): ".",
}
_WRAPPERS = re.compile(
    r"\\\$|\$|\*\*|\\\(|\\\)|(?<!\\)\\\[|(?<!\\)\\\]|[€£¥￥₹]|<<[^<>\n]*>>|\\boxed|\\fbox|\\framebox"
)
_SPELLINGS = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\(?:left|right|displaystyle|textstyle|limits|bigl|bigr|Bigl|Bigr|big|Big)(?![a-zA-Z])\.?", ""),
        (r",(?<!\\,)\\!|\{,\}", ""),  # unmistakable thousands separators
        (r"(?<!\\)\\!", ""),
        (r"(?<!\\)\\[,;:> ]|(?<!\\)~|\\q?quad(?![a-zA-Z])", " "),
        (r"\\[dtc]frac(?![a-z])", r"\\frac"),
        (r"\\(?:text|mathrm|textbf|textrm|mathbf|mbox|textit|operatorname)\s*(?=\{)", r"\\text"),
        (r"\\leq(?![a-zA-Z])", r"\\le"),
        (r"\\geq(?![a-zA-Z])", r"\\ge"),
        (r"\\neq(?![a-zA-Z])", r"\\ne"),
        (r"\\varnothing(?![a-zA-Z])", r"\\emptyset"),
        (r"\\%", "%"),
        (r"\\frac\s*(\d|[a-zA-Z]|\\pi)\s*(\d|[a-zA-Z])", r"\\frac{\1}{\2}"),
        (r"\\frac\s*(\{[^{}]*\})\s*(\d|[a-zA-Z])", r"\\frac\1{\2}"),
        (r"\\frac\s*(\d|[a-zA-Z]|\\pi)\s*(\{[^{}]*\})", r"\\frac{\1}\2"),
        (r"\\frac\s*(\{[^{}]*\})\s+(?=\{)", r"\\frac\1"),
        (r"\\sqrt\s*(\d|[a-zA-Z](?![a-zA-Z]))", r"\\sqrt{\1}"),
        (r"\s+", " "),
    )
)
_TEXT_COMMAND = re.compile(r"\\text\{([^{}]*)\}")
_DEGREES = re.compile(r"\^\{?\s*\\circ\s*\}?|°|\\degree")
_UNIT_POWER = re.compile(r"(?<=[a-zA-Z])\s*\^\s?\{?([23])\}?$")
_PERCENT = re.compile(r"\s*(?:%|percent(?:age)?\b|per cent\b|pct\b)", re.IGNORECASE)
_NUMERAL = r"(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)"
_NUMBER = re.compile(
    rf"""(?:(?P<sign>[+-])\s?)?
    (?: (?:(?P<whole>\d+)\s?)?\\frac\{{\s?(?P<num>[+-]?\d+)\s?\}}\{{\s?(?P<den>\d+)\s?\}}
      | (?P<whole2>\d+)\s(?P<num2>\d+)/(?P<den2>\d+)
      | (?P<over>{_NUMERAL})\s?/\s?(?P<under>{_NUMERAL})
      | (?P<plain>{_NUMERAL})(?:
          [eE](?P<exp>[+-]?\d{{1,3}})\b
        | \s?(?:\\times|\*|\\cdot|x)\s?10\s?\^\s?(?:\{{(?P<exp2>[+-]?\d{{1,3}})\}}|(?P<exp3>\d)))?
    )""",
    re.VERBOSE,
)
_SCALES = {
    "hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12,
    "百": 100, "千": 1000, "万": 10**4, "亿": 10**8,
}  # fmt: skip
_HEDGES = re.compile(
    r"\b(?:or|not|no|maybe|perhaps|possibly|than|either|neither|nor|except|between|least|most|half|dozen|minus|negative)\b"
    r"|或|不|可能|也许|负|半|以[上下]|至[少多]|超过"
)
_MATH_WORDS = frozenset({"pi", "sqrt", "sin", "cos", "tan", "log", "ln", "inf", "infinity", "exp", "mod", "factorial"})
_UNITS = {
    word: unit
    for unit, words in {
        "mm": "mm millimeter 毫米",
        "cm": "cm centimeter 厘米",
        "m": "m meter metre 米",
        "km": "km kilometer 千米",
        "in": "in inch inche",
        "ft": "ft feet foot",
        "yd": "yard yd",
        "mi": "mile mi",
        "g": "g gram 克",
        "kg": "kg kilogram 千克",
        "s": "s sec second 秒",
        "min": "minute min 分钟",
        "h": "h hour hr 小时",
        "day": "day 天",
        "week": "week",
        "month": "month",
        "year": "year",
        "deg": "degree",
        "rad": "radian rad",
        "cent": "cent",
        "dollar": "dollar",
        "l": "l liter",
        "ml": "ml",
        "yuan": "元",
        "jiao": "角",
        "am": "am",
        "pm": "pm",
    }.items()
    for word in words.split()
}
_NAME = re.compile(
    r"\\?[a-zA-Z]+(?:_\{?\w+\}?)?'?(?:\([a-zA-Z0-9, ]{1,20}\))?"
    r"|\\(?:angle|overline)\s?\{?[A-Z]+\}?"
    r"|[\w\s]*[a-zA-Z\u4e00-\u9fff]{2}[\w\s]*"
)
_ALTERNATIVES = re.compile(
    r"\b(?:or|maybe|perhaps|possibly|either|not)\b|\\ne(?![a-zA-Z])|\\not(?![a-zA-Z])|\\lor|\\vee|或|可能"
)
_UNEVALUATED = re.compile(r"\\(?:sum|int|iint|lim|prod|gcd|lcm|max|min|det)(?![a-zA-Z])|\b(?:gcd|lcm|sum)\b")
_HUGE = re.compile(
    r"\d\s*\)?\s*\^\s*[{(]{0,3}\s*\d+\s*\^\s*[{(]{0,3}\s*\d"  # a tower
    r"|\^\s*[{(]{0,3}\s*-?\d{5,}"  # an exponent that takes long to multiply out
    r"|\d{5,}\s*\}?\)?\s*!|\d\s*!\s*[)}]?\s*!"  # factorials
    r"|\d{400,}"
)
_BASE = re.compile(r"([\d.]+)\s*_\s*\{?\s*(\d+)\s*\}?(?:\\text\{[^{}]*\})?")


def _key(text: str) -> str:
    return re.sub(r"\s+", "", _TEXT_COMMAND.sub(r"\1", text))


def _is_one_group(text: str) -> bool:
    depth = 0
    for place, mark in enumerate(text):
        depth += (mark == "{") - (mark == "}")
        if depth <= 0:
            return place == len(text) - 1
    return False


def _without_name(text: str) -> str:
    """Drop `x =` from the front of an expression."""
    name, equals, rest = text.partition("=")
    if equals and rest.strip() and name and name[-1] not in "<>!\\" and _NAME.fullmatch(name.strip()):
        return rest.strip()
    return text


def _without_unit(text: str) -> str:
    number = plain_number(text)
    if number is None or not number.unit:
        return text
    match = _NUMBER.search(text)
    return match.group() if match else text


def _words(text: str) -> str | None:
    """Return the expression as words if it is nothing else; letters that may be variables are none."""
    bare = " ".join(_TEXT_COMMAND.sub(r"\1", text).split())
    letters = re.sub(r"[\s.,'()-]", "", bare)
    wordy = "\\text{" in text or len(letters) >= 4 or not letters.isascii()
    return bare.casefold() if wordy and letters.isalpha() and letters.casefold() not in _MATH_WORDS else None


def _are_words_around(before: str, after: str) -> bool:
    around = f"{before} {after}"
    if not around.strip():
        return True
    if _HEDGES.search(around.lower()) or re.search(r"[^\w\s.,:;'\"()/!-]|_|\d", around):
        return False
    if before and before[-1].isascii() and before[-1].isalpha():
        return False  # x5 is no number
    if re.search(r"[-+/(^]\s*$", before) or re.match(r"\s*[-+/^(]", after):
        return False
    words = re.findall(r"[^\W\d_]+", around)
    if any(word.lower() in _MATH_WORDS for word in words):
        return False
    if any(len(word) == 1 and word.isascii() and word.lower() not in _UNITS and word not in "aA" for word in words):
        return False  # a variable
    glued = re.match(r"[a-zA-Z]+", after)
    return glued is None or glued.group().lower() in _UNITS


def _value(match: re.Match[str]) -> tuple[Fraction | None, int | None, int]:
    """Return the exact value of a number, its decimal places and how many digits it shows."""
    part = match.groupdict()
    sign = -1 if part["sign"] == "-" else 1
    if len(match.group()) > MAX_CHARS:
        return None, None, 0
    if part["den"] or part["den2"]:
        whole = int(part["whole"] or part["whole2"] or 0)
        den = int(part["den"] or part["den2"])
        return (sign * (whole + Fraction(int(part["num"] or part["num2"]), den)), None, 0) if den else (None, None, 0)
    if part["under"]:
        under = Fraction(part["under"].replace(",", ""))
        return (sign * Fraction(part["over"].replace(",", "")) / under, None, 0) if under else (None, None, 0)
    numeral = part["plain"].replace(",", "")
    exponent = part["exp"] or part["exp2"] or part["exp3"]
    value = sign * Fraction(numeral) * Fraction(10) ** int(exponent or 0)
    places = len(numeral.partition(".")[2]) if "." in numeral and not exponent else None
    return value, places, len(numeral.replace(".", "").lstrip("0"))


def _compare_numbers(ref: PlainNumber, ans: PlainNumber) -> Comparison:
    ref_unit, ans_unit = _unit(ref.unit), _unit(ans.unit)
    if ref_unit and ans_unit and ref_unit != ans_unit:
        return Comparison(equal=False, reason=f"the unit is {ans.unit}, the reference's is {ref.unit}")
    equal = ref.value == ans.value
    if ref.is_percent != ans.is_percent:  # 50 % is given as 50, as 50 % and as 0.5
        equal = equal or (ref.value == ans.value / 100 if ans.is_percent else ref.value / 100 == ans.value)
    if not equal and ref.places and ref.num_digits >= 5 and ref.is_percent == ans.is_percent:
        # a reference with that many digits is a rounded number: an answer that rounds to it is right
        step = Fraction(1, 10**ref.places)
        equal = 2 * abs(ans.value - ref.value) <= step and (ans.places is None or ans.places >= ref.places)
    return Comparison(equal=equal, reason="compared as exact numbers")


def _unit(words: str) -> str:
    """Return the known unit that the words name, or nothing."""
    word, _, power = words.partition("^")
    squared = re.match(r"(square|cubic|sq|平方|立方)\s*", word)
    word = word[squared.end() :] if squared else word
    known = _UNITS.get(word) or _UNITS.get(word.rstrip("s"))
    dimension = power or "" if squared is None else "3" if squared[1] in ("cubic", "立方") else "2"
    return known + dimension if known else ""


def _refuse(ref: str, ans: str) -> Comparison | None:
    """Refuse what math-verify would misread; None lets it through."""
    if _ALTERNATIVES.search(ans) and not _ALTERNATIVES.search(ref):
        return Comparison(equal=False, reason="the answer offers alternatives")
    if _UNEVALUATED.search(ans) and not _UNEVALUATED.search(ref):
        return Comparison(equal=False, reason="the answer restates work that it does not carry out")
    ref_base, ans_base = _BASE.fullmatch(ref), _BASE.fullmatch(ans)
    if ref_base or ans_base:
        digits, other = (ref_base or ans_base).groups(), ((ref_base and ans_base) or [ref, ans][bool(ref_base)])  # type: ignore[union-attr]
        same = digits == ans_base.groups() if ref_base and ans_base else digits[0] == other
        return Comparison(equal=same, reason="compared as numbers in a base")
    if "\\pm" not in ref + ans and ("," in ref) == ("," in ans) and len(_elements(ref)) != len(_elements(ans)):
        return Comparison(
            equal=False, reason=f"{len(_elements(ans))} elements, the reference has {len(_elements(ref))}"
        )
    if _HUGE.search(ans) or _HUGE.search(ref):
        return Comparison(equal=None, reason="too large to be evaluated, and not written like the reference")
    if _depth(ans) > _MAX_DEPTH or _depth(ref) > _MAX_DEPTH:
        return Comparison(equal=None, reason=f"nested more than {_MAX_DEPTH} levels deep")
    if len(ref) > MAX_CHARS or len(ans) > MAX_CHARS:
        return Comparison(equal=None, reason=f"longer than {MAX_CHARS} characters")
    return None


def _depth(text: str) -> int:
    deepest = depth = 0
    for mark in text:
        depth += (mark in "([{") - (mark in ")]}")
        deepest = max(deepest, depth)
    return deepest


def _elements(text: str) -> list[str]:
    """Split at the commas outside of all brackets but the outermost pair."""
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", re.sub(r"\\([{}])", r"\1", text))
    if text[:1] in ("(", "[", "{") and text[-1:] in (")", "]", "}"):
        text = text[1:-1]
    pieces, depth, start = [], 0, 0
    for place, mark in enumerate(text):
        depth += (mark in "([{") - (mark in ")]}")
        if mark == "," and depth == 0:
            pieces.append(text[start:place])
            start = place + 1
    return [*pieces, text[start:]]


def _parse(text: str) -> list[Any]:
    """Read LaTeX into sympy objects, decimals as exact rationals; empty if it cannot be read."""
    from math_verify import LatexExtractionConfig, parse

    config = LatexExtractionConfig(boxed_match_priority=-1)
    found = parse(f"${text}$", extraction_config=[config], fallback_mode="no_fallback", parsing_timeout=None)
    return [_exact(item) for item in found]


def _exact(item: Any) -> Any:
    from sympy import Basic, Float, Rational

    if not isinstance(item, Basic):
        return item
    floats = item.atoms(Float)
    return item.xreplace({number: Rational(str(number)) for number in floats}) if floats else item


def _verified(gold: list[Any], found: list[Any], ref: str) -> bool:
    from math_verify import verify

    if verify(gold, found, timeout_seconds=None):
        return _holds_at_full_precision(gold[0], found[0]) and _holds_as_equation(gold[0], found[0])
    return _rounds_to(ref, found[0])


def _holds_at_full_precision(gold: Any, found: Any) -> bool:
    """Refuse two numbers that differ by less than math-verify looks at, e.g. 1/2004! and 1/2005!."""
    from sympy import Expr

    if not (isinstance(gold, Expr) and isinstance(found, Expr)) or gold.free_symbols or found.free_symbols:
        return True
    try:
        a, b = gold.doit().evalf(60), found.doit().evalf(60)
        scale = max(abs(a), abs(b))
        percent = abs(a - 100 * b) * abs(100 * a - b) == 0
        return bool(scale == 0 or abs(a - b) <= scale * 10**-40 or percent)
    except (TypeError, ValueError, ArithmeticError):
        return True  # no number: nothing more can be said here


def _holds_as_equation(gold: Any, found: Any) -> bool:
    """Refuse equations that are not multiples of each other."""
    from sympy import Eq, Expr, cancel, together

    if not (isinstance(gold, Eq) and isinstance(found, Eq)):
        return True
    if not all(isinstance(side, Expr) for equation in (gold, found) for side in equation.args):
        return True
    a, b = together((gold.lhs - gold.rhs).doit()), together((found.lhs - found.rhs).doit())
    if a.equals(0) or b.equals(0):
        return bool(gold == found)
    return not cancel(a / b).free_symbols


def _rounds_to(ref: str, found: Any) -> bool:
    """Accept an exact expression for a reference that is a rounded decimal of at least 5 digits."""
    number = plain_number(ref)
    if number is None or not number.places or number.num_digits < 5 or not hasattr(found, "evalf"):
        return False
    try:
        value = Fraction(str(found.evalf(40)))
    except (ValueError, TypeError):
        return False
    return 2 * abs(value - number.value) <= Fraction(1, 10**number.places)
