"""Find the statement that ends an answer: what a mark like "The answer is" announces, or what stands last.

In: text, and which part of it to look at. Out: a place in it, and what marked it. Boxes, tags and reasoning are not
known here, and nothing is compared. A statement ends with its sentence, unless the next one takes it back ("Or 4?").
"""

from __future__ import annotations

import re
from collections import deque
from typing import Literal

How = Literal["box", "tag", "hashes", "phrase", "fence", "last line"]
"""What marks a final answer."""

WINDOW = 50_000
"""An announced answer is looked for in so many characters at the end of the answer part."""
MAX_VALUE = 4000
"""A statement has at most so many characters."""


def last_match(pattern: re.Pattern[str], text: str, start: int = 0, end: int | None = None) -> re.Match[str] | None:
    """Return the last of the pattern's matches."""
    found = deque(pattern.finditer(text, start, len(text) if end is None else end), maxlen=1)
    return found[0] if found else None


def stripped(text: str, start: int, end: int) -> tuple[int, int]:
    """Return a place without the blanks at its ends."""
    part = text[start:end]
    start += len(part) - len(part.lstrip())
    return start, start + len(part.strip())


_HASHES = re.compile(r"(?:^|(?<=\s))####(?!#)[ \t]{0,8}(?P<value>[^\n]{0,4000})", re.MULTILINE)
_HEADING = re.compile(r"(?:\d{1,2}[.):]\s{0,4})?(?:[A-Za-z*_]{2}|[\u4e00-\u9fff])|.{0,200}[:：]\s{0,8}$")
_SAID = r"(?:is|are|equals?|(?:must|should|will|would) be|comes out (?:to(?: be)?|as)|turns out to be|=)(?![A-Za-z'])"
PHRASES = re.compile(  # what announces an answer, in the languages models answer in
    r"(?<![A-Za-z\"'\\])(?:answers?|ans)(?![A-Za-z])"
    r"(?:[ \t](?:to|of|for) (?:the|this|your|our) (?:problem|question|exercise|puzzle|equation)| here)?"
    rf"[*_`]{{0,3}}(?:[ \t]{{0,4}}{_SAID}[ \t]{{0,4}}[:：]?|[ \t]{{0,4}}[:：]|[ \t*_]{{0,4}}$)"
    r"|^[ \t>]{0,8}[*_]{0,2}A[:：](?!.*\n{1,3}[ \t>]{0,8}[*_]{0,2}\(?B[:：)])"
    r"|(?:答案|结果|答え|正解|解答)[ \t]{0,4}[*_]{0,3}(?:应该|应当)?(?:就)?(?:是|为|等于|选|は、?"
    r"|[:：])[ \t]{0,4}[:：]?"
    r"|【(?:答案|解答)】[:：]?|(?:答案|答え|正解|解答)[*_ \t]{0,4}$"
    r"|^[ \t>]{0,8}[*_]{0,2}答[ \t]{0,4}[:：]"
    r"|(?:정답|최종 답|답)[*_]{0,3}(?:은|는|[ \t]{0,2}[:：])"
    r"|(?<!\w)(?:Antwort|réponse|respuesta|resposta|risposta|antwoord|svar)(?: (?:finale?|correct[ae]?"
    r"|exacte))?[*_]{0,3}"
    r"(?:[ \t]{0,4}[:：]|[ \t]{1,4}(?:ist|lautet|est|es|é|è|is|är)(?!\w)[ \t]{0,4}[:：]?)"
    r"|(?<!\w)(?:Ergebnis|Odpowiedź|Odpověď|Cevap|Jawaban|Đáp án|Đáp số|الإجابة|الجواب|उत्तर"
    r"|Απάντηση)[*_]{0,3}[ \t]{0,4}[:：]"
    r"|(?<!\w)(?:ответ|відповідь)[*_]{0,3}[ \t]{0,4}(?:[:：—–-]|равен|это)"
    r"|\"(?:final[_ ]?)?answer\"[ \t]{0,4}:",
    re.IGNORECASE | re.MULTILINE,
)
_DENIED = re.compile(
    r"(?:\b(?:not|never|cannot)|n['’]t)(?: (?:be|think|believe|say|know|claim|sure|certain|convinced|true|the|case"
    r"|clear|likely|possible|correct|right|an?|my|our|final|only|that|if|whether|to|mean)){0,6}\s{0,2}\Z"
    r"|\b(?:doubt|unlikely|false|wrong|incorrect|hope|wonder|maybe|perhaps|possibly|suppose|assum(?:e|ing)|imagine)"
    r"(?: \w{1,20}){0,5}\s{0,2}\Z"
    r"|\b(?:another|alternative|previous|old|sample|example|opposite|twice|half|try|testing|consider)"
    r"(?: [a-z]{1,10}){0,3} \Z|\b(?:negative|square|half) of(?: the)? \Z"
    r"|\b(?:if|whether|let)(?: (?:the|my|our|final|correct)){0,3}\s{0,2}\Z|(?:不(?!难|妨)|没)[^，。]{0,20}\Z",
    re.IGNORECASE,
)
_CLAUSES = re.compile(r"[,;:.!?\n，。；！？：*]|\b(?:so|thus|hence|therefore|then|but|and)\b", re.IGNORECASE)
_NO_VALUE = re.compile(
    r"\s{0,4}(?:correct|right|clear|reasonable|verified|valid|consistent|unique|confirmed|as follows|given (?:by"
    r"|in)|in the form"
    r"|found by|obtained|(?:an?|the) (?:\w{1,20} )?(?:integer|number|fraction|form))\b[^\d$\\]{0,200}\Z",
    re.IGNORECASE,
)
_NEGATED = re.compile(r"(?:not|never|n['’]t)\b|[不非]", re.IGNORECASE)
_GAP = re.compile(r"(?:[ \t:：]|(?<=[-=])>|[*_`]{1,3}(?=[\s:：]|\Z)){0,12}(?:\n[ \t>]{0,8}){0,4}")
_JSON_STRING = re.compile(r'\s{0,8}"((?:[^"\\\n]|\\.){0,4000})"')
_JSON_VALUE = re.compile(r"\s{0,8}(\[[^\]\n]{0,4000}\]|[^,}\n]{1,4000})")

_PIECE = (
    r"\$\$[^$]{1,2000}?\$\$|(?<![\\$])\$(?![\s$])[^$\n]{0,1000}?[^\s$\\]\$(?!\d)|\\\((?:[^\\\n]"
    r"|\\[^()\[\n]){1,1000}\\\)"
    r"|\\\[(?:[^\\]|\\[^\]\[(]){1,2000}\\\]|\*\*(?!\s)[^*\n]{1,400}\*\*|`[^`\n]{1,400}`"
)
PIECES = re.compile(_PIECE)
"""What stands between marks of mathematics, emphasis or code."""
STOP = re.compile(rf"(?P<piece>{_PIECE})|\n|[。！？]|[.!?](?=\s|$|\*|_|[\"”’')\]}}])")
ABBREVIATED = re.compile(r"(?:\b(?:[ap]\.m|i\.e|e\.g|approx|sq|cu|Mr|Mrs|Ms|Dr|St|vs))\Z", re.IGNORECASE)
_QUESTION_CHINESE = ("吗", "呢")
DOUBTS = re.compile(
    r"[\s*_(\[—–-]{0,8}(?:(?:or|maybe|perhaps|possibly)\b|或|也可能|可能"
    r"|(?:[a-z]{1,10} ){0,2}(?:could|might|may)(?: also| well)? be\b"
    r"|(?:another|an alternative)(?: [a-z]{1,10})? (?:answer|option)\b"
    r"|(?:but|however)\b|(?:that|this|it)(?: is|['’]s| was) (?:wrong|incorrect|not)\b|rechecking\b"
    r"|(?:no[,.!:]|wait|hmm|oops|sorry|correction|scratch|actually|alternatively|otherwise|不对|不,"
    r"|不，)(?=[^\n]{0,80}(?:[\d$\\]|\b[A-J]\b)))",
    re.IGNORECASE,
)


def last_statement(text: str, start: int, end: int) -> tuple[int, int, How] | None:
    """Return the place of what the last mark of an answer announces."""
    hashes = [match for match in deque(_HASHES.finditer(text, start, end), maxlen=8) if match["value"].strip()]
    for match in reversed(hashes):
        value = match["value"].strip()
        if PHRASES.search(value) is None and (not _HEADING.match(value) or not text[match.end() : end].strip()):
            return match.start("value"), _statement_end(text, match.start("value"), end), "hashes"
    for match in reversed(deque(PHRASES.finditer(text, start, end), maxlen=16)):
        if is_denied(text, match.start(), start):
            continue
        found = _json_value(text, match.end(), end) if match.group()[0] == '"' else _announced(text, match, end)
        if found and text[slice(*stripped(text, *found))] and not _NO_VALUE.match(text, *found):
            return *found, "phrase"
    return None


def is_denied(text: str, at: int, start: int) -> bool:
    """Say whether the clause that leads to a mark denies or supposes it: "I doubt that the answer is"."""
    lead = text[max(start, at - 120) : at]
    clause = _CLAUSES.split(lead)[-1]
    return bool(_DENIED.search(clause))


def _json_value(text: str, at: int, end: int) -> tuple[int, int] | None:
    match = _JSON_STRING.match(text, at, end) or _JSON_VALUE.match(text, at, end)
    return match.span(1) if match else None


def _announced(text: str, match: re.Match[str], end: int) -> tuple[int, int] | None:
    """Return the place of what follows a mark: on its line, or the block below it."""
    gap = _GAP.match(text, match.end(), end)
    at = gap.end() if gap else match.end()
    if _NEGATED.match(text, at, end):
        return None
    block = _block(text, at, end)
    if block:
        return block
    below = "\n" in text[match.start() : at]
    if below and match.group()[-1] not in ":：" and ":" not in text[match.end() : at] and not _is_heading(text, match):
        return None  # a line that happens to end in the word
    if below and _is_heading(text, match):
        line = _line_end(text, at, end)
        if text[line:end].strip() and not _looks_bare(text[at:line]):
            return None  # a section that works towards the answer
    if below:
        line = _line_end(text, at, end)
        paragraph = _MORE_LINES.match(text, line, end)
        if paragraph and paragraph.group():
            return trimmed(text, at, paragraph.end())  # several answers, a line each
        bullet = _BULLET.match(text, at, end)
        at = bullet.end() if bullet else at
    return trimmed(text, at, _statement_end(text, at, end))


_BULLET = re.compile(r"[-*+•][ \t]{1,4}")
_MORE_LINES = re.compile(
    r"(?:\n[ \t]{0,8}(?:(?:[-*+•]|\d{1,2}[.)])[ \t]\S[^\n]{0,400}|[-+]?[$\\]?\d[^\n ]{0,40}[ \t]{0,4}(?=\n|\Z))){0,40}"
)


def _is_heading(text: str, match: re.Match[str]) -> bool:
    line = text[text.rfind("\n", 0, match.start()) + 1 : match.end()]
    return bool(_HEADING_LINE.match(line))


_HEADING_LINE = re.compile(
    r"[ \t>]{0,8}[#*_]{0,6}[ \t]{0,4}(?:\d{1,2}[.)] )?(?:the |my |our )?(?:final |correct )?(?:answers?|答案"
    r"|最终答案|答え|解答)[*_:：\s]{0,8}$",
    re.IGNORECASE,
)
_WORDS = re.compile(r"[A-Za-z]{3,}")


def _looks_bare(line: str) -> bool:
    return len(_WORDS.findall(re.sub(r"\\[A-Za-z]+", "", line))) <= 4


def _line_end(text: str, at: int, end: int) -> int:
    found = text.find("\n", at, end)
    return end if found < 0 else found


_BLOCKS = (("$$", "$$"), ("\\[", "\\]"))
ENVIRONMENT = re.compile(r"\\begin\{([a-z]{1,20}\*?)\}")
_ENVIRONMENT_END = re.compile(r"\\end\{([a-z]{1,20}\*?)\}\Z")
_FENCE = re.compile(r"```[ \t]{0,4}[A-Za-z0-9+-]{0,20}[ \t]{0,4}\n")


def _block(text: str, at: int, end: int) -> tuple[int, int] | None:
    """Return the place of the code, formula or environment that starts here and fills its lines."""
    fence = _FENCE.match(text, at, end)
    if fence:
        closing = text.find("```", fence.end(), end)
        return fence.end(), closing if closing >= 0 else end
    for opening, closing_mark in _BLOCKS:
        if text.startswith(opening, at, end):
            closing = text.find(closing_mark, at + 2, min(end, at + MAX_VALUE))
            if closing < 0 or DOUBTS.match(text, closing + 2, end):
                continue
            if not text[closing + 2 : _line_end(text, closing, end)].strip(" \t*.,。"):
                return at + 2, closing
    environment = ENVIRONMENT.match(text, at, end)
    if environment:
        mark = f"\\end{{{environment[1]}}}"
        closing = text.find(mark, at, min(end, at + MAX_VALUE))
        return (at, closing + len(mark)) if closing >= 0 else None
    return None


def _statement_end(text: str, at: int, end: int) -> int:
    """Return where the statement ends that starts here: its sentence, and what goes back on it right after."""
    end = min(end, at + MAX_VALUE)
    place = at
    while True:
        stop = STOP.search(text, place, end)
        if stop is None:
            return end
        if stop["piece"]:
            place = stop.end()
            continue
        mark = stop.group()
        if mark == "." and ABBREVIATED.search(text, max(at, stop.start() - 6), stop.start()):
            place = stop.end()
            continue
        asked = mark in "?？" or text[stop.start() - 1] in _QUESTION_CHINESE
        if asked or DOUBTS.match(text, stop.end(), end):
            stands = stop.end() + (len(text[stop.end() : end]) - len(text[stop.end() : end].lstrip()))
            return _line_end(text, stop.end() if asked else stands, end)
        return stop.start()


_CHEERS = "✅✔✓☑🎉👍\ufe0f"


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Take off blanks and emphasis that opens or closes only outside of the value."""
    start, end = stripped(text, start, end)
    while start < end and text[end - 1] in _CHEERS:
        end -= 1
    start, end = stripped(text, start, end)
    for mark in ("**", "__"):
        if text.count(mark, start, end) % 2:
            if text.endswith(mark, start, end):
                start, end = stripped(text, start, end - 2)
            elif text.startswith(mark, start, end):
                start, end = stripped(text, start + 2, end)
    if text.startswith("}", start, end) and text.count("{", start, end) < text.count("}", start, end):
        start += 1  # \text{Answer:} 5
    return stripped(text, start, end)


_REMARK_LINE = re.compile(
    r"(?:i )?hope (?:it|this|that|the|my)\b.{0,80}|let me know\b.{0,120}|good luck\W*|thank you\W*|q\.?e\.?d\.?"
    r"|[^\w#?$\\{}()<>|/=+\[\]]+|[-=_]{2,200}|\|.*",
    re.IGNORECASE,
)
_REMARK_SENTENCE = re.compile(
    r"(?<=[.!。])\s{1,8}(?:I hope (?:it|this|that|the|my)\b|Hope this|Let me know\b)[^\n]{0,120}\Z"
)
_HAS_VALUE = re.compile(r"[\w)}\]]")


def ending(text: str) -> tuple[int, int, How]:
    """Return the place of the code or formula that ends the text, or of its last line that says something."""
    end = len(text.rstrip())
    if text.endswith("```", 0, end):
        opening = text.rfind("```", max(0, end - WINDOW), end - 3)
        fence = _FENCE.match(text, opening, end) if opening >= 0 else None
        if fence:
            return fence.end(), max(fence.end(), end - 3), "fence"
    for opening_mark, closing in _BLOCKS:
        if text.endswith(closing, 0, end) and text.rfind("\n", 0, end) >= 0:
            opening = text.rfind(opening_mark, max(0, end - MAX_VALUE), end - 2)
            if opening >= 0 and not text[text.rfind("\n", 0, opening) + 1 : opening].strip():
                return opening + 2, end - 2, "last line"
    environment = _ENVIRONMENT_END.search(text, max(0, end - 40), end)
    if environment:
        opening = text.rfind(f"\\begin{{{environment[1]}}}", max(0, end - MAX_VALUE), end)
        if opening >= 0 and not text[text.rfind("\n", 0, opening) + 1 : opening].strip():
            return opening, end, "last line"
    last_end = end
    for _ in range(12):
        start = text.rfind("\n", 0, end) + 1
        line = text[start:end].strip()
        if line and not (len(line) < 2000 and _REMARK_LINE.fullmatch(line)):
            return _with_joined(text, start, line), end, "last line"
        end = len(text[: max(0, start - 1)].rstrip()) if start else 0
        if not end:
            break
    return text.rfind("\n", 0, last_end) + 1, last_end, "last line"


_JOINED = re.compile(r"(?:or|and|或|和|或者)\b\W{0,4}(?:maybe|perhaps)?\W{0,4}", re.IGNORECASE)


def _with_joined(text: str, start: int, line: str) -> int:
    """Return where the statement of the last line starts: lines before it belong to it if "or" joins them."""
    for _ in range(8):
        previous_end = len(text[:start].rstrip())
        previous = text[text.rfind("\n", 0, previous_end) + 1 : previous_end].strip()
        if not previous or not (_JOINED.match(line) or _JOINED.fullmatch(previous)):
            return start
        start, line = text.rfind("\n", 0, previous_end) + 1, previous
    return start


def last_sentence(text: str) -> tuple[int, int]:
    """Return the place of the last sentence that says something; of all if it takes back what stands before it."""
    start, end = max(0, len(text) - MAX_VALUE), len(text)
    remark = _REMARK_SENTENCE.search(text, start, end)
    end = remark.start() if remark else end
    first = start
    for stop in STOP.finditer(text, start, end):
        if stop["piece"]:
            continue
        if not _HAS_VALUE.search(text, stop.end(), end):
            break
        if stop.group() == "." and (
            ABBREVIATED.search(text, max(start, stop.start() - 6), stop.start())
            or text[start : min(stop.start(), start + 8)].strip().isdigit()
        ):
            continue
        if DOUBTS.match(text, stop.end(), end):
            return first, end
        first = stop.end()
    return stripped(text, first, end)
