"""Measure loops: how often any unit of a completion is repeated in immediate succession.

In: a completion. Out: as score the largest number of times that a line, up to 8 paragraphs, up to 64 sentences, or a
run of up to 32 tokens stand directly behind themselves (1 where nothing is repeated, 0 for an empty text); the repeated
unit and its place as evidence, and in the reason where the loop ends. A word and one ideograph are a token each,
punctuation is none. Numbers, single letters and commands of LaTeX alone count only in long runs, because tables and
formulas are made of them. What differs in a number is not equal ("Step 1: …" "Step 2: …"), unless `ignore_numbers` says
so. Whether that is too much is a filter's threshold; passages that differ in words are not found, nor equal ones with
others between them.
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
_MAX_PARAGRAPHS = 8
"""Paragraphs of the longest unit: what has more sentences than the above."""
_MIN_SYMBOL_RUN = 24
"""Tokens that a run of numbers and single letters must have to count."""
_LONG_WORD = 40
"""A longer token is split into characters: a loop may have no spaces."""
_SHOWN = 200

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"\\[A-Za-z]+|[{_CJK}]|[^\W{_CJK}]+")
_LINE = re.compile(r"[^\n]+")
_PARAGRAPH = re.compile(r"[^\n]+(?:\n(?![ \t\r]*\n)[^\n]+)*")
_SENTENCE = re.compile(r"[^.!?。！？\n]+[.!?。！？]*")
_RUN = re.compile(b"\x01+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_HAS_WORD = re.compile(rf"(?!\\)(?:.*?[^\W\d_]{{2}}|.*?[{_CJK}])", re.DOTALL)


class _Loop(NamedTuple):
    repeats: int
    first: int
    """The first unit of what is repeated."""
    last: int
    """The last unit of what is repeated."""
    end: int
    """The last unit of the loop."""


class _Found(NamedTuple):
    repeats: int
    unit: str
    """What is repeated, e.g. `sentences`."""
    span: tuple[int, int]
    """Where it stands first."""
    end: int
    """Where its last repeat ends."""


class Repetition(Judge):
    """Count the immediate repeats of the most repeated unit."""

    kind: Literal["repetition"] = "repetition"
    """Name of the judge."""
    ignore_numbers: bool = False
    """Whether passages that differ in numbers alone are equal: "Step 1: check it. Step 2: check it." is a loop then."""

    version: ClassVar[int] = 3
    uses_reference: ClassVar[bool] = False
    decides: ClassVar[bool] = False

    def reward(self, verdict: Verdict) -> float | None:
        """Return 1 for a text without repeats and less the more it repeats itself."""
        return None if verdict.score is None else 1.0 / max(verdict.score, 1.0)

    def _judge(self, completion: str, reference: Reference | None, prompt: Messages | None) -> Verdict:
        del reference, prompt
        if not completion.strip():
            return self._verdict(outcome="pass", score=0.0, reason="the text is empty")
        found = _longest_loop(completion, ignore_numbers=self.ignore_numbers)
        if found is None:
            return self._verdict(outcome="pass", score=1.0, reason="nothing is repeated in immediate succession")
        start, end = found.span
        end = min(end, start + _SHOWN)
        unit = completion[start:end]
        where = f"from character {start} to {found.end} of {len(completion)}"
        return self._verdict(
            outcome="pass",
            score=float(found.repeats),
            reason=f"{unit[:60]!r} stands {found.repeats} times in succession ({found.unit}, {where})",
            extracted=unit,
            span=(start, end),
        )


def _longest_loop(text: str, *, ignore_numbers: bool) -> _Found | None:
    """Return the loop with the most repeats of any unit; None if nothing is repeated."""
    best: _Found | None = None
    for name, units, places, max_period, is_prose in (
        ("lines", _passages(_LINE, text), _places_of(_LINE, text), 1, False),
        ("paragraphs", _passages(_PARAGRAPH, text), _places_of(_PARAGRAPH, text), _MAX_PARAGRAPHS, False),
        ("sentences", _passages(_SENTENCE, text), _places_of(_SENTENCE, text), _MAX_SENTENCES, False),
        ("words", _tokens(text), _places_of_tokens(text), _MAX_PERIOD, True),
    ):
        compared = [_without_numbers(unit) for unit in units] if ignore_numbers else units
        loop = max(_loops(compared, max_period, is_prose=is_prose), key=lambda found: found.repeats, default=None)
        if loop is not None and (best is None or loop.repeats > best.repeats):
            place = list(islice(places, loop.first, loop.end + 1))
            span = place[0][0], place[loop.last - loop.first][1]
            best = _Found(loop.repeats, name, span, place[-1][1])
    return best


def _without_numbers(unit: str) -> str:
    """Return a passage with all its numbers equal; one without words is nothing but its numbers, and stays."""
    return _NUMBER.sub("0", unit) if unit.isdigit() or _HAS_WORD.match(unit) else unit


def _passages(pattern: re.Pattern[str], text: str) -> list[str]:
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
    has_word = bytes(bool(_HAS_WORD.match(name)) for name in names) if is_prose else b""
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
            repeats = best[0] // period + 1
            yield _Loop(repeats, best[1], best[1] + period - 1, best[1] + repeats * period - 1)
