"""Say which words in another script or language are no sign of mixing: names, identifiers, terms, quotations.

In: a stretch of foreign words, where it stands, and the prompt. Out: how many of its words count. Not counted are

- what the prompt says: a whole stretch that stands there, or three words (four ideographs) of it in a row;
- names: capitalised words of Latin letters among words of another script ("Alice", "Fibonacci"), unless the stretch is
  prose ("Let me ask Alice") or the word is one that opens an English thought ("Wait");
- abbreviations, units and functions (GCD, km, sin), and single letters;
- identifiers: with digits, underscores or inner capitals, beside an operator or a bracket, introduced as a variable or
  a function, or a word of the code in the same text;
- up to four words, or eight ideographs, in quotation marks, and a gloss in brackets that is no prose.

A lone foreign word in lower case that is none of these counts: that is what mixing looks like.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise

from verifiers.language_scripts import LETTERS, SHARED, Stretch
from verifiers.language_words import EXCLAIMED, FREQUENT, NEUTRAL

_READ = 100_000
"""Characters of a prompt that quotations are looked for in."""
_QUOTED_WORDS, _QUOTED_IDEOGRAPHS = 4, 8
_LEAST_QUOTED_WORDS, _LEAST_QUOTED_IDEOGRAPHS = 3, 4
_LATIN = LETTERS["latin"]
_TOKEN = re.compile(rf"[{LETTERS['cjk']}]|[^\W\d_{LETTERS['cjk']}]+")
_LATIN_WORD = re.compile(rf"[{_LATIN}][{_LATIN}'’\d_]*")
_CODE_WORD = re.compile(r"[A-Za-z]\w+")
_INNER_CAPITAL = re.compile(r"[a-z][A-Z]|[\d_]")
_QUOTES = {'"': '"', "“": "”", "”": "“”", "‘": "’", "'": "'", "«": "»", "„": "“”"}
_QUOTES |= {"「": "」", "『": "』", "《": "》", "〈": "〉"}
_BRACKETS = {"(": ")", "（": "）"}
_USED = re.compile(
    r"(?<![A-Za-z0-9_])([A-Za-z_][A-Za-z0-9_]+)(?:\(|\[| *[=+*/<>^&|-])|[=+*/<>^&|] *([A-Za-z_][A-Za-z0-9_]+)"
    r"|(?:变量|變數|函数|函數|数组|陣列|列表|字符串|方法|参数|指针|算法|变数|関数|配列|リスト|クラス|メソッド|변수|함수|배열|"
    r"переменн\w{2,3}|функци\w{1,2}|массив|змінн\w{1,3}|متغير|دالة|متغیر|تابع)\W{0,3}([A-Za-z_][A-Za-z0-9_]+)"
)
_CALLED = re.compile(
    r"\W{0,2}(?:变量|變數|函数|函數|数组|陣列|列表|字符串|方法|参数|类|算法|定理|数列|公式|不等式|法则|変数|関数|配列|法|변수|함수|배열|정리)"
)
_COMMON = frozenset().union(*(FREQUENT[language] for language in SHARED["latin"]))
_ENGLISH = FREQUENT["en"] | EXCLAIMED


class Allowance:
    """Counts the foreign words of one text that are a sign of mixing."""

    def __init__(self, text: str, masked: str, prompt: str) -> None:
        self._text = text
        self._masked = masked
        self._prompt = prompt

    def words(self, stretch: Stretch) -> int:
        """Return how many words of a stretch of another script count."""
        said = self._masked[stretch.start : stretch.end]
        if stretch.what == "latin":
            return self._latin(stretch, said)
        if stretch.what == "cjk":
            if self._is_within(stretch, _QUOTES) and len(said) <= _QUOTED_IDEOGRAPHS:
                return 0
            if self._is_within(stretch, _BRACKETS) and len(said) <= _LEAST_QUOTED_IDEOGRAPHS:
                return 0  # a name and how it is written
            return (self.unquoted(list(said), _LEAST_QUOTED_IDEOGRAPHS) + 1) // 2
        is_symbol = len(said) == 1 or (stretch.what == "greek" and len(said) <= 3)
        if is_symbol or (self._is_within(stretch, _QUOTES) and stretch.words <= _QUOTED_WORDS):
            return 0
        return min(stretch.words, self.unquoted(_TOKEN.findall(said.lower())))

    def unquoted(self, words: Sequence[str], least: int = _LEAST_QUOTED_WORDS) -> int:
        """Return how many words are not quoted from the prompt."""
        known, pairs = self._known
        left, place = len(words), 0
        while place < len(words):
            if words[place] not in known:
                place += 1
                continue
            end = place + 1
            while end < len(words) and (words[end - 1], words[end]) in pairs:
                end += 1
            if end - place >= least or end - place == len(words):
                left -= end - place
            place = end
        return left

    def _latin(self, stretch: Stretch, said: str) -> int:
        tokens = _LATIN_WORD.findall(said)
        words = [token for token in tokens if len(token) > 1 and not _is_neutral(token)]
        plain = [word for word in words if word[0].islower()]
        common = [word for word in words if word.lower() in (_COMMON if word in plain else _ENGLISH)]
        is_prose = len(plain) > 2 or (bool(common) and len(words) > 1)
        if is_prose:
            # a name stays a name: only the first word of a sentence has another reason for its capital
            words = [
                word for place, word in enumerate(words) if place == 0 or word in plain or word.lower() in _ENGLISH
            ]
        else:
            words = plain or common
            if plain and len(tokens) <= 2 and self._is_identifier(stretch, tokens):
                return 0
            if len(tokens) <= _QUOTED_WORDS and self._is_within(stretch, _BRACKETS):
                return 0
        if not words or (len(tokens) <= _QUOTED_WORDS and self._is_within(stretch, _QUOTES)):
            return 0
        return self.unquoted([word.lower() for word in words])

    def _is_identifier(self, stretch: Stretch, tokens: Sequence[str]) -> bool:
        before, after = self._masked[max(0, stretch.start - 1) : stretch.start], self._masked[stretch.end :][:8]
        if len(tokens) == 1 and (before in tuple("-._@#$/") or _CALLED.match(after)):
            return True
        return self._identifiers.issuperset(tokens)

    def _is_within(self, stretch: Stretch, marks: dict[str, str]) -> bool:
        opened = self._masked[max(0, stretch.start - 1) : stretch.start]
        closed = self._masked[stretch.end : stretch.end + 2].lstrip(".,!? ")[:1]
        return bool(opened and closed) and closed in marks.get(opened, "")

    @cached_property
    def _identifiers(self) -> frozenset[str]:
        """Words that stand in code or a formula, beside an operator or a bracket, or where a name is introduced."""
        masked = self._masked
        hidden = (word.group() for word in _CODE_WORD.finditer(self._text) if masked[word.start()] == " ")
        used = (word.group(1) or word.group(2) or word.group(3) for word in _USED.finditer(masked))
        return frozenset(hidden).union(used)

    @cached_property
    def _known(self) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
        """Words of the prompt, and which of them follow each other."""
        words = _TOKEN.findall(self._prompt[:_READ].lower())
        return frozenset(words), frozenset(pairwise(words))


def _is_neutral(token: str) -> bool:
    lower = token.lower()
    is_short_capitals = len(token) <= 5 and token.isupper() and lower not in _ENGLISH
    return lower in NEUTRAL or is_short_capitals or bool(_INNER_CAPITAL.search(token))
