"""Tell the language of one sentence among those that share its script, in three steps of rising cost.

In: the words of a sentence, and the language asked for. Out: the language, or None where the sentence does not say.
First frequent words and letters vote (`verifiers.language_words`): nearly every sentence of real prose is settled by
them, in a few microseconds. What they leave open goes to CLD2, and what CLD2 would call foreign without enough of their
support goes to langdetect: foreign is only what two of the three agree on, because a sentence of names and numbers
looks like any language to a detector. The target needs less: an unsettled sentence says nothing against it.

Deterministic in any number of threads: langdetect runs with a seed, in a factory of its own, so that no other user of
the library in the process is disturbed. Nothing here counts words or masks anything.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from verifiers.language_scripts import SHARED, primary, script_of
from verifiers.language_words import ACCENTED, FREQUENT

_MIN_LETTERS = 18
"""Letters below which CLD2 is not asked: it errs on shorter sentences."""
_MIN_GUESSED = 6
"""Letters of a prompt below which its language is not guessed."""
_MIN_WORDS = 6
"""Different words below which detectors alone, without a frequent word, call nothing foreign."""
_MIN_PERCENT = 70
_MIN_PROBABILITY = 0.9
_READ = 2000
"""Characters of a sentence that a detector reads."""
_SECOND_OPINIONS = 50
"""Sentences of one text that langdetect is asked about: it takes milliseconds for each."""
_SEED = 20250122


class Voter:
    """Tells the sentences of one text that are in the target language from those that are not."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.script = script_of(target)
        self._own = FREQUENT.get(target, frozenset())
        self._rivals = _rivals(target)
        self._strange, self._special = _letters(target)
        self._least_words = _MIN_WORDS if self.script == "latin" else 4
        self._opinions_left = _SECOND_OPINIONS

    def is_plain(self, words: Sequence[str], text: str = "") -> bool:
        """Tell whether a sentence is the target's without counting: it has words of it, none and no letter of others.

        In: its words in lower case, and itself in lower case where it has letters beyond a to z.
        """
        if not self._rivals.isdisjoint(words) or self._own.isdisjoint(words):
            return False
        return not text or not self._strange.search(text)

    def language(self, words: Sequence[str], text: str = "") -> str | None:
        """Return the language of a sentence, given as to `is_plain`; None where it cannot be told."""
        own = len(self._own.intersection(words))
        other = 0 if self._rivals.isdisjoint(words) else sum(word in self._rivals for word in words)
        if self.script != "latin":
            own += len(self._special.findall(text))
        is_clear = own > 4 * other and (own > 1 or len(words) <= 4)
        if is_clear and (not text or own > 4 * (other + len(self._strange_words(words, text)))):
            return self.target
        return self._detected(words, own)

    def is_mixed(self, words: Sequence[str]) -> bool:
        """Tell whether a sentence in the target language has words enough of another to look at its clauses."""
        return not self._rivals.isdisjoint(words) and sum(word in self._rivals for word in words) >= 3

    def _strange_words(self, words: Sequence[str], text: str) -> list[str]:
        """Return the words with a letter that the target does not write and others of its script do."""
        return [word for word in words if self._strange.search(word)] if self._strange.search(text) else []

    def _detected(self, words: Sequence[str], own: int) -> str | None:
        text = " ".join(words)[:_READ]
        votes = self._votes(words, self._strange_words(words, text))
        if len(text) - text.count(" ") < _MIN_LETTERS:
            best = max(votes, key=lambda language: votes[language], default="")
            return best if not own and votes[best] >= max(2, len(words) / 2) else None
        said = primary(cld2(text) or "")
        rival = max(votes, key=lambda language: (votes[language], language == said), default="")
        if said == self.target and not votes[rival] >= max(4, 3 * own):
            return self.target
        if votes.get(said, 0) >= 2 and votes[said] > own:
            return said
        if not said and own >= votes.get(rival, 0):
            return self.target if own else None
        # only one has spoken against the target
        suspects = {language for language in (said, rival) if votes.get(language, 0) >= max(own, 1)}
        if said != self.target and len(set(words)) >= self._least_words and own <= len(words) // 6:
            suspects.add(said)
        suspects.discard("")
        if not suspects or self._opinions_left <= 0:
            return self.target if own > votes.get(rival, 0) else None
        self._opinions_left -= 1
        second = primary(langdetect(text) or "")
        if not second and said in suspects and said not in FREQUENT:
            return said  # langdetect does not know every language
        return second if second in suspects else None

    def _votes(self, words: Sequence[str], strange: Sequence[str]) -> dict[str, int]:
        """Count for every other language the words that are frequent in it or have its letters and not the target's."""
        weight = 1 if self.script == "latin" else 2  # names cross borders in Latin letters
        return {
            language: sum(word in FREQUENT[language] for word in words)
            + weight * sum(ACCENTED.get(language, set()).issuperset(self._strange.findall(word)) for word in strange)
            for language in SHARED.get(self.script, ())
            if language != self.target
        }


def best_language(words: Sequence[str], script: str) -> str | None:
    """Return the language of a text in a shared script where nothing is asked for: the best guess, or None.

    Danish is named here, though a judge does not tell it from Norwegian.
    """
    text = " ".join(words)[:20_000]
    hits = {language: sum(word in FREQUENT[language] for word in words) for language in SHARED[script]}
    first, second, *_ = sorted(hits, key=lambda language: -hits[language])
    if hits[first] >= 2 and 2 * hits[first] >= 3 * hits[second]:
        return "da" if first == "no" and cld2(text, guess=True) == "da" else first
    said = cld2(text)
    if said is None and hits[first] > hits[second]:
        return first
    if said is None and len(text) >= _MIN_GUESSED:
        said = cld2(text, guess=True)
    return said if said is None or said == "da" else primary(said)


def cld2(text: str, *, guess: bool = False) -> str | None:
    """Ask CLD2; None where it is not sure (with `guess`, its best guess)."""
    import pycld2

    try:
        is_reliable, _, found = pycld2.detect(
            text.encode("utf-8", errors="replace"), isPlainText=True, bestEffort=guess
        )
    except pycld2.error:
        return None
    code = str(found[0][1])
    if code == "un" or (not guess and (not is_reliable or found[0][2] < _MIN_PERCENT)):
        return None
    return code


def langdetect(text: str) -> str | None:
    """Ask langdetect, seeded; None where it is not sure."""
    from langdetect.lang_detect_exception import LangDetectException

    detector = _factory().create()
    detector.append(text)
    try:
        best = detector.get_probabilities()
    except LangDetectException:
        return None
    return str(best[0].lang) if best and best[0].prob >= _MIN_PROBABILITY else None


def load() -> None:
    """Import the detectors and read their tables, so that no text pays for it."""
    import pycld2  # noqa: F401

    _factory()


@lru_cache(maxsize=64)
def _rivals(target: str) -> frozenset[str]:
    """Return the words that are frequent in other languages of the target's script and not in the target."""
    others = (FREQUENT[language] for language in SHARED.get(script_of(target), ()) if language != target)
    return frozenset().union(*others) - FREQUENT.get(target, frozenset())


@lru_cache(maxsize=64)
def _letters(target: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return patterns of what only other languages of the script write, and of what only the target writes."""
    known = [language for language in SHARED.get(script_of(target), ()) if language in ACCENTED]
    if target not in known:
        return _NEVER, _NEVER
    others = set().union(*(ACCENTED[language] for language in known if language != target))
    special = _one_of(ACCENTED[target] - others)
    if target == "ar":
        special = re.compile(f"{special.pattern}|(?<= )ال")  # the article
    return _one_of(others - ACCENTED[target]), special


def _one_of(letters: set[str]) -> re.Pattern[str]:
    return re.compile(f"[{''.join(sorted(letters))}]") if letters else _NEVER


_NEVER = re.compile(r"(?!)")
_LOCK = threading.Lock()
_PROFILE = re.compile(r"[a-z]{2}(?:-[a-z]{2})?")


def _factory() -> Any:
    with _LOCK:  # two threads that come first must not both read 5 MB
        return _loaded()


@lru_cache(maxsize=1)
def _loaded() -> Any:
    from langdetect.detector_factory import PROFILES_DIRECTORY, DetectorFactory

    factory = DetectorFactory()
    factory.seed = _SEED
    # in a fixed order: the library's own loader takes the directory's
    files = sorted(path for path in Path(PROFILES_DIRECTORY).iterdir() if _PROFILE.fullmatch(path.name))
    factory.load_json_profile([path.read_text(encoding="utf-8") for path in files])
    return factory
