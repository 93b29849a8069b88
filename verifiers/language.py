"""Measure language consistency: the share of a completion's reasoning that is in the language of its prompt.

In: a completion and its prompt (or a configured language). Out: as score the share of words in the target language
(R1 v2, eq. 7: target-language words / words), measured over the reasoning, or over the whole text where there is no
reasoning part; the first foreign stretch as evidence, the next ones in the reason. What share is too small is a
filter's threshold; as a reward the share is paid as it is.

R1 does not say what a word is, how a language is told, or what formulas and code count for. Here:

    language_masks      code, formulas, tags and addresses are blanked out first
    language_scripts    whose letter it is, and what a word is (two ideographs or kana make one)
    language_sentences  sentences and their words
    language_detect     which language of its script a sentence is in: frequent words, CLD2, langdetect
    language_terms      names, identifiers, short quotations and what the prompt says do not count
    language_measure    the count of all this

Unknown, not wrong, is a text without words, one too short to tell its language by anything, and a prompt whose language
cannot be told. Not seen is another language inside closed code fences and formulas, and in a sentence of the same
script that is mostly in the target language.
"""

from __future__ import annotations

from collections import Counter
from typing import ClassVar, Literal

from verifiers.extract import split_reasoning
from verifiers.language_detect import best_language, load
from verifiers.language_masks import mask
from verifiers.language_measure import Measured, measured
from verifiers.language_scripts import (
    KANA,
    LANGUAGE_OF,
    LETTERS,
    SHARED,
    count,
    letters_of,
    primary,
    script_of,
)
from verifiers.language_sentences import words_of
from verifiers.language_terms import Allowance
from verifiers.reference import Reference
from verifiers.verdict import Judge, Messages, Verdict

_SHOWN = 200
_LISTED, _LISTED_CHARS = 4, 40
_READ = 20_000
"""Characters of a prompt that its language is told by."""


class LanguageConsistency(Judge):
    """Measure which share of the words of the reasoning is in the target language (R1 v2, eq. 7).

    Example:
        >>> english = [{"role": "user", "content": "What is three plus four?"}]
        >>> LanguageConsistency().judge("<think>Three plus four, we see, 是七。</think> 7", None, english).score
        0.8333333333333334
    """

    kind: Literal["language"] = "language"
    """Name of the judge."""
    language: str | None = None
    """The target, BCP 47 (`en`, `zh-Hans`); None takes the language of the prompt."""

    version: ClassVar[int] = 2
    uses_reference: ClassVar[bool] = False
    decides: ClassVar[bool] = False

    def prepare(self) -> None:
        """Import CLD2 and langdetect, and read langdetect's tables."""
        load()

    def _judge(self, completion: str, reference: Reference | None, prompt: Messages | None) -> Verdict:
        del reference
        language = self.language or language_of(prompt or ())
        if language is None:
            missing = "there is no prompt" if not prompt else "the prompt's language cannot be told"
            return self._unknown(f"{missing}, and no language is configured")
        target = primary(language)
        parts = split_reasoning(completion)
        where, text, offset = "the text", completion, 0
        if parts.reasoning is not None:
            where, text, offset = "the reasoning", parts.reasoning, parts.reasoning_start
        masked = mask(text)
        found = measured(masked, target, Allowance(text, masked, _said(prompt or ())))
        foreign = sum(stretch.words for stretch in found.foreign)
        words = found.native + foreign
        if not words:
            return self._unknown(f"{where} has no words to measure, only numbers, formulas, code, names or nothing")
        if not found.told:
            return self._unknown(f"{where} is too short to tell its language by: {_counted(words)}")
        return self._share(found, words, f"{found.native} of {_counted(words)} of {where} are {target}", text, offset)

    def _share(self, found: Measured, words: int, reason: str, text: str, offset: int) -> Verdict:
        share = found.native / words
        if not found.foreign:
            return self._verdict(outcome="pass", score=share, reason=reason)
        first, *rest = found.foreign
        end = min(first.end, first.start + _SHOWN)
        more = "; ".join(
            f"{_shown(text[stretch.start : stretch.end])} ({stretch.what}, at {offset + stretch.start})"
            for stretch in rest[:_LISTED]
        )
        if rest:
            more = f"; after the first stretch ({first.what}) {len(rest)} more: {more}"
            more += "; …" if len(rest) > _LISTED else ""
        return self._verdict(
            outcome="pass",
            score=share,
            reason=reason + more,
            extracted=text[first.start : end],
            span=(offset + first.start, offset + end),
        )


def language_of(messages: Messages) -> str | None:
    """Tell the language of what the user says (primary BCP 47 subtag), or None if it cannot be told."""
    said = "\n".join(message["content"] for message in messages if message["role"] == "user")[:_READ]
    return _language(mask(said)) or _language(mask(said, lines=False))  # a prompt may be nothing but code and comments


def _language(text: str) -> str | None:
    # a quoted Chinese phrase must not outweigh an English question: two ideographs make about one word
    words = Counter({script: count(text, script) for script in LETTERS if letters_of(script).search(text)})
    if not words.total():
        return None
    main = max(words, key=lambda script: words[script])
    if main == "cjk":
        kana = len(KANA.findall(text))
        return "ja" if 10 * kana > len(letters_of("cjk").findall(text)) else "zh"
    if main not in SHARED:
        return LANGUAGE_OF[main]
    found = best_language(words_of(text, main), main)
    return LANGUAGE_OF.get(main) if found is None or script_of(found) != main else found


def _said(messages: Messages) -> str:
    return "\n".join(message["content"] for message in messages)


def _counted(words: int) -> str:
    return "1 word" if words == 1 else f"{words} words"


def _shown(text: str) -> str:
    """Return the start of a text on one line, with nothing in it that cannot be printed."""
    line = "".join(char if char.isprintable() else " " for char in text[: _LISTED_CHARS + 1])
    return repr(line if len(text) <= _LISTED_CHARS else line[:_LISTED_CHARS] + "…")
