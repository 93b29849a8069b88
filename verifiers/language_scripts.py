"""Scripts: which letters are whose, which languages write in them, and what a word of them is.

In: text. Out: stretches of one script with their places, and words. A word is what stands between blanks, hyphens and
punctuation; apostrophes, accents and joiners stay inside. Scripts that put no blanks between words are counted by their
letters, rounded up per stretch: two ideographs, kana or both make a word, and four letters of Thai, Lao, Khmer or
Burmese. Two is what makes Chinese and Japanese comparable with languages that do: translations of one text have
0.63 (Korean) to 1.04 (French) words per English word where blanks tell, and 0.77 and 1.05 in Chinese and Japanese by
this rule (`benchmarks/language.py` prints the ratios). One word per ideograph would make one Chinese sentence outweigh
two English ones. What belongs to no language (digits, symbols, mathematical letters) is no word. Which language of its
script a text is in is not told here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import NamedTuple

LETTERS = {
    "latin": "A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff\uff21-\uff3a\uff41-\uff5a",
    "cjk": "\u3005\u3007\u3041-\u3096\u30a1-\u30fa\u30fc\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9d"
    "\U00020000-\U0003ffff",
    "hangul": "\uac00-\ud7a3\u1100-\u11ff\u3130-\u318f",
    "cyrillic": "\u0400-\u0482\u048a-\u052f",
    "greek": "\u0370-\u0373\u0376-\u037d\u037f\u0386\u0388-\u03ff\u1f00-\u1fff",
    "arabic": "\u0620-\u065f\u066e-\u06d3\u06d5-\u06ef\u06fa-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff"
    "\ufe70-\ufefc",
    "hebrew": "\u0591-\u05f4\ufb1d-\ufb4f",
    "devanagari": "\u0900-\u0963\u0970-\u097f",
    "bengali": "\u0980-\u09e3\u09f0-\u09ff",
    "gurmukhi": "\u0a00-\u0a65\u0a70-\u0a7f",
    "gujarati": "\u0a80-\u0ae5\u0af0-\u0aff",
    "tamil": "\u0b80-\u0be5",
    "telugu": "\u0c00-\u0c65",
    "kannada": "\u0c80-\u0ce5",
    "malayalam": "\u0d00-\u0d65\u0d7a-\u0d7f",
    "thai": "\u0e01-\u0e4e",
    "lao": "\u0e80-\u0ece",
    "burmese": "\u1000-\u103f",
    "georgian": "\u10a0-\u10ff\u1c90-\u1cbf",
    "armenian": "\u0531-\u0589",
    "ethiopic": "\u1200-\u137c",
    "khmer": "\u1780-\u17dd",
}
"""Letters of each script, as the inside of a character class."""

LETTERS_PER_WORD = {"cjk": 2, "thai": 4, "lao": 4, "khmer": 4, "burmese": 4}
"""How many letters count as one word where blanks do not tell."""

SHARED = {
    "latin": ("en", "fr", "de", "es", "it", "pt", "nl", "sv", "no", "pl", "cs", "ro", "hu", "tr", "vi", "id", "fi"),
    "cyrillic": ("ru", "uk", "bg", "sr"),
    "arabic": ("ar", "fa", "ur"),
    "devanagari": ("hi", "mr", "ne"),
}
"""Scripts of several languages that sentences are told apart in, with the languages whose frequent words are known."""

_SCRIPT_OF = {
    "zh": "cjk", "ja": "cjk", "yue": "cjk", "ko": "hangul", "el": "greek", "he": "hebrew", "yi": "hebrew", "th": "thai",
    "lo": "lao", "my": "burmese", "km": "khmer", "bn": "bengali", "as": "bengali", "pa": "gurmukhi", "gu": "gujarati",
    "ta": "tamil", "te": "telugu", "kn": "kannada", "ml": "malayalam", "ka": "georgian", "hy": "armenian",
    "am": "ethiopic", "ti": "ethiopic",
    **dict.fromkeys(("ru", "uk", "bg", "be", "sr", "mk", "kk", "ky", "tg", "mn", "tt"), "cyrillic"),
    **dict.fromkeys(("ar", "fa", "ur", "ps", "ug", "sd", "ckb"), "arabic"),
    **dict.fromkeys(("hi", "mr", "ne", "sa"), "devanagari"),
}  # fmt: skip
LANGUAGE_OF = {
    script: "zh" if script == "cjk" else next(code for code, own in _SCRIPT_OF.items() if own == script)
    for script in LETTERS
    if script != "latin"
}
"""The language that a script is taken for where nothing else tells."""
_ALIASES = {
    "iw": "he", "nb": "no", "nn": "no", "da": "no", "bs": "hr", "ms": "id", "gl": "pt", "sco": "en", "cmn": "zh",
    "zht": "zh", "jp": "ja", "tl": "fil", "co": "it",
}  # fmt: skip
KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa\uff66-\uff9d]")
MARKS = "\u0300-\u036f\u200c\u200d"
"""Accents and joiners: they stay inside a word."""
_ONES = {"latin", "greek"}
"""Scripts whose single letters are names of quantities and not words."""


class Stretch(NamedTuple):
    """Consecutive words of one language or script."""

    start: int
    end: int
    words: int
    what: str
    """Script of the stretch, later its language."""


def primary(language: str) -> str:
    """Return the primary subtag of a BCP 47 code; what is not told apart (`da` and `no`, `id` and `ms`) has one name.

    `sr-Latn` is `hr`: by its letters it is.
    """
    tags = re.split(r"[-_]", language.strip().lower())
    if tags[0] == "sr" and "latn" in tags:
        return "hr"
    return _ALIASES.get(tags[0], tags[0])


def script_of(language: str) -> str:
    """Return the script that a language (primary subtag) is written in: Latin where nothing else is known."""
    return _SCRIPT_OF.get(language, "latin")


def stretches_of_other_scripts(text: str, script: str) -> Iterator[Stretch]:
    """Yield what is written in any script but this one; single Latin and Greek letters are no words."""
    first, whole = _other_letter(script), _stretch()
    found = first.search(text)
    while found:
        match = whole.match(text, found.start())
        assert match is not None, text[found.start()]
        other = str(match.lastgroup)
        stretch = match.group().rstrip(_BETWEEN)
        words = count(stretch, other)
        if words:
            yield Stretch(match.start(), match.start() + len(stretch), words, other)
        found = first.search(text, match.end())


def count(text: str, script: str) -> int:
    """Count the words of a script in a text; single Latin and Greek letters are none."""
    found = own_stretches(script).findall(text)
    if script in LETTERS_PER_WORD:
        each = LETTERS_PER_WORD[script]
        return sum(-(-len(stretch) // each) for stretch in found)
    if script in _ONES:
        return sum(len(word) > 1 or not (script == "greek" or word.isascii()) for word in found)
    return len(found)


@cache
def own_stretches(script: str) -> re.Pattern[str]:
    """Return the pattern of one word of a script; of letters without a blank where blanks do not tell words."""
    letters = LETTERS[script]
    if script in LETTERS_PER_WORD:
        return re.compile(f"[{letters}]+")
    return re.compile(f"[{letters}][{letters}{MARKS}'’ʼ]*")


@cache
def letters_of(script: str) -> re.Pattern[str]:
    """Return the pattern of one letter of a script."""
    return re.compile(f"[{LETTERS[script]}]")


@cache
def _other_letter(script: str) -> re.Pattern[str]:
    """Return the pattern of a letter of any other script. One character class: it skips a text ten times faster."""
    return re.compile(f"[{''.join(letters for other, letters in LETTERS.items() if other != script)}]")


@lru_cache(maxsize=1)
def _stretch() -> re.Pattern[str]:
    """Return the pattern of a stretch of one script: its words with the blanks and commas between them."""
    ways = []
    for script, letters in LETTERS.items():
        between = "" if script in LETTERS_PER_WORD else f"{MARKS}{_BETWEEN if script == 'latin' else _BETWEEN[:6]}"
        ways.append(f"(?P<{script}>[{letters}][{letters}{between}]*)")
    return re.compile("|".join(ways))


_BETWEEN = " ,،'’ʼ0123456789_"
