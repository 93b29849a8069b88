"""Take a completion apart: its reasoning, its answer, and the final answer inside the answer.

In: the text of a completion. Out: `Parts` and `Extracted`, with places in characters of the completion. Nothing here
knows what the right answer is or compares anything. Every function takes time linear in the text, whatever the text.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import Literal

OPEN = "<think>"
CLOSE = "</think>"

How = Literal["box", "tag", "hashes", "phrase", "last line"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The two parts of a completion."""

    reasoning: str | None
    """What is thought; None if the completion has no think tag at all."""
    reasoning_start: int
    """Where the reasoning starts in the completion; 0 if there is none."""
    answer: str | None
    """What follows the reasoning; the whole completion without a think tag; None if the thinking never closes."""
    answer_start: int
    """Where the answer starts; the completion's length if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """A final answer and where it stands."""

    text: str
    """The final answer as it stands in the completion."""
    start: int
    """Index of its first character in the completion."""
    end: int
    """Index after its last character."""
    how: How
    """What marked it as the final answer."""

    @property
    def span(self) -> tuple[int, int]:
        """Start and end in characters of the completion."""
        return self.start, self.end


def split_reasoning(completion: str) -> Parts:
    """Split a completion into reasoning and answer.

    Reasoning runs from the first `<think>` to the *last* `</think>`, so nothing that was thought can pass for an
    answer. Without an opening tag (a template that prefills it) reasoning starts at the start. Text before the opening
    tag belongs to neither part. A `<think>` that no `</think>` follows leaves no answer. Without any tag the whole
    completion is the answer.
    """
    opened, closed, reopened = completion.find(OPEN), completion.rfind(CLOSE), completion.rfind(OPEN)
    if opened < 0 and closed < 0:
        return Parts(reasoning=None, reasoning_start=0, answer=completion, answer_start=0)
    start = opened + len(OPEN) if opened >= 0 and (closed < 0 or opened < closed) else 0
    if reopened > closed:
        # the last thing that happens to the thinking is that it starts
        start = opened + len(OPEN) if closed < 0 else start
        return Parts(reasoning=completion[start:], reasoning_start=start, answer=None, answer_start=len(completion))
    end = closed + len(CLOSE)
    return Parts(reasoning=completion[start:closed], reasoning_start=start, answer=completion[end:], answer_start=end)


def final_answer(completion: str) -> Extracted | None:
    """Find the final answer in the answer part of a completion; None if the reasoning never closes or nothing is said.

    Looked for in this order: the last balanced `\\boxed{}` (several that only "and", "or" or commas separate count as
    one), inside the last `<answer>` if there is one; that `<answer>` itself; `#### x`; the last "the answer is",
    "Answer:", "A:", "答案是" and the like, to the end of its sentence; the last line that is not blank.
    """
    parts = split_reasoning(completion)
    if parts.answer is None:
        return None
    return find_answer(parts.answer, offset=parts.answer_start)


def find_answer(text: str, *, offset: int = 0) -> Extracted | None:
    """Find the final answer in a text without think tags; places are counted from `offset`."""
    tagged = _last_tag(text)
    start, end = tagged or (0, len(text))
    boxed = _last_box(text, start, end)
    if boxed:
        return _extracted(text, *boxed, "box", offset)
    if tagged:
        return _extracted(text, start, end, "tag", offset)
    for pattern, how in ((_HASHES, "hashes"), (_PHRASE, "phrase")):
        last = last_match(pattern, text)
        if last:
            found = _extracted(text, *last.span("value"), how, offset)  # type: ignore[arg-type]  # the table holds literals
            if found:
                return found
    return _last_line(text, offset)


def last_match(pattern: re.Pattern[str], text: str, start: int = 0, end: int | None = None) -> re.Match[str] | None:
    """Return the last of the pattern's matches."""
    found = deque(pattern.finditer(text, start, len(text) if end is None else end), maxlen=1)
    return found[0] if found else None


_TAG_OPEN = "<answer>"
_TAG_CLOSE = "</answer>"

_HASHES = re.compile(r"^[ \t]*####[ \t]*(?P<value>[^\n]*)", re.MULTILINE)

# The value runs to the end of the sentence: a full stop ends it only before a space or the end of the line.
_VALUE = r"(?P<value>(?:[^\n。！？；.!?;]|[.!?;](?!\s|$|\*\*))+)"
_PHRASE = re.compile(
    r"(?:"
    r"\b(?:final |correct |right )?answers?(?: to (?:the|this) (?:problem|question))?[ \t]{0,4}(?:\*\*)?"
    r"(?:[ \t]{1,4}(?:is|are|=)(?![a-z])[ \t]{0,4}[:：]?|[ \t]{0,4}[:：])"
    r"|^[ \t]{0,8}(?:\*\*)?A[:：]"
    r"|(?:答案|结果)[ \t]{0,4}(?:应该|应当)?(?:就)?(?:是|为|等于|选|[:：])[ \t]{0,4}[:：]?"
    r"|^[ \t]{0,8}答[ \t]{0,4}[:：]"
    r")(?:\*\*)?[ \t]{0,8}\n?[ \t]{0,8}" + _VALUE,
    re.IGNORECASE | re.MULTILINE,
)

_BOX_TOKENS = re.compile(r"\\(?:boxed|fbox|framebox)\s{0,8}\{|\\.|[{}]", re.DOTALL)
_BARE_BOX = re.compile(r"\\(?:boxed|fbox)[ \t]{1,8}([^\s{}$]{1,200})")
_BETWEEN_BOXES = re.compile(r"(?:[\s,;$，、；和或]|\\[()\[\],;]|\b(?:and|or)\b|\\text\{\s?(?:and|or)\s?\}){0,40}")


def _extracted(text: str, start: int, end: int, how: How, offset: int) -> Extracted | None:
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    if start == end:
        return None
    return Extracted(text=text[start:end], start=offset + start, end=offset + end, how=how)


def _last_tag(text: str) -> tuple[int, int] | None:
    close = text.rfind(_TAG_CLOSE)
    start = text.rfind(_TAG_OPEN, 0, close) if close >= 0 else -1
    return (start + len(_TAG_OPEN), close) if start >= 0 else None


def _last_box(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Return the place of the last balanced box's content; of several boxes and what joins them, if they adjoin."""
    boxes: list[tuple[int, int, int]] = []  # where the command starts, where its content starts and ends
    braces: list[tuple[int, int] | None] = []
    for token in _BOX_TOKENS.finditer(text, start, end):
        mark = token.group()
        if mark == "{":
            braces.append(None)
        elif mark == "}":
            opened = braces.pop() if braces else None
            if opened:
                while boxes and boxes[-1][0] > opened[0]:
                    boxes.pop()  # a box inside this one
                boxes.append((*opened, token.start()))
        elif mark.endswith("{") and len(mark) > 2:
            braces.append((token.start(), token.end()))
    if not boxes:
        bare = last_match(_BARE_BOX, text, start, end)
        return bare.span(1) if bare else None
    first = len(boxes) - 1
    while (
        first and first > len(boxes) - 20 and _BETWEEN_BOXES.fullmatch(text, boxes[first - 1][2] + 1, boxes[first][0])
    ):
        first -= 1
    if first == len(boxes) - 1:
        return boxes[-1][1:]
    return boxes[first][0], boxes[-1][2] + 1


def _last_line(text: str, offset: int) -> Extracted | None:
    end = len(text.rstrip())
    start = text.rfind("\n", 0, end) + 1
    return _extracted(text, start, end, "last line", offset)
