"""Cut a text into sentences and lines, and read the words of each in a script that sets blanks.

In: a masked text. Out: places of sentences, or sentences with their words in lower case. This is the hot path: ends are
found by replacing and splitting, and ASCII text is lowered and blanked in one pass over all of it, because a pattern
takes ten times as long. Nothing is known of languages here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from verifiers.language_scripts import LETTERS, MARKS, own_stretches

_ASCII_ENDS = (". ", "? ", "! ", "; ", ": ", '." ', ".) ")
_OTHER_ENDS = re.compile("[。！？；：…।؟؛۔]")
_NOT_LATIN = re.compile(f"[^\x00-\x7f{LETTERS['latin']}{MARKS}]+")
_LONGEST = 600
"""Characters after which a text without an end of a sentence is cut at a blank."""
_ONES = ("latin", "greek")
"""Scripts whose single letters are names of quantities: `a` is one even where it is a word, `à` is none."""


class Sentence(NamedTuple):
    """A sentence or line that has words, as `read` yields it."""

    start: int
    end: int
    words: list[str]
    """Its words in lower case; those of ASCII letters with single letters among them."""
    text: str
    """Itself in lower case; empty where all of it is ASCII."""

    def counted(self) -> list[str]:
        """Return the words that count: no single ASCII letters."""
        return [word for word in self.words if len(word) > 1 or not word.isascii()]


def places(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of sentences and lines."""
    start = 0
    for piece in _cut(_ended(text)):
        yield start, start + len(piece)
        start += len(piece) + 1


def read(text: str, script: str) -> Iterator[tuple[int, int, list[str], str]]:
    """Yield the sentences that have words of the script, as bare tuples: most are looked at once and dropped."""
    text = _ended(text)
    is_latin = script == "latin"
    if is_latin and not text.isascii():
        text = _NOT_LATIN.sub(_blank, text.replace("’", "'"))
    is_ascii = text.isascii()
    if is_ascii:
        if not is_latin:
            return
        text = text.translate(_LOWERED)
    start = 0
    for piece in _cut(text):
        if is_ascii:
            lower, words = "", piece.split()
        elif piece.isascii():
            lower, words = "", piece.translate(_LOWERED).split() if is_latin else []
        else:
            lower = piece.lower()
            words = own_stretches(script).findall(lower)
        if words:
            yield start, start + len(piece), words, lower
        start += len(piece) + 1


def words_of(text: str, script: str) -> list[str]:
    """Return the words of a script that sets blanks, in lower case; single Latin and Greek letters are left out."""
    if text.isascii():
        found = text.translate(_LOWERED).split() if script == "latin" else []
    else:
        found = own_stretches(script).findall(text.lower())
    if script not in _ONES:
        return found
    return [word for word in found if len(word) > 1 or not (script == "greek" or word.isascii())]


def _ended(text: str) -> str:
    """Return a text of the same length with a line's end at each sentence's."""
    for end in _ASCII_ENDS:
        text = text.replace(end, end[:-1] + "\n")
    return text if text.isascii() else _OTHER_ENDS.sub("\n", text)


def _cut(text: str) -> list[str]:
    """Return the lines, less one character between them; what never ends is cut at a blank."""
    pieces = text.split("\n")
    if len(max(pieces, key=len)) <= _LONGEST:
        return pieces
    return [part for piece in pieces for part in _short(piece)]


def _short(piece: str) -> Iterator[str]:
    start = 0
    while len(piece) - start > _LONGEST:
        blank = piece.find(" ", start + _LONGEST // 2)
        if blank < 0:
            break
        yield piece[start:blank]
        start = blank + 1
    yield piece[start:]


def _blank(found: re.Match[str]) -> str:
    return " " * len(found.group())


_LOWERED = {code: chr(code).lower() if chr(code).isalpha() or chr(code) in "'\n" else " " for code in range(128)}
