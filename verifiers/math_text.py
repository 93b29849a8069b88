"""Read mathematical text: one spelling for an expression, and numbers as they are written in prose.

In: text of a reference or an answer, plain or LaTeX, in any script. Out: the expression cleaned up, and exact numbers
with their units. Nothing is evaluated, and nothing is compared here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

MAX_CHARS = 2000
"""Longer expressions are not read."""


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


def squeezed(text: str) -> str:
    """Drop all blanks and the commands around words: what two spellings of one expression share."""
    return re.sub(r"\s+", "", _TEXT_COMMAND.sub(r"\1", text))


def words_of(text: str) -> str | None:
    """Return the expression as words if it is nothing else; letters that may be variables are none."""
    bare = " ".join(_TEXT_COMMAND.sub(r"\1", text).split())
    letters = re.sub(r"[\s.,'()-]", "", bare)
    wordy = "\\text{" in text or len(letters) >= 4 or not letters.isascii()
    return bare.casefold() if wordy and letters.isalpha() and letters.casefold() not in _MATH_WORDS else None


def without_name(text: str) -> str:
    """Drop `x =` from the front of an expression."""
    name, equals, rest = text.partition("=")
    if equals and rest.strip() and name and name[-1] not in "<>!\\" and _NAME.fullmatch(name.strip()):
        return rest.strip()
    return text


def without_unit(text: str) -> str:
    """Drop the words after a number; any other expression stays as it is."""
    number = plain_number(text)
    if number is None or not number.unit:
        return text
    match = _NUMBER.search(text)
    return match.group() if match else text


def known_unit(words: str) -> str:
    """Return the known unit that the words name, or nothing."""
    word, _, power = words.partition("^")
    squared = re.match(r"(square|cubic|sq|平方|立方)\s*", word)
    word = word[squared.end() :] if squared else word
    known = _UNITS.get(word) or _UNITS.get(word.rstrip("s"))
    dimension = power or "" if squared is None else "3" if squared[1] in ("cubic", "立方") else "2"
    return known + dimension if known else ""


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
    r"\\\$|\$|(?<![\w)}])\*\*|\*\*(?![\w({-])|\\\(|\\\)|(?<!\\)\\\[|(?<!\\)\\\]|[€£¥￥₹]|<<[^<>\n]*>>|\\boxed|\\fbox|\\framebox"
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
        (r"\*\*", "^"),
        (r"\^\s?(-?\d{2,}|-\d)", r"^{\1}"),  # nobody who writes 2^10 means 20
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


def _is_one_group(text: str) -> bool:
    depth = 0
    for place, mark in enumerate(text):
        depth += (mark == "{") - (mark == "}")
        if depth <= 0:
            return place == len(text) - 1
    return False


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
