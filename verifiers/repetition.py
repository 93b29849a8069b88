"""Measure loops: how often any unit of a completion is repeated in immediate succession.

In: a completion. Out: as score the largest number of times that up to 64 lines or sentences, or a run of up to 32
tokens, stand directly behind themselves (1 where nothing is repeated, 0 for an empty text); the repeated unit as
evidence. A word and one ideograph are a token each, punctuation is none. Numbers and single letters alone count only in
long runs, because tables and sums are made of them. Whether that is too much is a filter's threshold; similar but
unequal passages are not found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from operator import eq
from typing import ClassVar, Literal, NamedTuple

from verifiers.reference import Reference
from verifiers.verdict import Judge, Messages, Verdict

_MAX_PERIOD = 32
_MAX_SENTENCES = 64
"""Sentences or lines of the longest unit: loops of a language model are often of whole paragraphs."""
_MIN_SYMBOL_RUN = 24
"""Tokens that a run of numbers and single letters must have to count."""
_LONG_WORD = 40
"""A longer token is split into characters: a loop may have no spaces."""
_SHOWN = 200

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+")
_LINE = re.compile(r"[^\n]+")
_SENTENCE = re.compile(r"[^.!?。！？\n]+[.!?。！？]*")
_RUN = re.compile(b"\x01+")
_HAS_WORD = re.compile(rf"[^\W\d_]{{2}}|[{_CJK}]")


class _Loop(NamedTuple):
    repeats: int
    first: int
    last: int


class Repetition(Judge):
    """Count the immediate repeats of the most repeated unit."""

    kind: Literal["repetition"] = "repetition"
    """Name of the judge."""

    version: ClassVar[int] = 2
    uses_reference: ClassVar[bool] = False
    decides: ClassVar[bool] = False

    def reward(self, verdict: Verdict) -> float | None:
        """Return 1 for a text without repeats and less the more it repeats itself."""
        return None if verdict.score is None else 1.0 / max(verdict.score, 1.0)

    def _judge(self, completion: str, reference: Reference | None, prompt: Messages | None) -> Verdict:
        del reference, prompt
        if not completion.strip():
            return self._verdict(outcome="pass", score=0.0, reason="the text is empty")
        repeats, start, end = _longest_loop(completion)
        if repeats == 1:
            return self._verdict(outcome="pass", score=1.0, reason="nothing is repeated in immediate succession")
        end = min(end, start + _SHOWN)
        unit = completion[start:end]
        return self._verdict(
            outcome="pass",
            score=float(repeats),
            reason=f"{unit[:60]!r} stands {repeats} times in succession",
            extracted=unit,
            span=(start, end),
        )


def _longest_loop(text: str) -> tuple[int, int, int]:
    """Return the most repeats of any unit, and where the first of them starts and ends."""
    best, start, end = 1, 0, 0
    for units, places, max_period, is_prose in (
        (_lines_or_sentences(_LINE, text), _places_of(_LINE, text), 1, False),
        (_lines_or_sentences(_SENTENCE, text), _places_of(_SENTENCE, text), _MAX_SENTENCES, False),
        (_tokens(text), _places_of_tokens(text), _MAX_PERIOD, True),
    ):
        loop = max(_loops(units, max_period, is_prose=is_prose), key=lambda found: found.repeats, default=None)
        if loop is not None and loop.repeats > best:
            found = list(islice(places, loop.first, loop.last + 1))
            best, start, end = loop.repeats, found[0][0], found[-1][1]
    return best, start, end


def _lines_or_sentences(pattern: re.Pattern[str], text: str) -> list[str]:
    """Return the units that say something."""
    return [unit.strip() for unit in pattern.findall(text) if _TOKEN.search(unit)]


def _places_of(pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, int]]:
    for match in pattern.finditer(text):
        unit = match.group()
        if _TOKEN.search(unit):
            start = match.start() + len(unit) - len(unit.lstrip())
            yield start, start + len(unit.strip())


def _tokens(text: str) -> list[str]:
    tokens = [token.casefold() for token in _TOKEN.findall(text)]
    if max(map(len, tokens), default=0) <= _LONG_WORD:  # folding never shortens
        return tokens
    return [text[start:end].casefold() for start, end in _places_of_tokens(text)]


def _places_of_tokens(text: str) -> Iterator[tuple[int, int]]:
    for match in _TOKEN.finditer(text):
        start, end = match.span()
        if end - start <= _LONG_WORD:
            yield start, end
        else:
            yield from ((place, place + 1) for place in range(start, end))


def _loops(units: list[str], max_period: int, *, is_prose: bool) -> Iterator[_Loop]:
    """Yield the longest loop of each period: the run of places where a unit equals the one a period before it."""
    names: dict[str, int] = {}
    ids = [names.setdefault(unit, len(names)) for unit in units]
    has_word = bytes(bool(_HAS_WORD.search(name)) for name in names) if is_prose else b""
    for period in range(1, min(max_period, len(ids) // 2) + 1):
        same = bytes(map(eq, ids, islice(ids, period, None)))
        if b"\x01" * period not in same:
            continue
        best = (0, 0)
        for run in _RUN.finditer(same):
            length = run.end() - run.start()
            if length < period or length <= best[0]:
                continue
            unit = ids[run.start() : run.start() + period]
            if is_prose and length + period < _MIN_SYMBOL_RUN and not any(has_word[name] for name in unit):
                continue
            best = (length, run.start())
        if best[0]:
            yield _Loop(best[0] // period + 1, best[1], best[1] + period - 1)
