"""Measure language consistency: the share of a completion's reasoning that is in the language of its prompt.

In: a completion and its prompt (or a configured language). Out: as score the share of words in the target language
(R1 v2, eq. 7), measured over the reasoning, or over the whole text where there is no reasoning part; the first
foreign stretch as evidence. Code, formulas, tags and addresses are masked first; numbers, symbols and single Latin
letters are no words. A text without words, or a prompt whose language cannot be told, gives unknown. What share is
too small is a filter's threshold.

An ideograph or a kana counts as one word, everything else between blanks as one word. Scripts decide first; CLD2
decides per sentence between languages of the Latin script, kana between Chinese and Japanese. Languages that share
another script (Russian and Bulgarian, Arabic and Persian) are not told apart.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from typing import ClassVar, Literal, NamedTuple

from verifiers.extract import split_reasoning
from verifiers.reference import Reference
from verifiers.verdict import Judge, Messages, Verdict

_SCRIPTS_OF = {
    "zh": {"han"}, "ja": {"han", "kana"}, "ko": {"hangul"}, "ar": {"arabic"}, "fa": {"arabic"}, "ur": {"arabic"},
    "ru": {"cyrillic"}, "uk": {"cyrillic"}, "bg": {"cyrillic"}, "be": {"cyrillic"}, "mk": {"cyrillic"},
    "kk": {"cyrillic"},
    "el": {"greek"}, "he": {"hebrew"}, "th": {"thai"}, "hi": {"devanagari"}, "mr": {"devanagari"}, "ne": {"devanagari"},
    "bn": {"bengali"}, "ta": {"tamil"}, "te": {"telugu"}, "ka": {"georgian"}, "hy": {"armenian"},
}  # fmt: skip
_LANGUAGE_OF = {
    "han": "zh", "hangul": "ko", "arabic": "ar", "cyrillic": "ru", "greek": "el", "hebrew": "he", "thai": "th",
    "devanagari": "hi", "bengali": "bn", "tamil": "ta", "telugu": "te", "georgian": "ka", "armenian": "hy",
}  # fmt: skip
_RANGES = {
    "latin": "A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff",
    "han": "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u3005", "kana": "\u3041-\u3096\u30a1-\u30fa\u30fc\uff66-\uff9d",
    "hangul": "\uac00-\ud7a3\u1100-\u11ff\u3130-\u318f",
    "cyrillic": "\u0400-\u052f", "greek": "\u0370-\u03ff\u1f00-\u1fff",
    "arabic": "\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufeff",
    "hebrew": "\u0590-\u05ff", "thai": "\u0e00-\u0e7f",
    "devanagari": "\u0900-\u097f", "bengali": "\u0980-\u09ff", "tamil": "\u0b80-\u0bff", "telugu": "\u0c00-\u0c7f",
    "georgian": "\u10a0-\u10ff", "armenian": "\u0530-\u058f",
}  # fmt: skip
_ONE_EACH = ("han", "kana")
_NOT_LATIN = re.compile(f"[^{_RANGES['latin']}\u0300-\u036f'’-]+")
_WORD = re.compile(
    "|".join(
        f"(?P<{script}>[{letters}])"
        if script in _ONE_EACH
        # combining marks stay inside a word, apostrophes and hyphens too
        else f"(?P<{script}>[{letters}](?:[{letters}\u0300-\u036f]|['’-](?=[{letters}]))*)"
        for script, letters in _RANGES.items()
    )
)
_MASKED = re.compile(
    r"```.*?(?:```|\Z)"
    r"|`[^`\n]{1,400}`"
    r"|\$\$[^$]{1,4000}\$\$"
    r"|\$(?!\s)[^$\n]{1,400}?(?<!\s)\$"
    # no formula holds the start of another one: so no text makes this look far ahead again and again
    r"|\\\[(?:[^\\]|\\(?![\[\]])){1,4000}\\\]"
    r"|\\\((?:[^\\]|\\(?![()])){1,1000}\\\)"
    r"|\\begin\{(?P<env>[a-z]{1,20}\*?)\}(?:[^\\]|\\(?!begin|end)){0,8000}\\end\{(?P=env)\}"
    r"|\\(?:begin|end)\{[^{}\n]{0,40}\}"
    r"|\\(?:boxed|fbox|text|mathrm|frac|sqrt|operatorname)(?:\{[^{}\n]{0,400}\}){0,2}"
    r"|\\[a-zA-Z]{1,30}"
    r"|<<[^<>\n]{0,400}>>"
    r"|</?[a-zA-Z]{1,30}(?:\s[^<>\n]{0,200})?>"
    r"|https?://[^\s\u3000-\u9fff]{1,2000}",
    re.DOTALL,
)
_SENTENCE = re.compile(r"[^.!?;。！？；\n]+[.!?;。！？；]*")
# Written the same in every language: units, functions, abbreviations.
_NEUTRAL = frozenset({
    "mm", "cm", "dm", "km", "kg", "mg", "ml", "hz", "kb", "mb", "gb", "sin", "cos", "tan", "cot", "sec", "csc", "log",
    "ln", "exp", "max", "min", "mod", "gcd", "lcm", "lim", "det", "abs", "sqrt", "pi", "ok", "vs", "eq",
})  # fmt: skip
_MIN_DETECTED_LETTERS = 18
_MIN_DEVIATING_LETTERS = 30
"""Letters of a sentence that may be called foreign in a text that as a whole is not: CLD2 errs on shorter ones."""
_MIN_HAN_WITHOUT_KANA = 10
_ALIASES = {
    "iw": "he",
    "nb": "no",
    "nn": "no",
    "sr": "hr",
    "bs": "hr",
    "ms": "id",
    "tl": "fil",
    "sco": "en",
    "gl": "pt",
}
_SHOWN = 200


class _Word(NamedTuple):
    script: str
    start: int
    end: int
    sentence: int


class LanguageConsistency(Judge):
    """Measure which share of the words of the reasoning is in the target language (R1 v2, eq. 7).

    Example:
        >>> english = [{"role": "user", "content": "What is three plus four?"}]
        >>> LanguageConsistency().judge("<think>Three plus four 是七</think> 7", None, english).score
        0.6
    """

    kind: Literal["language"] = "language"
    """Name of the judge."""
    language: str | None = None
    """The target, BCP 47 (`en`, `zh-Hans`); None takes the language of the prompt."""

    version: ClassVar[int] = 1
    uses_reference: ClassVar[bool] = False
    decides: ClassVar[bool] = False

    def prepare(self) -> None:
        """Import CLD2."""
        import pycld2  # noqa: F401

    def _judge(self, completion: str, reference: Reference | None, prompt: Messages | None) -> Verdict:
        del reference
        target = _primary(self.language) if self.language else language_of(prompt or ())
        if target is None:
            missing = "there is no prompt" if not prompt else "the prompt's language cannot be told"
            return self._unknown(f"{missing}, and no language is configured")
        parts = split_reasoning(completion)
        where = "the text" if parts.reasoning is None else "the reasoning"
        text, offset = completion, 0
        if parts.reasoning is not None:
            text, offset = parts.reasoning, parts.reasoning_start
        masked = mask(text)
        words, sentences = _split(masked)
        if not words:
            return self._unknown(f"{where} has no words to measure, only numbers, formulas, code or nothing")
        foreign = _foreign(words, sentences, masked, target)
        native = len(words) - sum(foreign)
        share = native / len(words)
        reason = f"{native} of {len(words)} words of {where} are {target}"
        start, end = _first_stretch(words, foreign)
        if start == end:
            return self._verdict(outcome="pass", score=share, reason=reason)
        end = min(end, start + _SHOWN)
        return self._verdict(
            outcome="pass",
            score=share,
            reason=reason,
            extracted=text[start:end],
            span=(offset + start, offset + end),
        )


def mask(text: str) -> str:
    """Blank out code, formulas, tags and addresses; every other character keeps its place."""
    return _MASKED.sub(lambda found: " " * len(found.group()), text)


def language_of(messages: Messages) -> str | None:
    """Tell the language of what the user says (primary BCP 47 subtag), or None if it cannot be told."""
    text = mask("\n".join(message["content"] for message in messages if message["role"] == "user")[:20_000])
    words, _ = _split(text)
    scripts = Counter(word.script for word in words)
    if not scripts:
        return None
    is_japanese = scripts["kana"] > 0.1 * scripts["han"]
    # two ideographs make about one word: a quoted Chinese phrase must not outweigh an English question
    scripts["han"] = (scripts["han"] + scripts.pop("kana", 0) + 1) // 2
    main = max(scripts, key=lambda script: scripts[script])
    if main == "han" and is_japanese:
        return "ja"
    if main != "latin":
        return _LANGUAGE_OF[main]
    return _detected(text) or _detected(text, guess=True)


def _primary(language: str) -> str:
    code = re.split(r"[-_]", language.strip().lower(), maxsplit=1)[0]
    return _ALIASES.get(code, code)


def _split(masked: str) -> tuple[list[_Word], list[tuple[int, int]]]:
    sentences = [match.span() for match in _SENTENCE.finditer(masked)]
    starts = [start for start, _ in sentences]
    return [
        _Word(script, start, end, bisect_right(starts, start) - 1) for script, start, end in _words(masked)
    ], sentences


def _words(masked: str) -> Iterator[tuple[str, int, int]]:
    for match in _WORD.finditer(masked):
        script, word = str(match.lastgroup), match.group()
        if script in ("latin", "greek"):
            if len(word) == 1 or word.lower() in _NEUTRAL:
                continue
            if word.isupper() and len(word) <= 5:
                continue  # an abbreviation, or points of a figure
        yield script, match.start(), match.end()


def _foreign(words: list[_Word], sentences: list[tuple[int, int]], masked: str, target: str) -> list[bool]:
    scripts = _SCRIPTS_OF.get(target, {"latin"})
    foreign = [word.script not in scripts for word in words]
    if "latin" in scripts:
        other = _foreign_latin(words, sentences, masked, target)
    elif "han" in scripts:
        other = _foreign_han(words, target)
    else:
        return foreign
    return [
        wrong or (word.script in scripts and word.sentence in other) for word, wrong in zip(words, foreign, strict=True)
    ]


def _foreign_latin(words: list[_Word], sentences: list[tuple[int, int]], masked: str, target: str) -> set[int]:
    """Return the sentences whose Latin words are in another language; a short one goes with the text as a whole."""
    letters: Counter[int] = Counter()
    for word in words:
        if word.script == "latin":
            letters[word.sentence] += word.end - word.start
    whole = _detected(masked[:100_000])
    least = _MIN_DETECTED_LETTERS if whole != target else _MIN_DEVIATING_LETTERS
    found = set()
    for sentence, count in letters.items():
        start, end = sentences[sentence]
        language = _detected(masked[start : min(end, start + 2000)]) if count >= least else None
        if (language or whole or target) != target:
            found.add(sentence)
    return found


def _foreign_han(words: list[_Word], target: str) -> set[int]:
    """Return the sentences that are Japanese where Chinese is asked for, or the other way round."""
    han = Counter(word.sentence for word in words if word.script == "han")
    kana = Counter(word.sentence for word in words if word.script == "kana")
    if target == "zh":
        return {sentence for sentence, count in kana.items() if count >= 3 and count >= 0.3 * han[sentence]}
    return {sentence for sentence, count in han.items() if count >= _MIN_HAN_WITHOUT_KANA and not kana[sentence]}


def _detected(text: str, *, guess: bool = False) -> str | None:
    """Ask CLD2 for the language of Latin text; None where it is not sure (with `guess`, its best guess)."""
    import pycld2

    latin = _NOT_LATIN.sub(" ", text)
    if latin.isspace() or not latin:
        return None
    try:
        is_reliable, _, found = pycld2.detect(
            latin.encode("utf-8", errors="replace"), isPlainText=True, bestEffort=guess
        )
    except pycld2.error:
        return None
    code = str(found[0][1])
    if code == "un" or (not guess and (not is_reliable or found[0][2] < 70)):
        return None
    return _primary(code)


def _first_stretch(words: list[_Word], foreign: list[bool]) -> tuple[int, int]:
    """Return the place of the first run of foreign words; an empty place if there is none."""
    first = next((place for place, wrong in enumerate(foreign) if wrong), None)
    if first is None:
        return 0, 0
    last = first
    while last + 1 < len(words) and foreign[last + 1]:
        last += 1
    return words[first].start, words[last].end
