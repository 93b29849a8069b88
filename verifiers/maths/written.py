"""Read what is written in words or in a form of its own: Chinese numerals, number words, dates, times, bases.

In: a cleaned text, or a part of one. Out: a value, or None if it is not of that form. Each function reads the whole of
its text or nothing.
"""

from __future__ import annotations

import re

from flint import fmpq

from verifiers.maths.spelling import plain_words
from verifiers.maths.terms import Based, Clock, Day, Number

_DIGITS = {
    mark: value
    for value, marks in enumerate(("零〇", "一壹", "二两贰兩", "三叁", "四肆", "五伍", "六陆", "七柒", "八捌", "九玖"))
    for mark in marks
}
_TENS = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000}
_LARGE = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
_CHINESE = r"[零〇一二两三四五六七八九十百千万亿壹贰叁肆伍陆柒捌玖拾佰仟]"
SCALES = {
    "hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12, "k": 1000,
    "百": 100, "千": 1000, "万": 10**4, "亿": 10**8, "百万": 10**6, "千万": 10**7,
    "十万": 10**5, "万亿": 10**12, "十亿": 10**9,
    "百亿": 10**10, "dozen": 12, "mn": 10**6, "bn": 10**9,
}  # fmt: skip
"""Words that scale the number before them."""
_WORDS = {
    word: value
    for value, word in enumerate(
        (
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
            "sixteen seventeen eighteen nineteen twenty"
        ).split()
    )
} | {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_PARTS = {"half": 2, "halves": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4, "fourth": 4, "fourths": 4,
          "fifth": 5, "fifths": 5, "sixth": 6, "sixths": 6, "seventh": 7, "sevenths": 7, "eighth": 8, "eighths": 8,
          "ninth": 9, "ninths": 9, "tenth": 10, "tenths": 10}  # fmt: skip
_MONTHS = {
    name: place
    for place, name in enumerate(
        (
            "january",
            "february",
            "march",
            "april",
            "may",
            "june",
            "july",
            "august",
            "september",
            "october",
            "november",
            "december",
        ),
        1,
    )
}
_MONTHS |= {name[:3]: place for name, place in list(_MONTHS.items())} | {"sept": 9}
_MONTH = "(?P<month>" + "|".join(sorted(_MONTHS, key=len, reverse=True)) + r")\.?"
_DATES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?P<year>\d{4})\s?[-/.]\s?(?P<monthnumber>\d{1,2})\s?[-/.]\s?(?P<day>\d{1,2})",
        r"(?P<year>\d{4})\s?年\s?(?P<monthnumber>\d{1,2})\s?月\s?(?P<day>\d{1,2})\s?[日号]?",
        r"(?P<monthnumber>\d{1,2})\s?月\s?(?P<day>\d{1,2})\s?[日号]",
        r"(?P<year>\d{4})\s?年\s?(?P<monthnumber>\d{1,2})\s?月",
        rf"{_MONTH}\s?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:\s?,?\s?(?P<year>\d{{4}}))?",
        rf"(?:the\s)?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\s(?:of\s)?{_MONTH}(?:\s?,?\s?(?P<year>\d{{4}}))?",
        rf"{_MONTH},?\s(?P<year>\d{{4}})",
    )
)
_WEEKDAY = re.compile(r"^(?:mon|tues|wednes|thurs|fri|satur|sun)day,?\s(?=\S*\d|\w+\s\d)", re.IGNORECASE)
_NUMERIC_DATE = re.compile(r"(\d{1,2})\s?[-/.]\s?(\d{1,2})\s?[-/.]\s?(\d{4})")
_CLOCK = re.compile(
    r"(?P<before>上午|早上|凌晨|下午|晚上|中午)?\s?(?P<hour>\d{1,2})\s?(?:[:时点]\s?(?P<minute>\d{2}|(?<=[时点])\d{1,2}|半)?\s?分?(?:\s?:\s?(?P<second>\d{2}))?)?\s?"
    r"(?P<half>a\.?\s?m\.?|p\.?\s?m\.?|o'clock)?(?:\s?(?:hours|hrs))?",
    re.IGNORECASE,
)
_BASED = re.compile(
    r"(?P<sign>-?)\s*\(?\s*(?P<digits>[0-9A-Za-z][0-9A-Za-z.\s]*?)\s*\)?\s*(?:_\s*\{?\s*(?:(?P<base>\d{1,2})|(?P<word>two|three|four|five|six|seven|eight|nine|ten|twelve|sixteen))\s*\}?"
    r"|\s*\(?(?:in )?base[ -](?P<base2>\d{1,2})\)?)",
    re.IGNORECASE,
)
_PREFIXED = re.compile(r"0(?P<mark>[xXbBoO])(?P<digits>[0-9A-Fa-f]+)")


def base_number(text: str) -> Based | None:
    """Read digits with their base: 1010_2, (3F)_{16}, 12 base 5, 0xff."""
    prefixed = _PREFIXED.fullmatch(text)
    if prefixed:
        base = {"x": 16, "b": 2, "o": 8}[prefixed["mark"].lower()]
        return _based(prefixed["digits"], base)
    if "_" not in text and "base" not in text.lower():
        return None
    match = _BASED.fullmatch(plain_words(text))
    if match is None:
        return None
    base = int(match["base"] or match["base2"] or _WORDS[match["word"].lower()])
    found = _based(match["digits"].replace(" ", ""), base)
    return Based("-" + found.digits, base) if found and match["sign"] else found


def value_of(based: Based) -> fmpq:
    """Return the value of digits in their base."""
    whole, _, part = based.digits.partition(".")
    return fmpq(int((whole or "0") + part, based.base)) / fmpq(based.base) ** len(part)


def day(text: str) -> Day | None:
    """Read a date in one of its usual orders."""
    text = _WEEKDAY.sub("", plain_words(text))
    if len(text) > 40:
        return None
    numeric = _NUMERIC_DATE.fullmatch(text)
    if numeric:
        first, second, year = map(int, numeric.groups())
        if first != second and first <= 12 and second <= 12:
            return None  # whether the month or the day stands first is anyone's guess
        month, number = (second, first) if first > 12 else (first, second)
        return Day(year, month, number) if 1 <= month <= 12 and 1 <= number <= 31 else None
    for pattern in _DATES:
        match = pattern.fullmatch(text)
        if match:
            found = match.groupdict()
            month = _MONTHS[found["month"].lower()] if found.get("month") else int(found.get("monthnumber") or 0)
            number = int(found.get("day") or 0)
            if 1 <= month <= 12 and number <= 31:
                return Day(int(found.get("year") or 0), month, number)
    return None


def clock(text: str) -> Clock | None:
    """Read a time of day that is unmistakable: with a.m. or p.m., minutes after a colon, or 点."""
    text = plain_words(text)
    if len(text) > 30:
        return None
    text = {"noon": "12:00 pm", "midnight": "12:00 am"}.get(text.lower(), text)
    text = re.sub(
        r"^12(:00)?\s?noon$", "12:00 pm", re.sub(r"^12(:00)?\s?midnight$", "12:00 am", text, flags=re.I), flags=re.I
    )
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        return None
    half = (match["half"] or "").lower().replace(".", "").replace(" ", "")
    before = match["before"] or ""
    if not (half or match["minute"] or before or re.search(r"[时点]", text)):
        return None
    hour, minute = int(match["hour"]), 30 if match["minute"] == "半" else int(match["minute"] or 0)
    second = int(match["second"] or 0)
    if hour > 24 or minute > 59 or second > 59:
        return None
    if before:
        half = "am" if before in ("上午", "早上", "凌晨") else "pm"
    if not half and len(match["hour"]) == 2 and hour < 12 and match["hour"].startswith("0"):
        half = "am"
    if half == "o'clock":
        half = ""
    if half == "pm" and hour < 12:
        hour += 12
    elif half == "am" and hour == 12:
        hour = 0
    return Clock(hour * 3600 + minute * 60 + second, "pm" if hour >= 13 else half)


NUMBER_WORDS = frozenset(
    form
    for word in (*_WORDS, *_PARTS, *SCALES)
    if word.isascii() and len(word) > 2
    for form in (word, word + "s", word + "th", word + "ths")
)
"""Words that are numbers, or parts or multiples of one."""


def words_number(text: str) -> Number | None:
    """Read a number in words: twenty-one, one half, 三分之二, 百分之五十, 二十五."""
    text = plain_words(text).lower().strip()
    if len(text) > 60 or not text:
        return None
    chinese = _chinese(text)
    if chinese is not None:
        return Number(chinese)
    words = re.split(r"[\s-]+", text)
    if any(word == "and" and words[place - 1] not in SCALES for place, word in enumerate(words)):
        return None  # two and one
    words = [word for word in words if word != "and"]
    if words in ([], ["a"]) or not all(
        word in _WORDS or word in _PARTS or word in SCALES or word == "a" for word in words
    ):
        return None
    if words[-1] in _PARTS:
        above = _spelled(words[:-1]) if words[:-1] not in ([], ["a"]) else 1
        return Number(fmpq(above, _PARTS[words[-1]])) if above else None
    value = _spelled(words)
    return None if value is None else Number(fmpq(value))


def _spelled(words: list[str]) -> int | None:
    total, current, seen = 0, 0, False
    previous = ""
    for place, word in enumerate(words):
        before, previous = previous, word
        if word in _WORDS:
            if place and before in _WORDS and not (_WORDS[before] >= 20 and 0 < _WORDS[word] < 10):
                return None  # five ten
            current, seen = current + _WORDS[word], True
        elif word == "a" and not seen:
            current, seen = 1, True
        elif word in SCALES and word.isascii() and len(word) > 2 and seen:
            current *= SCALES[word]
            if SCALES[word] >= 1000:
                total, current = total + current, 0
        else:
            return None
    return total + current if seen else None


def _chinese(text: str) -> fmpq | None:
    if re.fullmatch(rf"百分之(?:{_CHINESE}+(?:点{_CHINESE}+)?|\d+(?:\.\d+)?)", text):
        inner = _chinese_value(text[3:])
        return None if inner is None else inner / 100
    match = re.fullmatch(rf"(?:({_CHINESE}+|\d+)又)?({_CHINESE}+|\d+)分之({_CHINESE}+|\d+)", text)
    if match:
        whole = fmpq(0) if match[1] is None else _chinese_value(match[1])
        below, above = _chinese_value(match[2]), _chinese_value(match[3])
        return None if whole is None or below is None or above is None or below == 0 else whole + above / below
    negative = text.startswith("负")
    if re.fullmatch(rf"负?{_CHINESE}+(?:点{_CHINESE}+)?", text):
        value = _chinese_value(text[negative:])
        return None if value is None else -value if negative else value
    return None


def _chinese_value(text: str) -> fmpq | None:
    if re.fullmatch(r"\d+(?:\.\d+)?", text):
        whole, _, part = text.partition(".")
        return fmpq(int(whole + part), 10 ** len(part))
    whole, _, part = text.partition("点")
    if all(mark in _DIGITS for mark in whole):
        value = int("".join(str(_DIGITS[mark]) for mark in whole) or "0")
    else:
        total, section, digit = 0, 0, 0
        for mark in whole:
            if mark in _DIGITS:
                digit = _DIGITS[mark]
            elif mark in _TENS:
                section += (digit or 1) * _TENS[mark]
                digit = 0
            else:
                total = (total + section + digit) * _LARGE[mark]
                section = digit = 0
        if digit and len(whole) > 1 and whole[-2] in "百千万" and whole[-1] in _DIGITS:
            digit *= {"百": 10, "千": 100, "万": 1000}[whole[-2]]  # 一百五 is 150
        value = total + section + digit
    result = fmpq(value)
    if part:
        if not all(mark in _DIGITS for mark in part):
            return None
        result += fmpq(int("".join(str(_DIGITS[mark]) for mark in part)), 10 ** len(part))
    return result


def _based(digits: str, base: int) -> Based | None:
    digits = digits.upper()
    if not 2 <= base <= 36 or digits.count(".") > 1 or len(digits) > 200 or not re.search(r"\w", digits):
        return None
    if any(mark != "." and int(mark, 36) >= base for mark in digits):
        return None
    return Based(digits.lstrip("0") or "0", base)
