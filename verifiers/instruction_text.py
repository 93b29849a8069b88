"""What checks of instructions read: parameters, and words, sentences and the language of an answer.

In: the parameters of an instruction as data; the text of an answer. Out: typed values, counts. What a count should be
is the business of `instruction_kinds.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from verifiers.language import language_of

Given = Mapping[str, Any]
"""The parameters of one instruction."""


class UnreadableInstruction(ValueError):
    """A parameter is missing or has no sense: the reference is at fault, not the answer."""


def number(given: Given, key: str) -> int:
    """Return a whole number; datasets hold some as floats. Raises UnreadableInstruction if it is none."""
    value = given.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value // 1:
        raise UnreadableInstruction(f"`{key}` is {value!r}, not a whole number")
    return int(value)


def string_of(given: Given, key: str) -> str:
    """Return a text. Raises UnreadableInstruction if it is none, or blank."""
    value = given.get(key)
    if not isinstance(value, str) or not value.strip():
        raise UnreadableInstruction(f"`{key}` is {value!r}, not a text")
    return value


def strings_of(given: Given, key: str) -> list[str]:
    """Return texts. Raises UnreadableInstruction if there are none, or one of them is blank."""
    value = given.get(key)
    if not isinstance(value, (list, tuple)) or not value or not all(isinstance(v, str) and v.strip() for v in value):
        raise UnreadableInstruction(f"`{key}` is {value!r}, not a list of texts")
    return list(value)


def relation_of(given: Given, key: str) -> str:
    """Return `at least` or `less than`. Raises UnreadableInstruction for anything else."""
    relation = given.get(key)
    if relation not in ("at least", "less than"):
        raise UnreadableInstruction(f"`{key}` is {relation!r}, not 'at least' or 'less than'")
    return str(relation)


def count_words(text: str) -> int:
    """Return the number of words: an ideograph or a kana is one, everything else between blanks and marks is one."""
    return sum(1 for _ in _WORD.finditer(text))


def count_sentences(text: str) -> int:
    """Return the number of sentences: stretches with a word in them, each ended by its mark or by the end."""
    count, start = 0, 0
    for match in _SENTENCE_END.finditer(text):
        dot = match.group() == "."
        if dot and _NO_SENTENCE_END.search(text, max(0, match.start() - 12), match.end()):
            continue
        count += bool(_WORD.search(text, start, match.start()))
        start = match.end()
    return count + bool(_WORD.search(text, start))


def language_in(text: str) -> str | None:
    """Return the language of a text (primary BCP 47 subtag), or None if it cannot be told; code is left out."""
    import pycld2

    plain = _NO_TEXT.sub(" ", text[:_READ])
    try:
        is_reliable, _, found = pycld2.detect(plain.encode("utf-8", errors="replace"), isPlainText=True)
    except pycld2.error:
        is_reliable, found = False, ()
    if is_reliable and found and found[0][1] != "un":
        return str(found[0][1]).split("-")[0].lower()
    return language_of([{"role": "user", "content": plain}])


_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+")
_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)\]*_]{0,4}(?=\s|\Z)|[。！？]+[”’」』）]{0,4}")
_NO_SENTENCE_END = re.compile(
    r"(?:(?<!\w)(?:mr|mrs|ms|dr|prof|sr|jr|st|vs|etc|e\.g|i\.e|cf|vol|approx|inc|ltd|co|corp|dept|est|gen|rep"
    r"|sen|rev|u\.s|u\.k|a\.m|p\.m|p\.s|p\.p\.s|jan|feb|mar|apr|jun|jul|aug|sept|sep|oct|nov|dec)"
    r"|(?<![\w.])(?-i:[A-HJ-Z])|(?:^|\n)[ \t*#>-]*\d{1,3})\.\Z",
    re.IGNORECASE,
)
_READ = 50_000
_NO_TEXT = re.compile(
    r"```.*?(?:```|\Z)|[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]|[^\x00-\uffff]|https?://\S{1,400}", re.DOTALL
)
