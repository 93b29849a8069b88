"""Count the words of a text that are in a language and find the stretches that are not.

In: a text whose code and formulas are masked, the target language, what is allowed (`verifiers.language_terms`). Out:
`Measured`. Scripts decide first, exactly. Where several languages share the target's script, each sentence is asked
about (`verifiers.language_detect`); kana and Chinese forms of characters tell Chinese and Japanese apart. A sentence
that does not say its language goes with the rest of the text. Two languages of one script within a sentence are told
apart only by clause, and only where both say enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from verifiers.language_detect import Voter, cld2
from verifiers.language_scripts import (
    KANA,
    LANGUAGE_OF,
    SHARED,
    Stretch,
    count,
    letters_of,
    primary,
    script_of,
    stretches_of_other_scripts,
)
from verifiers.language_sentences import Sentence, places, read, words_of
from verifiers.language_terms import Allowance

_CLAUSE = re.compile(r"[,;:()（）—–\"“”«»،，]+")
_ONE_LETTER = frozenset("abcdefghijklmnopqrstuvwxyz'")
_HIRAGANA = re.compile("[\u3041-\u3096]")
_KATAKANA = re.compile("[\u30a1-\u30fa]")
_SHORT_QUOTE = re.compile('[“「『《（("][^”」』》）)"]{1,8}[”」』》）)"]')
_LEAST_CLAUSE = 3
_LEAST_CHINESE = 6
_LEAST_WHOLE, _LEAST_DETECTED_CHINESE = 8, 10
# Forms and words that Japanese does not write; 的 and 是 stand in its compounds too and are left out.
_CHINESE_ONLY = re.compile(
    "[这们么为个说对过还没两则设简项问从应实图边长积质确计时给让请吗呢她您哪谁很买卖钱该须续线组结币开关门车书东当"
    "总选择种样题证较转进动单双轮阶际达运吧這們麼沒說對兩從應讓嗎圖質數來會學條樣單雙證選擇總開關轉]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The words of a text."""

    native: int
    """Words in the target language."""
    foreign: list[Stretch]
    """Stretches of others, in their order, with the words that count and the language."""
    told: bool
    """False where no word says what language it is in: too little text."""


def measured(masked: str, target: str, allowed: Allowance) -> Measured:
    """Count the words of a masked text in and outside the target language (a primary subtag)."""
    script = script_of(target)
    foreign = []
    for stretch in stretches_of_other_scripts(masked, script):
        words = allowed.words(stretch)
        if words:
            what = LANGUAGE_OF.get(stretch.what, "in Latin letters")
            what = "ja" if what == "zh" and KANA.search(masked, stretch.start, stretch.end) else what
            foreign.append(stretch._replace(words=words, what=what))
    if script in SHARED:
        native, told = _shared(masked, target, allowed, foreign)
    else:
        native, told = count(masked, script), True
        if script == "cjk":
            native -= _cjk(masked, target, foreign)
    foreign.sort()
    return Measured(native=native, foreign=_joined(masked, foreign), told=told or bool(foreign))


def _shared(masked: str, target: str, allowed: Allowance, foreign: list[Stretch]) -> tuple[int, bool]:
    """Count native words of a shared script sentence by sentence; add foreign stretches. Also tell if any was told."""
    voter = Voter(target)
    native, alien, main = 0, 0, "another language"
    undecided: list[tuple[Sentence, list[str]]] = []
    is_plain = voter.is_plain
    for row in read(masked, voter.script):
        words = row[2]
        if is_plain(words, row[3]):
            native += len(words) if _ONE_LETTER.isdisjoint(words) else sum(len(word) > 1 for word in words)
            continue
        sentence = Sentence(*row)
        words = sentence.counted()
        language = voter.language(words, sentence.text) if words else target
        if language is None:
            undecided.append((sentence, words))
        elif language == target:
            mixed = _clauses(masked, sentence, voter, allowed, foreign) if voter.is_mixed(words) else 0
            native += len(words) - mixed
            alien += mixed
        else:
            alien += len(words)
            main = language
            _add(foreign, masked, (sentence.start, sentence.end), allowed.unquoted(words), language)
    if native or alien:
        language = target if native >= alien else main
    else:
        together = [word for _, words in undecided for word in words]
        language = voter.language(together, "\n".join(sentence.text for sentence, _ in undecided))
    if language is None or language == target:
        return native + sum(len(words) for _, words in undecided), language is not None
    for sentence, words in undecided:
        _add(foreign, masked, (sentence.start, sentence.end), allowed.unquoted(words), language)
    return native, True


def _clauses(masked: str, sentence: Sentence, voter: Voter, allowed: Allowance, foreign: list[Stretch]) -> int:
    """Add the clauses of a sentence that are in another language, and return how many words they have."""
    found, last = 0, sentence.start
    ends = (match.end() for match in _CLAUSE.finditer(masked, sentence.start, sentence.end))
    for place in [*ends, sentence.end]:
        words = words_of(masked[last:place], voter.script)
        language = voter.language(words, masked[last:place].lower()) if len(words) >= _LEAST_CLAUSE else None
        if language not in (None, voter.target):
            found += len(words)
            _add(foreign, masked, (last, place), allowed.unquoted(words), str(language))
        last = place
    return found


def _cjk(masked: str, target: str, foreign: list[Stretch]) -> int:
    """Add the Japanese sentences of a Chinese text, or the Chinese ones of a Japanese text; return their words."""
    if target != "ja" and not KANA.search(masked):
        return 0
    found = 0
    language = "zh" if target == "ja" else "ja"
    for start, end in _without_kana(masked) if target == "ja" else places(masked):
        found += _cjk_sentence(masked, start, end, language, foreign)
    return found


def _cjk_sentence(masked: str, start: int, end: int, language: str, foreign: list[Stretch]) -> int:
    """Add a sentence that is in this language, Chinese or Japanese; return its words."""
    sentence = masked[start:end]
    letters = len(letters_of("cjk").findall(sentence))
    if language == "zh":
        is_whole = letters >= _LEAST_WHOLE and masked[end : end + 1] in ("。", "！", "？")
        is_foreign = letters >= _LEAST_CHINESE and _is_chinese(sentence, letters, is_whole=is_whole)
    else:
        said = _SHORT_QUOTE.sub("", sentence)
        hiragana = len(_HIRAGANA.findall(said))
        is_foreign = hiragana >= 2 and 4 * (hiragana + len(_KATAKANA.findall(said))) >= letters
    if is_foreign:
        words = count(sentence, "cjk")
        _add(foreign, masked, (start, end), words, language)
        return words
    return 0


def _without_kana(masked: str) -> Iterator[tuple[int, int]]:
    """Yield sentences without kana, and such clauses between Chinese commas of sentences with some."""
    for start, end in places(masked):
        if not KANA.search(masked, start, end):
            yield start, end
            continue
        last = start
        while (comma := masked.find("，", last, end)) >= 0 or last > start:
            stop = comma if comma >= 0 else end
            if not KANA.search(masked, last, stop):
                yield last, stop
            if comma < 0:
                break
            last = comma + 1


def _is_chinese(sentence: str, letters: int, *, is_whole: bool) -> bool:
    """Tell Chinese from Japanese without kana: by its characters, as a whole sentence, or by CLD2.

    A heading may well do without kana in Japanese, a sentence hardly can.
    """
    if len(_CHINESE_ONLY.findall(sentence)) >= (2 if letters < _LEAST_DETECTED_CHINESE else 1):
        return True
    said = primary(cld2(sentence) or "")
    return said != "ja" if is_whole else letters >= _LEAST_DETECTED_CHINESE and said == "zh"


def _add(foreign: list[Stretch], masked: str, place: tuple[int, int], words: int, language: str) -> None:
    if words:
        start, end = place
        said = masked[start:end].rstrip(" \t\r\n.!?;:,。！？；：")
        start += len(said) - len(said.lstrip(" \t\r\n.,;:()"))
        foreign.append(Stretch(start, max(start + 1, place[0] + len(said)), words, language))


def _joined(masked: str, foreign: list[Stretch]) -> list[Stretch]:
    """Join stretches of one language with nothing but blanks and punctuation between them."""
    joined: list[Stretch] = []
    for stretch in foreign:
        last = joined[-1] if joined else None
        if last and last.what == stretch.what and not re.search(r"[^\W\d_]", masked[last.end : stretch.start]):
            joined[-1] = Stretch(last.start, stretch.end, last.words + stretch.words, last.what)
        else:
            joined.append(stretch)
    return joined
