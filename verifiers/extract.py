"""Take a completion apart: its reasoning, its answer, and the final answer inside the answer.

In: the text of a completion. Out: `Parts` and `Extracted`, with places in characters of the completion. Nothing here
knows what the right answer is or compares anything. Every function takes time linear in the text, whatever the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import islice

from verifiers.readings import readings
from verifiers.statements import WINDOW, How, ending, last_match, last_statement, stripped

OPEN = "<think>"
CLOSE = "</think>"


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
    """The final answer as it stands in the completion; of several boxes what they say, joined: "x = 1, y = 2"."""
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

    Looked for in this order, inside the last `<answer>` if there is one: the last balanced `\\boxed{}` (several that
    only "and", "or", commas, blanks or names with `=` separate count as one); that `<answer>` itself; `#### x`; the
    last "the answer is", "Answer:", "答案是", "Antwort:", `"answer":` and the like, to the end of its statement; the
    code or displayed formula at the end; the last line that is not blank, a remark or a row of a table.
    """
    parts = split_reasoning(completion)
    if parts.answer is None:
        return None
    return find_answer(parts.answer, offset=parts.answer_start)


def narrowed_answers(completion: str) -> list[Extracted]:
    """Return the readings of the final answer, likeliest first; none if there is no final answer.

    They are parts of one statement: "So the area is $5$ cm" read as "$5$ cm" and as a whole. A statement with several
    candidates, a doubt or a negation is only read as a whole, so nothing right can be picked out of it.
    """
    found = final_answer(completion)
    if found is None:
        return []
    if found.how == "box":
        return [found]
    return [
        Extracted(text=found.text[start:end], start=found.start + start, end=found.start + end, how=found.how)
        for start, end in readings(found.text, found.how)
    ]


def find_answer(text: str, *, offset: int = 0) -> Extracted | None:
    """Find the final answer in a text without think tags; places are counted from `offset`."""
    tagged = _last_tag(text)
    start, end = tagged or (0, len(text))
    boxed = _last_box(text, start, end)
    if boxed:
        first, last, *said = boxed
        found = _extracted(text, first, last, "box", offset)
        return replace(found, text=said[0]) if found and said else found
    if tagged:
        return _extracted(text, start, end, "tag", offset)
    return _extracted(text, *(last_statement(text, max(0, end - WINDOW), end) or ending(text)), offset)


def _extracted(text: str, start: int, end: int, how: How, offset: int) -> Extracted | None:
    start, end = stripped(text, start, end)
    if start == end:
        return None
    return Extracted(text=text[start:end], start=offset + start, end=offset + end, how=how)


_TAG_OPEN = "<answer>"
_TAG_CLOSE = "</answer>"


def _last_tag(text: str) -> tuple[int, int] | None:
    """Return the place inside the last tag; to the end of the text if it never closes, as a stop string leaves it."""
    close, start = text.rfind(_TAG_CLOSE), text.rfind(_TAG_OPEN)
    if start > close:
        return start + len(_TAG_OPEN), len(text)
    start = text.rfind(_TAG_OPEN, 0, close) if close >= 0 else -1
    return (start + len(_TAG_OPEN), close) if start >= 0 else None


_BOXES = ("\\boxed", "\\fbox", "\\framebox")
_MAX_BOXES = 64
_MAX_BRACES = 50_000
_BOX_TOKENS = re.compile(r"\\{1,2}(?:boxed|fbox|framebox)\s{0,8}\{|\\.|[{}]", re.DOTALL)
_BARE_BOX = re.compile(r"\\(?:boxed|fbox)(?:[ \t]{1,8}([^\s{}$]{1,200})|(\d))")
_NAME = r"(?:\\?[A-Za-z]{1,12}(?:_(?:\w|\{\w{1,8}\}))?(?:\(\w\))?\s?&?\s?=\s?)"
_NAME_BEFORE = re.compile(_NAME + r"[\s$&]{0,4}\Z")
_BETWEEN_BOXES = re.compile(
    r"(?P<joint>(?:[\s,;$，、；和或与及&*]|\\[()\[\],;\\ ]|\\q?quad\b|\b(?:and|or)\b|\\text\{\s?,?\s?(?:and"
    r"|or)\s?\}){0,40})"
    rf"(?P<name>{_NAME}?)[\s$&]{{0,4}}"
)
_DOUBTED_BOX = re.compile(
    r"[\s$,;.)\\]{0,6}(?:but )?\b(?:or|maybe|perhaps|possibly|alternatively)\b[^.!?{}]{0,120}", re.IGNORECASE
)
_LETTERS = re.compile(r"(?:and|or|[和或与及])")


def _last_box(text: str, start: int, end: int) -> tuple[int, int] | tuple[int, int, str] | None:
    """Return the place of the last balanced box's content; of several that adjoin, of all, and what they say."""
    boxes = _balanced_boxes(text, _first_box(text, start, end), end)
    if not boxes:
        bare = last_match(_BARE_BOX, text, max(start, end - WINDOW), end)
        return bare.span(bare.lastindex or 0) if bare else None
    first, said = len(boxes) - 1, [text[slice(*boxes[-1][1:])].strip()]
    while first and len(said) < 40 and said[0]:
        before, here = boxes[first - 1], boxes[first]
        between = _BETWEEN_BOXES.fullmatch(text, before[2] + 1, here[0])
        if between is None and not _DOUBTED_BOX.fullmatch(text, before[2] + 1, here[0]):
            break
        content = text[before[1] : before[2]].strip()
        if not content:
            break
        joint, name = (between["joint"], between["name"]) if between else (" or ", "")
        first -= 1
        if not joint.strip(" \t\n$") and content == said[0] and len(said) == 1:
            continue  # the same once more
        word = _LETTERS.search(joint)
        said = [content, f" {word.group()} " if word else ", ", name.replace("&", "") + said[0], *said[1:]]
    if len(said) == 1:
        return boxes[-1][1:]
    named = _NAME_BEFORE.search(text, max(start, boxes[first][0] - 40), boxes[first][0])
    at = named.start() if named else boxes[first][0]
    lead = named.group().replace("&", "").replace("$", "").strip() if named else ""
    return at, boxes[-1][2] + 1, lead + "".join(said)


def _first_box(text: str, start: int, end: int) -> int:
    """Return where the last boxes start: those before them cannot belong to the last answer."""
    first = end
    for command in _BOXES:
        at = end
        for _ in range(_MAX_BOXES):
            found = text.rfind(command, start, at)
            if found < 0:
                break
            at = found
        first = min(first, at)
    return max(start, first - 1)


def _balanced_boxes(text: str, start: int, end: int) -> list[tuple[int, int, int]]:
    """Return the outermost balanced boxes: where the command starts, where its content starts and ends."""
    boxes: list[tuple[int, int, int]] = []
    braces: list[tuple[int, int] | None] = []
    for token in islice(_BOX_TOKENS.finditer(text, start, end), _MAX_BRACES):
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
    return boxes
