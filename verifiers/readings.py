"""Read a final statement without the words around its value.

In: a statement, like "So the area is $5$ cm", and what marked it. Out: places in it, likeliest first. All are readings
of the same statement; one with several candidates, a doubt or a negation is only read as a whole. What the words mean
is left to the comparison.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from verifiers.statements import (
    ENVIRONMENT,
    MAX_VALUE,
    PHRASES,
    PIECES,
    STOP,
    WINDOW,
    How,
    is_denied,
    last_match,
    last_sentence,
    last_statement,
    stripped,
    trimmed,
)

_DOUBT = re.compile(
    r"\b(?:not|no|never|nor|neither|either|or|maybe|perhaps|possibly|probably|might|may|could|unless|except|whether|if"
    r"|unknown|cannot|unsure|uncertain|between|wrong|incorrect|false|guess|suppose|assum(?:e|ing)|imagine|anything"
    r"|everything|nothing|other than|another|alternative|but|without|besides|given"
    r"|(?:lack|exceed|exclud|avoid|miss)\w{0,4}"
    r"|oder|ou|niet|pas|или|не)\b|n['’]t\b|[?？或不非没吗]|可能|也许|至少|至多",
    re.IGNORECASE,
)
_CHANGING = (
    r"less|more|fewer|greater|least|most|under|over|below|above|almost|nearly|minus|negative|half|third|quarter"
    r"|twice|double|triple|times|plus|squared|cubed|(?:squares?|cubes?) of|roots?|sum|product|difference|quotient"
    r"|powers?|log|logarithm|ln|sin|cos|tan|reciprocal|inverse|opposite|factorial|around|about|roughly|approximately"
    r"|question|problem|step|part|case|option|choice|equation|figure|page|line"
)
_CHANGED = re.compile(rf"\b(?:{_CHANGING})\b", re.IGNORECASE)
_NEGATED_ABROAD = re.compile(
    r"\b(?:nicht|keine?|n['’]est pas|não|nem)\b|ではな|じゃな|아니|아닙",
    re.IGNORECASE,
)
_UNIT = re.compile(
    r"\s{0,4}(?:[kcmdµμ]?m|[km]?g|m?l|h|s|min|in|ft|yd|mi|lbs?|oz|mph|rad|USD|EUR|square|cubic|sq|cu|units?\^?"
    r"|hundred|thousand|million|billion|dozen|percent|(?:centi|milli|kilo)?(?:met(?:er|re)|gram|lit(?:er|re))s?"
    r"|feet|foot|inch(?:es)?|miles?|yards?|pounds?|ounces?|gallons?|seconds?|minutes?|hours?|days?|weeks?|months?"
    r"|years?|dollars?|cents?|euros?|degrees?|radians?)(?![A-Za-z])"
)
_MARKER = re.compile(
    r"(?:#{1,6}[ \t]{1,4}|>[ \t]{1,4}|(?:[-*+•]|\d{1,2}[.)])[ \t]{1,4}(?=[A-Za-z]{2}|\*\*|[\u4e00-\u9fff]))"
)
_REMARK = re.compile(
    r"(?:[ \t]{0,4}[,;，；—–][ \t]{0,4}|[ \t]{1,4}(?:-[ \t]{1,4})?)(?:(?:since|because)\b|因为|由于)"
    r"|[ \t]{0,4}[,;，；—–][ \t]{0,4}(?:(?:(?:and )?not|which (?:is|are|was|equals?|matches|agrees)"
    r"|as (?:required|desired|expected|needed|claimed|shown|stated|above|before|we))\b|而?不是|where (?:\x00"
    r"|\W{0,3}[A-Za-z]\b)|(?:attained|achieved|reached) (?:at|when|for)\b)"
    r"|[ \t]{0,4}(?:[,，][ \t]{0,4}|[(（])"
    r"(?:approximately|approx\.?|roughly|about|which is|i\.e\.|since|because|\\approx|≈"
    r"|约)(?:[^()\n]{0,200}[)）]\W{0,4}\Z)?"
    r"|[ \t]{1,4}[(（](?!(?:or|and|not|rejected|extraneous|invalid|wrong|just|upper|lower|excluded|integers?|natural"
    r"|rational|whole|prime|positive|negative|six|five|four|three|two|one)\b)[A-Za-z]{3,20}"
    r"(?:[ -][A-Za-z]{1,20}){0,8}[)）]\W{0,4}\Z",
    re.IGNORECASE,
)
_SECOND_THOUGHT = re.compile(
    r"\b(?:maybe|perhaps|possibly|might|could be|unsure|not sure|or else|also|another|alternatively|other|both"
    r"|either)\b|可能|也许",
    re.IGNORECASE,
)
_COPULA = re.compile(
    r"(?<![A-Za-z])(?:is|are|equals?|equal to|was|were|be|gives?|get|obtain|have|has|makes?|costs?|need"
    r"|needs)(?![A-Za-z'’])"
    r"[ \t]{0,4}[:：]?|[是为有得选]|等于|[:：](?=\s)",
    re.IGNORECASE,
)
_CONCLUSION = re.compile(
    r"(?:\b(?:so|thus|hence|therefore|then)\b|所以|因此|故|综上|∴)[ \t]{0,4}[,，:：]?", re.IGNORECASE
)
_MONTH = r"\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)(?:[a-z]{2,6}|\b\.?) \d"
_VALUE_FIRST = re.compile(
    r"\s{0,4}(?:[$\\\d(\[{|+√π∞*`]|-(?=[\d$\\.(a-zA-Z])|−|\.\d|[A-Za-z](?![A-Za-z'’])"
    r"|(?:[A-Z][A-Za-z'’-]{0,30} ?){1,4}\W{0,3}\Z"
    rf"|{_MONTH})"
)
_LEADS_ELSEWHERE = re.compile(
    r"(?<!equal )(?<!equals )(?<!comes )(?<!amounts )(?<!adds up )"
    r"\b(?:than|by|to|from|in|near|with|base|digits?|into|modulo|congruent|divisible|coprime)\s{1,4}\Z"
    r"|(?<!total )(?<!value )(?<!number )(?<!sum )(?<!area )(?<!volume )(?<!length )(?<!answer )(?<!cost )"
    r"(?<!amount )"
    r"(?<!probability )(?<!perimeter )(?<!maximum )(?<!minimum )\bof\s{1,4}\Z|\b(?:one of|some of)\b",
    re.IGNORECASE,
)
_REJECTED = re.compile(
    r"\b(?:reject\w*|extraneous|invalid|exclud\w*|contradict\w*|fails?|failed|bound)\b"
    r"|\btoo (?:big|large|small|many|few)\b"
    r"|\bdigits?\b",
    re.IGNORECASE,
)
_WORDS_FIRST = re.compile(r"(?:[A-Za-z\u00c0-\u024f'’]{1,30}[ ,:]{1,3}){1,30}(?=[$\\\d*`]|-\d)")
_REVERSED = re.compile(
    r"(?:(?:so|thus|hence|therefore),? )?(?P<value>\S[^.!?\n]{0,200}?) (?:is|are)(?: correct| right|(?: the| our"
    r"| my) (?:final |correct |right )?"
    r"(?:answer|result|solution|choice|option)s?)\W{0,4}",
    re.IGNORECASE,
)
_EMPHASIZED = re.compile(r"(?:\*\*(?P<bold>[^*\n]{1,400})\*\*|`(?P<code>[^`\n]{1,400})`)(?P<rest>[^*`$\\\d]{0,200})\Z")
_LABEL = re.compile(
    rf"(?:[ \t]{{1,4}}(?!(?:and|is|are|point|tenths?|{_CHANGING})\b)[A-Za-z][A-Za-z'’-]{{1,30}}){{0,20}}"
    r"[\s.!,;:)]{0,4}"
    r"|[ \t]{0,4}[个只条头棵本张位名颗辆件支种次组份][\u4e00-\u9fff]{0,3}。?",
    re.IGNORECASE,
)
_ABOUT = re.compile(
    r"(?:approximately|approx\.?|about|roughly|around)\s{1,4}(?=[$\\(]{0,3}-?\d{0,9}\.\d)", re.IGNORECASE
)
_SLANTED = re.compile(r"\*[^*\s][^*\n]{0,200}\*|_[^_\s][^_\n]{0,200}_")
_COPULA_LAST = re.compile(r"[ \t]{0,4}(?:です|である|だ|となります|になります|입니다|이다|예요|이에요)[。.]?\Z")


def readings(text: str, how: How) -> list[tuple[int, int]]:
    """Return the places of a statement's readings, without repetitions."""
    start, end = 0, len(text)
    if how != "fence" and _NEGATED_ABROAD.search(text, max(0, end - MAX_VALUE)):
        return []
    if how == "tag":
        marked = last_statement(text, max(0, end - WINDOW), end)
        if marked is None and "\n" in text:
            return [(0, end)]
        start, end = stripped(text, *marked[:2]) if marked else (0, end)
    elif how == "last line" and "\n" not in text:
        start, end = last_sentence(text)
        if any(is_denied(text, mark.start(), start) for mark in PHRASES.finditer(text, start, end)):
            return []
        marker = _MARKER.match(text, start, end)
        start = marker.end() if marker else start
    found = [*_narrower(text, start, end), (start, end)]
    if how == "tag":
        found.append((0, len(text)))
    return list(dict.fromkeys(span for span in found if span[0] < span[1]))


def _narrower(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the readings of a statement that leave out the words around its value."""
    if end - start > MAX_VALUE:
        return
    start, end = trimmed(text, start, end)
    whole = _cut_remark(text, start, end)
    start, end = trimmed(text, *whole)
    bare = PIECES.sub(lambda piece: "\x00" * len(piece.group()), text[start:end])
    if _DOUBT.search(bare) or any(stop.group() in ".!?。！？" for stop in STOP.finditer(bare, 0, len(bare) - 1)):
        opening = _CONCLUSION.match(bare)
        yield stripped(text, start + opening.end(), end) if opening else whole
        return
    reverse = _REVERSED.fullmatch(text, start, end)
    if reverse and not _COPULA.search(text, *reverse.span("value")):
        yield from _unwrapped(text, *reverse.span("value"))
    conclusion = last_match(_CONCLUSION, bare)
    clause = conclusion.end() if conclusion and re.search(r"[\d\x00=]|\b[A-Z]\b", bare[conclusion.end() :]) else 0
    ends = [start + copula.end() for copula in _COPULA.finditer(bare, clause)]
    said = [at for at in ends if _VALUE_FIRST.match(text, at, end)]
    if len(said) == 1 and not _CHANGED.search(bare, said[0] - start) and not _REJECTED.search(bare, said[0] - start):
        yield from _unwrapped(text, said[0], end, named=True)
    words = _WORDS_FIRST.match(text, start + clause + len(bare[clause:]) - len(bare[clause:].lstrip()), end)
    if words and _COPULA.search(bare, words.end() - start):
        words = None
    if words and _LEADS_ELSEWHERE.search(words.group()):
        words = None
    if words and not _CHANGED.search(words.group()) and not re.search(_MONTH, text[words.start() : words.end() + 1]):
        yield from _unwrapped(text, words.end(), end)
    elif clause:
        yield from _unwrapped(text, start + clause, end)
    yield from _unwrapped(text, start, end)


def _cut_remark(text: str, start: int, end: int) -> tuple[int, int]:
    """Leave out what only explains the value: ", since 2 + 3 = 5", "(approximately 3.2)"."""
    bare = PIECES.sub(lambda piece: "\x00" * len(piece.group()), text[start:end])
    remark = _REMARK.search(bare)
    if remark is None or remark.start() == 0 or _SECOND_THOUGHT.search(bare, remark.start()):
        return start, end
    words = remark.group().lstrip(" \t(（")
    if "(" in remark.group() and (
        _UNIT.match(words) or (_CHANGED.match(words) and words[:5] not in ("appro", "about", "rough"))
    ):
        return start, end  # a unit, not a remark
    return stripped(text, start, start + remark.start())


def _unwrapped(text: str, start: int, end: int, *, named: bool = False) -> Iterator[tuple[int, int]]:
    """Yield a value: the end of its chain, without its emphasis, as it stands."""
    start, end = trimmed(text, start, end)
    copula = _COPULA_LAST.search(text, start, end)
    end = copula.start() if copula else end
    last = _chain_end(text, start, end, named=named)
    if last:
        yield last
    emphasized = _EMPHASIZED.match(text, start, end)
    slanted = _SLANTED.fullmatch(text, start, end)
    if slanted:
        yield start + 1, end - 1
    about = _ABOUT.match(text, start, end)
    if about:
        yield about.end(), end
    rest = emphasized["rest"] if emphasized else ""
    if emphasized and _LABEL.fullmatch(rest) and not _UNIT.match(rest) and not _REJECTED.search(rest):
        yield stripped(text, *emphasized.span("bold" if emphasized["bold"] else "code"))
    yield start, end


_CHAIN = re.compile(r"\\(?:text|mathrm)\{[^{}]{0,200}\}|\\[A-Za-z]{1,30}")


def _chain_end(text: str, start: int, end: int, *, named: bool) -> tuple[int, int] | None:
    """Return the place of the last value of a chain whose links hold letters and so cannot be checked: A = pi r^2 = 9.

    `named` says that words before it name what the chain is equal to: "the area is pi r^2 = 9". An equation with zero
    is no such chain, since it may be the one to solve.
    """
    while start < end and text[end - 1] in ".。, ":
        end -= 1
    piece = PIECES.fullmatch(text, start, end)
    if piece:
        width = 1 if text[start] in "$`" and text[start + 1] != "$" else 2
        start, end = stripped(text, piece.start() + width, piece.end() - width)
    chain = text[start:end]
    rows = ENVIRONMENT.match(chain)
    if rows and chain.endswith(f"\\end{{{rows[1]}}}"):
        end -= len(rows[1]) + 6
        chain = text[start:end]
        if not chain.rpartition("\\\\")[2].lstrip().startswith(("&", "=")):
            return None
        chain = chain.replace("\\\\", "  ")
    links = chain.split("=")
    if (
        len(links) < 3 - named
        or links[-1].strip() in ("", "0")
        or re.search(r"[,;，；、<>$\n]|\\(?:[lg]eq?|ne|neq|approx)(?![a-z])|\band\b", chain.strip())
    ):
        return None
    if not re.search(r"[A-Za-z]", _CHAIN.sub("", links[-2])) and not rows:
        return None
    return stripped(text, end - len(links[-1]), end)
