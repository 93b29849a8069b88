"""Measure loops: how often any unit of a completion is repeated in immediate succession.

In: a completion. Out: as score the largest number of times that one line, one sentence or one run of up to 32 tokens
stands directly behind itself (1 where nothing is repeated, 0 for an empty text); the repeated unit as evidence. A word and
one ideograph are a token each, punctuation is none. Numbers and single letters alone count only in long runs, because tables
and sums are made of them. Whether that is too much is a filter's threshold; similar but unequal passages are not found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import eq
from typing import ClassVar, Literal

from verifiers.reference import Reference
from verifiers.verdict import Judge, Messages, Verdict

_MAX_PERIOD = 32
_MAX_SENTENCES = 4
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


@dataclass(frozen=True, slots=True)
class _Loop:
    repeats: int
    start: int
    end: int


class Repetition(Judge):
    """Count the immediate repeats of the most repeated unit."""

    kind: Literal["repetition"] = "repetition"
    """Name of the judge."""

    version: ClassVar[int] = 1
    uses_reference: ClassVar[bool] = False

    def reward(self, verdict: Verdict) -> float | None:
        """Return 1 for a text without repeats and less the more it repeats itself."""
        return None if verdict.score is None else 1.0 / max(verdict.score, 1.0)

    def _judge(self, completion: str, reference: Reference | None, prompt: Messages | None) -> Verdict:
        del reference, prompt
        if not completion.strip():
            return self._verdict(outcome="pass", score=0.0, reason="the text is empty")
        loop = max(_loops(completion), key=lambda found: found.repeats, default=None)
        if loop is None:
            return self._verdict(outcome="pass", score=1.0, reason="nothing is repeated in immediate succession")
        end = min(loop.end, loop.start + _SHOWN)
        unit = completion[loop.start : end]
        return self._verdict(
            outcome="pass",
            score=float(loop.repeats),
            reason=f"{unit[:60]!r} stands {loop.repeats} times in succession",
            extracted=unit,
            span=(loop.start, end),
        )


def _loops(text: str) -> Iterable[_Loop]:
    yield from _loops_of(_units(_LINE, text), max_period=1, is_prose=False)
    yield from _loops_of(_units(_SENTENCE, text), max_period=_MAX_SENTENCES, is_prose=False)
    yield from _loops_of(_tokens(text), max_period=_MAX_PERIOD, is_prose=True)


def _units(pattern: re.Pattern[str], text: str) -> list[tuple[str, int, int]]:
    """Return the units that say something, with their places."""
    found = []
    for match in pattern.finditer(text):
        unit = match.group().strip()
        if _TOKEN.search(unit):
            start = match.start() + len(match.group()) - len(match.group().lstrip())
            found.append((unit, start, start + len(unit)))
    return found


def _tokens(text: str) -> list[tuple[str, int, int]]:
    found = []
    for match in _TOKEN.finditer(text):
        token, start, end = match.group().casefold(), match.start(), match.end()
        if end - start <= _LONG_WORD:
            found.append((token, start, end))
        else:
            found.extend((text[place], place, place + 1) for place in range(start, end))
    return found


def _loops_of(units: Sequence[tuple[str, int, int]], *, max_period: int, is_prose: bool) -> Iterable[_Loop]:
    """Yield the longest loop of each period: the run of places where a unit equals the one a period before it."""
    names: dict[str, int] = {}
    ids = [names.setdefault(unit, len(names)) for unit, _, _ in units]
    has_word = bytes(bool(_HAS_WORD.search(name)) for name in names) if is_prose else b""
    for period in range(1, min(max_period, len(ids) // 2) + 1):
        same = bytes(map(eq, ids, islice(ids, period, None)))
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
            first, last = units[best[1]], units[best[1] + period - 1]
            yield _Loop(best[0] // period + 1, first[1], last[2])
